"""What sounds on one MIDI channel: the parts that share its program and its brightness."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from server.conductor.conductor import Conductor
from server.music.line import Line
from server.music.note import Step, Turn

from .encode import Encoder, MidiEncoder, OscEncoder
from .part import PartSpec, Shade
from .rack import Sent

PLAIN = 64  # where a controller leaves the sound as it is
LEGATO = Fraction(1, 4)  # quarter notes by which what sounds into a phrase may be cut short
RECENT = 1024  # steps that may sound into the next phrase
MEMBERS = 10  # bits of an identity, above those for outputs and kinds

Way = tuple[int, str, Encoder]


class Member(NamedTuple):
    """A part of an instrument. number: on the wires.  nth: in its scene.  ways: of its outputs."""

    spec: PartSpec
    number: int
    nth: int
    ways: Sequence[Way]


class Instrument:
    """The parts of one channel, as far as mood decides what they sound like.

    shaded, bright: those with several programs, or a controller for brightness; the first of
    each decides for the others, so that the channel is told once.
    Law: a program changes on phrase lines only, and where none of its notes sounds on for more
    than `LEGATO`; what sounds on for less ends before.
    """

    def __init__(self, members: Sequence[Member], early_ns: int, early_beats: Fraction) -> None:
        """early_ns, early_beats: how far its notes may come before their beats."""
        self.members, self.early_ns, self.early_beats = members, early_ns, early_beats
        self.shaded = [each for each in members if each.spec.shades]
        self.bright = [each for each in members if each.spec.brightness is not None]
        self._in_hand: Line[int] = Line()
        self._sounding: deque[tuple[Fraction, Fraction]] = deque(maxlen=RECENT)

    # Programs ----------------------------------------------------------------------------

    def take_up(self, beat: Fraction, shades: Mapping[str, int]) -> None:
        """Begin with what the mood asks for."""
        if self.shaded:
            self._in_hand.begin(beat, shades.get(self.shaded[0].spec.name, 0))

    def hear(self, step: Step, spec: PartSpec) -> None:
        """A step that is planned: its notes sound until about then."""
        gate = Fraction(max(spec.gate, 1.0)).limit_denominator(100)
        length = max(t.length if t.length is not None else step.length * gate for t in step.tones)
        self._sounding.append((step.beat, step.beat + length))

    def change(self, beat: Fraction, shades: Mapping[str, int]) -> int | None:
        """The program to change to at a phrase line; None where it stays, or cannot change yet."""
        if not self.shaded:
            return None
        wanted = shades.get(self.shaded[0].spec.name, 0)
        here = self._in_hand.at(beat) or 0
        specs = [each.spec for each in self.shaded]
        same = all(spec.shade(wanted) == spec.shade(here) for spec in specs)
        if same or any(begin < beat and end > beat + LEGATO for begin, end in self._sounding):
            return None
        self._in_hand.begin(beat, wanted)
        self._in_hand.forget(beat)
        return wanted

    def changes_after(self, beat: Fraction) -> Fraction | None:
        """The next beat at which its program changes, as far as is planned."""
        found = self._in_hand.after(beat)
        return found.beat if found is not None else None

    @property
    def changed(self) -> Fraction | None:
        """The newest beat at which its program changes."""
        last = self._in_hand.last
        return last.beat if last is not None else None

    def shade(self, spec: PartSpec, beat: Fraction, shades: Mapping[str, int]) -> Shade:
        """A member's program and bank at a beat; `shades` where it has not begun."""
        in_hand = self._in_hand.at(beat)
        if in_hand is None and self.shaded:
            in_hand = shades.get(self.shaded[0].spec.name, 0)
        return spec.shade(in_hand or 0)

    def tell_shade(self, identity: int, number: int, due: int) -> Iterator[Sent]:
        """Have every port change to a program of the row."""
        for member, index, kind, encoder in _told(self.shaded):
            if isinstance(encoder, MidiEncoder):
                event = identity << 24 | member.nth << MEMBERS | index << 2 | 2
                shade = member.spec.shade(number)
                channel = member.spec.channel
                yield kind, encoder.program(event, member.number, channel, shade, due)

    # Brightness --------------------------------------------------------------------------

    def brightness(self, conductor: Conductor, beat: Fraction) -> int:
        """Where its controller stands at a beat."""
        return conductor.brightness(self.bright[0].spec.role, beat)

    def tell_brightness(
        self, identity: int, value: int, due: int, port: int | None = None
    ) -> Iterator[Sent]:
        """Set the controller, on every port or on one MIDI port, and tell OSC of each part."""
        for member, index, kind, encoder in _told(self.bright):
            theirs = encoder.ports[member.number] if isinstance(encoder, MidiEncoder) else None
            if port not in (None, theirs):
                continue
            event = identity << 24 | member.nth << MEMBERS | index << 2 | 2
            controller, channel = member.spec.brightness or 0, member.spec.channel
            turn = Turn(controller, value)
            yield kind, encoder.act(event, member.number, turn, channel, due)

    def heirs(self, after: Iterable[Instrument]) -> bool:
        """Whether what plays next has its brightness on the same controllers and ports."""
        wanted = {each for other in after for each in other.controllers()}
        return set(self.controllers()) <= wanted

    def controllers(self) -> Iterator[tuple[object, ...]]:
        """What its brightness is told to."""
        for member, _, kind, encoder in _told(self.bright):
            spec = member.spec
            if isinstance(encoder, MidiEncoder):
                yield kind, encoder.ports[member.number], spec.channel, spec.brightness
            elif isinstance(encoder, OscEncoder):
                yield kind, encoder.port, spec.name, spec.brightness


def _told(members: Iterable[Member]) -> Iterator[tuple[Member, int, str, Encoder]]:
    """Each MIDI port once, and each part by itself elsewhere."""
    ports = set()
    for member in members:
        for index, kind, encoder in member.ways:
            if isinstance(encoder, MidiEncoder):
                port = encoder.ports.get(member.number)
                if port is None or port in ports:
                    continue
                ports.add(port)
            yield member, index, kind, encoder
