"""What a receiver of the soak makes of what it heard: what is stuck, and since when all is right.

Pure: times are monotonic nanoseconds, notes are plain values. Nothing here knows Componium.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

#: Steps in a row in which everything is right, until the music counts as right again.
RUN = 16


class Note(NamedTuple):
    """at: when it began, ns.  part: whose it is.  pitch: MIDI."""

    at: int
    part: str
    pitch: int


@dataclass
class Ledger:
    """Whatever has begun and not ended, by any key, with the ns of its beginning."""

    sounding: dict[tuple[str, int], int] = field(default_factory=dict)
    begun: int = 0

    def on(self, key: tuple[str, int], at: int) -> None:
        self.begun += 1
        self.sounding[key] = at

    def off(self, key: tuple[str, int]) -> None:
        self.sounding.pop(key, None)

    def stuck(self, now: int, bound: int) -> list[tuple[str, int]]:
        """What has sounded for longer than `bound` ns; it is told once, and then forgotten."""
        found = sorted(key for key, at in self.sounding.items() if now - at > bound)
        for key in found:
            del self.sounding[key]
        return found


class Verdict(NamedTuple):
    """right: ns from which on a run of steps was right, or None where there was none.

    errors: ns by which each note after that is off its step.  bad: steps after that with a note
    that is missing or too far off; steps: how many there were.
    """

    right: int | None
    errors: list[float]
    bad: int
    steps: int


def phase_of(stamps: Iterable[int], step: float) -> float:
    """Where an exact grid of this step lies best, ns below one step: the circular median."""
    stamps = list(stamps)
    first = stamps[-1]
    places = sorted((stamp - first + step / 2) % step - step / 2 for stamp in stamps)
    return (first + places[len(places) // 2]) % step


def judge(
    notes: Iterable[Note],
    parts: Collection[str],
    step: float,
    window: tuple[int, int],
    tolerance: float,
    pitches: Collection[int] = range(128),
) -> Verdict:
    """Whether each of the parts has its note on each step of the window, and since when.

    step, tolerance: ns.  window: from the end of the fault to the last moment that is looked at.
    pitches: what may sound. The grid's place is that of the window's last notes, so that a music
    which goes on elsewhere than before is right too, but one that wanders is not.
    """
    begin, end = window
    notes = sorted(note for note in notes if begin < note.at <= end and note.part in parts)
    if len(notes) < RUN:
        return Verdict(None, [], 0, 0)
    phase = phase_of((note.at for note in notes[-4 * RUN :]), step)
    first, last = round((begin - phase) / step) + 1, round((end - phase) / step) - 1
    seen: dict[int, set[str]] = {}
    off: set[int] = set()
    errors: dict[int, list[float]] = {}
    for note in notes:
        number = round((note.at - phase) / step)
        error = note.at - phase - number * step
        errors.setdefault(number, []).append(error)
        if abs(error) > tolerance or note.pitch not in pitches:
            off.add(number)
        seen.setdefault(number, set()).add(note.part)
    well = [seen.get(n, set()) == set(parts) and n not in off for n in range(first, last + 1)]
    start = next(_runs(well), None)
    if start is None:
        return Verdict(None, [], 0, len(well))
    after = range(first + start, last + 1)
    return Verdict(
        round(phase + (first + start) * step),
        [error for number in after for error in errors.get(number, ())],
        well[start:].count(False),
        len(after),
    )


def _runs(well: list[bool]) -> Iterator[int]:
    """Where runs of RUN that are well begin."""
    length = 0
    for at, good in enumerate(well):
        length = length + 1 if good else 0
        if length >= RUN:
            yield at - RUN + 1
