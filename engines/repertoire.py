"""What a player has played to an engine that learns, kept so that another stream may know it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from typing import Any

from .base import Fragment, Heard, Mistake, Past, Sound

#: Notes that may be kept, and phrases that may ever have been counted.
MOST_NOTES, MOST_PHRASES = 100_000, 2**53
LATEST, LONGEST = 2**40, 4096  # quarter notes: of a beat, and of a phrase
FINEST = 10**6  # denominator of a beat or a length
_LETTERS = 64  # of a number


class Repertoire:
    """The latest phrases that were played to a part.

    most: notes that are kept; the oldest phrases go first, the last one stays whole.
    """

    __slots__ = ("_notes", "_number", "_phrases", "most")

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._phrases: deque[Heard] = deque()
        self._notes = self._number = 0

    def __len__(self) -> int:
        return len(self._phrases)

    @property
    def past(self) -> Past:
        """As an engine is told of it."""
        return Past(tuple(self._phrases), self._number)

    def add(self, heard: Heard) -> None:
        """One more phrase; one without a sound is none, and the same one again is no other."""
        if not heard.fragment.sounds or any(each is heard for each in self._phrases):
            return
        self._number += 1
        self._phrases.append(heard)
        self._notes += len(heard.fragment.sounds)
        self.keep(self.most)

    def keep(self, most: int) -> None:
        """Keep so many notes from now on."""
        self.most = most
        while self._notes > most and len(self._phrases) > 1:
            self._notes -= len(self._phrases.popleft().fragment.sounds)

    def begin(self, past: Past) -> None:
        """Know this and nothing else."""
        self._phrases = deque(past.phrases)
        self._notes = sum(len(each.fragment.sounds) for each in past.phrases)
        self._number = past.number


def from_data(data: Any) -> Past:
    """What `to_data` gave. Errors: Mistake where it is of another form."""
    lines = data.get("phrases") if isinstance(data, Mapping) else None
    number = data.get("number") if isinstance(data, Mapping) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise Mistake("learnt", "expected phrases as texts")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_PHRASES:
        raise Mistake("learnt", f"expected how many phrases there were, got {str(number)[:40]}")
    phrases = tuple(map(_read, lines))
    if sum(len(each.fragment.sounds) for each in phrases) > MOST_NOTES:
        raise Mistake("learnt", f"expected at most {MOST_NOTES} notes")
    return Past(phrases, max(number, len(phrases)))


def to_data(past: Past) -> dict[str, Any]:
    """As JSON has it: a text for each phrase. Law: `from_data(to_data(past)) == past`."""
    return {"number": past.number, "phrases": [_written(each) for each in past.phrases]}


def _written(heard: Heard) -> str:
    """A phrase: its beat and length, then each sound's moment, length, pitch, velocity, voice."""
    numbers = [f"{heard.beat} {heard.fragment.length}"]
    for at, length, pitch, velocity, voice in heard.fragment.sounds:
        numbers.append(f"{at} {length} {pitch} {float(velocity)!r} {voice}")
    return ", ".join(numbers)


def _read(line: str) -> Heard:
    """Errors: Mistake."""
    try:
        (beat, length), *notes = [group.split() for group in line.split(",")]
        whole = _beats(length, LONGEST)
        return Heard(_beats(beat, LATEST), Fragment(whole, tuple(map(_sound, notes))))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise Mistake("learnt", f"expected a phrase in numbers, got {line[:40]!r}") from None


def _sound(words: list[str]) -> Sound:
    at, length, pitch, velocity, voice = words
    loud, key, staff = float(velocity), int(pitch), int(voice)
    if not isfinite(loud) or not 0 <= loud <= 1 or not 0 <= key <= 127 or not 0 <= staff < 1024:
        raise ValueError
    return Sound(_beats(at, LONGEST), _beats(length, LONGEST), key, loud, staff)


def _beats(text: str, most: int) -> Fraction:
    if len(text) > _LETTERS or "e" in text.lower():  # 1e999999 would take all the memory there is
        raise ValueError
    beats = Fraction(text)
    if not 0 <= beats <= most or beats.denominator > FINEST:
        raise ValueError
    return beats
