"""What the documents say is so: their scenes are scenes, their programs run, their keys exist."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import typer
from pythonosc.osc_message import OscMessage

import engines
from engines.base import Mistake
from server import cli
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Played, Troubled
from server.concert.player import Player
from server.desk.desk import Desk, Source
from server.ensemble.rack import Rack, Tape
from server.errands import clashes, hear, part_of, symbols, toured, try_out, unled
from server.score.scene import Scene, find_scene, load_scene, parse_scene, routed
from server.wire.protocol import ALL

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS: dict[str, Any] = cast(Any, typer.main.get_command(cli.app)).commands
MADE = [engines.engine_class(name) for name in engines.REGISTRY]

_BLOCK = re.compile(r"(?:<!-- (?P<mark>[^>]*) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.S)


class Block(NamedTuple):
    page: str
    number: int
    kind: str
    mark: str
    text: str


def blocks(path: Path) -> list[Block]:
    found = _BLOCK.finditer(path.read_text(encoding="utf-8"))
    return [
        Block(path.name, number, each["kind"], each["mark"] or "", each["text"])
        for number, each in enumerate(found, 1)
    ]


BLOCKS = [block for page in PAGES for block in blocks(page)]


def words_of(page: str) -> set[str]:
    return set(re.findall(r"[a-z_]+", (ROOT / "docs" / page).read_text(encoding="utf-8")))


def named(block: Block) -> str:
    return f"{block.page}-{block.number}"


def marked(mark: str) -> str:
    [block] = [block for block in BLOCKS if block.mark == mark]
    return block.text


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.kind == "toml" and b.mark == ""], ids=named
)
def test_every_scene_in_the_documents_is_one(block: Block) -> None:
    if "…" in block.text:  # more is said beside it
        assert tomllib.loads(block.text)
        return
    if "[parts." not in block.text:  # a few keys, to show them
        known = words_of("scenes.md") | {key for made in MADE for key in made.__dataclass_fields__}
        assert set(tomllib.loads(block.text)) <= known
        return
    try:
        scene = parse_scene(block.text)
    except Mistake as mistake:
        if re.search(r"no file matches|cannot be read", str(mistake)):
            pytest.skip("its tunes are the reader's own")
        raise
    assert scene.parts


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.mark == "test"], ids=named)
def test_every_marked_program_runs(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(block.text)
    runpy.run_path(str(path))


# Files that a page has its reader write --------------------------------------------------------


def written(page: str, folder: Path) -> list[Path]:
    """Write the files of a page into a folder, as its reader does."""
    files = []
    for block in blocks(ROOT / "docs" / page):
        if block.mark.startswith("file "):
            files.append(folder / block.mark.removeprefix("file "))
            files[-1].write_text(block.text)
    return files


def test_a_style_of_the_page_is_one_and_a_scene_of_it_plays(tmp_path: Path) -> None:
    style, scene = written("styles.md", tmp_path)
    assert [try_out(load_scene(style), 32)] == [([], [])]
    made = load_scene(scene)
    assert made.style == style.stem
    tour, bars = toured(made)
    assert try_out(tour, bars) == ([], []), "everybody plays in one section or another"
    assert not unled(made) and not clashes(made)


def test_the_level_of_the_page_is_the_shipped_one() -> None:
    pieces = [block.text for block in blocks(ROOT / "docs" / "level.md") if block.mark == "piece"]
    built = tomllib.loads("\n".join(pieces))
    shipped = tomllib.loads(find_scene("level").read_text("utf-8"))

    def within(part: Any, whole: Any) -> bool:
        if isinstance(part, dict):
            return all(key in whole and within(part[key], whole[key]) for key in part)
        if isinstance(part, list) and part and isinstance(part[0], dict):
            return all(map(within, part, whole))
        return bool(part == whole)

    for key in built:
        assert within(built[key], shipped[key]), key
    first, *more = pieces
    for count in range(len(pieces)):  # after each piece there is a scene to listen to
        assert parse_scene("\n".join([first, *more[:count]])).parts


class Ears(Tape):
    """What a game hears of the wire: each event once, in its time, unless it was recalled."""

    def __init__(self) -> None:
        super().__init__()
        self._over: set[int] = set()

    def recall(self, part: int = ALL) -> None:
        self.events = [e for e in self.events if e.part != part and part != ALL]

    def due(self, now: int) -> list[OscMessage]:
        events = {event.id: event for event in self.events if event.id not in self._over}
        come = sorted((e for e in events.values() if e.due <= now), key=lambda e: (e.due, e.rank))
        self._over |= {event.id for event in come}
        self.events = [event for event in self.events if event.id not in self._over]
        return [OscMessage(event.on) for event in come]


class Console:
    """The client of the page, with a real desk and player behind it in virtual time."""

    def __init__(self) -> None:
        self.clock, self.ears = VirtualClock(10**9), Ears()
        self.player = Player(self.clock, lambda ids: Rack({"osc": self.ears}, ids))
        self.player.cue(routed(load_scene(find_scene("level")), "none", ("127.0.0.1:9000",)))
        self.player.play()
        self.desk = Desk(self.player, lambda path, style: load_scene(Path(path), style), None)
        self.source = Source("osc", answer=lambda address, values: self.answers.append(values))
        self.answers: list[tuple[Any, ...]] = []
        self.heard: list[tuple[str, list[Any]]] = []
        self._told: Callable[..., None] = lambda address, *values: None

    def on(self, what: str, do: Callable[..., None]) -> None:
        assert what == "*"
        self._told = do

    def say(self, address: str, *values: object) -> None:
        self.desk.receive(f"/componium{address}", values, self.source)

    def poll(self) -> None:
        come = [(m.address.removeprefix("/componium"), m.params) for m in self.ears.due(self.now)]
        answers, self.answers = self.answers, []
        self.heard += (come := come + [("/receipt", list(values)) for values in answers])
        for address, values in come:
            self._told(f"/componium{address}", *values)

    @property
    def now(self) -> int:
        return self.clock.now()

    def wait(self, seconds: float) -> None:
        self.clock.jump(round(seconds * 1e9))
        self.player.wake()


def walked(folder: Path) -> dict[str, Any]:
    """The page's program, beside the client that it has its reader copy."""
    [program] = written("level.md", folder)
    shutil.copy(ROOT / "docs" / "clients" / "python" / "componium.py", folder)
    sys.path.insert(0, str(folder))
    try:
        return runpy.run_path(str(program))
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("componium", None)


def test_without_componium_the_walk_ends_and_says_what_is_missing(tmp_path: Path) -> None:
    walk = walked(tmp_path)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        music = walk["Componium"](port=0, server=nobody.getsockname())
        try:
            with pytest.raises(SystemExit, match="no Componium answers; in another terminal: "):
                walk["level"](walk["Game"](music, lambda seconds: None))
            lost = walk["Game"](music, lambda seconds: None)
            with pytest.raises(SystemExit, match="no Boss within 30 s; is Componium still there"):
                lost.until("Boss")
        finally:
            music.close()
    deaf = Console()
    game = walk["Game"](deaf, lambda seconds: None)
    deaf.player.stop()
    with pytest.raises(SystemExit, match="Componium answers, but no beat comes"):
        game.begin()


async def test_the_hero_of_the_page_walks_and_the_music_goes_along(tmp_path: Path) -> None:
    walk, console = walked(tmp_path), Console()
    game = walk["Game"](console, console.wait)
    walk["level"](game)
    assert 55 < game.now < 90
    told = [(address, values) for address, values in console.heard]
    states = Counter((str(v[0]), str(v[1])) for address, v in told if address == "/receipt")
    assert not [each for each in states if each[1] == "refused"], states
    assert states["/componium/section", "done"] == 5
    assert states["/componium/emotion", "done"] == 3
    sections = [values[0] for address, values in told if address == "/section"]
    assert [name for name, _ in groupby(sections)] == [
        *("Explore", "Danger", "Explore", "Boss", "Victory", "Lost")
    ]
    modes = [values[0] for address, values in told if address == "/key"]
    assert {"D minor", "D phrygian", "D major"} <= set(modes)
    began = Counter(v[0] for address, v in told if address == "/stinger" and v[1] == "began")
    assert began == {"pickup": 1, "hit": 10, "win": 1}
    ocarina = [v for address, v in told if address == "/part/ocarina/note"]
    assert 8 <= len(ocarina) <= 20, "two notes a beat for four seconds"
    stops = [values[0] for address, values in told if address == "/transport"]
    assert stops[-2:] == ["stopped", "playing"]
    beats = [values[2] for address, values in told if address == "/beat"]
    assert min(beats) < 95 < 130 < max(beats) < 170, "slow in the courtyard, fast in a fight"


# A fourth engine -----------------------------------------------------------------------------


@pytest.fixture
def automaton(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    """The page's engine and its line, put where the page says, and its scene."""
    line = ast.literal_eval("{" + marked("line") + "}")
    [(name, (module, attribute, about))] = line.items()
    folder, _, file = module.rpartition(".")
    assert folder == "engines"
    (tmp_path / f"{file}.py").write_text(marked(f"engine {name}"))
    monkeypatch.setattr(engines, "__path__", [*engines.__path__, str(tmp_path)])
    monkeypatch.setitem(engines.REGISTRY, name, (module, attribute, about))
    monkeypatch.delitem(sys.modules, module, raising=False)
    return parse_scene(marked(name))


def test_a_fourth_engine_is_one_file_and_one_line(automaton: Scene) -> None:
    assert "automaton" in engines.names()
    heard: list[Entry] = []
    hear(automaton, 16, heard.append)
    notes = [entry for entry in heard if isinstance(entry, Played)]
    assert not [entry for entry in heard if isinstance(entry, Troubled)]
    assert {entry.note.part for entry in notes} == {"hats", "voices"}
    assert "generation" in str(notes[-1].note.symbol.origin)
    again: list[Entry] = []
    hear(automaton, 16, again.append)
    assert len(again) == len(heard), "it keeps its seed"


def test_its_fields_are_its_keys_and_its_mistakes_have_a_place(automaton: Scene) -> None:
    wrong = marked("automaton").replace("rule    = 30", "rule    = 300")
    with pytest.raises(Mistake, match=r"parts\.hats\.rule, line \d+: expected 0 to 255, got 300"):
        parse_scene(wrong)


def test_it_follows_wolfram_s_rule(automaton: Scene) -> None:
    stream = symbols(automaton, part_of(automaton, "voices"))
    rows = [[next(stream).name == "alive" for _ in range(8)] for _ in range(20)]
    for row, following in pairwise(rows):
        # Rule 90: each cell becomes whether its two neighbours differ.
        assert following == [row[cell - 1] != row[(cell + 1) % 8] for cell in range(8)]


# The reference ---------------------------------------------------------------------------------


def test_every_key_of_a_scene_is_in_the_reference() -> None:
    names = ("scene.py", "outputs.py", "parts.py", "stinger.py", "workshop.py")
    modules = [ROOT / "server" / "score" / name for name in names]
    nodes = [node for path in modules for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    takers = {"take", "text", "flag", "number", "whole", "choice", "names", "parsed", "table"}
    keys = {
        node.args[0].value
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in takers
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }
    assert len(keys) > 40
    assert not keys - words_of("scenes.md"), "docs/scenes.md does not have them all"


def test_links_between_documents_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


# Commands ------------------------------------------------------------------------------------

#: Programs of others that the documents name.
FOREIGN = {"fluidsynth", ".venv/bin/python"}
_SPAN = re.compile(r"`(scripts/[a-z]+)([^`\n]*)`")


def commands(block: Block) -> list[list[str]]:
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def read_command(words: list[str]) -> tuple[str, dict[str, Any]]:
    """A command of ours by name, and its arguments as the program itself reads them."""
    program, *args = words
    if program == "scripts/play":
        args = ["play", *args]
    if args[0] == "--help":
        return "", {}
    with contextlib.suppress(typer.Exit):  # of --help, which prints it
        return args[0], COMMANDS[args[0]].make_context(args[0], args[1:]).params
    return "", {}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if any(block.kind == "sh" for block in blocks(page))],
    ids=lambda page: page.name,
)
def test_every_command_of_a_page_does_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, from a fresh checkout; what would play is read and its scene loaded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    if page.parent.name == "docs":
        written(page.name, tmp_path)
    for words in (words for b in blocks(page) if b.kind == "sh" for words in commands(b)):
        if words[0] == "cp":
            subprocess.run(words, check=True)
        elif words[0] in ("scripts/play", "scripts/componium"):
            name, params = read_command(words)
            if name == "play":
                assert load_scene(find_scene(params["scene"])).parts, words
            elif name and name not in ("ports", "tell", "replay"):  # those are the machine's affair
                monkeypatch.setattr(sys, "argv", words)
                with pytest.raises(SystemExit) as ended:
                    cli.main()
                assert ended.value.code == 0, words
        else:
            assert words[0] in FOREIGN or os.access(ROOT / words[0], os.X_OK), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_within_a_sentence_is_one(page: Path) -> None:
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for program, rest in _SPAN.findall(text):
        words = [program, *shlex.split(rest.partition("|")[0])]
        assert os.access(ROOT / program, os.X_OK), words
        if program in ("scripts/play", "scripts/componium") and words[1:]:
            name = words[1] if program == "scripts/componium" else "play"
            bare = program == "scripts/componium" and len(words) == 2
            assert name in COMMANDS, words
            if not bare:
                read_command(words)


def test_every_module_has_its_phrase_in_the_house() -> None:
    _, _, text = (ROOT / "docs/house.md").read_text(encoding="utf-8").partition("## Every module")
    named: list[str] = []
    for room, rows in re.findall(r"\*\*`([^`]+)`\*\*:[^\n]+\n\n((?:\|.*\n)+)", text):
        named += [room + each for each in re.findall(r"^\| `([^`]+)` \| \S", rows, re.MULTILINE)]
    files = [*ROOT.glob("engines/**/*.py"), *ROOT.glob("server/**/*.py")]
    files += ROOT.glob("server/desk/page/*.js")
    there = {str(path.relative_to(ROOT)) for path in files if path.name != "__init__.py"}
    assert sorted(named) == sorted(there)


def test_the_documents_call_the_program_by_one_name() -> None:
    other = re.compile(rf"(?<![/\w])(?:\.venv/bin/)?componium (?:{'|'.join(COMMANDS)})\b")
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        text = text.replace("where Componium is installed, `componium play`", "")
        if page.name != "CHANGELOG.md":
            assert not other.findall(text), page.name
