"""What a test needs of the machine; without it the test is skipped, or fails where none may."""

from __future__ import annotations

import os
import shutil

import pytest

#: Set by `scripts/test` where CI=true: everything has been installed, so nothing is skipped.
SKIP_NOTHING = "COMPONIUM_SKIP_NOTHING"


def need(program: str, package: str) -> str:
    """The program's path. Where it is missing the test is skipped, or fails under SKIP_NOTHING."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is not None:
        return found
    lack(f"{program} is missing: apt install {package}")
    raise AssertionError  # `lack` never returns


def lack(why: str) -> None:
    """Give the test up because of the machine it runs on."""
    if os.environ.get(SKIP_NOTHING):
        pytest.fail(f"{why} (and {SKIP_NOTHING} is set)")
    pytest.skip(why)
