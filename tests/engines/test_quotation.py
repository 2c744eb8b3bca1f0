"""Quotations: what a few words mean of a theme, whoever says them."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Controls, Mistake
from engines.markov import Markov
from engines.motif import (
    Motif,
    check_quote,
    chosen,
    figures,
    fragment,
    generate,
    likeness,
    parse,
    parse_quote,
    quoted,
    text,
)
from engines.motif.value import note_value

WINDOW = parse(
    "1:1/4 2:1/8 3:1/8 5:1/2 | 4:1/4 3:1/4 2:1/2 | Rest:1/1 | 5:1/4 2:1/4 1:1/2", "window"
)
CHANGES = ("up 2", "down 14", "inverted", "backwards", "later 1/8", "earlier 1/4.", "skeleton")
MORE = ("ornamented", "running", "closing", "varied 0.7", "on c1", "augmented", "diminished")


def said(words: str, theme: Motif = WINDOW) -> str:
    quote, used = parse_quote(words.split())
    assert used == len(words.split())
    return " ".join(each.word for each in quoted(quote, theme))


def lasts(words: str) -> Fraction:
    values = [note_value(word.split(":", 1)[1]) for word in words.split()]
    assert all(values)
    return sum((value for value in values if value), Fraction(0))


def test_a_stretch_is_so_many_bars() -> None:
    assert said("theme:window") == text(WINDOW)
    assert said("theme:window/2") == "4:1/4 3:1/4 2:1/2"
    assert said("theme:now/1-2") == text(fragment(WINDOW, 1, 2))
    assert said("theme:window/3") == "Rest:1/1", "silence too can be quoted"


@pytest.mark.parametrize(
    ("words", "notes"),
    [
        ("theme:window/2 up 1", "5:1/4 4:1/4 3:1/2"),
        ("theme:window/2 down 7", "4,:1/4 3,:1/4 2,:1/2"),
        ("theme:window/2 inverted", "4:1/4 5:1/4 6:1/2"),
        ("theme:window/2 backwards up 1", "3:1/2 4:1/4 5:1/4"),
        ("theme:window/2 augmented", "4:1/2 3:1/2 2:1/1"),
        ("theme:window/2 diminished", "4:1/8 3:1/8 2:1/4"),
        ("theme:window/2 later 1/4", "Rest:1/4 4:1/4 3:1/4 2:1/4"),
        ("theme:window/1 skeleton", "1:1/2 5:1/2"),
        ("theme:window/2 on Kick", "Kick:1/4 Kick:1/4 Kick:1/2"),
        ("theme:window/3 up 2 diminished", "Rest:1/2"),
    ],
)
def test_words_after_it_change_it(words: str, notes: str) -> None:
    assert said(words) == notes


@given(
    st.integers(0, 10**6),
    st.lists(st.sampled_from(CHANGES + MORE), max_size=4),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_it_fills_its_bars_whatever_is_done(
    seed: int, changes: list[str], first: int, more: int
) -> None:
    theme = generate(Random(seed), name="free")
    last = min(first + more, theme.bars)
    written = " ".join([f"theme:free/{first}-{last}", *changes])
    if sum(each in ("augmented", "diminished") for each in changes) > 2:
        with pytest.raises(Mistake):
            parse_quote(written.split())
        return
    quote, _ = parse_quote(written.split())
    pace = Fraction(2) ** (changes.count("augmented") - changes.count("diminished"))
    row = quoted(quote, theme)
    assert lasts(" ".join(word for word, _ in row)) == (last - first + 1) * theme.bar * pace
    assert all(first <= bar <= last for _, bar in row)
    assert parse_quote(str(quote).split())[0] == quote
    quoted.cache_clear()
    assert quoted(quote, theme) == row, "chance comes from the words and the theme alone"


def test_a_variation_is_as_near_as_it_is_asked_to_be() -> None:
    near: list[float] = []
    far: list[float] = []
    for seed in range(8):
        theme = generate(Random(seed), name="free")
        for words, found in (("theme:free varied 0.9", near), ("theme:free varied 0.5", far)):
            found.append(likeness(theme, parse(said(words, theme), "free", theme.bar)))
    assert sum(near) / 8 > 0.82 > 0.68 > sum(far) / 8


def test_bars_that_another_theme_has_not_are_counted_round() -> None:
    quote, _ = parse_quote(["theme:now/3"])
    short = parse("1:1/1 | 2:1/1", "short")
    assert [word for word, _ in quoted(quote, short)] == ["1:1/1"]
    assert chosen(quote, [WINDOW, short], 2) == short
    assert chosen(quote, [WINDOW, short]) == WINDOW, "the first, where none is of the moment"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("theme:", "expected a theme's name"),
        ("theme:window/0", "expected a theme's name"),
        ("theme:window/3-2", "expected a theme's name"),
        ("theme:window up", "expected steps of the scale, 1 to 14 after 'up'"),
        ("theme:window later soon", "expected a note value"),
        ("theme:window varied 2", "expected a likeness from 0 to 1"),
        ("theme:windw", "did you mean 'window'?"),
        ("theme:window/5", "the theme has bars 1 to 4, and theme:window asks for bar 5"),
    ],
)
def test_what_cannot_be_quoted_is_said(words: str, problem: str) -> None:
    with pytest.raises(Mistake) as caught:
        check_quote(parse_quote(words.split())[0], [WINDOW])
    assert problem in str(caught.value)


@given(st.integers(0, 10**6), st.sampled_from((Fraction(4), Fraction(3), Fraction(7, 2))))
def test_figures_are_the_theme_cut_at_its_groups(seed: int, bar: Fraction) -> None:
    theme = generate(Random(seed), bar=bar)
    assert " ".join(figures(theme)) == text(theme)


def test_a_chain_learns_the_figures_of_themes() -> None:
    chain = Markov(order=1, themes=(WINDOW,))
    row = [symbol.name for symbol in islice(chain.symbols(Random(1), Controls()), 64)]
    own = set(figures(WINDOW))
    assert all(lasts(each) % 2 == 0 for each in row), "so it never leaves the beat"
    assert own & set(row)
    assert set(row) - own, "developments are learnt too"
    assert Markov.from_data(chain.to_data()).to_data() == chain.to_data()
    with pytest.raises(Mistake, match="views"):
        Markov(themes=(WINDOW,), views=("pitch", "duration"))
