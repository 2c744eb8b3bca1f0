"""What outlives the program: written whole or not at all, and what it says is what was."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Fragment, Heard, Mistake, Past, Sound
from server.concert.journal import Troubled
from server.conductor.conductor import Asked
from server.conductor.mood import Mood
from server.desk.desk import Desk, Source
from server.desk.memory import (
    FARTHEST,
    Memory,
    State,
    bar_of,
    begin_afresh,
    claim,
    dressed,
    forget_oldest,
    go_on,
    learn,
    of_scene,
    read_state,
    restore,
    set_aside,
    standing,
    state_of,
    write_state,
)
from server.score.scene import parse_scene
from tests.server.band.test_keyboard import Band, phrase
from tests.server.model import SECOND
from tests.server.model import Stage as Rig

PIECE = """
tempo = 120
[controls]
wind = 0.25
[parts.tune]
engine = "grammar"
humanize = { time_ms = 10 }
rules = "S -> c1:1/8 | c2:1/8 | c3:1/4 | c5:1/8 | Rest:1/8"
[parts.bass]
engine = "grammar"
level = 0.8
rules = "S -> I:1/1 vi:1/1 IV:1/1 V7:1/1"
[outputs.out]
osc = "127.0.0.1:9000"
"""


def rig() -> tuple[Rig, Desk]:
    stage = Rig(parse_scene(PIECE, "piece"))
    return stage, Desk(stage.player, lambda name, style: stage.player.scene or _none())


def _none() -> Any:
    raise AssertionError


def remembered(desk: Desk, path: Path, troubles: list[Troubled] | None = None) -> Memory:
    told = troubles if troubles is not None else []
    return Memory(desk, path, "piece", told.append)


SET = [
    ("/componium/part/tune/level", (0.5,)),
    ("/componium/part/bass/mute", (True,)),
    ("/componium/control/wind", (0.75,)),
    ("/componium/mood", (0.6, -0.2, 0.0, "now")),
    ("/componium/tempo", (141.0,)),
]


def test_what_was_set_comes_back(tmp_path: Path) -> None:
    stage, desk = rig()
    stage.player.play()
    stage.go(3 * SECOND)
    for address, values in SET:
        desk.receive(address, values, Source("test"))
    stage.go(4 * SECOND)
    memory = remembered(desk, tmp_path / "state.json")
    tempo = stage.player.timeline.tempo_at(stage.player.now_beat)
    bar = stage.player.moment(stage.player.now_beat).bar
    memory.close()

    state = read_state(tmp_path / "state.json", "piece")
    assert state is not None and state.bar == bar
    later, other = rig()
    for _ in later.player.stand(state.bar):
        pass
    restore(other, state)
    assert not [each for each in later.entries if isinstance(each, Troubled)]
    later.player.resume()
    later.go(SECOND // 2)
    assert later.player.strips() == stage.player.strips()
    assert later.player.setting is not None
    assert later.player.setting.values == {"wind": 0.75}
    mood = later.player.setting.conductor.moods.at(later.player.now_beat)
    assert mood == Mood(0.6, -0.2)
    assert later.player.timeline.tempo_at(later.player.now_beat) == pytest.approx(tempo)
    assert later.player.moment(later.player.now_beat).bar == bar


def test_a_mood_goes_on_to_where_it_was_heading(tmp_path: Path) -> None:
    stage, desk = rig()
    stage.player.play()
    stage.go(SECOND)
    desk.receive("/componium/mood", (-0.8, 0.4, 16.0, "now"), Source("test"))
    stage.go(8 * SECOND)
    state = state_of(desk, "piece")
    assert state is not None and stage.player.setting is not None
    here = stage.player.setting.conductor.moods.at(stage.player.now_beat)
    later, other = rig()
    for _ in later.player.stand(state.bar):
        pass
    restore(other, state)
    later.player.resume()
    later.go(SECOND // 10)
    assert later.player.setting is not None
    moods = later.player.setting.conductor.moods
    assert moods.at(later.player.now_beat).valence == pytest.approx(here.valence, abs=0.05)
    assert moods.target.mood == Mood(-0.8, 0.4)
    assert moods.target.beat > later.player.now_beat


def troubles(stage: Rig) -> list[str]:
    return [each.text for each in stage.entries if isinstance(each, Troubled)]


WAITING = [
    ("/componium/tempo", (90.0, 0.0), 3),
    ("/componium/part/tune/mute", (True,), 2),
    ("/componium/control/wind", (0.75,), 4),
    ("/componium/mood", (0.5, 0.5, 0.0), 2),
    ("/componium/key", ("D dorian",), 5),
    ("/componium/scene", ("house",), 9),
]


async def test_what_was_armed_is_armed_again_and_lands_where_it_would_have() -> None:
    def music(stage: Rig) -> list[tuple[Any, ...]]:
        played = [e for e in stage.played if 6 <= e.moment.bar <= 7]
        return sorted((e.moment.bar, e.moment.beat, e.note.pitch) for e in played)

    stage, desk = rig()
    stage.player.play()
    stage.go(8 * SECOND + SECOND // 8)  # just into bar 5
    for address, values, bars in WAITING:
        desk.receive(address, (*values, f"bar {5 + bars}"), Source("test"))
    while desk.loading:
        await asyncio.sleep(0)
    state = state_of(desk, "piece")
    assert state is not None and state.bar == 5
    kept = {each[0] for each in state.armed} | {
        *(f"/componium/{each.what}" for each in state.asked),
        *(address for address, _ in state.commands),
    }
    assert {address for address, *_ in WAITING} <= kept
    assert ("/componium/part/tune/mute", (True, "now")) not in state.commands, "not yet"
    assert State.read(json.loads(json.dumps(state.data()))) == state

    again, other = rig()
    for _ in standing(again.player, state):
        pass
    restore(other, state)
    await go_on(other, state)
    again.go(SECOND // 8)
    after = state_of(other, "piece")
    assert after is not None and (after.armed, after.asked) == (state.armed, state.asked)
    for each in (stage, again):
        each.go(8 * SECOND)
    assert again.player.strips()["tune"].mute
    assert {bar for bar, *_ in music(again)} == {6, 7}
    assert music(again) == music(stage)
    assert again.player.base_tempo == stage.player.base_tempo
    assert not again.player.strips()["bass"].mute
    assert not troubles(again)


async def test_scenes_that_were_armed_for_several_moments_all_wait_again() -> None:
    waiting = (
        ("/componium/scene", ("waltz",), 4),
        ("/componium/seed", (9,), 5),
        ("/componium/style", ("jazz",), 6),
        ("/componium/scene", ("folk",), 8),
    )
    stage, desk = rig()
    stage.player.play()
    stage.go(SECOND)
    for address, values, bars in waiting:
        desk.receive(address, (*values, f"bar {1 + bars}"), Source("test"))
        await desk.loaded()
    state = state_of(desk, "piece")
    assert state is not None and state.armed == waiting
    again, other = rig()
    for _ in standing(again.player, state):
        pass
    restore(other, state)
    await go_on(other, state)
    after = state_of(other, "piece")
    assert after is not None and after.armed == waiting
    assert not troubles(again)


async def test_where_nothing_goes_on_what_was_armed_is_told_as_dropped() -> None:
    stage, desk = rig()
    begin_afresh(desk, State("piece", "piece", "", 1, armed=(("/componium/tempo", (90.0,), 3),)))
    assert troubles(stage) == ["armed no more: /componium/tempo"]
    await go_on(desk, State("piece", "piece", "", 1, armed=(("/componium/nothing", (), 3),)))
    assert any("armed no more: /componium/nothing: " in each for each in troubles(stage))


def test_what_is_as_the_scene_has_it_is_not_written_down(tmp_path: Path) -> None:
    stage, desk = rig()
    stage.player.play()
    stage.go(5 * SECOND)
    state = state_of(desk, "piece")
    assert state is not None
    assert state.commands == ()


@pytest.mark.parametrize("bar", [1, 2, 5])
def test_whoever_stands_at_a_bar_goes_on_as_if_all_before_had_been_played(bar: int) -> None:
    def notes(begin: Callable[[Rig], object]) -> list[tuple[Any, ...]]:
        stage, _ = rig()
        begin(stage)
        since = Fraction(4 * (bar - 1))
        stage.go_to(since + 16)
        return [
            (each.moment.beat, each.note.part, each.note.pitch, each.note.velocity)
            for each in stage.played
            if since <= each.moment.beat < since + 15
        ]

    def stand(stage: Rig) -> None:
        for _ in stage.player.stand(bar):
            pass
        stage.player.resume()

    straight = notes(lambda stage: stage.player.play())
    assert len(straight) > 20
    assert notes(stand) == straight


def test_it_is_written_every_few_bars_by_itself(tmp_path: Path) -> None:
    stage, desk = rig()
    memory = remembered(desk, tmp_path / "state.json")
    stage.player.play()
    stage.go(7 * SECOND)
    memory._aside.close(5)
    state = read_state(tmp_path / "state.json", "piece")
    assert state is not None and state.bar == 4
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


WRONG = {
    "no JSON": b"{",
    "no state": b'{"format": "componium taste 1"}',
    "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "of another scene": json.dumps({"format": "componium state 1", "began": "other"}).encode(),
    "a command that is none": json.dumps(
        {"format": "componium state 1", "began": "piece", "commands": [["/x", {"a": 1}]]}
    ).encode(),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_or_foreign_file_is_refused_and_left_alone(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(data)
    with pytest.raises(Mistake, match="state"):
        read_state(path, "piece")
    assert path.read_bytes() == data


def test_what_cannot_be_written_leaves_the_old_one_and_is_told_once(tmp_path: Path) -> None:
    stage, desk = rig()
    stage.player.play()
    stage.go(SECOND)
    old = tmp_path / "folder" / "state.json"
    old.parent.mkdir()
    write_state(old, State("piece", "piece", "", 7))
    before = old.read_bytes()
    (old.parent / f"state.json.{os.getpid()}.new").mkdir()  # in the way
    troubles: list[Troubled] = []
    memory = remembered(desk, old, troubles)
    memory.keep()
    memory.close()
    assert old.read_bytes() == before
    assert [each.source for each in troubles] == ["state"]


def test_what_a_state_asks_for_that_is_not_there_any_more_is_told_in_one_word() -> None:
    stage, desk = rig()
    commands = (("/componium/part/lute/mute", (True,)), ("/nowhere", (1,)), SET[0])
    restore(desk, State("piece", "piece", "", 1, commands=commands))
    [trouble] = [
        each for each in stage.entries if isinstance(each, Troubled) and each.source == "state"
    ]
    assert "lute" in trouble.text and "1 more" in trouble.text
    assert stage.player.strips()["tune"].level == 0.5


def test_far_away_it_goes_on_from_a_bar_like_the_one_where_it_was() -> None:
    state = State("piece", "piece", "", 1, 5000, "chorus", 3)

    def section_at(bar: int) -> tuple[str, int]:
        return (
            ("verse", (bar - 1) % 16 + 1) if (bar - 1) % 16 < 8 else ("chorus", (bar - 1) % 8 + 1)
        )

    bar = bar_of(state, section_at)
    assert bar <= FARTHEST and section_at(bar) == ("chorus", 3)
    assert bar_of(State("piece", "piece", "", 1, 17), section_at) == 17


TEXTS = st.text(max_size=9)
BEATS = st.fractions(0, 4096, max_denominator=10**6)
SOUNDS = st.builds(Sound, BEATS, BEATS, st.integers(0, 127), st.floats(0, 1), st.integers(0, 1023))
PHRASES = st.builds(Heard, BEATS, st.builds(Fragment, BEATS, st.lists(SOUNDS).map(tuple)))
PASTS = st.lists(PHRASES, max_size=3).flatmap(
    lambda phrases: st.builds(Past, st.just(tuple(phrases)), st.integers(len(phrases), 2**53))
)
VALUES = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=20))
ARMED = st.tuples(TEXTS, st.lists(VALUES).map(tuple), st.integers(1, 999))


@given(
    st.builds(
        State,
        *(st.text(max_size=9) for _ in range(3)),
        st.integers(0, 2**63 - 1),
        st.integers(0, 9999),
        st.text(max_size=9),
        st.integers(1, 99),
        st.lists(st.tuples(st.text(max_size=9), st.lists(VALUES).map(tuple))).map(tuple),
        asked=st.lists(st.builds(Asked, st.integers(1, 9999), TEXTS, TEXTS)).map(tuple),
        armed=st.lists(ARMED).map(tuple),
        rules=st.dictionaries(TEXTS, st.text()),
        themes=st.text(),
        learnt=st.dictionaries(TEXTS, st.dictionaries(TEXTS, PASTS, max_size=2), max_size=2),
        ended=st.booleans(),
    )
)
def test_a_state_read_is_the_one_written(state: State) -> None:
    assert State.read(json.loads(json.dumps(state.data()))) == state


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = ["began", "scene", "style", "seed", "bar", "section", "section_bar", "commands", "maps"]
KEYS += ["asked", "armed", "rules", "themes", "learnt", "ended"]


@given(JSON | st.dictionaries(st.sampled_from([*KEYS, "taste"]), JSON))
def test_whatever_a_file_says_is_a_state_or_a_mistake(data: Any) -> None:
    if isinstance(data, dict):
        data["format"] = "componium state 1"
    try:
        state = State.read(data)
    except Mistake:
        return
    assert 0 <= state.seed < 2**63 and state.bar >= 0


def test_mappings_are_among_it(tmp_path: Path) -> None:
    _, desk = rig()
    knob = {"kind": "cc", "number": 7, "channel": 1, "to": "/componium/tempo"}
    desk.midi.mappings.load([knob])
    state = state_of(desk, "piece")
    assert state is not None
    _, other = rig()
    other.midi.mappings.load(State.read(json.loads(json.dumps(state.data()))).maps)
    assert other.midi.mappings.board.specs == desk.midi.mappings.board.specs
    assert len(other.midi.mappings.board.specs) == 1


BAND = """
tempo = 120
phrase = 4
[inputs.keys]
midi = "virtual"
[controls]
wind = 0.25
[themes.home]
notes = "1:1/1 1:1/1 1:1/1 1:1/1"
[form]
plan = "verse verse chorus"
[form.sections.verse]
bars = 4
[form.sections.chorus]
bars = 4
[form.sections.bridge]
bars = 8
[parts.tune]
engine = "theme"
plan = "state state state state"
[parts.bass]
engine = "grammar"
rules = "S -> I:1/1 vi:1/1 IV:1/1 V7:1/1"
[parts.answer]
engine = "continuator"
listens = ["keys"]
[outputs.out]
osc = "127.0.0.1:9000"
"""


def band(text: str = BAND, play: bool = True) -> tuple[Band, Desk]:
    made = Band(text, play)
    return made, Desk(made.player, lambda name, style: _none(), keyboard=made.keyboard)


def had_from(state: State, text: str = BAND) -> tuple[Band, Desk]:
    """A band as `play --resume` has it."""
    made, desk = band(text, play=False)
    scene, lost = dressed(State.read(json.loads(json.dumps(state.data()))), parse_scene(text))
    lost += learn(made.player, state)
    made.player.cue(scene)
    for _ in standing(made.player, state):
        pass
    restore(desk, state, lost)
    return made, desk


def performed() -> tuple[Band, Desk]:
    """A band of which all is asked that can be."""
    made, desk = band()
    made.go(SECOND)
    phrase(made)
    made.go(2 * SECOND)
    for address, values in (
        ("/componium/key", ("E dorian", "bar")),
        ("/componium/section", ("bridge", "bar")),
        ("/componium/likeness", (0.3, "now")),
        ("/componium/part/bass/mute", (True,)),
        ("/componium/control/wind", (0.5,)),
        ("/componium/mood", (0.5, 0.25, 0.0, "now")),
        ("/componium/tension", (0.75, 0.0, "now")),
        ("/componium/theme/record", ("mine", 1)),
        ("/componium/feedback", (1,)),
    ):
        desk.receive(address, values, Source("test", "edit"))
    assert made.player.scene is not None
    rewritten = made.player.scene.rewritten("bass", "S -> I:1/2 V:1/2")
    made.player.rewrite("bass", rewritten)
    made.go_to(Fraction(12))
    made.go(20_000_000)
    phrase(made)
    made.go_to(Fraction(41))
    assert not [each for each in made.entries if isinstance(each, Troubled)]
    return made, desk


def test_a_band_had_from_a_state_is_the_band_that_it_is_of() -> None:
    made, desk = performed()
    state = state_of(desk, "scene")
    assert state is not None and state.themes and state.rules and state.learnt and state.taste
    assert {each.what for each in state.asked} == {"key", "section"}
    later, other = had_from(state)
    assert not [each for each in later.entries if isinstance(each, Troubled)]
    assert state_of(other, "scene") == state
    assert later.player.setting is not None and made.player.setting is not None
    both = made.player.setting.conductor, later.player.setting.conductor
    for bar in range(3, 60):
        old, new = (each.bar(bar) for each in both)
        assert (old.key, old.section.spec.name) == (new.key, new.section.spec.name), bar
    later.player.resume()
    later.go(SECOND)
    later.player.stop()
    assert later.player.scene is not None
    assert [each.name for each in later.player.scene.taught] == ["mine"]
    assert later.player.scene.rules("bass") == "S -> I:1/2 V:1/2"


def test_a_continuator_answers_after_a_restart_as_it_would_have_without_one() -> None:
    def answer(made: Band) -> list[tuple[int, float]]:
        since = len(made.played)
        for pitch, velocity in ((65, 30), (60, 90), (67, 60)):
            made.key(pitch, 200, velocity)
        made.go(4 * SECOND)
        return [
            (each.note.pitch, each.note.velocity)
            for each in made.played[since:]
            if each.note.part == "answer"
        ]

    made, desk = band()
    made.go(SECOND)
    for _ in range(3):
        phrase(made)
        made.go(2 * SECOND)
    made.go_to(Fraction(24))
    state = state_of(desk, "scene")
    assert state is not None
    later, _ = had_from(state)
    later.player.resume()
    later.go_to(Fraction(25))
    straight = answer(made)
    assert len(straight) > 1
    assert answer(later) == straight


def test_what_was_played_is_known_when_the_piece_begins_anew() -> None:
    made, _ = band()
    made.go(SECOND)
    phrase(made)
    made.go(2 * SECOND)
    made.player.stop()
    made.player.play()
    made.go(2 * SECOND)
    since = len(made.played)
    made.go(SECOND)
    assert not [each for each in made.played[since:] if each.note.part == "answer"], "not asked"
    made.key(60, 150, 40)
    made.go(2 * SECOND)
    answer = [each.note.pitch for each in made.played[since:] if each.note.part == "answer"]
    assert set(answer) & {64, 67, 72}, "it has forgotten what was played before"


def test_of_a_scene_that_has_changed_what_fits_comes_back_and_the_rest_is_told() -> None:
    _, desk = performed()
    state = state_of(desk, "scene")
    assert state is not None
    other = BAND.replace("[parts.bass]", "[parts.low]").replace("bridge", "middle")
    later, there = had_from(state, other)
    told = [each.text for each in later.entries if isinstance(each, Troubled)]
    assert "bridge" in told[0]
    assert told[-1].startswith("not as it was: parts.bass") and "1 more" in told[-1]
    again = state_of(there, "scene")
    assert again is not None
    assert (again.bar, again.themes, again.learnt) == (state.bar, state.themes, state.learnt)
    assert {each.what for each in again.asked} == {"key"}


def test_what_is_no_state_is_left_alone_and_what_is_a_broken_one_is_put_aside(
    tmp_path: Path,
) -> None:
    mine, other = tmp_path / "mine.json", tmp_path / "song.toml"
    mine.write_text('{"format": "componium state 1", "began": 7}')
    other.write_text("tempo = 120")
    assert set_aside(mine) == tmp_path / "mine.json.old"
    assert set_aside(other) is None
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine.json.old", "song.toml"]


def test_a_performance_that_begins_afresh_spares_the_one_before_for_some_bars(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.json"
    write_state(path, State("piece", "piece", "", 7, 12))
    for seconds, seed in ((3, 7), (9, 1821)):
        stage, desk = rig()
        memory = Memory(desk, path, "piece", lambda trouble: None, afresh=True)
        stage.player.play()
        stage.go(seconds * SECOND)
        memory.close()
        state = read_state(path, "piece")
        assert state is not None and state.seed == seed
        assert state.ended == (seed != 7)


@pytest.mark.parametrize(
    "line",
    ["", "1", "1 1, 0 1 60", "1 1, 0 1 600 1.0 0", "1e9999999 1", "0 1, 0 1 6 nan 0", "1/0 1"],
)
def test_a_phrase_that_makes_no_sense_is_a_mistake(line: str) -> None:
    data = {"format": "componium state 1", "learnt": {"a": {"b": {"number": 1, "phrases": [line]}}}}
    with pytest.raises(Mistake, match="phrase"):
        State.read(data)


def test_the_states_of_the_latest_scenes_are_kept_and_those_with_a_name(tmp_path: Path) -> None:
    for age in range(6):
        path = tmp_path / of_scene(tmp_path / f"{age}.toml")
        for each in (path, path.with_name(f"{path.name}.old")):
            each.write_text("{}")
            os.utime(each, (1000 - age, 1000 - age))
        (path.with_suffix(".bands")).mkdir()
        (path.with_suffix(".bands") / "a b.json").write_text("{}")
    (tmp_path / "show.json").write_text("{}")
    os.utime(tmp_path / "show.json", (1, 1))
    forget_oldest(tmp_path, 2)
    kept = {each.name.partition("-")[0] for each in tmp_path.iterdir()}
    assert kept == {"0", "1", "show.json"}
    forget_oldest(tmp_path, 2)
    assert len(list(tmp_path.iterdir())) == 7


def test_of_two_that_run_one_has_the_state(tmp_path: Path) -> None:
    path = tmp_path / "states" / "level.json"
    first = claim(path)
    assert first is not None and claim(path) is None
    first.close()
    again = claim(path)
    assert again is not None
    again.close()
