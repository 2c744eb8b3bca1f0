"""Form: sections and phrases along the bars, and how much is going on in each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from random import Random
from typing import Any, NamedTuple

from engines.base import THINKING, Controls, Engine
from server.music.line import Line

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
    cadence and a held chord rather than leading on.  repeats: it comes again and again until
    another is asked for; the order then goes on.
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
    repeats: bool = False

    def energy_at(self, place: float) -> float:
        """0 to 1, at a place in the section, 0 (its first bar) to 1 (its end)."""
        return between(self.energy, place)


class Rule(NamedTuple):
    """How the music leads over from one thing to the next; all in bars, but for the pause.

    fill: before the change, in which the live value `fill` is 1.  thin: in which layers leave
    one by one before it.  enter: in which layers enter one by one after it.  ramp: in which the
    tempo goes over.  pause: of silence just before it, in quarter notes.  bridge: with chords
    that lead into another key.  build: in which energy rises before it.
    """

    fill: int = 1
    thin: int = 0
    ramp: int = 1
    pause: Fraction = Fraction(0)
    bridge: int = 1
    build: int = 0
    enter: int = 0

    @property
    def longest(self) -> int:
        """Bars before the change that hear of it."""
        return max(self.fill, self.thin, self.ramp, self.bridge, self.build, self.pause > 0)


#: From, to, and what differs from `Rule()`; those of a scene stand below these.
_USUAL: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("*", "scene *", {"thin": 2}),
    ("*", "style *", {"thin": 1}),
    ("*", "key", {"fill": 0}),
)


@dataclass(frozen=True)
class Transitions:
    """Rules by what they lead from and to; see `between`.

    rules: (from, to, values of a `Rule` by name).
    """

    rules: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()

    def between(self, old: str, new: str) -> Rule:
        """How to lead over; of rules that match, the lowest counts, value by value.

        old: a section's name, "" without one.  new: a section's, "scene NAME", "style NAME" or
        "key". In rules `*` stands for every name, and "scene *" for every scene; beside a name it
        stands for every other, so what leads to a section does not lead to its coming again.
        """
        values: dict[str, Any] = {}
        for first, second, given in (*_USUAL, *self.rules):
            if old == new and (first == "*") != (second == "*"):
                continue
            if _matches(first, old) and _matches(second, new):
                values |= given
        return Rule(**values)


USUAL = Transitions()


def _matches(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern[-2:] == " *" and name.startswith(pattern[:-1]))


@dataclass(frozen=True)
class FormSpec:
    """Sections by name, and the engine whose symbols say in which order they come.

    ends: whether the music ends when the stream of sections does; otherwise it begins anew.
    """

    sections: Mapping[str, SectionSpec] = field(default_factory=dict)
    order: Engine | None = None
    ends: bool = False

    def length(self, seed: int, most: int) -> int | None:
        """How many bars a form that ends has, `most` at most; None for one that goes on."""
        form = Form(self, seed, {})
        if not self.ends or not self.sections or form.at(most).after > most:
            return None
        return form.ended_at and form.ended_at - 1


class Section(NamedTuple):
    """A section at its place.

    number: which of the piece, from 1.  visit: how often this one has come, from 1.
    bar: its first.  bars: how many it has.  skipped: bars of it that were played elsewhere.
    """

    spec: SectionSpec
    number: int
    visit: int
    bar: int
    bars: int
    skipped: int = 0

    @property
    def after(self) -> int:
        """The bar after its last."""
        return self.bar + self.bars

    def energy(self, bar: int) -> float:
        """0 to 1, at the middle of a bar of it; the same if it is to end sooner."""
        return self.spec.energy_at((bar - self.bar + self.skipped + 0.5) / self.spec.bars)


class _Drawn(NamedTuple):
    """A section, which name of the order follows it, and how many bars it has by itself."""

    section: Section
    following: int
    bars: int


class Form:
    """Which section each bar is in, for ever; sections are drawn as they are asked for.

    Laws: bars 1, 2, 3 … are each in one section; what `go` asks for begins at its bar and
    changes nothing before; same seed and same calls of `go`, same sections, whatever else was
    asked; what is taken back was never there.
    first: the bar with which it begins.
    """

    def __init__(
        self, spec: FormSpec, seed: int, controls: Mapping[str, float], first: int = 1
    ) -> None:
        self.spec, self._seed, self._first = spec, seed, first
        self._controls = Controls(controls)
        self._drawn: list[_Drawn] = []
        self._firsts: list[int] = []
        self._visits: dict[str, int] = {}
        self._number = 0
        self._starts = 0
        self._order = self._names()
        self._known: list[str] = []  # names of the order, from …
        self._from = 0  # … this one on
        self.ended_at: int | None = None  # the bar at which nothing is left to play
        self.called: Line[str] = Line()  # what `go` was asked for, by the bar

    def at(self, bar: int) -> Section:
        """The section of a bar, from 1; past the end of a piece that ends, its last."""
        return self._at(bar).section

    def _at(self, bar: int) -> _Drawn:
        while not self._drawn or self._drawn[-1].section.after <= bar:
            if self.ended_at is not None:
                return self._drawn[-1]
            self._draw()
        return self._drawn[max(bisect_right(self._firsts, bar) - 1, 0)]

    def go(self, name: str, bar: int) -> None:
        """Have the section of this name begin at this bar, in the place of the one there.

        The order goes on after it.  Errors: KeyError where no section has the name.
        """
        spec = self.spec.sections[name]
        following = self._at(bar).following
        self._drop(bar)
        self.called.begin(Fraction(bar), name)
        if self._drawn:
            last = self._drawn[-1]
            cut = last.section._replace(bars=bar - last.section.bar)
            self._drawn[-1] = last._replace(section=cut)
        self._add(spec, bar, spec.bars, following)

    def take_back(self, bar: int) -> None:
        """Forget that sections were asked for that begin at this bar or later."""
        self._drop(bar)
        self.called.retract(Fraction(bar))
        if self._drawn:
            last = self._drawn[-1]
            self._drawn[-1] = last._replace(section=last.section._replace(bars=last.bars))

    def carry_on(self, before: Form) -> None:
        """Begin inside the section that another form has at our first bar, if it is here too.

        The order goes on after it where it stands: at the same place if both agree so far.
        """
        section, following, bars = before._at(self._first)
        name = section.spec.name
        if name not in self.spec.sections or self._drawn:
            return
        since = max(before._from, self._from)
        if any(self._name(place) != before._name(place) for place in range(since, following)):
            places = (place for place in range(_STRANGERS) if self._name(place) in (None, name))
            place = next(places, 0)
            following = place + 1 if self._name(place) == name else 0
        spec = self.spec.sections[name]
        self._number = section.number
        self._visits = dict(before._visits)
        for later, *_ in before._drawn:
            self._visits[later.spec.name] -= later.number > section.number
        self._drawn.append(_Drawn(section._replace(spec=spec), following, bars))
        self._firsts.append(section.bar)
        for bar, called in before.called:
            if bar <= self._first and called in self.spec.sections:
                self.called.begin(bar, called)

    def forget(self, before: int) -> None:
        """Drop the sections that ended before this bar, from time to time."""
        self.called.forget(Fraction(before))
        index = bisect_right(self._firsts, before) - 1
        if index > _KEPT:
            del self._drawn[:index], self._firsts[:index]
            gone = min(each.following for each in self._drawn) - self._from
            if gone > 0:
                del self._known[:gone]
                self._from += gone

    def _drop(self, bar: int) -> None:
        while self._drawn and self._drawn[-1].section.bar >= bar:
            gone = self._drawn.pop().section
            self._firsts.pop()
            self._visits[gone.spec.name] -= 1
            self._number -= 1
        self.ended_at = None

    def _draw(self) -> None:
        last = self._drawn[-1] if self._drawn else None
        bar, place = self._first, 0
        if last is not None:
            bar, place = last.section.after, last.following
            if last.section.spec.repeats:
                self._add(last.section.spec, bar, last.section.spec.bars, place)
                return
        name = self._name(place)
        if name is not None:
            spec = self.spec.sections[name]
            self._add(spec, bar, spec.bars, place + 1)
        elif last is None:
            self._add(SectionSpec("", _ENDLESS), bar, _ENDLESS, 0)
        else:
            self.ended_at = bar

    def _add(
        self, spec: SectionSpec, bar: int, bars: int, following: int, skipped: int = 0
    ) -> None:
        visit = self._visits[spec.name] = self._visits.get(spec.name, 0) + 1
        self._number += 1
        section = Section(spec, self._number, visit, bar, bars, skipped)
        self._drawn.append(_Drawn(section, following, bars))
        self._firsts.append(bar)

    def _name(self, place: int) -> str | None:
        """Which section the order has at a place, from 0; None past its end."""
        missing = place - self._from - len(self._known) + 1
        if missing > 0:
            self._known += islice(self._order, missing)
        index = place - self._from
        return self._known[index] if index < len(self._known) else None

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
