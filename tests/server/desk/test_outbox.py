"""What waits for one listener: bounded, the newest first of all, receipts in any case."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from server.desk.feed import ALWAYS, BEATS, MARKS, NOTES, ROOM, STALE, Outbox, compact


class Mail:
    """An outbox by a clock of its own."""

    def __init__(self) -> None:
        self.now, self.rings = 10**9, 0
        self.box = Outbox(lambda: self.now, self.ring)

    def ring(self) -> None:
        self.rings += 1

    def all(self) -> list[str | bytes]:
        taken = []
        while (frame := self.box.take()) is not None:
            taken.append(frame)
        return taken


def test_frames_come_in_their_order_and_whoever_sends_is_woken() -> None:
    mail = Mail()
    for frame in ("a", b"b", "c"):
        mail.box.put(frame)
    assert mail.all() == ["a", b"b", "c"] and mail.rings == 3


def test_of_state_and_values_the_newest_comes_once() -> None:
    mail = Mail()
    for value in range(1000):
        mail.box.state({"/a": [value], "/b": [1]})
        mail.box.value("/a", b"%d" % value)
    assert mail.all() == [b"999", compact({"state": {"/a": [999], "/b": [1]}})]


def test_what_is_taken_back_goes_before_all_else_and_is_never_lost() -> None:
    mail = Mail()
    mail.box.put("note", NOTES)
    mail.box.forget(["1", "2"])
    mail.box.forget(["2", "3"])
    mail.now += 2 * STALE
    assert mail.all() == [compact({"forget": ["1", "2", "3"]})]


def test_where_there_is_no_room_notes_give_way_before_beats_and_receipts_never() -> None:
    mail = Mail()
    size = ROOM // 8
    for nth, rank in enumerate([ALWAYS, NOTES, BEATS, NOTES, MARKS, BEATS, MARKS, ALWAYS]):
        mail.box.put(f"{nth}".ljust(size), rank)
    mail.box.put("x", BEATS)
    assert [str(each).strip() for each in mail.all()] == ["0", "2", "4", "5", "6", "7", "x"]
    for nth in range(20):
        mail.box.put(f"{nth}".ljust(size))
    assert mail.box.full and len(mail.all()) == 20
    mail.box.closed = True
    mail.box.put("late")
    assert mail.all() == []


def test_a_number_that_is_none_spoils_its_own_frame_alone() -> None:
    assert "error" in json.loads(compact({"x": float("nan")}))


frames = st.tuples(
    st.sampled_from([NOTES, BEATS, MARKS, ALWAYS]),
    st.integers(1, ROOM // 3),
    st.sampled_from([0, STALE // 2]),
)


@given(st.lists(frames, max_size=30), st.integers(0, 5))
def test_room_is_bounded_receipts_come_and_nothing_stale(
    put: list[tuple[int, int, int]], reads: int
) -> None:
    mail = Mail()
    told: list[tuple[int, str]] = []
    heard: list[str | bytes | None] = []
    for nth, (rank, size, passes) in enumerate(put):
        mail.now += passes
        frame = f"{nth}".ljust(size)
        told.append((rank, frame))
        mail.box.put(frame, rank)
        always = sum(len(f) for r, f in told if r == ALWAYS)
        assert mail.box._size <= ROOM + always
        waiting = [each for each in mail.box._frames if each.rank != ALWAYS]
        assert all(each.at >= mail.now - 2 * STALE for each in waiting)
        if nth % 6 < reads:
            heard.append(mail.box.take())
    heard += mail.all()
    assert [f for r, f in told if r == ALWAYS] == [
        f for f in heard if f in {g for r, g in told if r == ALWAYS}
    ]
    numbers = [int(str(each)) for each in heard if each is not None]
    assert numbers == sorted(numbers)
    assert len(heard) - heard.count(None) + mail.box.left_out == len(put)
