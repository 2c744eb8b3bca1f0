from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake, Use
from engines.expression import MAX_LENGTH, MAX_OPERATIONS, parse_expression


def value(text: str, **values: float) -> float:
    return parse_expression(text, "rules")(values)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("8 / 4 / 2", 1),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", -4),
        ("2 ^ -1", 0.5),
        ("2 * -3", -6),
        ("--3", 3),
        ("+3 - +2", 1),
        ("2 - -2", 4),
        ("-2 * 3 + 1", -5),
        ("-7 % 4", 1),
        ("1e3 + .5 + 2.", 1002.5),
        ("1 < 2", 1),
        ("2 <= 1", 0),
        ("3 = 3", 1),
        ("3 == 4", 0),
        ("3 != 4", 1),
        ("1 + 1 > 1", 1),
        ("not 1 > 2", 1),
        ("!(1 > 2)", 1),
        ("not 0 and 0", 0),
        ("not (0 and 0)", 1),
        ("1 or 0 and 0", 1),
        ("1 && 0 || 2", 1),
        ("0 and 1 / 0", 0),
        ("1 or 1 / 0", 1),
        ("min(3, 1, 2)", 1),
        ("max(3, -1)", 3),
        ("abs(-2)", 2),
        ("floor(-1.5)", -2),
        ("ceil(1.2)", 2),
        ("round(0.5)", 1),
        ("round(2.5)", 3),
        ("sqrt(16)", 4),
        ("clamp(5, 0, 1)", 1),
        ("clamp(-5, 0, 1)", 0),
        ("min(max(1, 2), clamp(3, 0, 9))", 2),
    ],
)
def test_arithmetic_is_as_written(text: str, result: float) -> None:
    expression = parse_expression(text, "rules")
    assert expression({}) == result
    assert expression.constant == result
    assert expression.names == frozenset()


def test_names_are_read_at_each_call_and_count_zero_where_missing() -> None:
    expression = parse_expression("x * (1 - arousal) + floor(y_2)", "rules")
    assert expression.names == {"x", "arousal", "y_2"}
    assert expression.constant is None
    assert expression({"x": 2, "arousal": 0.25, "y_2": 1.9}) == 2.5
    assert expression({}) == 0.0


def test_every_eighth_bar() -> None:
    guard = parse_expression("bar % 8 == 0", "rules")
    assert [bar for bar in range(1, 25) if guard({"bar": bar})] == [8, 16, 24]


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "1 % 0",
        "0 ^ -1",
        "(-8) ^ 0.5",
        "10 ^ 400",
        "1e308 * 10",
        "1e308 * 10 - 1e308 * 10",
        "sqrt(-1)",
        "floor(1e308 * 10)",
        "1e999",
        "10 ^ 10 ^ 10 ^ 10",
    ],
)
def test_what_is_no_number_counts_zero(text: str) -> None:
    assert value(text) == 0.0


def test_values_that_are_no_numbers_count_zero() -> None:
    assert value("x + 1", x=math.nan) == 0.0
    assert value("x", x=math.inf) == 0.0
    assert value("x * x", x=10**400) == 0.0


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "the end"),
        ("1 +", 4, "the end"),
        ("1 2", 3, "operator"),
        ("(1 + 2", 7, "column 1"),
        ("1 + 2)", 6, "')'"),
        ("1 $ 2", 3, "'$'"),
        ("1 < x < 3", 7, "and"),
        ("sin(x)", 1, "clamp"),
        ("x + clamp(1, 2)", 5, "clamp takes 3"),
        ("sqrt()", 1, "sqrt takes 1"),
        ("min(1, )", 8, "')'"),
        ("* 3", 1, "'*'"),
        ("and 3", 1, "'and'"),
        ("__import__(os)", 1, "no function"),
        ("x.y", 2, "'.'"),
        ("x[0]", 2, "'['"),
        ("a or", 5, "the end"),
    ],
)
def test_mistakes_name_the_column(text: str, column: int, words: str) -> None:
    with pytest.raises(Mistake) as caught:
        parse_expression(text, "rules", 3)
    assert (caught.value.place, caught.value.line) == ("rules", 3)
    assert caught.value.column == column
    assert words in caught.value.problem


def test_columns_count_from_where_the_text_stands() -> None:
    with pytest.raises(Mistake) as caught:
        parse_expression("1 +", "rules", 3, 20)
    assert caught.value.column == 23


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "1" + ")" * 490,
        "-" * 900 + "1",
        "not " * 200 + "1",
        "2^" * 400 + "2",
        "1+" * 400 + "1",
        "min(" * 200,
        "x" * (MAX_LENGTH + 1),
        "(" * MAX_LENGTH,
    ],
)
def test_bombs_are_refused(text: str) -> None:
    with pytest.raises(Mistake):
        parse_expression(text, "rules")


def test_as_much_as_is_allowed_is_computed() -> None:
    assert value("1+" * MAX_OPERATIONS + "1") == MAX_OPERATIONS + 1
    assert value("(" * MAX_OPERATIONS + "1" + ")" * MAX_OPERATIONS) == 1
    assert value("-" * MAX_OPERATIONS + "1") == 1


def _written(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(
        ["+", "-", "*", "/", "%", "^", "<", "<=", ">", ">=", "==", "!=", "=", "and", "or"]
    )
    return st.one_of(
        st.tuples(texts, signs, texts).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
        texts.map(lambda t: f"-({t})"),
        texts.map(lambda t: f"not ({t})"),
        st.tuples(st.sampled_from(["floor", "sqrt", "abs", "round"]), texts).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
    )


expressions = st.recursive(
    st.one_of(
        st.sampled_from(["x", "y", "bar"]),
        st.floats(0, allow_nan=False, allow_infinity=False).map(repr),
    ),
    _written,
    max_leaves=8,
)


@given(expressions, st.floats(), st.floats(), st.integers())
def test_any_expression_of_any_values_is_finite(text: str, x: float, y: float, bar: int) -> None:
    expression = parse_expression(text, "rules")
    result = expression({"x": x, "y": y, "bar": bar})
    assert type(result) is float
    assert math.isfinite(result)
    assert expression.names <= {"x", "y", "bar"}
    assert (expression.constant is None) == bool(expression.names)


@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        result = parse_expression(text, "rules")({})
    except Mistake as mistake:
        assert 1 <= mistake.column <= len(text) + 1
    else:
        assert math.isfinite(result)


def test_each_name_is_found_where_it_is_read_first() -> None:
    expression = parse_expression("min(energy, 1) - bar % energy", "rules", 3, 7)
    assert expression.reads == (Use("energy", "rules", 3, 11), Use("bar", "rules", 3, 24))
    assert expression.names == {"energy", "bar"}
