"""What a mood does to sounds and chords: each change at its place, and nothing told twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.band.baton import Baton
from server.concert.journal import Entry, Harmonised, Programmed, Turned
from server.concert.transport import HORIZON
from server.conductor.harmony import passing, tension
from server.conductor.mood import WORDS, Mood
from server.errands import hear
from server.music.chord import redressed, roman
from server.music.scale import parse_key
from server.score.scene import parse_scene
from server.score.table import Mistakes
from tests.server.model import MS, SECOND, Stage

F = Fraction
BAND = """
tempo = 120
brightness = true
humanize = { time_ms = 4 }
[mood]
modes = true
chords = true
[outputs.synth]
midi = "Synth"
[outputs.game]
osc = "127.0.0.1:9000"
[parts.pad]
engine = "grammar"
rules = "S -> ton:1/1 sub:1/1 tp:1/1 dom:1/1"
role = "pad"
channel = 1
program = [90, 50, 63]
gate = 1.0
[parts.tune]
engine = "grammar"
rules = "S -> c1 | c3 | c5 | c5 c3"
grid = "1/8"
role = "melody"
channel = 2
program = [12, 81]
bank = [0, 130]
gate = 1.6
[parts.shadow]
engine = "grammar"
rules = "S -> c3"
channel = 2
program = [12, 81]
bank = [0, 130]
[parts.plain]
engine = "grammar"
rules = "S -> c1"
channel = 3
brightness = false
program = 5
"""
MOODS = st.sampled_from([*WORDS.values(), Mood(0.1, 1.0), Mood(-0.2, 0.02)])


def on_stage(text: str = BAND, horizon: int = HORIZON) -> tuple[Stage, Baton]:
    stage = Stage(parse_scene(text), horizon)
    stage.player.play()
    return stage, Baton(stage.player)


def messages(stage: Stage, status: int, since: int = 0) -> list[tuple[int, bytes]]:
    """What has left over MIDI with this status: when, and the bytes of one message."""
    found = []
    for when, data, event in stage.wire.sent:
        if when < since or (event.off and data == event.off) or not data[:1] >= b"\x80":
            continue
        while data:
            size = 2 if data[0] & 0xF0 == 0xC0 else 3
            if data[0] & 0xF0 == status:
                found.append((when, data[:size]))
            data = data[size:]
    return found


def controls(stage: Stage, since: int = 0) -> list[tuple[int, int, int]]:
    """(when, channel, value) of each controller 74."""
    turns = [(w, d) for w, d in messages(stage, 0xB0, since) if d[1] == 74]
    return [(when, data[0] % 16 + 1, data[2]) for when, data in turns]


def test_brightness_is_told_at_each_beat_where_it_has_moved_and_only_there() -> None:
    stage, baton = on_stage()
    baton.mood(Mood(0.0, 1.0), 2)
    stage.go(9 * SECOND)
    line, conductor = stage.player.timeline, baton.conductor
    wanted: list[tuple[int, int, int]] = []
    last: dict[int, int] = {}
    for beat in range(16):
        for channel, role in ((1, "pad"), (2, "melody")):
            value = conductor.brightness(role, F(beat))
            if last.get(channel) != value:
                wanted.append((line.ns_at(F(beat)), channel, value))
                last[channel] = value
    assert [each for each in controls(stage) if each[0] <= line.ns_at(F(15))] == wanted
    assert 8 < len(wanted) < 24
    assert wanted[0][2] == 64
    assert wanted[-1][2] == 102
    told = [(e.moment.beat, e.channel, e.value) for e in stage.entries if isinstance(e, Turned)]
    assert told == [(line.beat_at(when), channel, value) for when, channel, value in wanted]
    osc = [data for _, data, _ in stage.wire.sent if b"/control" in data]
    assert sum(b"/part/shadow/" in data for data in osc) == len(wanted) // 2
    assert not any(b"/part/plain/" in data for data in osc)


def test_a_mood_for_the_next_beat_is_heard_there_and_one_taken_back_is_not() -> None:
    stage, baton = on_stage()
    stage.go(1200 * MS)
    receipt = baton.mood(Mood(0.0, -1.0), when="beat")
    stage.go(40 * MS)
    baton.mood(Mood(0.0, 1.0), when="beat")
    stage.go(SECOND)
    when = stage.player.timeline.ns_at(receipt.beat)
    assert controls(stage, when)[:2] == [(when, 1, 102), (when, 2, 102)]
    assert len(controls(stage)) == 4


def test_where_a_scene_ends_its_sounds_are_as_they_were_found() -> None:
    stage, baton = on_stage()
    baton.mood(Mood(0.0, 1.0), when="beat")
    stage.go(SECOND)
    quiet = BAND.replace("brightness = true", "").replace("brightness = false", "")
    receipt = stage.player.change_scene(parse_scene(quiet, "quiet"), "bar")
    stage.go(4 * SECOND)
    when = stage.player.timeline.ns_at(receipt.beat)
    assert controls(stage, when) == [(when, 1, 64), (when, 2, 64)]
    stage.player.change_scene(parse_scene(BAND, "back"), "bar")
    stage.go(4 * SECOND)
    assert controls(stage)[-1][2] == 102
    stage.player.stop()
    stage.wire.run()
    assert {(channel, value) for _, channel, value in controls(stage)[-2:]} == {(1, 64), (2, 64)}
    stage.player.resume()
    stage.go(SECOND)
    assert {(channel, value) for _, channel, value in controls(stage)[-2:]} == {(1, 102), (2, 102)}


def test_ports_that_come_late_and_wires_that_are_new_are_told_the_sound() -> None:
    stage, baton = on_stage()
    baton.mood(Mood(0.0, 1.0), when="beat")
    stage.go(10 * SECOND)
    tells: tuple[Callable[[], None], ...] = (
        lambda: stage.player.wire_restarted("died"),
        lambda: stage.player.port_state("midi", 0, "open", ""),
        lambda: stage.player.wire_silenced("nobody came"),
    )
    for tell in tells:
        since = stage.clock.now()
        stage.go(MS)
        tell()
        stage.wire.run()
        told = dict(messages(stage, 0xC0, since)).values()
        programs = {data[0] % 16 + 1: data[1] for _, data in messages(stage, 0xC0, since)}
        assert told
        assert programs == {1: 62, 2: 80, 3: 4}
        assert {(channel, value) for _, channel, value in controls(stage, since)} >= {
            *((1, 102), (2, 102)),
        }


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(100, 6000), MOODS), min_size=1, max_size=5))
def test_programs_change_at_phrase_lines_between_notes(todo: list[tuple[int, Mood]]) -> None:
    stage, baton = on_stage()
    for wait, mood in todo:
        baton.mood(mood, when="bar")
        stage.go(wait * MS)
    stage.go(9 * SECOND)
    sounding: dict[int, set[int]] = defaultdict(set)
    changes, first, line = 0, True, stage.player.timeline
    for when, data, event in sorted(stage.wire.sent, key=lambda each: each[0]):
        status = data[0]
        if status & 0xF0 == 0x80:
            sounding[status % 16].discard(event.id)
        elif status & 0xF0 == 0x90:
            sounding[status % 16].add(event.id)
        elif data[-2] & 0xF0 == 0xC0 and status >= 0xB0:
            assert not sounding[data[-2] % 16]
            beat = line.beat_at(when + 40 * MS)
            first = when <= line.ns_at(F(0))
            changes += not first
            assert first or beat % 16 < F(1, 2)
    told = [e for e in stage.entries if isinstance(e, Programmed)]
    assert len(told) == changes + 2
    assert all(e.moment.beat % 16 == 0 for e in told)
    for channel in (1, 2):
        own = [e.program for e in told if e.channel == channel]
        assert all(old != new for old, new in pairwise(own))


def test_a_program_waits_where_its_notes_sound_on() -> None:
    text = BAND.replace('rules = "S -> ton:1/1 sub:1/1 tp:1/1 dom:1/1"', 'rules = "S -> ton:6/1"')
    stage, baton = on_stage(text)
    baton.mood(Mood(0.0, 1.0), when="beat")
    stage.go(30 * SECOND)
    told = [(float(e.moment.beat), e.program) for e in stage.entries if isinstance(e, Programmed)]
    assert [each for each in told if each[1] in (49, 62)] == [(0, 49), (48, 62)]
    assert (16, 80) in told or (0, 80) in told


def test_a_mood_that_trembles_changes_no_program() -> None:
    stage, baton = on_stage()
    for turn in range(12):
        baton.mood(Mood(0.0, 0.555 + 0.08 * (turn % 2)), when="bar")
        stage.go(7 * SECOND)
    pads = [e for e in stage.entries if isinstance(e, Programmed) and e.part == "pad"]
    assert len(pads) <= 2


@pytest.mark.parametrize(
    "row", ["[]", "[0, 3]", "[1, true]", '"soft"', "129", "[1,2,3,4,5,6,7,8,9]"]
)
def test_rows_of_programs_are_checked(row: str) -> None:
    with pytest.raises(Mistakes, match=r"parts\.plain\.program"):
        parse_scene(BAND.replace("program = 5", f"program = {row}"))


def test_banks_are_one_or_as_many_as_programs_and_controllers_are_numbers() -> None:
    with pytest.raises(Mistakes, match="one bank, or one for each of 3"):
        parse_scene(BAND.replace("program = 5", "program = [5, 6, 7]\nbank = [1, 2]"))
    with pytest.raises(Mistakes, match="controller from 0 to 119"):
        parse_scene(BAND.replace("brightness = false", "brightness = 120"))
    scene = parse_scene(BAND.replace("program = 5", "program = [5, 6, 7]\nbank = 9"))
    assert [each.bank for each in scene.parts[-1].shades] == [9, 9, 9]
    assert scene.parts[-1].brightness is None
    assert scene.parts[0].brightness == 74


# Harmonic rhythm ----------------------------------------------------------------------------


def chords(mood: Mood, bars: int = 32, text: str = BAND) -> list[tuple[Fraction, str, int]]:
    words = f"[mood]\nstart = [{mood.valence}, {mood.arousal}, {mood.tension}]"
    found: list[Entry] = []
    hear(parse_scene(text.replace("[mood]", words)), bars, found.append)
    return [(e.moment.beat, e.name, e.classes[0]) for e in found if isinstance(e, Harmonised)]


def roots(mood: Mood) -> int:
    text = BAND.replace("tempo = 120", "tempo = 120\nphrase = 8")
    return sum(a[2] != b[2] for a, b in pairwise(chords(mood, text=text)))


def test_chords_change_as_often_as_is_asked() -> None:
    counts = [roots(Mood(0.5, arousal)) for arousal in (-1, -0.6, -0.2, 0, 0.3, 0.6, 1)]
    assert counts == sorted(counts)
    assert counts[0] < 0.75 * counts[3]
    assert counts[-1] > 1.25 * counts[3]


@given(st.floats(-1, 1))
@settings(max_examples=15, deadline=None)
def test_cadences_and_the_beginnings_of_phrases_stay(arousal: float) -> None:
    plain = {beat: root for beat, _, root in chords(Mood(0.6, 0.0), 12)}
    moved = {beat: root for beat, _, root in chords(Mood(0.6, arousal), 12)}
    for phrase in range(0, 48, 16):
        for bar in (0, 2, 3):
            beat = F(phrase + 4 * bar)
            now = max(each for each in moved if each <= beat)
            assert moved[now] == plain[beat]
    assert not any(beat % 16 > 8 and beat % 4 for beat in moved)


def test_a_lower_rhythm_holds_what_a_higher_one_holds() -> None:
    held = [
        {beat for beat, *_ in chords(Mood(0.6, arousal))} for arousal in (-1, -0.75, -0.5, -0.25)
    ]
    for fewer, more in pairwise(held):
        assert fewer <= more


def test_the_next_chord_told_is_the_one_that_comes() -> None:
    for arousal in (-1.0, 0.0, 1.0):
        text = BAND.replace("[mood]", f"[mood]\nstart = [0.6, {arousal}]")
        stage, _ = on_stage(text)
        foretold: dict[Fraction, str] = {}
        leader = next(each.part for each in stage.player.cast.parts if each.part.leads)  # type: ignore[union-attr]
        for _ in range(200):
            stage.go(100 * MS)
            if (found := leader.next_chord()) is not None:
                foretold[found.beat] = found.value.name
        come = {e.moment.beat: e.name for e in stage.entries if isinstance(e, Harmonised)}
        known = [beat for beat in foretold if beat <= max(come)]
        assert len(known) > 4
        assert [come.get(beat) for beat in known] == [foretold[beat] for beat in known]


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([50, 400, 3000]), st.sampled_from([-0.9, 0.9]))
def test_neither_chords_nor_sounds_depend_on_the_horizon(horizon: int, arousal: float) -> None:
    def play(horizon: int) -> list[Any]:
        text = BAND.replace("[mood]", f"[mood]\nstart = [0.4, {arousal}]")
        stage, _ = on_stage(text, horizon)
        stage.go(8 * SECOND)
        told = [e for e in stage.entries if isinstance(e, Turned | Programmed | Harmonised)]
        return [stage.notes()[:150], [e for e in told if e.moment.seconds < 7]]

    assert play(horizon * MS) == play(HORIZON)


@given(
    st.sampled_from(["C major", "A minor", "D dorian", "E phrygian"]),
    *[st.integers(1, 7)] * 2,
    st.sampled_from(["", "7"]),
)
def test_what_leads_on_is_of_the_key_and_neither_chord(
    name: str, first: int, second: int, more: str
) -> None:
    key = parse_key(name)
    chord, after = roman(f"n{first}{more}", key), roman(f"n{second}{more}", key)
    word = passing(chord, after, key)
    assert word is not None
    between = roman(word, key)
    assert set(between.pitch_classes) <= set(key.pitch_classes)
    assert between.root not in (chord.root, after.root)
    assert tension(between, key) <= 1


def test_a_word_wears_what_another_wears() -> None:
    assert redressed("ton7", "subadd9") == "tonadd9"
    assert redressed("n17", "dom") == "n1"
    assert redressed("V7", "dom") == "V7"


def test_why_is_said() -> None:
    stage, baton = on_stage(BAND.replace("[mood]", "[mood]\nstart = [0, 0.9]"))
    stage.go(SECOND)
    assert "its controller stands at 98 for pad, tune, shadow" in baton.explain("brightness")
    assert "chosen at bar 1: 3 of 3 for pad, 2 of 2 for tune" in baton.explain("timbre")
    assert "energy 0.50 becomes 0.81" in baton.explain("ensemble")
    assert baton.explain("harmonic_rhythm").endswith("chords lead on to others")
