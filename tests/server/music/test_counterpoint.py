from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from server.music.counterpoint import MEMORY, Move, Voice, direct, other, parallel, place

PITCH = st.integers(0, 127)
MOVE = st.builds(Move, PITCH, PITCH)


def test_fifths_octaves_and_their_compounds_are_parallel_in_one_direction_only() -> None:
    assert parallel(Move(67, 69), Move(48, 50))  # twelfths
    assert parallel(Move(72, 67), Move(48, 43))  # octaves
    assert parallel(Move(48, 50), Move(48, 50))
    assert not parallel(Move(72, 67), Move(48, 55))  # they part ways
    assert not parallel(Move(64, 65), Move(48, 50))  # tenths
    assert not parallel(Move(67, 67), Move(48, 48))
    assert not parallel(Move(67, 74), Move(48, 50))  # from a fifth to an octave
    assert direct(Move(67, 74), Move(48, 50))


@given(MOVE, MOVE, st.integers(-12, 12))
def test_being_parallel_is_the_same_in_every_key_and_octave(a: Move, b: Move, by: int) -> None:
    moved = parallel(Move(a.before + by, a.after + by), Move(b.before + by, b.after + by))
    assert parallel(a, b) == moved == parallel(Move(a.before + 12, a.after + 12), b)


@given(PITCH, st.lists(PITCH, max_size=3), MOVE | st.none(), st.integers(0, 90))
def test_another_tone_is_allowed_no_parallel_and_above_the_bass(
    pitch: int, befores: list[int], low: Move | None, lowest: int
) -> None:
    allowed = [midi for midi in range(pitch - 7, pitch + 8) if midi % 12 in (0, 2, 4, 7, 9)]
    found = other(pitch, befores, low, allowed, lowest)
    if found is None:
        assert all(
            midi < lowest or any(low and parallel(Move(b, midi), low) for b in befores)
            for midi in allowed
        )
        return
    assert found in allowed
    assert found >= lowest
    assert not any(low is not None and parallel(Move(b, found), low) for b in befores)


def test_the_line_keeps_its_way_where_it_can() -> None:
    chord = [55, 60, 64, 67, 72]
    # From G up to C over a bass from G up to C: E goes up too, and is no octave.
    assert other(60, [55], Move(43, 48), chord, 0) == 64
    assert direct(Move(55, 60), Move(41, 48))
    assert not direct(Move(59, 60), Move(41, 48))


def test_a_voice_goes_on_through_a_rest_but_not_a_long_one() -> None:
    voice = Voice()
    assert voice.before(0) is None
    voice.begin(0, 60)
    voice.begin(48, 62)
    assert (voice.begun(0), voice.before(48), voice.begun(48), voice.begun(49)) == (
        60,
        60,
        62,
        None,
    )
    assert voice.before(48 + MEMORY) == 62
    assert voice.before(49 + MEMORY) is None
    voice.begin(48, 64)
    assert voice.begun(48) == 64


def test_the_lowest_that_sounds_is_the_bass() -> None:
    voice = Voice()
    voice.deepen(0, 40, 96)
    voice.deepen(24, 52, 48)  # above one that sounds on
    voice.deepen(48, 38, 60)
    voice.deepen(48, 50, 60)
    voice.deepen(72, 50, 96)
    found = [voice.begun(at) for at in (0, 24, 48, 72)]
    assert found == [40, None, 38, 50]
    voice.deepen(72, 50, 144)  # two in unison: the longer one counts
    voice.deepen(96, 52, 144)
    assert voice.begun(96) is None


@given(st.lists(st.tuples(st.integers(0, 20_000), PITCH), min_size=1, max_size=900))
def test_a_voice_forgets_only_what_is_long_ago(notes: list[tuple[int, int]]) -> None:
    voice, kept = Voice(), {}
    for at, pitch in sorted(notes, key=lambda note: note[0]):
        voice.begin(at, pitch)
        kept[at] = pitch
    for at in sorted(kept)[-200:]:
        assert voice.begun(at) == kept[at]
    last = max(kept)
    assert voice.before(last + 1) == kept[last]


def test_beats_meet_on_a_grid() -> None:
    assert place(Fraction(1)) == 48
    assert place(Fraction(4, 3)) == 64
    assert place(Fraction(-1, 2)) == -24
