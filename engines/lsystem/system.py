"""A system, compiled: axiom and rules checked against one another and ready to derive."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from engines.base import Mistake, Use
from engines.expression import Expression
from engines.turtle import CLOSE, OPEN

from .notation import EMPTY, Group, Part, Shape, Text, WrittenModule, WrittenRule, ignored
from .rules import Kind, Production, Rule, Template

#: Symbols of successors that all rules together keep, so as not to compute the same ones again.
MAX_KNOWN = 1 << 12
#: Longest context on one side, in symbols.
MAX_CONTEXT = 32
#: Brackets in brackets, in one successor or axiom.
MAX_NESTING = 16
#: Symbols a stage makes at a time where no live control takes part.
BATCH = 64


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
        self._text = Text("rules", rules)
        written = self._text.rules()
        self.brackets = brackets
        self.contextual = any(rule.left or rule.right for rule in written)
        self.ignored = frozenset(ignored(ignore)) | {OPEN, CLOSE}
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
        text = Text("axiom", axiom)
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

    def _add(self, head: WrittenRule, room: int) -> None:
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

    def _check_reach(self, written: Sequence[WrittenRule]) -> None:
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

    def _unreached(self, one: WrittenModule, found: set[Shape]) -> Mistake:
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

    def _check_context(self, side: Sequence[WrittenModule], *, right: bool) -> None:
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

    def _weight(self, group: Group) -> Expression:
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
        text: Text,
        rule: Rule,
        weight: Expression | None,
        modules: Sequence[WrittenModule],
        head: str = "",
    ) -> Production:
        """An alternative, compiled; places beyond the parameters are those of its formulas."""
        templates: list[Template] = []
        formulas: dict[str, tuple[int, Expression]] = {}
        opened: list[WrittenModule] = []
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


def _parameters(count: int) -> str:
    return f"{count or 'no'} parameter{'s' * (count != 1)}"
