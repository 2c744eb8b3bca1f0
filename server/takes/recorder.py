"""What was played becomes a standard MIDI file, exactly on the beats it was meant for.

Times in the file are beats, not seconds: a take and a rendering of the same scene and seed
are the same file, and a DAW shows notes on its own grid.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, NamedTuple

from mido import Message, MetaMessage
from mido.midifiles.meta import encode_variable_int

from engines.base import Mistake
from server.backstage.aside import Aside
from server.concert.journal import (
    Entry,
    Harmonised,
    Marked,
    Moved,
    Played,
    Pressed,
    Programmed,
    Ticked,
    Troubled,
    Turned,
)
from server.ensemble.part import PartSpec, Shade
from server.music.meter import parse_meter
from server.music.note import Note
from server.music.scale import Key, parse_key
from server.score.scene import Scene

TICKS = 960  # a quarter note
SAVE_EVERY = 0.75  # seconds
PATIENCE = 10.0  # seconds that a slow disk has for the end of a take
_META, _OFF, _PROGRAM, _CONTROL, _ON = range(5)  # order at one tick
#: Major keys by the sharps (flats: negative) in their signature.
_SIGNATURES = {-5: "Db", -4: "Ab", -3: "Eb", -2: "Bb", -1: "F"} | {
    0: "C", 1: "G", 2: "D", 3: "A", 4: "E", 5: "B", 6: "F#"
}  # fmt: skip


#: By what a note that was pressed is known again when it has ended: part, start, pitch, velocity
#: and channel.
_Key = tuple[str, Fraction, int, float, int]


class _Timed(NamedTuple):
    tick: int
    rank: int
    data: bytes


class _Track:
    """One track's bytes as far as they are settled, and what may still move before it."""

    def __init__(self, name: str) -> None:
        self._settled = bytearray()
        self._tick = 0
        self._waiting: list[_Timed] = []
        self._sounding: dict[tuple[int, int], int] = {}
        self._held: Counter[int] = Counter()  # where notes began whose end is not known
        self.add(0, _META, MetaMessage("track_name", name=_latin(name)))

    def add(self, tick: int, rank: int, message: Any) -> None:
        self._put(tick, rank, bytes(message.bytes()))

    def _put(self, tick: int, rank: int, data: bytes) -> None:
        heappush(self._waiting, self.timed(tick, rank, data))

    def timed(self, tick: int, rank: int, data: bytes) -> _Timed:
        """Data at its tick; where that is settled, a very late entry is moved, not lost."""
        return _Timed(max(tick, self._tick), rank, data)

    def note(self, start: int, end: int, channel: int, pitch: int, velocity: int) -> None:
        key = channel, pitch
        end = max(end, start + 1)
        before = self._sounding.pop(key, None)
        if before is not None:
            self._end(key, min(before, start))
        self._put(start, _ON, _note("note_on", channel, pitch, velocity))
        self._sounding[key] = end

    def hold(self, start: int) -> None:
        """A note begins here that is put in when it has ended; nothing settles past it."""
        self._held[start] += 1

    def let_go(self, *starts: int) -> None:
        """Notes that are held there have ended."""
        self._held -= Counter(starts)

    def _end(self, key: tuple[int, int], tick: int) -> None:
        self._put(tick, _OFF, _note("note_off", *key))

    def end_all(self, tick: int) -> None:
        """Let nothing sound beyond this tick."""
        for key, end in self._sounding.items():
            self._end(key, min(end, tick))
        self._sounding.clear()

    def settle(self, tick: int) -> None:
        """Nothing more will come before this tick, but notes that are held."""
        tick = min([tick, *self._held])
        for key in [key for key, end in self._sounding.items() if end < tick]:
            self._end(key, self._sounding.pop(key))
        while self._waiting and self._waiting[0].tick < tick:
            self._tick = _put(self._settled, self._tick, heappop(self._waiting))

    def chunk(self, *more: _Timed) -> list[bytes | bytearray]:
        """The whole track as it stands, with some more, every note ended.

        In pieces: what is settled is not copied, however long it has become.
        """
        rest, tick = bytearray(), self._tick
        ends = (_Timed(end, _OFF, _note("note_off", *key)) for key, end in self._sounding.items())
        for timed in sorted([*self._waiting, *ends, *more]):
            tick = _put(rest, tick, timed)
        _put(rest, tick, _Timed(tick, _META, bytes(MetaMessage("end_of_track").bytes())))
        size = len(self._settled) + len(rest)
        return [b"MTrk" + struct.pack(">I", size), self._settled, rest]


def _put(out: bytearray, before: int, timed: _Timed) -> int:
    out += bytes(encode_variable_int(timed.tick - before))
    out += timed.data
    return timed.tick


@lru_cache(512)
def _note(kind: str, channel: int, pitch: int, velocity: int = 0) -> bytes:
    return bytes(Message(kind, channel=channel, note=pitch, velocity=velocity).bytes())


def _latin(text: str) -> str:
    """Text as mido's files can hold it."""
    return text.encode("latin-1", "replace").decode("latin-1")


def signature(key: Key) -> str:
    """The key signature a mode is written under, as a major key: D dorian under C."""
    fifths = {0: 0, 7: 1, 2: 2, 9: 3, 4: 4, 11: 5, 6: 6, 1: -5, 8: -4, 3: -3, 10: -2, 5: -1}
    home = key.heptatonic
    fitting = [
        sharps
        for tonic, sharps in fifths.items()
        if {(tonic + step) % 12 for step in (0, 2, 4, 5, 7, 9, 11)} == set(home.pitch_classes)
    ]
    if fitting:
        return _SIGNATURES[fitting[0]]
    third = 3 if (home.tonic.semitone + 3) % 12 in home.pitch_classes else 0
    return _SIGNATURES[fifths[(home.tonic.semitone + third) % 12]]


def _program(channel: int, shade: Shade) -> list[Message]:
    """Bank and program, whose bytes sort in the order in which they must come."""
    messages = []
    if shade.bank is not None:
        for controller, value in ((0, shade.bank >> 7), (32, shade.bank & 127)):
            messages.append(
                Message("control_change", channel=channel, control=controller, value=value)
            )
    if shade.program is not None:
        messages.append(Message("program_change", channel=channel, program=shade.program))
    return messages


class _Beat(NamedTuple):
    tick: int
    seconds: float
    tempo: float


def _quarter(beat: _Beat, after: _Beat | None) -> int:
    """Microseconds of a quarter note as a beat really had it, ramps included."""
    tempo = beat.tempo
    if after is not None and after.tempo != tempo and after.seconds > beat.seconds:
        mean = (after.tick - beat.tick) / TICKS * 60 / (after.seconds - beat.seconds)
        low, high = sorted((tempo, after.tempo))
        tempo = min(max(mean, low), high)
    return round(60_000_000 / tempo)


def _steer(main: _Track, beat: _Beat, after: _Beat | None, written: int) -> int:
    """Write the tempo of a beat, if it is not the written one; that tempo."""
    quarter = _quarter(beat, after)
    if quarter != written:
        main.add(beat.tick, _META, _tempo(quarter))
    return quarter


def _tempo(quarter: int) -> MetaMessage:
    return MetaMessage("set_tempo", tempo=quarter)


class Take:
    """Journal entries in, a type 1 file out; pure, so that it runs on any thread.

    Track 0 has tempo, metre, key, markers and chords; then one track a part.
    since: the beat with which the file begins.
    Law: the bytes depend on what was played at which beats, not on when entries came in.
    """

    def __init__(self, seed: int, version: str, since: Fraction = Fraction(0)) -> None:
        self._main = _Track("Componium")
        self._tracks: dict[str, _Track] = {}
        self._base = -round(since * TICKS)  # tick of beat 0: moves when the transport begins again
        self._last = -1
        self._pressed: dict[_Key, list[int]] = {}  # where each of them began
        self._tick: _Beat | None = None  # whose tempo is known when the next has come
        self._written = 0  # microseconds a quarter note, as last written
        self._meter = ""
        self._key = ""
        self._mark(0, "text", text=f"Componium {version}, seed {seed}")

    def begin(self, parts: Iterable[PartSpec]) -> None:
        """Parts that come on: their tracks, banks and programs."""
        for spec in parts:
            fresh = spec.name not in self._tracks
            track = self._track(spec.name)
            if fresh and not spec.shades:  # of several the journal says which
                for message in _program(spec.channel - 1, Shade(spec.program, spec.bank)):
                    track.add(max(self._last, 0), _META, message)

    def add(self, entry: Entry) -> None:
        if isinstance(entry, Played):
            note = entry.note
            start, end = note.start, note.end
            tempo = self._tick.tempo if self._tick is not None else 120.0
            if note.nudge:
                nudge = Fraction(note.nudge * round(tempo * 1000), 60 * 10**12)
                if entry.moment.position == 1:  # a downbeat belongs to its own bar
                    nudge = max(nudge, Fraction(0))
                start, end = start + nudge, end + nudge
            begun, ended = self._tick_of(start), self._tick_of(end)
            velocity = min(max(round(note.velocity * 127), 1), 127)
            track, channel = self._track(note.part), note.channel - 1
            if self._pressed and (held := self._pressed.pop(_key(note), None)):
                pressed = held.pop(0)
                if held:
                    self._pressed[_key(note)] = held
                track.let_go(pressed)
                if pressed != begun:  # the transport has begun again since, and counts anew
                    ended = pressed + round(entry.duration * tempo / 60 * TICKS)
                    begun = pressed
            track.note(begun, ended, channel, note.pitch, velocity)
            self._last = max(self._last, begun)
        elif isinstance(entry, Pressed):
            begun = self._tick_of(entry.note.start)
            self._track(entry.note.part).hold(begun)
            self._pressed.setdefault(_key(entry.note), []).append(begun)
        elif isinstance(entry, Ticked):
            self._beat(entry)
        elif isinstance(entry, Turned):
            message = Message(
                "control_change",
                channel=entry.channel - 1,
                control=entry.controller,
                value=entry.value,
            )
            self._track(entry.part).add(self._tick_of(entry.moment.beat), _CONTROL, message)
        elif isinstance(entry, Programmed):
            track, tick = self._track(entry.part), self._tick_of(entry.moment.beat)
            for message in _program(entry.channel - 1, Shade(entry.program, entry.bank)):
                track.add(tick, _PROGRAM, message)
        elif isinstance(entry, Harmonised):
            self._mark(self._tick_of(entry.moment.beat), "text", text=_latin(entry.name))
        elif isinstance(entry, Marked):
            self._marked(entry)
        elif isinstance(entry, Moved):
            self._moved(entry)

    def _track(self, name: str) -> _Track:
        if name not in self._tracks:
            self._tracks[name] = _Track(name)
        return self._tracks[name]

    def _tick_of(self, beat: Fraction) -> int:
        return max(self._base + round(beat * TICKS), 0)

    def _mark(self, tick: int, kind: str, **fields: Any) -> None:
        self._main.add(tick, _META, MetaMessage(kind, **fields))

    def _marked(self, entry: Marked) -> None:
        tick = self._tick_of(entry.moment.beat)
        if entry.kind == "key":
            written = signature(parse_key(entry.name))
            if written != self._key:
                self._key = written
                self._mark(tick, "key_signature", key=written)
            return
        if entry.kind != "ended":
            self._mark(tick, "marker", text=_latin(entry.name))

    def _moved(self, entry: Moved) -> None:
        tick = self._tick_of(entry.moment.beat)
        if entry.state == "stopped":
            for track in self._tracks.values():
                track.end_all(tick)
            self._last = max(self._last, tick)
            if self._tick is not None:
                _steer(self._main, self._tick, None, self._written)
            self._tick, self._written = None, 0
        elif entry.moment.beat == 0 and self._last >= 0:
            self._base = -(-(self._last + 1) // TICKS) * TICKS
            self._written, self._meter, self._key = 0, "", ""

    def _beat(self, entry: Ticked) -> None:
        tick = self._tick_of(entry.moment.beat)
        if entry.meter != self._meter and entry.moment.position == 1:
            self._meter = entry.meter
            meter = parse_meter(entry.meter)
            self._mark(tick, "time_signature", numerator=meter.beats, denominator=meter.unit)
        before, self._tick = self._tick, _Beat(tick, entry.moment.seconds, entry.tempo)
        if before is not None:
            self._written = _steer(self._main, before, self._tick, self._written)
            for track in (self._main, *self._tracks.values()):
                track.settle(min(before.tick, tick - 4 * TICKS))
        self._last = max(self._last, tick)

    def lose_count(self) -> None:
        """Entries are missing: what is held may have ended already."""
        for (part, *_), held in self._pressed.items():
            self._track(part).let_go(*held)
        self._pressed.clear()

    def pieces(self) -> list[bytes | bytearray]:
        """The whole file, as it stands, until more is added."""
        last = []
        if self._tick is not None and (quarter := _quarter(self._tick, None)) != self._written:
            tempo = bytes(_tempo(quarter).bytes())
            last = [self._main.timed(self._tick.tick, _META, tempo)]
        head = b"MThd" + struct.pack(">IHHH", 6, 1, 1 + len(self._tracks), TICKS)
        pieces = [head, *self._main.chunk(*last)]
        for track in self._tracks.values():
            pieces += track.chunk()
        return pieces

    def file(self) -> bytes:
        """The same in one."""
        return b"".join(self.pieces())


def _key(note: Note) -> _Key:
    return note.part, note.start, note.pitch, note.velocity, note.channel


def save(path: Path, *pieces: bytes | bytearray, private: bool = False) -> None:
    """Put data in place of a file, all or nothing, power cuts included. Errors: OSError.

    Where the path is a link, in place of what it leads to. private: nobody else can read it.
    """
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        mode = 0o600 if private else 0o666
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def check_writable(path: Path, place: str, begins: bytes = b"MThd") -> None:
    """Errors: Mistake where a file cannot be made there, said before anything sounds.

    begins: the first bytes of such files; one that begins otherwise is not written over.
    """
    folder = path.resolve().parent
    if not folder.is_dir():
        raise Mistake(place, f"there is no folder {folder}; make it first")
    if path.exists() and not path.is_file():
        raise Mistake(place, f"{path} cannot be written as a file; choose another place")
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise Mistake(place, f"{path} cannot be written; choose another place")
    if path.exists() and os.access(path, os.R_OK):
        with path.open("rb") as file:
            if file.read(len(begins)) not in (b"", begins):
                raise Mistake(place, f"{path} is another kind of file; choose another name")


class Recorder:
    """A journal listener that keeps a take on disk, readable at any time while it grows.

    told: called, on another thread, with what went wrong.  now_playing: the scene of the moment.
    """

    def __init__(
        self,
        path: Path,
        scene: Scene,
        now_playing: Callable[[], Scene | None],
        told: Callable[[Troubled], None],
        version: str,
    ) -> None:
        self._path, self._told, self._now_playing = path, told, now_playing
        self._take = Take(scene.seed, version)
        self._take.begin(scene.ensemble)
        self._changed = True
        self._wrong = ""
        self._save_after = 0.0
        self._dropped = 0
        self._aside: Aside[Entry | Scene] = Aside(self._keep, self._pause, self._end)

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Marked) and entry.kind == "scene":
            scene = self._now_playing()
            if scene is not None:
                self._aside.put(scene)
        self._aside.put(entry)

    def close(self, patience: float = PATIENCE) -> bool:
        """Save the last of it; False where the file is not the whole take, see `trouble`."""
        if not self._aside.close(patience):
            self._wrong = f"{self._path.name} lacks its end: the disk does not answer"
        elif self._aside.broken is not None:
            self._wrong = f"{self._path.name} ends early: {self._aside.broken!r}"
        return not self._wrong

    @property
    def trouble(self) -> str:
        """Why the file is not the whole take so far; "" if it is."""
        return self._wrong

    def _keep(self, item: Entry | Scene) -> None:
        if isinstance(item, Scene):
            self._take.begin(item.ensemble)
        else:
            self._take.add(item)
        self._changed = True

    def _pause(self) -> None:
        if self._aside.dropped > self._dropped:
            lost, self._dropped = self._aside.dropped - self._dropped, self._aside.dropped
            self._take.lose_count()
            self._told(Troubled("recorder", f"the disk is too slow; {lost} events are lost"))
        if self._changed and time.monotonic() >= self._save_after:
            begun = time.monotonic()
            self._save()
            # However long the take has become, saving takes a small share of the time.
            took = time.monotonic() - begun
            self._save_after = begun + max(SAVE_EVERY, 20 * took)

    def _end(self) -> None:
        if self._aside.broken is not None:
            text = f"{self._path.name} ends early: {self._aside.broken!r}"
            self._told(Troubled("recorder", text))
        self._save()

    def _save(self) -> None:
        try:
            save(self._path, *self._take.pieces())
        except OSError as error:
            before, self._wrong = (
                self._wrong,
                f"{self._path.name} cannot be written: {error.strerror}",
            )
            if not before:
                self._told(Troubled("recorder", f"{self._wrong}; trying again"))
            return
        if self._wrong:
            self._told(Troubled("recorder", f"{self._path.name} is written again"))
        self._wrong, self._changed = "", False
