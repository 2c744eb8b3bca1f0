"""How like two tunes are, and which theme it is that sounds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import log2
from typing import TypeVar

from .value import OCTAVE, Motif

#: A semitone interval within the octave, as steps of a scale, whichever its mode.
_CLASS = (0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.5, 4.0, 5.0, 5.0, 6.0, 6.0)

#: How far back a link may reach on either side, over ornaments and what was left out.
_BACK = tuple((k, m) for k in range(1, 6) for m in range(1, 6) if min(k, m) == 1 or k + m <= 5)
_FARTHEST = 5

#: The worst link that still speaks for a match; what one link may speak against it; what each
#: note left out takes from a link; links that are evidence enough.
_PLAIN, _WORST, _OVER, _ENOUGH = 0.45, -0.5, 0.9, 6

#: Tempo ratios that are tried, as log2.
_PACES = (0.0, 1.0, -1.0)

#: The share of what is heard in a likeness; the rest is that of the theme.
_HEARD = 0.7

Sounding = tuple[Fraction | float, float, Fraction | float]


class _Line:
    """A line prepared for comparing.

    at, pitch: quarter notes, and scale steps as near as semitones tell.  end: of the last note.
    weights: by the time to the next onset, 1 in all.
    links: links[n][k] is the interval in steps and log2 of the time from note n-k-1 to note n.
    """

    __slots__ = ("at", "count", "end", "links", "pitch", "weights")

    def __init__(self, of: Motif | Iterable[Sounding]) -> None:
        if isinstance(of, Motif):
            notes = [(float(n.at), n.step + 0.5 * n.alteration, float(n.length)) for n in of.notes]
            semitones = False
        else:
            notes = _melody((float(at), float(pitch), float(long)) for at, pitch, long in of)
            semitones = True
        self.count = len(notes)
        self.at = [note[0] for note in notes]
        self.pitch = [note[1] * OCTAVE / 12 if semitones else note[1] for note in notes]
        self.end = notes[-1][0] + notes[-1][2]
        gaps = [max(later - at, 1e-3) for at, later in pairwise([*self.at, self.end])]
        weights = [min(gap, 4.0) ** 0.5 for gap in gaps]
        total = sum(weights)
        self.weights = [weight / total for weight in weights]
        self.links = [
            [
                (
                    _steps(note[1] - before[1]) if semitones else note[1] - before[1],
                    log2(max(note[0] - before[0], 1e-3)),
                )
                for before in reversed(notes[max(0, number - _FARTHEST) : number])
            ]
            for number, note in enumerate(notes)
        ]


def _melody(notes: Iterable[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """The highest of the notes that were played together."""
    top: list[tuple[float, float, float]] = []
    for note in sorted(notes):
        if top and note[0] - top[-1][0] < 0.06:
            top[-1] = max(top[-1], note, key=lambda each: each[1])
        else:
            top.append(note)
    if not top:
        raise ValueError("expected at least one note, found none")
    return top


def _steps(semitones: float) -> float:
    octaves, rest = divmod(abs(round(semitones)), 12)
    steps = OCTAVE * octaves + _CLASS[rest]
    return steps if semitones >= 0 else -steps


_Shares = tuple[float, float]  # of one line that is in the other, and the other way round
_Path = tuple[float, float, float, int]  # both shares' sum, each, and the links


def _linked(a: _Line, b: _Line, pace: float) -> Generator[int, None, _Shares]:
    """The best local alignment of two lines; yields its work note by note."""
    best: _Path = (0.0, 0.0, 0.0, 0)
    rows: list[list[_Path]] = []
    for i in range(a.count):
        row: list[_Path] = []
        links_a, weight_a = a.links[i], a.weights[i]
        for j in range(b.count):
            top: _Path = (0.0, 0.0, 0.0, 0)
            links_b, weight_b = b.links[j], b.weights[j]
            for k, m in _BACK:
                if k > i or m > j:
                    continue
                steps_a, time_a = links_a[k - 1]
                steps_b, time_b = links_b[m - 1]
                late = abs(time_b - time_a - pace)
                if late > 1.3:
                    continue
                alike = 1 - 0.45 * abs(steps_a - steps_b) - 0.25 * (steps_a * steps_b < 0)
                link = (alike / (1 + 0.5 * late + 0.8 * late * late) - _PLAIN) / (1 - _PLAIN)
                if link > 0:
                    link *= _OVER ** (k + m - 2)
                elif link < _WORST:
                    link = _WORST
                total, share_a, share_b, links = rows[i - k][j - m]
                first_a, first_b = a.weights[i - k], b.weights[j - m]
                if link * (first_a + first_b) > total:  # better to begin here
                    total, links = link * (first_a + first_b), 0
                    share_a, share_b = link * first_a, link * first_b
                total += link * (weight_a + weight_b)
                if total > top[0]:
                    top = (total, share_a + link * weight_a, share_b + link * weight_b, links + 1)
            row.append(top)
            if top[0] > best[0]:
                best = top
        rows.append(row)
        yield b.count * len(_BACK)
    _, share_a, share_b, links = best
    sure = min(1.0, (links + 1) / min(_ENOUGH, max(a.count, b.count)))
    return share_a * sure, share_b * sure


def _overlaid(a: _Line, b: _Line, ratio: float) -> _Shares:
    """How much of two lines is the same pitch at the same time, laid over each other.

    ratio: how much slower a is to be made. Only the most promising places are tried: where
    most onsets fall together, and there the commonest distances in pitch.
    """
    at, end = [each * ratio for each in a.at], a.end * ratio
    votes: dict[int, float] = {}
    for weight_a, one in zip(a.weights, at, strict=True):
        for weight_b, other in zip(b.weights, b.at, strict=True):
            shift = round((other - one) * 4)
            votes[shift] = votes.get(shift, 0.0) + min(weight_a, weight_b)
    best = (0.0, 0.0)
    for shift in sorted(votes, key=lambda each: (-votes[each], each))[:4]:
        moved = [each + shift / 4 for each in at]
        of_a = _met(moved, a.pitch, a.weights, b.at, b.pitch, b.end)
        of_b = _met(b.at, b.pitch, b.weights, moved, a.pitch, end + shift / 4)
        apart: dict[int, float] = {}
        for distance, weight, _ in of_b:
            apart[round(-distance)] = apart.get(round(-distance), 0.0) + weight
        for distance in sorted(apart, key=lambda each: (-apart[each], each))[:2]:
            found = _agreeing(of_a, distance), _agreeing(of_b, -distance)
            best = max(best, found, key=sum)
    return best


def _met(
    at: Sequence[float],
    pitch: Sequence[float],
    weights: Sequence[float],
    others: Sequence[float],
    pitches: Sequence[float],
    end: float,
) -> list[tuple[float, float, bool]]:
    """For each note: how much higher the other line is then, its weight, and if it begins then."""
    met = []
    for one, own, weight in zip(at, pitch, weights, strict=True):
        index = bisect_right(others, one + 0.13) - 1
        if index >= 0 and one < end:
            met.append((pitches[index] - own, weight, one - others[index] < 0.13))
    return met


def _agreeing(met: list[tuple[float, float, bool]], distance: float) -> float:
    """The share of notes at this distance; one step beside it, or held over, counts half."""
    share = 0.0
    for each, weight, together in met:
        apart = abs(each - distance)
        if apart <= 1.75:
            share += weight * (1.0 if apart <= 0.75 else 0.45) * (1.0 if together else 0.5)
    return min(share, 1.0)


def _shares(a: _Line, b: _Line) -> Generator[int, None, tuple[_Shares, _Shares]]:
    """What is linked and what is overlaid, at the tempo ratio at which most is overlaid."""
    best, chosen = (0.0, 0.0), 0.0
    for pace in _PACES:
        found = _overlaid(a, b, 2.0**pace)
        if sum(found) > sum(best) + 1e-9:
            best, chosen = found, pace
        yield a.count * b.count
    return (yield from _linked(a, b, chosen)), best


def _likeness(a: _Line, b: _Line) -> Generator[int, None, float]:
    if min(a.count, b.count) == 1:
        return float(a.count == b.count)
    found = 0.0
    for one, other in (yield from _shares(a, b)):
        found += (_HEARD * max(one, other) + (1 - _HEARD) * min(one, other)) / 2
    return min(round(found, 9), 1.0)


T = TypeVar("T")


def _finish(work: Generator[int, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def compare(
    a: Motif | Iterable[Sounding], b: Motif | Iterable[Sounding]
) -> Generator[int, None, float]:
    """`likeness` in small pieces: yields how much work each was, a few units a microsecond."""
    return _likeness(_Line(a), _Line(b))


def likeness(a: Motif | Iterable[Sounding], b: Motif | Iterable[Sounding]) -> float:
    """How much of one tune is in the other: 0 nothing, 1 all of it.

    Either may be a theme or sounding notes: (onset in quarter notes, MIDI pitch, length).
    The mean of two measures, for mixed ones agree best with listeners (Müllensiefen and Frieler
    2004). One is a local alignment (Smith and Waterman 1981), as Mongeau and Sankoff (1990)
    brought it to tunes, of links from note to note: an interval in scale steps, so that key and
    mode do not matter, and its inter-onset time; ornaments and what is left out are leapt over.
    The other lays the lines over each other where most onsets meet, as in geometric matching
    (Ukkonen, Lemström and Mäkinen 2003), and asks what share is the same pitch at that time.
    Tempo ratios of 1, 2 and 1/2 are tried; notes weigh by how long they last; of the shares of
    both tunes the larger counts 0.7.
    Laws: likeness(a, a) == 1; transposed, it is the same. Time: the product of both's notes.
    """
    return _finish(compare(a, b))


def recognise(notes: Iterable[Sounding], motifs: Iterable[Motif]) -> tuple[str, float]:
    """Which theme these sounding notes are most like, and how much: 0 to 1.

    notes: one statement, (onset in quarter notes, MIDI pitch, length). What share of the notes
    heard a theme explains counts 0.7, what share of the theme is heard 0.3.
    Errors: ValueError where there are no notes or no themes.
    """
    heard = _Line(notes)
    found = []
    for motif in motifs:
        both = _finish(_shares(heard, _Line(motif)))
        share = sum(_HEARD * here + (1 - _HEARD) * theme for here, theme in both) / 2
        found.append((min(round(share, 9), 1.0), motif.name))
    share, name = max(found, key=lambda each: each[0])
    return name, share
