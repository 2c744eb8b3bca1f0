"""What the soak makes of many readings of a process's size."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.benches.growth import MIB, growth


def readings(seed: int, an_hour: float, minutes: int = 30) -> list[tuple[float, int]]:
    """Every six seconds: 60 MiB that wander by some tenths, twice as many at first, and a leak."""
    rng = Random(seed)
    found = []
    for number in range(minutes * 10):
        at = number * 6.0
        size = 60 + an_hour * at / 3600 + rng.uniform(-0.3, 0.3) + 5 * min(at / 300, 1)
        if rng.random() < 0.05:
            size -= 20  # it has just been started anew
        found.append((at, round(size * MIB)))
    return found


@given(st.integers(0, 999))
def test_what_wanders_is_flat_and_what_leaks_is_not(seed: int) -> None:
    still, leaks = growth(readings(seed, 0)), growth(readings(seed, 6))
    assert still is not None
    assert leaks is not None
    assert still.flat(2, 0.5)
    assert not leaks.flat(2, 0.5)
    assert leaks.slope == pytest.approx(6, abs=1.5)
    assert leaks.grown == pytest.approx(6 * 7.5 / 60, abs=0.3)


def test_what_was_needed_at_first_does_not_count_and_a_late_jump_does() -> None:
    early = growth([(6.0 * n, (40 if n < 30 else 62) << 20) for n in range(100)])
    late = growth([(6.0 * n, (62 if n < 70 else 66) << 20) for n in range(100)])
    assert early is not None
    assert late is not None
    assert (early.slope, early.grown) == (0, 0)
    assert not late.flat(2, 0.5)


def test_of_few_readings_nothing_is_said() -> None:
    assert growth([(6.0 * n, 1 << 20) for n in range(14)]) is None
