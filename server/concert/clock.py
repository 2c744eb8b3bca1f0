"""Where waiting happens: the real clock, and two that tests and rendering use instead."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """Monotonic nanoseconds, and a way to wait for one of them."""

    def now(self) -> int: ...

    async def sleep_until(self, ns: int) -> None:
        """Return at `ns` or a little later; at once, but not without yielding, if it is past."""
        ...


class RealClock:
    """The machine's monotonic clock. No finer than the loop's timers; the wire's are."""

    def now(self) -> int:
        return time.monotonic_ns()

    async def sleep_until(self, ns: int) -> None:
        await asyncio.sleep(max(0, ns - time.monotonic_ns()) / 1e9)


class JumpClock:
    """Time passes only by waiting, and waiting takes none: for rendering, with one sleeper."""

    def __init__(self, ns: int = 0) -> None:
        self._now = ns

    def now(self) -> int:
        return self._now

    async def sleep_until(self, ns: int) -> None:
        self._now = max(self._now, ns)
        await asyncio.sleep(0)


class VirtualClock:
    """Moves only when told to; any number of sleepers. For tests."""

    def __init__(self, ns: int = 0) -> None:
        self._now, self._order = ns, count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now

    async def sleep_until(self, ns: int) -> None:
        if ns <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (ns, next(self._order), woken))
        await woken

    async def advance(self, ns: int) -> None:
        """Move `ns` ahead, waking every sleeper at its own moment, in order."""
        end = self._now + ns
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._now = end

    def jump(self, ns: int) -> None:
        """Move ahead without waking anybody on the way, as a stalled process would see it."""
        self._now += ns

    async def _settle(self) -> None:
        for _ in range(10):  # let woken tasks run to their next wait
            await asyncio.sleep(0)
