"""A scene's themes: quoted by its parts, kept in files, shared, and made anew by another seed."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import pytest

from engines.base import Mistake
from engines.markov import Markov
from engines.motif import Motif, harmonise, in_meter, likeness, parse
from engines.theme import ThemeEngine
from server.concert.journal import Entry, Harmonised, Played
from server.errands import hear, render, sung
from server.score.scene import Scene, load_scene, parse_scene
from server.score.table import Mistakes
from server.score.themes import TOO_LIKE, _motifs, keep, songbook

WINDOW = "1:1/4 2:1/8 3:1/8 5:1/2 | 4:1/4 3:1/4 2:1/2 | 1:1/4 2:1/8 3:1/8 6:1/2 | 5:1/2 1:1/2"
SCENE = f"""
key = "C major"
[themes.window]
notes = "{WINDOW}"
[themes.free]
bars = 4
[form]
plan = "one two"
[form.sections.one]
bars = 4
[form.sections.two]
bars = 4
theme = "free"
"""
CELLS = """
[parts.cells]
engine = "lsystem"
axiom = "A"
rules = '''
A -> AB
B -> A
'''
reading = { A = "theme:window/1", B = "theme:window/2 up 1 inverted" }
"""
RULES = """
[parts.rules]
engine = "grammar"
rules = "S -> theme:free/1 'theme:now/2 up 1'"
"""
PLAIN = "[parts.a]\nengine = 'grammar'\nrules = 'S -> C'\n"
CHAIN = """
[parts.chain]
engine = "markov"
themes = ["free"]
"""


def played(scene: Scene, bars: int) -> list[tuple[Fraction, int, str]]:
    """Onset, pitch, and why."""
    found: list[tuple[Fraction, int, str]] = []

    def listen(entry: Entry) -> None:
        if isinstance(entry, Played):
            note = entry.note
            found.append((note.start, note.pitch, str(note.symbol.origin)))

    hear(scene, bars, listen)
    return found


def wrong(text: str) -> str:
    with pytest.raises(Mistakes) as caught:
        parse_scene(text)
    return "; ".join(map(str, caught.value.each))


def test_a_theme_that_was_played_stays_unless_the_text_has_another_one_since() -> None:
    text = '[themes.home]\nnotes = "1:1/1"\n[themes.away]\n'
    tune = '[parts.tune]\nengine = "theme"\n'
    scene = parse_scene(text + tune)
    played = [parse("3:1/1", name) for name in ("home", "away", "fresh")]
    before = scene
    for theme in played:
        before = before.with_theme(theme)
    assert [each.name for each in before.taught] == ["home", "away", "fresh"]
    again = parse_scene("tempo = 90\n" + text + tune).taught_by(before)
    assert again.tempo == 90 and again.themes(1) == before.themes(1)
    other = parse_scene(text.replace("1:1/1", "5:1/1") + tune).taught_by(before)
    assert [each.name for each in other.taught] == ["away", "fresh"]
    assert other.themes(1)[0] == parse("5:1/1", "home")
    assert before.with_seed(5).taught == before.taught


def test_an_lsystem_rewrites_the_cells_of_a_theme() -> None:
    notes = played(parse_scene(SCENE + CELLS), 2)
    assert [pitch for _, pitch, _ in notes] == [60, 62, 64, 67, 67, 69, 71]
    assert notes[0][2].endswith("axiom; theme window, bar 1")
    assert notes[-1][2].endswith("; theme window, bar 2: up 1, inverted")


def test_rules_quote_the_theme_that_the_section_states() -> None:
    scene = parse_scene(SCENE + RULES)
    window, free = scene.themes(scene.seed)
    notes = played(scene, 8)

    def bar(number: int) -> str:
        [said] = {why.rpartition("; ")[2] for at, _, why in notes if at // 4 == number - 1}
        return said

    assert window.bars == free.bars == 4
    assert bar(1) == bar(5) == "theme free, bar 1"
    assert bar(2) == "theme window, bar 2: up 1", "the first where none is of the moment"
    assert bar(6) == "theme free, bar 2: up 1"


@pytest.mark.parametrize("part", [CELLS, RULES, CHAIN])
def test_another_seed_makes_what_is_invented_anew_and_nothing_else(part: str) -> None:
    scene = parse_scene(SCENE + part)
    other = scene.with_seed(7)
    assert other.themes(7)[0] == scene.themes(scene.seed)[0], "what is written stays"
    assert other.themes(7)[1] != scene.themes(scene.seed)[1]
    fresh = parse_scene("seed = 7\n" + SCENE + part)
    assert played(other, 8) == played(fresh, 8)
    assert played(other.with_seed(scene.seed), 8) == played(scene, 8)


def test_parts_may_name_the_themes_that_they_play() -> None:
    part = "[parts.tune]\nengine = 'theme'\nthemes = ['free']\n"
    scene = parse_scene(SCENE + part + CHAIN)
    tune, chain = (each.engine for each in scene.parts)
    assert isinstance(tune, ThemeEngine) and isinstance(chain, Markov)
    assert tune.themes == chain.themes == scene.themes(scene.seed)[1:]
    assert "no theme is called 'fre'; did you mean 'free'? There are window, free" in wrong(
        SCENE + part.replace("free", "fre")
    )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("window/2", "window/5", "parts.cells.reading.B, line 20, column"),
        ("window/2", "window/5", "the theme has bars 1 to 4"),
        ("window/2", "windw/2", "did you mean 'window'?"),
        ("up 1", "up", "expected steps of the scale"),
        ("up 1 inverted", "on Kuck", "'Kuck:1/4', of 'theme:window/2 on Kuck', is nothing"),
    ],
)
def test_a_quotation_of_what_is_not_there_is_a_mistake(old: str, new: str, problem: str) -> None:
    assert problem.partition(", line")[0] in wrong(SCENE + CELLS.replace(old, new))


def test_rules_that_misquote_are_told_so() -> None:
    said = wrong(SCENE + RULES.replace("free/1", "fre/1"))
    assert "no theme is called 'fre'; did you mean 'free'?" in said


def test_drums_may_have_the_rhythm_of_a_theme() -> None:
    part = "[parts.beat]\nengine = 'grammar'\nrules = \"S -> 'theme:window/1 on Kick'\"\n"
    scene = parse_scene(SCENE + part)
    assert scene.parts[0].channel == 10
    assert [float(at) for at, _, _ in played(scene, 1)] == [0, 1, 1.5, 2]


# Chords --------------------------------------------------------------------------------------

LEADER = """
[parts.leader]
engine = "grammar"
rules = "S -> 'theme:window chords'"
"""


def harmony(scene: Scene, bars: int) -> list[str]:
    found: list[str] = []

    def listen(entry: Entry) -> None:
        if isinstance(entry, Harmonised):
            found.append(entry.name)

    hear(scene, bars, listen)
    return found


def test_a_theme_has_the_chords_that_it_was_given() -> None:
    given = SCENE.replace("[themes.free]", 'chords = "ton:1/1 sub:1/2 dom:1/2"\n[themes.free]')
    assert harmony(parse_scene(given + LEADER), 4) == ["C", "F", "G", "C", "F", "G"]
    said = wrong(SCENE.replace("[themes.free]", 'chords = "5:1/1"\n[themes.free]'))
    assert "themes.window.chords, line 5" in said and "expected chords with their" in said


def test_else_the_plainest_chords_that_carry_it_and_others_on_demand() -> None:
    plain = harmony(parse_scene(SCENE + LEADER), 4)
    assert plain[0] == plain[-1] == "C" and len(plain) == 4
    other = harmony(parse_scene(SCENE + LEADER.replace("chords", "reharmonised")), 4)
    assert other[-1] == "C" and other != plain


def test_the_leader_may_play_the_chords_of_the_theme_of_the_moment() -> None:
    ready = "[parts.leader]\nharmony = 'theme'\n"
    tables = SCENE.replace("notes", "meter = '4/4'\nnotes")
    scene = parse_scene("meter = '3/4'\n" + tables + ready)
    numerals = {"n1": "C", "n2": "Dm", "n3": "Em", "n4": "F", "n5": "G", "n6": "Am"}
    own = [numerals[word] for theme in themes(scene) for word, _ in harmonise(theme)]
    assert harmony(scene, 8) == [name for name, _ in groupby(own)]


@pytest.mark.parametrize("bar", [Fraction(4), Fraction(3), Fraction(7, 2)])
@pytest.mark.parametrize("other", [False, True])
def test_chords_last_as_long_as_their_theme(bar: Fraction, other: bool) -> None:
    theme = parse("1:1/1 | 4:1/2 6:1/2 | 5:1/1 | 1:1/1", chords := "song")
    assert theme.name == chords
    there = in_meter(theme, bar)
    assert sum(length for _, length in harmonise(there, other)) == there.length
    assert [word for word, _ in harmonise(theme)] == ["n1", "n4", "n5", "n1"]


# Kept and shared -----------------------------------------------------------------------------


def themes(scene: Scene) -> Sequence[Motif]:
    return scene.themes(scene.seed)


def test_what_is_written_down_reads_as_the_same_themes() -> None:
    for meter in ("4/4", "3/4", "7/8", "5/4"):
        tables = SCENE.partition("[form]")[0].replace("notes =", "meter = '4/4'\nnotes =")
        scene = parse_scene(f'meter = "{meter}"\n' + tables + CELLS)
        again = parse_scene(f'meter = "{meter}"\n' + songbook(themes(scene)) + CELLS)
        for old, new in zip(themes(scene), themes(again), strict=True):
            assert (old.name, old.notes, old.bar) == (new.name, new.notes, new.bar)
            assert new.chords == harmonise(old)


def test_a_file_of_themes_is_shared_between_scenes_and_metres(tmp_path: Path) -> None:
    first = parse_scene(SCENE + CELLS)
    assert keep(tmp_path / "songs.toml", themes(first)) == "window, free to songs.toml"
    shared = "[themes]\nfile = 'songs.toml'\n[themes.own]\nbars = 4\n"
    (tmp_path / "second.toml").write_text("meter = '3/4'\nseed = 3\n" + shared + CELLS)
    second = load_scene(tmp_path / "second.toml")
    found = themes(second)
    assert [each.name for each in found] == ["window", "free", "own"]
    assert found[0].notes == in_meter(themes(first)[0], Fraction(3)).notes
    assert themes(load_scene(tmp_path / "second.toml").with_seed(9))[:2] == found[:2]
    dressed = load_scene(tmp_path / "second.toml", "jazz")
    assert themes(dressed)[:2] == found[:2], "whatever the style"


def test_a_file_only_grows_and_what_is_no_file_of_themes_is_left_alone(tmp_path: Path) -> None:
    file, scene = tmp_path / "songs.toml", parse_scene(SCENE + CELLS)
    keep(file, themes(scene))
    assert keep(file, themes(scene)) == "all in songs.toml already"
    assert keep(file, scene.themes(5)) == "free_2 to songs.toml"
    before = file.read_text()
    assert before.count("[themes.") == 3
    other = tmp_path / "scene.toml"
    other.write_text(SCENE)
    with pytest.raises(Mistake, match="something else than themes"):
        keep(other, themes(scene))
    assert other.read_text() == SCENE
    with pytest.raises(Mistake):
        keep(tmp_path / "nowhere" / "songs.toml", themes(scene))


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("none.toml", None, "none.toml: cannot be read"),
        ("../songs.toml", None, "outside the scene's folder"),
        ("songs.toml", "title = 'x'", "expected themes in it"),
        ("songs.toml", "[themes.a]\nnotes = '1:1/0'", "songs.toml: themes.a.notes, line 2: "),
    ],
)
def test_a_file_that_cannot_be_had_is_a_mistake(
    tmp_path: Path, file: str, content: str | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(Mistakes) as caught:
        parse_scene(f"[themes]\nfile = '{file}'\n" + PLAIN, base=tmp_path)
    assert problem in str(caught.value)


def test_themes_alone_are_a_midi_file() -> None:
    scene, bars = sung(parse_scene(SCENE + CELLS))
    assert bars == 8
    assert [each.name for each in scene.parts] == ["window", "free"]
    assert [pitch for _, pitch, _ in played(scene, bars)][:4] == [60, 62, 64, 67]
    assert render(scene, bars, "test", lambda entry: None).startswith(b"MThd")


def test_an_invented_theme_that_is_too_like_an_earlier_one_is_invented_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = "".join(f"[themes.t{number}]\nbars = 4\n" for number in range(4))
    scene = parse_scene(tables + RULES.replace("free", "t1"))
    usual = scene.themes(1)
    alike = max(likeness(a, b) for a in usual for b in usual if a is not b)
    assert alike <= TOO_LIKE
    monkeypatch.setattr("server.score.themes.TOO_LIKE", alike - 0.01)
    _motifs.cache_clear()
    stricter = scene.themes(1)
    _motifs.cache_clear()
    assert stricter[0] == usual[0] and stricter != usual
    assert max(likeness(a, b) for a in stricter for b in stricter if a is not b) < alike
    assert scene.themes(1) == stricter, "the seed alone decides"
    _motifs.cache_clear()
