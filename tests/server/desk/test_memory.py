"""What outlives the program: written whole or not at all, and what it says is what was."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.conductor.mood import Mood
from server.desk.desk import Desk, Source
from server.desk.memory import (
    FARTHEST,
    Memory,
    State,
    bar_of,
    read_state,
    restore,
    state_of,
    write_state,
)
from server.journal import Troubled
from server.scene import parse_scene
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
    return Memory(desk, path, "piece", dict, told.append)


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
    state = state_of(desk, "piece", {})
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


def test_what_is_as_the_scene_has_it_is_not_written_down(tmp_path: Path) -> None:
    stage, desk = rig()
    stage.player.play()
    stage.go(5 * SECOND)
    state = state_of(desk, "piece", {})
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
    (old.parent / "state.json.new").mkdir()  # in the way
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


VALUES = st.one_of(st.booleans(), st.integers(-(2**40), 2**40), st.text(max_size=20))


@given(
    st.builds(
        State,
        *(st.text(max_size=9) for _ in range(3)),
        st.integers(0, 2**63 - 1),
        st.integers(0, 9999),
        st.text(max_size=9),
        st.integers(1, 99),
        st.lists(st.tuples(st.text(max_size=9), st.lists(VALUES).map(tuple))).map(tuple),
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
    state = state_of(desk, "piece", {})
    assert state is not None
    _, other = rig()
    other.midi.mappings.load(State.read(json.loads(json.dumps(state.data()))).maps)
    assert other.midi.mappings.board.specs == desk.midi.mappings.board.specs
    assert len(other.midi.mappings.board.specs) == 1
