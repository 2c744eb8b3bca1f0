"""Themes as values in scale steps: written down, invented, transformed, varied, compared.

A theme is a tune told in steps of whatever scale is current, so that mode, key and harmony may
change under it and it stays itself. Everything here is pure: values in, values out, chance only
from the `Random` that is given. Lengths are exact, in quarter notes.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import log2
from random import Random
from typing import NamedTuple, TypeVar

from engines.base import Mistake

#: What one theme may hold.
MOST_NOTES, MOST_BARS = 1024, 64

#: Steps of an octave: themes are written for scales of seven notes.
OCTAVE = 7

#: Tonic, third, fifth: where a tune rests.
STABLE = frozenset((0, 2, 4))

_F = Fraction
_HALF, _QUARTER, _WHOLE = Fraction(1, 2), Fraction(1), Fraction(4)
_CUT = Fraction(1, 8)  # the quickest note there is


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


@dataclass(frozen=True)
class Motif:
    """A theme, or a piece of one: a single line, in whole bars; what it leaves free is rest.

    length: of all, in quarter notes.  bar: quarter notes in a bar.
    Errors: Mistake unless the notes follow each other without overlap within whole bars.
    """

    name: str
    notes: tuple[Note, ...]
    length: Fraction
    bar: Fraction = Fraction(4)

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
_MARKS = ((_F(1), ""), (_F(3, 2), "."), (_F(2, 3), "t"), (_F(4, 5), ":5"), (_F(4, 7), ":7"))


@lru_cache(4096)
def value_name(length: Fraction) -> str:
    """Quarter notes as a note value: `1/4`, `1/4.`, `1/8t`, `1/16:5`, `5/16`."""
    whole = length / 4
    for factor, mark in _MARKS:
        plain = whole / factor
        if plain.numerator == 1 and plain.denominator.bit_count() == 1:
            return f"1/{plain.denominator}{mark}"
    return f"{whole.numerator}/{whole.denominator}"


def _value(text: str) -> Fraction | None:
    """A written note value in quarter notes, or None where it is none."""
    found = _VALUE.fullmatch(text)
    if found is None or not int(found[1]) or not 0 < int(found[2]) <= 10_000:
        return None
    length = _F(4 * int(found[1]), int(found[2])) * (2 - _F(1, 2 ** len(found[3])))
    if found[4] or found[5]:
        count = 3 if found[4] else int(found[5])
        if not 3 <= count <= 15 or count in (4, 8):
            return None
        length *= _F(1 << (count.bit_length() - 1), count)
    return length if length <= 256 else None


@lru_cache(4096)
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


def parse(written: str, name: str = "theme", bar: Fraction = _WHOLE, place: str = "theme") -> Motif:
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
        length = _value(found[6]) if found else None
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
    bar: Fraction = _WHOLE,
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
    line = _skyline([(_F(at), pitch, _F(length)) for at, pitch, length in notes])
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

_TWO, _THREE, _DOTTED = _F(2), _F(3), _F(3, 2)
_GROUPS = {
    _F(4): (_TWO, _TWO),
    _F(3): (_THREE,),
    _F(5): (_THREE, _TWO),
    _F(6): (_THREE, _THREE),
    _F(7): (_TWO, _TWO, _THREE),
    _F(3, 2): (_DOTTED,),
    _F(5, 2): (_DOTTED, _F(1)),
    _F(7, 2): (_F(1), _F(1), _DOTTED),
    _F(9, 2): (_DOTTED, _DOTTED, _DOTTED),
}


def groups_of(bar: Fraction, compound: bool = False) -> tuple[Fraction, ...]:
    """The groups of a bar in quarter notes; a bar of 3 is 3/4 or, compound, 6/8."""
    if compound and bar % _DOTTED == 0:
        return (_DOTTED,) * int(bar / _DOTTED)
    if bar in _GROUPS:
        return _GROUPS[bar]
    twos = [_TWO] * int(bar // 2)
    rest = bar - 2 * len(twos)
    return (*twos, rest) if rest else tuple(twos)


@lru_cache(1024)
def _strong(bar: Fraction, compound: bool) -> frozenset[Fraction]:
    starts, at = set(), Fraction(0)
    for group in groups_of(bar, compound):
        starts.add(at)
        at += group
    return frozenset(starts)


def _compound(motif: Motif) -> bool:
    """Whether a bar of three quarters is felt as two threes: its onsets tell."""
    if motif.bar != 3:
        return False
    at = [note.at % 3 for note in motif.notes]
    return at.count(_DOTTED) > at.count(_F(1)) + at.count(_F(2))


def strong_beats(motif: Motif) -> frozenset[Fraction]:
    """Where in the bar its groups begin, in quarter notes."""
    return _strong(motif.bar, _compound(motif))


# Transformations -----------------------------------------------------------------------------


def _made(motif: Motif, notes: Iterable[Note], length: Fraction | None = None) -> Motif:
    return replace(motif, notes=tuple(notes), length=motif.length if length is None else length)


def transpose(motif: Motif, steps: int) -> Motif:
    """All of it so many scale steps higher. Law: steps add up, and 0 changes nothing."""
    return _made(motif, (note._replace(step=note.step + steps) for note in motif.notes))


def invert(motif: Motif, axis: int | None = None) -> Motif:
    """Upside down about a step, its first note's unless told. Law: twice is as before."""
    axis = motif.notes[0].step if axis is None else axis
    return _made(
        motif,
        (
            note._replace(step=2 * axis - note.step, alteration=-note.alteration)
            for note in motif.notes
        ),
    )


def retrograde(motif: Motif) -> Motif:
    """Backwards, rests and all. Law: twice is as before."""
    return _made(
        motif, (note._replace(at=motif.length - note.end) for note in reversed(motif.notes))
    )


def augment(motif: Motif, factor: Fraction = _TWO) -> Motif:
    """Slower by a factor; what is left of a last bar is rest.

    Law: diminish(augment(m, f), f) == m where f times its length is whole bars.
    """
    length = -(-motif.length * factor // motif.bar) * motif.bar
    return _made(
        motif,
        (note._replace(at=note.at * factor, length=note.length * factor) for note in motif.notes),
        length,
    )


def diminish(motif: Motif, factor: Fraction = _TWO) -> Motif:
    """Faster by a factor; what is left of a last bar is rest."""
    return augment(motif, 1 / factor)


def fragment(motif: Motif, first: int = 1, count: int = 1) -> Motif:
    """So many of its bars, from a bar on (1 is the first); notes end where it ends.

    Errors: Mistake where there are no such bars, or no note in them.
    Law: join(fragment(m, 1, k), fragment(m, k + 1, m.bars - k)) == m where no note crosses.
    """
    if not 1 <= first <= first + count - 1 <= motif.bars:
        problem = f"expected bars within 1 to {motif.bars}"
        raise Mistake("theme", f"{problem}, got {count} from {first} on")
    start, length = (first - 1) * motif.bar, count * motif.bar
    return _made(motif, _within(motif, start, start + length), length)


def _within(motif: Motif, start: Fraction, end: Fraction) -> list[Note]:
    return [
        note._replace(at=note.at - start, length=min(note.length, end - note.at))
        for note in motif.notes
        if start <= note.at < end
    ]


def join(first: Motif, *more: Motif) -> Motif:
    """One after another, under the first one's name and metre. Law: lengths add up."""
    notes, length = list(first.notes), first.length
    for motif in more:
        notes += [note._replace(at=note.at + length) for note in motif.notes]
        length += motif.length
    return _made(first, notes, length)


def sequence(motif: Motif, steps: Sequence[int] = (0, 1)) -> Motif:
    """Itself over again at each of these distances in steps. Law: [0] changes nothing."""
    return join(*(transpose(motif, each) for each in steps))


def displace(motif: Motif, by: Fraction = _HALF) -> Motif:
    """All of it so much later (or earlier) against the bar, going round at the end.

    Law: displace(displace(m, d), -d) == m where d ends in rest before the end of m.
    """
    notes = []
    for note in motif.notes:
        at = (note.at + by) % motif.length
        notes.append(note._replace(at=at, length=min(note.length, motif.length - at)))
    return _made(motif, sorted(notes))


def extend(motif: Motif, by: Fraction) -> Motif:
    """Its last note so much longer, more bars if need be. Law: onsets and steps stay."""
    *notes, last = motif.notes
    last = last._replace(length=last.length + max(by, _F(0)))
    return _made(motif, [*notes, last], max(motif.length, -(-last.end // motif.bar) * motif.bar))


def simplify(motif: Motif) -> Motif:
    """Its skeleton: what begins on the bar's groups, and each note before a breath.

    Each note that stays lasts over those that go. Laws: twice is as once; and
    simplify(ornament(m, …)) == simplify(m).
    """
    strong = strong_beats(motif)
    kept: list[Note] = []
    for number, note in enumerate(motif.notes):
        closes = _breathes(motif, number)
        joined = bool(kept) and kept[-1].end == note.at
        if note.at % motif.bar in strong or not joined or (closes and note.length >= 1):
            kept.append(note)
        else:
            kept[-1] = kept[-1]._replace(length=note.end - kept[-1].at)
    return _made(motif, kept)


def thin(motif: Motif, rng: Random, amount: float = 0.5) -> Motif:
    """Some of its bars as in `simplify`, the first and the last ones last.

    amount: share of the bars, 0 to 1. Law: at 0 nothing changes, and 1 leaves each bar's skeleton.
    """
    order = rng.sample(range(motif.bars), motif.bars)
    order.sort(key=lambda bar: bar in (0, motif.bars - 1))
    plain = set(order[: round(motif.bars * min(max(amount, 0.0), 1.0))])
    skeleton = {note.at: note for note in simplify(motif).notes}
    notes: list[Note] = []
    for note in motif.notes:
        if int(note.at // motif.bar) not in plain:
            notes.append(note)
        elif note.at in skeleton:
            line = (note.at // motif.bar + 1) * motif.bar
            notes.append(
                note._replace(
                    length=min(skeleton[note.at].length, max(line - note.at, note.length))
                )
            )
    return _made(motif, notes)


def _breathes(motif: Motif, number: int) -> bool:
    """Whether a rest, or the end, follows this note."""
    notes = motif.notes
    return number + 1 == len(notes) or notes[number + 1].at > notes[number].end


def ornament(motif: Motif, rng: Random, amount: float = 0.5) -> Motif:
    """Neighbours, passing notes and turns in its longer notes. amount: share of those, 0 to 1.

    Law: every note of it stays where it was, at its pitch; what is new falls between strong
    beats, and never before a breath.
    """
    strong = strong_beats(motif)
    notes: list[Note] = []
    for number, note in enumerate(motif.notes):
        if not _breathes(motif, number) and rng.random() < amount:
            figure = _figure(note, motif.notes[number + 1].step, rng)
            if len(figure) > 1 and not any(each.at % motif.bar in strong for each in figure[1:]):
                notes += figure
                continue
        notes.append(note)
    adorned = _made(motif, notes[:MOST_NOTES])
    # New onsets may make a bar of three read as two threes; then other beats would be strong.
    return adorned if _compound(adorned) == _compound(motif) else motif


def _figure(note: Note, following: int, rng: Random) -> list[Note]:
    """A note with its ornament, in the same time; itself where it is too short for one."""
    step, length = note.step, note.length
    gap = following - step
    way = 1 if gap > 0 else -1
    if length < 1 and rng.random() < 0.7:  # semiquavers are a spice
        return [note]
    if length < _HALF or length not in (_HALF, 1, _DOTTED, 2, 3):
        return [note]
    if abs(gap) == 2:  # fill the third
        tail = [step + way]
    elif abs(gap) in (3, 4) and length >= 1:
        tail = [step + way, step + 2 * way] if abs(gap) == 3 else [step + way, step + 3 * way]
    elif gap == 0:
        tail = [step + rng.choice((1, 1, -1))]
    elif length >= 1 and rng.random() < 0.5:  # a turn round the note
        tail = [step + 1, step] if gap < 0 else [step - 1, step]
    else:  # the other neighbour, then on
        tail = [step - way]
    piece = min(_HALF, length / 2) if len(tail) == 1 else min(_QUARTER, length) / 4
    first = length - piece * len(tail)
    at = note.at + first
    made = [note._replace(length=first)]
    for each in tail:
        made.append(Note(at, piece, each))
        at += piece
    return made


def fill(motif: Motif, rng: Random, amount: float = 0.5, unit: Fraction = _HALF) -> Motif:
    """Its longer notes in running ones of a unit, on the way to what comes next.

    amount: share of those that run, 0 to 1.
    Laws: every note still begins where it did, at its pitch, and on strong beats nothing new
    sounds but the note itself, struck again; before a breath nothing changes.
    """
    strong = strong_beats(motif)
    notes: list[Note] = []
    for number, note in enumerate(motif.notes):
        if _breathes(motif, number) or note.length < 2 * unit or rng.random() >= amount:
            notes.append(note)
            continue
        cuts = [note.at, note.end]
        at = -(-note.at // unit) * unit
        while at < note.end:
            if at > note.at and at % motif.bar in strong:
                cuts.insert(-1, at)
            at += unit
        for begin, end in pairwise(cuts):
            goal = motif.notes[number + 1].step if end == note.end else note.step
            piece = note._replace(at=begin, length=end - begin)
            notes += _running(piece, goal, unit, rng)
    return _made(motif, notes[:MOST_NOTES])


#: Ways of running on, as steps upwards from a note: by how many notes there is room for, then by
#: how far up the next one of the tune lies (0 to 4, and beyond).
_RUNS: dict[int, tuple[str, ...]] = {
    1: ("1|-1", "-1|2|0", "1", "2|1", "2", "2"),
    2: ("2 1|1 -1", "-1 0|2 0", "-1 1|0 1", "1 2", "1 3|2 3", "2 4"),
    3: (
        *("1 0 -1|2 0 1|-1 0 1", "2 1 0|-1 0 2|-1 -2 0", "-1 0 1|2 0 1|1 0 1"),
        *("-1 0 2|0 1 2", "1 2 3|2 1 3", "2 3 4|2 4 4"),
    ),
}


def _running(note: Note, following: int, unit: Fraction, rng: Random) -> list[Note]:
    """A note and what runs on from it, in the same time; what is too long is held at first."""
    room = min(int(note.length / unit) - 1, 3)
    if room < 1:
        return [note]
    gap = following - note.step
    way = 1 if gap > 0 or (gap == 0 and rng.random() < 0.5) else -1
    made = [note._replace(length=note.length - room * unit)]
    for by in rng.choice(_RUNS[room][min(abs(gap), 5)].split("|")).split():
        made.append(Note(made[-1].end, unit, note.step + way * int(by)))
    return made


def grace(motif: Motif, rng: Random, amount: float = 0.3) -> Motif:
    """Quick notes from the next step, at the very end of the note before: a fiddler's cuts.

    amount: share of the notes on beats that get one, 0 to 1.
    Law: every note still begins where it did, at its pitch.
    """
    notes: list[Note] = []
    for note in motif.notes:
        before = notes[-1] if notes else None
        joined = before is not None and before.end == note.at and before.length >= _HALF
        if joined and note.at.denominator == 1 and note.length >= _HALF and rng.random() < amount:
            assert before is not None
            step = note.step + (1 if before.step != note.step + 1 else -1)
            notes[-1] = before._replace(length=before.length - _CUT)
            notes.append(Note(note.at - _CUT, _CUT, step))
        notes.append(note)
    return _made(motif, notes[:MOST_NOTES])


def in_meter(motif: Motif, bar: Fraction) -> Motif:
    """The same in bars of another length, each half of a bar fitted to the other's half.

    4/4 gives its second half's time for 3/4; two quarters become a quarter and a quaver in
    6/8. Laws: strong beats stay strong, and in_meter(in_meter(m, b), m.bar) == m.
    """
    if bar == motif.bar:
        return motif
    old, new = _halves(motif.bar), _halves(bar)

    def moved(at: Fraction) -> Fraction:
        number, rest = divmod(at, motif.bar)
        if rest < old[0]:
            return number * bar + _bent(rest, old[0], new[0])
        return number * bar + new[0] + _bent(rest - old[0], old[1], new[1])

    notes = []
    for note in motif.notes:
        at = moved(note.at)
        notes.append(note._replace(at=at, length=moved(note.end) - at))
    return Motif(motif.name, tuple(notes), motif.bars * bar, bar)


def _halves(bar: Fraction) -> tuple[Fraction, Fraction]:
    if bar == 3:
        return _TWO, _F(1)
    groups = groups_of(bar)
    if len(groups) == 1:
        return bar / 2, bar / 2
    cut = (len(groups) + 1) // 2
    return sum(groups[:cut], _F(0)), sum(groups[cut:], _F(0))


def _bent(at: Fraction, old: Fraction, new: Fraction) -> Fraction:
    """A place in one group of beats as a place in another; the beat inside stays a beat."""
    inner = {(_TWO, _DOTTED): (1, 1), (_DOTTED, _TWO): (1, 1)}
    inner |= {(_TWO, _THREE): (1, 2), (_THREE, _TWO): (2, 1)}
    knee = inner.get((old, new))
    if knee is None:
        return at * new / old
    if at <= knee[0]:
        return at * _F(knee[1], knee[0])
    return knee[1] + (at - knee[0]) * (new - knee[1]) / (old - knee[0])


Cell = tuple[tuple[Fraction, Fraction], ...]


def cells(motif: Motif) -> tuple[Cell, ...]:
    """Its different rhythms of a bar, most frequent first: onset in the bar, and length.

    Law: the rhythm of every bar is among them.
    """
    bars: dict[Cell, int] = {}
    for number in range(motif.bars):
        start = number * motif.bar
        cell = tuple((n.at, n.length) for n in _within(motif, start, start + motif.bar))
        bars[cell] = bars.get(cell, 0) + 1
    return tuple(sorted(bars, key=lambda cell: -bars[cell]))


def closed(motif: Motif) -> Motif:
    """Its last bar led home: the tonic on the bar's second strong beat, held to the end.

    Law: what comes before the last bar stays, and the last note is the tonic.
    """
    start = motif.length - motif.bar
    strong = sorted(strong_beats(motif))
    at = start + (strong[1] if len(strong) > 1 else Fraction(0))
    notes = [
        note._replace(length=min(note.length, at - note.at)) for note in motif.notes if note.at < at
    ]
    before = notes[-1].step if notes else 0
    tonic = OCTAVE * round(before / OCTAVE)
    if notes and notes[-1].at >= start and abs(before - tonic) != 1:
        way = 1 if before >= tonic else -1  # from the side it comes from
        notes[-1] = notes[-1]._replace(step=tonic + way, alteration=0)
    return _made(motif, [*notes, Note(at, motif.length - at, tonic)])


# Likeness ------------------------------------------------------------------------------------

#: A semitone interval within the octave, as steps of a scale, whichever its mode.
_CLASS = (0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.5, 4.0, 5.0, 5.0, 6.0, 6.0)

#: How far back a link may reach on either side, over ornaments and what was left out.
_BACK = tuple((k, m) for k in range(1, 6) for m in range(1, 6) if min(k, m) == 1 or k + m <= 5)
_FARTHEST = 5

#: The worst link that still speaks for a match; what one link may speak against it; what each
#: note left out takes from a link; links that are evidence enough.
_PLAIN, _WORST, _OVER, _ENOUGH = 0.45, -0.5, 0.9, 6

#: Tempo ratios that are tried, as log2.
_PACES = (0.0, 1.0, -1.0)

#: The share of what is heard in a likeness; the rest is that of the theme.
_HEARD = 0.7

Sounding = tuple[Fraction | float, float, Fraction | float]


class _Line:
    """A line prepared for comparing.

    at, pitch: quarter notes, and scale steps as near as semitones tell.  end: of the last note.
    weights: by the time to the next onset, 1 in all.
    links: links[n][k] is the interval in steps and log2 of the time from note n-k-1 to note n.
    """

    __slots__ = ("at", "count", "end", "links", "pitch", "weights")

    def __init__(self, of: Motif | Iterable[Sounding]) -> None:
        if isinstance(of, Motif):
            notes = [(float(n.at), n.step + 0.5 * n.alteration, float(n.length)) for n in of.notes]
            semitones = False
        else:
            notes = _melody((float(at), float(pitch), float(long)) for at, pitch, long in of)
            semitones = True
        self.count = len(notes)
        self.at = [note[0] for note in notes]
        self.pitch = [note[1] * OCTAVE / 12 if semitones else note[1] for note in notes]
        self.end = notes[-1][0] + notes[-1][2]
        gaps = [max(later - at, 1e-3) for at, later in pairwise([*self.at, self.end])]
        weights = [min(gap, 4.0) ** 0.5 for gap in gaps]
        total = sum(weights)
        self.weights = [weight / total for weight in weights]
        self.links = [
            [
                (
                    _steps(note[1] - before[1]) if semitones else note[1] - before[1],
                    log2(max(note[0] - before[0], 1e-3)),
                )
                for before in reversed(notes[max(0, number - _FARTHEST) : number])
            ]
            for number, note in enumerate(notes)
        ]


def _melody(notes: Iterable[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """The highest of the notes that were played together."""
    top: list[tuple[float, float, float]] = []
    for note in sorted(notes):
        if top and note[0] - top[-1][0] < 0.06:
            top[-1] = max(top[-1], note, key=lambda each: each[1])
        else:
            top.append(note)
    if not top:
        raise ValueError("expected at least one note, found none")
    return top


def _steps(semitones: float) -> float:
    octaves, rest = divmod(abs(round(semitones)), 12)
    steps = OCTAVE * octaves + _CLASS[rest]
    return steps if semitones >= 0 else -steps


_Shares = tuple[float, float]  # of one line that is in the other, and the other way round
_Path = tuple[float, float, float, int]  # both shares' sum, each, and the links


def _linked(a: _Line, b: _Line, pace: float) -> Generator[int, None, _Shares]:
    """The best local alignment of two lines; yields its work note by note."""
    best: _Path = (0.0, 0.0, 0.0, 0)
    rows: list[list[_Path]] = []
    for i in range(a.count):
        row: list[_Path] = []
        links_a, weight_a = a.links[i], a.weights[i]
        for j in range(b.count):
            top: _Path = (0.0, 0.0, 0.0, 0)
            links_b, weight_b = b.links[j], b.weights[j]
            for k, m in _BACK:
                if k > i or m > j:
                    continue
                steps_a, time_a = links_a[k - 1]
                steps_b, time_b = links_b[m - 1]
                late = abs(time_b - time_a - pace)
                if late > 1.3:
                    continue
                alike = 1 - 0.45 * abs(steps_a - steps_b) - 0.25 * (steps_a * steps_b < 0)
                link = (alike / (1 + 0.5 * late + 0.8 * late * late) - _PLAIN) / (1 - _PLAIN)
                if link > 0:
                    link *= _OVER ** (k + m - 2)
                elif link < _WORST:
                    link = _WORST
                total, share_a, share_b, links = rows[i - k][j - m]
                first_a, first_b = a.weights[i - k], b.weights[j - m]
                if link * (first_a + first_b) > total:  # better to begin here
                    total, links = link * (first_a + first_b), 0
                    share_a, share_b = link * first_a, link * first_b
                total += link * (weight_a + weight_b)
                if total > top[0]:
                    top = (total, share_a + link * weight_a, share_b + link * weight_b, links + 1)
            row.append(top)
            if top[0] > best[0]:
                best = top
        rows.append(row)
        yield b.count * len(_BACK)
    _, share_a, share_b, links = best
    sure = min(1.0, (links + 1) / min(_ENOUGH, max(a.count, b.count)))
    return share_a * sure, share_b * sure


def _overlaid(a: _Line, b: _Line, ratio: float) -> _Shares:
    """How much of two lines is the same pitch at the same time, laid over each other.

    ratio: how much slower a is to be made. Only the most promising places are tried: where
    most onsets fall together, and there the commonest distances in pitch.
    """
    at, end = [each * ratio for each in a.at], a.end * ratio
    votes: dict[int, float] = {}
    for weight_a, one in zip(a.weights, at, strict=True):
        for weight_b, other in zip(b.weights, b.at, strict=True):
            shift = round((other - one) * 4)
            votes[shift] = votes.get(shift, 0.0) + min(weight_a, weight_b)
    best = (0.0, 0.0)
    for shift in sorted(votes, key=lambda each: (-votes[each], each))[:4]:
        moved = [each + shift / 4 for each in at]
        of_a = _met(moved, a.pitch, a.weights, b.at, b.pitch, b.end)
        of_b = _met(b.at, b.pitch, b.weights, moved, a.pitch, end + shift / 4)
        apart: dict[int, float] = {}
        for distance, weight, _ in of_b:
            apart[round(-distance)] = apart.get(round(-distance), 0.0) + weight
        for distance in sorted(apart, key=lambda each: (-apart[each], each))[:2]:
            found = _agreeing(of_a, distance), _agreeing(of_b, -distance)
            best = max(best, found, key=sum)
    return best


def _met(
    at: Sequence[float],
    pitch: Sequence[float],
    weights: Sequence[float],
    others: Sequence[float],
    pitches: Sequence[float],
    end: float,
) -> list[tuple[float, float, bool]]:
    """For each note: how much higher the other line is then, its weight, and if it begins then."""
    met = []
    for one, own, weight in zip(at, pitch, weights, strict=True):
        index = bisect_right(others, one + 0.13) - 1
        if index >= 0 and one < end:
            met.append((pitches[index] - own, weight, one - others[index] < 0.13))
    return met


def _agreeing(met: list[tuple[float, float, bool]], distance: float) -> float:
    """The share of notes at this distance; one step beside it, or held over, counts half."""
    share = 0.0
    for each, weight, together in met:
        apart = abs(each - distance)
        if apart <= 1.75:
            share += weight * (1.0 if apart <= 0.75 else 0.45) * (1.0 if together else 0.5)
    return min(share, 1.0)


def _shares(a: _Line, b: _Line) -> Generator[int, None, tuple[_Shares, _Shares]]:
    """What is linked and what is overlaid, at the tempo ratio at which most is overlaid."""
    best, chosen = (0.0, 0.0), 0.0
    for pace in _PACES:
        found = _overlaid(a, b, 2.0**pace)
        if sum(found) > sum(best) + 1e-9:
            best, chosen = found, pace
        yield a.count * b.count
    return (yield from _linked(a, b, chosen)), best


def _likeness(a: _Line, b: _Line) -> Generator[int, None, float]:
    if min(a.count, b.count) == 1:
        return float(a.count == b.count)
    found = 0.0
    for one, other in (yield from _shares(a, b)):
        found += (_HEARD * max(one, other) + (1 - _HEARD) * min(one, other)) / 2
    return min(round(found, 9), 1.0)


T = TypeVar("T")


def _finish(work: Generator[int, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def compare(
    a: Motif | Iterable[Sounding], b: Motif | Iterable[Sounding]
) -> Generator[int, None, float]:
    """`likeness` in small pieces: yields how much work each was, a few units a microsecond."""
    return _likeness(_Line(a), _Line(b))


def likeness(a: Motif | Iterable[Sounding], b: Motif | Iterable[Sounding]) -> float:
    """How much of one tune is in the other: 0 nothing, 1 all of it.

    Either may be a theme or sounding notes: (onset in quarter notes, MIDI pitch, length).
    The mean of two measures, for mixed ones agree best with listeners (Müllensiefen and Frieler
    2004). One is a local alignment (Smith and Waterman 1981), as Mongeau and Sankoff (1990)
    brought it to tunes, of links from note to note: an interval in scale steps, so that key and
    mode do not matter, and its inter-onset time; ornaments and what is left out are leapt over.
    The other lays the lines over each other where most onsets meet, as in geometric matching
    (Ukkonen, Lemström and Mäkinen 2003), and asks what share is the same pitch at that time.
    Tempo ratios of 1, 2 and 1/2 are tried; notes weigh by how long they last; of the shares of
    both tunes the larger counts 0.7.
    Laws: likeness(a, a) == 1; transposed, it is the same. Time: the product of both's notes.
    """
    return _finish(compare(a, b))


def recognise(notes: Iterable[Sounding], motifs: Iterable[Motif]) -> tuple[str, float]:
    """Which theme these sounding notes are most like, and how much: 0 to 1.

    notes: one statement, (onset in quarter notes, MIDI pitch, length). What share of the notes
    heard a theme explains counts 0.7, what share of the theme is heard 0.3.
    Errors: ValueError where there are no notes or no themes.
    """
    heard = _Line(notes)
    found = []
    for motif in motifs:
        both = _finish(_shares(heard, _Line(motif)))
        share = sum(_HEARD * here + (1 - _HEARD) * theme for here, theme in both) / 2
        found.append((min(round(share, 9), 1.0), motif.name))
    share, name = max(found, key=lambda each: each[0])
    return name, share


# Invention -----------------------------------------------------------------------------------

CHARACTERS = ("lyrical", "heroic", "playful", "calm", "lilting")
_LIKED = {
    "lyrical": ("scale", "turn", "leap"),
    "heroic": ("leap", "chord", "repeat"),
    "playful": ("repeat", "zigzag", "chord", "turn"),
    "calm": ("scale", "turn", "chord"),
    "lilting": ("turn", "chord", "zigzag", "scale"),
}

#: Rhythms of a bar, by its groups: note values in quarter notes, rests below 0; weight; the
#: characters (by first letter: l, h, p, c) that they suit.
_CELLS: dict[tuple[Fraction, ...], str] = {
    (_TWO, _TWO): """
        1.5 .5 1 1 | 4 | lhp      2 1 1 | 4 | lhc            1 1 2 | 3 | lhc
        1.5 .5 2 | 3 | lhc        1 .5 .5 1 1 | 3 | lp       1 .5 .5 2 | 3 | lhp
        .5 .5 1 1 1 | 3 | p       .5 .5 1 .5 .5 1 | 3 | p    3 1 | 2 | lc
        1 1 1.5 .5 | 3 | lh       2 1.5 .5 | 3 | lhc         -1 1 1 1 | 1.5 | lc
        .5 .5 .5 .5 1 1 | 2 | p   -.5 .5 .5 .5 1 1 | 2 | p   1.5 .25 .25 2 | 2 | h
        .75 .25 1 2 | 2 | h       .75 .25 1 .75 .25 1 | 2 | hp   1 1.5 .5 1 | 2 | lp
        .5 1 .5 1 1 | 2 | p       1.5 1.5 1 | 2 | lp         1 1 1 1 | 2 | hl
        1.5 .5 .5 .5 1 | 3 | lp   2 .5 .5 .5 .5 | 2 | l      2 2 | 1 | c
        .5 .5 1 2 | 2 | lp        1 .5 .5 .5 .5 1 | 2 | p    -.5 .5 1 2 | 1 | lc""",
    (_THREE,): """
        1.5 .5 1 | 4 | lhp        2 1 | 4 | lc               1 1 1 | 3 | lhc
        1 .5 .5 1 | 3 | lp        .5 .5 1 1 | 3 | lp         1 2 | 1.5 | lc
        1 1 .5 .5 | 3 | lp        2 .5 .5 | 3 | lc           .75 .25 1 1 | 2 | h
        .5 .5 .5 .5 1 | 2 | p     -1 1 1 | 1 | pc            1.5 .5 .5 .5 | 2 | l""",
    (_TWO,): "1 1 | 3 | lhc   1.5 .5 | 3 | lh   .5 .5 1 | 3 | p   1 .5 .5 | 3 | lp   2 | 1 | c",
    (_DOTTED,): "1 .5 | 4 | lhc   .5 .5 .5 | 3 | p   1.5 | 2 | c   .75 .25 .5 | 1 | hp",
    (_F(1),): "1 | 3 | lhc   .5 .5 | 2 | lp",
}

#: The same where a unit ends: a note that is held, and a breath.
_ENDS: dict[tuple[Fraction, ...], str] = {
    (_TWO, _TWO): """
        3 -1 | 4 | lhc   1 2 -1 | 4 | lhp    1.5 .5 1 -1 | 3 | lp   .5 .5 2 -1 | 4 | lp
        1 1 1 -1 | 3 | p   1 .5 .5 1 -1 | 3 | p   2 1 -1 | 2 | lc   .5 .5 .5 .5 1 -1 | 2 | p
        1.5 .5 1.5 -.5 | 3 | lh   .75 .25 2 -1 | 2 | h""",
    (_THREE,): "2 -1 | 4 | lhc   .5 .5 1 -1 | 3 | lp   1 1 -1 | 3 | lhp   2.5 -.5 | 2 | lc",
    (_TWO,): "1 -1 | 3 | p   1.5 -.5 | 3 | lhc",
    (_DOTTED,): "1 -.5 | 1 | lhpc",
    (_F(1),): "1 | 1 | lhpc",
}

#: Bars of a theme: letters are its ideas, + a sequence of one, = one again, ~ with another end;
#: h ends a half and c the whole. Sentences and periods (Schoenberg 1967; Caplin 1998), and the
#: song form.
_FORMS: dict[int, tuple[tuple[str, float], ...]] = {
    4: (("a h a= c", 4), ("a a+h b c", 3), ("a h a+ c", 3), ("a bh a+ c", 1), ("a bh a= c", 1)),
    8: (
        ("a b a+ h a= b= b+ c", 4),
        ("a b a+ b+h a+ a+ b c", 3),
        ("a h a= c b b+h a= c", 2),
        ("a a+ b h a= a+ b+ c", 2),
    ),
}

_Rhythm = tuple[Fraction, ...]
_TRIES = 160


@lru_cache(64)
def _vocabulary(source: str) -> tuple[tuple[_Rhythm, float, str], ...]:
    found = re.findall(r"([-.\d ]+)\|([ .\d]+)\| *([lhpc]+)", source)
    return tuple((tuple(map(_F, c.split())), float(w), who) for c, w, who in found)


def _cell(
    rng: Random, groups: tuple[Fraction, ...], character: str, ends: bool, low: bool
) -> _Rhythm:
    """A rhythm for a bar; where its groups have none of their own, from those of its parts.

    low: whether sixteenths are too much.
    """
    table = _ENDS if ends else _CELLS
    if groups in table:
        choices = _vocabulary(table[groups])
        weights = [
            weight
            * (4.0 if character[0] in who else 0.4)
            * (0.0 if low and min(map(abs, cell)) < _HALF else 1.0)
            for cell, weight, who in choices
        ]
        return rng.choices([cell for cell, _, _ in choices], weights)[0]
    half = (len(groups) + 1) // 2
    first = _cell(rng, groups[:half], character, False, low)
    return first + _cell(rng, groups[half:], character, ends, low)


class _Plan(NamedTuple):
    """What is decided first, so that no two are alike: all but the pitches themselves.

    roles, rhythms: of the bars.  start: its first step.  peak, top: the climax, bar from 0 and
    step.  shapes: of its two ideas.
    """

    roles: tuple[str, ...]
    rhythms: tuple[_Rhythm, ...]
    start: int
    peak: int
    top: int
    shapes: tuple[str, str]


def generate(
    rng: Random,
    bars: int = 4,
    bar: Fraction = _WHOLE,
    character: str = "",
    name: str = "theme",
) -> Motif:
    """A theme to remember, of 4 or 8 bars.

    character: lyrical, heroic, playful, calm or lilting (in threes: 6/8 where a bar is three
    quarters); "" lets chance choose.
    One or two rhythms of a bar carry it, in sentence, period or song form; its first half ends
    open, on 2, 5 or 7, its second on 1, each with a held note and a breath; an arch with one
    climax, mostly in steps, leaps filled afterwards (Meyer 1973; Narmour 1990), strong beats on
    1, 3, 5; within a tenth. Of many lines that fit, the one that breaks fewest of these rules.
    Errors: Mistake for other bars or characters.
    Law: same rng, same theme.
    """
    if bars not in _FORMS:
        raise Mistake("bars", f"expected 4 or 8, got {bars}")
    if character not in ("", *CHARACTERS):
        raise Mistake("character", f"expected one of {', '.join(CHARACTERS)}, got {character!r}")
    character = character or rng.choice(("lyrical", "lyrical", "heroic", "playful", "calm"))
    groups = groups_of(bar, character == "lilting")
    plan = _planned(rng, bars, groups, character)
    lines = [_sung(rng, plan) for _ in range(_TRIES)]
    best = min(lines, key=lambda line: _faults(line, plan, groups))
    notes: list[Note] = []
    for number, (rhythm, steps) in enumerate(zip(plan.rhythms, best, strict=True)):
        at, row = number * bar, iter(steps)
        for length in rhythm:
            if length > 0:
                notes.append(Note(at, length, next(row)))
            at += abs(length)
    top = max(note.step for note in notes)
    peak = next(number for number, note in enumerate(notes) if note.step == top)
    notes[peak] = notes[peak]._replace(accent=True)
    motif = Motif(name, tuple(notes), bars * bar, bar)
    return _with_upbeat(motif, rng) if rng.random() < 0.35 else motif


def _planned(rng: Random, bars: int, groups: tuple[Fraction, ...], character: str) -> _Plan:
    forms = _FORMS[bars]
    form = rng.choices([each for each, _ in forms], [weight for _, weight in forms])[0]
    calm = character in ("calm", "lyrical", "lilting")
    one = _cell(rng, groups, character, False, calm)
    two = one
    for _ in range(8):
        two = _cell(rng, groups, character, False, calm)
        if two != one:
            break
    half = _cell(rng, groups, character, True, calm)
    end = half if rng.random() < 0.5 else _cell(rng, groups, character, True, calm)
    rhythms = []
    for role in form.split():
        rhythm = {"a": one, "b": two, "h": half, "c": end}[role[0]]
        rhythms.append(_breathing(rhythm) if role.endswith("h") and role != "h" else rhythm)
    heroic = character == "heroic"
    start = rng.choices((0, 2, 4, -3, 7), (4, 3, 4, 3 if heroic else 2, 0.7))[0]
    top = rng.randint(max(start + 2, 4), max(start + 2, min(start + 8, 9)))
    last = bars - 1
    peak = rng.choices(range(1, last), [1 + 2 * (n * 2 >= last) for n in range(1, last)])[0]
    likes = [4.0 if shape in _LIKED[character] else 1.0 for shape in _SHAPES]
    first = rng.choices(list(_SHAPES), likes)[0]
    others = [(shape, like) for shape, like in zip(_SHAPES, likes, strict=True) if shape != first]
    second = rng.choices([shape for shape, _ in others], [like for _, like in others])[0]
    return _Plan(tuple(form.split()), tuple(rhythms), start, peak, top, (first, second))


def _breathing(rhythm: _Rhythm) -> _Rhythm:
    """The rhythm with a held note and a breath at its end."""
    *most, last = rhythm
    if last >= 2:
        return (*most, last - 1, _F(-1))
    if last > 1 or not most:
        return (*most, last - _HALF, -_HALF)
    while len(most) > 1 and 0 < most[-1] < 1:
        last += most.pop()
    return (*most, -last) if most[-1] >= 1 else rhythm


def _sung(rng: Random, plan: _Plan) -> list[list[int]]:
    """One line for the plan: the steps of each bar."""
    line: list[list[int]] = []
    ideas: dict[str, list[int]] = {}
    here = plan.start
    shift = rng.choice((1, 1, -1, -1, 2, -2, 3))
    for number, (role, rhythm) in enumerate(zip(plan.roles, plan.rhythms, strict=True)):
        count = sum(length > 0 for length in rhythm)
        letter = role[0]
        idea = ideas.get(letter)
        if letter in "hc":
            row = _ending(rng, here, count, letter == "c")
        elif idea is not None and ("=" in role or "+" in role):
            by = 0 if "=" in role else shift
            row = [step + by for step in idea][:count]
            if "+" in role and rng.random() < 0.5:
                ideas[letter] = row  # the next one goes on from here
        else:
            goal = plan.top if number == plan.peak else _arch(plan, number)
            row = _gesture(rng, here, goal, count, plan.shapes[letter == "b"], number == 0)
            ideas.setdefault(letter, row)
        if role.endswith("h") and role != "h":
            row = [*row[:-1], _open(row[-1])]
        line.append(row)
        here = row[-1]
    return line


def _arch(plan: _Plan, number: int) -> int:
    """Where the line should be at a bar: up to its climax, then home."""
    if number < plan.peak:
        return plan.start + (plan.top - plan.start) * number // plan.peak
    left = len(plan.roles) - plan.peak
    return plan.top * (len(plan.roles) - number) // max(left, 1)


#: What a bar's line may do, as moves on its way up; 0.9 of the time it goes where it should.
_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "scale": ((1, 1, 1, 1), (1, 1, 1, -1), (1, 1, -1, 1), (-1, 1, 1, 1)),
    "chord": ((2, 2, -1, -1), (2, 2, 1, -1), (2, -2, 2, 1), (-2, 2, 2, 1), (2, 1, 2, -1)),
    "turn": ((1, -1, -1, 1), (-1, 1, 1, 1), (1, -1, 1, 1), (-1, 1, 2, -1), (1, -1, -1, 2)),
    "leap": ((4, -1, -1, -1), (3, -1, -1, 1), (5, -1, -1, -1), (-1, 4, -1, -1), (1, 3, -1, -1)),
    "repeat": ((0, 1, 1, 1), (0, 0, 1, 1), (0, 2, -1, -1), (0, 3, -1, 0), (1, 0, 1, 0)),
    "zigzag": ((2, -1, 2, -1), (-1, 2, -1, 2), (3, -1, 2, -1), (-2, 3, -1, 1), (-1, 3, -1, -1)),
}


def _gesture(rng: Random, here: int, goal: int, count: int, shape: str, opening: bool) -> list[int]:
    """A bar's steps from near `here` towards a goal."""
    step = here if opening else here + rng.choice((1, -1, 1, -1, 0, 2, -2))
    way = 1 if goal > step or (goal == step and rng.random() < 0.5) else -1
    way = way if rng.random() < 0.9 else -way
    row = [step]
    moves: tuple[int, ...] = ()
    while len(row) < count:
        moves = moves or rng.choice(_SHAPES[shape])
        step += way * moves[0]
        moves = moves[1:]
        row.append(step)
    return row


#: Ways home, as steps above the tonic before it.
_HOME = {
    1: ((1,), (-1,), (1,)),
    2: ((2, 1), (1, -1), (-1, 1), (0, -1), (3, 1), (-2, -1), (2, -1), (4, 1)),
    3: ((3, 2, 1), (2, 1, -1), (0, 1, -1), (4, 2, 1), (1, 2, 1), (-1, 0, 1), (-3, -2, -1)),
}


def _ending(rng: Random, here: int, count: int, home: bool) -> list[int]:
    """The steps of a bar that ends a half (on 2, 5 or 7) or the whole (on 1)."""
    if home:
        goal = OCTAVE * round((here - 1) / OCTAVE)
        shape = rng.choice(_HOME[min(count - 1, 3)]) if count > 1 else ()
    else:
        goal = min((1, 4, 6, -1, -3, 8), key=lambda each: abs(each - here) + 2.5 * rng.random())
        way = rng.choice((1, -1))
        shape = tuple(way * back for back in range(min(count - 1, 2), 0, -1))
    row = [*(goal + each for each in shape), goal]
    while len(row) < count:
        row.insert(0, row[0] + (1 if here >= row[0] else -1))
    return row


def _open(step: int) -> int:
    """The nearest of 2, 5 and 7."""
    return min((8, 1, 4, 6, -1, -3, 11), key=lambda each: (abs(each - step), each))


def _faults(line: list[list[int]], plan: _Plan, groups: tuple[Fraction, ...]) -> float:
    """How much a line breaks what makes tunes singable; 0 is perfect."""
    steps = [step for row in line for step in row]
    moves = [b - a for a, b in pairwise(steps)]
    top, low = max(steps), min(steps)
    worst = 20.0 * max(0, top - low - 9) + 1.5 * max(0, 5 - (top - low))
    worst += 2.0 * max(0, top - 11) + 2.0 * max(0, -4 - low)
    for number, move in enumerate(moves):
        size = abs(move)
        worst += 0.8 * max(0, size - 3)
        following = moves[number + 1] if number + 1 < len(moves) else 0
        if size >= 3:
            worst += 0.6 + (2.0 if following * move > 0 else 0.0) + (size == 6) * 3
            worst += 1.0 if abs(following) > 2 else 0.0
            worst += 4.0 * max(0, size - 5) if size != OCTAVE else 1.0
            if {steps[number] % OCTAVE, steps[number + 1] % OCTAVE} == {3, 6}:
                worst += 2.5
        if move == 0 and following == 0:
            worst += 0.8
        if number + 2 < len(moves) and move == -following == moves[number + 2] and move:
            worst += 0.7  # to and fro
    easy = sum(abs(move) <= 1 for move in moves) / len(moves)
    worst += 8 * max(0.0, 0.55 - easy) + 6 * max(0.0, easy - 0.85)
    worst += 3.0 * (steps.count(top) - 1 - any(a == b == top for a, b in pairwise(steps)))
    place = next(n for n, row in enumerate(line) if max(row) == top)
    worst += 0.0 if place == plan.peak else 1.0
    for number, (row, rhythm) in enumerate(zip(line, plan.rhythms, strict=True)):
        at, count, starts, start = _F(0), 0, set(), _F(0)
        for group in groups:
            starts.add(start)
            start += group
        for length in rhythm:
            if length > 0:
                if at in starts:
                    outside = row[count] % OCTAVE not in STABLE
                    closing = number in (0, len(line) - 1)
                    worst += outside * (1.6 if closing else 0.6) * (1.0 if at == 0 else 0.6)
                elif length >= 1 and row[count] % OCTAVE == 3:
                    worst += 0.4  # 4 is no note to dwell on
                count += 1
            at += abs(length)
    if abs(moves[-1]) != 1:
        worst += 2.0
    return worst + 1.2 * max(0, 5 - len(set(steps)))


def _with_upbeat(motif: Motif, rng: Random) -> Motif:
    """Its breaths lead on: one or two notes up to what comes next, at the end to its start."""
    notes = list(motif.notes)
    lasts = [n for n, _ in enumerate(notes) if _breathes(motif, n)]
    pair = rng.random() < 0.5
    for number in reversed(lasts):
        note = notes[number]
        following = notes[(number + 1) % len(notes)]
        target = motif.length if number + 1 == len(notes) else following.at
        if (
            target - note.end < 1
            or target % motif.bar
            or (following.at if number + 1 == len(notes) else 0)
        ):
            continue
        step, top = following.step, max(each.step for each in notes)
        below = 4 - OCTAVE if step in (0, 1, 2) and top <= 6 else step - 1
        lead = [step - 2, step - 1] if pair else [below]
        if min(lead) < top - 9:
            continue
        size = _HALF if pair else rng.choice((_HALF, _F(1)))
        at = target - size * len(lead)
        if at < note.end:
            continue
        for each in reversed(lead):
            target -= size
            notes.insert(number + 1, Note(target, size, each))
    return _made(motif, notes)


# Variation -----------------------------------------------------------------------------------

_Done = tuple[Motif, str]
_Way = Callable[[Motif, Random], "_Done | None"]

_ORDINALS = ("", "a step", "a third", "a fourth", "a fifth")


def _moved(by: int) -> str:
    return f"{_ORDINALS[abs(by)]} {'up' if by > 0 else 'down'}"


def _bar(motif: Motif, number: int, change: Callable[[Note], Note]) -> Motif:
    """The theme with the notes of one bar (from 1) changed."""
    start = (number - 1) * motif.bar
    return _made(
        motif,
        (change(n) if start <= n.at < start + motif.bar else n for n in motif.notes),
    )


def _later_bar(motif: Motif, rng: Random) -> int:
    """Any bar but the first, by which a theme is known, and seldom the last."""
    return rng.randint(2, max(2, motif.bars - (rng.random() < 0.7)))


def _bar_moved(motif: Motif, rng: Random) -> _Done | None:
    if motif.bars < 2:
        return None
    number, by = _later_bar(motif, rng), rng.choice((1, -1, 1, 2, -2))
    done = _bar(motif, number, lambda note: note._replace(step=note.step + by))
    return done, f"bar {number} {_moved(by)}"


def _rest_moved(motif: Motif, rng: Random) -> _Done | None:
    if motif.bars < 4:
        return None
    first, by = motif.bars // 2 + 1, rng.choice((1, 2, -1, -2))
    start = (first - 1) * motif.bar
    end = motif.length - motif.bar
    done = _made(
        motif,
        (n._replace(step=n.step + by) if start <= n.at < end else n for n in motif.notes),
    )
    return done, f"from bar {first} on {_moved(by)}"


def _bar_turned(motif: Motif, rng: Random) -> _Done | None:
    number = _later_bar(motif, rng)
    notes = _within(motif, (number - 1) * motif.bar, number * motif.bar)
    if motif.bars < 2 or len({note.step for note in notes}) < 2:
        return None
    axis = 2 * notes[0].step
    done = _bar(motif, number, lambda n: n._replace(step=axis - n.step, alteration=-n.alteration))
    return done, f"bar {number} upside down"


def _ornamented(motif: Motif, rng: Random) -> _Done | None:
    done = ornament(motif, rng, rng.uniform(0.35, 0.9))
    return (done, "ornamented") if done != motif else None


def _simplified(motif: Motif, rng: Random) -> _Done | None:
    number = rng.randint(1, motif.bars)
    start = (number - 1) * motif.bar
    there = _within(motif, start, start + motif.bar)
    if not there:
        return None
    plain = simplify(_made(motif, there, motif.bar)).notes
    rest = [note for note in motif.notes if not start <= note.at < start + motif.bar]
    done = _made(motif, sorted([*rest, *(n._replace(at=n.at + start) for n in plain)]))
    return (done, f"bar {number} plain") if done != motif else None


def _ended(motif: Motif, rng: Random) -> _Done | None:
    """Another last note, and a step to it."""
    number = max(n for n, _ in enumerate(motif.notes) if _breathes(motif, n))
    if number < 2:
        return None
    notes = list(motif.notes)
    old = notes[number].step
    near = [each for each in range(old - 4, old + 5) if each % OCTAVE in (0, 1, 2, 4, 6)]
    new = rng.choice([each for each in near if each != old])
    way = 1 if notes[number - 2].step >= new else -1
    notes[number] = notes[number]._replace(step=new, alteration=0)
    notes[number - 1] = notes[number - 1]._replace(step=new + way, alteration=0)
    return _made(motif, notes), f"ends on {new % OCTAVE + 1}"


def _sequenced(motif: Motif, rng: Random) -> _Done | None:
    """Its head, again at another step, and then what comes after."""
    if motif.bars < 4 or not _within(motif, _F(0), motif.bar):
        return None
    by, long = rng.choice((1, -1, 2, -2)), motif.bars // 4
    if not _within(motif, 2 * long * motif.bar, motif.length):
        return None
    head = sequence(fragment(motif, 1, long), (0, by))
    done = join(head, fragment(motif, 2 * long + 1, motif.bars - 2 * long))
    return done, f"its head again {_moved(by)}"


def _dotted(motif: Motif, rng: Random) -> _Done | None:
    """Pairs of equal notes become long and short, or dotted ones become equal."""
    notes, changed = list(motif.notes), 0
    even = rng.random() < 0.3
    for number, (one, two) in enumerate(pairwise(motif.notes)):
        both = one.length + two.length
        if one.end != two.at or both not in (1, 2) or one.at % both or notes[number] != one:
            continue
        if even == (one.length == two.length):
            continue
        first = both / 2 if even else both * 3 / 4
        notes[number] = one._replace(length=first)
        notes[number + 1] = two._replace(at=one.at + first, length=both - first)
        changed += 1
    return (_made(motif, notes), "in even notes" if even else "dotted") if changed else None


def _anticipated(motif: Motif, rng: Random) -> _Done | None:
    """Notes on strong beats come a quaver early, tied over."""
    notes, changed = list(motif.notes), 0
    strong = strong_beats(motif)
    for number, note in enumerate(motif.notes):
        before = notes[number - 1] if number else None
        if before is None or note.at % motif.bar not in strong or note.length < 1:
            continue
        if rng.random() < 0.6 and (before.length > _HALF or before.end <= note.at - _HALF):
            at = note.at - _HALF
            notes[number - 1] = before._replace(length=min(before.length, at - before.at))
            notes[number] = note._replace(at=at, length=note.length + _HALF)
            changed += 1
    return (_made(motif, notes), "anticipated") if changed else None


def _halved(motif: Motif, rng: Random) -> _Done | None:
    """Twice as fast, and again at another step."""
    if motif.bars % 2 or min(note.length for note in motif.notes) < _HALF:
        return None
    by = rng.choice((1, -1, 2))
    return sequence(diminish(motif), (0, by)), f"twice as fast, then again {_moved(by)}"


def _doubled(motif: Motif, rng: Random) -> _Done | None:
    """The first half at half the pace."""
    if motif.bars % 2:
        return None
    return augment(fragment(motif, 1, motif.bars // 2)), "its first half, twice as slow"


#: Each way to vary: how likely, and how far along (0 to 1) it is thought of.
_WAYS: tuple[tuple[_Way, float, float], ...] = (
    (_ornamented, 3.0, 0.0),
    (_ended, 3.0, 0.0),
    (_bar_moved, 3.0, 0.0),
    (_simplified, 1.5, 0.0),
    (_dotted, 1.5, 0.15),
    (_anticipated, 1.5, 0.15),
    (_rest_moved, 2.0, 0.2),
    (_bar_turned, 2.0, 0.3),
    (_sequenced, 2.0, 0.35),
    (_halved, 0.8, 0.6),
    (_doubled, 0.8, 0.6),
)

LOWEST, HIGHEST = -7, 13  # steps that a development keeps within


def develop(motif: Motif, rng: Random, strength: float) -> tuple[Motif, str]:
    """One development, not compared with the theme: more ways at once the stronger, 0 to 1."""
    fit = [(way, weight) for way, weight, least in _WAYS if least <= strength]
    done, said = motif, []
    for _ in range(1 + int(strength * 2.5 + rng.random() * 0.8)):
        way = rng.choices([way for way, _ in fit], [weight for _, weight in fit])[0]
        made = way(done, rng)
        if made is None or len(made[0].notes) > MOST_NOTES:
            continue
        steps = [note.step for note in made[0].notes]
        if min(steps) >= LOWEST and max(steps) <= HIGHEST and made[1] not in said:
            done = made[0]
            said.append(made[1])
    return done, ", ".join(said)


def vary(motif: Motif, rng: Random, amount: float = 0.5) -> tuple[Motif, str]:
    """A development, and what was done to the theme in words.

    amount: 0 leaves it as it is; at 1 its likeness to the theme is about 0.4, between in
    proportion. Of a few developments the one nearest to that is taken.
    Law: same length and metre.
    """
    if amount <= 0:
        return motif, "as it is"
    wanted = 1 - 0.6 * min(amount, 1.0)
    best, apart = (motif, "as it is"), amount * 0.6
    for _ in range(8):
        made = develop(motif, rng, min(1.0, amount * rng.uniform(0.6, 1.3)))
        found = abs(likeness(motif, made[0]) - wanted)
        if made[1] and found < apart:
            best, apart = made, found
    return best
