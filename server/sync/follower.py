"""A MIDI clock followed: from pulses that come early, late, twice or not at all to one line.

Phase comes from the count of pulses, tempo from a straight line through the last of them. How many
is decided anew each time: the more the steadier, as long as they all tell the same (the rule of
intersecting confidence intervals, A. Goldenshluger and A. Nemirovski 1997). Pure: time is an
argument, in monotonic nanoseconds.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean, median

from server.music.timeline import FASTEST, MINUTE, SLOWEST, Course

PULSES = 24  # in a quarter note
SIXTEENTH = PULSES // 4
#: Pulses that a line is drawn through: at most two bars of four, and so many at least.
WINDOWS = (6, 9, 12, 18, 24, 36, 48, 72, 96, 144, 192)
#: Half the width of an interval of confidence, in standard errors.
SURE = 2.8
#: ns within which nobody's pulses are to be believed exact.
FINEST = 30_000.0
#: Before so many pulses the tempo known before is believed.
FEW = 4
#: After so many pulses one that does not fit is looked into.
SETTLED = 8
#: Missing pulses after which we say that we go on alone.
MISSED = 4
#: ns by which a line is drawn into the future, as far as is planned ahead.
AHEAD = 100_000_000
#: So many pulses in a row tell what those were that did not fit; after so many, in any case.
AGREED, LONG = 6, 18


class State(StrEnum):
    """How a clock is heard: not yet; not long enough; well; not just now; not for too long."""

    WAITING = "waiting"
    LOCKING = "locking"
    LOCKED = "locked"
    FREE = "free"
    LOST = "lost"


class Follower:
    """bpm: the tempo to begin with, until pulses tell another.  patience: ns of silence until lost.

    Laws: the count of a pulse is one more than that of the one before, but for pulses that come
    twice or not at all between others that are regular; silence changes nothing of the line.
    """

    def __init__(self, bpm: float = 120.0, patience: int = 2 * 10**9) -> None:
        self.patience = patience
        self.period = MINUTE / PULSES / bpm  # ns between pulses
        self._points: deque[tuple[int, int]] = deque(maxlen=WINDOWS[-1])  # count, ns
        self._sums: deque[tuple[int, int, int, int]] = deque(maxlen=WINDOWS[-1] + 1)
        self._zero = 0, 0
        self._doubtful: list[int] = []  # arrivals since the last point that do not fit
        self._base = 0.0  # ns, of the line at `_count`
        self._count = 0
        self._origin = 0  # the count of beat 0
        self._armed: int | None = None  # in pulses from beat 0: what the next pulse will be
        self._heard_at: int | None = None
        self._stood = 0  # what the pulse is that it continues with
        self.running = False  # whether it has started and not stopped
        self.placed = False  # whether it has ever said where it is
        self.jitter = 0.0  # ns, the standard deviation of pulses from the line

    # What comes in ------------------------------------------------------------------------

    def pulse(self, ns: int) -> None:
        """A pulse has arrived."""
        if self._heard_at is not None and ns < self._heard_at:
            return
        before, self._heard_at = self._heard_at, ns
        if not self._points or before is None:
            self._restart(ns)
            return
        number = self._points[-1][0] + 1 + len(self._doubtful)
        off = abs(ns - self._ns_of(number))
        if self._armed is not None:
            # A start may begin the clock's own grid anew.
            self._armed = None
            if off > self.period / 4:
                self._restart(ns)
                return
        elif len(self._points) >= SETTLED and off > max(4 * self.jitter, self.period / 10):
            self._doubtful.append(ns)
            self._judge()
            return
        self._doubtful.clear()  # which had only been late
        self._keep(number, ns)

    def start(self) -> None:
        """The next pulse is beat 0."""
        self._arm(0)
        self.running = self.placed = True

    def seek(self, sixteenths: int) -> None:
        """The clock stands, and goes on from there when it continues."""
        self._stood = sixteenths * SIXTEENTH
        self.placed = True

    def halt(self) -> None:
        """The clock stops where it is; its pulses may go on."""
        if self.running:
            self.running, self._stood = False, self._number

    def proceed(self) -> None:
        """The clock continues with the next pulse, from where it stood."""
        self._arm(self._stood if not self.running else self._number)
        self.running = True

    @property
    def _number(self) -> int:
        """What the next pulse will be, counted from beat 0."""
        return (self._points[-1][0] + 1 if self._points else 0) - self._origin

    def _arm(self, number: int) -> None:
        self._armed = number
        self._doubtful.clear()
        if self._points:
            self._origin = self._points[-1][0] + 1 - number
        else:
            self._origin = -number

    @property
    def position(self) -> Fraction:
        """The beat of the pulse that comes next, in the clock's own count."""
        return Fraction(self._number, PULSES)

    # What becomes of it -------------------------------------------------------------------

    def state(self, now: int) -> State:
        if self._heard_at is None:
            return State.WAITING
        silence = now - self._heard_at
        if silence > self.patience:
            return State.LOST
        if silence > (MISSED + 0.5) * self.period:
            return State.FREE
        return State.LOCKED if len(self._points) >= PULSES else State.LOCKING

    @property
    def bpm(self) -> float:
        """Quarter notes a minute, 20 to 999."""
        return min(max(MINUTE / PULSES / self.period, SLOWEST), FASTEST)

    def course(self) -> Course | None:
        """Where the clock is, as a line; None before a pulse has ever come."""
        if not self._points:
            return None
        beat = Fraction(self._count - self._origin, PULSES)
        return Course(beat, round(self._base), self.bpm)

    def _ns_of(self, count: int) -> float:
        return self._base + (count - self._count) * self.period

    def _restart(self, ns: int) -> None:
        """The clock's grid begins anew with this pulse, in the tempo that is known."""
        count = self._points[-1][0] + 1 if self._points else 0
        self._points.clear()
        self._doubtful.clear()
        self._keep(count, ns)

    def _keep(self, count: int, ns: int) -> None:
        self._add(count, ns)
        self._draw()

    def _add(self, count: int, ns: int) -> None:
        """Sums of whole numbers are exact, so a window is the difference of two of them."""
        if not self._points:
            self._sums.clear()
            self._sums.append((0, 0, 0, 0))
            self._zero = count, ns
        x, y = count - self._zero[0], ns - self._zero[1]
        sx, sy, sxx, sxy = self._sums[-1]
        self._sums.append((sx + x, sy + y, sxx + x * x, sxy + x * y))
        self._points.append((count, ns))

    def _judge(self) -> None:
        """What those that do not fit were, once the last of them tell the same.

        They were late, which shows when the next one is not; or some were lost or came twice: then
        there is a gap, or there are two at once, and they fit the line with another count. Else it
        is another tempo, and every pulse counts.
        """
        count, last = self._points[-1]
        seen, period = self._doubtful, self.period
        if len(seen) < AGREED:
            return
        first = count + 1 + len(seen) - AGREED
        fresh = list(enumerate(seen[-AGREED:], first))
        slope, base = _fit(fresh)
        strays = max(abs(ns - base - slope * at) for at, ns in fresh)
        if strays > max(3 * self.jitter, period / 8) and len(seen) < LONG:
            return
        off = fmean(ns - self._ns_of(at) for at, ns in fresh) / period
        more = round(off)
        same = abs(slope / period - 1) < max(0.06, 0.75 * self.jitter / period)
        missing = _missing([last, *seen], period)
        silent = missing >= MISSED and seen[0] - last > 2 * MISSED * period
        if silent or (more * missing > 0 and same and abs(off - more) < 0.25):
            fresh = [(at + more, ns) for at, ns in fresh]
        else:
            self.period = max(slope, 1.0)
            self._points.clear()
        if self._points and fresh[-1][0] <= count:
            self._points.clear()
        seen.clear()
        for at, ns in fresh:
            if not self._points or at > self._points[-1][0]:
                self._add(at, ns)
        self._draw()

    def _draw(self) -> None:
        """The line through as many of the last pulses as agree."""
        points, sums = self._points, self._sums
        self._weigh()
        count, last = points[-1]
        x0, y0 = count - self._zero[0], last - self._zero[1]
        tx, ty, txx, txy = sums[-1]
        spread, reach = max(self.jitter, FINEST), AHEAD / self.period
        low, high = -inf, inf
        slope, base = self.period, 0.0
        for size in (*(n for n in WINDOWS if n < len(points)), len(points)):
            wx, wy, wxx, wxy = sums[-1 - size]
            sx, sy, sxx, sxy = tx - wx, ty - wy, txx - wxx, txy - wxy
            middle = sx / size - x0  # of the counts, from the last one
            if size < FEW:  # the tempo is believed, the phase is theirs
                base = sy / size - y0 - slope * middle
                break
            around = sxx - sx * sx / size
            steep = (sxy - sx * sy / size) / around
            here = sy / size - y0 - steep * middle
            error = SURE * spread * sqrt(1 / size + (reach - middle) ** 2 / around)
            there = here + steep * reach
            low, high = max(low, there - error), min(high, there + error)
            if low > high:
                break
            slope, base = steep, here
        self._count, self._base = count, last + base
        self.period = min(max(slope, MINUTE / PULSES / FASTEST), MINUTE / PULSES / SLOWEST)

    def _weigh(self) -> None:
        """How far pulses stray, told by their second differences, which no steady tempo has."""
        if len(self._points) < 8 or len(self._points) % 4:
            return
        recent = list(self._points)[-96:]
        bends = [
            abs(c[1] - 2 * b[1] + a[1])
            for a, b, c in zip(recent, recent[1:], recent[2:], strict=False)
            if c[0] - a[0] == 2
        ]
        if len(bends) >= 6:
            self.jitter = 1.4826 * median(bends) / sqrt(6)


def _missing(arrivals: list[int], period: float) -> int:
    """How many pulses there is room for between these; below 0 where some are too many.

    What comes late leaves a gap and then comes in a heap: nothing is missing.
    """
    gaps = [(after - before) / period for before, after in pairwise(arrivals)]
    room = sum(round(gap) - 1 for gap in gaps if gap > 1.5)
    heaped = sum(gap < 0.5 for gap in gaps)
    return 0 if room and heaped else room - heaped


def _fit(points: list[tuple[int, int]]) -> tuple[float, float]:
    """The straight line through these: its slope, and where it is at 0."""
    size = len(points)
    (x0, y0), sx, sy, sxx, sxy = points[0], 0, 0, 0, 0
    for x, y in points:
        x, y = x - x0, y - y0
        sx, sy, sxx, sxy = sx + x, sy + y, sxx + x * x, sxy + x * y
    slope = (sxy - sx * sy / size) / (sxx - sx * sx / size)
    return slope, y0 + (sy - slope * sx) / size - slope * x0
