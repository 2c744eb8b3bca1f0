"""Praise bends what a theme's statements do; without any nothing changes."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from random import Random

import pytest

from engines.base import Controls, Origin
from engines.motif import generate
from engines.taste import HALF_LIFE, Lesson, Taste, Teachable
from engines.theme import Said, ThemeEngine
from tests.engines.test_theme import HOPE, length


def pulled(taste: Taste | None, seed: int = 1, bars: int = 200, plan: str = "") -> list[Said]:
    """The origin of each statement."""
    engine = ThemeEngine(HOPE, plan=plan)
    controls, at, found = Controls(), Fraction(0), list[Said]()
    controls.taste = taste
    stream = engine.symbols(Random(seed), controls)
    while at < 4 * bars:
        controls.values |= {"bar": int(at // 4) + 1, "beat": float(1 + at % 4)}
        symbol = next(stream)
        assert isinstance(symbol.origin, Said)
        if not found or found[-1].number != symbol.origin.number:
            found.append(symbol.origin)
        at += length(symbol)
    return found


def praised(context: str, option: str, amount: float) -> Taste:
    taste = Taste()
    for _ in range(8):
        taste.add(Lesson(context, option), amount)
    return taste


def acts(taste: Taste | None) -> Counter[str]:
    return Counter(each.act for seed in range(8) for each in pulled(taste, seed))


def ways(taste: Taste | None) -> Counter[str]:
    return Counter(way for seed in range(8) for each in pulled(taste, seed) for way in each.ways)


def test_nothing_bends_without_praise() -> None:
    usual, asked = pulled(None), pulled(Taste())
    assert [(each.done, each.act) for each in usual] == [(each.done, each.act) for each in asked]
    elsewhere = pulled(praised("elsewhere", "vary", 1))
    assert [each.done for each in elsewhere] == [each.done for each in usual]


def test_what_a_statement_did_is_what_is_learnt() -> None:
    engine = ThemeEngine(generate(Random(1)))
    assert isinstance(engine, Teachable)
    said = Said("theme", 3, "ornamented, dotted", 1, "vary", ("ornamented", "dotted"))
    assert list(engine.lessons(said)) == [
        Lesson("acts", "vary"),
        Lesson("ways", "ornamented", 0.5),
        Lesson("ways", "dotted", 0.5),
    ]
    for other in (Said("theme", 1, "as it is", 1, "state"), Said("theme", 1, "rests", 1), Origin()):
        assert not list(engine.lessons(other)), "a theme as it is, and silence, are no choice"


@pytest.mark.parametrize("act", ["ornament", "sequence", "vary"])
def test_an_act_that_is_liked_comes_more_often_and_one_disliked_less(act: str) -> None:
    usual, liked, blamed = (
        acts(None)[act],
        acts(praised("acts", act, 1))[act],
        acts(praised("acts", act, -1))[act],
    )
    assert liked > usual + 10
    assert blamed < usual / 2 or not usual


@pytest.mark.parametrize("way", ["ornamented", "anticipated", "bar moved"])
def test_so_do_ways_of_developing(way: str) -> None:
    usual, liked, blamed = (
        ways(None)[way],
        ways(praised("ways", way, 1))[way],
        ways(praised("ways", way, -1))[way],
    )
    assert liked > 1.5 * usual > usual > 2 * blamed


def test_a_plan_that_was_written_stays() -> None:
    plan = "state vary rest"
    usual = [each.act for each in pulled(None, plan=plan)]
    assert [each.act for each in pulled(praised("acts", "ornament", 1), plan=plan)] == usual


def test_praise_fades() -> None:
    taste = praised("acts", "ornament", 1)
    fresh = acts(taste)["ornament"]
    taste.now = 8 * HALF_LIFE
    assert acts(taste)["ornament"] < fresh / 8
