"""The outputs of a scene, patched: which part goes through which port, in which language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from .encode import Encoder, MidiEncoder, OscEncoder, OutputSpec
from .part import PartSpec
from .wire.protocol import ALL, LATE_SEND, RANK_CONTROL, Event


class Wire(Protocol):
    """The planner's end of one wire process; `server.wire.link.Link` is the real one."""

    def open(self, settings: Mapping[str, Any]) -> None: ...
    def shut(self, port: int) -> None: ...
    def send(self, events: Iterable[Event]) -> None: ...
    def recall(self, part: int = ALL) -> None: ...
    def cut(self, part: int = ALL) -> None: ...
    def silence(self) -> None: ...
    def panic(self) -> None: ...


class Tape:
    """A wire that keeps what it is given, in place of a process. For tests."""

    def __init__(self) -> None:
        self.ports: dict[int, dict[str, Any]] = {}
        self.events: list[Event] = []
        self.calls: list[tuple[str, int]] = []

    def open(self, settings: Mapping[str, Any]) -> None:
        self.ports[settings["port"]] = dict(settings)

    def shut(self, port: int) -> None:
        self.ports.pop(port, None)

    def send(self, events: Iterable[Event]) -> None:
        self.events += events

    def recall(self, part: int = ALL) -> None:
        self.calls.append(("recall", part))

    def cut(self, part: int = ALL) -> None:
        self.calls.append(("cut", part))

    def silence(self) -> None:
        self.calls.append(("silence", ALL))

    def panic(self) -> None:
        self.calls.append(("panic", ALL))


class Patched:
    """One output in use: its encoder, its wire and its ports."""

    def __init__(self, spec: OutputSpec, encoder: Encoder, wire: Wire, ports: set[int]) -> None:
        self.spec, self.encoder, self.wire, self.ports = spec, encoder, wire, ports


class Rack:
    """Opens and closes ports as scenes come and go; a port that two scenes share stays open.

    wires: by kind of output ("midi", "osc"); an output of another kind stays silent.
    next_id: where the ids of its own events come from.
    """

    def __init__(self, wires: Mapping[str, Wire], next_id: Callable[[], int]) -> None:
        self.wires = dict(wires)
        self._next_id = next_id
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._settings: dict[int, tuple[str, dict[str, Any]]] = {}
        self._next_port = 0
        self.outputs: dict[str, Patched] = {}
        self.labels: dict[tuple[str, int], str] = {}
        self._programs: dict[tuple[str, int], list[tuple[int, PartSpec]]] = {}

    def patch(self, outputs: Mapping[str, OutputSpec], parts: Mapping[int, PartSpec]) -> None:
        """Have exactly these outputs, for these parts by their numbers; `sweep` ends the others."""
        self.outputs, self._programs = {}, {}
        for name, spec in outputs.items():
            wire = self.wires.get(spec.kind)
            users = {number: part for number, part in parts.items() if name in part.outputs}
            if wire is not None and users:
                self.outputs[name] = self._patched(spec, wire, users)

    def sweep(self) -> None:
        """Close the ports that no output uses any more."""
        used = {key for patched in self.outputs.values() for key in self._keys(patched)}
        for key, port in list(self._numbers.items()):
            if (key[0], port) not in used:
                self.wires[key[0]].shut(port)
                self._settings.pop(port, None)
                del self._numbers[key]
                self.labels.pop((key[0], port), None)

    def reopen(self) -> None:
        """Have every port opened anew, as after the machine has slept."""
        for kind, settings in self._settings.values():
            self.wires[kind].open(settings)

    def _keys(self, patched: Patched) -> set[tuple[str, int]]:
        return {(patched.spec.kind, port) for port in patched.ports}

    def _patched(self, spec: OutputSpec, wire: Wire, users: dict[int, PartSpec]) -> Patched:
        if spec.kind == "osc":
            host, _, digits = spec.target.rpartition(":")
            only = self._port(wire, ("osc", spec.target), spec.name, host=host, number=int(digits))
            return Patched(spec, OscEncoder(spec, only, users), wire, {only})
        ports: dict[int, int] = {}
        for number, part in users.items():
            # A virtual output shows one port for each part, so that a DAW has a track for each.
            title = part.name if spec.target == "virtual" else spec.name
            settings: dict[str, Any] = {"name": spec.target, "client": "Componium", "title": title}
            settings |= {"rate": spec.rate, "sensing": spec.sensing}
            ports[number] = self._port(wire, ("midi", *settings.values()), spec.name, **settings)
            if part.program is not None or part.bank is not None:
                self._programs.setdefault(("midi", ports[number]), []).append((number, part))
        return Patched(spec, MidiEncoder(spec, ports), wire, set(ports.values()))

    def _port(self, wire: Wire, key: tuple[Any, ...], label: str, **settings: Any) -> int:
        if key not in self._numbers:
            self._numbers[key] = self._next_port
            self.labels[key[0], self._next_port] = label
            opened = {"port": self._next_port, "kind": key[0], **settings}
            self._settings[self._next_port] = key[0], opened
            wire.open(opened)
            self._next_port += 1
        return self._numbers[key]

    @property
    def lead(self) -> int:
        """How many nanoseconds before its sounding an event may have to be handed over."""
        return max((patched.encoder.lead for patched in self.outputs.values()), default=0)

    def programs(self, now: int, kind: str = "midi", only: int | None = None) -> None:
        """Send banks and programs, to all ports or one that has just opened."""
        wire = self.wires.get(kind)
        if wire is None:
            return
        for (_, port), users in self._programs.items():
            if only is not None and port != only:
                continue
            for number, part in users:
                channel = part.channel - 1
                messages = []
                if part.bank is not None:
                    messages.append(bytes((0xB0 | channel, 0, part.bank >> 7)))
                    messages.append(bytes((0xB0 | channel, 32, part.bank & 127)))
                if part.program is not None:
                    messages.append(bytes((0xC0 | channel, part.program)))
                wire.send(
                    Event(
                        self._next_id() << 16, now, 0, number, port, RANK_CONTROL, LATE_SEND, data
                    )
                    for data in messages
                )

    def everywhere(self, action: str) -> None:
        """`silence` or `panic` on every wire."""
        for wire in self.wires.values():
            getattr(wire, action)()

    def recall(self, part: int = ALL) -> None:
        for wire in self.wires.values():
            wire.recall(part)

    def cut(self, part: int = ALL) -> None:
        for wire in self.wires.values():
            wire.cut(part)

    def send(self, batches: Mapping[str, list[Event]]) -> None:
        for kind, events in batches.items():
            if events:
                self.wires[kind].send(events)

    def set_wall(self, offset: int) -> None:
        """Wall time minus monotonic time, in nanoseconds, for time tags and stamps."""
        for patched in self.outputs.values():
            if isinstance(patched.encoder, OscEncoder):
                patched.encoder.wall = offset
