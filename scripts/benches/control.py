"""From a control message to its first effect: by every way in, and for several kinds of control.

First the ways in, `scripts/benches/ways.py`: OSC, WebSocket, MQTT and MIDI; then, over real UDP, in
and out. There time runs from just before the message is sent to the kernel's stamp of what arrives:

* mute: until the off of the note that was sounding (the last that is heard of the part);
* density 0: until the moment of the first note that is missing;
* density 1: until the first note that is there again;
* tempo: until the first note that is more than half a millisecond off the old grid;
* mood: from the beat that comes next, until the first note that is softer than all before.

No musical quantum is asked for (`when` is `now`), and notes are 5 ms apart, so that waiting for
the next one, which is contained in all but the first, is at most that long.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.rigs.udp import Arrival, Receiver

from .door import Door, free_port
from .receiver import quantile
from .show import Show, table
from .ways import ways_in

#: 750 BPM: a sixty-fourth is 5 ms, a quarter note 80 ms.
SCENE = """
tempo = 750
[parts.fine]
engine = "grammar"
rules = "S -> 1:1/64"
gate = 0.5
[parts.long]
engine = "grammar"
rules = "S -> 1:1/4"
gate = 0.99
"""
BEAT = b"/componium/beat"
FINE, LONG = b"/componium/part/fine/", b"/componium/part/long/"
STEP = {750: 5e6, 600: 6.25e6}  # ns
OFF_GRID = 0.5e6  # ns
SETTLED = 0.1  # s after which an effect has surely come: the planner's horizon
HEAD = ["control", "trials", "p50 ms", "p99", "max", "bar"]


class Room:
    """The show, its controller and its receiver."""

    def __init__(self, door: Door, receiver: Receiver, rng: Random) -> None:
        self.door, self.receiver, self.rng = door, receiver, rng

    def do(self, address: str, *args: float | str) -> tuple[int, list[Arrival]]:
        """Send at a random moment: when, and what arrived from a little before until settled."""
        self.receiver.drain()
        time.sleep(0.03 + self.rng.uniform(0, 0.02))
        at = self.door.send(f"/componium/{address}", *args)
        time.sleep(SETTLED)
        return at, self.receiver.drain()


def onsets(arrivals: list[Arrival]) -> list[int]:
    return [arrival.at for arrival in arrivals if arrival.data.startswith(FINE + b"note")]


def mute(room: Room) -> float:
    at, arrivals = room.do("part/long/mute", 1)
    room.do("part/long/mute", 0)
    last = max(arrival.at for arrival in arrivals if arrival.data.startswith(LONG))
    return last - at


def thin(room: Room) -> float:
    at, arrivals = room.do("part/fine/density", 0.0)
    room.do("part/fine/density", 1.0)
    return max(onsets(arrivals)) + STEP[750] - at


def thick(room: Room) -> float:
    room.do("part/fine/density", 0.0)
    at, arrivals = room.do("part/fine/density", 1.0)
    return min(onsets(arrivals)) - at


def tempo(room: Room) -> float:
    at, arrivals = room.do("tempo", 600.0)
    room.do("tempo", 750.0)
    step, notes = STEP[750], onsets(arrivals)
    before = [note for note in notes if note < at]
    # The grid as it was, by the median, for a single note may be late.
    starts = sorted(
        note - before[-1] + step * (len(before) - 1 - n) for n, note in enumerate(before)
    )
    start = before[-1] + starts[len(starts) // 2]
    for number, note in enumerate(note for note in notes if note >= at):
        if abs(note - start - step * (number + 1)) > OFF_GRID:
            return note - at
    raise ValueError("the tempo did not change")


def mood(room: Room) -> float:
    at, arrivals = room.do("mood", 0.0, -0.9, 0.0, "now")
    time.sleep(2 * SETTLED)  # a beat may be to come, and is slower now
    arrivals += room.receiver.drain()
    room.do("mood", 0.0, 0.0, 0.0, "now")
    time.sleep(2 * SETTLED)
    beat = min(each.at for each in arrivals if each.at >= at and each.data.startswith(BEAT))
    loud = [
        (arrival.at, struct.unpack(">f", arrival.data[-8:-4])[0])
        for arrival in arrivals
        if arrival.data.startswith(FINE + b"note")
    ]
    softest = min(level for when, level in loud if when < at)
    return next(when for when, level in loud if when >= at and level < 0.9 * softest) - beat


CONTROLS: dict[str, Callable[[Room], float]] = {
    "mute, to the note's end": mute,
    "density 0, to the first missing note": thin,
    "density 1, to the first note": thick,
    "tempo, to the first note moved": tempo,
    "mood, from the next beat to the first softer note": mood,
}


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench control", description=__doc__)
    ask.add_argument("--count", type=int, default=200, help="trials of each control")
    ask.add_argument("--ways", action="store_true", help="the ways in alone")
    options = ask.parse_args(argv)
    print(ways_in(options.count), flush=True)
    if options.ways:
        return
    port, receiver = free_port(), Receiver()
    door = Door(port)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.toml"
        scene.write_text(SCENE)
        osc = f"127.0.0.1:{receiver.port}"
        show = Show(Path(name), scene, "--midi", "none", "--control", str(port), "--osc", osc)
        try:
            door.knock("/componium/tempo", 750.0)
            room = Room(door, receiver, Random(1821))
            time.sleep(0.5)
            for control, trial in CONTROLS.items():
                times = [trial(room) / 1e6 for _ in range(options.count)]
                shares = [f"{quantile(times, q):.1f}" for q in (0.5, 0.99)]
                rows.append([control, str(len(times)), *shares, f"{max(times):.1f}", "p99 ≤ 20"])
        finally:
            show.end()
            door.close()
            receiver.close()
    print(table(HEAD, rows))
