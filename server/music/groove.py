"""Groove: how far from the grid a note is played, as a pure function of where it stands.

Nothing accumulates: a shift is added to the exact beat when a note is performed and never
enters the position of the next one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import cos, isfinite, log, sin, sqrt, tau

from engines.base import Mistake

_EIGHTH, _SIXTEENTH = Fraction(1, 2), Fraction(1, 4)
_MASK = (1 << 64) - 1
_TURN = tau * 2.0**-32
_DECISIONS = 0x5851F42D4C957F2D  # tells the two uses of one seed apart


@dataclass(frozen=True)
class Groove:
    """A template laid over every bar, from its first slot at the bar line.

    grid: quarter notes between two slots.
    shifts: how late each slot is played, as a fraction of the grid (negative: early); the
    row repeats until the bar is full. Between slots the shift is interpolated, so notes
    keep their order.
    accents: the velocity factor of each slot; as many as shifts.
    Errors: Mistake where the two differ in length, the grid is not above 0, a shift is beyond
    -1 to 1 or an accent beyond 0 to 4, or two notes would change places.
    """

    grid: Fraction
    shifts: tuple[Fraction, ...]
    accents: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.grid <= 0:
            raise Mistake("grid", f"expected a note value above 0, found {self.grid}")
        if not self.shifts or len(self.shifts) != len(self.accents):
            raise Mistake(
                "accents",
                f"expected one accent for each of the {len(self.shifts)} shifts (at least one), "
                f"found {len(self.accents)}",
            )
        if any(abs(shift) > 1 for shift in self.shifts):
            raise Mistake("shifts", "expected shares of the grid from -1 to 1")
        for slot, shift in enumerate(self.shifts):
            if max(shift - follower for follower in (self._after(slot), self.shifts[0])) >= 1:
                raise Mistake("shifts", f"slot {slot + 1} would be played after the next one")
        if not all(isfinite(accent) and 0 <= accent <= 4 for accent in self.accents):
            raise Mistake("accents", "expected factors from 0 to 4")

    def _after(self, slot: int) -> Fraction:
        return self.shifts[(slot + 1) % len(self.shifts)]

    def at(self, position: Fraction, bar: Fraction) -> tuple[Fraction, float]:
        """The shift in quarter notes and the velocity factor at a position in the bar.

        position, bar: quarter notes since the bar line, and the bar's length.
        Law: positions in order stay in order.
        """
        slot, offset = divmod(position, self.grid)
        index = slot % len(self.shifts)
        room = min(self.grid, bar - slot * self.grid)
        here = self.shifts[index]
        shift = here * self.grid
        if offset:
            after = self._after(index) if (slot + 1) * self.grid < bar else self.shifts[0]
            shift += (after - here) * self.grid * offset / room
        return shift, self.accents[index]


def swing(beat: Fraction, amount: Fraction | float, unit: Fraction = _EIGHTH) -> Fraction:
    """How many quarter notes later a swung note at this beat is played.

    amount: where the off-beat falls in its pair, from 0.5 (straight) over 2/3 (triplets)
    to 0.75 (dotted); values outside are clamped.
    unit: the note value that swings, in quarter notes.
    Laws: multiples of two units do not move; later beats stay later.
    """
    late = 2 * _ratio(amount) - 1
    offset = beat % (2 * unit)
    return late * min(offset, 2 * unit - offset)


@lru_cache(maxsize=256)
def _ratio(amount: Fraction | float) -> Fraction:
    return Fraction(min(max(amount, 0.5), 0.75)).limit_denominator(1000)


def _swung(unit: Fraction, amount: Fraction) -> Groove:
    return Groove(unit, (Fraction(0), 2 * amount - 1), (1.0, 0.85))


def _late(*hundredths: int, accents: tuple[float, ...]) -> Groove:
    return Groove(_EIGHTH, tuple(Fraction(late, 100) for late in hundredths), accents)


_SWINGS = {
    "swing8": (_EIGHTH, Fraction(62, 100)),
    "swing16": (_SIXTEENTH, Fraction(58, 100)),
    "mpc": (_SIXTEENTH, Fraction(58, 100)),
    "shuffle": (_EIGHTH, Fraction(2, 3)),
}
_STILL = {
    "straight": Groove(_EIGHTH, (Fraction(0),), (1.0,)),
    "laid-back": _late(2, 6, 8, 6, accents=(1.0, 0.85, 0.95, 0.85)),
    "push": _late(0, -6, -3, -6, accents=(1.0, 0.95, 0.95, 0.95)),
}
GROOVES = (*_STILL, *_SWINGS)
_NAMED = re.compile(r"([a-z-]+[0-9]*)(?:\s+([0-9]{2})\s*%?)?")


@lru_cache(maxsize=256)
def parse_groove(text: str) -> Groove:
    """Read a groove: `straight`, `laid-back`, `push`, `shuffle`, `swing8`, `swing16`, `mpc`.

    The swings take a percentage from 50 to 75: `swing8 62`, `swing16 54%`, `mpc 58`.
    Errors: Mistake naming all grooves.
    """
    found = _NAMED.fullmatch(text.strip().lower())
    name, percent = found.groups() if found else (None, None)
    if name in _STILL and percent is None:
        return _STILL[name]
    if name not in _SWINGS:
        raise Mistake("", f"expected a groove, one of {', '.join(GROOVES)}, found {text!r}")
    unit, amount = _SWINGS[name]
    if percent is not None:
        if not 50 <= int(percent) <= 75:
            raise Mistake("", f"expected a swing from 50 to 75 percent, found {text!r}")
        amount = Fraction(int(percent), 100)
    return _swung(unit, amount)


def noise(seed: int, index: int) -> float:
    """A number from 0 up to 1 that belongs to a seed and an index, for decisions about a note.

    Laws: evenly spread; the same arguments give the same number, neighbours unrelated ones,
    and none of them anything of what `humanize` makes of the same note.
    """
    return (_mixed(seed ^ _DECISIONS, index) >> 11) * 2.0**-53


def humanize(seed: int, index: int, time_sd: float, velocity_sd: float) -> tuple[float, float]:
    """How far the note with this index strays: seconds late (or early), and a velocity factor.

    time_sd, velocity_sd: standard deviations, in seconds and as a factor; a note strays at
    most 2.5 of them, and the factor is never below 0.
    Laws: the same seed and index always stray alike; one note's straying says nothing about
    the next one's. Normal deviates after Box & Muller (1958).
    """
    mixed = _mixed(seed, index)
    radius = sqrt(-2 * log(((mixed >> 32) + 1) * 2.0**-32))
    angle = (mixed & 0xFFFFFFFF) * _TURN
    late, loud = radius * cos(angle), radius * sin(angle)
    if radius > 2.5:
        late, loud = min(max(late, -2.5), 2.5), min(max(loud, -2.5), 2.5)
    factor = 1 + loud * velocity_sd
    return late * time_sd, factor if factor > 0 else 0.0


def _mixed(seed: int, index: int) -> int:
    """64 well-mixed bits for a seed and an index (SplitMix64: Steele, Lea & Flood, 2014)."""
    bits = (seed * 0xD1342543DE82EF95 + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
