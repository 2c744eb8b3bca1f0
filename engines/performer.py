"""A playable part: raw gestures become notes in key and in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .base import Controls, Mistake, Origin, Symbol

#: Notes in a beat -> how long each is written; whatever is asked for is rounded to one of these.
_PULSES = {1: "1/4", 2: "1/8", 3: "1/8t", 4: "1/16", 6: "1/16t", 8: "1/32"}
_REST = "Rest:1/16"  # silence is looked into so often


class Gesture(Origin):
    """What the hand was doing. pulse: notes a beat; height, energy: 0 to 1."""

    __slots__ = ("energy", "height", "pulse")

    def __init__(self, pulse: float, height: float, energy: float) -> None:
        self.pulse, self.height, self.energy = pulse, height, energy

    def __str__(self) -> str:
        return f"gesture: pulse {self.pulse:g}, height {self.height:.2f}, energy {self.energy:.2f}"


@dataclass(frozen=True)
class Performer:
    """Plays what the live controls `pulse`, `height` and `energy` of its part say.

    pulse: notes a beat, 0 is silence; rounded to 1, 2, 3, 4, 6 or 8.  height: 0 to 1 over the
    degrees from the tonic up, `span` of them.  energy: 0 to 1, how hard it plays.
    steps: "scale" for every degree, "chord" for tones of the chord of the moment alone.
    Errors: Mistake where the span is not 3 to 29 or the steps are neither.
    """

    span: int = 15
    steps: str = "scale"

    def __post_init__(self) -> None:
        if not 3 <= self.span <= 29:
            raise Mistake("span", f"expected 3 to 29 degrees, got {self.span}")
        if self.steps not in ("scale", "chord"):
            raise Mistake("steps", f"expected 'scale' or 'chord', got {self.steps!r}")

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Endless; every symbol is one reading word with its own note value."""
        while True:
            pulse = controls.get("pulse")
            height = min(max(controls.get("height", 0.5), 0.0), 1.0)
            energy = min(max(controls.get("energy", 0.7), 0.0), 1.0)
            origin = Gesture(pulse, height, energy)
            if pulse <= 0:
                yield Symbol(_REST, origin)
                continue
            nearest = min(_PULSES, key=lambda each: abs(each - pulse))
            level = 0.35 + energy
            yield Symbol(f"{self._tone(height)}@{level:.2f}:{_PULSES[nearest]}", origin)

    def _tone(self, height: float) -> str:
        place = round(height * (self.span - 1))
        if self.steps == "scale":
            octaves, step = divmod(place, 7)
            return f"{step + 1}{chr(39) * octaves}"
        octaves, step = divmod(place, 3)
        return f"c{(1, 3, 5)[step]}{chr(39) * octaves}"

    def alphabet(self) -> frozenset[str] | None:
        """Open: each word says its own velocity."""
        return None
