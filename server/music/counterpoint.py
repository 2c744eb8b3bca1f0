"""What outer voices owe each other: no parallel fifths and octaves, and no crossing."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

GRID = 48  # places in a quarter note at which two notes are taken to begin together
MEMORY = 4 * GRID  # after so long a silence a voice begins anew
_KEPT = 512  # notes of a voice that are kept before the older half is forgotten
_PERFECT = (0, 7)  # octaves, unisons and fifths, with whatever octaves between


def place(beat: Fraction) -> int:
    """A beat on the grid on which voices meet."""
    above, below = beat.as_integer_ratio()
    return round(GRID * above / below)


class Move(NamedTuple):
    """A voice goes from one pitch to another, MIDI numbers."""

    before: int
    after: int


class Voice:
    """The pitches that a voice has begun, in order, each heard until the next or through a rest."""

    __slots__ = ("_pitches", "_places", "_until")

    def __init__(self) -> None:
        self._places: list[int] = []
        self._pitches: list[int] = []
        self._until = 0  # where the newest ends

    def begin(self, at: int, pitch: int) -> None:
        """Places never go back; of two at one place the later stands."""
        if self._places and self._places[-1] >= at:
            self._pitches[-1] = pitch
            return
        if len(self._places) >= _KEPT:
            del self._places[: _KEPT // 2], self._pitches[: _KEPT // 2]
        self._places.append(at)
        self._pitches.append(pitch)

    def deepen(self, at: int, pitch: int, until: int) -> None:
        """Begin a pitch unless a lower one begins there too, or sounds on below it."""
        if self._places:
            last = self._places[-1]
            if at == last and pitch == self._pitches[-1]:
                self._until = max(self._until, until)
            if at < last or (self._pitches[-1] <= pitch and (at == last or self._until > at)):
                return
        self.begin(at, pitch)
        self._until = until

    def before(self, at: int) -> int | None:
        """What began last before a place; None where that is long ago."""
        index = bisect_left(self._places, at) - 1
        if index < 0 or at - self._places[index] > MEMORY:
            return None
        return self._pitches[index]

    def begun(self, at: int) -> int | None:
        """What begins at a place, if anything does."""
        index = bisect_left(self._places, at)
        there = index < len(self._places) and self._places[index] == at
        return self._pitches[index] if there else None


def parallel(top: Move, low: Move) -> bool:
    """Whether two voices move in one direction from a perfect interval to the same one.

    Fifths, octaves and unisons, or those with octaves between; a voice that stays moves nowhere.
    """
    if top.before == top.after or low.before == low.after:
        return False
    if (top.after > top.before) is not (low.after > low.before):
        return False
    apart = (top.before - low.before) % 12
    return apart in _PERFECT and apart == (top.after - low.after) % 12


def direct(top: Move, low: Move) -> bool:
    """Whether the upper voice leaps (more than a step) the same way into a perfect interval."""
    return (
        abs(top.after - top.before) > 2
        and low.before != low.after
        and (top.after > top.before) is (low.after > low.before)
        and (top.after - low.after) % 12 in _PERFECT
    )


_BENT, _DIRECT, _STAYS = 2.5, 1.5, 1.0  # in semitones: what else a changed note may cost


def other(
    pitch: int, befores: Sequence[int], low: Move | None, allowed: Iterable[int], lowest: int
) -> int | None:
    """The pitch nearest to this one that is no parallel and not below `lowest`; None without any.

    befores: where the upper voice may come from, its own last note first.  low: how the lower
    one moves into the same moment.  allowed: pitches to choose from.
    A note that turns the line round costs 2.5 semitones, one that repeats the note before 1, a
    direct octave or fifth 1.5.
    """
    own = befores[0] if befores else pitch
    way = pitch - own

    def cost(new: int) -> float:
        turned = way and (new - own) * way < 0
        hidden = low is not None and direct(Move(own, new), low)
        return abs(new - pitch) + _BENT * bool(turned) + _DIRECT * hidden + _STAYS * (new == own)

    good = [
        new
        for new in allowed
        if new >= lowest
        and not (low and any(parallel(Move(before, new), low) for before in befores))
    ]
    return min(good, key=cost) if good else None
