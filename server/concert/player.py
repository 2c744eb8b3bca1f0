"""Every change that a performer or a game can make to what plays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from math import isfinite

from engines.base import Heard, Held, Mistake, Yields, unknown
from server.conductor.form import Rule
from server.ensemble.mixer import Strip
from server.ensemble.rack import Sent
from server.music.timeline import Timeline
from server.score.scene import Scene
from server.score.stinger import Sting
from server.score.when import When, beat_of

from .cast import Cast, PendingStep, Playing, setting_of
from .changes import SCENE, SEED, Change, Receipt, Told
from .journal import Troubled
from .moments import Moments
from .transport import Base

_TICK = Fraction(1, 2**20)


class Player(Moments):
    """What can be asked of the music while it plays; the desk only calls what is here."""

    # Tempo, faders, controls --------------------------------------------------------------

    def tempo(
        self,
        bpm: float,
        over: Fraction = Fraction(0),
        when: str = "now",
        told: Told = None,
    ) -> Receipt:
        """A new tempo (20 to 999), reached after `over` quarter notes; no beat jumps.

        Where another leads he is asked for it, and may refuse.
        """
        if not isfinite(bpm):
            raise Mistake("tempo", f"expected a number from 20 to 999, got {bpm}")
        if self._leader is not None and (why := self._leader.fixed):
            raise Mistake("tempo", why)
        if self._leader is not None and over > 0:
            raise Mistake("tempo", "others follow it too, so it takes no ramp; ask without one")

        def apply(beat: Fraction) -> None:
            if self._leader is not None:
                self._leader.tempo(bpm, self.timeline.ns_at(beat) - self.nudged)
                self._heed(self.clock.now())
                return
            now = self.clock.now()
            factor = self.setting.conductor.tempo_at(beat + over) if self.setting else 1.0
            if self.playing:
                self._bases.begin(beat, Base(bpm / factor, beat + over, asked=True))
                self.timeline = self.timeline.with_tempo(bpm, beat, over)
                for cast in self._casts:
                    if cast.begin > beat and cast.goes_on:
                        cast.tempo = None
                    elif cast.begin > beat and cast.tempo is not None:
                        self.timeline = self.timeline.with_tempo(cast.tempo, cast.begin)
                        self._bases.begin(cast.begin, Base(cast.tempo, cast.begin))
                self._retime(now)
            else:
                self._tempo = bpm / factor
                base = Base(bpm / factor, self._stopped_at, asked=True)
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
            here, cast = beat <= self.now_beat, self.cast_at(beat)
            cast.find(name)
            held[:] = [cast]
            if here:  # so that what swings or strays past this moment changes too
                beat = min([beat, *(p.beat for p in self.ahead if p.cast is cast)])
            parts = [
                playing
                for each in self._casts
                if each.mixer is cast.mixer
                for playing in each.everyone
                if field == "solo" or playing.spec.name == name
            ]
            before = [playing.strip_at(beat) for playing in parts]
            cast.mixer.set(name, beat, field, value)
            for playing, old in zip(parts, before, strict=True):
                new = playing.strip_at(beat)
                if self.playing and new != old:
                    self._restrip(playing, here and new.mute and not old.mute)

        def undo(beat: Fraction) -> None:
            held[0].mixer.take_back(name, field, beat)
            self.feel_anew(beat)

        return self.at(when, ("part", name, field), apply, told, early=True, undo=undo)

    def _restrip(self, playing: Playing, cut: bool) -> None:
        if cut:
            self.rack.cut(playing.number)
            self.ahead.end(playing)
        self._alter(playing)

    def part(self, name: str) -> Playing:
        """A part or stinger of the scene that plays, by name. Errors: Mistake."""
        if self.cast is None:
            raise Mistake(f"part {name}", "no scene is loaded; load one first")
        return self.cast.find(name)

    def strips(self, beat: Fraction | None = None) -> dict[str, Strip]:
        """Every part's controls as they were last asked for, or as they are at a beat."""
        cast = self.cast
        parts = cast.everyone if cast is not None else []
        return {each.spec.name: each.cast.mixer.asked(each.spec.name, beat) for each in parts}

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
            raise Mistake("", unknown("control", name, values))

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

    # Stingers ---------------------------------------------------------------------------

    def stings(self) -> Iterator[Sting]:
        """Those that sound, or are planned to."""
        here = self.now_beat
        stings = (sting for cast in self._casts for sting in cast.stings)
        return (each for each in stings if each.end is None or each.end > here)

    def strike(self, sting: Sting) -> None:
        """Have a sting from its beat on, also in what is planned already."""
        cast = self.cast_at(sting.begin)
        cast.stings.append(sting)
        self.struck.setdefault(sting.name, []).append(sting.begin)
        until = self._frontier if cast.ends is None else min(self._frontier, cast.ends)
        fresh, troubles = cast.plan_sting(sting, until)
        for trouble in troubles:
            self._enter(Troubled(f"stingers.{trouble.part}", trouble.text))
        self.ahead.perform(fresh, self.timeline)
        self.ahead.send(fresh)
        self._duck_anew(sting)

    def unstrike(self, sting: Sting) -> None:
        """Take back a sting that has not begun yet."""
        self.struck[sting.name].remove(sting.begin)
        for cast in self._casts:
            if sting in cast.stings:
                cast.stings.remove(sting)
                self.rack.recall(cast.named[sting.name].number)
        self._drop_stings(lambda other: other is sting)
        self.ahead.again(self.timeline)

    def _duck_anew(self, sting: Sting) -> None:
        if sting.spec.duck < 1 and sting.begin < self._frontier:
            self._recall_all()
            self._alter()

    # Scenes -----------------------------------------------------------------------------

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

        old = self.scene
        restyled = old is not None and old.name == scene.name and old.style != scene.style
        to = f"style {scene.style}" if restyled else scene.name
        return self.at(when, SCENE, apply, told, lead=lead, ends_scene=not keep, to=to)

    def rewrite(self, name: str, scene: Scene, when: str = "bar", told: Told = None) -> Receipt:
        """A part goes on by other rules, those that it has in this scene; all others play on.

        Of the old rules nothing begins after that moment; what sounds ends when it would have.
        """
        self.part(name)

        def apply(beat: Fraction) -> None:
            cast = self.cast_at(beat)
            if cast.scene.name != scene.name or cast.scene.style != scene.style:
                raise Mistake("rules", f"by then {cast.scene.name} plays; these are {scene.name}'s")
            # What has halted goes on with what it had planned.
            cast.renew(cast.scene.having(name, scene), beat if self.playing else None)

        return self.at(when, ("part", name, "rules"), apply, told, unplanned=True)

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
        beat = change.beat
        cast = self.cast_at(beat - _TICK)
        rule = self._rule(cast, scene, beat)
        if rule is None:
            return
        conductor = cast.setting.conductor
        conductor.heed(self._heard_of)
        heir_of = conductor if keep else None
        coming = setting_of(scene, beat, heir_of, conductor.moods).conductor
        near = self._near(False)
        conductor.leave(beat, rule, coming.bar(coming.first).key, near)
        begin = cast.setting.beat_of_bar(max(conductor.bar_before(beat).number + 1 - rule.ramp, 1))
        begin = max(begin, beat_of(When("line", "beat"), near, cast.setting))
        before: list[Base] = []

        def ramp(begin: Fraction) -> None:
            base = self._bases.at(begin)
            if base is None or not rule.ramp or begin >= beat or self._leader is not None:
                return
            tempo = self._tempo_in(scene, cast, keep, base)
            if tempo is None and base.asked:
                return
            before[:] = [base]
            bpm = (base.bpm if tempo is None else tempo) * coming.tempo_at(beat)
            self._bases.begin(begin, Base(bpm, beat))
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

    def _tempo_in(self, scene: Scene, old: Cast, keep: bool, base: Base | None) -> float | None:
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
                *self.ahead,
            )
            if pending.beat >= beat and pending.cast in kept
        ]
        old.ends = beat
        self.ahead.drop(lambda pending: pending.beat >= beat)
        self.ahead.perform(old.cut_stings(beat), self.timeline)
        self._frontier = beat
        self.made += 1
        replaced = [each for each in self._casts if each not in kept]
        self._casts = [*kept, cast]
        for each in replaced:
            each.disband()
        for change in self.changes:  # their casts have just been let go: they come again
            if change.topic in (SCENE, SEED) and change.receipt.beat > beat:
                change.taken = False
        self._set_time(now)
        if tempo is not None:
            if self._leader is None:
                self.timeline = self.timeline.with_tempo(tempo, beat)
            self._bases.begin(beat, Base(tempo, beat))
        elif base is not None and base.asked:  # what was asked for is what is heard
            at = max(beat, base.arrives)
            factor = old.setting.conductor.tempo_at(at) / cast.setting.conductor.tempo_at(at)
            self._bases.begin(beat, Base(base.bpm * factor, base.arrives, asked=True))
        self._pulses.hand_over(followers, self.timeline, now, beat)
        self._retime(now)
        if keep:
            self.form_turned(beat)

    # Players at an input ------------------------------------------------------------------

    def give(self, things: Iterable[Sent]) -> None:
        """Hand the wires what is not planned, as a note that a key holds."""
        self.ahead.give(things)

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
        self.ahead.drop(lambda each: isinstance(each, PendingStep) and each.playing is playing)
        self.ahead.end(playing)
        self.rack.cut(playing.number)
