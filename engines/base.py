"""What every engine speaks: symbols, their origin, and the live controls they may read.

An engine is a *description*: a frozen value without state, clock or I/O. Asking it for
`symbols(rng, controls)` gives a fresh stream; pulling from that stream is the back-pressure.
Same description, same `rng` seed and same controls at each pull give the same symbols.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from fractions import Fraction
from random import Random
from typing import NamedTuple, Protocol, runtime_checkable


class Mistake(ValueError):  # noqa: N818  (a word a musician understands)
    """Something a user wrote is wrong, and where: `place, line 3, column 7: problem`.

    place: a dotted path such as `parts.melody.rules`; engines give only the field name
    (`rules`) and the scene loader puts the rest in front with `within`.
    line, column: both count from 1; 0 where there is none.
    problem: what was expected, what was found and what to do, in one or two sentences.
    """

    def __init__(self, place: str, problem: str, line: int = 0, column: int = 0) -> None:
        self.place, self.problem, self.line, self.column = place, problem, line, column
        where = place
        if line:
            where += f", line {line}"
        if column:
            where += f", column {column}"
        super().__init__(f"{where}: {problem}" if where else problem)

    def within(self, outer: str) -> Mistake:
        """The same mistake, its place seen from outside: `rules` within `parts.melody`."""
        place = f"{outer}.{self.place}" if self.place else outer
        return Mistake(place, self.problem, self.line, self.column)


class Sound(NamedTuple):
    """One note of a fragment.

    at, length: quarter notes from the fragment's start, and how long; exact.
    pitch: MIDI number, 0 to 127.  velocity: 0 to 1.
    voice: which staff, voice or channel of the fragment, from 0.
    """

    at: Fraction
    length: Fraction
    pitch: int
    velocity: float = 0.8
    voice: int = 0


class Fragment(NamedTuple):
    """A piece of finished music: a note, a chord, a bar on two staves, a whole tune.

    length: quarter notes until whatever follows; a fragment without sounds is a rest.
    """

    length: Fraction
    sounds: tuple[Sound, ...] = ()


class Origin:
    """Why a symbol was made. Costs little to keep; becomes words only when `str` asks.

    Engines subclass it with the fields they have at hand (rule and path, context and
    probability, cell). An origin must stay bounded however long the stream runs.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "unknown"


UNKNOWN = Origin()


class Symbol(NamedTuple):
    """One item of an engine's stream.

    name: what a reading looks up, and what is printed.
    origin: why it was made.
    args: parameters, as of a parametric L-system module F(1, 0.5).
    fragment: music that the symbol already is (a learnt chord with its duration, a bar on
    two staves, four voices); readings play it as it stands unless told otherwise.
    """

    name: str
    origin: Origin = UNKNOWN
    args: tuple[float, ...] = ()
    fragment: Fragment | None = None


#: An engine hands this out when it has used up the work of one pull and needs more: the
#: part rests one grid step and asks again. Live and rendered alike, so seeds still hold.
THINKING = Symbol("…")

#: Work an engine may do between two symbols before it must hand out THINKING.
WORK_PER_PULL = 10_000


class Heard(NamedTuple):
    """News: a fragment that a player or another part has just played, at a beat."""

    beat: Fraction
    fragment: Fragment


class Praise(NamedTuple):
    """News: a listener liked (+1) or disliked (-1) the note with this origin."""

    origin: Origin
    amount: float


News = Heard | Praise


class Controls:
    """The live values an engine may read at each pull, and the news addressed to it.

    values: by name; `bar` and `beat` (from 1, where the next symbol will land) are always
    there when a part pulls, others such as `arousal` (-1 to 1) where something sets them.
    """

    __slots__ = ("_news", "values")

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self.values: dict[str, float] = dict(values or {})
        self._news: deque[News] = deque(maxlen=1024)

    def get(self, name: str, default: float = 0.0) -> float:
        return self.values.get(name, default)

    def tell(self, news: News) -> None:
        """Leave news for the engine; of more than 1024 unread, the oldest are forgotten."""
        self._news.append(news)

    def news(self) -> list[News]:
        """All news since the last call, oldest first; each is handed out once."""
        news = list(self._news)
        self._news.clear()
        return news


@runtime_checkable
class Engine(Protocol):
    """A description that hands out streams. Its dataclass fields are its TOML keys.

    Constructing one validates it and raises `Mistake` with the field as place.
    """

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """A fresh stream; endless, or ending where the description says so."""
        ...

    def alphabet(self) -> frozenset[str] | None:
        """Every name the stream can hand out, or None where that is not known.

        Where it is not, and bare note values come after the symbols they belong to, the
        engine has an attribute `closes` that is true.
        """
        ...
