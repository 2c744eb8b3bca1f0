"""`python -m server.wire.hearing FD`: the process that hears MIDI inputs.

The binding's threads put what comes in on a list and wake the loop; the loop alone does the rest.
"""

from __future__ import annotations

import select
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from typing import Any

from server.wire import protocol
from server.wire.__main__ import serve
from server.wire.ear import DONE, Ear, Input
from server.wire.midi_in import MidiInput

#: Messages taken in one go, and bytes that the planner has not read, before something is lost.
MOST_WAITING, MOST_UNREAD = 16_384, 256 << 10
#: Seconds after which the system ends an ear that ought to have ended.
LAST = 2


class _Mouth:
    """Speaks to the planner without ever waiting for it. full: something had to be left out."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe, self._rest = pipe, bytearray()
        self.full = False

    def __call__(self, data: bytes, skippable: bool) -> None:
        if skippable and self._rest:
            self.flush()
        elif len(self._rest) > MOST_UNREAD:
            self.full = True
        else:
            self._rest += data
            self.flush()

    def flush(self) -> bool:
        """Whether everything has left."""
        with suppress(BlockingIOError, ConnectionError):  # a planner that is gone shows elsewhere
            while self._rest:
                del self._rest[: self._pipe.send(self._rest)]
        return not self._rest


def run(pipe: socket.socket) -> int:
    """Serve the planner at the other end of `pipe` until it is gone; the exit status."""
    pipe.setblocking(False)
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    arrived: deque[tuple[int, int, float, bytes]] = deque()
    mouth = _Mouth(pipe)
    lost = False  # more came in than waits here

    def build(settings: dict[str, Any], number: int) -> Input:
        def deliver(now: int, delta: float, data: bytes) -> None:
            nonlocal lost
            if len(arrived) < MOST_WAITING:
                arrived.append((number, now, delta, data))
            else:
                lost = True
            with suppress(BlockingIOError):  # so full of wakings that one more is not needed
                waker.send(b".")

        return MidiInput(settings, deliver)

    ear = Ear(mouth, build)
    mouth(protocol.frame(protocol.READY), False)
    try:
        while ear.exit is None:
            wait = max(0, ear.next_tick - time.monotonic_ns()) / 1e9
            ready = select.select((pipe, woken), (), (), wait)[0]
            if woken in ready:
                woken.recv(65_536)
                batch: list[tuple[int, int, float, bytes]] = []
                while arrived:
                    batch.append(arrived.popleft())
                ear.arrived(batch)
                if lost:
                    lost = False
                    ear.overflowed()
            if pipe in ready:
                data = pipe.recv(65_536)
                if not data:
                    break
                ear.feed(data)
            if time.monotonic_ns() >= ear.next_tick:
                if mouth.flush() and mouth.full:
                    mouth.full = False
                    ear.overflowed()
                ear.tick()
    except ConnectionError:
        pass
    # A library may hang on a server that hangs, holding the interpreter: the system ends that.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAST)
    mouth.flush()
    if ear.exit is None:
        ear.close()
    return ear.exit or DONE


if __name__ == "__main__":
    serve(run)
