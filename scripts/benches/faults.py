"""Faults at random moments, and what a receiver with its own ledger hears of them.

Every trial is `componium play` in a process of its own over a private JACK server (dummy
driver, 64 frames). Times are measured at the receiver, against the monotonic moment of the
fault. A trial depends on its seed alone: `scripts/bench faults SWEEP --seed N --count 1` repeats
the one that failed with seed N.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pythonosc.osc_message import OscMessage

from tests.rigs.jack import JackServer
from tests.rigs.udp import Arrival, Receiver

from .ear import Ear, Heard, balance
from .receiver import grid_errors, quantile
from .show import Show, grid_scene, row, table, written

MS = 1_000_000
#: Overlapping notes on three channels: at any moment something sounds, often a pitch twice.
DENSE = grid_scene(3, 140, "S -> 1:1/8 | 3:1/8 | 5:1/16 1:1/16 | 4:1/4", "gate = 1.7")
#: A note on every sixteenth at 240 BPM on three channels: each has one right moment.
STEP = 62.5e6  # ns
PARTS = 3
GRID = grid_scene(PARTS, 240, "S -> 1:1/16 | 2:1/16 | 3:1/16 | 5:1/16 | 6:1/16")
#: Nearer to its moment than this, a note is where it belongs.
PUNCTUAL = 10e6  # ns
#: Bars of GRID that are written out to compare with; a second each.
LONGEST = 400


@dataclass
class Sweep:
    """The figures of one kind of fault. times: by what was timed, ms.  wrong: what must not be."""

    name: str
    trials: int = 0
    stuck: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)
    bars: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def time(self, what: str, ms: float, bar: float, seed: int) -> None:
        self.times.setdefault(what, []).append(ms)
        self.bars[what] = bar
        if ms > bar:
            self.wrong.append(f"seed {seed}: {what} after {ms:,.0f} ms")

    def silent(self, sounding: Iterable[object], seed: int) -> None:
        stuck = sorted(map(str, sounding))
        self.stuck += len(stuck)
        if stuck:
            self.wrong.append(f"seed {seed}: stuck {', '.join(stuck)}")

    def check(self, right: bool, what: str, seed: int) -> None:
        if not right:
            self.wrong.append(f"seed {seed}: {what}")

    def rows(self) -> list[list[str]]:
        rows = []
        for what, values in self.times.items():
            shares = [f"{quantile(values, q):,.1f}" for q in (0.5, 0.99)]
            bar = f"≤ {self.bars[what]:g}"
            row = [what, str(len(values)), *shares, f"{max(values):,.1f}", bar]
            rows.append(["", "", "", *row])
        rows[0][:3] = [self.name, str(self.trials), str(self.stuck)]
        return rows


HEAD = ["fault", "trials", "stuck", "time to", "of them", "p50 ms", "p99", "max", "bar"]


class Rig:
    """A JACK server, a receiver of MIDI and the two scenes, kept for many trials."""

    def __init__(self, jack: JackServer, folder: Path) -> None:
        self.jack, self.folder = jack, folder
        self.dense, self.grid = folder / "dense.toml", folder / "grid.toml"
        self.dense.write_text(DENSE)
        self.grid.write_text(GRID)
        self.ear = Ear(jack)

    def show(self, scene: Path, seed: int, *more: str, midi: str = "ear") -> Show:
        options = ["--midi", midi, "--control", "0", "--seed", str(seed), *more]
        return Show(self.folder, scene, *options, jack=self.jack)

    def begun(self, seed: int, rng: Random) -> tuple[Show, list[Heard]]:
        """A show that has played for a random while; one in five is caught as it starts."""
        self.ear.take()
        show = self.show(self.dense, seed)
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0, 1.2))
            return show, self.ear.take()
        heard = self.ear.wait()
        time.sleep(rng.uniform(0, 0.5))
        return show, heard + self.ear.take()


def kill(rig: Rig, seeds: Iterable[int]) -> Sweep:
    """The planner is killed."""
    sweep = Sweep("planner SIGKILL")
    for seed in seeds:
        sweep.trials += 1
        show, heard = rig.begun(seed, Random(seed))
        at = show.send(signal.SIGKILL)
        show.wait()
        time.sleep(0.3)
        _silence(sweep, heard + rig.ear.take(), at, 100, seed)
    return sweep


def stop(rig: Rig, seeds: Iterable[int]) -> Sweep:
    """The planner is stopped, and goes on later."""
    sweep = Sweep("planner SIGSTOP")
    for seed in seeds:
        sweep.trials += 1
        show, heard = rig.begun(seed, Random(seed))
        at = show.send(signal.SIGSTOP)
        time.sleep(0.6)
        heard += rig.ear.take()
        playing = _silence(sweep, heard, at, 500, seed)
        back = show.send(signal.SIGCONT)
        if playing:
            heard = rig.ear.wait(patience=3)
            first = next(message for message in heard if message.on)
            sweep.time("sound again after SIGCONT", (first.at - back) / MS, 1000, seed)
        status, _ = show.end()
        sweep.check(status in (143, -15), f"exit status {status} after SIGTERM", seed)
        time.sleep(0.1)
        heard += rig.ear.take()
        sweep.silent(balance(heard).sounding, seed)
    return sweep


def _silence(sweep: Sweep, heard: list[Heard], at: int, bar: float, seed: int) -> bool:
    """Note when the last note ended; whether any sounded when the fault came."""
    after = balance(heard)
    sweep.silent(after.sounding, seed)
    if not balance(message for message in heard if message.at <= at).ons:
        return False
    sweep.time("silence", max(0, after.silent_at - at) / MS, bar, seed)
    return True


def signals(rig: Rig, seeds: Iterable[int]) -> Sweep:
    """Ctrl-C, SIGTERM, a closed terminal; some of them twice."""
    sweep = Sweep("SIGINT, SIGTERM, SIGHUP")
    for seed in seeds:
        sweep.trials += 1
        rng = Random(seed)
        number = rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        show, heard = rig.begun(seed, rng)
        at = show.send(number)
        if rng.random() < 0.3:
            time.sleep(rng.uniform(0, 0.05))
            with suppress(ProcessLookupError):
                show.send(number)
        status, _ = show.wait()
        sweep.time("exit", (time.monotonic_ns() - at) / MS, 1000, seed)
        right = status in (128 + number, -number)
        sweep.check(right, f"exit status {status} after {number.name}", seed)
        time.sleep(0.1)
        sweep.silent(balance(heard + rig.ear.take()).sounding, seed)
    return sweep


def wire(rig: Rig, seeds: Iterable[int]) -> Sweep:
    """The wires of one long performance are killed, MIDI's and OSC's in random turn."""
    sweep = Sweep("wire SIGKILL")
    seeds = list(seeds)
    udp = Receiver()
    rig.ear.take()
    osc = f"127.0.0.1:{udp.port}"
    show = rig.show(rig.grid, seeds[0], "--osc", osc, midi="virtual")
    _plug(rig, PARTS)
    heard, arrivals = rig.ear.wait(), udp.drain()
    for seed in seeds:
        sweep.trials += 1
        rng = Random(seed)
        time.sleep(rng.uniform(0.5, 1.5))
        kind = rng.choice(("midi", "osc"))
        pid = show.wires().get(kind)
        if pid is None:
            sweep.check(False, f"no {kind} wire to kill", seed)
            continue
        at = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        time.sleep(1.5)
        heard, arrivals = heard + rig.ear.take(), arrivals + udp.drain()
        ons: list[tuple[int, object]] = [(one.at, one.note[0]) for one in heard if one.on]
        if kind == "osc":
            ons = [(one.at, one.data.split(b"/")[3]) for one in arrivals if b"/note" in one.data]
        # The first note of each part; one that the dead wire has sent may be on its way.
        firsts: dict[object, int] = {}
        for on, part in ons:
            if on > at + 3 * MS:
                firsts.setdefault(part, on)
        back = max(firsts.values()) if len(firsts) == PARTS else at + 1500 * MS
        sweep.time(f"{kind.upper()} back, every part", (back - at) / MS, 1000, seed)
    status, _ = show.end()
    sweep.check(status == 143, f"exit status {status} after SIGTERM", seeds[0])
    time.sleep(0.1)
    heard, arrivals = heard + rig.ear.take(), arrivals + udp.drain()
    udp.close()
    sweep.silent(balance(heard).sounding, seeds[0])
    sweep.silent(_sounding(arrivals), seeds[0])
    _right_notes(sweep, rig.grid, heard, arrivals, seeds[0])
    return sweep


def _plug(rig: Rig, ports: int) -> None:
    """Connect the show's virtual ports, one for each part, to the ear."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        names = rig.jack.run("jack_lsp").splitlines()  # they may have blanks in them
        there = [name for name in names if name.startswith("Componium")]
        if len(there) == ports:
            for name in there:
                rig.jack.run("jack_connect", name, rig.ear.port)
            return
        time.sleep(0.05)
    raise TimeoutError(f"expected {ports} ports of Componium, there are {names}")


def _sounding(arrivals: Iterable[Arrival]) -> set[tuple[str, int]]:
    """The OSC receiver's ledger: (part, pitch) of what has no off."""
    sounding: set[tuple[str, int]] = set()
    for arrival in arrivals:
        *_, part, what = OscMessage(arrival.data).address.rsplit("/", 2)
        if what in ("note", "off"):
            note = part, OscMessage(arrival.data).params[0]
            (sounding.add if what == "note" else sounding.discard)(note)
    return sounding


def _right_notes(
    sweep: Sweep, scene: Path, heard: list[Heard], arrivals: list[Arrival], seed: int
) -> None:
    """Each note is the one an undisturbed performance has at that step, and at its moment.

    What was due while the new wire started may come up to 100 ms late, or not at all.
    """
    score = {
        (f"p{played.note.channel}", round(played.moment.beat * 4)): played.note.pitch
        for played in written(scene, seed, LONGEST)
    }
    notes = []
    for arrival in arrivals:
        if b"/note" in arrival.data:
            message = OscMessage(arrival.data)
            notes.append((arrival.at, message.address.split("/")[-2], message.params[0]))
    start = min(at for at, _, _ in notes)
    kinds = {"OSC": notes}
    kinds["MIDI"] = [(one.at, f"p{one.note[0] + 1}", one.note[1]) for one in heard if one.on]
    for kind, found in kinds.items():
        errors = grid_errors([at for at, _, _ in found], STEP)
        for (at, part, pitch), error in zip(found, errors, strict=True):
            step = round((at - start) / STEP)
            if score.get((part, step)) == pitch and abs(error) < PUNCTUAL:
                sweep.time(f"{kind} off its beat", abs(error) / MS, PUNCTUAL / MS, seed)
            elif score.get((part, step - (error < 0))) == pitch:
                sweep.time(f"{kind} late on return", error % STEP / MS, 100, seed)
            elif score.get((part, step - 1 - (error < 0))) == pitch:
                sweep.time(f"{kind} late on return", (error % STEP + STEP) / MS, 100, seed)
            else:
                sweep.check(False, f"{kind} note {pitch} of {part} is not in the score", seed)


def server(rig: Rig, seeds: Iterable[int]) -> Sweep:
    """The JACK server freezes or dies while OSC plays; every third show is ended meanwhile."""
    sweep = Sweep("JACK frozen, killed")
    errors: dict[bool, list[float]] = {False: [], True: []}
    for seed in seeds:
        sweep.trials += 1
        rng = Random(seed)
        freeze, leave = seed % 2 == 0, seed % 3 == 0
        udp = Receiver()
        rig.ear.take()
        show = rig.show(rig.grid, seed, "--osc", f"127.0.0.1:{udp.port}")
        heard = rig.ear.wait()
        time.sleep(rng.uniform(1, 1.5))
        begun = time.monotonic_ns()
        (rig.jack.freeze if freeze else rig.jack.kill)()
        time.sleep(rng.uniform(0.2, 2))
        if leave:
            status, seconds = show.end()
            sweep.time("exit meanwhile", seconds * 1000, 1000, seed)
            sweep.check(status == 143, f"exit status {status} after SIGTERM", seed)
        back = _revive(rig, freeze)
        if leave:  # what sounded then cannot be ended by anybody: another synth takes its place
            rig.ear.close()
            rig.ear = Ear(rig.jack)
        else:
            with suppress(TimeoutError):
                heard = (heard if freeze else []) + rig.ear.wait(patience=4)
            ons = [message.at for message in heard if message.on and message.at > back]
            first = ons[0] if ons else time.monotonic_ns()
            sweep.time("MIDI back", (first - back) / MS, 2000, seed)
            time.sleep(0.5)
            status, seconds = show.end()
            sweep.time("exit", seconds * 1000, 1000, seed)
            time.sleep(0.1)
            sweep.silent(balance(heard + rig.ear.take()).sounding, seed)
        arrivals = [arrival for arrival in udp.drain() if b"/note" in arrival.data]
        udp.close()
        stamps = [arrival.at for arrival in arrivals]
        for stamp, error in zip(stamps, grid_errors(stamps, STEP), strict=True):
            errors[begun < stamp < back].append(abs(error) / MS)
    for faulty, name in ((False, "OSC off its beat, server well"), (True, "…, server ill")):
        for error in errors[faulty]:
            sweep.times.setdefault(name, []).append(error)
        sweep.bars[name] = 5
    return sweep


def _revive(rig: Rig, frozen: bool) -> int:
    """Have server and receiver back; the moment from which both are there."""
    if frozen:
        rig.jack.thaw()
        return time.monotonic_ns()
    rig.ear.close()
    rig.jack.start()
    rig.ear = Ear(rig.jack)
    return time.monotonic_ns()


#: Each sweep with its usual number of trials.
SWEEPS: dict[str, tuple[Callable[[Rig, Iterable[int]], Sweep], int]] = {
    "kill": (kill, 110),
    "stop": (stop, 100),
    "signals": (signals, 30),
    "wire": (wire, 50),
    "server": (server, 30),
}


def main(argv: list[str]) -> None:
    """Print the table, and each thing that went wrong with its seed."""
    ask = argparse.ArgumentParser(prog="bench faults", description=__doc__)
    ask.add_argument("sweeps", nargs="*", default=list(SWEEPS), metavar="|".join(SWEEPS))
    ask.add_argument("--count", type=int, help="trials of each sweep")
    ask.add_argument("--seed", type=int, default=1821, help="of the first trial")
    options = ask.parse_args(argv)
    print(table(HEAD, []), end="", flush=True)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, JackServer(Path(folder)) as jack:
        rig = Rig(jack, Path(folder))
        try:
            for name in options.sweeps:
                sweep, count = SWEEPS[name]
                done = sweep(rig, range(options.seed, options.seed + (options.count or count)))
                wrong += [f"- {name}, {line}" for line in done.wrong[:20]]
                print("\n".join(map(row, done.rows())), flush=True)
        finally:
            rig.ear.close()
    print("\n".join(["", f"wrong: {len(wrong) or 'nothing'}", *wrong]))
