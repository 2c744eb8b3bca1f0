"""Commands of the conductor while a scene plays: receipts, bridges, endings, moments."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pythonosc.osc_message import OscMessage

from engines.base import Mistake
from scripts.benches.landing import known, trial
from server.band.baton import Baton
from server.concert.journal import Harmonised, Marked, Played
from server.conductor.mood import Mood
from server.music.scale import parse_key
from server.score.scene import Scene, parse_scene
from tests.server.model import MS, SECOND, Stage

F = Fraction
LONG = """
tempo = 120
[form]
plan = "A A"
[form.sections.A]
bars = 4
cues = { exit = 3 }
[outputs.game]
osc = "127.0.0.1:9000"
[parts.chords]
engine = "grammar"
rules = "S -> I:4/1 IV:4/1"
[parts.bass]
engine = "grammar"
rules = "S -> c1"
grid = "1/4"
octave = 2
"""


def playing(text: str = LONG, wait: int = 100) -> tuple[Stage, Baton, list[str]]:
    stage = Stage(parse_scene(text))
    stage.player.play()
    stage.go(wait * MS)
    return stage, Baton(stage.player), []


def test_two_hundred_transitions_land_on_their_ticks() -> None:
    for seed in range(200):
        done = trial(seed)
        assert not done.wrong, done


def test_a_held_chord_is_struck_again_where_a_bridge_needs_it() -> None:
    stage, baton, _ = playing()
    receipt = baton.key(parse_key("E major"), "in 3 bars")
    stage.go(9 * SECOND)
    told = [(float(e.moment.beat), e.name) for e in stage.entries if isinstance(e, Harmonised)]
    assert receipt.beat == 12
    assert told[0] == (0, "C")
    assert told[1][0] == 8
    assert (10, "B7") in told
    assert (12, "E") in told
    bass = {e.note.start: e.note.pitch % 12 for e in stage.played if e.note.part == "bass"}
    assert (bass[F(11)], bass[F(12)]) == (11, 4)
    struck = [n for n, event in stage.ons() if b"chords" in event.on]
    assert len(set(struck)) == len(told)


def test_every_receipt_comes_to_one_end() -> None:
    states: dict[str, list[str]] = {}

    def told(name: str) -> Any:
        return lambda receipt: states.setdefault(name, []).append(receipt.state)

    stage, baton, _ = playing()
    player = stage.player
    baton.key(parse_key("E major"), "in 2 bars", told("key"))
    baton.key(parse_key("D major"), "in 1 bars", told("newer key"))
    baton.section("A", "in 3 bars", told("section"))
    player.strip("bass", "mute", True, "in 3 bars", told("mute"))
    baton.mood(Mood(0.5, 0.5), 2.0, "bar", told("mood"))
    assert dict(player.changes.told())["part/bass/mute"] == 4.0
    assert player.changes.cancel("part/bass/mute") == 1
    player.change_scene(known("4/4", "E major", "two"), "in 2 bars", told("scene"))
    stage.go(12 * SECOND)
    player.stop()
    assert states == {
        "key": ["armed", "superseded"],
        "newer key": ["armed", "done"],
        "section": ["armed", "superseded"],
        "mute": ["armed", "cancelled"],
        "mood": ["armed", "done"],
        "scene": ["armed", "done"],
    }


@pytest.mark.parametrize("what", ["key", "section", "scene", "mute", ""])
def test_what_is_cancelled_is_not_heard(what: str) -> None:
    plain, called = playing()[0], playing()
    stage, baton, _ = called
    player = stage.player
    baton.key(parse_key("E major"), "in 3 bars")
    baton.section("A", "in 2 bars")
    player.change_scene(known("4/4", "E major", "two", 90), "in 3 bars")
    player.strip("bass", "mute", True, "in 1 bars")
    stage.go(500 * MS)
    for topic in ("key", "section", "scene", "part/bass/mute") if what else ("",):
        player.changes.cancel(topic)
    assert not list(player.changes.told())
    stage.go(9 * SECOND)
    plain.go(9500 * MS)
    assert stage.notes() == plain.notes()


def test_a_scene_is_led_over_to() -> None:
    stage, _, _ = playing()
    receipt = stage.player.change_scene(known("4/4", "E major", "two", 180), "in 3 bars")
    stage.go(8 * SECOND)
    line = stage.player.timeline
    assert line.tempo_at(receipt.beat - 4) == 120
    assert 120 < line.tempo_at(receipt.beat - 1) < 180
    assert line.tempo_at(receipt.beat) == 180
    told = [e.name for e in stage.entries if isinstance(e, Harmonised)]
    assert "B7" in told, "the dominant of the key to come"
    bass = [e.note.start for e in stage.played if e.note.part == "bass"]
    assert max(bass) < receipt.beat - 1, "the old texture thins"


def test_the_key_that_sounds_is_not_changed_by_its_echo() -> None:
    stage, baton, _ = playing(LONG.replace("bars = 4", "bars = 4\nup = 2"))
    assert baton.key(parse_key("D major")).state == "done"
    stage.go(9 * SECOND)
    assert {e.name for e in stage.entries if isinstance(e, Marked) and e.kind == "key"} == {
        "D major"
    }


def test_hooks_wait_for_the_author_s_place() -> None:
    stage, baton, _ = playing()
    assert baton.section("A", "cue exit").beat == 8
    with pytest.raises(Mistake, match="no place called 'nowhere'"):
        baton.section("A", "cue nowhere")
    stage.go(6 * SECOND)
    marks = [(e.moment.bar, e.name) for e in stage.entries if isinstance(e, Marked)]
    assert (3, "A") in marks


def test_a_piece_that_ends_ends_by_itself_on_a_held_chord() -> None:
    stage, _, _ = playing(LONG.replace('plan = "A A"', 'plan = "A A"\nends = true'))
    for _ in range(400):
        stage.go(50 * MS)
        if stage.player.ended:
            break
    assert stage.player.ended
    last = [e for e in stage.played if e.moment.bar == 8]
    assert {e.note.start for e in last} == {F(28)}
    assert {e.note.pitch % 12 for e in last} <= {0, 4, 7}
    assert {e.note.end for e in last} == {F(32)}
    assert not [e for e in stage.played if e.moment.bar > 8]
    assert not stage.wire.sounding


def test_commands_mean_the_same_whatever_the_horizon() -> None:
    def heard(horizon: int, wake: int, piece: Scene) -> list[tuple[object, ...]]:
        stage = Stage(piece, horizon * MS)
        stage.wake_every = wake * MS
        baton = Baton(stage.player)
        stage.player.play()
        stage.go(730 * MS)
        baton.key(parse_key("E major"), "in 3 bars")
        baton.emotion("tense", 2.0)
        stage.go(1910 * MS)
        baton.section("C", "in 3 bars")
        baton.theme("two", "in 2 bars")
        stage.go(12 * SECOND)
        return [(e.note.start, e.note.part, e.note.pitch) for e in stage.played
                if isinstance(e, Played) and e.note.start < 24]  # fmt: skip

    piece = known("4/4 3/4", "C major", "one")
    first = heard(100, 25, piece)
    assert len(first) > 100
    for horizon, wake in ((50, 25), (100, 7), (80, 40)):
        assert heard(horizon, wake, piece) == first


# Tension ------------------------------------------------------------------------------------


def test_tension_comes_on_the_way_to_a_mood_which_goes_on() -> None:
    stage, baton, _ = playing()
    mood = baton.emotion("angry", 8)
    way = baton.conductor.moods
    stage.go_to(6)
    tension = baton.tension(0.9, 1)
    assert (mood.state, tension.state) == ("armed", "armed")
    stage.go_to(12)
    assert tension.state == "done"
    now = baton.conductor.moods.at(F(12))
    assert now.tension == pytest.approx(0.9)
    assert now[:2] == pytest.approx(way.at(F(12))[:2], abs=0.03)
    stage.go_to(40)
    assert mood.state == "done"
    assert baton.conductor.moods.at(F(40))[:3] == pytest.approx((-0.7, 0.8, 0.9))


def test_a_mood_that_is_asked_for_later_has_a_tension_of_its_own() -> None:
    stage, baton, _ = playing()
    tension = baton.tension(0.9, 8)
    stage.go_to(6)
    newer = baton.tension(0.7, 8)
    assert tension.state == "superseded"
    mood = baton.emotion("calm", 0, "now")
    assert (newer.state, mood.state) == ("superseded", "done")
    stage.go_to(60)
    assert baton.conductor.moods.at(F(60)) == Mood(0.5, -0.7)


def test_a_tension_that_is_called_off_stays_where_it_is_and_the_mood_goes_on() -> None:
    stage, baton, _ = playing()
    mood = baton.emotion("angry", 8)
    stage.go_to(6)
    tension = baton.tension(1, 4)
    stage.go_to(14)
    there = baton.conductor.moods.at(F(14)).tension
    stage.player.changes.cancel("mood/tension")
    assert (tension.state, mood.state) == ("cancelled", "armed")
    stage.go_to(40)
    assert mood.state == "done"
    assert baton.conductor.moods.at(F(40))[:3] == pytest.approx((-0.7, 0.8, there), abs=0.02)
    tension, mood = baton.tension(1, 4), baton.emotion("sad", 8)
    stage.player.changes.cancel("mood")
    assert tension.state == "superseded" and mood.state == "cancelled"


def test_a_mood_that_is_called_off_leaves_the_tension_that_was_asked_for_since() -> None:
    stage, baton, _ = playing()
    mood = baton.emotion("angry", 8)
    stage.go_to(6)
    tension = baton.tension(0.9, 4)
    stage.go_to(10)
    before = [baton.conductor.moods.at(F(beat)).tension for beat in range(11)]
    stage.player.changes.cancel("mood", {"mood/tension"})
    assert (tension.state, mood.state) == ("armed", "cancelled")
    now = [baton.conductor.moods.at(F(beat)).tension for beat in range(11)]
    assert now == pytest.approx(before), "what has been stays"
    here = baton.conductor.moods.at(F(10))
    stage.go_to(40)
    assert tension.state == "done"
    after = baton.conductor.moods.at(F(40))
    assert after.tension == pytest.approx(0.9)
    assert after[:2] == pytest.approx(here[:2], abs=0.02)


def test_why_is_asked_for_a_role_that_there_is() -> None:
    _, baton, _ = playing()
    assert baton.explain("loudness", "bass").startswith("loudness")
    with pytest.raises(Mistake, match="role: no role is called 'strings'; there are melody, "):
        baton.explain("loudness", "strings")


def test_a_section_that_is_called_for_is_told_as_the_next_one_by_the_following_beat() -> None:
    text = LONG.replace('plan = "A A"', 'plan = "A"') + "[form.sections.B]\nbars = 4\n"
    stage, baton, _ = playing(text, 600)
    assert following(stage)[-1] == "A"
    baton.section("B", "in 3 bars")
    stage.go(600 * MS)
    assert following(stage)[-1] == "B"


def following(stage: Stage) -> list[str]:
    """The names of the sections that were told as the next ones."""
    packets = [data for _, data, _ in stage.wire.sent if b"/section/next\0" in data]
    return [OscMessage(data).params[0] for data in packets]


def test_a_key_asked_for_within_a_bar_while_all_stands_is_named_as_it_will_be() -> None:
    stage, baton, _ = playing()
    for beat, name in ((5, "E phrygian"), (10, "A lydian")):
        stage.go_to(beat)
        stage.player.stop()
        receipt = baton.key(parse_key(name))
        assert (receipt.state, receipt.reason) == ("done", "")
        stage.player.resume()
        stage.go_to(beat + 3)
        assert baton.conductor.bar(beat // 4 + 2).key == parse_key(name)


def test_a_mood_set_while_all_stands_says_that_it_is_not_there_yet() -> None:
    stage, baton, _ = playing()
    stage.go_to(5)
    stage.player.stop()
    at_once, later = baton.emotion("calm"), baton.emotion("angry", 4)
    assert (at_once.state, at_once.reason) == ("done", "")
    assert later.state == "done" and "when the transport goes on" in later.reason
    stage.player.resume()
    stage.go_to(7)
    assert -0.7 < baton.conductor.moods.at(F(7)).valence < 0.5
    stage.go_to(30)
    assert baton.conductor.moods.at(F(30))[:2] == pytest.approx((-0.7, 0.8))
