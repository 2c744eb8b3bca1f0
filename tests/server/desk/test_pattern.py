"""Address patterns: what they mean, that they end, and that they mean nothing that is done."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.desk.pattern import MOST_SIGNS, is_pattern, segments
from server.desk.tree import MOST_MEANT, Node, Tree
from tests.server.desk.rig import Stage

LETTERS = st.text("abc-", max_size=6)
SIGN = st.one_of(
    st.sampled_from(["*", "?"]),
    st.text("abc", min_size=1, max_size=3).map(lambda text: f"[{text}]"),
    st.text("abc", min_size=1, max_size=3).map(lambda text: f"[!{text}]"),
    st.sampled_from(["[a-c]", "[!a-b]", "{a,bc}", "{,ab}"]),
)


def as_regex(piece: str) -> str:
    """The same in another language; `piece` is a letter or a sign."""
    if piece in ("*", "?"):
        return {"*": ".*", "?": "."}[piece]
    if piece.startswith("["):
        return piece.replace("[!", "[^")
    if piece.startswith("{"):
        return f"({'|'.join(piece[1:-1].split(','))})"
    return re.escape(piece)


@given(st.lists(st.one_of(SIGN, st.sampled_from("abc-")), max_size=5), LETTERS)
def test_a_pattern_means_what_a_regular_expression_would(pieces: list[str], name: str) -> None:
    try:
        (fits,) = segments("/" + "".join(pieces))
    except Mistake:
        assert sum("".join(pieces).count(sign) for sign in "*?[{,") > MOST_SIGNS
        return
    assert fits(name) == bool(re.fullmatch("".join(map(as_regex, pieces)), name, re.DOTALL))


@given(st.text(string.ascii_lowercase[:3] + "/*?[]{},!-", max_size=30), LETTERS)
def test_any_text_is_read_or_a_mistake(text: str, name: str) -> None:
    try:
        answers = [fits(name) for fits in segments(text)]
    except Mistake:
        assert is_pattern(text) or "," in text
    else:
        assert all(isinstance(each, bool) for each in answers)


@pytest.mark.parametrize("text", ["/a[", "/a]", "/{a", "/a}", "/[a{b]", "/a{b/c}", "/" + "*" * 9])
def test_what_cannot_be_read_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake):
        segments(text)


def test_a_pattern_sets_every_control_that_it_means_with_a_receipt_each() -> None:
    stage = Stage()
    assert [(about, state) for about, state, *_ in stage.send("/part/*/mute", 1)] == [
        ("/componium/part/melody/mute", "done"),
        ("/componium/part/low_drums/mute", "done"),
    ]
    assert all(strip.mute for strip in stage.player.strips().values())
    stage.send("/part/{melody,nobody}/le*", 0.5)
    levels = {name: strip.level for name, strip in stage.player.strips().items()}
    assert levels == {"melody": 0.5, "low drums": 1.0}


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/st*", "/componium/stop is no control"),
        ("/pani?", "/componium/panic is no control"),
        ("/part/b*/mute", "no control is like '/componium/part/b*/mute'"),
        ("/part/*", "no control is like '/componium/part/*'\n"),
        ("/part/[/mute", "closes its ["),
        ("/" + "?" * 9, "at most 8"),
    ],
)
def test_a_pattern_that_means_no_control_is_refused_with_a_receipt(address: str, why: str) -> None:
    stage = Stage()
    stage.send("/play")
    [(about, state, _, reason)] = stage.send(address, 1)
    assert (about, state) == ("/componium" + address, "refused")
    assert why in f"{reason}\n"
    assert stage.player.playing


def test_all_that_a_pattern_means_is_done_or_nothing() -> None:
    stage = Stage()
    receipts = stage.send("/part/melody/*", "loud")
    assert len(receipts) == 5 and {state for _, state, *_ in receipts} == {"refused"}
    many = [Node(f"/a/{nth}", "", lambda told: None, continuous=True) for nth in range(200)]
    with pytest.raises(Mistake, match=f"200 controls are like it; at most {MOST_MEANT}"):
        Tree(many).matching("/a/*")
