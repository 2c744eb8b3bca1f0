"""Context-free grammars with weights, derived leftmost (Chomsky 1956; Booth 1969).

    Melody -> Phrase Phrase
    Phrase -> Pitch Duration | (0.3) Pitch Pitch Duration
    Pitch  -> C | D | E | F | G | A | B

A rule is rewritten only when its turn comes, so endless grammars stream in flat memory.
How rules are written is in docs/grammar.md.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate, islice
from random import Random
from re import compile as pattern
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engines.base import THINKING, WORK_PER_PULL, Controls, Mistake, Origin, Symbol, Use
from engines.expression import Expression, parse_expression
from engines.taste import LEAST_SHARE, Lesson, Taste

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput

#: What a grammar may hold: characters, words and signs, and symbols with repeats written out.
MAX_TEXT = 1 << 20
MAX_TOKENS = 30_000
MAX_SYMBOLS = 100_000
MAX_REPEAT = 1024
MAX_WEIGHT = 1e9
MAX_DEPTH = 10_000

#: What one derivation may remember: labels, and symbols of all labels being learnt at a time.
MAX_LABELS = 256
MAX_REMEMBERED = 4096

#: Ancestors an origin keeps when tail calls go on for ever: at most the first, then the second.
_LONG_PATH, _SHORT_PATH = 24, 8

_NOTHING = "ε"


# ---------------------------------------------------------------------- origins


class Step(Origin):
    """Why a symbol was made: the alternative chosen, and the steps that led there.

    head: the rule rewritten.  line: where the alternative stands, from 1.
    number: which alternative of the rule, from 1.  chance: of choosing it, 0 to 1.
    parent: the step whose alternative called this rule, None at the start.
    Law: a path has at most 24 steps and those that are open at once; where a rule ends by
    calling itself, its calls count as one step.
    """

    __slots__ = ("_depth", "_option", "parent")

    def __init__(self, option: _Option, parent: Step | None) -> None:
        self._option = option
        self.parent = parent
        self._depth: int = parent._depth + 1 if parent is not None else 0

    @property
    def head(self) -> str:
        return self._option.alternative.rule.name

    @property
    def line(self) -> int:
        return self._option.alternative.line

    @property
    def number(self) -> int:
        return self._option.alternative.number

    @property
    def chance(self) -> float:
        return self._option.chance

    @property
    def path(self) -> tuple[str, ...]:
        """The heads from the start (or from the oldest step remembered) down to this one."""
        steps = [self]
        while (above := steps[-1].parent) is not None:
            steps.append(above)
        heads = [step.head for step in reversed(steps)]
        return tuple(["…", *heads] if steps[-1]._depth else heads)

    def __str__(self) -> str:
        return f"{' > '.join(self.path)} -> {self._option}"


class Recalled(Origin):
    """Why a symbol came back: the label that remembered it.

    label: as in `Motif$a`.  caller: the step that asked for it.  first: the origin it had.
    """

    __slots__ = ("caller", "first", "label")

    def __init__(self, label: str, caller: Step, first: Origin) -> None:
        self.label, self.caller, self.first = label, caller, first

    def __str__(self) -> str:
        return f"{' > '.join(self.caller.path)} recalls {self.label}: {self.first}"


# ------------------------------------------------------------- rules, ready to run


class _Rule:
    """A non-terminal."""

    __slots__ = ("alternatives", "choice", "column", "height", "line", "name", "way_out", "yields")

    choice: _Choice
    way_out: _Choice

    def __init__(self, name: str, line: int, column: int) -> None:
        self.name, self.line, self.column = name, line, column
        self.alternatives: list[_Alternative] = []
        self.height = 0  # of its shortest derivation; 0 where none ends
        self.yields = False  # whether a symbol may ever come out of it


class _Recall:
    """A call of a rule whose symbols are remembered under a label."""

    __slots__ = ("label", "rule")

    def __init__(self, label: str, rule: _Rule) -> None:
        self.label, self.rule = label, rule


class _Learnt:
    """A mark on the stack: here the symbols of a recall are complete."""

    __slots__ = ("recall", "since")

    def __init__(self, recall: _Recall, since: int) -> None:
        self.recall, self.since = recall, since


_Entry = str | _Rule | _Recall


class _Alternative:
    __slots__ = ("column", "entries", "height", "line", "number", "rule", "text", "weight")

    def __init__(
        self,
        rule: _Rule,
        weight: Expression | None,
        entries: tuple[_Entry, ...],
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

    def rules(self) -> Iterator[_Rule]:
        for entry in self.entries:
            if isinstance(entry, _Rule):
                yield entry
            elif isinstance(entry, _Recall):
                yield entry.rule


class _Option(NamedTuple):
    """An alternative as the derivation takes it: what to do, and what to do at its very end.

    A call at the end needs no way back, so `S -> Bar S` goes on for ever on a flat stack.
    """

    body: tuple[_Entry, ...]
    tail: _Rule | _Recall | None
    alternative: _Alternative
    chance: float

    def __str__(self) -> str:
        return f"{self.alternative.text}{_chance(self.chance)}"


def _option(alternative: _Alternative, chance: float) -> _Option:
    entries = alternative.entries
    if entries and not isinstance(last := entries[-1], str):
        return _Option(entries[:-1], last, alternative, chance)
    return _Option(entries, None, alternative, chance)


def _chance(chance: float) -> str:
    if chance == 1:
        return ""
    odds = round(1 / chance) if chance > 1e-6 else 0
    return f" (1/{odds})" if odds and abs(odds * chance - 1) < 1e-9 else f" ({chance:.3g})"


class _Choice:
    """Some alternatives of a rule, with their weights made ready.

    thresholds: where the random number must be to choose each but the first; None where a
    weight is live and `now` must be asked.
    reads: the live values that the weights depend on.
    """

    __slots__ = ("_last", "options", "reads", "thresholds", "weights")

    def __init__(self, alternatives: Sequence[_Alternative]) -> None:
        self.weights = [alternative.weight for alternative in alternatives]
        chances = _chances([None if weight is None else weight({}) for weight in self.weights])
        names = frozenset[str]().union(*(each.names for each in self.weights if each is not None))
        self.reads = tuple(sorted(names))
        self.options = tuple(map(_option, alternatives, chances))
        live = bool(names) and len(alternatives) > 1
        self.thresholds = None if live else list(accumulate(chances))[:-1]
        self._last: tuple[list[float], list[float], list[float], dict[int, _Option]]
        self._last = [], [], [], {}

    def bent(
        self,
        random: float,
        values: Mapping[str, float],
        taste: Taste,
        praised: Mapping[str, tuple[float, float]],
    ) -> _Option:
        """The alternative that a random number chooses where some of them have been praised."""
        weights = [None if weight is None else weight(values) for weight in self.weights]
        chances = [
            chance * taste.factor(praised, option.alternative.text)
            for chance, option in zip(_chances(weights), self.options, strict=True)
        ]
        ends = list(accumulate(chances))
        index = bisect_right(ends, random * ends[-1], 0, len(ends) - 1)
        return self.options[index]._replace(chance=chances[index] / ends[-1])

    def now(self, random: float, values: Mapping[str, float]) -> _Option:
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
            option = taken[index] = _Option(body, tail, alternative, chances[index])
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


# ------------------------------------------------------------------------ reading

_SYNTAX = r"""
start: _NL? rule (_NL rule)* _NL?
rule: (WORD | QUOTED) _ARROW alternative (_BAR alternative)*
alternative: weight? item+
!weight: "(" _inside* ")"
!_inside: CHUNK | "(" _inside* ")"
item: (WORD | QUOTED) LABEL? (REPEAT | OPTION)?

_ARROW: "->" | "→" | "::="
_BAR.2: /(?:[^\S\n]*(?:#[^\n]*)?\n)*[^\S\n]*\|/
_NL: /(?:[^\S\n]*(?:#[^\n]*)?\n)+/
CHUNK: /[^()\n#]+/
LABEL: /\$\w+/
REPEAT: /\*[0-9]+(?=[\s|#]|\Z)/
OPTION: "?"
QUOTED: /"[^"\n]*"|'[^'\n]*'/
WORD: /(?!['#])(?:(?!->|::=)[^\s|()\[\]{}<>"*?$→])+/
%ignore /[^\S\n]+/
%ignore /#[^\n]*/
"""

#: Rough and quick, to refuse too much before lark reads it; an arrow may be three tokens.
_TOKEN = pattern(r"""(?<!\S)#[^\n]*|->|::=|[|()$*?"']|(?:(?!->|::=)[^\s|()$*?"'])+""")

_HINTS = {
    "->": "a rule begins on a line of its own; here is a second `->`",
    "(": "a weight stands before an alternative; to group symbols, give them a rule of their own",
    ")": "there is no `(` for this `)`",
    "*": f"a repeat is written X*3, with a whole number from 1 to {MAX_REPEAT} and no `?`",
    "?": "an optional symbol is written X?",
    "$": "a label is written Motif$a",
    '"': "this quote is not closed on its line",
    "'": "this quote is not closed on its line",
    "[": "put quotes round a symbol that has brackets in it",
    "{": "put quotes round a symbol that has brackets in it",
    "<": "put quotes round a symbol that has `<` in it",
    ">": "put quotes round a symbol that has `>` in it",
}


class _Item(NamedTuple):
    """A symbol with its signs; positions are offsets in the text, here and below."""

    text: str
    name: str
    label: str
    repeat: int
    optional: bool
    at: int


class _Weight(NamedTuple):
    start: int
    stop: int


class _Written(NamedTuple):
    """An alternative as it was read."""

    weight: _Weight | None
    items: list[_Item]
    at: int


class _WrittenRule(NamedTuple):
    name: str
    alternatives: list[_Written]
    at: int


class _Reader:
    """What lark calls for each piece of syntax it has recognised, innermost first."""

    def start(self, rules: list[_WrittenRule]) -> list[_WrittenRule]:
        return rules

    def rule(self, parts: list[Any]) -> _WrittenRule:
        return _WrittenRule(_name(parts[0]), parts[1:], parts[0].start_pos)

    def alternative(self, parts: list[Any]) -> _Written:
        if isinstance(parts[0], _Weight):
            return _Written(parts[0], parts[1:], parts[0].start - 1)
        return _Written(None, parts, parts[0].at)

    def weight(self, parts: list[Token]) -> _Weight:
        return _Weight(cast(int, parts[0].end_pos), cast(int, parts[-1].start_pos))

    def item(self, parts: list[Token]) -> _Item:
        signs = {part.type: str(part) for part in parts[1:]}
        digits = signs.get("REPEAT", "*1")[1:].lstrip("0")
        return _Item(
            "".join(parts),
            _name(parts[0]),
            signs.get("LABEL", ""),
            int(digits) if 0 < len(digits) < 6 else 0,
            "OPTION" in signs,
            cast(int, parts[0].start_pos),
        )


def _name(token: Token) -> str:
    """The symbol's name; empty for ε and for empty quotes."""
    if token.type == "QUOTED":
        return str(token[1:-1])
    return "" if token == _NOTHING else str(token)


@cache
def _parser() -> Lark:
    from lark import Lark  # here, because importing it takes longer than all of this file

    return Lark(_SYNTAX, parser="lalr", transformer=cast(Any, _Reader()))


class _Text:
    """The text of a grammar, and where its offsets are."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise Mistake("rules", f"expected text, found {type(text).__name__}")
        if len(text) > MAX_TEXT:
            raise Mistake("rules", f"at most {MAX_TEXT} characters, found {len(text)}")
        self.text = text
        self.lines = [0, *(end.end() for end in pattern("\n").finditer(text))]

    def position(self, at: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        line = bisect_right(self.lines, at)
        return line, at - self.lines[line - 1] + 1

    def begins(self, at: int) -> bool:
        """Whether a line begins here."""
        return not self.text[self.lines[bisect_right(self.lines, at) - 1] : at].strip()

    def mistake(self, problem: str, at: int) -> Mistake:
        return Mistake("rules", problem, *self.position(at))

    def read(self) -> list[_WrittenRule]:
        """The rules as they are written. Errors: Mistake where the text cannot be read."""
        from lark.exceptions import UnexpectedInput

        tokens = (each for each in _TOKEN.finditer(self.text) if each[0][0] != "#")
        beyond = next(islice(tokens, MAX_TOKENS, None), None)
        if beyond is not None:
            raise self.mistake(f"at most {MAX_TOKENS} words and signs", beyond.start())
        try:
            return cast("list[_WrittenRule]", _parser().parse(self.text))
        except UnexpectedInput as error:
            raise self.misread(error) from None

    def misread(self, error: UnexpectedInput) -> Mistake:
        """What lark could not read, in a musician's words."""
        from lark.exceptions import UnexpectedToken

        assert isinstance(error, UnexpectedToken)  # CHUNK makes a token of anything else
        token, expected = error.token, error.expected
        at, found, sign = token.start_pos or 0, "", ""
        if token.type == "$END":
            at, found = len(self.text.rstrip()), "the end"
        elif token.type == "_NL":
            found = "the end of the line"
        elif token.type == "_BAR":
            at, found = (token.end_pos or 1) - 1, "`|`"
        else:
            word = token.split(maxsplit=1)[0]
            found, sign = f"`{_short(word)}`", "->" if word.startswith("->") else word[0]
        if "_ARROW" in expected:
            problem = f"expected `->` after the head of a rule, found {found}"
        elif "CHUNK" in expected:
            problem = f"expected `)` at the end of the weight, found {found}"
        elif sign in "\"'" and sign:
            problem = _HINTS[sign]
        elif expected <= {"WORD", "QUOTED", "_NL", "$END"} and self.begins(at):
            problem = f"expected the head of a rule, found {found}"
        elif sign in _HINTS:
            problem = _HINTS[sign]
        else:
            problem = f"expected a symbol, found {found}; {_NOTHING} stands for nothing"
        return self.mistake(problem, at)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


# ----------------------------------------------------------------------- building


def _build(text: _Text) -> dict[str, _Rule]:
    """The rules by their heads, in the order of the text."""
    written = text.read()
    rules: dict[str, _Rule] = {}
    for rule in written:
        if not rule.name:
            raise text.mistake("a rule needs a head with a name", rule.at)
        rules.setdefault(rule.name, _Rule(rule.name, *text.position(rule.at)))
    builder = _Builder(text, rules)
    for rule in written:
        for alternative in rule.alternatives:
            builder.alternative(rules[rule.name], alternative)
    for each in rules.values():
        _check_shares(each)
    return rules


def _check_shares(rule: _Rule) -> None:
    """Refuses alternatives without a weight for which plain weights leave nothing of 1."""
    weights = [each.weight for each in rule.alternatives if each.weight is not None]
    free = [each for each in rule.alternatives if each.weight is None]
    if free and all(weight.constant is not None for weight in weights):
        given = sum(weight.constant or 0.0 for weight in weights)
        if given >= 1 - 1e-9:
            raise _refuse(
                free[0],
                f"the weights of {_short(rule.name)} add up to {given:g}, which leaves nothing "
                "for this alternative; give it a weight too",
            )


class _Builder:
    def __init__(self, text: _Text, rules: dict[str, _Rule]) -> None:
        self.text, self.rules = text, rules
        self.recalls: dict[str, _Recall] = {}
        self.options: dict[str, _Rule] = {}
        self.symbols = 0

    def alternative(self, rule: _Rule, written: _Written) -> None:
        weight = None if written.weight is None else self.weight(written.weight)
        entries: list[_Entry] = []
        for item in written.items:
            if not 1 <= item.repeat <= MAX_REPEAT:
                raise self.text.mistake(f"{_short(item.text)}: {_HINTS['*']}", item.at)
            self.symbols += item.repeat
            if self.symbols > MAX_SYMBOLS:
                raise self.text.mistake(
                    f"at most {MAX_SYMBOLS} symbols, with all repeats written out", item.at
                )
            if item.name:
                entries += [self.entry(item)] * item.repeat
        words = " ".join(item.text for item in written.items)
        _Alternative(rule, weight, tuple(entries), words, *self.text.position(written.at))

    def weight(self, weight: _Weight) -> Expression:
        text = self.text.text[weight.start : weight.stop]
        if "|" in text and "||" not in text:
            raise self.text.mistake(_HINTS["("], weight.start - 1)
        expression = parse_expression(text, "rules", *self.text.position(weight.start))
        constant = expression.constant
        if constant is not None and not 0 <= constant <= MAX_WEIGHT:
            raise self.text.mistake(
                f"a weight is from 0 to {MAX_WEIGHT:.0f}, this one is {constant:g}", weight.start
            )
        return expression

    def entry(self, item: _Item) -> _Entry:
        rule = self.rules.get(item.name)
        entry: _Entry = rule or item.name
        if item.label:
            if rule is None:
                raise self.text.mistake(
                    f"{_short(item.text)} should recall what a rule yields, "
                    f"but no rule has the head {_short(item.name)}",
                    item.at,
                )
            recall = _Recall(item.name + item.label, rule)
            entry = self.recalls.setdefault(recall.label, recall)
            if len(self.recalls) > MAX_LABELS:
                raise self.text.mistake(f"at most {MAX_LABELS} labels", item.at)
        if item.optional:
            option = self.options.get(item.text)
            if option is None:
                place = self.text.position(item.at)
                self.options[item.text] = option = _Rule(item.text, *place)
                _Alternative(option, None, (entry,), item.text[:-1], *place)
                _Alternative(option, None, (), _NOTHING, *place)
            return option
        return entry


# ----------------------------------------------------------------------- checking


def _prepare(heads: Iterable[_Rule], start: _Rule) -> frozenset[str]:
    """Refuses what could hang or never be heard, and makes the choices ready; the terminals.

    Errors: Mistake at the rule. Law: after it, a rule that never ends stands only at the end
    of alternatives, so a derivation has at most max_depth and then the greatest height, which
    is at most the number of rules, calls open at once; and none spins without a chance to
    yield.
    """
    reached, terminals = _reach(start)
    for rule in heads:
        if rule not in reached:
            raise _refuse(rule, f"{_short(rule.name)} is never used: nothing that "
                          f"{_short(start.name)} leads to calls it")  # fmt: skip
    _measure(reached)
    _find_yields(reached)
    for rule in reached:
        if not rule.height and not rule.yields:
            raise _refuse(rule, f"{_short(rule.name)} never yields a symbol and never ends; "
                          "give it an alternative that does not call it first")  # fmt: skip
    for rule in reached:
        for alternative in rule.alternatives:
            _check_order(alternative)
    _check_idle_cycles(reached)
    if not start.yields:
        raise _refuse(start, f"{_short(start.name)} never yields a symbol")
    for rule in reached:
        possible = list(_possible([rule]))
        shortest = [each for each in possible if each.height == rule.height]
        rule.choice = _Choice(possible)
        rule.way_out = _Choice(shortest) if len(shortest) < len(possible) else rule.choice
    return frozenset(terminals)


def _refuse(where: _Rule | _Alternative, problem: str) -> Mistake:
    return Mistake("rules", problem, where.line, where.column)


def _reach(start: _Rule) -> tuple[dict[_Rule, None], set[str]]:
    """The rules and terminals that a start leads to, rules in the order they are met."""
    reached, terminals, waiting = {start: None}, set[str](), [start]
    while waiting:
        for alternative in waiting.pop().alternatives:
            terminals.update(entry for entry in alternative.entries if isinstance(entry, str))
            new = dict.fromkeys(rule for rule in alternative.rules() if rule not in reached)
            reached.update(new)
            waiting.extend(new)
    return reached, terminals


def _possible(rules: Iterable[_Rule]) -> Iterator[_Alternative]:
    """The alternatives that may be chosen; all of a rule's where each weighs 0."""
    for rule in rules:
        yield from [each for each in rule.alternatives if each.possible] or rule.alternatives


def _measure(rules: Iterable[_Rule]) -> None:
    """Sets the heights: breadth first, from the alternatives that call nothing (Knuth 1977)."""
    missing: dict[_Alternative, int] = {}
    callers: defaultdict[_Rule, list[_Alternative]] = defaultdict(list)
    ready: deque[_Alternative] = deque()
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


def _find_yields(rules: Iterable[_Rule]) -> None:
    """Sets `yields`, where a terminal may come before anything that never ends."""
    callers: defaultdict[_Rule, list[_Rule]] = defaultdict(list)
    waiting: list[_Rule] = []
    for alternative in _possible(rules):
        for entry in alternative.entries:
            if isinstance(entry, str):
                waiting.append(alternative.rule)
                break
            called = entry.rule if isinstance(entry, _Recall) else entry
            callers[called].append(alternative.rule)
            if not called.height:
                break
    while waiting:
        rule = waiting.pop()
        if not rule.yields:
            rule.yields = True
            waiting.extend(callers[rule])


def _check_order(alternative: _Alternative) -> None:
    last = len(alternative.entries) - 1
    for index, entry in enumerate(alternative.entries):
        if isinstance(entry, str):
            continue
        rule = entry.rule if isinstance(entry, _Recall) else entry
        if rule.height:
            continue
        if isinstance(entry, _Recall):
            raise _refuse(alternative, f"{_short(entry.label)} can never be recalled, because "
                          f"{_short(rule.name)} never ends")  # fmt: skip
        if index < last:
            raise _refuse(alternative, f"what follows {_short(rule.name)} is never reached, "
                          f"because {_short(rule.name)} never ends; give it an alternative "
                          "that does")  # fmt: skip


def _check_idle_cycles(rules: Iterable[_Rule]) -> None:
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
        raise _refuse(rule, f"{_short(rule.name)} calls itself but can never yield a symbol")


# ------------------------------------------------------------------------ deriving

_Made = _Option | tuple[Symbol, ...]


def _derive(
    grammar: Grammar,
    rng: Random,
    controls: Controls,
    restart: bool,
    trace: list[_Made] | None = None,
) -> Iterator[Symbol]:
    """The symbols of one derivation after another; what was chosen or recalled goes to `trace`."""
    random, make = rng.random, tuple.__new__
    start, max_depth = grammar._start, grammar.max_depth
    calls: list[tuple[Iterator[_Entry | _Learnt], _Rule | _Recall | None, Step]] = []
    known: dict[_Recall, tuple[Symbol, ...] | None] = {}  # None: being learnt, or too long
    learning: list[_Learnt] = []
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
        entries: Iterator[_Entry | _Learnt] = iter(body)
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

            if type(entry) is _Rule:
                rule = entry
            elif type(entry) is _Recall:
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
                    learning.append(_Learnt(entry, len(tape)))
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
            elif step._option.alternative.rule is rule:
                parent = step.parent
            else:
                parent = step if step._depth < _LONG_PATH else _shortened(step)
            break


def _record(symbol: Symbol, tape: list[Symbol], learning: list[_Learnt]) -> None:
    """Too long a tape is given up, with all that was being learnt from it."""
    tape.append(symbol)
    if len(tape) > MAX_REMEMBERED:
        learning.clear()
        tape.clear()


def _recalled(recall: _Recall, caller: Step, origin: Origin) -> Recalled:
    first = origin.first if isinstance(origin, Recalled) else origin
    return Recalled(recall.label, caller, first)


def _shortened(step: Step) -> Step:
    """The same step with only its nearest ancestors."""
    options = [step._option]
    above = step.parent
    while above is not None and len(options) < _SHORT_PATH:
        options.append(above._option)
        above = above.parent
    short = Step(options.pop(), None)
    short._depth = 1  # which tells that this is not the start
    while options:
        short = Step(options.pop(), short)
    return short


# --------------------------------------------------------------------------- trees


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A node of a derivation tree.

    name: a head or a terminal; empty where an alternative is ε.
    rule: the alternative that a head was rewritten to, with its chance; "recalled" where a
    label gave the symbols, "…" where the tree stops short, empty for terminals.
    """

    name: str
    rule: str = ""
    children: list[Node] = field(default_factory=list)

    def leaves(self) -> Iterator[str]:
        """The terminals from left to right."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.name and not node.rule:
                yield node.name
            waiting.extend(reversed(node.children))

    def forms(self) -> Iterator[str]:
        """The leftmost derivation: every sentential form from the start to the terminals."""
        done: list[str] = []
        waiting = [self]
        yield self.name
        while waiting and waiting[-1].rule != "…":
            node = waiting.pop()
            if not node.rule:
                done.append(node.name)
                continue
            waiting.extend(reversed(node.children))
            words = [*done, *(each.name for each in reversed(waiting))]
            yield " ".join(filter(None, words))

    def __str__(self) -> str:
        """One line for each node, indented."""
        lines: list[str] = []
        waiting = [(self, "", "")]
        while waiting:
            node, mark, indent = waiting.pop()
            sign = f" {node.rule}" if node.rule in ("…", "recalled") else ""
            lines.append(f"{mark}{node.name or _NOTHING}{sign}")
            last = len(node.children) - 1
            for index in range(last, -1, -1):
                mark, more = ("├─ ", "│  ") if index < last else ("└─ ", "   ")
                waiting.append((node.children[index], indent + mark, indent + more))
        return "\n".join(lines)


def _grow(start: _Rule, trace: Sequence[_Made], limit: int) -> Node:
    """The tree of a leftmost derivation, which is the list of what was made, in order."""
    root = Node(start.name, "…")
    waiting, size = [root], 1
    for made in trace:
        names = made.alternative.entries if isinstance(made, _Option) else made
        size += len(names) or 1
        if size > limit:
            break
        node = waiting.pop()
        if isinstance(made, _Option):
            node.rule = str(made)
            node.children = [_leaf(entry) for entry in made.alternative.entries] or [Node("")]
        else:
            node.rule = "recalled"
            node.children = [Node(symbol.name) for symbol in made] or [Node("")]
        waiting.extend(child for child in reversed(node.children) if child.rule)
    return root


def _leaf(entry: _Entry) -> Node:
    if isinstance(entry, str):
        return Node(entry)
    return Node(entry.name if isinstance(entry, _Rule) else entry.label, "…")


# ------------------------------------------------------------------------- the engine


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
    _start: _Rule = field(init=False, repr=False, compare=False)
    _alphabet: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.after not in ("restart", "stop"):
            raise Mistake("after", f"expected restart or stop, found {self.after!r}")
        if type(self.max_depth) is not int or not 1 <= self.max_depth <= MAX_DEPTH:
            raise Mistake(
                "max_depth",
                f"expected a whole number from 1 to {MAX_DEPTH}, found {self.max_depth!r}",
            )
        heads = _build(_Text(self.rules))
        start = heads.get(self.start) if self.start else next(iter(heads.values()))
        if start is None:
            some = ", ".join(_short(head) for head in islice(heads, 8))
            raise Mistake("start", f"no rule has the head {self.start!r}; there are {some}")
        object.__setattr__(self, "_start", start)
        object.__setattr__(self, "_alphabet", _prepare(heads.values(), start))

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """A fresh stream; THINKING where 10 000 rules were rewritten without a symbol."""
        return _derive(self, rng, controls, self.after == "restart")

    def alphabet(self) -> frozenset[str]:
        """Every terminal that the start leads to."""
        return self._alphabet

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """The alternatives along the derivation, each with half the share of the one below."""
        origin = origin.first if isinstance(origin, Recalled) else origin
        step, share = origin if isinstance(origin, Step) else None, 1.0
        while step is not None and share >= LEAST_SHARE:
            alternative = step._option.alternative
            if len(alternative.rule.alternatives) > 1:
                yield Lesson(alternative.rule.name, alternative.text, share)
                share /= 2
            step = step.parent

    def reads(self) -> Iterator[Use]:
        """The live values in the weights of what the start leads to."""
        for rule in _reach(self._start)[0]:
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
        trace: list[_Made] = []
        for symbol in _derive(self, rng, controls, False, trace):
            if len(trace) >= limit:
                break
            pulled(symbol)
        return _grow(self._start, trace, limit)
