"""The outputs of a scene, patched: which part goes through which port, in which language."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any, Protocol, cast
from weakref import WeakSet

from server.wire.protocol import ALL, BAND, Event, whole

from .encode import Ears, Encoder, MidiEncoder, OscEncoder, OutputSpec, WebEncoder
from .part import PartSpec, said

Sent = tuple[str, Iterable[Event]]  # a kind of wire, and what it is given
#: Virtual ports that no part uses just now and that stay, for the sake of their cables.
MOST_KEPT = 16
KEPT = "kept, with its cables, for a scene that has it again"


class Wire(Protocol):
    """The planner's end of one wire process; `server.wire.link.Link` is the real one."""

    def open(self, settings: Mapping[str, Any]) -> None: ...
    def shut(self, port: int) -> None: ...
    def send(self, events: Iterable[Event]) -> None: ...
    def recall(self, part: int = ALL) -> None: ...
    def cut(self, part: int = ALL) -> None: ...
    def silence(self) -> None: ...
    def panic(self) -> None: ...


class SharedWire(Protocol):
    """A wire that several bands use; `part` may stand for a whole band, as of `protocol.whole`."""

    def open(self, settings: Mapping[str, Any]) -> None: ...
    def shut(self, port: int) -> None: ...
    def send(self, events: Iterable[Event]) -> None: ...
    def recall(self, part: int = ALL) -> None: ...
    def cut(self, part: int = ALL) -> None: ...
    def silence(self, part: int = ALL) -> None: ...
    def panic(self, part: int = ALL) -> None: ...


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


class Share:
    """A band's share of a wire that several bands use.

    Law: whatever one band does, nothing of another's is recalled, cut or silenced.
    """

    def __init__(self, wire: SharedWire, band: int) -> None:
        self._wire, self._whole = wire, whole(band)
        self.open, self.shut, self.send = wire.open, wire.shut, wire.send

    def recall(self, part: int = ALL) -> None:
        self._wire.recall(self._whole if part == ALL else part)

    def cut(self, part: int = ALL) -> None:
        self._wire.cut(self._whole if part == ALL else part)

    def silence(self) -> None:
        self._wire.silence(self._whole)

    def panic(self) -> None:
        self._wire.panic(self._whole)


class Numbers:
    """What is counted once for all bands on the same wires.

    next_id: where ids that are never used again come from.  next_count: of a clock's pulses.
    ports: those in use.
    """

    def __init__(self, next_id: Callable[[], int] | None = None) -> None:
        self.next_id = next_id or count(1).__next__
        self.next_count = count(1).__next__
        self.ports: set[int] = set()


class Patched:
    """One output in use: its encoder, its wire and its ports."""

    def __init__(self, spec: OutputSpec, encoder: Encoder, wire: Wire, ports: set[int]) -> None:
        self.spec, self.encoder, self.wire, self.ports = spec, encoder, wire, ports


class Rack:
    """Opens and closes ports as scenes come and go; a port that two scenes share stays open.

    So do the last 16 virtual ones that no part uses any more: whoever patched them to a synth
    finds it patched when the scene comes back.

    wires: by kind of output ("midi", "osc", "web"); an output of another kind stays silent.
    next_id: where ids that are never used again come from.
    band, name: of the band that plays through it; numbers: shared with the others.
    transport: the number of what is no part's, such as the clock; those of parts are higher.
    outputs: those patched last.  labels: by kind and port, the output's name and that of the
    part whose virtual port it is, "" where it is not one part's own.
    trouble: told when a wire fails at what it is asked to do, once until it does well again.
    together: has all that the wires are told meanwhile leave in one piece, so that none is left
    with notes recalled and not yet those in their place.
    closed: told of an output, and of the part whose own port it was, that it has none any more,
    and why.
    """

    def __init__(
        self,
        wires: Mapping[str, Wire],
        next_id: Callable[[], int],
        band: int = 0,
        numbers: Numbers | None = None,
        name: str = "",
    ) -> None:
        self.wires = dict(wires)
        self.numbers = numbers or Numbers(next_id)
        self.next_id = self.numbers.next_id
        self.band, self.transport, self._name = band, band << BAND, name
        self.outputs: dict[str, Patched] = {}
        self.labels: dict[tuple[str, int], tuple[str, str]] = {}
        self._ports: dict[tuple[Any, ...], int] = {}
        self._settings: dict[int, tuple[str, dict[str, Any]]] = {}
        self.trouble: Callable[[str], None] = lambda text: None
        self.together: Callable[[], AbstractContextManager[object]] = nullcontext
        self.closed: Callable[[str, str, str], None] = lambda output, part, why: None
        self._kept: dict[tuple[Any, ...], int] = {}  # by their keys, longest unused first
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
        """Part with the ports that none of the outputs patched last uses."""
        used = {port for patched in self.outputs.values() for port in patched.ports}
        for key, port in list(self._ports.items()):
            if port not in used and key not in self._kept:
                label = self.labels.pop((key[0], port))
                virtual = self._settings[port][1].get("name") == "virtual"
                if virtual:
                    self._kept[key] = port
                    self._have_open(key, port, {**self._settings[port][1], "idle": True})
                else:
                    self._close(key)
                if label not in self.labels.values():
                    self.closed(*label, KEPT if virtual else "")
        for key in list(self._kept)[:-MOST_KEPT]:
            self._close(key)
        self._timed = WeakSet(
            patched.encoder
            for patched in self.outputs.values()
            if isinstance(patched.encoder, OscEncoder)
        )

    def clear(self) -> None:
        """Close every port: nobody plays through this rack any more."""
        self.outputs = {}
        self.sweep()
        for key in list(self._kept):
            self._close(key)

    def _close(self, key: tuple[Any, ...]) -> None:
        port = self._ports.pop(key)
        self._kept.pop(key, None)
        del self._settings[port]
        self.numbers.ports.discard(port)
        self.wires[key[0]].shut(port)

    def owns(self, kind: str, port: int) -> bool:
        """Whether a port of a wire is one of this rack's, in use or kept."""
        return self._settings.get(port, ("",))[0] == kind

    def hear(self, kind: str, port: int, state: str, why: str) -> tuple[str, str] | None:
        """A wire tells how a port does: the output and the part it belongs to; None if to none."""
        if self.owns(kind, port):
            return self.labels.get((kind, port))
        return f"{kind} {port}", ""

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
            only = self._port(("osc", *place.values()), (spec.name, ""), **place)
            encoder = OscEncoder(spec, only, users)
            self._timed.add(encoder)
            return Patched(spec, encoder, wire, {only})
        ports: dict[int, int] = {}
        for number, part in users.items():
            # A virtual output shows one port for each part, so that a DAW has a track for each.
            title, label = spec.name, (spec.name, "")
            if spec.target == "virtual":
                title = f"{part.name} {spec.name}" if several else part.name
                title = f"{self._name} {title}" if self._name else title
                label = spec.name, part.name
            settings: dict[str, Any] = {"name": spec.target, "client": "Componium", "title": title}
            key = ("midi", *settings.values())
            manners = {"rate": spec.rate, "sensing": spec.sensing}
            ports[number] = self._port(key, label, **settings, **manners)
        return Patched(spec, MidiEncoder(spec, ports), wire, set(ports.values()))

    def _port(self, key: tuple[Any, ...], label: tuple[str, str], **settings: Any) -> int:
        port, fresh = self._ports.get(key), False
        if port is None:
            used, fresh = self.numbers.ports, True
            port = next(number for number in count() if number not in used)
            used.add(port)
            self._ports[key] = port
        self.labels[key[0], port] = label  # another scene may call its output otherwise
        self._kept.pop(key, None)
        opened = {"port": port, "kind": key[0], **settings}
        if self.band:
            opened["band"] = self.band
        if fresh or self._settings[port][1] != opened:
            self._have_open(key, port, opened)
        return port

    def _have_open(self, key: tuple[Any, ...], port: int, settings: dict[str, Any]) -> None:
        self._settings[port] = key[0], settings
        self.wires[key[0]].open(settings)

    @property
    def clocked(self) -> bool:
        """Whether an output has the clock, which runs on while the transport stands."""
        return any(patched.spec.clock for patched in self.outputs.values())

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
