"""The one loop that waits: plans ahead of the clock, hands the wire its events, keeps the journal.

Everything a performer can do to a playing scene is a method here; the desk only calls them.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from heapq import heapify, heappop, heappush
from itertools import count
from math import isclose, isfinite
from typing import NamedTuple

from engines.base import Heard, Held, Mistake, Origin, Yields
from engines.taste import Taste

from .cast import (
    Cast,
    Pending,
    PendingBeat,
    PendingCue,
    PendingStep,
    PendingSting,
    Playing,
    setting_of,
)
from .changes import MOST_WAITING, OF_SCENE, SCENE, SEED, Asked, Change, Changes, Receipt, Told
from .clock import Clock, JumpClock
from .conductor.conductor import Conductor
from .conductor.form import Rule
from .journal import Entry, Journal, Moment, Moved, Ported, Troubled
from .mixer import Strip
from .music.line import Line
from .music.timeline import Timeline
from .part import Setting, said
from .pulses import STOP, TRANSPORT, Pulses, next_sixteenth
from .rack import Rack, Sent
from .scene import Scene
from .stinger import Sting, grid_of
from .when import When, beat_of, of_form, parse_when
from .wire.protocol import Event

HORIZON = 100_000_000  # ns that the plan runs ahead of the clock
LOOK = 50_000_000  # ns between two looks at the plan, at most
LEAD_IN = 60_000_000  # ns from play to the first beat
MARGIN = 5_000_000  # ns that a boundary must be away to be caught
STALLED = 200_000_000  # ns past a planned look after which the wires may have fallen silent
ASLEEP = 60 * 10**9  # ns of absence after which we go on where we were, not where we would be
SETTLED = 10**9  # ns after which nobody needs the ports of the scene before
REMEMBERED = 2048  # steps that have begun
_TICK = Fraction(1, 2**20)


class Begun(NamedTuple):
    """A step that has sounded. due: when, in nanoseconds.  origin: of its symbol."""

    due: int
    part: str
    origin: Origin


class _Base(NamedTuple):
    """The tempo on which mood and section have their factors; reached at `arrives`, a beat.

    asked: somebody has asked for it, rather than a scene or a style.
    """

    bpm: float
    arrives: Fraction
    asked: bool = False


class Player:
    """Plays one scene after another on one timeline.

    wall: nanoseconds since 1970, for time tags.  boot: nanoseconds that run on while the
    machine sleeps and the monotonic clock stands; after a sleep we "stop" or "play" on.
    horizon: how far to plan ahead, ns.  look: between two looks at most, ns; never more than
    half the horizon.
    Law: what is heard does not depend on the horizon, nor on when or how often it is woken.
    """

    def __init__(
        self,
        clock: Clock,
        rack: Callable[[Callable[[], int]], Rack] | None = None,
        journal: Journal | None = None,
        horizon: int = HORIZON,
        look: int = LOOK,
        wall: Callable[[], int] = time.time_ns,
        boot: Callable[[], int] | None = None,
        after_sleep: str = "stop",
    ) -> None:
        self.clock, self.horizon, self._wall, self._boot = clock, horizon, wall, boot
        self.period = max(min(horizon // 2, look), 1_000_000)
        self.journal = journal or Journal()
        next_id = count(1).__next__
        self.rack = rack(next_id) if rack is not None else Rack({}, next_id)
        self._next_id: Callable[[], int] = next_id
        self._numbers = count()
        self.rack.trouble = lambda text: self._enter(Troubled("wire", text))
        self._pulses = Pulses(self.rack)
        now = clock.now()
        self.playing = False
        self.timeline = Timeline.starting(120.0, ns=now)
        self._halted = self.timeline  # the line that `resume` goes on with
        self._tempo = 120.0  # that `play` begins with
        self._bases: Line[_Base] = Line()
        self._casts: list[Cast] = []  # the one on stage, then those that are to follow
        self._ahead: list[tuple[int, int, Pending]] = []  # heap by due: still to begin
        self._sounding: list[tuple[int, int, Pending]] = []  # heap by over: begun
        self.changes = Changes(lambda: self.now_beat, self._enter)
        self._missed: list[PendingCue] = []  # of stingers, in a gap
        self._frontier = Fraction(0)  # planned until here
        self._start_ns = now
        self._stopped_at = Fraction(0)
        self._end: Fraction | None = None
        self._end_bar: int | None = None
        self._expected = now
        self._asleep = boot() - now if boot is not None else 0
        self._after_sleep = after_sleep
        self._sweep_at = 0
        self._joint = False
        #: How often each stinger, and each part by hand, was asked for since the piece began; the
        #: beats that the plan has taken them in for; and what has sounded of late.
        self.asked: Counter[str] = Counter()
        self.struck: dict[str, list[Fraction]] = {}
        self.begun: deque[Begun] = deque(maxlen=REMEMBERED)
        #: What listeners have made of each scene's parts, by their names; it outlives them.
        self.tastes: dict[tuple[str, str], Taste] = {}

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
        now = self._look()
        self._expected = now + self.period
        self._plan_ahead(now)
        self._settle(now)

    @property
    def ended(self) -> bool:
        """Whether nothing more will ever sound: a limit is reached, or every engine has ended."""
        if not self.playing or self._sounding:
            return False
        limit = self._limit
        reached = limit is not None and self.timeline.beat_at(self.clock.now()) >= limit
        if not reached and (self.changes or not self._casts[-1].finished):
            return False
        return not any(isinstance(pending, PendingStep) for *_, pending in self._ahead)

    @property
    def _limit(self) -> Fraction | None:
        """The beat at which the music is over: told to `play`, or where the form ends."""
        own = self._casts[-1].ends_itself if self._casts else None
        if own is None or self._end is None:
            return self._end if own is None else own
        return min(own, self._end)

    def _look(self) -> int:
        """See what time it is, and what has become of us since we looked last."""
        now = self.clock.now()
        if self._joint:
            return now
        self.rack.set_time(now, self._wall() - now)
        if self._slept(now):
            self._wake_up()
        elif self.playing:
            if now - self._expected > STALLED:
                self._recover(now, now - self._expected)
            else:
                self._commit(now)
        return now

    def _slept(self, now: int) -> bool:
        """Whether the machine was suspended since the last look."""
        if self._boot is None:
            return False
        gap = self._boot() - now
        grown, self._asleep = gap - self._asleep, gap
        return grown > 10**9

    def _wake_up(self) -> None:
        was_playing = self.playing
        self.stop()
        self.rack.reopen()
        self._enter(Troubled("clock", "the machine has slept; continue goes on from here"))
        if was_playing and self._after_sleep == "play":
            self.resume()

    def _recover(self, now: int, stalled: int) -> None:
        """Go on after a gap; nothing of it is played later.

        What was planned before the gap has sounded, until the wires fell silent by themselves.
        """
        self._commit(now - stalled + STALLED)
        self._sounding.clear()
        self._expected = now
        if stalled > ASLEEP:
            self.timeline = self.timeline.shifted(stalled - STALLED)
            self._start_ns += stalled - STALLED
            pendings = [pending for *_, pending in self._ahead]
            self._ahead.clear()
            self._perform(pendings)
        self._drop_past(now)
        self._extend(now, silent=True)
        self._drop_past(now)
        for cast in self._casts:
            cast.forget_chord()
        self.rack.recall()
        if self.cast is not None:
            self._give(self.cast.sounds(self.now_beat, now))
        self._reissue(now)
        self._tell_missed(now)
        self._enter(Troubled("clock", f"{stalled / 1e9:.1f} s without planning; gone on in time"))
        # Followers have lost count: tell them where we are.
        self._pulses.say(STOP, now)
        beat = next_sixteenth(self.timeline.beat_at(now + 2 * MARGIN))
        self._pulses.locate(self.timeline, now + 1, beat)
        self._pulses.again(self.timeline, now)
        self._plan_ahead(now)

    def _drop_past(self, now: int) -> None:
        past = [pending for due, _, pending in self._ahead if due <= now]
        self._missed += [each for each in past if isinstance(each, PendingCue)]
        self._ahead = [item for item in self._ahead if item[2].due > now]
        heapify(self._ahead)

    def _tell_missed(self, now: int) -> None:
        """Tell late which stingers began or ended in a gap, but not of those that did both."""
        missed, self._missed = self._missed, []
        began = {cue.sting for cue in missed if cue.what == "began"}
        ended = {cue.sting for cue in missed if cue.what == "ended"}
        told = [cue for cue in missed if cue.sting not in began & ended]
        for cue in told:
            cue.perform(self.timeline)
            cue.due = now
            for entry in cue.entries(self._start_ns):
                self._enter(entry)
        self._send(told)

    # Planning ---------------------------------------------------------------------------

    @property
    def _reach(self) -> int:
        """How many nanoseconds ahead the plan must be."""
        early = max((cast.early_ns for cast in self._casts), default=0)
        return self.horizon + self.rack.lead + early

    def _plan_ahead(self, now: int) -> None:
        """Plan and send all that comes within reach; within `together`, only at its end."""
        if self._joint:
            return
        if self.playing:
            self._extend(now)
        self._pulses.run(self.timeline, now, self.timeline.beat_at(now + self._reach))

    def _extend(self, now: int, silent: bool = False) -> None:
        """Plan as far as the horizon, taking in the changes on the way.

        silent: as far as now, for the engines' and the listeners' sake only.
        """
        while True:
            until = self.timeline.beat_at(now) if silent else self._reached(now, self._reach)
            if (limit := self._limit) is not None:
                until = min(until, limit)
            change = self.changes.next()
            if change is None or change.beat > until:
                break
            self._plan(change.beat, silent)
            self.changes.take_in(change)
        self._plan(until, silent)

    def _reached(self, now: int, reach: int) -> Fraction:
        """The beat that a plan comes to which goes so many nanoseconds ahead."""
        early = max((cast.early_beats for cast in self._casts), default=Fraction(0))
        return self.timeline.beat_at(now + reach) + early

    def _plan(self, until: Fraction, silent: bool) -> None:
        if until <= self._frontier:
            return
        self._frontier = until
        cast = self._casts[-1]
        cut = cast.turned
        fresh, troubles = cast.plan(until)
        for trouble in troubles:
            self._enter(Troubled(f"parts.{trouble.part}", trouble.text))
        turned = cast.turned != cut  # what sounds on may have to end there
        for pending in fresh:
            if isinstance(pending, PendingBeat):
                turned |= self._pace(cast, pending.beat)
        if silent:
            self._missed += [each for each in fresh if isinstance(each, PendingCue)]
            return
        if turned:
            self._retime(self.clock.now())
        self._perform(fresh)
        self._send(fresh)

    def _pace(self, cast: Cast, beat: Fraction) -> bool:
        """Have the tempo follow mood and section from this beat to the next; whether it turns."""
        base = self._bases.at(beat)
        if base is None or beat < base.arrives:
            return False
        conductor = cast.setting.conductor
        length = cast.setting.place(beat).meter.beat_length
        here = base.bpm * conductor.tempo_at(beat)
        there = base.bpm * conductor.tempo_at(beat + length)
        before = self.timeline
        if not isclose(before.tempo_at(beat), here, rel_tol=1e-6):
            self.timeline = self.timeline.with_tempo(here, beat)
        if not isclose(self.timeline.tempo_at(beat + length), there, rel_tol=1e-6):
            self.timeline = self.timeline.with_tempo(there, beat, length)
        return self.timeline is not before

    def feel_anew(self, since: Fraction) -> None:
        """The conductor has changed its mind from this beat on: so does what is planned of it."""
        if not self.playing or not self._casts:
            return
        now = self.clock.now()
        self._recall_all()
        for *_, pending in list(self._ahead):
            if isinstance(pending, PendingBeat) and pending.beat >= since:
                self._pace(pending.cast, pending.beat)
        self._retime(now)

    def _recall_all(self) -> None:
        for cast in self._casts:
            for playing in cast.everyone:
                self.rack.recall(playing.number)

    # Praise -----------------------------------------------------------------------------

    def taste(self, scene: str, part: str) -> Taste:
        """What listeners have made of a part so far."""
        return self.tastes.setdefault((scene, part), Taste())

    def _season(self, cast: Cast) -> None:
        for name, playing in cast.named.items():
            playing.part.controls.taste = self.taste(cast.scene.name, name)

    # Players at an input ------------------------------------------------------------------

    def give(self, things: Iterable[Sent]) -> None:
        """Hand the wires what is not planned, as a note that a key holds."""
        self._give(things)

    def listening(self, name: str) -> list[Playing]:
        """The parts that listen to an input, of the scene that plays and of those to come."""
        everyone = [each for cast in self._casts for each in cast.parts]
        return [playing for playing in everyone if name in playing.spec.listens]

    def tell(self, name: str, news: Heard | Held) -> None:
        """Have whoever listens to an input know what was played, as soon as that can be heard."""
        for playing in self.listening(name):
            playing.part.listen(self._heard_of, news)

    def make_room(self, name: str, playing: bool) -> None:
        """A player at an input begins to play, or has ended a phrase.

        Engines that yield fall silent: what is planned of them, and sounds, ends.
        """
        for each in self.listening(name):
            each.part.own["playing"] = float(playing)
            engine = each.spec.engine
            if playing and isinstance(engine, Yields) and engine.yields:
                each.part.hush(self._heard_of)
                self._drop(each)

    def _drop(self, playing: Playing) -> None:
        """Have nothing of a part that is planned, and end what sounds of it."""
        for items in (self._ahead, self._sounding):
            items[:] = [
                item
                for item in items
                if not isinstance(item[2], PendingStep) or item[2].playing is not playing
            ]
            heapify(items)
        self.rack.cut(playing.number)

    # Stingers ---------------------------------------------------------------------------

    def cast_at(self, beat: Fraction) -> Cast:
        """Whose music a beat to come is, as far as anybody knows. There must be a scene."""
        return next((c for c in reversed(self._casts) if c.begin <= beat), self._casts[0])

    def strike(self, sting: Sting) -> None:
        """Have a sting from its beat on, also in what is planned already."""
        cast = self.cast_at(sting.begin)
        cast.stings.append(sting)
        self.struck.setdefault(sting.name, []).append(sting.begin)
        until = self._frontier if cast.ends is None else min(self._frontier, cast.ends)
        fresh, troubles = cast.plan_sting(sting, until)
        for trouble in troubles:
            self._enter(Troubled(f"stingers.{trouble.part}", trouble.text))
        self._perform(fresh)
        self._send(fresh)
        self._duck_anew(sting)

    def unstrike(self, sting: Sting) -> None:
        """Take back a sting that has not begun yet."""
        self.struck[sting.name].remove(sting.begin)
        for cast in self._casts:
            if sting in cast.stings:
                cast.stings.remove(sting)
                self.rack.recall(cast.named[sting.name].number)
        self._drop_stings(lambda other: other is sting)
        self._reissue(self.clock.now())

    def _duck_anew(self, sting: Sting) -> None:
        if sting.spec.duck < 1 and sting.begin < self._frontier:
            self._recall_all()
            self._reissue(self.clock.now())

    def _drop_stings(self, which: Callable[[Sting], bool]) -> None:
        self._ahead = [
            item
            for item in self._ahead
            if not (isinstance(item[2], PendingSting | PendingCue) and which(item[2].sting))
        ]
        heapify(self._ahead)

    def _end_stings(self) -> None:
        """The transport has halted: stingers end with it, and do not come back."""
        here = self._stopped_at
        cues = [
            cue
            for cast in self._casts
            for cue in cast.cut_stings(min(here, cast.ends or here))
            if cue.sting.end != here
        ]
        for cast in self._casts:
            cast.stings.clear()
        self._drop_stings(lambda sting: True)
        for cue in cues:
            cue.perform(self._halted)
            for entry in cue.entries(self._start_ns):
                self._enter(entry)
        self._send(cues)

    def _perform(self, pendings: Iterable[Pending]) -> None:
        """Find out when these begin; what cannot be performed is left out, with a word."""
        ahead, line = self._ahead, self.timeline
        for pending in pendings:
            try:
                pending.perform(line)
            except Exception as error:
                self._leave_out(pending, error)
            else:
                heappush(ahead, (pending.due, pending.order, pending))

    def _send(self, pendings: Iterable[Pending]) -> None:
        """Give the wires what can be said of these; what cannot is left out, with a word."""
        if self.rack.wires:
            things: list[Sent] = []
            for pending in pendings:
                try:
                    things += list(pending.sent())
                except Exception as error:
                    self._leave_out(pending, error)
            self._give(things)

    def _leave_out(self, pending: Pending, error: Exception) -> None:
        self._ahead[:] = [item for item in self._ahead if item[2] is not pending]
        heapify(self._ahead)
        source = pending.cast.scene.name
        if isinstance(pending, PendingStep):
            source = f"parts.{pending.playing.spec.name}"
        self._enter(Troubled(source, f"left out at beat {float(pending.beat):g}: {said(error)}"))

    def _give(self, things: Iterable[Sent]) -> None:
        batches: dict[str, list[Event]] = {kind: [] for kind in self.rack.wires}
        for kind, events in things:
            batches[kind] += events
        self.rack.send(batches)

    def _reissue(self, now: int, playing: Playing | None = None) -> None:
        """Perform again what is still to begin, of one part or of all, and send it again."""
        again = [
            pending for *_, pending in self._ahead if playing is None or pending.concerns(playing)
        ]
        if len(again) == len(self._ahead):
            self._ahead = []
        else:
            chosen = set(map(id, again))
            self._ahead = [item for item in self._ahead if id(item[2]) not in chosen]
            heapify(self._ahead)
        self._perform(again)
        self._send(again)

    def _retime(self, now: int) -> None:
        """The timeline has changed from now on: so does all that begins or ends later."""
        begun = [pending for *_, pending in self._sounding]
        for pending in begun:
            pending.move_end(self.timeline)
        self._sounding = [(pending.over, pending.order, pending) for pending in begun]
        heapify(self._sounding)
        self._send(begun)
        self._reissue(now)
        self._pulses.again(self.timeline, now)

    # What has sounded -------------------------------------------------------------------

    def _commit(self, now: int) -> None:
        """Tell the journal what has begun, in order; forget what is over."""
        ahead, sounding = self._ahead, self._sounding
        while ahead and ahead[0][0] <= now:
            _, order, pending = heappop(ahead)
            for entry in pending.entries(self._start_ns):
                self._enter(entry)
            if pending.over > now:
                heappush(sounding, (pending.over, order, pending))
            if isinstance(pending, PendingStep) and pending.notes:
                begun = Begun(pending.due, pending.playing.spec.name, pending.step.symbol.origin)
                self.begun.append(begun)
        while sounding and sounding[0][0] <= now:
            heappop(sounding)

    def _enter(self, entry: Entry) -> None:
        self.journal.enter(entry)

    def _settle(self, now: int) -> None:
        """Tell the receipts whose moment has come; let the scene that is over go."""
        if self.playing and self.changes:
            self.changes.settle(lambda beat: self.timeline.ns_at(beat) <= now)
        here = self.now_beat
        if self._casts and self._casts[0].stings:
            bound = min([here, *(p.beat for *_, p in self._ahead)])
            self._casts[0].forget_stings(bound)
        while len(self._casts) > 1 and self._casts[1].begin <= here:
            del self._casts[0]
            self._casts[0].instead.clear()
            self._sweep_at = self._sweep_at or now + SETTLED
        if self._casts and self._casts[0].mixer.edited:
            self._casts[0].mixer.settle(min([here, *(p.beat for *_, p in self._ahead)]))
        if self._sweep_at and now >= self._sweep_at and len(self._casts) == 1:
            self._sweep_at = 0
            self.rack.sweep()

    # The transport ----------------------------------------------------------------------

    @property
    def cast(self) -> Cast | None:
        """Who plays at this moment."""
        here = self.now_beat
        return next((cast for cast in reversed(self._casts) if cast.begin <= here), None) or (
            self._casts[0] if self._casts else None
        )

    @property
    def scene(self) -> Scene | None:
        """The scene that plays at this moment, or that `play` would play."""
        return None if self.cast is None else self.cast.scene

    @property
    def conductors(self) -> Iterator[Conductor]:
        """Of the scene on stage, and of those that are to follow and are there already."""
        return (cast.setting.conductor for cast in self._casts)

    @property
    def setting(self) -> Setting | None:
        """The musical ground of the scene that plays at this moment."""
        return None if self.cast is None else self.cast.setting

    def moment(self, beat: Fraction, ns: int | None = None) -> Moment:
        """What people call this beat."""
        ns = self.timeline.ns_at(beat) if ns is None else ns
        seconds = (ns - self._start_ns) / 1e9
        for cast in reversed(self._casts):
            if cast.begin <= beat or cast is self._casts[0]:
                return cast.moment(beat, seconds)
        return Moment(seconds, beat, 1, 1.0)

    def cue(self, scene: Scene, keep: bool = False) -> None:
        """Make ready to play a scene from its beginning; what plays now is stopped.

        keep: tempo, faders and live controls stay as they are.
        """
        if self.playing:
            self.stop()
        now = self.clock.now()
        keep, before = keep and bool(self._casts), self.cast
        if keep and before is not None and before.scene.tempo_asked:
            scene = replace(scene, tempo=before.scene.tempo, tempo_asked=True)
        asked = self._bases.at(self._stopped_at)
        self._stage(scene, before if keep else None, now)
        tempo = self._tempo_in(scene, before, keep, asked) if before else scene.tempo
        if tempo is not None:
            self._tempo = tempo
        self.timeline = Timeline.starting(self._tempo, ns=now)
        self._pulses.begin(self.timeline, now)
        self._pulses.run(self.timeline, now, self.timeline.beat_at(now + self._reach))

    def _stage(self, scene: Scene, before: Cast | None, now: int) -> None:
        """Have this scene at beat 0 and nothing else; faders stay as they were `before`."""
        self.changes.drop("another beginning")
        if before is not None:
            before.mixer.settle()
            before.setting.conductor.settle()
        moods = before.setting.conductor.moods if before is not None else None
        cast = Cast(scene, Fraction(0), self.rack, self._number, before, moods=moods)
        for taste in self.tastes.values():
            taste.begin()
        self._season(cast)
        self._casts = [cast]
        self._ahead.clear()
        self._sounding.clear()
        self._frontier = self._stopped_at = Fraction(0)
        self.asked.clear()
        self.struck.clear()
        self.begun.clear()
        self._end = None
        self._sweep_at = self._sweep_at or now + SETTLED

    def _number(self) -> int:
        """For a part on the wires; used again after so many that nobody remembers."""
        return TRANSPORT + 1 + next(self._numbers) % 65_000

    def play(self, end_bar: int | None = None) -> None:
        """From the beginning, with the scene's seed and the faders as they are.

        end_bar: the last bar to play, this time and whenever none is given.
        Errors: Mistake where no scene is there.
        """
        cast = self.cast
        if cast is None:
            raise Mistake("play", "no scene is loaded; load one first")
        if self.playing:
            return
        now = self.clock.now()
        self._stage(cast.scene, cast, now)
        cast = self._casts[0]
        begin = now + LEAD_IN + self._reach - self.horizon
        begin += round(float(cast.early_beats) * 60e9 / self._tempo)
        self._start_ns = begin
        self.timeline = Timeline.starting(self._tempo, ns=begin)
        self._bases = Line()
        asked = self._tempo != cast.scene.tempo
        self._bases.begin(Fraction(0), _Base(self._tempo, Fraction(0), asked))
        self._tempo = cast.scene.tempo
        self._end_bar = end_bar or self._end_bar
        if self._end_bar:
            self._end = cast.setting.meters.beat_of_bar(self._end_bar + 1)
        self._pulses.begin(self.timeline, now)
        self._pulses.start(self.timeline)
        self._begin(now, Fraction(0))

    def resume(self) -> None:
        """Go on from where `stop` halted, on the next sixteenth; from the beginning if nowhere."""
        if self.playing or not self._casts:
            return
        if self._frontier == 0:
            self.play()
            return
        now = self.clock.now()
        beat = next_sixteenth(self._stopped_at)
        delay = now + LEAD_IN + self._reach - self.horizon - self._halted.ns_at(beat)
        self.timeline = self._halted.shifted(delay)
        self._start_ns += delay
        self._plan(beat, silent=True)
        self._ahead = [item for item in self._ahead if item[2].beat >= beat]
        for cast in self._casts:
            cast.forget_chord()
        self._pulses.begin(self.timeline, now)
        self._pulses.locate(self.timeline, now, beat)
        self._begin(now, beat)
        self._tell("/key", (self._casts[0].setting.bar(beat).key.name,), now)

    def _begin(self, now: int, beat: Fraction) -> None:
        self.playing = True
        self._expected = now
        self.rack.set_time(now, self._wall() - now)
        self._give(self._casts[0].sounds(beat, now))
        self._tell("/transport", ("playing",), now)
        self._enter(Moved(self.moment(beat), "playing"))
        self._reissue(now)
        self.wake()

    def stop(self) -> None:
        """Halt, with every sounding note ended. `resume` goes on; `play` begins again."""
        now = self.clock.now()
        was_playing = self.playing
        if was_playing:
            if now - self._expected > STALLED:
                self._recover(now, now - self._expected)
            self._commit(now)
            self._stopped_at = max(self.timeline.beat_at(now), Fraction(0))
            self.playing = False
            self._take_back()
            # The clock runs on while the transport stands.
            self._halted, line = self.timeline, self.timeline
            self.timeline = Timeline.starting(
                line.tempo_at(self._stopped_at), self._stopped_at, line.ns_at(self._stopped_at)
            )
        self._sounding.clear()
        self.rack.everywhere("silence")
        if was_playing:
            if self.cast is not None:
                self._give(self.cast.dim(now))
            self._end_stings()
            self._pulses.say(STOP, now)
        self._pulses.again(self.timeline, now)
        if was_playing:
            self._tell("/transport", ("stopped",), now)
            self._enter(Moved(self.moment(self._stopped_at, now), "stopped"))
            self.changes.drop("the transport stopped")

    def _take_back(self) -> None:
        """Undo what the plan has taken in of changes whose moment is not there yet."""
        here = self._stopped_at
        kept = [cast for cast in self._casts if cast.begin <= here] or self._casts[:1]
        late = [
            change.receipt.beat
            for change in self.changes
            if change.taken and change.receipt.beat > here
            if change.topic[0] in ("tempo", "scene")
        ]
        if late:
            self.timeline = self.timeline.without(min(late))
            self._bases.retract(min(late))
        for cast in kept:
            cast.mixer.forget(here)
        if len(kept) < len(self._casts):
            first, last = self._casts[len(kept)], kept[-1]
            self._ahead = [item for item in self._ahead if item[2].cast in kept]
            last.ends = None
            self._perform(first.instead)
            self._frontier = last.agenda.frontier
            self._casts = kept
            self.rack.outputs = last.patched
            self._sweep_at = self._sweep_at or self.clock.now() + SETTLED
        self.changes.halt(here)

    @property
    def base_tempo(self) -> float:
        """The tempo at this moment without what mood and section make of it."""
        base = self._bases.at(self.now_beat)
        return self._tempo if base is None else base.bpm

    def panic(self) -> None:
        """Stop, and tell every synth to be quiet in every way it may understand."""
        self.stop()
        self.rack.everywhere("panic")

    # Changes ----------------------------------------------------------------------------

    @property
    def now_beat(self) -> Fraction:
        """The beat at this moment, or where the transport stands; 0 before the first."""
        if not self.playing:
            return self._stopped_at
        return max(self.timeline.beat_at(self.clock.now()), Fraction(0))

    def boundary(self, when: str, unplanned: bool = False) -> Fraction:
        """The beat that words for a musical moment mean from now, see `server.when`.

        unplanned: nothing that begins there has been planned yet.  Errors: Mistake.
        """
        grid, cast = grid_of(when), self.cast
        wanted = parse_when("beat" if grid else when)
        if wanted.frame == "now" or not self.playing or cast is None:
            return self.now_beat
        near = self._near(unplanned)
        if grid:
            return max(near, cast.begin) + (cast.begin - max(near, cast.begin)) % grid
        return beat_of(wanted, near, cast.setting)

    def _near(self, unplanned: bool) -> Fraction:
        """The first beat that can still be changed."""
        # What leaves early, as bundles do, cannot be had back.
        near = self.timeline.beat_at(self.clock.now() + MARGIN + self.rack.lead)
        return max(near, self._heard_of) if unplanned else near

    def form_turned(self, since: Fraction) -> None:
        """The form is another from a beat on: moments that it names are found anew.

        Law: an armed change with such a moment (phrase, section, cue) takes effect where it
        comes next in the form as it then is, until the plan is there; where it comes no more,
        the change is refused.
        """
        moves: dict[Change, Fraction] = {}
        for change in self.changes if self.playing else ():
            try:
                beat = self._found_anew(change, since)
            except Mistake as mistake:
                self.changes.refuse(change, str(mistake))
                continue
            if beat != change.beat:
                moves[change] = beat
                end = change.arrives(beat)
                change.receipt.beat, change.receipt.bar = end, self._bar(end)
        self.changes.move(moves)
        for change in moves:
            if change in self.changes:
                change.receipt.become("armed", "the form has changed")

    def _found_anew(self, change: Change, since: Fraction) -> Fraction:
        """Where a change takes effect in a form that is another one from a beat on."""
        heard, asked = self._heard_of, change.asked
        if asked is None or change.beat < since or change.beat <= heard:
            return change.beat
        wanted, setting = parse_when(asked.when), self.cast_at(change.beat).setting
        # A section that is called for has itself changed the form from its moment on.
        if change.topic[0] == "section" or not of_form(wanted):
            return change.beat
        if asked.near < setting.entry and wanted.frame == "ahead":  # counted in another's form
            wanted = wanted._replace(frame="line", number=1)
            return beat_of(wanted, change.beat, setting)
        beat = beat_of(wanted, asked.near, setting)
        least = heard if asked.unplanned else self._near(False)
        if beat >= least:
            return beat
        return beat_of(wanted._replace(frame=wanted.frame.replace("ahead", "line")), least, setting)

    @property
    def _heard_of(self) -> Fraction:
        """The beat up to which a change of what the music is like comes too late.

        It is the same whatever the horizon, up to the usual one.
        """
        reach = self._reach + max(HORIZON - self.horizon, 0)
        return max(self._frontier, self._reached(self.clock.now(), reach))

    def at(
        self,
        when: str,
        topic: tuple[str, ...],
        apply: Callable[[Fraction], None],
        told: Told,
        early: bool = False,
        unplanned: bool = False,
        arrives: Callable[[Fraction], Fraction] = lambda beat: beat,
        undo: Callable[[Fraction], None] | None = None,
        alongside: bool = False,
        lead: Callable[[Change], None] = lambda change: None,
        ends_scene: bool = False,
        why: Callable[[], str] = lambda: "",
    ) -> Receipt:
        """Apply a change now, or when the plan comes to its beat; see `Change`.

        unplanned: it can change nothing that is planned already, so its moment is the next one
        beyond that.  alongside: it takes nobody's place.
        """
        now = self._look()
        if self.playing and (unplanned or topic[0] == "mood"):
            self._plan_ahead(now)  # so that it does not matter when we were woken last
            for cast in self._casts:
                cast.setting.conductor.heed(self._heard_of)
        beat = self.boundary(when, unplanned)
        end = arrives(beat) if self.playing else beat
        receipt = self.receipt(end, told)
        waits = self._waits(when, beat) or end > beat
        if why_not := self.refusal([(topic, when)]):
            receipt.become("refused", why_not)
            return receipt
        if not alongside:
            self.changes.make_way(topic, beat)
        asked = None if grid_of(when) else Asked(when, self._near(unplanned), unplanned)
        change = Change(
            topic, receipt, apply, beat, undo, early, ends_scene, asked, arrives, lead, why=why
        )
        if not waits:
            self.changes.take_in(change)
            self._plan_ahead(now)
            if receipt.state != "refused":
                receipt.become("done", why())
            return receipt
        self.changes.arm(change)
        receipt.become("armed")
        if change in self.changes:
            lead(change)
        if change in self.changes and (early or beat <= self._frontier):
            self.changes.take_in(change)
            self._plan_ahead(now)
        return receipt

    def stings(self) -> Iterator[Sting]:
        """Those that sound, or are planned to."""
        here = self.now_beat
        stings = (sting for cast in self._casts for sting in cast.stings)
        return (each for each in stings if each.end is None or each.end > here)

    def refusal(self, changes: Iterable[tuple[tuple[str, ...], str]]) -> str:
        """Why these, each what it concerns and when, cannot all be done; "" where they can."""
        begins = self.changes.scene_ends
        room = MOST_WAITING - len(self.changes)
        for topic, when in changes:
            beat = self.boundary(when)
            if not self._waits(when, beat):
                continue
            if not room:
                return f"{MOST_WAITING} changes are waiting already"
            if topic[0] in OF_SCENE and begins is not None and begins <= beat:
                return "another scene begins before"
            room -= 1
            if topic == SCENE:
                begins = beat
        return ""

    def _waits(self, when: str, beat: Fraction) -> bool:
        """Whether a change asked for now has to wait for its beat."""
        return self.playing and when != "now" and self.timeline.ns_at(beat) > self.clock.now()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is asked for within is done at one moment, before anything more is planned."""
        if self._joint:
            yield
            return
        clock, now = self.clock, self._look()
        self._plan_ahead(now)
        self.clock, self._joint = JumpClock(now), True
        try:
            yield
        finally:
            self.clock, self._joint = clock, False
        self._plan_ahead(now)

    def receipt(self, beat: Fraction, told: Told) -> Receipt:
        """A receipt for a beat, whoever is told failing at it or not."""
        return Receipt(beat, self._bar(beat), told=self._guarded(told))

    def _guarded(self, told: Told) -> Told:
        """Whoever wants to be told may fail at it; the music must not."""
        if told is None:
            return None

        def tell(receipt: Receipt) -> None:
            try:
                told(receipt)
            except Exception as error:
                self._enter(Troubled("receipt", f"nobody could be told: {said(error)}"))

        return tell

    def span(self, beat: Fraction, length: Fraction) -> str:
        """So many quarter notes from a beat on as people count: whole bars, or beats."""
        meter = self.cast_at(beat).setting.place(beat).meter
        bars, beats = length / meter.length, length / meter.beat_length
        number, unit = (bars, "bar") if bars.denominator == 1 else (beats, "beat")
        return f"{float(number):.3g} {unit}{'s' if number != 1 else ''}"

    def _bar(self, beat: Fraction) -> float:
        setting = self.setting
        if setting is None:
            return 1.0
        place = setting.place(beat)
        return place.bar + float(place.position / place.meter.length)

    def tempo(
        self,
        bpm: float,
        over: Fraction = Fraction(0),
        when: str = "now",
        told: Told = None,
    ) -> Receipt:
        """A new tempo (20 to 999), reached after `over` quarter notes; no beat jumps."""
        if not isfinite(bpm):
            raise Mistake("tempo", f"expected a number from 20 to 999, got {bpm}")

        def apply(beat: Fraction) -> None:
            now = self.clock.now()
            factor = self.setting.conductor.tempo_at(beat + over) if self.setting else 1.0
            if self.playing:
                self._bases.begin(beat, _Base(bpm / factor, beat + over, asked=True))
                self.timeline = self.timeline.with_tempo(bpm, beat, over)
                for cast in self._casts:
                    if cast.begin > beat and cast.goes_on:
                        cast.tempo = None
                    elif cast.begin > beat and cast.tempo is not None:
                        self.timeline = self.timeline.with_tempo(cast.tempo, cast.begin)
                        self._bases.begin(cast.begin, _Base(cast.tempo, cast.begin))
                self._retime(now)
            else:
                self._tempo = bpm / factor
                base = _Base(bpm / factor, self._stopped_at, asked=True)
                self._bases.begin(self._stopped_at, base)
                self._halted = self._halted.with_tempo(bpm, self._stopped_at)
                self.timeline = self.timeline.with_tempo(bpm, self.timeline.beat_at(now))
                self._pulses.again(self.timeline, now)

        return self.at(when, ("tempo",), apply, told)

    def strip(
        self,
        name: str,
        field: str,
        value: bool | float | int,
        when: str = "now",
        told: Told = None,
    ) -> Receipt:
        """Mute, solo, level, density or octave of a part, from a moment on."""
        self.part(name)
        held: list[Cast] = []

        def apply(beat: Fraction) -> None:
            now, here, cast = self.clock.now(), beat <= self.now_beat, self.cast_at(beat)
            cast.find(name)
            held[:] = [cast]
            if here:  # so that what swings or strays past this moment changes too
                beat = min([beat, *(p.beat for *_, p in self._ahead if p.cast is cast)])
            parts = [p for each in self._casts if each.mixer is cast.mixer for p in each.everyone]
            before = [playing.strip_at(beat) for playing in parts]
            cast.mixer.set(name, beat, field, value)
            for playing, old in zip(parts, before, strict=True):
                new = playing.strip_at(beat)
                if self.playing and new != old:
                    self._restrip(playing, here and new.mute and not old.mute, now)

        def undo(beat: Fraction) -> None:
            held[0].mixer.take_back(name, field, beat)
            self.feel_anew(beat)

        return self.at(when, ("part", name, field), apply, told, early=True, undo=undo)

    def _restrip(self, playing: Playing, cut: bool, now: int) -> None:
        if cut:
            self.rack.cut(playing.number)
            self._sounding = [
                item
                for item in self._sounding
                if not isinstance(item[2], PendingStep) or item[2].playing is not playing
            ]
            heapify(self._sounding)
        else:
            self.rack.recall(playing.number)
        self._reissue(now, playing)

    def part(self, name: str) -> Playing:
        """A part or stinger of the scene that plays, by name. Errors: Mistake."""
        if self.cast is None:
            raise Mistake(f"part {name}", "no scene is loaded; load one first")
        return self.cast.find(name)

    def strips(self) -> dict[str, Strip]:
        """Every part's controls as they were last asked for."""
        cast = self.cast
        parts = cast.everyone if cast is not None else []
        return {each.spec.name: each.cast.mixer.asked(each.spec.name) for each in parts}

    def control(
        self,
        name: str,
        value: float,
        when: str = "now",
        told: Told = None,
    ) -> Receipt:
        """Set a live control that engines may read, from the next symbol on."""
        setting = self.setting
        values = setting.values if setting is not None else {}
        if name not in values:
            there = ", ".join(values)
            raise Mistake(f"control {name}", f"the scene has no such control; it has: {there}")

        def apply(beat: Fraction) -> None:
            there = self.cast_at(beat).setting.values
            if name not in there:
                raise Mistake(f"control {name}", "the scene that plays then has no such control")
            there[name] = value

        return self.at(when, ("control", name), apply, told)

    def gesture(self, name: str, values: Mapping[str, float]) -> None:
        """Set live values that one part alone reads, from its next symbol on."""
        for cast in self._casts:
            if name in cast.named:
                cast.named[name].part.own |= values

    def change_scene(
        self,
        scene: Scene,
        when: str = "bar",
        told: Told = None,
        keep: bool = False,
    ) -> Receipt:
        """Another scene takes over at a boundary: nothing of the old one begins after it.

        keep: tempo, faders and live controls stay as they are, but for what the scene's text
        has changed: it is the same one with another seed, or read again.
        """

        def apply(beat: Fraction) -> None:
            self._hand_over(scene, beat, keep)

        def lead(change: Change) -> None:
            self._lead_over(scene, change, keep)

        return self.at(when, SCENE, apply, told, lead=lead, ends_scene=not keep)

    def _rule(self, cast: Cast, scene: Scene, beat: Fraction) -> Rule | None:
        """How a cast is to lead over into a scene; None where it is only read again."""
        old, conductor = cast.scene, cast.setting.conductor
        if scene.name == old.name and scene.style == old.style:
            return None
        to = f"scene {scene.name}" if scene.name != old.name else f"style {scene.style}"
        section = conductor.bar_before(beat).section.spec.name
        return conductor.spec.transitions.between(section, to)

    def _lead_over(self, scene: Scene, change: Change, keep: bool) -> None:
        """Have the music before a change of scene give way to it, as far as there is time."""
        beat, now = change.beat, self.clock.now()
        cast = self.cast_at(beat - _TICK)
        rule = self._rule(cast, scene, beat)
        if rule is None:
            return
        conductor = cast.setting.conductor
        conductor.heed(self._heard_of)
        heir_of = conductor if keep else None
        coming = setting_of(scene, beat, heir_of, conductor.moods).conductor
        near = self.timeline.beat_at(now + MARGIN + self.rack.lead)
        conductor.leave(beat, rule, coming.bar(coming.first).key, near)
        begin = cast.setting.beat_of_bar(max(conductor.bar_before(beat).number + 1 - rule.ramp, 1))
        begin = max(begin, beat_of(When("line", "beat"), near, cast.setting))
        before: list[_Base] = []

        def ramp(begin: Fraction) -> None:
            base = self._bases.at(begin)
            if base is None or not rule.ramp or begin >= beat:
                return
            tempo = self._tempo_in(scene, cast, keep, base)
            if tempo is None and base.asked:
                return
            before[:] = [base]
            bpm = (base.bpm if tempo is None else tempo) * coming.tempo_at(beat)
            self._bases.begin(begin, _Base(bpm, beat))
            self.timeline = self.timeline.with_tempo(bpm, begin, beat - begin)
            self._retime(self.clock.now())

        def undo(here: Fraction) -> None:
            conductor.stay()
            for base in before:
                self._bases.begin(here, base)
                self.timeline = self.timeline.with_tempo(base.bpm, here)
            self.feel_anew(here)

        receipt = Receipt(beat, self._bar(beat))
        lead = Change((*SCENE, "approach"), receipt, ramp, begin, undo, leads=change)
        self.changes.arm(lead)
        self.feel_anew(near)
        if begin <= self._frontier:
            self.changes.take_in(lead)

    def _tempo_in(self, scene: Scene, old: Cast, keep: bool, base: _Base | None) -> float | None:
        """The tempo that a scene begins with after another; None to go on in the one that is.

        Another style takes the tempo along if somebody has asked for it.
        """
        if not keep:
            return scene.tempo
        asked = base is not None and base.asked and scene.style != old.scene.style
        same = scene.tempo == old.scene.tempo or old.scene.tempo_asked
        return None if asked or same else scene.tempo

    def reseed(self, seed: int, when: str = "bar", told: Told = None) -> Receipt:
        """The scene that plays at that moment begins anew with another seed, and keeps the rest.

        One that is to begin at the same moment begins with this seed; one that is to begin
        later still does.  Errors: Mistake where no scene is there.
        """
        if self.cast is None:
            raise Mistake("seed", "no scene is loaded; load one first")

        def apply(beat: Fraction) -> None:
            base = next((c for c in reversed(self._casts) if c.begin <= beat), self._casts[0])
            if base.scene.seed != seed:
                self._hand_over(base.scene.with_seed(seed), beat, True, base)

        changing = any(change.topic in (SCENE, SEED) for change in self.changes)
        if self.cast.scene.seed == seed and not changing:
            beat = self.now_beat
            receipt = self.receipt(beat, told)
            receipt.become("done", "the scene has this seed already")
            return receipt
        return self.at(when, SEED, apply, told)

    def _hand_over(
        self, scene: Scene, beat: Fraction, keep: bool, heir_of: Cast | None = None
    ) -> None:
        """Have a scene from this beat on. heir_of: whose faders it keeps, if not the last one's."""
        if not self.playing:
            self.cue(scene, keep)
            return
        now = self.clock.now()
        kept = [cast for cast in self._casts if cast.begin < beat] or self._casts[:1]
        old = kept[-1]
        followers = self._pulses.clocked()
        before = heir_of or old
        moods = before.setting.conductor.moods
        rule = self._rule(old, scene, beat)
        heir, base = before if keep else None, self._bases.at(beat)
        tempo = self._tempo_in(scene, before, keep, base)
        if keep and before.scene.tempo_asked:
            scene = replace(scene, tempo=before.scene.tempo, tempo_asked=True)
        cast = Cast(scene, beat, self.rack, self._number, heir, False, moods, rule)
        self._season(cast)
        cast.left = [each for each in old.bright if not each.heirs(cast.bright)]
        cast.counted, cast.tempo = old.count_to(beat), tempo
        if before not in kept:  # it takes the place of one that was to begin here
            cast.tempo = before.tempo
        for each in self._casts:
            self.rack.recall(each.number)
            for playing in each.everyone:
                self.rack.recall(playing.number)
        cast.instead = [
            pending
            for pending in (
                *(pending for other in self._casts for pending in other.instead),
                *(pending for *_, pending in self._ahead),
            )
            if pending.beat >= beat and pending.cast in kept
        ]
        old.ends = beat
        self._ahead = [item for item in self._ahead if item[2].beat < beat]
        heapify(self._ahead)
        self._perform(old.cut_stings(beat))
        self._frontier = beat
        self._casts = [*kept, cast]
        for change in self.changes:  # their casts have just been let go: they come again
            if change.topic in (SCENE, SEED) and change.receipt.beat > beat:
                change.taken = False
        self.rack.set_time(now, self._wall() - now)
        if tempo is not None:
            self.timeline = self.timeline.with_tempo(tempo, beat)
            self._bases.begin(beat, _Base(tempo, beat))
        elif base is not None and base.asked:  # what was asked for is what is heard
            at = max(beat, base.arrives)
            factor = old.setting.conductor.tempo_at(at) / cast.setting.conductor.tempo_at(at)
            self._bases.begin(beat, _Base(base.bpm * factor, base.arrives, asked=True))
        self._pulses.hand_over(followers, self.timeline, now, beat)
        self._retime(now)
        if keep:
            self.form_turned(beat)

    # The wires --------------------------------------------------------------------------

    def _tell(self, address: str, args: tuple[int | float | str, ...], due: int) -> None:
        """Say something to every output."""
        identity = self._next_id() << 24
        self._give(
            (
                patched.spec.kind,
                patched.encoder.tell(identity | index << 2, TRANSPORT, address, args, due),
            )
            for index, patched in enumerate(self.rack.outputs.values())
        )

    def port_state(self, kind: str, port: int, state: str, why: str) -> None:
        """A wire tells what became of a port."""
        output, part = self.rack.labels.get((kind, port), (f"{kind} {port}", ""))
        self._enter(Ported(output, state, why, part))
        if state == "open" and kind == "midi" and self.cast is not None:
            now = self.clock.now()
            here = self.timeline.beat_at(now)
            self._give(self.cast.sounds(self.now_beat, now, port))
            if self.playing and here > 0:  # whoever comes late is told where we are
                beat = next_sixteenth(self.timeline.beat_at(now + 2 * MARGIN))
                self._pulses.locate(self.timeline, now, beat, frozenset({port}))

    def wire_silenced(self, why: str) -> None:
        """A wire fell silent by itself; give it again what is still to come."""
        self._enter(Troubled("wire", why))
        self._give_again()

    def wire_restarted(self, why: str) -> None:
        """A wire died and a new one has taken its place; the owed offs are paid already."""
        self._enter(Troubled("wire", why))
        if self.cast is not None and not self.playing:
            self._give(self.cast.sounds(self.now_beat, self.clock.now()))
        self._give_again()

    def _give_again(self) -> None:
        now = self._look()
        if self.playing:
            if self.cast is not None:
                self._give(self.cast.sounds(self.now_beat, now))
            self._reissue(now)
        self._pulses.again(self.timeline, now)
