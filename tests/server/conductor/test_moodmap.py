"""The laws of maps, the map that is ours, and the published ones as they were published."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from itertools import pairwise
from math import floor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.conductor.mood import NEUTRAL, WORDS, Mood, parse_field, parse_words
from server.conductor.moodmap import (
    CUES,
    LADDER,
    PLAIN,
    ROLES,
    Cues,
    MoodMap,
    find_map,
    load_map,
    parse_map,
    plain_map,
    shipped_maps,
)
from server.music.scale import MODES

DOCS = Path(__file__).resolve().parents[3] / "docs" / "moods.md"
MAPS = {name: load_map(path) for name, path in shipped_maps().items()}
OURS = MAPS["default"]
HOMES = ("major", "minor", "dorian", "mixolydian", "phrygian", "lydian", "locrian")

axis = st.floats(-1, 1)
moods = st.builds(Mood, axis, axis, st.one_of(st.none(), st.floats(0, 1)))


# All maps ------------------------------------------------------------------------------------


def test_the_names_of_cues_are_those_of_the_table() -> None:
    assert Cues._fields == tuple(cue.name for cue in CUES)
    assert {cue.when for cue in CUES} == {"beat", "bar", "phrase"}


@pytest.mark.parametrize("name", MAPS)
def test_every_shipped_map_says_where_it_comes_from(name: str) -> None:
    chart = MAPS[name]
    assert chart.name == name
    assert chart.title != name
    assert len(chart.source) > 20
    assert set(MAPS) == {"default", "ehrlich", "wallis", "barely", "livingstone", "kth", "eerola"}


@given(moods, st.sampled_from(sorted(MAPS)), st.sampled_from(sorted(MODES)))
def test_cues_stay_within_their_limits(mood: Mood, name: str, home: str) -> None:
    chart = MAPS[name]
    cues = chart.cues(mood, home)
    assert cues == chart.cues(mood, home)
    for cue, value in zip(CUES, cues, strict=True):
        assert cue.low <= value <= cue.high
        if cue.name != "mode":
            for role in ROLES:
                assert cue.low <= chart.for_role(cue.name, role, mood) <= cue.high
    assert chart.mode(mood, None, home) in MODES


@given(moods, st.sampled_from(sorted(MODES)))
def test_the_plain_map_leaves_everything(mood: Mood, home: str) -> None:
    assert plain_map().cues(mood) == PLAIN
    assert plain_map().mode(mood, "locrian", home) == home
    assert plain_map().for_role("register", "bass", mood) == 0


def rising(values: list[float]) -> bool:
    return all(b >= a - 1e-12 for a, b in pairwise(values))


@given(moods, st.sampled_from(sorted({*MAPS} - {"barely"})), st.sampled_from(HOMES))
def test_modes_do_not_flicker(mood: Mood, name: str, home: str) -> None:
    """A mood that trembles changes the mode once at most; barely's is made of jumps."""
    heard: list[str] = []
    for n in range(40):
        trembling = Mood(mood.valence + 0.012 * (-1) ** n)
        heard.append(MAPS[name].mode(trembling, heard[-1] if heard else None, home))
    assert sum(a != b for a, b in pairwise(heard)) <= 1


# Ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", MODES)
def test_a_neutral_mood_changes_nothing(home: str) -> None:
    cues = OURS.cues(NEUTRAL, home)
    for cue, value in zip(CUES, cues, strict=True):
        if cue.name not in ("mode", "dissonance", "extension"):
            assert value == cue.plain, cue.name
            for role in ROLES:
                assert OURS.for_role(cue.name, role, NEUTRAL) == cue.plain
    for current in (None, home):
        assert OURS.mode(NEUTRAL, current, home) == home


@given(axis, axis, axis, st.floats(0, 1), st.sampled_from(HOMES))
def test_arousal_leaks_into_no_note(
    valence: float, arousal: float, other: float, tension: float, home: str
) -> None:
    for here, there in (
        (Mood(valence, arousal), Mood(valence, other)),
        (Mood(valence, arousal, tension), Mood(valence, other, tension)),
    ):
        a, b = OURS.cues(here, home), OURS.cues(there, home)
        for cue in ("mode", "dissonance", "extension", "register"):
            assert getattr(a, cue) == getattr(b, cue)
        assert OURS.mode(here, None, home) == OURS.mode(there, None, home)


@given(axis, axis, st.floats(0, 1))
def test_valence_leaks_into_no_performance(valence: float, other: float, tension: float) -> None:
    a, b = OURS.cues(Mood(valence, 0.4, tension)), OURS.cues(Mood(other, 0.4, tension))
    for cue in ("tempo", "loudness", "articulation", "density", "accent", "looseness"):
        assert getattr(a, cue) == getattr(b, cue)


STEPS = [n / 20 for n in range(-20, 21)]


@pytest.mark.parametrize("home", HOMES)
def test_each_cue_goes_one_way_along_its_axis(home: str) -> None:
    by_valence = [OURS.cues(Mood(value), home) for value in STEPS]
    by_arousal = [OURS.cues(Mood(0, value), home) for value in STEPS]
    by_tension = [OURS.cues(Mood(-0.2, 0, value), home) for value in STEPS if value >= 0]
    for cue in ("register", "brightness", "timbre"):
        assert rising([getattr(cues, cue) for cues in by_valence])
    for cue in ("mode", "dissonance", "extension"):
        assert rising([-getattr(cues, cue) for cues in by_valence])
        assert rising([getattr(cues, cue) for cues in by_tension])
    for cue in ("tempo", "loudness", "density", "accent", "harmonic_rhythm", "ensemble"):
        assert rising([getattr(cues, cue) for cues in by_arousal])
    assert rising([-cues.articulation for cues in by_arousal])
    assert rising([-cues.looseness for cues in by_arousal])


def ranks(values: list[float]) -> list[float]:
    order = sorted(values)
    return [order.index(each) + (order.count(each) - 1) / 2 for each in values]


def correlation(first: list[float], second: list[float]) -> float:
    a, b = sum(first) / len(first), sum(second) / len(second)
    both = sum((x - a) * (y - b) for x, y in zip(first, second, strict=True))
    return float(
        both / (sum((x - a) ** 2 for x in first) * sum((y - b) ** 2 for y in second)) ** 0.5
    )


@pytest.mark.parametrize("home", ["dorian", "mixolydian"])  # as styles have: room on both sides
def test_the_nine_words_are_told_apart(home: str) -> None:
    """Spearman's rank correlation over the words, modes as the whole rungs that are heard."""
    table = [(mood, OURS.cues(mood, home)) for mood in WORDS.values()]
    valence = ranks([mood.valence for mood, _ in table])
    arousal = ranks([mood.arousal for mood, _ in table])
    bright = [-float(LADDER.index(OURS.mode(mood, None, home))) for mood, _ in table]
    assert correlation(valence, ranks(bright)) >= 0.95
    assert correlation(valence, ranks([-cues.dissonance for _, cues in table])) >= 0.95
    assert correlation(valence, ranks([cues.register for _, cues in table])) >= 0.95
    for cue in ("tempo", "loudness", "density"):
        assert correlation(arousal, ranks([getattr(cues, cue) for _, cues in table])) >= 0.95
    assert correlation(arousal, ranks([-cues.articulation for _, cues in table])) >= 0.95


@pytest.mark.parametrize("home", ["major", "minor", "dorian", "mixolydian"])
def test_glad_is_major_and_sorry_is_minor(home: str) -> None:
    for mood in WORDS.values():
        if mood.valence:
            third = "b3" if mood.valence < 0 else "3"
            assert third in MODES[OURS.mode(mood, None, home)].split()


@given(axis, st.sampled_from(HOMES))
def test_no_mood_goes_past_home_the_wrong_way(valence: float, home: str) -> None:
    place, own = OURS.cues(Mood(valence), home).mode, LADDER.index(home)
    assert place <= own if valence > 0 else place >= own if valence < 0 else place == own


def test_a_walk_from_dark_to_bright_and_back_takes_each_mode_once() -> None:
    heard: list[str] = []
    for value in [*STEPS, *STEPS[::-1]]:
        mode = OURS.mode(Mood(value), heard[-1] if heard else None, "minor")
        if not heard or mode != heard[-1]:
            heard.append(mode)
    up = ["phrygian", "minor", "dorian", "mixolydian", "major", "lydian"]
    assert heard == [*up, *up[-2::-1]]


def test_a_mode_that_is_on_no_rung_takes_the_place_of_its_like() -> None:
    assert OURS.mode(NEUTRAL, None, "harmonic minor") == "harmonic minor"
    assert OURS.mode(Mood(0.6), None, "harmonic minor") == "major"
    assert OURS.mode(Mood(-0.4), None, "hungarian minor") == "hungarian minor"
    assert OURS.mode(Mood(0.3), None, "major pentatonic") == "major pentatonic"
    assert OURS.mode(Mood(-0.5), None, "major pentatonic") == "minor"
    with pytest.raises(Mistake, match="home: there is no mode 'doric'"):
        OURS.mode(NEUTRAL, None, "doric")


@given(moods)
def test_a_role_takes_its_share(mood: Mood) -> None:
    whole = OURS.for_role("register", "melody", mood)
    assert whole == OURS.for_role("register", "", mood) == OURS.cues(mood).register
    assert OURS.for_role("register", "bass", mood) == pytest.approx(0.3 * whole)
    assert OURS.for_role("register", "drums", mood) == 0
    assert OURS.for_role("density", "pad", mood) == 1


# As published --------------------------------------------------------------------------------


@given(axis, axis)
def test_barely_musician_s_formulas(valence: float, arousal: float) -> None:
    e, s = (arousal + 1) / 2, (1 - valence) / 2
    chart = MAPS["barely"]
    cues = chart.cues(Mood(valence, arousal))
    assert cues.tempo == pytest.approx(0.85 + 0.3 * e)
    assert cues.articulation == pytest.approx(0.25 + 1.75 * (1 - e))
    assert cues.loudness == pytest.approx(0.4 + 0.6 * e)
    height = 3 * (0.25 * e + 0.75 * (1 - s)) - 2
    assert cues.register == pytest.approx(6 * height)
    scale = "major" if valence > 0.5 else "minor" if valence > 0 else "harmonic minor"
    assert chart.mode(Mood(valence, arousal), None, "dorian") == scale
    assert chart.words["depressed"] == Mood(-1, -1)


@given(axis, axis)
def test_ehrlich_s_ladder(valence: float, arousal: float) -> None:
    place = 3 - 3 * valence
    if abs(place % 1 - 0.5) > 1e-9:
        for name in ("ehrlich", "wallis"):
            mode = MAPS[name].mode(Mood(valence, arousal), None, "minor")
            assert mode == LADDER[floor(place + 0.5)]
    if valence > 0:
        assert MAPS["ehrlich"].cues(Mood(valence, arousal)).register == pytest.approx(13 * valence)


def test_the_kth_palettes_are_themselves_on_their_words() -> None:
    chart = MAPS["kth"]
    for name, longer, decibels in (
        *(("fear", 80, -6), ("anger", -15, 8), ("happiness", -20, 3)),
        *(("sadness", 30, -6), ("solemnity", 30, 3), ("tenderness", 30, -6)),
    ):
        cues = chart.cues(chart.words[name])
        assert cues.tempo == pytest.approx(100 / (100 + longer), abs=1e-3)
        assert cues.loudness == pytest.approx(10 ** (decibels / 40), abs=1e-3)
    assert chart.cues(NEUTRAL) == PLAIN
    assert chart.mode(WORDS["sad"], None, "major") == "major"


@pytest.mark.parametrize(
    ("word", "signs"),
    [("happy", "+++-+"), ("angry", "-++--"), ("sad", "---+-"), ("tender", "+--++")],
)
def test_livingstone_s_directions(word: str, signs: str) -> None:
    chart, mood = MAPS["livingstone"], WORDS[word]
    cues, plain = chart.cues(mood), chart.cues(NEUTRAL)
    assert chart.mode(mood) == ("major" if signs[0] == "+" else "minor")
    for sign, cue in zip(signs[1:], ("tempo", "loudness", "articulation", "register"), strict=True):
        change = getattr(cues, cue) - getattr(plain, cue)
        assert change > 0 if sign == "+" else change < 0
    assert (cues.dissonance > plain.dissonance) == (signs[0] == "-")


# Why -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "ask"),
    [
        (
            "90.4 BPM because arousal -0.30 makes it 0.90 of 100 (curve default.tempo)",
            lambda: OURS.explain("tempo", Mood(0, -0.3), 100),
        ),
        (
            "tempo × 0.90 because arousal -0.30 makes it 0.90 (curve default.tempo)",
            lambda: OURS.explain("tempo", Mood(0, -0.3)),
        ),
        (
            "register -1.5 semitones because valence -0.50 gives -5.00, of which this role "
            "takes 0.3: -1.50 (curve default.register.roles.bass)",
            lambda: OURS.explain("register", Mood(-0.5), role="bass"),
        ),
        (
            "dissonance 0.59 because valence 0.00 adds 0.05 and tension 0.77 adds 0.54, together "
            "0.59 (curve default.dissonance)",
            lambda: OURS.explain("dissonance", Mood(0, 0, 0.77)),
        ),
        (
            "minor because valence -0.50 adds 4.00 and tension 0.38 adds 0.00, together 4.00 on "
            "the ladder lydian 0, major 1, mixolydian 2, dorian 3, minor 4, phrygian 5, "
            "locrian 6 (curve default.mode)",
            lambda: OURS.explain("mode", Mood(-0.5)),
        ),
        (
            "82.63 BPM because a mood nearest to sadness makes it 0.83 of 100 (curve kth.tempo)",
            lambda: MAPS["kth"].explain("tempo", Mood(-0.4, -0.3), 100),
        ),
        (
            "accents 0.70 because map kth leaves it alone",
            lambda: MAPS["kth"].explain("accent", NEUTRAL, 0.7),
        ),
        (
            "dorian because map kth leaves the mode alone",
            lambda: MAPS["kth"].explain("mode", NEUTRAL, home="dorian"),
        ),
    ],
)
def test_every_cue_says_why(said: str, ask: Callable[[], str]) -> None:
    assert ask() == said


def test_a_mode_says_when_only_habit_keeps_it() -> None:
    said = OURS.explain("mode", Mood(-0.42), home="major", current="dorian")
    assert said.startswith("dorian because valence -0.42")
    assert "and the mode until now holds so near" in said


@given(moods, st.sampled_from(sorted(MAPS)), st.sampled_from(["", *ROLES]))
def test_explanations_tell_the_value(mood: Mood, name: str, role: str) -> None:
    chart = MAPS[name]
    for cue in CUES:
        said = chart.explain(cue.name, mood, 1.0, role)
        if cue.name == "mode":
            assert said.startswith(chart.mode(mood))
        else:
            [value] = re.findall(r"-?\d[\d.]*", said.split(" because ")[0])
            assert float(value) == pytest.approx(chart.for_role(cue.name, role, mood), abs=0.051)


# Reading -------------------------------------------------------------------------------------


def test_a_jump_belongs_to_what_was_before_it() -> None:
    chart = parse_map("tempo.arousal = [[0, 1], [0, 2], [1, 3]]")
    assert chart.cues(Mood(0, -0.5)).tempo == chart.cues(Mood(0, 0)).tempo == 1
    assert chart.cues(Mood(0, 1e-9)).tempo == pytest.approx(2)
    assert chart.cues(Mood(0, 1)).tempo == 3


def test_curves_are_joined_as_they_ask() -> None:
    text = "tempo = { arousal = [[-1, 0.5], [1, 1.5]], tension = [[0, 2]] }"
    assert parse_map(text).cues(NEUTRAL).tempo == 2
    assert parse_map(text.replace("}", ', join = "sum" }')).cues(NEUTRAL).tempo == 3
    own = parse_map(
        "[register]\nvalence = [[-1, -5], [1, 5]]\n[register.roles.bass]\narousal = [[0, 7]]"
    )
    assert own.for_role("register", "bass", NEUTRAL) == 7
    assert own.for_role("register", "pad", Mood(1)) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tempo = ", r"TOML"),
        ("temp = {}", r"^temp: nothing is called 'temp' here; did you mean 'tempo'\?"),
        ("tempo = 3", r"^tempo: expected a table of curves, got 3"),
        ("tempo = {}", r"^tempo: expected at least one curve"),
        ("tempo.arousel = [[0, 1]]", r"^tempo\.arousel: .* did you mean 'arousal'"),
        ("tempo.arousal = 3", r"^tempo\.arousal: expected 1 to 64 points"),
        ("tempo.arousal = []", r"^tempo\.arousal: expected 1 to 64 points"),
        ("tempo.arousal = [[0, 1, 2]]", r"^tempo\.arousal, point 1: expected a pair"),
        ("tempo.arousal = [[0, 1], [-1, 2]]", r"point 2: expected arousal to rise"),
        ("tempo.arousal = [[0, 1], [0, 2], [0, 3]]", r"point 3: expected at most two points"),
        ("tempo.arousal = [[-2, 1]]", r"point 1: expected a number from -1 to 1, got -2"),
        ("tempo.tension = [[-0.5, 1]]", r"point 1: expected a number from 0 to 1"),
        ('tempo.arousal = [[0, "home"]]', r"point 1: expected a number"),
        ("tempo.arousal = [[0, nan]]", r"point 1: expected a number"),
        ("tempo.arousal = [[0, true]]", r"point 1: expected a number"),
        ("tempo = { arousal = [[0, 1]], join = 'mean' }", r"^tempo\.join: expected 'product'"),
        ("tempo.palette = { glad = 1 }", r"^tempo\.palette\.glad: nothing is called 'glad'"),
        ("tempo.palette = {}", r"^tempo\.palette: expected at least one word"),
        ("tempo = { arousal = [[0, 1]], roles = 3 }", r"^tempo\.roles: expected a table"),
        ("tempo = { arousal = [[0, 1]], roles = { bas = 1 } }", r"^tempo\.roles\.bas: .*'bass'"),
        ("tempo = { arousal = [[0, 1]], roles = { bass = 'x' } }", r"^tempo\.roles\.bass: exp"),
        ("tempo = { arousal = [[0, 1]], roles.bass.arousal = 1 }", r"^tempo\.roles\.bass\.arous"),
        ("mode.ladder = ['major', 'major']", r"^mode\.ladder: expected 1 to 12 different modes"),
        ("mode.ladder = ['majr']", r"^mode\.ladder: there is no mode 'majr'"),
        ("mode = { valence = [[0, 'majr']] }", r"^mode\.valence, point 1: .* did you mean 'major'"),
        ("mode = { arousal = [[0, 'home']] }", r"of valence only"),
        ("mode = { valence = [[0, 1]], width = 2 }", r"^mode\.width: expected a number"),
        ("mode = { valence = [[0, 1]], roles = {} }", r"^mode\.roles: nothing is called"),
        ("mode = { width = 0 }", r"^mode: expected at least one curve"),
        ("words = { sad = [0, 4] }", r"^words\.sad\.arousal: expected a number"),
        ("title = 3", r"^title: expected text"),
    ],
)
def test_what_is_wrong_with_a_map_has_a_place(text: str, problem: str) -> None:
    with pytest.raises(Mistake, match=problem):
        parse_map(text)


def test_files_are_found_by_name_or_path(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("tempo.arousal = [[0, 2]]")
    assert load_map(find_map("own.toml", tmp_path)).cues(NEUTRAL).tempo == 2
    assert find_map("default") == shipped_maps()["default"]
    with pytest.raises(Mistake, match=r"no map is called 'defalt'; did you mean 'default'\?"):
        find_map("defalt")
    own.write_text("tempo.arousal = 2")
    with pytest.raises(Mistake, match=r"^own\.toml: tempo\.arousal: expected"):
        load_map(own)
    own.write_bytes(b"\xff\xfe")
    with pytest.raises(Mistake, match=r"^own\.toml: cannot be read: not UTF-8"):
        load_map(own)
    own.write_text("#" * (1 << 19))
    with pytest.raises(Mistake, match=r"^own\.toml: larger than"):
        load_map(own)
    with pytest.raises(Mistake, match=r"^none\.toml: cannot be read"):
        load_map(tmp_path / "none.toml")


# The page ------------------------------------------------------------------------------------


def on_the_page(mark: str) -> list[str]:
    found = re.findall(rf"<!-- {mark} -->\n```toml\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    assert found
    return found


def test_the_maps_in_the_documents_are_maps() -> None:
    for text in on_the_page("map"):
        chart = parse_map(text)
        assert isinstance(chart, MoodMap)
        assert chart.cues(WORDS["sad"]) != chart.cues(WORDS["happy"])


def test_the_moods_in_the_documents_are_moods() -> None:
    for text in on_the_page("moods"):
        values = tomllib.loads(text)
        words = parse_words(values["words"])
        assert len(words) > len(WORDS)
        assert parse_field(values["points"], words).points


def test_the_page_names_every_cue_and_map() -> None:
    page = DOCS.read_text("utf-8")
    for name in (*Cues._fields, *MAPS, *WORDS, *ROLES):
        assert f"`{name}`" in page, name


def test_the_page_s_table_is_our_map() -> None:
    rows = re.findall(r"^\|(\w+)\|([-−+\d.|]+)\|(\w+)\|$", DOCS.read_text("utf-8"), re.M)
    assert [name for name, _, _ in rows] == list(WORDS)
    for name, numbers, mode in rows:
        cues = OURS.cues(WORDS[name])
        told = [float(each.replace("−", "-")) for each in numbers.split("|")]
        tempo, loudness, length, density, register, dissonance = told
        assert (tempo, loudness) == pytest.approx((cues.tempo, cues.loudness), abs=0.0051)
        assert (length, density) == pytest.approx((cues.articulation, cues.density), abs=0.0051)
        assert (register, dissonance) == pytest.approx((cues.register, cues.dissonance), abs=0.051)
        assert mode == OURS.mode(WORDS[name])
    more = re.findall(r"^\|(\w+)((?:\|\d\.\d\d){4})\|$", DOCS.read_text("utf-8"), re.M)
    assert [name for name, _ in more] == list(WORDS)
    for name, numbers in more:
        cues = OURS.cues(WORDS[name])
        wanted = cues.brightness, cues.harmonic_rhythm, cues.ensemble, cues.timbre
        assert [float(each) for each in numbers[1:].split("|")] == pytest.approx(wanted, abs=0.0051)
