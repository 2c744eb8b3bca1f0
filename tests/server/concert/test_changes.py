"""What is armed and what comes of it: through other styles, other forms, and scenes called off."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

import pytest

from server.band.baton import Baton
from server.concert.journal import Harmonised, Marked, Ticked
from server.conductor.mood import Mood
from server.music.scale import parse_key
from server.score.scene import Scene, parse_scene
from tests.server.model import MS, SECOND, Stage

F = Fraction
FORM = """
key = "C major"
[form]
plan = "A B"
[form.sections.A]
bars = 4
cues = { exit = [2, 4] }
[form.sections.B]
bars = 6
cues = { exit = [2] }
[form.sections.C]
bars = 8
cues = { exit = [5] }
[parts.chords]
engine = "grammar"
rules = "S -> I:1/1 IV:1/1"
[parts.bass]
engine = "grammar"
rules = "S -> c1"
grid = "1/4"
octave = 2
[outputs.game]
osc = "127.0.0.1:9000"
"""


def dressed(style: str, tempo: float = 120, text: str = FORM, meter: str = "4/4") -> Scene:
    """One scene in a style: the same music for whoever counts its bars."""
    scene = parse_scene(f'tempo = {tempo}\nmeter = "{meter}"\n{text}', "one")
    return replace(scene, style=style)


class Show:
    """A stage, its baton, and the receipts that were told: (name, state, bar, reason)."""

    def __init__(self, scene: Scene, wait: int = 100) -> None:
        self.stage = Stage(scene)
        self.player, self.baton = self.stage.player, Baton(self.stage.player)
        self.receipts: list[tuple[str, str, float, str]] = []
        self.player.play()
        self.stage.go(wait * MS)

    def told(self, name: str) -> Any:
        def tell(receipt: Any) -> None:
            self.receipts.append((name, receipt.state, receipt.bar, receipt.reason))

        return tell

    def states(self, name: str) -> list[str]:
        return [state for of, state, *_ in self.receipts if of == name]

    def ticks(self) -> list[tuple[Fraction, int, float]]:
        return [
            (e.moment.beat, e.moment.bar, e.tempo)
            for e in self.stage.entries
            if isinstance(e, Ticked)
        ]

    def tempo_at(self, beat: Fraction | int) -> float:
        return self.player.timeline.tempo_at(F(beat))


# Bars go on counting ----------------------------------------------------------------------


@pytest.mark.parametrize("when", ["bar", "in 2 bars", "phrase", "section"])
def test_another_style_goes_on_counting_bars_and_sections(when: str) -> None:
    plain, other = Show(dressed("")), Show(dressed(""))
    for show in (plain, other):
        show.stage.go_to(9)
    other.player.change_scene(dressed("jazz"), when, keep=True)
    for show in (plain, other):
        show.stage.go(20 * SECOND)
    number = min(len(plain.ticks()), len(other.ticks()))
    assert number > 40
    assert other.ticks()[:number] == plain.ticks()[:number]
    sections = [
        [(e.moment.bar, e.name) for e in show.stage.entries if isinstance(e, Marked)]
        for show in (plain, other)
    ]
    assert set(sections[0]) <= set(sections[1])


def test_a_style_in_another_metre_begins_with_the_next_bars_number() -> None:
    show = Show(dressed(""))
    show.stage.go_to(9)
    receipt = show.player.change_scene(dressed("waltz", meter="3/4"), "bar", keep=True)
    assert (receipt.beat, receipt.bar) == (F(12), 4)
    show.stage.go_to(20)
    bars = [bar for beat, bar, _ in show.ticks() if beat >= 8]
    assert bars[:11] == [3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6]


def test_a_style_within_a_bar_begins_the_next_one() -> None:
    show = Show(dressed(""))
    show.stage.go_to(9)
    receipt = show.player.change_scene(dressed("jazz"), "beat 3", keep=True)
    assert receipt.beat == 10
    show.stage.go_to(20)
    bars = [bar for beat, bar, _ in show.ticks() if 8 <= beat < 16]
    assert bars == [3, 3, 4, 4, 4, 4, 5, 5]


def test_another_scene_begins_at_bar_one_and_absolute_numbers_go_on() -> None:
    show = Show(dressed(""))
    show.stage.go_to(9)
    scene = replace(dressed("", meter="3/4"), name="two")
    show.player.change_scene(scene, "bar")
    show.stage.go_to(20)
    ticks = [(beat, bar) for beat, bar, _ in show.ticks() if beat >= 12]
    assert ticks[:4] == [(F(12), 1), (F(13), 1), (F(14), 1), (F(15), 2)]
    told = [
        event.on for when, data, event in show.stage.wire.sent if b"/componium/position" in data
    ]
    assert len(told) == len(show.ticks())
    cast = show.player.cast
    assert cast is not None
    where = [cast.count_to(F(beat)) for beat in (12, 13, 15, 16)]
    assert where == [(3, 12), (4, 13), (4, 15), (5, 16)]


def test_play_counts_from_one_again() -> None:
    show = Show(dressed(""))
    show.stage.go_to(9)
    show.player.change_scene(dressed("jazz"), "bar", keep=True)
    show.stage.go_to(14)
    show.player.stop()
    show.player.play()
    show.stage.go(100 * MS)
    assert show.ticks()[-1][:2] == (F(0), 1)


# Tempo ------------------------------------------------------------------------------------


def test_another_style_brings_its_tempo_where_nobody_has_asked_for_one() -> None:
    show = Show(dressed(""))
    receipt = show.player.change_scene(dressed("fast", 180), "in 3 bars", keep=True)
    show.stage.go_to(receipt.beat + 4)
    assert show.tempo_at(receipt.beat - 4) == 120
    assert 120 < show.tempo_at(receipt.beat - 1) < 180
    assert show.tempo_at(receipt.beat) == 180


@pytest.mark.parametrize("when", ["now", "beat", "in 2 bars", "in 3 bars", "in 5 bars"])
@pytest.mark.parametrize("first", [True, False])
def test_a_tempo_that_was_asked_for_stays_through_styles(when: str, first: bool) -> None:
    show = Show(dressed(""))
    told = show.told("tempo")
    if first:
        show.player.tempo(97, when=when, told=told)
    receipt = show.player.change_scene(dressed("fast", 180), "in 3 bars", keep=True)
    if not first:
        show.player.tempo(97, when=when, told=told)
    show.stage.go_to(receipt.beat + 12)
    assert show.states("tempo")[-1] == "done"
    assert show.tempo_at(receipt.beat + 10) == pytest.approx(97)
    if when != "in 5 bars":
        heard = [tempo for beat, _, tempo in show.ticks() if beat >= receipt.beat]
        assert heard == pytest.approx([97] * len(heard))


def test_a_tempo_given_at_the_start_stays_through_styles() -> None:
    show = Show(replace(dressed("", 97), tempo_asked=True))
    receipt = show.player.change_scene(dressed("fast", 180), "in 3 bars", keep=True)
    show.stage.go_to(receipt.beat + 4)
    again = show.player.change_scene(dressed("slow", 60), "in 2 bars", keep=True)
    show.stage.go_to(again.beat + 4)
    assert {tempo for *_, tempo in show.ticks()} == {97}


def test_a_ramp_that_was_asked_for_goes_on_through_a_style() -> None:
    show = Show(dressed(""))
    show.player.tempo(180, F(24))
    show.player.change_scene(dressed("slow", 60), "in 2 bars", keep=True)
    show.stage.go_to(30)
    tempi = [tempo for *_, tempo in show.ticks()]
    assert tempi == sorted(tempi)
    assert show.tempo_at(26) == pytest.approx(180)


def test_a_style_while_stopped_keeps_the_tempo_that_was_set() -> None:
    show = Show(dressed(""))
    show.player.stop()
    show.player.tempo(97)
    show.player.change_scene(dressed("fast", 180), "bar", keep=True)
    show.player.play()
    show.stage.go(SECOND)
    assert show.ticks()[-1][2] == 97


# What is armed lives through a style ------------------------------------------------------


@pytest.mark.parametrize("other", ["style", "seed"])
def test_what_is_armed_for_later_holds_in_the_scene_that_goes_on(other: str) -> None:
    show = Show(dressed(""))
    player = show.player
    player.strip("bass", "mute", True, "in 5 bars", show.told("mute"))
    show.baton.key(parse_key("E major"), "in 4 bars", show.told("key"))
    if other == "style":
        player.change_scene(dressed("jazz"), "in 2 bars", keep=True)
    else:
        player.reseed(7, "in 2 bars")
    show.stage.go_to(32)
    assert show.states("mute") == show.states("key") == ["armed", "done"]
    bass = [e.note.start for e in show.stage.played if e.note.part == "bass"]
    assert max(bass) == 19
    assert player.setting is not None
    assert player.setting.bar(F(16)).key.name == "E major"
    assert player.setting.bar(F(15)).key.name == "C major"


def test_what_the_scene_to_come_does_not_have_is_refused_there() -> None:
    show = Show(dressed(""))
    text = FORM.replace("parts.bass", "parts.low")
    show.player.strip("bass", "mute", True, "in 5 bars", show.told("mute"))
    show.player.change_scene(dressed("jazz", text=text), "in 2 bars", keep=True)
    show.stage.go_to(32)
    assert show.states("mute") == ["armed", "refused"]


def test_what_is_armed_beyond_a_scene_goes_only_when_the_scene_comes() -> None:
    scene = replace(dressed(""), name="two")
    show = Show(dressed(""))
    player = show.player
    player.strip("bass", "mute", True, "in 5 bars", show.told("mute"))
    show.baton.key(parse_key("E major"), "in 4 bars", show.told("key"))
    player.change_scene(scene, "in 2 bars", show.told("scene"))
    show.stage.go_to(2)
    assert show.states("mute") == show.states("key") == ["armed"]
    assert player.changes.cancel("scene") == 1
    show.stage.go_to(32)
    assert show.states("mute") == show.states("key") == ["armed", "done"]
    assert show.states("scene") == ["armed", "cancelled"]
    assert max(e.note.start for e in show.stage.played if e.note.part == "bass") == 19

    show = Show(dressed(""))
    show.player.strip("bass", "mute", True, "in 5 bars", show.told("mute"))
    show.player.change_scene(scene, "in 2 bars", show.told("scene"))
    show.stage.go_to(32)
    assert show.states("mute") == ["armed", "superseded"]
    assert max(e.note.start for e in show.stage.played if e.note.part == "bass") > 30


# Moments that the form names --------------------------------------------------------------


def test_a_place_is_found_anew_where_the_form_turns() -> None:
    show = Show(dressed(""))
    mute = show.player.strip("bass", "mute", True, "cue exit", show.told("mute"))
    far = show.player.strip("chords", "mute", True, "in 2 sections", show.told("far"))
    assert (mute.bar, far.bar) == (2, 11)
    show.player.changes.cancel("part/bass/mute")
    show.stage.go_to(5)
    mute = show.player.strip("bass", "mute", True, "cue exit", show.told("mute"))
    assert mute.bar == 4
    show.baton.section("C", "bar")
    assert (mute.bar, far.bar) == (7, 11)  # in the fifth bar of C; B goes on after its 8
    show.stage.go_to(40)
    assert show.states("mute")[-3:] == ["armed", "armed", "done"]
    bass = [e.note.start for e in show.stage.played if e.note.part == "bass"]
    assert max(bass) == 23
    assert show.states("far")[-1] == "done"


@pytest.mark.parametrize("number, beat", [(1, 12), (2, 12), (3, 16)])
def test_lines_are_counted_from_now_and_not_from_the_end_of_the_plan(
    number: int, beat: int
) -> None:
    show = Show(dressed(""))
    show.stage.go_to(F(79, 10))  # 50 ms before bar 3, which is planned already
    receipt = show.baton.key(parse_key("E major"), f"in {number} bars", show.told("key"))
    assert receipt.beat == beat
    mute = show.player.strip("bass", "mute", True, f"in {number} bars")
    assert mute.beat == 4 + 4 * number
    show.stage.go_to(20)
    assert show.states("key") == ["armed", "done"]


def test_a_section_that_is_called_off_puts_the_place_back() -> None:
    plain, show = Show(dressed("")), Show(dressed(""))
    for each in (plain, show):
        each.stage.go_to(5)
        each.player.strip("bass", "mute", True, "section", each.told("mute"))
        each.baton.key(parse_key("E major"), "cue exit", each.told("key"))
    show.baton.section("C", "bar")
    show.player.changes.cancel("section")
    for each in (plain, show):
        each.stage.go_to(40)
        assert each.states("mute")[-1] == each.states("key")[-1] == "done"
    assert show.stage.notes() == plain.stage.notes()


def test_a_place_that_comes_no_more_is_refused() -> None:
    text = FORM.replace('plan = "A B"', 'plan = "A"\nends = true')
    text = text.replace("cues = { exit = [5] }", "")
    show = Show(dressed("", text=text))
    show.stage.go_to(5)
    show.baton.key(parse_key("E major"), "cue exit", show.told("key"))
    show.player.change_scene(replace(dressed(""), name="two"), "cue exit", show.told("scene"))
    show.baton.section("C", "bar")
    show.stage.go_to(8)
    states = show.states("key"), show.states("scene")
    assert [each[-1] for each in states] == ["refused", "refused"]
    assert not show.player.changes.armed(("key",))


def test_a_scene_armed_at_a_place_moves_with_what_leads_over_to_it() -> None:
    show = Show(dressed(""))
    show.stage.go_to(5)
    scene = replace(dressed("", 180), name="two")
    receipt = show.player.change_scene(scene, "cue exit", show.told("scene"))
    assert receipt.bar == 4
    show.baton.section("C", "bar")
    assert receipt.bar == 7
    show.stage.go_to(30)
    assert show.states("scene") == ["armed", "armed", "done"]
    assert show.tempo_at(19) == 120
    assert 120 < show.tempo_at(23) < 180
    marks = [e for e in show.stage.entries if isinstance(e, Marked) and e.kind == "scene"]
    assert marks[-1].moment.beat == 24


# What receipts say ------------------------------------------------------------------------


def test_a_receipt_says_where_mood_or_section_make_another_key() -> None:
    show = Show(dressed("", text=FORM + "[mood]\nmodes = true\nstart = 'happy'\n"))
    show.baton.key(parse_key("G major"), "bar", show.told("key"))
    show.stage.go_to(8)
    _, state, _, reason = show.receipts[-1]
    assert state == "done"
    player = show.player
    assert player.setting is not None
    key = player.setting.bar(F(4)).key
    assert (reason == "") == (key.name == "G major")
    show.baton.mood(Mood(-0.9, -0.5))
    show.baton.key(parse_key("D major"), "phrase", show.told("key"))
    show.stage.go_to(24)
    assert show.receipts[-1][1] == "done"
    assert player.setting.bar(F(16)).key.mode != "major"
    name = player.setting.bar(F(16)).key.name
    assert show.receipts[-1][3] == f"{name}: the mood has chosen {name.split(' ', 1)[1]}"


# What leads over --------------------------------------------------------------------------

TUNE = """
[parts.tune]
engine = "grammar"
rules = "S -> 1 2 3 4 5 6 7"
grid = "1/8"
role = "melody"
[parts.drums]
engine = "grammar"
rules = "S -> (fill) Snare | (1 - fill) Kick"
grid = "1/4"
layer = [0, 0.6]
"""
KEYS = ("E major", "Ab major", "F# minor", "B minor", "D dorian", "A minor")


@pytest.mark.parametrize("to", KEYS)
def test_a_melody_over_a_bridge_goes_with_its_chords(to: str) -> None:
    show = Show(dressed("", text=FORM + TUNE))
    show.baton.key(parse_key(to), "in 4 bars")
    show.stage.go_to(20)
    setting = show.player.setting
    assert setting is not None
    bar, new = setting.bar(F(15)), parse_key(to)
    assert bar.bridge
    last = bar.bridge[-1].chord
    over = [
        e.note
        for e in show.stage.played
        if e.note.part == "tune" and e.note.start - bar.beat - bar.bridge[-1].at >= 0
        if e.note.start < 16
    ]
    allowed = {*new.pitch_classes, *last.pitch_classes}
    assert over
    assert {note.pitch % 12 for note in over} <= allowed
    pitches = [e.note.pitch for e in show.stage.played if e.note.part == "tune"]
    plain = Show(dressed("", text=FORM + TUNE))
    plain.stage.go_to(16)
    kept = [e.note.pitch for e in plain.stage.played if e.note.part == "tune"][:32]
    assert all(abs(a - b) <= 2 for a, b in zip(pitches[:32], kept, strict=False))


@pytest.mark.parametrize("left", [F(1, 2), F(1), F(3, 2), F(5, 2), F(7, 2)])
def test_a_scene_that_is_called_for_late_gets_what_there_is_time_for(left: F) -> None:
    scene = replace(dressed("", 180, FORM.replace("C major", "E major")), name="two")
    show = Show(dressed("", text=FORM.replace("bars = 4", "bars = 8") + TUNE))
    show.stage.go_to(16 - left)
    receipt = show.player.change_scene(scene, "bar")
    show.stage.go_to(20)
    assert receipt.beat == 16
    before = [e.note for e in show.stage.played if 12 <= e.note.start < 16]
    # What is planned within a tenth of a second, a fifth of a beat, stays.
    free = [F(beat) for beat in (13, 14, 15) if beat >= 16 - left + F(1, 4)]
    drums = {note.start: note.pitch for note in before if note.part == "drums"}
    chords = [note for note in before if note.part == "chords"]
    assert all(drums[beat] == (38 if beat in free else 36) for beat in drums)
    if not free:
        assert len(drums) == 4 and {note.start for note in chords} == {F(12)}
        return
    led = [note for note in chords if note.start >= free[0]]
    assert 3 in {note.pitch % 12 for note in led}, "D sharp leads into E"
    assert show.tempo_at(F(31, 2)) > 120
    parts = {beat: {n.part for n in before if n.start == beat} for beat in map(F, (12, 13, 15))}
    assert "bass" not in parts[F(15)] or "drums" not in parts[F(15)], "not all play to the end"
    assert {"bass", "drums"} <= parts[F(12)]
    assert not show.stage.wire.late


def test_a_late_scene_that_is_called_off_leaves_no_trace() -> None:
    plain, show = (Show(dressed("", text=FORM + TUNE)) for _ in range(2))
    for each in (plain, show):
        each.stage.go_to(13)
    show.player.change_scene(replace(dressed("", 180), name="two"), "bar")
    show.player.changes.cancel("scene")
    for each in (plain, show):
        each.stage.go_to(30)
    assert show.stage.notes() == plain.stage.notes()


def test_a_section_that_closes_ends_with_a_cadence_and_a_held_chord() -> None:
    text = FORM.replace("bars = 4\n", "bars = 4\ncloses = true\n") + TUNE
    show = Show(dressed("", text=text))
    show.stage.go_to(41)
    chords = [(e.moment.beat, e.name) for e in show.stage.entries if isinstance(e, Harmonised)]
    assert [each for each in chords if 8 <= each[0] < 16] == [
        (F(8), "Dm7"),
        (F(10), "G7"),
        (F(12), "C"),
    ]
    held = [e.note for e in show.stage.played if 12 <= e.note.start < 16]
    assert {note.start for note in held if note.part != "drums"} == {F(12)}
    assert {note.end for note in held if note.part == "chords"} == {F(16)}
    assert {note.start for note in held if note.part == "drums"} == {12, 13, 14, 15}
    assert any(e.note.start == 16 for e in show.stage.played)

    cut = Show(dressed("", text=text))
    cut.baton.section("B", "in 3 bars")
    cut.stage.go_to(20)
    names = [e.name for e in cut.stage.entries if isinstance(e, Harmonised)]
    assert "G7" not in names, "one that is left before its end does not close"


# Arrivals ---------------------------------------------------------------------------------


def test_tempo_goes_evenly_to_an_arrival() -> None:
    text = FORM + "[mood]\nstart = 'tired'\n"
    for bars in (2, 4, 8):
        for start, word in permutations(("tired", "excited", "calm", "angry"), 2):
            show = Show(dressed("", text=text.replace("tired", start)))
            show.baton.emotion(word, bars, "bar")
            show.stage.go_to(4 * bars + 8)
            tempi = [tempo for *_, tempo in show.ticks()]
            steps = [abs(b / a - 1) for a, b in pairwise(tempi)]
            assert max(steps) <= 0.24 / bars, (bars, start, word)
