"""The desks of bands beside the main one: who opens and closes them, and what is meant for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address

from engines.base import Mistake, unknown
from server.band.bands import PREFIX, SESSION, Band, Bands, band_in, base_of, check_name
from server.concert.changes import Receipt
from server.concert.journal import Troubled
from server.score.scene import Scene

from .desk import Desk, Source, in_turn, plain, rehearse
from .feed import Feed
from .memory import begin_afresh, dressed, go_on, learn, restore, stand, state_of
from .midi import Mappings
from .outfit import Learnt, Outfit
from .query import Query
from .roster import LONGEST_IDLE, Kept, Roster
from .sent import is_sent
from .taping import Taping
from .tree import LONGEST, Argument, Node, Told, Value, shown

WAITING = 256  # bands that may wait for their scenes
ROUND = 8 * 10**9  # ns between two times that a band is written down, at least
TAKES, TAKE, LINES = 16, 20_000, 10_000  # bands whose takes are kept, and what each has at most

#: Reads a band's scene, given its file, a style or "", and where it sends to or "".
Load = Callable[[str, str, str], Scene]


class Session:
    """A band with its desk. feed: for its listeners, None where nobody can listen.

    target: where it sends to; "" as its scene says.  heard: when somebody last asked anything of
    it, ns.  kept: when it was last written down.  patience: ns without a word after which it is
    closed; 0 for never.  closing: called when it is closed, the last first.
    """

    def __init__(
        self, band: Band, desk: Desk, feed: Feed | None, now: int, target: str = ""
    ) -> None:
        self.band, self.desk, self.feed, self.target = band, desk, feed, target
        self.heard, self.patience, self.kept = now, 0, now
        self.closing: list[Callable[[], object]] = []


class Sessions:
    """Bands that are opened and closed by command.

    main: the desk of the band without a name.  load: called off the loop.  feed: makes what a
    band's listeners hear.  begin: told of a band, and where it sends to, before its scene is there;
    what it hands back is called at the end.  opened: told of each before it plays.  roster: where
    they are written down, None for nowhere.  outfit: makes their desks.
    Laws: what is asked of one band reaches no other; a receipt names the address as it was sent.
    """

    def __init__(
        self,
        main: Desk,
        bands: Bands,
        load: Load,
        feed: Callable[[Band, Desk], Feed] | None = None,
        begin: Callable[[Band, str], Callable[[], object]] = lambda band, target: lambda: None,
        opened: Callable[[Session], object] = lambda session: None,
        roster: Roster | None = None,
        outfit: Outfit | None = None,
    ) -> None:
        self._outfit = outfit or Outfit(main.folder)
        self._roster, self._begun = roster, main.player.clock.now()
        self._main, self.bands, self._load = main, bands, load
        self._feed, self._begin, self._opened = feed, begin, opened
        self._there: dict[str, Session] = {}
        self._asked: dict[str, tuple[str, str, Receipt]] = {}  # in turn: scene, target, receipt
        self._loader: asyncio.Task[None] | None = None
        bands.tend = self.tend
        main.attach(self)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._there.values()))

    def get(self, name: str) -> Session | None:
        return self._there.get(name)

    def find(self, name: str) -> Session:
        """Errors: Mistake where there is no such band."""
        session = self._there.get(name)
        if session is None:
            raise Mistake("session", unknown("band", name, self._there))
        return session

    def feeds(self) -> list[Feed]:
        """What the bands' listeners hear."""
        return [each.feed for each in self._there.values() if each.feed is not None]

    def queries(self) -> dict[str, Query]:
        """Who answers for which band."""
        return {each.name: each.query for each in self.feeds()}

    # What is asked of a band --------------------------------------------------------------

    def known(self, address: str) -> Node | None:
        """The node that an address of a band means, without a look at its tree."""
        session = self._there.get(band_in(address))
        return None if session is None else session.desk.known(inner(address))

    def reached(self, address: str) -> tuple[str, ...]:
        """The controls of a band that an address pattern means; where there are none, itself."""
        session = self._there.get(band_in(address))
        if session is None:
            return (address,)
        base = session.band.base
        return tuple(outer(base, each) for each in session.desk.reached(inner(address)))

    def take(self, messages: Sequence[tuple[str, Sequence[object]]], source: Source) -> bool:
        """Have a band do what is meant for it; False where that is the main one."""
        names = {band_in(address) for address, _ in messages}
        if names <= {""}:
            return False
        session = self._there.get(next(iter(names)))
        if len(names) > 1 or session is None:
            for address, _ in messages:
                why = unknown("band", band_in(address), self._there)
                why = "a bundle is for one band" if len(names) > 1 else why
                if not is_sent(inner(address)):  # two Componiums must not answer each other
                    self._main.answer(source, address, "refused", reason=why)
            return True
        session.heard = self._main.player.clock.now()
        asked = [(inner(address), args) for address, args in messages]
        session.desk.receive_all(asked, replace(source, answer=_renamed(session, source)))
        self.bands.hasten(session.band)
        return True

    # Coming and going -------------------------------------------------------------------

    def nodes(self) -> Iterator[Node]:
        """The commands for bands."""
        name = Argument("name", "s", "a band's name", choices=lambda: list(self._there))
        yield Node(
            f"{SESSION}/open",
            "Another band begins to play a scene, beside those that play. Its addresses are all of "
            "these, with `/componium/session/NAME` in place of `/componium`.",
            self._open,
            (
                Argument("name", "s", "1 to 64 of A-Z a-z 0-9 _ . -", check=check_name),
                Argument("scene", "s", "a scene's name", choices=self._main.scenes),
                Argument(
                    "target",
                    "s",
                    "where it sends to in place of the scene's outputs: virtual, none, or "
                    "HOST:PORT of this machine",
                    default="",
                    check=check_near,
                ),
            ),
            later=True,
            once=True,
        )
        yield Node(
            f"{SESSION}/close",
            "A band ends, with every note of it, and is forgotten.",
            lambda told, name: self.close(name),
            (name,),
        )
        yield Node(
            f"{SESSION}/alive",
            "Somebody still wants this band: it is closed when for so long nothing is asked of it.",
            self._keep_alive,
            (name, Argument("seconds", "f", "0 for never", 0, LONGEST_IDLE, "s")),
        )
        yield Node(
            f"{SESSION}/list",
            "The names of the bands, in the receipt.",
            lambda told: ", ".join(self._there)[:LONGEST] or "none",
            value=lambda: tuple(self._there),
            bulky=True,
        )

    def _open(self, told: Told, name: str, scene: str, target: str) -> None:
        self.bands.check(name)
        if name in self._asked:
            raise Mistake("name", f"{name} is being opened already")
        if len(self._asked) + len(self.bands) >= self.bands.most:
            raise Mistake("name", f"there are {self.bands.most} bands already; close one first")
        player = self._main.player
        self._asked[name] = scene, target, player.receipt(player.now_beat, told)
        if self._loader is None:
            self._loader = asyncio.get_running_loop().create_task(self._load_all())

    async def _load_all(self) -> None:
        try:
            while self._asked:
                name, asked = next(iter(self._asked.items()))
                scene, target, receipt = asked
                try:
                    loaded = await asyncio.to_thread(self._fetch, scene, target)
                    learnt = await asyncio.to_thread(self._outfit.read, name)
                    wanted = self._asked.get(name) is asked  # not closed, and asked for anew
                    if wanted:
                        self.open(name, loaded, target, learnt)
                    state, reason = ("done", "") if wanted else ("cancelled", "closed")
                except Mistake as mistake:
                    state, reason = "refused", str(mistake)
                except Exception as error:
                    state, reason = "refused", f"went wrong: {error!r}"
                if self._asked.get(name) is asked:
                    del self._asked[name]
                receipt.become(state, reason)
        finally:
            self._loader = None

    def _fetch(self, name: str, target: str, style: str = "") -> Scene:
        """A band's scene, rehearsed. style: "" for its own. Errors: Mistake."""
        known = self._main.scenes()
        if name not in known:
            raise Mistake("scene", unknown("scene", name, known))
        with in_turn():
            scene = self._load(str(known[name]), "", target)
            if style and style != scene.style:
                scene = self._load(str(known[name]), style, target)
            rehearse(scene)
        return scene

    def open(
        self, name: str, scene: Scene, target: str = "", learnt: Learnt | None = None
    ) -> Session:
        """A band that plays from now on. learnt: what was kept for it. Errors: Mistake."""
        session = self._made(name, scene, target, learnt or Learnt(None, Mappings()))
        self._enlist(session)
        try:
            session.band.sync.open()
        except Mistake:  # such as a Link session without its library
            self.close(name)
            raise
        self.bands.hasten(session.band)
        return session

    def _made(
        self,
        name: str,
        scene: Scene,
        target: str,
        learnt: Learnt,
        first: Callable[[Band], object] = lambda band: None,
    ) -> Session:
        """A band that is ready to play. first: what else it learns before. Errors: Mistake."""
        closing: list[Callable[[], object]] = []
        now = self._main.player.clock.now()

        def begin(band: Band) -> None:
            first(band)
            learnt.begin(band)
            closing.append(self._begin(band, target))

        try:
            band = self.bands.open(name, scene, begin)
        except BaseException:
            for close in closing:
                close()
            raise

        def load(file: str, style: str) -> Scene:
            return band.dressed(self._load(file, style, target))

        taping = Taping(band.player, TAKE, LINES, f"/session/{name}", self._may_keep)
        desk = self._outfit.desk(band, load, learnt.mappings, taping)
        desk.calm = self.bands.calm
        feed = self._feed(band, desk) if self._feed is not None else None
        session = Session(band, desk, feed, now, target)
        session.closing += closing
        if self._outfit.tastes is not None:
            session.closing.append(partial(self._outfit.tastes.leave, band))
        return session

    def _enlist(self, session: Session) -> None:
        """It can be spoken to from now on."""
        self._there[session.band.name] = session
        self._opened(session)

    # What outlives the program ----------------------------------------------------------

    async def bring_back(self) -> None:
        """Have the bands go on that there were, each where it was; what cannot be is told."""
        if self._roster is None:
            return
        for kept in await asyncio.to_thread(self._roster.read):
            try:
                await self._bring_back(kept)
            except Mistake as mistake:
                text = f"{kept.name} does not come back: {mistake}"
                self._main.player.journal.enter(Troubled("state", text))
            except Exception as error:
                text = f"{kept.name} does not come back: went wrong: {error!r}"
                self._main.player.journal.enter(Troubled("state", text))

    async def _bring_back(self, kept: Kept) -> None:
        name, target, state = kept.name, check_near(kept.target), kept.state
        scene = await asyncio.to_thread(self._fetch, state.scene, target, state.style)
        learnt = await asyncio.to_thread(self._outfit.read, name)
        scene, lost = dressed(state, scene)
        lost += learnt.mappings.go_on(state.maps)

        def first(band: Band) -> None:
            lost.extend(learn(band.player, state, self._outfit.tastes is None))

        session = self._made(name, scene, target, learnt, first)
        try:
            led = scene.sync.source != "internal"
            moved = not led and await stand(session.band.player, state)
            self._enlist(session)
        except BaseException:
            self._end(session)
            raise
        session.patience = round(kept.patience * 1e9)
        restore(session.desk, state, lost)
        if moved:
            waits = asyncio.get_running_loop().create_task(go_on(session.desk, state))
            session.closing.append(waits.cancel)
        else:
            session.band.sync.open()
            begin_afresh(session.desk, state)
        self.bands.hasten(session.band)

    def _keep(self, session: Session) -> None:
        """Have a band written down as it is now."""
        session.kept = self._main.player.clock.now()
        scene = session.band.player.scene
        state = state_of(session.desk, scene.name if scene is not None else "")
        if state is not None and self._roster is not None:
            patience = session.patience / 1e9
            self._roster.keep(Kept(session.band.name, session.target, patience, state))

    def _keep_one(self, now: int) -> None:
        """Write down the band that has waited longest: a disk has four in a second to do."""
        if self._roster is None:
            return
        if now - self._begun > ROUND:
            self._roster.renew()
        session = min(self, key=lambda each: each.kept, default=None)
        if session is not None and now - session.kept >= ROUND:
            self._keep(session)

    # Coming and going -------------------------------------------------------------------

    def close(self, name: str) -> None:
        """End a band. Errors: Mistake where there is none of this name."""
        if self._asked.pop(name, None) is not None:
            return
        self._end(self.find(name))
        if self._roster is not None:
            self._roster.forget(name)

    def _end(self, session: Session) -> None:
        session.desk.close()
        self.bands.close(session.band.name)
        self._there.pop(session.band.name, None)
        while session.closing:
            session.closing.pop()()
        if session.feed is not None:
            session.feed.end()

    def _may_keep(self) -> None:
        """Errors: Mistake where so many bands have takes that another is too much."""
        if sum(session.desk.taping.holds for session in self) >= TAKES:
            raise Mistake("record", f"takes of {TAKES} bands are kept already; close one of those")

    def _keep_alive(self, told: Told, name: str, seconds: float) -> None:
        session = self.find(name)
        session.heard = self._main.player.clock.now()
        session.patience = round(seconds * 1e9)

    def tend(self) -> None:
        """Close the bands that nobody has asked anything of for as long as they were told.

        One of the others is written down.
        """
        now = self._main.player.clock.now()
        self._keep_one(now)
        for name, session in list(self._there.items()):
            if session.patience and now - session.heard > session.patience:
                self.close(name)
                seconds = session.patience / 1e9
                text = f"{name}: nothing was asked of it for {seconds:g} s; it has been closed"
                self._main.player.journal.enter(Troubled("session", text))

    async def end(self) -> None:
        """Close all; those that are there now come back.

        They play on while one after another is written down, and then end together.
        """
        for session in self:
            if session.band.name in self._there:  # it may have been closed meanwhile
                self._keep(session)
            await asyncio.sleep(0)
        if self._loader is not None:
            self._loader.cancel()
        self._asked.clear()
        for session in self:
            self._end(session)
        if self._roster is not None:
            await asyncio.to_thread(self._roster.close)


def inner(address: str) -> str:
    """An address of a band as its own desk knows it."""
    return PREFIX + address[len(base_of(band_in(address))) :] if band_in(address) else address


def outer(base: str, address: str) -> str:
    """An address that a band's own desk knows, as everybody else does."""
    return base + address[len(PREFIX) :] if address.startswith(PREFIX) else address


def _renamed(session: Session, source: Source) -> Callable[[str, tuple[Value, ...]], None] | None:
    """Answers with addresses as they were sent."""
    answer, base = source.answer, session.band.base
    if answer is None:
        return None

    def tell(address: str, values: tuple[Value, ...]) -> None:
        about, state, bar, reason = values
        reason = plain(str(reason).replace(f"{PREFIX}/", f"{base}/"))
        answer(address, (outer(base, str(about)), state, bar, reason))

    return tell


def check_near(target: str) -> str:
    """A target as it was, or a Mistake: no stranger is to be flooded through us."""
    if target in ("", "none", "virtual"):
        return target
    host, colon, port = target.rpartition(":")
    try:
        near = host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        near = False
    if not (colon and near and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise Mistake(
            "target",
            f"expected none, virtual or such as 127.0.0.1:9000, got {shown(target)}; other "
            "machines are named by the scene's own outputs",
        )
    return target
