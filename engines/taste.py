"""What listeners have made of an engine's choices: praise by choice, fading, as plain data.

A listener reacts to what sounded a moment ago (Biles 1994, GenJam: the mentor's keys count for
what was played before them, by a reaction delay). Engines say which of their choices made a
symbol; here the praise is kept, and bends the weight of those choices when they come again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import exp, isfinite
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .base import Mistake, Origin

HALF_LIFE = 32.0  # bars after which half of a praise is left
STRONGEST = 2.0794415416798357  # ln 8: weights are bent by a factor of 1/8 to 8
MOST_CONTEXTS, MOST_OPTIONS = 4096, 256  # kept; in one context
LEAST_SHARE = 1 / 64  # of a praise that is passed on along a derivation
FORMAT = "componium taste 1"


class Lesson(NamedTuple):
    """One choice that had a part in a symbol. share: of the praise for it, 0 to 1."""

    context: str
    option: str
    share: float = 1.0


@runtime_checkable
class Teachable(Protocol):
    """An engine whose choices bend to praise."""

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """The choices behind a symbol that it handed out with this origin; none for others'."""
        ...


class Taste:
    """Praise for choices. now: bars since some beginning, set before anybody asks.

    Laws: without praise `bent` is empty; a factor is within 1/8 and 8, and 1 for what was never
    praised; it halves its logarithm every HALF_LIFE bars.
    """

    __slots__ = ("bent", "now")

    def __init__(self) -> None:
        self.bent: dict[str, dict[str, tuple[float, float]]] = {}  # sum and when it was that
        self.now = 0.0

    def add(self, lesson: Lesson, amount: float) -> None:
        """Praise (above 0) or blame (below) a choice. Of too many the oldest contexts go."""
        options = self.bent.pop(lesson.context, {})
        if len(options) >= MOST_OPTIONS and lesson.option not in options:
            del options[next(iter(options))]
        total = self._left(options.get(lesson.option, (0.0, self.now))) + amount * lesson.share
        options[lesson.option] = min(max(total, -STRONGEST), STRONGEST), self.now
        if len(self.bent) >= MOST_CONTEXTS:
            del self.bent[next(iter(self.bent))]
        self.bent[lesson.context] = options

    def factor(self, options: Mapping[str, tuple[float, float]], option: str) -> float:
        """What the weight of an option is to be multiplied by. options: of `bent`."""
        entry = options.get(option)
        return 1.0 if entry is None else exp(self._left(entry))

    def _left(self, entry: tuple[float, float]) -> float:
        total, since = entry
        fading: float = 0.5 ** (max(self.now - since, 0.0) / HALF_LIFE)
        return total * fading

    def begin(self) -> None:
        """Bars are counted from 0 again; what is left stays."""
        for options in self.bent.values():
            for option, entry in options.items():
                options[option] = self._left(entry), 0.0
        self.now = 0.0

    def to_data(self) -> dict[str, dict[str, float]]:
        """What is left, by context and option, as JSON has it."""
        return {
            context: {option: round(self._left(entry), 6) for option, entry in options.items()}
            for context, options in self.bent.items()
        }

    def load(self, data: Any) -> None:
        """Take over what `to_data` gave. Errors: Mistake where it is of another form."""
        if not isinstance(data, Mapping) or len(data) > MOST_CONTEXTS:
            raise Mistake("taste", f"expected at most {MOST_CONTEXTS} contexts with their options")
        bent: dict[str, dict[str, tuple[float, float]]] = {}
        for context, options in data.items():
            if not isinstance(options, Mapping) or len(options) > MOST_OPTIONS:
                raise Mistake("taste", f"expected at most {MOST_OPTIONS} options of {context!r}")
            for option, total in options.items():
                number = isinstance(total, int | float) and not isinstance(total, bool)
                if not number or not isfinite(total) or abs(total) > STRONGEST + 1e-6:
                    problem = f"expected a number from -{STRONGEST:.3f} to {STRONGEST:.3f}"
                    raise Mistake("taste", f"{problem} for {context!r}, got {total!r}")
                bent.setdefault(context, {})[option] = float(total), self.now
        self.bent.clear()
        self.bent.update(bent)
