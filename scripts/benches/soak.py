"""The whole desk under a long mix of faults, each of which a receiver judges by itself.

`componium play` as a user starts it, over a private JACK server: a synth with its own ledger, a
keyboard, two games that hear OSC, a page that hears everything, a client at a broker, a controller,
and a Link session that it follows, with another member, in a network of its own.
Three parts have a note on every sixteenth at 240 BPM, so each has one right moment; a fourth
overlaps with itself, so something always sounds. Faults come in rounds of all kinds, shuffled; what
each does follows from the seed and its number alone (`--seed N --first 17 --minutes 0.1` has the
eighteenth again).

* recovery: from the end of the fault until MIDI, OSC and plan are right: every part on every step,
  within 10 ms, in its scene's pitches, for a second from there on. Untouched music has up to 63 ms.
* stuck: sounds longer than 2 s, by MIDI or OSC, at the next fault; the longest note has 0.5 s.
* in time: OSC notes in the calm against the session's sixteenths, as its other member has them.
* memory, of each process, in the last half of the run: flat where the slope (Theil and Sen's) is at
  most 2 MiB an hour and the medians of its two halves are at most 0.5 MiB apart. By how much the
  take itself grew is told and not counted: it is kept until the end. The disk is large enough for
  log and take, but while it is made full: what a disk does not take waits in memory, up to 4 MiB.
  Of a process that was started anew meanwhile a slope says nothing, as each takes 0.3 MiB in its
  first minutes. The planner's size follows the most that it ever needed at once, as Python gives
  back whole MiB only: it climbs by steps, and one of an unlucky hurry in the last half is called
  growth as a leak is. Only other runs, or what is alive, can tell the two.
  Before the clock runs, scenes are changed in a hurry eight times: what reading one takes for a
  moment is used again by the next, but how much that is at most shows only after some of them.
  The Continuator keeps 32 notes and rests instead of 4,000, which it would not have after an hour
  of these keys: a memory that is still filling, 1.5 to 2.4 KiB for a note, looks like a leak.
* JACK: a server that waits for its clients (`tests/rigs/jack.py` says why) can be stuck for good
  where one is killed while it has the turn. Then its MIDI is not judged for that fault, it is
  restarted, and how often is told.
* off the grid: steps in the calm after that which are not right after all; and, for what ought to
  leave the notes alone, steps that are not right from the beginning of the fault on. The plan is
  100 ms ahead: beside each thing that is wrong stands how late a bare timer was meanwhile.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from math import inf
from pathlib import Path
from random import Random

from paho.mqtt import publish
from pythonosc.osc_message import OscMessage

from server.desk.keys import the_token
from tests.rigs.jack import JackServer
from tests.rigs.keys import Keys
from tests.rigs.mosquitto import Mosquitto
from tests.rigs.udp import Receiver

from .door import Door, free_port, message
from .ear import Ear
from .fuzz import bad
from .growth import MIB, growth
from .guests import Guests, first_after
from .lan import again_inside, inside
from .ledgers import Ledger, Note, Verdict, judge
from .member import Member
from .receiver import quantile
from .show import Show, table
from .timer import Timer
from .web import stalled

STEP = 62.5e6  # ns
TOLERANCE = 10e6  # ns
BOUND = 2_000_000_000  # ns that a note may sound
CALM = 2.6  # s that are left to themselves after every fault
PATIENCE = 10.0  # s until what has not come back counts as gone
GRID = ("p1", "p2", "p3")
KEYBOARD = "Componium keys:keys"
LIVE = 15  # the keyboard's channel, from 0
BASE = "componium/soak"
FLAT = 2.0, 0.5  # MiB an hour, and in the last quarter over that before
STILL = 50.0  # ms that a bare timer is late, at most, on a machine that leaves us alone
SESSION = 5.0  # ms from the session's sixteenths, at most, of one who is in it
WEDGED = 10  # periods in a second on which a JACK server gives up that is stuck
WARM = 8  # changes of scene in a hurry beforehand
REMEMBERED = 32  # notes and rests that the Continuator may draw on: there after two minutes
DISK = 96 << 20  # bytes of the disk that gets full: more than a log and a take of hours
RULES = {"desk": "1 2 3 5 6", "other": "4 7"}  # which degrees tell which scene is playing
PITCHES = [pitch for pitch in range(128) if pitch % 12 in (0, 2, 4, 7, 9)]


def scene(name: str, remark: str = "") -> str:
    """A scene of the soak; the same parts in each."""
    rules = " | ".join(f"{degree}:1/16" for degree in RULES[name].split())
    parts = [
        f'[parts.{part}]\nengine = "grammar"\nrules = "S -> {rules}"\nchannel = {number}\n'
        for number, part in enumerate(GRID, 1)
    ]
    return f"""# {remark}
tempo = 240
key = "C major"
[sync]
source = "link"
[inputs.keys]
midi = "virtual"
{"".join(parts)}
[parts.thick]
engine = "grammar"
rules = "S -> 1:1/8 | 3:1/8 | 5:1/16 1:1/16 | 4:1/4"
gate = 1.7
channel = 4
[parts.hand]
engine = "performer"
fit = ""
input = "keys"
channel = {LIVE + 1}
[parts.answer]
engine = "continuator"
listens = ["keys"]
remember = {REMEMBERED}
channel = 15
"""


@dataclass
class Heard:
    """One transport: what has begun since the fault, and what sounds."""

    notes: list[Note] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)


class Stage:
    """Everything that a fault may touch, and everything that hears."""

    def __init__(self, folder: Path, jack: JackServer, broker: Mosquitto, seed: int) -> None:
        self.folder, self.jack, self.broker = folder, jack, broker
        self.rng = Random(seed)
        for name in RULES:
            (folder / f"{name}.toml").write_text(scene(name))
        self.disk = folder / "small"
        self.disk.mkdir()
        jack.run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.disk))
        self.game, self.away = Receiver(), Receiver()
        self.control, self.page = free_port(), _free_tcp_port()
        self.ear, self.keys, self.door = Ear(jack), Keys(jack), Door(self.control)
        self.deaf: list[socket.socket] = []
        self.heard: dict[str, Heard] = defaultdict(Heard)
        self.live: list[int] = []  # when a key of ours began to sound
        self.member = Member(240)
        self.returns: list[float] = []  # ms until it was in the session's beat again
        token = the_token(folder / "componium" / "token")
        self.show = Show(
            folder,
            folder / "desk.toml",
            *("--midi", self.ear.name, "--control", str(self.control), "--http", str(self.page)),
            *("--osc", f"127.0.0.1:{self.game.port}", "--osc", f"127.0.0.1:{self.away.port}"),
            *("--mqtt", f"127.0.0.1:{broker.port}/soak", "--seed", str(seed)),
            *("--log", str(self.disk / "log"), "--record", str(self.disk / "take.mid")),
            *("--diary", str(self.disk / "diary")),
            jack=jack,
        )
        self.guests = Guests(self.page, token, broker.port, BASE, "/part/p1/level")

    def strangers(self) -> list[str]:
        """Whoever leads into our input and is not the keyboard: our own output, where it is bad."""
        lines = self.jack.run("jack_lsp", "-c", KEYBOARD).splitlines()
        return [line.strip() for line in lines if line[:1].isspace() and self.keys.port not in line]

    def plug(self) -> None:
        """Connect the keyboard. Errors: TimeoutError."""
        self.jack.connect(self.keys.port, KEYBOARD, PATIENCE)

    def listen(self) -> None:
        """Take in what has come since the last time."""
        midi = self.heard["MIDI"]
        for one in self.ear.take():
            channel, pitch = one.data[0] & 0x0F, one.data[1] if len(one.data) > 1 else 0
            key = (str(channel), pitch)
            if one.on:
                midi.ledger.on(key, one.at)
                midi.notes.append(Note(one.at, f"p{channel + 1}", pitch))
                if channel == LIVE:
                    self.live.append(one.at)
            elif one.off:
                midi.ledger.off(key)
            elif one.data[0] & 0xF0 == 0xB0 and pitch == 64:
                pedal = (str(channel), -64)
                if one.data[2] < 64:
                    midi.ledger.off(pedal)
                elif pedal not in midi.ledger.sounding:
                    midi.ledger.on(pedal, one.at)
        for name, receiver in (("OSC", self.game), ("OSC, the other game", self.away)):
            heard = self.heard[name]
            for arrival in receiver.drain():
                *_, part, what = arrival.data.split(b"\0", 1)[0].decode().rsplit("/", 2)
                if what not in ("note", "off"):
                    continue
                pitch = int(OscMessage(arrival.data).params[0])
                if what == "note":
                    heard.ledger.on((part, pitch), arrival.at)
                    heard.notes.append(Note(arrival.at, part, pitch))
                else:
                    heard.ledger.off((part, pitch))
        self.heard["plan"].notes += self.guests.notes()

    def forget(self) -> None:
        """Let go of what began before; what sounds is kept."""
        for heard in self.heard.values():
            heard.notes.clear()

    def deafen(self) -> None:
        """The synth is gone, and what it was sounding with it."""
        self.ear.close()
        self.heard["MIDI"] = Heard()

    def rejoin(self) -> None:
        """Follow the session again, and wait until that has been reached, without a jump."""
        self.door.send("/componium/sync", "link")
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            time.sleep(0.2)
            self.listen()
            seen = self.member.look()
            lately = [note for note in self.heard["OSC"].notes if note.part in GRID][-24:]
            if lately and all(
                seen.at - note.at < 1e9 and seen.off(note.at) < SESSION for note in lately
            ):
                break
        self.returns.append((time.monotonic() - began) * 1000)

    def put_right(self) -> None:
        """Every control as the scene has it."""
        self.door.send("/componium/tempo", 240.0)
        for part in (*GRID, "thick"):
            for name, value in (("mute", 0), ("solo", 0), ("octave", 0), ("level", 1)):
                self.door.send(f"/componium/part/{part}/{name}", float(value))
            self.door.send(f"/componium/part/{part}/density", 1.0)

    def tell(self, topic: str, payload: str, retain: bool = False) -> None:
        """Publish at the broker."""
        publish.single(
            f"{BASE}/{topic}", payload, retain=retain, hostname="127.0.0.1", port=self.broker.port
        )

    def well(self) -> bool:
        """What /healthz says."""
        line = HTTPConnection("127.0.0.1", self.page, timeout=2)
        try:
            line.request("GET", "/healthz")
            return line.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            line.close()

    def given_up(self) -> int:
        """On how many periods the JACK server has given up, waiting for some client."""
        return (self.folder / "jackd.log").read_text().count("SuspendRefNum error")

    def close(self) -> None:
        self.show.kill()
        self.member.close()
        self.ear.close()
        self.keys.kill()
        self.door.close()
        self.game.close()
        self.away.close()
        for each in self.deaf:
            each.close()


def _free_tcp_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# the faults: each returns when it is over --------------------------------------------------------


def _wire(stage: Stage) -> int:
    return stage.rng.choice(sorted(stage.show.wires().values()))


def kill_wire(stage: Stage) -> None:
    os.kill(_wire(stage), signal.SIGKILL)


def hang_wire(stage: Stage) -> None:
    os.kill(_wire(stage), signal.SIGSTOP)


def stop_wire(stage: Stage) -> None:
    pid = _wire(stage)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(stage.rng.uniform(0.05, 0.45))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def kill_ear(stage: Stage) -> None:
    """The process that hears the keyboard dies with three keys down."""
    for pitch in (60, 64, 67):
        stage.keys.play(f"90{pitch:02x}64")
    time.sleep(stage.rng.uniform(0.1, 0.5))
    os.kill(stage.show.ear(), signal.SIGKILL)
    time.sleep(0.1)
    for pitch in (60, 64, 67):
        stage.keys.play(f"80{pitch:02x}00")


def _stop_planner(stage: Stage, seconds: float) -> None:
    stage.show.send(signal.SIGSTOP)
    time.sleep(seconds)
    stage.show.send(signal.SIGCONT)


def stop_shortly(stage: Stage) -> None:
    _stop_planner(stage, 0.3)


def stop_long(stage: Stage) -> None:
    _stop_planner(stage, 3)


def freeze_jack(stage: Stage) -> None:
    stage.jack.freeze()
    time.sleep(stage.rng.uniform(0.1, 1.5))
    stage.jack.thaw()


def restart_jack(stage: Stage) -> None:
    stage.jack.kill()
    stage.deafen()
    stage.keys.kill()
    time.sleep(stage.rng.uniform(0, 1))
    stage.jack.start()
    stage.ear = Ear(stage.jack)
    stage.keys = Keys(stage.jack)


def pull_cable(stage: Stage) -> None:
    """Out of the synth, and in again."""
    lines = stage.jack.run("jack_lsp", "-c", stage.ear.port).splitlines()
    sources = [line.strip() for line in lines if line[:1].isspace()]
    for source in sources:
        stage.jack.disconnect(source, stage.ear.port)
    time.sleep(stage.rng.uniform(0, 1))
    for source in sources:
        stage.jack.run("jack_connect", source, stage.ear.port)


def unplug(stage: Stage) -> None:
    """The synth leaves and comes back."""
    stage.deafen()
    time.sleep(stage.rng.uniform(0, 1))
    stage.ear = Ear(stage.jack)


def kill_keyboard(stage: Stage) -> None:
    """With three keys and the pedal down."""
    for data in ("b0407f", "903c64", "904064", "904364"):
        stage.keys.play(data)
    time.sleep(stage.rng.uniform(0.1, 0.6))
    stage.keys.kill()
    stage.keys = Keys(stage.jack)


def flood(stage: Stage) -> None:
    """Ten thousand commands within a second."""
    datagrams = [message("/componium/part/p1/level", 0.5 + n / 200) for n in range(100)]
    began = time.monotonic()
    for number in range(10_000):
        stage.door.throw(datagrams[number % 100])
        if number % 100 == 99:
            time.sleep(max(0.0, began + number / 10_000 - time.monotonic()))
    stage.put_right()


def babble(stage: Stage) -> None:
    """Two thousand mutated datagrams."""
    for _ in range(2000):
        stage.door.throw(bad(stage.rng))
        time.sleep(0.0005)
    stage.put_right()


def twiddle(stage: Stage) -> None:
    """Two hundred turns of knobs within a second."""
    rng = stage.rng
    for _ in range(200):
        part = f"/componium/part/{rng.choice((*GRID, 'thick'))}"
        address, value = rng.choice((
            ("/componium/tempo", rng.uniform(60, 400)),
            (f"{part}/mute", float(rng.randrange(2))),
            (f"{part}/solo", float(rng.randrange(2))),
            (f"{part}/density", rng.random()),
            (f"{part}/octave", float(rng.randrange(-2, 3))),
        ))  # fmt: skip
        stage.door.send(address, value)
        time.sleep(0.005)
    stage.put_right()


def stall_pages(stage: Stage) -> None:
    """Twelve clients ask for everything and read nothing; those of the last time leave."""
    for each in stage.deaf:
        each.close()
    stage.deaf = [stalled(stage.page) for _ in range(12)]
    time.sleep(1)


def garble_pages(stage: Stage) -> None:
    """Ten connections that say nonsense: before the upgrade, and in frames after it."""
    for _ in range(10):
        rng = stage.rng
        with suppress(OSError):
            if rng.random() < 0.3:
                line = socket.create_connection(("127.0.0.1", stage.page), 1)
                line.sendall(rng.randbytes(rng.choice((1, 40, 4000))))
            else:
                line = stalled(stage.page)
                line.sendall(rng.choice((
                    rng.randbytes(rng.choice((1, 8, 200, 5000))),
                    b"\x81\xff" + b"\xff" * 12,  # a frame of 2⁶⁴ bytes
                    b"\x82\xfe\xff\xff\0\0\0\0" + bytes(65535),
                    b"\x81\x82\0\0\0\0\xff\xfe",  # no UTF-8
                    b"\x81\x82\0\0\0\0[[" * 200,
                    b"\x09\x80\0\0\0\0" * 50,
                    b"\x83\x80\0\0\0\0\x81\x85\0\0\0\0{\"a\":",
                )))  # fmt: skip
            time.sleep(0.02)
            line.close()


def kill_broker(stage: Stage) -> None:
    stage.broker.kill()
    time.sleep(stage.rng.uniform(0, 1))
    stage.broker.start()


def freeze_broker(stage: Stage) -> None:
    stage.broker.send(signal.SIGSTOP)
    time.sleep(stage.rng.uniform(0.2, 2))
    stage.broker.send(signal.SIGCONT)


def retain(stage: Stage) -> None:
    """A retained mute lies at the broker before we are back there; and nonsense comes."""
    stage.broker.kill()
    stage.broker.start()
    stage.tell("part/p1/mute/set", "1", retain=True)
    deadline, over = time.monotonic() + PATIENCE, time.monotonic_ns()
    while first_after(stage.guests.broker_answers, over) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    stage.tell("part/p1/mute/set", "", retain=True)
    for topic in ("part/p1/level/set", "tempo/set", "scene/set", "nowhere/set"):
        stage.tell(topic, stage.rng.choice(("{", "[[[", "NaN", "1e999", "x" * 20_000, '{"args":')))


def typo(stage: Stage) -> None:
    """A scene is saved while it is wrong, in several ways, and then right."""
    file = stage.folder / "desk.toml"
    text = scene("desk", stage.rng.choice(("", "a", "b", "c")))
    for _ in range(stage.rng.randrange(1, 4)):
        at = stage.rng.randrange(len(text))
        file.write_text(stage.rng.choice((
            text[:at],
            text.replace("S ->", "S -> -> (", 1),
            text.replace('"grammar"', '"gramar"', 1),
            text.replace("240", "24000", 1),
            "",
        )))  # fmt: skip
        time.sleep(stage.rng.uniform(0, 0.5))
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(file)
    time.sleep(0.6)  # two readings are 0.3 s apart; whatever was half right is over now
    stage.door.send("/componium/cancel")
    stage.put_right()
    stage.door.send("/componium/scene", "desk", "beat")


def hurry(stage: Stage) -> None:
    """Scenes, styles and seeds, one over the other.

    None begins now: its sixteenths would lie beside those of the Link session, as was wished.
    """
    rng = stage.rng
    for _ in range(rng.randrange(4, 12)):
        what = rng.choice((
            ("scene", "other"), ("scene", "house"), ("scene", "nowhere"), ("scene", "desk"),
            ("style", "folk"), ("style", "jazz"), ("seed", rng.randrange(1000)), ("cancel",),
            ("section", "Explore"), ("key", "D dorian"), ("theme", "none"),
        ))  # fmt: skip
        whens = WHENS[1:] if what[0] in ("scene", "style", "seed") else WHENS
        when = () if what[0] == "cancel" or rng.random() < 0.3 else (rng.choice(whens),)
        stage.door.send(f"/componium/{what[0]}", *what[1:], *when)
        time.sleep(rng.uniform(0, 0.3))
    stage.door.send("/componium/cancel")
    stage.door.send("/componium/scene", "desk", "beat")
    # Where that scene has played all the while it is read again, and a key that was asked for
    # stays, as it should.
    stage.door.send("/componium/key", "C major", "bar")
    time.sleep(1.3)  # a bar has one second
    stage.put_right()


WHENS = ("now", "beat", "bar", "phrase")


def fill_disk(stage: Stage) -> None:
    """That of the control log, the take and the diary."""
    fill = stage.disk / "fill"
    stage.jack.run("sh", "-c", f"head -c {2 * DISK} /dev/zero >{fill} 2>&1; true")
    for address in ("stop", "continue"):
        stage.door.send(f"/componium/{address}")
    time.sleep(1)
    stage.jack.run("rm", str(fill))


def hog(stage: Stage) -> None:
    """Twice as many processes as there are cores compute for two seconds."""
    code = "import time; t = time.monotonic() + 2\nwhile time.monotonic() < t: pass"
    hogs = [
        subprocess.Popen([sys.executable, "-c", code]) for _ in range(2 * (os.cpu_count() or 1))
    ]
    for each in hogs:
        each.wait(20)


def leave_game(stage: Stage) -> None:
    """The other game ends, so that its port refuses, and comes back."""
    port = stage.away.port
    stage.away.close()
    time.sleep(stage.rng.uniform(0.2, 2))
    stage.away = Receiver(port=port)
    stage.heard["OSC, the other game"] = Heard()


def start_and_stop(stage: Stage) -> None:
    for _ in range(stage.rng.randrange(1, 6)):
        stage.door.send(f"/componium/{stage.rng.choice(('stop', 'continue', 'panic', 'play'))}")
        time.sleep(stage.rng.uniform(0, 0.3))
    stage.door.send("/componium/panic")
    stage.door.send("/componium/play")


def lose_clock(stage: Stage) -> None:
    """A MIDI clock that strays by a millisecond is followed, and its cable pulled."""
    wish = {"ms": 1, "seed": stage.rng.randrange(1000), "tempi": [[0, 240]], "beats": 60}
    clock = stage.jack.python("scripts.benches.pulser", "soakclock", json.dumps(wish))
    assert clock.stdin is not None and clock.stdout is not None
    clock.stdout.readline()
    stage.door.send("/componium/sync", "midi:soakclock")
    clock.stdin.write("\n")
    clock.stdin.flush()
    time.sleep(stage.rng.uniform(1, 2.5))
    clock.kill()
    clock.communicate()
    time.sleep(stage.rng.uniform(0, 0.5))
    stage.rejoin()
    stage.door.send("/componium/tempo", 240.0)


FAULTS: dict[str, Callable[[Stage], None]] = {
    "wire killed": kill_wire,
    "wire stopped, goes on": stop_wire,
    "wire hung": hang_wire,
    "ear killed, keys down": kill_ear,
    "planner stopped for 0.3 s": stop_shortly,
    "planner stopped for 3 s": stop_long,
    "JACK frozen": freeze_jack,
    "JACK killed, restarted": restart_jack,
    "cable pulled": pull_cable,
    "synth gone": unplug,
    "keyboard gone, keys down": kill_keyboard,
    "10 000 OSC commands in a second": flood,
    "malformed OSC": babble,
    "knobs turned": twiddle,
    "stalled pages": stall_pages,
    "garbage to the page's port": garble_pages,
    "broker killed, restarted": kill_broker,
    "broker frozen": freeze_broker,
    "retained and malformed MQTT": retain,
    "scene saved with typos": typo,
    "scenes, styles, seeds in a hurry": hurry,
    "disk full": fill_disk,
    "processor hogged for 2 s": hog,
    "game gone": leave_game,
    "stop, panic, play": start_and_stop,
    "MIDI clock lost": lose_clock,
}
#: These ought to leave every note where it is.
HARMLESS = (
    *(kill_ear, kill_keyboard, flood, stall_pages, garble_pages, kill_broker, freeze_broker),
    *(retain, typo, hog, leave_game),
)
#: After these the keyboard's cable has to be plugged again.
UNPLUGS = (restart_jack, kill_keyboard, kill_ear, hurry)


# the judgement -----------------------------------------------------------------------------------


@dataclass
class Account:
    """What there is to tell of one kind of fault, or of all."""

    count: int = 0
    recoveries: list[float] = field(default_factory=list)  # ms
    stuck: int = 0
    off: int = 0  # steps that were not right although nothing should have touched them
    steps: int = 0  # of so many


@dataclass
class Soak:
    """The figures so far. ways: ms until a way in answered again, by way."""

    kinds: dict[str, Account] = field(default_factory=lambda: defaultdict(Account))
    ways: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # ms
    steps: int = 0
    bad: int = 0
    still: int = 0  # of the bad ones, where the machine left us alone
    memory: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    lives: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    beside: list[float] = field(default_factory=list)  # ms from the session's sixteenths
    wedged: int = 0  # times that the JACK server itself was stuck
    alone: int = 0  # faults after which the session's other member saw nobody, or another tempo
    wrong: list[str] = field(default_factory=list)


def schedule(kinds: list[str], seed: int, number: int) -> str:
    """The kind of fault with this number: rounds of all kinds, each shuffled."""
    turn, place = divmod(number, len(kinds))
    order = sorted(kinds)
    Random(f"{seed} {turn}").shuffle(order)
    return order[place]


def suffer(stage: Stage, soak: Soak, kind: str, number: int, began: float, timer: Timer) -> None:
    """One fault, and the calm after it."""
    known = len(soak.wrong)
    timer.lately()
    account = soak.kinds[kind]
    account.count += 1
    fault, label = FAULTS[kind], f"#{number} at {time.monotonic() - began:.1f} s, {kind}"
    stage.listen()
    stage.forget()
    given_up, begun = stage.given_up(), time.monotonic_ns()
    fault(stage)
    over = time.monotonic_ns()
    if fault in UNPLUGS:
        with suppress(TimeoutError):
            stage.plug()
        soak.ways["keyboard plugged"].append((time.monotonic_ns() - over) / 1e6)
    verdicts = _calm(stage, fault, over)
    passed = (time.monotonic_ns() - over) / 1e9
    if verdicts["MIDI"].right is None and stage.given_up() - given_up > WEDGED * passed:
        # It waits for a client that was killed while it had the turn, and lets nobody through.
        soak.wedged += 1
        soak.wrong.append(f"{label}: the JACK server itself is stuck, and is restarted; no MIDI")
        del verdicts["MIDI"]
        restart_jack(stage)
        with suppress(TimeoutError):
            stage.plug()
        time.sleep(CALM)
        stage.listen()
    account.recoveries.append(max(_since(verdict, over) for verdict in verdicts.values()))
    slow = {name: _since(v, over) for name, v in verdicts.items() if _since(v, over) > 2000}
    if slow:
        given_up = stage.given_up() - given_up
        told = ", ".join(f"{name} {ms:,.0f} ms" for name, ms in slow.items())
        soak.wrong.append(f"{label}: {told}; JACK gave up on {given_up} periods meanwhile")
    late = timer.lately()
    for name, verdict in verdicts.items():
        soak.still += verdict.bad if late < STILL else 0
        soak.errors[name] += [abs(error) / 1e6 for error in verdict.errors]
        soak.bad, soak.steps = soak.bad + verdict.bad, soak.steps + verdict.steps
        if verdict.bad:
            soak.wrong.append(f"{label}: {name}, {verdict.bad} of {verdict.steps} steps off later")
    if fault in HARMLESS:
        _unharmed(stage, account, begun, [name for name in ("MIDI", "OSC") if name in verdicts])
    _stuck(stage, soak, account, label, BOUND)
    _in_session(stage, soak, verdicts["OSC"], label)
    _ways_in(stage, soak, over, label)
    with suppress(OSError, ValueError):
        now = time.monotonic() - began
        take = int(stage.jack.run("stat", "-c%s", str(stage.disk / "take.mid")))
        for process, (pid, bytes_of_it) in stage.show.sizes().items():
            soak.memory[process].append((now, bytes_of_it))
            soak.lives[process].append(pid)
        soak.memory["its take"].append((now, take))
    late = max(late, timer.lately())  # the ways in have been tried meanwhile
    soak.wrong[known:] = [
        f"{line} (a bare timer {late:.0f} ms late)" for line in soak.wrong[known:]
    ]
    took = (over - begun) / 1e6
    size = soak.memory["planner"][-1][1] / MIB if soak.memory["planner"] else float("nan")
    told = f"{label}: took {took:,.0f} ms, right after {account.recoveries[-1]:,.0f} ms"
    print(f"{told}; {size:.1f} MiB", file=sys.stderr, flush=True)


def _calm(stage: Stage, fault: Callable[[Stage], None], over: int) -> dict[str, Verdict]:
    """Wait until everything has been right for a while, or for PATIENCE; who is, since when."""
    names = ["MIDI", "OSC", "plan"] + ["OSC, the other game"] * (fault is leave_game)
    wait = CALM
    while True:
        time.sleep(max(0.0, over / 1e9 + wait - time.monotonic()))
        stage.listen()
        window = over, time.monotonic_ns()
        verdicts = {
            name: judge(stage.heard[name].notes, GRID, STEP, window, TOLERANCE, PITCHES)
            for name in names
        }
        if all(verdict.right is not None for verdict in verdicts.values()) or wait > PATIENCE:
            return verdicts
        if stage.show.process.poll() is not None:
            return verdicts
        wait += 0.5


def _unharmed(stage: Stage, account: Account, begun: int, names: list[str]) -> None:
    """Count the steps that are not right from the beginning of a fault on."""
    window = begun, time.monotonic_ns()
    for name in names:
        verdict = judge(stage.heard[name].notes, GRID, STEP, window, TOLERANCE, PITCHES)
        late = window[1] if verdict.right is None else verdict.right
        before = max(0, int((late - begun) / STEP) - 1)
        account.off += before + verdict.bad
        account.steps += before + verdict.steps


def _since(verdict: Verdict, over: int) -> float:
    """Ms from the end of a fault until this was right again."""
    return float("inf") if verdict.right is None else max(0, verdict.right - over) / 1e6


def _stuck(stage: Stage, soak: Soak, account: Account, label: str, bound: int) -> None:
    now = time.monotonic_ns()
    for name, heard in stage.heard.items():
        stuck = heard.ledger.stuck(now, bound)
        account.stuck += len(stuck)
        if stuck:
            soak.wrong.append(f"{label}: stuck by {name}: {stuck}")


def _in_session(stage: Stage, soak: Soak, verdict: Verdict, label: str) -> None:
    """Whether we are in the Link session, and by how much our notes are beside it."""
    seen = stage.member.look()
    if seen.peers != 1 or abs(seen.tempo - 240) > 0.01:
        soak.alone += 1
        soak.wrong.append(f"{label}: in Link {seen.peers} others at {seen.tempo:g} bpm")
    if verdict.right is not None:
        soak.beside += (
            off := [
                seen.off(note.at)
                for note in stage.heard["OSC"].notes
                if note.at >= verdict.right and note.part in GRID
            ]
        )
        if off and max(off) > SESSION:
            soak.wrong.append(f"{label}: {max(off):.1f} ms beside the Link session")


def _ways_in(stage: Stage, soak: Soak, over: int, label: str) -> None:
    """Whether controller, page, broker and keyboard are obeyed, and since when."""
    for way, answers in (
        ("page: a ping", stage.guests.page_answers),
        ("MQTT: a command", stage.guests.broker_answers),
    ):
        while (at := first_after(answers, over)) is None:
            if time.monotonic_ns() - over > PATIENCE * 1e9:
                soak.wrong.append(f"{label}: {way} is not answered in {PATIENCE:g} s")
                break
            time.sleep(0.05)
        soak.ways[way].append(float("inf") if at is None else (at - over) / 1e6)
    try:
        soak.ways["OSC: a command"].append(stage.door.ask("/componium/part/p1/level", 1.0))
    except (TimeoutError, ValueError, OSError) as error:
        soak.wrong.append(f"{label}: {error}")
    if strangers := stage.strangers():
        soak.wrong.append(f"{label}: {', '.join(strangers)} leads into the keyboard's input")
    stage.forget()
    took = _a_key(stage)
    if took is None:
        soak.wrong.append(f"{label}: {_key_lost(stage)}")
        with suppress(TimeoutError):
            stage.plug()
    else:
        soak.ways["keyboard: a key"].append(took)
    if not stage.well():
        soak.wrong.append(f"{label}: /healthz is not well")


def _a_key(stage: Stage) -> float | None:
    """Press a key for a moment: ms until the synth sounds; None where it does not in a second."""
    stage.live.clear()
    at = stage.keys.play("904864")
    limit = time.monotonic() + 1
    while not stage.live and time.monotonic() < limit:
        time.sleep(0.02)
        stage.listen()
    stage.keys.play("804800")
    return (stage.live[0] - at) / 1e6 if stage.live else None


def _key_lost(stage: Stage) -> str:
    """What is to be said of a key that did not sound: how far it came, and what the next does.

    A key is dropped, as it should be, where the planner gets to it half a second late or more.
    """
    plugged = KEYBOARD in stage.jack.run("jack_lsp", "-c", stage.keys.port)
    osc = any(note.part == "hand" for note in stage.heard["OSC"].notes)
    again = _a_key(stage)
    return (
        f"a key does not sound; its cable is {'in' if plugged else 'out'}, OSC "
        f"{'had' if osc else 'did not have'} it, pressed again it "
        + ("does not either" if again is None else "does")
    )


def rows_of(soak: Soak) -> list[list[str]]:
    """A row for each kind, and one for all."""
    total = Account()
    rows = []
    for kind, account in soak.kinds.items():
        total.count += account.count
        total.recoveries += account.recoveries
        total.stuck += account.stuck
        total.off, total.steps = total.off + account.off, total.steps + account.steps
        rows.append(_row(kind, account))
    return [*sorted(rows), _row("**all**", total)]


def _row(name: str, account: Account) -> list[str]:
    shares = [f"{quantile(account.recoveries, q):,.0f}" for q in (0.5, 0.99, 1.0)]
    off = f"{account.off} of {account.steps}" if account.steps else ""
    return [name, str(account.count), *shares, str(account.stuck), off]


HEAD = ["fault", "count", "right again: p50 ms", "p99", "max", "stuck", "off during it"]


def play(stage: Stage, options: argparse.Namespace) -> str:
    """Let it play and suffer for so long; what is to be told."""
    soak, seconds = Soak(), options.minutes * 60
    kinds = [kind for kind in FAULTS if any(part in kind for part in options.only.split(","))]
    stage.ear.wait(32)
    stage.plug()
    stage.door.knock("/componium/part/p1/level", 1.0)
    stage.rng = Random(f"{options.seed} before")
    for _ in range(WARM):
        hurry(stage)
        stage.listen()
    stage.plug()
    timer, began = Timer(), time.monotonic()
    number = options.first
    while time.monotonic() - began < seconds and stage.show.process.poll() is None:
        stage.rng = Random(f"{options.seed} {number}")
        due = began + (number - options.first) * 60 / options.faults_per_minute
        time.sleep(max(0.0, due - time.monotonic()) + stage.rng.uniform(0, 0.2))
        try:
            suffer(stage, soak, schedule(kinds, options.seed, number), number, began, timer)
        except (OSError, TimeoutError) as error:
            soak.wrong.append(f"#{number}: {error!r}")
        number += 1
    took = time.monotonic() - began
    alive = stage.show.process.poll() is None
    status, ending = stage.show.end() if alive else stage.show.wait()
    time.sleep(0.3)
    stage.listen()
    end = Account()
    _stuck(stage, soak, end, "the end", 0)
    return _told(soak, took, alive, status, ending, timer.stop(), end.stuck, stage)


def _told(
    soak: Soak,
    took: float,
    alive: bool,
    status: int,
    ending: float,
    stalls: float,
    stuck: int,
    stage: Stage,
) -> str:
    count = sum(account.count for account in soak.kinds.values())
    begun = sum(heard.ledger.begun for heard in stage.heard.values())
    rows = [
        ["length, faults, kinds", f"{took / 60:.1f} min, {count}, {len(soak.kinds)}", ""],
        ["still playing at the end", "yes" if alive else f"no, status {status}", "yes"],
        ["status, time to end on SIGTERM", f"{status}, {ending * 1000:.0f} ms", "143, ≤ 1000 ms"],
        ["notes heard; stuck after the end", f"{begun:,}; {stuck}", "0"],
        *_memory(soak),
        ["steps off the grid in the calm", f"{soak.bad} of {soak.steps:,}", "0"],
        [f"of them where a bare timer was never {STILL:g} ms late", str(soak.still), "0"],
        ["OSC beside the Link session in the calm: p50, p99, max", _shares(soak.beside), ""],
        ["JACK server stuck, MIDI not judged, restarted", str(soak.wedged), ""],
        ["faults after which the session was not whole", str(soak.alone), "0"],
        ["back in it after a MIDI clock: p50, p99, max", _shares(stage.returns), ""],
        *(
            [f"{name} off its step in the calm: p50, p99, max", _shares(errors), ""]
            for name, errors in soak.errors.items()
        ),
        *([f"{way}: p50, p99, max", _shares(times), ""] for way, times in soak.ways.items()),
        ["page connected anew", str(stage.guests.connects - 1), "0"],
        ["a bare timer late meanwhile: max", f"{stalls:.1f} ms", ""],
    ]
    wrong = [f"- {line}" for line in soak.wrong]
    return "\n".join([
        table(HEAD, rows_of(soak)),
        table(["what", "figure", "bar"], rows),
        f"wrong: {len(wrong) or 'nothing'}",
        *wrong,
    ])  # fmt: skip


def _memory(soak: Soak) -> list[list[str]]:
    """A row for each process: flat or not."""
    take = growth(soak.memory.pop("its take", []))
    rows = []
    for name, sizes in soak.memory.items():
        what, seen = f"memory of {name}, the last half", growth(sizes)
        if seen is None:
            rows.append([what, f"{len(sizes)} readings are too few", ""])
            continue
        told = f"{seen.first:.1f} to {seen.last:.1f} MiB, {seen.slope:+.1f} MiB/h"
        if name == "planner" and take is not None:
            told += f"; the take of that {take.grown:+.2f} MiB, {take.slope:+.1f} MiB/h"
            seen = seen._replace(last=seen.last - take.grown, slope=seen.slope - take.slope)
        slope, bar = FLAT[0], f"≤ {FLAT[0]:g} MiB/h, ≤ +{FLAT[1]:g} MiB"
        if (lives := len(set(soak.lives[name][len(sizes) // 2 :]))) > 1:
            told, slope, bar = f"{told}; {lives} one after another", inf, f"≤ +{FLAT[1]:g} MiB"
        rows.append([what, told, f"{bar}: {'flat' if seen.flat(slope, FLAT[1]) else 'grows'}"])
    return rows


def _shares(values: list[float]) -> str:
    return ", ".join(f"{quantile(values, q):,.1f}" for q in (0.5, 0.99, 1.0)) + " ms"


def main(argv: list[str]) -> None:
    """Print the tables, and each thing that went wrong with its number."""
    ask = argparse.ArgumentParser(prog="bench soak", description=__doc__)
    ask.add_argument("--minutes", type=float, default=30)
    ask.add_argument("--faults-per-minute", type=float, default=10)
    ask.add_argument("--seed", type=int, default=1821)
    ask.add_argument("--first", type=int, default=0, help="number of the first fault")
    ask.add_argument(
        "--only", default="", help="kinds with one of these words, with commas between"
    )
    options = ask.parse_args(argv)
    if not inside():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        raise SystemExit(again_inside("soak", *argv))
    logging.getLogger("paho").setLevel(logging.CRITICAL)  # it complains of its own farewells
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # tidy up first
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ |= {"XDG_CONFIG_HOME": str(folder), "XDG_STATE_HOME": str(folder)}
        jack = stack.enter_context(JackServer(folder))
        broker = stack.enter_context(Mosquitto(folder))
        stage = Stage(folder, jack, broker, options.seed)
        stack.callback(stage.close)
        stack.enter_context(stage.guests)
        try:
            print(play(stage, options))
        finally:
            said = (folder / "show.log").read_text().splitlines()
            print(f"\nits own words: {len(said)} lines, the last of them")
            print("\n".join(said[-12:]))
