"""The measures on scores so small that the right answer is known."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import log2, log10
from pathlib import Path
from random import Random

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.listening import measures as m
from scripts.listening import predictor, report, scenes
from scripts.listening import walk as w
from scripts.listening.__main__ import main
from scripts.listening.corpus import chorale, spread
from scripts.listening.figures import (
    divergence,
    jaccard,
    pearson,
    percentile,
    ranks,
    slopes,
    spearman,
)
from scripts.listening.recall import Recall, recalled, statements
from scripts.listening.score import (
    LADDER,
    ChordSpan,
    KeySpan,
    Score,
    Section,
    find_key,
    from_notes,
    ladder,
    read_midi,
    score_of,
    skyline,
)
from server.music.meter import parse_meter
from server.music.scale import parse_key
from server.score.scene import find_scene, load_scene, parse_scene
from server.takes.roll import draw

Row = tuple[str, float, float, int, float]
C_MAJOR = KeySpan(0.0, "C major", 0, frozenset(parse_key("C major").pitch_classes))
C_CHORD = ChordSpan(0.0, "C", frozenset({0, 4, 7}))


def line(
    *pitches: int, length: float = 1.0, part: str = "melody", begin: float = 0.0, gate: float = 1.0
) -> list[Row]:
    """Notes one after another."""
    return [(part, begin + at * length, length * gate, p, 0.5) for at, p in enumerate(pitches)]


def chords(*each: tuple[int, ...], length: float = 4.0, part: str = "pad") -> list[Row]:
    """Chords one after another."""
    return [(part, at * length, length, p, 0.5) for at, row in enumerate(each) for p in row]


def score(
    *notes: list[Row],
    meter: str = "4/4",
    bpm: float = 120.0,
    keys: tuple[KeySpan, ...] = (C_MAJOR,),
    harmony: tuple[ChordSpan, ...] = (C_CHORD,),
    sections: tuple[Section, ...] = (),
) -> Score:
    """A score of rows of notes; the parts' names are their roles."""
    found = from_notes(
        [row for rows in notes for row in rows], [(0.0, parse_meter(meter))], [(0.0, bpm)]
    )
    fields = {name: getattr(found, name) for name in ("notes", "roles", "bars", "end", "seconds")}
    return Score(
        **fields, tempos=found.tempos, keys=keys, chords=harmony, sections=sections, phrase=4
    )


# Figures ------------------------------------------------------------------------------------


def test_ranks_share_ties_and_spearman_sees_order_only() -> None:
    assert ranks([10, 30, 20, 20]) == [1, 4, 2.5, 2.5]
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3], [5, 5, 5]) == 0
    # A worked example: two of five neighbours exchanged, 1 - 6·2/(5·24).
    assert spearman([1, 2, 3, 4, 5], [2, 1, 3, 4, 5]) == pytest.approx(0.9)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_correlation_stays_within_one(values: list[float]) -> None:
    other = [value * value - value for value in values]
    assert -1 - 1e-9 <= pearson(values, other) <= 1 + 1e-9
    assert -1 - 1e-9 <= spearman(values, other) <= 1 + 1e-9


def test_slopes_part_two_causes() -> None:
    xs, zs = [0.0, 1.0, 0.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0, 5.0]
    found = slopes([3 * x - 2 * z + 7 for x, z in zip(xs, zs, strict=True)], xs, zs)
    assert found == pytest.approx((3, -2))


def test_divergence_is_none_for_the_same_and_one_bit_for_strangers() -> None:
    assert divergence({1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}) == 0
    assert divergence({1: 1.0}, {2: 1.0}) == pytest.approx(1)


def test_percentiles_and_jaccard() -> None:
    assert percentile([4, 1, 3, 2, 5], 0.5) == 3
    assert percentile([0, 10], 0.95) == pytest.approx(9.5)
    assert spread([float(n) for n in range(101)]) == (5, 50, 95)
    assert jaccard(frozenset({1, 2}), frozenset({2, 3})) == pytest.approx(1 / 3)
    assert jaccard(frozenset(), frozenset()) == 1


# Scores -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", LADDER)
@pytest.mark.parametrize("tonic", [0, 7, 10])
def test_each_mode_has_its_rung(mode: str, tonic: int) -> None:
    found = [0.0] * 12
    for each in parse_key(f"C {mode}").pitch_classes:
        found[(tonic + each) % 12] = 1.0
    assert ladder(found, tonic) == LADDER[mode]


def test_the_ladder_has_places_between() -> None:
    """Dorian with as much of the minor sixth as of the major stands between Dorian and Aeolian."""
    found = [0.0] * 12
    for each in (0, 2, 3, 5, 7, 8, 9, 10):
        found[each] = 1.0
    assert ladder(found, 0) == -0.5
    assert ladder([1.0, *[0.0] * 11], 0) == 0  # a tonic alone says nothing


@pytest.mark.parametrize(
    ("pitches", "name"),
    [
        ((60, 62, 64, 65, 67, 69, 71, 72, 67, 64, 60), "C major"),
        ((67, 69, 71, 72, 74, 76, 78, 79, 74, 71, 67), "G major"),
        ((57, 59, 60, 62, 64, 65, 67, 69, 64, 60, 57), "A minor"),
    ],
)
def test_keys_are_found(pitches: tuple[int, ...], name: str) -> None:
    assert find_key(score(line(*pitches)).notes).name == name


def test_chords_are_found_by_half_bars() -> None:
    rows = chords((48, 64, 67), (41, 57, 60), (43, 59, 62, 65), (45, 60, 64), length=2.0)
    found = from_notes(rows, [(0.0, parse_meter("4/4"))])
    assert [(c.begin, c.name) for c in found.chords] == [(0, "C"), (2, "F"), (4, "G7"), (6, "Am")]


def test_the_melody_is_what_is_on_top() -> None:
    under = [("melody", 0.5, 1.0, 60, 0.5), ("melody", 0.0, 1.0, 55, 0.5)]
    found = skyline(score(line(72, 74), under).notes)
    assert [note.pitch for note in found] == [72, 74]


def test_roles_are_guessed_where_nobody_gives_them() -> None:
    rows = [
        *chords((60, 64, 67), (59, 62, 67), part="a"),
        *chords((60, 64, 67), (59, 62, 67), length=1.0, part="b"),
        *line(36, 43, part="c"),
        *line(60, 64, 67, 64, 60, 64, 67, part="d"),
        *line(72, 71, part="e"),
        ("e", 2.0, 2.0, 69, 0.5),
        ("e", 4.0, 1.0, 67, 0.5),
        *line(72, 71, part="counter"),
    ]
    found = from_notes(rows, [(0.0, parse_meter("4/4"))])
    roles = {"a": "pad", "b": "comp", "c": "bass", "d": "arp", "e": "melody"}
    assert found.roles == {**roles, "counter": "counter"}


def test_bars_keep_their_metres_and_strong_places() -> None:
    rows = line(*[60] * 14)
    found = from_notes(rows, [(0.0, parse_meter("3/4")), (6.0, parse_meter("4/4"))])
    assert [bar.begin for bar in found.bars] == [0, 3, 6, 10]
    assert [found.weight(beat) for beat in (0, 1, 3, 6, 7, 8, 8.5)] == [
        1,
        0.5,
        1,
        1,
        0.5,
        0.75,
        0.25,
    ]
    assert [found.bar_at(beat) for beat in (0, 2.99, 5.999, 9.5, 13)] == [0, 1, 2, 2, 3]


def test_a_file_is_read_with_its_metre_tempo_and_drums(tmp_path: Path) -> None:
    file = mido.MidiFile(ticks_per_beat=96)
    for channel, pitches in ((0, (60, 64)), (9, (36, 38))):
        track = mido.MidiTrack()
        track.append(mido.MetaMessage("time_signature", numerator=3, denominator=4))
        track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(90)))
        for pitch in pitches:
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=64))
            track.append(mido.Message("note_on", channel=channel, note=pitch, velocity=0, time=144))
        file.tracks.append(track)
    file.save(tmp_path / "a.mid")
    found = read_midi(tmp_path / "a.mid")
    assert [bar.meter.name for bar in found.bars] == ["3/4"]
    assert [(n.onset, n.length, n.pitch) for n in found.pitched] == [(0, 1.5, 60), (1.5, 1.5, 64)]
    assert found.roles["1.10"] == "drums"
    assert found.seconds == pytest.approx(2)
    assert m.tempo(found) == pytest.approx(90)


def test_a_scene_is_heard_with_its_ground() -> None:
    found = score_of(load_scene(find_scene("waltz")), 8)
    assert len(found.bars) == 8
    assert {bar.meter.name for bar in found.bars} == {"3/4"}
    assert found.end == 24
    assert found.keys[0].name == "D dorian"
    assert found.chords[0].begin == 0
    assert all(a.onset <= b.onset for a, b in pairwise(found.notes))
    assert m.tempo(found) == pytest.approx(138)
    assert found == score_of(load_scene(find_scene("waltz")), 8)


# Measures -----------------------------------------------------------------------------------


def test_density_counts_onsets_of_parts() -> None:
    found = score(line(60, 62, 64, 65), chords((48, 52, 55)), bpm=60)
    assert m.density(found) == pytest.approx(5 / 4)
    assert m.density_beats(found) == pytest.approx(5 / 4)
    assert m.melody_rate(found) == pytest.approx(1)
    assert m.melody_rate(score(line(60, 62), line(60, begin=8), bpm=120)) == pytest.approx(0.75)


def test_loudness_is_a_mean_of_power_above_mezzoforte() -> None:
    loud = [("melody", 0.0, 1.0, 60, 80 / 127)]
    assert m.loudness(score(loud)) == pytest.approx(0)
    soft = [("melody", 0.0, 1.0, 60, 80 / 127 / 10**0.5)]
    assert m.loudness(score(soft)) == pytest.approx(-20)  # an amplitude of a tenth
    assert m.velocity(score(loud)) == pytest.approx(80)


def test_staccato_is_what_is_missing_to_the_next_onset() -> None:
    assert m.staccato(score(line(60, 62, 64, 65))) == pytest.approx(0)
    assert m.staccato(score(line(60, 62, 64, 65, gate=0.25))) == pytest.approx(0.75)
    legato = score(line(60, 62, 64, 65, gate=1.5))
    assert m.staccato(legato) == pytest.approx(0)
    rests = score(line(60, 62, 64, 65, gate=0.5), line(60, 62, 64, gate=0.5, begin=20))
    assert m.melody_staccato(rests) == pytest.approx(0.5)


def test_mode_and_majorness_are_of_what_sounds() -> None:
    claims = KeySpan(0.0, "C major", 0, C_MAJOR.classes)
    found = score(line(60, 62, 63, 65, 67, 68, 70, 72), keys=(claims,))
    assert m.mode(found) == -1
    assert m.majorness(found) == pytest.approx(-(m.majorness(score(line(60, 64, 67))) or 0), abs=1)
    assert (m.majorness(score(line(60, 64, 67))) or 0) > 0 > (m.majorness(found) or 0)
    assert m.mode(score(line(60, 62), keys=())) is None


def test_consonance_is_huron_s() -> None:
    assert m.dyads((0, 7)) == 1.240
    assert m.consonance(score(chords((60, 64, 67)))) == pytest.approx((0.386 + 0.594 + 1.240) / 3)
    assert m.consonance(score(chords((60, 61)))) == -1.428
    assert m.consonance(score(chords((60, 72)))) is None  # one pitch class
    half = score(chords((60, 67), (60, 66), length=2.0))
    assert m.consonance(half) == pytest.approx((1.240 - 0.453) / 2)
    # Drums and what follows at once do not sound together.
    assert m.consonance(score(line(60, 61, 62))) is None


def test_notes_outside_the_key_count_only_where_they_resolve() -> None:
    assert m.key_fit(score(line(60, 62, 64, 65))) == 1
    assert m.key_fit(score(line(60, 61, 62, 64))) == 1  # C# leads to D
    assert m.key_fit(score(line(60, 61, 64, 65))) == 0.75  # here it does not
    assert m.key_fit(score(line(60, 61, 62, 64, length=2.0))) == 0.75  # nor within a beat
    sharp = ChordSpan(1.0, "A", frozenset({9, 1, 4}))
    assert m.key_fit(score(line(60, 61, 64, 65), harmony=(C_CHORD, sharp))) == 1


def test_strong_beats_are_bar_lines_and_groups() -> None:
    assert m.strong_beats(score(line(60, 62, 64, 65, 67, 69, 60, 62))) == 1
    assert m.strong_beats(score(line(62, 60, 64, 65))) == 0.5
    assert m.strong_beats(score(line(60, 62, 64, 65), harmony=())) is None


def test_pads_are_paired_for_the_least_motion() -> None:
    assert m.distance((60, 64, 67), (60, 65, 69)) == pytest.approx(1)
    assert m.distance((60, 64, 67), (60, 64, 67)) == 0
    assert m.distance((60, 64), (60, 64, 67)) == pytest.approx(1)
    steps = score(chords((60, 64, 67), (60, 64, 67), (60, 65, 69), (59, 62, 67)))
    assert m.pad_step(steps) == pytest.approx((1 + 2) / 2)  # the repetition is no step
    assert m.pad_step(score(line(60, 62))) is None


@given(
    st.lists(st.integers(40, 80), min_size=1, max_size=6, unique=True),
    st.lists(st.integers(40, 80), min_size=1, max_size=6, unique=True),
)
def test_voice_leading_is_symmetrical_and_no_less_than_nothing(a: list[int], b: list[int]) -> None:
    a, b = sorted(a), sorted(b)
    assert m.distance(a, b) >= 0
    if len(a) == len(b):
        assert m.distance(a, b) == m.distance(b, a)
        straight = sum(abs(x - y) for x, y in zip(a, b, strict=True)) / len(a)
        assert m.distance(a, b) <= straight


def test_parallels_of_the_outer_voices() -> None:
    bass = line(48, 50, 52, 48, part="bass")
    assert m.parallels(score(line(67, 69, 67, 67), bass)) == (1, 0, 2)
    assert m.parallels(score(line(72, 74, 76, 72), bass)) == (0, 3, 3)
    assert m.parallels(score(line(67, 65, 67, 67), bass)) == (0, 0, 2)  # contrary
    assert m.parallels(score(line(67, 67, 67, 67), bass)) == (0, 0, 0)  # oblique
    assert m.parallel_share(score(line(60, 62))) is None


def test_a_melody_is_like_itself_wherever_it_is_transposed_to() -> None:
    bars = [(60, 64, 62, 65), (67, 65, 64, 62)]
    again = [pitch for bar in bars * 4 for pitch in bar]
    assert m.self_similarity(score(line(*again)), 4) == pytest.approx(1, abs=0.2)
    assert m.self_similarity(score(line(*again)), 2) == pytest.approx(0.9, abs=0.1)
    other = [pitch for bar in ([(60, 61, 63, 66)] * 4 + [(72, 60, 71, 59)] * 4) for pitch in bar]
    assert m.self_similarity(score(line(*other)), 4) == 0
    assert m.self_similarity(score(line(60, 62)), 4) is None


def test_exact_repeats_are_note_for_note_and_excused_by_the_form() -> None:
    tune = [60 + (at * at) % 11 for at in range(32)]
    twice = score(line(*tune, *tune))
    assert m.exact_repeats(twice) == pytest.approx(1 / 9)
    assert m.exact_repeats(score(line(*tune, *tune[:-1], 90))) == 0
    form = (Section(0.0, "A"), Section(32.0, "A"))
    assert m.exact_repeats(score(line(*tune, *tune), sections=form)) == 0
    other = (Section(0.0, "A"), Section(32.0, "B"))
    assert m.exact_repeats(score(line(*tune, *tune), sections=other)) == pytest.approx(1 / 9)
    accompanied = score(line(*tune, *tune), line(*range(40, 56), length=4.0, part="bass"))
    assert m.exact_repeats(accompanied) == 0
    assert m.melody_repeats(accompanied) == pytest.approx(1 / 9)


def test_entropy_is_of_pitch_classes() -> None:
    assert m.entropy(score(line(60, 72, 48))) == 0
    assert m.entropy(score(line(60, 62, 64, 65))) == 2
    assert m.entropy(score(line(*range(60, 72)))) == pytest.approx(log2(12))


def test_distributions_of_the_melody() -> None:
    found = score(line(60, 60, 62, 74, 100))
    assert m.intervals(found) == {0: 0.25, 2: 0.25, 12: 0.25, 13: 0.25}
    assert m.repetition(found) == 0.25
    assert m.leaps(found) == 0.5
    assert m.durations(score(line(60, 62, 64), line(65, 64, begin=3, length=0.5))) == {
        2 + 1: 0.25,
        5 + 1: 0.75,
    }
    assert m.ambitus(found) == 40


def test_leaps_recover_by_turning_round() -> None:
    assert m.leap_recovery(score(line(60, 67, 65, 64))) == 1
    assert m.leap_recovery(score(line(60, 67, 69, 62, 64))) == 0.5
    assert m.leap_recovery(score(line(60, 62, 64))) is None


def test_phrases_end_longer() -> None:
    bar = line(60, 62, 64, 65)
    run = [note for at in range(3) for note in line(60, 62, 64, 65, begin=4.0 * at)]
    end = [("melody", 12.0, 4.0, 60, 0.5)]
    both = [*run, *end, *line(60, 62, 64, 65, begin=16.0)]
    assert m.phrase_end(score(both)) == pytest.approx(4 / (19 / 16))
    assert m.phrase_end(score(bar)) is None


def test_presence_of_parts() -> None:
    found = m.presence(score(line(60, 62, length=2.0), chords((48, 52), length=2.0)))
    assert found["melody"].sounding == 1
    assert found["pad"].sounding == 0.5
    assert found["pad"].voices == 2
    assert found["pad"].notes == 2
    assert m.silence(score(line(60), line(60, begin=3))) == pytest.approx(0.5)
    assert m.voices(score(line(60, 62, length=2.0), chords((48, 52), length=2.0))) == 2


def test_likeness_hears_the_same_tune_in_another_key_and_place() -> None:
    tune = [60 + (at * at) % 11 for at in range(24)]
    one = score(line(*tune))
    assert m.likeness(one, one) == 1
    moved = score(line(*[pitch + 5 for pitch in tune], begin=4))
    assert m.likeness(one, moved) == 1
    other = score(line(*[60 + (at * 5) % 13 for at in range(24)]))
    assert m.likeness(one, other) == 0
    assert m.likeness(one, other) == m.likeness(other, one)


def test_every_measure_bears_silence() -> None:
    empty = score([])
    assert m.measured(empty) == {}
    assert predictor.predict(empty) == (0, 0)


def test_chorales_are_voices() -> None:
    rows = [[72, 67, 64, 48]] * 8 + [[74, 67, 65, 47]] * 4 + [[72, 67, 64, 48]] * 4
    found = chorale(rows)
    assert [(n.onset, n.length) for n in found.line] == [(0, 2), (2, 1), (3, 1)]
    assert [n.pitch for n in found.bass] == [48, 47, 48]
    assert m.pad_step(found) == pytest.approx(0.5)


# The predictor and the reports --------------------------------------------------------------


def test_cues_have_the_published_order_and_one_axis_each() -> None:
    assert list(predictor.VALENCE) == ["mode", "register"]
    assert list(predictor.AROUSAL) == ["tempo", "dynamics", "articulation"]
    for axis in (predictor.VALENCE, predictor.AROUSAL):
        assert sum(axis.values()) == pytest.approx(1)
        assert list(axis.values()) == sorted(axis.values(), reverse=True)


def test_levels_span_the_study_and_hold_at_its_ends() -> None:
    assert predictor.level("tempo", 1.2) == -1
    assert predictor.level("tempo", 6.0) == 1
    assert predictor.level("tempo", (1.2 * 6.0) ** 0.5) == pytest.approx(0)
    assert predictor.level("register", 68) == 0
    assert predictor.level("dynamics", 99) == 1
    assert predictor.level("articulation", 0.375) == 0


def test_modes_are_as_happy_as_they_were_judged() -> None:
    assert predictor.happiness(LADDER["major"]) == 1
    assert predictor.happiness(LADDER["phrygian"]) == -1
    assert predictor.happiness(LADDER["lydian"]) < predictor.happiness(LADDER["major"])
    falling = ["major", "mixolydian", "dorian", "minor", "phrygian"]
    found = [predictor.happiness(LADDER[name]) for name in falling]
    assert found == sorted(found, reverse=True)


def tune(word: str, bright: int = 12) -> Score:
    """The same tune as a mood would have it."""
    felt = scenes.WORDS[word]
    steps = parse_key("C major" if felt.valence > 0 else "C minor").pitch_classes
    base = 66 + round(bright * felt.valence)
    base -= base % 12
    pitches = [base + steps[(at * at) % 7] for at in range(32)]
    rows = line(*pitches, gate=0.9 - 0.4 * (felt.arousal > 0))
    loud = [(p, o, n, x, 0.5 + 0.4 * felt.arousal) for p, o, n, x, _ in rows]
    return score(loud, bpm=160 * 2**felt.arousal)


@pytest.mark.parametrize("word", [word for word in scenes.WORDS if word != "neutral"])
def test_plain_moods_are_heard_in_their_quadrants(word: str) -> None:
    assert predictor.same_quadrant(scenes.WORDS[word], predictor.predict(tune(word)))


def test_arousal_alone_leaves_valence_where_it_is() -> None:
    slow, fast = (
        score(line(*[60, 64, 67, 72] * 4, gate=g), bpm=b) for g, b in ((1, 70), (0.3, 300))
    )
    assert predictor.predict(slow).valence == predictor.predict(fast).valence
    assert predictor.predict(slow).arousal < predictor.predict(fast).arousal


def group(style: str, word: str, **values: float) -> report.Group:
    renders = tuple(
        report.Render(seed, values, scenes.WORDS[word], {0: 1.0}, {0: 1.0}) for seed in (1, 2)
    )
    return report.Group(style, word, renders, 0.1)


def test_reports_judge_what_follows_and_what_leaks() -> None:
    words = scenes.WORDS
    good = [
        group("a", word, tempo=100 + 40 * f.arousal, mode=f.valence) for word, f in words.items()
    ]
    assert report.follows(good, "tempo", "arousal") == pytest.approx(1)
    assert report.leakage(good, "mode") == pytest.approx(0, abs=1e-9)
    leaky = [group("a", word, mode=f.valence + 0.5 * f.arousal) for word, f in words.items()]
    assert report.leakage(leaky, "mode") == pytest.approx(0.5)
    assert report.quadrants(good) == 1
    assert report.agreement(good, "valence") == pytest.approx(1)
    text = report.judge(good, (), 64)
    assert "| tempo with arousal, rank correlation | 1.00 | 1.00 | 0.95 to 1.00 | pass |" in text
    assert (
        "register with valence, rank correlation | 0.00 ✗ | 0.00 ✗ | 0.95 to 1.00 | **fail**"
        in text
    )


def test_listening_to_a_scene_is_repeatable() -> None:
    made = [
        report.listen("words", "", lambda seed: scenes.shipped("words", seed), (1, 2), 8)
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(made[0].renders) == 2


def test_a_roll_shows_every_note(tmp_path: Path) -> None:
    found = score(line(60, 62, 64, 65), chords((48, 52, 55)))
    picture = draw(found)
    assert picture.startswith("<svg") and picture.endswith("</svg>")
    assert picture.count("<rect") == 1 + len(found.parts) + len(found.notes)
    assert ">C</text>" in picture
    path = tmp_path / "a.svg"
    assert main(["roll", "waltz", "--bars", "4", "-o", str(path)]) == 0
    assert "D dorian" in path.read_text(encoding="utf-8")
    assert main(["roll", "no-such-scene", "-o", str(path)]) == 2
    assert main(["scene", "no-such-scene"]) == 2
    assert main(["moods", "--styles", "no-such-style"]) == 2
    assert main(["roll", "waltz", "--bars", "4", "-o", str(tmp_path / "a.bmp")]) == 2


def test_strange_onsets_still_have_a_place() -> None:
    found = score(
        [("melody", float(Fraction(1, 3)), 0.3, 60, 0.5), ("melody", 0.999999, 1, 62, 0.5)]
    )
    assert [found.place(note) for note in found.line] == [16, 48]


def test_a_theme_is_recalled_from_what_a_scene_plays_of_it() -> None:
    text = (
        '[themes.home]\nnotes = "5:1/4 3:1/8 2:1/8 1:1/2 | 2:1/4 3:1/4 5:1/2 | '
        '6:1/4 5:1/8 3:1/8 2:1/4 3:1/4 | 1:1/2. Rest:1/4"\n'
        '[parts.tune]\nengine = "theme"\nplan = "state state"\nrole = "melody"\n'
    )
    scene = parse_scene(text)
    assert [name for name, _ in statements(scene, 8)] == ["home", "home"]
    assert recalled(scene, 8) == Recall(2, 2)


# Changes of mood ------------------------------------------------------------------------------


@given(st.integers(2, 9), st.integers())
def test_a_tour_takes_every_ordered_pair_once_and_comes_home(count: int, seed: int) -> None:
    words = list(scenes.WORDS)[:count]
    found = w.tour(words, Random(seed))
    pairs = list(pairwise(found))
    assert found[0] == found[-1] == words[0]
    assert len(pairs) == len(set(pairs)) == count * (count - 1)
    assert all(a != b for a, b in pairs)


def test_excerpts_of_a_score_add_up_to_it() -> None:
    whole = score_of(load_scene(find_scene("default")), 12)
    parts = [whole.excerpt(first, first + 4) for first in (0, 4, 8)]
    assert sum(len(part.notes) for part in parts) == len(whole.notes)
    assert sum(part.end for part in parts) == whole.end
    assert sum(part.seconds for part in parts) == pytest.approx(whole.seconds)
    begin = whole.bars[4].begin
    found = [(n.part, n.pitch, n.onset + begin) for n in parts[1].notes]
    assert found == [
        (n.part, n.pitch, n.onset) for n in whole.notes if begin <= n.onset < begin + 16
    ]
    for part, first in zip(parts, (0, 4, 8), strict=True):
        for bar in range(4):
            here, there = part.bars[bar].begin, whole.bars[first + bar].begin
            for at in ("key_at", "chord_at", "section_at"):
                mine, original = getattr(part, at)(here), getattr(whole, at)(there)
                assert (mine and mine.name) == (original and original.name)


def test_steps_of_tempo_are_shares_of_the_slower() -> None:
    steady = score(line(60, 62, 64, 65))
    assert w.tempo_step(steady) == 0
    changed = replace(steady, tempos=((0.0, 100.0), (1.0, 110.0), (2.0, 55.0)))
    assert w.tempo_step(changed) == pytest.approx(1.0)


def test_what_the_mood_asks_for_is_no_step_of_loudness() -> None:
    softer = [("melody", 4.0 + at, 1.0, 60, 0.25) for at in range(4)]
    heard = w.levels(score(line(60, 60, 60, 60), softer))
    loud = 10 * log10((0.5 * 127 / 80) ** 4)
    assert heard == [pytest.approx(loud), pytest.approx(loud - 40 * log10(2))]
    assert w.loudness_step(heard, [0.0, 0.0], 1, 2) == pytest.approx(12.04, abs=0.01)
    assert w.loudness_step(heard, [0.0, -12.04], 1, 2) == pytest.approx(0.0, abs=0.01)


def test_a_gap_is_where_no_pitched_note_sounds() -> None:
    notes = [
        ("melody", 0.0, 1.0, 60, 0.5),
        ("bass", 0.5, 2.0, 40, 0.5),
        ("melody", 6.0, 1.0, 60, 0.5),
    ]
    drums = [("drums", 3.0, 1.0, 40, 0.5)]
    assert w.gap(score(notes, drums)) == pytest.approx(3.5)
    assert w.gap(replace(score(notes), end=16.0)) == pytest.approx(9.0)


def test_layers_move_where_they_come_or_go() -> None:
    playing = [frozenset("ab"), frozenset("ab"), frozenset("bcd"), frozenset("bcd")]
    assert w.moved(playing, 1, 2) == 0
    assert w.moved(playing, 1, 4) == 3


def test_a_walk_asks_for_each_mood_at_its_bar() -> None:
    scene = scenes.asked("piano", "calm", 7)
    words = ["calm", "excited", "sad"]
    found = w.walk(scene, words, 16)
    assert [(c.start, c.to, c.at) for c in found.changes] == [
        ("calm", "excited", 16),
        ("excited", "sad", 36),
    ]
    assert len(found.score.bars) == len(found.playing) == len(found.asked) == 56
    calm, excited, sad = (found.score.excerpt(*bars) for bars in ((8, 16), (20, 36), (40, 56)))
    rates = [m.tempo(each) or 0.0 for each in (calm, excited, sad)]
    assert rates[1] > max(rates[0], rates[2])
    assert found.score.excerpt(15, 16).tempos[0][1] == found.score.tempos[0][1]
    assert w.heard_after(found, found.changes[0], 36) is not None
    shown = {each.name: each for each in w.figures(found)}
    assert shown["bars until it is heard as asked"].right
    assert shown["notes in key or chord"].right


def test_a_walk_is_the_same_each_time() -> None:
    made = [w.walk(scenes.asked("folk", "neutral", 3), ["happy", "tired"], 12) for _ in range(2)]
    assert made[0].score.notes == made[1].score.notes


def test_a_walk_without_rest_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["walk", "default", "--rest", "4"]) == 2
    assert "rest" in capsys.readouterr().err
