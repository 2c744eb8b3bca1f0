"""What is there to stay, out of the collector's way; what is not needed any more, given back."""

from __future__ import annotations

import ctypes
import gc
from functools import cache
from typing import Any

#: New objects until they are looked at, times of that until those that are older are, too, and
#: times of that until all are. Python waits for 10 of the last: then 10 000 have to be found dead
#: at once, which takes 20 ms; so it takes 5, and less lies about.
OFTEN = 700, 10, 2
#: Of glibc: M_ARENA_MAX, M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
_SPARING = (-8, 1), (-3, 128 << 10), (-1, 128 << 10)


def settle() -> None:
    """Have the collector of garbage pass over all that is there now.

    Law: what becomes garbage afterwards is found as if nothing else were there.  Python looks at
    old objects only when those that are new among them are a quarter of what it found the last
    time, so it has to find once how few are left.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
    gc.set_threshold(*OFTEN)


def give_back() -> bool:
    """Have the C library give the system back what it holds of and nobody uses; whether it could.

    What is needed for a moment, as while a scene is read, it would keep for ever otherwise, in
    pieces, and more of them each time. It takes a tenth of a millisecond, and one more for every
    8 MiB that there are to give. Nothing happens where the library cannot (macOS, musl).
    """
    trim = _trim()
    return trim is not None and bool(trim(0))


def spare() -> None:
    """Have the C library take room from one place for all threads, and large pieces by themselves.

    To be called before there are threads. Otherwise each has a place of its own, which grows in
    pieces; and a piece that was large and freed makes it keep those of its size ever after, so that
    copies of a growing take leave holes. Nothing happens where the library cannot.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        for option, value in _SPARING:
            mallopt(option, value)


@cache
def _trim() -> Any:
    return _function("malloc_trim")


def _function(name: str) -> Any:
    """One of glibc's own; None elsewhere, where a function of that name may mean something else."""
    try:
        library = ctypes.CDLL(None)
        return getattr(library, name) if hasattr(library, "gnu_get_libc_version") else None
    except (OSError, TypeError):
        return None
