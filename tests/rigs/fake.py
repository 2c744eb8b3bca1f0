"""A wire in virtual time, and a port that records, blocks, fails and vanishes when told."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from server.wire import protocol
from server.wire.machine import FAR, Wire
from server.wire.ports import Absent, Port
from server.wire.protocol import Event

MS = 1_000_000


class FakePort:
    """Records (nanoseconds, bytes).

    full: there is no room.  slow: what was sent is not out yet.  gone: why it is not there, or "".
    shut: it was closed.
    """

    def __init__(self, stage: Stage, midi: bool) -> None:
        self.stage, self.midi = stage, midi
        self.sent: list[tuple[int, bytes]] = []
        self.deaf = self.full = self.shut = False
        self.rejoined = self.heavy = self.slow = False
        self.connections: list[str] = []
        self.trouble = ""
        self.gone = ""

    def open(self) -> None:
        self._be_there()

    def send(self, data: bytes) -> bool:
        self._be_there()
        if not self.full:
            self.sent.append((self.stage.now, data))
        return not self.full

    def watch(self, now: int, calm: bool) -> bool:
        self._be_there()
        rejoined, self.rejoined = self.rejoined, False
        return rejoined

    def flushed(self) -> bool:
        return not self.slow

    def close(self) -> None:
        self.shut = True

    def _be_there(self) -> None:
        if self.gone:
            raise Absent(self.gone)

    @property
    def bytes(self) -> list[bytes]:
        return [data for _, data in self.sent]


class Stage:
    """A wire, its planner's voice, and a clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1_000 * MS
        self.said: list[tuple[int, Any]] = []
        self._frames = protocol.Frames()
        self.ports: dict[int, FakePort] = {}
        self.missing: dict[int, str] = {}
        self.wire = Wire(self._hear, lambda: self.now, self._build)

    def _hear(self, data: bytes, skippable: bool) -> None:
        for kind, body in self._frames.feed(data):
            self.said.append((kind, json.loads(body) if body else None))

    def _build(self, settings: dict[str, Any]) -> Port:
        port = FakePort(self, settings["kind"] == "midi")
        port.gone = self.missing.get(settings["port"], "")
        self.ports[settings["port"]] = port
        return port

    def open(self, number: int = 0, kind: str = "midi", **settings: Any) -> FakePort:
        self.tell(protocol.json_frame(protocol.OPEN, {"port": number, "kind": kind, **settings}))
        return self.ports[number]

    def tell(self, data: bytes) -> None:
        """Frames from the planner, attended to at once."""
        self.wire.feed(data)
        while self.wire.attend():
            pass

    def play(self, events: Iterable[Event]) -> None:
        records = b"".join(map(protocol.pack_event, events))
        self.tell(protocol.frame(protocol.EVENTS, records))

    def run(self, milliseconds: float, beating: bool = True) -> None:
        """Let time pass, from deadline to deadline; the planner lives where it is `beating`."""
        until = self.now + int(milliseconds * MS)
        while True:
            moment = min(self.wire.next_due(), self.wire.next_tick())
            if moment > until:
                break
            self.now = max(self.now, moment)
            if beating:
                self.wire.feed(protocol.frame(protocol.BEAT))
                self.wire.attend()
            self.wire.send_due()
            if self.now >= self.wire.next_tick():
                self.wire.tick()
        self.now = until

    def idle(self) -> bool:
        """Whether nothing is queued, sounding or waiting for room."""
        wire = self.wire
        held = any(output.held or output.latest for output in wire.outputs.values())
        return not (wire.queued or wire.sounding or held) and wire.next_due() == FAR


def note(
    identity: int, due: int, end: int, pitch: int = 60, channel: int = 0, part: int = 0,
    port: int = 0, late: int = protocol.LATE_DROP,
) -> Event:  # fmt: skip
    """A MIDI note; due and end in milliseconds."""
    return Event(
        identity, due * MS, end * MS, part, port, protocol.RANK_NOTE, late,
        bytes((0x90 | channel, pitch, 100)), bytes((0x80 | channel, pitch, 0)),
    )  # fmt: skip


def plain(
    identity: int, due: int, data: bytes, part: int = 0, port: int = 0,
    rank: int = protocol.RANK_CONTROL, late: int = protocol.LATE_SEND,
) -> Event:  # fmt: skip
    """An event without an end; due in milliseconds."""
    return Event(identity, due * MS, 0, part, port, rank, late, data)
