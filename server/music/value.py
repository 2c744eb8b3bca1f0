"""Note values: how long a note is written. Beats are quarter notes, exact."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from engines.base import Mistake

_NAMES = {
    "whole": Fraction(1),
    "half": Fraction(1, 2),
    "quarter": Fraction(1, 4),
    "eighth": Fraction(1, 8),
    "sixteenth": Fraction(1, 16),
    "thirtysecond": Fraction(1, 32),
    "sixtyfourth": Fraction(1, 64),
}
_PREFIXES = {
    None: Fraction(1),
    "dotted": Fraction(3, 2),
    "doubledotted": Fraction(7, 4),
    "triplet": Fraction(2, 3),
}
_NAMED = re.compile(rf"(dotted|doubledotted|triplet)?({'|'.join(_NAMES)})")
_WRITTEN = re.compile(r"([0-9]{1,6})/([0-9]{1,5})(\.{0,3})(?:(t)|:([0-9]{1,2}))?")

LONGEST = Fraction(64)
FINEST = 10_000


@lru_cache(maxsize=512)
def parse_value(text: str) -> Fraction:
    """Read a note value; the answer is in quarter notes.

    Names (in any case): `Whole`, `Half`, `Quarter`, `Eighth`, `Sixteenth`, `ThirtySecond`,
    `SixtyFourth`, each also as `DottedHalf`, `DoubleDottedHalf`, `TripletHalf`.
    Fractions of a whole note: `1/4`, `3/16`, `1/20`, `2/1`. Dots: `1/4.`, `1/4..`.
    Tuplets: `1/8t` or `1/8:3` is three in the time of two, `:5`, `:6` and `:7` in the time
    of four, `:9` to `:15` in the time of eight.

    Errors: Mistake where the text is none of these, is nothing, is longer than 64 whole
    notes, or has a denominator above 10 000.
    Law: n times `1/8:n` is exactly as long as the plain eighths it stands for.
    """
    if named := _NAMED.fullmatch(text.lower()):
        return 4 * _PREFIXES[named[1]] * _NAMES[named[2]]
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise Mistake(
            "",
            "expected a note value such as Quarter, DottedHalf, 1/4, 1/4. (dotted), "
            f"1/8t (triplet) or 1/16:5 (quintuplet), found {text!r}",
        )
    above, below, dots, triplet, tuplet = written.groups()
    if not 0 < int(below) <= FINEST:
        raise Mistake("", f"expected a denominator from 1 to {FINEST}, found {text!r}")
    whole = Fraction(int(above), int(below)) * (2 - Fraction(1, 2 ** len(dots)))
    if triplet or tuplet:
        whole *= _tuplet(3 if triplet else int(tuplet), text)
    if not 0 < whole <= LONGEST:
        raise Mistake("", f"expected a length above 0 and up to 64 whole notes, found {text!r}")
    return 4 * whole


def _tuplet(count: int, text: str) -> Fraction:
    """The factor of `count` notes in the time of the next lower power of two."""
    if not 3 <= count <= 15 or count in (4, 8):
        raise Mistake("", f"expected a tuplet of 3, 5, 6, 7 or 9 to 15 notes, found {text!r}")
    return Fraction(1 << (count.bit_length() - 1), count)


@lru_cache(maxsize=512)
def is_value(text: str) -> bool:
    """Whether `parse_value` would read this."""
    try:
        parse_value(text)
    except Mistake:
        return False
    return True


def value_name(beats: Fraction) -> str:
    """A length in quarter notes as it is written: `1/4`, `1/4.`, `1/8t`, `1/16:5`, `5/16`.

    Law: `parse_value(value_name(v)) == v` for every v of up to 64 whole notes whose
    fraction of a whole note has a denominator of up to 10 000.
    """
    whole = beats / 4
    for factor, mark in (
        (Fraction(1), ""),
        (Fraction(3, 2), "."),
        (Fraction(2, 3), "t"),
        (Fraction(4, 5), ":5"),
        (Fraction(4, 7), ":7"),
    ):
        plain = whole / factor
        power_of_two = plain.numerator == 1 and plain.denominator.bit_count() == 1
        if power_of_two and plain.denominator <= FINEST:
            return f"1/{plain.denominator}{mark}"
    return f"{whole.numerator}/{whole.denominator}"
