"""Moments: what words mean, in every metre, against counting by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.ensemble.setting import Setting
from server.music.meter import parse_meters
from server.music.scale import parse_key
from server.score.when import beat_of, parse_when

METERS = (
    *("4/4", "3/4", "7/8", "6/8", "5/4", "4/4 3/4", "3/4 7/8 4/4"),
    ["4/4", "3: 7/8", "5: 3/4"],
    ["3/4", "2: 7/8 4/4", "7: 5/8"],
)


def setting_in(meter: object, begin: int = 0) -> Setting:
    meters = parse_meters(meter)  # type: ignore[arg-type]
    return Setting(1, parse_key("C major"), meters, Fraction(begin))


def lines(setting: Setting) -> tuple[list[Fraction], list[Fraction]]:
    """All beats, and all bar lines, counted one by one."""
    beats, bars = [], []
    for bar in range(1, 80):
        line = setting.beat_of_bar(bar)
        bars.append(line)
        meter = setting.place(line).meter
        beats += [line + number * meter.beat_length for number in range(meter.beats)]
    return beats, bars


nears = st.one_of(
    st.fractions(0, 60, max_denominator=2**20),
    st.tuples(st.integers(0, 40), st.sampled_from([-1, 0, 1])).map(
        lambda at: max(Fraction(at[0], 2) + Fraction(at[1], 2**20), Fraction(0))
    ),
)


@given(st.sampled_from(METERS), nears, st.integers(1, 9), st.sampled_from([0, 7]))
def test_moments_are_what_counting_finds(
    meter: object, near: Fraction, number: int, begin: int
) -> None:
    setting = setting_in(meter, begin)
    near += begin
    beats, bars = lines(setting)

    def found(text: str) -> Fraction:
        return beat_of(parse_when(text), near, setting)

    assert found("now") == near
    assert found("beat") == next(beat for beat in beats if beat >= near)
    assert found("bar") == next(bar for bar in bars if bar >= near)
    for unit, each in (("beats", beats), ("bars", bars)):
        assert found(f"{number} {unit}") == next(b for b in each[::number] if b >= near)
        assert found(f"in {number} {unit}") == [b for b in each if b > near][number - 1]
    assert found("phrase") == next(bar for bar in bars[::4] if bar >= near)
    assert found(f"{number} phrases") == next(b for b in bars[:: 4 * number] if b >= near)
    with_beat = [beat for beat in beats if setting.ground(beat).at and beat >= near]
    third = next(
        beat
        for beat in with_beat
        if setting.place(beat).position == 2 * setting.place(beat).meter.beat_length
    )
    if all(setting.place(bar).meter.beats >= 3 for bar in bars):
        assert found("beat 3") == third


def test_what_never_comes_is_refused() -> None:
    setting = setting_in("4/4")
    for text in ("bar 3", "cue exit", "section", "beat 9"):
        with pytest.raises(Mistake):
            beat_of(parse_when(text), Fraction(12), setting)
    assert beat_of(parse_when("bar 4"), Fraction(12), setting) == 12


@pytest.mark.parametrize(
    "text", ["", "soon", "0 bars", "9999 bars", "beat 0", "cue", "in bar", "1"]
)
def test_words_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(Mistake, match="expected now, beat"):
        parse_when(text)
