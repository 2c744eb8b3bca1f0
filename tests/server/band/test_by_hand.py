"""A player at a real keyboard, `componium play`, and a receiver that keeps its own ledger."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.rigs.keys import Keys
from tests.rigs.ledger import Ledger
from tests.server.wire.test_real import private_server

pytestmark = pytest.mark.real
MS = 1_000_000
SCENE = """
tempo = 120
[inputs.keys]
midi = "nobody's"
[outputs.out]
midi = "ledger"
[parts.hand]
engine = "performer"
fit = ""
input = "keys"
[parts.answer]
engine = "continuator"
listens = ["keys"]
channel = 3
"""


def until(condition: Callable[[], bool], patience: float = 5.0) -> None:
    limit = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.01)


def test_keys_sound_are_answered_and_let_go_of_when_their_player_dies(tmp_path: Path) -> None:
    scene = tmp_path / "hand.toml"
    scene.write_text(SCENE)
    with private_server(tmp_path) as jack:
        ledger, keys = Ledger(jack), Keys(jack)
        command = [sys.executable, "-m", "server.cli", "play", str(scene), "--json"]
        process = jack.popen([*command, "--control", "0", "--midi-in", "virtual", "--seconds", "9"])
        try:
            jack.connect(keys.port, "Componium keys:keys", patience=10)
            time.sleep(0.3)
            delays = []
            for pitch in (60, 64, 67, 72):
                sent, before = keys.play(f"90{pitch:02x}50"), ledger.report().ons
                until(lambda: ledger.report().sounding != [])
                assert ledger.report().sounding == [[0, pitch]]
                delays.append(ledger.report().last_on - sent)
                assert ledger.report().ons - before <= 1
                keys.play(f"80{pitch:02x}00")
                until(lambda: ledger.report().sounding == [])
            assert min(delays) < 50 * MS, "by way of the plan it would take 100"
            until(lambda: ledger.report().ons > 4)  # it is answered
            keys.play("b0407f")
            keys.play("904864")
            until(lambda: [0, 72] in ledger.report().sounding)
            killed = time.monotonic_ns()
            keys.kill()
            until(lambda: ledger.report().sounding == [])
            assert ledger.report().last_off - killed < 450 * MS
            lines = [json.loads(line) for line in process.communicate(timeout=20)[0].splitlines()]
            assert process.returncode == 0
            hand = [each["event"] for each in lines if each.get("part") == "hand"]
            assert hand == ["pressed", "note"] * 5
        finally:
            process.kill()
            ledger.kill()
