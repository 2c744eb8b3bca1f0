"""Form: sections and phrases along the bars, and how much is going on in each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from random import Random
from typing import NamedTuple

from engines.base import THINKING, Controls, Engine

Curve = tuple[tuple[float, float], ...]

STEADY: Curve = ((0.0, 0.5),)
_STRANGERS = 1000  # symbols in a row that name no section, after which the form ends
_KEPT = 64  # sections behind the present that are remembered
_ENDLESS = 1 << 30  # bars


@dataclass(frozen=True)
class SectionSpec:
    """A section as the scene describes it.

    bars: how many, whole phrases or not.  energy: (place 0 to 1, energy 0 to 1), straight
    lines between.  theme: that is stated in it, "" for the one that goes on.  likeness: how
    near its developments stay, 0 to 1, None for the scene's own.  up: semitones by which its
    tonic lies above the scene's.  mode: its own, "" for the one that mood and scene give.
    only: the parts that play, all where it is empty.  tempo: factor.  closes: it ends with a
    cadence and a held chord rather than leading on.
    """

    name: str
    bars: int = 8
    energy: Curve = STEADY
    theme: str = ""
    likeness: float | None = None
    up: int = 0
    mode: str = ""
    only: frozenset[str] = frozenset()
    tempo: float = 1.0
    closes: bool = False
    cues: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def energy_at(self, place: float) -> float:
        """0 to 1, at a place in the section, 0 (its first bar) to 1 (its end)."""
        return between(self.energy, place)


@dataclass(frozen=True)
class FormSpec:
    """Sections by name, and the engine whose symbols say in which order they come.

    ends: whether the music ends when the stream of sections does; otherwise it begins anew.
    """

    sections: Mapping[str, SectionSpec] = field(default_factory=dict)
    order: Engine | None = None
    ends: bool = False


class Section(NamedTuple):
    """A section at its place.

    number: which of the piece, from 1.  visit: how often this one has come, from 1.
    bar: its first.  bars: how many it has.
    """

    spec: SectionSpec
    number: int
    visit: int
    bar: int
    bars: int

    @property
    def after(self) -> int:
        """The bar after its last."""
        return self.bar + self.bars


class Form:
    """Which section each bar is in, for ever; sections are drawn as they are asked for.

    Laws: bars 1, 2, 3 … are each in one section; what `go` asks for begins at its bar and
    changes nothing before; same seed and same calls of `go`, same sections.
    """

    def __init__(self, spec: FormSpec, seed: int, controls: Mapping[str, float]) -> None:
        self.spec, self._seed = spec, seed
        self._controls = Controls(controls)
        self._sections: list[Section] = []
        self._firsts: list[int] = []
        self._visits: dict[str, int] = {}
        self._number = 0
        self._starts = 0
        self._order = self._names()
        self.ended_at: int | None = None  # the bar at which nothing is left to play

    def at(self, bar: int) -> Section:
        """The section of a bar, from 1; past the end of a piece that ends, its last."""
        while not self._sections or self._sections[-1].after <= bar:
            if self.ended_at is not None:
                return self._sections[-1]
            self._draw()
        return self._sections[max(bisect_right(self._firsts, bar) - 1, 0)]

    def go(self, name: str, bar: int) -> None:
        """Have the section of this name begin at this bar; the order goes on after it.

        Errors: KeyError where no section has the name.
        """
        spec = self.spec.sections[name]
        self.at(bar)
        while self._sections and self._sections[-1].bar >= bar:
            gone = self._sections.pop()
            self._firsts.pop()
            self._visits[gone.spec.name] -= 1
            self._number -= 1
        self.ended_at = None
        if self._sections:
            last = self._sections[-1]
            self._sections[-1] = last._replace(bars=bar - last.bar)
        self._add(spec, bar)

    def carry_on(self, name: str, bars: int) -> None:
        """Begin inside the section of this name, with so many bars of it left, if there is one.

        The order goes on after it where it has it.
        """
        if name not in self.spec.sections or self._sections:
            return
        for each in islice(self._order, _STRANGERS):
            if each == name:
                break
        else:
            self._order = self._names()
        self._add(self.spec.sections[name], 1)
        self._sections[-1] = self._sections[-1]._replace(bars=bars)

    def forget(self, before: int) -> None:
        """Drop the sections that ended before this bar, from time to time."""
        index = bisect_right(self._firsts, before) - 1
        if index > _KEPT:
            del self._sections[:index], self._firsts[:index]

    def _draw(self) -> None:
        bar = self._sections[-1].after if self._sections else 1
        name = next(self._order, None)
        if name is None:
            if not self._sections:
                self._add(SectionSpec("", _ENDLESS), bar)
            else:
                self.ended_at = bar
            return
        self._add(self.spec.sections[name], bar)

    def _add(self, spec: SectionSpec, bar: int) -> None:
        visit = self._visits[spec.name] = self._visits.get(spec.name, 0) + 1
        self._number += 1
        self._sections.append(Section(spec, self._number, visit, bar, spec.bars))
        self._firsts.append(bar)

    def _names(self) -> Iterator[str]:
        """Section names, over and over unless the piece is to end."""
        if self.spec.order is None:
            return
        while True:
            self._starts += 1
            rng = Random(f"{self._seed}/form/{self._starts}")
            found = strangers = 0
            for symbol in self.spec.order.symbols(rng, self._controls):
                if symbol.name in self.spec.sections:
                    found, strangers = found + 1, 0
                    yield symbol.name
                elif symbol is THINKING or (strangers := strangers + 1) > _STRANGERS:
                    break
            if self.spec.ends or not found:
                return


def between(curve: Curve, place: float) -> float:
    """A value on straight lines between the points of a curve; flat before and after them."""
    if place <= curve[0][0]:
        return curve[0][1]
    for (left, low), (right, high) in pairwise(curve):
        if place < right:
            return low + (high - low) * (place - left) / (right - left)
    return curve[-1][1]
