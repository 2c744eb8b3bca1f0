"""Bands beside each other: nothing that one does is heard of another."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.band.bands import (
    APART,
    CALMED,
    FAR,
    MOST,
    PUT_OFF,
    RESERVED,
    SESSION,
    Band,
    Bands,
    band_in,
    base_of,
    check_name,
)
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Played, Troubled
from server.concert.player import Player
from server.ensemble.rack import Numbers, Rack, Share
from server.score.scene import Scene
from tests.server.model import MIDI, MS, SECOND, ModelWire, row, scene

F = Fraction
TUNES = {
    "one": scene(
        row("tune", "C D E F G 1/8 A 1/8t B 1/16", chance=True, grid=None, swing=0.6),
        row("bass", "I V7 ii vi", chance=True, grid=F(2), human_time=0.01),
    ),
    "two": scene(row("bells", "C6 E6 G6", chance=True, grid=F(1, 4)), name="two", tempo=97, seed=3),
    "clocked": scene(row("keys", "C E", grid=F(1)), name="three", output=MIDI, tempo=140),
}


class Hall:
    """The band without a name and others, on one wire in virtual time."""

    def __init__(self, piece: Scene | None = None) -> None:
        self.clock = VirtualClock(10**12)
        self.wire = ModelWire(self.clock)
        self.wires = {"osc": self.wire, "midi": self.wire}
        self.numbers = Numbers()
        shares = {kind: Share(wire, 0) for kind, wire in self.wires.items()}
        self.player = Player(self.clock, lambda ids: Rack(shares, ids, numbers=self.numbers))
        self.bands = Bands(self.clock, self.wires, self.numbers)
        self.heard: dict[str, list[Entry]] = {"": []}
        self.player.journal.add(self.heard[""].append)
        if piece is not None:
            self.player.cue(piece)
            self.player.play()

    def open(self, name: str, piece: Scene) -> Band:
        band = self.bands.open(name, piece)
        self.heard[name] = []
        band.player.journal.add(self.heard[name].append)
        band.player.play()
        self.bands.hasten(band)
        return band

    def go(self, ns: int) -> None:
        end = self.clock.now() + ns
        while self.clock.now() < end:
            due = min(self.bands.look(), self.player.expected, end)
            self.clock.jump(max(due - self.clock.now(), MS))
            self.wire.run()
            if self.player.expected <= self.clock.now():
                self.player.wake()

    def sent(self, band: int, since: int) -> list[tuple[int, bytes]]:
        """What left for a band, in nanoseconds since a moment."""
        return [
            (at - since, data) for at, data, event in self.wire.sent if event.part >> 16 == band
        ]

    def played(self, name: str) -> list[tuple[Any, ...]]:
        return [
            (entry.moment.beat, entry.note.pitch, entry.note.velocity, round(entry.duration, 9))
            for entry in self.heard[name]
            if isinstance(entry, Played)
        ]


def alone(piece: Scene, ns: int) -> tuple[list[tuple[Any, ...]], list[tuple[int, bytes]]]:
    hall = Hall()
    hall.open("same", piece)
    begin = hall.clock.now()
    hall.go(ns)
    return hall.played("same"), hall.sent(1, begin)


@pytest.mark.parametrize("piece", TUNES.values(), ids=TUNES.keys())
def test_a_band_plays_beside_others_what_it_plays_alone(piece: Scene) -> None:
    notes, sent = alone(piece, 5 * SECOND)
    hall = Hall(TUNES["one"])
    hall.open("first", TUNES["two"])
    hall.go(730 * MS)
    hall.open("same", piece)
    begin = hall.clock.now()
    hall.go(5 * SECOND)
    assert len(notes) > 5
    assert hall.played("same")[: len(notes) - 2] == notes[: len(notes) - 2]
    assert [each for each in hall.sent(2, begin) if each[0] < 4 * SECOND] == [
        each for each in sent if each[0] < 4 * SECOND
    ]


def _crash(hall: Hall, band: Band) -> None:
    def wake() -> None:
        raise RuntimeError("a defect")

    band.player.wake = wake  # type: ignore[method-assign]


DISTURBED: dict[str, Callable[[Hall, Band], object]] = {
    "stops": lambda hall, band: band.player.stop(),
    "panics": lambda hall, band: band.player.panic(),
    "is closed": lambda hall, band: hall.bands.close(band.name),
    "is muted": lambda hall, band: band.player.strip("tune", "mute", True),
    "is retimed": lambda hall, band: band.player.tempo(200.0),
    "changes its scene": lambda hall, band: band.player.change_scene(TUNES["two"], "beat"),
    "crashes": _crash,
}


@pytest.mark.parametrize("disturb", DISTURBED.values(), ids=DISTURBED.keys())
def test_whatever_happens_to_one_band_the_other_s_events_are_the_same(
    disturb: Callable[[Hall, Band], object],
) -> None:
    def kept(disturbed: bool) -> list[tuple[int, bytes]]:
        hall = Hall(TUNES["clocked"])
        begin = hall.clock.now()
        other = hall.open("other", TUNES["one"])
        hall.open("kept", TUNES["two"])
        hall.go(1_370 * MS)
        if disturbed:
            disturb(hall, other)
        hall.go(2 * SECOND)
        return hall.sent(0, begin) + hall.sent(2, begin)

    assert kept(True) == kept(False)


def test_the_band_without_a_name_halts_alone() -> None:
    hall = Hall(TUNES["one"])
    band = hall.open("on", TUNES["two"])
    hall.go(SECOND)
    hall.player.panic()
    before = len(hall.played("on"))
    hall.go(SECOND)
    assert band.player.playing
    assert len(hall.played("on")) > before + 4
    assert not [event for event in hall.wire.sounding.values() if event.part >> 16 == 0]


def test_a_band_that_goes_wrong_is_stopped_with_a_word() -> None:
    hall = Hall()
    band = hall.open("wrong", TUNES["one"])
    hall.go(SECOND)
    _crash(hall, band)
    hall.go(SECOND)
    assert not band.player.playing
    [trouble] = [each for each in hall.heard["wrong"] if isinstance(each, Troubled)]
    assert "a defect" in trouble.text
    assert not hall.wire.sounding and not hall.wire.queued


def test_a_band_whose_looks_take_too_long_is_stopped() -> None:
    hall = Hall(TUNES["two"])
    band = hall.open("slow", TUNES["one"])
    wake = band.player.wake

    def slow() -> None:
        wake()
        hall.clock.jump(150 * MS)

    band.player.wake = slow  # type: ignore[method-assign]
    hall.go(2 * SECOND)
    assert not band.player.playing
    assert any("ms a look" in e.text for e in hall.heard["slow"] if isinstance(e, Troubled))
    assert hall.player.playing


def test_two_hundred_bands_come_and_go_and_leave_nothing() -> None:
    hall = Hall(TUNES["one"])

    def come_and_go(times: int) -> None:
        for nth in range(times):
            hall.open(f"b{nth}", TUNES["clocked" if nth % 2 else "two"])
            hall.go(60 * MS)
            hall.bands.close(f"b{nth}")
        hall.heard = {"": []}
        hall.go(SECOND)
        gc.collect()

    come_and_go(3)
    things, ports = len(gc.get_objects()), dict(hall.wire.ports)
    come_and_go(200)
    assert hall.wire.ports == ports
    assert hall.numbers.ports == set(ports)
    assert {event.part >> 16 for event in hall.wire.queued.values()} <= {0}
    assert len(hall.bands) == 0
    assert not [each for each in gc.get_objects() if type(each) in (Band,)]
    # What the wire of the test itself keeps grows by what was sent.
    assert len(gc.get_objects()) - things < 200 * 40
    band = hall.open("again", TUNES["two"])
    assert band.number == 1


def test_an_id_is_never_used_by_two_bands() -> None:
    hall = Hall(TUNES["clocked"])
    seen: dict[int, set[int]] = {}
    for nth in range(12):
        hall.open(f"b{nth}", TUNES["clocked" if nth % 3 else "one"])
        hall.go(300 * MS)
        if nth >= 6:
            hall.bands.close(f"b{nth - 6}")
    for _, _, event in hall.wire.sent:
        seen.setdefault(event.id, set()).add(event.part)
    assert len(seen) > 100
    assert all(len(parts) == 1 for parts in seen.values())


def test_there_is_room_for_so_many_and_no_more() -> None:
    hall = Hall()
    hall.bands.most = 3
    for nth in range(3):
        hall.open(f"b{nth}", TUNES["two"])
    with pytest.raises(Mistake, match="there are 3 bands already"):
        hall.bands.open("more", TUNES["two"])
    with pytest.raises(Mistake, match="there is a band b1"):
        hall.bands.open("b1", TUNES["two"])
    assert MOST >= 200


@given(st.text(max_size=80))
def test_a_name_is_one_level_of_an_address_or_a_mistake(name: str) -> None:
    try:
        check_name(name)
    except Mistake:
        return
    address = f"{base_of(name)}/part/bass/mute"
    assert band_in(address) == name
    assert address.count("/") == 6 and address.isascii() and " " not in address
    assert len(address.encode()) <= 255
    assert name not in RESERVED
    assert band_in(f"{SESSION}/open") == band_in("/componium/tempo") == ""


def test_the_more_there_are_the_further_ahead_they_are_planned_and_play_the_same() -> None:
    notes, _ = alone(TUNES["one"], 4 * SECOND)
    hall = Hall()
    hall.open("same", TUNES["one"])
    few = hall.bands.get("same")
    assert few is not None
    horizon = few.player.horizon
    for nth in range(70):
        hall.open(f"b{nth}", TUNES["two"])
    assert few.player.horizon == pytest.approx(horizon * 71 / 32, abs=1)
    hall.go(4 * SECOND)
    assert hall.played("same")[: len(notes) - 3] == notes[: len(notes) - 3]
    for nth in range(70):
        hall.bands.close(f"b{nth}")
    assert few.player.horizon == horizon


def test_where_plans_come_too_late_already_another_band_is_refused() -> None:
    hall = Hall()
    for nth in range(6):
        band = hall.open(f"b{nth}", TUNES["two"])

        def slow(wake: Callable[[], None] = band.player.wake) -> None:
            wake()
            hall.clock.jump(40 * MS)

        band.player.wake = slow  # type: ignore[method-assign]
    hall.go(20 * SECOND)
    assert len(hall.bands) == 6
    with pytest.raises(Mistake, match="no room for another"):
        hall.bands.open("more", TUNES["two"])
    for band in list(hall.bands)[1:]:
        hall.bands.close(band.name)
    hall.go(20 * SECOND)
    hall.open("more", TUNES["two"])


@given(st.integers(1, 30), st.lists(st.integers(1, 90), min_size=1, max_size=8))
def test_who_makes_scenes_ready_does_so_in_turn_and_as_there_is_time(
    many: int, late: list[int]
) -> None:
    async def main() -> None:
        hall = Hall()
        bands = [hall.open(f"b{nth}", TUNES["two"]) for nth in range(3)]
        hall.go(SECOND)
        lets: list[tuple[int, int]] = []

        async def ask(nth: int) -> None:
            await hall.bands.calm()
            lets.append((nth, hall.clock.now()))

        tasks = [asyncio.ensure_future(ask(nth)) for nth in range(many)]
        await asyncio.sleep(0)
        began, turn = hall.clock.now(), 0
        while len(lets) < many:
            hall.clock.jump(late[turn % len(late)] * MS)  # something else has kept the loop
            turn += 1
            hall.bands.look()
            await asyncio.sleep(0)
            assert hall.clock.now() - began <= many * (PUT_OFF + 90 * MS)
        assert [nth for nth, _ in lets] == list(range(many)), "who asked first goes first"
        times = [at for _, at in lets]
        assert all(b - a >= APART for a, b in pairwise(times))
        assert all(band.player.playing for band in bands)
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_who_has_given_up_his_turn_keeps_nobody_waiting() -> None:
    async def main() -> None:
        hall = Hall()
        tasks = [asyncio.ensure_future(hall.bands.calm()) for _ in range(4)]
        await asyncio.sleep(0)
        for task in tasks[1:3]:
            task.cancel()
        hall.clock.jump(APART)
        hall.bands.look()
        await asyncio.wait_for(tasks[3], 5)

    asyncio.run(main())


def test_a_scene_that_is_over_is_gone_without_being_looked_for() -> None:
    hall = Hall()
    player = hall.open("ann", TUNES["one"]).player
    hall.go(SECOND)
    over = list[weakref.ref[object]]()
    gc.collect()
    gc.disable()
    try:
        for seed in range(6):
            assert player.cast is not None
            over.append(weakref.ref(player.cast))
            over += [weakref.ref(playing.part) for playing in player.cast.parts]
            player.change_scene(TUNES["one"].with_seed(seed), "bar", keep=True)
            if seed == 3:
                player.cue(TUNES["two"])
                player.play()
            hall.go(4 * SECOND)
        assert not [each for each in over if each() is not None]
    finally:
        gc.enable()


def test_the_collector_passes_over_new_scenes_a_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hall = Hall()
    bands = [hall.open(f"b{nth}", TUNES["one"]) for nth in range(40)]
    hall.go(SECOND)
    made = [0]
    monkeypatch.setattr(
        "server.band.bands.settle", lambda: made.append(sum(b.player.made for b in bands))
    )
    made[0] = sum(band.player.made for band in bands)
    for band in bands:
        band.player.change_scene(TUNES["one"].with_seed(7), "bar", keep=True)
    hall.go(4 * SECOND)
    assert made[-1] == made[0] + 40, "none is forgotten"
    assert max(b - a for a, b in pairwise(made)) <= 4


def test_what_a_wire_has_lost_is_given_again_band_by_band() -> None:
    hall = Hall()
    bands = [hall.open(f"b{nth}", TUNES["one"]) for nth in range(5)]
    hall.go(SECOND)
    told: list[str] = []
    for band in bands:

        def hear(entry: Entry, name: str = band.name) -> None:
            if isinstance(entry, Troubled):
                told.append(name)

        band.player.journal.add(hear)

        def slow(wake: Callable[[], None] = band.player.wake) -> None:
            wake()
            hall.clock.jump(3 * MS)

        band.player.wake = slow  # type: ignore[method-assign]
    hall.wire.silence()
    begun = {band.name: len(hall.played(band.name)) for band in bands}
    hall.bands.wire_silenced("the osc wire fell silent")
    assert not told, "nobody's plan waits for all of the others"
    hall.bands.look()
    assert 0 < len(told) < 5, "a turn of the loop is no longer than ever"
    hall.go(SECOND)
    assert sorted(told) == sorted(band.name for band in bands), "each once"
    assert all(len(hall.played(name)) > before for name, before in begun.items())
    assert all(hall.sent(band.number, hall.clock.now() - SECOND // 2)[-1][0] > 0 for band in bands)


def test_where_looks_come_late_all_are_planned_further_ahead_until_they_do_not() -> None:
    hall = Hall()
    bands = [hall.open(f"b{nth}", TUNES["two"]) for nth in range(3)]
    usual = bands[0].player.horizon
    hall.go(SECOND)
    assert {band.player.horizon for band in bands} == {usual}
    for _ in range(40):
        hall.go(50 * MS)
        hall.clock.jump(150 * MS)  # something else has had the machine
    assert {band.player.horizon for band in bands} == {FAR * usual}
    hall.go(CALMED + 10 * SECOND)
    assert {band.player.horizon for band in bands} == {usual}
