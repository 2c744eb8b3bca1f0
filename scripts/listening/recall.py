"""Whether a theme is recognised in what a style makes of it, among nineteen others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from random import Random
from typing import NamedTuple

from engines.motif import Motif, generate, in_meter, recognise
from engines.theme import Said
from scripts.listening import scenes
from scripts.listening.corpus import WORKERS
from server.concert.journal import Entry, Played
from server.errands import hear
from server.score.scene import Scene

AMONG = 20  # themes, the right one included
FEWEST = 5  # notes that a statement must have to be asked about
MOST = 8  # statements of one render that are asked about
RIGHT = 0.95

Notes = list[tuple[Fraction, int, Fraction]]


class Recall(NamedTuple):
    """Statements in which the right theme was picked, and all that were asked about."""

    right: int
    asked: int


def statements(scene: Scene, bars: int) -> list[tuple[str, Notes]]:
    """Each varied or plain statement that sounded: the theme's name, and its sounding notes."""
    entries: list[Entry] = []
    hear(scene, bars, entries.append)
    return stated(entries)


def stated(entries: Iterable[Entry]) -> list[tuple[str, Notes]]:
    """The statements in a journal, in the order in which they begin."""
    found: dict[tuple[str, str, int], Notes] = {}
    for entry in entries:
        if isinstance(entry, Played) and isinstance(entry.note.symbol.origin, Said):
            note, said = entry.note, entry.note.symbol.origin
            key = (note.part, said.theme, said.number)
            found.setdefault(key, []).append((note.start, note.pitch, note.end - note.start))
    return [(name, notes) for (_, name, _), notes in found.items() if len(notes) >= FEWEST]


def choices(scene: Scene) -> list[Motif]:
    """The scene's own themes, and as many others of the same kind as make `AMONG`; none without."""
    own = [in_meter(motif, _bar(scene)) for motif in scene.themes(scene.seed)]
    rng = Random(f"{scene.seed}/others")
    return [
        *own,
        *(
            generate(rng, min(max(own[0].bars, 4), 8), own[0].bar, name=f"other {number}")
            for number in range(AMONG - len(own) if own else 0)
        ),
    ]


def recalled(scene: Scene, bars: int) -> Recall:
    """How often the scene's theme is picked among others of the same kind in its statements."""
    among = choices(scene)
    if not among:
        return Recall(0, 0)
    chosen = statements(scene, bars)[:MOST]
    right = sum(recognise(notes, among)[0] == name for name, notes in chosen)
    return Recall(right, len(chosen))


def _bar(scene: Scene) -> Fraction:
    return scene.meters.bar_at(Fraction(0)).meter.length


def _asked(job: tuple[str, str, int, int]) -> Recall:
    style, word, seed, bars = job
    return recalled(scenes.asked(style, word, seed), bars)


def recall_report(
    styles: Sequence[str], words: Sequence[str], seeds: Sequence[int], bars: int
) -> str:
    """The share of statements in which the right theme is picked, by style and word."""
    jobs = [(style, word, seed, bars) for style in styles for word in words for seed in seeds]
    with ProcessPoolExecutor(WORKERS) as pool:
        results = dict(zip(jobs, pool.map(_asked, jobs), strict=True))

    def share(chosen: list[Recall]) -> str:
        asked = sum(each.asked for each in chosen)
        return f"{sum(each.right for each in chosen) / asked:.3f}" if asked else "–"

    lines = ["| theme recall | " + " | ".join([*words, "all"]) + " |"]
    lines.append("| --- " * (len(words) + 2) + "|")
    for style in styles:
        cells = [share([results[style, word, seed, bars] for seed in seeds]) for word in words]
        own = [result for (name, *_), result in results.items() if name == style]
        lines.append(f"| {style} | " + " | ".join([*cells, share(own)]) + " |")
    every = list(results.values())
    asked = sum(each.asked for each in every)
    total = sum(each.right for each in every) / max(asked, 1)
    verdict = "pass" if total >= RIGHT else "**fail**"
    lines.append(
        f"\n{asked} statements among {AMONG} themes: {total:.3f}, {RIGHT} wanted: {verdict}"
    )
    return "\n".join(lines)
