"""Scenes that have been read and are kept."""

from __future__ import annotations

import gc
from pathlib import Path
from weakref import ref

import pytest

from engines.base import Mistake
from server.score.sources import Shelf
from server.score.table import Mistakes


class Somebody:
    """Who asks for a scene."""


def refused(shelf: Shelf, path: Path) -> tuple[str, int, ref[Somebody]]:
    """What is wrong with a scene, in words and in number; and who has asked."""
    asks = Somebody()
    with pytest.raises(Mistake) as caught:
        shelf.scene(path)
    said = caught.value
    return str(said), len(said.each) if isinstance(said, Mistakes) else 1, ref(asks)


def test_a_mistake_that_is_kept_keeps_nobody_who_met_it(tmp_path: Path) -> None:
    path, shelf = tmp_path / "wrong.toml", Shelf()
    path.write_text("tempo = 'fast'\n[parts.p]\nengine = 'gramar'\n")
    *first, who = refused(shelf, path)
    *again, other = refused(shelf, path)
    gc.collect()
    assert first == again and first[1] == 2
    assert who() is None and other() is None
