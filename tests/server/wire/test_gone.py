"""A port that is found to be gone while the wire ends its notes takes no other port with it."""

from __future__ import annotations

import pytest

from server.wire import protocol
from tests.rigs.fake import Stage, note

ENDINGS = {
    "cut": protocol.part_frame(protocol.CUT, 0),
    "silence": protocol.frame(protocol.SILENCE),
    "panic": protocol.frame(protocol.PANIC),
    "close": protocol.port_frame(protocol.CLOSE, 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_notes_on_the_other_ports_are_ended_all_the_same(ending: str) -> None:
    stage = Stage()
    gone, good = stage.open(0), stage.open(1)
    stage.play([note(1, 1010, 9000, 60), note(2, 1010, 9000, 64), note(3, 1010, 9000, 67, port=1)])
    stage.run(20)
    gone.gone = "unplugged"
    stage.tell(ENDINGS[ending])
    if ending == "close":
        stage.tell(protocol.frame(protocol.SILENCE))
    assert bytes((0x80, 67, 0)) in good.bytes
    assert not stage.wire.sounding


def test_a_port_that_vanishes_while_it_is_being_closed_is_let_go() -> None:
    stage = Stage()
    port = stage.open(0)
    stage.play([note(1, 1010, 9000)])
    stage.run(20)
    port.gone = "unplugged"
    stage.wire.close()
    stage.run(2000)
    assert stage.wire.closed()


def test_frames_are_handed_out_once_even_where_their_consumer_fails() -> None:
    frames = protocol.Frames()
    data = protocol.frame(protocol.BEAT) * 2
    with pytest.raises(RuntimeError):
        for _ in frames.feed(data):
            raise RuntimeError
    assert frames.feed(protocol.frame(protocol.PANIC)) == [(protocol.PANIC, b"")]
