"""Where this machine is in its network."""

from __future__ import annotations

import socket
from contextlib import suppress


def addresses(lan: bool) -> list[str]:
    """IPv4 addresses under which this machine can be reached."""
    if not lan:
        return ["127.0.0.1"]
    with suppress(OSError):
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        own = {str(address[0]) for *_, address in found if not str(address[0]).startswith("127.")}
        if own:
            return sorted(own)
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent; only the way there is looked up
        return [str(probe.getsockname()[0])]
    return ["127.0.0.1"]
