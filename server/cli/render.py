"""`render` and `replay`: a scene, or a performance from its log, as a file or once more aloud."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.base import Mistake, unknown

from .manners import (
    Family,
    SceneArgument,
    SeedOption,
    choose,
    complain,
    ends,
    offer,
    offer_behind,
    version,
    write,
)

if TYPE_CHECKING:
    from ..concert.journal import Entry
    from ..takes.files import Keeper


commands = Family()

PartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--part",
        metavar="NAME",
        help="This part alone, or these; repeatable.",
        autocompletion=offer_behind("parts"),
    ),
]
FontOption = Annotated[
    Path | None,
    typer.Option("--font", metavar="FILE.sf2", help="The sound font of a sound file."),
]


@commands.command(epilog=ends("render house -o house.mid --bars 64"))
def render(
    scene: SceneArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The file to write: .mid, .musicxml, .abc, .wav, .svg or .png.",
        ),
    ],
    bars: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100_000,
            help="How many bars.",
            show_default="as the scene says, or 32",
        ),
    ] = None,
    seed: SeedOption = None,
    part: PartOption = None,
    font: FontOption = None,
    tight: Annotated[
        bool,
        typer.Option("--tight", help="Every note on the grid: no swing, groove or straying."),
    ] = False,
) -> None:
    """Write a scene as MIDI, score, sound or picture, as fast as the computer can."""
    from ..concert.journal import Troubled
    from ..errands import hear, tightened

    keep = _keeper(out, part, font)
    chosen = choose(scene, seed, midi="none")
    there = [each.name for each in chosen.ensemble]
    for each in part or ():
        if each not in there:
            raise Mistake("--part", unknown("part", each, there))
    if tight:
        chosen = tightened(chosen)
    length = bars or chosen.bars

    with _progress(length) as advance:

        def listen(entry: Entry) -> None:
            keep(entry)
            advance(entry)
            if isinstance(entry, Troubled):
                complain(f"{entry.source}: {entry.text}")

        keep.begin(chosen)
        hear(chosen, length, listen)
    write(out, keep.file())


@commands.command(epilog=ends("replay -o again.mid"))
def replay(
    log: Annotated[
        Path | None,
        typer.Argument(
            metavar="LOG",
            help="A control log.",
            show_default="of the last play",
            autocompletion=offer("logs"),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Write it, as render does: .mid, .musicxml, .wav …"
        ),
    ] = None,
    part: PartOption = None,
    font: FontOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each event as a line of JSON, at once.")
    ] = False,
    midi: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|virtual|none",
            help="Part of a MIDI port's name, new virtual ports, or no MIDI.",
            autocompletion=offer("outputs"),
            show_default="as it was played",
        ),
    ] = None,
) -> None:
    """Play a performance again from its control log, to the identical notes."""
    from ..concert.journal import Troubled
    from ..replay import Replay, retake, sent_to
    from ..takes.log import log_folder, logs, read_log

    if log is None:
        kept = logs(log_folder())
        if not kept:
            raise Mistake("LOG", "there is none yet; play something first, or name one")
        log = kept[-1]
        complain(f"this is {log}")
    entries = read_log(log)
    if midi is not None:
        entries = sent_to(midi, entries)
    if not entries.whole:
        complain(f"{log.name} breaks off; what it has is played")
    keep = None
    if out is not None:
        keep = _keeper(out, part, font, str(entries.head.get("version", "")))
    again = Replay(entries)

    def warn(entry: Entry) -> None:
        if isinstance(entry, Troubled):
            complain(f"{entry.source}: {entry.text}")

    again.journal.add(warn)
    printer = None
    if json:
        from ..takes.lines import Printer

        printer = Printer(json_lines=True)
        again.journal.add(printer)
    if out is not None and keep is not None:
        write(out, retake(again, keep))
    elif json:
        again.run()
    else:
        from ..stage import play_again

        play_again(again)
    if printer is not None:
        printer.close()


def _keeper(out: Path, parts: list[str] | None, font: Path | None, made: str = "") -> Keeper:
    """Who keeps a file of that name. made: by which version. Errors: Mistake."""
    from ..takes.files import BEGINS, keeper
    from ..takes.recorder import check_writable

    keep = keeper(out, made or version(), parts or None, font)
    check_writable(out, "-o", BEGINS[out.suffix.lower()])
    return keep


@contextmanager
def _progress(bars: int) -> Iterator[Callable[[Entry], None]]:
    """A bar on the terminal, if there is one; hands out what moves it."""
    if not sys.stderr.isatty():
        yield lambda entry: None
        return
    from rich.console import Console
    from rich.progress import Progress

    from ..concert.journal import Ticked

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rendering", total=bars)
        reached = 0

        def advance(entry: Entry) -> None:
            nonlocal reached
            if isinstance(entry, Ticked) and entry.moment.bar > reached:
                reached = entry.moment.bar
                progress.update(task, completed=reached)

        yield advance
