"""A bare timer beside a measurement: how much the machine itself stalls meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time

from .receiver import ROOT

NAP = 1_000_000  # ns


class Timer:
    """A process that sleeps a millisecond at a time until `stop`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benches.timer"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> float:
        """The longest that one sleep was too long, ms."""
        said, _ = self._process.communicate("stop\n")
        return float(said)

    def lately(self) -> float:
        """The longest since this was asked the last time, ms."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("lately\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def watch() -> None:
    """Sleep, and tell the worst when it is asked for on standard input."""
    from select import select

    worst = lately = 0
    while True:
        before = time.monotonic_ns()
        time.sleep(NAP / 1e9)
        lately = max(lately, time.monotonic_ns() - before - NAP)
        worst = max(worst, lately)
        if select([sys.stdin], (), (), 0)[0]:
            if sys.stdin.readline() != "lately\n":
                break
            print(lately / 1e6, flush=True)
            lately = 0
    print(worst / 1e6)


if __name__ == "__main__":
    watch()
