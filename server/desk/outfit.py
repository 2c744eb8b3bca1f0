"""What every band has at hand, the one without a name too: its desk, and files that keep for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from engines.base import Mistake
from server.backstage.aside import Aside
from server.band.bands import Band
from server.band.baton import Baton
from server.concert.journal import Troubled
from server.score.scene import Scene

from .desk import Desk
from .folio import Folio
from .midi import Mappings
from .roster import file_name
from .taping import Taping

LARGEST_TASTE = 16 << 20  # bytes of a file with what was learnt


def place(file: Path, name: str) -> Path:
    """Where a band keeps what the one without a name keeps in a file.

    Law: no two names have the same file, on whatever system.
    """
    if not name:
        return file
    return file.with_name(f"{file.name}.bands") / f"{file_name(name)}{file.suffix}"


class Tastes:
    """What listeners have taught each band, in a file of its own, written on a thread.

    trouble: told what goes wrong, from that thread.  soon: has something called on the loop, from
    any thread.
    Law: a file is whole or as it was; nobody waits for a disk but `read` and `close`.
    """

    def __init__(
        self,
        file: Path,
        trouble: Callable[[Troubled], object],
        soon: Callable[[Callable[[], object]], object],
    ) -> None:
        self._file, self._trouble, self._soon = file, trouble, soon
        self._aside: Aside[Callable[[], None]] | None = None
        self._waiting: dict[str, Mapping[str, Any]] = {}  # what is still to be written, by band

    def recall(self, band: Band) -> None:
        """Have a band know what was kept for it. Errors: Mistake."""
        taste = self.read(band.name)
        if taste is not None:
            band.hands.load_tastes(taste)

    def read(self, name: str) -> Any:
        """What was kept for a band; None where nothing was. Errors: Mistake."""
        if (waiting := self._waiting.get(name)) is not None:
            return waiting
        path = place(self._file, name)
        try:
            if not path.exists():
                return None
            if path.stat().st_size > LARGEST_TASTE:
                raise Mistake("--taste", f"{path} is larger than {LARGEST_TASTE >> 20} MiB")
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            if isinstance(error, Mistake):
                raise
            raise Mistake("--taste", f"{path} cannot be read: {error}") from None

    def keep(self, band: Band, become: Callable[[str, str], object] | None = None) -> None:
        """Save what a band has learnt. become: told "done" and where, or "refused" and why."""
        self._waiting[band.name] = data = band.hands.tastes()

        def save() -> None:
            try:
                state, reason = "done", self._write(band.name, data)
            except Mistake as mistake:
                state, reason = "refused", str(mistake)
            if self._waiting.get(band.name) is data:
                del self._waiting[band.name]
            if become is not None:
                self._soon(partial(become, state, reason))

        self._aside = self._aside or Aside(lambda work: work())
        self._aside.put(save)

    def leave(self, band: Band) -> None:
        """A band is closed: save what it has learnt, if that is anything."""
        if any(taste.to_data() for taste in band.player.tastes.values()):
            self.keep(band)

    def close(self, band: Band) -> None:
        """Save for a band, and all that waits, at last. Errors: Mistake."""
        if self._aside is not None:
            self._aside.close()
        self._write(band.name, band.hands.tastes())

    def _write(self, name: str, data: Mapping[str, Any]) -> str:
        """Save what was learnt, whole or not at all; where. Errors: Mistake."""
        path = place(self._file, name)
        fresh = path.with_name(f"{path.name}.new")
        try:
            if name:
                path.parent.mkdir(exist_ok=True)
            fresh.write_text(json.dumps(data, indent=1), encoding="utf-8")
            fresh.replace(path)
        except OSError as error:
            self._trouble(Troubled("taste", f"{path} cannot be written: {error}"))
            raise Mistake("taste", f"{path.name} cannot be written") from None
        return f"to {path.name}"


class Learnt(NamedTuple):
    """What was kept for a band. taste: None where nothing was."""

    taste: Any
    mappings: Mappings

    def begin(self, band: Band) -> None:
        """Have a band know what feedback has taught it. Errors: Mistake."""
        if self.taste is not None:
            band.hands.load_tastes(self.taste)


@dataclass
class Outfit:
    """Has desks made for bands, all in the same way.

    folder, folio: as of `Desk`.  tastes: where what feedback teaches is kept.  themes, mappings:
    the files of the band without a name that themes are added to, and that keep what MIDI learn
    has learnt; others have theirs beside them.  None: it is not kept.  trouble: told, from any
    thread, of mappings that are no good: they are left as they are.
    """

    folder: Path | None = None
    folio: Folio | None = None
    tastes: Tastes | None = None
    themes: Path | None = None
    mappings: Path | None = None
    trouble: Callable[[Troubled], object] = lambda trouble: None

    def desk(
        self,
        band: Band,
        load: Callable[[str, str], Scene],
        mappings: Mappings | None = None,
        taping: Taping | None = None,
    ) -> Desk:
        """The desk of a band. load, taping: as of `Desk`."""
        return Desk(
            band.player,
            load,
            self.folder,
            partial(self.tastes.keep, band) if self.tastes is not None else None,
            partial(self._keep_themes, band) if self.themes is not None else None,
            band.keyboard,
            mappings,
            band.sync,
            taping,
            self.folio,
        )

    def read(self, name: str) -> Learnt:
        """What was kept for a band with a name; slow. Errors: Mistake where a taste is no good."""
        taste = self.tastes.read(name) if self.tastes is not None else None
        try:
            file = place(self.mappings, name) if self.mappings is not None else None
            return Learnt(taste, Mappings(file))
        except Mistake as mistake:
            text = f"{name}: {mistake.problem}; it is left as it is, and what is learnt is not kept"
            self.trouble(Troubled("mappings", text))
            return Learnt(taste, Mappings())

    def _keep_themes(self, band: Band, theme: str) -> str:
        assert self.themes is not None
        file = place(self.themes, band.name)
        if band.name:
            file.parent.mkdir(exist_ok=True)
        return Baton(band.player).keep_themes(file, theme)
