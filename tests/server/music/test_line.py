from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from server.music.line import Begun, Line

F = Fraction
BEATS = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@given(BEATS, st.integers(-5, 45))
def test_what_began_last_holds_until_the_next_begins(beats: list[int], place: int) -> None:
    line: Line[int] = Line()
    plain: dict[int, int] = {}
    for number, beat in enumerate(beats):
        line.begin(F(beat), number)
        plain = {each: value for each, value in plain.items() if each < beat} | {beat: number}
    begun = [each for each in sorted(plain) if each <= place]
    to_come = [each for each in sorted(plain) if each > place]
    assert line.at(F(place)) == (plain[begun[-1]] if begun else None)
    assert line.after(F(place)) == (Begun(F(to_come[0]), plain[to_come[0]]) if to_come else None)
    newest = max(plain)
    assert line.last == Begun(F(newest), plain[newest])


def test_a_line_that_is_empty_knows_nothing() -> None:
    line: Line[str] = Line()
    assert line.at(F(3)) is None
    assert line.after(F(3)) is None
    assert line.last is None


def test_what_is_taken_back_has_never_been() -> None:
    line: Line[str] = Line()
    for beat in range(4):
        line.begin(F(beat), str(beat))
    line.retract(F(2))
    assert [line.at(F(beat)) for beat in range(4)] == ["0", "1", "1", "1"]


def test_a_long_past_is_forgotten_and_the_present_is_not() -> None:
    line: Line[int] = Line()
    for beat in range(10_000):
        line.begin(F(beat), beat)
        line.forget(F(beat))
        assert line.at(F(beat)) == beat
    assert len(line._beats) < 300
