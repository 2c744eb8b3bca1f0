"""What a hand does at an input, as pure values: keys and pedal that are down, phrases, chords."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from server.music.note import PEDAL

MS = 1_000_000
#: A phrase ends after so long without a sound, and after so many of its own usual gaps.
SILENCE, GAPS, PATIENCE = 250 * MS, 1.5, 2_000 * MS
#: Keys that come within this are one chord.
CHORD = 40 * MS
MOST_NOTES = 4096  # of one phrase


class Press(NamedTuple):
    """A key goes down. at: ns.  pitch, velocity: of MIDI."""

    at: int
    pitch: int
    velocity: int


class Release(NamedTuple):
    """What a key began ends: it came up, or the pedal that held it. at: ns."""

    at: int
    pitch: int


class Touched(NamedTuple):
    """A whole note as it was played. at, end: ns."""

    at: int
    end: int
    pitch: int
    velocity: int


@dataclass
class Keys:
    """Keys and pedal of one channel.

    Laws: every Press is followed by one Release of its pitch before the next Press of it; after
    `let_go` nothing is down.
    """

    down: dict[int, None] = field(default_factory=dict)
    held: dict[int, None] = field(default_factory=dict)  # by the pedal alone
    pedal: bool = False

    def hear(self, at: int, data: bytes) -> Iterator[Press | Release]:
        """What a message of three bytes brings about."""
        kind, first, second = data[0] & 0xF0, data[1], data[2]
        if kind == 0x90 and second:
            if first in self.down or first in self.held:
                yield self._end(at, first)
            self.down[first] = None
            yield Press(at, first, second)
        elif kind in (0x80, 0x90):
            if first in self.down:
                if self.pedal:
                    del self.down[first]
                    self.held[first] = None
                else:
                    yield self._end(at, first)
        elif kind == 0xB0 and first == PEDAL:
            self.pedal = second >= 64
            if not self.pedal:
                for pitch in list(self.held):
                    yield self._end(at, pitch)

    def let_go(self, at: int) -> Iterator[Release]:
        """Everything comes up."""
        self.pedal = False
        for pitch in [*self.down, *self.held]:
            yield self._end(at, pitch)

    def _end(self, at: int, pitch: int) -> Release:
        self.down.pop(pitch, None)
        self.held.pop(pitch, None)
        return Release(at, pitch)

    @property
    def sounding(self) -> tuple[int, ...]:
        """What is down or held, lowest first."""
        return tuple(sorted({*self.down, *self.held}))


class Phrases:
    """Gathers notes until their player falls silent (Pachet 2002, about 250 ms, adaptive).

    A phrase is over when nothing has sounded for 250 ms and its last note began longer ago than one
    and a half times the usual gap between its beginnings, 2 s at most.
    """

    def __init__(self) -> None:
        self._open: dict[int, Press] = {}
        self._notes: list[Touched] = []
        self._begins: deque[int] = deque(maxlen=32)
        self._silent_at = 0

    @property
    def playing(self) -> bool:
        """Whether a phrase is on its way."""
        return bool(self._open or self._notes)

    def hear(self, news: Press | Release) -> None:
        if isinstance(news, Press):
            self._open[news.pitch] = news
            self._begins.append(news.at)
            return
        began = self._open.pop(news.pitch, None)
        self._silent_at = max(self._silent_at, news.at)
        if began is not None and len(self._notes) < MOST_NOTES:
            end = max(news.at, began.at + MS)
            self._notes.append(Touched(began.at, end, began.pitch, began.velocity))

    @property
    def ends_at(self) -> int | None:
        """When the phrase will be over if nothing more is played; None where that is not known."""
        if self._open or not self._notes:
            return None
        gaps = [b - a for a, b in zip(self._begins, list(self._begins)[1:], strict=False)]
        usual = median([gap for gap in gaps if gap > CHORD] or [0])
        return max(self._silent_at + SILENCE, self._begins[-1] + min(int(GAPS * usual), PATIENCE))

    def take(self) -> list[Touched]:
        """The phrase, in order of beginnings; a new one begins."""
        notes, self._notes = sorted(self._notes), []
        self._begins.clear()
        return notes
