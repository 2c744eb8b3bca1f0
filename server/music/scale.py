"""Keys and modes, and the scale degrees in which musicians write melodies down."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from engines.base import Mistake, meant

from .pitch import NATURALS, Pitch, PitchClass, accidentals, alteration_of

#: Each mode's notes as degrees of the major scale on the same tonic.
MODES = {
    "major": "1 2 3 4 5 6 7",
    "minor": "1 2 b3 4 5 b6 b7",
    "dorian": "1 2 b3 4 5 6 b7",
    "phrygian": "1 b2 b3 4 5 b6 b7",
    "lydian": "1 2 3 #4 5 6 7",
    "mixolydian": "1 2 3 4 5 6 b7",
    "locrian": "1 b2 b3 4 b5 b6 b7",
    "harmonic minor": "1 2 b3 4 5 b6 7",
    "melodic minor": "1 2 b3 4 5 6 7",
    "harmonic major": "1 2 3 4 5 b6 7",
    "phrygian dominant": "1 b2 3 4 5 b6 b7",
    "lydian dominant": "1 2 3 #4 5 6 b7",
    "altered": "1 b2 b3 b4 b5 b6 b7",
    "double harmonic": "1 b2 3 4 5 b6 7",
    "hungarian minor": "1 2 b3 #4 5 b6 7",
    "neapolitan minor": "1 b2 b3 4 5 b6 7",
    "major pentatonic": "1 2 3 5 6",
    "minor pentatonic": "1 b3 4 5 b7",
    "hirajoshi": "1 2 b3 5 b6",
    "in sen": "1 b2 4 5 b7",
    "blues": "1 b3 4 b5 5 b7",
    "whole tone": "1 2 3 #4 #5 b7",
    "octatonic": "1 2 b3 4 b5 b6 6 7",
    "half-whole octatonic": "1 b2 b3 3 #4 5 6 b7",
    "chromatic": "1 b2 2 b3 3 4 #4 5 b6 6 b7 7",
}
_OTHER_NAMES = {
    "": "major",
    "maj": "major",
    "ionian": "major",
    "m": "minor",
    "min": "minor",
    "aeolian": "minor",
    "natural minor": "minor",
    "hijaz": "phrygian dominant",
    "acoustic": "lydian dominant",
    "byzantine": "double harmonic",
    "pentatonic": "major pentatonic",
    "whole-half octatonic": "octatonic",
    "diminished": "octatonic",
}

_KEY = re.compile(r"([A-Ga-g])([#♯]{1,2}|[b♭]{1,2})?(?:(?:\s+)(\S.*)|(m|min|maj))?")
_DEGREE = re.compile(r"([#♯+]{1,3}|[b♭]{1,3})?(1[0-4]|[1-9])([’']{1,9}|,{1,9})?")


class Degree(NamedTuple):
    """A scale degree as it is written: `b3`, `#4`, `5,`, `1''`.

    number: from 1; above the scale's last note it goes on into the next octave.
    alteration: semitones of its accidentals; what they mean, `Key.degree` says.
    octaves: up (`'`) or down (`,`).
    """

    number: int
    alteration: int = 0
    octaves: int = 0

    @property
    def name(self) -> str:
        """As `parse_degree` reads it."""
        marks = "'" * self.octaves if self.octaves >= 0 else "," * -self.octaves
        return f"{accidentals(self.alteration)}{self.number}{marks}"


@lru_cache(maxsize=512)
def parse_degree(text: str) -> Degree:
    """Read `1` to `14`, after `b`, `#` or `+` (which raises like `#`), before `'` or `,`.

    Errors: Mistake where the text is no degree.
    """
    found = _DEGREE.fullmatch(text)
    if found is None:
        raise Mistake(
            "",
            "expected a scale degree from 1 to 14 such as 5, b3, #4, 5, (an octave down) "
            f"or 1'' (two octaves up), found {text!r}",
        )
    signs, number, marks = found[1] or "", int(found[2]), found[3] or ""
    octaves = -len(marks) if marks.startswith(",") else len(marks)
    return Degree(number, alteration_of(signs.replace("+", "#")), octaves)


@lru_cache(maxsize=512)
def is_degree(text: str) -> bool:
    """Whether `parse_degree` would read this."""
    return _DEGREE.fullmatch(text) is not None


@dataclass(frozen=True)
class Key:
    """A tonic and a mode, such as D dorian.

    bends: semitones by which each degree lies off its mode, as a chord from elsewhere has it.
    pitch_classes: 0 to 11, in the order of the scale's degrees.
    Errors: Mistake where the mode is unknown.
    """

    tonic: PitchClass
    mode: str = "major"
    bends: tuple[int, ...] = ()
    pitch_classes: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _notes: tuple[tuple[int, int, int], ...] = field(init=False, repr=False, compare=False)
    _sounding: frozenset[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise Mistake("", _unknown_mode(self.mode))
        notes = tuple(_above_tonic(name) for name in MODES[self.mode].split())
        if self.bends:
            notes = tuple(
                (steps, semitones + bend, own + bend)
                for (steps, semitones, own), bend in zip(notes, self.bends, strict=True)
            )
        start = self.tonic.semitone
        classes = tuple((start + semitones) % 12 for _, semitones, _ in notes)
        object.__setattr__(self, "_notes", notes)
        object.__setattr__(self, "pitch_classes", classes)
        object.__setattr__(self, "_sounding", frozenset(classes))

    def __len__(self) -> int:
        """How many notes the scale has in an octave."""
        return len(self._notes)

    @property
    def name(self) -> str:
        """As `parse_key` reads it: `D dorian`."""
        return f"{self.tonic.name} {self.mode}"

    @property
    def heptatonic(self) -> Key:
        """The key with seven notes that harmony in this one is built on.

        Itself where it has seven; otherwise minor or major on its tonic, after its third.
        """
        if len(self) == 7:
            return self
        tonic, sounding = self.tonic.semitone, self._sounding
        minor = (tonic + 3) % 12 in sounding and (tonic + 4) % 12 not in sounding
        return Key(self.tonic, "minor" if minor else "major")

    def degree(self, number: int, alteration: int = 0, octave: int = 4) -> Pitch:
        """The note on a degree of this key, properly spelled.

        number: 1 is the tonic; above the last degree it goes on into the next octave, and 0
        is the note below the tonic.
        octave: the octave in which the tonic, degree 1, is written: in B♭ major at octave 4,
        degree 1 is B♭4 and degree 2 is C5.
        alteration: semitones, as musicians write them: an accidental says how the degree
        differs from the major scale (b3 in minor is the minor third, #4 in lydian is its
        fourth), and where it goes against the key's own alteration it changes that
        instead (#7 in minor is the leading note). In scales without seven notes it always
        changes the scale's own note.
        Law: `degree(n + len(key), a, o) == degree(n, a, o + 1)`.
        """
        octaves, index = divmod(number - 1, len(self._notes))
        steps, semitones, own = self._notes[index]
        if len(self._notes) == 7 and own * alteration > 0:
            alteration -= own
        tonic = self.tonic.at(octave + octaves)
        return tonic.transpose(steps, semitones + alteration)

    def pitch(self, degree: Degree, octave: int = 4) -> Pitch:
        """The note that a written degree stands for; `octave` as in `degree`."""
        return self.degree(degree.number, degree.alteration, octave + degree.octaves)

    def contains(self, midi: int) -> bool:
        """Whether a pitch belongs to the scale."""
        return midi % 12 in self._sounding

    def nearest(self, midi: int) -> int:
        """The scale's nearest pitch within 0 to 127; of two as near, the lower.

        Law: notes of the scale stay; the answer is always a note of the scale.
        """
        near = range(max(midi - 11, 0), min(midi + 11, 127) + 1)
        return min(filter(self.contains, near), key=lambda other: (abs(other - midi), other))

    def degree_of(self, midi: int, octave: int = 4) -> Degree:
        """What a pitch is called in this key, from the tonic at `octave` on.

        Law: `key.pitch(key.degree_of(midi)).midi == midi`, for every pitch.
        """
        octaves, above = divmod(midi - self.tonic.at(octave).midi, 12)
        for number, (_, semitones, _) in enumerate(self._notes, start=1):
            if semitones % 12 == above:
                return Degree(number, 0, octaves - semitones // 12)
        if len(self._notes) == 7:
            steps, _, called = _CHROMATIC[above]
            number = steps + 1
            own = self._notes[number - 1][2]
            agree = own * called > 0
            return Degree(number, called if agree else called - own, octaves)
        below = max(n for n, note in enumerate(self._notes, start=1) if note[1] < above)
        return Degree(below, above - self._notes[below - 1][1], octaves)


def _above_tonic(name: str) -> tuple[int, int, int]:
    """Letters, semitones and alteration of a major-scale degree such as `b3`."""
    number, alteration, _ = parse_degree(name)
    return number - 1, NATURALS[number - 1] + alteration, alteration


#: How notes outside a key of seven are called, by semitones above the tonic.
_CHROMATIC = tuple(_above_tonic(name) for name in MODES["chromatic"].split())


def _unknown_mode(mode: str) -> str:
    near = meant(mode, [*MODES, *_OTHER_NAMES])
    return f"there is no mode {mode!r}; {near}The modes are: {', '.join(MODES)}"


@lru_cache(maxsize=256)
def parse_key(text: str) -> Key:
    """Read `C`, `Am`, `D dorian`, `F# minor`, `Eb major`, `a minor`; alone, a tonic is major.

    Errors: Mistake naming all modes.
    """
    found = _KEY.fullmatch(text.strip())
    if found is None or (found[1].islower() and not found[3]):
        raise Mistake(
            "",
            f"expected a key such as C, Am, D dorian or F# minor, found {text!r}; "
            f"the modes are: {', '.join(MODES)}",
        )
    mode = " ".join((found[3] or found[4] or "").lower().replace("_", " ").split())
    mode = _OTHER_NAMES.get(mode, mode)
    return Key(PitchClass(found[1].upper(), alteration_of(found[2] or "")), mode)
