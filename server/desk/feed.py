"""What everybody hears who listens to a player: state, events, and what is planned.

The feed knows no transport. Each listener has an outbox of its own, from which his transport takes
frames as fast as he reads; one who reads slowly loses what is stale, and nobody waits for him.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from math import inf
from typing import Any, NamedTuple

from server.band.bands import base_of
from server.concert.journal import (
    Entry,
    Felt,
    Harmonised,
    Marked,
    Moved,
    Played,
    Ported,
    Pressed,
    Programmed,
    Said,
    Synced,
    Ticked,
    Troubled,
    Turned,
)
from server.concert.player import Player
from server.concert.prompter import Prompter
from server.ensemble.encode import osc_message, osc_name, osc_typed
from server.ensemble.setting import Setting
from server.score.scene import Scene
from server.takes.lines import Spelling, fields
from server.wire.protocol import Event

from .desk import PREFIX, Desk
from .query import Query, Reading, fixed, told, value_of
from .sent import SENT
from .tree import Tree, Value

ENDLESS = 1 << 20  # bars left, from which on a section is said to have no end
ROOM = 256 << 10  # bytes that wait for one listener
STALE = 2 * 10**9  # ns after which nobody needs to hear of a note any more
EARLY = 1_000_000  # ns that a timer may be early
AT_ONCE = 4  # bands that are looked at in one turn
RATE = 30  # changes of state a second, at most
HEALTH = 10**9  # ns between two words on health
WORDS = frozenset({"state", "beats", "marks", "notes", "plan", "why", "log", "health", "osc"})

#: Readings that say again what events and receipts say.
_EVENTS = frozenset(
    f"{PREFIX}/{name}" for name in ("beat", "position", "chord", "cue", "transport", "receipt")
)
_OF_PART = "/part/NAME/"
_ENDED = 64  # notes of a part among which the one is sought that has ended last


class _Lately:
    """What a part has played. note: the last.  ends: of those before, when, and their pitches.

    Ends are seconds since the transport started.
    """

    __slots__ = ("ends", "note")

    def __init__(self) -> None:
        self.note: Played | None = None
        self.ends: deque[tuple[float, int]] = deque(maxlen=_ENDED)

    def heed(self, note: Played) -> None:
        self.note = note
        self.ends.append((note.moment.seconds + note.duration, note.note.pitch))


_Value = Callable[[], tuple[Value, ...] | None]

# What is left out first where there is no room.
NOTES, BEATS, MARKS, ALWAYS = range(4)

_KINDS: dict[type, tuple[str, int]] = {
    Played: ("notes", NOTES),
    Pressed: ("notes", NOTES),
    Turned: ("notes", NOTES),
    Programmed: ("notes", NOTES),
    Said: ("notes", NOTES),
    Ticked: ("beats", BEATS),
    Harmonised: ("marks", MARKS),
    Marked: ("marks", MARKS),
    Felt: ("marks", MARKS),
    Moved: ("marks", MARKS),
    Synced: ("marks", MARKS),
    Ported: ("log", MARKS),
    Troubled: ("log", MARKS),
}


class _Frame(NamedTuple):
    """Something to be sent. at: the nanosecond at which it came in."""

    rank: int
    at: int
    data: str | bytes


class Outbox:
    """What waits for one listener; a transport takes from it.

    now: monotonic nanoseconds.  ready: called when there is something to take.
    Laws: it never holds more than `ROOM` bytes of what may be left out, nor any of that for longer
    than twice `STALE` while more comes; notes give way before beats, those before marks, and
    receipts never; of state and values the newest always comes;
    so does every word that a note is taken back.
    """

    def __init__(self, now: Callable[[], int], ready: Callable[[], None]) -> None:
        self._now, self._ready = now, ready
        self._frames: deque[_Frame] = deque()
        self._size = self._looked = 0
        self._state: dict[str, list[Value]] = {}
        self._values: dict[str, bytes] = {}
        self._forgotten: dict[str, None] = {}
        self.left_out = 0
        self.closed = False

    def __len__(self) -> int:
        return len(self._frames) + len(self._values) + bool(self._state) + bool(self._forgotten)

    @property
    def full(self) -> bool:
        """Whether so much waits that cannot be left out that there is no going on."""
        return self._size > 2 * ROOM

    def put(self, data: str | bytes, rank: int = ALWAYS) -> None:
        if self.closed:
            return
        now = self._now()
        if now - self._looked > STALE:
            self._looked = now
            self._thin(MARKS, now - STALE)
        self._frames.append(_Frame(rank, now, data))
        self._size += len(data)
        for least in (NOTES, BEATS, MARKS):
            if self._size <= ROOM:
                break
            self._thin(least)
        self._ready()

    def _thin(self, rank: int, since: float = inf) -> None:
        """Leave out all up to a rank that came in before some moment, or whenever."""
        kept = deque(each for each in self._frames if each.rank > rank or each.at >= since)
        self.left_out += len(self._frames) - len(kept)
        self._frames, self._size = kept, sum(len(frame.data) for frame in kept)

    def state(self, changes: Mapping[str, list[Value]]) -> None:
        self._state |= changes
        self._ready()

    def value(self, address: str, message: bytes) -> None:
        """A value that is listened to, as OSC."""
        self._values[address] = message
        self._ready()

    def forget(self, ids: Iterable[str]) -> None:
        """Have events of the plan taken back."""
        self._forgotten |= dict.fromkeys(ids)
        self._ready()

    def take(self) -> str | bytes | None:
        """The next frame to send; None where nothing waits."""
        if self._forgotten:
            gone, self._forgotten = list(self._forgotten), {}
            return compact({"forget": gone})
        stale = self._now() - STALE
        while self._frames:
            frame = self._frames.popleft()
            self._size -= len(frame.data)
            if frame.rank == ALWAYS or frame.at >= stale:
                return frame.data
            self.left_out += 1
        if self._values:
            return self._values.pop(next(iter(self._values)))
        if self._state:
            changes, self._state = self._state, {}
            return compact({"state": changes})
        return None


def compact(value: Any) -> str:
    """JSON as it is sent: in one line, and without what is no JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:  # no number of ours, but a scene's own messages may hold anything
        return '{"error":"something cannot be told: one of its numbers is none"}'


class Listener:
    """One who hears the feed. hears: words of `WORDS`; listens: addresses, as OSCQuery has it."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.hears: frozenset[str] = frozenset()
        self.listens: dict[str, tuple[Value, ...] | None] = {}
        self.chosen = False  # by `hear`, what is heard

    @property
    def follows_tree(self) -> bool:
        """Whether it is told of paths that come and go.

        In OSCQuery everybody with a WebSocket is: `LISTEN` is for values. Who has said otherwise
        what he hears, and not the state, is no such client.
        """
        return not self.chosen or "state" in self.hears or bool(self.listens)


class Feed:
    """Tells listeners what happens on a stage.

    name: of the band, where it is not the one without a name: then all addresses begin with
    `/componium/session/NAME`, and objects tell it as "session".
    health: how wires are, as JSON.  later: calls a function at a time of the loop, in nanoseconds.
    Law: what nobody hears costs nothing but a look at who is there.
    """

    def __init__(
        self,
        player: Player,
        desk: Desk,
        prompter: Prompter,
        host: Mapping[str, Any],
        later: Callable[[int, Callable[[], None]], object],
        health: Callable[[], Mapping[str, Any]] = dict,
        name: str = "",
    ) -> None:
        self.name, self._base = name, base_of(name)
        self._tag = f'"session":{json.dumps(name)},' if name else ""
        self._health, self._healthy_at = health, 0
        self.player, self.desk, self.prompter = player, desk, prompter
        self.listeners: dict[Listener, None] = {}
        #: Those of other bands, which are looked at together with this one.
        self.beside: Callable[[], Iterable[Feed]] = tuple
        self._spelling = Spelling()
        self._seen: dict[str, tuple[Value, ...] | None] = {}
        self._looks = self._answers = self._next = 0
        self._bands: list[str] = []
        self._tree: Tree | None = None
        self._scene: Scene | None = None
        self._fixed: dict[str, Any] = {}
        self._beat: dict[str, Any] | None = None
        self._chord: dict[str, Any] | None = None
        self._ports: dict[str, dict[str, Any]] = {}
        self._played: dict[str, _Lately] = {}  # by part
        self._turned: dict[str, tuple[Value, ...]] = {}  # by part
        self._common = {each.address: each for each in self._readings()}
        self._of_parts: tuple[Scene | None, dict[str, Reading]] = None, self._common
        self.query = Query(lambda: desk.tree, self.readings, host, self._base)
        self._aloud = Aloud(prompter, later, player.clock.now, self._tell_osc, self._base)
        prompter.tell = self._tell_plan
        player.journal.add(self)

    # Who listens ------------------------------------------------------------------------

    def join(self, outbox: Outbox) -> Listener:
        listener = Listener(outbox)
        if not self.listeners:
            self._tree = None
            self._look_at_tree()
        self.listeners[listener] = None
        self._attend()
        return listener

    def leave(self, listener: Listener) -> None:
        self.listeners.pop(listener, None)
        self._attend()

    def hear(self, listener: Listener, words: Iterable[str], role: str) -> None:
        """Have a listener hear these words and no others, and tell him how things are now."""
        if not any("state" in each.hears for each in self.listeners):
            self._seen = self.values()
        listener.hears, listener.chosen = frozenset(words) & WORDS, True
        self._attend()
        shot = compact(self.snapshot(role) | {"hear": sorted(listener.hears)})
        listener.outbox.put(self._tagged(shot))
        if "plan" in listener.hears and (planned := self.prompter.events()):
            listener.outbox.put(self._tagged(_plan(planned, "why" in listener.hears)), NOTES)

    def _tagged(self, data: str) -> str:
        """An object that tells whose it is."""
        return f"{{{self._tag}{data[1:]}" if self._tag else data

    def full(self, address: str) -> str:
        """An address of the tree as everybody knows it."""
        return self._base + address[len(PREFIX) :] if self.name else address

    def end(self) -> None:
        """The band has gone: whoever listens is told, and hears no more of it."""
        for listener in list(self.listeners):
            listener.outbox.put(self._tagged('{"closed":true}'))
            self.leave(listener)

    def listen(self, listener: Listener, address: str) -> None:
        """Have a listener hear the values of an address, the present one first."""
        listener.listens[address] = None
        self._attend()
        self._tell_value(listener, address, self.query.value(address))

    def ignore(self, listener: Listener, address: str) -> None:
        listener.listens.pop(address, None)

    def _attend(self) -> None:
        """Find out what has to be done for whoever is there."""
        heard = {word for each in self.listeners for word in each.hears}
        planned, why = bool(heard & {"plan", "osc"}), "why" in heard
        if (planned, why) != (self.prompter.heard, self.prompter.why):
            more = planned > self.prompter.heard or why > self.prompter.why
            self.prompter.listen(planned, why)
            if planned and more:
                self.prompter.catch_up(self.player.ahead.standing("web"))
        aloud, self._aloud.heard = self._aloud.heard, "osc" in heard
        if self._aloud.heard and not aloud:
            now = self.player.clock.now()
            self._aloud.heed(event for event in self.prompter.events() if event.due > now)

    # How things are ---------------------------------------------------------------------

    def snapshot(self, role: str) -> dict[str, Any]:
        """All that somebody who comes late needs."""
        player = self.player
        values = self.values().items()
        return {
            "snapshot": {address: list(value) for address, value in values if value is not None},
            "role": role,
            "now": _seconds(player.clock.now()),
            "playing": player.playing,
            "beat": self._beat,
            "chord": self._chord,
            "scene": self._about(player.scene),
            "ports": list(self._ports.values()),
        }

    def values(self) -> dict[str, tuple[Value, ...] | None]:
        """The state: every value that is told as it changes; None for one that there is not yet."""
        nodes, readings = self.desk.tree.nodes.items(), self._common.items()
        told: dict[str, tuple[Value, ...] | None] = {
            self.full(address): value_of(node) for address, node in nodes if not node.bulky
        }
        for address, reading in readings:
            if address not in _EVENTS:
                told[self.full(address)] = reading.value()
        return told

    def readings(self) -> Mapping[str, Reading]:
        """What Componium tells of itself and nobody can set, that of the scene's parts too."""
        scene, found = self._of_parts
        if scene is not self.player.scene and (scene := self.player.scene) is not None:
            parts = [part for spec in scene.ensemble for part in self._of_part(spec.name)]
            found = self._common | {each.address: each for each in parts}
            self._of_parts = scene, found
        return found

    def _about(self, scene: Scene | None) -> dict[str, Any] | None:
        """A scene as pages show it."""
        if scene is None:
            return None
        return {
            "name": scene.name,
            "title": scene.title,
            "style": scene.style,
            "seed": scene.seed,
            "key": scene.key.name,
            "words": {
                word: [round(mood.valence, 3), round(mood.arousal, 3), round(mood.tension, 3)]
                for word, mood in scene.conductor.words.items()
            },
            "points": [
                {
                    **{"name": point.name, "x": point.x, "y": point.y, "reach": point.reach},
                    **{
                        "strength": point.strength,
                        "mood": [point.mood.valence, point.mood.arousal],
                    },
                }
                for point in (scene.conductor.field.points if scene.conductor.field else ())
            ],
            "parts": [
                {
                    "name": part.name,
                    "address": f"{self._base}/part/{osc_name(part.name)}",
                    "engine": part.engine_name,
                    "role": part.role,
                    "channel": part.channel,
                    "program": part.program,
                    "stinger": nth >= len(scene.parts),
                }
                for nth, part in enumerate(scene.ensemble)
            ],
        }

    def look(self) -> None:
        """See what has changed of the tree and its values since the last look, and tell.

        To be called `RATE` times a second; where nobody has commanded anything meanwhile, every
        third time is enough for what changes by itself.
        """
        self._look_beside()
        self._looks += 1
        self._tell_health()
        if self.listeners and (self._stirred or self._looks % 3 == 0):
            self._look()

    def _look_beside(self) -> None:
        """Look at some of the bands: at all in turn, and sooner where something was asked for.

        So the more are heard, the more seldom each is looked at; what it costs is bounded.
        """
        feeds = list(self.beside())
        self._tell_bands([each.name for each in feeds])
        heard = [each for each in feeds if each.listeners]
        if self._looks % 3:
            due = [each for each in heard if each._stirred][:AT_ONCE]
        else:
            self._next %= max(len(heard), 1)
            due = (heard[self._next :] + heard[: self._next])[:AT_ONCE]
            self._next += AT_ONCE
        for each in due:
            each._look()

    @property
    def _stirred(self) -> bool:
        """Whether something was asked for since the last look."""
        return self.desk.answers != self._answers

    def _tell_bands(self, names: list[str]) -> None:
        """Tell that bands have come or gone."""
        before, self._bands = self._bands, names
        words = [("PATH_ADDED", name) for name in names if name not in before]
        words += [("PATH_REMOVED", name) for name in before if name not in names]
        for word, name in words:
            data = compact({"COMMAND": word, "DATA": base_of(name)})
            for listener in self.listeners:
                if listener.follows_tree:
                    listener.outbox.put(data)

    def _look(self) -> None:
        self._answers = self.desk.answers
        if self.desk.tree is not self._tree or self.player.scene is not self._scene:
            self._look_at_tree()
        if any("state" in each.hears for each in self.listeners):
            self._look_at_values()
        seen: dict[str, tuple[Value, ...] | None] = {}
        for listener in self.listeners:
            for address, before in listener.listens.items():
                if address not in seen:
                    seen[address] = self.query.value(address)
                if seen[address] != before:
                    self._tell_value(listener, address, seen[address])

    def _tell_health(self) -> None:
        now = self.player.clock.now()
        if now < self._healthy_at:
            return
        self._healthy_at = now + HEALTH
        hearers = [each for each in self.listeners if "health" in each.hears]
        if hearers:
            data = compact({"health": dict(self._health())})
            for each in hearers:
                each.outbox.put(data, BEATS)

    def _look_at_tree(self) -> None:
        known = self._tree is not None
        self._tree, self._scene = self.desk.tree, self.player.scene
        before = self._fixed
        self._fixed = {address: fixed(node) for address, node in self._tree.nodes.items()}
        if not known:
            return
        words = [
            compact({"COMMAND": command, "DATA": self.full(address)})
            for command, address in told(before, self._fixed)
        ]
        about = self._tagged(compact({"scene": self._about(self._scene)}))
        for listener in self.listeners:
            for word in words if listener.follows_tree else ():
                listener.outbox.put(word)
            if "state" in listener.hears:
                listener.outbox.put(about)

    def _look_at_values(self) -> None:
        now = self.values()
        seen, self._seen = self._seen, now
        changes = {
            address: list(value)
            for address, value in now.items()
            if value is not None and seen.get(address) != value
        }
        if changes:
            for listener in self.listeners:
                if "state" in listener.hears:
                    listener.outbox.state(changes)

    def _tell_value(
        self, listener: Listener, address: str, value: tuple[Value, ...] | None
    ) -> None:
        listener.listens[address] = value
        if value is not None:
            listener.outbox.value(address, osc_typed(address, *value))

    # What happens -----------------------------------------------------------------------

    def __call__(self, entry: Entry) -> None:
        """Hear the journal; an entry that cannot be told is left out, with a word."""
        try:
            self._hear(entry)
        except Exception as error:  # whoever raises here would never be told anything again
            self.desk.complaints.add("web", f"an event cannot be told: {error!r}")

    def _hear(self, entry: Entry) -> None:
        self._spelling.heed(entry)
        self._remember(entry)
        word, rank = _KINDS[type(entry)]
        hearers = [each for each in self.listeners if word in each.hears]
        if hearers:
            event = fields(entry, self._spelling)
            if "seconds" in event:
                event = {"event": event.pop("event"), "at": self._at(entry), **event}
            data = self._tagged(compact(event))
            for each in hearers:
                each.outbox.put(data, rank)

    def _remember(self, entry: Entry) -> None:
        if isinstance(entry, Played):
            self._played.setdefault(osc_name(entry.note.part), _Lately()).heed(entry)
        elif isinstance(entry, Turned):
            self._turned[osc_name(entry.part)] = (entry.controller, entry.value)
        elif isinstance(entry, Ticked):
            moment = entry.moment
            where = {"at": self._at(entry), "bar": moment.bar, "beat": int(moment.position)}
            self._beat = {**where, "tempo": round(entry.tempo, 3), "meter": entry.meter}
        elif isinstance(entry, Marked) and entry.kind == "scene" and self.player.scene is not None:
            here = {osc_name(spec.name) for spec in self.player.scene.ensemble}
            for gone in self._played.keys() - here:
                del self._played[gone]
            for gone in self._turned.keys() - here:
                del self._turned[gone]
        elif isinstance(entry, Harmonised):
            self._chord = {"name": entry.name, "classes": list(entry.classes)}
        elif isinstance(entry, Ported):
            fields_of = {"output": entry.output, "part": entry.part, "state": entry.state}
            if entry.state == "closed":
                self._ports.pop(entry.port, None)
            else:
                self._ports[entry.port] = {**fields_of, "why": entry.why}

    def _readings(self) -> list[Reading]:
        """What Componium tells of itself and nobody can set, whatever the scene.

        Law: whatever is `SENT` can be asked for, by its last value; what can be set, by that.
        """
        said = self.player.ahead.said

        def last(address: str) -> _Value:
            if address == "/receipt":
                return lambda: self.desk.last
            return lambda: said.get(address)

        words = [
            Reading(PREFIX + each.address, each.about, each.types, last(each.address))
            for each in SENT
            if not each.address.startswith(_OF_PART)
            and not self.desk.tree.get(PREFIX + each.address)
        ]
        return [*words, *self._of_the_form()]

    def _of_part(self, name: str) -> list[Reading]:
        """What Componium tells of a part."""
        part = osc_name(name)

        def latest(tell: Callable[[Played], tuple[Value, ...]]) -> _Value:
            def value() -> tuple[Value, ...] | None:
                played = self._played.get(part)
                return tell(played.note) if played is not None and played.note is not None else None

            return value

        def ended() -> tuple[Value, ...] | None:
            played = self._played.get(part)
            now = _seconds(self.player.clock.now()) - self._began
            over = [each for each in played.ends if each[0] <= now] if played is not None else []
            return (max(over, key=lambda each: each[0])[1],) if over else None

        values: dict[str, _Value] = {
            "note": latest(lambda each: (each.note.pitch, each.note.velocity, each.duration)),
            "off": ended,
            "control": lambda: self._turned.get(part),
            "why": latest(lambda each: (each.note.symbol.name, str(each.note.symbol.origin))),
        }
        return [
            Reading(f"{PREFIX}/part/{part}/{word}", each.about, each.types, values[word])
            for each in SENT
            if each.address.startswith(_OF_PART)
            for word in [each.address.removeprefix(_OF_PART)]
        ]

    def _of_the_form(self) -> list[Reading]:
        """Where the music is in its form, and where its mood is going."""

        def reading(
            name: str,
            types: str,
            about: str,
            value: Callable[[Setting, Fraction], tuple[Value, ...]],
        ) -> Reading:
            def read() -> tuple[Value, ...] | None:
                setting = self.player.setting
                return None if setting is None else value(setting, self.player.now_beat)

            return Reading(f"{PREFIX}/{name}", about, types, read)

        def energy(setting: Setting, beat: Fraction) -> tuple[Value, ...]:
            return (round(setting.bar(beat).energy, 3),)

        def phrase(setting: Setting, beat: Fraction) -> tuple[Value, ...]:
            bar = setting.bar(beat)
            return (bar.phrase_bar, bar.phrase_left)

        def section(setting: Setting, beat: Fraction) -> tuple[Value, ...]:
            bar = setting.bar(beat)
            return (bar.section_bar, bar.section_left if bar.section_left < ENDLESS else 0)

        def target(setting: Setting, beat: Fraction) -> tuple[Value, ...]:
            there = setting.conductor.moods.target
            place = setting.place(max(there.beat, setting.begin))
            bar = place.bar + float(place.position / place.meter.length)
            return (there.mood.valence, there.mood.arousal, round(bar, 3))

        left = "and how many are left of it, this one included."
        return [
            reading("energy", "f", "How much is going on, 0 to 1.", energy),
            reading("phrase", "ii", f"Which bar of its phrase this is, {left}", phrase),
            reading(
                "section/bar",
                "ii",
                f"Which bar of its section this is, {left} 0: no end is known.",
                section,
            ),
            reading(
                "mood/target",
                "fff",
                "The mood that it is heading for, and the bar in which that is reached.",
                target,
            ),
        ]

    def _at(self, entry: Entry) -> float:
        """The time of an entry on the server's clock, in seconds."""
        moment = getattr(entry, "moment", None)
        if moment is None:
            return _seconds(self.player.clock.now())
        return round(self._began + float(moment.seconds), 6)

    @property
    def _began(self) -> float:
        """When the transport started, on the server's clock, in seconds."""
        began = self.player.timeline.ns_at(Fraction(0)) / 1e9
        return began - self.player.moment(Fraction(0)).seconds

    # What is planned --------------------------------------------------------------------

    def _tell_plan(self, events: list[Event], gone: list[int]) -> None:
        frames: dict[bool, str] = {}
        for listener in self.listeners:
            if "plan" not in listener.hears:
                continue
            if gone:
                listener.outbox.forget(map(name_of, gone))
            if events:
                why = "why" in listener.hears
                if why not in frames:
                    frames[why] = self._tagged(_plan(events, why))
                listener.outbox.put(frames[why], NOTES)
        self._aloud.forget(gone)
        self._aloud.heed(events)

    def _tell_osc(self, message: bytes) -> None:
        for listener in self.listeners:
            if "osc" in listener.hears:
                listener.outbox.put(message, NOTES)


class Aloud:
    """Says what is planned as plain OSC, each message at its time.

    later, now: as of `Feed`.  say: sends a message to whoever hears it.
    Law: what is taken back before its time is not said, but for the end of what sounds.
    """

    def __init__(
        self,
        prompter: Prompter,
        later: Callable[[int, Callable[[], None]], object],
        now: Callable[[], int],
        say: Callable[[bytes], None],
        base: str = PREFIX,
    ) -> None:
        self._base = base
        self._prompter, self._later, self._now, self._say = prompter, later, now, say
        self.heard = False
        self._sounding: dict[int, tuple[int, bytes]] = {}  # id -> part, its end

    def heed(self, events: Iterable[Event]) -> None:
        """Events are planned, or otherwise than before."""
        if not self.heard:
            return
        for event in events:
            begun = event.id in self._sounding
            self._later(event.end if begun else event.due, partial(self._turn, event))

    def _turn(self, event: Event) -> None:
        """A time has come at which something of an event was due."""
        stands = self._prompter.get(event.part, event.id)
        sounding = self._sounding.get(event.id)
        if sounding is not None:
            if stands is None or stands.end <= self._now() + EARLY:
                del self._sounding[event.id]
                self._say(sounding[1])
        elif stands == event and self.heard:
            on, off = spoken(event, self._base)
            if on:
                self._say(on)
            if off:
                self._sounding[event.id] = event.part, off
                self._later(event.end, partial(self._turn, event))

    def forget(self, gone: Iterable[int]) -> None:
        """Events are taken back: what sounds of them ends now."""
        for identity in gone:
            sounding = self._sounding.pop(identity, None)
            if sounding is not None:
                self._say(sounding[1])


def spoken(event: Event, base: str = PREFIX) -> tuple[bytes, bytes]:
    """What an OSC output would be sent for an event of the plan, at its beginning and its end."""
    what = json.loads(b"{" + event.on + b"}")
    if what["event"] == "note":
        address = f"{base}/part/{osc_name(what['part'])}"
        seconds = (event.end - event.due) / 1e9
        on = osc_message(f"{address}/note", what["pitch"], float(what["velocity"]), seconds)
        return on, osc_message(f"{address}/off", what["pitch"])
    if what["event"] in ("bend", "pressure"):
        return b"", b""  # an OSC output has none
    if what["event"] == "control":
        address = f"{base}/part/{osc_name(what['part'])}/control"
        return osc_message(address, what["controller"], what["value"]), b""
    prefix = base if what["event"] == "say" else ""
    return osc_message(prefix + what["address"], *what["args"]), b""


def name_of(identity: int) -> str:
    """What an event is called to listeners, for whom 64 bits are no number."""
    return f"{identity:x}"


def _plan(events: Iterable[Event], why: bool) -> str:
    return '{"plan":[' + ",".join(_item(event, why) for event in events) + "]}"


def _item(event: Event, why: bool) -> str:
    end = f'"end":{event.end / 1e9:.6f},' if event.end else ""
    more = f",{event.off.decode()}" if why and event.off else ""
    head = f'{{"id":"{name_of(event.id)}","at":{event.due / 1e9:.6f},{end}'
    return f"{head}{event.on.decode()}{more}}}"


def _seconds(ns: int) -> float:
    return round(ns / 1e9, 6)
