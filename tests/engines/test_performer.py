"""Gestures become notes that are in time, accented, and walk where a hand leaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Controls, Mistake, Symbol
from engines.performer import Performer, Playable
from server.music.value import parse_value

F = Fraction
Hand = tuple[float, float, float]


def played(
    engine: Performer, hand: Callable[[Fraction], Hand], beats: int = 8
) -> Iterator[tuple[Fraction, Symbol, Fraction]]:
    """(beat, symbol, length) of what it plays in 4/4, told where it is as a part tells it."""
    controls, at = Controls(), F(0)
    stream = engine.symbols(Random(1), controls)
    while at < beats:
        controls.values["beat"] = float(at % 4) + 1
        for name, value in zip(("pulse", "height", "energy"), hand(at), strict=True):
            controls.values[name] = value
        symbol = next(stream)
        length = parse_value(symbol.name.rpartition(":")[2])
        yield at, symbol, length
        at += length


def place(symbol: Symbol) -> int:
    name = symbol.name.partition("@")[0]
    return int(name.rstrip("'")) - 1 + 7 * name.count("'")


def loudness(symbol: Symbol) -> float:
    return float(symbol.name.partition("@")[2].partition(":")[0])


def test_without_a_pulse_it_is_silent_and_looks_every_sixteenth() -> None:
    row = list(played(Performer(), lambda at: (0, 0.5, 0.5), 2))
    assert [at for at, *_ in row] == [F(n, 4) for n in range(8)]
    assert all(symbol.name.startswith("Rest:") for _, symbol, _ in row)


@given(st.floats(0.1, 9), st.integers(0, 15))
def test_notes_fall_on_the_lines_of_their_pulse(pulse: float, since: int) -> None:
    begin = F(since, 4)
    row = list(played(Performer(), lambda at: (pulse if at >= begin else 0, 0.5, 0.5)))
    notes = [(at, length) for at, symbol, length in row if not symbol.name.startswith("Rest")]
    unit = notes[-1][1]
    assert unit == F(1, min((1, 2, 3, 4, 6, 8), key=lambda each: abs(each - pulse)))
    assert notes[0][0] == begin
    assert all(at % unit == 0 for at, _ in notes[1:])


def test_strong_places_are_accented() -> None:
    row = list(played(Performer(), lambda at: (4, 0.5, 0.5), 4))
    by_place = [loudness(symbol) for _, symbol, _ in row]
    assert by_place[0] > by_place[4] > by_place[2] > by_place[1] == by_place[3]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_leaps_are_walked(heights: list[float]) -> None:
    row = list(played(Performer(), lambda at: (2, heights[int(at) % len(heights)], 0.5)))
    places = [place(symbol) for _, symbol, _ in row]
    for (at, *_), (before, after) in zip(row[1:], pairwise(places), strict=True):
        wanted = round(heights[int(at) % len(heights)] * 14)
        leap, left = abs(after - before), abs(wanted - before)
        assert leap <= max(3, (left + 1) // 2) + 1  # and a neighbour's step


def test_a_held_height_is_adorned_on_weak_places_alone() -> None:
    row = list(played(Performer(), lambda at: (4, 0.5, 0.5)))
    strong = {place(symbol) for at, symbol, _ in row if at % F(1, 2) == 0}
    weak = {place(symbol) for at, symbol, _ in row if at % F(1, 2)}
    assert strong == {7}
    assert weak == {6, 7, 8}


def test_the_first_note_after_silence_is_where_the_hand_is() -> None:
    def hand(at: Fraction) -> Hand:
        return (2 if at % 4 < 1 else 0, 0.0 if at < 4 else 1.0, 0.5)

    notes = [(at, place(s)) for at, s, _ in played(Performer(), hand) if "Rest" not in s.name]
    assert dict(notes)[F(4)] == 14


def test_energy_is_loudness_and_height_is_bounded() -> None:
    def loud(energy: float) -> float:
        [(_, symbol, _), *_] = played(Performer(), lambda at: (1, 7.0, energy), 1)
        assert place(symbol) == 14
        return loudness(symbol)

    assert loud(0) < loud(0.5) < loud(1) == loud(9)


def test_a_single_note_is_a_stream_of_one() -> None:
    engine = Performer(steps="chord")
    assert isinstance(engine, Playable)
    [symbol] = engine.struck(1.0, 2.0).symbols(Random(1), Controls())
    assert symbol.name.startswith("c5''''@")
    assert "a single note, height 1.00, energy 1.00" in str(symbol.origin)


def test_mistakes_name_the_field() -> None:
    with pytest.raises(Mistake, match="span: expected 3 to 29"):
        Performer(span=30)
    with pytest.raises(Mistake, match="steps: expected 'scale' or 'chord'"):
        Performer(steps="wild")
