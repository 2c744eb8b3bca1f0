"""The engine that states a theme: whole bars for ever, and what it does when."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import groupby, islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Controls, Engine, Mistake, Symbol
from engines.motif import Motif, generate, likeness, parse
from engines.theme import ACTS, Said, ThemeEngine
from server.ensemble.reading import Struck, parse_word
from server.errands import try_out
from server.score.scene import parse_scene

HOPE = (
    "5,:1/4 1:1/4. 2:1/8 3:1/4 | 4:1/4 3:1/4 2:1/4 Rest:1/4 | "
    "5:1/4. 4:1/8 3:1/4 2:1/4 | 1:1/2. Rest:1/4"
)
Ask = Callable[[int], dict[str, float]]


def length(symbol: Symbol) -> Fraction:
    found = parse_word(symbol.name)
    assert isinstance(found, Struck)
    assert found.length is not None
    return found.length


def nothing(bar: int) -> dict[str, float]:
    return {}


def pull(
    engine: ThemeEngine, bars: int, seed: int = 1, ask: Ask = nothing
) -> Iterator[tuple[Fraction, Symbol, Said]]:
    """So many bars as a part would pull them: onset, symbol, origin."""
    controls, at, bar = Controls(), Fraction(0), Fraction(engine.bar)
    stream = engine.symbols(Random(seed), controls)
    while at < bars * bar:
        number = int(at // bar)
        controls.values |= {"bar": number + 1, "beat": float(1 + at % bar)} | ask(number)
        symbol = next(stream)
        assert isinstance(symbol.origin, Said)
        yield at, symbol, symbol.origin
        at += length(symbol)


def phrases(of: int) -> Ask:
    return lambda bar: {"phrase_bar": bar % of + 1, "phrase_left": of - bar % of}


def done(engine: ThemeEngine, bars: int, ask: Ask = nothing, seed: int = 1) -> list[str]:
    """What each statement did."""
    row = ((origin.number, origin.done) for _, _, origin in pull(engine, bars, seed, ask))
    return [what for (_, what), _ in groupby(row)]


def test_it_is_an_engine_that_needs_nothing() -> None:
    assert isinstance(ThemeEngine(), Engine)
    assert ThemeEngine().alphabet() is None, "its words are many"
    stream = ThemeEngine().symbols(Random(3), Controls())
    assert all(parse_word(symbol.name) for symbol in islice(stream, 200))


@given(
    st.integers(0, 10**6),
    st.sampled_from((4.0, 3.0, 5.0, 3.5)),
    st.sampled_from(("", "state vary rest", "fragment sequence answer ornament simplify")),
    st.floats(-1, 1),
    st.floats(0, 1),
    st.sampled_from((1, 4, 6, 8)),
)
@settings(max_examples=40, deadline=None)
def test_it_fills_whole_bars_for_ever(
    seed: int, bar: float, plan: str, arousal: float, near: float, phrase: int
) -> None:
    def ask(number: int) -> dict[str, float]:
        return phrases(phrase)(number) | {"arousal": arousal, "likeness": near, "energy": near}

    starts: dict[int, Fraction] = {}
    for at, _, origin in pull(ThemeEngine(plan=plan, bar=bar), 64, seed, ask):
        starts.setdefault(origin.number, at)
    assert all(at % Fraction(bar) == 0 for at in starts.values())
    if phrase == 4:
        assert all(at % (4 * Fraction(bar)) == 0 for at in starts.values())


def test_same_seed_same_symbols_and_other_seeds_others() -> None:
    def names(seed: int) -> tuple[str, ...]:
        return tuple(f"{symbol.name} {said}" for _, symbol, said in pull(ThemeEngine(), 32, seed))

    assert names(1) == names(1)
    assert len({names(seed) for seed in range(12)}) == 12


def test_it_begins_plainly_and_breathes() -> None:
    for seed in range(10):
        acts = done(ThemeEngine(HOPE), 64, phrases(4), seed)
        assert acts[0] == "as it is"
        assert 0.1 <= acts.count("rests") / len(acts) <= 0.5


def test_a_plan_is_followed() -> None:
    acts = done(ThemeEngine(HOPE, plan="state rest simplify"), 24)
    assert acts == ["as it is", "rests", "its skeleton"] * 2


def test_developments_stay_as_near_as_asked() -> None:
    theme = parse(HOPE)
    for near, low, high in ((0.9, 0.8, 1.0), (0.4, 0.3, 0.8)):
        found = []
        for seed in range(6):
            engine = ThemeEngine((theme,), "state vary")
            heard: dict[int, list[tuple[Fraction, Symbol]]] = {}
            ask = {"likeness": near, "theme": 1.0}
            for at, symbol, origin in pull(engine, 48, seed, lambda _, ask=ask: ask):  # type: ignore[misc]
                if "likeness" in origin.done:
                    heard.setdefault(origin.number, []).append((at, symbol))
            for row in heard.values():
                written = parse(" ".join(symbol.name for _, symbol in row))
                found.append(likeness(theme, written))
        assert low <= sum(found) / len(found) <= high


def test_excitement_means_more_notes_and_calm_fewer() -> None:
    def notes(arousal: float) -> int:
        engine = ThemeEngine(HOPE, plan="state")
        row = pull(engine, 64, 1, lambda _: {"arousal": arousal})
        return sum(not symbol.name.startswith("Rest") for _, symbol, _ in row)

    assert notes(-0.7) < notes(0.0) < notes(0.7)


def test_a_section_closes_on_a_held_tonic() -> None:
    def ask(bar: int) -> dict[str, float]:
        return phrases(4)(bar) | {"section_bar": bar % 8 + 1, "section_left": 8 - bar % 8}

    row = list(pull(ThemeEngine(HOPE, plan="state vary"), 32, 1, ask))
    for end in range(8, 33, 8):
        at, last, _ = [each for each in row if each[0] < end * 4][-1]
        assert last.name.startswith("1")
        assert length(last) >= 2
        assert at + length(last) == end * 4


def test_a_phrase_too_short_for_the_theme_has_its_end() -> None:
    acts = done(ThemeEngine(HOPE, plan="state"), 12, phrases(6))
    assert acts[:2] == ["as it is", "as it is, its last 2 bars"]


def test_the_control_chooses_the_theme_and_else_they_take_turns() -> None:
    engine = ThemeEngine((HOPE, "1:1/1 2:1/1 3:1/1 1:1/1"), "state")
    told = {o.theme for _, _, o in pull(engine, 16, 1, lambda _: {"theme": 2.0})}
    assert told == {"theme 2"}
    turns = [o.theme for at, _, o in pull(engine, 16) if at % 16 == 0]
    assert turns == ["theme 1", "theme 2", "theme 1", "theme 2"]


def test_a_part_thrown_off_the_bar_line_waits_for_it() -> None:
    controls = Controls({"beat": 3.5})
    stream = ThemeEngine(HOPE).symbols(Random(1), controls)
    assert [next(stream).name for _ in range(3)] == ["Rest:1/8"] * 3
    controls.values["beat"] = 1.0
    assert next(stream).name == "5,:1/4"


def test_whatever_the_controls_are_it_plays_on() -> None:
    rng = Random(5)
    wild = (float("nan"), float("inf"), -1e9, 1e9, 0.5, 0.0, -3.0)
    names = ("theme", "likeness", "energy", "arousal", "valence", "visit", "phrase_left")

    def ask(_: int) -> dict[str, float]:
        return {name: rng.choice(wild) for name in (*names, "phrase_bar", "section_left")}

    assert list(pull(ThemeEngine((HOPE,)), 100, 1, ask))


def test_memory_stays_flat() -> None:
    controls = Controls()
    stream = ThemeEngine().symbols(Random(1), controls)
    for _ in islice(stream, 2000):
        pass
    tracemalloc.start()
    for _ in islice(stream, 4000):
        pass
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 200_000


def test_an_origin_says_what_was_done_and_where() -> None:
    _, symbol, _ = next(pull(ThemeEngine(HOPE), 1))
    assert str(symbol.origin) == "theme, statement 1, bar 1: as it is"


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"themes": ("1:1/4 x",)}, r"themes: 'x', word 2"),
        ({"themes": (3,)}, "themes: expected texts"),
        ({"plan": "state varry"}, "plan: 'varry' is nothing .* did you mean 'vary'"),
        ({"plan": "rest"}, "plan: expected something besides rests"),
        ({"bar": 0.1}, "bar: expected 1 to 16"),
        ({"bar": float("nan")}, "bar: expected quarter notes"),
    ],
)
def test_mistakes_have_a_place(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        ThemeEngine(**keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("act", ACTS)
def test_everything_it_can_do_can_be_done_to_any_theme(act: str) -> None:
    odd: list[Motif] = [parse("1:1/1"), parse("Rest:1/1 Rest:1/1 Rest:1/2 3:1/2 Rest:1/1")]
    for theme in (*odd, generate(Random(2), 8), generate(Random(3), 4, Fraction(3))):
        plan = "state rest" if act == "rest" else f"state {act}"
        assert list(pull(ThemeEngine((theme,), plan), 40))


def test_it_plays_in_a_scene() -> None:
    scene = parse_scene(
        f"""
        [parts.ground]
        engine = "grammar"
        rules = "S -> I 1/1 vi 1/1 IV 1/1 V 1/1"
        [parts.tune]
        engine = "theme"
        themes = ["{HOPE}"]
        fit = "chord"
        """
    )
    assert try_out(scene, 16) == ([], [])


@pytest.mark.parametrize("asked", [0.9, 0.7, 0.5])
def test_developments_are_as_like_their_theme_as_is_asked(asked: float) -> None:
    found = []
    for seed in range(6):
        theme = generate(Random(seed), bars=8 if seed % 2 else 4)
        row: dict[int, list[str]] = {}
        for _, symbol, said in pull(
            ThemeEngine(theme), 96, seed, lambda bar: {"likeness": asked, "theme": 1.0}
        ):
            if said.act == "vary":
                row.setdefault(said.number, []).append(symbol.name)
        whole = [parse(" ".join(each), "heard", theme.bar) for each in row.values()]
        found += [likeness(theme, each) for each in whole if each.bars == theme.bars]
    assert len(found) > 20
    assert abs(sum(found) / len(found) - asked) < 0.06
