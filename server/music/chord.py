"""Chords: by name, by Roman numeral in a key, as tones, as scales, and led from one to the next."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple

from engines.base import Mistake

from .pitch import LETTERS, NATURALS, PitchClass, alteration_of, parse_pitch_class
from .scale import MODES, Key

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
        # F(#11), for F#11 would stand on F sharp.
        quality = f"({self.quality})" if self.quality.startswith(("b", "#")) else self.quality
        return f"{self.root.name}{quality}{foot}"

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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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
    r"(°|o|dim|ø|\+|aug)?(.{0,32})"
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
_NUMBER = re.compile(r"n([1-7])(.{0,32})")
_WORKING = re.compile(r"(ton|sub|dom|tcp|tp|sp|dp|mod)(.{0,32})")
_BASS = re.compile(r"(?:(c)|([#♯b♭]))?([1-7]|9|11|13)")

_PARALLELS = {"ionian": "major", "aeolian": "minor"}

#: The modes from bright to dark: each has one note lowered of the one before.
LADDER = ("lydian", "major", "mixolydian", "dorian", "minor", "phrygian", "locrian")


@lru_cache(maxsize=256)
def darker(key: Key, steps: int = 1) -> Key:
    """The parallel key so many steps darker on the ladder of modes; negative: brighter.

    The ladder ends at lydian and locrian. A mode that is not on it counts as the one it has
    most notes in common with; of two, the darker.
    """
    place = ladder_place(key)
    return Key(key.tonic, LADDER[min(max(place + steps, 0), len(LADDER) - 1)])


@lru_cache(maxsize=256)
def ladder_place(key: Key) -> int:
    """Where a key's mode stands on the ladder, 0 (lydian) to 6 (locrian); see `darker`."""
    own = set(key.heptatonic.pitch_classes)

    def alike(place: int) -> tuple[int, int]:
        return len(own & set(Key(key.tonic, LADDER[place]).pitch_classes)), place

    return max(range(len(LADDER)), key=alike)


def _borrowed(word: str, key: Key) -> Key | None:
    """The parallel key that a word names, or None."""
    if word in ("dark", "bright"):
        return darker(key, 1 if word == "dark" else -1)
    mode = word.replace("_", " ")
    mode = _PARALLELS.get(mode, mode)
    return Key(key.tonic, mode) if mode in MODES else None


@lru_cache(maxsize=256)
def roman(text: str, key: Key) -> Chord:
    """The chord of a numeral in a key: `V65`, `vii°7/V`; `n5`, `n57/3`; `dom7`, `V7/n4`.

    *Roman numerals* say their own quality, whatever the mode:
    upper case is major, lower case minor, or diminished where the key's own triad is;
    `°`, `ø`, `+` (or `o`, `dim`, `aug`) say so themselves.
    `7`, `9`, `11` and `13` take the key's own seventh where the triad is the key's own (I7 in
    C is Cmaj7, I7 in C blues is C7) and otherwise read as in chord names (bVII7 is B♭7);
    `dom7`, `maj7`, `m7`, `sus4`, `7sus4`, `7alt` and `add6` always read as in chord names;
    alterations may follow, as in V7b9.
    `6`, `64`, `65`, `43` and `42` are inversions. An accidental before the numeral is read as
    `Key.degree` reads it; vi° and vii° stand on the raised degree in minor.

    *Nashville numbers* `n1` … `n7` are the key's own triads and follow the mode, and so does
    what is put on them, see `extended`: `n57`, `n19`, `n26`, `n1add9`, `n4sus4`, `n15`.

    *Words for functions* find the chord that does the work in this mode, see `_function`:
    `ton`, `sub`, `dom` (tonic, subdominant, dominant), `tp`, `sp`, `dp` (their parallels), `tcp`
    (the tonic's counter-parallel), `mod` (the chord that shows the mode); `dom7`, `ton9`.

    After `/` stands one or more of: the chord whose key it is borrowed from (`V7/n4`); a
    parallel mode (`n4/minor`), or `dark` and `bright`, one step along `LADDER`; and last the
    bass: a degree of the key (`n1/3`, `n4/5`) or a tone of the chord (`n4/c3`).
    Scales without seven notes borrow the chords of `Key.heptatonic`.
    Errors: Mistake where the text is no numeral.
    """
    return _legible(_numeral(text, key, _NESTED))


def _legible(chord: Chord) -> Chord:
    """Spelled another way where a note would have three accidentals, which no chord name has."""
    notes = (*chord.tones, chord.bass) if chord.bass else chord.tones
    worst = max(notes, key=lambda note: abs(note.alteration)).alteration
    if abs(worst) <= 2:
        return chord
    steps = 1 if worst > 0 else -1
    bass = chord.bass.transpose(steps, 0) if chord.bass else None
    return chord._replace(root=chord.root.transpose(steps, 0), bass=bass)


def _numeral(text: str, key: Key, nested: int) -> Chord:
    head, *feet = text.split("/")
    if len(feet) > nested:
        raise Mistake("", f"at most {_NESTED} `/` in a numeral, found {text!r}")
    if feet:
        mode = _borrowed(feet[0], key)
        if mode is not None:
            return _numeral("/".join((head, *feet[1:])), mode, nested - 1)
        if (bass := _BASS.fullmatch(feet[-1])) is not None:
            chord = _numeral("/".join((head, *feet[:-1])), key, nested - 1)
            return _upon(chord, key, *bass.groups())
        goal = _numeral("/".join(feet), key, nested - 1)
        minor = (goal.root.semitone + 3) % 12 in goal.pitch_classes
        key = Key(goal.root, "minor" if minor else "major")
    key = key.heptatonic
    if (numbered := _NUMBER.fullmatch(head)) is not None:
        return _numbered(key, int(numbered[1]), numbered[2], text)
    if (working := _WORKING.fullmatch(head)) is not None:
        number, key = _function(working[1], key, bool(working[2]))
        chord = _numbered(key, number, working[2], text)
        if number == 1 and _over(key, 1)[4] == 6:
            return chord._replace(quality=_restful(chord.quality))
        return chord
    return _roman(head, key)


def _upon(chord: Chord, key: Key, tone: str | None, signs: str | None, degree: str) -> Chord:
    """A chord over a degree of the key, or over its own tone."""
    number = int(degree)
    if tone:
        bass = _spelled_tone(chord, key, number)
    else:
        bass = key.heptatonic.degree((number - 1) % 7 + 1, alteration_of(signs or "")).pitch_class
    return chord._replace(bass=None if bass == chord.root else bass)


def _spelled_tone(chord: Chord, key: Key, number: int) -> PitchClass:
    """`chord_tone` with its spelling."""
    midi = chord_tone(chord, key, number)
    named = (*chord.tones, *(key.heptatonic.degree(each).pitch_class for each in range(1, 8)))
    return next(tone for tone in named if tone.semitone == midi)


def _roman(text: str, key: Key) -> Chord:
    found = _ROMAN.fullmatch(text)
    if found is None:
        raise Mistake(
            "",
            "expected a numeral such as I, ii7, V65, vii°, bVII, V7/V, n4, n57 or dom7, "
            f"found {text!r}",
        )
    signs, numeral, altered, rest = found.groups()
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


# What a key puts on a root ------------------------------------------------------------------

_PLAIN_TRIADS = {(4, 7): "", (3, 7): "m", (3, 6): "dim", (4, 8): "aug"}
_THIRDS = {2: "sus2", 3: "m", 4: "", 5: "sus4"}
_FIFTHS = {6: "b5", 7: "", 8: "#5"}
_CORES = {
    **{("", 10): "7", ("", 11): "maj7", ("m", 10): "m7", ("m", 11): "mmaj7"},
    **{("sus4", 10): "7sus4", ("sus2", 10): "7sus2"},
}
#: What the semitones of a second, fourth and sixth are called above the octave.
_ABOVE = {
    9: (1, {1: "b9", 2: "add9", 3: "#9"}),
    11: (3, {4: "b11", 5: "add11", 6: "#11"}),
    13: (5, {8: "b13", 9: "add13", 10: "#13"}),
}
_UPPER = {"7": (), "9": (9,), "11": (9, 11), "13": (9, 13)}
_ADDED = re.compile(r"add(2|4|6|9|11|13)")
_SUSPENDED = re.compile(r"(|7|9|13)sus([24])?")


def _over(key: Key, number: int) -> tuple[int, ...]:
    """Semitones of the key's seven notes above a degree, from the degree itself on."""
    root = key.degree(number).midi
    return tuple(key.degree(number + step).midi - root for step in range(7))


def _numbered(key: Key, number: int, rest: str, text: str) -> Chord:
    """A Nashville number: the key's own triad on a degree, and what is put on it."""
    over = _over(key, number)
    quality = _grown(over, rest)
    if quality is None:
        raise Mistake(
            "", f"no chord is called {rest!r} (in {text!r}); expected such as n57, n1sus4"
        )
    return Chord(key.degree(number).pitch_class, quality)


@lru_cache(maxsize=256)
def extended(chord: Chord, key: Key, more: str) -> Chord | None:
    """The chord's triad with more of the key's notes on it, or None where there is no such chord.

    more: `7`, `9`, `11`, `13`, alterations after them; `6`, `69`, `add9`, `add11`; `sus2`, `sus4`,
    `7sus4`, `9sus4`, `13sus4`; `5`. A sus4 is a sus2 where the key has no perfect fourth above
    the root, and the other way round where it has no whole tone; a `5` without a perfect fifth
    is a third. Anything else reads as in a chord name and need not be of the key: `7alt`, `dim7`.
    Laws: the root and the bass stay; a chord of the key's notes with 6 to 13, add, sus or 5
    on it has the key's notes only.
    """
    root, seventh = chord.root.semitone, chord.tone(7)
    tones = _tones(triad(chord, key).quality)
    own = {(number - 1) % 7: semitones for number, semitones in tones}
    if seventh is not None:
        own[6] = seventh - root
    over = tuple(
        own[step] % 12 if step in own else (_filler(chord, key, step) - root) % 12
        for step in range(7)
    )
    quality = _grown(over, more)
    return None if quality is None else chord._replace(quality=quality)


@lru_cache(maxsize=256)
def triad(chord: Chord, key: Key) -> Chord:
    """The triad a chord stands for, on its root; what it lacks is the key's, or plain."""
    root = chord.root.semitone
    third, fifth = chord.tone(3), chord.tone(5)
    low = ((_filler(chord, key, 2) if third is None else third) - root) % 12
    high = 7 if fifth is None else (fifth - root) % 12
    return Chord(chord.root, _PLAIN_TRIADS.get((low, high), "m" if low < 4 else ""))


@lru_cache(maxsize=256)
def _grown(over: tuple[int, ...], rest: str) -> str | None:
    """The quality of a triad with something on it, where the key's notes lie so far above."""
    _, second, third, _, fifth, sixth, seventh = over
    core, tail = _THIRDS.get(third, ""), _FIFTHS.get(fifth, "")
    stem = _PLAIN_TRIADS.get((third, fifth), core + tail)
    if not rest:
        return stem
    if rest == "5":
        return "5" if fifth == 7 else ("mno5" if third == 3 else "no5")
    if (hung := _SUSPENDED.fullmatch(rest)) is not None:
        return _quality(_suspended(over, hung[1], hung[2] or "4"))
    if rest in ("6", "69"):
        rest = "add6" if rest == "6" else "add6add9"
        quality = stem + ("add6" if sixth != 8 else "b6")
        if sixth == 9 and stem in ("", "m"):
            quality = f"{stem}6"
        if rest == "add6":
            return _quality(quality)
        natural = second == 2 and quality in ("6", "m6")
        return _quality(f"{stem}69" if natural else quality + _name_above(over, 9))
    if (added := _ADDED.fullmatch(rest)) is not None:
        number = int(added[1])
        name = _name_above(over, number if number > 7 else _COMPOUND[number])
        return _quality(stem + (rest if name.startswith("add") else name))
    upper = _EXTENDED.fullmatch(rest)
    if upper is not None and _CHANGES.fullmatch(upper[2]):
        extension, changes = upper.groups()
        other = f"{core}add{7 if seventh == 11 else 6}"
        base = _SEVENTHS.get((stem, seventh)) or _CORES.get((core, seventh), other) + tail
        names = [_name_above(over, number) for number in _UPPER[extension]]
        if base in _STACKED and all(name.startswith("add") for name in names) and names:
            base, names = base[:-1] + extension, []
        return _quality(base + "".join(names) + changes)
    changed = _CHANGES.fullmatch(rest)
    return _quality(stem + rest if changed and changed[1] else rest)


def _name_above(over: tuple[int, ...], number: int) -> str:
    """What the key's own 9, 11 or 13 adds to a quality; nothing where it cannot be said."""
    step, names = _ABOVE[number]
    return names.get(over[step], "")


def _suspended(over: tuple[int, ...], extension: str, wanted: str) -> str:
    _, second, _, fourth, fifth, _, seventh = over
    if (wanted == "4" and fourth != 5 and second == 2) or (wanted == "2" and second != 2):
        wanted = "2" if wanted == "4" else "4"
    tail = _FIFTHS.get(fifth, "")
    if not extension:
        return f"sus{wanted}{tail}"
    base = f"7sus{wanted}" if seventh == 10 else f"sus{wanted}add7"
    names = [_name_above(over, number) for number in _UPPER[extension]]
    if base == "7sus4" and names and all(name.startswith("add") for name in names):
        return f"{extension}sus4{tail}"
    return base + tail + "".join(names)


def _restful(quality: str) -> str:
    """A diminished tonic without its fifth: it has no tritone left and can rest."""
    if quality == "dim":
        return "mno5"
    stem, changes = ("m7", quality[4:]) if quality.startswith("m7b5") else (quality, "")
    return _quality(f"{stem}{changes}no5") or quality


@lru_cache(maxsize=256)
def _function(word: str, key: Key, with_more: bool) -> tuple[int, Key]:
    """The degree, and the key whose triad it is, that does a function's work in a mode.

    with_more: whether a seventh or something else stands on it.
    Tonic, subdominant and dominant and their parallels are named after Riemann (1893), as in
    Rohrmeier (2011), whose table they follow in major and minor; in other modes they are chosen
    so that every one is a major or minor triad:

        mode        ton  sub  dom  dom7  tp   sp  dp   tcp  mod
        lydian      I    II   V    V^7   vi   vii iii  iii  II
        major       I    IV   V    V7    vi   ii  iii  iii  IV
        mixolydian  I    IV   bVII v7    vi   ii  v    vi   bVII
        dorian      i    IV   bVII v7    bIII ii  v    bIII IV
        minor       i    iv   V    V7    bIII bVI bVII bVI  bVI
        phrygian    i    iv   bII  bvii7 bIII bVI bvii bVI  bII
        locrian     i*   iv   bII  bvii7 biii bVI bvii bVI  bV

    * without its fifth. The dominant of minor borrows the leading note of harmonic minor.
    """
    sounding = {semitones % 12 for semitones in _over(key, 1)}
    bright, raised = 4 in sounding, 6 in sounding and 5 not in sounding
    flat_second, leading = 1 in sounding, 11 in sounding

    def first(*numbers: int) -> int:
        """The first of these on which stands a major or minor triad; the first if none does."""
        triads = ((number, _over(key, number)) for number in numbers)
        good = (number for number, over in triads if over[2] in (3, 4) and over[4] == 7)
        return next(good, numbers[0])

    if word == "ton":
        return 1, key
    if word == "mod":
        if flat_second:
            return first(2 if 7 in sounding else 5, 2), key
        if raised:
            return first(2, 5), key
        dorian = not bright and 9 in sounding
        return first(
            *((7, 5) if bright and not leading else (4, 5) if bright or dorian else (6, 4))
        ), key
    subdominant = first(4, 2, 6)
    if word == "sub":
        return subdominant, key
    subtonic = not flat_second and not leading and 9 in sounding and first(7, 5) == 7
    if word == "dom":
        if flat_second:
            return first(*((7, 2) if with_more and not leading else (2, 7))), key
        if subtonic:
            return (5 if with_more else 7), key
        return 5, key if leading else Key(key.tonic, "harmonic minor")
    if word == "sp":
        if bright and subdominant == 2:
            return first(7, 6), key
        return first(*((2, 6) if not flat_second else (6, 4))), key
    if word == "dp":
        return first(*((5, 3) if subtonic else (3, 5) if bright else (7, 5))), key
    return first(*((6, 3) if bright == (word == "tp") else (3, 6))), key


@lru_cache(maxsize=256)
def redressed(word: str, like: str) -> str:
    """A word for a number or a function with what another has on it.

    `ton7` like `subadd9` is `tonadd9`.
    Where either is no such word, the first as it is.
    """
    heads = [_NUMBER.fullmatch(each.split("/")[0]) for each in (word, like)]
    own, other = (
        number or _WORKING.fullmatch(each.split("/")[0])
        for number, each in zip(heads, (word, like), strict=True)
    )
    if own is None or other is None:
        return word
    bare = f"n{own[1]}" if word.startswith("n") else own[1]
    dressed = f"{bare}{other[2]}"
    return dressed if is_roman(dressed) else word


@lru_cache(maxsize=256)
def is_roman(text: str) -> bool:
    """Whether `roman` would read this."""
    try:
        roman(text, Key(PitchClass("C")))
    except Mistake:
        return False
    return True


# Chord and key -----------------------------------------------------------------------------


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
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


@lru_cache(maxsize=256)
def colours(chord: Chord, key: Key) -> tuple[int, ...]:
    """The pitch classes (0 to 11) that colour a chord without hurting it: 9, 13, 7 and 11.

    Those of the chord's scale that are no chord tones and lie no semitone above one; over a
    dominant seventh, those too. Where there are none, its third and seventh (or fifth).
    After Nettles & Graf's available tensions (1997) and the colour tones of Keller & Morrison
    (2007).
    """
    own = set(chord.pitch_classes)
    above = {(note + 1) % 12 for note in own}
    dominant = {(chord.root.semitone + 4) % 12, (chord.root.semitone + 10) % 12} <= own
    free = [number for number in (9, 13, 7, 11) if chord_tone(chord, key, number) not in own]
    notes = tuple(chord_tone(chord, key, number) for number in free)
    good = tuple(note for note in notes if dominant or note not in above)
    return good or (chord_tone(chord, key, 3), chord.tone(7) or chord_tone(chord, key, 5))


def approach(target: int, previous: int | None, key: Key, step: bool = False, side: int = 0) -> int:
    """The pitch that leads into the next one: a semitone beside it, or a step of the key.

    target, previous: the note that comes, and the one before, as MIDI numbers.
    side: 1 from above, -1 from below, 0 from the side away from the previous note, and from
    below where there is none or the same (Keller & Morrison 2007).
    Laws: 0 < |approach - target| <= 2, or 3 where the key has a step of three semitones;
    within 0 to 127.
    """
    side = side or (1 if previous is not None and previous < target else -1)
    if not 3 <= target <= 124:
        side = 1 if target < 64 else -1
    midi = target + side
    while step and not key.contains(midi):
        midi += side
    return midi


def _filler(chord: Chord, key: Key, step: int) -> int:
    """The key's note so many letters above the chord's root."""
    letter = LETTERS[(LETTERS.index(chord.root.letter) + step) % 7]
    seven = key.heptatonic
    notes = (seven.degree(number).pitch_class for number in range(1, 8))
    return next(note.semitone for note in notes if note.letter == letter)


# Voice leading -----------------------------------------------------------------------------

_MUDDY = 48  # below this MIDI number, neighbours keep at least a fourth apart
_MISSING, _MUD, _PARALLEL, _GAP = 60.0, 40.0, 6.0, 3.0
_OUTER = 1000.0  # parallel fifths and octaves of the outer voices: anything rather than these
_DOUBLED = {1: 0.5, 5: 1.0}  # any other doubled tone costs 3
_HOMESICK = 0.1  # for each semitone from where the voice would begin: nothing drifts away
_NARROWEST, _REACH = 3, 9


@lru_cache(maxsize=256)
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
    gaps above an octave and doubled thirds. The lowest and the highest of as many voices as
    before never move in fifths or octaves, in either direction, where the range leaves any
    other way. Without `previous`, voices spread about the
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
    """Depth first from the lowest voice up, leaving a branch once it cannot beat the best."""

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
        self._lead, self._led = lead, led
        self._cost, self._found = float("inf"), tuple(field[: len(lead)])
        # What each voice pays for a pitch by itself, and what it and those above pay at least.
        self._alone = [
            {midi: _way(midi, here, there) for midi in field}
            for here, there in zip(lead, home, strict=True)
        ]
        least = [min(prices.values()) for prices in self._alone]
        self._rest = [sum(least[index:]) for index in range(len(lead) + 1)]

    def best(self) -> tuple[int, ...]:
        self._descend((), 0.0)
        return self._found

    def _descend(self, sung: tuple[int, ...], cost: float) -> None:
        index, voices = len(sung), len(self._lead)
        missing = len(self._wanted.keys() - {midi % 12 for midi in sung})
        cost_at_best = cost + _MISSING * max(0, missing - (voices - index))
        if cost_at_best + self._rest[index] >= self._cost:
            return
        if index == voices:
            self._cost, self._found = cost_at_best, sung
            return
        rest = self._rest[index + 1]
        for step, midi in self._choices(sung):
            if cost + step + rest >= self._cost:
                return  # and the others cost more
            self._descend((*sung, midi), cost + step)

    def _choices(self, sung: tuple[int, ...]) -> list[tuple[float, int]]:
        """The next voice's pitches, cheapest first, that leave room for the voices above."""
        index, field = len(sung), self._field
        lead = self._lead[index]
        begin = bisect_right(field, sung[-1]) if sung else 0
        above = field[begin : len(field) - (len(self._lead) - index - 1)]
        near = [midi for midi in above if -_REACH <= midi - lead <= _REACH]
        return sorted([(self._price(midi, sung), midi) for midi in near or above[:3]])

    def _price(self, midi: int, sung: tuple[int, ...]) -> float:
        index, lead = len(sung), self._lead
        price = self._alone[index][midi]
        note = midi % 12
        for other in sung:
            if other % 12 == note:
                price += self._wanted.get(note, 3.0)
                break
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
            if index == len(lead) - 1 and sung[0] != lead[0]:
                apart = (midi - sung[0]) % 12
                if apart in (0, 7) and (lead[index] - lead[0]) % 12 == apart:
                    price += _OUTER
        return price


def _way(midi: int, lead: float, home: float) -> float:
    leap = abs(midi - lead)
    return leap + max(0.0, leap - 4) + _HOMESICK * abs(midi - home)
