"""What held keys are called."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.music.chord import Chord, parse_chord, roman
from server.music.naming import _KNOWN, numeral, recognised
from server.music.pitch import PitchClass
from server.music.scale import parse_key
from server.score.themes import _chords


@given(
    st.sampled_from(_KNOWN),
    st.integers(0, 11),
    st.lists(st.integers(0, 2), min_size=8, max_size=8),
)
def test_a_chord_on_its_root_has_the_tones_that_are_held(
    quality: str, up: int, octaves: list[int]
) -> None:
    chord = Chord(PitchClass("C", 0), quality)
    low = 36 + up
    held = [
        low,
        *(low + t + 12 * n for t, n in zip(chord.pitch_classes[1:], octaves, strict=False)),
    ]
    named = recognised(held)
    assert named is not None
    assert set(named.pitch_classes) == {pitch % 12 for pitch in held}


@given(st.sets(st.integers(0, 127), max_size=10))
def test_whatever_is_held_has_a_name_that_can_be_read(held: set[int]) -> None:
    named = recognised(held)
    if named is None:
        assert len({pitch % 12 for pitch in held}) < 2
    else:
        assert parse_chord(named.name).pitch_classes == named.pitch_classes
        assert named.root.semitone % 12 in {pitch % 12 for pitch in held}


@pytest.mark.parametrize(
    ("held", "key", "name"),
    [
        ((60, 64, 67), "C major", "C"),
        ((64, 67, 72), "C major", "C/E"),
        ((57, 60, 64, 67), "C major", "Am7"),
        ((60, 64, 67, 69), "C major", "C6"),
        ((59, 62, 65, 67), "C major", "G7/B"),
        ((48, 60, 64, 70), "F major", "C7"),  # without its fifth
        ((60, 67), "C major", "C5"),
        ((60, 63), "C minor", "Cm"),
        ((58, 62, 65), "F major", "Bb"),
        ((54, 58, 61), "B major", "F#"),
        ((61, 64, 68), "A major", "C#m"),
        ((61, 65, 68), "Ab major", "Db"),
        ((62, 65, 69, 72, 76), "C major", "Dm9"),
    ],
)
def test_names_are_what_players_call_them(held: tuple[int, ...], key: str, name: str) -> None:
    named = recognised(held, parse_key(key))
    assert named is not None and named.name == name


@given(
    st.sampled_from(["C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]),
    st.sampled_from(_KNOWN),
    st.sampled_from(["C", "F#", "Eb", "A"]),
    st.sampled_from(["major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian"]),
)
def test_a_numeral_is_the_chord_again_and_a_theme_can_have_it(
    root: str, quality: str, tonic: str, mode: str
) -> None:
    chord, key = parse_chord(root + (f"({quality})" if quality[:1] in "b#" else quality)), tonic
    text = numeral(chord, parse_key(f"{key} {mode}"))
    again = parse_chord(text) if text == chord.name else roman(text, parse_key(f"{key} {mode}"))
    assert again.root.semitone % 12 == chord.root.semitone % 12
    assert again.pitch_classes == chord.pitch_classes
    assert _chords(f"{text}:1/1") == ((text, Fraction(4)),)


def test_a_keys_own_chords_are_numbers_that_follow_its_mode() -> None:
    key = parse_key("D dorian")
    assert [numeral(parse_chord(c), key) for c in ("Dm", "G7", "F", "Bb", "A7")] == [
        *("n1", "n47", "n3", "bVI", "V7"),
    ]
