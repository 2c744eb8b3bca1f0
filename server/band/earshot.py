"""MIDI inputs that several bands may hear: each port is opened once, however many want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from server.wire.protocol import Heard

MOST = 128  # ports that are open at once, for all bands together
NUMBERS = 60_000  # that ports have in turn, so that none is soon another's


class Ears(Protocol):
    """Where ports are opened; `server.wire.ears.Ears` is the real one."""

    def open(self, settings: Mapping[str, Any]) -> None: ...
    def shut(self, number: int) -> None: ...


@dataclass(eq=False)
class _Port:
    """A port that somebody wants. state: the last that was told of it."""

    number: int
    settings: dict[str, Any]
    wanted: dict[tuple[Seat, int], None] = field(default_factory=dict)
    state: tuple[str, str] | None = None


class Seat:
    """Whoever hears through an `Earshot`, under numbers of its own.

    name: of the band, which its virtual ports show before their own names.  common: what all who
    say the same word share virtual ports by; "" has them of one's own.
    heard, state, lost: told of what comes in, of what becomes of a port, and that whatever was
    held there is over.
    """

    def __init__(self, earshot: Earshot, name: str = "", common: str = "") -> None:
        self._earshot, self.name, self.common = earshot, name, common
        self.heard: Callable[[Heard], object] = lambda heard: None
        self.state: Callable[[int, str, str], object] = lambda number, state, why: None
        self.lost: Callable[[int, str], object] = lambda number, why: None

    def open(self, settings: Mapping[str, Any]) -> None:
        """Hear a port: `port` is our own number for it; the rest as the ear takes it."""
        self._earshot.open(self, settings)

    def shut(self, number: int) -> None:
        self._earshot.shut(self, number)


class Earshot:
    """Shares one ear among seats.

    need: called when a port is wanted and no ear is there; it may `attach` one at any time.
    Laws: a port is open while somebody wants it and no longer; what comes in reaches all who want
    that port and nobody else; one who raises keeps nothing from the others.
    """

    def __init__(self, need: Callable[[], object] = lambda: None, most: int = MOST) -> None:
        self._need, self._most = need, most
        self._ears: Ears | None = None
        self._ports: dict[tuple[Any, ...], _Port] = {}
        self._by_number: dict[int, _Port] = {}
        self._mine: dict[tuple[Seat, int], tuple[Any, ...]] = {}
        self._next = (number % NUMBERS for number in count())

    def attach(self, ears: Ears) -> None:
        """An ear is there: open what is wanted."""
        self._ears = ears
        for port in self._by_number.values():
            ears.open(port.settings)

    def open(self, seat: Seat, settings: Mapping[str, Any]) -> None:
        number = int(settings["port"])
        self.shut(seat, number)
        name, title = settings["name"], settings["title"]
        key: tuple[Any, ...] = ("named", name)
        if name == "virtual":
            title = f"{seat.name} {title}" if seat.name else title
            key = ("virtual", seat.common or seat, title)
        port = self._ports.get(key)
        if port is None and len(self._ports) >= self._most:
            seat.state(number, "failed", f"{self._most} MIDI inputs are open already")
            return
        self._mine[seat, number] = key
        if port is None:
            mine = next(n for n in self._next if n not in self._by_number)
            port = _Port(mine, {**settings, "port": mine, "title": title})
            self._ports[key] = self._by_number[mine] = port
            port.wanted[seat, number] = None
            if self._ears is not None:
                self._ears.open(port.settings)
            else:
                self._need()
        else:
            port.wanted[seat, number] = None
            if port.state is not None:
                seat.state(number, *port.state)

    def shut(self, seat: Seat, number: int) -> None:
        key = self._mine.pop((seat, number), None)
        if key is None:
            return
        port = self._ports[key]
        del port.wanted[seat, number]
        if not port.wanted:
            del self._ports[key], self._by_number[port.number]
            if self._ears is not None:
                self._ears.shut(port.number)

    # What the ear says -------------------------------------------------------------------

    def heard(self, heard: Heard) -> None:
        self._tell(heard.port, lambda seat, number: seat.heard(heard._replace(port=number)))

    def state(self, number: int, state: str, why: str) -> None:
        port = self._by_number.get(number)
        if port is not None:
            port.state = state, why
        self._tell(number, lambda seat, theirs: seat.state(theirs, state, why))

    def lost(self, number: int, why: str) -> None:
        self._tell(number, lambda seat, theirs: seat.lost(theirs, why))

    def _tell(self, number: int, tell: Callable[[Seat, int], object]) -> None:
        port, wrong = self._by_number.get(number), None
        for seat, theirs in tuple(port.wanted) if port is not None else ():
            try:
                tell(seat, theirs)
            except Exception as error:
                wrong = error
        if wrong is not None:
            raise wrong
