"""Ableton Link: a session whose tempo and phase everybody in it shares.

The library comes under another licence than ours (GPL-2.0 or later), so it is an extra and loaded
only when somebody asks for a session.
"""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Any, NamedTuple

from engines.base import Mistake
from server.music.timeline import Course
from server.score.folders import adding

#: Times that two clocks are read, to find one pair that nothing came between.
READINGS = 3


class Session(NamedTuple):
    """A session as it is at a moment. start: ns since when, or from when on, it plays."""

    course: Course
    peers: int
    playing: bool
    start: int


class Peer:
    """Our place in a session; it is joined as soon as this is made.

    Laws: joining tells nobody a tempo; nothing but `tempo`, `begin` where nobody else is there, and
    `play` changes the session.  Errors: Mistake where the library is missing.
    """

    def __init__(self, bpm: float, quantum: Fraction, transport: bool) -> None:
        try:
            import link
        except ImportError:
            cure = f"needs LinkPython-extern (GPL); do: {adding('link')}"
            raise Mistake("sync", f"link {cure}") from None
        self._link: Any = link.Link(bpm)
        self._clock: Any = self._link.clock()
        self.quantum = quantum
        self._offset = 0  # monotonic ns less those of the session's clock
        self._link.startStopSyncEnabled = transport
        self._link.enabled = True

    def leave(self) -> None:
        """Leave the session."""
        self._link.enabled = False

    def session(self) -> Session:
        """How things are."""
        self._compare()
        state = self._link.captureAppSessionState()
        micros = self._clock.micros()
        beat = state.beatAtTime(micros, float(self.quantum))
        course = Course(Fraction(round(beat * 2**20), 2**20), self._ns(micros), state.tempo())
        start = self._ns(state.timeForIsPlaying())
        return Session(course, self._link.numPeers(), state.isPlaying(), start)

    def begin(self, beat: Fraction, earliest: int) -> int:
        """When we may be at a beat: where its place in the bar is the session's too.

        Alone in it we have our way at once.
        """
        state = self._link.captureAppSessionState()
        state.requestBeatAtTime(float(beat), self._micros(earliest), float(self.quantum))
        self._link.commitAppSessionState(state)
        return self._ns(state.timeAtBeat(float(beat), float(self.quantum)))

    def tempo(self, bpm: float, ns: int) -> None:
        """Ask the session for another tempo from then on."""
        state = self._link.captureAppSessionState()
        state.setTempo(bpm, self._micros(ns))
        self._link.commitAppSessionState(state)

    def play(self, playing: bool, ns: int) -> None:
        """Have everybody who follows it start or stop then."""
        state = self._link.captureAppSessionState()
        if state.isPlaying() != playing:
            state.setIsPlaying(playing, self._micros(ns))
            self._link.commitAppSessionState(state)

    def _compare(self) -> None:
        """See how far the session's clock, which nobody slews, is from ours."""
        best = 1 << 62
        for _ in range(READINGS):
            before = time.monotonic_ns()
            micros = self._clock.micros()
            gap = time.monotonic_ns() - before
            if gap < best:
                best, self._offset = gap, before + gap // 2 - (micros * 1000 + 500)

    def _ns(self, micros: int) -> int:
        return micros * 1000 + self._offset

    def _micros(self, ns: int) -> int:
        return round((ns - self._offset) / 1000)
