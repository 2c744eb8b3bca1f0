"""Real processes, a real JACK server and a receiver that keeps its own ledger.

What is asserted of time leaves room for a busy machine that stands still for 200 ms; the bars
themselves are judged by `scripts/bench faults`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from tests.rigs.jack import JackServer
from tests.rigs.ledger import Ledger
from tests.rigs.need import lack, need
from tests.rigs.udp import Receiver
from tests.rigs.victim import Victim

pytestmark = pytest.mark.real
MS = 1_000_000
OUT = "Componium out:out"
#: Planners killed at each length of a period.
KILLS = 20
#: Seconds after which everything on its way has arrived.
SETTLED = 0.3


def private_server(folder: Path, period: int = 64) -> JackServer:
    need("jackd", "jackd2")
    need("unshare", "util-linux")
    if find_spec("rtmidi") is None:
        lack("python-rtmidi is missing, by which the receiver hears")
    try:
        return JackServer(folder, period)
    except RuntimeError as reason:
        lack(str(reason))
        raise


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JackServer]:
    with private_server(tmp_path_factory.mktemp("jack")) as server:
        yield server


@pytest.fixture
def ledger(jack: JackServer) -> Iterator[Ledger]:
    receiver = Ledger(jack)
    yield receiver
    receiver.kill()


@pytest.fixture
def own_jack(tmp_path: Path) -> Iterator[JackServer]:
    with private_server(tmp_path) as server:
        yield server


@pytest.fixture(autouse=True)
def nobody_left() -> Iterator[None]:
    yield
    while playing:
        if (victim := playing.pop()).process.poll() is None:
            victim.kill()


playing: list[Victim] = []


def play(
    jack: JackServer, midi: str = "virtual", osc: int = 0, seed: int = 0, titles: str = "out"
) -> Victim:
    """A planner with its MIDI ports open, or waiting for them."""
    arguments = ["--midi", midi, "--titles", titles, "--osc", str(osc), "--seed", str(seed)]
    victim = Victim(jack.python("tests.rigs.planner", *arguments))
    playing.append(victim)
    for port in range(titles.count(",") + 1):
        victim.wait_for(what="state", kind="midi", port=port)
    return victim


def sounding(ledger: Ledger, ons: int = 1, patience: float = 5.0) -> int:
    """Wait until so many more notes were heard; how many there were."""
    start = ledger.report().ons
    limit = time.monotonic() + patience
    while (heard := ledger.report().ons) < start + ons:
        assert time.monotonic() < limit, f"only {heard - start} of {ons} notes were heard"
        time.sleep(0.01)
    return heard


def test_who_joins_as_another_leaves_knows_that_they_are_gone(jack: JackServer) -> None:
    assert jack.run(sys.executable, "-m", "tests.rigs.newcomer", "30") == "0\n"


def test_every_note_is_ended_when_the_planner_ends(jack: JackServer, ledger: Ledger) -> None:
    victim = play(jack)
    jack.connect(OUT, ledger.port)
    sounding(ledger, 100)
    assert victim.end() < 1.5
    time.sleep(SETTLED)
    report = ledger.report()
    assert report.sounding == []
    assert (report.ons - report.doubles, report.doubles) == (report.offs - report.strays, 0)
    assert victim.process.returncode == 0


def test_a_killed_planner_is_silenced(jack: JackServer, ledger: Ledger) -> None:
    for seed in range(5):
        victim = play(jack, seed=seed)
        jack.connect(OUT, ledger.port)
        sounding(ledger, 5)
        time.sleep(random.Random(seed).uniform(0, 0.2))
        at = victim.kill()
        time.sleep(0.5)
        report = ledger.report()
        assert report.sounding == [], f"stuck with seed {seed}"
        assert report.last_off - at < 400 * MS


def test_a_stopped_planner_is_silenced_and_resumes(jack: JackServer, ledger: Ledger) -> None:
    victim = play(jack)
    jack.connect(OUT, ledger.port)
    for seed in range(3):
        sounding(ledger, 5)
        time.sleep(random.Random(seed).uniform(0, 0.2))
        at = victim.stop()
        time.sleep(0.8)
        report = ledger.report()
        assert report.sounding == [], f"stuck with seed {seed}"
        assert report.last_off - at < 700 * MS
        victim.resume()
        victim.wait_for(what="silenced", since=at)
    sounding(ledger, 5)
    victim.end()
    time.sleep(SETTLED)
    assert ledger.report().sounding == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_dead_or_hung_wire_is_replaced(
    jack: JackServer, ledger: Ledger, how: signal.Signals
) -> None:
    victim = play(jack)
    jack.connect(OUT, ledger.port)
    for seed in range(3):
        sounding(ledger, 20)
        victim.wait_for(what="state", state="open", kind="midi")
        time.sleep(random.Random(seed).uniform(0.1, 0.3))
        at = time.monotonic_ns()
        os.kill(victim.wire("midi"), how)
        news = victim.wait_for(what="restart", since=at)
        assert news["at"] - at < (1000 if how == signal.SIGKILL else 2000) * MS
        sounding(ledger, 5)  # same name, same connections
    victim.end()
    time.sleep(SETTLED)
    assert ledger.report().sounding == []


def longest_silence(receiver: Receiver) -> int:
    times = [arrival.at for arrival in receiver.drain()]
    return max(later - earlier for earlier, later in pairwise(times))


def test_the_server_dies_and_returns_while_osc_plays(own_jack: JackServer) -> None:
    receiver = Receiver()
    ledger = Ledger(own_jack)
    victim = play(own_jack, osc=receiver.port)
    own_jack.connect(OUT, ledger.port)
    sounding(ledger, 50)
    receiver.drain()
    at = time.monotonic_ns()
    own_jack.kill()
    victim.wait_for(what="state", state="lost", since=at)
    ledger.kill()
    victim.wait_for(what="state", state="waiting", kind="midi", since=at)
    time.sleep(1)
    back = time.monotonic_ns()
    own_jack.start()
    victim.wait_for(what="state", state="open", kind="midi", since=back)
    ledger = Ledger(own_jack)
    sounding(ledger, 20)  # connected again by itself
    assert longest_silence(receiver) < 500 * MS
    victim.end()
    time.sleep(SETTLED)
    assert ledger.report().sounding == []
    ledger.kill()
    receiver.close()


def test_the_server_freezes_while_osc_plays(own_jack: JackServer) -> None:
    receiver = Receiver()
    ledger = Ledger(own_jack)
    victim = play(own_jack, osc=receiver.port)
    own_jack.connect(OUT, ledger.port)
    sounding(ledger, 50)
    receiver.drain()
    at = time.monotonic_ns()
    own_jack.freeze()
    victim.wait_for(what="state", state="lost", kind="midi", since=at)
    time.sleep(2)
    own_jack.thaw()
    back = time.monotonic_ns()
    victim.wait_for(what="state", state="open", kind="midi", since=back)
    sounding(ledger, 20)
    assert longest_silence(receiver) < 500 * MS
    own_jack.freeze()
    time.sleep(0.2)
    assert victim.end() < 2
    own_jack.thaw()
    ledger.kill()
    receiver.close()


def test_an_existing_port_comes_and_goes(jack: JackServer) -> None:
    victim = play(jack, midi="synth")
    victim.wait_for(what="state", state="waiting", kind="midi")
    synth = Ledger(jack, "Soft Synth")
    sounding(synth, 10)
    at = time.monotonic_ns()
    synth.kill()
    victim.wait_for(what="state", state="waiting", since=at)
    synth = Ledger(jack, "Soft Synth")
    sounding(synth, 10)
    for _ in range(3):  # back so soon that there was hardly a moment without the port
        synth.kill()
        synth = Ledger(jack, "Soft Synth")
        sounding(synth, 10)
    victim.end()
    time.sleep(SETTLED)
    assert synth.report().sounding == []
    synth.kill()


@pytest.mark.parametrize("way", ["out", "in"])
def test_no_other_port_is_opened_where_one_goes_meanwhile(jack: JackServer, way: str) -> None:
    opener = jack.python("tests.rigs.opener", way)
    said, _ = opener.communicate(timeout=20)
    assert json.loads(said) == ["second:port"]


# Long periods: what is sent last is read up to two of them later -----------------------------


@pytest.mark.parametrize("period", [1024, 4096])
def test_a_killed_planner_is_silenced_however_long_a_period_is(tmp_path: Path, period: int) -> None:
    with private_server(tmp_path, period) as jack:
        ledger = Ledger(jack)
        for seed in range(KILLS):
            victim = play(jack, seed=seed)
            jack.connect(OUT, ledger.port)
            sounding(ledger, 5)
            time.sleep(random.Random(seed).uniform(0, 0.2))
            at = victim.kill()
            time.sleep(0.3 + 4 * period / 48_000)
            report = ledger.report()
            assert report.sounding == [], f"stuck with seed {seed}"
            assert report.last_off - at < (400 + 3 * period // 48) * MS
        ledger.kill()


def gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked how."""
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_many_ports_are_silenced_and_closed_in_time(tmp_path: Path) -> None:
    titles = ["one", "two", "three", "four"]
    with private_server(tmp_path, 4096) as jack:
        ledger = Ledger(jack)
        for end in (Victim.kill, Victim.end):
            victim = play(jack, titles=",".join(titles))
            for title in titles:
                jack.connect(f"Componium {title}:{title}", ledger.port)
            sounding(ledger, 30)
            wire, at = victim.wire("midi"), time.monotonic()
            end(victim)
            assert time.monotonic() - at < 1.5
            time.sleep(0.3)
            assert ledger.report().sounding == []
            time.sleep(2)
            assert gone(wire)
            assert all("Componium" not in port for port in jack.ports())
        ledger.kill()


# Names ----------------------------------------------------------------------------------------


def own_ports(jack: JackServer) -> set[str]:
    return {port for port in jack.ports() if port.startswith("Componium")}


@pytest.mark.parametrize("titles", ["melody,low drums", "low drums,melody"])
def test_ports_are_named_after_their_parts_whatever_the_order(
    jack: JackServer, ledger: Ledger, titles: str
) -> None:
    victim = play(jack, titles=titles)
    names = {"Componium melody:melody", "Componium low drums:low drums"}
    assert own_ports(jack) == names
    for name in names:
        jack.connect(name, ledger.port)
    sounding(ledger, 20)
    at = time.monotonic_ns()
    os.kill(victim.wire("midi"), signal.SIGKILL)
    victim.wait_for(what="restart", since=at)
    assert own_ports(jack) == names
    connected = jack.run("jack_lsp", "-c", ledger.port).splitlines()[1:]
    assert {line.strip() for line in connected} == names
    victim.end()
    time.sleep(SETTLED)
    assert ledger.report().sounding == []


def test_names_are_cut_where_jack_takes_no_longer_ones(jack: JackServer) -> None:
    title = "a" * 64
    victim = play(jack, titles=title)
    assert own_ports(jack) == {f"Componium {title[:50]}:{title}"}
    other = play(jack, titles=title)  # beside another one that lives
    assert own_ports(jack) == {
        f"Componium {title[:50]}:{title}",
        f"Componium {title[:50]} 2:{title}",
    }
    other.end()
    victim.end()
