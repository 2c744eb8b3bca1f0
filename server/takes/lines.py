"""The journal as lines of text: JSON for programs, words for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, TextIO

from server.backstage.aside import Aside
from server.concert.journal import (
    Entry,
    Felt,
    Harmonised,
    Marked,
    Moment,
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
from server.music.drums import drum_name
from server.music.note import Note
from server.music.pitch import NATURALS
from server.music.scale import Key, parse_key

DRUMS = 10  # the channel of General MIDI's drums
_SHARPS: tuple[str, ...] = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Spelling:
    """Names pitches as they were written or, where that is open, as the key of the moment has
    them: B♭ in F major, A♯ in B major.
    """

    def __init__(self) -> None:
        self._names = _SHARPS

    def heed(self, entry: Entry) -> None:
        """Keep up with changes of key."""
        if isinstance(entry, Marked) and entry.kind == "key":
            self._names = spelled(parse_key(entry.name))

    def name(self, pitch: int, written: str = "") -> str:
        """A MIDI number as musicians say it, C4 for 60; `written` is its pitch class if known."""
        letters = written or self._names[pitch % 12]
        raised = letters.count("#") - letters.count("b")
        return f"{letters}{(pitch - NATURALS['CDEFGAB'.index(letters[0])] - raised) // 12 - 1}"

    def of(self, note: Note) -> str:
        """What a note is called: on channel 10, as General MIDI's drum."""
        drum = drum_name(note.pitch) if note.channel == DRUMS else None
        return drum or self.name(note.pitch, note.spelling)


def spelled(key: Key) -> tuple[str, ...]:
    """What each of the twelve pitch classes is called in a key."""
    names = {}
    for midi in range(60, 72):
        pitch = key.pitch(key.degree_of(midi))
        plain = abs(pitch.alteration) < 2
        names[midi % 12] = pitch.pitch_class.name if plain else _SHARPS[midi % 12]
    return tuple(names[number] for number in range(12))


def _moment(moment: Moment) -> dict[str, Any]:
    return {
        "seconds": max(round(moment.seconds, 6), 0.0),  # humanising may be early at the start
        "beat": round(float(moment.beat), 6),
        "bar": moment.bar,
        "position": round(moment.position, 6),
    }


def as_json(entry: Entry, spelling: Spelling) -> str:
    """One entry as one line of JSON; `docs/stage.md` lists the keys of each event."""
    return json.dumps(fields(entry, spelling), ensure_ascii=False, separators=(",", ":"))


def fields(entry: Entry, spelling: Spelling) -> dict[str, Any]:
    """One entry as JSON has it; `docs/stage.md` lists the keys of each event."""
    if isinstance(entry, Played):
        note = entry.note
        return {
            "event": "note",
            **_moment(entry.moment),
            "part": note.part,
            "pitch": note.pitch,
            "name": spelling.of(note),
            "velocity": round(note.velocity, 4),
            "duration": round(entry.duration, 6),
            "channel": note.channel,
            "symbol": note.symbol.name,
            "origin": str(note.symbol.origin),
        }
    if isinstance(entry, Pressed):
        return {
            "event": "pressed",
            **_moment(entry.moment),
            "part": entry.note.part,
            "pitch": entry.note.pitch,
            "name": spelling.of(entry.note),
            "velocity": round(entry.note.velocity, 4),
            "channel": entry.note.channel,
        }
    if isinstance(entry, Ticked):
        tempo = round(entry.tempo, 3)
        return {"event": "beat", **_moment(entry.moment), "tempo": tempo, "meter": entry.meter}
    if isinstance(entry, Harmonised):
        name, classes = entry.name, list(entry.classes)
        return {"event": "chord", **_moment(entry.moment), "name": name, "classes": classes}
    if isinstance(entry, Turned):
        return {
            "event": "control",
            **_moment(entry.moment),
            "part": entry.part,
            "channel": entry.channel,
            "controller": entry.controller,
            "value": entry.value,
        }
    if isinstance(entry, Programmed):
        return {
            "event": "program",
            **_moment(entry.moment),
            "part": entry.part,
            "channel": entry.channel,
            "program": None if entry.program is None else entry.program + 1,
            "bank": entry.bank,
        }
    if isinstance(entry, Said):
        address, args = entry.say
        words = {"part": entry.part, "address": address, "args": list(args)}
        return {"event": "osc", **_moment(entry.moment), **words}
    if isinstance(entry, Marked):
        return {"event": entry.kind, **_moment(entry.moment), "name": entry.name}
    if isinstance(entry, Felt):
        return {
            "event": "mood",
            **_moment(entry.moment),
            "valence": round(entry.valence, 4),
            "arousal": round(entry.arousal, 4),
            "tension": round(entry.tension, 4),
            "word": entry.word,
        }
    if isinstance(entry, Moved):
        return {"event": "transport", **_moment(entry.moment), "state": entry.state}
    if isinstance(entry, Ported):
        return {
            "event": "port",
            "output": entry.output,
            "part": entry.part,
            "state": entry.state,
            "why": entry.why,
        }
    if isinstance(entry, Synced):
        return {"event": "sync", **entry._asdict()}
    return {"event": "trouble", "source": entry.source, "text": entry.text}


def in_words(entry: Entry, spelling: Spelling) -> str:
    """One entry as a person reads it; "" for what people need not read."""
    if isinstance(entry, Played):
        note, moment = entry.note, entry.moment
        return (
            f"{moment.bar:4d}:{moment.position:<5.4g} {note.part:<12} "
            f"{spelling.of(note):<4} {entry.duration:6.3f} s   "
            f"{note.symbol.name:<12} {note.symbol.origin}"
        )
    if isinstance(entry, Harmonised):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} [{entry.name}]"
    if isinstance(entry, Marked):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} {entry.kind}: {entry.name}"
    if isinstance(entry, Moved):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} {entry.state}"
    if isinstance(entry, Synced):
        return f"           sync: {entry.source} {entry.state}, {entry.tempo:g} bpm"
    return ""


class Warnings:
    """Says what is wrong, and what is well again, in one line each and not twice over.

    say: prints a line.  Ports that open without ever having been away are not worth a word; a
    reason that several ports share at once is told with the first of them.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._amiss: dict[str, str] = {}  # why a port is not open
        self._last = ""

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Ported):
            line = ""
            if entry.state == "open":
                if entry.port in self._amiss:
                    del self._amiss[entry.port]
                    line = f"{entry.port}: open again"
            elif entry.state == "closed":
                self._amiss.pop(entry.port, None)
            else:
                shared = entry.why in self._amiss.values()
                self._amiss[entry.port] = entry.why
                line = f"{entry.port}: {entry.why}" if entry.why and not shared else ""
        elif isinstance(entry, Troubled):
            line = f"{entry.source}: {entry.text}"
        else:
            return
        if line and line != self._last:
            self._last = line
            self._say(line)


class Deserted:
    """Ends what nobody hears any more: no port is open, and who read the lines has gone.

    unread: whether he has.  leave: ends it; called once.
    """

    def __init__(self, unread: Callable[[], bool], leave: Callable[[], None]) -> None:
        self._unread, self._leave = unread, leave
        self._open: set[str] = set()
        self._left = False

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Ported):
            (self._open.add if entry.state == "open" else self._open.discard)(entry.port)
        elif isinstance(entry, Ticked) and not (self._left or self._open) and self._unread():
            self._left = True
            self._leave()


class Printer:
    """Prints every entry on standard output, flushed; a reader who is slow only delays himself.

    Law: whoever reads can stop reading, or go away, and the music does not notice.
    """

    def __init__(self, json_lines: bool, out: TextIO | None = None) -> None:
        self._line = as_json if json_lines else in_words
        self._out = out or sys.stdout
        self._spelling = Spelling()
        self._aside: Aside[tuple[Entry, Spelling, str]] = Aside(self._print)

    def __call__(self, entry: Entry) -> None:
        self._aside.put((entry, self._spelling, ""))

    def beside(self, name: str) -> Callable[[Entry], None]:
        """What prints the entries of another band, as JSON that tells its name as "session"."""
        spelling, tag = Spelling(), f'{{"session":{json.dumps(name)},'

        def put(entry: Entry) -> None:
            self._aside.put((entry, spelling, tag))

        return put

    @property
    def unread(self) -> bool:
        """Whether who read has gone."""
        return isinstance(self._aside.broken, BrokenPipeError)

    @property
    def trouble(self) -> str:
        """Why nothing more can be printed, but for a reader who has gone; "" if it can."""
        broken = self._aside.broken
        return "" if broken is None or self.unread else str(broken)

    def close(self) -> bool:
        """Print the last of it; False where the reader does not take it in time."""
        return self._aside.close()

    def _print(self, item: tuple[Entry, Spelling, str]) -> None:
        entry, spelling, tag = item
        spelling.heed(entry)
        line = self._line(entry, spelling)
        if tag:
            line = tag + line[1:]
        if line:
            self._out.write(line + "\n")
            self._out.flush()
