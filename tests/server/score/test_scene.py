from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mido import Message, MidiFile, MidiTrack

from engines.base import Mistake
from server.concert.journal import Troubled
from server.score.scene import (
    LARGEST,
    find_scene,
    load_scene,
    parse_scene,
    routed,
    shipped_scenes,
)
from server.score.table import MOST_MISTAKES, Layout, Mistakes
from tests.server.model import Stage

SMALLEST = '''
[parts.melody]
engine = "grammar"
start  = "Melody"
rules  = """
Melody -> Phrase Phrase
Phrase -> Pitch Duration | Pitch Pitch Duration
Pitch -> C | D | E | F | G | A | B
Duration -> Whole | Half | Quarter
"""
'''
MORE = '''
title = "Algae"
tempo = 108                  # quarter notes per minute, 20 to 999
meter = "4/4"
key   = "D dorian"
seed  = 1821

[parts.leaf]
engine  = "lsystem"
axiom   = "A"
depth   = 7                  # generations; the stream goes on after the last symbol
rules   = """
A -> AB
B -> A
"""
reading = { A = "1 1/8", B = "5 1/4" }     # scale degree, then note value
grid    = "1/8"              # where symbols land, as a note value
gate    = 0.9
channel = 2                  # as musicians count: 1 to 16
output  = "synth"

[parts.voice]
engine = "markov"
order  = 2
corpus = ["tunes/*.mid"]     # or  text = "C4:1/4 D4:1/4 …"
octave = 5
output = ["synth", "game"]

[outputs.synth]
midi = "virtual"             # or part of an existing port's name

[outputs.game]
osc    = "127.0.0.1:9000"
timing = "live"              # live | bundle | stamp
'''
PART = 'engine = "grammar"\nstart = "S"\nrules = "S -> C S"\n'
OUTPUT = '[outputs.synth]\nmidi = "virtual"\n'


def mistake(text: str) -> Mistake:
    with pytest.raises(Mistake) as caught:
        parse_scene(text)
    return caught.value


def test_the_smallest_scene_needs_nothing_else() -> None:
    scene = parse_scene(SMALLEST, "smallest")
    assert (scene.name, scene.title, scene.tempo, scene.seed) == ("smallest", "smallest", 120, 1821)
    assert [part.name for part in scene.parts] == ["melody"]
    assert scene.parts[0].grid is None
    assert scene.outputs == {}


def test_a_scene_with_more_in_it(tmp_path: Path) -> None:
    (tmp_path / "tunes").mkdir()
    tune = MidiFile(tracks=[MidiTrack()])
    for pitch in (60, 62, 64, 62, 60):
        tune.tracks[0].append(Message("note_on", note=pitch, velocity=80, time=0))
        tune.tracks[0].append(Message("note_off", note=pitch, time=480))
    tune.save(tmp_path / "tunes" / "a.mid")
    (tmp_path / "algae.toml").write_text(MORE, encoding="utf-8")
    scene = load_scene(tmp_path / "algae.toml")
    assert (scene.title, scene.tempo, scene.key.name) == ("Algae", 108, "D dorian")
    leaf, voice = scene.parts
    assert (leaf.grid, leaf.gate, leaf.channel, leaf.outputs) == (
        Fraction(1, 2),
        0.9,
        2,
        ("synth",),
    )
    assert (voice.octave, voice.outputs) == (5, ("synth", "game"))
    assert {name: output.kind for name, output in scene.outputs.items()} == {
        "synth": "midi",
        "game": "osc",
    }


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("tempo = 19", "tempo", "from 20 to 999, got 19"),
        ("tempo = 1000", "tempo", "from 20 to 999"),
        ("tempo = nan", "tempo", "from 20 to 999"),
        ("tempo = true", "tempo", "a number from 20 to 999, got true"),
        ("tempo = 1979-05-27", "tempo", "got 1979-05-27"),
        ("seed = 0x" + "f" * 5000, "seed", "more than 60 digits"),
        ("title = [" + "0, " * 9000 + "]", "title", "…"),
        ('"\\u001b[2J" = 1', '"\\u001b[2J"', "nothing has this name"),
        ('tempo = "fast"', "tempo", "got 'fast'"),
        ("temop = 120", "temop", "did you mean 'tempo'"),
        ("title = 3", "title", "text in quotes"),
        ('meter = "4/5"', "meter", "4/5"),
        ("meter = 4", "meter", "got 4"),
        ("meter = [1, 2]", "meter", "text in quotes"),
        ('key = "H major"', "key", "H"),
        ("key = []", "key", "text in quotes"),
        ("seed = -1", "seed", "whole number from 0"),
        ("seed = 1.5", "seed", "whole number"),
        ("phrase = 0", "phrase", "from 1 to 64"),
        ("controls = 3", "controls", "a table"),
        ("controls = { bar = 1 }", "controls.bar", "not bar or beat"),
        ("controls = { Mood = 1 }", "controls.Mood", "small letters"),
        ('controls = { mood = "x" }', "controls.mood", "a number"),
        ("parts = 1", "parts", "a table"),
        ("outputs = []", "outputs", "a table"),
        ("swing = 0.9", "swing", "0.5 (straight) to 0.75"),
        ("humanize = 3", "humanize", "a table"),
        ('groove = "polka"', "groove", "polka"),
    ],
)
def test_what_is_wrong_at_the_top(text: str, place: str, words: str) -> None:
    rest = "" if text.startswith("parts") else f"\n[parts.a]\n{PART}"
    caught = mistake(text + rest)
    assert caught.place == place
    assert words in caught.problem


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("grdi = '1/8'", "grdi", "did you mean 'grid'"),
        ("colour = 1", "colour", "known: "),
        ("grid = '1/0'", "grid", "denominator"),
        ("grid = 3", "grid", "text in quotes, got 3"),
        ("octave = 10", "octave", "from -1 to 9"),
        ("range = ['C4']", "range", "two pitches"),
        ("range = ['C4', 'H9']", "range", "two pitches"),
        ("range = ['C4', 'E4']", "range", "at least an octave"),
        ("nearest = 1", "nearest", "true or false"),
        ("fit = 'chrod'", "fit", "'key', 'chord'"),
        ("voices = 0", "voices", "from 1 to 8"),
        ("gate = 0", "gate", "from 0.01 to 2"),
        ("gate = inf", "gate", "from 0.01 to 2"),
        ("velocity = 2", "velocity", "from 0 to 1"),
        ("accents = -1", "accents", "from 0 to 1"),
        ("swing = 'x'", "swing", "0.5"),
        ("swing = true", "swing", "0.5"),
        ("swing = { amount = 0.6, unti = '1/8' }", "swing.unti", "did you mean 'unit'"),
        ("groove = { shifts = 'x' }", "groove", "rows of numbers"),
        ("groove = { shifts = [0, 2], accents = [1] }", "groove.accents", "one accent for each"),
        ("groove = { shifts = [nan] }", "groove", "rows of numbers"),
        ("humanize = { time_ms = 51 }", "humanize.time_ms", "from 0 to 50"),
        ("channel = 0", "channel", "from 1 to 16"),
        ("channel = 17", "channel", "from 1 to 16"),
        ("program = 0", "program", "from 1 to 128"),
        ("bank = 20000", "bank", "from 0 to 16383"),
        ("output = 'sinth'", "output", "no output is called 'sinth'; did you mean 'synth'?"),
        ("output = 3", "output", "an output's name"),
        ("output = [['synth']]", "output", "an output's name"),
        ("level = 3", "level", "from 0 to 2"),
        ("density = '1'", "density", "a number"),
        ("mute = 'yes'", "mute", "true or false"),
        ("enters = 0", "enters", "from 1"),
        ("chord = 'x'", "chord", "true or false"),
        ("sound = 1", "sound", "text in quotes"),
        ("reading = { C = 'Q' }", "reading.C", "'Q' is no pitch"),
        ("reading = { C = '' }", "reading.C", "1 to 1024 words"),
        ("reading = { C = 3 }", "reading.C", "words in quotes"),
        ("reading = { C = { osc = 'x' } }", "reading.C", "osc = '/filter/cutoff'"),
        ("reading = { C = { osc = '/x', args = [nan] } }", "reading.C", "osc = "),
        ("reading = { C = { osc = '/x', value = 'Q' } }", "reading.C.value", "'Q'"),
        ("reading = 'chrods'", "reading", "'chords'"),
    ],
)
def test_what_is_wrong_in_a_part(text: str, place: str, words: str) -> None:
    caught = mistake(f"[parts.a]\n{PART}{text}\n{OUTPUT}")
    assert caught.place == f"parts.a.{place}"
    assert words in caught.problem


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "parts.a.engine", "one of grammar, lsystem, markov"),
        ("engine = 'gramar'", "parts.a.engine", "got 'gramar'; did you mean 'grammar'?"),
        ("engine = 3", "parts.a.engine", "text in quotes"),
        ("engine = 'grammar'", "parts.a.", "needs it"),
        ("engine = 'lsystem'\naxoim = 'A'\nrules = 'A -> A'", "parts.a.axiom", "'axoim'"),
        ("engine = 'grammar'\nstart = 'S'\nrules = 3", "parts.a.rules", "text in quotes"),
        ("engine = 'grammar'\nrules = ['S -> C']", "parts.a.rules", "text in quotes"),
        ("engine = 'markov'\ntext = 'C D'\norder = 1" + "0" * 400, "parts.a.order", "digits"),
        ("engine = 'markov'\nmodel = \"a\\u0000b\"", "parts.a.model", "cannot be read"),
        ("engine = 'grammar'\nstart = 'S'\nrules = 'S -> ('", "parts.a.rules", ""),
        ("engine = 'grammar'\nstart = 'S'\nrules = 'S -> wobble S'", "parts.a.rules", "'wobble'"),
    ],
)
def test_what_is_wrong_with_an_engine(text: str, place: str, words: str) -> None:
    caught = mistake(f"[parts.a]\n{text}\n")
    assert caught.place.startswith(place)
    assert words in caught.problem


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("", "o", "either midi = 'PORT' or osc"),
        ("midi = 'a'\nosc = 'b:1'", "o", "either"),
        ("osc = 'localhost'", "o.osc", "HOST:PORT"),
        ("osc = 'localhost:0'", "o.osc", "HOST:PORT"),
        ("osc = 'a:1'\ntiming = 'late'", "o.timing", "'live', 'bundle', 'stamp'"),
        ("osc = 'a:1'\nprefix = 'x'", "o.prefix", "'/componium'"),
        ("osc = 'a:1'\npreset = 'dirt'", "o.preset", "'superdirt'"),
        ("osc = 'a:1'\nahead_ms = -1", "o.ahead_ms", "from 0"),
        ("osc = 'a:1'\nclock = true", "o.clock", "nothing has this name"),
        ("midi = 'a'\nrate = 'fast'", "o.rate", "'din'"),
        ("midi = 'a'\nclock = 1", "o.clock", "true or false"),
        ("midi = 'a'\noffset_ms = 9999", "o.offset_ms", "from -1000 to 1000"),
        ("midi = 'a'\ntimng = 1", "o.timng", "nothing has this name"),
    ],
)
def test_what_is_wrong_in_an_output(text: str, place: str, words: str) -> None:
    caught = mistake(f"[parts.a]\n{PART}\n[outputs.o]\n{text}\n")
    assert caught.place == f"outputs.{place}"
    assert words in caught.problem


def test_names_and_numbers_of_parts_and_outputs_are_limited() -> None:
    assert mistake("").place == "parts"
    assert "letters, digits" in mistake(f'[parts."a/b"]\n{PART}').problem
    assert "at most 256" in mistake("".join(f"[parts.p{n}]\n{PART}" for n in range(257))).problem
    outputs = "".join(f"[outputs.o{n}]\nosc = 'a:{n + 1}'\n" for n in range(65))
    assert "at most 64" in mistake(f"[parts.a]\n{PART}{outputs}").problem


def test_mistakes_of_toml_tell_line_and_column() -> None:
    caught = mistake("title = 'x'\ntempo = = 3\n")
    assert (caught.line, caught.column) == (2, 9)
    assert mistake("tempo = 90\ntempo = 91").line == 2
    assert "there already" in mistake("tempo = 90\ntempo = 91").problem
    assert "[parts.a] is there already" in mistake("[parts.a]\n[parts.a]").problem
    assert 'in "quotes"' in mistake("engine = grammar").problem
    assert "too many digits" in mistake("seed = " + "9" * 5000).problem
    deep = "a = " + "[" * 100_000
    assert isinstance(mistake(deep), Mistake)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(Mistake, match=r"large\.toml: larger than"):
        load_scene(path)
    path.write_bytes(b"title = '\xff'")
    with pytest.raises(Mistake, match="cannot be read"):
        load_scene(path)
    path.write_text("tempo = 1\n")
    with pytest.raises(Mistake, match=r"large\.toml: tempo, line 1: expected a number"):
        load_scene(path)
    with pytest.raises(Mistake, match="no such file"):
        find_scene(str(tmp_path / "none.toml"))
    with pytest.raises(Mistake, match=r"did you mean the file .*large\.toml"):
        find_scene(str(tmp_path / "large"))
    with pytest.raises(Mistake, match="a folder; name a scene in it"):
        find_scene(str(tmp_path))
    with pytest.raises(Mistake, match="no file"):
        find_scene("/dev/null")
    with pytest.raises(Mistake, match="cannot be read"):
        find_scene("x" * 300)
    path.write_bytes(b"\xef\xbb\xbf" + f"[parts.a]\n{PART}".replace("\n", "\r\n").encode())
    assert load_scene(path).parts, "as Windows' own editor saves it"
    path.write_bytes(b"title = 'x'\n\nkey = '\xe9'")
    with pytest.raises(Mistake, match="not UTF-8 text, from line 3 on"):
        load_scene(path)
    path.write_text("tempo = 1\n")
    with pytest.raises(Mistake, match="no scene is called"):
        find_scene("nonesuch")
    assert find_scene(str(path)) == path


def test_feel_of_the_scene_is_every_part_s_own_unless_it_has_one() -> None:
    text = f"swing = 0.6\n[parts.a]\n{PART}\n[parts.b]\nswing = 0.7\n{PART}"
    assert [part.swing for part in parse_scene(text).parts] == [0.6, 0.7]


def test_a_part_of_drums_plays_on_channel_10() -> None:
    drums = '[parts.d]\nengine = "grammar"\nstart = "S"\nrules = "S -> Kick S | Snare S"\n'
    assert parse_scene(drums).parts[0].channel == 10
    assert parse_scene(drums + "channel = 3").parts[0].channel == 3


def parts_on(channels: list[int | None], drums: bool = False) -> list[int]:
    """The channels of parts that have these written, a part of drums behind them if wished."""
    lines = ["" if channel is None else f"channel = {channel}\n" for channel in channels]
    text = "".join(f"[parts.p{number}]\n{PART}\n{line}" for number, line in enumerate(lines))
    if drums:
        text += '[parts.d]\nengine = "grammar"\nrules = "S -> Kick S"\n'
    return [part.channel for part in parse_scene(text).parts]


def test_parts_without_a_channel_get_the_next_free_one_in_the_order_of_the_file() -> None:
    assert parts_on([None]) == [1]
    assert parts_on([2, None, None, 1, None], drums=True) == [2, 3, 4, 1, 5, 10]
    assert parts_on([None] * 10)[8:] == [9, 11], "not the drums'"
    assert parts_on([None] * 18)[13:] == [15, 16, 16, 15, 14], "shared from the end"


def test_a_scene_is_as_long_as_it_says() -> None:
    assert parse_scene(SMALLEST).bars == 32
    assert parse_scene(f"bars = 96\n{SMALLEST}").bars == 96


LIVE_RULES = "S -> (arousal) C | (1 - arousal) D | (in_verse + section_left) E"


def test_live_values_that_are_always_there_need_no_table() -> None:
    assert parse_scene(f'[parts.a]\nengine = "grammar"\nrules = "{LIVE_RULES}"\n').parts


@pytest.mark.parametrize(
    ("engine", "place", "words"),
    [
        (
            'engine = "grammar"\nrules = """\nS -> (arousl) C | (1 - arousl) D\n"""',
            "parts.a.rules, line 6, column 7",
            "nothing sets 'arousl'; did you mean 'arousal'",
        ),
        (
            'engine = "grammar"\nrules = """\nS -> (dangr) C | (x) D\n"""',
            "parts.a.rules, line 6, column 7",
            "did you mean 'danger'",
        ),
        (
            'engine = "lsystem"\naxiom = "A(1)"\nrules = "A(x) : x > y -> A(x)"\n'
            'reading = { A = "C" }',
            "parts.a.rules, line 6, column 21",
            "nothing sets 'y'; there are arousal, bar, beat, danger",
        ),
        (
            'engine = "lsystem"\naxiom = "A(barr)"\nrules = "A(x) -> A(x)"\nreading = { A = "C" }',
            "parts.a.axiom, line 5, column 12",
            "nothing sets 'barr'; did you mean 'bar'",
        ),
    ],
)
def test_a_live_value_that_nothing_sets_is_a_mistake(engine: str, place: str, words: str) -> None:
    found = mistake(f"[controls]\ndanger = 0\n[parts.a]\n{engine}\n")
    assert str(found).startswith(place), found
    assert words in found.problem


def test_routing() -> None:
    scene = parse_scene(f"[parts.a]\n{PART}\n{OUTPUT}[outputs.game]\nosc = '127.0.0.1:9000'\n")
    assert routed(scene) == scene
    none = routed(scene, midi="none")
    assert set(none.outputs) == {"game"}
    assert none.parts[0].outputs == ("game",)
    other = routed(scene, midi="Digitone", osc=("10.0.0.2:7000",))
    assert {spec.target for spec in other.outputs.values()} == {
        "Digitone",
        "127.0.0.1:9000",
        "10.0.0.2:7000",
    }
    assert set(other.parts[0].outputs) == set(other.outputs)
    bare = parse_scene(f"[parts.a]\n{PART}")
    assert [spec.target for spec in routed(bare).outputs.values()] == ["virtual"]
    with pytest.raises(Mistake, match="HOST:PORT"):
        routed(scene, osc=("here",))


def test_every_shipped_scene_is_right() -> None:
    for path in shipped_scenes().values():
        load_scene(path)


# Whatever is written, the answer is a scene or a Mistake ---------------------------------

KEYS = [
    "engine", "start", "rules", "axiom", "depth", "order", "text", "reading", "grid", "octave",
    "range", "nearest", "fit", "voices", "gate", "velocity", "accents", "swing", "groove",
    "humanize", "channel", "program", "bank", "output", "sound", "level", "density", "mute",
    "enters", "chord", "title", "tempo", "meter", "key", "seed", "phrase", "controls", "parts",
    "outputs", "midi", "osc", "timing", "ahead_ms", "prefix", "preset", "why", "rate", "clock",
    "offset_ms", "sensing", "a", "unit", "amount", "shifts", "value", "args",
]  # fmt: skip
WORDS = ["grammar", "lsystem", "markov", "S -> C S", "A -> AB", "A", "S", "C D E", "1/8",
         "4/4", "C major",
         "chords", "virtual", "127.0.0.1:9", "swing8 60", "bundle", "C4:1/4"]  # fmt: skip


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {toml(each)}' for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        escaped = (c if c.isalnum() or c in " ->:/." else f"\\U{ord(c):08x}" for c in value)
        return '"' + "".join(escaped) + '"'
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


leaves = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(0, 130),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(WORDS),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=10,
)
tables = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)


def play_two_bars(text: str) -> None:
    """Whatever is no mistake is planned, performed and sent without a failure."""
    piece = parse_scene(text)
    bars = float(piece.meters.beat_of_bar(3))
    stage = Stage(piece, horizon=round(bars * 60e9 / piece.tempo))
    stage.player.play()
    stage.player.stop()
    troubles = [entry.text for entry in stage.entries if isinstance(entry, Troubled)]
    assert not [text for text in troubles if "left out" in text or "cannot" in text]


@settings(max_examples=80, deadline=None)
@given(tables, tables, tables, st.sampled_from(["grammar", "lsystem", "markov"]))
def test_any_values_give_a_scene_or_a_mistake(
    top: dict[str, Any], part: dict[str, Any], output: dict[str, Any], engine: str
) -> None:
    right = {
        "grammar": {"start": "S", "rules": "S -> C S"},
        "lsystem": {"axiom": "A", "rules": "A -> AB"},
        "markov": {"text": "C D E C D F"},
    }[engine]
    whole = {
        **top,
        "parts": {"a": {"engine": engine, **right, **part}},
        "outputs": {"o": {"midi": "virtual", **output}},
    }
    text = "\n".join(f"{key} = {toml(value)}" for key, value in whole.items())
    with contextlib.suppress(Mistake):
        play_two_bars(text)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(MORE) - 1), st.characters(exclude_categories=["Cs"]))
def test_any_slip_of_a_finger_gives_a_scene_or_a_mistake(at: int, char: str) -> None:
    with contextlib.suppress(Mistake):
        play_two_bars(MORE[:at] + char + MORE[at + 1 :])


# All that is wrong, each where it stands ---------------------------------------------------

MANY = """
tempo = 5
swing = 0.9
temop = 3

[parts.x]
engine = "grammar"
rules = '''
S -> A
A -> (0.5 B
'''
gate = 7
grdi = "1/8"

[parts.y]
engine = "gramar"
wobble = 3
octave = 99
output = "nowhere"
groove = { shifts = 1 }

[parts.z]
engine = "grammar"
rules = "S -> A B wobble"
reading = { A = "Q", Z = "1", B = "R" }
swing = 0.1

[outputs.o]
timing = "late"
osc = "nowhere"

[outputs.p]
midi = 3
clock = 1

[outputs.q]
"""


def mistakes(text: str) -> list[tuple[str, int]]:
    with pytest.raises(Mistakes) as caught:
        parse_scene(text)
    return [(each.place, each.line) for each in caught.value.each]


def test_every_mistake_is_told_once_in_the_order_of_the_file() -> None:
    assert mistakes(MANY) == [
        ("tempo", 2),
        ("swing", 3),
        ("temop", 4),
        ("parts.x.rules", 10),
        ("parts.x.gate", 12),
        ("parts.x.grdi", 13),
        ("parts.y.engine", 16),
        ("parts.y.octave", 18),
        ("parts.y.output", 19),
        ("parts.y.groove", 20),
        ("parts.z.rules", 24),
        ("parts.z.reading.A", 25),
        ("parts.z.reading.Z", 25),
        ("parts.z.swing", 26),
        ("outputs.o.timing", 29),
        ("outputs.o.osc", 30),
        ("outputs.p.midi", 33),
        ("outputs.p.clock", 34),
        ("outputs.q", 36),
    ]


def test_many_mistakes_can_be_taken_as_the_first_of_them() -> None:
    caught = mistake(f"phrase = 0\nkey = 'H'\nseed = -1\n[parts.a]\n{PART}")
    assert (caught.place, caught.line) == ("phrase", 1)
    assert str(caught) == (
        "phrase, line 1: expected a whole number from 1 to 64, got 0 (and 2 more mistakes)"
    )
    assert str(mistake(f"phrase = 0\n[parts.a]\n{PART}")).endswith("got 0")


def test_what_is_wrong_with_every_part_is_looked_for_only_so_often() -> None:
    parts = "".join(f"[parts.p{n}]\nengine = 'none'\n" for n in range(200))
    assert len(mistakes(parts)) == MOST_MISTAKES


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\n[parts.a]\nengine = 'grammar'\nrules = ", "\ngate = 1\n"),
        ("parts.'a'.engine = 'grammar'\nparts . a.\"rules\"= ", "\n"),
        ("title = 'x'\nparts = { a = { rules = ", ", engine = 'grammar' } }"),
    ],
)
@pytest.mark.parametrize(
    ("written", "line", "column"),
    [
        ('"""\nS -> C\nA -> (0.5 B\n"""', 3, 12),
        ('"""S -> C\nA -> (0.5 B\n"""', 2, 12),
        ("'''\nS -> C\n\tA -> (0.5 B\n'''", 3, 13),
        ("'''S -> C | A\n\n# \n  A -> (0.5 B'''", 4, 14),
        ('"S -> C\\nA -> (0.5 B"', 1, 21),
        ("'S -> (0.5 B'", 1, 13),
        ('"S -> \\u0043\\nA -> (0.5 B\\n"', 1, 26),
        ('"""\\\n   S -> \\\n\n   C\nA -> (0.5 B"""', 5, 12),
        ('"""\r\nS -> C\r\nA -> (0.5 B\r\n"""', 3, 12),
    ],
)
def test_a_mistake_in_a_text_is_told_where_it_stands_in_the_file(
    written: str, line: int, column: int, before: str, after: str
) -> None:
    """line, column: as counted from the opening quotes, which are 1 and 1."""
    caught = mistake(before + written + after)
    assert caught.place == "parts.a.rules"
    assert caught.line == before.count("\n") + line
    assert caught.column == column + (len(before.rpartition("\n")[2]) if line == 1 else 0)


def test_a_problem_that_speaks_of_another_line_means_the_file_s() -> None:
    text = (
        "\n[parts.w]\nengine = 'lsystem'\naxiom = 'A'\nrules = '''\nA -> AB\nB -> C\nB -> D\n'''\n"
    )
    caught = mistake(text)
    assert caught.line == 8
    assert caught.problem.startswith("line 7 rewrites B already")


strings = st.text(st.sampled_from("ab \n\t\"'\\#[]{}=,é𝄞"), max_size=30)


@given(strings, strings, st.sampled_from(["basic", "long", "literal", "longliteral"]), st.data())
def test_every_character_of_a_text_is_found_where_it_stands(
    value: str, other: str, style: str, data: st.DataObject
) -> None:
    def basic(text: str, long: bool) -> str:
        signs = {"\\": "\\\\", '"': '\\"', "\n": "\n" if long else "\\n"}
        return "".join(signs.get(sign, sign) for sign in text)

    if style == "basic":
        written = f'"{basic(value, False)}"'
    elif style == "long":
        start = data.draw(st.sampled_from(["\n", "\\\n \n"])) if value[:1] not in "\n\t " else "\n"
        written = f'"""{start}{basic(value, True)}"""'
    else:
        value = value.replace("'", "").replace("\n", "" if style == "literal" else "\n")
        written = f"'{value}'" if style == "literal" else f"'''\n{value}'''"
    noise = f'"{basic(other, False)}"'
    text = (
        f"# '\n{noise} = [{noise}, {{ x = [{noise}] }}, 1.5] # \"\nday = 1979-05-27 07:32:00\n"
        f"[a . b]\nc = {{ d.'e' = {written}, f = {noise} }}\n"
    )
    layout = Layout(text)
    rows = text.split("\n")
    for number, line in enumerate(value.split("\n"), 1):
        for column, sign in enumerate(line, 1):
            _, found = layout.found(Mistake("a.b.c.d.e", "", number, column))
            there = rows[found.line - 1][found.column - 1 :]
            assert there.startswith((sign, "\\" + sign))


LISTENER = "[parts.{0}]\nengine = 'markov'\ntext = '{1}'\nlistens = {2}\n"


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([("a", "C D", "'b'")], "no part or input is called .b.; there are a"),
        ([("a", "C D", "'a'")], "hear itself"),
        ([("a", "C D", "'b'"), ("b", "C D", "['c']"), ("c", "C", "['a', 'b']")], "ring"),
        ([("a", "I V I", "'b'"), ("b", "C D", "[]")], "leads the harmony"),
        ([("a", "C D", "7")], "a part's name or several"),
    ],
)
def test_who_listens_to_whom_is_checked(parts: list[tuple[str, str, str]], problem: str) -> None:
    with pytest.raises(Mistake, match=problem) as caught:
        parse_scene("\n".join(LISTENER.format(*each) for each in parts))
    assert caught.value.place.endswith(".listens")
    fine = [("a", "I V I", "[]"), ("b", "C D", "['a']"), ("c", "C D", "['a', 'b']")]
    assert parse_scene("\n".join(LISTENER.format(*each) for each in fine)).parts[2].listens == (
        "a",
        "b",
    )


@pytest.mark.parametrize(
    "target",
    ["a..b:9000", "x" * 64 + ":9000", "[]:9000", ":9000", "a:" + "1" * 5000, "a\0b:9", "a:65536"],
)
def test_hosts_that_nobody_could_look_up_are_mistakes(target: str) -> None:
    scene = parse_scene(SMALLEST)
    with pytest.raises(Mistake, match="expected HOST:PORT"):
        routed(scene, osc=(target,))
    assert len(routed(scene, "none", ("[::1]:9000", "localhost:9000")).outputs) == 2


def test_targets_are_told_why_where_it_is_asked_for() -> None:
    text = (
        f"[parts.a]\n{PART}\n{OUTPUT}[outputs.game]\nosc = '127.0.0.1:9000'\n"
        "[outputs.dirt]\nosc = '127.0.0.1:57120'\npreset = 'superdirt'\n"
    )
    scene = parse_scene(text)
    asked = routed(scene, osc=("10.0.0.2:7000",), why=True).outputs
    assert {spec.target for spec in asked.values() if spec.why} == {
        "127.0.0.1:9000",
        "10.0.0.2:7000",
    }
    assert not any(spec.why for spec in routed(scene, osc=("10.0.0.2:7000",)).outputs.values())


def test_too_many_targets_are_a_mistake() -> None:
    with pytest.raises(Mistake, match="at most 64 outputs, got 65"):
        routed(parse_scene(SMALLEST), "none", tuple(f"127.0.0.1:{n}" for n in range(1, 66)))


@pytest.mark.parametrize(
    "groove",
    [
        "{ shifts = [0, 0.1], accents = [inf, 1] }",
        "{ shifts = [0, 0.1], accents = [nan, 1] }",
        "{ shifts = [0, 0.1], accents = [5, 1] }",
        "{ shifts = ['1/0'] }",
        "{ shifts = '01' }",
        "{ shifts = [0, 0], accents = '11' }",
        "{ shifts = [-1000000000] }",
    ],
)
def test_grooves_that_cannot_be_played_are_mistakes(groove: str) -> None:
    with pytest.raises(Mistake, match="groove"):
        parse_scene(SMALLEST + f"groove = {groove}\n")
    parse_scene(SMALLEST + "groove = { shifts = ['1/10', 0.1], accents = [1, 0] }\n")


def test_a_meaning_that_no_symbol_has_is_a_slip() -> None:
    text = """
[parts.kit]
engine = "grammar"
rules = "S -> Boom Tick"
reading = { Boom = "Kick", Tick = "Hat", Tik = "Snare" }
"""
    with pytest.raises(Mistake, match=r"parts\.kit\.reading\.Tik, line 5: .* did you mean 'Tick'"):
        parse_scene(text)
    lsystem = """
[parts.leaf]
engine = "lsystem"
axiom = "AB"
depth = 0
rules = "B -> AC"
reading = { A = "1", C = "5" }
"""
    parse_scene(lsystem)
    with pytest.raises(Mistake, match="has no symbol 'D'"):
        parse_scene(lsystem.replace("C =", "D ="))


def test_a_symbol_without_meaning_is_told_what_it_may_have_meant() -> None:
    with pytest.raises(Mistake, match="did you mean 'Quarter'"):
        parse_scene('[parts.a]\nengine = "grammar"\nrules = "S -> C Quater"')
