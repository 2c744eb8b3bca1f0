"""What every engine may count on."""

from __future__ import annotations

import pytest

from engines.base import IN, LIVE, Controls


@pytest.mark.parametrize("name", LIVE)
def test_a_live_value_that_nothing_sets_is_neutral(name: str) -> None:
    assert Controls().get(name) == Controls().values[name] == LIVE[name].neutral
    assert Controls({name: 0.75}).get(name) == 0.75
    assert not name.startswith(IN)


def test_what_has_no_neutral_value_is_nought() -> None:
    assert Controls().get("in_verse") == 0
    assert Controls().get("danger", 0.5) == 0.5
