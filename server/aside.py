"""Work that may be slow (disks, terminals, pipes) on a thread of its own, never in music's way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Hands items, in order, to a worker on its own thread.

    take: does the work on one item.  pause: called between items, at least every `every`
    seconds.  done: called once, last, after `close` or after what a worker has raised.
    broken: what that was; then nothing more is taken.
    room: items that may wait; what comes when it is full is dropped, and counted in `dropped`.
    Law: `put` returns at once, however long the worker takes.
    """

    def __init__(
        self,
        take: Callable[[T], None],
        pause: Callable[[], None] = lambda: None,
        done: Callable[[], None] = lambda: None,
        room: int = 100_000,
        every: float = 0.25,
    ) -> None:
        self._take, self._pause, self._done, self._every = take, pause, done, every
        self._items: queue.SimpleQueue[T | None] = queue.SimpleQueue()
        self._room = room
        self.dropped = 0
        self.broken: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="aside", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        if self._items.qsize() < self._room and self.broken is None:
            self._items.put(item)
        else:
            self.dropped += 1

    def close(self, patience: float = 0.5) -> bool:
        """Let it finish; False where it has not within `patience` seconds."""
        self._items.put(None)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            self._toil()
        except Exception as error:
            self.broken = error
        try:
            self._done()
        except Exception as error:
            self.broken = self.broken or error

    def _toil(self) -> None:
        again = time.monotonic() + self._every
        while True:
            try:
                item = self._items.get(timeout=max(again - time.monotonic(), 0))
            except queue.Empty:
                item = None
            else:
                if item is None:
                    break
                self._take(item)
            if time.monotonic() >= again:
                self._pause()
                again = time.monotonic() + self._every
