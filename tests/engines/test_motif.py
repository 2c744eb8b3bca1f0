"""Laws of themes as values: writing, transforming, inventing, varying, comparing."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from engines.motif import (
    CHARACTERS,
    OCTAVE,
    Motif,
    Note,
    augment,
    cells,
    closed,
    diminish,
    displace,
    extend,
    fragment,
    from_pitches,
    generate,
    in_meter,
    invert,
    join,
    likeness,
    ornament,
    parse,
    recognise,
    retrograde,
    sequence,
    simplify,
    strong_beats,
    text,
    transpose,
    value_name,
    vary,
    words,
)
from server.ensemble.reading import Struck, parse_word
from server.music.scale import parse_degree, parse_key
from server.music.value import parse_value

F = Fraction
BARS = (F(4), F(3), F(5), F(7, 2), F(5, 2), F(9, 2))


@st.composite
def motifs(draw: st.DrawFn) -> Motif:
    """Any theme: notes and gaps of usual lengths, in any metre."""
    bar = draw(st.sampled_from(BARS))
    now, notes = F(0), []
    lengths = st.sampled_from((F(1, 4), F(1, 3), F(1, 2), F(3, 4), F(1), F(3, 2), F(2), F(5, 4)))
    for _ in range(draw(st.integers(1, 12))):
        now += draw(st.sampled_from((F(0), F(0), F(0), F(1, 2), F(1))))
        length = draw(lengths)
        step, alteration = draw(st.integers(-14, 14)), draw(st.sampled_from((0, 0, 0, -1, 1)))
        notes.append(Note(now, length, step, alteration, draw(st.booleans())))
        now += length
    return Motif("m", tuple(notes), -(-now // bar) * bar, bar)


tunes = st.builds(
    lambda seed, bars, bar: generate(Random(seed), bars, bar, name=str(seed)),
    st.integers(0, 10**6),
    st.sampled_from((4, 8)),
    st.sampled_from(BARS),
)
SONG = parse("5:1/8 6:1/8 1':1/4 Rest:1/4 3!:1/4 | 2:1/2 1:1/2", "song")


# Writing ---------------------------------------------------------------------------------------


@given(motifs())
def test_what_is_written_is_read_again(motif: Motif) -> None:
    assert parse(text(motif), motif.name, motif.bar) == motif


@given(motifs())
def test_its_words_are_a_reading_s_words_and_fill_its_bars(motif: Motif) -> None:
    total = F(0)
    for each, at in words(motif):
        found = parse_word(each)
        assert isinstance(found, Struck)
        assert found.length is not None
        assert at == total
        total += found.length
    assert total == motif.length


@given(st.fractions(F(1, 100), F(256), max_denominator=100))
def test_values_are_written_as_scenes_read_them(length: F) -> None:
    assert parse_value(value_name(length)) == length


def test_an_upbeat_comes_before_what_follows_the_last_bar() -> None:
    motif = parse("5,:1/4 | 1:1/2 3:1/2 | 5:1/2 Rest:1/4")
    assert text(motif) == "1:1/2 3:1/2 5:1/2 Rest:1/4 5,:1/4"


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("1:1/4 8:", "'8:', word 2, is no note"),
        ("1:1/4 H:1/4", "'H:1/4', word 2"),
        ("1:1/0", "'1:1/0', word 1"),
        ("1 2", "'1', word 1"),
        ("1:1/1 | 2:1/4 | 3:1/4", "comes 1/4 into its bar"),
        ("Rest:1/4", "found none"),
        ("", "found none"),
    ],
)
def test_a_mistake_names_the_word(written: str, problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        parse(written)


@given(
    st.lists(st.integers(36, 96), min_size=1, max_size=12),
    st.sampled_from(("C major", "A minor", "D dorian", "F lydian", "E phrygian", "B locrian")),
)
def test_pitches_become_steps_and_sound_the_same(pitches: list[int], name: str) -> None:
    key = parse_key(name)
    tonic = key.tonic.semitone
    notes = [(F(at), pitch, F(1, 2)) for at, pitch in enumerate(pitches)]
    motif = from_pitches(notes, tonic, key.pitch_classes)
    sounding = [
        key.pitch(parse_degree(each.split(":")[0])).midi
        for each, _ in words(motif)
        if not each.startswith("Rest")
    ]
    assert sounding == pitches


def test_of_what_sounds_together_the_top_is_the_tune() -> None:
    notes = [(F(0), 60, F(4)), (F(0), 67, F(1)), (F(1), 64, F(1))]
    assert text(from_pitches(notes)) == "5:1/4 3:1/4 Rest:1/2"


@pytest.mark.parametrize(
    "notes",
    [
        (),
        (Note(F(0), F(0), 0),),
        (Note(F(0), F(2), 0), Note(F(1), F(1), 0)),
        (Note(F(3), F(2), 0),),
    ],
)
def test_a_theme_is_one_line_within_its_bars(notes: tuple[Note, ...]) -> None:
    with pytest.raises(Mistake):
        Motif("m", notes, F(4))


# Transforming ----------------------------------------------------------------------------------


@given(motifs(), st.integers(-9, 9), st.integers(-9, 9))
def test_transpositions_add_up(motif: Motif, a: int, b: int) -> None:
    assert transpose(transpose(motif, a), b) == transpose(motif, a + b)


@given(motifs(), st.none() | st.integers(-7, 7))
def test_twice_upside_down_or_backwards_is_as_before(motif: Motif, axis: int | None) -> None:
    assert invert(invert(motif, axis), axis) == motif
    assert retrograde(retrograde(motif)) == motif


@given(motifs())
def test_slower_then_faster_is_as_before(motif: Motif) -> None:
    assert augment(motif).length == 2 * motif.length
    assert diminish(augment(motif)) == motif


@given(tunes, st.data())
@settings(max_examples=30, deadline=None)
def test_fragments_joined_are_the_whole(motif: Motif, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, motif.bars - 1))
    whole = join(fragment(motif, 1, cut), fragment(motif, cut + 1, motif.bars - cut))
    assert whole == motif
    assert sequence(motif, [0]) == motif
    assert sequence(motif, [0, 2]).length == 2 * motif.length


@given(motifs(), st.integers(0, 1000), st.floats(0, 1))
def test_ornaments_leave_the_skeleton(motif: Motif, seed: int, amount: float) -> None:
    adorned = ornament(motif, Random(seed), amount)
    there = {(note.at, note.step, note.alteration) for note in adorned.notes}
    assert {(note.at, note.step, note.alteration) for note in motif.notes} <= there
    new = [note for note in adorned.notes if note.at not in {each.at for each in motif.notes}]
    assert not {note.at % motif.bar for note in new} & strong_beats(motif)
    assert simplify(adorned) == simplify(motif)


@given(motifs())
def test_a_skeleton_has_no_other(motif: Motif) -> None:
    plain = simplify(motif)
    assert simplify(plain) == plain
    assert {note.at for note in plain.notes} <= {note.at for note in motif.notes}


@given(motifs(), st.sampled_from(BARS))
def test_strong_beats_stay_strong_in_another_metre_and_it_comes_back(motif: Motif, bar: F) -> None:
    moved = in_meter(motif, bar)
    assert in_meter(moved, motif.bar) == motif
    assert moved.bars == motif.bars
    for before, after in zip(motif.notes, moved.notes, strict=True):
        assert (before.at % motif.bar == 0) == (after.at % bar == 0)


@given(tunes)
@settings(max_examples=30, deadline=None)
def test_what_is_pushed_later_comes_back(motif: Motif) -> None:
    free = motif.length - motif.notes[-1].end
    assert displace(displace(motif, free), -free) == motif
    longer = extend(motif, F(1))
    assert [(n.at, n.step) for n in longer.notes] == [(n.at, n.step) for n in motif.notes]


@given(motifs())
def test_every_bar_s_rhythm_is_a_cell(motif: Motif) -> None:
    start = motif.length - motif.bar
    last = tuple((n.at - start, n.length) for n in motif.notes if n.at >= start)
    assert last in cells(motif)


@given(motifs())
def test_led_home_it_ends_on_the_tonic(motif: Motif) -> None:
    home = closed(motif)
    assert home.notes[-1].step % OCTAVE == 0
    assert home.notes[-1].end == home.length
    start = motif.length - motif.bar
    before = [(note.at, note.step) for note in motif.notes if note.at < start]
    assert [(note.at, note.step) for note in home.notes if note.at < start] == before


# Inventing -------------------------------------------------------------------------------------


@given(tunes)
@settings(max_examples=30, deadline=None)
def test_an_invented_theme_can_be_sung(motif: Motif) -> None:
    steps = [note.step for note in motif.notes]
    moves = [abs(b - a) for a, b in pairwise(steps)]
    assert max(steps) - min(steps) <= 9
    assert sum(move <= 2 for move in moves) * 2 > len(moves), "more steps than leaps"
    held = [note for note in motif.notes if note.step % OCTAVE == 0]
    assert held[-1].at >= motif.length - motif.bar, "home in the last bar"


@pytest.mark.parametrize("character", CHARACTERS)
def test_characters_are_themes_too(character: str) -> None:
    made = [generate(Random(seed), 4, F(3), character) for seed in range(20)]
    assert made == [generate(Random(seed), 4, F(3), character) for seed in range(20)]
    assert len({text(each) for each in made}) == 20


def test_no_two_seeds_give_the_same_theme() -> None:
    made = [generate(Random(seed)) for seed in range(60)]
    assert len({text(each) for each in made}) == 60


def test_the_first_half_ends_open_with_a_breath_and_the_second_at_home() -> None:
    breaths = 0
    for seed in range(60):
        motif = generate(Random(seed))
        for note, following in pairwise(motif.notes):
            if 4 <= note.at < 8 and following.at > note.end:
                assert note.step % OCTAVE in (1, 4, 6)
                breaths += 1
        assert any(note.step % OCTAVE == 0 for note in motif.notes if note.at >= 12)
    assert breaths > 30


@pytest.mark.parametrize(("bars", "character"), [(3, ""), (4, "gloomy")])
def test_what_cannot_be_invented_is_said(bars: int, character: str) -> None:
    with pytest.raises(Mistake, match="expected"):
        generate(Random(1), bars, F(4), character)


# Comparing -------------------------------------------------------------------------------------

IONIAN, AEOLIAN = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)


def played(motif: Motif, rng: Random, scale: tuple[int, ...]) -> list[tuple[float, int, float]]:
    """As a performance has it: in some key and mode, not quite in time, notes cut short."""
    tonic = rng.randint(50, 70)
    notes = []
    for note in motif.notes:
        octave, degree = divmod(note.step, OCTAVE)
        pitch = tonic + 12 * octave + scale[degree] + note.alteration
        notes.append((float(note.at) + rng.gauss(0, 0.015), pitch, float(note.length) * 0.8))
    return notes


@given(tunes, tunes, st.integers(-7, 7))
@settings(max_examples=40, deadline=None)
def test_likeness_knows_itself_in_any_key_and_tempo(a: Motif, b: Motif, steps: int) -> None:
    assert likeness(a, a) == likeness(a, transpose(a, steps)) == 1
    assert likeness(a, augment(a)) > 0.99
    assert 0 <= likeness(a, b) <= 1
    assert abs(likeness(a, b) - likeness(b, a)) < 0.15


@given(motifs())
@settings(max_examples=40, deadline=None)
def test_likeness_of_anything_to_itself_is_one(motif: Motif) -> None:
    assert likeness(motif, motif) == 1


def test_mode_does_not_matter() -> None:
    for seed in range(10):
        motif = generate(Random(seed))
        for scale in (IONIAN, AEOLIAN):
            assert likeness(motif, played(motif, Random(seed), scale)) > 0.9


def test_without_notes_there_is_nothing_to_recognise() -> None:
    with pytest.raises(ValueError, match="at least one note"):
        recognise([], [SONG])


VARIANTS: dict[str, Callable[[Motif, Random], Motif]] = {
    "transposed": lambda m, r: transpose(m, r.choice((-3, -2, 2, 4))),
    "slower": lambda m, r: augment(m),
    "faster": lambda m, r: diminish(m),
    "two bars": lambda m, r: fragment(m, r.randint(1, m.bars - 1), 2),
    "ornamented": lambda m, r: ornament(m, r, 1.0),
    "skeleton": lambda m, r: simplify(m),
    "displaced": lambda m, r: displace(m),
    "in three": lambda m, r: in_meter(m, F(3)),
    "closed": lambda m, r: closed(m),
    "varied a little": lambda m, r: vary(m, r, 0.3)[0],
    "varied": lambda m, r: vary(m, r, 0.6)[0],
    "varied much": lambda m, r: vary(m, r, 0.9)[0],
}


def test_the_right_theme_is_recognised_among_twenty() -> None:
    rng = Random(1821)
    themes = [generate(rng, rng.choice((4, 4, 8)), name=str(number)) for number in range(20)]
    right = 0
    for motif in themes:
        for change in VARIANTS.values():
            heard = played(change(motif, rng), rng, rng.choice((IONIAN, AEOLIAN)))
            right += recognise(heard, themes)[0] == motif.name
    assert right >= 0.95 * len(themes) * len(VARIANTS)


# Varying ---------------------------------------------------------------------------------------


@given(tunes, st.integers(0, 10**6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_development_is_as_far_away_as_asked(motif: Motif, seed: int, amount: float) -> None:
    made, done = vary(motif, Random(seed), amount)
    assert (made.length, made.bar) == (motif.length, motif.bar)
    assert done
    assert vary(motif, Random(seed), amount) == (made, done)
    assert likeness(motif, made) >= 1 - 0.6 * amount - 0.25


def test_nothing_varied_is_as_it_is() -> None:
    assert vary(SONG, Random(1), 0) == (SONG, "as it is")
