"""Phrases of a fixed length that obey constraints and keep the chain's own probabilities.

After Pachet and Roy (2011), "Markov constraints: steerable generation of Markov sequences":
from the end of the phrase backwards, every context at every step gets the probability that what
is left can still obey; a choice is weighted by that of the context it leads to. Law: at
temperature 1 each phrase has the probability that the chain gives it, divided by the probability
of all phrases that obey. Contexts from which nothing obeys weigh 0, so there are no dead ends.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from engines.base import WORK_PER_PULL, Mistake
from engines.items import BREAK
from engines.prefix import (
    COLDEST,
    HOTTEST,
    Chain,
    Choice,
    Link,
    Node,
    Reductions,
    Table,
    climb,
    heights,
    share,
)
from engines.taste import Taste

#: Contexts times steps that a plan may hold.
MOST_CELLS = 1_000_000

#: Prepared choices that are kept.
MOST_OPTIONS = 40_000

#: The two contexts a phrase may start from: where a piece begins, or else anywhere.
AT_A_START, ANYWHERE = 0, 1


class _Source(NamedTuple):
    """What follows a context under one order, whatever the step.

    part: of the mixture of orders.  odds: the chance of each label.
    following: the next context by label; a break leads to AT_A_START, and nothing else does.
    """

    part: float
    asked: int
    node: Node
    table: Table
    odds: list[float]
    following: list[int]


class _Option:
    """What may be drawn at a step under one order.

    Its numbers are in arrays, which are small and which the collector of garbage passes over.
    """

    __slots__ = ("_choices", "_heat", "_sums", "_weights", "source", "weight")

    def __init__(self, source: _Source, weights: list[float]) -> None:
        self.source, self.weight = source, source.part * sum(weights)
        self._weights = array("d", weights)
        self._heat, self._sums = 0.0, self._weights
        self._choices: dict[int, Choice] | None = None  # from the second draw on

    def draw(
        self, temperature: float, random: Callable[[], float], reductions: Reductions
    ) -> tuple[Link, Choice, int]:
        """The link, why, and the context it leads to."""
        if temperature != self._heat:
            self._heat, self._sums = temperature, array("d", heights(self._weights, temperature))
            self._choices = None
        source, sums = self.source, self._sums
        which = min(bisect_right(sums, random() * sums[-1]), len(sums) - 1)
        link = source.table.one(which, random)
        choices = self._choices
        choice = choices.get(which) if choices is not None else None
        if choice is None:
            node = source.node
            label = link.labels[node.level]
            choice = Choice(node, label, share(sums, which), source.asked, reductions)
            if choices is not None:
                choices[which] = choice
            else:
                self._choices = {}
        return link, choice, source.following[which]

    def draw_bent(
        self,
        temperature: float,
        random: Callable[[], float],
        reductions: Reductions,
        factor: Callable[[str], float],
    ) -> tuple[Link, Choice, int]:
        """The same where labels have been praised. factor: on the weight of a label."""
        source, power = self.source, min(HOTTEST, max(COLDEST, temperature))
        labels = zip(source.table.labels, self._weights, strict=True)
        sums = heights([weight * factor(label) ** power for label, weight in labels], temperature)
        which = climb(sums, random)
        link, node = source.table.one(which, random), source.node
        label = link.labels[node.level]
        choice = Choice(node, label, share(sums, which), source.asked, reductions)
        return link, choice, source.following[which]


def kind_of_step(step: int, length: int) -> int:
    """The number of the filter for a step: 1 plus 2 for the first and 1 for the last."""
    return 1 + 2 * (step == 0) + (step == length - 1)


class Plan:
    """For one order: how likely each context at each step is to end well.

    order: 0 and more; between two whole numbers, a mixture of both.
    length: symbols in a phrase.
    """

    def __init__(self, chain: Chain, order: float, length: int) -> None:
        self.order, self.length, self.start = order, length, AT_A_START
        whole = int(order)
        mixture = [(1 - (order - whole), whole), (order - whole, whole + 1)]
        self._orders = [(part, order) for part, order in mixture if part]
        self._reach = self._orders[-1][1]
        self._chain = chain
        start = chain.link(BREAK)
        self._pasts: list[tuple[Link, ...]] = [(start,), ()]
        self._contexts: dict[tuple[str, ...], int] = {(start.labels[0],): 0, (): 1}
        self._arcs: dict[tuple[int, int], tuple[list[tuple[float, int]], float]] = {}
        self._hopes: list[dict[int, float]] = []  # by step, relative to the best of the step
        self._scales: list[float] = []  # by step, the best relative to the step after
        self._sources: dict[tuple[int, int], list[_Source]] = {}
        self._options: dict[tuple[int, int], tuple[list[_Option], list[float]]] = {}

    def grow(self) -> Iterator[None]:
        """Compute the plan; yields after each WORK_PER_PULL of work.

        Errors: Mistake where no phrase obeys or the plan would be too large.
        """
        work = cells = 0
        layer = {AT_A_START: 0.0, ANYWHERE: 0.0}
        for step in range(self.length):
            following: dict[int, float] = {}
            states = list(layer)
            for state in states:
                arcs, silence = self._arcs_from(state, kind_of_step(step, self.length))
                if silence and AT_A_START not in layer:
                    layer[AT_A_START] = 0.0
                    states.append(AT_A_START)
                for _, target in arcs:
                    following[target] = 0.0
                work += len(arcs) + 1
                if work > WORK_PER_PULL:
                    work = 0
                    yield
            cells += len(layer)
            if cells > MOST_CELLS:
                problem = f"{self.length} symbols of order {self.order:g} need more than"
                remedy = "make the phrase shorter or the order lower"
                raise Mistake("phrase", f"{problem} {MOST_CELLS} contexts; {remedy}")
            self._hopes.append(layer)
            layer = following
        self._hopes.append(dict.fromkeys(layer, 1.0))
        self._scales = [1.0] * self.length
        for step in reversed(range(self.length)):
            here, after = self._hopes[step], self._hopes[step + 1]
            for state in sorted(here):  # the start first: breaks lead there within a step
                arcs, silence = self._arcs_from(state, kind_of_step(step, self.length))
                hope = sum(chance * after[target] for chance, target in arcs)
                here[state] = hope + (silence * here[AT_A_START] if silence else 0.0)
                work += len(arcs) + 1
                if work > WORK_PER_PULL:
                    work = 0
                    yield
            if best := max(here.values(), default=0.0):  # keeps long phrases from underflow
                self._scales[step] = best
                for state in here:
                    here[state] /= best
        beginnings = self._hopes[0]
        if not beginnings[AT_A_START]:
            self.start = ANYWHERE
        if not beginnings[self.start]:
            raise Mistake(
                "phrase",
                f"no sequence of {self.length} symbols that was learnt obeys start, end and "
                "forbid together; change the length, allow more, or lower the order",
            )
        self._arcs.clear()  # what is drawn needs the sources alone

    def draw(
        self,
        state: int,
        step: int,
        temperature: float,
        random: Callable[[], float],
        taste: Taste | None = None,
    ) -> tuple[Link, Choice, int]:
        """The link at a step, why, and the context it leads to."""
        bent = taste.bent if taste is not None else None
        while True:
            found = self._options.get((state, step))
            options, sums = found or self._options_at(state, step)
            option = options[climb(sums, random)] if len(options) > 1 else options[0]
            reductions = self._chain.reductions
            if bent and (praised := bent.get(option.source.node.key(0))):
                assert taste is not None
                factor = partial(taste.factor, praised)
                link, choice, state = option.draw_bent(temperature, random, reductions, factor)
            else:
                link, choice, state = option.draw(temperature, random, reductions)
            if link.item is not BREAK:
                return link, choice, state

    def _options_at(self, state: int, step: int) -> tuple[list[_Option], list[float]]:
        if len(self._options) >= MOST_OPTIONS:
            self._options.clear()
        options = list(self._weigh(state, step))
        sums = heights([each.weight for each in options], 1.0) if len(options) > 1 else []
        found = self._options[state, step] = options, sums
        return found

    def _weigh(self, state: int, step: int) -> Iterator[_Option]:
        after = self._hopes[step + 1]
        restart = self._hopes[step].get(AT_A_START, 0.0) * self._scales[step]
        for source in self._sources_of(state, kind_of_step(step, self.length)):
            option = _Option(
                source,
                [
                    odds * (after[target] if target != AT_A_START else restart)
                    for odds, target in zip(source.odds, source.following, strict=True)
                ],
            )
            if option.weight:
                yield option

    def _arcs_from(self, state: int, kind: int) -> tuple[list[tuple[float, int]], float]:
        """(chance, next context) of each allowed label, and the chance that the piece ends."""
        found = self._arcs.get((state, kind))
        if found is None:
            arcs: list[tuple[float, int]] = []
            silence = 0.0
            for source in self._sources_of(state, kind):
                part, table = source.part, source.table
                for count, target in zip(table.counts(), source.following, strict=True):
                    chance = part * count / table.whole
                    if target == AT_A_START:
                        silence += chance
                    else:
                        arcs.append((chance, target))
            found = self._arcs[state, kind] = arcs, silence
        return found

    def _sources_of(self, state: int, kind: int) -> list[_Source]:
        found = self._sources.get((state, kind))
        if found is None:
            found = self._sources[state, kind] = []
            for part, order in self._orders:
                node = self._chain.node(self._pasts[state], order)
                if node is not None:
                    table = self._chain.memory.table(node, kind)
                    odds = [count / table.whole for count in table.counts()]
                    following = [self._after(state, link) for link in self._heads(table)]
                    found.append(_Source(part, order, node, table, odds, following))
        return found

    @staticmethod
    def _heads(table: Table) -> list[Link]:
        """One link of each label."""
        return [table.links[start] for start in table.bounds[:-1]]

    def _after(self, state: int, link: Link) -> int:
        """The context after a link, numbered when first met."""
        if link.item is BREAK:
            return AT_A_START
        past = (*self._pasts[state], link)[-self._reach :] if self._reach else ()
        key = tuple(each.labels[0] for each in past)
        number = self._contexts.setdefault(key, len(self._pasts))
        if number == len(self._pasts):
            self._pasts.append(past)
        return number
