"""The ledger: what sounds on one port, what is still owed to it, and how much it can take.

Laws: an off is sent only for an on that was sent (or that a dead wire may have sent); every on
sent is followed by exactly one off, now, or when there is room, or when the port is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from server.wire.ports import OPEN, WAITING, Absent, Dead, Port
from server.wire.protocol import ALL, MANNERS, RANK_CLOCK, concerned

QUEUED, SOUNDING, PUMP = 0, 1, 2

#: Most bytes strings kept for a port that is away or full; of more, the oldest are forgotten.
MOST_OWED = 4096
#: How long a cable may be busy with what it was given at once.
_BURST = 0.03
#: How soon to try again where a port without a byte rate has no room.
_SOON = 1_000_000

PEDAL, ALL_SOUND_OFF, RESET, ALL_NOTES_OFF = 64, 120, 121, 123


class Entry:
    """An event on its way: queued, then sounding until its end, then over.

    key: channel * 128 + pitch of a note, or -1 where the event's end belongs to it alone.
    seq: of its one valid place in the queue; -1 where it has none any more.
    """

    __slots__ = (
        "due", "end", "id", "key", "late", "off", "on", "output", "part", "phase", "rank", "seq",
    )  # fmt: skip

    def __init__(
        self, identity: int, due: int, end: int, part: int, output: Output,
        rank: int, late: int, on: bytes, off: bytes,
    ) -> None:  # fmt: skip
        self.id = identity
        self.due = due
        self.end = end
        self.part = part
        self.output = output
        self.rank = rank
        self.late = late
        self.on = on
        self.off = off
        self.key = note_key(on, off) if output.midi and off else -1
        self.seq = -1
        self.phase = QUEUED


def note_key(on: bytes, off: bytes) -> int:
    """Channel * 128 + pitch where `on` and `off` are one MIDI note, else -1."""
    if (
        len(on) == len(off) == 3
        and on[0] & 0xF0 == 0x90
        and on[2]
        and on[1] == off[1]
        and (off[0] == on[0] - 16 or (off[0] == on[0] and not off[2]))
    ):
        return (on[0] & 0x0F) << 7 | on[1]
    return -1


def untimed(off: bytes) -> bytes:
    """What `off` ends, whenever: an OSC bundle without its time tag, else `off` itself."""
    return off[16:] if off.startswith(b"#bundle\0") else off


class Output:
    """A port with its ledger.

    settings: of OPEN; `band`, whose it is; `rate`, bytes a second that the cable carries (a DIN
    cable 3125), or 0.
    later: called with this output and the time at which `pump` is to be called.
    """

    phase, part = PUMP, 0

    def __init__(
        self,
        number: int,
        port: Port,
        settings: dict[str, Any],
        clock: Callable[[], int],
        later: Callable[[Output, int], None],
    ) -> None:
        self.number, self.port, self.midi = number, port, port.midi
        self.band = int(settings.get("band", 0))
        #: What the world knows a MIDI port by: two of one name had better not be there at once.
        self.called = f"{settings.get('client')} {settings['title']}" if "title" in settings else ""
        self.state, self.why = WAITING, ""
        self.up = False
        self.retry_at = 0
        self.leave_by = 0
        self.seq = -1
        self.settings = settings
        self.counts = [0] * 2048
        self.channels = 0
        self.pedals: dict[int, int] = {}  # channels whose pedal is down, and the part that holds it
        self.held: deque[bytes] = deque()
        self.latest: dict[bytes, bytes] = {}
        self.owed: dict[bytes, None] = {}
        self._ended: list[bytes] = []  # ends of notes since the last look at the port
        self._ended_before: list[bytes] = []  # and since the one before
        self.swallowed = self.thinned = 0
        self._since = 0  # when it was opened
        self._clock, self._later = clock, later
        self._send = port.send
        self._suit()

    def adjust(self, settings: dict[str, Any]) -> bool:
        """Have other manners, where nothing else of the port is another; whether so."""
        other = {
            key
            for key in settings.keys() | self.settings.keys()
            if key != "connect" and settings.get(key) != self.settings.get(key)
        }
        if not other or not other <= MANNERS:
            return False
        self.settings = settings
        self._suit()
        if settings.get("idle"):
            self.lift()
        return True

    def _suit(self) -> None:
        """Be as the settings say, but for the port."""
        self.sensing = bool(self.settings.get("sensing"))
        self._rate = float(self.settings.get("rate") or 0)
        self._most = max(16.0, self._rate * _BURST)
        self._tokens, self._stamp = self._most, self._clock()

    # -- coming and going

    def open(self) -> bool:
        """Try to open the port; what is owed leaves first. Errors: `Dead`, as all methods here."""
        try:
            self.port.open()
            self.up, self.state, self.why = True, OPEN, self.port.trouble
            self._since = self._clock()
            self._pay()
            self.hush()
        except Dead:
            raise
        except Absent as absent:
            self.up, self.state, self.why = False, absent.state, str(absent)
        return self.up

    def vanish(self, absent: Absent, offs: list[bytes]) -> None:
        """The port has gone while `offs` were due to it: keep them until it is back."""
        self.up, self.state, self.why = False, absent.state, str(absent)
        # The end of a note that left just now may have met a cable that was out already.
        for data in [*self._ended_before, *self._ended, *self.held, *offs]:
            if len(data) > 1:  # not the clock
                self.owe(data)
        self.held.clear()
        self.latest.clear()
        self.pedals.clear()  # it comes up as the port is opened
        self.counts = [0] * 2048

    def owe(self, data: bytes) -> None:
        self.owed[data] = None
        if len(self.owed) > MOST_OWED:
            del self.owed[next(iter(self.owed))]

    def turn(self) -> None:
        """The port has been looked at and is there: what ended two looks ago has arrived."""
        self._ended, self._ended_before = [], self._ended

    def rejoin(self) -> None:
        """Somebody has connected again: tell them what ended meanwhile."""
        self._pay()

    def _pay(self) -> None:
        owed, self.owed = self.owed, {}
        for data in owed:
            if not (self.midi and len(data) == 3 and self._sounds(data)):
                self.must(data)

    def _sounds(self, off: bytes) -> bool:
        """Whether something sounds again that it would end."""
        first = (off[0] & 0x0F) << 7
        if off[0] & 0xF0 == 0xB0 and off[1] == ALL_NOTES_OFF:
            return any(self.counts[first : first + 128])
        return off[0] & 0xE0 == 0x80 and self.counts[first | off[1] & 0x7F] > 0

    # -- notes and everything else

    def begin(self, entry: Entry) -> bool:
        """Send what starts `entry`; False where it did not leave, so that nothing is to end."""
        # What was due to a device before it was there would come to it in a burst.
        if not self.up or (self.midi and entry.due < self._since):
            self.swallowed += 1
            return False
        on, key = entry.on, entry.key
        if key < 0 and self.midi and len(on) == 3 and on[0] & 0xF0 == 0xB0 and on[1] == PEDAL:
            channel = on[0] & 0x0F
            self.channels |= 1 << channel  # even if it leaves only when there is room
            self.pedals[channel] = entry.part
            if not on[2]:  # half a pedal, less than 64, holds strings too
                del self.pedals[channel]
        if (self._rate or self.held) and not self._afford(entry):
            return False
        if key >= 0:
            self.channels |= 1 << (key >> 7)
            counts = self.counts
            count = counts[key]
            if count:
                if not self._send(entry.off):
                    self.thinned += 1
                    return False
                if not self._send(on):
                    counts[key] = 0  # the off has left: nothing sounds, nothing is owed
                    self.thinned += 1
                    return False
            elif not self._send(on):
                self.thinned += 1
                return False
            counts[key] = count + 1
            return True
        if self.midi and on and 0x80 <= on[0] < 0xF0:
            self.channels |= 1 << (on[0] & 0x0F)
        if self._send(on):
            return True
        if entry.off:
            self.thinned += 1
            return False
        self._hold(on)
        return True

    def end(self, entry: Entry) -> None:
        """Send what ends `entry`, unless a later note of the same pitch still needs it."""
        key = entry.key
        if key >= 0:
            count = self.counts[key]
            if not count:
                return
            self.counts[key] = count - 1
            if count > 1:
                return
            self._ended.append(entry.off)
        self.must(entry.off)

    def must(self, data: bytes) -> None:
        """Send `data` now, or in its turn as soon as there is room, or when the port is back."""
        if not self.up:
            self.owe(data)
            return
        if self.port.deaf:
            self.owe(data)
        if self.held or (self._rate and not self._take(len(data))):
            self._hold(data)
            return
        try:
            if not self._send(data):
                self._hold(data)
        except Absent:
            self.owe(data)
            raise

    def lift(self, part: int = ALL) -> None:
        """Let the pedals come up that a part, or some, have put down. part: as of `concerned`."""
        for channel, whose in list(self.pedals.items()):
            if concerned(whose, part):
                del self.pedals[channel]
                self.latest.pop(bytes((0xB0 | channel, PEDAL)), None)
                self.must(bytes((0xB0 | channel, PEDAL, 0)))

    def hush(self, panic: bool = False) -> None:
        """Pedals up and all notes off on the channels used; in a panic on all, and more."""
        self.latest.clear()
        self.pedals.clear()
        if not self.midi or not self.up:
            return
        numbers = [PEDAL, ALL_NOTES_OFF] + ([ALL_SOUND_OFF, RESET] if panic else [])
        for channel in range(16):
            if panic or self.channels >> channel & 1:
                for number in numbers:
                    self.must(bytes((0xB0 | channel, number, 0)))

    def sense(self) -> None:
        """Active Sensing, by which a device notices a cut cable."""
        if self.up and self.sensing and not self.held:
            self._send(b"\xfe")

    # -- the cable's budget

    def _take(self, size: int, keep: float = 0) -> bool:
        """Spend `size` bytes of the cable's time, if `keep` of it are then left."""
        now = self._clock()
        tokens = min(self._most, self._tokens + (now - self._stamp) * self._rate / 1e9)
        self._stamp = now
        if tokens - size < keep:
            self._tokens = tokens
            return False
        self._tokens = tokens - size
        return True

    def _afford(self, entry: Entry) -> bool:
        """Under pressure control changes give way first, then notes, never clock or offs."""
        on = entry.on
        if entry.rank == RANK_CLOCK:
            self._take(len(on), keep=-self._most)
            return True
        if entry.off:
            both = len(on) + (len(entry.off) if entry.key >= 0 and self.counts[entry.key] else 0)
            if not self.held and (not self._rate or self._take(both)):
                return True
            self.thinned += 1
            return False
        if self.midi and len(on) == 3 and on[0] & 0xF0 == 0xB0 and on[1] not in (0, 32):
            if not self.held and self._rate and self._take(len(on), keep=self._most / 2):
                return True
            if self.latest.pop(on[:2], None):
                self.thinned += 1
            self.latest[on[:2]] = on  # the last value of each control arrives in the end
            self.ask()
            return False
        if not self.held and (not self._rate or self._take(len(on))):
            return True
        self._hold(on)
        return False

    def _hold(self, data: bytes) -> None:
        if len(self.held) >= MOST_OWED:
            self.thinned += 1
            self.held.popleft()
        self.held.append(data)
        self.ask()

    def ask(self) -> None:
        """Ask for `pump` to be called when there may be room."""
        if self.seq < 0:
            wait = _SOON
            if self._rate:
                size = len(self.held[0]) if self.held else self._most / 2 + 3
                wait = max(wait, int((size - self._tokens) / self._rate * 1e9) + 1)
            self._later(self, self._clock() + wait)

    def pump(self) -> None:
        """Send what waits for room, as far as there is room; then ask to be called again."""
        self.seq = -1
        if not self.up:
            return
        while self.held:
            data = self.held[0]
            if (self._rate and not self._take(len(data))) or not self._send(data):
                self.ask()
                return
            self.held.popleft()
        while self.latest:
            key, data = next(iter(self.latest.items()))
            if self._rate and not self._take(len(data), keep=self._most / 2):
                self.ask()
                return
            if not self._send(data):
                self.ask()
                return
            del self.latest[key]
