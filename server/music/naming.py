"""What a handful of held keys is called, and what a chord is called in a key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from engines.base import Mistake

from .chord import Chord, roman
from .pitch import PitchClass
from .scale import Key

#: Qualities that hands play, those that people think of first in front: cost 0, 1, 2, ….
_KNOWN = (
    *("", "m", "5", "7", "maj7", "m7", "sus4", "dim", "aug", "m7b5", "dim7", "6", "m6", "sus2"),
    *("7sus4", "mmaj7", "add9", "madd9", "9", "maj9", "m9", "69", "7b9", "7#9", "aug7"),
    *("augmaj7", "7b5", "7#11", "maj7#11", "11", "m11", "13", "maj13", "m13", "9sus4"),
)
_MISSING, _FOREIGN, _INVERTED, _RANK = 3.0, 4.0, 1.5, 0.12
_FLATS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def recognised(pitches: Iterable[int], key: Key | None = None) -> Chord | None:
    """The chord that MIDI numbers make, spelled as the key would; None for fewer than two classes.

    The quality that explains most of the tones with fewest of its own missing wins, a root in the
    bass before inversions; a fifth may be left out. Two tones are a third or a fifth of something.
    Law: the tones of any chord of a known quality, root lowest, are called by a chord of just those
    pitch classes.
    """
    held = sorted(set(pitches))
    classes = frozenset(pitch % 12 for pitch in held)
    if len(classes) < 2:
        return None
    root, quality = _named(classes, held[0] % 12)
    bass = held[0] % 12
    spelled = _spelling(key)
    chord = Chord(spelled[root], quality)
    foot = None if bass == root else next((t for t in chord.tones if t.semitone % 12 == bass), None)
    return chord if bass == root else chord._replace(bass=foot or spelled[bass])


@lru_cache(512)
def numeral(chord: Chord, key: Key) -> str:
    """A chord as a number of the key, `n4` or `bVII7`, so that it follows that; its name if none.

    The key's own chords become numbers, which follow the mode too. The bass is left out.
    Law: `roman` of a numeral in this key has the chord's root and tones.
    """
    wanted = chord.root.semitone % 12, chord.pitch_classes
    for text in _numerals(chord.quality):
        try:
            found = roman(text, key)
        except Mistake:
            continue
        if (found.root.semitone % 12, found.pitch_classes) == wanted:
            return text
    return chord._replace(bass=None).name


def _numerals(quality: str) -> Iterator[str]:
    for added in ("", "7", "9"):
        yield from (f"n{number}{added}" for number in range(1, 8))
    low = quality.startswith(("m", "dim")) and not quality.startswith("maj")
    mark = "°" if quality.startswith("dim") else ""
    rest = quality.removeprefix("dim" if mark else "m") if low else quality
    # A bare 6 is an inversion, and what a bare 7 is depends on the triad.
    rests = {"6": ("add6",), "69": ("add6add9",)}.get(rest, (rest, f"dom{rest}", quality))
    for sign in ("", "b", "#"):
        for number in ("I", "II", "III", "IV", "V", "VI", "VII"):
            for each in rests:
                yield f"{sign}{number.lower() if low else number}{mark}{each}"
    yield from (f"{number}{quality}" for number in ("I", "II", "III", "V", "VI", "VII"))


@lru_cache(512)
def _named(classes: frozenset[int], bass: int) -> tuple[int, str]:
    found: list[tuple[float, int, str]] = []
    for root in sorted(classes):
        for rank, quality in enumerate(_KNOWN):
            own = {(root + step) % 12: number for number, step in _steps(quality)}
            missing = [number for tone, number in own.items() if tone not in classes]
            foreign = len(classes - own.keys())
            cost = sum(_MISSING if number in _essential(quality) else 1.0 for number in missing)
            cost += _FOREIGN * foreign + _RANK * rank + _INVERTED * (root != bass)
            found.append((cost, (root - bass) % 12, quality))
    _, above, quality = min(found)
    return (bass + above) % 12, quality


@lru_cache(64)
def _essential(quality: str) -> frozenset[int]:
    """Tones that name a chord: not the fifth, which hands leave out, nor what lies under an 11."""
    optional = {5, 9} if quality.endswith(("11", "13")) and "#" not in quality else {5}
    return frozenset(number for number, _ in _steps(quality)) - (
        set() if quality == "5" else optional
    )


@lru_cache(64)
def _steps(quality: str) -> tuple[tuple[int, int], ...]:
    """Numbers and semitones of a quality's tones."""
    chord = Chord(PitchClass("C", 0), quality)
    return tuple(
        (number, semitone)
        for number in range(1, 14)
        if number in (1, 2, 3, 4, 5, 6, 7, 9, 11, 13)
        and (semitone := chord.tone(number)) is not None
        if number not in (2, 4, 6) or chord.tone(number + 7) is None
    )


@lru_cache(64)
def _spelling(key: Key | None) -> tuple[PitchClass, ...]:
    """What each of the twelve is called: the key's own tones as it has them, others as usual."""
    named = [_usual(name) for name in _FLATS]
    if key is not None:
        seven = key.heptatonic
        sharp = sum(seven.degree(n).pitch_class.alteration for n in range(1, 8)) > 0
        if sharp:
            for name in ("C#", "F#", "G#"):
                pitch = _usual(name)
                named[pitch.semitone % 12] = pitch
        for number in range(1, 8):
            pitch = seven.degree(number).pitch_class
            named[pitch.semitone % 12] = pitch
    return tuple(named)


def _usual(name: str) -> PitchClass:
    return PitchClass(name[0], {"": 0, "b": -1, "#": 1}[name[1:]])
