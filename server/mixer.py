"""The mixing desk: each part's live controls, and from which beat on they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from .part import PartSpec

EDITS = 256  # changes of one part that may wait; beyond, the oldest are taken as past


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


class Mixer:
    """Strips by part, as they stand at any beat.

    Law: an edit changes nothing before its beat, and only the field it names.
    """

    def __init__(self, specs: Iterable[PartSpec]) -> None:
        self._base = {
            spec.name: Strip(mute=spec.mute, level=spec.level, density=spec.density)
            for spec in specs
        }
        self._edits: dict[str, list[tuple[Fraction, str, bool | float | int]]] = {}
        self._steady: dict[str, Strip] | None = None

    def set(self, name: str, beat: Fraction, field: str, value: bool | float | int) -> None:
        """From this beat on; a later edit of the same field that waits already is dropped."""
        edits = [edit for edit in self._edits.get(name, []) if edit[0] < beat or edit[1] != field]
        edits.append((beat, field, value))
        edits.sort(key=lambda edit: edit[0])
        self._edits[name] = edits
        if len(edits) > EDITS:
            self._fold(name, len(edits) - EDITS)
        self._steady = None

    def _fold(self, name: str, count: int) -> None:
        for _, field, value in self._edits[name][:count]:
            self._base[name] = replace(self._base[name], **{field: value})  # type: ignore[arg-type]
        del self._edits[name][:count]

    def forget(self, before: Fraction) -> None:
        """Take edits before this beat as settled."""
        for name in list(self._edits):
            edits = self._edits[name]
            self._fold(name, sum(1 for beat, _, _ in edits if beat < before))
            if not self._edits[name]:
                del self._edits[name]

    def asked(self, name: str, beat: Fraction | None = None) -> Strip:
        """The strip as it was asked for, at a beat or after all that waits."""
        strip = self._base[name]
        for begin, field, value in self._edits.get(name, ()):
            if beat is None or begin <= beat:
                strip = replace(strip, **{field: value})  # type: ignore[arg-type]
        return strip

    def at(self, name: str, beat: Fraction) -> Strip:
        """The strip as it works: while any part is soloed, those that are not are mute."""
        if not self._edits:
            if self._steady is None:
                self._steady = {each: self._working(each, beat) for each in self._base}
            return self._steady[name]
        return self._working(name, beat)

    def _working(self, name: str, beat: Fraction) -> Strip:
        strip = self.asked(name, beat)
        soloed = any(self.asked(each, beat).solo for each in self._base)
        return replace(strip, mute=strip.mute or (soloed and not strip.solo))
