"""The printed reference is true: current, and naming all that is really sent."""

from __future__ import annotations

from pathlib import Path

from server.band.hands import Hands
from server.concert.clock import JumpClock
from server.concert.player import Player
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


def test_commands_are_not_taken_for_our_own_messages() -> None:
    for address in ("/componium/play", "/componium/part/note/mute", "/beat", "/componium/beat/x"):
        assert not is_sent(address)
