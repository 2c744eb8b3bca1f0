"""Scenes: TOML text becomes checked values, or `Mistakes` that name the places and the cures."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from engines.base import LIVE, Engine, Mistake, unknown
from engines.motif import Motif, in_meter
from server.conductor.conductor import UNCONDUCTED, ConductorSpec
from server.ensemble.encode import PAGE, OutputSpec
from server.ensemble.part import PartSpec
from server.music.meter import MeterMap, parse_meters
from server.music.scale import Key, parse_key
from server.music.timeline import FASTEST, SLOWEST

from . import script
from .direction import direction
from .inputs import InputSpec, heard_at, read_inputs
from .mapping import MapSpec, read_maps
from .outputs import MOST_OUTPUTS, check_target, read_outputs
from .parts import Shared, read_feel, read_parts
from .script import Script
from .stinger import StingerSpec, read_stingers
from .style import find, folder, load, shipped, styled
from .sync import SyncSpec, read_sync
from .table import Place, Table, Text, in_file, parse, plainly, read
from .themes import NO_THEMES, Themes, read_songbook, songbook
from .workshop import all_themes, engine_class, theme_fields

LARGEST = 1 << 20  # bytes of a scene file
BARS, MOST_BARS = 32, 100_000
LONGEST_FORM = 10_000  # bars that a form may have to say how long the scene is
_MANNER = (  # keys of a part that make sense whatever its engine says
    *("role", "layer", "program", "bank", "brightness", "range", "output", "sound"),
    *("gate", "velocity", "accents", "curve", "swell", "level", "swing", "groove", "humanize"),
)
_WRITTEN = ("rules", "text")  # keys that hold the text of a part's music


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
    raise Mistake("", f"{unknown('scene', name, there)}, or give a path")


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
    outputs = read_outputs(top.table("outputs"))
    inputs = read_inputs(top.table("inputs"))
    sync = read_sync(top.table("sync"))
    maps = read_maps(top.table("map"))
    programs = top.names("programs", "a scene's", ())
    feel = read_feel(top)
    themes = Themes.read(top.table("themes"), base, key, meters)
    motifs = themes(seed)
    bar = meters.bar_at(Fraction(0)).meter.length
    shared = Shared({*LIVE, *controls}, outputs, base, bar, motifs, inputs)
    conductor = direction(top, base, motifs, lambda table: _order(table, shared))
    if not said:
        bars = conductor.form.length(seed, LONGEST_FORM) or bars
    parts_table, stings = top.table("parts"), top.table("stingers")
    top.end()
    parts = [] if parts_table is None else read_parts(parts_table, feel, shared)
    stingers = [] if stings is None else read_stingers(stings, parts, feel, shared)
    return Scene(
        *(name, title, tempo, meters, key, seed, phrase, controls, tuple(parts), outputs, bars),
        *(conductor, style, themes, tuple(stingers), inputs, maps, programs),
        sync=sync,
    )


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


def _order(table: Table, shared: Shared) -> Engine | None:
    """The engine that orders a form's sections."""
    name, made = engine_class(table)
    return None if made is None else shared.engine(name, made, table)


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
