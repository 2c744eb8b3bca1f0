"""The part of the tree that says who leads the tempo, and how well we follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from server.score.sync import SOURCES
from server.sync.source import Sync

from .tree import Argument, Node, Value

PREFIX = "/componium"


def sync_nodes(sync: Sync) -> Iterator[Node]:
    """What is there whatever the scene."""

    def reading(name: str, about: str, value: Callable[[], Value]) -> Node:
        return Node(
            f"{PREFIX}/sync/{name}",
            f"Answer to the sender {about}",
            lambda told: str(value()),
            role="view",
            value=lambda: (value(),),
        )

    yield Node(
        f"{PREFIX}/sync",
        "Who leads the tempo from now on: internal, midi, midi:PORT or link. No beat jumps.",
        lambda told, source: sync.use(source),
        (Argument("source", "s", choices=lambda: SOURCES),),
        lambda: (sync.source,),
        lambda: (sync.player.scene.sync.source if sync.player.scene is not None else "internal",),
    )
    yield reading(
        "state",
        "how the source is: leading (ourselves); waiting, locking, locked, free or lost (a MIDI "
        "clock); joining, alone or linked (Link).",
        lambda: sync.state,
    )
    yield reading("peers", "how many others are in the Link session.", lambda: sync.peers)
    yield reading(
        "tempo",
        "the source's tempo; 0 where we lead ourselves.",
        lambda: round(sync.bpm, 2) if sync.source != "internal" else 0.0,
    )
    yield reading(
        "error",
        "by how many milliseconds we are later than the source, and on our way to it.",
        lambda: round(sync.error, 3),
    )
    yield reading(
        "jitter",
        "by how many milliseconds a MIDI clock's pulses stray (standard deviation).",
        lambda: round(sync.jitter, 3),
    )
    yield Node(
        f"{PREFIX}/nudge",
        "Everything sounds so many milliseconds later, or earlier; it gets there smoothly.",
        lambda told, ms: sync.nudge(ms),
        (Argument("ms", "f", "later; negative: earlier", -500, 500, "ms"),),
        lambda: (round(sync.player.nudged / 1e6, 3),),
        lambda: (0.0,),
        continuous=True,
    )
    yield Node(
        f"{PREFIX}/tap",
        "Tap the tempo: the median of the last taps, from the second on. After 2 s of rest a tap "
        "is the first.",
        lambda told, align: sync.tap(align),
        (Argument("align", "T", "1: beats come with the taps, too", default=False),),
    )
