"""The door's laws: what comes through it is finite, in range and of the right type."""

from __future__ import annotations

import struct
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.desk.tree import Argument, Node, Tree, shown
from server.ensemble.encode import whole
from tests.server.desk.rig import Stage

SMALLEST = struct.unpack(">d", b"\0\0\0\0\0\0\0\1")[0]
ABSURD = [nan, inf, -inf, -0.0, SMALLEST, 1e308, 2**63, -(2**63), 10**5000, -(10**5000)]
ABSURD += [True, False, "", "now", "x" * 5000, "\0\n\x1b[31m", None, b"\1\2", [], {}, object()]

numbers = st.one_of(st.integers(), st.floats(), st.booleans())
LEVEL = Argument("level", "f", "", 0, 2)
OCTAVE = Argument("octave", "i", "", -4, 4)
MUTE = Argument("mute", "T")


@given(numbers)
def test_a_number_is_refused_or_comes_out_finite_and_in_range(value: float) -> None:
    for argument, kind in ((LEVEL, float), (OCTAVE, int), (MUTE, bool)):
        try:
            read, _ = argument.read(value)
        except Mistake:
            assert isinstance(value, bool) or not isfinite(value)
        else:
            assert type(read) is kind
            assert argument.type == "T" or argument.low <= float(read) <= argument.high


@given(numbers)
def test_reading_twice_is_reading_once(value: float) -> None:
    for argument in (LEVEL, OCTAVE, MUTE):
        try:
            once, _ = argument.read(value)
        except Mistake:
            continue
        assert argument.read(once) == (once, "")


def test_a_number_outside_its_range_is_clamped_and_this_is_said() -> None:
    assert LEVEL.read(5) == (2.0, "level 5 was taken as 2")
    assert OCTAVE.read(-1e300) == (-4, "octave -1e+300 was taken as -4")
    assert OCTAVE.read(2.6) == (3, "")
    assert LEVEL.read(1.5) == (1.5, "")


def test_switches_take_numbers_and_truth_values() -> None:
    assert [MUTE.read(v)[0] for v in (True, 1, 0.5, 127)] == [True] * 4
    assert [MUTE.read(v)[0] for v in (False, 0, 0.49, -1)] == [False] * 4


def test_every_parameter_survives_every_absurd_value() -> None:
    stage = Stage()
    nodes = list(stage.desk.tree.nodes.values())
    assert len(nodes) == 37 + 2 * 6 + 1
    for node in nodes:
        for value in ABSURD:
            for args in ([value], [value, value], [1, value], [1, 1, value], [value] * 70):
                try:
                    call = node.read(args)
                except Mistake as mistake:
                    assert mistake.problem
                    continue
                for number in call.values if call else ():
                    assert isinstance(number, str) or isfinite(number)


def test_an_optional_argument_may_be_left_out_before_one_of_another_kind() -> None:
    tempo = Stage().desk.tree.nodes["/componium/tempo"]
    assert tempo.read([140]) == ((140.0, 0.0, "now"), "")
    assert tempo.read([140, "bar"]) == ((140.0, 0.0, "bar"), "")
    assert tempo.read([140, 8, "bar"]) == ((140.0, 8.0, "bar"), "")


MOMENTS = (
    "expected now, beat, bar, phrase, section, such as '4 bars', 'in 2 beats', 'beat 3', "
    "'bar 17' or 'cue NAME'"
)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "tempo: is missing; expected /componium/tempo tempo [beats] [when]"),
        (["fast"], "tempo: expected a number from 20 to 999, got 'fast'"),
        ([nan], "tempo: expected a number from 20 to 999, got nan"),
        ([120, 4, "bar", 1], "1 is one too many; expected /componium/tempo tempo [beats] [when]"),
        ([120, "soon"], f"when: {MOMENTS}, got 'soon'"),
    ],
)
def test_a_refusal_says_what_was_expected(args: list[object], words: str) -> None:
    with pytest.raises(Mistake) as caught:
        Stage().desk.tree.nodes["/componium/tempo"].read(args)
    assert str(caught.value) == words


def test_a_command_without_arguments_is_a_button() -> None:
    play = Stage().desk.tree.nodes["/componium/play"]
    assert play.read([]) is not None
    assert play.read([1.0]) is not None
    assert play.read([0.0]) is None
    with pytest.raises(Mistake):
        play.read(["loud"])


def test_the_tree_knows_how_far_an_address_leads() -> None:
    nodes = [Node(address, "", print) for address in ("/a/one", "/a/two/x", "/b")]
    tree = Tree(nodes)
    assert tree.below("") == ("a", "b")
    assert tree.below("/a") == ("one", "two")
    assert tree.lost("/a/two/y/z") == "there is no '/a/two/y/z'; /a/two has x"
    assert tree.lost("/c") == "there is no '/c'; / has a, b"
    assert tree.lost("nonsense") == "there is no 'nonsense'; / has a, b"


def test_nodes_say_what_other_transports_must_know() -> None:
    nodes = Stage().desk.tree.nodes
    mute, tempo = nodes["/componium/part/melody/mute"], nodes["/componium/tempo"]
    assert (mute.types, mute.access, mute.quantum) == ("Ts", 3, "now")
    assert (tempo.types, tempo.access, tempo.quantum) == ("ffs", 3, "now")
    assert nodes["/componium/scene"].quantum == "bar"
    assert (nodes["/componium/panic"].types, nodes["/componium/panic"].access) == ("", 2)
    assert all(node.about for node in nodes.values())


@given(st.one_of(st.text(), numbers, st.none(), st.binary()))
def test_whatever_came_in_is_shown_on_one_short_line(value: object) -> None:
    text = shown(value)
    assert text.isprintable()
    assert len(text) < 700


async def test_an_address_that_is_not_there_is_answered_with_the_one_that_is_meant() -> None:
    tree = Stage().desk.tree
    assert "did you mean 'tempo'? /componium has" in tree.lost("/componium/tmpo")
    assert "did you mean 'mute'? " in tree.lost("/componium/part/melody/mut")
    assert "did you mean" not in tree.lost("/componium/xyzzy")


@given(st.text())
def test_a_short_address_is_below_the_tree_and_a_whole_one_stays(name: str) -> None:
    assert whole(f"/componium/{name}") == f"/componium/{name}"
    assert whole(whole(f"/{name}")) == whole(f"/{name}")
    assert whole(f"/componiums/{name}") == f"/componium/componiums/{name}"
    assert whole(f"x{name}") == f"x{name}", "which is no address"
