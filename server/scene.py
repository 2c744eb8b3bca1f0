"""Scenes: TOML text becomes checked values, or a `Mistake` that names the place and the cure."""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import engines
from engines.base import Engine, Mistake

from .encode import OutputSpec
from .music.groove import Groove, parse_groove
from .music.meter import MeterMap, parse_meters
from .music.pitch import parse_pitch
from .music.scale import Key, parse_key
from .music.timeline import FASTEST, SLOWEST
from .music.value import parse_value
from .part import PartSpec
from .reading import Drum, Reading, Struck

LARGEST = 1 << 20  # bytes of a scene file
MOST_PARTS, MOST_OUTPUTS = 256, 64
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _.-]{0,63}\Z")
MAIN = Path(__file__).resolve().parent


def scenes_folder() -> Path:
    """Where the shipped scenes are, in a checkout or in an installed package."""
    installed = MAIN / "config" / "scenes"
    return installed if installed.is_dir() else MAIN.parent / "config" / "scenes"


def shipped_scenes() -> dict[str, Path]:
    """Every shipped scene by its name."""
    return {path.stem: path for path in sorted(scenes_folder().glob("*.toml"))}


@dataclass(frozen=True)
class Scene:
    """Everything a scene file says, checked.

    tempo: quarter notes a minute.  phrase: bars.  controls: live values by name.
    """

    name: str
    title: str
    tempo: float
    meters: MeterMap
    key: Key
    seed: int
    phrase: int
    controls: Mapping[str, float]
    parts: tuple[PartSpec, ...]
    outputs: Mapping[str, OutputSpec]
    conductor: ConductorSpec = field(default_factory=ConductorSpec)

    def with_seed(self, seed: int) -> Scene:
        return replace(self, seed=seed)


class Table:
    """A TOML table being read: hands out checked values and, at the end, names what is left."""

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, dict):
            raise Mistake(place, f"expected a table, got {values!r}")
        self.values: dict[str, Any] = dict(values)
        self.place = place
        self._asked: list[str] = []

    def at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def take(self, key: str, default: Any = None) -> Any:
        self._asked.append(key)
        return self.values.pop(key, default)

    def text(self, key: str, default: str = "") -> str:
        value = self.take(key, default)
        if not isinstance(value, str):
            raise Mistake(self.at(key), f"expected text in quotes, got {value!r}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise Mistake(self.at(key), f"expected true or false, got {value!r}")
        return value

    def number(self, key: str, default: float, low: float, high: float) -> float:
        value = self.take(key, default)
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not low <= value <= high:
            raise Mistake(
                self.at(key), f"expected a number from {low:g} to {high:g}, got {value!r}"
            )
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        value = self.take(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Mistake(
                self.at(key), f"expected a whole number from {low} to {high}, got {value!r}"
            )
        return value

    def choice(self, key: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in choices:
            listed = ", ".join(repr(choice) for choice in choices if choice)
            raise Mistake(self.at(key), f"expected one of {listed}, got {value!r}")
        return value

    def parsed(self, key: str, parse: Callable[[Any], Any], default: Any = None) -> Any:
        """A value through one of the music parsers, its mistakes placed here."""
        value = self.take(key)
        if value is None:
            return default
        try:
            return parse(value)
        except Mistake as mistake:
            raise (
                mistake.within(self.at(key))
                if mistake.place
                else Mistake(self.at(key), mistake.problem)
            ) from None
        except (TypeError, AttributeError):
            raise Mistake(self.at(key), f"expected text in quotes, got {value!r}") from None

    def table(self, key: str) -> Table:
        return Table(self.take(key, {}), self.at(key))

    def end(self) -> None:
        """Nothing may be left over: a misspelt key is a mistake, not a silence."""
        for key in self.values:
            close = difflib.get_close_matches(key, self._asked, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(self._asked)}"
            raise Mistake(self.at(key), f"nothing has this name here; {hint}")


def find_scene(name: str) -> Path:
    """The file of a scene: a path, or the name of a shipped one.

    Errors: Mistake that lists what is shipped.
    """
    shipped = shipped_scenes()
    if name in shipped:
        return shipped[name]
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if path.is_file():
            return path
        raise Mistake(name, "there is no such file")
    raise Mistake(name, f"no scene has this name; there are {', '.join(shipped)}, or give a path")


def load_scene(path: Path) -> Scene:
    """Read and check a scene file.

    Errors: Mistake, its place beginning with the file's name.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise Mistake(path.name, f"larger than {LARGEST} bytes")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(path.name, f"cannot be read: {_plainly(error)}") from None
    try:
        return parse_scene(text, path.stem, path.parent)
    except Mistake as mistake:
        raise Mistake(
            f"{path.name}: {mistake.place}" if mistake.place else path.name,
            mistake.problem,
            mistake.line,
            mistake.column,
        ) from None


def parse_scene(text: str, name: str = "scene", base: Path | None = None) -> Scene:
    """Check a scene's text. base: the folder that its tunes are looked for in."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _toml_mistake(str(error), text) from None
    except RecursionError:
        raise Mistake("", "nested too deeply") from None
    top = Table(values, "")
    title = top.text("title", name)
    tempo = top.number("tempo", 120, SLOWEST, FASTEST)
    meters = top.parsed("meter", parse_meters, parse_meters("4/4"))
    key = top.parsed("key", parse_key, parse_key("C major"))
    seed = top.whole("seed", 1821, 0, 2**63 - 1)
    phrase = top.whole("phrase", 4, 1, 64)
    controls = _controls(top.table("controls"))
    outputs = _outputs(top.table("outputs"))
    feel = {word: top.take(word) for word in ("swing", "groove", "humanize")}
    parts_table = top.table("parts")
    top.end()
    if not parts_table.values:
        raise Mistake("parts", "expected at least one part, such as [parts.melody]")
    if len(parts_table.values) > MOST_PARTS:
        found = len(parts_table.values)
        raise Mistake("parts", f"expected at most {MOST_PARTS} parts, got {found}")
    parts = []
    for part_name in list(parts_table.values):
        if not NAME.match(part_name):
            raise Mistake(
                parts_table.at(part_name),
                "expected a name of 1 to 64 letters, digits, spaces and _ . - only",
            )
        table = parts_table.table(part_name)
        for word, value in feel.items():
            if value is not None:
                table.values.setdefault(word, value)
        parts.append(_part(part_name, table, outputs, base or Path()))
    _check_listening(parts)
    return Scene(name, title, tempo, meters, key, seed, phrase, controls, tuple(parts), outputs)


def _toml_mistake(message: str, text: str) -> Mistake:
    found = re.search(r"\(at line (\d+), column (\d+)\)", message)
    problem = re.sub(r"\s*\(at .*\)$", "", message)
    if found:
        return Mistake("", f"{problem} (TOML)", int(found[1]), int(found[2]))
    return Mistake("", f"{problem} (TOML)", len(text.splitlines()))


def _controls(table: Table) -> dict[str, float]:
    controls = {}
    for name in list(table.values):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or name in ("bar", "beat"):
            raise Mistake(
                table.at(name), "expected a name of small letters, digits and _, not bar or beat"
            )
        controls[name] = table.number(name, 0.0, -1e6, 1e6)
    return controls


def _outputs(table: Table) -> dict[str, OutputSpec]:
    if len(table.values) > MOST_OUTPUTS:
        raise Mistake(
            table.place, f"expected at most {MOST_OUTPUTS} outputs, got {len(table.values)}"
        )
    return {name: _output(name, table.table(name)) for name in list(table.values)}


def _output(name: str, table: Table) -> OutputSpec:
    if not NAME.match(name):
        raise Mistake(table.place, "expected a name of 1 to 64 letters, digits, spaces, _ . -")
    midi, osc = table.text("midi"), table.text("osc")
    if bool(midi) == bool(osc):
        raise Mistake(table.place, "expected either midi = 'PORT' or osc = 'HOST:PORT'")
    offset = round(table.number("offset_ms", 0, -1000, 1000) * 1e6)
    if midi:
        rate = table.take("rate", 0)
        if rate == "din":
            rate = 3125
        if not isinstance(rate, int) or isinstance(rate, bool) or not 0 <= rate <= 10**7:
            raise Mistake(table.at("rate"), f"expected 'din' or bytes a second, got {rate!r}")
        spec = OutputSpec(
            name,
            "midi",
            midi,
            offset,
            clock=table.flag("clock"),
            rate=rate,
            sensing=table.flag("sensing"),
        )
    else:
        preset = table.choice("preset", "", ("", "superdirt"))
        timing = table.choice("timing", "bundle" if preset else "live", ("live", "bundle", "stamp"))
        prefix = table.text("prefix", "/componium")
        if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)*", prefix):
            raise Mistake(table.at("prefix"), f"expected such as '/componium', got {prefix!r}")
        ahead = table.number("ahead_ms", 200 if timing == "bundle" else 0, 0, 2000)
        spec = OutputSpec(
            name,
            "osc",
            check_target(osc, table.at("osc")),
            offset,
            timing=timing,
            ahead=round(ahead * 1e6),
            prefix=prefix,
            preset=preset,
            why=table.flag("why"),
        )
    table.end()
    return spec


def check_target(text: str, place: str) -> str:
    """HOST:PORT, as it was, or a Mistake."""
    host, _, port = text.rpartition(":")
    right = host.isprintable() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
    try:
        host.strip("[]").encode("idna")
    except UnicodeError:
        right = False
    if not host.strip("[]") or not right:
        raise Mistake(place, f"expected HOST:PORT such as '127.0.0.1:9000', got {text!r}")
    return text


def _part(name: str, table: Table, outputs: Mapping[str, OutputSpec], base: Path) -> PartSpec:
    engine_name = table.text("engine")
    if not engine_name:
        known = ", ".join(engines.names())
        raise Mistake(table.at("engine"), f"expected an engine's name, one of {known}")
    engine = _engine(engine_name, table, base)
    reading = table.parsed("reading", Reading.of, Reading({}))
    alphabet = engine.alphabet()
    _check_reading(reading, engine, engine_name, table)
    low, high = _range(table)
    swing, unit = _swing(table)
    human_time, human_velocity = _humanize(table)
    channel = table.values.get("channel")
    drums = channel is None and _only_drums(reading, alphabet)
    spec = PartSpec(
        name=name,
        engine=engine,
        engine_name=engine_name,
        reading=reading,
        together=table.flag("chord"),
        grid=table.parsed("grid", parse_value),
        octave=table.whole("octave", 4, -1, 9),
        low=low,
        high=high,
        nearest=table.flag("nearest"),
        fit=table.choice("fit", "", ("", "key", "chord")),
        voices=table.whole("voices", 4, 1, 8),
        gate=table.number("gate", 0.9, 0.01, 2),
        velocity=table.number("velocity", 0.75, 0, 1),
        accents=table.number("accents", 0.25, 0, 1),
        curve=_curve(table),
        swell=table.number("swell", 0, 0, 1),
        swing=swing,
        swing_unit=unit,
        groove=_groove(table),
        human_time=human_time,
        human_velocity=human_velocity,
        channel=table.whole("channel", 10 if drums else 1, 1, 16),
        program=_program(table, "program", 1),
        bank=_program(table, "bank", 0),
        outputs=_part_outputs(table, outputs),
        sound=table.text("sound"),
        level=table.number("level", 1, 0, 2),
        density=table.number("density", 1, 0, 1),
        mute=table.flag("mute"),
        enters=table.whole("enters", 1, 1, 100_000),
        listens=_names(table, "listens"),
    )
    table.end()
    return spec


def _engine(name: str, table: Table, base: Path) -> Engine:
    try:
        made = engines.engine_class(name)
    except KeyError:
        known = ", ".join(engines.names())
        raise Mistake(table.at("engine"), f"expected one of {known}, got {name!r}") from None
    arguments = {}
    for field in fields(made):
        if not field.init:
            continue
        value = table.take(field.name)
        if value is not None:
            arguments[field.name] = _argument(field, value, table, base)
        elif field.default is MISSING and field.default_factory is MISSING:
            close = difflib.get_close_matches(field.name, table.values, 1)
            hint = f"; is it what {close[0]!r} is meant to be?" if close else ""
            raise Mistake(table.at(field.name), f"the {name} engine needs it{hint}")
    try:
        engine: Engine = made(**arguments)
    except Mistake as mistake:
        raise mistake.within(table.place) from None
    return engine


def _argument(field: Field[Any], value: Any, table: Table, base: Path) -> Any:
    place = table.at(field.name)
    reads = field.metadata.get("reads")
    if reads == "tunes":
        from .tunes import read_tunes

        patterns = [value] if isinstance(value, str) else value
        if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
            raise Mistake(place, f"expected file patterns such as ['tunes/*.mid'], got {value!r}")
        return read_tunes(patterns, base, place)
    if reads == "json":
        return _json(value, base, place)
    if isinstance(value, list):
        return tuple(value)
    default = None if field.default is MISSING else field.default
    if isinstance(default, bool) != isinstance(value, bool) and default is not None:
        raise Mistake(place, f"expected {type(default).__name__}, got {value!r}")
    if isinstance(default, float) and isinstance(value, int):
        return float(value)
    if field.type in ("str", "int", "float") or field.type in (str, int, float):
        wanted = field.type if isinstance(field.type, str) else field.type.__name__
        fits = {"str": str, "int": int, "float": (int, float)}[wanted]
        if not isinstance(value, fits):  # type: ignore[arg-type]
            words = {"str": "text in quotes", "int": "a whole number", "float": "a number"}
            raise Mistake(place, f"expected {words[wanted]}, got {value!r}")
    return value


def _json(value: Any, base: Path, place: str) -> Any:
    if not isinstance(value, str):
        raise Mistake(place, f"expected a file's name, got {value!r}")
    path = (base / value).resolve()
    if not path.is_relative_to(base.resolve()) and not Path(value).is_absolute():
        raise Mistake(place, f"{value!r} lies outside the scene's folder")
    try:
        if path.stat().st_size > 64 * LARGEST:
            raise Mistake(place, f"{value!r} is larger than 64 MiB")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, Mistake):
            raise
        raise Mistake(place, f"{value!r} cannot be read: {_plainly(error)}") from None


def _plainly(error: Exception) -> str:
    """What a person can do something about, without the system's own words where it has any."""
    if isinstance(error, OSError):
        return error.strerror or "the system refuses"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text, from byte {error.start + 1} on"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def _check_reading(reading: Reading, engine: Engine, engine_name: str, table: Table) -> None:
    """Every symbol has a meaning, and every meaning a symbol."""
    alphabet = engine.alphabet()
    if alphabet is None:
        return
    names = sorted(alphabet)
    place = table.at("reading")
    for name in reading.table:
        written = (
            engine_name == "lsystem"
            and name in f"{getattr(engine, 'axiom', '')}{getattr(engine, 'rules', '')}"
        )
        if name not in alphabet and not written:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names[:20])}"
            raise Mistake(f"{place}.{name}", f"the engine has no symbol {name!r}; {hint}")
    if engine_name == "lsystem":
        return  # its symbols may be structure only
    known = [name for name in names if reading.words(name) is not None]
    for symbol in names:
        if reading.words(symbol) is None:
            near = difflib.get_close_matches(symbol, [*known, *_HEARD_OF], 1)
            hint = f"did you mean {near[0]!r}? or " if near else ""
            raise Mistake(
                place,
                f"the symbol {symbol!r} has no meaning by its name; {hint}"
                f"give it one, such as reading = {{ {json.dumps(symbol)} = '1 1/4' }}",
            )


def _only_drums(reading: Reading, alphabet: frozenset[str] | None) -> bool:
    atoms = [
        atom
        for name in alphabet or ()
        for word in reading.words(name) or ()
        if isinstance(word, Struck)
        for atom in word.hit.atoms
    ]
    return bool(atoms) and all(isinstance(atom, Drum) for atom in atoms)


def _range(table: Table) -> tuple[int, int]:
    value = table.take("range")
    place = table.at("range")
    if value is None:
        return 0, 127
    if not isinstance(value, list) or len(value) != 2:
        raise Mistake(place, f"expected two pitches such as ['C3', 'C5'], got {value!r}")
    try:
        low, high = (parse_pitch(pitch).midi for pitch in value)
    except (Mistake, TypeError, AttributeError):
        raise Mistake(place, f"expected two pitches such as ['C3', 'C5'], got {value!r}") from None
    if high - low < 11:
        raise Mistake(place, f"expected at least an octave from low to high, got {value!r}")
    return low, high


def _swing(table: Table) -> tuple[float, Fraction]:
    value = table.take("swing", 0.5)
    place = table.at("swing")
    unit = Fraction(1, 2)
    if isinstance(value, dict):
        inner = Table(value, place)
        value = inner.number("amount", 0.5, 0.5, 0.75)
        unit = inner.parsed("unit", parse_value, unit)
        inner.end()
    if not isinstance(value, (int, float)) or not 0.5 <= value <= 0.75:
        raise Mistake(
            place, f"expected 0.5 (straight) to 0.75, or {{ amount, unit }}, got {value!r}"
        )
    return float(value), unit


_HEARD_OF = ("Whole", "Half", "Quarter", "Eighth", "Sixteenth", "Rest", "Kick", "Snare", "Hat")
_CURVES = {"linear": 1.0, "soft": 0.6, "hard": 1.6}


def _curve(table: Table) -> float:
    value = table.values.get("curve")
    if not isinstance(value, str):
        return table.number("curve", 1, 0.25, 4)
    return _CURVES[table.choice("curve", "linear", tuple(_CURVES))]


def _names(table: Table, key: str) -> tuple[str, ...]:
    value = table.take(key, [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Mistake(table.at(key), f"expected a part's name or several, got {value!r}")
    return tuple(dict.fromkeys(names))


def _check_listening(parts: list[PartSpec]) -> None:
    """Whoever is listened to is there, leads nobody round in a ring, and hears no chords late."""
    heard = {part.name: part.listens for part in parts}
    for part in parts:
        place = f"parts.{part.name}.listens"
        for name in part.listens:
            if name not in heard:
                raise Mistake(place, f"no part is called {name!r}; there are: {', '.join(heard)}")
        reached, around = set(part.listens), list(part.listens)
        while around:
            fresh = set(heard[around.pop()]) - reached
            reached |= fresh
            around += fresh
        if part.name in reached:
            raise Mistake(place, "the part would hear itself in the end; break the ring")
    leader = next((p for p in parts if p.reading.leads(p.engine.alphabet())), None)
    if leader is not None and leader.listens:
        raise Mistake(
            f"parts.{leader.name}.listens",
            "the part that leads the harmony is asked first and cannot listen to others",
        )


def _groove(table: Table) -> Groove | None:
    value = table.values.get("groove")
    if not isinstance(value, dict):
        groove: Groove | None = table.parsed("groove", parse_groove)
        return groove
    inner = table.table("groove")
    grid = inner.parsed("grid", parse_value, Fraction(1, 4))
    shifts, accents = inner.take("shifts", []), inner.take("accents", None)
    inner.end()
    try:
        if not isinstance(shifts, list) or not isinstance(accents, list | None):
            raise TypeError
        exact = tuple(Fraction(shift).limit_denominator(1000) for shift in shifts)
        return Groove(grid, exact, tuple(map(float, accents or [1.0] * len(exact))))
    except Mistake as mistake:
        raise mistake.within(inner.place) from None
    except (TypeError, ValueError, ArithmeticError):
        raise Mistake(
            inner.place, f"expected rows of numbers for shifts and accents, got {value!r}"
        ) from None


def _humanize(table: Table) -> tuple[float, float]:
    inner = table.table("humanize")
    time = inner.number("time_ms", 0, 0, 50) / 1000
    velocity = inner.number("velocity", 0, 0, 0.5)
    inner.end()
    return time, velocity


def _program(table: Table, key: str, first: int) -> int | None:
    """A program (from 1, as musicians count) or bank (from 0); kept as it is sent, from 0."""
    if key not in table.values:
        table.take(key)
        return None
    return table.whole(key, first, first, 128 if first else 16383) - first


def _part_outputs(table: Table, outputs: Mapping[str, OutputSpec]) -> tuple[str, ...]:
    value = table.take("output", list(outputs))
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Mistake(table.at("output"), f"expected an output's name, got {value!r}")
    for name in names:
        if name not in outputs:
            there = ", ".join(outputs) or "none in this scene"
            raise Mistake(table.at("output"), f"no output is called {name!r}; there are: {there}")
    return tuple(dict.fromkeys(names))


def routed(scene: Scene, midi: str = "", osc: tuple[str, ...] = ()) -> Scene:
    """The scene with outputs from the command line.

    midi: "" leaves the scene's; "none" takes MIDI away; anything else (a port's name, or
    "virtual") takes the place of every MIDI output. A scene without any output gets virtual
    MIDI ports.  osc: targets that hear every part, besides the scene's own.
    Errors: Mistake where a target is not HOST:PORT, or where they are too many.
    """
    outputs = dict(scene.outputs)
    if not midi and not outputs:
        midi = "virtual"
    added: dict[str, OutputSpec] = {}
    if midi:
        olds = [spec for spec in outputs.values() if spec.kind == "midi"]
        outputs = {name: spec for name, spec in outputs.items() if spec.kind != "midi"}
        if midi != "none":
            pattern = olds[0] if olds else OutputSpec("midi", "midi", midi)
            added["midi"] = replace(pattern, name="midi", target=midi)
    for target in osc:
        # A target that the scene has already hears everything, but nothing twice.
        known = next((spec for spec in outputs.values() if spec.target == target), None)
        fresh = OutputSpec(f"osc {target}", "osc", check_target(target, "--osc"))
        spec = known or fresh
        added[spec.name] = spec
    outputs.update(added)
    if len(outputs) > MOST_OUTPUTS:
        raise Mistake("--osc", f"expected at most {MOST_OUTPUTS} outputs, got {len(outputs)}")
    parts = tuple(
        replace(
            part,
            outputs=tuple(
                dict.fromkeys([name for name in part.outputs if name in outputs] + list(added))
            ),
        )
        for part in scene.parts
    )
    return replace(scene, outputs=outputs, parts=parts)
