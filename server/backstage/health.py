"""How the wires and the desk are, for whoever shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MUTE = 2 * 10**9  # ns without a word after which a wire is not well


@dataclass
class Health:
    """stats: what each kind of wire says of itself, see `server.wire.machine`.

    control: where control by OSC is heard, "" where it is not.  page: where the page is, likewise.
    restarts: how often a wire of each kind has died.  heard: the ns at which each was heard last.
    mqtt: whether a broker is there.
    reload_ok: whether the scene was right when its files were last read again; None before that.
    """

    stats: dict[str, dict[str, Any]] = field(default_factory=dict)
    control: str = ""
    page: str = ""
    reload_ok: bool | None = None
    mqtt: bool = False
    restarts: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)

    def unwell(self, now: int) -> list[str]:
        """The wires that have said nothing for 2 s. now: monotonic ns."""
        return [wire for wire, at in self.heard.items() if now - at > MUTE]

    def told(self) -> dict[str, dict[str, Any]]:
        """How each wire that has sent anything is: how much, and how late in milliseconds."""
        told = {}
        for kind, stats in list(self.stats.items()):
            if stats.get("sent"):
                middle, most = (quantile(stats["lateness"], share) for share in (0.5, 0.99))
                told[kind] = {
                    "sent": stats["sent"],
                    "middle": middle / 1e3,
                    "most": most / 1e3,
                    "worst": round(stats["worst"] / 1e6, 3),
                    "lost": lost(stats),
                }
        return told


def lost(stats: Mapping[str, Any]) -> int:
    """How much a wire could not send, or too late to be of use."""
    return sum(int(stats.get(word, 0)) for word in ("late", "thinned", "refused"))


def quantile(counts: list[int], share: float) -> int:
    """The bound, in µs, below which so large a share lies; counts are by 10, 20, 40, … µs."""
    wanted, seen = share * sum(counts), 0
    for number, count in enumerate(counts):
        seen += count
        if seen >= wanted:
            return 10 << number
    return 10 << len(counts)
