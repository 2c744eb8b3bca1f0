"""The journal as lines of text: JSON for programs, words for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .journal import (
    Entry,
    Harmonised,
    Marked,
    Moment,
    Moved,
    Played,
    Ported,
    Ticked,
    Troubled,
    Turned,
)
from .music.pitch import NATURALS
from .music.scale import Key, parse_key

_SHARPS: tuple[str, ...] = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


class Spelling:
    """Names pitches as the key of the moment writes them: B♭ in F major, A♯ in B major."""

    def __init__(self) -> None:
        self._names = _SHARPS

    def heed(self, entry: Entry) -> None:
        """Keep up with changes of key."""
        if isinstance(entry, Marked) and entry.kind == "key":
            self._names = spelled(parse_key(entry.name))

    def name(self, pitch: int) -> str:
        """A MIDI number as musicians say it, C4 for 60."""
        letters = self._names[pitch % 12]
        octave = (pitch - (NATURALS["CDEFGAB".index(letters[0])] + alteration(letters))) // 12 - 1
        return f"{letters}{octave}"


def alteration(name: str) -> int:
    return name.count("#") - name.count("b")


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
        "seconds": round(moment.seconds, 6),
        "beat": round(float(moment.beat), 6),
        "bar": moment.bar,
        "position": round(moment.position, 6),
    }


def as_json(entry: Entry, spelling: Spelling) -> str:
    """One entry as one line of JSON; `docs/stage.md` lists the keys of each event."""
    return json.dumps(_fields(entry, spelling), ensure_ascii=False, separators=(",", ":"))


def _fields(entry: Entry, spelling: Spelling) -> dict[str, Any]:
    if isinstance(entry, Played):
        note = entry.note
        return {
            "event": "note",
            **_moment(entry.moment),
            "part": note.part,
            "pitch": note.pitch,
            "name": spelling.name(note.pitch),
            "velocity": round(note.velocity, 4),
            "duration": round(entry.duration, 6),
            "channel": note.channel,
            "symbol": note.symbol.name,
            "origin": str(note.symbol.origin),
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
    if isinstance(entry, Marked):
        return {"event": entry.kind, **_moment(entry.moment), "name": entry.name}
    if isinstance(entry, Moved):
        return {"event": "transport", **_moment(entry.moment), "state": entry.state}
    if isinstance(entry, Ported):
        return {"event": "port", "output": entry.output, "state": entry.state, "why": entry.why}
    return {"event": "trouble", "source": entry.source, "text": entry.text}


def in_words(entry: Entry, spelling: Spelling) -> str:
    """One entry as a person reads it; "" for what people need not read."""
    if isinstance(entry, Played):
        note, moment = entry.note, entry.moment
        return (
            f"{moment.bar:4d}:{moment.position:<5.4g} {note.part:<12} "
            f"{spelling.name(note.pitch):<4} {entry.duration:6.3f} s   "
            f"{note.symbol.name:<12} {note.symbol.origin}"
        )
    if isinstance(entry, Harmonised):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} [{entry.name}]"
    if isinstance(entry, Marked):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} {entry.kind}: {entry.name}"
    if isinstance(entry, Moved):
        return f"{entry.moment.bar:4d}:{entry.moment.position:<5.4g} {entry.state}"
    return ""


class Warnings:
    """Says what is wrong, and what is well again, in one line each and not twice over.

    say: prints a line.  Ports that open without ever having been away are not worth a word.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._states: dict[str, str] = {}
        self._last = ""

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Ported):
            before = self._states.get(entry.output)
            if entry.state == "open":
                self._states.pop(entry.output, None)
                line = f"{entry.output}: open again" if before else ""
            else:
                self._states[entry.output] = entry.state
                line = f"{entry.output}: {entry.why}" if entry.why else ""
        elif isinstance(entry, Troubled):
            line = f"{entry.source}: {entry.text}"
        else:
            return
        if line and line != self._last:
            self._last = line
            self._say(line)
