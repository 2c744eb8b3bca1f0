"""What a shell may offer behind a command: scenes, addresses, values and the like."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from .ensemble.encode import PREFIX, whole

if TYPE_CHECKING:
    from .desk.tree import Node

MOMENTS = ("now", "beat", "bar", "phrase", "section")
MOST = 200  # files of a folder that are offered


def scenes(incomplete: str) -> list[str]:
    """Shipped scenes and styles, and what lies where the word leads: scene files, and folders."""
    from .score.scene import playable

    return [*_begun(playable(), incomplete), *_files(incomplete, ".toml")]


def programs(incomplete: str) -> list[str]:
    """Whose surfaces can be laid out."""
    from .desk.layouts import WRITERS

    return list(_begun(WRITERS, incomplete))


def outputs(incomplete: str) -> list[str]:
    """What `--midi` takes: a word of each port's name, and what is no port."""
    return _ports(incomplete, incoming=False)


def inputs(incomplete: str) -> list[str]:
    """What `--midi-in` takes."""
    return _ports(incomplete, incoming=True)


def sources(incomplete: str) -> list[str]:
    """What `--sync` takes."""
    from .score.sync import SOURCES

    head, colon, port = incomplete.partition(":")
    if colon and head == "midi":
        return [f"midi:{name}" for name in inputs(port)]
    return list(_begun(SOURCES, incomplete))


def logs(incomplete: str) -> list[str]:
    """The control logs that are kept, the newest first; and files."""
    from .takes.log import log_folder
    from .takes.log import logs as kept

    known = map(str, reversed(kept(log_folder())))
    return [*map(_word, _begun(known, incomplete)), *_files(incomplete, ".log")]


def targets(incomplete: str) -> list[str]:
    """Where a surface may send to: this machine, and this machine as others see it."""
    from .desk.whereabouts import addresses

    return list(_begun([f"{host}:1821" for host in ("127.0.0.1", *addresses(True))], incomplete))


def parts(incomplete: str, params: Mapping[str, Any]) -> list[str]:
    """The parts of the scene that stands there already."""
    from engines.base import Mistake

    from .score.scene import find_scene, load_scene

    try:
        scene = load_scene(find_scene(str(params.get("scene", ""))))
    except Mistake:
        return []
    return [_word(part.name) for part in scene.ensemble if part.name.startswith(incomplete)]


def values(incomplete: str, params: Mapping[str, Any]) -> list[str]:
    """What may stand behind an address: of the Componium that plays, else what is always there."""
    address, given = whole(str(params.get("address", ""))), list(params.get("values") or ())
    node = next((node for node in _nodes() if node.address == address), None)
    played = _choices_of(address)
    if not given and played:
        return [_word(each) for each in played if each.startswith(incomplete)]
    if node is None:
        return []
    for argument in node.arguments[len(given) :]:
        if argument.choices is not None:
            return [_word(each) for each in argument.choices() if each.startswith(incomplete)]
        if argument.name == "when" and len(given) >= len(node.needed):
            return list(_begun(MOMENTS, incomplete))
        if argument.default is None:
            break
    return []


def _choices_of(address: str) -> list[str]:
    """What the Componium that plays here takes as the first argument of an address."""
    import json
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:1822{quote(address)}?RANGE", timeout=0.5) as answer:
            return [str(each) for each in json.load(answer)["RANGE"][0]["VALS"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _ports(incomplete: str, incoming: bool) -> list[str]:
    from .backstage.survey import ports

    return list(_begun([*ported(ports(incoming)), "virtual", "none"], incomplete))


def ported(names: Iterable[str]) -> list[str]:
    """Of each port's name a word that means it alone; all of it where there is none.

    A blank or colon would end the word in the shell, and a part of the name is enough.
    """
    known = list(dict.fromkeys(names))
    found = []
    for name in known:
        words = sorted(re.findall(r"[\w.-]{3,}", name), key=len, reverse=True)
        alone = (word for word in words if sum(word in other for other in known) == 1)
        found.append(next(alone, _word(name)))
    return found


def _word(name: str) -> str:
    """A name as one word; zsh and fish see to that by themselves."""
    bash = os.environ.get("_COMPONIUM_COMPLETE", "").endswith("bash")
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", name) if bash else name


def _nodes() -> list[Node]:
    """What there is whatever scene plays."""
    from .concert.clock import JumpClock
    from .concert.player import Player
    from .desk.desk import Desk
    from .score.scene import load_scene

    desk = Desk(Player(JumpClock()), lambda path, style: load_scene(Path(path), style))
    return list(desk.common_nodes())


def addresses(incomplete: str) -> list[str]:
    """What can be told whatever scene plays, with or without the prefix, as the word begins."""
    known = [node.address for node in _nodes()]
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
