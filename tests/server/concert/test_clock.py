from __future__ import annotations

import asyncio

from server.concert.clock import JumpClock, RealClock, VirtualClock


async def test_virtual_time_wakes_everybody_at_their_moment_in_order() -> None:
    clock, woken = VirtualClock(100), list[tuple[str, int]]()

    async def sleeper(name: str, *times: int) -> None:
        for ns in times:
            await clock.sleep_until(ns)
            woken.append((name, clock.now()))

    tasks = [
        asyncio.create_task(sleeper("a", 150, 300)),
        asyncio.create_task(sleeper("b", 200, 10, 999)),
    ]
    await clock.advance(300)
    assert woken == [("a", 150), ("b", 200), ("b", 200), ("a", 300)]
    assert clock.now() == 400
    clock.jump(1000)
    assert clock.now() == 1400
    assert len(woken) == 4
    await clock.advance(0)
    assert woken[-1] == ("b", 999) or woken[-1][0] == "b"
    for task in tasks:
        task.cancel()


async def test_jumping_takes_no_time_and_never_goes_back() -> None:
    clock = JumpClock(5)
    await clock.sleep_until(10**15)
    assert clock.now() == 10**15
    await clock.sleep_until(7)
    assert clock.now() == 10**15


async def test_the_real_clock_lets_others_run_even_where_nothing_is_to_wait_for() -> None:
    clock, ran = RealClock(), list[int]()
    asyncio.get_running_loop().call_soon(ran.append, 1)
    await clock.sleep_until(clock.now() - 1)
    assert ran
