"""Sources in virtual time: what is heard against what the source has."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from server.concert.clock import VirtualClock
from server.concert.journal import Moved, Synced, Troubled
from server.concert.pulses import CONTINUE, PULSE, START, song_position
from server.desk.desk import Desk, Source
from server.music.timeline import Course
from server.score.sync import SyncSpec
from server.sync.link import Session
from server.sync.source import INPUT, Sync
from server.wire.protocol import Heard
from tests.server.model import MIDI, MS, SECOND, Stage, row, scene

F = Fraction
EIGHTHS = row("tune", "C D E F G A B", grid=F(1, 2))


class Rig:
    """A stage that follows, and a clock that can be played to it."""

    def __init__(self, spec: SyncSpec | None = None, **fields: Any) -> None:
        self.stage = Stage(scene(EIGHTHS, **fields))
        self.player, self.clock = self.stage.player, self.stage.clock
        self.stage.wake_every = 10 * MS
        self.opened: list[str] = []
        self.session = FakeSession(self)
        self.sync = Sync(self.player, spec, self.opened.append, self._join)

    def _join(self, bpm: float, quantum: Fraction, transport: bool) -> FakeSession:
        assert not self.session.there
        self.session.there = True
        self.session.own = bpm
        return self.session

    def hear(self, *messages: bytes) -> None:
        for data in messages:
            self.sync.heard(Heard(INPUT, self.clock.now(), data))

    def send(
        self, times: list[int], ms: float = 0.0, seed: int = 1, wants: Callable[[int], bool] = bool
    ) -> None:
        """Play pulses at these times, each strayed by up to so many ms."""
        rng = Random(seed)
        arrivals = sorted(at + round(rng.uniform(-ms, ms) * MS) for at in times)
        for at in arrivals:
            self.stage.go(at - self.clock.now())
            self.sync.heard(Heard(INPUT, at, PULSE))

    def times(self, bpm: float, pulses: int, begin: int | None = None) -> list[int]:
        begin = self.clock.now() + 5 * MS if begin is None else begin
        return [begin + round(pulse * 60e9 / bpm / 24) for pulse in range(pulses)]

    def onsets(self) -> dict[Fraction, int]:
        """When each note has left, by its beat."""
        entries = {round(e.moment.beat * 960): e for e in self.stage.played}
        ons = [when for when, _ in self.stage.ons()]
        return {F(key, 960): when for key, when in zip(sorted(entries), ons, strict=False)}


class Clocked(Protocol):
    """Whatever has the clock of a test."""

    clock: VirtualClock


class FakeSession:
    """A Link session with others in it, in virtual time."""

    def __init__(self, rig: Clocked) -> None:
        self.rig, self.there, self.own = rig, False, 120.0
        self.peers, self.playing, self.start = 0, False, 0
        self.course = Course(F(0), 10**12, 120.0)
        self.asked: list[float] = []

    def others(self, bpm: float, beat: Fraction, peers: int = 1) -> None:
        self.course, self.peers = Course(beat, self.rig.clock.now(), bpm), peers

    def session(self) -> Session:
        now = self.rig.clock.now()
        here = Course(self.course.beat_at(now), now, self.course.bpm)
        return Session(here, self.peers, self.playing, self.start)

    def begin(self, beat: Fraction, earliest: int) -> int:
        if not self.peers:
            self.course = Course(beat, earliest, self.course.bpm)
        near = self.course.beat_at(earliest)
        theirs = near + (beat - near) % 4
        self.course = self.course.counted(beat - theirs)
        return self.course.ns_at(beat)

    def tempo(self, bpm: float, ns: int) -> None:
        self.asked.append(bpm)
        self.course = Course(self.course.beat_at(ns), ns, bpm)

    def play(self, playing: bool, ns: int) -> None:
        self.playing, self.start = playing, ns

    def leave(self) -> None:
        self.there = False


def started(bpm: float = 120.0, spec: SyncSpec | None = None, **fields: Any) -> tuple[Rig, int]:
    """A rig that follows a clock which has run for two beats and has just sent a start."""
    rig = Rig(spec or SyncSpec("midi"), **fields)
    rig.sync.open()
    begin = rig.clock.now() + 5 * MS
    rig.send(rig.times(bpm, 48, begin))
    assert not rig.player.playing
    rig.stage.go(2 * MS)
    rig.hear(START)
    return rig, begin + round(48 * 60e9 / bpm / 24)


# A MIDI clock ---------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.floats(50, 220), st.integers(0, 10**6))
def test_beat_0_comes_with_the_first_pulse_and_the_rest_with_the_others(
    bpm: float, seed: int
) -> None:
    rig, begin = started(bpm)
    rig.send(rig.times(bpm, 24 * 24, begin), 2, seed)
    errors = [(when - begin - float(b) * 60e9 / bpm) / MS for b, when in rig.onsets().items()]
    assert len(errors) > 40
    assert abs(errors[0]) < 1
    late = sorted(map(abs, errors[16:]))  # after two bars
    assert late[int(len(late) * 0.99)] < 1


def test_a_clock_that_comes_with_its_start_is_joined_at_once() -> None:
    rig = Rig(SyncSpec("midi"), tempo=97.0)
    rig.sync.open()
    rig.stage.go(SECOND)
    rig.hear(START)
    rig.stage.go(MS)
    begin = rig.clock.now()
    rig.send(rig.times(140, 24 * 12, begin))
    onsets = rig.onsets()
    assert onsets[F(0)] == begin
    for beat in range(1, 11):
        assert onsets[F(beat)] == pytest.approx(begin + beat * 60e9 / 140, abs=MS)


def test_a_second_without_a_clock_is_ridden_without_a_step() -> None:
    rig, begin = started()
    times = rig.times(120, 24 * 32, begin)
    rig.send(times[: 24 * 16], 2, 5)
    rig.send(times[24 * 18 :], 2, 6)
    gaps = [after - before for before, after in pairwise(rig.onsets().values())]
    assert all(abs(gap - 250 * MS) < 2 * MS for gap in gaps[16:])
    assert "free" in [e.state for e in rig.stage.entries if isinstance(e, Synced)]
    assert rig.sync.state == "locked"


@pytest.mark.parametrize(("lost", "playing"), [("hold", True), ("stop", False)])
def test_a_clock_that_stays_away_is_given_up(lost: str, playing: bool) -> None:
    rig, begin = started(150, SyncSpec("midi", lost=lost, patience=SECOND))
    rig.send(rig.times(150, 24 * 8, begin))
    rig.stage.go(1500 * MS)
    assert rig.sync.state == "lost"
    assert rig.player.playing == playing
    if playing:
        assert rig.player.timeline.tempo_at(rig.player.now_beat) == pytest.approx(150, rel=1e-3)
        rig.player.stop()  # a hand on the switch is obeyed
        rig.player.play()
        rig.stage.go(SECOND)
        assert rig.player.playing


def test_stop_continue_and_song_position_are_obeyed() -> None:
    rig, begin = started()
    times = rig.times(120, 24 * 24, begin)
    rig.send(times[: 24 * 4 + 7])
    rig.hear(b"\xfc")
    assert not rig.player.playing
    assert abs(rig.player.now_beat - F(4 * 24 + 6, 24)) < F(1, 24)
    rig.hear(CONTINUE)
    rig.send(times[24 * 4 + 7 : 24 * 8])
    assert rig.player.playing
    assert rig.onsets()[F(6)] == pytest.approx(begin + 3 * SECOND, abs=MS)
    first = {e.note.beat: e.note.pitch for e in rig.stage.played}
    rig.hear(b"\xfc", song_position(F(2)), CONTINUE)
    rig.send(times[24 * 8 : 24 * 12])
    again = [(e.note.beat, e.note.pitch) for e in rig.stage.played if e.note.beat >= 2]
    replayed = again[len([beat for beat in first if beat >= 2]) :]
    assert replayed[0][0] == 2
    assert all(first[beat] == pitch for beat, pitch in replayed if beat in first)
    assert (rig.player.now_beat - 6) < F(1, 24)


def test_a_far_place_is_gone_through_in_slices_and_joined_in_time() -> None:
    rig, begin = started()
    times = rig.times(120, 24 * 24, begin)
    rig.send(times[:24])
    rig.hear(b"\xfc", song_position(F(4000)), CONTINUE)
    assert rig.player.seeking
    rig.send(times[24:])
    assert rig.player.playing
    at = rig.player.timeline.ns_at(F(4016))
    assert at == pytest.approx(times[24] + 16 * 500 * MS, abs=MS)


def test_the_pulses_that_go_out_are_those_that_come_in() -> None:
    rig, begin = started(output=MIDI)
    times = rig.times(120, 24 * 16, begin)
    rig.send(times, 2, 9)
    out = [when for when, data, _ in rig.stage.wire.sent if data == PULSE and when > times[192]]
    assert len(out) > 100
    errors = sorted(min(abs(when - at) for at in times) for when in out)
    assert errors[int(len(errors) * 0.99)] < MS
    assert errors[-1] < 2 * MS
    assert [data for _, data, _ in rig.stage.wire.sent if data == START] == [START]


def test_the_clock_alone_is_followed_where_its_transport_is_not_wanted() -> None:
    rig = Rig(SyncSpec("midi", transport=False))
    rig.sync.open()
    assert rig.player.playing
    begin = rig.clock.now()
    rig.send(rig.times(132, 24 * 12, begin + 5 * MS))
    rig.hear(b"\xfc")
    assert rig.player.playing
    place = rig.player.timeline.ns_at(F(20)) - (begin + 5 * MS)
    assert abs((place / (60e9 / 132) + 0.5) % 1 - 0.5) < 0.002


def test_no_tempo_of_ours_is_heard_while_a_clock_leads() -> None:
    rig, begin = started()
    rig.send(rig.times(120, 48, begin))
    with pytest.raises(Mistake, match="the MIDI clock leads"):
        rig.player.tempo(90)


def test_who_leads_changes_without_a_jump() -> None:
    rig = Rig(tempo=100.0)
    rig.sync.open()
    rig.stage.go(2 * SECOND)
    rig.sync.use("midi:Deluge")
    assert rig.opened == ["Deluge"]
    rig.send(rig.times(110, 24 * 8))
    rig.sync.use("internal")
    assert rig.opened[-1] == ""
    rig.stage.go(2 * SECOND)
    rig.sync.use("link")
    rig.session.others(120, F(2))
    rig.stage.go(8 * SECOND)
    rig.sync.use("internal")
    assert rig.player.timeline.tempo_at(rig.player.now_beat) == pytest.approx(120)
    assert rig.player.tempo(150).state == "done"
    rig.stage.go(SECOND)
    beats = sorted(rig.onsets())
    assert [after - before for before, after in pairwise(beats)] == [F(1, 2)] * (len(beats) - 1)
    gaps = [after - before for before, after in pairwise(rig.onsets().values())]
    assert all(200 * MS * 0.9 < gap < 300 * MS / 0.78 for gap in gaps)


# Link -------------------------------------------------------------------------------------------


def linked(bpm: float = 130.0, **spec: Any) -> Rig:
    rig = Rig(SyncSpec("link", transport=spec.get("transport", False)))
    rig.session.others(bpm, F(5, 3))
    rig.sync.open()
    return rig


def phase(rig: Rig, beat: int) -> float:
    """How far a beat of ours is from that place in the session's bar, in ms."""
    line, session = rig.player.timeline, rig.session.course
    there = session.beat_at(line.ns_at(F(beat)))
    return float((there - beat + 2) % 4 - 2) * 60_000 / session.bpm


def test_a_session_is_joined_at_its_bar_and_in_its_tempo() -> None:
    rig = linked()
    rig.stage.go(6 * SECOND)
    assert rig.player.playing
    assert rig.session.asked == []
    assert rig.sync.state == "linked"
    assert abs(phase(rig, 8)) < 0.1
    assert rig.player.timeline.tempo_at(F(8)) == pytest.approx(130)


@pytest.mark.parametrize("bpm", [90.0, 111.0, 180.0])
def test_either_side_may_change_the_tempo(bpm: float) -> None:
    rig = linked()
    rig.stage.go(5 * SECOND)
    rig.session.tempo(bpm, rig.clock.now())
    rig.stage.go(2 * SECOND)
    assert abs(phase(rig, int(rig.player.now_beat) + 1)) < 0.3
    assert rig.player.tempo(100).state == "done"
    assert rig.session.asked[-1] == 100
    rig.stage.go(2 * SECOND)
    assert abs(phase(rig, int(rig.player.now_beat) + 1)) < 0.3
    with pytest.raises(Mistake, match="no ramp"):
        rig.player.tempo(120, F(4))


def test_who_is_alone_has_his_own_way_at_once() -> None:
    rig = Rig(SyncSpec("link", transport=False), tempo=97.0)
    rig.session.course = Course(F(0), rig.clock.now(), 97.0)
    rig.sync.open()
    rig.stage.go(2 * SECOND)
    assert rig.player.playing
    assert rig.sync.state == "alone"
    assert rig.player.timeline.tempo_at(F(1)) == pytest.approx(97)
    assert rig.player.now_beat > 1


def test_start_and_stop_are_shared_where_that_is_asked_for() -> None:
    rig = linked(transport=True)
    rig.stage.go(2 * SECOND)
    assert not rig.player.playing
    rig.session.play(True, rig.clock.now())
    rig.stage.go(3 * SECOND)
    assert rig.player.playing
    assert abs(phase(rig, 0)) < 0.1
    rig.player.stop()
    assert not rig.session.playing
    rig.stage.go(SECOND)
    assert not rig.player.playing
    rig.player.play()
    assert rig.session.playing
    rig.stage.go(SECOND)
    rig.session.play(False, rig.clock.now())
    rig.stage.go(SECOND)
    assert not rig.player.playing
    moves = [entry.state for entry in rig.stage.entries if isinstance(entry, Moved)]
    assert moves == ["playing", "stopped", "playing", "stopped"]


def test_a_session_that_jumps_is_met_within_the_bar_it_is_in() -> None:
    rig = linked()
    rig.stage.go(4 * SECOND)
    rig.session.others(130, F(11, 7))
    rig.stage.go(8 * SECOND)
    assert abs(phase(rig, int(rig.player.now_beat) + 1)) < 0.1
    gaps = [after - before for before, after in pairwise(rig.onsets().values())]
    half = 60e9 / 130 / 2
    assert all(half / 1.26 < gap < half * 1.26 for gap in gaps)


# By hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ms", [-80.0, 12.5, 300.0])
@pytest.mark.parametrize("source", ["internal", "link"])
def test_a_nudge_moves_everything_smoothly(source: str, ms: float) -> None:
    rig = Rig()
    rig.session.others(120, F(0))
    rig.sync.use(source)
    rig.player.play()
    rig.stage.go(3 * SECOND)
    before = rig.player.timeline
    rig.sync.nudge(ms)
    rig.stage.go(4 * SECOND)
    rig.sync.nudge(ms)
    after = rig.player.timeline
    assert after.ns_at(F(100)) - before.ns_at(F(100)) == pytest.approx(ms * MS, abs=MS / 4)
    gaps = [after - before for before, after in pairwise(rig.onsets().values())]
    assert all(250 * MS / 1.26 < gap < 250 * MS * 1.26 for gap in gaps)
    rig.sync.nudge(0)
    rig.stage.go(4 * SECOND)
    assert rig.player.timeline.ns_at(F(100)) == pytest.approx(before.ns_at(F(100)), abs=MS / 4)


def test_taps_set_the_tempo_and_may_set_the_beat() -> None:
    rig = Rig()
    rig.sync.open()
    rig.stage.go(1700 * MS)
    for _ in range(5):
        taps = rig.clock.now()
        rig.sync.tap(align=True)
        rig.stage.go(600 * MS)
    line = rig.player.timeline
    assert line.tempo_at(rig.player.now_beat) == pytest.approx(100)
    rig.stage.go(2 * SECOND)
    beat = rig.player.timeline.beat_at(taps + 2400 * MS)
    assert abs(beat - round(beat)) < F(1, 50)
    rig.sync.use("midi")
    with pytest.raises(Mistake, match="MIDI clock leads"):
        rig.sync.tap(align=False)


def test_the_desk_says_who_leads_and_how_it_goes() -> None:
    rig, begin = started()
    desk = Desk(rig.player, lambda path, style: scene(EIGHTHS), sync=rig.sync)
    answers: list[tuple[Any, ...]] = []
    someone = Source("someone", answer=lambda address, args: answers.append(args))
    rig.send(rig.times(120, 96, begin))
    values = {
        name: node.value()
        for name in ("sync", "sync/state", "sync/peers", "sync/tempo", "sync/jitter", "nudge")
        if (node := desk.tree.get(f"/componium/{name}")) and node.value
    }
    assert values == {
        "sync": ("midi",),
        "sync/state": ("locked",),
        "sync/peers": (0,),
        "sync/tempo": (120.0,),
        "sync/jitter": (0.0,),
        "nudge": (0.0,),
    }
    desk.receive("/componium/tempo", [90.0], someone)
    assert answers[-1][1] == "refused"
    assert "MIDI clock leads" in answers[-1][3]
    desk.receive("/componium/sync", ["ltc"], someone)
    assert answers[-1][1] == "refused"
    desk.receive("/componium/sync", ["internal"], someone)
    desk.receive("/componium/tempo", [90.0], someone)
    assert answers[-1][1] == "done"
    assert not [entry for entry in rig.stage.entries if isinstance(entry, Troubled)
                and entry.source != "desk"]  # fmt: skip


def test_without_the_library_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "link", None)
    rig = Rig()
    sync = Sync(rig.player)
    with pytest.raises(Mistake, match=r"pip install .*\[link\]"):
        sync.use("link")
    assert sync.source == "internal"
