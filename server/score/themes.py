"""A scene's themes: read from its tables, files and seed; written down, to be used again."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from engines.base import Mistake
from engines.motif import (
    CHARACTERS,
    Chords,
    Motif,
    from_pitches,
    generate,
    harmonise,
    in_meter,
    likeness,
    parse,
    scored,
    value_name,
)
from server.ensemble.reading import Harmony, Struck, parse_word
from server.music.meter import MeterMap, parse_meters
from server.music.scale import Key

from .style import load
from .table import Table, Text, in_file, plainly

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}\Z")
MOST_THEMES = 32
MOST_CHORDS = 256

#: How like an earlier theme of its scene an invented one may be, and how often another is tried.
TOO_LIKE, TRIES = 0.7, 8


class _Theme(NamedTuple):
    """A theme as a scene has it: written, or to be invented from a seed (its own, or None)."""

    name: str
    written: Motif | None
    bars: int
    bar: Fraction
    character: str
    seed: int | None
    chords: Chords

    def motif(self, seed: int, others: Sequence[Motif]) -> Motif:
        """The theme; an invented one is tried again while it is too like one of the others."""
        if self.written is not None:
            return replace(self.written, chords=self.chords)
        own = seed if self.seed is None else self.seed
        rng = Random(f"{own}/theme/{self.name}")
        for _ in range(TRIES):
            made = generate(rng, self.bars, self.bar, self.character, self.name)
            if all(likeness(made, other) <= TOO_LIKE for other in others):
                break
        return replace(made, chords=self.chords)


@dataclass(frozen=True)
class Themes:
    """The themes of a scene, in their order; those that are not written change with the seed.

    taught: the names of those that somebody has played, which its text does not have, and what it
    has in their places.
    """

    each: tuple[_Theme, ...] = ()
    taught: tuple[tuple[str, _Theme | None], ...] = ()

    def __call__(self, seed: int) -> tuple[Motif, ...]:
        return _motifs(self.each, seed)

    def check(self, name: str) -> None:
        """Errors: Mistake where no theme may have this name, or there is no room for it."""
        if not NAME.match(name):
            raise Mistake("name", f"expected at most 32 letters, digits and _, got {name!r:.40}")
        if len(self.each) >= MOST_THEMES and all(each.name != name for each in self.each):
            raise Mistake("name", f"there are {MOST_THEMES} themes already; record one of them")

    def having(self, theme: Motif) -> Themes:
        """These with another theme in the place of the one of that name, or as the last.

        Errors: Mistake, as of `check`.
        """
        self.check(theme.name)
        bare = replace(theme, chords=())
        made = _Theme(theme.name, bare, 8, theme.bar, "", None, theme.chords)
        each = {old.name: old for old in self.each}
        taught = dict(self.taught)
        taught.setdefault(theme.name, each.get(theme.name))
        return Themes(tuple((each | {theme.name: made}).values()), tuple(taught.items()))

    def lack(self, before: Themes) -> list[str]:
        """Which of those that were played to `before` these are to have: whose text is the same."""
        there = {each.name: each for each in self.each}
        return [name for name, old in before.taught if there.get(name) == old]

    @classmethod
    def read(cls, table: Table | None, base: Path, key: Key, meters: MeterMap) -> Themes:
        """From `[themes]`: a table each, with `notes`, a `midi` file, or neither.

        Without either one is invented, of `bars` (4 or 8) and a `character`, from the scene's
        seed or its own. `file` names one that has such tables; the scene's own count over them.
        """
        if table is None:
            return cls()
        found: list[_Theme] = []
        bar = meters.bar_at(Fraction(0)).meter.length
        if isinstance(table.values.get("file"), str):
            _share(table, base)
        for name in list(table.values):
            if not NAME.match(name) or len(found) >= MOST_THEMES:
                table.take(name)
                table.amiss(name, f"expected at most {MOST_THEMES} names of letters, digits", None)
                continue
            inner = table.table(name)
            if inner is not None:
                found += _theme(name, inner, base, key, bar)
                inner.end()
        return cls(tuple(found))


NO_THEMES = Themes()


@lru_cache(16)
def _motifs(themes: tuple[_Theme, ...], seed: int) -> tuple[Motif, ...]:
    made: list[Motif] = []
    for theme in themes:
        made.append(theme.motif(seed, made))
    return tuple(made)


def _share(table: Table, base: Path) -> None:
    """Lay the scene's own themes over those of the file that `[themes]` names."""
    name = table.text("file")
    try:
        path = base / name
        if not path.resolve().is_relative_to(base.resolve()) and not Path(name).is_absolute():
            raise Mistake(table.at("file"), f"{name!r} lies outside the scene's folder")
        shared = load(path, base)
        themes = shared.values.get("themes")
        if not isinstance(themes, dict) or not themes:
            raise in_file(shared.name, Mistake("", "expected themes in it, such as [themes.home]"))
    except Mistake as mistake:
        table.note(mistake)
    else:
        table.values = themes | table.values
        table.texts.append(Text(shared.name, shared.text))


def _theme(name: str, table: Table, base: Path, key: Key, bar: Fraction) -> list[_Theme]:
    notes, midi = table.text("notes"), table.text("midi")
    bars = table.whole("bars", 8, 1, 64)
    character = table.choice("character", "", ("", *CHARACTERS))
    seed = table.whole("seed", 0, 0, 2**63 - 1) if "seed" in table.values else table.take("seed")
    own = table.parsed("meter", _bar, bar)
    none: Chords = ()
    chords = table.parsed("chords", _chords, none)
    try:
        if notes and midi:
            raise Mistake("", "expected either notes or midi, not both")
        written = None
        if notes:
            written = parse(notes, name, own, "notes")
        elif midi:
            written = _from_file(name, midi, base, key, own)
        if written is not None:
            carried = in_meter(replace(written, chords=chords), bar)
            written, chords = replace(carried, chords=()), carried.chords
        made = _Theme(name, written, bars, bar, character, seed, chords)
        made.motif(0, ())  # so that mistakes show now
        return [made]
    except Mistake as mistake:
        table.note(mistake.within(table.place))
        return []


def _bar(text: str) -> Fraction:
    return parse_meters(text).bar_at(Fraction(0)).meter.length


def _chords(text: str) -> Chords:
    """Chords with their note values. Errors: Mistake."""
    row: list[tuple[str, Fraction]] = []
    for token in text.split():
        word = parse_word(token)
        struck = word if isinstance(word, Struck) else None
        atoms = struck.hit.atoms if struck is not None else ()
        if struck is None or struck.length is None or len(atoms) != 1:
            atoms = ()
        if not atoms or not isinstance(atoms[0], Harmony):
            wanted = "expected chords with their note values, such as 'ton:1/1 V7:1/2'"
            raise Mistake("", f"{wanted}, got {token!r}")
        assert struck is not None
        assert struck.length is not None
        row.append((token.rpartition(":")[0], struck.length))
    if not 0 < len(row) <= MOST_CHORDS:
        raise Mistake("", f"expected 1 to {MOST_CHORDS} chords, got {len(row)}")
    return tuple(row)


def _from_file(name: str, midi: str, base: Path, key: Key, bar: Fraction) -> Motif:
    from .tunes import read_tunes

    pieces = read_tunes([midi], base, "midi")
    seven = key.heptatonic
    notes = [(sound.at, sound.pitch, sound.length) for piece in pieces for sound in piece.sounds]
    return from_pitches(notes, seven.tonic.semitone, seven.pitch_classes, name, bar)


# Written down ---------------------------------------------------------------------------------


def songbook(themes: Iterable[Motif]) -> str:
    """Themes as the tables that a scene or a file of themes has, their chords with them.

    Law: read again in a scene of the same metre, they are the same themes.
    """
    return "\n".join(map(_written, themes))


def _written(theme: Motif) -> str:
    chords = " ".join(f"{word}:{value_name(length)}" for word, length in harmonise(theme))
    unit = next(each for each in (4, 8, 16, 32) if (theme.bar * each / 4).denominator == 1)
    return (
        f"[themes.{theme.name}]\n"
        f'meter = "{theme.bar * unit / 4}/{unit}"\n'
        f'notes = """\n{scored(theme)}\n"""\n'
        f"chords = {json.dumps(chords)}\n"
    )


def keep(path: Path, themes: Sequence[Motif]) -> str:
    """Add themes to a file of themes, or begin one; what was done, in words.

    One that is there already stays as it is; another of its name gets a number to it.
    Errors: Mistake where the file is something else, or cannot be written; then it is left alone.
    """
    there = _kept(path) if path.exists() else {}
    added: list[str] = []
    for theme in themes:
        name, number = theme.name, 1
        fresh = replace(theme, chords=harmonise(theme))
        while (old := there.get(name)) is not None and old != replace(fresh, name=name):
            number += 1
            name = f"{theme.name[:28]}_{number}"
        if old is None:
            there[name] = replace(fresh, name=name)
            added.append(name)
    if len(there) > MOST_THEMES:
        raise Mistake("", f"{path.name} would hold more than {MOST_THEMES} themes")
    if not added:
        return f"all in {path.name} already"
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(songbook(there.values()), encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise Mistake("", f"{path.name} cannot be written: {plainly(error)}") from None
    return f"{', '.join(added)} to {path.name}"


def _kept(path: Path) -> dict[str, Motif]:
    """The themes in a file of them, each as it was written. Errors: Mistake."""
    return _collected(load(path, path.parent).values, path.name)


def read_songbook(text: str) -> list[Motif]:
    """What `songbook` has written. Errors: Mistake."""
    try:
        return list(_collected(tomllib.loads(text), "it").values())
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Mistake("themes", plainly(error)) from None


def _collected(data: dict[str, Any], name: str) -> dict[str, Motif]:
    tables = data.pop("themes", None)
    text = {"meter", "notes", "chords"}
    if data or not isinstance(tables, dict):
        raise Mistake("", f"{name} holds something else than themes; name another file")
    found = {}
    for theme, table in tables.items():
        whole = isinstance(table, dict) and all(isinstance(each, str) for each in table.values())
        if not whole or set(table) - text or "notes" not in table:
            raise Mistake("", f"{name} holds more than written themes; name another file")
        bar = _bar(table.get("meter", "4/4"))
        chords = _chords(table["chords"]) if "chords" in table else ()
        found[theme] = replace(parse(table["notes"], theme, bar, theme), chords=chords)
    return found
