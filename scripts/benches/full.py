"""The band's timing while everything is attached: `scripts/bench timing --desk`.

`componium play` as a user starts it, a note for each part on every sixteenth at 240 BPM by OSC to a
UDP socket (kernel stamps), and how far each is from the best-fitting exact grid; by turns *quiet*,
nobody there, and *desk*: a Chromium with the page open at the size of a phone, its roll running and
its sound on; a mosquitto, with a subscriber that hears all; a Link session with another member,
which leads the tempo. *desk, page apart* is the same with Chromium at the lowest priority (`nice
19`): what a page on another machine, as a phone is, would leave to us. All of it shares the cores
of this machine and a network of its own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiomqtt import Client

from server.desk.keys import the_token
from tests.rigs.browser import Browser, browser
from tests.rigs.mosquitto import Mosquitto

from .door import Door, free_port
from .member import Member
from .receiver import Receiver, grid_errors, quantile
from .sender import scene_text
from .show import Show, table
from .timer import Timer

STEP = 62.5e6  # ns
SETTLED = 3.0  # s until everybody has come
STATES = ("quiet", "desk", "desk, page apart")
BARS = {16: "p50 ≤ 40, p99 ≤ 200", 64: "p99 ≤ 600"}
HEAD = [
    *("parts", "", "p50 µs", "p99", "p99.9", "max", "delivered", "bar", "bare timer max ms"),
    *("planner", "wire", "Chromium", "page: notes/s", "MQTT: messages/s", "Link"),
]


@dataclass
class Found:
    """What one state has given, all its rounds together. errors: µs.  wanted: notes."""

    errors: list[float] = field(default_factory=list)
    wanted: float = 0.0
    stall: float = 0.0
    seconds: float = 0.0
    planner: float = 0.0
    wire: float = 0.0
    page: float = 0.0
    sounded: int = 0
    told: int = 0
    link: set[str] = field(default_factory=set)


def spent(pids: Iterator[int]) -> float:
    """Processor seconds of these processes, as far as they are still there."""
    ticks = 0
    for pid in pids:
        with suppress(OSError, IndexError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def called(text: str) -> Iterator[int]:
    """Processes with this in their command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if text.encode() in (folder / "cmdline").read_bytes():
                yield int(folder.name)


class Desk:
    """Who is attached. tab: the page.  heard: messages of the broker so far."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.tab: Browser | None = None
        self.heard = 0

    async def broker(self) -> str:
        """Start one, and hear all that it has; where it is, for `--mqtt`."""
        there = self._stack.enter_context(Mosquitto(self._folder))
        client = await self._stack.enter_async_context(Client("127.0.0.1", there.port))
        await client.subscribe("#")

        async def count() -> None:
            async for _ in client.messages:
                self.heard += 1

        task = asyncio.create_task(count())
        self._stack.callback(task.cancel)
        return f"127.0.0.1:{there.port}/bench"

    def peer(self) -> None:
        """Another member of a Link session, at 240 BPM."""
        self._stack.callback(Member(240).close)

    async def page(self, url: str, apart: bool) -> None:
        """Open the page, and have it sound."""
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise RuntimeError("apt install chromium")
        profile = self._folder / "chromium"
        profile.mkdir()
        if apart:
            nice = self._folder / "nice"
            nice.write_text(f'#!/bin/sh\nexec nice -n 19 {program} "$@"\n')
            nice.chmod(0o755)
            program = str(nice)
        tab: Browser = await self._stack.enter_async_context(browser(program, profile))
        await tab.size(390, 844, mobile=True)
        await tab.open(url)
        await tab.until("window.componium?.pulse.last && 1")
        await tab.click("#listen")
        await tab.until("componium.sound.scheduled > 0")
        self.tab = tab

    async def sounded(self) -> int:
        """How many notes the page has given to its instruments."""
        return int(await self.tab.ask("componium.sound.scheduled")) if self.tab else 0


async def measure(parts: int, state: str, seconds: float, into: Found) -> None:
    """One round of one state."""
    control, http, receiver = free_port(), free_port(), Receiver()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        os.environ |= {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
        token = the_token(folder / "componium" / "token")
        (folder / "scene.toml").write_text(scene_text(parts, 240))
        words = ["--midi", "none", "--osc", f"127.0.0.1:{receiver.port}", "--control", str(control)]
        desk = Desk(folder, stack)
        if state != "quiet":
            desk.peer()
            words += ["--http", str(http), "--mqtt", await desk.broker(), "--sync", "link"]
        show = Show(folder, folder / "scene.toml", *words)
        stack.callback(show.kill)
        stack.callback(show.end)
        door = Door(control)
        stack.callback(door.close)
        await asyncio.to_thread(door.knock, "/componium/part/p0/level", 1.0)
        if state != "quiet":
            await desk.page(f"http://127.0.0.1:{http}/#{token}", state != "desk")
        await asyncio.sleep(SETTLED)
        timer, wire = Timer(), show.wires()["osc"]
        who = {
            "planner": [show.pid],
            "wire": [wire],
            "page": list(called(str(folder / "chromium"))),
        }
        before = {name: spent(iter(pids)) for name, pids in who.items()}
        counts = desk.heard, await desk.sounded()
        began, wall = time.monotonic(), time.time_ns()
        await asyncio.sleep(seconds)
        until, took = time.time_ns(), time.monotonic() - began
        into.told += desk.heard - counts[0]
        into.sounded += await desk.sounded() - counts[1]
        for name, pids in who.items():
            more = spent(iter(pids)) - before[name]
            setattr(into, name, getattr(into, name) + more)
        into.stall, into.seconds = max(into.stall, timer.stop()), into.seconds + took
        if desk.tab is not None:
            link = await desk.tab.ask("componium.store.get('/componium/sync/state')")
            into.link.add(str(link))
    stamps = [
        each.ns for each in receiver.stop() if b"/note\0" in each.data and wall <= each.ns <= until
    ]
    into.errors += [abs(error) / 1000 for error in grid_errors(stamps, STEP)]
    into.wanted += took * 1e9 / STEP * parts


def row(parts: int, state: str, found: Found) -> list[str]:
    figures = [f"{quantile(found.errors, q):,.0f}" for q in (0.5, 0.99, 0.999, 1.0)]
    cells = [str(parts), state, *figures, f"{len(found.errors) / found.wanted:.1%}"]
    cells += [BARS.get(parts, ""), f"{found.stall:.1f}"]
    cells += [f"{each / found.seconds:.1%}" for each in (found.planner, found.wire)]
    if state == "quiet":
        return [*cells, "", "", "", ""]
    cells += [f"{found.page / found.seconds:.0%}"]
    cells += [f"{each / found.seconds:,.0f}" for each in (found.sounded, found.told)]
    return [*cells, ", ".join(sorted(found.link))]


def full(parts: list[int], seconds: float, rounds: int) -> None:
    """Print the table."""
    rows = []
    for number in parts:
        found = {state: Found() for state in STATES}
        for _ in range(rounds):
            for state in STATES:
                asyncio.run(measure(number, state, seconds / rounds, found[state]))
        rows += [row(number, state, each) for state, each in found.items()]
    print(table(HEAD, rows))
