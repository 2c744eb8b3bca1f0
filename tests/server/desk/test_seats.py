"""Seats: laws for any coming and going."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.desk.seats import Seats

COMING = st.lists(
    st.tuples(st.sampled_from("abcd"), st.booleans(), st.sampled_from(("come", "go", "trust")))
)


@given(COMING, st.integers(1, 5))
def test_no_more_than_there_are_seats_and_never_at_the_cost_of_the_trusted(
    coming: list[tuple[str, bool, str]], most: int
) -> None:
    seats: Seats[int] = Seats(most)
    where: dict[int, str] = {}  # who sits, "" for the trusted
    for guest, (address, trusted, what) in enumerate(coming):
        if what == "go" and where:
            gone = next(iter(where))
            seats.leave(gone)
            del where[gone]
        elif what == "trust" and where:
            known = next(reversed(where))
            seats.trust(known)
            where[known] = ""
        elif what == "come":
            room = seats.room(address, trusted)
            strangers = Counter(each for each in where.values() if each)
            seated, put_out = seats.take(guest, address, trusted)
            assert seated == room
            if seated:
                where[guest] = "" if trusted else address
            if put_out is not None:
                crowd = where.pop(put_out)
                assert crowd and strangers[crowd] == max(strangers.values())
                assert trusted or strangers[address] + 1 < strangers[crowd]
            if trusted:
                assert seated or not strangers
        assert set(seats) == set(where) and len(seats) <= most


def test_a_crowd_from_one_address_keeps_nobody_else_out() -> None:
    seats: Seats[str] = Seats(4)
    for number in range(4):
        assert seats.take(f"crowd {number}", "10.0.0.9") == (True, None)
    assert seats.take("one more", "10.0.0.9") == (False, None)
    assert seats.take("phone", "10.0.0.2") == (True, "crowd 0")
    assert seats.take("owner", "10.0.0.9", trusted=True) == (True, "crowd 1")
