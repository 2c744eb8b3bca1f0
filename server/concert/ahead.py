"""What is planned and not yet over, kept so that it can be performed again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from engines.base import Origin
from server.ensemble.encode import Arg
from server.ensemble.part import said
from server.ensemble.rack import Rack, Sent
from server.music.timeline import Timeline
from server.wire.protocol import Event

from .cast import Pending, PendingStep, Playing
from .journal import Entry, Troubled

REMEMBERED = 2048  # steps that have begun, at most
LATELY = 5 * 10**9  # ns for which they are: whoever praises means the last seconds

_Item = tuple[int, int, Pending]


def _due(pending: Pending) -> int:
    return pending.due


class Begun(NamedTuple):
    """A step that has sounded. due: when, in nanoseconds.  origin: of its symbol."""

    due: int
    part: str
    origin: Origin


class Ahead:
    """Between the plan and the wires: what is still to begin, and what sounds.

    rack: where it goes.  enter: for what begins, and for what has to be left out.
    begun: the steps that have sounded in the last seconds.  said: the last word at each address
    that whoever listens has been told, without its prefix.  cuts: told when what sounds of a part,
    or all, has been ended before its time.
    Law: whatever fails to be performed or said is left out, with a word, and the rest goes on.
    """

    def __init__(self, rack: Rack, enter: Callable[[Entry], None]) -> None:
        self._rack, self._enter = rack, enter
        self._coming: list[_Item] = []  # heap by due
        self._sounding: list[_Item] = []  # heap by over
        self.begun: deque[Begun] = deque(maxlen=REMEMBERED)
        self.said: dict[str, tuple[Arg, ...]] = {"/transport": ("stopped",)}
        self.cuts: list[Callable[[Playing | None], None]] = []

    def __iter__(self) -> Iterator[Pending]:
        """All that is still to begin."""
        return (pending for *_, pending in tuple(self._coming))

    @property
    def sounds(self) -> bool:
        """Whether anything that has begun is not over."""
        return bool(self._sounding)

    def earliest(self, here: Fraction) -> Fraction:
        """The first beat of what is still to begin, `here` at the latest."""
        return min([here, *(pending.beat for *_, pending in self._coming)])

    # Performing -------------------------------------------------------------------------

    def perform(self, pendings: Iterable[Pending], line: Timeline) -> None:
        """Find out when these begin, and have them begin then."""
        for pending in pendings:
            try:
                pending.perform(line)
            except Exception as error:
                self._leave_out(pending, error)
            else:
                heappush(self._coming, (pending.due, pending.order, pending))

    def again(self, line: Timeline, parts: Iterable[Playing] | None = None, soon: int = 0) -> None:
        """Perform again what is still to begin, of some parts or of all, and send it again.

        What comes first is sent first, for it may be due before the wire has heard all of it.
        soon: of what begins up to this nanosecond, what was thinned out stays so: it would be late.
        """
        chosen, kept = list[Pending](), list[_Item]()
        among = None if parts is None else tuple(parts)
        for item in self._coming:
            due, _, pending = item
            meant = among is None or any(map(pending.concerns, among))
            if not meant or (due <= soon and pending.thinned):
                kept.append(item)
            else:
                chosen.append(pending)
        self._coming = kept
        heapify(kept)
        self.perform(chosen, line)
        self.send(sorted(chosen, key=_due))

    def retime(self, line: Timeline, soon: int = 0) -> None:
        """The timeline has changed: so does all that begins or ends from now on.

        soon: as of `again`.
        """
        sounding = [pending for *_, pending in self._sounding]
        for pending in sounding:
            pending.move_end(line)
        self._sounding = [(pending.over, pending.order, pending) for pending in sounding]
        heapify(self._sounding)
        self.send(sounding)
        self.again(line, None, soon)

    def commit(self, now: int, began: int) -> None:
        """Tell the journal what has begun, in order; forget what is over.

        began: the nanosecond of the start.
        """
        coming, sounding = self._coming, self._sounding
        while coming and coming[0][0] <= now:
            _, order, pending = heappop(coming)
            for entry in pending.entries(began):
                self._enter(entry)
            self.said.update(pending.words())
            if pending.over > now:
                heappush(sounding, (pending.over, order, pending))
            if isinstance(pending, PendingStep) and pending.notes:
                begun = Begun(pending.due, pending.playing.spec.name, pending.step.symbol.origin)
                self.begun.append(begun)
        while self.begun and self.begun[0].due < now - LATELY:
            self.begun.popleft()  # its origin knows the engine, and all that has been learnt
        while sounding and sounding[0][0] <= now:
            heappop(sounding)

    # Letting go -------------------------------------------------------------------------

    def drop(self, which: Callable[[Pending], bool]) -> list[Pending]:
        """Have some of what is still to begin not begin; those."""
        dropped = [pending for *_, pending in self._coming if which(pending)]
        if dropped:
            gone = set(map(id, dropped))
            self._coming = [item for item in self._coming if id(item[2]) not in gone]
            heapify(self._coming)
        return dropped

    def end(self, playing: Playing) -> None:
        """What sounds of a part has been ended."""
        self._sounding = [
            item
            for item in self._sounding
            if not (isinstance(item[2], PendingStep) and item[2].playing is playing)
        ]
        heapify(self._sounding)
        for cut in self.cuts:
            cut(playing)

    def end_all(self) -> None:
        """All that was planned and sounds has been ended."""
        self._sounding.clear()

    def fall_silent(self) -> None:
        """All that sounds has been ended, what hands play too."""
        self.end_all()
        for cut in self.cuts:
            cut(None)

    def _leave_out(self, pending: Pending, error: Exception) -> None:
        self.drop(lambda each: each is pending)
        source = pending.cast.scene.name
        if isinstance(pending, PendingStep):
            source = f"parts.{pending.playing.spec.name}"
        self._enter(Troubled(source, f"left out at beat {float(pending.beat):g}: {said(error)}"))

    # Sending ----------------------------------------------------------------------------

    def send(self, pendings: Iterable[Pending]) -> None:
        """Give the wires what can be said of these."""
        if self._rack.wires:
            things: list[Sent] = []
            for pending in pendings:
                try:
                    things += list(pending.sent())
                except Exception as error:
                    self._leave_out(pending, error)
            self.give(things)

    def standing(self, kind: str) -> list[Event]:
        """What a kind of wire is given of all that sounds or is still to begin."""
        pendings = [item[2] for item in (*self._sounding, *self._coming)]
        events: list[Event] = []
        for pending in pendings:
            try:
                events += [event for to, some in pending.sent() if to == kind for event in some]
            except Exception as error:
                self._leave_out(pending, error)
        return events

    def give(self, things: Iterable[Sent]) -> None:
        """Give the wires what is said already."""
        batches: dict[str, list[Event]] = {kind: [] for kind in self._rack.wires}
        for kind, events in things:
            batches[kind] += events
        self._rack.send(batches)
