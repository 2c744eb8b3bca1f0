"""Page, commands, feed and plan, over real sockets with an independent client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import socket
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args
from weakref import ref

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from engines.base import Mistake, Symbol
from server.concert.ahead import Begun
from server.concert.journal import Entry, Played, Pressed, Troubled
from server.desk.desk import PREFIX
from server.desk.feed import _KINDS
from server.desk.packet import Message, decode
from server.desk.query import attributes
from server.desk.web import LOCAL, Manners, bound, message_of
from server.ensemble.encode import osc_message
from server.music.note import Note
from server.score.scene import parse_scene
from tests.server.desk.rig import MS, OTHER, SECOND
from tests.server.desk.web_rig import BEARER, TOKEN, House

pytestmark = pytest.mark.real


# Commands -----------------------------------------------------------------------------------


async def test_a_command_is_done_and_answered_with_its_id() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(set="/componium/part/melody/mute", args=[True], id=7)
        answer = await friend.hears("receipt")
        assert answer == {
            "receipt": "/componium/part/melody/mute",
            "state": "done",
            "bar": 1.0,
            "reason": "",
            "id": 7,
        }
        await friend.say(set="/componium/tempo", args=90)
        assert "id" not in await friend.hears("receipt", state="done")
        assert house.player.strips()["melody"].mute


async def test_a_change_at_a_bar_is_armed_then_done() -> None:
    async with House() as house:
        house.player.play()
        await house.pass_time(SECOND)
        friend = await house.connect()
        await friend.say(set="/componium/tempo", args=[90, "bar"], id="x")
        assert (await friend.hears("receipt"))["state"] == "armed"
        await house.pass_time(3 * SECOND)
        done = await friend.hears("receipt")
        assert (done["state"], done["bar"], done["id"]) == ("done", 2.0, "x")


async def test_several_are_done_together_or_not_at_all() -> None:
    async with House() as house:
        friend = await house.connect()
        right = {"set": "/componium/tempo", "args": [90]}
        wrong = {"set": "/componium/part/melody/level", "args": ["loud"]}
        await friend.say(all=[right, wrong], id=1)
        answers = [await friend.hears("receipt"), await friend.hears("receipt")]
        assert {answer["state"] for answer in answers} == {"refused"}
        assert {answer["id"] for answer in answers} == {1}
        await friend.say(all=[right, right])
        states = {(await friend.hears("receipt"))["state"] for _ in range(2)}
        assert states == {"done", "superseded"}


async def test_a_packet_of_osc_is_obeyed_and_answered_as_osc() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.socket.send_bytes(osc_message("/componium/part/melody/octave", 1))
        answer = OscMessage(await friend.packet())
        assert answer.address == "/componium/receipt"
        assert answer.params[:2] == ["/componium/part/melody/octave", "done"]
        await friend.socket.send_bytes(b"nonsense")
        assert "whole number of words" not in (await friend.hears("error"))["error"]


async def test_who_shows_no_token_sees_and_changes_nothing() -> None:
    async with House() as house:
        friend = await house.connect(token=False)
        await friend.say(set="/componium/panic")
        await friend.say(set="/componium/tempo", args=[90])
        for _ in range(2):
            assert "needs the role control" in (await friend.hears("receipt"))["reason"]
        await friend.say(token="wrong")
        assert await friend.hears("role") == {"role": "view"}
        await friend.say(token=TOKEN)
        assert await friend.hears("role") == {"role": "edit"}
        await friend.say(set="/componium/feedback/save")
        assert "--taste" in (await friend.hears("receipt"))["reason"]
        await friend.say(set="/componium/tempo", args=[90])
        assert (await friend.hears("receipt"))["state"] == "done"


async def test_stop_acts_in_a_flood_and_the_last_value_wins() -> None:
    async with House() as house:
        house.player.play()
        friend = await house.connect()
        for nth in range(1000):
            await friend.say(set="/componium/tempo", args=[100 + nth / 100])
        await friend.say(set="/componium/stop", id="stop")
        await friend.hears("receipt", id="stop", state="done")
        assert not house.player.playing
        tempo = 0.0
        while tempo < 109.99:  # buckets fill by the virtual clock
            house.clock.jump(100 * MS)
            await asyncio.sleep(0.001)
            line = house.player.timeline
            tempo = line.tempo_at(line.beat_at(house.clock.now()))


# Hearing ------------------------------------------------------------------------------------


async def test_who_comes_late_gets_all_he_needs() -> None:
    async with House() as house:
        house.player.play()
        await house.pass_time(3 * SECOND)
        friend = await house.connect(token=False)
        await friend.say(hear=["state", "beats"])
        snapshot = await friend.hears("snapshot")
        assert snapshot["snapshot"]["/componium/tempo"] == [120.0]
        assert snapshot["snapshot"]["/componium/part/low_drums/level"] == [1.0]
        assert snapshot["role"] == "view" and snapshot["playing"]
        assert snapshot["beat"]["bar"] == 2 and snapshot["beat"]["meter"] == "4/4"
        assert snapshot["beat"]["at"] <= snapshot["now"] < snapshot["beat"]["at"] + 0.6
        assert snapshot["hear"] == ["beats", "state"]
        scene = snapshot["scene"]
        assert scene["name"] == "first" and scene["key"] == "C major"
        assert [part["address"] for part in scene["parts"]] == [
            "/componium/part/melody",
            "/componium/part/low_drums",
        ]


async def test_state_is_told_as_it_changes_whoever_changed_it() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["state"])
        await friend.hears("snapshot")
        house.send("/part/melody/level", 0.5)
        assert await friend.hears("state") == {"state": {"/componium/part/melody/level": [0.5]}}
        house.player.tempo(90)
        assert await friend.hears("state") == {"state": {"/componium/tempo": [90.0]}}
        await friend.say(hear=[])
        assert (await friend.hears("snapshot"))["hear"] == []
        house.send("/part/melody/level", 0.25)
        house.feed.look()
        assert await friend.settle("x") == []


async def test_events_have_the_time_at_which_they_sound() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["beats", "marks", "notes", "log"])
        await friend.hears("snapshot")
        house.player.play()
        begin = house.player.timeline.ns_at(house.player.now_beat)
        await house.pass_time(SECOND)
        house.player.journal.enter(Troubled("clock", "it is late"))
        heard = await friend.settle("x")
        events = {event["event"] for event in heard}
        assert {"transport", "scene", "key", "beat", "note", "trouble"} <= events
        for event in heard:
            if "seconds" in event:
                assert event["at"] == pytest.approx(begin / 1e9 + event["seconds"], abs=2e-6)
        beats = [event["at"] for event in heard if event["event"] == "beat"]
        assert beats[1] - beats[0] == pytest.approx(0.5, abs=2e-6)


async def test_a_key_that_is_pressed_is_told_at_once() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["notes"])
        await friend.hears("snapshot")
        house.player.play()
        await house.pass_time(SECOND)
        note = Note("melody", Fraction(0), Fraction(0), Fraction(1), 0, 60, 0.5, 1, Symbol("key"))
        house.player.journal.enter(Pressed(house.player.moment(Fraction(0), 0), note))
        told = await friend.hears("event", event="pressed")
        assert (told["part"], told["pitch"], told["velocity"]) == ("melody", 60, 0.5)


def test_every_kind_of_entry_is_heard_under_some_word() -> None:
    assert set(get_args(Entry)) == set(_KINDS)


async def test_an_event_that_cannot_be_told_spoils_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["beats"])
        await friend.hears("snapshot")
        with monkeypatch.context() as patched:
            patched.setattr("server.desk.feed.fields", lambda entry, spelling: {"x": object()})
            house.player.play()
            await house.pass_time(100 * MS)
        await house.pass_time(SECOND)
        assert (await friend.hears("event"))["seconds"] == pytest.approx(0.5)
        assert any("cannot be told" in trouble for trouble in house.troubles)


async def test_the_plan_comes_before_it_sounds_and_is_taken_back() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["plan"])
        await friend.hears("snapshot")
        house.player.play()
        await asyncio.sleep(0)
        items = (await friend.hears("plan"))["plan"]
        note = next(item for item in items if item.get("part") == "melody")
        assert note["at"] > house.clock.now() / 1e9, "before it sounds"
        assert note["end"] > note["at"] and "origin" not in note
        assert (note["pitch"], note["channel"]) == (60, 1)
        assert {"event": "say", "address": "/beat", "args": [1, 1, 120.0]}.items() <= next(
            item for item in items if item.get("address") == "/beat"
        ).items()
        house.send("/part/melody/mute", 1)
        assert (await friend.hears("forget"))["forget"] == [note["id"]]
        house.send("/part/melody/mute", 0)
        [again] = (await friend.hears("plan"))["plan"]
        assert again == note, "the same note has the same name"


async def test_of_a_note_that_sounds_only_the_end_moves_and_stop_ends_it() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["plan"])
        await friend.hears("snapshot")
        house.player.play()
        await house.pass_time(150 * MS)
        items = (await friend.hears("plan"))["plan"]
        note = next(item for item in items if item.get("part") == "melody")
        house.send("/tempo", 60)
        plan = (await friend.hears("plan"))["plan"]
        later = next(item for item in plan if item["id"] == note["id"])
        assert later["at"] == note["at"] and later["end"] > note["end"] + 0.1
        house.send("/stop")
        assert note["id"] in (await friend.hears("forget"))["forget"]


async def test_who_wants_to_know_why_is_told_and_nobody_else_pays() -> None:
    async with House() as house:
        curious, other = await house.connect(), await house.connect()
        await curious.say(hear=["plan", "why"])
        await curious.hears("snapshot")
        await other.say(hear=["plan"])
        await other.hears("snapshot")
        house.player.play()
        for friend, told in ((curious, True), (other, False)):
            items = (await friend.hears("plan"))["plan"]
            note = next(item for item in items if item["event"] == "note")
            assert ("symbol" in note and "origin" in note) == told
        for friend in (curious, other):
            await friend.say(hear=[])
            await friend.hears("snapshot")
        assert not house.prompter.heard
        assert all(
            not list(patched.encoder.tell(4, 1, "/beat", (1,), 0))
            for patched in house.player.rack.outputs.values()
            if patched.spec.kind == "web"
        )


async def test_the_first_who_listens_hears_what_sounds_and_what_is_planned() -> None:
    async with House() as house:
        house.player.horizon = 600 * MS  # quarter notes, of 500 ms each
        house.player.play()
        await house.pass_time(950 * MS)
        first, second = await house.connect(), await house.connect()
        plans = []
        for friend in (first, second):
            await friend.say(hear=["plan"])
            await friend.hears("snapshot")
            plans.append((await friend.hears("plan"))["plan"])
        assert plans[0] == plans[1], "nobody is told less for having come first"
        now = house.clock.now() / 1e9
        notes = [item for item in plans[0] if item["event"] == "note"]
        assert any(note["at"] < now - 0.3 and note["end"] > now for note in notes), "what sounds"
        assert any(note["at"] > now for note in notes), "what is to come"
        told = {note["id"] for note in notes}
        await house.pass_time(200 * MS)
        heard = await first.settle("mark")
        again = {item["id"] for each in heard for item in each.get("plan", ())}
        assert not told & again, "and nothing twice"


async def test_who_joins_later_is_told_what_is_planned_already() -> None:
    async with House() as house:
        first, second = await house.connect(), await house.connect()
        await first.say(hear=["plan"])
        await first.hears("snapshot")
        house.player.play()
        planned = (await first.hears("plan"))["plan"]
        await second.say(hear=["plan"])
        await second.hears("snapshot")
        same = (await second.hears("plan"))["plan"]
        now = house.clock.now() / 1e9
        assert same == [item for item in planned if item["at"] > now] != []


async def test_plain_osc_is_said_at_its_time_and_no_note_is_left_on() -> None:
    async with House() as house:
        friend = await house.connect()
        await friend.say(hear=["osc"])
        await friend.hears("snapshot")
        house.player.play()
        for _ in range(40):
            await house.pass_time(25 * MS)
            house.ring()
        house.send("/stop")
        await asyncio.sleep(0)
        await house.pass_time(SECOND)
        house.ring()
        sounding: list[tuple[str, int]] = []
        said: dict[str, int] = {}
        for packet in await friend.settle("x"):
            [message] = decode(packet)
            assert isinstance(message, Message)
            said[message.address] = said.get(message.address, 0) + 1
            part, _, what = message.address.rpartition("/")
            if what == "note":
                sounding.append((part, int(message.args[0])))
            elif what == "off":
                sounding.remove((part, int(message.args[0])))
        assert said["/componium/part/melody/note"] >= 2 and said["/componium/beat"] >= 2
        assert sounding == []


async def test_the_clock_is_asked_by_ping() -> None:
    async with House() as house:
        friend = await house.connect(token=False)
        await friend.say(ping=12.5)
        assert await friend.next() == {"pong": 12.5, "now": house.clock.now() / 1e9}


# OSCQuery -----------------------------------------------------------------------------------


async def test_listen_and_ignore_as_osc() -> None:
    async with House() as house:
        friend = await house.connect(token=False)
        await friend.say(COMMAND="LISTEN", DATA="/componium/part/melody/level")
        assert OscMessage(await friend.packet()).params == [1.0]
        house.send("/part/melody/level", 0.5)
        message = OscMessage(await friend.packet())
        assert (message.address, message.params) == ("/componium/part/melody/level", [0.5])
        await friend.say(COMMAND="LISTEN", DATA="/componium/transport")
        assert OscMessage(await friend.packet()).params == ["stopped"]
        house.player.play()
        assert OscMessage(await friend.packet()).params == ["playing"]
        await friend.say(COMMAND="LISTEN", DATA="/componium/part/melody/mute")
        assert (await friend.packet()).endswith(b",F\0\0")
        house.send("/part/melody/mute", 1)
        assert (await friend.packet()).endswith(b",T\0\0")
        await friend.say(COMMAND="IGNORE", DATA="/componium/part/melody/level")
        await friend.say(COMMAND="LISTEN", DATA="/componium/nothing")
        assert "there is no" in (await friend.hears("error"))["error"]
        house.send("/part/melody/level", 0.25)
        house.feed.look()
        assert await friend.settle("x") == []


async def test_another_scene_tells_which_paths_come_and_go(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(OTHER)
    async with House(tmp_path) as house:
        friend = await house.connect()
        await friend.say(hear=["state"])
        await friend.hears("snapshot")
        await friend.say(set="/componium/scene", args=["other"])
        assert await friend.hears("COMMAND") == {
            "COMMAND": "PATH_REMOVED",
            "DATA": "/componium/part/melody",
        }
        assert await friend.hears("COMMAND") == {
            "COMMAND": "PATH_ADDED",
            "DATA": "/componium/part/solo",
        }
        assert (await friend.hears("scene"))["scene"]["name"] == "other"


async def test_who_has_said_what_he_hears_is_not_told_of_paths_besides(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(OTHER)
    async with House(tmp_path) as house:
        plain, game, both = [await house.connect() for _ in range(3)]
        for friend in (game, both):
            await friend.say(hear=["marks"])
            await friend.hears("snapshot")
        await both.say(COMMAND="LISTEN", DATA="/componium/tempo")
        house.send("/scene", "other")
        for friend in (plain, both):  # as OSCQuery has it, whether it listens to a value or not
            assert (await friend.hears("COMMAND"))["COMMAND"] == "PATH_REMOVED"
        assert not [each for each in await game.settle("x") if "COMMAND" in each]


async def test_chataigne_and_ossia_find_what_they_ask_for() -> None:
    async with House() as house:
        for query in ("/?HOST_INFO", "/?HOST_INFO=1", "/componium/tempo?HOST_INFO"):
            status, info = await house.get(query)
            assert status == 200 and info["OSC_PORT"] == 1821 and info["EXTENSIONS"]["LISTEN"]
        status, root = await house.get("/", Accept="*/*")
        assert status == 200 and list(root["CONTENTS"]) == ["componium"]
        friend = await house.connect(token=False, path="/some/where")
        await friend.socket.send_str("/componium/tempo?VALUE")
        assert await friend.next() == {"VALUE": [120.0]}
        await friend.socket.send_str("/?HOST_INFO")
        assert (await friend.next())["NAME"] == "Componium"
        await friend.say(COMMAND="START_OSC_STREAMING", DATA={"LOCAL_SERVER_PORT": 9})
        assert "error" in await friend.next()


@pytest.mark.parametrize(
    ("path", "status", "answer"),
    [
        ("/componium/tempo?VALUE", 200, {"VALUE": [120.0]}),
        ("/componium/tempo?TYPE", 200, {"TYPE": "f"}),
        ("/componium/tempo?RANGE=", 200, {"RANGE": [{"MIN": 20, "MAX": 999}]}),
        ("/componium/tempo?DEFAULT_VALUE", 200, {"DEFAULT_VALUE": [120.0]}),
        ("/componium/tempo?QUANTUM", 200, {"QUANTUM": "now"}),
        ("/componium/scene?QUANTUM", 200, {"QUANTUM": "bar"}),
        ("/componium/stop?QUANTUM", 204, ""),
        ("/componium/mood?DEFAULT_VALUE", 200, {"DEFAULT_VALUE": [0.0, 0.0]}),
        ("/componium/part/melody/level?DEFAULT_VALUE", 200, {"DEFAULT_VALUE": [1.0]}),
        ("/componium/control/arousal?DEFAULT_VALUE", 200, {"DEFAULT_VALUE": [0.5]}),
        ("/componium/chord/next?VALUE", 204, ""),
        ("/componium/seed?TYPE", 200, {"TYPE": "h"}),
        ("/componium/sync/state?VALUE", 200, {"VALUE": ["leading"]}),
        ("/componium/sync/state?TYPE", 200, {"TYPE": "s"}),
        ("/componium/sync/state?ACCESS", 200, {"ACCESS": 1}),
        ("/componium/section/bar?VALUE", 200, {"VALUE": [1, 0]}),
        ("/componium/stop?VALUE", 204, ""),
        ("/componium?VALUE", 204, ""),
        ("/componium/tempo?HTML", 204, ""),
        ("/componium/tempo?COLOUR", 400, None),
        ("/componium/nothing", 404, None),
        ("/etc/passwd", 404, None),
    ],
)
async def test_attributes_and_their_status(path: str, status: int, answer: Any) -> None:
    async with House() as house:
        found, value = await house.get(path)
        assert found == status
        assert answer is None or value == answer


async def test_what_may_be_left_out_is_told_with_range_unit_and_default() -> None:
    async with House() as house:
        status, found = await house.get("/componium/tempo?OVERLOADS")
        ramp, timed = found["OVERLOADS"]
        assert (status, ramp["TYPE"], timed["TYPE"]) == (200, "ff", "ffs")
        assert ramp["RANGE"] == [{"MIN": 20, "MAX": 999}, {"MIN": 0, "MAX": 4096}]
        assert ramp["UNIT"] == ["time.bpm", "beats"]
        assert timed["DEFAULT_VALUE"] == [120.0, 0.0, "now"]


async def test_a_default_is_the_scene_s_whatever_is_asked_for() -> None:
    async with House() as house:
        defaults = {
            address: default
            for address, node in house.desk.tree.nodes.items()
            if (default := attributes(node).get("DEFAULT_VALUE"))
        }
        for address in ("/part/melody/level", "/control/arousal", "/nudge"):
            assert house.send(address, 0.25)[-1][1] == "done"
            value, default = house.feed.query.value(PREFIX + address), defaults[PREFIX + address]
            assert value == (0.25,) and default != [0.25]
            assert attributes(house.desk.tree.nodes[PREFIX + address])["DEFAULT_VALUE"] == default


# HTTP ---------------------------------------------------------------------------------------


async def test_a_browser_gets_the_page_and_nothing_inline_may_run() -> None:
    async with House() as house:
        async with house.session.get("/", headers={"Accept": "text/html"}) as response:
            text = await response.text()
            assert response.status == 200 and "<title>Componium" in text
            policy = response.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'self'") and "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
        for name, kind in (("main.js", "text/javascript"), ("style.css", "text/css")):
            async with house.session.get(f"/page/{name}") as response:
                assert (response.status, response.content_type) == (200, kind)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../web.py",
        "/page/..%2fweb.py",
        "/page/%2e%2e/web.py",
        "/page//etc/passwd",
        "/page/main.js%00",
        "/page/",
        "/page/.",
    ],
)
async def test_no_path_leads_out_of_the_page(path: str) -> None:
    async with House() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.door.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        async with asyncio.timeout(5):
            answer = await reader.read()
        writer.close()
        assert answer.split()[1] in (b"400", b"404"), answer


async def test_the_link_becomes_a_cookie_that_opens_everything() -> None:
    async with House() as house:
        async with house.session.post("/session", headers=BEARER) as response:
            assert response.status == 204
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        headers = {"Cookie": cookie.partition(";")[0]}
        async with house.session.post(
            "/componium/tempo", json={"args": [90]}, headers=headers
        ) as response:
            assert response.status == 200
            assert (await response.json())["receipts"][0]["state"] == "done"
        socket = await house.session.ws_connect("/", headers=headers)
        await socket.send_json({"hear": []})
        assert (await socket.receive_json())["role"] == "edit"


JSONS = ("[90]", '{"args": [[90]]}')


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, '{"args": [90]}', 401),
        ({"Authorization": "Bearer wrong"}, '{"args": [90]}', 401),
        ({**BEARER, "Content-Type": "text/plain"}, '{"args": [90]}', 415),
        (BEARER, '{"args": [90', 400),
        (BEARER, "[90]", 400),
        (BEARER, '{"args": [[90]]}', 400),
        (BEARER, '{"args": [' + "9" * 10**5 + "]}", 400),
        (BEARER, "[" * 10**5, 400),
        (BEARER, " " * ((1 << 20) + 1), 413),
        (BEARER, '{"args": [NaN]}', 409),
        (BEARER, "", 409),
    ],
)
async def test_what_is_posted_is_checked_before_it_is_done(
    headers: dict[str, str], body: str, status: int
) -> None:
    async with House() as house:
        sent = {"Content-Type": "application/json", **headers}
        async with house.session.post("/componium/tempo", data=body, headers=sent) as response:
            assert response.status == status
            if status == 409:
                assert (await response.json())["receipts"][0]["state"] == "refused"
            if status == 400:
                assert ("no JSON" in await response.text()) == (body not in JSONS)
        line = house.player.timeline
        assert line.tempo_at(line.beat_at(house.clock.now())) == 120


async def test_a_command_that_has_to_read_a_file_first_is_answered_too(tmp_path: Path) -> None:
    async with House(tmp_path) as house:
        asked = {"args": ["nothing"]}
        async with house.session.post("/componium/scene", json=asked, headers=BEARER) as response:
            assert response.status == 409
            assert "nothing" in (await response.json())["receipts"][0]["reason"]


@pytest.mark.parametrize("how", ["get", "upgrade"])
@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost", None, 200),
        ("localhost:1822", "http://localhost:1822", 200),
        ("[::1]:9", "http://[::1]:9", 200),
        ("127.0.0.1", "http://game.example:8000", 200),
        ("127.0.0.1", "http://game.example", 403),
        ("127.0.0.1", "http://localhost", 403),
        ("127.0.0.1", "null", 403),
        ("localhost.evil.com", None, 403),
        ("evil.com:1822", "http://evil.com:1822", 403),
        ("192.168.1.2", None, 403),
        ("localhost:1822@evil.com", None, 403),
        ("", None, 403),
    ],
)
async def test_only_our_own_hosts_and_pages_are_let_in(
    how: str, host: str, origin: str | None, status: int
) -> None:
    async with House() as house:
        headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
        if how == "upgrade":
            headers |= {"Connection": "Upgrade", "Upgrade": "websocket"}
            headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "a" * 22 + "=="}
        async with house.session.get("/componium", headers=headers) as response:
            assert response.status == {200: 101}.get(status, status) if how == "upgrade" else status


def test_on_a_network_addresses_and_the_machines_name_are_hosts_too() -> None:
    manners = Manners(["stage"], lan=True)
    for host in ("192.168.1.2:1822", "[fe80::1]", "stage", "STAGE:1822", *LOCAL):
        assert manners.accepts(host, None), host
    for host in ("evil.com", "stage.evil.com", "1.2.3", ":1822", "stage:", "stage:x"):
        assert not manners.accepts(host, None), host


async def test_who_guesses_tokens_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def wait(seconds: float) -> None:
        if seconds == 1:
            waits.append(seconds)
        await sleep(0)

    async with House() as house:
        monkeypatch.setattr("server.desk.web.asyncio.sleep", wait)
        for _ in range(12):
            status, _ = await house.get("/", Authorization="Bearer wrong")
            assert status == 401
        assert len(waits) == 2
        house.clock.jump(61 * SECOND)
        await house.get("/", Authorization="Bearer wrong")
        assert len(waits) == 2
    assert all("wrong" not in text or TOKEN not in text for text in house.troubles)


def test_a_port_in_use_is_named_with_its_owner() -> None:
    sockets = bound(0)
    port = sockets[0].getsockname()[1]
    with pytest.raises(Mistake, match=rf"TCP port {port} is in use.*--http PORT"):
        bound(port)
    for each in sockets:
        each.close()


# Too much -----------------------------------------------------------------------------------


async def test_one_client_too_many_is_told_so_and_one_who_leaves_makes_room() -> None:
    async with House(most_clients=2) as house:
        first, _ = await house.connect(), await house.connect()
        async with house.session.get(
            "/",
            headers={
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "a" * 22 + "==",
            },
        ) as response:
            assert response.status == 503
        await first.socket.close()
        while len(house.door.clients) > 1:
            await asyncio.sleep(0.001)
        await house.connect()


async def test_whoever_shows_the_token_takes_the_place_of_one_who_does_not() -> None:
    async with House(most_clients=2) as house:
        strangers = [await house.connect(token=False) for _ in range(2)]
        owner = await house.connect()
        assert await strangers[0].next() is None, "cut off"
        assert await owner.settle("x") == [] == await strangers[1].settle("y")


async def test_one_connection_too_many_is_cut_off() -> None:
    async with House(most_connections=3) as house:
        held = [await house.connect() for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", house.door.port)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert await held[0].settle("x") == []


async def test_connections_that_ask_nothing_keep_nobody_out() -> None:
    async with House(most_connections=3) as house:
        held = [await asyncio.open_connection("127.0.0.1", house.door.port) for _ in range(3)]
        while len(house.door.connections) < 3:
            await asyncio.sleep(0.001)
        assert (await house.get("/componium/tempo?VALUE"))[0] == 200
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await held[0][0].read() == b"", "the oldest of them gave way"
        for _, each in held:
            each.close()


async def test_beyond_this_machine_all_but_the_page_needs_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Manners, "at_home", staticmethod(lambda address: False))
    monkeypatch.setattr("server.desk.web.HEADERS_IN", 0.05)
    monkeypatch.setattr("server.desk.web.TEND", 0.01)
    async with House() as house:
        for path in ("/", "/componium/tempo?VALUE", "/?HOST_INFO", "/metrics", "/take.mid"):
            assert (await house.get(path))[0] == 401
        assert (await house.get("/", Accept="text/html"))[0] == 200
        assert (await house.get("/page/main.js"))[0] == 200
        assert (await house.get("/componium/tempo?VALUE", **BEARER))[0] == 200
        stranger = await house.connect(token=False)
        await stranger.say(hear=["state"])
        assert "token" in (await stranger.next())["error"]
        await stranger.socket.send_bytes(osc_message("/componium/stop"))
        assert "token" in (await stranger.next())["error"]
        assert await stranger.next() is None, "it was not to wait any longer"
        guest = await house.connect(token=False)
        await guest.say(token=TOKEN)
        assert await guest.next() == {"role": "edit"}
        await guest.say(hear=["state"])
        assert "snapshot" in await guest.next()
        assert not any(each.strange for each in house.door.clients)


async def test_headers_that_do_not_come_and_frames_too_long_end_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.desk.web.HEADERS_IN", 0.05)
    async with House() as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.door.port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        friend = await house.connect()
        await friend.socket.send_str('"' + "x" * 65_536 + '"')
        assert await friend.next() is None


async def test_who_does_not_answer_pings_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.desk.web.GONE", 0.05)
    monkeypatch.setattr("server.desk.web.TEND", 0.01)
    async with House() as house:
        socket = await house.session.ws_connect("/", autoping=False)
        async with asyncio.timeout(5):
            while house.door.clients:
                await asyncio.sleep(0.001)
        assert not house.feed.listeners
        await socket.close()


async def test_who_does_not_read_loses_notes_and_nobody_else_does() -> None:
    async with House() as house:
        deaf = socket.create_connection(("127.0.0.1", house.door.port))
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        text = b'{"hear":["log","plan"]}'
        mask = b"\0\0\0\0"
        deaf.sendall(bytes((0x81, 0x80 | len(text))) + mask + text)
        async with asyncio.timeout(5):
            while not any(each.hears for each in house.feed.listeners):
                await asyncio.sleep(0.001)
        friend = await house.connect()
        await friend.say(hear=["log"])
        await friend.hears("snapshot")
        for nth in range(3000):
            house.player.journal.enter(Troubled("clock", f"{nth} " + "x" * 400))
            if nth % 50 == 0:
                await friend.settle(str(nth))
        [listener] = [each for each in house.feed.listeners if "plan" in each.hears]
        assert listener.outbox.left_out > 0
        assert listener.outbox._size <= 256 << 10
        deaf.close()


# Garbage ------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=5), s, max_size=3)
)
asked = st.dictionaries(
    st.sampled_from(["set", "all", "args", "hear", "ping", "token", "id", "COMMAND", "DATA"]),
    anything
    | st.sampled_from(["/componium/tempo", "LISTEN", "/componium", "state"])
    | st.lists(st.fixed_dictionaries({"set": st.just("/componium/tempo"), "args": anything})),
    max_size=4,
)
frames = (
    st.binary(max_size=60)
    | st.text(max_size=60)
    | asked.map(json.dumps)
    | st.text(max_size=30).map(lambda text: f"/{text}")
)


async def test_of_a_scene_that_has_gone_no_note_is_kept_nor_what_made_it() -> None:
    def kept() -> list[object]:
        house.journal.clear()
        gc.collect()
        return [
            each
            for each in gc.get_objects()
            if (isinstance(each, Played) and each.note.part == "melody")
            or (isinstance(each, Begun) and each.part == "melody")
        ]

    async with House() as house:
        house.player.play()
        await house.pass_time(4 * SECOND)
        assert kept()
        scene = house.player.scene
        assert scene is not None
        went = [ref(each.engine) for each in scene.ensemble]
        del scene
        assert house.player.change_scene(parse_scene(OTHER, "second")).state == "armed"
        await house.pass_time(12 * SECOND)
        assert house.player.scene is not None and house.player.scene.name == "second"
        assert not kept()
        await house.get("/componium/part/solo?VALUE")  # somebody looks at what is there now
        gc.collect()
        assert [each() for each in went] == [None, None]


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(frames, max_size=25))
def test_no_frame_whatever_ends_the_conversation_or_the_desk(said: list[str | bytes]) -> None:
    async def talk() -> None:
        async with House() as house:
            friend = await house.connect()
            for frame in said:
                if isinstance(frame, str):
                    frame = frame.encode("utf-8", "replace").decode()
                    await friend.socket.send_str(frame)
                else:
                    await friend.socket.send_bytes(frame)
            await friend.settle("still there")
            await friend.say(set="/componium/part/melody/octave", args=[2], id="last")
            assert (await friend.hears("receipt", id="last"))["state"] == "done"
            assert not any("went wrong" in trouble for trouble in house.troubles)

    asyncio.run(talk())


@given(anything)
def test_a_command_is_a_message_or_a_mistake(value: Any) -> None:
    for each in (value, {"set": value}, {"set": "/a", "args": value}):
        try:
            message = message_of(each)
        except Mistake:
            continue
        assert isinstance(message.address, str) and len(message.args) <= 64


async def test_no_bytes_whatever_end_the_server() -> None:
    rng = random.Random(1822)
    good = [
        b"GET /componium/tempo?VALUE HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST /componium/tempo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 13\r\nConnection: close\r\n\r\n" + b'{"args": [90]}',
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        + b"\x81\x85\0\0\0\0hello",
    ]
    async with House() as house:
        for nth in range(300):
            data = bytearray(good[nth % 3])
            for _ in range(rng.randrange(1, 12)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", house.door.port)
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                writer.write_eof()
                async with asyncio.timeout(5):
                    await reader.read()
            writer.close()
        assert await house.get("/componium/tempo?VALUE") == (200, {"VALUE": [120.0]})
        assert [each for each in house.troubles if "went wrong" in each] == []
