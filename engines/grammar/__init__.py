"""Context-free grammars with weights, derived leftmost (Chomsky 1956; Booth 1969).

    Melody -> Phrase Phrase
    Phrase -> Pitch Duration | (0.3) Pitch Pitch Duration
    Pitch  -> C | D | E | F | G | A | B

A rule is rewritten only when its turn comes, so endless grammars stream in flat memory.
How rules are written is in docs/grammar.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from random import Random

from engines.base import Controls, Mistake, Origin, Symbol, Use
from engines.taste import LEAST_SHARE, Lesson

from .building import build, prepare, reach
from .derivation import Made, Recalled, Step, derive
from .notation import Text, short
from .rules import Rule
from .tree import Node, grow

__all__ = ["Grammar", "Recalled", "Step"]

MAX_DEPTH = 10_000


@dataclass(frozen=True)
class Grammar:
    """A weighted context-free grammar, derived leftmost, symbol by symbol.

    rules: the text; see docs/grammar.md.  start: the head to begin with; the first by default.
    max_depth: calls open at once, 1 to 10000, before only the shortest alternatives are taken
    until it is shallower again; a call at the end of an alternative opens none.
    after: "restart" begins a new derivation where one ends, "stop" ends the stream.
    Errors: Mistake at the field, line and column.
    Laws: same seed and controls, same symbols; every symbol is in `alphabet()`; memory does
    not grow with the length of the stream.
    """

    rules: str
    start: str = ""
    max_depth: int = 64
    after: str = "restart"
    _start: Rule = field(init=False, repr=False, compare=False)
    _alphabet: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.after not in ("restart", "stop"):
            raise Mistake("after", f"expected restart or stop, found {self.after!r}")
        if type(self.max_depth) is not int or not 1 <= self.max_depth <= MAX_DEPTH:
            raise Mistake(
                "max_depth",
                f"expected a whole number from 1 to {MAX_DEPTH}, found {self.max_depth!r}",
            )
        heads = build(Text(self.rules))
        start = heads.get(self.start) if self.start else next(iter(heads.values()))
        if start is None:
            some = ", ".join(short(head) for head in islice(heads, 8))
            raise Mistake("start", f"no rule has the head {self.start!r}; there are {some}")
        object.__setattr__(self, "_start", start)
        object.__setattr__(self, "_alphabet", prepare(heads.values(), start))

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """A fresh stream; THINKING where 10 000 rules were rewritten without a symbol."""
        return derive(self._start, self.max_depth, rng, controls, self.after == "restart")

    def alphabet(self) -> frozenset[str]:
        """Every terminal that the start leads to."""
        return self._alphabet

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """The alternatives along the derivation, each with half the share of the one below."""
        origin = origin.first if isinstance(origin, Recalled) else origin
        step, share = origin if isinstance(origin, Step) else None, 1.0
        while step is not None and share >= LEAST_SHARE:
            alternative = step.option.alternative
            if len(alternative.rule.alternatives) > 1:
                yield Lesson(alternative.rule.name, alternative.text, share)
                share /= 2
            step = step.parent

    def reads(self) -> Iterator[Use]:
        """The live values in the weights of what the start leads to."""
        for rule in reach(self._start)[0]:
            for alternative in rule.alternatives:
                yield from alternative.weight.reads if alternative.weight is not None else ()

    def tree(
        self,
        rng: Random,
        controls: Controls,
        limit: int = 1000,
        pulled: Callable[[Symbol], None] = lambda symbol: None,
    ) -> Node:
        """One derivation as a tree of at most `limit` nodes; `str` draws it.

        pulled: called with each symbol before what comes after it is chosen, so that live
        values may change on the way.
        Law: its leaves are the symbols that `symbols` hands out first for the same seed.
        """
        trace: list[Made] = []
        for symbol in derive(self._start, self.max_depth, rng, controls, False, trace):
            if len(trace) >= limit:
                break
            pulled(symbol)
        return grow(self._start, trace, limit)
