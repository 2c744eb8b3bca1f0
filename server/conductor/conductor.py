"""The conductor: what the music is to be like at each bar and beat, and why.

The parts play; the conductor decides the ground they play on: key and mode, section and phrase,
energy, who plays, and how (loud, short, dense, early). It plans bar by bar, as late as it can,
so that a change of mood or form is heard at the next moment that suits it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from engines.base import Mistake
from server.music.chord import Chord
from server.music.groove import noise
from server.music.line import Line
from server.music.meter import Meter, MeterMap
from server.music.scale import Key

from .form import Form, FormSpec, Section
from .harmony import Planned, bridge, enrich
from .mood import NAMES, NEUTRAL, WORDS, Field, Mood, MoodLine
from .mood import word as nearest_word
from .moodmap import Cues, MoodMap, plain_map

LEEWAY = 0.06  # of energy, past the ends of its layer, before a part that plays falls silent
JUMP = 0.2  # of energy, from one bar to the next, that layers follow without waiting for a phrase
DRIVE = 0.7  # how far arousal moves energy towards its ends
_TICK = Fraction(1, 2**20)
_FEELS, _KEPT = 4096, 128  # feels, and bars, remembered at least


@dataclass(frozen=True)
class ConductorSpec:
    """What a scene says about mood, harmony and form.

    mood: at the beginning, None for the one that was.  map: from mood to cues.  words: moods by
    name.  field: moods by place.  modes: whether the key's mode follows the mood.  enrich:
    whether chords by number or function gain and lose tones with it.  themes: their names, in
    the order in which engines count them.  likeness: how near developments stay to their theme,
    0 to 1.  speed: of a mood that follows the listener's place, in units of distance a bar.
    """

    form: FormSpec = field(default_factory=FormSpec)
    mood: Mood | None = None
    map: MoodMap = field(default_factory=plain_map)
    words: Mapping[str, Mood] = field(default_factory=lambda: WORDS)
    field: Field | None = None
    modes: bool = False
    enrich: bool = False
    themes: tuple[str, ...] = ()
    likeness: float = 0.8
    speed: float = 0.5


UNCONDUCTED = ConductorSpec()


class Seat(NamedTuple):
    """What the conductor knows of a part: its role, and the energies between which it plays."""

    name: str
    role: str = ""
    low: float = 0.0
    high: float = 1.0


class Feel(NamedTuple):
    """How a note is played in the mood of its beat: factors on what its part would do."""

    loudness: float = 1.0
    articulation: float = 1.0
    density: float = 1.0
    accent: float = 1.0
    looseness: float = 1.0


PLAIN = Feel()


class Bar(NamedTuple):
    """What has been decided for one bar.

    number: from 1.  beat, end: of the timeline.  phrase_bar: from 1.  phrase_left,
    section_left: bars left, this one included.  phrase_mood: as the phrase began.  energy: 0
    to 1.  playing: parts that sound.  bridge: chords that lead to the next bar's key.
    """

    number: int
    beat: Fraction
    end: Fraction
    section: Section
    phrase_bar: int
    phrase_left: int
    key: Key
    mood: Mood
    phrase_mood: Mood
    cues: Cues
    energy: float
    playing: frozenset[str]
    values: Mapping[str, float]
    bridge: tuple[Planned, ...] = ()

    @property
    def section_bar(self) -> int:
        """Which bar of its section, from 1."""
        return self.number - self.section.bar + 1

    @property
    def section_left(self) -> int:
        """Bars left in the section, this one included."""
        return self.section.after - self.number


class Conductor:
    """Decides bar by bar, as far as it is asked; what was decided stays until it is taken back.

    meters, begin: where bar 1 and every other bar lies on the timeline.  phrase: bars.
    seats: the parts.  before: the conductor of the same scene before, as in another style, whose
    theme and form go on.  moods: how the mood has been; it goes on too, unless a new scene states
    another.
    Laws: same seed and same calls, same decisions; no call changes a bar that began before it.
    """

    def __init__(
        self,
        spec: ConductorSpec,
        seed: int,
        key: Key,
        meters: MeterMap,
        begin: Fraction = Fraction(0),
        phrase: int = 4,
        seats: Iterable[Seat] = (),
        controls: Mapping[str, float] | None = None,
        before: Conductor | None = None,
        moods: MoodLine | None = None,
    ) -> None:
        self.spec, self.key, self.meters, self.begin, self.phrase = spec, key, meters, begin, phrase
        self.seats = tuple(seats)
        self._seed = seed & (2**64 - 1)
        self._roles = {seat.role for seat in self.seats}
        self.form = Form(spec.form, seed, controls or {})
        stated = spec.mood is not None and before is None
        self.moods: MoodLine = MoodLine(spec.mood or NEUTRAL)
        self._own = frozenset(NAMES).intersection(controls or ())
        if moods is not None:
            self.moods = moods.step(self.moods.at(begin), begin) if stated else moods
        self.words: Mapping[str, Mood] = spec.words
        self._map = spec.map
        self._keys: Line[Key] = Line()
        self._themes: Line[int] = Line()
        self._going: dict[int, str] = {}  # sections that were asked for, by their first bar
        self._likeness: float | None = before._likeness if before is not None else None
        self.fixed: Mapping[str, float] = {}  # live values that nothing here decides
        self._bars: dict[int, Bar] = {}
        self._feels: dict[tuple[str, int], Feel] = {}
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: Conductor) -> None:
        """Go on with the theme, and where the form was, as far as they are here too."""
        begin = self.begin
        if self.spec.themes == before.spec.themes:
            self._themes.begin(begin, before._themes.at(begin) or 0)
        if begin > before.begin:
            number = before.meters.bar_at(begin - before.begin).bar
            section = before.form.at(number)
            self.form.carry_on(section.spec.name, section.after - number)

    # What is decided ---------------------------------------------------------------------

    def bar(self, number: int) -> Bar:
        """A bar, from 1, decided now if it was not before."""
        found = self._bars.get(number)
        if found is None:
            first = min(self._bars, default=1)
            if number < first:  # an upbeat, or longer ago than anybody should ask
                return self.bar(first)
            last = max(self._bars, default=0)
            for missing in range(last + 1, number + 1):
                found = self._decide(missing, self._bars.get(missing - 1))
                self._bars[missing] = found
            assert found is not None
        return found

    def opens(self, unit: str, number: int) -> bool:
        """Whether a "phrase" or a "section" begins with a bar, as far as is known now."""
        section = self.form.at(number)
        return number == section.bar or (unit == "phrase" and self._phrase(number, section)[0] == 1)

    def cues(self, number: int) -> list[str]:
        """The names that the scene's author has given to a bar."""
        section = self.form.at(number)
        place = number - section.bar + 1
        return [name for name, bars in section.spec.cues.items() if place in bars]

    def _decide(self, number: int, before: Bar | None) -> Bar:
        since = self.meters.beat_of_bar(number)
        beat, end = self.begin + since, self.begin + self.meters.beat_of_bar(number + 1)
        if number in self._going:
            self.form.go(self._going[number], number)
        section = self.form.at(number)
        phrase_bar, phrase_left = self._phrase(number, section)
        mood = self.moods.at(beat)
        key = self._key(beat, section, mood, before, phrase_bar == 1)
        if before is not None and key == before.key:
            key = before.key  # the same value, so that who remembers it need not compare
        phrase_mood = mood if before is None or phrase_bar == 1 else before.phrase_mood
        cues = self._map.cues(mood, self._home(beat))
        energy = self._energy(section, number, mood)
        playing = self._playing(energy, cues, section, before, phrase_bar == 1)
        left = section.after - number
        values = {
            "valence": mood.valence,
            "arousal": mood.arousal,
            "tension": mood.tension,
            "energy": energy,
            "phrase_bar": float(phrase_bar),
            "phrase_left": float(phrase_left),
            "section_bar": float(number - section.bar + 1),
            "section_left": float(min(left, 1_000_000)),
            "section_number": float(section.number),
            "visit": float(section.visit),
            "theme": float(self._theme(beat, section)),
            "likeness": self._alike(section),
            **{f"in_{name}": float(name == section.spec.name) for name in self.spec.form.sections},
        }
        if self._own and self.moods.still == NEUTRAL:
            for name in self._own:  # until somebody speaks of mood, the scene's own controls do
                del values[name]
        values |= self.fixed
        bar = Bar(
            number, beat, end, section, phrase_bar, phrase_left,
            key, mood, phrase_mood, cues, energy, playing, values,
        )  # fmt: skip
        if phrase_left == 1:
            bar = bar._replace(bridge=self._bridge(bar))
        return bar

    def _phrase(self, number: int, section: Section) -> tuple[int, int]:
        place = (number - section.bar) % self.phrase
        return place + 1, min(self.phrase - place, section.after - number)

    def _key(
        self, beat: Fraction, section: Section, mood: Mood, before: Bar | None, may_turn: bool
    ) -> Key:
        key = self._keys.at(beat) or self.key
        if section.spec.up:
            key = raised(key, section.spec.up)
        if section.spec.mode:
            return Key(key.tonic, section.spec.mode)
        if not self.spec.modes:
            return key
        if before is not None and not may_turn:
            return Key(key.tonic, before.key.mode)
        current = before.key.mode if before is not None else None
        return Key(key.tonic, self._map.mode(mood, current, key.mode))

    def _home(self, beat: Fraction) -> str:
        return (self._keys.at(beat) or self.key).mode

    def _energy(self, section: Section, number: int, mood: Mood) -> float:
        """The section's own energy at the middle of a bar, drawn to its ends by arousal."""
        place = (number - section.bar + 0.5) / section.bars
        energy, drive = section.spec.energy_at(place), DRIVE * mood.arousal
        return energy + (1.0 - energy if drive > 0 else energy) * drive

    def _playing(
        self, energy: float, cues: Cues, section: Section, before: Bar | None, may_turn: bool
    ) -> frozenset[str]:
        """Layers come and go with energy, at phrases or when it jumps; somebody always plays."""
        only = section.spec.only
        seats = [seat for seat in self.seats if not only or seat.name in only] or [*self.seats]
        if before is not None and not may_turn:
            new = before.section.number != section.number
            if not new and abs(energy - before.energy) < JUMP:
                return before.playing
        was = before.playing if before is not None else frozenset()

        def distance(seat: Seat) -> float:
            leeway = LEEWAY if seat.name in was else 0.0
            return max(seat.low - leeway - energy, energy - seat.high - leeway, 0.0)

        playing = frozenset(seat.name for seat in seats if not distance(seat))
        if playing or not seats:
            return playing
        nearest = min(distance(seat) for seat in seats)
        return frozenset(seat.name for seat in seats if distance(seat) == nearest)

    def _theme(self, beat: Fraction, section: Section) -> int:
        if section.spec.theme in self.spec.themes:
            return self.spec.themes.index(section.spec.theme) + 1
        return self._themes.at(beat) or 0

    def _alike(self, section: Section) -> float:
        if self._likeness is not None:
            return self._likeness
        own = section.spec.likeness
        return self.spec.likeness if own is None else own

    def _meter(self, number: int) -> Meter:
        return self.meters.bar_at(self.meters.beat_of_bar(number)).meter

    def _bridge(self, bar: Bar) -> tuple[Planned, ...]:
        """Chords for the last bar of a phrase where the next one begins in another key."""
        name = self._going.get(bar.number + 1)
        section = self.form.at(bar.number + 1)
        if name is not None:
            section = section._replace(spec=self.spec.form.sections[name])
        key = self._key(bar.end, section, self.moods.at(bar.end), bar, True)
        if key == bar.key:
            return ()
        return tuple(bridge(bar.key, key, bar.end - bar.beat, self._meter(bar.number)))

    # What parts ask ----------------------------------------------------------------------

    def shift(self, role: str, bar: Bar) -> int:
        """Semitones by which the register of a role lies above its own."""
        return round(self._map.for_role("register", role, bar.phrase_mood))

    def harmonise(self, bar: Bar, beat: Fraction, chord: Chord, free: bool) -> tuple[Chord, str]:
        """The chord that is to sound where a part wants this one, and why if it is another.

        free: whether the part leaves tones to the mood, as Nashville numbers do.
        """
        here = [step for step in bar.bridge if step.at <= beat - bar.beat]
        if here:
            return here[-1].chord, here[-1].words
        if free and self.spec.enrich:
            # Now more, now less: what grows slowly over the moods is heard in ever more bars.
            less = 0.5 + noise(self._seed, bar.number)
            wide, rough = bar.cues.extension * less, bar.cues.dissonance * less
            return enrich(chord, bar.key, wide, rough, bar.number), ""
        return chord, ""

    def feel(self, role: str, beat: Fraction) -> Feel:
        """How a role plays at this beat; changes from one beat of the bar to the next."""
        line = beat.numerator // beat.denominator
        known = self._feels.get((role, line))
        if known is None:
            if len(self._feels) >= _FEELS:
                self._feels.clear()
            mood, ask = self.moods.at(Fraction(line)), self._map.for_role
            known = self._feels[role, line] = Feel(
                ask("loudness", role, mood),
                ask("articulation", role, mood),
                ask("density", role, mood),
                ask("accent", role, mood),
                min(ask("looseness", role, mood), 2.0),
            )
        return known

    def word(self, mood: Mood) -> str:
        """The nearest word for a mood."""
        return nearest_word(mood, self.words)

    def tempo_at(self, beat: Fraction) -> float:
        """The factor on the scene's own tempo, of mood and section."""
        bar = self.bar(self.meters.bar_at(beat - self.begin).bar)
        return self._map.cues(self.moods.at(beat)).tempo * bar.section.spec.tempo

    def explain(self, cue: str, beat: Fraction, base: float, role: str = "") -> str:
        """Why a cue is as it is at a beat. base: the tempo without mood, BPM. Errors: Mistake."""
        if cue not in Cues._fields:
            raise Mistake("cue", f"there is no cue {cue!r}; there are: {', '.join(Cues._fields)}")
        bar = self.bar(self.meters.bar_at(beat - self.begin).bar)
        if cue == "mode" and not self.spec.modes:
            return f"{bar.key.mode} because the scene keeps its own mode"
        said = base if cue == "tempo" else None
        home = self._home(beat)
        return self._map.explain(cue, self.moods.at(beat), said, role, home, bar.key.mode)

    # What is asked of it -----------------------------------------------------------------

    def arrival(self, at: Fraction, bars: float) -> Fraction:
        """The beat that lies so many bars, whole or not, after another."""
        place = self.meters.bar_at(at - self.begin)
        whole = Fraction(bars).limit_denominator(64) + place.bar
        whole += place.position / place.meter.length
        bar = whole.numerator // whole.denominator
        line = self.meters.beat_of_bar(bar)
        return self.begin + line + (whole - bar) * (self.meters.beat_of_bar(bar + 1) - line)

    def head_for(self, mood: Mood, at: Fraction, bars: float = 0.0) -> None:
        """Be in this mood `bars` after a beat, at once where 0; the way is planned by phrases."""
        arrive = self.arrival(at, bars)
        first = self.meters.bar_at(at - self.begin).bar + 1
        last = min(self.meters.bar_at(arrive - self.begin).bar, first + 256)
        bars_between = range(first, last + 1)
        phrases = [number for number in bars_between if self.opens("phrase", number)]
        lines = phrases if len(phrases) > 1 else bars_between
        beats = [self.begin + self.meters.beat_of_bar(number) for number in lines]
        self.moods = self.moods.toward(mood, at, arrive, beats)
        self.retract(at)

    def slide(self, mood: Mood, at: Fraction, speed: float) -> None:
        """Move to this mood at so many units of distance a bar."""
        bar = self.meters.bar_at(at - self.begin).meter.length
        self.moods = self.moods.slide(mood, at, speed, bar)
        self.retract(at)

    def change_key(self, key: Key, at: Fraction) -> None:
        """Another key from this beat on, a bar line."""
        self._keys.begin(at, key)
        self.retract(at)

    def go(self, name: str, at: Fraction) -> None:
        """The section of this name begins at this beat, a bar line. Errors: Mistake."""
        if name not in self.spec.form.sections:
            there = ", ".join(self.spec.form.sections) or "none in this scene"
            raise Mistake(f"section {name}", f"no section has this name; there are: {there}")
        number = self.meters.bar_at(at - self.begin).bar
        self._going = {bar: each for bar, each in self._going.items() if bar < number}
        self._going[number] = name
        self.retract(at)

    def state(self, name: str, at: Fraction) -> None:
        """Another theme from this beat on. Errors: Mistake."""
        if name not in self.spec.themes:
            there = ", ".join(self.spec.themes) or "none in this scene"
            raise Mistake(f"theme {name}", f"no theme has this name; there are: {there}")
        self._themes.begin(at, self.spec.themes.index(name) + 1)
        self.retract(at)

    def stay_near(self, likeness: float, at: Fraction) -> None:
        """How near developments stay to their theme, 0 to 1."""
        self._likeness = likeness
        self.retract(at)

    def take_back(self, what: str, after: Fraction) -> None:
        """Undo what was asked for of a "mood", "key", "theme" or "section" and is still to come.

        A mood that is on its way stays as it is at the beat `after`.
        """
        later = after + _TICK
        if what == "mood":
            if self.moods.target.beat > after:
                self.moods = self.moods.without(after)
        elif what == "key":
            self._keys.retract(later)
        elif what == "theme":
            self._themes.retract(later)
        elif what == "section":
            here = self.meters.bar_at(after - self.begin).bar
            self._going = {bar: each for bar, each in self._going.items() if bar <= here}
        self.retract(later)

    def settle(self) -> None:
        """Be where everything was heading, for a piece that begins anew."""
        self.moods = MoodLine(self.moods.target.mood)

    def forget(self, before: Fraction) -> None:
        """Drop what nobody will ask for again."""
        self._keys.forget(before)
        self._themes.forget(before)
        if len(self._bars) > 2 * _KEPT:
            here = self.meters.bar_at(before - self.begin).bar - _KEPT
            self.form.forget(here)
            for number in [each for each in self._bars if each < here]:
                del self._bars[number]

    def retract(self, beat: Fraction) -> None:
        """Decide anew the bars that begin at this beat or later."""
        self._feels.clear()
        for number in [each for each, bar in self._bars.items() if bar.beat >= beat]:
            del self._bars[number]
        last = max(self._bars, default=0)
        if last and self._bars[last].phrase_left == 1:
            self._bars[last] = self._bars[last]._replace(bridge=self._bridge(self._bars[last]))


_STEPS = (0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6)  # letters for each number of semitones up


def raised(key: Key, semitones: int) -> Key:
    """The same mode on a tonic so many semitones higher, spelled with few accidentals."""
    steps = _STEPS[semitones % 12]
    tonic = key.tonic.transpose(steps, semitones % 12)
    if abs(tonic.alteration) > 1 or (tonic.alteration and abs(key.tonic.alteration) == 1):
        other = key.tonic.transpose(steps + (1 if tonic.alteration > 0 else -1), semitones % 12)
        tonic = min(tonic, other, key=lambda each: abs(each.alteration))
    return Key(tonic, key.mode)
