"""What is played at MIDI inputs reaches the music: live notes, phrases, chords, themes.

A key sounds at once: it goes round the plan, straight to the wires, and ends when it comes up. What
engines are told comes with the plan, a tenth of a second later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

from engines import motif
from engines.base import Fragment, Heard, Held, Mistake, Origin, Sound, Symbol, unknown
from server.concert.ahead import Begun
from server.concert.cast import Playing
from server.concert.changes import Receipt, Told
from server.concert.journal import Entry, Moved, Played, Ported, Pressed
from server.concert.player import Player
from server.ensemble.encode import Encoder, MidiEncoder, WebEncoder
from server.ensemble.rack import Sent
from server.ensemble.setting import Setting
from server.music.naming import numeral, recognised
from server.music.note import PEDAL, Note
from server.score.inputs import InputSpec
from server.wire.protocol import RANK_CONTROL, Event
from server.wire.protocol import Heard as Arrived

from .earshot import Ears
from .touch import CHORD, MS, Keys, Phrases, Press, Release, Touched

#: A key that came in so long ago is not played any more: the planner was away.
STALE = 500 * MS
#: A key held for ever is let go of after so long.
LONGEST = 600_000 * MS
#: A quantised note that is so little late, as a share of its grid, sounds at once.
LATE = Fraction(1, 4)
#: A message that is what we have just sent is an echo; so many in a second are a loop, which is
#: not listened to for a while.
ECHO, ECHOES, DEAF = 60 * MS, 16, 2_000 * MS
MOST_VOICES = 128  # of one input
MOST_IDLE = 16  # virtual ports that are kept for a scene that may name them again
MOST_BARS = 64  # that are recorded
_FINEST = 960  # parts of a quarter note that beats are told apart by
_SIXTEENTH = Fraction(1, 4)
_FORWARDED = frozenset(
    {1, 2, 11}
)  # controllers that shape live notes: modulation, breath, expression


class Struck(Origin):
    """A key that somebody has pressed."""

    __slots__ = ("input", "pitch")

    def __init__(self, name: str, pitch: int) -> None:
        self.input, self.pitch = name, pitch

    def __str__(self) -> str:
        return f"played on {self.input}: key {self.pitch}"


@dataclass(eq=False)
class _Voice:
    """A live note of one part.

    due: ns at which it begins, or is to.  late: ns that quantising moves it.  begun: whether it
    sounds already.  end: ns at which it ends, where its key is up before it has begun.
    """

    playing: Playing
    outputs: tuple[tuple[str, Encoder], ...]
    identity: int
    note: Note
    due: int
    late: int
    begun: bool = False
    end: int | None = None


@dataclass(eq=False)
class _Recording:
    """A theme being played. begin, end: its beats."""

    name: str
    input: str
    begin: Fraction
    end: Fraction
    bar: Fraction
    receipt: Receipt
    notes: list[Touched] = field(default_factory=list)
    down: dict[tuple[str, int], Press] = field(default_factory=dict)


class _Input:
    """An input in use."""

    def __init__(self, spec: InputSpec, number: int) -> None:
        self.spec, self.number = spec, number
        self.keys: dict[int, Keys] = {}
        self.phrases = Phrases()
        self.voices: dict[tuple[int, int], list[_Voice]] = {}
        self.chord_at: int | None = None
        self.bent: set[int] = set()
        self.port = ("", "")  # how it is, and why
        self.echoes: deque[int] = deque(maxlen=ECHOES)
        self.deaf_until = 0

    @property
    def sounding(self) -> tuple[int, ...]:
        return tuple(sorted({pitch for keys in self.keys.values() for pitch in keys.sounding}))


class Keyboard:
    """The inputs of a player's scene.

    alarm: asked for a call of `wake` at that time, in monotonic nanoseconds.
    claims: whoever may take a message for themselves, given the input's name and the bytes; what
    is claimed (a mapped pad) is not played.
    Laws: what an input holds ends when it comes up, when the input is lost and when it is closed;
    nothing here waits.
    """

    def __init__(self, player: Player, alarm: Callable[[int], None] = lambda at: None) -> None:
        self.player, self._alarm = player, alarm
        self.ears: Ears | None = None
        self.claims: list[Callable[[str, bytes], bool]] = []
        self._inputs: dict[int, _Input] = {}
        self._idle: dict[int, _Input] = {}  # whose ports are open, and not played
        self._next = 0
        self._recording: _Recording | None = None
        self._coming: list[_Voice] = []  # quantised, and yet to begin
        self._sent: dict[bytes, int] = {}  # what live notes began with lately, and when
        player.journal.add(self._follow)
        player.ahead.cuts.append(self._cut)

    # Inputs -------------------------------------------------------------------------------

    def use(self, inputs: Mapping[str, InputSpec]) -> None:
        """Have these inputs and no others; what stays the same stays open.

        A virtual port stays there for a scene that names it again: others hold its cables. Where a
        scene has none at all, those that were there stay: nothing of them is played, but knobs and
        programs lead on, and back.
        """
        with self.player.still("inputs"):
            self.player.note("inputs")
            self._use(inputs)

    def _use(self, inputs: Mapping[str, InputSpec]) -> None:
        wanted = dict(inputs)
        for number, one in list(self._inputs.items()):
            if wanted.get(one.spec.name) == one.spec:
                del wanted[one.spec.name]
            else:
                self._lose(one)
                del self._inputs[number]
                if one.spec.port == "virtual" or not inputs:
                    self._idle[number] = one
                else:
                    self._shut(number)
        for spec in wanted.values():
            idle = next((n for n, one in self._idle.items() if one.spec.name == spec.name), None)
            if idle is not None and self._idle[idle].spec.port == spec.port:
                one = self._inputs[idle] = _Input(spec, idle)
                self.state(idle, *self._idle.pop(idle).port)
                continue
            if idle is not None:
                del self._idle[idle]
                self._shut(idle)
            number, self._next = self._next, self._next + 1
            self._inputs[number] = _Input(spec, number)
            if self.ears is not None:
                title = spec.name if spec.port == "virtual" else "in"
                settings = {"name": spec.port, "client": "Componium", "title": title}
                self.ears.open({"port": number, "kind": "midi", **settings})

        while len(self._idle) > MOST_IDLE:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._shut(oldest)

    def _shut(self, number: int) -> None:
        if self.ears is not None:
            self.ears.shut(number)

    def number(self, name: str) -> int | None:
        """The number under which an input is heard; None where there is none of that name."""
        return next((n for n, one in self._inputs.items() if one.spec.name == name), None)

    @property
    def hears(self) -> bool:
        """Whether there is an input at all."""
        return bool(self._inputs)

    def named(self, name: str = "") -> InputSpec:
        """An input by its name, or the first. Errors: Mistake."""
        specs = [one.spec for one in self._inputs.values()]
        for spec in specs:
            if name in ("", spec.name):
                return spec
        if not specs:
            raise Mistake("input", "there is none; name one with --midi-in")
        raise Mistake("input", unknown("input", name, [spec.name for spec in specs]))

    def state(self, number: int, state: str, why: str) -> None:
        """An input's port has opened, is waited for, lost or muted."""
        one = self._inputs.get(number)
        if one is not None and state:
            one.port = state, why
            self.player.journal.enter(Ported(one.spec.name, state, why))
        elif number in self._idle:
            self._idle[number].port = state, why

    def lost(self, number: int, why: str) -> None:
        """Whatever this input holds ends now."""
        one = self._inputs.get(number)
        if one is not None:
            with self.player.still("lost"):
                self.player.note("lost", input=one.spec.name, why=why)
                self._lose(one)

    def close(self) -> None:
        """Let go of everything, and hear nothing more."""
        for number in list(self._inputs):
            self.lost(number, "closed")
            del self._inputs[number]
            self._shut(number)
        while self._idle:
            self._shut(self._idle.popitem()[0])

    def _lose(self, one: _Input) -> None:
        now = self.player.clock.now()
        for channel, keys in one.keys.items():
            for release in keys.let_go(now):
                self._release(one, channel, release)
        for channel in one.bent:
            self._forward(one, bytes((0xE0 | channel, 0, 64)), now)
        one.bent.clear()
        one.keys.clear()
        self._tell_due()

    def heard(self, arrived: Arrived) -> None:
        """A message has come in."""
        one = self._inputs.get(arrived.port) or self._idle.get(arrived.port)
        data = arrived.data
        if one is None or data[0] >= 0xF0:
            return
        channel = data[0] & 0x0F
        if one.spec.channel and channel + 1 != one.spec.channel:
            return
        for claim in self.claims:
            if claim(one.spec.name, data):
                return
        if arrived.port in self._idle:
            return
        with self.player.still("midi"):
            name, heard = one.spec.name, data.hex()
            self.player.note("midi", input=name, data=heard, stamp=arrived.stamp)
            self._hear(one, arrived)

    def _hear(self, one: _Input, arrived: Arrived) -> None:
        data, channel = arrived.data, arrived.data[0] & 0x0F
        now = self.player.clock.now()
        kind = data[0] & 0xF0
        if one.deaf_until and not self._hears_again(one, now):
            return
        if kind == 0x90 and data[2] and self._loops(one, data, now):
            return
        if kind == 0xB0 and data[1] in (120, 123):
            self._lose(one)
        elif kind in (0x80, 0x90) or (kind == 0xB0 and data[1] == PEDAL):
            if kind == 0x90 and data[2] and now - arrived.stamp > STALE:
                return
            keys = one.keys.setdefault(channel, Keys())
            for news in keys.hear(arrived.stamp + one.spec.offset, data):
                if isinstance(news, Press):
                    self._press(one, channel, news)
                else:
                    self._release(one, channel, news)
            self._set_alarm()
        elif kind == 0xE0 or kind == 0xD0 or (kind == 0xB0 and data[1] in _FORWARDED):
            if kind == 0xE0:
                one.bent.add(channel)
            self._forward(one, data, now)

    def _loops(self, one: _Input, data: bytes, now: int) -> bool:
        """Whether what we send comes back, round and round; then the input is not listened to."""
        if now - self._sent.get(data, now - ECHO) >= ECHO:
            return False
        one.echoes.append(now)
        if len(one.echoes) < ECHOES or now - one.echoes[0] > 1_000 * MS:
            return False
        one.echoes.clear()
        one.deaf_until = now + DEAF
        why = "it hears what it has just played: does an output lead back to it? Deaf for 2 s"
        self._lose(one)
        self.state(one.number, "muted", why)
        return True

    def _hears_again(self, one: _Input, now: int) -> bool:
        if now < one.deaf_until:
            return False
        one.deaf_until = 0
        self.state(one.number, "open", "")
        return True

    # Live notes ---------------------------------------------------------------------------

    def _press(self, one: _Input, channel: int, press: Press) -> None:
        name = one.spec.name
        if not one.phrases.playing:
            self.player.make_room(name, True)
        one.phrases.hear(press)
        one.chord_at = press.at + CHORD
        recording = self._recording
        if recording is not None and recording.input == name:
            recording.down[name, press.pitch] = press
        if sum(map(len, one.voices.values())) < MOST_VOICES:
            voices = [
                voice
                for playing in self._through(name)
                if (voice := self._begin(playing, name, press)) is not None
            ]
            if voices:
                one.voices.setdefault((channel, press.pitch), []).extend(voices)

    def _release(self, one: _Input, channel: int, release: Release) -> None:
        one.phrases.hear(release)
        recording = self._recording
        if recording is not None:
            began = recording.down.pop((one.spec.name, release.pitch), None)
            if began is not None:
                touched = Touched(began.at, release.at, began.pitch, began.velocity)
                recording.notes.append(touched)
        for voice in one.voices.pop((channel, release.pitch), ()):
            self._end(voice)

    def _through(self, name: str) -> list[Playing]:
        """The parts that keys of an input sound through."""
        cast = self.player.cast
        return [each for each in cast.parts if each.spec.input == name] if cast else []

    def _begin(self, playing: Playing, name: str, press: Press) -> _Voice | None:
        player, spec = self.player, playing.spec
        now = player.clock.now()
        beat = self._beat(now)
        strip = playing.strip_at(beat)
        if strip.mute:
            return None
        due = now
        if spec.quantise is not None and player.playing:
            beat = quantised(beat, playing.cast.begin, spec.quantise)
            due = max(player.timeline.ns_at(beat), now)
        pitch = playing.part.fitted(press.pitch, beat) + 12 * strip.octave
        pitch = pitch if 0 <= pitch <= 127 else pitch % 12 + (60 if pitch < 0 else 108)
        loud = min(press.velocity / 127 * strip.level, 1.0) ** spec.curve
        if not loud > 0 or not 0 <= pitch <= 127:
            return None
        symbol = Symbol(f"key {press.pitch}", Struck(name, press.pitch))
        note = Note(spec.name, beat, beat, beat + 1, 0, pitch, loud, spec.channel, symbol)
        outputs = tuple((kind, encoder) for _, kind, encoder in playing.outputs)
        voice = _Voice(playing, outputs, player.rack.next_id(), note, due, due - now)
        if due > now:
            self._coming.append(voice)
        else:
            self._sound(voice)
        return voice

    def _sound(self, voice: _Voice) -> None:
        """Have a note begin now."""
        player, note = self.player, voice.note
        voice.begun, voice.due = True, player.clock.now()
        end = voice.due + LONGEST if voice.end is None else max(voice.end, voice.due + MS)
        # An OSC receiver is told a quarter note for want of anything better; its off comes in time.
        quarter = round(60e9 / float(player.timeline.tempo_at(note.start)))
        things = [
            (kind, [each._replace(end=end) if each.off else each for each in events])
            for kind, events in self._events(voice, voice.due + quarter)
        ]
        player.give(things)
        for _, events in things:
            for event in events:
                self._sent.pop(event.on, None)
                self._sent[event.on] = voice.due
        while len(self._sent) > MOST_VOICES:
            del self._sent[next(iter(self._sent))]
        player.ahead.begun.append(Begun(voice.due, note.part, note.symbol.origin))
        player.journal.enter(Pressed(player.moment(note.start, voice.due), note))
        if voice.end is not None:
            self._enter(voice, end)

    def _end(self, voice: _Voice) -> None:
        end = max(self.player.clock.now() + voice.late, voice.due + MS)
        if voice.begun:
            self.player.give(self._events(voice, end))
            self._enter(voice, end)
        else:
            voice.end = end

    def _cut(self, playing: Playing | None) -> None:
        """The live notes of a part, or all, have been ended although their keys are down still."""
        now = self.player.clock.now()
        for one in self._inputs.values():
            for key, voices in list(one.voices.items()):
                cut = [v for v in voices if v.begun and playing in (None, v.playing)]
                for voice in cut:
                    voices.remove(voice)
                    end = max(now, voice.due + MS)
                    # A wire that has not fallen silent in a gap must end it all the same.
                    self.player.give(self._events(voice, end))
                    self._enter(voice, end)
                if not voices:
                    del one.voices[key]

    def _enter(self, voice: _Voice, end: int) -> None:
        start, over = voice.note.start, self._beat(end)
        note = voice.note._replace(end=max(over, start + Fraction(1, _FINEST)))
        moment = self.player.moment(start, voice.due)
        self.player.journal.enter(Played(moment, note, (end - voice.due) / 1e9))

    def _begin_due(self, now: int) -> None:
        """Have the notes begin whose line has come; those of a part muted since are left out."""
        coming, self._coming = self._coming, []
        for voice in coming:
            if self.player.timeline.ns_at(voice.note.start) > now:
                self._coming.append(voice)
            elif not voice.playing.strip_at(voice.note.start).mute:
                self._sound(voice)

    def _follow(self, entry: Entry) -> None:
        """What waits for its line does not come when the transport has stopped."""
        if isinstance(entry, Moved) and entry.state == "stopped":
            self._coming.clear()

    @staticmethod
    def _events(voice: _Voice, end: int) -> Iterable[tuple[str, list[Event]]]:
        for index, (kind, encoder) in enumerate(voice.outputs):
            identity = voice.identity << 24 | index << 2
            number = voice.playing.number
            yield kind, list(encoder.note(identity, number, voice.note, voice.due, end))

    def _forward(self, one: _Input, data: bytes, now: int) -> None:
        """Bends, pressure and the like go to the synths of the parts that the keys play."""
        things: list[Sent] = []
        for playing in self._through(one.spec.name):
            for _, kind, encoder in playing.outputs:
                if isinstance(encoder, WebEncoder):
                    identity, channel = self.player.rack.next_id() << 24, playing.spec.channel
                    things.append(
                        (kind, encoder.touch(identity, playing.number, data, channel, now))
                    )
                    continue
                port = (
                    encoder.ports.get(playing.number) if isinstance(encoder, MidiEncoder) else None
                )
                if port is not None:
                    own = bytes((data[0] & 0xF0 | playing.spec.channel - 1, *data[1:]))
                    identity = self.player.rack.next_id() << 24
                    event = Event(identity, now, 0, playing.number, port, RANK_CONTROL, 0, own)
                    things.append((kind, [event]))
        self.player.give(things)

    def _beat(self, ns: int) -> Fraction:
        beat = self.player.timeline.beat_at(ns)
        return max(Fraction(round(beat * _FINEST), _FINEST), Fraction(0))

    # What engines are told ------------------------------------------------------------------

    def wake(self) -> None:
        """Tell of the phrases and chords that are whole by now; end a recording that is over."""
        with self.player.still("alarm"):
            self.player.note("alarm")
            self._tell_due()

    def _tell_due(self) -> None:
        now = self.player.clock.now()
        self._begin_due(now)
        for one in self._inputs.values():
            ends = one.phrases.ends_at
            if ends is not None and ends <= now:
                self._tell_phrase(one)
            if one.chord_at is not None and one.chord_at <= now:
                one.chord_at = None
                self._tell_chord(one)
        recording = self._recording
        if recording is not None and self._over(recording) <= now:
            self._recording = None
            self._finish(recording)
        self._set_alarm()

    def _set_alarm(self) -> None:
        times = [one.phrases.ends_at for one in self._inputs.values()]
        times += [one.chord_at for one in self._inputs.values()]
        times += [self.player.timeline.ns_at(voice.note.start) for voice in self._coming]
        if self._recording is not None:
            times.append(self._over(self._recording))
        soonest = min((time for time in times if time is not None), default=None)
        if soonest is not None:
            self._alarm(soonest)

    def _tell_phrase(self, one: _Input) -> None:
        notes = one.phrases.take()
        begin = self._beat(notes[0].at)
        sounds = []
        for note in notes:
            at = self._beat(note.at) - begin
            length = max(self._beat(note.end) - begin - at, Fraction(1, _FINEST))
            sounds.append(Sound(at, length, note.pitch, note.velocity / 127))
        length = max(sound.at + sound.length for sound in sounds)
        self.player.make_room(one.spec.name, False)
        self.player.tell(one.spec.name, Heard(begin, Fragment(length, tuple(sounds))))

    def _tell_chord(self, one: _Input) -> None:
        player, held = self.player, one.sounding
        setting = player.setting
        beat = self._beat(player.clock.now())
        key = setting.bar(beat).key if setting is not None else None
        chord = recognised(held, key)
        if chord is not None:
            player.tell(one.spec.name, Held(beat, chord.name, held))

    # Themes ---------------------------------------------------------------------------------

    def record(self, name: str, bars: int = 4, source: str = "", told: Told = None) -> Receipt:
        """Take what is played from the next bar on as a theme of the scene.

        It takes the place of the theme of that name, or becomes one more, at the phrase that
        begins after so many bars. Whatever chords the scene had meanwhile are its chords.
        Errors: Mistake where the transport stands, no input has that name, or no theme may.
        """
        player, spec = self.player, self.named(source)
        cast = player.cast
        if cast is None or not player.playing:
            raise Mistake("theme", "the transport is stopped; play first")
        cast.scene.themes.check(name)
        begin = player.boundary("bar")
        place = cast.setting.place(begin)
        end = cast.setting.beat_of_bar(place.bar + bars)
        if self._recording is not None:
            self._recording.receipt.become("superseded", "by another recording")
        receipt = player.receipt(end, told)
        self._recording = _Recording(name, spec.name, begin, end, place.meter.length, receipt)
        receipt.become("armed", f"recording {spec.name} from bar {place.bar} on")
        self._set_alarm()
        return receipt

    def _over(self, recording: _Recording) -> int:
        return self.player.timeline.ns_at(recording.end)

    def _finish(self, recording: _Recording) -> None:
        player, cast = self.player, self.player.cast
        now = player.clock.now()
        played = [
            *recording.notes,
            *(Touched(p.at, now, p.pitch, 0) for p in recording.down.values()),
        ]
        notes: list[tuple[Fraction, int, Fraction]] = []
        length = recording.end - recording.begin
        for note in played:
            at = _line(self._beat(note.at) - recording.begin)
            end = min(max(_line(self._beat(note.end) - recording.begin), at + _SIXTEENTH), length)
            if 0 <= at < length:  # a note that comes a little early belongs to the first beat
                notes.append((at, note.pitch, end - at))
        receipt = recording.receipt
        if cast is None or not player.playing:
            receipt.become("cancelled", "the transport stopped")
            return
        if not notes:
            receipt.become("refused", "nothing was played")
            return
        key = cast.setting.bar(max(recording.end - _SIXTEENTH, cast.begin)).key.heptatonic
        tonic, scale = key.tonic.semitone, key.pitch_classes
        try:
            theme = motif.from_pitches(notes, tonic, scale, recording.name, recording.bar)
        except Mistake as mistake:
            receipt.become("refused", mistake.problem)
            return
        chords = _harmony(cast.setting, recording.begin, theme.length)
        theme = replace(theme, chords=chords)

        def apply(beat: Fraction) -> None:
            playing = player.cast_at(beat)
            playing.renew(playing.scene.with_theme(theme))

        def why() -> str:
            if not chords:
                return "without chords: nothing in the scene says any"
            return f"with its {len(chords)} chord{'s' if len(chords) > 1 else ''}"

        topic = ("theme", recording.name, "record")
        player.at("phrase", topic, apply, receipt.told, unplanned=True, why=why)


def quantised(beat: Fraction, origin: Fraction, grid: Fraction) -> Fraction:
    """The line that a note belongs to: the next, or the last where it is only a little late.

    Law: no earlier than a quarter of the grid before the beat, and earlier than the next but one.
    """
    late = (beat - origin) % grid
    return beat - late if late <= grid * LATE else beat - late + grid


def _harmony(setting: Setting, begin: Fraction, length: Fraction) -> motif.Chords:
    """The chords of a scene from a beat on, as numbers of the key; none where it has none there.

    They change on sixteenths; what is harmonised only from some beat on has its first chord before.
    """
    end, lines = begin + length, dict[Fraction, str]()
    for at, chord in setting.harmonies:
        line = max(_line(at - begin), Fraction(0))
        if at < end and line < length:
            key = setting.bar(max(at, begin)).key
            lines[line] = numeral(chord, key)
    row: list[tuple[str, Fraction]] = []
    for line, after in pairwise([*sorted(lines), length]):
        if row and row[-1][0] == lines[line]:
            row[-1] = row[-1][0], row[-1][1] + after - line
        else:
            row.append((lines[line], after - line))
    if row and (late := min(lines)):
        row[0] = row[0][0], row[0][1] + late
    return tuple(row)


def _line(beat: Fraction) -> Fraction:
    return round(beat / _SIXTEENTH) * _SIXTEENTH
