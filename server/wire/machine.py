"""The wire as a pure machine: a queue of deadlines, the ports' ledgers, and what is over.

Bytes from the planner go in with `feed`; time passes by what the clock says when `attend`,
`send_due` and `tick` are called. `server.wire.loop` does that in the real process.

STATS is JSON: sent, late (dropped for being late), thinned (dropped for want of room),
swallowed (for a port that is away), refused (queue full), queued, sounding: counts; lateness:
how many were sent less than 10, 20, 40, … µs late since the start; worst: ns, since the last
STATS.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

from server.wire import protocol
from server.wire.lately import Lately
from server.wire.ledger import PUMP, QUEUED, SOUNDING, Entry, Output, untimed
from server.wire.ports import FAILED, WAITING, Absent, Dead, Port, make
from server.wire.protocol import LATE_DROP, RANK_CLOCK, RANK_OFF, concerned

FAR = 1 << 62
MS = 1_000_000

#: An event that may be dropped is, when it comes to be sent so much too late.
TOO_LATE = 100 * MS
#: What is due so soon is not called back: what is to take its place, if it is the same again, might
#: come too late.
SPARED = 1 * MS
#: A planner that says nothing for so long is silenced; not before its plan is played to its end, as
#: far as one may reach: many bands are planned four times as far ahead as one.
PATIENCE, PLANNED = 250 * MS, 400 * MS
#: Between two looks at ports and planner, and between two STATS.
TICK, STATS_EVERY = 50 * MS, 100 * MS
#: Between two attempts to open a port that is away.
RETRY = 500 * MS
#: Looking at ports, and opening one where that is heavy, wait for such a gap between
#: deadlines, but not for ever.
CALM, CALM_ENOUGH = 2 * MS, 60 * MS
IMPATIENT = 1_000 * MS

#: How long a closed port may take to get rid of what is held for it; less than the planner waits.
LEAVE = 500 * MS

MOST_QUEUED = 200_000
REMEMBERED = 65_536
#: Most events sent before the planner gets a word in again.
BURST = 128
BUCKETS = 15

#: Exit statuses. AGAIN asks the planner for a new process at once.
DONE, AGAIN = 0, 3


class Wire:
    """The queue, the ledgers and the ports.

    say: called with a whole frame for the planner, and whether it may be skipped.
    clock: monotonic nanoseconds.  build: makes a port from OPEN's settings.
    """

    def __init__(
        self,
        say: Callable[[bytes, bool], None],
        clock: Callable[[], int] = time.monotonic_ns,
        build: Callable[[dict[str, Any]], Port] = make,
    ) -> None:
        self._say, self._clock, self._build = say, clock, build
        self._frames = protocol.Frames()
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._heap: list[tuple[int, int, int, Any]] = []
        self._ready: list[Any] = []
        self._ready_due = FAR
        self._seq = 0
        self.outputs: dict[int, Output] = {}
        self._leaving: list[Output] = []  # closed, but for what is still on its way out
        self._gone: list[Output] = []  # nothing is on its way; the port itself is to be closed
        self.queued: dict[int, Entry] = {}
        self.sounding: dict[int, Entry] = {}
        self._over = Lately(REMEMBERED)
        self._heard_at = self._tick_at = self._stats_at = clock()
        self._told: dict[int, tuple[str, str, tuple[str, ...]]] = {}
        self.mute = False
        self.exit: int | None = None
        self.sent = self.late = self.refused = self.unknown = 0
        self.lateness = [0] * BUCKETS
        self.worst = 0

    # -- from the planner

    def feed(self, data: bytes) -> None:
        """Take bytes of the stream; `attend` works on them, frame by frame."""
        self._inbox.extend(self._frames.feed(data))
        self._heard_at = self._clock()
        self.mute = False

    def attend(self) -> bool:
        """Do what the next frame asks; False where there is none."""
        if not self._inbox:
            return False
        kind, body = self._inbox.popleft()
        if kind == protocol.EVENTS:
            for event in protocol.unpack_events(body):
                self._accept(*event)
        elif kind == protocol.RECALL:
            self._recall(int.from_bytes(body, "little"), self._clock() + SPARED)
        elif kind == protocol.CUT:
            self._cut(int.from_bytes(body, "little"))
        elif kind == protocol.SILENCE:
            self.silence(_whose(body))
        elif kind == protocol.PANIC:
            self.silence(_whose(body), panic=True)
        elif kind == protocol.PAY:
            self._pay(int.from_bytes(body[:2], "little"), body[2:])
        elif kind == protocol.OPEN:
            self._open(json.loads(body))
        elif kind == protocol.CLOSE:
            self._close(int.from_bytes(body, "little"))
        return True

    def _accept(
        self, identity: int, due: int, end: int, part: int, port: int,
        rank: int, late: int, on: bytes, off: bytes,
    ) -> None:  # fmt: skip
        if identity in self._over:
            return
        sounding = self.sounding.get(identity)
        if sounding is not None:
            if end and untimed(off) == untimed(sounding.off):
                sounding.off = off
            if end and end != sounding.end:
                sounding.end = end
                self._push(end, RANK_OFF, sounding)
            return
        output = self.outputs.get(port)
        if output is None:
            self.unknown += 1
            return
        before = self.queued.get(identity)
        if before is not None:
            before.seq = -1
        elif len(self.queued) + len(self.sounding) >= (
            MOST_QUEUED if late == LATE_DROP else 2 * MOST_QUEUED
        ):
            self.refused += 1
            return
        entry = Entry(identity, due, end, part, output, rank, late, on, off)
        self.queued[identity] = entry
        self._push(due, rank, entry)

    def _push(self, due: int, rank: int, thing: Entry | Output) -> None:
        """Give `thing` its one valid place in the queue."""
        self._seq = thing.seq = seq = self._seq + 1
        heappush(self._heap, (due, rank << 32 | thing.part, seq, thing))

    def _recall(self, part: int, spared: int = 0) -> None:
        """Drop what is queued of a part, but for what is due up to this nanosecond."""
        gone = [
            each
            for each in self.queued.values()
            if each.due > spared and concerned(each.part, part)
        ]
        for entry in gone:
            entry.seq = -1
            del self.queued[entry.id]

    def _cut(self, part: int) -> None:
        self._recall(part)
        for entry in list(self.sounding.values()):
            # Ending one may show that its port is gone, and with it the others that sound there.
            if entry.id in self.sounding and concerned(entry.part, part):
                self._finish(entry)
        for output in self.outputs.values():
            try:
                output.lift(part)
            except Absent as absent:
                self._vanish(output, absent)

    def silence(self, part: int = protocol.ALL, panic: bool = False) -> None:
        """Recall all that a band has queued, end what sounds, pedals up; of every band for ALL."""
        self._cut(part)
        for output in self.outputs.values():
            if not concerned(output.band << protocol.BAND, part):
                continue
            try:
                output.hush(panic)
            except Absent as absent:
                self._vanish(output, absent)

    def _pay(self, port: int, data: bytes) -> None:
        output = self.outputs.get(port)
        if output is not None:
            try:
                output.must(data)
            except Absent as absent:
                self._vanish(output, absent)

    # -- ports

    def _open(self, settings: dict[str, Any]) -> None:
        number = int(settings["port"])
        there = self.outputs.get(number)
        if there is not None and self._adjusts(there, settings):
            self._told.pop(number, None)  # whoever asks is answered
            self._report(there)
            return
        self._close(number)
        try:
            port = self._build(settings)
        except Absent as absent:
            self._tell(number, absent.state, str(absent))
            return
        except (KeyError, TypeError, ValueError) as problem:
            self._tell(number, FAILED, f"a port cannot have the settings {settings}: {problem!r}")
            return
        output = Output(number, port, settings, self._clock, self._pump_at)
        self.outputs[number] = output
        if self._returns(output):
            output.retry_at = self._clock() - IMPATIENT  # as soon as the one before has closed
        else:
            self._try(output)

    def _adjusts(self, output: Output, settings: dict[str, Any]) -> bool:
        try:
            return output.adjust(settings)
        except Absent as absent:
            self._vanish(output, absent)
            return True

    def _try(self, output: Output) -> None:
        output.retry_at = self._clock() + RETRY
        try:
            output.open()
        except Dead as dead:
            self._vanish(output, dead)
        self._report(output)

    def _close(self, number: int) -> None:
        output = self.outputs.get(number)
        if output is None:
            return
        for entry in list(self.queued.values()):
            if entry.output is output:
                entry.seq = -1
                del self.queued[entry.id]
        for entry in list(self.sounding.values()):
            if entry.id in self.sounding and entry.output is output:
                self._finish(entry)
        del self.outputs[number]
        self._told.pop(number, None)
        output.leave_by = self._clock() + LEAVE
        self._leaving.append(output)
        try:
            output.hush()
        except Absent:
            output.up = False
        self._leave(output)

    def _leave(self, output: Output) -> None:
        """Let go of a port as soon as all that is held for it has left."""
        busy = output.up and bool(output.held or not output.port.flushed())
        if busy and self._clock() < output.leave_by:
            output.ask()
            return
        output.up = False
        output.seq = -1
        self._leaving.remove(output)
        self._gone.append(output)

    def _returns(self, output: Output) -> bool:
        """Whether this port is one that has not quite closed yet."""
        called = output.called
        return bool(called) and any(each.called == called for each in self._leaving + self._gone)

    def _vanish(self, output: Output, absent: Absent) -> None:
        """The port is gone: its notes are over, their offs kept for its return."""
        offs = []
        for entry in list(self.sounding.values()):
            if entry.output is output:
                offs.append(entry.off)
                self._forget(entry)
        output.vanish(absent, offs)
        output.retry_at = self._clock() + RETRY
        self._report(output)
        if isinstance(absent, Dead):
            self.exit = AGAIN

    def _report(self, output: Output) -> None:
        self._tell(output.number, output.state, output.why, tuple(output.port.connections))

    def _tell(self, number: int, state: str, why: str, connections: tuple[str, ...] = ()) -> None:
        news = (state, why, connections)
        if self._told.get(number) != news:
            self._told[number] = news
            body = {"port": number, "state": state, "why": why, "connect": connections}
            self._say(protocol.json_frame(protocol.PORT, body), False)

    def _pump_at(self, output: Output, when: int) -> None:
        self._push(when, RANK_CLOCK, output)

    # -- deadlines

    def next_due(self) -> int:
        """When the next thing is due; FAR where nothing is."""
        heap = self._heap
        while heap and heap[0][3].seq != heap[0][2]:
            heappop(heap)
        return heap[0][0] if heap else FAR

    def stage(self, until: int, most: int = BURST) -> None:
        """Take what is due first, at one instant not after `until`, out of the queue.

        The next call must be `send_due`. Doing this while waiting leaves less to do when late.
        """
        heap, ready = self._heap, self._ready
        due = self.next_due()
        if due > until:
            return
        while heap and heap[0][0] == due and len(ready) < most:
            _, _, seq, thing = heappop(heap)
            if thing.seq == seq:
                ready.append(thing)
        self._ready_due = due

    def send_due(self) -> None:
        """Send what is due, at most BURST events."""
        clock = self._clock
        left = BURST
        while left > 0:
            if not self._ready:
                self.stage(clock(), left)
            if not self._ready:
                return
            left -= len(self._ready)
            ready, self._ready = self._ready, []
            self._fire(ready, self._ready_due)

    def _fire(self, ready: list[Any], due: int) -> None:
        """Send all of one instant, as close together as can be; keep the books afterwards."""
        clock = self._clock
        sent: list[Entry] = []
        stamps: list[int] = []
        overdue = clock() - due > TOO_LATE
        for thing in ready:
            if thing.seq < 0:
                continue  # its port vanished a moment ago
            phase = thing.phase
            try:
                if phase == QUEUED:
                    if (overdue and thing.late == LATE_DROP) or not thing.output.begin(thing):
                        self._lapse(thing, overdue)
                        continue
                    sent.append(thing)
                elif phase == SOUNDING:
                    self._forget(thing)
                    thing.output.end(thing)
                else:
                    thing.pump()
                    if thing.leave_by:
                        self._leave(thing)
                    continue
            except Absent as absent:
                self._begun(sent)
                sent = []
                if phase == QUEUED:
                    self._lapse(thing, overdue)
                if phase == PUMP and thing.leave_by:
                    thing.up = False
                    self._leave(thing)
                else:
                    self._vanish(thing if phase == PUMP else thing.output, absent)
                continue
            stamps.append(clock())
        self._begun(sent)
        self.sent += len(stamps)
        lateness = self.lateness
        for stamp in stamps:
            bucket = ((stamp - due) // 10_000).bit_length()
            lateness[bucket if bucket < BUCKETS else -1] += 1
        if stamps and stamps[-1] - due > self.worst:
            self.worst = stamps[-1] - due

    def _lapse(self, entry: Entry, overdue: bool) -> None:
        """An entry whose moment passed without it."""
        if overdue and entry.late == LATE_DROP:
            self.late += 1
        del self.queued[entry.id]
        self._remember(entry)

    def _begun(self, entries: list[Entry]) -> None:
        for entry in entries:
            del self.queued[entry.id]
            if entry.off and entry.end:
                entry.phase = SOUNDING
                self.sounding[entry.id] = entry
                self._push(max(entry.end, entry.due), RANK_OFF, entry)
            else:
                self._remember(entry)

    def _finish(self, entry: Entry) -> None:
        """End a sounding entry now."""
        self._forget(entry)
        try:
            entry.output.end(entry)
        except Absent as absent:
            self._vanish(entry.output, absent)

    def _forget(self, entry: Entry) -> None:
        del self.sounding[entry.id]
        self._remember(entry)

    def _remember(self, entry: Entry) -> None:
        """Its id is over: sending it again does nothing, as long as that is remembered."""
        entry.seq = -1
        self._over.add(entry.id)

    # -- now and then

    def _goes_on(self, unheard: int) -> bool:
        """Whether the plan of a planner that has not been heard for so long goes on for now."""
        end = self._heard_at + PLANNED
        return unheard <= PLANNED and any(each.due <= end for each in self.queued.values())

    def next_tick(self) -> int:
        return self._tick_at

    def tick(self) -> None:
        """Look after the planner, the ports and the queue, and say how it goes."""
        now = self._clock()
        self._tick_at = now + TICK
        self._over.forget(now)
        played = self.sent or self.queued  # before that a planner may take its time to begin
        unheard = 0 if self._inbox else now - self._heard_at
        if played and unheard > PATIENCE and not self.mute and not self._goes_on(unheard):
            self.mute = True
            self.silence()
            why = {"why": f"nothing heard from the planner for {unheard // MS} ms"}
            self._say(protocol.json_frame(protocol.SILENCED, why), False)
        busy = any(output.up for output in self.outputs.values())
        gap = self.next_due() - now if busy else FAR
        if self._gone and self._may_close(self._gone[0], now, gap):
            self._gone.pop(0).port.close()
        for output in list(self.outputs.values()):
            self._tend(output, now, gap)
        if len(self._heap) > 2 * (len(self.queued) + len(self.sounding)) + 4096:
            self._heap = [item for item in self._heap if item[3].seq == item[2]]
            heapify(self._heap)
        if now >= self._stats_at:
            self._stats_at = now + STATS_EVERY - TICK // 2
            self._say(protocol.json_frame(protocol.STATS, self.stats()), True)
            self.worst = 0

    def _may_close(self, output: Output, now: int, gap: int) -> bool:
        """Closing takes JACK three periods, in which nothing is sent."""
        return (
            gap > CALM_ENOUGH
            or now - output.leave_by > IMPATIENT
            or any(self._returns(each) for each in self.outputs.values() if not each.up)
        )

    def _tend(self, output: Output, now: int, gap: int) -> None:
        if not output.up:
            calm = gap > (CALM_ENOUGH if output.port.heavy else CALM)
            if self._returns(output):
                return
            if output.state == WAITING and now - output.retry_at >= (0 if calm else IMPATIENT):
                self._try(output)
            return
        try:
            if output.port.watch(now, gap > CALM):
                output.rejoin()
            output.turn()
            output.why = output.port.trouble
            output.sense()
        except Absent as absent:
            self._vanish(output, absent)
        self._report(output)

    def stats(self) -> dict[str, Any]:
        outputs = self.outputs.values()
        return {
            "sent": self.sent,
            "late": self.late,
            "thinned": sum(output.thinned for output in outputs),
            "swallowed": sum(output.swallowed for output in outputs) + self.unknown,
            "refused": self.refused,
            "queued": len(self.queued),
            "sounding": len(self.sounding),
            "lateness": self.lateness,
            "worst": self.worst,
        }

    def close(self) -> None:
        """End everything and let it out; done where `closed` says so."""
        self.silence()
        for number in list(self.outputs):
            self._close(number)

    def closed(self) -> bool:
        return not self.outputs and not self._leaving

    def shut(self) -> None:
        """Close the ports that everything has left. May take long where a port's library does."""
        while self._gone:
            self._gone.pop(0).port.close()


def _whose(body: bytes) -> int:
    return int.from_bytes(body, "little") if body else protocol.ALL
