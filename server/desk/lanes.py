"""What has come in and is not yet done, in the order a stage needs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from server.band.bands import band_in

from .desk import Desk, Source
from .limits import Bucket
from .packet import Message
from .tree import Node, Value

CALM = 8  # messages that wait before the last value of a control replaces the others
ROOM = 1024  # messages that may wait


class _Waiting:
    """What one datagram said, to be done together.

    controls: the continuous ones that it sets, each with the musical moment, if one is named.
    replaceable: it does nothing else.
    """

    __slots__ = ("controls", "messages", "replaceable", "source")

    def __init__(self, messages: list[tuple[Message, Node | None]], source: Source) -> None:
        self.messages, self.source = messages, source
        self.controls: list[tuple[Value, ...]] = [
            (address, *(arg for arg in args if isinstance(arg, str)))
            for (address, args), node in messages
            if node is not None and node.continuous
        ]
        self.replaceable = len(self.controls) == len(messages)


class Lanes:
    """Hands messages to a desk: stop and panic first, the rest in the order they came.

    Laws: stop and panic are never dropped; a start that waits when a stop comes never happens;
    what came in one datagram is done together; of a flooded control the last value always wins.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._urgent: dict[str, tuple[Message, Source]] = {}
        self._rest: dict[int, _Waiting] = {}
        self._newest: dict[tuple[Value, ...], int] = {}  # who waits with a control's last value
        self._serial = self._size = 0

    def __len__(self) -> int:
        return len(self._urgent) + self._size

    @property
    def urgent(self) -> bool:
        """Whether a stop or panic waits."""
        return bool(self._urgent)

    def put(self, messages: Iterable[Message], source: Source) -> bool:
        """Let a datagram's messages wait for `work`; False where there is no room for them."""
        rest: list[tuple[Message, Node | None]] = []
        for message in self._spread(messages):
            node = self._desk.known(message.address)
            if node is None or not node.urgent:
                rest.append((message, node))
            elif node.read(message.args) is not None:
                self._urgent[message.address] = message, source
                band = band_in(message.address)
                for waiting in self._rest.values():
                    self._size -= self._strike_starts(waiting.messages, waiting.source, band)
                self._strike_starts(rest, source, band)
        return not rest or self._enter(_Waiting(rest, source))

    def _spread(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Each control that a pattern means has a last value of its own."""
        for message in messages:
            for address in self._desk.reached(message.address):
                yield message if address == message.address else Message(address, message.args)

    def _enter(self, fresh: _Waiting) -> bool:
        serial = self._newest.get(fresh.controls[0]) if fresh.controls else None
        if serial is not None and self._size >= CALM and fresh.replaceable:
            before = self._rest[serial]
            if (
                before.replaceable
                and before.controls == fresh.controls
                and all(self._newest[control] == serial for control in fresh.controls)
            ):
                self._rest[serial] = fresh
                return True
        if self._size + len(fresh.messages) > ROOM:
            return False
        self._serial += 1
        self._rest[self._serial] = fresh
        self._size += len(fresh.messages)
        self._newest.update(dict.fromkeys(fresh.controls, self._serial))
        return True

    def _strike_starts(
        self, messages: list[tuple[Message, Node | None]], source: Source, band: str
    ) -> int:
        """Leave out what sets a band going, for a stop of it came after; how many that is."""
        struck = [each for each in messages if _starts(each, band)]
        for (address, _), _node in struck:
            self._desk.answer(source, address, "superseded", reason="a stop came after it")
        messages[:] = [each for each in messages if not _starts(each, band)]
        return len(struck)

    def work(self, enough: Callable[[], bool]) -> bool:
        """Do what waits until `enough()`; whether something still waits."""
        while self._urgent or self._rest:
            if self._urgent:
                message, source = self._urgent.pop(next(iter(self._urgent)))
                self._desk.receive_all([message], source)
            else:
                serial = next(iter(self._rest))
                waiting = self._rest.pop(serial)
                self._size -= len(waiting.messages)
                for control in waiting.controls:
                    if self._newest.get(control) == serial:
                        del self._newest[control]
                self._desk.receive_all([message for message, _ in waiting.messages], waiting.source)
            if enough():
                break
        return bool(self._urgent or self._rest)


def _starts(each: tuple[Message, Node | None], band: str) -> bool:
    (address, _), node = each
    return node is not None and node.starts and band_in(address) == band


class Paced:
    """Lanes of one client, who gets so many commands a second done and no more.

    rate: commands a second.  now: monotonic nanoseconds.
    Law: where more come, stop and panic are done at once all the same.
    """

    def __init__(self, desk: Desk, rate: int, now: Callable[[], int]) -> None:
        self._desk, self._rate, self._now = desk, rate, now
        self._lanes, self._bucket = Lanes(desk), Bucket(rate, now())
        self._again: asyncio.TimerHandle | None = None

    def enter(self, messages: list[Message], source: Source) -> None:
        """Have commands done: now, or, where they come too fast, one by one."""
        desk = self._desk
        if not self._lanes.put(messages, source):
            for message in messages:
                desk.answer(source, message.address, "refused", reason="too many commands wait")
        if self._bucket.take(self._now(), max(len(messages), 1)) and self._again is None:
            self._lanes.work(lambda: False)
        else:
            for message in messages:
                node = desk.known(message.address)
                if node is not None and node.urgent:
                    self._lanes.work(lambda: True)  # the urgent ones go first
            self._later()

    def close(self) -> None:
        """Do no more of what waits."""
        if self._again is not None:
            self._again.cancel()

    def _later(self) -> None:
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(1 / self._rate, self._work)

    def _work(self) -> None:
        self._again = None
        left = len(self._lanes) > 0
        while left and self._bucket.take(self._now()):
            left = self._lanes.work(lambda: True)
        if left:
            self._later()
