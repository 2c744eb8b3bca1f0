"""How well we follow: our notes against the source's own beats.

*MIDI clock*: a process sends a clock through JACK, each pulse strayed evenly by up to so many ms,
and knows where it would have been; our notes, a sixteenth apart, go to a UDP socket (kernel
stamps). `cable` is by how much they come later than the ideal grid in the middle, which JACK (twice
its period of 1.33 ms at most) and the driver's share of the straying make; errors are around that.
`first` is the first note against the first pulse, less the cable. `step` is the largest difference
of one sixteenth from the ideal one. Two bars of settling are left out, but for `first`.

*Link*: another member, in a network of its own, says several hundred times a second where it is;
errors are our notes against its sixteenths. `jumps` are notes that are not one sixteenth after the
one before, by more than a quarter.
"""

from __future__ import annotations

import argparse
import bisect
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from pythonosc.udp_client import SimpleUDPClient

from tests.rigs.jack import ROOT, JackServer

from .lan import again_inside, inside
from .receiver import Receiver, quantile
from .show import Show, grid_scene, table

CLOCK = "Componium clock:clock"
CONTROL = 18_321
CLOCKS: dict[str, dict[str, Any]] = {
    "120 bpm, exact": {"ms": 0, "tempi": [[0, 120]]},
    "120 bpm, ± 2 ms": {"ms": 2, "tempi": [[0, 120]]},
    "84 bpm, ± 2 ms": {"ms": 2, "tempi": [[0, 84]]},
    "174 bpm, ± 2 ms": {"ms": 2, "tempi": [[0, 174]]},
    "± 2 ms, 1 s without": {"ms": 2, "tempi": [[0, 120]], "gap": [24, 26]},
    "± 2 ms, 120 then 132": {"ms": 2, "tempi": [[0, 120], [24, 132]]},
}


def wall_offset() -> int:
    """Wall time less monotonic time, in ns."""
    pairs = []
    for _ in range(20):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        pairs.append((after - before, wall - (before + after) // 2))
    return min(pairs)[1]


def notes(receiver: Receiver, offset: int) -> list[int]:
    """Monotonic ns of each note that arrived."""
    return [each.ns - offset for each in receiver.stop() if b"/note" in each.data]


def clock(folder: Path, jack: JackServer, wish: dict[str, Any], beats: int) -> list[str]:
    """One row."""
    scene = folder / "clock.toml"
    scene.write_text(grid_scene(1, 120, "S -> 1:1/16"))
    receiver = Receiver()
    target = f"127.0.0.1:{receiver.port}"
    options = ("--midi", "none", "--osc", target, "--control", "0", "--sync", "midi:virtual")
    show = Show(folder, scene, *options, jack=jack)
    text = json.dumps({"seed": 1, "beats": beats, **wish})
    pulser = jack.python("scripts.benches.pulser", "pulser", text)
    assert pulser.stdin is not None and pulser.stdout is not None
    try:
        pulser.stdout.readline()
        jack.connect("pulser:out", CLOCK, 10)
        time.sleep(0.3)
        pulser.stdin.write("go\n")
        pulser.stdin.flush()
        ideal = json.loads(pulser.stdout.readline())
    finally:
        show.end()
        pulser.kill()
        pulser.communicate()
    heard = notes(receiver, wall_offset())
    if len(heard) < 40:
        raise RuntimeError(f"only {len(heard)} notes: {(folder / 'show.log').read_text()}")
    grid = ideal[::6]
    rows = list(zip(heard, grid, strict=False))
    late = [(at - due) / 1e6 for at, due in rows]
    settled = late[32:]
    cable = quantile(settled, 0.5)
    errors = [abs(each - cable) for each in settled]
    steps = [abs(after - before) for before, after in pairwise(settled)]
    cells = [len(rows), f"{cable:.2f}", f"{quantile(errors, 0.5):.2f}"]
    cells += [f"{quantile(errors, 0.99):.2f}", f"{max(errors):.2f}", f"{max(steps):.2f}"]
    return [*map(str, cells), f"{late[0] - cable:+.2f}"]


def linked(folder: Path, seconds: float, changes: list[str], own: list[tuple[float, float]]) -> Any:
    """One row: the peer's changes as AT:BPM, and ours."""
    scene = folder / "link.toml"
    scene.write_text(grid_scene(1, 97, "S -> 1:1/16"))
    peer = subprocess.Popen(
        [sys.executable, "-m", "scripts.benches.linker", "120", str(seconds), *changes],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert peer.stdout is not None
    peer.stdout.readline()
    began = time.monotonic()
    time.sleep(1)
    receiver = Receiver()
    options = ("--midi", "none", "--osc", f"127.0.0.1:{receiver.port}", "--sync", "link")
    show = Show(folder, scene, *options, "--control", str(CONTROL))
    try:
        for at, bpm in own:
            time.sleep(max(began + at - time.monotonic(), 0))
            SimpleUDPClient("127.0.0.1", CONTROL).send_message("/componium/tempo", float(bpm))
        rows = json.loads(peer.stdout.read())
    finally:
        show.end()
        peer.kill()
        peer.wait()
    stamps = [row[0] for row in rows]
    errors, places = [], []
    for at in notes(receiver, wall_offset()):
        nth = bisect.bisect(stamps, at)
        if not 0 < nth < len(rows) or at > stamps[-1] - 200_000_000:
            continue
        (a, b, tempo, _), (c, d, *_) = rows[nth - 1], rows[nth]
        beat = b + (d - b) * (at - a) / (c - a)
        places.append(beat)
        errors.append(abs((beat * 4 + 0.5) % 1 - 0.5) / 4 * 60_000 / tempo)
    gaps = [after - before for before, after in pairwise(places)]
    jumps = sum(abs(gap * 4 - 1) > 0.25 for gap in gaps)
    tempi = list(dict.fromkeys(round(row[2]) for row in rows))
    cells = [len(errors), "→".join(map(str, tempi)), f"{quantile(errors, 0.5):.3f}"]
    cells += [f"{quantile(errors, q):.2f}" for q in (0.99, 1.0)]
    return [*map(str, cells), str(jumps)]


def link_table(folder: Path, seconds: float) -> str:
    head = ["session", "notes", "tempi", "p50 ms", "p99", "max", "jumps"]
    third = seconds / 3
    rows = [
        ["steady", *linked(folder, seconds, [], [])],
        ["the other changes", *linked(folder, seconds, [f"{third}:126", f"{2 * third}:110"], [])],
        ["we change", *linked(folder, seconds, [], [(third, 126), (2 * third, 110)])],
        ["a big step", *linked(folder, seconds, [f"{third}:170"], [(2 * third, 90)])],
    ]
    return table(head, rows)


def main(argv: list[str]) -> None:
    """Print the tables."""
    ask = argparse.ArgumentParser(prog="bench sync", description=__doc__)
    ask.add_argument("--beats", type=int, default=64, help="of each MIDI clock")
    ask.add_argument("--seconds", type=float, default=45, help="of each Link session")
    ask.add_argument("--only", choices=("midi", "link"))
    options = ask.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if inside():
            print(link_table(folder, options.seconds))
            return
        if options.only != "link":
            rows = []
            for what, wish in CLOCKS.items():
                with JackServer(folder) as jack:
                    rows.append([what, *clock(folder, jack, wish, options.beats)])
            head = ["MIDI clock", "notes", "cable ms", "p50 ms", "p99", "max", "step", "first"]
            print(table(head, rows), flush=True)
        if options.only != "midi":
            raise SystemExit(again_inside("sync", "--seconds", f"{options.seconds:g}"))
