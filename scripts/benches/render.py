"""How much faster than real time a scene renders, through the very code that plays it live."""

from __future__ import annotations

import argparse
import statistics
import time

from server.concert.journal import Entry, Played
from server.errands import render
from server.score.scene import load_scene, shipped_scenes


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench render", description=__doc__)
    ask.add_argument("--bars", type=int, default=512)
    ask.add_argument("scenes", nargs="*", default=list(shipped_scenes()))
    options = ask.parse_args(argv)
    print("| scene | parts | notes | music s | × real time (median of 3) |")
    print("|---|---|---|---|---|")
    for name in options.scenes:
        scene = load_scene(shipped_scenes()[name])
        ratios: list[float] = []
        played: list[Played] = []
        for _ in range(3):
            played.clear()

            def listen(entry: Entry, played: list[Played] = played) -> None:
                if isinstance(entry, Played):
                    played.append(entry)

            began = time.perf_counter()
            render(scene, options.bars, "0", listen)
            music = played[-1].moment.seconds + played[-1].duration
            ratios.append(music / (time.perf_counter() - began))
        notes = len(played)
        ratio = statistics.median(ratios)
        print(f"| {name} | {len(scene.parts)} | {notes} | {music:.0f} | {ratio:,.0f} |", flush=True)
