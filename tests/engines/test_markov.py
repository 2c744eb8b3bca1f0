"""What a chain hands out: frequencies, back-off, order, temperature, views, origins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Controls, Engine, Fragment, Mistake, Sound, Symbol
from engines.items import cut, text_pieces
from engines.markov import Joint, Markov
from engines.prefix import Choice

WALK = "C D E C D G C D E F | E D C E D C"


def drawn(markov: Markov, count: int, seed: int = 0) -> list[Symbol]:
    return list(islice(markov.symbols(Random(seed), Controls()), count))


def names(symbols: Iterable[Symbol]) -> list[str]:
    return [symbol.name for symbol in symbols]


def tune(*notes: tuple[int, int, int], voice: int = 0) -> Fragment:
    """Notes as (start, length, pitch) in eighths."""
    eighth = Fraction(1, 2)
    sounds = tuple(
        Sound(at * eighth, long * eighth, pitch, 0.5, voice) for at, long, pitch in notes
    )
    return Fragment(max(at + long for at, long, _ in notes) * eighth, sounds)


SCALE = tune((0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 1, 62), (4, 2, 60), (6, 2, 67))


def test_it_is_an_engine() -> None:
    assert isinstance(Markov(text="C"), Engine)


def test_transitions_have_the_frequencies_that_were_learnt() -> None:
    stream = names(drawn(Markov(order=1, text="A B A B A C A B"), 40_000))
    after_a = Counter(after for before, after in pairwise(stream) if before == "A")
    total = after_a.total()
    assert after_a["B"] / total == pytest.approx(3 / 4, abs=0.01)
    assert after_a["C"] / total == pytest.approx(1 / 4, abs=0.01)


def test_order_zero_has_the_frequencies_of_the_symbols_alone() -> None:
    stream = names(drawn(Markov(order=0, text="A A A B"), 40_000))
    assert stream.count("A") / len(stream) == pytest.approx(3 / 4, abs=0.01)
    pairs = Counter(pairwise(stream))
    assert pairs["B", "B"] / len(stream) == pytest.approx(1 / 16, abs=0.01)


def test_a_longer_context_decides_where_it_is_known() -> None:
    stream = names(drawn(Markov(order=2, text="A B C | D B E"), 2000))
    for first, second, third in zip(stream, stream[1:], stream[2:], strict=False):
        if second == "B":
            assert third == {"A": "C", "D": "E"}[first]
    loose = names(drawn(Markov(order=1, text="A B C | D B E"), 2000))
    assert ("A", "B", "E") in zip(loose, loose[1:], loose[2:], strict=False)


def test_fractional_order_mixes_the_orders_on_either_side() -> None:
    symbols = drawn(Markov(order=1.7, text=WALK), 20_000)
    asked = Counter(symbol.origin.asked for symbol in symbols if isinstance(symbol.origin, Choice))
    assert asked[2] / len(symbols) == pytest.approx(0.7, abs=0.01)
    assert asked[1] / len(symbols) == pytest.approx(0.3, abs=0.01)


def test_after_the_end_of_a_piece_comes_the_start_of_one() -> None:
    stream = names(drawn(Markov(order=3, text="A B C | X Y Z"), 3000))
    followers = Counter(after for before, after in pairwise(stream) if before == "C")
    assert set(followers) == {"A", "X"}
    assert followers["A"] / followers.total() == pytest.approx(0.5, abs=0.06)


def test_temperature_sharpens_and_flattens() -> None:
    markov = Markov(order=1, text="A B A B A B A C")

    def share_of_c(temperature: float) -> float:
        controls = Controls({"temperature": temperature})
        stream = names(islice(markov.symbols(Random(0), controls), 20_000))
        after = Counter(after for before, after in pairwise(stream) if before == "A")
        return after["C"] / after.total()

    assert share_of_c(1.0) == pytest.approx(0.25, abs=0.015)
    assert share_of_c(0.0) < 0.001
    assert share_of_c(1e9) == pytest.approx(0.5, abs=0.03)
    cold = 1 / (1 + 3**2)
    assert share_of_c(0.5) == pytest.approx(cold, abs=0.015)


def test_order_and_temperature_are_live() -> None:
    controls = Controls()
    stream = Markov(order=2, text=WALK).symbols(Random(4), controls)
    assert {symbol.origin.asked for symbol in islice(stream, 50)} == {2}  # type: ignore[attr-defined]
    controls.values["order"] = 0
    assert {symbol.origin.asked for symbol in islice(stream, 50)} == {0}  # type: ignore[attr-defined]
    controls.values["order"] = float("nan")
    assert {symbol.origin.asked for symbol in islice(stream, 5)} == {0}  # type: ignore[attr-defined]
    controls.values["order"] = float("inf")
    assert {symbol.origin.asked for symbol in islice(stream, 5)} == {10}  # type: ignore[attr-defined]


def test_choices_keep_long_contexts_from_copying() -> None:
    text = "A B C D | A B E F | X B C Y"
    copied = drawn(Markov(order=3, text=text), 500)
    freer = drawn(Markov(order=3, choices=2, text=text), 500)
    for symbol in freer:
        origin = symbol.origin
        assert isinstance(origin, Choice)
        assert origin.order <= 1 or origin.probability < 1
    assert len(set(zip(*[names(freer)[k:] for k in range(3)], strict=False))) > len(
        set(zip(*[names(copied)[k:] for k in range(3)], strict=False))
    )


def test_an_origin_says_context_probability_and_order() -> None:
    markov = Markov(order=3, text="D4 E4 G4 | D4 E4 A4 | D4 E4 A4 | D4 E4 A4")
    said = {str(symbol.origin) for symbol in drawn(markov, 100)}
    assert "after | D4 E4: G4 0.25 (order 3 of 3)" in said
    assert "after | D4 E4: A4 0.75 (order 3 of 3)" in said
    assert "after |: D4 1 (order 1 of 3)" in said
    anywhere = drawn(Markov(order=0, text="A B"), 1)[0]
    assert str(anywhere.origin) == f"anywhere: {anywhere.name} 0.5 (order 0 of 0)"


def test_the_probability_of_an_origin_is_the_one_it_was_drawn_with() -> None:
    for symbol in drawn(Markov(order=1, temperature=0.5, text="A B A B A B A C"), 200):
        if symbol.name == "C":
            assert isinstance(symbol.origin, Choice)
            assert symbol.origin.probability == pytest.approx(0.1)


def test_learnt_music_keeps_timing_and_loudness() -> None:
    chord = Fragment(
        Fraction(2),
        (
            Sound(Fraction(0), Fraction(3, 4), 60, 0.3),
            Sound(Fraction(1, 64), Fraction(2), 64, 0.9, 1),
            Sound(Fraction(1), Fraction(1), 67, 0.5),
        ),
    )
    first, second = drawn(Markov(corpus=(chord,)), 2)
    assert (first.name, second.name) == ("C4+E4:1/4", "G4:1/4")
    assert first.fragment == Fragment(Fraction(1), chord.sounds[:2])
    assert second.fragment is not None
    assert second.fragment.sounds[0].velocity == 0.5


def test_one_view_of_pitch_still_returns_whole_items() -> None:
    markov = Markov(order=1, views=("pitch",), corpus=(SCALE,))
    seen = {symbol.name for symbol in drawn(markov, 300) if symbol.name.startswith("C4")}
    assert seen == {"C4:1/8", "C4:1/4"}


def test_separate_views_put_pitches_and_durations_together_anew() -> None:
    markov = Markov(order=1, views=("pitch", "duration"), corpus=(SCALE,))
    symbols = drawn(markov, 500)
    assert "D4:1/4" in names(symbols)  # no D of a quarter was learnt
    alphabet = markov.alphabet()
    assert alphabet is not None
    for symbol in symbols:
        assert symbol.name in alphabet
        assert symbol.fragment is not None
        pitch, duration = symbol.name.split(":")
        assert symbol.fragment.length == Fraction(duration) * 4
        assert symbol.fragment.sounds[0].length == symbol.fragment.length
        assert isinstance(symbol.origin, Joint)
        assert [each.label for each in symbol.origin.choices] == [pitch, duration]


def test_a_view_of_velocity_is_a_chain_of_loudness() -> None:
    loud = replace_velocity(SCALE, 1.0)
    markov = Markov(order=1, views=("pitch duration", "velocity"), corpus=(SCALE, loud))
    heard = {
        round(sound.velocity, 3)
        for symbol in drawn(markov, 200)
        if symbol.fragment is not None
        for sound in symbol.fragment.sounds
    }
    assert heard == {0.5, 1.0}


def replace_velocity(fragment: Fragment, velocity: float) -> Fragment:
    return fragment._replace(
        sounds=tuple(sound._replace(velocity=velocity) for sound in fragment.sounds)
    )


def test_views_split_tokens_as_well() -> None:
    markov = Markov(order=1, views=("pitch", "duration"), text="C4:1/4 D4:1/8 E4:1/8")
    assert {name.split(":")[0] for name in names(drawn(markov, 60))} == {"C4", "D4", "E4"}
    with pytest.raises(Mistake, match="views: 'G' has no duration"):
        Markov(views=("pitch", "duration"), text="C4:1/4 G")


def test_forbidden_symbols_are_never_drawn() -> None:
    markov = Markov(order=2, forbid=("D",), text=WALK)
    stream = names(drawn(markov, 500))
    assert "D" not in stream
    assert markov.alphabet() == frozenset("CEFG")


def test_saved_and_loaded_it_streams_the_same() -> None:
    for markov in (
        Markov(order=1.5, text=WALK, choices=2),
        Markov(corpus=(SCALE, tune((0, 2, 40), (1, 3, 50), (8, 1, 60))), temperature=0.7),
        Markov(order=1, text=WALK, phrase=5, start=("C",), end=("C",), forbid=("F",)),
        Markov(views=("pitch", "duration"), corpus=(SCALE,), grain="1/16"),
    ):
        data = json.loads(json.dumps(markov.to_data()))
        again = Markov.from_data(data)
        assert drawn_plain(again) == drawn_plain(markov)
        assert again.to_data() == data


def drawn_plain(markov: Markov) -> list[tuple[str, str, Fragment | None]]:
    return [(each.name, str(each.origin), each.fragment) for each in drawn(markov, 200, seed=7)]


def test_a_model_is_learnt_besides_text() -> None:
    data = Markov(text="A B").to_data()
    assert Markov(text="C D", model=data).alphabet() == frozenset("ABCD")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "yaml"},
        {"settings": None},
        {"settings": {"corpus": []}},
        {"settings": {"order": "high"}},
        {"items": 3},
        {"items": [["1/0", []]]},
        {"items": [["0", []]]},
        {"items": [["1e9", []]]},
        {"items": [["1", [["0", "1", 128, 0.5, 0]]]]},
        {"items": [["1", [["0", "1", 60, float("nan"), 0]]]]},
        {"items": ["|"]},
        {"items": [""]},
        {"pieces": [[4]]},
        {"pieces": [[-1]]},
        {"pieces": [[True]]},
        {"pieces": 5},
    ],
)
def test_data_of_another_form_is_a_mistake(change: dict[str, object]) -> None:
    data = Markov(text="A B C").to_data()
    with pytest.raises(Mistake):
        Markov.from_data({**data, **change})


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_data_that_is_no_table_is_a_mistake(data: object) -> None:
    with pytest.raises(Mistake):
        Markov.from_data(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("order", {"order": 1e9}),
        ("order", {"order": -1}),
        ("order", {"order": float("nan")}),
        ("order", {"order": True}),
        ("temperature", {"temperature": 0}),
        ("text", {"text": ""}),
        ("text", {"text": " | \n\n |"}),
        ("text", {"text": 5}),
        ("text", {"text": "", "corpus": (Fragment(Fraction(0)),)}),
        ("views", {"views": ()}),
        ("views", {"views": ("colour",)}),
        ("views", {"views": ("pitch", "pitch duration")}),
        ("views", {"views": (" ",)}),
        ("choices", {"choices": 0}),
        ("phrase", {"phrase": 100_000}),
        ("phrase", {"phrase": 4, "remember": 9}),
        ("phrase", {"phrase": 4, "views": ("pitch", "duration"), "text": "C:1/4"}),
        ("start", {"start": ("A",)}),
        ("start", {"start": ("Q",), "phrase": 4}),
        ("end", {"end": [1], "phrase": 4}),
        ("forbid", {"forbid": ("A", "B")}),
        ("grain", {"grain": "0"}),
        ("grain", {"grain": "often"}),
        ("remember", {"remember": 10**9}),
        ("model", {"model": {"format": 1}}),
    ],
)
def test_mistakes_name_the_field(place: str, fields: dict[str, object]) -> None:
    with pytest.raises(Mistake) as caught:
        Markov(**{"text": "A B", **fields})  # type: ignore[arg-type]
    assert caught.value.place == place


def test_lists_from_a_file_are_taken_as_they_come() -> None:
    markov = Markov(text="A B", views=["pitch"], forbid=["A"])  # type: ignore[arg-type]
    assert names(drawn(markov, 3)) == ["B", "B", "B"]


def test_text_is_cut_at_blank_lines_and_bars() -> None:
    pieces = [[item.name for item in piece] for piece in text_pieces("A B\nC\n\n\nD | | E|F")]
    assert pieces == [["A", "B", "C"], ["D"], ["E|F"]]


def test_a_single_symbol_goes_on_for_ever() -> None:
    assert names(drawn(Markov(order=10, text="A"), 5)) == ["A"] * 5


TOKENS = st.lists(st.sampled_from(["A", "B", "C:1/4", "D", "|"]), min_size=1, max_size=30)


@settings(max_examples=80, deadline=None)
@given(TOKENS, st.floats(0, 10), st.floats(0.05, 20), st.integers(1, 4), st.integers(0, 999))
def test_a_stream_never_ends_and_stays_in_its_alphabet(
    tokens: list[str], order: float, temperature: float, choices: int, seed: int
) -> None:
    if set(tokens) == {"|"}:
        return
    markov = Markov(order, temperature, " ".join(tokens), choices=choices)
    symbols = drawn(markov, 60, seed)
    alphabet = markov.alphabet()
    assert alphabet is not None
    assert len(symbols) == 60
    assert set(names(symbols)) <= alphabet
    assert all(0 < symbol.origin.probability <= 1 for symbol in symbols)  # type: ignore[attr-defined]
    assert names(drawn(markov, 60, seed)) == names(symbols)


@settings(max_examples=60, deadline=None)
@given(TOKENS, st.integers(1, 4), st.integers(0, 99))
def test_every_step_was_learnt(tokens: list[str], order: int, seed: int) -> None:
    """Law: at a whole order every context and its continuation occur in the pieces."""
    text = " ".join(tokens)
    pieces = [["|", *(item.name for item in piece), "|"] for piece in text_pieces(text)]
    if not pieces:
        return
    met = {tuple(piece[i:j]) for piece in pieces for i in range(len(piece)) for j in range(i, 99)}
    for symbol in drawn(Markov(order, text=text), 60, seed):
        origin = symbol.origin
        assert isinstance(origin, Choice)
        assert (*origin.context, symbol.name) in met
        follow = [place for place in met if place[:-1] == origin.context and place]
        assert (origin.probability == 1) == (len(follow) == 1)


def test_hash_seeds_change_nothing() -> None:
    program = (
        "from random import Random; from itertools import islice\n"
        "from engines.base import Controls; from engines.markov import Markov\n"
        f"m = Markov(1.5, 0.8, {WALK!r}, forbid=('F', 'G'))\n"
        "print([s.name for s in islice(m.symbols(Random(1), Controls()), 200)])\n"
        f"m = Markov(2, text={WALK!r}, phrase=6, end=('E', 'C'))\n"
        "print([str(s.origin) for s in islice(m.symbols(Random(1), Controls()), 200)])\n"
    )
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


SOUNDS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 12), st.integers(0, 127)), min_size=1, max_size=20
)


@given(SOUNDS)
def test_cutting_keeps_length_and_sounds(notes: list[tuple[int, int, int]]) -> None:
    fragment = tune(*notes)
    fragment = fragment._replace(length=fragment.length + Fraction(1, 2))
    items = cut(fragment)
    fragments = [item.fragment for item in items if item.fragment is not None]
    assert len(fragments) == len(items)
    assert sum(each.length for each in fragments) == fragment.length
    placed, now = [], Fraction(0)
    for each in fragments:
        placed += [sound._replace(at=sound.at + now) for sound in each.sounds]
        now += each.length
    assert sorted(placed) == sorted(fragment.sounds)


def test_a_long_silence_is_a_rest_and_a_short_one_articulation() -> None:
    fragment = tune((0, 1, 60), (2, 1, 62), (6, 1, 64))
    assert [item.name for item in cut(fragment)] == ["C4:1/4", "D4:1/8", "Rest:3/8", "E4:1/8"]


def test_grain_rounds_onsets_and_never_drifts() -> None:
    played = [Fraction(n, 2) + Fraction((-1) ** n, 30) for n in range(1, 9)]
    fragment = Fragment(
        Fraction(9, 2), tuple(Sound(at, Fraction(1, 3), 60 + n) for n, at in enumerate(played))
    )
    items = cut(fragment, Fraction(1, 4))
    assert [item.duration for item in items] == ["1/8"] * 9
    assert items[1].fragment is not None
    assert items[1].fragment.sounds[0].length == Fraction(1, 3)


CORPORA = Path(os.environ.get("COMPONIUM_CORPORA", "no such folder"))


@pytest.mark.skipif(not CORPORA.is_dir(), reason="COMPONIUM_CORPORA names no folder")
def test_it_learns_what_people_wrote() -> None:
    from server.score.tunes import chorale, read_tunes

    chorales = json.loads((CORPORA / "chorales/bach-chorales-16th.json").read_text())["train"]
    tunes = read_tunes(["nottingham/a*.mid"], CORPORA, "corpus")
    markov = Markov(corpus=(*tunes, *map(chorale, chorales[:40])))
    symbols = drawn(markov, 2000)
    alphabet = markov.alphabet()
    assert alphabet is not None
    assert len(set(names(symbols))) > 100
    assert set(names(symbols)) <= alphabet


def test_descriptions_are_values() -> None:
    assert Markov(text="A B") == Markov(text="A B")
    assert replace(Markov(text="A B"), order=1).order == 1
