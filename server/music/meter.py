"""Metre: bars, the beats in them, their accents, and changes of metre along an endless piece."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, pairwise
from math import gcd
from typing import NamedTuple

from engines.base import Mistake

_METER = re.compile(r"([0-9]{1,2}(?:\+[0-9]{1,2})*)/([0-9]{1,2})")
_CHANGE = re.compile(r"(?:bar\s+)?([0-9]{1,9})\s*:\s*(.+)")
_UNITS = (1, 2, 4, 8, 16, 32, 64)


class Meter(NamedTuple):
    """One bar's metre.

    groups: how many units each group of the bar has; their starts are the strong beats.
    unit: the denominator: 4 counts quarters, 8 counts eighths.
    A *beat* of the bar is one unit, so 6/8 has six beats in two groups.
    """

    groups: tuple[int, ...]
    unit: int

    @property
    def beats(self) -> int:
        """How many beats the bar has: the numerator."""
        return sum(self.groups)

    @property
    def beat_length(self) -> Fraction:
        """Quarter notes in one beat of the bar."""
        return Fraction(4, self.unit)

    @property
    def length(self) -> Fraction:
        """Quarter notes in the bar."""
        return Fraction(4 * self.beats, self.unit)

    @property
    def name(self) -> str:
        """As `parse_meter` reads it: `7/8`, or `3+2+2/8` where the groups are not the usual."""
        plain = self.groups == _usual_groups(self.beats)
        return f"{self.beats if plain else '+'.join(map(str, self.groups))}/{self.unit}"

    def beat_in_bar(self, position: Fraction) -> int:
        """Which beat (from 1, in units of the denominator) a position in quarter notes is in."""
        return int(position // self.beat_length) + 1

    def weight(self, position: Fraction) -> float:
        """The accent of a position in the bar (quarter notes), above 0 and up to 1.

        The bar line 1, the start of another group 0.75, any other beat 0.5, and less between
        beats: 0.25 half-way, 1/6 at thirds, 0.125 at quarters of a beat.
        After the metrical grid of Lerdahl & Jackendoff (1983).
        """
        # Whole numbers, for this is asked for every note: `above / below` beats.
        above, below = position.numerator * self.unit, position.denominator * 4
        divisor = gcd(above, below)
        if below > divisor:
            return 0.5 * divisor / below
        beat = above // divisor % sum(self.groups)
        if not beat:
            return 1.0
        return 0.75 if beat in accumulate(self.groups) else 0.5


@lru_cache(maxsize=256)
def parse_meter(text: str) -> Meter:
    """Read `4/4`, `7/8` or, with its groups, `3+2+2/8`.

    Without groups: threes where the beats divide by three, otherwise twos and a last three
    (7/8 is 2+2+3), and 5 is 3+2.
    Errors: Mistake unless a bar has 1 to 64 beats of 1, 2, 4, 8, 16, 32 or 64.
    """
    found = _METER.fullmatch(text.strip())
    if found is None:
        raise Mistake("", f"expected a metre such as 4/4, 7/8 or 3+2+2/8, found {text!r}")
    groups = tuple(int(group) for group in found[1].split("+"))
    unit = int(found[2])
    if unit not in _UNITS:
        raise Mistake("", f"expected a beat of 1, 2, 4, 8, 16, 32 or 64, found {text!r}")
    if 0 in groups or sum(groups) > 64:
        raise Mistake("", f"expected 1 to 64 beats in the bar and none in no group, found {text!r}")
    return Meter(groups if len(groups) > 1 else _usual_groups(groups[0]), unit)


def _usual_groups(count: int) -> tuple[int, ...]:
    if count <= 3:
        return (count,)
    if count % 3 == 0:
        return (3,) * (count // 3)
    if count == 5:
        return (3, 2)
    twos = (2,) * (count // 2)
    return twos if count % 2 == 0 else (*twos[:-1], 3)


REMEMBERED = 256  # bars whose lines are kept


class Place(NamedTuple):
    """Where a beat is: the bar (from 1), quarter notes since its line, the bar's metre."""

    bar: int
    position: Fraction
    meter: Meter


class _Stretch:
    """Bars from one change of metre to the next: a cycle of metres, over and over."""

    __slots__ = ("bar", "beat", "cycle", "length", "lines")

    def __init__(self, bar: int, beat: Fraction, cycle: tuple[Meter, ...]) -> None:
        self.bar, self.beat, self.cycle = bar, beat, cycle
        self.lines = tuple(accumulate((meter.length for meter in cycle), initial=Fraction(0)))
        self.length = self.lines[-1]

    def beat_of(self, bar: int) -> Fraction:
        rounds, place = divmod(bar - self.bar, len(self.cycle))
        return self.beat + rounds * self.length + self.lines[place]

    def at(self, beat: Fraction) -> Place:
        rounds, rest = divmod(beat - self.beat, self.length)
        place = bisect_right(self.lines, rest) - 1
        bar = self.bar + rounds * len(self.cycle) + place
        return Place(bar, rest - self.lines[place], self.cycle[place])


class MeterMap:
    """Which bar and metre every beat has, for ever.

    changes: (bar, metres) pairs in the order of their bars, the first at bar 1; from each bar
    on, its row of metres repeats. Beats before 0 (bars 0, -1, …) continue the first row.
    Laws: `bar_at(beat_of_bar(n)) == (n, 0, …)`, and
    `beat_of_bar(p.bar) + p.position == beat` for `p = bar_at(beat)`. Both exact, O(log changes).
    """

    __slots__ = ("_bars", "_beats", "_lines", "_stretches", "changes")

    def __init__(self, changes: Sequence[tuple[int, Sequence[Meter]]]) -> None:
        self.changes = tuple((bar, tuple(cycle)) for bar, cycle in changes)
        bars = [bar for bar, _ in self.changes]
        if not bars or bars[0] != 1 or any(b <= a for a, b in pairwise(bars)):
            raise Mistake("", f"expected metres from bar 1 on at rising bars, found bars {bars}")
        self._stretches: list[_Stretch] = []
        for bar, cycle in self.changes:
            beat = self._stretches[-1].beat_of(bar) if self._stretches else Fraction(0)
            self._stretches.append(_Stretch(bar, beat, cycle))
        self._bars = bars
        self._lines: dict[
            int, Fraction
        ] = {}  # of bars asked for of late, for many ask for the same
        self._beats = [stretch.beat for stretch in self._stretches]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MeterMap) and self.changes == other.changes

    def __hash__(self) -> int:
        return hash(self.changes)

    def bar_at(self, beat: Fraction) -> Place:
        """The bar that a beat (quarter notes from the start) is in; a bar line opens its bar."""
        return self._stretches[max(bisect_right(self._beats, beat) - 1, 0)].at(beat)

    def beat_of_bar(self, bar: int) -> Fraction:
        """The beat of a bar's line; bar 1 is at beat 0."""
        line = self._lines.get(bar)
        if line is None:
            line = self._stretches[max(bisect_right(self._bars, bar) - 1, 0)].beat_of(bar)
            if len(self._lines) >= REMEMBERED:
                self._lines.clear()
            self._lines[bar] = line
        return line

    def beats_before(self, beat: Fraction) -> int:
        """How many beats of their bars begin before this one, from bar 1 on."""
        place, count = self.bar_at(beat), 0
        for (bar, cycle), after in zip(self.changes, [*self.changes[1:], None], strict=True):
            end = place.bar if after is None else min(after[0], place.bar)
            rounds, rest = divmod(max(end - bar, 0), len(cycle))
            count += rounds * sum(meter.beats for meter in cycle)
            count += sum(meter.beats for meter in cycle[:rest])
        return count - (-place.position // place.meter.beat_length)

    def next_bar(self, beat: Fraction) -> Fraction:
        """The beat of the first bar line at or after this beat."""
        place = self.bar_at(beat)
        return beat if place.position == 0 else self.beat_of_bar(place.bar + 1)

    def next_beat(self, beat: Fraction) -> Fraction:
        """The first beat of a bar (in units of its metre) at or after this beat."""
        _, position, meter = self.bar_at(beat)
        return beat + -position % meter.beat_length


def parse_meters(text: str | Sequence[str]) -> MeterMap:
    """Read a piece's metres.

    `"4/4"`; a row that repeats, bar by bar: `"4/4 4/4 3/4"`; or a list of changes, each but
    the first with the bar it begins at: `["4/4", "9: 7/8", "17: 4/4 3/4"]`.
    Errors: Mistake naming the item that is wrong.
    """
    items = [text] if isinstance(text, str) else list(text)
    if not items:
        raise Mistake("", "expected at least one metre, such as 4/4, found none")
    changes: list[tuple[int, tuple[Meter, ...]]] = []
    for item in items:
        found = _CHANGE.fullmatch(item.strip())
        if found is None and changes:
            raise Mistake("", f"expected a bar and its metre, such as 9: 7/8, found {item!r}")
        bar, row = (int(found[1]), found[2]) if found else (1, item)
        if not changes and bar != 1:
            raise Mistake("", f"expected the metre of bar 1 first, found {item!r}")
        if changes and bar <= changes[-1][0]:
            raise Mistake("", f"expected a bar after bar {changes[-1][0]}, found {item!r}")
        cycle = tuple(parse_meter(word) for word in row.split())
        if not 0 < len(cycle) <= 1024:
            raise Mistake("", f"expected 1 to 1024 metres in a row, found {len(cycle)}")
        changes.append((bar, cycle))
    return MeterMap(changes)
