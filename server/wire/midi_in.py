"""MIDI inputs through RtMidi: virtual ones, or existing ones by name."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any

from server.wire.ear import Deliver
from server.wire.midi import MidiClient


class MidiInput(MidiClient):
    """One input port; settings as of `MidiClient`.

    deliver: called on RtMidi's thread with everything that comes in. A name never means a port of
    Componium's own: what it plays is not to come back to it.
    """

    incoming = True

    def __init__(self, settings: dict[str, Any], deliver: Deliver) -> None:
        super().__init__({"title": "in", **settings})
        self._deliver = deliver

    def open(self) -> None:
        super().open()
        # Nothing is filtered there: the driver's deltas count from whatever came before. Until a
        # callback is set, what comes in waits in the binding's queue.
        self._out.ignore_types(sysex=False, timing=False, active_sense=False)
        self._out.set_callback(self._take)

    def watch(self, now: int) -> bool:
        if self._jack is not None:
            self._expect_server()
        if self.name == "virtual":
            return self._jack is not None and self._follow_connections()[1]
        self._expect_other_end(now, calm=True)
        return False

    def close(self) -> None:
        if self._opened:
            self._out.cancel_callback()  # closing with one that still runs may crash
        super().close()

    def _take(self, event: tuple[list[int], float], _: object) -> None:
        data, delta = event
        self._deliver(monotonic_ns(), delta, bytes(data))
