"""Lindenmayer systems: every symbol of a generation is rewritten at once (Lindenmayer, 1968).

    A -> AB                                   deterministic
    A -> (0.3) AB | (0.7) B                   stochastic
    L < A > R -> B                            in context
    F(x) : x > 1 -> F(x/2) F(x/2)             parametric, guarded
    F -> F[+F]F                               bracketed

No generation is ever held whole. Without contexts the tree of rewriting is walked depth first
and only the way to the present symbol is kept; with contexts each generation is a stage that
reads the one before it through a short window. Notation and meaning follow Prusinkiewicz &
Lindenmayer, *The Algorithmic Beauty of Plants* (1990), chapter 1.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from random import Random
from typing import cast

from engines.base import THINKING, WORK_PER_PULL, Controls, Mistake, Origin, Symbol, Use
from engines.taste import LEAST_SHARE, Lesson
from engines.turtle import CLOSE, DRAWING, OPEN, Run, nested_time, turtle_path

from .derivation import AXIOM, PATH, Rewriting, relay, walk
from .notation import Shape
from .system import System

__all__ = ["AXIOM", "LSystem", "Rewriting"]

#: Most generations, and so frames of the walk, of a system without contexts.
MAX_DEPTH = 200_000
#: Rewrites before the very first symbol: enough to reach it from generation 100 000.
FIRST_PULL = 100_000 + WORK_PER_PULL
#: Most generations of a system with contexts, where each one is a stage of its own.
MAX_STAGES = 1_000
#: Symbols of a generation that is always the same, which are kept and not derived again.
KEPT = 2_048


@dataclass(frozen=True)
class LSystem:
    """Rules applied everywhere at once, generation after generation; streamed symbol by symbol.

    axiom: the symbols of generation 0.
    rules: one a line, written as in docs/lsystem.md.
    depth: generations, 0 to 200 000; 0 to 1000 where a rule has a context.
    after: what follows the last symbol: "repeat" derives the generation anew, "grow" one
    generation deeper (as far as depth may go), "stop" ends the stream.
    ignore: symbols that contexts do not see, as "+-F" or ["turn"].
    interpret: "symbols" hands them out as they are, without brackets; "turtle" hands out the
    notes along the path they draw; "time" each symbol and its note value, where brackets divide
    the time of one symbol.
    step: note value of a unit of path, or of a symbol outside brackets; 1/1024 to 4 whole notes.
    span: degrees, 1 to 70, that a path may rise above and sink below its start.
    Errors: Mistake for what is written wrong, a system that erases itself, a path without notes.
    Law: the stream is the generation that rewriting in parallel gives, in memory proportional to
    depth and with THINKING after every 10 000 rewrites without a symbol (before the very first
    symbol 110 000, so that generation 100 000 starts at once).
    """

    axiom: str
    rules: str
    depth: int = 5
    after: str = "repeat"
    ignore: str | Sequence[str] = ""
    interpret: str = "symbols"
    step: str = "1/8"
    span: int = 14

    def __post_init__(self) -> None:
        for field in ("axiom", "rules"):
            if not isinstance(getattr(self, field), str):
                raise Mistake(field, f"expected text, found {getattr(self, field)!r}")
        _one_of("after", self.after, ("repeat", "grow", "stop"))
        _one_of("interpret", self.interpret, ("symbols", "turtle", "time"))
        _whole("span", self.span, 1, 70)
        _ = self._unit
        reason = " (the most where rules have contexts)" if self._system.contextual else ""
        _whole("depth", self.depth, 0, self._deepest, reason)
        heard = [shape for shape in self._system.axiom.shapes if shape[0] not in (OPEN, CLOSE)]
        if not heard:
            raise Mistake("axiom", "expected at least one symbol, found none")
        death = max(self._system.death(shape) for shape in heard)
        if death <= (self._deepest if self.after == "grow" else self.depth):
            raise Mistake(
                "rules", f"every symbol is erased: nothing is left after {death} generations"
            )
        if self.interpret == "turtle" and not self._names() & DRAWING:
            raise Mistake("rules", "the turtle draws nothing: there is no F and no G to be drawn")

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """A fresh stream; endless, unless after the last symbol it is to stop."""
        depth, first, renew = self.depth, FIRST_PULL, self.interpret == "symbols"
        turtle, same = self.interpret == "turtle", self.after == "repeat" and self._system.steady
        while True:
            walked: Generator[Symbol | Run, None, bool]
            if self._system.contextual:
                walked = relay(self._system, depth, renew, rng, controls)
            else:
                walked = walk(self._system.axiom, depth, first, renew, turtle, rng, controls)
            if turtle:
                made = turtle_path(walked, self._unit, self.span)
            else:
                made = cast("Generator[Symbol, None, bool]", walked)  # runs are for turtles
            if self.interpret == "time":
                made = nested_time(made, self._unit)
            if same and first == WORK_PER_PULL:  # what comes now will come for ever
                kept = yield from _kept_short(made)
                while kept:
                    yield from kept
                same = False
            any_symbol = yield from made
            if self.after == "stop":
                return
            if not any_symbol:
                yield THINKING
            if self.after == "grow":
                depth = min(depth + 1, self._deepest)
            first = WORK_PER_PULL

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """The productions that chance chose, each with half the share of the one it led to."""
        share, made = 1.0, origin
        while isinstance(made, Rewriting) and share >= LEAST_SHARE:
            rule = made.production.rule
            if len(rule.productions) > 1:
                yield Lesson(rule.head, made.production.option, share)
                share /= 2
            made = made.parent or AXIOM

    @property
    def closes(self) -> bool:
        """Whether each symbol's note value comes after it, as a symbol of its own."""
        return self.interpret == "time"

    def alphabet(self) -> frozenset[str] | None:
        """Names the stream can hand out; None where they are degrees or note values."""
        return self._names() if self.interpret == "symbols" else None

    def structure(self) -> frozenset[str]:
        """Every name that is written: which of them only shape others is the reading's affair."""
        return self._system.names() - {OPEN, CLOSE}

    def reads(self) -> Iterator[Use]:
        """The live values in guards, weights and formulas."""
        return self._system.reads()

    @cached_property
    def _system(self) -> System:
        return System(self.axiom, self.rules, self.ignore, self.interpret != "symbols")

    @cached_property
    def _unit(self) -> Fraction:
        """The step, in whole notes."""
        try:
            unit = Fraction(self.step)
        except (TypeError, ValueError, ZeroDivisionError):
            unit = Fraction(0)
        if not isinstance(self.step, str) or not Fraction(1, 1024) <= unit <= 4:
            raise Mistake("step", f"expected a note value such as 1/8, found {self.step!r}")
        return unit

    @property
    def _deepest(self) -> int:
        return MAX_STAGES if self._system.contextual else MAX_DEPTH

    def _names(self) -> frozenset[str]:
        """Names of symbols in the generations played, or in all if those never seem to recur."""
        generations: list[frozenset[Shape]] = []
        shapes = self._system.axiom.shapes
        while shapes not in generations and len(generations) < PATH:
            generations.append(shapes)
            shapes = frozenset().union(*map(self._system.after, shapes))
        start = generations.index(shapes) if shapes in generations else len(generations)
        played = [self._system.reachable(shapes)]
        if self.after == "grow" and start < len(generations):
            played = generations[min(self.depth, start) :]
        elif self.depth < len(generations):
            played = [generations[self.depth]]
        elif start < len(generations):
            period = len(generations) - start
            played = [generations[start + (self.depth - start) % period]]
        names = frozenset(name for shapes in played for name, _ in shapes)
        return names - {OPEN, CLOSE}


def _kept_short(made: Generator[Symbol, None, bool]) -> Generator[Symbol, None, list[Symbol]]:
    """All that is made, handed on and kept; nothing where it is long, and the rest still to come.

    Where no symbol is among it, THINKING is handed out after it.
    """
    kept: list[Symbol] = []
    while len(kept) < KEPT:
        try:
            kept.append(next(made))
        except StopIteration as end:
            if not end.value:
                kept.append(THINKING)
                yield THINKING
            return kept
        yield kept[-1]
    return []


def _one_of(field: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise Mistake(field, f"expected {', '.join(words[:-1])} or {words[-1]}, found {value!r}")


def _whole(field: str, value: object, low: int, high: int, why: str = "") -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= cast(int, value) <= high:
        raise Mistake(field, f"expected a whole number from {low} to {high}{why}, found {value!r}")
