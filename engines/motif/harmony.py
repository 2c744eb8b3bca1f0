"""Chords under a theme: those that it was given, or the plainest that carry it, or others."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from .value import Chords, Motif, strong_beats, within

#: How well a chord follows another, by their degrees from 1: the usual ways of tonal music, as
#: in the tables of Piston (1941); what is not here is 0.
_WAYS = {
    (1, 4): 0.5, (1, 5): 0.5, (1, 6): 0.4, (1, 2): 0.3, (2, 5): 0.7, (4, 5): 0.6, (4, 1): 0.5,
    (4, 2): 0.2, (5, 1): 0.8, (5, 6): 0.3, (6, 4): 0.5, (6, 2): 0.5, (3, 6): 0.4, (3, 4): 0.3,
    (5, 4): -0.5, (5, 2): -0.6, (2, 1): -0.4, (2, 4): -0.3, (6, 1): -0.2, (2, 6): -0.2,
}  # fmt: skip

#: How gladly each degree is had at all.
_PLAIN = {1: 0.5, 4: 0.35, 5: 0.4, 6: 0.15, 2: 0.1, 3: -0.2}

_AGAIN, _CARRIED, _AVOIDED = -0.35, 3.0, 1.2

#: The degree that a chord's word stands on, where it says one; functions are called by theirs.
_DEGREES = {"ton": 1, "sub": 4, "dom": 5, "tp": 6, "sp": 2, "dp": 3}


@lru_cache(256)
def harmonise(theme: Motif, other: bool = False) -> Chords:
    """The chords of a theme, in whole bars: its own, or the plainest that carry its tune.

    other: rather than those, others that carry it as well as may be: what stands in for them.
    Invented chords are numbers (`n4`), which follow the mode; one a bar. The best row of all is
    found, by how long each bar's notes are within its chord, on strong beats above all, and by
    how well each chord follows the one before (Viterbi 1967).
    Law: they last as long as the theme.
    """
    if theme.chords and not other:
        return _whole(theme)
    usual = [_degree(word) for word in _by_bar(theme)] if other else [0] * theme.bars
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for bar in range(theme.bars):
        costs = _carried(theme, bar)
        best = {
            degree: max(
                (so_far + (_AGAIN if degree == last else _WAYS.get((last, degree), 0.0)), row)
                for last, (so_far, row) in best.items()
            )
            for degree in _PLAIN
        }
        best = {
            degree: (
                score + costs[degree] - _AVOIDED * (degree == usual[bar] and bar > 0),
                (*row, degree),
            )
            for degree, (score, row) in best.items()
        }
    row = max(best.values())[1]
    return tuple((f"n{degree}", theme.bar) for degree in row)


def _carried(theme: Motif, bar: int) -> dict[int, float]:
    """How well each degree's triad carries a bar's notes, and suits its place."""
    notes = within(theme, bar * theme.bar, (bar + 1) * theme.bar)
    strong = strong_beats(theme)
    weighed = [
        (note.step % 7, float(note.length) ** 0.5 * (1.6 if note.at in strong else 1.0))
        for note in notes
        if not note.alteration
    ]
    whole = sum(weight for _, weight in weighed) or 1.0
    last, half = bar == theme.bars - 1, bar == theme.bars // 2 - 1
    scores = {}
    for degree, plain in _PLAIN.items():
        tones = {(degree - 1 + third) % 7 for third in (0, 2, 4)}
        share = sum(weight if step in tones else -0.6 * weight for step, weight in weighed) / whole
        place = (degree == 1) * (1.5 if last else 0.8 if bar == 0 else 0.0)
        place += (degree == 5) * (0.5 if half or bar == theme.bars - 2 else 0.0)
        scores[degree] = _CARRIED * share + plain + place
    return scores


def _whole(theme: Motif) -> Chords:
    """Its own chords, over and over as long as it lasts."""
    row: list[tuple[str, Fraction]] = []
    at, number = Fraction(0), 0
    while at < theme.length:
        word, length = theme.chords[number % len(theme.chords)]
        row.append((word, min(length, theme.length - at)))
        at, number = at + length, number + 1
    return tuple(row)


def _by_bar(theme: Motif) -> list[str]:
    """The chord that each bar begins with."""
    found, at = [""] * theme.bars, Fraction(0)
    for word, length in harmonise(theme):
        for bar in range(int(-(-at // theme.bar)), int(-(-(at + length) // theme.bar))):
            found[bar] = word
        at += length
    return found


def _degree(word: str) -> int:
    """0 where it does not say."""
    if word[:1] == "n" and word[1:2].isdigit():
        return int(word[1])
    return _DEGREES.get(word.rstrip("0123456789"), 0)


def stretch(chords: Chords, start: Fraction, end: Fraction) -> Chords:
    """What sounds of a row of chords from one beat to another."""
    row, at = [], Fraction(0)
    for word, length in chords:
        begin, close = max(at, start), min(at + length, end)
        if begin < close:
            row.append((word, close - begin))
        at += length
    return tuple(row)
