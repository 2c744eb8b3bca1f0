"""A real Link session of two processes, in a network of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.need import lack, need

pytestmark = pytest.mark.real
ROOT = Path(__file__).resolve().parents[3]
LAN = "ip link set lo up; ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo; "

OTHER = """
import sys, link
other = link.Link(133.0)
other.enabled = other.startStopSyncEnabled = True
print("here", flush=True)
for line in sys.stdin:
    state = other.captureAppSessionState()
    if line == "play\\n":
        state.setIsPlaying(True, other.clock().micros())
        other.commitAppSessionState(state)
    print(round(state.tempo(), 3), state.isPlaying(), flush=True)
"""

US = """
import subprocess, sys, time
from fractions import Fraction
from server.sync.link import Peer

def until(holds):
    limit = time.monotonic() + 20
    while not holds(peer.session()):
        assert time.monotonic() < limit, peer.session()
        time.sleep(0.01)

def say(word):
    other.stdin.write(word + "\\n")
    other.stdin.flush()
    return other.stdout.readline().split()

other = subprocess.Popen([sys.executable, "-c", OTHER], stdin=-1, stdout=-1, text=True)
other.stdout.readline()
time.sleep(1)  # of two who begin within half a second Link has either win
peer = Peer(97.0, Fraction(4), True)
until(lambda now: now.peers == 1 and abs(now.course.bpm - 133) < 0.01)
assert say("tempo") == ["133.0", "False"]
say("play")
until(lambda now: now.playing)
peer.tempo(110.0, time.monotonic_ns())
until(lambda now: abs(now.course.bpm - 110) < 0.01)
time.sleep(0.5)
assert abs(float(say("tempo")[0]) - 110) < 0.01
at = peer.begin(Fraction(0), time.monotonic_ns())
here = peer.session().course
assert abs(here.ns_at(Fraction(0)) - at) < 5_000, (here, at)
peer.leave()
other.kill()
print("well")
"""


def test_a_session_is_joined_in_its_tempo_and_may_be_asked_for_another() -> None:
    if importlib.util.find_spec("link") is None:
        lack("no Link here: pip install -e '.[link]'")
    program = f"OTHER = {OTHER!r}\n{US}"
    user = [] if os.geteuid() == 0 else ["-r"]
    run = [need("unshare", "util-linux"), *user, "-n", "sh", "-c", f'{LAN} exec "$0" -c "$1"']
    need("ip", "iproute2")
    done = subprocess.run(
        [*run, sys.executable, program], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout == "well\n", done.stderr
