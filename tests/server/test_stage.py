"""The loop that the stage plays in."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server.stage import Loop


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
    hangs, back = threading.Event(), threading.Event()

    def look_up() -> None:
        hangs.wait()
        back.set()

    async def leave() -> None:
        task = asyncio.create_task(asyncio.to_thread(look_up))
        await asyncio.sleep(0)
        assert not task.done()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(leave())
    assert not back.is_set(), "the loop has ended, and it still hangs"
    [thread] = [each for each in threading.enumerate() if each.name == "loader"]
    assert thread.daemon
    hangs.set()
    thread.join(5)
    assert back.is_set()
    assert not caplog.records, "and coming back late says nothing"
