"""An answer is made of what was played; a follower hands out what is held."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Controls, Engine, Fragment, Heard, Held, Mistake, Sound, Symbol
from engines.continuator import LONGEST, Continuator
from engines.follow import Follow

F = Fraction

sounds = st.lists(
    st.builds(
        Sound,
        st.fractions(0, 32, max_denominator=960),
        st.fractions(F(1, 960), 4, max_denominator=960),
        st.integers(0, 127),
        st.floats(0.01, 1),
    ),
    min_size=1,
    max_size=30,
)


def phrase(played: list[Sound]) -> Heard:
    first = min(sound.at for sound in played)
    placed = tuple(sorted(sound._replace(at=sound.at - first) for sound in played))
    return Heard(F(0), Fragment(max(sound.at + sound.length for sound in placed), placed))


def answer(engine: Continuator, *phrases: Heard, seed: int = 1) -> list[Symbol]:
    """What it says to the last of these, up to its next rest of a look."""
    controls = Controls()
    stream = engine.symbols(Random(seed), controls)
    said: list[Symbol] = []
    for each in phrases:
        controls.tell(each)
        said = []
        for symbol in islice(stream, 10_000):
            if symbol.fragment is None:
                break
            said.append(symbol)
        else:
            raise AssertionError("it answers for ever")
    return said


@given(st.lists(sounds, min_size=1, max_size=4), st.sampled_from([0.0, 1.0, 8.0]))
def test_an_answer_is_as_long_as_it_should_be_and_all_of_it_was_played(
    played: list[list[Sound]], length: float
) -> None:
    phrases = [phrase(each) for each in played]
    said = answer(Continuator(length=length), *phrases)
    wanted = F(length) if length else max(phrases[-1].fragment.length, F(1))
    total = sum((s.fragment.length for s in said if s.fragment), F(0))
    wanted = min(wanted, LONGEST)
    assert wanted * F(3, 4) <= total <= wanted * F(5, 4)
    kept = {(s.pitch, s.length, s.velocity) for each in phrases for s in each.fragment.sounds}
    for symbol in said:
        assert symbol.fragment is not None
        assert {(s.pitch, s.length, s.velocity) for s in symbol.fragment.sounds} <= kept
        assert "answer" in str(symbol.origin)


def test_it_goes_on_as_the_player_has_gone_on_before() -> None:
    """C D E was always followed by G A: so it is."""
    tune = [Sound(F(n, 2), F(1, 2), pitch) for n, pitch in enumerate((60, 62, 64, 67, 69, 72))]
    asked = [Sound(F(n, 2), F(1, 2), pitch) for n, pitch in enumerate((60, 62, 64))]
    said = answer(Continuator(), phrase(tune), phrase(asked))
    assert [symbol.fragment.sounds[0].pitch for symbol in said if symbol.fragment] == [67, 69, 72]


def test_it_ends_as_phrases_of_the_player_end() -> None:
    tune = [(60, 1), (62, 1), (64, 1), (65, 1), (67, 1), (65, 1), (64, 1), (62, 1), (60, 4)]
    whole = [Sound(F(sum(n for _, n in tune[:k]), 2), F(n, 2), p) for k, (p, n) in enumerate(tune)]
    lasts = []
    for seed in range(20):
        last = answer(Continuator(order=1), phrase(whole), phrase(whole), seed=seed)[-1]
        assert last.fragment is not None
        lasts.append((last.fragment.sounds[0].pitch, last.fragment.length))
    assert lasts.count((60, F(2))) >= 10  # one of nine notes would be by chance


def test_answers_depend_on_the_seed_and_the_number_not_on_the_asking() -> None:
    tune = phrase([Sound(F(n, 2), F(1, 2), 60 + n * n % 7) for n in range(24)])
    one, two = answer(Continuator(order=1), tune), answer(Continuator(order=1), tune)
    assert [s.name for s in one] == [s.name for s in two]
    others = {tuple(s.name for s in answer(Continuator(order=1), tune, seed=n)) for n in range(6)}
    assert len(others) > 1


def test_it_is_silent_while_somebody_plays() -> None:
    controls = Controls()
    stream = Continuator().symbols(Random(1), controls)
    controls.tell(phrase([Sound(F(n), F(1), 60 + n) for n in range(8)]))
    assert next(stream).fragment is not None
    controls.values["playing"] = 1
    assert [next(stream).name for _ in range(4)] == ["Rest:1/16"] * 4
    controls.values["playing"] = 0
    assert next(stream).name == "Rest:1/16", "nothing new has been played"


@pytest.mark.parametrize(
    ("field", "value"), [("order", 0), ("order", 11), ("length", 65.0), ("remember", 1)]
)
def test_keys_out_of_range_are_mistakes(field: str, value: float) -> None:
    with pytest.raises(Mistake, match=field):
        Continuator(**{field: value})  # type: ignore[arg-type]


def test_a_follower_hands_out_each_chord_once_and_the_newest() -> None:
    controls = Controls()
    engine: Engine = Follow(start="C")
    stream = engine.symbols(Random(1), controls)
    assert [next(stream).name for _ in range(3)] == ["C@0:1/16", "Rest:1/16", "Rest:1/16"]
    controls.tell(Held(F(1), "Am", (57, 60, 64)))
    controls.tell(Held(F(1), "F/A", (57, 60, 65)))
    symbol = next(stream)
    assert symbol.name == "F/A@0:1/16" and str(symbol.origin) == "held: 57 60 65"
    controls.tell(Held(F(2), "F/A", (57, 60, 65)))
    assert next(stream).name == "Rest:1/16"
