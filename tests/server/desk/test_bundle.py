"""A bundle is done whole, at one moment, or not at all; and what receipts say of every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.concert.changes import MOST_WAITING
from server.concert.player import Player
from server.desk.osc import Gate
from server.ensemble.encode import osc_bundle, osc_message
from tests.server.desk.rig import MS, OTHER, SCENE, SECOND, Receipt, Stage

SEED = 1821  # of a scene that names none


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "first.toml").write_text(SCENE)
    (tmp_path / "other.toml").write_text(OTHER)
    (tmp_path / "broken.toml").write_text("tempo = = 3")
    return Stage(tmp_path)


def bundle(stage: Stage, *messages: tuple[object, ...]) -> list[Receipt]:
    """Send messages as one; the receipts that came at once, without the prefix."""
    stage.receipts.clear()
    stage.desk.receive_all([(f"/componium{each[0]}", each[1:]) for each in messages], stage.source)
    return heard(stage)


def heard(stage: Stage) -> list[Receipt]:
    return [(a.removeprefix("/componium"), *rest) for a, *rest in stage.receipts]  # type: ignore[misc]


# Whole or not at all ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (("/tempo", "fast"), "tempo: expected a number from 20 to 999, got 'fast'"),
        (("/tempo",), "tempo: is missing; expected /componium/tempo tempo [beats] [when]"),
        (("/nowhere", 1), "there is no '/componium/nowhere'"),
        (("/part/melody/level", 1, "soon"), "when: expected now, beat, bar, phrase"),
        (("/part/solo/mute", 1), "there is no '/componium/part/solo/mute'"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_one_bad_message_has_all_refused_and_each_is_told(
    stage: Stage, wrong: tuple[object, ...], why: str, first: bool
) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    calls, events = len(stage.tape.calls), len(stage.tape.events)
    good: list[tuple[object, ...]] = [("/part/melody/mute", 1), ("/control/arousal", 0.9, "bar")]
    receipts = bundle(stage, *([wrong, *good] if first else [*good, wrong]))
    assert [(address, state, bar) for address, state, bar, _ in receipts] == [
        (each[0], "refused", 0.0) for each in ([wrong, *good] if first else [*good, wrong])
    ]
    reasons = {address: reason for address, _, _, reason in receipts}
    assert reasons.pop(str(wrong[0])).startswith(why)
    assert set(reasons.values()) == {f"its bundle is, for /componium{wrong[0]}"}
    assert (len(stage.tape.calls), len(stage.tape.events)) == (calls, events)
    assert not stage.player.strips()["melody"].mute
    await stage.pass_time(3 * SECOND)
    assert stage.player.setting is not None
    assert stage.player.setting.values == {"arousal": 0.5}
    assert len([text for text in stage.troubles if "refused" in text]) == 1


async def test_a_bundle_that_would_meet_a_coming_scene_half_way_is_refused_whole(
    stage: Stage,
) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.send("/scene", "other", "bar")
    await stage.loaded()
    receipts = bundle(stage, ("/tempo", 90, "2 bars"), ("/part/melody/mute", 1, "2 bars"))
    assert [receipt[1] for receipt in receipts] == ["refused", "refused"]
    assert receipts[0][3] == "another scene begins before"
    assert [receipt[1] for receipt in bundle(stage, ("/tempo", 90, "2 bars"))] == ["armed"]


async def test_a_bundle_for_which_there_is_no_room_is_refused_whole(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    for nth in range(MOST_WAITING - 2):
        stage.send("/part/melody/level", nth / 512, f"{nth + 2} bars")
    changes = [("/part/melody/density", 0.5, f"{nth + 2} bars") for nth in range(3)]
    assert [receipt[1] for receipt in bundle(stage, *changes)] == ["refused"] * 3
    assert [receipt[1] for receipt in bundle(stage, *changes[:2])] == ["armed"] * 2


async def test_what_componium_itself_sends_spoils_a_bundle_and_is_not_answered(
    stage: Stage,
) -> None:
    receipts = bundle(stage, ("/beat", 1, 1, 120.0), ("/tempo", 90))
    assert [receipt[:2] for receipt in receipts] == [("/tempo", "refused")]
    assert "does an output lead back" in stage.troubles[0]


# At one moment ------------------------------------------------------------------------------


class Creeping:
    """A clock that moves whenever somebody looks at it."""

    def __init__(self, stage: Stage, step: int) -> None:
        self._clock, self._step = stage.clock, step

    def now(self) -> int:
        self._clock.jump(self._step)
        return self._clock.now()

    async def sleep_until(self, ns: int) -> None:
        raise AssertionError


async def test_all_of_a_bundle_has_one_bar_line_however_near(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(2 * SECOND + 60 * MS - 10 * MS)  # 10 ms before bar 2
    stage.player.clock = Creeping(stage, 100_000)
    changes = [("/part/melody/level", 0.5, "bar"), ("/tempo", 90, "bar")]
    changes += [("/part/low_drums/octave", 1, "bar"), ("/control/arousal", 1, "bar")]
    changes += [(f"/part/{part}/density", 0.5, "bar") for part in ("melody", "low_drums")]
    receipts = bundle(stage, *changes * 3)
    armed = [bar for _, state, bar, _ in receipts if state == "armed"]
    assert armed == [2.0] * 18
    assert isinstance(stage.player.clock, Creeping)


async def test_nothing_is_planned_between_two_messages_of_a_bundle(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    planned: list[dict[str, float]] = []
    plan = Player._plan

    def watched(player: Player, until: object, silent: bool) -> None:
        if player.playing and until > player._frontier:  # type: ignore[operator]
            assert player.setting is not None
            planned.append(dict(player.setting.values))
        plan(player, until, silent)  # type: ignore[arg-type]

    monkeypatch.setattr(Player, "_plan", watched)
    bundle(stage, ("/control/arousal", 0.1), ("/tempo", 999), ("/control/arousal", 0.2))
    assert planned == [{"arousal": 0.2}]


async def test_an_order_of_play_and_settings_is_kept(stage: Stage) -> None:
    receipts = bundle(stage, ("/tempo", 60), ("/play",), ("/part/melody/mute", 1, "bar"))
    assert [receipt[:3] for receipt in receipts] == [
        ("/tempo", "done", 1.0),
        ("/play", "done", 1.0),
        ("/part/melody/mute", "armed", 1.0),  # its bar line is still to come
    ]
    await stage.pass_time(SECOND)
    assert stage.player.playing
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 60


# With a scene in it -------------------------------------------------------------------------


async def test_a_bundle_waits_for_its_scene_and_takes_effect_with_it(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    assert bundle(stage, ("/scene", "other"), ("/tempo", 77, "bar"), ("/seed", 5)) == []
    await stage.loaded()
    assert heard(stage) == [
        ("/scene", "armed", 2.0, ""),
        ("/tempo", "armed", 2.0, ""),
        ("/seed", "armed", 2.0, ""),
    ]
    await stage.pass_time(2 * SECOND)
    scene = stage.player.scene
    assert scene is not None
    assert (scene.name, scene.seed) == ("other", 5)
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 77
    assert [receipt[1:3] for receipt in heard(stage)[3:]] == [("done", 2.0)] * 3


@pytest.mark.parametrize("name", ["broken", "nowhere", ""])
async def test_a_bundle_is_refused_with_its_scene(stage: Stage, name: str) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    bundle(stage, ("/tempo", 77, "bar"), ("/scene", name))
    await stage.loaded()
    receipts = heard(stage)
    assert [receipt[:3] for receipt in receipts] == [
        ("/tempo", "refused", 0.0),
        ("/scene", "refused", 0.0),
    ]
    assert receipts[0][3] == f"with its scene {name!r}: {receipts[1][3]}"
    await stage.pass_time(3 * SECOND)
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 120


async def test_a_bundle_takes_one_scene(stage: Stage) -> None:
    receipts = bundle(stage, ("/scene", "other"), ("/scene", "first"))
    assert [receipt[1:] for receipt in receipts] == [
        ("refused", 0.0, "a bundle takes one scene")
    ] * 2
    assert not stage.desk.loading


async def test_a_bundle_that_bounces_counts_once(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    for _ in range(2):
        stage.desk.receive_all(
            [("/componium/seed", (5,)), ("/componium/tempo", (77, "bar"))], stage.source
        )
    states = [receipt[:2] for receipt in heard(stage)]
    assert states[-2:] == [("/seed", "armed"), ("/tempo", "armed")]
    assert len(states) == 3  # play's is the first


# Through the door ---------------------------------------------------------------------------


async def test_stop_does_not_wait_for_the_rest_of_its_bundle(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    gate = Gate(stage.desk, stage.clock.now)
    answers: list[bytes] = []
    data = [osc_message("/componium/play"), osc_message("/componium/tempo", "fast")]
    data += [osc_message("/componium/stop"), osc_message("/componium/part/melody/mute", 1)]
    gate.admit(osc_bundle(0, *data), ("127.0.0.1", 5), lambda data, peer: answers.append(data))
    assert not gate.lanes.work(lambda: False)
    assert not stage.player.playing
    assert not stage.player.strips()["melody"].mute
    told = [answer for answer in answers if b"superseded" in answer]
    assert len(told) == 1 and b"/componium/play" in told[0]
    assert sum(b"refused" in answer for answer in answers) == 2


async def test_of_a_flood_of_bundles_the_last_one_wins_whole(stage: Stage) -> None:
    gate = Gate(stage.desk, stage.clock.now)

    def say(level: float, density: float) -> None:
        one = osc_message("/componium/part/melody/level", level)
        other = osc_message("/componium/part/melody/density", density)
        gate.admit(osc_bundle(0, one, other), ("127.0.0.1", 5), lambda data, peer: None)

    for nth in range(3000):
        say(nth / 3000, nth / 3000)
    assert len(gate.lanes) < 20
    message = osc_message("/componium/part/melody/density", 0.5)
    gate.admit(message, ("127.0.0.1", 6), lambda data, peer: None)
    say(0.25, 0.375)  # must not take the place of those before that one
    gate.lanes.work(lambda: False)
    strip = stage.player.strips()["melody"]
    assert (strip.level, strip.density) == (0.25, 0.375)


# Receipts -----------------------------------------------------------------------------------

CHANGES: list[tuple[object, ...]] = [
    ("/tempo", 90),
    ("/seed", 7),
    ("/scene", "other"),
    ("/part/melody/mute", 1),
    ("/part/melody/solo", 1),
    ("/part/melody/level", 0.5),
    ("/part/melody/density", 0.5),
    ("/part/low_drums/octave", 1),
    ("/control/arousal", 0.9),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change[0]))
@pytest.mark.parametrize(("when", "bar"), [("beat", 1.75), ("bar", 2.0), ("2 bars", 3.0)])
@pytest.mark.parametrize("bundled", [False, True])
async def test_every_change_is_armed_and_then_done_at_its_bar(
    stage: Stage, change: tuple[object, ...], when: str, bar: float, bundled: bool
) -> None:
    stage.send("/play")
    await stage.pass_time(60 * MS + 1250 * MS)  # two and a half beats of the first bar
    companion: list[tuple[object, ...]] = [("/part/low_drums/density", 0.5)] if bundled else []
    bundle(stage, (*change, when), *companion)
    await stage.loaded()
    assert (change[0], "armed", bar, "") in heard(stage)
    begun = stage.player.now_beat
    while not any(r[:2] == (change[0], "done") for r in heard(stage)):
        assert stage.player.now_beat < begun + 12
        await stage.pass_time(25 * MS)
    own = [receipt for receipt in heard(stage) if receipt[0] == change[0]]
    assert own == [(change[0], "armed", bar, ""), (change[0], "done", bar, "")]
    assert (bar - 1) * 4 <= stage.player.now_beat <= (bar - 1) * 4 + 1


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: str(change[0]))
async def test_a_change_at_once_is_done_and_says_where(
    stage: Stage, change: tuple[object, ...]
) -> None:
    stage.send("/play")
    await stage.pass_time(60 * MS + 1250 * MS)
    bundle(stage, (*change, "now"))
    await stage.loaded()
    [(address, state, bar, _)] = heard(stage)
    assert (address, state) == (change[0], "done")
    assert bar == pytest.approx(1.625, abs=0.01)


# A seed and a scene -------------------------------------------------------------------------


def played(stage: Stage) -> list[tuple[str, float]]:
    scene = stage.player.scene
    assert scene is not None
    return [(scene.name, scene.seed)]


async def armed(stage: Stage, when: str = "bar") -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.desk.receive("/componium/scene", ("other", when), stage.source)
    await stage.loaded()
    stage.receipts.clear()


async def test_a_seed_for_the_same_moment_is_the_coming_scenes(stage: Stage) -> None:
    await armed(stage)
    assert stage.send("/seed", 7) == [("/componium/seed", "armed", 2.0, "")]
    await stage.pass_time(2 * SECOND)
    assert stage.receipts == [
        ("/componium/seed", "armed", 2.0, ""),
        ("/componium/scene", "done", 2.0, ""),
        ("/componium/seed", "done", 2.0, ""),
    ]
    assert played(stage) == [("other", 7)]
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 90


@pytest.mark.parametrize("late", [0, 980])  # ms: before and after the plan has got there
async def test_a_seed_for_an_earlier_moment_leaves_the_coming_scene_alone(
    stage: Stage, late: int
) -> None:
    await armed(stage, "2 bars" if not late else "bar")
    await stage.pass_time(late * MS)
    when = "bar" if not late else "now"
    stage.send("/seed", 7, when)
    if late:
        assert played(stage) == [("first", 7)]
    else:
        await stage.pass_time(2 * SECOND)
        assert played(stage) == [("first", 7)]
    await stage.pass_time(2 * SECOND)
    assert played(stage) == [("other", SEED)]
    assert ("/componium/scene", "done", 3.0 if not late else 2.0, "") in stage.receipts


async def test_a_scene_with_another_seed_has_its_tempo_whatever_is_set_just_before(
    stage: Stage,
) -> None:
    await armed(stage)
    stage.send("/seed", 7)
    await stage.pass_time(980 * MS)  # the plan has taken both in
    stage.send("/tempo", 100)
    await stage.pass_time(SECOND)
    assert played(stage) == [("other", 7)]
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 90


async def test_a_seed_for_a_later_moment_begins_the_new_scene_anew(stage: Stage) -> None:
    await armed(stage)
    stage.send("/seed", 7, "2 bars")
    await stage.pass_time(1500 * MS)
    assert played(stage) == [("other", SEED)]
    await stage.pass_time(3 * SECOND)
    assert played(stage) == [("other", 7)]


async def test_a_seed_waits_for_a_scene_that_is_being_loaded(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.desk.receive("/componium/scene", ("other",), stage.source)
    assert stage.send("/seed", 7) == []
    await stage.loaded()
    assert [receipt[:3] for receipt in heard(stage)] == [
        ("/scene", "armed", 2.0),
        ("/seed", "armed", 2.0),
    ]
    await stage.pass_time(2 * SECOND)
    assert played(stage) == [("other", 7)]


async def test_a_seed_meant_for_a_scene_that_never_came_is_refused(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.desk.receive("/componium/scene", ("broken",), stage.source)
    stage.send("/seed", 7)
    await stage.loaded()
    await stage.pass_time(2 * SECOND)
    assert [receipt[:2] for receipt in heard(stage)] == [
        ("/scene", "refused"),
        ("/seed", "refused"),
    ]
    assert played(stage) == [("first", SEED)]


async def test_a_new_scene_takes_the_place_of_a_seed_that_waits(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.send("/seed", 7)
    stage.desk.receive("/componium/scene", ("other",), stage.source)
    await stage.loaded()
    await stage.pass_time(2 * SECOND)
    assert ("/componium/seed", "superseded") in [receipt[:2] for receipt in stage.receipts]
    assert played(stage) == [("other", SEED)]


async def test_a_seed_leaves_what_waits_for_later_as_it_is(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    for address, value in (("/tempo", 90), ("/part/melody/mute", 1), ("/control/arousal", 0.9)):
        stage.desk.receive(f"/componium{address}", (value, "2 bars"), stage.source)
    assert stage.send("/seed", 7) == [("/componium/seed", "armed", 2.0, "")]
    await stage.pass_time(4 * SECOND)
    assert [receipt[1] for receipt in stage.receipts] == ["armed", *["done"] * 4]
    assert stage.player.strips()["melody"].mute
    assert stage.player.setting is not None
    assert stage.player.setting.values == {"arousal": 0.9}
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 90


async def test_stopped_before_their_moment_neither_scene_nor_seed_begins(stage: Stage) -> None:
    await armed(stage)
    stage.send("/seed", 7)
    await stage.pass_time(980 * MS)  # the plan has taken both in
    stage.send("/stop")
    assert played(stage) == [("first", SEED)]
    stage.send("/continue")
    await stage.pass_time(4 * SECOND)
    assert played(stage) == [("first", SEED)]
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 120


async def test_of_values_for_one_control_in_a_bundle_the_last_is_set(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    receipts = bundle(
        stage,
        ("/part/melody/level", 0.25),
        ("/tempo", 100.0),
        ("/part/melody/level", 0.75),
        ("/part/melody/level", 0.5, "bar"),
    )
    states = [(address, state) for address, state, _, _ in receipts]
    assert states == [
        ("/part/melody/level", "superseded"),
        ("/tempo", "done"),
        ("/part/melody/level", "done"),
        ("/part/melody/level", "armed"),
    ]
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 100
