"""What a chain learns from: music cut into items, each with the parts that views look at."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from engines.base import Fragment, Sound

#: Notes that start within this many quarter notes of the first one are one chord.
TOGETHER = Fraction(1, 16)

#: A silence this long (quarter notes) is a rest; a shorter one is articulation.
REST = Fraction(1)

_NOW = Fraction(0)

#: Sounds that one chord may hold; more are left out.
FULLEST = 128

_CLASSES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
PITCH_NAMES = tuple(f"{_CLASSES[pitch % 12]}{pitch // 12 - 1}" for pitch in range(128))
_REGIONS = tuple(f"~{name}" for name in PITCH_NAMES[::6])  # by their lowest pitch


class Item(NamedTuple):
    """One learnt event: a note, a chord, a rest or a token of a text.

    name: `C4+E4:1/4`, or the token as it was written.
    pitch, duration, velocity, region: the parts a view may look at, "" where there is none:
    note names, a note value, one of nine steps of loudness, the half octave of the top note.
    fragment: the exact music, None for a token.
    """

    name: str
    pitch: str
    duration: str = ""
    velocity: str = ""
    region: str = ""
    fragment: Fragment | None = None


#: Where a piece ends and the next begins; its parts are the same in every view.
BREAK = Item("|", "|", "|", "|", "|")


def value_name(length: Fraction) -> str:
    """A length in quarter notes as a note value: 1 is `1/4`, 4 is `1/1`."""
    whole = length / 4
    return f"{whole.numerator}/{whole.denominator}"


@lru_cache(maxsize=8192)
def shared(text: str) -> str:
    """The same text, as one object for all who have it of late.

    `sys.intern` would do, but what Python 3.12 interns it never lets go of.
    """
    return text


def music_item(fragment: Fragment) -> Item:
    """The item that a fragment is, named by its pitches and its length."""
    pitches = sorted({sound.pitch for sound in fragment.sounds})
    duration = value_name(fragment.length)
    if not pitches:
        return Item(f"Rest:{duration}", "Rest", duration, "v0", "Rest", fragment)
    pitch = shared("+".join(PITCH_NAMES[each] for each in pitches))
    loudness = sum(sound.velocity for sound in fragment.sounds) / len(fragment.sounds)
    region = _REGIONS[pitches[-1] // 6]
    velocity = shared(f"v{round(loudness * 8)}")
    return Item(f"{pitch}:{duration}", pitch, duration, velocity, region, fragment)


def text_item(token: str) -> Item:
    """The item that a token is; `C4:1/4` has a pitch and a duration, `C4` only a pitch."""
    pitch, _, duration = token.partition(":")
    if not pitch or not duration:
        pitch, duration = token, ""
    return Item(token, pitch, duration, "", pitch)


def text_pieces(text: str) -> Iterator[list[Item]]:
    """Tokens between white space; a blank line or a token `|` ends a piece."""
    kept: dict[str, Item] = {}
    piece: list[Item] = []
    for line in text.splitlines():
        tokens = line.split() or ["|"]
        for token in tokens:
            if token != "|":
                piece.append(kept.setdefault(token, text_item(token)))
            elif piece:
                yield piece
                piece = []
    if piece:
        yield piece


class Cutter:
    """Cuts sounds, as they come, into chords that each last until the next one.

    Sounds keep their real length, so what sounds on is held over the following items. Law: the
    lengths of all items handed out up to `finish(at)` add up to `at` minus the start.

    grain: onsets are rounded to multiples of this many quarter notes; 0 leaves them exact.
    """

    def __init__(self, start: Fraction = Fraction(0), grain: Fraction = Fraction(0)) -> None:
        self._grain = grain
        self._onset = self._rounded(start)
        self._silent = self._onset  # from here on nothing sounds
        self._chord: list[Sound] = []

    @property
    def silent(self) -> Fraction:
        """The beat at which the last sound ends."""
        return self._silent

    @property
    def onset(self) -> Fraction:
        """The beat at which the chord being gathered began."""
        return self._onset

    def hear(self, onset: Fraction, sound: Sound) -> list[Item]:
        """Add a sound that starts at a beat no earlier than `onset` of the last; items finished."""
        exact, onset = onset, self._rounded(onset)
        done: list[Item] = []
        if onset - self._onset > TOGETHER:
            done = self._close(onset)
        if len(self._chord) < FULLEST:
            at = _NOW if self._grain else max(_NOW, exact - self._onset)
            self._chord.append(sound if sound.at == at else sound._replace(at=at))
        self._silent = max(self._silent, exact + sound.length)
        return done

    def pending(self) -> list[Item]:
        """The chord being gathered, as long as it sounds: its real length is not known yet."""
        length = max(self._rounded(self._silent) - self._onset, self._grain or TOGETHER)
        return [music_item(Fragment(length, tuple(self._chord)))] if self._chord else []

    def finish(self, at: Fraction) -> list[Item]:
        """End the piece at a beat; the items that were left."""
        at = self._rounded(at)
        if self._chord and at <= self._onset:
            at = self._onset + (self._grain or TOGETHER)
        return self._close(at) if at > self._onset else []

    def _rounded(self, beat: Fraction) -> Fraction:
        return round(beat / self._grain) * self._grain if self._grain else beat

    def _close(self, at: Fraction) -> list[Item]:
        """Hand out what has been gathered, lasting until `at`, and begin anew there."""
        onset, chord, silent = self._onset, tuple(self._chord), self._rounded(self._silent)
        self._onset, self._chord = at, []
        self._silent = max(self._silent, at)
        if not chord:
            return [music_item(Fragment(at - onset))]
        if onset < silent <= at - REST:
            return [music_item(Fragment(silent - onset, chord)), music_item(Fragment(at - silent))]
        return [music_item(Fragment(at - onset, chord))]


def cut(fragment: Fragment, grain: Fraction = Fraction(0)) -> list[Item]:
    """A piece as items. Law, without grain: their lengths add up to the fragment's length."""
    cutter = Cutter(grain=grain)
    items: list[Item] = []
    for sound in sorted(fragment.sounds, key=lambda sound: (sound.at, sound.pitch)):
        items += cutter.hear(sound.at, sound)
    return items + cutter.finish(max(fragment.length, cutter.onset))
