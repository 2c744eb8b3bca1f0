"""Bars and beats: exact both ways, for ever, through every change of metre."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.meter import Meter, MeterMap, parse_meter, parse_meters

meters = st.builds(
    Meter,
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    st.sampled_from([2, 4, 8, 16]),
)
rows = st.lists(meters, min_size=1, max_size=4)


@st.composite
def maps(draw: st.DrawFn) -> MeterMap:
    later = sorted(draw(st.sets(st.integers(2, 200), max_size=5)))
    return MeterMap([(bar, draw(rows)) for bar in (1, *later)])


bars = st.integers(-100, 1_000_000)
beats = st.fractions(-1000, 10**7, max_denominator=420)


@pytest.mark.parametrize(
    ("text", "groups", "length"),
    [
        ("4/4", (2, 2), Fraction(4)),
        ("3/4", (3,), Fraction(3)),
        ("2/2", (2,), Fraction(4)),
        ("6/8", (3, 3), Fraction(3)),
        ("12/8", (3, 3, 3, 3), Fraction(6)),
        ("5/4", (3, 2), Fraction(5)),
        ("7/8", (2, 2, 3), Fraction(7, 2)),
        ("3+2+2/8", (3, 2, 2), Fraction(7, 2)),
        ("1/4", (1,), Fraction(1)),
        ("11/16", (2, 2, 2, 2, 3), Fraction(11, 4)),
    ],
)
def test_metres_are_read(text: str, groups: tuple[int, ...], length: Fraction) -> None:
    meter = parse_meter(text)
    assert (meter.groups, meter.length, meter.name) == (groups, length, text)
    assert meter.beats * meter.beat_length == length


@pytest.mark.parametrize("text", ["", "4", "4/5", "0/4", "65/4", "4/0", "4/4/4", "2+0/4", "x/4"])
def test_what_is_no_metre_is_refused(text: str) -> None:
    with pytest.raises(Mistake, match="expected"):
        parse_meter(text)


@given(meters)
def test_a_metre_reads_back_from_its_name(meter: Meter) -> None:
    again = parse_meter(meter.name)
    assert (again.beats, again.unit, again.length) == (meter.beats, meter.unit, meter.length)
    if len(meter.groups) > 1:
        assert again == meter


def test_accents_follow_the_groups() -> None:
    four, seven = parse_meter("4/4"), parse_meter("2+2+3/8")
    assert [four.weight(Fraction(beat)) for beat in range(5)] == [1.0, 0.5, 0.75, 0.5, 1.0]
    assert [four.weight(Fraction(n, 4)) for n in (1, 2, 3)] == [0.125, 0.25, 0.125]
    accents = [seven.weight(Fraction(eighth, 2)) for eighth in range(7)]
    assert accents == [1.0, 0.5, 0.75, 0.5, 0.75, 0.5, 0.5]


@given(meters, st.fractions(0, 20, max_denominator=48))
def test_nothing_is_stronger_than_the_bar_line_nor_weaker_than_nothing(
    m: Meter, at: Fraction
) -> None:
    assert 0 < m.weight(at) <= m.weight(Fraction(0)) == 1.0
    assert m.weight(at) == m.weight(at + m.length)
    assert (m.weight(at) >= 0.5) == (at % m.beat_length == 0)


def test_beats_count_from_one_in_units_of_the_denominator() -> None:
    six = parse_meter("6/8")
    assert [six.beat_in_bar(Fraction(quarter, 4)) for quarter in range(12)] == [
        beat for beat in range(1, 7) for _ in range(2)
    ]


@given(maps(), bars)
def test_every_bar_line_is_found_again(metres: MeterMap, bar: int) -> None:
    beat = metres.beat_of_bar(bar)
    place = metres.bar_at(beat)
    assert (place.bar, place.position) == (bar, Fraction(0))
    assert metres.beat_of_bar(bar + 1) - beat == place.meter.length
    assert metres.next_bar(beat) == metres.next_beat(beat) == beat


@given(maps(), beats)
def test_every_beat_is_found_again(metres: MeterMap, beat: Fraction) -> None:
    bar, position, meter = metres.bar_at(beat)
    assert metres.beat_of_bar(bar) + position == beat
    assert 0 <= position < meter.length
    assert 1 <= meter.beat_in_bar(position) <= meter.beats


@given(maps(), beats)
def test_the_next_bar_and_beat_are_the_first_that_are_not_past(
    metres: MeterMap, beat: Fraction
) -> None:
    bar, _, meter = metres.bar_at(beat)
    assert beat <= metres.next_bar(beat) < beat + meter.length
    assert metres.next_bar(beat) in (metres.beat_of_bar(bar), metres.beat_of_bar(bar + 1))
    following = metres.next_beat(beat)
    assert beat <= following < beat + meter.beat_length
    place = metres.bar_at(following)
    assert place.position % place.meter.beat_length == 0


def test_bar_one_is_at_beat_nought_and_rows_repeat() -> None:
    cycle = parse_meters("4/4 4/4 3/4")
    assert [cycle.beat_of_bar(bar) for bar in range(1, 8)] == [0, 4, 8, 11, 15, 19, 22]
    assert cycle.beat_of_bar(3 * 10**9 + 1) == 11 * 10**9


def test_changes_of_metre() -> None:
    metres = parse_meters(["4/4", "9: 7/8", "bar 17: 4/4 3/4"])
    assert metres.beat_of_bar(9) == 32
    assert metres.beat_of_bar(17) == 32 + 8 * Fraction(7, 2) == 60
    assert [metres.bar_at(Fraction(beat)).meter.name for beat in (31, 32, 59, 60, 64, 67)] == [
        *("4/4", "7/8", "7/8", "4/4", "3/4", "4/4")
    ]
    assert metres == parse_meters(["1: 4/4", "9: 7/8", "17: 4/4 3/4"])
    assert parse_meters("4/4") == parse_meters(["4/4"]) != metres


@pytest.mark.parametrize(
    "text",
    ["", " ", "4/4 x", [], ["2: 4/4"], ["4/4", "7/8"], ["4/4", "3:"], ["4/4", "1: 3/4"]],
)
def test_what_is_no_row_of_metres_is_refused(text: str | list[str]) -> None:
    with pytest.raises(Mistake):
        parse_meters(text)


def test_changes_come_in_the_order_of_their_bars() -> None:
    for later in (["9: 7/8", "9: 4/4"], ["5: 3/4", "4: 2/4"]):
        with pytest.raises(Mistake, match="expected a bar after bar"):
            parse_meters(["4/4", *later])


def test_a_map_begins_at_bar_one() -> None:
    for changes in ([], [(2, [parse_meter("4/4")])]):
        with pytest.raises(Mistake):
            MeterMap(changes)
