"""What is there to stay, out of the collector's way."""

from __future__ import annotations

import gc


def settle() -> None:
    """Have the collector of garbage pass over all that is there now.

    Law: what becomes garbage afterwards is found as if nothing else were there.  Python looks at
    old objects only when those that are new among them are a quarter of what it found the last
    time, so it has to find once how few are left.
    """
    gc.collect()
    gc.freeze()
    gc.collect()
