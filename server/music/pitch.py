"""Spelled pitches: a letter, its accidentals and an octave. B♭ and A♯ sound alike, and differ."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from engines.base import Mistake

LETTERS = "CDEFGAB"
#: Semitones of each letter above C.
NATURALS = (0, 2, 4, 5, 7, 9, 11)

_CLASS = r"([A-G])([#♯]{0,4}|[b♭]{0,4})"
_PITCH_CLASS = re.compile(_CLASS)
_PITCH = re.compile(_CLASS + r"(-?[0-9])?")


def accidentals(alteration: int) -> str:
    """An alteration in semitones as it is typed: `##`, `#`, nothing, `b`, `bb`."""
    return "#" * alteration if alteration >= 0 else "b" * -alteration


def alteration_of(text: str) -> int:
    """Semitones that a row of `#`, `♯`, `b` or `♭` adds up to; of other signs, none."""
    return sum((sign in "#♯") - (sign in "b♭") for sign in text)


class PitchClass(NamedTuple):
    """A spelled note without an octave.

    letter: C to B.  alteration: semitones up (sharps) or down (flats).
    """

    letter: str
    alteration: int = 0

    @property
    def semitone(self) -> int:
        """0 (C) to 11 (B)."""
        return (NATURALS[LETTERS.index(self.letter)] + self.alteration) % 12

    @property
    def name(self) -> str:
        return self.letter + accidentals(self.alteration)

    def transpose(self, steps: int, semitones: int) -> PitchClass:
        """Up by letters and semitones: (2, 4) above A is C#, (3, 4) is Db.

        Law: `c.transpose(a, b).transpose(-a, -b) == c`.
        """
        moved = Pitch(self.letter, self.alteration, 4).transpose(steps, semitones)
        return PitchClass(moved.letter, moved.alteration)

    def at(self, octave: int) -> Pitch:
        """This note in an octave, as written: B# at 3 is B#3, which sounds as C4."""
        return Pitch(self.letter, self.alteration, octave)


class Pitch(NamedTuple):
    """A spelled note in an octave; C4 is MIDI 60, and octaves change between B and C."""

    letter: str
    alteration: int
    octave: int

    @property
    def midi(self) -> int:
        """The MIDI number. Parsed pitches lie in 0 to 127; transposed ones may leave it."""
        return 12 * self.octave + 12 + NATURALS[LETTERS.index(self.letter)] + self.alteration

    @property
    def name(self) -> str:
        """As `parse_pitch` reads it: `F#4`, `Bb-1`."""
        return f"{self.letter}{accidentals(self.alteration)}{self.octave}"

    @property
    def pitch_class(self) -> PitchClass:
        return PitchClass(self.letter, self.alteration)

    def transpose(self, steps: int, semitones: int) -> Pitch:
        """Up by letters and semitones; a major third is (2, 4), an octave (7, 12).

        Laws: transposing by (a, b) and then (c, d) is transposing by (a + c, b + d);
        `p.transpose(*p.interval_to(q)) == q`.
        """
        octaves, place = divmod(LETTERS.index(self.letter) + steps, 7)
        natural = Pitch(LETTERS[place], 0, self.octave + octaves)
        return natural._replace(alteration=self.midi + semitones - natural.midi)

    def interval_to(self, other: Pitch) -> tuple[int, int]:
        """Letters and semitones from here up to another pitch; negative where it is lower."""
        steps = LETTERS.index(other.letter) - LETTERS.index(self.letter)
        return steps + 7 * (other.octave - self.octave), other.midi - self.midi


@lru_cache(maxsize=512)
def parse_pitch(text: str, octave: int = 4) -> Pitch:
    """Read `C`, `F#`, `Bb4`, `E♭3`, `Ebb3`, `C-1`.

    octave: for a name that has none.
    Errors: Mistake where the text is no note name or lies outside MIDI 0 to 127.
    """
    found = _PITCH.fullmatch(text)
    if found is None:
        raise Mistake(
            "",
            f"expected a note name such as C, F#, Bb4 or E3, found {text!r}; "
            "letters are capitals A to G",
        )
    letter, signs, number = found.groups()
    pitch = Pitch(letter, alteration_of(signs), octave if number is None else int(number))
    if not 0 <= pitch.midi <= 127:
        raise Mistake("", f"{pitch.name} is outside what MIDI can play; use C-1 to G9")
    return pitch


@lru_cache(maxsize=256)
def parse_pitch_class(text: str) -> PitchClass:
    """Read a note name without an octave: `C`, `F#`, `B♭`.

    Errors: Mistake where the text is none.
    """
    found = _PITCH_CLASS.fullmatch(text)
    if found is None:
        raise Mistake("", f"expected a note name without octave, such as C or F#, found {text!r}")
    return PitchClass(found[1], alteration_of(found[2]))


@lru_cache(maxsize=512)
def is_pitch(text: str) -> bool:
    """Whether `parse_pitch` would read this."""
    try:
        parse_pitch(text)
    except Mistake:
        return False
    return True
