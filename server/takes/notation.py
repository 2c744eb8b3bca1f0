"""What was played as it is written: bars, voices, note values, ties and triplets.

The beats at which notes are written are exact (`Note.beat`), so only two things are guessed: how a
note's length is written, since it sounds a little shorter than it is meant, and which notes make a
voice.  After the quantisation by beats of Cemgil & Kappen (2003), in its simplest case: each
quarter note is divided by two or by three, whichever its onsets are nearer to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import NamedTuple

from server.concert.journal import Entry, Harmonised, Marked, Moved, Played, Ticked
from server.ensemble.part import PartSpec
from server.music.meter import Meter, parse_meter
from server.music.note import Note

from .lines import DRUMS, Spelling

VOICES = 4  # of a part at a time; of more the longest sounding gives way
FINEST, TRIPLET = Fraction(1, 8), Fraction(1, 6)  # quarter notes
#: A note that sounds for so much of the way to the next is written as if it reached it.
LEGATO = Fraction(3, 5)
LONGEST_REST = Fraction(4)  # that a note is drawn over, so
#: Else it is written as the shortest of these that it fits into.
_PLAIN = tuple(map(Fraction, ("1/8", "1/4", "1/2", "1", "3/2", "2", "3", "4", "6", "8")))
_PLAIN_THREE = (TRIPLET, Fraction(1, 3), Fraction(2, 3), *_PLAIN[3:])
_SLACK = Fraction(1, 32)
_VALUES = tuple(
    (Fraction(length) * (3 if dots else 2) / 2, name, dots, Fraction(length))
    for length, name in (
        *((4, "whole"), (2, "half"), (1, "quarter"), (Fraction(1, 2), "eighth")),
        *((Fraction(1, 4), "16th"), (Fraction(1, 8), "32nd"), (Fraction(1, 16), "64th")),
        (Fraction(1, 32), "128th"),
    )
    for dots in (1, 0)
)


class Bar(NamedTuple):
    """begin: quarter notes.  key: as `parse_key` reads it.  tempo: quarter notes a minute.

    section: of the form, where it begins with this bar; "" elsewhere.
    """

    begin: Fraction
    meter: Meter
    key: str
    tempo: float
    section: str = ""

    @property
    def end(self) -> Fraction:
        return self.begin + self.meter.length


class Symbol(NamedTuple):
    """A chord symbol, from a beat on."""

    beat: Fraction
    name: str


class Written(NamedTuple):
    """One note or rest with one stem. at, length: quarter notes.

    pitches: MIDI numbers and their names, such as 61 and "Db4"; none for a rest.
    value: "quarter" and the like.  dots: 0 or 1.  triplet: three in the time of two; then `first`
    and `last` are those of their quarter note.
    tied: whether it goes on in the next; held: whether it goes on from the one before.
    """

    at: Fraction
    length: Fraction
    pitches: tuple[tuple[int, str], ...]
    value: str
    dots: int
    triplet: bool
    tied: bool = False
    held: bool = False
    first: bool = False
    last: bool = False


class Staff(NamedTuple):
    """One part. bars: of each bar its voices, each of which fills it; at least one.

    drums: whether it is written as percussion.
    """

    name: str
    channel: int
    program: int | None
    drums: bool
    bars: tuple[tuple[tuple[Written, ...], ...], ...]

    @property
    def middle(self) -> float:
        """The MIDI number around which it lies; 60 where nothing is played."""
        pitches = [p for bar in self.bars for v in bar for w in v for p, _ in w.pitches]
        return sum(pitches) / len(pitches) if pitches else 60.0


class Manuscript(NamedTuple):
    """A whole piece as written."""

    title: str
    about: str
    bars: tuple[Bar, ...]
    chords: tuple[Symbol, ...]
    staves: tuple[Staff, ...]


class Copyist:
    """A journal listener that keeps what a manuscript needs.

    only: the parts that are wanted; all of them where it is None.
    """

    def __init__(self, only: Container[str] | None = None) -> None:
        self.bars: list[Bar] = []
        self.chords: list[Symbol] = []
        self.notes: dict[str, list[tuple[Note, str]]] = {}
        self._only, self._spelling = only, Spelling()
        self._key, self._section = "C major", ""
        self._end: Fraction | None = None

    def __call__(self, entry: Entry) -> None:
        self._spelling.heed(entry)
        if isinstance(entry, Played):
            note = entry.note
            if self._only is None or note.part in self._only:
                name = self._spelling.name(note.pitch, note.spelling)
                self.notes.setdefault(note.part, []).append((note, name))
        elif isinstance(entry, Ticked) and entry.moment.position == 1:
            meter = parse_meter(entry.meter)
            self.bars.append(Bar(entry.moment.beat, meter, self._key, entry.tempo, self._section))
            self._section = ""
        elif isinstance(entry, Harmonised):
            self.chords.append(Symbol(entry.moment.beat, entry.name))
        elif isinstance(entry, Marked):
            self._mark(entry)
        elif isinstance(entry, Moved) and entry.state == "stopped":
            self._end = entry.moment.beat

    def _mark(self, entry: Marked) -> None:
        here = bool(self.bars) and self.bars[-1].begin == entry.moment.beat
        if entry.kind == "key":
            self._key = entry.name
            if here:  # told after the beat that it begins with
                self.bars[-1] = self.bars[-1]._replace(key=entry.name)
        elif entry.kind == "section":
            if here:
                self.bars[-1] = self.bars[-1]._replace(section=entry.name)
            else:
                self._section = entry.name

    def manuscript(self, title: str, about: str, parts: Iterable[PartSpec]) -> Manuscript:
        """What was played, as it is written; of the parts those that sounded.

        One that is wanted by its name is there, with its rests, even where it never sounds.
        """
        bars, wanted = tuple(self.bars), self._only or ()
        staves = [
            Staff(
                *(spec.name, spec.channel, spec.program, spec.channel == DRUMS),
                _staff(self.notes.get(spec.name, []), bars),
            )
            for spec in parts
            if bars and (spec.name in self.notes or spec.name in wanted)
        ]
        return Manuscript(title, about, bars, tuple(self.chords), tuple(staves))


class _Event:
    """A chord of one voice. begin, end: quarter notes."""

    __slots__ = ("begin", "end", "pitches")

    def __init__(
        self, begin: Fraction, end: Fraction, pitches: tuple[tuple[int, str], ...]
    ) -> None:
        self.begin, self.end, self.pitches = begin, end, pitches


class _Grid:
    """How each quarter note of a part is divided, by its onsets."""

    def __init__(self, onsets: Iterable[Fraction], bars: tuple[Bar, ...]) -> None:
        self._bars, self._begins = bars, [bar.begin for bar in bars]
        cells: dict[tuple[int, int], list[Fraction]] = {}
        for onset in onsets:
            number, place = self._place(onset)
            cells.setdefault((number, floor(place)), []).append(place % 1)
        self._threes = {
            cell
            for cell, places in cells.items()
            if cell[1] + 1 <= bars[cell[0]].meter.length and _in_three(places)
        }

    def _place(self, beat: Fraction) -> tuple[int, Fraction]:
        number = max(bisect_right(self._begins, beat) - 1, 0)
        return number, beat - self._begins[number]

    def in_three(self, beat: Fraction) -> bool:
        """Whether the quarter note that a beat lies in is divided by three."""
        number, place = self._place(beat)
        return (number, floor(place)) in self._threes

    def cell(self, beat: Fraction) -> Fraction:
        """Where the quarter note begins that a beat lies in."""
        number, place = self._place(beat)
        return self._begins[number] + floor(place)

    def nearest(self, beat: Fraction) -> Fraction:
        """The place on the grid that a beat is nearest to."""
        begin = self.cell(beat)
        unit = TRIPLET if self.in_three(beat) else FINEST
        place = begin + round((beat - begin) / unit) * unit
        return min(place, self._bars[-1].end)


def _in_three(places: list[Fraction]) -> bool:
    def away(unit: Fraction) -> Fraction:
        return sum((abs(each - round(each / unit) * unit) for each in places), Fraction(0))

    two, three = away(FINEST), away(TRIPLET)
    return three < two


def _staff(
    notes: list[tuple[Note, str]], bars: tuple[Bar, ...]
) -> tuple[tuple[tuple[Written, ...], ...], ...]:
    end = bars[-1].end
    notes = [each for each in notes if bars[0].begin <= each[0].beat < end]
    grid = _Grid((note.beat for note, _ in notes), bars)
    voices = _voices(list(_events(notes, grid, end)))
    staff = []
    for bar in bars:
        written = [_fill(events, bar, grid) for events in voices or [[]]]
        # A voice keeps its number, for what is tied; behind the last that sounds are none.
        sounding = [n for n, voice in enumerate(written, 1) if any(each.pitches for each in voice)]
        staff.append(tuple(written[: max(sounding, default=1)]))
    return tuple(staff)


def _events(notes: list[tuple[Note, str]], grid: _Grid, end: Fraction) -> Iterator[_Event]:
    """Chords of the same beginning and end, with the lengths that they are written with."""
    begins = sorted({place for note, _ in notes if (place := grid.nearest(note.beat)) < end})
    after = dict(pairwise([*begins, end]))
    chords: dict[tuple[Fraction, Fraction], dict[int, str]] = {}
    for note, name in notes:
        begin = grid.nearest(note.beat)
        if begin >= end:
            continue
        following = after[begin]
        until = _until(begin, note.end - note.start, following, grid)
        chords.setdefault((begin, min(until, end)), {})[note.pitch] = name
    for (begin, until), pitches in sorted(chords.items()):
        yield _Event(begin, until, tuple(sorted(pitches.items())))


def _until(begin: Fraction, length: Fraction, following: Fraction, grid: _Grid) -> Fraction:
    """Where a note ends as it is written, that sounds for so long before others begin."""
    gap = following - begin
    if gap * LEGATO <= length <= gap + FINEST and gap <= LONGEST_REST:
        return following
    three = grid.in_three(begin)
    if length > gap:  # it is meant to sound on
        return max(grid.nearest(begin + length), begin + (TRIPLET if three else FINEST))
    values = _PLAIN_THREE if three else _PLAIN
    plain = next((each for each in values if each >= length - _SLACK), length)
    return min(max(grid.nearest(begin + plain), begin + values[0]), following)


def _voices(events: list[_Event]) -> list[list[_Event]]:
    """Events shared out so that none of a voice begins before the one before it has ended."""
    voices: list[list[_Event]] = []
    for event in sorted(events, key=lambda event: (event.begin, -event.pitches[-1][0])):
        free = next((voice for voice in voices if voice[-1].end <= event.begin), None)
        if free is not None:
            free.append(event)
        elif len(voices) < VOICES:
            voices.append([event])
        else:
            longest = min(voices, key=lambda voice: voice[-1].begin)
            if longest[-1].begin < event.begin:
                longest[-1].end = event.begin
                longest.append(event)
            else:
                pitches = dict(longest[-1].pitches) | dict(event.pitches)
                longest[-1].pitches = tuple(sorted(pitches.items()))
    return voices


def _fill(events: list[_Event], bar: Bar, grid: _Grid) -> tuple[Written, ...]:
    """One voice of one bar, rests included: its lengths add up to the bar's."""
    row: list[Written] = []
    at = bar.begin
    for event in events:
        begin, end = max(event.begin, bar.begin), min(event.end, bar.end)
        if begin >= end:
            continue
        row += _pieces(at, begin, (), bar, grid)
        pieces = list(_pieces(begin, end, event.pitches, bar, grid))
        for number, piece in enumerate(pieces):
            tied = number < len(pieces) - 1 or event.end > bar.end
            held = number > 0 or event.begin < bar.begin
            row.append(piece._replace(tied=tied, held=held))
        at = end
    row += _pieces(at, bar.end, (), bar, grid)
    return tuple(_bracketed(row, grid))


def _bracketed(row: list[Written], grid: _Grid) -> Iterator[Written]:
    cells = [grid.cell(each.at) if each.triplet else None for each in row]
    for number, each in enumerate(row):
        cell = cells[number]
        first = cell is not None and (number == 0 or cells[number - 1] != cell)
        last = cell is not None and (number + 1 == len(row) or cells[number + 1] != cell)
        yield each._replace(first=first, last=last)


def _pieces(
    begin: Fraction,
    end: Fraction,
    pitches: tuple[tuple[int, str], ...],
    bar: Bar,
    grid: _Grid,
) -> Iterator[Written]:
    """A stretch as values that can be written, none across a place where it would be misread."""
    at = begin
    while at < end:
        cell = grid.cell(at)
        inside = grid.in_three(at) and (at > cell or end < cell + 1)
        if inside:
            most = min(end, cell + 1) - at
            place = at - cell
            third = Fraction(1, 3)
            length = next(
                each
                for each in (2 * third, third, TRIPLET)
                if each <= most and (each == TRIPLET or place % third == 0)
            )
            value = {2 * third: "quarter", third: "eighth"}.get(length, "16th")
            yield Written(at, length, pitches, value, 0, True)
        else:
            limit = end
            if grid.in_three(end) and grid.cell(end) < end:
                limit = grid.cell(end)
            length, value, dots = _longest(at - bar.begin, limit - at, bar.meter)
            yield Written(at, length, pitches, value, dots, False)
        at += length


def _longest(place: Fraction, most: Fraction, meter: Meter) -> tuple[Fraction, str, int]:
    """The longest value that may stand at a place of the bar."""
    compound = meter.unit == 8 and set(meter.groups) == {3}
    for length, name, dots, plain in _VALUES:
        if length > most:
            continue
        unit = length if compound and plain >= 1 else plain * 2
        if place % (unit if dots else plain) == 0:
            return length, name, dots
    return most, "128th", 0
