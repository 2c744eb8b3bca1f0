from __future__ import annotations

import pytest

from server.sync.tap import Taps

MS = 1_000_000


def test_the_median_of_taps_is_the_beat() -> None:
    taps = Taps()
    assert taps.hear(10**12) is None
    for at, expected in ((500, 120), (1000, 120), (1600, 120), (2100, 120)):
        assert taps.hear(10**12 + at * MS) == pytest.approx(expected)


def test_a_bounce_is_no_tap_and_a_rest_begins_anew() -> None:
    taps = Taps()
    taps.hear(0)
    assert taps.hear(20 * MS) is None
    assert taps.hear(600 * MS) == pytest.approx(100)
    assert taps.hear(3000 * MS) is None
    assert taps.hear(3300 * MS) == pytest.approx(200)
    assert taps.hear(3345 * MS) == pytest.approx(60_000 / 172.5)
