"""A chord follower: whatever a player holds is the harmony of the scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from .base import Controls, Held, Origin, Symbol

_LOOK = "1/16"  # how often it looks whether another chord is held


class ByHand(Origin):
    """The keys that were held, as MIDI numbers; none where the scene's text says the chord."""

    __slots__ = ("pitches",)

    def __init__(self, pitches: tuple[int, ...]) -> None:
        self.pitches = pitches

    def __str__(self) -> str:
        return f"held: {' '.join(map(str, self.pitches))}" if self.pitches else "until one is held"


@dataclass(frozen=True)
class Follow:
    """Hands out each chord that a player holds, once and silently, and rests until the next.

    start: the chord until then, such as "Am7"; "" for none.
    Law: a chord is handed out within a sixteenth of the plan's having heard of it.
    """

    start: str = ""

    #: That bare names among its symbols are chords.
    chords = True

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Endless: chords, and rests between, a sixteenth each."""
        name, last, origin = self.start, "", ByHand(())
        while True:
            for news in controls.news():
                if isinstance(news, Held):
                    name, origin = news.chord, ByHand(news.pitches)
            word, last = name if name != last else "Rest", name
            yield Symbol(f"{word}@0:{_LOOK}" if word != "Rest" else f"Rest:{_LOOK}", origin)

    def alphabet(self) -> frozenset[str] | None:
        """Open: whatever is held."""
        return None
