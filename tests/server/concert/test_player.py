from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engines.base import Controls, Fragment, Mistake, Sound, Symbol
from server.concert.changes import Receipt
from server.concert.clock import JumpClock
from server.concert.journal import Entry, Harmonised, Marked, Moved, Ticked, Troubled, Turned
from server.concert.player import Player
from server.concert.transport import Base
from server.conductor.conductor import Bar, Feel
from server.ensemble.encode import OutputSpec
from server.ensemble.rack import Rack, Tape
from server.music.groove import parse_groove
from server.score.scene import Scene
from server.wire.protocol import pack_event
from tests.server.model import MIDI, MS, OSC, SECOND, Row, Stage, part, row, scene

F = Fraction
BUSY = (
    row("tune", "C D E F G 1/8 A 1/8t B 1/16 Quarter", chance=True, grid=None, swing=0.6),
    row("drums", "Kick Snare Rest HiHat", chance=True, channel=10, human_velocity=0.1),
    row("chords", "I V7 ii vi", chance=True, grid=F(2)),
    row("tones", "c1 c3 c5 Rest", chance=True, human_time=0.01, fit="chord"),
)
CALM = (row("tune", "G G A B", grid=F(1)), row("bells", "C6 E6", grid=F(1, 4)))


def busy(**fields: Any) -> Scene:
    return scene(*BUSY, **fields)


Command = tuple[int, str, Any]
COMMANDS: list[Command] = [
    (300, "tempo", (150.0, F(0), "now")),
    (500, "strip", ("tune", "mute", True, "bar")),
    (700, "strip", ("drums", "density", 0.5, "now")),
    (1100, "tempo", (90.0, F(3), "beat")),
    (1500, "strip", ("tones", "octave", 1, "2 beats")),
    (2300, "strip", ("tune", "mute", False, "now")),
    (2350, "tempo", (200.0, F(0), "bar")),
    (2500, "strip", ("chords", "level", 0.5, "4 bars")),
    (3300, "change_scene", (scene(*CALM, name="two", tempo=100, meters="3/4"), "bar")),
    (5000, "strip", ("bells", "solo", True, "bar")),
    (6500, "change_scene", (busy(seed=7), "2 bars")),
    (7000, "tempo", (60.0, F(1), "now")),
]


def perform(commands: list[Command], horizon: int, wakes: list[int], seconds: int = 9) -> Stage:
    """Play with these commands at these milliseconds, woken after these intervals in turn."""
    stage = Stage(busy(), horizon)
    stage.player.play()
    begin, todo, turn = stage.clock.now(), list(commands), 0
    while stage.clock.now() < begin + seconds * SECOND:
        until = stage.clock.now() + wakes[turn % len(wakes)] * MS
        turn += 1
        while todo and begin + todo[0][0] * MS <= until:
            at, name, arguments = todo.pop(0)
            stage.clock.jump(begin + at * MS - stage.clock.now())
            stage.wire.run()
            getattr(stage.player, name)(*arguments)
        stage.clock.jump(until - stage.clock.now())
        stage.wire.run()
        stage.player.wake()
    stage.player.stop()
    return stage


def heard(stage: Stage) -> list[tuple[Any, ...]]:
    """What began, as the journal has it, and what ended, as the wire did it: when a note begins
    the journal cannot know yet whether a change will cut it short.
    """
    limit = 8.5
    begun = [note[:4] + note[5:7] for note in stage.notes() if note[0] < limit]
    first = min(when for when, *_ in stage.wire.sent)
    ended = sorted(
        (when - first, data)
        for when, data, event in stage.wire.sent
        if event.off and data == event.off and when - first < limit * SECOND
    )
    return [*begun, *ended]


REFERENCE = heard(perform(COMMANDS, 100 * MS, [25]))


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([50, 100, 400, 1000, 3000, 10_000]),
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
)
def test_what_is_heard_depends_neither_on_horizon_nor_on_wakes(
    horizon: int, wakes: list[int]
) -> None:
    assert len(REFERENCE) > 60
    assert heard(perform(COMMANDS, horizon * MS, [2 * wake for wake in wakes])) == REFERENCE


async def test_rendered_is_what_is_played() -> None:
    tape, entries = Tape(), list[Entry]()
    player = Player(JumpClock(), lambda ids: Rack({"osc": tape}, ids), horizon=4 * SECOND)
    player.journal.add(entries.append)
    player.cue(busy())
    player.play(end_bar=4)
    await player.run()
    stage = Stage(busy())
    stage.player.play(end_bar=4)
    stage.go(10 * SECOND)
    assert stage.player.ended
    rendered = [repr(entry) for entry in entries]
    assert rendered == [repr(entry) for entry in stage.entries]
    assert len(rendered) > 60


def test_another_part_changes_nothing_for_the_others() -> None:
    alone, together = Stage(scene(BUSY[0])), Stage(scene(BUSY[0], BUSY[1]))
    for stage in (alone, together):
        stage.player.play()
        stage.go(6 * SECOND)
    assert alone.notes()
    assert alone.notes() == [note for note in together.notes() if note[1] == "tune"]


def check_ledger(stage: Stage, heard: bool = True) -> None:
    """Every on left once and was ended once; every note of the journal left, and no other."""
    ids = Counter(event.id for _, event in stage.ons())
    assert set(ids.values()) <= {1}
    offs = Counter(
        event.id for _, data, event in stage.wire.sent if event.off and data == event.off
    )
    assert set(offs) | set(stage.wire.sounding) == set(ids)
    assert set(offs.values()) <= {1}
    assert not stage.wire.late
    assert len(stage.played) == len(ids) or not heard


parts = st.sampled_from(["tune", "drums", "chords", "tones"])
whens = st.sampled_from(["now", "beat", "bar", "2 beats", "2 bars", "phrase"])
operations = st.one_of(
    st.tuples(st.just("go"), st.integers(1, 700)),
    st.tuples(st.sampled_from(["play", "resume", "stop", "panic"])),
    st.tuples(
        st.just("tempo"),
        st.floats(20, 999),
        st.fractions(0, 8, max_denominator=12),
        whens,
    ),
    st.tuples(st.just("strip"), parts, st.sampled_from(["mute", "solo"]), st.booleans(), whens),
    st.tuples(st.just("strip"), parts, st.just("density"), st.floats(0, 1), whens),
    st.tuples(st.just("scene"), st.integers(0, 2**32), whens),
    st.tuples(st.just("silenced")),
)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(operations, max_size=25), st.sampled_from([MIDI, OSC]))
def test_whatever_is_done_every_note_has_one_begin_and_one_end(
    todo: list[tuple[Any, ...]], output: OutputSpec
) -> None:
    stage = Stage(busy(output=output))
    player = stage.player
    player.play()
    for name, *arguments in todo:
        if name == "go":
            stage.go(arguments[0] * MS)
        elif name == "scene":
            player.change_scene(busy(seed=arguments[0], output=output), arguments[1])
        elif name == "silenced":
            stage.wire.silence()
            player.wire_silenced("test")
        else:
            getattr(player, name)(*arguments)
        if name in ("stop", "panic"):
            assert not stage.wire.sounding
            assert all(event.part == 0 for event in stage.wire.queued.values())
    player.stop()
    stage.go(200 * MS)
    assert not stage.wire.sounding
    check_ledger(stage)
    assert {e.text for e in stage.entries if isinstance(e, Troubled)} <= {"test"}


# Tempo ----------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 900), st.floats(20, 999), st.fractions(0, 4, max_denominator=8)),
        min_size=1,
        max_size=8,
    )
)
def test_through_any_tempo_changes_every_beat_comes_once_and_none_jumps(
    changes: list[tuple[int, float, Fraction]],
) -> None:
    stage = Stage(scene(row("tick", "C", grid=F(1, 4)), output=MIDI))
    stage.player.play()
    for wait, bpm, over in changes:
        stage.go(wait * MS)
        before = stage.player.now_beat
        stage.player.tempo(bpm, over)
        assert before == 0 or abs(stage.player.timeline.ns_at(before) - stage.clock.now()) < 2000
    stage.go(SECOND)
    beats = [entry.moment.beat for entry in stage.entries if isinstance(entry, Ticked)]
    assert beats == [F(n) for n in range(len(beats))]
    notes = [entry.note.beat for entry in stage.played]
    assert notes == [F(n, 4) for n in range(len(notes))]
    assert notes[-1] + F(1, 4) >= stage.player.now_beat - F(1, 1000)
    pulses = [when for when, data, _ in stage.wire.sent if data == b"\xf8"]
    start = next(when for when, data, _ in stage.wire.sent if data == b"\xfa")
    after = [when for when in pulses if when > start]
    here, hair = stage.player.now_beat, F(1, 10**6)  # a pulse may fall on this very nanosecond
    assert int((here - hair) * 24) < len(after) <= int((here + hair) * 24) + 1
    for nth in range(0, len(after), 24):
        entry = next(
            e for e in stage.entries if isinstance(e, Ticked) and e.moment.beat == nth // 24
        )
        assert abs(stage.player._start_ns + entry.moment.seconds * 1e9 - after[nth]) < 2


def test_a_change_of_tempo_moves_what_begins_and_what_ends_later() -> None:
    stage = Stage(scene(row("long", "C", grid=F(4))))
    stage.player.play()
    stage.go_to(1)
    stage.player.tempo(60)
    stage.go(4 * SECOND)
    first, second = stage.played[:2]
    (on, event), (again, _) = stage.ons()[:2]
    off = next(when for when, data, e in stage.wire.sent if e.id == event.id and data == e.off)
    assert abs(off - on - 500 * MS - 2600 * MS) < 1000
    assert abs(again - on - 3500 * MS) < 1000
    assert first.note.beat == 0
    assert second.note.beat == 4


def test_speeding_up_leaves_no_hole_in_the_plan() -> None:
    stage = Stage(scene(row("tick", "C", grid=F(1, 8)), tempo=20.0))
    stage.player.play()
    stage.go(SECOND)
    stage.player.tempo(999)
    stage.go(SECOND)
    for when, event in stage.ons():
        assert when == event.due


def test_a_scene_keeps_its_tempo_when_one_is_set_just_before_it_begins() -> None:
    stage = Stage(busy(), horizon=2 * SECOND)
    stage.player.play()
    stage.go(SECOND)
    stage.player.change_scene(scene(*CALM, name="two", tempo=100.0), "bar")
    stage.player.tempo(140)
    stage.go(2 * SECOND)
    assert stage.player.scene is not None
    assert stage.player.scene.name == "two"
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 100


# Strips ---------------------------------------------------------------------------------


def test_a_mute_is_heard_at_once_and_its_end_too() -> None:
    stage = Stage(scene(row("long", "C", grid=F(4), gate=1.0), row("tick", "E", grid=F(1, 2))))
    stage.player.play()
    stage.go_to(F(5, 4))
    now = stage.clock.now()
    stage.player.strip("long", "mute", True)
    assert [e for e in stage.wire.sounding.values() if e.part == stage.ons()[0][1].part] == []
    assert stage.wire.sent[-1][0] == now
    stage.go_to(5)
    stage.player.strip("long", "mute", False)
    stage.go_to(9)
    assert [e.note.beat for e in stage.played if e.note.part == "long"] == [0, 8]
    assert [e.note.beat for e in stage.played if e.note.part == "tick"] == [
        F(n, 2) for n in range(19)
    ]


def test_a_muted_part_still_lets_its_pedal_come_up() -> None:
    reading = {"A": "cc64=127 cc74=9 C", "B": "cc74=5 cc64=0 D"}
    stage = Stage(scene(row("a", "A B", reading=reading, grid=F(1)), output=MIDI))
    stage.player.play()
    stage.player.strip("a", "mute", True, "beat 2")
    stage.go_to(F(5, 2))
    turned = [each[1:] for each in stage.entries if isinstance(each, Turned)]
    assert turned == [("a", 1, 64, 127), ("a", 1, 74, 9), ("a", 1, 64, 0)]
    controls = [data for _, data, _ in stage.wire.sent if data[0] == 0xB0 and data[1] in (64, 74)]
    assert controls == [b"\xb0\x40\x7f", b"\xb0\x4a\x09", b"\xb0\x40\x00"]


def test_a_muted_part_is_silent_even_where_it_swings() -> None:
    stage = Stage(scene(row("off", "C", grid=F(1, 2), swing=0.75)))
    stage.player.play()
    stage.go_to(F(5, 8))  # the note of beat 1/2 comes at 3/4
    stage.player.strip("off", "mute", True)
    stage.go_to(4)
    assert [e.note.beat for e in stage.played] == [0]


def test_solo_silences_the_others_and_only_while_it_lasts() -> None:
    stage = Stage(scene(row("a", "C", grid=F(1)), row("b", "E", grid=F(1))))
    stage.player.play()
    stage.go_to(F(1, 2))
    stage.player.strip("a", "solo", True, "bar")
    stage.player.strip("a", "solo", False, "2 bars")
    stage.go_to(F(23, 2))
    beats = {name: [e.note.beat for e in stage.played if e.note.part == name] for name in "ab"}
    assert beats == {"a": list(range(12)), "b": [0, 1, 2, 3, 8, 9, 10, 11]}


@pytest.mark.parametrize("horizon", [50, 100, 5000])
def test_a_scheduled_strip_takes_effect_exactly_there(horizon: int) -> None:
    piece = scene(row("a", "C", grid=F(1, 2)), phrase=3)
    plain, stage = Stage(piece), Stage(piece, horizon=horizon * MS)
    for each in (plain, stage):
        each.player.play()
    stage.go_to(F(1, 4))
    levels: dict[str, tuple[int, float]] = {
        "beat": (1, 0.1),
        "3 beats": (3, 0.2),
        "bar": (4, 0.3),
        "phrase": (12, 0.4),
    }
    levels["4 bars"] = (16, 0.5)
    for when, (beat, level) in levels.items():
        receipt = stage.player.strip("a", "level", level, when)
        assert (receipt.state, receipt.beat, receipt.bar) == ("armed", F(beat), 1 + beat / 4)
    for each in (plain, stage):
        each.go_to(17)
    for old, new in zip(plain.played, stage.played, strict=True):
        level = ([1.0] + [each for beat, each in levels.values() if beat <= new.note.beat])[-1]
        assert abs(new.note.velocity - old.note.velocity * level) < 1e-9


def test_octave_and_level_change_notes_and_density_thins_to_a_subset() -> None:
    def played(**controls: float) -> dict[Fraction, tuple[int, float]]:
        stage = Stage(scene(row("a", "C E G", grid=F(1, 4))))
        for name, value in controls.items():
            stage.player.strip("a", name, value)
        stage.player.play()
        stage.go_to(16)
        return {e.note.beat: (e.note.pitch, e.note.velocity) for e in stage.played}

    plain, thin, thinner = played(), played(density=0.6), played(density=0.3)
    assert set(thinner) < set(thin) < set(plain)
    assert {beat: (pitch + 12, loud) for beat, (pitch, loud) in plain.items()} == played(octave=1)
    half = played(level=0.5)
    assert all(abs(half[beat][1] - loud / 2) < 1e-9 for beat, (_, loud) in plain.items())


# Receipts -------------------------------------------------------------------------------


def test_receipts_are_armed_then_done_with_their_bar() -> None:
    stage = Stage(scene(*CALM, meters="3/4"))
    stage.player.play()
    stage.go_to(F(1, 2))
    told: list[tuple[str, float, int]] = []

    def tell(receipt: Receipt) -> None:
        told.append((receipt.state, receipt.bar, stage.clock.now()))

    stage.player.tempo(90, when="bar", told=tell)
    assert [state for state, *_ in told] == ["armed"]
    stage.go_to(4)
    assert [(state, bar) for state, bar, _ in told] == [("armed", 2.0), ("done", 2.0)]
    assert told[1][2] - stage.player.timeline.ns_at(F(3)) in range(0, 26 * MS)
    stage.player.strip("tune", "mute", True, "now", tell)
    assert told[-1][0] == "done"
    stage.player.strip("tune", "mute", False, "4 bars", tell)
    stage.player.stop()
    assert told[-1][0] == "superseded"


def test_of_two_changes_of_one_thing_the_newer_counts() -> None:
    stage = Stage(scene(*CALM))
    stage.player.play()
    stage.go_to(1)
    old = stage.player.tempo(90, when="bar")
    new = stage.player.tempo(80, when="bar")
    other = stage.player.strip("tune", "level", 0.5, "bar")
    assert (old.state, new.state, other.state) == ("superseded", "armed", "armed")
    stage.go_to(5)
    assert stage.player.timeline.tempo_at(F(5)) == 80
    assert (new.state, other.state) == ("done", "done")


@pytest.mark.parametrize("field", ["tempo", "level"])
def test_too_many_waiting_changes_are_refused(field: str) -> None:
    stage = Stage(scene(*CALM))
    stage.player.play()
    for bars in range(1, 258):
        if field == "tempo":
            last = stage.player.tempo(90, when=f"{1024 - bars} bars")
        else:
            last = stage.player.strip("tune", "level", 0.5, f"{1024 - bars} bars")
    # A newer change supersedes those that would come later, so only rising ones pile up.
    assert last.state == "armed"
    stage.player.stop()
    stage.player.play()
    stage.go_to(1)
    states = [stage.player.tempo(90, when=f"{bars} bars").state for bars in range(1, 258)]
    assert states == ["armed"] * 256 + ["refused"]
    assert stage.player.strip("tune", "mute", True).state == "done"


def test_names_that_are_not_there_are_mistakes() -> None:
    stage = Stage(scene(*CALM, controls={"arousal": 0.0}))
    with pytest.raises(Mistake, match="tune, bells"):
        stage.player.strip("tuen", "mute", True)
    with pytest.raises(Mistake, match="arousal"):
        stage.player.control("valence", 1)
    with pytest.raises(Mistake, match="4 bars"):
        stage.player.tempo(90, when="tomorrow")
    with pytest.raises(Mistake, match="from 20 to 999"):
        stage.player.tempo(float("nan"))
    assert stage.player.control("arousal", 0.5).state == "done"


# Scenes ---------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    st.integers(100, 3000),
    st.sampled_from(["now", "beat", "bar", "2 bars"]),
    st.sampled_from([50, 100, 1000, 5000]),
)
@example(2061, "now", 50)  # a note that humanising would have let end after the border
@example(2610, "now", 50)  # at the very nanosecond of a beat
def test_the_old_scene_ends_where_the_new_one_begins(wait: int, when: str, horizon: int) -> None:
    stage = Stage(busy(), horizon=horizon * MS)
    stage.player.play()
    stage.go(wait * MS)
    receipt = stage.player.change_scene(scene(*CALM, name="two", meters="3/4"), when)
    stage.go(7 * SECOND)
    border = stage.player.timeline.ns_at(receipt.beat)
    new = [when for when, e in stage.ons() if b"bells" in e.on]
    old = [when for when, e in stage.ons() if b"bells" not in e.on and when >= border]
    assert abs(new[0] - border) <= 1000 or when == "now"
    tune = [e for e in stage.played if e.note.part == "tune" and e.note.beat >= receipt.beat]
    assert [e.note.pitch for e in tune][:4] == [67, 67, 69, 71]
    assert tune[0].note.beat == receipt.beat
    # What of the old scene is due at this very nanosecond has left already: a note, a beat.
    assert len(old) - len(tune) in ((0, 1) if when == "now" else (0,))
    ends = [w for w, data, e in stage.wire.sent if data == e.off and e.due < border - MS]
    assert max(ends) <= border + MS
    beats = [e.moment for e in stage.entries if isinstance(e, Ticked)]
    last = sum(m.beat < receipt.beat for m in beats)
    last += when == "now" and beats[last + 1].beat == receipt.beat
    before, after = beats[:last], beats[last:]
    assert [m.beat for m in before] == [F(n) for n in range(len(before))]
    assert [m.beat - receipt.beat for m in after] == [F(n) for n in range(len(after))]
    assert [(m.bar, m.position) for m in after[:4]] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    marks = [e.moment.beat for e in stage.entries if isinstance(e, Marked) and e.name == "two"]
    assert marks == [receipt.beat]
    check_ledger(stage)


def test_a_newer_scene_takes_the_place_of_one_that_waits() -> None:
    for horizon in (50, 4000):
        stage = Stage(busy(), horizon=horizon * MS)
        stage.player.play()
        stage.go(SECOND)
        one = stage.player.change_scene(scene(*CALM, name="two"), "bar")
        stage.player.change_scene(scene(*CALM, name="three"), "bar")
        stage.go(3 * SECOND)
        assert one.state == "superseded"
        names = [e.name for e in stage.entries if isinstance(e, Marked) and e.kind == "scene"]
        assert names == ["one", "three"]
        check_ledger(stage)


def test_ports_that_only_the_old_scene_used_are_closed_afterwards() -> None:
    stage = Stage(busy())
    stage.player.play()
    stage.go(SECOND)
    stage.player.change_scene(scene(*CALM, output=OutputSpec("x", "osc", "127.0.0.1:1")), "now")
    assert len(stage.wire.ports) == 2
    stage.go(2 * SECOND)
    assert [port["number"] for port in stage.wire.ports.values()] == [1]


def test_programs_of_the_new_scene_come_with_it_and_not_before() -> None:
    stage = Stage(scene(row("a", "C", program=4, bank=129), output=MIDI))
    assert not [data for _, data, _ in stage.wire.sent if data[0] & 0xF0 in (0xB0, 0xC0)]
    stage.player.play()
    assert [data for _, data, _ in stage.wire.sent if data[0] == 0xB0] == [
        bytes((0xB0, 0, 1, 0xB0, 32, 1, 0xC0, 4))
    ]
    stage.go_to(1)
    stage.player.change_scene(scene(row("b", "E", program=7), output=MIDI), "bar")
    stage.go_to(5)
    programs = [when for when, data, _ in stage.wire.sent if data == bytes((0xC0, 7))]
    assert programs == [stage.player.timeline.ns_at(F(4))]
    count = len(stage.wire.sent)
    stage.player.port_state("midi", 0, "open", "")
    # The program, and where we are.
    assert [data for _, data, _ in stage.wire.sent[count:]] == [bytes((0xC0, 7)), b"\xf2\x15\x00"]


# The transport --------------------------------------------------------------------------


def test_key_and_scale_are_told_again_where_the_music_goes_on() -> None:
    stage = Stage(scene(row("tick", "C", grid=F(1, 4)), output=OSC))
    stage.player.play()
    stage.go_to(2)
    stage.player.stop()
    stopped = stage.clock.now()
    stage.player.resume()
    stage.go_to(3)
    sent = [data for when, data, _ in stage.wire.sent if when >= stopped]
    for address in (b"/componium/key", b"/componium/scale"):
        assert sum(data.startswith(address) for data in sent) == 1


def test_stop_and_resume_go_on_at_the_next_sixteenth() -> None:
    stage = Stage(scene(row("tick", "C", grid=F(1, 4)), output=MIDI))
    stage.player.play()
    stage.go_to(F(17, 8))
    stage.player.stop()
    stopped = stage.clock.now()
    stage.go(3 * SECOND)
    assert stage.player.now_beat == F(17, 8)
    stage.player.resume()
    stage.go_to(4)
    beats = [entry.note.beat for entry in stage.played]
    assert beats == [F(n, 4) for n in range(len(beats))]
    assert len(beats) == 17
    messages = [(when, data) for when, data, _ in stage.wire.sent]
    said = [
        data for when, data in messages if when >= stopped and data[0] in (0xFA, 0xFB, 0xFC, 0xF2)
    ]
    assert said == [b"\xfc", bytes((0xF2, 9, 0)), b"\xfb"]
    go_on = next(when for when, data in messages if data == b"\xfb")
    first = next(when for when, data in messages if data == b"\xf8" and when > go_on)
    note = next(when for when, e in stage.ons() if when > go_on)
    assert first == note == stage.player.timeline.ns_at(F(9, 4))
    pulses = [when for when, data in messages if data == b"\xf8"]
    gaps = [b - a for a, b in pairwise(pulses)]
    period = 500 * MS / 24
    assert min(gaps) > period / 2 - 1
    assert max(gaps) < 1.6 * period
    states = [e.state for e in stage.entries if isinstance(e, Moved)]
    assert states == ["playing", "stopped", "playing"]
    check_ledger(stage)


def test_start_comes_before_the_pulse_of_beat_0() -> None:
    stage = Stage(scene(row("tick", "C"), output=MIDI))
    stage.go(SECOND)
    stage.player.play()
    stage.go(SECOND)
    messages = [(when, data) for when, data, _ in stage.wire.sent]
    start = next(when for when, data in messages if data == b"\xfa")
    pulses = [when for when, data in messages if data == b"\xf8"]
    beat = stage.player.timeline.ns_at(F(0))
    assert next(when for when in pulses if when > start) == beat
    assert start < beat
    assert len([when for when in pulses if when < start]) > 40
    assert min(b - a for a, b in pairwise(pulses)) > 500 * MS / 48 - 1


def test_what_was_thinned_out_does_not_come_back_too_late() -> None:
    for early, heard in ((2 * MS, False), (10 * MS, True)):
        stage = Stage(scene(row("tick", "C", grid=F(1)), output=MIDI))
        stage.player.play()
        stage.go_to(1)
        stage.player.strip("tick", "density", 0.0)
        stage.go_to(3)
        stage.go(SECOND // 2 - early)
        stage.player.strip("tick", "density", 1.0)
        stage.go(2 * SECOND)
        beats = [entry.note.beat for entry in stage.played]
        assert (4 in beats) == heard
        assert 3 not in beats and 5 in beats


def test_a_tempo_knob_that_is_turned_for_hours_leaves_nothing_behind() -> None:
    stage = Stage(scene(*CALM, output=MIDI))
    stage.player.play()
    for turn in range(1200):
        stage.player.tempo(100 + turn % 50)
        stage.go(20 * MS)
    assert sum(isinstance(each, Base) for each in gc.get_objects()) < 600


def test_a_tempo_set_while_stopped_holds_for_what_is_played_next() -> None:
    stage = Stage(scene(*CALM, output=MIDI))
    stage.player.tempo(60)
    stage.player.strip("bells", "mute", True)
    stage.go(SECOND)
    assert len([1 for _, data, _ in stage.wire.sent if data == b"\xf8"]) in (23, 24, 25)
    stage.player.play()
    stage.go_to(2)
    assert stage.player.timeline.tempo_at(F(1)) == 60
    assert {e.note.part for e in stage.played} == {"tune"}
    stage.player.stop()
    stage.player.tempo(240)
    stage.player.resume()
    stage.go(SECOND)
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 240
    beats = [e.note.beat for e in stage.played]
    assert beats == [F(n) for n in range(len(beats))]


def test_a_tempo_that_was_asked_for_holds_when_the_piece_is_played_again() -> None:
    stage = Stage(scene(*CALM, tempo=120.0))
    tempo = stage.player.timeline.tempo_at
    stage.player.play()
    stage.go(SECOND)
    for _ in range(3):
        stage.player.stop()
        stage.player.play()
        stage.go(SECOND)
        tempo = stage.player.timeline.tempo_at
        assert tempo(F(1)) == 120
    stage.player.tempo(90, over=F(64))
    stage.go(SECOND)
    for _ in range(3):
        stage.player.stop()
        stage.player.play()
        stage.go(SECOND)
        tempo = stage.player.timeline.tempo_at
        assert tempo(F(0)) == tempo(F(1)) == 90, "where it was heading"
    stage.player.stop()
    stage.player.cue(scene(*CALM, name="other", tempo=200.0))
    stage.player.play()
    stage.go(SECOND)
    assert stage.player.timeline.tempo_at(F(1)) == 200, "another scene has its own"


def test_stop_before_the_first_beat_and_resume_begin_at_the_beginning() -> None:
    stage = Stage(scene(*CALM, tempo=999.0))
    stage.player.play()
    stage.player.stop()
    assert stage.player.now_beat == 0
    stage.player.resume()
    stage.go(SECOND)
    assert stage.played[0].note.beat == 0
    check_ledger(stage)


def test_playing_again_is_the_same_again() -> None:
    stage = Stage(busy())
    stage.player.play(end_bar=2)
    stage.go(5 * SECOND)
    first = stage.notes()
    stage.player.stop()
    stage.entries.clear()
    stage.player.play(end_bar=2)
    stage.go(5 * SECOND)
    assert stage.notes() == first
    assert max(note[2] for note in first) < 8


async def test_the_end_comes_when_every_engine_has_ended() -> None:
    entries: list[Entry] = []
    player = Player(JumpClock())
    player.journal.add(entries.append)
    player.cue(scene(row("a", "C D", times=2), row("b", "E", times=1)))
    player.play()
    await asyncio.wait_for(player.run(), 5)
    assert [e.note.beat for e in entries if not isinstance(e, (Moved, Marked, Ticked))] == [  # type: ignore[union-attr]
        0, 0, F(1, 2), 1, F(3, 2),
    ]  # fmt: skip


# Gaps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.3, 3, 30, 7200])
@pytest.mark.parametrize("first", ["wake", "silenced", "strip", "stop"])
def test_nothing_of_a_gap_is_played_later(gap: float, first: str) -> None:
    stage = Stage(scene(row("tick", "C", grid=F(1, 4)), output=MIDI))
    stage.player.play()
    stage.go_to(F(9, 8))
    before = stage.clock.now()
    stage.stall(int(gap * SECOND))
    after = stage.clock.now()
    if first == "silenced":
        stage.player.wire_silenced("planner mute")
    elif first == "strip":
        stage.player.strip("tick", "level", 0.5)
    elif first == "stop":
        stage.player.stop()
        stage.go(SECOND)
        stage.player.resume()
    stage.go(2 * SECOND)
    sent = [when for when, _, _ in stage.wire.sent if before + 350 * MS < when < after]
    assert sent == []
    for when, event in stage.ons():
        assert when == event.due
    for entry in stage.played:
        assert entry.note.start % F(1, 4) == 0
    ids = [event.id for _, event in stage.ons()]
    assert len(ids) == len(set(ids)) == len(stage.played)
    if first != "stop":
        messages = [data for when, data, _ in stage.wire.sent if when >= after]
        assert [m[0] for m in messages if m[0] in (0xFC, 0xF2, 0xFB)] == [0xFC, 0xF2, 0xFB]
        go_on = next(when for when, data, _ in stage.wire.sent if data == b"\xfb")
        pulse = next(when for when, data, _ in stage.wire.sent if data == b"\xf8" and when > go_on)
        spp = next(data for data in messages if data[0] == 0xF2)
        beat = F(spp[1] | spp[2] << 7, 4)
        assert pulse == stage.player.timeline.ns_at(beat)
    assert [e for e in stage.entries if isinstance(e, Troubled)]


@pytest.mark.parametrize("after", ["stop", "play"])
def test_a_sleeping_machine_stops_and_goes_on_where_it_was(after: str) -> None:
    asleep = 0
    stage = Stage(scene(*CALM), boot=lambda: 10**12, after_sleep=after)
    stage.player._boot = lambda: stage.clock.now() + asleep
    asleep += 3600 * SECOND  # before playing: no reason to stop
    stage.go(100 * MS)
    stage.player.play()
    stage.go_to(2)
    assert stage.player.playing
    opened = stage.wire.opened
    asleep += 3600 * SECOND
    stage.go(100 * MS)
    assert stage.wire.opened == opened + 1
    assert stage.player.playing is (after == "play")
    if after == "stop":
        assert not stage.wire.sounding
        stage.player.resume()
    stage.go(2 * SECOND)
    beats = [e.note.beat for e in stage.played if e.note.part == "tune"]
    assert beats == [F(n) for n in range(len(beats))]
    assert len(beats) > 4


def test_a_step_of_the_wall_clock_changes_time_tags_only() -> None:
    output = OutputSpec("out", "osc", "127.0.0.1:1", timing="bundle", ahead=200 * MS)
    wall = [0]
    stages = [
        Stage(scene(*CALM, output=output), wall=lambda: 0),
        Stage(scene(*CALM, output=output), wall=lambda: wall[0]),
    ]
    for stage in stages:
        stage.player.play()
        stage.go(SECOND)
        wall[0] = 3600 * SECOND
        stage.go(SECOND)
        check_ledger(stage, heard=False)
    plain, stepped = ([(when, e.due, e.end) for when, e in stage.ons()] for stage in stages)
    assert plain == stepped
    assert [e.on for _, e in stages[0].ons()] != [e.on for _, e in stages[1].ons()]


def test_a_wall_clock_that_is_read_late_now_and_then_moves_no_time_tag() -> None:
    late = iter([3 * MS, 0, 60 * MS] * 200)
    output = OutputSpec("out", "osc", "127.0.0.1:1", timing="bundle", ahead=200 * MS)
    stage = Stage(scene(*CALM, output=output))
    told: list[int] = []
    stage.player._wall = lambda: stage.clock.now() + next(late)
    stage.player.rack.set_time = lambda now, wall: told.append(wall)  # type: ignore[method-assign]
    stage.player.play()
    stage.go(3 * SECOND)
    assert len(told) > 20
    assert set(told) == {0}


def test_bundles_of_the_first_beat_leave_in_time() -> None:
    output = OutputSpec("out", "osc", "127.0.0.1:1", timing="bundle", ahead=200 * MS)
    stage = Stage(scene(*CALM, output=output))
    stage.player.play()
    stage.go(SECOND)
    stage.player.strip("bells", "mute", True)
    stage.go(300 * MS)
    stage.player.strip("bells", "mute", False)
    stage.go(SECOND)
    assert not stage.wire.late
    first = stage.player.timeline.ns_at(F(0))
    assert stage.ons()[0][0] == first - 200 * MS
    check_ledger(stage, heard=False)


def test_humanised_and_pushed_notes_are_planned_in_time() -> None:
    parts = [row(name, "C E", human_time=0.05, grid=F(1, 4)) for name in "abc"]
    stage = Stage(scene(*parts))
    stage.player.play()
    stage.go(4 * SECOND)
    assert all(when == event.due for when, event in stage.ons())
    assert len(stage.played) > 80


# What is told ---------------------------------------------------------------------------


def test_chords_are_told_when_they_change() -> None:
    stage = Stage(scene(row("pad", "I I V V I", grid=F(2))))
    stage.player.play()
    stage.go_to(11)
    told = [(e.moment.beat, e.name) for e in stage.entries if isinstance(e, Harmonised)]
    assert [beat for beat, _ in told] == [0, 4, 8]
    assert [name for _, name in told] == ["C", "G", "C"]


def test_control_changes_are_sent_and_noted() -> None:
    stage = Stage(scene(row("a", "A B", reading={"A": "cc74=64 C", "B": "cc74=0.5"}), output=MIDI))
    stage.player.play()
    stage.go_to(F(3, 4))
    assert [(e.moment.beat, e.value) for e in stage.entries if isinstance(e, Turned)] == [
        (0, 64),
        (F(1, 2), 64),
    ]
    assert [data for _, data, _ in stage.wire.sent if data[0] == 0xB0] == [b"\xb0\x4a\x40"] * 2


def test_a_listener_that_fails_is_dropped_and_the_music_goes_on() -> None:
    stage = Stage(scene(*CALM))

    def fail(entry: Entry) -> None:
        raise RuntimeError("no")

    stage.player.journal.add(fail)
    stage.player.play()
    stage.go(SECOND)
    assert [e.source for e in stage.entries if isinstance(e, Troubled)] == ["journal"]
    assert stage.played


@pytest.mark.parametrize("horizon", [50, 100, 2000])
@pytest.mark.parametrize("at", [F(33, 32), F(17, 16), F(9, 8), F(6, 5)])
def test_what_lies_between_stop_and_the_next_sixteenth_is_not_played_late(
    at: Fraction, horizon: int
) -> None:
    stage = Stage(scene(row("fast", "C", grid=F(1, 16)), tempo=40.0), horizon=horizon * MS)
    stage.player.play()
    stage.go_to(at)
    stage.player.stop()
    stage.player.resume()
    stage.go_to(3)
    assert all(when == event.due for when, event in stage.ons())
    beats = {e.note.beat for e in stage.played}
    assert beats == {F(n, 16) for n in range(49) if not at < F(n, 16) < F(5, 4)}
    check_ledger(stage)


def test_a_groove_that_pushes_is_planned_in_time_however_slow() -> None:
    spec = row("push", "C", grid=F(1, 4), groove=parse_groove("push"))
    stage = Stage(scene(spec, tempo=20.0), horizon=20 * MS)
    stage.player.play()
    stage.go(20 * SECOND)
    assert len(stage.ons()) > 20
    assert all(when == event.due for when, event in stage.ons())


def test_faders_stay_where_they_are_when_it_is_played_again() -> None:
    stage = Stage(scene(*CALM))
    stage.player.play()
    stage.go_to(3)
    stage.player.strip("bells", "mute", True)
    stage.player.stop()
    stage.entries.clear()
    stage.player.play()
    stage.go_to(3)
    assert {e.note.part for e in stage.played} == {"tune"}


def test_the_chord_is_told_again_after_a_gap() -> None:
    stage = Stage(scene(row("pad", "I", grid=F(1))))
    stage.player.play()
    stage.go_to(F(5, 2))
    stage.stall(3 * SECOND)
    stage.go(SECOND)
    told = [e.moment.beat for e in stage.entries if isinstance(e, Harmonised)]
    assert told == [0, 9]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(40, 300))
def test_pulses_come_between_half_a_pulse_and_two_apart_whatever_the_transport_does(
    wait: int, bpm: int
) -> None:
    stage = Stage(scene(row("tick", "C"), output=MIDI, tempo=float(bpm)))
    for act in (stage.player.play, stage.player.stop, stage.player.resume, stage.player.stop):
        stage.go(100 * MS + wait * MS)
        act()
    stage.player.play()
    stage.go(SECOND)
    pulses = [when for when, data, _ in stage.wire.sent if data == b"\xf8"]
    gaps = [b - a for a, b in pairwise(pulses)]
    assert min(gaps) > 30 * SECOND / bpm / 24 - 2
    assert max(gaps) < 2 * 60 * SECOND / bpm / 24


# Failures -------------------------------------------------------------------------------


def troubles(stage: Stage) -> list[Troubled]:
    return [entry for entry in stage.entries if isinstance(entry, Troubled)]


@pytest.mark.parametrize("when", ["now", "bar"])
def test_a_scene_that_cannot_begin_is_refused_and_the_old_one_goes_on(when: str) -> None:
    plain, stage = Stage(busy()), Stage(busy())
    bad = scene(*CALM, output=OutputSpec("out", "osc", "127.0.0.1:nowhere"))
    for each in (plain, stage):
        each.player.play()
        each.go(SECOND)
    receipt = stage.player.change_scene(bad, when)
    for each in (plain, stage):
        each.go(4 * SECOND)
    assert receipt.state == "refused"
    assert "nowhere" in receipt.reason
    assert [trouble.source for trouble in troubles(stage)] == ["scene"]
    assert stage.notes() == plain.notes()
    assert set(stage.player.rack.outputs) == {"out"}
    check_ledger(stage)


def test_who_cannot_be_told_and_a_wire_that_raises_stop_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(scene(*CALM))

    def fail(*_: Any) -> None:
        raise RuntimeError("no")

    stage.player.play()
    stage.go_to(1)
    stage.player.tempo(90, when="bar", told=fail)
    send = stage.wire.send
    monkeypatch.setattr(stage.wire, "send", fail)
    stage.go_to(6)
    monkeypatch.setattr(stage.wire, "send", send)
    stage.go_to(9)
    assert [t.source for t in troubles(stage)] == ["receipt", "wire", "receipt"]
    assert [e.note.beat for e in stage.played if e.note.part == "tune"] == list(range(10))


class Unsayable(Row):
    """Hands out a name that is not plain text and a note without an end."""

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        yield Symbol(Name.G4, fragment=Fragment(F(1), (Sound(F(0), F(10) ** 400, 67),)))
        yield Symbol("C4")


class Name(StrEnum):
    G4 = "G4"


def test_symbols_from_anywhere_are_said_or_left_out() -> None:
    output = OutputSpec("out", "osc", "127.0.0.1:1", why=True)
    spec = part("odd", Unsayable(("C4",)), grid=F(1))
    stage = Stage(scene(spec, *CALM, output=output))
    stage.player.play()
    stage.go_to(3)
    assert [e.note.pitch for e in stage.played if e.note.part == "odd"] == [67, 60]
    assert troubles(stage) == []
    for _, event in stage.ons():
        pack_event(event)


def test_a_step_that_cannot_be_performed_is_left_out_alone() -> None:
    stage = Stage(scene(row("odd", "C", swing=float("nan"), grid=F(1)), *CALM))
    stage.player.play()
    stage.go_to(3)
    assert {t.source for t in troubles(stage)} == {"parts.odd"}
    assert {e.note.part for e in stage.played} == {"tune", "bells"}


# Taken back -----------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([50, 1000, 5000]),
    st.sampled_from(["tempo", "strip", "scene"]),
    st.integers(1, 7),
)
def test_what_a_stop_supersedes_does_not_happen_later(horizon: int, what: str, eighth: int) -> None:
    plain, stage = Stage(busy(), horizon * MS), Stage(busy(), horizon * MS)
    for each in (plain, stage):
        each.player.play()
        each.go_to(4 + F(eighth, 2))
    player = stage.player
    receipt = {
        "tempo": lambda: player.tempo(200, F(2), "bar"),
        "strip": lambda: player.strip("tune", "mute", True, "bar"),
        "scene": lambda: player.change_scene(scene(*CALM, name="two", tempo=90.0), "bar"),
    }[what]()
    assert receipt.beat > player.now_beat
    for each in (plain, stage):
        each.go(10 * MS)
        each.player.stop()
        each.go(100 * MS)
        each.player.resume()
        each.go(5 * SECOND)
    assert receipt.state == "superseded"
    assert stage.notes() == plain.notes()
    for each in (plain, stage):
        each.player.stop()
        each.entries.clear()
        each.player.play()
        each.go(4 * SECOND)
    assert stage.notes() == plain.notes()


def test_another_seed_keeps_tempo_faders_and_controls() -> None:
    stage = Stage(busy(controls={"arousal": 0.0}), 400 * MS)
    stage.player.play()
    stage.go(SECOND)
    stage.player.tempo(150)
    stage.player.control("arousal", 0.5)
    stage.player.strip("drums", "mute", True)
    receipt = stage.player.change_scene(busy(seed=9, controls={"arousal": 0.0}), "beat", keep=True)
    stage.player.strip("chords", "mute", True)
    stage.go(4 * SECOND)
    late = {e.note.part for e in stage.played if e.note.beat >= receipt.beat}
    assert late == {"tune", "tones"}
    assert stage.player.scene is not None
    assert stage.player.scene.seed == 9
    assert stage.player.setting is not None
    assert stage.player.setting.values["arousal"] == 0.5
    assert stage.player.timeline.tempo_at(stage.player.now_beat) == 150
    check_ledger(stage)


def test_the_last_bar_stays_the_last_when_it_is_played_again() -> None:
    stage = Stage(busy())
    stage.player.play(end_bar=2)
    stage.go(SECOND)
    stage.player.stop()
    stage.player.play()
    stage.go(5 * SECOND)
    assert stage.player.ended


# Early outputs and clocks ---------------------------------------------------------------


def test_a_boundary_that_early_messages_have_passed_is_not_taken() -> None:
    output = OutputSpec("out", "osc", "127.0.0.1:1", timing="bundle", ahead=200 * MS)
    stage = Stage(scene(*CALM, output=output))
    stage.player.play()
    stage.go(stage.player.timeline.ns_at(F(4)) - 60 * MS - stage.clock.now())
    receipt = stage.player.change_scene(scene(*CALM, name="two", output=output), "bar")
    assert receipt.beat == 8
    stage.go_to(9)
    assert not stage.wire.late
    check_ledger(stage, heard=False)


def test_the_clock_changes_hands_with_the_scene() -> None:
    other = OutputSpec("out", "midi", "Other", clock=True)
    stage = Stage(scene(*CALM, output=MIDI))
    stage.player.play()
    stage.go_to(2)
    receipt = stage.player.change_scene(scene(*CALM, name="two", output=other), "bar")
    stage.go_to(6)
    border = stage.player.timeline.ns_at(receipt.beat)
    said: dict[int, list[tuple[int, int]]] = {}
    for when, data, event in stage.wire.sent:
        if data[0] in (0xFA, 0xFB, 0xFC, 0xF2):
            said.setdefault(event.port, []).append((data[0], when))
    first, second = said.values()
    assert [byte for byte, _ in first] == [0xFA, 0xFC]
    assert first[1][1] == border
    assert [byte for byte, _ in second] == [0xF2, 0xFB]
    assert border - 2 * MS < second[1][1] < border


def test_a_start_that_a_wire_has_forgotten_is_sent_again() -> None:
    stage = Stage(scene(*CALM, output=MIDI))
    stage.player.play()
    stage.wire.silence()
    stage.player.wire_silenced("test")
    stage.go_to(1)
    starts = [when for when, data, _ in stage.wire.sent if data == b"\xfa"]
    assert starts == [stage.player.timeline.ns_at(F(0)) - MS]
    stage.player.play()
    stage.player.stop()
    stage.player.play()
    stage.player.stop()
    stage.go(SECOND)
    assert [data for _, data, _ in stage.wire.sent if data == b"\xfa"] == [b"\xfa"]


def test_changing_scenes_for_ever_keeps_few_encoders() -> None:
    stage = Stage(scene(*CALM))
    stage.player.play()
    for seed in range(60):
        stage.player.change_scene(scene(*CALM, seed=seed), "now")
        stage.go(100 * MS)
    gc.collect()
    assert len(stage.player.rack._timed) < 4


def test_after_a_gap_nothing_past_is_sent_by_a_change_within_it() -> None:
    stage = Stage(scene(row("a", "A", reading={"A": "cc74=64 C"}, grid=F(1, 4)), output=MIDI))
    stage.player.play()
    stage.go_to(F(9, 8))
    stage.player.tempo(100, when="bar")
    stage.player.tempo(90, when="beat")
    stage.stall(3 * SECOND)
    stage.go(SECOND)
    turns = [(when, e.due) for when, data, e in stage.wire.sent if data[0] == 0xB0]
    assert all(when == due for when, due in turns)


def test_bars_that_were_decided_long_ago_are_let_go_of() -> None:
    def there() -> Counter[type]:
        gc.collect()
        return Counter(type(each) for each in gc.get_objects())

    before = there()
    player = Player(JumpClock())
    player.cue(scene(*CALM, output=MIDI))
    player.play(end_bar=600)
    asyncio.run(player.run())
    found = there()
    assert player.setting is not None
    assert player.setting.bar(Fraction(599 * 4)).number == 600
    assert found[Bar] - before[Bar] <= 256 + 8
    assert found[Feel] - before[Feel] <= 4096
