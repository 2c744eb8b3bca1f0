"""`learn`: a Markov model of tunes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .manners import Family, ends, write

commands = Family()


@commands.command(epilog=ends("learn tunes/*.mid -o mine.json"))
def learn(
    tunes: Annotated[
        list[str],
        typer.Argument(metavar="TUNE", help="MIDI files or chorales, or patterns for them."),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="MODEL.json", help="Where to keep what is learnt."),
    ],
    order: Annotated[
        float, typer.Option(metavar="N", min=0, max=10, help="Symbols of context to learn.")
    ] = 3,
) -> None:
    """Learn a Markov model from tunes; a scene uses it as  model = "MODEL.json"."""
    import json

    from engines.markov import Markov

    from ..score.tunes import read_tunes
    from ..takes.recorder import check_writable

    check_writable(out, "-o", begins=b"{")
    whole = [str(Path(tune).absolute()) for tune in tunes]
    model = Markov(corpus=read_tunes(whole, Path.cwd(), "TUNES"), order=order)
    write(out, json.dumps(model.to_data(), separators=(",", ":")).encode())
    print(f"{out}: {len(model.alphabet() or ())} different symbols")
