"""The outputs of a scene, patched: which part goes through which port, in which language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any, Protocol, cast
from weakref import WeakSet

from .encode import Ears, Encoder, MidiEncoder, OscEncoder, OutputSpec, WebEncoder
from .part import PartSpec, said
from .wire.protocol import ALL, Event

Sent = tuple[str, Iterable[Event]]  # a kind of wire, and what it is given


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

    wires: by kind of output ("midi", "osc", "web"); an output of another kind stays silent.
    next_id: where ids that are never used again come from.
    outputs: those patched last.  labels: by kind and port, the output's name and that of the
    part whose virtual port it is, "" where it is not one part's own.
    trouble: told when a wire fails at what it is asked to do, once until it does well again.
    """

    def __init__(self, wires: Mapping[str, Wire], next_id: Callable[[], int]) -> None:
        self.wires = dict(wires)
        self.next_id = next_id
        self.outputs: dict[str, Patched] = {}
        self.labels: dict[tuple[str, int], tuple[str, str]] = {}
        self._ports: dict[tuple[Any, ...], int] = {}
        self._settings: dict[int, tuple[str, dict[str, Any]]] = {}
        self.trouble: Callable[[str], None] = lambda text: None
        self._failing: set[str] = set()
        self._timed: WeakSet[OscEncoder] = WeakSet()

    def patch(
        self, outputs: Mapping[str, OutputSpec], parts: Mapping[int, PartSpec]
    ) -> dict[str, Patched]:
        """Have these outputs, for these parts by their numbers; `sweep` closes those before."""
        patched: dict[str, Patched] = {}
        several = sum(spec.target == "virtual" for spec in outputs.values()) > 1
        for name, spec in outputs.items():
            wire = self.wires.get(spec.kind)
            users = {number: part for number, part in parts.items() if name in part.outputs}
            if wire is not None and users:
                patched[name] = self._patched(spec, wire, users, several)
        self.outputs = patched
        return patched

    def sweep(self) -> None:
        """Close the ports that none of the outputs patched last uses."""
        used = {port for patched in self.outputs.values() for port in patched.ports}
        for key, port in list(self._ports.items()):
            if port not in used:
                self.wires[key[0]].shut(port)
                del self._ports[key], self._settings[port], self.labels[key[0], port]
        self._timed = WeakSet(
            patched.encoder
            for patched in self.outputs.values()
            if isinstance(patched.encoder, OscEncoder)
        )

    def reopen(self) -> None:
        """Have every port opened anew, as after the machine has slept."""
        for kind, settings in self._settings.values():
            self.wires[kind].open(settings)

    def _patched(
        self, spec: OutputSpec, wire: Wire, users: dict[int, PartSpec], several: bool
    ) -> Patched:
        if spec.kind == "web":
            return Patched(spec, WebEncoder(users, cast(Ears, wire)), wire, set())
        if spec.kind == "osc":
            host, _, digits = spec.target.rpartition(":")
            place = {"host": host.strip("[]"), "number": int(digits)}
            only = self._port(wire, ("osc", *place.values()), (spec.name, ""), **place)
            encoder = OscEncoder(spec, only, users)
            self._timed.add(encoder)
            return Patched(spec, encoder, wire, {only})
        ports: dict[int, int] = {}
        for number, part in users.items():
            # A virtual output shows one port for each part, so that a DAW has a track for each.
            title, label = spec.name, (spec.name, "")
            if spec.target == "virtual":
                title = f"{part.name} {spec.name}" if several else part.name
                label = spec.name, part.name
            settings: dict[str, Any] = {"name": spec.target, "client": "Componium", "title": title}
            settings |= {"rate": spec.rate, "sensing": spec.sensing}
            ports[number] = self._port(wire, ("midi", *settings.values()), label, **settings)
        return Patched(spec, MidiEncoder(spec, ports), wire, set(ports.values()))

    def _port(
        self, wire: Wire, key: tuple[Any, ...], label: tuple[str, str], **settings: Any
    ) -> int:
        port = self._ports.get(key)
        if port is not None:
            self.labels[key[0], port] = label  # another scene may call its output otherwise
        else:
            port = next(number for number in count() if number not in self._settings)
            self._ports[key], self.labels[key[0], port] = port, label
            opened = {"port": port, "kind": key[0], **settings}
            self._settings[port] = key[0], opened
            wire.open(opened)
        return port

    @property
    def lead(self) -> int:
        """How many nanoseconds before its sounding an event may have to be handed over."""
        return max((patched.encoder.lead for patched in self.outputs.values()), default=0)

    def everywhere(self, action: str) -> None:
        """`silence` or `panic` on every wire."""
        for kind in self.wires:
            self._have(kind, action)

    def recall(self, part: int = ALL) -> None:
        for kind in self.wires:
            self._have(kind, "recall", part)

    def cut(self, part: int = ALL) -> None:
        for kind in self.wires:
            self._have(kind, "cut", part)

    def send(self, batches: Mapping[str, list[Event]]) -> None:
        for kind, events in batches.items():
            if events:
                self._have(kind, "send", events)

    def _have(self, kind: str, action: str, *args: Any) -> None:
        """Have a wire do something; one that cannot takes no other down."""
        try:
            getattr(self.wires[kind], action)(*args)
        except Exception as error:
            if kind not in self._failing:
                self._failing.add(kind)
                self.trouble(f"{kind}: cannot {action}: {said(error)}")
        else:
            self._failing.discard(kind)

    def set_time(self, now: int, wall: int) -> None:
        """Tell the encoders monotonic time, and wall time minus it, both in nanoseconds."""
        for encoder in self._timed:
            encoder.now, encoder.wall = now, wall
