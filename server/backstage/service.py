"""Being a service: telling systemd how it is, and a diary that stays within its room."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from logging import makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path

from engines.base import Mistake
from server.concert.journal import Entry, Marked, Moved, Ported, Troubled

from .aside import Aside

PIECE, PIECES = 10_000_000, 5  # bytes of a file of the diary; and how many there are, at most


def notify(text: str) -> None:
    """Tell systemd, as sd_notify(3) does; without it nothing."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect("\0" + address[1:] if address.startswith("@") else address)
            line.send(text.encode())


def governed() -> bool:
    """Whether we are a service of systemd's or a container's first process, with no terminal."""
    return bool(os.environ.get("NOTIFY_SOCKET")) or os.getpid() == 1


async def keep_alive(well: Callable[[], bool]) -> None:
    """Feed systemd's watchdog twice within its time, as long as all is well; until cancelled.

    Whoever runs this on the planner's own loop proves that the loop turns.
    """
    span = int(os.environ.get("WATCHDOG_USEC", "0") or 0) / 2e6
    if not span or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        if well():
            notify("WATCHDOG=1")
        await asyncio.sleep(span)


def told(entry: Entry) -> str:
    """An entry as a line of a diary; "" for music, of which takes are kept."""
    if isinstance(entry, Troubled):
        return f"{entry.source}: {entry.text}"
    if isinstance(entry, Ported):
        why = f": {entry.why}" if entry.why else ""
        return f"port {entry.port} {entry.state}{why}"
    if isinstance(entry, Moved):
        return str(entry.state)
    if isinstance(entry, Marked) and entry.kind == "scene":
        return f"scene {entry.name}"
    return ""


class Diary:
    """Keeps what happens to ports, scenes and transport in a file, on a thread of its own.

    Law: no more than 50 MB in all; a disk that is full or slow delays nobody.
    Errors: Mistake where the file cannot be written at the beginning.
    """

    def __init__(self, path: Path, piece: int = PIECE, pieces: int = PIECES) -> None:
        try:
            self._file = RotatingFileHandler(
                path, maxBytes=piece, backupCount=pieces - 1, encoding="utf-8", errors="replace"
            )
        except OSError as error:
            raise Mistake("--diary", f"{path} cannot be written: {error.strerror}") from None
        self._aside: Aside[str] = Aside(self._write, done=self._file.close, room=10_000)

    def __call__(self, entry: Entry, band: str = "") -> None:
        line = told(entry)
        if line:
            line = f"{band} {line}" if band else line
            self._aside.put(f"{datetime.now().astimezone().isoformat('T', 'milliseconds')} {line}")

    @property
    def trouble(self) -> str:
        """Why nothing more is kept; "" if it is."""
        return "" if self._aside.broken is None else str(self._aside.broken)

    def close(self) -> bool:
        """Write the last of it; False where the disk does not take it in time."""
        return self._aside.close()

    def _write(self, line: str) -> None:
        text = "".join(c if c.isprintable() else " " for c in line)
        if self._file.shouldRollover(makeLogRecord({"msg": text})):
            self._file.doRollover()
        print(text, file=self._file.stream, flush=True)
