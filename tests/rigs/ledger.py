"""The receiver's ledger: a process that hears MIDI and counts what is left sounding.

`python -m tests.rigs.ledger NAME` opens the JACK input NAME:in; `report` on its standard input
is answered with one line of JSON. It shares no code with what it judges.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any, NamedTuple

from tests.rigs.jack import JackServer


class Report(NamedTuple):
    """What was heard since the start.

    sounding: (channel, pitch) of notes, (channel, -64) of pedals held.
    strays: offs for what did not sound.  doubles: ons over what sounded already.
    last_on, last_off: monotonic ns, 0 where there was none.
    gap: longest ns between two ons since the last report.
    """

    sounding: list[list[int]]
    ons: int
    offs: int
    strays: int
    doubles: int
    last_on: int
    last_off: int
    gap: int


class Ledger:
    """The planner's test sees the process like this. `port` is what to connect to."""

    def __init__(self, jack: JackServer, name: str = "ledger") -> None:
        self.port = f"{name}:in"
        self._process: subprocess.Popen[str] = jack.python("tests.rigs.ledger", name)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the ledger does not start")

    def report(self) -> Report:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("report\n")
        self._process.stdin.flush()
        return Report(**json.loads(self._process.stdout.readline()))

    def kill(self) -> None:
        """As when its cable is pulled."""
        self._process.kill()
        self._process.communicate()


def main(name: str) -> None:
    import rtmidi

    sounding: set[tuple[int, int]] = set()
    seen = {"ons": 0, "offs": 0, "strays": 0, "doubles": 0, "last_on": 0, "last_off": 0, "gap": 0}

    def hear(event: Any, _: object) -> None:
        (status, *data), _delta = event
        kind, channel, now = status & 0xF0, status & 0x0F, time.monotonic_ns()
        if kind == 0x90 and data[1]:
            note = (channel, data[0])
            seen["doubles"] += note in sounding
            sounding.add(note)
            if seen["last_on"]:
                seen["gap"] = max(seen["gap"], now - seen["last_on"])
            seen["ons"] += 1
            seen["last_on"] = now
        elif kind in (0x80, 0x90):
            note = (channel, data[0])
            seen["strays"] += note not in sounding
            sounding.discard(note)
            seen["offs"] += 1
            seen["last_off"] = now
        elif kind == 0xB0 and data[0] == 64:
            (sounding.add if data[1] >= 64 else sounding.discard)((channel, -64))

    port = rtmidi.MidiIn(rtmidi.API_UNIX_JACK, name=name)
    port.set_callback(hear)
    port.open_virtual_port("in")
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps({"sounding": sorted(sounding), **seen}), flush=True)
        seen["gap"] = 0


if __name__ == "__main__":
    main(sys.argv[1])
