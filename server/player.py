"""The one loop that waits: plans ahead of the clock, hands the wire its events, keeps the journal.

Everything a performer can do to a playing scene is a method here; the desk only calls them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import count

from engines.base import Mistake

from .clock import Clock
from .encode import MidiEncoder
from .journal import (
    Harmonised,
    Journal,
    Marked,
    Moment,
    Moved,
    Played,
    Ported,
    Ticked,
    Troubled,
    Turned,
)
from .mixer import Mixer, Strip
from .music.note import Note, Step, Turn
from .music.timeline import Timeline
from .part import Agenda, Part, PartSpec, Setting, Trouble
from .perform import perform
from .rack import Rack
from .scene import Scene
from .wire.protocol import Event

HORIZON = 100_000_000  # ns that the plan runs ahead of the clock
LEAD_IN = 60_000_000  # ns from play to the first beat
MARGIN = 5_000_000  # ns that a boundary must be away to be caught
STALLED = 250_000_000  # ns without planning after which the wires have fallen silent
ASLEEP = 60 * 10**9  # ns of absence after which we go on where we were, not where we would be
PULSES = 24  # MIDI clock pulses in a quarter note
_PULSE_IDS = 1 << 46  # ids of pulses lie above those of steps
TRANSPORT = 0  # the part number of beats, chords and clock; parts count from 1


@dataclass
class Receipt:
    """What became of a command that takes effect at a musical moment.

    beat: when it takes effect, in quarter notes since the start; bar: the same for people.
    state: "armed", "done", "refused" or "superseded"; `told` is called at each change.
    """

    beat: Fraction
    bar: float
    state: str = "armed"
    reason: str = ""
    told: Callable[[Receipt], None] | None = None

    def become(self, state: str, reason: str = "") -> None:
        self.state, self.reason = state, reason
        if self.told is not None:
            self.told(self)


class _Pending:
    """Something planned and not yet over: kept so that it can be performed again."""

    __slots__ = ("acts", "beat", "due", "events", "heard", "item", "notes", "over", "part")

    def __init__(self, part: _Playing | None, beat: Fraction, item: Step | _Tell) -> None:
        self.part, self.beat, self.item = part, beat, item
        self.notes: list[tuple[int, Note, int, int]] = []
        self.due = 0
        self.over = 0
        self.heard = False


@dataclass(frozen=True)
class _Tell:
    """Something about the piece as a whole, said to whoever listens."""

    id: int
    address: str = ""
    args: tuple[int | float | str, ...] = ()
    pulse: bytes = b""


class _Playing:
    """A part on stage: its stream, its number on the wires, its own seed, the desk it is on."""

    __slots__ = ("mixer", "number", "part", "seed")

    def __init__(self, part: Part, number: int, seed: int, mixer: Mixer) -> None:
        self.part, self.number, self.seed, self.mixer = part, number, seed, mixer

    def strip_at(self, beat: Fraction) -> Strip:
        return self.mixer.at(self.part.spec.name, beat)


def part_seed(seed: int, name: str) -> int:
    """64 bits for a part's own small decisions, from the scene's seed and the part's name."""
    value = seed & (2**64 - 1)
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64  # FNV-1a (Fowler, Noll & Vo, 1991)
    return value


class Player:
    """Plays one scene after another on one timeline.

    wall: nanoseconds since 1970, for time tags.  boot: nanoseconds that run on while the
    machine sleeps and the monotonic clock stands; after a sleep we "stop" or "play" on.
    horizon: how far to plan ahead, ns.
    """

    def __init__(
        self,
        clock: Clock,
        rack: Callable[[Callable[[], int]], Rack] | None = None,
        journal: Journal | None = None,
        horizon: int = HORIZON,
        wall: Callable[[], int] = time.time_ns,
        boot: Callable[[], int] | None = None,
        after_sleep: str = "stop",
    ) -> None:
        self.clock, self.horizon, self._wall, self._boot = clock, horizon, wall, boot
        self.period = max(horizon // 4, 1_000_000)
        self.journal = journal or Journal()
        ids = count(1)
        self._next_id: Callable[[], int] = ids.__next__
        self.rack = rack(self._next_id) if rack is not None else Rack({}, self._next_id)
        self._numbers = count(1)
        self.scene: Scene | None = None
        self.setting: Setting | None = None
        self.playing = False
        self.timeline = Timeline.starting(120.0)
        self._parts: list[_Playing] = []
        self._mixer = Mixer(())
        self._agenda = Agenda([])
        self._pending: list[_Pending] = []
        self._changes: list[tuple[Fraction, int, Callable[[Fraction], None], Receipt]] = []
        self._armed: list[Receipt] = []
        self._frontier = Fraction(0)  # planned until here
        self._told = Fraction(0)  # beats told until here
        self._pulse = 0  # the next MIDI clock pulse, counted from beat 0
        self._run = 0  # how often the transport has started
        self._start_ns = 0
        self._stopped_at = Fraction(0)
        self._end: Fraction | None = None
        self._expected = clock.now()
        self._asleep = boot() - clock.now() if boot is not None else 0
        self._after_sleep = after_sleep
        self._sweep_at = 0
        self._chord = ""

    # The loop ---------------------------------------------------------------------------

    async def run(self, until: Callable[[], bool] | None = None) -> None:
        """Keep playing until `until()` says so, or the piece has ended of itself."""
        while True:
            self.wake()
            if (until is not None and until()) or self.ended:
                return
            await self.clock.sleep_until(self._expected)

    def wake(self) -> None:
        """Everything that is due: note what has sounded, plan what comes within the horizon."""
        now = self.clock.now()
        self.rack.set_wall(self._wall() - now)
        late, self._expected = now - self._expected, now + self.period
        reach = now + self.horizon + self.rack.lead
        if self.playing:
            if self._slept(now):
                self._wake_up(now)
            elif late > STALLED:
                self._recover(now, late)
            self._commit(now)
            self._plan(self.timeline.beat_at(reach))
        self._send_pulses(reach)
        self._settle(now)

    @property
    def ended(self) -> bool:
        """Whether nothing more will ever sound: a limit is reached, or every engine has ended."""
        if not self.playing or any(pending.notes for pending in self._pending):
            return False
        if self._end is not None and self.timeline.beat_at(self.clock.now()) >= self._end:
            return True
        return bool(self._parts) and self._agenda.finished

    def _slept(self, now: int) -> bool:
        """Whether the machine was suspended since the last look."""
        if self._boot is None:
            return False
        gap = self._boot() - now
        grown, self._asleep = gap - self._asleep, gap
        return grown > 10**9

    def _wake_up(self, now: int) -> None:
        self.stop()
        self.rack.reopen()
        self._enter(Troubled("clock", "the machine has slept; continue goes on from here"))
        if self._after_sleep == "play":
            self.resume()

    def _recover(self, now: int, stalled: int) -> None:
        # The wires have silenced everything meanwhile; nothing of the gap is played later.
        if stalled > ASLEEP:
            beat = self.timeline.beat_at(now - stalled)
            self.timeline = self.timeline.through(beat, now)
            self.rack.recall()
            self._reissue()
        else:
            self._plan(self.timeline.beat_at(now), silent=True)
            self._pending = [pending for pending in self._pending if pending.due > now]
            self._reissue()
        self._enter(Troubled("clock", f"{stalled / 1e9:.1f} s without planning; gone on in time"))
        self._relocate(now)

    # Planning ---------------------------------------------------------------------------

    def _plan(self, until: Fraction, silent: bool = False) -> None:
        if self._end is not None:
            until = min(until, self._end)
        while self._changes and self._changes[0][0] <= until:
            beat, _, apply, receipt = heappop(self._changes)
            self._plan_to(max(beat, self._frontier), silent)
            apply(beat)
            self._armed.append(receipt)
        if until > self._frontier:
            self._plan_to(until, silent)

    def _plan_to(self, until: Fraction, silent: bool = False) -> None:
        planned, troubles = self._agenda.plan(until)
        stage = {id(playing.part): playing for playing in self._parts}
        fresh = [_Pending(stage[id(part)], step.beat, step) for part, step in planned]
        fresh += self._tell_beats(until)
        fresh += [
            _Pending(None, pending.beat, tell)
            for pending in fresh
            if isinstance(pending.item, Step) and pending.item.chord is not None
            if pending.part is not None and pending.part.part.leads
            if (tell := self._tell_chord(pending.item)) is not None
        ]
        self._frontier = max(self._frontier, until)
        for trouble in troubles:
            self._trouble(trouble)
        if silent:
            return
        self._issue(fresh)
        self._pending += fresh
        setting = self.setting
        if setting is not None:
            setting.harmonies.forget(until - 64)
            self._mixer.forget(until - 64)

    def _tell_beats(self, until: Fraction) -> list[_Pending]:
        assert self.setting is not None
        out: list[_Pending] = []
        while self._told < until:
            beat = self._told
            bar, position, meter = self.setting.place(beat)
            tempo = self.timeline.tempo_at(beat)
            tell = _Tell(self._next_id(), "/beat", (bar, meter.beat_in_bar(position), float(tempo)))
            out.append(_Pending(None, beat, tell))
            self._told = beat + meter.beat_length
        return out

    def _tell_chord(self, step: Step) -> _Tell | None:
        chord = step.chord
        assert chord is not None
        if chord.name == self._chord:
            return None
        self._chord = chord.name
        return _Tell(self._next_id(), "/chord", (chord.name, *chord.pitch_classes))

    def _trouble(self, trouble: Trouble) -> None:
        self._enter(Troubled(f"parts.{trouble.part}", trouble.text))

    # Performing -------------------------------------------------------------------------

    def _issue(self, fresh: list[_Pending]) -> None:
        """Perform these under the controls of the moment and give the wires what comes of it."""
        batches: dict[str, list[Event]] = {kind: [] for kind in self.rack.wires}
        for pending in fresh:
            self._perform(pending)
            self._encode(pending, batches)
        self.rack.send(batches)

    def _perform(self, pending: _Pending) -> None:
        line, item, playing = self.timeline, pending.item, pending.part
        pending.due = line.ns_at(pending.beat)
        pending.over = pending.due
        pending.notes = []
        if playing is None or not isinstance(item, Step) or not item.tones:
            return
        assert self.setting is not None
        strip = playing.strip_at(pending.beat)
        for number, note in perform(
            playing.part.spec, playing.part.setting, strip, playing.seed, item
        ):
            due = line.ns_at(note.start) + note.nudge
            end = max(line.ns_at(note.end) + note.nudge, due + 1_000_000)
            pending.notes.append((number, note, due, end))
            pending.over = max(pending.over, end)
        if pending.notes:
            pending.due = min(due for _, _, due, _ in pending.notes)

    def _encode(self, pending: _Pending, batches: Mapping[str, list[Event]]) -> None:
        item, playing = pending.item, pending.part
        base = item.id << 16
        for index, (name, patched) in enumerate(self.rack.outputs.items()):
            batch, encoder = batches[patched.spec.kind], patched.encoder
            if isinstance(item, _Tell):
                if item.address:
                    batch += encoder.tell(
                        base | index, TRANSPORT, item.address, item.args, pending.due
                    )
            elif playing is not None and name in playing.part.spec.outputs:
                number = playing.number
                for tone, note, due, end in pending.notes:
                    batch += encoder.note(
                        base | tone << 8 | index << 2,
                        number,
                        tone,
                        note,
                        due,
                        end,
                        (end - due) / 1e9,
                    )
                if item.acts and not playing.strip_at(pending.beat).mute:
                    for nth, act in enumerate(item.acts):
                        batch += encoder.act(
                            base | (255 - nth) << 8 | index << 2 | 3,
                            number,
                            act,
                            playing.part.spec.channel,
                            pending.due,
                        )

    def _reissue(
        self,
        playing: _Playing | None = None,
        ending: Fraction | None = None,
        ahead_only: bool = False,
    ) -> None:
        """Perform again what is not over yet: of one part, or of all.

        ending: no note goes on beyond this beat.  ahead_only: leave alone what has begun.
        """
        now = self.clock.now()
        batches: dict[str, list[Event]] = {kind: [] for kind in self.rack.wires}
        for pending in self._pending:
            if playing is not None and pending.part is not playing:
                continue
            begun = pending.heard or pending.due <= now
            if begun and ahead_only:
                continue
            if not begun:
                self._perform(pending)
            self._move_ends(pending, ending)
            self._encode(pending, batches)
        self.rack.send(batches)

    def _move_ends(self, pending: _Pending, ending: Fraction | None) -> None:
        # What has begun keeps its beginning; its end follows the new tempo.
        moved = []
        for number, note, due, _ in pending.notes:
            if ending is not None and note.end > ending:
                note = note._replace(end=ending)
            end = max(self.timeline.ns_at(note.end) + note.nudge, due + 1_000_000)
            moved.append((number, note, due, end))
            pending.over = max(pending.over, end)
        pending.notes = moved

    # What has sounded -------------------------------------------------------------------

    def _commit(self, now: int) -> None:
        heard = [pending for pending in self._pending if pending.due <= now and not pending.heard]
        heard.sort(key=lambda pending: pending.due)
        for pending in heard:
            pending.heard = True
            self._note_down(pending)
        if heard or self._pending:
            self._pending = [
                pending for pending in self._pending if not pending.heard or pending.over > now
            ]

    def moment(self, beat: Fraction, ns: int | None = None) -> Moment:
        """What people call this beat."""
        ns = self.timeline.ns_at(beat) if ns is None else ns
        seconds = (ns - self._start_ns) / 1e9
        if self.setting is None:
            return Moment(seconds, beat, 1, 1.0)
        bar, position, meter = self.setting.place(beat)
        return Moment(seconds, beat, bar, 1 + float(position / meter.beat_length))

    def _note_down(self, pending: _Pending) -> None:
        item = pending.item
        if isinstance(item, _Tell):
            moment = self.moment(pending.beat, pending.due)
            if item.address == "/beat":
                assert self.setting is not None
                meter = self.setting.place(pending.beat).meter
                self._enter(Ticked(moment, float(item.args[2]), meter.name))
            elif item.address == "/chord":
                classes = tuple(int(arg) for arg in item.args[1:])
                self._enter(Harmonised(moment, str(item.args[0]), classes))
            return
        for _, note, due, end in pending.notes:
            self._enter(Played(self.moment(note.start, due), note, (end - due) / 1e9))
        playing = pending.part
        for act in item.acts:
            if isinstance(act, Turn) and playing is not None:
                spec = playing.part.spec
                moment = self.moment(pending.beat, pending.due)
                self._enter(Turned(moment, spec.name, spec.channel, act.controller, act.value))

    def _enter(self, entry: object) -> None:
        self.journal.enter(entry)  # type: ignore[arg-type]

    def _settle(self, now: int) -> None:
        """Tell the receipts whose moment has come."""
        done = [receipt for receipt in self._armed if self.timeline.ns_at(receipt.beat) <= now]
        for receipt in done:
            self._armed.remove(receipt)
            receipt.become("done")
        if self._sweep_at and now >= self._sweep_at:
            self._sweep_at = 0
            self.rack.sweep()

    # The transport ----------------------------------------------------------------------

    def cue(self, scene: Scene) -> None:
        """Make ready to play a scene from its beginning; what plays now is stopped."""
        if self.playing:
            self.stop()
        self._set(scene, Fraction(0))

    def _set(self, scene: Scene, begin: Fraction) -> None:
        self.scene = scene
        self.setting = Setting(
            scene.seed, scene.key, scene.meters, begin, values=dict(scene.controls)
        )
        self._chord = ""
        self._mixer = Mixer(scene.parts)
        self._parts = [
            _Playing(
                Part(spec, self.setting, self._next_id),
                next(self._numbers) % 65_000 + 1,
                part_seed(scene.seed, spec.name),
                self._mixer,
            )
            for spec in scene.parts
        ]
        self._agenda = Agenda([playing.part for playing in self._parts], begin)
        self.rack.patch(scene.outputs, {p.number: p.part.spec for p in self._parts})
        self._sweep_at = self.timeline.ns_at(begin) + 1_000_000_000

    def play(self, end_bar: int | None = None) -> None:
        """From the beginning, with the scene's seed. end_bar: the last bar to play."""
        if self.scene is None:
            raise Mistake("play", "no scene is loaded; load one first")
        if self.playing:
            return
        now = self.clock.now()
        self._drop_changes()
        self._set(self.scene, Fraction(0))
        self._pending.clear()
        self._start_ns = now + LEAD_IN
        self.timeline = Timeline.starting(self.scene.tempo, ns=self._start_ns)
        self._frontier = self._told = Fraction(0)
        assert self.setting is not None
        self._end = self.setting.meters.beat_of_bar(end_bar + 1) if end_bar else None
        self._begin(now, b"\xfa")

    def resume(self) -> None:
        """Go on from where `stop` halted, on the next sixteenth."""
        if self.playing or self.scene is None:
            return
        if self._frontier == 0:
            self.play()
            return
        now = self.clock.now()
        sixteenth = Fraction(1, 4)
        beat = -(-self._stopped_at // sixteenth) * sixteenth
        tempo_line = self.timeline
        self.timeline = tempo_line.through(beat, now + LEAD_IN)
        self._start_ns += self.timeline.ns_at(beat) - tempo_line.ns_at(beat)
        self._pending = [pending for pending in self._pending if pending.beat >= beat]
        for pending in self._pending:
            self._perform(pending)
        self._begin(now, b"\xfb", beat)
        self._reissue()

    def _begin(self, now: int, status: bytes, beat: Fraction = Fraction(0)) -> None:
        self.playing = True
        self._run = (self._run + 1) % 2**14
        self._expected = now
        self.rack.recall(TRANSPORT)
        self.rack.programs(now)
        due = self.timeline.ns_at(beat)
        self._pulse = -(-beat.numerator * PULSES // beat.denominator)
        if status == b"\xfb":
            self._clock_message(song_position(beat), now)
        self._clock_message(status, due - 1_000_000)
        self._say("/transport", ("playing",), now)
        assert self.scene is not None
        self._say("/key", (self.scene.key.name,), now)
        moment = self.moment(beat)
        self._enter(Moved(moment, "playing"))
        self._enter(Marked(moment, "scene", self.scene.title))
        self._enter(Marked(moment, "key", self.scene.key.name))
        self.wake()

    def stop(self) -> None:
        """Halt, with every sounding note ended. `resume` goes on; `play` begins again."""
        now = self.clock.now()
        if self.playing:
            self._commit(now)
            self._stopped_at = self.timeline.beat_at(now)
            self.playing = False
            self._clock_message(b"\xfc", now)
            self._say("/transport", ("stopped",), now)
            self._enter(Moved(self.moment(self._stopped_at), "stopped"))
            self._pulse = int(self._stopped_at * PULSES) + 1
        for playing in self._parts:
            self.rack.recall(playing.number)
        self.rack.everywhere("silence")
        self._pending = [pending for pending in self._pending if not pending.heard]
        self._drop_changes()

    def panic(self) -> None:
        """Stop, and tell every synth to be quiet in every way it may understand."""
        self.stop()
        self.rack.everywhere("panic")

    def _drop_changes(self) -> None:
        receipts = [*(receipt for *_, receipt in self._changes), *self._armed]
        self._changes.clear()
        self._armed.clear()
        for receipt in receipts:
            receipt.become("superseded", "the transport stopped")

    # Changes ----------------------------------------------------------------------------

    @property
    def now_beat(self) -> Fraction:
        """The beat at this moment; 0 while nothing has been played."""
        if not self.playing:
            return self._stopped_at
        return max(self.timeline.beat_at(self.clock.now()), Fraction(0))

    def boundary(self, when: str) -> Fraction:
        """The beat that a word for a musical moment means from now.

        when: now, beat, bar, phrase, or a multiple such as `2 beats`, `4 bars`, `2 phrases`,
        counted from the scene's beginning.  Errors: Mistake.
        """
        now = self.now_beat
        if when == "now" or not self.playing or self.setting is None or self.scene is None:
            if when != "now":
                parse_when(when)
            return now
        number, unit = parse_when(when)
        begin, meters = self.setting.begin, self.setting.meters
        near = self.timeline.beat_at(self.clock.now() + MARGIN) - begin
        near = max(near, Fraction(0))
        if unit == "beat":
            if number == 1:
                return begin + meters.next_beat(near)
            length = meters.bar_at(near).meter.beat_length * number
            return begin + -(-near // length) * length
        every = number * (self.scene.phrase if unit == "phrase" else 1)
        bar = meters.bar_at(meters.next_bar(near)).bar
        return begin + meters.beat_of_bar(1 + -(-(bar - 1) // every) * every)

    def _receipt(self, beat: Fraction, told: Callable[[Receipt], None] | None) -> Receipt:
        bar = 1.0
        if self.setting is not None:
            place = self.setting.place(beat)
            bar = place.bar + float(place.position / place.meter.length)
        return Receipt(beat, bar, told=told)

    def _at(
        self,
        beat: Fraction,
        apply: Callable[[Fraction], None],
        told: Callable[[Receipt], None] | None,
        immediate: bool,
    ) -> Receipt:
        """Apply now what reaches into the future by itself; else when the plan gets there."""
        receipt = self._receipt(beat, told)
        if not self.playing:
            apply(beat)
            receipt.become("done")
            return receipt
        receipt.become("armed")
        if immediate or beat <= self._frontier:
            apply(beat)
            self._armed.append(receipt)
            self._settle(self.clock.now())
        elif len(self._changes) >= 256:
            receipt.become("refused", "256 changes are waiting already")
        else:
            heappush(self._changes, (beat, self._next_id(), apply, receipt))
        return receipt

    def tempo(
        self,
        bpm: float,
        over: Fraction = Fraction(0),
        when: str = "now",
        told: Callable[[Receipt], None] | None = None,
    ) -> Receipt:
        """A new tempo (20 to 999), reached after `over` quarter notes; no beat jumps."""

        def apply(beat: Fraction) -> None:
            self.timeline = self.timeline.with_tempo(bpm, beat, over)
            if self.playing:
                self._reissue()
                self._resend_pulses()

        return self._at(self.boundary(when), apply, told, immediate=False)

    def strip(
        self,
        name: str,
        field: str,
        value: bool | float | int,
        when: str = "now",
        told: Callable[[Receipt], None] | None = None,
    ) -> Receipt:
        """Mute, solo, level, density or octave of a part, from a moment on."""
        self._part(name)

        def apply(beat: Fraction) -> None:
            before = [playing.strip_at(beat) for playing in self._parts]
            self._mixer.set(name, beat, field, value)
            for playing, old in zip(self._parts, before, strict=True):
                new = playing.strip_at(beat)
                if new != old:
                    self._restrip(playing, new.mute and not old.mute and beat <= self.now_beat)

        return self._at(self.boundary(when), apply, told, immediate=True)

    def _restrip(self, playing: _Playing, cut: bool) -> None:
        if not self.playing:
            return
        if cut:
            self.rack.cut(playing.number)
            for pending in self._pending:
                if pending.part is playing and pending.due <= self.clock.now():
                    pending.over, pending.notes = 0, []
        else:
            self.rack.recall(playing.number)
        self._reissue(playing)

    def _part(self, name: str) -> _Playing:
        for playing in self._parts:
            if playing.part.spec.name == name:
                return playing
        there = ", ".join(playing.part.spec.name for playing in self._parts)
        raise Mistake(f"part {name}", f"no part has this name; there are: {there}")

    def strips(self) -> dict[str, Strip]:
        """Every part's controls as they were last asked for."""
        return {spec.name: self._mixer.asked(spec.name) for spec in self._specs}

    @property
    def _specs(self) -> tuple[PartSpec, ...]:
        return self.scene.parts if self.scene is not None else ()

    def control(self, name: str, value: float) -> None:
        """Set a live control that engines may read, from the next symbol on."""
        if self.setting is None or name not in self.setting.values:
            there = ", ".join(self.setting.values) if self.setting else ""
            raise Mistake(f"control {name}", f"the scene has no such control; it has: {there}")
        self.setting.values[name] = value

    def change_scene(
        self, scene: Scene, when: str = "bar", told: Callable[[Receipt], None] | None = None
    ) -> Receipt:
        """Another scene takes over at a boundary: nothing of the old one begins after it."""

        def apply(beat: Fraction) -> None:
            if not self.playing:
                self.cue(scene)
                return
            for playing in self._parts:
                self.rack.recall(playing.number)
            self._pending = [pending for pending in self._pending if pending.beat < beat]
            self._reissue(ending=beat)
            reached, self._frontier, self._told = self._frontier, beat, beat
            self._set(scene, beat)
            self.timeline = self.timeline.with_tempo(scene.tempo, beat)
            self.rack.recall(TRANSPORT)
            self.rack.programs(self.clock.now())
            self._reissue()
            self._resend_pulses()
            due = self.timeline.ns_at(beat)
            self._say("/key", (scene.key.name,), due)
            moment = self.moment(beat)
            self._enter(Marked(moment, "scene", scene.title))
            self._enter(Marked(moment, "key", scene.key.name))
            if reached > beat:
                self._plan(reached)

        return self._at(self.boundary(when), apply, told, immediate=False)

    # MIDI clock -------------------------------------------------------------------------

    def _clocked(self) -> list[tuple[int, MidiEncoder]]:
        return [
            (index, patched.encoder)
            for index, patched in enumerate(self.rack.outputs.values())
            if patched.spec.clock and isinstance(patched.encoder, MidiEncoder)
        ]

    def _send_pulses(self, reach: int) -> None:
        """Clock pulses run on while stopped, so that followers keep the tempo."""
        clocked = self._clocked()
        if not clocked:
            return
        line, until = self.timeline, self.timeline.beat_at(reach)
        self._pulse = max(self._pulse, int(line.beat_at(self.clock.now()) * PULSES) - 1)
        events: list[Event] = []
        while Fraction(self._pulse, PULSES) < until:
            due = line.ns_at(Fraction(self._pulse, PULSES))
            # A pulse keeps its id when it is sent again, so that none is lost or doubled.
            identity = (_PULSE_IDS | self._run << 32 | self._pulse) << 16
            for index, encoder in clocked:
                events += encoder.clock(identity | index << 8, TRANSPORT, b"\xf8", due)
            self._pulse += 1
        self.rack.send({"midi": events} if events else {})

    def _resend_pulses(self) -> None:
        """Place the pulses that are still to come on the timeline as it is now."""
        if self._clocked():
            now = self.clock.now()
            self._pulse = max(int(self.timeline.beat_at(now) * PULSES), 0)
            self._send_pulses(now + self.horizon)

    def _clock_message(self, data: bytes, due: int) -> None:
        for index, encoder in self._clocked():
            identity = self._next_id() << 16 | index << 8
            self.rack.send({"midi": list(encoder.clock(identity, TRANSPORT, data, due))})

    def _relocate(self, now: int) -> None:
        """After a gap followers have lost count: tell them where we are."""
        if not self._clocked():
            return
        sixteenth = Fraction(1, 4)
        beat = -(-self.timeline.beat_at(now + 2 * MARGIN) // sixteenth) * sixteenth
        self._clock_message(b"\xfc", now)
        self._clock_message(song_position(beat), now + 1)
        self._clock_message(b"\xfb", self.timeline.ns_at(beat) - 1_000_000)

    # Outputs ----------------------------------------------------------------------------

    def _say(self, address: str, args: tuple[int | float | str, ...], due: int) -> None:
        batches: dict[str, list[Event]] = {kind: [] for kind in self.rack.wires}
        identity = self._next_id() << 16
        for index, patched in enumerate(self.rack.outputs.values()):
            batches[patched.spec.kind] += patched.encoder.tell(
                identity | index, TRANSPORT, address, args, due
            )
        self.rack.send(batches)

    def port_state(self, kind: str, port: int, state: str, why: str) -> None:
        """A wire tells what became of a port."""
        label = self.rack.labels.get((kind, port), f"{kind} {port}")
        self._enter(Ported(label, state, why))
        if state == "open":
            self.rack.programs(self.clock.now(), kind, port)

    def wire_silenced(self, why: str) -> None:
        """A wire fell silent by itself; give it again what is still to come."""
        self._enter(Troubled("wire", why))
        if self.playing:
            self._reissue()

    def wire_restarted(self, why: str) -> None:
        """A wire died and a new one has taken its place; the owed offs are paid already."""
        self._enter(Troubled("wire", why))
        self.rack.programs(self.clock.now())
        if self.playing:
            self._reissue(ahead_only=True)
            self._resend_pulses()


def song_position(beat: Fraction) -> bytes:
    """MIDI song position pointer for a beat: sixteenths in 14 bits, least significant first."""
    sixteenths = min(int(beat * 4), 0x3FFF)
    return bytes((0xF2, sixteenths & 127, sixteenths >> 7))


def parse_when(text: str) -> tuple[int, str]:
    """`beat`, `bar`, `phrase`, `4 bars` … as a number and a unit; Mistake otherwise."""
    words = text.split()
    number, unit = (words[0], words[1]) if len(words) == 2 else ("1", text)
    unit = unit.removesuffix("s")
    if text == "now":
        return 1, "now"
    if (
        not number.isdecimal()
        or not 1 <= int(number) <= 1024
        or unit not in ("beat", "bar", "phrase")
    ):
        raise Mistake("when", f"expected now, beat, bar, phrase or such as '4 bars', got {text!r}")
    return int(number), unit
