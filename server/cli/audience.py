"""Who listens while a scene plays: files, lines, the view."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .manners import UNREAD, complain, version

if TYPE_CHECKING:
    from ..backstage.service import Diary
    from ..band.bands import Band
    from ..concert.journal import Entry
    from ..score.scene import Scene
    from ..stage import Wish
    from ..takes.lines import Printer
    from ..takes.recorder import Recorder


def perform(
    scene: Scene, wish: Wish, record: Path | None, form: str, diary: Path | None = None
) -> int:
    """Play with the listeners asked for; the exit status."""
    from ..backstage.health import Health
    from ..concert.journal import Journal
    from ..stage import Stage, run

    journal, health = Journal(), Health()
    stage = Stage(scene, wish, journal, health)
    closing: list[Callable[[], bool]] = []
    if diary is not None:
        from ..backstage.service import Diary

        written = Diary(diary)
        journal.add(written)
        closing.append(lambda: _written_down(written))
    beside: list[Callable[[str], Callable[[Entry], None]]] = []  # who hears the other bands
    if diary is not None:
        beside.append(lambda name: partial(written, band=name))

    def join(band: Band) -> None:
        for each in beside:
            band.player.journal.add(each(band.name))

    stage.joined = join
    if record is not None:
        from ..takes.recorder import Recorder, check_writable

        check_writable(record, "--record")
        recorder = Recorder(record, scene, lambda: stage.player.scene, stage.trouble, version())
        journal.add(recorder)
        closing.append(lambda: _kept(recorder))
    if form == "view":
        from ..takes.view import View

        view = View(scene, health, stage.player.strips, lambda: stage.player.scene)
        journal.add(view)
        stage.abandoned = view.abandon
        closing.append(view.close)
        view.open()
    else:
        from ..takes.lines import Deserted, Printer, Warnings

        journal.add(Warnings(complain))
        beside.append(lambda name: Warnings(lambda line: complain(f"{name}: {line}")))
        if form != "quiet":
            if sys.stderr.isatty():  # whoever reads a log is not to have the token
                stage.opened = lambda link: complain(f"page {link}")
            printer = Printer(json_lines=form == "json")
            journal.add(printer)
            if form == "json":
                beside.append(printer.beside)
            if record is None:
                leave = partial(stage.leave, UNREAD - 128)
                journal.add(Deserted(lambda: printer.unread, leave))
            closing.append(printer.close)
            closing.append(lambda: _said_all(printer))
    try:
        status = run(stage)
    finally:
        finished = [close() for close in closing]
    if not all(finished):  # a disk or a terminal may hang; nothing that sounds waits for it
        os._exit(status)
    return status


def _kept(recorder: Recorder) -> bool:
    whole = recorder.close()
    if not whole:
        complain(f"--record: {recorder.trouble}")
    return whole


def _written_down(diary: Diary) -> bool:
    whole = diary.close()
    if diary.trouble:
        complain(f"--diary: {diary.trouble}")
    return whole


def _said_all(printer: Printer) -> bool:
    if printer.trouble:
        complain(f"standard output: {printer.trouble}")
    return True
