"""A process of ours that opens ports: started, watched, and replaced when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from server.wire import protocol
from server.wire.machine import AGAIN
from server.wire.ports import LOST, OPEN

MS = 1_000_000

#: One that says nothing while it opens a port is killed after so long; while it starts, later.
MUTE_OPENING, MUTE_STARTING = 1_000 * MS, 3_000 * MS
if sys.platform == "darwin":  # CoreMIDI's server may have to be started first
    MUTE_OPENING = 5_000 * MS
#: How often that is doubled for one that opens a port, where others have just died.
DOUBLED = 2
#: Bytes that a process which lives has not taken.
MOST_OUTSTANDING = 4 << 20
#: Waits before it is started again, by how often it has failed lately.
BACK_OFF = (0.0, 0.05, 0.1, 0.2, 0.4)
LATELY = 10_000 * MS


class Child:
    """One process and its ports. All methods are to be called in one running asyncio loop.

    Law: nothing here waits for the process; one that dies or hangs is replaced, and its ports are
    opened anew.
    """

    MODULE: str
    #: Seconds between two looks at it; ns without a word after which it is killed; ns by which a
    #: look comes so late that it was us who stalled.
    EVERY: float
    MUTE: int
    STALLED: int
    #: What is said of ports whose process has died.
    DIED: str

    def __init__(self, on_state: Callable[[int, str, str], None], clock: Callable[[], int]) -> None:
        self._on_state, self._clock = on_state, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: socket.socket | None = None
        self._frames = protocol.Frames()
        self._out = bytearray()
        self._choked = False
        self._gathering = 0
        self._settings: dict[int, dict[str, Any]] = {}
        self._states: dict[int, tuple[str, str]] = {}
        self._opening: set[int] = set()
        self._answered = False  # whether one has ever answered for all its ports
        self._runs = asyncio.Event()
        self._heard_at = 0
        self._failures: deque[int] = deque(maxlen=len(BACK_OFF))
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def pid(self) -> int:
        """Of the process that serves just now; 0 where there is none."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the process and wait until it runs. Errors: OSError where none can be made."""
        self._loop = asyncio.get_running_loop()
        self._spawn()
        self._own(self._watch())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._runs.wait(), MUTE_STARTING / 1e9)

    def _cease(self) -> None:
        """Watch it no more, nor start another."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        if self._again is not None:
            self._again.cancel()

    # What each kind of process adds --------------------------------------------------------

    def _hear(self, kind: int, body: bytes) -> None:
        """It said something else than how it and its ports are."""

    def _lost(self) -> None:
        """It has died or is killed: note what that means."""

    def _introduce(self) -> None:
        """Tell a new one all that it has to know, but for what is opened."""

    def _look(self, now: int) -> None:
        """It is well: do what is to be done every now and then."""

    def _ready(self) -> None:
        """It runs, or has answered for a port."""

    def _opened(self) -> None:
        """A port is open now."""

    # The process ---------------------------------------------------------------------------

    def _spawn(self) -> None:
        self._process, self._pipe = _started(self.MODULE)
        self._frames, self._out, self._choked = protocol.Frames(), bytearray(), False
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
            if kind == protocol.PORT:
                self._answer(json.loads(body))
            elif kind == protocol.READY:
                self._runs.set()
                self._ready()
            else:
                self._hear(kind, body)

    def _answer(self, news: dict[str, Any]) -> None:
        number = news["port"]
        self._opening.discard(number)
        self._answered = self._answered or not self._opening
        if number in self._settings:
            if news["state"] == OPEN:
                self._settings[number]["connect"] = news["connect"]
                self._opened()
            self._tell(number, news["state"], news["why"])
        self._ready()

    def _fail(self) -> None:
        """It has died or must: note what is lost, and start another."""
        if self._pipe is None:  # it has failed already; another is on its way
            return
        asked = self._bury() == AGAIN
        if self._closing:
            return
        now = self._clock()
        self._lost()
        for number in list(self._settings):
            if self._states.get(number, (OPEN, ""))[0] == OPEN:
                self._tell(number, LOST, self.DIED)
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
        self._introduce()

    def _bury(self, kill: bool = True) -> int | None:
        """Make sure that the process ends; its status where it ended by itself."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            self._loop.remove_reader(pipe)
            self._loop.remove_writer(pipe)
            pipe.close()
        if process is None:
            return None
        for _ in range(2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(0.01)
            if kill:
                process.kill()
        self._own(_reap(process))  # in the kernel's hands; it will go
        return None

    async def _watch(self) -> None:
        """Kill one that says nothing any more."""
        last = self._clock()
        while True:
            await asyncio.sleep(self.EVERY)
            now = self._clock()
            if now - last > self.EVERY * 1e9 + self.STALLED:
                self._heard_at = now
            last = now
            if self._pipe is None or now - self._heard_at <= self._patience(now):
                self._look(now)
            else:
                self._fail()

    def _patience(self, now: int) -> int:
        """For how many ns it may say nothing."""
        if not self._runs.is_set() or (self._opening and not self._answered):
            return MUTE_STARTING
        return opening_patience(self._failures, now) if self._opening else self.MUTE

    # Writing -------------------------------------------------------------------------------

    def _open(self, number: int) -> None:
        if self._pipe is not None:
            self._opening.add(number)
            self._write(protocol.json_frame(protocol.OPEN, self._settings[number]))

    def _write(self, data: bytes) -> None:
        if self._pipe is None or self._choked:
            return
        waiting = bool(self._out)
        self._out += data
        if len(self._out) > MOST_OUTSTANDING:
            # A frame may have left by half: this one gets nothing more.
            self._choked = True
            self._loop.call_soon(self._fail)
            self._out.clear()
        elif not waiting and not self._gathering:
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


def opening_patience(failures: Iterable[int], now: int) -> int:
    """For how many ns a process that opens a port may say nothing, after failures at such times.

    A server that is starting, or has just lost a client, may take longer than the usual second; to
    kill whoever asks it each time would keep it so for ever.
    """
    lately = sum(now - failure < LATELY for failure in failures)
    return MUTE_OPENING << min(lately, DOUBLED)


def _started(module: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process of one of our modules, and our end of the pipe to it. Errors: OSError."""
    ours, theirs = socket.socketpair()
    try:
        root = str(Path(__file__).resolve().parent.parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C reaches only us
            env={**os.environ, "PYTHONPATH": path, "JACK_NO_START_SERVER": "1"},
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.setblocking(False)
    return process, ours


async def _reap(process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        await asyncio.sleep(0.1)
