from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from server.ensemble.mixer import EDITS, Mixer, Strip
from tests.server.model import row

F = Fraction
SPECS = (row("a", "C", level=0.5), row("b", "C", mute=True), row("c", "C", density=0.5))
edits = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.fractions(0, 8, max_denominator=4),
        st.sampled_from(
            [("mute", True), ("mute", False), ("solo", True), ("solo", False), ("level", 2.0)]
        ),
    ),
    max_size=20,
)


def test_strips_begin_as_the_scene_says() -> None:
    mixer = Mixer(SPECS)
    assert mixer.asked("a") == Strip(level=0.5)
    assert mixer.asked("b") == Strip(mute=True)
    assert mixer.at("c", F(0)) == Strip(density=0.5)


@given(edits, st.fractions(0, 8, max_denominator=8))
def test_an_edit_holds_from_its_beat_on_and_a_newer_one_instead_of_later_ones(
    todo: list[tuple[str, Fraction, tuple[str, Any]]], beat: Fraction
) -> None:
    mixer = Mixer(SPECS)
    kept: list[tuple[str, Fraction, str, Any]] = []
    for name, at, (field, value) in todo:
        mixer.set(name, at, field, value)
        kept = [each for each in kept if (each[0], each[2]) != (name, field) or each[1] < at]
        kept.append((name, at, field, value))
    strips = {spec.name: Mixer(SPECS).asked(spec.name) for spec in SPECS}
    for name, at, field, value in sorted(kept, key=lambda each: each[1]):
        if at <= beat:
            strips[name] = replace(strips[name], **{field: value})
    soloed = any(strip.solo for strip in strips.values())
    for name, strip in strips.items():
        assert mixer.asked(name, beat) == strip
        assert mixer.at(name, beat).mute == (strip.mute or (soloed and not strip.solo))
    mixer.settle(beat)
    assert {name: mixer.asked(name, beat) for name in strips} == strips
    after = {name: mixer.asked(name) for name in strips}
    mixer.settle()
    assert not mixer.edited
    assert {name: mixer.asked(name) for name in strips} == after


def test_edits_stay_few() -> None:
    mixer = Mixer(SPECS)
    for beat in range(10 * EDITS):
        mixer.set("a", F(beat), "level", beat / 10_000)
    assert len(mixer._edits) == EDITS
    assert mixer.asked("a").level == (10 * EDITS - 1) / 10_000


@given(edits, st.fractions(0, 8, max_denominator=8))
def test_what_was_to_hold_later_can_be_forgotten(
    todo: list[tuple[str, Fraction, tuple[str, Any]]], beat: Fraction
) -> None:
    mixer = Mixer(SPECS)
    for name, at, (field, value) in todo:
        mixer.set(name, at, field, value)
    here = {name: mixer.asked(name, beat) for name in "abc"}
    mixer.forget(beat)
    assert {name: mixer.asked(name) for name in "abc"} == here
    assert {name: mixer.asked(name, F(99)) for name in "abc"} == here
