"""Changes that wait for their moment: armed, moved, called off, replaced, and told about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from server.ensemble.part import said

from .journal import Entry, Troubled

MOST_WAITING = 256  # changes that may wait for their moment
SCENE, SEED = ("scene",), ("seed",)  # what such changes concern
OF_SCENE = frozenset({"part", "stinger", "key", "section", "theme", "likeness"})  # gone with it
_TICK = Fraction(1, 2**20)


@dataclass
class Receipt:
    """What became of a command that takes effect at a musical moment.

    beat: when it takes effect, in quarter notes since the start; bar: the same for people.
    state: "armed", "done", "refused", "superseded" or "cancelled"; `told` is called at each
    change, and when an armed one has moved to another bar.
    """

    beat: Fraction
    bar: float
    state: str = ""
    reason: str = ""
    told: Callable[[Receipt], None] | None = None

    def become(self, state: str, reason: str = "") -> None:
        """Change the state, and tell."""
        self.state, self.reason = state, reason
        if self.told is not None:
            self.told(self)


Told = Callable[[Receipt], None] | None


class Asked(NamedTuple):
    """A moment in the words in which it was asked for, and the beat from which it was sought.

    unplanned: only what is not planned yet can be changed there.
    """

    when: str
    near: Fraction
    unplanned: bool


def _nothing(change: Change) -> None:
    """What leads over to a change that needs no leading over."""


def _no_word() -> str:
    return ""


@dataclass(eq=False)
class Change:
    """A command with a moment.

    topic: what it concerns; a newer change of the same takes its place.
    apply: done when the plan comes to its beat, or at once where `early`, since it reaches into
    the future by itself.  undo: takes back what the plan has taken in and is still to come after
    a beat.
    beat: at which it takes effect; the receipt's is the one at which that is done, `arrives`.
    ends_scene: after it nothing of the scene goes on, nor of what is armed for it.
    leads: the change that this one only leads over to.  lead: has the music lead over to it.
    why: what there is to say when it is done.  to: the name of what comes, such as that of a
    section.  taken: the plan has taken it in.
    """

    topic: tuple[str, ...]
    receipt: Receipt
    apply: Callable[[Fraction], None]
    beat: Fraction
    undo: Callable[[Fraction], None] | None = None
    early: bool = False
    ends_scene: bool = False
    asked: Asked | None = None
    arrives: Callable[[Fraction], Fraction] = lambda beat: beat
    lead: Callable[[Change], None] = _nothing
    leads: Change | None = None
    why: Callable[[], str] = _no_word
    to: str = ""
    taken: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """What it concerns, such as "part/bass/mute"."""
        return "/".join(self.topic)


class Changes:
    """What is armed, in the order in which it was asked for.

    now: the beat at this moment.  enter: for what goes wrong.
    Laws: every receipt comes to exactly one end; what is let go of leaves nothing behind; whoever
    is told may command again.
    """

    def __init__(self, now: Callable[[], Fraction], enter: Callable[[Entry], None]) -> None:
        self._now, self._enter = now, enter
        self._waiting: list[Change] = []

    def __iter__(self) -> Iterator[Change]:
        return iter(tuple(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, change: Change) -> bool:
        return change in self._waiting

    # What waits -------------------------------------------------------------------------

    def next(self) -> Change | None:
        """The first that the plan has not taken in."""
        untaken = (change for change in self._waiting if not change.taken)
        return min(untaken, key=lambda change: change.beat, default=None)

    def armed(self, topic: tuple[str, ...]) -> list[Fraction]:
        """The beats of what waits and begins with this topic, the plan not having taken it in."""
        waiting = (change for change in self._waiting if not change.taken)
        return [each.beat for each in waiting if each.topic[: len(topic)] == topic]

    def told(self) -> Iterator[tuple[str, float]]:
        """What is armed, and at which bar."""
        for change in self._waiting:
            if change.leads is None:
                yield change.name, change.receipt.bar

    def words(self) -> Iterator[str]:
        """What is armed, at which bar, and what comes: "section at bar 9: Boss"."""
        for change in self._waiting:
            if change.leads is None:
                to = f": {change.to}" if change.to else ""
                yield f"{change.name} at bar {change.receipt.bar:g}{to}"

    @property
    def scene_ends(self) -> Fraction | None:
        """The beat at which another scene begins; None while that is not asked for."""
        beats = (change.receipt.beat for change in self._waiting if change.ends_scene)
        return min(beats, default=None)

    # What becomes of it -----------------------------------------------------------------

    def arm(self, change: Change) -> None:
        """Have it wait."""
        self._waiting.append(change)

    def take_in(self, change: Change) -> None:
        """Apply a change. One that fails is refused, and the music goes on as it was."""
        change.taken = True
        try:
            change.apply(change.beat)
        except Exception as error:
            if change in self._waiting:
                self._waiting.remove(change)
            self._drop_leads(change)
            self._enter(Troubled(change.name, f"refused: {said(error)}"))
            change.receipt.become("refused", said(error))
            return
        if change.ends_scene:
            self._end_scene(change)
        elif change.topic in (SCENE, SEED):
            self._go_on(change)

    def _end_scene(self, scene: Change) -> None:
        """Let go of what was armed before and for later; moods go on through scenes."""
        waiting = self._waiting
        older = waiting[: waiting.index(scene)] if scene in waiting else list(waiting)
        for change in older:
            later = change.receipt.beat >= scene.beat and change.leads is None
            if later and change.topic[0] != "mood" and change.topic != SCENE and change in waiting:
                self.let_go(change)
                change.receipt.become("superseded", "by another scene")

    def _go_on(self, scene: Change) -> None:
        """The scene goes on as another cast: what is armed for later holds there."""
        later = [
            change
            for change in self._waiting
            if change.taken and change.beat >= scene.beat and change.topic[0] in OF_SCENE
        ]
        self._again(later)

    def _again(self, changes: list[Change]) -> None:
        """Take back what the plan has of these, and take in again what reaches ahead."""
        for change in sorted(changes, key=lambda change: change.beat, reverse=True):
            self._undo(change)
            change.taken = False
        for change in sorted(changes, key=lambda change: change.beat):
            if change.early and change in self._waiting:
                self.take_in(change)

    def move(self, moves: dict[Change, Fraction]) -> None:
        """Have changes take effect at other beats, and those of the same topic that come after."""
        topics = {change.topic for change in moves}
        again = [each for each in self._waiting if each.taken and each.topic in topics]
        for change in moves:
            self._drop_leads(change)
        for change in sorted(again, key=lambda change: change.beat, reverse=True):
            self._undo(change)
            change.taken = False
        for change, beat in moves.items():
            change.beat = beat
        self._again([change for change in again if change in self._waiting])
        for change in moves:
            if change in self._waiting:
                change.lead(change)

    def make_way(self, topic: tuple[str, ...], beat: Fraction) -> None:
        """Let go of what a newer change of a topic, from a beat on, takes the place of."""
        for change in self:
            same = change.topic == topic and change.leads is None
            if same and change.receipt.beat >= beat and change in self._waiting:
                self.let_go(change)
                change.receipt.become("superseded", "by a newer command")

    def let_go(self, change: Change) -> None:
        """Have one never happen, and nothing left of what the plan has of it."""
        self._waiting.remove(change)
        self._undo(change)
        self._drop_leads(change)

    def _undo(self, change: Change) -> None:
        if change.taken and change.undo is not None:
            change.undo(max(self._now(), change.beat - _TICK))

    def _drop_leads(self, change: Change) -> None:
        """Have nothing lead over to a change that does not come."""
        for lead in [each for each in self._waiting if each.leads is change]:
            self._waiting.remove(lead)
            if lead.undo is not None:
                lead.undo(self._now())

    def again(self, topic: tuple[str, ...]) -> None:
        """Take in again what the plan has of a topic, as what it was laid over has changed."""
        self._again([each for each in self._waiting if each.taken and each.topic == topic])

    def cancel(self, topic: str = "", besides: Collection[str] = ()) -> int:
        """Call off what is armed, all of it or what concerns one topic; how many changes.

        besides: what stays although it is a part of that, as the tension of a mood.
        """
        gone = [
            change
            for change in self._waiting
            if not topic or topic in (change.topic[0], change.name)
            if change.name not in besides
            if change.leads is None and not (change.taken and change.undo is None)
        ]
        for change in gone:
            if change in self._waiting:
                self.let_go(change)
                change.receipt.become("cancelled")
        return len(gone)

    def settle(self, reached: Callable[[Fraction], bool]) -> None:
        """Tell the receipts whose beat is reached."""
        for change in [each for each in self._waiting if reached(each.receipt.beat)]:
            if change in self._waiting:
                self.finish(change)

    def finish(self, change: Change) -> None:
        """It is done."""
        self._waiting.remove(change)
        change.receipt.become("done", change.why())

    def refuse(self, change: Change, reason: str) -> None:
        """It cannot be done after all."""
        self.let_go(change)
        change.receipt.become("refused", reason)

    def halt(self, here: Fraction) -> None:
        """The transport stands: take back what was to come, and tell what has been."""
        taken = [change for change in self._waiting if change.taken or change.leads]
        for change in taken:
            if change.undo is not None and change.receipt.beat > here:
                change.undo(here)
        for change in taken:
            if change.receipt.beat <= here or change.topic[0] == "control":
                self.finish(change)

    def drop(self, reason: str) -> None:
        """Nothing waits any more."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            change.receipt.become("superseded", reason)
