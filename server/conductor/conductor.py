"""The conductor: what the music is to be like at each bar and beat, and why.

The parts play; the conductor decides the ground they play on: key and mode, section and phrase,
energy, who plays, and how (loud, short, dense, early). It plans bar by bar, as late as it can,
so that a change of mood or form is heard at the next moment that suits it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from engines.base import Mistake, unknown
from server.music.chord import Chord, roman
from server.music.groove import noise
from server.music.line import Line
from server.music.meter import Meter, MeterMap
from server.music.scale import Key, parse_key

from .form import USUAL, Form, FormSpec, Rule, Section, Transitions
from .harmony import Planned, bent, bridge, cadence, dissonance, enrich, passing
from .mood import NAMES, NEUTRAL, WORDS, Field, Mood, MoodLine
from .mood import word as nearest_word
from .moodmap import ROLES, Cues, MoodMap, plain_map

LEEWAY = 0.06  # of energy, past the ends of its layer, before a part that plays falls silent
MOST_MOVES = 2  # layers that come or go at a bar line within a section
JUMP = 0.2  # of energy, from one bar to the next, that layers follow without waiting for a phrase
CLOSING = 2  # bars of the last cadence and of the final ritard
HALT, BEND = 0.6, 2.0  # of the tempo that is left at the end; how late it falls
LOOK = 64  # bars within which a change to come is heard of
FARTHEST = 256  # bars within which the next section is told
#: Of the chords at a place within a bar, in the second bar of two and in the first, how many more
#: are held than harmonic rhythm lacks of 1; and of long ones, how many are divided.
HELD, DIVIDED = (1.5, 1.2, 0.8), 1.1
ALIKE = 0.06  # of dissonance, between chords that are as consonant as each other
APPLIED = 0.6  # tension from which a chord that leads on may be a dominant foreign to the key
_TICK = Fraction(1, 2**20)
_PLACES = 0x5BD1E995  # so that chances of chords and of their dress are strangers
_FEELS, _KEPT = 256, 64  # feels that are remembered at most, and bars at least


@dataclass(frozen=True)
class ConductorSpec:
    """What a scene says about mood, harmony and form.

    mood: at the beginning, None for the one that was.  map: from mood to cues.  words: moods by
    name.  field: moods by place.  modes: whether the key's mode follows the mood.  enrich:
    whether chords by number or function gain and lose tones with it.  themes: their names, in
    the order in which engines count them.  likeness: how near developments stay to their theme,
    0 to 1.  speed: of a mood that follows the listener's place, in units of distance a bar.
    transitions: how it leads over into sections, keys and other scenes.
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
    transitions: Transitions = USUAL


UNCONDUCTED = ConductorSpec()


class Seat(NamedTuple):
    """What the conductor knows of a part: its role, and the energies between which it plays.

    shades: how many programs it has, soft to bright.  bright: whether its brightness follows.
    """

    name: str
    role: str = ""
    low: float = 0.0
    high: float = 1.0
    shades: int = 1
    bright: bool = False


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
    to 1.  playing: parts that sound.  bridge: chords that lead into another key, or close the
    piece; `at` counts from the bar's line.  pace: factors on the tempo at its line and its end.
    pause: quarter notes of silence at its end.  last: the piece ends with it.  held: its chord is
    held to its end, for the piece or its section closes.  wanted: who would play if no texture
    gave way to another.  toward: the key that the bridge leads into.  shades: of parts with
    several programs, which.  aim: who would play if layers came and went all at once.
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
    pace: tuple[float, float] = (1.0, 1.0)
    pause: Fraction = Fraction(0)
    last: bool = False
    held: bool = False
    wanted: frozenset[str] = frozenset()
    toward: Key | None = None
    shades: Mapping[str, int] = MappingProxyType({})
    aim: frozenset[str] = frozenset()

    @property
    def section_bar(self) -> int:
        """Which bar of its section, from 1."""
        return self.number - self.section.bar + 1

    @property
    def section_left(self) -> int:
        """Bars left in the section, this one included."""
        return self.section.after - self.number


class Turn(NamedTuple):
    """A change that is known to come.

    bar: at whose line.  to: the section that begins, if one does.  key: of another scene.
    """

    bar: int
    rule: Rule
    to: Section | None = None
    key: Key | None = None


class Leave(NamedTuple):
    """Another scene takes over.

    since: the beat from which this one gives way.  unplanned: from which its engines hear of it.
    """

    bar: int
    rule: Rule
    key: Key
    since: Fraction
    unplanned: Fraction


class Asked(NamedTuple):
    """What was asked for from a bar on. what: "key", "theme" or "section"; name: which."""

    bar: int
    what: str
    name: str


class Conductor:
    """Decides bar by bar, as far as it is asked; what was decided stays until it is taken back.

    meters, begin: where bar 1 and every other bar lies on the timeline.  first: the bar from
    which it conducts.  phrase: bars.
    seats: the parts.  before: the conductor of the same scene before, as in another style, whose
    theme and form go on.  moods: how the mood has been; it goes on too, unless a new scene states
    another.
    arrives: how it thickens where it took over from another scene.  planned: the beat up to
    which parts have played on what was decided.
    Laws: same seed and same calls, same decisions, whatever else was asked; no call changes a
    bar that began before it, nor one that began before `planned`, but for bridge chords that
    are still to come; what is taken back was never there.
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
        arrives: Rule | None = None,
        first: int = 1,
    ) -> None:
        self.spec, self.key, self.meters, self.begin, self.phrase = spec, key, meters, begin, phrase
        self.first = first
        self.entry = entry = begin + meters.beat_of_bar(first)
        self.seats = tuple(seats)
        self._seed = seed & (2**64 - 1)
        self._by_layer = sorted(self.seats, key=lambda seat: seat.low)
        self.form = Form(spec.form, seed, controls or {}, first)
        stated = spec.mood is not None and before is None
        self.moods: MoodLine = MoodLine(spec.mood or NEUTRAL)
        self._own = frozenset(NAMES).intersection(controls or ())
        if moods is not None:
            self.moods = moods.step(self.moods.at(entry), entry) if stated else moods
        self.words: Mapping[str, Mood] = spec.words
        self._map = spec.map
        self._keys: Line[Key] = Line()
        self._themes: Line[int] = Line()
        self.planned = entry
        self.arrives = arrives
        self.leaves: Leave | None = None
        self._likeness: float | None = before._likeness if before is not None else None
        self.fixed: Mapping[str, float] = {}  # live values that nothing here decides
        self._bars: dict[int, Bar] = {}
        self._feels: dict[tuple[str, int], Feel] = {}
        if before is not None:
            self._take_over(before)

    def _take_over(self, before: Conductor) -> None:
        """Go on in the key, with the theme, and where the form was, as far as they are here too."""
        entry, key = self.entry, before._keys.at(self.entry)
        if key is not None and self.key == before.key:
            self._keys.begin(entry, key)
        if self.spec.themes == before.spec.themes:
            self._themes.begin(entry, before._themes.at(entry) or 0)
        if self.first > 1:
            self.form.carry_on(before.form)

    def bar_to_come(self, beat: Fraction) -> int:
        """The number of the bar that begins at a beat, or of the next one where none does."""
        place = self.meters.bar_at(beat - self.begin)
        return place.bar + (place.position > 0)

    # What is decided ---------------------------------------------------------------------

    def bar(self, number: int) -> Bar:
        """A bar, from 1, decided now if it was not before."""
        found = self._bars.get(number)
        if found is None:
            first = min(self._bars, default=self.first)
            if number < first:  # an upbeat, or longer ago than anybody should ask
                return self.bar(first)
            last = max(self._bars, default=self.first - 1)
            for missing in range(last + 1, number + 1):
                found = self._decide(missing, self._bars.get(missing - 1))
                self._bars[missing] = found
            assert found is not None
        return found

    def bar_before(self, beat: Fraction) -> Bar:
        """The bar that ends at a beat or has it within."""
        place = self.meters.bar_at(beat - self.begin)
        return self.bar(max(place.bar - (place.position == 0), self.first))

    def opens(self, unit: str, number: int) -> bool:
        """Whether a "phrase" or a "section" begins with a bar, as far as is known now."""
        section = self.form.at(number)
        return number == section.bar or (unit == "phrase" and self._phrase(number, section)[0] == 1)

    def next_section(self, number: int) -> Section | None:
        """The section after that of a bar, where it is known to come and not too far away."""
        section = self.form.at(number)
        if section.after - number > FARTHEST:
            return None
        after = self.form.at(section.after)
        return after if after.bar == section.after else None

    def cues(self, number: int) -> list[str]:
        """The names that the scene's author has given to a bar."""
        section = self.form.at(number)
        place = number - section.bar + 1
        return [name for name, bars in section.spec.cues.items() if place in bars]

    def _decide(self, number: int, before: Bar | None) -> Bar:
        since = self.meters.beat_of_bar(number)
        beat, end = self.begin + since, self.begin + self.meters.beat_of_bar(number + 1)
        section = self.form.at(number)
        turns = self._turns(number, section)
        phrase_bar, phrase_left = self._phrase(number, section)
        mood = self.moods.at(beat)
        key = self._key(beat, section, mood, before, phrase_bar == 1)
        if before is not None and key == before.key:
            key = before.key  # the same value, so that who remembers it need not compare
        phrase_mood = mood if before is None or phrase_bar == 1 else before.phrase_mood
        cues = self._map.cues(mood, self._home(beat))
        raw = self._energy(section, number, turns)
        energy = drawn(raw, cues.ensemble)
        aim, wanted = self._playing(raw, energy, mood, section, before, phrase_bar == 1, turns)
        values = {
            "valence": mood.valence,
            "arousal": mood.arousal,
            "tension": mood.tension,
            "energy": energy,
            "phrase_bar": float(phrase_bar),
            "phrase_left": float(phrase_left),
            "section_bar": float(number - section.bar + 1),
            "section_left": float(min(section.after - number, 1_000_000)),
            "section_number": float(section.number),
            "visit": float(section.visit),
            "theme": float(self._theme(beat, section)),
            "likeness": self._alike(section),
            "fill": float(any(turn.bar - number <= turn.rule.fill for turn in turns)),
            **{f"in_{name}": float(name == section.spec.name) for name in self.spec.form.sections},
        }
        if self._own and self.moods.still == NEUTRAL:
            for name in self._own:  # until somebody speaks of mood, the scene's own controls do
                del values[name]
        values |= self.fixed
        pauses = [turn.rule.pause for turn in turns if turn.bar == number + 1]
        last = self._left(number, section) == 1
        bar = Bar(
            number, beat, end, section, phrase_bar, phrase_left,
            key, mood, phrase_mood, cues, energy,
            self._thinned(wanted, number, section, turns), values,
            pace=(self._pace(number, section, turns, 0), self._pace(number, section, turns, 1)),
            pause=min(max(pauses, default=Fraction(0)), end - beat),
            last=last, held=last or self._closes(number, section) == 1, wanted=wanted, aim=aim,
            shades=self._shades(mood, before, phrase_bar == 1),
        )  # fmt: skip
        chords, toward = self._bridge(bar, turns)
        return bar._replace(bridge=chords, toward=toward)

    def _turns(self, number: int, section: Section) -> list[Turn]:
        """The changes after a bar that it has to lead to."""
        turns, between = [], self.spec.transitions.between
        name, leaves = section.spec.name, self.leaves
        if section.after - number <= LOOK:
            after = self.form.at(section.after)
            if after.bar == section.after:
                turns.append(Turn(section.after, between(name, after.spec.name), after))
        line = self.begin + self.meters.beat_of_bar(number)
        if (found := self._keys.after(line)) is not None:
            bar = self.meters.bar_at(found.beat - self.begin).bar
            turns.append(Turn(bar, between(name, "key")))
        if leaves is not None and number < leaves.bar:
            turns = [turn for turn in turns if turn.bar < leaves.bar]
            turns.append(Turn(leaves.bar, leaves.rule, key=leaves.key))
        return [turn for turn in turns if number < turn.bar <= number + turn.rule.longest]

    def _left(self, number: int, section: Section) -> int:
        """Bars until the piece ends, the given one included; a large number where it goes on."""
        if not self.spec.form.ends or section.after - number > CLOSING:
            return LOOK
        self.form.at(section.after)
        ended = self.form.ended_at
        return LOOK if ended is None or ended > section.after else ended - number

    def _closes(self, number: int, section: Section) -> int:
        """Bars left of a section that closes and comes to its own end; else a large number."""
        spec, left = section.spec, section.after - number
        whole = section.bars + section.skipped >= spec.bars >= CLOSING
        if not (spec.closes and whole and left <= CLOSING) or self._left_at(section.after):
            return LOOK
        again = spec.repeats and self.form.at(section.after).spec is spec
        return LOOK if again else left

    @property
    def ends(self) -> Fraction | None:
        """The beat at which nothing is left to play, once the last section has come."""
        if not self.spec.form.ends or self.form.ended_at is None:
            return None
        return self.begin + self.meters.beat_of_bar(self.form.ended_at)

    def _pace(self, number: int, section: Section, turns: list[Turn], end: int) -> float:
        """The factor on the tempo at a bar's line (end 0) or at its end (1)."""
        here = section.spec.tempo
        for turn in turns:
            if turn.to is not None and turn.bar - number <= turn.rule.ramp:
                share = (turn.rule.ramp - (turn.bar - number) + end) / turn.rule.ramp
                here += (turn.to.spec.tempo - here) * share
        left = self._left(number, section)
        if left <= CLOSING:  # as runners come to a halt: Friberg & Sundberg (1999)
            place = min((CLOSING - left + end) / CLOSING, 1.0)
            here *= (1.0 - (1.0 - HALT**BEND) * place) ** (1.0 / BEND)
        return here

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
        current = None
        if before is not None and self._home(beat) == self._home(before.beat):
            if not may_turn:
                return Key(key.tonic, before.key.mode)
            current = before.key.mode
        return Key(key.tonic, self._map.mode(mood, current, key.mode))

    def _home(self, beat: Fraction) -> str:
        return (self._keys.at(beat) or self.key).mode

    def _energy(self, section: Section, number: int, turns: list[Turn]) -> float:
        """The section's own energy in a bar, built up to what comes."""
        energy = section.energy(number)
        for turn in turns:
            left = turn.bar - number
            if left <= turn.rule.build:
                there = max(energy, turn.to.energy(turn.bar) if turn.to is not None else 1.0)
                energy += (there - energy) * (turn.rule.build - left + 1) / (turn.rule.build + 1)
        return energy

    def _shades(self, mood: Mood, before: Bar | None, may_turn: bool) -> Mapping[str, int]:
        """Which of its programs each part has; it changes at phrase lines, where clearly asked."""
        if before is not None and not may_turn:
            return before.shades
        old = before.shades if before is not None else {}
        return {
            seat.name: self._map.shade(mood, seat.shades, seat.role, old.get(seat.name))
            for seat in self.seats
            if seat.shades > 1
        }

    def _playing(
        self,
        raw: float,
        energy: float,
        mood: Mood,
        section: Section,
        before: Bar | None,
        may_turn: bool,
        turns: list[Turn],
    ) -> tuple[frozenset[str], frozenset[str]]:
        """Whom the energy calls in, and who of them plays; somebody always does.

        Layers come and go at phrases or when energy jumps and, but where a section begins or
        is built up to, a few at each bar line.
        """
        only = section.spec.only
        seats = [seat for seat in self.seats if not only or seat.name in only] or [*self.seats]
        free = before is None or before.section.number != section.number
        free = free or any(turn.rule.build for turn in turns)
        if before is not None and not (may_turn or free):
            jumps = abs(energy - before.energy) >= JUMP
            if before.aim == before.wanted and not jumps:
                return before.aim, before.wanted
        was = before.wanted if before is not None else frozenset()

        def distance(seat: Seat) -> float:
            leeway = LEEWAY if seat.name in was else 0.0
            here = drawn(raw, self._map.for_role("ensemble", seat.role, mood))
            return max(seat.low - leeway - here, here - seat.high - leeway, 0.0)

        aim = frozenset(seat.name for seat in seats if not distance(seat))
        if not aim and seats:
            nearest = min(distance(seat) for seat in seats)
            aim = frozenset(seat.name for seat in seats if distance(seat) == nearest)
        return aim, aim if free else self._nearer(was, aim)

    def _nearer(self, was: frozenset[str], aim: frozenset[str]) -> frozenset[str]:
        """Layers on the way to others: of high energy they leave first, of low they enter first."""
        order = [seat.name for seat in self._by_layer]
        entering = [name for name in order if name in aim - was][:MOST_MOVES]
        leaving = [name for name in reversed(order) if name in was - aim]
        return (was | {*entering}) - {*leaving[: MOST_MOVES - len(entering)]}

    def _thinned(
        self, wanted: frozenset[str], number: int, section: Section, turns: list[Turn]
    ) -> frozenset[str]:
        """Those of the layers that play while one texture gives way to another.

        Before another section those leave that it does not have; after it, those enter that the
        one before had not. The layers of high energy leave first and enter last.
        """
        for turn in turns:
            if turn.to is not None and (left := turn.bar - number) <= turn.rule.thin:
                stay = self._members(turn.to.spec.only, turn.to.energy(turn.bar))
                wanted = self._fewer(wanted, stay, left, turn.rule.thin)
        began = max(section.bar, self.first)
        played = number - began
        rule = self._entered(section) if played < LOOK else None
        if rule is not None and played < rule.enter:
            stay = frozenset[str]()
            if began > self.first:
                old = self.form.at(began - 1)
                stay = self._members(old.spec.only, old.energy(began - 1))
            wanted = self._fewer(wanted, stay, played + 1, rule.enter)
        return wanted

    def _entered(self, section: Section) -> Rule | None:
        """How this section was led into."""
        if section.bar > self.first:
            old = self.form.at(section.bar - 1).spec.name
            return self.spec.transitions.between(old, section.spec.name)
        return self.arrives

    def _members(self, only: frozenset[str], energy: float) -> frozenset[str]:
        return frozenset(
            seat.name
            for seat in self.seats
            if (not only or seat.name in only) and seat.low <= energy <= seat.high
        )

    def _fewer(
        self, wanted: frozenset[str], stay: frozenset[str], left: int, thin: int
    ) -> frozenset[str]:
        """As many of the layers as a bar has that lies so many bars away from where they change."""
        going = [seat.name for seat in self._by_layer if seat.name in wanted - stay]
        keep = len(going) * left // (thin + 1)
        if not wanted & stay:
            keep = max(keep, 1)
        return wanted - frozenset(going[keep:])

    def withdrawn(self, part: str, bar: Bar, beat: Fraction) -> bool:
        """Whether a part that would play has left already, as another scene is to take over.

        Where there is less than a bar for it, layers leave beat by beat.
        """
        leaves = self.leaves
        if leaves is None or beat < leaves.since or bar.number >= leaves.bar:
            return False
        left, thin = leaves.bar - bar.number, leaves.rule.thin
        if bar.beat < leaves.since:
            if left > 1 or not thin:
                return False
            unit = self._meter(bar.number).beat_length
            left, thin = (int(-((at - bar.end) // unit)) for at in (beat, leaves.since))
        if left > thin:
            return False
        return part not in self._fewer(bar.playing, frozenset(), left, thin)

    def fills(self, beat: Fraction) -> bool:
        """Whether a bar that was decided already is to be filled from here on, late as it is."""
        leaves = self.leaves
        if leaves is None or not leaves.rule.fill or beat < leaves.unplanned:
            return False
        line = self.begin + self.meters.beat_of_bar(leaves.bar)
        return beat < line and self.meters.bar_at(beat - self.begin).bar == leaves.bar - 1

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

    def _bridge(self, bar: Bar, turns: list[Turn]) -> tuple[tuple[Planned, ...], Key | None]:
        """Chords that lead into another key, and which, or to an end."""
        left = min(self._left(bar.number, bar.section), self._closes(bar.number, bar.section))
        if 1 <= left <= CLOSING:
            first = max(bar.number + left - CLOSING, bar.section.bar)
            return self._slice(bar, first, bar.number + left, None), None
        for turn in turns:
            if turn.bar - bar.number <= turn.rule.bridge:
                key = turn.key or self._next_key(turn.bar, bar, turn.to)
                if key != bar.key:
                    return self._slice(bar, turn.bar - turn.rule.bridge, turn.bar, key), key
        after = bar.number + 1
        if bar.phrase_left == 1 and self.form.at(after).bar != after and not self._left_at(after):
            key = self._next_key(after, bar)  # its mode may follow the mood there
            rule = self.spec.transitions.between(bar.section.spec.name, "key")
            if key != bar.key and rule.bridge:
                return self._slice(bar, bar.number, after, key), key
        return (), None

    def _left_at(self, number: int) -> bool:
        return self.leaves is not None and self.leaves.bar == number

    def _next_key(self, number: int, before: Bar, section: Section | None = None) -> Key:
        beat = self.begin + self.meters.beat_of_bar(number)
        section = section or self.form.at(number)
        turns = self._phrase(number, section)[0] == 1
        return self._key(beat, section, self.moods.at(beat), before, turns)

    def _slice(self, bar: Bar, first: int, after: int, key: Key | None) -> tuple[Planned, ...]:
        """What a bar has of the chords that fill bars, into a key or to the end (None)."""
        line = self.begin + self.meters.beat_of_bar(max(first, 1))
        beats = self.begin + self.meters.beat_of_bar(after) - line
        meter = self._meter(after - 1)
        if key is None:
            chords = cadence(bar.key, "full", beats, meter)
        else:
            chords = bridge(bar.key, key, beats, meter)
        return tuple(
            each._replace(at=line + each.at - bar.beat)
            for each in chords
            if bar.beat <= line + each.at < bar.end
        )

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
        came = self._bars.get(bar.number - 1)
        if free and came is not None and came.bridge and beat == bar.beat and not bar.held:
            return roman("ton", bar.key), f"arrival in {bar.key.name}"
        if free and self.spec.enrich:
            # Now more, now less: what grows slowly over the moods is heard in ever more bars.
            less = 0.5 + noise(self._seed, bar.number)
            wide, rough = bar.cues.extension * less, bar.cues.dissonance * less
            return enrich(chord, bar.key, wide, rough, bar.number), ""
        return chord, ""

    def scale(self, bar: Bar, beat: Fraction) -> Key:
        """The key whose degrees are played at a beat: the bar's, bent to the chord of a bridge."""
        if bar.bridge:
            here = [step for step in bar.bridge if step.at <= beat - bar.beat]
            if here:
                return bent(bar.key, here[-1].chord, bar.toward)
        return bar.key

    def holds(self, bar: Bar, beat: Fraction) -> str:
        """Why the chord before goes on where another would begin; "" where it does not.

        Never where a section, a phrase or a key begins, nor where chords lead over.
        Law: a place that is held is held with any lower harmonic rhythm, too.
        """
        factor, since = bar.cues.harmonic_rhythm, beat - bar.beat
        if factor >= 1 or not self._pliant(bar):
            return ""
        if not since and (bar.phrase_bar == 1 or bar.number == bar.section.bar):
            return ""
        share = HELD[0 if since else 1 + bar.phrase_bar % 2] * (1.0 - factor)
        return f"held: harmonic rhythm {factor:.2f}" if self._lot(bar, since) < share else ""

    def alike(self, chord: Chord, other: Chord) -> bool:
        """Whether two chords are about as consonant, and one may sound in the other's place."""
        return abs(dissonance(chord) - dissonance(other)) <= ALIKE

    def divides(self, bar: Bar, beat: Fraction, length: Fraction) -> Fraction | None:
        """How long a chord stays alone before one leads on to the next; None for its whole length.

        Only chords of a bar and more are divided, in their second half.
        Law: a chord that is divided is divided with any higher harmonic rhythm, too.
        """
        meter = self._meter(bar.number)
        factor, since = bar.cues.harmonic_rhythm, beat - bar.beat
        if factor <= 1 or length < meter.length or not self._pliant(bar):
            return None
        if self._lot(bar, since) >= DIVIDED * (factor - 1.0):
            return None
        unit = meter.beat_length
        beats = range(-(-length // (2 * unit)), -(-length // unit))
        return max(
            (number * unit for number in beats),
            key=lambda at: (meter.weight((since + at) % meter.length), -at),
            default=None,
        )

    def leading(self, bar: Bar, chord: Chord, after: Chord) -> tuple[str, str] | None:
        """A word for a chord that leads from one to the next within a bar's key, and why."""
        word = passing(chord, after, bar.key, bar.mood.tension >= APPLIED)
        factor = bar.cues.harmonic_rhythm
        if word is None:
            return None
        return word, f"passing to {after.name}: harmonic rhythm {factor:.2f}"

    def _pliant(self, bar: Bar) -> bool:
        """Whether mood may move the chords of a bar: it is in no change of key, and no end."""
        if bar.bridge or bar.held:
            return False
        before = self._bars.get(bar.number - 1)
        return before is None or (before.key == bar.key and not before.bridge)

    def _lot(self, bar: Bar, since: Fraction) -> float:
        return noise(self._seed ^ _PLACES, bar.number << 16 | int(since * 64) & 0xFFFF)

    def brightness(self, role: str, beat: Fraction) -> int:
        """What a role's controller for brightness stands at, 0 to 127; 64 is the sound as it is."""
        return int(127 * self._map.for_role("brightness", role, self.moods.at(beat)) + 0.5)

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
        (low, high), length = bar.pace, bar.end - bar.beat
        if low != high:
            low += (high - low) * float((beat - bar.beat) / length)
        return self._map.cues(self.moods.evenly_at(beat)).tempo * low

    def strikes(self, after: Fraction, until: Fraction) -> list[tuple[Fraction, Planned | None]]:
        """Beats from `after` on and before `until` at which the harmony must turn, and to what.

        None where another key begins, in which whatever chord it is means another one.
        """
        number = self.meters.bar_at(max(after, self.entry) - self.begin).bar
        found: list[tuple[Fraction, Planned | None]] = []
        while self.begin + self.meters.beat_of_bar(number) < until:
            bar = self.bar(number)
            turns = number > self.first and bar.key != self.bar(number - 1).key
            if turns and not (bar.bridge and not bar.bridge[0].at):
                found.append((bar.beat, None))
            found += [(bar.beat + each.at, each) for each in bar.bridge]
            number += 1
        return [each for each in found if after <= each[0] < until]

    def changeable(self, beat: Fraction) -> int:
        """The first bar that a change from a beat on can still make another one."""
        return self.bar_to_come(max(beat, self.planned))

    def other_key(self, asked: Key, number: int) -> str:
        """Why a key that was asked for from a bar on sounds as another one; "" if it does not."""
        bar = self.bar(number)
        key, section = bar.key, bar.section.spec
        why = []
        if key.tonic != asked.tonic:
            why.append(f"section {section.name} lies {section.up} semitones up")
        if key.mode != asked.mode:
            whose = f"section {section.name} is" if section.mode else "the mood has chosen"
            why.append(f"{whose} {key.mode}")
        return f"{key.name}: {', '.join(why)}" if why else ""

    def explain(self, cue: str, beat: Fraction, base: float, role: str = "") -> str:
        """Why a cue is as it is at a beat. base: the tempo without mood, BPM. Errors: Mistake."""
        if cue not in Cues._fields:
            raise Mistake("cue", unknown("cue", cue, Cues._fields))
        if role and role not in ROLES:
            raise Mistake("role", unknown("role", role, ROLES))
        bar = self.bar(self.meters.bar_at(beat - self.begin).bar)
        if cue == "mode" and not self.spec.modes:
            return f"{bar.key.mode} because the scene keeps its own mode"
        said = base if cue == "tempo" else None
        home = self._home(beat)
        mood = self.moods.evenly_at(beat) if cue == "tempo" else self.moods.at(beat)
        why = self._map.explain(cue, mood, said, role, home, bar.key.mode)
        return f"{why}{self._effect(cue, bar, beat, role)}"

    def _effect(self, cue: str, bar: Bar, beat: Fraction, role: str) -> str:
        """What becomes of a cue in this scene, where its value alone does not say it."""
        seats = [seat for seat in self.seats if not role or seat.role == role]
        if cue == "brightness":
            names = ", ".join(seat.name for seat in seats if seat.bright)
            value = self.brightness(role, beat)
            return f"; its controller stands at {value} for {names}" if names else _UNHEARD[cue]
        if cue == "timbre":
            rows = [seat for seat in seats if seat.name in bar.shades]
            each = (f"{bar.shades[s.name] + 1} of {s.shades} for {s.name}" for s in rows)
            line = bar.number - bar.phrase_bar + 1
            return f"; chosen at bar {line}: {', '.join(each)}" if rows else _UNHEARD[cue]
        if cue == "ensemble":
            raw = self._energy(bar.section, bar.number, self._turns(bar.number, bar.section))
            playing = ", ".join(seat.name for seat in seats if seat.name in bar.playing)
            drawn_to = f"; energy {raw:.2f} becomes {bar.energy:.2f}"
            return f"{drawn_to}, at which play: {playing or 'none of these'}"
        if cue == "harmonic_rhythm" and bar.cues.harmonic_rhythm != 1:
            more = bar.cues.harmonic_rhythm > 1
            return "; chords lead on to others" if more else "; weaker chords are held back"
        return ""

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
        self._anew()

    def slide(self, mood: Mood, at: Fraction, speed: float) -> None:
        """Move to this mood at so many units of distance a bar."""
        bar = self.meters.bar_at(at - self.begin).meter.length
        self.moods = self.moods.slide(mood, at, speed, bar)
        self._anew()

    def tighten(self, tension: float, at: Fraction, bars: float = 0.0) -> None:
        """Have this tension `bars` after a beat, in a mood that goes on as it was going."""
        self.moods = self.moods.tighten(tension, at, self.arrival(at, bars))
        self._anew()

    def change_key(self, key: Key, at: Fraction) -> None:
        """Another key from this beat on, a bar line."""
        self._keys.begin(at, key)
        self._anew()

    def go(self, name: str, at: Fraction) -> None:
        """The section of this name begins at this beat, a bar line. Errors: Mistake."""
        if name not in self.spec.form.sections:
            raise Mistake("", unknown("section", name, self.spec.form.sections))
        self.form.go(name, self.meters.bar_at(at - self.begin).bar)
        self._anew()

    def leave(self, at: Fraction, rule: Rule, key: Key, since: Fraction) -> None:
        """Another scene takes over at a beat; `since` is the first at which this may give way."""
        number = self.meters.bar_at(at - self.begin).bar
        since = self.begin + self.meters.next_beat(since - self.begin)
        self.leaves = Leave(number, rule, key, since, self.planned)
        self._anew()

    def stay(self) -> None:
        """No other scene takes over after all."""
        self.leaves = None
        self._anew()

    def state(self, name: str, at: Fraction) -> None:
        """Another theme from this beat on. Errors: Mistake."""
        if name not in self.spec.themes:
            raise Mistake("", unknown("theme", name, self.spec.themes))
        self._themes.begin(at, self.spec.themes.index(name) + 1)
        self._anew()

    def know(self, themes: tuple[str, ...]) -> None:
        """These are the themes; those there were before keep their places."""
        if themes != self.spec.themes:
            self.spec = replace(self.spec, themes=themes)
            self._anew()

    def stay_near(self, likeness: float, at: Fraction) -> None:
        """How near developments stay to their theme, 0 to 1."""
        self._likeness = likeness
        self._anew()

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Which key, theme and section were asked for, in order, as far as that is remembered."""
        asked = [Asked(self.bar_to_come(beat), "key", key.name) for beat, key in self._keys]
        for beat, turn in self._themes:
            if 0 < turn <= len(self.spec.themes):
                name = self.spec.themes[turn - 1]
                asked.append(Asked(self.bar_to_come(beat), "theme", name))
        asked += [Asked(int(bar), "section", name) for bar, name in self.form.called]
        return tuple(sorted(asked, key=lambda each: each.bar))

    @property
    def likeness_asked(self) -> float | None:
        """How near developments are to stay to their theme; None where nobody has asked."""
        return self._likeness

    def ask(self, asked: Asked) -> None:
        """Have what was asked for once, from its bar on. Errors: Mistake."""
        beat = self.begin + self.meters.beat_of_bar(asked.bar)
        if asked.what == "key":
            self.change_key(parse_key(asked.name), beat)
        elif asked.what == "theme":
            self.state(asked.name, beat)
        elif asked.what == "section":
            self.go(asked.name, beat)
        else:
            raise Mistake(asked.what, "expected key, theme or section")

    def take_back(self, what: str, after: Fraction) -> None:
        """Undo what was asked for of a "mood", its "tension" alone, a "key", "theme" or "section"
        and is still to come.

        A mood that is on its way stays as it is at the beat `after`, and so does a tension.
        """
        later = after + _TICK
        if what == "tension":
            self.moods = self.moods.tighten(self.moods.at(after).tension, after, after)
        elif what == "mood":
            if self.moods.target.beat > after:
                self.moods = self.moods.without(after)
        elif what == "key":
            self._keys.retract(later)
        elif what == "theme":
            self._themes.retract(later)
        elif what == "section":
            line = self.meters.next_bar(max(later - self.begin, Fraction(0)))
            self.form.take_back(self.meters.bar_at(line).bar)
        self._anew()

    def settle(self) -> None:
        """Be where everything was heading, for a piece that begins anew."""
        self.moods = MoodLine(self.moods.target.mood)

    def heed(self, until: Fraction) -> None:
        """Let what begins before a beat stay as it is."""
        self.bar(self.meters.bar_at(max(until - self.begin, Fraction(0))).bar)
        self.planned = max(self.planned, until)

    def forget(self, before: Fraction) -> None:
        """What begins before a beat is played: it stays as it is, and most of it is forgotten."""
        self.planned = max(self.planned, before)
        self._keys.forget(before)
        self._themes.forget(before)
        if len(self._bars) > 2 * _KEPT:
            here = self.meters.bar_at(before - self.begin).bar - _KEPT
            self.form.forget(here)
            for number in [each for each in self._bars if each < here]:
                del self._bars[number]

    def _anew(self) -> None:
        """Decide anew what is not played yet."""
        self._feels.clear()
        since = self.planned
        for number in [each for each, bar in self._bars.items() if bar.beat >= since]:
            del self._bars[number]
        last = max(self._bars, default=0)
        if last:
            bar = self._bars[last]
            fresh, toward = self._bridge(bar, self._turns(last, self.form.at(last)))
            played = tuple(each for each in bar.bridge if bar.beat + each.at < since)
            to_come = tuple(each for each in fresh if bar.beat + each.at >= since)
            if toward is not None and not played and not to_come:
                # Too late for all of it: its last chord comes on the first beat that is left.
                line = self.begin + self.meters.next_beat(since - self.begin) - bar.beat
                left = bar.end - bar.beat - line
                to_come = tuple(e._replace(at=line, length=left) for e in fresh[-1:] if left > 0)
            toward = toward if to_come else bar.toward
            self._bars[last] = bar._replace(bridge=played + to_come, toward=toward)


#: What is said of a cue that nothing in the scene follows.
_UNHEARD = {
    "brightness": "; no part has a controller for it: give it brightness = true",
    "timbre": "; no part has a choice: give it program = [SOFT, BRIGHT]",
}


def drawn(energy: float, ensemble: float) -> float:
    """Energy drawn down to 0 by an ensemble below 0.5, up to 1 by one above."""
    drive = 2.0 * ensemble - 1.0
    return energy + (1.0 - energy if drive > 0 else energy) * drive


_STEPS = (0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6)  # letters for each number of semitones up


def raised(key: Key, semitones: int) -> Key:
    """The same mode on a tonic so many semitones higher, spelled with few accidentals."""
    steps = _STEPS[semitones % 12]
    tonic = key.tonic.transpose(steps, semitones % 12)
    if abs(tonic.alteration) > 1 or (tonic.alteration and abs(key.tonic.alteration) == 1):
        other = key.tonic.transpose(steps + (1 if tonic.alteration > 0 else -1), semitones % 12)
        tonic = min(tonic, other, key=lambda each: abs(each.alteration))
    return Key(tonic, key.mode)
