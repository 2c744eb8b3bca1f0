"""What every engine speaks: symbols, their origin, and the live controls they may read.

An engine is a *description*: a frozen value without state, clock or I/O. Asking it for
`symbols(rng, controls)` gives a fresh stream; pulling from that stream is the back-pressure.
Same description, same `rng` seed and same controls at each pull give the same symbols.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from engines.taste import Taste


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


LISTED = 12  # names that a mistake lists at most
_LONGEST_NAME = 60  # characters of a name that are shown, or compared


def listed(names: Iterable[str]) -> str:
    """Some names in a row; not more than can be read."""
    known = list(names)
    rest = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return ", ".join(known[:LISTED]) + rest if known else "nothing"


def meant(name: str, known: Iterable[str]) -> str:
    """What a name that nobody knows is likely to mean: "did you mean 'Boss'? "; "" if nothing.

    Law: a name that differs in case alone is the one that is meant.
    """
    near = nearest(name, known)
    return f"did you mean {near!r}? " if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of these names that is so near another that it may be meant; "" if none is."""
    return _nearest(name[: _LONGEST_NAME + 1], tuple(known))


@lru_cache(maxsize=256)  # of those who mistype most do so again and again
def _nearest(name: str, known: tuple[str, ...]) -> str:
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(name.casefold(), folded, 1)
    return folded[near[0]] if near else ""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Says that nothing of a kind, such as "section", has this name, which is near and what is."""
    names = list(known)
    shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
    near = meant(name, names)
    there = f"here are {listed(names)}" if names else "here is none"
    return f"no {what} is called {shown!r}; {near}{'T' if near else 't'}{there}"


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


class Held(NamedTuple):
    """News: a player holds a chord, from a beat on until another.

    chord: its name, as `Cm7/G`.  pitches: the MIDI numbers that are held, lowest first.
    """

    beat: Fraction
    chord: str
    pitches: tuple[int, ...]


News = Heard | Praise | Held


class Past(NamedTuple):
    """What a player has played to an engine before its stream began: to be known, not answered.

    phrases: the latest of them, oldest first.  number: how many there were in all.
    """

    phrases: tuple[Heard, ...] = ()
    number: int = 0


class Live(NamedTuple):
    """A live value that every engine may read by its name.

    neutral: what it is where nothing sets it.  about: what it says, with its range.
    """

    neutral: float
    about: str


#: Live values that are always there; a scene's [controls] may set the others, bar and beat
#: aside, and add its own. Every name that begins with IN is there too: whether that section
#: plays now, 0 or 1, by default 0.
LIVE: dict[str, Live] = {
    "bar": Live(1, "the bar that the next symbol will land in, from 1"),
    "beat": Live(1, "the beat of the bar that it will land on, from 1"),
    "valence": Live(0, "the mood, from unpleasant (-1) to pleasant (1)"),
    "arousal": Live(0, "the mood, from asleep (-1) to wildly awake (1)"),
    "tension": Live(0.25, "the mood, from at rest (0) to unbearable (1)"),
    "energy": Live(0.5, "how much is going on, 0 to 1"),
    "phrase_bar": Live(1, "the bar of the phrase, from 1"),
    "phrase_left": Live(1, "bars of the phrase still to play, this one included"),
    "section_bar": Live(1, "the bar of the section, from 1"),
    "section_left": Live(1, "bars of the section still to play, this one included"),
    "fill": Live(0, "whether this bar leads over into what follows, 0 or 1"),
    "section_number": Live(1, "which section of the piece this is, from 1"),
    "visit": Live(1, "how often this section has come by now, from 1"),
    "theme": Live(0, "which of the scene's themes is due, from 1; 0 for each in turn"),
    "likeness": Live(1, "how like itself that theme is to be, 0 to 1"),
    "playing": Live(0, "whether a player is playing whom the part listens to, 0 or 1"),
}
IN = "in_"


class Use(NamedTuple):
    """Where a live value is read in what an engine was given.

    place, line, column: of the field and within it, as of a `Mistake`.
    """

    name: str
    place: str
    line: int = 0
    column: int = 0


class Controls:
    """The live values an engine may read at each pull, and the news addressed to it.

    values: by name; those of `LIVE` are always there, `bar` and `beat` as they are where the
    next symbol will land, others where the scene has them among its [controls].
    taste: what listeners have made of the engine's choices, where anybody keeps it.
    past: what it was told before its stream began.
    """

    __slots__ = ("_news", "past", "taste", "values")

    def __init__(self, values: Mapping[str, float] | None = None) -> None:
        self.values: dict[str, float] = _NEUTRAL | dict(values or {})
        self._news: deque[News] = deque(maxlen=1024)
        self.taste: Taste | None = None
        self.past = Past()

    def get(self, name: str, default: float = 0.0) -> float:
        """A value, the neutral one of `LIVE` where nothing has set it."""
        return self.values.get(name, default)

    def tell(self, news: News) -> None:
        """Leave news for the engine; of more than 1024 unread, the oldest are forgotten."""
        self._news.append(news)

    def news(self) -> list[News]:
        """All news since the last call, oldest first; each is handed out once."""
        news = list(self._news)
        self._news.clear()
        return news


_NEUTRAL = {name: live.neutral for name, live in LIVE.items()}


@runtime_checkable
class Engine(Protocol):
    """A description that hands out streams. Its dataclass fields are its TOML keys.

    Constructing one validates it and raises `Mistake` with the field as place. Values come as
    TOML has them, lists as tuples. A field with `metadata={"reads": "tunes"}` is given file
    patterns in a scene and gets what the files hold, as a tuple of `Fragment`s; one with
    `metadata={"reads": "json"}` is given a file's name and gets its content. Where the scene says
    nothing, one that reads "themes" gets the scene's, as a tuple of `Motif`s, and one that reads
    "bar" the quarter notes in its bars; one that reads "named themes" gets those it is given the
    names of. Another seed's themes take the place of the old in both.

    What else an engine may say of itself is optional: `Closes`, `Reads`, `Remembers`, `Yields` and
    `Structured`.
    """

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """A fresh stream; endless, or ending where the description says so."""
        ...

    def alphabet(self) -> frozenset[str] | None:
        """Every name the stream can hand out, or None where that is not known."""
        ...


@runtime_checkable
class Closes(Protocol):
    """An engine that says whether bare note values come after the symbols they belong to.

    Only where `alphabet()` is None does anybody ask; else the names say so themselves.
    """

    @property
    def closes(self) -> bool:
        """Whether pitches wait for a note value that comes as a symbol of its own."""
        ...


@runtime_checkable
class Reads(Protocol):
    """An engine that reads live values by names somebody wrote, so that a slip is found."""

    def reads(self) -> Iterable[Use]:
        """Each live value that it may ever ask for, where it is first written."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """An engine that learns from what a player plays: so many notes of it, 0 for none."""

    @property
    def remember(self) -> int: ...


@runtime_checkable
class Yields(Protocol):
    """An engine that makes room for a player: what is planned of it is dropped when one begins."""

    @property
    def yields(self) -> bool: ...


@runtime_checkable
class Structured(Protocol):
    """An engine of whose symbols some may only shape others, and need no meaning."""

    def structure(self) -> frozenset[str]:
        """Names that may stay without a meaning, and have one without being in `alphabet()`."""
        ...
