"""What Componium sends by OSC: for the reference, and to know its own messages coming back."""

from __future__ import annotations

import re
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
    Sent("/chord", "s name, then i pitch classes, root first", "on change"),
    Sent("/key", "s name", "on change"),
    Sent("/transport", "s playing or stopped", "on change"),
    Sent(
        "/receipt",
        "s address, s state (armed, done, refused, superseded), f bar at which it takes effect, "
        "s reason",
        "to the sender of a command",
    ),
)

_OWN = re.compile(
    "/componium(?:"
    + "|".join(re.escape(sent.address).replace("NAME", "[^/]+") for sent in SENT)
    + r")\Z"
)


def is_sent(address: str) -> bool:
    """Whether this is one of Componium's own outgoing messages."""
    return _OWN.match(address) is not None
