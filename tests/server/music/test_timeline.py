from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.music.timeline import MINUTE, Course, Timeline

tempos = st.floats(20, 999)
beats = st.fractions(0, 10_000, max_denominator=960)


@given(tempos, beats)
def test_a_constant_tempo_is_a_straight_line(bpm: float, beat: Fraction) -> None:
    line = Timeline.starting(bpm, ns=5)
    assert abs(line.ns_at(beat) - (5 + float(beat) * MINUTE / bpm)) <= 1


@given(
    st.lists(st.tuples(tempos, st.fractions(0, 8, max_denominator=96), beats), max_size=12),
    beats,
)
def test_there_and_back_is_where_we_were(
    changes: list[tuple[float, Fraction, Fraction]], beat: Fraction
) -> None:
    line, at = Timeline.starting(120), Fraction(0)
    for bpm, over, gap in changes:
        at += gap / 100
        line = line.with_tempo(bpm, at, over)
    assert abs(line.beat_at(line.ns_at(beat)) - beat) <= Fraction(2, 2**20)


@given(tempos, tempos, beats, st.fractions(0, 64, max_denominator=8))
def test_a_change_of_tempo_never_moves_the_past_nor_jumps(
    before: float, after: float, at: Fraction, over: Fraction
) -> None:
    old = Timeline.starting(before)
    new = old.with_tempo(after, at, over)
    for beat in (Fraction(0), at / 2, at):
        assert new.ns_at(beat) == old.ns_at(beat)
    just_after = at + Fraction(1, 10**6)
    assert 0 <= new.ns_at(just_after) - new.ns_at(at) < 4000
    assert abs(new.tempo_at(at + over) - after) < 1e-9


@given(tempos, tempos, st.fractions(1, 64, max_denominator=8))
def test_time_never_runs_backwards_through_a_ramp(
    before: float, after: float, over: Fraction
) -> None:
    line = Timeline.starting(before).with_tempo(after, Fraction(4), over)
    moments = [line.ns_at(Fraction(n, 4)) for n in range(400)]
    assert moments == sorted(set(moments))


def test_a_ramp_takes_the_time_that_calculus_says() -> None:
    line = Timeline.starting(60).with_tempo(120, Fraction(0), Fraction(60))
    assert abs(line.ns_at(Fraction(60)) / 1e9 - 60 * 0.6931471805599453) < 1e-6


@given(tempos, tempos, st.fractions(-64, 0, max_denominator=96), st.fractions(0, 8))
def test_before_a_line_begins_its_tempo_is_the_first(
    before: float, after: float, beat: Fraction, over: Fraction
) -> None:
    line = Timeline.starting(before).with_tempo(after, Fraction(0), over)
    assert line.tempo_at(beat) == (before if over else after)
    assert abs(line.beat_at(line.ns_at(beat)) - beat) <= Fraction(2, 2**20)


@given(tempos, tempos, beats, st.integers(-(10**12), 10**12))
def test_a_shifted_line_is_the_same_line_later(
    before: float, after: float, beat: Fraction, ns: int
) -> None:
    line = Timeline.starting(before).with_tempo(after, Fraction(7, 3), Fraction(4))
    assert line.shifted(ns).ns_at(beat) == line.ns_at(beat) + ns
    assert line.shifted(ns).tempo_at(beat) == line.tempo_at(beat)


def test_a_thousand_hours_with_100_000_changes_of_tempo_are_off_by_less_than_a_microsecond() -> (
    None
):
    # Beats are counted in 96ths and tempos in thousandths, so that the truth is a sum of ratios
    # of whole numbers, kept in units of 2^-40 ns.
    rng, truth, ticks = Random(1821), 0, 0
    line, milli = Timeline.starting(120), 120_000
    worst = 0.0
    for change in range(100_000):
        step = rng.randrange(1, 2 * 36 * 96) * milli // 60_000
        truth += (step * MINUTE * 1000 << 40) // (96 * milli)
        ticks += step
        at = Fraction(ticks, 96)
        if change % 100 == 0:
            worst = max(worst, abs(line.ns_at(at) - truth / 2**40))
        milli = rng.randrange(20_000, 999_001)
        line = line.with_tempo(milli / 1000, at)
    assert truth >> 40 > 900 * 3600 * 10**9
    assert worst < 1000, f"{worst} ns"


courses = st.builds(
    Course,
    st.fractions(-1000, 1000, max_denominator=960),
    st.integers(0, 10**13),
    st.floats(20, 999),
)


@given(courses, st.fractions(0, 64, max_denominator=960), st.integers(-(10**10), 10**10))
def test_a_line_that_meets_a_course_does_not_jump_and_bends_by_a_fifth_at_most(
    course: Course, at: Fraction, off: int
) -> None:
    begin = course.ns_at(at) + off
    line = Timeline.starting(120, at, begin)
    bent = line.meeting(course, at)
    assert bent.ns_at(at) == line.ns_at(at)
    assert course.bpm / 1.21 <= bent.tempo_at(at) <= course.bpm / 0.79
    for more in (0, 1, Fraction(5, 2), 100):
        assert abs(bent.ns_at(bent.last + more) - course.ns_at(bent.last + more)) <= 2
    assert bent.last >= at + Fraction(1, 4)


@given(st.floats(30, 300), st.floats(30, 300), st.fractions(0, 8, max_denominator=960),
       st.integers(-(10**9), 10**9))  # fmt: skip
def test_a_line_that_is_moved_does_not_jump_and_is_the_same_but_later(
    bpm: float, to: float, at: Fraction, ns: int
) -> None:
    line = Timeline.starting(bpm).with_tempo(to, Fraction(5), Fraction(4))
    until = at + 4
    most = int((line.ns_at(until) - line.ns_at(at)) * 0.2)
    moved = line.moved(ns, at, until)
    assert moved.ns_at(at) == line.ns_at(at)
    wanted = min(max(ns, -most), most)
    for beat in (until, until + 1, until + 50):
        assert moved.ns_at(beat) - line.ns_at(beat) == pytest.approx(wanted, abs=100)
        assert moved.tempo_at(beat) == pytest.approx(line.tempo_at(beat), rel=1e-9)


@given(courses, st.fractions(-1000, 1000, max_denominator=960))
def test_a_course_is_a_straight_line(course: Course, beat: Fraction) -> None:
    assert abs(course.beat_at(course.ns_at(beat)) - beat) < Fraction(1, 10**5)
    assert course.counted(Fraction(4)).ns_at(beat + 4) == course.ns_at(beat)
    assert course.later(7).ns_at(beat) == course.ns_at(beat) + 7
