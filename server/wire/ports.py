"""Ports by kind: what the wire expects of one, and where each kind is written.

Adding an output is one file here and one line in `KINDS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

#: kind -> (module, class)
KINDS: dict[str, tuple[str, str]] = {
    "midi": ("server.wire.midi", "MidiPort"),
    "osc": ("server.wire.osc", "OscPort"),
    "null": ("server.wire.null", "NullPort"),
}

OPEN, WAITING, LOST, FAILED = "open", "waiting", "lost", "failed"


class Absent(Exception):  # noqa: N818  (a state of the world, not a fault)
    """The port is not there, and why: one sentence that says what to do.

    state: WAITING where it may come back by itself, FAILED where somebody must act first.
    """

    def __init__(self, why: str, state: str = WAITING) -> None:
        super().__init__(why)
        self.state = state


class Dead(Absent):
    """What the port stands on has died under this process, which must be replaced."""

    def __init__(self, why: str) -> None:
        super().__init__(why, LOST)


class Port(Protocol):
    """A way out of the house. Every method returns at once, however ill the other side is.

    midi: whether what is sent is MIDI, so that notes have channels, pitches and pedals.
    deaf: somebody who was connected is not just now, so offs sent now must be sent again.
    connections: whom it is connected to and wants to be again, where that can be known.
    trouble: what is wrong although it is open, or "".
    heavy: whether `open` may take tens of milliseconds just now.
    """

    midi: bool
    deaf: bool
    connections: list[str]
    trouble: str

    @property
    def heavy(self) -> bool: ...

    def open(self) -> None:
        """Get ready to send. Errors: `Absent`; may be called again later."""
        ...

    def send(self, data: bytes) -> bool:
        """False where there is no room just now and nothing was sent. Errors: `Absent`."""
        ...

    def watch(self, now: int, calm: bool) -> bool:
        """Called every 50 ms while open; slow work waits until it is calm. Errors: `Absent`.

        Returns True where somebody has connected again, who may have missed offs.
        """
        ...

    def flushed(self) -> bool:
        """Whether all that was sent is out of reach of `close`; asked again until it is."""
        ...

    def close(self) -> None:
        """Close; does nothing on a closed port."""
        ...


def make(settings: dict[str, Any]) -> Port:
    """The port that OPEN's settings describe, not opened yet. Errors: `Absent`."""
    kind = settings.get("kind")
    if kind not in KINDS:
        raise Absent(f"there is no kind of port called {kind!r}, only {', '.join(KINDS)}", FAILED)
    module, name = KINDS[kind]
    port: Port = getattr(import_module(module), name)(settings)
    return port
