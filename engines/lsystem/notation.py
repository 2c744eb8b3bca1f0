"""How L-systems are written, and what is wrong where one is written wrongly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engines.base import Mistake
from engines.expression import Expression, parse_expression
from engines.writing import Writing

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput

#: Longest text, in characters and in words and signs.
MAX_TEXT, MAX_TOKENS = 1 << 17, 30_000

#: How a rule may write that nothing is left; so may an empty right side.
EMPTY = "ε"
#: Name and number of parameters.
Shape = tuple[str, int]

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


class Group(NamedTuple):
    parts: tuple[Part, ...]
    end: int


class WrittenModule(NamedTuple):
    name: str
    parts: tuple[Part, ...]
    at: int
    end: int

    @property
    def shape(self) -> Shape:
        return self.name, len(self.parts)


class WrittenAlternative(NamedTuple):
    weight: Group | None
    modules: list[WrittenModule]


class WrittenRule(NamedTuple):
    left: list[WrittenModule]
    strict: list[WrittenModule]
    right: list[WrittenModule]
    guard: Part | None
    alternatives: list[WrittenAlternative]
    at: int
    end: int


class _Reader:
    """What lark calls for each piece of syntax it has recognised, innermost first."""

    def rules(self, rules: list[WrittenRule]) -> list[WrittenRule]:
        return rules

    def rule(self, parts: list[Any]) -> WrittenRule:
        first, second, right, guard, arrow, *alternatives = parts
        left, strict = ([], first) if second is None else (first, second)
        guarded = None if guard is None else (guard.start_pos, guard.end_pos)
        at, end = parts[0][0].at, arrow.start_pos
        return WrittenRule(left, strict, right or [], guarded, alternatives, at, end)

    def alternative(self, parts: list[Any]) -> WrittenAlternative:
        weight, modules = parts
        return WrittenAlternative(weight, _kept(modules))

    def axiom(self, parts: list[Any]) -> list[WrittenModule]:
        return _kept(parts[0])

    def word(self, parts: list[list[WrittenModule]]) -> list[WrittenModule]:
        return [module for part in parts for module in part]

    def module(self, parts: list[Any]) -> list[WrittenModule]:
        """A run of letters is as many symbols; a group of parameters belongs to the last."""
        token, group = parts[0], parts[1] if len(parts) > 1 else None
        start, end = token.start_pos, token.end_pos
        if token.type == "QUOTED":
            modules = [WrittenModule(str(token[1:-1]), (), start, end)]
        else:
            modules = [
                WrittenModule(letter, (), at, at + 1) for at, letter in enumerate(token, start)
            ]
        if group is not None:
            modules[-1] = modules[-1]._replace(parts=group.parts, end=group.end)
        return modules

    def group(self, parts: list[Token | None]) -> Group:
        """Where the expressions are that the commas part; none in empty parentheses."""
        marks = [part for part in parts if part is not None and part.type != "TEXT"]
        places = [cast(int, mark.end_pos) for mark in marks[:-1]]
        ends = [cast(int, mark.start_pos) for mark in marks[1:]]
        empty = len(parts) == 2
        return Group(() if empty else tuple(zip(places, ends, strict=True)), ends[-1] + 1)

    def nested(self, parts: list[Token | None]) -> None:
        """Parentheses within an expression: no commas to be found there."""


def _kept(modules: list[WrittenModule] | None) -> list[WrittenModule]:
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


class Text(Writing):
    """What a field says."""

    def __init__(self, place: str, text: str) -> None:
        super().__init__(place, text, MAX_TEXT)

    def rules(self) -> list[WrittenRule]:
        return cast("list[WrittenRule]", self._parse("rules"))

    def axiom(self) -> list[WrittenModule]:
        return cast("list[WrittenModule]", self._parse("axiom"))

    def slice(self, start: int, end: int) -> str:
        """The text between two offsets, without the white space around it."""
        return self.text[start:end].strip()

    def words(self, modules: Sequence[WrittenModule], most: int = 40) -> str:
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


def ignored(ignore: object) -> Iterable[str]:
    """The names in the field `ignore`: a text of symbols, or a list of names."""
    if isinstance(ignore, str):
        return [module.name for module in Text("ignore", ignore).axiom()]
    if isinstance(ignore, (list, tuple)) and all(isinstance(name, str) for name in ignore):
        return ignore
    raise Mistake("ignore", f'expected symbols such as "+-F" or ["turn"], found {ignore!r}')
