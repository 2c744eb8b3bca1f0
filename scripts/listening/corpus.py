"""What human music scores: the measures over corpora, from the 5th to the 95th percentile.

The corpora are lent and lie in a folder that `COMPONIUM_CORPORA` names: `nottingham/*.mid`, dance
tunes with chords, and `chorales/bach-chorales-16th.json`, four voices in sixteenths.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import NamedTuple

from scripts.listening.figures import divergence, percentile, shares
from scripts.listening.measures import durations, intervals, measured
from scripts.listening.score import Score, from_notes, read_midi
from server.music.meter import parse_meter

WORKERS = 2
#: What a file without a performance cannot tell.
_PERFORMED = frozenset(
    {"tempo", "density", "melody rate", "velocity", "loudness", "staccato"}
)  # fmt: skip
#: What a corpus cannot tell besides. Nottingham's chords stand in root position; the chorales do
#: not say where their bars begin, nor whether a note is held or struck again.
_UNTOLD = {
    "nottingham": _PERFORMED | {"pad step", "voices"},
    "chorales": _PERFORMED
    | {"density per beat", "strong beats", "similarity 4", "similarity 8", "similarity 16"}
    | {"exact repeats", "melody repeats", "repetition", "phrase end", "silence"},
}


class Range(NamedTuple):
    """Percentiles 5, 50 and 95 over the pieces of a corpus."""

    low: float
    middle: float
    high: float


class Reference(NamedTuple):
    """A corpus measured.

    ranges: by measure; also "intervals" and "durations", how far pieces are from the whole.
    intervals, durations: shares over the whole corpus (`measures.intervals`, `.durations`).
    """

    name: str
    pieces: int
    ranges: Mapping[str, Range]
    intervals: Mapping[int, float]
    durations: Mapping[int, float]


class _Piece(NamedTuple):
    values: dict[str, float]
    intervals: dict[int, float]
    durations: dict[int, float]
    steps: int


def folder() -> Path | None:
    """Where the corpora are, if `COMPONIUM_CORPORA` names a folder."""
    named = os.environ.get("COMPONIUM_CORPORA", "")
    return Path(named) if named and Path(named).is_dir() else None


def tune(path: Path) -> Score:
    """A Nottingham tune: the first track is the melody, the second its chords."""
    score = read_midi(path)
    return from_notes(
        [(n.part, n.onset, n.length, n.pitch, n.velocity) for n in score.notes],
        [(bar.begin, bar.meter) for bar in score.bars],
        title=path.stem,
        roles={part: "melody" if part.startswith("0.") else "comp" for part in score.parts},
    )


def chorale(rows: Sequence[Sequence[int]]) -> Score:
    """A chorale from sixteenths of four pitches each (-1 for silence).

    Equal neighbours of soprano and bass are one note; alto and tenor are struck on every quarter
    note, as one part, so that their steps are those from beat to beat.
    """
    raw: list[tuple[str, float, float, int, float]] = []
    for name, voice in (("soprano", 0), ("bass", 3)):
        at = 0
        for pitch, run in groupby(row[voice] for row in rows):
            length = len(list(run))
            if pitch >= 0:
                raw.append((name, at / 4, length / 4, pitch, 0.6))
            at += length
    for at in range(0, len(rows), 4):
        raw += [("inner", at / 4, 1.0, pitch, 0.6) for pitch in rows[at][1:3] if pitch >= 0]
    roles = {"soprano": "melody", "inner": "pad", "bass": "bass"}
    return from_notes(raw, [(0.0, parse_meter("4/4"))], roles=roles)


def _measure(score: Score) -> _Piece:
    found, steps = intervals(score), len(score.line) - 1
    return _Piece(measured(score), found, durations(score), steps)


def _tune(path: Path) -> _Piece:
    return _measure(tune(path))


def _chorale(rows: Sequence[Sequence[int]]) -> _Piece:
    return _measure(chorale(rows))


@lru_cache(maxsize=1)
def references() -> tuple[Reference, ...]:
    """Every corpus there is, measured by two processes; kept for the process's life."""
    base = folder()
    if base is None:
        return ()
    found = []
    with ProcessPoolExecutor(WORKERS) as pool:
        tunes = sorted((base / "nottingham").glob("*.mid"))
        if tunes:
            found.append(_reference("nottingham", pool.map(_tune, tunes, chunksize=16)))
        text = base / "chorales" / "bach-chorales-16th.json"
        if text.is_file():
            pieces = json.loads(text.read_text(encoding="utf-8"))["train"]
            found.append(_reference("chorales", pool.map(_chorale, pieces, chunksize=16)))
    return tuple(found)


def _reference(name: str, measured_: Iterable[_Piece]) -> Reference:
    pieces = list(measured_)
    sizes: Counter[int] = Counter()
    ways: Counter[int] = Counter()
    for piece in pieces:
        sizes.update({size: round(share * piece.steps) for size, share in piece.intervals.items()})
        ways.update({way: round(share * piece.steps) for way, share in piece.durations.items()})
    all_sizes, all_ways = shares(sizes), shares(ways)
    ranges = {
        key: spread(values)
        for key in dict.fromkeys(key for piece in pieces for key in piece.values)
        if key not in _UNTOLD[name]
        and (values := [piece.values[key] for piece in pieces if key in piece.values])
    }
    ranges["intervals"] = spread([divergence(piece.intervals, all_sizes) for piece in pieces])
    if name != "chorales":
        ranges["durations"] = spread([divergence(piece.durations, all_ways) for piece in pieces])
    return Reference(name, len(pieces), ranges, all_sizes, all_ways)


def spread(values: Sequence[float]) -> Range:
    """Where the middle nine tenths of the values lie."""
    return Range(percentile(values, 0.05), median(values), percentile(values, 0.95))
