"""Parts played by hand, and what praise does to engines."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Controls, Mistake, Symbol
from engines.grammar import Grammar
from engines.lsystem import LSystem
from engines.markov import Markov
from engines.taste import HALF_LIFE, Lesson, Taste, Teachable
from server.backstage.health import Health
from server.band.hands import Hands, reaction
from server.concert.journal import Journal
from server.score.scene import Scene, parse_scene
from server.stage import Stage as RealStage
from server.stage import Wish
from tests.server.concert.test_player import check_ledger
from tests.server.model import MS, SECOND, Stage

F = Fraction
SOLO = """
tempo = 120
[outputs.out]
osc = "127.0.0.1:9000"
[parts.chords]
engine = "grammar"
rules = "S -> I V vi IV"
grid = "1/1"
[parts.solo]
engine = "performer"
grid = "1/16"
"""
CHOICE = """
tempo = 240
[outputs.out]
osc = "127.0.0.1:9000"
[parts.tune]
engine = "grammar"
rules = "S -> C | E | G | A"
grid = "1/8"
[parts.other]
engine = "grammar"
rules = "S -> C | E | G | A"
grid = "1/8"
"""


def on(text: str) -> tuple[Stage, Hands]:
    stage = Stage(parse_scene(text))
    stage.player.play()
    return stage, Hands(stage.player)


# By hand --------------------------------------------------------------------------------------


@given(st.integers(0, 3999))
def test_a_gesture_is_heard_at_the_next_sixteenth_after_the_horizon(ms: int) -> None:
    stage, hands = on(SOLO)
    stage.go(SECOND + ms * MS)
    asked = stage.clock.now()
    hands.gesture("solo", 4, 0.5, 0.8)
    stage.go(SECOND // 2)
    first = next(when for when, event in stage.ons() if b"/solo/" in event.on)
    sixteenth = 125 * MS
    assert first - asked <= stage.player.horizon + sixteenth
    check_ledger(stage)


@given(st.integers(0, 3999))
def test_a_hit_sounds_at_the_next_line_whatever_is_planned(ms: int) -> None:
    stage, hands = on(SOLO)
    stage.go(SECOND + ms * MS)
    asked = stage.clock.now()
    receipt = hands.hit("solo", 0.5, 1.0)
    stage.go(SECOND // 2)
    [note] = [entry.note for entry in stage.played if entry.note.part == "solo"]
    due = stage.player.timeline.ns_at(note.start)
    assert note.start == receipt.beat and note.start % F(1, 4) == 0
    assert 0 <= due - asked <= (125 + 5) * MS
    setting = stage.player.setting
    assert setting is not None
    assert setting.key.nearest(note.pitch) == note.pitch
    check_ledger(stage)


def test_gestures_are_one_part_s_own_and_outlive_a_scene_that_is_read_again() -> None:
    stage, hands = on(SOLO + '[parts.duo]\nengine = "performer"\n')
    hands.gesture("solo", 2, 0.2, 0.5)
    stage.player.change_scene(
        parse_scene(SOLO + '[parts.duo]\nengine = "performer"\n'), "bar", keep=True
    )
    stage.go(4 * SECOND)
    names = Counter(entry.note.part for entry in stage.played)
    assert names["solo"] >= 14 and not names["duo"]


def test_strong_notes_of_a_gesture_are_in_the_chord() -> None:
    stage, hands = on(SOLO)
    heights = Random(3)
    for _ in range(32):
        hands.gesture("solo", 4, heights.random(), 0.8)
        stage.go(SECOND // 2)
    setting = stage.player.setting
    assert setting is not None
    notes = [entry.note for entry in stage.played if entry.note.part == "solo"]
    assert len(notes) > 100
    assert all(setting.key.nearest(note.pitch) == note.pitch for note in notes)
    strong = [note for note in notes if note.start % 2 == 0]
    for note in strong:
        chord = setting.harmonies.at(note.start)
        assert chord is not None and note.pitch % 12 in chord.pitch_classes


def test_only_playable_parts_are_played() -> None:
    _, hands = on(SOLO)
    with pytest.raises(Mistake, match="give it engine = 'performer'"):
        hands.gesture("chords", 1, 1, 1)
    with pytest.raises(Mistake, match="no part is called"):
        hands.hit("nobody", 1, 1)


# Praise ---------------------------------------------------------------------------------------


def test_praise_is_meant_for_what_sounded_a_second_ago() -> None:
    assert [reaction(age) for age in (0, 0.3, 1, 4, 9)] == [0, 0, 1, 0, 0]
    assert 0 < reaction(0.5) < reaction(0.9) and reaction(1.5) > reaction(3) > 0


def share_of(stage: Stage, part: str, since: float) -> float:
    pitches = [
        e.note.pitch % 12 for e in stage.played if e.note.part == part and e.moment.seconds > since
    ]
    return pitches.count(0) / len(pitches)


def test_what_is_liked_comes_more_often_and_of_that_part_alone() -> None:
    stage, hands = on(CHOICE)
    for _ in range(40):
        stage.go(SECOND // 4)
        now = stage.clock.now()
        for begun in stage.player.ahead.begun:
            if begun.part == "tune" and now - begun.due <= SECOND // 4:
                liked = "-> C" in str(begun.origin)
                stage.player.part("tune").part.praise(begun.origin, 1 if liked else -0.5)
    stage.go(30 * SECOND)
    assert share_of(stage, "tune", 10) > 0.6
    assert 0.15 < share_of(stage, "other", 10) < 0.4
    assert hands.tastes()["scenes"]["scene"].keys() == {"tune"}


def test_without_praise_nothing_changes_and_with_it_a_replay_is_the_same() -> None:
    def take(praise: bool) -> list[tuple[Any, ...]]:
        stage, hands = on(CHOICE)
        for _ in range(8):
            stage.go(SECOND)
            if praise:
                hands.feedback(1)
        return stage.notes()

    assert take(True) == take(True)
    assert take(False) == take(False) != take(True)


def test_nothing_heard_is_refused() -> None:
    _, hands = on(SOLO)
    with pytest.raises(Mistake, match="nothing has sounded in the last 4 s"):
        hands.feedback(1)
    with pytest.raises(Mistake, match="no part is called"):
        hands.feedback(1, "nobody")


def test_what_was_learnt_outlives_seeds_and_readings() -> None:
    stage, hands = on(CHOICE)
    stage.go(3 * SECOND)
    hands.feedback(1, "tune")
    learnt = hands.tastes()["scenes"]["scene"]
    stage.player.reseed(7, "now")
    stage.go(SECOND)
    stage.player.change_scene(parse_scene(CHOICE), "bar", keep=True)
    stage.go(2 * SECOND)
    assert hands.tastes()["scenes"]["scene"].keys() == learnt.keys() == {"tune"}
    assert stage.player.part("tune").part.controls.taste is stage.player.taste("scene", "tune")


def test_it_is_saved_and_loaded_as_plain_data() -> None:
    stage, hands = on(CHOICE)
    stage.go(3 * SECOND)
    hands.feedback(-1)
    data = json.loads(json.dumps(hands.tastes()))
    _, more = on(CHOICE)
    more.load_tastes(data)
    assert more.tastes()["scenes"] == data["scenes"]
    for wrong in (
        {},
        {"format": "x", "scenes": {}},
        {**data, "scenes": {"a": {"b": {"S": {"C": 99}}}}},
    ):
        with pytest.raises(Mistake, match="taste: expected"):
            more.load_tastes(wrong)
    assert more.tastes()["scenes"] == data["scenes"]


def test_a_performance_begins_with_its_file_and_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "scene.taste.json"
    piece: Scene = parse_scene(CHOICE)
    stage = RealStage(piece, Wish(taste=path), Journal(), Health())
    stage.player.taste("scene", "tune").add(Lesson("S", "C"), 1.0)

    async def saved(stage: RealStage) -> tuple[str, str]:
        stage._loop, told = asyncio.get_running_loop(), asyncio.Queue[tuple[str, str]]()
        tastes = stage._outfit.tastes
        assert tastes is not None
        tastes.keep(stage.band, lambda state, reason: told.put_nowait((state, reason)))
        return await asyncio.wait_for(told.get(), 10)

    assert asyncio.run(saved(stage)) == ("done", "to scene.taste.json")
    nowhere = RealStage(piece, Wish(taste=tmp_path / "nowhere" / "x.json"), Journal(), Health())
    assert asyncio.run(saved(nowhere)) == ("refused", "taste: x.json cannot be written")
    again = RealStage(piece, Wish(taste=path), Journal(), Health())
    again._recall_taste()
    assert again.player.taste("scene", "tune").to_data() == {"S": {"C": 1.0}}
    path.write_text("nonsense")
    with pytest.raises(Mistake, match=r"--taste: .* cannot be read"):
        again._recall_taste()


# What engines make of it ----------------------------------------------------------------------

ENGINES: list[Any] = [
    Grammar("S -> A B\nA -> c | d | e\nB -> (0.5) f | (0.5) g"),
    LSystem("A", "A -> (0.5) AB | (0.5) AC\nB -> B\nC -> C", depth=6),
    LSystem("A", "A -> (0.5) AB | (0.5) AC\nB < A -> A\nB -> B\nC -> C", depth=6),
    Markov(text="a b a c a d a b c d b a c b d a"),
    Markov(text="a b a c a d a b c d b a c b d a", order=1, temperature=2.0),
    Markov(text="a b a c a d a b c d b a c b d a", order=1, phrase=8),
    Markov(text="C4:1/4 D4:1/8 C4:1/8 E4:1/4 C4:1/4 D4:1/4 E4:1/8", views=("pitch", "duration")),
]


def stream(engine: Any, taste: Taste | None, count: int, seed: int = 1) -> list[Symbol]:
    controls = Controls()
    controls.taste = taste
    symbols = engine.symbols(Random(seed), controls)
    return [next(symbols) for _ in range(count)]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda each: type(each).__name__)
def test_praise_bends_exactly_the_choices_behind_a_symbol(engine: Any) -> None:
    assert isinstance(engine, Teachable)
    plain = stream(engine, None, 600)
    assert [s.name for s in stream(engine, Taste(), 600)] == [s.name for s in plain]
    chosen = next(s for s in plain[40:] if list(engine.lessons(s.origin)))
    lesson = next(iter(engine.lessons(chosen.origin)))

    def times(taste: Taste | None) -> int:
        return sum(lesson in list(engine.lessons(s.origin)) for s in stream(engine, taste, 600))

    liked, loathed = Taste(), Taste()
    for _ in range(5):
        liked.add(lesson, 1.0)
        loathed.add(lesson, -1.0)
    assert times(loathed) < 0.6 * times(None) < 0.9 * times(liked)
    assert times(loathed) > 0  # nothing is ever forbidden


def test_a_derivation_shares_praise_from_the_nearest_rule_up() -> None:
    grammar = Grammar("S -> (0.9) P | (0.1) x\nP -> Q\nQ -> a | b")
    symbol = next(s for s in stream(grammar, None, 20) if s.name in "ab")
    assert [(each.context, each.share) for each in grammar.lessons(symbol.origin)] == [
        ("Q", 1.0),
        ("S", 0.5),
    ]


@given(st.lists(st.floats(-5, 5), max_size=20), st.floats(0, 1000))
def test_a_factor_has_bounds_and_fades(amounts: list[float], bars: float) -> None:
    taste = Taste()
    for amount in amounts:
        taste.add(Lesson("a", "b"), amount)
    options = taste.bent.get("a", {})
    first = taste.factor(options, "b")
    taste.now = bars
    later = taste.factor(options, "b")
    assert 0.1249 < first < 8.001
    assert min(first, 1) - 1e-9 <= later <= max(first, 1) + 1e-9
    taste.now = HALF_LIFE
    assert taste.factor(options, "b") == pytest.approx(first**0.5)
    taste.begin()
    assert taste.factor(taste.bent.get("a", {}), "b") == pytest.approx(first**0.5)
