"""Harmony that goes somewhere: its laws in every mode, and what config/harmony fills."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import engine_class
from engines.base import Controls, Mistake
from server.conductor.harmony import (
    CADENCES,
    Cadence,
    Planned,
    bridge,
    cadence,
    dissonance,
    distance,
    enrich,
    measured,
    movement,
    numeral,
    parallel,
    pivots,
    secondary,
    simplify,
    substitutes,
    tension,
)
from server.ensemble.reading import Harmony, Reading, Struck
from server.music.chord import LADDER, Chord, parse_chord, roman, triad, voice
from server.music.meter import Meter, parse_meter
from server.music.pitch import PitchClass
from server.music.scale import MODES, Key, parse_key

C = parse_key("C")
FOLDER = Path(__file__).parents[3] / "config" / "harmony"
#: `theme` has no chords of its own: a scene's themes have them.
FILES = sorted(path for path in FOLDER.glob("*.toml") if path.stem != "theme")
tonics = st.builds(PitchClass, st.sampled_from("CDEFGAB"), st.integers(-1, 1))
ladder_keys = st.builds(Key, tonics, st.sampled_from(LADDER))
# Keys whose own notes are written without double accidentals, as people write them.
keys = st.builds(Key, tonics, st.sampled_from(list(MODES))).filter(
    lambda key: all(abs(key.degree(n).alteration) <= 1 for n in range(1, len(key) + 1))
)
words = st.sampled_from([*(f"n{n}" for n in range(1, 8)), "dom", "V7/n5", "n57", "bVI", "n4/minor"])
meters = st.sampled_from([parse_meter(text) for text in ("4/4", "3/4", "6/8", "7/8", "5/4", "2/2")])
unit = st.floats(0, 1)


def names(plan: tuple[Planned, ...]) -> str:
    return " ".join(planned.chord.name for planned in plan)


# Tension -------------------------------------------------------------------------------------


def test_distances_are_lerdahl_s() -> None:
    home = roman("I", C)
    steps = [distance(home, roman(f"n{n}", C), C) for n in range(1, 8)]
    assert steps == [0, 8, 7, 5, 5, 7, 8]


def test_tension_orders_chords_as_musicians_do() -> None:
    rising = ["n1", "n5", "n6", "n57", "V7/n5", "n57alt"]
    measured_ = [tension(roman(word, C), C) for word in rising]
    assert measured_ == sorted(measured_)
    rough = [dissonance(parse_chord(name)) for name in ("C5", "C", "Cdim", "C7", "C7b9", "C7alt")]
    assert rough == sorted(rough)
    assert rough[0] == 0
    assert dissonance(parse_chord("C")) == dissonance(parse_chord("Cm"))
    assert tension(roman("I", C), C, roman("V7", C)) < tension(roman("V7", C), C, roman("I", C))
    assert movement(roman("I", C), roman("vi", C)) == 2


@given(keys, words, st.none() | words)
def test_tension_is_a_share_and_more_notes_never_relax_a_chord(
    key: Key, word: str, before: str | None
) -> None:
    chord = roman(word, key)
    previous = roman(before, key) if before else None
    assert 0 <= tension(chord, key, previous) <= 1
    more = chord._replace(quality="7b9") if chord.quality in ("", "7") else chord
    assert dissonance(more) >= dissonance(chord)


# Richer and plainer --------------------------------------------------------------------------


@given(ladder_keys, words, unit, unit, unit, unit, st.integers(0, 50))
@settings(max_examples=200)
def test_more_extension_or_dissonance_is_never_less_tense(
    key: Key, word: str, wide: float, rough: float, wider: float, rougher: float, choice: int
) -> None:
    chord = roman(word, key)
    wide, wider = sorted((wide, wider))
    rough, rougher = sorted((rough, rougher))
    less = enrich(chord, key, wide, rough, choice)
    more = enrich(chord, key, wider, rougher, choice)
    assert tension(chord, key) <= tension(less, key) <= tension(more, key)


@given(ladder_keys, st.integers(1, 7), unit, unit, st.integers(0, 50))
@settings(max_examples=200)
def test_enriching_keeps_the_function_and_the_key(
    key: Key, degree: int, wide: float, rough: float, choice: int
) -> None:
    chord = roman(f"n{degree}", key)
    rich = enrich(chord, key, wide, rough, choice)
    assert (rich.root, rich.bass) == (chord.root, chord.bass)
    dominant = (chord.root.semitone - key.tonic.semitone) % 12 == 7 and chord.quality == ""
    assert set(rich.pitch_classes) <= set(key.pitch_classes) or dominant
    third = chord.tone(3)
    assert third in rich.pitch_classes or "sus" in rich.quality
    assert enrich(chord, key, choice=choice) == chord


def test_the_vocabulary_grows_with_the_mood() -> None:
    def rich(wide: float, rough: float = 0) -> list[str]:
        return [enrich(roman(f"n{n}", C), C, wide, rough).name for n in (1, 2, 5)]

    assert rich(0) == ["C", "Dm", "G"]
    assert rich(0.35) == ["Cmaj7", "Dm7", "G7"]
    assert rich(0.65) == ["Cmaj9", "Dm9", "G9"]
    assert rich(1)[2] == "G13"
    assert rich(0.5, 1)[2] == "G7alt"
    alike = {enrich(roman("n1", C), C, 0.6, 0, choice).name for choice in range(1, 30)}
    assert len(alike) > 2


@given(keys, words, unit, unit)
def test_simplifying_gives_a_triad(key: Key, word: str, wide: float, rough: float) -> None:
    chord = roman(word, key)
    plain = simplify(enrich(chord, key, wide, rough), key)
    assert plain == simplify(plain, key) == triad(plain, key)
    assert plain.root == chord.root


def test_substitutes_are_those_of_the_books() -> None:
    def found(word: str, key: Key = C) -> set[str]:
        return {chord.name for chord, _ in substitutes(roman(word, key), key)}

    assert found("n1") == {"Em", "Am", "Cm"}
    assert found("n4") == {"Dm", "Am", "Fm"}
    assert found("n57") == {"Em", "Db7", "Gm"}
    assert found("V7/n5") == {"Ab7"}
    assert secondary(roman("ii", C), C).name == "A7"
    assert secondary(roman("n5", parse_key("F#")), parse_key("F#")).name == "G#7"


@given(keys, words)
def test_substitutes_share_two_tones_a_tritone_or_a_degree(key: Key, word: str) -> None:
    chord = roman(word, key)
    plain = triad(chord, key)
    for other, why in substitutes(chord, key):
        shared = set(other.pitch_classes) & set(plain.pitch_classes)
        away = (other.root.semitone - plain.root.semitone) % 12
        assert len(shared) == 2 if "relative" in why else True
        assert away == 6 if "tritone" in why else True
        assert other.root.letter == plain.root.letter if "borrowed" in why else True


# Keys ------------------------------------------------------------------------------------------


def test_parallel_keys_by_name() -> None:
    assert parallel(C, "dorian").name == "C dorian"
    with pytest.raises(Mistake):
        parallel(C, "purple")


@given(keys, words)
def test_a_numeral_names_its_root(key: Key, word: str) -> None:
    name = numeral(roman(word, key), key)
    assert name
    if "°" not in name and "dim" not in name and roman(word, key).bass is None:
        again = roman(name.partition("/")[0].rstrip("0123456789"), key) if name.isalpha() else None
        assert again is None or again.root.semitone == roman(word, key).root.semitone


def test_numerals() -> None:
    def called(name: str, key: str = "C") -> str:
        return numeral(parse_chord(name), parse_key(key))

    assert [called(name) for name in ("C", "Dm7", "G7", "Bdim", "Bb", "Fm", "C/E")] == [
        *("I", "ii7", "V7", "vii°", "bVII", "iv", "I/3")
    ]
    assert [called(name, "C minor") for name in ("Ab", "G7", "Dm7b5")] == ["VI", "V7", "ii7b5"]


# Cadences and bridges ----------------------------------------------------------------------------


def fills(plan: tuple[Planned, ...], beats: Fraction) -> None:
    at = Fraction(0)
    for planned in plan:
        assert planned.at == at
        assert planned.length > 0
        assert planned.words
        at += planned.length
    assert at == beats


halves = st.integers(1, 32).map(lambda count: Fraction(count, 2))


@given(keys, st.sampled_from(CADENCES), halves, meters)
def test_a_cadence_fills_its_time_and_ends_as_it_says(
    key: Key, kind: Cadence, beats: Fraction, meter: Meter
) -> None:
    plan = cadence(key, kind, beats, meter)
    fills(plan, beats)
    last = plan[-1].chord
    home = roman("ton", key)
    if kind in ("full", "plagal"):
        assert last == home
    if kind == "half":
        assert last == roman("dom", key)
    if kind == "deceptive":
        assert last.root != home.root
        if key.mode in LADDER:
            assert last.quality in ("", "m")
    if kind == "open":
        assert last.root == roman("domsus4", key).root


def test_cadences_by_name() -> None:
    found = {mode: names(cadence(Key(PitchClass("C"), mode))) for mode in LADDER}
    assert found == {
        "lydian": "D7 Gmaj7 C",
        "major": "Dm7 G7 C",
        "mixolydian": "Dm7 Gm7 C",
        "dorian": "Dm7 Gm7 Cm",
        "minor": "Dm7b5 G7 Cm",
        "phrygian": "Fm7 Bbm7 Cm",
        "locrian": "Fm7 Bbm7 Cmno5",
    }
    lengths = [planned.length for planned in cadence(C)]
    assert lengths == [1, 1, 2]
    waltz = cadence(C, "plagal", Fraction(3), parse_meter("3/4"))
    assert [planned.at for planned in waltz] == [0, 2]
    with pytest.raises(Mistake):
        cadence(C, "full", Fraction(0))


@given(keys, keys, halves, meters, st.sampled_from([None, 1, 2, 4]))
@settings(max_examples=300)
def test_a_bridge_fills_its_time_and_ends_on_the_new_dominant(
    old: Key, new: Key, beats: Fraction, meter: Meter, count: int | None
) -> None:
    plan = bridge(old, new, beats, meter, count)
    fills(plan, beats)
    assert len(plan) == count or count is None
    assert plan[-1].chord in (roman("dom7", new), roman("dom", new))
    assert all(planned.chord.tones for planned in plan)


@given(ladder_keys, ladder_keys)
def test_a_pivot_is_of_both_keys(old: Key, new: Key) -> None:
    for chord in pivots(old, new):
        tones = set(chord.pitch_classes)
        assert tones <= set(old.pitch_classes) & set(new.pitch_classes)
    if old.pitch_classes[0] == new.pitch_classes[0]:
        steps = abs(LADDER.index(old.mode) - LADDER.index(new.mode))
        assert pivots(old, new) or steps > 2


@given(ladder_keys, ladder_keys)
@settings(max_examples=100)
def test_a_bridge_is_led_by_small_steps(old: Key, new: Key) -> None:
    chords = [roman("ton", old), *(p.chord for p in bridge(old, new, Fraction(8)))]
    chords.append(roman("ton", new))
    sung = [voice(chords[0])]
    for chord in chords[1:]:
        sung.append(voice(chord, sung[-1]))
    steps = [abs(b - a) for here, then in pairwise(sung) for a, b in zip(here, then, strict=True)]
    assert sum(steps) / len(steps) <= 3


def test_bridges_by_name() -> None:
    def found(old: str, new: str, count: int) -> str:
        return names(bridge(parse_key(old), parse_key(new), count=count))

    assert found("C", "G", 1) == "D7"
    assert found("C", "G", 2) == "Am D7"
    assert found("C", "G", 4) == "C Am7 Dsus4 D7"
    assert found("A minor", "C", 4) == "F Dm7 Gsus4 G7"
    assert found("C", "C minor", 2) == "Dm7b5 G7"
    assert found("C dorian", "D dorian", 2) == "F Am7"
    assert found("C", "F#", 4).endswith("D#7 G#m7 C#7")
    assert bridge(C, parse_key("G"))[0].words == "vi of C major is ii of G major: pivot"
    with pytest.raises(Mistake):
        bridge(C, C, count=3)


# The rule texts ----------------------------------------------------------------------------------


@cache
def rules(path: Path) -> tuple[Any, Reading]:
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    table.pop("title")
    name, reading = table.pop("engine"), Reading.of(table.pop("reading", {}))
    if name != "markov":
        table["after"] = "stop"
    return engine_class(name)(**table), reading


def derived(path: Path, seed: int, values: Mapping[str, float]) -> list[tuple[str, Fraction]]:
    """One derivation (of a chain, one phrase): each chord and its length."""
    engine, reading = rules(path)
    found: list[tuple[str, Fraction]] = []
    for symbol in engine.symbols(Random(seed), Controls(values)):
        for word in reading.words(symbol.name) or ():
            assert isinstance(word, Struck)
            assert word.length is not None, symbol.name
            (atom,) = word.hit.atoms
            assert isinstance(atom, Harmony)
            found.append((atom.text, word.length))
        if len(found) == getattr(engine, "phrase", None):
            break
    return found


def situations(count: int) -> Iterator[tuple[int, dict[str, float]]]:
    for seed in range(count):
        rng = Random(f"situation {seed}")
        if seed % 2:
            yield seed, {}
            continue
        lefts = [1, 2, 3, 4, 5, 6, 7, 8, 12]
        values: dict[str, float] = {name: rng.random() for name in ("tension", "energy")}
        values |= {"arousal": rng.uniform(-1, 1), "phrase_left": rng.choice(lefts), "phrase_bar": 2}
        yield seed, values


BARS = {"blues": 12, "minor-blues": 12, "chain": 4, "tree": 16}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_derivation_fills_whole_bars_and_what_is_left_of_the_phrase(path: Path) -> None:
    for seed, values in situations(200):
        bars = sum((length for _, length in derived(path, seed, values)), Fraction(0)) / 4
        left = values.get("phrase_left", 8)
        if path.stem in BARS:
            assert bars == BARS[path.stem]
        else:
            assert bars.denominator == 1
            assert 1 <= bars <= left
            assert bars == left or left not in (1, 2, 4, 8)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_two_seeds_need_be_alike(path: Path) -> None:
    found = {tuple(derived(path, seed, {})) for seed in range(40)}
    assert len(found) > (4 if path.stem not in ("tree", "minor-blues") else 0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_pad_is_led_smoothly_through_every_progression_in_every_mode(path: Path) -> None:
    rows = sorted({tuple(word for word, _ in derived(path, *each)) for each in situations(24)})
    steps = moves = 0
    for mode in LADDER:
        for tonic in ("C", "Eb", "F#", "A"):
            key = Key(parse_key(tonic).tonic, mode)
            for row in rows:
                chords: list[Chord] = [roman(word, key) for word in row]
                sung = [voice(chords[0], None, 52, 76)]
                for chord in chords[1:]:
                    sung.append(voice(chord, sung[-1], 52, 76))
                for here, then in pairwise(sung):
                    steps += sum(abs(b - a) for a, b in zip(here, then, strict=True))
                    moves += len(then)
                    before, after = (here[-1] - here[0]) % 12, (then[-1] - then[0]) % 12
                    both = here[0] != then[0] and here[-1] != then[-1]
                    assert not (both and before == after and before in (0, 7)), (key.name, row)
    assert steps / moves <= 2


@pytest.mark.parametrize("bar", [Fraction(3), Fraction(7, 2), Fraction(5)])
def test_texts_are_measured_for_other_bars(bar: Fraction) -> None:
    text = "A -> n1:1/1 V7/n5:1/2 n5:1/4. n1:1/8 n1/3:1/1"
    lengths = {"1/1": Fraction(4), "1/2": Fraction(2), "1/4.": Fraction(3, 2)}
    lengths["1/8"] = Fraction(1, 2)
    reading = Reading({})
    scaled = []
    for token in measured(text, bar).split()[2:]:
        (word,) = reading.words(token) or ()
        assert isinstance(word, Struck)
        scaled.append(word.length)
    plain = [lengths[token.split(":")[1]] for token in text.split()[2:]]
    assert scaled == [length * bar / 4 for length in plain]
    assert measured(text, Fraction(4)) == text
