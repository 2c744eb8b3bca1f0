"""Somebody who joins a JACK server again and again, just as others leave it.

`python -m tests.rigs.newcomer TIMES` prints how often somebody who had left was still known after
joining: their number's next owner would never be woken by us, nor we by theirs.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

from server.wire.jack import Server


def haunted() -> bool:
    """Whether this process holds the semaphore of a client that is gone."""
    return any("/jack_sem." in line and line.endswith("(deleted)") for line in maps())


def maps() -> list[str]:
    return Path("/proc/self/maps").read_text().splitlines()


def main(times: int) -> None:
    wrong = 0
    for _ in range(times):
        with subprocess.Popen(["jack_lsp"], stdout=subprocess.DEVNULL) as other:
            time.sleep(random.uniform(0, 0.02))  # it joins, and leaves, within so long
            server = Server("newcomer")
            other.wait()
        time.sleep(0.005)  # its leaving may still be on its way
        wrong += haunted()
        server.close()
    print(wrong, flush=True)
    os._exit(0)  # libjack's threads may not outlive its objects


if __name__ == "__main__":
    main(int(sys.argv[1]))
