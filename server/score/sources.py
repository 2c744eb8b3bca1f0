"""The files that a scene is made of, and whether any of them has changed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from engines.base import Mistake

from .scene import Scene, load_scene
from .style import shipped
from .table import Mistakes, parse

KINDS = ("styles", "harmony", "moods")
MOST = 1000  # files of one scene
LONGEST = 255  # characters of a name
JUST_NOW = 0.05  # s for which what was looked at counts as it was: a hundred bands may ask at once
WRONG = 2.0  # s for which a mistake counts: whoever else plays this need not find it again
LARGEST = 16 << 20  # bytes of a file that are looked at


def sources(scene: Scene) -> frozenset[Path]:
    """Every file that a scene may be made of: its own, and what its text, or the text of such a
    file, names: styles, progressions, maps of moods, themes, tunes, models.

    Law: what a scene reads is among them, when it is there; a word that happens to be the name of a
    file may be, too.
    """
    sheet = scene.sheet
    if sheet is None:
        return frozenset()
    bases = [sheet.base]
    found = dict.fromkeys([sheet.base / sheet.file] if sheet.file else [])
    waiting = [*_named(sheet.style, bases), *_in_text(sheet.text, bases)]
    while waiting and len(found) < MOST:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        if path.suffix == ".toml":
            with suppress(OSError, UnicodeDecodeError):
                waiting += _in_text(path.read_text(encoding="utf-8-sig"), [*bases, path.parent])
    return frozenset(found)


def written(scene: Scene) -> str:
    """What stands in the file now that a scene's own text was read from; "" where it has none.

    A shipped style that plays by itself is a scene that does no more than name it: no file says so.
    """
    sheet = scene.sheet
    if sheet is None or not sheet.file:
        return ""
    path = sheet.base / sheet.file
    if path in shipped("styles").values():
        return ""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="utf-8-sig")
    return ""


def _in_text(text: str, bases: Iterable[Path]) -> Iterator[Path]:
    for word in _words(text):
        yield from _named(word, bases)


@lru_cache(64)
def _words(text: str) -> frozenset[str]:
    """All that may be the name of a file; kept, as a text is parsed in milliseconds."""
    try:
        return frozenset(_strings(parse(text)))
    except Mistake:
        return frozenset()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def _named(word: str, bases: Iterable[Path]) -> Iterator[Path]:
    """The files that a word may name."""
    if not 0 < len(word) <= LONGEST or not word.isprintable():
        return
    for kind in KINDS:
        if word in (there := shipped(kind)):
            yield there[word]
    for base in bases:
        with suppress(OSError, ValueError, NotImplementedError):
            if any(sign in word for sign in "*?[") and not Path(word).is_absolute():
                yield from (path for path in islice(base.glob(word), MOST) if path.is_file())
            else:
                for path in (base / word, base / f"{word}.toml"):
                    if path.is_file():
                        yield path


class Shelf:
    """Scenes that have been read, kept as long as their files say the same.

    A scene holds no state of a performance, so that any number of bands may play the same one.
    Any thread may ask.  A mistake is kept for two seconds, while the files that were known say
    the same.  room: for so many scenes with a style, half a MiB each; the latest asked for stay.
    """

    def __init__(self, room: int = 6) -> None:
        self._room, self._lock = room, Lock()
        self._there: OrderedDict[tuple[Path, str], tuple[Scene, bytes, float]] = OrderedDict()
        self._wrong: dict[tuple[Path, str], tuple[Mistake, frozenset[Path], bytes, float]] = {}

    def scene(self, path: Path, style: str = "") -> Scene:
        """As `load_scene`. Errors: Mistake."""
        key, now = (path, style), monotonic()
        with self._lock:
            known = self._there.pop(key, None)
            wrong = self._wrong.pop(key, None)
        if wrong is not None and now - wrong[3] < WRONG and digest(wrong[1]) == wrong[2]:
            with self._lock:
                self._wrong[key] = wrong
                if known is not None:
                    self._there[key] = known
            raise _bare(wrong[0])
        if known is None or (now - known[2] > JUST_NOW and digest(sources(known[0])) != known[1]):
            files = frozenset([path]) | (sources(known[0]) if known is not None else frozenset())
            before = digest(files)
            try:
                scene = load_scene(path, style)
            except Mistake as mistake:
                with self._lock:
                    if len(self._wrong) >= self._room:
                        self._wrong.clear()
                    self._wrong[key] = _bare(mistake), files, before, now
                raise
            known = scene, digest(sources(scene)), now
        elif now - known[2] > JUST_NOW:
            known = *known[:2], now
        with self._lock:
            self._there[key] = known
            if len(self._there) > self._room:
                self._there.popitem(last=False)
        return known[0]


def _bare(mistake: Mistake) -> Mistake:
    """The same without the frames that it came through, which hold whatever was read there."""
    if isinstance(mistake, Mistakes):
        return Mistakes([_bare(each) for each in mistake.each])
    return Mistake(mistake.place, mistake.problem, mistake.line, mistake.column)


def digest(paths: Iterable[Path]) -> bytes:
    """What stands in files, in short; one that cannot be read counts as empty."""
    whole = sha256()
    for path in sorted(paths):
        whole.update(str(path).encode("utf-8", "replace") + b"\0")
        with suppress(OSError), path.open("rb") as file:
            whole.update(sha256(file.read(LARGEST)).digest())
    return whole.digest()
