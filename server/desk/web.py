"""HTTP and WebSocket on one port: page, OSCQuery, commands and the feed; `docs/web.md` tells all.

Everything a stranger can send is bounded here: connections, headers, bodies, frames, clients, and
how long anybody may take.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import mimetypes
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.web_protocol import RequestHandler

from engines.base import Mistake
from server.band.bands import band_in
from server.ensemble.encode import osc_message, whole

from .desk import Source
from .feed import RATE, WORDS, Feed, Listener, Outbox, compact
from .keys import Keys
from .lanes import Paced
from .limits import Bucket
from .osc import owner_of
from .packet import ADDRESS, ARGUMENTS, ELEMENTS, Message, Rejected, decode
from .seats import Seats
from .tree import LONGEST_RULES, ROLES, Role, Value

PORT = 1822
CONNECTIONS, CLIENTS = 64, 32
WAITING, ACCEPTED = 128, 2  # connections that may wait, and that are taken in one turn of the loop
LINE, BODY, FRAME = 8190, 1 << 20, 64 << 10  # bytes
HEADERS_IN, BODY_IN, ANSWER_IN = 5.0, 10.0, 2.0  # s
COMMANDS, ANSWERS = 100, 200  # of one client, and to all together what takes long, a second
LISTENED = 1024  # addresses, by one client
BANDS = 16  # besides the one without a name, that one client hears
PING, GONE = 5.0, 9.0  # s
TEND = 0.25  # s between two looks at who is still there
BUFFER = 32 << 10  # bytes under way to a client that cannot be taken back
LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
FOLDER = Path(__file__).parent / "page"

OPEN = ("/favicon.ico", "/healthz")  # to whoever reaches us, as the files of the page are
STRANGE = "beyond this machine this needs the token: open the link that play prints"

#: What is fetched of takes; a band's name has no more letters than `check_name` lets it have.
_TAKE = re.compile(r"(?:/session/(?P<band>[A-Za-z0-9_.-]{1,64}))?/take\.(?P<kind>mid|jsonl)")
_SILENT = logging.getLogger("componium.web")  # what strangers send is not worth a line each
_SILENT.disabled = True
_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "Componium",
}


class Manners:
    """Who may ask. names: hosts besides this machine's loopback.  lan: addresses are hosts too.

    origins: of pages elsewhere that may, such as "http://localhost:8000".
    """

    def __init__(
        self, names: Iterable[str] = (), origins: Iterable[str] = (), lan: bool = False
    ) -> None:
        self._hosts = LOCAL | {name.lower() for name in names}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._lan = lan

    @staticmethod
    def at_home(address: str) -> bool:
        """Whether an address is of this machine, where everybody may see everything."""
        with suppress(ValueError):
            return ip_address(address).is_loopback
        return False

    def accepts(self, host: str, origin: str | None) -> bool:
        """Whether a request with these headers is from whom it should be.

        A name that somebody else's page has rebound to us is no host of ours, and no address.
        """
        host = host.lower()
        if not self._is_ours(host):
            return False
        if origin is None or origin.lower() in self._origins:
            return True
        return origin.lower() in (f"http://{host}", f"https://{host}")

    def _is_ours(self, host: str) -> bool:
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            name, port = host, "1"
        if not (port.isascii() and port.isdigit()):
            return False
        if name in self._hosts:
            return True
        if not self._lan:
            return False
        with suppress(ValueError):
            ip_address(name.removeprefix("[").removesuffix("]"))
            return True
        return False


class _Connection(RequestHandler):
    """One connection; cut off if it is one too many, or if its first request does not come."""

    __slots__ = ("_door", "_limit")

    def __init__(self, door: Web, manager: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            logger=_SILENT,
            keepalive_timeout=HEADERS_IN,
            max_line_size=LINE,
            max_headers=64,
            max_field_size=LINE,
            lingering_time=0,
            auto_decompress=False,
        )
        self._door = door
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        if not self._door.seat(self, str((transport.get_extra_info("peername") or ("?",))[0])):
            cut(transport)
            return
        transport.set_write_buffer_limits(high=BUFFER)
        self._limit = asyncio.get_running_loop().call_later(HEADERS_IN, cut, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.calm()
        self._door.connections.leave(self)
        super().connection_lost(exc)

    @property
    def silent(self) -> bool:
        """Whether its first request has not come yet."""
        return self._limit is not None

    def end(self) -> None:
        """Cut it off: somebody else needs the place."""
        if isinstance(self.transport, asyncio.Transport):
            cut(self.transport)

    def calm(self) -> None:
        """A whole request has come."""
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


class Client:
    """One WebSocket: what it says goes to the desk, what it hears comes from the feed."""

    def __init__(
        self, door: Web, socket: web.WebSocketResponse, transport: asyncio.Transport,
        name: str, address: str, role: Role,
    ) -> None:  # fmt: skip
        self._door, self._socket, self._transport = door, socket, transport
        self.name, self.address, self.role = name, address, role
        self.strange = role == "view" and not Manners.at_home(address)  # until the token comes
        self._ready = asyncio.Event()
        self.outbox = Outbox(door.now, self._ready.set)
        self._joined: dict[str, tuple[Feed, Listener]] = {
            "": (door.feed, door.feed.join(self.outbox))
        }
        self._paced = Paced(door.desk, COMMANDS, door.now)
        self._asks = Bucket(COMMANDS, time.monotonic_ns())
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._pinged_at = self._came_at = self._loop.time()

    # Out --------------------------------------------------------------------------------

    async def write(self) -> None:
        """Send what waits, as fast as the client reads."""
        while not self._socket.closed:
            if self._loop.time() - self._pinged_at >= PING:
                self._pinged_at = self._loop.time()
                await self._socket.ping()
            data = self.outbox.take()
            if data is None:
                self._ready.clear()
                await self._ready.wait()
            elif isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_bytes(data)

    def tend(self, now: float) -> None:
        """Ask whether it still lives; cut it off if it does not read. now: of the loop, in s."""
        late = self.strange and now - self._came_at > HEADERS_IN
        if now - self.heard_at > GONE or self.outbox.full or late:
            self.cut()
        elif now - self._pinged_at >= PING:
            self._ready.set()

    def say(self, value: Any) -> None:
        self.outbox.put(compact(value))

    def cut(self) -> None:
        """Cut it off."""
        cut(self._transport)

    async def end(self) -> None:
        """Say good-bye; one who does not listen is cut off."""
        with suppress(Exception):
            async with asyncio.timeout(0.2):
                await self._socket.close(code=WSCloseCode.GOING_AWAY)
        self.cut()

    # In ---------------------------------------------------------------------------------

    async def read(self) -> None:
        """Do what it says until it goes."""
        while True:
            message = await self._socket.receive()
            self.heard_at = self._loop.time()
            if message.type == WSMsgType.TEXT:
                await self._text(message.data)
            elif message.type == WSMsgType.BINARY:
                self._packet(message.data)
            elif message.type == WSMsgType.PING:
                await self._socket.pong(message.data)
            elif message.type != WSMsgType.PONG:
                return

    async def _text(self, text: str) -> None:
        if self.strange and '"token"' not in text:
            self._refuse(STRANGE)
            return
        if text.startswith("/"):  # a query, as some OSCQuery clients put it
            await self._door.ration()
            self.say(self._door.feed.query.answer(text)[1])
            return
        try:
            asked = json.loads(text)
        except (ValueError, RecursionError):
            self._refuse("this is no JSON")
            return
        try:
            await self._obey(asked)
        except Mistake as mistake:
            identity = asked.get("id") if isinstance(asked, dict) else None
            plain = isinstance(identity, str | int | float) and len(str(identity)) <= ADDRESS
            self._refuse(str(mistake), identity if plain else None)

    async def _obey(self, asked: Any) -> None:
        if not isinstance(asked, dict):
            raise Mistake("", 'expected an object, such as {"hear": ["state"]}')
        if self.strange and asked.keys() != {"token"}:
            raise Mistake("", STRANGE)
        feed = self._door.feed
        if "set" in asked or "all" in asked:
            several = asked.get("all", [asked])
            self._command([message_of(each) for each in _list(several)], _id(asked))
            return
        while not self._asks.take(time.monotonic_ns()):
            await asyncio.sleep(1 / COMMANDS)  # nothing more is read meanwhile
        if "ping" in asked:
            self.say(
                {"pong": _scalar(asked["ping"], "ping"), "now": round(self._door.now() / 1e9, 6)}
            )
        elif "hear" in asked:
            words = _list(asked["hear"])
            wrong = [each for each in words if not (isinstance(each, str) and each in WORDS)]
            if wrong:
                raise Mistake("hear", f"expected some of {', '.join(sorted(WORDS))}")
            name = asked.get("session", "")
            if not isinstance(name, str):
                raise Mistake("session", "expected a name")
            await self._door.ration()
            there, listener = self._feed(name)
            there.hear(listener, words, self.role)
        elif "token" in asked:
            token = asked["token"] if isinstance(asked["token"], str) else ""
            role = await self._door.role_of(self.address, token)
            self.role = max(self.role, role, key=ROLES.index)
            if self.role != "view":
                self.strange = False
                self._door.clients.trust(self)
            self.say({"role": self.role})
        elif asked.get("COMMAND") in ("LISTEN", "IGNORE"):
            address = asked.get("DATA")
            if not isinstance(address, str) or len(address) > ADDRESS:
                raise Mistake("DATA", "expected an address")
            listened = sum(len(listener.listens) for _, listener in self._joined.values())
            if asked["COMMAND"] == "IGNORE":
                there, listener = self._feed(band_in(address))
                there.ignore(listener, address)
            elif feed.query.described(address, ()) is None:
                raise Mistake("LISTEN", feed.query.answer(address)[1]["error"])
            elif listened >= LISTENED:
                raise Mistake("LISTEN", f"expected at most {LISTENED} addresses")
            else:
                there, listener = self._feed(band_in(address))
                there.listen(listener, address)
        else:
            raise Mistake("", "expected one of set, all, hear, ping, token, COMMAND")

    def _feed(self, name: str) -> tuple[Feed, Listener]:
        """What is heard of a band, and as whom. Errors: Mistake."""
        joined = self._joined
        there = self._door.feed_of(name)
        if joined.get(name, (None,))[0] is not there:
            for gone in [each for each, (feed, who) in joined.items() if who not in feed.listeners]:
                del joined[gone]
            if len(joined) > BANDS:
                raise Mistake("session", f"expected at most {BANDS} bands")
            joined[name] = there, there.join(self.outbox)
        return joined[name]

    def _command(self, messages: list[Message], identity: Any) -> None:
        known = {} if identity is None else {"id": identity}

        def answer(address: str, values: tuple[Value, ...]) -> None:
            self.say(receipt(values) | known)

        self._paced.enter(messages, Source(self.name, self.role, answer))

    def _packet(self, data: bytes) -> None:
        if self.strange:
            self._refuse(STRANGE)
            return
        messages = decode(data)
        if isinstance(messages, Rejected):
            self._refuse(messages.why)
            return

        def answer(address: str, values: tuple[Value, ...]) -> None:
            self.outbox.put(osc_message(address, *values))

        self._paced.enter(messages, Source(self.name, self.role, answer))

    def _refuse(self, why: str, identity: Any = None) -> None:
        self.say({"error": why} | ({} if identity is None else {"id": identity}))

    def leave(self) -> None:
        """It has gone."""
        for feed, listener in self._joined.values():
            feed.leave(listener)
        self.outbox.closed = True
        self._paced.close()


class Web:
    """The door on one port. `open` it once; `close` it at the end.

    now: monotonic nanoseconds.  most_connections, most_clients: where not the usual ones.
    pages: what else there is to read, by path: its status, kind and text.
    """

    def __init__(
        self,
        feed: Feed,
        keys: Keys,
        manners: Manners | None = None,
        most_connections: int = 0,
        most_clients: int = 0,
        now: Callable[[], int] = time.monotonic_ns,
        pages: Mapping[str, Callable[[], tuple[int, str, str]]] = MappingProxyType({}),
    ) -> None:
        self._pages = pages
        self.feed, self.desk, self.keys, self.now = feed, feed.desk, keys, now
        self._manners = manners or Manners()
        self.connections: Seats[_Connection] = Seats(most_connections or CONNECTIONS)
        self.clients: Seats[Client] = Seats(most_clients or CLIENTS)
        self._server = web.Server(self._handle)
        self._listening: list[asyncio.Server] = []
        self._turn, self._rate = asyncio.Lock(), Bucket(ANSWERS, time.monotonic_ns())
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def open(self, sockets: Iterable[socket.socket]) -> None:
        """Listen on sockets that are bound already."""
        loop = asyncio.get_running_loop()
        for each in sockets:
            self.port = self.port or each.getsockname()[1]
            made = await loop.create_server(
                lambda: _Connection(self, self._server, loop), sock=each, backlog=ACCEPTED
            )
            self._listening.append(made)
            each.listen(WAITING)  # asyncio takes as many at once as may wait
        self._task = loop.create_task(self._tend())

    async def close(self) -> None:
        """Say good-bye to everybody and give the port back; 0.5 s at most."""
        if self._task is not None:
            self._task.cancel()
        for each in self._listening:
            each.close()
        await asyncio.gather(*(client.end() for client in self.clients))
        with suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await self._server.shutdown(0.1)

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        tended = loop.time()
        while True:
            await asyncio.sleep(1 / RATE if self.feed.listeners else TEND)
            try:
                self.feed.look()
            except Exception as error:
                self.desk.complaints.add("web", f"cannot tell how things are: {error!r}")
            if loop.time() - tended >= TEND:
                tended = loop.time()
                for client in self.clients:
                    client.tend(tended)

    def seat(self, connection: _Connection, address: str) -> bool:
        """Whether there is room for a connection; one that only waits gives way to it."""
        found, gone = self.connections.take(connection, address)
        if not found:
            gone = next((each for each in self.connections if each.silent), None)
            if gone is None:
                return False
            self.connections.leave(gone)
            self.connections.take(connection, address)
        if gone is not None:
            gone.end()
        return True

    def feed_of(self, name: str) -> Feed:
        """What a band's listeners hear. Errors: Mistake where there is none of this name."""
        if not name:
            return self.feed
        sessions = self.desk.sessions
        if sessions is None:
            raise Mistake("session", "there are no sessions here")
        feed = sessions.find(name).feed
        assert feed is not None  # where there is a page, there is a feed
        return feed

    async def ration(self) -> None:
        """Wait for one's turn: of what takes a millisecond, one is done in a turn of the loop.

        So a crowd that comes all at once has to wait, and the music does not.
        """
        async with self._turn:
            while not self._rate.take(time.monotonic_ns()):
                await asyncio.sleep(1 / ANSWERS)
            await asyncio.sleep(0)

    # Requests ---------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.protocol, _Connection):
            request.protocol.calm()
        try:
            return await self._respond(request)
        except web.HTTPException as refused:
            return _text(refused.status, refused.reason)
        except TimeoutError:
            return _text(408, "that took too long")
        except Exception as error:
            if not isinstance(error, ConnectionError):
                self.desk.complaints.add("web", f"a request went wrong: {error!r}")
            return _text(500, "went wrong")

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        if not self._manners.accepts(headers.get("Host", ""), headers.get("Origin")):
            return _text(403, "this host or origin is not let in; docs/web.md says which are")
        role = await self._role(request)
        if role != "view" and isinstance(request.protocol, _Connection):
            self.connections.trust(request.protocol)
        await self.ration()
        if headers.get("Upgrade", "").lower() == "websocket":
            return await self._converse(request, role)
        if request.method in ("GET", "HEAD"):
            return await self._show(request, role)
        if request.method != "POST":
            return _text(405, "expected GET or POST")
        if request.path == "/session":
            return self._remember(request, role)
        return await self._command(request, role)

    async def _role(self, request: web.BaseRequest) -> Role:
        """What whoever asks may do. Errors: HTTPUnauthorized where he shows a wrong token."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if not token or kind.lower() != "bearer":
            cookie = ""
            with suppress(Exception):
                cookie = request.cookies.get(self._cookie, "")
            return self.keys.role("", cookie)
        role = await self.role_of(request.remote or "", token.strip())
        if role == "view":
            raise web.HTTPUnauthorized(reason="this token is wrong")
        return role

    async def role_of(self, address: str, token: str) -> Role:
        """What a token allows; whoever has guessed wrong too often waits for the answer."""
        if self.keys.tries_too_often(address, self.now()):
            await asyncio.sleep(1)
        role = self.keys.role(token)
        if role == "view":
            self.keys.suspect(address, self.now())
            self.desk.complaints.add("wrong tokens", f"web {address}: shows a wrong token")
        return role

    @property
    def _cookie(self) -> str:
        return f"componium-{self.port}"  # cookies do not tell ports apart

    def _remember(self, request: web.BaseRequest, role: Role) -> web.Response:
        if role == "view":
            return _text(401, "expected Authorization: Bearer TOKEN")
        response = _text(204, "")
        response.set_cookie(
            self._cookie, self.keys.cookie, httponly=True, samesite="Strict", path="/"
        )
        return response

    async def _show(self, request: web.BaseRequest, role: Role) -> web.Response:
        path, asks = request.path, request.query_string
        plain = not asks or asks.startswith("session=")  # which the page itself reads
        page = path == "/" and plain and "text/html" in request.headers.get("Accept", "")
        strange = role == "view" and not Manners.at_home(request.remote or "")
        if strange and not (page or path in OPEN or path.startswith("/page/")):
            return _text(401, STRANGE)
        if path in self._pages:
            return self._more(*self._pages[path]())
        if page:
            return await self._file(request, "index.html")
        if path.startswith("/page/") or path == "/favicon.ico":
            return await self._file(request, path.removeprefix("/page/"))
        if (take := _TAKE.fullmatch(path)) is not None:
            return await self._take(take["band"] or "", take["kind"], role)
        status, value = self.feed.query.answer(request.rel_url.raw_path + (asks and "?" + asks))
        return _text(204, "") if value is None else _json(status, value)

    async def _take(self, band: str, ending: str, role: Role) -> web.Response:
        """What was kept of a band since somebody pressed record."""
        if role == "view":
            return _text(401, "a take needs the token: open the link that play prints")
        try:
            taping = self.feed_of(band).desk.taping
        except Mistake as mistake:
            return _text(404, str(mistake))
        data = taping.file()
        if data is None:
            return _text(404, "nothing has been kept; record first")
        kind = "audio/midi"
        if ending == "jsonl":
            lines = taping.lines()
            text = await asyncio.to_thread(lambda: "".join(f"{line}\n" for line in lines))
            data, kind = text.encode(), "application/jsonl"
        response = web.Response(body=data, content_type=kind)
        _make_safe(response)
        name = f"{band} take.{ending}".lstrip()
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def _more(self, status: int, kind: str, text: str) -> web.Response:
        response = _text(status, text)
        response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        return response

    async def _file(self, request: web.BaseRequest, name: str) -> web.Response:
        """A file of the page: only what is there may be asked for, whatever the name says."""
        files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*")}
        path = files.get(name)
        if path is None or not path.is_file():
            return _text(404, "there is no such file")
        data = await asyncio.to_thread(path.read_bytes)
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "text/plain"
        response = web.Response(body=data, content_type=kind)
        if kind.startswith("text/"):
            response.charset = "utf-8"
        _make_safe(response)
        response.headers["Cache-Control"] = "no-cache"
        host = request.headers["Host"]
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; connect-src 'self' ws://{host} wss://{host}; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        )
        return response

    async def _command(self, request: web.BaseRequest, role: Role) -> web.Response:
        if role == "view":
            return _text(401, "commands need the token: Authorization: Bearer TOKEN")
        if request.content_type != "application/json":
            return _text(415, "expected Content-Type: application/json")
        if (request.content_length or 0) > BODY:
            return _text(413, f"expected at most {BODY} bytes")
        async with asyncio.timeout(BODY_IN):
            body = await request.read()
        receipts: list[dict[str, Any]] = []
        answered = asyncio.Event()

        def answer(address: str, values: tuple[Value, ...]) -> None:
            if len(receipts) < ELEMENTS:
                receipts.append(receipt(values))
                answered.set()

        try:
            asked = json.loads(body or b"{}")
            if not isinstance(asked, dict):
                raise Mistake("", 'expected an object, such as {"args": [120]}')
            message = message_of({"set": request.path, "args": asked.get("args", [])})
        except Mistake as mistake:
            return _text(400, str(mistake))
        except (ValueError, RecursionError):
            return _text(400, "this is no JSON")
        name = f"web {request.remote}"
        self.desk.receive_all([message], Source(name, role, answer))
        with suppress(TimeoutError):  # a scene has to be read first
            async with asyncio.timeout(ANSWER_IN):
                await answered.wait()
        refused = bool(receipts) and receipts[0]["state"] == "refused"
        return _json(409 if refused else 200, {"receipts": list(receipts)})

    async def _converse(self, request: web.BaseRequest, role: Role) -> web.StreamResponse:
        if not self.clients.room(str(request.remote), role != "view"):
            return _text(503, f"{self.clients.most} clients are there already")
        made = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=FRAME, writer_limit=0, timeout=0.2
        )
        try:
            await made.prepare(request)
        except ValueError:  # its key is none
            return _text(400, "this is no way to begin a WebSocket")
        transport = request.transport
        if transport is None:
            return made
        peer = transport.get_extra_info("peername") or ("?", 0)
        client = Client(self, made, transport, f"web {peer[0]}:{peer[1]}", str(peer[0]), role)
        seated, gone = self.clients.take(client, client.address, role != "view")
        if gone is not None:
            gone.cut()
        if not seated:  # taken by another meanwhile
            client.leave()
            client.cut()
            return made
        writing = asyncio.get_running_loop().create_task(client.write())
        # One who does not read is noticed where he is written to.
        writing.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            await client.read()
        finally:
            self.clients.leave(client)
            client.leave()
            writing.cancel()
        return made


def cut(transport: asyncio.Transport) -> None:
    """End a connection now, with nothing left under way that would wait for a reader."""
    connection = transport.get_extra_info("socket")
    if connection is not None and not transport.is_closing():
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def receipt(values: tuple[Value, ...]) -> dict[str, Any]:
    """A receipt as JSON. values: address, state, bar, reason."""
    return dict(zip(("receipt", "state", "bar", "reason"), values, strict=True))


def message_of(asked: Any) -> Message:
    """A command as the desk takes it. Errors: Mistake."""
    if not isinstance(asked, Mapping) or not isinstance(asked.get("set"), str):
        raise Mistake("set", 'expected such as {"set": "/componium/tempo", "args": [120]}')
    address, args = asked["set"], asked.get("args", [])
    args = args if isinstance(args, list) else [args]
    if len(address.encode("utf-8", "replace")) > ADDRESS:
        raise Mistake("set", f"expected an address of at most {ADDRESS} bytes")
    if len(args) > ARGUMENTS:
        raise Mistake("args", f"expected at most {ARGUMENTS} arguments")
    if any(not isinstance(arg, str | int | float) for arg in args):
        raise Mistake("args", "expected numbers, texts, true and false only")
    if any(isinstance(arg, str) and len(arg) > LONGEST_RULES for arg in args):
        raise Mistake("args", f"expected texts of at most {LONGEST_RULES} characters")
    return Message(whole(address), tuple(args))


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > ELEMENTS:
        raise Mistake("", f"expected a list of at most {ELEMENTS}")
    return value


def _id(asked: Mapping[str, Any]) -> Any:
    return _scalar(asked.get("id"), "id")


def _scalar(value: Any, name: str) -> Any:
    if isinstance(value, list | dict) or (isinstance(value, str) and len(value) > ADDRESS):
        raise Mistake(name, "expected a number or a short text")
    return value


def _make_safe(response: web.Response) -> None:
    response.headers.update(_SAFE)


def _text(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text or None)
    _make_safe(response)
    return response


def _json(status: int, value: Any) -> web.Response:
    response = web.Response(status=status, text=compact(value), content_type="application/json")
    _make_safe(response)
    return response


def bound(port: int, lan: bool = False) -> list[socket.socket]:
    """Sockets for this machine alone, or for every address. port: 0 for any free one.

    Errors: Mistake where the port is taken.
    """
    first = _bound("0.0.0.0" if lan else "127.0.0.1", port)
    sockets = [first]
    with suppress(Mistake):  # without IPv6 the other half is enough
        sockets.append(_bound("::" if lan else "::1", first.getsockname()[1]))
    return sockets


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(WAITING)
    except OSError as error:
        if sock is not None:
            sock.close()
        problem = f"cannot listen on {host} port {port}: {error.strerror}"
        if error.errno == errno.EADDRINUSE:
            owner = owner_of(port, "tcp")
            whose = f" by {owner}" if owner else ""
            problem = f"TCP port {port} is in use{whose}; end that"
        raise Mistake("--http", f"{problem}, or choose another port with --http PORT") from None
    return sock


async def serve(door: Web, port: int = PORT, lan: bool = False) -> None:
    """Listen until closed. Errors: Mistake where the port is taken."""
    await door.open(bound(port, lan))
