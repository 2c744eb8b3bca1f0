"""The house of `docs/house.md`: each room imports only what lies below it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

THIS = Path(__file__).resolve()
ROOT = THIS.parents[1]
STANDARD = sys.stdlib_module_names
MODULES = sorted(
    path for room in ("engines", "server") for path in (ROOT / room).rglob("*.py")
)  # fmt: skip

#: Module (or room) -> what of ours, and which libraries, it may import. The longest name counts.
MAY: dict[str, set[str]] = {
    "engines": {"engines", "lark"},
    "server": set(),
    "server.music": {"server.music", "engines.base"},
    "server.conductor": {"server.music", "engines.base"},
    "server.wire": {"server.wire", "rtmidi", "supriya_midi"},
    "server.clock": set(),
    "server.aside": set(),
    "server.script": set(),
    "server.log": {
        *("engines.base", "server.aside", "server.journal", "server.transport", "platformdirs"),
    },
    "server.replay": {
        *("engines.base", "server.clock", "server.desk", "server.hands", "server.journal"),
        *("server.keyboard", "server.log", "server.player", "server.rack", "server.scene"),
        *("server.takes", "server.transport", "server.wire.protocol"),
        *("server.music", "server.sync.source", "server.bands"),
        *("engines.repertoire", "server.conductor"),
    },
    "server.health": set(),
    "server.heap": set(),
    "server.journal": {"server.music"},
    "server.tunes": {"engines.base", "server.script", "mido"},
    "server.reading": {"server.music", "engines.base", "engines.motif"},
    "server.setting": {"server.conductor", "server.music"},
    "server.part": {
        *("server.music", "server.conductor", "server.reading", "engines.base", "engines.taste"),
        *("engines.repertoire", "server.setting"),
    },
    "server.agenda": {"server.music", "server.part"},
    "server.mixer": {"server.part"},
    "server.perform": {"server.music", "server.part", "server.mixer", "server.setting"},
    "server.encode": {"engines.base", "server.music", "server.part", "server.wire.protocol"},
    "server.instrument": {
        *("server.conductor", "server.encode", "server.music", "server.part"),
        "server.rack",
    },
    "server.sync": set(),
    "server.sync.spec": {"engines.base", "server.table"},
    "server.sync.tap": {"server.music"},
    "server.sync.follower": {"server.music"},
    "server.sync.link": {"engines.base", "server.music", "link"},
    "server.sync.source": {
        *("engines.base", "server.journal", "server.music", "server.player", "server.pulses"),
        *("server.wire.protocol", "server.sync"),
    },
    "server.rack": {"server.encode", "server.part", "server.wire.protocol"},
    "server.prompter": {"server.wire.protocol"},
    "server.table": {"engines.base"},
    "server.workshop": {
        *("engines", "server.part", "server.script", "server.table", "server.tunes"),
    },
    "server.when": {"engines.base", "server.music", "server.setting"},
    "server.style": {"engines.base", "server.conductor", "server.script", "server.table"},
    "server.direction": {
        *("engines.base", "engines.motif", "server.music", "server.conductor"),
        *("server.table", "server.style"),
    },
    "server.themes": {
        *("engines.base", "engines.motif", "server.music", "server.reading", "server.style"),
        *("server.table", "server.tunes"),
    },
    "server.stinger": {
        *("engines.base", "engines.motif", "server.music", "server.part", "server.table"),
        "server.when",
        *("server.setting",),
    },
    "server.hands": {
        *("engines.base", "engines.performer", "engines.taste", "server.cast", "server.music"),
        *("server.player", "server.stinger", "server.changes"),
    },
    "server.bands": {
        *("engines.base", "server.clock", "server.hands", "server.journal", "server.keyboard"),
        *("server.part", "server.player", "server.prompter", "server.rack", "server.scene"),
        *("server.heap", "server.transport", "server.earshot", "server.sync"),
        "server.wire.protocol",
    },
    "server.earshot": {"server.wire.protocol"},
    "server.inputs": {"engines.base", "server.table"},
    "server.mapping": {"engines.base", "server.table"},
    "server.touch": set(),
    "server.keyboard": {
        *("engines.base", "engines.motif", "server.cast", "server.encode", "server.inputs"),
        *("server.journal", "server.music", "server.player", "server.touch"),
        *("server.wire.protocol", "server.changes", "server.rack", "server.ahead"),
        *("server.earshot", "server.setting"),
    },
    "server.scene": {
        *("engines.base", "engines.motif", "server.music", "server.conductor", "server.reading"),
        *("server.table", "server.part", "server.encode", "server.style", "server.direction"),
        *("server.workshop", "server.stinger", "server.themes", "server.settings"),
        *("server.inputs", "server.mapping", "server.script", "server.sync.spec"),
    },
    "server.pulses": {
        *("server.music", "server.encode", "server.rack", "server.wire.protocol"),
    },
    "server.cast": {
        *("server.music", "server.part", "server.perform", "server.mixer", "server.encode"),
        *("server.rack", "server.scene", "server.journal", "server.instrument"),
        *("server.conductor", "server.stinger", "engines.base"),
        *(
            "server.agenda",
            "server.setting",
        ),
    },
    "server.baton": {
        *("engines.base", "server.conductor", "server.music", "server.player", "server.when"),
        *("engines.motif", "server.themes", "server.changes"),
    },
    "server.ahead": {
        *("engines.base", "server.cast", "server.journal", "server.music", "server.part"),
        *("server.rack", "server.wire.protocol"),
    },
    "server.transport": {
        *(
            "engines.base",
            "engines.repertoire",
            "engines.taste",
            "server.ahead",
            "server.cast",
            "server.changes",
            "server.clock",
        ),
        *("server.conductor", "server.journal", "server.music", "server.pulses"),
        *("server.rack", "server.scene", "server.stinger"),
        *("server.setting",),
    },
    "server.following": {"server.cast", "server.music", "server.scene", "server.transport"},
    "server.moments": {
        *("engines.base", "server.changes", "server.following", "server.journal", "server.part"),
        *("server.setting", "server.stinger", "server.transport", "server.when"),
    },
    "server.player": {
        *("engines.base", "server.cast", "server.changes", "server.conductor", "server.journal"),
        *("server.mixer", "server.moments", "server.music", "server.rack", "server.scene"),
        *("server.stinger", "server.transport", "server.when"),
    },
    "server.changes": {"server.journal", "server.part"},
    "server.recorder": {
        *("engines.base", "server.music", "server.aside", "server.journal"),
        *("server.part", "server.scene", "mido"),
    },
    "server.notation": {"server.journal", "server.lines", "server.music", "server.part"},
    "server.musicxml": {"server.music", "server.notation", "server.recorder"},
    "server.abc": {"server.music", "server.musicxml", "server.notation", "server.recorder"},
    "server.roll": {"server.lines", "server.music", "server.notation", "server.part"},
    "server.takes": {
        *("engines.base", "server.abc", "server.journal", "server.musicxml", "server.notation"),
        *("server.part", "server.recorder", "server.roll", "server.scene"),
    },
    "server.lines": {"server.music", "server.aside", "server.journal"},
    "server.view": {
        *("server.music", "server.journal", "server.lines", "server.health"),
        *("server.mixer", "server.part", "server.scene", "rich"),
    },
    "server.errands": {
        *(
            "engines.base",
            "engines.grammar",
            "engines.motif",
            "engines.performer",
            "server.clock",
            "server.cast",
            "server.journal",
        ),
        *("server.part", "server.player", "server.recorder", "server.scene"),
        *("server.conductor", "server.direction", "server.style", "server.stinger"),
        *("server.agenda",),
    },
    "server.desk": {
        *("engines.base", "server.player", "server.scene", "server.part", "server.mixer"),
        *("server.journal", "server.encode", "server.baton", "server.conductor", "server.cast"),
        *("server.music", "server.style", "server.when", "server.hands", "server.stinger"),
        *("engines.performer", "server.keyboard", "server.mapping", "server.changes"),
        *("server.agenda", "server.bands", "server.sync"),
    },
    "server.desk.taping": {
        *("server.desk", "server.journal", "server.lines", "server.player", "server.recorder"),
    },
    "server.desk.feed": {
        *("server.desk", "server.encode", "server.journal", "server.lines", "server.player"),
        *("server.prompter", "server.scene", "server.wire.protocol"),
        *("server.setting", "server.bands"),
    },
    "server.desk.memory": {
        *("engines.base", "engines.repertoire", "server.aside", "server.conductor", "server.desk"),
        *("server.hands", "server.journal", "server.player", "server.scene", "server.themes"),
    },
    "server.desk.roster": {
        *("engines.base", "server.aside", "server.bands", "server.desk", "server.journal"),
    },
    "server.desk.mqtt": {"engines.base", "server.desk", "aiomqtt"},
    "server.sources": {"engines.base", "server.scene", "server.style", "server.table"},
    "server.desk.watch": {
        *("server.desk", "server.journal", "server.scene", "server.sources"),
        *("server.changes", "watchfiles"),
    },
    "server.doctor": {"engines.base", "server.settings", "server.survey"},
    "server.metrics": {"server.health", "server.journal"},
    "server.service": {"engines.base", "server.aside", "server.journal"},
    "server.settings": {"engines.base", "server.table", "platformdirs"},
    "server.desk.announce": {"engines.base", "server.desk.whereabouts", "zeroconf"},
    "server.desk.keys": {"engines.base", "server.desk", "platformdirs"},
    "server.desk.web": {
        *("engines.base", "server.bands", "server.desk", "server.encode", "aiohttp"),
    },
    "server.desk.reference": {
        *("server.bands", "server.desk", "server.clock", "server.player", "server.rack"),
        "server.scene",
    },
    "server.survey": {"server.wire"},
    "server.completion": {"server.clock", "server.desk", "server.player", "server.scene"},
    "server.stage": {
        *(
            "engines.base",
            "engines.repertoire",
            "server.clock",
            "server.health",
            "server.journal",
            "server.player",
        ),
        *(
            "server.bands",
            "server.rack",
            "server.scene",
            "server.sources",
            "server.wire.link",
            "server.desk",
            "server.earshot",
            "server.wire.ears",
        ),
        *("server.heap", "server.baton", "server.prompter", "server.aside", "server.transport"),
        *("server.log", "server.replay", "server.wire.protocol"),
        *("server.metrics", "server.service"),
        "server.sync",
    },
    "server.cli": {"engines", "server", "typer", "rich"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that is imported, wherever in the file, typing aside."""
    found = set()
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
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
    return max((room for room in MAY if within(module, {room})), key=len)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    module = name_of(path)
    found = {each for each in imports(path) if each.split(".")[0] not in STANDARD}
    room = room_of(module)
    own = {room} if room != "server" else set()
    strangers = {each for each in found if not within(each, MAY[room] | own)}
    assert not strangers, f"{module} may import {sorted(MAY[room])} only"
    assert "server.cli" not in found, "nothing imports the commands"


def test_every_module_has_its_place_and_every_place_its_module() -> None:
    modules = {name_of(path) for path in MODULES}
    rooms = {"server.music", "server.conductor", "server.wire", "server.desk", "engines"}
    assert {each for each in modules if not within(each, rooms)} <= set(MAY)
    assert set(MAY) <= modules


def test_what_a_room_may_import_it_does() -> None:
    found: dict[str, set[str]] = {room: set() for room in MAY}
    for path in MODULES:
        found[room_of(name_of(path))] |= imports(path)
    for room, may in MAY.items():
        for each in may - {"engines", "server"}:
            assert any(within(one, {each}) for one in found[room]), f"{room} needs no {each}"


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
    heavy = {"lark", "mido", "rich", "rtmidi", "pythonosc", "asyncio", "server.player"}
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
