"""MQTT: for installations, lights and dashboards; `docs/mqtt.md` tells all.

A broker that is missing, frozen or slow costs the music nothing: names are looked up and
connections made on another thread, and what waits for it is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import ssl
from collections.abc import Callable, Iterable
from random import Random

from aiomqtt import Client, Message, Will

from engines.base import Mistake

from .broker import (
    LOOKING,
    LYING,
    SET,
    STATUS,
    Broker,
    Mailbox,
    address_of,
    everything,
    filters,
    pause,
    read_payload,
)
from .desk import PREFIX, Source
from .feed import RATE, Feed, Listener
from .lanes import Paced
from .packet import Message as Order
from .tree import Value

PATIENCE = 5  # s for a broker to answer; half of what passes until a frozen one is let go of
COMMANDS = 200  # a second
BANDS = 64  # besides the one without a name, whose state is told
COMING, APART = 0.25, 0.01  # s between two looks for bands that have come, and between two of them
LEAVING = 0.4  # s for saying good-bye
GLANCE = 1.0  # s for hearing what lies at the broker
#: Small packets go at once: held back until the last is acknowledged, they take 40 ms.
SWIFT = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
HEARS = ("state", "beats", "marks")
KEPT = (f"{PREFIX}/transport", f"{PREFIX}/chord")  # of what cannot be set, what is a state

_SILENT = logging.getLogger("componium.mqtt")  # what brokers do is told in the journal
_SILENT.disabled = True


class Mqtt:
    """A connection to one broker, made again whenever it is lost, until `close`.

    looks: whether it has to look for changes of state by itself, as nobody else does.
    tell: says what became of the connection.  connected: whether it stands and commands are heard;
    `became` is told when that changes.
    """

    def __init__(
        self,
        feed: Feed,
        broker: Broker,
        looks: bool,
        tell: Callable[[str], None],
        rng: Random | None = None,
        now: Callable[[], int] | None = None,
    ) -> None:
        self._feed, self._broker, self._looks, self._say = feed, broker, looks, tell
        self._rng, clock = rng or Random(), now or feed.player.clock.now
        self._ready = asyncio.Event()
        self.box = Mailbox(broker, self._addresses, clock, self._ready.set)
        self._paced = Paced(feed.desk, COMMANDS, clock)
        #: The same for every connection: a broker then knows that an older one is over, and does
        #: not tell our last will after we have come back.
        self._identity = f"componium-{broker.name}-{secrets.token_hex(4)}"[-64:]
        self._context = ssl.create_default_context(cafile=broker.ca) if broker.tls else None
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._lost = self._leaving = False
        self._lying: set[str] = set()
        self._seen: asyncio.Event | None = None  # while we look at what lies at the broker
        self.became: Callable[[bool], None] = lambda stands: None
        self.connected = False

    def open(self) -> None:
        """Begin to connect; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """Say that we are offline, if the broker takes it within 0.4 s, and go."""
        self._leaving = True
        with contextlib.suppress(Exception):
            async with asyncio.timeout(LEAVING):
                if self.connected and self._client is not None:
                    topic = self._broker.base + STATUS
                    await self._client.publish(topic, "offline", qos=1, retain=True)
        self._paced.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(LEAVING):
                    await self._task

    async def _run(self) -> None:
        tries = 0
        while True:
            try:
                async with self._made() as client:
                    await self._converse(client)
            except Exception as error:  # of a library or a network; only the music must go on
                if self.connected:
                    tries = 0
                self._part(error)
            await asyncio.sleep(pause(tries, self._rng))
            tries += 1

    def _made(self) -> Client:
        broker, take = self._broker, self._take

        class Inbox(asyncio.Queue[Message]):
            """Hands on what comes at once, without a task for each."""

            def put_nowait(self, item: Message) -> None:
                take(item)

        return Client(
            broker.host,
            broker.port,
            username=broker.user or None,
            password=broker.password or None,
            identifier=self._identity,
            will=Will(broker.base + STATUS, "offline", qos=1, retain=True),
            queue_type=Inbox,
            tls_context=self._context,
            timeout=PATIENCE,
            keepalive=PATIENCE,
            socket_options=SWIFT,
            logger=_SILENT,
        )

    async def _converse(self, client: Client) -> None:
        """Everything from the connection to its end, which is an error."""
        feed, base = self._feed, self._broker.base
        await self._look_around(client)
        await client.subscribe([(each, 1) for each in (*filters(base), base + STATUS)])
        await client.publish(base + STATUS, "online", qos=1, retain=True)
        listener = feed.join(self.box)
        feed.hear(listener, (*HEARS, "notes") if self._broker.notes else HEARS, "control")
        bands = [each.name for each in feed.beside()]
        self.box.begin(self._readable(), self._lying, bands)
        self._client, self.connected = client, True
        self.became(True)
        if self._lost:
            self._lost = False
            self._say(f"{self._broker.shown} is there again")
        jobs = [self._write(client), self._read(client), self._accompany()]
        jobs += [self._look()] if self._looks else []
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            feed.leave(listener)
            self._client = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_around(self, client: Client) -> None:
        """Find out what states the broker remembers, of a run that crashed perhaps.

        Commands are not taken meanwhile; who waits for `online` does not notice.
        """
        base, self._seen = self._broker.base, asyncio.Event()
        self._lying.clear()
        try:
            await client.subscribe([(each, 0) for each in everything(base)])
            await client.publish(base + LOOKING, self._identity)
            with contextlib.suppress(TimeoutError):  # an access list may forbid it
                async with asyncio.timeout(GLANCE):
                    await self._seen.wait()
            await client.unsubscribe(everything(base))
        finally:
            self._seen = None

    def _part(self, error: BaseException) -> None:
        self.connected = False
        self.became(False)
        if not self._lost:
            self._lost = True
            self._say(f"{self._broker.shown}: {error}; trying again, the music does not wait")

    async def _write(self, client: Client) -> None:
        while True:
            letter = self.box.next()
            if letter is None:
                self._ready.clear()
                await self._ready.wait()
            else:
                await client.publish(*letter)

    async def _read(self, client: Client) -> None:
        async for _ in client.messages:  # nothing comes this way but the end of the connection
            pass

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(1 / RATE)
            self._feed.look()

    async def _accompany(self) -> None:
        """Tell the state of bands as they come, one at a time."""
        heard: dict[Feed, Listener] = {}
        try:
            while True:
                heard = {feed: who for feed, who in heard.items() if who in feed.listeners}
                for feed in [each for each in self._feed.beside() if each not in heard]:
                    if len(heard) < BANDS:
                        heard[feed] = listener = feed.join(self.box)
                        feed.hear(listener, ("state", "marks"), "control")
                        self.box.state({a: list(v) for a, v in self._readable(feed).items()})
                        await asyncio.sleep(APART)
                    else:
                        self._feed.desk.complaints.add(
                            "untold bands", f"mqtt: of {BANDS} bands the state is told, no more"
                        )
                        break
                await asyncio.sleep(COMING)
        finally:
            for feed, listener in heard.items():
                feed.leave(listener)

    def _readable(self, feed: Feed | None = None) -> dict[str, tuple[Value, ...]]:
        """Every address of a band that has a state now, and which."""
        feed = feed or self._feed
        values = feed.values()
        for each in KEPT:
            value = feed.query.readings[each].value()
            values[feed.full(each)] = value and value[:1]  # of a chord its name alone
        return {address: value for address, value in values.items() if value}

    def _addresses(self, band: str) -> Iterable[str]:
        feeds = [self._feed] if not band else [f for f in self._feed.beside() if f.name == band]
        return [address for feed in feeds for address in self._readable(feed)]

    # Commands ---------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        """Hear what a broker sends. Never raises: that would end the connection."""
        try:
            self._hear(str(message.topic), message.payload, bool(message.retain))
        except Exception as error:
            self._feed.desk.complaints.add("mqtt", f"a message went wrong: {error!r}")

    def _hear(self, topic: str, payload: object, retained: bool) -> None:
        base, desk = self._broker.base, self._feed.desk
        if self._seen is not None:
            if topic == base + LOOKING:
                self._seen.set()
            elif retained and topic != base + STATUS and not topic.endswith(SET):
                self._lying.add(topic)
                if len(self._lying) == LYING:
                    self._seen.set()
            return
        if topic == base + STATUS:
            # The will of a connection long lost, and not what we say when we go.
            if payload == b"offline" and not (retained or self._leaving):
                self.box.send(STATUS, "online", qos=1, retain=True)
            return
        address = address_of(base, topic)
        if not address:
            return
        if retained:
            desk.complaints.add(
                "retained commands",
                f"mqtt: {topic} is retained and was not done; commands must not be: publish them "
                "without retain, and an empty retained one to be rid of this",
            )
            return
        data = payload if isinstance(payload, bytes) else b""
        identity: Value | None = None

        def answer(_: str, values: tuple[Value, ...]) -> None:
            self.box.receipt(values, identity)

        source = Source(f"mqtt {self._broker.name}", "control", answer)
        try:
            args, identity = read_payload(data, desk.known(address))
        except Mistake as mistake:
            desk.answer(source, address, "refused", reason=str(mistake))
            return
        self._paced.enter([Order(address, args)], source)
