"""The ways in: how soon a command is carried out that comes by OSC, WebSocket, MQTT or MIDI.

The same for each of them, in one performance: a part is muted while a note of it sounds, and the
time runs from just before it is sent until the end of that note is stamped by the kernel at a UDP
receiver. So it is the whole way to something that can be heard; the parameter is applied on it.
`receipt` is the time until whoever sent it has been told that it is done; a pad is told nothing.
Trials come by turns, at random moments. MIDI comes through JACK, which hands it over once in a
period of 1.33 ms; MQTT through a mosquitto on this machine, with its own settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

from aiohttp import ClientSession, ClientWebSocketResponse
from aiomqtt import Client

from server.desk.keys import the_token
from server.desk.mqtt import SWIFT
from tests.rigs.jack import JackServer
from tests.rigs.keys import Keys
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.udp import Receiver

from .door import Door, free_port
from .receiver import quantile
from .show import Show, table
from .timer import Timer

#: A note begins every 80 ms and sounds for 79: at nearly any moment there is one to be ended.
SCENE = """
tempo = 750
[parts.long]
engine = "grammar"
rules = "S -> 1:1/4"
gate = 0.99
[inputs.pads]
midi = "virtual"
[map.pad]
note = 36
to = "/componium/part/long/mute"
"""
BASE = "componium/bench"
MUTE = "/componium/part/long/mute"
PART = b"/componium/part/long/"
SETTLED = 0.06  # s after which an effect has surely come
HEAD = ["way in", "trials", "p50 ms", "p99", "max", "bar", "receipt: p50", "p99", "max"]
BAR = "p99 ≤ 10"

Way = Callable[[], Awaitable[float]]  # mutes, and answers how many ms its receipt took, or NaN


class Ways:
    """Each sends a mute. door, page, broker, keys: by which it does."""

    def __init__(
        self, door: Door, page: ClientWebSocketResponse, broker: Client, keys: Keys
    ) -> None:
        self._door, self._page, self._broker, self._keys = door, page, broker, keys
        self._id = 0
        self._told = aiter(broker.messages)

    async def osc(self) -> float:
        return self._door.ask(MUTE, 1.0)

    async def websocket(self) -> float:
        self._id, at = self._id + 1, time.perf_counter()
        await self._page.send_json({"set": MUTE, "args": [1], "id": self._id})
        async for message in self._page:
            if json.loads(message.data).get("id") == self._id:
                break
        return (time.perf_counter() - at) * 1000

    async def mqtt(self) -> float:
        self._id, at = self._id + 1, time.perf_counter()
        payload = json.dumps({"args": [1], "id": self._id})
        await self._broker.publish(f"{BASE}/part/long/mute/set", payload, qos=0)
        while True:
            told = await anext(self._told)
            with contextlib.suppress(ValueError, AttributeError):
                if json.loads(bytes(told.payload)).get("id") == self._id:
                    return (time.perf_counter() - at) * 1000

    async def midi(self) -> float:
        self._keys.play("902464")
        self._keys.play("802400")
        return float("nan")


async def trial(way: Way, receiver: Receiver, rng: Random) -> tuple[float, float]:
    """Ms until the note has ended, and until the receipt."""
    await asyncio.sleep(0.1 + rng.uniform(0, 0.08))
    receiver.drain()
    at = time.monotonic_ns()
    receipt = await way()
    await asyncio.sleep(SETTLED)
    ends = [each.at for each in receiver.drain() if each.data.startswith(PART + b"off")]
    # The last one: there is none after the mute. Between two notes there was none to end.
    return (ends[-1] - at) / 1e6 if ends else float("nan"), receipt


async def measure(folder: Path, jack: JackServer, count: int) -> list[list[str]]:
    """A row for each way."""
    control, http, receiver = free_port(), free_port(), Receiver()
    scene, rng = folder / "ways.toml", Random(1821)
    scene.write_text(SCENE)
    token, found = the_token(folder / "componium" / "token"), dict[str, list[tuple[float, float]]]()
    door, keys = Door(control), Keys(jack)
    with Mosquitto(folder) as broker:
        show = Show(
            *(folder, scene, "--midi", "none", "--osc", f"127.0.0.1:{receiver.port}"),
            *("--control", str(control), "--http", str(http)),
            *("--mqtt", f"127.0.0.1:{broker.port}/bench"),
            jack=jack,
        )
        timer = Timer()
        try:
            door.knock(MUTE, 0.0)
            jack.connect(keys.port, "Componium pads:pads", 10)
            line = Client("127.0.0.1", broker.port, socket_options=SWIFT)
            headers = {"Authorization": f"Bearer {token}"}
            url = f"http://127.0.0.1:{http}/"
            async with (
                ClientSession() as session,
                session.ws_connect(url, headers=headers) as page,
                line as client,
            ):
                await client.subscribe(f"{BASE}/receipt")
                ways = Ways(door, page, client, keys)
                each = {
                    "OSC": ways.osc,
                    "WebSocket": ways.websocket,
                    "MQTT": ways.mqtt,
                    "MIDI, a pad through JACK": ways.midi,
                }
                for _ in range(count):
                    for name, way in each.items():
                        found.setdefault(name, []).append(await trial(way, receiver, rng))
                        door.ask(MUTE, 0.0)
        finally:
            stalls = timer.stop()
            show.end()
            keys.kill()
            door.close()
            receiver.close()
    print(f"a bare timer late meanwhile: max {stalls:.1f} ms\n")
    return [row(name, trials) for name, trials in found.items()]


def row(name: str, trials: list[tuple[float, float]]) -> list[str]:
    cells = [name, str(len(trials))]
    for column, values in enumerate(zip(*trials, strict=True)):
        right = [value for value in values if value == value]  # without NaN
        if column:
            cells.append(BAR)
        cells += [f"{quantile(right, q):.1f}" if right else "" for q in (0.5, 0.99, 1.0)]
    return cells


def ways_in(count: int) -> str:
    """The table."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ |= {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
        jack = stack.enter_context(JackServer(folder))
        return table(HEAD, asyncio.run(measure(folder, jack, count)))
