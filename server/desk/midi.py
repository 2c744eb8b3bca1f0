"""MIDI to the tree: mapped knobs and pads, learning them, programs that call for scenes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engines.base import Mistake, listed, meant, unknown
from server.band.keyboard import Keyboard
from server.concert.changes import Receipt
from server.ensemble.encode import whole
from server.score.mapping import (
    MODES,
    MOST_MAPS,
    Board,
    Knob,
    MapSpec,
    Moved,
    Range,
    Reader,
    Trigger,
    from_data,
    to_data,
)
from server.score.scene import Scene

from .tree import Argument, Node, Told, Value

if TYPE_CHECKING:
    from .desk import Desk, Source

PREFIX = "/componium"
LEARNING = 30_000_000_000  # ns for which a knob is waited for
MODE_MESSAGES = 120  # the first of the controllers that are channel mode messages
PAIRED = 500_000_000  # ns within which the low half tells that a controller has 14 bits
LARGEST = 1 << 20  # bytes of a file of mappings
FORMAT = "componium mappings 1"
_SPAN = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")


class Mappings:
    """What has been learnt, and the file that keeps it; None for this performance only."""

    def __init__(self, file: Path | None = None) -> None:
        """Errors: Mistake where the file is there and cannot be understood."""
        self.file, self.board = file, Board()
        self.reread()

    def reread(self) -> None:
        """Have what the file says now. Errors: as when it was first read; the old stays then."""
        file = self.file
        if file is None or not file.exists():
            return
        try:
            if file.stat().st_size > LARGEST:
                raise Mistake("", f"larger than {LARGEST} bytes")
            data = json.loads(file.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.get("format") != FORMAT:
                raise Mistake("", f"expected format {FORMAT!r}")
            maps = data.get("maps")
            if not isinstance(maps, list):
                raise Mistake("maps", "expected a list")
            self.load(each if isinstance(each, dict) else {} for each in maps)
        except (OSError, ValueError, RecursionError) as error:
            raise Mistake("--mappings", f"{file} cannot be read: {error}") from None

    def data(self) -> list[dict[str, Any]]:
        """What has been learnt, as JSON has it."""
        return [to_data(spec) for spec in self.board.specs]

    def load(self, maps: Iterable[Mapping[str, Any]]) -> None:
        """Take over what `data` gave. Errors: Mistake."""
        specs = [from_data(dict(each)) for each in maps]
        if len(specs) > MOST_MAPS:
            raise Mistake("maps", f"expected a list of at most {MOST_MAPS}")
        self.board = Board(specs)

    def go_on(self, maps: Iterable[Mapping[str, Any]]) -> list[str]:
        """Have what a state has, where no file keeps it; what of it is no good."""
        if self.file is None:
            try:
                self.load(maps)
            except Mistake as mistake:
                return [str(mistake)]
        return []

    def keep(self) -> str:
        """Save, whole or not at all; where. Errors: Mistake."""
        if self.file is None:
            return "until the end of this performance; play with --mappings FILE.json to keep it"
        fresh = self.file.with_name(f"{self.file.name}.new")
        data = {"format": FORMAT, "maps": self.data()}
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_text(json.dumps(data, indent=1), encoding="utf-8")
            fresh.replace(self.file)
        except OSError as error:
            raise Mistake("learn", f"{self.file} cannot be written: {error.strerror}") from None
        return f"kept in {self.file.name}"


class MidiControl:
    """What MIDI messages do to the desk's tree.

    later: called with what sends the values that have gathered; with a loop, its `call_soon`, so
    that of a turned knob's values the last is set once for all that came in together.
    wait: called with seconds and what is to be done after them; with a loop, its `call_later`.
    Laws: nothing reaches the player but through the desk, with the role control; learning comes to
    one end.
    """

    def __init__(
        self,
        desk: Desk,
        source: Callable[[str], Source],
        mappings: Mappings | None = None,
        later: Callable[[Callable[[], None]], object] = lambda work: work(),
        wait: Callable[[float, Callable[[], None]], object] = lambda seconds, work: None,
    ) -> None:
        self._desk, self._source, self.later, self.wait = desk, source, later, wait
        self.mappings = mappings or Mappings()
        self._scene_board = Board()
        self._board_of: Scene | None = None
        self._programs: tuple[str, ...] = ()
        self._readers: dict[str, Reader] = {}
        self._sources: dict[str, Source] = {}
        self._learning: tuple[MapSpec, int, Receipt] | None = None
        self._waits = False
        self._learnt: tuple[MapSpec, int] | None = None
        self._gathered: dict[str, tuple[list[Value], str]] = {}

    # Messages ---------------------------------------------------------------------------

    def claim(self, name: str, data: bytes) -> bool:
        """Do what a message of an input is mapped to; whether it is not to be played as well."""
        reader = self._readers.setdefault(name, Reader(name))
        claimed = False
        for moved in reader.read(data):
            if self._learn(moved):
                return True
            knob = self._find(moved.trigger)
            if knob is not None:
                self._do(knob, moved, name)
                claimed = True
                break
            if moved.trigger.kind == "program":
                claimed = self._program(moved.trigger.number, name)
        return claimed

    def _find(self, trigger: Trigger) -> Knob | None:
        scene = self._desk.player.scene
        self._take_over(scene)
        return self.mappings.board.find(trigger) or self._scene_board.find(trigger)

    def _take_over(self, scene: Scene | None) -> None:
        """Have a scene's mappings and programs; where it has none, those before stay: the rig's."""
        if scene is None or scene is self._board_of:
            return
        self._board_of = scene
        if scene.maps:
            self._scene_board = Board(scene.maps)
        if scene.programs:
            self._programs = scene.programs

    def _program(self, number: int, name: str) -> bool:
        self._take_over(self._desk.player.scene)
        if number > len(self._programs):
            return False
        self._send(f"{PREFIX}/scene", [self._programs[number - 1]], name)
        return True

    def _do(self, knob: Knob, moved: Moved, name: str) -> None:
        spec, node = knob.spec, self._desk.tree.get(knob.spec.to)
        if spec.pressed:
            if knob.press(moved):
                self._send(spec.to, self._pressed(spec, node), name)
            return
        if node is None or not node.arguments:
            if knob.press(moved):
                self._send(spec.to, list(spec.args), name)
            return
        which = _which(spec, node)
        if which is None:
            self._send(spec.to, [*spec.args, moved.value], name)  # the tree says what is wrong
            return
        argument, now = node.arguments[which], _current(node)
        here = now[which] if which < len(now) else None
        stands = None if here is None or isinstance(here, str) else float(here)
        value = knob.turn(
            moved, Range(*(argument.fader or (argument.low, argument.high)), argument.type, stands)
        )
        if value is None:
            return
        args = _arguments(spec, node, which, value, now)
        if not node.continuous:
            self._send(spec.to, args, name)
            return
        if not self._gathered:
            self._gathered[spec.to] = args, name
            self.later(self._flush)
        else:
            self._gathered[spec.to] = args, name

    @staticmethod
    def _pressed(spec: MapSpec, node: Node | None) -> list[Value]:
        if spec.args or node is None or not node.arguments:
            return list(spec.args)
        first, now = node.arguments[0], _current(node)
        if first.type == "T":  # what is on goes off
            return [not (now and now[0])]
        return []

    def _flush(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for address, (args, name) in gathered.items():
            self._send(address, args, name)

    def _send(self, address: str, args: list[Value], name: str) -> None:
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = self._source(f"midi {name}")
        self._desk.receive(address, args, source)

    # Learning ---------------------------------------------------------------------------

    def learn(self, what: str, how: Sequence[str], told: Told) -> None:
        """Map to an address whatever is moved next, within 30 s. Errors: Mistake.

        what: the address, and values that are sent with it behind blanks.
        how: in any order, the argument that is moved, an encoder's mode, and a range as 90..140.
        """
        short, *words = what.split()[:17] or [""]
        address = whole(short)
        node = self._desk.tree.get(address)
        if node is None:
            raise Mistake("", self._desk.tree.lost(address))
        if node.role == "edit":
            raise Mistake("", f"{address} needs the role edit, which MIDI has not")
        names = [each.name for each in node.arguments]
        spec = MapSpec(Trigger("cc"), address, tuple(map(_number, words)))
        for word in filter(None, how):
            if word in names:
                spec = replace(spec, argument=word)
            elif word in MODES:
                spec = replace(spec, mode=word)
            elif (span := _SPAN.fullmatch(word)) is not None:
                spec = replace(spec, low=float(span[1]), high=float(span[2]))
            else:
                raise Mistake(
                    "learn",
                    f"{address} has no argument {word!r}; {meant(word, [*names, *MODES])}expected "
                    f"one of {listed(names)}, "
                    f"a mode ({', '.join(MODES)}) or a range such as 90..140",
                )
        self._leave_off("superseded", "something else is to be learnt")
        player = self._desk.player
        receipt: Receipt = player.receipt(player.now_beat, told)
        self._learning = spec, self._now() + LEARNING, receipt
        said = "move a knob or press a pad within 30 s"
        hears = self._desk.keyboard.hears
        receipt.become("armed", said if hears else f"{said}; but no input is named: --midi-in")
        self._watch()

    def _leave_off(self, state: str, reason: str) -> None:
        """Wait for no knob any more, and tell whoever asked."""
        if self._learning is None:
            return
        receipt, self._learning = self._learning[2], None
        player = self._desk.player
        receipt.beat = player.now_beat
        receipt.bar = player.moment(receipt.beat).bar
        receipt.become(state, reason)

    def _watch(self) -> None:
        """Give up in time; one wait at a time, however often somebody asks."""
        if self._learning is not None and not self._waits:
            self._waits = True
            self.wait(max(self._learning[1] - self._now(), 0) / 1e9, self._look)

    def _look(self) -> None:
        self._waits = False
        self._expire()
        self._watch()

    def _expire(self) -> None:
        if self._learning is not None and self._now() >= self._learning[1]:
            self._leave_off("refused", "nothing was moved within 30 s")

    def unlearn(self, address: str) -> str:
        """Let go of what was learnt, of one address or of all."""
        self._leave_off("cancelled", "")
        number = self.mappings.board.take(whole(address))
        return f"{number} let go of" + (f", {self.mappings.keep()}" if number else "")

    def listing(self) -> str:
        """Every mapping in a line."""
        self._find(Trigger("cc"))
        maps = [*self.mappings.board.specs, *self._scene_board.specs]
        return "; ".join(f"{spec.trigger} to {spec.to}" for spec in maps) or "nothing is mapped"

    def _now(self) -> int:
        return self._desk.player.clock.now()

    def _learn(self, moved: Moved) -> bool:
        """Take this as what was waited for; whether it was."""
        now = self._now()
        if self._learnt is not None:
            spec, until = self._learnt
            if now > until:
                self._learnt = None
            elif moved.trigger == spec.trigger._replace(kind="cc14") and moved.raw & 127:
                # The low half has come: it is one of the precise kind.
                self._learnt = None
                self._forget(spec)
                self._keep(replace(spec, trigger=moved.trigger))
                return True
        self._expire()
        if self._learning is None:
            return False
        wish, _, _ = self._learning
        kind, raw = moved.trigger.kind, moved.raw
        # What is sent when a key is let go of, or to end all notes, is nobody's choice.
        mode_message = kind == "cc" and moved.trigger.number >= MODE_MESSAGES
        if kind == "cc14" or (kind == "note" and not raw) or mode_message:
            return False
        node = self._desk.tree.get(wish.to)
        button = wish.mode == "absolute" and node is not None and (wish.args or not node.arguments)
        mode = "button" if button and kind == "cc" else wish.mode
        spec = replace(wish, trigger=moved.trigger, mode=mode)
        if kind == "cc" and moved.trigger.number < 32 and not button:
            self._learnt = spec, now + PAIRED
        self._leave_off("done", f"{spec.trigger} moves {spec.to}, {self._keep(spec)}")
        return True

    def _forget(self, spec: MapSpec) -> None:
        kept = [each for each in self.mappings.board.specs if each.trigger != spec.trigger]
        self.mappings.board = Board(kept)

    def _keep(self, spec: MapSpec) -> str:
        if not self.mappings.board.put(spec):
            return f"not kept: {MOST_MAPS} are mapped already"
        try:
            return self.mappings.keep()
        except Mistake as mistake:
            return mistake.problem


def amiss(spec: MapSpec, node: Node, known: Callable[[str], Collection[str]]) -> str:
    """What is wrong with the values that a mapping sends, as far as that is known; "" if nothing.

    known: the names of scenes or styles that may be asked for.
    """
    which = None if spec.pressed else _which(spec, node)
    args: list[Value] = list(spec.args)
    if which is not None:
        argument = node.arguments[which]
        args = _arguments(spec, node, which, max(argument.low, min(argument.high, 0)), ())
    elif spec.pressed and not args:
        return ""  # it switches, or is told what is missing when it is pressed
    try:
        call = node.read(args)
    except Mistake as mistake:
        return str(mistake)
    for argument, value in zip(
        node.arguments, call.values if call is not None else (), strict=False
    ):
        if argument.choices is None or value not in spec.args or not isinstance(value, str):
            continue
        names = known(node.loads) if node.loads else list(argument.choices())
        if value not in names:
            what = node.loads or node.concerns[0] if node.concerns else argument.name
            return unknown(what, value, names)
    return ""


def _which(spec: MapSpec, node: Node) -> int | None:
    """Which argument of its address a mapping moves."""
    for nth, argument in enumerate(node.arguments):
        if argument.name == spec.argument or (not spec.argument and argument.type != "s"):
            return nth if argument.type != "s" else None
    return None


def _arguments(
    spec: MapSpec, node: Node, which: int, value: float, now: tuple[Value, ...]
) -> list[Value]:
    """All arguments: what moves, what the mapping says, and else what is so already."""
    given, args = list(spec.args), list[Value]()
    for nth, argument in enumerate(node.arguments):
        if nth == which:
            args.append(value)
        elif given and argument.fits(given[0]):
            args.append(given.pop(0))
        elif nth > which and argument.default is not None:
            continue
        elif nth < len(now):
            args.append(now[nth])
        elif argument.default is not None:
            args.append(argument.default)
    return args


def _current(node: Node) -> tuple[Value, ...]:
    try:
        return (node.value() if node.value is not None else None) or ()
    except Mistake:
        return ()


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def midi_nodes(control: MidiControl, keyboard: Keyboard) -> Iterator[Node]:
    """The addresses about MIDI inputs."""
    yield Node(
        f"{PREFIX}/learn",
        "Map whatever knob is moved or pad is pressed next to an address, such as "
        "`/componium/tempo`; words behind it are sent with it, as in `/componium/scene night`. The "
        "argument, the mode and the range may come in any order.",
        lambda told, what, *how: control.learn(what, how, told),
        (
            Argument("address", "s"),
            Argument("argument", "s", "which of its arguments, the first number", default=""),
            Argument("mode", "s", "absolute, twos, offset, sign or button", default=""),
            Argument("range", "s", "such as 90..140, the argument's own", default=""),
        ),
        later=True,
    )
    yield Node(
        f"{PREFIX}/unlearn",
        "Let go of what was learnt, of one address or of all.",
        lambda told, address: control.unlearn(address),
        (Argument("address", "s", default=""),),
    )
    yield Node(
        f"{PREFIX}/mapped",
        "Answer to the sender what is mapped, by the scene and by learning.",
        lambda told: control.listing(),
        role="view",
    )
    yield Node(
        f"{PREFIX}/theme/record",
        "Take what is played on a MIDI input, from the next bar on, as a theme of the scene, with "
        "the chords that the scene has meanwhile; it takes that theme's place, or is one more, at "
        "the next phrase.",
        lambda told, name, bars, source: keyboard.record(name, bars, source, told),
        (
            Argument("name", "s", "a theme of the scene, or another name"),
            Argument("bars", "i", "", 1, 64, "bars", 4),
            Argument("input", "s", "the first one", default=""),
        ),
        later=True,
    )
