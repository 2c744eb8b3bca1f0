"""Over a real socket, with an independent client."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import closing

import pytest
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient

from engines.base import Mistake
from server.concert.clock import RealClock
from server.concert.player import Player
from server.desk.desk import Desk
from server.desk.osc import DATAGRAMS, OscIn, serve
from server.ensemble.encode import osc_message
from server.score.scene import parse_scene
from tests.server.desk.rig import SCENE, forbidden

pytestmark = pytest.mark.real
KILLERS = (b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc", b"#bundle\0" + bytes(8) * 2270)


@pytest.fixture
def player() -> Player:
    made = Player(RealClock())
    made.cue(parse_scene(SCENE))
    return made


@pytest.fixture
async def door(player: Player) -> AsyncIterator[OscIn]:
    listener = await serve(Desk(player, forbidden), port=0)
    yield listener
    listener.close()


def tempo(player: Player) -> float:
    return player.timeline.tempo_at(player.timeline.beat_at(player.clock.now()))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)


async def heard(client: SimpleUDPClient) -> list[object]:
    """The arguments of the next message sent back."""
    async with asyncio.timeout(5):
        while True:
            for message in client.get_messages():
                return list(message.params)
            await asyncio.sleep(0.001)


async def test_a_client_is_obeyed_and_answered(player: Player, door: OscIn) -> None:
    with closing(SimpleUDPClient("127.0.0.1", door.port)) as client:
        client.send_message("/componium/play", [])
        assert await heard(client) == ["/componium/play", "done", 1.0, ""]
        client.send_message("/componium/part/low_drums/mute", True)
        assert (await heard(client))[:2] == ["/componium/part/low_drums/mute", "done"]
        client.send_message("/componium/stop", [])
        await until(lambda: not player.playing)
    assert player.strips()["low drums"].mute


async def test_the_name_localhost_is_heard_in_either_family(player: Player, door: OscIn) -> None:
    with closing(SimpleUDPClient("localhost", door.port)) as client:
        client.send_message("/componium/play", 1.0)
        await until(lambda: player.playing)


async def test_a_turn_of_the_loop_takes_so_many_datagrams_and_no_more(
    door: OscIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[bytes] = []
    monkeypatch.setattr(door._gate, "admit", lambda data, peer, reply: taken.append(data))
    monkeypatch.setattr("server.desk.osc.TAKING", 10**12)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", door.port))
        for _ in range(DATAGRAMS + 10):
            sender.send(b"/a\0\0")
    door._turn(door._sockets[0])
    assert len(taken) == DATAGRAMS
    monkeypatch.setattr("server.desk.osc.TAKING", 0)
    door._turn(door._sockets[0])
    assert len(taken) == DATAGRAMS + 1


async def test_panic_does_not_wait_for_the_end_of_a_rest(
    player: Player, door: OscIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.desk.osc.REST", 60 * 10**9)
    monkeypatch.setattr("server.desk.osc.RESTS", 10**9)
    player.play()
    client = SimpleUDPClient("127.0.0.1", door.port)
    client.send_message("/componium/tempo", 90.0)
    await until(lambda: tempo(player) == 90)
    client.send_message("/componium/tempo", 60.0)
    await until(lambda: len(door._gate.lanes) == 1)
    client.send_message("/componium/panic", [])
    await until(lambda: not player.playing)


async def test_a_bundle_is_answered_message_by_message(player: Player, door: OscIn) -> None:
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, value in (("/componium/tempo", 100.0), ("/componium/part/melody/level", "loud")):
        message = OscMessageBuilder(address)
        message.add_arg(value)
        bundle.add_content(message.build())
    with closing(SimpleUDPClient("127.0.0.1", door.port)) as client:
        client.send(bundle.build())
        answers = sorted([await heard(client), await heard(client)], key=str)
    assert answers == [
        [
            "/componium/part/melody/level",
            "refused",
            0.0,
            "level: expected a number from 0 to 2, got 'loud'",
        ],
        [
            "/componium/tempo",
            "refused",
            0.0,
            "its bundle is, for /componium/part/melody/level",
        ],
    ]
    assert tempo(player) == 120


async def test_a_port_in_use_is_named_with_its_owner(player: Player, door: OscIn) -> None:
    with pytest.raises(Mistake, match=rf"UDP port {door.port} is in use.*--control PORT"):
        await serve(Desk(player, forbidden), port=door.port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "example.org"])
async def test_other_addresses_need_a_token(player: Player, host: str) -> None:
    with pytest.raises(Mistake, match="token"):
        await serve(Desk(player, forbidden), host, 0)


async def test_mutations_and_killers_do_not_stop_the_next_good_message(
    player: Player, door: OscIn
) -> None:
    rng = random.Random(24)
    good = osc_message("/componium/part/melody/level", 0.5, "bar")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", door.port))
        for nth in range(5000):
            data = bytearray(good)
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            sender.send(data)
            if nth % 100 == 0:
                sender.send(KILLERS[nth // 100 % 2])
                await asyncio.sleep(0)
        sender.send(osc_message("/componium/panic"))
        sender.send(osc_message("/componium/tempo", 222))
        await until(lambda: tempo(player) == 222)


async def test_old_clients_are_heard_on_another_port_where_that_is_free(player: Player) -> None:
    desk, other = Desk(player, forbidden), free_port()
    door = await serve(desk, port=0, also=other)
    second = await serve(desk, port=0, also=other)  # taken: it does without
    try:
        with closing(SimpleUDPClient("127.0.0.1", other)) as client:
            client.send_message("/componium/tempo", 90.0)
            await until(lambda: tempo(player) == 90)
        assert door.port != other and second.port != other
    finally:
        door.close()
        second.close()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
