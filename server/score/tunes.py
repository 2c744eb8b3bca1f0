"""Tunes for chains to learn from: standard MIDI files, and chorales, as fragments."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from engines.base import Fragment, Mistake, Sound

from . import script

LARGEST = 4 * 2**20  # bytes a file
MOST_EVENTS = 1_000_000
MOST_TRACKS = 256
MOST_FILES = 10_000
MOST_VOICES = 16

DRUMS = 9  # the channel of General MIDI's drums, from 0


def read_tunes(patterns: Sequence[str], base: Path, place: str) -> tuple[Fragment, ...]:
    """Every tune that the patterns match, in the order of the patterns, then of the paths.

    patterns: `tunes/*.mid`, below the folder `base`, or absolute ones.
    place: the field that named them, for mistakes.

    Errors: Mistake where nothing matches, a file holds no tune, or one is larger than 4 MiB,
    10^6 events or 256 tracks.
    """
    tunes: list[Fragment] = []
    for pattern in patterns:
        for path in _matches(pattern, base, place):
            try:
                size = path.stat().st_size
                data = path.read_bytes() if size <= LARGEST else b""
            except OSError as error:
                raise Mistake(place, f"{path.name} cannot be read: {error.strerror}") from None
            if size > LARGEST:
                raise Mistake(place, f"{path.name} has {size} bytes; at most {LARGEST} are read")
            script.read(data)
            try:
                found = parse_tune(data)
            except ValueError as error:
                raise Mistake(place, f"{path.name}: {error}") from None
            if not any(tune.sounds for tune in found):
                raise Mistake(place, f"{path.name} holds no notes; leave it out")
            tunes += found
    return tuple(tunes)


def parse_tune(data: bytes) -> list[Fragment]:
    """The music of a file, of whichever kind it is by its content. Errors: ValueError."""
    if data[:4] == b"MThd":
        return _midi(data)
    if data.lstrip()[:1] in (b"{", b"["):
        return _chorales(data)
    raise ValueError(
        "neither a standard MIDI file, which would begin with MThd, nor chorales, which would "
        "begin with { or ["
    )


def _chorales(data: bytes) -> list[Fragment]:
    """Chorales as JSON: a list of them, or such lists by name.

    A chorale is a list of sixteenth steps, a step a list of a MIDI number for each voice, -1
    where it is silent (Boulanger-Lewandowski, 2012).  Errors: ValueError.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it begins like chorales, but is no JSON") from None
    lists = list(value.values()) if isinstance(value, dict) else [value]
    steps = 0
    for number, piece in enumerate(piece for pieces in lists for piece in _rows(pieces)):
        for step in _rows(piece):
            steps += 1
            if len(_rows(step)) > MOST_VOICES:
                raise ValueError(f"chorale {number + 1} has more than {MOST_VOICES} voices")
            if not all(type(pitch) is int and -1 <= pitch <= 127 for pitch in step):
                wanted = "expected MIDI numbers from 0 to 127, or -1 for silence"
                raise ValueError(f"chorale {number + 1}: {wanted}, got {step!r:.60}")
    if steps > MOST_EVENTS:
        raise ValueError(f"{steps} steps; at most {MOST_EVENTS} are read")
    return [chorale(piece) for pieces in lists for piece in pieces]


def _rows(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(
            "expected chorales, each a list of steps such as [72, 67, 64, 48] or lists of "
            f"chorales by name, got {value!r:.60}"
        )
    return value


def _midi(data: bytes) -> list[Fragment]:
    """The music of a MIDI file: one fragment, or one for each track where they are patterns.

    Times are ticks over ticks per quarter note, exactly. Notes may overlap; one never ended
    ends with its track. Voices are numbered as (track, channel) pairs appear. Channel 10 is left
    out, unless there is nothing else: a file of drums alone is learnt as drums.

    Errors: ValueError that says what is wrong.
    """
    import mido

    if (tracks := int.from_bytes(data[10:12], "big")) > MOST_TRACKS:
        raise ValueError(f"{tracks} tracks; at most {MOST_TRACKS} are read")
    try:
        file = mido.MidiFile(file=BytesIO(data), clip=True)
    except Exception as error:  # mido lets many kinds through for files that are broken
        raise ValueError(f"a broken MIDI file ({type(error).__name__}: {error})") from None
    if file.ticks_per_beat <= 0:
        raise ValueError("its times are seconds, not beats; export it with ticks per quarter note")
    if (events := sum(map(len, file.tracks))) > MOST_EVENTS:
        raise ValueError(f"{events} events; at most {MOST_EVENTS} are read")
    groups = [[track] for track in file.tracks] if file.type == 2 else [file.tracks]
    tunes = [_fragment(tracks, file.ticks_per_beat) for tracks in groups]
    return [tune for tune in tunes if tune.sounds] or tunes[:1]


def chorale(steps: Iterable[Sequence[int]]) -> Fragment:
    """Sixteenth steps of one pitch a voice (below 0: silent) as music in voices.

    Equal pitches in a row are one held note, since steps do not tell it from a repeated one.
    """
    sixteenth = Fraction(1, 4)
    rows = list(steps)
    sounds: list[Sound] = []
    for voice in range(max(map(len, rows), default=0)):
        start = 0
        line = [row[voice] if voice < len(row) else -1 for row in rows]
        for step in range(1, len(line) + 1):
            if step == len(line) or line[step] != line[start]:
                if line[start] >= 0:
                    at, length = start * sixteenth, (step - start) * sixteenth
                    sounds.append(Sound(at, length, line[start], voice=voice))
                start = step
    sounds.sort(key=lambda sound: (sound.at, sound.voice))
    return Fragment(len(rows) * sixteenth, tuple(sounds))


def _matches(pattern: str, base: Path, place: str) -> list[Path]:
    root, inside = base, str(Path(pattern))
    absolute = Path(pattern).is_absolute()
    if absolute:
        root = Path(Path(pattern).anchor)
        inside = str(Path(pattern).relative_to(root))
    try:
        found = islice(root.glob(inside), MOST_FILES + 1) if inside != "." else ()
        paths = sorted(path for path in found if path.is_file())
    except IndexError:  # of a pattern that is a folder and nothing else
        paths = []
    except (ValueError, NotImplementedError, OSError) as error:
        raise Mistake(place, f"{pattern!r} is no pattern for files: {error}") from None
    if not paths and (base / pattern).is_dir():
        inside = str(Path(pattern) / "*.mid")
        raise Mistake(place, f"{pattern!r} is a folder; name the files in it, such as {inside!r}")
    if not paths:
        where = "" if absolute else f" in {root.resolve()}"
        raise Mistake(place, f"no file matches {pattern!r}{where}")
    if len(paths) > MOST_FILES:
        raise Mistake(place, f"more than {MOST_FILES} files match {pattern!r}; name fewer")
    if not absolute:
        home = base.resolve()
        for path in paths:
            if not path.resolve().is_relative_to(home):
                problem = f"{pattern!r} leads out of {home}"
                raise Mistake(place, f"{problem}; put the tunes below it, or give a whole path")
    return paths


def _fragment(tracks: Iterable[Iterable[Any]], ticks: int) -> Fragment:
    notes = [note for number, track in enumerate(tracks) for note in _notes(track, number)]
    notes = [note for note in notes if note[5] != DRUMS] or notes
    notes.sort()
    voices: dict[tuple[int, int], int] = {}
    sounds = []
    for start, end, pitch, velocity, track, channel in notes:
        voice = voices.setdefault((track, channel), len(voices))
        at, length = Fraction(start, ticks), Fraction(end - start, ticks)
        sounds.append(Sound(at, length, pitch, velocity / 127, voice))
    return Fragment(Fraction(max((note[1] for note in notes), default=0), ticks), tuple(sounds))


def _notes(track: Iterable[Any], number: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(start, end, pitch, velocity, track, channel) in ticks; notes without length are none."""
    open_notes: defaultdict[tuple[int, int], deque[tuple[int, int]]] = defaultdict(deque)
    now = 0
    for message in track:
        now += message.time
        if message.type == "note_on" and message.velocity:
            open_notes[message.channel, message.note].append((now, message.velocity))
        elif message.type in ("note_on", "note_off"):
            begun = open_notes[message.channel, message.note]
            start, velocity = begun.popleft() if begun else (now, 0)
            if now > start:
                yield start, now, message.note, velocity, number, message.channel
    for (channel, pitch), left in open_notes.items():
        for start, velocity in left:
            if now > start:
                yield start, now, pitch, velocity, number, channel
