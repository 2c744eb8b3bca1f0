"""What a shell offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.completion import addresses, programs, scenes
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
    [("play hou", "house"), ("tell /emo", "/emotion"), ("layout to", "touchosc")],
)
def test_a_shell_is_told(typed: str, offered: str) -> None:
    asked = {
        "_COMPONIUM_COMPLETE": "complete_bash",
        "COMP_WORDS": f"componium {typed}",
        "COMP_CWORD": "2",
    }
    program = "from server.cli import app; app(prog_name='componium')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [offered], done.stderr
