"""`symbols`, `themes`, `layout`: what is in a scene, and a surface to lead it from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from engines.base import Mistake

from .manners import (
    Family,
    SceneArgument,
    SeedOption,
    choose,
    complain,
    ends,
    offer,
    version,
    write,
)

commands = Family()


@commands.command(epilog=ends("symbols blues -n 16 --why", "symbols algae:leaf --set arousal=0.8"))
def symbols(
    scene: Annotated[
        str,
        typer.Argument(
            metavar="SCENE[:PART]",
            help="A scene and one of its parts, or its first.",
            autocompletion=offer("scenes"),
        ),
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=0, help="How many symbols.")
    ] = 32,
    seed: SeedOption = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say after each symbol where it comes from.")
    ] = False,
    tree: Annotated[
        bool, typer.Option("--tree", help="Draw a grammar's first derivation instead.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A live value from outside; repeatable."),
    ] = None,
) -> None:
    """List what a part pulls from its engine as its scene goes by, one symbol a line."""
    from itertools import islice

    from ..errands import live_values, part_of, quotes, split_part
    from ..errands import symbols as stream
    from ..errands import tree as drawn

    name, part = split_part(scene)
    chosen = choose(name, seed)
    if not part and len(chosen.parts) > 1:
        others = ", ".join(f"{name}:{spec.name}" for spec in chosen.parts[1:])
        complain(f"this is {name}:{chosen.parts[0].name}; there are also {others}")
    spec, live = part_of(chosen, part), live_values(chosen, sets or ())
    if tree:
        print(drawn(chosen, spec, live))
        return
    for symbol in islice(stream(chosen, spec, live, complain), min(count, sys.maxsize)):
        args = ", ".join(f"{arg:g}" for arg in symbol.args)
        line = f"{symbol.name}({args})" if args else symbol.name
        print(f"{line}\t{symbol.origin}{quotes(spec, symbol)}" if why else line)


@commands.command(epilog=ends("themes level", "themes level -o level.mid"))
def themes(
    scene: SceneArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.toml|FILE.mid",
            help="Add them to a file of themes, or write them as MIDI.",
        ),
    ] = None,
    seed: SeedOption = None,
) -> None:
    """Print a scene's themes as text that a scene may have, the invented ones too."""
    from ..score.themes import keep, songbook

    chosen = choose(scene, seed, midi="none")
    motifs = chosen.themes(chosen.seed)
    if not motifs:
        raise Mistake(scene, "this scene has no themes; give it such as [themes.home]")
    if out is None:
        print(songbook(motifs), end="")
    elif out.suffix.lower() in (".mid", ".midi"):
        from ..errands import render as rendered
        from ..errands import sung
        from ..takes.recorder import check_writable

        check_writable(out, "-o")
        write(out, rendered(*sung(chosen), version(), lambda entry: None))
    else:
        try:
            print(keep(out, motifs))
        except Mistake as mistake:
            raise mistake.within("-o") from None


@commands.command(
    epilog=ends("layout touchosc level -o level.tosc", "layout openstage level -o level.json")
)
def layout(
    program: Annotated[
        str,
        typer.Argument(
            metavar="PROGRAM",
            help="What shows the surface: touchosc or openstage.",
            autocompletion=offer("programs"),
        ),
    ],
    scene: SceneArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="A .tosc file, or a .json session.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT",
            help="Where an Open Stage Control session sends to.",
            autocompletion=offer("targets"),
        ),
    ] = "127.0.0.1:1821",
    lan: Annotated[
        bool,
        typer.Option(
            "--lan",
            help="For another machine: with a button that shows the token, as play --lan wants.",
        ),
    ] = False,
) -> None:
    """Make a control surface for a scene: transport, mood, launchers, and a strip for each part."""
    from ..concert.clock import JumpClock
    from ..concert.player import Player
    from ..desk.desk import Desk
    from ..desk.keys import the_token, token_file
    from ..desk.layouts import WRITERS, page_of
    from ..score.outputs import check_target
    from ..score.scene import find_scene
    from ..takes.recorder import check_writable

    if program not in WRITERS:
        raise Mistake("PROGRAM", f"expected one of {', '.join(WRITERS)}, got {program!r}")
    writer = WRITERS[program]
    check_target(target, "--target")
    check_writable(out, "-o", begins=writer.begins)
    chosen, player = choose(scene, midi="none"), Player(JumpClock())
    player.cue(chosen)
    desk = Desk(player, lambda name, style: chosen, find_scene(scene).parent)
    token = the_token(token_file()) if lan else ""
    page = page_of(desk.tree, chosen.title or chosen.name, token)
    write(out, writer.write(page, target), private=lan)
    print(f"{out}: {len(page.widgets)} widgets for {len(chosen.ensemble)} parts")
