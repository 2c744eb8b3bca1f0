"""Sardine: internal clock, a swimming function for each part, its own OSC handler."""

import asyncio

from common import end_after, options, start_busy
from sardine_core.clock import InternalClock
from sardine_core.event_loop import new_event_loop
from sardine_core.fish_bowl import FishBowl
from sardine_core.handlers import OSCHandler, OSCLoop
from sardine_core.scheduler import AsyncRunner
from sardine_core.sequences import ListParser

ask = options()


async def play() -> None:
    bowl = FishBowl(clock=InternalClock(tempo=240, bpb=4), parser=ListParser())
    loop = OSCLoop()
    bowl.add_handler(loop)
    handler = OSCHandler(ip="127.0.0.1", port=ask.port, name="out", loop=loop)
    bowl.start()
    runners = []

    def make(number):  # type: ignore[no-untyped-def]
        runner = AsyncRunner(f"part{number}")

        def swim(p=0.25):  # type: ignore[no-untyped-def]
            handler._send(f"/part/{number}/note", [60, 0.8, 0.05])
            runner.update_state(p=0.25)
            runner.swim()

        runner.push(swim, p=0.25)
        bowl.scheduler.start_runner(runner)
        runners.append(runner)

    for number in range(ask.parts):
        make(number)
    await asyncio.sleep(ask.seconds)


start_busy(ask.busy)
end_after(ask.seconds)
asyncio.set_event_loop(new_event_loop())
asyncio.get_event_loop().run_until_complete(play())
