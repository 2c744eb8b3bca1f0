"""Keys spell their degrees, and a degree means what a musician expects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.pitch import PitchClass, parse_pitch
from server.music.scale import MODES, Degree, Key, is_degree, parse_degree, parse_key

tonics = st.builds(PitchClass, st.sampled_from("CDEFGAB"), st.integers(-1, 1))
keys = st.builds(Key, tonics, st.sampled_from(list(MODES)))
sevens = keys.filter(lambda key: len(key) == 7)
midis = st.integers(0, 127)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("C", "C major"),
        ("Am", "A minor"),
        ("D dorian", "D dorian"),
        ("F# minor", "F# minor"),
        ("Eb major", "Eb major"),
        ("E♭ Major", "Eb major"),
        ("Bbm", "Bb minor"),
        ("a minor", "A minor"),
        ("bb minor", "Bb minor"),
        ("G ionian", "G major"),
        ("A aeolian", "A minor"),
        ("C harmonic_minor", "C harmonic minor"),
        ("  C   minor   pentatonic ", "C minor pentatonic"),
        ("D hijaz", "D phrygian dominant"),
        ("B blues", "B blues"),
    ],
)
def test_keys_are_read(text: str, name: str) -> None:
    assert parse_key(text).name == name


@pytest.mark.parametrize("text", ["", "H", "a", "C foo", "Cdorian", "4", "D dorain", "C minor x"])
def test_what_is_no_key_is_refused_with_all_the_modes(text: str) -> None:
    with pytest.raises(Mistake, match=r"major, minor, dorian.*chromatic"):
        parse_key(text)


def test_a_slip_is_answered_with_the_nearest_mode() -> None:
    with pytest.raises(Mistake, match="did you mean 'dorian'"):
        parse_key("D dorain")
    with pytest.raises(Mistake, match="no mode 'foo'"):
        Key(PitchClass("C"), "foo")


@given(keys)
def test_a_key_reads_back_from_its_name(key: Key) -> None:
    assert parse_key(key.name) == key
    assert hash(parse_key(key.name)) == hash(key)


@pytest.mark.parametrize(
    ("key", "notes"),
    [
        ("C", "C4 D4 E4 F4 G4 A4 B4 C5"),
        ("Bb major", "Bb4 C5 D5 Eb5 F5 G5 A5 Bb5"),
        ("F# minor", "F#4 G#4 A4 B4 C#5 D5 E5 F#5"),
        ("D dorian", "D4 E4 F4 G4 A4 B4 C5 D5"),
        ("E phrygian", "E4 F4 G4 A4 B4 C5 D5 E5"),
        ("A harmonic minor", "A4 B4 C5 D5 E5 F5 G#5 A5"),
        ("D phrygian dominant", "D4 Eb4 F#4 G4 A4 Bb4 C5 D5"),
        ("A hungarian minor", "A4 B4 C5 D#5 E5 F5 G#5 A5"),
        ("A minor pentatonic", "A4 C5 D5 E5 G5 A5"),
        ("C blues", "C4 Eb4 F4 Gb4 G4 Bb4 C5"),
        ("C whole tone", "C4 D4 E4 F#4 G#4 Bb4 C5"),
        ("C octatonic", "C4 D4 Eb4 F4 Gb4 Ab4 A4 B4 C5"),
        ("Gb locrian", "Gb4 Abb4 Bbb4 Cb5 Dbb5 Ebb5 Fb5 Gb5"),
    ],
)
def test_degrees_are_properly_spelled(key: str, notes: str) -> None:
    read = parse_key(key)
    assert " ".join(read.degree(n).name for n in range(1, len(read) + 2)) == notes


@given(keys, st.integers(-30, 30), st.integers(-2, 2), st.integers(0, 8))
def test_degrees_repeat_at_the_octave_and_rise(key: Key, n: int, a: int, octave: int) -> None:
    pitch = key.degree(n, a, octave)
    assert key.degree(n + len(key), a, octave) == key.degree(n, a, octave + 1)
    assert key.degree(n + len(key), a, octave) == pitch._replace(octave=pitch.octave + 1)
    assert key.degree(n).midi < key.degree(n + 1).midi
    assert key.degree(1, octave=octave) == key.tonic.at(octave)


@given(sevens)
def test_scales_of_seven_use_every_letter_once(key: Key) -> None:
    assert {key.degree(n).letter for n in range(1, 8)} == set("ABCDEFG")


@pytest.mark.parametrize(
    ("key", "degree", "note"),
    [
        ("C", "b3", "Eb4"),
        ("C minor", "b3", "Eb4"),
        ("C minor", "3", "Eb4"),
        ("C minor", "#3", "E4"),
        ("C minor", "#7", "B4"),
        ("C minor", "+7", "B4"),
        ("C minor", "bb7", "Bbb4"),
        ("C dorian", "b6", "Ab4"),
        ("C lydian", "#4", "F#4"),
        ("C lydian", "b4", "F4"),
        ("C", "#4", "F#4"),
        ("C", "8", "C5"),
        ("C", "14", "B5"),
        ("C", "5,", "G3"),
        ("C", "1''", "C6"),
        ("C", "b3'", "Eb5"),
        ("C minor pentatonic", "2", "Eb4"),
        ("C minor pentatonic", "b2", "Ebb4"),
        ("C minor pentatonic", "6", "C5"),
    ],
)
def test_written_degrees(key: str, degree: str, note: str) -> None:
    assert parse_key(key).pitch(parse_degree(degree)) == parse_pitch(note)


@given(
    st.builds(Degree, st.integers(1, 14), st.integers(-3, 3), st.integers(-9, 9)),
)
def test_a_degree_reads_back_from_its_name(degree: Degree) -> None:
    assert is_degree(degree.name)
    assert parse_degree(degree.name) == degree


@pytest.mark.parametrize("text", ["", "0", "15", "3b", "b", "1',", "b#3", "1/4", "C", "-1", "١"])
def test_what_is_no_degree_is_refused(text: str) -> None:
    assert not is_degree(text)
    with pytest.raises(Mistake, match="expected a scale degree"):
        parse_degree(text)


@given(keys, midis)
def test_a_key_contains_exactly_its_degrees(key: Key, midi: int) -> None:
    degrees = {key.degree(n).midi % 12 for n in range(1, len(key) + 1)}
    assert key.contains(midi) == (midi % 12 in degrees)
    assert degrees == set(key.pitch_classes)
    assert key.pitch_classes[0] == key.tonic.semitone


@given(keys, midis)
def test_the_nearest_note_is_in_the_scale_and_none_is_nearer(key: Key, midi: int) -> None:
    nearest = key.nearest(midi)
    assert key.contains(nearest)
    assert key.nearest(nearest) == nearest
    within = (m for m in range(128) if key.contains(m))
    assert abs(nearest - midi) == min(abs(m - midi) for m in within)


def test_of_two_as_near_the_lower_is_taken() -> None:
    assert parse_key("C").nearest(61) == 60


@given(keys, midis, st.integers(0, 8))
def test_every_pitch_has_a_degree_that_leads_back_to_it(key: Key, midi: int, octave: int) -> None:
    degree = key.degree_of(midi, octave)
    assert key.pitch(degree, octave).midi == midi
    assert 1 <= degree.number <= len(key)
    assert key.contains(midi) == (degree.alteration == 0)


def test_notes_outside_a_key_are_called_as_musicians_call_them() -> None:
    major, minor = parse_key("C"), parse_key("C minor")
    assert [major.degree_of(m).name for m in (61, 63, 66, 68, 70)] == ["b2", "b3", "#4", "b6", "b7"]
    assert [minor.degree_of(m).name for m in (64, 66, 69, 71)] == ["#3", "#4", "#6", "#7"]


@given(keys)
def test_harmony_stands_on_seven_notes(key: Key) -> None:
    assert len(key.heptatonic) == 7
    assert key.heptatonic.tonic == key.tonic
    if len(key) == 7:
        assert key.heptatonic is key


def test_scales_without_seven_notes_borrow_harmony_after_their_third() -> None:
    harmony = {name: parse_key(f"C {name}").heptatonic.mode for name in MODES}
    assert harmony["blues"] == harmony["minor pentatonic"] == harmony["hirajoshi"] == "minor"
    assert harmony["major pentatonic"] == harmony["whole tone"] == harmony["chromatic"] == "major"
