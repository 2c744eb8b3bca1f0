"""MIDI clock and transport, for outputs with `clock = true`."""

from __future__ import annotations

from fractions import Fraction

from .encode import MidiEncoder
from .music.timeline import Timeline
from .rack import Rack
from .wire.protocol import Event

PULSES = 24  # in a quarter note
TRANSPORT = 0  # the part number of clock and transport; those of parts are higher
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

    def begin(self, line: Timeline, now: int) -> None:
        """A new count along this line; what is queued of the one before is forgotten."""
        self._rack.recall(TRANSPORT)
        self._count = (self._count + 1) % 2**14
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
        if self._clocked():
            begin = max(self._next, self._first(line, now))
            self._next = max(begin, -(-until * PULSES // 1))
            self._send(line, range(begin, self._next))

    def again(self, line: Timeline, now: int) -> None:
        """Place the pulses that are still to come on another line through this moment."""
        self._line = line
        self._send(line, range(self._first(line, now), self._next))

    def say(self, data: bytes, due: int) -> None:
        """Send a message of the transport."""
        identity = self._rack.next_id() << 24
        events: list[Event] = []
        for encoder in self._clocked():
            events += encoder.clock(identity, TRANSPORT, data, due)
        self._rack.send({"midi": events})

    def start(self, line: Timeline) -> None:
        """Followers begin with the pulse of beat 0."""
        self.say(START, line.ns_at(Fraction(0)) - _AHEAD)

    def locate(self, line: Timeline, now: int, beat: Fraction) -> None:
        """Followers go on from this beat, a sixteenth, when it comes."""
        self.say(song_position(beat), now)
        self.say(CONTINUE, line.ns_at(beat) - _AHEAD)

    def _clocked(self) -> list[MidiEncoder]:
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
        clocked = self._clocked()
        for pulse in pulses if clocked else ():
            due = line.ns_at(Fraction(pulse, PULSES))
            identity = (_IDS | self._count << 32 | pulse + 2**31) << 16
            for encoder in clocked:
                events += encoder.clock(identity, TRANSPORT, PULSE, due)
        self._rack.send({"midi": events})
