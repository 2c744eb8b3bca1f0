"""What a scene says of its parts: what each plays, how, where, and whom it listens to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from engines.base import Engine, Mistake, Structured, meant, unknown
from engines.motif import QUOTES, Motif
from server.conductor.moodmap import ROLES
from server.ensemble.encode import OutputSpec, osc_name
from server.ensemble.part import PartSpec, Shade
from server.ensemble.reading import Drum, Reading, Word
from server.music.groove import Groove, parse_groove
from server.music.pitch import parse_pitch
from server.music.value import parse_value

from .inputs import InputSpec
from .style import progression
from .table import NAME, Elsewhere, Table, shown
from .workshop import UNMADE, check_live, engine_class, make_engine

MOST_PARTS, MOST_SHADES = 256, 8
CUTOFF = 74  # the controller of General MIDI 2 for brightness
DRUMS = 10  # the channel of General MIDI's drums
_HEARD_OF = ("Whole", "Half", "Quarter", "Eighth", "Sixteenth", "Rest", "Kick", "Snare", "Hat")
_CURVES = {"linear": 1.0, "soft": 0.6, "hard": 1.6}
#: Stands for a progression that cannot be read, while the rest of its part is checked.
_TONIC: dict[str, Any] = {"engine": "grammar", "rules": "S -> ton"}


class Shared(NamedTuple):
    """What all parts of a scene may refer to. known: names of live values.  bar: its length."""

    known: set[str]
    outputs: Mapping[str, OutputSpec]
    base: Path
    bar: Fraction
    themes: tuple[Motif, ...]
    inputs: Mapping[str, InputSpec]

    def engine(self, name: str, made: Any, table: Table) -> Engine:
        """The engine of a table, given what it reads of the scene."""
        given = {"themes": self.themes, "bar": self.bar}
        return make_engine(name, made, table, self.base, given)


def read_feel(top: Table) -> dict[str, Any]:
    """What holds for every part that says nothing else, as written; checked here, once."""
    words = ("swing", "groove", "humanize", "brightness")
    feel = {word: top.values[word] for word in words if word in top.values}
    before = len(top.wrong)
    for check in (_swing, _groove, _humanize, _brightness):
        check(top)
    return feel if len(top.wrong) == before else {}


def read_parts(table: Table, feel: Mapping[str, Any], shared: Shared) -> list[PartSpec]:
    """All parts, in the order of the text, each with a channel; mistakes are noted in the table."""
    names = list(table.values)
    if not names:
        table.note(Mistake(table.place, "expected at least one part, such as [parts.melody]"))
    if len(names) > MOST_PARTS:
        problem = f"expected at most {MOST_PARTS} parts, got {len(names)}"
        table.note(Mistake(table.place, problem))
    parts = []
    for name in names[:MOST_PARTS]:
        if not NAME.match(name):
            wanted = "expected a name of 1 to 64 letters, digits, spaces and _ . - only"
            table.amiss(name, wanted, None)
        inner = table.table(name)
        if inner is not None:
            inner.values = {**feel, **inner.values}
            parts.append(read_part(name, inner, shared))
    check_addresses(names[:MOST_PARTS], (), table)
    _check_listening(parts, table, shared.inputs)
    return with_channels(parts)


def check_addresses(names: Iterable[str], others: Iterable[str], table: Table) -> None:
    """No two have one OSC address, in which a space is written as _."""
    heard = {osc_name(name): name for name in others}
    for name in names:
        other = heard.setdefault(osc_name(name), name)
        if other != name:
            problem = f"its OSC address is that of {other!r}, /part/{osc_name(name)}; rename one"
            table.amiss(name, problem, None)


def with_channels(parts: list[PartSpec], others: Iterable[int] = ()) -> list[PartSpec]:
    """Those without a channel (0) on the next free one; else on shared ones, from 16 down."""
    taken = {DRUMS, *others, *(part.channel for part in parts)}
    free = iter([channel for channel in range(1, 17) if channel not in taken])
    shared = cycle(channel for channel in range(16, 0, -1) if channel != DRUMS)
    return [
        part if part.channel else replace(part, channel=next(free, 0) or next(shared))
        for part in parts
    ]


def _check_listening(parts: list[PartSpec], table: Table, inputs: Mapping[str, InputSpec]) -> None:
    """Whoever is listened to is there, leads nobody round in a ring, and hears no chords late."""
    heard = {part.name: part.listens for part in parts}
    for name in inputs:
        if name in heard:
            table.amiss(name, f"an input is called {name!r} too; give the part another name", None)
    for part in parts:
        place = f"{part.name}.listens"
        for name in part.listens:
            if name not in heard and name not in inputs:
                table.amiss(place, unknown("part or input", name, [*heard, *inputs]), None)
        if part.input and part.input not in inputs:
            table.amiss(f"{part.name}.input", unknown("input", part.input, inputs), None)
        reached, around = set(part.listens), list(part.listens)
        while around:
            fresh = set(heard.get(around.pop(), ())) - reached
            reached |= fresh
            around += fresh
        if part.name in reached:
            table.amiss(place, "the part would hear itself in the end; break the ring", None)
    leader = next((p for p in parts if p.reading.leads(p.engine.alphabet())), None)
    if leader is not None and any(name not in inputs for name in leader.listens):
        problem = "the part that leads the harmony is asked first and cannot listen to others"
        table.amiss(f"{leader.name}.listens", problem, None)


def read_part(name: str, table: Table, shared: Shared, given: Engine | None = None) -> PartSpec:
    """One part; its channel is 0 where it is to have one that is free.

    given: its engine, where the table names none.
    """
    _harmonised(table, shared)
    engine_name, known_class = ("", type(given)) if given is not None else engine_class(table)
    if given is not None:
        engine = given
    else:
        engine = UNMADE if known_class is None else shared.engine(engine_name, known_class, table)
    reading = _reading(table, shared.themes)
    alphabet = engine.alphabet()
    if reading is None:
        reading = Reading({}, themes=shared.themes)
    elif not reading.table and getattr(engine, "chords", False):
        reading = replace(reading, chords=True)
    elif alphabet is not None:
        _check_reading(reading, alphabet, engine, table)
    check_live(engine, shared.known, table)
    low, high = _range(table)
    swing, unit = _swing(table)
    human_time, human_velocity = _humanize(table)
    own = DRUMS if _only_drums(reading, alphabet) else 0
    as_played = getattr(engine, "as_played", False)
    shades = _shades(table)
    usual = shades[len(shades) // 2]
    spec = PartSpec(
        name=name,
        engine=engine,
        engine_name=engine_name,
        reading=reading,
        together=table.flag("chord"),
        grid=table.parsed("grid", parse_value, None),
        octave=table.whole("octave", 4, -1, 9),
        low=low,
        high=high,
        nearest=table.flag("nearest"),
        fit=table.choice("fit", getattr(engine, "fits", ""), ("", "key", "chord")),
        voices=table.whole("voices", 4, 1, 8),
        gate=table.number("gate", 0.9, 0.01, 2),
        velocity=table.number("velocity", 0.8 if as_played else 0.75, 0, 1),
        accents=table.number("accents", 0 if as_played else 0.25, 0, 1),
        curve=_curve(table),
        swell=table.number("swell", 0, 0, 1),
        swing=swing,
        swing_unit=unit,
        groove=_groove(table),
        human_time=human_time,
        human_velocity=human_velocity,
        channel=_channel(table, own),
        program=usual.program,
        bank=usual.bank,
        outputs=_part_outputs(table, shared.outputs),
        sound=table.text("sound"),
        level=table.number("level", 1, 0, 2),
        density=table.number("density", 1, 0, 1),
        mute=table.flag("mute"),
        enters=table.whole("enters", 1, 1, 100_000),
        listens=table.names("listens", "a part's", ()),
        role=table.choice("role", "", ("", *ROLES)),
        layer=_layer(table),
        input=table.text("input"),
        quantise=table.parsed("quantise", parse_value, None),
        shades=shades if len(shades) > 1 else (),
        brightness=_brightness(table),
    )
    if known_class is not None:  # else what is left may be its engine's
        table.end()
    return spec


def _harmonised(table: Table, shared: Shared) -> None:
    """Have the keys of a ready progression that the part names, under its own."""
    name = table.text("harmony")
    if not name:
        return
    ready = {} if "engine" in table.values else _TONIC
    try:
        ready, text = progression(name, shared.base, shared.bar, table.place)
        table.texts.append(text)
    except Elsewhere as mistake:
        table.note(mistake)
    except Mistake as mistake:
        table.note(mistake.within(table.at("harmony")))
    table.values = {**ready, **table.values}


def _layer(table: Table) -> tuple[float, float]:
    value = table.take("layer", [0.0, 1.0])
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        return table.amiss(
            "layer", f"expected two energies such as [0.3, 1], got {shown(value)}", (0.0, 1.0)
        )
    return low, high


def _reading(table: Table, themes: tuple[Motif, ...]) -> Reading | None:
    """The part's reading, symbols with a wrong meaning having none; None where it is no reading."""
    value = table.take("reading", {})
    words: dict[str, tuple[Word, ...]] = {}
    try:
        if not isinstance(value, dict):
            return Reading.of(value, themes)
    except Mistake as mistake:
        table.note(mistake.within(table.at("reading")))
        return None
    for name, meaning in value.items():
        try:
            words |= Reading.of({name: meaning}, themes).table
        except Mistake as mistake:
            table.note(mistake.within(table.at("reading")))
            words[name] = ()
    return Reading(words, themes=themes)


def _check_reading(
    reading: Reading, alphabet: frozenset[str], engine: Engine, table: Table
) -> None:
    """Every symbol has a meaning, and every meaning a symbol."""
    names = sorted(alphabet)
    place = table.at("reading")
    structure = engine.structure() if isinstance(engine, Structured) else frozenset[str]()
    for name in reading.table:
        if name not in alphabet and name not in structure:
            near = meant(name, names) or f"there are: {', '.join(names[:20])}"
            problem = f"the engine has no symbol {name!r}; {near.strip()}"
            table.note(Mistake(f"{place}.{name}", problem))
    lost = [name for name in names if name not in structure and reading.words(name) is None]
    known = [*(name for name in names if name not in lost), *_HEARD_OF]
    strange = []
    for symbol in lost:
        if symbol.startswith(QUOTES):
            table.note(_misquoted(symbol, reading).within(place))
            continue
        if near := meant(symbol, known):
            _lacks_meaning(symbol, f"{near}or ", table, engine)
        else:
            strange.append(symbol)
    if strange:
        nor = f"nor have {', '.join(map(repr, strange[1:8]))}; " if strange[1:] else ""
        _lacks_meaning(strange[0], nor, table, engine)


def _misquoted(symbol: str, reading: Reading) -> Mistake:
    """What is wrong with a symbol that would quote a theme."""
    try:
        reading.quotes(symbol)
    except Mistake as mistake:
        return mistake.within(symbol)
    raise AssertionError(symbol)


def _lacks_meaning(symbol: str, more: str, table: Table, engine: Engine) -> None:
    """Note it where it is written in the rules, as most often it is mistyped there."""
    problem = f"the symbol {symbol!r} has no meaning by its name; {more}give it one, such as"
    problem += f" reading = {{ {json.dumps(symbol)} = '1 1/4' }}"
    rules = getattr(engine, "rules", "")
    for number, line in enumerate(rules.splitlines() if isinstance(rules, str) else (), 1):
        found = re.search(rf"(?<![\w'#]){re.escape(symbol)}(?![\w'#])", line)
        if found is not None and not line.lstrip().startswith(("#", "//")):
            table.note(Mistake(table.at("rules"), problem, number, found.start() + 1))
            return
    table.amiss("reading", problem, None)


def _only_drums(reading: Reading, alphabet: frozenset[str] | None) -> bool:
    atoms = list(reading.atoms(alphabet or ()))
    return bool(atoms) and all(isinstance(atom, Drum) for atom in atoms)


def _range(table: Table) -> tuple[int, int]:
    value = table.take("range")
    whole = 0, 127
    if value is None:
        return whole
    two = f"expected two pitches such as ['C3', 'C5'], got {shown(value)}"
    if not isinstance(value, list) or len(value) != 2:
        return table.amiss("range", two, whole)
    try:
        low, high = (parse_pitch(pitch).midi for pitch in value)
    except (Mistake, TypeError, AttributeError):
        return table.amiss("range", two, whole)
    if high - low < 11:
        least = f"expected at least an octave from low to high, got {shown(value)}"
        return table.amiss("range", least, whole)
    return low, high


def _swing(table: Table) -> tuple[float, Fraction]:
    value = table.values.get("swing", 0.5)
    unit = Fraction(1, 2)
    if isinstance(value, dict) and (inner := table.table("swing")) is not None:
        amount = inner.number("amount", 0.5, 0.5, 0.75)
        unit = inner.parsed("unit", parse_value, unit)
        inner.end()
        return amount, unit
    table.take("swing")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.5 <= value <= 0.75:
        wanted = "expected 0.5 (straight) to 0.75, or { amount, unit }"
        return table.amiss("swing", f"{wanted}, got {shown(value)}", (0.5, unit))
    return float(value), unit


def _curve(table: Table) -> float:
    value = table.values.get("curve")
    if not isinstance(value, str):
        return table.number("curve", 1, 0.25, 4)
    return _CURVES[table.choice("curve", "linear", tuple(_CURVES))]


def _groove(table: Table) -> Groove | None:
    value = table.values.get("groove")
    inner = table.table("groove") if isinstance(value, dict) else None
    if inner is None:
        return table.parsed("groove", parse_groove, None)
    grid = inner.parsed("grid", parse_value, Fraction(1, 4))
    shifts, accents = inner.take("shifts", []), inner.take("accents", None)
    inner.end()
    try:
        if not isinstance(shifts, list) or not isinstance(accents, list | None):
            raise TypeError
        exact = tuple(Fraction(shift).limit_denominator(1000) for shift in shifts)
        return Groove(grid, exact, tuple(map(float, accents or [1.0] * len(exact))))
    except Mistake as mistake:
        table.note(mistake.within(inner.place))
    except (TypeError, ValueError, ArithmeticError):
        wanted = "expected rows of numbers for shifts and accents"
        table.amiss("groove", f"{wanted}, got {shown(value)}", None)
    return None


def _humanize(table: Table) -> tuple[float, float]:
    inner = table.table("humanize")
    if inner is None:
        return 0, 0
    time = inner.number("time_ms", 0, 0, 50) / 1000
    velocity = inner.number("velocity", 0, 0, 0.5)
    inner.end()
    return time, velocity


def _channel(table: Table, own: int) -> int:
    if "channel" not in table.values:
        table.take("channel")
        return own
    return table.whole("channel", own, 1, 16)


def _shades(table: Table) -> tuple[Shade, ...]:
    """A part's program and bank, or several, soft to bright; one bank may be for all of them."""
    programs, banks = _programs(table, "program", 1), _programs(table, "bank", 0)
    if len(banks) not in (1, len(programs)):
        wanted = f"expected one bank, or one for each of {len(programs)} programs"
        banks = table.amiss("bank", f"{wanted}, got {len(banks)}", banks[:1])
    return tuple(Shade(p, b) for p, b in zip(programs, cycle(banks), strict=False))


def _programs(table: Table, key: str, first: int) -> tuple[int | None, ...]:
    """Programs (from 1, as musicians count) or banks (from 0); kept as they are sent, from 0."""
    value, most = table.take(key), 128 if first else 16383
    if value is None:
        return (None,)
    each = value if isinstance(value, list) else [value]
    right = all(isinstance(n, int) and not isinstance(n, bool) for n in each)
    if not right or not 1 <= len(each) <= MOST_SHADES or not all(first <= n <= most for n in each):
        wanted = f"expected a whole number from {first} to {most}, or up to {MOST_SHADES} of them"
        return table.amiss(key, f"{wanted} in a list, got {shown(value)}", (None,))
    return tuple(number - first for number in each)


def _brightness(table: Table) -> int | None:
    """The controller that follows the mood's brightness: true for the usual one."""
    value = table.take("brightness", False)
    if isinstance(value, bool):
        return CUTOFF if value else None
    if not isinstance(value, int) or not 0 <= value <= 119:
        wanted = "expected true, false or a controller from 0 to 119"
        return table.amiss("brightness", f"{wanted}, got {shown(value)}", None)
    return value


def _part_outputs(table: Table, outputs: Mapping[str, OutputSpec]) -> tuple[str, ...]:
    names = table.names("output", "an output's", tuple(outputs))
    for name in names:
        if name not in outputs:
            table.amiss("output", unknown("output", name, outputs), None)
    return names
