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

    theme:window/2      a stretch of a theme, its second bar; words after it change it, as in
                        `theme:now/1-2 up 1 inverted`: see `engines.motif.quotation`

A table `{ osc = "/filter/cutoff", args = [0.5], value = "1/4" }` sends an OSC message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from engines.base import Fragment, Mistake, Origin, Symbol
from engines.motif import HERE, NOW, QUOTES, Motif, Quote, check_quote, chosen, parse_quote, quoted
from server.music.chord import Chord, is_chord, is_roman, parse_chord
from server.music.drums import drum
from server.music.note import Say, Turn
from server.music.pitch import is_pitch, parse_pitch
from server.music.scale import Degree, is_degree, parse_degree
from server.music.value import is_value, parse_value

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


class Cited(Origin):
    """Which bar of which theme a note is quoted from, in a symbol that was made for a reason."""

    __slots__ = ("of", "said")

    def __init__(self, of: Origin, said: str) -> None:
        self.of, self.said = of, said

    def __str__(self) -> str:
        return f"{self.of}; {self.said}"


Word = Struck | Value | Turn | Say | Quote


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


@lru_cache(512)
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


@lru_cache(512)
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


def _words(meaning: Any, place: str, themes: Sequence[Motif] = ()) -> tuple[Word, ...]:
    """A row of words, as a scene's table gives it for one symbol. Errors: Mistake."""
    if isinstance(meaning, str):
        return _row(meaning, place, themes)
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


def _row(text: str, place: str, themes: Sequence[Motif]) -> tuple[Word, ...]:
    words: list[Word] = []
    tokens = text.split()
    while tokens:
        if tokens[0].startswith(QUOTES):
            try:
                quote, used = _quote(tokens, themes)
            except Mistake as mistake:
                raise mistake.within(place) from None
            words.append(quote)
            del tokens[:used]
            continue
        token = tokens.pop(0)
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


def _quote(tokens: Sequence[str], themes: Sequence[Motif]) -> tuple[Quote, int]:
    """The quotation that these words begin with, tried out, and how many of them it is."""
    quote, used = parse_quote(tokens)
    check_quote(quote, themes)
    for theme in themes if quote.theme == NOW else [chosen(quote, themes)]:
        for each, _ in quoted(quote, theme):
            if parse_word(each) is None:
                raise Mistake("", f"{each!r}, of {str(quote)!r}, is nothing that sounds")
    return quote, used


def _is_argument(value: Any) -> bool:
    """Whether OSC can carry it as i, f or s."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return False
    return isinstance(value, str) or -(2**31) <= value < 2**31


@dataclass(frozen=True)
class Reading:
    """A part's table of meanings, over the meaning that names already have.

    chords: whether bare names such as `Am7` or `C` are chords rather than pitches.
    themes: that may be quoted; the words only name them, so others may take their place.
    """

    table: Mapping[str, tuple[Word, ...]]
    chords: bool = False
    themes: tuple[Motif, ...] = ()

    @classmethod
    def of(cls, meanings: Any, themes: tuple[Motif, ...] = ()) -> Reading:
        """From a scene: a table of symbol = meaning, or the word "chords".

        Errors: Mistake, its place the symbol's name.
        """
        if meanings == "chords":
            return cls({}, True, themes)
        if not isinstance(meanings, Mapping):
            raise Mistake("", f"expected a table {{ A = '1 1/8' }} or 'chords', got {meanings!r}")
        table = {name: _words(meaning, name, themes) for name, meaning in meanings.items()}
        return cls(table, False, themes)

    def quotes(self, name: str) -> tuple[Word, ...]:
        """What a symbol's name means that begins with a quotation of a theme. Errors: Mistake."""
        return _row(name, "", self.themes)

    def words(self, name: str) -> tuple[Word, ...] | None:
        """What a symbol's name means; None where neither table nor name says so."""
        if name in self.table:
            return self.table[name]
        if name.startswith(QUOTES):
            try:
                return self.quotes(name)
            except Mistake:
                return None
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
        return unknown or any(isinstance(atom, Harmony) for atom in self.atoms(names))

    def atoms(self, names: Iterable[str]) -> Iterator[Atom]:
        """All that these symbols sound, quotations of themes included."""
        for name in names:
            for word in self.words(name) or ():
                if isinstance(word, Struck):
                    yield from word.hit.atoms
                elif isinstance(word, Quote):
                    for each, _ in quoted(word, chosen(word, self.themes)):
                        if isinstance(struck := parse_word(each), Struck):
                            yield from struck.hit.atoms


def _only_values(words: tuple[Word, ...] | None) -> bool:
    return bool(words) and all(isinstance(word, Value) for word in words or ())


class Reader:
    """Reads one stream: keeps the pitches that still wait for their note value.

    closes: whether bare note values may come, see `Reading.closes`.
    together: whether pitches before one note value sound together rather than in turn.
    values: live values, which say what the theme of the moment is, and how far the section.
    """

    def __init__(
        self,
        reading: Reading,
        closes: bool,
        together: bool = False,
        values: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._values = values
        self._reading, self._closes, self._together = reading, closes, together
        self._meanings: dict[str, tuple[Word, ...] | None] = {}
        self._waiting: list[tuple[Hit, Symbol]] = []
        self._cited: dict[tuple[Quote, int, int], list[tuple[Struck, str]]] = {}

    def reread(self, reading: Reading) -> None:
        """Go on with other meanings; what waits for its note value still does."""
        self._reading = reading
        self._meanings.clear()

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
            elif isinstance(word, Quote):
                out += self._cite(word, symbol)
            else:
                acts += (word,)
        if acts:  # a control change by itself takes its time as a note would
            out += self._strike(REST._replace(acts=acts), None, waits, symbol)
        return out

    def _cite(self, quote: Quote, symbol: Symbol) -> list[Emission]:
        """The notes of a quotation; each knows its bar, and the reason for the symbol."""
        turn = self._live("theme") if quote.theme == NOW else 0
        key = quote, turn, self._here() if quote.first == HERE else 0
        try:
            row = self._cited[key]
        except KeyError:
            if len(self._cited) >= 4096:
                self._cited.clear()
            row = self._cited[key] = self._heard(*key)
        return [
            Emission(symbol._replace(origin=Cited(symbol.origin, said)), struck.hit, struck.length)
            for struck, said in row
        ]

    def _heard(self, quote: Quote, turn: int, here: int) -> list[tuple[Struck, str]]:
        """Each note of a quotation, and what is to be said of it."""
        theme = chosen(quote, self._reading.themes, turn)
        done = f": {', '.join(quote.said)}" if quote.changes else ""
        return [
            (word, f"theme {theme.name}, bar {bar}{done}")
            for each, bar in quoted(quote, theme, here)
            if isinstance(word := parse_word(each), Struck)
        ]

    def _here(self) -> int:
        """The bar of the section; where there is none, that of the piece."""
        bar, left = self._live("section_bar"), self._live("section_left")
        return bar if bar + left > 2 else self._live("bar")

    def _live(self, name: str) -> int:
        return int(min(max(self._values.get(name, 0.0), 0.0), 1e6))

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
