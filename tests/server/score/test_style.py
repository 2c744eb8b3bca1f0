"""Styles, progressions and maps that scenes share: whose mistake it is, and who may be played."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.score.scene import find_scene, load_scene, parse_scene, playable, shipped_scenes
from server.score.style import shipped, styled
from server.score.table import Mistakes

PART = "engine = 'grammar'\nrules = 'S -> C E'\n"
STYLE = f"""title = "Band"

[parts.lead]
harmony = "loop"

[parts.bass]
{PART}
"""
LOOP = """engine = "grammar"
rules = '''
S -> ton:1/1 dom:1/1
'''
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path)
    return tmp_path


def write(
    folder: Path, scene: str = "style = 'band'\n", style: str = STYLE, loop: str = LOOP
) -> Path:
    (folder / "band.toml").write_text(style)
    (folder / "loop.toml").write_text(loop)
    path = folder / "mine.toml"
    path.write_text(scene)
    return path


def wrong(path: Path) -> list[str]:
    """The places of all that is wrong, with their lines and columns."""
    with pytest.raises(Mistakes) as caught:
        load_scene(path)
    return [str(each).removesuffix(f": {each.problem}") for each in caught.value.each]


def test_a_scene_of_a_style_has_its_parts(folder: Path) -> None:
    scene = load_scene(folder / "mine.toml")
    assert (scene.style, [part.name for part in scene.parts]) == ("band", ["lead", "bass"])


def test_a_mistake_is_told_of_the_file_that_has_it(folder: Path) -> None:
    assert wrong(write(folder, style=STYLE + "gaet = 1\n")) == [
        "band.toml: parts.bass.gaet, line 10"
    ]
    rules = STYLE.replace("'S -> C E'", "'''\nS -> C E\nC -> (0.5 E\n'''")
    assert wrong(write(folder, style=rules)) == ["band.toml: parts.bass.rules, line 10, column 12"]
    loop = LOOP.replace("dom:1/1", "dmo:1/1")
    assert wrong(write(folder, loop=loop)) == ["loop.toml: rules, line 3, column 14"]
    broken = LOOP.replace("dom:1/1", "(0.5 dom:1/1")
    assert wrong(write(folder, loop=broken)) == ["loop.toml: rules, line 3, column 14"]


def test_in_other_bars_a_progression_s_mistake_keeps_its_line(folder: Path) -> None:
    broken = LOOP.replace("dom:1/1", "(0.5 dom:1/1")
    path = write(folder, "style = 'band'\nmeter = '7/8'\n", loop=broken)
    assert wrong(path) == ["loop.toml: rules, line 3"]


def test_what_scene_and_style_both_say_is_the_scene_s_mistake(folder: Path) -> None:
    scene = "style = 'band'\n[parts.bass]\nprogram = 43\nrules = 'S -> (0.5 B'\n"
    assert wrong(write(folder, scene)) == ["mine.toml: parts.bass.rules, line 4, column 21"]
    scene = "style = 'band'\n[parts.bass]\nprogram = 430\n"
    assert wrong(write(folder, scene, STYLE + "gate = 9\n")) == [
        "mine.toml: parts.bass.program, line 3",
        "band.toml: parts.bass.gate, line 10",
    ]
    scene = "style = 'band'\n[parts.lead]\nrules = 'S -> (0.5 B'\n"
    assert wrong(write(folder, scene)) == ["mine.toml: parts.lead.rules, line 3, column 21"]


def test_a_file_that_is_no_toml_is_told_with_its_line(folder: Path) -> None:
    assert wrong(write(folder, style="title = 'x'\ntempo = = 3\n")) == [
        "band.toml, line 2, column 9"
    ]
    assert wrong(write(folder, loop="\nengine = \n")) == ["loop.toml, line 2, column 10"]
    scene = "style = 'band'\n[mood]\nmap = 'night.toml'\n"
    (folder / "night.toml").write_text("title = 3 4\n")
    assert wrong(write(folder, scene)) == ["night.toml, line 1, column 11"]
    (folder / "night.toml").write_text("[tempo]\n\narousal = 7\n")
    assert wrong(folder / "mine.toml") == ["night.toml: tempo.arousal, line 3"]


def test_a_style_that_is_not_there_is_all_that_is_said(folder: Path) -> None:
    path = write(folder, "style = 'bnad'\n[parts.bass]\nprogram = 43\n")
    assert wrong(path) == ["mine.toml: style, line 1"]
    scene = "style = 'band'\n[parts.lead]\nharmony = 'floop'\n[mood]\nmap = 'fog'\n"
    places = wrong(write(folder, scene))
    assert "mine.toml: parts.lead.harmony, line 3" in places
    assert "mine.toml: mood.map, line 5" in places


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    (tmp_path / "styles" / "band.toml").write_text(f"[parts.a]\n{PART}gate = 9\n")
    path = tmp_path / "band.toml"
    path.write_text("style = 'styles/band'\ntempo = 7\n")
    assert wrong(path) == ["band.toml: tempo, line 2", "styles/band.toml: parts.a.gate, line 4"]


# Played by name ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped("styles"))
def test_a_shipped_style_is_a_scene_of_itself(name: str) -> None:
    scene = load_scene(shipped("styles")[name])
    assert (scene.name, scene.style) == (name, name)
    other = load_scene(shipped("styles")[name], "folk")
    assert [p.name for p in other.parts] == [p.name for p in load_scene(find_scene("folk")).parts]


def test_what_is_said_of_a_style_s_part_is_not_said_of_a_style_without_it(folder: Path) -> None:
    scene = "style = 'band'\n[parts.bass]\ngate = 0.5\n[parts.own]\n" + PART
    path = write(folder, scene + "[parts.lead]\nvelocity = 0.3\n")
    other = load_scene(path, "folk")
    names = {part.name: part for part in other.parts}
    assert names["bass"].gate == 0.5, "folk has a bass too"
    assert "own" in names and "lead" not in names
    assert load_scene(path).parts[0].velocity == 0.3
    with pytest.raises(Mistake, match=r"parts\.laed\.engine"):  # of its own style it is a slip
        load_scene(write(folder, "style = 'band'\n[parts.laed]\nvelocity = 0.3\n"))


def test_where_a_scene_has_the_name_of_a_style_the_scene_is_meant() -> None:
    both = shipped_scenes().keys() & shipped("styles").keys()
    assert both
    for name in both:
        assert find_scene(name) == playable()[name] == shipped_scenes()[name]
    assert find_scene("folk") == shipped("styles")["folk"]
    with pytest.raises(Mistake, match=r"no scene is called 'fokl'; did you mean 'folk'\?"):
        find_scene("fokl")


# In another style ------------------------------------------------------------------------------


@pytest.mark.parametrize("style", sorted(shipped("styles")))
def test_every_shipped_scene_goes_on_in_every_style(style: str) -> None:
    for path in shipped("scenes").values():
        made = load_scene(path, style)
        assert made.style == style


def test_a_part_with_an_engine_of_its_own_takes_only_its_manner_from_another_style() -> None:
    text = '[parts.bass]\nengine = "grammar"\nrules = "Bar -> c1:1/1"\n'
    own, piano = parse_scene(text), parse_scene(text, style="piano")
    [before] = own.parts
    after = next(part for part in piano.parts if part.name == "bass")
    assert after.engine == before.engine
    assert after.role == "bass"


# Laid over each other -------------------------------------------------------------------------

keys = st.sampled_from(["parts", "form", "tempo", "a", "b"])
tables = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(keys, tables, max_size=4), st.dictionaries(keys, tables, max_size=4))
def test_the_scene_s_word_counts_and_what_it_does_not_say_is_the_style_s(
    scene: dict[str, object], style: dict[str, object]
) -> None:
    merged = styled(scene, style)
    assert merged.keys() == scene.keys() | style.keys()
    assert styled(merged, style) == merged
    for key, value in merged.items():
        if key not in scene:
            assert value == style[key]
        elif not isinstance(value, dict):
            assert value == scene[key]


def test_who_orders_the_form_has_his_sections_first() -> None:
    style = {"form": {"plan": "A B", "sections": {"A": {"bars": 8}, "B": {"bars": 4}}}}
    own = {"C": {"bars": 2}, "B": {"bars": 6}}
    merged = styled({"form": {"plan": "C", "sections": own}}, style)["form"]["sections"]
    assert list(merged) == ["C", "B", "A"] and merged["B"] == {"bars": 6}
    merged = styled({"form": {"sections": own}}, style)["form"]["sections"]
    assert list(merged) == ["A", "B", "C"], "the style's plan, and its order"


def test_addresses_of_parts_and_stingers_do_not_clash(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[parts.'low drums']\n{PART}[parts.low_drums]\n{PART}")
    with pytest.raises(Mistake, match=r"parts.low_drums, line 4: its OSC address .*'low drums'"):
        load_scene(path)
    path.write_text(f"[parts.'the coin']\n{PART}[stingers.the_coin]\n{PART}")
    with pytest.raises(Mistake, match=r"stingers.the_coin, line 4: its OSC address"):
        load_scene(path)
