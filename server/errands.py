"""What can be done with a scene without waiting: render it, list its symbols, try it out."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, count
from math import inf
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from engines.base import IN, LIVE, THINKING, Closes, Controls, Engine, Mistake, Symbol, unknown
from engines.grammar import Grammar
from engines.motif import Quote, words
from engines.performer import Playable

from .concert.cast import setting_of
from .concert.clock import JumpClock
from .concert.journal import Entry, Played, Said, Troubled, Turned
from .concert.player import Player
from .conductor.conductor import UNCONDUCTED
from .conductor.form import FormSpec
from .conductor.moodmap import CUES
from .ensemble.agenda import Agenda
from .ensemble.part import Part, PartSpec
from .score.direction import Row, read_map
from .score.mapping import MapSpec
from .score.scene import Scene, find_scene, load_scene, parse_scene
from .score.stinger import Sting, Words
from .score.style import load
from .score.table import at_line, parse
from .takes.recorder import Take

STRIDE = 4 * 10**9  # ns planned at once where nobody waits for a change
STEP = 1  # quarter notes planned at once where every symbol is waited for
THOUGHTS = 200  # THINKING in a row after which an engine is taken to be stuck


def hear(scene: Scene, bars: int, listener: Callable[[Entry], None]) -> None:
    """Play so many bars in no time; the journal goes to the listener."""
    player = Player(JumpClock(), horizon=STRIDE, look=STRIDE)
    player.journal.add(listener)
    player.cue(scene)
    player.play(end_bar=bars)
    asyncio.run(player.run())


def tightened(scene: Scene) -> Scene:
    """The scene with every note on its beat: no swing, no groove's shifts, no straying in time.

    Accents of grooves, and what humanising does to velocities, stay.
    """

    def straight(part: PartSpec) -> PartSpec:
        groove = part.groove
        if groove is not None:
            groove = replace(groove, shifts=(Fraction(0),) * len(groove.shifts))
        return replace(part, swing=PartSpec.swing, groove=groove, human_time=PartSpec.human_time)

    return scene.changed(straight)


def render(scene: Scene, bars: int, version: str, listener: Callable[[Entry], None]) -> bytes:
    """A standard MIDI file of so many bars; the same that a recorder would keep."""
    take = Take(scene.seed, version)
    take.begin(scene.ensemble)

    def keep(entry: Entry) -> None:
        take.add(entry)
        listener(entry)

    hear(scene, bars, keep)
    return take.file()


def sung(scene: Scene) -> tuple[Scene, int]:
    """Its themes alone, one after another, each as a part of its own; and how many bars."""
    parts, enters = [], 1
    for theme in scene.themes(scene.seed):
        engine = Words(tuple(word for word, _ in words(theme)))
        parts.append(PartSpec(theme.name, engine, "", enters=enters, channel=1))
        enters += theme.bars
    if not parts:
        raise Mistake("themes", "this scene has none; give it such as [themes.home]")
    alone = replace(scene, parts=tuple(parts), stingers=(), conductor=UNCONDUCTED)
    return alone, enters - 1


def split_part(name: str) -> tuple[str, str]:
    """`SCENE:PART` as both, the part "" where only the scene is named."""
    scene, colon, part = name.rpartition(":")
    if not colon:
        return name, ""
    try:
        find_scene(scene)
    except Mistake:
        return name, ""
    return scene, part


def part_of(scene: Scene, name: str) -> PartSpec:
    """A part by name, or the first. Errors: Mistake."""
    for spec in scene.parts:
        if name in ("", spec.name):
            return spec
    raise Mistake("", unknown("part", name, [spec.name for spec in scene.parts]))


class Pull(NamedTuple):
    """A symbol that a part has pulled, and the live values that its engine could read for it."""

    symbol: Symbol
    values: Mapping[str, float]


class _Tapped:
    """A part's engine with somebody who hears every symbol as it is pulled."""

    def __init__(self, engine: Engine, told: Callable[[Pull], None]) -> None:
        self._engine, self._told = engine, told

    @property
    def closes(self) -> bool:
        return isinstance(self._engine, Closes) and self._engine.closes

    def alphabet(self) -> frozenset[str] | None:
        return self._engine.alphabet()

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        stream = self._engine.symbols(rng, controls)
        while True:
            values = dict(controls.values)
            symbol = next(stream, None)
            if symbol is None:
                return
            self._told(Pull(symbol, values))
            yield symbol


def pulls(
    scene: Scene,
    spec: PartSpec,
    live: Mapping[str, float] = MappingProxyType({}),
    told: Callable[[str], None] = lambda text: None,
) -> Iterator[Pull]:
    """What a part pulls from its engine as its scene goes by, in no time and without its notes.

    live: values set from outside, from the beginning on.  told: called with what goes wrong in
    the part.  Errors: Mistake where the engine thinks without end.
    """
    heard: deque[Pull] = deque()
    setting = setting_of(scene)
    setting.values.update(live)
    setting.conductor.fixed = live
    tapped = replace(spec, engine=_Tapped(spec.engine, heard.append))
    next_id = count(1).__next__
    needed = _needed(scene, spec)
    parts = [
        Part(tapped if each.name == spec.name else each, setting, next_id)
        for each in scene.parts
        if each.name in needed
    ]
    part = next(part for part in parts if part.spec is tapped)
    agenda, thoughts = Agenda(parts), 0
    while not part.finished:
        _, troubles = agenda.plan(part.cursor + STEP)
        setting.harmonies.forget(part.cursor)
        while heard:
            pull = heard.popleft()
            thoughts = thoughts + 1 if pull.symbol is THINKING else 0
            yield pull
        for trouble in troubles:
            if trouble.part == spec.name:
                told(f"parts.{trouble.part}: at beat {float(trouble.beat):g}: {trouble.text}")
        if thoughts > THOUGHTS:
            raise Mistake(f"parts.{spec.name}", "the engine thinks without end; simplify its rules")


def _needed(scene: Scene, spec: PartSpec) -> set[str]:
    """The part, and those without which it would be another: who leads, whom it listens to."""
    listens = {each.name: each.listens for each in scene.parts}
    leader = next((p for p in scene.parts if p.reading.leads(p.engine.alphabet())), spec)
    needed, waiting = {leader.name, spec.name}, [leader.name, spec.name]
    while waiting:
        fresh = set(listens[waiting.pop()]) & listens.keys() - needed
        needed |= fresh
        waiting += fresh
    return needed


def symbols(
    scene: Scene,
    spec: PartSpec,
    live: Mapping[str, float] = MappingProxyType({}),
    told: Callable[[str], None] = lambda text: None,
) -> Iterator[Symbol]:
    """The stream that a part pulls in its scene; see `pulls`."""
    return (pull.symbol for pull in pulls(scene, spec, live, told) if pull.symbol is not THINKING)


def quotes(spec: PartSpec, symbol: Symbol) -> str:
    """What of the scene's themes a symbol of a part means by its reading, to be said after why."""
    words = spec.reading.table.get(symbol.name, ())
    return "".join(f"; {word}" for word in words if isinstance(word, Quote))


def tree(scene: Scene, spec: PartSpec, live: Mapping[str, float] = MappingProxyType({})) -> str:
    """A grammar's first derivation in its scene, as a tree. Errors: Mistake for other engines."""
    if not isinstance(spec.engine, Grammar):
        raise Mistake(f"parts.{spec.name}", f"only a grammar has a tree, not {spec.engine_name}")
    stream, controls = pulls(scene, spec, live), Controls()

    def go_on(symbol: Symbol | None = None) -> None:
        pull = next(stream, None)
        if pull is not None:
            controls.values.update(pull.values)

    go_on()
    return str(spec.engine.tree(Random(f"{scene.seed}/{spec.name}"), controls, pulled=go_on))


def live_values(scene: Scene, words: Iterable[str]) -> dict[str, float]:
    """`NAME=VALUE` each, for names that a scene's rules may read. Errors: Mistake."""
    known = {*LIVE, *scene.controls} - {"bar", "beat"}
    values: dict[str, float] = {}
    for word in words:
        name, _, number = word.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = inf
        if not abs(value) <= 1e6:
            wanted = "expected NAME=VALUE, a number from -1e6 to 1e6, such as arousal=0.5"
            raise Mistake("--set", f"{wanted}, got {word!r}")
        if name not in known and not name.startswith(IN):
            raise Mistake("--set", unknown("live value", name, sorted(known)))
        values[name] = value
    return values


def kind_of(path: Path) -> str:
    """What a file is by what stands in it: "scenes" (which styles are too), "moods" or "harmony".

    One that does not say is what the folder is called that it lies in.
    """
    folder = path.absolute().parent.name
    named = folder if folder in ("moods", "harmony") else "scenes"
    try:
        values = load(path, path.parent).values
    except Mistake:
        return named
    if not values.keys().isdisjoint(("parts", "style", "key", "form")):
        return "scenes"
    if "engine" in values:
        return "harmony"
    cues = [values.get(cue.name) for cue in CUES]
    return "moods" if any(isinstance(cue, dict) for cue in cues) else named


def examine(path: Path) -> Scene | None:
    """Read a scene, a style, a ready progression or a map of moods, whichever the file is.

    What comes back can be heard: the scene, or one that plays the progression, with a theme that
    it may quote; None for a map.
    Errors: Mistake, or Mistakes.
    """
    kind = kind_of(path)
    if kind == "moods":
        read_map(path, path.parent)
        return None
    if kind == "harmony":
        text = f"[themes.any]\n[parts.chords]\nharmony = {json.dumps(path.name)}"
        return parse_scene(text, path.stem, path.parent, file=path.name)
    return load_scene(path)


def unled(scene: Scene) -> list[str]:
    """Parts that hand out chords which nobody follows, as another leads the harmony; in words."""
    chordal = [part.name for part in scene.parts if part.reading.leads(part.engine.alphabet())]
    return [
        f"parts.{name} has chords of its own, which nobody follows: parts.{chordal[0]} comes first "
        "and leads the harmony"
        for name in chordal[1:]
    ]


def _sound(part: PartSpec) -> tuple[object, ...]:
    return part.program, part.bank, part.shades


def clashes(scene: Scene) -> list[str]:
    """Parts of different programs that share a channel of one output, in words; each pair once.

    Virtual ports keep parts apart; without any output, one port or file for all is meant.
    """
    ports = {
        name
        for name, output in scene.outputs.items()
        if output.kind == "midi" and output.target != "virtual"
    }
    programmed = [part for part in scene.parts if part.program is not None]
    return [
        f"parts.{one.name} and parts.{two.name} share channel {one.channel} with different "
        "programs; the one that is sent last holds for both"
        for one, two in combinations(programmed, 2)
        if one.channel == two.channel and _sound(one) != _sound(two)
        if not scene.outputs or ports.intersection(one.outputs, two.outputs)
    ]


def strays(
    scene: Scene, known: Collection[str], amiss: Callable[[MapSpec], tuple[str, str]]
) -> list[str]:
    """Parts, sections, scenes and addresses that the scene names and that are not there; in words.

    known: scenes that may be asked for.  amiss: the key that is wrong of a mapping while this scene
    plays, and why; "" for nothing.
    Another style or scene may have them, so they are no mistakes.
    """
    parts = {part.name for part in scene.parts}
    sections = scene.conductor.form.sections
    found = [
        f"form.sections.{name}.only: no part is called {each!r}; is that meant?"
        for name, section in sections.items()
        for each in sorted(section.only - parts)
    ]
    for old, new, _ in scene.conductor.transitions.rules:
        places = [old] if new == "key" or new.startswith(("scene ", "style ")) else [old, new]
        found += [
            f"transitions.{old} -> {new}: no section is called {each!r}; is that meant?"
            for each in places
            if each != "*" and each not in sections
        ]
    found += [
        f"programs: no scene is called {each!r}; is that meant?"
        for each in scene.programs
        if each not in known
    ]
    text = scene.sheet.text if scene.sheet is not None else ""
    for name, each in zip(parse(text).get("map", {}), scene.maps, strict=False):
        key, problem = amiss(each)
        if problem:
            found.append(f"{at_line(Mistake(f'map.{name}.{key}', problem), text)}; is that meant?")
    return found


def toured(scene: Scene) -> tuple[Scene, int]:
    """The scene with every section of its form once, and how many bars that takes."""
    sections = {
        name: replace(each, repeats=False) for name, each in scene.conductor.form.sections.items()
    }
    form = FormSpec(sections, Row(tuple(sections)))
    conductor = replace(scene.conductor, form=form)
    return replace(scene, conductor=conductor), sum(each.bars for each in sections.values())


def try_out(scene: Scene, bars: int) -> tuple[list[str], list[str]]:
    """Play a few bars and each stinger in no time: what went wrong, and which parts kept silent."""
    troubles: list[str] = []
    heard: set[str] = set()

    def listen(entry: Entry) -> None:
        if isinstance(entry, Played):
            heard.add(entry.note.part)
        elif isinstance(entry, Turned | Said):
            heard.add(entry.part)
        elif isinstance(entry, Troubled):
            troubles.append(f"{entry.source}: {entry.text}")

    hear(scene, bars, listen)
    silent = [
        spec.name
        for spec in scene.parts
        if spec.name not in heard and not spec.mute and spec.enters <= bars
        if not isinstance(spec.engine, Playable)  # which waits for a hand
        if not scene.inputs.keys() & {spec.input, *spec.listens}  # nobody plays to it here
    ]
    setting, ids = setting_of(scene), count(1).__next__
    Agenda([Part(spec, setting, ids) for spec in scene.parts]).plan(scene.meters.beat_of_bar(2))
    for stinger in scene.stingers:
        name = stinger.part.name
        steps, wrong = Sting.tried(stinger, setting, ids)
        troubles += [f"stingers.{name}: {trouble.text}" for trouble in wrong]
        if not any(step.tones or step.acts for step in steps):
            troubles.append(f"stingers.{name}: nothing of it sounds")
    return troubles, silent
