"""The folder in which scenes are kept that are written while the music plays."""

from __future__ import annotations

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from engines.base import Mistake
from server.score.scene import Scene, parse_scene, playable

NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: What some systems have for devices, whatever the ending.
_DEVICES = re.compile(r"(?i)con|prn|aux|nul|com\d|lpt\d")


class Folio:
    """Keeps scenes as NAME.toml in one folder, and nowhere else.

    Laws: a file is there whole or as it was before; a shipped scene's name is never taken; a text
    that is no scene is never kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> Path:
        """Where a scene of this name is kept. Errors: Mistake where none may be called so."""
        if not NAMES.fullmatch(name) or _DEVICES.fullmatch(name):
            raise Mistake("name", "expected letters, digits, _ and -, 64 at most, such as my-song")
        if name.lower() in {each.lower() for each in playable()}:
            raise Mistake("name", f"{name} is shipped and stays as it is; call yours otherwise")
        return self.folder / f"{name}.toml"

    def checked(self, name: str, text: str) -> Scene:
        """The scene that a text is. Errors: Mistakes; lines and columns are those of the text."""
        path = self.path(name)
        return parse_scene(text, name, path.parent, file=path.name)

    def keep(self, name: str, text: str) -> Path:
        """Have a file say this, in the place of what it said before. Errors: Mistake."""
        path = self.path(name)
        fresh: Path | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number, made = tempfile.mkstemp(".new", f".{name}-", self.folder)
            fresh = Path(made)
            with os.fdopen(number, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.chmod(0o644)
            fresh.replace(path)
        except OSError as error:
            if fresh is not None:
                with suppress(OSError):
                    fresh.unlink()
            raise Mistake("name", f"{path} cannot be written: {error.strerror}") from None
        return path

    def name_for(self, scene: Scene) -> str:
        """What a scene would best be kept as: its own name where that may be."""
        with suppress(Mistake):
            self.path(scene.name)
            return scene.name
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", scene.name).strip("-") or "scene"
        return f"my-{plain}"[:64]
