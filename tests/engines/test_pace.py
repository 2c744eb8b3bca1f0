"""How a tune speeds up and slows down: running notes, thinned bars, graces."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engines.motif import Motif, fill, generate, grace, parse, simplify, strong_beats, text, thin
from engines.theme import ThemeEngine
from tests.engines.test_theme import HOPE, phrases, pull

themes = st.builds(
    lambda seed, bars, bar: generate(Random(seed), bars, bar),
    st.integers(0, 10**6),
    st.sampled_from((4, 8)),
    st.sampled_from((Fraction(4), Fraction(3), Fraction(5))),
)
shares = st.floats(0, 1)


@given(themes, st.integers(0, 1000), shares)
def test_what_runs_keeps_the_tune_and_its_strong_beats(
    motif: Motif, seed: int, amount: float
) -> None:
    full = fill(motif, Random(seed), amount)
    there = {(note.at, note.step) for note in full.notes}
    assert {(note.at, note.step) for note in motif.notes} <= there
    assert full.length == motif.length
    for note in full.notes:
        if note.at % motif.bar in strong_beats(motif):
            under = [each for each in motif.notes if each.at <= note.at < each.end]
            assert [each.step for each in under] == [note.step]


@given(themes, st.integers(0, 1000), shares)
def test_what_is_thinned_is_between_the_tune_and_its_skeleton(
    motif: Motif, seed: int, amount: float
) -> None:
    thinner = {(note.at, note.step) for note in thin(motif, Random(seed), amount).notes}
    assert {(note.at, note.step) for note in simplify(motif).notes} <= thinner
    assert thinner <= {(note.at, note.step) for note in motif.notes}
    assert thin(motif, Random(seed), 0) == motif


@given(themes, st.integers(0, 1000), shares)
def test_graces_move_nothing(motif: Motif, seed: int, amount: float) -> None:
    there = {(note.at, note.step) for note in grace(motif, Random(seed), amount).notes}
    assert {(note.at, note.step) for note in motif.notes} <= there
    assert grace(motif, Random(seed), 0) == motif


def test_running_on_reaches_what_comes_next() -> None:
    walk = parse("1:1/2 3:1/2 | 1:1/1")
    assert text(fill(walk, Random(1), 1)).startswith("1:1/8")
    assert len(fill(walk, Random(1), 1).notes) == 9
    assert fill(walk, Random(1), 1).notes[-1] == walk.notes[-1], "before a breath nothing changes"


def test_the_more_arousal_the_more_notes() -> None:
    def notes(arousal: float) -> int:
        row = pull(ThemeEngine(HOPE, plan="state"), 128, 1, lambda _: {"arousal": arousal})
        return sum(not symbol.name.startswith("Rest") for _, symbol, _ in row)

    counts = [notes(arousal) for arousal in (-0.7, -0.4, 0.0, 0.3, 0.6, 0.9)]
    assert counts == sorted(counts)
    assert counts[0] < counts[2] < counts[-1]


def test_a_section_never_begins_with_a_rest() -> None:
    def ask(bar: int) -> dict[str, float]:
        return phrases(4)(bar) | {"section_bar": bar % 8 + 1, "section_left": 8 - bar % 8}

    for plan in ("", "rest state"):
        for at, symbol, _ in pull(ThemeEngine(HOPE, plan=plan), 64, 2, ask):
            if at % 32 == 0:
                assert not symbol.name.startswith("Rest")
