"""A playable part: raw gestures become notes in key and in time.

A hand knows how fast, how high and how hard; it knows nothing of bars and keys. So the notes fall
on the lines of their pulse, the strong ones are accented, wide leaps are walked, a held height
is adorned, and degrees of the key are left for the part to fit to the chord on strong beats.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Protocol, runtime_checkable

from .base import Controls, Engine, Mistake, Origin, Symbol
from .motif import value_name

#: Notes in a beat -> how long each is, in quarter notes; what is asked for is rounded to these.
_PULSES = {pulse: Fraction(1, pulse) for pulse in (1, 2, 3, 4, 6, 8)}
_LOOK = Fraction(1, 4)  # silence is looked into so often
_FINEST = 48  # parts of a beat that its lines are told apart by
_HELD = 3  # notes in a row at one height before weak ones leave it
_STRIDE = 3  # steps that a line may move at once; of more, half the way
_PLAIN = 0.45  # loudness without any energy; all of it adds as much again and a little
#: How loud a note is by its place: on the bar line, the beat, its half, anywhere else.
_ACCENTS = (1.15, 1.0, 0.9, 0.78)


class Gesture(Origin):
    """What the hand was doing. pulse: notes a beat; height, energy: 0 to 1."""

    __slots__ = ("energy", "height", "pulse")

    def __init__(self, pulse: float, height: float, energy: float) -> None:
        self.pulse, self.height, self.energy = pulse, height, energy

    def __str__(self) -> str:
        what = f"pulse {self.pulse:g}" if self.pulse > 0 else "a single note"
        return f"gesture: {what}, height {self.height:.2f}, energy {self.energy:.2f}"


@runtime_checkable
class Playable(Protocol):
    """An engine that a hand plays."""

    def struck(self, height: float, energy: float) -> Engine:
        """An engine of one note, so high and so hard, both 0 to 1."""
        ...


@dataclass(frozen=True)
class Performer:
    """Plays what the live values `pulse`, `height` and `energy` of its part say.

    pulse: notes a beat, 0 is silence; rounded to 1, 2, 3, 4, 6 or 8.  height: 0 to 1 over the
    degrees from the tonic up, `span` of them.  energy: 0 to 1, how hard it plays.
    steps: "scale" for every degree, "chord" for tones of the chord of the moment alone.
    Errors: Mistake where the span is not 3 to 29 or the steps are neither.
    Laws: notes fall on lines of their pulse, but for the first after a change, which is cut short
    to get there; a line moves at most half of the way to a height that is more than three steps
    off; the first note after silence is where the hand is.
    """

    span: int = 15
    steps: str = "scale"

    def __post_init__(self) -> None:
        if not 3 <= self.span <= 29:
            raise Mistake("span", f"expected 3 to 29 degrees, got {self.span}")
        if self.steps not in ("scale", "chord"):
            raise Mistake("steps", f"expected 'scale' or 'chord', got {self.steps!r}")

    @property
    def fits(self) -> str:
        """What a part fits its notes to where it does not say."""
        return "chord"

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Endless; every symbol is one reading word with its own note value."""
        pulse, place, held = 0, None, 0
        while True:
            asked = controls.get("pulse")
            height = _within(controls.get("height", 0.5))
            energy = _within(controls.get("energy", 0.7))
            origin = Gesture(asked, height, energy)
            at = Fraction(round((controls.get("beat", 1.0) - 1) * _FINEST), _FINEST)
            if not asked > 0:
                pulse, place, held = 0, None, 0
                yield Symbol(f"Rest:{value_name(_to_line(at, _LOOK))}", origin)
                continue
            nearest = min(_PULSES, key=lambda each: abs(each - asked))
            length = _PULSES[nearest]
            if nearest != pulse:
                pulse, length = nearest, _to_line(at, length)
            target = self._place(height)
            before, place = place, target if place is None else _towards(place, target)
            held = held + 1 if place == before == target else 0
            sounding = place
            if held >= _HELD and at % 1 not in (0, Fraction(1, 2)):
                sounding += self._beside(place, rng)
            loud = _loudness(at, energy)
            yield Symbol(f"{self._tone(sounding)}@{loud:.2f}:{value_name(length)}", origin)

    def alphabet(self) -> frozenset[str] | None:
        """Open: each word says its own velocity."""
        return None

    def struck(self, height: float, energy: float) -> Engine:
        return Struck(self, _within(height), _within(energy))

    def _place(self, height: float) -> int:
        """The step of a height, from 0."""
        return round(height * (self.span - 1))

    def _beside(self, place: int, rng: Random) -> int:
        """To a neighbour that is in the span: above as often as below."""
        if 0 < place < self.span - 1:
            return rng.choice((-1, 1))
        return -1 if place else 1

    def _tone(self, place: int) -> str:
        if self.steps == "scale":
            octaves, step = divmod(place, 7)
            return f"{step + 1}{chr(39) * octaves}"
        octaves, step = divmod(place, 3)
        return f"c{(1, 3, 5)[step]}{chr(39) * octaves}"


@dataclass(frozen=True)
class Struck:
    """One note of a performer's. height, energy: 0 to 1."""

    performer: Performer
    height: float
    energy: float

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """The note, an eighth long."""
        performer, at = self.performer, Fraction(controls.get("beat", 1.0) - 1)
        tone = performer._tone(performer._place(self.height))
        origin = Gesture(0, self.height, self.energy)
        yield Symbol(f"{tone}@{_loudness(at, self.energy):.2f}:1/8", origin)

    def alphabet(self) -> frozenset[str] | None:
        return None


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _to_line(at: Fraction, unit: Fraction) -> Fraction:
    """How long until the next line of a grid, all of its unit where this is one."""
    return unit - at % unit


def _towards(place: int, target: int) -> int:
    """A step of a line to where the hand has gone."""
    way = target - place
    if abs(way) <= _STRIDE:
        return target
    return place + (abs(way) + 1) // 2 * (1 if way > 0 else -1)


def _loudness(at: Fraction, energy: float) -> float:
    """By energy and place. at: beats since the bar line."""
    place = 0 if at == 0 else 1 if at % 1 == 0 else 2 if at % 1 == Fraction(1, 2) else 3
    return (_PLAIN + 0.75 * energy) * _ACCENTS[place]
