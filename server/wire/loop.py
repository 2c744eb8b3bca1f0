"""The loop of the wire process: sleep until shortly before a deadline, spin to it, send."""

from __future__ import annotations

import select
import signal
import socket
import time
from collections.abc import Callable

from server.wire import protocol
from server.wire.machine import DONE, MS, TICK, Wire


class _Mouth:
    """Speaks to the planner without ever waiting for it."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._rest = bytearray()

    def __call__(self, data: bytes, skippable: bool) -> None:
        if (self._rest and skippable) or len(self._rest) > 1 << 20:
            self.flush()
            return
        self._rest += data
        self.flush()

    def flush(self) -> None:
        try:
            while self._rest:
                del self._rest[: self._pipe.send(self._rest)]
        except (BlockingIOError, BrokenPipeError, ConnectionError):
            pass  # a planner that is gone is noticed where we listen


#: Waking up takes some time: sleep until so long before a deadline, then look at the clock.
SPIN = 200_000
#: Spin only for so much of the time, and so long at a stretch: the system stops a process with
#: real-time priority for 50 ms when it has used 95 % of a second.
SPIN_SHARE, MOST_SPUN = 0.25, 20 * MS
#: Work on frames from the planner only where the next deadline is so far away …
ROOM = 300_000
#: … and listen to it at least so often, however busy.
LISTEN = 1 * MS
#: Seconds after which the system ends a wire that ought to have ended; a JACK server stands
#: still for a while when a client dies that had not closed its port, so this is not short.
LAST = 2


def run(pipe: socket.socket) -> int:
    """Serve the planner at the other end of `pipe` until it is gone; the exit status.

    Law: nothing here waits for anything but a deadline or the planner.
    """
    clock = time.monotonic_ns
    pipe.setblocking(False)
    mouth = _Mouth(pipe)
    wire = Wire(mouth, clock)
    mouth(protocol.frame(protocol.READY), False)
    listened, patience = 0, MOST_SPUN

    def listen() -> bool:
        try:
            data = pipe.recv(16_384)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if data:
            wire.feed(data)
        return bool(data)

    ready = [pipe]
    while wire.exit is None:
        due, now = wire.next_due(), clock()
        gap = due - now
        if gap <= 0:
            wire.send_due()
            wire.attend()
        elif gap > ROOM and wire.attend():
            pass
        elif gap > SPIN or gap > patience:
            until = min(due - SPIN if gap > SPIN else due, wire.next_tick())
            if select.select(ready, (), (), max(0, until - now) / 1e9)[0]:
                listened = clock()
                if not listen():
                    break
        else:
            patience -= gap
            wire.stage(due)
            while clock() < due:
                pass
            wire.send_due()
            wire.attend()
        before, now = now, clock()
        patience = min(MOST_SPUN, patience + int((now - before) * SPIN_SHARE))
        if now - listened > LISTEN:
            listened = now
            if not listen():
                break
        if now >= wire.next_tick() and (
            wire.next_due() - now > ROOM or now - wire.next_tick() > TICK
        ):
            wire.tick()
            mouth.flush()
    if wire.exit is None:
        _leave(wire, clock)
        mouth(protocol.frame(protocol.LEFT), False)
        wire.shut()
    mouth.flush()
    return wire.exit or DONE


def _leave(wire: Wire, clock: Callable[[], int]) -> None:
    # A library may hang on a server that hangs, holding the interpreter: the system ends that.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAST)
    while wire.attend():  # what is owed may have come just before the end
        pass
    wire.close()
    while not wire.closed():
        time.sleep(max(0, min(wire.next_due() - clock(), MS)) / 1e9)
        wire.send_due()
