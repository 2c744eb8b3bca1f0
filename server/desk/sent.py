"""What Componium sends by OSC: for the reference, and to know its own messages coming back."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple


class Sent(NamedTuple):
    """One outgoing message under the prefix.

    types: of its arguments, as OSC tags; there may be more of the last.  arguments: type tag and
    meaning of each.  about: what it tells, for those who ask what was told last.
    """

    address: str
    types: str
    arguments: str
    when: str
    about: str


SENT = (
    Sent(
        "/part/NAME/note",
        "iff",
        "i pitch (MIDI), f velocity 0..1, f duration in seconds",
        "onset",
        "The last note of the part that has begun.",
    ),
    Sent("/part/NAME/off", "i", "i pitch", "end", "The last note of the part that has ended."),
    Sent(
        "/part/NAME/control",
        "ii",
        "i controller, i value 0..127",
        "control change",
        "The last control change of the part.",
    ),
    Sent(
        "/part/NAME/why",
        "ss",
        "s symbol, s origin",
        "with each note, where the target asks for `why`",
        "Why the last note of the part was played.",
    ),
    Sent(
        "/beat",
        "iif",
        "i bar, i beat (both from 1), f tempo",
        "every beat",
        "The bar, the beat in it (both from 1) and the tempo.",
    ),
    Sent(
        "/position",
        "iif",
        "i bar, i beat, both from 1 since play through all scenes, f quarter notes since play",
        "every beat",
        "The bar and the beat, both from 1 since play through all scenes, and the quarter notes.",
    ),
    Sent(
        "/chord",
        "si",
        "s name, then i pitch classes, root first",
        "on change",
        "The chord that sounds, and its pitch classes, root first.",
    ),
    Sent(
        "/chord/next",
        "sifi",
        "s name, i bar, f beat at which it begins, then i pitch classes",
        "as soon as it is known",
        "The chord that comes next, the bar and beat at which it begins, and its pitch classes.",
    ),
    Sent(
        "/chord/tension",
        "f",
        "f tension of the chord in its key, 0..1",
        "with each chord",
        "The tension of the chord in its key, 0 to 1.",
    ),
    Sent(
        "/mood/tension",
        "f",
        "f tension of the mood, 0..1",
        "on change, at most once a beat",
        "The tension of the mood, 0 to 1.",
    ),
    Sent("/key", "s", "s name", "on change", "The key."),
    Sent(
        "/scale",
        "si",
        "s name of the key, then i pitch classes, tonic first",
        "with each key",
        "The key, and its pitch classes, tonic first.",
    ),
    Sent("/section", "si", "s name, i bar", "on change", "The section, and its first bar."),
    Sent(
        "/section/next",
        "sif",
        "s name, i bar, f seconds until then",
        "in every bar, and on the beat after it changes, where another is to come within 256",
        "The section that comes next, its first bar, and in how many seconds that was to come when "
        "it was told.",
    ),
    Sent(
        "/cue",
        "si",
        "s name, i bar",
        "when a place is passed that the scene's author has named",
        "The last place with a name that was passed, and its bar.",
    ),
    Sent(
        "/mood",
        "ffs",
        "f valence, f arousal, s nearest word",
        "on change, at most once a beat",
        "The mood.",
    ),
    Sent(
        "/stinger",
        "ssi",
        "s name, s began or ended, i bar",
        "when a stinger begins and ends",
        "The last stinger that has begun or ended.",
    ),
    Sent(
        "/sync",
        "ssfi",
        "s source, s state, f tempo of the source, i peers",
        "on change; of the tempo alone at most twice a second",
        "Who leads the tempo.",
    ),
    Sent(
        "/transport", "s", "s playing or stopped", "on change", "Whether it is playing or stopped."
    ),
    Sent(
        "/receipt",
        "ssfs",
        "s address, s state (armed, then done, refused, superseded or cancelled), f bar at which "
        "it takes effect, s reason",
        "to the sender of a command",
        "The last receipt, whoever had it: an address, a state, a bar and a reason.",
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
