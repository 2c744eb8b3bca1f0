"""OSCQuery (Vidvox, 2018): the tree as JSON, node by node or attribute by attribute.

A client that sees a node's `TYPE` sends just that: so it is what must be sent, and what may be
left out, such as the musical moment, is told as `OVERLOADS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any
from urllib.parse import unquote

from server.band.bands import PREFIX, SESSION

from .tree import Argument, Node, Tree, Value

#: All attributes of the proposal, and two more; what no node of ours has is answered as empty.
KNOWN = frozenset(
    (
        *("FULL_PATH", "CONTENTS", "TYPE", "ACCESS", "VALUE", "RANGE", "DESCRIPTION", "TAGS"),
        *("EXTENDED_TYPE", "UNIT", "CRITICAL", "CLIPMODE", "OVERLOADS", "HTML"),
        # Of others: what libossia calls a default; and the musical moment, which nobody else has.
        *("DEFAULT_VALUE", "QUANTUM"),
    )
)
_LACKING = ("EXTENDED_TYPE", "HTML", "PATH_RENAMED", "OSC_STREAMING", "ECHO")
_OFFERED = KNOWN - {"FULL_PATH", "CONTENTS", "TYPE", *_LACKING}
_COMMANDS = ("LISTEN", "PATH_ADDED", "PATH_REMOVED", "PATH_CHANGED")
EXTENSIONS = dict.fromkeys((*sorted(_OFFERED), *_COMMANDS), True) | dict.fromkeys(_LACKING, False)
_UNITS = {"bpm": "time.bpm"}

NESTED = 8  # bands that are told in one answer; each takes milliseconds
_ASK = "A band; as there are many, ask for it by itself."
OK, EMPTY, BAD, LOST = 200, 204, 400, 404
WRITTEN = 2  # of ACCESS: nothing to read


@dataclass(frozen=True)
class Reading:
    """Something that can be read and listened to, and not set.

    types: OSC type tags while there is nothing yet.  value: None then.
    """

    address: str
    about: str
    types: str
    value: Callable[[], tuple[Value, ...] | None]


class Query:
    """Answers queries about a tree as it is now.

    tree, readings: asked anew for each query, these by their addresses.
    host: what HOST_INFO says besides extensions.
    base: what addresses begin with in place of `/componium`.
    beside: who answers for the band that an address is in, and for whom; None where it is in none.
    """

    def __init__(
        self,
        tree: Callable[[], Tree],
        readings: Callable[[], Mapping[str, Reading]],
        host: Mapping[str, Any],
        base: str = PREFIX,
    ) -> None:
        self._tree, self._readings, self.host, self._base = tree, readings, dict(host), base
        self.beside: Callable[[], Mapping[str, Query]] = dict

    @property
    def readings(self) -> Mapping[str, Reading]:
        """What can be read and not set, by its address."""
        return self._readings()

    def _inner(self, path: str) -> str:
        """An address as tree and readings have it."""
        same = path == self._base or path.startswith(f"{self._base}/")
        return PREFIX + path[len(self._base) :] if same else path

    def _band(self, path: str) -> Query | None:
        """Who answers for an address of another band."""
        if not path.startswith(f"{SESSION}/"):
            return None
        return self.beside().get(path[len(SESSION) + 1 :].partition("/")[0])

    def answer(self, target: str) -> tuple[int, Any]:
        """The status and the JSON value for a path with its query, such as "/a/b?VALUE".

        Law: any text whatever has an answer.
        """
        path, _, asked = target.partition("#")[0].partition("?")
        wanted = asked.partition("&")[0].partition("=")[0].upper()
        if wanted == "HOST_INFO":
            return OK, self.host | {"EXTENSIONS": EXTENSIONS}
        with suppress(UnicodeDecodeError):
            path = unquote(path, errors="strict")
        path = path.rstrip("/")
        if wanted and wanted not in KNOWN:
            return BAD, {"error": f"{wanted[:60]} is no attribute of OSCQuery"}
        found = self.described(path, {wanted} if wanted else KNOWN)
        if found is None:
            there = self._band(path) or self
            return LOST, {"error": there._tree().lost(there._inner(path))}
        if wanted and wanted not in found:
            return EMPTY, None
        return OK, found

    def described(self, path: str, wanted: Iterable[str] = KNOWN) -> dict[str, Any] | None:
        """What is known of a node, and of all below it; None where there is none."""
        if (band := self._band(path)) is not None:
            return band.described(path, wanted)
        tree, inner, readings = self._tree(), self._inner(path), self.readings
        below, under = dict.fromkeys(tree.below(inner)), f"{inner}/"
        for address in readings:
            if address.startswith(under):
                below.setdefault(address[len(under) :].partition("/")[0])
        node, reading = tree.get(inner), readings.get(inner)
        if not below and node is None and reading is None:
            return None
        wanted = set(wanted)
        found: dict[str, Any] = {}
        if "FULL_PATH" in wanted:
            found["FULL_PATH"] = path or "/"
        if node is not None:
            found |= {key: value for key, value in attributes(node).items() if key in wanted}
        elif reading is not None:
            found |= {key: value for key, value in _read_only(reading).items() if key in wanted}
        elif "ACCESS" in wanted:
            found["ACCESS"] = 0
        if below and "CONTENTS" in wanted:
            found["CONTENTS"] = {name: self.described(f"{path}/{name}") for name in below}
            if path == SESSION:
                bands = self.beside()
                for name, band in bands.items():
                    found["CONTENTS"][name] = (
                        band.described(f"{path}/{name}")
                        if len(bands) <= NESTED
                        else {"FULL_PATH": f"{path}/{name}", "ACCESS": 0, "DESCRIPTION": _ASK}
                    )
        return found

    def value(self, address: str) -> tuple[Value, ...] | None:
        """What `VALUE` says of an address; None where nothing can be read."""
        if (band := self._band(address)) is not None:
            return band.value(address)
        address = self._inner(address)
        node, reading = self._tree().get(address), self.readings.get(address)
        if node is not None:
            return value_of(node) if node.access != WRITTEN else None
        return reading.value() if reading is not None else None


def value_of(node: Node) -> tuple[Value, ...] | None:
    """What a node is set to; None where that cannot be said."""
    return _read(node.value)


def default_of(node: Node) -> tuple[Value, ...] | None:
    """What a node is set to where nobody has asked for anything; None where that is nothing."""
    return _read(node.default)


def _read(value: Callable[[], tuple[Value, ...] | None] | None) -> tuple[Value, ...] | None:
    try:
        return value() if value is not None else None
    except Exception:  # no scene is there, or its engine fails: whoever asks has to do without
        return None


def attributes(node: Node) -> dict[str, Any]:
    """Everything about a command but where it is; the same keys in the same order."""
    needed = node.needed
    value = value_of(node) if node.access != WRITTEN else None
    types = "".join(map(_type, needed)) or "I"
    if value is not None and not needed:
        types = "".join(map(_type_of, value))
    found: dict[str, Any] = {
        "TYPE": types,
        "ACCESS": node.access,
        "DESCRIPTION": node.about,
        "TAGS": [node.role, *(["continuous"] if node.continuous else [])],
    }
    if value is not None:
        found["VALUE"] = list(value)
    arguments, ranges = node.arguments, [_range(each) for each in node.arguments]
    defaults = _defaults(node)
    found |= _about(arguments, ranges, defaults, len(needed))
    taken = "".join(map(_type, arguments))
    if more := range(len(needed) + 1, len(taken) + 1):
        found["OVERLOADS"] = [
            {"TYPE": taken[:count]} | _about(arguments, ranges, defaults, count) for count in more
        ]
    if node.quantum:
        found["QUANTUM"] = node.quantum
    if node.urgent:
        found["CRITICAL"] = True
    return found


def _about(
    arguments: Sequence[Argument],
    ranges: Sequence[dict[str, Any] | None],
    defaults: Sequence[Value | None],
    count: int,
) -> dict[str, Any]:
    """What is known of the first arguments besides their types."""
    found: dict[str, Any] = {}
    first = arguments[:count]
    if any(ranges[:count]):
        found["RANGE"] = list(ranges[:count])
        found["CLIPMODE"] = [
            "both" if each.clamped and isfinite(each.low) else "none" for each in first
        ]
    if any(each.unit for each in first):
        found["UNIT"] = [_UNITS.get(each.unit, each.unit) or None for each in first]
    if any(each is not None for each in defaults[:count]):
        found["DEFAULT_VALUE"] = list(defaults[:count])
    return found


def _defaults(node: Node) -> list[Value | None]:
    """Of each argument what it is if nobody says anything; None where that is nothing."""
    rest = iter(default_of(node) or ())
    return [next(rest, None) if each.default is None else each.default for each in node.arguments]


def fixed(node: Node) -> tuple[Any, ...]:
    """What of a node a scene may change besides its value: where that differs, it has changed."""
    found = attributes(node)
    found.pop("VALUE", None)
    return tuple(map(repr, found.items()))


def _type(argument: Argument) -> str:
    """An argument's type tag; whole numbers that 32 bits cannot hold are h."""
    return "h" if argument.type == "i" and 2**31 <= argument.high < inf else argument.type


def _type_of(value: Value) -> str:
    if isinstance(value, bool):
        return "T"
    return "s" if isinstance(value, str) else "i" if isinstance(value, int) else "f"


def _range(argument: Argument) -> dict[str, Any] | None:
    if argument.choices is not None and (choices := list(argument.choices())):
        return {"VALS": choices}
    if argument.type in "fi" and isfinite(argument.low):
        return {"MIN": argument.low, "MAX": argument.high}
    return None


def _read_only(reading: Reading) -> dict[str, Any]:
    value = reading.value()
    found: dict[str, Any] = {
        "TYPE": reading.types if value is None else "".join(map(_type_of, value)),
        "ACCESS": 1,
        "DESCRIPTION": reading.about,
        "TAGS": ["view"],
    }
    return found if value is None else found | {"VALUE": list(value)}


def told(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The commands that tell how a tree has changed: `PATH_REMOVED`, `PATH_ADDED`, `PATH_CHANGED`.

    before, now: `fixed` of each node by its address.  Of what comes or goes with its container,
    only that is told.
    """
    gone, come = before.keys() - now.keys(), now.keys() - before.keys()
    changed = [each for each in now if each in before and before[each] != now[each]]
    return [
        *(("PATH_REMOVED", each) for each in _topmost(gone, now)),
        *(("PATH_ADDED", each) for each in _topmost(come, before)),
        *(("PATH_CHANGED", each) for each in changed),
    ]


def _topmost(addresses: Iterable[str], others: Iterable[str]) -> list[str]:
    """The shortest beginnings of these addresses that lead to none of the others."""
    known = set()
    for address in others:
        while address:
            known.add(address)
            address = address.rpartition("/")[0]
    found: dict[str, None] = {}
    for address in sorted(addresses):
        above = address
        while above.rpartition("/")[0] and above.rpartition("/")[0] not in known:
            above = above.rpartition("/")[0]
        found[above] = None
    return list(found)
