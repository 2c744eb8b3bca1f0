"""Knobs, encoders, pads: from messages to values. Pure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engines.base import Mistake
from server.score.mapping import (
    MODES,
    Board,
    Knob,
    MapSpec,
    Moved,
    Range,
    Reader,
    Trigger,
    from_data,
    read_maps,
    to_data,
)
from server.score.table import read

CC = Trigger("cc", 21, 1, "keys")
TEMPO = Range(20, 999, "f", None)


def cc(value: int) -> Moved:
    return Moved(CC, value / 127, value)


def at(now: float | None, low: float = 0, high: float = 1, kind: str = "f") -> Range:
    return Range(low, high, kind, now)


@given(
    st.lists(st.binary(min_size=2, max_size=2), max_size=40),
    st.sampled_from([0x80, 0x90, 0xB0, 0xE0]),
)
def test_every_reading_is_within_range(pairs: list[bytes], kind: int) -> None:
    reader = Reader("keys")
    for first, second in pairs:
        moved = reader.read(bytes((kind, first & 127, second & 127)))
        assert len(moved) <= 2
        for each in moved:
            assert 0 <= each.value <= 1 and each.trigger.channel == 1


@given(st.integers(0, 31), st.integers(0, 16383))
def test_a_pair_of_controllers_has_fourteen_bits(number: int, value: int) -> None:
    reader = Reader("keys")
    reader.read(bytes((0xB2, number, value >> 7)))
    fine, _ = reader.read(bytes((0xB2, number + 32, value & 127)))
    assert fine.trigger == Trigger("cc14", number, 3, "keys")
    assert fine.raw == value and abs(fine.value - value / 16383) < 1 / 16383


@given(st.integers(0, 16383), st.integers(0, 16383))
def test_an_nrpn_is_four_messages(number: int, value: int) -> None:
    reader = Reader("keys")
    messages = ((99, number >> 7), (98, number & 127), (6, value >> 7), (38, value & 127))
    moved = [each for pair in messages for each in reader.read(bytes((0xB0, *pair)))]
    assert moved[-1][::2] == (Trigger("nrpn", number, 1, "keys"), value)


@pytest.mark.parametrize("start", [b"\xb0\x40", b"\xd0", b"\xe0\x00"])
def test_ends_and_middle_of_a_control_are_ends_and_middle(start: bytes) -> None:
    reader = Reader("keys")
    top = b"\xe0\x7f\x7f" if start[0] == 0xE0 else start + b"\x7f"
    whole = [reader.read(message)[0].value for message in (start + b"\0", start + b"\x40", top)]
    assert whole == [0, 0.5, 1]
    steps = [reader.read(start + bytes((value,)))[0].value for value in range(128)]
    assert steps == sorted(set(steps))


@given(st.lists(st.integers(0, 127), min_size=1), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_what_an_absolute_knob_sets_is_within_its_range(
    turns: list[int], low: float, high: float
) -> None:
    knob = Knob(MapSpec(CC, "/componium/tempo", low=low, high=high, pickup=False))
    for turn in turns:
        value = knob.turn(cc(turn), TEMPO)
        assert value is not None
        assert min(low, high) - 1e-6 <= value <= max(low, high) + 1e-6
    assert value == pytest.approx(low + turns[-1] / 127 * (high - low), abs=1e-6)


def test_a_knob_picks_the_value_up_when_it_comes_past() -> None:
    knob = Knob(MapSpec(CC, "/componium/tempo"))
    now = 0.5
    for turn in (0, 20, 40, 60):
        assert knob.turn(cc(turn), at(now)) is None
    value = knob.turn(cc(70), at(now))
    assert value == 70 / 127
    assert knob.turn(cc(127), at(value)) == 1
    # Somebody else has moved it: not again until it is met.
    assert knob.turn(cc(120), at(0.2)) is None
    assert knob.turn(cc(20), at(0.2)) == 20 / 127


def test_a_value_that_is_slow_to_follow_stays_in_hand() -> None:
    knob = Knob(MapSpec(CC, "/componium/mood"))
    assert knob.turn(cc(0), at(0.0)) == 0
    for turn, now in ((30, 0.0), (60, 0.0), (90, 0.1), (127, 0.4), (110, 0.8)):
        assert knob.turn(cc(turn), at(now)) == turn / 127


def test_turned_round_it_goes_the_other_way_and_whole_numbers_stay_whole() -> None:
    knob = Knob(MapSpec(CC, "/componium/part/bass/octave", invert=True, pickup=False))
    values = [knob.turn(cc(turn), at(None, -4, 4, "i")) for turn in (0, 64, 127)]
    assert values == [4, 0, -4]


@pytest.mark.parametrize(
    ("mode", "up", "down"), [("twos", 1, 127), ("offset", 65, 63), ("sign", 1, 65)]
)
def test_encoders_step_from_where_the_value_is(mode: str, up: int, down: int) -> None:
    knob = Knob(MapSpec(CC, "/componium/tempo", mode=mode, steps=10))
    assert knob.turn(cc(up), at(0.5)) == pytest.approx(0.6)
    assert knob.turn(cc(down), at(0.6)) == pytest.approx(0.5)
    assert knob.turn(cc(down), at(0.0)) == 0


def test_an_encoder_gets_through_whole_numbers_step_by_step() -> None:
    knob, now = Knob(MapSpec(CC, "/componium/octave", mode="twos", steps=100)), 0.0
    for _ in range(100):
        value = knob.turn(cc(1), at(now, -4, 4, "i"))
        assert value is not None
        now = value
    assert now == 4


def test_a_button_counts_once_until_it_is_let_go() -> None:
    knob = Knob(MapSpec(CC, "/componium/play", mode="button"))
    assert [knob.press(cc(value)) for value in (0, 127, 127, 0, 100)] == [
        *(False, True, False, False, True),
    ]


def test_the_more_particular_mapping_wins_and_a_new_one_takes_its_place() -> None:
    anywhere, here = MapSpec(Trigger("cc", 21), "/componium/a"), MapSpec(CC, "/componium/b")
    board = Board([anywhere, here])
    assert board.find(CC) and board.find(CC).spec is here  # type: ignore[union-attr]
    assert board.find(CC._replace(channel=2)).spec is anywhere  # type: ignore[union-attr]
    assert board.find(CC._replace(number=22)) is None
    assert board.take("/componium/b") == 1
    assert board.find(CC).spec is anywhere  # type: ignore[union-attr]


specs = st.builds(
    MapSpec,
    st.builds(
        Trigger, st.sampled_from(["cc", "note", "nrpn"]), st.integers(0, 127), st.integers(0, 16)
    ),
    st.sampled_from(["/componium/tempo", "/componium/part/bass/level"]),
    st.lists(st.one_of(st.floats(-9, 9), st.text(max_size=5)), max_size=3).map(tuple),
    low=st.one_of(st.none(), st.floats(-9, 9)),
    invert=st.booleans(),
    mode=st.sampled_from(MODES),
)


@given(specs)
def test_a_mapping_comes_back_from_a_file(spec: MapSpec) -> None:
    assert from_data(json.loads(json.dumps(to_data(spec)))) == spec


json_values: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*to_data(MapSpec(CC, "/a/b")), "odd"]), json_values))
@example({"low": ""})
def test_a_file_that_is_not_right_is_a_mistake_and_nothing_else(data: dict[str, Any]) -> None:
    whole = {**to_data(MapSpec(CC, "/a/b")), **data}
    with suppress(Mistake):
        assert isinstance(from_data(whole), MapSpec)


def test_a_scene_maps_and_says_what_is_wrong() -> None:
    text = '[map.filter]\ncc = 74\nto = "/componium/tempo"\nlow = 60\nhigh = 180\n'
    text += '[map.go]\nnote = 36\nchannel = 10\nto = "/componium/scene"\nargs = ["night"]\n'
    first, second = read(text, lambda top: _maps(top))
    assert first == MapSpec(Trigger("cc", 74), "/componium/tempo", low=60, high=180)
    assert second == MapSpec(Trigger("note", 36, 10), "/componium/scene", ("night",))
    for wrong, said in (
        ('[map.x]\nto = "/a/b"', "expected one of cc"),
        ('[map.x]\ncc = 128\nto = "/a/b"', "map.x.cc, line 2: expected 0 to 127"),
        ('[map.x]\ncc = 1\nto = "tempo"', "expected an address"),
        ('[map.x]\ncc = 1\nto = "/a/b"\nmode = "twice"', "map.x.mode"),
        ('[map.x]\ncc = 1\nto = "/a/b"\nmidi = 3', "nothing has this name here"),
    ):
        with pytest.raises(Mistake, match=said):
            read(wrong, lambda top: _maps(top))


def _maps(top: Any) -> Any:
    maps = read_maps(top.table("map"))
    top.end()
    return maps
