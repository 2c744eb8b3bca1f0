"""Hot reload with real files: what is saved is heard at the next bar, a mistake is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from server.concert.journal import Marked
from server.desk.watch import Watch
from server.score.scene import find_scene, load_scene
from server.score.sources import sources
from tests.server.desk.rig import SCENE, SECOND, Stage


class Room(Stage):
    """A stage whose scene lies in a folder and is followed. right: what became of readings."""

    def __init__(self, folder: Path, text: str = SCENE) -> None:
        super().__init__(folder, cued=False)
        self.file = folder / "piece.toml"
        self.file.write_text(text)
        self.right: list[bool] = []
        self.player.cue(load_scene(self.file))
        self.player.play()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watch]:
        watch = Watch(self.desk, self.right.append)
        try:
            await self.until(lambda: bool(watch.folders), bars=False)
            yield watch
        finally:
            watch.close()
            self.desk.close()

    async def until(self, what: Callable[[], bool], bars: bool = True) -> None:
        """Wait for something; meanwhile the music goes on, or stands."""
        async with asyncio.timeout(20):
            while not what():
                if bars:
                    await self.pass_time(SECOND // 20)
                await asyncio.sleep(0.005)

    def tempo(self) -> float:
        assert self.player.scene is not None
        return self.player.scene.tempo

    @property
    def takings(self) -> int:
        """How often a scene has begun."""
        return sum(isinstance(each, Marked) and each.kind == "scene" for each in self.journal)


def faster(text: str, tempo: int) -> str:
    return text.replace("tempo = 120", f"tempo = {tempo}")


async def test_what_is_saved_is_heard_from_the_next_bar(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.watched():
        room.file.write_text(faster(SCENE, 140))
        await room.until(lambda: room.tempo() == 140)
        assert room.right and all(room.right)
        assert not room.troubles


async def test_an_editor_may_put_a_new_file_in_the_old_one_s_place(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.watched():
        for tempo in (130, 131):
            fresh = tmp_path / f".piece.toml.{tempo}~"
            fresh.write_text(faster(SCENE, tempo))
            fresh.rename(room.file)
            await room.until(lambda: room.tempo() == tempo)  # noqa: B023


async def test_a_mistake_leaves_the_old_music_and_says_where(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.watched():
        old = room.player.scene
        room.file.write_text(SCENE.replace('"S -> C D E F"', '"S -> C D ) F"'))
        await room.until(lambda: bool(room.right))
        assert room.right == [False]
        assert room.player.scene is old and room.player.playing
        [trouble] = room.troubles
        assert "piece.toml: parts.melody.rules, line 9, column 19" in trouble
        room.file.write_text(faster(SCENE, 125))
        await room.until(lambda: room.tempo() == 125)
        assert room.right[-1]


async def test_a_file_that_is_deleted_is_said_to_be_gone_and_the_music_goes_on(
    tmp_path: Path,
) -> None:
    room = Room(tmp_path)
    async with room.watched():
        old = room.player.scene
        room.file.unlink()
        await room.until(lambda: bool(room.right))
        [trouble] = room.troubles
        assert trouble.startswith("the file piece.toml is gone; the music goes on")
        assert room.right == [False]
        assert room.player.scene is old and room.player.playing
        room.file.write_text(faster(SCENE, 127))
        await room.until(lambda: room.tempo() == 127)


@pytest.mark.parametrize("file", ["piece.toml", "mine.toml"])
async def test_a_style_or_its_scene_that_is_deleted_is_said_to_be_gone(
    file: str, tmp_path: Path
) -> None:
    (tmp_path / "mine.toml").write_text("[parts." + SCENE.split("[parts.", 1)[1])
    room = Room(tmp_path)
    room.send("/style", "mine", "now")
    await room.loaded()
    assert room.player.scene is not None and room.player.scene.style == "mine"
    (tmp_path / file).unlink()
    room.send("/style", "mine", "bar")
    await room.loaded()
    [(_, state, _, reason)] = room.receipts
    assert state == "refused" and reason.startswith(f"the file {file} is gone")


async def test_a_file_that_says_the_same_changes_nothing(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.watched():
        await room.until(lambda: room.takings == 1)
        room.file.write_text(SCENE)  # saved unchanged
        (tmp_path / "notes.txt").write_text("hello")
        room.file.write_text(faster(SCENE, 126))
        await room.until(lambda: room.tempo() == 126)
        assert room.takings == 2


async def test_a_style_that_it_is_made_of_is_followed_too(tmp_path: Path) -> None:
    style = SCENE.split("[parts.", 1)
    (tmp_path / "mine.toml").write_text("[parts." + style[1])
    room = Room(tmp_path, 'style = "mine"\n' + style[0])
    async with room.watched():
        old = room.player.scene
        text = (tmp_path / "mine.toml").read_text()
        (tmp_path / "mine.toml").write_text(text.replace("C D E F", "C E G"))
        await room.until(lambda: room.player.scene is not old)
        assert room.player.scene is not None and room.player.scene.style == "mine"


async def test_what_somebody_has_armed_is_not_lost_to_a_file_that_is_saved(tmp_path: Path) -> None:
    room = Room(tmp_path)
    (tmp_path / "next.toml").write_text(faster(SCENE, 100))
    async with room.watched():
        room.send("/scene", "next", "in 8 bars")
        await room.until(lambda: bool(room.player.changes.armed(("scene",))), bars=False)
        room.file.write_text(faster(SCENE, 140))
        await room.until(lambda: room.tempo() != 120)
        assert room.tempo() == 100
    room = Room(tmp_path)
    async with room.watched():
        room.send("/scene", "next", "in 99 bars")
        await room.until(lambda: bool(room.player.changes.armed(("scene",))), bars=False)
        room.file.write_text(faster(SCENE, 141))
        for _ in range(100):
            await asyncio.sleep(0.01)
        room.send("/cancel", "scene")
        await room.until(lambda: room.tempo() == 141)


async def test_a_shipped_style_by_itself_begins_once(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.player.cue(load_scene(find_scene("folk")))
    room.player.play()
    async with room.watched():
        for _ in range(150):  # five readings and more, had it seen reason for any
            await room.pass_time(SECOND // 20)
            await asyncio.sleep(0.01)
        names = [each.name for each in room.journal if isinstance(each, Marked)]
        assert names.count("Folk") == 1
        assert not room.right


async def test_a_seed_that_was_asked_for_stays(tmp_path: Path) -> None:
    room = Room(tmp_path)
    async with room.watched():
        room.send("/seed", 7, "now")
        await room.until(lambda: room.player.scene is not None and room.player.scene.seed == 7)
        room.file.write_text(faster(SCENE, 133))
        await room.until(lambda: room.tempo() == 133)
        assert room.player.scene is not None and room.player.scene.seed == 7


async def test_the_scene_that_takes_over_is_the_one_that_is_followed(tmp_path: Path) -> None:
    (tmp_path / "next.toml").write_text(faster(SCENE, 100))
    room = Room(tmp_path)
    async with room.watched():
        room.send("/scene", "next", "now")
        await room.until(lambda: room.tempo() == 100)
        (tmp_path / "next.toml").write_text(faster(SCENE, 101))
        await room.until(lambda: room.tempo() == 101)


def test_sources_are_what_a_scene_is_made_of(tmp_path: Path) -> None:
    (tmp_path / "tunes").mkdir()
    for name in ("a.mid", "b.mid"):
        (tmp_path / "tunes" / name).write_bytes(b"MThd")
    (tmp_path / "walk.toml").write_text('engine = "grammar"\nrules = "S -> I | V"\n')
    (tmp_path / "house style.toml").write_text('[parts.chords]\nharmony = "walk"\n')
    text = 'style = "house style"\n[controls]\nx = 1\n[themes.a]\nfile = "tunes/*.mid"\n'
    scene = load_scene(_written(tmp_path, 'style = "house style"'))
    names = {path.name for path in sources(scene)}
    assert names == {"piece.toml", "house style.toml", "walk.toml"}
    assert scene.sheet is not None
    more = replace(scene, sheet=scene.sheet._replace(text=text))
    assert {path.name for path in sources(more)} == names | {"a.mid", "b.mid"}


def _written(folder: Path, text: str) -> Path:
    path = folder / "piece.toml"
    path.write_text(text)
    return path
