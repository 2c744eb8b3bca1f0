"""A part: one engine's stream, read in the musical context and laid out on exact beats."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import NamedTuple

from engines.base import (
    THINKING,
    Controls,
    Engine,
    Fragment,
    Heard,
    Held,
    Origin,
    Praise,
    Sound,
    Symbol,
)
from engines.repertoire import Repertoire
from engines.taste import Teachable
from server.conductor.conductor import Bar
from server.music.chord import Chord, approach, chord_tone, colours, redressed, roman, voice
from server.music.counterpoint import place
from server.music.groove import Groove, noise
from server.music.line import Begun
from server.music.note import Say, Step, Tone, Turn
from server.music.scale import Degree, Key

from .reading import (
    Absolute,
    Approach,
    Atom,
    ChordTone,
    Cited,
    Colour,
    Drum,
    Emission,
    Harmony,
    Hit,
    Reader,
    Reading,
)
from .setting import Setting

SILENT_SYMBOLS = 10_000  # symbols without a meaning that a part swallows at one beat
CROWD = 10_000  # symbols and tones within one quarter note; an engine with more has run wild
MOST_SOUNDS = 20_000  # of fragments, planned and still to come
MOST_TONES = 1024  # in one step
FAILURES, FAILURE_BEATS = 5, 64  # so many errors within so many beats silence a part
UNHEARD = 1024  # steps of other parts that wait to be told to an engine
_BENT = 2.5  # semitones that a fitted note may be further away to keep the line's direction
_APART = 5  # semitones that the voices of a pad need each to be led by short ways
_DEEP = 45  # MIDI number below which nobody is sent to make room
_NEAR = 12  # semitones within which a melody finds another tone
LEANING = 0.3  # share of what may lean on the next note that does, in a mood without dissonance
STRONG = 0.75  # weight of bar lines and groups, where `fit = "chord"` holds
FORESIGHT, FORESEEN = 16, 64  # quarter notes, and steps, that the next chord is looked for
LONGEST_STEP = 4096  # quarter notes that anything lasts, or waits within a fragment
_FINEST = 10**6  # denominator of a length that an engine hands out
_QUARTER = Fraction(1)
_SIXTEENTH = Fraction(1, 4)
_TICK = Fraction(1, 2**20)
_PLAIN = 0.8  # velocity of a plain note in a fragment
#: Roles whose degrees move by `_lifted`; scale steps and about how many semitones they are.
MELODIC = frozenset({"melody", "counter", "lead"})
ACCOMPANYING = frozenset({"pad", "comp", "arp"})  # who make room for a tune that sinks
TOPMOST = frozenset({"melody", "lead"})  # of which the ear follows the one on top
_LIFTS = ((0, 0.0), (2, 3.5), (5, 8.5), (7, 12.0))
_WANTING = ("d", "n5", "n7")  # how words for chords begin that want to be resolved
_GOLDEN = (5**0.5 - 1) / 2
_REST = Emission(THINKING, Hit(()), None)


class Shade(NamedTuple):
    """A sound of a MIDI instrument, as it is asked for. program, bank: from 0, or None."""

    program: int | None
    bank: int | None = None


@dataclass(frozen=True)
class PartSpec:
    """A part as the scene describes it; every value already checked. Lengths in quarter notes.

    grid: where symbols land, or None where only their own note values say so.
    octave: 4 is as written, 5 an octave higher.  low, high: MIDI numbers pitches stay within.
    nearest: place each pitch in the octave next to the one before.  fit: "key", "chord" or "".
    gate: sounding share of a step, 0 to 2.  accents: 0 (none) to 1 (upbeats silent).
    curve: exponent on velocity, below 1 louder, above 1 softer.  swell: how much softer a
    phrase begins and ends, 0 to 1.  listens: parts whose notes the engine is told.
    role: what the part is in the ensemble, one of ROLES.  layer: the energies, 0 to 1, between
    which it plays.  input: the MIDI input whose keys sound through it, at once or, with
    `quantise`, on its lines.
    program, bank: of MIDI, from 0.  shades: several instead, soft to bright, of which the mood
    chooses.  brightness: the controller that follows the mood's, or None.
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
    curve: float = 1.0
    swell: float = 0.0
    swing: float = 0.5
    swing_unit: Fraction = Fraction(1, 2)
    groove: Groove | None = None
    human_time: float = 0.0
    human_velocity: float = 0.0
    channel: int = 1
    program: int | None = None
    bank: int | None = None
    outputs: tuple[str, ...] = ()
    sound: str = ""
    level: float = 1.0
    density: float = 1.0
    mute: bool = False
    enters: int = 1
    listens: tuple[str, ...] = ()
    role: str = ""
    layer: tuple[float, float] = (0.0, 1.0)
    input: str = ""
    quantise: Fraction | None = None
    shades: tuple[Shade, ...] = ()
    brightness: int | None = None

    def shade(self, number: int) -> Shade:
        """The program and bank that it has where the mood chooses this one, from 0."""
        if not self.shades:
            return Shade(self.program, self.bank)
        return self.shades[min(number, len(self.shades) - 1)]


class Trouble(NamedTuple):
    """Something went wrong in a part, and what was done about it. beat: where it happened."""

    part: str
    beat: Fraction
    text: str


class _Onset(NamedTuple):
    """What of a fragment begins together, on its way."""

    beat: Fraction
    order: int
    symbol: Symbol
    sounds: tuple[Sound, ...]


class _Stand(NamedTuple):
    """A part's register in a bar. lift: of a melody, in scale steps and octaves."""

    low: int
    high: int
    lift: tuple[int, int]


class Part:
    """Lays an engine's symbols out in time, step by step, as far as asked and no further.

    Laws: the steps do not depend on how the asking is divided, nor on any other part than the
    one that leads the harmony and those it listens to (its `Agenda` then has melodies that fit
    make way for the bass); they come in the order of their beats; whatever the engine raises or
    hands out, `plan` returns.
    """

    def __init__(
        self,
        spec: PartSpec,
        setting: Setting,
        next_id: Callable[[], int],
        begin: Fraction | None = None,
        stream: str = "",
    ) -> None:
        """begin: the beat where it and its grid begin, if not the scene's.  stream: of chance."""
        self.spec, self.setting = spec, setting
        entry = setting.beat_of_bar(max(spec.enters, setting.first))
        self.cursor = entry if begin is None else begin
        self._origin = setting.entry if begin is None else begin  # of its grid
        self._chance = stream or spec.name
        self.leads = False  # whether its chords are the scene's; its agenda decides
        self.controls = Controls()  # what the engine may read and is told
        self.own: dict[str, float] = {}  # live values that nobody else reads
        self._next_id = next_id
        self._number = 0
        try:
            alphabet = spec.engine.alphabet()
        except Exception:  # its stream will tell what is wrong
            alphabet = None
        self.has_chords = spec.reading.leads(alphabet)
        # An engine whose alphabet is open says itself that bare note values will come.
        self._closes = getattr(spec.engine, "closes", False) or spec.reading.closes(alphabet)
        self._grid = spec.grid or Fraction(1)
        self._degrees: dict[Degree, tuple[int, str]] = {}  # MIDI numbers …
        self._degrees_in = setting.key  # … in this key
        self._heard: deque[tuple[Fraction, Heard | Held, bool]] = deque(maxlen=UNHEARD)
        self._repertoire: Repertoire | None = None
        self._ready: deque[Emission] = deque()
        self._onsets: list[_Onset] = []
        self._last_pitch: int | None = None
        self._fitting: tuple[int, int] | None = None  # the last pitch before and after its fit
        self._last_voicing: tuple[int, ...] | None = None
        self._stands_in: Bar | None = None  # the bar of …
        self._standing = _Stand(spec.low, spec.high, (0, 0))  # … this
        self._failed: deque[Fraction] = deque(maxlen=FAILURES)
        self._crowd, self._calm_at = 0, self.cursor + _QUARTER  # counted to there at least
        self._held: tuple[Symbol, Harmony, float] | None = None  # the chord it handed out last
        self._sounds = False  # whether it sounds rather than rests
        self._turned = self.cursor  # up to here its chords have followed the conductor
        self._into: Chord | None = None  # while a note of the chord to come is thought of
        self._onward = self.cursor  # where what is laid out ends, and the next begins
        self._on_grid: Fraction | None = None  # the cursor, where it is known to be on the grid
        self._starts = 0
        self._ended = False
        self._begin()

    def _begin(self) -> None:
        """Have a fresh stream, asked for when the first symbol is."""
        self._starts += 1
        again = f"/{self._starts}" if self._starts > 1 else ""
        rng = Random(f"{self.setting.seed}/{self._chance}{again}")
        self._stream = _symbols(self.spec.engine, rng, self.controls)
        if self._repertoire is not None:
            self.controls.news()  # is in it already
            self.controls.past = self._repertoire.past
        self._reader = Reader(
            self.spec.reading, self._closes, self.spec.together, self.controls.values
        )

    @property
    def finished(self) -> bool:
        """Whether no step will come any more."""
        return self._ended and not self._ready and not self._onsets

    def plan(self, until: Fraction) -> tuple[list[Step], list[Trouble]]:
        """The next steps, all that begin before this beat, and what went wrong on the way."""
        steps: list[Step] = []
        troubles: list[Trouble] = []
        while self._ready or not self._ended:
            try:
                if self.cursor is not self._on_grid:
                    self._snap()
                if self.leads:
                    self._turn(min(self.cursor, until), steps)
                if self.cursor >= until:
                    break
                if not self._ready:
                    self._pull(self.cursor)
                if self._ready:
                    self._sound(self.cursor, steps)
                    self._lay(self._ready.popleft(), steps)
            except Exception as error:
                # An engine may be anybody's code: whatever it does, the others play on.
                troubles.append(self._fail(error))
        while self._onsets and self._onsets[0].beat < until:
            try:
                self._sound(self._onsets[0].beat, steps)
            except Exception as error:
                troubles.append(self._fail(error))
        if self.leads:
            if self._ended:
                self._turn(until, steps)
            try:
                self._coming(self.cursor + FORESIGHT)
            except Exception as error:
                troubles.append(self._fail(error))
        return steps, troubles

    def _foresee(
        self,
        wanted: Callable[[Emission], object],
        until: Fraction,
        since: Fraction | None = None,
    ) -> tuple[Fraction, Emission] | None:
        """The next emission that is wanted and the beat it lands on, pulled if need be.

        since: where the next one begins, if not at the cursor.
        Nothing past `until` is asked of the engine, nor more than a part can foresee; nothing at
        all of one that leads by what a player holds, whom nobody foresees.
        """
        at, number = self.cursor if since is None else since, 0
        if self.leads and self.spec.listens:
            until = at
        while True:
            while number >= len(self._ready):
                if self._ended or at >= until or number >= FORESEEN:
                    return None
                self._pull(self._snapped(at))
            emission = self._ready[number]
            at = self._snapped(at)
            if wanted(emission):
                return at, emission
            at += self._length(emission)
            number += 1

    def next_chord(self) -> Begun[Chord] | None:
        """The chord that this part hands out next, in the key it then finds; None if unknown."""
        found = self._coming(self.cursor)
        until = found[0] if found is not None else self.cursor
        if self._held is not None:
            for beat, _ in self.setting.conductor.strikes(self._turned, until):
                return Begun(beat, self._resolved(self._held[1], beat)[0])
        harmony = self._harmony(found[1]) if found is not None else None
        if found is None or harmony is None:
            return None
        return Begun(found[0], self._resolved(harmony, found[0])[0])

    def _coming(self, until: Fraction) -> tuple[Fraction, Emission] | None:
        """The next emission with a chord that will begin, others being held instead of it."""
        for number in range(1, FORESEEN):
            found = self._chord_ahead(number, until)
            harmony = self._harmony(found[1]) if found is not None else None
            if found is None or harmony is None:
                return None
            if not self._kept(harmony, found[0], number + 2):
                return found
        return None

    def _chord_ahead(
        self, number: int, until: Fraction, since: Fraction | None = None
    ) -> tuple[Fraction, Emission] | None:
        """The emission with a chord that is so many ahead, from 1; see `_foresee`."""
        chords = count(1)

        def wanted(emission: Emission) -> bool:
            return self._harmony(emission) is not None and next(chords) == number

        return self._foresee(wanted, until, since)

    def _closing(self, beat: Fraction, number: int, since: Fraction | None = None) -> bool:
        """Whether a chord is of the last two of its phrase.

        number: which of the chords ahead is the second after it.
        """
        bar = self.setting.bar(beat)
        end = self.setting.beat_of_bar(bar.number + bar.phrase_left)
        found = self._chord_ahead(number, end, since)
        return found is None or found[0] >= end

    def _kept(
        self, harmony: Harmony, beat: Fraction, number: int, since: Fraction | None = None
    ) -> str:
        """Why the chord until now stays where this one would begin; "" where it gives way.

        A dominant never stays, for it wants what follows. number, since: as for `_closing`.
        """
        if not self.leads or self._held is None or not harmony.free:
            return ""
        symbol, held, _ = self._held
        passes = isinstance(symbol.origin, Because)
        if passes or not held.free or held.text.startswith(_WANTING):
            return ""
        why = self.setting.conductor.holds(self.setting.bar(beat), beat)
        return why if why and not self._closing(beat, number, since) else ""

    def _divided(
        self, emission: Emission, harmony: Harmony, beat: Fraction, length: Fraction
    ) -> Fraction:
        """How long a chord stays alone; one that leads on to the next is then made ready."""
        setting, bar = self.setting, self.setting.bar(beat)
        if not harmony.free or isinstance(emission.symbol.origin, Because):
            return length
        alone = setting.conductor.divides(bar, beat, length)
        after = beat + length
        if alone is None or self._snapped(beat + alone) != beat + alone:
            return length
        if self._closing(beat, 2, after):
            return length
        found = self._chord_ahead(1, after + _TICK, after)
        following = self._harmony(found[1]) if found is not None else None
        within, there = setting.bar(beat + alone), setting.bar(after)
        if found is None or following is None or found[0] != after or within.bridge:
            return length
        if there.bridge or there.key != bar.key:
            return length
        own = harmony.chord or roman(harmony.text, bar.key)
        goal = following.chord or roman(following.text, bar.key)
        led = setting.conductor.leading(bar, own, goal)
        if led is None:
            return length
        word, why = led
        hit = Hit((Harmony(word, None),), emission.hit.velocity)
        self._ready.appendleft(Emission(Symbol(word, Because(why)), hit, length - alone))
        return alone

    def _turn(self, until: Fraction, steps: list[Step]) -> None:
        """Strike again where the conductor has the harmony turn while a chord is held."""
        if until <= self._turned:
            return
        turned, self._turned = self._turned, until
        if self._held is None:
            return
        symbol, harmony, velocity = self._held
        beats = [beat for beat, _ in self.setting.conductor.strikes(turned, until)]
        for beat, after in pairwise([*beats, max(self.cursor, until)]):
            if beat > self.setting.entry:
                self._strike(beat, after - beat, symbol, harmony, velocity, steps)

    def _strike(
        self,
        beat: Fraction,
        length: Fraction,
        symbol: Symbol,
        harmony: Harmony,
        velocity: float,
        steps: list[Step],
    ) -> None:
        chord, why = self._resolved(harmony, beat)
        self.setting.harmonies.begin(beat, chord)
        if why:
            symbol = symbol._replace(origin=Because(why))
        pitches = self._pitches(harmony, beat, chord) if self._sounds else ()
        tones = tuple(Tone(pitch, velocity, None, 0, False, name) for pitch, name in pitches)
        self._append(beat, length, tones, (), symbol, chord, steps)

    def _harmony(self, emission: Emission) -> Harmony | None:
        for atom in emission.hit.atoms:
            if isinstance(atom, Harmony):
                return atom
        return None

    def _length(self, emission: Emission) -> Fraction:
        return self._grid if emission.length is None else _exact(emission.length)

    def hear(self, steps: Iterable[Step]) -> None:
        """Steps of a part that this one listens to; its engine is told once their beat is past."""
        for step in steps:
            sounds = tuple(
                Sound(Fraction(0), tone.length or step.length, tone.pitch, _PLAIN * tone.velocity)
                for tone in step.tones
                if 0 <= tone.pitch <= 127
            )
            news = Heard(step.beat, Fragment(step.length, sounds))
            self._heard.append((step.beat, news, False))

    def listen(self, since: Fraction, news: Heard | Held) -> None:
        """What a player has played; the engine is told from this beat on."""
        self._heard.append((since, news, True))

    def remember(self, repertoire: Repertoire) -> None:
        """Keep there what a player plays to the engine, which knows what is in it already.

        Its stream must not have been asked for anything yet.
        """
        self._repertoire = repertoire
        self.controls.past = repertoire.past

    def hush(self, beat: Fraction) -> None:
        """Forget what the engine has handed out and is still to sound, and ask it anew from here.

        From the next sixteenth on, so that it does not matter how far it had been asked.
        """
        self._ready.clear()
        self._onsets.clear()
        self.cursor = beat + -(beat - self._origin) % _SIXTEENTH

    def renew(self, spec: PartSpec, at: Fraction | None = None) -> None:
        """Go on as this one, which has another engine or reading, from the next symbol on.

        Another engine begins a fresh stream; with the same one the stream goes on.  at: the beat
        up to which all is planned, where another engine begins, whatever the old one has handed
        out beyond it, and even if that had ended or failed.
        """
        begins, self.spec = spec.engine is not self.spec.engine, spec
        if begins:
            self._ready.clear()
            if at is not None:
                self._onsets.clear()
                self._failed.clear()
                self._ended = False
                enters = self.setting.beat_of_bar(max(spec.enters, self.setting.first))
                self.cursor = max(at, enters)
            self._begin()
        else:
            self._reader.reread(spec.reading)

    def fitted(self, midi: int, beat: Fraction) -> int:
        """A pitch that a hand plays as this part has it: its octave, key or chord, and range."""
        midi += 12 * (self.spec.octave - 4)
        if self.spec.fit:
            near = round(beat / _SIXTEENTH) * _SIXTEENTH
            strong = self.setting.ground(near).weight >= STRONG
            chord = self.setting.harmonies.at(beat) if strong else None
            if self.spec.fit == "chord" and chord is not None:
                classes = chord.pitch_classes
                midi = min(
                    range(midi - 6, midi + 7), key=lambda m: (m % 12 not in classes, abs(m - midi))
                )
            else:
                midi = self.setting.bar(beat).key.nearest(midi)
        return folded(midi, *self._window(beat))

    def praise(self, origin: Origin, amount: float) -> None:
        """Have the engine know that a symbol of this origin was liked (above 0) or not."""
        if isinstance(origin, Cited):  # the notes are the theme's, their order the engine's
            origin = origin.of
        taste, engine = self.controls.taste, self.spec.engine
        if taste is None or not isinstance(engine, Teachable):
            self.controls.tell(Praise(origin, amount))
            return
        taste.now = self._bars(self.cursor)
        for lesson in engine.lessons(origin):
            taste.add(lesson, amount)

    def _bars(self, beat: Fraction) -> float:
        """Bars since the timeline began, as long as the scene's first one."""
        return float(beat / self.setting.meters.bar_at(Fraction(0)).meter.length)

    def _pull(self, at: Fraction) -> None:
        """Ask the engine until something can be laid out, which will land at this beat."""
        values, setting = self.controls.values, self.setting
        ground = setting.ground(at)
        values.update(setting.values)
        values.update(setting.conductor.bar(ground.place.bar).values)
        values.update(self.own)
        values["bar"], values["beat"] = ground.place.bar, ground.at
        if setting.conductor.leaves is not None and setting.conductor.fills(at):
            values["fill"] = 1.0
        taste = self.controls.taste
        if taste is not None and taste.bent:
            taste.now = self._bars(at)
        heard = self._heard
        while heard and heard[0][0] < at:
            _, news, played = heard.popleft()
            self.controls.tell(news)
            if played and self._repertoire is not None and isinstance(news, Heard):
                self._repertoire.add(news)
        ready = self._ready
        for _ in range(SILENT_SYMBOLS):
            try:
                symbol = next(self._stream)
            except StopIteration:
                self._ended = True
                ready.extend(self._reader.rest())
                return
            if symbol is THINKING:
                ready.append(_REST)
                return
            ready.extend(self._reader.read(_named(symbol)))
            if ready:
                return
        raise Wild(f"{SILENT_SYMBOLS} symbols in a row have no meaning")

    def _fail(self, error: Exception) -> Trouble:
        """Rest for a moment and, where the engine itself has failed, start it again."""
        beat, wild = self.cursor, isinstance(error, Wild)
        self._failed.append(beat)
        what = said(error)
        self._ready.clear()
        self._onsets.clear()
        if len(self._failed) == FAILURES and beat - self._failed[0] < FAILURE_BEATS:
            self._ended = True
            what = f"silenced after {FAILURES} errors, the last: {what}"
        else:
            if not wild:
                self._begin()
                what = f"started again after {what}"
            self._ready.append(_REST)
        if self._crowd > CROWD:
            self.cursor = max(self.cursor, self._calm_at)
        return Trouble(self.spec.name, beat, what)

    def _snap(self) -> None:
        """On the grid, a symbol that would come between two lines waits for the next."""
        self.cursor = self._on_grid = self._snapped(self.cursor)

    def _snapped(self, beat: Fraction) -> Fraction:
        grid = self.spec.grid
        return beat if grid is None else beat + -(beat - self._origin) % grid

    def _count(self, beat: Fraction, more: int) -> None:
        self._crowd += more
        if self._crowd <= CROWD:
            return
        if beat >= self._calm_at:
            self._calm_at, self._crowd = beat + _QUARTER, more
        else:
            raise Wild(f"more than {CROWD} symbols and notes within a quarter note")

    def _lay(self, emission: Emission, steps: list[Step]) -> None:
        symbol, hit, _, fragment = emission
        beat = self.cursor
        self._count(beat, 1)
        length = self._length(emission)
        if fragment is not None:
            self._unfold(fragment, symbol, beat)
            self._advance(length)
            self._sound(beat, steps)
            return
        chord, harmony = None, self._harmony(emission)
        self._sounds = bool(hit.atoms)
        if harmony is not None:
            now = self.setting.harmonies.at(beat)
            why = self._kept(harmony, beat, 2, beat + length) if now is not None else ""
            if why and now is not None and self._held is not None:
                wanted, like = self._resolved(harmony, beat)[0], harmony
                symbol, harmony, _ = self._held
                chord = now
                if not self.setting.conductor.alike(now, wanted):  # a plainer dress, or a richer
                    harmony = Harmony(redressed(harmony.text, like.text), None)
                    chord = self._resolved(harmony, beat)[0]
            else:
                chord, why = self._resolved(harmony, beat)
            if self.leads:
                if not why:
                    length = self._divided(emission, harmony, beat, length)
                self.setting.harmonies.begin(beat, chord)
                self._held = symbol, harmony, hit.velocity
                self._turned = max(self._turned, beat + _TICK)
            if why:
                symbol = symbol._replace(origin=Because(why))
        velocity = hit.velocity
        self._onward = beat + length
        tones = tuple(
            [
                Tone(pitch, velocity, None, 0, isinstance(atom, Drum), spelling)
                for atom in hit.atoms
                for pitch, spelling in self._pitches(atom, beat, chord)
            ]
        )
        self._advance(length)
        acts = hit.acts[:MOST_TONES]
        self._append(beat, length, tones[:MOST_TONES], acts, symbol, chord, steps)

    def _advance(self, length: Fraction) -> None:
        self.cursor += length
        if length is self.spec.grid:
            self._on_grid = self.cursor
        if self.cursor.denominator >> 128:  # an engine that divides beats for ever
            self.cursor = self.cursor.limit_denominator(1 << 32)

    def _append(
        self,
        beat: Fraction,
        length: Fraction,
        tones: tuple[Tone, ...],
        acts: tuple[Turn | Say, ...],
        symbol: Symbol,
        chord: Chord | None,
        steps: list[Step],
    ) -> None:
        number, self._number = self._number, self._number + 1
        steps.append(Step(self._next_id(), number, beat, length, tones, acts, symbol, chord))

    def _unfold(self, fragment: Fragment, symbol: Symbol, beat: Fraction) -> None:
        """Queue the sounds of a fragment, those that begin together as one."""
        if len(self._onsets) + len(fragment.sounds) > MOST_SOUNDS:
            raise Wild(f"more than {MOST_SOUNDS} notes of fragments at once")
        together: dict[Fraction, list[Sound]] = {}
        for sound in fragment.sounds:
            together.setdefault(_exact(sound.at), []).append(sound)
        for at, sounds in together.items():
            onset = _Onset(beat + at, self._next_id(), symbol, tuple(sounds[:MOST_TONES]))
            heappush(self._onsets, onset)

    def _sound(self, until: Fraction, steps: list[Step]) -> None:
        """Lay out the onsets of fragments up to and with this beat."""
        while self._onsets and self._onsets[0].beat <= until:
            beat, _, symbol, sounds = heappop(self._onsets)
            self._count(beat, len(sounds))
            shift = 12 * (self.spec.octave - 4)
            tones = tuple(
                Tone(
                    self._placed(int(sound.pitch) + shift, beat),
                    min(max(0.0, float(sound.velocity)), 1.0) / _PLAIN,
                    _exact(sound.length),
                    max(int(sound.voice), 0),
                )
                for sound in sounds
            )
            length = max(tone.length or _QUARTER for tone in tones)
            self._append(beat, length, tones, (), symbol, None, steps)

    def _resolved(self, harmony: Harmony, beat: Fraction) -> tuple[Chord, str]:
        """A chord in the key of its bar, and why it is another one where the conductor says so."""
        bar = self.setting.bar(beat)
        chord = harmony.chord or roman(harmony.text, bar.key)
        if self.leads:
            return self.setting.conductor.harmonise(bar, beat, chord, harmony.free)
        return chord, ""

    def _pitches(
        self, atom: Atom, beat: Fraction, chord: Chord | None
    ) -> tuple[tuple[int, str], ...]:
        """MIDI numbers of one atom, in the part's register, and how they are spelled."""
        spec = self.spec
        if isinstance(atom, Drum):
            return ((atom.midi, ""),)
        if isinstance(atom, Harmony):
            assert chord is not None
            low, high = self._register(beat)
            self._last_voicing = voice(chord, self._last_voicing, low, high, spec.voices)
            names = _spellings(chord)
            return tuple((midi, names.get(midi % 12, "")) for midi in self._last_voicing)
        leans = False
        if isinstance(atom, Absolute):
            midi, spelling = atom
        elif isinstance(atom, Degree):
            midi, spelling = self._degree(self._lifted(atom, beat), self._scale(beat))
            leans = self._leans(midi, beat)
        elif isinstance(atom, Approach):
            led = self._approach(atom, beat)
            return () if led is None else ((led, ""),)
        elif isinstance(atom, Colour):
            midi, spelling = self._colour(atom, beat)
        else:
            midi, spelling = self._chord_tone(atom, beat)
        placed = self._placed(midi + 12 * (spec.octave - 4), beat, leans)
        return ((placed, spelling if (placed - midi) % 12 == 0 else ""),)

    def _lifted(self, degree: Degree, beat: Fraction) -> Degree:
        """A melody moves with its register as a second voice would: by thirds, sixths, octaves.

        So its steps stay steps, and it stays in the harmony it was made for.
        """
        if self.spec.role not in MELODIC:
            return degree
        steps, octaves = self._stand(beat).lift
        if not steps:
            return degree._replace(octaves=degree.octaves + octaves) if octaves else degree
        down, number = divmod(degree.number + steps - 1, 7)
        return degree._replace(number=number + 1, octaves=degree.octaves + octaves + down)

    def _stand(self, beat: Fraction) -> _Stand:
        """Where the part's register lies in the bar of a beat."""
        bar = self.setting.bar(beat)
        if bar is not self._stands_in:
            self._stands_in, self._standing = bar, self._found_stand(bar)
        return self._standing

    def _found_stand(self, bar: Bar) -> _Stand:
        spec, conductor = self.spec, self.setting.conductor
        low, high = spec.low, spec.high
        if not spec.role:
            return _Stand(low, high, (0, 0))
        shift, lift = conductor.shift(spec.role, bar), (0, 0)
        if spec.role in MELODIC:
            lift, shift = self._lift(shift, bar)
        if high - low >= 127:  # one without bounds stays as it is
            return _Stand(low, high, lift)
        low, high = max(low + shift, 0), min(high + shift, 127)
        if spec.role in ACCOMPANYING and any(seat.role == "melody" for seat in conductor.seats):
            _, tune = self._lift(conductor.shift("melody", bar), bar)
            room = _APART * spec.voices if spec.role == "pad" else 12
            low, high = beneath(low, high, min(tune - shift, 0), room)
        return _Stand(low, high, lift)

    def _lift(self, shift: int, bar: Bar) -> tuple[tuple[int, int], int]:
        """Scale steps and octaves by which a melody lies higher in a bar, and in semitones.

        A shift between two of `_LIFTS` is met on the whole: some pairs of phrases have the one,
        some the other, and more of them the nearer it is. Which ones is spread evenly (the
        golden ratio's multiples; Weyl 1916), and a shift that grows takes none of them back.
        """
        octaves, rest = divmod(abs(shift), 12)
        sign = 1 if shift > 0 else -1
        lifts = _LIFTS if len(bar.key) == 7 else (_LIFTS[0], _LIFTS[-1])
        since = bar.number - bar.section.bar
        nth = bar.section.number + since // (2 * self.setting.phrase)
        steps, semitones = lifts[0]
        for (_, below), (more, above) in pairwise(lifts):
            if rest > below and (rest - below) > (above - below) * (nth * _GOLDEN % 1.0):
                steps, semitones = more, above
        if steps == 7:
            steps, octaves = 0, octaves + 1
            semitones = 0
        return (sign * steps, sign * octaves), sign * (12 * octaves + int(semitones))

    def _approach(self, atom: Approach, beat: Fraction) -> int | None:
        """The tone beside the note that comes next; None where none comes, or a drum or chord."""
        found = self._foresee(_leads_on, self._onward + FORESIGHT, self._onward)
        if found is None:
            return None
        at, emission = found
        kept = self._last_pitch, self._fitting
        self._into = self.setting.chord_to(beat, at)
        target = self._pitches(emission.hit.atoms[0], at, None)
        self._into = None
        self._last_pitch, self._fitting = kept
        if not target:
            return None
        key = self._scale(beat)
        self._last_pitch = approach(target[0][0], kept[0], key, atom.step, atom.side)
        return self._last_pitch

    def _colour(self, atom: Colour, beat: Fraction) -> tuple[int, str]:
        key, chord = self._scale(beat), self._around(beat)
        if chord is None:
            return self._degree(Degree(2, 0, atom.octave), key)
        found, root = colours(chord, key), chord.root.semitone
        if not atom.number and self._last_pitch is not None:
            last = self._last_pitch - 12 * (self.spec.octave - 4)
            near = min(((note - last + 6) % 12 - 6 for note in found), key=abs) + last
            return near + 12 * atom.octave, ""
        note = found[(max(atom.number, 1) - 1) % len(found)]
        return 60 + root + (note - root) % 12 + 12 * atom.octave, ""

    def _around(self, beat: Fraction) -> Chord | None:
        """The chord that tones at a beat are of."""
        return self._into or self.setting.harmonies.at(beat)

    def _scale(self, beat: Fraction) -> Key:
        return self.setting.conductor.scale(self.setting.bar(beat), beat)

    def _degree(self, degree: Degree, key: Key) -> tuple[int, str]:
        if key is not self._degrees_in or len(self._degrees) >= 1024:
            self._degrees.clear()  # an open alphabet must not fill the memory
            self._degrees_in = key
        known = self._degrees.get(degree)
        if known is None:
            pitch = key.pitch(degree)
            known = self._degrees[degree] = pitch.midi, pitch.pitch_class.name
        return known

    def _register(self, beat: Fraction) -> tuple[int, int]:
        """Where chords are voiced: the part's range, or two octaves round its octave."""
        spec = self.spec
        if (spec.low, spec.high) != (0, 127):
            return self._window(beat)
        centre = 12 * (spec.octave + 1)
        return max(centre - 8, 0), min(centre + 16, 127)

    def _window(self, beat: Fraction) -> tuple[int, int]:
        """The part's range where mood has moved it; one without bounds stays as it is."""
        stand = self._stand(beat)
        return stand.low, stand.high

    def _chord_tone(self, tone: ChordTone, beat: Fraction) -> tuple[int, str]:
        key = self._scale(beat)
        chord = self._around(beat)
        if chord is None:
            return self._degree(Degree(tone.number, 0, tone.octave), key)
        root = chord.root.semitone
        if tone.number == 1 and chord.bass is not None and self.spec.role == "bass":
            above = (chord.bass.semitone - root) % 12  # what the chord stands on
        else:
            above = (chord_tone(chord, key, tone.number) - root) % 12
        midi = 60 + root + above + 12 * (tone.octave + (tone.number > 7))
        return midi, _spellings(chord).get(midi % 12, "")

    def _leans(self, midi: int, beat: Fraction) -> bool:
        """Whether a note on a strong place may lean on the one that it goes on to.

        As an appoggiatura does: a note of the key, a quarter note long at most, that moves by step
        into a tone of the chord. The more dissonance a mood asks for, the more of them do.
        """
        setting, onward = self.setting, self._onward
        if self.spec.fit != "chord" or not 0 < onward - beat <= 1:
            return False
        ground = setting.ground(beat)
        if ground.weight < STRONG:
            return False
        bar = setting.bar(beat)
        if noise(setting.seed, place(beat)) >= LEANING + bar.cues.dissonance:
            return False
        found = self._foresee(lambda emission: True, onward + _TICK, onward)
        if found is None or found[0] != onward or setting.ground(onward).weight >= STRONG:
            return False
        atoms, chord = found[1].hit.atoms, setting.chord_to(beat, onward)
        if len(atoms) != 1 or not isinstance(atoms[0], Degree) or chord is None:
            return False
        to, _ = self._degree(self._lifted(atoms[0], onward), self._scale(onward))
        near = abs(to - midi) in (1, 2) and to % 12 in chord.pitch_classes
        return near and midi % 12 in self._scale(beat).pitch_classes

    def _placed(self, midi: int, beat: Fraction, leans: bool = False) -> int:
        spec = self.spec
        if spec.fit:
            wanted, midi = midi, midi if leans else self._fitted(midi, beat)
            self._fitting = wanted, midi
        if spec.nearest and self._last_pitch is not None:
            midi += 12 * round((self._last_pitch - midi) / 12)
        midi = folded(midi, *self._window(beat))
        self._last_pitch = midi
        return midi

    def _fitted(self, midi: int, beat: Fraction) -> int:
        key = self._scale(beat)
        if self.spec.fit == "chord":
            chord = self._around(beat)
            if chord is not None:
                if self.setting.ground(beat).weight >= STRONG:
                    return self._in_chord(midi, chord)
                if midi % 12 in chord.pitch_classes:
                    return midi
        return key.nearest(midi)

    def _in_chord(self, midi: int, chord: Chord) -> int:
        """The nearest chord tone that keeps the line moving the way it wanted to."""
        classes = chord.pitch_classes
        wanted, last = self._fitting or (midi, midi)
        move = midi - wanted

        def cost(m: int) -> float:
            return abs(m - midi) + (_BENT if move and (m - last) * move <= 0 else 0)

        near = [m for m in range(midi - 6, midi + 7) if m % 12 in classes]
        return min(near, key=cost) if near else midi

    def called(self, beat: Fraction) -> bool:
        """Whether layers and sections have it play in the bar of a beat."""
        setting = self.setting
        return not setting.conductor.seats or self.spec.name in setting.bar(beat).playing

    def fitting(self, beat: Fraction, pitch: int) -> list[int]:
        """The pitches at most an octave away that its fit and its range leave it at a beat."""
        classes, setting = set(self._scale(beat).pitch_classes), self.setting
        chord = setting.harmonies.at(beat)
        if chord is not None:
            strong = self.spec.fit == "chord" and setting.ground(beat).weight >= STRONG
            classes = {*(() if strong else classes), *chord.pitch_classes}
        low, high = self._window(beat)
        near = range(max(pitch - _NEAR, low), min(pitch + _NEAR, high) + 1)
        return [midi for midi in near if midi % 12 in classes]

    def retuned(self, step: Step, index: int, pitch: int) -> Step:
        """A step with another pitch for one of its tones."""
        chord = self.setting.harmonies.at(step.beat)
        name = "" if chord is None else _spellings(chord).get(pitch % 12, "")
        tone = step.tones[index]._replace(pitch=pitch, spelling=name)
        return step._replace(tones=(*step.tones[:index], tone, *step.tones[index + 1 :]))


def _leads_on(emission: Emission) -> bool:
    """Whether an approach can lead into what an emission begins with."""
    atoms = emission.hit.atoms
    return bool(atoms) and not isinstance(atoms[0], Approach | Drum | Harmony)


@lru_cache(256)
def _spellings(chord: Chord) -> dict[int, str]:
    """What a chord calls its own tones, by pitch class; its bass included."""
    tones = (*chord.tones, chord.bass) if chord.bass else chord.tones
    return {tone.semitone % 12: tone.name for tone in tones}


class Because(Origin):
    """Why a chord is another than its symbol says."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return self.why


class Wild(RuntimeError):  # noqa: N818  (what the trouble is called)
    """An engine hands out more than music can be."""


def _exact(length: Fraction | float) -> Fraction:
    """An engine's length or place, 0 to 4096, with a denominator that sums can bear."""
    exact = length if isinstance(length, Fraction) else Fraction(length)
    above, below = exact.as_integer_ratio()
    if below > _FINEST:
        exact = exact.limit_denominator(_FINEST)
    if 0 < above <= LONGEST_STEP * below:
        return exact
    return Fraction(LONGEST_STEP if above > 0 else 0)


def _symbols(engine: Engine, rng: Random, controls: Controls) -> Iterator[Symbol]:
    """An engine's symbols; it is asked for them when the first is. It knows no part: no circle."""
    yield from engine.symbols(rng, controls)


def _named(symbol: Symbol) -> Symbol:
    """The symbol with plain text for a name: what is derived from `str` cannot be sent."""
    name = symbol.name
    if type(name) is str:
        return symbol
    if not isinstance(name, str):
        raise TypeError(f"a symbol's name is {type(name).__name__}, not text")
    return symbol._replace(name=str.__str__(name))


def said(error: Exception) -> str:
    """An exception in few words, whatever it does when it is asked for them."""
    try:
        words = str(error)
    except Exception:
        words = ""
    if isinstance(error, Wild):
        return words
    return f"{type(error).__name__}: {words[:200]}" if words else type(error).__name__


def folded(midi: int, low: int, high: int) -> int:
    """A pitch brought into a range by whole octaves; into its nearest end where none fits.

    Law: low <= folded(m, low, high) <= high, and m unchanged where it is inside already.
    """
    if midi < low:
        midi += 12 * -((midi - low) // 12)
    elif midi > high:
        midi -= 12 * -((high - midi) // 12)
    return min(max(midi, low), high)


def beneath(low: int, high: int, fall: int, room: int = 12) -> tuple[int, int]:
    """A range whose top comes down by `fall` (0 or less), so that a tune stays above it.

    It keeps `room` semitones, if it had them: then its low end comes down too, but not under A2,
    where chords would be mud.
    """
    width = min(high - low, max(room, 12))
    fall = max(fall, min(low, _DEEP) + width - high)
    high += min(fall, 0)
    return min(low, high - width), high
