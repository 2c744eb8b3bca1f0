"""A part: one engine's stream, read in the musical context and laid out on exact beats."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import NamedTuple

from engines.base import THINKING, Controls, Engine, Fragment, Symbol

from .music.chord import Chord, chord_tone, roman, voice
from .music.groove import Groove
from .music.meter import MeterMap, Place
from .music.note import Step, Tone
from .music.scale import Degree, Key
from .reading import (
    Absolute,
    Atom,
    ChordTone,
    Drum,
    Emission,
    Harmony,
    Hit,
    Reader,
    Reading,
)

SILENT_SYMBOLS = 10_000  # symbols without a meaning that a part swallows at one beat
FAILURES, FAILURE_BEATS = 5, 64  # so many errors within so many beats silence a part


@dataclass(frozen=True)
class PartSpec:
    """A part as the scene describes it; every value already checked. Lengths in quarter notes.

    grid: where symbols land, or None where only their own note values say so.
    octave: 4 is as written, 5 an octave higher.  low, high: MIDI numbers pitches stay within.
    nearest: place each pitch in the octave next to the one before.  fit: "key", "chord" or "".
    gate: sounding share of a step, 0 to 2.  accents: 0 (none) to 1 (upbeats silent).
    """

    name: str
    engine: Engine
    engine_name: str
    reading: Reading = field(default_factory=lambda: Reading({}))
    together: bool = False
    grid: Fraction | None = None
    octave: int = 4
    low: int = 0
    high: int = 127
    nearest: bool = False
    fit: str = ""
    voices: int = 4
    gate: float = 0.9
    velocity: float = 0.75
    accents: float = 0.25
    swing: float = 0.5
    swing_unit: Fraction = Fraction(1, 2)
    groove: Groove | None = None
    human_time: float = 0.0
    human_velocity: float = 0.0
    channel: int = 1
    program: int | None = None
    bank: int | None = None
    outputs: tuple[str, ...] = ()
    sound: str = "superpiano"
    level: float = 1.0
    density: float = 1.0
    mute: bool = False
    enters: int = 1


class Trouble(NamedTuple):
    """Something went wrong in a part, and what was done about it. beat: where it happened."""

    part: str
    beat: Fraction
    text: str


class Harmonies:
    """The chords of a scene as the leading part hands them out: which one sounds at a beat."""

    def __init__(self) -> None:
        self._beats: list[Fraction] = []
        self._chords: list[Chord] = []

    def begin(self, beat: Fraction, chord: Chord) -> None:
        self._beats.append(beat)
        self._chords.append(chord)

    def at(self, beat: Fraction) -> Chord | None:
        index = bisect_right(self._beats, beat) - 1
        return self._chords[index] if index >= 0 else None

    def forget(self, before: Fraction) -> None:
        """Drop what ended before this beat."""
        index = bisect_right(self._beats, before) - 1
        if index > 32:
            del self._beats[:index], self._chords[:index]


@dataclass
class Setting:
    """What all parts of a scene share: the ground they are read against.

    begin: the beat at which bar 1 begins.  values: live controls by name, as engines see them.
    """

    seed: int
    key: Key
    meters: MeterMap
    begin: Fraction = Fraction(0)
    harmonies: Harmonies = field(default_factory=Harmonies)
    values: dict[str, float] = field(default_factory=dict)

    def place(self, beat: Fraction) -> Place:
        """The bar, the position in it and its metre, at a beat of the timeline."""
        return self.meters.bar_at(beat - self.begin)

    def beat_of_bar(self, bar: int) -> Fraction:
        return self.begin + self.meters.beat_of_bar(bar)


class Part:
    """Lays an engine's symbols out in time, step by step, as far as asked and no further.

    Law: the steps do not depend on how the asking is divided, nor on any other part than the
    one that leads the harmony.
    """

    def __init__(
        self,
        spec: PartSpec,
        setting: Setting,
        next_id: Callable[[], int],
    ) -> None:
        self.spec, self.setting = spec, setting
        self.cursor = setting.beat_of_bar(spec.enters)
        self.finished = False
        self._next_id = next_id
        self._number = 0
        self._controls = Controls()
        alphabet = spec.engine.alphabet() or frozenset()
        self._reader = Reader(spec.reading, spec.reading.closes(alphabet), spec.together)
        self.leads = False  # whether its chords are the scene's; its agenda decides
        self.has_chords = spec.reading.leads(alphabet)
        self._grid = spec.grid or Fraction(1)
        self._ready: deque[Emission] = deque()
        self._last_pitch: int | None = None
        self._last_voicing: tuple[int, ...] | None = None
        self._failed: deque[Fraction] = deque(maxlen=FAILURES)
        self._starts = 0
        self._stream = self._start()

    def _start(self) -> Iterator[Symbol]:
        self._starts += 1
        again = f"/{self._starts}" if self._starts > 1 else ""
        rng = Random(f"{self.setting.seed}/{self.spec.name}{again}")
        return self.spec.engine.symbols(rng, self._controls)

    @property
    def controls(self) -> Controls:
        """What the engine may read and is told."""
        return self._controls

    def plan(self, until: Fraction) -> tuple[list[Step], list[Trouble]]:
        """The next steps, all that begin before this beat, and what went wrong on the way."""
        steps: list[Step] = []
        troubles: list[Trouble] = []
        while self.cursor < until and not self.finished:
            if not self._ready:
                self._pull(troubles)
            if self._ready:
                step = self._lay(self._ready.popleft())
                if step is not None:
                    steps.append(step)
        return steps, troubles

    def _pull(self, troubles: list[Trouble]) -> None:
        """Ask the engine until something can be laid out."""
        values = self._controls.values
        values.update(self.setting.values)
        bar, position, meter = self.setting.place(self.cursor)
        values["bar"], values["beat"] = bar, 1 + float(position / meter.beat_length)
        ready = self._ready
        for _ in range(SILENT_SYMBOLS):
            try:
                symbol = next(self._stream)
            except StopIteration:
                self.finished = True
                return
            except Exception as error:
                self._fail(error, troubles)
                return
            if symbol is THINKING:
                break
            ready.extend(self._reader.read(symbol))
            if ready:
                return
        else:
            troubles.append(self._trouble(f"{SILENT_SYMBOLS} symbols in a row have no meaning"))
        ready.append(Emission(THINKING, Hit(()), None))

    def _trouble(self, text: str) -> Trouble:
        return Trouble(self.spec.name, self.cursor, text)

    def _fail(self, error: Exception, troubles: list[Trouble]) -> None:
        # An engine may be anybody's code: whatever it raises, the others play on.
        self._failed.append(self.cursor)
        what = f"{type(error).__name__}: {error}"
        full = len(self._failed) == FAILURES
        if full and self.cursor - self._failed[0] < FAILURE_BEATS:
            self.finished = True
            troubles.append(self._trouble(f"silenced after {FAILURES} errors, the last {what}"))
            return
        troubles.append(self._trouble(f"started again after {what}"))
        self._stream = self._start()
        self._ready.append(Emission(THINKING, Hit(()), None))

    def _lay(self, emission: Emission) -> Step | None:
        symbol, hit, length = emission
        beat = self.cursor
        grid = self.spec.grid
        if grid is not None and length is not None:
            beat = -(-beat // grid) * grid  # late symbols wait for the next line of the grid
        length = self._grid if length is None else length
        self.cursor = beat + length
        fragment = symbol.fragment
        chord = None
        tones: tuple[Tone, ...]
        if fragment is not None and not hit.atoms:
            tones = self._fragment(fragment, beat)
        elif not hit.atoms:
            tones = ()
        else:
            chord = self._chord(hit, beat)
            if chord is not None and self.leads:
                self.setting.harmonies.begin(beat, chord)
            tones = tuple(
                Tone(pitch, hit.velocity)
                for atom in hit.atoms
                for pitch in self._pitches(atom, beat, chord)
            )
        self._number += 1
        return Step(self._next_id(), self._number - 1, beat, length, tones, hit.acts, symbol, chord)

    def _chord(self, hit: Hit, beat: Fraction) -> Chord | None:
        for atom in hit.atoms:
            if isinstance(atom, Harmony):
                return atom.chord or roman(atom.text, self.setting.key)
        return None

    def _pitches(self, atom: Atom, beat: Fraction, chord: Chord | None) -> tuple[int, ...]:
        """MIDI numbers of one atom, in the part's register."""
        spec, key = self.spec, self.setting.key
        if isinstance(atom, Drum):
            return (atom.midi,)
        if isinstance(atom, Harmony):
            assert chord is not None
            low, high = self._register()
            self._last_voicing = voice(chord, self._last_voicing, low, high, spec.voices)
            return self._last_voicing
        if isinstance(atom, Absolute):
            midi = atom.midi
        elif isinstance(atom, Degree):
            midi = key.pitch(atom).midi
        else:
            midi = self._chord_tone(atom, beat)
        return (self._placed(midi + 12 * (spec.octave - 4), beat),)

    def _register(self) -> tuple[int, int]:
        """Where chords are voiced: the part's range, or two octaves round its octave."""
        spec = self.spec
        if (spec.low, spec.high) != (0, 127):
            return spec.low, spec.high
        centre = 12 * (spec.octave + 1)
        return max(centre - 8, 0), min(centre + 16, 127)

    def _chord_tone(self, tone: ChordTone, beat: Fraction) -> int:
        key = self.setting.key
        chord = self.setting.harmonies.at(beat)
        if chord is None:
            return key.degree(tone.number, 0, 4 + tone.octave).midi
        root = chord.root.semitone
        above = (chord_tone(chord, key, tone.number) - root) % 12
        return 60 + root + above + 12 * (tone.octave + (tone.number > 7))

    def _placed(self, midi: int, beat: Fraction) -> int:
        spec = self.spec
        if spec.fit:
            midi = self._fitted(midi, beat)
        if spec.nearest and self._last_pitch is not None:
            midi += 12 * round((self._last_pitch - midi) / 12)
        midi = folded(midi, spec.low, spec.high)
        self._last_pitch = midi
        return midi

    def _fitted(self, midi: int, beat: Fraction) -> int:
        key = self.setting.key
        if self.spec.fit == "chord":
            _, position, meter = self.setting.place(beat)
            chord = self.setting.harmonies.at(beat)
            if chord is not None and meter.weight(position) >= 0.5:
                classes = chord.pitch_classes
                return min(
                    range(midi - 6, midi + 7),
                    key=lambda m: (m % 12 not in classes, abs(m - midi), m),
                )
        return key.nearest(midi)

    def _fragment(self, fragment: Fragment, beat: Fraction) -> tuple[Tone, ...]:
        spec = self.spec
        tones = []
        for at, length, pitch, velocity, voice_number in fragment.sounds:
            midi = pitch + 12 * (spec.octave - 4)
            midi = self._placed(midi, beat + at)
            tones.append(Tone(midi, velocity / 0.8, at, length, voice_number))
        return tuple(tones)


def folded(midi: int, low: int, high: int) -> int:
    """A pitch brought into a range by whole octaves; into its nearest end where none fits.

    Law: low <= folded(m, low, high) <= high, and m unchanged where it is inside already.
    """
    if midi < low:
        midi += 12 * -((midi - low) // 12)
    elif midi > high:
        midi -= 12 * -((high - midi) // 12)
    return min(max(midi, low), high)


class Agenda:
    """The parts of a scene and how far they are planned: what falls before this beat?

    The part that leads the harmony is asked first, so that the others know its chords.
    """

    def __init__(self, parts: list[Part], begin: Fraction = Fraction(0)) -> None:
        leader = next((part for part in parts if part.has_chords), None)
        if leader is not None:
            leader.leads = True
        self.parts = sorted(parts, key=lambda part: part is not leader)
        self.frontier = begin

    def plan(self, until: Fraction) -> tuple[list[tuple[Part, Step]], list[Trouble]]:
        """Every step that begins before `until` and was not handed out before, part by part."""
        planned: list[tuple[Part, Step]] = []
        troubles: list[Trouble] = []
        for part in self.parts:
            steps, wrong = part.plan(until)
            planned += [(part, step) for step in steps]
            troubles += wrong
        self.frontier = max(self.frontier, until)
        return planned, troubles

    @property
    def finished(self) -> bool:
        return all(part.finished for part in self.parts)
