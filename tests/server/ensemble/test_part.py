from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import THINKING, Controls, Fragment, Sound, Symbol
from engines.markov import Markov
from server.conductor.conductor import Conductor, ConductorSpec
from server.conductor.mood import Mood
from server.conductor.moodmap import find_map, load_map
from server.ensemble.agenda import Agenda
from server.ensemble.part import (
    CROWD,
    FAILURES,
    LONGEST_STEP,
    MOST_SOUNDS,
    MOST_TONES,
    Part,
    PartSpec,
    Trouble,
    beneath,
    folded,
)
from server.ensemble.setting import Setting
from server.music.counterpoint import Move, parallel
from server.music.meter import parse_meters
from server.music.note import Step
from server.music.scale import parse_key
from tests.server.model import Row, part, row

F = Fraction
START = F(0)
MOODS = load_map(find_map("default"))


def ground(meters: str = "4/4", key: str = "C major", begin: Fraction = START) -> Setting:
    return Setting(1821, parse_key(key), parse_meters(meters), begin)


def planned(spec: PartSpec, until: int = 8, **setting: Any) -> tuple[list[Step], list[Trouble]]:
    return Part(spec, ground(**setting), count(1).__next__).plan(F(until))


def steps(spec: PartSpec, until: int = 8, **setting: Any) -> list[Any]:
    found, troubles = planned(spec, until, **setting)
    assert not troubles
    return [(step.beat, [tone.pitch for tone in step.tones]) for step in found]


@dataclass(frozen=True)
class Does:
    """An engine made of a function of (generator, controls)."""

    what: Callable[[Random, Controls], Iterator[Any]]

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        return self.what(rng, controls)

    def alphabet(self) -> frozenset[str] | None:
        return None


def does(what: Callable[[Random, Controls], Iterator[Any]], **fields: Any) -> PartSpec:
    return part("wild", Does(what), **fields)


# Where steps land -----------------------------------------------------------------------


def test_pitches_land_on_the_grid_and_own_values_count_from_the_step() -> None:
    assert steps(row("a", "C E"), 2) == [(0, [60]), (F(1, 2), [64]), (1, [60]), (F(3, 2), [64])]
    assert steps(row("a", "C:1/4. E:1/8", grid=None), 4) == [
        (0, [60]), (F(3, 2), [64]), (2, [60]), (F(7, 2), [64]),
    ]  # fmt: skip
    late = steps(row("a", "C:1/16 E", grid=F(1, 2)), 2)
    assert [beat for beat, _ in late] == [0, F(1, 2), 1, F(3, 2)]


@pytest.mark.parametrize("value", ["1/8t", "1/16:5", "1/16:7", "1/16:11"])
def test_tuplets_come_back_to_the_beat_exactly(value: str) -> None:
    found = planned(row("a", f"C:{value}", grid=None), 64)[0]
    beats = {step.beat for step in found}
    assert {F(beat) for beat in range(0, 64, 4)} <= beats


def test_engines_see_bar_and_beat_through_changes_of_metre() -> None:
    seen: list[tuple[float, float]] = []

    def look(rng: Random, controls: Controls) -> Iterator[Symbol]:
        while True:
            seen.append((controls.get("bar"), controls.get("beat")))
            yield Symbol("C")

    planned(does(look, grid=F(1, 2)), 11, meters="7/8 4/4")
    assert seen[:10] == [(1, n) for n in range(1, 8)] + [(2, 1), (2, 1.5), (2, 2)]
    assert seen[15] == (3, 1)


def test_a_part_enters_at_its_bar_and_a_scene_at_its_beat() -> None:
    assert steps(row("a", "C", enters=3), 9) == [(8, [60]), (F(17, 2), [60])]
    third = F(1, 3)
    assert steps(row("a", "C"), 2, begin=third)[0][0] == third
    assert [beat - third for beat, _ in steps(row("a", "C:1/16 E"), 2, begin=third)] == [
        0, F(1, 2), 1, F(3, 2),
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.fractions(F(1, 96), 3, max_denominator=96), min_size=1, max_size=30))
def test_the_steps_do_not_depend_on_how_the_asking_is_divided(chunks: list[Fraction]) -> None:
    specs = [
        row("tones", "c1 c3 Rest c5", chance=True, grid=F(1, 2), fit="chord"),
        row("odd", "C:1/16 D:1/8t E", chance=True, grid=F(1, 3), fit="chord", nearest=True),
        part("riff", Riff(), fit="chord", nearest=True, grid=None),
        row("chords", "I V7 ii IV", chance=True, grid=F(5, 3)),
        row("tune", "5 6 7 1' 2'", chance=True, grid=F(1), fit="chord", role="melody"),
        row("solo", "c1 c3 Rest c5", chance=True, grid=F(1, 2), fit="chord", role="lead"),
        row("low", "1 2 3 4", chance=True, grid=F(1), octave=2, role="bass", listens=("tones",)),
        row("late", "c5 1 2", chance=True, grid=F(1), fit="key", role="counter", listens=("solo",)),
        row("walk", "c1 a1 c5 a2", chance=True, grid=F(1), octave=2, role="comp"),
    ]

    def lay(asks: list[Fraction]) -> list[list[Any]]:
        setting = ground()
        agenda = Agenda([Part(spec, setting, count(1).__next__) for spec in specs])
        found: dict[str, list[Any]] = {spec.name: [] for spec in specs}
        for until in asks:
            for each, step in agenda.plan(until)[0]:
                assert step.beat < until
                found[each.spec.name].append(step._replace(id=0))
        return list(found.values())

    asks = [sum(chunks[: n + 1], F(0)) for n in range(len(chunks))]
    assert lay([asks[-1]]) == lay(asks)


@dataclass(frozen=True)
class Riff:
    """Bars of finished music, their notes out of order and beyond their end."""

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        while True:
            sounds = tuple(
                Sound(F(rng.randrange(12), 4), F(1, 4), rng.randrange(50, 80)) for _ in range(4)
            )
            yield Symbol("riff", fragment=Fragment(F(2), sounds))

    def alphabet(self) -> frozenset[str] | None:
        return frozenset({"riff"})


def test_the_notes_of_a_fragment_are_steps_of_their_own_in_order() -> None:
    found, _ = planned(part("riff", Riff(), grid=None), 20)
    beats = [step.beat for step in found]
    assert beats == sorted(beats)
    assert sum(len(step.tones) for step in found) == pytest.approx(40, abs=3)
    assert all(tone.length == F(1, 4) for step in found for tone in step.tones)


def test_an_engine_that_ends_ends_its_part_with_all_it_had() -> None:
    one = Part(row("a", "C D E", times=2), ground(), count(1).__next__)
    found, troubles = one.plan(F(100))
    assert (len(found), troubles, one.finished) == (6, [], True)
    assert one.plan(F(200)) == ([], [])

    def riff(rng: Random, controls: Controls) -> Iterator[Symbol]:
        yield Symbol("x", fragment=Fragment(F(0), (Sound(F(9), F(1), 60),)))

    last = Part(does(riff), ground(), count(1).__next__)
    assert last.plan(F(9)) == ([], [])
    assert not last.finished
    assert [step.beat for step in last.plan(F(10))[0]] == [9]
    assert last.finished


# Pitches --------------------------------------------------------------------------------


@given(st.integers(-500, 500), st.integers(0, 116), st.integers(11, 127))
def test_folding_keeps_a_pitch_in_its_range_and_moves_it_by_octaves(
    midi: int, low: int, width: int
) -> None:
    high = min(low + width, 127)
    inside = folded(midi, low, high)
    assert low <= inside <= high
    assert (inside - midi) % 12 == 0
    assert inside == midi or not low <= midi <= high


@given(st.integers(-500, 500), st.integers(0, 127), st.integers(0, 10))
def test_folding_into_less_than_an_octave_still_stays_inside(
    midi: int, low: int, width: int
) -> None:
    assert low <= folded(midi, low, low + width) <= low + width


def test_octave_range_and_nearest() -> None:
    assert steps(row("a", "C", octave=5), 1)[0] == (0, [72])
    assert steps(row("a", "C Kick", octave=5), 1)[1] == (F(1, 2), [36])
    assert steps(row("a", "C G", low=66, high=78), 1) == [(0, [72]), (F(1, 2), [67])]
    leaps = steps(row("a", "C B C2 G6", nearest=True), 2)
    assert [pitch for _, (pitch,) in leaps] == [60, 59, 60, 55]


def test_degrees_follow_the_key_and_fit_brings_strangers_home() -> None:
    assert [p for _, (p,) in steps(row("a", "1 3 b3 5,"), 2, key="D dorian")] == [62, 65, 65, 57]
    fitted = [p for _, (p,) in steps(row("a", "C C# D Eb", fit="key"), 2)]
    assert all(pitch % 12 in {0, 2, 4, 5, 7, 9, 11} for pitch in fitted)


@pytest.mark.parametrize("first", [0, 1])
def test_chords_reach_the_followers_whatever_the_order(first: int) -> None:
    specs = [row("tones", "c1 c3 c5", grid=F(1)), row("chords", "I V", grid=F(2))]
    setting = ground()
    order = specs if first == 0 else specs[::-1]
    agenda = Agenda([Part(spec, setting, count(1).__next__) for spec in order])
    found = [
        step.tones[0].pitch % 12 for each, step in agenda.plan(F(4))[0] if each.spec.name == "tones"
    ]
    assert found == [0, 4, (7 + 7) % 12, 7]


def test_on_strong_beats_fit_chord_takes_tones_of_the_chord() -> None:
    setting = ground()
    specs = [
        row("a", "C D E F G A B", chance=True, fit="chord", grid=F(1)),
        row("h", "V", grid=F(4)),
    ]
    agenda = Agenda([Part(spec, setting, count(1).__next__) for spec in specs])
    found = [s for p, s in agenda.plan(F(32))[0] if p.spec.name == "a"]
    assert len(found) == 32
    assert {s.tones[0].pitch % 12 for s in found if s.beat % 2 == 0} <= {7, 11, 2}
    assert {s.tones[0].pitch % 12 for s in found if s.beat % 2} > {0, 4}  # as they were


def sung(*specs: PartSpec, until: int, **setting: Any) -> dict[str, list[tuple[Fraction, int]]]:
    """The highest pitch of each step, by part."""
    there = ground(**setting)
    agenda = Agenda([Part(spec, there, count(1).__next__) for spec in specs])
    found: dict[str, list[tuple[Fraction, int]]] = {spec.name: [] for spec in specs}
    planned, troubles = agenda.plan(F(until))
    assert not troubles
    for each, step in planned:
        if step.tones:
            found[each.spec.name].append((step.beat, max(tone.pitch for tone in step.tones)))
    return found


def runs(*voices: list[tuple[Fraction, int]]) -> int:
    """Parallel fifths and octaves of two voices that move together."""
    top, low = (dict(voice) for voice in voices)
    both = sorted(set(top) & set(low))
    return sum(parallel(Move(top[a], top[b]), Move(low[a], low[b])) for a, b in pairwise(both))


def outer(seed: int, fit: str, **tune: Any) -> tuple[PartSpec, PartSpec, PartSpec]:
    return (
        row("tune", "1 2 3 4 5 6 7 1'", chance=True, grid=F(1), fit=fit, role="melody", **tune),
        row("low", "1 2 3 4 5", chance=True, grid=F(1), octave=2, role="bass"),
        row("pad", "I V7 ii IV vi", chance=True, grid=F(4), role="pad"),
    )


@pytest.mark.parametrize("fit", ["key", "chord"])
def test_a_melody_that_fits_makes_way_for_the_bass(fit: str) -> None:
    found = sung(*outer(1, fit), until=400)
    assert runs(found["tune"], found["low"]) == 0
    plain = sung(*outer(1, ""), until=400)
    assert runs(plain["tune"], plain["low"]) > 5  # as its author wrote it
    kept = sum(a == b for a, b in zip(found["tune"], plain["tune"], strict=True))
    assert fit == "chord" or kept > 300
    assert found["low"] == plain["low"]


def test_what_it_takes_instead_fits_and_stays_in_range() -> None:
    found = sung(*outer(1, "chord", low=60, high=74), until=400)
    assert runs(found["tune"], found["low"]) == 0
    assert all(60 <= pitch <= 74 for _, pitch in found["tune"])
    assert all(pitch % 12 in {0, 2, 4, 5, 7, 9, 11} for _, pitch in found["tune"])


def test_where_no_bass_plays_the_lowest_of_the_others_is_the_bass() -> None:
    found = sung(
        row("tune", "1 2 3 4 5", chance=True, grid=F(1), fit="key", role="melody"),
        row("pad", "1 2 3 4 5", chance=True, grid=F(1), octave=2, role="pad"),
        until=200,
    )
    assert runs(found["tune"], found["pad"]) == 0


def test_a_melody_does_not_sink_below_the_bass() -> None:
    found = sung(
        row("tune", "c1 c3 c5", grid=F(1, 2), octave=2, low=36, high=60, fit="chord",
            role="melody"),
        row("low", "c1", grid=F(1), octave=3, role="bass"),
        row("pad", "I IV", grid=F(4), role="pad"),
        until=16,
    )  # fmt: skip
    low = dict(found["low"])
    assert all(pitch > low[F(beat.numerator // beat.denominator)] for beat, pitch in found["tune"])


def test_the_root_in_the_bass_is_what_the_chord_stands_on() -> None:
    chords = row("pad", "n4/c3 n1 n57/c7", grid=F(4))
    found = sung(row("low", "c1 c5", grid=F(2), octave=2, role="bass"), chords, until=12)
    assert [pitch % 12 for _, pitch in found["low"]] == [9, 0, 0, 7, 5, 2]
    plain = sung(row("tune", "c1", grid=F(4), role="comp"), chords, until=12)
    assert [pitch % 12 for _, pitch in plain["tune"]] == [5, 0, 7]


@pytest.mark.parametrize("stride", [F(1, 2), F(1), F(16)])
def test_an_approach_leads_into_the_chord_that_comes(stride: Fraction) -> None:
    setting = ground()
    specs = [
        row("pad", "n1 n4 n57/n1 n6", grid=F(4)),
        row("low", "c1:1/2. a1:1/4", grid=None, octave=2, role="bass"),
    ]
    agenda = Agenda([Part(spec, setting, count(1).__next__) for spec in specs])
    found = [
        step.tones[0].pitch
        for n in range(1, int(64 / stride) + 1)
        for each, step in agenda.plan(n * stride)[0]
        if each.spec.name == "low"
    ]
    into = list(zip(found[1::2], found[2::2], strict=False))
    assert len(into) == 15
    assert all(abs(to - approach) == 1 for approach, to in into)


def test_a_note_on_a_strong_place_may_lean_on_a_chord_tone_a_step_away() -> None:
    found = sung(
        row("tune", "4 3 6 5 2 1 7 1'", grid=F(1), fit="chord", role="melody"),
        row("pad", "I", grid=F(4)),
        until=256,
    )["tune"]
    strong = [(pitch, to) for (beat, pitch), (_, to) in pairwise(found) if beat % 2 == 0]
    leaning = [(pitch, to) for pitch, to in strong if pitch % 12 not in {0, 4, 7}]
    assert 0.1 < len(leaning) / len(strong) < 0.6
    assert all(abs(pitch - to) in (1, 2) and to % 12 in {0, 4, 7} for pitch, to in leaning)


# Registers ------------------------------------------------------------------------------


def lifted(valence: float, bars: int = 256, **fields: Any) -> list[int]:
    """The first pitch of each bar under a mood, of a melody on the tonic."""
    spec = row("tune", "1", grid=F(4), role="melody", **fields)
    key, meters = parse_key("C major"), parse_meters("4/4")
    conductor = Conductor(
        ConductorSpec(mood=Mood(valence, 0.0), map=MOODS), 1, key, meters, F(0), 4
    )
    there = Setting(1, key, meters, conductor=conductor)
    found, troubles = Part(spec, there, count(1).__next__).plan(F(4 * bars))
    assert not troubles
    return [step.tones[0].pitch for step in found]


def test_a_register_between_a_third_and_a_sixth_is_both_in_turn() -> None:
    found = lifted(0.5)  # by five semitones
    assert set(found) == {64, 69}
    changes = [n for n in range(1, len(found)) if found[n] != found[n - 1]]
    assert all(n % 8 == 0 for n in changes)  # where pairs of phrases begin
    assert 60 + 4.0 < sum(found) / len(found) < 60 + 6.0


@settings(max_examples=30, deadline=None)
@given(st.floats(-1, 1), st.floats(-1, 1))
def test_a_brighter_mood_takes_no_phrase_down(a: float, b: float) -> None:
    dark, bright = (lifted(min(max(v, -1), 1), 64) for v in sorted((a, b)))
    assert all(x <= y for x, y in zip(dark, bright, strict=True))


@given(st.integers(20, 90), st.integers(0, 60), st.integers(-24, 0), st.integers(12, 24))
def test_making_room_lowers_the_top_and_keeps_some(
    low: int, width: int, fall: int, room: int
) -> None:
    under, over = beneath(low, low + width, fall, room)
    assert low + width + fall <= over <= low + width
    assert over - under >= min(width, room)
    assert min(low, 45) <= under <= low
    assert beneath(low, low + width, 0, room) == (low, low + width)


def test_only_one_part_leads() -> None:
    setting = ground()
    pair = [Part(row(name, words, grid=F(2)), setting, count(1).__next__) for name, words in
            (("one", "I"), ("two", "V"))]  # fmt: skip
    Agenda(pair).plan(F(4))
    assert [each.leads for each in pair] == [True, False]
    chord = setting.harmonies.at(F(3))
    assert chord is not None
    assert chord.name == "C"


# Engines that misbehave -----------------------------------------------------------------


def raising(error: Exception, after: int = 3) -> Callable[[Random, Controls], Iterator[Symbol]]:
    def symbols(rng: Random, controls: Controls) -> Iterator[Symbol]:
        for _ in range(after):
            yield Symbol("C")
        raise error

    return symbols


class Unspeakable(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), RecursionError(), MemoryError(), Unspeakable(), KeyError("x" * 100_000)],
)
def test_an_engine_that_raises_is_started_again_and_at_last_silenced(error: Exception) -> None:
    one = Part(does(raising(error)), ground(), count(1).__next__)
    found, troubles = one.plan(F(1000))
    assert len(troubles) == FAILURES
    assert one.finished
    assert len(found) == FAILURES * 3 + FAILURES - 1
    assert type(error).__name__ in troubles[0].text
    assert "started again" in troubles[0].text
    assert "silenced" in troubles[-1].text
    assert max(len(trouble.text) for trouble in troubles) < 300


def test_errors_far_apart_are_forgiven() -> None:
    spec = does(raising(ValueError("no"), after=200), grid=F(1, 2))
    one = Part(spec, ground(), count(1).__next__)
    _, troubles = one.plan(F(1000))
    assert len(troubles) == 9
    assert not one.finished


def broken() -> list[Callable[[Random, Controls], Iterator[Any]]]:
    def no_stream(rng: Random, controls: Controls) -> Iterator[Any]:
        raise TypeError("no stream")

    def no_symbols(rng: Random, controls: Controls) -> Iterator[Any]:
        while True:
            yield None

    def one_sound(*sound: Any) -> Callable[[Random, Controls], Iterator[Any]]:
        def symbols(rng: Random, controls: Controls) -> Iterator[Any]:
            while True:
                yield Symbol("x", fragment=Fragment(F(1), (Sound(*sound),)))

        return symbols

    return [
        no_stream,
        no_symbols,
        one_sound(float("nan"), F(1), 60),
        one_sound(F(0), float("inf"), 60),
        one_sound(F(0), F(1), "C"),
        one_sound(F(0), F(1), 60, "loud"),
    ]


@pytest.mark.parametrize("what", broken())
def test_what_is_no_music_silences_its_part_only(what: Any) -> None:
    setting = ground()
    wild, calm = (Part(spec, setting, count(1).__next__) for spec in (does(what), row("b", "C")))
    found, troubles = Agenda([wild, calm]).plan(F(200))
    assert wild.finished
    assert len(troubles) == FAILURES
    assert len([step for each, step in found if each is calm]) == 400


@pytest.mark.parametrize("pitch", [-1000, -1, 128, 1000])
@pytest.mark.parametrize("velocity", [-1.0, 0.0, 7.0, float("nan"), float("inf")])
def test_absurd_sounds_are_brought_within_bounds(pitch: int, velocity: float) -> None:
    def symbols(rng: Random, controls: Controls) -> Iterator[Symbol]:
        sound = Sound(F(-3), F(-1), pitch, velocity, -5)
        yield Symbol("x", fragment=Fragment(F(-2), (sound,)))

    found, troubles = planned(does(symbols))
    (tone,) = found[0].tones
    assert not troubles
    assert 0 <= tone.pitch <= 127
    assert 0 <= tone.velocity <= 1.25
    assert (found[0].beat, tone.length, tone.voice) == (F(0), F(0), 0)


def test_thinking_rests_a_grid_step_and_asks_again() -> None:
    def think(rng: Random, controls: Controls) -> Iterator[Symbol]:
        while True:
            yield THINKING
            yield THINKING
            yield Symbol("C")

    found = [(s.beat, len(s.tones)) for s in planned(does(think), 3)[0]]
    assert found == [(0, 0), (F(1, 2), 0), (1, 1), (F(3, 2), 0), (2, 0), (F(5, 2), 1)]


def test_nothing_but_unknown_symbols_silences_the_part() -> None:
    def mumble(rng: Random, controls: Controls) -> Iterator[Symbol]:
        for number in count():
            yield Symbol(f"unknown{number % 7}")

    one = Part(does(mumble), ground(), count(1).__next__)
    found, troubles = one.plan(F(10))
    assert one.finished
    assert len(troubles) == FAILURES
    assert not any(step.tones for step in found)


@pytest.mark.parametrize("sounds", [0, 1, 50])
@pytest.mark.parametrize("length", [F(0), F(1, 10**9)])
def test_a_million_symbols_at_one_beat_silence_the_part(sounds: int, length: Fraction) -> None:
    given = 0

    def flood(rng: Random, controls: Controls) -> Iterator[Symbol]:
        nonlocal given
        note = Sound(F(0), F(1), 60)
        while True:
            given += 1
            yield Symbol("x", fragment=Fragment(length, (note,) * sounds))

    one = Part(does(flood, grid=None), ground(), count(1).__next__)
    found, troubles = one.plan(F(10))
    assert one.finished
    assert len(troubles) == FAILURES
    assert given <= 2 * FAILURES * (CROWD + 1)
    assert len(found) <= 2 * FAILURES * (CROWD + 1)


def test_huge_fragments_and_chords_are_bounded() -> None:
    def huge(rng: Random, controls: Controls) -> Iterator[Symbol]:
        notes = tuple(Sound(F(n), F(1), 60) for n in range(MOST_SOUNDS + 1))
        chord = (Sound(F(0), F(1), 60),) * (MOST_TONES + 500)
        while True:
            yield Symbol("chord", fragment=Fragment(F(1), chord))
            yield Symbol("tune", fragment=Fragment(F(1), notes))

    one = Part(does(huge, grid=None), ground(), count(1).__next__)
    found, troubles = one.plan(F(20))
    assert one.finished
    assert "notes of fragments" in troubles[0].text
    assert max(len(step.tones) for step in found) == MOST_TONES


def test_lengths_that_would_never_meet_again_stay_payable() -> None:
    def primes(rng: Random, controls: Controls) -> Iterator[Symbol]:
        for number in count(3):
            yield Symbol("x", fragment=Fragment(F(1, 10**9 + number), (Sound(F(0), F(1), 60),)))
            yield Symbol("x", fragment=Fragment(F(1, number)))

    one = Part(does(primes, grid=None), ground(), count(1).__next__)
    one.plan(F(7))
    assert one.cursor.denominator < 1 << 150


def test_a_wild_part_does_not_change_the_others() -> None:
    def calm(others: list[PartSpec]) -> list[Step]:
        setting = ground()
        agenda = Agenda(
            [Part(s, setting, count(1).__next__) for s in [*others, row("b", "C D E", chance=True)]]
        )
        return [s._replace(id=0) for p, s in agenda.plan(F(50))[0] if p.spec.name == "b"]

    assert calm([does(raising(ValueError("no")))]) == calm([])


def test_notes_of_a_fragment_and_later_words_come_in_order_of_their_beats() -> None:
    def mixed(rng: Random, controls: Controls) -> Iterator[Symbol]:
        while True:
            sounds = tuple(Sound(F(n), F(1), 48 + 7 * n) for n in range(4))
            yield Symbol("long", fragment=Fragment(F(1), sounds))
            yield Symbol("C5")
            yield Symbol("E3")

    spec = does(mixed, grid=F(1, 2), nearest=True)
    found = [step._replace(id=0) for step in planned(spec, 12)[0]]
    assert [step.beat for step in found] == sorted(step.beat for step in found)
    one = Part(spec, ground(), count(1).__next__)
    again = [step._replace(id=0) for n in range(49) for step in one.plan(F(n, 4))[0]]
    assert again == found


def test_lengths_are_bounded_and_names_are_text() -> None:
    class Text(str):
        __slots__ = ()

    def symbols(rng: Random, controls: Controls) -> Iterator[Any]:
        yield Symbol(Text("x"), fragment=Fragment(F(1), (Sound(F(1, 2), F(10) ** 400, 60),)))
        yield Symbol("x", fragment=Fragment(F(1), (Sound(F(10) ** 11, F(1), 62),)))
        yield Symbol(7)  # type: ignore[arg-type]

    one = Part(does(symbols, grid=F(1)), ground(), count(1).__next__)
    found, troubles = one.plan(F(2))
    assert [tone.length for step in found for tone in step.tones] == [LONGEST_STEP]
    assert {type(step.symbol.name) for step in found} == {str}
    assert not troubles
    assert one._onsets[0].beat == 1 + LONGEST_STEP
    assert "not text" in one.plan(F(3))[1][0].text


def test_acts_are_bounded_like_tones() -> None:
    words = " ".join(["cc1=1"] * 1000)
    spec = part("a", Row(("A",)), reading={"A": f"{words} C"}, together=True)
    assert all(len(step.acts) <= MOST_TONES for step in planned(spec)[0])


def remembering(**fields: Any) -> list[PartSpec]:
    learner = Markov(text="C D E C D C", order=1, remember=16)
    return [
        part("echo", learner, listens=("tune",), **fields),
        row("tune", "G5 A5 B5 Rest", chance=True, grid=F(1, 2)),
    ]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.fractions(F(1, 16), 5, max_denominator=16), min_size=1, max_size=20))
def test_who_listens_learns_the_same_however_the_asking_is_divided(chunks: list[Fraction]) -> None:
    def lay(asks: list[Fraction]) -> list[Any]:
        agenda = Agenda([Part(s, ground(), count(1).__next__) for s in remembering()])
        assert [each.spec.name for each in agenda.parts] == ["tune", "echo"]
        return sorted(
            (each.spec.name, step.beat, step.tones)
            for until in asks
            for each, step in agenda.plan(until)[0]
        )

    asks = [sum(chunks[: n + 1], F(0)) for n in range(len(chunks))]
    assert lay([asks[-1]]) == lay(asks)


def test_who_listens_takes_up_what_it_hears() -> None:
    agenda = Agenda([Part(s, ground(), count(1).__next__) for s in remembering()])
    planned = agenda.plan(F(64))[0]
    echo = {t.pitch for each, s in planned if each.spec.name == "echo" for t in s.tones}
    assert echo & {79, 81, 83}
