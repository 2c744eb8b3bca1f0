"""Plain asyncio with python-osc: absolute deadlines, one task."""

import asyncio
import time

from common import options, start_busy
from pythonosc.udp_client import SimpleUDPClient

ask = options()
clients = [SimpleUDPClient("127.0.0.1", ask.port) for _ in range(ask.parts)]


async def play() -> None:
    start = time.monotonic() + 0.3
    for step in range(int(ask.seconds / 0.0625)):
        await asyncio.sleep(max(0, start + step * 0.0625 - time.monotonic()))
        for number, client in enumerate(clients):
            client.send_message(f"/part/{number}/note", [60, 0.8, 0.05])


start_busy(ask.busy)
asyncio.run(play())
