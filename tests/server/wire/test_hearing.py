"""The ear's real process, a real JACK server and a keyboard that is killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.rigs.hearer import Hearer
from tests.rigs.jack import JackServer
from tests.rigs.keys import Keys
from tests.server.wire.test_real import private_server

pytestmark = pytest.mark.real
MS = 1_000_000
IN = "Componium keys:keys"


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JackServer]:
    with private_server(tmp_path_factory.mktemp("ears")) as server:
        yield server


@pytest.fixture
def keys(jack: JackServer) -> Iterator[Keys]:
    player = Keys(jack)
    yield player
    player.kill()


@pytest.fixture
def virtual(jack: JackServer, keys: Keys) -> Iterator[Hearer]:
    hearer = Hearer(jack, name="virtual")
    hearer.wait("state", state="open")
    jack.connect(keys.port, IN)
    time.sleep(0.15)  # so that the ear has seen who is connected
    yield hearer
    assert hearer.end() == 0


def test_notes_clock_and_song_position_come_with_the_time_they_came_at(
    virtual: Hearer, keys: Keys
) -> None:
    for data in ("903c64", "b04040", "f8", "fa", "f8", "fb", "fc", "f21000", "803c00"):
        sent = keys.play(data)
        heard = virtual.wait("heard")
        assert heard["data"] == data
        assert sent <= heard["stamp"] <= heard["at"]
        assert heard["stamp"] - sent < 200 * MS


def test_a_keyboard_that_is_killed_has_let_go_in_time(virtual: Hearer, keys: Keys) -> None:
    keys.play("903c64")
    virtual.wait("heard")
    keys.kill()
    killed = time.monotonic_ns()
    assert virtual.wait("loss")["at"] - killed < 450 * MS  # 250, and a machine that stands still


def test_a_named_keyboard_is_found_lost_and_found_again(jack: JackServer) -> None:
    hearer = Hearer(jack, name="clavier")
    assert "clavier" in hearer.wait("state", state="waiting")["why"]
    keys = Keys(jack, "Clavier")
    hearer.wait("state", state="open")
    keys.play("903c64")
    assert hearer.wait("heard")["data"] == "903c64"
    keys.kill()
    hearer.wait("loss")
    hearer.wait("state", state="waiting")
    keys = Keys(jack, "Clavier")
    hearer.wait("state", state="open")
    keys.play("904064")
    assert hearer.wait("heard")["data"] == "904064"
    keys.kill()
    assert hearer.end() == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_an_ear_that_dies_or_hangs_has_let_go_and_hears_again(
    jack: JackServer, keys: Keys, how: signal.Signals
) -> None:
    hearer = Hearer(jack, name="virtual")
    pid = hearer.wait("state", state="open")["pid"]
    jack.connect(keys.port, IN)
    keys.play("903c64")
    hearer.wait("heard")
    time.sleep(0.15)
    os.kill(pid, how)
    killed = time.monotonic_ns()
    assert hearer.wait("loss")["at"] - killed < 450 * MS
    hearer.wait("state", state="open")
    limit = time.monotonic() + 3
    while IN not in jack.run("jack_lsp", "-c", keys.port):  # the cable is plugged in again
        assert time.monotonic() < limit
        time.sleep(0.02)
    keys.play("904064")
    assert hearer.wait("heard")["data"] == "904064"
    assert hearer.end() == 0


def test_what_comes_back_in_a_loop_is_muted(virtual: Hearer, keys: Keys) -> None:
    for _ in range(600):
        keys.play("903c64")
    assert "lead back" in virtual.wait("state", state="muted")["why"]


def test_the_server_may_die_and_come_back(jack: JackServer) -> None:
    hearer = Hearer(jack, name="virtual")
    hearer.wait("state", state="open")
    jack.kill()
    hearer.wait("loss")
    jack.start()
    hearer.wait("state", patience=10, state="open")
    keys = Keys(jack, "again")
    jack.connect(keys.port, IN)
    keys.play("903c64")
    assert hearer.wait("heard")["data"] == "903c64"
    keys.kill()
    assert hearer.end() == 0
