"""A flood of OSC from a process of its own: what a control surface gone mad, or a game, may send.

`python -m scripts.benches.flooder PORT RATE SENDERS SEED PART …` sends RATE messages a second in
all, evenly, from so many sockets by turns: levels, octaves and densities of parts, tempi, moods,
unknown addresses and malformed datagrams. A line `panic` on its standard input sends that amid the
rest, and is answered with the monotonic ns just before; `stop` ends the flood, and one line of JSON
tells it: messages sent by kind, receipts by state, the last value sent to each control.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, NamedTuple

from .door import message
from .receiver import ROOT

POOL = 8192  # different messages
TURN = 0.001  # s between two handfuls
STATES = (b"done", b"armed", b"refused", b"superseded", b"cancelled")
PANIC = message("/componium/panic")


class Drop(NamedTuple):
    """kind: what it is.  address, values: what it sets, or "" where nothing is to come of it."""

    kind: str
    address: str
    values: tuple[float, ...]
    data: bytes


def drop(rng: Random, parts: list[str]) -> Drop:
    """One message of the flood."""
    part = f"/componium/part/{rng.choice(parts)}"
    kind, address, values = rng.choice((
        ("level", f"{part}/level", (0.5 + rng.random(),)),
        ("level", f"{part}/level", (0.5 + rng.random(),)),
        ("density", f"{part}/density", (0.5 + rng.random() / 2,)),
        ("octave", f"{part}/octave", (float(rng.randrange(-1, 2)),)),
        ("tempo", "/componium/tempo", (rng.uniform(180, 300),)),
        ("mood", "/componium/mood", (rng.uniform(-1, 1), rng.uniform(-1, 1))),
        ("tension", "/componium/tension", (rng.random(),)),
        ("unknown", f"/componium/nowhere/{rng.randrange(1000)}", (rng.random(),)),
    ))  # fmt: skip
    if kind != "level" or rng.random() < 0.8:
        return Drop(kind, "" if kind == "unknown" else address, values, message(address, *values))
    data = bytearray(message(address, *values))
    del data[rng.randrange(1, len(data)) :]
    return Drop("malformed", "", (), bytes(data))


class Flood:
    """Begins at once. parts: of the scene.  senders: how many sockets."""

    def __init__(self, port: int, rate: int, senders: int, seed: int, parts: Iterable[str]) -> None:
        words = [str(each) for each in (port, rate, senders, seed, *parts)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benches.flooder", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def panic(self) -> int:
        """Have a panic sent; monotonic ns of it."""
        self._say("panic")
        return int(self._line())

    def stop(self) -> dict[str, Any]:
        self._say("stop")
        told: dict[str, Any] = json.loads(self._line())
        self._process.communicate()
        return told

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def main(port: int, rate: int, senders: int, seed: int, parts: list[str]) -> None:
    rng = Random(seed)
    pool = [drop(rng, parts) for _ in range(POOL)]
    sockets = []
    for _ in range(senders):
        sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sockets[-1].connect(("127.0.0.1", port))
        sockets[-1].setblocking(False)
        sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sent: Counter[int] = Counter()
    last: dict[str, tuple[float, ...]] = {}
    states: Counter[str] = Counter()
    number, began, word = 0, time.monotonic(), ""
    print("flooding", flush=True)
    while word != "stop":
        due = int((time.monotonic() - began) * rate)
        while number < due:
            which = rng.randrange(POOL)
            sockets[number % senders].send(pool[which].data)
            sent[which] += 1
            if pool[which].address:
                last[pool[which].address] = pool[which].values
            number += 1
        if select.select([sys.stdin], (), (), 0)[0]:
            word = sys.stdin.readline().strip() or "stop"
            if word == "panic":
                print(time.monotonic_ns(), flush=True)
                sockets[0].send(PANIC)
        hear(sockets, states)
        time.sleep(TURN)
    took = time.monotonic() - began
    time.sleep(0.5)
    hear(sockets, states)
    kinds: Counter[str] = Counter()
    for which, times in sent.items():
        kinds[pool[which].kind] += times
    print(json.dumps({"took": took, "sent": kinds, "receipts": states, "last": last}), flush=True)


def hear(sockets: list[socket.socket], states: Counter[str]) -> None:
    """Count the receipts that have come."""
    for each in sockets:
        try:
            while True:
                data = each.recv(4096)
                states[next((name.decode() for name in STATES if name + b"\0" in data), "?")] += 1
        except BlockingIOError:
            continue


if __name__ == "__main__":
    port, rate, senders, seed = map(int, sys.argv[1:5])
    main(port, rate, senders, seed, sys.argv[5:])
