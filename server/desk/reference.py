"""The printed reference of every address: `python -m server.desk.reference > docs/addresses.md`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engines.base import unknown
from server.band.bands import Bands
from server.concert.clock import JumpClock
from server.concert.player import Player
from server.ensemble.rack import Numbers
from server.score.mapping import MapSpec
from server.score.scene import Scene, load_scene

from .desk import Desk
from .folio import Folio
from .midi import amiss
from .playing import part_by_hand
from .sent import SENT
from .sessions import Sessions
from .tree import Argument, Node, Value

OBEYS = """\
# Addresses

Printed by `python -m server.desk.reference` from the tree itself; edit that, not this.

## What Componium obeys

OSC messages to UDP port 1821 of this machine. Arguments in brackets may be left out; NAME is
a part or a live control of the scene that plays.

| address | arguments | default | takes effect | needs | what it does |
|---|---|---|---|---|---|
"""

RULES = """
* Type tags: `f` number, `i` whole number, `T` on or off, `s` text. Any kind of number is taken
  for another (`i`, `h`, `f`, `d`); on or off may be `T`, `F` or a number, on from 0.5.
* A number outside its range is taken as the nearest inside it, and the receipt says so; but a
  seed is refused, as the nearest one is other music. NaN, infinities, wrong types and surplus
  arguments are refused, and then nothing is done.
* A part's `octave` moves what it plays and its `range` with it, by whole octaves.
* *Default*: how it is where nobody has asked for anything and the scene does not say otherwise.
* *Takes effect*: when, if no `when` is said; —: at once. `own` is the stinger's own moment, `grid`
  the next line of the part's grid.
* *Needs*: the role that whoever sends it must have ([web](web.md)); OSC from this machine has
  `control`.
* `when` is `now`; the next `beat`, `bar`, `phrase` or `section`; a multiple since the scene
  began, such as `2 beats` or `4 bars`; so many lines from now, `in 3 beats`; a place, `beat 3` or
  `bar 17`; or `cue NAME`, the next bar that the scene's author has given that name.
* A command without arguments takes one number, as buttons send it; 0, its release, does nothing.
* `/stop` and `/panic` go before everything else and are never dropped; a start that came just
  before them does not happen.
* Each command is answered by receipts (below), if its sender is on this machine. A button that
  bounces, the same `/scene` or `/seed` within 250 ms, counts once and is answered once.
* What a bundle says, with the bundles in it, is done at one moment or not at all: if one of its
  messages is refused, all are, and each gets a receipt that says so. With a `/scene` in it, of
  which a bundle takes one, all of it waits until that has been loaded. Only `/stop` and `/panic`
  do not wait for the rest. Time tags are not waited for.
* An address may be a pattern as of OSC 1.0, with at most 8 of `* ? [] {}`:
  `/componium/part/*/mute 1` mutes every part, each with a receipt of its own, all or none as in a
  bundle. It means controls that are set (tempo, strips, live controls), 64 at most, and of one
  band; what is done, such as `/stop`, has to be named.
* Of values that a bundle gives the same control for now, the last is set; the others are answered
  `superseded`.
* A `/seed` that comes while a scene is being loaded is meant for that scene and waits for it.
* A datagram holds at most 8 KiB, 64 elements, bundles 4 deep, 64 arguments a message, addresses
  of 255 bytes and texts of 1 KiB; no blobs. A message in it that is
  malformed spoils all of it, and is not answered.
* Of one sender 5,000 messages a second are taken, of all together 10,000; what is beyond is
  dropped, counted and reported. In a flood the last value of a control wins, and of bundles that
  set the same controls the last one. A sender that repeats one message more than 500 times a
  second is muted, as a feedback loop.

## What Componium sends

To the OSC outputs of the scene and of `--osc`, under the `prefix` of the output, which is
`/componium` unless the scene says otherwise; receipts go to whoever sent the command.
With `timing = "stamp"` two integers stand before these arguments: wall time in seconds since
1970, and microseconds.

| address | arguments | when |
|---|---|---|
"""


def reference() -> str:
    """Every address that is obeyed or sent, as Markdown."""
    desk = Desk(Player(JumpClock()), lambda path, style: load_scene(Path(path), style))
    nodes = [
        *desk.common_nodes(),
        desk.writing_node(Folio(Path())),
        *desk.part_nodes("NAME"),
        *part_by_hand(desk.player, "NAME"),
    ]
    nodes += [desk.rules_node("NAME"), desk.control_node("NAME")]
    bands = Bands(desk.player.clock, {}, Numbers())
    nodes += Sessions(desk, bands, lambda path, style, target: load_scene(Path(path))).nodes()
    obeyed = "".join(map(_row, nodes))
    sent = "".join(
        f"| `/componium{each.address}` | {each.arguments} | {each.when} |\n" for each in SENT
    )
    return OBEYS + obeyed + RULES + sent


def obeyed(
    scene: Scene, beside: Path | None = None
) -> tuple[Callable[[MapSpec], tuple[str, str]], set[str]]:
    """What is wrong with a mapping while a scene plays, and which scenes may be asked for.

    beside: the folder of the scene's file.  Of what is wrong the key is told too, "" for nothing.
    """
    player = Player(JumpClock())
    desk = Desk(player, lambda path, style: load_scene(Path(path), style), beside)
    player.cue(scene)

    def wrong(spec: MapSpec) -> tuple[str, str]:
        node = desk.tree.get(spec.to)
        if node is None:
            return "to", desk.tree.lost(spec.to)
        names = [each.name for each in node.arguments]
        if spec.argument and spec.argument not in names:
            return "argument", unknown("argument", spec.argument, names)
        problem = amiss(spec, node, desk.named)
        return ("args" if problem else ""), problem

    return wrong, set(desk.scenes())


def _row(node: Node) -> str:
    arguments = ", ".join(map(_argument, node.arguments)) or "—"
    default = ""
    if node.default is not None:
        value = node.default()
        default = " ".join(map(_plain, value)) if value is not None else "the scene's"
    row = [f"`{node.address}`", arguments, default or "—", node.quantum or "—", node.role]
    return f"| {' | '.join([*row, node.about])} |\n"


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _argument(argument: Argument) -> str:
    words = (argument.type, argument.name, argument.span, argument.unit)
    text = " ".join(filter(None, words))
    if argument.about and argument.name != "when":
        text += f" ({argument.about})"
    if argument.default is None:
        return text
    if argument.type == "s":
        return f"[{text} = {argument.default}]"
    return f"[{text} = {argument.default:g}]"


if __name__ == "__main__":
    print(reference(), end="")
