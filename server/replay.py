"""A control log becomes the performance that it was kept of: the same notes, to the last of them.

Law: what is told to the journal is what was told live, troubles, ports and sources aside: the same
code looks at a clock that says the same, as often and at the same nanoseconds, and is asked the
same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.base import Mistake
from engines.repertoire import from_data

from .band.bands import dressed
from .band.hands import Hands
from .band.keyboard import Keyboard
from .concert.clock import VirtualClock
from .concert.journal import Entry, Journal, Marked, Troubled
from .concert.player import Player
from .concert.transport import HORIZON, LOOK, Mark
from .conductor.conductor import Asked
from .desk.desk import Desk, Source
from .desk.folio import Folio
from .ensemble.rack import Rack, Wire
from .music.timeline import Course
from .score.scene import Scene, cooked, overheard, redirected, routed
from .sync.source import Sync
from .takes.files import Keeper
from .takes.log import Entered, Log
from .wire.protocol import Heard as Arrived

SOURCE = Source("log", role="edit")


class Deaf:
    """A wire that sends nothing: it is there because a player counts on what its wires need."""

    def open(self, settings: Mapping[str, Any]) -> None: ...
    def shut(self, port: int) -> None: ...
    def send(self, events: object) -> None: ...
    def recall(self, part: int = 0) -> None: ...
    def cut(self, part: int = 0) -> None: ...
    def silence(self) -> None: ...
    def panic(self) -> None: ...

    heard = why = False


class Elsewhere:
    """A place in a Link session that is over: what it said is in the log."""

    def session(self) -> None:
        return None

    def begin(self, beat: Fraction, earliest: int) -> int:
        return earliest

    def tempo(self, bpm: float, ns: int) -> None: ...
    def play(self, playing: bool, ns: int) -> None: ...
    def leave(self) -> None: ...


class Replay:
    """A log being played again in virtual time.

    load: has a scene from its recipe.  wires: by kind, in place of
    those that the log says were there, which then keep silent.
    exact: whether all has been as it was so far.
    """

    def __init__(
        self,
        log: Log,
        load: Callable[[Mapping[str, Any]], Scene] = cooked,
        wires: Mapping[str, Wire] | None = None,
    ) -> None:
        self.log, self.journal, self.exact = log, Journal(), True
        head = log.head
        self._load, self._route = load, head.get("route")
        self.clock = VirtualClock(_whole(head, "clock"))
        silent = {str(kind): Deaf() for kind in head.get("wires", ())}
        horizon = _whole(head, "horizon", HORIZON)
        self.player = Player(
            self.clock,
            lambda ids: Rack({**silent, **(wires or {})}, ids),
            self.journal,
            horizon,
            _whole(head, "look", LOOK),
            after_sleep=str(head.get("after_sleep", "stop")),
        )
        self.keyboard = Keyboard(self.player)
        self.sync = Sync(self.player, join=lambda *wish: Elsewhere())
        folio = Folio(Path())  # never written: scenes come from the log
        self.desk = Desk(
            self.player, _nothing_loaded, keyboard=self.keyboard, sync=self.sync, folio=folio
        )
        self._before: Mark | None = None
        if head.get("taste"):
            Hands(self.player).load_tastes(head["taste"])
        for name, parts in head.get("learnt", {}).items():
            learnt = {name: {part: from_data(past) for part, past in parts.items()}}
            Hands(self.player).learn(learnt)

    def __iter__(self) -> Iterator[int]:
        """Play it, pausing at each nanosecond of its clock at which something is done next.

        Errors: Mistake where the scene that it begins with cannot be loaded.
        """
        self.player.entries = deque(
            (_whole(each.data, "ns"), float(each.data["bpm"]))
            for each in self.log.entries
            if each.what == "entry"
        )
        for entered in self.log.entries:
            yield from self._come_to(entered)
            try:
                self._do(entered)
            except (Mistake, KeyError, TypeError, ValueError) as error:
                if entered.what == "cue":
                    raise
                self._depart(f"{entered.what}: {error}")
        self.player.stop()

    def run(self) -> None:
        """Play it to its end, in no time."""
        for _ in self:
            pass

    def _come_to(self, entered: Entered) -> Iterator[int]:
        """Have the player look at the clock whenever it did before this was done."""
        player, mark = self.player, entered.mark
        before, self._before = self._before, mark
        for look in mark.looks:
            yield self._reach(abs(look))
            if look > 0:
                player.wake()
            else:
                with player.together():
                    pass
        yield self._reach(mark.at)
        if before is not None and not mark.looks and before[::2] == mark[::2]:
            return  # one thing that is more than one line
        if self.exact and (player.mark.beat, player.mark.planned) != (mark.beat, mark.planned):
            where = f"beat {float(player.now_beat):.3f}, where it was at {float(mark.beat):.3f}"
            self._depart(f"the music departs from the log: it is at {where}")

    def _depart(self, why: str) -> None:
        """From here on the log is followed by the clock alone."""
        self.exact = False
        self.journal.enter(Troubled("replay", why))

    def _reach(self, at: int) -> int:
        self.clock.jump(max(at - self.clock.now(), 0))
        return self.clock.now()

    def _do(self, entered: Entered) -> None:
        player, data = self.player, entered.data
        match entered.what:
            case "look":
                player.wake()
            case "cue":
                scene = self.scene(data["scene"])
                if scene is not None:
                    with player.still("cue"):
                        player.cue(scene)
            case "stand":
                asked = [
                    Asked(int(bar), str(what), str(name))
                    for bar, what, name in data.get("asked", ())
                ]
                with player.still("stand"):
                    for _ in player.stand(_whole(data, "bar"), asked):
                        pass
            case "play":
                with player.still("play"):
                    player.play(_whole(data, "bars") or None)
            case "end":
                with player.still("stop"):
                    player.stop()
            case "reach":
                with player.still("reach"):
                    player.reach(_whole(data, "horizon", HORIZON), _whole(data, "look", LOOK))
            case "slept":
                with player.still("slept"):
                    player.wake_up()
            case "lead":
                with player.still("play"):
                    player.end_after(_whole(data, "bars"))
                    self.sync.use(str(data["source"]))
            case "led":
                to = data.get("to")
                self.sync.have(str(data["do"]), None if to is None else Fraction(to))
            case "bend":
                player.bend(Course(Fraction(data["to"]), _whole(data, "ns"), float(data["bpm"])))
            case "entry":
                pass  # the player has it already
            case "silenced":
                player.wire_silenced("a wire fell silent here when this was played")
            case "do":
                orders = [(str(address), tuple(values)) for address, *values in data["orders"]]
                self.desk.again(orders, self.scene(data.get("scene")), SOURCE)
            case "midi":
                number = self.keyboard.number(str(data["input"]))
                if number is not None:
                    arrived = Arrived(number, _whole(data, "stamp"), bytes.fromhex(data["data"]))
                    self.keyboard.heard(arrived)
            case "lost":
                number = self.keyboard.number(str(data["input"]))
                if number is not None:
                    self.keyboard.lost(number, str(data.get("why", "")))
            case "alarm":
                self.keyboard.wake()
            case "route":
                self._route = data["route"]
            case "inputs":
                scene = player.scene
                self.keyboard.use(scene.inputs if scene is not None else {})
            case other:
                raise Mistake("replay", f"the log says {other!r}; this Componium knows no such")

    def scene(self, recipe: Any) -> Scene | None:
        """The scene that a line names; one that has changed since is played, with a word.

        Errors: Mistake where it cannot be loaded.
        """
        if recipe is None:
            return None
        scene = routed_as(self._route, self.log.head, self._load(recipe))
        if scene.script is not None and scene.script.digest != recipe["digest"]:
            self._depart(f"{recipe['name']} has changed since; what comes is not what was played")
        if scene.seed != recipe["seed"]:
            scene = scene.with_seed(int(recipe["seed"]))
        if recipe.get("tempo") is not None:
            scene = replace(scene, tempo=float(recipe["tempo"]), tempo_asked=True)
        return scene


def _whole(values: Mapping[str, Any], key: str, default: int = 0) -> int:
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Mistake("replay", f"{key}: expected a whole number, got {value!r}")
    return value


def _nothing_loaded(path: str, style: str) -> Scene:
    raise Mistake("replay", "scenes come from the log")


def sent_to(midi: str, log: Log) -> Log:
    """A log of a performance whose MIDI went somewhere else. midi: as of `routed`."""

    def elsewhere(data: Mapping[str, Any]) -> dict[str, Any]:
        return {**data, "route": {**data.get("route", {}), "midi": midi}}

    entries = (
        each._replace(data=elsewhere(each.data)) if each.what == "route" else each
        for each in log.entries
    )
    return log._replace(head=elsewhere(log.head), entries=tuple(entries))


def routed_as(route: Any, head: Mapping[str, Any], scene: Scene) -> Scene:
    """A scene with the outputs and inputs that it had in the performance of this log.

    route: what was asked for then; None for nothing.  Errors: Mistake.
    """
    if route is None:
        return scene
    why, midi_in = bool(route.get("why", False)), tuple(map(str, route.get("midi_in", ())))
    if route.get("target"):
        scene = redirected(scene, str(route["target"]), why, midi_in)
    else:
        osc = tuple(map(str, route.get("osc", ())))
        scene = routed(scene, str(route.get("midi", "")), osc, why, midi_in)
    scene = dressed(scene, str(head.get("session", "")))
    return overheard(scene) if "web" in head.get("wires", ()) else scene


def retake(replay: Replay, keep: Keeper) -> bytes:
    """A file of the performance of a log: of MIDI the one that a recorder would have kept.

    Errors: Mistake, as of `Replay` and `Keeper`.
    """
    begun = False

    def listen(entry: Entry) -> None:
        nonlocal begun
        scene = replay.player.scene
        anew = not begun or (isinstance(entry, Marked) and entry.kind == "scene")
        if scene is not None and anew:
            begun = True
            keep.begin(scene)
        keep(entry)

    replay.journal.add(listen)
    replay.run()
    if not begun:
        raise Mistake("replay", "nothing was played")
    return keep.file()
