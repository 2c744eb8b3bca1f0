"""The token: where it lies, who shows it, and what he may do."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections import deque
from contextlib import suppress
from pathlib import Path

from engines.base import Mistake

from .tree import Role

SECOND = 10**9  # ns
WRONG, WITHIN = 10, 60 * SECOND  # wrong tokens in so many ns, after which answers are slow
SUSPECTS = 1024  # addresses whose wrong tokens are counted
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


class Keys:
    """Knows the token without keeping it where it could be printed.

    Law: how long an answer takes does not tell how much of a token was right.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        #: What the cookie holds: of no use anywhere else, and worthless with another token.
        self.cookie = hmac.new(self._token, b"componium cookie", hashlib.sha256).hexdigest()
        self._wrong: dict[str, deque[int]] = {}

    def role(self, token: str, cookie: str = "") -> Role:
        """What somebody may do who shows these, either of which may be empty."""
        right = hmac.compare_digest(token.encode("utf-8", "replace"), self._token)
        known = hmac.compare_digest(cookie.encode("utf-8", "replace"), self.cookie.encode())
        return "edit" if right or known else "view"

    def suspect(self, address: str, now: int) -> None:
        """Count a wrong token of this address. now: nanoseconds."""
        if address not in self._wrong and len(self._wrong) >= SUSPECTS:
            del self._wrong[next(iter(self._wrong))]
        self._wrong.setdefault(address, deque(maxlen=WRONG)).append(now)

    def tries_too_often(self, address: str, now: int) -> bool:
        """Whether answers to this address are to be slow."""
        times = self._wrong.get(address)
        return times is not None and len(times) == WRONG and now - times[0] < WITHIN


def fresh_token() -> str:
    return secrets.token_urlsafe(16)


def token_file() -> Path:
    """Where the token lies, on whatever system this is."""
    from platformdirs import user_config_path

    return user_config_path("componium", appauthor=False) / "token"


def read_token(path: Path) -> str:
    """The token in a file; "" where there is none.

    Errors: Mistake where it cannot be read, is no token, or can be read by others.
    """
    try:
        with path.open(encoding="ascii") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                raise _mistake(path, f"others can read it; do: chmod 600 {path}")
            token = file.read(256).strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise _mistake(path, f"cannot be read: {error}") from None
    if not _TOKEN.fullmatch(token):
        raise _mistake(path, "holds no token; do: componium token --new")
    return token


def write_token(path: Path) -> str:
    """A new token, in a file of this user alone, whole or not at all. Errors: Mistake."""
    token, fresh = fresh_token(), path.with_name(f"token.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            fresh.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        with os.fdopen(os.open(fresh, flags, 0o600), "w", encoding="ascii") as file:
            file.write(f"{token}\n")
        fresh.replace(path)
    except OSError as error:
        raise _mistake(path, f"cannot be written: {error.strerror}") from None
    return token


def the_token(path: Path) -> str:
    """The token in a file, which is made if it is not there. Errors: Mistake."""
    return read_token(path) or write_token(path)


def _mistake(path: Path, problem: str) -> Mistake:
    return Mistake("token", f"{path}: {problem}")
