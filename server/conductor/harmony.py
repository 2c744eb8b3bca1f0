"""Harmony that goes somewhere: tension, cadences, ways into another key, richer and plainer chords.

Pure functions of keys and chords. What a chord does in a mode is said with the words that
`server.music.chord.roman` reads: `ton`, `sub7`, `dom7`, `n6`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import accumulate, combinations
from typing import Literal, NamedTuple
from zlib import crc32

from engines.base import Mistake

from ..music.chord import Chord, chord_scale, darker, extended, roman, triad
from ..music.meter import Meter
from ..music.pitch import LETTERS, accidentals
from ..music.scale import Key
from ..music.value import parse_value, value_name

COMMON = Meter((2, 2), 4)
_VALUE = re.compile(r":([0-9]+/[0-9]+\.{0,3}(?:t|:[0-9]+)?)")
CADENCES = ("full", "half", "plagal", "deceptive", "open")
Cadence = Literal["full", "half", "plagal", "deceptive", "open"]


class Planned(NamedTuple):
    """A chord with its time. at, length: quarter notes, `at` from the start of the plan.

    words: what the chord does there, for people.
    """

    at: Fraction
    length: Fraction
    chord: Chord
    words: str


# Names and keys ------------------------------------------------------------------------------


def parallel(key: Key, mode: str) -> Key:
    """The key with the same tonic in another mode. Errors: Mistake where there is no such mode."""
    return Key(key.tonic, mode)


@lru_cache(maxsize=256)
def numeral(chord: Chord, key: Key) -> str:
    """What a chord is called in a key: `V7`, `ii`, `bVImaj7`, `vii°`, `IVsus2`, `V7/3`.

    Accidentals are read as `Key.degree` reads them; after `/` stands the bass as a degree.
    """
    seven = key.heptatonic
    degree = seven.degree_of(chord.root.at(4).midi)
    name = _NUMERALS[degree.number - 1]
    quality = chord.quality
    if quality.startswith("dim"):
        name, quality = name.lower(), "°" + quality[3:]
    elif quality.startswith("m") and not quality.startswith("maj"):
        name, quality = name.lower(), quality[1:]
    foot = ""
    if chord.bass is not None:
        below = seven.degree_of(chord.bass.at(4).midi)
        foot = f"/{accidentals(below.alteration)}{below.number}"
    return f"{accidentals(degree.alteration)}{name}{quality}{foot}"


_NUMERALS = ("I", "II", "III", "IV", "V", "VI", "VII")


# Tension -------------------------------------------------------------------------------------

#: Consonance of interval classes 1 to 6 (Huron 1994, from three experiments on dyads).
_CONSONANCE = (-1.428, -0.582, 0.594, 0.386, 1.240, -0.453)
_HIGH, _LOW = max(_CONSONANCE), min(_CONSONANCE)
#: The same as roughness, 0 (fifth) to 1 (semitone); a unison or an octave has none.
ROUGHNESS = (0.0, *((_HIGH - each) / (_HIGH - _LOW) for each in _CONSONANCE))

#: Navarro-Cáceres et al. (2020): weights that they fitted to listeners' answers.
DISSONANCE, HIERARCHY, DISTANCE, LEADING = 0.402, 0.246, 0.202, 0.193
_ALL = DISSONANCE + HIERARCHY + DISTANCE + LEADING


def _soft(amount: float, half: float) -> float:
    """0 to 1, rising for ever; 0.5 at `half`."""
    return amount / (amount + half)


@lru_cache(maxsize=256)
def dissonance(chord: Chord) -> float:
    """How rough a chord is, 0 to 1, from the interval classes between all its tones.

    The sum of their roughness, 0.5 where it is 2: a fifth has 0, a major triad 0.22, a major
    seventh chord 0.48.
    Law: a tone more never makes it less.
    """
    return _rough({*chord.pitch_classes, *([chord.bass.semitone] if chord.bass else [])})


def _rough(tones: set[int]) -> float:
    apart = (abs(a - b) for a, b in combinations(tones, 2))
    return _soft(sum(ROUGHNESS[min(each, 12 - each)] for each in apart), 2.0)


@lru_cache(maxsize=256)
def distance(chord: Chord, other: Chord, key: Key) -> int:
    """How far a chord lies from another in pitch space, both heard in one key (Lerdahl 2001).

    The sum of: i, the key's notes that the second alters; j, fifths between the roots along
    the key's own circle; k, notes that are new on a level of the second's basic space (root;
    root and fifth; chord; scale). From I of a major key: V and IV 5, iii and vi 7, ii and
    vii° 8, as in his table.
    """
    before, after = _space(chord, key), _space(other, key)
    altered = len(after[3] - before[3])
    steps = (LETTERS.index(other.root.letter) - LETTERS.index(chord.root.letter)) * 2 % 7
    new = sum(len(there - here) for here, there in zip(before, after, strict=True))
    return altered + min(steps, 7 - steps) + new


def _space(chord: Chord, key: Key) -> tuple[frozenset[int], ...]:
    root, fifth = chord.root.semitone, chord.tone(5)
    tones = frozenset(chord.pitch_classes)
    return (
        frozenset((root,)),
        frozenset((root, fifth)) if fifth is not None else frozenset((root,)),
        tones,
        frozenset(chord_scale(chord, key)),
    )


@lru_cache(maxsize=256)
def movement(chord: Chord, other: Chord) -> int:
    """Semitones that all tones of the second have come from the first's nearest tones."""
    here = chord.pitch_classes
    return sum(
        min(min((note - each) % 12, (each - note) % 12) for each in here)
        for note in other.pitch_classes
    )


@lru_cache(maxsize=256)
def tension(chord: Chord, key: Key, previous: Chord | None = None) -> float:
    """How tense a chord is in a key and after another chord, 0 to 1.

    0.402 dissonance + 0.246 hierarchy + 0.202 tonal distance + 0.193 voice leading, divided by
    their sum: the model and weights of Navarro-Cáceres et al. (2020), its parts defined here by
    `dissonance`; `distance` from the tonic; `distance` and `movement` from the previous chord,
    each 0.5 at 8 steps or 4 semitones. Without a previous chord the last two are 0.
    """
    home = roman("ton", key)
    total = DISSONANCE * dissonance(chord) + HIERARCHY * _soft(distance(home, chord, key), 8)
    if previous is not None:
        total += DISTANCE * _soft(distance(previous, chord, key), 8)
        total += LEADING * _soft(movement(previous, chord), 4)
    return total / _ALL


# Richer, plainer, other ------------------------------------------------------------------------

_PLAIN, _DOMINANT, _CLASH = "plain", "dominant", "clash"
#: What may be put on a chord: from which extension and dissonance on, and on which chords.
#: plain: where nothing of it lies a semitone above a chord tone.  clash: anywhere.
_VOCABULARY = (
    ("6", 0.15, 0.0, _PLAIN),
    ("sus2", 0.2, 0.0, _PLAIN),
    ("sus4", 0.25, 0.0, _PLAIN),
    ("7", 0.3, 0.0, _CLASH),
    ("add9", 0.45, 0.0, _PLAIN),
    ("69", 0.5, 0.0, _PLAIN),
    ("9", 0.6, 0.0, _PLAIN),
    ("11", 0.75, 0.0, _PLAIN),
    ("13", 0.9, 0.0, _PLAIN),
    ("sus4", 0.0, 0.25, _PLAIN),
    ("7", 0.0, 0.4, _CLASH),
    ("add11", 0.2, 0.55, _CLASH),
    ("9", 0.4, 0.7, _CLASH),
    ("11", 0.6, 0.8, _CLASH),
    ("7sus4", 0.45, 0.1, _DOMINANT),
    ("9sus4", 0.6, 0.1, _DOMINANT),
    ("7b9", 0.3, 0.4, _DOMINANT),
    ("7#9", 0.35, 0.6, _DOMINANT),
    ("13b9", 0.7, 0.6, _DOMINANT),
    ("7alt", 0.4, 0.8, _DOMINANT),
)


#: With these a minor chord has a tritone and sounds like a dominant, where it is no tonic.
_SIXTHS = ("6", "69", "13")


def _dominates(chord: Chord, key: Key) -> bool:
    """Whether a chord is a dominant: major, with a minor seventh, on 5 or foreign to the key."""
    seventh = extended(chord, key, "7")
    if seventh is None or seventh.tone(3) != (chord.root.semitone + 4) % 12:
        return False
    if seventh.tone(7) != (chord.root.semitone + 10) % 12:
        return False
    on_five = (chord.root.semitone - key.tonic.semitone) % 12 == 7
    return on_five or not set(triad(chord, key).pitch_classes) <= set(key.heptatonic.pitch_classes)


@lru_cache(maxsize=256)
def _richer(chord: Chord, key: Key) -> tuple[tuple[str, float, float, Chord, float], ...]:
    """All that may stand for a chord and is no less tense, with what it needs."""
    dominant, least = _dominates(chord, key), tension(chord, key)
    plain = triad(chord, key)
    sounding, found = set(plain.pitch_classes), []
    for word, extension, rough, kind in _VOCABULARY:
        richer = extended(chord, key, word)
        if richer is None or (kind == _DOMINANT and not dominant):
            continue
        new = set(richer.pitch_classes) - sounding
        kept = sounding & set(richer.pitch_classes)
        hurt = any((note - 1) % 12 in kept for note in new)
        if kind == _PLAIN and (hurt or _strange(richer, word)):
            continue
        if word in _SIXTHS and plain.quality == "m" and chord.root != key.tonic:
            continue
        height = tension(richer, key)
        if height >= least:
            found.append((word, extension, rough, richer, height))
    return tuple(found)


def _strange(chord: Chord, word: str) -> bool:
    """Whether a suspension is not the one asked for, or hangs on no perfect fifth."""
    return "sus" in word and chord.quality != word


@lru_cache(maxsize=256)
def enrich(
    chord: Chord, key: Key, extension: float = 0.0, dissonance: float = 0.0, choice: int = 0
) -> Chord:
    """The same chord in a richer dress: sixths, sevenths, ninths, suspensions, alterations.

    extension, dissonance: 0 to 1. With both 0 the chord stays as it is; extension leads from
    triads over add9 and sevenths to ninths and thirteenths; dissonance adds sevenths, clashes
    within the key and, on dominants, b9 to alt.
    choice: which half of what is allowed counts this time, such as a hash of the place; 0 for
    all of it. The most tense of what counts is taken.
    Laws: root, bass and function stay; only dominants get notes from outside the key; with the
    same choice, more extension or more dissonance never has less `tension`.
    """
    best, height = chord, tension(chord, key)
    for word, wide, rough, richer, above in _richer(chord, key):
        if wide > extension or rough > dissonance or above <= height:
            continue
        if choice and crc32(f"{choice}/{word}".encode()) & 4:
            continue
        best, height = richer, above
    return best


def simplify(chord: Chord, key: Key) -> Chord:
    """The plain triad on the chord's root. Law: `simplify` of that is the same."""
    return triad(chord, key)


@lru_cache(maxsize=256)
def secondary(chord: Chord, key: Key) -> Chord:
    """The dominant seventh of a chord: V7 of V, of ii, …; a ninth, if any, would be the key's."""
    root = triad(chord, key).root
    return Chord(root.transpose(4, 7), "7")


#: What a root does best to lead on: scale steps up to the next one, and what else costs.
_LEADS = {3: 0.0, 1: 1.0, 4: 1.5, 6: 2.0, 2: 3.0, 5: 3.0}


@lru_cache(maxsize=256)
def passing(chord: Chord, after: Chord, key: Key, applied: bool = False) -> str | None:
    """A word for a chord between two, as `roman` reads it; None where the key has none.

    The key's own: one that rubs least against the first, of which notes may sound on, and is
    near it in `dissonance`, with a seventh where that has one; of such, best with a root a fifth
    above the one that comes, then a step below it.  applied: rather the dominant of what comes,
    which may be foreign to the key.
    Laws: without `applied` it has no note outside the key; its root is that of neither chord.
    """
    seven = key.heptatonic
    roots = [seven.degree(number).pitch_class for number in range(1, 8)]
    semitones = [root.semitone for root in roots]
    if after.root.semitone not in semitones:
        return None
    goal = semitones.index(after.root.semitone)
    if applied:
        word = f"V7/n{goal + 1}"
        dominant = roman(word, key).root.semitone
        if roman(f"n{goal + 1}", key).quality in ("", "m") and dominant != chord.root.semitone:
            return word
    seventh, rough = "7" if chord.tone(7) is not None else "", dissonance(chord)
    found: list[tuple[float, int]] = []
    for number, root in enumerate(semitones, start=1):
        if root in (chord.root.semitone, after.root.semitone):
            continue
        if roman(f"n{number}", key).quality in ("", "m"):
            other = roman(f"n{number}{seventh}", key)
            rub = _rough({*chord.pitch_classes, *other.pitch_classes}) - rough
            lead = 0.02 * _LEADS[(goal + 1 - number) % 7]
            found.append((lead + rub + abs(dissonance(other) - rough), number))
    return f"n{min(found)[1]}{seventh}" if found else None


@lru_cache(maxsize=256)
def substitutes(chord: Chord, key: Key) -> tuple[tuple[Chord, str], ...]:
    """What may stand for a chord, with the reason: relatives, tritone, borrowed chord.

    Relatives: the key's triads a third below and above, which share two tones (a diminished one
    is left out). Tritone: for a dominant, the dominant seventh a tritone away, spelled to fall
    a semitone. Borrowed: the triad on the same degree in the parallel mode one step darker, or
    as many steps as it takes for that to be another chord and no diminished one.
    """
    seven, plain = key.heptatonic, triad(chord, key)
    own = [roman(f"n{number}", key) for number in range(1, 8)]
    found: list[tuple[Chord, str]] = []
    sounding = set(plain.pitch_classes)
    for other in own:
        steps = (LETTERS.index(other.root.letter) - LETTERS.index(plain.root.letter)) % 7
        shared = len(sounding & set(other.pitch_classes))
        if steps in (2, 5) and shared == 2 and other.quality in ("", "m"):
            found.append((other, f"relative a third {'above' if steps == 2 else 'below'}"))
    if _dominates(chord, key):
        found.append((Chord(plain.root.transpose(4, 6), "7"), "tritone substitute"))
    if plain in own:
        number = own.index(plain) + 1
        for steps in range(1, 7):
            mode = darker(seven, steps)
            other = roman(f"n{number}", mode)
            if other != plain and other.quality in ("", "m"):
                found.append((other, f"borrowed from {mode.name}"))
                break
    return tuple(found)


# Cadences and bridges ----------------------------------------------------------------------------


def _laid(
    chords: Sequence[tuple[Chord, str]], shares: Sequence[int], beats: Fraction, meter: Meter
) -> tuple[Planned, ...]:
    """Chords over so many beats, in about these shares, changing on beats, strong ones rather.

    The end of the plan is taken to be a bar line.
    """
    unit = meter.beat_length
    while unit * len(chords) > beats or (beats / unit).denominator != 1:
        unit /= 2
        if unit < Fraction(1, 64):
            unit = beats / sum(shares)
    count, last = int(beats / unit), sum(shares)
    lines = [0]
    for index, share in enumerate(accumulate(shares[:-1]), start=1):
        ideal = Fraction(share * count, last)
        free = range(lines[-1] + 1, count - (len(chords) - index) + 1)

        def cost(line: int, ideal: Fraction = ideal) -> tuple[float, int]:
            weight = meter.weight((line - count) * unit % meter.length)
            return abs(line - ideal) - 0.9 * weight, -line

        lines.append(min(free, key=cost))
    lines.append(count)
    return tuple(
        Planned(begin * unit, (end - begin) * unit, chord, words)
        for begin, end, (chord, words) in zip(lines, lines[1:], chords, strict=False)
    )


_FORMULAS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "full": (("pre", "dom7", "ton"), (1, 1, 2)),
    "half": (("ton", "sub", "dom"), (1, 1, 2)),
    "plagal": (("sub", "ton"), (1, 1)),
    "deceptive": (("pre", "dom7", "n6"), (1, 1, 2)),
    "open": (("sub", "domsus4"), (1, 1)),
}
_MEANS = {
    **{"pre": "prepares", "sub": "subdominant", "dom": "dominant"},
    **{"ton": "tonic", "n6": "in the tonic's place"},
}


def _before_dominant(key: Key) -> Chord:
    """The seventh chord that goes before the dominant: on 2, or on 4 where 2 is the dominant."""
    flat_second = (key.tonic.semitone + 1) % 12 in key.heptatonic.pitch_classes
    return roman("sub7" if flat_second else "n27", key)


def _said(word: str, key: Key) -> tuple[Chord, str]:
    if word == "pre":
        chord = _before_dominant(key)
    elif word == "n6" and roman("n6", key).quality not in ("", "m"):
        chord = roman("tp", key)
    else:
        chord = roman(word, key)
    return chord, f"{numeral(chord, key)} of {key.name}: {_MEANS[word[:3]]}"


@lru_cache(maxsize=256)
def cadence(
    key: Key, kind: Cadence = "full", beats: Fraction = Fraction(4), meter: Meter = COMMON
) -> tuple[Planned, ...]:
    """The chords that close a phrase or a piece, in whatever mode.

    kind: `full` ends on the tonic after the mode's dominant, `plagal` after its subdominant;
    `half` ends on the dominant; `deceptive` on 6 (or the tonic's parallel) instead of the
    tonic; `open` on a dominant that is left hanging.
    beats: quarter notes that it fills, above 0, ending at a bar line.
    Laws: the lengths add up to `beats`; a full or plagal cadence ends on a plain tonic.
    Errors: Mistake for another kind, or nothing to fill.
    """
    if kind not in _FORMULAS:
        raise Mistake("", f"expected a cadence such as {', '.join(CADENCES)}, found {kind!r}")
    if beats <= 0:
        raise Mistake("", f"expected beats above 0, found {beats}")
    words, shares = _FORMULAS[kind]
    return _laid([_said(word, key) for word in words], shares, Fraction(beats), meter)


@lru_cache(maxsize=256)
def pivots(old: Key, new: Key) -> tuple[Chord, ...]:
    """The major and minor triads that both keys have, best pivot first, spelled in the new key.

    Best are those that go before the dominant in the new key (2, 4, 6), then 3; the new tonic
    and dominant would give away what they should prepare and come last.
    """
    own = {frozenset(roman(f"n{number}", old).pitch_classes) for number in range(1, 8)}
    found = []
    for number in (2, 4, 6, 3, 5, 7, 1):
        chord = roman(f"n{number}", new)
        if chord.quality in ("", "m") and frozenset(chord.pitch_classes) in own:
            found.append(chord)
    return tuple(found)


@lru_cache(maxsize=256)
def bridge(
    old: Key,
    new: Key,
    beats: Fraction = Fraction(4),
    meter: Meter = COMMON,
    count: int | None = None,
) -> tuple[Planned, ...]:
    """The chords that lead from one key into another, so that its first tonic is prepared.

    They fill the last `beats` quarter notes before the change: 1, 2 or 4 chords (count), by
    themselves 1 below two beats of the metre, 2 up to a bar, else 4. The last is the new mode's
    dominant. Before it stands a pivot, a triad of both keys that goes before that dominant, or
    else the new key's own 2 (or 4); of four chords the last two are the dominant held back and
    the dominant. Where the keys share no such triad, the four are a chord a third away from the
    old tonic, the one that leads on by the shortest way, then three that fall by fifths: V7 of 2,
    2, and the dominant.
    Laws: the lengths add up to `beats`; the last chord is `roman("dom7", new)` or
    `roman("dom", new)`.
    Errors: Mistake for another count, or nothing to fill.
    """
    beats = Fraction(beats)
    if count is None:
        count = 1 if beats < 2 * meter.beat_length else 2 if beats <= meter.length else 4
    if count not in (1, 2, 4) or beats <= 0:
        raise Mistake("", f"expected 1, 2 or 4 chords and beats above 0, found {count}, {beats}")
    chords = _leading(old, new)[-count:] if count < 4 else _four(old, new)
    return _laid(chords, (1,) * count, beats, meter)


def _leading(old: Key, new: Key) -> list[tuple[Chord, str]]:
    good = _good_pivots(old, new)
    before = _pivoting(good[0], old, new) if good else _said("pre", new)
    return [before, _said("dom7", new)]


def _good_pivots(old: Key, new: Key) -> list[Chord]:
    """Pivots that are neither tonic nor dominant in the new key."""
    taken = {roman(word, new).root.semitone for word in ("ton", "dom", "dom7")}
    return [chord for chord in pivots(old, new) if chord.root.semitone not in taken]


def _pivoting(chord: Chord, old: Key, new: Key) -> tuple[Chord, str]:
    there, here = numeral(chord, old), numeral(chord, new)
    return chord, f"{there} of {old.name} is {here} of {new.name}: pivot"


def _four(old: Key, new: Key) -> list[tuple[Chord, str]]:
    before, dominant = _said("pre", new), roman("dom7", new)
    fifth = dominant.root.semitone == (new.tonic.semitone + 7) % 12
    held = ["domsus4", "dom7"] if fifth and roman("dom", new).root == dominant.root else []
    end = [_said(word, new) for word in held or ["dom7", "dom"]]
    good = _good_pivots(old, new)
    if good:
        first = next((each for each in good if each.root != before[0].root), good[0])
        return [_pivoting(first, old, new), before, *end]
    second = secondary(before[0], new)
    home = triad(roman("ton", old), old)
    thirds = [
        Chord(home.root.transpose(steps, semitones), quality)
        for steps, semitones in ((2, 3), (2, 4), (-2, -3), (-2, -4))
        for quality in ("", "m")
    ]
    thirds = [chord for chord in thirds if chord.root.semitone != second.root.semitone]
    link = min(thirds, key=lambda chord: movement(home, chord) + movement(chord, second))
    return [
        (link, f"{numeral(link, old)} of {old.name}: a third from its tonic"),
        (second, f"dominant of {before[0].name}"),
        before,
        end[-1] if held else _said("dom7", new),
    ]


@lru_cache(maxsize=256)
def bent(key: Key, chord: Chord, toward: Key | None = None) -> Key:
    """A key with its degrees bent to a chord from outside it, so that a melody goes with it.

    Each degree keeps its letter: it becomes the chord's tone of that letter, else the note that
    the key which the chord leads `toward` has there. A chord of the key bends nothing.
    Law: no degree moves by more than two semitones.
    """
    tones = {tone.letter: tone.semitone for tone in chord.tones}
    sounding = set(chord.pitch_classes)
    if sounding <= set(key.pitch_classes):
        return key
    there: dict[str, int] = {}
    if toward is not None:
        scale = toward.heptatonic
        ours = len(sounding & set(scale.pitch_classes))
        if ours >= len(sounding & set(key.pitch_classes)):
            classes = (scale.degree(number).pitch_class for number in range(1, 8))
            there = {each.letter: each.semitone for each in classes}
    bends = []
    for number in range(1, len(key) + 1):
        own = key.degree(number).pitch_class
        wanted = tones.get(own.letter, there.get(own.letter, own.semitone))
        if own.semitone % 12 in sounding:
            wanted = own.semitone
        bend = (wanted - own.semitone + 6) % 12 - 6
        bends.append(bend if abs(bend) <= 2 else 0)
    return Key(key.tonic, key.mode, tuple(bends))


def measured(rules: str, bar: Fraction) -> str:
    """Rule text for bars of 4/4, its joined note values (`n1:1/1`) for bars of another length.

    bar: quarter notes in a bar.
    Law: what filled n bars of 4/4 fills n of these.
    """
    return _VALUE.sub(lambda found: ":" + value_name(parse_value(found[1]) * bar / 4), rules)
