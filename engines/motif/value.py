"""A theme as a value: its notes in steps of the scale, written down and read, and its metre."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from engines.base import Mistake

#: What one theme may hold.
MOST_NOTES, MOST_BARS = 1024, 64

#: Steps of an octave: themes are written for scales of seven notes.
OCTAVE = 7

#: Tonic, third, fifth: where a tune rests.
STABLE = frozenset((0, 2, 4))

F = Fraction
HALF, QUARTER, WHOLE = Fraction(1, 2), Fraction(1), Fraction(4)


class Note(NamedTuple):
    """One note of a theme.

    at, length: quarter notes from the theme's start, and how long.
    step: of the scale; 0 is the tonic in the home octave, 7 the tonic above.
    alteration: semitones, as accidentals are written: b3, #4.
    """

    at: Fraction
    length: Fraction
    step: int
    alteration: int = 0
    accent: bool = False

    @property
    def end(self) -> Fraction:
        return self.at + self.length


#: Chords one after another, by the words of a reading, each with its length in quarter notes.
Chords = tuple[tuple[str, Fraction], ...]


@dataclass(frozen=True)
class Motif:
    """A theme, or a piece of one: a single line, in whole bars; what it leaves free is rest.

    length: of all, in quarter notes.  bar: quarter notes in a bar.  chords: that it was given,
    from its beginning on; whatever is done to the notes leaves them as they are.
    Errors: Mistake unless the notes follow each other without overlap within whole bars.
    """

    name: str
    notes: tuple[Note, ...]
    length: Fraction
    bar: Fraction = Fraction(4)
    chords: Chords = ()

    def __post_init__(self) -> None:
        if self.bar <= 0 or self.length <= 0 or self.length % self.bar:
            problem = f"expected whole bars of {self.bar} quarter notes, got {self.length}"
            raise Mistake("theme", problem)
        if self.bars > MOST_BARS or not 0 < len(self.notes) <= MOST_NOTES:
            problem = f"expected 1 to {MOST_NOTES} notes in at most {MOST_BARS} bars"
            raise Mistake("theme", f"{problem}, got {len(self.notes)} in {self.bars}")
        free = Fraction(0)
        for number, note in enumerate(self.notes, 1):
            if note.at < free or note.length <= 0 or note.end > self.length:
                problem = "expected notes one after another, within the theme's length"
                raise Mistake("theme", f"{problem}; note {number} at {note.at} is not")
            free = note.end

    @property
    def bars(self) -> int:
        return int(self.length / self.bar)


# Written down --------------------------------------------------------------------------------

_WORD = re.compile(r"(?:(-|[Rr]est)|([#b]{0,3})(1[0-4]|[1-9])('{1,9}|,{1,9})?(!)?):(\S+)")
_VALUE = re.compile(r"([0-9]{1,6})/([0-9]{1,5})(\.{0,3})(?:(t)|:([0-9]{1,2}))?")
_MARKS = ((F(1), ""), (F(3, 2), "."), (F(2, 3), "t"), (F(4, 5), ":5"), (F(4, 7), ":7"))


@lru_cache(512)
def value_name(length: Fraction) -> str:
    """Quarter notes as a note value: `1/4`, `1/4.`, `1/8t`, `1/16:5`, `5/16`."""
    whole = length / 4
    for factor, mark in _MARKS:
        plain = whole / factor
        if plain.numerator == 1 and plain.denominator.bit_count() == 1:
            return f"1/{plain.denominator}{mark}"
    return f"{whole.numerator}/{whole.denominator}"


def note_value(text: str) -> Fraction | None:
    """A written note value in quarter notes, or None where it is none."""
    found = _VALUE.fullmatch(text)
    if found is None or not int(found[1]) or not 0 < int(found[2]) <= 10_000:
        return None
    length = F(4 * int(found[1]), int(found[2])) * (2 - F(1, 2 ** len(found[3])))
    if found[4] or found[5]:
        count = 3 if found[4] else int(found[5])
        if not 3 <= count <= 15 or count in (4, 8):
            return None
        length *= F(1 << (count.bit_length() - 1), count)
    return length if length <= 256 else None


@lru_cache(512)
def degree_name(step: int, alteration: int = 0) -> str:
    """A step as a degree is written: 0 is `1`, 7 `1'`, -3 `5,`."""
    octaves, degree = divmod(step, OCTAVE)
    marks = "'" * octaves if octaves >= 0 else "," * -octaves
    return ("#" * alteration if alteration > 0 else "b" * -alteration) + f"{degree + 1}{marks}"


def word(note: Note) -> str:
    """A note as a reading's word: `b3'!:1/8`."""
    accent = "!" if note.accent else ""
    return f"{degree_name(note.step, note.alteration)}{accent}:{value_name(note.length)}"


def words(motif: Motif) -> list[tuple[str, Fraction]]:
    """Notes and rests as words, each with where it begins; together they fill the whole bars."""
    row: list[tuple[str, Fraction]] = []
    free = Fraction(0)
    for note in motif.notes:
        if note.at > free:
            row.append((f"Rest:{value_name(note.at - free)}", free))
        row.append((word(note), note.at))
        free = note.end
    if motif.length > free:
        row.append((f"Rest:{value_name(motif.length - free)}", free))
    return row


def text(motif: Motif) -> str:
    """The theme as a row of words. Law: parse(text(m), m.name, m.bar) == m."""
    return " ".join(each for each, _ in words(motif))


def scored(motif: Motif) -> str:
    """The same with bar lines, four bars to a line. Law: as of `text`."""
    lines, line = [], [""]
    for each, at in words(motif):
        if at and at % motif.bar == 0:
            line.append("|")
            if at % (4 * motif.bar) == 0:
                lines.append(" ".join(line[1:]))
                line = [""]
        line.append(each)
    return "\n".join([*lines, " ".join(line[1:])])


def parse(written: str, name: str = "theme", bar: Fraction = WHOLE, place: str = "theme") -> Motif:
    """Read a row of words such as `5:1/8 6:1/8 1':1/4 Rest:1/4 | 3!:1/2 2:1/2`.

    A degree (`'` an octave up, `,` down, `b` and `#` before it), `!` for an accent, `:` and a
    note value. Bar lines `|` may be left out; where they are, they are checked, and notes before
    the first, when they do not fill a bar, are an upbeat: they come at the end of the last bar,
    before what follows it. A last bar that is not full ends in rest.

    Errors: Mistake that names the word.
    """
    notes: list[Note] = []
    upbeat, now, lines = Fraction(0), Fraction(0), 0
    row = written.split()
    for number, each in enumerate(row, 1):
        if each == "|":
            lines += 1
            if lines == 1 and now % bar and now < bar:
                upbeat = now
            elif (now - upbeat) % bar:
                over = value_name((now - upbeat) % bar)
                problem = f"the bar line after word {number - 1} comes {over} into its bar"
                raise Mistake(place, f"{problem}; a bar has {value_name(bar)} here")
            continue
        found = _WORD.fullmatch(each)
        length = note_value(found[6]) if found else None
        if found is None or length is None:
            problem = f"{each!r}, word {number}, is no note: expected a degree and a note value"
            raise Mistake(place, f"{problem} such as 5:1/8, b3:1/4., 1':1/2 or Rest:1/4")
        if not found[1]:
            octaves = found[4] or ""
            step = int(found[3]) - 1 + OCTAVE * (octaves.count("'") - octaves.count(","))
            accidentals = found[2].count("#") - found[2].count("b")
            notes.append(Note(now, length, step, accidentals, bool(found[5])))
        now += length
        if len(notes) > MOST_NOTES or now > MOST_BARS * bar:
            raise Mistake(place, f"expected at most {MOST_NOTES} notes in {MOST_BARS} bars")
    if not notes:
        raise Mistake(place, "expected notes such as 5:1/8 6:1/8 1':1/2, found none")
    if upbeat:
        before = [note for note in notes if note.at < upbeat]
        notes = [note._replace(at=note.at - upbeat) for note in notes if note.at >= upbeat]
        now -= upbeat
        total = -(-now // bar) * bar
        sounding = notes[-1].end if notes else Fraction(0)
        if total - upbeat < sounding:
            total += bar
        notes += [note._replace(at=total - upbeat + note.at) for note in before]
        now = total
    return Motif(name, tuple(notes), -(-now // bar) * bar, bar)


def from_pitches(
    notes: Iterable[tuple[Fraction, int, Fraction]],
    tonic: int = 60,
    scale: Sequence[int] = (0, 2, 4, 5, 7, 9, 11),
    name: str = "theme",
    bar: Fraction = WHOLE,
) -> Motif:
    """A theme from sounding notes: (onset, MIDI pitch, length), in quarter notes from a bar line.

    tonic: the MIDI number that step 0 is to be, or below 12 a pitch class, from middle C up.
    scale: its seven degrees in order, as pitch classes or as semitones above the tonic.
    Of what sounds together the highest note counts (the skyline, Uitdenbogerd and Zobel 1998);
    a note ends where the next begins. Notes outside the scale get accidentals.
    Errors: Mistake where there is no note, or the scale has not seven.
    Law: the pitches of its steps on this tonic and scale are those that were given.
    """
    tonic += 60 if tonic < 12 else 0
    above = tuple((each - scale[0]) % 12 for each in scale)
    if len(set(above)) != OCTAVE or list(above) != sorted(above):
        raise Mistake("theme", f"expected the seven notes of a scale from its tonic, got {scale}")
    line = _skyline([(F(at), pitch, F(length)) for at, pitch, length in notes])
    if not line:
        raise Mistake("theme", "expected at least one note, found none")
    made = []
    for number, (at, pitch, length) in enumerate(line):
        if number + 1 < len(line):
            length = min(length, line[number + 1][0] - at)
        made.append(Note(at, length, *_step_of(int(pitch) - tonic, above)))
    end = made[-1].end
    return Motif(name, tuple(made), -(-end // bar) * bar, bar)


#: How musicians call what is so many semitones above the tonic: degree from 0, accidental.
_CALLED: tuple[tuple[int, int], ...] = (
    *((0, 0), (1, -1), (1, 0), (2, -1), (2, 0), (3, 0)),
    *((3, 1), (4, 0), (5, -1), (5, 0), (6, -1), (6, 0)),
)
_MAJOR = (0, 2, 4, 5, 7, 9, 11)


def _step_of(semitones: int, above: Sequence[int]) -> tuple[int, int]:
    octaves, rest = divmod(semitones, 12)
    if rest in above:
        return above.index(rest) + OCTAVE * octaves, 0
    degree, called = _CALLED[rest]
    own = above[degree] - _MAJOR[degree]
    return degree + OCTAVE * octaves, called if own * called > 0 else called - own


def _skyline(
    notes: Iterable[tuple[Fraction, float, Fraction]],
) -> list[tuple[Fraction, float, Fraction]]:
    """The highest of those that begin together, in the order of their onsets."""
    top: dict[Fraction, tuple[Fraction, float, Fraction]] = {}
    for note in notes:
        if note[0] not in top or note[1] > top[note[0]][1]:
            top[note[0]] = note
    return sorted(top.values())


# Metre ---------------------------------------------------------------------------------------

TWO, THREE, DOTTED = F(2), F(3), F(3, 2)
_GROUPS = {
    F(4): (TWO, TWO),
    F(3): (THREE,),
    F(5): (THREE, TWO),
    F(6): (THREE, THREE),
    F(7): (TWO, TWO, THREE),
    F(3, 2): (DOTTED,),
    F(5, 2): (DOTTED, F(1)),
    F(7, 2): (F(1), F(1), DOTTED),
    F(9, 2): (DOTTED, DOTTED, DOTTED),
}


def groups_of(bar: Fraction, compound: bool = False) -> tuple[Fraction, ...]:
    """The groups of a bar in quarter notes; a bar of 3 is 3/4 or, compound, 6/8."""
    if compound and bar % DOTTED == 0:
        return (DOTTED,) * int(bar / DOTTED)
    if bar in _GROUPS:
        return _GROUPS[bar]
    twos = [TWO] * int(bar // 2)
    rest = bar - 2 * len(twos)
    return (*twos, rest) if rest else tuple(twos)


@lru_cache(256)
def _strong(bar: Fraction, compound: bool) -> frozenset[Fraction]:
    starts, at = set(), Fraction(0)
    for group in groups_of(bar, compound):
        starts.add(at)
        at += group
    return frozenset(starts)


def compound(motif: Motif) -> bool:
    """Whether a bar of three quarters is felt as two threes: its onsets tell."""
    if motif.bar != 3:
        return False
    at = [note.at % 3 for note in motif.notes]
    return at.count(DOTTED) > at.count(F(1)) + at.count(F(2))


def strong_beats(motif: Motif) -> frozenset[Fraction]:
    """Where in the bar its groups begin, in quarter notes."""
    return _strong(motif.bar, compound(motif))


def figures(motif: Motif) -> list[str]:
    """Its notes and rests by the groups of its bars: each a row of words that ends with a group.

    A note that lasts over a group's end joins it to the next; where a bar's groups differ in
    length, whole bars are kept together. Law: all figures in a row are `text(motif)`.
    """
    groups = groups_of(motif.bar, compound(motif))
    unit = groups[0] if len(set(groups)) == 1 else motif.bar
    rows: list[list[str]] = [[]]
    for each, at in words(motif):
        if rows[-1] and at % unit == 0:
            rows.append([])
        rows[-1].append(each)
    return [" ".join(row) for row in rows]


# Taken apart and put together ----------------------------------------------------------------


def made(motif: Motif, notes: Iterable[Note], length: Fraction | None = None) -> Motif:
    return replace(motif, notes=tuple(notes), length=motif.length if length is None else length)


def within(motif: Motif, start: Fraction, end: Fraction) -> list[Note]:
    return [
        note._replace(at=note.at - start, length=min(note.length, end - note.at))
        for note in motif.notes
        if start <= note.at < end
    ]


def breathes(motif: Motif, number: int) -> bool:
    """Whether a rest, or the end, follows this note."""
    notes = motif.notes
    return number + 1 == len(notes) or notes[number + 1].at > notes[number].end
