"""Which MIDI ports there are, or why there are none.

MIDI libraries may hang for ever when a JACK server does, so each system is asked by a process
of its own, `python -m server.backstage.survey SYSTEM`, which is ended when it takes too long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 3.0  # seconds
SYSTEMS = {"darwin": ("core",)}
NAMES = {"alsa": "ALSA", "jack": "JACK", "core": "CoreMIDI"}


def survey() -> Iterator[str]:
    """A line for every MIDI system and port."""
    for system in SYSTEMS.get(sys.platform, ("alsa", "jack")):
        outputs, inputs, why = _ask(system)
        if why:
            yield f"{NAMES[system]:<10} {why}"
            continue
        yield f"{NAMES[system]:<10} answers; --midi virtual, --midi-in virtual make our own"
        for way, names in (("out", outputs), ("in", inputs)):
            for name in names:
                yield f"{'':<10} {way:<3} {name}"


def ports(incoming: bool) -> list[str]:
    """The names of the MIDI ports that can be sent to, or heard, in every system."""
    return [
        name
        for system in SYSTEMS.get(sys.platform, ("alsa", "jack"))
        for name in _ask(system)[incoming]
    ]


def _ask(system: str) -> tuple[list[str], list[str], str]:
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "server.backstage.survey", system],
            env={**os.environ, "PYTHONPATH": path, "JACK_NO_START_SERVER": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # ALSA and JACK print their woes there
            timeout=PATIENCE,
            check=False,
        ).stdout
        outputs, inputs, why = json.loads(answer)
    except subprocess.TimeoutExpired:
        return [], [], f"does not answer within {PATIENCE:g} s; its server hangs, restart it"
    except ValueError:
        return [], [], "its library crashed"
    return outputs, inputs, why


def _look(system: str) -> tuple[list[str], list[str], str]:
    """In the process of its own: where one system can be sent to and heard, and why nowhere."""
    from server.wire import midi
    from server.wire.ports import Absent

    cures = {
        "alsa": "load the kernel's sequencer (modprobe snd-seq)",
        "jack": "start a JACK server",
        "core": "restart the computer's MIDI server (open Audio MIDI Setup)",
    }
    try:
        found: list[list[str]] = []
        for incoming in (False, True):
            make, systems = midi.binding(incoming)
            found.append(list(make(systems[system], "Componium ports").get_ports()))
        return found[0], found[1], ""
    except Absent as absent:
        return [], [], str(absent)
    except Exception:  # each binding has its own errors; all mean the same here
        return [], [], f"not there; {cures[system]}"


if __name__ == "__main__":
    print(json.dumps(_look(sys.argv[1])))
    sys.stdout.flush()
    os._exit(0)  # a library whose server is ill must not get to clean up
