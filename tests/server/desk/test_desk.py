"""What the desk does with messages: commands, receipts, refusals, scenes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from engines.theme import ThemeEngine
from server.concert.journal import Troubled
from server.desk.desk import Complaints, Desk, Source, plain
from server.desk.query import value_of
from server.score.scene import Scene
from server.wire.protocol import ALL
from tests.server.desk.rig import MS, OTHER, SCENE, SECOND, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "first.toml").write_text(SCENE)
    (tmp_path / "other.toml").write_text(OTHER)
    return Stage(tmp_path)


async def test_play_and_stop(stage: Stage) -> None:
    assert stage.send("/play") == [("/componium/play", "done", 1.0, "")]
    assert stage.player.playing
    assert stage.desk.tree.nodes["/componium/play"].value is not None
    await stage.pass_time(3 * SECOND)
    assert stage.send("/stop") == [("/componium/stop", "done", 2.0, "")]
    assert not stage.player.playing
    assert ("silence", ALL) in stage.tape.calls
    stage.send("/continue", 1.0)
    assert stage.player.playing
    stage.send("/panic")
    assert not stage.player.playing
    assert ("panic", ALL) in stage.tape.calls


async def test_a_released_button_does_nothing(stage: Stage) -> None:
    assert stage.send("/play", 0.0) == []
    assert not stage.player.playing


async def test_tempo_takes_effect_at_its_moment_with_receipts(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    assert stage.send("/tempo", 60, "bar") == [("/componium/tempo", "armed", 2.0, "")]
    stage.receipts.clear()
    await stage.pass_time(2 * SECOND)
    assert stage.receipts == [("/componium/tempo", "done", 2.0, "")]
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 60
    value = stage.desk.tree.nodes["/componium/tempo"].value
    assert value is not None
    assert value() == (60.0,)


async def test_a_tempo_set_before_the_start_is_the_one_it_starts_with(stage: Stage) -> None:
    value = stage.desk.tree.nodes["/componium/tempo"].value
    assert value is not None
    stage.send("/tempo", 90)
    assert value() == (90.0,)
    stage.send("/play")
    await stage.pass_time(SECOND)
    assert value() == (90.0,)


async def test_a_ramp_takes_its_beats(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(60 * MS + 500 * MS)  # the lead-in and a beat
    stage.send("/tempo", 240, 4)
    begun = stage.player.now_beat
    assert stage.player.timeline.tempo_at(begun + 2) == pytest.approx(180)
    assert stage.player.timeline.tempo_at(begun + 4) == 240


async def test_a_clamped_value_is_applied_and_said(stage: Stage) -> None:
    receipts = stage.send("/part/melody/level", 5)
    assert receipts[-1][1:] == ("done", 1.0, "level 5 was taken as 2")
    assert stage.player.strips()["melody"].level == 2.0


@pytest.mark.parametrize(
    ("field", "sent", "kept"),
    [
        ("mute", 1, True),
        ("mute", True, True),
        ("solo", 0.7, True),
        ("level", 1, 1.0),
        ("density", 0.25, 0.25),
        ("octave", -1.0, -1),
    ],
)
async def test_strips_are_set_and_read_back(
    stage: Stage, field: str, sent: object, kept: object
) -> None:
    for name in ("melody", "low_drums"):
        for _ in range(2):  # setting twice is setting once
            stage.send(f"/part/{name}/{field}", sent)
            node = stage.desk.tree.nodes[f"/componium/part/{name}/{field}"]
            value = value_of(node) or ()
            assert value == (kept,)
            assert type(value[0]) is type(kept)


async def test_live_controls_are_set_and_read_back(stage: Stage) -> None:
    value = stage.desk.tree.nodes["/componium/control/arousal"].value
    assert value is not None
    assert value() == (0.5,)
    assert stage.send("/control/arousal", 1)[0][1] == "done"
    assert value() == (1.0,)


async def test_refusals_say_why_and_change_nothing(stage: Stage) -> None:
    before = stage.player.strips()
    for address, args, words in [
        ("/part/lead/mute", (1,), "/componium/part has melody, low_drums"),
        ("/part/melody/volume", (1,), "melody has mute, solo, level, density, octave"),
        ("/part/melody/level", (float("nan"),), "expected a number from 0 to 2, got nan"),
        ("/part/melody/mute", (1, "yesterday"), "got 'yesterday'"),
        ("/tempo", ("Infinity",), "got 'Infinity'"),
        ("/temp", (), "play, stop"),
    ]:
        [(about, state, bar, reason)] = stage.send(address, *args)
        assert (about, state, bar) == ("/componium" + address, "refused", 0.0)
        assert words in reason
    assert stage.player.strips() == before


async def test_commands_without_a_scene_are_refused() -> None:
    stage = Stage(cued=False)
    for address, *args in [("/play",), ("/continue",), ("/seed", 3)]:
        assert [receipt[1] for receipt in stage.send(str(address), *args)] == ["refused"]


async def test_a_role_that_is_too_low_is_refused(stage: Stage) -> None:
    stage.desk.receive("/componium/play", (), Source("page", "view", stage.source.answer))
    assert stage.receipts[0][1] == "refused"
    assert "needs the role control" in stage.receipts[0][3]
    assert not stage.player.playing


async def test_a_sender_that_may_not_be_answered_is_obeyed_all_the_same(stage: Stage) -> None:
    stage.desk.receive("/componium/play", (), Source("far"))
    assert stage.player.playing


async def test_a_command_that_breaks_is_refused_and_the_desk_goes_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("out of beans")

    monkeypatch.setattr(stage.player, "play", broken)
    assert "out of beans" in stage.send("/play")[0][3]
    assert stage.send("/tempo", 100)[-1][1] == "done"


async def test_waiting_changes_are_superseded_by_a_stop(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(SECOND)
    stage.send("/part/melody/mute", 1, "4 bars")
    stage.receipts.clear()
    stage.desk.receive("/componium/stop", (), stage.source)
    assert [receipt[:2] for receipt in stage.receipts] == [
        ("/componium/part/melody/mute", "superseded"),
        ("/componium/stop", "done"),
    ]


# Scenes -------------------------------------------------------------------------------------


async def test_another_scene_takes_over_at_the_bar(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    stage.send("/scene", "other")
    await stage.loaded()
    assert stage.receipts == [("/componium/scene", "armed", 2.0, "")]
    assert stage.player.scene is not None
    assert stage.player.scene.name == "first"
    await stage.pass_time(2 * SECOND)
    assert stage.receipts[-1] == ("/componium/scene", "done", 2.0, "")
    assert stage.player.scene.name == "other"
    assert "/componium/part/solo/mute" in stage.desk.tree.nodes
    assert stage.send("/part/melody/mute", 1)[0][1] == "refused"


@pytest.mark.parametrize(("away", "bar"), [(200, 2.0), (40, 3.0)])
async def test_a_bar_that_is_too_near_to_be_planned_in_time_is_left_to_the_old_scene(
    stage: Stage, away: int, bar: float
) -> None:
    stage.send("/play")
    begins = stage.player.timeline.ns_at(Fraction(4))
    await stage.pass_time(begins - away * MS - stage.clock.now())
    stage.send("/scene", "other")
    while stage.desk.loading:  # while a scene is read, time stands as long as nobody waits for it
        await asyncio.sleep(0.001)
        if away == 40:
            await stage.clock.advance(MS)
            stage.player.wake()
    assert stage.receipts == [("/componium/scene", "armed", bar, "")]


async def test_its_own_name_reads_a_scene_again(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(SCENE.replace("120", "77"))
    stage.send("/scene", "first", "now")
    await stage.loaded()
    assert stage.player.scene is not None
    assert stage.player.scene.tempo == 77


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SCENE.replace("C D E F", "C (D"), "first.toml: parts.melody.rules, line "),
        (SCENE.replace('"1/4"', '"1/0"'), "parts.melody.grid"),
        (SCENE.replace("[parts", "[prats"), "prats"),
        ("tempo = = 3", "first.toml, line 1"),
        ("", "expected at least one part"),
    ],
)
async def test_a_scene_with_a_mistake_leaves_the_old_one_playing(
    stage: Stage, tmp_path: Path, text: str, words: str
) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    scene, heard = stage.player.scene, len(stage.tape.events)
    (tmp_path / "first.toml").write_text(text)
    stage.send("/scene", "first", "now")
    await stage.loaded()
    [(about, state, bar, reason)] = stage.receipts
    assert (about, state, bar) == ("/componium/scene", "refused", 0.0)
    assert words in reason
    assert any(words in trouble for trouble in stage.troubles)
    assert stage.player.scene is scene
    await stage.pass_time(SECOND)
    assert stage.player.playing
    assert len(stage.tape.events) > heard


async def test_a_style_with_a_mistake_leaves_the_old_one_playing(
    stage: Stage, tmp_path: Path
) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    scene = stage.player.scene
    (tmp_path / "band.toml").write_text(f"{OTHER}gate = 9\n")
    stage.send("/style", "band", "now")
    await stage.loaded()
    [(about, state, bar, reason)] = stage.receipts
    assert (about, state, bar) == ("/componium/style", "refused", 0.0)
    assert reason.startswith("band.toml: parts.low drums.gate, line 15: expected a number")
    assert stage.player.scene is scene
    assert stage.player.playing
    (tmp_path / "band.toml").write_text(OTHER)
    await stage.pass_time(SECOND)
    stage.send("/style", "band", "now")
    await stage.loaded()
    assert stage.receipts[-1][1] == "done", "mended, it is read again"
    stage.send("/scene", "folk", "now")
    await stage.loaded()
    stage.send("/style", "band", "now")
    await stage.loaded()
    assert stage.receipts[-1][1] == "done", "whatever scene plays, from wherever it is"
    assert stage.player.scene is not None
    assert (stage.player.scene.name, stage.player.scene.style) == ("folk", "band")


async def test_a_style_alone_may_be_asked_for_as_a_scene(stage: Stage) -> None:
    stage.send("/scene", "folk", "now")
    await stage.loaded()
    assert stage.player.scene is not None
    assert (stage.player.scene.name, stage.player.scene.style) == ("folk", "folk")
    stage.send("/style", "jazz", "now")
    await stage.loaded()
    assert (stage.player.scene.name, stage.player.scene.style) == ("folk", "jazz")
    assert "picking" not in {part.name for part in stage.player.scene.parts}


async def test_another_style_keeps_the_themes_that_the_seed_invented(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "songs.toml").write_text("[themes.home]\nnotes = '1:1/2 5:1/2'\n")
    tables = "[themes]\nfile = 'songs.toml'\n[themes.free]\n"
    (tmp_path / "mine.toml").write_text(f"style = 'folk'\n{tables}")
    stage.send("/scene", "mine", "now")
    await stage.loaded()
    stage.send("/seed", 7, "now")
    assert stage.player.scene is not None
    before = stage.player.scene.themes(stage.player.scene.seed)
    stage.send("/style", "jazz", "now")
    await stage.loaded()
    scene = stage.player.scene
    assert (scene.style, scene.seed) == ("jazz", 7)
    assert scene.themes(scene.seed) == before
    [tune, *_] = [part.engine for part in scene.parts if isinstance(part.engine, ThemeEngine)]
    assert tune.themes == before


@pytest.mark.parametrize(
    "name", ["nowhere", "../first", "/etc/passwd", "first.toml", "", ".", "a\0b", "*", "x" * 900]
)
async def test_only_listed_scenes_can_be_asked_for(stage: Stage, name: str) -> None:
    stage.send("/scene", name)
    await stage.loaded()
    assert [receipt[1] for receipt in stage.receipts] == ["refused"]
    assert "no scene is called" in stage.receipts[0][3]


async def test_while_one_scene_loads_only_the_newest_wish_waits(stage: Stage) -> None:
    for name in ("first", "other", "first", "other"):
        stage.desk.receive("/componium/scene", (name, "now"), stage.source)
    await stage.loaded()
    states = [receipt[1] for receipt in stage.receipts]
    assert states == ["superseded"] * 3 + ["done"]
    assert stage.player.scene is not None
    assert stage.player.scene.name == "other"


@pytest.mark.parametrize("what", ["", "scene", "style", "/componium/scene"])
async def test_a_scene_that_is_being_loaded_can_be_called_off(stage: Stage, what: str) -> None:
    before = stage.player.scene
    stage.send("/scene", "other", "now")
    await asyncio.sleep(0)
    told = stage.send("/cancel", what)
    assert told[0][:2] == ("/componium/scene", "cancelled")
    assert told[1][1:] == ("done", 1.0, "1 called off")
    await stage.loaded()
    assert stage.player.scene is before
    stage.clock.jump(SECOND)
    stage.send("/scene", "other", "now")
    stage.send("/seed", 7, "now")
    assert [receipt[:2] for receipt in stage.send("/cancel", "seed")] == [
        ("/componium/seed", "cancelled"),
        ("/componium/cancel", "done"),
    ]
    await stage.loaded()
    assert stage.player.scene is not None and stage.player.scene.name == "other"
    assert stage.player.scene.seed == 1821


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ("/componium/emotion", {"emotion"}),
        ("emotion", {"emotion"}),
        ("/componium/tension", {"tension"}),
        ("mood", {"emotion", "tension"}),
        ("", {"emotion", "tension"}),
    ],
)
async def test_what_was_sent_to_an_address_is_called_off_alone(
    stage: Stage, what: str, gone: set[str]
) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    stage.send("/emotion", "angry", 8)
    stage.send("/tension", 0.9, 4)
    told = stage.send("/cancel", what)
    assert {each[0].rpartition("/")[2] for each in told if each[1] == "cancelled"} == gone


async def test_a_style_or_rules_asked_for_just_before_a_scene_for_later_still_come(
    stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "first.toml").write_text(SCENE)
    (tmp_path / "band.toml").write_text(OTHER)
    stage.send("/play")
    await stage.pass_time(500 * MS)
    stage.receipts.clear()
    source = replace(stage.source, role="edit")
    stage.desk.receive("/componium/style", ("band", "bar"), source)
    stage.desk.receive("/componium/part/melody/rules", ("S -> G", "now"), source)
    stage.desk.receive("/componium/scene", ("other", "in 4 bars"), source)
    await stage.loaded()
    done = [(about, state) for about, state, *_ in stage.receipts]
    assert ("/componium/style", "superseded") not in done
    assert done[-1] == ("/componium/scene", "armed")
    await stage.pass_time(4 * SECOND)
    assert stage.player.scene is not None and stage.player.scene.style == "band"
    await stage.pass_time(10 * SECOND)
    assert stage.player.scene.name == "other"
    assert [receipt[1] for receipt in stage.receipts if receipt[0] == "/componium/style"][-1] == (
        "done"
    )


async def test_a_style_has_parts_and_no_style_of_its_own(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "band.toml").write_text(OTHER)
    (tmp_path / "dressed.toml").write_text("style = 'folk'\n[parts.more]\nmute = true\n")
    (tmp_path / "walk.toml").write_text("engine = 'grammar'\nrules = 'S -> I:1/1'\n")
    stage.send("/play")
    for name in ("dressed", "walk"):
        stage.send("/style", name, "now")
        await stage.loaded()
        [(_, state, _, reason)] = stage.receipts
        assert state == "refused" and f"no style is called '{name}'" in reason
        assert "band" in reason
        await stage.pass_time(SECOND)


async def test_only_what_can_be_armed_can_be_called_off(stage: Stage) -> None:
    [(_, state, _, reason)] = stage.send("/cancel", "wobble")
    assert state == "refused"
    assert "'wobble' is nothing that can be armed; there are tempo, scene, seed, mood" in reason
    for what in ("", "mood", "emotion", "part", "part/melody/mute", "/componium/tempo"):
        assert stage.send("/cancel", what)[0][1:] == ("done", 1.0, "0 called off")
    assert stage.send("/cancel", "/componium/play")[0][1] == "refused"


async def test_saving_tells_when_it_is_done(stage: Stage) -> None:
    saving: list[Callable[[str, str], None]] = []
    desk = Desk(stage.player, stage.desk._load, None, saving.append)
    source = replace(stage.source, role="edit")
    desk.receive("/componium/feedback/save", (), source)
    assert stage.receipts == []
    saving[0]("done", "to here")
    assert stage.receipts == [("/componium/feedback/save", "done", 1.0, "to here")]


async def test_closing_the_desk_gives_up_what_is_being_loaded(stage: Stage) -> None:
    before = stage.player.scene
    stage.send("/scene", "other", "now")
    await asyncio.sleep(0)
    stage.desk.close()
    await stage.loaded()
    await asyncio.get_running_loop().shutdown_default_executor()  # what was read has been read
    assert stage.player.scene is before


async def test_a_folder_that_cannot_be_read_is_a_refusal(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden() -> dict[str, Path]:
        raise PermissionError("not yours")

    monkeypatch.setattr(stage.desk, "scenes", forbidden)
    stage.send("/scene", "other", "now")
    await stage.loaded()
    assert [receipt[1] for receipt in stage.receipts] == ["refused"]
    assert "not yours" in stage.receipts[0][3]


async def test_a_bounced_button_counts_once(stage: Stage) -> None:
    for apart, states in ((249, ["done"]), (250, ["done", "done"])):
        stage.send("/scene", "other", "now")
        await stage.loaded()
        stage.clock.jump(apart * MS)
        stage.desk.receive("/componium/scene", ("other", "now"), stage.source)
        await stage.loaded()
        assert [receipt[1] for receipt in stage.receipts] == states
        stage.clock.jump(250 * MS)


async def test_the_same_command_of_another_sender_counts(stage: Stage) -> None:
    stage.send("/scene", "other", "now")
    stage.desk.receive("/componium/scene", ("other", "now"), stage.sender("osc 127.0.0.1:5001"))
    await stage.loaded()
    assert [receipt[1] for receipt in stage.receipts] == ["superseded", "done"]


async def test_every_packet_twice_is_every_packet_once(tmp_path: Path) -> None:
    packets: list[tuple[str, tuple[object, ...]]] = [
        ("/play", ()),
        ("/tempo", (140.0, 4.0)),
        ("/part/melody/mute", (1,)),
        ("/seed", (7, "now")),
        ("/part/melody/octave", (1, "bar")),
        ("/part/melody/mute", (0, "bar")),
    ]
    heard = []
    for times in (1, 2):
        stage = Stage()
        for address, args in packets:
            for _ in range(times):
                stage.send(address, *args)
            await stage.pass_time(300 * MS)
        await stage.pass_time(SECOND)
        scene = stage.player.scene
        assert scene is not None
        tempo = stage.player.timeline.tempo_at(stage.player.now_beat)
        heard.append((scene.seed, tempo, stage.player.strips(), stage.player.now_beat))
    assert heard[0] == heard[1]


async def test_a_new_seed_begins_the_scene_anew(stage: Stage) -> None:
    stage.send("/play")
    await stage.pass_time(500 * MS)
    assert stage.send("/seed", 7)[0][1:3] == ("armed", 2.0)
    await stage.pass_time(2 * SECOND)
    assert stage.player.scene is not None
    assert stage.player.scene.seed == 7
    assert stage.send("/seed", 7)[0][1] == "done"
    _, state, _, reason = stage.send("/seed", -5)[0]
    assert (state, reason) == (
        "refused",
        "seed: expected a whole number from 0 to 9223372036854775807, got -5",
    )


async def test_a_part_that_fails_in_rehearsal_is_refused(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: object, until: object) -> object:
        raise ZeroDivisionError("in rehearsal")

    monkeypatch.setattr("server.ensemble.agenda.Agenda.plan", fails)
    scene: Scene | None = stage.player.scene
    stage.send("/scene", "other", "now")
    await stage.loaded()
    assert stage.receipts[0][1] == "refused"
    assert stage.player.scene is scene


# Complaints ---------------------------------------------------------------------------------


async def test_componiums_own_messages_are_not_answered(stage: Stage) -> None:
    for address in ("/receipt", "/beat", "/part/low_drums/note", "/transport"):
        assert stage.send(address, 1) == []
    assert "does an output lead back" in stage.troubles[0]


def test_complaints_come_at_most_once_in_five_seconds_and_lose_no_count() -> None:
    told: list[Troubled] = []
    now = 0
    complaints = Complaints(told.append, lambda: now)
    for _ in range(100):
        complaints.add("refused", "no")
    complaints.add("muted", "loop")
    assert [trouble.text for trouble in told] == ["no", "loop"]
    now = 5 * SECOND - 1
    assert complaints.flush()
    assert len(told) == 2
    now += 1
    assert not complaints.flush()
    assert [trouble.text for trouble in told[2:]] == ["no (98 more refused since the last word)"]


async def test_what_is_told_of_a_message_is_one_printable_line(stage: Stage) -> None:
    stage.send("/scene", "evil\n\x1b[31m\0")
    await stage.loaded()
    stage.send("/tempo", "\r\n fake line")
    for text in [*stage.troubles, *(receipt[3] for receipt in stage.receipts)]:
        assert text.isprintable()
    assert plain("\ud800" + "x" * 1000) == " " + "x" * 499
