"""Generations, symbol by symbol: none is ever held whole."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from random import Random

from engines.base import THINKING, WORK_PER_PULL, Controls, Origin, Symbol
from engines.turtle import CLOSE, OPEN, PAUSE, Run

from .notation import Shape
from .rules import Kind, Module, Production, Rule
from .system import System

#: Ancestors an origin can name.
PATH = 64
#: Symbols that all stages together may read ahead in search of a right neighbour, and one stage.
LOOKAHEAD, STAGE_LOOKAHEAD = 200_000, 4_096
#: Work of a stage before others have their turn, so that a pull stays within its budget.
STAGE_WORK = 1_000

#: A module and what made it.
Grown = tuple[Kind | None, str, tuple[float, ...], Origin]
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


# -- one generation, without contexts: the tree of rewriting, depth first -----------------


def walk(
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


def relay(
    system: System, depth: int, renew: bool, rng: Random, controls: Controls
) -> Generator[Symbol, None, bool]:
    """The symbols of generation `depth`, passed on from stage to stage; as `walk` otherwise."""
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
