"""From a key to its sound: a player's MIDI through JACK into Componium, and out to a receiver.

Each key is sent by a process of its own at a random moment, and the time runs until the receiver
has the note: JACK, the ear, the planner, the wire, JACK again. JACK hands messages over once in a
period of 1.33 ms, on each of the two cables. `through JACK alone` is a cable from the player to the
receiver. In `busy`, sixteen other parts play sixteenths at 240 BPM. `killed` is the player's
process dying with three keys and the pedal down, until the last of them has ended.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.rigs.jack import JackServer
from tests.rigs.keys import Keys

from .ear import Ear, balance
from .receiver import quantile
from .show import Show, grid_scene, table

LIVE = """
[inputs.keys]
midi = "virtual"
[parts.hand]
engine = "performer"
fit = ""
input = "keys"
channel = 16
"""
IN, CHANNEL = "Componium keys:keys", 15
HEAD = ["what", "keys", "p50 ms", "p99", "max", "lost", "stuck"]


def strike(keys: Keys, ear: Ear, channel: int, count: int, rng: random.Random) -> list[str]:
    """Latency of so many keys, each let go of after 10 ms."""
    ear.take()
    sent: list[tuple[int, int]] = []
    for number in range(count):
        pitch = 36 + number % 48
        sent.append((keys.play(f"90{pitch:02x}64"), pitch))
        time.sleep(0.01)
        keys.play(f"80{pitch:02x}00")
        time.sleep(rng.uniform(0.005, 0.03))
    time.sleep(0.2)
    heard = [each for each in ear.take() if each.data[0] & 0x0F == channel]
    ons = iter([each for each in heard if each.on])
    delays, lost = [], 0
    for (at, pitch), on in zip(sent, ons, strict=False):
        delays.append((on.at - at) / 1e6) if on.note[1] == pitch else None
    lost = count - len(delays)
    shares = [f"{quantile(delays, q):.2f}" for q in (0.5, 0.99, 1.0)]
    return [str(count), *shares, str(lost), str(len(balance(heard).sounding))]


def killed(keys: Keys, ear: Ear) -> float:
    """Milliseconds from the player's death to the end of all that it held."""
    ear.take()
    for data in ("b0407f", "903c64", "904064", "904364", "803c00"):
        keys.play(data)
    time.sleep(0.3)
    before = balance([m for m in ear.take() if m.data[0] & 0x0F == CHANNEL])
    at = time.monotonic_ns()
    keys.kill()
    time.sleep(0.6)
    after = balance([m for m in ear.take() if m.data[0] & 0x0F == CHANNEL], before.sounding)
    if len(before.sounding) != 3 or after.sounding:
        return float("nan")
    return (after.silent_at - at) / 1e6


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench keys", description=__doc__)
    ask.add_argument("--keys", type=int, default=300)
    ask.add_argument("--seed", type=int, default=1)
    options = ask.parse_args(argv)
    rng, rows, ends = random.Random(options.seed), [], []
    with tempfile.TemporaryDirectory() as name, JackServer(Path(name)) as jack:
        folder, ear = Path(name), Ear(jack)
        keys = Keys(jack)
        jack.connect(keys.port, ear.port)
        rows.append(["through JACK alone", *strike(keys, ear, 0, options.keys, rng)])
        jack.disconnect(keys.port, ear.port)
        for what, scene in (("quiet", "tempo = 120"), ("busy", "")):
            file = folder / "scene.toml"
            text = scene or grid_scene(15, 240, "S -> 1:1/16 | 3:1/16 | 5:1/16")
            file.write_text(text + LIVE)
            show = Show(folder, file, "--midi", ear.name, "--control", "0", jack=jack)
            try:
                jack.connect(keys.port, IN)
                time.sleep(1)
                rows.append([what, *strike(keys, ear, CHANNEL, options.keys, rng)])
                ends.append([what, f"{killed(keys, ear):.0f}", "≤ 250"])
            finally:
                show.end()
                show.kill()
            keys = Keys(jack)
        keys.kill()
        ear.close()
    print(table(HEAD, rows))
    print()
    print(table(["killed", "ms to silence", "bar"], ends))
