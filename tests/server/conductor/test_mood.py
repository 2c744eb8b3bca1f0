"""The laws of moods, of the plane they lie on and of the line they go along."""

from __future__ import annotations

import copy
from fractions import Fraction
from itertools import pairwise
from math import dist, inf, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.conductor.mood import (
    DIMENSIONS,
    NAMES,
    NEUTRAL,
    WORDS,
    Field,
    Mood,
    MoodLine,
    Point,
    between,
    blend,
    distance,
    parse_field,
    parse_mood,
    parse_words,
    word,
)

moods = st.builds(Mood, st.floats(-1, 1), st.floats(-1, 1), st.one_of(st.none(), st.floats(0, 1)))
beats = st.fractions(0, 500, max_denominator=96)
TINY = 1e-9


def inside(mood: Mood, others: list[Mood], slack: float = TINY) -> bool:
    return all(
        min(other[index] for other in others) - slack
        <= mood[index]
        <= max(other[index] for other in others) + slack
        for index in range(len(NAMES))
    )


# Points --------------------------------------------------------------------------------------


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_mood_is_held_within_its_dimensions(valence: float, arousal: float, rest: float) -> None:
    for dimension, value in zip(DIMENSIONS, Mood(valence, arousal, rest), strict=True):
        assert dimension.low <= value <= dimension.high
    inside = Mood(valence, arousal)
    assert inside.valence == min(max(valence, -1), 1)
    assert Mood.named({"valence": valence, "arousal": arousal}) == inside


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(Mistake, match=f"{name}: expected a number from .* got nan"):
        Mood.named({name: nan})
    with pytest.raises(Mistake, match="no dimension is called"):
        Mood.named({"anger": 1.0})
    assert Mood(inf, -inf) == Mood(1, -1)


@given(st.floats(-1, 1), st.floats(-1, 1), moods, st.floats(0, 1))
def test_tension_follows_valence_alone_and_blends_as_it_does(
    valence: float, arousal: float, other: Mood, share: float
) -> None:
    mood = Mood(valence, arousal)
    assert mood.tension == pytest.approx((1 - valence) / 4)
    free = Mood(other.valence, other.arousal)
    mixed = between(mood, free, share)
    assert mixed.tension == pytest.approx(Mood(mixed.valence, mixed.arousal).tension)


@given(moods, moods, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_the_way_between_two_moods_is_straight_and_ends_at_both(
    first: Mood, second: Mood, shares: list[float]
) -> None:
    assert between(first, second, 0) == first
    assert between(first, second, 1) == second
    way = [between(first, second, share) for share in sorted(shares)]
    for index in range(len(NAMES)):
        column = [mood[index] for mood in (first, *way, second)]
        assert column in (sorted(column), sorted(column, reverse=True))


@given(st.lists(st.tuples(moods, st.floats(0, 1e300)), max_size=8))
def test_a_blend_lies_between_what_it_is_made_of(parts: list[tuple[Mood, float]]) -> None:
    heavy = [mood for mood, weight in parts if weight]
    mixed = blend(parts)
    assert inside(mixed, heavy, 0) if heavy else mixed == NEUTRAL


@given(moods, moods, moods)
def test_distance_is_a_distance(a: Mood, b: Mood, c: Mood) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b) or distance(a, b) < 1e-150
    assert distance(a, c) <= distance(a, b) + distance(b, c) + TINY


def test_moods_are_values() -> None:
    mood = Mood(0.3, -0.2, 0.9)
    assert copy.deepcopy(mood) == mood == copy.copy(mood)
    assert {mood: 1}[Mood(0.3, -0.2, 0.9)] == 1
    assert repr(mood) == "Mood(0.3, -0.2, 0.9)"
    assert mood.of("tension") == mood.tension == 0.9


# Words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WORDS)
def test_each_word_is_nearest_to_itself(name: str) -> None:
    assert len(WORDS) == 9
    assert word(WORDS[name]) == name
    assert parse_mood(f" {name} ") == WORDS[name]


@given(moods)
def test_the_nearest_word_is_the_nearest(mood: Mood) -> None:
    near = distance(WORDS[word(mood)], mood)
    assert all(near <= distance(each, mood) for each in WORDS.values())


def test_a_mood_is_read_from_words_numbers_and_tables() -> None:
    assert parse_mood("-0.3 0.8") == parse_mood("-0.3, 0.8") == parse_mood([-0.3, 0.8])
    assert parse_mood("0 1 0.5") == Mood(0, 1, 0.5)
    assert parse_mood({"arousal": 1}) == Mood(0, 1)
    tense = parse_mood({"word": "tense", "tension": 0.9})
    assert tense == Mood(-0.5, 0.7, 0.9)
    # What the word left open follows what is said besides it.
    assert parse_mood({"word": "sad", "valence": 0.2}) == Mood(0.2, -0.5)
    dread = parse_words({"dread": {"word": "tense", "tension": 1}})
    assert parse_mood({"word": "dread", "valence": 0.2}, dread) == Mood(0.2, 0.7, 1)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("hapy", r"no mood is called 'hapy'; did you mean 'happy'\?"),
        ("", "no mood is called ''"),
        ("0.3", "no mood is called"),
        ("0.3 0.4e", "expected numbers"),
        ("0.3 1.4", r"arousal: expected a number from -1 to 1, got 1\.4"),
        ([0.1], "expected valence and arousal"),
        ([0, 0, 0, 0, 0], "up to 3 numbers in all, found 5"),
        ([0, True], "arousal: expected a number"),
        ({"valance": 1}, "valance: no dimension is called .valance.; did you mean 'valence'"),
        ({"tension": nan}, "tension: expected a number from 0 to 1, got nan"),
        ({"word": "angryy"}, "word: no mood is called"),
        ({"word": 3}, "word: expected text"),
        (3, "expected a word, numbers or a table, got 3"),
    ],
)
def test_what_is_no_mood_is_a_mistake(value: object, problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        parse_mood(value)


def test_words_are_added_and_may_be_said_by_words() -> None:
    words = parse_words({"eerie": [-0.4, 0.1, 0.8], "uncanny": "eerie", "calm": [0.2, -0.9]})
    assert words["uncanny"] == Mood(-0.4, 0.1, 0.8)
    assert words["calm"] == Mood(0.2, -0.9)
    assert word(Mood(-0.4, 0.15, 0.8), words) == "eerie"
    with pytest.raises(Mistake, match=r"^eerie.arousal: expected a number"):
        parse_words({"eerie": [0, 3]})
    with pytest.raises(Mistake, match="small letters"):
        parse_words({"Very sad": [0, 0]})
    with pytest.raises(Mistake, match="expected a table of words"):
        parse_words(["sad"])


# Places --------------------------------------------------------------------------------------

coordinates = st.floats(-100, 100)
points = st.builds(Point, coordinates, coordinates, moods, st.floats(0, 1), st.floats(0.5, 80))


@given(st.lists(points, max_size=6), moods, coordinates, coordinates)
def test_the_mood_of_a_place_lies_in_the_hull(
    laid: list[Point], ground: Mood, x: float, y: float
) -> None:
    assert inside(Field(laid, ground).at(x, y), [ground, *(point.mood for point in laid)])


@given(st.lists(points, max_size=6), moods)
def test_far_from_all_there_is_the_ground(laid: list[Point], ground: Mood) -> None:
    assert Field(laid, ground).at(1000, -1000) == ground
    assert Field(laid, ground).at(inf, 0) == ground


@given(points, moods)
def test_a_lone_point_takes_its_pull_from_the_ground(point: Point, ground: Mood) -> None:
    alone = Field([point], ground)
    assert alone.at(point.x, point.y) == pytest.approx(between(ground, point.mood, point.strength))
    strong = Field([point._replace(strength=1.0)], ground)
    assert strong.at(point.x, point.y) == point.mood
    half = point.x + point.reach / 2
    assert strong.at(half, point.y) == pytest.approx(between(ground, point.mood, 9 / 16))


@given(st.lists(points, max_size=5), moods, coordinates, coordinates, st.floats(0, 6.3))
def test_a_small_step_is_a_small_change(
    laid: list[Point], ground: Mood, x: float, y: float, turn: float
) -> None:
    soft = Field([point._replace(strength=point.strength * 0.9) for point in laid], ground)
    here, there = soft.at(x, y), soft.at(x + 1e-6, y + 1e-6 * turn)
    assert dist(here, there) < 1e-2


@given(st.lists(moods, min_size=2, max_size=5), st.floats(0, 6.3), st.integers(0, 4))
def test_strong_points_own_their_places_and_their_surroundings(
    own: list[Mood], turn: float, number: int
) -> None:
    laid = [Point(5.0 * index, 0, mood, 1, 12) for index, mood in enumerate(own)]
    field, point = Field(laid, Mood(0, 0)), laid[number % len(laid)]
    assert field.at(point.x, point.y) == point.mood
    for near in (1e-3, 1e-6, 1e-9):
        beside = field.at(point.x + near, point.y + near * turn)
        assert dist(beside, point.mood) < 30 * near + TINY


def test_two_strong_points_on_one_place_share_it() -> None:
    both = Field([Point(1, 1, WORDS["happy"]), Point(1, 1, WORDS["sad"])])
    assert both.at(1, 1) == pytest.approx(between(WORDS["happy"], WORDS["sad"], 0.5))
    assert both.at(1 + 1e-9, 1) == pytest.approx(both.at(1, 1))


def test_a_field_is_read_and_its_mistakes_have_places() -> None:
    field = parse_field(
        [
            {"x": 0, "y": 0, "mood": "calm", "reach": 20, "name": "the house"},
            {"x": 30, "y": 5, "mood": {"word": "tense", "tension": 1}, "strength": 0.8},
        ],
        ground=WORDS["neutral"],
    )
    assert field.at(0, 0) == WORDS["calm"]
    assert [each.name for each in field.points] == ["the house", ""]
    for value, problem in (
        ({"x": 0}, "expected a list of points"),
        ([3], "point 1: expected a table"),
        ([{"x": 0, "y": 0}], r"point 1\.mood: expected it"),
        ([{"x": 0, "y": 0, "mood": "cam"}], r"point 1\.mood: no mood is called 'cam'"),
        ([{"x": "0", "y": 0, "mood": "calm"}], r"point 1\.x: expected a number"),
        ([{"x": 0, "y": 0, "z": 0, "mood": "calm"}], r"point 1\.z: nothing has this name"),
        ([{"x": 0, "y": 0, "mood": "calm", "reach": 0}], "point 1: expected a reach"),
        ([{"x": 0, "y": 0, "mood": "calm", "strength": 2}], "point 1: expected a strength"),
        ([{"x": 0, "y": 0, "mood": "calm", "name": 3}], r"point 1\.name: expected a name of at"),
        ([{"x": 0, "y": 0, "mood": "calm", "name": "a\nb"}], r"point 1\.name: expected a name of"),
        ([{"x": nan, "y": 0, "mood": "calm"}], "point 1: expected x and y"),
        ([{"x": 0, "y": 0, "mood": "calm"}] * 257, "at most 256 points"),
    ):
        with pytest.raises(Mistake, match=problem):
            parse_field(value)
    with pytest.raises(Mistake, match="expected numbers for the listener"):
        field.at(nan, 0)


# Along the beats -----------------------------------------------------------------------------

changes = st.tuples(
    st.sampled_from(["step", "slide", "toward", "without"]),
    moods,
    st.fractions(0, 12, max_denominator=16),  # since the last change
    st.fractions(0, 64, max_denominator=16),  # until it is there
)
histories = st.lists(changes, max_size=8)
Change = tuple[str, Mood, Fraction, Fraction]


def changed(line: MoodLine, change: Change, at: Fraction) -> MoodLine:
    kind, mood, _, span = change
    if kind == "step":
        return line.step(mood, at)
    if kind == "slide":
        return line.slide(mood, at, 0.05 + float(span) / 32)
    if kind == "without":
        return line.without(at)
    bars = [Fraction(4 * number) for number in range(60)]
    return line.toward(mood, at, at + span, bars)


def played(history: list[Change], line: MoodLine | None = None) -> tuple[MoodLine, Fraction]:
    line, at = line or MoodLine(WORDS["calm"]), Fraction(0)
    for change in history:
        at += change[2]
        line = changed(line, change, at)
    return line, at


@given(histories, changes, beats)
def test_no_change_touches_what_is_before_it(
    history: list[Change], change: Change, beat: Fraction
) -> None:
    line, at = played(history)
    at += change[2]
    after = changed(line, change, at)
    for before in (beat, at - Fraction(1, 96), at - beat, Fraction(-5)):
        if before < at:
            assert after.at(before) == line.at(before)


@given(histories, changes)
def test_only_a_step_jumps(history: list[Change], change: Change) -> None:
    line, at = played(history)
    at += change[2]
    kind, _, _, span = change
    if kind == "step" or (kind == "toward" and not span):
        return
    after = changed(line, change, at)
    assert after.at(at) == line.at(at)
    for segment in after.segments:
        if segment.beat > at:  # at `at` the line may have jumped before
            before, behind = after.at(segment.beat - Fraction(1, 10**7)), after.at(segment.beat)
            assert dist(before, behind) < 1e-4


@given(histories, moods, st.fractions(0, 200, max_denominator=96), st.booleans())
def test_arrival_is_exact_and_the_way_goes_one_way(
    history: list[Change], mood: Mood, span: Fraction, by_phrases: bool
) -> None:
    line, at = played(history)
    arrive = at + span
    lines = [Fraction(16 * number) for number in range(30)] if by_phrases else []
    line = line.toward(mood, at, arrive, lines)
    assert line.target == (mood, arrive)
    for beat in (arrive, arrive + Fraction(1, 96), arrive + 1000):
        assert line.at(beat) == line.at(float(beat)) == mood
    way = [line.at(at + span * n / 97) for n in range(98)]
    for index in range(len(NAMES)):
        column = [each[index] for each in way]
        rising = column if column[0] <= column[-1] else column[::-1]
        assert all(b >= a - TINY for a, b in pairwise(rising))


@given(moods, moods, st.integers(1, 8), st.sampled_from([8, 12, 16, 32]))
def test_a_long_way_goes_phrase_by_phrase_and_mostly_late(
    start: Mood, mood: Mood, phrases: int, phrase: int
) -> None:
    lines = [Fraction(phrase * number) for number in range(phrases + 3)]
    arrive = Fraction(phrase * phrases)
    line = MoodLine(start).toward(mood, Fraction(0), arrive, lines)
    whole = distance(start, mood)
    steps = [distance(line.at(a), line.at(b)) for a, b in pairwise(lines[: phrases + 1])]
    assert sum(steps) == pytest.approx(whole)
    for a, b in pairwise(steps):
        assert b == pytest.approx(a * 2.0 ** min(1, 4 / phrases))
    if phrases <= 4:
        assert steps[-1] >= whole / 2 - TINY
    for inner in lines[1:phrases]:  # what changes on a line is heard before the mood moves on
        assert line.at(inner + Fraction(phrase, 4)) == line.at(inner)


def test_many_lines_are_thinned_from_the_end() -> None:
    bars = [Fraction(4 * number) for number in range(1, 64)]
    line = MoodLine().toward(WORDS["tense"], Fraction(0), Fraction(256), bars)
    assert len(line.segments) <= 2 + 2 * 8
    rests = [segment.beat for segment in line.segments[1:-1] if not segment.length]
    assert rests == [Fraction(32 * number) for number in range(1, 8)]


@given(histories, moods, st.floats(0.01, 10), st.sampled_from([2, 3, 4, 7]))
def test_a_slide_keeps_its_speed(history: list[Change], mood: Mood, speed: float, bar: int) -> None:
    line, at = played(history)
    here = line.at(at)
    line = line.slide(mood, at, speed, Fraction(bar))
    arrive = line.target.beat
    assert line.at(arrive) == mood
    ideal = distance(here, mood) / speed * bar
    assert ideal - TINY <= arrive - at <= ideal + 1 / 960 + TINY
    for n in range(20):
        beat = at + Fraction(n, 3)
        assert distance(line.at(beat), line.at(beat + bar)) <= speed * (1 + TINY) + TINY
    with pytest.raises(Mistake, match="speed: expected a number above 0, got nan"):
        line.slide(mood, at, nan)


@given(histories, st.fractions(0, 40, max_denominator=16), st.floats(0, 1), beats, beats)
def test_another_tension_leaves_the_way_of_the_rest_as_it_was(
    history: list[Change], later: Fraction, tension: float, length: Fraction, beat: Fraction
) -> None:
    line, at = played(history)
    at += later
    tight = line.tighten(tension, at, at + abs(length))
    for whole, same in ((line.at, tight.at), (line.evenly_at, tight.evenly_at)):
        assert whole(at - abs(beat) - 1) == same(at - abs(beat) - 1)
        after = at + abs(beat)
        for index in (0, 1):
            assert same(after)[index] == pytest.approx(whole(after)[index], abs=2 / 80 + TINY)
        end = max(line.target.beat, at) + abs(length)
        assert same(end).tension == pytest.approx(tension)
        assert same(end)[:2] == pytest.approx(whole(end)[:2])
    if length:
        assert tight.at(at).tension == pytest.approx(line.at(at).tension)


@given(histories, st.fractions(0, 40, max_denominator=16))
def test_what_is_taken_back_never_comes(history: list[Change], later: Fraction) -> None:
    line, at = played(history)
    at += later
    rest = line.without(at)
    assert rest.at(at) == line.at(at) == rest.at(at + 500)
    assert rest.target == (line.at(at), at)


def test_a_line_stays_short() -> None:
    rng, line, at = Random(1821), MoodLine(), Fraction(0)
    for _ in range(100):
        at += Fraction(rng.randrange(200), 4)
        line = line.toward(
            Mood(rng.uniform(-1, 1)),
            at,
            at + rng.randrange(400),
            [at + 4 * bar for bar in range(1, 100)],
        )
        assert len(line.segments) <= 100
        for _ in range(20):
            line = line.tighten(rng.random(), at + rng.randrange(200), at + rng.randrange(400))
            assert len(line.segments) <= 200


def test_lines_are_values_and_begin_before_the_beginning() -> None:
    one = MoodLine(WORDS["sad"]).step(WORDS["happy"], Fraction(8))
    two = MoodLine(WORDS["sad"]).step(WORDS["happy"], Fraction(8))
    assert one == two
    assert hash(one) == hash(two)
    assert one.at(-100) == one.at(7.99) == WORDS["sad"]
    assert one.at(8) == WORDS["happy"]
    early = one.step(WORDS["calm"], Fraction(-4))
    assert (early.at(-5), early.at(-4), early.at(8)) == (
        *(WORDS["sad"], WORDS["calm"], WORDS["calm"]),
    )
