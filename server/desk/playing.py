"""The part of the tree for what a game plays itself: stingers, gestures, single notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from server.band.hands import GRID, OWN, Hands
from server.concert.player import Player
from server.ensemble.encode import osc_name
from server.score.stinger import parse_moment

from .tree import Argument, Node, Told

PREFIX = "/componium"


def playing_nodes(player: Player, keep: Callable[[Told], None]) -> Iterator[Node]:
    """What is there whatever the scene. keep: saves what was learnt, and tells when it has."""
    hands = Hands(player)

    def names() -> list[str]:
        scene = player.scene
        return [] if scene is None else [each.part.name for each in scene.stingers]

    yield Node(
        f"{PREFIX}/stinger",
        "A stinger of the scene sounds, in the key and chord of its moment.",
        lambda told, name, when: hands.stinger(name, when, told),
        (Argument("name", "s", choices=names), _moment(OWN)),
        lambda: player.ahead.said["/stinger"][:1] if "/stinger" in player.ahead.said else None,
        concerns=("stinger",),
        moment=hands.moment_of,
    )
    yield Node(
        f"{PREFIX}/feedback",
        "What has just sounded was liked or not: the engines behind it bend to that, for a while.",
        lambda told, amount, part: hands.feedback(amount, part),
        (
            Argument("amount", "i", "liked or disliked", -1, 1),
            Argument("part", "s", "one part alone", default=""),
        ),
    )
    yield Node(
        f"{PREFIX}/feedback/save",
        "Write what feedback has taught into a file, which `--taste` names.",
        keep,
        role="edit",
        later=True,
    )


def part_by_hand(player: Player, name: str) -> Iterator[Node]:
    """How a part with a playable engine is played."""
    hands = Hands(player)
    height = Argument("height", "f", "low to high", 0, 1)
    energy = Argument("energy", "f", "soft to hard", 0, 1)
    yield Node(
        f"{PREFIX}/part/{osc_name(name)}/gesture",
        "What the hand of a playable part does, heard from its next note on.",
        lambda told, pulse, high, hard: hands.gesture(name, pulse, high, hard),
        (Argument("pulse", "f", "notes a beat, 0 is silence", 0, 8), height, energy),
        continuous=True,
        concerns=("part", name, "gesture"),
    )
    yield Node(
        f"{PREFIX}/part/{osc_name(name)}/hit",
        "One note of a playable part, in key and chord.",
        lambda told, high, hard, when: hands.hit(name, high, hard, when, told),
        (height, energy, _moment(GRID)),
        concerns=("part", name, "hit"),
        moment=lambda high, hard, when: hands.grid_of(name, when),
    )


def _moment(own: str) -> Argument:
    """The argument that says when: a moment, a note value for its next line, or the own one."""

    def check(text: str) -> None:
        if text != own:
            parse_moment(text)

    return Argument("when", "s", default=own, check=check)
