"""What the page costs: processor time of Chromium and of the planner while it is open.

`componium play` with a note for each part on every sixteenth at 240 BPM, and the page in a Chromium
at the size of a phone: silent and sounding, seen and hidden. The renderer is the page with its
sound, graphics what puts its picture together (in software here, as headless has no graphics card).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from server.desk.keys import the_token
from tests.rigs.browser import Browser, browser

from .door import free_port
from .full import called, spent
from .sender import scene_text
from .show import Show, table

SETTLED = 3.0  # s
FRAMES = """(() => { window.drawn = 0; const { draw } = componium.roll;
componium.roll.draw = function (...all) { window.drawn++; return draw.apply(this, all); }; })()"""
HEAD = ["parts", "page", "renderer", "graphics", "Chromium", "planner", "notes/s", "pictures/s"]
KINDS = {"renderer": b"--type=renderer", "graphics": b"--type=gpu-process"}


def of_kind(folder: Path, kind: bytes) -> list[int]:
    """Processes of this Chromium that are of a kind."""
    found = []
    for pid in called(str(folder)):
        with suppress(OSError):
            if kind in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


async def measure(parts: int, state: str, seconds: float) -> list[str]:
    """One row."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        os.environ |= {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
        token = the_token(folder / "componium" / "token")
        scene = folder / "scene.toml"
        scene.write_text(scene_text(parts, 240))
        http, control = free_port(), free_port()
        words = ["--midi", "none", "--http", str(http), "--control", str(control)]
        show = Show(folder, scene, *words)
        stack.callback(show.kill)
        stack.callback(show.end)
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise RuntimeError("apt install chromium")
        if state != "none":
            profile = folder / "chromium"
            profile.mkdir()
            tab: Browser = await stack.enter_async_context(browser(program, profile))
            await tab.size(390, 844, mobile=True)
            await tab.open(f"http://127.0.0.1:{http}/#{token}")
            await tab.until("window.componium?.pulse.last && 1")
            await tab.ask(FRAMES)
            if "sounding" in state:
                await tab.click("#listen")
                await tab.until("componium.sound.scheduled > 0")
            if "hidden" in state:
                # Another tab in front: frames stop, timers go on once a second.
                await tab.call("Target.createTarget", url="about:blank")
                await tab.until("document.hidden")
        await asyncio.sleep(SETTLED)
        who = {name: of_kind(folder, kind) for name, kind in KINDS.items()}
        who |= {"Chromium": list(called(str(folder / "chromium"))), "planner": [show.pid]}
        before = {name: spent(iter(pids)) for name, pids in who.items()}
        counts = [0, 0]
        ask = "[componium.sound.scheduled, window.drawn]"
        if state != "none":
            counts = await tab.ask(ask)
        await asyncio.sleep(seconds)
        costs = [f"{(spent(iter(pids)) - before[n]) / seconds:.1%}" for n, pids in who.items()]
        rates = counts
        if state != "none":
            rates = [(b - a) / seconds for a, b in zip(counts, await tab.ask(ask), strict=True)]
    return [str(parts), state, *costs, *(f"{rate:,.0f}" for rate in rates)]


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench page", description=__doc__)
    ask.add_argument("--seconds", type=float, default=20)
    ask.add_argument("--parts", type=int, nargs="*", default=[8, 16, 64])
    states = ["none", "silent", "sounding", "sounding, hidden"]
    ask.add_argument("--states", nargs="*", default=states)
    options = ask.parse_args(argv)
    rows = [
        asyncio.run(measure(parts, state, options.seconds))
        for parts in options.parts
        for state in options.states
    ]
    print(table(HEAD, rows))
