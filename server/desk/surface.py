"""A surface of faders: it is told by plain OSC how things are, so that its faders follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from math import ceil

from engines.base import Mistake
from server.ensemble.encode import osc_message
from server.score.outputs import check_target

from .feed import Feed
from .tree import Value

MS = 1_000_000  # ns
LOOKS = 100 * MS  # between two looks at how things are
CALM = 150 * MS  # for which a value has to rest before it is told …
MOST = 500 * MS  # … or for which it has been changing
ROUND = 5_000 * MS  # in which everything is told again: datagrams get lost, and tablets sleep


class Surface:
    """What one surface is told, and when.

    values: how things are now, by address; None where there is nothing to tell.  send: one packet.
    Laws: a value that rests is told within `CALM` and a look, one that keeps moving every `MOST`,
    so that no finger is fought; each is told again every `ROUND`, and soon after the first look.
    """

    def __init__(
        self,
        values: Callable[[], Mapping[str, tuple[Value, ...] | None]],
        send: Callable[[bytes], object],
    ) -> None:
        self._values, self._send = values, send
        self._seen: dict[str, tuple[Value, ...]] = {}
        self._moving: dict[str, tuple[int, int]] = {}  # address -> since when, when last
        self._again: list[str] = []

    def look(self, now: int) -> None:
        """Tell what has changed, and a little of all else. now: nanoseconds."""
        values = {each: value for each, value in self._values().items() if value is not None}
        for address, value in values.items():
            if self._seen.get(address) != value:
                since, _ = self._moving.get(address, (now, now))
                self._moving[address] = since, now
        self._seen = values
        due = [
            address
            for address, (since, last) in self._moving.items()
            if now - last >= CALM or now - since >= MOST
        ]
        for address in due:
            del self._moving[address]
        if not self._again:
            self._again = list(values)
        share = ceil(len(values) * LOOKS / ROUND)
        rest, self._again = self._again[:share], self._again[share:]
        still = [each for each in rest if each not in self._moving]
        for address in dict.fromkeys([*due, *still]):
            if address in values:
                self._send(osc_message(address, *map(_plain, values[address])))


def _plain(value: Value) -> int | float | str:
    """As faders and buttons take it, for most of which T and F are nothing."""
    return int(value) if isinstance(value, bool) else value


def _told(feed: Feed) -> dict[str, tuple[Value, ...] | None]:
    """The state, and of what happens what a label shows."""
    told = feed.values()
    for name in ("chord", "transport"):
        address = f"/componium/{name}"
        value = feed.query.value(address)
        told[address] = value and value[:1]  # of a chord its name alone
    return told


class _Line(asyncio.DatagramProtocol):
    """A socket whose other end may not be there; nobody waits for it."""

    def error_received(self, exc: Exception) -> None:
        pass


async def reach(targets: Iterable[str]) -> list[asyncio.DatagramTransport]:
    """Lines to surfaces at HOST:PORT. Errors: Mistake where an address leads nowhere."""
    lines: list[asyncio.DatagramTransport] = []
    for target in targets:
        host, _, port = check_target(target, "--surface").rpartition(":")
        try:
            line, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                _Line, remote_addr=(host.strip("[]"), int(port))
            )
        except OSError as error:
            for each in lines:
                each.close()
            raise Mistake("--surface", f"cannot reach {target}: {error}") from None
        lines.append(line)
    return lines


async def follow(feed: Feed, lines: Iterable[asyncio.DatagramTransport]) -> None:
    """Tell surfaces how things are, until cancelled; the lines are closed then."""
    surfaces = [(Surface(lambda: _told(feed), line.sendto), line) for line in lines]
    try:
        while True:
            for surface, _ in surfaces:
                try:
                    surface.look(feed.player.clock.now())
                except Exception as error:  # no scene is there yet, or a line has died
                    feed.desk.complaints.add("surface", f"cannot tell how things are: {error!r}")
            await asyncio.sleep(LOOKS / 1e9)
    finally:
        for _, line in surfaces:
            line.close()
