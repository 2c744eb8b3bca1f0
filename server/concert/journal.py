"""What has really happened, in order, for whoever keeps, prints or shows it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from server.music.note import Note, Say


class Moment(NamedTuple):
    """When something was heard.

    seconds: since the transport started, humanising included.  beat: quarter notes, exact.
    bar: from 1.  position: beat within the bar, from 1.
    """

    seconds: float
    beat: Fraction
    bar: int
    position: float


class Played(NamedTuple):
    """A note has begun. duration: seconds; length: quarter notes, as it sounds."""

    moment: Moment
    note: Note
    duration: float


class Pressed(NamedTuple):
    """A note has begun that ends nobody knows when; `Played` follows with the same start."""

    moment: Moment
    note: Note


class Ticked(NamedTuple):
    """A beat of the bar has begun. tempo: quarter notes a minute."""

    moment: Moment
    tempo: float
    meter: str


class Harmonised(NamedTuple):
    """A chord has begun. classes: its pitch classes, root first."""

    moment: Moment
    name: str
    classes: tuple[int, ...]


class Turned(NamedTuple):
    """A control change was sent."""

    moment: Moment
    part: str
    channel: int
    controller: int
    value: int


class Programmed(NamedTuple):
    """A part has another sound. program, bank: from 0, or None."""

    moment: Moment
    part: str
    channel: int
    program: int | None
    bank: int | None


class Said(NamedTuple):
    """An OSC message of a part's own was sent."""

    moment: Moment
    part: str
    say: Say


class Marked(NamedTuple):
    """Something begins. kind: "scene", "key", "section", "stinger"; "ended" for that."""

    moment: Moment
    kind: str
    name: str


class Felt(NamedTuple):
    """The mood has moved. valence, arousal: -1 to 1; tension: 0 to 1; word: the nearest."""

    moment: Moment
    valence: float
    arousal: float
    tension: float
    word: str


class Moved(NamedTuple):
    """The transport has changed. state: "playing" or "stopped"."""

    moment: Moment
    state: str


class Synced(NamedTuple):
    """Who leads the tempo, or how he is, has changed.

    source: internal, midi or link.  state: leading; waiting, locking, locked, free, lost; joining,
    alone, linked.  tempo: quarter notes a minute.  peers: others in the session.  error: ms by
    which we are later than he is.
    """

    source: str
    state: str
    tempo: float
    peers: int
    error: float


class Troubled(NamedTuple):
    """Something is wrong and the music goes on. source: a part, an output, the clock."""

    source: str
    text: str


class Ported(NamedTuple):
    """An output's or input's state: open, waiting, lost, failed, muted or closed, and why.

    part: whose virtual port it is, "" where the port is not one part's own.
    """

    output: str
    state: str
    why: str
    part: str = ""

    @property
    def port(self) -> str:
        """What the port is called: by its output, and its part where it is one part's own."""
        return f"{self.output} {self.part}".rstrip()


Entry = (
    Played
    | Pressed
    | Ticked
    | Harmonised
    | Turned
    | Programmed
    | Said
    | Marked
    | Felt
    | Moved
    | Synced
    | Troubled
    | Ported
)


class Journal:
    """Passes every entry on to its listeners. A listener that raises is dropped, with a word."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Entry], None]] = []

    def add(self, listener: Callable[[Entry], None]) -> None:
        self._listeners.append(listener)

    def enter(self, entry: Entry) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(entry)
            except Exception as error:
                self._listeners.remove(listener)
                self.enter(Troubled("journal", f"a listener was dropped: {error!r}"))
