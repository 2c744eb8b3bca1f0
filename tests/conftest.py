"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.rigs.need import need as needed

# How long an example takes says something about the machine, and nothing about the law.
settings.register_profile("componium", deadline=None)
settings.load_profile("componium")


@pytest.fixture
def need() -> Callable[[str, str], str]:
    """`need("jackd", "jackd2")`: a program's path, or no test."""
    return needed


@pytest.fixture(scope="session", autouse=True)
def settings_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for settings and logs in place of the user's own, which are none of our business."""
    folder = tmp_path_factory.mktemp("settings")
    names = ("XDG_CONFIG_HOME", "XDG_STATE_HOME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(folder)))
    yield folder
    for name, value in before.items():
        del os.environ[name]
        if value is not None:
            os.environ[name] = value
