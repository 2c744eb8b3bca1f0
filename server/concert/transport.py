"""The one loop that waits: plans ahead of the clock, hands over events, keeps the journal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import count
from math import isclose
from typing import Any, NamedTuple

from engines.base import Mistake, Remembers
from engines.repertoire import Repertoire
from engines.taste import Taste
from server.conductor.conductor import Asked, Conductor
from server.ensemble.rack import Rack
from server.ensemble.setting import Setting
from server.music.line import Line
from server.music.timeline import Timeline
from server.score.scene import Scene
from server.score.stinger import Sting

from .ahead import Ahead
from .cast import (
    Cast,
    PendingBeat,
    PendingCue,
    PendingStep,
    PendingSting,
    Playing,
    of_key,
)
from .changes import Changes
from .clock import Clock, JumpClock
from .journal import Entry, Journal, Moment, Moved, Ported, Troubled
from .pulses import STOP, Pulses, next_sixteenth

HORIZON = 100_000_000  # ns that the plan runs ahead of the clock
LOOK = 50_000_000  # ns between two looks at the plan, at most
LEAD_IN = 60_000_000  # ns from play to the first beat
SOON = 3_000_000  # ns before its moment at which a note that was thinned out stays so
MARGIN = 5_000_000  # ns that a boundary must be away to be caught
STALLED = 200_000_000  # ns past a planned look after which the wires may have fallen silent
ASLEEP = 60 * 10**9  # ns of absence after which we go on where we were, not where we would be
NOTED = 10**9  # ns after which the log hears of us though nothing has happened
SETTLED = 10**9  # ns after which nobody needs the ports of the scene before


class Base(NamedTuple):
    """The tempo on which mood and section have their factors; reached at `arrives`, a beat.

    asked: somebody has asked for it, rather than a scene or a style.
    """

    bpm: float
    arrives: Fraction
    asked: bool = False


class Mark(NamedTuple):
    """A moment, and what came before it of which nothing is noted.

    at: ns.  looks: at which ns the transport has looked at the clock since the mark before; those
    of commands that came to nothing are negative.  beat: of that moment; planned: the beat up to
    which everything was.
    """

    at: int
    looks: tuple[int, ...]
    beat: Fraction
    planned: Fraction


#: Told of each thing that comes from outside, or at a time that the clock alone decides: at which
#: mark, what it is, and what belongs to it.
Noting = Callable[[Mark, str, dict[str, Any]], None]


class Transport:
    """Plays one scene after another on one timeline; `Player` is told what to change.

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
        self.clock, self._wall, self._boot = clock, wall, boot
        self.reach(horizon, look)
        self._own_clock = clock  # which goes on while the other stands
        self.journal = journal or Journal()
        next_id = count(1).__next__
        self.rack = rack(next_id) if rack is not None else Rack({}, next_id)
        self._next_id = self.rack.next_id
        self._numbers = count()
        self.rack.trouble = lambda text: self._enter(Troubled("wire", text))
        self.rack.closed = lambda output, part, why: self._enter(
            Ported(output, "closed", why, part)
        )
        self._pulses = Pulses(self.rack)
        self._recalled: dict[Playing, None] = {}  # what is to come of them has changed
        self._turned = False  # so has the timeline
        now = clock.now()
        self.playing = False
        self.timeline = Timeline.starting(120.0, ns=now)
        self._here = now, self.timeline, Fraction(0)  # what `now_beat` was last
        self._halted = self.timeline  # the line that `resume` goes on with
        self._tempo = 120.0  # that `play` begins with
        self._bases: Line[Base] = Line()
        self._casts: list[Cast] = []  # the one on stage, then those that are to follow
        self.ahead = Ahead(self.rack, self._enter)
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
        self.made = 0  # casts that there have been
        self._joint = False
        #: For a log of all that what is heard depends on, besides scene and seed.
        self.noting: Noting | None = None
        self._mark: Mark | None = None  # of what is done just now
        self._looks: list[int] = []
        self._noted, self._noted_at = False, now
        #: How often each stinger, and each part by hand, was asked for since the piece began, and
        #: the beats that the plan has taken them in for.
        self.asked: Counter[str] = Counter()
        self.struck: dict[str, list[Fraction]] = {}
        #: What listeners have made of each scene's parts, by their names; it outlives them.
        self.tastes: dict[tuple[str, str], Taste] = {}
        #: What players have played to each scene's parts that learn, by their names; likewise.
        self.repertoires: dict[tuple[str, str], Repertoire] = {}

    def reach(self, horizon: int, look: int = LOOK) -> None:
        """Plan so far ahead from the next look on, and look so often; as of `Transport`."""
        self.horizon = horizon
        self.period = max(min(horizon // 2, look), 1_000_000)

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
        with self.still("look"):
            now = self._look()
            self._expected = now + self.period
            self._heed(now)
            if self.playing and now - self._noted_at >= NOTED and not self._noted:
                self.note("look")
            self._plan_ahead(now)
            self._settle(now)

    @property
    def expected(self) -> int:
        """The nanosecond of the next look."""
        return self._expected

    @property
    def ended(self) -> bool:
        """Whether nothing more will ever sound: a limit is reached, or every engine has ended."""
        if not self.playing or self.ahead.sounds:
            return False
        limit = self._limit
        reached = limit is not None and self.timeline.beat_at(self.clock.now()) >= limit
        if not reached and (self.changes or not self._casts[-1].finished):
            return False
        return not any(isinstance(pending, PendingStep) for pending in self.ahead)

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
        self._set_time(now)
        if self._slept(now):
            self.wake_up()
        elif self.playing:
            if now - self._expected > STALLED:
                self._recover(now, now - self._expected)
            else:
                self.ahead.commit(now, self._start_ns)
        return now

    # What is noted ----------------------------------------------------------------------

    def _set_time(self, now: int) -> None:
        """Tell the encoders the time, on both clocks.

        They are looked at three times, since anything may come between two looks: the wall then
        seems too far ahead, never too little.
        """
        looks = [-(self._own_clock.now() - self._wall()) for _ in range(3)]
        self.rack.set_time(now, min(looks))

    @contextmanager
    def still(self, doing: str) -> Iterator[None]:
        """What is done within is done at one moment: no time passes.

        What it changes of what is to come is performed at its end, once, and wires hear of it in
        one piece.  doing: what that is, for the log.
        """
        if self._mark is not None:
            yield
            return
        clock, now = self.clock, self.clock.now()
        self.clock = JumpClock(now)
        self._mark, self._noted = self.mark, False
        try:
            with self.rack.together():
                try:
                    yield
                finally:
                    self._perform_anew()
        finally:
            if self.noting is not None and self.playing and not self._noted:
                self._looks.append(now if doing == "look" else -now)
            self.clock, self._mark, self._noted = clock, None, False

    @property
    def mark(self) -> Mark:
        """Of this moment."""
        return self._mark or Mark(self.clock.now(), (), self.now_beat, self._frontier)

    def note(self, what: str, **data: Any) -> None:
        """Have the log know what is done just now."""
        if self.noting is not None:
            mark = self.mark._replace(looks=tuple(self._looks))
            self._looks.clear()
            self._noted, self._noted_at = True, mark.at
            self.noting(mark, what, data)

    def _heed(self, now: int) -> None:
        """A place for who leads the tempo; here nobody does."""

    # Looking ----------------------------------------------------------------------------

    def _slept(self, now: int) -> bool:
        """Whether the machine was suspended since the last look."""
        if self._boot is None:
            return False
        gap = self._boot() - now
        grown, self._asleep = gap - self._asleep, gap
        return grown > 10**9

    def wake_up(self) -> None:
        """The machine has slept: everything that sounded is over."""
        self.note("slept")
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
        self.ahead.commit(now - stalled + STALLED, self._start_ns)
        self.ahead.fall_silent()
        self._expected = now
        if stalled > ASLEEP:
            self.timeline = self.timeline.shifted(stalled - STALLED)
            self._start_ns += stalled - STALLED
            self.ahead.perform(self.ahead.drop(lambda pending: True), self.timeline)
        self._drop_past(now)
        self._extend(now, silent=True)
        self._drop_past(now)
        for cast in self._casts:
            cast.forget_chord()
        self.rack.recall()
        if self.cast is not None:
            self.ahead.give(self.cast.sounds(self.now_beat, now))
        self.ahead.again(self.timeline)
        self._tell_missed(now)
        self._enter(Troubled("clock", f"{stalled / 1e9:.1f} s without planning; gone on in time"))
        # Followers have lost count: tell them where we are.
        self._pulses.say(STOP, now)
        beat = next_sixteenth(self.timeline.beat_at(now + 2 * MARGIN))
        self._pulses.locate(self.timeline, now + 1, beat)
        self._pulses.again(self.timeline, now)
        self._plan_ahead(now)

    def _drop_past(self, now: int) -> None:
        past = self.ahead.drop(lambda pending: pending.due <= now)
        self._missed += [each for each in past if isinstance(each, PendingCue)]

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
        self.ahead.send(told)

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
        self.ahead.perform(fresh, self.timeline)
        if not self._turned:  # else it is performed anew in a moment
            self.ahead.send(fresh)

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
        for pending in self.ahead:
            if isinstance(pending, PendingBeat) and pending.beat >= since:
                self._pace(pending.cast, pending.beat)
        self._retime(now)

    def _recall_all(self) -> None:
        """All that is to come may come otherwise, or not at all."""
        self._recalled.update((playing, None) for cast in self._casts for playing in cast.everyone)

    # Praise -----------------------------------------------------------------------------

    def taste(self, scene: str, part: str) -> Taste:
        """What listeners have made of a part so far."""
        return self.tastes.setdefault((scene, part), Taste())

    def repertoire(self, scene: str, part: str) -> Repertoire:
        """What players have played to a part so far."""
        return self.repertoires.setdefault((scene, part), Repertoire())

    def _season(self, cast: Cast) -> None:
        for name, playing in cast.named.items():
            playing.part.controls.taste = self.taste(cast.scene.name, name)
            engine = playing.spec.engine
            if isinstance(engine, Remembers) and engine.remember > 0:
                repertoire = self.repertoire(cast.scene.name, name)
                repertoire.keep(engine.remember)
                playing.part.remember(repertoire)

    # Stingers ---------------------------------------------------------------------------

    def cast_at(self, beat: Fraction) -> Cast:
        """Whose music a beat to come is, as far as anybody knows. There must be a scene."""
        return next((c for c in reversed(self._casts) if c.begin <= beat), self._casts[0])

    def _drop_stings(self, which: Callable[[Sting], bool]) -> None:
        self.ahead.drop(
            lambda each: isinstance(each, PendingSting | PendingCue) and which(each.sting)
        )

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
        self.ahead.send(cues)

    def _retime(self, now: int) -> None:
        """The timeline has changed from now on: so does all that begins or ends later."""
        self._turned = True
        self._alter()
        self._pulses.again(self.timeline, now)

    def _alter(self, *parts: Playing) -> None:
        """Have what is to come of these parts performed again at the end of this moment."""
        self._recalled.update(dict.fromkeys(parts))
        if self._mark is None:
            self._perform_anew()

    def _perform_anew(self) -> None:
        """Perform what this moment has changed of what is to come."""
        recalled, self._recalled = self._recalled, {}
        turned, self._turned = self._turned, False
        if not self.playing:  # `resume` does it
            return
        for playing in recalled:
            self.rack.recall(playing.number)
        soon = self.clock.now() + SOON
        if turned:
            self.ahead.retime(self.timeline, soon)
        elif recalled:
            self.ahead.again(self.timeline, recalled, soon)

    def _enter(self, entry: Entry) -> None:
        self.journal.enter(entry)

    def _settle(self, now: int) -> None:
        """Tell the receipts whose moment has come; let the scene that is over go."""
        if self.playing and self.changes:
            self.changes.settle(lambda beat: self.timeline.ns_at(beat) <= now)
        here = self.now_beat
        self._bases.forget(here)
        if self._casts and self._casts[0].stings:
            self._casts[0].forget_stings(self.ahead.earliest(here))
        while len(self._casts) > 1 and self._casts[1].begin <= here:
            self._casts.pop(0).disband()
            self._casts[0].instead.clear()
            self._sweep_at = self._sweep_at or now + SETTLED
        if self._casts and self._casts[0].mixer.edited:
            self._casts[0].mixer.settle(self.ahead.earliest(here))
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

    @property
    def now_beat(self) -> Fraction:
        """The beat at this moment, or where the transport stands; 0 before the first."""
        if not self.playing:
            return self._stopped_at
        now, line = self.clock.now(), self.timeline
        if self._here[:2] != (now, line):
            self._here = now, line, max(line.beat_at(now), Fraction(0))
        return self._here[2]

    def moment(self, beat: Fraction, ns: int | None = None) -> Moment:
        """What people call this beat."""
        ns = self.timeline.ns_at(beat) if ns is None else ns
        seconds = (ns - self._start_ns) / 1e9
        for cast in reversed(self._casts):
            if cast.begin <= beat or cast is self._casts[0]:
                return cast.moment(beat, seconds)
        return Moment(seconds, beat, 1, 1.0)

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
        self.made += 1
        before_it, self._casts = self._casts, [cast]
        self.ahead.drop(lambda pending: True)
        self.ahead.end_all()
        for each in before_it:
            each.disband()
        self._frontier = self._stopped_at = Fraction(0)
        self.asked.clear()
        self.struck.clear()
        self.ahead.begun.clear()
        self._end = None
        self._sweep_at = self._sweep_at or now + SETTLED

    def _number(self) -> int:
        """For a part on the wires; used again after so many that nobody remembers."""
        return self.rack.transport + 1 + next(self._numbers) % 65_000

    def play(self, end_bar: int | None = None, at: int | None = None) -> None:
        """From the beginning, with the scene's seed, and faders and tempo as they are.

        end_bar: the last bar to play, this time and whenever none is given.  at: when beat 0 is to
        be, and that of whoever leads; else it is as soon as may be.
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
        begin, led = self._entry(now, Fraction(0), at)
        bpm = led or self._tempo
        begin += round(float(cast.early_beats) * 60e9 / bpm) if at is None else 0
        self._start_ns = begin
        self.timeline = Timeline.starting(bpm, ns=begin)
        self._bases = Line()
        asked = self._tempo != cast.scene.tempo
        self._bases.begin(Fraction(0), Base(self._tempo, Fraction(0), asked))
        self._end_bar = end_bar or self._end_bar
        self._set_end()
        self._pulses.begin(self.timeline, now)
        self._pulses.start(self.timeline)
        self._begin(now, Fraction(0))

    def stand(self, bar: int, asked: Iterable[Asked] = ()) -> Iterator[None]:
        """Halt where a bar begins, as if all before it had been played; `resume` goes on.

        What comes before is planned and not heard, in steps, so that others may have their turn:
        engines, harmony and form are then where they would be.  asked: of the conductor on the
        way; what is not there any more is told and left out.  Nothing where the scene plays.
        """
        cast = self.cast
        if self.playing or cast is None:
            return
        asked = tuple(asked)
        self.note("stand", bar=bar, asked=[list(each) for each in asked])
        now = self.clock.now()
        self._stage(cast.scene, cast, now)
        cast = self._casts[0]
        for wish in asked:
            try:
                cast.setting.conductor.ask(wish)
            except Mistake as mistake:
                self._enter(Troubled("state", str(mistake)))
        self._start_ns = now
        self.timeline = Timeline.starting(self._tempo, ns=now)
        self._bases = Line()
        base = Base(self._tempo, Fraction(0), self._tempo != cast.scene.tempo)
        self._bases.begin(Fraction(0), base)
        self._set_end()
        for each in range(1, bar + 1):
            self._plan(cast.setting.beat_of_bar(each), silent=True)
            yield
        self._missed.clear()
        beat = cast.setting.beat_of_bar(bar)
        now = self.clock.now()
        delay = now - self.timeline.ns_at(beat)
        line = self._halted = self.timeline.shifted(delay)
        self._start_ns += delay
        self._stopped_at = beat
        self.timeline = Timeline.starting(line.tempo_at(beat), beat, now)

    def end_after(self, bar: int) -> None:
        """The last bar to play, whenever `play` names none; 0 for no last one."""
        self._end_bar = bar

    def _set_end(self) -> None:
        if self._end_bar:
            self._end = self._casts[0].setting.meters.beat_of_bar(self._end_bar + 1)

    def _entry(self, now: int, beat: Fraction, at: int | None) -> tuple[int, float | None]:
        """When the transport starts with a beat, asked to be at `at`; the tempo if one leads."""
        return now + LEAD_IN + self._reach - self.horizon if at is None else at, None

    def resume(self, beat: Fraction | None = None, at: int | None = None) -> None:
        """Go on from where `stop` halted, on the next sixteenth; from the beginning if nowhere.

        beat: go on from there instead, if it is not behind.  at: when that is to be, for us and for
        whoever leads.
        """
        if self.playing or not self._casts:
            return
        if self._frontier == 0 and self._stopped_at == 0:
            self.play(at=at)
            return
        now = self.clock.now()
        beat = max(next_sixteenth(self._stopped_at), beat or Fraction(0))
        begin, led = self._entry(now, beat, at)
        delay = begin - self._halted.ns_at(beat)
        halted = self._halted.shifted(delay)
        self.timeline = halted if led is None else Timeline.starting(led, beat, begin)
        self._start_ns += delay
        self._plan(beat, silent=True)
        self.ahead.drop(lambda pending: pending.beat < beat)
        for cast in self._casts:
            cast.forget_chord()
        self._pulses.begin(self.timeline, now)
        self._pulses.locate(self.timeline, now, beat)
        self._begin(now, beat)
        key = self._casts[0].setting.bar(beat).key
        for address, args in of_key(key):
            self._tell(address, args, now)

    def _begin(self, now: int, beat: Fraction) -> None:
        self.playing = True
        self._expected = now
        self._set_time(now)
        self.ahead.give(self._casts[0].sounds(beat, now))
        self._tell("/transport", ("playing",), now)
        self._enter(Moved(self.moment(beat), "playing"))
        self.ahead.again(self.timeline)
        self.wake()

    def stop(self) -> None:
        """Halt, with every sounding note ended. `resume` goes on; `play` begins again."""
        now = self.clock.now()
        was_playing = self.playing
        if was_playing:
            if now - self._expected > STALLED:
                self._recover(now, now - self._expected)
            self.ahead.commit(now, self._start_ns)
            self._stopped_at = max(self.timeline.beat_at(now), Fraction(0))
            self.playing = False
            self._take_back()
            base = self._bases.at(self._stopped_at)
            if self.cast is not None:
                self._tempo = base.bpm if base is not None and base.asked else self.cast.scene.tempo
            # The clock runs on while the transport stands.
            self._halted, line = self.timeline, self.timeline
            self.timeline = Timeline.starting(
                line.tempo_at(self._stopped_at), self._stopped_at, line.ns_at(self._stopped_at)
            )
        self.rack.everywhere("silence")
        self.ahead.fall_silent()
        if was_playing:
            if self.cast is not None:
                self.ahead.give(self.cast.dim(now))
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
            self.ahead.drop(lambda pending: pending.cast not in kept)
            last.ends = None
            self.ahead.perform(first.instead, self.timeline)
            self._frontier = last.agenda.frontier
            for cast in self._casts[len(kept) :]:
                cast.disband()
            self._casts = kept
            self.rack.outputs = last.patched
            self._sweep_at = self._sweep_at or self.clock.now() + SETTLED
        self.changes.halt(here)

    @property
    def tempo_asked(self) -> bool:
        """Whether somebody has asked for the tempo, rather than a scene or a style."""
        base = self._bases.at(self.now_beat)
        return base is not None and base.asked

    @property
    def base_tempo(self) -> float:
        """The tempo at this moment without what mood and section make of it."""
        base = self._bases.at(self.now_beat)
        return self._tempo if base is None else base.bpm

    def panic(self) -> None:
        """Stop, and tell every synth to be quiet in every way it may understand."""
        self.stop()
        self.rack.everywhere("panic")

    # The wires --------------------------------------------------------------------------

    def announce(self, address: str, *args: int | float | str) -> None:
        """Say something to every output at once."""
        self._tell(address, args, self.clock.now())

    def _tell(self, address: str, args: tuple[int | float | str, ...], due: int) -> None:
        """Say something to every output."""
        self.ahead.said[address] = args
        identity, whose = self._next_id() << 24, self.rack.transport
        self.ahead.give(
            (
                patched.spec.kind,
                patched.encoder.tell(identity | index << 2, whose, address, args, due),
            )
            for index, patched in enumerate(self.rack.outputs.values())
        )

    def port_state(self, kind: str, port: int, state: str, why: str) -> None:
        """A wire tells what became of a port."""
        label = self.rack.hear(kind, port, state, why)
        if label is None:
            return
        self._enter(Ported(label[0], state, why, label[1]))
        if state == "open" and kind == "midi" and self.cast is not None:
            now = self.clock.now()
            here = self.timeline.beat_at(now)
            self.ahead.give(self.cast.sounds(self.now_beat, now, port))
            if self.playing and here > 0:  # whoever comes late is told where we are
                beat = next_sixteenth(self.timeline.beat_at(now + 2 * MARGIN))
                self._pulses.locate(self.timeline, now, beat, frozenset({port}))

    def wire_silenced(self, why: str) -> None:
        """A wire fell silent by itself; give it again what is still to come."""
        self._enter(Troubled("wire", why))
        with self.still("silenced"):
            self.note("silenced")
            self._give_again()

    def wire_restarted(self, why: str) -> None:
        """A wire died and a new one has taken its place; the owed offs are paid already."""
        self._enter(Troubled("wire", why))
        if self.cast is not None and not self.playing:
            self.ahead.give(self.cast.sounds(self.now_beat, self.clock.now()))
        with self.still("silenced"):
            self.note("silenced")
            self._give_again()

    def _give_again(self) -> None:
        now = self._look()
        if self.playing:
            if self.cast is not None:
                self.ahead.give(self.cast.sounds(self.now_beat, now))
            self.ahead.again(self.timeline)
        self._pulses.again(self.timeline, now)
