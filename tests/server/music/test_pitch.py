"""Spelled pitches keep their spelling, and transposition is a group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.pitch import (
    Pitch,
    PitchClass,
    is_pitch,
    parse_pitch,
    parse_pitch_class,
)

pitches = st.builds(Pitch, st.sampled_from("CDEFGAB"), st.integers(-2, 2), st.integers(0, 8))
intervals = st.tuples(st.integers(-20, 20), st.integers(-30, 30))


@pytest.mark.parametrize(
    ("text", "midi"),
    [
        *(("C4", 60), ("C", 60), ("F#", 66), ("Bb4", 70), ("B♭4", 70), ("Ebb3", 50)),
        *(("C-1", 0), ("G9", 127), ("B#3", 60), ("Cb4", 59), ("F♯♯4", 67), ("A0", 21)),
    ],
)
def test_names_are_read(text: str, midi: int) -> None:
    assert parse_pitch(text).midi == midi


def test_a_name_without_an_octave_takes_the_one_given() -> None:
    assert parse_pitch("Bb", 2) == parse_pitch("Bb2") == Pitch("B", -1, 2)


@pytest.mark.parametrize(
    "text", ["", "H", "c", "C#b", "G#9", "Cb-1", "C10", "4", "C4 ", "Bbbbbb", "C٤", "1/4"]
)
def test_what_is_no_pitch_is_refused(text: str) -> None:
    assert not is_pitch(text)
    with pytest.raises(Mistake):
        parse_pitch(text)


def test_the_mistake_says_what_was_expected_and_found() -> None:
    with pytest.raises(Mistake, match=r"expected a note name.*found 'H4'"):
        parse_pitch("H4")
    with pytest.raises(Mistake, match="G#9 is outside"):
        parse_pitch("G#9")
    with pytest.raises(Mistake, match="without octave"):
        parse_pitch_class("C4")


@given(pitches)
def test_a_name_reads_back_as_its_pitch(pitch: Pitch) -> None:
    if 0 <= pitch.midi <= 127:
        assert is_pitch(pitch.name)
        assert parse_pitch(pitch.name) == pitch
    assert parse_pitch_class(pitch.pitch_class.name) == pitch.pitch_class
    assert pitch.pitch_class.at(pitch.octave) == pitch
    assert pitch.pitch_class.semitone == pitch.midi % 12


def test_enharmonic_pitches_sound_alike_and_differ() -> None:
    assert parse_pitch("Bb4").midi == parse_pitch("A#4").midi
    assert parse_pitch("Bb4") != parse_pitch("A#4")


@pytest.mark.parametrize(
    ("start", "steps", "semitones", "end"),
    [
        ("A4", 2, 4, "C#5"),
        ("A4", 3, 4, "Db5"),
        ("B4", 1, 1, "C5"),
        ("C4", -1, -1, "B3"),
        ("F4", 3, 6, "B4"),
        ("F4", 4, 6, "Cb5"),
        ("Eb4", 2, 3, "Gb4"),
        ("C4", 7, 12, "C5"),
        ("C4", -9, -15, "A2"),
    ],
)
def test_an_interval_keeps_the_spelling(start: str, steps: int, semitones: int, end: str) -> None:
    assert parse_pitch(start).transpose(steps, semitones).name == end


@given(pitches, intervals, intervals)
def test_transposition_is_a_group(
    pitch: Pitch, first: tuple[int, int], then: tuple[int, int]
) -> None:
    both = (first[0] + then[0], first[1] + then[1])
    assert pitch.transpose(*first).transpose(*then) == pitch.transpose(*both)
    assert pitch.transpose(*first).transpose(-first[0], -first[1]) == pitch
    assert pitch.transpose(*first).midi == pitch.midi + first[1]


@given(pitches, pitches)
def test_the_interval_between_two_pitches_leads_from_one_to_the_other(a: Pitch, b: Pitch) -> None:
    assert a.transpose(*a.interval_to(b)) == b


@given(pitches, intervals)
def test_pitch_classes_transpose_as_their_pitches_do(pitch: Pitch, by: tuple[int, int]) -> None:
    assert pitch.pitch_class.transpose(*by) == pitch.transpose(*by).pitch_class
    assert PitchClass("A").transpose(2, 4) == PitchClass("C", 1)
