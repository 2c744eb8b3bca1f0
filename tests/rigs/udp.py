"""A UDP receiver whose datagrams carry the kernel's stamp of arrival."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import NamedTuple

_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33


class Arrival(NamedTuple):
    """at: monotonic nanoseconds at which the kernel had it."""

    at: int
    data: bytes


class Receiver:
    """Listens on a port of 127.0.0.1; Linux only. `drain` before its buffer is full.

    size: bytes of buffer asked for; a small datagram takes about 800.  port: 0 for a free one.
    """

    def __init__(self, size: int = 64 << 20, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        with contextlib.suppress(PermissionError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def drain(self) -> list[Arrival]:
        """Everything that has arrived since the last time, in order."""
        shift = time.time_ns() - time.monotonic_ns()
        arrivals = []
        with contextlib.suppress(BlockingIOError):
            while True:
                data, extra, _, _ = self._socket.recvmsg(65_536, 256)
                seconds, nanoseconds = struct.unpack("qq", extra[0][2])
                arrivals.append(Arrival(seconds * 1_000_000_000 + nanoseconds - shift, data))
        return arrivals

    def close(self) -> None:
        self._socket.close()
