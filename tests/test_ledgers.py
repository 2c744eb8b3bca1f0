"""The soak's judgement is judged: notes made up, with what is wrong known."""

from __future__ import annotations

from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.ledgers import RUN, Ledger, Note, Verdict, judge

STEP, TOLERANCE = 62.5e6, 10e6
PARTS = ("p1", "p2")
STEPS = 4 * RUN


def notes(phase: int, jitter: float = 0.0) -> list[Note]:
    rng = Random(phase)
    return [
        Note(round(phase + step * STEP + rng.uniform(-jitter, jitter)), part, 60)
        for step, part in product(range(STEPS), PARTS)
    ]


def verdict(given: list[Note], phase: int, over: int) -> Verdict:
    window = phase + over, round(phase + STEPS * STEP)
    return judge(given, PARTS, STEP, window, TOLERANCE, pitches=[60])


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.floats(0, 4e6))
def test_what_is_whole_is_right_from_the_first_step_on(
    phase: int, over: int, jitter: float
) -> None:
    found = verdict(notes(phase, jitter), phase, over)
    assert found.right is not None
    assert found.right - phase - over < STEP * 2
    assert found.bad == 0
    assert max(map(abs, found.errors)) <= 2 * jitter + 1


@given(st.integers(0, RUN - 1), st.sampled_from(("missing", "late", "wrong", "moved")))
def test_it_is_right_only_after_the_last_wrong_step(step: int, what: str) -> None:
    phase, played = 10**9, notes(10**9)
    at = next(n for n, note in enumerate(played) if note.at >= phase + step * STEP)
    note = played.pop(at)
    if what == "late":
        played.append(note._replace(at=note.at + 20_000_000))
    elif what == "wrong":
        played.append(note._replace(pitch=61))
    elif what == "moved":  # everything before lay elsewhere
        played = [n._replace(at=n.at - 30_000_000 * (n.at <= note.at)) for n in [*played, note]]
    found = verdict(played, phase, -round(2 * STEP))
    assert found.right == round(phase + (step + 1) * STEP)


def test_what_is_wrong_after_a_run_is_told_as_such() -> None:
    played = [note for note in notes(0) if note.at != round(40 * STEP)]
    found = verdict(played, 0, 0)
    assert found.right == round(STEP) and found.bad == 1


def test_a_part_that_is_silent_is_never_right() -> None:
    assert verdict([note for note in notes(0) if note.part == "p1"], 0, 0).right is None


def test_what_sounds_for_too_long_is_told_once() -> None:
    ledger = Ledger()
    ledger.on(("1", 60), 0)
    ledger.on(("1", 64), 0)
    ledger.off(("1", 60))
    assert ledger.stuck(10, bound=10) == []
    assert ledger.stuck(11, bound=10) == [("1", 64)]
    assert ledger.stuck(12, bound=10) == []
