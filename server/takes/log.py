"""The control log: all that a performance depended on besides its scenes, so that it can be had
again note for note.

JSON lines. The first says what was played and how; each of the others is one thing that came from
outside, or one look at the clock of which something came. `docs/takes.md` lists them.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from engines.base import Mistake
from server.backstage.aside import Aside
from server.concert.journal import Troubled
from server.concert.transport import Mark

FORMAT = "componium control log 1"
LARGEST = 64 << 20  # bytes that a log may grow to
WAITING = 4 << 20  # bytes of a log kept while the disk takes none
WAITING_BANDS = 16 << 20  # of all bands with a name together
KEPT = 20  # logs of past performances
KEPT_BANDS = 256  # logs of bands that were closed, of one performance
ROOM_BANDS = 128 << 20  # bytes of those
KEPT_FOLDERS = 3  # performances whose bands' logs are kept, too
LARGEST_BAND = 4 << 20  # bytes of one of those: some hours
SYNCED = 1.0  # seconds after which what is written is on the disk, power cuts included
SYNCING = 0.1  # seconds in a row for that, of however many logs
LONGEST_LINE = 32 << 20  # bytes, as of a head with all that was ever learnt


class Entered(NamedTuple):
    """One line. what: see `docs/takes.md`.  data: what belongs to it."""

    mark: Mark
    what: str
    data: Mapping[str, Any]


class Log(NamedTuple):
    """A log that has been read. head: its first line.  whole: whether it has an end."""

    head: Mapping[str, Any]
    entries: tuple[Entered, ...]
    whole: bool


class Scribe:
    """The thread on which logs are written, of however many bands."""

    def __init__(self) -> None:
        self._logs: dict[LogWriter, None] = {}  # of that thread alone
        self.aside: Aside[Callable[[], None]] = Aside(lambda work: work(), self._pause, self._pause)

    def close(self, patience: float = 2.0) -> bool:
        """Write the last of everything; False where the disk does not take it in time."""
        return self.aside.close(patience)

    def begin(self, log: LogWriter) -> None:
        self.aside.put(lambda: self._logs.update({log: None}))

    def end(self, log: LogWriter, last: Callable[[], None]) -> None:
        """Have the last of a log written."""

        def finish() -> None:
            self._logs.pop(log, None)
            last()

        self.aside.put(finish)

    @property
    def waiting(self) -> int:
        """Bytes of the logs of many that are not written yet. On the scribe's thread."""
        return sum(log.waiting for log in self._logs if log.one_of_many)

    def _pause(self) -> None:
        began = time.monotonic()
        for log in self._logs:
            log.flush()
        for log in sorted(self._logs, key=lambda log: log.synced_at):
            if time.monotonic() - began > SYNCING:  # the others come first the next time
                break
            log.sync()


class LogWriter:
    """Keeps a log; to be a transport's `noting`.

    told: called, on the scribe's thread, with what goes wrong.  scribe: who writes; one of its own
    where there is none.  largest: bytes that it may grow to, as one of many; 0 for the one log
    that there is anyhow.
    Laws: what was noted a second ago can be read, whatever becomes of the process; a disk that is
    full or slow holds nothing up, and nothing is left out in the midst: a log that cannot go on
    ends; what waits for the disk is bounded, that of many logs together too.  Errors: OSError
    where the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        head: Mapping[str, Any],
        told: Callable[[Troubled], None],
        scribe: Scribe | None = None,
        largest: int = 0,
    ) -> None:
        self._path, self._told, self._largest = path, told, largest or LARGEST
        self.one_of_many = bool(largest)
        self._file: BinaryIO | None = path.open("wb", buffering=0)
        self._written = self._safe = 0  # bytes that are good, and of those that are safe
        self.synced_at = 0.0  # when they were made so
        self._pending = bytearray(_line({"format": FORMAT, **head}))
        self._origin = self._at = int(head.get("clock", 0))
        self._wrong = ""
        self._own = Scribe() if scribe is None else None
        self._scribe = scribe or self._own or Scribe()
        self._dropped = self._scribe.aside.dropped
        self._scribe.begin(self)

    def __call__(self, mark: Mark, what: str, data: dict[str, Any]) -> None:
        self._scribe.aside.put(partial(self._take, Entered(mark, what, data)))

    def close(self, patience: float = 2.0) -> bool:
        """Have the last of it written; False where the disk does not take it in time."""
        self._scribe.end(self, self._finish)
        return self._own.close(patience) if self._own is not None else True

    def _finish(self) -> None:
        self.flush()
        self.sync()
        if self._file is not None:
            self._file.close()

    def _take(self, entered: Entered) -> None:
        if self._file is None:
            return
        mark = entered.mark
        line = {
            "what": entered.what,
            "beat": str(mark.beat),
            **entered.data,
            "planned": str(mark.planned),
            "at": mark.at - self._origin,
            "looks": _steps(mark.looks, self._at),
        }
        self._at = mark.at
        data = _line(line)
        if self._scribe.aside.dropped != self._dropped or not self._room(len(data)):
            self._end(self._wrong or "the disk is too slow")
        elif self._written + len(self._pending) + len(data) > self._largest:
            self.flush()
            self._end("it is as long as one may be")
        else:
            self._pending += data

    @property
    def waiting(self) -> int:
        """Bytes that are not written yet."""
        return len(self._pending)

    def _room(self, more: int) -> bool:
        """Whether so many bytes more may wait."""
        many = self.one_of_many and self._wrong  # else they are written in a moment
        return self.waiting + more <= WAITING and not (
            many and self._scribe.waiting + more > WAITING_BANDS
        )

    def sync(self) -> None:
        """Have what is written safe from power cuts, once a second."""
        file, now = self._file, time.monotonic()
        if file is not None and self._written > self._safe and now - self.synced_at >= SYNCED:
            self.synced_at, self._safe = now, self._written
            try:
                os.fsync(file.fileno())
            except OSError as error:
                self._trouble(error.strerror or str(error))

    def flush(self) -> None:
        """Have what has gathered written."""
        file = self._file
        if file is None or not self._pending:
            return
        try:
            while self._pending:
                took = file.write(bytes(self._pending[: 1 << 16])) or 0
                self._written += took
                del self._pending[:took]
        except OSError as error:
            self._trouble(error.strerror or str(error))
        else:
            self._wrong = ""

    def _trouble(self, why: str) -> None:
        if not self._wrong:
            self._told(Troubled("log", f"{self._path.name} cannot be written: {why}; trying again"))
        self._wrong = why

    def _end(self, why: str) -> None:
        self._told(Troubled("log", f"{self._path.name} ends here: {why}"))
        if self._file is not None:
            self._file.close()
        self._file = None
        self._pending.clear()


def _line(values: Mapping[str, Any]) -> bytes:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _steps(looks: Iterable[int], since: int) -> list[int]:
    """Moments as the nanoseconds from each to the next; signs stay."""
    steps = []
    for look in looks:
        steps.append((abs(look) - since) * (1 if look > 0 else -1))
        since = abs(look)
    return steps


def _moments(steps: Iterable[int], since: int) -> tuple[int, ...]:
    moments = []
    for step in steps:
        since += abs(step)
        moments.append(since if step > 0 else -since)
    return tuple(moments)


def read_log(path: Path) -> Log:
    """Read a log; a last line that is torn, as after a power cut, is left out.

    Errors: Mistake where it is no log, or where a line is not right.
    """
    place = path.name
    try:
        if path.stat().st_size > LARGEST + LONGEST_LINE:
            raise Mistake(place, f"larger than {LARGEST >> 20} MiB")
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise Mistake(place, f"cannot be read: {error.strerror}") from None
    del lines[-1:]  # "" after the last line, or what is torn
    head = _object(lines[0]) if lines else None
    if head is None or head.get("format") != FORMAT:
        raise Mistake(place, f"this is no control log; expected the format {FORMAT!r}")
    origin = head.get("clock")
    if not isinstance(origin, int):
        raise Mistake(place, "its first line lacks its clock")
    entries, at = [], origin
    for number, line in enumerate(lines[1:], 2):
        values = _object(line)
        try:
            if values is None:
                raise ValueError("not a JSON object")
            what = str(values.pop("what"))
            before, at = at, int(values.pop("at")) + origin
            looks = _moments(values.pop("looks"), before)
            beat, planned = (Fraction(values.pop(key)) for key in ("beat", "planned"))
            mark = Mark(at, looks, beat, planned)
        except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
            raise Mistake(f"{place}:{number}", f"cannot be understood: {error}") from None
        if max(before, *map(abs, looks), 0) > at:
            raise Mistake(f"{place}:{number}", "comes before the line above it")
        entries.append(Entered(mark, what, values))
    return Log(head, tuple(entries), bool(entries) and entries[-1].what == "end")


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


class BandLogs:
    """Where the logs of bands lie: in a folder of their own beside that of the one without a name.

    Laws: no two bands have the same file, whatever they are called and how often; of the bands that
    have been closed the newest logs stay, `KEPT_BANDS` of them and `ROOM_BANDS` bytes at most.
    """

    def __init__(self, log: Path) -> None:
        self.folder = log.with_suffix(".bands")
        self._count = 0
        self._closed: deque[tuple[Path, int]] = deque()
        self._size = 0  # bytes of those

    def fresh(self, name: str) -> Path:
        """A place for the log of a band of that name. Errors: OSError."""
        if not self._count:
            self.folder.mkdir(parents=True, exist_ok=True)
            for old in self.folder.glob("[0-9][0-9][0-9][0-9][0-9]* *.log"):  # of another time
                old.unlink(missing_ok=True)
        self._count += 1
        return self.folder / f"{self._count:05d} {name}.log"

    def close(self, path: Path) -> None:
        """A band has gone; what was noted of it stays, but not for ever."""
        size = 0
        with suppress(OSError):
            size = path.stat().st_size
        self._closed.append((path, size))
        self._size += size
        while len(self._closed) > KEPT_BANDS or self._size > ROOM_BANDS:
            old, size = self._closed.popleft()
            self._size -= size
            with suppress(OSError):
                old.unlink(missing_ok=True)


def log_folder() -> Path:
    """Where logs of past performances lie, on whatever system this is."""
    from platformdirs import user_state_path

    return user_state_path("componium", appauthor=False) / "logs"


def fresh_log(folder: Path, name: str) -> Path:
    """A place for another log; of the older ones the newest stay. Errors: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    there = logs(folder)
    for old in there[: -KEPT + 1]:
        old.unlink(missing_ok=True)
    for old in there[: -KEPT_FOLDERS + 1]:
        shutil.rmtree(BandLogs(old).folder, ignore_errors=True)
    stamp = time.strftime("%Y-%m-%d %H.%M.%S")
    same = [path.name[len(stamp) + 1 :] for path in there if path.name.startswith(f"{stamp}.")]
    number = 1 + max((int(rest[:3]) for rest in same if rest[:3].isdecimal()), default=0)
    return folder / f"{stamp}.{number:03d} {name}.log"


def logs(folder: Path) -> list[Path]:
    """The logs there are, oldest first: their names begin with the time."""
    return sorted(folder.glob("[0-9]*.log"))
