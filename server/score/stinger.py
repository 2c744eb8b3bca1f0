"""Stingers: short music that waits until it is called for, and then sounds in key, chord and time.

A stinger is a part of its own that is not at play. Each time it is called it gets a fresh stream,
from the scene's seed, its name and how often it has come, so no two are alike and a replay is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple, cast

from engines import motif
from engines.base import Controls, Engine, Mistake, Origin, Symbol, unknown
from engines.motif import Motif
from server.ensemble.part import Part, PartSpec, Trouble
from server.ensemble.setting import Setting
from server.music.note import Step
from server.music.value import parse_value

from .parts import Shared, check_addresses, read_part, with_channels
from .table import NAME, Table, shown
from .when import parse_when

MOST_SOUNDING = 16  # stingers at once, those that wait for their moment included
MOST_STINGERS = 64  # in one scene
MOST_WORDS = 1024  # of one stinger's notes
LONGEST_BARS = 64

_BARS = re.compile(r"([1-9][0-9]?) bars?")


class Quoted(Origin):
    """Which note of what was written a symbol is, from 1."""

    __slots__ = ("number", "source")

    def __init__(self, source: str, number: int) -> None:
        self.source, self.number = source, number

    def __str__(self) -> str:
        return f"{self.source}, note {self.number}"


@dataclass(frozen=True)
class Words:
    """What `notes` says, word for word, once."""

    words: tuple[str, ...]

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Each word once, in its order."""
        for number, word in enumerate(self.words, 1):
            yield Symbol(word, Quoted("as written", number))

    def alphabet(self) -> frozenset[str]:
        return frozenset(self.words)


@dataclass(frozen=True)
class Opening:
    """The first bars of one of the scene's themes, once. index: which, from 0."""

    themes: tuple[Motif, ...]
    index: int
    bars: int

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Its notes and rests, each with its own value; what comes before the first is left out."""
        theme = self.themes[self.index]
        head = motif.fragment(theme, 1, min(self.bars, theme.bars))
        rows = motif.words(head)
        sounding = next(n for n, (word, _) in enumerate(rows) if not word.startswith("Rest"))
        for number, (word, _) in enumerate(rows[sounding:], 1):
            yield Symbol(word, Quoted(f"theme {theme.name}", number))

    def alphabet(self) -> frozenset[str] | None:
        """Not known beforehand; another seed invents another theme."""
        return None


@dataclass(frozen=True)
class StingerSpec:
    """A stinger as the scene describes it, checked.

    when: the moment at which it begins where nobody says.  again: how long after its beginning
    it may begin anew, seconds as `float` or quarter notes as `Fraction`.  duck: factor on how
    loud all parts play while it sounds, 0 to 1.  length: quarter notes after which it ends.
    """

    part: PartSpec
    when: str = "beat"
    again: float | Fraction = 0.0
    duck: float = 1.0
    length: Fraction = Fraction(8)


class Timing(NamedTuple):
    """The fields of `StingerSpec` that are no part's."""

    when: str
    again: float | Fraction
    duck: float
    length: Fraction


def read_stingers(
    table: Table, parts: Sequence[PartSpec], feel: Mapping[str, Any], shared: Shared
) -> list[StingerSpec]:
    """All stingers, on channels that no part has, if there are any left; mistakes are noted."""
    names, stingers = {part.name for part in parts}, []
    if len(table.values) > MOST_STINGERS:
        problem = f"expected at most {MOST_STINGERS} stingers, got {len(table.values)}"
        table.note(Mistake(table.place, problem))
    for name in list(table.values)[:MOST_STINGERS]:
        if not NAME.match(name) or name in names:
            wanted = "expected letters, digits, spaces and _ . - only, and no name of a part"
            table.amiss(name, wanted, None)
        inner = table.table(name)
        if inner is not None:
            inner.values = {**feel, **inner.values}
            timing = _timing(inner, shared.bar)
            part = read_part(name, inner, shared, _engine(inner, shared.themes))
            if part.shades:
                inner.amiss("program", "a stinger has one program; give it the one that fits", None)
            stingers.append(StingerSpec(part, *timing))
    check_addresses([each.part.name for each in stingers], names, table)
    taken = (part.channel for part in parts)
    placed = with_channels([each.part for each in stingers], taken)
    return [replace(each, part=part) for each, part in zip(stingers, placed, strict=True)]


def _timing(table: Table, bar: Fraction) -> Timing:
    """When and how long it sounds, out of its table. bar: quarter notes in the scene's bars."""
    return Timing(
        table.parsed("when", _moment, "beat"),
        table.parsed("again", lambda value: _pause(value, bar), cast("float | Fraction", 0.0)),
        table.number("duck", 1, 0, 1),
        table.parsed("length", lambda value: _span(value, bar), 2 * bar),
    )


def _engine(table: Table, themes: Sequence[Motif]) -> Engine | None:
    """The engine that `notes` or `theme` and `bars` make; None where the table says neither."""
    notes, theme = table.text("notes"), table.text("theme")
    bars = table.whole("bars", 1, 1, LONGEST_BARS)
    if notes and theme:
        return table.amiss("theme", "expected either notes or theme, not both", Words(("Rest",)))
    if theme:
        names = [each.name for each in themes]
        if theme not in names:
            return table.amiss("theme", unknown("theme", theme, names), Words(("Rest",)))
        return Opening(tuple(themes), names.index(theme), bars)
    words = notes.split()
    if len(words) > MOST_WORDS:
        problem = f"expected at most {MOST_WORDS} words, got {len(words)}"
        return table.amiss("notes", problem, Words(("Rest",)))
    return Words(tuple(words)) if words else None


def grid_of(when: str) -> Fraction | None:
    """The quarter notes of a note value, such as 1/16; None where the words say something else."""
    try:
        return parse_value(when) if "/" in when else None
    except Mistake:
        return None


def parse_moment(text: str) -> object:
    """A moment as `parse_when` has it, or a note value for its next line. Errors: Mistake."""
    return grid_of(text) or parse_when(text)


def _moment(value: object) -> str:
    if not isinstance(value, str):
        raise Mistake("", f"expected a moment such as 'beat', got {shown(value)}")
    parse_moment(value)
    return value


def _pause(value: object, bar: Fraction) -> float | Fraction:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 3600:
        return float(value)
    if isinstance(value, str):
        return _span(value, bar)
    raise Mistake("", f"expected seconds, a note value or such as '4 bars', got {shown(value)}")


def _span(value: object, bar: Fraction) -> Fraction:
    if isinstance(value, str):
        if bars := _BARS.fullmatch(value):
            return int(bars[1]) * bar
        return parse_value(value)
    raise Mistake("", f"expected a note value or such as '2 bars', got {shown(value)}")


@dataclass(eq=False)
class Sting:
    """A stinger, or a single note that a hand has struck, that sounds or is about to.

    begin: its beat.  limit: the beat at which it ends at the latest.  end: where it does, once
    that is known.  named: whether its beginning and end are told.  begun: whether planning has.
    Law: the steps do not depend on how the asking is divided.
    """

    spec: StingerSpec
    seed: int
    begin: Fraction
    named: bool
    part: Part
    limit: Fraction
    end: Fraction | None = field(default=None, init=False)
    begun: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        return self.spec.part.name

    @classmethod
    def of(
        cls,
        spec: StingerSpec,
        count: int,
        begin: Fraction,
        setting: Setting,
        next_id: Callable[[], int],
        named: bool = True,
    ) -> Sting:
        """One from its own stream. count: how often its name has come, from 1."""
        stream = f"{'stinger' if named else 'hit'} {spec.part.name}/{count}"
        part = Part(spec.part, setting, next_id, begin, stream)
        seed = Random(f"{setting.seed}/{stream}").getrandbits(63)
        return cls(spec, seed, begin, named, part, begin + spec.length)

    @classmethod
    def tried(
        cls, spec: StingerSpec, setting: Setting, next_id: Callable[[], int]
    ) -> tuple[list[Step], list[Trouble]]:
        """What one would play at the beginning of the music, and what goes wrong in it."""
        sting = cls.of(spec, 1, setting.entry, setting, next_id)
        return sting.plan(sting.limit)

    def plan(self, until: Fraction) -> tuple[list[Step], list[Trouble]]:
        """Its next steps before this beat, cut off at its limit, and what went wrong."""
        if self.end is not None:
            return [], []
        steps, troubles = self.part.plan(min(until, self.limit))
        last = self.part.cursor
        if self.part.finished or last >= self.limit or until >= self.limit:
            self.end = min(max(last, self.begin), self.limit)
        return [self._cut(step) for step in steps], troubles

    def _cut(self, step: Step) -> Step:
        left = self.limit - step.beat
        if step.length <= left and all((tone.length or 0) <= left for tone in step.tones):
            return step
        tones = tuple(
            tone if tone.length is None else tone._replace(length=min(tone.length, left))
            for tone in step.tones
        )
        return step._replace(length=min(step.length, left), tones=tones)

    def sounds_at(self, beat: Fraction) -> bool:
        """Whether it lasts over this beat, as far as it is planned."""
        return self.begin <= beat < (self.limit if self.end is None else self.end)
