"""A control log and its replay: the same notes, whatever was asked for and whenever."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.band.keyboard import Keyboard
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Marked, Moved, Played, Ported, Pressed, Synced, Troubled
from server.concert.player import Player
from server.concert.transport import HORIZON
from server.desk.desk import Desk, Source
from server.ensemble.rack import Rack
from server.music.note import Note
from server.replay import Deaf, Replay, retake, sent_to
from server.score.scene import Scene, load_scene, routed
from server.sync.source import INPUT, Sync
from server.takes.files import keeper
from server.takes.log import Entered, Log, LogWriter, read_log
from server.takes.recorder import Take
from server.wire.protocol import Heard as Arrived
from tests.server.sync.test_source import FakeSession

MS = 1_000_000
SECOND = 1000 * MS

SCENE = """
tempo = 132
[controls]
danger = 0.2
[inputs.keys]
midi = "virtual"
[outputs.game]
osc = "127.0.0.1:9000"
[mood]
start = [0.1, 0.0]
speed = 0.3
[form]
plan = "A B"
[form.sections.A]
bars = 4
energy = [0.3, 0.6]
repeats = true
[form.sections.B]
bars = 2
energy = 0.9
mode = "minor"
[themes.call]
notes = "1:1/4 3:1/4 5:1/2 | 4:1/4 2:1/4 1:1/2"
[parts.lead]
engine = "grammar"
rules = '''
S -> (danger) Fast | (1 - danger) Slow
Fast -> C 1/8 D 1/8 E 1/8 G 1/8
Slow -> C 1/4 E 1/4 | G 1/2
'''
humanize = { time_ms = 12, velocity = 0.1 }
[parts.bass]
engine = "lsystem"
axiom = "A"
rules = "A -> AB\\nB -> A"
reading = { A = "1 1/4", B = "5 1/4" }
octave = 2
[parts.hands]
engine = "performer"
[parts.echo]
engine = "continuator"
listens = ["keys"]
[parts.solo]
engine = "grammar"
rules = "S -> Rest 1/1"
input = "keys"
[stingers.blow]
notes = "c1:1/8 c5:1/8 c1':1/4"
"""
OTHER = SCENE.replace("132", "90").replace("C 1/8 D 1/8", "E 1/8 F 1/8")
COMMANDS: list[tuple[str, tuple[object, ...]]] = [
    ("tempo", (70,)),
    ("tempo", (180, 6.0)),
    ("tempo", (100, 0.0, "bar")),
    ("section", ("B", "bar")),
    ("section", ("A",)),
    ("section", ("B", "section")),
    ("part/lead/mute", (True,)),
    ("part/lead/mute", (False, "in 2 beats")),
    ("part/bass/density", (0.4,)),
    ("part/lead/octave", (1, "beat")),
    ("part/bass/level", (0.3, "phrase")),
    ("control/danger", (0.9,)),
    ("control/danger", (0.0, "bar")),
    ("emotion", ("tense", 2.0)),
    ("mood", (-0.7, 0.8)),
    ("tension", (0.9, 1.0)),
    ("key", ("F# minor", "bar")),
    ("stinger", ("blow",)),
    ("stinger", ("blow", "now")),
    ("part/hands/gesture", (2.0, 0.6, 0.8)),
    ("part/hands/hit", (0.5, 0.9)),
    ("feedback", (1,)),
    ("feedback", (-1, "lead")),
    ("likeness", (0.2,)),
    ("theme/record", ("call", 1)),
    ("seed", (7,)),
    ("seed", (8, "in 1 bar")),
    ("scene", ("other",)),
    ("scene", ("first", "phrase")),
    ("scene", ("nowhere",)),
    ("cancel", ()),
    ("stop", ()),
    ("continue", ()),
    ("play", ()),
    ("panic", ()),
    ("part/nobody/mute", (True,)),
    ("sync", ("midi",)),
    ("sync", ("link",)),
    ("sync", ("internal",)),
    ("nudge", (35.0,)),
    ("tap", (True,)),
]


class Live:
    """A performance in virtual time with a log, woken as unevenly as a machine does it."""

    def __init__(
        self, folder: Path, horizon: int, rng: random.Random, midi_in: tuple[str, ...] = ()
    ) -> None:
        self.midi_in = midi_in
        self.rng, self.clock = rng, VirtualClock(98_765_432_109_876)
        wires = {"osc": Deaf(), "midi": Deaf()}
        self.player = Player(
            self.clock, lambda ids: Rack(wires, ids), horizon=horizon, wall=lambda: 0
        )
        self.entries: list[Entry] = []
        self.player.journal.add(self.entries.append)
        self.alarm: int | None = None
        self.next = self.clock.now()  # when the player is woken next
        self.keyboard = Keyboard(self.player, self._set_alarm)
        join = lambda *wish: FakeSession(self)  # noqa: E731
        self.sync = Sync(self.player, join=join)
        self.desk = Desk(self.player, self.load, folder, keyboard=self.keyboard, sync=self.sync)
        self.lines: list[Entered] = []
        self.player.noting = lambda *line: self.lines.append(Entered(*line))
        self.head: dict[str, Any] = {
            "clock": self.clock.now(),
            "horizon": horizon,
            "wires": ["osc", "midi"],
        }
        self.head["route"] = self.route
        scene = self.load(str(folder / "first.toml"), "")
        with self.player.still("cue"):
            self.player.note("cue", scene=scene.recipe)
            self.player.cue(scene)
        self.keyboard.use(scene.inputs)
        self.clock.jump(rng.randrange(100 * MS))
        with self.player.still("play"):
            self.player.note("play", bars=0)
            self.player.play()

    @property
    def route(self) -> dict[str, Any]:
        return {"midi": "", "osc": [], "why": False, "midi_in": list(self.midi_in)}

    def load(self, file: str, style: str) -> Scene:
        return routed(load(file, style), midi_in=self.midi_in)

    def reroute(self, *midi_in: str) -> None:
        """The settings have been read again."""
        self.midi_in = midi_in
        with self.player.still("route"):
            self.player.note("route", route=self.route)

    @property
    def scene(self) -> Scene:
        assert self.player.scene is not None
        return self.player.scene

    def _set_alarm(self, at: int) -> None:
        self.alarm = at

    def pass_time(self, ns: int) -> None:
        end = self.clock.now() + ns
        while True:
            alarm = self.alarm
            due = min(self.next, end if alarm is None else alarm)
            if due >= end:
                break
            late = self.rng.choice((0, 50_000, 400_000, self.rng.randrange(40 * MS)))
            self.clock.jump(max(due + late - self.clock.now(), 0))
            if alarm is not None and alarm <= due:
                self.alarm = None
                self.keyboard.wake()
            else:
                self.next = self.clock.now() + self.player.period
                self.player.wake()
        self.clock.jump(max(end - self.clock.now(), 0))

    def stall(self, ns: int) -> None:
        self.clock.jump(ns)
        self.player.wake()

    def send(self, *messages: tuple[str, tuple[object, ...]]) -> None:
        asked = [(f"/componium/{address}", list(args)) for address, args in messages]
        self.desk.receive_all(asked, Source("test", role="edit"))

    def key(self, pitch: int, velocity: int) -> None:
        number = self.keyboard.number("keys")
        if number is not None:
            data = bytes((0x90, pitch, velocity))
            self.keyboard.heard(Arrived(number, self.clock.now() - 1_234_567, data))

    def clocked(self, message: bytes, bpm: float) -> None:
        """A transport message of a MIDI clock, and a few beats of its pulses."""
        self.sync.heard(Arrived(INPUT, self.clock.now(), message))
        for _ in range(60):
            self.pass_time(round(60e9 / 24 / bpm) + self.rng.randrange(-MS, MS))
            self.sync.heard(Arrived(INPUT, self.clock.now() - 200_000, b"\xf8"))

    def end(self) -> Log:
        with self.player.still("end"):
            self.player.note("end")
            self.player.stop()
        return Log(self.head, tuple(self.lines), True)


def load(file: str, style: str) -> Scene:
    return load_scene(Path(file), style)


def heard(entries: list[Entry]) -> list[Any]:
    """What anybody could hear or see of it, exactly; a symbol as it is told."""
    return [
        entry._replace(note=entry.note._replace(symbol=told(entry.note)))
        if isinstance(entry, Played | Pressed)
        else entry
        for entry in entries
        if not isinstance(entry, Troubled | Ported | Synced)
    ]


def told(note: Note) -> Any:
    return note.symbol.name, note.symbol.args, str(note.symbol.origin)


def again(log: Log) -> list[Entry]:
    replay, entries = Replay(log), list[Entry]()
    replay.journal.add(entries.append)
    replay.run()
    assert replay.exact, [entry for entry in entries if isinstance(entry, Troubled)]
    return entries


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scenes")
    (place / "first.toml").write_text(SCENE)
    (place / "other.toml").write_text(OTHER)
    return place


async def performed(
    folder: Path, horizon: int, doings: list[tuple[int, str, Any]], seed: int
) -> tuple[Live, Log]:
    live = Live(folder, horizon, random.Random(seed))
    for wait, what, data in doings:
        live.pass_time(wait)
        if what == "send":
            live.send(*data)
            while live.desk.loading:
                await asyncio.sleep(0.001)
                live.pass_time(3 * MS)
        elif what == "key":
            live.key(*data)
        elif what == "clock":
            live.clocked(*data)
        else:
            live.stall(data)
    live.pass_time(3 * SECOND)
    return live, live.end()


WAITS = st.integers(0, 2_500) | st.sampled_from([0, 1, 99, 100, 101])
DOING = st.one_of(
    st.tuples(st.just("send"), st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=3)),
    st.tuples(st.just("key"), st.tuples(st.integers(55, 75), st.sampled_from([0, 40, 100]))),
    st.tuples(
        st.just("clock"),
        st.tuples(
            st.sampled_from([b"\xfa", b"\xfb", b"\xfc", b"\xf2\x08\x00"]), st.floats(80, 170)
        ),
    ),
    st.tuples(st.just("stall"), st.sampled_from([190 * MS, 230 * MS, 700 * MS, 70 * SECOND])),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    doings=st.lists(st.tuples(WAITS, DOING), min_size=1, max_size=14),
    horizon=st.sampled_from([20 * MS, HORIZON, 400 * MS]),
    seed=st.integers(0, 2**16),
)
def test_a_log_replays_to_the_identical_journal(
    folder: Path, doings: list[Any], horizon: int, seed: int
) -> None:
    steps = [(wait * MS + seed, what, data) for wait, (what, data) in doings]
    live, log = asyncio.run(performed(folder, horizon, steps, seed))
    assert heard(again(log)) == heard(live.entries)


def log_of(folder: Path, *doings: tuple[int, str, Any]) -> tuple[Live, Log]:
    return asyncio.run(performed(folder, HORIZON, list(doings), 5))


DOINGS = (
    (1200 * MS, "send", [("tempo", (150, 4.0)), ("section", ("B", "bar"))]),
    (700 * MS, "key", (62, 90)),
    (300 * MS, "key", (62, 0)),
    (900 * MS, "send", [("scene", ("other", "bar"))]),
    (2000 * MS, "stall", 700 * MS),
)


@pytest.mark.parametrize("source", ["midi", "link"])
def test_music_that_followed_another_is_replayed_as_it_was(folder: Path, source: str) -> None:
    doings: list[tuple[int, str, Any]] = [
        (900 * MS, "send", [("sync", (source,))]),
        (10 * MS, "clock", (b"\xfa", 141.0)),
        (10 * MS, "clock", (b"\xfc", 140.0)),
        (10 * MS, "clock", (b"\xf2\x10\x00", 139.0)),
        (10 * MS, "clock", (b"\xfb", 160.0)),
        (700 * MS, "send", [("nudge", (-40.0,)), ("section", ("B", "bar"))]),
        (900 * MS, "stall", 700 * MS),
        (900 * MS, "send", [("stop", ())]),
        (900 * MS, "send", [("continue", ())]),
        (2900 * MS, "send", [("sync", ("internal",)), ("tempo", (100,))]),
    ]
    live, log = log_of(folder, *doings)
    assert {"bend", "entry"} <= {entered.what for entered in log.entries}
    assert heard(again(log)) == heard(live.entries)


def test_what_was_played_at_an_input_that_came_with_other_settings_is_replayed(
    folder: Path,
) -> None:
    async def played() -> tuple[Live, Log]:
        live = Live(folder, HORIZON, random.Random(5), ("none",))
        live.key(62, 90)  # nobody hears it
        live.pass_time(SECOND)
        live.reroute("virtual")
        live.send(("scene", ("first", "bar")))
        while live.desk.loading:
            await asyncio.sleep(0.001)
        live.pass_time(3 * SECOND)
        live.keyboard.use(live.scene.inputs)
        for pitch in (62, 65):
            live.key(pitch, 90)
            live.pass_time(SECOND)
            live.key(pitch, 0)
        return live, live.end()

    live, log = asyncio.run(played())
    pressed = [entry for entry in heard(again(log)) if isinstance(entry, Pressed)]
    assert len(pressed) == 2
    assert heard(again(log)) == heard(live.entries)
    assert heard(again(sent_to("none", log))) == heard(live.entries), "whatever port it has"


def test_what_was_recorded_is_rendered_again_to_the_byte(folder: Path) -> None:
    live, log = log_of(folder, *DOINGS)
    take = Take(1821, "1.0")
    take.begin(load(str(folder / "first.toml"), "").ensemble)
    for entry in live.entries:
        if isinstance(entry, Marked) and entry.kind == "scene" and entry.name == "other":
            take.begin(load(str(folder / "other.toml"), "").ensemble)
        take.add(entry)
    assert retake(Replay(log), keeper(Path("a.mid"), "1.0")) == take.file()


def test_a_log_goes_through_its_file(folder: Path, tmp_path: Path) -> None:
    live, log = log_of(folder, *DOINGS)
    writer = LogWriter(tmp_path / "a.log", log.head, lambda trouble: None)
    for entry in log.entries:
        writer(entry.mark, entry.what, dict(entry.data))
    assert writer.close()
    assert heard(again(read_log(tmp_path / "a.log"))) == heard(live.entries)


def test_another_scene_than_the_logs_is_said_and_played(folder: Path, tmp_path: Path) -> None:
    _, log = log_of(folder, *DOINGS)
    (tmp_path / "other.toml").write_text(OTHER.replace("tempo = 90", "tempo = 91"))
    (tmp_path / "first.toml").write_text(SCENE)
    replay = Replay(log, lambda recipe: load(str(tmp_path / Path(recipe["file"]).name), ""))
    entries: list[Entry] = []
    replay.journal.add(entries.append)
    replay.run()
    said = [entry.text for entry in entries if isinstance(entry, Troubled)]
    assert any("other has changed since" in text for text in said) and not replay.exact
    assert any(entry.kind == "scene" and entry.name == "other" for entry in marks(entries))
    assert isinstance(entries[-1], Moved) and entries[-1].state == "stopped"


def test_a_log_that_is_not_of_its_music_says_where_it_departs(folder: Path) -> None:
    _, log = log_of(folder, *DOINGS)
    third = log.entries[3]
    wrong = third._replace(mark=third.mark._replace(beat=third.mark.beat + 1))
    entries = [wrong if entry is third else entry for entry in log.entries]
    replay, said = Replay(log._replace(entries=tuple(entries))), list[str]()
    replay.journal.add(lambda entry: said.append(getattr(entry, "text", "")))
    replay.run()
    assert not replay.exact and any("departs from the log" in text for text in said)


def test_a_tampered_line_is_said_and_the_rest_is_played(folder: Path) -> None:
    _, log = log_of(folder, *DOINGS)
    entries = list(log.entries)
    for nth, data in ((4, {"orders": [["/componium/no/such", 1]]}), (5, {"orders": 3}), (6, {})):
        entries.insert(nth, Entered(entries[nth - 1].mark._replace(looks=()), "do", data))
    replay = Replay(log._replace(entries=tuple(entries)))
    replay.run()
    assert not replay.exact


def marks(entries: list[Entry]) -> list[Marked]:
    return [entry for entry in entries if isinstance(entry, Marked)]


def test_rules_written_while_it_plays_are_replayed(folder: Path) -> None:
    rules = "S -> G 1/4 A 1/4"
    live, log = log_of(
        folder, (900 * MS, "send", [("part/lead/rules", (rules,))]), (3 * SECOND, "stall", MS)
    )
    assert any(note.pitch % 12 == 9 for note in (e.note for e in live.entries if type(e) is Played))
    assert heard(again(log)) == heard(live.entries)


def test_a_log_has_its_scenes_texts_with_it(folder: Path) -> None:
    live, log = log_of(folder, *DOINGS)
    files = [folder / "first.toml", folder / "other.toml"]
    texts = [file.read_text() for file in files]
    try:
        for file in files:
            file.unlink()
        assert heard(again(log)) == heard(live.entries)
    finally:
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
