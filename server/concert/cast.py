"""A scene on the timeline: its parts at play, and what is planned of them and not yet over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from engines.base import Mistake, unknown
from server.conductor.conductor import Bar, Conductor, Seat
from server.conductor.form import Rule, Section
from server.conductor.harmony import tension
from server.conductor.mood import NEUTRAL, Mood, MoodLine
from server.ensemble.agenda import Agenda
from server.ensemble.encode import Arg, Encoder, MidiEncoder
from server.ensemble.instrument import PLAIN, Instrument, Member
from server.ensemble.mixer import Mixer, Strip
from server.ensemble.part import Part, PartSpec, Shade, Trouble
from server.ensemble.perform import perform
from server.ensemble.rack import Rack, Sent
from server.ensemble.setting import Setting
from server.music.chord import Chord
from server.music.line import Begun, Line
from server.music.note import Note, Say, Step, Turn
from server.music.scale import Key
from server.music.timeline import Timeline
from server.score.scene import Scene
from server.score.stinger import Sting, StingerSpec

from .journal import (
    Entry,
    Felt,
    Harmonised,
    Marked,
    Moment,
    Played,
    Programmed,
    Said,
    Ticked,
    Turned,
)

SHORTEST = 1_000_000  # ns that any note sounds
FORESEEN = 64  # quarter notes within which the end of a long note is foreseen
_TICK = Fraction(1, 2**20)
_STRAYS = 2.5  # standard deviations that humanising strays at most
LOOSEST = 2  # factor by which a mood may widen it


def part_seed(seed: int, name: str) -> int:
    """64 bits for a part's own small decisions, from the scene's seed and the part's name."""
    value = seed & (2**64 - 1)
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64  # FNV-1a (Fowler, Noll & Vo, 1991)
    return value


def setting_of(
    scene: Scene,
    begin: Fraction = Fraction(0),
    before: Conductor | None = None,
    moods: MoodLine | None = None,
    arrives: Rule | None = None,
) -> Setting:
    """The ground that a scene's parts are read against from a beat on; see `Conductor`.

    before: whose bars it goes on counting, if it is there at that beat. A change within a bar
    begins the next one.
    """
    decides = {p.channel: p.name for p in reversed(scene.parts) if p.shades}
    seats = [
        Seat(
            *(p.name, p.role, *p.layer),
            shades=len(p.shades) if decides.get(p.channel) == p.name else 1,
            bright=p.brightness is not None,
        )
        for p in scene.parts
    ]
    goes_on = before is not None and begin > 0
    first = before.bar_to_come(begin) if before is not None and goes_on else 1
    line = begin - scene.meters.beat_of_bar(first)
    ground = (scene.seed, scene.key, scene.meters, line, scene.phrase)
    conductor = Conductor(
        scene.conductor, *ground, seats, scene.controls, before, moods, arrives, first
    )
    return Setting(*ground, values=dict(scene.controls), conductor=conductor, first=first)


class Playing:
    """A part at play: its number on the wires, its own seed, and where its notes go.

    outputs: (number of the output, kind of wire, encoder).
    """

    __slots__ = ("cast", "instrument", "number", "outputs", "part", "seed", "spec")

    def __init__(self, part: Part, number: int, seed: int, cast: Cast) -> None:
        self.part, self.number, self.seed, self.cast = part, number, seed, cast
        self.spec = part.spec
        self.outputs: list[tuple[int, str, Encoder]] = []
        self.instrument: Instrument | None = None  # where mood changes what it sounds like

    def strip_at(self, beat: Fraction) -> Strip:
        return self.cast.mixer.at(self.spec.name, beat)


class Cast:
    """A scene being played, from its first beat to where another takes over.

    begin, ends: beats of the timeline; `ends` is None while nothing is to follow.
    number: the wires' part number of what is said about the piece as a whole.
    before: the scene whose faders, tempo and live controls go on, as when it is read again.
    goes_on: whether it is the scene before, with another style, seed or text.
    cued: whether its programs were sent beforehand.  tempo: that it begins with, or None to
    go on in the one that was.  instead: what was planned of the scenes before from `begin` on,
    while it may still turn out that this one does not begin.  counted: bars and beats that the
    scenes before have had since play.
    Laws: nothing of it begins at or after `ends`; every beat of its bars is told once.
    """

    def __init__(
        self,
        scene: Scene,
        begin: Fraction,
        rack: Rack,
        number: Callable[[], int],
        before: Cast | None = None,
        cued: bool = True,
        moods: MoodLine | None = None,
        arrives: Rule | None = None,
    ) -> None:
        self.scene, self.begin, self.cued = scene, begin, cued
        self.ends: Fraction | None = None
        self.tempo: float | None = scene.tempo
        self.goes_on = before is not None
        self.instead: list[Pending] = []
        self.counted = (0, 0)
        heir_of = before.setting.conductor if before is not None else None
        self.setting: Setting = setting_of(scene, begin, heir_of, moods, arrives)
        self.mixer = Mixer(scene.ensemble)
        self.number, self._next_id = number(), rack.next_id
        everyone = [
            Playing(
                Part(spec, self.setting, rack.next_id),
                number(),
                part_seed(scene.seed, spec.name),
                self,
            )
            for spec in scene.ensemble
        ]
        self.everyone, self.parts = everyone, everyone[: len(scene.parts)]
        self.named = {playing.spec.name: playing for playing in everyone}
        self.stings: list[Sting] = []  # those that may still sound, or duck what does
        if before is not None:
            self._inherit(before)
        self._by_part = {id(playing.part): playing for playing in self.parts}
        self.agenda = Agenda([playing.part for playing in self.parts], begin)
        #: How far a note may come before its beat, in quarter notes and in nanoseconds.
        grooves = [spec.groove for spec in scene.ensemble if spec.groove is not None]
        self.early_beats = max(
            (-min(groove.shifts) * groove.grid for groove in grooves), default=Fraction(0)
        )
        self.early_ns = round(
            max(_STRAYS * LOOSEST * spec.human_time for spec in scene.ensemble) * 1e9
        )
        self._told = begin
        self._chord: Chord | None = None
        self._next: Begun[Chord] | None = None  # that was told last
        self._bar: Bar | None = None  # the one whose key and section were told last
        self._following: Section | None = None  # as it was told last
        #: Beats at which pitched notes end that sound on: all of them, or those that are not in
        #: the chord that begins there.
        self._cuts: Line[frozenset[int]] = Line()
        self._checked = begin  # for cuts, up to here
        self._mood: Mood | None = None
        self._opened = False
        self.patched = rack.patch(scene.outputs, {each.number: each.spec for each in everyone})
        self.outputs: list[tuple[int, str, Encoder]] = []
        for index, (name, output) in enumerate(self.patched.items()):
            way = (index, output.spec.kind, output.encoder)
            self.outputs.append(way)
            for playing in everyone:
                if name in playing.spec.outputs:
                    playing.outputs.append(way)
        self.instruments = list(self._instruments())
        self.bright = [each for each in self.instruments if each.bright]
        self._shaded = {
            id(playing.part): playing.instrument
            for playing in everyone
            if playing.instrument is not None and playing.instrument.shaded
        }
        #: Of the scene before, those whose brightness nobody here takes over.
        self.left: list[Instrument] = []
        self._toned: Fraction | None = None  # the beat for which brightness was planned last

    def _instruments(self) -> Iterator[Instrument]:
        """The channels whose sound the mood changes, each with all its parts."""
        channels: dict[int, list[tuple[int, Playing]]] = {}
        for nth, playing in enumerate(self.everyone):
            channels.setdefault(playing.spec.channel, []).append((nth, playing))
        for parts in channels.values():
            if any(p.spec.shades or p.spec.brightness is not None for _, p in parts):
                specs = [playing.spec for _, playing in parts]
                stray = max(_STRAYS * LOOSEST * spec.human_time for spec in specs)
                grooves = [spec.groove for spec in specs if spec.groove is not None]
                early = max((-min(g.shifts) * g.grid for g in grooves), default=Fraction(0))
                members = [Member(p.spec, p.number, nth, p.outputs) for nth, p in parts]
                instrument = Instrument(members, round(stray * 1e9), max(early, Fraction(0)))
                for _, playing in parts:
                    playing.instrument = instrument
                yield instrument

    def _inherit(self, before: Cast) -> None:
        """Faders and live controls go on as they are, but for what the scene itself has changed.

        Where the parts or the controls are the same ones, they are shared, so that what is
        asked of the scene before until it ends holds here too.
        """
        old = {spec.name: spec for spec in before.scene.ensemble}
        if set(old) == {spec.name for spec in self.scene.ensemble}:
            self.mixer = before.mixer
        else:
            self.mixer = before.mixer.heir(self.scene.ensemble)
        for spec in self.scene.ensemble:
            for field in ("mute", "level", "density"):
                wanted = getattr(spec, field)
                if spec.name in old and wanted != getattr(old[spec.name], field):
                    self.mixer.set(spec.name, self.begin, field, wanted)
        for name, playing in self.named.items():
            if name in before.named:
                playing.part.own = dict(before.named[name].part.own)
        if before.scene.controls == self.scene.controls:
            self.setting.values = before.setting.values
        else:
            same = self.scene.controls.items() & before.scene.controls.items()
            self.setting.values.update({name: before.setting.values[name] for name, _ in same})

    def plan(self, until: Fraction) -> tuple[list[Pending], list[Trouble]]:
        """All that begins before this beat and was not handed out before."""
        steps, troubles = self.agenda.plan(until)
        self._cut(until)
        pending: list[Pending] = []
        if not self._opened:
            self._opened = True
            shades = self.setting.bar(self.begin).shades
            for instrument in self.instruments:
                instrument.take_up(self.begin, shades)
            pending.append(PendingOpening(self, self.begin, self._next_id()))
            if self.left:
                pending.append(PendingDim(self, self.begin, self._next_id()))
        for part, step in steps if self._shaded else ():
            if step.tones and (heard := self._shaded.get(id(part))) is not None:
                heard.hear(step, part.spec)
        pending += self._beats(until)
        for part, step in steps:
            if step.chord is not None and part.leads and step.chord != self._chord:
                before, self._chord = self._chord, step.chord
                pending.append(PendingChord(self, step.beat, self._next_id(), step.chord))
                tense = tension(step.chord, self.setting.bar(step.beat).key, before)
                pending.append(
                    PendingWord(self, step.beat, self._next_id(), "/chord/tension", (tense,))
                )
            if step.tones or step.acts:
                pending.append(PendingStep(self._by_part[id(part)], step))
        for sting in self.stings:
            more, wrong = self.plan_sting(sting, until)
            pending += more
            troubles += wrong
        self.setting.harmonies.forget(until)
        self.setting.conductor.forget(until)
        return pending, troubles

    def disband(self) -> None:
        """Its scene is over: nothing more is planned or asked of it; what is planned may sound.

        Law: it is then held by that alone, in no circle, so that nobody has to look for it: the
        collector of garbage does not, where many bands have what stays.
        """
        self.setting.coming = None
        self.everyone.clear()
        self.parts.clear()
        self.named.clear()
        self._by_part.clear()

    def find(self, name: str) -> Playing:
        """A part or stinger by its name. Errors: Mistake."""
        if name in self.named:
            return self.named[name]
        raise Mistake("", unknown("part", name, self.named))

    def sting(self, spec: StingerSpec, count: int, begin: Fraction, named: bool) -> Sting:
        """One of a stinger, or of a part that is struck, yet to be planned; see `Sting.of`."""
        sting = Sting.of(spec, count, begin, self.setting, self._next_id, named)
        sting.part.controls.taste = self.named[sting.name].part.controls.taste
        return sting

    def renew(self, scene: Scene, at: Fraction | None = None) -> None:
        """Go on as this scene, which is the same but for some engines: those begin afresh.

        at: as of `Part.renew`.
        """
        self.scene = scene
        self.setting.conductor.know(scene.conductor.themes)
        for playing, spec in zip(self.everyone, scene.ensemble, strict=True):
            old = playing.spec
            if spec.engine is not old.engine or spec.reading is not old.reading:
                playing.part.renew(spec, at)
                playing.spec = spec

    def cut_stings(self, beat: Fraction) -> list[PendingCue]:
        """What tells of the stingers that still sound at a beat that they end there."""
        return [
            PendingCue(self, beat, self._next_id(), sting, "ended")
            for sting in self.stings
            if sting.named and sting.begun and sting.begin < beat
            if sting.end is None or sting.end >= beat
        ]

    @property
    def finished(self) -> bool:
        """Whether nothing new will come of itself."""
        return self.agenda.finished and all(sting.end is not None for sting in self.stings)

    def plan_sting(self, sting: Sting, until: Fraction) -> tuple[list[Pending], list[Trouble]]:
        """All of a sting that begins before this beat and was not handed out before."""
        if sting.end is not None or sting.begin >= until:
            return [], []
        pending: list[Pending] = []
        if sting.named and not sting.begun:
            pending.append(PendingCue(self, sting.begin, self._next_id(), sting, "began"))
        sting.begun = True
        steps, troubles = sting.plan(until)
        playing = self.named[sting.name]
        pending += [PendingSting(playing, s, sting) for s in steps if s.tones or s.acts]
        if sting.named and sting.end is not None:
            pending.append(PendingCue(self, sting.end, self._next_id(), sting, "ended"))
        return pending, troubles

    def ducked(self, beat: Fraction) -> float:
        """What stingers make of the level of the parts at a beat: the strongest of them counts."""
        return min((each.spec.duck for each in self.stings if each.sounds_at(beat)), default=1.0)

    def forget_stings(self, before: Fraction) -> None:
        """Drop those that ended before this beat, when nothing begun earlier is performed again."""
        self.stings = [each for each in self.stings if each.end is None or each.end >= before]

    def _cut(self, until: Fraction) -> None:
        """Find the beats at which what sounds on would clash with what begins."""
        if until <= self._checked:
            return
        since, self._checked = self._checked, until
        conductor, place = self.setting.conductor, self.setting.place
        for beat, planned in conductor.strikes(since, until):
            if beat > self.begin:
                stays = planned.chord.pitch_classes if planned is not None else ()
                self._cuts.begin(beat, frozenset(stays))
        number = place(since).bar
        while self.setting.beat_of_bar(number) < until:
            bar = conductor.bar(number)
            if bar.pause and since <= bar.end - bar.pause < until:
                self._cuts.begin(bar.end - bar.pause, frozenset())
            number += 1
        self._cuts.forget(since)

    def cut_after(self, note: Note, leads: bool) -> Fraction | None:
        """The beat before its own end at which a pitched note has to end.

        leads: it is of the part whose chords they are, which strikes them all again.
        """
        found = self._cuts.after(note.start)
        while found is not None and found.beat < note.end:
            if leads or note.pitch % 12 not in found.value:
                return found.beat
            found = self._cuts.after(found.beat)
        setting = self.setting
        ground = setting.ground(note.start)
        if note.end <= note.start - ground.place.position + ground.place.meter.length:
            return None
        # What is to come, as far as it is known; if it comes otherwise, this is asked again.
        until = min(note.end, note.start + FORESEEN)
        for beat, planned in setting.conductor.strikes(note.start + _TICK, until):
            stays = planned.chord.pitch_classes if planned is not None else ()
            if leads or note.pitch % 12 not in stays:
                return beat
        return None

    @property
    def turned(self) -> tuple[Fraction | None, ...]:
        """The newest beats at which sounding notes have to end; None where there are none."""
        last = self._cuts.last
        changed = [each.changed for each in self.instruments]
        return (last.beat if last is not None else None, *changed)

    @property
    def ends_itself(self) -> Fraction | None:
        """The beat at which the piece is over, where its form ends, as far as that is known."""
        return self.setting.conductor.ends

    def forget_chord(self) -> None:
        """Have the next chord told even if it is the one that was told last."""
        self._chord = None

    def _beats(self, until: Fraction) -> Iterator[Pending]:
        while self._told < until:
            beat = self._told
            self._told += self.setting.place(beat).meter.beat_length
            yield PendingBeat(self, beat, self._next_id())
            yield from self._turns(beat)
            if self.bright:
                yield PendingBrightness(self, beat, self._next_id(), self._toned)
                self._toned = beat

    def _turns(self, beat: Fraction) -> Iterator[Pending]:
        """What the conductor has changed by this beat: key, section, mood; and what is to come."""
        bar, before = self.setting.bar(beat), self._bar
        opens = before is None or bar.number != before.number
        following = self.setting.conductor.next_section(bar.number)
        if following is not None and (opens or following != self._following):
            yield PendingNext(self, beat, self._next_id(), following)
        self._following = following
        if opens:
            self._bar = bar
            if before is not None and bar.phrase_bar == 1:
                for instrument in self.instruments:
                    shade = instrument.change(beat, bar.shades)
                    if shade is not None:
                        yield PendingShade(self, beat, self._next_id(), instrument, shade)
            if before is not None and bar.key != before.key:
                yield PendingKey(self, beat, self._next_id(), bar.key)
            for name in self.setting.conductor.cues(bar.number):
                yield PendingPlace(self, beat, self._next_id(), name, bar.number)
            if bar.section.spec.name and (
                before is None or bar.section.number != before.section.number
            ):
                yield PendingSection(self, beat, self._next_id(), bar)
        mood = self.setting.conductor.moods.at(beat)
        told = NEUTRAL if self._mood is None else self._mood
        if (mood.valence, mood.arousal) != (told.valence, told.arousal):
            word = self.setting.conductor.word(mood)
            yield PendingMood(self, beat, self._next_id(), mood, word)
        if mood.tension != told.tension:
            yield PendingWord(self, beat, self._next_id(), "/mood/tension", (mood.tension,))
        self._mood = mood
        yield from self._chord_next(beat)

    def _chord_next(self, beat: Fraction) -> Iterator[Pending]:
        leader = next((each.part for each in self.parts if each.part.leads), None)
        if leader is None:
            return
        try:
            found = self.setting.harmonies.after(beat) or leader.next_chord()
        except Exception:  # its stream will tell what is wrong, when it comes to that
            return
        if found is not None and found != self._next:
            self._next = found
            moment, chord = self.moment(found.beat, 0.0), found.value
            args: tuple[Arg, ...] = (chord.name, moment.bar, moment.position)
            args += tuple(chord.pitch_classes)
            yield PendingWord(self, beat, self._next_id(), "/chord/next", args)

    def sounds(self, beat: Fraction, due: int, port: int | None = None) -> Iterator[Sent]:
        """What all parts sound like at a beat, or those on one MIDI port.

        Banks and programs, and brightness once the piece is under way.
        """
        for playing in self.everyone:
            spec, shade = playing.spec, self.shade(playing, beat)
            for _, kind, encoder in playing.outputs:
                if isinstance(encoder, MidiEncoder) and port in (
                    None,
                    encoder.ports.get(playing.number),
                ):
                    identity = self._next_id() << 24
                    number, channel = playing.number, spec.channel
                    yield kind, encoder.program(identity, number, channel, shade, due)
        if beat > self.begin:
            place = self.setting.place(beat)
            line = beat - place.position % place.meter.beat_length
            for instrument in self.bright:
                value = instrument.brightness(self.setting.conductor, line)
                yield from instrument.tell_brightness(self._next_id(), value, due, port)

    def shade(self, playing: Playing, beat: Fraction) -> Shade:
        """The program and bank of a part at a beat."""
        if playing.instrument is None:
            return playing.spec.shade(0)
        shades = self.setting.bar(self.begin).shades
        return playing.instrument.shade(playing.spec, beat, shades)

    def dim(self, due: int) -> Iterator[Sent]:
        """Leave every sound as it was found."""
        for instrument in self.bright:
            yield from instrument.tell_brightness(self._next_id(), PLAIN, due)

    def count_to(self, beat: Fraction) -> tuple[int, int]:
        """How many bars and beats have begun since play before this beat, in all scenes."""
        setting, (bars, beats) = self.setting, self.counted
        beats += setting.meters.beats_before(beat - setting.begin)
        beats -= setting.meters.beats_before(setting.entry - setting.begin)
        return bars + setting.conductor.bar_to_come(beat) - setting.first, beats

    def moment(self, beat: Fraction, seconds: float) -> Moment:
        """What people call this beat."""
        ground = self.setting.ground(beat)
        return Moment(seconds, beat, ground.place.bar, ground.at)


#: An address that whoever listens is told, without its prefix, and what is said there.
Word = tuple[str, tuple[Arg, ...]]


def of_key(key: Key) -> tuple[Word, ...]:
    """What is told of a key."""
    return ("/key", (key.name,)), ("/scale", (key.name, *key.pitch_classes))


class Pending:
    """Something planned and not yet over, kept so that it can be performed again.

    due: the nanosecond at which it begins.  over: the one at which nothing of it sounds.
    order: among those that begin together.
    """

    __slots__ = ("beat", "cast", "due", "id", "order", "over")

    rank = 0

    def __init__(self, cast: Cast, beat: Fraction, identity: int) -> None:
        self.cast, self.beat, self.id = cast, beat, identity
        self.order = self.rank << 48 | identity
        self.due = self.over = 0

    def perform(self, line: Timeline) -> None:
        """Find its place in time, and its notes, under the controls of the moment."""
        self.due = self.over = line.ns_at(self.beat)

    def move_end(self, line: Timeline) -> None:
        """It has begun and keeps its beginning; its end follows a new tempo."""

    def words(self) -> tuple[Word, ...]:
        """What whoever listens is told of it."""
        return ()

    def sent(self) -> Iterator[Sent]:
        """What the wires are to have of it; the same ids whenever it is asked."""
        for nth, (address, args) in enumerate(self.words()):
            for index, kind, encoder in self.cast.outputs:
                identity = self.id << 24 | nth << 10 | index << 2
                yield kind, encoder.tell(identity, self.cast.number, address, args, self.due)

    def entries(self, began: int) -> Iterator[Entry]:
        """What the journal says when it begins. began: the nanosecond of the start."""
        return iter(())

    def concerns(self, playing: Playing) -> bool:
        """Whether it goes when what is queued of a part is called back."""
        return False

    @property
    def thinned(self) -> bool:
        """Whether it is a step that is played, but under the controls of the moment has no note."""
        return False

    def _moment(self, began: int) -> Moment:
        return self.cast.moment(self.beat, (self.due - began) / 1e9)


class PendingWord(Pending):
    """Something is told to whoever listens, and to nobody else."""

    __slots__ = ("address", "args")
    rank = 2

    def __init__(
        self, cast: Cast, beat: Fraction, identity: int, address: str, args: tuple[Arg, ...]
    ) -> None:
        super().__init__(cast, beat, identity)
        self.address, self.args = address, args

    def words(self) -> tuple[Word, ...]:
        return ((self.address, self.args),)


class PendingNext(PendingWord):
    """The section that comes next, and in how many seconds."""

    __slots__ = ("section",)

    def __init__(self, cast: Cast, beat: Fraction, identity: int, section: Section) -> None:
        super().__init__(cast, beat, identity, "/section/next", ())
        self.section = section

    def perform(self, line: Timeline) -> None:
        super().perform(line)
        until = line.ns_at(self.cast.setting.beat_of_bar(self.section.bar)) - self.due
        self.args = (self.section.spec.name, self.section.bar, until / 1e9)


class PendingPlace(PendingWord):
    """Playback passes a place that the scene's author has named."""

    __slots__ = ()

    def __init__(self, cast: Cast, beat: Fraction, identity: int, name: str, bar: int) -> None:
        super().__init__(cast, beat, identity, "/cue", (name, bar))

    def entries(self, began: int) -> Iterator[Entry]:
        yield Marked(self._moment(began), "cue", str(self.args[0]))


class PendingOpening(Pending):
    """A scene begins."""

    __slots__ = ()

    def words(self) -> tuple[Word, ...]:
        return of_key(self.cast.setting.bar(self.beat).key)

    def sent(self) -> Iterator[Sent]:
        cast = self.cast
        if not cast.cued:
            for nth, playing in enumerate(cast.everyone):
                for index, kind, encoder in playing.outputs:
                    if isinstance(encoder, MidiEncoder):
                        identity = self.id << 24 | nth << 10 | index << 2 | 2
                        number, channel = playing.number, playing.spec.channel
                        shade = cast.shade(playing, self.beat)
                        yield kind, encoder.program(identity, number, channel, shade, self.due)
        yield from super().sent()

    def entries(self, began: int) -> Iterator[Entry]:
        moment, scene = self._moment(began), self.cast.scene
        yield Marked(moment, "scene", scene.title)
        yield Marked(moment, "key", self.cast.setting.bar(self.beat).key.name)
        for instrument in self.cast.instruments:
            if instrument.shaded:
                spec = instrument.shaded[0].spec
                shade = instrument.shade(spec, self.beat, {})
                yield Programmed(moment, spec.name, spec.channel, *shade)

    def concerns(self, playing: Playing) -> bool:
        return True


class PendingDim(Pending):
    """The scene before has ended: what it has made brighter or darker is as it was found."""

    __slots__ = ()

    def sent(self) -> Iterator[Sent]:
        for instrument in self.cast.left:
            yield from instrument.tell_brightness(self.id, PLAIN, self.due)

    def entries(self, began: int) -> Iterator[Entry]:
        for instrument in self.cast.left:
            spec = instrument.bright[0].spec
            moment, controller = self._moment(began), spec.brightness or 0
            yield Turned(moment, spec.name, spec.channel, controller, PLAIN)

    def concerns(self, playing: Playing) -> bool:
        return True


class PendingBrightness(Pending):
    """A beat at which the brightness of instruments may change.

    before: the beat before it, or None for the first. turns: the instruments that change, and to
    what.
    """

    __slots__ = ("before", "turns")
    rank = 1

    def __init__(self, cast: Cast, beat: Fraction, identity: int, before: Fraction | None) -> None:
        super().__init__(cast, beat, identity)
        self.before = before
        self.turns: list[tuple[Instrument, int]] = []

    def perform(self, line: Timeline) -> None:
        super().perform(line)
        conductor, before = self.cast.setting.conductor, self.before
        self.turns.clear()
        if before is not None and conductor.moods.at(before) == conductor.moods.at(self.beat):
            return
        for instrument in self.cast.bright:
            value = instrument.brightness(conductor, self.beat)
            if before is None or value != instrument.brightness(conductor, before):
                self.turns.append((instrument, value))

    def sent(self) -> Iterator[Sent]:
        for instrument, value in self.turns:
            yield from instrument.tell_brightness(self.id, value, self.due)

    def entries(self, began: int) -> Iterator[Entry]:
        for instrument, value in self.turns:
            spec = instrument.bright[0].spec
            moment, controller = self._moment(began), spec.brightness or 0
            yield Turned(moment, spec.name, spec.channel, controller, value)

    def concerns(self, playing: Playing) -> bool:
        return True


class PendingShade(Pending):
    """An instrument changes its program, just before the first note of a phrase may come."""

    __slots__ = ("instrument", "shade")

    def __init__(
        self, cast: Cast, beat: Fraction, identity: int, instrument: Instrument, shade: int
    ) -> None:
        super().__init__(cast, beat, identity)
        self.instrument, self.shade = instrument, shade

    def perform(self, line: Timeline) -> None:
        self.due = self.over = before_change(self.instrument, self.beat, line)

    def sent(self) -> Iterator[Sent]:
        return self.instrument.tell_shade(self.id, self.shade, self.due)

    def entries(self, began: int) -> Iterator[Entry]:
        spec = self.instrument.shaded[0].spec
        yield Programmed(self._moment(began), spec.name, spec.channel, *spec.shade(self.shade))

    def concerns(self, playing: Playing) -> bool:
        return playing.instrument is self.instrument


def before_change(instrument: Instrument, beat: Fraction, line: Timeline) -> int:
    """The nanosecond at which a program changes that the first note at a beat is to have."""
    early = instrument.early_beats
    return line.ns_at(beat - early if early else beat) - instrument.early_ns


class PendingBeat(Pending):
    """A beat of the bar."""

    __slots__ = ("tempo",)
    rank = 1

    def perform(self, line: Timeline) -> None:
        super().perform(line)
        self.tempo = float(line.tempo_at(self.beat))

    def words(self) -> tuple[Word, ...]:
        place = self.cast.setting.place(self.beat)
        args = (place.bar, place.meter.beat_in_bar(place.position), self.tempo)
        bars, beats = self.cast.count_to(self.beat)
        where = (bars + (place.position == 0), beats + 1, float(self.beat))
        return ("/beat", args), ("/position", where)

    def entries(self, began: int) -> Iterator[Entry]:
        name = self.cast.setting.place(self.beat).meter.name
        yield Ticked(self._moment(began), self.tempo, name)


class PendingChord(Pending):
    """The harmony changes."""

    __slots__ = ("chord",)
    rank = 2

    def __init__(self, cast: Cast, beat: Fraction, identity: int, chord: Chord) -> None:
        super().__init__(cast, beat, identity)
        self.chord = chord

    def words(self) -> tuple[Word, ...]:
        return (("/chord", (self.chord.name, *self.chord.pitch_classes)),)

    def entries(self, began: int) -> Iterator[Entry]:
        classes = tuple(self.chord.pitch_classes)
        yield Harmonised(self._moment(began), self.chord.name, classes)


class PendingKey(Pending):
    """The music turns to another key or mode."""

    __slots__ = ("key",)
    rank = 1

    def __init__(self, cast: Cast, beat: Fraction, identity: int, key: Key) -> None:
        super().__init__(cast, beat, identity)
        self.key = key

    def words(self) -> tuple[Word, ...]:
        return of_key(self.key)

    def entries(self, began: int) -> Iterator[Entry]:
        yield Marked(self._moment(began), "key", self.key.name)


class PendingSection(Pending):
    """A section begins. bar: its first."""

    __slots__ = ("bar",)
    rank = 1

    def __init__(self, cast: Cast, beat: Fraction, identity: int, bar: Bar) -> None:
        super().__init__(cast, beat, identity)
        self.bar = bar

    def words(self) -> tuple[Word, ...]:
        return (("/section", (self.bar.section.spec.name, self.bar.number)),)

    def entries(self, began: int) -> Iterator[Entry]:
        yield Marked(self._moment(began), "section", self.bar.section.spec.name)


class PendingMood(Pending):
    """The mood has moved. word: the nearest one for it."""

    __slots__ = ("mood", "word")
    rank = 1

    def __init__(self, cast: Cast, beat: Fraction, identity: int, mood: Mood, word: str) -> None:
        super().__init__(cast, beat, identity)
        self.mood, self.word = mood, word

    def words(self) -> tuple[Word, ...]:
        return (("/mood", (self.mood.valence, self.mood.arousal, self.word)),)

    def entries(self, began: int) -> Iterator[Entry]:
        mood = self.mood
        yield Felt(self._moment(began), mood.valence, mood.arousal, mood.tension, self.word)


class PendingStep(Pending):
    """A step of a part. notes: (number in the step, note, begin, end in nanoseconds)."""

    __slots__ = ("ground", "muted", "notes", "playing", "seed", "step")
    rank = 3

    def __init__(self, playing: Playing, step: Step) -> None:
        super().__init__(playing.cast, step.beat, step.id)
        self.playing, self.step, self.seed = playing, step, playing.seed
        self.ground = playing.cast.setting.ground(step.beat)  # while it is still known there
        self.notes: list[tuple[int, Note, int, int]] = []
        self.muted = False

    def perform(self, line: Timeline) -> None:
        super().perform(line)
        self.notes.clear()
        playing, step, ends = self.playing, self.step, self.cast.ends
        strip = self.strip()
        self.muted = strip.mute or not self.called
        if not step.tones or self.muted:
            return
        notes = perform(playing.spec, self.cast.setting, strip, self.seed, step)
        notes = self._led(notes)
        if not notes:
            return
        first = notes[0][1]  # all notes of a step begin together
        due = first.nudge + (self.due if first.start is self.beat else line.ns_at(first.start))
        if ends is not None and (first.start >= ends or due >= line.ns_at(ends)):
            return
        self.due, end, before = due, 0, None
        for number, note in notes:
            if self._cut(note) is not None:
                before, end = None, self._end(note, line, due)
            elif note.end is not before:
                before, end = note.end, self._end(note, line, due)
            self.notes.append((number, note, due, end))
            self.over = max(self.over, end)

    @property
    def called(self) -> bool:
        """Whether the form has the part play here."""
        conductor = self.cast.setting.conductor
        bar, name = conductor.bar(self.ground.place.bar), self.playing.spec.name
        return name in bar.playing and not conductor.withdrawn(name, bar, self.beat)

    def _led(self, notes: list[tuple[int, Note]]) -> list[tuple[int, Note]]:
        """The notes as what comes next has them: silent in a pause, held in the last bar."""
        setting = self.cast.setting
        bar = setting.conductor.bar(self.ground.place.bar)
        if bar.pause:
            return [(number, note) for number, note in notes if note.start < bar.end - bar.pause]
        if not bar.held:
            return notes
        if self.beat != bar.beat:
            drums = self.step.tones[0].fixed
            return notes if drums and not bar.last else []
        chord = setting.harmonies.at(self.beat)
        return [
            (number, note if tone.fixed else note._replace(end=bar.end))
            for number, note in notes
            for tone in (self.step.tones[number],)
            if tone.fixed or chord is None or note.pitch % 12 in chord.pitch_classes
        ]

    def strip(self) -> Strip:
        """The part's strip here, under whatever ducks it."""
        strip = self.playing.strip_at(self.beat)
        if self.cast.stings and (factor := self.cast.ducked(self.beat)) < 1:
            strip = replace(strip, level=strip.level * factor)
        return strip

    def _cut(self, note: Note) -> Fraction | None:
        """The beat at which the harmony turns under a note that would sound on."""
        drums = self.step.tones[0].fixed
        return None if drums else self.cast.cut_after(note, self.playing.part.leads)

    def _end(self, note: Note, line: Timeline, due: int) -> int:
        cut = self._cut(note)
        end = line.ns_at(note.end) + note.nudge if cut is None else line.ns_at(cut)
        if self.cast.ends is not None:
            end = min(end, line.ns_at(self.cast.ends))
        instrument = self.playing.instrument
        if instrument is not None and (turn := instrument.changes_after(self.beat)) is not None:
            end = min(end, before_change(instrument, turn, line))
        return max(end, due + SHORTEST)

    def concerns(self, playing: Playing) -> bool:
        return self.playing is playing

    @property
    def thinned(self) -> bool:
        return not (self.notes or self.muted) and bool(self.step.tones)

    def move_end(self, line: Timeline) -> None:
        self.notes = [
            (number, note, due, self._end(note, line, due)) for number, note, due, _ in self.notes
        ]
        self.over = max((end for *_, end in self.notes), default=self.due)

    def acts(self) -> Iterator[tuple[int, Turn | Say]]:
        """What it does besides notes, by number; of a part that is unheard the pedal comes up."""
        for number, act in enumerate(self.step.acts):
            if not self.muted or (isinstance(act, Turn) and act.lifts):
                yield number, act

    def sent(self) -> Iterator[Sent]:
        playing = self.playing
        part, base = playing.number, self.id << 24
        for index, kind, encoder in playing.outputs:
            identity = base | index << 2
            for number, note, due, end in self.notes:
                yield kind, encoder.note(identity | number << 10, part, note, due, end)
            for number, act in self.acts():
                yield (
                    kind,
                    encoder.act(
                        identity | number << 10 | 2, part, act, playing.spec.channel, self.due
                    ),
                )

    def entries(self, began: int) -> Iterator[Entry]:
        spec: PartSpec = self.playing.spec
        for _, note, due, end in self.notes:
            seconds = (due - began) / 1e9
            if note.start is self.beat:
                moment = Moment(seconds, note.start, self.ground.place.bar, self.ground.at)
            else:
                moment = self.cast.moment(note.start, seconds)
            cut = self._cut(note)
            heard = note if cut is None else note._replace(end=cut)
            yield Played(moment, heard, (end - due) / 1e9)
        for _, act in self.acts():
            if isinstance(act, Turn):
                yield Turned(
                    self._moment(began), spec.name, spec.channel, act.controller, act.value
                )
            else:
                yield Said(self._moment(began), spec.name, act)


class PendingSting(PendingStep):
    """A step of a stinger, or a note that a hand has struck."""

    __slots__ = ("sting",)

    def __init__(self, playing: Playing, step: Step, sting: Sting) -> None:
        super().__init__(playing, step)
        self.sting, self.seed = sting, sting.seed

    @property
    def called(self) -> bool:
        return True

    def strip(self) -> Strip:
        return self.playing.strip_at(self.beat)

    def _led(self, notes: list[tuple[int, Note]]) -> list[tuple[int, Note]]:
        return notes


class PendingCue(Pending):
    """A stinger begins or ends. what: "began" or "ended"."""

    __slots__ = ("sting", "what")
    rank = 2

    def __init__(self, cast: Cast, beat: Fraction, identity: int, sting: Sting, what: str) -> None:
        super().__init__(cast, beat, identity)
        self.sting, self.what = sting, what

    def words(self) -> tuple[Word, ...]:
        bar = self.cast.setting.place(self.beat).bar
        return (("/stinger", (self.sting.name, self.what, bar)),)

    def entries(self, began: int) -> Iterator[Entry]:
        kind = "stinger" if self.what == "began" else "ended"
        yield Marked(self._moment(began), kind, self.sting.name)
