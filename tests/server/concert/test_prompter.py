"""What is planned and taken back, as listeners in the planner's own process are told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.concert.prompter import KEPT, LATE, MOST, Prompter
from server.wire.protocol import ALL, LATE_DROP, LATE_SEND, RANK_NOTE, Event

MS = 1_000_000


def note(identity: int, due: int, end: int = 0, part: int = 1, on: bytes = b"") -> Event:
    return Event(identity, due, end, part, 0, RANK_NOTE, LATE_DROP, on)


class Ear:
    """A prompter by a clock of its own, and what a listener would believe by now."""

    def __init__(self) -> None:
        self.now = 10**9
        self.turns: list[Callable[[], None]] = []
        self.prompter = Prompter(lambda: self.now, self.turns.append)
        self.prompter.listen(True, False)
        self.prompter.tell = self.hear
        self.believes: dict[int, Event] = {}
        self.told: list[tuple[list[int], list[int]]] = []

    def hear(self, events: list[Event], gone: list[int]) -> None:
        self.told.append(([event.id for event in events], gone))
        for event in events:
            before = self.believes.get(event.id)
            if before is not None and before.due <= self.now:
                assert before._replace(end=event.end) == event, "of what has begun only the end"
            self.believes[event.id] = event
        for identity in gone:
            del self.believes[identity]

    def turn(self) -> None:
        turns, self.turns[:] = self.turns[:], []
        for each in turns:
            each()

    @property
    def to_come(self) -> dict[int, Event]:
        """What it believes and is not over."""
        return {i: e for i, e in self.believes.items() if max(e.due, e.end) > self.now}


@pytest.fixture
def ear() -> Ear:
    return Ear()


def test_what_is_performed_again_unchanged_is_not_told_again(ear: Ear) -> None:
    notes = [note(n, ear.now + n * 10 * MS, ear.now + 100 * MS) for n in range(1, 5)]
    ear.prompter.send(notes)
    ear.turn()
    ear.prompter.recall(1)
    ear.prompter.send(notes)
    ear.turn()
    assert ear.told == [([1, 2, 3, 4], [])]


def test_a_change_is_told_once_and_a_recall_takes_back(ear: Ear) -> None:
    ear.prompter.send([note(1, ear.now + 50 * MS), note(2, ear.now + 60 * MS)])
    ear.turn()
    ear.prompter.recall(1)
    ear.prompter.send([note(2, ear.now + 70 * MS)])
    ear.prompter.send([note(2, ear.now + 80 * MS)])
    ear.turn()
    assert ear.told[1:] == [([2], [1])]
    assert ear.believes[2].due == ear.now + 80 * MS


def test_what_was_never_told_need_not_be_forgotten(ear: Ear) -> None:
    ear.prompter.send([note(1, ear.now + 50 * MS)])
    ear.prompter.recall(ALL)
    ear.turn()
    assert ear.told == []


def test_a_recall_leaves_what_has_begun_and_a_cut_ends_it(ear: Ear) -> None:
    ear.prompter.send([note(1, ear.now + 10 * MS, ear.now + 900 * MS)])
    ear.turn()
    ear.now += 20 * MS
    ear.prompter.recall(1)
    ear.prompter.send([note(1, ear.now + 300 * MS, ear.now + 400 * MS)])
    ear.turn()
    assert ear.believes[1] == note(1, ear.now - 10 * MS, ear.now + 400 * MS)
    ear.prompter.cut(2)
    ear.turn()
    assert ear.to_come
    ear.prompter.silence()
    ear.turn()
    assert not ear.believes


def test_what_is_late_or_over_is_left_out_but_a_control_change_is_not(ear: Ear) -> None:
    late = note(1, ear.now - LATE - 1, ear.now + MS)
    ear.prompter.send([late, late._replace(id=2, late=LATE_SEND)])
    ear.turn()
    assert ear.told == [([2], [])]
    ear.now += 500 * MS
    ear.prompter.send([note(2, ear.now + MS, ear.now + 9 * MS)])
    ear.turn()
    assert ear.told == [([2], [])]


def test_it_is_bounded_and_forgets_what_is_over(ear: Ear) -> None:
    for nth in range(MOST + 50):
        ear.prompter.send([note(nth + 1, ear.now + MS)])
    ear.turn()
    assert len(ear.prompter.events()) == MOST
    ear.now += KEPT + 2 * MS
    ear.prompter.send([note(10**6 + 1, ear.now + MS)])
    ear.turn()
    assert [event.id for event in ear.prompter.events()] == [10**6 + 1]
    assert len(ear.prompter._told) == 1


def test_nobody_is_told_while_nobody_listens(ear: Ear) -> None:
    ear.prompter.send([note(1, ear.now + MS)])
    ear.prompter.listen(False, False)
    ear.turn()
    ear.prompter.send([note(2, ear.now + MS)])
    assert ear.told == [] and ear.turns == [] and ear.prompter.events() == []


times = st.integers(-200, 400)
deeds = st.one_of(
    st.tuples(
        st.just("send"),
        st.integers(1, 8),
        times,
        st.integers(0, 300),
        st.integers(1, 2),
    ),
    st.tuples(st.sampled_from(["recall", "cut"]), st.sampled_from([1, 2, ALL])),
    st.tuples(st.sampled_from(["silence", "turn"])),
    st.tuples(st.just("wait"), st.integers(1, 120)),
)


@given(st.lists(deeds, max_size=40))
def test_a_listener_believes_what_the_prompter_holds_whatever_is_asked(
    asked: list[tuple[str | int, ...]],
) -> None:
    ear = Ear()
    for what, *args in asked:
        numbers = [each for each in args if isinstance(each, int)]
        if what == "send":
            identity, due, length, part = numbers
            begin = ear.now + due * MS
            # a part's events are its own
            event = note(identity * 10 + part, begin, length and begin + length * MS, part)
            ear.prompter.send([event])
        elif what == "wait":
            ear.turn()
            ear.now += numbers[0] * MS
        elif what == "turn":
            ear.turn()
        elif what == "silence":
            ear.prompter.silence()
        else:
            getattr(ear.prompter, str(what))(numbers[0])
    ear.turn()
    holds = {event.id: event for event in ear.prompter.events()}
    assert ear.to_come == holds
