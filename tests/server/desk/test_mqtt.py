"""MQTT with a real broker, which is killed, frozen, flooded and full of old commands."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiomqtt
import pytest

from server.desk.broker import QUEUED, Broker
from server.desk.feed import Feed
from server.desk.mqtt import Mqtt
from tests.rigs.mosquitto import Mosquitto
from tests.server.desk.rig import OTHER, SCENE, SECOND
from tests.server.desk.web_rig import House

pytestmark = pytest.mark.real
BASE = "componium/stage"


class Room(House):
    """A stage beside a broker. said: what was told of the connection."""

    def __init__(self, port: int, folder: Path | None = None, **more: Any) -> None:
        super().__init__(folder)
        self.said: list[str] = []
        broker = Broker("127.0.0.1", port, "stage", tls=False, **more)
        self.mqtt = Mqtt(self.feed, broker, True, self.said.append, Random(1))

    async def __aenter__(self) -> Room:
        self.mqtt.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.mqtt.close()
        self.desk.close()

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait for something, while the clock of the stage goes on."""
        async with asyncio.timeout(20):
            while not what():
                self.clock.jump(5_000_000)
                self.player.wake()
                await asyncio.sleep(0.005)

    async def connected(self) -> None:
        await self.until(lambda: self.mqtt.connected)


class Dashboard:
    """Somebody else at the broker. heard: the newest payload of each topic, and which kept."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.all: list[tuple[str, str, bool]] = []

    async def listen(self) -> None:
        async for message in self.client.messages:
            assert isinstance(message.payload, bytes)
            self.all.append((str(message.topic), message.payload.decode(), message.retain))

    @property
    def heard(self) -> dict[str, str]:
        return {topic.removeprefix(BASE): payload for topic, payload, _ in self.all}

    async def set(self, address: str, payload: str, retain: bool = False) -> None:
        await self.client.publish(f"{BASE}{address}/set", payload, qos=1, retain=retain)

    @property
    def receipts(self) -> list[dict[str, Any]]:
        return [json.loads(p) for topic, p, _ in self.all if topic == f"{BASE}/receipt"]


@asynccontextmanager
async def dashboard(port: int) -> AsyncIterator[Dashboard]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        made = Dashboard(client)
        await client.subscribe(f"{BASE}/#", qos=1)
        listening = asyncio.ensure_future(made.listen())
        try:
            yield made
        finally:
            listening.cancel()


async def test_whoever_comes_late_finds_the_state_and_commands_are_obeyed(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port) as room:
            async with dashboard(broker.port) as early:
                await room.until(lambda: "/transport" in early.heard)
            async with dashboard(broker.port) as board:
                await room.until(lambda: "/transport" in board.heard)
                assert board.heard["/status"] == "online"
                assert board.heard["/tempo"] == "120"
                assert board.heard["/part/low_drums/mute"] == "0"
                assert board.heard["/transport"] == "stopped"
                assert all(kept for *_, kept in board.all), "it was there already"
                await board.set("/tempo", '{"args": [132], "id": "lamp 7"}')
                await room.until(lambda: board.heard["/tempo"] == "132")
                await room.until(lambda: bool(board.receipts))
                last = board.receipts[-1]
                assert (last["receipt"], last["state"]) == ("/componium/tempo", "done")
                assert last["id"] == "lamp 7"
                await board.set("/part/low_drums/mute", "ON")
                await room.until(lambda: board.heard["/part/low_drums/mute"] == "1")
                await board.set("/tempo", "fast")
                await room.until(lambda: board.receipts[-1]["state"] == "refused")
                assert "expected a number" in board.receipts[-1]["reason"]
                await board.set("/feedback/save", "")
                await room.until(lambda: board.receipts[-1]["receipt"].endswith("save"))
                assert "needs the role edit" in board.receipts[-1]["reason"]
                await board.set("/play", "")
                await room.until(lambda: board.heard.get("/beat", "").startswith("[1,2,"))
                assert board.heard["/transport"] == "playing"
                beats = [kept for topic, _, kept in board.all if topic == f"{BASE}/beat"]
                assert beats and not any(beats), "a beat is over when it is read"
            room.player.stop()
        async with dashboard(broker.port) as board:
            await room.until(lambda: board.heard.get("/status") == "offline")


async def test_a_will_tells_that_it_has_died(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port) as room, dashboard(broker.port) as board:
            await room.until(lambda: board.heard.get("/status") == "online")
            client = room.mqtt._client
            assert client is not None
            connection = client._client.socket()
            assert isinstance(connection, socket.socket)
            connection.shutdown(socket.SHUT_RDWR)  # as when the process is gone
            await room.until(lambda: (f"{BASE}/status", "offline", False) in board.all)
            await room.until(lambda: board.heard["/status"] == "online")
            assert [line for line in room.said if "again" in line]


async def test_a_broker_killed_again_and_again_is_found_each_time(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port) as room:
            for tempo in (100, 101, 102):
                await room.connected()
                broker.kill()
                await room.until(lambda: not room.mqtt.connected)
                room.send("/tempo", tempo)
                broker.start()
                await room.connected()
                async with dashboard(broker.port) as board:
                    await room.until(lambda: board.heard.get("/tempo") == str(tempo))  # noqa: B023
                    await board.set("/tempo", "90")
                    await room.until(lambda: board.heard["/tempo"] == "90")
            assert len(room.said) == 6, "one word when it goes and one when it comes"


async def test_a_frozen_broker_is_not_waited_for_and_its_queue_is_bounded(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port) as room:
            await room.connected()
            await room.until(lambda: not len(room.mqtt.box))
            broker.send(signal.SIGSTOP)
            room.player.play()
            began = room.clock.now()
            for _ in range(400):
                await room.pass_time(SECOND // 2)
                room.mqtt.box.send("/receipt", "x" * 1000, qos=1)
            assert room.clock.now() - began >= 200 * SECOND, "the music has gone on"
            assert len(room.mqtt.box) <= QUEUED + len(room.desk.tree.nodes) + 2
            broker.send(signal.SIGCONT)
            async with dashboard(broker.port) as board:
                await board.set("/tempo", "77")
                await room.until(lambda: board.heard.get("/tempo") == "77")


async def test_retained_commands_are_ignored_and_named(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with dashboard(broker.port) as board:
            await board.set("/play", "1", retain=True)
            async with Room(broker.port) as room:
                await room.until(lambda: board.heard.get("/tempo") == "120")
                await board.set("/tempo", "121")
                await room.until(lambda: board.heard["/tempo"] == "121")
                assert not room.player.playing
                assert [text for text in room.troubles if "play/set is retained" in text]


async def test_what_a_run_that_crashed_left_behind_is_cleared(tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        async with aiomqtt.Client("127.0.0.1", broker.port) as before:
            for number in range(50):
                topic = f"{BASE}/part/ghost_{number}/mute"
                await before.publish(topic, "1", qos=1, retain=True)
            await before.publish(f"{BASE}/control/old", "0.5", qos=1, retain=True)
            await before.publish(f"{BASE}/tempo", "77", qos=1, retain=True)
            await before.publish(f"{BASE}/tempo/set", "66", qos=1, retain=True)
            await before.publish("componium/neighbour/control/old", "0.5", qos=1, retain=True)
        async with Room(broker.port) as room, dashboard(broker.port) as witness:
            await witness.client.subscribe("componium/neighbour/#")
            await room.connected()
            await room.until(lambda: witness.heard.get("/part/ghost_49/mute") == "")
            await room.until(lambda: witness.heard.get("/transport") == "stopped")
            async with dashboard(broker.port) as board:
                await room.until(lambda: "/transport" in board.heard)
                await board.set("/tempo", "99")
                await room.until(lambda: board.heard["/tempo"] == "99")
                assert not [each for each in board.heard if "ghost" in each or "old" in each]
                assert board.heard["/tempo/set"] in ("66", "99"), "commands are not ours to clear"
            assert witness.heard["componium/neighbour/control/old"] == "0.5"


async def test_in_a_flood_the_last_value_wins_and_a_stop_gets_through(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, ["allow_anonymous true", "max_queued_messages 0"]) as broker:
        async with Room(broker.port) as room, dashboard(broker.port) as board:
            await room.connected()
            room.player.play()
            for number in range(1500):
                await board.client.publish(f"{BASE}/part/melody/level/set", str(number % 200 / 100))
            await board.set("/part/melody/level", "1.25")
            await board.set("/stop", "")
            await room.until(lambda: not room.player.playing)
            await room.until(lambda: board.heard.get("/part/melody/level") == "1.25")
            done = [each for each in board.receipts if each["state"] == "done"]
            assert len(done) < 1500, "200 a second are done, and 400 at once"


async def test_another_scene_takes_its_topics_along(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(SCENE)
    (tmp_path / "other.toml").write_text(OTHER)
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port, tmp_path) as room, dashboard(broker.port) as board:
            await room.until(lambda: board.heard.get("/part/melody/mute") == "0")
            await board.set("/scene", '["other", "now"]')
            await room.until(lambda: board.heard.get("/part/solo/mute") == "0")
            await room.until(lambda: board.heard["/part/melody/mute"] == "")
            await room.until(lambda: board.heard["/scene"] == "other")


async def test_what_a_band_is_set_to_is_told_below_its_name_until_it_is_closed(
    tmp_path: Path,
) -> None:
    with Mosquitto(tmp_path) as broker:
        async with Room(broker.port) as room, dashboard(broker.port) as board:
            await room.connected()
            ann = Feed(room.player, room.desk, room.prompter, {}, room._later, name="ann")
            bands = [ann]
            room.feed.beside = lambda: bands
            await room.until(lambda: board.heard.get("/session/ann/tempo") == "120")
            room.send("/tempo", 96)
            await room.until(lambda: board.heard.get("/session/ann/tempo") == "96")
            async with dashboard(broker.port) as late:
                await room.until(lambda: late.heard.get("/session/ann/tempo") == "96")
            bands.clear()
            ann.end()
            await room.until(
                lambda: not any(v for t, v in board.heard.items() if t.startswith("/session/"))
            )
            async with dashboard(broker.port) as late:
                await room.until(lambda: "/tempo" in late.heard)
                assert not [each for each in late.heard if "/session/" in each]


async def test_who_has_no_password_is_not_let_in_and_it_stays_secret(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, ["allow_anonymous false"]) as broker:
        async with Room(broker.port, user="me", password="hush-hush") as room:
            await room.until(lambda: bool(room.said))
            assert "not authori" in room.said[0].lower()
            assert "hush" not in "".join(room.said)


async def test_without_a_broker_it_tries_on_and_ends_at_once() -> None:
    async with Room(1) as room:
        await room.until(lambda: bool(room.said))
        assert "trying again" in room.said[0]
