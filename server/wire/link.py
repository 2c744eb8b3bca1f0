"""The planner's end of the wire: feeds it, and knows what it owes when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from time import monotonic_ns
from typing import Any, NamedTuple

from server.wire import protocol
from server.wire.child import MS, Child
from server.wire.lately import Lately
from server.wire.ports import OPEN, WAITING
from server.wire.protocol import ALL, LATE_DROP, MANNERS, PORTS, Event, concerned

#: After so many nanoseconds a note's end has surely left, whatever held it up.
SETTLED = 2_000 * MS
#: What is recalled so shortly before its time may have begun all the same.
UNSURE = 50 * MS
MOST_REMEMBERED = 200_000
#: How long a wire may take to end; a healthy one that holds nothing back needs some ms.
LEAVING = 500 * MS
#: How long it may take until another has paid what a wire that died at the end still owed: whoever
#: ends the program is not to wait for a second.
PAYING = 900 * MS
#: Closed ports whose ends are remembered, for as long as they might not have left.
MOST_PARTED = 256
#: Events in one frame: what the wire works through without looking at its deadlines.
BATCH = 32
LOOK_UP_AGAIN = 2.0


class _Parted(NamedTuple):
    """A port that was closed a moment ago.

    offs: the ends that its wire owed it then.  until: when they have surely left.
    """

    settings: dict[str, Any]
    offs: dict[bytes, None]
    until: int


class Link(Child):
    """One wire process. All methods are to be called in one running asyncio loop.

    on_state(port, state, why): "open", "waiting", "lost" or "failed", whenever that changes.
    on_stats(stats): ten times a second, see `server.wire.machine`.
    on_silenced(why): the wire ended everything by itself; perform again from now.
    on_restart(): a new wire has tried its ports and ended the old one's notes; perform again.
    What may be dropped for being late is not even sent until then.

    Laws: nothing here waits for the wire; a note that was sent is ended, by this wire or by the
    next, also where its port or everything is being closed; an event that the old wire has
    played is not given to the new one.
    """

    MODULE, DIED = "server.wire", "the wire process died; starting another"
    EVERY, MUTE, STALLED = 0.1, 500 * MS, 250 * MS

    def __init__(
        self,
        on_state: Callable[[int, str, str], None] = lambda port, state, why: None,
        on_stats: Callable[[dict[str, Any]], None] = lambda stats: None,
        on_silenced: Callable[[str], None] = lambda why: None,
        on_restart: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        super().__init__(on_state, clock)
        self._on_stats = on_stats
        self._on_silenced, self._on_restart = on_silenced, on_restart
        self._sent: dict[tuple[int, bytes], Event] = {}
        self._owed: dict[tuple[int, bytes], None] = {}
        self._parted: list[_Parted] = []
        self._paid_at = 0
        self._played = Lately(MOST_REMEMBERED)
        self._returning = False

    def open(self, settings: Mapping[str, Any]) -> None:
        """Open a port, or open it anew with other settings; OSC hosts are looked up meanwhile.

        Where only its manners are others it stays open.
        settings: port (its number), kind ("midi", "osc" or "null") and the kind's own, see
        `server.wire.midi` and `server.wire.osc`; host may be a name here.
        """
        number = int(settings["port"])
        before = self._settings.get(number, {})
        self._settings[number] = kept = dict(settings)
        if _alike(before, kept) and "connect" in before:
            kept["connect"] = before["connect"]
        self._states.pop(number, None)
        if kept["kind"] == "osc" and not _numeric(str(kept["host"])):
            self._own(self._look_up(number, kept))
        else:
            self._open(number)

    def shut(self, number: int) -> None:
        """End what sounds on a port and close it."""
        settings = self._settings.pop(number, None)
        if settings is None:
            return
        self._write(protocol.port_frame(protocol.CLOSE, number))
        self._states.pop(number, None)
        self._opening.discard(number)
        now = self._clock()
        offs: dict[bytes, None] = {off: None for port, off in self._owed if port == number}
        for event in [event for event in self._sent.values() if event.port == number]:
            del self._sent[event.id, event.off]
            if event.due <= now + UNSURE:
                offs[event.off] = None
                self._never_again(event)
        for off in offs:
            self._owed.pop((number, off), None)
        if offs:
            self._parted.append(_Parted(settings, offs, now + SETTLED))
            del self._parted[:-MOST_PARTED]

    def send(self, events: Iterable[Event]) -> None:
        """Queue events; what becomes of ids sent before is said in `docs/house.md`."""
        played, sent, soon = self._played, self._sent, self._clock() + UNSURE
        returning, batch = self._returning, list[bytes]()
        for event in events:
            if event.id in played or (returning and event.late == LATE_DROP):
                continue
            if event.off and event.end:
                # One that may have begun keeps its beginning; with another off, both are kept.
                before = sent.pop((event.id, event.off), None)
                if before is not None and before.due < soon:
                    sent[event.id, event.off] = before._replace(end=event.end)
                else:
                    sent[event.id, event.off] = event
            batch.append(protocol.pack_event(event))
            if len(batch) == BATCH:
                self._write(protocol.frame(protocol.EVENTS, b"".join(batch)))
                batch.clear()
        if batch:
            self._write(protocol.frame(protocol.EVENTS, b"".join(batch)))

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is written meanwhile leaves in one piece: the wire wakes up once for it."""
        self._gathering += 1
        try:
            yield
        finally:
            self._gathering -= 1
            if self._out and not self._gathering:
                self._flush()

    def recall(self, part: int = ALL) -> None:
        """Forget what is queued of a part."""
        self._write(protocol.part_frame(protocol.RECALL, part))
        self._unqueue(part)

    def cut(self, part: int = ALL) -> None:
        """Forget what is queued of a part and end what sounds of it."""
        self._write(protocol.part_frame(protocol.CUT, part))
        self._unqueue(part, cut=True)

    def silence(self, part: int = ALL) -> None:
        """Forget all that a band has queued, end what sounds, pedals up; of every band for ALL.

        part: as of `protocol.whole`.
        """
        self._write(protocol.part_frame(protocol.SILENCE, part))
        self._unqueue(part, cut=True)

    def panic(self, part: int = ALL) -> None:
        """`silence`, then on every MIDI channel all sound off and controllers reset."""
        self._write(protocol.part_frame(protocol.PANIC, part))
        self._unqueue(part, cut=True)

    async def close(self) -> None:
        """End everything, let it out, and wait for the process to end: for 0.5 s at most.

        Where it has died or hangs and may owe something, another pays: 0.9 s for both at most.
        """
        limit = self._clock() + PAYING
        self._cease()
        self._unqueue(ALL, cut=True)
        left = await self._end(LEAVING)
        if not left:
            self._bury()
            self._owe()
            if self._owed or self._parted:
                with contextlib.suppress(OSError):
                    self._spawn()
                    for number in self._settings:
                        self._open(number)
                    self._introduce()
                    left = await self._end(limit - self._clock())
        self._bury(kill=not left)  # one that still closes its ports ends by itself, in 2 s at most

    async def _end(self, patience: int) -> bool:
        """Have the wire end everything and go; whether it said that everything has left."""
        if self._pipe is None:
            return False
        self._loop.remove_reader(self._pipe)
        self._write(protocol.frame(protocol.SILENCE))
        limit, asked, left = self._clock() + patience, False, False
        while self._pipe is not None and self._clock() < limit:
            self._flush()
            if not self._out and not asked:
                asked = True
                with contextlib.suppress(OSError):
                    self._pipe.shutdown(socket.SHUT_WR)
            try:
                data = self._pipe.recv(65_536)
            except BlockingIOError:
                await asyncio.sleep(0.002)
                continue
            except OSError:
                break
            if not data:
                break
            left = left or any(kind == protocol.LEFT for kind, _ in self._frames.feed(data))
        return left

    # -- the process

    def _hear(self, kind: int, body: bytes) -> None:
        if kind == protocol.STATS:
            self._settle()
            self._on_stats(json.loads(body))
        elif kind == protocol.SILENCED:
            self._unqueue(ALL, cut=True)
            self._on_silenced(json.loads(body)["why"])

    def _opened(self) -> None:
        self._paid_at = self._clock()

    def _ready(self) -> None:
        """After a restart, say so as soon as the wire runs and has answered for its ports."""
        if self._returning and self._runs.is_set() and not self._opening:
            self._returning = False
            self._on_restart()

    def _lost(self) -> None:
        self._returning = True
        self._owe()

    def _owe(self) -> None:
        """Note what the wire that is no more may have begun and not ended."""
        now = self._clock()
        for event in self._sent.values():
            if event.due <= now:
                self._owed[event.port, event.off] = None
                self._never_again(event)
        self._sent.clear()
        while len(self._owed) > MOST_REMEMBERED:
            del self._owed[next(iter(self._owed))]

    def _never_again(self, event: Event) -> None:
        """It may have been played, so no other wire and no other port is to play it."""
        self._played.add(event.id)

    def _introduce(self) -> None:
        """Have a new wire pay what the one before owed, and close what is not needed any more."""
        debts = list(self._owed)
        until = self._clock() + SETTLED
        self._parted = [parted._replace(until=until) for parted in self._parted]
        spare = PORTS - 1
        for settings, offs, _ in self._parted:
            # The same port may have been opened again; if not, it is, only for this.
            homes = (port for port, kept in self._settings.items() if _alike(settings, kept))
            home = next(homes, spare)
            if home == spare:
                spare -= 1
                self._write(protocol.json_frame(protocol.OPEN, {**settings, "port": home}))
            debts += [(home, off) for off in offs]
        for port, data in debts:
            self._write(protocol.pay_frame(port, data))
        for port in range(PORTS - 1, spare, -1):
            self._write(protocol.port_frame(protocol.CLOSE, port))
        self._write(protocol.frame(protocol.BEAT))

    def _look(self, now: int) -> None:
        self._prune(now)
        self._write(protocol.frame(protocol.BEAT))

    def _open(self, number: int) -> None:
        settings = self._settings[number]
        if settings["kind"] == "osc" and not _numeric(str(settings["host"])):
            return  # still being looked up
        super()._open(number)

    async def _look_up(self, number: int, settings: dict[str, Any]) -> None:
        host = str(settings["host"])
        while self._settings.get(number) is settings:
            try:
                found = await self._loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
            except OSError as problem:
                self._tell(number, WAITING, f"the name {host} is not known: {problem.strerror}")
                await asyncio.sleep(LOOK_UP_AGAIN)
                continue
            found.sort(key=lambda entry: entry[0] != socket.AF_INET)
            settings["host"] = found[0][4][0]
            self._open(number)
            return

    # -- remembering

    def _unqueue(self, part: int, cut: bool = False) -> None:
        """Of what was sent, forget what has not begun; what is cut ends now."""
        now = self._clock()
        parts = {event.part for event in self._sent.values()}
        meant = {each for each in parts if concerned(each, part)}
        for key, event in [item for item in self._sent.items() if item[1].part in meant]:
            if event.due > now + UNSURE:
                del self._sent[key]
            elif cut and event.end > now:
                self._sent[key] = event._replace(end=now)

    def _prune(self, now: int) -> None:
        self._played.forget(now)
        if self._pipe is not None:
            for key in [key for key, event in self._sent.items() if event.end + SETTLED < now]:
                del self._sent[key]
            self._parted = [parted for parted in self._parted if parted.until > now]
        while len(self._sent) > MOST_REMEMBERED:
            del self._sent[next(iter(self._sent))]

    def _settle(self) -> None:
        """Debts are paid where their port has been open for a while."""
        if self._owed and self._clock() - self._paid_at > SETTLED:
            self._owed = {
                debt: None
                for debt in self._owed
                if self._states.get(debt[0], (WAITING, ""))[0] != OPEN and debt[0] in self._settings
            }


def _alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether settings describe the same port, whatever its number, connections and manners."""
    leave_out = {"port", "connect"} | MANNERS
    return {k: v for k, v in one.items() if k not in leave_out} == {
        k: v for k, v in other.items() if k not in leave_out
    }


def _numeric(host: str) -> bool:
    """Whether a host is an address already, so that nobody needs to be asked."""
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except OSError:
        return False
    return True
