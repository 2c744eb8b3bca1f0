"""A wire of few lines for tests, after docs/house.md, and small scenes to play on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from heapq import heappop, heappush
from random import Random
from typing import Any

from engines.base import Controls, Symbol
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Played
from server.concert.player import Player
from server.concert.transport import HORIZON
from server.ensemble.encode import OutputSpec
from server.ensemble.part import PartSpec
from server.ensemble.rack import Rack
from server.ensemble.reading import Reading
from server.music.meter import parse_meters
from server.music.scale import parse_key
from server.score.scene import Scene
from server.wire.protocol import ALL, LATE_DROP, RANK_OFF, Event, concerned

MS = 1_000_000
SECOND = 1000 * MS
TOO_LATE = 100 * MS


class ModelWire:
    """Events by id: queued, sounding, over. `sent` is what left: (ns, bytes, event)."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.ports: dict[int, dict[str, Any]] = {}
        self.opened = 0
        self.queued: dict[int, Event] = {}
        self.sounding: dict[int, Event] = {}
        self.over: set[int] = set()
        self.sent: list[tuple[int, bytes, Event]] = []
        self.late: list[Event] = []
        self._handed: dict[int, int] = {}
        self._heap: list[tuple[int, int, int, int]] = []

    def run(self) -> None:
        """Send everything that was due up to now, in order."""
        now = self.clock.now()
        while self._heap and self._heap[0][0] <= now:
            when, rank, _, identity = heappop(self._heap)
            event = self.queued.get(identity)
            if event is not None and (event.due, event.rank) == (when, rank):
                del self.queued[identity]
                self._begin(max(when, self._handed[identity]), event)
            event = self.sounding.get(identity)
            if event is not None and event.end <= now and (event.end, RANK_OFF) == (when, rank):
                del self.sounding[identity]
                self._finish(when, event)

    def _push(self, when: int, rank: int, event: Event) -> None:
        heappush(self._heap, (when, rank, event.part, event.id))

    def _begin(self, when: int, event: Event) -> None:
        if event.late == LATE_DROP and when - event.due > TOO_LATE:
            self.late.append(event)
            self.over.add(event.id)
            return
        self.sent.append((when, event.on, event))
        if event.end:
            self.sounding[event.id] = event
            self._push(event.end, RANK_OFF, event)
        else:
            self.over.add(event.id)

    def _finish(self, when: int, event: Event) -> None:
        self.over.add(event.id)
        self.sent.append((when, event.off, event))

    def open(self, settings: Mapping[str, Any]) -> None:
        self.ports[settings["port"]] = dict(settings)
        self.opened += 1

    def shut(self, port: int) -> None:
        del self.ports[port]

    def send(self, events: Iterable[Event]) -> None:
        self.run()
        for event in events:
            assert event.port in self.ports
            assert 0 < event.id < 2**64
            if event.id in self.over:
                continue
            if event.id in self.sounding:
                self.sounding[event.id] = event = self.sounding[event.id]._replace(end=event.end)
                self._push(event.end, RANK_OFF, event)
            else:
                self.queued[event.id] = event
                self._handed[event.id] = self.clock.now()
                self._push(event.due, event.rank, event)
        self.run()

    def recall(self, part: int = ALL) -> None:
        self.run()
        for event in list(self.queued.values()):
            if concerned(event.part, part):
                del self.queued[event.id]

    def cut(self, part: int = ALL) -> None:
        self.recall(part)
        for event in list(self.sounding.values()):
            if concerned(event.part, part):
                del self.sounding[event.id]
                self._finish(self.clock.now(), event)

    def silence(self, part: int = ALL) -> None:
        self.cut(part)

    def panic(self, part: int = ALL) -> None:
        self.cut(part)


@dataclass(frozen=True)
class Row:
    """Hands out words in turn, over and over, or chosen by its generator."""

    words: tuple[str, ...]
    times: int = 0
    chance: bool = False

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        given = 0
        while not self.times or given < self.times * len(self.words):
            number = rng.randrange(len(self.words)) if self.chance else given % len(self.words)
            yield Symbol(self.words[number])
            given += 1

    def alphabet(self) -> frozenset[str] | None:
        return frozenset(self.words)


def part(name: str, engine: Any, **fields: Any) -> PartSpec:
    fields.setdefault("grid", Fraction(1, 2))
    fields.setdefault("outputs", ("out",))
    reading = Reading.of(fields.pop("reading", {}))
    return PartSpec(name, engine, "row", reading, **fields)


def row(name: str, words: str, chance: bool = False, times: int = 0, **fields: Any) -> PartSpec:
    return part(name, Row(tuple(words.split()), times, chance), **fields)


OSC = OutputSpec("out", "osc", "127.0.0.1:9000")
MIDI = OutputSpec("out", "midi", "Synth", clock=True)


def scene(*parts: PartSpec, name: str = "one", output: OutputSpec = OSC, **fields: Any) -> Scene:
    plain: dict[str, Any] = {
        "title": name, "tempo": 120.0, "meters": "4/4", "key": "C major", "seed": 1821,
        "phrase": 4, "controls": {},
    }  # fmt: skip
    plain |= fields
    plain["meters"], plain["key"] = parse_meters(plain["meters"]), parse_key(plain["key"])
    outputs = {"out": replace(output, name="out")}
    return Scene(name, parts=parts, outputs=outputs, **plain)


class Stage:
    """A player in virtual time: its clock, its wire and its journal."""

    def __init__(self, piece: Scene, horizon: int = HORIZON, **player: Any) -> None:
        self.clock = VirtualClock(10**12)
        self.wire = ModelWire(self.clock)
        wires = {"osc": self.wire, "midi": self.wire}
        self.player = Player(self.clock, lambda ids: Rack(wires, ids), horizon=horizon, **player)
        self.entries: list[Entry] = []
        self.player.journal.add(self.entries.append)
        self.player.cue(piece)
        self.wake_every = min(self.player.period, 100 * MS)

    def go(self, ns: int) -> None:
        """Let time pass, with a wake now and then."""
        end = self.clock.now() + ns
        while self.clock.now() < end:
            self.clock.jump(min(self.wake_every, end - self.clock.now()))
            self.wire.run()
            self.player.wake()

    def go_to(self, beat: Fraction | int) -> None:
        self.go(self.player.timeline.ns_at(Fraction(beat)) - self.clock.now())

    def stall(self, ns: int) -> None:
        """Nobody wakes the player; the wire falls silent by itself after a quarter second."""
        begin = self.clock.now()
        self.clock.jump(min(ns, 250 * MS))
        self.wire.run()
        if ns > 250 * MS:
            self.wire.silence()
        self.clock.jump(begin + ns - self.clock.now())

    @property
    def played(self) -> list[Played]:
        return [entry for entry in self.entries if isinstance(entry, Played)]

    def notes(self) -> list[tuple[Any, ...]]:
        """What was played, without what a listener cannot hear."""
        return sorted(
            (
                entry.moment.seconds,
                entry.note.part,
                entry.note.beat,
                entry.note.start,
                entry.note.end,
                entry.note.pitch,
                entry.note.velocity,
                entry.duration,
            )
            for entry in self.played
        )

    def ons(self) -> list[tuple[int, Event]]:
        """Every note that has left: when, and the event."""
        return [
            (when, event) for when, data, event in self.wire.sent if event.off and data == event.on
        ]
