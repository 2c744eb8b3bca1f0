"""Chords: by name, by Roman numeral in a key, as tones, as scales, and led from one to the next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from engines.base import Mistake

from .pitch import LETTERS, NATURALS, PitchClass, alteration_of, parse_pitch_class
from .scale import Key

#: Each quality's tones, against the major scale on the root; then its other spellings.
_QUALITIES = {
    "": ("1 3 5", "maj M"),
    "m": ("1 b3 5", "min - mi"),
    "dim": ("1 b3 b5", "° o"),
    "aug": ("1 3 #5", "+"),
    "5": ("1 5", ""),
    "sus2": ("1 2 5", ""),
    "sus4": ("1 4 5", "sus"),
    "6": ("1 3 5 6", "maj6 M6 add6"),
    "m6": ("1 b3 5 6", "min6 -6"),
    "69": ("1 3 5 6 9", "6/9"),
    "m69": ("1 b3 5 6 9", "m6/9"),
    "7": ("1 3 5 b7", "dom7"),
    "maj7": ("1 3 5 7", "M7 Δ Δ7 ^ ^7 ma7"),
    "m7": ("1 b3 5 b7", "min7 -7 mi7"),
    "mmaj7": ("1 b3 5 7", "mM7 m(maj7) minmaj7 mΔ mΔ7 m^ m^7"),
    "dim7": ("1 b3 b5 bb7", "°7 o7"),
    "m7b5": ("1 b3 b5 b7", "ø ø7 min7b5 -7b5 hdim7"),
    "aug7": ("1 3 #5 b7", "+7"),
    "augmaj7": ("1 3 #5 7", "+maj7 +M7"),
    "7sus4": ("1 4 5 b7", "7sus"),
    "7sus2": ("1 2 5 b7", ""),
    "7alt": ("1 3 b7 b9 #9 b13", "alt"),
    "9": ("1 3 5 b7 9", "dom9"),
    "maj9": ("1 3 5 7 9", "M9 Δ9 ^9 ma9"),
    "m9": ("1 b3 5 b7 9", "min9 -9 mi9"),
    "9sus4": ("1 4 5 b7 9", "9sus"),
    "13sus4": ("1 4 5 b7 9 13", "13sus"),
    "11": ("1 3 5 b7 9 11", "dom11"),
    "maj11": ("1 3 5 7 9 11", "M11"),
    "m11": ("1 b3 5 b7 9 11", "min11 -11"),
    "13": ("1 3 5 b7 9 13", "dom13"),
    "maj13": ("1 3 5 7 9 13", "M13"),
    "m13": ("1 b3 5 b7 9 13", "min13 -13"),
}
_CANONICAL = {
    spelling: name
    for name, (_, others) in _QUALITIES.items()
    for spelling in (name, *others.split())
}
_TONE = re.compile(r"([b#]*)([0-9]+)")
_CHANGE = re.compile(r"(add|no|[b#](?![2347]))(2|3|4|5|6|7|9|11|13)")
_CHANGES = re.compile(rf"\(?((?:{_CHANGE.pattern},?)*)\)?$")
_CHORD = re.compile(
    r"([A-G](?:[#♯]{1,2}|[b♭]{1,2})?)(.{0,32}?)(?:/([A-G](?:[#♯]{1,2}|[b♭]{1,2})?))?"
)
_COMPOUND = {2: 9, 4: 11, 6: 13, 9: 2, 11: 4, 13: 6}


class Chord(NamedTuple):
    """A root, a quality, and a bass where it is not the root.

    quality: as it stands in `name`, empty for major; `parse_chord` knows them all.
    """

    root: PitchClass
    quality: str = ""
    bass: PitchClass | None = None

    @property
    def name(self) -> str:
        """As `parse_chord` reads it: `Cm7`, `F#m7b5/E`."""
        foot = f"/{self.bass.name}" if self.bass else ""
        return f"{self.root.name}{self.quality}{foot}"

    @property
    def tones(self) -> tuple[PitchClass, ...]:
        """The spelled tones in chord order: root, third, fifth, seventh, ninth, ….

        A bass that is no chord tone is not among them.
        """
        return tuple(
            self.root.transpose(number - 1, semitones) for number, semitones in _tones(self.quality)
        )

    @property
    def pitch_classes(self) -> tuple[int, ...]:
        """The tones as 0 to 11, in chord order."""
        root = self.root.semitone
        return tuple((root + semitones) % 12 for _, semitones in _tones(self.quality))

    def tone(self, number: int) -> int | None:
        """The pitch class (0 to 11) of the chord's own 1, 3, 5, 7, 9, 11 or 13, or None.

        2, 4 and 6 are the same as 9, 11 and 13.
        """
        names = (number, _COMPOUND.get(number, number))
        for own, semitones in _tones(self.quality):
            if own in names:
                return (self.root.semitone + semitones) % 12
        return None


def _semitones(name: str) -> tuple[int, int]:
    """A tone against the major scale on the root, `b3`: its number and semitones."""
    found = _TONE.fullmatch(name)
    assert found is not None
    number = int(found[2])
    octaves, step = divmod(number - 1, 7)
    return number, 12 * octaves + NATURALS[step] + alteration_of(found[1])


@lru_cache(maxsize=1024)
def _tones(quality: str) -> tuple[tuple[int, int], ...]:
    """Each tone's number and semitones above the root, of a quality as `Chord` keeps it."""
    stem = next(
        name
        for name in (quality[:end] for end in range(len(quality), -1, -1))
        if name in _QUALITIES and _CHANGES.fullmatch(quality[len(name) :])
    )
    tones = {_semitones(name) for name in _QUALITIES[stem][0].split()}
    replaced: set[int] = set()
    for how, what in _CHANGE.findall(quality[len(stem) :]):
        number = int(what)
        if how == "no" or (how in "b#" and number not in replaced):
            tones = {tone for tone in tones if tone[0] != number}
        if how == "add":
            tones.add(_semitones(what))
        elif how in "b#":
            replaced.add(number)
            tones.add(_semitones(how + what))
    return tuple(sorted(tones))


@lru_cache(maxsize=1024)
def _quality(text: str) -> str | None:
    """A quality however it is spelled, as `Chord` keeps it; None where it is none."""
    if text in _CANONICAL:
        return _CANONICAL[text]
    text = text.replace("♭", "b").replace("♯", "#")
    for end in range(len(text), -1, -1):
        changes = _CHANGES.fullmatch(text[end:])
        if text[:end] in _CANONICAL and changes:
            quality = _CANONICAL[text[:end]] + changes[1].replace(",", "")
            return _CANONICAL.get(quality, quality)
    return None


@lru_cache(maxsize=1024)
def parse_chord(text: str) -> Chord:
    """Read a chord name: `C`, `Cm7`, `F#m7b5`, `Bb13`, `C7(b9,#11)`, `Cadd9`, `C/G`.

    Qualities: m, dim or °, aug or +, sus2, sus4, 5; 6, 7, 9, 11, 13 with maj (M, Δ, ^) or m;
    dim7, ø, 7alt, 69; then alterations such as b9 or #11, additions (add9), omissions (no3).
    Errors: Mistake saying what was not understood.
    Law: `parse_chord(c.name) == c`.
    """
    found = _CHORD.fullmatch(text)
    if found is None:
        raise Mistake("", f"expected a chord such as Cm7, F#dim or C/G, found {text!r}")
    root, quality, bass = parse_pitch_class(found[1]), _quality(found[2]), found[3]
    if quality is None:
        raise Mistake(
            "",
            f"no chord is called {found[2]!r} (in {text!r}); expected m, 7, maj7, m7, dim, dim7, "
            "m7b5, aug, sus2, sus4, 6, 9, 11, 13, 7alt or add9, and alterations such as b9",
        )
    foot = parse_pitch_class(bass) if bass else None
    return Chord(root, quality, None if foot == root else foot)


@lru_cache(maxsize=1024)
def is_chord(text: str) -> bool:
    """Whether `parse_chord` would read this."""
    try:
        parse_chord(text)
    except Mistake:
        return False
    return True


# Roman numerals ----------------------------------------------------------------------------

_NUMERALS = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5, "vi": 6, "vii": 7}
_ROMAN = re.compile(
    r"([#♯]{1,2}|[b♭]{1,2})?(VII|VI|IV|V|III|II|I|vii|vi|iv|v|iii|ii|i)"
    r"(°|o|dim|ø|\+|aug)?([^/]{0,32})(?:/(.{1,32}))?"
)
#: Figured bass: which chord tone lies lowest, and whether the chord has its seventh.
_FIGURES = {"6": (3, ""), "64": (5, ""), "65": (3, "7"), "43": (5, "7"), "42": (7, "7")}
_SIGNS = {"°": "dim", "o": "dim", "dim": "dim", "ø": "dim", "+": "aug", "aug": "aug"}
#: The seventh chords, by their triad and the semitones of their seventh.
_SEVENTHS = {
    ("", 10): "7",
    ("", 11): "maj7",
    ("m", 10): "m7",
    ("m", 11): "mmaj7",
    ("dim", 9): "dim7",
    ("dim", 10): "m7b5",
    ("aug", 10): "aug7",
    ("aug", 11): "augmaj7",
}
_STACKED = ("7", "maj7", "m7")
_EXTENDED = re.compile(r"(7|9|11|13)(.*)")
_WHOLE_QUALITY = re.compile(r"m(?=[0-9])|dom|.*(sus|alt)")
_NESTED = 3


@lru_cache(maxsize=4096)
def roman(text: str, key: Key) -> Chord:
    """The chord of a Roman numeral in a key: `I`, `ii7`, `V65`, `bVII`, `vii°7/V`, `IVmaj7`.

    Upper case is major, lower case minor, or diminished where the key's own triad is;
    `°`, `ø`, `+` (or `o`, `dim`, `aug`) say so themselves.
    `7`, `9`, `11` and `13` take the key's own seventh where the triad is the key's own (I7 in
    C is Cmaj7, I7 in C blues is C7) and otherwise read as in chord names (bVII7 is B♭7);
    `dom7`, `maj7`, `m7`, `sus4`, `7sus4`, `7alt` and `add6` always read as in chord names;
    alterations may follow, as in V7b9.
    `6`, `64`, `65`, `43` and `42` are inversions. After `/` stands the chord whose key it is
    borrowed from. An accidental before the numeral is read as `Key.degree` reads it; vi° and
    vii° stand on the raised degree in minor. Scales without seven notes borrow the chords of
    `Key.heptatonic`.
    Errors: Mistake where the text is no numeral.
    """
    return _roman(text, key, _NESTED)


def _roman(text: str, key: Key, nested: int) -> Chord:
    found = _ROMAN.fullmatch(text)
    if found is None or (found[5] and not nested):
        raise Mistake(
            "",
            f"expected a Roman numeral such as I, ii7, V65, vii°, bVII or V7/V, found {text!r}",
        )
    signs, numeral, altered, rest, target = found.groups()
    if target:
        goal = _roman(target, key, nested - 1)
        minor = (goal.root.semitone + 3) % 12 in goal.pitch_classes
        key = Key(goal.root, "minor" if minor else "major")
    key = key.heptatonic

    number, alteration = _NUMERALS[numeral.lower()], alteration_of(signs or "")
    own = _stack(key, number)
    stem = _SIGNS[altered] if altered else ("" if numeral.isupper() else "m")
    plain = not rest or rest in _FIGURES or _EXTENDED.fullmatch(rest) is not None
    if stem == "m" and plain and own[:3] == (0, 3, 6) and not alteration:
        stem = "dim"
    if stem == "dim" and own[:3] != (0, 3, 6) and number in (6, 7) and not alteration:
        flat = key.degree(number).midi < key.tonic.at(4).midi + NATURALS[number - 1]
        alteration = int(flat)

    triad = tuple(semitones for _, semitones in _tones(stem))
    seventh = own[3] if not alteration and own[:3] == triad else 10
    if altered and stem == "dim":
        seventh = 10 if altered == "ø" else 9
    if (stem, seventh) not in _SEVENTHS:
        seventh = 10
    lowest, rest = _FIGURES.get(rest, (1, rest))
    quality = _quality(_roman_quality(stem, rest or ("7" if altered == "ø" else ""), seventh))
    if quality is None:
        raise Mistake("", f"no chord is called {altered or ''}{rest!r} (in {text!r})")
    root = key.degree(number, alteration).pitch_class
    chord = Chord(root, quality)
    if lowest == 1:
        return chord
    numbers = [own_number for own_number, _ in _tones(quality)]
    return chord._replace(bass=chord.tones[numbers.index(lowest)])


def _stack(key: Key, number: int) -> tuple[int, ...]:
    """Semitones of the key's own thirds above a degree: root, third, fifth, seventh."""
    root = key.degree(number).midi
    return tuple(key.degree(number + step).midi - root for step in (0, 2, 4, 6))


def _roman_quality(stem: str, rest: str, seventh: int) -> str:
    """A chord-name quality for a numeral's triad, what follows it, and its plain seventh."""
    if _WHOLE_QUALITY.match(rest):
        return rest
    extended = _EXTENDED.fullmatch(rest)
    if extended is None:
        return stem + rest
    extension, changes = extended.groups()
    base = _SEVENTHS[stem, seventh]
    if extension != "7":
        base = f"{base}add{extension}" if base not in _STACKED else base[:-1] + extension
    return base + changes


@lru_cache(maxsize=1024)
def is_roman(text: str) -> bool:
    """Whether `roman` would read this."""
    try:
        roman(text, Key(PitchClass("C")))
    except Mistake:
        return False
    return True


# Chord and key -----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def chord_scale(chord: Chord, key: Key) -> tuple[int, ...]:
    """The scale to play over a chord: the chord's own tones, and the key's between them.

    Pitch classes (0 to 11) upward from the root, usually seven.
    Laws: every chord tone is in it; a chord spelled in the key's notes gives just those.
    """
    root = chord.root.semitone
    own = {(number - 1) % 7 for number, _ in _tones(chord.quality)}
    notes = set(chord.pitch_classes)
    notes.update(_filler(chord, key, step) for step in range(7) if step not in own)
    return tuple(sorted(notes, key=lambda note: (note - root) % 12))


@lru_cache(maxsize=4096)
def chord_tone(chord: Chord, key: Key, number: int) -> int:
    """The pitch class (0 to 11) to play for a chord's 1, 3, 5, 7, 9, 11 or 13.

    The chord's own tone where it has one; for the third of a suspended chord what stands in
    its place; otherwise the key's note at that interval above the root.
    """
    own = chord.tone(number)
    if own is None and number == 3:
        suspended = [chord.tone(4), chord.tone(2)]
        own = next((tone for tone in suspended if tone is not None), None)
    return _filler(chord, key, (number - 1) % 7) if own is None else own


def _filler(chord: Chord, key: Key, step: int) -> int:
    """The key's note so many letters above the chord's root."""
    letter = LETTERS[(LETTERS.index(chord.root.letter) + step) % 7]
    seven = key.heptatonic
    notes = (seven.degree(number).pitch_class for number in range(1, 8))
    return next(note.semitone for note in notes if note.letter == letter)


# Voice leading -----------------------------------------------------------------------------

_MUDDY = 48  # below this MIDI number, neighbours keep at least a fourth apart
_MISSING, _MUD, _PARALLEL, _GAP = 60.0, 40.0, 6.0, 3.0
_DOUBLED = {1: 0.5, 5: 1.0}  # any other doubled tone costs 3
_HOMESICK = 0.1  # for each semitone from where the voice would begin: nothing drifts away
_NARROWEST, _REACH = 3, 9


@lru_cache(maxsize=4096)
def voice(
    chord: Chord,
    previous: tuple[int, ...] | None = None,
    low: int = 48,
    high: int = 79,
    voices: int = 4,
) -> tuple[int, ...]:
    """The chord as MIDI pitches, lowest first, led as smoothly as may be from the last ones.

    Every tone that makes the chord sounds (of more tones than voices, fifth and root go
    first), no two voices sing the same pitch, and a bass other than the root lies lowest.
    The least total movement wins, against parallel fifths and octaves, thirds below MIDI 48,
    gaps above an octave and doubled thirds. Without `previous`, voices spread about the
    middle of the range, the root lowest.
    low, high: the range, both included; where it is too narrow, fewer voices sound.
    Same arguments, same answer. The principle: Schoenberg's law of the shortest way (1911).
    """
    wanted = _essential(chord, voices)
    bass = chord.bass.semitone if chord.bass else None
    classes = set(wanted) if bass is None else {*wanted, bass}
    field = [midi for midi in range(max(low, 0), min(high, 127) + 1) if midi % 12 in classes]
    voices = min(voices, len(field))
    if voices < 1:
        return ()
    home = _spread((low + high) / 2, low, high, voices)
    if not previous:
        lead = home
    elif len(previous) == voices:
        lead = [float(midi) for midi in sorted(previous)]
    else:
        lead = _spread(sum(previous) / len(previous), low, high, voices)
    lowest = bass if bass is not None else (None if previous else chord.root.semitone)
    led = previous is not None and len(previous) == voices
    return _Search(wanted, lowest, field, lead, home, led).best()


def _essential(chord: Chord, voices: int) -> dict[int, float]:
    """The pitch classes to sound, at most one for each voice, and what doubling each costs."""
    tones = _tones(chord.quality)
    numbers = {number for number, _ in tones}
    suspended = {2, 4} & numbers
    clash = (3, 4) in tones and (11, 17) in tones

    def rank(tone: tuple[int, int]) -> float:
        number, semitones = tone
        if number == 3:
            return 4.5 if clash else 0
        if number in suspended or (number == 7) or (number == 6):
            return 1
        if number == 5:
            return 2 if semitones != 7 else 6
        if number == 1:
            return 2.5
        return 3 if number == max(numbers) else 4

    chosen = sorted(tones, key=rank)[: max(voices, 1)]
    root = chord.root.semitone
    return {
        (root + semitones) % 12: _DOUBLED.get(number, 3.0) for number, semitones in sorted(chosen)
    }


def _spread(centre: float, low: int, high: int, voices: int) -> list[float]:
    """Where voices would like to be: about a fourth apart, round a centre, within the range."""
    step = min(5.0, (high - low) / voices)
    half = step * (voices - 1) / 2
    centre = min(max(centre, low + half), high - half)
    return [centre - half + step * index for index in range(voices)]


class _Search:
    """Depth first from the lowest voice up, leaving a branch once it costs more than the best."""

    def __init__(
        self,
        wanted: dict[int, float],
        lowest: int | None,
        field: list[int],
        lead: list[float],
        home: list[float],
        led: bool,
    ) -> None:
        self._wanted, self._lowest, self._field = wanted, lowest, field
        self._lead, self._home, self._led = lead, home, led
        self._cost, self._found = float("inf"), tuple(field[: len(lead)])

    def best(self) -> tuple[int, ...]:
        self._descend((), 0.0)
        return self._found

    def _descend(self, sung: tuple[int, ...], cost: float) -> None:
        index, voices = len(sung), len(self._lead)
        missing = len(self._wanted.keys() - {midi % 12 for midi in sung})
        cost_at_best = cost + _MISSING * max(0, missing - (voices - index))
        if cost_at_best >= self._cost:
            return
        if index == voices:
            self._cost, self._found = cost_at_best, sung
            return
        for midi, step in self._choices(sung):
            self._descend((*sung, midi), cost + step)

    def _choices(self, sung: tuple[int, ...]) -> Iterator[tuple[int, float]]:
        """The next voice's pitches, cheapest first, that leave room for the voices above."""
        index = len(sung)
        room = self._field[: len(self._field) - (len(self._lead) - index - 1)]
        above = [midi for midi in room if not sung or midi > sung[-1]]
        near = [midi for midi in above if abs(midi - self._lead[index]) <= _REACH]
        priced = sorted((self._price(midi, sung), midi) for midi in near or above[:3])
        return ((midi, price) for price, midi in priced)

    def _price(self, midi: int, sung: tuple[int, ...]) -> float:
        index, lead = len(sung), self._lead
        leap = abs(midi - lead[index])
        price = leap + max(0.0, leap - 4) + _HOMESICK * abs(midi - self._home[index])
        note = midi % 12
        if any(other % 12 == note for other in sung):
            price += self._wanted.get(note, 3.0)
        if not sung:
            return price + (_MISSING if self._lowest not in (None, note) else 0.0)
        below = sung[-1]
        if below < _MUDDY and midi - below < 5:
            price += _MUD
        if midi - below < _NARROWEST:
            price += 1.0
        if midi - below > 12 and index > 1:
            price += _GAP
        if self._led and midi != lead[index]:
            for other, before in zip(sung, lead, strict=False):
                apart = (midi - other) % 12
                if apart in (0, 7) and lead[index] - before == midi - other:
                    price += _PARALLEL
        return price
