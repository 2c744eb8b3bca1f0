"""How exactly MIDI leaves: through JACK's dummy driver at 64 frames, into a receiver.

A stream of single notes, and 16 parts at once: a note each on every sixteenth at 240 BPM. Error
is the distance from the best-fitting grid of the moment at which JACK hands a message over; a
period is 1.33 ms, and a message can only leave at the beginning of one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.rigs.jack import JackServer

from .ear import Ear, balance
from .receiver import grid_errors, quantile
from .show import Show, grid_scene, table

STEP = 62.5e6  # ns
PERIOD = 64 / 48_000 * 1e9  # ns
HEAD = ["notes at once", "p50 ms", "p99", "p99.9", "max", "bar", "lost", "stuck"]


def measure(folder: Path, jack: JackServer, ear: Ear, parts: int, bars: int) -> list[str]:
    """One row of the table. A bar takes a second."""
    scene = folder / "scene.toml"
    scene.write_text(grid_scene(parts, 240, "S -> 1:1/16 | 3:1/16 | 5:1/16"))
    show = Show(folder, scene, "--midi", ear.name, "--control", "0", "--bars", str(bars), jack=jack)
    show.wait(patience=bars + 10)
    time.sleep(0.2)
    heard = ear.take()
    kept = balance(heard)
    stamps = [message.at for message in heard if message.on]
    errors = [abs(error) / 1e6 for error in grid_errors(stamps, STEP)]
    shares = [f"{quantile(errors, q):.2f}" for q in (0.5, 0.99, 0.999)]
    lost = 2 * bars * 16 * parts - kept.ons - kept.offs
    bar = f"≤ {1.5 * PERIOD / 1e6:.2f}"
    most = f"{max(errors, default=float('nan')):.2f}"
    return [str(parts), *shares, most, bar, str(lost), str(len(kept.sounding))]


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench midi", description=__doc__)
    ask.add_argument("--bars", type=int, default=20, help="a bar takes a second")
    options = ask.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, JackServer(Path(name)) as jack:
        ear = Ear(jack)
        try:
            rows = [measure(Path(name), jack, ear, parts, options.bars) for parts in (1, 16)]
        finally:
            ear.close()
    print(table(HEAD, rows))
