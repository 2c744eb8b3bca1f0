"""Pages beside the music: how fast they act, what they cost, and who reads nothing at all.

* latency: a command by WebSocket until its receipt is back, sent one by one while it plays;
* notes: the error of OSC notes on the grid, with nobody connected, with one page that hears
  everything, and with a hundred that read nothing;
* plan: how long before its time a page has a note;
* stalled: a hundred clients that ask for everything and never read: memory of the planner, how
  long until they are cut off, and what another client hears meanwhile.

The server is `componium play` as it is, but for the number of clients it lets in.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from server.desk.keys import the_token

from .receiver import ROOT, Receiver, grid_errors, quantile
from .sender import scene_text
from .show import table
from .timer import Timer

STEP = 62.5e6  # ns between notes
PARTS = 8
EVERYTHING = ["state", "beats", "marks", "notes", "plan", "why", "log"]
HEAD = ["figure", "value", "bar", "bare timer max ms"]


class Server:
    """A performance with a page. token: for who wants to change something."""

    def __init__(self, folder: Path, osc: int) -> None:
        self.token = the_token(folder / "componium" / "token")
        scene = folder / "scene.toml"
        scene.write_text(scene_text(PARTS, 240))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._options = [
            *("play", str(scene), "--quiet", "--midi", "none", "--control", "0"),
            *("--osc", f"127.0.0.1:{osc}", "--http", str(self.port)),
        ]
        self._environment = {**os.environ, "XDG_CONFIG_HOME": str(folder)}

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[int]:
        """Its process id, while it plays."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scripts.benches.web", *self._options),
            cwd=ROOT,
            env=self._environment,
        )
        try:
            async with asyncio.timeout(20):
                while True:
                    try:
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                        writer.close()
                        break
                    except OSError:
                        await asyncio.sleep(0.05)
            await asyncio.sleep(1)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            await process.wait()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[ClientWebSocketResponse]:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{self.port}/"
        async with ClientSession() as session, session.ws_connect(url, headers=headers) as made:
            yield made


def stalled(port: int) -> socket.socket:
    """A client that asks for everything and reads nothing."""
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    head = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    deaf.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    text = json.dumps({"hear": EVERYTHING}).encode()
    deaf.sendall(bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text)
    return deaf


def cut_off(deaf: socket.socket) -> bool:
    """Whether the server has let go of a client, by the state of its socket alone."""
    info = deaf.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return info[0] != 1  # TCP_ESTABLISHED


def resident(pid: int) -> float:
    """Mebibytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


async def latencies(server: Server, count: int) -> list[float]:
    """Ms from each command until its receipt, a level set anew every 20 ms."""
    found = []
    async with server.client() as client:
        for nth in range(count):
            await asyncio.sleep(0.02)
            value = 0.5 + nth % 50 / 100
            at = time.perf_counter()
            await client.send_json({"set": "/componium/part/p1/level", "args": [value], "id": nth})
            async for message in client:
                if json.loads(message.data).get("id") == nth:
                    break
            found.append((time.perf_counter() - at) * 1000)
    return found


async def hear(server: Server, seconds: float) -> list[float]:
    """Ms that each note of the plan comes before its time, heard by a page that hears it all."""
    ahead: list[float] = []
    async with server.client() as client:
        await client.send_json({"hear": EVERYTHING})
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = await client.receive(timeout=left)
            except TimeoutError:
                break
            if message.type != WSMsgType.TEXT:
                continue
            now = time.monotonic()
            plan = json.loads(message.data).get("plan", ())
            ahead += [(item["at"] - now) * 1000 for item in plan if item["event"] == "note"]
    return ahead


async def crowd(server: Server, pid: int, number: int) -> tuple[float, float, list[float]]:
    """Many who read nothing: MiB more, seconds until the last is cut off, a client's pings."""
    before, most = resident(pid), 0.0
    began = time.monotonic()
    deaf = [stalled(server.port) for _ in range(number)]
    pings: list[float] = []
    async with server.client() as client:
        while not all(map(cut_off, deaf)) and time.monotonic() - began < 30:
            at = time.perf_counter()
            await client.send_json({"ping": at})
            await client.receive()
            pings.append((time.perf_counter() - at) * 1000)
            most = max(most, resident(pid))
            await asyncio.sleep(0.02)
    took = time.monotonic() - began
    for each in deaf:
        each.close()
    return most - before, took, pings


async def notes(folder: Path, during: Any) -> tuple[list[float], str, Any]:
    """Errors in µs of the notes that leave while something goes on, and what that gives.

    Between them how much the machine itself has stalled meanwhile.
    """
    receiver = Receiver()
    server = Server(folder, receiver.port)
    async with server.playing() as pid:
        timer = Timer()
        result = await during(server, pid)
        stalls = f"{timer.stop():.1f}"
    stamps = [each.ns for each in receiver.stop() if b"/note\0" in each.data]
    stamps = [stamp for stamp in stamps if stamp - stamps[0] > 1e9]
    return [abs(error) / 1000 for error in grid_errors(stamps, STEP)], stalls, result


def spread(name: str, values: list[float], unit: str, bar: str, stalls: str) -> list[str]:
    figures = [quantile(values, q) for q in (0.5, 0.99)]
    middle, most = (f"{figure:,.1f}" for figure in figures)
    worst = f"{max(values, default=0):,.1f}"
    return [name, f"p50 {middle}, p99 {most}, max {worst} {unit} ({len(values)})", bar, stalls]


async def measure(seconds: float, count: int, number: int) -> list[list[str]]:
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        async def nobody(server: Server, pid: int) -> None:
            await asyncio.sleep(seconds)

        async def page(server: Server, pid: int) -> list[float]:
            return await hear(server, seconds)

        async def commands(server: Server, pid: int) -> list[float]:
            return await latencies(server, count)

        async def many(server: Server, pid: int) -> tuple[float, float, list[float]]:
            return await crowd(server, pid, number)

        errors, stalls, _ = await notes(folder, nobody)
        rows.append(spread("notes, nobody connected", errors, "µs", "", stalls))
        errors, stalls, ahead = await notes(folder, page)
        rows.append(spread("notes, a page that hears everything", errors, "µs", "", stalls))
        lowest = f"p1 {quantile(ahead, 0.01):.1f}, p50 {quantile(ahead, 0.5):.1f} ms"
        rows.append(
            ["a page has a note before its time by", f"{lowest} ({len(ahead)})", "", stalls]
        )
        _, stalls, times = await notes(folder, commands)
        rows.append(spread("a command until its receipt", times, "ms", "p99 ≤ 10", stalls))
        errors, stalls, (more, took, pings) = await notes(folder, many)
        rows.append(spread(f"notes, {number} who do not read", errors, "µs", "", stalls))
        rows.append([f"memory for {number} who do not read", f"{more:+.1f} MiB", "≤ 50", stalls])
        rows.append(["until the last of them is cut off", f"{took:.1f} s", "≤ 10", stalls])
        rows.append(spread("another client's pings meanwhile", pings, "ms", "", stalls))
    return rows


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench web", description=__doc__)
    ask.add_argument("--seconds", type=float, default=20, help="of each measurement of notes")
    ask.add_argument("--count", type=int, default=1000, help="commands")
    ask.add_argument("--stalled", type=int, default=100, help="clients that do not read")
    options = ask.parse_args(argv)
    print(table(HEAD, asyncio.run(measure(options.seconds, options.count, options.stalled))))


if __name__ == "__main__":
    import server.desk.web as web
    from server import cli

    web.CLIENTS, web.CONNECTIONS = 1000, 1000
    cli.main()
