"""Who whispers what comes next: a wire within the planner's own process, for pages and games.

It keeps what is planned and what sounds, as a wire process does, and tells listeners only how that
differs from what they know already. Nothing is sent twice because it was performed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from server.wire.protocol import ALL, LATE_DROP, Event

LATE = 100_000_000  # ns after which a note is better left out
KEPT = 1_000_000_000  # ns that an event is remembered when it is over
MOST = 16_384  # events kept

#: What has changed: events that are new or otherwise than was told, and ids that are taken back.
Heard = Callable[[list[Event], list[int]], None]


class Prompter:
    """Tells listeners of events ahead of their time, and takes back what will not come.

    now: monotonic nanoseconds.  soon: calls a function after what is being done just now, so that
    a recall and what is performed anew after it are one change.
    heard, why: as of `Ears`; the encoder looks at them.
    Laws: after any commands, what a listener has been told of and not been asked to forget is
    what a wire process would still play; an event told once is told again only if it has changed;
    of what has begun only the end changes.
    """

    def __init__(
        self, now: Callable[[], int], soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self._now, self._soon = now, soon
        self.heard = self.why = False
        self.tell: Heard = lambda events, gone: None
        self._parts: dict[int, dict[int, Event]] = {}
        self._told: dict[int, Event] = {}
        self._changed: dict[int, int] = {}  # id -> part
        self._asked = False
        self._sweep_at = 0

    def listen(self, heard: bool, why: bool) -> None:
        """Say whether anybody listens from now on."""
        self.heard, self.why = heard, why
        if not heard:
            self._parts.clear()
            self._told.clear()
            self._changed.clear()

    def catch_up(self, events: Iterable[Event]) -> None:
        """Take events as told that were planned while nobody listened; what is over is left out."""
        now = self._now()
        for event in events:
            if max(event.due, event.end) > now:
                self._parts.setdefault(event.part, {})[event.id] = event
                self._told[event.id] = event

    def events(self) -> list[Event]:
        """What is planned or sounds now, for a listener who comes late."""
        now = self._now()
        return [
            event
            for events in self._parts.values()
            for event in events.values()
            if max(event.due, event.end) > now
        ]

    def get(self, part: int, identity: int) -> Event | None:
        """An event as it stands now."""
        return self._parts.get(part, {}).get(identity)

    # What the rack wants of a wire ------------------------------------------------------

    def open(self, settings: Mapping[str, Any]) -> None:
        """There are no ports."""

    def shut(self, port: int) -> None:
        """There are no ports."""

    def send(self, events: Iterable[Event]) -> None:
        if not self.heard:
            return
        self._sweep()
        now = self._now()
        for event in events:
            known = self._parts.setdefault(event.part, {})
            before = known.get(event.id)
            if before is not None and before.due <= now:
                if before.end <= now:
                    continue
                event = before._replace(end=event.end)
            elif event.due < now - LATE and event.late == LATE_DROP:
                continue
            if before is None and len(self._told) + len(self._changed) >= MOST:
                continue
            known[event.id] = event
            self._change(event.id, event.part)

    def recall(self, part: int = ALL) -> None:
        self._drop(part, lambda event, now: event.due > now)

    def cut(self, part: int = ALL) -> None:
        self._drop(part, lambda event, now: max(event.due, event.end) > now)

    def silence(self) -> None:
        self.cut()

    def panic(self) -> None:
        self.cut()

    # ------------------------------------------------------------------------------------

    def _drop(self, part: int, which: Callable[[Event, int], bool]) -> None:
        now = self._now()
        for number in list(self._parts) if part == ALL else [part]:
            known = self._parts.get(number, {})
            for event in [event for event in known.values() if which(event, now)]:
                if event.due > now:
                    del known[event.id]
                else:  # it is over, and must be known to be
                    known[event.id] = event._replace(end=now)
                self._change(event.id, number)

    def _change(self, identity: int, part: int) -> None:
        self._changed[identity] = part
        if not self._asked:
            self._asked = True
            self._soon(self._report)

    def _report(self) -> None:
        """Tell how what is planned differs from what was told."""
        self._asked = False
        changed, self._changed = self._changed, {}
        now = self._now()
        fresh: list[Event] = []
        gone: list[int] = []
        for identity, part in changed.items():
            event, told = self.get(part, identity), self._told.get(identity)
            if event is None or 0 < event.end <= now:
                if told is not None:
                    del self._told[identity]
                    gone.append(identity)
            elif event != told:
                self._told[identity] = event
                fresh.append(event)
        if fresh or gone:
            self.tell(fresh, gone)

    def _sweep(self) -> None:
        now = self._now()
        if now < self._sweep_at:
            return
        self._sweep_at = now + KEPT
        for number, known in list(self._parts.items()):
            for event in list(known.values()):
                if max(event.due, event.end) < now - KEPT:
                    del known[event.id]
                    self._told.pop(event.id, None)
            if not known:
                del self._parts[number]
