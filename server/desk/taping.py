"""What is played from a press of a button on, kept in memory to be fetched: MIDI file and log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction

from server.concert.journal import Entry, Harmonised, Marked, Moved, Played, Pressed, Ticked
from server.concert.player import Player
from server.takes.lines import Spelling, as_json
from server.takes.recorder import Take

from .tree import Argument, Node, Value

PREFIX = "/componium"
MOST_NOTES = 200_000  # of a take: some hours
MOST_LINES = 50_000  # of a log, the newest


class Taping:
    """A journal listener that keeps a take and a log while it is asked to.

    most_notes, most_lines: of a take, and of a log, the newest.  where: the path that they are
    fetched from.  may: raises Mistake where no more can be kept.
    Laws: it holds no more than that; a take that is full ends there; what has been kept stays until
    another one begins; it begins with the bar in which somebody asked for it.
    """

    def __init__(
        self,
        player: Player,
        most_notes: int = 0,
        most_lines: int = 0,
        where: str = "",
        may: Callable[[], object] = lambda: None,
    ) -> None:
        self._player, self._most = player, most_notes or MOST_NOTES
        self._where, self._may = where, may
        self._take: Take | None = None
        self._log: deque[Entry] = deque(maxlen=most_lines or MOST_LINES)
        self.on, self.notes = False, 0
        self._downbeat: Ticked | None = None  # of the bar that sounds; None while nothing does
        self._signs: dict[str, Marked | Harmonised] = {}  # key, section and chord
        player.journal.add(self)

    def begin(self) -> str:
        """Forget what was kept and keep what comes; while it is kept already, nothing.

        Errors: Mistake.
        """
        if not self.on:
            if not self.holds:
                self._may()
            scene = self._player.scene
            bar = self._downbeat
            since = bar.moment.beat if bar is not None else Fraction(0)
            self._take = Take(scene.seed if scene is not None else 0, "take", since)
            if scene is not None:
                self._take.begin(scene.ensemble)
            if bar is not None:
                for sign in self._signs.values():
                    self._take.add(sign._replace(moment=bar.moment))
                self._take.add(bar)
            self._log.clear()
            self.on, self.notes = True, 0
        return "everything is kept from here on"

    @property
    def holds(self) -> bool:
        """Whether anything has been kept."""
        return self._take is not None

    def end(self) -> str:
        """Keep nothing more; what it has stays to be fetched."""
        self.on = False
        return f"{self.notes} notes are kept"

    def _heed(self, entry: Entry) -> None:
        """Remember what a take that begins now has to begin with."""
        if isinstance(entry, Ticked) and entry.moment.position == 1:
            self._downbeat = entry
        elif isinstance(entry, Moved) and entry.state == "stopped":
            self._downbeat = None
        elif isinstance(entry, Harmonised):
            self._signs["chord"] = entry
        elif isinstance(entry, Marked) and entry.kind in ("key", "section"):
            self._signs[entry.kind] = entry

    def __call__(self, entry: Entry) -> None:
        self._heed(entry)
        if not self.on or self._take is None:
            return
        if isinstance(entry, Marked) and entry.kind == "scene" and self._player.scene is not None:
            self._take.begin(self._player.scene.ensemble)
        self._take.add(entry)
        if not isinstance(entry, Pressed):
            self._log.append(entry)
        if isinstance(entry, Played):
            self.notes += 1
            self.on = self.notes < self._most

    def file(self) -> bytes | None:
        """The MIDI file so far; None where nothing was ever kept."""
        return None if self._take is None else self._take.file()

    def lines(self) -> Iterator[str]:
        """The log so far, a JSON object a line as `--json` has them. Of values: for any thread."""
        spelling, log = Spelling(), tuple(self._log)

        def spelled() -> Iterator[str]:
            for entry in log:
                spelling.heed(entry)
                yield as_json(entry, spelling)

        return spelled()

    def nodes(self) -> Iterator[Node]:
        """What is there whatever the scene."""

        def act(told: object, on: Value) -> str:
            return self.begin() if on else self.end()

        yield Node(
            f"{PREFIX}/record",
            "Keep what is played from now on, or stop keeping it. It is fetched as "
            f"{self._where}/take.mid and {self._where}/take.jsonl of the page's port, by whoever "
            "has the token.",
            act,
            (Argument("record", "T"),),
            lambda: (self.on,),
            lambda: (False,),
        )
