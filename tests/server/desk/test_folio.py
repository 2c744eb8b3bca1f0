"""Whole scenes written while they play: checked first, kept whole, never where they must not be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.desk.desk import Desk
from server.desk.folio import Folio
from server.score.scene import Scene, find_scene, load_scene, parse_scene, playable
from tests.server.desk.rig import SECOND, Stage

WRITE = "/componium/scene/write"
FIRST = """
[parts.tune]
engine = "grammar"
rules = "S -> C"
grid = "1/4"
"""
OTHER = FIRST.replace("S -> C", "S -> G")
WRONG = FIRST.replace("grid", "grip")


class Author(Stage):
    """A stage whose sender may write scenes."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path, cued=False)
        self.folder = tmp_path / "kept"
        self.player.cue(parse_scene(FIRST, "first"))

        def load(path: str, style: str) -> Scene:
            return load_scene(find_scene(path), style)

        self.desk = Desk(self.player, load, tmp_path, folio=Folio(self.folder))
        self.source = replace(self.source, role="edit")
        self.player.play()

    async def write(self, name: str, text: str) -> list[tuple[str, str]]:
        """Write a scene; the states and reasons that have come when it has been read."""
        self.receipts.clear()
        self.desk.receive(WRITE, (name, text), self.source)
        await self.loaded()
        return [(state, reason) for _, state, _, reason in self.receipts]


async def test_a_scene_that_is_written_is_kept_and_takes_over_at_the_next_bar(
    tmp_path: Path,
) -> None:
    author = Author(tmp_path)
    await author.pass_time(SECOND // 2)
    assert [state for state, _ in await author.write("mine", OTHER)] == ["armed"]
    await author.pass_time(4 * SECOND)
    assert author.player.scene is not None and author.player.scene.name == "mine"
    assert (author.folder / "mine.toml").read_text() == OTHER
    assert "mine" in author.desk.scenes()
    assert [state for state, _ in await author.write("mine", FIRST)] == ["armed"]
    assert (author.folder / "mine.toml").read_text() == FIRST, "one's own may be written again"
    assert [each.name for each in author.folder.iterdir()] == ["mine.toml"], (
        "nothing is left beside it"
    )


async def test_a_mistake_is_told_at_its_line_and_nothing_is_written(tmp_path: Path) -> None:
    author = Author(tmp_path)
    ((state, reason),) = await author.write("mine", WRONG)
    assert state == "refused" and "line 5" in reason and "grip" in reason
    ((state, reason),) = await author.write("mine", "[parts.tune\n")
    assert state == "refused" and "line 1" in reason
    assert not author.folder.exists()
    await author.pass_time(3 * SECOND)
    assert author.player.scene is not None and author.player.scene.name == "first"


async def test_who_may_only_control_writes_nothing(tmp_path: Path) -> None:
    author = Author(tmp_path)
    author.source = replace(author.source, role="control")
    ((state, reason),) = await author.write("mine", OTHER)
    assert state == "refused" and "role edit" in reason
    assert not author.folder.exists()


@pytest.mark.parametrize(
    "name", ["default", "Default", "jazz", "../up", "a/b", "", ".hidden", "nul", "a.b", "x" * 65]
)
async def test_no_name_leads_elsewhere_or_takes_a_shipped_one(tmp_path: Path, name: str) -> None:
    author = Author(tmp_path)
    ((state, _),) = await author.write(name, OTHER)
    assert state == "refused"
    assert not author.folder.exists()


@given(st.text(max_size=80))
def test_whatever_the_name_its_file_lies_in_the_folder(name: str) -> None:
    folio = Folio(Path("/kept"))
    try:
        path = folio.path(name)
    except Mistake:
        return
    assert path.resolve().parent == Path("/kept").resolve()
    assert path.stem not in playable()


def test_a_file_that_cannot_be_written_is_a_mistake_and_stays_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "no-folder"
    place.write_text("a file")
    with pytest.raises(Mistake, match="cannot be written"):
        Folio(place).keep("mine", OTHER)
    assert place.read_text() == "a file"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "kept" / "mine.toml"
    link.parent.mkdir()
    victim.write_text("mine no more?")
    link.symlink_to(victim)
    Folio(link.parent).keep("mine", OTHER)
    assert victim.read_text() == "mine no more?"
    assert link.read_text() == OTHER and not link.is_symlink()


def test_a_shipped_scene_is_kept_by_another_name() -> None:
    folio = Folio(Path("/kept"))
    assert folio.name_for(parse_scene(FIRST, "default")) == "my-default"
    assert folio.name_for(parse_scene(FIRST, "mine")) == "mine"
    assert folio.name_for(parse_scene(FIRST, "a b/c")) == "my-a-b-c"
