"""A band with a name has all that the one without has: log, inputs, clocks, files, takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from engines.taste import Lesson
from server.band.bands import LINKED, SESSION, Band, Bands
from server.band.earshot import Earshot
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Marked, Played, Troubled
from server.concert.player import Player
from server.desk import desk
from server.desk.desk import Desk, Source
from server.desk.folio import Folio
from server.desk.memory import State, state_of
from server.desk.outfit import Outfit, Tastes, place
from server.desk.roster import Kept, Roster
from server.desk.sessions import Session, Sessions
from server.desk.watch import Lookout, Watch
from server.ensemble.agenda import Agenda
from server.ensemble.part import Part
from server.ensemble.rack import Numbers, Rack, Share
from server.replay import Replay
from server.score import sources
from server.score.scene import Scene, load_scene, redirected, routed
from server.score.sources import Shelf
from server.takes.log import Entered, Log
from server.takes.recorder import Take
from tests.rigs.ears import FakeEars
from tests.server.model import MS, SECOND, ModelWire
from tests.server.sync.test_source import FakeSession

PIECE = """
tempo = 132
[inputs.keys]
midi = "Keystation"
[mood]
start = [0.1, 0.0]
[form]
plan = "A B"
[form.sections.A]
bars = 2
energy = [0.3, 0.6]
[form.sections.B]
bars = 2
energy = 0.9
[outputs.game]
osc = "127.0.0.1:9000"
[parts.lead]
engine = "grammar"
rules = "S -> C 1/8 D 1/8 E 1/4 | G 1/2 | A 1/8 Rest 1/8 B 1/4"
humanize = { time_ms = 12, velocity = 0.1 }
[parts.bass]
engine = "grammar"
rules = "S -> I:1/2 V7:1/2 | ii:1/1"
octave = 2
[parts.solo]
engine = "grammar"
rules = "S -> Rest 1/1"
input = "keys"
"""
OTHER = PIECE.replace("132", "90").replace("C 1/8 D 1/8", "E 1/8 F 1/8")
TARGET = "127.0.0.1:9100"


class House:
    """A main desk and bands in virtual time, whose scenes lie in a folder.

    lines: the log of each band that was ever opened, by its place in turn.
    """

    def __init__(
        self, folder: Path, look: int = 0, states: Path | None = None, afresh: bool = False
    ) -> None:
        self.troubles: list[Troubled] = []
        roster = Roster(states, self.troubles.append, afresh) if states is not None else None
        self.folder, self.shelf = folder, Shelf()
        self.clock = VirtualClock(10**12)
        self.wire = ModelWire(self.clock)
        self.numbers = Numbers()
        shares = {"osc": Share(self.wire, 0)}
        self.player = Player(self.clock, lambda ids: Rack(shares, ids, numbers=self.numbers))
        self.earshot = Earshot()
        self.ears = FakeEars(self.earshot.heard, self.earshot.state, self.earshot.lost)
        self.earshot.attach(self.ears)
        self.alarms: dict[object, int] = {}
        self.rings: dict[object, Callable[[], None]] = {}
        self.bands = Bands(
            *(self.clock, {"osc": self.wire}, self.numbers),
            earshot=self.earshot,
            alarm=self._alarm,
            join=lambda *wish: FakeSession(self),
        )
        self.desk = Desk(self.player, self.load, folder)
        self.logs: list[tuple[dict[str, Any], list[Entered]]] = []
        self.heard: dict[str, list[Entry]] = {}
        self.furnish: Callable[[Session], object] = lambda session: None
        self.sessions = Sessions(
            *(self.desk, self.bands, self.load_for),
            begin=self._begin,
            opened=self._opened,
            roster=roster,
        )
        self.player.journal.add(
            lambda entry: self.troubles.append(entry) if isinstance(entry, Troubled) else None
        )
        self.answers: list[tuple[Any, ...]] = []
        self.source = Source("test", "edit", lambda _, values: self.answers.append(values))
        self.look = look  # ns that the machine is late at each look

    def load(self, file: str, style: str) -> Scene:
        return routed(load_scene(Path(file), style))

    def load_for(self, file: str, style: str, target: str) -> Scene:
        scene = self.shelf.scene(Path(file), style)
        return redirected(scene, target) if target else routed(scene)

    def _alarm(self, ring: Callable[[], None]) -> Callable[[int], None]:
        self.rings[key := object()] = ring
        return partial(self.alarms.__setitem__, key)

    def _begin(self, band: Band, target: str) -> Callable[[], object]:
        lines: list[Entered] = []
        head = {
            **{"clock": self.clock.now(), "horizon": band.player.horizon},
            **{"look": band.player.period, "wires": ["osc"], "session": band.name},
            "route": {"target": target} if target else {},
        }
        self.logs.append((head, lines))
        band.player.noting = lambda *line: lines.append(Entered(*line))
        self.heard[band.name] = []
        band.player.journal.add(self.heard[band.name].append)
        return lambda: None

    def _opened(self, session: Session) -> None:
        self.furnish(session)

    def open(self, name: str, file: str = "first.toml", target: str = TARGET) -> Session:
        scene = self.load_for(str(self.folder / file), "", target)
        return self.sessions.open(name, scene, target)

    def ask(self, address: str, *args: object) -> list[tuple[Any, ...]]:
        self.answers.clear()
        self.desk.receive(address, args, self.source)
        return self.answers

    def go(self, ns: int) -> None:
        end = self.clock.now() + ns
        while self.clock.now() < end:
            due = min(self.bands.look(), self.player.expected, end, *self.alarms.values())
            left = end - self.clock.now()
            self.clock.jump(min(max(due - self.clock.now() + self.look, MS), left))
            self.wire.run()
            for key, at in list(self.alarms.items()):
                if at <= self.clock.now():
                    del self.alarms[key]
                    self.rings[key]()
            if self.player.expected <= self.clock.now():
                self.player.wake()

    async def bring_back(self) -> None:
        """Have those that there were, while the others play on."""
        task = asyncio.ensure_future(self.sessions.bring_back())
        while not task.done():
            await asyncio.sleep(0.001)
            self.go(2 * MS)
        task.result()

    async def loaded(self) -> None:
        while any(session.desk.loading for session in self.sessions):
            await asyncio.sleep(0.001)
            self.go(2 * MS)

    def key(self, pitch: int, velocity: int) -> None:
        [number] = [n for n, each in self.ears.opened.items() if each["name"] == "Keystation"]
        self.ears.play(self.clock.now() - 1_000, bytes((0x90, pitch, velocity)), number)

    def sounding(self, band: Band) -> int:
        mine = [e for e in self.wire.sounding.values() if e.part >> 16 == band.number]
        return len(mine)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("scenes")
    (place / "first.toml").write_text(PIECE)
    (place / "other.toml").write_text(OTHER)
    return place


def notes(entries: list[Entry]) -> list[tuple[Any, ...]]:
    return [
        (each.moment.beat, each.note.part, each.note.pitch, each.note.velocity, each.duration)
        for each in entries
        if isinstance(each, Played)
    ]


DOINGS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "eve"]),
        st.sampled_from(
            [
                ("tempo", 150.0, 4.0),
                ("part/lead/density", 0.5),
                ("part/bass/mute", True),
                ("mood", -0.6, 0.7),
                ("section", "B", "bar"),
                ("seed", 9),
                ("scene", "other"),
                ("stop",),
                ("play",),
                ("sync", "midi"),
                ("sync", "internal"),
                ("key", 64, 90),
                ("key", 64, 0),
                ("open",),
                ("close",),
                ("crowd",),
            ]
        ),
        st.integers(0, 1900),
    ),
    max_size=10,
)


async def performed(folder: Path, doings: list[Any], only: str = "", late: int = 0) -> House:
    """Bands that things are asked of. only: whose doings count, everybody's by default."""
    house = House(folder, late)
    house.open("ann")
    if not only:
        house.open("bob")
    for name, (what, *args), wait in doings:
        house.go(wait * MS)
        there = house.sessions.get(name) is not None
        if what == "key":
            house.key(*args)
        elif only and name != only:
            continue
        elif what == "open" and not there:
            house.open(name)
        elif what == "close" and there and name != "ann":
            house.sessions.close(name)
        elif what == "crowd" and not only:
            for nth in range(40):
                if house.sessions.get(f"x{nth}") is None:
                    house.open(f"x{nth}", target="none")
        elif there and what not in ("open", "close", "crowd"):
            house.ask(f"{SESSION}/{name}/{what}", *args)
            await house.loaded()
    house.go(2 * SECOND)
    return house


def taken(entries: list[Entry]) -> bytes:
    take = Take(1, "test")
    for entry in entries:
        take.add(entry)
    return take.file()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(doings=DOINGS, late=st.sampled_from([0, 3 * MS, 30 * MS]))
def test_the_log_of_each_band_replays_to_its_notes(
    folder: Path, doings: list[Any], late: int
) -> None:
    house = asyncio.run(performed(folder, doings, late=late))
    asyncio.run(house.sessions.end())
    last = {str(head["session"]): (head, lines) for head, lines in house.logs}
    for name in {"ann", "bob", "eve"} & last.keys():
        head, lines = last[name]
        replay, entries = Replay(Log(head, tuple(lines), True)), list[Entry]()
        replay.journal.add(entries.append)
        replay.run()
        assert replay.exact, [each for each in entries if isinstance(each, Troubled)]
        assert notes(entries) == notes(house.heard[name])
        assert taken(entries) == taken(house.heard[name]), "as a recorder would have kept it"
        assert lines[-1].what == "end"


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(doings=DOINGS)
def test_what_neighbours_do_changes_no_note(folder: Path, doings: list[Any]) -> None:
    timed = [each for each in doings if each[1][0] not in ("scene", "sync")]
    beside = asyncio.run(performed(folder, timed))
    alone = asyncio.run(performed(folder, timed, only="ann"))
    # What counts is what both have seen to its end.
    fewer, more = sorted(
        ([each[:4] for each in notes(house.heard["ann"])] for house in (beside, alone)), key=len
    )
    assert more[: len(fewer)] == fewer
    # A band among many is looked at less often: of the last moment something may lack.
    assert all(more[-1][0] - beat <= Fraction(1, 2) for beat, *_ in more[len(fewer) :])


def test_a_recorded_theme_is_answered_when_it_is_there_or_cannot_be(folder: Path) -> None:
    house = House(folder)
    house.open("ann")
    house.go(SECOND)
    house.ask(f"{SESSION}/ann/theme/record", "mine", 1)
    assert [each[1] for each in house.answers] == ["armed"]
    house.go(6 * SECOND)
    assert [each[1] for each in house.answers] == ["armed", "refused"], "nobody played"


def test_when_a_band_is_closed_every_note_of_it_ends(folder: Path) -> None:
    house = House(folder)
    ann, bob = house.open("ann"), house.open("bob")
    house.go(SECOND)
    house.key(60, 90)
    house.go(20 * MS)
    assert house.sounding(ann.band)
    house.sessions.close("ann")
    house.wire.run()
    assert house.sounding(ann.band) == 0
    assert not [e for e in house.wire.queued.values() if e.part >> 16 == ann.band.number]
    assert house.sounding(bob.band), "a neighbour's go on, the same key's among them"
    assert len(house.ears.opened) == 1
    house.sessions.close("bob")
    assert not house.ears.opened and not house.wire.sounding
    assert not house.wire.ports
    before = len(house.logs[0][1])
    house.go(15 * SECOND)  # what waits for its time when a band is closed never comes
    assert len(house.logs[0][1]) == before


def test_one_keyboard_plays_in_each_band_whose_scene_names_it(folder: Path) -> None:
    house = House(folder)
    for name in ("ann", "bob"):
        house.open(name)
    house.go(SECOND)
    assert len(house.ears.opened) == 1
    house.key(60, 90)
    house.go(200 * MS)
    house.ears.lose(next(iter(house.ears.opened)))
    house.go(200 * MS)
    for name in ("ann", "bob"):
        solo = [e for e in house.heard[name] if isinstance(e, Played) and e.note.part == "solo"]
        assert [each.note.pitch for each in solo] == [60]
        assert solo[0].duration == pytest.approx(0.2, abs=0.06)


def test_a_clock_leads_every_band_that_follows_it_and_no_other(folder: Path) -> None:
    house = House(folder)
    ann, bob = house.open("ann"), house.open("bob")
    house.go(SECOND)
    assert house.ask(f"{SESSION}/ann/sync", "midi")[0][1] == "done"
    [clock] = [n for n, each in house.ears.opened.items() if each["title"] == "clock"]
    assert ann.desk.sync.state == "waiting" and ann.band.player.playing
    for tempo in (100.0,):
        at = house.clock.now()
        for _ in range(24 * 8):
            house.ears.play(at, b"\xf8", clock)
            at += round(60e9 / tempo / 24)
            house.go(at - house.clock.now())
    assert ann.desk.sync.state == "locked"
    line = ann.band.player.timeline
    assert line.tempo_at(line.beat_at(house.clock.now())) == pytest.approx(100, abs=1)
    other = bob.band.player.timeline
    assert other.tempo_at(other.beat_at(house.clock.now())) == pytest.approx(132, abs=10)
    assert house.ask(f"{SESSION}/ann/sync", "internal")[0][1] == "done"
    assert clock not in house.ears.opened


def test_so_many_bands_may_be_in_a_link_session_and_the_next_is_told_why_not(folder: Path) -> None:
    house = House(folder)
    for nth in range(LINKED + 1):
        house.open(f"b{nth}", target="none")
    states = [house.ask(f"{SESSION}/b{nth}/sync", "link")[0][1:] for nth in range(LINKED + 1)]
    assert {state for state, _, _ in states[:LINKED]} == {"done"}
    assert states[LINKED][0] == "refused" and str(LINKED) in states[LINKED][2]
    assert house.sessions.find(f"b{LINKED}").desk.sync.source == "internal"
    house.sessions.close("b0")
    assert house.ask(f"{SESSION}/b{LINKED}/sync", "link")[0][1] == "done"


def test_a_band_that_cannot_begin_leaves_nothing(folder: Path, monkeypatch: Any) -> None:
    house = House(folder)

    def fail(*args: object) -> None:
        raise Mistake("sync", "link needs a library")

    scene = house.load_for(str(folder / "first.toml"), "", TARGET)
    monkeypatch.setattr("server.sync.source.Sync.open", fail)
    with pytest.raises(Mistake, match="needs a library"):
        house.sessions.open("ann", scene, TARGET)
    assert not list(house.sessions) and len(house.bands) == 0
    assert not house.ears.opened and not house.wire.ports


async def test_a_file_that_is_saved_is_read_by_each_band_that_plays_it(tmp_path: Path) -> None:
    (tmp_path / "first.toml").write_text(PIECE)
    (tmp_path / "other.toml").write_text(OTHER)
    house = House(tmp_path)
    lookout = Lookout(house.player.journal.enter)

    def furnish(session: Session) -> None:
        watch = Watch(session.desk, lookout=lookout)
        session.closing.append(watch.close)

    house.furnish = furnish

    async def until(what: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not what():
                house.go(20 * MS)
                await asyncio.sleep(0.005)

    def tempi() -> dict[str, float]:
        return {s.band.name: s.band.player.scene.tempo for s in house.sessions}  # type: ignore[union-attr]

    for name, file in (("ann", "first"), ("bob", "first"), ("eve", "other")):
        house.open(name, f"{file}.toml")
    await until(lambda: bool(lookout.folders))
    (tmp_path / "first.toml").write_text(PIECE.replace("tempo = 132", "tempo = 140"))
    await until(lambda: tempi() == {"ann": 140, "bob": 140, "eve": 90})
    starts = [e for e in house.heard["eve"] if isinstance(e, Marked) and e.kind == "scene"]
    assert len(starts) <= 1, "whose file has not changed plays on"
    (tmp_path / "first.toml").write_text(PIECE.replace("tempo = 132", "tempo = fast"))

    def troubles(name: str) -> list[str]:
        return [each.text for each in house.heard[name] if isinstance(each, Troubled)]

    await until(lambda: bool(troubles("ann") and troubles("bob")))
    assert "line 2" in troubles("ann")[0] or "tempo" in troubles("ann")[0]
    assert not troubles("eve")
    assert tempi() == {"ann": 140, "bob": 140, "eve": 90}
    before = len(notes(house.heard["ann"]))
    house.go(2 * SECOND)
    assert len(notes(house.heard["ann"])) > before + 4
    await house.sessions.end()
    assert not lookout.folders


def test_beats_of_a_band_are_its_own(folder: Path) -> None:
    house = House(folder)
    ann = house.open("ann")
    house.go(3 * SECOND)
    house.open("bob")
    house.go(SECOND)
    bob = house.sessions.find("bob")
    assert ann.band.player.now_beat > bob.band.player.now_beat + Fraction(4)


# What outlives the program ------------------------------------------------------------------------


def how(session: Session) -> State:
    """How a band is, but for the way to where its mood is heading."""
    state = state_of(session.desk, "")
    assert state is not None
    return state


async def test_bands_go_on_where_they_were(tmp_path: Path, folder: Path) -> None:
    before = House(folder, states=tmp_path)
    for name, file in (("ann", "first.toml"), ("Ann", "other.toml"), ("bob", "first.toml")):
        before.open(name, file)
    before.go(5 * SECOND)
    before.ask(f"{SESSION}/ann/part/lead/level", 0.5)
    before.ask(f"{SESSION}/ann/mood", -0.5, 0.25)
    before.ask(f"{SESSION}/Ann/seed", 12)
    before.ask(f"{SESSION}/alive", "ann", 900)
    before.ask(f"{SESSION}/close", "bob")
    before.go(4 * SECOND)
    were = {session.band.name: how(session) for session in before.sessions}
    await before.sessions.end()
    assert were["ann"].bar > 3

    house = House(folder, states=tmp_path)
    await house.bring_back()
    assert {session.band.name for session in house.sessions} == {"ann", "Ann"}
    ann = house.sessions.find("ann")
    assert ann.band.player.strips()["lead"].level == 0.5
    assert ann.patience == 900 * SECOND and ann.target == TARGET
    house.go(300 * MS)
    now = {session.band.name: how(session) for session in house.sessions}
    for name, state in now.items():
        assert (state.scene, state.seed) == (were[name].scene, were[name].seed)
        assert state.bar == were[name].bar, name
        assert state.commands == were[name].commands
    house.go(2 * SECOND)
    assert len(notes(house.heard["ann"])) > 4
    assert not house.troubles
    await house.sessions.end()  # and a log of such a band replays too
    for head, lines in house.logs:
        replay, entries = Replay(Log(head, tuple(lines), True)), list[Entry]()
        replay.journal.add(entries.append)
        replay.run()
        assert replay.exact
        assert notes(entries) == notes(house.heard[str(head["session"])])


async def test_at_the_end_all_play_on_until_each_is_written_down(
    tmp_path: Path, folder: Path
) -> None:
    house = House(folder, states=tmp_path)
    for nth in range(20):
        house.open(f"b{nth}")
    house.go(2 * SECOND)
    roster, ends = house.sessions._roster, asyncio.ensure_future(house.sessions.end())
    assert roster is not None
    players = [session.band.player for session in house.sessions]
    looks, before = 0, len(notes(house.heard["b0"]))
    while not ends.done():
        if all(player.playing for player in players):
            looks += 1
            house.go(100 * MS)
        await asyncio.sleep(0)
    assert looks >= 20, "the loop has its turn after each of them"
    assert len(notes(house.heard["b0"])) > before
    assert not any(player.playing for player in players)
    assert [kept.name for kept in roster.read()] == sorted(f"b{nth}" for nth in range(20))
    await house.sessions.end()  # nothing more


def test_what_one_band_finds_out_about_a_file_no_other_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "piece.toml").write_text(PIECE)
    shelf, read, tried = Shelf(), list[Path](), list[object]()

    def reading(path: Path, style: str) -> Scene:
        read.append(path)
        return load_scene(path, style)

    def planning(parts: list[Part]) -> Agenda:
        tried.append(parts)
        return Agenda(parts)

    monkeypatch.setattr("server.score.sources.load_scene", reading)
    monkeypatch.setattr("server.desk.desk.Agenda", planning)

    def fetch() -> Scene:
        scene = redirected(shelf.scene(tmp_path / "piece.toml"), TARGET)
        desk.rehearse(scene)
        return scene

    first = fetch()
    for _ in range(20):
        assert fetch().sheet is first.sheet
    assert len(read) == len(tried) == 1
    desk.rehearse(first.with_seed(5))
    assert len(tried) == 2, "from another seed it is other music"
    desk.rehearse(first.rewritten("bass", "S -> V:1/1"))
    assert len(tried) == 3
    (tmp_path / "piece.toml").write_text("tempo = fast")
    monkeypatch.setattr(sources, "JUST_NOW", 0.0)
    for _ in range(20):
        with pytest.raises(Mistake):
            fetch()
    assert len(read) == 2
    (tmp_path / "piece.toml").write_text(PIECE.replace("132", "133"))
    assert fetch().tempo == 133 and len(read) == 3


async def test_a_server_that_dies_has_lost_a_few_bars_at_most(tmp_path: Path, folder: Path) -> None:
    before = House(folder, states=tmp_path)
    for nth in range(40):
        before.open(f"b{nth}", target="none")
    before.go(20 * SECOND)
    assert before.sessions._roster is not None and before.sessions._roster.close()
    house = House(folder, states=tmp_path)
    await house.bring_back()
    assert len(list(house.sessions)) == 40
    bars = [how(session).bar for session in house.sessions]
    assert min(bars) >= 3


async def test_what_is_no_state_of_a_band_is_told_and_keeps_no_other_from_coming(
    tmp_path: Path, folder: Path
) -> None:
    before = House(folder, states=tmp_path)
    for name in ("ann", "bob", "eve"):
        before.open(name)
    before.go(SECOND)
    roster = before.sessions._roster
    assert roster is not None
    await before.sessions.end()
    roster.place("bob").write_text("{")
    text = roster.place("eve").read_text()
    (tmp_path / "0123abcd eve.json").write_text(text)
    roster.place("eve").write_text(text.replace('"scene": "first"', '"scene": "gone"'))
    house = House(folder, states=tmp_path)
    await house.bring_back()
    assert [session.band.name for session in house.sessions] == ["ann"]
    told = " / ".join(trouble.text for trouble in house.troubles)
    assert "bob" in told and "gone" in told and "0123abcd" in told
    assert len(house.troubles) == 3


async def test_bands_of_another_performance_stay_away(tmp_path: Path, folder: Path) -> None:
    before = House(folder, states=tmp_path)
    before.open("ann")
    before.go(SECOND)
    await before.sessions.end()
    brief = House(folder, states=tmp_path, afresh=True)
    brief.go(SECOND)
    await brief.sessions.end()
    assert len(list(tmp_path.iterdir())) == 1, "a brief one leaves what there was"
    house = House(folder, states=tmp_path, afresh=True)
    house.open("bob")
    house.go(9 * SECOND)
    await house.sessions.end()
    last = House(folder, states=tmp_path)
    await last.bring_back()
    assert [session.band.name for session in last.sessions] == ["bob"]


@given(st.text(max_size=70) | st.sampled_from(["con", "..", "a/b", "Ann", "ann"]), st.data())
def test_no_name_leads_out_of_the_folder_or_to_another_s_file(
    name: str, data: st.DataObject
) -> None:
    roster = Roster(Path("/states"), lambda trouble: None)
    state = State("x", "x", "", 1).data()
    band = {"name": name, "target": "", "patience": data.draw(st.floats() | st.integers())}
    try:
        kept = Kept.read(state | {"band": band})
    except Mistake:
        return
    place = roster.place(kept.name)
    assert place.parent == Path("/states") and 0 <= kept.patience <= 86_400
    other = kept.name.swapcase()
    if other != kept.name:
        assert str(place).lower() != str(roster.place(other)).lower()
    roster.close()


def test_a_file_that_cannot_be_removed_is_told_and_others_are_still_kept(tmp_path: Path) -> None:
    troubles: list[Troubled] = []
    roster = Roster(tmp_path, troubles.append)
    roster.place("ann").mkdir()
    roster.forget("ann")
    roster.keep(Kept("bob", "", 0.0, State("x", "x", "", 1)))
    assert roster.close()
    assert roster.place("bob").exists()
    assert [each.text.partition(":")[0] for each in troubles] == ["ann"]


# What each keeps -----------------------------------------------------------------------------


async def test_each_band_keeps_in_files_of_its_own_what_it_was_taught(
    tmp_path: Path, folder: Path
) -> None:
    def house() -> House:
        made = House(folder)
        tastes = Tastes(tmp_path / "taste.json", made.troubles.append, lambda do: do())
        made.sessions = Sessions(
            *(made.desk, made.bands, made.load_for),
            outfit=Outfit(
                folder, Folio(tmp_path), tastes, tmp_path / "tunes.toml", tmp_path / "maps.json"
            ),
        )
        return made

    async def until(true: Callable[[], object]) -> None:
        while not true():
            await asyncio.sleep(0.001)

    async def opened(house: House, name: str) -> Session:
        house.ask(f"{SESSION}/open", name, "first", TARGET)
        await until(lambda: house.answers)
        assert house.answers[0][1] == "done", house.answers
        return house.sessions.find(name)

    async def asked(house: House, address: str, *args: object) -> str:
        house.ask(f"{SESSION}/{address}", *args)
        await until(lambda: house.answers)
        assert house.answers[-1][1] == "done", house.answers
        return str(house.answers[-1][3])

    one = house()
    ann, bob = await opened(one, "ann"), await opened(one, "bob")
    one.go(2 * SECOND)
    ann.band.player.taste("first", "lead").add(Lesson("S", "C"), 1.0)
    ann.desk.midi.mappings.load([{"kind": "cc", "number": 7, "to": "/componium/tempo"}])
    assert ann.desk.midi.mappings.keep().startswith("kept in ")
    assert (await asked(one, "ann/feedback/save")).startswith("to ")
    text = (folder / "first.toml").read_text()
    one.ask(f"{SESSION}/ann/scene/write", "anns", text.replace("132", "77"))
    await one.loaded()
    assert one.answers[-1][1] == "armed", one.answers
    assert "anns" in bob.desk.scenes(), "what one has written all may play"
    one.sessions.close("ann")
    one.sessions.close("bob")
    two = house()
    ann, bob = await opened(two, "ann"), await opened(two, "bob")
    [(symbol, weights)] = ann.band.player.taste("first", "lead").to_data().items()
    assert symbol == "S" and 0.9 < weights["C"] <= 1, "it fades with each beginning"
    assert bob.band.player.taste("first", "lead").to_data() == {}
    assert [each["to"] for each in ann.desk.midi.mappings.data()] == ["/componium/tempo"]
    assert bob.desk.midi.mappings.data() == []
    assert not place(tmp_path / "taste.json", "bob").exists(), "nobody has taught it anything"
    assert not (tmp_path / "taste.json").exists(), "that is of the band without a name"
    place(tmp_path / "taste.json", "eve").write_text("nonsense")
    two.ask(f"{SESSION}/open", "eve", "first", TARGET)
    await until(lambda: two.answers)
    assert two.answers[0][1] == "refused" and "cannot be read" in two.answers[0][3]


def test_a_band_that_is_opened_again_at_once_knows_what_a_slow_disk_has_not_yet(
    tmp_path: Path, folder: Path
) -> None:
    gate = Event()
    tastes = Tastes(tmp_path / "taste.json", lambda trouble: None, lambda do: gate.wait(10))
    house = House(folder)
    ann = house.open("ann").band
    tastes.keep(ann, lambda state, reason: None)  # whoever is told of it holds up the rest
    ann.player.taste("first", "lead").add(Lesson("S", "C"), 1.0)
    tastes.leave(ann)
    assert tastes.read("ann") == ann.hands.tastes()
    gate.set()
    tastes.close(ann)
    assert tastes.read("ann") == ann.hands.tastes()


@given(st.sampled_from(["", "ann", "Ann", "con", "a.b-c", "x" * 64]))
def test_the_files_of_a_band_lie_beside_that_of_the_one_without_a_name(name: str) -> None:
    file = Path("/music/taste.json")
    found = place(file, name)
    assert found.parent in (file.parent, file.with_name("taste.json.bands"))
    assert found.suffix == ".json" and (found == file) == (name == "")
