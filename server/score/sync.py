"""What a scene, or the command line, says of who leads the tempo."""

from __future__ import annotations

from dataclasses import dataclass, replace

from engines.base import Mistake, meant

from .table import Table

SOURCES = ("internal", "midi", "link")
LOST = ("hold", "stop")


@dataclass(frozen=True)
class SyncSpec:
    """Who leads.

    source: ourselves, a MIDI clock, or an Ableton Link session.  input: part of the name of the
    clock's port, or "virtual".  transport: whether start, stop and the like are followed too.
    patience: ns without a clock until it is lost.  lost: what to do then, go on or stop.
    """

    source: str = "internal"
    input: str = "virtual"
    transport: bool = True
    patience: int = 2 * 10**9
    lost: str = "hold"


def read_sync(table: Table | None) -> SyncSpec:
    """`[sync]`: source, input, transport, patience, lost. What is wrong is noted in the table."""
    if table is None:
        return SyncSpec()
    source = table.choice("source", "internal", SOURCES)
    spec = SyncSpec(
        source,
        table.text("input") or "virtual",
        table.flag("transport", source != "link"),
        round(table.number("patience", 2, 0.5, 60) * 1e9),
        table.choice("lost", "hold", LOST),
    )
    table.end()
    return spec


def wrong_source(wish: str) -> str:
    """Says what a source may be, and which was meant."""
    near = meant(wish.partition(":")[0], SOURCES).strip()
    return f"expected internal, midi, midi:PORT or link, got {wish!r}{near and f'; {near}'}"


def asked(spec: SyncSpec, wish: str) -> SyncSpec:
    """What `--sync` makes of it: internal, link, midi, or midi:PORT. Errors: Mistake."""
    if not wish:
        return spec
    source, colon, port = wish.partition(":")
    if source not in SOURCES or (colon and source != "midi"):
        raise Mistake("--sync", wrong_source(wish))
    same = source == spec.source
    transport = spec.transport if same else source != "link"
    return replace(spec, source=source, input=port or spec.input, transport=transport)
