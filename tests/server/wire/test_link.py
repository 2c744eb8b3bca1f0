"""The planner's end, with real wire processes and UDP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from server.wire.link import Link
from server.wire.protocol import LATE_DROP, RANK_NOTE, Event
from tests.rigs.udp import Receiver

pytestmark = pytest.mark.real
MS = 1_000_000


def note(identity: int, wait: int, length: int, name: str) -> Event:
    """A note so many milliseconds from now."""
    due = time.monotonic_ns() + wait * MS
    on, off = f"/{name}".encode(), f"/{name}/off".encode()
    return Event(identity, due, due + length * MS, 0, 0, RANK_NOTE, LATE_DROP, on, off)


async def until(condition: Callable[[], Any], patience: float = 5.0) -> None:
    limit = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


class Concert:
    """A link with one OSC port, and what became of it."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.receiver = Receiver()
        self.heard: list[bytes] = []
        self.states: list[str] = []
        self.before_restart: list[str] = []
        self.restarts = 0
        self.link = Link(
            on_state=lambda port, state, why: self.states.append(state),
            on_restart=self._restarted,
        )
        self.host = host

    def _restarted(self) -> None:
        self.restarts += 1
        self.before_restart = list(self.states)

    async def __aenter__(self) -> Concert:
        await self.link.start()
        number = self.receiver.port
        self.link.open({"port": 0, "kind": "osc", "host": self.host, "number": number})
        await until(lambda: self.states == ["open"])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.link.close()
        self.receiver.close()

    def listen(self) -> list[bytes]:
        self.heard += [arrival.data for arrival in self.receiver.drain()]
        return self.heard


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_what_a_dead_wire_left_sounding_is_ended_and_not_played_again(
    how: signal.Signals,
) -> None:
    async with Concert() as concert:
        drone, soon = note(1, 300, 60_000, "drone"), note(2, 3_000, 50, "soon")
        concert.link.send([drone, soon])
        await until(lambda: b"/drone" in concert.listen())
        before = concert.link.pid
        os.kill(before, how)
        await until(lambda: concert.restarts == 1)
        concert.link.send([drone, note(2, 300, 50, "soon")])
        await until(lambda: b"/soon/off" in concert.listen())
        assert concert.heard == [b"/drone", b"/drone/off", b"/soon", b"/soon/off"]
        assert concert.link.pid != before
        assert concert.states == concert.before_restart == ["open", "lost", "open"]


async def test_closing_ends_what_sounds_and_the_process() -> None:
    async with Concert() as concert:
        concert.link.send([note(1, 300, 60_000, "drone"), note(2, 5_000, 100, "never")])
        await until(lambda: concert.listen())
        pid, at = concert.link.pid, time.monotonic()
        await concert.link.close()
        assert time.monotonic() - at < 1
        assert concert.listen() == [b"/drone", b"/drone/off"]
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_a_wire_that_hangs_does_not_keep_us_from_ending() -> None:
    async with Concert() as concert:
        pid, at = concert.link.pid, time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        await concert.link.close()
        assert time.monotonic() - at < 1
        await until(lambda: not alive(pid))


async def test_a_blocked_planner_is_silenced_and_told() -> None:
    said: list[str] = []
    async with Concert() as concert:
        concert.link._on_silenced = said.append
        concert.link.send([note(1, 300, 60_000, "drone")])
        await until(lambda: concert.listen())
        time.sleep(0.6)  # the fault under test: it blocks the loop
        assert concert.listen() == [b"/drone", b"/drone/off"]
        await until(lambda: said)
        assert concert.restarts == 0
        concert.link.send([note(2, 300, 50, "after")])
        await until(lambda: b"/after" in concert.listen())


async def test_a_wire_that_dies_again_and_again_is_started_less_often() -> None:
    async with Concert() as concert:
        for _ in range(6):
            await until(lambda: concert.link.pid)
            os.kill(concert.link.pid, signal.SIGKILL)
            dead = concert.restarts
            await until(lambda dead=dead: concert.restarts > dead)  # type: ignore[misc]
        concert.link.send([note(1, 300, 10, "alive")])
        await until(lambda: b"/alive/off" in concert.listen())


async def test_hosts_are_looked_up() -> None:
    async with Concert("localhost") as concert:
        concert.link.send([note(1, 300, 10, "here")])
        await until(lambda: b"/here/off" in concert.listen())


async def test_settings_that_make_no_sense_fail_and_harm_nobody() -> None:
    async with Concert() as concert:
        whys: list[str] = []
        concert.link._on_state = lambda port, state, why: whys.append(f"{port} {state} {why}")
        concert.link.open({"port": 1, "kind": "osc", "host": "127.0.0.1", "number": "nine"})
        await until(lambda: whys)
        assert whys[0].startswith("1 failed")
        concert.link.send([note(1, 300, 10, "here")])
        await until(lambda: b"/here/off" in concert.listen())
        assert concert.restarts == 0
