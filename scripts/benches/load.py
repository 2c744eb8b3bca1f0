"""What the server carries: notes a second with p99 within 1 ms, and the cost of a plain scene.

The notes come from forty parts, evenly spread, one at a time or in chords of four, each with
its end; the planner looks 400 ms ahead (`--horizon-ms 400`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from .receiver import ROOT, Receiver, quantile
from .sender import scene_text


def sustained(rate: int, seconds: float, voices: int) -> str:
    """A row: so many notes a second, each with its end, in chords spread evenly over time."""
    # Forty parts, each a note every 40/rate seconds, entering one after another.
    parts = 40
    with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
        file.write(_spread(parts, rate, voices))
    receiver = Receiver()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.benches.sender", "--port", str(receiver.port)),
            *("--seconds", str(seconds), "--scene", file.name, "--horizon-ms", "400"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    Path(file.name).unlink()
    arrivals = [arrival for arrival in receiver.stop() if b"/note\0" in arrival.data]
    if not arrivals:
        return f"| {rate:,} | {voices} | nothing arrived: {done.stderr[-300:]} |"
    stamps = [arrival.ns for arrival in arrivals]
    begin = stamps[0] + 1_000_000_000
    stamps = [stamp for stamp in stamps if stamp >= begin]
    if not stamps or not done.stdout:
        return f"| {rate:,} | {voices} | not sustained: {done.stderr.strip()[-120:]!r} |"
    # The best-fitting exact grid: each chord has a slot of its own, by its count, not by its
    # time, so that what is late by more than a slot is seen to be.
    step = 1e9 * voices / rate
    offsets = [stamp - number // voices * step for number, stamp in enumerate(stamps)]
    middle = sorted(offsets)[len(offsets) // 2]
    errors = [abs(offset - middle) / 1000 for offset in offsets]
    real = len(stamps) / ((stamps[-1] - stamps[0]) / 1e9)
    spent = json.loads(done.stdout)
    return (
        f"| {rate:,} | {voices} | {real:,.0f} | {quantile(errors, 0.5):,.0f} "
        f"| {quantile(errors, 0.99):,.0f} "
        f"| {max(errors):,.0f} | {spent['planner']:.0%} | {spent['wire']:.0%} |"
    )


def _spread(parts: int, rate: int, voices: int) -> str:
    # At 480 BPM a whole note is half a second; part n starts n/rate seconds late, by a rest.
    whole = Fraction(1, 2)
    value = Fraction(parts * voices, rate) / whole
    chord = "+".join(["1", "3", "5", "7"][:voices])
    tables = [
        f'[parts.p{n}]\nengine = "grammar"\ngate = 0.5\n'
        f'rules = """\nS -> {f"Rest:{Fraction(n * voices, rate) / whole} " if n else ""}Go\n'
        f'Go -> {chord}:{value} Go\n"""\n'
        for n in range(parts)
    ]
    return "tempo = 480\n" + "\n".join(tables)


PLAIN = """
tempo = 120
[parts.pad]
engine = "grammar"
rules = "S -> I:1/1 vi:1/1 IV:1/1 V7:1/1"
[parts.bass]
engine = "grammar"
octave = 2
rules = "S -> c1:1/4 c5:1/4 c1:1/4 c3:1/4"
[parts.melody]
engine = "grammar"
rules = "S -> c1:1/8 | c2:1/8 | c3:1/8 | c5:1/8 | Rest:1/8"
[parts.drums]
engine = "grammar"
rules = "S -> Kick:1/8 Hat:1/8 Snare:1/8 Hat:1/8"
"""


def main(argv: list[str]) -> None:
    """Print the tables."""
    ask = argparse.ArgumentParser(prog="bench load", description=__doc__)
    ask.add_argument("--seconds", type=float, default=10)
    ask.add_argument("--rates", type=int, nargs="*", default=[2_000, 5_000, 10_000, 15_000])
    options = ask.parse_args(argv)
    print("| notes/s asked | at once | arrived/s | p50 µs | p99 | max | planner | wire |")
    print("|---|---|---|---|---|---|---|---|")
    for rate in options.rates:
        for voices in (1, 4):
            print(sustained(rate, options.seconds, voices), flush=True)
    for name, text in (
        ("pad, bass, melody, drums", PLAIN),
        ("all on sixteenths", scene_text(4, 120)),
    ):
        spent = cost(text, options.seconds * 2)
        total = spent["planner"] + spent["wire"]
        print(f"\nFour parts at 120 BPM, {name}: planner {spent['planner']:.2%}, ", end="")
        print(f"wire {spent['wire']:.2%}, together {total:.2%} of a core")


def cost(text: str, seconds: float) -> dict[str, float]:
    """Shares of a core that planner and wire take while a scene plays."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml", delete=False) as file:
        file.write(text)
    receiver = Receiver()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "scripts.benches.sender", "--port", str(receiver.port)),
            *("--scene", file.name, "--seconds", str(seconds)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    receiver.stop()
    Path(file.name).unlink()
    spent: dict[str, float] = json.loads(done.stdout)
    return spent
