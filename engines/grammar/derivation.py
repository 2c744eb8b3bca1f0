"""Leftmost derivations, symbol by symbol, and why each symbol was made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from random import Random
from typing import cast

from engines.base import THINKING, WORK_PER_PULL, Controls, Origin, Symbol

from .rules import Entry, Option, Recall, Rule

#: Symbols of all labels being learnt at a time that one derivation may remember.
MAX_REMEMBERED = 4096

#: Ancestors an origin keeps when tail calls go on for ever: at most the first, then the second.
_LONG_PATH, _SHORT_PATH = 24, 8


class Step(Origin):
    """Why a symbol was made: the alternative chosen, and the steps that led there.

    head: the rule rewritten.  line: where the alternative stands, from 1.
    number: which alternative of the rule, from 1.  chance: of choosing it, 0 to 1.
    parent: the step whose alternative called this rule, None at the start.
    Law: a path has at most 24 steps and those that are open at once; where a rule ends by
    calling itself, its calls count as one step.
    """

    __slots__ = ("depth", "option", "parent")

    def __init__(self, option: Option, parent: Step | None) -> None:
        self.option = option
        self.parent = parent
        self.depth: int = parent.depth + 1 if parent is not None else 0

    @property
    def head(self) -> str:
        return self.option.alternative.rule.name

    @property
    def line(self) -> int:
        return self.option.alternative.line

    @property
    def number(self) -> int:
        return self.option.alternative.number

    @property
    def chance(self) -> float:
        return self.option.chance

    @property
    def path(self) -> tuple[str, ...]:
        """The heads from the start (or from the oldest step remembered) down to this one."""
        steps = [self]
        while (above := steps[-1].parent) is not None:
            steps.append(above)
        heads = [step.head for step in reversed(steps)]
        return tuple(["…", *heads] if steps[-1].depth else heads)

    def __str__(self) -> str:
        return f"{' > '.join(self.path)} -> {self.option}"


class Recalled(Origin):
    """Why a symbol came back: the label that remembered it.

    label: as in `Motif$a`.  caller: the step that asked for it.  first: the origin it had.
    """

    __slots__ = ("caller", "first", "label")

    def __init__(self, label: str, caller: Step, first: Origin) -> None:
        self.label, self.caller, self.first = label, caller, first

    def __str__(self) -> str:
        return f"{' > '.join(self.caller.path)} recalls {self.label}: {self.first}"


class Learnt:
    """A mark on the stack: here the symbols of a recall are complete."""

    __slots__ = ("recall", "since")

    def __init__(self, recall: Recall, since: int) -> None:
        self.recall, self.since = recall, since


Made = Option | tuple[Symbol, ...]


def derive(
    start: Rule,
    max_depth: int,
    rng: Random,
    controls: Controls,
    restart: bool,
    trace: list[Made] | None = None,
) -> Iterator[Symbol]:
    """The symbols of one derivation after another; what was chosen or recalled goes to `trace`."""
    random, make = rng.random, tuple.__new__
    calls: list[tuple[Iterator[Entry | Learnt], Rule | Recall | None, Step]] = []
    known: dict[Recall, tuple[Symbol, ...] | None] = {}  # None: being learnt, or too long
    learning: list[Learnt] = []
    tape: list[Symbol] = []
    rule, parent = start, cast("Step | None", None)
    taste = controls.taste
    bent = taste.bent if taste is not None else {}
    idle = 0  # work since the last symbol
    while True:
        idle += 1
        if idle > WORK_PER_PULL:
            idle = 0
            yield THINKING
        choice = rule.choice if len(calls) <= max_depth else rule.way_out
        thresholds = choice.thresholds
        if thresholds and not bent:
            option = choice.options[bisect_right(thresholds, random())]
        elif thresholds == []:
            option = choice.options[0]
        elif bent and (praised := bent.get(rule.name)):
            assert taste is not None
            idle += len(choice.options)
            option = choice.bent(random(), controls.values, taste, praised)
        elif thresholds is None:
            idle += len(choice.options)  # weighing them is work too
            option = choice.now(random(), controls.values)
        else:
            option = choice.options[bisect_right(thresholds, random())]
        if trace is not None:
            trace.append(option)
        body, tail, _, _ = option
        entries: Iterator[Entry | Learnt] = iter(body)
        step = Step(option, parent)

        while True:  # until the next rule to rewrite
            returns = True
            for entry in entries:
                if type(entry) is not str:
                    break
                symbol = make(Symbol, (entry, step, (), None))
                idle = 0
                if learning:
                    _record(symbol, tape, learning)
                yield symbol
            else:
                if tail is not None:
                    entry, tail, returns = tail, None, False
                elif calls:
                    entries, tail, step = calls.pop()
                    continue
                elif restart:
                    known.clear()
                    rule, parent = start, None
                    break
                else:
                    return

            if type(entry) is Rule:
                rule = entry
            elif type(entry) is Recall:
                remembered = known.get(entry)
                if remembered is not None:
                    if trace is not None:
                        trace.append(remembered)
                    idle += 1
                    for first in remembered:
                        symbol = first._replace(origin=_recalled(entry, step, first.origin))
                        idle = 0
                        if learning:
                            _record(symbol, tape, learning)
                        yield symbol
                    continue
                rule = entry.rule
                if entry not in known:
                    known[entry] = None
                    learning.append(Learnt(entry, len(tape)))
                    if returns:
                        calls.append((entries, tail, step))
                    entries, tail, returns = iter((learning[-1],)), None, True
            else:
                if learning and learning[-1] is entry:
                    learnt = learning.pop()
                    known[learnt.recall] = tuple(tape[learnt.since :])
                    if not learning:
                        tape.clear()
                continue

            if returns:
                calls.append((entries, tail, step))
                parent = step
            elif step.option.alternative.rule is rule:
                parent = step.parent
            else:
                parent = step if step.depth < _LONG_PATH else _shortened(step)
            break


def _record(symbol: Symbol, tape: list[Symbol], learning: list[Learnt]) -> None:
    """Too long a tape is given up, with all that was being learnt from it."""
    tape.append(symbol)
    if len(tape) > MAX_REMEMBERED:
        learning.clear()
        tape.clear()


def _recalled(recall: Recall, caller: Step, origin: Origin) -> Recalled:
    first = origin.first if isinstance(origin, Recalled) else origin
    return Recalled(recall.label, caller, first)


def _shortened(step: Step) -> Step:
    """The same step with only its nearest ancestors."""
    options = [step.option]
    above = step.parent
    while above is not None and len(options) < _SHORT_PATH:
        options.append(above.option)
        above = above.parent
    short = Step(options.pop(), None)
    short.depth = 1  # which tells that this is not the start
    while options:
        short = Step(options.pop(), short)
    return short
