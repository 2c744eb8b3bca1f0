"""OSC over UDP: the bytes were encoded by the planner, here they only leave."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Any

from server.wire.ports import FAILED, Absent


class OscPort:
    """A connected UDP socket, IPv4 or IPv6.

    Settings: host (an address; names are resolved by the planner), number (1 to 65535).
    A peer that is not running yet is no fault: what it misses is counted in `refused`.
    """

    midi = False
    deaf = heavy = False

    def __init__(self, settings: dict[str, Any]) -> None:
        self.host, self.number = str(settings["host"]), int(settings["number"])
        self.connections: list[str] = []
        self.trouble = ""
        self.refused = 0
        self._refused_before = 0
        self._judge_at = 0
        self._socket: socket.socket | None = None

    def open(self) -> None:
        if not 0 < self.number < 65_536:
            raise Absent(f"a UDP port is a number from 1 to 65535, not {self.number}", FAILED)
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self.host, self.number, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )[0]
        except OSError as problem:
            raise Absent(f"{self.host}:{self.number} is no address: {problem}", FAILED) from None
        fresh = socket.socket(family, kind, protocol)
        try:
            fresh.setblocking(False)
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            fresh.connect(address)
        except OSError as problem:
            fresh.close()
            raise self._unreachable(problem) from None
        self._socket = fresh
        self._send = fresh.send

    def send(self, data: bytes) -> bool:
        try:
            self._send(data)
        except OSError as problem:
            return self._mend(data, problem)
        return True

    def _mend(self, data: bytes, problem: OSError) -> bool:
        if problem.errno == errno.ECONNREFUSED:
            # The answer to an earlier datagram, which also kept this one from leaving.
            self.refused += 1
            with suppress(OSError):
                self._send(data)
            return True
        if problem.errno in (errno.EAGAIN, errno.ENOBUFS):
            return False
        if problem.errno == errno.EMSGSIZE:
            return True  # too big a datagram can never leave
        raise self._unreachable(problem)

    def watch(self, now: int, calm: bool) -> bool:
        if now >= self._judge_at:
            self._judge_at = now + 1_000_000_000
            refused, self._refused_before = self.refused - self._refused_before, self.refused
            self.trouble = f"nobody listens on {self.host}:{self.number}" if refused else ""
        return False

    def flushed(self) -> bool:
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _unreachable(self, problem: OSError) -> Absent:
        said = os.strerror(problem.errno) if problem.errno else str(problem)
        return Absent(f"cannot reach {self.host}:{self.number}: {said}")
