"""Rules, ready to run: alternatives, and how chance chooses among them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from engines.expression import Expression
from engines.taste import Taste

MAX_WEIGHT = 1e9


class Rule:
    """A non-terminal."""

    __slots__ = ("alternatives", "choice", "column", "height", "line", "name", "way_out", "yields")

    choice: Choice
    way_out: Choice

    def __init__(self, name: str, line: int, column: int) -> None:
        self.name, self.line, self.column = name, line, column
        self.alternatives: list[Alternative] = []
        self.height = 0  # of its shortest derivation; 0 where none ends
        self.yields = False  # whether a symbol may ever come out of it


class Recall:
    """A call of a rule whose symbols are remembered under a label."""

    __slots__ = ("label", "rule")

    def __init__(self, label: str, rule: Rule) -> None:
        self.label, self.rule = label, rule


Entry = str | Rule | Recall


class Alternative:
    __slots__ = ("column", "entries", "height", "line", "number", "rule", "text", "weight")

    def __init__(
        self,
        rule: Rule,
        weight: Expression | None,
        entries: tuple[Entry, ...],
        text: str,
        line: int,
        column: int,
    ) -> None:
        self.rule, self.weight, self.entries, self.text = rule, weight, entries, text
        self.line, self.column = line, column
        self.number = len(rule.alternatives) + 1
        self.height = 0  # of its shortest derivation; 0 where none ends
        rule.alternatives.append(self)

    @property
    def possible(self) -> bool:
        """Whether its weight is anything but a plain 0."""
        return self.weight is None or self.weight.constant != 0

    def rules(self) -> Iterator[Rule]:
        for entry in self.entries:
            if isinstance(entry, Rule):
                yield entry
            elif isinstance(entry, Recall):
                yield entry.rule


class Option(NamedTuple):
    """An alternative as the derivation takes it: what to do, and what to do at its very end.

    A call at the end needs no way back, so `S -> Bar S` goes on for ever on a flat stack.
    """

    body: tuple[Entry, ...]
    tail: Rule | Recall | None
    alternative: Alternative
    chance: float

    def __str__(self) -> str:
        return f"{self.alternative.text}{_chance(self.chance)}"


def _option(alternative: Alternative, chance: float) -> Option:
    entries = alternative.entries
    if entries and not isinstance(last := entries[-1], str):
        return Option(entries[:-1], last, alternative, chance)
    return Option(entries, None, alternative, chance)


def _chance(chance: float) -> str:
    if chance == 1:
        return ""
    odds = round(1 / chance) if chance > 1e-6 else 0
    return f" (1/{odds})" if odds and abs(odds * chance - 1) < 1e-9 else f" ({chance:.3g})"


class Choice:
    """Some alternatives of a rule, with their weights made ready.

    thresholds: where the random number must be to choose each but the first; None where a
    weight is live and `now` must be asked.
    reads: the live values that the weights depend on.
    """

    __slots__ = ("_last", "options", "reads", "thresholds", "weights")

    def __init__(self, alternatives: Sequence[Alternative]) -> None:
        self.weights = [alternative.weight for alternative in alternatives]
        chances = _chances([None if weight is None else weight({}) for weight in self.weights])
        names = frozenset[str]().union(*(each.names for each in self.weights if each is not None))
        self.reads = tuple(sorted(names))
        self.options = tuple(map(_option, alternatives, chances))
        live = bool(names) and len(alternatives) > 1
        self.thresholds = None if live else list(accumulate(chances))[:-1]
        self._last: tuple[list[float], list[float], list[float], dict[int, Option]]
        self._last = [], [], [], {}

    def bent(
        self,
        random: float,
        values: Mapping[str, float],
        taste: Taste,
        praised: Mapping[str, tuple[float, float]],
    ) -> Option:
        """The alternative that a random number chooses where some of them have been praised."""
        weights = [None if weight is None else weight(values) for weight in self.weights]
        chances = [
            chance * taste.factor(praised, option.alternative.text)
            for chance, option in zip(_chances(weights), self.options, strict=True)
        ]
        ends = list(accumulate(chances))
        index = bisect_right(ends, random * ends[-1], 0, len(ends) - 1)
        return self.options[index]._replace(chance=chances[index] / ends[-1])

    def now(self, random: float, values: Mapping[str, float]) -> Option:
        """The alternative that a random number (0 to 1) chooses under these live values."""
        live = [values.get(name, 0.0) for name in self.reads]
        last, chances, ends, taken = self._last  # at once, as streams may share a description
        if live != last:
            weights = [None if weight is None else weight(values) for weight in self.weights]
            chances, taken = _chances(weights), {}
            ends = list(accumulate(chances))
            self._last = live, chances, ends, taken
        index = bisect_right(ends, random, 0, len(ends) - 1)
        option = taken.get(index)
        if option is None:
            body, tail, alternative, _ = self.options[index]
            option = taken[index] = Option(body, tail, alternative, chances[index])
        return option


def _chances(weights: Iterable[float | None]) -> list[float]:
    """Chances that add up to 1; what has no weight (None) shares what the others leave of 1.

    A weight below 0 counts 0; where all are 0, the chances are equal.
    """
    given, free = 0.0, 0
    shares: list[float | None] = []
    for weight in weights:
        if weight is None:
            free += 1
        else:
            weight = min(weight, MAX_WEIGHT) if weight > 0.0 else 0.0
            given += weight
        shares.append(weight)
    share = (1.0 - given) / free if free and given < 1.0 else 0.0
    total = given + share * free
    if total <= 0.0:
        return [1 / len(shares)] * len(shares)
    return [(share if each is None else each) / total for each in shares]
