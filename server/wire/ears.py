"""The planner's end of the ear: what it hears, and what is let go of when it fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import Any

from server.wire import protocol
from server.wire.child import MS, Child
from server.wire.protocol import Heard

#: Seconds that it may take to end.
LEAVING = 0.2


class Ears(Child):
    """One ear process. All methods are to be called in one running asyncio loop.

    on_heard(heard): every message, in order for each input, as soon as it is here; F8, FA, FB, FC
    and F2 too, with the time at which they arrived. System exclusive and Active Sensing are not.
    on_state(port, state, why): "open", "waiting", "lost", "failed" or "muted", whenever it changes.
    on_loss(port, why): whatever is held on that input (keys, pedals) has been let go of, in effect.

    Laws: nothing here waits for the ear; a port that goes, a device that falls silent, a loop, a
    process that dies or hangs: each calls `on_loss` within 250 ms of being so, before anything
    that is heard later.
    """

    MODULE, DIED = "server.wire.hearing", "the process that hears MIDI died; starting another"
    #: What is held there is released within 250 ms; the ear takes a look every 50.
    EVERY, MUTE, STALLED = 0.05, 200 * MS, 125 * MS

    def __init__(
        self,
        on_heard: Callable[[Heard], None],
        on_state: Callable[[int, str, str], None] = lambda port, state, why: None,
        on_loss: Callable[[int, str], None] = lambda port, why: None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        super().__init__(on_state, clock)
        self._on_heard, self._on_loss = on_heard, on_loss

    def open(self, settings: Mapping[str, Any]) -> None:
        """Open an input, or open it anew. settings: port (its number), and as `MidiClient`."""
        number = int(settings["port"])
        self._settings[number] = dict(settings)
        self._states.pop(number, None)
        self._open(number)

    def shut(self, number: int) -> None:
        """Close an input; nothing more is heard of it."""
        if self._settings.pop(number, None) is not None:
            self._states.pop(number, None)
            self._opening.discard(number)
            self._write(protocol.port_frame(protocol.CLOSE, number))

    async def close(self) -> None:
        """Hear nothing more, and wait for the process to end: for 0.2 s at most."""
        self._cease()
        process, limit = self._process, self._clock() + LEAVING * 1e9
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)
            self._loop.remove_writer(self._pipe)
            self._pipe.close()
            self._pipe = None
        while process is not None and process.poll() is None and self._clock() < limit:
            await asyncio.sleep(0.005)
        self._bury()

    def _hear(self, kind: int, body: bytes) -> None:
        if kind == protocol.HEARD:
            for heard in protocol.unpack_heard(body):
                if heard.port in self._settings:
                    self._on_heard(heard)
        elif kind == protocol.LOST_HOLD:
            news = json.loads(body)
            if news["port"] in self._settings:
                self._on_loss(news["port"], news["why"])

    def _lost(self) -> None:
        for number in list(self._settings):
            self._on_loss(number, self.DIED)
