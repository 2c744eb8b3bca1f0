"""The ear as a pure machine: what comes in at MIDI inputs, stamped, cut into messages, guarded.

Bytes from the planner go in with `feed`, bytes from the inputs with `arrived`; time passes by what
the clock says when `tick` is called. `server.wire.hearing` does that in the real process.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from server.wire import protocol
from server.wire.ports import FAILED, OPEN, Absent, Dead
from server.wire.protocol import Heard

MS = 1_000_000
#: Between two looks at inputs, each with a heartbeat; and two attempts to open one.
TICK, RETRY = 50 * MS, 500 * MS
#: More identical messages than so many in a second are a loop, not a player.
SAME = 500
#: For how long a loop's input is not listened to, at first and at most.
MUTED, MUTED_LONG = 2_000 * MS, 60_000 * MS
#: A device that has ever said that it is there (Active Sensing) says so again within this.
SENSING = 330 * MS
#: How much faster or slower than ours a driver's clock may run; and a jump no clock makes.
DRIFT, JUMP = 500e-6, 50 * MS

MUTE = "muted"
#: Exit statuses, as of `server.wire.machine`.
DONE, AGAIN = 0, 3

_LENGTHS = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
_SYSTEM = {0xF1: 1, 0xF2: 2, 0xF3: 1}
SENSE, RESET = 0xFE, 0xFF


class Parser:
    """Cuts a stream of MIDI bytes into whole messages.

    Laws: what comes out is one status byte and exactly the data bytes that belong to it, each
    below 128, whatever goes in; a stream may be divided anywhere; running status is understood; a
    realtime byte in the middle of another message comes out first and breaks nothing; system
    exclusive is left out, however long.
    """

    def __init__(self) -> None:
        self._status, self._wanted = 0, 0
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        out: list[bytes] = []
        for byte in data:
            if byte >= 0xF8:
                if byte not in (0xF9, 0xFD):  # undefined
                    out.append(bytes((byte,)))
            elif byte >= 0x80:
                self._begin(byte)
                if byte == 0xF6:
                    out.append(b"\xf6")
            elif self._wanted:
                self._data.append(byte)
                if len(self._data) == self._wanted:
                    out.append(bytes((self._status, *self._data)))
                    self._data.clear()
                    if self._status >= 0xF0:
                        self._status = self._wanted = 0
        return out

    def _begin(self, status: int) -> None:
        self._data.clear()
        self._status = status
        self._wanted = _SYSTEM.get(status, 0) if status >= 0xF0 else _LENGTHS[status & 0xF0]


class Stamper:
    """When messages really arrived, by the driver's clock as seen from ours.

    The driver says how long after the one before a message came, exactly; our clock is read when
    this process gets to it, late by whatever kept it. The least late of the readings are believed.

    Laws: stamps never lie after the reading and never go back; where the driver's clock runs at a
    constant rate within 500 ppm of ours, a message that is read late is stamped as if it were not.
    """

    def __init__(self) -> None:
        self._driver = 0.0
        self._offset: float | None = None
        self._last = 0

    def stamp(self, now: int, delta: float) -> int:
        """now: monotonic ns when it was read.  delta: seconds since the one before, or 0."""
        step = max(delta, 0.0) * 1e9
        self._driver += step
        lag = now - self._driver
        if self._offset is None or abs(lag - self._offset) > JUMP:
            self._driver, self._offset = float(now), 0.0
        else:
            self._offset = min(self._offset + step * DRIFT, lag)
        self._last = max(min(int(self._driver + self._offset), now), self._last)
        return self._last


class Input(Protocol):
    """A way into the house. Every method returns at once, as of `Port`."""

    @property
    def connections(self) -> list[str]:
        """Whom it is connected to and wants to be again, where that can be known."""
        ...

    def open(self) -> None:
        """Start to hear. Errors: `Absent`; may be called again later."""
        ...

    def watch(self, now: int) -> bool:
        """Called every 50 ms while open: whether somebody who was connected has left.

        Errors: `Absent` where the port has gone.
        """
        ...

    def close(self) -> None: ...


#: Called by an input from any thread with the time of reading, the driver's delta and the bytes.
Deliver = Callable[[int, float, bytes], None]


class _Heard:
    """One input and what has come in there."""

    def __init__(self, number: int, port: Input) -> None:
        self.number, self.port = number, port
        self.up = False
        self.retry_at = 0
        self.parser, self.stamper = Parser(), Stamper()
        self.muted_until, self.muted_last, self.mute_for = 0, 0, MUTED
        self.same: dict[bytes, int] = {}
        self.counted_from = 0
        self.sensed_at = 0


class Ear:
    """The inputs.

    say: called with a whole frame for the planner, and whether it may be skipped.
    build: makes an input from OPEN's settings and what to call with its bytes.
    exit: the status to end with, as soon as it is not None.

    Laws: after LOST_HOLD nothing that came before it is heard; an input that has been muted or
    lost is silent until its PORT says that it is open.
    """

    def __init__(
        self,
        say: Callable[[bytes, bool], None],
        build: Callable[[dict[str, Any], int], Input],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._say, self._build, self._clock = say, build, clock
        self._frames = protocol.Frames()
        self.inputs: dict[int, _Heard] = {}
        self._told: dict[int, tuple[str, str, tuple[str, ...]]] = {}
        self.exit: int | None = None
        self.next_tick = clock()

    def feed(self, data: bytes) -> None:
        """Bytes of the stream from the planner, done at once."""
        for kind, body in self._frames.feed(data):
            if kind == protocol.OPEN:
                self._open(json.loads(body))
            elif kind == protocol.CLOSE:
                self._close(int.from_bytes(body, "little"))

    def arrived(self, arrivals: list[tuple[int, int, float, bytes]]) -> None:
        """What came in: number of the input, time of reading, driver's delta, bytes."""
        records: list[bytes] = []
        for number, now, delta, data in arrivals:
            one = self.inputs.get(number)
            if one is None or not one.up:
                continue
            stamp = one.stamper.stamp(now, delta)
            if one.muted_until:
                continue
            for message in one.parser.feed(data):
                if message[0] == SENSE or one.sensed_at:
                    one.sensed_at = now
                if message[0] in (SENSE, RESET):
                    continue
                if self._too_often(one, message, now):
                    self._hand_over(records)
                    self._mute(one, message, now)
                    break
                records.append(protocol.pack_heard(Heard(number, stamp, message)))
        self._hand_over(records)

    def _hand_over(self, records: list[bytes]) -> None:
        if records:
            self._say(protocol.frame(protocol.HEARD, b"".join(records)), False)
            records.clear()

    def tick(self) -> None:
        """Look at every input; also the heartbeat."""
        now = self._clock()
        self.next_tick = now + TICK
        for one in self.inputs.values():
            if one.up:
                self._look(one, now)
            elif now >= one.retry_at:
                self._try(one, now)
        self._say(protocol.frame(protocol.STATS), True)

    def overflowed(self) -> None:
        """The planner did not read for so long that something was lost: it holds nothing now."""
        for one in self.inputs.values():
            self._lose(one, "Componium was too busy to hear all of it")

    def close(self) -> None:
        for one in self.inputs.values():
            one.port.close()
        self.inputs.clear()

    def _open(self, settings: dict[str, Any]) -> None:
        number = int(settings["port"])
        self._close(number)
        try:
            port = self._build(settings, number)
        except Absent as absent:
            self._tell(number, absent.state, str(absent))
            return
        self.inputs[number] = one = _Heard(number, port)
        self._try(one, self._clock())

    def _close(self, number: int) -> None:
        one = self.inputs.pop(number, None)
        self._told.pop(number, None)
        if one is not None:
            one.port.close()

    def _try(self, one: _Heard, now: int) -> None:
        one.retry_at = now + RETRY
        try:
            one.port.open()
        except Absent as absent:
            self._absent(one, absent)
            return
        one.up = True
        one.parser, one.stamper, one.sensed_at = Parser(), Stamper(), 0
        self._tell(one.number, OPEN, "", one.port.connections)

    def _look(self, one: _Heard, now: int) -> None:
        try:
            left = one.port.watch(now)
        except Absent as absent:
            one.up, one.retry_at = False, now + RETRY
            self._lose(one, str(absent))
            self._absent(one, absent)
            return
        if left:
            self._lose(one, "whoever was connected has left")
        if one.sensed_at and now - one.sensed_at > SENSING:
            one.sensed_at = 0
            self._lose(one, "the device no longer says that it is there")
        if one.muted_until and now >= one.muted_until:
            one.muted_until = 0
            one.parser = Parser()
        if not one.muted_until:
            self._tell(one.number, OPEN, "", one.port.connections)

    def _absent(self, one: _Heard, absent: Absent) -> None:
        self._tell(one.number, absent.state, str(absent))
        if absent.state == FAILED:
            one.retry_at = 1 << 62
        if isinstance(absent, Dead):
            self.exit = AGAIN

    def _too_often(self, one: _Heard, message: bytes, now: int) -> bool:
        if now - one.counted_from > 1_000 * MS:
            one.counted_from = now
            one.same.clear()
        count = one.same[message] = one.same.get(message, 0) + 1
        return count > SAME

    def _mute(self, one: _Heard, message: bytes, now: int) -> None:
        """What we send comes back, it seems: do not listen for a while, longer each time."""
        again = now - one.muted_last < 2 * MUTED_LONG and one.muted_last
        one.mute_for = min(2 * one.mute_for, MUTED_LONG) if again else MUTED
        one.muted_last, one.muted_until = now, now + one.mute_for
        one.same.clear()
        why = (
            f"more than {SAME} identical messages in a second ({message.hex(' ')}): does an output "
            f"lead back to this input? It is not listened to for {one.mute_for / 1e9:g} s"
        )
        self._lose(one, why)
        self._tell(one.number, MUTE, why)

    def _lose(self, one: _Heard, why: str) -> None:
        self._say(protocol.json_frame(protocol.LOST_HOLD, {"port": one.number, "why": why}), False)

    def _tell(self, number: int, state: str, why: str, connected: list[str] | None = None) -> None:
        news = state, why, tuple(connected or ())
        if self._told.get(number) != news:
            self._told[number] = news
            body = {"port": number, "state": state, "why": why, "connect": news[2]}
            self._say(protocol.json_frame(protocol.PORT, body), False)
