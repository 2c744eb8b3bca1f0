"""Engines made from their keys in a scene, and asked what they read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from random import Random
from typing import Any

import engines
from engines.base import IN, Controls, Engine, Mistake, Reads, Symbol, meant, nearest, unknown
from engines.motif import Motif
from server.ensemble.part import said

from . import script
from .table import Table, plainly, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
LARGEST = 64 << 20  # bytes of a file that an engine is made from

_KINDS = {bool: "true or false", str: "text in quotes", int: "a whole number", float: "a number"}


#: What fields that hold themes say they read: the scene's themes, or only those that are named.
_THEMES = ("themes", "named themes")


class _Unmade:
    """Stands for an engine that is not to be had, while the rest of its part is checked."""

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        return iter(())

    def alphabet(self) -> frozenset[str] | None:
        return None


UNMADE = _Unmade()


def engine_class(table: Table) -> tuple[str, Any]:
    """The engine's name and its class, or None where there is no such."""
    known = ", ".join(engines.names())
    if "engine" not in table.values:
        table.take("engine")
        return "", table.amiss("engine", f"expected an engine's name, one of {known}", None)
    before, name = len(table.wrong), table.text("engine")
    if len(table.wrong) > before:
        return name, None
    try:
        made = engines.engine_class(name)
    except KeyError:
        near = meant(name, engines.names()).strip()
        problem = f"expected one of {known}, got {shown(name)}{near and f'; {near}'}"
        return name, table.amiss("engine", problem, None)
    except Exception as error:  # somebody else's package
        return name, table.amiss("engine", f"{name} cannot be loaded: {said(error)}", None)
    if not is_dataclass(made):
        return name, table.amiss("engine", f"{name} is no dataclass; see docs/new-engine.md", None)
    return name, made


def make_engine(name: str, made: Any, table: Table, base: Path, given: Mapping[str, Any]) -> Engine:
    """The engine made from its keys, or what stands for it where they are wrong.

    given: what fields that read it have where the table does not say otherwise.
    """
    before, arguments = len(table.wrong), {}
    for field in fields(made):
        if not field.init:
            continue
        value = table.take(field.name)
        own = field.metadata.get("reads")
        if value is None and own is not None and own in given:
            arguments[field.name] = given[own]
        elif value is not None:
            try:
                if own in _THEMES:
                    value = _themes(value, table.at(field.name), given["themes"])
                arguments[field.name] = _argument(field, value, table, base)
            except Mistake as mistake:
                table.note(mistake)
        elif field.default is MISSING and field.default_factory is MISSING:
            near = nearest(field.name, table.values)
            hint = f"; is it what {near!r} is meant to be?" if near else ""
            table.amiss(field.name, f"the {name} engine needs it{hint}", None)
    if len(table.wrong) == before:
        try:
            engine: Engine = made(**arguments)
            return engine
        except Mistake as mistake:
            table.note(mistake.within(table.place))
        except Exception as error:  # somebody else's class
            table.amiss("engine", f"{name} cannot be made: {said(error)}", None)
    return UNMADE


def theme_fields(made: type) -> list[str]:
    """The fields of an engine in which a scene's themes may be."""
    return [each.name for each in fields(made) if each.metadata.get("reads") in _THEMES]


def all_themes(made: type) -> list[str]:
    """Those of them in which all of a scene's themes are, where it says nothing else."""
    return [each.name for each in fields(made) if each.metadata.get("reads") == "themes"]


def _themes(value: Any, place: str, there: Sequence[Motif]) -> list[Any]:
    """Themes as they are written, those of the scene that are called by name among them."""
    known = {each.name: each for each in there}
    found: list[Any] = []
    for each in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
        if isinstance(each, str) and _NAME.fullmatch(each) and each not in known:
            raise Mistake(place, unknown("theme", each, known))
        found.append(known.get(each, each) if isinstance(each, str) else each)
    if not found:
        raise Mistake(place, f"expected themes by name, such as ['window'], got {shown(value)}")
    return found


def _argument(field: Field[Any], value: Any, table: Table, base: Path) -> Any:
    place = table.at(field.name)
    reads = field.metadata.get("reads")
    if reads == "tunes":
        from .tunes import read_tunes

        patterns = [value] if isinstance(value, str) else value
        if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
            wanted = "expected file patterns such as ['tunes/*.mid']"
            raise Mistake(place, f"{wanted}, got {shown(value)}")
        return read_tunes(patterns, base, place)
    if reads == "json":
        return _json(value, base, place)
    default = None if field.default is MISSING else field.default
    if isinstance(default, bool) != isinstance(value, bool) and default is not None:
        raise Mistake(place, f"expected {_KINDS[type(default)]}, got {shown(value)}")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise Mistake(place, f"expected a number of fewer digits, got {shown(value)}")
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    for kind, fits in ((str, str), (int, int), (float, (int, float))):
        if field.type in (kind, kind.__name__) and not isinstance(value, fits):
            raise Mistake(place, f"expected {_KINDS[kind]}, got {shown(value)}")
    return tuple(value) if isinstance(value, list) else value


def _json(value: Any, base: Path, place: str) -> Any:
    if not isinstance(value, str):
        raise Mistake(place, f"expected a file's name, got {shown(value)}")
    try:
        path = (base / value).resolve()
        if not path.is_relative_to(base.resolve()) and not Path(value).is_absolute():
            raise Mistake(place, f"{value!r} lies outside the scene's folder")
        if path.stat().st_size > LARGEST:
            raise Mistake(place, f"{value!r} is larger than {LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8")
        script.read(text)
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Mistake):
            raise
        raise Mistake(place, f"{value!r} cannot be read: {plainly(error)}") from None


def check_live(engine: Engine, known: set[str], table: Table) -> None:
    """Every live value that rules read is one that something can set."""
    if not isinstance(engine, Reads):
        return
    told: set[str] = set()
    for name, field, line, column in engine.reads():
        if name in known or name.startswith(IN) or name in told:
            continue
        told.add(name)
        near = meant(name, known) or f"there are {', '.join(sorted(known))}; "
        problem = f"nothing sets {name!r}; {near}or name it in [controls]"
        table.note(Mistake(table.at(field), problem, line, column))
