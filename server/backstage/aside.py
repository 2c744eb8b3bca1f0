"""Work that may be slow (disks, terminals, pipes) on a thread of its own, never in music's way."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


SPARE = 4  # threads of a crew that are kept for the next job
AGAIN = 0.1  # s until a thread that the system would not start is asked for again


class Crew:
    """Threads for jobs that may hang; nobody waits for one when the program ends.

    name: of its threads.
    Law: `do` returns at once, however busy the machine is.  Whoever starts a thread waits until
    the system has given that a turn, tenths of a second at times; so yet another thread does it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle: deque[queue.SimpleQueue[Callable[[], None] | None]] = deque()
        self._closed = False
        threading.Thread(target=self._hand_out, name=f"{name}s", daemon=True).start()

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done, which must not raise, beside those that are not done yet."""
        self._jobs.put(job)

    def close(self) -> None:
        """Take no more jobs, and let idle threads end."""
        self._jobs.put(None)

    def _hand_out(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                basket = self._idle.pop()
            except IndexError:
                basket = queue.SimpleQueue()
                work = threading.Thread(
                    target=self._work, args=(basket,), name=self._name, daemon=True
                )
                while True:
                    try:
                        work.start()
                        break
                    except RuntimeError:  # there are too many already
                        time.sleep(AGAIN)
            basket.put(job)
        self._closed = True
        self._dismiss()

    def _work(self, basket: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (job := basket.get()) is not None:
            job()
            if self._closed or len(self._idle) >= SPARE:
                break
            self._idle.append(basket)
            if self._closed:
                self._dismiss()

    def _dismiss(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().put(None)


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
