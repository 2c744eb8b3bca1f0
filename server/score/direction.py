"""What a scene says of mood, form and themes: tables become a conductor's spec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from engines.base import Controls, Engine, Mistake, Symbol, unknown
from engines.motif import Motif
from server.conductor.conductor import ConductorSpec
from server.conductor.form import STEADY, USUAL, Curve, FormSpec, Rule, SectionSpec, Transitions
from server.conductor.mood import NEUTRAL, WORDS, Field, parse_field, parse_mood, parse_words
from server.conductor.moodmap import MoodMap, find_map, parse_map
from server.music.scale import MODES
from server.music.value import parse_value

from .style import load
from .table import Elsewhere, Table, at_line, in_file

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")
MOST_SECTIONS = 64
LONGEST_SECTION = 1024  # bars
MOST_LEADING = 64  # bars that a transition takes

#: Makes the engine that a table describes; the table's other keys stay.
MakeEngine = Callable[[Table], Engine | None]


@dataclass(frozen=True)
class Row:
    """Names one after another, as they are written. For orders that are given by hand."""

    names: tuple[str, ...]

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Each name once."""
        return map(Symbol, self.names)

    def alphabet(self) -> frozenset[str]:
        return frozenset(self.names)


def read_map(path: Path, base: Path) -> MoodMap:
    """The map from mood to music in a file that a scene in the folder `base` names.

    Errors: Mistake, which names the file and the line in it.
    """
    shared = load(path, base)
    try:
        return parse_map(shared.text, path.stem)
    except Mistake as mistake:
        raise in_file(shared.name, at_line(mistake, shared.text)) from None


def direction(
    top: Table, base: Path, motifs: Sequence[Motif], make_engine: MakeEngine
) -> ConductorSpec:
    """Read `[mood]`, `[form]`, `harmony` and `likeness`; what is wrong is noted in the tables."""
    mood = top.table("mood") or Table({}, "mood", [], [])
    names = tuple(each.name for each in motifs)
    form = _form(top.table("form"), names, make_engine)
    transitions = _transitions(top.table("transitions"))
    name = mood.text("map", "default")
    moods: MoodMap | None = None
    try:
        moods = read_map(find_map(name, base), base)
    except Elsewhere as mistake:
        mood.note(mistake)
    except Mistake as mistake:
        mood.note(mistake.within(mood.at("map")))
    words = mood.parsed("words", parse_words, moods.words if moods is not None else WORDS)
    start = mood.parsed("start", lambda value: parse_mood(value, words), None)
    field: Field | None = mood.parsed(
        "points", lambda value: parse_field(value, words, start or NEUTRAL), None
    )
    spec = ConductorSpec(
        form=form,
        mood=start,
        words=words,
        field=field,
        modes=mood.flag("modes"),
        enrich=mood.flag("chords"),
        themes=names,
        likeness=top.number("likeness", 0.8, 0, 1),
        speed=mood.number("speed", 0.5, 0.01, 16),
        transitions=transitions,
    )
    mood.end()
    return spec if moods is None else replace(spec, map=moods)


def _form(table: Table | None, themes: tuple[str, ...], make_engine: MakeEngine) -> FormSpec:
    if table is None or not table.values:
        return FormSpec()
    inner = table.table("sections")
    sections: dict[str, SectionSpec] = {}
    for name in list(inner.values) if inner is not None else ():
        assert inner is not None
        section = inner.table(name)
        if not NAME.match(name) or len(sections) >= MOST_SECTIONS:
            inner.amiss(name, f"expected at most {MOST_SECTIONS} names of letters and digits", None)
        elif section is not None:
            sections[name] = _section(name, section, themes)
            section.end()
    plan, ends = table.text("plan"), table.flag("ends")
    order: Engine | None
    if plan:
        order = Row(tuple(plan.split()))
    elif "engine" in table.values:
        order = make_engine(table)
    else:
        order = Row(tuple(sections))
    known = order.alphabet() if order is not None else None
    for name in sorted(known or ()):
        if plan and name not in sections:
            table.amiss("plan", unknown("section", name, sections), None)
    if known is not None and not known & set(sections):
        table.amiss("plan", "expected the name of at least one section", None)
    table.end()
    return FormSpec(sections, order, ends)


_LED = re.compile(r"(\*|[A-Za-z][A-Za-z0-9_]*) -> (\*|key|(?:(?:scene|style) )?[^\s].*)\Z")


def _transitions(table: Table | None) -> Transitions:
    """From `[transitions]`: rules such as `"A -> B" = { fill = 1 }`, in the order of the file."""
    if table is None:
        return USUAL
    rules = []
    for name in list(table.values):
        found, inner = _LED.match(name), table.table(name)
        if found is None:
            wanted = "expected such as 'A -> B', '* -> scene *', '* -> style jazz' or '* -> key'"
            table.amiss(name, f"{wanted}, got {name!r}", None)
        if inner is None:
            continue
        given: dict[str, Any] = {
            each: inner.parsed(each, parse_value, Fraction(0))
            if each == "pause"
            else inner.whole(each, 0, 0, MOST_LEADING)
            for each in Rule._fields
            if each in inner.values
        }
        inner.end()
        if found is not None:
            rules.append((found[1], found[2], given))
    table.end()
    return Transitions(tuple(rules))


def _section(name: str, table: Table, themes: tuple[str, ...]) -> SectionSpec:
    theme = table.text("theme")
    if theme and theme not in themes:
        table.amiss("theme", unknown("theme", theme, themes), None)
    mode = table.text("mode")
    if mode and mode not in MODES:
        table.amiss("mode", f"there is no mode {mode!r}; the modes are: {', '.join(MODES)}", None)
    bars = table.whole("bars", 8, 1, LONGEST_SECTION)
    likeness = table.number("likeness", -1, -1, 1)
    return SectionSpec(
        name,
        bars,
        _curve(table),
        theme,
        likeness if likeness >= 0 else None,
        table.whole("up", 0, -11, 11),
        mode if mode in MODES else "",
        frozenset(_names(table, "only")),
        table.number("tempo", 1, 0.25, 4),
        table.flag("closes"),
        _cues(table, bars),
        table.flag("repeats"),
    )


def _curve(table: Table) -> Curve:
    """One energy, a row of them evenly spread, or places with energies."""
    value = table.take("energy", 0.5)
    try:
        if isinstance(value, (int, float)):
            value = [value]
        points = [
            (float(each[0]), float(each[1]))
            if isinstance(each, list)
            else (place / max(len(value) - 1, 1), float(each))
            for place, each in enumerate(value)
        ]
        rising = all(a <= b for (a, _), (b, _) in pairwise(points))
        if not points or not rising or not all(0 <= y <= 1 and 0 <= x <= 1 for x, y in points):
            raise ValueError
    except (TypeError, ValueError, IndexError):
        return table.amiss(
            "energy", "expected 0 to 1, a row such as [0.3, 0.8], or points [place, energy]", STEADY
        )
    return tuple(points)


def _cues(table: Table, bars: int) -> dict[str, frozenset[int]]:
    inner, found = table.table("cues"), {}
    for name in list(inner.values) if inner is not None else ():
        assert inner is not None
        value = inner.take(name)
        numbers = value if isinstance(value, list) else [value]
        if all(isinstance(each, int) and 1 <= each <= bars for each in numbers):
            found[name] = frozenset(numbers)
        else:
            inner.amiss(name, f"expected bars of the section, 1 to {bars}", None)
    return found


def _names(table: Table, key: str) -> list[str]:
    value: Any = table.take(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return table.amiss(key, "expected a name or several", [])
    return names
