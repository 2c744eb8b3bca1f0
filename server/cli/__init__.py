"""`componium`: the commands, a module for each family of them.

Everything heavy is imported by the command that needs it, so that `componium --help` is quick.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engines.base import Mistake

from . import check, learn, lists, machine, play, render, scene, tell
from .manners import INTERRUPTED, UNREAD, UNWELL, WRONG, Unwell, complain, each_of, version

app = typer.Typer(
    help="Componium invents music while it plays: grammars, L-systems and Markov chains, "
    "on time, to MIDI and OSC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for family in (play, render, scene, learn, check, tell, machine, lists):  # as help lists them
    app.add_typer(family.commands)


def main() -> None:
    """Run a command; the process's exit status says how it went."""
    try:
        status = _run()
        print(end="", flush=True)
    except BrokenPipeError:
        status = UNREAD
    except OSError as error:
        complain(error.strerror or str(error))
        status = 1
    if status in (1, UNREAD):  # what is left would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def _run() -> int:
    try:
        app()
    except Mistake as mistake:
        for each in each_of(mistake):
            complain(str(each))
        return WRONG
    except Unwell:
        return UNWELL
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:  # 1 is how typer and rich say that a pipe is broken
        return UNREAD if ended.code == 1 else int(ended.code or 0)
    return 0


def _version(asked: bool) -> None:
    if asked:
        print(f"componium {version()}")
        raise typer.Exit


@app.callback()
def componium(
    context: typer.Context,
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings, instead of the usual file."),
    ] = None,
) -> None:
    """The options before a command."""
    context.obj = config
    if context.invoked_subcommand == "play":
        settings = play.settings(context, config)
        context.default_map = {"play": settings.play}
        context.obj = settings.mqtt
