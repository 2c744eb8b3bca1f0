"""`scripts/listen`: measure rendered music, and draw it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engines.base import Mistake
from scripts.listening import report, scenes
from scripts.listening.recall import recall_report
from scripts.listening.score import Score, read_midi, score_of
from scripts.listening.walk import REST, walk_report
from server.takes.roll import draw


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 2 for mistakes in arguments or files."""
    ask = argparse.ArgumentParser(prog="scripts/listen", description=__doc__)
    commands = ask.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("corpus", help="what human music scores")
    scene = commands.add_parser("scene", help="measure scenes")
    scene.add_argument("names", nargs="+", metavar="SCENE")
    scene.add_argument("--parts", action="store_true", help="what each part does, too")
    moods = commands.add_parser("moods", help="styles × words × seeds against every bar")
    recall = commands.add_parser("recall", help="whether themes are recognised in every style")
    for each in (moods, recall):
        each.add_argument("--styles", nargs="+", default=[], metavar="STYLE", help="default: all")
        each.add_argument("--words", nargs="+", default=list(scenes.WORDS), choices=scenes.WORDS)
    for each in (scene, moods, recall):
        each.add_argument("--seeds", type=int, default=5, help="how many")
        each.add_argument("--first-seed", type=int, default=1, help="styles are tuned on 1 to 5")
    walk = commands.add_parser("walk", help="changes of mood: between all nine words, in one run")
    walk.add_argument("names", nargs="*", default=["default"], metavar="SCENE|STYLE:WORD")
    walk.add_argument("--seed", type=int, default=1)
    walk.add_argument("--rest", type=int, default=REST, help="bars in a mood once it is reached")
    audio = commands.add_parser("audio", help="what a synth makes of it; needs fluidsynth")
    page = commands.add_parser("page", help="what the page makes of it; needs Chromium")
    for each in (audio, page):
        each.add_argument("names", nargs="*", default=["default"], metavar="SCENE|STYLE:WORD")
        each.add_argument("--words", nargs="+", default=list(scenes.WORDS), choices=scenes.WORDS)
        each.add_argument("--seed", type=int, default=1)
        each.add_argument("--parts", action="store_true", help="each part in the mix, too")
        each.add_argument("-o", "--output", type=Path, help="a folder for WAV files")
    audio.add_argument("--soundfont", type=Path)
    roll = commands.add_parser("roll", help="a piano roll of a scene, a style or a MIDI file")
    roll.add_argument("name", metavar="SCENE|STYLE:WORD|FILE.mid")
    roll.add_argument("--seed", type=int, default=1)
    roll.add_argument("-o", "--output", type=Path, required=True, help="a .svg or .png")
    for each in (scene, moods, recall, audio, page, roll):
        each.add_argument("--bars", type=int, default=64)
    options = ask.parse_args(argv)
    try:
        if options.command == "corpus":
            print(report.corpus_report())
        elif options.command == "scene":
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            print(report.scene_report(options.names, seeds, options.bars))
            for name in options.names if options.parts else ():
                print(f"\n{name}, seed {seeds[0]}:\n")
                print(report.parts_report(name, seeds[0], options.bars))
        elif options.command == "walk":
            print(walk_report(options.names, options.seed, options.rest))
        elif options.command == "audio":
            from scripts.listening.audio import audio_report  # numpy comes with the tests' tools

            where = options.soundfont, options.output, options.parts
            print(audio_report(options.names, options.words, options.seed, options.bars, *where))
        elif options.command == "page":
            from scripts.listening.page import page_report  # and with them a browser

            kept = options.output, options.parts
            print(page_report(options.names, options.words, options.seed, options.bars, *kept))
        elif options.command in ("moods", "recall"):
            styles = options.styles or scenes.styles()
            if not styles:
                raise Mistake("config/styles", "there is no style to listen to")
            seeds = range(options.first_seed, options.first_seed + options.seeds)
            made = recall_report if options.command == "recall" else report.moods_report
            print(made(styles, options.words, seeds, options.bars))
        else:
            _write(draw(_score(options.name, options.seed, options.bars)), options.output)
    except Mistake as mistake:
        print(f"listen: {mistake}", file=sys.stderr)
        return 2
    return 0


def _score(name: str, seed: int, bars: int) -> Score:
    if name.endswith((".mid", ".midi")):
        return read_midi(Path(name))
    return score_of(scenes.named(name, seed), bars)


def _write(picture: str, path: Path) -> None:
    """Keep a picture as SVG, or as PNG where rsvg-convert is installed. Errors: Mistake."""
    if path.suffix == ".svg":
        path.write_text(picture, encoding="utf-8")
        return
    tool = shutil.which("rsvg-convert")
    if path.suffix != ".png" or tool is None:
        raise Mistake(str(path), "expected a name ending in .svg, or in .png with rsvg-convert")
    subprocess.run([tool, "-o", str(path)], input=picture.encode(), check=True)


if __name__ == "__main__":
    sys.exit(main())
