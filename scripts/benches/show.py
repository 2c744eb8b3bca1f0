"""A performance to be measured: `componium play` as a user starts it, and what to do to it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from server.concert.clock import JumpClock
from server.concert.journal import Played
from server.concert.player import Player
from server.ensemble.rack import Rack, Tape
from server.score.scene import load_scene, routed
from tests.rigs.jack import ROOT, JackServer

COMPONIUM = (sys.executable, "-m", "server.cli")


class Show:
    """A running `componium play SCENE OPTIONS`; beside a JACK server, or alone.

    What it prints goes to `show.log` in the folder.  It has no page unless `--http` says so.
    """

    def __init__(
        self, folder: Path, scene: Path | str, *options: str, jack: JackServer | None = None
    ) -> None:
        page = () if "--http" in options else ("--http", "0")
        command = [*COMPONIUM, "play", str(scene), "--quiet", *page, *options]
        self.started = time.monotonic_ns()
        if jack is not None:
            self.process: subprocess.Popen[str] = jack.popen(command, pipes=False, log="show.log")
            return
        with (folder / "show.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> int:
        """Send a signal to the planner; monotonic ns of it."""
        at = time.monotonic_ns()
        os.kill(self.pid, number)
        return at

    def wires(self) -> dict[str, int]:
        """The wire processes by their kind, found by what they have loaded."""
        found = {}
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            folder = Path("/proc") / child
            if b"server.wire" in (folder / "cmdline").read_bytes().split(b"\0"):
                kind = "midi" if "rtmidi" in (folder / "maps").read_text() else "osc"
                found[kind] = int(child)
        return found

    def ear(self) -> int:
        """The process that hears MIDI inputs. Errors: ProcessLookupError where there is none."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        for child in children:
            if b"server.wire.hearing" in (Path("/proc") / child / "cmdline").read_bytes():
                return int(child)
        raise ProcessLookupError("nobody hears MIDI")

    def resident(self) -> int:
        """Resident bytes of the planner."""
        return _resident(self.pid)

    def memory(self) -> int:
        """Resident bytes of the planner and its wires."""
        return sum(_resident(pid) for pid in (self.pid, *self.wires().values()))

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Number and resident bytes of each process. Errors: OSError where one has just gone."""
        wires = {f"its {kind} wire": pid for kind, pid in self.wires().items()}
        pids = {"planner": self.pid, **wires, "its ear": self.ear()}
        return {name: (pid, _resident(pid)) for name, pid in pids.items()}

    def wait(self, patience: float = 10.0) -> tuple[int, float]:
        """Wait for its end: its status (negative: killed by that signal) and the seconds."""
        began = time.monotonic()
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            status = 0
            self.kill()
        return status, time.monotonic() - began

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end: its status and the seconds it took."""
        self.send(number)
        return self.wait()

    def kill(self) -> None:
        """Make sure that it is gone; its wires end by themselves."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def written(scene: Path, seed: int | None, bars: int) -> list[Played]:
    """What an undisturbed performance of a scene plays."""
    loaded = routed(load_scene(scene), "virtual")
    if seed is not None:
        loaded = loaded.with_seed(seed)
    played: list[Played] = []
    player = Player(JumpClock(), lambda ids: Rack({"midi": Tape()}, ids), horizon=10**9)
    player.journal.add(lambda entry: played.append(entry) if isinstance(entry, Played) else None)
    player.cue(loaded)
    player.play(end_bar=bars)
    asyncio.run(player.run())
    return played


def grid_scene(parts: int, tempo: float, rules: str, more: str = "") -> str:
    """So many parts, each on a channel of its own, under the same rules."""
    tables = [
        f'[parts.p{n}]\nengine = "grammar"\nrules = "{rules}"\nchannel = {n}\n{more}\n'
        for n in range(1, parts + 1)
    ]
    return f"tempo = {tempo:g}\n" + "\n".join(tables)


def row(cells: Iterable[object]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join(map(row, [head, ["---"] * len(head), *rows])) + "\n"
