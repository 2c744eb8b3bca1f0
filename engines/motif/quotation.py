"""Quotations: words that mean a stretch of a theme and what is done with it.

    theme:window                the whole theme of that name
    theme:window/2              its second bar;  theme:window/1-2  its first two
    theme:now/1                 of the theme of the moment
    theme:now/here              its bar that stands where the section is: its third in the third
    theme:window/2 up 1 inverted    changed, in the order of the words

So whatever hands out symbols can develop a theme: it orders its cells, and they stay its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from random import Random
from typing import NamedTuple

from engines.base import Mistake, unknown

from .changes import (
    augment,
    closed,
    displace,
    fill,
    fragment,
    invert,
    ornament,
    retrograde,
    simplify,
    transpose,
)
from .harmony import harmonise, stretch
from .value import MOST_BARS, Motif, note_value, text, value_name, within, words
from .variation import vary

QUOTES = "theme:"  # how a quotation begins
NOW = "now"  # the theme of the moment
HERE = -1  # for a bar: the one that the section is at
MOST_CHANGES = 8

_STRETCH = re.compile(
    r"theme:([A-Za-z][A-Za-z0-9_]*)(?:/(?:([1-9][0-9]?)(?:-([1-9][0-9]?))?|(here)))?"
)
_STEPS = re.compile(r"[1-9]|1[0-4]")
_SHARE = re.compile(r"1|0|[01]?\.[0-9]{1,6}")

_Change = Callable[[Motif, str, Random], Motif]


def _beats(value: str) -> Fraction:
    return note_value(value) or Fraction(0)


#: What may be done to what is quoted, by its word; a word that asks for more says what.
_CHANGES: dict[str, tuple[str, _Change]] = {
    "up": ("steps", lambda m, by, rng: transpose(m, int(by))),
    "down": ("steps", lambda m, by, rng: transpose(m, -int(by))),
    "inverted": ("", lambda m, by, rng: invert(m)),
    "backwards": ("", lambda m, by, rng: retrograde(m)),
    "augmented": ("", lambda m, by, rng: m),  # pace comes last, see `_changed`
    "diminished": ("", lambda m, by, rng: m),
    "later": ("value", lambda m, by, rng: displace(m, _beats(by))),
    "earlier": ("value", lambda m, by, rng: displace(m, -_beats(by))),
    "skeleton": ("", lambda m, by, rng: simplify(m)),
    "ornamented": ("", lambda m, by, rng: ornament(m, rng, 0.8)),
    "running": ("", lambda m, by, rng: fill(m, rng, 0.8)),
    "closing": ("", lambda m, by, rng: closed(m)),
    "varied": ("share", lambda m, by, rng: vary(m, rng, (1 - float(by)) / 0.6)[0]),
    "on": ("word", lambda m, by, rng: m),  # its rhythm alone, on one word
    "chords": ("", lambda m, by, rng: m),  # in place of its notes
    "reharmonised": ("", lambda m, by, rng: m),  # other chords that carry it
}
_WANTED: dict[str, tuple[str, Callable[[str], object]]] = {
    "steps": ("steps of the scale, 1 to 14", _STEPS.fullmatch),
    "value": ("a note value such as 1/8", note_value),
    "share": ("a likeness from 0 to 1", _SHARE.fullmatch),
    "word": ("what shall sound, such as c1 or Kick", lambda text: ":" not in text),
}
_PACE = {"augmented": Fraction(2), "diminished": Fraction(1, 2)}


class Quote(NamedTuple):
    """A stretch of a theme, changed.

    theme: its name, or `now`.  first, last: bars from 1; both 0 for all of it, HERE for the one
    that stands where the section is.
    changes: each word with what follows it, "" where nothing does.
    """

    theme: str
    first: int = 0
    last: int = 0
    changes: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """As it is written. Law: parse_quote(str(q).split()) == (q, all of its words)."""
        bars = "/here" if self.first == HERE else f"/{self.first}" if self.first else ""
        bars += f"-{self.last}" if self.last > self.first else ""
        return " ".join([f"{QUOTES}{self.theme}{bars}", *self.said])

    @property
    def said(self) -> list[str]:
        return [" ".join(filter(None, change)) for change in self.changes]


class Quoted(NamedTuple):
    """One word of what is quoted: a note or a rest, with the theme's bar it is from."""

    word: str
    bar: int


def parse_quote(row: Sequence[str]) -> tuple[Quote, int]:
    """The quotation that a row of words begins with, and how many of them belong to it.

    Errors: Mistake, its place empty.
    """
    found = _STRETCH.fullmatch(row[0])
    first = HERE if found and found[4] else int(found[2] or 0) if found else 0
    last = int(found[3] or first) if found else 0
    if found is None or last < first or last > MOST_BARS:
        wanted = "expected a theme's name and its bars, such as theme:window/2 or theme:now/1-2"
        raise Mistake("", f"{wanted}, got {row[0]!r}")
    changes: list[tuple[str, str]] = []
    used = 1
    while used < len(row) and row[used] in _CHANGES:
        name, given = row[used], ""
        used += 1
        if wants := _CHANGES[name][0]:
            what, fits = _WANTED[wants]
            given = row[used] if used < len(row) else ""
            if not given or not fits(given):
                raise Mistake("", f"expected {what} after {name!r} in {' '.join(row)!r}")
            used += 1
        changes.append((name, given))
    if len(changes) > MOST_CHANGES:
        raise Mistake("", f"expected at most {MOST_CHANGES} changes of what is quoted")
    if sum(name in _PACE for name, _ in changes) > 2:
        raise Mistake("", "expected augmented or diminished twice at most: a quarter of the pace")
    return Quote(found[1], first, last, tuple(changes)), used


def check_quote(quote: Quote, themes: Sequence[Motif]) -> None:
    """Errors: Mistake where no theme has that name, or has those bars."""
    names = [each.name for each in themes]
    if not names:
        raise Mistake("", f"there is no theme to quote as {str(quote)!r}; give the scene one")
    if quote.theme not in (NOW, *names):
        raise Mistake("", unknown("theme", quote.theme, names))
    if quote.theme == NOW:
        most = max(each.bars for each in themes)
    else:
        most = themes[names.index(quote.theme)].bars
    if quote.last > most:
        problem = f"the theme has bars 1 to {most}"
        raise Mistake("", f"{problem}, and {QUOTES}{quote.theme} asks for bar {quote.last}")


def chosen(quote: Quote, themes: Sequence[Motif], turn: int = 0) -> Motif:
    """The theme that is quoted. turn: which is of the moment, from 1; the first where none is."""
    if quote.theme == NOW:
        return themes[(max(turn, 1) - 1) % len(themes)]
    return next(each for each in themes if each.name == quote.theme)


@lru_cache(512)
def quoted(quote: Quote, theme: Motif, here: int = 1) -> tuple[Quoted, ...]:
    """What a quotation of this theme sounds like, word by word; chance comes from both alone.

    here: the bar of the section, from 1. Bars that the theme has not are counted round.
    Law: the words last as long as the bars that are quoted, but for augmented and diminished.
    """
    begin = here if quote.first == HERE else quote.first
    first = (begin - 1) % theme.bars + 1 if begin else 1
    count = quote.last - quote.first + 1 if quote.first else theme.bars
    count = min(count, theme.bars - first + 1)
    start, length = (first - 1) * theme.bar, count * theme.bar
    pace = Fraction(1)
    for name, _ in quote.changes:
        pace *= _PACE.get(name, 1)
    said = {name for name, _ in quote.changes}
    if said & {"chords", "reharmonised"}:
        at, row = start, []
        for word, lasts in stretch(harmonise(theme, "reharmonised" in said), start, start + length):
            name, bar = f"{word}:{value_name(lasts * pace)}", int(at // theme.bar) + 1
            row.append(Quoted(name, bar))
            at += lasts
        return tuple(row)
    if not within(theme, start, start + length):
        return (Quoted(f"Rest:{value_name(length * pace)}", first),)
    made, rng = fragment(theme, first, count), Random(f"{quote}/{text(theme)}")
    sounds = ""
    for name, given in quote.changes:
        made = _CHANGES[name][1](made, given, rng)
        sounds = given if name == "on" else sounds
    row, end = [], length * pace
    for word, at in words(augment(made, pace)):
        if at >= end:
            break
        name, value = word.split(":", 1)
        lasts = min(_beats(value), end - at)
        name = sounds if sounds and name != "Rest" else name
        row.append(Quoted(f"{name}:{value_name(lasts)}", first + int(at / pace // theme.bar)))
    return tuple(row)
