"""Text that somebody wrote, and where in it a mistake is."""

from __future__ import annotations

from bisect import bisect_right
from re import compile as pattern

from engines.base import Mistake


class Writing:
    """What a field says: `text`, in the field `place`; offsets are in characters from 0.

    Errors: Mistake where it is longer than `most` characters.
    """

    def __init__(self, place: str, text: str, most: int) -> None:
        if len(text) > most:
            raise Mistake(place, f"at most {most} characters, found {len(text)}")
        self.place, self.text = place, text
        self._lines = [0, *(end.end() for end in pattern("\n").finditer(text))]

    def position(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self._lines, at)
        return line, at - self._lines[line - 1] + 1

    def mistake(self, problem: str, at: int) -> Mistake:
        """That something is wrong at an offset."""
        return Mistake(self.place, problem, *self.position(at))
