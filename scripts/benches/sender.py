"""Our side of the timing measurements: a player in a process of its own, quiet or busy."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import selectors
import sys
import threading
import time
from pathlib import Path

from server.concert.clock import RealClock
from server.concert.player import Player
from server.concert.transport import HORIZON
from server.ensemble.rack import Rack
from server.score.scene import load_scene, parse_scene, routed
from server.wire.link import Link


def scene_text(parts: int, tempo: float, rules: str = "S -> 1:1/16") -> str:
    """So many parts, each with a note on every sixteenth."""
    tables = "\n".join(
        f'[parts.p{n}]\nengine = "grammar"\nrules = "{rules}"\n' for n in range(parts)
    )
    return f"tempo = {tempo}\n{tables}"


def conducted_text(tempo: float) -> str:
    """Eight parts on sixteenths and one with chords, under a conductor who has all to decide."""
    roles = ("melody", "lead", "counter", "bass", "comp", "arp", "drums", "percussion")
    tables = [
        f"tempo = {tempo}\nbrightness = true\n[mood]\nmodes = true\nchords = true\n"
        "[form.sections.A]\nbars = 8\nenergy = [0.4, 0.8]\n"
        "[form.sections.B]\nbars = 8\nenergy = 0.6\nup = 2\n"
        '[parts.pad]\nrole = "pad"\nengine = "grammar"\nvoices = 1\n'
        'rules = "S -> ton:1/1 sub:1/1 tp:1/2 n2:1/2 dom:1/1"\n'
    ]
    for role in roles:
        drums = role in ("drums", "percussion")
        rules = "S -> Kick:1/16 Hat:1/16" if drums else "S -> c1:1/16 c3:1/16 c5:1/16 2:1/16"
        fit = "" if drums else 'fit = "chord"\n'
        tables.append(
            f'[parts.{role}]\nrole = "{role}"\nengine = "grammar"\nrules = "{rules}"\n{fit}'
        )
    return "\n".join(tables)


def think_hard(done: threading.Event) -> None:
    """Compute in Python without a pause, as an engine that thinks hard would."""
    value = 1
    while not done.is_set():
        for _ in range(10_000):
            value = (value * 6364136223846793005 + 1442695040888963407) % 2**64


async def main() -> None:
    """Play for some seconds to a UDP port, then say what it cost."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--parts", type=int, default=16)
    ask.add_argument("--tempo", type=float, default=240)
    ask.add_argument("--seconds", type=float, default=12)
    ask.add_argument("--port", type=int, required=True)
    ask.add_argument("--busy", action="store_true")
    ask.add_argument("--horizon-ms", type=int, default=HORIZON // 10**6)
    ask.add_argument("--scene", type=Path, help="instead of equal parts")
    ask.add_argument("--conducted", action="store_true", help="eight parts under a conductor")
    options = ask.parse_args()
    link = Link()
    await link.start()
    horizon = options.horizon_ms * 10**6
    player = Player(RealClock(), lambda ids: Rack({"osc": link}, ids), horizon=horizon)
    conducted, tempo = options.conducted, options.tempo
    text = conducted_text(tempo) if conducted else scene_text(options.parts, tempo)
    scene = load_scene(options.scene) if options.scene else parse_scene(text)
    scene = routed(scene, "none", (f"127.0.0.1:{options.port}",))
    player.cue(scene)
    await asyncio.sleep(0.3)
    gc.collect()
    gc.freeze()
    done = threading.Event()
    if options.busy:
        threading.Thread(target=think_hard, args=(done,), daemon=True).start()
    player.play()
    before, began = _cpu(link.pid), time.monotonic()
    await player.run(lambda: time.monotonic() - began >= options.seconds)
    after = _cpu(link.pid)
    player.stop()
    done.set()
    await link.close()
    spent = {key: (after[key] - before[key]) / options.seconds for key in after}
    json.dump(spent, sys.stdout)


def _cpu(wire: int) -> dict[str, float]:
    """Processor seconds so far of the planner and of the wire."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path(f"/proc/{wire}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = (int(fields[11]) + int(fields[12])) / 100
    return {"planner": own.ru_utime + own.ru_stime, "wire": ticks}


if __name__ == "__main__":
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(main())
