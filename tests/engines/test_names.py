"""What is said of a name that nobody knows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines.base import LISTED, listed, meant, nearest, unknown


def test_the_name_that_may_be_meant_is_told_and_what_there_is() -> None:
    assert (
        unknown("section", "Bos", ["Explore", "Boss"])
        == "no section is called 'Bos'; did you mean 'Boss'? There are Explore, Boss"
    )
    assert unknown("theme", "zzz", ["home"]) == "no theme is called 'zzz'; there are home"
    assert unknown("band", "ann", []) == "no band is called 'ann'; there is none"
    assert meant("HOUSE", ["house", "mouse"]) == "did you mean 'house'? "


@given(st.text(), st.lists(st.text(max_size=8)))
def test_what_is_told_is_short_and_what_may_be_meant_is_known(name: str, known: list[str]) -> None:
    assert nearest(name, known) in {"", *known}
    assert len(unknown("scene", name * 50, known)) < 1000
    assert listed(known).count(" and ") >= (len(known) > LISTED)
