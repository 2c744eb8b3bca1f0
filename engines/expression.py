"""Arithmetic that is safe to take from a file: live weights, guards and arguments of rules.

    1 - arousal        bar % 8 == 0        clamp(2 * energy, 0.1, 1)        x > 1 and not y

A text becomes nested closures once and is then called with values; nothing is ever handed
to Python's own evaluation.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engines.base import Mistake, Use

#: Longest text, and most operators, parentheses and function calls in one expression.
MAX_LENGTH = 1000
MAX_OPERATIONS = 100

_Run = Callable[[Mapping[str, float]], float]


def _both(left: _Run, right: _Run) -> _Run:
    return lambda values: 1.0 if left(values) and right(values) else 0.0


def _either(left: _Run, right: _Run) -> _Run:
    return lambda values: 1.0 if left(values) or right(values) else 0.0


def _arithmetic(apply: Callable[[float, float], float]) -> Callable[[_Run, _Run], _Run]:
    return lambda left, right: lambda values: apply(left(values), right(values))


def _comparison(holds: Callable[[float, float], bool]) -> Callable[[_Run, _Run], _Run]:
    return lambda left, right: lambda values: 1.0 if holds(left(values), right(values)) else 0.0


# Loosest first; `not` binds between `and` and the comparisons, minus between * and ^.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _POWER = range(8)

_BINARY: dict[str, tuple[int, Callable[[_Run, _Run], _Run]]] = {
    "or": (_OR, _either),
    "||": (_OR, _either),
    "and": (_AND, _both),
    "&&": (_AND, _both),
    "<": (_COMPARE, _comparison(operator.lt)),
    "<=": (_COMPARE, _comparison(operator.le)),
    ">": (_COMPARE, _comparison(operator.gt)),
    ">=": (_COMPARE, _comparison(operator.ge)),
    "=": (_COMPARE, _comparison(operator.eq)),
    "==": (_COMPARE, _comparison(operator.eq)),
    "!=": (_COMPARE, _comparison(operator.ne)),
    "+": (_SUM, _arithmetic(operator.add)),
    "-": (_SUM, _arithmetic(operator.sub)),
    "*": (_PRODUCT, _arithmetic(operator.mul)),
    "/": (_PRODUCT, _arithmetic(operator.truediv)),
    "%": (_PRODUCT, _arithmetic(operator.mod)),
    "^": (_POWER, _arithmetic(math.pow)),
}

#: name -> (fewest and most arguments, the function)
_FUNCTIONS: dict[str, tuple[int, int, Callable[..., float]]] = {
    "min": (2, MAX_OPERATIONS, min),
    "max": (2, MAX_OPERATIONS, max),
    "abs": (1, 1, abs),
    "floor": (1, 1, math.floor),
    "ceil": (1, 1, math.ceil),
    "round": (1, 1, lambda x: math.floor(x + 0.5)),
    "sqrt": (1, 1, math.sqrt),
    "clamp": (3, 3, lambda x, low, high: min(max(x, low), high)),
}

_WORDS = frozenset(("and", "or", "not"))

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[^\W\d]\w*)"
    r"|(?P<sign>\|\||&&|[<>=!]=|[-+*/%^<>=!(),]))",
)


@dataclass(frozen=True, slots=True)
class Expression:
    """A number that may depend on live values.

    text: as it was written.  names: the values it reads.  reads: where each is read first.
    constant: its value where it reads none, else None.
    Law: calling it gives a finite float, whatever the values; the same for the same values.
    """

    text: str
    names: frozenset[str]
    constant: float | None
    reads: tuple[Use, ...]
    _run: _Run

    def __call__(self, values: Mapping[str, float]) -> float:
        """The value now; a missing name counts 0, and so does a result that is no number."""
        return _finite(self._run, values)

    def __str__(self) -> str:
        return self.text


def parse_expression(text: str, place: str, line: int = 0, column: int = 0) -> Expression:
    """The expression that `text` writes.

    Operators, loosest first: or ||, and &&, not !, < <= > >= = == !=, + -, * / %, unary -,
    ^ (power, from the right). `%` has the sign of its right side, so `bar % 8` counts 0 to 7
    for any bar. Functions: min max abs floor ceil round (halves up) sqrt clamp(x, low, high).
    Truth is 1 and 0; anything but 0 is true.
    column: of the text's first character, so that a mistake is found in the whole line.
    Errors: Mistake at the column that cannot be read.
    """
    return _Parser(text, place, line, max(column, 1)).expression()


def _finite(run: _Run, values: Mapping[str, float]) -> float:
    try:
        result = run(values)
    except (ArithmeticError, ValueError):
        return 0.0
    return result if math.isfinite(result) else 0.0


class _Parser:
    """Precedence climbing (Richards & Whitby-Strevens, 1979) over a list of tokens."""

    def __init__(self, text: str, place: str, line: int, column: int) -> None:
        self.text, self.place, self.line, self.column = text, place, line, column
        self.reads: dict[str, Use] = {}
        self.operations = 0
        self.next = 0
        self.tokens: list[tuple[str, str, int]] = []
        if len(text) > MAX_LENGTH:
            raise self.mistake(
                f"an expression has at most {MAX_LENGTH} characters, this one {len(text)}",
                MAX_LENGTH,
            )
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise self.mistake(
                    f"{text[at]!r} means nothing in an expression: use numbers, names, "
                    "+ - * / % ^, comparisons, and, or, not, and parentheses",
                    at,
                )
            kind = match.lastgroup or ""
            token = match[kind]
            self.tokens.append(("sign" if token in _WORDS else kind, token, match.start(kind)))
            at = match.end()
        self.tokens.append(("end", "", end))

    def mistake(self, problem: str, at: int) -> Mistake:
        return Mistake(self.place, problem, self.line, self.column + at)

    def expression(self) -> Expression:
        run = self.binary(_OR)
        kind, token, at = self.tokens[self.next]
        if kind != "end":
            raise self.mistake(f"expected an operator or the end, found {token!r}", at)
        constant = None if self.reads else _finite(run, {})
        names, reads = frozenset(self.reads), tuple(self.reads.values())
        return Expression(self.text.strip(), names, constant, reads, run)

    def count(self, at: int) -> None:
        """Bounds how deep closures nest, and with them the stack of parsing and calling."""
        self.operations += 1
        if self.operations > MAX_OPERATIONS:
            raise self.mistake(
                f"too much in one expression: at most {MAX_OPERATIONS} operators, functions "
                "and parentheses",
                at,
            )

    def binary(self, loosest: int) -> _Run:
        left = self.operand(loosest)
        compared = False
        while True:
            kind, token, at = self.tokens[self.next]
            if kind != "sign" or token not in _BINARY:
                return left
            strength, combine = _BINARY[token]
            if strength < loosest:
                return left
            if strength == _COMPARE:
                if compared:
                    raise self.mistake(
                        f"two comparisons in a row: write `and` between them, "
                        f"as in `1 < x and x < 3`, before this {token!r}",
                        at,
                    )
                compared = True
            self.count(at)
            self.next += 1
            # A power takes its right side first, so 2 ^ 3 ^ 2 is 2 ^ 9 and 2 ^ -1 is a half.
            right = self.binary(_SIGN if strength == _POWER else strength + 1)
            left = combine(left, right)

    def operand(self, loosest: int) -> _Run:
        kind, token, at = self.tokens[self.next]
        self.next += 1
        if kind == "number":
            number = float(token)
            return lambda values: number
        if kind == "name":
            if self.tokens[self.next][1] == "(":
                return self.function(token, at)
            column = self.column + at if self.line else 0
            self.reads.setdefault(token, Use(token, self.place, self.line, column))
            return lambda values: float(values.get(token, 0.0))
        if kind == "sign" and token in ("-", "+"):
            self.count(at)
            signed = self.binary(max(loosest, _SIGN))
            return signed if token == "+" else lambda values: -signed(values)
        if kind == "sign" and token in ("not", "!"):
            self.count(at)
            denied = self.binary(max(loosest, _NOT))
            return lambda values: 0.0 if denied(values) else 1.0
        if token == "(":
            self.count(at)
            inner = self.binary(_OR)
            self.close(at)
            return inner
        found = repr(token) if token else "the end"
        raise self.mistake(f"expected a number, a name or `(`, found {found}", at)

    def function(self, name: str, at: int) -> _Run:
        if name not in _FUNCTIONS:
            known = ", ".join(sorted(_FUNCTIONS))
            raise self.mistake(f"there is no function {name!r}; there are {known}", at)
        self.count(at)
        fewest, most, apply = _FUNCTIONS[name]
        opened = self.tokens[self.next][2]
        self.next += 1
        arguments: list[_Run] = []
        if self.tokens[self.next][1] != ")":
            arguments.append(self.binary(_OR))
            while self.tokens[self.next][1] == ",":
                self.next += 1
                arguments.append(self.binary(_OR))
        self.close(opened)
        if not fewest <= len(arguments) <= most:
            need = str(fewest) if fewest == most else f"{fewest} or more"
            raise self.mistake(f"{name} takes {need} values, not {len(arguments)}", at)
        if len(arguments) == 1:
            only = arguments[0]
            return lambda values: float(apply(only(values)))
        fixed = tuple(arguments)
        return lambda values: float(apply(*[argument(values) for argument in fixed]))

    def close(self, opened: int) -> None:
        kind, token, at = self.tokens[self.next]
        if token != ")":
            found = repr(token) if kind != "end" else "the end"
            where = self.column + opened
            raise self.mistake(f"expected `)` for the `(` of column {where}, found {found}", at)
        self.next += 1
