"""Phrases of a fixed length that obey constraints and keep the chain's own probabilities.

After Pachet and Roy (2011), "Markov constraints: steerable generation of Markov sequences":
from the end of the phrase backwards, every context at every step gets the probability that what
is left can still obey; a choice is weighted by that of the context it leads to. Law: at
temperature 1 each phrase has the probability that the chain gives it, divided by the probability
of all phrases that obey. Contexts from which nothing obeys weigh 0, so there are no dead ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engines.base import WORK_PER_PULL, Mistake
from engines.items import BREAK
from engines.prefix import Chain, Choice, Link, Node, Table, climb, heights, share

#: Contexts times steps that a plan may hold.
MOST_CELLS = 1_000_000

#: Prepared choices that are kept.
MOST_OPTIONS = 20_000

#: The two contexts a phrase may start from: where a piece begins, or else anywhere.
AT_A_START, ANYWHERE = 0, 1


class _Option:
    """What may be drawn at a step under one order; weights and next contexts by label."""

    __slots__ = ("_heat", "_sums", "asked", "following", "node", "table", "weight", "weights")

    def __init__(
        self, asked: int, part: float, node: Node, table: Table, outcomes: list[tuple[float, int]]
    ) -> None:
        self.asked, self.node, self.table = asked, node, table
        self.weights = [weight for weight, _ in outcomes]
        self.following = [target for _, target in outcomes]
        self.weight = part * sum(self.weights)
        self._heat, self._sums = 0.0, [0.0]

    def sums(self, temperature: float) -> list[float]:
        """The running sums of the weights at a temperature."""
        if temperature != self._heat:
            self._heat, self._sums = temperature, heights(self.weights, temperature)
        return self._sums


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
        self._options: dict[tuple[int, int], list[_Option]] = {}

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

    def draw(
        self, state: int, step: int, temperature: float, random: Callable[[], float]
    ) -> tuple[Link, Choice, int]:
        """The link at a step, why, and the context it leads to."""
        while True:
            options = self._options_at(state, step)
            option = options[0]
            if len(options) > 1:
                option = options[climb(heights([each.weight for each in options], 1.0), random)]
            sums = option.sums(temperature)
            which = climb(sums, random)
            link, state = option.table.one(which, random), option.following[which]
            if link.item is not BREAK:
                label = link.labels[option.node.level]
                chain = self._chain
                choice = Choice(
                    option.node, label, share(sums, which), option.asked, chain.reductions
                )
                return link, choice, state

    def _options_at(self, state: int, step: int) -> list[_Option]:
        options = self._options.get((state, step))
        if options is None:
            if len(self._options) >= MOST_OPTIONS:
                self._options.clear()
            options = self._options[state, step] = list(self._weigh(state, step))
        return options

    def _weigh(self, state: int, step: int) -> Iterator[_Option]:
        after = self._hopes[step + 1]
        restart = self._hopes[step].get(AT_A_START, 0.0) * self._scales[step]
        for part, order, node, table in self._tables(state, kind_of_step(step, self.length)):
            outcomes: list[tuple[float, int]] = []
            for count, link in zip(table.counts(), self._heads(table), strict=True):
                target = self._after(state, link)
                hope = restart if link.item is BREAK else after[target]
                outcomes.append((count / table.whole * hope, target))
            option = _Option(order, part, node, table, outcomes)
            if option.weight:
                yield option

    def _arcs_from(self, state: int, kind: int) -> tuple[list[tuple[float, int]], float]:
        """(chance, next context) of each allowed label, and the chance that the piece ends."""
        found = self._arcs.get((state, kind))
        if found is None:
            arcs: list[tuple[float, int]] = []
            silence = 0.0
            for part, _, _, table in self._tables(state, kind):
                for count, link in zip(table.counts(), self._heads(table), strict=True):
                    chance = part * count / table.whole
                    if link.item is BREAK:
                        silence += chance
                    else:
                        arcs.append((chance, self._after(state, link)))
            found = self._arcs[state, kind] = arcs, silence
        return found

    def _tables(self, state: int, kind: int) -> Iterator[tuple[float, int, Node, Table]]:
        for part, order in self._orders:
            node = self._chain.node(self._pasts[state], order)
            if node is not None:
                yield part, order, node, self._chain.memory.table(node, kind)

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
