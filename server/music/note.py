"""What is written (steps of tones) and what is sounded (notes and other acts), kept apart."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from engines.base import Symbol

from .chord import Chord

PEDAL = 64  # the controller that has notes sound on


class Tone(NamedTuple):
    """One pitch of a step, before the live controls touch it.

    pitch: MIDI number, 0 to 127.  velocity: factor on the part's own, 1 for plain.
    length: quarter notes, or None for the step's own, shortened by the part's gate.
    voice: staff or voice within the step, from 0; added to the part's channel.
    fixed: a drum, which has no octaves.
    spelling: the pitch class as it is written, `Bb`; empty where only the key can tell.
    """

    pitch: int
    velocity: float = 1.0
    length: Fraction | None = None
    voice: int = 0
    fixed: bool = False
    spelling: str = ""


class Turn(NamedTuple):
    """A MIDI control change. controller, value: 0 to 127."""

    controller: int
    value: int

    @property
    def lifts(self) -> bool:
        """Whether it lets the pedal come up."""
        return self.controller == PEDAL and self.value < 64


class Say(NamedTuple):
    """An OSC message of the part's own."""

    address: str
    args: tuple[int | float | str, ...]


class Step(NamedTuple):
    """What a part does at a beat. Planned once; performed as often as controls change.

    id: unique in the run, 1 upward.  number: which step of its part, from 0.
    length: quarter notes, 0 or more.
    chord: the harmony that begins here, where the part leads it.
    """

    id: int
    number: int
    beat: Fraction
    length: Fraction
    tones: tuple[Tone, ...]
    acts: tuple[Turn | Say, ...]
    symbol: Symbol
    chord: Chord | None = None


class Note(NamedTuple):
    """A tone as it will sound.

    beat: where it is written.  start, end: where it sounds, swing and gate included.
    nudge: nanoseconds of humanising added to both.  velocity: 0 to 1.  channel: 1 to 16.
    spelling: as in `Tone`.
    """

    part: str
    beat: Fraction
    start: Fraction
    end: Fraction
    nudge: int
    pitch: int
    velocity: float
    channel: int
    symbol: Symbol
    spelling: str = ""
