"""The mixing desk: each part's live controls, and from which beat on they hold."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from .part import PartSpec

EDITS = 256  # changes that may wait; beyond, the oldest are taken as past

_Edit = tuple[Fraction, str, str, bool | float | int]


@dataclass(frozen=True)
class Strip:
    """A part's live controls.

    level: factor on velocity, 0 to 2.  density: share of notes that sound, 0 to 1.
    octave: octaves up or down, -4 to 4.
    """

    mute: bool = False
    solo: bool = False
    level: float = 1.0
    density: float = 1.0
    octave: int = 0

    @classmethod
    def of(cls, spec: PartSpec) -> Strip:
        """How the scene itself has a part's."""
        return cls(mute=spec.mute, level=spec.level, density=spec.density)


class Mixer:
    """Strips by part, as they stand at any beat.

    Law: an edit changes nothing before its beat, and only the field it names.
    """

    def __init__(self, specs: Iterable[PartSpec]) -> None:
        self._base = {spec.name: Strip.of(spec) for spec in specs}
        self._beats: list[Fraction] = []
        self._edits: list[_Edit] = []
        self._newest = dict(self._base)  # after all edits; replaced whole, for other threads
        self._asked: dict[int, dict[str, Strip]] = {}  # after so many edits
        self._working: dict[int, dict[str, Strip]] = {}

    def set(self, name: str, beat: Fraction, field: str, value: bool | float | int) -> None:
        """From this beat on; a later edit of the same field that waits already is dropped."""
        edits = [
            edit for edit in self._edits if edit[0] < beat or (edit[1], edit[2]) != (name, field)
        ]
        edits.append((beat, name, field, value))
        edits.sort(key=lambda edit: edit[0])
        self._keep(edits, max(len(edits) - EDITS, 0))
        strip = replace(self._newest[name], **{field: value})  # type: ignore[arg-type]
        self._newest = self._newest | {name: strip}

    def heir(self, specs: Iterable[PartSpec]) -> Mixer:
        """A desk for these parts; those that are here too keep the strips last asked for."""
        heir = Mixer(specs)
        heir._base |= {name: strip for name, strip in self._newest.items() if name in heir._base}
        heir._newest = dict(heir._base)
        return heir

    def forget(self, after: Fraction) -> None:
        """Drop the edits that were to hold from a later beat than this one."""
        self._keep(self._edits[: bisect_right(self._beats, after)], 0)
        self._newest = self._all_asked(len(self._edits))

    def take_back(self, name: str, field: str, after: Fraction) -> None:
        """Drop the edits of one field that were to hold from a later beat than this one."""
        kept = [edit for edit in self._edits if edit[0] <= after or edit[1:3] != (name, field)]
        self._keep(kept, 0)
        self._newest = self._all_asked(len(self._edits))

    def _keep(self, edits: list[_Edit], settled: int) -> None:
        for _, name, field, value in edits[:settled]:
            self._base[name] = replace(self._base[name], **{field: value})  # type: ignore[arg-type]
        self._edits = edits[settled:]
        self._beats = [edit[0] for edit in self._edits]
        self._asked.clear()
        self._working.clear()

    @property
    def edited(self) -> bool:
        """Whether there are edits that are not settled."""
        return bool(self._edits)

    def settle(self, before: Fraction | None = None) -> None:
        """Take edits before this beat, or all, as made; nobody may ask for earlier beats again."""
        count = len(self._beats) if before is None else bisect_left(self._beats, before)
        if count:
            self._keep(self._edits, count)

    def asked(self, name: str, beat: Fraction | None = None) -> Strip:
        """The strip as it was asked for, at a beat or after all that waits.

        Without a beat it may be asked from any thread.
        """
        if beat is None:
            return self._newest[name]
        return self._all_asked(bisect_right(self._beats, beat))[name]

    def at(self, name: str, beat: Fraction) -> Strip:
        """The strip as it works: while any part is soloed, those that are not are mute."""
        count = bisect_right(self._beats, beat)
        strips = self._working.get(count)
        if strips is None:
            asked = self._all_asked(count)
            soloed = any(strip.solo for strip in asked.values())
            strips = self._working[count] = {
                each: replace(strip, mute=strip.mute or (soloed and not strip.solo))
                for each, strip in asked.items()
            }
        return strips[name]

    def _all_asked(self, count: int) -> dict[str, Strip]:
        strips = self._asked.get(count)
        if strips is None:
            strips = dict(self._base)
            for _, name, field, value in self._edits[:count]:
                strips[name] = replace(strips[name], **{field: value})  # type: ignore[arg-type]
            self._asked[count] = strips
        return strips
