"""The scene that plays is read again when one of its files has been saved.

What has changed is asked of the folders, not of the files: an editor may write a new file and give
it the old one's name.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles import watch

from server.concert.changes import SCENE as TOPIC
from server.concert.journal import Entry, Marked, Troubled
from server.score.scene import Scene
from server.score.sources import digest, sources, written

from .desk import PREFIX, Desk, Source
from .tree import Value

SETTLE, STEP = 60, 20  # ms that nothing more has changed; and between two looks
APART = 0.02  # s between two bands that look at the same file: what that leads to takes its turn
CALM = 0.3  # s between two readings: an editor may save twice, a bouncing button is told apart
MOST_STATES = 64  # scenes whose files are known
SCENE, STYLE = (f"{PREFIX}/{name}" for name in ("scene", "style"))

#: A scene's files, what they say in short, and whether its own still says what was read.
_Said = tuple[frozenset[Path], bytes, bool]


class Lookout:
    """Notices changes in folders, on one thread for all who follow any.

    trouble: told where a system has no more watches to give.
    Laws: who follows is told of each change in his folders, one after another; what their files say
    is found out once for all who play of the same ones.
    """

    def __init__(self, trouble: Callable[[Troubled], object]) -> None:
        self._loop, self._trouble = asyncio.get_running_loop(), trouble
        self._followed: dict[Callable[[], None], frozenset[Path]] = {}
        #: All that anybody follows.
        self.folders: frozenset[Path] = frozenset()
        self._stop: threading.Event | None = None
        self._states: dict[int, tuple[object, asyncio.Future[_Said]]] = {}

    def follow(self, told: Callable[[], None], folders: frozenset[Path]) -> None:
        """Have somebody told of changes in these folders, not of those below them."""
        self._followed[told] = folders
        self._look_there()

    def leave(self, told: Callable[[], None]) -> None:
        if self._followed.pop(told, None) is not None:
            self._look_there()

    async def state(self, scene: Scene) -> _Said:
        """What a scene's files say, as far as we have been told of changes."""
        sheet = scene.sheet
        known = self._states.get(id(sheet))
        if known is None or known[0] is not sheet:
            future = asyncio.ensure_future(asyncio.to_thread(_state, scene))
            if len(self._states) >= MOST_STATES:
                self._states.clear()
            known = self._states[id(sheet)] = sheet, future
        return await asyncio.shield(known[1])

    def _look_there(self) -> None:
        there = frozenset[Path]().union(*self._followed.values())
        if there == self.folders:
            return
        fresh, self.folders = there - self.folders, there
        if self._stop is not None:
            self._stop.set()
        self._stop = threading.Event()
        if there:
            ways = (sorted(there), self._stop)
            threading.Thread(target=self._listen, args=ways, name="watch", daemon=True).start()
        self._tell(fresh)  # it may have changed before anybody listened

    def _tell(self, folders: frozenset[Path]) -> None:
        if folders:
            self._states.clear()
        concerned = [told for told, followed in self._followed.items() if followed & folders]
        for nth, told in enumerate(concerned):
            self._loop.call_later(nth * APART, told)

    def _listen(self, folders: list[Path], stop: threading.Event) -> None:
        """On a thread of its own: nothing of it touches the music but one call."""
        changes = watch(
            *folders,
            watch_filter=None,
            debounce=SETTLE,
            step=STEP,
            stop_event=stop,
            rust_timeout=500,
            recursive=False,
            raise_interrupt=False,
        )
        try:
            for each in changes:
                where = frozenset(Path(path).parent for _, path in each)
                with suppress(RuntimeError):  # the loop has just closed
                    self._loop.call_soon_threadsafe(self._tell, where)
        except Exception as error:  # such as no more watches to be had from the system
            text = f"the scene's files cannot be followed: {error}"
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._trouble, Troubled("watch", text))


class Watch:
    """Follows the files of the scene that plays, whichever that is, until `close`.

    became: told whether the last reading was right.  lookout: shared with others.
    Laws: a file that is wrong leaves the old scene playing, and says where; one that says the same
    as before changes nothing; saved twice while it is being read, it is read once more; a scene or
    style that somebody has armed comes first, and what was saved is read after it.
    """

    def __init__(
        self,
        desk: Desk,
        became: Callable[[bool], None] = lambda right: None,
        lookout: Lookout | None = None,
    ) -> None:
        self._desk, self._became = desk, became
        self._lookout = lookout or Lookout(desk.player.journal.enter)
        #: Where changes are noticed.
        self.folders: frozenset[Path] = frozenset()
        self._seen = b""
        self._scene: Scene | None = None
        self._ours = self._later = False  # a reading is armed; one waits for what others armed
        self._changed = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._readings = 0
        desk.player.journal.add(self._hear)
        self._changed.set()

    def close(self) -> None:
        """Follow no more."""
        self._task.cancel()
        self._lookout.leave(self._changed.set)

    def _hear(self, entry: Entry) -> None:
        if isinstance(entry, Marked) and entry.kind == "scene":
            self._changed.set()

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._look()
            except Exception as error:
                text = f"the scene's files cannot be followed: {error!r}"
                self._desk.player.journal.enter(Troubled("watch", text))
            await asyncio.sleep(CALM)

    async def _look(self) -> None:
        """See what the files say now, and have them read where that is something else."""
        scene = self._desk.player.scene
        if scene is None:
            return
        files, now, current = await self._lookout.state(scene)
        if scene is not self._desk.player.scene:  # another has taken over meanwhile
            self._changed.set()
            return
        fresh, before = scene is not self._scene, self._seen
        self._scene, self._seen = scene, now
        stale = self._later or (not current if fresh else now != before)
        self._later = stale and not self._ours and bool(self._desk.player.changes.armed(TOPIC))
        if self._later:  # look again until that has come or been called off
            self._changed.set()
        elif stale:
            self._read_again(scene)
        self._follow({path.parent for path in files})

    def _read_again(self, scene: Scene) -> None:
        def answer(_: str, values: tuple[Value, ...]) -> None:
            address, state = values[:2]
            if address in (SCENE, STYLE):
                self._ours = state == "armed"
            if address in (SCENE, STYLE) and state in ("done", "armed", "refused"):
                self._became(state != "refused")

        self._readings += 1
        source = Source(f"the file of {scene.name}, reading {self._readings}", answer=answer)
        self._desk.reread(source)

    def _follow(self, folders: Iterable[Path]) -> None:
        self.folders = frozenset(path.resolve() for path in folders if path.is_dir())
        self._lookout.follow(self._changed.set, self.folders)


def _state(scene: Scene) -> _Said:
    """A scene's files, what they say in short, and whether its own still says what was read."""
    files, sheet, text = sources(scene), scene.sheet, written(scene)
    current = sheet is None or sheet.text == text or not text
    return files, digest(files), current
