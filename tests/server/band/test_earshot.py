"""Inputs that several bands hear: opened once, heard by all who want them, by nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.band.earshot import Earshot, Seat
from server.wire.protocol import Heard
from tests.rigs.ears import FakeEars

KEY = b"\x90\x3c\x40"


class Room:
    """An ear and three seats. heard: what each was told, by its name."""

    def __init__(self, most: int = 128) -> None:
        self.needed = 0
        self.earshot = Earshot(self._need, most)
        self.ears = FakeEars(self.earshot.heard, self.earshot.state, self.earshot.lost)
        self.told: dict[str, list[object]] = {}
        self.seats = {name: self._seat(name) for name in ("", "ann", "bob")}

    def _need(self) -> None:
        self.needed += 1

    def _seat(self, name: str) -> Seat:
        seat, told = Seat(self.earshot, name), self.told.setdefault(name, [])
        seat.heard = told.append
        seat.state = lambda *news: told.append(news)
        seat.lost = lambda *news: told.append(("lost", *news))
        return seat

    def open(self, seat: str, number: int, port: str, title: str = "in") -> None:
        self.seats[seat].open(
            {"port": number, "kind": "midi", "name": port, "client": "C", "title": title}
        )


def test_a_port_that_two_want_is_opened_once_and_heard_by_both_under_their_own_numbers() -> None:
    room = Room()
    room.open("ann", 4, "Keystation")
    room.open("bob", 7, "Keystation")
    room.open("bob", 8, "Pads")
    assert room.needed == 2 and not room.ears.opened
    room.earshot.attach(room.ears)
    assert sorted(each["name"] for each in room.ears.opened.values()) == ["Keystation", "Pads"]
    [number] = [n for n, each in room.ears.opened.items() if each["name"] == "Keystation"]
    room.ears.play(5, KEY, number)
    assert Heard(4, 5, KEY) in room.told["ann"]
    assert Heard(7, 5, KEY) in room.told["bob"]
    assert not room.told[""]
    room.ears.lose(number, "pulled")
    assert ("lost", 4, "pulled") in room.told["ann"]
    assert ("lost", 7, "pulled") in room.told["bob"]


def test_who_comes_later_is_told_how_the_port_is() -> None:
    room = Room()
    room.earshot.attach(room.ears)
    room.open("ann", 1, "Keystation")
    room.open("bob", 2, "Keystation")
    assert room.told["bob"] == [(2, "open", "")]


def test_virtual_ports_are_everybody_s_own_and_show_whose() -> None:
    room = Room()
    room.earshot.attach(room.ears)
    for name in ("", "ann", "bob"):
        room.open(name, 0, "virtual", "keys")
    titles = [each["title"] for each in room.ears.opened.values()]
    assert titles == ["keys", "ann keys", "bob keys"]


def test_a_virtual_clock_is_one_for_all() -> None:
    room = Room()
    room.earshot.attach(room.ears)
    for _ in range(3):
        seat = Seat(room.earshot, common="clock")
        seat.open({"port": 9, "kind": "midi", "name": "virtual", "client": "C", "title": "clock"})
    assert len(room.ears.opened) == 1


def test_one_who_raises_keeps_nothing_from_the_others() -> None:
    room = Room()
    room.earshot.attach(room.ears)
    room.open("ann", 0, "Keystation")
    room.open("bob", 0, "Keystation")

    def fail(heard: Heard) -> None:
        raise ValueError("a defect")

    room.seats["ann"].heard = fail
    with pytest.raises(ValueError, match="a defect"):
        room.ears.play(5, KEY)
    assert Heard(0, 5, KEY) in room.told["bob"]


def test_there_are_so_many_ports_and_no_more() -> None:
    room = Room(most=2)
    room.earshot.attach(room.ears)
    for number in range(3):
        room.open("ann", number, f"port {number}")
    assert len(room.ears.opened) == 2
    [(number, state, why)] = [
        n for n in room.told["ann"] if isinstance(n, tuple) and n[1] != "open"
    ]
    assert (number, state) == (2, "failed") and "2 MIDI inputs" in why
    room.open("bob", 0, "port 1")  # one that is open already
    assert (0, "open", "") in room.told["bob"]


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["", "ann", "bob"]),
            st.integers(0, 2),
            st.sampled_from(["virtual", "Keystation", "Pads"]),
        )
    )
)
def test_what_is_open_is_what_somebody_wants(steps: list[tuple[bool, str, int, str]]) -> None:
    room = Room()
    room.earshot.attach(room.ears)
    wanted: dict[tuple[str, int], str] = {}
    for opens, name, number, port in steps:
        if opens:
            room.open(name, number, port)
            wanted[name, number] = port
        else:
            room.seats[name].shut(number)
            wanted.pop((name, number), None)
        names = {
            f"{name} virtual" if port == "virtual" else port for (name, _), port in wanted.items()
        }
        assert len(room.ears.opened) == len(names)
        for told in room.told.values():
            told.clear()
        for number_of in list(room.ears.opened):
            room.ears.play(1, KEY, number_of)
        heard = sum(isinstance(each, Heard) for told in room.told.values() for each in told)
        assert heard == len(wanted)
