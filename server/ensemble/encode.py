"""Notes and the other acts of a piece become bytes: how each kind of output says them.

An encoder knows one output's settings, no port and no clock; times come in as nanoseconds.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from engines.base import Symbol
from server.music.note import Note, Say, Turn
from server.wire.protocol import (
    LATE_DROP,
    LATE_SEND,
    RANK_CLOCK,
    RANK_CONTROL,
    RANK_NOTE,
    Event,
)

from .part import PartSpec, Shade

NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
LONGEST = 1024  # bytes of an OSC string
_MOST = 3.4028234e38  # of a 32-bit float

Arg = int | float | str
PREFIX = "/componium"


def _string(text: str) -> bytes:
    """Padded with one to four zero bytes; what no receiver could read is left out."""
    data = text.replace("\0", "").encode("utf-8", "replace")
    if len(data) > LONGEST:
        data = data[:LONGEST].decode("utf-8", "ignore").encode()  # no half of a character
    return data + bytes(4 - len(data) % 4)


def whole(address: str) -> str:
    """An address of the tree, which whoever types it may write without its `/componium`."""
    inside = f"{address}/".startswith(f"{PREFIX}/")
    return address if inside or not address.startswith("/") else PREFIX + address


def osc_name(name: str) -> str:
    """A name as a part of an address, in which OSC 1.0 has no room for a space."""
    return name.replace(" ", "_")


_LETTERS = {int: "i", float: "f", str: "s"}


@lru_cache(512)
def _form(address: str, kinds: tuple[type, ...]) -> tuple[bytes, struct.Struct | None]:
    """A message's head, and what packs its arguments where they are all numbers."""
    types = "".join(_LETTERS[kind] for kind in kinds)
    head = _string(address) + _string("," + types)
    return head, None if "s" in types else struct.Struct(">" + types)


def osc_message(address: str, *args: Arg) -> bytes:
    """An OSC 1.0 message of types i, f and s only; numbers clamped, strings cut at 1 KiB."""
    head, packer = _form(address, tuple(map(type, args)))
    if packer is not None:
        try:
            return head + packer.pack(*args)
        except (struct.error, OverflowError):  # a number too large
            pass
    return head + b"".join(map(_argument, args))


def osc_typed(address: str, *args: Arg | bool) -> bytes:
    """An OSC 1.1 message, whose truths are T and F and whose large whole numbers are h."""
    tags, data = "", b""
    for arg in args:
        if isinstance(arg, bool):
            tags += "T" if arg else "F"
        elif isinstance(arg, int) and not -(2**31) <= arg < 2**31:
            tags += "h"
            data += struct.pack(">q", min(max(arg, -(2**63)), 2**63 - 1))
        else:
            tags += "s" if isinstance(arg, str) else "i" if isinstance(arg, int) else "f"
            data += _argument(arg)
    return _string(address) + _string(f",{tags}") + data


def _argument(arg: Arg) -> bytes:
    if isinstance(arg, str):
        return _string(arg)
    if isinstance(arg, int):
        return struct.pack(">i", min(max(arg, -(2**31)), 2**31 - 1))
    return struct.pack(">f", min(max(arg, -_MOST), _MOST))


def osc_bundle(wall_ns: int, *messages: bytes) -> bytes:
    """A bundle with a time tag. wall_ns: nanoseconds since 1970."""
    seconds, rest = divmod(wall_ns, 10**9)
    tag = struct.pack(">II", (seconds + NTP_EPOCH) & 0xFFFFFFFF, (rest << 32) // 10**9)
    elements = b"".join(struct.pack(">i", len(message)) + message for message in messages)
    return b"#bundle\0" + tag + elements


@dataclass(frozen=True)
class OutputSpec:
    """An output as the scene describes it.

    kind: "midi", "osc", or "web" for who listens in the planner's own process.
    target: a port's name, "virtual", or HOST:PORT.
    offset: nanoseconds by which everything is sent later (negative: earlier).
    clock: MIDI clock and transport go there too.  rate: bytes a second a cable carries, 0 for
    no limit.  sensing: Active Sensing.
    timing, ahead, prefix, preset, why: of OSC, see `OscEncoder`.
    """

    name: str
    kind: str
    target: str
    offset: int = 0
    clock: bool = False
    rate: int = 0
    sensing: bool = False
    timing: str = "live"
    ahead: int = 0
    prefix: str = "/componium"
    preset: str = ""
    why: bool = False


#: The bit of an identity that tells the event that explains a note from the note.
WHY = 1


class Encoder(Protocol):
    """Says the acts of a piece in an output's own language. due, end: nanoseconds.

    identity: of the event, its lowest bit clear.  part: number of a part that uses the output.
    """

    lead: int  # nanoseconds before its sounding at which an event must be handed to the wire

    def note(self, identity: int, part: int, note: Note, due: int, end: int) -> Iterable[Event]: ...

    def act(
        self, identity: int, part: int, act: Turn | Say, channel: int, due: int
    ) -> Iterable[Event]: ...

    def tell(
        self, identity: int, part: int, address: str, args: tuple[Arg, ...], due: int
    ) -> Iterable[Event]: ...


class MidiEncoder:
    """MIDI 1.0 channel messages; ports: the wire's port for each part, by the part's number."""

    def __init__(self, spec: OutputSpec, ports: dict[int, int]) -> None:
        self.spec, self.ports = spec, ports
        self.lead = max(-spec.offset, 0)

    def note(self, identity: int, part: int, note: Note, due: int, end: int) -> Iterable[Event]:
        port = self.ports.get(part)
        if port is None:
            return ()
        channel = note.channel - 1
        velocity = min(max(round(note.velocity * 127), 1), 127)
        offset = self.spec.offset
        return (
            Event(
                identity,
                due + offset,
                end + offset,
                part,
                port,
                RANK_NOTE,
                LATE_DROP,
                bytes((0x90 | channel, note.pitch, velocity)),
                bytes((0x80 | channel, note.pitch, 0)),
            ),
        )

    def act(
        self, identity: int, part: int, act: Turn | Say, channel: int, due: int
    ) -> Iterable[Event]:
        port = self.ports.get(part)
        if port is None or isinstance(act, Say):
            return ()
        data = bytes((0xB0 | channel - 1, act.controller, act.value))
        offset = self.spec.offset
        return (Event(identity, due + offset, 0, part, port, RANK_CONTROL, LATE_SEND, data),)

    def tell(
        self, identity: int, part: int, address: str, args: tuple[Arg, ...], due: int
    ) -> Iterable[Event]:
        return ()

    def program(
        self, identity: int, part: int, channel: int, shade: Shade, due: int
    ) -> Iterable[Event]:
        """A part's bank and program, where it has any."""
        port, (program, bank), data = self.ports.get(part), shade, b""
        channel -= 1
        if bank is not None:
            data += bytes((0xB0 | channel, 0, bank >> 7, 0xB0 | channel, 32, bank & 127))
        if program is not None:
            data += bytes((0xC0 | channel, program))
        if port is None or not data:
            return ()
        due += self.spec.offset
        return (Event(identity, due, 0, part, port, RANK_CONTROL, LATE_SEND, data),)

    def clock(self, identity: int, part: int, data: bytes, due: int) -> Iterable[Event]:
        """A system real-time or song position message for each port; `identity` leaves 16 bits."""
        due += self.spec.offset
        return [
            Event(identity | port, due, 0, part, port, RANK_CLOCK, LATE_SEND, data)
            for port in dict.fromkeys(self.ports.values())
        ]


DRUMS = 10  # the channel on which a pitch is a drum
DIRT_ORBITS = 12  # as SuperDirt starts with
#: Sample folders of SuperDirt for the drums of General MIDI; the rest sounds as a rim shot.
DIRT_DRUMS = {
    **dict.fromkeys((35, 36), "808bd"),
    **dict.fromkeys((38, 40), "808sd"),
    **dict.fromkeys((42, 44), "808hc"),
    **dict.fromkeys((49, 51, 52, 53, 55, 57, 59), "808cy"),
    **dict.fromkeys((41, 43, 45), "808lt"),
    **dict.fromkeys((47, 48), "808mt"),
    39: "cp",
    46: "808oh",
    50: "808ht",
}


def _dirt_sound(sound: str, note: Note) -> tuple[str | float, ...]:
    """What SuperDirt plays for a note: a drum has its own sample, at the sample's own pitch."""
    if not sound and note.channel == DRUMS:
        return ("s", DIRT_DRUMS.get(note.pitch, "rm"))
    return ("s", sound or "superpiano", "midinote", float(note.pitch))


class OscEncoder:
    """OSC as the contract has it.

    timing "live": plain messages at their time; "bundle": with a time tag, sent `ahead` ns
    early; "stamp": plain and `ahead` early, the wall time as two leading integers (seconds
    and microseconds), as Tidal's message stamp.
    preset "superdirt": notes as /dirt/play.
    now, wall: monotonic nanoseconds, and what to add to have wall time; the player keeps both
    true. What would have had to leave before now leaves at once, its time unchanged.
    """

    def __init__(self, spec: OutputSpec, port: int, parts: dict[int, PartSpec]) -> None:
        self.spec, self.port, self.parts = spec, port, parts
        self.now = self.wall = 0
        early = spec.ahead if spec.timing != "live" else 0
        self.lead = max(early - spec.offset, 0)
        self._early = early

    def note(self, identity: int, part: int, note: Note, due: int, end: int) -> Iterable[Event]:
        name, spec, seconds = note.part, self.spec, (end - due) / 1e9
        if spec.preset == "superdirt":
            cycles = float(note.end - note.start) / 4  # SuperDirt's cycle is our whole note
            message = osc_message(
                "/dirt/play",
                *_dirt_sound(self.parts[part].sound, note),
                *("gain", note.velocity, "sustain", seconds, "delta", seconds),
                *("orbit", min(note.channel, DIRT_ORBITS) - 1, "cps", cycles / seconds),
                *("cycle", float(note.beat / 4)),
            )
            return (self._event(identity, due, 0, part, RANK_NOTE, LATE_DROP, message, b""),)
        address = f"{spec.prefix}/part/{osc_name(name)}"
        on = self._message(f"{address}/note", (note.pitch, note.velocity, seconds), due)
        off = self._message(f"{address}/off", (note.pitch,), end)
        played = self._event(identity, due, end, part, RANK_NOTE, LATE_DROP, on, off)
        if not spec.why:
            return (played,)
        why = self._message(f"{address}/why", (note.symbol.name, _origin(note.symbol)), due)
        return (
            played,
            self._event(identity | WHY, due, 0, part, RANK_NOTE, LATE_DROP, why, b""),
        )

    def act(
        self, identity: int, part: int, act: Turn | Say, channel: int, due: int
    ) -> Iterable[Event]:
        if isinstance(act, Turn):
            if self.spec.preset:
                return ()
            address = f"{self.spec.prefix}/part/{osc_name(self.parts[part].name)}/control"
            message = self._message(address, (act.controller, act.value), due)
        else:
            message = self._message(act.address, act.args, due)
        return (self._event(identity, due, 0, part, RANK_CONTROL, LATE_SEND, message, b""),)

    def tell(
        self, identity: int, part: int, address: str, args: tuple[Arg, ...], due: int
    ) -> Iterable[Event]:
        if self.spec.preset:
            return ()
        message = self._message(self.spec.prefix + address, args, due)
        return (self._event(identity, due, 0, part, RANK_CLOCK, LATE_SEND, message, b""),)

    def _message(self, address: str, args: tuple[Arg, ...], due: int) -> bytes:
        if self.spec.timing == "stamp":
            seconds, rest = divmod(due + self.spec.offset + self.wall, 10**9)
            return osc_message(address, seconds, rest // 1000, *args)
        return osc_message(address, *args)

    def _event(
        self,
        identity: int,
        due: int,
        end: int,
        part: int,
        rank: int,
        late: int,
        on: bytes,
        off: bytes,
    ) -> Event:
        offset, early = self.spec.offset, self._early
        due += offset
        end = end + offset if end else 0
        if self.spec.timing == "bundle":
            on = osc_bundle(due + self.wall, on)
            off = osc_bundle(end + self.wall, off) if off else off
        if early:
            due = max(due - early, min(due, self.now))
            end = max(end - early, due + 1) if end else 0
        return Event(identity, due, end, part, self.port, rank, late, on, off)


def _origin(symbol: Symbol) -> str:
    try:
        return str(symbol.origin)
    except Exception:  # an engine's own words; the note matters more
        return "unknown"


#: The output that pages and games hear ahead of time; no scene can call one of its own like this.
PAGE = OutputSpec("(page)", "web", "")


class Ears(Protocol):
    """Whether anybody listens to what is planned, and whether he wants to know why."""

    heard: bool
    why: bool


class WebEncoder:
    """What is planned as JSON: the members of an object without its times, nor its braces.

    An event's `on` is what it is; its `off`, where somebody wants it, a note's symbol and origin.
    Law: nothing is encoded while nobody listens.
    """

    lead = 0

    def __init__(self, parts: dict[int, PartSpec], ears: Ears) -> None:
        self.parts, self._ears = parts, ears

    def note(self, identity: int, part: int, note: Note, due: int, end: int) -> Iterable[Event]:
        if not self._ears.heard:
            return ()
        on = _members(
            event="note",
            part=note.part,
            pitch=note.pitch,
            velocity=round(note.velocity, 4),
            channel=note.channel,
        )
        symbol, why = note.symbol, b""
        if self._ears.why:
            why = _members(symbol=symbol.name, origin=_origin(symbol))
        return (Event(identity, due, end, part, 0, RANK_NOTE, LATE_DROP, on, why),)

    def act(
        self, identity: int, part: int, act: Turn | Say, channel: int, due: int
    ) -> Iterable[Event]:
        if not self._ears.heard:
            return ()
        name = self.parts[part].name
        if isinstance(act, Turn):
            on = _members(
                event="control",
                part=name,
                channel=channel,
                controller=act.controller,
                value=act.value,
            )
        else:
            on = _members(event="osc", part=name, address=act.address, args=list(act.args))
        return (Event(identity, due, 0, part, 0, RANK_CONTROL, LATE_SEND, on),)

    def touch(
        self, identity: int, part: int, data: bytes, channel: int, due: int
    ) -> Iterable[Event]:
        """A bend (-1 to 1), pressure (0 to 1) or controller that is played. data: its bytes."""
        if not self._ears.heard:
            return ()
        kind, name = data[0] & 0xF0, self.parts[part].name
        if kind == 0xB0:
            return self.act(identity, part, Turn(data[1], data[2]), channel, due)
        if kind == 0xE0:
            value = max(((data[2] << 7 | data[1]) - 8192) / 8191, -1.0)
            on = _members(event="bend", part=name, channel=channel, value=round(value, 4))
        else:
            value = round(data[1] / 127, 4)
            on = _members(event="pressure", part=name, channel=channel, value=value)
        return (Event(identity, due, 0, part, 0, RANK_CONTROL, LATE_SEND, on),)

    def tell(
        self, identity: int, part: int, address: str, args: tuple[Arg, ...], due: int
    ) -> Iterable[Event]:
        if not self._ears.heard:
            return ()
        on = _members(event="say", address=address, args=list(args))
        return (Event(identity, due, 0, part, 0, RANK_CLOCK, LATE_SEND, on),)


def _members(**values: Arg | list[Arg]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))[1:-1].encode()
