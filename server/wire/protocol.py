"""What planner and wire say to each other: frames on a stream socket, little-endian.

A frame is `u32 length, u8 kind`, then `length - 1` bytes of body. This module imports only
the standard library's `struct` and `json`, because the wire must start fast.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

# planner -> wire; the ear, which hears inputs, takes OPEN and CLOSE only
OPEN = 1  # body: JSON, a port's settings: {"port": 0, "kind": "midi", "name": …, …}
EVENTS = 2  # body: event records, one after another
RECALL = 3  # body: u32 part: forget what is queued of it; of ALL parts where ALL
CUT = 4  # body: u32 part: RECALL, and end now what sounds of it
SILENCE = 5  # body: u32, or empty for ALL: CUT, then pedals up, all notes off on a band's ports
PANIC = 6  # body: likewise: SILENCE, then all sound off, reset controllers
PAY = 7  # body: u16 port, bytes: send at once, before anything else (an off owed by a dead wire)
BEAT = 8  # body: empty: the planner lives
CLOSE = 9  # body: u16 port: end what sounds there and close it

# wire -> planner
READY = 32  # body: empty: the process runs
PORT = 33  # body: JSON {"port": 0, "state": "open"|"waiting"|"lost"|"failed", "why": …}
STATS = 34  # body: JSON, see `server.wire.machine`; also the wire's heartbeat
SILENCED = 35  # body: JSON {"why": …}: the wire silenced everything by itself
LEFT = 36  # body: empty: everything has left; what it still does is closing ports

# ear -> planner, besides READY and PORT; STATS, without a body, is its heartbeat
HEARD = 37  # body: records of what came in, one after another
LOST_HOLD = 38  # body: JSON {"port": 0, "why": …}: whatever is held on this input is over

ALL = 0xFFFFFFFF
#: Of a band's parts, by the low half of their numbers; the high half is the band's.
WHOLE, BAND = 0xFFFF, 16
PORTS = 0xFFFF  # numbers of ports lie below
#: Settings of a port that OPEN changes while it stays open, where nothing else is another; `idle`:
#: nobody plays there any more.
MANNERS = frozenset({"rate", "sensing", "idle"})

# What goes first among events due at the same nanosecond.
RANK_CLOCK, RANK_OFF, RANK_CONTROL, RANK_NOTE = 0, 1, 2, 3

# What to do with an event that comes to be sent too late.
LATE_DROP, LATE_SEND = 0, 1

_FRAME = struct.Struct("<IB")
_EVENT = struct.Struct("<QqqIHBBHH")
_HEARD = struct.Struct("<HqB")


class Event(NamedTuple):
    """One thing to send, with its own end.

    id: unique and never used again within a run; 0 is not allowed.
    due, end: monotonic nanoseconds; end is 0 where there is nothing to end.
    part: which part it belongs to: a band's number times 65536, and the part's in it, 0 to 65534.
    port: which port sends it, 0 to 65534.
    rank: RANK_…, order among events due together.  late: LATE_….
    on, off: the bytes to send at `due` and at `end`, at most 65535 each.
    """

    id: int
    due: int
    end: int
    part: int
    port: int
    rank: int
    late: int
    on: bytes
    off: bytes = b""


def frame(kind: int, body: bytes = b"") -> bytes:
    """A whole frame, ready to be written."""
    return _FRAME.pack(len(body) + 1, kind) + body


def json_frame(kind: int, value: Any) -> bytes:
    return frame(kind, json.dumps(value, separators=(",", ":")).encode())


def part_frame(kind: int, part: int = ALL) -> bytes:
    return frame(kind, struct.pack("<I", part))


def port_frame(kind: int, port: int) -> bytes:
    return frame(kind, struct.pack("<H", port))


def whole(band: int) -> int:
    """What stands for all parts of a band in RECALL, CUT, SILENCE and PANIC."""
    return band << BAND | WHOLE


def concerned(part: int, other: int) -> bool:
    """Whether a part is meant by another number: its own, its band's, or ALL."""
    return part == other or other == ALL or (other & WHOLE == WHOLE and part | WHOLE == other)


def pay_frame(port: int, data: bytes) -> bytes:
    return frame(PAY, struct.pack("<H", port) + data)


def pack_event(event: Event) -> bytes:
    """A record for the body of EVENTS."""
    identity, due, end, part, port, rank, late, on, off = event
    head = _EVENT.pack(identity, due, end, part, port, rank, late, len(on), len(off))
    return head + on + off


def unpack_events(body: bytes) -> Iterator[Event]:
    """Law: list(unpack_events(b"".join(map(pack_event, events)))) == events."""
    at = 0
    while at < len(body):
        identity, due, end, part, port, rank, late, on, off = _EVENT.unpack_from(body, at)
        at += _EVENT.size
        middle, stop = at + on, at + on + off
        yield Event(identity, due, end, part, port, rank, late, body[at:middle], body[middle:stop])
        at = stop


class Heard(NamedTuple):
    """One MIDI message that came in.

    port: the input's number.  stamp: when it arrived, monotonic nanoseconds.
    data: one whole message of 1 to 3 bytes.
    """

    port: int
    stamp: int
    data: bytes


def pack_heard(heard: Heard) -> bytes:
    """A record for the body of HEARD."""
    return _HEARD.pack(heard.port, heard.stamp, len(heard.data)) + heard.data


def unpack_heard(body: bytes) -> Iterator[Heard]:
    """Law: list(unpack_heard(b"".join(map(pack_heard, all)))) == all."""
    at = 0
    while at < len(body):
        port, stamp, length = _HEARD.unpack_from(body, at)
        at += _HEARD.size
        yield Heard(port, stamp, body[at : at + length])
        at += length


class Frames:
    """Cuts a byte stream back into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(kind, body) of every frame that `data` completes."""
        buffer, frames = self._buffer, []
        buffer += data
        at, have = 0, len(buffer)
        while have - at >= 5:
            length, kind = _FRAME.unpack_from(buffer, at)
            stop = at + 4 + length
            if stop > have:
                break
            frames.append((kind, bytes(buffer[at + 5 : stop])))
            at = stop
        del buffer[:at]
        return frames
