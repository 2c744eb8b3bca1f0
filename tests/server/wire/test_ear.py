"""The ear in virtual time: parsing, stamps, loops, devices that go."""

from __future__ import annotations

import gc
import json
import signal
import socket
import threading
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire import hearing, protocol
from server.wire.ear import MS, MUTED, RETRY, SAME, SENSING, TICK, Ear, Parser, Stamper
from server.wire.midi_in import MidiInput
from server.wire.ports import FAILED, Absent, Dead
from server.wire.protocol import Heard, unpack_heard

KINDS = {0x80: 2, 0x90: 2, 0xA0: 2, 0xB0: 2, 0xC0: 1, 0xD0: 1, 0xE0: 2}
SYSTEM = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0, 0xFF: 0}
LENGTHS = {kind | channel: length for kind, length in KINDS.items() for channel in range(16)}
LENGTHS |= SYSTEM

messages = st.sampled_from(sorted(LENGTHS)).flatmap(
    lambda status: st.binary(min_size=LENGTHS[status], max_size=LENGTHS[status]).map(
        lambda data: bytes((status, *(byte & 0x7F for byte in data)))
    )
)


@given(st.lists(messages, max_size=20), st.data())
def test_whole_messages_come_out_as_they_went_in(played: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(played)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    parser = Parser()
    edges = [0, *cuts, len(stream)]
    heard = [m for a, b in pairwise(edges) for m in parser.feed(stream[a:b])]
    assert heard == played


@given(st.binary(max_size=300))
def test_whatever_goes_in_what_comes_out_is_midi(rubbish: bytes) -> None:
    for message in Parser().feed(rubbish):
        assert LENGTHS[message[0]] == len(message) - 1
        assert all(byte < 0x80 for byte in message[1:])


def test_running_status_and_realtime_in_the_middle() -> None:
    parser = Parser()
    assert parser.feed(bytes.fromhex("90 3c f8 64 40 64")) == [
        b"\xf8",
        bytes.fromhex("903c64"),
        bytes.fromhex("904064"),
    ]


def test_system_exclusive_is_left_out_however_long_and_takes_nothing_with_it() -> None:
    parser = Parser()
    assert parser.feed(b"\xf0" + b"\x01" * 100_000) == []
    assert parser.feed(b"\xf8\x02\xf7\x3c\x40") == [b"\xf8"]
    assert parser.feed(bytes.fromhex("b04001")) == [bytes.fromhex("b04001")]


def test_song_position_does_not_run_on() -> None:
    assert Parser().feed(bytes.fromhex("f2 10 00 20 00")) == [bytes.fromhex("f21000")]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), min_size=2, max_size=60),
)
def test_lateness_of_reading_is_taken_out_of_stamps(played: list[tuple[int, int]]) -> None:
    """Gaps of the driver in ms, and how late each was read in ms; the first is read in time."""
    stamper, now, true = Stamper(), 10_000 * MS, 10_000 * MS
    last = stamper.stamp(true, 0.0)
    for gap, late in played:
        true += gap * MS
        now = max(now, true + late * MS)
        stamp = stamper.stamp(now, gap / 1e3)
        assert last <= stamp <= now
        if now - true < 49 * MS:
            # no later than the truth and what the driver's clock may drift, and no earlier
            assert -1 <= stamp - true <= (true - 10_000 * MS) * 500e-6 + 1
        last = stamp
        now = stamp if stamp > now else now


def test_a_driver_without_deltas_is_stamped_when_it_is_read() -> None:
    stamper = Stamper()
    assert [stamper.stamp(at * 1_000 * MS, 0.0) for at in (1, 2, 3)] == [
        1_000 * MS,
        2_000 * MS,
        3_000 * MS,
    ]


class Device:
    """An input that does what a test says."""

    def __init__(self) -> None:
        self.gone: Absent | None = None
        self.left = self.shut = False
        self.connections: list[str] = []

    def open(self) -> None:
        if self.gone:
            raise self.gone

    def watch(self, now: int) -> bool:
        self.open()
        left, self.left = self.left, False
        return left

    def close(self) -> None:
        self.shut = True


class Rig:
    """An ear with one input, and what it says in order: messages, "loss" and states."""

    def __init__(self) -> None:
        self.now = 1_000 * MS
        self.device = Device()
        self.ear = Ear(self._hear, lambda settings, number: self.device, lambda: self.now)
        self.frames = protocol.Frames()
        self.said: list[Any] = []

    def _hear(self, data: bytes, skippable: bool) -> None:
        for kind, body in self.frames.feed(data):
            if kind == protocol.HEARD:
                self.said += [heard.data for heard in unpack_heard(body)]
            elif kind == protocol.LOST_HOLD:
                self.said.append("loss")
            elif kind == protocol.PORT:
                self.said.append(json.loads(body)["state"])

    def open(self) -> None:
        self.ear.feed(protocol.json_frame(protocol.OPEN, {"port": 0, "kind": "midi"}))

    def play(self, *messages: bytes) -> None:
        self.ear.arrived([(0, self.now, 0.0, message) for message in messages])

    def wait(self, milliseconds: int) -> None:
        until = self.now + milliseconds * MS
        while self.ear.next_tick <= until:
            self.now = max(self.now, self.ear.next_tick)
            self.ear.tick()
        self.now = until


ON, OFF = bytes.fromhex("903c64"), bytes.fromhex("803c00")


def test_what_is_played_is_heard_with_its_stamp() -> None:
    body = b"".join(map(protocol.pack_heard, all_ := [Heard(3, 5, ON), Heard(0, 7, b"\xf8")]))
    assert list(unpack_heard(body)) == all_
    rig = Rig()
    rig.open()
    rig.play(ON, OFF, b"\xf8", b"\xfa")
    assert rig.said == ["open", ON, OFF, b"\xf8", b"\xfa"]


def test_a_device_that_goes_loses_what_it_held_at_the_next_look_and_comes_back() -> None:
    rig = Rig()
    rig.open()
    rig.play(ON)
    rig.device.gone = Absent("gone")
    rig.wait(TICK // MS)
    assert rig.said == ["open", ON, "loss", "waiting"]
    rig.play(OFF)
    rig.device.gone = None
    rig.wait(RETRY // MS + TICK // MS)
    assert rig.said[4:] == ["open"]
    rig.play(ON)
    assert rig.said[-1] == ON


def test_who_leaves_a_virtual_input_loses_what_it_held() -> None:
    rig = Rig()
    rig.open()
    rig.device.left = True
    rig.wait(60)
    assert rig.said == ["open", "loss"]


def test_a_loop_is_muted_longer_each_time_and_nothing_held_stays() -> None:
    rig = Rig()
    rig.open()
    rig.play(*[ON] * (SAME + 100))
    assert rig.said == ["open", *[ON] * SAME, "loss", "muted"]
    rig.play(OFF)
    assert rig.said[-1] == "muted"
    rig.wait(MUTED // MS + 60)
    assert rig.said[-1] == "open"
    rig.play(*[ON] * (SAME + 1))
    assert rig.said[-2:] == ["loss", "muted"]
    rig.wait(MUTED // MS + 60)
    assert rig.said[-1] == "muted"
    rig.wait(MUTED // MS)
    assert rig.said[-1] == "open"


def test_a_clock_of_the_fastest_tempo_is_no_loop() -> None:
    rig = Rig()
    rig.open()
    for _ in range(24 * 999 // 60 * 3):
        rig.play(b"\xf8")
        rig.now += 60_000_000_000 // 999 // 24
    assert "muted" not in rig.said


def test_a_device_that_senses_and_falls_silent_is_gone_and_one_that_never_did_is_not() -> None:
    rig = Rig()
    rig.open()
    rig.play(ON)
    rig.wait(5_000)
    assert rig.said == ["open", ON]
    rig.play(b"\xfe")
    rig.wait(SENSING // MS - 60)
    rig.play(OFF)
    rig.wait(SENSING // MS - 60)
    assert rig.said == ["open", ON, OFF]
    rig.wait(120)
    assert rig.said == ["open", ON, OFF, "loss"]


def test_a_dead_server_asks_for_another_process_and_a_failure_is_not_retried() -> None:
    rig = Rig()
    rig.device.gone = Dead("the server stopped")
    rig.open()
    assert rig.ear.exit == 3
    rig = Rig()
    rig.device.gone = Absent("no such thing", FAILED)
    rig.open()
    rig.device.gone = None
    rig.wait(10_000)
    assert rig.said == ["failed"]


def test_a_port_that_is_looked_for_in_vain_leaves_nothing_behind() -> None:
    """In the ear's process no collector of garbage comes by, and this goes on all night."""
    port = MidiInput({"name": "virtual", "client": "nobody"}, lambda *_: None)
    for _ in range(2):
        with suppress(Absent):
            port.open()
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            with suppress(Absent):
                port.open()
        found = gc.collect()
    finally:
        gc.enable()
        port.close()
    assert found < 20


def test_what_finds_no_room_costs_only_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torrent(Device):
        def __init__(self, settings: dict[str, Any], deliver: Any) -> None:
            super().__init__()
            self.deliver = deliver

        def open(self) -> None:
            for pitch in range(5):
                self.deliver(0, 0.0, bytes((0x90, pitch, 64)))

    monkeypatch.setattr(hearing, "MidiInput", Torrent)
    monkeypatch.setattr(hearing, "MOST_WAITING", 3)
    monkeypatch.setattr(signal, "alarm", lambda seconds: None)
    monkeypatch.setattr(signal, "signal", lambda number, what: None)
    ours, theirs = socket.socketpair()
    ear = threading.Thread(target=hearing.run, args=(theirs,))
    ear.start()
    ours.sendall(protocol.json_frame(protocol.OPEN, {"port": 0}))
    frames, said, losses = protocol.Frames(), list[int](), 0
    while not losses:
        for kind, body in frames.feed(ours.recv(65_536)):
            if kind == protocol.HEARD:
                said += [heard.data[1] for heard in unpack_heard(body)]
            losses += kind == protocol.LOST_HOLD
    ours.close()
    ear.join()
    theirs.close()
    assert said == [0, 1, 2]
