"""What Componium sends by OSC: for the reference, and to know its own messages coming back."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple


class Sent(NamedTuple):
    """One outgoing message under the prefix. arguments: type tag and meaning of each."""

    address: str
    arguments: str
    when: str


SENT = (
    Sent("/part/NAME/note", "i pitch (MIDI), f velocity 0..1, f duration in seconds", "onset"),
    Sent("/part/NAME/off", "i pitch", "end"),
    Sent("/part/NAME/control", "i controller, i value 0..127", "control change"),
    Sent("/part/NAME/why", "s symbol, s origin", "with each note, where the target asks for `why`"),
    Sent("/beat", "i bar, i beat (both from 1), f tempo", "every beat"),
    Sent(
        "/position",
        "i bar, i beat, both from 1 since play through all scenes, f quarter notes since play",
        "every beat",
    ),
    Sent("/chord", "s name, then i pitch classes, root first", "on change"),
    Sent(
        "/chord/next",
        "s name, i bar, f beat at which it begins, then i pitch classes",
        "as soon as it is known",
    ),
    Sent("/chord/tension", "f tension of the chord in its key, 0..1", "with each chord"),
    Sent("/mood/tension", "f tension of the mood, 0..1", "on change, at most once a beat"),
    Sent("/key", "s name", "on change"),
    Sent("/scale", "s name of the key, then i pitch classes, tonic first", "with each key"),
    Sent("/section", "s name, i bar", "on change"),
    Sent(
        "/section/next",
        "s name, i bar, f seconds until then",
        "in every bar, and on the beat after it changes, where another is to come within 256",
    ),
    Sent("/cue", "s name, i bar", "when a place is passed that the scene's author has named"),
    Sent("/mood", "f valence, f arousal, s nearest word", "on change, at most once a beat"),
    Sent("/stinger", "s name, s began or ended, i bar", "when a stinger begins and ends"),
    Sent(
        "/sync",
        "s source, s state, f tempo of the source, i peers",
        "on change; of the tempo alone at most twice a second",
    ),
    Sent("/transport", "s playing or stopped", "on change"),
    Sent(
        "/receipt",
        "s address, s state (armed, then done, refused, superseded or cancelled), f bar at which "
        "it takes effect, s reason",
        "to the sender of a command",
    ),
)

_OWN = re.compile(
    "/componium(?:"
    + "|".join(re.escape(sent.address).replace("NAME", "[^/]+") for sent in SENT)
    + r")\Z"
)


def is_echo(address: str, args: Sequence[object], words: Collection[str]) -> bool:
    """Whether this can only be our own message, though commands have the same address.

    words: what moods are called.
    """
    kinds = "".join("s" if isinstance(arg, str) else "n" for arg in args)
    if address == "/componium/mood":
        return kinds == "nns" and args[2] in words
    if address == "/componium/sync":
        return kinds == "ssnn"
    return (address, kinds) in (("/componium/section", "sn"), ("/componium/stinger", "ssn"))


def is_sent(address: str) -> bool:
    """Whether this is one of Componium's own outgoing messages."""
    return _OWN.match(address) is not None
