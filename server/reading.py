"""Readings: what a symbol means as music. The same engine can play a tune, a drum kit or a filter.

A reading's words, each as one token:

    C  F#  Bb4          pitches; without an octave, the fourth
    1  b3  5,  2''      degrees of the key; `'` an octave up, `,` an octave down
    c1 c3 c5 c7         tones of the chord of the moment, counted from its root
    a1 a2               approach tones: a semitone, a step of the key beside the note that comes
                        next; `a1'` from above, `a1,` from below
    l  l1 l2            colour tones of the chord of the moment: the nearest, the first, …
    I  V7  ii  V7/V     chords of the key (in a part with reading = "chords" also Am7, Cmaj7)
    n1 n57 n4/6 V7/n4   the key's own chords by number, which follow its mode
    ton sub7 dom7 tp    chords by what they do in the mode; all of these: `music.chord.roman`
    Kick  Snare+Crash   drums; `+` makes any of the above sound together
    Rest  -             silence
    1/4  1/8t  Quarter  note values; one closes the pitches before it
    C4:1/4  3@0.6  1!   joined: a note value after `:`, a velocity (0 to 2, 1 for plain) after
                        `@`, `!` an accent
    cc74=64             a control change, with the pitch after it or, at the end, before it

A table `{ osc = "/filter/cutoff", args = [0.5], value = "1/4" }` sends an OSC message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from engines.base import Fragment, Mistake, Symbol

from .music.chord import Chord, is_chord, is_roman, parse_chord
from .music.drums import drum
from .music.note import Say, Turn
from .music.pitch import is_pitch, parse_pitch
from .music.scale import Degree, is_degree, parse_degree
from .music.value import is_value, parse_value

_FREE = frozenset("nstdm")  # how the words for numbers and functions begin, and no others
ACCENT = 1.25  # what `!` makes of a velocity
PENDING = 64  # pitches that may wait for a note value; more are played on the grid
MOST_ATOMS, MOST_WORDS = 64, 1024  # that sound together, that one symbol may mean
MOST_BYTES = 8192  # of an OSC message


class Absolute(NamedTuple):
    """A pitch by name: MIDI number with C4 = 60, and its pitch class as it was written."""

    midi: int
    spelling: str


class ChordTone(NamedTuple):
    """The chord's root (1), third (3) …; octave: relative to the root's own."""

    number: int
    octave: int


class Approach(NamedTuple):
    """A tone beside the part's next note: `music.chord.approach` says which.

    step: a step of the key rather than a semitone.  side: 1 from above, -1 from below, 0 either.
    """

    step: bool
    side: int = 0


class Colour(NamedTuple):
    """A colour tone of the chord, see `music.chord.colours`.

    number: from 1, counted round where there are fewer; 0 for the one nearest to the note
    before.  octave: relative to the root's own, or to the nearest.
    """

    number: int = 0
    octave: int = 0


class Drum(NamedTuple):
    """A General MIDI drum by its key number."""

    midi: int


class Harmony(NamedTuple):
    """A whole chord, voiced when it is played; a roman numeral waits for its key."""

    text: str
    chord: Chord | None

    @property
    def free(self) -> bool:
        """Whether its tones are left to the mood: a number or a function, not a chord by name."""
        return self.text[0] in _FREE


Atom = Absolute | Degree | ChordTone | Approach | Colour | Drum | Harmony


class Hit(NamedTuple):
    """What happens together; without atoms it is a rest. velocity: factor, 1 for plain."""

    atoms: tuple[Atom, ...]
    velocity: float = 1.0
    acts: tuple[Turn | Say, ...] = ()


class Struck(NamedTuple):
    """A hit in a reading. length: its own note value in quarter notes, or None to wait for one."""

    hit: Hit
    length: Fraction | None = None


class Value(NamedTuple):
    """A bare note value, in quarter notes."""

    length: Fraction


Word = Struck | Value | Turn | Say


class Emission(NamedTuple):
    """One step in the making: a hit, or a fragment that is played as it stands.

    length: quarter notes, or None for the part's grid.
    """

    symbol: Symbol
    hit: Hit
    length: Fraction | None
    fragment: Fragment | None = None


REST = Hit(())
_CHORD_TONE = re.compile(r"c(1|2|3|4|5|6|7|9|11|13)([',]*)\Z")
_APPROACH = re.compile(r"a([12])([',]?)\Z")
_COLOUR = re.compile(r"l([1-4]?)([',]*)\Z")
_TURN = re.compile(r"cc(\d{1,3})=(\d{1,3}|0?\.\d+|1\.0)\Z")
_JOINED = re.compile(r"(.+?)(!)?(?:@(\d+\.?\d*|\.\d+))?(!)?(?::(.+))?\Z")
_ADDRESS = re.compile(r"(?:/[!-~]+)+\Z")


def _octaves(marks: str) -> int:
    return marks.count("'") - marks.count(",")


@lru_cache(4096)
def _atom(text: str, chords: bool) -> Atom | None:
    """One thing that sounds, or None where the text is no such thing."""
    if chords and is_chord(text):
        return Harmony(text, parse_chord(text))
    if (number := drum(text)) is not None:
        return Drum(number)
    if match := _CHORD_TONE.match(text):
        return ChordTone(int(match[1]), _octaves(match[2]))
    if match := _APPROACH.match(text):
        return Approach(match[1] == "2", _octaves(match[2]))
    if match := _COLOUR.match(text):
        return Colour(int(match[1] or 0), _octaves(match[2]))
    if is_pitch(text):
        pitch = parse_pitch(text)
        return Absolute(pitch.midi, pitch.pitch_class.name)
    if is_degree(text):
        return parse_degree(text)
    return Harmony(text, None) if is_roman(text) else None


@lru_cache(4096)
def parse_word(token: str, chords: bool = False) -> Word | None:
    """What one token of a reading means, or None where it means nothing."""
    if match := _TURN.match(token):
        number = int(match[1])
        value = round(float(match[2]) * 127) if "." in match[2] else int(match[2])
        return Turn(number, value) if max(number, value) <= 127 else None
    if is_value(token):
        return Value(parse_value(token))
    match = _JOINED.match(token)
    if match is None:
        return None
    body, before, level, after, tail = match.groups()
    factor = float(level or 1.0)
    if (tail and not is_value(tail)) or factor > 2:
        return None
    velocity = factor * (ACCENT if before or after else 1.0)
    length = parse_value(tail) if tail else None
    if body in ("Rest", "rest", "-", "r", "R"):
        return Struck(REST, length)
    atoms = [_atom(part, chords) for part in body.split("+", MOST_ATOMS)]
    if None in atoms:
        return None
    return Struck(Hit(tuple(atom for atom in atoms if atom is not None), velocity), length)


def _words(meaning: Any, place: str) -> tuple[Word, ...]:
    """A row of words, as a scene's table gives it for one symbol. Errors: Mistake."""
    if isinstance(meaning, str):
        return _row(meaning, place)
    if not isinstance(meaning, Mapping):
        raise Mistake(place, f"expected words in quotes or an {{ osc = … }} table, got {meaning!r}")
    address, args = meaning.get("osc"), meaning.get("args", [])
    if (
        not set(meaning) <= {"osc", "args", "value"}
        or not isinstance(address, str)
        or not _ADDRESS.match(address)
        or not isinstance(args, list)
        or len(args) > MOST_ATOMS
        or not all(map(_is_argument, args))
    ):
        raise Mistake(
            place,
            "expected a table such as { osc = '/filter/cutoff', args = [0.5], value = '1/4' }, "
            f"got {dict(meaning)!r}",
        )
    size = len(address) + sum(len(str(arg).encode("utf-8", "replace")) for arg in args)
    if size > MOST_BYTES:
        raise Mistake(place, f"expected a message of at most {MOST_BYTES} bytes, got {size}")
    value = _words(meaning["value"], f"{place}.value") if "value" in meaning else ()
    return (Say(address, tuple(args)), *value)


def _row(text: str, place: str) -> tuple[Word, ...]:
    words = []
    for token in text.split():
        word = parse_word(token)
        if word is None:
            raise Mistake(
                place,
                f"{token!r} is no pitch, degree, chord, drum, rest, note value or control change; "
                "expected such as 'C#4', '5', 'c3', 'ii7', 'n4', 'Kick', '-', '1/8' or 'cc74=64'",
            )
        words.append(word)
    if not 0 < len(words) <= MOST_WORDS:
        raise Mistake(place, f"expected 1 to {MOST_WORDS} words such as '5 1/8', got {len(words)}")
    return tuple(words)


def _is_argument(value: Any) -> bool:
    """Whether OSC can carry it as i, f or s."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    return isinstance(value, str) or -(2**31) <= value < 2**31


@dataclass(frozen=True)
class Reading:
    """A part's table of meanings, over the meaning that names already have.

    chords: whether bare names such as `Am7` or `C` are chords rather than pitches.
    """

    table: Mapping[str, tuple[Word, ...]]
    chords: bool = False

    @classmethod
    def of(cls, meanings: Any) -> Reading:
        """From a scene: a table of symbol = meaning, or the word "chords".

        Errors: Mistake, its place the symbol's name.
        """
        if meanings == "chords":
            return cls({}, True)
        if not isinstance(meanings, Mapping):
            raise Mistake("", f"expected a table {{ A = '1 1/8' }} or 'chords', got {meanings!r}")
        table = {name: _words(meaning, name) for name, meaning in meanings.items()}
        return cls(table)

    def words(self, name: str) -> tuple[Word, ...] | None:
        """What a symbol's name means; None where neither table nor name says so."""
        if name in self.table:
            return self.table[name]
        words = tuple(parse_word(token, self.chords) for token in name.split())
        known = tuple(word for word in words if word is not None)
        return known if known and len(known) == len(words) else None

    def closes(self, names: Iterable[str] | None) -> bool:
        """Whether among these symbols is a bare note value, so that pitches wait for it.

        names: an alphabet, or None where it is not known.
        """
        return any(_only_values(self.words(name)) for name in names or ())

    def leads(self, names: Iterable[str] | None) -> bool:
        """Whether among these symbols is a whole chord, so that the part leads the harmony."""
        if names is None:
            names, unknown = self.table, self.chords
        else:
            unknown = False
        return unknown or any(
            isinstance(atom, Harmony)
            for name in names
            for word in self.words(name) or ()
            if isinstance(word, Struck)
            for atom in word.hit.atoms
        )


def _only_values(words: tuple[Word, ...] | None) -> bool:
    return bool(words) and all(isinstance(word, Value) for word in words or ())


class Reader:
    """Reads one stream: keeps the pitches that still wait for their note value.

    closes: whether bare note values may come, see `Reading.closes`.
    together: whether pitches before one note value sound together rather than in turn.
    """

    def __init__(self, reading: Reading, closes: bool, together: bool = False) -> None:
        self._reading, self._closes, self._together = reading, closes, together
        self._meanings: dict[str, tuple[Word, ...] | None] = {}
        self._waiting: list[tuple[Hit, Symbol]] = []

    def read(self, symbol: Symbol) -> list[Emission]:
        """The steps that this symbol completes; none where it means nothing."""
        name = symbol.name
        try:
            words = self._meanings[name]
        except KeyError:
            if len(self._meanings) >= 4096:  # an open alphabet must not fill the memory
                self._meanings.clear()
            words = self._meanings[name] = self._reading.words(name)
            self._closes = self._closes or _only_values(words)
        if symbol.fragment is not None and name not in self._reading.table:
            return [Emission(symbol, REST, symbol.fragment.length, symbol.fragment)]
        return self._read(words, symbol) if words is not None else []

    def rest(self) -> list[Emission]:
        """What still waits when the stream has ended; it goes on the grid."""
        return self._close(None, self._waiting[0][1]) if self._waiting else []

    def _read(self, words: tuple[Word, ...], symbol: Symbol) -> list[Emission]:
        out: list[Emission] = []
        waits = self._closes or any(isinstance(word, Value) for word in words)
        acts: tuple[Turn | Say, ...] = ()
        for word in words:
            if isinstance(word, Struck):
                hit = word.hit._replace(acts=acts) if acts else word.hit
                acts = ()
                out += self._strike(hit, word.length, waits, symbol)
            elif isinstance(word, Value):
                if acts:
                    self._join(acts, symbol)
                    acts = ()
                out += self._close(word.length, symbol)
            else:
                acts += (word,)
        if acts:  # a control change by itself takes its time as a note would
            out += self._strike(REST._replace(acts=acts), None, waits, symbol)
        return out

    def _join(self, acts: tuple[Turn | Say, ...], symbol: Symbol) -> None:
        """Let these happen with the pitch that waits last, or by themselves."""
        if self._waiting:
            hit, origin = self._waiting.pop()
            self._waiting.append((hit._replace(acts=hit.acts + acts), origin))
        else:
            self._waiting.append((REST._replace(acts=acts), symbol))

    def _strike(
        self, hit: Hit, length: Fraction | None, waits: bool, symbol: Symbol
    ) -> list[Emission]:
        if length is not None or not waits:
            return [Emission(symbol, hit, length)]
        full = self._close(None, symbol) if len(self._waiting) >= PENDING else []
        self._waiting.append((hit, symbol))
        return full

    def _close(self, length: Fraction | None, symbol: Symbol) -> list[Emission]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return [Emission(symbol, REST, length)]
        if self._together:
            atoms = tuple(atom for hit, _ in waiting for atom in hit.atoms)
            acts = tuple(act for hit, _ in waiting for act in hit.acts)
            loudest = max(hit.velocity for hit, _ in waiting)
            return [Emission(waiting[0][1], Hit(atoms, loudest, acts), length)]
        return [Emission(each, hit, length) for hit, each in waiting]
