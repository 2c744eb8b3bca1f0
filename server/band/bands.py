"""Bands that play beside each other in one process: one loop looks after all, over shared wires.

The one without a name is a band like the others, but for its loop, which is its player's own.
"""

from __future__ import annotations

import asyncio
import gc
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from heapq import heapify, heappop, heappush

from engines.base import Mistake
from server.backstage.heap import give_back, settle
from server.concert.clock import Clock
from server.concert.journal import Journal, Troubled
from server.concert.player import Player
from server.concert.prompter import Prompter
from server.concert.transport import HORIZON, LOOK
from server.ensemble.part import said
from server.ensemble.rack import Numbers, Rack, Share, SharedWire, Wire
from server.score.scene import Scene
from server.score.sync import SyncSpec
from server.sync.link import Peer
from server.sync.source import INPUT, Linked, Sync
from server.wire.protocol import Heard

from .earshot import Earshot, Seat
from .hands import Hands
from .keyboard import Keyboard

PREFIX = "/componium"
SESSION = f"{PREFIX}/session"
MOST = 256  # bands, besides the one without a name
RESERVED = frozenset({"open", "close", "alive", "list"})  # commands beside the bands
JOIN = 4_000_000  # ns by which a look comes early, where another is due just now
TURN = 4_000_000  # ns of looks after which the loop does other things first
FEW, FAR = 32, 4  # bands that are planned as far ahead as one is; how many times as far at most
IDLE = 500_000_000  # ns between two looks at a band that has halted and whose clock nobody follows
LONG, PATIENCE = 100_000_000, 3  # ns of a look too long, and how many in a row end the music
#: Where looks come so late, there is no room for another band; the average of so many counts.
LATE, LOOKS = 30_000_000, 128
#: Where they come so late all are planned as far ahead as may be, until they have not for so long.
PRESSED, CALMED = 5_000_000, 20 * 10**9
#: ns between two bands that make another scene ready; by how much more it is put off where looks
#: come too late, at most.
APART, PUT_OFF = 40_000_000, 500_000_000
MADE = 4  # scenes that have taken over after which the collector is to pass over them
LINKED = 16  # bands that may be in a Link session at once
LEFT = 64  # bands closed after which their garbage is looked for
TEND = 250_000_000  # ns between two looks at who is still wanted
GIVE = 10_000_000_000  # ns between two times that unused memory is given back
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_name(name: str) -> str:
    """A band's name as addresses can have it. Errors: Mistake."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        wanted = "expected 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"
        raise Mistake("name", f"{wanted}, and none of {', '.join(sorted(RESERVED))}")
    return name


def base_of(name: str) -> str:
    """What the addresses of a band begin with; "" is the one without a name."""
    return f"{SESSION}/{name}" if name else PREFIX


def band_in(address: str) -> str:
    """The name of the band that an address is in; "" where it is in none."""
    if not address.startswith(SESSION + "/"):
        return ""
    name, slash, _ = address[len(SESSION) + 1 :].partition("/")
    return name if slash else ""


def dressed(scene: Scene, name: str) -> Scene:
    """A scene whose OSC outputs speak of the band of that name."""
    outputs = {
        key: replace(spec, prefix=base_of(name)) if spec.prefix == PREFIX else spec
        for key, spec in scene.outputs.items()
    }
    return replace(scene, outputs=outputs)


#: As of `Sync`.
Join = Callable[[float, Fraction, bool], Linked]
#: Given what is to be called, what has it called at a time, ns; another time takes its place.
Alarm = Callable[[Callable[[], None]], Callable[[int], None]]


def no_alarm(ring: Callable[[], None]) -> Callable[[int], None]:
    """Nothing is ever called: where nobody plays at an input."""
    return lambda at: None


class Band:
    """Its own scene, transport, inputs, source of tempo and listeners.

    number: on the wires.  prompter: None where nobody could listen.  spec: who leads at first.
    earshot: through which inputs are heard.  usual: the clock's port where none is named.
    join: as of `Sync`.  hasten: called when it may be due earlier.
    """

    def __init__(
        self,
        name: str,
        number: int,
        player: Player,
        prompter: Prompter | None,
        spec: SyncSpec | None = None,
        earshot: Earshot | None = None,
        alarm: Alarm = no_alarm,
        usual: Callable[[], str] = lambda: "virtual",
        join: Join = Peer,
    ) -> None:
        self._usual = usual
        self.name, self.number, self.player, self.prompter = name, number, player, prompter
        self.hands = Hands(player)
        self.keyboard = Keyboard(player, alarm(self._ring))
        self.sync = Sync(player, spec, self._listen, join)
        self.hasten: Callable[[], object] = lambda: None
        earshot = earshot or Earshot()
        self.keyboard.ears = keys = Seat(earshot, name)
        keys.heard, keys.state, keys.lost = (
            self.keyboard.heard,
            self.keyboard.state,
            self.keyboard.lost,
        )
        self._clock = Seat(earshot, common="clock")
        self._clock.heard, self._clock.state = self._beat, self.sync.port_state
        self.over = False
        self.due = 0  # the nanosecond of the next look
        self.long = 0  # looks in a row that have taken too long
        self.made = 0  # casts of the player, as far as the collector is to pass over them
        #: What a wire has told that is to be heard of at the next look.
        self.owed: list[Callable[[], object]] = []

    @property
    def base(self) -> str:
        return base_of(self.name)

    def dressed(self, scene: Scene) -> Scene:
        """The scene with its OSC outputs speaking of this band."""
        return dressed(scene, self.name)

    def cue(self, scene: Scene) -> None:
        """Make ready to play a scene, as nothing was before; a log begins with it."""
        with self.player.still("cue"):
            self.player.note("cue", scene=scene.recipe)
            self.player.cue(scene)

    def listen(self) -> None:
        """Hear the inputs of the scene that plays."""
        scene = self.player.scene
        if scene is not None and not self.over:
            self.keyboard.use(scene.inputs)

    def halt(self) -> None:
        """End the music, and all that is held; a log ends with it. It does not play again."""
        player, self.over = self.player, True
        self.keyboard.close()
        try:
            with player.still("end"):
                player.note("end")
                player.stop()
        except Exception:  # it goes all the same
            player.playing = False
            player.rack.everywhere("silence")
        self.sync.close()

    def _ring(self) -> None:
        if not self.over:
            self.keyboard.wake()
            self.hasten()

    def _listen(self, port: str) -> None:
        """Open the input of a MIDI clock, or shut it."""
        if port:
            port = self._usual() if port == "virtual" else port
            settings = {"name": port, "client": "Componium", "title": "clock"}
            self._clock.open({"port": INPUT, "kind": "midi", **settings})
        else:
            self._clock.shut(INPUT)

    def _beat(self, heard: Heard) -> None:
        self.sync.heard(heard)
        self.hasten()


class Bands:
    """Opens and closes bands, and looks at each when it is due.

    wires: by kind, shared by all.  numbers: likewise.  soon: as of `Prompter`, None where nobody
    can listen.  together: has all that is written to the wires meanwhile leave in one piece.
    earshot, alarm, usual, join: as of `Band`.
    Laws: no band's failure, halt or end touches what another plays; what a band is given is given
    back when it is closed; each band's notes are those that it would play alone.
    """

    def __init__(
        self,
        clock: Clock,
        wires: Mapping[str, SharedWire],
        numbers: Numbers,
        horizon: int = HORIZON,
        soon: Callable[[Callable[[], None]], object] | None = None,
        together: Callable[[], AbstractContextManager[object]] = nullcontext,
        boot: Callable[[], int] | None = None,
        earshot: Earshot | None = None,
        alarm: Alarm = no_alarm,
        usual: Callable[[], str] = lambda: "virtual",
        join: Join = Peer,
    ) -> None:
        self._earshot, self._alarm = earshot or Earshot(), alarm
        self._usual, self._join = usual, join
        self._clock, self._wires, self._numbers, self._horizon = clock, wires, numbers, horizon
        self._soon, self._together, self._boot = soon, together, boot
        self._there: dict[str, Band] = {}
        self._used = {0}  # numbers of bands
        self._due: list[tuple[int, int, Band]] = []
        self._awake = asyncio.Event()
        self.tend: Callable[[], None] = lambda: None
        self._factor = 1.0
        self._tended = self._given = self._gone = 0
        self._late = 0.0  # ns that looks come too late, on the average of the last ones
        self._pressed = -CALMED  # when they last came so late that all were planned far ahead
        self._fresh, self._made = False, 0
        self._waiting: deque[asyncio.Future[None]] = deque()  # to make a scene ready
        self._granted = -PUT_OFF  # when somebody was last let
        self.most = MOST

    def __iter__(self) -> Iterator[Band]:
        return iter(list(self._there.values()))

    def __len__(self) -> int:
        return len(self._there)

    def get(self, name: str) -> Band | None:
        return self._there.get(name)

    # Coming and going -------------------------------------------------------------------

    def check(self, name: str) -> None:
        """Errors: Mistake where a band of this name cannot be opened."""
        check_name(name)
        if name in self._there:
            raise Mistake("name", f"there is a band {name} already; close it first")
        if len(self._there) >= self.most:
            raise Mistake("name", f"there are {self.most} bands already; close one first")
        if self._late > LATE:
            late = f"those that play are planned {self._late / 1e6:.0f} ms late"
            raise Mistake("name", f"this machine has no room for another: {late}")

    def open(
        self, name: str, scene: Scene, furnish: Callable[[Band], object] = lambda band: None
    ) -> Band:
        """A band that is ready to play a scene. furnish: called before it is. Errors: Mistake."""
        self.check(name)
        number = next(n for n in range(1, self.most + 2) if n not in self._used)
        factor = self._factor
        reach = round(self._horizon * factor), round(LOOK * factor)
        band = self._band(name, number, scene.sync, Journal(), reach, self._usual, self._joined)
        band.hasten = partial(self.hasten, band)
        furnish(band)
        band.cue(band.dressed(scene))
        band.listen()
        self._used.add(number)
        self._there[name] = band
        band.made = band.player.made
        self._set(band)
        self._awake.set()
        self._fresh = True
        self._reach()
        return band

    def first(self, spec: SyncSpec, journal: Journal) -> Band:
        """The one without a name, which is looked at by its own loop. There is one at most."""
        return self._band("", 0, spec, journal, (self._horizon, LOOK))

    def _band(
        self,
        name: str,
        number: int,
        spec: SyncSpec,
        journal: Journal,
        reach: tuple[int, int],
        usual: Callable[[], str] = lambda: "virtual",
        join: Join = Peer,
    ) -> Band:
        """A band on the wires that all share. reach: as of `Transport`."""
        prompter = Prompter(self._clock.now, self._soon) if self._soon is not None else None
        wires: dict[str, Wire] = {kind: Share(wire, number) for kind, wire in self._wires.items()}
        if prompter is not None:
            wires["web"] = prompter

        def rack(ids: Callable[[], int]) -> Rack:
            made = Rack(wires, ids, number, self._numbers, name)
            made.together = self._together
            return made

        player = Player(self._clock, rack, journal, *reach, boot=self._boot)
        return Band(
            *(name, number, player, prompter, spec, self._earshot, self._alarm, usual, join)
        )

    def _joined(self, bpm: float, quantum: Fraction, transport: bool) -> Linked:
        """A band's place in the Link session: each has one of its own, which costs a thread."""
        if sum(band.sync.source == "link" for band in self) >= LINKED:
            raise Mistake("sync", f"{LINKED} bands are in the Link session already")
        return self._join(bpm, quantum, transport)

    def _reach(self) -> None:
        """Plan further ahead, and look less often, the more there are: that halves what they cost.

        What is heard is the same, and the loop may be kept for longer by something else; where it
        is, as looks that come late tell, all are planned as far ahead as may be.
        """
        pressed = self._clock.now() - self._pressed < CALMED
        factor = FAR if pressed else min(max(len(self._there) / FEW, 1), FAR)
        if factor == self._factor:
            return
        self._factor = factor
        horizon, look = round(self._horizon * factor), round(LOOK * factor)
        for band in self:
            with band.player.still("reach"):
                band.player.note("reach", horizon=horizon, look=look)
                band.player.reach(horizon, look)

    def close(self, name: str) -> Band:
        """Have a band halt, and give back all that it was given. Errors: Mistake."""
        band = self._there.pop(name, None)
        if band is None:
            raise Mistake("name", f"there is no band {name}")
        band.halt()
        band.player.rack.clear()
        self._due = [each for each in self._due if each[2] is not band]
        heapify(self._due)
        self._used.discard(band.number)
        self._gone += 1
        self._reach()
        return band

    # Looking ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Look at each band when it is due, until cancelled."""
        while True:
            self._awake.clear()
            wait = self.look() - self._clock.now()
            if wait <= 0:
                await asyncio.sleep(0)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(wait / 1e9):
                    await self._awake.wait()

    def look(self) -> int:
        """Look at those that are due, for a turn of the loop at most; when the next one is."""
        began = after = self._clock.now()
        with self._together():
            while self._due and self._due[0][0] <= began + JOIN and after - began <= TURN:
                due, _, band = heappop(self._due)
                if due != band.due:  # it has been given another time since
                    continue
                self._late += (max(after - due, 0) - self._late) / LOOKS
                before = after
                self._look_at(band)
                self._count(band)
                after = self._clock.now()
                self._judge(band, after - before)
                self._set(band)
        if after - self._tended >= TEND:
            self._tended = after
            if self._late > PRESSED:
                self._pressed = after
            self._reach()
            self.tend()
            self._tidy()
        if after - self._given >= GIVE:
            self._given = after
            give_back()
        self._grant(after)
        following = began + TEND if not self._waiting else after + JOIN
        return min(self._due[0][0], following) if self._due else following

    def _tidy(self) -> None:
        """Have the collector of garbage pass over what stays: with many bands it stops us too long.

        What closed bands leave is looked for only now and then, as all has to be passed over then.
        """
        if self._gone >= LEFT or (self._gone and not self._there):
            self._gone, self._fresh = 0, True
            gc.unfreeze()
        if self._fresh:
            self._fresh = False
            settle()

    def _count(self, band: Band) -> None:
        """Have the collector pass over new casts a few at a time: of many at once it takes long."""
        self._made += band.player.made - band.made
        band.made = band.player.made
        if self._made >= MADE:
            self._made = 0
            settle()
        self._fresh |= self._made > 0

    async def calm(self) -> None:
        """Wait until there is time for a band to make another scene ready; in turn.

        Law: of many that ask at once one is let every 40 ms, as long as all others are looked at
        in time; each half a second after the one before, however busy we are.
        """
        now = self._clock.now()
        if not self._waiting and self._has_room(now):
            self._granted = now
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._awake.set()
        await turn

    def _has_room(self, now: int) -> bool:
        since = now - self._granted
        slack = self._horizon * self._factor / 5
        in_time = self._late <= PRESSED and now - self._earliest(now) <= slack
        return since >= PUT_OFF or (since >= APART and in_time)

    def _earliest(self, now: int) -> int:
        return self._due[0][0] if self._due else now

    def _grant(self, now: int) -> None:
        """Let the next of those who wait."""
        while self._waiting and self._has_room(now):
            turn = self._waiting.popleft()
            if not turn.done():  # it has not been given up
                self._granted = now
                turn.set_result(None)

    def hasten(self, band: Band) -> None:
        """Something was asked of a band: it may be due earlier than it was."""
        if self._when(band) < band.due:
            self._set(band)
            self._awake.set()

    def _set(self, band: Band) -> None:
        band.due = self._when(band)
        heappush(self._due, (band.due, band.number, band))

    def _when(self, band: Band) -> int:
        player = band.player
        if band.owed:
            return self._clock.now()
        if player.playing or player.rack.clocked or band.sync.source != "internal":
            return player.expected
        return self._clock.now() + IDLE

    def _look_at(self, band: Band) -> None:
        player = band.player
        try:
            while band.owed:
                band.owed.pop(0)()
            player.wake()
            if player.playing and player.ended:
                player.stop()
        except Exception as error:
            self._halt(band, f"went wrong: {said(error)}; it has been stopped")

    def _judge(self, band: Band, spent: int) -> None:
        """Have a band that takes all the time there is not take it from the others for ever."""
        band.long = band.long + 1 if spent > LONG else 0
        if band.long >= PATIENCE:
            band.long = 0
            self._halt(band, f"its engines take {spent / 1e6:.0f} ms a look; it has been stopped")

    def _halt(self, band: Band, why: str) -> None:
        if not band.player.playing:  # it has been told already
            return
        try:
            band.player.stop()
        except Exception:
            band.player.playing = False
            band.player.rack.everywhere("silence")
        band.player.journal.enter(Troubled("band", why))

    # The wires --------------------------------------------------------------------------

    def port_state(self, kind: str, port: int, state: str, why: str) -> bool:
        """A wire tells what became of a port; whether it is one of a band's."""
        for band in self:
            if band.player.rack.owns(kind, port):
                band.player.port_state(kind, port, state, why)
                return True
        return False

    def wire_silenced(self, why: str) -> None:
        self._owe(lambda player: player.wire_silenced(why))

    def wire_restarted(self, why: str) -> None:
        self._owe(lambda player: player.wire_restarted(why))

    def _owe(self, tell: Callable[[Player], object]) -> None:
        """Have each band told at its next look, which is now: of all at once it would take long."""
        for band in self:
            band.owed.append(partial(tell, band.player))
            self._set(band)
        self._awake.set()
