"""Moments: when a change takes effect, and what becomes of it until then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from engines.base import Mistake
from server.ensemble.part import said
from server.ensemble.setting import Setting
from server.score.stinger import grid_of
from server.score.when import When, beat_of, of_form, parse_when

from .changes import MOST_WAITING, OF_SCENE, SCENE, Asked, Change, Receipt, Told
from .following import Following
from .journal import Troubled
from .transport import HORIZON, MARGIN


def _first(wanted: When, here: Fraction, least: Fraction, setting: Setting) -> Fraction:
    """The beat of a moment as seen from `here`, or the next of its kind where that is too early.

    least: the first beat that can still be changed.  Errors: Mistake, as of `beat_of`.
    """
    if wanted.frame == "ahead":
        beat = beat_of(wanted, here, setting)
        if beat >= least:
            return beat
        wanted = When("line", wanted.unit)
    return beat_of(wanted, least, setting)


class Moments(Following):
    """A transport that changes can be asked of, each for a musical moment."""

    def boundary(self, when: str, unplanned: bool = False) -> Fraction:
        """The beat that words for a musical moment mean from now, see `server.score.when`.

        unplanned: nothing that begins there has been planned yet.  Errors: Mistake.
        """
        grid, cast = grid_of(when), self.cast
        wanted = parse_when("beat" if grid else when)
        if wanted.frame == "now" or not self.playing or cast is None:
            return self.now_beat
        near = self._near(unplanned)
        if grid:
            return max(near, cast.begin) + (cast.begin - max(near, cast.begin)) % grid
        return _first(wanted, self._near(False), near, cast.setting)

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
        return _first(wanted, asked.near, least, setting)

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
        to: str = "",
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
        asked = None
        if not grid_of(when):
            counted = parse_when(when).frame == "ahead"  # from now, however far the plan is
            asked = Asked(when, self._near(unplanned and not counted), unplanned)
        change = Change(
            *(topic, receipt, apply, beat, undo, early, ends_scene, asked, arrives, lead),
            why=why,
            to=to,
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

    @property
    def _heard_of(self) -> Fraction:
        """The beat up to which a change of what the music is like comes too late.

        It is the same whatever the horizon, up to the usual one.
        """
        reach = self._reach + max(HORIZON - self.horizon, 0)
        return max(self._frontier, self._reached(self.clock.now(), reach))

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is asked for within is done at one moment, before anything more is planned."""
        if self._joint:
            yield
            return
        with self.still("together"):
            now = self._look()
            self._plan_ahead(now)
            self._joint = True
            try:
                yield
            finally:
                self._joint = False
            self._plan_ahead(now)
