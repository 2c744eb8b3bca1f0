"""A set, played with everything attached at once: `scripts/bench set`, its lateness not judged."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.need import lack, need

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_set_is_played_whatever_happens_on_the_stage() -> None:
    for program, package in (
        ("chromium", "chromium"),
        ("godot3-server", "godot3-server"),
        ("jackd", "jackd2"),
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
    ):
        need(program, package)
    if importlib.util.find_spec("link") is None:
        lack("no Link here: pip install -e '.[link]'")
    run = [sys.executable, "-m", "scripts.benches", "set", "--rest", "0", "--untimed"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong: nothing" in done.stdout
