"""Laws of the two interpretations: paths lose no time, and brackets divide it exactly."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import THINKING, Controls, Origin, Symbol
from engines.lsystem import LSystem
from engines.turtle import MAX_GROUP, nested_time, turtle_path

HILBERT = "X -> -YF+XFX+FY-\nY -> +XF-YFY-FX+"


def symbols(text: str, **args: float) -> list[Symbol]:
    """One symbol a character; a letter given as keyword has that parameter."""
    return [Symbol(name, args=(args[name],) if name in args else ()) for name in text]


def path(text: str, span: int = 14, step: str = "1/8", **args: float) -> str:
    notes = turtle_path(symbols(text, **args), Fraction(step), span)
    return " ".join(note.name for note in notes)


def times(text: str, step: str = "1/4") -> list[tuple[str, Fraction]]:
    made = [symbol.name for symbol in nested_time(symbols(text), Fraction(step))]
    return [(name, Fraction(value)) for name, value in zip(made[::2], made[1::2], strict=True)]


# -- turtle -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("F", "1:1/8"),
        ("FFF", "1:3/8"),
        ("FG", "1:1/4"),
        ("FxF", "1:1/4"),
        ("F+-F", "1:1/4"),
        ("+F-F", "2:1/8"),
        ("-F+F", "7,:1/8"),
        ("F+F-F", "1:1/8 2:1/8"),
        ("F+FF-F", "1:1/8 3:1/8"),
        ("F+f-F", "1:1/8 2:1/8"),
        ("F+F|F|-F", "1:1/8 1:1/8"),
        ("FffF", "1:1/8 Rest:1/4 1:1/8"),
        ("F|F", "1:1/8 1:1/8"),
        ("F++F", "1:1/8 1:1/8"),
        ("[+F-F]F", "2:1/8 1:1/8"),
        ("F[+FFF-F]F", "1:1/8 4:1/8 1:1/8"),
        ("F[+F]F", "1:1/8 1:1/8"),
        ("+FFFFFFF-F", "1':1/8"),
        ("-FFFFFFF+F", "1,:1/8"),
        ("-FFFFFFFF+F", "7,,:1/8"),
        ("+++F", ""),
        ("", ""),
    ],
)
def test_height_is_degree_and_length_is_duration(text: str, notes: str) -> None:
    assert path(text) == notes


def test_parameters_are_lengths() -> None:
    assert path("F", F=1.5) == "1:3/16"
    assert path("F", F=1 / 3) == "1:1/24"
    assert path("FG", F=0.5) == "1:3/16"
    assert path("+F-G", F=2.0) == "3:1/8"
    assert path("+F-G", F=-2.0) == "6,:1/8"
    assert path("F+G", F=-2.0) == "1:1/4"
    assert path("FG", F=0.0) == "1:1/8"
    assert path("F", F=1e300) == path("F", F=32.0) == "1:4/1"
    assert path("+F-G", F=1e300).endswith(":1/8")


def test_a_long_line_is_parted() -> None:
    assert path("F" * 70) == "1:4/1 1:4/1 1:3/4"
    assert path("FF", step="4") == "1:4/1 1:4/1"


def test_a_path_is_mirrored_where_its_span_ends() -> None:
    up = "+" + "F-F+" * 10
    assert path(up, span=3).replace(":1/8", "") == "2 3 4 3 2 1 7, 6, 5, 6,"
    down = up.translate(str.maketrans("+-", "-+"))
    assert path(down, span=2).replace(":1/8", "") == "7, 6, 7, 1 2 3 2 1 7, 6,"


@given(st.text("FGfg+-|x", max_size=60), st.integers(1, 20))
def test_no_time_is_lost_and_no_note_leaves_the_span(text: str, span: int) -> None:
    notes = [note.split(":") for note in path(text, span).split()]
    heading, sounding, silent = 0, 0, 0
    for name in text:
        heading = (heading + {"+": 1, "-": 3, "|": 2}.get(name, 0)) % 4
        sounding += name in "FG" and heading % 2 == 0
        silent += name in "fg" and heading % 2 == 0
    assert sum(Fraction(v) for d, v in notes if d != "Rest") == Fraction(sounding, 8)
    assert sum(Fraction(v) for d, v in notes if d == "Rest") == Fraction(silent, 8)
    for degree, _ in notes:
        if degree != "Rest":
            height = int(degree[0]) - 1 + 7 * (degree.count("'") - degree.count(","))
            assert -span <= height <= span


def hilbert(order: int) -> list[tuple[int, int]]:
    """The points of Hilbert's curve (1891) by quadrants, without turtle or rewriting."""
    if not order:
        return [(0, 0)]
    quarter, side = hilbert(order - 1), 2 ** (order - 1)
    return [
        *((y, x) for x, y in quarter),
        *((x, y + side) for x, y in quarter),
        *((x + side, y + side) for x, y in quarter),
        *((2 * side - 1 - y, side - 1 - x) for x, y in quarter),
    ]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_hilberts_curve_plays_its_horizontal_runs(order: int) -> None:
    points = hilbert(order)
    if points[1][0] == order % 2:  # as drawn by the rules: the first quadrants lie downwards
        points = [(y, x) for x, y in points]
    expected: list[list[int]] = []
    straight = False
    heading = 0
    for (x, y), (next_x, next_y) in pairwise(points):
        if y == next_y:
            if straight and next_x - x == heading:
                expected[-1][1] += 1
            else:
                expected.append([-y, 1])
            heading = next_x - x
        straight = y == next_y
    system = LSystem("X", HILBERT, order, after="stop", interpret="turtle", span=70)
    heard = []
    for note in system.symbols(Random(0), Controls()):
        degree, value = note.name.split(":")
        height = int(degree[0]) - 1 + 7 * (degree.count("'") - degree.count(","))
        heard.append([height, int(Fraction(value) * 8)])
    assert heard == expected


def test_each_generation_begins_where_the_first_did() -> None:
    system = LSystem("F+F-F", "", 0, interpret="turtle")
    notes = [note.name for note in islice(system.symbols(Random(0), Controls()), 4)]
    assert notes == ["1:1/8", "2:1/8", "1:1/8", "2:1/8"]


def test_a_note_has_the_origin_of_its_first_line() -> None:
    first, second = Origin(), Origin()
    notes = turtle_path([Symbol("F", first), Symbol("F", second)], Fraction(1, 8), 14)
    assert [note.origin for note in notes] == [first]
    system = LSystem("F", "F -> +F-F", 2, after="stop", interpret="turtle")
    origins = [str(note.origin) for note in system.symbols(Random(0), Controls())]
    assert origins[0] == "gen 2: F -> +F-F (line 1) < F < axiom"


def test_a_system_that_draws_too_seldom_thinks() -> None:
    system = LSystem("+F", "+ -> ++", 17, interpret="turtle")
    heard = list(islice(system.symbols(Random(0), Controls()), 40))
    assert THINKING in heard and "1:1/8" in {note.name for note in heard}


def test_work_that_is_heard_of_needs_no_thinking() -> None:
    system = LSystem("X", HILBERT, 9, interpret="turtle")
    assert THINKING not in list(islice(system.symbols(Random(0), Controls()), 20_000))


# -- time -------------------------------------------------------------------------------


def test_brackets_divide_the_time_of_one_symbol() -> None:
    fourth, eighth = Fraction(1, 4), Fraction(1, 8)
    assert times("AB") == [("A", fourth), ("B", fourth)]
    assert times("A[BC]") == [("A", fourth), ("B", eighth), ("C", eighth)]
    twelfth, sixtieth = Fraction(1, 12), Fraction(1, 60)
    assert times("[AB[CDEFG]]") == [
        ("A", twelfth), ("B", twelfth), *[(name, sixtieth) for name in "CDEFG"],
    ]  # fmt: skip
    assert times("[[A]]") == [("A", fourth)]


def test_an_empty_group_is_a_rest() -> None:
    assert times("A[]") == [("A", Fraction(1, 4)), ("Rest", Fraction(1, 4))]
    assert times("[A[]]") == [("A", Fraction(1, 8)), ("Rest", Fraction(1, 8))]


def test_values_are_written_as_fractions_of_a_whole_note() -> None:
    made = [symbol.name for symbol in nested_time(symbols("A[BCD]"), Fraction(1))]
    assert made == ["A", "1/1", "B", "1/3", "C", "1/3", "D", "1/3"]


NESTED = st.recursive(
    st.text("AB", max_size=3),
    lambda inner: st.builds("{}[{}]{}".format, st.text("AB", max_size=2), inner, inner),
    max_leaves=8,
)


@given(NESTED)
def test_groups_last_as_long_as_symbols(text: str) -> None:
    level = elements = 0
    for name in text:
        elements += not level and name != "]"
        level += (name == "[") - (name == "]")
    assert sum(value for _, value in times(text)) == elements * Fraction(1, 4)


def test_a_group_too_large_is_cut_and_fills_its_time() -> None:
    cut = times(f"[{'A' * 5000}]B")
    assert len(cut) == MAX_GROUP
    assert sum(value for _, value in cut) == Fraction(1, 2)
    assert cut[-1] == ("B", Fraction(1, 4))


def test_brackets_too_deep_divide_no_further() -> None:
    deep = times("[" * 5 + "A[" * 5 + "BC" + "]" * 10)
    assert sum(value for _, value in deep) == Fraction(1, 4)
    assert [name for name, _ in deep] == list("AAAAABC")
    assert len({value for _, value in deep[-4:]}) == 1


def test_the_engine_hands_out_symbols_with_their_time() -> None:
    system = LSystem("A", "A -> B[AC]", 2, after="stop", interpret="time", step="1/4")
    made = [symbol.name for symbol in system.symbols(Random(0), Controls())]
    assert made == ["B", "1/4", "B", "1/12", "A", "1/24", "C", "1/24", "C", "1/12"]
    assert system.alphabet() is None
