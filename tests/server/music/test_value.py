"""Note values are exact, and mean what musicians mean by them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.value import is_value, parse_value, value_name

QUANTISATIONS = {
    "": {
        "1/1": Fraction(4),
        "1/2": Fraction(2),
        "1/4": Fraction(1),
        "1/8": Fraction(1, 2),
        "1/16": Fraction(1, 4),
    },
    ".": {
        "1/1": Fraction(6),
        "1/2": Fraction(3),
        "1/4": Fraction(3, 2),
        "1/8": Fraction(3, 4),
        "1/16": Fraction(3, 8),
    },
    "t": {
        "1/1": Fraction(8, 3),
        "1/2": Fraction(4, 3),
        "1/4": Fraction(2, 3),
        "1/8": Fraction(1, 3),
        "1/16": Fraction(1, 6),
    },
}
NAMES = {"Whole": "1/1", "Half": "1/2", "Quarter": "1/4", "Eighth": "1/8", "Sixteenth": "1/16"}
PREFIXES = {"": "", "Dotted": ".", "Triplet": "t"}


@pytest.mark.parametrize("mark", QUANTISATIONS)
def test_the_fifteen_quantisations(mark: str) -> None:
    assert {text: parse_value(text + mark) for text in NAMES.values()} == QUANTISATIONS[mark]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", NAMES)
def test_names_mean_their_fractions(prefix: str, name: str) -> None:
    value = parse_value(NAMES[name] + PREFIXES[prefix])
    assert parse_value(prefix + name) == parse_value((prefix + name).lower()) == value


@pytest.mark.parametrize(
    ("text", "beats"),
    [
        ("ThirtySecond", Fraction(1, 8)),
        ("DoubleDottedHalf", Fraction(7, 2)),
        ("1/4..", Fraction(7, 4)),
        ("1/4.t", Fraction(1)),
        ("1/8:3", Fraction(1, 3)),
        ("1/16:5", Fraction(1, 5)),
        ("1/16:7", Fraction(1, 7)),
        ("1/16:6", Fraction(1, 6)),
        ("1/32:9", Fraction(1, 9)),
        ("3/16", Fraction(3, 4)),
        ("1/20", Fraction(1, 5)),
        ("2/1", Fraction(8)),
        ("64/1", Fraction(256)),
        ("1/10000", Fraction(1, 2500)),
    ],
)
def test_written_values(text: str, beats: Fraction) -> None:
    assert parse_value(text) == beats


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "4", "0/4", "1/0", "-1/4", "65/1", "64/1.", "1/10001", "1/4:4", "1/4:1"),
        *("1/4....", "1/4x", "Quarters", "Dotted", "1/4 ", "1 / 4", "¼", "١/٤", "1/4t:3", "1/4:16"),
    ],
)
def test_what_is_no_value_is_refused(text: str) -> None:
    assert not is_value(text)
    with pytest.raises(Mistake):
        parse_value(text)


def test_the_mistake_says_what_was_expected_and_found() -> None:
    with pytest.raises(Mistake, match=r"expected a note value such as Quarter.*found 'Crotchet'"):
        parse_value("Crotchet")


@given(st.sampled_from([3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15]), st.integers(1, 8))
def test_tuplets_fill_their_time_exactly(count: int, power: int) -> None:
    plain = Fraction(1, 2**power)
    usual = 2 if count == 3 else 4 if count < 8 else 8
    tuplet = parse_value(f"1/{2**power}:{count}")
    assert sum(count * [tuplet]) == usual * 4 * plain


def test_quintuplets_and_septuplets_fill_a_bar_exactly() -> None:
    quintuplets, septuplets = 20 * [parse_value("1/16:5")], 28 * [parse_value("1/16:7")]
    assert sum(quintuplets) == sum(septuplets) == parse_value("Whole")


@given(st.fractions(Fraction(1, 10_000), 64, max_denominator=10_000))
def test_the_name_of_a_value_reads_back_as_it(whole: Fraction) -> None:
    assert parse_value(value_name(4 * whole)) == 4 * whole


dotted = st.builds(
    lambda above, below, dots, mark: f"{above}/{below}{dots}{mark}",
    st.integers(1, 64),
    st.integers(1, 1000),
    st.sampled_from(["", "."]),
    st.sampled_from(["", "t", ":5", ":7"]),
).filter(is_value)


@given(dotted)
def test_dots_and_tuplets_keep_their_names(text: str) -> None:
    value = parse_value(text)
    if (value / 4).denominator <= 10_000:
        assert parse_value(value_name(value)) == value


def test_names_are_the_usual_ones() -> None:
    texts = ["1/1", "1/4", "1/4.", "1/8t", "1/16:5", "1/32:7", "5/16", "2/1"]
    assert [value_name(parse_value(text)) for text in texts] == texts
