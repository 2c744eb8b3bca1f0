"""The wire's promises, in virtual time. Times are in milliseconds and start at 1000."""

from __future__ import annotations

import gc
import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from server.wire import machine, protocol
from server.wire.protocol import ALL, LATE_DROP, LATE_SEND, RANK_CLOCK, RANK_CONTROL, RANK_NOTE
from tests.rigs.fake import MS, FakePort, Stage, note, plain


def on(pitch: int = 60, channel: int = 0) -> bytes:
    return bytes((0x90 | channel, pitch, 100))


def off(pitch: int = 60, channel: int = 0) -> bytes:
    return bytes((0x80 | channel, pitch, 0))


def bundle(milliseconds: int, message: bytes) -> bytes:
    """An OSC bundle with a time tag."""
    return b"#bundle\0" + struct.pack(">q", milliseconds) + message


def hushed(*channels: int) -> list[bytes]:
    return [bytes((0xB0 | c, number, 0)) for c in channels for number in (64, 123)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_note_leaves_at_its_time_and_ends_at_its_own(stage: Stage) -> None:
    port = stage.open()
    stage.play([note(1, 1010, 1030)])
    stage.run(100)
    assert port.sent == [(1010 * MS, on()), (1030 * MS, off())]
    assert stage.idle()


def test_order_at_one_instant_is_clock_offs_controls_notes_then_part(stage: Stage) -> None:
    port = stage.open()
    control = b"\xb0\x07\x50"
    stage.play(
        [
            note(1, 1020, 1040, pitch=62, part=2),
            note(2, 1020, 1040, pitch=61, part=1),
            plain(3, 1020, control),
            note(4, 1010, 1020, pitch=60),
            plain(5, 1020, b"\xf8", rank=RANK_CLOCK),
        ]
    )
    stage.run(25)
    assert port.bytes == [on(60), b"\xf8", off(60), control, on(61), on(62)]


def test_a_second_on_while_sounding_retriggers_and_the_last_end_closes(stage: Stage) -> None:
    port = stage.open()
    stage.play([note(1, 1010, 1030, part=1), note(2, 1020, 1040, part=2)])
    stage.run(100)
    assert port.sent == [
        (1010 * MS, on()),
        (1020 * MS, off()),
        (1020 * MS, on()),
        (1040 * MS, off()),
    ]


def test_osc_events_end_with_their_own_bytes_unmerged(stage: Stage) -> None:
    port = stage.open(kind="osc")
    stage.play([note(1, 1010, 1030), note(2, 1020, 1040)])
    stage.run(100)
    assert port.bytes == [on(), on(), off(), off()]


class TestIdentity:
    def test_sent_again_while_queued_it_replaces(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1050, 1060)])
        stage.play([note(1, 1020, 1030, pitch=64)])
        stage.run(100)
        assert port.sent == [(1020 * MS, on(64)), (1030 * MS, off(64))]

    def test_sent_again_while_sounding_it_only_moves_the_end(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1090)])
        stage.run(20)
        stage.play([note(1, 1030, 1040, pitch=72)])
        stage.run(100)
        assert port.sent == [(1010 * MS, on()), (1040 * MS, off())]

    def test_a_moved_end_is_told_by_the_bundle_that_says_so(self, stage: Stage) -> None:
        port = stage.open(kind="osc")
        first = note(1, 1010, 1090)._replace(off=bundle(1090, b"/off 60"))
        moved = first._replace(end=1040 * MS, off=bundle(1040, b"/off 60"))
        stage.play([first])
        stage.run(20)
        stage.play([moved])
        stage.run(100)
        assert port.sent == [(1010 * MS, first.on), (1040 * MS, moved.off)]

    def test_sent_again_as_another_note_what_began_is_what_ends(self, stage: Stage) -> None:
        port = stage.open(kind="osc")
        first = note(1, 1010, 1090)._replace(off=bundle(1090, b"/off 60"))
        stage.play([first])
        stage.run(20)
        stage.play([first._replace(end=1040 * MS, off=bundle(1040, b"/off 72"))])
        stage.run(100)
        assert port.sent == [(1010 * MS, first.on), (1040 * MS, first.off)]

    def test_an_end_moved_into_the_past_comes_at_once(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1090)])
        stage.run(50)
        stage.play([note(1, 1010, 1020)])
        stage.run(1)
        assert port.sent[1] == (1050 * MS, off())

    def test_sent_again_when_over_it_does_nothing(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1020)])
        stage.run(50)
        stage.play([note(1, 1060, 1070)])
        stage.run(100)
        assert len(port.sent) == 2

    def test_recalled_it_may_be_sent_again(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1020)])
        stage.tell(protocol.part_frame(protocol.RECALL, 0))
        stage.play([note(1, 1030, 1040)])
        stage.run(100)
        assert port.sent == [(1030 * MS, on()), (1040 * MS, off())]

    def test_memory_of_what_is_over_is_bounded(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "REMEMBERED", 8)
        small = Stage()
        small.open(kind="osc")
        for identity in range(1, 30):
            small.play([note(identity, 1000, 1000)])
            small.run(1)
        assert 4 <= len(small.wire._over) <= 8

    def test_an_hour_leaves_no_more_than_a_minute_does(self, stage: Stage) -> None:
        stage.open(kind="osc")
        kept = []
        for identity in range(1, 241):
            stage.play([note(identity, stage.now // MS, stage.now // MS)])
            stage.run(15_000)
            kept.append(len(stage.wire._over))
        assert max(kept) <= 5


class TestRecall:
    def test_recall_takes_back_the_queued_of_one_part_and_leaves_offs(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1040, part=1), note(2, 1030, 1050, 61, part=1)])
        stage.play([note(3, 1030, 1050, 62, part=2)])
        stage.run(20)
        stage.tell(protocol.part_frame(protocol.RECALL, 1))
        stage.run(100)
        assert port.bytes == [on(60), on(62), off(60), off(62)]

    def test_what_is_due_within_a_millisecond_is_cut_but_not_recalled(self, stage: Stage) -> None:
        for action, heard in ((protocol.RECALL, [on(60), off(60)]), (protocol.CUT, [])):
            port = stage.open()
            now = stage.now // MS
            stage.play([note(now, now + 1, now + 10), note(now + 1, now + 2, now + 10, 61)])
            stage.tell(protocol.part_frame(action, 0))
            stage.run(50)
            assert port.bytes == heard

    def test_cut_also_ends_what_sounds_of_it(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1090, part=1), note(2, 1010, 1090, 62, part=2)])
        stage.run(20)
        stage.tell(protocol.part_frame(protocol.CUT, 1))
        assert port.sent[2:] == [(1020 * MS, off(60))]
        stage.run(100)
        assert port.sent[3:] == [(1090 * MS, off(62))]

    def test_silence_ends_all_and_lifts_pedals_on_the_channels_used(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1090, channel=3), note(2, 1050, 1090)])
        stage.run(20)
        stage.tell(protocol.frame(protocol.SILENCE))
        assert port.bytes == [on(60, 3), off(60, 3), *hushed(3)]
        assert stage.idle()

    def test_a_band_is_silenced_alone_pedals_and_all(self, stage: Stage) -> None:
        mine, other = stage.open(0), stage.open(1, band=7)
        theirs = 7 << protocol.BAND | 1
        stage.play([note(1, 1010, 1090, part=1)])
        stage.play([note(2, 1010, 1090, 62, part=theirs)._replace(port=1)])
        stage.play([note(3, 1050, 1090, 64, part=theirs)._replace(port=1)])
        stage.run(20)
        stage.tell(protocol.part_frame(protocol.SILENCE, protocol.whole(7)))
        assert other.bytes == [on(62), off(62), *hushed(0)]
        assert mine.bytes == [on(60)]
        stage.tell(protocol.part_frame(protocol.PANIC, protocol.whole(0)))
        assert mine.bytes[1] == off(60) and len(mine.bytes) > 16
        assert other.bytes == [on(62), off(62), *hushed(0)]
        stage.run(100)
        assert stage.idle()

    def test_panic_reaches_every_channel(self, stage: Stage) -> None:
        port = stage.open()
        stage.tell(protocol.frame(protocol.PANIC))
        assert set(port.bytes) == {
            bytes((0xB0 | channel, number, 0))
            for channel in range(16)
            for number in (64, 120, 121, 123)
        }

    def test_osc_gets_offs_but_no_controllers(self, stage: Stage) -> None:
        port = stage.open(kind="osc")
        stage.play([note(1, 1000, 1090)])
        stage.run(10)
        stage.tell(protocol.frame(protocol.PANIC))
        assert port.bytes == [on(), off()]


class TestLate:
    def test_more_than_100_ms_late_a_note_is_dropped_and_counted(self, stage: Stage) -> None:
        port = stage.open()
        stage.now += 1_000 * MS
        stage.play([note(1, 1899, 3000), note(2, 1901, 2100, pitch=61)])
        stage.run(200)
        assert port.bytes == [on(61), off(61)]
        assert stage.wire.stats()["late"] == 1

    def test_what_must_be_sent_is_however_late(self, stage: Stage) -> None:
        port = stage.open()
        stage.now += 1_000 * MS
        stage.play([plain(1, 1001, b"\xfc", rank=RANK_CLOCK, late=LATE_SEND)])
        stage.run(1)
        assert port.bytes == [b"\xfc"]

    def test_what_was_due_before_a_device_was_there_does_not_come_to_it(self, stage: Stage) -> None:
        pulses = [
            plain(n, 960 + n * 20, b"\xf8", rank=RANK_CLOCK, late=LATE_SEND) for n in (1, 2, 3)
        ]
        port = stage.open()
        stage.play([*pulses, note(4, 990, 1100)])
        stage.run(200)
        assert port.bytes == [b"\xf8", b"\xf8"]
        assert stage.wire.stats()["swallowed"] == 2

    def test_after_a_stall_offs_are_sent_and_notes_are_not(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1100)])
        stage.play([note(identity, 1000 + identity * 10, 5000, 62) for identity in range(2, 100)])
        stage.run(15)
        stage.now += 3_000 * MS
        stage.wire.send_due()
        assert port.bytes == [on(60), off(60)]


class TestWatchfulness:
    def test_a_mute_planner_is_silenced_once_and_served_again(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 9000), note(2, 2000, 2100)])
        stage.run(240, beating=False)
        assert port.bytes == [on()]
        stage.run(100, beating=False)
        assert port.bytes == [on(), off(), *hushed(0)]
        assert sum(kind == protocol.SILENCED for kind, _ in stage.said) == 1
        assert stage.idle()
        stage.play([note(3, 1400, 1410, 64)])
        stage.run(200)
        assert port.bytes[-2:] == [on(64), off(64)]

    def test_a_plan_that_reaches_further_is_played_to_its_end_before(self, stage: Stage) -> None:
        port = stage.open()
        for nth, at in enumerate((1100, 1200, 1340), 1):
            stage.play([note(nth, at, at + 10, 60 + nth)])
        stage.play([note(4, 1010, 9000), note(5, 1600, 1700)])
        stage.run(335, beating=False)
        assert not any(kind == protocol.SILENCED for kind, _ in stage.said)
        stage.run(90, beating=False)  # of what comes after the plan nothing
        begun = [data for data in port.bytes if data[0] == 0x90]
        assert begun == [on(), *(on(60 + nth) for nth in (1, 2, 3))]
        assert off() in port.bytes and port.bytes[-len(hushed(0)) :] == hushed(0)
        assert stage.idle()

    def test_a_plan_without_end_does_not_keep_a_mute_planner_playing(self, stage: Stage) -> None:
        stage.open()
        stage.play([note(nth, 1000 + 10 * nth, 1005 + 10 * nth) for nth in range(1, 200)])
        stage.run(470, beating=False)
        assert sum(kind == protocol.SILENCED for kind, _ in stage.said) == 1
        assert stage.idle()

    def test_it_says_how_it_goes_ten_times_a_second(self, stage: Stage) -> None:
        stage.open()
        stage.play([note(1, 1010, 1500)])
        stage.run(1000)
        stats = [body for kind, body in stage.said if kind == protocol.STATS]
        assert 9 <= len(stats) <= 11
        assert stats[3]["sent"] == 1 and stats[3]["sounding"] == 1
        assert sum(stats[-1]["lateness"]) == 2

    def test_closing_ends_pedals_up_and_closes(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 9000)])
        stage.run(20)
        stage.wire.close()
        assert port.bytes == [on(), off(), *hushed(0), *hushed(0)]
        assert stage.wire.closed() and not port.shut
        stage.wire.shut()
        assert port.shut


class TestBounds:
    def test_a_full_queue_refuses_notes_first(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(machine, "MOST_QUEUED", 10)
        stage.open()
        stage.play(note(identity, 2000, 2100) for identity in range(1, 16))
        stage.play(plain(identity, 2000, b"\xf8") for identity in range(16, 20))
        assert len(stage.wire.queued) == 14
        assert stage.wire.stats()["refused"] == 5

    def test_replacing_again_and_again_does_not_grow_the_queue(self, stage: Stage) -> None:
        stage.open()
        for turn in range(300):
            stage.play(note(identity, 60_000 + turn, 70_000) for identity in range(1, 50))
        stage.run(100)
        assert len(stage.wire._heap) < 5000


class TestPorts:
    def test_a_port_that_is_away_swallows_and_says_why(self, stage: Stage) -> None:
        stage.missing[0] = "no such port"
        port = stage.open()
        stage.play([note(1, 1010, 1020)])
        stage.run(50)
        assert port.bytes == []
        told = {"port": 0, "state": "waiting", "why": "no such port", "connect": []}
        assert stage.said[0] == (protocol.PORT, told)
        assert stage.wire.stats()["swallowed"] == 1

    def test_back_again_it_gets_the_offs_owed_and_no_old_notes(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1100), note(2, 1400, 1500, 64), note(3, 2300, 2350, 65)])
        stage.run(20)
        port.gone = "unplugged"
        stage.run(980)
        port.gone = ""
        stage.run(1000)
        assert port.bytes == [on(60), off(60), *hushed(0), on(65), off(65)]
        assert port.sent[1][0] <= 2510 * MS
        states = [body["state"] for kind, body in stage.said if kind == protocol.PORT]
        assert states == ["open", "waiting", "open"]

    def test_what_ended_just_before_a_port_was_gone_ends_again(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1040, 60), note(2, 1150, 1210, 64)])
        stage.run(215)
        port.gone = "unplugged"  # and who knows for how long it had been when the note ended
        stage.run(985)
        port.gone = ""
        stage.run(1000)
        assert port.bytes == [on(60), off(60), on(64), off(64), off(64), *hushed(0)]

    def test_a_failing_send_costs_other_ports_nothing(self, stage: Stage) -> None:
        broken, whole = stage.open(0), stage.open(1)
        stage.play([note(1, 1010, 1100, port=0), note(2, 1020, 1090, port=1)])
        stage.run(15)
        broken.gone = "broken"
        stage.play([note(3, 1018, 1100, port=0)])
        stage.run(500)
        assert whole.sent == [(1020 * MS, on()), (1090 * MS, off())]
        broken.gone = ""
        stage.run(1000)
        assert broken.bytes == [on(), off(), *hushed(0)]

    def test_a_debt_is_paid_at_once_or_when_the_port_comes(self, stage: Stage) -> None:
        stage.missing[1] = "not yet"
        here, away = stage.open(0), stage.open(1)
        for number in (0, 1):
            stage.tell(protocol.pay_frame(number, off(50)))
        assert (here.bytes, away.bytes) == ([off(50)], [])
        away.gone = ""
        stage.run(1000)
        assert away.bytes == [off(50)]

    def test_offs_missed_by_somebody_cut_off_are_repeated(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1100), note(2, 1010, 3000, 64)])
        stage.run(50)
        port.deaf = True
        stage.run(200)
        port.deaf, port.rejoined = False, True
        stage.run(100)
        assert port.bytes == [on(60), on(64), off(60), off(60)]

    def test_a_port_is_closed_when_all_has_left_it_or_after_a_while(self, stage: Stage) -> None:
        first, never = stage.open(0), stage.open(1)
        first.slow = never.slow = True
        for number in (0, 1):
            stage.tell(protocol.port_frame(protocol.CLOSE, number))
        stage.run(100)
        first.slow = False
        stage.run(60)
        assert (first.shut, never.shut) == (True, False)
        stage.run(machine.LEAVE / MS)
        assert never.shut and stage.wire.closed()

    def test_closing_one_port_does_not_hold_up_what_another_has_to_send(self, stage: Stage) -> None:
        stage.open(0)
        going = stage.open(1)
        stage.play(note(nth, 1000 + 40 * nth, 1020 + 40 * nth) for nth in range(1, 100))
        stage.tell(protocol.port_frame(protocol.CLOSE, 1))
        stage.run(1000)
        assert not going.shut
        stage.run(1000)
        assert going.shut  # not for ever

    def test_a_port_that_returns_under_its_name_waits_until_it_is_free(self, stage: Stage) -> None:
        called = {"client": "Componium", "title": "bass"}
        before = stage.open(0, **called)
        before.slow = True
        after = stage.open(0, **called)
        other = stage.open(1, client="Componium", title="lead")
        stage.tell(protocol.pay_frame(0, off(50)))
        stage.run(200)
        assert (before.shut, after.bytes, other.bytes) == (False, [], [])
        assert [body["port"] for kind, body in stage.said if kind == protocol.PORT][1:] == [1]
        before.slow = False
        stage.run(150)
        assert before.shut and after.bytes == [off(50)]

    def test_a_closed_port_is_ended_and_its_events_forgotten(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1100), note(2, 1050, 1100, 64)])
        stage.run(20)
        stage.tell(protocol.port_frame(protocol.CLOSE, 0))
        stage.run(200)
        assert port.bytes == [on(), off(), *hushed(0)]
        assert port.shut and stage.idle()


def balance(port: FakePort, back: bool = False) -> Counter[bytes]:
    """Ons minus offs by channel and pitch; never below zero.

    back: it has been away, so an end may be said again.
    """
    counts: Counter[bytes] = Counter()
    for data in port.bytes:
        if data[0] & 0xE0 == 0x80:
            key, on = bytes((data[0] & 15, data[1])), bool(data[0] & 0x10)
            if back and not on and key in counts and not counts[key]:
                continue
            counts[key] += 1 if on else -1
            assert 0 <= counts[key] <= 1, "an off without its on, or an on over an on"
    return counts


class TestCable:
    def test_a_din_cable_gets_no_more_than_it_carries(self, stage: Stage) -> None:
        port = stage.open(rate=3125)
        identity = 0
        for beat in range(100):  # ten times too much, for a second
            for pitch in range(100):
                identity += 1
                stage.play([note(identity, 1000 + beat * 10, 1005 + beat * 10, pitch)])
            stage.run(10)
        stage.run(200)
        assert sum(len(data) for data in port.bytes) <= 3125 * 1.2 + 100
        assert +balance(port) == Counter()
        assert stage.idle()
        assert stage.wire.stats()["thinned"] > 5000

    def test_another_rate_and_sensing_leave_the_port_and_what_sounds_there_alone(
        self, stage: Stage
    ) -> None:
        settings: dict[str, Any] = {"name": "virtual", "client": "C", "title": "a"}
        port = stage.open(**settings, rate=0)
        stage.play([note(1, 1000, 1200), note(2, 1080, 1090, pitch=64)])
        stage.run(50)
        stage.said.clear()
        assert stage.open(**settings, rate=3125, sensing=True, connect=["Synth:in"]) is port
        states = [body for kind, body in stage.said if kind == protocol.PORT]
        assert [(each["port"], each["state"]) for each in states] == [(0, "open")], "answered"
        stage.run(200)
        assert [each for each in port.sent if each[1] != b"\xfe"] == [
            (1000 * MS, on()),
            (1080 * MS, on(64)),
            (1090 * MS, off(64)),
            (1200 * MS, off()),
        ]
        assert b"\xfe" in port.bytes and not port.shut
        stage.open(**settings, rate=3125, sensing=True)  # as after sleep: anew, all the same
        stage.run(100)
        assert port.shut

    @pytest.mark.parametrize("rate", [0, 3125])
    def test_a_pedal_comes_up_where_nobody_plays_any_more_and_with_the_part_that_is_cut(
        self, stage: Stage, rate: int
    ) -> None:
        def pedal(identity: int, at: int, channel: int, value: int, part: int) -> protocol.Event:
            data = bytes((0xB0 | channel, 64, value))
            return plain(identity, at, data)._replace(part=part)

        settings: dict[str, Any] = {"name": "virtual", "client": "C", "title": "a", "rate": rate}
        port = stage.open(**settings)
        stage.play([pedal(1, 1010, 0, 127, 1), pedal(2, 1010, 1, 40, 2), pedal(3, 1010, 2, 90, 1)])
        stage.play([pedal(4, 1020, 2, 0, 1), note(5, 1030, 9000, part=2)])
        stage.run(50)
        port.sent.clear()
        stage.tell(protocol.part_frame(protocol.CUT, 1))
        stage.run(50)
        assert port.bytes == [b"\xb0\x40\x00"], "its own that are down, and once"
        stage.open(**settings, idle=True)
        stage.run(50)
        assert port.bytes[1:] == [b"\xb1\x40\x00"]
        stage.tell(protocol.part_frame(protocol.CUT, 2))
        stage.run(50)
        assert port.bytes[2:] == [off()], "what sounded has sounded on"

    def test_a_pedal_that_had_to_wait_for_room_comes_up_too(self, stage: Stage) -> None:
        port = stage.open(rate=600)
        stage.play([note(nth, 1010, 1500, 40 + nth, channel=1) for nth in range(1, 20)])
        stage.play([plain(30, 1020, b"\xb0\x40\x7f")])
        stage.run(15)
        sent = len(port.sent)
        stage.run(10)
        assert len(port.sent) == sent, "no room yet"
        stage.run(300)
        assert port.bytes[-1] == b"\xb0\x40\x7f"
        port.gone = "unplugged"
        stage.run(100)
        port.gone = ""
        stage.run(1000)
        assert b"\xb0\x40\x00" in port.bytes

    def test_under_pressure_a_controls_last_value_arrives_and_the_clock_is_on_time(
        self, stage: Stage
    ) -> None:
        port = stage.open(rate=3125)
        stage.play(plain(value + 1, 1000 + value, bytes((0xB0, 7, value))) for value in range(128))
        stage.play(
            plain(200 + pulse, 1000 + 5 * pulse, b"\xf8", rank=RANK_CLOCK) for pulse in range(25)
        )
        stage.play(note(300 + step, 1000 + step, 1001 + step, step) for step in range(100))
        stage.run(500)
        controls = [data[2] for data in port.bytes if data[0] == 0xB0]
        assert controls[-1] == 127 and len(controls) < 100
        pulses = [when for when, data in port.sent if data == b"\xf8"]
        assert pulses == [(1000 + 5 * pulse) * MS for pulse in range(25)]
        assert +balance(port) == Counter()

    def test_without_room_offs_wait_and_notes_do_not(self, stage: Stage) -> None:
        port = stage.open()
        stage.play([note(1, 1010, 1030), note(2, 1040, 1060, 64)])
        stage.run(20)
        port.full = True
        stage.run(30)
        port.full = False
        stage.run(100)
        assert port.bytes == [on(60), off(60)]


class WireStates(RuleBasedStateMachine):
    """Whatever happens in whatever order, all that begins ends, once while its port is there."""

    @initialize(rate=st.sampled_from([0, 3125]))
    def begin(self, rate: int) -> None:
        self.stage = Stage()
        self.midi = self.stage.open(0, rate=rate)
        self.osc = self.stage.open(1, kind="osc")
        self.identity, self.away = 0, False
        self.recalled: set[bytes] = set()

    def _osc(self, identity: int, due: int, length: int, part: int) -> protocol.Event:
        name = f"/{identity}".encode()
        event = note(identity, due, due + length, part=part, port=1)
        return event._replace(on=name, off=name + b"!")

    @rule(
        wait=st.integers(-150, 80),
        length=st.integers(0, 80),
        pitch=st.integers(60, 62),
        part=st.integers(0, 2),
        osc=st.booleans(),
        late=st.sampled_from([LATE_DROP, LATE_SEND]),
        again=st.integers(0, 12),
    )
    def play(
        self, wait: int, length: int, pitch: int, part: int, osc: bool, late: int, again: int
    ) -> None:
        if 0 < again < 4 and self.identity > 3:
            identity = self.identity - again
        else:
            self.identity = identity = self.identity + 1
        due = self.stage.now // MS + wait
        if osc:
            event = self._osc(identity, due, length, part)
            self.recalled.discard(event.on)
        else:
            event = note(identity, due, due + length, pitch, part=part)
        self.stage.play([event._replace(late=late)])

    @rule(wait=st.integers(0, 50), value=st.integers(0, 127))
    def turn(self, wait: int, value: int) -> None:
        self.identity += 1
        due = self.stage.now // MS + wait
        self.stage.play([plain(self.identity, due, bytes((0xB0, 7, value)))])

    @rule(milliseconds=st.integers(0, 60))
    def wait(self, milliseconds: int) -> None:
        self.stage.run(milliseconds)

    @rule(milliseconds=st.integers(100, 400))
    def stall(self, milliseconds: int) -> None:
        self.stage.now += milliseconds * MS

    @rule(milliseconds=st.integers(300, 400))
    def fall_silent(self, milliseconds: int) -> None:
        self.stage.run(milliseconds, beating=False)

    @rule(part=st.sampled_from([0, 1, 2, ALL]), cut=st.booleans())
    def recall(self, part: int, cut: bool) -> None:
        spared = 0 if cut else self.stage.now + machine.SPARED
        for entry in self.stage.wire.queued.values():
            if part in (ALL, entry.part) and not entry.output.midi and entry.due > spared:
                self.recalled.add(entry.on)
        before = len(self.osc.sent)
        self.stage.tell(protocol.part_frame(protocol.CUT if cut else protocol.RECALL, part))
        assert all(data.endswith(b"!") for data in self.osc.bytes[before:])

    @rule(panic=st.booleans())
    def silence(self, panic: bool) -> None:
        self.stage.tell(protocol.frame(protocol.PANIC if panic else protocol.SILENCE))
        assert not self.stage.wire.sounding and not self.stage.wire.queued

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.midi.full = self.osc.full = full

    @rule(gone=st.sampled_from(["", "unplugged"]))
    def unplug(self, gone: str) -> None:
        self.midi.gone = gone
        self.away = self.away or bool(gone)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        self.midi.full = self.osc.full = False
        self.midi.gone = ""
        self.stage.run(5000)
        assert self.stage.idle()
        assert not any(output.owed for output in self.stage.wire.outputs.values())
        assert +balance(self.midi, self.away) == Counter()
        names = Counter(self.osc.bytes)
        for name, count in names.items():
            assert count == 1, "a note sounded twice"
            if not name.endswith(b"!"):
                assert names[name + b"!"] == 1, "a note was not ended"
            else:
                assert names[name[:-1]] == 1, "an off without its on"
        assert not self.recalled & set(names)


TestWireStates = WireStates.TestCase
TestWireStates.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_nothing_of_an_event_for_an_unknown_port_remains(stage: Stage) -> None:
    stage.play([note(1, 1010, 1020, port=7)])
    assert stage.idle() and stage.wire.stats()["swallowed"] == 1


@pytest.mark.parametrize("rank", [RANK_CONTROL, RANK_NOTE])
def test_ties_beyond_rank_and_part_go_by_arrival(stage: Stage, rank: int) -> None:
    port = stage.open(kind="osc")
    stage.play(plain(n, 1010, bytes((n,)), rank=rank) for n in range(1, 20))
    stage.run(20)
    assert port.bytes == [bytes((n,)) for n in range(1, 20)]


def test_nothing_here_needs_a_collector_of_garbage(stage: Stage) -> None:
    """In the wire's process it is off."""
    port = stage.open()
    gc.collect()
    gc.disable()
    try:
        for turn in range(1, 200):
            start = stage.now // MS
            stage.play([note(turn << 8 | n, start + n, start + 30 + n, 40 + n) for n in range(40)])
            stage.run(20)
            port.gone = "the cable" if turn % 3 == 0 else ""
            stage.tell(protocol.part_frame((protocol.CUT, protocol.SILENCE)[turn % 2], 0))
            stage.run(1_100)
            if turn % 5 == 0:
                stage.tell(protocol.port_frame(protocol.CLOSE, 0))
                port = stage.open()
        found = gc.collect()
    finally:
        gc.enable()
    assert found < 100
