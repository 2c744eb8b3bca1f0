"""What a scene is read from, counted while it is read, so that a log can tell whether it is the
same still.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

_digest: ContextVar[Any] = ContextVar("digest", default=None)


class Script(NamedTuple):
    """Where a scene was read. file, style: names of shipped ones, or paths; style may be "".

    digest: of all that was read for it, styles, progressions, maps and tunes included.
    """

    file: str
    style: str
    digest: str


def read(data: bytes | str) -> None:
    """Count in what has been read of a file."""
    digest = _digest.get()
    if digest is not None:
        whole = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        digest.update(b"%d " % len(whole))
        digest.update(whole)


@contextmanager
def fingerprint() -> Iterator[Callable[[], str]]:
    """Counts what is read within; hands out what tells it, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    token = _digest.set(digest)
    try:
        yield lambda: digest.hexdigest()[:16]
    finally:
        _digest.reset(token)
