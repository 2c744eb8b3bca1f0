"""How much of one sender is too much: token buckets, and the guard against feedback loops."""

from __future__ import annotations

SECOND = 10**9  # ns
IDENTICAL = 500  # identical messages a second that are a loop and no music
KINDS = 256  # different messages that are told apart within a second
QUIET = 2 * SECOND  # silence after which a muted sender is heard again


class Bucket:
    """A token bucket: `rate` messages a second, twice as many in a burst.

    Law: within any t seconds it lets no more than (t + 2) * rate messages pass.
    """

    def __init__(self, rate: float, now: int) -> None:
        self.rate, self._tokens, self._at = rate, 2.0 * rate, now

    def take(self, now: int, number: int = 1) -> bool:
        """Whether messages may pass now; a bundle that begins within the limit may overdraw it."""
        self._tokens = min(self._tokens + (now - self._at) / SECOND * self.rate, 2.0 * self.rate)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= number
        return True


class Echo:
    """Notices a sender that says the same thing more than 500 times a second, and mutes it."""

    def __init__(self) -> None:
        self.muted = False
        self._seen: dict[int, int] = {}
        self._since = self._last = 0

    def hears(self, data: bytes, now: int) -> bool:
        """Whether this datagram may be listened to."""
        if self.muted and now - self._last >= QUIET:
            self.muted = False
            self._seen.clear()
        self._last = now
        if now - self._since >= SECOND:
            self._since = now
            self._seen.clear()
        mark = hash(data)  # the bytes themselves would cost memory
        times = self._seen.get(mark, 0) + 1
        if times > 1 or len(self._seen) < KINDS:
            self._seen[mark] = times
        self.muted = self.muted or times > IDENTICAL
        return not self.muted
