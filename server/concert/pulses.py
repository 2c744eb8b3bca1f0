"""MIDI clock and transport, for outputs with `clock = true`."""

from __future__ import annotations

from fractions import Fraction

from server.ensemble.encode import MidiEncoder
from server.ensemble.rack import Rack
from server.music.timeline import Timeline
from server.wire.protocol import Event

PULSES = 24  # in a quarter note
START, CONTINUE, STOP, PULSE = b"\xfa", b"\xfb", b"\xfc", b"\xf8"
SIXTEENTH = Fraction(1, 4)
_AHEAD = 1_000_000  # ns that Start and Continue come before the pulse they belong to
_IDS = 1 << 46  # ids of pulses lie above those of steps


def next_sixteenth(beat: Fraction) -> Fraction:
    """The first sixteenth at or after a beat: where song positions can point."""
    return max(-(-beat // SIXTEENTH) * SIXTEENTH, Fraction(0))


def song_position(beat: Fraction) -> bytes:
    """MIDI song position pointer for a beat: sixteenths in 14 bits, least significant first."""
    sixteenths = min(int(beat * 4), 0x3FFF)
    return bytes((0xF2, sixteenths & 127, sixteenths >> 7))


class Pulses:
    """The pulses of a timeline, running on while the transport stands.

    Law: as long as one count lasts, each pulse is sent once, at its place on the newest line,
    because a pulse keeps its id when it is sent again.
    """

    def __init__(self, rack: Rack) -> None:
        self._rack = rack
        self._count = 0
        self._next = 0  # the next pulse to send; pulse 0 is at beat 0
        self._line: Timeline | None = None
        self._awaited: list[tuple[int, bytes, Fraction, frozenset[int]]] = []

    def begin(self, line: Timeline, now: int) -> None:
        """A new count along this line; what is queued of the one before is forgotten."""
        self._rack.recall(self._rack.transport)
        self._awaited.clear()
        self._count = self._rack.numbers.next_count() % 2**14
        free = now
        if self._line is not None:
            # No closer than half a pulse to the one that has just left.
            left = self._line.ns_at(Fraction(self._first(self._line, now) - 1, PULSES))
            free = max(now, left + int(30e9 / PULSES / line.tempo_at(line.beat_at(now))))
        self._line = line
        self._next = self._first(line, free)

    def run(self, line: Timeline, now: int, until: Fraction) -> None:
        """Send the pulses before this beat; those missed in a gap are left out."""
        self._line = line
        if self.clocked():
            begin = max(self._next, self._first(line, now))
            self._next = max(begin, -(-until * PULSES // 1))
            self._send(line, range(begin, self._next))

    def again(self, line: Timeline, now: int) -> None:
        """Place the pulses that are still to come on another line through this moment."""
        self._line = line
        self._awaited = [cue for cue in self._awaited if line.ns_at(cue[2]) > now]
        for identity, data, beat, ports in self._awaited:
            self._say(identity, data, line.ns_at(beat) - _AHEAD, self.clocked(), ports)
        self._send(line, range(self._first(line, now), self._next))

    def say(self, data: bytes, due: int) -> None:
        """Send a message of the transport to every follower, instead of what they wait for."""
        self._awaited.clear()
        encoders = self.clocked()
        self._say(self._rack.next_id() << 24, data, due, encoders, _ports(encoders))

    def start(self, line: Timeline) -> None:
        """Followers begin with the pulse of beat 0."""
        self._await(START, line, Fraction(0), _ports(self.clocked()))

    def locate(
        self, line: Timeline, now: int, beat: Fraction, ports: frozenset[int] | None = None
    ) -> None:
        """Followers, all or those at these ports, go on from this beat, a sixteenth."""
        ports = _ports(self.clocked()) if ports is None else ports
        identity = self._rack.next_id() << 24
        self._say(identity, song_position(beat), now, self.clocked(), ports)
        self._await(CONTINUE, line, beat, ports)

    def hand_over(
        self, before: list[MidiEncoder], line: Timeline, now: int, beat: Fraction
    ) -> None:
        """From this beat on other outputs have the clock: who loses it stops, who gets it goes on.

        before: the encoders that were `clocked`.
        """
        old, new = _ports(before), _ports(self.clocked())
        if old - new:
            self._say(self._rack.next_id() << 24, STOP, line.ns_at(beat), before, old - new)
        if new - old:
            near = max(beat, line.beat_at(now + 2 * _AHEAD))
            self.locate(line, now, next_sixteenth(near), new - old)

    def _await(self, data: bytes, line: Timeline, beat: Fraction, ports: frozenset[int]) -> None:
        """Have a message come just before the pulse of its beat, wherever that moves."""
        identity = self._rack.next_id() << 24
        self._awaited.append((identity, data, beat, ports))
        self._say(identity, data, line.ns_at(beat) - _AHEAD, self.clocked(), ports)

    def _say(
        self,
        identity: int,
        data: bytes,
        due: int,
        encoders: list[MidiEncoder],
        ports: frozenset[int],
    ) -> None:
        events = [
            event
            for encoder in encoders
            for event in encoder.clock(identity, self._rack.transport, data, due)
            if event.port in ports
        ]
        self._rack.send({"midi": events})

    def clocked(self) -> list[MidiEncoder]:
        """The encoders of the outputs that have the clock."""
        return [
            patched.encoder
            for patched in self._rack.outputs.values()
            if patched.spec.clock and isinstance(patched.encoder, MidiEncoder)
        ]

    def _first(self, line: Timeline, now: int) -> int:
        """The first pulse that has not left yet."""
        pulse = int(line.beat_at(now) * PULSES // 1)
        while line.ns_at(Fraction(pulse, PULSES)) <= now:
            pulse += 1
        return pulse

    def _send(self, line: Timeline, pulses: range) -> None:
        events: list[Event] = []
        clocked = self.clocked()
        for pulse in pulses if clocked else ():
            due = line.ns_at(Fraction(pulse, PULSES))
            identity = (_IDS | self._count << 32 | pulse + 2**31) << 16
            for encoder in clocked:
                events += encoder.clock(identity, self._rack.transport, PULSE, due)
        self._rack.send({"midi": events})


def _ports(encoders: list[MidiEncoder]) -> frozenset[int]:
    return frozenset(port for encoder in encoders for port in encoder.ports.values())
