"""Constraints keep the chain's own probabilities: checked against every sequence there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Controls, Mistake
from engines.markov import Markov
from engines.prefix import Choice

PIECES = ["ABACAB", "ABBC", "CABA"]
TEXT = " | ".join(" ".join(piece) for piece in PIECES)


def step_chances(past: str, order: int) -> dict[str, float]:
    """What follows a past, counted in the pieces without any tree; `|` is the end of one."""
    for length in range(min(order, len(past)), 0, -1):
        context = past[-length:]
        if "|" in context[1:]:
            continue
        found: Counter[str] = Counter()
        for piece in PIECES:
            line = f"|{piece}|"
            for at in range(length, len(line)):
                if line[at - length : at] == context:
                    found[line[at]] += 1
        if found:
            return {symbol: count / found.total() for symbol, count in found.items()}
    alone = Counter("".join(PIECES))
    return {symbol: count / alone.total() for symbol, count in alone.items()}


def mixed_chances(past: str, order: float) -> dict[str, float]:
    low = int(order)
    chances: dict[str, float] = {}
    for part, whole in ((1 - order + low, low), (order - low, low + 1)):
        if part:
            for symbol, chance in step_chances(past, whole).items():
                chances[symbol] = chances.get(symbol, 0) + part * chance
    return chances


def chance(sequence: str, past: str, order: float) -> float:
    """How likely the free chain goes on with a sequence, over all silent ends on the way."""
    if not sequence:
        return 1.0
    chances = mixed_chances(past, order)
    direct = chances.get(sequence[0], 0.0)
    total = direct * chance(sequence[1:], past + sequence[0], order) if direct else 0.0
    if chances.get("|"):
        total += chances["|"] * chance(sequence, "|", order)
    return total


def phrases(markov: Markov, count: int, **live: float) -> Counter[str]:
    names = (symbol.name for symbol in markov.symbols(Random(5), Controls(live)))
    return Counter("".join(islice(names, markov.phrase)) for _ in range(count))


def assert_same_law(markov: Markov, obeys: Sequence[str], order: float) -> None:
    wanted = {sequence: chance(sequence, "|", order) for sequence in obeys}
    total = sum(wanted.values())
    assert total > 0
    runs = 12_000
    found = phrases(markov, runs)
    assert set(found) <= {sequence for sequence, weight in wanted.items() if weight}
    for sequence, weight in wanted.items():
        assert found[sequence] / runs == pytest.approx(weight / total, abs=0.02), sequence


@pytest.mark.parametrize("order", [0, 1, 1.5, 2, 3])
def test_phrases_have_the_chains_probability_given_the_constraints(order: float) -> None:
    markov = Markov(order, text=TEXT, phrase=4, start=("A", "C"), end=("A",))
    every = ["".join(each) for each in product("ABC", repeat=4)]
    assert_same_law(markov, [each for each in every if each[0] in "AC" and each[-1] == "A"], order)


@pytest.mark.parametrize("order", [1, 2])
def test_forbidden_symbols_do_too(order: float) -> None:
    markov = Markov(order, text=TEXT, phrase=5, end=("A",), forbid=("C",))
    every = ["".join(each) for each in product("AB", repeat=5)]
    assert_same_law(markov, [each for each in every if each[-1] == "A"], order)


def test_phrases_without_constraints_are_the_free_chain() -> None:
    markov = Markov(2, text=TEXT, phrase=3)
    assert_same_law(markov, ["".join(each) for each in product("ABC", repeat=3)], 2)


def test_a_phrase_of_one_symbol_obeys_start_and_end() -> None:
    assert set(phrases(Markov(1, text=TEXT, phrase=1, start="A C", end="B C"), 50)) == {"C"}  # type: ignore[arg-type]


def test_a_phrase_may_start_where_no_piece_does() -> None:
    found = phrases(Markov(1, text=TEXT, phrase=3, start=("B",)), 200)
    assert {phrase[0] for phrase in found} == {"B"}


def test_constraints_speak_of_pitches_or_durations() -> None:
    text = "C4:1/4 D4:1/8 E4:1/8 C4:1/2 | C4:1/8 E4:1/4 C4:1/4 D4:1/2"
    markov = Markov(1, text=text, phrase=4, start=("C4",), end=("1/2",))
    stream = [symbol.name for symbol in islice(markov.symbols(Random(1), Controls()), 400)]
    assert {name.split(":")[0] for name in stream[::4]} == {"C4"}
    assert {name.split(":")[1] for name in stream[3::4]} == {"1/2"}


def test_what_cannot_be_obeyed_is_a_mistake() -> None:
    with pytest.raises(Mistake, match="no sequence of 3 symbols"):
        Markov(2, text="A B C D", phrase=3, start=("A",), end=("D",))


def test_a_plan_that_would_be_too_large_is_a_mistake() -> None:
    rng = Random(0)
    text = " ".join(str(rng.randrange(60)) for _ in range(3000))
    with pytest.raises(Mistake, match="make the phrase shorter"):
        Markov(3, text=text, phrase=1024)


def test_long_phrases_under_hard_constraints_do_not_underflow() -> None:
    text = " ".join(["A " + "B C D E F G H " * 40] * 2 + ["A A"])
    markov = Markov(0, text=text, phrase=400, forbid=tuple("BCDEFGH"))
    assert set(phrases(markov, 2)) == {"A" * 400}


def test_temperature_bends_within_the_constraints() -> None:
    markov = Markov(1, text=TEXT, phrase=4, end=("C",))
    for temperature in (0.05, 3.0):
        assert {phrase[-1] for phrase in phrases(markov, 300, temperature=temperature)} == {"C"}
    assert len(phrases(markov, 300, temperature=0.05)) < len(phrases(markov, 300, temperature=5))


def test_order_is_live_from_the_next_phrase_that_is_ready() -> None:
    controls = Controls()
    markov = Markov(2, text=TEXT, phrase=4, end=("A",))
    stream = markov.symbols(Random(2), controls)
    first = list(islice(stream, 4))
    controls.values["order"] = 1
    later = list(islice(stream, 40))
    for symbols, asked in ((first, 2), (later[-8:], 1)):
        for symbol in symbols:
            assert isinstance(symbol.origin, Choice)
            assert symbol.origin.asked == asked
    assert {symbol.name for symbol in later[3::4]} == {"A"}


def test_a_live_order_that_cannot_obey_keeps_the_last_plan() -> None:
    controls = Controls({"order": 3})
    text = "A B C | B C D"
    markov = Markov(1, text=text, phrase=4, start=("A",), end=("D",))
    with pytest.raises(Mistake):
        Markov(3, text=text, phrase=4, start=("A",), end=("D",))
    names = [symbol.name for symbol in islice(markov.symbols(Random(2), controls), 40)]
    assert set(names[::4]) == {"A"}
    assert set(names[3::4]) == {"D"}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from("ABC|"), min_size=2, max_size=14),
    st.sampled_from([0, 0.5, 1, 2, 2.5]),
    st.integers(1, 6),
    st.sampled_from([(), ("A",), ("B", "C")]),
    st.sampled_from([(), ("A",), ("C",)]),
    st.integers(1, 3),
)
def test_every_phrase_obeys_or_is_refused(
    tokens: list[str],
    order: float,
    phrase: int,
    start: tuple[str, ...],
    end: tuple[str, ...],
    choices: int,
) -> None:
    try:
        markov = Markov(
            order, text=" ".join(tokens), phrase=phrase, start=start, end=end, choices=choices
        )
    except Mistake:
        return
    for found in phrases(markov, 20):
        assert len(found) == phrase
        assert not start or found[0] in start
        assert not end or found[-1] in end
