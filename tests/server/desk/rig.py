"""A player on a tape with a desk, driven in virtual time: what the tests of the desk share."""

from __future__ import annotations

import asyncio
from pathlib import Path

from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Troubled
from server.concert.player import Player
from server.desk.desk import Desk, Source
from server.desk.tree import Value
from server.ensemble.rack import Rack, Tape
from server.score.scene import Scene, load_scene, parse_scene

MS = 1_000_000
SECOND = 1000 * MS

SCENE = """
tempo = 120
[controls]
arousal = 0.5
[outputs.game]
osc = "127.0.0.1:9000"
[parts.melody]
engine = "grammar"
rules = "S -> C D E F"
grid = "1/4"
[parts."low drums"]
engine = "grammar"
rules = "S -> Kick Snare"
grid = "1/4"
"""
OTHER = SCENE.replace("melody", "solo").replace("tempo = 120", "tempo = 90")

Receipt = tuple[str, str, float, str]


def forbidden(path: str, style: str) -> Scene:
    raise AssertionError(f"nothing may be loaded, but {path} was")


class Stage:
    """clock, tape, player, desk, what the journal heard and what a sender was answered."""

    def __init__(self, folder: Path | None = None, cued: bool = True) -> None:
        self.clock, self.tape, self.journal = VirtualClock(10**9), Tape(), list[Entry]()
        self.player = Player(self.clock, lambda ids: Rack({"osc": self.tape}, ids), wall=lambda: 0)
        self.player.journal.add(self.journal.append)
        if cued:
            self.player.cue(parse_scene(SCENE, "first"))
        load = forbidden if folder is None else (lambda path, style: load_scene(Path(path), style))
        self.desk = Desk(self.player, load, folder)
        self.receipts: list[Receipt] = []
        self.source = self.sender("osc 127.0.0.1:5000")

    def sender(self, name: str) -> Source:
        def answer(address: str, values: tuple[Value, ...]) -> None:
            assert address == "/componium/receipt"
            about, state, bar, reason = values
            assert isinstance(bar, float)
            self.receipts.append((str(about), str(state), bar, str(reason)))

        return Source(name, answer=answer)

    def send(self, address: str, *args: object) -> list[Receipt]:
        """Send to an address below /componium; the receipts that came at once."""
        self.receipts.clear()
        self.desk.receive("/componium" + address, args, self.source)
        return list(self.receipts)

    async def pass_time(self, ns: int) -> None:
        """Let the player do what it would in this time."""
        end = self.clock.now() + ns
        while self.clock.now() < end:
            self.clock.jump(min(25 * MS, end - self.clock.now()))
            self.player.wake()
            await asyncio.sleep(0)

    async def loaded(self) -> None:
        """Wait for the scene that is being loaded."""
        while self.desk.loading:
            await asyncio.sleep(0.001)

    @property
    def troubles(self) -> list[str]:
        return [entry.text for entry in self.journal if isinstance(entry, Troubled)]
