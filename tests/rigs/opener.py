"""A port that is opened while another one goes: `python -m tests.rigs.opener WAY`, beside JACK.

WAY is out or in. There are three ports of others; the second is asked for, and the first goes
between the look at what there is and the opening, which is tried again. Prints as JSON with whom
ours is connected then.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import Any

from server.wire.midi import MidiClient, MidiPort
from server.wire.midi_in import MidiInput
from server.wire.ports import Absent

OTHERS = "first", "second", "third"


def main(way: str) -> None:
    import rtmidi

    theirs = rtmidi.MidiIn if way == "out" else rtmidi.MidiOut
    others = {name: theirs(rtmidi.API_UNIX_JACK, name=name) for name in OTHERS}
    for other in others.values():
        other.open_virtual_port("port")
    settings = {"name": "second", "api": "jack"}
    port: MidiClient = (
        MidiPort(settings) if way == "out" else MidiInput(settings, lambda now, delta, data: None)
    )
    port._enter()
    look = port._out.get_ports

    class Meanwhile:
        """The binding, but for what happens beside it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def get_ports(self) -> list[str]:
            found: list[str] = look()
            if "first" in others:
                others.pop("first").delete()
            return found

    real, port._out = port._out, Meanwhile()
    for _ in range(3):
        with suppress(Absent):
            port.open()
            break
    print(json.dumps(sorted(port._jack.connections(port._own))), flush=True)
    os._exit(0)  # libjack would wait for threads that wait for us


if __name__ == "__main__":
    main(sys.argv[1])
