"""Which events are over: their ids, for a while."""

from __future__ import annotations

#: Whoever sends an id again does so within this; later its note would be dropped for being late.
AGE = 30_000_000_000


class Lately:
    """Ids of the last half minute.

    most: how many are kept, at most.
    Laws: of the last `most // 2` ids added, each is in it for 30 s at least, by the clock that
    `forget` is called with; none for longer than 60 s where that is called often; it never holds
    more than `most`.
    """

    __slots__ = ("_before", "_half", "_ids", "_since")

    def __init__(self, most: int) -> None:
        self._half = most // 2
        self._ids: set[int] = set()
        self._before: set[int] = set()
        self._since = 0

    def __len__(self) -> int:
        return len(self._ids) + len(self._before)

    def __contains__(self, identity: int) -> bool:
        return identity in self._ids or identity in self._before

    def add(self, identity: int) -> None:
        if len(self._ids) >= self._half:
            self._turn()
        self._ids.add(identity)

    def forget(self, now: int) -> None:
        """Let go of what is old. now: monotonic nanoseconds."""
        if now - self._since >= AGE:
            self._since = now
            self._turn()

    def _turn(self) -> None:
        self._before, self._ids = self._ids, set()
