"""What has come in and is not yet done, in the order a stage needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .desk import Desk, Source
from .tree import Node, Value

CALM = 8  # messages that wait before the last value of a control replaces the others
ROOM = 1024  # messages that may wait


class _Waiting(NamedTuple):
    address: str
    args: tuple[Value, ...]
    source: Source
    node: Node | None


class Lanes:
    """Hands messages to a desk: stop and panic first, the rest in the order they came.

    Laws: stop and panic are never dropped; a start that waits when a stop comes never happens;
    of a flooded control the last value always wins.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._urgent: dict[object, _Waiting] = {}
        self._rest: dict[object, _Waiting] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._urgent) + len(self._rest)

    def put(self, address: str, args: tuple[Value, ...], source: Source) -> bool:
        """Let a message wait for `work`; False where there is no room for it."""
        node = self._desk.known(address)
        message = _Waiting(address, args, source, node)
        if node is not None and node.urgent:
            if node.read(args) is not None:
                self._urgent[address] = message
                self._drop_starts()
            return True
        key: object
        if node is not None and node.continuous and len(self._rest) >= CALM:
            # Values for different musical moments do not replace each other.
            key = (address, *(arg for arg in args if isinstance(arg, str)))
        else:
            key = self._serial = self._serial + 1
        if len(self._rest) >= ROOM and key not in self._rest:
            return False
        self._rest[key] = message
        return True

    def _drop_starts(self) -> None:
        for key, waiting in list(self._rest.items()):
            if waiting.node is not None and waiting.node.starts:
                del self._rest[key]
                self._desk.answer(
                    waiting.source, waiting.address, "superseded", reason="a stop came after it"
                )

    def work(self, enough: Callable[[], bool]) -> bool:
        """Do what waits until `enough()`; whether something still waits."""
        while self._urgent or self._rest:
            lane = self._urgent or self._rest
            waiting = lane.pop(next(iter(lane)))
            self._desk.receive(waiting.address, waiting.args, waiting.source)
            if enough():
                break
        return bool(self._urgent or self._rest)
