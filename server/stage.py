"""The real pieces together: clock, wires, player, desk and listeners, from curtain to curtain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import selectors
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from engines.base import Mistake
from engines.repertoire import to_data

from .backstage.aside import Crew
from .backstage.health import Health
from .backstage.heap import settle, spare
from .backstage.metrics import FORMAT, Tally, metrics
from .backstage.service import governed, keep_alive, notify
from .band.bands import Band, Bands
from .band.earshot import Earshot
from .concert.clock import RealClock
from .concert.journal import Entry, Journal, Marked, Troubled
from .concert.prompter import Prompter
from .concert.transport import HORIZON
from .desk.desk import Desk, Source
from .desk.folio import Folio
from .desk.memory import (
    Memory,
    State,
    begin_afresh,
    claim,
    dressed,
    go_on,
    learn,
    read_state,
    restore,
    set_aside,
    stand,
)
from .desk.midi import Mappings
from .desk.outfit import Outfit, Tastes
from .desk.whereabouts import addresses
from .ensemble.rack import Numbers
from .score.folders import adding
from .score.scene import Scene, find_scene, overheard, redirected, routed
from .score.sources import Shelf
from .score.sync import asked
from .takes.log import LARGEST_BAND, BandLogs, LogWriter, Scribe
from .wire.ears import Ears
from .wire.link import Link
from .wire.protocol import Event

if TYPE_CHECKING:
    from .desk.broker import Broker
    from .desk.feed import Feed
    from .desk.roster import Roster
    from .desk.sessions import Session, Sessions
    from .desk.watch import Lookout
    from .replay import Replay

#: What `play` may wait for its ports to open before the first beat.
OPENING = 0.5
CONTROL_PORT, PAGE_PORT = 1821, 1822
SWITCH = 0.0005  # s for which one thread may keep the interpreter from another
NICE = -10  # of the planner, as its systemd unit has it

#: Settings that can change while it plays: where it sends to, what it hears, who leads.
LIVE = frozenset({"midi", "osc", "why", "midi_in", "sync"})

T = TypeVar("T")
Args = TypeVarTuple("Args")


@dataclass(frozen=True)
class Wish:
    """What the command line asks of a performance; midi, osc and why as in `routed`.

    surfaces: HOST:PORT of surfaces whose faders are to follow.
    folder: where the scene lies, whose other scenes may be called for.  folio: where scenes are
    kept that are written meanwhile; None for nowhere.
    horizon: nanoseconds to plan ahead.  bars, seconds: when to end; 0 for never.
    control: UDP port for control by OSC on loopback; 0 for none.  insisted: whether that port
    was asked for, so that playing without it would be wrong.  taste: the file that keeps what
    feedback teaches.  themes: the file that themes are added to when somebody asks for it.
    http: TCP port for page, OSCQuery and WebSocket; 0 for none.  http_insisted: likewise.
    lan: whether both listen to other machines too.  origins: web pages elsewhere that may ask.
    announce: whether the network is told of it.
    mqtt: the broker that hears of it all, and may command.  watch: whether the scene is read again
    when its files are saved.
    log: the file of the control log; None for none.  log_insisted: likewise.
    state: the file that keeps what outlives the program; None for none.  resume: whether to go on
    from there.
    version: of Componium, for the log and for metrics.
    settings: reads the user's settings again, those that the command line has not gone before.
    sync: as in `asked`.  midi_in: as in `routed`.  mappings: the file that keeps what MIDI learn
    has learnt; None for none.  mappings_insisted: whether it was asked for.
    """

    midi: str = ""
    osc: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    why: bool = False
    folder: Path | None = None
    bars: int = 0
    seconds: float = 0.0
    horizon: int = HORIZON
    control: int = CONTROL_PORT
    insisted: bool = False
    taste: Path | None = None
    themes: Path | None = None
    http: int = PAGE_PORT
    http_insisted: bool = False
    lan: bool = False
    origins: tuple[str, ...] = ()
    announce: bool = False
    midi_in: tuple[str, ...] = ()
    mappings: Path | None = None
    mappings_insisted: bool = False
    mqtt: Broker | None = None
    watch: bool = True
    log: Path | None = None
    log_insisted: bool = False
    version: str = ""
    state: Path | None = None
    resume: bool = False
    sync: str = ""
    folio: Path | None = None
    settings: Callable[[], Mapping[str, Any]] | None = None


class Stage:
    """One performance. `play` returns when it is over; the wires are silent and gone by then.

    abandoned: called before the process ends at once, because of a second signal.
    opened: told the link to the page, token included, once it is there.
    """

    def __init__(self, scene: Scene, wish: Wish, journal: Journal, health: Health) -> None:
        self.wish, self.journal, self.health = wish, journal, health
        self.abandoned: Callable[[], None] = lambda: None
        self.opened: Callable[[str], None] = lambda link: None
        self._scene = overheard(scene) if wish.http else scene
        self._began = scene.name
        self._desk: Desk
        self._sessions: Sessions
        self._numbers, self._shelf = Numbers(), Shelf()
        self._state_file, self._afresh = wish.state, False
        self._claim: IO[bytes] | None = None
        self._reloads = 0
        self._settings = dict(wish.settings()) if wish.settings is not None else {}
        self._lost: list[str] = []  # what of a state does not fit any more
        #: Told of each band that is opened beside the one of the scene.
        self.joined: Callable[[Band], object] = lambda band: None
        self._left = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answers: set[tuple[str, int]] = set()
        self._answered = asyncio.Event()
        self._ears: Ears | None = None
        self._scribe: Scribe | None = None
        self._lookout: Lookout | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._earshot = Earshot(self._need_ears)
        self._links = {kind: self._link(kind) for kind in self._kinds()}
        self._bands = Bands(
            RealClock(),
            self._links,
            Numbers(),
            wish.horizon,
            self._soon if wish.http else None,
            self._together,
            _boottime(),
            self._earshot,
            self._alarm,
            lambda: self.sync.spec.input,
        )
        self.band = self._bands.first(asked(scene.sync, wish.sync), journal)
        self.player, self.sync = self.band.player, self.band.sync
        tastes = Tastes(wish.taste, self.trouble, self._from_thread) if wish.taste else None
        folio = Folio(wish.folio) if wish.folio is not None else None
        files = wish.themes, wish.mappings, self.trouble
        self._outfit = Outfit(wish.folder, folio, tastes, *files)

    def load(self, name: str, style: str = "") -> Scene:
        """A scene as the band without a name plays it. Errors: Mistake."""
        return self._load(name, style, self.wish.midi_in)

    def _load_for_band(self, name: str, style: str, target: str) -> Scene:
        """A scene as a band plays it that is to send to a target of its own. Errors: Mistake."""
        return self._load(name, style, tuple(self._band_inputs()), target)

    def _load(self, name: str, style: str, midi_in: tuple[str, ...], target: str = "") -> Scene:
        wish, scene = self.wish, self._shelf.scene(find_scene(name), style)
        if target:
            scene = redirected(scene, target, wish.why, midi_in)
        else:
            scene = routed(scene, wish.midi, wish.osc, wish.why, midi_in)
        return overheard(scene) if wish.http else scene

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """What is written to the wires meanwhile leaves in one piece."""
        with contextlib.ExitStack() as stack:
            for link in self._links.values():
                stack.enter_context(link.together())
            yield

    def trouble(self, trouble: Troubled) -> None:
        """Enter trouble in the journal, from any thread."""
        self._from_thread(partial(self.journal.enter, trouble))

    def _from_thread(self, do: Callable[[], object]) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just closed
                self._loop.call_soon_threadsafe(do)

    def leave(self, number: int) -> None:
        """End the performance because of a signal; the second time, at once."""
        if self._left:
            self.abandoned()
            os._exit(128 + number)  # the wires notice, end every note and go
        self._left = number

    def reload(self) -> None:
        """Read settings, scenes and mappings again, because a service was told to; it plays on."""
        self._take_settings()
        self._reloads += 1  # a second one is no bounced button
        source = Source(f"the service, reading {self._reloads}", "edit")
        for each in (self._desk, *(session.desk for session in self._sessions)):
            try:
                each.midi.mappings.reread()
            except Mistake as mistake:
                self.journal.enter(Troubled("mappings", f"{mistake.problem}; the old ones stay"))
            each.reread(source)

    def _take_settings(self) -> None:
        """Read the settings again; what of them can change while it plays does, and all is told."""
        if self.wish.settings is None:
            return
        before = self._settings
        try:
            now = dict(self.wish.settings())
            changed = {name for name in before | now if before.get(name) != now.get(name)}
            live = changed & LIVE
            values: dict[str, Any] = {
                "midi": str(now.get("midi", "")),
                "osc": tuple(map(str, now.get("osc", ()))),
                "why": bool(now.get("why", False)),
                "midi_in": tuple(map(str, now.get("midi_in", ()))),
                "sync": str(now.get("sync", "")),
            }
            for kind in live & {"midi", "osc"} - self._links.keys():  # no wire is there to send it
                if values[kind] not in ("none", ()):
                    live.discard(kind)
            wish = replace(self.wish, **{name: values[name] for name in live})
            scene = self.player.scene or self._scene
            routed(scene, wish.midi, wish.osc, wish.why, wish.midi_in)
            lead = asked(scene.sync, wish.sync)
        except Mistake as mistake:
            told, place = str(mistake), mistake.place
            if place.startswith("--"):  # as the command line calls it
                told = f"play.{place[2:].replace('-', '_')}: {mistake.problem}"
            self.journal.enter(Troubled("settings", f"{told}; the old ones stay"))
            return
        self.wish, self._settings = wish, now
        if live - {"sync"}:
            self._note_route(self.band, "")
            for each in self._sessions:
                self._note_route(each.band, each.target)
        if "sync" in live:
            source = f"midi:{lead.input}" if lead.source == "midi" else lead.source
            self._desk.receive("/componium/sync", [source], Source("settings", "edit"))
        words = [
            f"{', '.join(sorted(names))} {when}"
            for names, when in ((live, "from now on"), (changed - live, "from the next start on"))
            if names
        ]
        if words:
            self.journal.enter(Troubled("settings", f"read again: {'; '.join(words)}"))

    async def play(self) -> int:
        """Play until the end, a signal, or for ever; the exit status."""
        self._loop = loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup wants us to outlive the terminal
            if number == signal.SIGHUP and governed():
                loop.add_signal_handler(number, lambda: None)  # all is being read just now
            else:
                loop.add_signal_handler(number, self.leave, number)
        spare()
        closing, log = contextlib.AsyncExitStack(), None
        # Whenever the loop has let go of the interpreter, a scene that is being read keeps it
        # for so long; the usual 5 ms add up while messages come in.
        sys.setswitchinterval(SWITCH)
        try:
            loaded = self._load_web()
            await self._start_wires()
            state = self._recall()
            self._recall_taste()
            mappings = self._open_mappings(state)
            log = self._open_log()
            self.band.cue(self._scene)
            goes_on = (
                state is not None
                and self.sync.spec.source == "internal"
                and await stand(self.player, state)
            )
            await self._open_desk(closing, loaded, mappings)
            self.band.listen()
            if self._hearing is not None:
                await self._hearing
            await self._ports_open()
            settle()
            memory = self._open_memory(state)
            if governed():
                loop.add_signal_handler(signal.SIGHUP, self.reload)
            if goes_on and state is not None:
                self.player.end_after(self.wish.bars)
                waits = go_on(self._desk, state)
                closing.callback(loop.create_task(waits).cancel)
            else:
                self.sync.open(self.wish.bars)
                if state is not None:
                    begin_afresh(self._desk, state)
            if self.wish.resume:
                closing.callback(loop.create_task(self._sessions.bring_back()).cancel)
            notify("READY=1")
            awake = self._loop.create_task(keep_alive(lambda: not self._unwell()))
            closing.callback(awake.cancel)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._until()):
                    await self.player.run(lambda: bool(self._left))
            notify("STOPPING=1")
            if memory is not None:
                memory.close()
            self.band.halt()
            await self._sessions.end()
            if self._claim is not None:  # bands are part of the state
                self._claim.close()
            if self._outfit.tastes is not None:
                self._outfit.tastes.close(self.band)
        finally:
            self.sync.close()
            ends = [link.close() for link in self._links.values()]
            ends += [self._ears.close()] if self._ears is not None else []
            await asyncio.gather(closing.aclose(), *ends)
            if log is not None:
                log.close()
            if self._scribe is not None:
                self._scribe.close()
        return 128 + self._left if self._left else 0

    def _open_log(self) -> LogWriter | None:
        """Begin the control log. Errors: Mistake where it was asked for and cannot be kept."""
        path = self.wish.log
        if path is None:
            return None
        try:
            return self._log_of(self.band, path)
        except OSError as error:
            problem = f"{path} cannot be written: {error.strerror}"
            self._do_without("--log", f"{problem}; playing without a log", self.wish.log_insisted)
            return None

    def _log_of(self, band: Band, path: Path, target: str = "", largest: int = 0) -> LogWriter:
        """Have a band noted down. target: as of `_load_for_band`. Errors: OSError."""
        player = band.player
        head = {
            "version": self.wish.version,
            "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
            "clock": player.clock.now(),
            "horizon": player.horizon,
            "look": player.period,
            "wires": list(player.rack.wires),
            "route": self._route(band, target),
            "taste": band.hands.tastes(),
            **({"session": band.name} if band.name else {}),
            "learnt": {
                scene: {part: to_data(past) for part, past in parts.items()}
                for scene, parts in band.hands.repertoires().items()
            },
        }
        self._scribe = self._scribe or Scribe()
        log = LogWriter(path, head, self.trouble, self._scribe, largest)
        player.noting = log
        return log

    def _route(self, band: Band, target: str) -> dict[str, object]:
        """Where a band's scenes send to and what they hear, for its log."""
        wish = self.wish
        return {
            **{"midi": wish.midi, "osc": list(wish.osc), "why": wish.why},
            "midi_in": self._band_inputs() if band.name else list(wish.midi_in),
            **({"target": target} if target else {}),
        }

    def _note_route(self, band: Band, target: str) -> None:
        """Have a band's log know of the route that its scenes take from now on."""
        with band.player.still("route"):
            band.player.note("route", route=self._route(band, target))

    def _band_inputs(self) -> list[str]:
        """What `--midi-in` means for bands with a name: their scenes' own inputs, or none."""
        return ["none"] if "none" in self.wish.midi_in else []

    def _unwell(self) -> list[str]:
        return self.health.unwell(self.player.clock.now())

    def _pages(self, feed: Feed) -> dict[str, Callable[[], tuple[int, str, str]]]:
        """What machines that watch may read: status, kind and text."""
        tally, now = Tally(), self.player.clock.now
        self.journal.add(tally)
        gauges: dict[str, Callable[[], float]] = {"listeners": lambda: len(feed.listeners)}
        if self.wish.mqtt is not None:
            gauges["mqtt_connected"] = lambda: self.health.mqtt

        def measured() -> tuple[int, str, str]:
            text = metrics(
                self.health, tally, now(), self.player.playing, gauges, self.wish.version
            )
            return 200, FORMAT, text

        def well() -> tuple[int, str, str]:
            mute = self._unwell()
            if mute:
                return 503, "text/plain", f"mute: {', '.join(mute)}\n"
            return 200, "text/plain", "well\n"

        return {"/metrics": measured, "/healthz": well}

    # What outlives the program ----------------------------------------------------------

    def _recall(self) -> State | None:
        """What was written down, if it is to be gone on with, with its scene in our scene's place.

        What cannot be understood is told and put aside.
        """
        wish = self.wish
        if wish.state is None:
            return None
        try:
            self._claim = claim(wish.state)
        except OSError:  # that nothing can be written there is told when it is tried
            self._claim = None
        else:
            if self._claim is None:
                self._state_file = None
                if wish.resume:
                    text = f"another Componium that runs keeps {wish.state.name}; beginning afresh"
                    self.journal.enter(Troubled("state", text))
                return None
        try:
            state = read_state(wish.state, self._began)
        except Mistake as mistake:
            aside = set_aside(wish.state)
            self._state_file = wish.state if aside is not None else None
            kept = f"it is {aside.name} now" if aside is not None else "it is left as it is"
            text = f"{mistake}; {kept}; beginning afresh"
            self.journal.enter(Troubled("state", text))
            return None
        if state is None or not wish.resume:
            self._afresh = state is not None
            if state is not None and not state.ended and state.bar:
                text = f"the last performance broke off in bar {state.bar}; --resume goes on there"
                self.journal.enter(Troubled("state", text))
            return None
        scene = self._scene
        if state.scene != scene.name or state.style != scene.style:
            beside = wish.folder / f"{state.scene}.toml" if wish.folder else None
            known = str(beside) if beside is not None and beside.exists() else state.scene
            try:
                scene = self.load(known, state.style)
            except Mistake as mistake:
                self._lost.append(f"{state.scene}: {mistake}")
        self._scene, lost = dressed(state, scene)
        self._lost += [*lost, *learn(self.player, state, wish.taste is None)]
        return state

    def _open_mappings(self, state: State | None) -> Mappings:
        """What MIDI learn has learnt. Errors: Mistake where it was asked for and is no good."""
        wish = self.wish
        try:
            mappings = Mappings(wish.mappings)
        except Mistake as mistake:
            if wish.mappings_insisted:
                raise
            text = f"{mistake.problem}; it is left as it is, and what is learnt now is not kept"
            self.journal.enter(Troubled("mappings", text))
            mappings = Mappings()
        if state is not None:
            self._lost += mappings.go_on(state.maps)
        return mappings

    def _open_memory(self, state: State | None) -> Memory | None:
        """Set what was set, and begin to write down how it goes on."""
        if state is not None:
            restore(self._desk, state, self._lost)
        if self._state_file is None:
            return None
        return Memory(self._desk, self._state_file, self._began, self.trouble, self._afresh)

    def _open_roster(self) -> Roster | None:
        """Where the bands with a name are kept; they come back with the one without."""
        from .desk.roster import Roster

        if self._state_file is None:
            return None
        folder = self._state_file.with_suffix(".bands")
        return Roster(folder, self.trouble, not self.wish.resume)

    def _recall_taste(self) -> None:
        """Begin with what was learnt before. Errors: Mistake."""
        if self._outfit.tastes is not None:
            self._outfit.tastes.recall(self.band)

    def _until(self) -> float | None:
        """When so many seconds of music are over, by the loop's clock; None for never."""
        if not self.wish.seconds:
            return None
        begins = self.player.timeline.ns_at(Fraction(0))
        return max(begins, self.player.clock.now()) / 1e9 + self.wish.seconds

    def _kinds(self) -> list[str]:
        used = {spec.kind for spec in self._scene.outputs.values()} - {"web"}
        if self.wish.control or self.wish.http:  # another scene may be called for, with other ones
            used |= {"osc"} if self.wish.midi == "none" else {"osc", "midi"}
        return sorted(used)

    def _link(self, kind: str) -> Link:
        stats = self.health.stats
        self.health.restarts[kind] = 0

        def state(port: int, what: str, why: str) -> None:
            self._answers.add((kind, port))
            self._answered.set()
            if not self._bands.port_state(kind, port, what, why):
                self.player.port_state(kind, port, what, why)

        def heard(news: dict[str, Any]) -> None:
            stats[kind] = news
            self.health.heard[kind] = self.player.clock.now()

        def restarted() -> None:
            self.health.restarts[kind] = self.health.restarts.get(kind, 0) + 1
            why = f"the {kind} wire died; another has taken its place"
            self.player.wire_restarted(why)
            self._bands.wire_restarted(why)

        def silenced(why: str) -> None:
            self.player.wire_silenced(f"the {kind} wire fell silent: {why}")
            self._bands.wire_silenced(f"the {kind} wire fell silent: {why}")

        return Link(
            on_state=state,
            on_stats=heard,
            on_silenced=silenced,
            on_restart=restarted,
        )

    async def _start_wires(self) -> None:
        for kind, link in self._links.items():
            try:
                await link.start()
            except OSError as error:
                raise Mistake("", f"the {kind} wire cannot be started: {error}") from None

    async def _open_desk(
        self, closing: contextlib.AsyncExitStack, loaded: Awaitable[None], mappings: Mappings
    ) -> None:
        """Listen to who wants to control us, until closed."""
        from .desk.sessions import Session

        wish = self.wish
        desk = self._desk = self._outfit.desk(self.band, self.load, mappings)
        feed = self._feed_of(self.band, desk) if wish.http or wish.mqtt or wish.surfaces else None
        main = Session(self.band, desk, feed, self.player.clock.now())
        closing.callback(desk.close)
        self._furnish(main)
        for close in main.closing:
            closing.callback(close)
        token = self._token() if wish.control or wish.http else ""
        if wish.control:
            await self._open_osc(desk, token, closing)
        self._open_bands(desk, feed, closing)
        if feed is None:
            return
        if wish.http:
            try:
                await loaded
            except ImportError as error:
                self._do_without("http", f"{error}; playing without the page", wish.http_insisted)
            else:
                await self._open_web(feed, token, closing)
        if wish.mqtt is not None:
            self._open_mqtt(feed, wish.mqtt, closing)
        if wish.surfaces:
            from .desk.surface import follow, reach

            lines = await reach(wish.surfaces)
            closing.callback(asyncio.create_task(follow(feed, lines)).cancel)

    def _watch(self, desk: Desk) -> Callable[[], object]:
        """Have a band's scene read again when its files are saved; what ends that."""
        try:
            from .desk.watch import Lookout, Watch
        except ImportError as error:
            if desk is self._desk:
                self._do_without("watch", f"{error}; files are not read again when saved", False)
            return lambda: None

        def became(right: bool) -> None:
            self.health.reload_ok = right

        self._lookout = self._lookout or Lookout(self.journal.enter)
        told = became if desk is self._desk else (lambda right: None)
        return Watch(desk, told, self._lookout).close

    def _furnish(self, session: Session) -> None:
        """Give a band that is opened ears, knobs and a look at its files."""
        band, desk = session.band, session.desk
        if band.name:
            self.joined(band)
        band.player.journal.add(partial(self._follow_inputs, band))
        loop = asyncio.get_running_loop()
        desk.midi.later, desk.midi.wait = loop.call_soon, loop.call_later
        band.keyboard.claims.append(desk.midi.claim)
        if self.wish.watch:
            session.closing.append(self._watch(desk))

    def _note_down(self, band: Band, target: str, logs: BandLogs) -> Callable[[], object]:
        """Begin a band's control log; what ends it."""
        try:
            path = logs.fresh(band.name)
            log = self._log_of(band, path, target, LARGEST_BAND)
        except OSError as error:
            self.journal.enter(Troubled("log", f"none of {band.name}: {error.strerror}"))
            return lambda: None

        def close() -> None:
            log.close()
            logs.close(path)

        return close

    def _token(self) -> str:
        """The token of this user, or one for this time only where it cannot be kept."""
        from .desk.keys import fresh_token, the_token, token_file

        try:
            return the_token(token_file())
        except (Mistake, ImportError) as error:
            self._do_without("token", f"{error}; using another this time", self.wish.lan)
            return fresh_token()

    def _do_without(self, source: str, text: str, insisted: bool) -> None:
        """Say that something is not there. Errors: Mistake where it was asked for."""
        if insisted:
            raise Mistake(source, text.partition(";")[0])
        self.journal.enter(Troubled(source, text))

    async def _open_osc(self, desk: Desk, token: str, closing: contextlib.AsyncExitStack) -> None:
        from .desk.keys import Keys
        from .desk.osc import serve

        wish = self.wish
        try:
            host = "0.0.0.0" if wish.lan else "localhost"
            door = await serve(desk, host, wish.control, Keys(token), wish.http)
        except Mistake as mistake:
            if wish.insisted:
                raise
            self.journal.enter(Troubled("control", f"{mistake}; playing without control by OSC"))
            return
        closing.callback(door.close)
        self.health.control = f"{'0.0.0.0' if wish.lan else '127.0.0.1'}:{door.port}"

    def _load_web(self) -> Awaitable[None]:
        """Have the libraries of the page loaded while the wires start."""

        def load() -> None:
            from .desk import web  # noqa: F401

        async def nothing() -> None:
            return

        return asyncio.ensure_future(asyncio.to_thread(load) if self.wish.http else nothing())

    def _open_bands(
        self, desk: Desk, feed: Feed | None, closing: contextlib.AsyncExitStack
    ) -> None:
        """Have other bands beside the one of the scene, for whoever asks for them."""
        from .desk.sessions import Sessions

        heard = self._feed_of if self.wish.http or self.wish.mqtt else None
        logs = BandLogs(self.wish.log) if self.wish.log is not None and self._scribe else None

        def begin(band: Band, target: str) -> Callable[[], object]:
            return self._note_down(band, target, logs) if logs is not None else lambda: None

        load, kept = self._load_for_band, (self._open_roster(), self._outfit)
        sessions = Sessions(desk, self._bands, load, heard, begin, self._furnish, *kept)
        self._sessions = sessions
        if feed is not None:
            feed.beside = sessions.feeds
            feed.query.beside = sessions.queries
        task = asyncio.get_running_loop().create_task(self._bands.run())
        closing.callback(task.cancel)
        closing.push_async_callback(sessions.end)

    def _feed_of(self, band: Band, desk: Desk) -> Feed:
        """What pages, OSCQuery clients and a broker hear of a band."""
        from .desk.feed import Feed

        prompter = band.prompter or Prompter(self.player.clock.now, self._soon)
        wish = self.wish
        host: dict[str, object] = {"NAME": "Componium", "OSC_TRANSPORT": "UDP"}
        if self.health.control:
            host["OSC_PORT"] = int(self.health.control.rpartition(":")[2])
        if not wish.lan:
            host["OSC_IP"] = "127.0.0.1"
        told = self.health.told
        return Feed(band.player, desk, prompter, host, self._later, told, band.name)

    def _open_mqtt(self, feed: Feed, broker: Broker, closing: contextlib.AsyncExitStack) -> None:
        """Begin to talk to a broker. Errors: Mistake where that can never be."""
        try:
            from .desk.mqtt import Mqtt
        except ImportError:
            cure = f"needs aiomqtt; do: {adding('mqtt')}"
            raise Mistake("--mqtt", cure) from None

        def tell(text: str) -> None:
            self.journal.enter(Troubled("mqtt", text))

        try:
            line = Mqtt(feed, broker, not self.health.page, tell)
        except OSError as error:  # ssl's own among them
            raise Mistake("mqtt", f"{broker.ca}: no certificates to trust: {error}") from None

        def connected(stands: bool) -> None:
            self.health.mqtt = stands

        line.became = connected
        line.open()
        closing.push_async_callback(line.close)

    async def _open_web(self, feed: Feed, token: str, closing: contextlib.AsyncExitStack) -> None:
        from .desk.keys import Keys
        from .desk.web import Manners, Web, serve

        wish = self.wish
        names = (socket.gethostname(), f"{socket.gethostname()}.local") if wish.lan else ()
        manners = Manners(names, wish.origins, wish.lan)
        door = Web(feed, Keys(token), manners, pages=self._pages(feed))
        try:
            await serve(door, wish.http, wish.lan)
        except Mistake as mistake:
            if wish.http_insisted:
                raise
            self.journal.enter(Troubled("http", f"{mistake}; playing without the page"))
            return
        closing.push_async_callback(door.close)
        feed.query.host |= {"WS_PORT": door.port}
        [here, *_] = await asyncio.to_thread(addresses, wish.lan)
        page = f"http://{here}:{door.port}"
        self.health.page = page if wish.lan else f"{page}/#{token}"  # others may see the screen
        self.opened(f"{page}/#{token}")
        if wish.announce:
            await self._announce(door.port, closing)

    async def _announce(self, port: int, closing: contextlib.AsyncExitStack) -> None:
        """Tell who looks for OSCQuery servers. Errors: Mistake where that is not possible."""
        try:
            from .desk.announce import announce
        except ImportError:
            cure = f"needs zeroconf; do: {adding('announce')}"
            raise Mistake("--announce", cure) from None
        osc = int(self.health.control.rpartition(":")[2] or 0)
        leave = await announce("Componium", port, osc, self.wish.lan)
        closing.push_async_callback(leave)

    def _soon(self, do: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon(do)

    def _later(self, ns: int, do: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_at(ns / 1e9, do)

    # MIDI inputs ------------------------------------------------------------------------

    def _need_ears(self) -> None:
        """Start the process that hears, when the first input is wanted."""
        if self._hearing is None:
            self._hearing = asyncio.get_running_loop().create_task(self._hear())

    async def _hear(self) -> None:
        earshot = self._earshot
        ears = self._ears = Ears(earshot.heard, earshot.state, earshot.lost)
        try:
            await ears.start()
        except OSError as error:
            self.journal.enter(Troubled("midi in", f"cannot be heard: {error}"))
            return
        earshot.attach(ears)

    def _follow_inputs(self, band: Band, entry: Entry) -> None:
        """Have the inputs of a scene that takes over, once the look at it is over."""
        if isinstance(entry, Marked) and entry.kind == "scene":
            self._soon(band.listen)

    def _alarm(self, ring: Callable[[], None]) -> Callable[[int], None]:
        """As of `Band`."""
        timer: asyncio.TimerHandle | None = None

        def set_to(at: int) -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
            wait = max(at - self.player.clock.now(), 0) / 1e9
            timer = asyncio.get_running_loop().call_later(wait, ring)

        return set_to

    async def _ports_open(self) -> None:
        """Wait until every port has said how it is, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OPENING):
                while not self._answers >= set(self.player.rack.labels):
                    self._answered.clear()
                    await self._answered.wait()


def _boottime() -> Callable[[], int] | None:
    """A clock that runs on while the machine sleeps, where there is one."""
    if sys.platform == "darwin":  # Python's own monotonic clock stands meanwhile; this does not
        return lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return None if number is None else lambda: time.clock_gettime_ns(number)


class Selector(selectors.SelectSelector):
    """Waits for sockets, and lets go of those that cannot be waited for.

    Law: a descriptor that a library has closed, or closed before its wish to hear of it arrived,
    ends nothing but that wish; `select` itself would raise, again and again.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        try:
            return super().select(timeout)
        except (OSError, ValueError):
            for key in list(self.get_map().values()):
                try:
                    select.select((key.fd,), (), (), 0)
                except (OSError, ValueError):
                    self.unregister(key.fd)
            return []


class Loop(asyncio.SelectorEventLoop):
    """A loop whose waits are not rounded to milliseconds.

    Law: a look-up or a load that hangs does not hold up the end, as those of a pool would.
    """

    def __init__(self) -> None:
        super().__init__(Selector())
        self._crew = Crew("loader")

    def close(self) -> None:
        """As ever; whoever hangs stays behind."""
        self._crew.close()
        super().close()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Without an executor: on a thread that nobody waits for when the program ends."""
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    result = func(*args)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self._crew.do(work)
        return asyncio.wrap_future(future, loop=self)


def take_precedence() -> None:
    """Go before what else wants the processor, where that is allowed and nobody has said otherwise.

    A browser that draws on the same two cores can keep a planner waiting for longer than it plans
    ahead. The wires, which the system may let go before everything ordinary, go before us still.
    """
    with contextlib.suppress(OSError, AttributeError):  # not allowed; no such thing here
        if os.getpriority(os.PRIO_PROCESS, 0) == 0:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)


def run(stage: Stage) -> int:
    """Play to the end; the exit status."""
    take_precedence()
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(stage.play())


class _Later:
    """A wire that does all as much later as another clock is behind ours. wait: nanoseconds."""

    def __init__(self, link: Link, wait: int) -> None:
        self._wait = wait
        self.open, self.shut, self.recall, self.cut = link.open, link.shut, link.recall, link.cut
        self.silence, self.panic, self._send = link.silence, link.panic, link.send

    def send(self, events: Iterable[Event]) -> None:
        wait = self._wait
        self._send(
            event._replace(due=event.due + wait, end=event.end + wait if event.end else 0)
            for event in events
        )


async def _play_again(replay: Replay) -> None:
    player, clock = replay.player, RealClock()
    links = {kind: Link() for kind in ("midi", "osc") if kind in player.rack.wires}
    try:
        for link in links.values():
            await link.start()
        wait = clock.now() + round(OPENING * 1e9) - replay.clock.now()
        player.rack.wires.update({kind: _Later(link, wait) for kind, link in links.items()})
        for at in replay:
            await clock.sleep_until(at + wait)
    finally:
        await asyncio.gather(*(link.close() for link in links.values()))


def play_again(replay: Replay) -> None:
    """Play a log again through its ports, in time. Errors: Mistake; OSError without wires."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(_play_again(replay))
