"""Scenes: TOML text becomes checked values, or `Mistakes` that name the places and the cures."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from engines.base import LIVE, Engine, Mistake, Structured
from engines.motif import QUOTES, Motif, in_meter
from server.conductor.conductor import UNCONDUCTED, ConductorSpec
from server.conductor.moodmap import ROLES
from server.ensemble.encode import PAGE, OutputSpec, osc_name
from server.ensemble.part import PartSpec, Shade
from server.ensemble.reading import Drum, Reading, Word
from server.music.groove import Groove, parse_groove
from server.music.meter import MeterMap, parse_meters
from server.music.pitch import parse_pitch
from server.music.scale import Key, parse_key
from server.music.timeline import FASTEST, SLOWEST
from server.music.value import parse_value

from . import script
from .direction import direction
from .inputs import InputSpec, heard_at, read_inputs
from .mapping import MapSpec, read_maps
from .script import Script
from .stinger import MOST_STINGERS, StingerSpec, read_timing, read_words
from .style import find, folder, load, progression, shipped, styled
from .sync import SyncSpec, read_sync
from .table import Elsewhere, Place, Table, Text, in_file, parse, plainly, read, shown
from .themes import NO_THEMES, Themes, read_songbook, songbook
from .workshop import UNMADE, all_themes, check_live, engine_class, make_engine, theme_fields

LARGEST = 1 << 20  # bytes of a scene file
MOST_PARTS, MOST_OUTPUTS, MOST_SHADES = 256, 64, 8
CUTOFF = 74  # the controller of General MIDI 2 for brightness
DRUMS = 10  # the channel of General MIDI's drums
BARS, MOST_BARS = 32, 100_000
LONGEST_FORM = 10_000  # bars that a form may have to say how long the scene is
_MANNER = (  # keys of a part that make sense whatever its engine says
    *("role", "layer", "program", "bank", "brightness", "range", "output", "sound"),
    *("gate", "velocity", "accents", "curve", "swell", "level", "swing", "groove", "humanize"),
)
_WRITTEN = ("rules", "text")  # keys that hold the text of a part's music
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 _.-]{0,63}\Z")


def shipped_scenes() -> dict[str, Path]:
    """Every shipped scene by its name."""
    return shipped("scenes")


USUAL_SEED = 1821


class Sheet(NamedTuple):
    """What a scene was read from, as `parse_scene` was given it: it can be read otherwise."""

    text: str
    base: Path
    style: str
    file: str
    instead: Mapping[Place, str]


@dataclass(frozen=True)
class Scene:
    """Everything a scene file says, checked.

    tempo: quarter notes a minute.  tempo_asked: whether somebody has asked for it, rather than
    its text.  phrase: bars.  controls: live values by name.
    bars: how long it is where nobody says, as in a rendering.  style: whose ensemble it has.
    themes: the seed's own, which another seed invents anew.  maps: what MIDI controls.
    programs: the scenes that program changes call for, from program 1 on.
    sheet: what it was read from; None for a scene that was put together otherwise.
    script: where it was read; None where it is a text of nowhere.
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
    bars: int = BARS
    conductor: ConductorSpec = UNCONDUCTED
    style: str = ""
    themes: Themes = NO_THEMES
    stingers: tuple[StingerSpec, ...] = ()
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
    maps: tuple[MapSpec, ...] = ()
    programs: tuple[str, ...] = ()
    tempo_asked: bool = False
    sheet: Sheet | None = None
    script: Script | None = field(default=None, compare=False)
    sync: SyncSpec = field(default_factory=SyncSpec)

    @property
    def ensemble(self) -> tuple[PartSpec, ...]:
        """Everybody who may ever sound: the parts, then the stingers."""
        return (*self.parts, *(each.part for each in self.stingers))

    @property
    def recipe(self) -> dict[str, Any]:
        """What a log says of it, so that `cooked` has it again, and whether it has changed.

        A scene that is not shipped comes with its text; what that names does not.
        """
        script = self.script or Script("", "", "")
        more: dict[str, Any] = {"tempo": self.tempo} if self.tempo_asked else {}
        if self.given:
            more["rules"] = dict(self.given)
        if self.taught:
            more["themes"] = songbook(self.taught)
        if self.sheet is not None and script.file not in playable():
            more |= {"text": self.sheet.text, "base": str(self.sheet.base.absolute())}
        return {"name": self.name, **script._asdict(), "seed": self.seed, **more}

    def with_seed(self, seed: int) -> Scene:
        """The same scene from another seed, its invented themes included."""
        old, new = self.themes(self.seed), self.themes(seed)
        return replace(self.changed(lambda part: _with_themes(part, old, new)), seed=seed)

    def with_theme(self, theme: Motif) -> Scene:
        """The same scene with another theme in the place of the one of that name, or one more.

        Errors: Mistake where no theme may have this name.
        """
        old, themes = self.themes(self.seed), self.themes.having(theme)
        new = themes(self.seed)
        conductor = replace(self.conductor, themes=tuple(each.name for each in new))
        fresh = self.changed(lambda part: _with_themes(part, old, new))
        return replace(fresh, themes=themes, conductor=conductor)

    @property
    def taught(self) -> tuple[Motif, ...]:
        """The themes that somebody has played, which its text does not have."""
        known = {each.name: each for each in self.themes(self.seed)}
        return tuple(known[name] for name, _ in self.themes.taught)

    def taught_by(self, before: Scene) -> Scene:
        """The same scene with the themes that somebody has played while it was `before`.

        Where its text has another theme in the place of one, that one counts.
        """
        scene, lack = self, self.themes.lack(before.themes)
        for theme in before.taught:
            scene = scene.with_theme(theme) if theme.name in lack else scene
        return scene

    @property
    def reseeded(self) -> bool:
        """Whether it has another seed than its text gives."""
        if self.sheet is None:
            return False
        try:
            return bool(self.seed != parse(self.sheet.text).get("seed", USUAL_SEED))
        except Mistake:
            return False

    @property
    def given(self) -> Mapping[str, str]:
        """The rules that parts were given in the place of those in its text, by their names."""
        places = self.sheet.instead if self.sheet is not None else {}
        return {name: text for (_, name, _), text in places.items()}

    def rules(self, name: str) -> str:
        """The text that a part's music is written in, its rules for most; "" where it has none."""
        return next((str(getattr(p.engine, _key(p))) for p in self._called(name) if _key(p)), "")

    def rewritten(self, name: str, text: str) -> Scene:
        """The same scene with other rules for a part.

        Errors: Mistakes; lines and columns are those of the text.
        """
        found = next(iter(self._called(name)), None)
        key = "" if found is None else _key(found)
        if found is None or not key or self.sheet is None:
            what = "there is no such part" if found is None else f"{found.engine_name} has no rules"
            raise Mistake(f"parts.{name}", f"{what}; there is nothing to write")
        base, style, file = self.sheet.base, self.sheet.style, self.sheet.file
        room = "parts" if found in self.parts else "stingers"
        instead = {**self.sheet.instead, (room, name, key): text}
        fresh = parse_scene(self.sheet.text, self.name, base, style, file, instead)
        old, themes = fresh.themes(fresh.seed), self.themes(self.seed)
        fresh = fresh.changed(lambda part: _with_themes(part, old, themes))
        return self.having(name, fresh)

    def having(self, name: str, other: Scene) -> Scene:
        """The same scene with the music of a part, and its text, as another one has it."""
        [spec] = other._called(name)
        scene = self.changed(
            lambda part: (
                replace(part, engine=spec.engine, reading=spec.reading)
                if part.name == name
                else part
            )
        )
        if self.sheet is None or other.sheet is None:
            return scene
        own = {place: text for place, text in other.sheet.instead.items() if place[1] == name}
        return replace(scene, sheet=self.sheet._replace(instead={**self.sheet.instead, **own}))

    def _called(self, name: str) -> list[PartSpec]:
        return [part for part in self.ensemble if part.name == name]

    def changed(self, change: Callable[[PartSpec], PartSpec]) -> Scene:
        """The same scene with everybody in it changed so."""
        stingers = tuple(replace(each, part=change(each.part)) for each in self.stingers)
        return replace(self, parts=tuple(map(change, self.parts)), stingers=stingers)


def _key(part: PartSpec) -> str:
    """The key under which a part's music is written as a text; "" where it is not."""
    return next((k for k in _WRITTEN if isinstance(getattr(part.engine, k, None), str)), "")


def _with_themes(part: PartSpec, old: tuple[Motif, ...], new: tuple[Motif, ...]) -> PartSpec:
    """The part, with the new themes where its engine or its reading has the scene's old ones."""
    if old == new:
        return part
    engine: Any = part.engine
    fresh = {each.name: each for each in new}
    known = {each.name: each for each in old}
    for name in theme_fields(type(engine)):
        has = getattr(engine, name)
        now = tuple(
            fresh[each.name]
            if each.name in known and in_meter(known[each.name], each.bar) == each
            else each
            for each in has
        )
        if name in all_themes(type(engine)) and [each.name for each in has] == list(known) != []:
            # It has all that there are: so it stays.
            bar = has[0].bar
            now += tuple(in_meter(each, bar) for each in new if each.name not in known)
        engine = replace(engine, **{name: now}) if now != has else engine
    return replace(part, engine=engine, reading=replace(part.reading, themes=new))


def playable() -> dict[str, Path]:
    """Every shipped scene, and every shipped style whose name no scene has, by its name."""
    return shipped_scenes() | {
        name: path for name, path in shipped("styles").items() if name not in shipped_scenes()
    }


def find_scene(name: str) -> Path:
    """The file of a scene: a path, or the name of a shipped one, of a shipped style, or of yours.

    Errors: Mistake that says what is there instead, or lists what is shipped.
    """
    there = playable()
    if name in there:
        return there[name]
    path = Path(name)
    beside = path.with_name(f"{path.name}.toml") if path.name else path
    try:
        if path.is_file():
            return path
        from server.score.folders import folders  # platformdirs is wanted for few names

        if path.name == name and (own := folders()["scenes"] / f"{name}.toml").is_file():
            return own
        if name and path.exists():
            what = "a folder; name a scene in it" if path.is_dir() else "no file"
            raise Mistake(name, f"this is {what}")
        known = beside.is_file()
    except OSError as error:
        raise Mistake(name, f"cannot be read: {plainly(error)}") from None
    if known:
        raise Mistake(name, f"no scene has this name; did you mean the file {beside}?")
    if path.suffix == ".toml" or path.name != name:
        raise Mistake(name, "there is no such file")
    raise Mistake(name, f"no scene has this name; there are {', '.join(there)}, or give a path")


def load_scene(path: Path, style: str = "") -> Scene:
    """Read and check a scene file. style: instead of its own.

    A shipped style is a scene too: one that has nothing else.
    Errors: Mistakes, their places beginning with the name of the file that has them.
    """
    with script.fingerprint() as digest:
        scene = _loaded(path, style)
    file = path.stem if playable().get(path.stem) == path else str(path.absolute())
    if style and shipped("styles").get(Path(style).stem) == Path(style):
        style = Path(style).stem
    return replace(scene, script=Script(file, style, digest()))


def cooked(recipe: Mapping[str, Any]) -> Scene:
    """A scene from its recipe, but for its seed and tempo. Errors: Mistakes, as of `load_scene`."""
    made = _plainly_cooked(recipe)
    for part, rules in recipe.get("rules", {}).items():
        made = made.rewritten(str(part), str(rules))
    for theme in read_songbook(recipe["themes"]) if "themes" in recipe else ():
        made = made.with_theme(theme)
    return made


def _plainly_cooked(recipe: Mapping[str, Any]) -> Scene:
    name, file, style = (str(recipe[key]) for key in ("name", "file", "style"))
    if "text" not in recipe:
        return load_scene(find_scene(file), style)
    with script.fingerprint() as digest:
        script.read(text := str(recipe["text"]))
        made = parse_scene(text, name, Path(recipe["base"]), style, Path(file).name)
    return replace(made, script=Script(file, style, digest()))


def _loaded(path: Path, style: str) -> Scene:
    if path.parent == folder("styles"):
        return parse_scene(f'style = "{path.stem}"', path.stem, path.parent, style, path.name)
    try:
        if path.stat().st_size > LARGEST:
            raise Mistake("", f"larger than {LARGEST} bytes")
        text = path.read_text(encoding="utf-8-sig")
        script.read(text)
    except (OSError, UnicodeDecodeError) as error:
        raise in_file(path.name, Mistake("", f"cannot be read: {plainly(error)}")) from None
    except Mistake as mistake:
        raise in_file(path.name, mistake) from None
    return parse_scene(text, path.stem, path.parent, style, path.name)


def parse_scene(
    text: str,
    name: str = "scene",
    base: Path | None = None,
    style: str = "",
    file: str = "",
    instead: Mapping[Place, str] = MappingProxyType({}),
) -> Scene:
    """Check a scene's text. base: the folder that its tunes are looked for in.  style: see
    `load_scene`.  file: its name, with which the places of its mistakes begin.  instead: as of
    `table.read`.

    Errors: Mistakes, up to 100 of them; lines and columns are those of the whole text, or of the
    style, progression or map that has the mistake.
    """
    base = base or Path()
    made = read(text, lambda top: _scene(top, name, base, style, instead), file, instead)
    return replace(made, sheet=Sheet(text, base, style, file, instead))


def _scene(top: Table, name: str, base: Path, other: str, instead: Mapping[Place, str]) -> Scene:
    style = _dressed(top, base, other)
    for (room, part, written), text in instead.items():
        inner = top.values.get(room)
        if isinstance(inner, dict) and isinstance(inner.get(part), dict):
            top.values[room] = {**inner, part: {**inner[part], written: text}}
    title = top.text("title", name)
    tempo = top.number("tempo", 120, SLOWEST, FASTEST)
    meters = top.parsed("meter", parse_meters, parse_meters("4/4"))
    key = top.parsed("key", parse_key, parse_key("C major"))
    seed = top.whole("seed", USUAL_SEED, 0, 2**63 - 1)
    phrase = top.whole("phrase", 4, 1, 64)
    said = "bars" in top.values
    bars = top.whole("bars", BARS, 1, MOST_BARS)
    controls = _controls(top.table("controls"))
    outputs = _outputs(top.table("outputs"))
    inputs = read_inputs(top.table("inputs"))
    sync = read_sync(top.table("sync"))
    maps = read_maps(top.table("map"))
    programs = _names(top, "programs", "a scene's", ())
    feel = _feel(top)
    themes = Themes.read(top.table("themes"), base, key, meters)
    motifs = themes(seed)
    bar = meters.bar_at(Fraction(0)).meter.length
    shared = _Shared({*LIVE, *controls}, outputs, base, bar, motifs, inputs)
    conductor = direction(top, base, motifs, lambda table: _order(table, shared))
    if not said:
        bars = conductor.form.length(seed, LONGEST_FORM) or bars
    parts_table, stings = top.table("parts"), top.table("stingers")
    top.end()
    parts = [] if parts_table is None else _parts(parts_table, feel, shared)
    stingers = [] if stings is None else _stingers(stings, parts, feel, shared)
    return Scene(
        *(name, title, tempo, meters, key, seed, phrase, controls, tuple(parts), outputs, bars),
        *(conductor, style, themes, tuple(stingers), inputs, maps, programs),
        sync=sync,
    )


class _Shared(NamedTuple):
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


def _dressed(top: Table, base: Path, other: str) -> str:
    """Lay the scene's tables over those of its style, or of another one; the style's name.

    Errors: Mistake where there is no such style: without it nothing else can be judged.
    """
    own = top.text("style")
    name = other or own
    if name:
        try:
            path = find("styles", name, base)
        except Mistake as mistake:
            raise mistake.within("style") from None
        style = load(path, base)
        beneath = style.values
        if name != own:
            _leave_strangers(top.values, beneath)
            beneath = _make_room(beneath, top.values)
        top.values = styled(top.values, beneath)
        top.texts.append(Text(style.name, style.text))
        name = path.stem
    return name


def _leave_strangers(scene: dict[str, Any], style: Mapping[str, Any]) -> None:
    """Take out what the scene says of its own style's parts, which another one does not have."""
    parts, others = scene.get("parts"), style.get("parts")
    if isinstance(parts, dict) and isinstance(others, dict):
        scene["parts"] = {
            name: part
            for name, part in parts.items()
            if name in others or not isinstance(part, dict) or part.keys() & {"engine", "harmony"}
        }


def _make_room(style: Mapping[str, Any], scene: Mapping[str, Any]) -> dict[str, Any]:
    """A style whose parts leave their music to those of the scene that have one of their own."""
    parts, others = style.get("parts"), scene.get("parts")
    if not isinstance(parts, dict) or not isinstance(others, dict):
        return dict(style)
    own = {
        name
        for name, part in others.items()
        if isinstance(part, dict) and part.keys() & {"engine", "harmony"}
    }
    return {
        **style,
        "parts": {
            name: {key: part[key] for key in _MANNER if key in part}
            if name in own and isinstance(part, dict)
            else part
            for name, part in parts.items()
        },
    }


def _order(table: Table, shared: _Shared) -> Engine | None:
    """The engine that orders a form's sections."""
    name, made = engine_class(table)
    return None if made is None else shared.engine(name, made, table)


def _feel(top: Table) -> dict[str, Any]:
    """What holds for every part that says nothing else, as written; checked here, once."""
    words = ("swing", "groove", "humanize", "brightness")
    feel = {word: top.values[word] for word in words if word in top.values}
    before = len(top.wrong)
    for check in (_swing, _groove, _humanize, _brightness):
        check(top)
    return feel if len(top.wrong) == before else {}


def _parts(table: Table, feel: Mapping[str, Any], shared: _Shared) -> list[PartSpec]:
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
            parts.append(_part(name, inner, shared))
    _check_addresses(names[:MOST_PARTS], (), table)
    _check_listening(parts, table, shared.inputs)
    return _with_channels(parts)


def _stingers(
    table: Table, parts: Sequence[PartSpec], feel: Mapping[str, Any], shared: _Shared
) -> list[StingerSpec]:
    names, stingers = {part.name for part in parts}, []
    if len(table.values) > MOST_STINGERS:
        problem = f"expected at most {MOST_STINGERS} stingers, got {len(table.values)}"
        table.note(Mistake(table.place, problem))
    for name in list(table.values)[:MOST_STINGERS]:
        if not NAME.match(name) or name in names:
            wanted = "expected letters, digits, spaces and _ . - only, and no name of a part"
            table.amiss(name, wanted, None)
        inner = table.table(name)
        if inner is not None:
            inner.values = {**feel, **inner.values}
            timing = read_timing(inner, shared.bar)
            part = _part(name, inner, shared, read_words(inner, shared.themes))
            if part.shades:
                inner.amiss("program", "a stinger has one program; give it the one that fits", None)
            stingers.append(StingerSpec(part, *timing))
    _check_addresses([each.part.name for each in stingers], names, table)
    taken = (part.channel for part in parts)
    placed = _with_channels([each.part for each in stingers], taken)
    return [replace(each, part=part) for each, part in zip(stingers, placed, strict=True)]


def _check_addresses(names: Iterable[str], others: Iterable[str], table: Table) -> None:
    """No two have one OSC address, in which a space is written as _."""
    heard = {osc_name(name): name for name in others}
    for name in names:
        other = heard.setdefault(osc_name(name), name)
        if other != name:
            problem = f"its OSC address is that of {other!r}, /part/{osc_name(name)}; rename one"
            table.amiss(name, problem, None)


def _with_channels(parts: list[PartSpec], others: Iterable[int] = ()) -> list[PartSpec]:
    """Those without a channel (0) on the next free one; else on shared ones, from 16 down."""
    taken = {DRUMS, *others, *(part.channel for part in parts)}
    free = iter([channel for channel in range(1, 17) if channel not in taken])
    shared = cycle(channel for channel in range(16, 0, -1) if channel != DRUMS)
    return [
        part if part.channel else replace(part, channel=next(free, 0) or next(shared))
        for part in parts
    ]


def _controls(table: Table | None) -> dict[str, float]:
    controls: dict[str, float] = {}
    if table is None:
        return controls
    for name in list(table.values):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name) or name in ("bar", "beat"):
            wanted = "expected a name of small letters, digits and _, not bar or beat"
            table.amiss(name, wanted, None)
        controls[name] = table.number(name, 0.0, -1e6, 1e6)
    return controls


def _outputs(table: Table | None) -> dict[str, OutputSpec]:
    if table is None:
        return {}
    names = list(table.values)
    if len(names) > MOST_OUTPUTS:
        problem = f"expected at most {MOST_OUTPUTS} outputs, got {len(names)}"
        table.note(Mistake(table.place, problem))
    return {name: _output(name, table.table(name)) for name in names}


def _output(name: str, table: Table | None) -> OutputSpec:
    """One output; where it cannot be told what it is, one of that name that parts can go to."""
    if table is None:
        return OutputSpec(name, "midi", "virtual")
    if not NAME.match(name):
        wanted = "expected a name of 1 to 64 letters, digits, spaces, _ . -"
        table.note(Mistake(table.place, wanted))
    kinds = [kind for kind in ("midi", "osc") if table.values.get(kind, "") != ""]
    if len(kinds) != 1:
        problem = "expected either midi = 'PORT' or osc = 'HOST:PORT'"
        table.note(Mistake(table.place, problem))
        return OutputSpec(name, "midi", "virtual")
    midi, osc = table.text("midi"), table.text("osc")
    offset = round(table.number("offset_ms", 0, -1000, 1000) * 1e6)
    if kinds == ["midi"]:
        rate = table.take("rate", 0)
        if rate == "din":
            rate = 3125
        if not isinstance(rate, int) or isinstance(rate, bool) or not 0 <= rate <= 10**7:
            rate = table.amiss("rate", f"expected 'din' or bytes a second, got {shown(rate)}", 0)
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
            table.amiss("prefix", f"expected such as '/componium', got {shown(prefix)}", None)
        ahead = table.number("ahead_ms", 200 if timing == "bundle" else 0, 0, 2000)
        spec = OutputSpec(
            name,
            "osc",
            osc,
            offset,
            timing=timing,
            ahead=round(ahead * 1e6),
            prefix=prefix,
            preset=preset,
            why=table.flag("why"),
        )
        if osc:
            try:
                check_target(osc, table.at("osc"))
            except Mistake as mistake:
                table.note(mistake)
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


def _part(name: str, table: Table, shared: _Shared, given: Engine | None = None) -> PartSpec:
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
        listens=_names(table, "listens", "a part's", ()),
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


#: Stands for a progression that cannot be read, while the rest of its part is checked.
_TONIC: dict[str, Any] = {"engine": "grammar", "rules": "S -> ton"}


def _harmonised(table: Table, shared: _Shared) -> None:
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
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names[:20])}"
            table.note(Mistake(f"{place}.{name}", f"the engine has no symbol {name!r}; {hint}"))
    lost = [name for name in names if name not in structure and reading.words(name) is None]
    known = [*(name for name in names if name not in lost), *_HEARD_OF]
    strange = []
    for symbol in lost:
        if symbol.startswith(QUOTES):
            table.note(_misquoted(symbol, reading).within(place))
            continue
        near = difflib.get_close_matches(symbol, known, 1)
        if near:
            _lacks_meaning(symbol, f"did you mean {near[0]!r}? or ", table)
        else:
            strange.append(symbol)
    if strange:
        nor = f"nor have {', '.join(map(repr, strange[1:8]))}; " if strange[1:] else ""
        _lacks_meaning(strange[0], nor, table)


def _misquoted(symbol: str, reading: Reading) -> Mistake:
    """What is wrong with a symbol that would quote a theme."""
    try:
        reading.quotes(symbol)
    except Mistake as mistake:
        return mistake.within(symbol)
    raise AssertionError(symbol)


def _lacks_meaning(symbol: str, more: str, table: Table) -> None:
    problem = f"the symbol {symbol!r} has no meaning by its name; {more}give it one, such as"
    table.amiss("reading", f"{problem} reading = {{ {json.dumps(symbol)} = '1 1/4' }}", None)


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


_HEARD_OF = ("Whole", "Half", "Quarter", "Eighth", "Sixteenth", "Rest", "Kick", "Snare", "Hat")
_CURVES = {"linear": 1.0, "soft": 0.6, "hard": 1.6}


def _curve(table: Table) -> float:
    value = table.values.get("curve")
    if not isinstance(value, str):
        return table.number("curve", 1, 0.25, 4)
    return _CURVES[table.choice("curve", "linear", tuple(_CURVES))]


def _names(table: Table, key: str, whose: str, default: Sequence[str]) -> tuple[str, ...]:
    value = table.take(key, list(default))
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        wanted = f"expected {whose} name or several"
        return table.amiss(key, f"{wanted}, got {shown(value)}", tuple(default))
    return tuple(dict.fromkeys(names))


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
                there = ", ".join([*heard, *inputs])
                table.amiss(place, f"no part or input is called {name!r}; there are: {there}", None)
        if part.input and part.input not in inputs:
            there = ", ".join(inputs) or "none in this scene"
            problem = f"no input is called {part.input!r}; there are: {there}"
            table.amiss(f"{part.name}.input", problem, None)
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
    names = _names(table, "output", "an output's", tuple(outputs))
    for name in names:
        if name not in outputs:
            there = ", ".join(outputs) or "none in this scene"
            table.amiss("output", f"no output is called {name!r}; there are: {there}", None)
    return names


def routed(
    scene: Scene,
    midi: str = "",
    osc: tuple[str, ...] = (),
    why: bool = False,
    midi_in: tuple[str, ...] = (),
) -> Scene:
    """The scene with outputs and inputs from the command line.

    midi: "" leaves the scene's; "none" takes MIDI away; anything else (a port's name, or
    "virtual") takes the place of every MIDI output. A scene without any output gets virtual
    MIDI ports.  osc: targets that hear every part, besides the scene's own.  why: whether
    every OSC output, the scene's own too, is told each note's symbol and origin.  midi_in: see
    `heard_at`.
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
    if why:
        outputs = {
            name: replace(spec, why=spec.kind == "osc" and not spec.preset)
            for name, spec in outputs.items()
        }
    if len(outputs) > MOST_OUTPUTS:
        raise Mistake("--osc", f"expected at most {MOST_OUTPUTS} outputs, got {len(outputs)}")

    def heard(part: PartSpec) -> PartSpec:
        kept = [name for name in part.outputs if name in outputs]
        return replace(part, outputs=tuple(dict.fromkeys(kept + list(added))))

    inputs = heard_at(scene.inputs, midi_in)
    return replace(scene.changed(heard), outputs=outputs, inputs=inputs)


def redirected(
    scene: Scene, target: str, why: bool = False, midi_in: tuple[str, ...] = ()
) -> Scene:
    """The scene with one output in place of its own, and nothing else.

    target: "none", "virtual" for MIDI ports, or HOST:PORT by OSC.  why, midi_in: as of `routed`.
    Errors: Mistake.
    """
    scene = replace(scene.changed(lambda part: replace(part, outputs=())), outputs={})
    osc = () if target in ("none", "virtual") else (target,)
    return routed(scene, "virtual" if target == "virtual" else "none", osc, why, midi_in)


def overheard(scene: Scene) -> Scene:
    """The scene with every part going to whoever listens to what is planned, too."""
    outputs = {**scene.outputs, PAGE.name: PAGE}
    heard = scene.changed(lambda part: replace(part, outputs=(*part.outputs, PAGE.name)))
    return replace(heard, outputs=outputs)
