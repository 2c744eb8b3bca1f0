"""What all tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.rigs.need import need as needed


@pytest.fixture
def need() -> Callable[[str, str], str]:
    """`need("jackd", "jackd2")`: a program's path, or no test."""
    return needed
