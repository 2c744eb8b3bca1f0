"""From text to rules: what is written is built, checked, and made ready to run."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from engines.base import Mistake
from engines.expression import Expression, parse_expression

from .notation import HINTS, MAX_REPEAT, NOTHING, Item, Text, Weight, Written, short
from .rules import MAX_WEIGHT, Alternative, Choice, Entry, Recall, Rule

#: Symbols of a grammar with all repeats written out.
MAX_SYMBOLS = 100_000
#: Labels that one derivation may remember.
MAX_LABELS = 256


def build(text: Text) -> dict[str, Rule]:
    """The rules by their heads, in the order of the text."""
    written = text.read()
    rules: dict[str, Rule] = {}
    for rule in written:
        if not rule.name:
            raise text.mistake("a rule needs a head with a name", rule.at)
        rules.setdefault(rule.name, Rule(rule.name, *text.position(rule.at)))
    builder = _Builder(text, rules)
    for rule in written:
        for alternative in rule.alternatives:
            builder.alternative(rules[rule.name], alternative)
    for each in rules.values():
        _check_shares(each)
    return rules


def _check_shares(rule: Rule) -> None:
    """Refuses alternatives without a weight for which plain weights leave nothing of 1."""
    weights = [each.weight for each in rule.alternatives if each.weight is not None]
    free = [each for each in rule.alternatives if each.weight is None]
    if free and all(weight.constant is not None for weight in weights):
        given = sum(weight.constant or 0.0 for weight in weights)
        if given >= 1 - 1e-9:
            raise refuse(
                free[0],
                f"the weights of {short(rule.name)} add up to {given:g}, which leaves nothing "
                "for this alternative; give it a weight too",
            )


class _Builder:
    def __init__(self, text: Text, rules: dict[str, Rule]) -> None:
        self.text, self.rules = text, rules
        self.recalls: dict[str, Recall] = {}
        self.options: dict[str, Rule] = {}
        self.symbols = 0

    def alternative(self, rule: Rule, written: Written) -> None:
        weight = None if written.weight is None else self.weight(written.weight)
        entries: list[Entry] = []
        for item in written.items:
            if not 1 <= item.repeat <= MAX_REPEAT:
                raise self.text.mistake(f"{short(item.text)}: {HINTS['*']}", item.at)
            self.symbols += item.repeat
            if self.symbols > MAX_SYMBOLS:
                raise self.text.mistake(
                    f"at most {MAX_SYMBOLS} symbols, with all repeats written out", item.at
                )
            if item.name:
                entries += [self.entry(item)] * item.repeat
        words = " ".join(item.text for item in written.items)
        Alternative(rule, weight, tuple(entries), words, *self.text.position(written.at))

    def weight(self, weight: Weight) -> Expression:
        text = self.text.text[weight.start : weight.stop]
        if "|" in text and "||" not in text:
            raise self.text.mistake(HINTS["("], weight.start - 1)
        expression = parse_expression(text, "rules", *self.text.position(weight.start))
        constant = expression.constant
        if constant is not None and not 0 <= constant <= MAX_WEIGHT:
            raise self.text.mistake(
                f"a weight is from 0 to {MAX_WEIGHT:.0f}, this one is {constant:g}", weight.start
            )
        return expression

    def entry(self, item: Item) -> Entry:
        rule = self.rules.get(item.name)
        entry: Entry = rule or item.name
        if item.label:
            if rule is None:
                raise self.text.mistake(
                    f"{short(item.text)} should recall what a rule yields, "
                    f"but no rule has the head {short(item.name)}",
                    item.at,
                )
            recall = Recall(item.name + item.label, rule)
            entry = self.recalls.setdefault(recall.label, recall)
            if len(self.recalls) > MAX_LABELS:
                raise self.text.mistake(f"at most {MAX_LABELS} labels", item.at)
        if item.optional:
            option = self.options.get(item.text)
            if option is None:
                place = self.text.position(item.at)
                self.options[item.text] = option = Rule(item.text, *place)
                Alternative(option, None, (entry,), item.text[:-1], *place)
                Alternative(option, None, (), NOTHING, *place)
            return option
        return entry


def prepare(heads: Iterable[Rule], start: Rule) -> frozenset[str]:
    """Refuses what could hang or never be heard, and makes the choices ready; the terminals.

    Errors: Mistake at the rule. Law: after it, a rule that never ends stands only at the end
    of alternatives, so a derivation has at most max_depth and then the greatest height, which
    is at most the number of rules, calls open at once; and none spins without a chance to
    yield.
    """
    reached, terminals = reach(start)
    for rule in heads:
        if rule not in reached:
            raise refuse(rule, f"{short(rule.name)} is never used: nothing that "
                          f"{short(start.name)} leads to calls it")  # fmt: skip
    _measure(reached)
    _find_yields(reached)
    for rule in reached:
        if not rule.height and not rule.yields:
            raise refuse(rule, f"{short(rule.name)} never yields a symbol and never ends; "
                          "give it an alternative that does not call it first")  # fmt: skip
    for rule in reached:
        for alternative in rule.alternatives:
            _check_order(alternative)
    _check_idle_cycles(reached)
    if not start.yields:
        raise refuse(start, f"{short(start.name)} never yields a symbol")
    for rule in reached:
        possible = list(_possible([rule]))
        shortest = [each for each in possible if each.height == rule.height]
        rule.choice = Choice(possible)
        rule.way_out = Choice(shortest) if len(shortest) < len(possible) else rule.choice
    return frozenset(terminals)


def refuse(where: Rule | Alternative, problem: str) -> Mistake:
    return Mistake("rules", problem, where.line, where.column)


def reach(start: Rule) -> tuple[dict[Rule, None], set[str]]:
    """The rules and terminals that a start leads to, rules in the order they are met."""
    reached, terminals, waiting = {start: None}, set[str](), [start]
    while waiting:
        for alternative in waiting.pop().alternatives:
            terminals.update(entry for entry in alternative.entries if isinstance(entry, str))
            new = dict.fromkeys(rule for rule in alternative.rules() if rule not in reached)
            reached.update(new)
            waiting.extend(new)
    return reached, terminals


def _possible(rules: Iterable[Rule]) -> Iterator[Alternative]:
    """The alternatives that may be chosen; all of a rule's where each weighs 0."""
    for rule in rules:
        yield from [each for each in rule.alternatives if each.possible] or rule.alternatives


def _measure(rules: Iterable[Rule]) -> None:
    """Sets the heights: breadth first, from the alternatives that call nothing (Knuth 1977)."""
    missing: dict[Alternative, int] = {}
    callers: defaultdict[Rule, list[Alternative]] = defaultdict(list)
    ready: deque[Alternative] = deque()
    for alternative in _possible(rules):
        called = set(alternative.rules())
        missing[alternative] = len(called)
        for rule in called:
            callers[rule].append(alternative)
        if not called:
            alternative.height = 1
            ready.append(alternative)
    while ready:
        rule = ready.popleft().rule
        if rule.height:
            continue
        rule.height = min(each.height for each in rule.alternatives if each.height)
        for alternative in callers[rule]:
            missing[alternative] -= 1
            if not missing[alternative]:
                alternative.height = rule.height + 1
                ready.append(alternative)


def _find_yields(rules: Iterable[Rule]) -> None:
    """Sets `yields`, where a terminal may come before anything that never ends."""
    callers: defaultdict[Rule, list[Rule]] = defaultdict(list)
    waiting: list[Rule] = []
    for alternative in _possible(rules):
        for entry in alternative.entries:
            if isinstance(entry, str):
                waiting.append(alternative.rule)
                break
            called = entry.rule if isinstance(entry, Recall) else entry
            callers[called].append(alternative.rule)
            if not called.height:
                break
    while waiting:
        rule = waiting.pop()
        if not rule.yields:
            rule.yields = True
            waiting.extend(callers[rule])


def _check_order(alternative: Alternative) -> None:
    last = len(alternative.entries) - 1
    for index, entry in enumerate(alternative.entries):
        if isinstance(entry, str):
            continue
        rule = entry.rule if isinstance(entry, Recall) else entry
        if rule.height:
            continue
        if isinstance(entry, Recall):
            raise refuse(alternative, f"{short(entry.label)} can never be recalled, because "
                          f"{short(rule.name)} never ends")  # fmt: skip
        if index < last:
            raise refuse(alternative, f"what follows {short(rule.name)} is never reached, "
                          f"because {short(rule.name)} never ends; give it an alternative "
                          "that does")  # fmt: skip


def _check_idle_cycles(rules: Iterable[Rule]) -> None:
    """Refuses rules that call themselves and can never yield (Kahn 1962)."""
    idle = [rule for rule in rules if not rule.yields]
    calls = dict.fromkeys(idle, 0)
    for alternative in _possible(idle):
        for rule in alternative.rules():
            calls[rule] += 1
    waiting = [rule for rule in idle if not calls[rule]]
    while waiting:
        rule = waiting.pop()
        del calls[rule]
        for alternative in _possible([rule]):
            for called in alternative.rules():
                calls[called] -= 1
                if not calls[called]:
                    waiting.append(called)
    for rule in calls:
        raise refuse(rule, f"{short(rule.name)} calls itself but can never yield a symbol")
