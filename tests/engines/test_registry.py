"""Engines by name: ours, and those of whatever else is installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engines
from engines.base import Engine, Mistake
from server.errands import symbols
from server.score.scene import parse_scene

DICE = """
from dataclasses import dataclass
from engines.base import Symbol

@dataclass(frozen=True)
class Dice:
    sides: int = 6

    def symbols(self, rng, controls):
        while True:
            yield Symbol(str(rng.randint(1, self.sides)))

    def alphabet(self):
        return frozenset(str(side) for side in range(1, self.sides + 1))
"""

Install = Callable[[str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Have a package `foreign` with this code and this line among its entry points."""

    def installed(code: str, line: str) -> None:
        (tmp_path / "foreign_dice.py").write_text(code)
        about = tmp_path / "foreign_dice-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-dice\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[componium.engines]\n{line}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()

    yield installed
    sys.modules.pop("foreign_dice", None)


SCENE = "[parts.a]\nengine = 'dice'\nsides = 3\n"


def test_an_installed_package_s_engine_is_found_and_plays(install: Install) -> None:
    with pytest.raises(Mistake, match=r"parts\.a\.engine, line 2: expected one of grammar"):
        parse_scene(SCENE)
    install(DICE, "dice = foreign_dice:Dice")
    assert engines.names()["dice"] == "from foreign_dice:Dice"
    scene = parse_scene(SCENE)
    assert isinstance(scene.parts[0].engine, Engine)
    stream = symbols(scene, scene.parts[0])
    assert {next(stream).name for _ in range(50)} == {"1", "2", "3"}
    with pytest.raises(Mistake, match=r"parts\.a\.sides, line 3: expected a whole number"):
        parse_scene(SCENE.replace("3", "'three'"))


def test_nobody_takes_the_name_of_an_engine_of_ours(install: Install) -> None:
    install(DICE, "grammar = foreign_dice:Dice")
    assert engines.engine_class("grammar").__module__ == "engines.grammar"
    assert "foreign" not in engines.names()["grammar"]


@pytest.mark.parametrize(
    ("code", "line", "problem"),
    [
        ("import nothing_of_this_name", "dice = foreign_dice:Dice", "cannot be loaded: Module"),
        ("1 / 0", "dice = foreign_dice:Dice", "cannot be loaded: ZeroDivisionError"),
        (DICE, "dice = foreign_dice:Die", "cannot be loaded: AttributeError"),
        ("Dice = 3", "dice = foreign_dice:Dice", "no dataclass"),
        (
            f"{DICE}\n    __post_init__ = int.bit_count",
            "dice = foreign_dice:Dice",
            "cannot be made",
        ),
    ],
)
def test_a_package_that_is_broken_is_a_mistake(
    install: Install, code: str, line: str, problem: str
) -> None:
    install(code, line)
    with pytest.raises(Mistake, match=problem):
        parse_scene(SCENE)


@pytest.mark.parametrize("name", engines.REGISTRY)
def test_each_of_ours_is_an_engine(name: str) -> None:
    made = engines.engine_class(name)
    assert made.__module__.startswith("engines.")
    assert {"symbols", "alphabet"} <= set(dir(made))
