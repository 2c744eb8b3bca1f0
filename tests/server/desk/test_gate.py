"""Floods, loops and lanes: how much of one sender is too much, and what passes all the same."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from server.desk.desk import Source
from server.desk.keys import Keys
from server.desk.lanes import CALM, ROOM, Lanes
from server.desk.limits import Bucket, Echo
from server.desk.osc import Gate
from server.desk.packet import Message
from server.ensemble.encode import osc_bundle, osc_message
from server.wire.protocol import ALL
from tests.server.desk.rig import MS, SECOND, Stage

TOKEN = "a-token-of-sixteen-letters"
NEAR, FAR = ("127.0.0.1", 5000), ("192.168.1.7", 5000)


class Entrance:
    """A gate before a real desk, with every call the desk gets written down."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = Stage()
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.replies: list[tuple[str, int]] = []
        desk, receive_all = self.stage.desk, self.stage.desk.receive_all

        def noted(messages: Sequence[tuple[str, Sequence[object]]], source: Source) -> None:
            self.calls += [(a.removeprefix("/componium"), tuple(args)) for a, args in messages]
            receive_all(messages, source)

        monkeypatch.setattr(desk, "receive_all", noted)
        self.gate = Gate(desk, self.stage.clock.now, Keys(TOKEN))

    def send(self, data: bytes, peer: tuple[str, int] = NEAR) -> None:
        self.gate.admit(data, peer, lambda data, peer: self.replies.append(peer))

    def say(self, address: str, *args: int | float | str) -> None:
        self.send(osc_message("/componium" + address, *args))

    def work(self) -> list[tuple[str, tuple[object, ...]]]:
        """What the desk was asked in this turn."""
        self.calls.clear()
        self.gate.lanes.work(lambda: False)
        return list(self.calls)


@pytest.fixture
def entrance(monkeypatch: pytest.MonkeyPatch) -> Entrance:
    return Entrance(monkeypatch)


def test_messages_are_done_in_the_order_they_came(entrance: Entrance) -> None:
    entrance.say("/tempo", 100)
    entrance.say("/part/melody/mute", 1)
    entrance.say("/tempo", 140, 8)
    assert entrance.work() == [
        ("/tempo", (100,)),
        ("/part/melody/mute", (1,)),
        ("/tempo", (140, 8)),
    ]


def test_stop_goes_first_and_no_start_before_it_happens(entrance: Entrance) -> None:
    entrance.say("/tempo", 100)
    entrance.say("/play")
    entrance.say("/stop")
    entrance.say("/tempo", 90)
    assert entrance.work() == [("/stop", ()), ("/tempo", (100,)), ("/tempo", (90,))]
    assert len(entrance.gate.lanes) == 0
    entrance.say("/stop")
    entrance.say("/play")
    assert entrance.work() == [("/stop", ()), ("/play", ())]
    assert entrance.stage.player.playing


def test_panic_acts_whatever_comes_with_it_but_not_on_release(entrance: Entrance) -> None:
    entrance.say("/play")
    entrance.say("/panic", 0)
    assert entrance.work() == [("/play", ())]
    entrance.say("/panic", 1)
    entrance.say("/panic", 0.0)
    assert entrance.work() == [("/panic", (1,))]
    entrance.say("/panic", "please", float("nan"))
    entrance.work()
    assert entrance.stage.tape.calls.count(("panic", ALL)) == 2


def test_in_a_flood_the_last_value_of_a_control_wins(entrance: Entrance) -> None:
    for nth in range(1000):
        entrance.say("/part/melody/level", nth / 1000)
        entrance.say("/tempo", 100 + nth / 10)
    calls = entrance.work()
    assert len(calls) == CALM
    assert calls[-2:] == [
        ("/part/melody/level", (pytest.approx(0.999),)),
        ("/tempo", (pytest.approx(199.9),)),
    ]


def test_in_a_flood_the_last_value_of_a_pattern_wins(entrance: Entrance) -> None:
    for nth in range(1000):
        entrance.say("/part/*/level", nth / 1000)
        entrance.say("/part/{low_drums,melody}/lev?l", nth / 500)  # the same ones
    calls = entrance.work()
    assert len(calls) == CALM
    assert dict(calls) == {
        f"/part/{name}/level": (pytest.approx(1.998),) for name in ("melody", "low_drums")
    }


def test_in_a_flood_values_for_different_moments_are_kept_apart(entrance: Entrance) -> None:
    for _ in range(CALM):
        entrance.say("/nonsense")
    entrance.say("/part/melody/mute", 1)
    entrance.say("/part/melody/mute", 1, "bar")
    entrance.say("/part/melody/mute", 0, "2 bars")
    entrance.say("/part/melody/mute", 0)
    assert entrance.work()[CALM:] == [
        ("/part/melody/mute", (0,)),
        ("/part/melody/mute", (1, "bar")),
        ("/part/melody/mute", (0, "2 bars")),
    ]


def test_what_waits_is_bounded_and_stop_always_finds_room() -> None:
    stage = Stage()
    lanes = Lanes(stage.desk)
    for nth in range(ROOM + 5):
        assert lanes.put([Message("/componium/seed", (nth,))], stage.source) == (nth < ROOM)
    assert lanes.put([Message("/componium/stop")], stage.source)
    assert len(lanes) == ROOM + 1


def test_work_that_does_not_fit_is_left_for_later() -> None:
    stage = Stage()
    lanes = Lanes(stage.desk)
    for bpm in (100, 110, 120):
        lanes.put([Message("/componium/tempo", (bpm,))], stage.source)
    assert lanes.work(lambda: True)
    assert len(lanes) == 2
    assert not lanes.work(lambda: False)


def test_beyond_the_rate_messages_are_dropped_counted_and_told(entrance: Entrance) -> None:
    for nth in range(10_100):  # a burst of twice the rate is let through
        entrance.say("/part/melody/level", nth)
        if nth % 500 == 0:
            entrance.work()
    assert entrance.stage.troubles[0].startswith("osc 127.0.0.1:5000: sends too fast; 5000")
    entrance.work()
    entrance.say("/part/melody/level", 1)
    assert entrance.work() == []
    entrance.stage.clock.jump(100 * MS)
    entrance.say("/part/melody/level", 1)
    assert len(entrance.work()) == 1
    entrance.stage.clock.jump(5 * SECOND)
    entrance.stage.desk.complaints.flush()
    assert "(99 more messages dropped since the last word)" in entrance.stage.troubles[-1]


def test_stop_and_panic_pass_whatever_else_floods_in(entrance: Entrance) -> None:
    entrance.say("/play")
    entrance.work()
    for nth in range(30_000):
        entrance.say("/part/melody/level", nth)
    entrance.say("/stop")
    assert entrance.work()[0] == ("/stop", ())
    assert not entrance.stage.player.playing
    data = [osc_message("/componium/tempo", 99), osc_message("/componium/panic")]
    entrance.send(osc_bundle(0, *data))
    assert entrance.work() == [("/panic", ())]


def test_bundles_count_by_their_messages(entrance: Entrance) -> None:
    for nth in range(200):
        bundle = [osc_message("/componium/tempo", 20 + nth + n / 64) for n in range(64)]
        entrance.send(osc_bundle(0, *bundle))
    assert "sends too fast" in entrance.stage.troubles[0]


@pytest.mark.parametrize(("address", "rate"), [("127.0.0.1", 5000), ("192.168.1.7", 500)])
def test_a_sender_has_its_rate_and_a_burst_of_two_seconds(
    entrance: Entrance, address: str, rate: int
) -> None:
    entrance.send(osc_message("/auth", TOKEN), (address, 5000))
    for nth in range(2 * rate + 49):
        entrance.send(osc_message("/componium/tempo", 20 + nth / 99), (address, 5000))
    assert len(entrance.stage.troubles) == 1
    entrance.stage.clock.jump(5 * SECOND)
    entrance.stage.desk.complaints.flush()
    assert "(48 more messages dropped since the last word)" in entrance.stage.troubles[-1]


def test_all_senders_together_have_one_rate(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []

    def put(heard: object, source: Source) -> bool:
        taken.append(heard)
        return True

    monkeypatch.setattr(entrance.gate.lanes, "put", put)
    for port in range(1, 100):
        for nth in range(300):
            peer = ("127.0.0.1", port)
            entrance.send(osc_message("/componium/tempo", 20 + nth), peer)
    assert len(taken) == 20_000


def test_stop_in_a_bundle_passes_whoever_is_muted(entrance: Entrance) -> None:
    entrance.say("/play")
    entrance.work()
    for _ in range(600):
        entrance.say("/part/melody/mute", 1)
    entrance.work()
    loop = [osc_message("/componium/part/melody/mute", 1), osc_message("/componium/stop")]
    entrance.send(osc_bundle(0, *loop))
    assert entrance.work() == [("/stop", ())]
    assert not entrance.stage.player.playing


def test_one_message_for_ever_is_a_feedback_loop(entrance: Entrance) -> None:
    clock = entrance.stage.clock
    for _ in range(501):
        entrance.say("/part/melody/mute", 1)
        clock.jump(MS)
    entrance.work()
    [trouble] = entrance.stage.troubles
    assert "muted" in trouble
    assert "127.0.0.1:5000" in trouble
    entrance.say("/tempo", 90)
    assert entrance.work() == []
    entrance.send(osc_message("/componium/tempo", 91), ("127.0.0.1", 5001))
    assert entrance.work() == [("/tempo", (91,))]
    clock.jump(2 * SECOND)
    entrance.say("/tempo", 92)
    assert entrance.work() == [("/tempo", (92,))]


def test_only_this_machine_is_heard_and_answered(entrance: Entrance) -> None:
    for peer in (FAR, NEAR, ("::1", 7), ("fe80::1%eth0", 7)):
        entrance.send(osc_message("/componium/tempo", 90), peer)
        entrance.send(osc_message("/componium/nonsense"), peer)
        entrance.send(osc_message("/componium/stop"), peer)
    assert len(entrance.work()) == 5, "stop counts once"
    assert set(entrance.replies) == {NEAR, ("::1", 7)}
    assert any("/auth" in trouble for trouble in entrance.stage.troubles)


def test_a_stranger_shows_the_token_and_is_heard_until_he_is_silent_too_long(
    entrance: Entrance,
) -> None:
    clock, level = entrance.stage.clock, osc_message("/componium/tempo", 90)
    for wrong in (osc_message("/auth", "wrong"), osc_message("/auth", 1), osc_message("/auth")):
        entrance.send(wrong, FAR)
        entrance.send(level, FAR)
    assert entrance.work() == [] and entrance.replies == []
    entrance.send(osc_message("/auth", TOKEN), FAR)
    assert entrance.replies == [FAR]
    entrance.send(level, (FAR[0], FAR[1] + 1))
    assert entrance.work() == [], "another port is somebody else"
    for _ in range(3):
        clock.jump(20 * 60 * SECOND)
        entrance.send(level, FAR)
        assert entrance.work() == [("/tempo", (90,))]
    clock.jump(31 * 60 * SECOND)
    entrance.send(level, FAR)
    assert entrance.work() == []
    entrance.send(osc_message("/auth", TOKEN), FAR)
    heard = 0
    for _ in range(38):
        clock.jump(20 * 60 * SECOND)
        entrance.send(level, FAR)
        heard += len(entrance.work())
    assert heard == 36, "for 12 hours at most"


@pytest.mark.parametrize(("peer", "role"), [(NEAR, "edit"), (FAR, "control")])
def test_the_token_opens_more_where_nobody_can_have_read_it(
    entrance: Entrance, peer: tuple[str, int], role: str
) -> None:
    roles: list[str] = []
    entrance.stage.desk.receive_all = (  # type: ignore[method-assign]
        lambda messages, source: roles.append(source.role)
    )
    entrance.send(osc_message("/auth", TOKEN), peer)
    entrance.send(osc_message("/componium/tempo", 90), peer)
    entrance.work()
    entrance.stage.clock.jump(13 * 3600 * SECOND)
    entrance.send(osc_message("/componium/tempo", 90), peer)
    entrance.work()
    assert roles == [role, "control"] if peer == NEAR else [role]


def test_answers_are_not_answered(entrance: Entrance) -> None:
    entrance.say("/receipt", "/componium/play", "refused", 0.0, "no")
    assert entrance.work() == []
    assert entrance.replies == []


def test_malformed_datagrams_are_told_and_harm_nobody(entrance: Entrance) -> None:
    for data in (b"#bundle\0" + bytes(8) + b"\xff\xff\xff\xfc", b"", struct.pack(">i", -4)):
        entrance.send(data)
    entrance.say("/play")
    assert entrance.work() == [("/play", ())]
    assert "false size" in entrance.stage.troubles[0]
    assert len(entrance.stage.troubles) == 1


def test_a_thousand_senders_are_remembered_and_no_more(entrance: Entrance) -> None:
    for port in range(1, 3000):
        entrance.send(osc_message("/componium/tempo", 90), ("127.0.0.1", port))
    assert entrance.gate.remembered == 1024


def test_a_bucket_lets_its_rate_pass_and_a_burst_of_two_seconds() -> None:
    bucket, passed = Bucket(100, 0), 0
    for now in range(0, 10 * SECOND, MS):
        passed += bucket.take(now)
    assert 1000 <= passed <= 1200


def test_the_echo_guard_hears_many_different_messages() -> None:
    echo = Echo()
    assert all(echo.hears(b"%d" % (nth % 2000), nth * MS // 20) for nth in range(20_000))
    assert not all(echo.hears(b"%d" % (nth % 3), SECOND + nth * MS // 20) for nth in range(5000))
