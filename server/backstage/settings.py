"""The user's own settings: `config.toml` in the platform's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.base import Mistake
from server.score.table import Table, read

LARGEST = 1 << 20  # bytes
#: Reads one value as the command line would. Errors: Mistake.
Reads = Callable[[Any], Any]


@dataclass(frozen=True)
class Settings:
    """What a file of settings says. play: options of `play` by name; mqtt: the broker's table."""

    play: Mapping[str, Any] = field(default_factory=dict)
    mqtt: Mapping[str, Any] = field(default_factory=dict)


def read_settings(path: Path, options: Mapping[str, Reads], asked: bool = False) -> Settings:
    """The settings in a file; none where it is not there and nobody has asked for it.

    options: what `play` takes.
    Errors: Mistakes, with lines; Mistake where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Mistake(str(path), f"is larger than {LARGEST} bytes")
        text = data.decode()
    except FileNotFoundError:
        if asked:
            raise Mistake(str(path), "there is no such file") from None
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake(str(path), f"cannot be read: {error}") from None

    def make(table: Table) -> Settings:
        play, mqtt = table.table("play"), table.table("mqtt")
        table.end()
        return Settings(_options(play, options), _broker(mqtt, path.parent))

    return read(text, make, str(path))


def _options(table: Table | None, options: Mapping[str, Reads]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if table is None:
        return found
    for name, reads in options.items():
        value = table.take(name)
        if value is None:
            continue
        try:
            found[name] = reads(value)
        except Mistake as mistake:
            table.amiss(name, mistake.problem, None)
    table.end()
    return found


def _broker(table: Table | None, folder: Path) -> dict[str, Any]:
    if table is None:
        return {}
    found: dict[str, Any] = {key: table.text(key) for key in ("broker", "id", "user")}
    for key in ("password_file", "ca_file"):
        name = table.text(key)
        found[key] = folder / name if name else None
    found["notes"] = table.flag("notes")
    table.end()
    return found
