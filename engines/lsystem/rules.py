"""Rules as they are applied: heads, productions, and which one chance takes."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

from engines.base import Controls
from engines.expression import Expression
from engines.taste import Taste

from .notation import Shape

#: What a weight counts at most.
MAX_WEIGHT = 1e9


class Kind:
    """What rewrites the symbols of one name and number of parameters.

    rules: those in context first, else as written.
    only: the successor's production where there is nothing to decide or compute.
    death: after how many generations nothing is left of it; sys.maxsize where something may be.
    cost: work that rewriting one of them may take.
    """

    __slots__ = ("cost", "death", "only", "rules")

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.only: Production | None = None
        self.death = sys.maxsize
        self.cost = 1


#: A symbol of a generation: what rewrites it, if anything does; its name; its parameters.
Module = tuple[Kind | None, str, tuple[float, ...]]


class Template(NamedTuple):
    """A module of a successor: as it stands, or with parameters taken from places of a pool."""

    fixed: Module | None
    kind: Kind | None
    name: str
    places: tuple[int, ...]


class Production:
    """One alternative of a rule.

    fixed: the whole successor, where it has no parameters to compute.
    formulas: every distinct computation in it, to be done once; the pool of its templates is
    the values of the rule's parameters and then the results.
    """

    __slots__ = ("fixed", "formulas", "rule", "shapes", "templates", "weight", "words")

    def __init__(
        self,
        rule: Rule,
        words: str,
        weight: Expression | None,
        templates: Sequence[Template],
        formulas: Sequence[Expression],
    ) -> None:
        self.rule, self.words, self.weight, self.formulas = rule, words, weight, tuple(formulas)
        self.templates = tuple(templates)
        self.shapes = frozenset((template.name, len(template.places)) for template in templates)
        fixed = [template.fixed for template in templates if template.fixed is not None]
        self.fixed = tuple(fixed) if len(fixed) == len(templates) else None

    @property
    def option(self) -> str:
        """Its right side as it is written."""
        return self.words.partition(" -> ")[2]

    def successor(self, args: tuple[float, ...], values: Mapping[str, float]) -> Sequence[Module]:
        if self.fixed is not None:
            return self.fixed
        pool = [*args, *[formula(values) for formula in self.formulas]]
        return [
            fixed or (kind, name, tuple([pool[place] for place in places]))
            for fixed, kind, name, places in self.templates
        ]


class Outcome(NamedTuple):
    """What a rule does to given parameters: where the shares of its productions end on the way
    from 0 to 1, and their successors.
    """

    ends: list[float]
    successors: list[Sequence[Module]]


class Rule:
    """A head and what it may become.

    name: of the symbol it rewrites.  line: where it is written, from 1.
    left, right: its contexts, from left to right.
    parameters: names, through left context, symbol and right context.
    near: the left neighbour it asks for.
    only: its production where there is nothing to decide or compute.
    """

    __slots__ = (
        "_outcome", "guard", "left", "line", "name", "near", "only", "parameters", "productions",
        "reads", "right",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        line: int = 0,
        left: tuple[Shape, ...] = (),
        right: tuple[Shape, ...] = (),
        parameters: tuple[str, ...] = (),
        guard: Expression | None = None,
    ) -> None:
        self.name, self.line, self.left, self.right = name, line, left, right
        self.parameters, self.guard = parameters, guard
        self.productions: list[Production] = []
        self.reads: tuple[str, ...] = ()
        self.near: str | None = None
        self.only: Production | None = None

    @property
    def always(self) -> bool:
        """Whether it applies wherever its symbol stands."""
        return self.guard is None and not self.left and not self.right

    @property
    def cost(self) -> int:
        """Work it may take: itself, and every expression whose value is not settled once."""
        return 1 + (len(self.expressions) if self.parameters or self.reads else 0)

    @property
    def expressions(self) -> list[Expression]:
        found = [formula for made in self.productions for formula in made.formulas]
        found += [made.weight for made in self.productions if made.weight is not None]
        return found if self.guard is None else [self.guard, *found]

    def settle(self, room: int) -> None:
        """Find out, once all productions are there, which live controls it reads.

        room: symbols of successors it may keep.
        """
        names = frozenset().union(*(expression.names for expression in self.expressions))
        self.reads = tuple(sorted(names - set(self.parameters)))
        size = sum(1 + len(made.templates) for made in self.productions)
        self._outcome = lru_cache(max(room // size, 1))(self._work_out)
        self.near = self.left[-1][0] if self.left else None
        self.only = self.productions[0] if len(self.productions) == 1 else None
        if self.guard is not None or (self.only and self.only.fixed is None):
            self.only = None

    def decide(
        self, args: tuple[float, ...], rng: Random, controls: Controls
    ) -> tuple[Production, float, Sequence[Module]] | None:
        """A production, its chance and its successor; None where the guard forbids."""
        live: tuple[float, ...] = ()
        if self.reads:
            values = controls.values
            live = tuple([values.get(name, 0.0) for name in self.reads])
        outcome = self._outcome(args, live)
        if outcome is None:
            return None
        ends, successors = outcome
        if len(ends) == 1:
            return self.productions[0], 1.0, successors[0]
        taste = controls.taste
        if taste is not None and taste.bent and (praised := taste.bent.get(self.head)):
            ends = self._bent(ends, taste, praised)
        taken = bisect_right(ends, rng.random(), 0, len(ends) - 1)
        chance = ends[taken] - ends[taken - 1] if taken else ends[0]
        return self.productions[taken], chance, successors[taken]

    @property
    def head(self) -> str:
        """Its left side as it is written."""
        return self.productions[0].words.partition(" -> ")[0]

    def _bent(
        self, ends: list[float], taste: Taste, praised: Mapping[str, tuple[float, float]]
    ) -> list[float]:
        """The shares where some productions have been praised."""
        shares = [end - before for before, end in zip([0.0, *ends], ends, strict=False)]
        bent = [
            share * taste.factor(praised, made.option)
            for share, made in zip(shares, self.productions, strict=True)
        ]
        total = sum(bent)
        return list(accumulate(share / total for share in bent))

    def _work_out(self, args: tuple[float, ...], live: tuple[float, ...]) -> Outcome | None:
        values = dict(zip(self.parameters + self.reads, args + live, strict=True))
        if self.guard is not None and not self.guard(values):
            return None
        successors = [made.successor(args, values) for made in self.productions]
        return Outcome(self._ends(values), successors)

    def _ends(self, values: Mapping[str, float]) -> list[float]:
        """Alternatives without a weight share what is left of 1; else weights are relative.

        A weight below 0 counts as 0; where all are 0, all alternatives are equal.
        """
        weights = [
            None if made.weight is None else min(max(made.weight(values), 0.0), MAX_WEIGHT)
            for made in self.productions
        ]
        bare = weights.count(None)
        rest = max(1.0 - sum(weight or 0.0 for weight in weights), 0.0) / max(bare, 1)
        ends = list(accumulate(rest if weight is None else weight for weight in weights))
        if ends[-1] <= 0:
            ends = [float(number) for number in range(1, len(ends) + 1)]
        return [end / ends[-1] for end in ends]
