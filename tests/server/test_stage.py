"""The loop that the stage plays in."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from server.backstage.aside import SPARE
from server.stage import NICE, Loop, take_precedence


def test_work_aside_comes_back_with_its_result_or_its_error() -> None:
    def fail() -> None:
        raise OSError("no such host")

    async def ask() -> int:
        with pytest.raises(OSError, match="no such host"):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(sum, (1, 2))

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(ask()) == 3


def test_what_hangs_aside_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    hangs, back, who = threading.Event(), threading.Event(), list[threading.Thread]()

    def look_up() -> None:
        who.append(threading.current_thread())
        hangs.wait()
        back.set()

    async def leave() -> None:
        task = asyncio.create_task(asyncio.to_thread(look_up))
        while not who:
            await asyncio.sleep(0)
        assert not task.done()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(leave())
    assert not back.is_set(), "the loop has ended, and it still hangs"
    [thread] = who
    assert thread.daemon
    hangs.set()
    thread.join(5)
    assert back.is_set()
    assert not caplog.records, "and coming back late says nothing"


def test_a_socket_that_a_library_closes_behind_our_back_ends_nothing() -> None:
    async def go_on() -> list[bytes]:
        loop, heard = asyncio.get_running_loop(), list[bytes]()
        ours, theirs = socket.socketpair()
        loop.add_reader(ours, lambda: heard.append(ours.recv(9)))
        gone, other = socket.socketpair()
        number = gone.fileno()
        loop.add_reader(number, heard.clear)
        loop.add_writer(number, heard.clear)
        gone.close()
        loop.call_soon_threadsafe(loop.add_writer, number, heard.clear)  # a wish that comes late
        for word in (b"one", b"two"):
            theirs.send(word)
            while word not in heard:
                await asyncio.sleep(0)
        assert not loop.remove_reader(number)
        assert not loop.remove_writer(number)
        loop.remove_reader(ours)
        for each in (ours, theirs, other):
            each.close()
        return heard

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(go_on()) == [b"one", b"two"]


def test_the_loop_waits_for_no_thread_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, start = threading.Event(), threading.Event(), threading.Thread.start

    def on_a_busy_machine(thread: threading.Thread) -> None:
        if thread.name == "loader":
            begun.set()
            assert go.wait(10)
        start(thread)

    async def ask() -> list[int]:
        tasks = [asyncio.create_task(asyncio.to_thread(sum, (1, n))) for n in range(3)]
        while not begun.is_set():
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks), "and yet we are here"
        go.set()
        return await asyncio.gather(*tasks)

    monkeypatch.setattr(threading.Thread, "start", on_a_busy_machine)
    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(ask()) == [1, 2, 3]


def test_threads_are_kept_and_not_gathered() -> None:
    async def ask() -> set[int]:
        found = set[int]()
        for _ in range(50):
            found.add(await asyncio.to_thread(threading.get_ident))
        await asyncio.gather(*(asyncio.to_thread(threading.Event().wait, 0.01) for _ in range(20)))
        return found

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert len(runner.run(ask())) <= SPARE


@pytest.mark.parametrize(
    ("before", "allowed", "after"), [(0, True, NICE), (0, False, 0), (5, True, 5)]
)
def test_it_goes_before_others_where_it_may_and_nobody_has_said_otherwise(
    before: int, allowed: bool, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [before]

    def change(which: int, who: int, nice: int) -> None:
        if not allowed:
            raise PermissionError
        now[0] = nice

    monkeypatch.setattr(os, "getpriority", lambda which, who: now[0])
    monkeypatch.setattr(os, "setpriority", change)
    take_precedence()
    assert now == [after]
