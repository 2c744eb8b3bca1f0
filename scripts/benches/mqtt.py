"""From a command published at a broker to the parameter applied, over a real mosquitto.

Each trial sets a level and waits for its receipt at the publisher, which is the whole way there and
back; the time that counts, until the parameter is applied, is on the way, so it is at most that.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import tempfile
import time
from pathlib import Path
from random import Random

from aiomqtt import Client

from server.desk.mqtt import SWIFT
from tests.rigs.mosquitto import Mosquitto

from .receiver import quantile
from .sender import scene_text
from .show import Show, table
from .timer import Timer

BASE = "componium/bench"
BAR = 10.0  # ms, p99


async def measure(port: int, count: int, rng: Random) -> list[float]:
    """Ms from publishing to the receipt, one command at a time, at random moments."""
    found: list[float] = []
    async with Client("127.0.0.1", port, socket_options=SWIFT) as client:
        await client.subscribe(f"{BASE}/receipt", qos=1)
        await client.subscribe(f"{BASE}/status", qos=1)
        messages = aiter(client.messages)
        while (message := await anext(messages)).payload != b"online":
            pass
        for nth in range(count):
            await asyncio.sleep(rng.uniform(0.01, 0.03))
            payload = json.dumps({"args": [nth % 200 / 100], "id": nth})
            at = time.perf_counter()
            await client.publish(f"{BASE}/part/p1/level/set", payload, qos=0)
            while True:
                message = await anext(messages)
                assert isinstance(message.payload, bytes)
                with contextlib.suppress(ValueError):
                    answer = json.loads(message.payload)
                    if answer.get("id") == nth:
                        assert answer["state"] == "done", answer
                        break
            found.append((time.perf_counter() - at) * 1000)
    return found


def main(args: list[str]) -> None:
    parser = argparse.ArgumentParser("scripts/bench mqtt", description=__doc__)
    parser.add_argument("--trials", type=int, default=1000)
    options = parser.parse_args(args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = folder / "scene.toml"
        scene.write_text(scene_text(8, 240))
        with Mosquitto(folder) as broker:
            where = f"127.0.0.1:{broker.port}/bench"
            show = Show(folder, scene, "--midi", "none", "--control", "0", "--mqtt", where)
            timer = Timer()
            try:
                times = asyncio.run(measure(broker.port, options.trials, Random(1)))
            finally:
                stalls = timer.stop()
                show.end()
    figures = [f"{quantile(times, q):.1f}" for q in (0.5, 0.99)]
    row = [len(times), *figures, f"{max(times):.1f}", f"{BAR:.0f}", f"{stalls:.1f}"]
    head = ["trials", "p50 ms", "p99", "max", "bar for p99", "bare timer max ms"]
    print(table(head, [row]))
