"""A web server on loopback before a stage in virtual time, and clients of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from server.concert.prompter import Prompter
from server.desk.feed import Feed
from server.desk.keys import Keys
from server.desk.web import Manners, Web, bound
from server.score.scene import overheard, parse_scene
from tests.server.desk.rig import SCENE, Stage

TOKEN = "a-token-of-sixteen-letters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class House(Stage):
    """A stage with a door to the web. timers: what the feed wants done later, by nanoseconds."""

    def __init__(self, folder: Path | None = None, cued: bool = True, **limits: Any) -> None:
        super().__init__(folder, cued=False)
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.prompter = Prompter(self.clock.now, asyncio.get_running_loop().call_soon)
        self.player.rack.wires["web"] = self.prompter
        if cued:
            self.player.cue(overheard(parse_scene(SCENE, "first")))
        host = {"NAME": "Componium", "OSC_PORT": 1821}
        self.feed = Feed(self.player, self.desk, self.prompter, host, self._later)
        manners = Manners(origins=["http://game.example:8000"])
        self.door = Web(self.feed, Keys(TOKEN), manners, now=self.clock.now, **limits)

    def _later(self, ns: int, do: Callable[[], None]) -> None:
        self.timers.append((ns, do))

    def ring(self) -> None:
        """Do what was wanted by now."""
        due = [each for each in self.timers if each[0] <= self.clock.now()]
        self.timers = [each for each in self.timers if each[0] > self.clock.now()]
        for _, do in sorted(due, key=lambda each: each[0]):
            do()

    async def __aenter__(self) -> House:
        await self.door.open(bound(0))
        self.session = ClientSession(f"http://127.0.0.1:{self.door.port}")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.session.close()
        await self.door.close()

    async def connect(self, token: bool = True, path: str = "/") -> Friend:
        """A WebSocket client, with the token or without."""
        headers = BEARER if token else {}
        return Friend(await self.session.ws_connect(path, headers=headers, autoping=True))

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and JSON, or text, of a GET."""
        async with self.session.get(path, headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json else text


class Friend:
    """A client; `hears` waits for the next message with a key."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, **what: Any) -> None:
        await self.socket.send_str(json.dumps(what))

    async def next(self) -> Any:
        """The next message: an object, or bytes; None where the connection has ended."""
        async with asyncio.timeout(10):
            message = await self.socket.receive()
        if message.type == WSMsgType.TEXT:
            return json.loads(message.data)
        return message.data if message.type == WSMsgType.BINARY else None

    async def hears(self, key: str, **wanted: Any) -> dict[str, Any]:
        """The next object with this key, and these values; others are passed over."""
        while True:
            found = await self.next()
            assert found is not None, "the connection has ended"
            if (
                isinstance(found, dict)
                and key in found
                and all(found.get(name) == value for name, value in wanted.items())
            ):
                return found

    async def packet(self) -> bytes:
        """The next binary frame."""
        while not isinstance(found := await self.next(), bytes):
            assert found is not None, "the connection has ended"
        return found

    async def settle(self, mark: str) -> list[Any]:
        """All that comes before the answer to a ping."""
        await self.say(ping=mark)
        heard = []
        while (found := await self.next()) is None or not (
            isinstance(found, dict) and found.get("pong") == mark
        ):
            assert found is not None, "the connection has ended"
            heard.append(found)
        return heard
