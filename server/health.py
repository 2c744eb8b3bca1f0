"""How the wires and the desk are, for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Health:
    """stats: what each kind of wire says of itself, see `server.wire.machine`.

    control: where control by OSC is heard, "" where it is not.  page: where the page is, likewise.
    """

    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    control: str = ""
    page: str = ""
