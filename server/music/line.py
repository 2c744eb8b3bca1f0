"""Values along the beats: which one holds where, what comes next."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_KEPT = 256  # values behind the present that are kept before they are forgotten in one go


class Begun(NamedTuple, Generic[T]):
    """A value and the beat from which it holds."""

    beat: Fraction
    value: T


class Line(Generic[T]):
    """A step function of beats: each value holds until the next begins.

    Laws: `at(b)` is the value that began last, at `b` or before; beginning a value drops those
    that were to begin at the same beat or later.
    """

    def __init__(self) -> None:
        self._beats: list[Fraction] = []
        self._values: list[T] = []

    def begin(self, beat: Fraction, value: T) -> None:
        """From this beat on."""
        if self._beats and self._beats[-1] >= beat:
            self.retract(beat)
        self._beats.append(beat)
        self._values.append(value)

    def __iter__(self) -> Iterator[Begun[T]]:
        """All that is kept, in order."""
        return map(Begun, tuple(self._beats), tuple(self._values))

    def at(self, beat: Fraction) -> T | None:
        """What holds at a beat; None before the first."""
        index = bisect_right(self._beats, beat) - 1
        return self._values[index] if index >= 0 else None

    def after(self, beat: Fraction) -> Begun[T] | None:
        """What begins next, later than this beat; None where nothing is known."""
        index = bisect_right(self._beats, beat)
        return Begun(self._beats[index], self._values[index]) if index < len(self._beats) else None

    @property
    def last(self) -> Begun[T] | None:
        """The newest, whether it has begun or not."""
        return Begun(self._beats[-1], self._values[-1]) if self._beats else None

    def retract(self, beat: Fraction) -> None:
        """Drop what begins at this beat or later."""
        index = bisect_left(self._beats, beat)
        del self._beats[index:], self._values[index:]

    def forget(self, before: Fraction) -> None:
        """Drop what ended before this beat, from time to time."""
        index = bisect_right(self._beats, before) - 1
        if index > _KEPT:
            del self._beats[:index], self._values[:index]
