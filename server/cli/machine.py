"""`doctor`, `paths`, `token`: this machine, and what is kept on it."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from .manners import Family, Unwell, ends
from .play import options

commands = Family()


@commands.command(epilog=ends("doctor", "doctor --json", more="1 where something must be mended"))
def doctor(
    context: typer.Context,
    json: Annotated[
        bool, typer.Option("--json", help="Print each finding as a line of JSON.")
    ] = False,
) -> None:
    """Say what this machine has and lacks, and what mends it; status 1 where something must be."""
    import json as notation

    from ..backstage.doctor import as_line, examine
    from ..stage import CONTROL_PORT, PAGE_PORT

    missing = False
    for finding in examine(options(cast(typer.Context, context.parent)), CONTROL_PORT, PAGE_PORT):
        missing |= finding.state == "missing"
        print(notation.dumps(finding._asdict()) if json else as_line(finding), flush=True)
    if missing:
        raise Unwell


@commands.command(epilog=ends("paths"))
def paths() -> None:
    """The files and folders that Componium keeps things in."""
    from ..score.folders import folders
    from ..takes.log import log_folder

    for name, path in {**folders(), "logs": log_folder()}.items():
        print(f"{name:<10} {path}")


@commands.command(epilog=ends("token", "token --new"))
def token(
    new: Annotated[
        bool, typer.Option("--new", help="Make another; the old one is of no use any more.")
    ] = False,
) -> None:
    """The token that opens page and network to whoever shows it, and the file it lies in."""
    from ..desk.keys import the_token, token_file, write_token

    path = token_file()
    print(write_token(path) if new else the_token(path))
    print(path)
