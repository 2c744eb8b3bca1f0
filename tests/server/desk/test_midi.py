"""MIDI messages that reach the tree: mapped, learnt, programs. In virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.desk.desk import Desk
from server.desk.midi import Mappings
from server.score.scene import load_scene, parse_scene
from server.wire.protocol import ALL
from tests.server.desk.rig import OTHER, SCENE, Stage

MAPPED = (
    SCENE
    + """
[map.level]
cc = 7
to = "/componium/part/melody/level"
[map.mood]
cc = 20
channel = 2
to = "/componium/mood"
argument = "arousal"
pickup = false
[map.mute]
note = 36
to = "/componium/part/melody/mute"
[map.stop]
note = 37
to = "/componium/panic"
[map.lost]
cc = 8
to = "/componium/part/nobody/level"
"""
)


class Rig(Stage):
    """A desk whose scene has mappings, and somebody at the knobs."""

    def __init__(self, folder: Path | None = None, text: str = MAPPED) -> None:
        super().__init__(folder)
        self.player.cue(parse_scene(text, "first"))
        self.file = folder / "learnt.json" if folder is not None else None
        load: Any = lambda path, style: load_scene(Path(path), style)  # noqa: E731
        self.desk = Desk(self.player, load, folder, mappings=Mappings(self.file))

    def turn(self, data: str, name: str = "keys") -> bool:
        return self.desk.midi.claim(name, bytes.fromhex(data))

    def value(self, address: str) -> tuple[Any, ...]:
        node = self.desk.tree.nodes["/componium" + address]
        assert node.value is not None
        return node.value() or ()


async def test_a_knob_moves_what_it_is_mapped_to_once_it_has_picked_it_up() -> None:
    rig = Rig()
    assert rig.turn("b00700")
    assert rig.value("/part/melody/level") == (1.0,)
    rig.turn("b00740")
    rig.turn("b0077f")
    assert rig.value("/part/melody/level") == (2.0,)
    assert not rig.turn("b00940"), "what is not mapped is left to be played"


async def test_one_of_two_arguments_moves_and_the_other_stays() -> None:
    rig = Rig()
    rig.send("/play")
    rig.send("/mood", 0.5, 0.0)
    assert not rig.turn("b01440")  # another channel
    assert rig.turn("b1147f")
    assert [what for what, _ in rig.player.changes.told()] == ["mood"]
    await rig.pass_time(4 * 10**9)
    valence, arousal = rig.value("/mood")
    assert valence == pytest.approx(0.5, abs=0.2) and arousal == pytest.approx(1.0, abs=0.1)


async def test_pads_toggle_and_trigger_and_their_release_does_nothing() -> None:
    rig = Rig()
    for data, muted in (("902440", True), ("802400", True), ("902440", False), ("902400", False)):
        assert rig.turn(data)
        assert rig.value("/part/melody/mute") == (muted,)
    rig.send("/play")
    assert rig.turn("902540")
    assert ("panic", ALL) in rig.tape.calls


async def test_an_address_that_is_not_there_is_complained_of_and_harms_nobody() -> None:
    rig = Rig()
    assert rig.turn("b00840")
    assert any("nobody" in text for text in rig.troubles)


async def test_program_changes_call_for_scenes(tmp_path: Path) -> None:
    (tmp_path / "night.toml").write_text(OTHER)
    rig = Rig(tmp_path, 'programs = ["night", "day"]\n' + SCENE)
    assert rig.turn("c000")
    await rig.loaded()
    assert rig.player.scene is not None and rig.player.scene.name == "night"
    assert not rig.turn("c005")
    (tmp_path / "day.toml").write_text(OTHER)
    assert not rig.player.scene.programs and rig.turn("c001"), "there is a way on, and back"
    await rig.loaded()
    assert rig.player.scene is not None and rig.player.scene.name == "day"


async def test_what_is_moved_next_is_learnt_kept_and_let_go_of(tmp_path: Path) -> None:
    rig = Rig(tmp_path, SCENE)
    assert rig.send("/learn", "/componium/tempo")[0][1:] == (
        *("armed", 1.0, "move a knob or press a pad within 30 s; but no input is named: --midi-in"),
    )
    assert rig.turn("b04a10")
    assert rig.receipts[-1][1:] == (
        *("done", 1.0, "cc 74 channel 1 of keys moves /componium/tempo, kept in learnt.json"),
    )
    again = Mappings(rig.file)
    assert [spec.to for spec in again.board.specs] == ["/componium/tempo"]
    for value in (0x00, 0x40):
        rig.turn(f"b04a{value:02x}")
    assert rig.value("/tempo")[0] == pytest.approx((40 + 240) / 2), (
        "what a knob is good for, not 20 to 999"
    )
    assert "cc 74" in rig.send("/mapped")[0][3]
    assert rig.send("/unlearn")[0][3] == "1 let go of, kept in learnt.json"
    assert rig.send("/mapped")[0][3] == "nothing is mapped"
    assert json.loads((tmp_path / "learnt.json").read_text())["maps"] == []


async def test_a_pad_learns_an_address_with_its_values_and_a_fine_knob_its_bits() -> None:
    rig = Rig(text=SCENE)
    rig.send("/learn", "/componium/control/arousal 0.75")
    rig.turn("903050")
    rig.turn("903050")
    rig.turn("803000")
    rig.turn("903050")
    assert rig.value("/control/arousal") == (0.75,)
    rig.send("/learn", "/componium/part/melody/density")
    rig.turn("b00110")
    rig.turn("b02105")
    assert "cc14 1" in rig.send("/mapped")[0][3]


async def test_how_a_knob_moves_is_said_in_any_order() -> None:
    rig = Rig(text=SCENE)
    rig.send("/learn", "/componium/tempo", "90..140")
    rig.turn("b04a00")
    for value in (0, 127):
        rig.turn(f"b04a{value:02x}")
    assert rig.value("/tempo")[0] == pytest.approx(140)
    for words in (("twos", "140..90"), ("140..90", "tempo", "twos")):
        rig.send("/learn", "/componium/tempo", *words)
        rig.turn("b04b01")
        (spec,) = (s for s in rig.desk.midi.mappings.board.specs if s.trigger.number == 75)
        assert (spec.mode, spec.low, spec.high) == ("twos", 140.0, 90.0)


async def test_learning_is_refused_where_it_makes_no_sense_and_ends_by_itself() -> None:
    rig = Rig(text=SCENE)
    assert "there is no '/componium/tmpo'" in rig.send("/learn", "/componium/tmpo")[0][3]
    assert "no argument 'bpm'" in rig.send("/learn", "/componium/tempo", "bpm")[0][3]
    rig.send("/learn", "/componium/tempo")
    assert not rig.turn("b07b00"), "all notes off is no knob"
    await rig.pass_time(31 * 10**9)
    assert not rig.turn("b04a10")
    late = ("/componium/learn", "refused", 1.0, "nothing was moved within 30 s")
    assert rig.receipts[1:] == [late], "where nobody keeps time, the next knob tells"


async def test_learning_comes_to_one_end_whatever_becomes_of_it() -> None:
    rig, waits = Rig(text=SCENE), list[tuple[float, Callable[[], None]]]()
    rig.desk.midi.wait = lambda seconds, work: waits.append((seconds, work))

    def ask(address: str, *args: str) -> None:
        rig.desk.receive(f"/componium{address}", args, rig.source)

    def states() -> list[str]:
        found = [state for about, state, *_ in rig.receipts if about == "/componium/learn"]
        rig.receipts.clear()
        return found

    ask("/learn", "/tempo")
    rig.turn("b04a10")
    assert states() == ["armed", "done"]
    ask("/learn", "/tempo")
    ask("/unlearn")
    assert states() == ["armed", "cancelled"]
    ask("/learn", "/tempo")
    ask("/learn", "/panic")
    assert states() == ["armed", "superseded", "armed"]
    await rig.pass_time(20 * 10**9)
    ask("/learn", "/tempo")
    ((seconds, look),) = waits
    assert seconds == 30, "one wait, however often it is asked for"
    await rig.pass_time(10 * 10**9)
    look()
    assert states() == ["superseded", "armed"]
    seconds, look = waits.pop()
    assert seconds == pytest.approx(20)
    await rig.pass_time(20 * 10**9)
    look()
    assert states() == ["refused"] and len(waits) == 1


def test_a_file_that_cannot_be_understood_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "maps.json"
    for text in ("", "[]", "{", '{"format": "componium mappings 1", "maps": [3]}', "[" * 100_000):
        file.write_text(text)
        with pytest.raises(Mistake, match="cannot be read"):
            Mappings(file)


RIG = Rig()


@given(st.lists(st.binary(min_size=2, max_size=3), max_size=20))
def test_nothing_that_comes_in_breaks_the_desk(messages: list[bytes]) -> None:
    lengths = {0xC0: 2, 0xD0: 2}
    for data in messages:
        status = data[0] | 0x80
        size = lengths.get(status & 0xF0, 3)
        if status < 0xF0:
            rest = bytes(byte & 127 for byte in (data[1:] + b"\0\0")[: size - 1])
            RIG.desk.midi.claim("keys", bytes((status,)) + rest)
    assert 0 <= RIG.value("/part/melody/level")[0] <= 2
