"""Drift: a quarter note's true length over minutes of playing, and over a simulated thousand hours.

Played: 120 BPM to a UDP socket with kernel stamps. Those are of the wall clock, which may be
slewed; the socket is emptied once a second and each stamp turned into monotonic time by the
difference of the two clocks at that moment. The drift is the slope between medians over ten
seconds, so that a machine that stalls does not pass for a clock that drifts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from random import Random
from statistics import linear_regression, median

from server.music.timeline import MINUTE, Timeline
from tests.rigs.udp import Receiver

from .show import Show, grid_scene, table

STEP = 500_000_000  # ns, a quarter note at 120 BPM
BLOCK = 20  # notes whose median counts once
HEAD = ["what", "length", "result", "bar"]


def played(seconds: float) -> tuple[float, int]:
    """Drift in parts per million against the monotonic clock, and the number of notes."""
    receiver = Receiver()
    stamps: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        scene = Path(name) / "scene.toml"
        scene.write_text(grid_scene(1, 120, "S -> 1:1/4"))
        osc = f"127.0.0.1:{receiver.port}"
        options = ["--midi", "none", "--control", "0", "--osc", osc]
        show = Show(Path(name), scene, *options)
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                time.sleep(1)
                stamps += [one.at for one in receiver.drain() if b"/note" in one.data]
        finally:
            show.end()
            receiver.close()
    return slope([stamp - stamps[0] for stamp in stamps]), len(stamps)


def slope(moments: list[int]) -> float:
    """By how many millionths a step of these arrivals is longer than it should be."""
    errors = [(STEP * round(at / STEP), at - STEP * round(at / STEP)) for at in moments]
    blocks = [errors[first : first + BLOCK] for first in range(0, len(errors), BLOCK)]
    whole = [block for block in blocks if len(block) == BLOCK]
    ideal = [median(at for at, _ in block) for block in whole]
    error = [float(median(late for _, late in block)) for block in whole]
    return linear_regression(ideal, error).slope * 1e6


def simulated(changes: int, hours: int) -> tuple[float, float]:
    """The worst error in ns of a timeline with so many changes of tempo, against exact sums.

    And how many hours it came to.
    """
    rng, truth, at = Random(1821), Fraction(0), Fraction(0)
    line, bpm, worst = Timeline.starting(120), 120.0, 0.0
    mean = hours * 3600 / changes  # seconds between two changes
    for _ in range(changes):
        step = Fraction(rng.randrange(1, 2 * 96), 96) * Fraction(round(mean * bpm)) / 60
        truth += step * MINUTE / Fraction(bpm)
        truth = Fraction(round(truth * 2**40), 2**40)  # or its numbers would grow for ever
        at += step
        worst = max(worst, abs(float(line.ns_at(at) - truth)))
        bpm = rng.uniform(20, 999)
        line = line.with_tempo(bpm, at)
    return worst, float(truth) / 3600e9


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench drift", description=__doc__)
    ask.add_argument("--seconds", type=float, default=600)
    ask.add_argument("--hours", type=int, default=1000)
    ask.add_argument("--changes", type=int, default=100_000)
    options = ask.parse_args(argv)
    drift, notes = played(options.seconds)
    worst, hours = simulated(options.changes, options.hours)
    length = f"{hours:,.0f} h, {options.changes:,} changes of tempo"
    rows = [
        ["played", f"{options.seconds:g} s, {notes} notes", f"{drift:+.3f} ppm", "≤ 1 ppm"],
        ["simulated", length, f"{worst:.1f} ns", "< 1000 ns"],
    ]
    print(table(HEAD, rows))
