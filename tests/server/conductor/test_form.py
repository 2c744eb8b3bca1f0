"""Form: every bar in one section; what is asked for, and taken back, leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engines.base import Controls, Symbol
from server.conductor.form import Form, FormSpec, Rule, Section, SectionSpec, Transitions
from server.score.direction import Row


class Order:
    """Sections by chance, for ever or so many."""

    def __init__(self, names: str, times: int = 0) -> None:
        self.names, self.times = names, times

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        count = 0
        while not self.times or count < self.times:
            yield Symbol(rng.choice(self.names))
            count += 1

    def alphabet(self) -> frozenset[str]:
        return frozenset(self.names)


SECTIONS = {name: SectionSpec(name, bars) for name, bars in (("A", 5), ("B", 3), ("C", 8))}


def form(seed: int = 1, times: int = 0, ends: bool = False) -> Form:
    return Form(FormSpec(SECTIONS, Order("ABC", times), ends), seed, {})


def bars(made: Form, last: int = 120) -> list[Section]:
    return [made.at(bar) for bar in range(1, last)]


gos = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 60)), max_size=5)


@given(st.integers(0, 99), gos, st.lists(st.integers(1, 200), max_size=5))
def test_every_bar_is_in_one_section_whatever_is_asked_in_between(
    seed: int, commands: list[tuple[str, int]], looks: list[int]
) -> None:
    plain, curious = form(seed), form(seed)
    for name, bar in commands:
        before = bars(plain, bar)
        plain.go(name, bar)
        for look in looks:
            curious.at(look)
        curious.go(name, bar)
        assert plain.at(bar).spec.name == name
        assert plain.at(bar).bar == bar
        for old, new in zip(before, bars(plain, bar), strict=True):
            assert new._replace(bars=old.bars) == old, "nothing before is another section"
    assert bars(plain) == bars(curious)
    for bar, section in enumerate(bars(plain), 1):
        assert section.bar <= bar < section.after


@given(st.integers(0, 99), st.sampled_from("ABC"), st.integers(2, 60), st.integers(1, 200))
def test_what_is_taken_back_was_never_there(seed: int, name: str, bar: int, look: int) -> None:
    one, other = form(seed), form(seed)
    one.go(name, bar)
    one.at(look)
    one.take_back(bar)
    assert bars(one) == bars(other)


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 60))
def test_a_section_that_repeats_stays_until_another_is_asked_for(
    seed: int, bar: int, later: int
) -> None:
    sections = SECTIONS | {"B": SectionSpec("B", 3, repeats=True)}
    made, plain = (Form(FormSpec(each, Order("AC")), seed, {}) for each in (sections, SECTIONS))
    made.go("B", bar)
    assert {made.at(each).spec.name for each in range(bar, bar + 200)} == {"B"}
    assert made.at(bar + 7).bar == bar + 6, "from its beginning each time"
    made.go("C", bar + later)
    plain.go("C", bar)
    rest = [made.at(bar + later + each).spec.name for each in range(80)]
    assert rest == [plain.at(bar + each).spec.name for each in range(80)], "the order goes on"
    once = Form(FormSpec({"B": sections["B"]}, Row(("B",)), ends=True), seed, {})
    assert FormSpec({"B": sections["B"]}, Row(("B",)), ends=True).length(seed, 1000) is None
    assert once.at(900).spec.name == "B"


def test_visits_count_each_section() -> None:
    made, seen = form(), dict[str, int]()
    each_once = {each.number: each for each in bars(made)}.values()
    for number, section in enumerate(each_once, 1):
        seen[section.spec.name] = seen.get(section.spec.name, 0) + 1
        assert (section.visit, section.number) == (seen[section.spec.name], number)


def test_it_carries_on_inside_a_section() -> None:
    before = form()
    before.go("C", 9)
    for first in range(2, 60):
        made = Form(before.spec, before._seed, {}, first)
        made.carry_on(before)
        assert [made.at(bar) for bar in range(first, 100)] == [
            before.at(bar) for bar in range(first, 100)
        ]
    other = form(seed=before._seed + 1)
    kept = made.at(first)
    made.carry_on(other)  # too late
    assert made.at(first) == kept


def test_it_ends_where_its_order_does() -> None:
    made = form(times=3, ends=True)
    end = next(bar for bar in range(1, 100) if made.at(bar).after <= bar)
    assert made.ended_at == end
    made.go("A", end + 2)
    assert made.at(end + 2).spec.name == "A"
    made.take_back(end + 2)
    made.at(end)
    assert made.ended_at == end


def test_memory_is_bounded_over_a_hundred_thousand_bars() -> None:
    made = form()
    for bar in range(1, 100_000):
        made.at(bar)
        if bar % 64 == 0:
            made.forget(bar - 128)
    assert len(made._drawn) < 300
    assert len(made._known) < 300


def test_energy_does_not_jump_where_a_section_is_to_end_sooner() -> None:
    rising = SectionSpec("A", 8, ((0.0, 0.0), (1.0, 1.0)))
    made = Form(FormSpec({"A": rising}, Order("A")), 1, {})
    before = [made.at(bar).energy(bar) for bar in range(1, 5)]
    made.go("A", 5)
    assert [made.at(bar).energy(bar) for bar in range(1, 5)] == before


def test_the_lowest_rule_counts_value_by_value() -> None:
    rules = Transitions(
        (
            ("*", "*", {"fill": 2}),
            ("A", "B", {"pause": Fraction(1), "thin": 1}),
            ("A", "*", {"fill": 0}),
            ("*", "scene *", {"ramp": 4}),
        )
    )
    assert rules.between("A", "B") == Rule(fill=0, thin=1, pause=Fraction(1))
    assert rules.between("B", "A") == Rule(fill=2)
    assert rules.between("A", "scene boss") == Rule(fill=0, thin=2, ramp=4)
    assert Transitions().between("", "key").fill == 0
    again = Transitions(
        (("*", "A", {"build": 2}), ("A", "*", {"thin": 2}), ("*", "*", {"fill": 3}))
    )
    assert again.between("A", "A") == Rule(fill=3), "A that comes again is led to by no other rule"
    assert again.between("B", "A") == Rule(fill=3, build=2)
    twice = Transitions((("A", "A", {"build": 2}),))
    assert twice.between("A", "A").build == 2


def test_a_form_that_ends_knows_its_length() -> None:
    plan = FormSpec(SECTIONS, Row(("A", "C")), ends=True)
    assert plan.length(1, 100) == 13
    assert plan.length(1, 12) is None
    assert FormSpec(SECTIONS, Row(("A", "C"))).length(1, 100) is None
    assert FormSpec().length(1, 100) is None
