"""Stingers: in key, chord and time, of their own chance, and of no weight where nobody calls."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Mistake
from server.band.hands import Hands
from server.concert.changes import Receipt
from server.concert.journal import Entry, Marked, Played
from server.errands import hear, render
from server.music.scale import parse_key
from server.score.scene import Scene, parse_scene
from server.score.stinger import MOST_SOUNDING
from tests.server.concert.test_player import check_ledger
from tests.server.model import MS, SECOND, Stage

F = Fraction
BAND = """
tempo = 120
key = "A minor"
[outputs.out]
osc = "127.0.0.1:9000"
[parts.chords]
engine = "grammar"
rules = "S -> I | iv | V"
grid = "1/2"
[parts.tune]
engine = "grammar"
rules = "S -> C | E | A | Rest"
grid = "1/8"
human_time = 0
"""
BAND = BAND.replace("human_time = 0\n", "humanize = { time_ms = 5, velocity = 0.1 }\n")
STINGERS = """
[themes.hero]
notes = "1:1/8 2:1/8 3:1/4 5:1/2 | 5:1/2 1:1/2"
[stingers.hit]
notes = "c1:1/16 c3:1/16 c5:1/16 c1':1/4"
[stingers.call]
theme = "hero"
when = "bar"
again = "2 bars"
[stingers.noise]
engine = "markov"
order = 0
text = "1 2 3 5 1 5 2 3 5 4 2 6 4 1 3 6 5 4 3 2 1 6 2 4 5 6 3 4 6 1 4"
grid = "1/16"
length = "1/2"
duck = 0.25
again = 1.5
"""


def band(more: str = STINGERS, **fields: Any) -> Scene:
    return parse_scene(BAND + more)


def playing(more: str = STINGERS, horizon: int = 100 * MS) -> tuple[Stage, Hands]:
    stage = Stage(band(more), horizon)
    stage.player.play()
    return stage, Hands(stage.player)


def of(stage: Stage, name: str) -> list[Played]:
    return [entry for entry in stage.played if entry.note.part == name]


def others(notes: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [note for note in notes if note[1] in ("chords", "tune")]


def test_it_plays_chord_tones_from_its_beat_on() -> None:
    stage, hands = playing()
    stage.go_to(F(7, 2))
    receipts: list[str] = []
    receipt = hands.stinger("hit", "beat", told=lambda r: receipts.append(r.state))
    assert receipt.beat == 4 and receipts == ["armed"]
    stage.go_to(6)
    assert receipts == ["armed", "done"]
    notes = [entry.note for entry in of(stage, "hit")]
    assert [note.start for note in notes] == [4, F(17, 4), F(9, 2), F(19, 4)]
    setting = stage.player.setting
    assert setting is not None
    for note in notes:
        chord = setting.harmonies.at(note.start)
        assert chord is not None and note.pitch % 12 in chord.pitch_classes


def test_nobody_hears_one_that_is_not_called_and_the_others_play_as_without() -> None:
    bare, dressed = Stage(parse_scene(BAND)), Stage(band())
    for stage in (bare, dressed):
        stage.player.play()
        stage.go(8 * SECOND)
    assert bare.notes() and bare.notes() == dressed.notes()
    called, hands = playing()
    for _ in range(6):
        hands.stinger("hit", "now")
        called.go(SECOND)
    called.go(2 * SECOND)
    assert others(called.notes()) == bare.notes()
    assert len(of(called, "hit")) == 24


def test_a_theme_is_quoted_in_the_key_of_the_moment() -> None:
    stage, hands = playing()
    stage.go_to(1)
    hands.stinger("call")
    stage.go_to(9)
    pitches = [entry.note.pitch for entry in of(stage, "call")]
    key = parse_key("A minor")
    assert len(pitches) == 4
    assert [pitch % 12 for pitch in pitches] == [9, 11, 0, 4]
    assert all(key.nearest(pitch) == pitch for pitch in pitches)


def test_no_two_are_alike_and_a_replay_is() -> None:
    def take() -> list[list[int]]:
        stage, hands = playing(STINGERS.replace("again = 1.5", ""))
        for _ in range(4):
            hands.stinger("noise", "bar")
            stage.go(2 * SECOND)
        stage.go(2 * SECOND)
        found: dict[int, list[int]] = {}
        for entry in of(stage, "noise"):
            found.setdefault(entry.moment.bar, []).append(entry.note.pitch)
        return list(found.values())

    first = take()
    assert len(first) == 4 and len(set(map(tuple, first))) == 4
    assert take() == first


calls = st.lists(
    st.tuples(
        st.integers(50, 900),
        st.sampled_from(["hit", "call", "noise"]),
        st.sampled_from(["beat", "bar", "1/16", "in 2 beats"]),
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(calls, st.sampled_from([50, 400, 3000]))
def test_what_is_heard_does_not_depend_on_the_horizon(
    todo: list[tuple[int, str, str]], horizon: int
) -> None:
    def take(horizon: int) -> tuple[list[tuple[Any, ...]], list[str]]:
        stage, hands = playing(STINGERS, horizon * MS)
        refused = []
        for wait, name, when in todo:
            stage.go(wait * MS)
            try:
                hands.stinger(name, when)
            except Mistake as mistake:
                refused.append(str(mistake))
        stage.go(3 * SECOND)
        check_ledger(stage)
        limit = sum(wait for wait, *_ in todo) / 1000 + 2.5
        return [note for note in stage.notes() if note[0] < limit], refused

    assert take(horizon) == take(100)


def test_it_ducks_the_others_while_it_sounds() -> None:
    plain, hands = playing()
    plain.go_to(12)
    stage, hands = playing()
    stage.go_to(F(31, 8))
    hands.stinger("noise", "beat")
    stage.go_to(12)
    for quiet, loud in zip(others(stage.notes()), others(plain.notes()), strict=True):
        assert quiet[:6] == loud[:6]
        inside = 4 <= quiet[2] < 6
        assert quiet[6] == pytest.approx(loud[6] * (0.25 if inside else 1), rel=1e-6)


def test_its_length_is_a_cap() -> None:
    stage, hands = playing()
    hands.stinger("noise", "bar")
    stage.go_to(8)
    starts = [entry.note.start for entry in of(stage, "noise")]
    assert starts and max(starts) < starts[0] + 2
    assert len(starts) == 8


def test_too_soon_is_refused_with_a_reason() -> None:
    stage, hands = playing()
    stage.go_to(1)
    hands.stinger("call", "bar")
    with pytest.raises(Mistake, match="it may sound again 1 bar later"):
        hands.stinger("call", "2 bars")
    stage.go_to(11)
    hands.stinger("call", "bar")
    stage.go_to(12)
    hands.stinger("noise", "now")
    stage.go(SECOND)
    with pytest.raises(Mistake, match=r"it may sound again 0\.5 s later"):
        hands.stinger("noise", "now")
    stage.go(SECOND)
    hands.stinger("noise", "now")


def test_one_that_was_called_off_does_not_count_for_the_pause() -> None:
    stage, hands = playing()
    stage.go_to(F(15, 4))
    hands.stinger("call", "bar")
    assert stage.player.changes.cancel("stinger") == 1
    hands.stinger("call", "bar")
    stage.go_to(10)
    assert len(of(stage, "call")) == 4
    check_ledger(stage)


def test_sixteen_at_once_and_no_more() -> None:
    stage, hands = playing()
    for _ in range(MOST_SOUNDING):
        hands.stinger("hit", "bar")
    with pytest.raises(Mistake, match="16 stingers sound or wait already"):
        hands.stinger("hit", "bar")
    stage.go_to(6)
    assert len(of(stage, "hit")) == 4 * MOST_SOUNDING
    hands.stinger("hit", "bar")


def test_its_beginning_and_its_end_are_told() -> None:
    stage, hands = playing()
    stage.go_to(1)
    hands.stinger("call")
    stage.go_to(12)
    marks = [
        (entry.moment.beat, entry.kind, entry.name)
        for entry in stage.entries
        if isinstance(entry, Marked) and entry.kind in ("stinger", "ended")
    ]
    assert marks == [(F(4), "stinger", "call"), (F(8), "ended", "call")]
    told = [(when, data) for when, data, _ in stage.wire.sent if b"/componium/stinger" in data]
    assert [b"began" in data for _, data in told] == [True, False]
    assert [when for when, _ in told] == [stage.player.timeline.ns_at(F(b)) for b in (4, 8)]


def test_stop_ends_it_and_it_does_not_come_back() -> None:
    stage, hands = playing()
    hands.stinger("noise", "bar")
    hands.stinger("hit", "bar 3")
    stage.go(700 * MS)
    stage.player.stop()
    assert not stage.wire.sounding
    heard = len(of(stage, "noise"))
    assert 0 < heard < 8
    stage.player.resume()
    stage.go(9 * SECOND)
    assert len(of(stage, "noise")) == heard
    assert not of(stage, "hit")
    ends = [e for e in stage.entries if isinstance(e, Marked) and e.kind == "ended"]
    assert len(ends) == 1
    check_ledger(stage)


def test_another_scene_cuts_it_at_the_boundary() -> None:
    stage, hands = playing()
    stage.go_to(F(13, 4))
    hands.stinger("noise", "beat")
    stage.go_to(F(29, 8))
    stage.player.change_scene(parse_scene(BAND.replace("120", "90"), "two"), "beat")
    stage.go_to(F(35, 8))
    stage.player.change_scene(band(), "beat")
    stage.go_to(8)
    assert all(entry.note.start < 5 for entry in of(stage, "noise"))
    ends = [e for e in stage.entries if isinstance(e, Marked) and e.kind == "ended"]
    assert len(ends) <= 1
    check_ledger(stage)


def test_it_has_a_strip_like_a_part() -> None:
    stage, hands = playing()
    stage.player.strip("hit", "mute", True)
    hands.stinger("hit", "beat")
    stage.go(SECOND)
    assert not of(stage, "hit")
    stage.player.strip("hit", "mute", False)
    stage.player.strip("hit", "level", 0.5)
    hands.stinger("hit", "bar")
    stage.go(2 * SECOND)
    assert max(entry.note.velocity for entry in of(stage, "hit")) < 0.4


def test_it_waits_for_a_playing_transport_and_for_its_name() -> None:
    stage = Stage(band())
    hands = Hands(stage.player)
    with pytest.raises(Mistake, match="the transport is stopped"):
        hands.stinger("hit")
    with pytest.raises(
        Mistake,
        match=r"no stinger is called 'hitt'; did you mean 'hit'\? There are hit, call, noise",
    ):
        hands.stinger("hitt")


def test_a_scene_that_begins_before_has_it_refused() -> None:
    stage, hands = playing()
    stage.go(300 * MS)
    stage.player.change_scene(band(), "bar")
    states: list[tuple[str, str]] = []

    def told(receipt: Receipt) -> None:
        states.append((receipt.state, receipt.reason))

    hands.stinger("hit", "2 bars", told)
    assert states == [("refused", "another scene begins before")]


def test_a_recording_has_it_on_a_track_of_its_own() -> None:
    entries: list[Entry] = []
    data = render(band(), 2, "test", entries.append)
    assert b"hit" in data
    heard: list[Entry] = []
    hear(band(), 2, heard.append)
    assert not [e for e in heard if isinstance(e, Played) and e.note.part == "hit"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[stingers.x]\n", r"stingers\.x\.engine, line 15: expected an engine's name"),
        ("[stingers.tune]\nnotes = 'c1'\n", "no name of a part"),
        ("[stingers.x]\nnotes = 'c1 zz'\n", "has no meaning"),
        ("[stingers.x]\ntheme = 'y'\n", "no theme is called .y.; there "),
        ("[stingers.x]\nnotes = 'c1'\nwhen = 'soon'\n", "expected now, beat"),
        ("[stingers.x]\nnotes = 'c1'\nagain = -1\n", "expected seconds, a note value"),
        ("[stingers.x]\nnotes = 'c1'\nlength = 3\n", "expected a note value or such as"),
        ("[stingers.x]\nnotes = 'c1'\nduck = 2\n", "from 0 to 1"),
        ("[stingers.x]\nnotes = 'c1'\nnotse = 'c1'\n", "notse"),
    ],
)
def test_mistakes_have_a_place(text: str, problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        parse_scene(BAND + text)


def test_it_takes_a_channel_that_no_part_has() -> None:
    scene = band()
    bare = parse_scene(BAND)
    assert [part.channel for part in scene.parts] == [part.channel for part in bare.parts]
    assert len({part.channel for part in scene.ensemble}) == 5


@pytest.mark.parametrize("begins", [F(4), F(6)])
@pytest.mark.parametrize("stalled", [1500, 4000])
def test_who_is_told_that_it_began_is_told_that_it_ended(begins: Fraction, stalled: int) -> None:
    stage, hands = playing()
    stage.go_to(F(15, 4))
    hands.stinger("call", "bar" if begins == 4 else "beat 3")
    stage.go_to(F(9, 2))
    stage.stall(stalled * MS)
    stage.player.wake()
    stage.go(6 * SECOND)
    kinds = [
        entry.kind
        for entry in stage.entries
        if isinstance(entry, Marked) and entry.kind in ("stinger", "ended")
    ]
    over = stalled == 4000
    assert kinds == ([] if begins == 6 and over else ["stinger", "ended"])
    told = [data for _, data, _ in stage.wire.sent if b"/componium/stinger" in data]
    assert len(told) == len(kinds)
