"""The one place where beats become time: a tempo map, immutable, exact where it can be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from math import expm1, log1p
from typing import NamedTuple

MINUTE = 60 * 10**9  # nanoseconds
SLOWEST, FASTEST = 20.0, 999.0  # quarter notes per minute

# Anchors keep 16 binary places below the nanosecond, so that even 10^5 tempo changes, each
# rounded once, stay far inside a nanosecond of the truth.
_FINE = 1 << 16
_KEPT = 16  # segments remembered behind a change; nobody asks for an older past
#: How much faster or slower than its goal a line runs that is to meet it, and how many quarter
#: notes it takes at least.
LEAN, SOONEST = 0.2, Fraction(1, 4)


def _beats_between(early: Fraction, late: Fraction) -> float:
    """`float(late - early)`, without the common divisor that nobody needs here."""
    above, below = early.numerator, early.denominator
    high, low = late.numerator, late.denominator
    return (high * below - above * low) / (below * low)


class Segment(NamedTuple):
    """From `beat` on, which falls at `fine`/65536 ns, the tempo is `bpm`, or ramps from it.

    slope: change of tempo for each beat, in bpm; 0 for a constant tempo.
    Before its beat, where it is the first of a line, the tempo is `bpm`.
    """

    beat: Fraction
    fine: int
    bpm: float
    slope: float = 0.0

    def tempo(self, beat: Fraction) -> float:
        beats = _beats_between(self.beat, beat) if self.slope else 0.0
        return self.bpm + self.slope * beats if beats > 0 else self.bpm

    def fine_at(self, beat: Fraction) -> int:
        if self.slope and beat > self.beat:
            beats = _beats_between(self.beat, beat)
            minutes = log1p(self.slope * beats / self.bpm) / self.slope
            return self.fine + round(minutes * (MINUTE * _FINE))
        # Exact, in whole numbers: a tempo is a float and thus a ratio of two of them.
        begin, (above, below) = self.beat, self.bpm.as_integer_ratio()
        high, low = beat.numerator, beat.denominator
        gone = (high * begin.denominator - begin.numerator * low) * (MINUTE * _FINE * below)
        most = begin.denominator * low * above
        return self.fine + (2 * gone + most) // (2 * most)

    def ns_at(self, beat: Fraction) -> int:
        if self.slope and beat > self.beat:
            return (self.fine_at(beat) + _FINE // 2) // _FINE
        # A float holds the distance well below a nanosecond for weeks.
        return self.fine // _FINE + round(
            self.fine % _FINE / _FINE + _beats_between(self.beat, beat) * (MINUTE / self.bpm)
        )

    def beat_at(self, ns: int) -> Fraction:
        minutes = (ns - self.fine / _FINE) / MINUTE
        if self.slope and minutes > 0:
            beats = self.bpm / self.slope * expm1(self.slope * minutes)
        else:
            beats = minutes * self.bpm
        return self.beat + Fraction(round(beats * 2**20), 2**20)


class Course(NamedTuple):
    """A straight line that somebody else keeps: at `ns` he is at `beat`, with this tempo.

    beat: quarter notes, in his own count.  ns: monotonic.  bpm: quarter notes a minute.
    """

    beat: Fraction
    ns: int
    bpm: float

    def ns_at(self, beat: Fraction) -> int:
        return self.ns + round(_beats_between(self.beat, beat) * (MINUTE / self.bpm))

    def beat_at(self, ns: int) -> Fraction:
        return self.beat + Fraction(round((ns - self.ns) / MINUTE * self.bpm * 2**20), 2**20)

    def counted(self, more: Fraction) -> Course:
        """The same line where every beat has another number, by so many more."""
        return self._replace(beat=self.beat + more)

    def later(self, ns: int) -> Course:
        """The same line so much later."""
        return self._replace(ns=self.ns + ns)


class Timeline:
    """Beats <-> nanoseconds.

    Laws: `ns_at` never falls as the beat rises; `beat_at(ns_at(b))` is b to within 2^-20 of
    a beat; a new tempo changes nothing before the beat it is given at, so no beat jumps.
    """

    __slots__ = ("_beats", "_segments", "_times")

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self._segments = segments
        self._beats = [segment.beat for segment in segments]
        self._times = [segment.fine / _FINE for segment in segments]

    @classmethod
    def starting(cls, bpm: float, beat: Fraction = Fraction(0), ns: int = 0) -> Timeline:
        """A constant tempo (20 to 999) through one known point."""
        return cls((Segment(beat, ns * _FINE, float(bpm)),))

    def _segment(self, beat: Fraction) -> Segment:
        segments = self._segments
        if len(segments) == 1 or beat >= segments[-1].beat:
            return segments[-1]
        return segments[max(bisect_right(self._beats, beat) - 1, 0)]

    def ns_at(self, beat: Fraction) -> int:
        """The monotonic nanosecond at which a beat falls."""
        return self._segment(beat).ns_at(beat)

    def beat_at(self, ns: int) -> Fraction:
        """The beat at a nanosecond, to 2^-20 of a beat."""
        index = max(bisect_right(self._times, ns) - 1, 0)
        return self._segments[index].beat_at(ns)

    def tempo_at(self, beat: Fraction) -> float:
        """Quarter notes per minute at a beat."""
        return self._segment(beat).tempo(beat)

    @property
    def last(self) -> Fraction:
        """The beat from which on the tempo stays what it is."""
        return self._beats[-1]

    def with_tempo(self, bpm: float, at: Fraction, over: Fraction = Fraction(0)) -> Timeline:
        """The same line until `at`, then a new tempo, reached linearly after `over` beats.

        bpm: 20 to 999, clamped.  over: beats, 0 for at once.
        """
        bpm = float(min(max(bpm, SLOWEST), FASTEST))
        index = bisect_left(self._beats, at)
        kept = self._segments[max(index - _KEPT, 0) : index]
        here = self._segment(at)
        now = here.tempo(at)
        start = Segment(at, here.fine_at(at), now)
        if over <= 0 or now == bpm:
            return Timeline((*kept, start._replace(bpm=bpm)))
        ramp = start._replace(slope=(bpm - now) / float(over))
        arrival = at + over
        return Timeline((*kept, ramp, Segment(arrival, ramp.fine_at(arrival), bpm)))

    def meeting(self, course: Course, at: Fraction) -> Timeline:
        """The same line until `at`, from there straight to where it meets the course, and along it.

        It meets it after a quarter of a beat, or later where it would else run more than a fifth
        faster or slower: after five times what it is off by.
        """
        off = course.ns_at(at) - self.ns_at(at)
        least = round(abs(off) / LEAN / (MINUTE / course.bpm) * 960) + 1
        meet = at + max(SOONEST, Fraction(least, 960))
        way, end = self._way(at, meet, course.ns_at(meet))
        return Timeline((*way, Segment(meet, end, course.bpm)))

    def moved(self, ns: int, at: Fraction, until: Fraction) -> Timeline:
        """The same line until `at`, `ns` later from `until` on, and straight between.

        Law: no beat falls before one that comes earlier, as the move is held to a fifth of the way.
        """
        most = int((self.ns_at(until) - self.ns_at(at)) * LEAN)
        ns = min(max(ns, -most), most)
        way, _ = self._way(at, until, self.ns_at(until) + ns)
        here = self._segment(until)
        fine = here.fine_at(until) + ns * _FINE
        rest = [s._replace(fine=s.fine + ns * _FINE) for s in self._segments if s.beat > until]
        meet = here._replace(beat=until, fine=fine, bpm=here.tempo(until))
        return Timeline((*way, meet, *rest))

    def _way(self, at: Fraction, to: Fraction, ns: int) -> tuple[tuple[Segment, ...], int]:
        """What is kept before `at`, and a straight line from there to a beat at `ns`; its end."""
        index = bisect_left(self._beats, at)
        kept = self._segments[max(index - _KEPT, 0) : index]
        begin = self._segment(at).fine_at(at)
        straight = Segment(
            at, begin, _beats_between(at, to) * MINUTE * _FINE / (ns * _FINE - begin)
        )
        return (*kept, straight), straight.fine_at(to)

    def without(self, at: Fraction) -> Timeline:
        """The same line until `at`, and on from there without the changes that were to come."""
        index = bisect_left(self._beats, at)
        if not 0 < index < len(self._segments):
            return self
        kept, last = self._segments[:index], self._segments[index - 1]
        if last.slope:
            kept += (Segment(at, last.fine_at(at), last.tempo(at)),)
        return Timeline(kept)

    def shifted(self, ns: int) -> Timeline:
        """The same line, every beat of it `ns` later: what a pause makes of it."""
        return Timeline(
            tuple(segment._replace(fine=segment.fine + ns * _FINE) for segment in self._segments)
        )
