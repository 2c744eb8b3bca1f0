"""A planner to be killed: plays random notes for ever, MIDI and OSC, as the real player would.

`python -m tests.rigs.planner [--midi NAME] [--titles A,B] [--osc PORT] [--seed N]` prints one line
of JSON for each thing that happens ({"at": ns, "what": …}), and ends properly on SIGTERM, or when
its standard input ends, as it does when whoever started it is killed. It has a MIDI port for each
title.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import selectors
import signal
import struct
import sys
import time
from typing import Any

from server.wire.link import Link
from server.wire.protocol import LATE_DROP, RANK_NOTE, Event

MS = 1_000_000
HORIZON, STEP = 100 * MS, 20 * MS


def say(what: str, **more: Any) -> None:
    print(json.dumps({"at": time.monotonic_ns(), "what": what, **more}), flush=True)


class Player:
    """Steps of 20 ms, kept until their time has passed, so that they can be performed again."""

    def __init__(self, seed: int, midi: str, titles: list[str], osc: int) -> None:
        self._rng = random.Random(seed)
        self._planned: list[tuple[str, Event]] = []
        self._identity = 0
        self._next = 0
        self.links: dict[str, Link] = {}
        self._ports: dict[str, list[dict[str, Any]]] = {}
        if midi:
            self._link("midi", [{"name": midi, "title": title} for title in titles])
        if osc:
            self._link("osc", [{"host": "127.0.0.1", "number": osc}])

    def _link(self, kind: str, ports: list[dict[str, Any]]) -> None:
        self.links[kind] = Link(
            on_state=lambda port, state, why: say(
                "state", kind=kind, port=port, state=state, why=why
            ),
            on_silenced=lambda why: self.perform(kind, "silenced"),
            on_restart=lambda: self.perform(kind, "restart"),
        )
        self._ports[kind] = ports

    async def start(self) -> None:
        for kind, link in self.links.items():
            await link.start()
            for port, settings in enumerate(self._ports[kind]):
                link.open({"port": port, "kind": kind, **settings})
        self._next = time.monotonic_ns() + HORIZON // 2
        self.pids()

    def pids(self) -> None:
        say("pids", **{kind: link.pid for kind, link in self.links.items()})

    def perform(self, kind: str, what: str) -> None:
        say(what, kind=kind)
        self.pids()
        self.links[kind].send(event for to, event in self._planned if to == kind)

    def plan(self) -> None:
        now = time.monotonic_ns()
        self._planned = [item for item in self._planned if item[1].due > now]
        if self._next < now:  # it was us who stood still: go on from here
            self._next = now + STEP
        while self._next < now + HORIZON:
            for _ in range(2):
                self._note(self._next)
            self._next += STEP

    def _note(self, due: int) -> None:
        rng = self._rng
        channel, pitch = rng.randrange(3), rng.randrange(48, 72)
        end = due + rng.randrange(30, 400) * MS
        for kind, link in self.links.items():
            self._identity += 1
            if kind == "midi":
                on, off = bytes((0x90 | channel, pitch, 90)), bytes((0x80 | channel, pitch, 0))
            else:
                tail = struct.pack(">i", self._identity)
                on, off = b"/note\0\0\0,i\0\0" + tail, b"/off\0\0\0\0,i\0\0" + tail
            port = rng.randrange(len(self._ports[kind]))
            event = Event(self._identity, due, end, channel, port, RANK_NOTE, LATE_DROP, on, off)
            self._planned.append((kind, event))
            link.send([event])


async def main(seed: int, midi: str, titles: list[str], osc: int) -> None:
    player = Player(seed, midi, titles, osc)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_reader(sys.stdin, ending.set)
    await player.start()
    while not ending.is_set():
        player.plan()
        await asyncio.sleep(0.01)
    await asyncio.gather(*(link.close() for link in player.links.values()))
    say("closed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--midi", default="")
    parser.add_argument("--titles", default="out")
    parser.add_argument("--osc", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(main(chosen.seed, chosen.midi, chosen.titles.split(","), chosen.osc))
