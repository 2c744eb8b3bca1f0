"""Stingers, gestures, single notes and praise, as a sender of messages meets them."""

from __future__ import annotations

import pytest

from server.score.scene import parse_scene

from .rig import SCENE, SECOND, Stage

MORE = """
[parts."my solo"]
engine = "performer"
[stingers.hit]
notes = "c1:1/4"
when = "bar"
again = 4.0
"""


@pytest.fixture
def stage() -> Stage:
    stage = Stage()
    stage.player.cue(parse_scene(SCENE + MORE, "first"))
    return stage


async def test_a_stinger_is_armed_and_done_at_the_moment_its_scene_gives_it(stage: Stage) -> None:
    stage.player.play()
    await stage.pass_time(SECOND)
    assert stage.send("/stinger", "hit") == [("/componium/stinger", "armed", 2.0, "")]
    await stage.pass_time(2 * SECOND)
    assert stage.receipts[-1] == ("/componium/stinger", "done", 2.0, "")
    [refused] = stage.send("/stinger", "hit", "1/16")
    assert refused[1] == "refused" and "it may sound again" in refused[3]


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("hitt",), "did you mean 'hit'? There are hit"),
        (("hit", "soon"), "expected now, beat"),
        (("hit",), "the transport is stopped"),
    ],
)
async def test_a_stinger_that_cannot_be_is_refused(
    stage: Stage, args: tuple[str, ...], why: str
) -> None:
    [(_, state, _, reason)] = stage.send("/stinger", *args)
    assert state == "refused" and why in reason


async def test_hands_play_the_parts_that_let_them(stage: Stage) -> None:
    stage.player.play()
    await stage.pass_time(SECOND)
    assert stage.send("/part/my_solo/gesture", 4, 0.5, 2)[0][1:] == (
        ("done", 1.0, "energy 2 was taken as 1")
    )
    [armed] = stage.send("/part/my_solo/hit", 0.5, 1, "beat")
    assert armed[1] == "armed"
    assert stage.send("/part/melody/hit", 0.5, 1)[0][1] == "refused"
    assert stage.send("/stinger", "hit")[0][1] == "armed"
    assert stage.send("/cancel", "stinger")[-1][3] == "1 called off"


async def test_praise_says_whom_it_reached_and_saving_takes_a_role(stage: Stage) -> None:
    assert stage.send("/feedback", 1)[0][1] == "refused"
    stage.player.play()
    await stage.pass_time(3 * SECOND)
    assert stage.send("/feedback", 1, "melody")[0] == (
        ("/componium/feedback", "done", 2.0, "to melody")
    )
    assert "needs the role edit" in stage.send("/feedback/save")[0][3]
