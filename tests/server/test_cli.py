"""The commands: what they print, what they refuse, and how they end."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import mido
import pytest
import typer

from server import cli
from server.desk.desk import RECEIPT
from server.desk.packet import Message, decode
from server.ensemble.encode import osc_message
from server.score.scene import shipped_scenes
from server.score.style import shipped
from tests.rigs.jack import JackServer
from tests.rigs.need import lack, need

ROOT = Path(__file__).resolve().parents[2]

TUNE = """
tempo = 240
[parts.tune]
engine = "grammar"
rules = "S -> A B | B A\\nA -> C4 1/8\\nB -> E4 1/8 | G4 1/4"
[parts.bass]
engine = "lsystem"
axiom = "A"
rules = "A -> AB\\nB -> A"
reading = { A = "1 1/4", B = "5 1/4" }
"""
GRID = "engine = 'grammar'\nrules = 'S -> C E'\n"


class Said(NamedTuple):
    status: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def componium(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*args: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["componium", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, *capsys.readouterr())

    return run


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    path = tmp_path / "tune.toml"
    path.write_text(TUNE)
    return path


# What needs no waiting ----------------------------------------------------------------------


def test_symbols_come_one_a_line_the_same_for_the_same_seed(componium: Command, tune: Path) -> None:
    first = componium("symbols", tune, "-n", "20")
    assert first.status == 0
    assert len(first.out.splitlines()) == 20
    assert componium("symbols", tune, "-n", "20") == first
    assert componium("symbols", tune, "-n", "20", "--seed", "3").out != first.out


def test_symbols_of_a_named_part_are_that_part_s_own(componium: Command, tune: Path) -> None:
    said = componium("symbols", f"{tune}:bass", "-n", "13")
    assert set(said.out.split()) == {"A", "B"}
    assert "".join(said.out.split()).startswith("A")


def test_why_gives_the_origin_after_a_tab(componium: Command, tune: Path) -> None:
    lines = componium("symbols", tune, "-n", "5", "--why").out.splitlines()
    for line in lines:
        symbol, origin = line.split("\t")
        assert symbol in {"C4", "E4", "G4", "1/8", "1/4"} and "S" in origin


def test_tree_draws_a_grammar_s_first_derivation(componium: Command, tune: Path) -> None:
    drawn = componium("symbols", tune, "--tree")
    assert drawn.status == 0
    lines = drawn.out.splitlines()
    assert lines[0].startswith("S")
    stream = componium("symbols", tune, "-n", "2").out.split()
    assert [word for word in drawn.out.split() if word in {"C4", "E4", "G4"}][:1] == stream[:1]


def test_only_a_grammar_has_a_tree(componium: Command, tune: Path) -> None:
    said = componium("symbols", f"{tune}:bass", "--tree")
    assert said.status == 2
    assert "parts.bass" in said.err and "lsystem" in said.err


def test_what_was_learnt_from_a_rendering_plays_in_a_scene(
    componium: Command, tune: Path, tmp_path: Path
) -> None:
    file, model, scene = (tmp_path / name for name in ("tune.mid", "model.json", "learnt.toml"))
    componium("render", tune, "-o", file, "--bars", "8")
    said = componium("learn", tmp_path / "*.mid", "-o", model, "--order", "2")
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{model}: ")
    scene.write_text('[parts.x]\nengine = "markov"\nmodel = "model.json"\n')
    stream = componium("symbols", scene, "-n", "20")
    assert stream.status == 0, stream.err
    assert len(stream.out.splitlines()) == 20
    assert componium("check", scene).status == 0


@pytest.mark.parametrize(
    ("tunes", "out", "words"),
    [
        ("nothing-*.mid", "model.json", "no file matches"),
        ("tune.toml", "model.json", "tune.toml"),
        ("tune.toml", "nowhere/model.json", "no folder"),
    ],
)
def test_what_cannot_be_learnt_or_kept_is_refused(
    componium: Command, tune: Path, tmp_path: Path, tunes: str, out: str, words: str
) -> None:
    said = componium("learn", tmp_path / tunes, "-o", tmp_path / out)
    assert said.status == 2
    assert words in said.err and "Traceback" not in said.err
    assert not (tmp_path / out).exists()


def test_a_part_that_is_not_there_is_refused_with_those_that_are(
    componium: Command, tune: Path
) -> None:
    said = componium("symbols", f"{tune}:flute")
    assert said.status == 2
    assert "tune, bass" in said.err


def test_render_writes_as_many_bars_as_asked_for(
    componium: Command, tune: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mid"
    assert componium("render", tune, "-o", out, "--bars", "4") == Said(0, "", "")
    assert mido.MidiFile(out).length == pytest.approx(4.0, abs=0.6)


def test_render_without_bars_is_as_long_as_the_scene_says(
    componium: Command, tune: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mid"
    assert componium("render", tune, "-o", out).status == 0
    assert mido.MidiFile(out).length == pytest.approx(32.0, abs=0.6)
    tune.write_text(f"bars = 5\n{TUNE}")
    assert componium("render", tune, "-o", out).status == 0
    assert mido.MidiFile(out).length == pytest.approx(5.0, abs=0.6)


def test_render_tight_is_on_the_grid(componium: Command, tune: Path, tmp_path: Path) -> None:
    tune.write_text(f"swing = 0.6\nhumanize = {{ time_ms = 9 }}\n{TUNE}")
    loose, tight = tmp_path / "loose.mid", tmp_path / "tight.mid"
    componium("render", tune, "-o", loose)
    assert componium("render", tune, "-o", tight, "--tight") == Said(0, "", "")

    def onsets(path: Path) -> list[int]:
        found = []
        for track in mido.MidiFile(path).tracks:
            tick = 0
            for message in track:
                tick += message.time
                found += [tick] if message.type == "note_on" else []
        return found

    assert not any(tick % 240 for tick in onsets(tight))
    assert any(tick % 240 for tick in onsets(loose))
    assert len(onsets(tight)) == len(onsets(loose))


def test_symbols_take_live_values_from_outside(componium: Command, tmp_path: Path) -> None:
    path = tmp_path / "mood.toml"
    path.write_text("[parts.x]\nengine = 'grammar'\nrules = 'S -> (arousal) C | (1 - arousal) D'\n")
    assert componium("symbols", path, "-n", "3").out.split() == ["D"] * 3
    assert componium("symbols", path, "-n", "3", "--set", "arousal=1").out.split() == ["C"] * 3
    assert componium("symbols", path, "--tree", "--set", "arousal=1").out == "S\n└─ C\n"
    said = componium("symbols", path, "--set", "arousl=1")
    assert (said.status, said.out) == (2, "")
    assert "did you mean 'arousal'?" in said.err


def test_check_says_whose_programs_clash_and_that_it_is_right_all_the_same(
    componium: Command, tmp_path: Path
) -> None:
    path = tmp_path / "clash.toml"
    rows = "engine = 'grammar'\nrules = 'S -> C 1/4'\nchannel = 3\n"
    path.write_text(f"[parts.a]\n{rows}program = 1\n[parts.b]\n{rows}program = 2\n")
    said = componium("check", path)
    assert said.status == 0
    assert "parts.a and parts.b share channel 3" in said.err


def test_check_names_file_part_and_line_and_goes_on_to_the_next(
    componium: Command, tune: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[parts.x]\nengine = 'grammar'\nrules = '''\nS -> A\nA -> (0.5 B\n'''\n")
    broken = tmp_path / "broken.toml"
    broken.write_text("tempo = \n")
    said = componium("check", tmp_path)
    assert said.status == 2
    assert said.out == f"{tune}: OK\n"
    complaints = said.err.splitlines()
    assert len(complaints) == 2
    assert "broken.toml" in complaints[0] and "line 1" in complaints[0]
    assert "wrong.toml" in complaints[1] and "parts.x.rules" in complaints[1]


def test_all_that_is_wrong_is_said_by_every_command_each_in_a_line(
    componium: Command, tmp_path: Path
) -> None:
    wrong, out = tmp_path / "wrong.toml", tmp_path / "out.mid"
    wrong.write_text(
        "[parts.x]\nengine = 'grammar'\nrules = '''\nS -> A\nA -> (0.5 B\n'''\ngate = 9\n"
        "[parts.y]\nengine = 'bach'\n"
    )
    said = componium("check", wrong)
    assert said.status == 2
    lines = said.err.splitlines()
    assert [line.partition(".toml: ")[2].split(":")[0] for line in lines] == [
        "parts.x.rules, line 5, column 12",
        "parts.x.gate, line 7",
        "parts.y.engine, line 9",
    ]
    assert all(line.startswith(f"componium: {wrong}: ") for line in lines), "with its path"
    for args in (["play", wrong], ["render", wrong, "-o", out], ["symbols", wrong]):
        again = componium(*args)
        assert (again.status, again.out) == (2, "")
        assert [line.partition("wrong.toml")[2] for line in again.err.splitlines()] == [
            line.partition("wrong.toml")[2] for line in lines
        ]
    assert not out.exists()


def test_check_tries_a_scene_out(componium: Command, tmp_path: Path) -> None:
    path = tmp_path / "dumb.toml"
    path.write_text("[parts.x]\nengine = 'lsystem'\naxiom = 'X'\nrules = 'X -> XX'\n")
    said = componium("check", path)
    assert said.status == 2
    assert "parts.x" in said.err


def test_all_shipped_scenes_are_right(componium: Command) -> None:
    said = componium("check", *shipped_scenes())
    assert said.status == 0, said.err
    assert said.out.count(": OK") == len(shipped_scenes())


def test_check_knows_what_kind_of_file_it_is_given(componium: Command, tmp_path: Path) -> None:
    moods, harmony = tmp_path / "night.toml", tmp_path / "loop.toml"
    moods.write_text("[tempo]\narousal = [[-1, 0.8], [1, 1.2]]\n")
    harmony.write_text("engine = 'grammar'\nrules = 'S -> ton:1/1 dom:1/1'\n")
    said = componium("check", moods, harmony)
    assert (said.status, said.err) == (0, "")
    assert said.out == f"{moods}: OK\n{harmony}: OK\n"
    moods.write_text("title = 'x'\n[tempo]\narousl = [[-1, 0.8]]\n")
    harmony.write_text("engine = 'grammar'\nrules = '''\nS -> ton:1/1 (\n'''\n")
    said = componium("check", moods, harmony)
    assert said.status == 2
    first, second = said.err.splitlines()
    assert first.startswith(f"componium: {moods}: tempo.arousl, line 3: ")
    assert second.startswith(f"componium: {harmony}: rules, line 3, column ")


def test_all_that_is_shipped_is_right(componium: Command) -> None:
    said = componium("check", "config/harmony", "config/moods")
    assert (said.status, said.err) == (0, "")


def test_check_tells_whose_mistake_it_is(componium: Command, tmp_path: Path) -> None:
    scene = tmp_path / "mine.toml"
    scene.write_text("style = 'band'\ntempo = 7\n")
    (tmp_path / "band.toml").write_text(f"[parts.a]\n{GRID}gate = 9\n")
    said = componium("check", scene)
    assert said.err.splitlines() == [
        f"componium: {scene}: tempo, line 2: expected a number from 20 to 999, got 7",
        f"componium: {scene}: in band.toml: parts.a.gate, line 4: "
        "expected a number from 0.01 to 2, got 9",
    ]


def test_check_warns_of_chords_that_nobody_follows(componium: Command, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    row = "engine = 'grammar'\nrules = 'S -> I:1/1 V:1/1'\n"
    path.write_text(f"[parts.organ]\n{row}[parts.harp]\n{row}")
    said = componium("check", path)
    assert said.status == 0
    assert "parts.harp has chords of its own, which nobody follows: parts.organ" in said.err


def test_check_waits_for_parts_that_the_form_brings_in_late(
    componium: Command, tmp_path: Path
) -> None:
    path = tmp_path / "late.toml"
    path.write_text(
        f"[parts.a]\n{GRID}[parts.b]\n{GRID}layer = [0.6, 1]\n"
        "[form.sections.low]\nbars = 40\nenergy = 0.2\n"
        "[form.sections.high]\nbars = 8\nenergy = 0.9\n"
    )
    assert componium("check", path) == Said(0, f"{path}: OK\n", "")


def test_a_style_is_played_by_its_name(componium: Command, tmp_path: Path) -> None:
    out = tmp_path / "folk.mid"
    assert componium("render", "folk", "-o", out, "--bars", 8).status == 0
    assert len(mido.MidiFile(out).tracks) > 3
    assert componium("symbols", "folk:bass", "-n", 2).out
    assert componium("check", "folk").out == "folk: OK\n"


def test_styles_moods_and_progressions_have_a_line_each(componium: Command) -> None:
    for kind in ("styles", "harmony"):
        lines = componium(kind).out.splitlines()
        assert [line.split()[0] for line in lines] == list(shipped(kind))
        assert all(len(line.split()) > 2 for line in lines), "each says what it is"
    said = componium("moods").out
    assert "tender         valence +0.6, arousal -0.4" in said
    assert all(f"\n{name}" in said for name in shipped("moods"))


def test_engines_and_scenes_have_a_line_each(componium: Command) -> None:
    assert [line.split()[0] for line in componium("engines").out.splitlines()][:3] == [
        "grammar",
        "lsystem",
        "markov",
    ]
    lines = componium("scenes").out.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_scenes())
    assert all(len(line.split()) > 2 for line in lines), "each says what it is"


def test_the_version_is_said(componium: Command) -> None:
    assert componium("--version").out.startswith("componium 0.")


# Commands to what plays -----------------------------------------------------------------------


def told(componium: Command, answer: tuple[str, float, str], *args: str) -> tuple[Said, Message]:
    """What `tell` says of such an answer, and what it has sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as desk:
        desk.bind(("127.0.0.1", 0))
        heard: list[Message] = []

        def reply() -> None:
            data, sender = desk.recvfrom(4096)
            messages = decode(data)
            assert isinstance(messages, list)
            heard.append(messages[0])
            desk.sendto(osc_message(RECEIPT, messages[0].address, *answer), sender)

        thread = threading.Thread(target=reply)
        thread.start()
        said = componium("tell", *args, "--port", str(desk.getsockname()[1]))
        thread.join()
    return said, heard[0]


def test_a_command_is_told_and_its_answer_said(componium: Command) -> None:
    said, sent = told(componium, ("armed", 12.0, ""), "/emotion", "tense", "4", "bar")
    assert sent == Message("/componium/emotion", ("tense", 4, "bar"))
    assert said == Said(0, "armed at bar 12\n", "")
    said, sent = told(componium, ("done", 0.0, "so be it"), "/componium/mood", "-0.5", "0.25")
    assert sent == Message("/componium/mood", (-0.5, 0.25))
    assert said.out == "done: so be it\n"


def test_a_refusal_is_a_mistake(componium: Command) -> None:
    said, _ = told(componium, ("refused", 0.0, "there is none"), "/section", "nowhere")
    assert (said.status, said.out) == (2, "")
    assert said.err == "componium: /componium/section: refused: there is none\n"


def test_where_nobody_plays_nothing_is_told(componium: Command) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    said = componium("tell", "/stop", "--port", port)
    assert (said.status, said.out) == (2, "")
    assert "is Componium playing?" in said.err
    assert componium("tell", "stop").status == 2


# Mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["play", "--mqtt", ""], "--mqtt: expected a broker such as localhost"),
        (["play", "--origin", "foo"], "--origin: expected such as http://localhost:8000"),
        (["play", "nonesuch"], "no scene is called"),
        (["play", "nonesuch.toml"], "no such file"),
        (["play", "--osc", "nowhere"], "HOST:PORT"),
        (["play", "--osc", "127.0.0.1:99999"], "HOST:PORT"),
        (["play", "--tempo", "5000"], "999"),
        (["play", "--seed", "x"], "seed"),
        (["play", "--seed", str(2**63)], "seed"),
        (["play", "--bars", "-1"], "bars"),
        (["play", "--seconds", "nan"], "seconds"),
        (["play", "--seconds", "inf"], "seconds"),
        (["play", "--record", "/dev/null"], "as a file"),
        (["play", "--record", "/nonexistent/x.mid"], "no folder"),
        (["play", "--control", "70000"], "control"),
        (["play", "default", "--midi", "none", "--why"], "--osc"),
        (["play", "x" * 300], "cannot be read"),
        (["play", "config"], "a folder"),
        (["render", "default", "-o", "pyproject.toml"], "a name that ends with .mid"),
        (["render", "nonesuch", "-o", "x.mid"], "no scene is called"),
        (["render", "default"], "out"),
        (["symbols"], "SCENE"),
        (["check"], "PATH"),
        (["check", "nonesuch"], "no scene is called"),
        (["perform"], "perform"),
    ],
)
def test_mistakes_end_with_status_2_one_message_and_no_traceback(
    componium: Command, args: list[str], words: str
) -> None:
    said = componium(*args)
    assert said.status == 2
    assert words in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_as_many_symbols_as_anybody_can_ask_for(componium: Command, tmp_path: Path) -> None:
    path = tmp_path / "short.toml"
    path.write_text("[parts.x]\nengine = 'grammar'\nrules = 'S -> C D'\nafter = 'stop'\n")
    assert componium("symbols", path, "-n", "9" * 30) == Said(0, "C\nD\n", "")


# Playing, with real processes ----------------------------------------------------------------


def started(*args: str | Path, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "server.cli", *map(str, args)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def finished(*args: str | Path) -> Said:
    process = started(*args)
    out, err = process.communicate(timeout=30)
    return Said(process.returncode, out, err)


@pytest.mark.real
def test_bars_end_by_themselves_and_each_event_is_a_line_of_json(tune: Path) -> None:
    said = finished(
        "play",
        tune,
        "--bars",
        "2",
        "--json",
        "--midi",
        "none",
        "--osc",
        "127.0.0.1:9",
        "--control",
        "0",
        "--http",
        "0",
    )
    assert said.status == 0, said.err
    events = [json.loads(line) for line in said.out.splitlines()]
    notes = [event for event in events if event["event"] == "note"]
    assert {event["bar"] for event in notes} == {1, 2}
    assert notes[0].keys() == {
        *("event", "seconds", "beat", "bar", "position", "part", "pitch", "name", "velocity"),
        *("duration", "channel", "symbol", "origin"),
    }
    assert [event["state"] for event in events if event["event"] == "transport"] == [
        "playing",
        "stopped",
    ]
    assert sum(event["event"] == "beat" for event in events) == 8


@pytest.mark.real
def test_a_take_of_what_was_played_is_what_render_writes(
    tune: Path, tmp_path: Path, componium: Command
) -> None:
    take, file = tmp_path / "take.mid", tmp_path / "file.mid"
    said = finished(
        *(
            "play",
            tune,
            "--bars",
            "2",
            "--quiet",
            "--midi",
            "none",
            "--control",
            "0",
            "--http",
            "0",
        ),
        *("--record", take),
    )
    assert said == Said(0, "", "")
    componium("render", tune, "-o", file, "--bars", "2")
    assert take.read_bytes() == file.read_bytes()


@pytest.mark.real
def test_a_log_of_what_was_played_replays_to_the_same_take(
    tune: Path, tmp_path: Path, componium: Command
) -> None:
    take, again, log = (tmp_path / name for name in ("take.mid", "again.mid", "tonight.log"))
    asked = ("--midi", "none", "--control", "0", "--http", "0", "--quiet", "--bars", "2")
    said = finished("play", tune, *asked, "--record", take, "--log", log)
    assert said == Said(0, "", "")
    assert componium("replay", log, "-o", again) == Said(0, "", "")
    assert again.read_bytes() == take.read_bytes()
    lines = [json.loads(line) for line in componium("replay", log, "--json").out.splitlines()]
    assert sum(line["event"] == "note" for line in lines) > 8
    assert lines[-1]["event"] == "transport"
    assert finished("replay", log) == Said(0, "", "")
    tune.unlink()  # the log has its text
    again.unlink()
    assert componium("replay", log, "-o", again) == Said(0, "", "")
    assert again.read_bytes() == take.read_bytes()


def test_a_replay_says_what_it_lacks(
    componium: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert "play something first" in componium("replay").err
    assert componium("replay", tmp_path / "no.log").status == 2
    (tmp_path / "a.mid").write_bytes(b"MThd")
    assert "no control log" in componium("replay", tmp_path / "a.mid").err
    refused = componium("play", "--log", tmp_path / "a.mid", "--bars", "1")
    assert refused.status == 2 and "another kind of file" in refused.err


KEPT = """
tempo = 480
[form]
plan = "verse"
[form.sections.verse]
bars = 64
[form.sections.bridge]
bars = 64
[parts.bass]
engine = "grammar"
rules = "S -> I:1/1 V7:1/1"
[parts.tune]
engine = "grammar"
rules = "S -> c1:1/4"
"""


@pytest.mark.real
def test_what_was_killed_goes_on_as_the_same_band(tmp_path: Path) -> None:
    scene = tmp_path / "kept.toml"
    scene.write_text(KEPT)
    environment = {
        **os.environ,
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    port, page = free_port(), free_port()
    plain = ("play", scene, "--quiet", "--midi", "none", "--control", str(port))
    args = (*plain, "--http", str(page), "--watch")

    def tell(*words: str) -> str:
        command = [sys.executable, "-m", "server.cli", "tell", *words, "--port", str(port)]
        told = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=30
        )
        return told.stdout or told.stderr

    def value(address: str) -> list[Any]:
        with urlopen(f"http://127.0.0.1:{page}/componium{address}?VALUE", timeout=10) as answer:
            found: list[Any] = json.load(answer)["VALUE"]
        return found

    def wait(ready: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + 20
        while True:
            with suppress(OSError):
                if ready():
                    return
            assert time.monotonic() < limit, what
            time.sleep(0.05)

    def state() -> dict[str, Any]:
        found = next(tmp_path.glob("state/**/kept-*.json"), None)
        data: dict[str, Any] = json.loads(found.read_text()) if found is not None else {}
        return data

    asked: dict[str, list[Any]] = {
        "/part/bass/rules": ["S -> I:1/2 IV:1/2"],
        "/key": ["E dorian"],
        "/section": ["bridge"],
        "/part/tune/mute": [True],
    }
    first = started(*args, env=environment)
    second = None
    try:
        wait(lambda: value("/section") == ["verse"], "it does not play")
        assert "done" in tell("/part/tune/mute", "1")
        key = next(tmp_path.glob("config/**/token")).read_text().strip()
        rules = Request(
            f"http://127.0.0.1:{page}/componium/part/bass/rules",
            json.dumps({"args": asked["/part/bass/rules"]}).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urlopen(rules, timeout=10) as answer:
            assert answer.status == 200
        for address in ("/key", "/section"):
            words = [str(asked[address][0]), "bar"]
            assert "armed" in tell(address, *words)
        assert "done" in tell("/tempo", "444")
        assert "armed" in tell("/likeness", "0.25")
        wait(lambda: value("/section") == ["bridge"] and value("/key") == ["E dorian"], "not there")
        bar = state().get("bar", 0)
        wait(lambda: state().get("bar", 0) >= bar + 8, "it is not written down")
        first.kill()
        first.communicate(timeout=10)
        before = state()
        assert before["bar"] and not before["ended"]

        second = started(*args, "--resume", env=environment)
        kept = ("/part/bass/rules", "/key", "/section", "/part/tune/mute")
        as_it_was = [asked[address] for address in kept]
        wait(lambda: [value(address) for address in kept] == as_it_was, "it is not as it was")
        wait(lambda: value("/tempo")[0] == pytest.approx(444), "it has lost the tempo")
        wait(lambda: state()["bar"] > before["bar"], "it is not written down again")
        second.send_signal(signal.SIGTERM)
        _, err = second.communicate(timeout=10)
        assert err == ""
        after = state()
        assert after["ended"]
        assert after["rules"] == before["rules"] == {"bass": asked["/part/bass/rules"][0]}
        assert after["asked"] == before["asked"]
        assert after["commands"] == before["commands"]

        third = started(*plain, "--http", "0", "--bars", "1", env=environment)
        _, err = third.communicate(timeout=20)
        assert err == "" and state() == after, "it begins afresh, and spares what was"
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()


@pytest.mark.real
def test_a_service_that_is_told_to_reads_its_scene_again_and_plays_on(
    tune: Path, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        plain = ("play", tune, "--json", "--midi", "none", "--control", "0", "--http", "0")
        process = started(*plain, "--no-watch", env=environment)
        try:
            assert manager.recv(100) == b"READY=1"
            tune.write_text("tempo = tempo")
            process.send_signal(signal.SIGHUP)
            assert process.stdout is not None and process.stderr is not None
            assert "tune.toml, line 1" in process.stderr.readline(), "a mistake is told"
            tune.write_text(TUNE.replace("tempo = 240", "tempo = 360"))
            process.send_signal(signal.SIGHUP)
            beats = (json.loads(line) for line in process.stdout)
            assert next(beat for beat in beats if beat.get("tempo") == 360)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
            assert process.returncode == 143
        finally:
            process.kill()


@pytest.mark.real
def test_a_service_that_is_told_to_reads_its_settings_again(tune: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[play]\nquiet = true\nhttp = 0\n")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as game,
    ):
        manager.bind(str(tmp_path / "notify"))
        game.bind(("127.0.0.1", 0))
        for each in (manager, game):
            each.settimeout(20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            control = str(free.getsockname()[1])
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        plain = ("--config", config, "play", tune, "--midi", "none", "--control", control)
        process = started(*plain, "--no-watch", env=environment)
        try:
            assert manager.recv(100) == b"READY=1"
            assert process.stderr is not None
            for text, said in (
                ("osc = ['nowhere']", "settings: play.osc: expected HOST:PORT"),
                ("oscc = 7", "play.oscc, line 4: nothing has this name here; did you mean 'osc'?"),
                (
                    f"osc = ['127.0.0.1:{game.getsockname()[1]}']\nlan = true\nmidi = 'IAC'",
                    "settings: read again: osc from now on; lan from the next start on",
                ),
            ):
                config.write_text(f"[play]\nquiet = true\nhttp = 0\n{text}\n")
                process.send_signal(signal.SIGHUP)
                assert said in process.stderr.readline()
            assert game.recv(1000).startswith(b"/componium/"), (
                "it is sent there from the next bar on"
            )
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
        finally:
            process.kill()


@pytest.mark.real
def test_a_take_that_could_not_be_written_is_said_at_the_end(tune: Path, tmp_path: Path) -> None:
    take = tmp_path / "take.mid"
    process = started(
        *(
            "play",
            tune,
            "--bars",
            "1",
            "--quiet",
            "--midi",
            "none",
            "--control",
            "0",
            "--http",
            "0",
        ),
        *("--record", take),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
    )
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines()[-1].startswith("componium: --record: take.mid cannot be written: ")
    assert list(tmp_path.iterdir()) == [tune], "and nothing half written is left"


@pytest.mark.real
def test_a_terminal_that_goes_away_does_not_end_what_nohup_started(tune: Path) -> None:
    process = started(
        *("play", tune, "--json", "--bars", "3", "--midi", "none", "--control", "0", "--http", "0"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    assert process.stdout is not None
    process.stdout.readline()  # it plays
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert '"bar":3' in out


@pytest.mark.real
@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGINT], 130),
    ],
)
def test_a_signal_ends_it_and_every_note(tune: Path, numbers: list[int], status: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        target = f"127.0.0.1:{ear.getsockname()[1]}"
        process = started(
            "play",
            tune,
            "--quiet",
            "--midi",
            "none",
            "--control",
            "0",
            "--http",
            "0",
            "--osc",
            target,
        )
        heard = [ear.recv(1024) for _ in range(20)]
        for number in numbers:
            process.send_signal(number)
        _, err = process.communicate(timeout=10)  # how soon it is: the bench's
        assert (process.returncode, err) == (status, "")
        ear.settimeout(0.3)
        with suppress(TimeoutError):
            while True:
                heard.append(ear.recv(1024))
    ons = sum(b"/note\0" in message for message in heard)
    offs = sum(b"/off\0" in message for message in heard)
    assert ons == offs > 0


@pytest.mark.real
def test_no_midi_system_is_one_line_and_the_music_goes_on(tune: Path) -> None:
    # Where there is a MIDI system, ask for a port that nobody has.
    said = finished(
        *("play", tune, "--bars", "1", "--json", "--midi", "no port of this name"),
        *("--control", "0", "--http", "0"),
    )
    assert said.status == 0
    assert len(said.err.splitlines()) == 1
    assert "midi" in said.err
    assert '"event":"note"' in said.out


@pytest.mark.real
def test_a_reader_who_goes_away_or_stops_reading_does_not_stop_the_music(tune: Path) -> None:
    common = (
        "play",
        tune,
        "--json",
        "--bars",
        "2",
        "--midi",
        "none",
        "--control",
        "0",
        "--http",
        "0",
    )
    gone = started(*common, "--osc", "127.0.0.1:9")
    assert gone.stdout is not None
    gone.stdout.readline()
    gone.stdout.close()
    reading, writing = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-m", "server.cli", *map(str, common)]
    slow = subprocess.Popen(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE)
    assert slow.communicate(timeout=10)[1] == b""
    assert slow.returncode == 0, "nobody has read a line, and it has ended by itself"
    assert gone.wait(10) == 0
    for descriptor in (reading, writing):
        os.close(descriptor)
    assert gone.stderr is not None
    gone.stderr.close()


@pytest.mark.real
@pytest.mark.parametrize("form", [["--json"], []])
def test_what_nobody_reads_and_nothing_plays_ends_quietly(tune: Path, form: list[str]) -> None:
    gone = started("play", tune, *form, "--midi", "none", "--control", "0", "--http", "0")
    assert gone.stdout is not None and gone.stderr is not None
    gone.stdout.readline()
    gone.stdout.close()
    assert gone.wait(10) == 141
    assert gone.stderr.read() == ""
    gone.stderr.close()


@pytest.mark.real
def test_what_is_recorded_is_not_ended_because_nobody_reads_of_it(
    tune: Path, tmp_path: Path
) -> None:
    take = tmp_path / "take.mid"
    common = (
        "play",
        tune,
        "--json",
        "--midi",
        "none",
        "--control",
        "0",
        "--http",
        "0",
        "--bars",
        "2",
    )
    gone = started(*common, "--record", take)
    assert gone.stdout is not None and gone.stderr is not None
    gone.stdout.readline()
    gone.stdout.close()
    assert gone.wait(10) == 0
    gone.stderr.close()
    assert mido.MidiFile(take).length == pytest.approx(2.0, abs=0.6)


@pytest.mark.real
def test_seconds_are_seconds_of_music(tune: Path) -> None:
    common = ("play", tune, "--json", "--midi", "none", "--control", "0", "--http", "0")
    said = finished(*common, "--seconds", "1")
    assert said.status == 0
    last = json.loads(said.out.splitlines()[-1])
    assert last["state"] == "stopped"
    assert 1 <= last["seconds"] < 1.3


@pytest.mark.real
@pytest.mark.parametrize(
    "args",
    [
        *(["symbols", "melody", "-n", "100000"], ["symbols", "melody", "-n", "1"], ["scenes"]),
        *(["engines"], ["check", "melody", "algae"], ["check", "nonesuch"], ["--help"]),
    ],
)
def test_who_reads_only_the_beginning_of_a_list_hears_nothing_of_it(args: list[str]) -> None:
    """Both ends are one pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "server.cli", *args]
    gone = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, timeout=30)
    both = subprocess.run(command, cwd=ROOT, stdout=writing, stderr=writing, timeout=30)
    os.close(writing)
    if "nonesuch" in args:
        assert (gone.returncode, both.returncode) == (2, 141), "nothing was to be read"
        return
    assert (gone.returncode, both.returncode) == (141, 141)
    assert gone.stderr == b""


@pytest.mark.real
def test_a_full_disk_is_said_in_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as out:
        command = [sys.executable, "-m", "server.cli", "scenes"]
        said = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.PIPE, timeout=30)
    assert (said.returncode, said.stderr) == (1, b"componium: No space left on device\n")


@pytest.mark.real
def test_a_target_of_the_command_line_is_told_why_if_it_is_asked_for(tune: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(5)
        target = f"127.0.0.1:{ear.getsockname()[1]}"
        said = finished(
            *(
                "play",
                tune,
                "--bars",
                "1",
                "--quiet",
                "--midi",
                "none",
                "--control",
                "0",
                "--http",
                "0",
            ),
            *("--osc", target, "--why"),
        )
        assert said == Said(0, "", "")
        ear.setblocking(False)
        heard = []
        with suppress(BlockingIOError):
            while True:
                heard.append(ear.recv(1024))
    assert sum(b"/why\0" in message for message in heard) > 0
    assert sum(b"/why\0" in message for message in heard) == sum(
        b"/note\0" in message for message in heard
    )


@pytest.mark.real
def test_a_taken_control_port_is_a_warning_unless_it_was_asked_for(tune: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        common = ("play", tune, "--quiet", "--bars", "1", "--http", "0", "--control", port)
        said = finished(*common)
        assert said.status == 2
        assert port in said.err and "Traceback" not in said.err


@pytest.mark.real
def test_a_taken_page_port_ends_it_only_if_it_was_asked_for(tune: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        common = ("play", tune, "--quiet", "--bars", "1", "--midi", "none", "--control", "0")
        said = finished(*common, "--http", port)
        assert said.status == 2
        assert port in said.err and "--http PORT" in said.err and "Traceback" not in said.err


@pytest.mark.real
def test_the_token_is_made_once_and_anew_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first, again = finished("token").out.splitlines(), finished("token").out.splitlines()
    assert first == again
    file = Path(first[1])
    assert file.read_text().strip() == first[0] and file.stat().st_mode & 0o077 == 0
    other = finished("token", "--new").out.splitlines()
    assert other[0] != first[0] and other[1] == first[1]
    file.chmod(0o644)
    said = finished("token")
    assert said.status == 2 and "chmod 600" in said.err and other[0] not in said.err


def test_a_surface_for_another_machine_holds_the_token_for_this_user_alone(
    componium: Command, tune: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    plain, far = tmp_path / "plain.json", tmp_path / "far.json"
    assert componium("layout", "openstage", tune, "-o", plain).status == 0
    assert not (tmp_path / "config").exists(), "no token is made that nobody asked for"
    assert componium("layout", "openstage", tune, "-o", far, "--lan").status == 0
    token = componium("token").out.split()[0]
    assert token in far.read_text() and "/auth" not in plain.read_text()
    assert far.stat().st_mode & 0o077 == 0


@pytest.mark.real
def test_the_page_is_there_while_it_plays_and_no_log_has_the_token(tune: Path) -> None:
    port = free_port()
    playing = started(
        *("play", tune, "--json", "--midi", "none", "--control", "0", "--http", str(port)),
        *("--bars", "2"),
    )
    assert playing.stdout is not None
    playing.stdout.readline()
    with urlopen(f"http://127.0.0.1:{port}/componium/transport?VALUE", timeout=10) as answer:
        assert json.load(answer) == {"VALUE": ["playing"]}
    out, err = playing.communicate(timeout=30)
    assert playing.returncode == 0 and err == "" and "#" not in out


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@pytest.mark.real
def test_every_part_is_a_port_and_a_hung_server_hangs_nobody(tune: Path, tmp_path: Path) -> None:
    need("jackd", "jackd2")
    ports = [sys.executable, "-m", "server.cli", "ports"]
    with JackServer(tmp_path) as jack:
        if "JACK       answers" not in jack.run(*ports):  # as of 3.13's binding and older servers
            lack("this Python's MIDI binding does not speak to this JACK server")
        process = jack.python(
            "server.cli", "play", str(tune), "--quiet", "--control", "0", "--http", "0"
        )
        try:
            limit = time.monotonic() + 5
            while not all(f":{part}" in jack.run("jack_lsp") for part in ("tune", "bass")):
                assert time.monotonic() < limit, "no ports have appeared"
                time.sleep(0.02)
            jack.freeze()
            assert "its server hangs" in jack.run(*ports)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
            jack.thaw()
        finally:
            process.kill()


# Help -------------------------------------------------------------------------------------------


def test_every_command_s_help_ends_with_examples_that_it_takes_and_its_status() -> None:
    group: Any = typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        *lines, status = command.epilog.split("\n\n")
        assert status.startswith("Exit status: 0 done")
        assert lines[0] == "Examples:" and lines[1:]
        for line in lines[1:]:
            program, first, *words = line.split()
            assert (program, first) == ("componium", name)
            found = command.make_context(name, words).params
            scene = str(found.get("scene") or "default").partition(":")[0]
            assert scene in shipped_scenes() or scene.startswith("my-"), line


def test_the_usage_of_every_command_is_written_as_in_manuals() -> None:
    group: Any = typer.main.get_command(cli.app)
    usages = {
        name: command.get_usage(command.make_context(name, [], resilient_parsing=True))
        for name, command in group.commands.items()
    }
    assert usages["tell"].endswith("[OPTIONS] ADDRESS [VALUE]...")
    assert usages["layout"].endswith("[OPTIONS] PROGRAM SCENE")
    assert usages["check"].endswith("[OPTIONS] PATH...")
    for usage in usages.values():
        assert not set("{}…") & set(usage)
