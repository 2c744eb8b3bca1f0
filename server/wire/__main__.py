"""`python -m server.wire FD`: the wire process, on an inherited stream socket."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from server.wire.loop import run

_PR_SET_TIMERSLACK = 29
_MCL_CURRENT, _MCL_ONFAULT = 1, 4
#: Below what JACK gives its server and clients (10 and 5), above everything ordinary.
_PRIORITY = 4


def be_punctual() -> None:
    """Ask the system for short sleeps, precedence and memory that stays; go on without."""
    gc.disable()
    gc.freeze()
    if sys.platform != "linux":
        return
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_TIMERSLACK, 1)
        # Only what is mapped now: with MCL_FUTURE a low limit would make later mappings fail.
        libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT)


def hush_libraries() -> None:
    """ALSA and JACK print their woes; those become states of ports. Python keeps its voice."""
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def serve(run: Callable[[socket.socket], int]) -> NoReturn:
    """Be a process of the planner's until it has gone, on the socket that is named as argument.

    The exit status is that of `run`.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # the planner decides; its end is our end of file
    hush_libraries()
    be_punctual()
    status = run(socket.socket(fileno=int(sys.argv[1])))
    sys.stderr.flush()
    # Ports are closed by now; a library whose server has died must not get to clean up.
    os._exit(status)


if __name__ == "__main__":
    serve(run)
