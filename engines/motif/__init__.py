"""Themes as values in scale steps: written down, invented, transformed, varied, compared.

A theme is a tune told in steps of whatever scale is current, so that mode, key and harmony may
change under it and it stays itself. Everything here is pure: values in, values out, chance only
from the `Random` that is given. Lengths are exact, in quarter notes.
"""

from .alike import compare, likeness, recognise
from .changes import (
    augment,
    cells,
    closed,
    diminish,
    displace,
    extend,
    fill,
    fragment,
    grace,
    in_meter,
    invert,
    join,
    ornament,
    retrograde,
    sequence,
    simplify,
    thin,
    transpose,
)
from .invention import CHARACTERS, generate
from .value import (
    MOST_BARS,
    MOST_NOTES,
    OCTAVE,
    Motif,
    Note,
    degree_name,
    from_pitches,
    groups_of,
    parse,
    strong_beats,
    text,
    value_name,
    word,
    words,
)
from .variation import develop, vary

__all__ = [
    "CHARACTERS",
    "MOST_BARS",
    "MOST_NOTES",
    "OCTAVE",
    "Motif",
    "Note",
    "augment",
    "cells",
    "closed",
    "compare",
    "degree_name",
    "develop",
    "diminish",
    "displace",
    "extend",
    "fill",
    "fragment",
    "from_pitches",
    "generate",
    "grace",
    "groups_of",
    "in_meter",
    "invert",
    "join",
    "likeness",
    "ornament",
    "parse",
    "recognise",
    "retrograde",
    "sequence",
    "simplify",
    "strong_beats",
    "text",
    "thin",
    "transpose",
    "value_name",
    "vary",
    "word",
    "words",
]
