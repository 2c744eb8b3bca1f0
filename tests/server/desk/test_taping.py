"""Takes kept in memory from a press of a button on."""

from __future__ import annotations

import io
import json

import mido
import pytest

import server.desk.taping as taping
from server.band.bands import Bands
from server.concert.journal import Played
from server.desk.feed import Feed
from server.desk.sessions import TAKES, Sessions
from server.ensemble.rack import Numbers
from server.score.scene import parse_scene
from tests.server.desk.rig import SCENE, SECOND, Stage
from tests.server.desk.web_rig import BEARER, House
from tests.server.model import ModelWire


def notes(data: bytes | None) -> int:
    assert data is not None
    tracks = mido.MidiFile(file=io.BytesIO(data)).tracks
    return sum(message.type == "note_on" for track in tracks for message in track)


async def test_it_keeps_what_is_played_between_two_presses() -> None:
    stage = Stage()
    stage.player.play()
    await stage.pass_time(SECOND)
    assert stage.desk.taping.file() is None
    stage.send("/record", 1)
    before = len([each for each in stage.journal if isinstance(each, Played)])
    await stage.pass_time(2 * SECOND)
    [receipt] = stage.send("/record", 0)
    played = len([each for each in stage.journal if isinstance(each, Played)]) - before
    assert receipt[3] == f"{played} notes are kept" and played >= 7
    await stage.pass_time(SECOND)
    assert notes(stage.desk.taping.file()) == played
    events = [json.loads(line)["event"] for line in stage.desk.taping.lines()]
    assert events.count("note") == played and "beat" in events
    stage.send("/record", 1)
    assert notes(stage.desk.taping.file()) == 0, "another take begins empty"


async def test_a_take_begins_with_the_bar_in_which_it_was_asked_for() -> None:
    stage = Stage()
    stage.player.play()
    await stage.pass_time(8 * SECOND + 1_200_000_000)  # in the third beat of bar 5
    stage.send("/record", 1)
    await stage.pass_time(2 * SECOND)
    data = stage.desk.taping.file()
    assert data is not None
    main, first, *_ = mido.MidiFile(file=io.BytesIO(data)).tracks
    begin = [message.dict() for message in main if message.time == 0]
    kinds = {each["type"]: each for each in begin}
    assert kinds["key_signature"]["key"] == "C"
    assert (kinds["time_signature"]["numerator"], kinds["set_tempo"]["tempo"]) == (4, 500_000)
    at, heard = 0, []
    for message in first:
        at += message.time
        heard += [at / 960] if message.type == "note_on" else []
    assert heard == [3, 4, 5, 6], "what sounded before is not there, what comes is in its place"


async def test_a_take_that_is_full_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taping, "MOST_NOTES", 5)
    stage = Stage()
    stage.send("/record", 1)
    stage.player.play()
    await stage.pass_time(5 * SECOND)
    assert not stage.desk.taping.on and notes(stage.desk.taping.file()) == 5


@pytest.mark.real
async def test_a_take_is_fetched_with_the_token_only() -> None:
    async with House() as house:
        house.player.play()
        assert (await house.get("/take.mid", **BEARER))[0] == 404
        house.send("/record", 1)
        await house.pass_time(2 * SECOND)
        for path in ("/take.mid", "/take.jsonl"):
            assert (await house.get(path))[0] == 401
        async with house.session.get("/take.mid", headers=BEARER) as answer:
            assert notes(await answer.read()) > 5
            assert "attachment" in answer.headers["Content-Disposition"]
        _, text = await house.get("/take.jsonl", **BEARER)
        assert all(json.loads(line)["event"] for line in text.splitlines())


@pytest.mark.real
async def test_each_band_has_a_take_of_its_own_and_no_name_leads_elsewhere() -> None:
    async with House() as house:
        bands = Bands(house.clock, {"osc": ModelWire(house.clock)}, Numbers())
        piece = parse_scene(SCENE, "first")
        sessions = Sessions(
            *(house.desk, bands, lambda file, style, target: piece),
            lambda band, desk: Feed(
                band.player, desk, house.prompter, {}, house._later, name=band.name
            ),
        )
        for nth in range(TAKES + 1):
            sessions.open(f"b{nth}", piece)
            house.send(f"/session/b{nth}/record", 1)
            state, reason = house.receipts[-1][1], house.receipts[-1][3]
            assert state == ("done" if nth < TAKES else "refused"), reason
        for _ in range(40):
            house.clock.jump(SECOND // 20)
            bands.look()
        async with house.session.get("/session/b1/take.mid", headers=BEARER) as answer:
            assert notes(await answer.read()) > 5
            assert answer.headers["Content-Disposition"] == 'attachment; filename="b1 take.mid"'
        assert (await house.get("/session/b1/take.mid"))[0] == 401
        assert (await house.get("/take.mid", **BEARER))[0] == 404, "nothing of this one"
        for name in ("eve", "..", "%2e%2e", "b1%2f..", "", f"b{TAKES}"):
            assert (await house.get(f"/session/{name}/take.mid", **BEARER))[0] == 404
        sessions.close("b1")
        assert (await house.get("/session/b1/take.mid", **BEARER))[0] == 404
        house.send(f"/session/b{TAKES}/record", 1)
        assert house.receipts[-1][1] == "done"


@pytest.mark.real
async def test_a_page_hears_where_the_music_is_and_how_wires_are() -> None:
    async with House() as house:
        house.feed._health = lambda: {"midi": {"sent": 3}}
        house.player.play()
        await house.pass_time(SECOND)
        friend = await house.connect()
        await friend.say(hear=["state", "health"])
        snapshot = await friend.hears("snapshot")
        state = snapshot["snapshot"]
        assert state["/componium/phrase"] == [1, 4]
        assert state["/componium/section/bar"][0] == 1
        assert state["/componium/mood/target"][:2] == [0.0, 0.0]
        assert 0 <= state["/componium/energy"][0] <= 1
        assert "/componium/beat" not in state and "/componium/part/melody/rules" not in state
        assert snapshot["scene"]["words"]["happy"][:2] == [0.8, 0.5]
        await house.pass_time(2 * SECOND)
        house.feed.look()
        assert (await friend.hears("health"))["health"] == {"midi": {"sent": 3}}
        status, rules = await house.get("/componium/part/melody/rules?VALUE")
        assert status == 200 and rules == {"VALUE": ["S -> C D E F"]}
