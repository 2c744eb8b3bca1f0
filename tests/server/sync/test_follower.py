from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sync.follower import PULSES, Follower, State

MS = 1_000_000
BEGIN = 10**12
Tempo = Callable[[float], float]


def ideal(tempo: Tempo, pulses: int) -> list[int]:
    """When the pulses of a perfect clock come, its tempo being asked for at each."""
    at, times = float(BEGIN), []
    for pulse in range(pulses):
        times.append(round(at))
        at += 60e9 / PULSES / tempo(pulse / PULSES)
    return times


def strayed(times: Iterable[int], ms: float, seed: int) -> list[int]:
    rng = Random(seed)
    return sorted(at + round(rng.uniform(-ms, ms) * MS) for at in times)


def follow(arrivals: Iterable[int], bpm: float = 120.0) -> Follower:
    follower = Follower(bpm)
    follower.start()
    for at in arrivals:
        follower.pulse(at)
    return follower


def off(follower: Follower, times: list[int], pulse: int) -> float:
    """How far from where it will be the line has a pulse, in ms."""
    course = follower.course()
    assert course is not None
    return (course.ns_at(Fraction(pulse, PULSES)) - times[pulse]) / MS


@pytest.mark.parametrize("bpm", [40, 84.5, 120, 174, 290])
def test_two_bars_of_a_clock_that_strays_by_2_ms_tell_where_it_will_be(bpm: float) -> None:
    errors = sorted(error for seed in range(8) for error in _ahead(bpm, seed))
    assert errors[int(len(errors) * 0.99)] < 0.7


@settings(max_examples=30, deadline=None)
@given(st.floats(30, 300), st.integers(0, 10**6))
def test_no_clock_that_strays_by_2_ms_leads_astray(bpm: float, seed: int) -> None:
    errors = sorted(_ahead(bpm, seed))
    assert errors[len(errors) // 2] < 0.5
    assert errors[int(len(errors) * 0.99)] < 2


def _ahead(bpm: float, seed: int) -> list[float]:
    """How far off the line is a tenth of a second ahead, in ms, after two bars of straying."""
    times = ideal(lambda beat: bpm, 40 * PULSES)
    arrivals = strayed(times, 2, seed)
    follower = follow(arrivals[: 8 * PULSES])
    ahead = round(100 * MS / follower.period)
    errors = []
    for pulse in range(8 * PULSES, len(times) - ahead):
        follower.pulse(arrivals[pulse])
        errors.append(abs(off(follower, times, pulse + ahead)))
    assert follower.bpm == pytest.approx(bpm, rel=1e-2)
    return errors


@settings(max_examples=40, deadline=None)
@given(
    st.floats(40, 200),
    st.floats(0.8, 1.25),
    st.floats(0, 2),
    st.integers(0, 10**6),
)
def test_another_tempo_is_followed_within_a_bar_and_no_pulse_is_lost(
    bpm: float, factor: float, ms: float, seed: int
) -> None:
    times = ideal(lambda beat: bpm if beat < 12 else bpm * factor, 24 * PULSES)
    follower = follow(strayed(times, ms, seed)[: 16 * PULSES])
    assert abs(off(follower, times, 16 * PULSES)) < 2
    assert follower.bpm == pytest.approx(bpm * factor, rel=0.02)


@pytest.mark.parametrize("factor", [0.5, 2.0, 2.5])
def test_even_half_or_double_the_tempo_is_no_lost_pulse(factor: float) -> None:
    for seed in range(10):
        times = ideal(lambda beat: 100 if beat < 8 else 100 * factor, 20 * PULSES)
        follower = follow(strayed(times, 1, seed)[: 12 * PULSES])
        assert abs(off(follower, times, 12 * PULSES)) < 2


def test_a_tempo_that_climbs_is_climbed_with() -> None:
    times = ideal(lambda beat: min(100 + 2 * max(beat - 8, 0), 140), 40 * PULSES)
    follower = follow(times[: 8 * PULSES])
    for pulse in range(8 * PULSES, 36 * PULSES):
        follower.pulse(times[pulse])
        assert abs(off(follower, times, pulse + 5)) < 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_pulses_that_are_dropped_or_come_twice_change_nothing_of_the_count(
    seed: int, data: st.DataObject
) -> None:
    times = ideal(lambda beat: 120, 32 * PULSES)
    arrivals = strayed(times, 1, seed)
    wrong = st.sets(st.integers(9, 60), max_size=12)  # no two of them are neighbours
    dropped = {10 * each for each in data.draw(wrong)}
    doubled = {10 * each + 5 for each in data.draw(wrong)}
    come = [
        at + late
        for pulse, at in enumerate(arrivals[: 30 * PULSES])
        if pulse not in dropped
        for late in ((0, MS) if pulse in doubled else (0,))
    ]
    follower = follow(come)
    assert abs(off(follower, times, 31 * PULSES)) < 2
    assert follower.bpm == pytest.approx(120, rel=0.005)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 96))
def test_a_drop_out_is_ridden(seed: int, missing: int) -> None:
    times = ideal(lambda beat: 120, 32 * PULSES)
    arrivals = strayed(times, 2, seed)
    gone = range(16 * PULSES, 16 * PULSES + missing)
    follower = follow(arrivals[: gone.start])
    before = off(follower, times, gone.stop)
    for pulse in range(gone.stop, len(times) - 5):
        follower.pulse(arrivals[pulse])
        assert abs(off(follower, times, pulse) - before) < 4
    assert abs(off(follower, times, len(times) - 1)) < 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(60, 180), st.floats(0.85, 1.2))
def test_pulses_that_come_late_in_a_heap_are_counted_every_one(
    seed: int, bpm: float, factor: float
) -> None:
    times = ideal(lambda beat: bpm if beat < 16 else bpm * factor, 40 * PULSES)
    rng, busy, arrivals = Random(seed), 0, []
    for at in strayed(times, 1, seed):
        if rng.random() < 0.01:
            busy = max(busy, at + rng.randrange(60 * MS))  # nobody gets to it for so long
        arrivals.append(max(at, busy))
    follower = follow(arrivals[: 36 * PULSES])
    assert abs(off(follower, times, 36 * PULSES)) < 5


def test_who_is_silent_is_said_to_be() -> None:
    follower = Follower(patience=1000 * MS)
    assert follower.state(BEGIN) == State.WAITING
    assert follower.course() is None
    times = ideal(lambda beat: 120, 2 * PULSES)
    for at in times[:10]:
        follower.pulse(at)
    assert follower.state(times[9]) == State.LOCKING
    for at in times[10:]:
        follower.pulse(at)
    last = times[-1]
    line = follower.course()
    assert follower.state(last + 50 * MS) == State.LOCKED
    assert follower.state(last + 100 * MS) == State.FREE
    assert follower.state(last + 1001 * MS) == State.LOST
    assert follower.course() == line


def test_the_pulse_after_a_start_is_beat_0_wherever_the_clock_was() -> None:
    times = ideal(lambda beat: 90, 6 * PULSES)
    follower = Follower()
    for at in times[:61]:
        follower.pulse(at)
    follower.start()
    course = follower.course()
    assert course is not None  # so it is known before it comes
    assert course.ns_at(Fraction(0)) == pytest.approx(times[61], abs=1000)
    anew = times[60] + 3 * MS  # but this clock begins its grid again
    follower.pulse(anew)
    course = follower.course()
    assert course is not None
    assert course.ns_at(Fraction(0)) == anew


def test_a_clock_continues_where_it_stood_or_where_it_was_told() -> None:
    times = ideal(lambda beat: 120, 400)
    follower = follow(times[:100])
    follower.halt()
    for at in times[100:200]:  # its pulses go on
        follower.pulse(at)
    follower.proceed()
    assert follower.position == Fraction(100, PULSES)
    follower.halt()
    follower.seek(18)
    follower.proceed()
    assert follower.position == Fraction(18, 4)
    follower.pulse(times[200])
    course = follower.course()
    assert course is not None
    assert course.ns_at(Fraction(18, 4)) == pytest.approx(times[200], abs=1000)


@given(st.lists(st.integers(0, 3 * 10**9), max_size=60), st.data())
@settings(deadline=None)
def test_whatever_comes_the_line_is_one_that_can_be_followed(
    gaps: list[int], data: st.DataObject
) -> None:
    follower, now = Follower(), BEGIN
    for gap in gaps:
        now += gap
        act = data.draw(st.sampled_from(["pulse"] * 8 + ["start", "halt", "proceed", "seek"]))
        if act == "pulse":
            follower.pulse(now)
        elif act == "seek":
            follower.seek(data.draw(st.integers(0, 16383)))
        else:
            getattr(follower, act)()
        course = follower.course()
        assert course is None or 20 <= course.bpm <= 999
