"""A groove moves notes without changing their order and never adds up."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.groove import GROOVES, Groove, humanize, noise, parse_groove, swing

beats = st.fractions(0, 10_000, max_denominator=96)
units = st.sampled_from([Fraction(1, 2), Fraction(1, 4), Fraction(1), Fraction(1, 3)])
amounts = st.fractions(Fraction(1, 2), Fraction(3, 4), max_denominator=100)


@given(st.integers(-1000, 1_000_000), amounts, units)
def test_swing_leaves_the_strong_beats_alone(pair: int, amount: Fraction, unit: Fraction) -> None:
    assert swing(2 * unit * pair, amount, unit) == 0


@given(st.integers(0, 1_000_000), amounts, units)
def test_swing_puts_the_off_beat_where_it_says_however_late_it_is(
    pair: int, amount: Fraction, unit: Fraction
) -> None:
    off_beat = 2 * unit * pair + unit
    assert off_beat + swing(off_beat, amount, unit) == 2 * unit * (pair + amount)


@given(beats, beats, amounts, units)
def test_swing_keeps_the_order(a: Fraction, b: Fraction, amount: Fraction, unit: Fraction) -> None:
    early, late = sorted((a, b))
    assert swing(early, amount, unit) >= 0
    if early < late:
        assert early + swing(early, amount, unit) < late + swing(late, amount, unit)


def test_swing_takes_floats_and_clamps_them() -> None:
    assert swing(Fraction(1, 2), 2 / 3) == Fraction(1, 6)
    assert swing(Fraction(1, 2), 0.5) == swing(Fraction(1, 2), 0.1) == 0
    assert swing(Fraction(1, 2), 0.99) == swing(Fraction(1, 2), 0.75) == Fraction(1, 4)


@pytest.mark.parametrize("name", GROOVES)
@pytest.mark.parametrize("bar", [Fraction(4), Fraction(3), Fraction(7, 2), Fraction(5, 2)])
def test_every_groove_keeps_the_order_across_the_bar_line(name: str, bar: Fraction) -> None:
    groove = parse_groove(name)
    written = [Fraction(step, 24) for step in range(int(bar * 24))]
    played = [beat + groove.at(beat, bar)[0] for beat in written]
    played += [bar + groove.at(Fraction(0), bar)[0]]
    assert all(early < late for early, late in pairwise(played))
    assert all(0 <= groove.at(beat, bar)[1] <= 1 for beat in written)


@given(beats, amounts)
def test_a_swung_groove_is_swing(beat: Fraction, amount: Fraction) -> None:
    groove = Groove(Fraction(1, 2), (Fraction(0), 2 * amount - 1), (1.0, 1.0))
    position = beat % 4
    assert groove.at(position, Fraction(4))[0] == swing(position, amount, Fraction(1, 2))


def test_the_named_swings() -> None:
    assert parse_groove("mpc 58").at(Fraction(1, 4), Fraction(4))[0] == Fraction(1, 4) * (
        2 * Fraction(58, 100) - 1
    )
    assert parse_groove("mpc 58%") == parse_groove("MPC") == parse_groove("swing16")
    assert parse_groove("shuffle").at(Fraction(1, 2), Fraction(4)) == (Fraction(1, 6), 0.85)
    assert parse_groove("swing8 50").at(Fraction(1, 2), Fraction(4))[0] == 0
    assert parse_groove("straight").at(Fraction(17, 13), Fraction(4)) == (Fraction(0), 1.0)
    assert (
        parse_groove("push").at(Fraction(3, 2), Fraction(4))[0]
        < 0
        < parse_groove("laid-back").at(Fraction(1), Fraction(4))[0]
    )


@pytest.mark.parametrize("text", ["", "swung", "swing8 90", "straight 58", "swing8 5", "mpc 49"])
def test_what_is_no_groove_is_refused(text: str) -> None:
    with pytest.raises(Mistake, match="expected a"):
        parse_groove(text)


@pytest.mark.parametrize(
    ("grid", "shifts", "accents"),
    [
        (Fraction(0), (Fraction(0),), (1.0,)),
        (Fraction(1, 2), (), ()),
        (Fraction(1, 2), (Fraction(0), Fraction(0)), (1.0,)),
        (Fraction(1, 2), (Fraction(3, 4), Fraction(-1, 2)), (1.0, 1.0)),
        (Fraction(1, 2), (Fraction(-1, 2), Fraction(0), Fraction(1, 2)), (1.0, 1.0, 1.0)),
        (Fraction(1, 2), (Fraction(0),), (-1.0,)),
        (Fraction(1, 2), (Fraction(0),), (float("nan"),)),
    ],
)
def test_grooves_that_cannot_be_played_are_refused(
    grid: Fraction, shifts: tuple[Fraction, ...], accents: tuple[float, ...]
) -> None:
    with pytest.raises(Mistake):
        Groove(grid, shifts, accents)


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_straying_is_bounded_and_repeats(seed: int, index: int) -> None:
    late, loud = humanize(seed, index, 0.01, 0.1)
    assert abs(late) <= 0.025
    assert 0.75 <= loud <= 1.25
    assert humanize(seed, index, 0.01, 0.1) == (late, loud)
    assert humanize(seed, index, 0, 0) == (0, 1)
    assert humanize(seed, index, 0, 10)[1] >= 0


@pytest.mark.parametrize("seed", [0, 1, 1821])
def test_straying_is_gaussian_and_does_not_accumulate(seed: int) -> None:
    notes = [humanize(seed, index, 1.0, 0.1) for index in range(20_000)]
    lates = [late for late, _ in notes]
    louds = [(loud - 1) * 10 for _, loud in notes]
    for strays in (lates, louds):
        assert abs(fmean(strays)) < 0.03
        assert 0.95 < pstdev(strays) < 1.02
        assert abs(fmean(a * b for a, b in pairwise(strays))) < 0.03
    assert abs(fmean(a * b for a, b in zip(lates, louds, strict=True))) < 0.03


def test_other_seeds_stray_otherwise() -> None:
    strays = {humanize(seed, index, 1, 0.1) for seed in range(100) for index in range(100)}
    assert len(strays) == 10_000


@given(st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_noise_lies_between_nought_and_one_and_repeats(seed: int, index: int) -> None:
    assert 0 <= noise(seed, index) < 1
    assert noise(seed, index) == noise(seed, index)


@pytest.mark.parametrize("seed", [0, 1, 1821])
def test_noise_is_even_and_unrelated_to_its_neighbours_and_to_straying(seed: int) -> None:
    drawn = [noise(seed, index) for index in range(20_000)]
    strays = [humanize(seed, index, 1.0, 0.1)[0] for index in range(20_000)]
    tenths = [sum(low <= 10 * number < low + 1 for number in drawn) for low in range(10)]
    assert all(1800 < count < 2200 for count in tenths)
    centred = [number - 0.5 for number in drawn]
    assert abs(fmean(a * b for a, b in pairwise(centred))) < 0.005
    assert abs(fmean(a * b for a, b in zip(centred, strays, strict=True))) < 0.01
