"""The desk: the tree of a player's parameters and commands, and what happens when one is called.

Every transport calls `Desk.receive`; nothing a message says reaches the player but through here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import ReferenceType, ref

from engines.base import Mistake, meant, unknown
from engines.performer import Playable
from server.band.bands import band_in
from server.band.keyboard import Keyboard
from server.concert.cast import setting_of
from server.concert.changes import SCENE, SEED, Change, Receipt
from server.concert.journal import Troubled
from server.concert.player import Player
from server.ensemble.agenda import Agenda
from server.ensemble.encode import osc_name, whole
from server.ensemble.mixer import Strip
from server.ensemble.part import Part, PartSpec
from server.score.scene import Scene, playable
from server.score.stinger import Sting
from server.score.style import is_style, shipped
from server.score.when import parse_when
from server.sync.source import Sync

from .conducting import conducting_nodes
from .folio import Folio
from .midi import Mappings, MidiControl, midi_nodes
from .pattern import is_pattern
from .playing import part_by_hand, playing_nodes
from .sent import is_echo, is_sent
from .syncing import sync_nodes
from .taping import Taping
from .tree import (
    LONGEST,
    LONGEST_RULES,
    ROLES,
    Argument,
    Node,
    Role,
    Told,
    Tree,
    Value,
    shown,
)

if TYPE_CHECKING:
    from .sessions import Sessions

PREFIX = "/componium"
RECEIPT = PREFIX + "/receipt"
DOUBLE = 250_000_000  # ns within which a repeated command is the same press of a button
SENDERS = 1024  # senders whose last command is remembered
PATIENCE = 5.0  # s for another band's scene
ROOM = 60_000_000  # ns that a boundary must be away for a scene to be planned in time for it
_TURN = Lock()
#: Scenes that have just been rehearsed, as long as anybody has them.
_RIGHT: deque[ReferenceType[Scene]] = deque(maxlen=8)
SILENCE = 5 * 10**9  # ns between two complaints of one kind


@dataclass(frozen=True)
class Source:
    """Who is calling.

    name: unique among senders.  role: what the sender may do.
    answer: called with an address and values; None where no answer may be sent.
    """

    name: str
    role: Role = "control"
    answer: Callable[[str, tuple[Value, ...]], None] | None = field(default=None, compare=False)


class _Order(NamedTuple):
    """A command that has been found right. values, note: as of `Call`."""

    node: Node
    values: tuple[Value, ...]
    note: str
    source: Source

    @property
    def topic(self) -> str:
        """What it concerns, such as "part/bass/mute"."""
        return "/".join(self.node.concerns)

    @property
    def kind(self) -> tuple[str, ...]:
        """What kind of thing that is, such as "part"."""
        return self.node.concerns[:1]

    @property
    def change(self) -> tuple[tuple[str, ...], str]:
        """What it concerns and when, for the player to judge."""
        return self.node.concerns, self.node.moment(*self.values)


class _Wish(NamedTuple):
    """A scene that somebody wants loaded, and all that is to be done at one moment with it.

    kind: "scene", "style" for the one that plays in another style, "rules" for the one that
    plays with other rules for a part, where `name` is their text, or "text" for one that somebody
    has written.
    """

    kind: str
    name: str
    orders: list[_Order]


class Complaints:
    """Tells the journal what goes wrong, of each kind at most once in five seconds.

    Law: nothing is lost count of: each entry says how many more there were since the last.
    """

    def __init__(self, enter: Callable[[Troubled], None], now: Callable[[], int]) -> None:
        self._enter, self._now = enter, now
        self._waiting: dict[str, tuple[int, str]] = {}
        self._said: dict[str, int] = {}

    def add(self, kind: str, text: str) -> None:
        """kind: one of a few fixed words; the newest text of each kind is told."""
        self._waiting[kind] = self._waiting.get(kind, (0, ""))[0] + 1, text
        self.flush()

    def flush(self) -> bool:
        """Tell what may be told by now; whether something still has to wait."""
        now = self._now()
        for kind, (number, text) in list(self._waiting.items()):
            if now - self._said.get(kind, now - SILENCE) >= SILENCE:
                self._said[kind] = now
                del self._waiting[kind]
                more = f" ({number - 1} more {kind} since the last word)" if number > 1 else ""
                self._enter(Troubled("desk", text + more))
        return bool(self._waiting)


def plain(text: str) -> str:
    """A text that any log or datagram can carry: printable, one line, at most 500 characters."""
    text = text[:LONGEST]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


@contextmanager
def in_turn() -> Iterator[None]:
    """Scenes are made ready one at a time, whichever band wants them, on whatever threads.

    A hundred threads that all compute would keep the music from its own turn. Law: one that hangs
    holds up each of the others for five seconds at most.
    """
    mine = _TURN.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        if mine:
            _TURN.release()


def rehearse(scene: Scene) -> None:
    """Plan a scene's first bar, and its stingers, off stage. Errors: Mistake where one fails.

    Where the same music has just been found right, as by another band, nothing.
    """
    if any((each := known()) is not None and _same(scene, each) for known in tuple(_RIGHT)):
        return
    setting = setting_of(scene)
    ids = count(1)
    parts = [Part(spec, setting, ids.__next__) for spec in scene.parts]
    _, troubles = Agenda(parts).plan(scene.meters.beat_of_bar(2))
    if troubles:
        raise Mistake(f"parts.{troubles[0].part}", troubles[0].text)
    for spec in scene.stingers:
        _, troubles = Sting.tried(spec, setting, ids.__next__)
        if troubles:
            raise Mistake(f"stingers.{troubles[0].part}", troubles[0].text)
    _RIGHT.append(ref(scene))


def _same(one: Scene, other: Scene) -> bool:
    """Whether two scenes that were read once differ in where they go at most."""
    alike = one.sheet is other.sheet and (one.seed, one.themes) == (other.seed, other.themes)
    return alike and one.sheet is not None and all(map(_plays, one.ensemble, other.ensemble))


def _plays(one: PartSpec, other: PartSpec) -> bool:
    return one.engine is other.engine and one.reading is other.reading


def moment(quantum: str) -> Argument:
    """The argument that says when a change takes effect."""
    about = "now, beat, bar, phrase, section, or such as '4 bars'"
    return Argument("when", "s", about, default=quantum, check=parse_when)


class Desk:
    """The tree of one player, kept in step with its scene.

    load: reads and checks a scene's file, given its path and a style or "", and patches it as
    the command line wants; it is called off the loop.  folder: where the started scene lies; its
    scenes may be asked for by name, besides the shipped ones.  keep: saves what feedback has
    taught, and calls back with "done" and where, or "refused" and why; None where it is not to be
    saved.  keep_theme: adds a theme by its name, or all for "", to a file.
    keyboard: the MIDI inputs.  mappings: what was learnt of them.  sync: who leads the tempo.
    taping: keeps takes.  folio: keeps scenes that are written; None where none may be.
    """

    def __init__(
        self,
        player: Player,
        load: Callable[[str, str], Scene],
        folder: Path | None = None,
        keep: Callable[[Callable[[str, str], None]], None] | None = None,
        keep_theme: Callable[[str], str] | None = None,
        keyboard: Keyboard | None = None,
        mappings: Mappings | None = None,
        sync: Sync | None = None,
        taping: Taping | None = None,
        folio: Folio | None = None,
    ) -> None:
        self._folio = folio
        self._saving, self._saving_theme = keep, keep_theme
        self.folder = folder
        self.sessions: Sessions | None = None  # the bands beside this one
        #: Waits until there is time to make a scene ready.
        self.calm: Callable[[], Awaitable[None]] = _no_wait
        self.answers = 0  # receipts so far: while that stands, nobody has changed anything
        self.last: tuple[Value, ...] | None = None  # receipt that anybody had
        self.player, self._load, self._folder = player, load, folder
        self.complaints = Complaints(player.journal.enter, player.clock.now)
        self.keyboard = keyboard or Keyboard(player)
        self.sync = sync or Sync(player)
        self.midi = MidiControl(self, Source, mappings)
        self.taping = taping or Taping(player)
        self._tree, self._tree_of = Tree(self._nodes()), player.scene
        self._last: dict[str, tuple[list[tuple[str, tuple[Value, ...]]], int]] = {}
        self._wishes: dict[str, _Wish] = {}  # by what was asked for them, in turn
        self._loader: asyncio.Task[None] | None = None
        self._armed: list[tuple[_Order, Receipt]] = []

    # The tree ---------------------------------------------------------------------------

    @property
    def tree(self) -> Tree:
        """The nodes there are, those of the current scene's parts and controls among them."""
        if self._tree_of is not self.player.scene:
            self._tree, self._tree_of = Tree(self._nodes()), self.player.scene
        return self._tree

    def known(self, address: str) -> Node | None:
        """The node at an address when the tree was last looked at: for a flood, without a look."""
        node = self._tree.get(address)
        if node is None and self.sessions is not None:
            return self.sessions.known(address)
        return node

    def reached(self, address: str) -> tuple[str, ...]:
        """The controls that an address pattern means; where it means none, or is none, itself."""
        if not is_pattern(address):
            return (address,)
        if self.sessions is not None and band_in(address):
            return self.sessions.reached(address)
        try:
            return self.tree.matching(address)
        except Mistake:
            return (address,)

    def attach(self, sessions: Sessions) -> None:
        """Have bands beside the one of this desk, and commands for them in its tree."""
        self.sessions = sessions
        self._tree = Tree(self._nodes())

    def _nodes(self) -> Iterator[Node]:
        yield from self.common_nodes()
        if self.sessions is not None:
            yield from self.sessions.nodes()
        if self._folio is not None:
            yield self.writing_node(self._folio)
        player, scene = self.player, self.player.scene
        if scene is not None:
            for part in scene.ensemble:
                yield from self.part_nodes(part.name)
                if scene.rules(part.name):
                    yield self.rules_node(part.name)
                if isinstance(part.engine, Playable):
                    yield from part_by_hand(player, part.name)
            for control in scene.controls:
                yield self.control_node(control)

    def common_nodes(self) -> Iterator[Node]:
        """What is there whatever the scene."""
        player = self.player
        yield Node(
            f"{PREFIX}/play",
            "Play the scene from its beginning; while it plays, nothing.",
            lambda told: player.play(),
            value=lambda: (player.playing,),
            starts=True,
            ready=self._playable,
        )
        yield Node(
            f"{PREFIX}/stop",
            "Halt, with every sounding note ended.",
            lambda told: player.stop(),
            urgent=True,
        )
        yield Node(
            f"{PREFIX}/continue",
            "Go on from where it halted, on the next sixteenth.",
            lambda told: player.resume(),
            starts=True,
            ready=self._playable,
        )
        yield Node(
            f"{PREFIX}/panic",
            "Stop, and tell every synth to be quiet in every way it may understand.",
            lambda told: player.panic(),
            urgent=True,
        )
        yield Node(
            f"{PREFIX}/tempo",
            "A new tempo, at once or as a ramp; no beat jumps.",
            lambda told, bpm, over, when: player.tempo(bpm, _beats(over), when, told),
            (
                Argument(
                    *("tempo", "f", "quarter notes a minute", 20, 999, "bpm"), fader=(40.0, 240.0)
                ),
                Argument("beats", "f", "quarter notes until it is reached", 0, 4096, "beats", 0.0),
                moment("now"),
            ),
            self._tempo,
            lambda: (float(player.scene.tempo),) if player.scene is not None else None,
            continuous=True,
            concerns=("tempo",),
        )
        yield Node(
            f"{PREFIX}/scene",
            "Another scene takes over: a shipped one, or one from the folder of the scene that "
            "was started; or a style alone, by its name. Its own name reads it again. It is loaded "
            "while the old one plays.",
            self._change_scene,
            (
                Argument("name", "s", "a scene's name, without .toml", choices=self._offered),
                moment("bar"),
            ),
            lambda: (player.scene.name if player.scene is not None else "",),
            once=True,
            loads="scene",
            concerns=SCENE,
        )
        yield Node(
            f"{PREFIX}/seed",
            "The scene that plays at that moment begins anew with another seed; with the one it "
            "has, nothing. A scene that is to begin at the same moment begins with this seed; one "
            "that is to begin later still does.",
            lambda told, seed, when: player.reseed(seed, when, told),
            (Argument("seed", "i", "", 0, 2**63 - 1, clamped=False), moment("bar")),
            lambda: (player.scene.seed if player.scene is not None else 0,),
            once=True,
            concerns=SEED,
            ready=self._playable,
        )

        yield Node(
            f"{PREFIX}/style",
            "The scene goes on in another style: another ensemble, the same themes, mood and form.",
            self._change_scene,
            (
                Argument("name", "s", "a style's name", choices=lambda: shipped("styles")),
                moment("phrase"),
            ),
            lambda: (player.scene.style if player.scene is not None else "",),
            once=True,
            loads="style",
            concerns=SCENE,
            ready=self._playable,
        )
        yield from conducting_nodes(player, moment, self._call_off, self._keep_theme)
        yield from playing_nodes(player, self._keep)
        yield from midi_nodes(self.midi, self.keyboard)
        yield from self.taping.nodes()
        yield from sync_nodes(self.sync)

    def part_nodes(self, name: str) -> Iterator[Node]:
        """The strip of one part."""
        now = moment("now")
        for field_name, argument, about in (
            ("mute", Argument("mute", "T"), "Silence the part; it goes on unheard."),
            ("solo", Argument("solo", "T"), "While any part is soloed, only those sound."),
            ("level", Argument("level", "f", "", 0, 2), "Factor on how loud it plays."),
            ("density", Argument("density", "f", "", 0, 1), "Share of its notes that sound."),
            ("octave", Argument("octave", "i", "", -4, 4, "octaves"), "Octaves up or down."),
        ):
            yield Node(
                f"{PREFIX}/part/{osc_name(name)}/{field_name}",
                about,
                self._setting(name, field_name),
                (argument, now),
                self._standing(name, field_name),
                self._untouched(name, field_name),
                continuous=True,
                concerns=("part", name, field_name),
            )

    def rules_node(self, name: str) -> Node:
        """The text in which a part's music is written."""
        player = self.player

        def act(told: Told, scene: Scene, when: str) -> None:
            player.rewrite(name, scene, when, told)

        return Node(
            f"{PREFIX}/part/{osc_name(name)}/rules",
            "The part goes on by other rules, given as a text, and the other parts play on; of a "
            "part without rules, by its text. Refused with line and column where they are not "
            "right. The scene's file stays as it is.",
            act,
            (Argument("rules", "s", longest=LONGEST_RULES), moment("bar")),
            lambda: (player.scene.rules(name) if player.scene is not None else "",),
            role="edit",
            loads="rules",
            bulky=True,
            concerns=("part", name, "rules"),
        )

    def writing_node(self, folio: Folio) -> Node:
        """The whole text of a scene."""
        player = self.player

        def value() -> tuple[Value, ...]:
            scene = player.scene
            sheet = scene.sheet if scene is not None else None
            if scene is None or sheet is None:
                return ("my-scene", "")
            return (folio.name_for(scene), sheet.text)

        def act(told: Told, scene: Scene, text: str, when: str) -> None:
            self._change_scene(told, scene, when)

        return Node(
            f"{PREFIX}/scene/write",
            "Keep a text as a scene of this name, in the folder of the scene that was started, or "
            "in yours where that is a shipped one, and go on as it says. Where it is not right it "
            "is refused, with line and column, and no file is written. No shipped scene's name may "
            "be taken.",
            act,
            (
                Argument("name", "s", "letters, digits, _ and -"),
                Argument("text", "s", "of the file", longest=LONGEST_RULES),
                moment("bar"),
            ),
            value,
            role="edit",
            loads="text",
            bulky=True,
            concerns=SCENE,
        )

    def control_node(self, name: str) -> Node:
        """A live control of the scene, as its engines read it."""
        player = self.player

        def value() -> tuple[Value, ...]:
            return (player.setting.values.get(name, 0.0) if player.setting is not None else 0.0,)

        return Node(
            f"{PREFIX}/control/{name}",
            "A live control of the scene, heard from the next symbol on.",
            lambda told, value, when: player.control(name, value, when, told),
            (Argument("value", "f", "", -1_000_000, 1_000_000), moment("now")),
            value,
            lambda: (player.scene.controls[name],) if player.scene is not None else None,
            continuous=True,
            concerns=("control", name),
        )

    def _tempo(self) -> tuple[Value, ...]:
        line = self.player.timeline
        return (float(line.tempo_at(line.beat_at(self.player.clock.now()))),)

    def _setting(self, name: str, field_name: str) -> Callable[..., None]:
        def act(told: Told, value: Value, when: str) -> None:
            assert not isinstance(value, str)
            self.player.strip(name, field_name, value, when, told)

        return act

    def _standing(self, name: str, field_name: str) -> Callable[[], tuple[Value, ...]]:
        def value() -> tuple[Value, ...]:
            asked: Value = getattr(self.player.strips().get(name, Strip()), field_name)
            return (asked,)

        return value

    def _untouched(self, name: str, field_name: str) -> Callable[[], tuple[Value, ...]]:
        """How the scene itself has a part's strip."""

        def value() -> tuple[Value, ...]:
            ensemble = self.player.scene.ensemble if self.player.scene is not None else ()
            plain = next((Strip.of(spec) for spec in ensemble if spec.name == name), Strip())
            found: Value = getattr(plain, field_name)
            return (found,)

        return value

    # Receiving --------------------------------------------------------------------------

    def receive(self, address: str, args: Sequence[object], source: Source) -> None:
        """Do what one message asks, as `receive_all`."""
        self.receive_all([(address, args)], source)

    def receive_all(self, messages: Sequence[tuple[str, Sequence[object]]], source: Source) -> None:
        """Do what messages ask, all at one moment or none at all, and send receipts.

        A message that is not right has all of them refused, each by a receipt of its own. One whose
        address is a pattern counts as one for each control that it means.  What is
        meant for a band beside this one is handed on.  Never raises.
        """
        if self.sessions is not None and self.sessions.take(messages, source):
            return
        messages = [(each, args) for address, args in messages for each in self.reached(address)]
        orders: list[_Order] = []
        wrong: dict[int, str] = {}
        for nth, (address, args) in enumerate(messages):
            try:
                orders += self._found_right(address, args, source)
            except Mistake as mistake:
                wrong[nth] = str(mistake)
            except Exception as error:  # the show goes on, whatever a command runs into
                wrong[nth] = f"went wrong: {error!r}"
        if not wrong and orders:
            try:
                with self.player.together():
                    if why := self._hindrance(orders):
                        wrong = dict.fromkeys(range(len(messages)), why)
                    elif not self._repeated(orders, source):
                        self._take_on(orders)
            except Mistake as mistake:  # a moment that never comes
                wrong = dict.fromkeys(range(len(messages)), str(mistake))
            except Exception as error:
                wrong = dict.fromkeys(range(len(messages)), f"went wrong: {error!r}")
        if wrong:
            self._refuse_all(messages, wrong, source)

    def _found_right(
        self, address: str, args: Sequence[object], source: Source
    ) -> Iterator[_Order]:
        """The order that a message is; none where a button was merely released."""
        node = self.tree.get(address)
        if node is None:
            if is_pattern(address):
                self.tree.matching(address)
            raise Mistake("", self.tree.lost(address))
        if ROLES.index(source.role) < ROLES.index(node.role):
            raise Mistake("", f"needs the role {node.role}; {source.name} has {source.role}")
        call = node.read(args)
        if call is not None:
            node.ready()
            yield _Order(node, *call, source)

    def _hindrance(self, orders: list[_Order]) -> str:
        """Why these cannot all be done although each is right by itself; "" where they can."""
        if sum(bool(order.node.loads) for order in orders) > 1:
            return "a bundle takes one scene"
        return self.player.refusal(order.change for order in orders if order.node.quantum)

    def _refuse_all(
        self,
        messages: Sequence[tuple[str, Sequence[object]]],
        wrong: dict[int, str],
        source: Source,
    ) -> None:
        whose = plain(messages[next(iter(wrong))][0])
        setting = self.player.setting
        words = setting.conductor.words if setting is not None else ()
        for nth, (address, args) in enumerate(messages):
            if is_echo(address, args, words) or (
                is_sent(address) and self.tree.get(address) is None
            ):
                # No answer: two Componiums must not send each other refusals for ever.
                self.complaints.add(
                    "echoes",
                    f"{source.name} sends {plain(address)}, which Componium itself sends; "
                    "does an output lead back to the control port?",
                )
            elif nth in wrong:
                self._refuse(address, wrong[nth], source)
            else:
                self.answer(source, address, "refused", reason=f"its bundle is, for {whose}")

    def _take_on(self, orders: list[_Order]) -> None:
        """Do this now, or when the scene has been loaded that it needs or is meant for."""
        scene = next((order for order in orders if order.node.loads), None)
        if scene is not None:
            self._wish_for(scene, orders)
        elif (to_come := self._scene_to_come) is not None and any(
            order.node.concerns == SEED for order in orders
        ):
            to_come.orders.extend(orders)
        else:
            self._carry_out(orders)

    def _carry_out(self, orders: list[_Order], scene: Scene | None = None) -> None:
        """Do this within the player's `together`. scene: what was loaded for it.

        Of values that one message after another gives the same control for now, the last is set.
        """
        self._note(orders, scene)
        last = {order.node.address: order for order in orders if _at_once(order)}
        for order in orders:
            node, values = order.node, order.values
            if last.get(node.address, order) is not order and _at_once(order):
                why = "by a later message of its bundle"
                self.answer(order.source, node.address, "superseded", reason=why)
                continue
            try:
                handed = (scene, *values[1:]) if node.loads else values
                said = node.act(self._told(order), *handed)
                if not node.quantum and not node.later:
                    bar = self.player.moment(self.player.now_beat).bar
                    note = order.note or (said if isinstance(said, str) else "")
                    self.answer(order.source, node.address, "done", bar, note)
            except Mistake as mistake:
                self._refuse(node.address, str(mistake), order.source)
            except Exception as error:
                self._refuse(node.address, f"went wrong: {error!r}", order.source)

    def _note(self, orders: list[_Order], scene: Scene | None) -> None:
        """Have the log know."""
        if self.player.noting is None:
            return
        asked = [
            [order.node.address, *order.values]
            for order in orders
            if not order.node.address.startswith(f"{PREFIX}/session/")  # no music of this player's
        ]
        if not asked:
            return
        data: dict[str, object] = {"from": orders[0].source.name, "orders": asked}
        if scene is not None and scene.script is not None:
            data["scene"] = scene.recipe
        self.player.note("do", **data)

    def again(
        self, asked: Iterable[tuple[str, tuple[Value, ...]]], scene: Scene | None, source: Source
    ) -> None:
        """Do what a log says was done. Errors: Mistake where there is no such address."""
        orders = []
        for address, values in asked:
            node = self.tree.get(address)
            if node is None:
                raise Mistake(address, self.tree.lost(address))
            orders.append(_Order(node, values, "", source))
            if node.loads == "rules":
                scene = self._playable().rewritten(node.concerns[1], str(values[0]))
        with self.player.together():
            self._carry_out(orders, scene)

    def _told(self, order: _Order) -> Told:
        def told(receipt: Receipt) -> None:
            self._armed = [each for each in self._armed if each[1] is not receipt]
            if receipt.state == "armed":
                self._armed.append((order, receipt))
            reason = receipt.reason or order.note
            self.answer(order.source, order.node.address, receipt.state, receipt.bar, reason)

        return told

    def armed(self) -> Iterator[tuple[Change, Node, tuple[Value, ...]]]:
        """What waits for its moment, with the node and the arguments by which it was asked for."""
        orders = {id(receipt): order for order, receipt in self._armed}
        for change in self.player.changes:
            order = orders.get(id(change.receipt))
            if order is not None:
                yield change, order.node, order.values

    def answer(
        self, source: Source, address: str, state: str, bar: float = 0.0, reason: str = ""
    ) -> None:
        """Send a receipt. bar: 0 where nothing takes effect."""
        self.answers += 1
        self.last = (plain(address), state, float(bar), plain(reason))
        if source.answer is not None:
            source.answer(RECEIPT, self.last)

    def _refuse(self, address: str, reason: str, source: Source) -> None:
        self.answer(source, address, "refused", reason=reason)
        self.complaints.add("refused", plain(f"{address} refused: {reason}"))

    def _repeated(self, orders: list[_Order], source: Source) -> bool:
        """Whether this is what its sender asked for a moment ago: a bounced button."""
        if not any(order.node.once for order in orders):
            return False
        now = self.player.clock.now()
        asked = [(order.node.address, order.values) for order in orders]
        last = self._last.pop(source.name, None)
        if last is not None and last[0] == asked and now - last[1] < DOUBLE:
            self._last[source.name] = last
            return True
        if len(self._last) >= SENDERS:
            del self._last[next(iter(self._last))]
        self._last[source.name] = asked, now
        return False

    # Commands that are more than one of the player's --------------------------------------

    def _playable(self) -> Scene:
        if self.player.scene is None:
            raise Mistake("", "no scene is loaded; name one first")
        return self.player.scene

    def scenes(self) -> Mapping[str, Path]:
        """Every scene that may be asked for, by name; the started one's folder goes first."""
        beside = sorted(self._folder.glob("*.toml")) if self._folder is not None else []
        kept = sorted(self._folio.folder.glob("*.toml")) if self._folio is not None else []
        return playable() | {path.stem: path for path in (*kept, *beside)}

    def _offered(self) -> list[str]:
        """Scenes to choose from. A style's name is one too, but is offered with the styles."""
        styles = set(shipped("styles").values())
        return [name for name, path in self.scenes().items() if path not in styles]

    def _keep(self, told: Told) -> None:
        if self._saving is None:
            raise Mistake("", "no file is named; play with --taste FILE.json")
        self._saving(self.player.receipt(self.player.now_beat, told).become)

    def _call_off(self, what: str) -> int:
        """Cancel what is armed, and what waits for a scene that is being loaded."""
        node = self.tree.get(whole(f"/{what.removeprefix('/')}"))
        topic = "/".join(node.concerns) if node is not None else what
        scene = self.player.scene
        named = [("stinger", each.part.name) for each in scene.stingers] if scene else []
        concerns = [*(each.concerns for each in self.tree.nodes.values() if each.concerns), *named]
        known = dict.fromkeys(each[0] for each in concerns)
        if what and topic not in {*known, *map("/".join, concerns)}:
            near = meant(what, [*known, *map("/".join, concerns)])
            there = f"{'T' if near else 't'}here are {', '.join(known)}; without a word it is all"
            raise Mistake("what", f"{shown(what)} is nothing that can be armed; {near}{there}")
        # What is said of a whole kind means all of it; what was sent to an address, that alone.
        all_of_it = not what or what in known
        sent = [each.concerns for each in self.tree.nodes.values() if each.concerns]
        besides = set() if all_of_it else {*map("/".join, sent)} - {topic}
        count = self.player.changes.cancel(topic, besides)
        for key, wish in list(self._wishes.items()):
            loads = next(order for order in wish.orders if order.node.loads)
            if topic in ("", loads.topic, *loads.kind) and loads.topic not in besides:
                del self._wishes[key]
                self._never(wish, "cancelled", "called off while it was being loaded")
                count += len(wish.orders)
                continue
            for order in list(wish.orders):
                if topic in (order.topic, *order.kind) and order.topic not in besides:
                    wish.orders.remove(order)
                    self.answer(order.source, order.node.address, "cancelled")
                    count += 1
        return count

    def _keep_theme(self, name: str) -> str:
        if self._saving_theme is None:
            raise Mistake("", "no file is named; play with --themes FILE.toml")
        return self._saving_theme(name)

    def _change_scene(self, told: Told, scene: Scene, when: str) -> None:
        playing = self.player.scene
        again = playing is not None and playing.name == scene.name
        self.player.change_scene(scene, when, told, keep=again)

    @property
    def _scene_to_come(self) -> _Wish | None:
        """The newest scene or style that somebody waits for."""
        wishes = [wish for wish in self._wishes.values() if wish.kind != "rules"]
        return wishes[-1] if wishes else None

    def _wish_for(self, order: _Order, orders: list[_Order]) -> None:
        """Have a scene loaded for these. Of each address, the newest counts.

        Which of a style and a scene takes the other's place their moments say, once both are
        there; but a style is of the scene that plays: asked for after a scene, it takes its place.
        """
        kind, key = order.node.loads, order.node.address
        gone = [each for each in self._wishes if each == key]
        if kind == "style":
            gone += [each for each, wish in self._wishes.items() if wish.kind == "scene"]
        for each in gone:
            self._never(self._wishes.pop(each), "superseded", "another scene was asked for")
        self._wishes[key] = _Wish(kind, str(order.values[0]), list(orders))
        if self._loader is None:
            self._loader = asyncio.get_running_loop().create_task(self._load_wishes())

    async def _load_wishes(self) -> None:
        # One scene is loaded at a time, in the order in which they were asked for.
        try:
            while self._wishes:
                await self.calm()
                if not self._wishes:  # it has been called off
                    break
                key, wish = next(iter(self._wishes.items()))
                scene, text, known, gone = None, "", None, ""
                try:
                    if wish.kind == "rules":
                        scene = await asyncio.to_thread(self._rewritten, wish)
                    elif wish.kind == "text":
                        scene = await asyncio.to_thread(self._written, wish)
                    elif wish.name in (known := await asyncio.to_thread(self.named, wish.kind)):
                        scene = await asyncio.to_thread(self._fetch, wish)
                    else:
                        gone = await asyncio.to_thread(self._gone, wish)
                        text = gone or unknown(wish.kind, wish.name, known)
                except Mistake as mistake:
                    text = str(mistake)
                except Exception as error:
                    text = f"went wrong: {error!r}"
                if scene is not None:
                    await self._make_room(wish)
                if self._wishes.get(key) is not wish:
                    continue  # it has been told
                del self._wishes[key]
                if scene is None:
                    self._never(wish, "refused", text)
                    # Anybody may ask for what is not there, and who writes mistypes, often.
                    if wish.kind in ("rules", "text") or (
                        known is not None and wish.name not in known and not gone
                    ):
                        self.complaints.add("refused", plain(text))
                    else:
                        self.player.journal.enter(Troubled("scene", plain(text)))
                    continue
                with self.player.together():
                    if why := self._hindrance(wish.orders):
                        self._never(wish, "refused", why)
                    else:
                        self._carry_out(wish.orders, scene)
        finally:
            self._loader = None

    async def _make_room(self, wish: _Wish) -> None:
        """Wait until the moment that is meant is not so near that its first notes come late.

        To plan a scene's beginning takes up to 30 ms, more where others want the machine.
        """
        player = self.player
        when = next(order for order in wish.orders if order.node.loads).change[1]
        try:
            beat = player.boundary(when)
        except Mistake:  # which is told where it is carried out
            return
        at = player.timeline.ns_at(beat)
        if player.playing and beat > player.now_beat and at - player.clock.now() < ROOM:
            await player.clock.sleep_until(at)

    def _never(self, wish: _Wish, state: str, reason: str) -> None:
        """Tell everybody whose order waits for a scene that it is not carried out."""
        for order in wish.orders:
            why = reason if order.node.loads else f"with its scene {shown(wish.name)}: {reason}"
            self.answer(order.source, order.node.address, state, reason=why)

    def named(self, kind: str) -> Mapping[str, Path]:
        """The files of scenes, or styles, that may be asked for, by name."""
        if kind == "scene":
            return self.scenes()
        beside = sorted(self._folder.glob("*.toml")) if self._folder is not None else []
        styles = shipped("styles")
        found = [path for path in beside if path.stem not in styles and is_style(path)]
        return styles | {path.stem: path for path in found}

    def _gone(self, wish: _Wish) -> str:
        """That what plays has lost its file, where that is what is wished for; else ""."""
        scene = self.player.scene
        sheet = scene.sheet if scene is not None else None
        if scene is None or sheet is None:
            return ""
        files = list[Path]()
        if sheet.file and (wish.kind == "style" or wish.name == scene.name):
            files.append(sheet.base / sheet.file)
        if sheet.style and wish.kind == "style" and wish.name == scene.style:
            files.append(Path(sheet.style))
        lost = next((file.name for file in files if not file.exists()), "")
        after = "is gone; the music goes on as it was read, until it is there again"
        return f"the file {lost} {after}" if lost else ""

    def _rewritten(self, wish: _Wish) -> Scene:
        """The scene that plays, with other rules for a part."""
        order = next(each for each in wish.orders if each.node.loads)
        with in_turn():
            scene = self._playable().rewritten(order.node.concerns[1], wish.name)
            rehearse(scene)
        return scene

    def _written(self, wish: _Wish) -> Scene:
        """The scene that a text is, kept in a file once it has been found right."""
        assert self._folio is not None
        order = next(each for each in wish.orders if each.node.loads)
        text = str(order.values[1])
        with in_turn():
            rehearse(self._folio.checked(wish.name, text))
            return self._load(str(self._folio.keep(wish.name, text)), "")

    def _fetch(self, wish: _Wish) -> Scene:
        with in_turn():
            return self._fetched(wish)

    def _fetched(self, wish: _Wish) -> Scene:
        if wish.kind == "style":
            playing = self._playable()
            if gone := self._gone(wish):
                raise Mistake("", gone)
            file = str(self.scenes().get(playing.name, playing.name))
            scene = self._load(file, str(self.named("style")[wish.name].absolute()))
            if scene.seed != playing.seed:  # else other themes would be invented
                scene = scene.with_seed(playing.seed)
        else:
            scene = self._load(str(self.scenes()[wish.name]), "")
        before = self.player.scene
        if before is not None and before.name == scene.name:
            scene = scene.taught_by(before)
        rehearse(scene)
        return scene

    def reread(self, source: Source) -> None:
        """Have the scene that plays read again, in its style and with its seed, at the next bar."""
        scene = self.player.scene
        if scene is None:
            return
        if scene.sheet is not None and scene.sheet.style:
            self.receive(f"{PREFIX}/style", [Path(scene.sheet.style).stem, "bar"], source)
            return
        messages: list[tuple[str, list[object]]] = [(f"{PREFIX}/scene", [scene.name, "bar"])]
        if scene.reseeded:  # another was asked for
            messages.append((f"{PREFIX}/seed", [scene.seed, "bar"]))
        self.receive_all(messages, source)

    @property
    def loading(self) -> bool:
        """Whether a scene is being loaded."""
        return self._loader is not None

    async def loaded(self) -> None:
        """Wait until no scene is being loaded."""
        while self._loader is not None:
            await asyncio.wait({self._loader})

    def close(self) -> None:
        """Give up what is being loaded."""
        if self._loader is not None:
            self._loader.cancel()


async def _no_wait() -> None:
    """Nobody else is there to be waited for."""


def _at_once(order: _Order) -> bool:
    """Whether an order sets a control now, so that a later one in its bundle is all that counts."""
    return order.node.continuous and order.values[-1:] == ("now",)


def _beats(over: float) -> Fraction:
    return Fraction(round(over * 960), 960)
