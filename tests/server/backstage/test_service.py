"""Watched from outside: metrics, health, systemd's watchdog, a diary that stays within its room."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engines.base import Mistake
from server import cli
from server.backstage import doctor
from server.backstage.health import MUTE, Health
from server.backstage.metrics import FINEST, Tally, metrics
from server.backstage.service import Diary, keep_alive, notify
from server.cli.manners import UNWELL
from server.concert.journal import Moment, Moved, Troubled
from server.wire.machine import BUCKETS
from tests.server.desk.web_rig import House

_LINE = re.compile(r'(componium_\w+)(?:\{(\w+="(?:[^"\\]|\\.)*",?)*\})? (-?[0-9.e+-]+)')


def parsed(text: str) -> dict[str, float]:
    """Each sample by its name and labels; every line is one, or a comment."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            assert _LINE.fullmatch(line), line
            name, _, value = line.rpartition(" ")
            assert name not in found
            found[name] = float(value)
    return found


def healthy() -> Health:
    lateness = [5, 3, 0, 2, *[0] * (BUCKETS - 5), 1]
    stats = {"sent": 11, "late": 2, "queued": 4, "sounding": 1, "lateness": lateness}
    return Health(stats={"osc": stats}, restarts={"osc": 1}, heard={"osc": 0})


def test_metrics_are_prometheus_text_and_the_histogram_adds_up() -> None:
    tally = Tally()
    tally(Troubled('a "quoted"\nsource\\', "…"))
    found = parsed(metrics(healthy(), tally, 0, True, {"listeners": lambda: 3}, "1.0"))
    assert found["componium_playing"] == found["componium_well"] == 1
    assert found["componium_listeners"] == 3
    assert found['componium_dropped_total{wire="osc",why="late"}'] == 2
    assert found['componium_wire_restarts_total{wire="osc"}'] == 1
    assert "componium_last_reload_ok" not in found
    buckets = [n for name, n in found.items() if "lateness_seconds_bucket" in name]
    assert len(buckets) == BUCKETS and buckets == sorted(buckets)
    assert buckets[-1] == found['componium_lateness_seconds_count{wire="osc"}'] == 11
    assert found[f'componium_lateness_seconds_bucket{{wire="osc",le="{FINEST * 2:.6g}"}}'] == 8


def test_a_wire_that_says_nothing_is_not_well() -> None:
    health = healthy()
    assert not health.unwell(MUTE)
    assert health.unwell(MUTE + 1) == ["osc"]
    assert parsed(metrics(health, Tally(), MUTE + 1, True, {}, ""))["componium_well"] == 0


def test_each_metric_of_the_page_is_one() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "operating.md").read_text()
    health = healthy()
    health.reload_ok = True
    gauges = {"listeners": lambda: 0.0, "mqtt_connected": lambda: 1.0}
    tally = Tally()
    tally.notes["bass"] = 1
    tally.troubles["x"] = 1
    told = set(re.findall(r"# TYPE (\w+)", metrics(health, tally, 0, True, gauges, "")))
    assert told - {"componium_info"} == set(re.findall(r"`(componium_\w+?)(?:\{[\w,]+\})?`", page))


async def test_the_page_s_port_answers_those_who_watch() -> None:
    async with House() as house:
        pages = {
            "/metrics": lambda: (200, "text/plain; version=0.0.4", "componium_x 1\n"),
            "/healthz": lambda: (503, "text/plain", "mute: osc\n"),
        }
        house.door._pages = pages
        async with house.session.get("/metrics") as answer:
            assert answer.status == 200 and await answer.text() == "componium_x 1\n"
            assert "version=0.0.4" in answer.headers["Content-Type"]
        assert await house.get("/healthz") == (503, "mute: osc\n")
        assert (await house.get("/metrics", Host="evil.example"))[0] == 403


# systemd ------------------------------------------------------------------------------------------


def listening(monkeypatch: pytest.MonkeyPatch, folder: Path) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(folder / "notify"))
    heard.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
    return heard


def test_systemd_is_told_where_it_listens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with listening(monkeypatch, tmp_path) as heard:
        notify("READY=1")
        assert heard.recv(100) == b"READY=1"
    notify("nobody is there any more")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("nor was anybody ever")


async def test_the_watchdog_is_fed_only_while_all_is_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = asyncio.Event()
    answers = iter([True, False])

    def well() -> bool:
        answer = next(answers, None)
        if answer is None:
            asked.set()
        return bool(answer)

    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with listening(monkeypatch, tmp_path) as heard:
        task = asyncio.ensure_future(keep_alive(well))
        await asked.wait()
        task.cancel()
        assert heard.recv(100) == b"WATCHDOG=1"
        with pytest.raises(BlockingIOError):
            heard.recv(100)
    monkeypatch.setenv("WATCHDOG_PID", "1")
    await keep_alive(well)  # it is meant for another process
    monkeypatch.delenv("WATCHDOG_USEC")
    await keep_alive(well)


# The diary ----------------------------------------------------------------------------------------


def test_a_diary_stays_within_its_room_and_keeps_the_newest(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary", piece=1000, pieces=3)
    for number in range(500):
        diary(Troubled("x", f"number {number}\nsecond line\x1b[0m"))
    assert diary.close() and not diary.trouble
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["diary", "diary.1", "diary.2"]
    assert sum(each.stat().st_size for each in files) <= 3000
    lines = [line for each in reversed(files) for line in each.read_text().splitlines()]
    numbers = [int(re.findall(r"number (\d+) second line", line)[0]) for line in lines]
    assert numbers == list(range(500 - len(lines), 500))
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+ x: ", line) for line in lines)


def test_what_is_music_is_not_in_the_diary(tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    diary(Moved(Moment(0.0, 0, 1, 1.0), "playing"))  # type: ignore[arg-type]
    assert diary.close()
    [line] = (tmp_path / "diary").read_text().splitlines()
    assert line.endswith(" playing")


def test_a_full_disk_is_said_and_delays_nobody(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):  # noqa: PTH110
        pytest.skip("no /dev/full here")
    (tmp_path / "diary").symlink_to("/dev/full")
    diary = Diary(tmp_path / "diary")
    diary(Troubled("x", "y"))
    diary.close()
    assert "No space left" in diary.trouble
    with pytest.raises(Mistake, match="cannot be written"):
        Diary(tmp_path / "none" / "diary")


# Doctor -------------------------------------------------------------------------------------------


def told(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["componium", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_doctor_has_a_cure_for_whatever_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "survey", lambda: iter(["ALSA       not there; x"]))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert told(monkeypatch, "doctor", "--json") == 0
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {each["what"] for each in findings} >= {
        *("python", "alsa", "ports", "clock", "timer", "mqtt", "control", "http"),
        *("settings", "token", "disk"),
    }
    assert all(bool(each["cure"]) == (each["state"] != "ok") for each in findings)
    (tmp_path / "componium").mkdir()
    token = tmp_path / "componium" / "token"
    token.write_text("x")
    token.chmod(0o644)
    (tmp_path / "componium" / "config.toml").write_text("[play]\ntemp = 1\n")
    assert told(monkeypatch, "doctor") == UNWELL == 1
    said = capsys.readouterr().out
    assert f"-> chmod 600 {token}" in said
    assert "play.temp, line 2" in said


def test_a_port_that_is_taken_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "survey", lambda: iter(()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        found = {each.what: each for each in doctor.examine({}, taken.getsockname()[1], 0)}
    assert found["control"].state == "warning" and "--control PORT" in found["control"].cure


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    program = Path(sys.executable).with_name("componium")
    for words, wanted in (("componium doc", "doctor"), ("componium play --no-w", "--no-watch")):
        environment = {
            **os.environ,
            "_COMPONIUM_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "_TYPER_COMPLETE_ARGS": words,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        }
        made = subprocess.run([program], env=environment, capture_output=True, text=True)
        assert wanted in made.stdout, made.stderr
