"""Chords: their names, numerals, scales, and the way from one to the next."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from server.music.chord import (
    LADDER,
    Chord,
    approach,
    chord_scale,
    chord_tone,
    colours,
    darker,
    extended,
    is_chord,
    is_roman,
    ladder_place,
    parse_chord,
    roman,
    triad,
    voice,
)
from server.music.pitch import PitchClass
from server.music.scale import MODES, Key, parse_key

C = parse_key("C")
PLAIN = "m dim aug 5 sus2 sus4 6 m6 69 7 maj7 m7 mmaj7 dim7 m7b5 aug7 7sus4 7alt 9 maj9 m9 11 13"
CHANGED = "b5 #11 m13 7b9 7#9 7b9#11 add9 madd9 7b5 no3 maj7#11 13b9"
QUALITIES = ["", *PLAIN.split(), *CHANGED.split()]
TRIADS = "I i ii II iii III IV iv V v vi VI vii VII vii° vi° I+ bII #iv° bVI I6 I64 Isus4 Iadd6"
SEVENTHS = "vii°7 viiø7 I7 ii7 V7 IVmaj7 V9 V13 V7b9 ii9 III+7 III+9 bVII7 VII7 imaj7 Idom7"
OTHERS = "V65 V43 V42 ii65 viiø65 V7sus4 V7/V vii°7/vi V65/ii"
NUMERALS = [*TRIADS.split(), *SEVENTHS.split(), *OTHERS.split()]
tonics = st.builds(PitchClass, st.sampled_from("CDEFGAB"), st.integers(-1, 1))
chords = st.builds(Chord, tonics, st.sampled_from(QUALITIES), st.none())
# Keys whose own notes are written without double accidentals, as people write them.
keys = st.builds(Key, tonics, st.sampled_from(list(MODES))).filter(
    lambda key: all(abs(key.degree(n).alteration) <= 1 for n in range(1, len(key) + 1))
)


def spelled(chord: Chord) -> str:
    return " ".join(tone.name for tone in chord.tones)


@pytest.mark.parametrize(
    ("text", "name", "tones"),
    [
        ("C", "C", "C E G"),
        ("Cm", "Cm", "C Eb G"),
        ("C7", "C7", "C E G Bb"),
        ("Cmaj7", "Cmaj7", "C E G B"),
        ("CΔ", "Cmaj7", "C E G B"),
        ("Cm7", "Cm7", "C Eb G Bb"),
        ("C-7", "Cm7", "C Eb G Bb"),
        ("Cdim", "Cdim", "C Eb Gb"),
        ("C°", "Cdim", "C Eb Gb"),
        ("Cdim7", "Cdim7", "C Eb Gb Bbb"),
        ("Cm7b5", "Cm7b5", "C Eb Gb Bb"),
        ("Cø", "Cm7b5", "C Eb Gb Bb"),
        ("Caug", "Caug", "C E G#"),
        ("C+", "Caug", "C E G#"),
        ("Csus2", "Csus2", "C D G"),
        ("Csus4", "Csus4", "C F G"),
        ("C6", "C6", "C E G A"),
        ("C6/9", "C69", "C E G A D"),
        ("Cm6", "Cm6", "C Eb G A"),
        ("C9", "C9", "C E G Bb D"),
        ("Cmaj9", "Cmaj9", "C E G B D"),
        ("Cm9", "Cm9", "C Eb G Bb D"),
        ("C11", "C11", "C E G Bb D F"),
        ("C13", "C13", "C E G Bb D A"),
        ("C7b9", "C7b9", "C E G Bb Db"),
        ("C7#9", "C7#9", "C E G Bb D#"),
        ("C7(b9,#11)", "C7b9#11", "C E G Bb Db F#"),
        ("C7♭9", "C7b9", "C E G Bb Db"),
        ("C9b9", "C9b9", "C E G Bb Db"),
        ("C7b9#9", "C7b9#9", "C E G Bb Db D#"),
        ("Calt", "C7alt", "C E Bb Db D# Ab"),
        ("Cadd9", "Cadd9", "C E G D"),
        ("C/G", "C/G", "C E G"),
        ("C/C", "C", "C E G"),
        ("F(#11)", "F(#11)", "F A C B"),
        ("C(b5)/E", "C(b5)/E", "C E Gb"),
        ("Am7/G", "Am7/G", "A C E G"),
        ("F#m", "F#m", "F# A C#"),
        ("Bbmaj7", "Bbmaj7", "Bb D F A"),
        ("G#dim7", "G#dim7", "G# B D F"),
        ("Ebb", "Ebb", "Ebb Gb Bbb"),
    ],
)
def test_chord_names(text: str, name: str, tones: str) -> None:
    chord = parse_chord(text)
    assert (chord.name, spelled(chord)) == (name, tones)


@pytest.mark.parametrize("text", ["", "H", "c", "Cfoo", "C/", "C/x", "I", "C" * 99, "C7b3"])
def test_what_is_no_chord_is_refused(text: str) -> None:
    assert not is_chord(text)
    with pytest.raises(Mistake):
        parse_chord(text)


@given(chords, st.none() | tonics)
def test_a_chord_reads_back_from_its_name(chord: Chord, bass: PitchClass | None) -> None:
    chord = chord._replace(bass=None if bass == chord.root else bass)
    assert parse_chord(chord.name) == chord


@given(chords)
def test_tones_and_pitch_classes_agree_and_begin_with_the_root(chord: Chord) -> None:
    assert chord.tones[0] == chord.root
    assert tuple(tone.semitone for tone in chord.tones) == chord.pitch_classes
    assert len(set(chord.pitch_classes)) == len(chord.pitch_classes)


@pytest.mark.parametrize(
    ("key", "numerals", "names"),
    [
        ("C", "I ii iii IV V vi vii° vii", "C Dm Em F G Am Bdim Bdim"),
        ("C", "I7 ii7 iii7 IV7 V7 vi7 vii7", "Cmaj7 Dm7 Em7 Fmaj7 G7 Am7 Bm7b5"),
        ("C", "vii°7 viiø7 IVmaj7 I^7 Idom7", "Bdim7 Bm7b5 Fmaj7 Cmaj7 C7"),
        ("C", "V9 ii9 V13 V7b9 I9 vii9", "G9 Dm9 G13 G7b9 Cmaj9 Bm7b5add9"),
        ("C", "iv iv7 II7 III7 bVII bVII7 bVI #iv°", "Fm Fm7 D7 E7 Bb Bb7 Ab F#dim"),
        ("C", "V7/V V/ii vii°/vi V7/bVI vii°7/V", "D7 A G#dim Eb7 F#dim7"),
        ("C", "I6 I64 V65 V43 V42 ii65 viiø65", "C/E C/G G7/B G7/D G7/F Dm7/F Bm7b5/D"),
        ("C", "Isus4 V7sus4 Iadd6 I69 Iadd9 V+", "Csus4 G7sus4 C6 C69 Cadd9 Gaug"),
        ("C minor", "i ii° ii III iv v V VI VII", "Cm Ddim Ddim Eb Fm Gm G Ab Bb"),
        ("C minor", "i7 ii7 V7 VI7 VII7 iv7 imaj7", "Cm7 Dm7b5 G7 Abmaj7 Bb7 Fm7 Cmmaj7"),
        ("C minor", "vii° vii°7 vi° bVI bVII #vii°", "Bdim Bdim7 Adim Ab Bb Bdim"),
        ("A minor", "V7 vii°7 i", "E7 G#dim7 Am"),
        ("C blues", "I7 IV7 V7", "C7 F7 G7"),
        ("C mixolydian", "I7 VII", "C7 Bb"),
        ("C harmonic minor", "III+ III+7 vii°7 i7 V7", "Ebaug Ebaugmaj7 Bdim7 Cmmaj7 G7"),
        ("E locrian", "i° i7 II", "Edim Em7b5 F"),
        ("F# major", "V7 vii° bVII", "C#7 E#dim E"),
    ],
)
def test_roman_numerals(key: str, numerals: str, names: str) -> None:
    chords = [roman(numeral, parse_key(key)) for numeral in numerals.split()]
    assert [chord.name for chord in chords] == names.split()


@pytest.mark.parametrize("numeral", NUMERALS)
@given(key=keys)
@settings(max_examples=20)
def test_a_numeral_means_a_chord_in_every_key(numeral: str, key: Key) -> None:
    chord = roman(numeral, key)
    assert len(chord.pitch_classes) >= 3
    if chord.bass:
        assert chord.bass in chord.tones


@pytest.mark.parametrize(
    "text", ["", "VIII", "Iv", "IIII", "X", "Ifoo", "I/", "V/x", "V/V/V/V/V/V", "1", "b", "iI"]
)
def test_what_is_no_numeral_is_refused(text: str) -> None:
    assert not is_roman(text)
    with pytest.raises(Mistake):
        roman(text, C)


WORKING = "ton sub dom tp sp dp tcp mod"
NUMBERS = [f"n{degree}" for degree in range(1, 8)]
OWN = ["", "5", "6", "69", "7", "9", "11", "13", "add9", "add11", "sus4", "sus2", "7sus4", "9sus4"]


@pytest.mark.parametrize(
    ("key", "numbers", "names"),
    [
        ("C", "n1 n2 n3 n4 n5 n6 n7", "C Dm Em F G Am Bdim"),
        ("C minor", "n1 n2 n3 n4 n5 n6 n7", "Cm Ddim Eb Fm Gm Ab Bb"),
        ("C lydian", "n1 n2 n3 n4 n5 n6 n7", "C D Em F#dim G Am Bm"),
        ("C locrian", "n1 n2 n3 n4 n5 n6 n7", "Cdim Db Ebm Fm Gb Ab Bbm"),
        ("C harmonic minor", "n1 n3 n5 n7", "Cm Ebaug G Bdim"),
        ("C blues", "n1 n4 n17", "Cm Fm Cm7"),
        ("F# dorian", "n1 n4 n7", "F#m B E"),
        ("C", "n57 n17 n27 n77", "G7 Cmaj7 Dm7 Bm7b5"),
        ("C", "n59 n19 n39 n29 n113 n411", "G9 Cmaj9 Em7b9 Dm9 Cmaj13 Fmaj7add9#11"),
        ("C minor", "n57 n59 n19 n67", "Gm7 Gm7b9 Cm9 Abmaj7"),
        ("C", "n1sus4 n1add9 n16 n26 n36 n169", "Csus4 Cadd9 C6 Dm6 Emb6 C69"),
        ("C", "n4sus4 n3sus2 n57sus4 n17sus4 n59sus4", "Fsus2 Esus4 G7sus4 Csus4add7 G9sus4"),
        ("C", "n15 n75 n1no3 n1m n5dom7 n57alt n57b9", "C5 Bmno5 Cno3 Cm G7 G7alt G7b9"),
        ("C", "n1/3 n1/5 n4/5 n5/1 n5/7 n4/c3 n57/c7 n1/b7", "C/E C/G F/G G/C G/B F/A G7/F C/Bb"),
        ("C", "V7/n4 ii7/n4 vii°7/n5 V7/n6 n57/n2 V7/sp dom7/n6", "C7 Gm7 F#dim7 E7 Am7 A7 E7"),
        ("C", "n4/minor n6/minor n2/phrygian n1/harmonic_minor", "Fm Ab Db Cm"),
        ("C", "n5/dark n7/dark n4/bright iv/minor", "Gm Bb F#dim Fm"),
        ("C", "n4/minor/c3 n4/minor/6 V7/minor/n6 V7/n6/minor", "Fm/Ab Fm/Ab Eb7 Eb7"),
        ("C locrian", "n1/dark ton ton7 ton9", "Cdim Cmno5 Cm7no5 Cm7b9no5"),
        ("A minor", "ton sub dom dom7 dom9 domsus4", "Am Dm E E7 E7b9 Esus4"),
        ("C", "dom7/3 sub/1 mod/1", "G7/E F/C F/C"),
    ],
)
def test_nashville_numbers_and_functions(key: str, numbers: str, names: str) -> None:
    chords = [roman(number, parse_key(key)) for number in numbers.split()]
    assert [chord.name for chord in chords] == names.split()
    assert all(map(is_roman, numbers.split()))


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("lydian", "C D G Gmaj7 Am Bm Em Em D"),
        ("major", "C F G G7 Am Dm Em Em F"),
        ("mixolydian", "C F Bb Gm7 Am Dm Gm Am Bb"),
        ("dorian", "Cm F Bb Gm7 Eb Dm Gm Eb F"),
        ("minor", "Cm Fm G G7 Eb Ab Bb Ab Ab"),
        ("phrygian", "Cm Fm Db Bbm7 Eb Ab Bbm Ab Db"),
        ("locrian", "Cmno5 Fm Db Bbm7 Ebm Ab Bbm Ab Gb"),
    ],
)
def test_a_function_is_what_its_table_says(mode: str, names: str) -> None:
    words = ["ton", "sub", "dom", "dom7", "tp", "sp", "dp", "tcp", "mod"]
    assert [roman(word, Key(PitchClass("C"), mode)).name for word in words] == names.split()


@given(tonics, st.sampled_from(LADDER))
def test_no_function_is_diminished_and_only_the_dominant_of_minor_is_borrowed(
    tonic: PitchClass, mode: str
) -> None:
    key = Key(tonic, mode)
    for word in WORKING.split():
        chord = roman(word, key)
        assert chord.quality in ("", "m", "mno5")
        assert set(chord.pitch_classes) <= set(key.pitch_classes) or (mode, word) == (
            "minor",
            "dom",
        )


@given(keys, st.integers(1, 7), st.sampled_from(OWN))
def test_what_a_number_says_is_of_the_key(key: Key, degree: int, more: str) -> None:
    chord = roman(f"n{degree}{more}", key)
    seven = key.heptatonic
    assert chord.root == seven.degree(degree).pitch_class
    ladder = seven.mode in LADDER
    if ladder:
        assert set(chord.pitch_classes) <= set(seven.pitch_classes)
        own = {seven.degree(number).pitch_class for number in range(1, 8)}
        assert set(chord.tones) <= own
    assert extended(roman(f"n{degree}", key), key, more) == chord or not ladder


@given(
    st.sampled_from([*NUMBERS, *WORKING.split()]),
    st.sampled_from([*QUALITIES, *OWN, "7b9", "13#11", "9no5", "maj", "alt", "b5", "dom7", "7sus"]),
    st.sampled_from(["", "/3", "/c5", "/c7", "/b7", "/n5", "/sub", "/dark", "/lydian/c3"]),
    keys,
)
@settings(max_examples=300)
def test_what_is_a_numeral_is_one_in_every_key(head: str, more: str, foot: str, key: Key) -> None:
    text = head + more + foot
    if is_roman(text):
        chord = roman(text, key)
        assert parse_chord(chord.name) == chord
    else:
        assert not is_roman(head + more)


@pytest.mark.parametrize("number", [*NUMBERS, *WORKING.split(), "n57/3", "V7/n4", "dom7/n6"])
@given(key=keys)
@settings(max_examples=20)
def test_a_number_or_function_means_a_chord_in_every_key(number: str, key: Key) -> None:
    chord = roman(number, key)
    assert len(chord.pitch_classes) >= 2
    assert parse_chord(chord.name) == chord


@pytest.mark.parametrize(
    "text",
    [
        "n",
        "n0",
        "n8",
        "n1x",
        "n1/",
        "n1/x",
        "n1/8",
        "/n1",
        "ton/ton/ton/ton/ton",
        "tonic",
        "N1",
        "n",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    assert not is_roman(text)
    with pytest.raises(Mistake):
        roman(text, C)


def test_the_ladder_goes_down_note_by_note_and_has_two_ends() -> None:
    for bright, dark in pairwise(LADDER):
        one, other = Key(PitchClass("C"), bright), Key(PitchClass("C"), dark)
        lowered = sorted(set(one.pitch_classes) ^ set(other.pitch_classes))
        assert len(lowered) == 2
        assert sum(one.pitch_classes) == sum(other.pitch_classes) + 1
        assert darker(one) == other
        assert darker(other, -1) == one
    assert darker(parse_key("C locrian")) == parse_key("C locrian")
    assert darker(parse_key("C lydian"), -9) == parse_key("C lydian")
    assert LADDER[ladder_place(parse_key("C harmonic minor"))] == "minor"
    assert LADDER[ladder_place(parse_key("C blues"))] == "minor"


@given(chords, keys)
def test_a_triad_is_its_own_triad(chord: Chord, key: Key) -> None:
    plain = triad(chord, key)
    assert plain.root == chord.root
    assert triad(plain, key) == plain
    assert len(plain.pitch_classes) == 3


@given(chords, keys)
def test_there_is_always_a_colour(chord: Chord, key: Key) -> None:
    found = colours(chord, key)
    assert found
    assert set(found) <= set(chord_scale(chord, key))


def test_colours_are_the_available_tensions() -> None:
    assert colours(parse_chord("C"), C) == (2, 9, 11)  # and no f, a semitone above e
    assert colours(parse_chord("Dm7"), C) == (4, 11, 7)
    assert colours(parse_chord("G7"), C) == (9, 4, 0)
    assert colours(parse_chord("Em7"), C) == (9,)


@given(
    st.integers(0, 127), st.none() | st.integers(0, 127), keys, st.booleans(), st.integers(-1, 1)
)
def test_an_approach_lies_beside_its_target(
    target: int, previous: int | None, key: Key, step: bool, side: int
) -> None:
    near = approach(target, previous, key, step, side)
    assert 0 <= near <= 127
    assert 0 < abs(near - target) <= (4 if step else 1)
    if step:
        assert key.contains(near)
    if side and 4 < target < 123:
        assert (near > target) == (side > 0)


def test_an_approach_comes_from_the_side_away_from_the_note_before() -> None:
    assert approach(64, 67, C) == 63
    assert approach(64, 60, C) == 65
    assert approach(64, None, C) == 63
    assert approach(65, 72, C, step=True) == 64
    assert approach(64, 72, C, step=True) == 62


def test_tones_by_number() -> None:
    assert [parse_chord("C9").tone(n) for n in (1, 3, 5, 7, 9, 2, 11)] == [0, 4, 7, 10, 2, 2, None]
    assert [chord_tone(parse_chord("Am"), C, n) for n in (1, 3, 5, 7, 9, 11, 13)] == [
        *(9, 0, 4, 7, 11, 2, 5)
    ]
    assert chord_tone(parse_chord("Gsus4"), C, 3) == 0
    assert chord_tone(parse_chord("Fm"), C, 3) == 8
    assert chord_tone(parse_chord("C"), parse_key("C blues"), 7) == 10


@pytest.mark.parametrize(
    ("chord", "notes"),
    [
        ("Dm7", "2 4 5 7 9 11 0"),
        ("Fm", "5 7 8 11 0 2 4"),
        ("D7", "2 4 6 7 9 11 0"),
        ("C7alt", "0 1 3 4 5 7 8 10"),
        ("Gsus4", "7 9 11 0 2 4 5"),
    ],
)
def test_a_chord_colours_the_key(chord: str, notes: str) -> None:
    assert chord_scale(parse_chord(chord), C) == tuple(int(note) for note in notes.split())


@given(chords, keys)
def test_a_chord_scale_holds_every_chord_tone_and_rises_from_the_root(
    chord: Chord, key: Key
) -> None:
    scale = chord_scale(chord, key)
    assert set(chord.pitch_classes) <= set(scale)
    assert scale[0] == chord.root.semitone
    steps = [(note - scale[0]) % 12 for note in scale]
    assert steps == sorted(set(steps))
    for number in (1, 3, 5, 7, 9, 11, 13):
        assert chord_tone(chord, key, number) in scale


@given(keys.filter(lambda key: len(key) == 7), st.integers(1, 7))
def test_a_chord_of_the_key_gives_the_notes_of_the_key(key: Key, degree: int) -> None:
    numeral = ("i", "ii", "iii", "iv", "v", "vi", "vii")[degree - 1]
    own = {key.degree(n).pitch_class for n in range(1, 8)}
    for chord in (roman(numeral, key), roman(numeral.upper(), key)):
        if set(chord.tones) <= own:
            assert set(chord_scale(chord, key)) == set(key.pitch_classes)


PROGRESSIONS = [
    "I vi IV V I",
    "I vi ii V7 I IV vii° iii vi ii V7 I",
    "ii7 V7 I7 IV7 viiø7 V7/vi vi7 V7/ii",
    "I V vi iii IV I IV V7",
    "I bVII IV iv I V7/V V7 I",
    "n1 n4 n2 n57 n1 n6 n3 n4 n1",
    "ton tp sub dom7 ton mod ton sp dom ton",
]


def led(progression: str, key: Key, voices: int = 4) -> list[tuple[int, ...]]:
    sung: list[tuple[int, ...]] = []
    for numeral in progression.split():
        sung.append(voice(roman(numeral, key), sung[-1] if sung else None, voices=voices))
    return sung


@pytest.mark.parametrize("progression", PROGRESSIONS)
@pytest.mark.parametrize("voices", [3, 4, 5])
@pytest.mark.parametrize("tonic", ["C", "Eb", "F#", "A"])
def test_usual_progressions_move_by_small_steps(progression: str, voices: int, tonic: str) -> None:
    sung = led(progression, parse_key(tonic), voices)
    steps = [abs(b - a) for here, then in pairwise(sung) for a, b in zip(here, then, strict=True)]
    assert sum(steps) / len(steps) <= 2
    assert max(steps) <= 7


def test_no_parallel_fifths_or_octaves_in_the_commonest_cadence() -> None:
    for here, then in pairwise(led("I IV V I vi ii V I", C)):
        for low in range(4):
            for high in range(low + 1, 4):
                moved = here[low] != then[low]
                before, after = here[high] - here[low], then[high] - then[low]
                assert not (moved and before == after and before % 12 in (0, 7))


@given(st.lists(chords, min_size=2, max_size=12), st.integers(3, 5))
@settings(max_examples=60)
def test_the_outer_voices_never_move_in_fifths_or_octaves(row: list[Chord], voices: int) -> None:
    sung = [voice(row[0], None, 45, 81, voices)]
    for chord in row[1:]:
        sung.append(voice(chord, sung[-1], 45, 81, voices))
    for here, then in pairwise(sung):
        before, after = (here[-1] - here[0]) % 12, (then[-1] - then[0]) % 12
        moved = here[0] != then[0] and here[-1] != then[-1]
        assert not (moved and before == after and before in (0, 7))


@given(chords, st.integers(3, 6), chords, st.integers(1, 6))
@settings(max_examples=60)
def test_voices_stay_in_range_apart_and_tell_the_chord(
    chord: Chord, voices: int, last: Chord, last_voices: int
) -> None:
    for before in (None, voice(last, None, 45, 81, last_voices)):
        sung = voice(chord, before, 45, 81, voices)
        assert len(sung) == voices
        assert all(45 <= midi <= 81 for midi in sung)
        assert all(a < b for a, b in pairwise(sung))
        sounding = {midi % 12 for midi in sung}
        assert sounding <= set(chord.pitch_classes)
        for number in (3, 7):
            own = chord.tone(number)
            crowded = (number == 3) and chord.tone(11) is not None
            assert own is None or crowded or own in sounding
        if len(chord.pitch_classes) <= voices:
            assert sounding == set(chord.pitch_classes)
        assert all(b - a >= 5 for a, b in pairwise(sung) if a < 48)


def test_first_chords_stand_on_their_root_and_slash_chords_on_their_bass() -> None:
    assert voice(parse_chord("F"))[0] % 12 == 5
    for before in (None, (60, 64, 67, 72)):
        assert voice(parse_chord("F/G"), before)[0] % 12 == 7
        assert voice(parse_chord("C/E"), before)[0] % 12 == 4


def test_a_narrow_range_sings_what_fits() -> None:
    assert voice(parse_chord("C"), None, 60, 64) == (60, 64)
    assert voice(parse_chord("C"), None, 61, 63) == ()
    assert voice(parse_chord("C"), None, 70, 60) == ()


@given(chords, st.lists(st.integers(0, 127), max_size=8), st.integers(0, 127), st.integers(0, 127))
@settings(max_examples=60)
def test_whatever_sounded_before_the_range_is_kept(
    chord: Chord, previous: list[int], low: int, high: int
) -> None:
    sung = voice(chord, tuple(previous), low, high)
    assert all(low <= midi <= high and midi % 12 in chord.pitch_classes for midi in sung)
    if high - low >= 24:
        assert len(sung) == 4
        assert all(a < b for a, b in pairwise(sung))


def test_nothing_drifts_away_in_an_endless_cycle() -> None:
    sung = led("I IV vii° iii vi ii V " * 40, C)
    assert abs(sum(sung[-1]) - sum(sung[0])) <= 24
