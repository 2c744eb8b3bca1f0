"""How many bands one server holds: four parts each at 120 BPM, and how exactly their notes leave.

The bands are opened one after another by OSC, as a game would; all send to one UDP socket on
loopback. A note's error is its distance from its own part's best-fitting grid, by the kernel's
arrival stamp; *here* is the share of notes that have come, of the parts that never rest. Bar: p99
at most 1 ms with 100 bands. The machine's load is told, as is a bare timer.

With `--reload` all bands go over to another text of their scene while they are measured: their file
is saved, or each is asked for the scene, all at once. One part has another name in it, so that it
is seen when the last band plays it; *over s* is how long that took. No note may be lost by it.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from server.ensemble.encode import osc_message

from .load import PLAIN
from .receiver import Receiver, grid_errors, quantile
from .sender import scene_text
from .show import Show, table
from .timer import Timer

SESSION = "/componium/session"
STEADY = re.compile(rb"/part/(drums|p\d+)/")
RENAMED = {"plain": ("parts.pad", "parts.choir"), "sixteenths": ("parts.p1", "parts.choir")}
NEW = b"/choir/"
STEP = {"plain": 250e6, "sixteenths": 125e6}  # ns between the places where a note may be


def measure(
    count: int, kind: str, seconds: float, folder: Path, whole: bool = False, reload: str = ""
) -> dict[str, float]:
    """One run with so many bands: its figures. whole: with a log and a state of each.

    reload: "saved" or "asked", how they are had to read their scene again; "" for not at all.
    """
    text = PLAIN if kind == "plain" else scene_text(4, 120)
    (folder / "band.toml").write_text(text)
    control = _free_port()
    options = ["--midi", "none", "--osc", f"127.0.0.1:{_free_port()}"]
    kept = (folder / "band.log", folder / "band.json") if whole else ("none", "none")
    options += ["--log", str(kept[0]), "--state", str(kept[1])]
    show = Show(folder, folder / "band.toml", "--control", str(control), *options)
    receiver = Receiver()
    timer: Timer | None = None
    try:
        opened = _open_all(count, control, receiver.port, show)
        time.sleep(1)
        timer = Timer()
        began, before = time.time_ns(), _spent(show)
        if reload:
            (folder / "band.toml").write_text(text.replace(*RENAMED[kind]))
        if reload == "asked":
            _ask_all(count, control)
        time.sleep(seconds)
        ended, after = time.time_ns(), _spent(show)
        stalled = timer.stop()
        timer = None
        rss = show.memory() / 2**20
    finally:
        show.end()
        arrivals = receiver.stop()
        if timer is not None:
            timer.stop()
    stamps: dict[bytes, list[int]] = defaultdict(list)
    over: dict[bytes, int] = {}  # when each band was first heard to play the other text
    old = RENAMED[kind][0].encode()
    for arrival in arrivals:
        address = arrival.data.partition(b"\0")[0]
        if began <= arrival.ns < ended and address.endswith(b"/note"):
            if NEW in address:
                over.setdefault(address, arrival.ns - began)
            stamps[address.replace(NEW, b"/" + old.partition(b".")[2] + b"/")].append(arrival.ns)
    steady = [each for name, each in stamps.items() if STEADY.search(name)]
    errors = [
        abs(error) / 1000 for each in stamps.values() for error in grid_errors(each, STEP[kind])
    ]
    return {
        "bands": opened,
        "heard": len({address.split(b"/")[3] for address in stamps}),
        **({"over": len(over), "over s": max(over.values(), default=0) / 1e9} if reload else {}),
        "here %": sum(map(len, steady)) / max(len(steady) * seconds * 1e9 / STEP[kind], 1) * 100,
        "notes/s": sum(map(len, stamps.values())) / seconds,
        "p50 µs": quantile(errors, 0.5),
        "p99": quantile(errors, 0.99),
        "p99.9": quantile(errors, 0.999),
        "max": max(errors, default=float("nan")),
        "planner %": (after[0] - before[0]) / seconds * 100,
        "wire %": (after[1] - before[1]) / seconds * 100,
        "MiB": rss,
        "timer max ms": stalled,
        "load": os.getloadavg()[0],
    }


def _open_all(count: int, control: int, target: int, show: Show) -> int:
    """Open bands one after another; how many were opened."""
    done = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.connect(("127.0.0.1", control))
        mouth.settimeout(0.5)
        for nth in range(count):
            asked = osc_message(f"{SESSION}/open", f"b{nth}", "band", f"127.0.0.1:{target}")
            for _ in range(40):  # it may only just be starting
                try:
                    mouth.send(asked)
                    reply = mouth.recv(4096)
                except OSError:
                    if show.process.poll() is not None:
                        raise SystemExit("the server has ended; see what it says") from None
                    time.sleep(0.1)
                    continue
                done += b"\0done\0" in reply or b"already" in reply
                break
    return done


def _ask_all(count: int, control: int) -> None:
    """Ask every band for its scene, as fast as that can be sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        for nth in range(count):
            asked = osc_message(f"{SESSION}/b{nth}/scene", "band", "bar")
            mouth.sendto(asked, ("127.0.0.1", control))


def _spent(show: Show) -> tuple[float, float]:
    """Processor seconds of the planner and of its wires."""
    return _cpu(show.pid), sum(map(_cpu, show.wires().values()))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main(argv: list[str]) -> None:
    """Print the table: the median of some runs for each number of bands."""
    ask = argparse.ArgumentParser(prog="bench bands", description=__doc__)
    ask.add_argument("--bands", type=int, nargs="*", default=[1, 50, 100, 150, 200, 250])
    ask.add_argument("--scene", choices=STEP, nargs="*", default=["plain", "sixteenths"])
    ask.add_argument("--seconds", type=float, default=8)
    ask.add_argument("--runs", type=int, default=3)
    ask.add_argument("--whole", action="store_true", help="with a log and a state of each band")
    ask.add_argument("--reload", choices=["saved", "asked"], default="", help="all of them, once")
    options = ask.parse_args(argv)
    rows = []
    for kind in options.scene:
        for count in options.bands:
            runs = []
            for _ in range(options.runs):
                with tempfile.TemporaryDirectory() as folder:
                    ways = (options.seconds, Path(folder), options.whole, options.reload)
                    runs.append(measure(count, kind, *ways))
            middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            rows.append([kind, *(f"{value:,.1f}" for value in middle.values())])
            print(rows[-1], flush=True)
    print()
    print(table(["parts", *runs[0]], rows))
