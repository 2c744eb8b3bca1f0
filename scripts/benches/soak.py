"""A long mix of faults while a shipped scene plays MIDI over JACK and OSC, and is controlled.

Every few seconds one of the faults below, at random but following from the seed. At the end:
nothing stuck, nothing ended unasked, memory flat.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import linear_regression

from tests.rigs.jack import JackServer
from tests.rigs.udp import Receiver

from .door import Door, free_port
from .ear import Ear, Heard, balance
from .fuzz import bad
from .receiver import quantile
from .show import Show, table

HEAD = ["what", "figure", "bar"]


class Stage:
    """Everything that a fault may touch."""

    def __init__(self, folder: Path, jack: JackServer, scene: str, seed: int) -> None:
        self.jack, self.rng = jack, Random(seed)
        self.receiver, self.port = Receiver(), free_port()
        self.door, self.ear = Door(self.port), Ear(jack)
        osc = f"127.0.0.1:{self.receiver.port}"
        options = ["--midi", self.ear.name, "--osc", osc, "--control", str(self.port)]
        self.show = Show(folder, scene, *options, jack=jack)
        self.heard: list[Heard] = []

    def listen(self) -> None:
        self.heard += self.ear.take()
        self.receiver.drain()

    def deaf(self) -> None:
        """The synth is gone, and what it was sounding with it."""
        self.ear.close()
        self.heard = []

    def close(self) -> None:
        self.show.kill()
        self.ear.close()
        self.door.close()
        self.receiver.close()


def stall(stage: Stage) -> None:
    stage.show.send(signal.SIGSTOP)
    time.sleep(stage.rng.uniform(0.05, 1.5))
    stage.show.send(signal.SIGCONT)


def kill_wire(stage: Stage) -> None:
    wires = sorted(stage.show.wires().values())
    os.kill(stage.rng.choice(wires), signal.SIGKILL)


def hang_wire(stage: Stage) -> None:
    wires = sorted(stage.show.wires().values())
    os.kill(stage.rng.choice(wires), signal.SIGSTOP)


def freeze_jack(stage: Stage) -> None:
    stage.jack.freeze()
    time.sleep(stage.rng.uniform(0.1, 1.5))
    stage.jack.thaw()


def restart_jack(stage: Stage) -> None:
    stage.jack.kill()
    stage.deaf()
    time.sleep(stage.rng.uniform(0, 1.5))
    stage.jack.start()
    stage.ear = Ear(stage.jack)


def unplug(stage: Stage) -> None:
    stage.deaf()
    time.sleep(stage.rng.uniform(0, 1.5))
    stage.ear = Ear(stage.jack)


def twiddle(stage: Stage) -> None:
    """Two hundred turns of knobs within a second."""
    rng = stage.rng
    part = "/componium/part/bass"
    for _ in range(200):
        address, value = rng.choice((
            ("/componium/tempo", rng.uniform(60, 240)),
            (f"{part}/mute", float(rng.randrange(2))),
            (f"{part}/solo", float(rng.randrange(2))),
            (f"{part}/density", rng.random()),
            (f"{part}/octave", float(rng.randrange(-2, 3))),
        ))  # fmt: skip
        stage.door.send(address, value)
        time.sleep(0.005)
    for field in ("mute", "solo", "octave"):
        stage.door.send(f"{part}/{field}", 0.0)
    stage.door.send(f"{part}/density", 1.0)


def babble(stage: Stage) -> None:
    """A thousand mutated datagrams."""
    for _ in range(1000):
        stage.door.throw(bad(stage.rng))
        time.sleep(0.0005)


def start_and_stop(stage: Stage) -> None:
    for address in ("stop", "continue", "panic", "play"):
        stage.door.send(f"/componium/{address}")
        time.sleep(stage.rng.uniform(0, 0.5))


FAULTS: dict[str, Callable[[Stage], None]] = {
    "planner stalled": stall,
    "wire killed": kill_wire,
    "wire hung": hang_wire,
    "JACK frozen": freeze_jack,
    "JACK restarted": restart_jack,
    "synth unplugged": unplug,
    "controls turned": twiddle,
    "garbage received": babble,
    "stopped and started": start_and_stop,
}


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench soak", description=__doc__)
    ask.add_argument("--minutes", type=float, default=3)
    ask.add_argument("--scene", default="default", help="a shipped scene")
    ask.add_argument("--seed", type=int, default=1821)
    options = ask.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, JackServer(Path(name)) as jack:
        stage = Stage(Path(name), jack, options.scene, options.seed)
        try:
            rows = soak(stage, options.minutes * 60)
        finally:
            stage.close()
    print(table(HEAD, rows))


def _first_note(stage: Stage, over: int) -> int:
    """When the first note began after a fault was over, ns. Errors: TimeoutError."""
    while True:
        heard = stage.ear.wait(patience=5)
        stage.heard += heard
        for one in heard:
            if one.on and one.at >= over:
                return one.at


def soak(stage: Stage, seconds: float) -> list[list[str]]:
    """Let it play and suffer for so long; the rows of the table."""
    began, count = time.monotonic(), Counter[str]()
    memory: list[tuple[float, int]] = []
    back: list[float] = []
    silent: list[str] = []
    stage.heard += stage.ear.wait()
    while (now := time.monotonic() - began) < seconds and stage.show.process.poll() is None:
        fault = stage.rng.choice(sorted(FAULTS))
        count[fault] += 1
        FAULTS[fault](stage)
        over = time.monotonic_ns()
        try:
            back.append((_first_note(stage, over) - over) / 1e6)
        except TimeoutError:
            silent.append(f"{fault} at {now:.0f} s")
        time.sleep(stage.rng.uniform(1, 4))
        stage.listen()
        if len(stage.show.wires()) == 2:
            memory.append((time.monotonic() - began, stage.show.memory()))
    alive = stage.show.process.poll() is None
    status, ending = stage.show.end() if alive else stage.show.wait()
    time.sleep(0.2)
    stage.listen()
    stuck = sorted(balance(stage.heard).sounding)
    warm = [(at, size) for at, size in memory if at > seconds / 5]
    slope = linear_regression(*zip(*warm, strict=True)).slope if len(warm) > 2 else float("nan")
    faults = ", ".join(f"{name} {number}" for name, number in sorted(count.items()))
    return [
        ["faults", f"{count.total()}: {faults}", ""],
        ["still playing at the end", "yes" if alive else f"no, status {status}", "yes"],
        ["no sound within 5 s after", ", ".join(silent) or "none", "none"],
        ["sound again: p50, max", f"{quantile(back, 0.5):.0f}, {max(back):.0f} ms", "≤ 2000 ms"],
        ["stuck notes", f"{len(stuck)} {stuck or ''}", "0"],
        ["status, time to end on SIGTERM", f"{status}, {ending * 1000:.0f} ms", "143, ≤ 1000 ms"],
        ["memory", f"{slope * 3600 / 2**20:+.1f} MiB/h over {len(warm)} looks", "flat"],
    ]
