"""The ground that all parts of a scene stand on: bars, keys, chords, and who decides them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from server.conductor.conductor import Bar, Conductor, ConductorSpec
from server.music.chord import Chord
from server.music.line import Begun, Line
from server.music.meter import MeterMap, Place
from server.music.scale import Key

GROUNDS = 512  # beats that a setting remembers


class Ground(NamedTuple):
    """A beat seen from its scene.

    since: quarter notes since its bar 1.  at: the beat of the bar, from 1, as a number.
    weight: of the metre, see `Meter.weight`.
    """

    place: Place
    since: Fraction
    at: float
    weight: float


@dataclass
class Setting:
    """What all parts of a scene share: the ground they are read against.

    begin: the beat at which bar 1 begins, or would have.  first: the bar with which this music
    begins, another than 1 where it goes on in another's place.  phrase: bars.  harmonies: the
    chords that the leading part hands out.  values: live controls by name, as engines see them.
    conductor: who decides what each bar is like; by itself one who leaves everything as it is.
    """

    seed: int
    key: Key
    meters: MeterMap
    begin: Fraction = Fraction(0)
    phrase: int = 4
    harmonies: Line[Chord] = field(default_factory=Line)
    values: dict[str, float] = field(default_factory=dict)
    conductor: Conductor = None  # type: ignore[assignment]
    coming: Callable[[], Begun[Chord] | None] | None = None
    first: int = 1
    _grounds: dict[tuple[int, int], Ground] = field(default_factory=dict, repr=False)
    _bar: tuple[Fraction, tuple[int, int], Place] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.conductor is None:
            self.conductor = Conductor(
                ConductorSpec(), self.seed, self.key, self.meters, self.begin, self.phrase
            )

    @property
    def entry(self) -> Fraction:
        """The beat with which this music begins."""
        return self.beat_of_bar(self.first)

    def chord_to(self, beat: Fraction, onward: Fraction) -> Chord | None:
        """The chord that a note at a beat goes on to: the next one where that begins by `onward`.

        It is the same whether the part that leads has come to it yet or not.
        """
        coming = self.harmonies.after(beat)
        if coming is None and self.coming is not None:
            coming = self.coming()
        if coming is not None and coming.beat <= onward:
            return coming.value
        return self.harmonies.at(beat)

    def bar(self, beat: Fraction) -> Bar:
        """What is decided for the bar of a beat."""
        return self.conductor.bar(self.ground(beat).place.bar)

    def ground(self, beat: Fraction) -> Ground:
        """Where a beat of the timeline is in this music; remembered, for many ask for the same."""
        key = beat.as_integer_ratio()
        ground = self._grounds.get(key)
        if ground is None:
            if len(self._grounds) >= GROUNDS:
                self._grounds.clear()
            since = beat - self.begin if self.begin else beat
            place = self._placed(since)
            _, position, meter = place
            at = 1 + position.numerator / position.denominator * meter.unit / 4
            ground = self._grounds[key] = Ground(place, since, at, meter.weight(position))
        return ground

    def _placed(self, since: Fraction) -> Place:
        """`meters.bar_at`, with a look at the bar that was asked for last."""
        if self._bar is not None:
            line, length, (bar, _, meter) = self._bar
            position = since - line
            # Whole numbers: comparing fractions costs more than the rest of this.
            above, below = position.as_integer_ratio()
            if above >= 0 and above * length[1] < length[0] * below:
                return Place(bar, position, meter)
        place = self.meters.bar_at(since)
        self._bar = since - place.position, place.meter.length.as_integer_ratio(), place
        return place

    def place(self, beat: Fraction) -> Place:
        """The bar, the position in it and its metre, at a beat of the timeline."""
        return self.ground(beat).place

    def beat_of_bar(self, bar: int) -> Fraction:
        """Where a bar of this music begins on the timeline."""
        return self.begin + self.meters.beat_of_bar(bar)
