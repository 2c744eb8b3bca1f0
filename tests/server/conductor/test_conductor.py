"""The laws: decided once, the past stays, what did not happen leaves no trace."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.conductor.conductor import Bar, Conductor, ConductorSpec, Seat
from server.conductor.form import FormSpec, SectionSpec, Transitions
from server.conductor.mood import Mood
from server.conductor.moodmap import find_map, load_map
from server.music.meter import parse_meters
from server.music.scale import parse_key
from server.score.direction import Row

F = Fraction
SECTIONS = {
    "A": SectionSpec("A", 6, ((0.0, 0.2), (1.0, 0.7)), cues={"exit": frozenset({3})}),
    "B": SectionSpec("B", 5, up=3, tempo=1.5, only=frozenset({"bass", "pad"})),
    "C": SectionSpec("C", 4, ((0.0, 0.9),), mode="phrygian"),
}
SEATS = (Seat("pad", "pad"), Seat("bass", "bass"), Seat("tune", "melody", 0.5, 1.0))
METERS = ("4/4", "7/8", "3/4 4/4")


def conductor(
    meter: str = "4/4", plan: str = "A B C", ends: bool = False, **fields: object
) -> Conductor:
    form = FormSpec(SECTIONS, Row(tuple(plan.split())), ends)
    spec = ConductorSpec(form=form, themes=("one", "two"), **fields)  # type: ignore[arg-type]
    return Conductor(spec, 7, parse_key("C major"), parse_meters(meter), seats=SEATS)


def bars(made: Conductor, last: int = 40) -> list[Bar]:
    return [made.bar(number) for number in range(1, last)]


def command(made: Conductor, name: str, bar: int) -> None:
    at = made.meters.beat_of_bar(bar)
    if name == "key":
        made.change_key(parse_key("E major"), at)
    elif name == "section":
        made.go("C", at)
    elif name == "theme":
        made.state("two", at)
    else:
        made.head_for(Mood(-0.8, 0.6), at, 4.0)


names = st.sampled_from(["key", "section", "theme", "mood"])
commands = st.lists(st.tuples(names, st.integers(2, 30)), max_size=5)


@given(commands, st.sampled_from(METERS), st.lists(st.integers(1, 50), max_size=6))
def test_decisions_do_not_depend_on_who_has_asked(
    todo: list[tuple[str, int]], meter: str, looks: list[int]
) -> None:
    plain, curious = conductor(meter), conductor(meter)
    for name, bar in todo:
        command(plain, name, bar)
        for look in looks:
            curious.bar(look)
            curious.opens("section", look)
        command(curious, name, bar)
    assert bars(plain) == bars(curious)


@given(names, st.integers(2, 30), st.integers(0, 29), st.sampled_from(METERS))
def test_what_has_been_played_stays(name: str, bar: int, played: int, meter: str) -> None:
    made = conductor(meter)
    before = bars(made)
    planned = min(played, bar - 1)
    made.heed(made.meters.beat_of_bar(planned + 1))
    command(made, name, bar)
    for old, new in zip(before[:planned], bars(made), strict=False):
        assert new == old


@given(names, st.integers(2, 30), st.integers(1, 40), st.sampled_from(METERS))
def test_what_is_taken_back_leaves_no_trace(name: str, bar: int, look: int, meter: str) -> None:
    made = conductor(meter)
    command(made, name, bar)
    made.bar(look)
    made.take_back(name, F(0))
    assert bars(made) == bars(conductor(meter))


def test_another_scene_that_does_not_come_leaves_no_trace() -> None:
    made = conductor()
    rule = Transitions().between("A", "scene x")
    made.leave(F(32), rule, parse_key("E major"), F(4))
    assert made.bar(8).bridge
    assert made.bar(8).values["fill"] == 1
    gone = [
        sum(
            made.withdrawn(name, made.bar(bar), made.bar(bar).beat)
            for name in made.bar(bar).playing
        )
        for bar in (6, 7, 8)
    ]
    assert gone == sorted(gone)
    assert gone[0] == 0 < gone[2] < len(made.bar(8).playing)
    made.stay()
    assert bars(made) == bars(conductor())


def test_phrases_lie_within_sections_and_count_down() -> None:
    for bar, after in pairwise(bars(conductor())):
        assert bar.phrase_left >= 1
        assert bar.section_left >= bar.phrase_left
        if after.section.number != bar.section.number:
            assert bar.phrase_left == bar.section_left == 1
            assert after.phrase_bar == 1
        elif bar.phrase_left > 1:
            assert after.phrase_left == bar.phrase_left - 1


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=10))
def test_layers_change_at_phrases_or_when_energy_jumps(arousals: list[float]) -> None:
    made = conductor()
    for number, arousal in enumerate(arousals):
        made.head_for(Mood(0.0, arousal), F(8 * number), 2.0)
    for bar, after in pairwise(bars(made)):
        assert after.playing
        new = after.section.number != bar.section.number
        if not new and after.phrase_bar != 1 and abs(after.energy - bar.energy) < 0.2:
            assert after.playing == bar.playing


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_arousal_alone_changes_neither_mode_nor_harmony(first: float, second: float) -> None:
    moods = load_map(find_map("default"))
    made = conductor(modes=True, enrich=True, map=moods)
    made.head_for(Mood(0.3, first), F(0))
    before = bars(made)
    made.head_for(Mood(0.3, second), F(16), 4.0)
    for old, new in zip(before, bars(made), strict=True):
        assert new.key == old.key
        assert new.cues.dissonance == pytest.approx(old.cues.dissonance)


def test_a_mode_turns_at_phrase_lines_only() -> None:
    made = conductor(plan="A", modes=True, map=load_map(find_map("default")))
    made.head_for(Mood(-0.9, 0.0), F(6))
    turned = [b.number for a, b in pairwise(bars(made)) if a.key != b.key]
    assert turned
    assert all(made.bar(number).phrase_bar == 1 for number in turned)
    for number in turned:
        assert made.bar(number - 1).bridge, "and over chords that lead there"


def test_a_bridge_leads_over_as_many_bars_as_its_rule_says() -> None:
    rules = Transitions((("A", "B", {"bridge": 2, "fill": 2, "pause": F(1, 2)}),))
    made = conductor(transitions=rules)
    assert not made.bar(4).bridge
    assert made.bar(5).bridge
    assert made.bar(6).bridge
    assert [made.bar(bar).values["fill"] for bar in (4, 5, 6, 7)] == [0, 1, 1, 0]
    assert made.bar(6).pause == F(1, 2)
    assert made.bar(6).bridge[-1].chord.name.startswith("Bb")
    assert made.bar(7).key == parse_key("Eb major")


def test_tempo_ramps_into_a_section_without_a_jump() -> None:
    made = conductor()
    before, line = made.tempo_at(F(20)), made.meters.beat_of_bar(7)
    ramp = [made.tempo_at(F(20 + beat)) / before for beat in range(5)]
    assert ramp == pytest.approx([1.0, 1.125, 1.25, 1.375, 1.5])
    assert line == 24


def test_energy_builds_up_and_layers_follow() -> None:
    rules = Transitions((("*", "*", {"build": 4}),))
    plain = conductor(plan="A C").bar(6).energy
    made = conductor(plan="A C", transitions=rules)
    energies = [made.bar(bar).energy for bar in range(1, 8)]
    assert energies == sorted(energies)
    assert energies[5] > plain
    assert "tune" in made.bar(6).playing


def test_the_old_layers_leave_and_the_new_enter_one_by_one() -> None:
    rules = Transitions((("*", "*", {"thin": 2, "enter": 2}),))
    seats = [Seat(f"p{number}") for number in range(6)]
    form = FormSpec(
        {
            "A": SectionSpec("A", 6, only=frozenset({"p0", "p1", "p2", "p3"})),
            "B": SectionSpec("B", 6, only=frozenset({"p0", "p4", "p5"})),
        },
        Row(("A", "B")),
    )
    spec = ConductorSpec(form=form, transitions=rules)
    made = Conductor(spec, 1, parse_key("C major"), parse_meters("4/4"), seats=seats)
    assert [len(made.bar(bar).playing) for bar in range(4, 10)] == [4, 3, 2, 1, 2, 3]


def test_a_piece_that_ends_closes_slower_with_a_cadence() -> None:
    made = conductor(plan="A", ends=True)
    assert made.bar(1).last is False
    assert made.ends == 24
    assert made.bar(6).last
    chords = [step.chord.name for bar in (5, 6) for step in made.bar(bar).bridge]
    assert chords[-1] == "C"
    assert made.bar(6).bridge[-1].at == 0
    falling = [made.tempo_at(F(16 + beat)) for beat in range(9)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.6 * falling[0])


def test_memory_is_bounded() -> None:
    made = conductor("4/4 7/8")
    for number in range(1, 20_001):
        bar = made.bar(number)
        made.feel("melody", bar.beat)
        if number % 16 == 0:
            made.change_key(parse_key("E major" if number % 32 else "C major"), bar.end)
            made.forget(bar.beat)
    assert len(made._bars) < 600


def test_what_has_been_played_takes_little_room_for_ever() -> None:
    made, roles = conductor(), ("melody", "bass", "drums", "pad")
    tracemalloc.start()
    try:
        for number in range(1, 1201):
            bar = made.bar(number)
            for beat in range(4):
                for role in roles:
                    made.feel(role, bar.beat + beat)
            made.forget(bar.end)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 768 << 10, "a hundred bands have as many of it, and it fills for half an hour"


def test_names_that_are_not_there_are_refused() -> None:
    made = conductor()
    with pytest.raises(Mistake, match="no section is called"):
        made.go("X", F(8))
    with pytest.raises(Mistake, match="no theme is called"):
        made.state("X", F(8))


def test_a_leap_of_mood_brings_layers_and_takes_them_a_few_at_each_bar_line() -> None:
    seats = [Seat(f"p{n}", "arp", n / 12, 1) for n in range(12)]
    spec = ConductorSpec(mood=Mood(0, -1), map=load_map(find_map("default")))
    made = Conductor(spec, 7, parse_key("C major"), parse_meters("4/4"), seats=seats)

    def sizes(first: int) -> list[int]:
        return [len(made.bar(number).playing) for number in range(first, first + 9)]

    assert len(made.bar(2).playing) < 5
    made.head_for(Mood(0, 1), F(8))
    rising = sizes(2)
    assert rising[-1] > 8
    assert all(0 <= after - before <= 2 for before, after in pairwise(rising))
    made.heed(F(40))
    made.head_for(Mood(0, -1), F(44))
    falling = sizes(11)
    assert falling[-1] < 5
    assert all(0 <= before - after <= 2 for before, after in pairwise(falling))
