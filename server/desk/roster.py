"""Which bands there are and how each is, in a folder: what outlives the program of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from engines.base import Mistake
from server.backstage.aside import Aside
from server.band.bands import MOST, check_name
from server.concert.journal import Troubled

from .memory import LARGEST, State, write_data

LONGEST_IDLE = 86_400.0  # s


def file_name(name: str) -> str:
    """What a band's file is called: some systems take `Ann` for `ann`, and none has a `con`."""
    return f"{sha256(name.encode()).hexdigest()[:8]} {name}"


class Kept(NamedTuple):
    """A band as it was. target: where it sends to.  patience: seconds, as of `alive`."""

    name: str
    target: str
    patience: float
    state: State

    def data(self) -> dict[str, Any]:
        """As JSON has it: the state, and whose it is."""
        band = {"name": self.name, "target": self.target, "patience": self.patience}
        return self.state.data() | {"band": band}

    @classmethod
    def read(cls, data: Any) -> Kept:
        """Law: whatever it is, the answer is a band or a Mistake."""
        state, band = State.read(data), data.get("band")
        if not isinstance(band, dict):
            raise Mistake("band", "expected whose state this is")
        name, target, patience = (band.get(key) for key in ("name", "target", "patience"))
        if not isinstance(name, str) or not isinstance(target, str):
            raise Mistake("band", "expected a name and a target")
        if isinstance(patience, bool) or not isinstance(patience, int | float):
            raise Mistake("band.patience", "expected seconds")
        if not (isfinite(patience) and 0 <= patience <= LONGEST_IDLE):
            raise Mistake("band.patience", f"expected 0 to {LONGEST_IDLE:g} s")
        return cls(check_name(name), target, float(patience), state)


class Roster:
    """Keeps a file for each band, on a thread of its own.

    trouble: told, from another thread too, what goes wrong.  afresh: whether what is there is of a
    performance that this one does not go on with: then it goes when the first is kept, or `renew`.
    Laws: no two names have the same file, on whatever system, and none is outside the folder; a
    file is whole or not there; `put` and the like wait for no disk.
    """

    def __init__(
        self, folder: Path, trouble: Callable[[Troubled], object], afresh: bool = False
    ) -> None:
        self.folder, self._trouble, self._afresh = folder, trouble, afresh
        self._failing = False
        self._aside: Aside[Callable[[], None]] = Aside(lambda work: work(), room=4 * MOST)

    def place(self, name: str) -> Path:
        """The file of a band."""
        return self.folder / f"{file_name(name)}.json"

    def read(self) -> list[Kept]:
        """The bands that there were, by their names; what is no good is told and left. Slow."""
        found = []
        for path in sorted(self.folder.glob("* *.json"))[:MOST]:
            try:
                if path.stat().st_size > LARGEST:
                    raise Mistake("", f"larger than {LARGEST >> 20} MiB")
                kept = Kept.read(json.loads(path.read_text(encoding="utf-8")))
                if path != self.place(kept.name):
                    raise Mistake("band", f"is {kept.name}'s; its file is called otherwise")
                found.append(kept)
            except (OSError, ValueError, RecursionError) as error:
                self._trouble(Troubled("state", f"{path.name} cannot be read: {error}"))
        return sorted(found, key=lambda kept: kept.name)

    def keep(self, kept: Kept) -> None:
        """Have a band written down as it is now."""
        self.renew()
        self._aside.put(lambda: self._write(kept))

    def forget(self, name: str) -> None:
        """A band has been closed: it does not come back."""
        self._aside.put(lambda: self._remove(name))

    def renew(self) -> None:
        """Let go of the bands of the performance before, where this one is another."""
        if self._afresh:
            self._afresh = False
            self._aside.put(self._clear)

    def close(self) -> bool:
        """Write what waits; False where the disk does not take it in two seconds."""
        return self._aside.close(2.0)

    def _clear(self) -> None:
        for path in self.folder.glob("* *.json"):
            with suppress(OSError):
                path.unlink()

    def _remove(self, name: str) -> None:
        try:
            self.place(name).unlink(missing_ok=True)
        except OSError as error:
            self._fail(f"{name}: cannot be forgotten: {error}")

    def _write(self, kept: Kept) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_data(self.place(kept.name), kept.data())
            self._failing = False
        except (OSError, ValueError, TypeError) as error:
            self._fail(f"{kept.name}: cannot be written: {error}")

    def _fail(self, why: str) -> None:
        """Tell it, once until it does well again."""
        if not self._failing:
            self._failing = True
            self._trouble(Troubled("state", why))
