"""The real pieces together: clock, wires, player, desk and listeners, from curtain to curtain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engines.base import Mistake

from .clock import RealClock
from .journal import Entry, Journal, Moved, Ported, Troubled
from .player import Player
from .rack import Rack
from .scene import Scene, find_scene, load_scene, routed
from .wire.link import Link

#: What `play` may wait for its ports to open before the first beat.
OPENING = 0.5
CONTROL_PORT = 1821


@dataclass(frozen=True)
class Wish:
    """What the command line asks of a performance.

    horizon: nanoseconds to plan ahead.  bars, seconds: when to end; 0 for never.
    control: UDP port for control by OSC on loopback; 0 for none.  insisted: whether that port
    was asked for, so that playing without it would be wrong.
    """

    midi: str = ""
    osc: tuple[str, ...] = ()
    bars: int = 0
    seconds: float = 0.0
    horizon: int = 100_000_000
    control: int = CONTROL_PORT
    insisted: bool = False


@dataclass
class Health:
    """What wires say about themselves, for whoever shows it. stats: by kind, see `wire.loop`."""

    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    control: str = ""


class Stage:
    """One performance. `play` returns when it is over; the wires are silent and gone by then."""

    def __init__(self, scene: Scene, wish: Wish, journal: Journal, health: Health) -> None:
        self.wish, self.journal, self.health = wish, journal, health
        self._scene = scene
        self._links: dict[str, Link] = {}
        self._left = 0
        self._settled = asyncio.Event()
        self._ports: dict[tuple[str, int], str] = {}
        self.player = Player(
            RealClock(),
            lambda ids: Rack(self._links, ids),
            journal,
            wish.horizon,
            boot=_boottime(),
        )

    def load(self, name: str) -> Scene:
        """A scene as this performance plays it. Errors: Mistake."""
        return routed(load_scene(find_scene(name)), self.wish.midi, self.wish.osc)

    def leave(self, number: int) -> None:
        """End the performance because of a signal; the second time, at once."""
        if self._left:
            os._exit(128 + number)  # the wires notice, end every note and go
        self._left = number
        self.player.period = 1_000_000

    async def play(self) -> int:
        """Play until the end, a signal, or for ever; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.leave, number)
        for kind in self._kinds():
            self._links[kind] = self._link(kind)
        self.player.rack.wires.update(self._links)
        desk = None
        try:
            for kind, link in self._links.items():
                try:
                    await link.start()
                except OSError as error:
                    raise Mistake(f"{kind} wire", f"cannot be started: {error}") from None
            desk = await self._open_desk()
            self.player.cue(self._scene)
            await self._ports_open()
            gc.collect()
            gc.freeze()
            self.player.play(self.wish.bars or None)
            until = time.monotonic() + self.wish.seconds if self.wish.seconds else float("inf")
            await self.player.run(lambda: bool(self._left) or time.monotonic() >= until)
            self.player.stop()
        finally:
            if desk is not None:
                desk.close()
            await asyncio.gather(*(link.close() for link in self._links.values()))
        return 128 + self._left if self._left else 0

    def _kinds(self) -> list[str]:
        used = {spec.kind for spec in self._scene.outputs.values()}
        if self.wish.control:  # another scene may be called for, and need the other kind
            used |= {"osc"} if self.wish.midi == "none" else {"osc", "midi"}
        return sorted(used)

    def _link(self, kind: str) -> Link:
        player, word = self.player, kind.upper()

        def state(port: int, what: str, why: str) -> None:
            self._ports[kind, port] = what
            player.port_state(kind, port, what, why)
            if all(state for state in self._ports.values()):
                self._settled.set()

        return Link(
            on_state=state,
            on_stats=lambda stats: self.health.stats.__setitem__(kind, stats),
            on_silenced=lambda why: player.wire_silenced(f"{word}: {why}"),
            on_restart=lambda: player.wire_restarted(f"{word}: the wire died; another has begun"),
        )
