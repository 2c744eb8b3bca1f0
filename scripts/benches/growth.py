"""Whether memory grows: what is to be said of many readings of one process's size.

Pure. A size wanders, jumps when something is needed for the first time, and falls where a process
is started anew, so a line through all readings says little: the slope is Theil and Sen's (1950,
1968), the median of the slopes between all pairs, which half of all readings cannot move.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

HOUR = 3600.0
MIB = float(1 << 20)
FEW = 8  # readings of which nothing can be said
MOST = 400  # readings that are looked at in pairs


class Growth(NamedTuple):
    """Of the last half of a run, in MiB.

    first: the median of its first half.  last: that of its second half.  slope: in an hour.
    """

    first: float
    last: float
    slope: float

    @property
    def grown(self) -> float:
        return self.last - self.first

    def flat(self, slope: float, grown: float) -> bool:
        """Whether it neither climbs by more than `slope` nor has grown by more than `grown`."""
        return self.slope <= slope and self.grown <= grown


def growth(readings: Sequence[tuple[float, int]]) -> Growth | None:
    """Of readings (seconds, bytes) in their order; None where there are too few."""
    half = readings[len(readings) // 2 :]
    if len(half) < FEW:
        return None
    middle = len(half) // 2
    first, last = (median(size for _, size in part) for part in (half[:middle], half[middle:]))
    thin = half[:: -(-len(half) // MOST)]
    slope = median((d - b) / (c - a) for (a, b), (c, d) in combinations(thin, 2) if c > a)
    return Growth(first / MIB, last / MIB, slope * HOUR / MIB)
