"""A performer's OSC controller: sends to the control port, and hears the receipts."""

from __future__ import annotations

import select
import socket
import time

from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder


def free_port() -> int:
    """A UDP port of this machine that nobody has just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def message(address: str, *args: float | str) -> bytes:
    """An OSC message, encoded by other code than ours."""
    builder = OscMessageBuilder(address)
    for arg in args:
        builder.add_arg(arg)
    return bytes(builder.build().dgram)


class Door:
    """One controller at its own UDP port."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(("127.0.0.1", port))

    def send(self, address: str, *args: float | str) -> int:
        """Send a command; monotonic ns just before."""
        data = message(address, *args)
        at = time.monotonic_ns()
        self.throw(data)
        return at

    def throw(self, data: bytes) -> None:
        """Send these very bytes."""
        try:
            self._socket.send(data)
        except ConnectionRefusedError:  # the answer to what was sent before; this did not leave
            self._socket.send(data)

    def ask(self, address: str, *args: float | str, patience: float = 1.0) -> float:
        """Send a command and wait until it is done: ms. Errors: TimeoutError, ValueError."""
        self._drop()
        at = self.send(address, *args)
        limit = at / 1e9 + patience
        while (left := limit - time.monotonic()) > 0:
            if select.select([self._socket], [], [], left)[0]:
                taken = time.monotonic_ns()
                receipt = OscMessage(self._socket.recv(4096)).params
                if receipt[0] == address and receipt[1] == "done":
                    return (taken - at) / 1e6
                if receipt[0] == address and receipt[1] == "refused":
                    raise ValueError(f"{address} {args} was refused: {receipt[3]}")
        raise TimeoutError(f"{address} {args} was not done in {patience:g} s")

    def knock(self, address: str, *args: float | str, patience: float = 10.0) -> None:
        """Ask again and again until there is somebody to obey. Errors: TimeoutError."""
        limit = time.monotonic() + patience
        while True:
            try:
                self.ask(address, *args, patience=0.2)
            except (TimeoutError, ConnectionRefusedError):
                if time.monotonic() > limit:
                    raise
                time.sleep(0.05)
            else:
                return

    def _drop(self) -> None:
        while True:
            try:
                self._socket.recv(4096)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue

    def close(self) -> None:
        self._socket.close()
