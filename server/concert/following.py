"""A transport that may follow somebody else's tempo and phase, and be sent elsewhere."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Protocol

from server.music.line import Line
from server.music.timeline import MINUTE, Course, Timeline
from server.score.scene import Scene

from .cast import Cast
from .transport import Base, Transport

NEAR = 200_000  # ns that a line we follow may have moved before anything is planned anew
ASTRAY = Fraction(2)  # quarter notes: who is farther off looks for the nearest place in the bar
SLICE = Fraction(16)  # quarter notes of a far place that are played through in one look


class Leader(Protocol):
    """Somebody whose tempo and phase we follow.

    quantum: quarter notes; where his count is another than ours, they differ by whole ones of it.
    look: nanoseconds between two looks at where he is, at most.
    fixed: why he cannot be asked for another tempo; "" where he can.
    """

    @property
    def quantum(self) -> Fraction: ...
    @property
    def look(self) -> int: ...
    @property
    def fixed(self) -> str: ...

    def course(self, now: int) -> Course | None:
        """Where he is; None where that cannot be told yet. Asked for at each look."""
        ...

    def begin(self, beat: Fraction, earliest: int) -> tuple[int, Fraction]:
        """When we may be at a beat of ours, at the earliest then; and what he calls that beat."""
        ...

    def tempo(self, bpm: float, ns: int) -> None:
        """Somebody asks for another tempo from then on."""
        ...


class Following(Transport):
    """Adds to a transport that another may lead, nudges, and song positions."""

    astray = 0  # ns by which we are early against the leader
    nudged = 0  # ns by which everything is played later than it would be
    #: When the transport started while one led, and in which tempo, of a log that is replayed.
    entries: deque[tuple[int, float]] | None = None
    _leader: Leader | None = None
    _more: Fraction | None = None  # our count less the leader's; None until it is found
    _straight = Fraction(0)  # the beat until which a nudge bends the line
    _sought: Fraction | None = None  # a beat that has to be played through to

    def wake(self) -> None:
        """As of `Transport`, after a look at where the leader is."""
        with self.still("look"):
            super().wake()
            if self._leader is not None:
                self._expected = min(self._expected, self.clock.now() + self._leader.look)
            self._seek_on()

    def bend(self, course: Course) -> None:
        """Have the line meet a course in our own count, as a leader had it once."""
        with self.still("look"):
            now = self._look()
            self._turn(self.timeline.meeting(course, self.timeline.beat_at(now)), now)
            self.wake()

    def follow(self, leader: Leader | None) -> None:
        """Have another lead tempo and phase; with None we do, in the tempo that is.

        Laws: no beat jumps: the line is bent, by a fifth of its tempo at most, until it meets the
        leader's; while one leads, neither moods, sections nor scenes change the tempo.
        """
        now = self._look()
        self._leader, self._more, self.astray = leader, None, 0
        if leader is not None:
            self.heed()
            return
        here = max(self.timeline.beat_at(now), Fraction(0))
        bpm = self.timeline.tempo_at(here)
        factor = self.setting.conductor.tempo_at(here) if self.setting else 1.0
        self._bases.begin(here, Base(bpm / factor, here, asked=True))
        self._turn(self.timeline.with_tempo(bpm, here), now)
        if not self.playing:
            self._tempo = bpm / factor

    def heed(self) -> None:
        """The leader has news that need not wait for the next look."""
        self.wake()

    def _heed(self, now: int) -> None:
        """Bend the line to the leader's where it has moved from ours."""
        if self._leader is None or self._joint or (course := self._leader.course(now)) is None:
            return
        course, line = course.later(self.nudged), self.timeline
        at = line.beat_at(now)
        quantum = self._leader.quantum
        if self._more is None:
            self._more = round((at - course.beat_at(now)) / quantum) * quantum
        quarter = MINUTE / course.bpm
        off = course.counted(self._more).ns_at(at) - now
        if abs(off) > max(ASTRAY, quantum * 3 / 5) * quarter:
            self._more += round(off / quarter / quantum) * quantum
            off = course.counted(self._more).ns_at(at) - now
        self.astray = off
        course = course.counted(self._more)
        until = max(line.beat_at(now + self._reach), line.last)
        if abs(course.ns_at(until) - line.ns_at(until)) > NEAR:
            self.note("bend", to=str(course.beat), ns=course.ns, bpm=course.bpm)
            self._turn(line.meeting(course, at), now)

    def _turn(self, line: Timeline, now: int) -> None:
        """Go on along another line through this moment."""
        self.timeline = line
        if self.playing:
            self._retime(now)
        else:
            self._pulses.again(line, now)

    def nudge(self, ns: int) -> None:
        """Have everything come so much later, or earlier, than it would by the clock.

        It gets there smoothly, within a beat or two. Where we lead ourselves, a tempo that is asked
        for before it is there ends it where it is.
        """
        now = self._look()
        more, self.nudged = ns - self.nudged, ns
        if self._leader is not None:
            self._heed(now)
        elif more:
            self.shift(more)
        self._plan_ahead(now)

    def shift(self, ns: int) -> None:
        """Move the beats so much later, smoothly, where nobody leads."""
        now, line = self.clock.now(), self.timeline
        at = line.beat_at(now)
        least = at + Fraction(abs(ns)) * 5 / round(MINUTE / line.tempo_at(at)) + Fraction(1, 4)
        self._straight = max(Fraction(-(-least // 1)), Fraction(1))
        self._turn(line.moved(ns, at, self._straight), now)

    def _pace(self, cast: Cast, beat: Fraction) -> bool:
        if self._leader is not None or beat < self._straight:
            return False
        return super()._pace(cast, beat)

    # Places -------------------------------------------------------------------------------

    def _stage(self, scene: Scene, before: Cast | None, now: int) -> None:
        super()._stage(scene, before, now)
        self._straight, self._sought, self._more = Fraction(0), None, None

    def _entry(self, now: int, beat: Fraction, at: int | None) -> tuple[int, float | None]:
        soon, _ = super()._entry(now, beat, at)
        leader = self._leader
        if leader is not None and self.entries:
            return self.entries.popleft()
        if leader is None or (course := leader.course(now)) is None:
            return soon, None
        at, theirs = (at, beat) if at is not None else leader.begin(beat, soon - self.nudged)
        self._more = beat - theirs
        self.note("entry", ns=at + self.nudged, bpm=course.bpm)
        return at + self.nudged, course.bpm

    def seek(self, beat: Fraction) -> None:
        """While the transport stands, have `resume` go on from another place.

        Law: what is played from there is what would be if the scene had been played from its
        beginning, with the faders as they are now. That has to be gone through, unheard: some
        seconds for a thousand bars, a few bars at each look; `seeking` tells of it.
        """
        cast, now = self.cast, self.clock.now()
        if self.playing or cast is None or beat == self._stopped_at:
            return
        if beat < self._frontier:
            self._stage(cast.scene, cast, now)
            self._bases = Line()
            self._bases.begin(Fraction(0), Base(self._tempo, Fraction(0)))
            self._halted = Timeline.starting(self._tempo, ns=now)
            self._start_ns = now
            self._set_end()
        self._stopped_at, self._sought = beat, beat or None
        self._seek_on()

    @property
    def seeking(self) -> bool:
        """Whether what lies before the place that was sought is still being gone through."""
        return self._sought is not None and self._frontier < self._sought

    def _seek_on(self) -> None:
        if self.playing or self._sought is None or self._frontier >= self._sought:
            return
        standing, self.timeline = self.timeline, self._halted
        self._plan(min(self._frontier + SLICE, self._sought), silent=True)
        self._halted, self.timeline = self.timeline, standing
        self._missed.clear()
        if self.seeking:
            self._expected = self.clock.now()
