"""What surfaces are told: all of it, again and again, and not against a finger."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from server.desk.surface import CALM, LOOKS, MOST, ROUND, Surface
from server.desk.tree import Value
from tests.server.desk.rig import SECOND, Stage


class Tablet:
    """A surface before values that a test sets. heard: looks and messages in between."""

    def __init__(self, **values: tuple[Value, ...] | None) -> None:
        self.values = {f"/{name}": value for name, value in values.items()}
        self.heard: list[tuple[int, str, list[Any]]] = []
        self.now = 10**9
        self.surface = Surface(lambda: dict(self.values), self._hear)

    def _hear(self, data: bytes) -> None:
        message = OscMessage(data)
        self.heard.append((self.now, message.address, list(message.params)))

    def look(self, ns: int = 0) -> list[tuple[str, list[Any]]]:
        """Look for so long, once at least; what was told."""
        self.heard.clear()
        until = self.now + ns
        while True:
            self.now += LOOKS
            self.surface.look(self.now)
            if self.now >= until:
                return [(address, values) for _, address, values in self.heard]


def test_what_has_come_to_rest_is_told_and_what_moves_now_and_then() -> None:
    tablet = Tablet(fader=(0.5,))
    tablet.look(ROUND)
    tablet.values["/fader"] = (0.75,)
    assert tablet.look() == []
    assert tablet.look(CALM) == [("/fader", [0.75])]
    told = []
    for step in range(100):
        tablet.values["/fader"] = (step / 100,)
        told += [(tablet.now, values[0]) for _, values in tablet.look()]
    gaps = [after[0] - before[0] for before, after in pairwise(told)]
    assert all(gap >= MOST for gap in gaps) and len(told) > 10


def test_truths_are_numbers_and_what_is_not_there_is_not_told() -> None:
    tablet = Tablet(mute=(True,), lost=None, name=("D dorian", 3))
    assert dict(tablet.look(ROUND)) == {"/mute": [1], "/name": ["D dorian", 3]}
    tablet.values["/mute"] = None
    assert {address for address, _ in tablet.look(2 * ROUND)} == {"/name"}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 9)), min_size=1))
def test_whoever_comes_late_hears_everything_within_a_round(values: dict[str, Any]) -> None:
    tablet = Tablet(**values)
    for _ in range(3):
        heard = dict(tablet.look(ROUND + LOOKS))
        assert heard == {f"/{name}": list(value) for name, value in values.items()}


async def test_every_value_of_a_scene_can_be_told() -> None:
    from server.concert.prompter import Prompter
    from server.desk.feed import Feed
    from server.desk.surface import _told

    stage = Stage()
    prompter = Prompter(stage.clock.now, lambda do: do())
    feed = Feed(stage.player, stage.desk, prompter, {}, lambda ns, do: None)
    stage.player.play()
    await stage.pass_time(SECOND)
    heard: dict[str, list[Any]] = {}

    def hear(data: bytes) -> None:
        message = OscMessage(data)
        heard[message.address] = list(message.params)

    surface = Surface(lambda: _told(feed), hear)
    for look in range(60):
        surface.look(look * LOOKS)
    assert heard["/componium/tempo"] == [120] and heard["/componium/transport"] == ["playing"]
    assert heard["/componium/part/melody/mute"] == [0]
