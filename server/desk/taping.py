"""What is played from a press of a button on, kept in memory to be fetched: MIDI file and log."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from server.journal import Entry, Marked, Played, Pressed
from server.lines import Spelling, as_json
from server.player import Player
from server.recorder import Take

from .tree import Argument, Node, Value

PREFIX = "/componium"
MOST_NOTES = 200_000  # of a take: some hours
MOST_LINES = 50_000  # of a log, the newest


class Taping:
    """A journal listener that keeps a take and a log while it is asked to.

    most_notes, most_lines: of a take, and of a log, the newest.  where: the path that they are
    fetched from.  may: raises Mistake where no more can be kept.
    Laws: it holds no more than that; a take that is full ends there; what has been kept stays until
    another one begins.
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
        player.journal.add(self)

    def begin(self) -> str:
        """Forget what was kept and keep what comes; while it is kept already, nothing.

        Errors: Mistake.
        """
        if not self.on:
            if not self.holds:
                self._may()
            scene = self._player.scene
            self._take = Take(scene.seed if scene is not None else 0, "take")
            if scene is not None:
                self._take.begin(scene.ensemble)
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

    def __call__(self, entry: Entry) -> None:
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
        )
