"""Ears without a process: a player in virtual time, for what is built on `server.wire.ears`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from server.wire.ear import Parser
from server.wire.protocol import Heard


class FakeEars:
    """Has the methods and callbacks of `Ears`; what is heard is what a test plays.

    opened: the settings of the inputs that are open, by number.
    """

    def __init__(
        self,
        on_heard: Callable[[Heard], None],
        on_state: Callable[[int, str, str], None] = lambda port, state, why: None,
        on_loss: Callable[[int, str], None] = lambda port, why: None,
    ) -> None:
        self._on_heard, self._on_state, self._on_loss = on_heard, on_state, on_loss
        self.opened: dict[int, dict[str, Any]] = {}

    def open(self, settings: Mapping[str, Any]) -> None:
        self.opened[settings["port"]] = dict(settings)
        self._on_state(settings["port"], "open", "")

    def shut(self, number: int) -> None:
        self.opened.pop(number, None)

    def play(self, stamp: int, data: bytes, port: int = 0) -> None:
        """Have bytes arrive at an input, at monotonic nanoseconds: one message or several."""
        for message in Parser().feed(data):
            self._on_heard(Heard(port, stamp, message))

    def clock(self, start: int, tempo: float, pulses: int, port: int = 0) -> int:
        """So many pulses of a perfect MIDI clock; when the one after them would be."""
        every = 60e9 / tempo / 24
        for pulse in range(pulses):
            self.play(start + round(pulse * every), b"\xf8", port)
        return start + round(pulses * every)

    def lose(self, port: int = 0, why: str = "its cable was pulled") -> None:
        """The input goes: what was held there is over."""
        self._on_loss(port, why)
        self._on_state(port, "waiting", why)
