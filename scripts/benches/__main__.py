"""`scripts/bench NAME …`: run one measurement, or list them all."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module

BENCHES = {
    "timing": ("timing", "OSC error on the grid, quiet and busy; --peers for the others too"),
    "midi": ("midi", "MIDI error through JACK's dummy driver"),
    "keys": ("keys", "from a key of a MIDI input to its sound"),
    "sync": ("sync", "following: a MIDI clock that strays, a Link session"),
    "drift": ("drift", "drift over ten minutes, and over a thousand simulated hours"),
    "control": (
        "control",
        "from a command by OSC, WebSocket, MQTT, MIDI to its first effect",
    ),
    "flood": ("flood", "ten thousand OSC messages a second: notes, last values, panic"),
    "load": ("load", "sustained notes a second; processor time of a plain scene"),
    "bands": ("bands", "bands beside each other: how many with their notes in time"),
    "engines": ("engines_", "symbols a second, flat memory, learning"),
    "render": ("render", "rendering against real time"),
    "faults": ("faults", "kills and stops of planner, wire and JACK; stuck notes"),
    "fuzz": ("fuzz", "mutated OSC datagrams"),
    "landing": ("landing", "transitions in virtual time: each on its tick, nothing old after it"),
    "web": ("web", "pages: command latency, note timing beside them, a hundred that do not read"),
    "page": ("page", "what the page costs: processor time of browser and planner"),
    "first": ("first", "from a fresh clone to the first sound in a browser"),
    "mqtt": ("mqtt", "from a command at a broker to its receipt"),
    "set": ("set_", "a set, played: phone, OSC, keyboard, Link and a game at once"),
    "soak": ("soak", "the whole desk under a long mix of faults"),
}


def main() -> None:
    """Dispatch."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in BENCHES:
        print("usage: scripts/bench NAME [OPTIONS]\n")
        for key, (_, line) in BENCHES.items():
            print(f"  {key:10} {line}")
        raise SystemExit(0 if name in ("", "-h", "--help") else 2)
    cores, version = os.cpu_count(), platform.python_version()
    print(f"{name}: {cores} cores, {platform.system()} {platform.machine()}, Python {version}\n")
    import_module(f"scripts.benches.{BENCHES[name][0]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
