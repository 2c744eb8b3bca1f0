"""A MIDI receiver in a process of its own: every message with the moment at which it came.

`python -m scripts.benches.ear NAME` opens the JACK input NAME:in and answers `take` on its
standard input with one line of JSON: what has come since the last time. It shares no code with
what it judges.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.rigs.jack import JackServer


class Heard(NamedTuple):
    """at: monotonic ns at which JACK handed it over, to a microsecond.  data: the message."""

    at: int
    data: tuple[int, ...]

    @property
    def on(self) -> bool:
        return self.data[0] & 0xF0 == 0x90 and self.data[2] > 0

    @property
    def off(self) -> bool:
        return self.data[0] & 0xF0 == 0x80 or (self.data[0] & 0xF0 == 0x90 and self.data[2] == 0)

    @property
    def note(self) -> tuple[int, int]:
        return self.data[0] & 0x0F, self.data[1]


class Balance(NamedTuple):
    """The receiver's ledger.

    sounding: (channel, pitch), channels from 0; a held pedal is (channel, -64).
    doubles: ons over what sounded already.  strays: offs for what did not sound.
    silent_at: when the last note ended, ns; 0 where none was heard.
    """

    sounding: frozenset[tuple[int, int]]
    ons: int
    offs: int
    doubles: int
    strays: int
    silent_at: int


def balance(messages: Iterable[Heard], before: frozenset[tuple[int, int]] = frozenset()) -> Balance:
    """Keep the ledger over these messages, from what was sounding before."""
    sounding = set(before)
    ons = offs = doubles = strays = silent_at = 0
    for message in messages:
        if message.on:
            ons += 1
            doubles += message.note in sounding
            sounding.add(message.note)
        elif message.off:
            offs += 1
            strays += message.note not in sounding
            if message.note in sounding:
                silent_at = message.at
            sounding.discard(message.note)
        elif message.data[0] & 0xF0 == 0xB0 and message.data[1] == 64:
            pedal = message.data[0] & 0x0F, -64
            (sounding.add if message.data[2] >= 64 else sounding.discard)(pedal)
    return Balance(frozenset(sounding), ons, offs, doubles, strays, silent_at)


class Ear:
    """Its `port` is what to connect or play to; `take` gives what has come since the last time."""

    def __init__(self, jack: JackServer, name: str = "ear") -> None:
        self.name, self.port = name, f"{name}:in"
        self._process: subprocess.Popen[str] = jack.python("scripts.benches.ear", name)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the receiver of MIDI does not start")

    def take(self) -> list[Heard]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("take\n")
        self._process.stdin.flush()
        return [Heard(at, tuple(data)) for at, data in json.loads(self._process.stdout.readline())]

    def wait(self, notes: int = 1, patience: float = 10.0) -> list[Heard]:
        """Take until so many notes have begun. Errors: TimeoutError."""
        heard: list[Heard] = []
        limit = time.monotonic() + patience
        while sum(message.on for message in heard) < notes:
            if time.monotonic() > limit:
                raise TimeoutError(f"only {len(heard)} messages were heard in {patience:g} s")
            time.sleep(0.005)
            heard += self.take()
        return heard

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main(name: str) -> None:
    import rtmidi

    kept: list[tuple[int, list[int]]] = []
    elapsed, start = 0, sys.maxsize

    def hear(event: Any, _: object) -> None:
        # The binding stamps a message when JACK hands it over and tells the time since the
        # message before; only the beginning has to be found, and it is the least of guesses.
        nonlocal elapsed, start
        data, delta = event
        elapsed += round(delta * 1e9)
        start = min(start, time.monotonic_ns() - elapsed)
        kept.append((elapsed, data))

    port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name=name)
    port.ignore_types(sysex=False, timing=False, active_sense=False)
    port.set_callback(hear)
    port.open_virtual_port("in")
    print("ready", flush=True)
    for _ in sys.stdin:
        count = len(kept)
        print(json.dumps([(start + at, data) for at, data in kept[:count]]), flush=True)
        del kept[:count]


if __name__ == "__main__":
    main(sys.argv[1])
