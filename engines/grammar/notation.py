"""How grammars are written, and what is wrong where one is written wrongly."""

from __future__ import annotations

from functools import cache
from itertools import islice
from re import compile as pattern
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from engines.base import Mistake
from engines.writing import Writing

if TYPE_CHECKING:
    from lark import Lark, Token
    from lark.exceptions import UnexpectedInput

#: What a grammar may hold: characters, words and signs, and repeats of a symbol.
MAX_TEXT, MAX_TOKENS, MAX_REPEAT = 1 << 20, 30_000, 1024

NOTHING = "ε"

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

HINTS = {
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


class Item(NamedTuple):
    """A symbol with its signs; positions are offsets in the text, here and below."""

    text: str
    name: str
    label: str
    repeat: int
    optional: bool
    at: int


class Weight(NamedTuple):
    start: int
    stop: int


class Written(NamedTuple):
    """An alternative as it was read."""

    weight: Weight | None
    items: list[Item]
    at: int


class WrittenRule(NamedTuple):
    name: str
    alternatives: list[Written]
    at: int


class _Reader:
    """What lark calls for each piece of syntax it has recognised, innermost first."""

    def start(self, rules: list[WrittenRule]) -> list[WrittenRule]:
        return rules

    def rule(self, parts: list[Any]) -> WrittenRule:
        return WrittenRule(_name(parts[0]), parts[1:], parts[0].start_pos)

    def alternative(self, parts: list[Any]) -> Written:
        if isinstance(parts[0], Weight):
            return Written(parts[0], parts[1:], parts[0].start - 1)
        return Written(None, parts, parts[0].at)

    def weight(self, parts: list[Token]) -> Weight:
        return Weight(cast(int, parts[0].end_pos), cast(int, parts[-1].start_pos))

    def item(self, parts: list[Token]) -> Item:
        signs = {part.type: str(part) for part in parts[1:]}
        digits = signs.get("REPEAT", "*1")[1:].lstrip("0")
        return Item(
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
    return "" if token == NOTHING else str(token)


@cache
def _parser() -> Lark:
    from lark import Lark  # here, because importing it takes longer than all of this file

    return Lark(_SYNTAX, parser="lalr", transformer=cast(Any, _Reader()))


class Text(Writing):
    """The text of a grammar."""

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise Mistake("rules", f"expected text, found {type(text).__name__}")
        super().__init__("rules", text, MAX_TEXT)

    def begins(self, at: int) -> bool:
        """Whether a line begins here."""
        return not self.text[at - self.position(at)[1] + 1 : at].strip()

    def read(self) -> list[WrittenRule]:
        """The rules as they are written. Errors: Mistake where the text cannot be read."""
        from lark.exceptions import UnexpectedInput

        tokens = (each for each in _TOKEN.finditer(self.text) if each[0][0] != "#")
        beyond = next(islice(tokens, MAX_TOKENS, None), None)
        if beyond is not None:
            raise self.mistake(f"at most {MAX_TOKENS} words and signs", beyond.start())
        try:
            return cast("list[WrittenRule]", _parser().parse(self.text))
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
            found, sign = f"`{short(word)}`", "->" if word.startswith("->") else word[0]
        if "_ARROW" in expected:
            problem = f"expected `->` after the head of a rule, found {found}"
        elif "CHUNK" in expected:
            problem = f"expected `)` at the end of the weight, found {found}"
        elif sign in "\"'" and sign:
            problem = HINTS[sign]
        elif expected <= {"WORD", "QUOTED", "_NL", "$END"} and self.begins(at):
            problem = f"expected the head of a rule, found {found}"
        elif sign in HINTS:
            problem = HINTS[sign]
        else:
            problem = f"expected a symbol, found {found}; {NOTHING} stands for nothing"
        return self.mistake(problem, at)


def short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
