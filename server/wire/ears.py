"""The planner's end of the ear: starts it, watches it, replaces it when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any

from server.wire import protocol
from server.wire.ear import AGAIN
from server.wire.link import (
    BACK_OFF,
    BEAT_EVERY,
    LATELY,
    MUTE_STARTING,
    STALLED,
    opening_patience,
    reap,
    started,
)
from server.wire.ports import LOST, OPEN
from server.wire.protocol import Heard

MS = 1_000_000
#: An ear that says nothing for so long is killed: what is held there is released by then. It
#: takes a look every 50 ms.
MUTE = 200 * MS
#: Seconds that it may take to end.
LEAVING = 0.2


class Ears:
    """One ear process. All methods are to be called in one running asyncio loop.

    on_heard(heard): every message, in order for each input, as soon as it is here; F8, FA, FB, FC
    and F2 too, with the time at which they arrived. System exclusive and Active Sensing are not.
    on_state(port, state, why): "open", "waiting", "lost", "failed" or "muted", whenever it changes.
    on_loss(port, why): whatever is held on that input (keys, pedals) has been let go of, in effect.

    Laws: nothing here waits for the ear; a port that goes, a device that falls silent, a loop, a
    process that dies or hangs: each calls `on_loss` within 250 ms of being so, before anything
    that is heard later.
    """

    def __init__(
        self,
        on_heard: Callable[[Heard], None],
        on_state: Callable[[int, str, str], None] = lambda port, state, why: None,
        on_loss: Callable[[int, str], None] = lambda port, why: None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._on_heard, self._on_state, self._on_loss = on_heard, on_state, on_loss
        self._clock = clock
        self._settings: dict[int, dict[str, Any]] = {}
        self._states: dict[int, tuple[str, str]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._frames = protocol.Frames()
        self._out = bytearray()
        self._opening: set[int] = set()
        self._runs = asyncio.Event()
        self._heard_at = 0
        self._failures: deque[int] = deque(maxlen=len(BACK_OFF))
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def pid(self) -> int:
        """Of the process that hears just now; 0 where there is none."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the process and wait until it runs. Errors: OSError where none can be made."""
        self._loop = asyncio.get_running_loop()
        self._spawn()
        self._own(self._watch())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runs.wait(), MUTE_STARTING / 1e9)

    def open(self, settings: Mapping[str, Any]) -> None:
        """Open an input, or open it anew. settings: port (its number), and as `MidiClient`."""
        number = int(settings["port"])
        self._settings[number] = dict(settings)
        self._states.pop(number, None)
        self._open(number)

    def shut(self, number: int) -> None:
        """Close an input; nothing more is heard of it."""
        if self._settings.pop(number, None) is not None:
            self._states.pop(number, None)
            self._opening.discard(number)
            self._write(protocol.port_frame(protocol.CLOSE, number))

    async def close(self) -> None:
        """Hear nothing more, and wait for the process to end: for 0.2 s at most."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._again is not None:
            self._again.cancel()
        process, pipe = self._part()
        if pipe is not None:
            pipe.close()
        if process is not None:
            limit = self._clock() + LEAVING * 1e9
            while process.poll() is None and self._clock() < limit:
                await asyncio.sleep(0.005)
            if process.poll() is None:
                process.kill()
                self._own(reap(process))

    # -- the process

    def _spawn(self) -> None:
        self._process, self._pipe = started("server.wire.hearing")
        self._frames, self._out = protocol.Frames(), bytearray()
        self._heard_at = self._clock()
        self._runs.clear()
        self._opening.clear()
        self._loop.add_reader(self._pipe, self._read)

    def _read(self) -> None:
        assert self._pipe is not None
        try:
            data = self._pipe.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail()
            return
        self._heard_at = self._clock()
        for kind, body in self._frames.feed(data):
            self._hear(kind, body)

    def _hear(self, kind: int, body: bytes) -> None:
        if kind == protocol.HEARD:
            for heard in protocol.unpack_heard(body):
                if heard.port in self._settings:
                    self._on_heard(heard)
        elif kind == protocol.LOST_HOLD:
            news = json.loads(body)
            if news["port"] in self._settings:
                self._on_loss(news["port"], news["why"])
        elif kind == protocol.PORT:
            news = json.loads(body)
            number = news["port"]
            self._opening.discard(number)
            if number in self._settings:
                if news["state"] == OPEN:
                    self._settings[number]["connect"] = news["connect"]
                self._tell(number, news["state"], news["why"])
        elif kind == protocol.READY:
            self._runs.set()

    def _fail(self) -> None:
        """The ear has died or must: let go of what was held there, and start another."""
        process, pipe = self._part()
        if pipe is None:  # it has failed already; another is on its way
            return
        pipe.close()
        asked = False
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                asked = process.wait(0.005) == AGAIN
            if process.poll() is None:
                process.kill()
                self._own(reap(process))
        why = "the process that hears MIDI died; starting another"
        for number in list(self._settings):
            self._on_loss(number, why)
            if self._states.get(number, (OPEN, ""))[0] == OPEN:
                self._tell(number, LOST, why)
        now = self._clock()
        if not asked:
            self._failures.append(now)
        recent = sum(now - failure < LATELY for failure in self._failures)
        wait = BACK_OFF[min(max(recent - 1, 0), len(BACK_OFF) - 1)]
        self._again = self._loop.call_later(wait, self._restart)

    def _restart(self) -> None:
        if self._pipe is not None or self._closing:
            return
        try:
            self._spawn()
        except OSError:
            self._again = self._loop.call_later(BACK_OFF[-1], self._restart)
            return
        for number in self._settings:
            self._open(number)

    def _part(self) -> tuple[subprocess.Popen[bytes] | None, socket.socket | None]:
        """Have no process and no pipe from now on; those there were."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            self._loop.remove_reader(pipe)
            self._loop.remove_writer(pipe)
        return process, pipe

    async def _watch(self) -> None:
        """Replace an ear that says nothing any more."""
        last = self._clock()
        while True:
            await asyncio.sleep(BEAT_EVERY / 2)
            now = self._clock()
            if now - last > BEAT_EVERY * 1e9 / 2 + STALLED / 2:
                self._heard_at = now  # it was us who stalled
            last = now
            patience = MUTE_STARTING
            if self._runs.is_set():
                patience = opening_patience(self._failures, now) if self._opening else MUTE
            if self._pipe is not None and now - self._heard_at > patience:
                self._fail()

    # -- writing

    def _open(self, number: int) -> None:
        if self._pipe is not None:
            self._opening.add(number)
            self._write(protocol.json_frame(protocol.OPEN, self._settings[number]))

    def _write(self, data: bytes) -> None:
        if self._pipe is None:
            return
        waiting = bool(self._out)
        self._out += data
        if not waiting:
            self._flush()

    def _flush(self) -> None:
        pipe, out = self._pipe, self._out
        if pipe is None:
            return
        try:
            while out:
                del out[: pipe.send(out)]
        except BlockingIOError:
            self._loop.add_writer(pipe, self._flush)
            return
        except OSError:
            out.clear()  # the reader notices
        self._loop.remove_writer(pipe)

    def _tell(self, number: int, state: str, why: str) -> None:
        if self._states.get(number) != (state, why):
            self._states[number] = (state, why)
            self._on_state(number, state, why)

    def _own(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
