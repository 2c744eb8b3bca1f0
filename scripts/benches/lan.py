"""A network of its own for a measurement with Link, so that no other session is met.

Link finds its peers by multicast; here there is loopback alone, and it carries that.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from .receiver import ROOT

INSIDE = "COMPONIUM_BENCH_INSIDE"
SPELL = "ip link set lo up; ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo; exec "


def inside() -> bool:
    """Whether we are in it already."""
    return INSIDE in os.environ


def again_inside(*words: str) -> int:
    """Run `scripts/bench` with these words there; its status.

    What it prints is printed, without its head.
    """
    user = [] if os.geteuid() == 0 else ["-r"]
    command = shlex.join([sys.executable, "-m", "scripts.benches", *words])
    with subprocess.Popen(
        ["unshare", *user, "-n", "sh", "-c", SPELL + command],
        cwd=ROOT,
        env={**os.environ, INSIDE: "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            for number, line in enumerate(process.stdout):
                if number > 1:
                    print(line, end="", flush=True)
        except BaseException:  # whoever ends us ends it
            process.terminate()
            raise
    return process.returncode
