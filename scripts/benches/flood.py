"""Ten thousand OSC messages a second from another process, while a band under a conductor plays.

* notes: how late each comes (kernel stamp) after the moment it was meant for, which it carries
  (`timing = "stamp"`): quiet, flooded, quiet and so on, in one run of one server;
* what became of the messages: sent; lost before they were read (the kernel's count); dropped, as
  over the limits of a sender or of all; receipts by state. A value that another took the place of
  while it waited has no receipt;
* afterwards: of how many controls the value is the last one that was sent (levels, densities,
  octaves and the mood; tempo and tension are what the mood, which comes after, makes of them);
* panic: from the panic that is sent amid the flood until the last end of a note has come, and that
  nothing sounds after it.

One sender is allowed 5,000 messages a second and all together 10,000, so by default there are four.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote
from urllib.request import urlopen

from pythonosc.osc_message import OscMessage

from server.score.scene import parse_scene
from tests.rigs.udp import Arrival, Receiver

from .door import Door, free_port
from .flooder import Flood
from .full import spent
from .ledgers import Ledger
from .receiver import quantile
from .sender import conducted_text
from .show import Show, table
from .timer import Timer

OUTPUT = '\n[outputs.game]\nosc = "127.0.0.1:{}"\ntiming = "stamp"\n'
LED = ("/componium/tempo", "/componium/tension")  # by the mood
SETTLED = 0.5  # s after which a panic has surely been obeyed
HEAD = ["notes", "count", "p50 µs", "p99", "p99.9", "max", "bare timer max ms", "planner"]


@dataclass
class Heard:
    """late: µs of each note.  ledger: what sounds."""

    late: list[float] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    ended: int = 0

    def take(self, arrivals: list[Arrival]) -> None:
        wall = time.time_ns() - time.monotonic_ns()
        for arrival in arrivals:
            *_, part, what = arrival.data.split(b"\0", 1)[0].decode().rsplit("/", 2)
            if what not in ("note", "off"):
                continue
            seconds, rest, pitch = OscMessage(arrival.data).params[:3]
            if what == "off":
                self.ledger.off((part, pitch))
                self.ended = arrival.at
                continue
            self.ledger.on((part, pitch), arrival.at)
            self.late.append((arrival.at + wall - seconds * 10**9) / 1e3 - rest)


def lost(port: int) -> int:
    """Datagrams that a UDP port of this machine had no room for."""
    lines = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    return sum(int(w[12]) for w in lines if int(w[1].rpartition(":")[2], 16) == port)


def dropped(log: Path) -> Counter[str]:
    """What the server says it did not take, by kind."""
    found: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        for kind, said in (("messages dropped", "sends"), ("malformed datagrams", "osc 127")):
            if said in line and (more := re.search(rf"\((\d+) more {kind}", line)):
                found[kind] += 1 + int(more[1])
    return found


def in_force(page: int, last: dict[str, list[float]]) -> tuple[int, list[str]]:
    """Of how many controls the value can be read, and of which it is not the last one sent."""
    known, wrong = 0, []
    for address, sent in last.items():
        if address in LED:
            continue
        with urlopen(f"http://127.0.0.1:{page}{quote(address)}?VALUE", timeout=5) as answer:
            values = json.load(answer).get("VALUE")
        if values:
            known += 1
            if any(abs(a - b) > 1e-4 * abs(b) for a, b in zip(values, sent, strict=False)):
                wrong.append(f"{address} is {values}, sent was {sent}")
    return known, wrong


def main(argv: list[str]) -> None:
    """Print the tables."""
    ask = argparse.ArgumentParser(prog="bench flood", description=__doc__)
    ask.add_argument("--seconds", type=float, default=60, help="of flood, and of quiet, in all")
    ask.add_argument("--rounds", type=int, default=3, help="of quiet and flood by turns")
    ask.add_argument("--panics", type=int, default=20)
    ask.add_argument("--rate", type=int, default=10_000, help="messages a second in all")
    ask.add_argument("--senders", type=int, default=4)
    ask.add_argument("--seed", type=int, default=1821)
    options = ask.parse_args(argv)
    rng, port, page, receiver = Random(options.seed), free_port(), free_port(), Receiver()
    door, text = Door(port), conducted_text(240) + OUTPUT.format(receiver.port)
    parts = [part.name for part in parse_scene(text).parts]
    late: dict[str, list[float]] = {"quiet": [], "flooded": []}
    stalls = {"quiet": 0.0, "flooded": 0.0}
    busy = {"quiet": 0.0, "flooded": 0.0}  # seconds of the planner
    sent: Counter[str] = Counter()
    receipts: Counter[str] = Counter()
    took, controls, wrong, panics, after = 0.0, 0, [], [], 0
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.toml"
        scene.write_text(text)
        options_of = ("--midi", "none", "--control", str(port), "--http", str(page))
        show = Show(Path(name), scene, *options_of)

        def flood() -> Flood:
            return Flood(port, options.rate, options.senders, rng.randrange(2**31), parts)

        def end(flooding: Flood) -> None:
            nonlocal took, controls
            told = flooding.stop()
            took += told["took"]
            sent.update(told["sent"])
            receipts.update(told["receipts"])
            time.sleep(1)
            known, bad = in_force(page, told["last"])
            controls += known
            wrong.extend(bad)

        try:
            door.knock("/componium/tempo", 240.0)
            time.sleep(1)
            for _ in range(options.rounds):
                for state in ("quiet", "flooded"):
                    flooding = flood() if state == "flooded" else None
                    time.sleep(0.5)
                    receiver.drain()
                    timer, heard, until = Timer(), Heard(), time.monotonic()
                    busy[state] -= spent(iter([show.pid]))
                    until += options.seconds / options.rounds
                    while (left := until - time.monotonic()) > 0:
                        time.sleep(min(left, 1))
                        heard.take(receiver.drain())
                    busy[state] += spent(iter([show.pid]))
                    stalls[state] = max(stalls[state], timer.stop())
                    late[state] += heard.late
                    if flooding is not None:
                        end(flooding)
            flooding = flood() if options.panics else None
            for _ in range(options.panics):
                assert flooding is not None
                door.knock("/componium/play")
                time.sleep(rng.uniform(0.5, 1.0))
                heard = Heard()
                heard.take(receiver.drain())
                at = flooding.panic()
                time.sleep(SETTLED)
                heard.ended = 0
                heard.take(receiver.drain())
                panics.append(max(0, heard.ended - at) / 1e6)
                after += len(heard.ledger.sounding)
            if flooding is not None:
                end(flooding)
            overflowed = lost(port)
            time.sleep(5.5)  # the last complaints are told
        finally:
            show.end()
            door.close()
            receiver.close()
        refused = dropped(Path(name) / "show.log")
    rows = [
        [
            state,
            f"{len(values):,}",
            *(f"{quantile(values, q):,.0f}" for q in (0.5, 0.99, 0.999, 1.0)),
            f"{stalls[state]:.1f}",
            f"{busy[state] / options.seconds:.0%}",
        ]
        for state, values in late.items()
    ]
    print(table(HEAD, rows))
    total = sum(sent.values())
    ratio = quantile(late["flooded"], 0.99) / quantile(late["quiet"], 0.99)
    figures = [
        ["p99 flooded / quiet", f"{ratio:.2f}", "≤ 2"],
        ["messages sent", f"{total:,} in {took:.1f} s, {total / took:,.0f}/s", ""],
        ["of them", ", ".join(f"{kind} {n:,}" for kind, n in sent.most_common()), ""],
        ["not read, for want of room", f"{overflowed:,} ({overflowed / total:.2%})", ""],
        ["said to be dropped", ", ".join(f"{k} {n:,}" for k, n in refused.items()) or "none", ""],
        ["receipts", ", ".join(f"{k} {n:,}" for k, n in receipts.most_common()), ""],
        ["controls whose value is not the last one sent", f"{len(wrong)} of {controls}", "0"],
    ]
    if panics:
        spread = ", ".join(f"{quantile(panics, q):.1f}" for q in (0.5, 0.99, 1.0))
        figures += [
            [f"panic to the last end, {len(panics)}: p50, p99, max", f"{spread} ms", "max ≤ 100"],
            ["still sounding after a panic", str(after), "0"],
        ]
    print(table(["what", "figure", "bar"], figures))
    for line in wrong[:20]:
        print(f"- {line}")
