"""The printed reference is true: current, and naming all that is really sent."""

from __future__ import annotations

from pathlib import Path

from server.band.hands import Hands
from server.concert.clock import JumpClock
from server.concert.player import Player
from server.concert.prompter import Prompter
from server.desk.desk import Desk, Source
from server.desk.feed import Feed
from server.desk.packet import decode
from server.desk.reference import reference
from server.desk.sent import SENT, is_sent
from server.ensemble.rack import Rack, Tape
from server.score.scene import parse_scene
from server.sync.source import Sync

SCENE = """
[outputs.game]
osc = "127.0.0.1:9000"
why = true
[parts."low chords"]
engine = "grammar"
rules = "S -> I V7"
[parts.filter]
engine = "grammar"
rules = "S -> up down"
reading = { up = "cc74=64", down = "C4 1/4" }
[stingers.hit]
notes = "c1:1/4"
[mood]
start = "happy"
[form]
plan = "A B"
[form.sections.A]
bars = 2
cues = { exit = 2 }
[form.sections.B]
bars = 2
"""


def test_the_page_in_docs_is_what_the_tree_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "addresses.md"
    again = "run: python -m server.desk.reference > docs/addresses.md"
    assert page.read_text(encoding="utf-8") == reference(), again


async def test_whatever_is_sent_stands_in_the_reference() -> None:
    tape = Tape()
    player = Player(JumpClock(), lambda ids: Rack({"osc": tape}, ids), horizon=4 * 10**9)
    player.cue(parse_scene(SCENE))
    sync = Sync(player)
    sync.use("midi")
    sync.use("internal")
    player.play(end_bar=4)
    Hands(player).stinger("hit")
    await player.run()
    player.stop()
    seen = set()
    for event in tape.events:
        for data in (event.on, event.off):
            messages = decode(data) if data else []
            assert isinstance(messages, list)
            for message in messages:
                assert is_sent(message.address)
                address = message.address.removeprefix("/componium")
                for part in ("low_chords", "filter", "hit"):
                    address = address.replace(f"/{part}/", "/NAME/")
                seen.add(address)
    assert seen == {sent.address for sent in SENT} - {"/receipt"}


async def test_whatever_is_told_can_be_asked_for_with_its_last_value() -> None:
    tape = Tape()
    player = Player(JumpClock(), lambda ids: Rack({"osc": tape}, ids), horizon=4 * 10**9)
    player.cue(parse_scene(SCENE))
    desk = Desk(player, lambda path, style: parse_scene(SCENE))
    feed = Feed(player, desk, Prompter(player.clock.now, lambda do: None), {}, lambda ns, do: None)
    for each in SENT:  # before anything is told it is known to be there
        address = "/componium" + each.address.replace("NAME", "low_chords")
        status, found = feed.query.answer(address)
        assert status == 200 and found["DESCRIPTION"] and found["ACCESS"] in (1, 3), address
    sync = Sync(player)
    sync.use("midi")
    sync.use("internal")
    player.play(end_bar=3)
    desk.receive("/componium/stinger", ["hit"], Source("a game"))
    await player.run()
    now = player.clock.now()
    player.stop()
    last: dict[str, tuple[object, ...]] = {}
    ended: dict[int, set[object]] = {}
    for at, data in sorted(
        (at, data)
        for event in tape.events
        for at, data in ((event.due, event.on), (event.end, event.off))
        if data and at <= now
    ):
        messages = decode(data)
        assert isinstance(messages, list)
        for address, args in messages:
            last[address] = tuple(args)
            if address.endswith("/low_chords/off"):
                ended.setdefault(at, set()).update(args)
    low = "/componium/part/low_chords/off"  # of a chord all notes end at once
    assert (feed.query.value(low) or ())[0] in ended[max(ended)] and last.pop(low)
    assert {"/componium/chord/next", "/componium/part/filter/control"} <= last.keys()
    for address, told in last.items():
        status, found = feed.query.answer(f"{address}?VALUE")
        shared = found["VALUE"] if status == 200 else []
        assert shared, address
        if desk.tree.get(address) is None:
            assert list(map(_rounded, shared)) == list(map(_rounded, told)), address
            assert len(feed.query.answer(f"{address}?TYPE")[1]["TYPE"]) == len(told)
    assert feed.query.value("/componium/receipt") == desk.last
    assert feed.query.value("/componium/stinger") == ("hit",)


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value  # OSC has 24 bits of it


def test_commands_are_not_taken_for_our_own_messages() -> None:
    for address in ("/componium/play", "/componium/part/note/mute", "/beat", "/componium/beat/x"):
        assert not is_sent(address)
