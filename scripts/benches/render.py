"""How much faster than real time a scene renders, through the very code that plays it live."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from server.cli import render_scene
from server.scene import load_scene, shipped_scenes


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench render", description=__doc__)
    ask.add_argument("--bars", type=int, default=512)
    ask.add_argument("scenes", nargs="*", default=list(shipped_scenes()))
    options = ask.parse_args(argv)
    print("| scene | parts | notes | music s | × real time (median of 3) |")
    print("|---|---|---|---|---|")
    for name in options.scenes:
        scene = load_scene(shipped_scenes()[name])
        ratios, notes, music = [], 0, 0.0
        for _ in range(3):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                notes, music = render_scene(scene, Path(folder) / "out.mid", options.bars)
                ratios.append(music / (time.perf_counter() - began))
        ratio = statistics.median(ratios)
        print(f"| {name} | {len(scene.parts)} | {notes} | {music:.0f} | {ratio:,.0f} |", flush=True)
