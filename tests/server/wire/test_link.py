"""The planner's end, with real wire processes and UDP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from server.wire.child import MOST_OUTSTANDING, MUTE_OPENING, opening_patience
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


def test_who_opens_a_port_has_longer_where_others_have_just_died_over_it() -> None:
    now = 100_000 * MS
    lately, before = now - 9_000 * MS, now - 11_000 * MS
    once = opening_patience([], now)
    assert once == MUTE_OPENING
    assert opening_patience([before], now) == once
    assert opening_patience([before, lately], now) == 2 * once
    assert opening_patience([lately] * 2, now) == 4 * once
    assert opening_patience([lately] * 9, now) == 4 * once


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


# What is owed -------------------------------------------------------------------------------


class Drone:
    """A concert in which one long note sounds, and whose wire hears nothing more."""

    def __init__(self, concert: Concert) -> None:
        self.concert, self.link = concert, concert.link

    async def begin(self) -> Drone:
        self.link.send([note(1, 300, 60_000, "drone")])
        await until(lambda: self.concert.listen())
        os.kill(self.link.pid, signal.SIGSTOP)
        return self


@pytest.fixture
async def drone() -> AsyncIterator[Drone]:
    async with Concert() as concert:
        yield await Drone(concert).begin()


async def test_a_port_that_was_being_closed_when_its_wire_died_gets_its_ends(drone: Drone) -> None:
    drone.link.shut(0)
    os.kill(drone.link.pid, signal.SIGKILL)
    await until(lambda: drone.concert.listen()[1:])
    await asyncio.sleep(0.3)
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]


@pytest.mark.parametrize("number", [0, 7])
async def test_ends_go_to_the_port_that_owed_them_and_not_to_its_number(
    drone: Drone, number: int
) -> None:
    other = Receiver()
    drone.link.shut(0)
    settings = {"port": number, "kind": "osc", "host": "127.0.0.1"}
    drone.link.open({**settings, "number": other.port})
    os.kill(drone.link.pid, signal.SIGKILL)
    await until(lambda: drone.concert.listen()[1:])
    drone.link.send([note(2, 300, 10, "new")._replace(port=number)])
    await asyncio.sleep(0.6)
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]
    assert [arrival.data for arrival in other.drain()] == [b"/new", b"/new/off"]
    other.close()


async def test_a_port_that_is_closed_while_no_wire_lives_gets_its_ends(drone: Drone) -> None:
    drone.link._fail()
    assert not drone.link.pid
    drone.link.shut(0)
    await until(lambda: drone.concert.listen()[1:])
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]


async def test_a_closed_ports_ends_survive_the_death_of_two_wires(drone: Drone) -> None:
    drone.link.shut(0)
    spawn = drone.link._spawn

    def born_dead() -> None:
        spawn()
        os.kill(drone.link.pid, signal.SIGKILL)
        drone.link._spawn = spawn  # type: ignore[method-assign]

    drone.link._spawn = born_dead  # type: ignore[method-assign]
    os.kill(drone.link.pid, signal.SIGKILL)
    await until(lambda: drone.concert.listen()[1:])
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]


@pytest.mark.parametrize("how", ["killed", "hung", "killed before", "dead already"])
async def test_what_a_wire_that_dies_at_the_end_still_owes_is_paid_by_another(
    drone: Drone, how: str
) -> None:
    first, at = drone.link.pid, time.monotonic()
    if how == "dead already":
        drone.link._fail()
        assert not drone.link.pid
    drone.link.silence()
    if how == "killed before":
        os.kill(first, signal.SIGKILL)
    closing = asyncio.create_task(drone.link.close())
    if how == "killed":
        await asyncio.sleep(0.05)
        os.kill(first, signal.SIGKILL)
    await closing
    assert time.monotonic() - at < 2
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]
    assert drone.link.pid == 0
    await until(lambda: not alive(first))


async def test_a_wire_that_owes_nothing_is_not_replaced_at_the_end() -> None:
    async with Concert() as concert:
        os.kill(concert.link.pid, signal.SIGKILL)
        spawned: list[int] = []
        concert.link._spawn = lambda: spawned.append(1)  # type: ignore[method-assign]
        await concert.link.close()
        assert not spawned


async def test_a_payer_that_hangs_too_does_not_keep_us_from_ending(drone: Drone) -> None:
    spawn, at = drone.link._spawn, time.monotonic()

    def born_frozen() -> None:
        spawn()
        os.kill(drone.link.pid, signal.SIGSTOP)

    drone.link._spawn = born_frozen  # type: ignore[method-assign]
    await drone.link.close()
    assert time.monotonic() - at < 2


async def test_debts_of_closed_ports_are_forgotten_when_they_have_surely_left() -> None:
    async with Concert() as concert:
        concert.link.send([note(1, 100, 60_000, "drone")])
        await until(lambda: concert.listen())
        concert.link.shut(0)
        assert len(concert.link._parted) == 1
        await until(lambda: not concert.link._parted)
        assert concert.listen() == [b"/drone", b"/drone/off"]


# Overflow, and one failure on another ---------------------------------------------------------


async def test_a_wire_that_takes_nothing_more_is_replaced_once_and_what_sounds_is_ended(
    drone: Drone,
) -> None:
    concert, before = drone.concert, drone.link.pid
    big = [
        note(identity, 60_000, 10, "later")._replace(on=bytes(60_000))
        for identity in range(10, 10 + MOST_OUTSTANDING // 60_000 + 10)
    ]
    for event in big:
        drone.link.send([event])
    assert len(drone.link._out) == 0, "it has overflowed, and nothing more is kept for it"
    drone.link.send([note(2, 60_000, 10, "soon")])
    drone.link.recall()
    await until(lambda: concert.restarts)
    assert not alive(before)
    drone.link.send([note(3, 300, 10, "soon")])
    await until(lambda: b"/soon/off" in concert.listen())
    assert concert.heard == [b"/drone", b"/drone/off", b"/soon", b"/soon/off"]
    assert concert.restarts == 1
    assert concert.states == ["open", "lost", "open"]


async def test_two_signs_of_one_failure_have_one_wire_started(drone: Drone) -> None:
    spawned: list[int] = []
    spawn = drone.link._spawn

    def counted() -> None:
        spawn()
        spawned.append(drone.link.pid)

    drone.link._spawn = counted  # type: ignore[method-assign]
    drone.link._fail()  # found mute …
    drone.link._fail()  # … and its end of file, in the same turn
    assert len(drone.link._failures) == 1
    drone.link._restart()  # which asked for another at once
    drone.link._restart()
    await until(lambda: drone.concert.restarts)
    await asyncio.sleep(0.6)
    assert len(spawned) == drone.concert.restarts == 1
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]


async def test_a_wire_that_dies_while_it_starts_leaves_no_debt(drone: Drone) -> None:
    spawn, born = drone.link._spawn, list[int]()

    def born_dead() -> None:
        spawn()
        born.append(drone.link.pid)
        if len(born) < 3:
            os.kill(drone.link.pid, signal.SIGKILL)

    drone.link._spawn = born_dead  # type: ignore[method-assign]
    os.kill(drone.link.pid, signal.SIGKILL)
    await until(lambda: drone.concert.listen()[1:])
    await until(lambda: drone.concert.restarts)
    assert drone.concert.listen() == [b"/drone", b"/drone/off"]
    assert (len(born), drone.concert.restarts) == (3, 1)
    assert not any(alive(pid) for pid in born[:2])


async def test_a_port_opened_anew_keeps_its_connections_and_another_has_none() -> None:
    link = Link()
    settings = {"port": 0, "kind": "midi", "name": "virtual", "client": "C", "title": "bass"}
    link.open(settings)
    news = {"port": 0, "state": "open", "why": "", "connect": ["Synth:in"]}
    link._answer(news)
    link.open(settings)
    assert link._settings[0] == {**settings, "connect": ["Synth:in"]}
    slow = {**settings, "rate": 3125}
    link.open(slow)
    assert link._settings[0] == {**slow, "connect": ["Synth:in"]}
    link.open({**settings, "title": "lead"})
    assert "connect" not in link._settings[0]


async def test_what_was_played_on_a_closed_port_is_not_played_on_the_next() -> None:
    async with Concert() as concert:
        first = note(1, 10, 60_000, "once")
        concert.link.send([first])
        await until(lambda: concert.listen())
        concert.link.shut(0)
        number = concert.receiver.port
        concert.link.open({"port": 0, "kind": "osc", "host": "127.0.0.1", "number": number})
        os.kill(concert.link.pid, signal.SIGKILL)
        await until(lambda: concert.restarts)
        concert.link.send([first._replace(due=time.monotonic_ns() + 50 * MS)])
        await asyncio.sleep(0.2)
        assert concert.listen().count(b"/once") == 1
