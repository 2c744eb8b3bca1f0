"""What needs no waiting: streams as a scene pulls them, clashes, what is written tight."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

import pytest

from engines.base import THINKING, Controls, Heard, Mistake, Symbol
from server.concert.journal import Entry, Played
from server.desk.desk import rehearse
from server.desk.reference import obeyed
from server.errands import (
    clashes,
    hear,
    live_values,
    part_of,
    render,
    strays,
    symbols,
    tightened,
    tree,
    try_out,
)
from server.score.scene import Scene, find_scene, load_scene, parse_scene, playable

BARS = 64


@dataclass(frozen=True)
class Engine:
    """Any generator as an engine."""

    stream: Callable[[Random, Controls], Iterator[Symbol]]

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        return self.stream(rng, controls)

    def alphabet(self) -> frozenset[str] | None:
        return None


def having(
    stream: Callable[[Random, Controls], Iterator[Symbol]], scene: Scene, part: str
) -> Scene:
    """The scene, a part of which has this for an engine."""
    parts = [
        replace(spec, engine=Engine(stream)) if spec.name == part else spec for spec in scene.parts
    ]
    return replace(scene, parts=tuple(parts))


@pytest.mark.parametrize("name", ["house:kick", "house:arp", "default:bass", "blues:guitar"])
def test_a_stream_is_what_the_scene_pulls(name: str) -> None:
    name, _, part = name.partition(":")
    scene = load_scene(find_scene(name))
    engine, pulled = part_of(scene, part).engine, list[str]()

    def overheard(rng: Random, controls: Controls) -> Iterator[Symbol]:
        for symbol in engine.symbols(rng, controls):
            pulled.append(symbol.name)
            yield symbol

    hear(having(overheard, scene, part), 64, lambda entry: None)
    stream = symbols(scene, part_of(scene, part))
    assert len(set(pulled)) > 2
    assert [next(stream).name for _ in pulled] == pulled


COUNTED = """
meter = "3/4"
[controls]
danger = 0
[parts.a]
engine = "grammar"
enters = 3
rules = "S -> (bar > 4) C | (bar <= 4 and beat == 1) D | (bar <= 4 and beat != 1) E"
"""


def test_bar_and_beat_go_on_as_they_do_in_the_scene() -> None:
    scene = parse_scene(COUNTED)
    assert [s.name for s in islice(symbols(scene, scene.parts[0]), 8)] == [*"DEEDEECC"]


def test_live_values_can_be_set_from_outside() -> None:
    scene = parse_scene(
        "[controls]\ndanger = 0\n[parts.a]\nengine = 'grammar'\n"
        "rules = 'S -> (danger) C | (1 - danger) D | (in_verse * 1e6) E'\n"
    )
    spec = scene.parts[0]

    def first(*words: str) -> list[str]:
        return [s.name for s in islice(symbols(scene, spec, live_values(scene, words)), 5)]

    assert first() == ["D"] * 5
    assert first("danger=1") == ["C"] * 5
    assert first("danger=1", "in_verse=1") == ["E"] * 5


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("dangr=1", "did you mean 'danger'"),
        ("bar=3", "no live value is called 'bar'"),
        ("danger", "expected NAME=VALUE"),
        ("danger=nan", "expected NAME=VALUE"),
        ("danger=1e9", "expected NAME=VALUE"),
        ("zzz=1", "there are arousal"),
    ],
)
def test_what_cannot_be_set_is_a_mistake(word: str, problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        live_values(parse_scene(COUNTED), [word])


MELODY = "[parts.a]\nengine = 'grammar'\nrules = 'S -> C 1/4'\n"


def test_a_tree_has_the_bars_of_its_symbols() -> None:
    scene = parse_scene(
        "[parts.a]\nengine = 'grammar'\nrules = '''\nS -> Bar Bar\n"
        "Bar -> (bar == 1) C 1/1 | (bar > 1) D 1/1\n'''\n"
    )
    drawn = tree(scene, scene.parts[0])
    assert [line.split()[-1] for line in drawn.splitlines()] == [
        *("S", "Bar", "C", "1/1", "Bar", "D", "1/1")
    ]


def test_thinking_is_not_shown_and_not_waited_for_for_ever() -> None:
    def slow(rng: Random, controls: Controls) -> Iterator[Symbol]:
        yield THINKING
        yield Symbol("C")
        while True:
            yield THINKING

    scene = having(slow, parse_scene(MELODY), "a")
    stream = symbols(scene, scene.parts[0])
    assert next(stream).name == "C"
    with pytest.raises(Mistake, match="thinks without end"):
        next(stream)


def test_an_engine_that_fails_is_told_of_and_goes_on_as_in_its_scene() -> None:
    def broken(rng: Random, controls: Controls) -> Iterator[Symbol]:
        yield Symbol("C:1/1")
        raise RuntimeError("no more ideas")

    scene, told = having(broken, parse_scene(MELODY), "a"), list[str]()
    stream = [symbol.name for symbol in symbols(scene, scene.parts[0], told=told.append)]
    assert set(stream) == {"C:1/1"} and len(stream) > 1
    assert "started again after RuntimeError: no more ideas" in told[0]
    assert "silenced" in told[-1]


def test_an_engine_that_listens_hears_those_it_listens_to() -> None:
    def echo(rng: Random, controls: Controls) -> Iterator[Symbol]:
        while True:
            news = [each for each in controls.news() if isinstance(each, Heard)]
            yield Symbol(f"{len(news)}:1/1" if news else "Rest:1/1")

    text = MELODY + "[parts.b]\nengine = 'grammar'\nrules = 'S -> C'\nlistens = 'a'\n"
    scene = having(echo, parse_scene(text), "b")
    stream = symbols(scene, scene.parts[1])
    assert [symbol.name for symbol in islice(stream, 3)] == ["Rest:1/1", "4:1/1", "4:1/1"]


# Rendering, and checking -----------------------------------------------------------------------

LOOSE = """
tempo = 120
swing = 0.66
humanize = { time_ms = 20, velocity = 0.1 }
[parts.a]
engine = "grammar"
rules = "S -> C 1/8"
[parts.b]
engine = "grammar"
rules = "S -> Kick 1/8"
groove = "laid-back"
"""


def test_tight_leaves_every_note_on_its_beat_with_the_velocities_it_had() -> None:
    def notes(scene: Scene) -> list[Played]:
        heard: list[Entry] = []
        hear(scene, 4, heard.append)
        found = [entry for entry in heard if isinstance(entry, Played)]
        return sorted(found, key=lambda entry: (entry.note.part, entry.note.beat))

    loose, tight = notes(parse_scene(LOOSE)), notes(tightened(parse_scene(LOOSE)))
    assert any(entry.note.start != entry.note.beat for entry in loose)
    assert any(entry.note.nudge for entry in loose)
    assert all(entry.note.start == entry.note.beat and not entry.note.nudge for entry in tight)
    assert [(entry.note.beat, entry.note.pitch, entry.note.velocity) for entry in loose] == [
        (entry.note.beat, entry.note.pitch, entry.note.velocity) for entry in tight
    ]
    assert render(parse_scene(LOOSE), 2, "0", lambda entry: None)


@pytest.mark.parametrize(
    ("outputs", "channels", "programs", "number"),
    [
        ("", (1, 1), (1, 2), 1),
        ("", (1, 2), (1, 2), 0),
        ("", (1, 1), (2, 2), 0),
        ("", (None, None), (1, 2), 0),
        ("", (1, 1), (1, None), 0),
        ('[outputs.o]\nmidi = "virtual"\n', (1, 1), (1, 2), 0),
        ('[outputs.o]\nmidi = "Synth"\n', (1, 1), (1, 2), 1),
        ('[outputs.o]\nosc = "127.0.0.1:9000"\n', (1, 1), (1, 2), 0),
    ],
)
def test_programs_that_clash_are_named(
    outputs: str,
    channels: tuple[int | None, int | None],
    programs: tuple[int | None, int | None],
    number: int,
) -> None:
    text = outputs
    for name, channel, program in zip("ab", channels, programs, strict=True):
        text += MELODY.replace("parts.a", f"parts.{name}")
        text += f"channel = {channel}\n" if channel else ""
        text += f"program = {program}\n" if program else ""
    found = clashes(parse_scene(text))
    assert len(found) == number
    assert all("parts.a and parts.b share channel 1" in clash for clash in found)


def test_a_part_that_only_says_things_is_not_silent() -> None:
    said = """
[parts.a]
engine = "grammar"
rules = "S -> X"
reading = { X = { osc = "/light", args = [1], value = "1/4" } }
[parts.b]
engine = "grammar"
rules = "S -> X Rest"
reading = { X = "Rest" }
"""
    assert try_out(parse_scene(said), 2) == ([], ["b"])


def test_stingers_are_tried_out_too() -> None:
    def broken(rng: Random, controls: Controls) -> Iterator[Symbol]:
        raise RuntimeError("out of order")
        yield

    text = """
[parts.a]
engine = "grammar"
rules = "S -> 1"
grid = "1/4"
[stingers.good]
notes = "c1:1/4"
[stingers.dumb]
notes = "Rest"
"""
    scene = parse_scene(text)
    assert try_out(scene, 2) == (["stingers.dumb: nothing of it sounds"], [])
    rehearse(scene)
    good = replace(scene.stingers[0].part, engine=Engine(broken))
    scene = replace(scene, stingers=(replace(scene.stingers[0], part=good),))
    troubles, _ = try_out(scene, 2)
    assert "stingers.good: " in troubles[0] and "out of order" in troubles[0]
    with pytest.raises(Mistake, match=r"stingers\.good: .*out of order"):
        rehearse(scene)


def test_names_that_nothing_has_are_told_with_their_place() -> None:
    scene = parse_scene(
        """
        programs = ["verse", "boss"]
        [form]
        plan = "A B"
        sections.A = { bars = 4, only = ["lead", "bas"] }
        sections.B = { bars = 4 }
        [map.knob]
        cc = 7
        to = "/componium/part/bas/level"
        [map.other]
        cc = 8
        to = "/componium/tempo"
        [map.pad]
        note = 36
        to = "/section"
        args = ["a", "bar"]
        [map.much]
        note = 37
        to = "/play"
        args = ["x", "y"]
        [map.far]
        note = 38
        to = "/componium/tempo"
        args = ["fast"]
        [map.wrong]
        cc = 9
        to = "/tempo"
        argument = "tempi"
        [map.right]
        note = 39
        to = "/emotion"
        args = ["tense", 4, "bar"]
        [transitions]
        "A -> B" = { fill = 1 }
        "* -> key" = { bridge = 2 }
        "B -> scene boss" = { thin = 1 }
        "Verse -> A" = { fill = 2 }
        "A -> Coda" = { fill = 2 }
        [parts.lead]
        engine = "grammar"
        rules = "S -> C"
        """
    )
    amiss, _ = obeyed(scene)
    assert strays(scene, ["verse"], amiss) == [
        "form.sections.A.only: no part is called 'bas'; is that meant?",
        "transitions.Verse -> A: no section is called 'Verse'; is that meant?",
        "transitions.A -> Coda: no section is called 'Coda'; is that meant?",
        "programs: no scene is called 'boss'; is that meant?",
        "map.knob.to, line 9: there is no '/componium/part/bas/level'; /componium/part has lead; "
        "is that meant?",
        "map.pad.args, line 16: no section is called 'a'; did you mean 'A'? There are A, B; "
        "is that meant?",
        "map.much.args, line 20: 'x' is one too many; expected /componium/play; is that meant?",
        "map.far.args, line 24: tempo: expected a number from 20 to 999, got 'fast'; "
        "is that meant?",
        "map.wrong.argument, line 28: no argument is called 'tempi'; did you mean 'tempo'? "
        "There are tempo, beats, when; is that meant?",
    ]


@pytest.mark.parametrize("name", playable())
def test_shipped_scenes_name_only_what_they_have(name: str) -> None:
    scene = load_scene(find_scene(name))
    amiss, scenes = obeyed(scene)
    assert strays(scene, scenes, amiss) == []
