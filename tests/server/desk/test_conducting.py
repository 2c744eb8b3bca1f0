"""The conductor's addresses: cancelling, listing, hooks, and our own words coming back."""

from __future__ import annotations

import pytest

from server.desk.desk import Desk, Source
from server.desk.query import value_of
from server.desk.sent import is_echo
from server.score.scene import parse_scene
from tests.server.desk.rig import MS, SECOND, Stage, forbidden

SCENE = """
[form]
plan = "A B"
[form.sections.A]
bars = 8
cues = { exit = 3 }
[form.sections.B]
bars = 8
[outputs.game]
osc = "127.0.0.1:9000"
[parts.bass]
engine = "grammar"
rules = "S -> 1 5"
grid = "1/4"
"""


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.player.cue(parse_scene(SCENE))
    return stage


@pytest.mark.parametrize(
    "what",
    [(), ("mood",), ("emotion",), ("/componium/emotion",), ("/componium/mood",)],
)
async def test_what_is_armed_is_listed_and_called_off(stage: Stage, what: tuple[str, ...]) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    assert stage.send("/emotion", "tense", 2.0, "bar")[0][:3] == (
        *("/componium/emotion", "armed"),
        4.0,
    )
    assert stage.send("/armed")[0][3] == "mood at bar 4"
    receipts = stage.send("/cancel", *what)
    assert [each[1] for each in receipts] == ["cancelled", "done"]
    assert receipts[1][3] == "1 called off"
    assert stage.send("/armed")[0][3] == "nothing is armed"


async def test_a_mute_is_called_off_by_its_address(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    stage.send("/part/bass/mute", True, "2 bars")
    assert stage.send("/cancel", "/componium/part/bass/level")[-1][3] == "0 called off"
    assert stage.send("/cancel", "/componium/part/bass/mute")[-1][3] == "1 called off"
    await stage.pass_time(5 * SECOND)
    assert not stage.player.strips()["bass"].mute


async def test_a_hook_waits_for_its_place_or_is_refused(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    assert stage.send("/section", "B", "cue exit")[0][1:3] == ("armed", 3.0)
    stage.receipts.clear()
    await stage.pass_time(5 * SECOND)
    assert [each[1:3] for each in stage.receipts] == [("done", 3.0)]
    [receipt] = stage.send("/section", "B", "cue nowhere")
    assert receipt[1] == "refused"
    assert "nowhere" in receipt[3]


async def test_our_own_words_do_no_harm(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    assert stage.send("/mood", 0.5, 0.5, "happy") == []
    assert stage.send("/section", "A", 1) == []
    assert stage.send("/key", "C major")[0][1] == "done"
    assert stage.send("/armed")[0][3] == "nothing is armed"
    assert stage.send("/mood", 0.5, 0.5, "hapy")[0][1] == "refused", "a slip is answered"


def test_echoes_are_told_by_their_arguments() -> None:
    assert is_echo("/componium/mood", (0.1, 0.2, "sad"), {"sad"})
    assert not is_echo("/componium/mood", (0.1, 0.2, "bar"), {"sad"})
    assert not is_echo("/componium/section", ("A", "bar"), ())


async def test_a_theme_can_be_asked_for_as_text_and_kept(stage: Stage) -> None:
    notes = "1:1/2 2:1/2 | 3:1/1"
    tables = f"[themes.home]\nnotes = '{notes}'\n[themes.free]\n"
    assert stage.send("/theme/text")[0][1] == "refused", "there is none"
    stage.player.cue(parse_scene(tables + SCENE))
    for name in ("home", ""):
        assert stage.send("/theme/text", name)[0][1::2] == ("done", notes)
    assert "did you mean 'home'? There are home, free" in stage.send("/theme/text", "hom")[0][3]
    assert "needs the role edit" in stage.send("/theme/save")[0][3]
    kept: list[str] = []

    def keep(name: str) -> str:
        kept.append(name)
        return f"{name} kept"

    desk = Desk(stage.player, forbidden, keep_theme=keep)
    said: list[object] = []
    editor = Source("file", role="edit", answer=lambda address, values: said.append(values[3]))
    desk.receive("/componium/theme/save", ("home",), editor)
    assert kept == ["home"] and said == ["home kept"]


async def test_where_the_player_stands_is_known_until_another_scene_comes(stage: Stage) -> None:
    assert "no emotional points" in stage.send("/listener", 1.0, 2.0)[0][3]
    points = SCENE + "[[mood.points]]\nx = 0\ny = 0\nmood = 'calm'\nreach = 10\n"
    stage.player.cue(parse_scene(points))
    node = stage.desk.tree.nodes["/componium/listener"]
    assert value_of(node) is None
    stage.send("/listener", 3.0, -4.5)
    assert value_of(node) == (3.0, -4.5)
    stage.player.cue(parse_scene(points))
    assert value_of(stage.desk.tree.nodes["/componium/listener"]) is None


async def test_what_comes_is_named(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    stage.send("/key", "E minor", "bar 9")
    assert stage.send("/armed")[0][3] == "key at bar 9: E minor"


@pytest.mark.parametrize(
    ("address", "typed", "near"),
    [
        ("/theme", "hom", "home"),
        ("/section", "b", "B"),
        ("/emotion", "hapy", "happy"),
        ("/part/bass/mtue", "1", "mute"),
        ("/explain", "tmpo", "tempo"),
        ("/sync", "lnk", "link"),
        ("/session/close", "an", ""),
        ("/cancel", "sectoin", "section"),
        ("/key", "D doran", "dorian"),
        ("/tmpo", "100", "tempo"),
    ],
)
async def test_a_name_that_nobody_knows_is_answered_with_the_one_that_may_be_meant(
    stage: Stage, address: str, typed: str, near: str
) -> None:
    theme = '[themes.home]\nnotes = "1:1/2 2:1/2 | 3:1/1"\n'
    stage.player.cue(parse_scene(theme + SCENE))
    [(_, state, _, reason)] = stage.send(address, typed)
    assert state == "refused"
    assert not near or f"did you mean {near!r}?" in reason
