"""OSC in: datagrams become messages for the desk, whatever they hold and however many come.

Time tags are read and not waited for: what a bundle says is done when it arrives, all of it at
one moment or nothing.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engines.base import Mistake
from server.ensemble.encode import osc_message

from .desk import PREFIX, RECEIPT, Desk, Source
from .keys import Keys
from .lanes import Lanes
from .limits import Bucket, Echo
from .packet import DATAGRAM, Message, Rejected, decode
from .sessions import inner
from .tree import Value

PORT = 1821
LOOPBACK_RATE, OTHER_RATE, TOTAL_RATE = 5000, 500, 10_000  # messages a second
SENDERS = 1024  # that are remembered
AUTH = "/auth"
TRUSTED, IDLE = 12 * 3600 * 10**9, 1800 * 10**9  # ns that a token holds, at most and unused
DATAGRAMS = 256  # taken in one turn of the loop
TAKING, DOING = 4_000_000, 2_000_000  # ns of processor time in one turn of the loop
RESTS, REST = 3, 40_000_000  # what has been done is rested from so many times as long; ns at most
BUFFER = 1 << 20  # bytes the kernel keeps for us during a stall

Peer = tuple[str, int]
Reply = Callable[[bytes, Peer], None]


class _Sender:
    """One peer: who it is to the desk, and how much it has been sending.

    near: whether it is on this machine.  since, last: when it has shown the token, and when it
    has been heard after that.
    """

    __slots__ = ("bucket", "echo", "last", "near", "since", "source")

    def __init__(self, source: Source, bucket: Bucket, near: bool) -> None:
        self.source, self.bucket, self.near, self.echo = source, bucket, near, Echo()
        self.since = self.last = 0

    def trusted(self, now: int) -> bool:
        """Whether the token it has shown still holds; if so, for longer."""
        if not self.since or now - self.since > TRUSTED or now - self.last > IDLE:
            self.since = 0
            return False
        self.last = now
        return True


class Gate:
    """Lets datagrams in: decoded, not too many, and stop and panic in any case.

    now: monotonic nanoseconds.  keys: know the token that other machines have to show; without
    them, none is let in.
    """

    def __init__(self, desk: Desk, now: Callable[[], int], keys: Keys | None = None) -> None:
        self._desk, self._now, self._keys = desk, now, keys
        self.lanes = Lanes(desk)
        self._senders: dict[Peer, _Sender] = {}
        self._total = Bucket(TOTAL_RATE, now())
        #: By address: the end of it, which is the same whichever band is meant.
        self._urgent = {
            n.address: n.address.removeprefix(PREFIX).encode()
            for n in desk.common_nodes()
            if n.urgent
        }

    @property
    def remembered(self) -> int:
        """How many senders are known; never more than 1024."""
        return len(self._senders)

    def admit(self, data: bytes, peer: Peer, reply: Reply) -> None:
        """Put what a datagram says into the lanes, or drop it and complain.

        peer: address and port.  reply: sends a datagram to it; used for peers on this machine,
        and for those that have shown the token.
        """
        now = self._now()
        sender = self._sender(peer, reply, now)
        loud = self._too_much(sender, data, now)
        trusted = sender.trusted(now)
        stranger = not (sender.near or trusted)
        if sender.near and not trusted and sender.source.role == "edit":
            sender.source = replace(sender.source, role="control")
        if stranger and (loud or AUTH.encode() not in data):
            self._complain("strangers", sender, f"has to send {AUTH} with the token first")
            return
        if loud and not any(raw in data for raw in self._urgent.values()):
            return
        messages = decode(data)
        if isinstance(messages, Rejected):
            self._complain("malformed datagrams", sender, messages.why)
            return
        if AUTH in {message.address for message in messages}:
            self._meet(sender, messages, reply, peer, now)
            return
        if stranger:
            self._complain("strangers", sender, f"has to send {AUTH} with the token first")
            return
        if len(messages) > 1 and not loud:
            sender.bucket.take(now, len(messages) - 1)
            self._total.take(now, len(messages) - 1)
        heard = [
            message
            for message in messages
            # Answering an answer would never end.
            if (inner(message.address) in self._urgent if loud else message.address != RECEIPT)
        ]
        if not self.lanes.put(heard, sender.source):
            self._complain("messages dropped", sender, "sends faster than can be done")

    def _meet(
        self, sender: _Sender, messages: list[Message], reply: Reply, peer: Peer, now: int
    ) -> None:
        """Somebody shows a token. It opens more on this machine, where nobody can have read it."""
        _, args = messages[0]
        right = (
            self._keys is not None
            and len(messages) == len(args) == 1
            and isinstance(args[0], str)
            and self._keys.role(args[0]) == "edit"
        )
        if not right:
            self._complain("wrong tokens", sender, "shows a wrong token")
            return
        sender.since = sender.last = now
        answer = _answering(reply, peer)
        sender.source = Source(sender.source.name, "edit" if sender.near else "control", answer)
        answer(RECEIPT, (AUTH, "done", 0.0, f"may {sender.source.role}"))

    def _too_much(self, sender: _Sender, data: bytes, now: int) -> bool:
        """Whether only stop and panic may pass."""
        was_muted = sender.echo.muted
        if not sender.echo.hears(data, now):
            if not was_muted:
                self._complain(
                    "muted senders",
                    sender,
                    "muted, for it repeats one message more than 500 times a second, as a "
                    "feedback loop does; heard again after 2 s of silence",
                )
            return True
        if sender.bucket.take(now) and self._total.take(now):
            return False
        self._complain(
            "messages dropped",
            sender,
            f"sends too fast; {sender.bucket.rate:g} messages a second are taken from it, "
            f"{TOTAL_RATE} from all",
        )
        return True

    def _complain(self, kind: str, sender: _Sender, text: str) -> None:
        self._desk.complaints.add(kind, f"{sender.source.name}: {text}")

    def _sender(self, peer: Peer, reply: Reply, now: int) -> _Sender:
        sender = self._senders.pop(peer, None)
        if sender is None:
            if len(self._senders) >= SENDERS:
                del self._senders[next(iter(self._senders))]
            sender = _made(peer, reply, now)
        self._senders[peer] = sender  # the one heard last is forgotten last
        return sender


def _made(peer: Peer, reply: Reply, now: int) -> _Sender:
    near = ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback
    # Answers stay on this machine, so that nobody can have a third party flooded through us.
    answer = _answering(reply, peer) if near else None
    source = Source(f"osc {peer[0]}:{peer[1]}", answer=answer)
    return _Sender(source, Bucket(LOOPBACK_RATE if near else OTHER_RATE, now), near)


def _answering(reply: Reply, peer: Peer) -> Callable[[str, tuple[Value, ...]], None]:
    def answer(address: str, values: tuple[Value, ...]) -> None:
        reply(osc_message(address, *values), peer)

    return answer


class OscIn:
    """Listens on UDP sockets for a desk; a turn of the loop takes some milliseconds at most.

    Between what it does it rests: three times as long as that took, 40 ms at most, or until a stop
    comes. One message is done at once and the next as good as at once, while of a flood only the
    newest values are done.
    """

    def __init__(self, desk: Desk, sockets: list[socket.socket], keys: Keys | None = None) -> None:
        self._desk, self._sockets = desk, sockets
        self._gate = Gate(desk, time.monotonic_ns, keys)
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.Handle | None = None
        self._spent = 0  # ns of processor time since the last rest
        self._report: asyncio.Handle | None = None
        for each in sockets:
            self._loop.add_reader(each, self._turn, each)

    @property
    def port(self) -> int:
        port: int = self._sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Hear no more and give the port back."""
        for handle in (self._later, self._report):
            if handle is not None:
                handle.cancel()
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()

    def _turn(self, sock: socket.socket) -> None:
        def reply(data: bytes, peer: Peer) -> None:
            with suppress(OSError):
                sock.sendto(data, peer)

        # Processor time, for on a busy machine the clock runs on while we do not: a socket that
        # is emptied too slowly overflows, and a stop may be among what is lost.
        until = time.thread_time_ns() + TAKING
        for _ in range(DATAGRAMS):
            try:
                data, peer = sock.recvfrom(DATAGRAM + 1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:  # an answer of ours met a closed port: no fault of this socket
                continue
            self._gate.admit(data, peer, reply)
            if time.thread_time_ns() > until:
                break
        if self._later is None or self._gate.lanes.urgent:
            self._work()
        if self._report is None:
            self._flush()

    def _work(self) -> None:
        """Do what waits; what does not fit into this turn is done in the next; then rest."""
        if self._later is not None:
            self._later.cancel()
        began = time.thread_time_ns()
        left = self._gate.lanes.work(lambda: time.thread_time_ns() > began + DOING)
        self._spent += time.thread_time_ns() - began
        if left:
            self._later = self._loop.call_soon(self._work)
        else:
            rest, self._spent = min(RESTS * self._spent, REST), 0
            self._later = self._loop.call_later(rest / 1e9, self._rested)

    def _rested(self) -> None:
        self._later = None
        if self._gate.lanes:
            self._work()

    def _flush(self) -> None:
        again = self._desk.complaints.flush()
        self._report = self._loop.call_later(1, self._flush) if again else None


async def serve(
    desk: Desk,
    host: str = "localhost",
    port: int = PORT,
    keys: Keys | None = None,
    also: int = 0,
) -> OscIn:
    """Listen for a desk until closed.

    host: a loopback address, "localhost" for IPv4 and IPv6 both, or, with keys, any other.
    port: 0 for any free one.  keys: as of `Gate`.  also: another port, where that is free: old
    OSCQuery clients send to the number of the page's; 0 for none.
    Errors: Mistake where the address is not of this machine alone and no token is there to be
    shown, or the port is taken.
    """
    if host == "localhost":
        first = _bound("127.0.0.1", port)
        sockets = [first]
        with suppress(Mistake):  # without IPv6 the other half is enough
            sockets.append(_bound("::1", first.getsockname()[1]))
        if also and also != port:
            for each in ("127.0.0.1", "::1"):
                with suppress(Mistake):
                    sockets.append(_bound(each, also))
    else:
        try:
            near = ipaddress.ip_address(host).is_loopback
        except ValueError:
            near = False
        if not (near or keys is not None):
            raise Mistake(
                "--control",
                f"listening on {host} needs a token; leave the address out to listen on this "
                "machine only",
            )
        sockets = [_bound(host, port)]
        if also and also != port:
            with suppress(Mistake):
                sockets.append(_bound(host, also))
    return OscIn(desk, sockets, keys)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        if sock is not None:
            sock.close()
        if error.errno == errno.EADDRINUSE:
            owner = owner_of(port, "udp")
            whose = f" by {owner}" if owner else ""
            problem = f"UDP port {port} is in use{whose}; end that, or choose another port"
        else:
            problem = f"cannot listen on {host} port {port}: {error.strerror}; choose another port"
        raise Mistake("--control", f"{problem} with --control PORT") from None
    return sock


def owner_of(port: int, protocol: str) -> str:
    """The process that holds a port of "udp" or "tcp", where Linux tells; "" elsewhere."""
    with suppress(OSError, ValueError, IndexError):
        lines = [
            line.split()
            for table in (Path(f"/proc/net/{protocol}"), Path(f"/proc/net/{protocol}6"))
            if table.exists()
            for line in table.read_text().splitlines()[1:]
        ]
        held = {f"socket:[{w[9]}]" for w in lines if int(w[1].rpartition(":")[2], 16) == port}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if any(str(link.readlink()) in held for link in (process / "fd").iterdir()):
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return ""
