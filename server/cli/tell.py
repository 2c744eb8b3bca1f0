"""`tell`: a command for the Componium that plays on this machine."""

from __future__ import annotations

from math import isfinite
from typing import Annotated

import typer

from engines.base import Mistake

from .manners import Family, ends, offer, offer_behind

commands = Family()


# Unknown options are values, such as -0.5.
@commands.command(
    epilog=ends("tell /tempo 132 16", "tell /part/bass/mute 1 bar"),
    context_settings={"ignore_unknown_options": True},
)
def tell(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="Such as /emotion or /componium/emotion.",
            autocompletion=offer("addresses"),
        ),
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE", help="Such as tense 4 bar.", autocompletion=offer_behind("values")
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=1, max=65535, help="As it was given to --control.")
    ] = 1821,
) -> None:
    """Send a command to the Componium that plays on this machine, and say what it answers."""
    from ..ensemble.encode import osc_message, whole

    if not address.isprintable() or not address.startswith("/"):
        raise Mistake("ADDRESS", f"expected such as /emotion, got {address!r}")
    answer = _answer(osc_message(whole(address), *map(_typed, values or ())), port)
    if answer is None:
        raise Mistake("--port", f"nothing answers on port {port}; is Componium playing?")
    _, state, bar, reason = answer
    text = state + (f" at bar {round(bar, 2):g}" if bar else "") + (f": {reason}" if reason else "")
    if state == "refused":
        raise Mistake(whole(address), text)
    print(text)


def _typed(word: str) -> int | float | str:
    """A word of the command line as OSC has it: a number where it is one."""
    for kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            continue
        if isfinite(number):
            return number
    return word


def _answer(command: bytes, port: int) -> tuple[str, str, float, str] | None:
    """The first receipt for a command that is sent to this machine; None where nobody is there."""
    import socket
    from contextlib import closing

    from ..desk.packet import Rejected, decode

    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as line:
        line.settimeout(10)  # of a scene that is large, reading takes a while
        line.connect(("127.0.0.1", port))
        try:
            line.send(command)
            messages = decode(line.recv(1 << 16))
        except OSError:
            return None
    if isinstance(messages, Rejected) or len(messages[0].args) != 4:
        return None
    about, state, bar, reason = messages[0].args
    return str(about), str(state), float(bar), str(reason)
