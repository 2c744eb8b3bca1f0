"""The clients for games in docs/clients, each in its own language: what they hear and say."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from server.desk.packet import Message, Rejected, decode
from server.ensemble.encode import osc_message
from tests.rigs.need import lack, need

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, RIGS = ROOT / "docs" / "clients", ROOT / "tests" / "rigs" / "clients"
PROJECT = """config_version={version}
[application]
config/name="probe"
run/main_scene="res://main.tscn"
"""
#: Godot 4 is no package of Debian's stable yet: run where there is one.
GODOTS = ["godot3", *(["godot4"] if shutil.which("godot") else [])]
SCENE = """[gd_scene load_steps=2 format=2]
[ext_resource path="res://{script}" type="Script" id=1]
[node name="Main" type="{kind}"]
script = ExtResource( 1 )
"""
pytestmark = pytest.mark.real


class Server:
    """What a client takes for Componium: a socket that hears its commands and talks to it."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(30)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.listen: int = free.getsockname()[1]
        port = str(self.socket.getsockname()[1])
        self.environment = {**os.environ, "LISTEN": str(self.listen), "SERVER": port}

    def hear(self) -> Message:
        data, self.client = self.socket.recvfrom(65536)
        return read(data)

    def say(self, data: bytes) -> None:
        self.socket.sendto(data, ("127.0.0.1", self.listen))

    def tell(self, address: str, *values: Any) -> None:
        self.say(osc_message("/componium" + address, *values))


def read(data: bytes) -> Message:
    """The one message of a datagram."""
    found = decode(data)
    assert not isinstance(found, Rejected), data
    (message,) = found
    return message


def godot(which: str, folder: Path, script: str, kind: str) -> list[str | Path]:
    """A project of Godot 3 or 4 with a client in it, and how it is run without a window."""
    for file in (CLIENTS / which).glob("*.gd"):
        shutil.copy(file, folder)
    shutil.copy(RIGS / f"probe{which[-1]}.gd", folder / "probe.gd")
    (folder / "main.tscn").write_text(SCENE.format(script=script, kind=kind))
    if which == "godot3":
        (folder / "project.godot").write_text(PROJECT.format(version=4))
        return [need("godot3-server", "godot3-server"), "--path", folder]
    (folder / "project.godot").write_text(PROJECT.format(version=5))
    return [need("godot", "godot"), "--headless", "--path", folder]


def probe(language: str, folder: Path) -> list[str | Path]:
    if language == "python":
        return [sys.executable, RIGS / "probe.py", CLIENTS / "python"]
    if language == "node":
        return [need("node", "nodejs"), RIGS / "probe.mjs", CLIENTS / "js"]
    return godot(language, folder, "probe.gd", "Node")


@contextmanager
def running(
    command: list[str | Path], server: Server, folder: Path
) -> Iterator[subprocess.Popen[str]]:
    environment = {**server.environment, "HOME": str(folder)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        watch = threading.Timer(60, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


#: What is no message, or one that a client cannot read; it must take no notice.
MALFORMED = (
    b"", b"\0", b"/", b"/abc", b"/a\0\0\0", b"/a\0\0,i\0\0", b"/a\0\0,s\0\0abc",
    b"/a\0\0,q\0\0\0\0\0\0",
    b"/a\0\0,ff\0\0\0\0\0", b"#bundle\0" + bytes(8), b"\xff" * 64, b"/a\0\0i\0\0\0\0\0\0\1",
)  # fmt: skip


@pytest.mark.parametrize("language", ["python", "node", *GODOTS])
def test_a_client_hears_what_is_sent_and_says_what_is_meant(language: str, tmp_path: Path) -> None:
    server = Server()
    with running(probe(language, tmp_path), server, tmp_path) as process:
        assert server.hear().address == "/componium/ready"
        server.tell("/beat", 3, 2, 120.5)
        for data in MALFORMED:
            server.say(data)
        server.tell("/beat", 4, 1, 90.0)
        server.tell("/part/low drums/note", 36, 0.5, 0.25)
        server.tell("/section/next", "Boss", 9, 2.5)
        server.tell("/chord", "Bb7", 10, 2, 5, 8)
        server.say(b"/h\0\0,hdTF\0\0\0" + struct.pack(">qd", -5, 0.5))
        server.tell("/section", "Höhle", 9)
        asked = [server.hear() for _ in range(3)]
        server.tell("/transport", "stopped")
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        assert process.wait(timeout=30) == 0, lines
    told = [json.loads(line) for line in lines if line.startswith("[")]
    assert told == [
        ["heard", "/componium/beat", 3, 2, 120.5],
        ["on the beat"],
        ["beat", 3, 2, 120.5],
        ["heard", "/componium/beat", 4, 1, 90.0],
        ["on the bar"],
        *sorted([["bar", 4], ["beat", 4, 1, 90.0]], reverse=language in GODOTS),
        ["heard", "/componium/part/low drums/note", 36, 0.5, 0.25],
        ["note", "low drums", 36, 0.5, 0.25],
        ["heard", "/componium/section/next", "Boss", 9, 2.5],
        ["coming", "Boss", 9, 2.5],
        ["heard", "/componium/chord", "Bb7", 10, 2, 5, 8],
        ["heard", "/h", -5, 0.5, True, False],
        ["heard", "/componium/section", "Höhle", 9],
        ["heard", "/componium/transport", "stopped"],
    ]
    assert [(each.address, *each.args) for each in asked] == [
        ("/componium/tempo", 132, 16.5),
        ("/componium/section", "Grün", "bar"),
        ("/componium/part/a/mute", True),
    ]


def test_the_client_for_unity_compiles_and_speaks_osc(tmp_path: Path) -> None:
    """Against a few lines in the place of Unity's own library."""
    sources = [CLIENTS / "unity" / "Componium.cs", RIGS / "UnityEngine.cs", RIGS / "Probe.cs"]
    out = tmp_path / "probe.exe"
    compiler, runtime = need("mcs", "mono-mcs"), need("mono", "mono-runtime")
    command = [compiler, "-langversion:7.2", f"-out:{out}", *map(str, sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    messages = [
        osc_message("/componium/beat", 3, 2, 120.5),
        osc_message("/componium/section", "Höhle", 9),
        *MALFORMED,
    ]
    said = subprocess.run(
        [runtime, str(out)],
        input="\n".join(each.hex() or "-" for each in messages),
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout.splitlines()
    assert said[:2] == ["/componium/beat 3 2 120.5", "/componium/section Höhle 9"]
    assert said[2:-1] == ["no message"] * len(MALFORMED)
    found = read(bytes.fromhex(said[-1]))
    assert (found.address, *found.args) == ("/tempo", 132, 16.5, "Grün", True)


@pytest.mark.parametrize("which", GODOTS)
def test_the_level_in_godot_asks_for_the_boss_and_fights_on_the_beat(
    which: str, tmp_path: Path
) -> None:
    """The worked example, its hero led by a script of the test."""
    server = Server()
    command = godot(which, tmp_path, "hero.gd", "Node2D")
    (tmp_path / "hero.gd").write_text(HEROES[which] + HERO)
    with running(command, server, tmp_path) as process:
        assert process.stdout is not None
        heard = [server.hear()]
        while heard[-1].address != "/componium/section":
            server.tell("/beat", 1, 1, 120.0)
            heard.append(server.hear())
        assert (heard[-1].args[0], heard[-1].args[1]) == ("Boss", "cue door")
        assert "/componium/listener" in {each.address for each in heard}
        pickups = [each for each in heard if each.address == "/componium/stinger"]
        assert [each.args[0] for each in pickups] == ["pickup", "pickup"]
        server.tell("/section", "Boss", 9)
        for beat in range(1, 5):
            assert awaited(server, "/componium/ready")
            server.tell("/beat", 9, beat, 120.0)
            assert awaited(server, "/componium/stinger").args[0] == "hit"
        assert awaited(server, "/componium/section").args[:2] == ("Victory", "cue blow")
        assert awaited(server, "/componium/stinger").args[0] == "win"
        server.tell("/transport", "stopped")
        lines = process.stdout.read().splitlines()
    assert "section Boss 9" in lines and lines.count("blow 0") == 1


@pytest.mark.parametrize("which", GODOTS)
def test_without_music_the_level_in_godot_can_be_played_too(which: str, tmp_path: Path) -> None:
    server = Server()
    command = godot(which, tmp_path, "hero.gd", "Node2D")
    (tmp_path / "hero.gd").write_text(HEROES[which] + HERO)
    with running(command, server, tmp_path):
        while (message := server.hear()).address != "/componium/section":
            pass
        assert message.args[0] == "Victory", "the gate opened, and the blows fell"


def awaited(server: Server, address: str) -> Message:
    """The next message that is not only about where the hero is."""
    message = server.hear()
    while message.address == "/componium/listener":
        message = server.hear()
    assert message.address == address
    return message


HEROES = {
    "godot3": """
extends "res://level.gd"

func _ready():
	._ready()
	music.disconnect("receipt", self, "_on_receipt")
	music.connect("transport", self, "_on_transport")

func _process(_delta):
	lead()
""",
    "godot4": """
extends "res://level.gd"

func _ready():
	super()
	music.receipt.disconnect(_on_receipt)
	music.transport.connect(_on_transport)

func _process(delta):
	super(delta)
	lead()
""",
}
HERO = """
func _enter_tree():
	music.listen_port = int(OS.get_environment("LISTEN"))
	music.server_port = int(OS.get_environment("SERVER"))

func lead():
	if hero.x < 60:
		walk(hero + Vector2(0.5, 0))
	elif gate_open and boss_life > 0 and music._waiting.size() == 0:
		fight()
		music.say("/ready")

func _on_transport(_state):
	get_tree().quit()
"""


def test_a_browser_s_client_hears_ahead_of_time_and_commands_with_a_token() -> None:
    node = need("node", "nodejs")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = [sys.executable, "-m", "server.cli"]
    token = subprocess.run([*run, "token"], capture_output=True, text=True, check=True, cwd=ROOT)
    options = ["--midi", "none", "--control", "0", "--http", str(port), "--json", "--log", "none"]
    play = [*run, "play", "house", *options]
    with subprocess.Popen(play, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()  # it plays
            threading.Thread(target=server.stdout.read, daemon=True).start()
            words: list[str | Path] = [
                node,
                "--experimental-websocket",
                RIGS / "web.mjs",
                CLIENTS / "js",
            ]
            words += [f"ws://127.0.0.1:{port}/", token.stdout.split()[0]]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        finally:
            server.terminate()
    if "bad option" in done.stderr:
        lack("this node has no WebSocket: use node 20.10 or newer")
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout)
    assert heard["state"] in ("done", "armed") and heard["early"] > 0


def test_of_many_listeners_one_that_stalls_harms_nobody(tmp_path: Path) -> None:
    sys.path.insert(0, str(CLIENTS / "python"))
    try:
        from componium import Componium  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    listeners = [Componium(0) for _ in range(4)]
    heard: list[list[Any]] = [[] for _ in listeners]
    for listener, into in zip(listeners, heard, strict=True):
        listener.on("*", lambda *values, into=into: into.append(values))
    stalled = listeners[0]
    stalled.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # full after a few notes
    targets = [
        word
        for each in listeners
        for word in ("--osc", f"127.0.0.1:{each.socket.getsockname()[1]}")
    ]
    run = [sys.executable, "-m", "server.cli", "play", "house", "--midi", "none", "--http", "0"]
    options = ["--control", "0", "--quiet", "--log", "none", "--bars", "2", "--tempo", "200"]
    with subprocess.Popen([*run, *options, *targets], cwd=ROOT) as server:
        while server.poll() is None:
            for each in listeners[1:]:
                each.poll()
        assert server.returncode == 0
    for each in listeners:
        each.poll()
        each.close()
    assert len(heard[1]) > 50 and heard[1][-1] == ("/componium/transport", "stopped")
    assert heard[1] == heard[2] == heard[3]
    assert len(heard[0]) < len(heard[1]), "it did stall"


def test_the_program_of_the_sessions_page_gives_each_player_a_band(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "sessions.md").read_text(encoding="utf-8")
    text = page.split("<!-- session -->\n```python\n")[1].split("```")[0]
    ports = []
    for _ in range(2):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    (tmp_path / "game.py").write_text(text.replace("9000", ports[0]).replace("1821", ports[1]))
    shutil.copy(CLIENTS / "python" / "componium.py", tmp_path)
    options = ["--midi", "none", "--osc", f"127.0.0.1:{ports[0]}", "--control", ports[1]]
    options += ["--http", "0", "--log", "none", "--state", "none", "--json"]
    command = [sys.executable, "-m", "server.cli", "play", "level", *options]
    environment = {**os.environ, "HOME": str(tmp_path)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as server:
        watch = threading.Timer(60, server.kill)
        watch.start()
        try:
            assert server.stdout is not None
            for line in server.stdout:
                if '"beat"' in line:
                    break
            game = [sys.executable, str(tmp_path / "game.py")]
            done = subprocess.run(game, capture_output=True, text=True, timeout=60, check=True)
        finally:
            watch.cancel()
            server.kill()
    said = done.stdout.splitlines()
    assert said[:2] == ["ann ('done', '')", "bob ('done', '')"]
    assert said[2].startswith("('armed', ") and said[3] == "('done', '')"
    assert said[4] == "['ann', 'bob'] ('done', 'ann, bob')"
    assert said[5:] == said[:2]
