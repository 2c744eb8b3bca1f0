"""TOML being read: checked values, and every mistake at its line, in the order of the text.

Values may come from several texts, laid over each other; a mistake is told of the one that has it.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence, Set
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from engines.base import Mistake, meant

MOST_MISTAKES = 100  # that are looked for in one text
LONGEST = 600  # characters that are told of one mistake
#: What parts, stingers and outputs may be called.
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _.-]{0,63}\Z")

T = TypeVar("T")
Place = tuple[str, str, str]  # such as ("parts", "melody", "rules")


class Text(NamedTuple):
    """A text that values come from.

    name: what its mistakes are told to be in; "" for nothing.  below: the place in what is read
    under which its own places lie.  exact: whether its strings are read letter by letter as they
    stand; else mistakes in them have a line and no column.
    """

    name: str
    text: str
    below: str = ""
    exact: bool = True


class Elsewhere(Mistake):
    """A mistake in another file, which its place begins with; its line is that file's."""


def parse(text: str) -> dict[str, Any]:
    """The values of a text. Errors: Mistake, with a line where it is no TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _toml_mistake(str(error), text) from None
    except ValueError:  # of Python's own, which reads no longer ones
        raise Mistake("", "a number has too many digits") from None
    except RecursionError:
        raise Mistake("", "nested too deeply") from None


def read(
    text: str,
    make: Callable[[Table], T],
    name: str = "",
    instead: Mapping[Place, str] = MappingProxyType({}),
) -> T:
    """What `make` reads out of the whole table that a text writes. name: the file's, if any.

    instead: texts that `make` lays over those of the file, by their places.
    Errors: Mistakes, up to 100 of them; lines and columns are those of the whole text, of the
    other text that has the mistake, or of the text that stands instead.
    """
    try:
        values = parse(text)
    except Mistake as mistake:
        raise Mistakes([in_file(name, mistake)]) from None
    wrong: list[Mistake] = []
    texts = [Text(name, text)]
    try:
        made = make(Table(values, "", wrong, texts))
    except Mistake as mistake:  # enough of them
        wrong.append(mistake)
    if wrong:
        raise Mistakes(_told(wrong, texts, {".".join(place) for place in instead}))
    return made


def in_file(name: str, mistake: Mistake) -> Mistake:
    """The mistake, its place beginning with the file's name."""
    if not name:
        return mistake
    place = f"{name}: {mistake.place}" if mistake.place else name
    return Elsewhere(place, mistake.problem, mistake.line, mistake.column)


def at_line(mistake: Mistake, text: str) -> Mistake:
    """The mistake, with the line of the text at which its place stands."""
    return Layout(text).found(mistake)[1]


def _told(wrong: Sequence[Mistake], texts: Sequence[Text], own: Set[str]) -> list[Mistake]:
    """Each in the text that says most about its place: one after another, in their orders.

    own: places whose lines are those of a text of their own; these come first.
    """
    layouts = [Layout(each.text) for each in texts]

    def told(mistake: Mistake) -> tuple[tuple[int, int], Mistake]:
        if mistake.place in own:
            return (-1, mistake.line), mistake
        if isinstance(mistake, Elsewhere):
            return (len(texts), 0), mistake
        known = [
            _known(mistake.place, each.below, layout)
            for each, layout in zip(texts, layouts, strict=True)
        ]
        number = known.index(max(known))
        name, _, below, exact = texts[number]
        inner = mistake.place.removeprefix(below).removeprefix(".") if below else mistake.place
        column = mistake.column if exact else 0
        start, found = layouts[number].found(Mistake(inner, mistake.problem, mistake.line, column))
        return (number, start), in_file(name, found)

    return [mistake for _, mistake in sorted(map(told, wrong), key=lambda pair: pair[0])]


def _known(place: str, below: str, layout: Layout) -> int:
    """How much of a place a text has, in characters; -1 for nothing.

    What no text has is missing from the one that gives its table most, which is the lowest.
    """
    if not below:
        return len(layout.nearest(place))
    if not place.startswith(f"{below}."):
        return -1
    return len(below) + 1 + len(layout.nearest(place[len(below) + 1 :]))


class Mistakes(Mistake):
    """All that is wrong with a text, in its order; taken as one, it is the first."""

    def __init__(self, each: Sequence[Mistake]) -> None:
        first, more = each[0], len(each) - 1
        tail = f" (and {more} more {'mistakes' if more > 1 else 'mistake'})" if more else ""
        super().__init__(first.place, first.problem + tail, first.line, first.column)
        self.each = tuple(each)


class Table:
    """A TOML table being read: hands out checked values and, at the end, names what is left.

    wrong: where mistakes are noted, so that reading goes on, with the value that stands in.
    texts: where the values come from.
    """

    def __init__(
        self, values: dict[str, Any], place: str, wrong: list[Mistake], texts: list[Text]
    ) -> None:
        self.values = dict(values)
        self.place, self.wrong, self.texts = place, wrong, texts
        self._asked: list[str] = []

    def at(self, key: str) -> str:
        shown = key if key and key.isprintable() else json.dumps(key)
        return f"{self.place}.{shown}" if self.place else shown

    def note(self, mistake: Mistake) -> None:
        """Keep a mistake for later; raise it where there are so many that it is time to stop."""
        if len(mistake.problem) > LONGEST:
            problem = f"{mistake.problem[:LONGEST]}…"
            mistake = type(mistake)(mistake.place, problem, mistake.line, mistake.column)
        if len(self.wrong) >= MOST_MISTAKES - 1:
            raise mistake
        self.wrong.append(mistake)

    def amiss(self, key: str, problem: str, instead: T) -> T:
        """Note what is wrong with a key's value, and give one to go on with."""
        self.note(Mistake(self.at(key), problem))
        return instead

    def take(self, key: str, default: Any = None) -> Any:
        self._asked.append(key)
        return self.values.pop(key, default)

    def text(self, key: str, default: str = "") -> str:
        value = self.take(key, default)
        if not isinstance(value, str):
            return self.amiss(key, f"expected text in quotes, got {shown(value)}", default)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            return self.amiss(key, f"expected true or false, got {shown(value)}", default)
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = self.take(key, default)
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not low <= value <= high:
            wanted = f"expected a number from {low:g} to {high:g}"
            return self.amiss(key, f"{wanted}, got {shown(value)}", default)
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            wanted = f"expected a whole number from {low} to {high}"
            return self.amiss(key, f"{wanted}, got {shown(value)}", default)
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in choices:
            listed = ", ".join(repr(choice) for choice in choices if choice)
            near = meant(value, choices).strip()
            problem = f"expected one of {listed}, got {shown(value)}{near and f'; {near}'}"
            return self.amiss(key, problem, default)
        return value

    def names(self, key: str, whose: str, default: Sequence[str]) -> tuple[str, ...]:
        """One name, or several in a list, each once."""
        value = self.take(key, list(default))
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            wanted = f"expected {whose} name or several"
            return self.amiss(key, f"{wanted}, got {shown(value)}", tuple(default))
        return tuple(dict.fromkeys(names))

    def parsed(self, key: str, parse: Callable[[Any], T], default: T) -> T:
        """A value through one of the music parsers, its mistakes placed here."""
        value = self.take(key)
        if value is None:
            return default
        try:
            return parse(value)
        except Mistake as mistake:
            self.note(mistake.within(self.at(key)))
            return default
        except (TypeError, AttributeError):
            return self.amiss(key, f"expected text in quotes, got {shown(value)}", default)

    def table(self, key: str) -> Table | None:
        """The table of this name, empty where there is none; None where it is something else."""
        value = self.take(key, {})
        if not isinstance(value, dict):
            return self.amiss(key, f"expected a table, got {shown(value)}", None)
        return Table(value, self.at(key), self.wrong, self.texts)

    def end(self) -> None:
        """Nothing may be left over: a misspelt key is a mistake, not a silence."""
        for key in self.values:
            hint = meant(key, self._asked) or f"known: {', '.join(self._asked)}"
            self.amiss(key, f"nothing has this name here; {hint.strip()}", None)


def shown(value: Any) -> str:
    """A value as it may have been written, cut short."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, str, float)):
        text = repr(value)
    elif isinstance(value, int):
        text = repr(value) if abs(value) < 10**60 else "a number of more than 60 digits"
    else:
        text = str(value)  # a date or a time
    return text if len(text) <= 80 else f"{text[:79]}…"


#: What tomllib says, and what helps more.
_TOML = {
    "Cannot overwrite a value": "this key is there already; write it once",
    "Invalid value": 'expected text in "quotes", a number, true, false, [a list] or {a table}',
    "Invalid statement": "expected  key = value  or a [table]",
    "Unterminated string": "the quotes of a text are not closed",
}


def _toml_mistake(message: str, text: str) -> Mistake:
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    problem = re.sub(r"\s*\(at .*\)$", "", message)
    if twice := re.fullmatch(r"Cannot declare \((.+)\) twice", problem):
        table = ".".join(re.findall(r"'([^']*)'", twice[1]))
        problem = f"[{table}] is there already; write it once"
    for said, plainly in _TOML.items():
        problem = problem.replace(said, plainly)
    if found:
        return Mistake("", f"{problem} (TOML)", int(found[1]), int(found[2]))
    return Mistake("", f"{problem} (TOML)", len(text.splitlines()))


def plainly(error: Exception) -> str:
    """What a person can do something about, without the system's own words where it has any."""
    if isinstance(error, OSError):
        return error.strerror or "the system refuses"
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"it is not UTF-8 text, from line {line} on; save it as UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_KEYS = re.compile(rf"(?:{_KEY.pattern})(?:[ \t]*\.[ \t]*(?:{_KEY.pattern}))*")
_OPENING, _CLOSING = re.compile(r"\[\[?[ \t]*"), re.compile(r"[ \t]*\]\]?")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_BLANKS = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_STRING = re.compile(
    r"""  "{3} [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* "{3,5}
        | '{3} [^']* (?: '(?!'') [^']* )* '{3,5}
        | " (?: [^"\\\n] | \\. )* "
        | ' [^'\n]* '  """,
    re.VERBOSE | re.DOTALL,
)
_PLAIN = re.compile(r"[^][{},#\n]+")  # numbers, dates, true and false
#: What makes one character of a basic string, or (group 1) none, where its line goes on.
_CHARACTER = re.compile(r"(\\[ \t]*\n[ \t\n]*)|\\u.{4}|\\U.{8}|\\x..|\\.|.", re.DOTALL)
#: What a problem says about other places in the same text, but for what it quotes.
_SPOKEN = re.compile(r"(?<!['\"`])\b(line|column) (\d{1,9})\b")


class Layout:
    """Where in a scene's text its values stand.

    Law: what it does not understand of a text that tomllib has read stays without a position.
    """

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # as tomllib does
        self._starts = {"": len(text)}  # of tables and values, by their places
        self._at, before, table = 0, -1, ""
        self._eat(_BLANKS)
        while before < self._at < len(self._text):
            before = self._at
            if self._eat(_OPENING):
                table = self._name("")
                self._starts.setdefault(table, before)
                self._eat(_CLOSING)
            else:
                self._pair(table)
            self._eat(_BLANKS)

    def nearest(self, place: str) -> str:
        """The longest beginning of a place that stands in the text; "" for the whole of it."""
        while place not in self._starts:
            place = place.rpartition(".")[0]
        return place

    def _eat(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match[0] if match else ""

    def _name(self, table: str) -> str:
        """The place that a key names in a table."""
        keys = _KEY.findall(self._eat(_KEYS))
        names = [_value(key) if key[0] in "\"'" else key for key in keys]
        return ".".join([table, *names] if table else names)

    def _named(self, table: str) -> str:
        """The same, and on to its value."""
        place = self._name(table)
        self._eat(_EQUALS)
        self._starts.setdefault(place, self._at)
        return place

    def _pair(self, table: str) -> None:
        """A key and its value, with all that stands in it."""
        place = self._named(table)
        around: list[str | None] = []  # places of the tables that we are in; None for arrays
        while True:
            sign = self._text[self._at : self._at + 1]
            if sign in ("[", "{"):
                around.append(place if sign == "{" else None)
                self._at += 1
            elif sign in ("]", "}", ",") and around:
                del around[len(around) - (sign != ",") :]
                self._at += 1
            elif not (self._eat(_STRING) or self._eat(_PLAIN)):
                return
            if not around:
                return
            self._eat(_BLANKS)
            inner = around[-1]
            if inner is not None and self._text[self._at : self._at + 1] not in (",", "}"):
                place = self._named(inner)

    def found(self, mistake: Mistake) -> tuple[int, Mistake]:
        """Where it stands, and the mistake as one of the whole text."""
        place = self.nearest(mistake.place)
        start = self._starts[place]
        if not mistake.line or place != mistake.place:
            line = self._text.count("\n", 0, start) + 1 if place else 0
            return start, Mistake(
                mistake.place, mistake.problem, mistake.line or line, mistake.column
            )
        value, offsets = self._offsets(start)
        lines = [0, *(end.end() for end in re.finditer("\n", value))]

        def moved(line: int, column: int) -> tuple[int, int] | None:
            if not value or line > len(lines):
                return None
            offset = offsets[min(lines[line - 1] + max(column, 1) - 1, len(value))]
            begin = self._text.rfind("\n", 0, offset) + 1
            return self._text.count("\n", 0, offset) + 1, offset - begin + 1

        def spoken(match: re.Match[str]) -> str:
            word, number = match[1], int(match[2])
            there = moved(number, 0) if word == "line" else moved(mistake.line, number)
            return match[0] if there is None else f"{word} {there[word == 'column']}"

        there = moved(mistake.line, mistake.column)
        if there is None:
            return start, mistake
        line, column = there
        problem = _SPOKEN.sub(spoken, mistake.problem)
        return start, Mistake(place, problem, line, column if mistake.column else 0)

    def _offsets(self, start: int) -> tuple[str, list[int]]:
        """The string that stands there, and where each of its characters and its end are."""
        match = _STRING.match(self._text, start)
        if match is None:
            return "", []
        value = _value(match[0])
        quotes = 3 if match[0].startswith(('"""', "'''")) else 1
        at, end = start + quotes, match.end() - quotes
        if quotes == 3 and self._text[at] == "\n":
            at += 1
        offsets = list(range(at, end))
        if match[0][0] == '"':
            found = _CHARACTER.finditer(self._text, at, end)
            offsets = [each.start() for each in found if each[1] is None]
        return (value, [*offsets, end]) if len(offsets) == len(value) else ("", [])


def _value(string: str) -> str:
    """What a string of TOML holds."""
    value: str = tomllib.loads(f"value = {string}")["value"]
    return value
