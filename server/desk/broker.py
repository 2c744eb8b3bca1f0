"""MQTT without a network: which broker, what topics are called, what payloads mean, what waits.

A topic is the base `componium/ID` and an address of the tree without its prefix; `…/set` behind it
makes it a command. State is retained, so whoever comes late reads it; commands never are.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Set
from dataclasses import dataclass, field
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from engines.base import Mistake

from .desk import PREFIX, RECEIPT
from .feed import ALWAYS, Outbox, compact
from .packet import ARGUMENTS, TEXT
from .tree import Node, Value

PLAIN_PORT, TLS_PORT = 1883, 8883
PAYLOAD = 16 << 10  # bytes of a command
QUEUED = 100  # letters that wait; the oldest make room
LEVELS = 6  # of an address below the base, at most
SOONEST, LATEST = 0.5, 30.0  # s until the next try
LYING = 8192  # topics of earlier runs that are cleared at one connection
SET, STATUS = "/set", "/status"
SESSIONS = "/session/"
LOOKING = "/looking"  # said to ourselves: all that lies at the broker has come before it
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SWITCHES = {"on": True, "off": False, "true": True, "false": False}


@dataclass(frozen=True)
class Broker:
    """Where MQTT goes, and as whom. name: the ID in its topics.

    tls: by default unless the host is this machine.  ca: certificates to trust instead of the
    system's.  notes: whether each note is told, too.
    """

    host: str
    port: int
    name: str
    tls: bool
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    notes: bool = False

    @property
    def base(self) -> str:
        """What all topics begin with."""
        return f"componium/{self.name}"

    @property
    def shown(self) -> str:
        """The broker as people may read it; never a password."""
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


def read_broker(
    where: str,
    machine: str,
    *,
    name: str = "",
    user: str = "",
    password: str = "",
    ca: Path | None = None,
    notes: bool = False,
) -> Broker:
    """A broker from `[mqtt://|mqtts://]HOST[:PORT][/ID]`.

    machine: what this computer is called, the ID where none is given.
    Errors: Mistake, which never repeats a password.
    """
    wanted = "expected such as broker.local, 10.0.0.5:1883 or mqtt://broker.local/stage"
    scheme, mark, rest = where.rpartition("://")
    if "@" in where:
        raise Mistake(
            "--mqtt",
            "a name and password do not belong here, where others can read them: "
            "COMPONIUM_MQTT_USER and COMPONIUM_MQTT_PASSWORD, or [mqtt] in config.toml",
        )
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Mistake("--mqtt", f"{wanted}, got {where!r}") from None
    odd = parts.query or parts.fragment or any(c.isspace() for c in where)
    if not host or odd or port == 0 or (mark and scheme not in ("mqtt", "mqtts")):
        raise Mistake("--mqtt", f"{wanted}, got {where!r}")
    tls = scheme == "mqtts" if mark else not _near(host)
    name = parts.path.strip("/") or name or re.sub(r"[^A-Za-z0-9_.-]", "-", machine)[:64] or "1"
    if not _NAME.fullmatch(name):
        raise Mistake("--mqtt", f"an ID has 1 to 64 of A-Z a-z 0-9 _ . -, got {name!r}")
    port = port or (TLS_PORT if tls else PLAIN_PORT)
    return Broker(host, port, name, tls, user, password, ca, notes)


def _near(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def secret_in(path: Path) -> str:
    """The password in a file. Errors: Mistake where it cannot be read, or others can read it."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Mistake("mqtt", f"others can read {path}; do: chmod 600 {path}")
            return file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Mistake("mqtt", f"{path} cannot be read: {error}") from None


# Topics and payloads ----------------------------------------------------------------------------


def topic_of(base: str, address: str) -> str:
    """The topic of an address of the tree."""
    return base + address.removeprefix(PREFIX)


def address_of(base: str, topic: str) -> str:
    """The address that a command's topic means; "" where it is no command."""
    if not (topic.startswith(f"{base}/") and topic.endswith(SET)):
        return ""
    inner = topic.removeprefix(base).removesuffix(SET)
    return PREFIX + inner if inner.strip("/") else ""


def filters(base: str) -> list[str]:
    """What to subscribe to, for all commands: their own state does not come back then."""
    return [f"{base}{'/+' * levels}{SET}" for levels in range(1, LEVELS + 1)]


def everything(base: str) -> list[str]:
    """What to subscribe to for a moment, for all that lies at the broker."""
    return [f"{base}{'/+' * levels}" for levels in range(1, LEVELS + 1)]


class Command(NamedTuple):
    """What a payload asks for. identity: comes back with the receipts; None for none."""

    args: tuple[Value, ...]
    identity: Value | None = None


def read_payload(payload: bytes, node: Node | None) -> Command:
    """The arguments in a payload: nothing, a number, text, `on` and `off`, or JSON.

    JSON may be a list of arguments, or an object with `args` and an `id` for the receipts.
    node: whose arguments they are, as far as it is known: a text that is asked for may look like
    a number.
    Law: every payload is a command or a Mistake.
    """
    if len(payload) > PAYLOAD:
        raise Mistake("", f"expected a payload of at most {PAYLOAD} bytes, got {len(payload)}")
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        raise Mistake("", "the payload is no UTF-8 text") from None
    if not text:
        return Command(())
    wanted = node.types[:1] if node is not None else ""
    if wanted != "s" and text.lower() in _SWITCHES:
        return Command((_SWITCHES[text.lower()],))
    if wanted == "s" and text[0] not in '"[{':
        return Command((_short(text),))
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        if text[0] in "[{":
            raise Mistake("", "the payload begins as JSON and is none") from None
        return Command((_short(text),))
    identity = None
    if isinstance(found, dict):
        if unknown := found.keys() - {"args", "id"}:
            raise Mistake("", f'expected {{"args": […], "id": …}}, got {min(unknown)[:40]!r}')
        found, identity = found.get("args", []), found.get("id")
        if identity is not None:
            identity = _value(identity)
    args = found if isinstance(found, list) else [found]
    if len(args) > ARGUMENTS:
        raise Mistake("args", f"expected at most {ARGUMENTS} arguments")
    return Command(tuple(map(_value, args)), identity)


def _value(value: Any) -> Value:
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, float) and not isfinite(value):
        raise Mistake("", "a number is not finite")
    if not isinstance(value, int | float):
        raise Mistake("", "expected numbers, texts, true and false only")
    return value


def _short(text: str) -> str:
    if len(text) > TEXT:
        raise Mistake("", f"expected texts of at most {TEXT} characters")
    return text


def payload_of(values: Iterable[Value]) -> str:
    """Values as a payload: one of them plainly, as dashboards want it, several as a list."""
    plain = [_plain(value) for value in values]
    if len(plain) != 1:
        return compact(plain)
    return plain[0] if isinstance(plain[0], str) else compact(plain[0])


def _plain(value: Value) -> int | float | str:
    if isinstance(value, float):
        whole = round(value, 6)
        return int(whole) if isfinite(whole) and whole == int(whole) else whole
    return int(value) if isinstance(value, bool) else value


# What waits --------------------------------------------------------------------------------------


class Letter(NamedTuple):
    """Something to publish."""

    topic: str
    payload: str
    qos: int = 0
    retain: bool = False


class Mailbox(Outbox):
    """What waits to be published; the feed puts it in.

    now, ready: as of `Outbox`.  addresses: which have a state now, of the band of that name.
    Laws: at most 100 letters wait, and the oldest make room; of a state only the newest waits,
    and it is told only where it differs from what was told before; of a band that has gone nothing
    stays at the broker.
    """

    def __init__(
        self,
        broker: Broker,
        addresses: Callable[[str], Iterable[str]],
        now: Callable[[], int],
        ready: Callable[[], None],
    ) -> None:
        super().__init__(now, ready)
        self._base, self._notes, self._addresses = broker.base, broker.notes, addresses
        self._letters: deque[Letter] = deque()
        self._newest: dict[str, str] = {}
        self._told: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._letters) + len(self._newest)

    def begin(
        self,
        values: Mapping[str, Iterable[Value]],
        lying: Set[str] = frozenset(),
        bands: Iterable[str] = (),
    ) -> None:
        """Tell everything anew: the broker may have forgotten it.

        values: by address.  lying: topics whose state the broker remembers; of what is not there
        any more it is to be forgotten.  bands: those that there are, of which `state` tells.
        """
        kept = {f"{self._base}{SESSIONS}{name}/" for name in bands}
        ours = {topic for topic in (*self._told, *self._newest) if self._band(topic)}
        gone = {topic for topic in lying | ours if not self._band(topic) & kept}
        self._told.clear()
        self._newest.clear()
        for address, value in values.items():
            self._keep(topic_of(self._base, address), payload_of(value))
        for topic in gone - self._newest.keys():
            self._newest[topic] = ""
        self._ready()

    def _band(self, topic: str) -> set[str]:
        """What topics of the same band begin with; nothing where it is in none."""
        head = self._base + SESSIONS
        if not topic.startswith(head):
            return set()
        return {f"{head}{topic[len(head) :].partition('/')[0]}/"}

    def send(self, name: str, payload: str, qos: int = 0, retain: bool = False) -> None:
        """Have something published below the base; the oldest that waits makes room for it."""
        if len(self._letters) >= QUEUED:
            self._letters.popleft()
            self.left_out += 1
        self._letters.append(Letter(self._base + name, payload, qos, retain))
        self._ready()

    def receipt(self, values: tuple[Value, ...], identity: Value | None) -> None:
        """Answer a command."""
        about = dict(zip(("receipt", "state", "bar", "reason"), values, strict=True))
        more = {} if identity is None else {"id": identity}
        # Acknowledged, it would hold up the next command for up to 40 ms, by Nagle's rule.
        self.send(RECEIPT.removeprefix(PREFIX), compact(about | more))

    def put(self, data: str | bytes, rank: int = ALWAYS) -> None:
        if isinstance(data, bytes):
            return
        frame = json.loads(data)
        if "scene" in frame and "event" not in frame and "snapshot" not in frame:
            self._prune(frame.get("session", ""))
        elif "closed" in frame:
            self._forget(frame["session"])
        elif "event" in frame:
            self._tell(frame)

    def state(self, changes: Mapping[str, list[Value]]) -> None:
        for address, values in changes.items():
            if values:
                self._keep(topic_of(self._base, address), payload_of(values))
        self._ready()

    def next(self) -> Letter | None:
        """What is to be published next; None where nothing waits."""
        if self._letters:
            return self._letters.popleft()
        if self._newest:
            topic = next(iter(self._newest))
            payload = self._newest.pop(topic)
            if payload:
                self._told[topic] = payload
            else:
                self._told.pop(topic, None)
            return Letter(topic, payload, retain=True)
        return None

    def _keep(self, topic: str, payload: str) -> None:
        if self._newest.get(topic, self._told.get(topic, "")) != payload:
            self._newest[topic] = payload

    def _prune(self, band: str) -> None:
        """Have the broker forget the state of what a band has no more."""
        self._forget(band, {topic_of(self._base, address) for address in self._addresses(band)})

    def _forget(self, band: str, but: Container[str] = ()) -> None:
        """Have the broker forget the state of a band, but for these topics."""
        whose = {f"{self._base}{SESSIONS}{band}/"} if band else set()
        for topic in {*self._told, *self._newest}:
            if self._band(topic) == whose and topic not in but:
                self._newest[topic] = ""
        self._ready()

    def _tell(self, event: Mapping[str, Any]) -> None:
        kind, band = event["event"], event.get("session", "")
        below = f"{SESSIONS}{band}" if band else ""
        base = self._base + below
        if kind == "beat":
            where = [event["bar"], int(event["position"]), _plain(event["tempo"])]
            self.send(f"{below}/beat", compact(where))
        elif kind in ("chord", "key", "section"):
            self._keep(f"{base}/{kind}", event["name"])
        elif kind == "mood":
            self._keep(f"{base}/mood", payload_of((event["valence"], event["arousal"])))
        elif kind == "transport":
            self._keep(f"{base}/transport", event["state"])
        elif kind in ("stinger", "ended"):
            state = "began" if kind == "stinger" else "ended"
            self.send(f"{below}/stinger", compact([event["name"], state, event["bar"]]))
        elif kind == "cue":
            self.send(f"{below}/cue", compact([event["name"], event["bar"]]))
        elif kind == "note" and self._notes:
            note = [event["pitch"], event["velocity"], event["duration"]]
            self.send(f"{below}/part/{event['part'].replace(' ', '_')}/note", compact(note))
        self._ready()


def pause(tries: int, rng: Random) -> float:
    """Seconds until the next try after so many in vain: 0.5 to 30, at random around a doubling.

    Law: a hundred that a broker has lost at once do not come back at once.
    """
    longest = min(SOONEST * 2 ** min(tries, 10), LATEST)
    return max(SOONEST, rng.uniform(longest / 2, longest))
