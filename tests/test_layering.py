"""The house of `docs/house.md`: each room imports only what lies below it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

THIS = Path(__file__).resolve()
ROOT = THIS.parents[1]
STANDARD = sys.stdlib_module_names
MODULES = sorted(
    path for room in ("engines", "server") for path in (ROOT / room).rglob("*.py")
)  # fmt: skip

#: Room -> the rooms below it, of which it may import everything: one direction, no circle.
BELOW: dict[str, set[str]] = {
    "engines": set(),
    "server.music": {"engines.base"},
    "server.conductor": {"engines.base", "server.music"},
    "server.wire": set(),
    "server.ensemble": {"engines", "server.music", "server.conductor", "server.wire.protocol"},
    "server.score": {"engines", "server.music", "server.conductor", "server.ensemble"},
    "server.concert": {
        *("engines", "server.music", "server.conductor", "server.ensemble", "server.score"),
        "server.wire.protocol",
    },
    "server.sync": {
        *("engines.base", "server.music", "server.score", "server.concert"),
        "server.wire.protocol",
    },
    "server.backstage": {"engines.base", "server.score", "server.concert", "server.wire"},
    "server.band": {
        *("engines", "server.music", "server.conductor", "server.ensemble", "server.score"),
        *("server.concert", "server.sync", "server.backstage", "server.wire.protocol"),
    },
    "server.takes": {
        *("engines.base", "server.music", "server.ensemble", "server.score", "server.concert"),
        "server.backstage",
    },
    "server.desk": {
        *("engines", "server.music", "server.conductor", "server.ensemble", "server.score"),
        *("server.concert", "server.sync", "server.backstage", "server.band", "server.takes"),
        "server.wire.protocol",
    },
    "server.errands": {
        *("engines", "server.conductor", "server.ensemble", "server.score", "server.concert"),
        "server.takes",
    },
    "server.replay": {
        *("engines", "server.music", "server.conductor", "server.ensemble", "server.score"),
        *("server.concert", "server.sync", "server.band", "server.takes", "server.desk"),
        "server.wire.protocol",
    },
    "server.completion": {
        *("engines", "server.ensemble", "server.score", "server.concert", "server.backstage"),
        *("server.takes", "server.desk"),
    },
    "server.stage": {
        *("engines", "server.ensemble", "server.score", "server.concert", "server.backstage"),
        *("server.band", "server.takes", "server.desk", "server.replay", "server.wire"),
    },
    "server.cli": {
        *("engines", "server.conductor", "server.ensemble", "server.score", "server.concert"),
        *("server.backstage", "server.band", "server.takes", "server.desk", "server.errands"),
        *("server.replay", "server.completion", "server.stage"),
    },
    "server": set(),
}

#: Library -> the modules that may import it.
LIBRARIES: dict[str, set[str]] = {
    "lark": {"engines.grammar.notation", "engines.lsystem.notation"},
    "mido": {"server.score.tunes", "server.takes.recorder"},
    "platformdirs": {"server.score.folders", "server.desk.keys", "server.takes.log"},
    "rich": {"server.takes.view", "server.cli.render"},
    "typer": {
        *("server.cli", "server.cli.manners", "server.cli.play", "server.cli.render"),
        *("server.cli.scene", "server.cli.learn", "server.cli.check", "server.cli.tell"),
        "server.cli.machine",
    },
    "aiohttp": {"server.desk.web"},
    "aiomqtt": {"server.desk.mqtt"},
    "zeroconf": {"server.desk.announce"},
    "watchfiles": {"server.desk.watch"},
    "link": {"server.sync.link"},
    "rtmidi": {"server.wire.midi"},
    "supriya_midi": {"server.wire.midi"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, at_once: bool = False) -> set[str]:
    """Every module that is imported, wherever in the file; or when the file is, typing aside."""
    found = set()
    package = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            inside = {f"{module}.{alias.name}" for alias in node.names}
            ours = {each for each in inside if exists(each)}
            found |= ours or {module}
    return found


def exists(module: str) -> bool:
    path = ROOT / Path(*module.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def room_of(module: str) -> str:
    return max((room for room in BELOW if within(module, {room})), key=len)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    module = name_of(path)
    found = {each for each in imports(path) if each.split(".")[0] not in STANDARD}
    room = room_of(module)
    own = {room} if room != "server" else set()
    libraries = {each for each, users in LIBRARIES.items() if module in users}
    strangers = {each for each in found if not within(each, BELOW[room] | own | libraries)}
    assert not strangers, f"{module} may import {sorted(BELOW[room] | libraries)} only"


def test_every_room_lies_upon_those_it_imports() -> None:
    """There is an order in which the rooms could be built one after the other."""
    rooms = {room: {room_of(each) for each in below} for room, below in BELOW.items()}
    built: set[str] = set()
    while ready := {room for room, below in rooms.items() if room not in built and below <= built}:
        built |= ready
    assert built == set(rooms)
    assert "server.cli" not in {each for below in rooms.values() for each in below}


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Within a room there is an order, too."""
    graph = {name_of(path): imports(path, at_once=True) for path in MODULES}
    assert len(tuple(TopologicalSorter(graph).static_order())) >= len(MODULES)


def test_every_module_is_in_a_room() -> None:
    assert {name_of(path) for path in MODULES if room_of(name_of(path)) == "server"} == {"server"}


def test_what_may_be_imported_is() -> None:
    found: dict[str, set[str]] = {room: set() for room in BELOW}
    by_module = {name_of(path): imports(path) for path in MODULES}
    for module, names in by_module.items():
        found[room_of(module)] |= names
    for room, below in BELOW.items():
        for each in below:
            assert any(within(one, {each}) for one in found[room]), f"{room} needs no {each}"
    for library, users in LIBRARIES.items():
        for module in users:
            assert any(within(one, {library}) for one in by_module[module]), (library, module)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_turns_data_into_code(path: Path) -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & forbidden
    assert not imports(path) & {"pickle", "marshal", "shelve", "yaml"}


def test_a_command_line_costs_no_more_than_it_needs() -> None:
    """`componium --help` and the like load neither the player nor a MIDI, OSC or rule library."""
    program = "import sys, server.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    ).stdout.split()
    heavy = {"lark", "mido", "rich", "rtmidi", "pythonosc", "asyncio", "server.concert.player"}
    assert not heavy & set(loaded)


def test_pins_are_plain_and_name_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+", line), line


def test_no_file_ties_an_install_to_one_source() -> None:
    hosts = re.compile(r"pypi\.|pythonhosted|npmjs|index-url|jsdelivr|unpkg")
    folders = ("engines", "server", "config", "tests", "scripts", "docs", ".ci")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    for path in [*files, *ROOT.glob("*.*")]:
        if path.is_file() and path.suffix not in {".pyc", ".mid", ".png"} and path != THIS:
            assert not hosts.search(path.read_text(encoding="utf-8", errors="replace")), path
