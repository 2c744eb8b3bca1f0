"""A UDP receiver in a process of its own: the kernel's arrival stamp of every datagram."""

from __future__ import annotations

import array
import contextlib
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SO_TIMESTAMPNS = 35  # Linux; nanoseconds of the wall clock at which the kernel took it


class Arrival(NamedTuple):
    """ns: the kernel's stamp, wall clock.  data: the datagram's first 64 bytes."""

    ns: int
    data: bytes


def receive(descriptor: int, seconds: float) -> None:
    """Take datagrams for so long, then write them all to standard output."""
    inbox = socket.socket(fileno=descriptor)
    inbox.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    with contextlib.suppress(OSError):
        inbox.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE, as root
    inbox.settimeout(0.25)
    print("ready", flush=True)
    kept = []
    stop = False
    while not stop:
        try:
            data, ancillary, _, _ = inbox.recvmsg(65_535, 64)
        except TimeoutError:
            stop = sys.stdin.readable() and _asked_to_stop()
            continue
        if data == b"stop":
            break
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                whole, rest = struct.unpack("qq", value[:16])
                kept.append((whole * 10**9 + rest, data[:64]))
    out = sys.stdout.buffer
    out.write(array.array("q", [len(kept)]).tobytes())
    for ns, data in kept:
        out.write(struct.pack("<qH", ns, len(data)) + data)
    out.flush()


def _asked_to_stop() -> bool:
    import select

    return bool(select.select([sys.stdin], [], [], 0)[0])


class Receiver:
    """Its `port` takes datagrams until `stop`, which gives what arrived."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        descriptor = self.socket.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benches.receiver", str(descriptor)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[descriptor],
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> list[Arrival]:
        """What has arrived, in order; the process is gone afterwards."""
        assert self._process.stdout is not None and self._process.stdin is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.sendto(b"stop", ("127.0.0.1", self.port))
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        blob = self._process.stdout.read()
        self._process.wait()
        self.socket.close()
        return list(_unpack(blob))


def _unpack(blob: bytes) -> Iterator[Arrival]:
    at = 8
    for _ in range(array.array("q", blob[:8])[0]):
        ns, size = struct.unpack_from("<qH", blob, at)
        yield Arrival(ns, blob[at + 10 : at + 10 + size])
        at += 10 + size


def grid_errors(stamps: list[int], step_ns: float) -> list[float]:
    """How far each stamp is from the best-fitting exact grid of this step, in ns, signed.

    The step is the asked one, so a sender that drifts is seen to drift; only the phase is
    fitted, by the circular median.
    """
    if not stamps:
        return []
    first = stamps[0]
    phases = sorted(((stamp - first + step_ns / 2) % step_ns) - step_ns / 2 for stamp in stamps)
    middle = phases[len(phases) // 2]
    return [((stamp - first - middle + step_ns / 2) % step_ns) - step_ns / 2 for stamp in stamps]


def quantile(values: list[float], q: float) -> float:
    """The q-quantile (0 to 1) of values, the nearest one; NaN where there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


if __name__ == "__main__":
    receive(int(sys.argv[1]), 0)
