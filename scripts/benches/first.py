"""From nothing to music: a fresh clone, `scripts/play`, one click, and how long until it sounds.

What a newcomer does, done by a machine: this repository is cloned into an empty folder,
`scripts/play` runs there in a terminal of its own with an empty home, a browser opens the link that
it prints and presses *Listen* once, and the page's own meter tells when there is sound. Packages
come from where pip takes them; nothing that pip has kept is used, unless `--kept`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.rigs.browser import browser

from .receiver import ROOT
from .show import table

BAR = 60.0  # s, all together
HEAD = ["step", "seconds"]
LINK = re.compile(rb"http://127\.0\.0\.1:\d+/#[\w-]+")
SOUND = 0.003  # of full scale; what is nothing is exactly 0
LOUD = f"""new Promise((resolve) => {{
  const heard = new Float32Array(1024);
  const look = () => {{
    componium.sound.meter?.getFloatTimeDomainData(heard);
    if (heard.some((each) => Math.abs(each) > {SOUND})) resolve(performance.now() - window.pressed);
    else setTimeout(look, 2);
  }};
  look();
}})"""


class First(NamedTuple):
    """Seconds. load: until the page shows music.  click: from the press to the first sound."""

    clone: float
    install: float
    start: float
    load: float
    click: float

    @property
    def whole(self) -> float:
        return sum(self)


def spare() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Terminal:
    """A program in a terminal of its own. said: all that it has written."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        mine, its = pty.openpty()
        self._mine, self.said = mine, b""
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=its, stdout=its, stderr=its, start_new_session=True
        )
        os.close(its)
        asyncio.get_running_loop().add_reader(mine, self._read)

    def _read(self) -> None:
        try:
            self.said += os.read(self._mine, 65536)
        except OSError:  # the other end has gone
            asyncio.get_running_loop().remove_reader(self._mine)

    async def until(self, what: re.Pattern[bytes], seconds: float) -> bytes:
        """Wait until it has written something; that. Errors: RuntimeError where it ends before."""
        async with asyncio.timeout(seconds):
            while not (found := what.search(self.said)):
                if self.process.poll() is not None:
                    raise RuntimeError(f"it ended: {self.said.decode(errors='replace')[-2000:]}")
                await asyncio.sleep(0.01)
        return found.group()

    def end(self) -> None:
        """As Ctrl-C does; and at once, where that is not enough."""
        asyncio.get_running_loop().remove_reader(self._mine)
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        os.close(self._mine)


async def measure(chromium: str, folder: Path, kept: bool) -> First:
    """One newcomer. folder: an empty one."""
    home = folder / "home"
    home.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    env |= {"HOME": str(home), "TERM": "xterm"}
    env.pop("VIRTUAL_ENV", None)
    if kept:
        env["PIP_CACHE_DIR"] = os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip"))
    else:
        env["PIP_NO_CACHE_DIR"] = "1"
    began = time.monotonic()
    clone = folder / "componium"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True, env=env)
    cloned = time.monotonic()
    ports = ["--http", str(spare()), "--control", str(spare())]
    play = Terminal([str(clone / "scripts/play"), *ports], clone, env)
    try:
        stamp = clone / ".venv/installed"
        async with asyncio.timeout(600):
            while not stamp.exists():
                if play.process.poll() is not None:
                    raise RuntimeError(f"no install: {play.said.decode(errors='replace')}")
                await asyncio.sleep(0.02)
        installed = time.monotonic()
        link = (await play.until(LINK, 60)).decode()
        started = time.monotonic()
        profile = folder / "chromium"
        profile.mkdir()
        async with browser(chromium, profile) as tab:
            opening = time.monotonic()
            await tab.open(link)
            await tab.until("window.componium?.pulse.last && componium.link.offset !== null")
            loaded = time.monotonic()
            await tab.ask(
                "addEventListener('pointerdown', () => window.pressed ??= performance.now(), true)"
            )
            await tab.click("#listen")
            click = await tab.ask(LOUD) / 1000
            complaints = list(tab.errors)
        if complaints:
            raise RuntimeError(f"the page complains: {complaints}")
    finally:
        play.end()
    return First(
        cloned - began, installed - cloned, started - installed, loaded - opening, float(click)
    )


def main(arguments: list[str]) -> None:
    """Measure; status 1 where the bar is missed."""
    parser = argparse.ArgumentParser(prog="scripts/bench first", description=__doc__)
    parser.add_argument("--kept", action="store_true", help="take what pip has kept of packages")
    parser.add_argument("--times", type=int, default=1, help="how often (default 1)")
    asked = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("This needs Chromium (Debian, Ubuntu: apt install chromium).", file=sys.stderr)
        raise SystemExit(2)
    missed = False
    for _ in range(max(asked.times, 1)):
        with tempfile.TemporaryDirectory(prefix="componium-") as name:
            found = asyncio.run(measure(chromium, Path(name), asked.kept))
        rows = [
            ("clone", found.clone),
            ("install", found.install),
            ("start, until the link is there", found.start),
            ("page", found.load),
            ("one click, until it sounds", found.click),
            (f"all together (bar: {BAR:.0f})", found.whole),
        ]
        print(table(HEAD, [[step, f"{seconds:.2f}"] for step, seconds in rows]))
        missed |= found.whole > BAR
    raise SystemExit(1 if missed else 0)
