"""Names of MIDI ports, UDP sockets and the registry."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire.jack import Strays
from server.wire.midi import MidiPort, choose, messages
from server.wire.osc import OscPort
from server.wire.ports import FAILED, Absent, make

NAMES = ["Midi Through:Port-0 14:0", "Synth:Synth 1 20:0", "Synth:Synth 12 24:0"]


@pytest.mark.parametrize(
    ("wanted", "before", "found"),
    [
        ("through", "", 0),
        ("synth", "", 1),
        ("synth:synth 12", "", 2),
        ("synth", "Synth:Synth 12 99:0", 2),
        ("organ", "", None),
        ("24:0", "", None),
    ],
)
def test_a_port_is_meant_by_part_of_its_name(wanted: str, before: str, found: int | None) -> None:
    assert choose(NAMES, wanted, before) == found


@pytest.mark.parametrize("wanted", ["componium", "Melody", "Componium melody:melody"])
def test_our_own_ports_are_never_meant(wanted: str) -> None:
    names = ["Componium melody:melody", "Componium:melody 128:0"]
    assert choose(names, wanted) is None
    assert choose(names, wanted, before=names[0]) is None
    assert choose([*names, "My melody box 20:0"], "melody") == 2


def test_an_exact_name_comes_before_a_longer_one() -> None:
    assert choose(["bass 2", "bass"], "bass") == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0x80, 0xBF), st.integers(0, 127), st.integers(0, 127)),
            st.tuples(st.integers(0xC0, 0xDF), st.integers(0, 127)),
            st.just((0xF0, 1, 2, 3, 4, 0xF7)),
        ).map(bytes)
    )
)
def test_messages_are_taken_apart_as_they_were_put_together(parts: list[bytes]) -> None:
    assert messages(b"".join(parts)) == parts


def test_an_unknown_kind_is_told_and_not_imported() -> None:
    with pytest.raises(Absent, match="no kind of port called 'os'") as absent:
        make({"port": 0, "kind": "os"})
    assert absent.value.state == FAILED


def test_an_unknown_midi_system_is_told() -> None:
    with pytest.raises(Absent, match="no MIDI system 'midi2'"):
        MidiPort({"api": "midi2"}).open()


class Numbers:
    """A MIDI system that knows ports by numbers, and a port of which leaves once it was seen."""

    def __init__(self, system: object, client: str) -> None:
        self.names, self.leaving, self.led_to = NAMES.copy(), 1, ""

    def get_ports(self) -> list[str]:
        return self.names.copy()

    def open_port(self, number: int, title: str) -> None:
        if self.leaving:
            del self.names[0]
            self.leaving -= 1
        self.led_to = self.names[number]

    def close_port(self) -> None:
        self.led_to = ""

    def send_message(self, data: bytes) -> None: ...


def test_a_number_that_has_become_anothers_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.wire.midi.binding", lambda incoming: (Numbers, {"alsa": 1}))
    port = MidiPort({"name": "synth 1", "api": "alsa"})
    with pytest.raises(Absent, match="come and go"):
        port.open()
    assert port._out.led_to == ""
    port.open()
    assert port._out.led_to == NAMES[1]


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_osc_leaves_by_either_protocol(family: int, host: str) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as peer:
        try:
            peer.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} on this machine")
        peer.settimeout(2)
        port = OscPort({"host": host, "number": peer.getsockname()[1]})
        port.open()
        assert port.send(b"/hello")
        assert peer.recv(100) == b"/hello"
        port.close()


def test_a_peer_that_appears_gets_the_first_message_sent_to_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        number = peer.getsockname()[1]
    port = OscPort({"host": "127.0.0.1", "number": number})
    port.open()
    assert all(port.send(b"/lost") for _ in range(3))
    port.watch(0, calm=True)
    assert "nobody listens" in port.trouble
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", number))
        peer.settimeout(2)
        assert port.send(b"/heard")
        assert peer.recv(100) == b"/heard"
    port.close()


@pytest.mark.parametrize(("host", "number"), [("not a host", 9000), ("127.0.0.1", 70_000)])
def test_a_wrong_address_fails_for_good(host: str, number: int) -> None:
    with pytest.raises(Absent) as absent:
        OscPort({"host": host, "number": number}).open()
    assert absent.value.state == FAILED


MS = 1_000_000


def test_who_strays_is_looked_for_seldom_however_many_ports_ask() -> None:
    looks: list[int] = []
    changed = iter(range(1, 10**6))  # something comes and goes in /dev/shm all the time

    def look() -> frozenset[str]:
        looks.append(now)
        return frozenset()

    strays = Strays(lambda: next(changed), look, lambda: 0)
    for now in range(0, 1000 * MS, 50 * MS):
        assert not any(strays.found(now) for _ in range(28))
    assert looks == list(range(0, 1000 * MS, 100 * MS))


def test_who_is_gone_strays_once_the_news_of_it_would_have_come() -> None:
    here: set[str] = set()
    strays = Strays(lambda: -1, lambda: frozenset(here), lambda: 0)
    told: list[int] = []
    for now in range(0, 2000 * MS, 10 * MS):
        if now in (500 * MS, 1000 * MS):
            here.add(f"a client that left at {now}")
        if now == 740 * MS:  # the news of the first has come
            here.clear()
        if strays.found(now):
            told.append(now // MS)
    assert told == list(range(1300, 2000, 10))


def test_what_does_not_change_is_not_looked_at() -> None:
    looks: list[int] = []

    def look() -> frozenset[str]:
        looks.append(now)
        return frozenset()

    strays = Strays(lambda: 1, look, lambda: 10**9)
    for now in range(0, 1000 * MS, 50 * MS):
        assert not strays.found(now)
    assert looks == [0]
