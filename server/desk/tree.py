"""What can be controlled: nodes with typed, ranged, documented arguments, by address.

A transport hands over raw values; a node answers with the values its command wants, every
number finite and within its range, or with a `Mistake` that says what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Literal, NamedTuple

from engines.base import Mistake, listed, meant
from server.concert.changes import Receipt

from .pattern import segments

LONGEST_RULES = 32 << 10  # characters of a part's rules
LONGEST = 500  # characters of the reason in a receipt, or of an answer
MOST_MEANT = 64  # controls that one pattern may mean
MOST_PATTERNS = 64  # whose controls are remembered

Value = bool | int | float | str
Role = Literal["view", "control", "edit"]
Told = Callable[[Receipt], None]
ROLES: tuple[Role, ...] = ("view", "control", "edit")

_KINDS = {"f": "a number", "i": "a whole number", "T": "1 or 0, on or off", "s": "text"}


def shown(value: object) -> str:
    """A value as people may read it: one line, short, whatever came in."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):  # a bool too
        return str(value) if abs(value) < 2**64 else "a huge number"
    return f"a {type(value).__name__}"


@dataclass(frozen=True)
class Argument:
    """One argument of a command.

    type: "f" number, "i" whole number, "T" on or off, "s" text; as OSC type tags.
    low, high: the range numbers are clamped to, or must be in where they are not clamped: where the
    nearest number has nothing of the one that was asked for.
    default: makes the argument optional.
    check: raises Mistake where a text is not one of those that are meant.
    choices: the texts that may be meant now, where they can be counted; only to be shown.
    longest: characters of a text.
    fader: the part of the range that a knob or a fader spans, where nothing could be aimed at in
    the whole of it.
    """

    name: str
    type: Literal["f", "i", "T", "s"]
    about: str = ""
    low: float = -inf
    high: float = inf
    unit: str = ""
    default: Value | None = None
    check: Callable[[str], object] | None = None
    clamped: bool = True
    choices: Callable[[], Iterable[str]] | None = None
    longest: int = 1024
    fader: tuple[float, float] | None = None

    def fits(self, value: object) -> bool:
        """Whether a value is of this kind at all, text or number."""
        return isinstance(value, str) == (self.type == "s")

    def read(self, value: object) -> tuple[Value, str]:
        """The value as the command wants it, and a word where it had to be clamped.

        Law: what comes out is finite, within the range and of the argument's type.
        Errors: Mistake.
        """
        if self.type == "s":
            if not isinstance(value, str):
                raise self._wrong(value)
            if len(value) > self.longest:
                raise Mistake(self.name, f"expected at most {self.longest} characters")
            if self.check is not None:
                self.check(value)
            return value, ""
        if isinstance(value, bool) and self.type == "T":
            return value, ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(value)
        if isinstance(value, float) and not isfinite(value):
            raise self._wrong(value)
        if self.type == "T":
            return value >= 0.5, ""
        held = min(max(value, self.low), self.high)
        if held != value and not self.clamped:
            raise self._wrong(value)
        note = "" if held == value else f"{self.name} {shown(value)} was taken as {held}"
        return (round(held) if self.type == "i" else float(held) + 0.0), note

    def _wrong(self, value: object) -> Mistake:
        return Mistake(self.name, f"expected {self.expected}, got {shown(value)}")

    @property
    def expected(self) -> str:
        """What the argument takes, in words."""
        return f"{_KINDS[self.type]} from {self.span}" if self.span else _KINDS[self.type]

    @property
    def span(self) -> str:
        """The range in words; "" where there is none."""
        return f"{self.low} to {self.high}" if isfinite(self.low) else ""


class Call(NamedTuple):
    """A node's arguments, all read. note: what was clamped, "" if nothing."""

    values: tuple[Value, ...]
    note: str


@dataclass(frozen=True)
class Node:
    """One address of the tree: its arguments, what it does and how to read it back.

    act: `act(told, *values)` does it; a command with a musical moment passes `told` on.
    value: what it is set to now, itself None while that is nothing; None where there is nothing
    to read.
    default: what it is set to where nobody has asked for anything, by the scene or else; itself
    None where only a scene could say so.
    urgent: goes before everything else and is never dropped; has no arguments.
    starts: sets the transport going, so a stop that came later takes its place.
    continuous: of many values at once only the last is wanted.
    once: doing it twice is not the same as once, so an immediate repetition is left out.
    loads: "scene" or "style" where its first argument names one, "rules" where it is the text of a
    part's, "text" where it is the name of one whose text follows; `act` is handed the scene itself.
    concerns: what it changes, as the player counts what waits for its moment.
    moment: the words for that moment, out of its values.
    later: it tells by itself when it is done, or why it cannot be.
    bulky: its value is long, and told only to those who ask for it.
    ready: raises Mistake while there is nothing that it could be done to.
    """

    address: str
    about: str
    act: Callable[..., object]
    arguments: tuple[Argument, ...] = ()
    value: Callable[[], tuple[Value, ...] | None] | None = None
    default: Callable[[], tuple[Value, ...] | None] | None = None
    role: Role = "control"
    urgent: bool = False
    starts: bool = False
    continuous: bool = False
    once: bool = False
    loads: Literal["", "scene", "style", "rules", "text"] = ""
    concerns: tuple[str, ...] = ()
    moment: Callable[..., str] = lambda *values: str(values[-1])
    later: bool = False
    bulky: bool = False
    ready: Callable[[], object] = lambda: None

    @property
    def types(self) -> str:
        """OSC type tags of the arguments, the optional ones included."""
        return "".join(argument.type for argument in self.arguments)

    @property
    def needed(self) -> tuple[Argument, ...]:
        """The arguments that may not be left out."""
        return tuple(each for each in self.arguments if each.default is None)

    @property
    def access(self) -> int:
        """As OSCQuery counts: 1 can be read, 2 can be written, 3 both; a button has no value."""
        if self.value is None or not (self.needed or self.role == "view"):
            return 2
        return 3 if self.needed else 1

    @property
    def quantum(self) -> str:
        """When a change takes effect if nothing is said; "" where there is no musical moment."""
        return next((str(a.default) for a in self.arguments if a.name == "when"), "")

    @property
    def usage(self) -> str:
        """The address and its arguments, the optional ones in brackets."""
        words = [a.name if a.default is None else f"[{a.name}]" for a in self.arguments]
        return " ".join([self.address, *words])

    def read(self, args: Sequence[object]) -> Call | None:
        """The arguments as the command wants them; None where a button was merely released.

        An optional argument may be left out before one of another kind: `/tempo 140 bar`.
        A command without arguments takes one number, as buttons send it; 0 is its release.
        Of an urgent one only a release holds it back, no false argument.
        Errors: Mistake; then nothing has been done.
        """
        if self.urgent:
            return None if list(args) == [0] else Call((), "")
        if list(args) == [True] and all(a.default is not None for a in self.arguments):
            args = ()  # a bang
        if not self.arguments and len(args) == 1:
            pressed, _ = Argument("button", "T").read(args[0])
            return Call((), "") if pressed else None
        rest = list(args)
        values: list[Value] = []
        notes: list[str] = []
        for argument in self.arguments:
            if rest and (argument.default is None or argument.fits(rest[0])):
                value, note = argument.read(rest.pop(0))
                values.append(value)
                notes += [note] if note else []
            elif argument.default is not None:
                values.append(argument.default)
            else:
                raise Mistake(argument.name, f"is missing; expected {self.usage}")
        if rest:
            raise Mistake("", f"{shown(rest[0])} is one too many; expected {self.usage}")
        return Call(tuple(values), "; ".join(notes))


class Tree:
    """Every node by its address."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: Mapping[str, Node] = {node.address: node for node in nodes}
        self._below: dict[str, dict[str, None]] = {}
        self._matched: dict[str, tuple[str, ...]] = {}
        for address in self.nodes:
            while address:
                address, _, name = address.rpartition("/")
                self._below.setdefault(address, {})[name] = None

    def get(self, address: str) -> Node | None:
        return self.nodes.get(address)

    def below(self, address: str) -> tuple[str, ...]:
        """The names directly under an address, "" being the root."""
        return tuple(self._below.get(address, ()))

    def matching(self, pattern: str) -> tuple[str, ...]:
        """The controls that an address pattern means: what is set, not what is done.

        Who sends `/componium/p*` does not mean panic. Errors: Mistake where it means none, or
        too many, or nothing at all.
        """
        found = self._matched.get(pattern)
        if found is None:
            here = [""]
            for fits in segments(pattern):
                here = [f"{a}/{name}" for a in here for name in self.below(a) if fits(name)]
            found = tuple(a for a in here if a in self.nodes and self.nodes[a].continuous)
            if not found:
                done = next((each for each in here if each in self.nodes), "")
                hint = f"; {done} is no control: send its whole address" if done else ""
                raise Mistake("", f"no control is like {shown(pattern)}{hint}")
            if len(found) > MOST_MEANT:
                raise Mistake("", f"{len(found)} controls are like it; at most {MOST_MEANT} may be")
            if len(self._matched) >= MOST_PATTERNS:
                del self._matched[next(iter(self._matched))]
            self._matched[pattern] = found
        return found

    def lost(self, address: str) -> str:
        """Why nothing is at this address: how far it leads, and what there is from there."""
        known = address
        while known not in self._below:
            known = known.rpartition("/")[0]
        here, name = self.below(known), address[len(known) + 1 :].partition("/")[0]
        near = meant(name, here)
        return f"there is no {shown(address)}; {near}{known or '/'} has {listed(here)}"
