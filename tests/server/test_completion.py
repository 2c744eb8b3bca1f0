"""What a shell offers."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from server.completion import MOMENTS, addresses, logs, ported, programs, scenes, values
from server.score.scene import find_scene, playable

ROOT = Path(__file__).resolve().parents[2]


def test_scenes_are_shipped_ones_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "mine.toml").touch()
    (tmp_path / "inner" / "song.mid").touch()
    (tmp_path / ".hidden").mkdir()
    monkeypatch.chdir(tmp_path)
    assert set(scenes("")) == {*playable(), "inner/"}
    assert scenes("inner/m") == ["inner/mine.toml"] and scenes("nowhere/") == []
    assert scenes("hou") == ["house"] and find_scene("house")


def test_addresses_are_offered_as_the_word_begins() -> None:
    assert addresses("/emo") == ["/emotion"]
    assert addresses("/componium/emo") == ["/componium/emotion"]
    assert programs("t") == ["touchosc"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("play hou", "house"),
        ("tell /emo", "/emotion"),
        ("layout to", "touchosc"),
        ("play --sync li", "link"),
        ("play --midi vir", "virtual"),
        ("play --midi-in no", "none"),
        ("tell /style cinem", "cinematic"),
        ("tell /scene hou", "house"),
        ("tell /emotion ten", "tense tender"),
        ("tell /scene house ba", "bar"),
        ("tell /emotion tense 4 ph", "phrase"),
        ("layout openstage house --target 127", "127.0.0.1:1821"),
        ("render house --part ba", "bass"),
        ("replay 2", "2.log"),
    ],
)
def test_a_shell_is_told(typed: str, offered: str, tmp_path: Path) -> None:
    (tmp_path / "2.log").touch()
    asked = {
        "PYTHONPATH": str(ROOT),
        "_COMPONIUM_COMPLETE": "complete_bash",
        "COMP_WORDS": f"componium {typed}",
        "COMP_CWORD": str(len(typed.split())),
    }
    program = "from server.cli import app; app(prog_name='componium')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == offered.split(), done.stderr


def test_of_a_port_a_word_is_offered_that_means_it_alone() -> None:
    names = [
        "Midi Through:Midi Through Port-0 14:0",
        "FLUID Synth (123)",
        "FLUID Synth (124)",
        "a b",
    ]
    assert ported(names) == ["Through", "123", "124", "a b"]
    for word, name in zip(ported(names), names, strict=True):
        assert [each for each in names if word in each] == [name]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_has_blanks_is_one_word_in_each_shell(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.takes.log.log_folder", lambda: tmp_path)
    old, new = tmp_path / "2026-01-01 a.log", tmp_path / "2026-01-02 b.log"
    for path in (old, new):
        path.touch()
    monkeypatch.setenv("_COMPONIUM_COMPLETE", f"complete_{shell}")
    monkeypatch.chdir(tmp_path / "..")
    offered = logs(str(tmp_path / "2026"))[:2]
    assert [shlex.split(word) for word in offered] == (
        [[str(new)], [str(old)]] if shell == "bash" else [shlex.split(str(p)) for p in (new, old)]
    )


def test_what_plays_is_asked_for_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"/componium/section": ["Explore", "Boss"]}
    monkeypatch.setattr("server.completion._choices_of", lambda address: there.get(address, []))
    assert values("B", {"address": "/section", "values": []}) == ["Boss"]
    assert values("", {"address": "/section", "values": ["Boss"]}) == [*MOMENTS]
    assert values("", {"address": "/stop"}) == [] and values("", {"address": "nowhere"}) == []
