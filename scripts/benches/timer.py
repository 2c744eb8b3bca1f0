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


def watch() -> None:
    """Sleep until something is said on standard input, then tell the worst."""
    from select import select

    worst = 0
    while not select([sys.stdin], (), (), 0)[0]:
        before = time.monotonic_ns()
        time.sleep(NAP / 1e9)
        worst = max(worst, time.monotonic_ns() - before - NAP)
    print(worst / 1e6)


if __name__ == "__main__":
    watch()
