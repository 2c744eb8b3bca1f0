"""A score: what was played, with its bars, keys, chords and sections, whatever it came from."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import ceil
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple, TypeVar

import mido

from engines.base import Mistake
from scripts.listening.figures import pearson
from server.concert.journal import Entry, Harmonised, Marked, Played, Ticked
from server.errands import hear
from server.music.meter import Meter, parse_meter
from server.music.scale import parse_key
from server.score.scene import Scene

GRID = 48  # places in a quarter note at which two onsets are taken for the same
DRUMS = 10  # General MIDI's channel for them
MELODY = ("melody", "lead")  # roles whose notes make the melodic line
CHORDS = ("pad", "comp")
ROLES = (*MELODY, *CHORDS, "counter", "bass", "arp", "drums", "percussion", "fx")
STRONG = 0.75  # weight in the metre from which a place is strong

#: The modes from bright to dark, and where the ladder has them.
LADDER = {
    "lydian": 3,
    "major": 2,
    "mixolydian": 1,
    "dorian": 0,
    "minor": -1,
    "phrygian": -2,
    "locrian": -3,
}
#: Krumhansl & Kessler (1982): how well each pitch class fits a major and a minor key.
KRUMHANSL = (
    (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
)

_DIATONIC = {name: parse_key(f"C {name}").pitch_classes for name in LADDER}
_SHARP = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
#: Chords that are looked for: the name's ending, semitones above the root, how likely beforehand.
_TEMPLATES = (
    ("", (0, 4, 7), 1.0),
    ("m", (0, 3, 7), 1.0),
    ("7", (0, 4, 7, 10), 0.97),
    ("m7", (0, 3, 7, 10), 0.95),
    ("maj7", (0, 4, 7, 11), 0.93),
    ("dim", (0, 3, 6), 0.93),
    ("m7b5", (0, 3, 6, 10), 0.93),
    ("sus4", (0, 5, 7), 0.9),
)

T = TypeVar("T", "KeySpan", "ChordSpan", "Section")


class Heard(NamedTuple):
    """A note. onset: quarter notes, as written; length: quarter notes, as it sounds.

    seconds, duration: as it sounds.  velocity: 0 to 1.
    """

    part: str
    onset: float
    length: float
    seconds: float
    duration: float
    pitch: int
    velocity: float

    @property
    def end(self) -> float:
        return self.onset + self.length


class Bar(NamedTuple):
    """A bar begins. begin: quarter notes."""

    begin: float
    meter: Meter


class KeySpan(NamedTuple):
    """A key begins. tonic: 0 to 11; classes: the scale's."""

    begin: float
    name: str
    tonic: int
    classes: frozenset[int]


class ChordSpan(NamedTuple):
    """A chord begins. classes: its pitch classes."""

    begin: float
    name: str
    classes: frozenset[int]


class Section(NamedTuple):
    """A section begins."""

    begin: float
    name: str


@dataclass(frozen=True)
class Score:
    """Notes in the order of their onsets, and the ground under them.

    roles: what each part is: melody, lead, counter, bass, pad, comp, arp, drums ….
    tempos: (quarter note, quarter notes a minute) from there on.
    end: quarter notes.  seconds: the whole length.  phrase: bars in a phrase.
    """

    notes: tuple[Heard, ...]
    roles: Mapping[str, str]
    bars: tuple[Bar, ...]
    end: float
    seconds: float
    tempos: tuple[tuple[float, float], ...]
    keys: tuple[KeySpan, ...] = ()
    chords: tuple[ChordSpan, ...] = ()
    sections: tuple[Section, ...] = ()
    phrase: int = 4
    title: str = ""
    _begins: tuple[float, ...] = field(init=False, repr=False, compare=False)

    _onsets: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_onsets", tuple(note.onset for note in self.notes))
        object.__setattr__(self, "_begins", tuple(bar.begin for bar in self.bars))

    @cached_property
    def pitched(self) -> tuple[Heard, ...]:
        """The notes that are no drums."""
        return tuple(n for n in self.notes if self.roles[n.part] not in ("drums", "percussion"))

    @cached_property
    def parts(self) -> dict[str, tuple[Heard, ...]]:
        """The notes of each part that has any, in the order of first onsets."""
        found: dict[str, list[Heard]] = defaultdict(list)
        for note in self.notes:
            found[note.part].append(note)
        return {name: tuple(notes) for name, notes in found.items()}

    def of(self, *roles: str) -> tuple[Heard, ...]:
        """The notes of all parts with one of these roles."""
        return tuple(note for note in self.notes if self.roles[note.part] in roles)

    @cached_property
    def line(self) -> tuple[Heard, ...]:
        """The melody: the topmost of what the melodic parts play; without any, of everything."""
        return skyline(self.of(*MELODY) or self.of("counter") or self.pitched)

    @cached_property
    def bass(self) -> tuple[Heard, ...]:
        """The lowest voice: of the basses, or of everything below the melody."""
        below = self.of("bass")
        if not below:
            top = set(self.line)
            below = tuple(note for note in self.pitched if note not in top)
        turned = [note._replace(pitch=-note.pitch) for note in below]
        return tuple(note._replace(pitch=-note.pitch) for note in skyline(turned))

    def bar_at(self, onset: float) -> int:
        """The index of the bar that an onset lies in."""
        return max(bisect_right(self._begins, onset + 0.5 / GRID) - 1, 0)

    def weight(self, onset: float) -> float:
        """The accent of an onset in its bar: 1 the bar line, 0.75 other groups, then less."""
        bar = self.bars[self.bar_at(onset)]
        place = Fraction(max(round((onset - bar.begin) * GRID), 0), GRID)
        return bar.meter.weight(place)

    def key_at(self, onset: float) -> KeySpan | None:
        return _at(self.keys, onset)

    def chord_at(self, onset: float) -> ChordSpan | None:
        return _at(self.chords, onset)

    def section_at(self, onset: float) -> Section | None:
        return _at(self.sections, onset)

    def divided(self, notes: Iterable[Heard]) -> tuple[tuple[Heard, ...], ...]:
        """Notes by the bar that they begin in."""
        found: list[list[Heard]] = [[] for _ in self.bars]
        for note in notes:
            found[self.bar_at(note.onset)].append(note)
        return tuple(tuple(bar) for bar in found)

    def excerpt(self, first: int, last: int) -> Score:
        """The bars from one index up to but not with another, as a score from 0 on.

        Notes belong to the bar that they begin in, and sound as long as they do.
        """
        begin = self.bars[first].begin
        end = self.bars[last].begin if last < len(self.bars) else self.end
        near = slice(*(bisect_left(self._onsets, beat - 0.5 / GRID) for beat in (begin, end)))
        tempos = [(0.0, self.tempos[0][1])] if self.tempos else []
        tempos += [(max(beat - begin, 0.0), bpm) for beat, bpm in self.tempos if beat < end]
        tempos = list(dict(tempos).items())  # of those before, the last
        return replace(
            self,
            notes=tuple(n._replace(onset=n.onset - begin) for n in self.notes[near]),
            bars=tuple(bar._replace(begin=bar.begin - begin) for bar in self.bars[first:last]),
            end=end - begin,
            seconds=_seconds(tempos, end - begin),
            tempos=tuple(tempos),
            keys=_between(self.keys, begin, end),
            chords=_between(self.chords, begin, end),
            sections=_between(self.sections, begin, end),
        )

    def place(self, note: Heard) -> int:
        """Where in its bar a note begins, in `GRID`ths of a quarter note."""
        return round((note.onset - self.bars[self.bar_at(note.onset)].begin) * GRID)


def _at(spans: Sequence[T], onset: float) -> T | None:
    index = bisect_right(spans, onset + 0.5 / GRID, key=lambda span: span.begin) - 1
    return spans[index] if index >= 0 else None


def _between(spans: Sequence[T], begin: float, end: float) -> tuple[T, ...]:
    """The spans that hold somewhere between two moments, counted from the first of them."""
    first = max(bisect_right(spans, begin + 0.5 / GRID, key=lambda span: span.begin) - 1, 0)
    return tuple(
        span._replace(begin=max(span.begin - begin, 0.0))
        for span in spans[first:]
        if span.begin < end
    )


def skyline(notes: Iterable[Heard]) -> tuple[Heard, ...]:
    """Of notes that sound together the highest, as the ear takes a melody (Uitdenbogerd & Zobel
    1998): a note is left out where a higher one begins with it or sounds on over it.
    """
    line: list[Heard] = []
    for note in sorted(notes, key=lambda n: (round(n.onset * GRID), -n.pitch)):
        if line:
            last = line[-1]
            together = round(last.onset * GRID) == round(note.onset * GRID)
            if together or (last.pitch > note.pitch and last.end > note.onset + 0.25):
                continue
        line.append(note)
    return tuple(line)


# From a scene ------------------------------------------------------------------------------


def score_of(scene: Scene, bars: int, roles: Mapping[str, str] | None = None) -> Score:
    """Play a scene in virtual time, so many bars, and keep what was heard.

    roles: of parts by name; where none is given, the part's own or a guess from its notes.
    """
    entries: list[Entry] = []
    hear(scene, bars, entries.append)
    return written(scene, entries, roles)


def written(
    scene: Scene, entries: Iterable[Entry], roles: Mapping[str, str] | None = None
) -> Score:
    """The journal of a scene, from its beginning, as a score; for roles see `score_of`."""
    notes: list[Heard] = []
    starts: list[Bar] = []
    tempos: list[tuple[float, float]] = []
    keys: list[KeySpan] = []
    chords: list[ChordSpan] = []
    sections: list[Section] = []
    drums: set[str] = set()
    for entry in entries:
        if isinstance(entry, Played):
            note = entry.note
            length = float(note.end - note.start)
            at, lasts = entry.moment.seconds, entry.duration
            onset = float(note.beat)
            notes.append(Heard(note.part, onset, length, at, lasts, note.pitch, note.velocity))
            if note.channel == DRUMS:
                drums.add(note.part)
        elif isinstance(entry, Ticked):
            beat = float(entry.moment.beat)
            if not tempos or tempos[-1][1] != entry.tempo:
                tempos.append((beat, entry.tempo))
            if entry.moment.position == 1:
                starts.append(Bar(beat, parse_meter(entry.meter)))
        elif isinstance(entry, Harmonised):
            chords.append(ChordSpan(float(entry.moment.beat), entry.name, frozenset(entry.classes)))
        elif isinstance(entry, Marked) and entry.kind == "key":
            key = parse_key(entry.name)
            keys.append(
                KeySpan(
                    float(entry.moment.beat),
                    key.name,
                    key.tonic.semitone,
                    frozenset(key.pitch_classes),
                )
            )
        elif isinstance(entry, Marked) and entry.kind == "section":
            sections.append(Section(float(entry.moment.beat), entry.name))
    given = {spec.name: getattr(spec, "role", "") for spec in scene.parts} | dict(roles or {})
    end = starts[-1].begin + float(starts[-1].meter.length) if starts else 0.0
    notes.sort(key=lambda note: (note.onset, note.pitch))
    return Score(
        tuple(notes),
        guess_roles(notes, {**given, **dict.fromkeys(drums, "drums")}),
        tuple(starts),
        end,
        _seconds(tempos, end),
        tuple(tempos),
        tuple(keys),
        tuple(chords),
        tuple(sections),
        scene.phrase,
        scene.title,
    )


def _seconds(tempos: Sequence[tuple[float, float]], end: float) -> float:
    """How long a piece of so many quarter notes lasts."""
    ends = [beat for beat, _ in tempos[1:]] + [end]
    return sum(60 / bpm * (stop - beat) for (beat, bpm), stop in zip(tempos, ends, strict=True))


def guess_roles(notes: Iterable[Heard], given: Mapping[str, str]) -> dict[str, str]:
    """What each part is, where nobody has said so and its name is no role.

    Chords where 1.8 notes and more begin together: a pad where they last two quarter notes and
    more (median), else comping. Of single lines the ones with a mean below D3 are basses; one
    whose steps are nearly all (85 %) the same length is an arpeggio; the others are melodies.
    """
    parts: dict[str, list[Heard]] = defaultdict(list)
    for note in notes:
        parts[note.part].append(note)
    return {
        name: given.get(name) or (name if name in ROLES else _role(found))
        for name, found in parts.items()
    }


def _role(notes: Sequence[Heard]) -> str:
    onsets = sorted({round(note.onset * GRID) for note in notes})
    if len(notes) >= 1.8 * len(onsets):
        return "pad" if median(note.length for note in notes) >= 1.8 else "comp"
    if fmean(note.pitch for note in notes) < 50:
        return "bass"
    steps = Counter(b - a for a, b in pairwise(onsets))
    regular = steps and max(steps.values()) >= 0.85 * steps.total()
    return "arp" if regular else "melody"


# From notes alone --------------------------------------------------------------------------


def weights(notes: Iterable[Heard]) -> list[float]:
    """How long each pitch class sounds, in quarter notes."""
    found = [0.0] * 12
    for note in notes:
        found[note.pitch % 12] += note.length
    return found


def fits(found: Sequence[float]) -> dict[tuple[int, str], float]:
    """How well pitch classes correlate with each of 24 keys (Krumhansl & Schmuckler, 1990)."""
    return {
        (tonic, mode): pearson([found[(tonic + step) % 12] for step in range(12)], profile)
        for tonic in range(12)
        for mode, profile in zip(("major", "minor"), KRUMHANSL, strict=True)
    }


def ladder(found: Sequence[float], tonic: int) -> float:
    """Where sounding pitch classes stand between Lydian, 3, and Locrian, -3, over a tonic.

    The seven modes differ in six degrees, each of which has a bright and a dark form: ♯4 | 4,
    7 | ♭7, 3 | ♭3, 6 | ♭6, 2 | ♭2, 5 | ♭5. Each gives the share of its bright form, or a half
    where neither sounds; the sum less 3 is the place. The tritone over the tonic is shared
    between ♯4 and ♭5 as the fifth and the fourth are.
    """
    w = [found[(tonic + step) % 12] for step in range(12)]
    sharp = w[6] * (w[7] / (w[5] + w[7]) if w[5] + w[7] else 0.5)
    pairs = (
        *((sharp, w[5]), (w[11], w[10]), (w[4], w[3])),
        *((w[9], w[8]), (w[2], w[1]), (w[7], w[6] - sharp)),
    )
    return sum(a / (a + b) if a + b else 0.5 for a, b in pairs) - 3


def find_key(notes: Sequence[Heard]) -> KeySpan:
    """The key that notes are in: a tonic by correlation, then the mode nearest on the ladder.

    Temperley's (1999) profiles do no better: they find the last chord's root in 162 of 179
    Nottingham tunes and the last bass note in 155 of 229 chorales, these in 146 and in 177.
    """
    found = weights(notes)
    ranked = fits(found)
    tonic, _ = max(ranked, key=ranked.__getitem__)
    place = round(ladder(found, tonic))
    mode = next(name for name, where in LADDER.items() if where == place)
    classes = frozenset((tonic + each) % 12 for each in _DIATONIC[mode])
    return KeySpan(0.0, f"{_SHARP[tonic]} {mode}", tonic, classes)


def find_chords(notes: Sequence[Heard], bars: Sequence[Bar], end: float) -> tuple[ChordSpan, ...]:
    """The chord of each half bar (of each bar where it has one group), by template.

    The template (a triad or seventh chord) whose direction is nearest to how long the pitch
    classes sound, the lowest counted twice (cosine; after Fujishima 1999). Equal neighbours
    are one chord.
    """
    found: list[ChordSpan] = []
    ordered = sorted(notes, key=lambda note: note.onset)
    longest = max((note.length for note in notes), default=0.0)
    begins = [note.onset for note in ordered]
    for begin, stop in _windows(bars, end):
        near = ordered[bisect_right(begins, begin - longest - 0.01) : bisect_right(begins, stop)]
        sounding = [0.0] * 12
        lowest: tuple[int, float] | None = None
        for note in near:
            share = min(note.end, stop) - max(note.onset, begin)
            if share > 0.01:
                sounding[note.pitch % 12] += share
                if lowest is None or note.pitch < lowest[0]:
                    lowest = note.pitch, share
        if lowest is None:
            continue
        sounding[lowest[0] % 12] += lowest[1]
        size = sum(x * x for x in sounding) ** 0.5
        best, span = 0.0, ChordSpan(begin, "", frozenset())
        for root in range(12):
            for ending, steps, prior in _TEMPLATES:
                shared = sum(sounding[(root + step) % 12] for step in steps)
                nearness = prior * shared / (size * len(steps) ** 0.5)
                if nearness > best:
                    classes = frozenset((root + step) % 12 for step in steps)
                    best, span = nearness, ChordSpan(begin, _SHARP[root] + ending, classes)
        if not found or found[-1].name != span.name:
            found.append(span)
    return tuple(found)


def _windows(bars: Sequence[Bar], end: float) -> Iterable[tuple[float, float]]:
    for bar in bars:
        groups, unit = bar.meter.groups, float(bar.meter.beat_length)
        first = sum(groups[: (len(groups) + 1) // 2]) * unit
        total = float(bar.meter.length)
        if len(groups) == 1:
            first = total
        yield bar.begin, min(bar.begin + first, end)
        if first < total and bar.begin + first < end:
            yield bar.begin + first, min(bar.begin + total, end)


def read_midi(path: Path) -> Score:
    """A standard MIDI file as a score: a part for each track and channel with notes.

    Metre and tempo are the file's; key and chords are found from the notes. Errors: Mistake.
    """
    try:
        file = mido.MidiFile(path)
    except (OSError, EOFError, ValueError) as error:
        raise Mistake(path.name, f"expected a standard MIDI file: {error}") from None
    unit = file.ticks_per_beat
    tempos: list[tuple[float, float]] = []
    meters: list[tuple[float, Meter]] = []
    raw: list[tuple[str, float, float, int, float]] = []
    drums: set[str] = set()
    for number, track in enumerate(file.tracks):
        tick = 0
        open_: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for message in track:
            tick += message.time
            if message.type == "set_tempo":
                tempos.append((tick / unit, mido.tempo2bpm(message.tempo)))
            elif message.type == "time_signature":
                name = f"{message.numerator}/{message.denominator}"
                meters.append((tick / unit, parse_meter(name)))
            elif message.type == "note_on" and message.velocity:
                open_[message.channel, message.note].append((tick, message.velocity))
            elif message.type in ("note_off", "note_on"):
                began = open_[message.channel, message.note]
                if began:
                    start, velocity = began.pop(0)
                    part = f"{number}.{message.channel + 1}"
                    length = (tick - start) / unit
                    raw.append((part, start / unit, length, message.note, velocity / 127))
                    if message.channel + 1 == DRUMS:
                        drums.add(part)
    tempos = sorted(dict(tempos).items()) or [(0.0, 120.0)]
    if tempos[0][0] > 0:
        tempos.insert(0, (0.0, 120.0))
    changes = sorted(dict(meters).items(), key=lambda change: change[0])  # tracks repeat them
    return from_notes(raw, changes or [(0.0, parse_meter("4/4"))], tempos, drums, path.stem)


def from_notes(
    raw: Iterable[tuple[str, float, float, int, float]],
    meters: Sequence[tuple[float, Meter]],
    tempos: Sequence[tuple[float, float]] = ((0.0, 120.0),),
    drums: Iterable[str] = (),
    title: str = "",
    roles: Mapping[str, str] | None = None,
) -> Score:
    """A score from (part, onset, length, pitch, velocity), its key and chords found."""
    lines = sorted(raw, key=lambda row: (row[1], row[3]))
    end = max((onset + length for _, onset, length, _, _ in lines), default=0.0)
    bars: list[Bar] = []
    for (begin, meter), stop in zip(meters, [*(m[0] for m in meters[1:]), end], strict=True):
        length = float(meter.length)
        count = ceil((stop - begin) / length - 0.01)
        bars += [Bar(begin + nth * length, meter) for nth in range(count)]
    clock = _Clock(tempos)
    notes = tuple(
        Heard(
            *(part, onset, length, clock.at(onset), clock.at(onset + length) - clock.at(onset)),
            *(pitch, velocity),
        )
        for part, onset, length, pitch, velocity in lines
    )
    known = guess_roles(notes, {**(roles or {}), **dict.fromkeys(drums, "drums")})
    pitched = [note for note in notes if known[note.part] != "drums"]
    under = [note for note in pitched if known[note.part] in (*CHORDS, "bass")]
    keys = (find_key(pitched),) if pitched else ()
    chords = find_chords(under or pitched, bars, end)
    return Score(
        *(notes, known, tuple(bars), end, clock.at(end), tuple(tempos), keys, chords),
        title=title,
    )


class _Clock:
    """Seconds of quarter notes, under tempos that change in steps."""

    def __init__(self, tempos: Sequence[tuple[float, float]]) -> None:
        self.begins = [beat for beat, _ in tempos]
        self.tempos = [bpm for _, bpm in tempos]
        self.seconds = [0.0]
        for (beat, bpm), (after, _) in pairwise(tempos):
            self.seconds.append(self.seconds[-1] + (after - beat) * 60 / bpm)

    def at(self, beat: float) -> float:
        index = max(bisect_right(self.begins, beat) - 1, 0)
        return self.seconds[index] + (beat - self.begins[index]) * 60 / self.tempos[index]
