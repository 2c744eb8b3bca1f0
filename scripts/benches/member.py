"""A member of a Link session in a process of its own, which answers how the session is.

`python -m scripts.benches.member BPM` joins and prints "ready"; for each line that comes in it
prints JSON: monotonic ns, the beat then, the tempo, and how many others there are. A number in the
line is another tempo, which it asks for first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import NamedTuple

from .receiver import ROOT


class Seen(NamedTuple):
    """The session at a moment. at: monotonic ns."""

    at: int
    beat: float
    tempo: float
    peers: int

    def off(self, at: int, grid: float = 0.25) -> float:
        """By how many ms a moment is beside the session's nearest multiple of so many beats."""
        beat = self.beat + (at - self.at) / 60e9 * self.tempo
        return abs((beat / grid + 0.5) % 1 - 0.5) * grid * 60_000 / self.tempo


class Member:
    """Joins a session at once, with a tempo for those who come later."""

    def __init__(self, bpm: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benches.member", f"{bpm:g}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._said()

    def look(self) -> Seen:
        """How the session is now."""
        return self._say("")

    def ask(self, bpm: float) -> Seen:
        """Ask the session for another tempo; how it is then."""
        return self._say(f"{bpm:g}")

    def _say(self, line: str) -> Seen:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return Seen(*json.loads(self._said()))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def main(bpm: float) -> None:
    import link

    session = link.Link(bpm)
    session.enabled = True
    clock = session.clock()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip():
            state = session.captureAppSessionState()
            state.setTempo(float(line), clock.micros())
            session.commitAppSessionState(state)
        gap = 1 << 62
        for _ in range(20):
            before = time.monotonic_ns()
            micros = clock.micros()
            after = time.monotonic_ns()
            if after - before < gap:
                gap, at, then = after - before, (before + after) // 2 - 500, micros
        state = session.captureAppSessionState()
        beat = state.beatAtTime(then, 4.0)
        print(json.dumps([at, beat, state.tempo(), session.numPeers()]), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
