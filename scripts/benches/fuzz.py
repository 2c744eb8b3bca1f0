"""Mutated OSC datagrams on the real control port, while the scene plays.

Every batch of bad datagrams is followed at once by a good message, whose receipt says when it
was obeyed. The planner runs only 20 ms ahead of the clock here, so a stall of its loop makes
notes late; how late is the difference between a note's arrival (kernel stamp) and the moment
it was meant for, which it carries (`timing = "stamp"`). A bare timer beside it tells how much
the machine itself stalled. Everything follows from the seed.
"""

from __future__ import annotations

import argparse
import struct
import tempfile
import time
from pathlib import Path
from random import Random

from pythonosc.osc_message import OscMessage

from tests.rigs.udp import Receiver

from .door import Door, free_port, message
from .receiver import quantile
from .show import Show, table
from .timer import Timer

SCENE = """
tempo = 240
[parts.noise]
engine = "grammar"
rules = "S -> 1:1/16"
[parts.probe]
engine = "grammar"
rules = "S -> 1:1/64"
[outputs.game]
osc = "127.0.0.1:PORT"
timing = "stamp"
"""
BATCH, RATE = 250, 4_000  # datagrams between two good messages, and in a second
NAMES = ("tempo", "seed", "scene", "part/noise/mute", "part/noise/solo", "part/noise/level",
         "part/noise/density", "part/noise/octave", "control/none", "nowhere")  # fmt: skip
VALUES = (
    0,
    1,
    -1,
    120,
    2**31 - 1,
    0.5,
    1e30,
    -0.0,
    float("nan"),
    float("inf"),
    "bar",
    "",
    "é" * 99,
)
INTERESTING = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\xfc", b"\x7f\xff\xff\xff", b"/",
               b",", b"#bundle\0", b"\x80\0\0\0", b"*", b"[a-z]" * 4, b"{a,b}" * 4)  # fmt: skip
HEAD = ["what", "figure", "bar"]


def bundle(*elements: bytes, tag: int = 1) -> bytes:
    sized = (struct.pack(">I", len(element)) + element for element in elements)
    return b"#bundle\0" + struct.pack(">Q", tag) + b"".join(sized)


def nested(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = bundle(data) if data else bundle()
    return data


#: What has hung or crashed other servers.
KILLERS = (
    b"#bundle\0" + struct.pack(">Q", 1) + b"\xff\xff\xff\xfc",
    bundle(message("/componium/tempo", 120.0), tag=0xFFFFFFFF << 32),
    nested(3000),
    nested(5),
    bundle(*[b"/a\0\0"] * 3000),
    b"/componium/tempo\0\0\0\0," + b"f" * 4000,
    b"/componium/tempo\0\0\0\0,f\0\0",
    b"/componium/part/" + b"*" * 18 + b"/mute\0\0",
    b"/" + b"?*" * 400 + b"\0\0\0",
    b"/componium/tempo",
    b"\xff" * 65_507,
    b"/" * 8192,
    b"",
    b"/\xff\xfe\0,\0\0\0",
    message("/componium/tempo", "x" * 2000),
    b"/componium/tempo\0\0\0\0,[[[[f]]]]\0\0\0",
)


def bad(rng: Random) -> bytes:
    """A datagram: one of the killers, or a good one with up to eight things done to it."""
    if rng.random() < 0.02:
        return rng.choice(KILLERS)
    if rng.random() < 0.05:
        return rng.randbytes(rng.choice((1, 4, 20, 400, 8191, 8192)))
    args = rng.choices(VALUES, k=rng.randrange(4))
    data = bytearray(message(f"/componium/{rng.choice(NAMES)}", *_fitting(args)))
    if rng.random() < 0.3:
        data = bytearray(bundle(*[bytes(data)] * rng.randrange(1, 5), tag=rng.getrandbits(64)))
    for _ in range(rng.randrange(1, 9)):
        _mutate(data, rng)
    return bytes(data[:65_507])


def _fitting(args: list[float | str]) -> list[float | str]:
    return [arg if not isinstance(arg, int) or abs(arg) < 2**31 else 1 for arg in args]


def _mutate(data: bytearray, rng: Random) -> None:
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(6)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = rng.randrange(256)
    elif kind == 2:
        del data[at : at + rng.randrange(1, 9)]
    elif kind == 3:
        data[at:at] = rng.choice(INTERESTING)
    elif kind == 4:
        data[at:at] = data[: rng.randrange(1, 40)]
    else:
        data[at // 4 * 4 : at // 4 * 4 + 4] = rng.choice(INTERESTING)


def lateness(receiver: Receiver) -> list[float]:
    """How late each note of the probe came, ms."""
    wall = time.time_ns() - time.monotonic_ns()
    late = []
    for arrival in receiver.drain():
        if arrival.data.startswith(b"/componium/part/probe/note\0"):
            seconds, rest = OscMessage(arrival.data).params[:2]
            late.append((arrival.at + wall) / 1e6 - seconds * 1e3 - rest / 1e3)
    return late


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench fuzz", description=__doc__)
    ask.add_argument("--count", type=int, default=100_000, help="datagrams")
    ask.add_argument("--seed", type=int, default=1821)
    options = ask.parse_args(argv)
    rng, port, receiver = Random(options.seed), free_port(), Receiver()
    good, source = Door(port), Door(port)
    quiet: list[float] = []
    obeyed: list[float] = []
    deaf: list[int] = []
    late: list[float] = []
    memory: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.toml"
        scene.write_text(SCENE.replace("PORT", str(receiver.port)))
        show = Show(
            Path(name), scene, "--midi", "none", "--control", str(port), "--horizon-ms", "20"
        )
        try:
            good.knock("/componium/tempo", 240.0)
            time.sleep(1)
            quiet += [good.ask("/componium/part/probe/level", 1.0) for _ in range(50)]
            before = lateness(receiver)
            timer = Timer()
            for sent in range(0, options.count, BATCH):
                began = time.monotonic()
                for _ in range(BATCH):
                    source.throw(bad(rng))
                try:
                    obeyed.append(good.ask("/componium/part/probe/level", 1.0))
                except TimeoutError:
                    deaf.append(sent)
                    break
                good.ask("/componium/tempo", 240.0)
                late += lateness(receiver)
                memory.append(show.memory())
                time.sleep(max(0.0, began + BATCH / RATE - time.monotonic()))
            stalled = timer.stop()
            alive = show.process.poll() is None
        finally:
            show.end()
            good.close()
            source.close()
            receiver.close()
    tenth = len(memory) // 10
    grown = (memory[-1] - memory[tenth]) / 2**20 if memory else float("nan")
    rows = [
        ["datagrams", f"{len(memory) * BATCH:,} of {options.count:,}", ""],
        ["still playing", "yes" if alive and not deaf else f"no, deaf after {deaf}", "yes"],
        ["good message obeyed, before: p50, max", _shares(quiet, 0.5), ""],
        ["good message obeyed behind 250 bad ones: p50, max", _shares(obeyed, 0.5), "max ≤ 50 ms"],
        ["notes late, before: p99, max", _shares(before, 0.99), ""],
        ["notes late: p99, max", _shares(late, 0.99), "max ≤ 20 ms"],
        ["a bare timer late meanwhile: max", f"{stalled:.1f} ms", ""],
        ["memory grown after the first tenth", f"{grown:+.1f} MiB", "≤ 2 MiB"],
    ]
    print(table(HEAD, rows))


def _shares(values: list[float], q: float) -> str:
    return f"{quantile(values, q):.1f}, {max(values, default=float('nan')):.1f} ms"
