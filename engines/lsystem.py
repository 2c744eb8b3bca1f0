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

import re
import sys
from bisect import bisect_right
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property, lru_cache
from itertools import accumulate, islice
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engines.base import THINKING, WORK_PER_PULL, Controls, Mistake, Origin, Symbol, Use
from engines.expression import Expression, parse_expression
from engines.taste import LEAST_SHARE, Lesson, Taste
from engines.turtle import CLOSE, DRAWING, OPEN, PAUSE, Run, nested_time, turtle_path

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput

#: Most generations, and so frames of the walk, of a system without contexts.
MAX_DEPTH = 200_000
#: Rewrites before the very first symbol: enough to reach it from generation 100 000.
FIRST_PULL = 100_000 + WORK_PER_PULL
#: Most generations of a system with contexts, where each one is a stage of its own.
MAX_STAGES = 1_000
#: Symbols that all stages together may read ahead in search of a right neighbour, and one stage.
LOOKAHEAD, STAGE_LOOKAHEAD = 200_000, 4_096
#: Symbols a stage makes at a time where no live control takes part.
BATCH = 64
#: Symbols of a generation that is always the same, which are kept and not derived again.
KEPT = 2_048
#: Work of a stage before others have their turn, so that a pull stays within its budget.
STAGE_WORK = 1_000
#: Ancestors an origin can name.
PATH = 64
#: Longest text, in characters and in words and signs; longest context on one side, in symbols.
MAX_TEXT, MAX_TOKENS, MAX_CONTEXT = 1 << 17, 30_000, 32
#: Symbols of successors that all rules together keep, so as not to compute the same ones again.
MAX_KNOWN = 1 << 12
#: Brackets in brackets, in one successor or axiom.
MAX_NESTING = 16
#: What a weight counts at most.
MAX_WEIGHT = 1e9

#: How a rule may write that nothing is left; so may an empty right side.
EMPTY = "ε"


#: What Symbol(...) comes down to, at half the price: made for every symbol there is.
_new = tuple.__new__


class _AxiomOrigin(Origin):
    __slots__ = ()

    def __str__(self) -> str:
        return "axiom"


AXIOM = _AxiomOrigin()


class Rewriting(Origin):
    """One application of a rule; every symbol of its successor shares it.

    production: the alternative taken.  chance: the probability it had.
    args: values of the rule's parameters, contexts included.
    generation: the one it made, from 1.
    parent: what made the symbol that was rewritten; None where more than 64 lie between it
    and the last generation.
    """

    __slots__ = ("args", "chance", "generation", "parent", "production")

    def __init__(
        self,
        production: Production,
        chance: float,
        args: tuple[float, ...],
        generation: int,
        parent: Origin | None,
    ) -> None:
        self.production = production
        self.chance = chance
        self.args = args
        self.generation = generation
        self.parent = parent

    def path(self) -> list[Origin]:
        """What it descends from, nearest first; the axiom last where it is still known."""
        path: list[Origin] = []
        parent = self.parent
        while parent is not None:
            path.append(parent)
            parent = parent.parent if isinstance(parent, Rewriting) else None
        return path

    def __str__(self) -> str:
        rule = self.production.rule
        notes = [f"line {rule.line}"]
        if self.chance < 1:
            notes.append(f"chance {self.chance:.3g}")
        notes += [
            f"{name} = {value:g}" for name, value in zip(rule.parameters, self.args, strict=True)
        ]
        path = [
            origin.production.rule.name if isinstance(origin, Rewriting) else str(origin)
            for origin in self.path()
        ]
        if not path or path[-1] != str(AXIOM):
            path.append("…")
        words = " < ".join(path if len(path) <= 9 else [*path[:8], "…"])
        return f"gen {self.generation}: {self.production.words} ({', '.join(notes)}) < {words}"


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
                walked = _relay(self._system, depth, renew, rng, controls)
            else:
                walked = _walk(self._system.axiom, depth, first, renew, turtle, rng, controls)
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


# -- rules, ready to use ------------------------------------------------------------------


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
#: A module and what made it.
Grown = tuple[Kind | None, str, tuple[float, ...], Origin]
#: Name and number of parameters.
Shape = tuple[str, int]


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


# -- one generation, without contexts: the tree of rewriting, depth first -----------------


def _walk(
    axiom: Production,
    depth: int,
    first: int,
    renew: bool,
    runs: bool,
    rng: Random,
    controls: Controls,
) -> Generator[Symbol | Run, None, bool]:
    """The symbols of generation `depth`; returns whether there were any.

    On the way to the present symbol each successor is kept as far as it is unread, and the
    origin that its symbols share.
    first: rewrites before the first THINKING.
    renew: whether each symbol handed out allows another 10 000 rewrites; else THINKING comes
    after every 5 000, for an interpretation to pass on or not.
    runs: whether successors that nothing rewrites any more are handed out whole.
    """
    pause = WORK_PER_PULL if renew else PAUSE
    modules = iter(axiom.successor((), controls.values))
    origin: Origin = AXIOM
    unread: list[Iterator[Module]] = []
    origins: list[Origin] = []
    successor: Sequence[Module]
    left, work, any_symbol = depth, first, False
    while True:
        for kind, name, args in modules:
            if kind is not None and left:
                if left >= kind.death:
                    continue
                work -= kind.cost
                if work <= 0:
                    yield THINKING
                    work = pause
                production = kind.only
                if production is not None:
                    chance, successor = 1.0, production.fixed or ()
                else:
                    for rule in kind.rules:
                        decided = rule.decide(args, rng, controls)
                        if decided is not None:
                            production, chance, successor = decided
                            break
                if production is not None:
                    if runs and left == 1 and production.fixed is not None:
                        if production.fixed:
                            any_symbol = True
                            made_by = Rewriting(production, chance, args, depth, origin)
                            yield _new(Run, (production.fixed, made_by))
                        continue
                    unread.append(modules)
                    origins.append(origin)
                    left -= 1
                    parent = None if left % PATH == PATH - 1 else origin
                    origin = Rewriting(production, chance, args, depth - left, parent)
                    modules = iter(successor)
                    break
            any_symbol = True
            yield _new(Symbol, (name, origin, args, None))
            if renew:
                work = pause
        else:
            if not unread:
                return any_symbol
            modules, origin = unread.pop(), origins.pop()
            left += 1


# -- one generation, with contexts: a stage for each generation before it -----------------


class _Stage:
    """Rewrites one generation into the next as its symbols arrive, seeing both neighbours.

    window: symbols that have arrived, from `at` on not rewritten yet.
    axis: what stands left of the next symbol on its branch, as far as contexts look;
    forks: the same for each branch still open further out.
    hungry: whether it needs more symbols to go on; wanted: how many it hopes to see then.
    complete: whether all symbols have arrived.
    batch: how many symbols to make next; few at first where there are many stages, so that
    the very first is soon at the end.
    """

    __slots__ = (
        "at", "axis", "batch", "complete", "forks", "generation", "hungry", "left", "system",
        "wanted", "window", "work",
    )  # fmt: skip

    def __init__(self, system: System, generation: int, left: int) -> None:
        self.system, self.generation, self.left = system, generation, left
        self.window: list[Grown] = []
        self.axis: tuple[Grown, ...] = ()
        self.forks: list[tuple[Grown, ...]] = []
        self.at = self.wanted = self.work = 0
        few = WORK_PER_PULL // (4 * (generation + left))
        self.batch = min(max(few, 1), system.batch)
        self.hungry = True
        self.complete = False

    @property
    def done(self) -> bool:
        return self.complete and self.at == len(self.window)

    def feed(self, grown: Iterable[Grown]) -> None:
        del self.window[: self.at]
        self.at = 0
        self.window += grown
        self.hungry = len(self.window) < self.wanted

    def finish(self) -> None:
        self.complete, self.hungry = True, False

    def rewrite(self, ahead: int, rng: Random, controls: Controls) -> list[Grown]:
        """Some of the next generation; the work it took is in `work`.

        ahead: how many symbols a right context may look at.
        """
        system, window, axis, at = self.system, self.window, self.axis, self.at
        batch, behind, ignored = self.batch, system.behind, system.ignored
        generation, cut, end = self.generation, self.left % PATH == PATH - 1, len(window)
        made: list[Grown] = []
        successor: Sequence[Module]
        self.work = self.wanted = 0
        self.batch = min(2 * batch, system.batch)
        while at < end and len(made) < batch and self.work < STAGE_WORK:
            here = window[at]
            kind, name, args, origin = here
            if kind is None:
                self.work += 1
                if name == OPEN:
                    self.forks.append(axis)
                elif name == CLOSE:
                    axis = self.forks.pop()
                made.append(here)
            else:
                self.work += kind.cost
                production = kind.only
                if production is not None:
                    chance, successor = 1.0, production.fixed or ()
                else:
                    for rule in kind.rules:
                        if rule.near is not None and (not axis or axis[-1][1] != rule.near):
                            continue
                        bound = self._bound(rule, args, axis, at, ahead)
                        if bound is not None:
                            if rule.only is not None:
                                production, chance, args = rule.only, 1.0, bound
                                successor = production.fixed or ()
                                break
                            decided = rule.decide(bound, rng, controls)
                            if decided is not None:
                                production, chance, successor = decided
                                args = bound
                                break
                        elif self.hungry:
                            break
                    if self.hungry:
                        break
                if production is None:
                    made.append(here)
                else:
                    parent = None if cut else origin
                    made_by = Rewriting(production, chance, args, generation, parent)
                    made += [(kind, name, args, made_by) for kind, name, args in successor]
            if behind and name not in ignored:
                axis = (*axis[1 - behind :], here) if behind > 1 else (here,)
            at += 1
        self.axis, self.at = axis, at
        self.hungry = self.hungry or (at == end and not self.complete)
        return made

    def _bound(
        self, rule: Rule, args: tuple[float, ...], axis: tuple[Grown, ...], at: int, ahead: int
    ) -> tuple[float, ...] | None:
        """Parameters of the whole head where its contexts match; None where not, or not yet."""
        if rule.left:
            if len(axis) < len(rule.left):
                return None
            before: tuple[float, ...] = ()
            for (wanted, count), (_, name, values, _) in zip(
                rule.left, axis[-len(rule.left) :], strict=True
            ):
                if name != wanted or len(values) != count:
                    return None
                before += values
            args = before + args
        if rule.right:
            after = self._after(rule.right, at, ahead)
            return None if after is None else args + after
        return args

    def _after(self, context: tuple[Shape, ...], at: int, ahead: int) -> tuple[float, ...] | None:
        """Parameters of a right context: branches it does not name are passed over."""
        window, ignored = self.window, self.system.ignored
        end = min(len(window), at + 1 + ahead)
        bound: tuple[float, ...] = ()
        depth = 0
        next_at = at + 1
        for wanted, count in context:
            while True:
                if next_at == end:
                    self.work += next_at - at
                    if not self.complete and end == len(window) <= at + ahead:
                        self.hungry, self.wanted = True, 2 * (end - at)
                    return None
                _, name, values, _ = window[next_at]
                next_at += 1
                if not depth and name == wanted and len(values) == count:
                    bound += values
                    break
                if name == OPEN:
                    depth += 1
                elif name == CLOSE and depth:
                    depth -= 1
                elif name == CLOSE or not (depth or wanted == CLOSE or name in ignored):
                    self.work += next_at - at
                    return None
        self.work += next_at - at
        return bound


def _relay(
    system: System, depth: int, renew: bool, rng: Random, controls: Controls
) -> Generator[Symbol, None, bool]:
    """The symbols of generation `depth`, passed on from stage to stage; as `_walk` otherwise."""
    stages = [_Stage(system, made, depth - made) for made in range(1, depth + 1)]
    ahead = min(STAGE_LOOKAHEAD, LOOKAHEAD // max(depth, 1))
    hidden = () if system.brackets else (OPEN, CLOSE)
    grown: list[Grown] = [
        (*module, AXIOM) for module in system.axiom.successor((), controls.values)
    ]
    if stages:
        stages[0].feed(grown)
        stages[0].finish()
        grown = []
    pause = WORK_PER_PULL if renew else PAUSE
    now, work, any_symbol = len(stages) - 1, pause, False
    while True:
        for _, name, args, origin in grown:
            if name not in hidden:
                any_symbol = True
                yield _new(Symbol, (name, origin, args, None))
                if renew:
                    work = pause
        grown = []
        if now < 0:
            return any_symbol
        stage = stages[now]
        if stage.hungry:
            now -= 1
            continue
        made = stage.rewrite(ahead, rng, controls)
        work -= stage.work + 1
        if work <= 0:
            yield THINKING
            work = pause
        if now == len(stages) - 1:
            grown = made
            if stage.done and not made:
                return any_symbol
            continue
        if made:
            stages[now + 1].feed(made)
        if stage.done:
            stages[now + 1].finish()
        if made or stage.done:
            now += 1


# -- a system, compiled -----------------------------------------------------------------


class System:
    """Axiom and rules, ready to derive.

    kinds: what is rewritten, by name and number of parameters.
    contextual: whether any rule has a context.  brackets: whether brackets are handed out.
    ignored: names that contexts do not see, brackets among them.
    behind: symbols that the longest left context looks at.
    batch: symbols a stage makes at a time; 1 where live controls take part.
    steady: whether neither chance nor live controls take part, so that all is always the same.
    """

    def __init__(self, axiom: str, rules: str, ignore: str | Sequence[str], brackets: bool) -> None:
        self._text = _Text("rules", rules)
        written = self._text.rules()
        self.brackets = brackets
        self.contextual = any(rule.left or rule.right for rule in written)
        self.ignored = frozenset(_ignored(ignore)) | {OPEN, CLOSE}
        self.behind = max((len(rule.left) for rule in written), default=0)
        self.kinds: dict[Shape, Kind] = {}
        self._unguarded: dict[tuple[Shape, tuple[Shape, ...], tuple[Shape, ...]], int] = {}
        for head in written:
            if len(head.strict) == 1:
                self.kinds.setdefault(head.strict[0].shape, Kind())
        for head in written:
            self._add(head, MAX_KNOWN // len(written))
        for kind in self.kinds.values():
            kind.rules.sort(key=lambda rule: not (rule.left or rule.right))
            kind.only = kind.rules[0].only if kind.rules[0].always else None
            kind.cost = sum(rule.cost for rule in kind.rules)
        text = _Text("axiom", axiom)
        self.axiom = self._production(text, Rule("axiom"), None, text.axiom())
        self._check_reach(written)
        live = any(rule.reads for rule in self._rules())
        self.batch = 1 if live else BATCH
        chance = any(len(rule.productions) > 1 for rule in self._rules())
        self.steady = not (live or chance or any(each.names for each in self.axiom.formulas))
        self._find_deaths()

    def names(self) -> frozenset[str]:
        """Of all symbols, those that never come to be heard included."""
        made = [self.axiom, *(each for rule in self._rules() for each in rule.productions)]
        shapes = frozenset(self.kinds).union(*(each.shapes for each in made))
        return frozenset(name for name, _ in shapes)

    def reads(self) -> Iterator[Use]:
        """Live values, parameters of the rule aside."""
        yield from (use for formula in self.axiom.formulas for use in formula.reads)
        for rule in self._rules():
            for expression in rule.expressions:
                yield from (use for use in expression.reads if use.name not in rule.parameters)

    def _rules(self) -> list[Rule]:
        return [rule for kind in self.kinds.values() for rule in kind.rules]

    def after(self, shape: Shape) -> frozenset[Shape]:
        """What a symbol may be one generation later."""
        kind = self.kinds.get(shape)
        if kind is None:
            return frozenset((shape,))
        found = {then for rule in kind.rules for made in rule.productions for then in made.shapes}
        return frozenset(found if any(rule.always for rule in kind.rules) else found | {shape})

    def reachable(self, shapes: frozenset[Shape]) -> frozenset[Shape]:
        """These and all that ever comes of them."""
        found, new = shapes, shapes
        while new:
            new = frozenset().union(*map(self.after, new)) - found
            found |= new
        return found

    def death(self, shape: Shape) -> int:
        """After how many generations it is gone; sys.maxsize where it need not be."""
        kind = self.kinds.get(shape)
        return sys.maxsize if kind is None else kind.death

    def _offspring(self, shape: Shape) -> frozenset[Shape]:
        """What of it is heard one generation later."""
        unheard = () if self.brackets else ((OPEN, 0), (CLOSE, 0))
        return self.after(shape).difference(unheard)

    def _add(self, head: _WrittenRule, room: int) -> None:
        text = self._text
        if len(head.strict) != 1:
            raise text.mistake(
                f"expected one symbol to rewrite, found {len(head.strict)}: a symbol is a single "
                f'character, a longer name wants quotes, as in "{text.words(head.strict)}"',
                head.strict[0].at,
            )
        strict = head.strict[0]
        if strict.name in (OPEN, CLOSE, EMPTY):
            raise text.mistake(f"`{strict.name}` cannot be rewritten", strict.at)
        for side in (head.left, head.right):
            self._check_context(side, right=side is head.right)
        parameters = tuple(
            self._parameter(part) for one in (*head.left, strict, *head.right) for part in one.parts
        )
        for name in parameters:
            if parameters.count(name) > 1:
                raise text.mistake(f"two parameters of this rule are called {name}", head.at)
        rule = Rule(
            strict.name,
            text.position(head.at)[0],
            tuple(one.shape for one in head.left),
            tuple(one.shape for one in head.right),
            parameters,
            None if head.guard is None else text.expression(head.guard),
        )
        same = strict.shape, rule.left, rule.right
        if same in self._unguarded:
            raise text.mistake(
                f"line {self._unguarded[same]} rewrites {strict.name} already, so this rule would "
                "never apply: join them with `|` to choose by chance, or give the first a guard",
                head.at,
            )
        if rule.guard is None:
            self._unguarded[same] = rule.line
        words = " ".join(text.slice(head.at, head.end).split())
        for alternative in head.alternatives:
            weight = None if alternative.weight is None else self._weight(alternative.weight)
            made = self._production(text, rule, weight, alternative.modules, words)
            rule.productions.append(made)
        rule.settle(room)
        self.kinds[strict.shape].rules.append(rule)

    def _check_reach(self, written: Sequence[_WrittenRule]) -> None:
        """Refuses rules for symbols, or beside symbols, that the axiom never leads to.

        Depth, guards and weights are left aside: what they keep away may come another time.
        """
        brackets: set[Shape] = {(OPEN, 0), (CLOSE, 0)}
        if self.axiom.shapes <= brackets:
            return  # what is wrong is the axiom
        found: set[Shape] = set()
        new = [*self.axiom.shapes, *brackets]
        needs = [{one.shape for one in (*head.left, *head.strict, *head.right)} for head in written]
        waiting: dict[Shape, list[int]] = {}
        for number, shapes in enumerate(needs):
            for shape in shapes:
                waiting.setdefault(shape, []).append(number)
        missing = list(map(len, needs))
        while new:
            shape = new.pop()
            if shape in found:
                continue
            found.add(shape)
            for number in waiting.get(shape, ()):
                missing[number] -= 1
                if not missing[number]:
                    made = written[number].alternatives
                    new += [one.shape for alternative in made for one in alternative.modules]
        for head, missed in zip(written, missing, strict=True):
            if missed:
                wanted = (*head.strict, *head.left, *head.right)
                one = next(one for one in wanted if one.shape not in found)
                raise self._unreached(one, found)

    def _unreached(self, one: _WrittenModule, found: set[Shape]) -> Mistake:
        counts = sorted(count for name, count in found if name == one.name)
        problem = f"nothing that the axiom leads to is a {one.name}"
        remedy = f"put {one.name} in the axiom or on the right side of a rule that is used"
        if counts:
            problem += f" with {_parameters(len(one.parts))}, only with {_parameters(counts[0])}"
            remedy = "write as many here as there"
        return self._text.mistake(
            f"expected a symbol that is made somewhere: {problem}, so this rule would never "
            f"apply; {remedy}, or take the rule out",
            one.at,
        )

    def _check_context(self, side: Sequence[_WrittenModule], *, right: bool) -> None:
        text, open_brackets = self._text, 0
        if len(side) > MAX_CONTEXT:
            raise text.mistake(f"a context has at most {MAX_CONTEXT} symbols", side[0].at)
        for one in side:
            if one.name in (OPEN, CLOSE):
                if not right:
                    raise text.mistake(
                        "a left context follows one branch back to its root and has no brackets",
                        one.at,
                    )
                open_brackets += 1 if one.name == OPEN else -1
                if open_brackets < 0:
                    raise text.mistake("this bracket closes nothing", one.at)
            elif one.name in self.ignored:
                raise text.mistake(
                    f"{one.name} is ignored in contexts (see `ignore`), so this never matches",
                    one.at,
                )
        if open_brackets:
            raise text.mistake("a bracket of this context is not closed", side[0].at)

    def _parameter(self, part: Part) -> str:
        name = self._text.slice(*part)
        if not name.isidentifier():
            raise self._text.mistake(
                f"expected the name of a parameter, found `{name}`: conditions go after a colon, "
                "as in `F(x) : x > 1 -> F(x/2)`",
                part[0],
            )
        return name

    def _weight(self, group: _Group) -> Expression:
        if len(group.parts) != 1:
            raise self._text.mistake(
                "expected one weight, as in `A -> (0.3) AB | (0.7) B`", group.end - 1
            )
        weight = self._text.expression(group.parts[0])
        if weight.constant is not None and weight.constant < 0:
            raise self._text.mistake("a weight cannot be below 0", group.parts[0][0])
        return weight

    def _production(
        self,
        text: _Text,
        rule: Rule,
        weight: Expression | None,
        modules: Sequence[_WrittenModule],
        head: str = "",
    ) -> Production:
        """An alternative, compiled; places beyond the parameters are those of its formulas."""
        templates: list[Template] = []
        formulas: dict[str, tuple[int, Expression]] = {}
        opened: list[_WrittenModule] = []
        for one in modules:
            if one.name in (OPEN, CLOSE):
                if one.parts:
                    raise text.mistake("a bracket has no parameters", one.at)
                if one.name == OPEN:
                    opened.append(one)
                    if len(opened) > MAX_NESTING:
                        raise text.mistake(
                            f"at most {MAX_NESTING} brackets in brackets in one text", one.at
                        )
                elif not opened:
                    raise text.mistake("this bracket closes nothing", one.at)
                else:
                    opened.pop()
                if not self.brackets and not self.contextual:
                    continue
            places: list[int] = []
            values: list[float | None] = []
            for part in one.parts:
                written = text.slice(*part)
                if written in rule.parameters:
                    places.append(rule.parameters.index(written))
                    values.append(None)
                    continue
                if written not in formulas:
                    place = len(rule.parameters) + len(formulas)
                    formulas[written] = (place, text.expression(part))
                place, formula = formulas[written]
                places.append(place)
                values.append(formula.constant)
            kind = self.kinds.get(one.shape)
            known = tuple(value for value in values if value is not None)
            fixed = (kind, one.name, known) if len(known) == len(values) else None
            templates.append(Template(fixed, kind, one.name, tuple(places)))
        if opened:
            raise text.mistake("this bracket is not closed", opened[-1].at)
        words = f"{head} -> {text.words(modules)}"
        return Production(
            rule, words, weight, templates, [formula for _, formula in formulas.values()]
        )

    def _find_deaths(self) -> None:
        """Note of each kind how many generations it takes until surely nothing is left.

        One more than its longest-lived offspring; never where it may stay as it is or has
        offspring that lives for ever, itself included.
        """
        parents: dict[Shape, list[Shape]] = {}
        alive: dict[Shape, int] = {}
        dying: list[Shape] = []
        for shape, kind in self.kinds.items():
            offspring = self._offspring(shape)
            alive[shape] = len(offspring)
            for child in offspring:
                parents.setdefault(child, []).append(shape)
            if not offspring:
                kind.death = 1
                dying.append(shape)
        while dying:
            shape = dying.pop()
            for parent in parents.get(shape, ()):
                alive[parent] -= 1
                if not alive[parent]:
                    self.kinds[parent].death = 1 + max(
                        self.kinds[child].death for child in self._offspring(parent)
                    )
                    dying.append(parent)


# -- notation ---------------------------------------------------------------------------

_SYNTAX = r"""
rules: _NL? (rule (_NL rule)* _NL?)?
rule: word [_BEFORE word] [_AFTER word] [_IF GUARD] ARROW alternative (_OR alternative)*
alternative: [group] [word]
axiom: _NL? [word _NL?]
word: module+
module: (LETTERS | QUOTED) group?
group: OPEN (TEXT | COMMA | nested)* CLOSE
nested: OPEN (TEXT | COMMA | nested)* CLOSE

_BEFORE: "<"
_AFTER: ">"
_IF: ":"
ARROW: "->" | "→"
OPEN: "("
CLOSE: ")"
COMMA: ","
TEXT: /[^(),\n]+/
GUARD: /(?:(?!->)[^\n→])+/
QUOTED: /"[^"\n]+"|'[^'\n]+'/
LETTERS: /(?:(?!->)[^\s()<>|:"'→])+/
_OR.2: /(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t\r]*\|/
_NL: /(?:\n[ \t\r]*(?:#[^\n]*)?)+/
COMMENT.3: /(?<!\S)#[^\n]*/
%ignore COMMENT
%ignore /[ \t\r]+/
"""

#: Rough and quick, to refuse too much before lark reads it.
_TOKEN = re.compile(r"""(?<!\S)#[^\n]*|->|"[^"\n]*"|'[^'\n]*'|[^\s()<>|:,"'→]+|\S""")

_EXPECTED = {
    "LETTERS": "a symbol",
    "QUOTED": "a symbol",
    "OPEN": "`(`",
    "TEXT": "an expression",
    "COMMA": "`,`",
    "CLOSE": "`)`",
    "GUARD": "a condition",
    "_BEFORE": "`<`",
    "_AFTER": "`>`",
    "_IF": "`:`",
    "ARROW": "`->`",
    "_OR": "`|`",
    "_NL": "a new line",
    "$END": "the end",
}

#: Start and end of an expression in the text.
Part = tuple[int, int]


class _Group(NamedTuple):
    parts: tuple[Part, ...]
    end: int


class _WrittenModule(NamedTuple):
    name: str
    parts: tuple[Part, ...]
    at: int
    end: int

    @property
    def shape(self) -> Shape:
        return self.name, len(self.parts)


class _WrittenAlternative(NamedTuple):
    weight: _Group | None
    modules: list[_WrittenModule]


class _WrittenRule(NamedTuple):
    left: list[_WrittenModule]
    strict: list[_WrittenModule]
    right: list[_WrittenModule]
    guard: Part | None
    alternatives: list[_WrittenAlternative]
    at: int
    end: int


class _Reader:
    """What lark calls for each piece of syntax it has recognised, innermost first."""

    def rules(self, rules: list[_WrittenRule]) -> list[_WrittenRule]:
        return rules

    def rule(self, parts: list[Any]) -> _WrittenRule:
        first, second, right, guard, arrow, *alternatives = parts
        left, strict = ([], first) if second is None else (first, second)
        guarded = None if guard is None else (guard.start_pos, guard.end_pos)
        at, end = parts[0][0].at, arrow.start_pos
        return _WrittenRule(left, strict, right or [], guarded, alternatives, at, end)

    def alternative(self, parts: list[Any]) -> _WrittenAlternative:
        weight, modules = parts
        return _WrittenAlternative(weight, _kept(modules))

    def axiom(self, parts: list[Any]) -> list[_WrittenModule]:
        return _kept(parts[0])

    def word(self, parts: list[list[_WrittenModule]]) -> list[_WrittenModule]:
        return [module for part in parts for module in part]

    def module(self, parts: list[Any]) -> list[_WrittenModule]:
        """A run of letters is as many symbols; a group of parameters belongs to the last."""
        token, group = parts[0], parts[1] if len(parts) > 1 else None
        start, end = token.start_pos, token.end_pos
        if token.type == "QUOTED":
            modules = [_WrittenModule(str(token[1:-1]), (), start, end)]
        else:
            modules = [
                _WrittenModule(letter, (), at, at + 1) for at, letter in enumerate(token, start)
            ]
        if group is not None:
            modules[-1] = modules[-1]._replace(parts=group.parts, end=group.end)
        return modules

    def group(self, parts: list[Token | None]) -> _Group:
        """Where the expressions are that the commas part; none in empty parentheses."""
        marks = [part for part in parts if part is not None and part.type != "TEXT"]
        places = [cast(int, mark.end_pos) for mark in marks[:-1]]
        ends = [cast(int, mark.start_pos) for mark in marks[1:]]
        empty = len(parts) == 2
        return _Group(() if empty else tuple(zip(places, ends, strict=True)), ends[-1] + 1)

    def nested(self, parts: list[Token | None]) -> None:
        """Parentheses within an expression: no commas to be found there."""


def _kept(modules: list[_WrittenModule] | None) -> list[_WrittenModule]:
    return [module for module in modules or () if module.name != EMPTY]


@cache
def _parser() -> Lark:
    from lark import Lark  # here, because importing it takes longer than all of this file

    return Lark(
        _SYNTAX,
        parser="lalr",
        start=["rules", "axiom"],
        maybe_placeholders=True,
        transformer=cast(Any, _Reader()),
    )


class _Text:
    """What a field says, and where in it."""

    def __init__(self, place: str, text: str) -> None:
        self.place, self.text = place, text
        self.lines = [0, *(end.end() for end in re.finditer("\n", text))]

    def rules(self) -> list[_WrittenRule]:
        return cast("list[_WrittenRule]", self._parse("rules"))

    def axiom(self) -> list[_WrittenModule]:
        return cast("list[_WrittenModule]", self._parse("axiom"))

    def position(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self.lines, at)
        return line, at - self.lines[line - 1] + 1

    def mistake(self, problem: str, at: int) -> Mistake:
        return Mistake(self.place, problem, *self.position(at))

    def slice(self, start: int, end: int) -> str:
        """The text between two offsets, without the white space around it."""
        return self.text[start:end].strip()

    def words(self, modules: Sequence[_WrittenModule], most: int = 40) -> str:
        """Modules as they were written, cut short where there are many."""
        if not modules:
            return EMPTY
        start, end = modules[0].at, modules[-1].end
        cut = "…" if end - start > most else ""
        return " ".join(self.slice(start, min(end, start + most)).split()) + cut

    def expression(self, part: Part) -> Expression:
        return parse_expression(self.text[slice(*part)], self.place, *self.position(part[0]))

    def _parse(self, start: str) -> Any:
        from lark.exceptions import UnexpectedInput

        if len(self.text) > MAX_TEXT:
            raise Mistake(self.place, f"at most {MAX_TEXT} characters, found {len(self.text)}")
        beyond = next(islice(_TOKEN.finditer(self.text), MAX_TOKENS, None), None)
        if beyond is not None:
            raise self.mistake(f"at most {MAX_TOKENS} words and signs", beyond.start())
        try:
            return _parser().parse(self.text, start=start)
        except UnexpectedInput as error:
            raise self._misread(error) from None

    def _misread(self, error: UnexpectedInput) -> Mistake:
        """What lark could not read, in a musician's words."""
        from lark.exceptions import UnexpectedCharacters, UnexpectedToken

        if isinstance(error, UnexpectedToken):
            expected, token = set(error.accepts or error.expected), error.token
            at = len(self.text.rstrip()) if token.type == "$END" else cast(int, token.start_pos)
            if token.type == "_OR":
                at = cast(int, token.end_pos) - 1
            found = {"_NL": "the end of the line", "$END": "the end", "_OR": "`|`"}.get(
                token.type, f"`{token[:20]}`"
            )
        else:
            assert isinstance(error, UnexpectedCharacters)
            expected, at = set(error.allowed or ()), cast(int, error.pos_in_stream)
            found = f"`{self.text[at]}`" if self.text[at].strip() else "the end of the line"
        wanted = [words for name, words in _EXPECTED.items() if name in expected]
        listed = " or ".join(dict.fromkeys(wanted))
        return self.mistake(f"expected {listed}, found {found}; {_FORMS[self.place]}", at)


_FORMS = {
    "rules": "a rule reads `A -> AB`, `L < A > R -> B` or `F(x) : x > 1 -> F(x/2)`, "
    "and signs that are symbols want quotes",
    "ignore": "it is a row of symbols such as `+-F`",
    "axiom": "an axiom is a row of symbols such as `A`, `-X` or `F(1)[+F(2)]`, "
    "and signs such as `|` want quotes",
}


def _parameters(count: int) -> str:
    return f"{count or 'no'} parameter{'s' * (count != 1)}"


def _ignored(ignore: object) -> Iterable[str]:
    """The names in the field `ignore`: a text of symbols, or a list of names."""
    if isinstance(ignore, str):
        return [module.name for module in _Text("ignore", ignore).axiom()]
    if isinstance(ignore, (list, tuple)) and all(isinstance(name, str) for name in ignore):
        return ignore
    raise Mistake("ignore", f'expected symbols such as "+-F" or ["turn"], found {ignore!r}')


def _one_of(field: str, value: object, words: Sequence[str]) -> None:
    if value not in words:
        raise Mistake(field, f"expected {', '.join(words[:-1])} or {words[-1]}, found {value!r}")


def _whole(field: str, value: object, low: int, high: int, why: str = "") -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not low <= cast(int, value) <= high:
        raise Mistake(field, f"expected a whole number from {low} to {high}{why}, found {value!r}")
