"""A set, played: everything attached at once, and whatever happens on a stage.

`componium play` as a user starts it, and with it a page in Chromium at the size of a phone,
sounding; an OSC controller; a keyboard and a synth through JACK; another member of a Link session,
which had its tempo first; a game in Godot with the client and the level of docs/clients. They play
a set together, by a programme: a mood, a style, sections, a boss fight, a Continuator, tempi, rules
with a typo in them, a synth that leaves, a game that hangs, another scene. Each step waits until it
is heard or seen, and for `--rest` bars after it. A receiver that nobody touches judges the whole:

* silence: the longest time without a note, in quarter notes, against the same scenes with the same
  seed, undisturbed, which is as much as their own rests and pauses make;
* each note that began has ended, for the receiver and for the synth;
* how late notes come after the moments they are meant for, which they carry; but for those of the
  keyboard, which are meant for now.

The status is 1 where a step fails or the music does; with `--untimed`, for busy machines, lateness
and shorter silences are told but not judged, and a phrase of which keys were lost is played again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonosc.osc_message import OscMessage

from server.desk.keys import the_token
from tests.rigs.browser import Browser, browser
from tests.rigs.jack import JackServer
from tests.rigs.keys import Keys
from tests.rigs.udp import Receiver

from .door import Door, free_port
from .ear import Balance, Ear, balance
from .lan import again_inside, inside
from .ledgers import Ledger
from .member import Member
from .receiver import ROOT, quantile
from .show import Show, table, written
from .timer import Timer

PATIENCE = 20.0  # s that a step may take
SOON = 3.0  # s after which a key that has not sounded will not
SEED = 7
TEMPO = 150
LATE = 1.0  # ms, p99
KEYS = (60, 62, 64, 67, 65, 62)  # the phrase that is played
LIVE = "hand"  # what the keyboard plays is meant for the moment at which it comes
PAUSE = 0.5  # quarter notes: the longest pause that a transition of the level makes
HOLE = 8.0  # quarter notes of silence that no busy machine explains
KEYBOARD = "Componium keys:keys"
LEVEL = ROOT / "config" / "scenes" / "level.toml"
CLIENT = ROOT / "docs" / "clients" / "godot3"
MORE = """
[inputs.keys]
midi = "virtual"

[outputs.judge]
osc = "127.0.0.1:{judge}"
timing = "stamp"

[parts.bells]
engine = "grammar"
rules = '''
S -> Up | Down
Up -> c1 c3 c5 Rest
Down -> c5 c3 c1 Rest
'''
grid = "1/4"
octave = 5
program = 14

[parts.hand]
engine = "performer"
fit = "key"
input = "keys"
program = 5

[parts.answer]
engine = "continuator"
listens = ["keys"]
program = 12
"""
#: What the second scene plays besides; its bass tells that it is there.
CODA = """
title = "Coda"
tempo = 132
[parts.ground]
engine = "grammar"
rules = "S -> c1 c5 c1 c5"
grid = "1/4"
octave = 2
"""
TYPO = "S -> Up | Down\nUp -> c1 c3 c5 Rest\nDown -> c5 -> c1\n"
RIGHT = "S -> High\nHigh -> c1' c5 c1' c5\n"
PROJECT = """config_version=4
[application]
config/name="set"
run/main_scene="res://main.tscn"
"""
MAIN = """[gd_scene load_steps=2 format=2]
[ext_resource path="res://hero.gd" type="Script" id=1]
[node name="Main" type="Node2D"]
script = ExtResource( 1 )
"""
#: The level of docs/clients with a hero who sets out when there is danger, and fights the boss.
HERO = """
extends "res://level.gd"

var awake = false

func _enter_tree():
	music.listen_port = int(OS.get_environment("LISTEN"))
	music.server_port = int(OS.get_environment("SERVER"))

func _process(_delta):
	if awake and hero.x < 60:
		walk(hero + Vector2(0.4, 0))
	elif gate_open and boss_life > 0 and music._waiting.empty():
		fight()

func _on_section(name, bar):
	._on_section(name, bar)
	awake = awake or name == "Danger"
"""


@dataclass
class Judge:
    """What a receiver that nobody touches makes of it. late: ms, bar and part of each note but
    live ones.

    silences: (from, to), monotonic ns, in which nothing sounded.  places: (ns, quarter notes since
    play, bar as people count), at each beat.  said: the last values of what is not a note, by
    address.  parts: when each part was heard last, its pitches by (ns, pitch).
    """

    receiver: Receiver = field(default_factory=Receiver)
    late: list[tuple[float, int, str]] = field(default_factory=list)
    silences: list[tuple[int, int]] = field(default_factory=list)
    places: list[tuple[int, float, int]] = field(default_factory=list)
    said: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    parts: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    _silent: int = 0

    def listen(self) -> None:
        """Take in what has come."""
        wall = time.time_ns() - time.monotonic_ns()
        for at, data in self.receiver.drain():
            message = OscMessage(data)
            address, args = message.address.removeprefix("/componium/"), message.params
            seconds, rest, *values = args
            if address == "position":
                self.places.append((at, values[2], values[0]))
            if not address.startswith("part/"):
                self.said[address] = tuple(values)
                continue
            _, part, what = address.split("/", 2)
            if what == "note":
                if part != LIVE:
                    late = (at + wall - seconds * 10**9) / 1e6 - rest / 1e3
                    self.late.append((late, self.bar, part))
                self.parts.setdefault(part, []).append((at, values[0]))
                if self._silent and not self.ledger.sounding:
                    self.silences.append((self._silent, at))
                self.ledger.on((part, values[0]), at)
            elif what == "off":
                self.ledger.off((part, values[0]))
                if not self.ledger.sounding:
                    self._silent = at

    def place(self, at: int) -> float:
        """Quarter notes since play at a moment, between the beats that were told."""
        nth = max(min(bisect(self.places, (at,)), len(self.places) - 1), 1)
        (a, b, _), (c, d, _) = self.places[nth - 1], self.places[nth]
        return b + (d - b) * (at - a) / (c - a)

    @property
    def bar(self) -> int:
        return self.places[-1][2] if self.places else 0

    def longest(self, until: int) -> float:
        """The longest silence up to a moment, in quarter notes."""
        return max(
            (self.place(end) - self.place(begin) for begin, end in self.silences if end <= until),
            default=0.0,
        )

    def since(self, part: str, at: int) -> list[int]:
        """The pitches of a part that began after a moment."""
        return [pitch for begun, pitch in self.parts.get(part, ()) if begun > at]


class Game:
    """Godot without a window. lines: what it has printed so far."""

    def __init__(self, folder: Path, listen: int, server: int) -> None:
        program = shutil.which("godot3-server", path=f"{os.environ['PATH']}:/usr/games:/usr/sbin")
        if program is None:
            raise RuntimeError("apt install godot3-server")
        project = folder / "game"
        project.mkdir()
        for file in CLIENT.glob("*.gd"):
            shutil.copy(file, project)
        for name, text in (("project.godot", PROJECT), ("main.tscn", MAIN), ("hero.gd", HERO)):
            (project / name).write_text(text)
        self._log = folder / "game.log"
        more = {"LISTEN": str(listen), "SERVER": str(server), "HOME": str(folder)}
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                ["stdbuf", "-oL", program, "--path", str(project)],
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Stage:
    """Everybody, and the programme as it is played."""

    def __init__(self, folder: Path, rest: float, tries: int) -> None:
        """tries: how often a phrase is played until each of its keys has sounded."""
        self.folder, self.rest, self.tries = folder, rest, tries
        self.judge = Judge()
        self.programme: list[list[str]] = []
        self.synths: list[Balance] = []
        self.control, self.http, self.game_port = free_port(), free_port(), free_port()
        for name, text in (("keep", LEVEL.read_text()), ("coda", CODA)):
            more = MORE.format(judge=self.judge.receiver.port)
            text = text.replace("tempo = 108", f"tempo = {TEMPO}")
            (folder / f"{name}.toml").write_text(text + more)

    async def enter(self, stack: AsyncExitStack) -> None:
        """Everybody comes."""
        self.jack = stack.enter_context(JackServer(self.folder))
        self.ear, self.keys = Ear(self.jack), Keys(self.jack)
        stack.callback(self.keys.kill)
        stack.callback(lambda: self.ear.close())
        token = the_token(self.folder / "componium" / "token")
        self.peer = Member(TEMPO)
        stack.callback(self.peer.close)
        self.game = Game(self.folder, self.game_port, self.control)
        stack.callback(self.game.kill)
        self.show = Show(
            self.folder,
            self.folder / "keep.toml",
            *("--midi", self.ear.name, "--osc", f"127.0.0.1:{self.game_port}"),
            *("--control", str(self.control), "--http", str(self.http)),
            *("--sync", "link", "--seed", str(SEED), "--diary", str(self.folder / "diary")),
            jack=self.jack,
        )
        stack.callback(self.show.kill)
        self.door = Door(self.control)
        stack.callback(self.door.close)
        profile = self.folder / "chromium"
        profile.mkdir()
        program = shutil.which("chromium") or shutil.which("google-chrome")
        if program is None:
            raise RuntimeError("apt install chromium")
        self.page: Browser = await stack.enter_async_context(browser(program, profile))
        self.door.knock("/componium/part/bells/level", 1.0)
        self.jack.connect(self.keys.port, KEYBOARD, 10)
        await self.page.size(390, 844, mobile=True)
        await self.page.open(f"http://127.0.0.1:{self.http}/#{token}")
        await self.page.until(
            "window.componium?.rules.addresses?.size && componium.pulse.last && 1"
        )
        await self.page.click("#listen")

    async def step(self, what: str, play: Callable[[], Awaitable[str]]) -> None:
        """Do what is on the programme, and rest."""
        self.judge.listen()
        begun, bar = time.monotonic(), self.judge.bar
        try:
            heard = await play()
        except (AssertionError, TimeoutError, ValueError, OSError) as error:
            heard = f"**failed**: {error}"
        self.judge.listen()
        seconds = f"{time.monotonic() - begun:.1f}"
        self.programme.append([str(bar), what, heard, str(self.judge.bar), seconds])
        clock = time.strftime("%H:%M:%S")
        print(f"{clock} bar {bar}: {what}: {heard}", file=sys.stderr, flush=True)
        until = self.judge.bar + self.rest
        while self.judge.bar < until:
            await self.breathe()

    async def breathe(self) -> None:
        await asyncio.sleep(0.02)
        self.judge.listen()
        if self.show.process.poll() is not None:
            raise RuntimeError(f"it has ended: {(self.folder / 'show.log').read_text()[-2000:]}")

    async def until(self, what: str, true: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Wait until something is true. Errors: TimeoutError."""
        limit = time.monotonic() + patience
        while not (found := true()):
            if time.monotonic() > limit:
                raise TimeoutError(f"not in {patience:g} s: {what}")
            await self.breathe()
        return found

    async def printed(self, start: str, since: int = 0) -> str:
        """A line that the game prints."""
        line: str = await self.until(
            f"the game prints {start!r}; it has {self.game.lines[-4:]}",
            lambda: next((x for x in self.game.lines[since:] if x.startswith(start)), ""),
        )
        return line

    def unplug(self) -> None:
        """The synth leaves."""
        heard_again(self)
        self.ear.close()
        self.synths.clear()  # what it sounded is gone with it


async def perform(stage: Stage) -> None:
    """The programme."""
    judge, page, door, game = stage.judge, stage.page, stage.door, stage.game

    async def attached() -> str:
        await stage.until("notes", lambda: judge.ledger.begun > 8)
        await page.until("componium.sound.scheduled > 4")
        await page.until("componium.store.get('/componium/sync/state') === 'linked'")
        return f"page sounds, Link linked, {await stage.printed('beat ')}"

    async def mood() -> str:
        door.send("/componium/mood", 0.6, 0.5, 0.0, "beat")
        await page.until("Math.abs(componium.store.get('/componium/mood', 0) - 0.6) < 0.02")
        return "the page shows the mood"

    async def octave() -> str:
        top = max(judge.since("bells", 0))
        door.ask("/componium/part/bells/octave", 1)
        await stage.until("bells above", lambda: max(judge.since("bells", 0)) > top)
        await page.until("componium.store.get('/componium/part/bells/octave') === 1")
        return "heard, and seen at the page"

    async def phrase() -> int:
        """A phrase is played; how many of its keys sound."""
        at = time.monotonic_ns()
        for pitch in KEYS:
            stage.keys.play(f"90{pitch:02x}60")
            await asyncio.sleep(0.1)
            stage.keys.play(f"80{pitch:02x}00")
            await asyncio.sleep(0.03)
        with suppress(TimeoutError):
            await stage.until("the keys", lambda: len(judge.since("hand", at)) >= len(KEYS), SOON)
        return len(judge.since("hand", at))

    async def keyboard() -> str:
        at, tries = time.monotonic_ns(), list[int]()
        # A key that comes half a second late, as on a machine that stalls, is dropped as it should
        # be; who plays would play it again.
        while len(tries) < stage.tries and max(tries, default=0) < len(KEYS):
            tries.append(await phrase())
        assert tries[-1] >= len(KEYS), f"of {len(KEYS)} keys sound {tries}"
        answer = await stage.until("an answer", lambda: judge.since("answer", at))
        again = f" (before that {tries[:-1]})" if tries[:-1] else ""
        return f"{len(KEYS)} keys sound{again}; it answers, first {answer[0]}"

    async def why() -> str:
        seen = (
            "(() => { const c = document.querySelector('#roll').getBoundingClientRect();"
            " const s = componium.roll.seen?.find(p => p.note.part === 'bells' && p.left > 60"
            " && p.right < c.width * 0.8);"
            " return s && [c.x + (s.left + s.right) / 2, c.y + (s.top + s.bottom) / 2]; })()"
        )
        await page.ask("scrollTo(0, 0)")
        said = ""
        for _ in range(10):  # the roll moves on beneath the finger
            await page.press(*(await page.until(seen)))
            said = await page.ask("document.querySelector('#why')?.textContent ?? ''")
            if "Up" in said or "Down" in said:
                break
        assert "Up" in said or "Down" in said, f"the page does not say why: {said!r}"
        path = "[...document.querySelectorAll('#why .path li')].map(e => e.textContent)"
        return f"because of {' → '.join(await page.ask(path))}"

    write = (
        "(t => { const e = document.querySelector('#rules textarea'); e.value = t;"
        " e.dispatchEvent(new Event('input'));"
        " document.querySelector('#rules .primary').click(); })"
    )

    async def typo() -> str:
        await page.ask("document.querySelector('[data-to=rules]').click()")
        await page.ask("document.querySelector('.picker [data-part=bells]').click()")
        await page.until("document.querySelector('#rules textarea').value.includes('Up -> c1')")
        at = time.monotonic_ns()
        await page.ask(f"{write}({json.dumps(TYPO)})")
        said = await page.until(
            "!document.querySelector('.wrong').hidden"
            " && document.querySelector('.wrong').textContent"
        )
        assert said.startswith("Line 3"), said
        await stage.until("the old rules", lambda: len(judge.since("bells", at)) > 3)
        return f"{said.split('.')[0][:60]!r}; the old rules go on"

    async def right() -> str:
        await page.ask(f"{write}({json.dumps(RIGHT)})")
        await page.until(
            "document.querySelector('#rules .said').textContent === 'these rules play'"
        )
        at = time.monotonic_ns()
        await page.until(
            "[...componium.roll.notes.values()].filter(n => n.part === 'bells')"
            '.some(n => n.symbol === "c1\'")'
        )
        await stage.until("bells", lambda: judge.since("bells", at))
        return "the new rules play"

    async def danger() -> str:
        await page.ask("document.querySelector('[data-to=launch]').click()")
        await page.ask("document.querySelector('.when [data-value=bar]').click()")
        await page.ask(
            "[...document.querySelectorAll('.launcher')]"
            ".find(b => b.textContent.startsWith('Danger')).click()"
        )
        await stage.until("Danger", lambda: judge.said.get("section", ("",))[0] == "Danger")
        await page.until("document.querySelector('#section').textContent === 'Danger'")
        return f"seen at the page; the game: {await stage.printed('section Danger')}"

    async def pickups() -> str:
        await stage.printed("receipt /componium/stinger")
        await stage.until("a stinger", lambda: judge.said.get("stinger", ("",))[0] == "pickup")
        return "the stinger rings"

    async def linked() -> str:
        stage.peer.ask(162)
        near = "Math.abs(componium.store.get('/componium/sync/tempo') - 162) < 0.1"
        await page.until(near)
        await stage.until("162 bpm", lambda: abs(judge.said.get("beat", (0, 0, 0))[2] - 162) < 0.5)
        return "162 bpm, at the page and in the beats"

    async def faster() -> str:
        door.ask("/componium/tempo", float(TEMPO))
        await stage.until("150 bpm", lambda: abs(judge.said["beat"][2] - TEMPO) < 0.5)
        await stage.until("150 in the session", lambda: abs(stage.peer.look().tempo - TEMPO) < 0.1)
        return f"{TEMPO} bpm again, and the other member has it"

    async def boss() -> str:
        await stage.printed("section Boss")
        blows = [await stage.printed(f"blow {life}") for life in (3, 2, 1, 0)]
        return f"the gate opens with the section; {len(blows)} blows on the beat"

    async def victory() -> str:
        await stage.printed("section Victory")
        await stage.until("the fanfare", lambda: judge.said.get("stinger", ("",))[0] == "win")
        return "Victory, and the fanfare"

    async def style() -> str:
        before = set(judge.parts)
        door.ask("/componium/style", "rock", "bar", patience=10)
        fresh = await stage.until("another ensemble", lambda: set(judge.parts) - before)
        return f"another ensemble: {', '.join(sorted(fresh)[:3])} …"

    async def pulled() -> str:
        stage.unplug()
        begun = judge.ledger.begun
        await stage.until("music", lambda: judge.ledger.begun > begun + 8)
        stage.ear = Ear(stage.jack)
        await stage.until("the synth", lambda: heard_again(stage))
        return "the others play on; back, it sounds"

    async def stalled() -> str:
        before = len(game.lines)
        os.kill(game.process.pid, signal.SIGSTOP)
        try:
            begun = judge.ledger.begun
            await asyncio.sleep(1.5)
            judge.listen()
            assert judge.ledger.begun > begun, "no music while the game hangs"
        finally:
            os.kill(game.process.pid, signal.SIGCONT)
        return f"the music does not; then {await stage.printed('beat ', before + 2)}"

    async def coda() -> str:
        at = time.monotonic_ns()
        door.send("/componium/scene", "coda", "bar")
        await stage.until("the coda", lambda: judge.since("ground", at))
        await page.until("document.querySelector('#title').textContent === 'Coda'")
        return "heard, and its title at the page"

    async def misspelt() -> str:
        at, file = time.monotonic_ns(), stage.folder / "coda.toml"
        file.write_text(file.read_text().replace("c1 c5 c1 c5", "c1 -> c5", 1))
        line = "[...document.querySelectorAll('#rig li.bad')].map(e => e.textContent)"
        said = await page.until(f"{line}.find(t => t.includes('parts.ground.rules'))")
        await stage.until("the ground", lambda: len(judge.since("ground", at)) > 4)
        return f"{said[8:90].strip()!r} at the page; the old one goes on"

    async def spelt() -> str:
        at, file = time.monotonic_ns(), stage.folder / "coda.toml"
        file.write_text(file.read_text().replace("c1 -> c5", "c1 c3 c1 c3", 1))
        fifths = set(judge.since("ground", 0)[:4])
        await stage.until("thirds", lambda: set(judge.since("ground", at)) - fifths)
        return "read again at the bar line"

    async def keyboard_again() -> str:
        stage.jack.run("jack_connect", stage.keys.port, KEYBOARD)  # had it fallen out
        return await keyboard()

    for what, play in (
        ("everybody is attached", attached),
        ("OSC: the bells an octave up", octave),
        ("keyboard: a phrase for the Continuator", keyboard),
        ("page: a note is tapped, why?", why),
        ("page: a rule with a typo", typo),
        ("page: the rule corrected", right),
        ("page: section Danger; the game's hero sets out", danger),
        ("game: pickups", pickups),
        ("Link: the other member goes to 162", linked),
        ("game: the boss's gate, and the fight", boss),
        ("OSC: the tempo, for the session", faster),
        ("game: the last blow", victory),
        ("OSC: another style", style),
        ("the synth is unplugged, and back", pulled),
        ("the game hangs for 1.5 s", stalled),
        ("OSC: another scene", coda),
        ("OSC: a mood", mood),
        ("keyboard: a phrase in the new scene", keyboard_again),
        ("the scene's file is saved with a typo", misspelt),
        ("and without", spelt),
    ):
        await stage.step(what, play)


def heard_again(stage: Stage) -> bool:
    """Whether the synth has heard a note of late; its books are brought up to date."""
    heard = stage.ear.take()
    before = stage.synths[-1].sounding if stage.synths else frozenset()
    stage.synths.append(balance(heard, before))
    return any(message.on for message in heard)


def silence_of(scene: Path, bars: int) -> float:
    """The longest silence of a scene undisturbed, in quarter notes."""
    spans = sorted(
        (float(each.note.start), float(each.note.end)) for each in written(scene, SEED, bars)
    )
    longest, over = 0.0, spans[0][1]
    for start, end in spans:
        longest, over = max(longest, start - over), max(over, end)
    return longest


async def play(folder: Path, rest: float, timed: bool) -> int:
    """Play it; the status."""
    stage = Stage(folder, rest, 1 if timed else 3)
    async with AsyncExitStack() as stack:
        await stage.enter(stack)
        timer = Timer()
        await perform(stage)
        until = stage.judge.places[-1][0]
        errors = list(stage.page.errors)
        stalls = timer.stop()
        status, _ = stage.show.end()
        await asyncio.sleep(0.3)
        stage.judge.listen()
        heard_again(stage)
        said = (folder / "diary").read_text().splitlines()
    judge, synth = stage.judge, stage.synths[-1]
    scenes = [folder / f"{name}.toml" for name in ("keep", "coda")]
    own = max([await asyncio.to_thread(silence_of, scene, 48) for scene in scenes])
    times = [ms for ms, *_ in judge.late]
    longest, late = judge.longest(until), quantile(times, 0.99)
    worst = [f"{ms:.1f} {part} in bar {bar}" for ms, bar, part in sorted(judge.late)[-3:]]
    print(table(["from bar", "programme", "heard or seen", "by bar", "s"], stage.programme))
    rows = [
        ["notes, in bars", f"{judge.ledger.begun:,}, {judge.bar}", ""],
        ["longest silence, quarter notes", f"{longest:.2f}", f"≤ {own + PAUSE:.2f}"],
        ["undisturbed, and the pause that a transition makes", f"{own:.2f} + {PAUSE}", ""],
        [
            "sounding after the end: receiver, synth",
            f"{len(judge.ledger.sounding)}, {len(synth.sounding)}",
            "0",
        ],
        [
            "notes late, ms: p50, p99, max",
            ", ".join(f"{quantile(times, q):.2f}" for q in (0.5, 0.99, 1.0)),
            f"p99 ≤ {LATE:g}",
        ],
        ["the latest", ", ".join(worst), ""],
        ["a bare timer late meanwhile, ms", f"{stalls:.1f}", ""],
        ["complaints in the page's console", str(len(errors)), "0"],
        ["status at the end", str(status), "143"],
    ]
    print(table(["what", "figure", "bar"], rows))
    wrong = [f"{what}: {heard}" for _, what, heard, *_ in stage.programme if "failed" in heard]
    wrong += [f"the page complains: {each}" for each in errors]
    wrong += [f"stuck: {sorted(judge.ledger.sounding)}"] * bool(judge.ledger.sounding)
    wrong += [f"stuck at the synth: {sorted(synth.sounding)}"] * bool(synth.sounding)
    wrong += [f"ended with {status}"] * (status != 143)
    wrong += [f"silent for {longest:.2f} quarter notes"] * (
        longest > (own + PAUSE if timed else HOLE)
    )
    wrong += [f"p99 late by {late:.2f} ms"] * (timed and late > LATE)
    print("wrong: " + ("\n- ".join(["", *wrong]) if wrong else "nothing"))
    print("\nits own words:")
    print("\n".join(said[-40:]))
    return 1 if wrong else 0


def main(argv: list[str]) -> None:
    """Print the programme as it was played, and the judgement."""
    ask = argparse.ArgumentParser(prog="bench set", description=__doc__)
    ask.add_argument("--rest", type=float, default=4, help="bars between two steps")
    ask.add_argument("--untimed", action="store_true", help="for a busy machine")
    options = ask.parse_args(argv)
    if not inside():
        raise SystemExit(again_inside("set", *argv))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"XDG_CONFIG_HOME": name, "XDG_STATE_HOME": name}
        raise SystemExit(asyncio.run(play(folder, options.rest, not options.untimed)))
