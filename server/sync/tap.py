"""A tempo that is tapped. Pure."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from server.music.timeline import FASTEST, MINUTE, SLOWEST

#: ns after which a tap is the first of others; taps that count; a bounce, which is no tap.
PAUSE, KEPT, BOUNCE = 2 * 10**9, 8, 40_000_000


class Taps:
    """Taps as they come; the median of their distances is a beat."""

    def __init__(self) -> None:
        self._taps: list[int] = []

    def hear(self, ns: int) -> float | None:
        """The tempo, 20 to 999, with a tap at this nanosecond; None where it is the first."""
        taps = self._taps
        if taps and ns - taps[-1] < BOUNCE:
            return None
        if taps and ns - taps[-1] > PAUSE:
            taps.clear()
        taps.append(ns)
        del taps[:-KEPT]
        if len(taps) < 2:
            return None
        beat = median(after - before for before, after in pairwise(taps))
        return min(max(MINUTE / beat, SLOWEST), FASTEST)
