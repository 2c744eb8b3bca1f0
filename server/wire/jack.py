"""A second look at the JACK server, beside the MIDI binding: does it live, who is connected?

The binding cannot tell: with the server frozen or dead it takes what it is given until its
buffer is full, and then never returns. The server's frame counter is in shared memory, so
reading it costs a microsecond and cannot block. Only what is called here of libjack's C
interface is declared; the copy used is the one that the binding has already loaded.

On Linux clients wake each other, each through a semaphore of its own, a file in /dev/shm. libjack
keeps one table of them for the process, by the client's number, and misses who leaves while the
first client here is only half open: the number's next owner is then never woken, or never wakes
who comes after it, and the whole graph crawls from one time-out to the next, silent. Nothing says
so; but a semaphore that was mapped and is deleted shows in this process's maps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from time import monotonic_ns, sleep, time_ns
from typing import Any

_NO_START_SERVER = 1
#: A server without a new period for so long is dead or frozen (the longest period is 186 ms).
_PATIENCE = 350_000_000
#: How often and how long, in seconds, to wait for a dead process's name.
_WAITS, _WAIT = 25, 0.02
#: How often to open the first client before the table is right; how often and how long, in
#: seconds, to wait for what is still on its way.
_OPENINGS, _LOOKS, _LOOK = 5, 10, 0.005
_SEMAPHORES = Path("/dev/shm")
_SEMAPHORE = f"{_SEMAPHORES}/jack_sem."
#: For how long, in ns, what is told of who left may be on its way; how coarse a file's time may be.
_UNDERWAY, _COARSE = 250_000_000, 50_000_000
#: How often, in ns, to look who strays, however many ports ask: reading the maps of a process with
#: twenty ports takes 0.6 ms, and other programs come and go in /dev/shm all the time.
_LOOKING = 100_000_000


class Strays:
    """The semaphores of clients that are gone, and for how long they have been held here since.

    changed: when any came or went, in ns since 1970; OSError where there are none.  look: those
    that are gone.  today: ns since 1970.
    Law: `look`, which takes its time, is called at most ten times a second.
    """

    def __init__(
        self,
        changed: Callable[[], int],
        look: Callable[[], frozenset[str]],
        today: Callable[[], int],
    ) -> None:
        self._changed, self._look, self._today = changed, look, today
        self._changed_at = self._look_at = 0
        self._since: dict[str, int] = {}
        self._stay = False

    def found(self, now: int) -> bool:
        """Whether some stay longer than what is told of them is on its way. now: monotonic ns."""
        if now >= self._look_at:
            self._look_at = now + _LOOKING
            with suppress(OSError):
                self._see(now)
            self._stay = any(now - since > _UNDERWAY for since in self._since.values())
        return self._stay

    def _see(self, now: int) -> None:
        changed_at = self._changed()
        if changed_at == self._changed_at:
            return
        self._since = {each: self._since.get(each, now) for each in self._look()}
        if not self._since and self._today() - changed_at > _COARSE:
            self._changed_at = changed_at


@cache
def _library() -> Any:
    """The libjack in this process, or the system's. Errors: OSError.

    One for all attempts: each would leave a circle behind, and here no collector comes by.
    """
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "libjack" in fields[5]:
            return ctypes.CDLL(fields[5])
    return ctypes.CDLL("libjack.so.0")


class Server:
    """A client of the server that has no ports. Errors: OSError where there is none."""

    def __init__(self, name: str) -> None:
        self._jack = jack = _library()
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        declared: dict[str, tuple[Any, list[Any]]] = {
            "jack_client_open": (pointer, [text, ctypes.c_int, pointer]),
            "jack_client_close": (ctypes.c_int, [pointer]),
            "jack_last_frame_time": (ctypes.c_uint32, [pointer]),
            "jack_port_by_name": (pointer, [pointer, text]),
            "jack_port_get_all_connections": (ctypes.POINTER(text), [pointer, pointer]),
            "jack_connect": (ctypes.c_int, [pointer, text, text]),
            "jack_get_uuid_for_client_name": (pointer, [pointer, text]),
            "jack_free": (None, [pointer]),
        }
        for function, (result, arguments) in declared.items():
            getattr(jack, function).restype = result
            getattr(jack, function).argtypes = arguments
        for _ in range(_OPENINGS):
            self._client = jack.jack_client_open(name.encode(), _NO_START_SERVER, None)
            if not self._client:
                raise OSError("the JACK server did not answer")
            if _settled():
                break
            self.close()  # the table goes with the last client here
        else:
            raise OSError("the clients of the JACK server come and go")
        self._frames, self._moved_at = self.frames(), monotonic_ns()
        self._strays = Strays(_changed_at, _strays, time_ns)

    def close(self) -> None:
        self._jack.jack_client_close(self._client)

    def alive(self) -> bool:
        """Whether a period has begun lately. Two calls at least that far apart are needed."""
        frames, now = self.frames(), monotonic_ns()
        if frames != self._frames:
            self._frames, self._moved_at = frames, now
        return now - self._moved_at < _PATIENCE

    def strayed(self) -> bool:
        """Whether who left and who came are confused here, so that some clients are never woken."""
        return self._strays.found(monotonic_ns())

    def frames(self) -> int:
        """Audio frames up to the current period, modulo 2³²; stands still when the server does."""
        return int(self._jack.jack_last_frame_time(self._client))

    def free_name(self, wanted: str, wait: bool = True) -> str:
        """`wanted`, or with a number behind it where somebody else keeps that name.

        A process that has just been killed keeps its name until the server notices, and its
        successor must have the same one: so wait a little first. Asks the server, so it blocks
        where that does.
        """
        for _ in range(_WAITS if wait else 1):
            if not self._named(wanted):
                return wanted
            if wait:
                sleep(_WAIT)
        return next(name for n in count(2) if not self._named(name := f"{wanted} {n}"))

    def _named(self, client: str) -> bool:
        found = self._jack.jack_get_uuid_for_client_name(self._client, client.encode())
        if found:
            self._jack.jack_free(found)
        return bool(found)

    def has(self, port: str) -> bool:
        return bool(self._jack.jack_port_by_name(self._client, port.encode()))

    def connections(self, port: str) -> set[str]:
        """Everybody `port` is connected to."""
        handle = self._jack.jack_port_by_name(self._client, port.encode())
        if not handle:
            return set()
        names = self._jack.jack_port_get_all_connections(self._client, handle)
        found: set[str] = set()
        if names:
            for name in names:
                if name is None:
                    break
                found.add(name.decode(errors="replace"))
            self._jack.jack_free(names)
        return found

    def connect(self, source: str, destination: str) -> bool:
        names = source.encode(), destination.encode()
        return bool(self._jack.jack_connect(self._client, *names) == 0)


def _changed_at() -> int:
    return _SEMAPHORES.stat().st_mtime_ns


def _strays() -> frozenset[str]:
    """The semaphores in this process of clients that are gone."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    mapped = {line[line.index(_SEMAPHORE) :] for line in lines if _SEMAPHORE in line}
    return frozenset(each for each in mapped if not Path(each).exists())


def _settled() -> bool:
    """Whether no semaphore strays here, once all that is on its way has arrived."""
    for _ in range(_LOOKS):
        if not _strays():
            return True
        sleep(_LOOK)
    return False
