"""The token: its file, and what it opens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engines.base import Mistake
from server.desk.keys import WITHIN, WRONG, Keys, read_token, the_token, write_token


def test_the_token_is_made_once_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "token"
    token = the_token(path)
    assert len(token) >= 20 and the_token(path) == token == read_token(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_token(path) != token
    assert [file.name for file in path.parent.iterdir()] == ["token"]


@pytest.mark.parametrize("text", ["", "short", "x" * 200, "two words of a token", "tök" * 10])
def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Mistake) as mistake:
        read_token(path)
    assert not text or text not in str(mistake.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    write_token(path)
    path.chmod(0o640)
    with pytest.raises(Mistake, match="chmod 600"):
        the_token(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Mistake, match="cannot be written"):
        the_token(tmp_path / "token")


def test_token_and_cookie_open_and_nothing_else_does() -> None:
    keys, others = Keys("a-token-of-sixteen-letters"), Keys("another-token-of-letters")
    assert keys.role("a-token-of-sixteen-letters") == "edit"
    assert keys.role("", keys.cookie) == "edit"
    for token, cookie in (
        ("", ""),
        ("a-token", ""),
        ("", "a-token-of-sixteen-letters"),
        (keys.cookie, ""),
        ("", others.cookie),
        ("\ud800ä", "\ud800ä"),
    ):
        assert keys.role(token, cookie) == "view"


def test_ten_wrong_tokens_within_a_minute_are_too_many_for_one_address_alone() -> None:
    keys = Keys("a-token-of-sixteen-letters")
    for nth in range(WRONG):
        assert not keys.tries_too_often("10.0.0.1", nth)
        keys.suspect("10.0.0.1", nth)
    assert keys.tries_too_often("10.0.0.1", WRONG)
    assert not keys.tries_too_often("10.0.0.2", WRONG)
    assert not keys.tries_too_often("10.0.0.1", WITHIN)
    for nth in range(5000):
        keys.suspect(f"10.1.{nth // 250}.{nth % 250}", nth)
    assert len(keys._wrong) <= 1024
