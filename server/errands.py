"""What can be done with a scene without waiting: render it, list its symbols, try it out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from random import Random

from engines.base import THINKING, Controls, Mistake, Symbol
from engines.grammar import Grammar

from .clock import JumpClock
from .journal import Entry, Played, Troubled, Turned
from .music.note import Say
from .part import PartSpec
from .player import Player
from .recorder import Take
from .scene import Scene, find_scene

STRIDE = 4 * 10**9  # ns planned at once where nobody waits for a change
THOUGHTS = 200  # THINKING in a row after which an engine is taken to be stuck


def hear(scene: Scene, bars: int, listener: Callable[[Entry], None]) -> None:
    """Play so many bars in no time; the journal goes to the listener."""
    player = Player(JumpClock(), horizon=STRIDE, look=STRIDE)
    player.journal.add(listener)
    player.cue(scene)
    player.play(end_bar=bars)
    asyncio.run(player.run())


def render(scene: Scene, bars: int, version: str, listener: Callable[[Entry], None]) -> bytes:
    """A standard MIDI file of so many bars; the same that a recorder would keep."""
    take = Take(scene.seed, version)
    take.begin(scene.parts)

    def keep(entry: Entry) -> None:
        take.add(entry)
        listener(entry)

    hear(scene, bars, keep)
    return take.file()


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
    there = ", ".join(spec.name for spec in scene.parts)
    raise Mistake(f"part {name}", f"the scene has no such part; there are: {there}")


def symbols(scene: Scene, spec: PartSpec) -> Iterator[Symbol]:
    """The stream that a part would pull, at bar 1 and with the scene's own controls."""
    controls = Controls({**scene.controls, "bar": 1, "beat": 1})
    thoughts = 0
    for symbol in spec.engine.symbols(Random(f"{scene.seed}/{spec.name}"), controls):
        if symbol is not THINKING:
            thoughts = 0
            yield symbol
        elif (thoughts := thoughts + 1) > THOUGHTS:
            raise Mistake(f"parts.{spec.name}", "the engine thinks without end; simplify its rules")


def tree(scene: Scene, spec: PartSpec) -> str:
    """A grammar's first derivation, drawn as a tree. Errors: Mistake for other engines."""
    if not isinstance(spec.engine, Grammar):
        raise Mistake(f"parts.{spec.name}", f"only a grammar has a tree, not {spec.engine_name}")
    controls = Controls({**scene.controls, "bar": 1, "beat": 1})
    return str(spec.engine.tree(Random(f"{scene.seed}/{spec.name}"), controls))


def try_out(scene: Scene, bars: int) -> tuple[list[str], list[str]]:
    """Play a few bars in no time: what went wrong, and which parts kept silent unasked."""
    troubles: list[str] = []
    heard: set[str] = set()

    def listen(entry: Entry) -> None:
        if isinstance(entry, Played):
            heard.add(entry.note.part)
        elif isinstance(entry, Turned):
            heard.add(entry.part)
        elif isinstance(entry, Troubled):
            troubles.append(f"{entry.source}: {entry.text}")

    hear(scene, bars, listen)
    silent = [
        spec.name
        for spec in scene.parts
        if spec.name not in heard and not spec.mute and spec.enters <= bars
        if not any(isinstance(word, Say) for words in spec.reading.table.values() for word in words)
    ]
    return troubles, silent
