"""`check`: what is wrong with scenes, styles and the like."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from engines.base import Mistake

from .manners import WRONG, Family, complain, each_of, ends, offer

commands = Family()

#: Bars that `check` plays in no time; the second at most, of a tour through all sections.
TRIAL_BARS, TOUR_BARS = 32, 256


@commands.command(epilog=ends("check my-set.toml", "check config/scenes"))
def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            autocompletion=offer("scenes"),
            help="Scenes, styles, progressions, maps of moods; folders of them; shipped names.",
        ),
    ],
) -> None:
    """Say what is wrong with scenes, styles and the like: where, and what was expected."""
    wrong = 0
    for path in _scene_files(paths):
        wrong += not _check(path)
    if wrong:
        raise typer.Exit(WRONG)


def _scene_files(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if not Path(path).is_dir():
            yield path
            continue
        found = sorted(Path(path).rglob("*.toml"))
        if not found:
            raise Mistake(path, "there is no scene or style (*.toml) in this folder")
        yield from map(str, found)


def _check(path: str) -> bool:
    from ..desk.reference import obeyed
    from ..errands import clashes, examine, strays, toured, try_out, unled
    from ..score.scene import find_scene

    try:
        file = find_scene(path)
    except Mistake as mistake:
        complain(str(mistake))
        return False
    try:
        scene = examine(file)
    except Mistake as mistake:
        for text in map(str, each_of(mistake)):
            own = text.startswith((f"{file.name}:", f"{file.name},"))
            complain(path + text.removeprefix(file.name) if own else f"{path}: in {text}")
        return False
    if scene is None:
        print(f"{path}: OK")
        return True
    troubles, silent = try_out(scene, TRIAL_BARS)
    where = f"in the first {TRIAL_BARS} bars"
    if scene.conductor.form.sections:
        tour, bars = toured(scene)
        more, still = try_out(tour, min(bars, TOUR_BARS))
        troubles += more
        silent, where = [name for name in silent if name in still], "in every section"
    for trouble in dict.fromkeys(troubles):
        complain(f"{path}: {trouble}")
    for part in silent:
        complain(f"{path}: parts.{part}: silent {where}; is that meant?")
    amiss, scenes = obeyed(scene, file.parent)
    for oddity in [*strays(scene, scenes, amiss), *unled(scene), *clashes(scene)]:
        complain(f"{path}: {oddity}")
    if not troubles:
        print(f"{path}: OK")
    return not troubles
