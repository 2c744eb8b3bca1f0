"""What a shell may offer behind a command: scenes, addresses and the like; pure but for folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

PREFIX = "/componium"
MOST = 200  # files of a folder that are offered


def scenes(incomplete: str) -> list[str]:
    """Shipped scenes and styles, and what lies where the word leads: scene files, and folders."""
    from .score.scene import playable

    return [*_begun(playable(), incomplete), *_files(incomplete, ".toml")]


def programs(incomplete: str) -> list[str]:
    """Whose surfaces can be laid out."""
    from .desk.layouts import WRITERS

    return list(_begun(WRITERS, incomplete))


def addresses(incomplete: str) -> list[str]:
    """What can be told whatever scene plays, with or without the prefix, as the word begins."""
    from .concert.clock import JumpClock
    from .concert.player import Player
    from .desk.desk import Desk
    from .score.scene import load_scene

    desk = Desk(Player(JumpClock()), lambda path, style: load_scene(Path(path), style))
    known = [node.address for node in desk.common_nodes()]
    if not incomplete.startswith(PREFIX):
        known = [address.removeprefix(PREFIX) for address in known]
    return list(_begun(known, incomplete))


def _begun(names: Iterable[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))


def _files(incomplete: str, suffix: str) -> Iterator[str]:
    head, slash, tail = incomplete.rpartition("/")
    try:
        there = sorted(Path(head + slash or ".").expanduser().iterdir())[:MOST]
    except OSError:
        return
    for path in there:
        if path.name.startswith(tail) and not (path.name.startswith(".") and not tail):
            if path.is_dir():
                yield f"{head}{slash}{path.name}/"
            elif path.suffix == suffix:
                yield f"{head}{slash}{path.name}"
