from __future__ import annotations

import json
import struct
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from engines.base import Origin, Symbol
from server.ensemble.encode import (
    NTP_EPOCH,
    MidiEncoder,
    OscEncoder,
    OutputSpec,
    WebEncoder,
    osc_bundle,
    osc_message,
)
from server.ensemble.part import Shade
from server.music.note import Note, Say, Turn
from server.wire.protocol import (
    LATE_DROP,
    LATE_SEND,
    RANK_CLOCK,
    RANK_CONTROL,
    RANK_NOTE,
    Event,
    pack_event,
    unpack_events,
)
from tests.server.model import MS, SECOND, row

F = Fraction
SPEC = OutputSpec("game", "osc", "127.0.0.1:9000")
PART = row("lead", "C", sound="gtr")
ADDRESSES = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=9)


def note(symbol: Symbol | None = None, **fields: Any) -> Note:
    plain = Note("lead", F(6), F(6), F(7), 0, 64, 0.5, 3, symbol or Symbol("X"))
    return plain._replace(**fields)


def osc(**fields: Any) -> OscEncoder:
    return OscEncoder(replace(SPEC, **fields), 5, {9: PART})


def said(data: bytes) -> tuple[str, list[Any]]:
    message = OscMessage(data)
    return message.address, list(message.params)


def types(data: bytes) -> str:
    return data[data.index(b",") :].split(b"\0")[0].decode()


# Messages -------------------------------------------------------------------------------


@given(
    ADDRESSES.map(lambda text: "/" + text),
    st.lists(
        st.one_of(
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        ),
        max_size=6,
    ),
)
def test_any_message_is_read_back_by_somebody_else(address: str, args: list[Any]) -> None:
    data = osc_message(address, *args)
    assert len(data) % 4 == 0
    assert said(data) == (address, args)


@pytest.mark.parametrize("mixed", [(), ("x",)])
@pytest.mark.parametrize(
    ("given_", "sent"),
    [
        (2**40, 2**31 - 1),
        (-(2**40), -(2**31)),
        (1e300, pytest.approx(3.4028234e38)),
        (float("-inf"), pytest.approx(-3.4028234e38)),
        ("a\0b", "ab"),
        ("\ud800", "?"),
        ("x" * 100_000, "x" * 1024),
    ],
)
def test_what_osc_cannot_carry_is_brought_within_bounds(
    given_: Any, sent: Any, mixed: tuple[str, ...]
) -> None:
    if isinstance(given_, float) and abs(given_) == float("inf"):
        given_ = given_ if mixed else -1e300
    assert said(osc_message("/x", given_, *mixed))[1][0] == sent


@given(st.integers(0, 2**62))
def test_a_bundle_has_its_time_tag(wall: int) -> None:
    data = osc_bundle(wall, osc_message("/a", 1), osc_message("/b"))
    seconds, fraction = struct.unpack_from(">II", data, 8)
    assert seconds == (wall // 10**9 + NTP_EPOCH) % 2**32
    assert abs(fraction / 2**32 * 1e9 - wall % 10**9) < 1
    assert [message.address for message in OscBundle(data)] == ["/a", "/b"]


# OSC out --------------------------------------------------------------------------------


def test_a_note_and_its_end() -> None:
    (event,) = osc().note(2, 9, note(), SECOND, 3 * SECOND)
    assert said(event.on) == ("/componium/part/lead/note", [64, 0.5, 2.0])
    assert types(event.on) == ",iff"
    assert said(event.off) == ("/componium/part/lead/off", [64])
    assert event[:7] == (2, SECOND, 3 * SECOND, 9, 5, RANK_NOTE, LATE_DROP)


def test_beats_chords_and_the_like() -> None:
    for address, args, letters in (
        ("/beat", (3, 2, 120.0), ",iif"),
        ("/chord", ("Am", 9, 0, 4), ",siii"),
        ("/key", ("C major",), ",s"),
        ("/transport", ("playing",), ",s"),
    ):
        (event,) = osc().tell(4, 0, address, args, SECOND)
        assert said(event.on) == (f"/componium{address}", list(args))
        assert types(event.on) == letters
        assert (event.end, event.off, event.rank, event.late) == (0, b"", RANK_CLOCK, LATE_SEND)


def test_the_prefix_and_the_reason() -> None:
    class Because(Origin):
        def __str__(self) -> str:
            return "a rule"

    class Mute(Origin):
        def __str__(self) -> str:
            raise ValueError

    for origin, text in ((Because(), "a rule"), (Mute(), "unknown")):
        symbol = Symbol("Pitch", origin)
        played, why = osc(prefix="/me", why=True).note(2, 9, note(symbol), SECOND, 2 * SECOND)
        assert said(played.on)[0] == "/me/part/lead/note"
        assert said(why.on) == ("/me/part/lead/why", ["Pitch", text])
        assert (why.id, why.due, why.end) == (3, SECOND, 0)
    (bare,) = osc(prefix="").tell(1, 0, "/key", ("C",), 0)
    assert said(bare.on)[0] == "/key"


def test_acts() -> None:
    (turn,) = osc().act(2, 9, Turn(74, 64), 3, SECOND)
    assert said(turn.on) == ("/componium/part/lead/control", [74, 64])
    (say,) = osc().act(2, 9, Say("/filter/cutoff", (0.5, 3, "x")), 3, SECOND)
    assert said(say.on) == ("/filter/cutoff", [0.5, 3, "x"])
    assert (say.rank, say.late, say.end) == (RANK_CONTROL, LATE_SEND, 0)


def test_bundles_carry_logical_time_and_leave_ahead() -> None:
    encoder = osc(timing="bundle", ahead=200 * MS, offset=-10 * MS)
    assert encoder.lead == 210 * MS
    encoder.now, encoder.wall = 0, 1_700_000_000 * SECOND
    (event,) = encoder.note(2, 9, note(), SECOND, 2 * SECOND)
    assert (event.due, event.end) == (790 * MS, 1790 * MS)
    for data, at in ((event.on, 990 * MS), (event.off, 1990 * MS)):
        seconds, fraction = struct.unpack_from(">II", data, 8)
        wall = (seconds - NTP_EPOCH) * SECOND + fraction * SECOND / 2**32
        assert abs(wall - (1_700_000_000 * SECOND + at)) < 1000
    encoder.now = 900 * MS
    (late,) = encoder.note(2, 9, note(), SECOND, 2 * SECOND)
    assert (late.due, late.on) == (900 * MS, event.on)
    encoder.now = 1500 * MS
    (past,) = encoder.note(2, 9, note(), SECOND, 2 * SECOND)
    assert past.due == 990 * MS


def test_stamps_are_the_first_two_arguments() -> None:
    encoder = osc(timing="stamp", ahead=50 * MS)
    encoder.wall = 1_700_000_000 * SECOND
    (event,) = encoder.note(2, 9, note(), 1_250_000 * 1000, 2 * SECOND)
    assert said(event.on)[1] == [1_700_000_001, 250_000, 64, 0.5, 0.75]
    assert said(event.off)[1] == [1_700_000_002, 0, 64]
    assert event.due == 1200 * MS


def test_superdirt() -> None:
    encoder = osc(preset="superdirt", timing="bundle", ahead=200 * MS)
    encoder.now = 0
    (event,) = encoder.note(2, 9, note(), SECOND, SECOND + 500 * MS)
    (timed,) = list(OscBundle(event.on))
    assert timed.address == "/dirt/play"
    values = dict(zip(timed.params[::2], timed.params[1::2], strict=True))
    assert values == {
        "s": "gtr", "midinote": 64.0, "gain": 0.5, "sustain": 0.5, "delta": 0.5, "orbit": 2,
        "cps": 0.5, "cycle": 1.5,
    }  # fmt: skip
    assert (event.off, event.end) == (b"", 0)
    assert list(encoder.tell(2, 0, "/beat", (1, 1, 120.0), 0)) == []


# MIDI out -------------------------------------------------------------------------------


def midi(**fields: Any) -> MidiEncoder:
    return MidiEncoder(OutputSpec("synth", "midi", "virtual", **fields), {9: 5, 10: 6, 11: 5})


@given(st.integers(0, 127), st.floats(1e-9, 1), st.integers(1, 16), st.integers(-SECOND, SECOND))
def test_a_midi_note(pitch: int, velocity: float, channel: int, offset: int) -> None:
    encoder = midi(offset=offset)
    (event,) = encoder.note(
        2, 9, note(pitch=pitch, velocity=velocity, channel=channel), 5 * SECOND, 6 * SECOND
    )
    assert list(event.on) == [0x8F + channel, pitch, max(round(velocity * 127), 1)]
    assert list(event.off) == [0x7F + channel, pitch, 0]
    assert (event.due, event.end) == (5 * SECOND + offset, 6 * SECOND + offset)
    assert (event.part, event.port, event.rank, event.late) == (9, 5, RANK_NOTE, LATE_DROP)
    assert encoder.lead == max(-offset, 0)


def test_midi_control_changes_programs_and_clock() -> None:
    (turn,) = midi().act(2, 10, Turn(74, 64), 3, SECOND)
    assert (turn.on, turn.port, turn.rank, turn.late) == (
        b"\xb2\x4a\x40",
        6,
        RANK_CONTROL,
        LATE_SEND,
    )
    assert list(midi().act(2, 9, Say("/x", ()), 3, SECOND)) == []
    assert list(midi().tell(2, 9, "/beat", (1, 1, 120.0), SECOND)) == []
    assert list(midi().note(2, 99, note(), 0, 1)) == []
    (both,) = midi().program(2, 9, 2, Shade(4, 130), SECOND)
    assert both.on == b"\xb1\x00\x01\xb1\x20\x02\xc1\x04"
    assert list(midi().program(2, 9, 1, Shade(None), SECOND)) == []
    pulses = list(midi(offset=MS).clock(1 << 20, 0, b"\xf8", SECOND))
    assert [(p.id, p.port, p.due, p.rank, p.late) for p in pulses] == [
        (1 << 20 | port, port, SECOND + MS, RANK_CLOCK, LATE_SEND) for port in (5, 6)
    ]


def test_every_event_fits_the_protocol() -> None:
    symbol = Symbol("s" * 100_000)
    events: list[Event] = [
        *osc(why=True).note(2**63, 9, note(symbol), SECOND, 2 * SECOND),
        *midi().note(2, 9, note(), SECOND, 2 * SECOND),
    ]
    assert list(unpack_events(b"".join(map(pack_event, events)))) == events


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=300))
def test_long_texts_are_cut_between_letters(text: str) -> None:
    (sent,) = said(osc_message("/x", text * 4))[1]
    assert (text * 4).startswith(sent)
    assert len(sent.encode()) > 1020


def test_a_name_with_a_space_makes_an_address_that_osc_allows() -> None:
    (event,) = osc().note(2, 9, note(part="low drums"), SECOND, 3 * SECOND)
    assert said(event.on)[0] == "/componium/part/low_drums/note"


class Listens:
    heard, why = True, False


def test_who_listens_in_is_told_of_bends_and_pressure_in_plain_numbers() -> None:
    encoder = WebEncoder({3: PART}, Listens())

    def told(data: str) -> dict[str, object]:
        (event,) = encoder.touch(7, 3, bytes.fromhex(data), 4, 5)
        assert (event.id, event.due, event.end, event.part) == (7, 5, 0, 3)
        found: dict[str, object] = json.loads(b"{" + event.on + b"}")
        assert found.pop("part") == "lead" and found.pop("channel") == 4
        return found

    assert told("e00040") == {"event": "bend", "value": 0.0}
    assert told("e07f7f") == {"event": "bend", "value": 1.0}
    assert told("e00000") == {"event": "bend", "value": -1.0}
    assert told("d07f") == {"event": "pressure", "value": 1.0}
    assert told("b00140") == {"event": "control", "controller": 1, "value": 64}
