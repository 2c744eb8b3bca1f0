"""Bands by command: who is opened and closed, what reaches whom, and what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.band.bands import SESSION, Band, Bands
from server.concert.clock import VirtualClock
from server.concert.journal import Troubled
from server.concert.player import Player
from server.concert.prompter import Prompter
from server.desk.desk import Desk, Source
from server.desk.feed import AT_ONCE, Feed, Outbox
from server.desk.lanes import Lanes
from server.desk.packet import Message
from server.desk.query import NESTED
from server.desk.sessions import Sessions, check_near, inner, outer
from server.ensemble.rack import Numbers, Rack, Share, Wire
from server.score.scene import Scene, overheard
from tests.server.model import MS, SECOND, ModelWire, row, scene

TUNE = scene(row("tune", "C E G", times=0), row("drums", "Kick Hat", channel=10), name="waltz")


class House:
    """A main desk and its sessions in virtual time; scenes are loaded at once."""

    def __init__(self) -> None:
        self.clock = VirtualClock(10**12)
        self.wire = ModelWire(self.clock)
        self.numbers = Numbers()
        self.soon: list[Callable[[], None]] = []
        wires = {"osc": self.wire}
        prompter = Prompter(self.clock.now, self.soon.append)
        mine: dict[str, Wire] = {"osc": Share(self.wire, 0), "web": prompter}
        self.player = Player(self.clock, lambda ids: Rack(mine, ids, numbers=self.numbers))
        self.player.cue(overheard(TUNE))
        self.player.play()
        self.desk = Desk(self.player, lambda name, style: TUNE)
        self.bands = Bands(self.clock, wires, self.numbers, soon=self.soon.append)
        self.feed = Feed(self.player, self.desk, prompter, {}, self._later)
        self.targets: list[str] = []
        self.sessions = Sessions(self.desk, self.bands, self._load, self._feed)
        self.feed.beside, self.feed.query.beside = self.sessions.feeds, self.sessions.queries
        self.answers: list[tuple[Any, ...]] = []
        self.source = Source("test", "control", lambda _, values: self.answers.append(values))

    def _later(self, ns: int, do: Callable[[], None]) -> None:
        """Nothing is said aloud here."""

    def _load(self, file: str, style: str, target: str) -> Scene:
        self.targets.append(target)
        return overheard(TUNE)

    def _feed(self, band: Band, desk: Desk) -> Feed:
        assert band.prompter is not None
        return Feed(band.player, desk, band.prompter, {}, self._later, name=band.name)

    def ask(self, address: str, *args: object) -> list[tuple[Any, ...]]:
        """Ask for something; the receipts that came at once."""
        self.answers.clear()
        self.desk.receive(address, args, self.source)
        return self.answers

    def go(self, ns: int) -> None:
        end = self.clock.now() + ns
        while self.clock.now() < end:
            due = min(self.bands.look(), self.player.expected, end)
            self.clock.jump(max(due - self.clock.now(), MS))
            self.wire.run()
            if self.player.expected <= self.clock.now():
                self.player.wake()
            while self.soon:
                self.soon.pop(0)()


@pytest.fixture
def house() -> House:
    made = House()

    async def fill() -> None:
        made.sessions.open("ann", overheard(TUNE))
        made.sessions.open("bob", overheard(TUNE))

    asyncio.run(fill())
    made.go(500 * MS)
    return made


def test_a_band_is_opened_by_name_and_plays_at_once() -> None:
    async def main() -> None:
        house = House()
        house.ask(f"{SESSION}/open", "ann", "house", "127.0.0.1:9000")
        for _ in range(2000):
            if house.answers:
                break
            await asyncio.sleep(0.001)
        assert [values[:2] for values in house.answers] == [(f"{SESSION}/open", "done")]
        assert house.targets == ["127.0.0.1:9000"]
        session = house.sessions.find("ann")
        assert session.band.player.playing
        house.go(SECOND)
        heard = [event.on for _, _, event in house.wire.sent if event.part >> 16]
        assert any(data.startswith(b"/componium/session/ann/part/tune/note\0") for data in heard)
        assert house.ask(f"{SESSION}/list")[0][3] == "ann"
        assert house.ask(f"{SESSION}/close", "ann")[0][1] == "done"
        assert not list(house.sessions) and len(house.bands) == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("open", "house"), "none of"),
        (("a b", "house"), "A-Z"),
        (("ann", "house"), "there is a band ann"),
        (("new", "no such"), "no scene is called"),
        (("new", "house", "10.0.0.9:9000"), "other machines"),
        (("new", "house", "127.0.0.1"), "such as 127.0.0.1:9000"),
    ],
)
def test_what_cannot_be_opened_is_refused_with_a_word(args: tuple[str, ...], why: str) -> None:
    async def main() -> None:
        house = House()
        house.sessions.open("ann", TUNE)
        house.ask(f"{SESSION}/open", *args)
        for _ in range(2000):
            if house.answers:
                break
            await asyncio.sleep(0.001)
        [(_, state, _, reason)] = house.answers
        assert state == "refused" and why in reason
        assert [each.band.name for each in house.sessions] == ["ann"]

    asyncio.run(main())


def test_a_band_that_is_closed_and_wanted_anew_while_it_is_read_answers_both() -> None:
    async def main() -> None:
        house = House()
        house.desk.receive(f"{SESSION}/open", ["ann", "house", "127.0.0.1:9000"], house.source)
        await asyncio.sleep(0)  # the scene is being read
        house.desk.receive(f"{SESSION}/close", ["ann"], house.source)
        house.desk.receive(f"{SESSION}/open", ["ann", "jazz", "127.0.0.1:9001"], house.source)
        for _ in range(2000):
            if len(house.answers) == 3:
                break
            await asyncio.sleep(0.001)
        assert [values[1] for values in house.answers] == ["done", "cancelled", "done"]
        assert house.sessions.find("ann").target == "127.0.0.1:9001"

    asyncio.run(main())


def test_a_command_reaches_its_band_alone_and_its_receipt_has_its_address(house: House) -> None:
    address = f"{SESSION}/ann/part/tune/mute"
    assert house.ask(address, True) == [(address, "done", pytest.approx(1, abs=1), "")]
    muted = {s.band.name: s.band.player.strips()["tune"].mute for s in house.sessions}
    assert muted == {"ann": True, "bob": False}
    assert not house.player.strips()["tune"].mute
    house.ask(f"{SESSION}/bob/tempo", 90, "bar")
    house.go(3 * SECOND)
    assert [values[:2] for values in house.answers] == [
        (f"{SESSION}/bob/tempo", "armed"),
        (f"{SESSION}/bob/tempo", "done"),
    ]


def test_a_pattern_means_the_controls_of_one_band(house: House) -> None:
    states = house.ask(f"{SESSION}/ann/part/*/mute", True)
    assert [values[:2] for values in states] == [
        (f"{SESSION}/ann/part/{name}/mute", "done") for name in ("tune", "drums")
    ]
    assert not any(strip.mute for strip in house.player.strips().values())
    [(address, state, _, _)] = house.ask(f"{SESSION}/*/part/tune/mute", True)
    assert (address, state) == (f"{SESSION}/*/part/tune/mute", "refused")


def test_what_is_not_there_is_refused_by_its_own_name(house: House) -> None:
    [(address, state, _, reason)] = house.ask(f"{SESSION}/ann/part/lute/mute", True)
    assert (address, state) == (f"{SESSION}/ann/part/lute/mute", "refused")
    assert f"{SESSION}/ann/part" in reason
    [(_, state, _, reason)] = house.ask(f"{SESSION}/eve/stop")
    assert state == "refused" and "no band is called 'eve'" in reason
    house.answers.clear()
    both = [(f"{SESSION}/ann/stop", ()), (f"{SESSION}/bob/stop", ())]
    house.desk.receive_all(both, house.source)
    assert {values[3] for values in house.answers} == {"a bundle is for one band"}


def test_a_stop_strikes_the_starts_of_its_own_band_alone(house: House) -> None:
    for name in ("ann", "bob"):
        house.ask(f"{SESSION}/{name}/stop")
    house.ask("/componium/stop")
    lanes = Lanes(house.desk)
    for name in ("ann", "bob"):
        lanes.put([Message(f"{SESSION}/{name}/play", ())], house.source)
    lanes.put([Message("/componium/play", ())], house.source)
    lanes.put([Message(f"{SESSION}/ann/stop", ())], house.source)
    lanes.work(lambda: False)
    playing = {s.band.name: s.band.player.playing for s in house.sessions}
    assert playing == {"ann": False, "bob": True}
    assert house.player.playing


def test_a_band_of_which_nobody_asks_anything_is_closed_if_that_was_wanted(house: House) -> None:
    troubles: list[Troubled] = []
    house.player.journal.add(lambda e: troubles.append(e) if isinstance(e, Troubled) else None)
    house.ask(f"{SESSION}/alive", "ann", 5)
    house.go(4 * SECOND)
    house.ask(f"{SESSION}/ann/part/tune/level", 0.5)  # a word is enough
    house.go(4 * SECOND)
    assert {each.band.name for each in house.sessions} == {"ann", "bob"}
    house.go(2 * SECOND)
    assert {each.band.name for each in house.sessions} == {"bob"}
    assert "ann" in troubles[0].text


def test_the_tree_of_a_band_is_asked_for_at_its_address(house: House) -> None:
    query = house.feed.query
    status, found = query.answer(f"{SESSION}/ann/part/tune/mute")
    assert status == 200
    assert found["FULL_PATH"] == f"{SESSION}/ann/part/tune/mute" and found["VALUE"] == [False]
    _, above = query.answer(SESSION)
    assert set(above["CONTENTS"]) == {"open", "close", "alive", "list", "ann", "bob"}
    assert above["CONTENTS"]["ann"]["CONTENTS"]["tempo"]["FULL_PATH"] == f"{SESSION}/ann/tempo"
    _, root = query.answer("/")
    nested = root["CONTENTS"]["componium"]["CONTENTS"]["session"]["CONTENTS"]["bob"]
    assert nested == query.answer(f"{SESSION}/bob")[1]
    _, whole = query.answer(f"{SESSION}/ann")
    _, own = query.answer("/componium")
    own["CONTENTS"].pop("session")
    assert (
        json.loads(json.dumps(whole).replace(f"{SESSION}/ann", "/componium")).keys() == own.keys()
    )
    assert set(whole["CONTENTS"]) == set(own["CONTENTS"])
    assert query.answer(f"{SESSION}/eve/tempo")[0] == 404
    assert query.value(f"{SESSION}/ann/tempo") == (120.0,)


def test_many_bands_are_named_and_each_answers_by_itself(house: House) -> None:
    query = house.feed.query

    async def fill() -> None:
        for nth in range(NESTED - 1):
            house.sessions.open(f"b{nth}", overheard(TUNE))

    asyncio.run(fill())
    _, above = query.answer(SESSION)
    assert {"ann", "b0"} <= set(above["CONTENTS"])
    assert "CONTENTS" not in above["CONTENTS"]["ann"]
    assert query.answer(f"{SESSION}/ann")[1]["CONTENTS"]
    assert query.answer("/?HOST_INFO")[1]["EXTENSIONS"]["LISTEN"] is True


def test_clients_are_told_of_bands_that_come_and_go(house: House) -> None:
    box = Outbox(house.clock.now, lambda: None)
    house.feed.look()
    house.feed.join(box)
    asyncio.run(_opened(house, "eve"))
    house.feed.look()
    house.sessions.close("ann")
    house.feed.look()
    frames = []
    while (frame := box.take()) is not None:
        frames.append(json.loads(str(frame)))
    assert {"COMMAND": "PATH_ADDED", "DATA": f"{SESSION}/eve"} in frames
    assert {"COMMAND": "PATH_REMOVED", "DATA": f"{SESSION}/ann"} in frames
    assert len(frames) == 2


async def _opened(house: House, name: str) -> None:
    house.sessions.open(name, overheard(TUNE))


def test_of_many_bands_that_are_heard_all_are_looked_at_in_turn(house: House) -> None:
    async def fill() -> None:
        for nth in range(30):
            house.sessions.open(f"b{nth}", overheard(TUNE))

    asyncio.run(fill())
    boxes: dict[str, Outbox] = {}
    for session in house.sessions:
        feed, name = session.feed, session.band.name
        assert feed is not None
        boxes[name] = Outbox(house.clock.now, lambda: None)
        feed.hear(feed.join(boxes[name]), ["state"], "view")
    for name, box in boxes.items():
        while box.take() is not None:
            pass
        house.ask(f"{SESSION}/{name}/part/tune/level", 0.25)

    def told() -> int:
        return sum(len(box) > 0 for box in boxes.values())

    house.feed.look()
    assert 0 < told() <= AT_ONCE
    for _ in range(3 * 32 // AT_ONCE + 3):
        house.feed.look()
    for name, box in boxes.items():
        frame = box.take()
        assert frame is not None and f"{SESSION}/{name}/part/tune/level" in str(frame)


def test_listeners_of_a_band_hear_it_by_its_name(house: House) -> None:
    session = house.sessions.find("ann")
    assert session.feed is not None
    box = Outbox(house.clock.now, lambda: None)
    listener = session.feed.join(box)
    session.feed.hear(listener, ["state", "beats", "plan", "notes"], "view")
    snapshot = json.loads(str(box.take()))
    assert snapshot["session"] == "ann"
    assert all(address.startswith(f"{SESSION}/ann/") for address in snapshot["snapshot"])
    assert snapshot["scene"]["parts"][0]["address"] == f"{SESSION}/ann/part/tune"
    house.go(SECOND)
    house.ask(f"{SESSION}/ann/part/tune/level", 0.5)
    for _ in range(3):
        house.feed.look()
    frames = []
    while (frame := box.take()) is not None:
        frames.append(json.loads(str(frame)))
    assert {"beat", "note"} <= {each.get("event") for each in frames}
    assert all(each["session"] == "ann" for each in frames if "event" in each or "plan" in each)
    assert {f"{SESSION}/ann/part/tune/level": [0.5]}.items() <= frames[-1]["state"].items()
    house.sessions.close("ann")
    assert json.loads(str(box.take())) == {"session": "ann", "closed": True}
    assert not session.feed.listeners


@given(st.sampled_from(["/componium/tempo", f"{SESSION}/x/tempo", f"{SESSION}/open", "/x", ""]))
def test_inner_and_outer_undo_each_other(address: str) -> None:
    base = f"{SESSION}/x"
    if address.startswith(base):
        assert outer(base, inner(address)) == address
    else:
        assert inner(address) == address


@given(st.text(max_size=40))
def test_a_target_is_near_or_a_mistake(target: str) -> None:
    try:
        check_near(target)
    except Mistake:
        return
    assert target in ("", "none", "virtual") or target.rpartition(":")[2].isdigit()
