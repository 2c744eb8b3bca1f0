"""Who else is at the desk: a page that hears everything and a client at a broker, on a thread.

Both come back by themselves when they are cut off. What they noticed is left in lists, for whoever
judges it: pings and commands with their answers, and the notes of the plan.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections import deque
from typing import NamedTuple

from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType
from aiomqtt import Client, MqttError

from .ledgers import Note

EVERYTHING = ["state", "beats", "marks", "notes", "plan", "why", "log", "health"]
EVERY = 0.1  # s between two pings
EVERY_COMMAND = 0.25  # s between two commands at the broker


class Answer(NamedTuple):
    """When something was asked and when it was answered, monotonic ns."""

    asked: int
    answered: int


class Guests:
    """Use as a context manager. page: its port.  broker: its port.  base: our topics there.

    page_answers, broker_answers: kept for the last minutes.  connects: of the page.
    """

    def __init__(self, page: int, token: str, broker: int, base: str, address: str) -> None:
        self._page, self._token, self._broker, self._base = page, token, broker, base
        self._address = address  # what the client at the broker sets, over and over
        self.page_answers: deque[Answer] = deque(maxlen=5_000)
        self.broker_answers: deque[Answer] = deque(maxlen=5_000)
        self.connects = 0
        self._planned: dict[str, Note] = {}
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="guests", daemon=True)
        self._stop = asyncio.Event()
        logging.getLogger("mqtt").setLevel(logging.CRITICAL)  # that the broker is gone is known

    def __enter__(self) -> Guests:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def notes(self) -> list[Note]:
        """The plan's notes up to now, each once and where it was moved to; they are forgotten."""
        now = time.monotonic_ns()
        with self._lock:
            past = {key: note for key, note in self._planned.items() if note.at <= now}
            for key in past:
                del self._planned[key]
        return sorted(past.values())

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._attend())

    async def _attend(self) -> None:
        tasks = [asyncio.create_task(self._see()), asyncio.create_task(self._command())]
        await self._stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _see(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"http://127.0.0.1:{self._page}/"
        while True:
            with contextlib.suppress(ClientError, OSError, TimeoutError):
                async with (
                    ClientSession() as session,
                    session.ws_connect(url, headers=headers) as line,
                ):
                    self.connects += 1
                    await line.send_json({"hear": EVERYTHING})
                    pings = asyncio.create_task(self._ping(line))
                    try:
                        async for message in line:
                            if message.type == WSMsgType.TEXT:
                                self._take(json.loads(message.data))
                    finally:
                        pings.cancel()
            await asyncio.sleep(0.1)

    async def _ping(self, line: ClientWebSocketResponse) -> None:
        with contextlib.suppress(ClientError, OSError):
            while True:
                await line.send_json({"ping": time.monotonic_ns()})
                await asyncio.sleep(EVERY)

    def _take(self, said: dict[str, object]) -> None:
        if "pong" in said:
            self.page_answers.append(Answer(int(str(said["pong"])), time.monotonic_ns()))
            return
        plan, forget = said.get("plan"), said.get("forget")
        with self._lock:
            for item in plan if isinstance(plan, list) else ():
                if item["event"] == "note":
                    at = round(item["at"] * 1e9)
                    self._planned[item["id"]] = Note(at, item["part"], item["pitch"])
            now = time.monotonic_ns()
            for key in forget if isinstance(forget, list) else ():
                if key in self._planned and self._planned[key].at > now:
                    del self._planned[key]

    async def _command(self) -> None:
        while True:
            with contextlib.suppress(MqttError, OSError, TimeoutError):
                async with Client("127.0.0.1", self._broker, keepalive=5, timeout=1) as client:
                    await client.subscribe(f"{self._base}/receipt")
                    asking = asyncio.create_task(self._ask(client))
                    try:
                        async for message in client.messages:
                            with contextlib.suppress(ValueError, TypeError, KeyError):
                                asked = json.loads(bytes(message.payload))["id"]
                                answer = Answer(int(asked), time.monotonic_ns())
                                self.broker_answers.append(answer)
                    finally:
                        asking.cancel()
            await asyncio.sleep(0.1)

    async def _ask(self, client: Client) -> None:
        topic = f"{self._base}{self._address}/set"
        with contextlib.suppress(MqttError):
            while True:
                payload = json.dumps({"args": [1.0], "id": time.monotonic_ns()})
                await client.publish(topic, payload, qos=0)
                await asyncio.sleep(EVERY_COMMAND)


def first_after(answers: deque[Answer], over: int) -> int | None:
    """When the first was answered that was asked after this, ns; None where none was."""
    return next((each.answered for each in answers.copy() if each.asked > over), None)
