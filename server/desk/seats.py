"""Who may be there at once: a crowd from one address gives way to guests from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar

G = TypeVar("G")


class Seats(Generic[G]):
    """Seats for at most `most` guests, who are strangers until they have shown the token.

    Laws: no more than `most` sit; nobody who is trusted is put out; a stranger is put out only for
    somebody who is trusted, or comes from an address that has fewer strangers there than his.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._guests: dict[G, str] = {}  # the oldest first; "" as the address of the trusted

    def __len__(self) -> int:
        return len(self._guests)

    def __iter__(self) -> Iterator[G]:
        return iter(list(self._guests))

    def room(self, address: str, trusted: bool = False) -> bool:
        """Whether somebody from this address would find a seat."""
        return len(self._guests) < self.most or self._stranger(address, trusted) is not None

    def take(self, guest: G, address: str, trusted: bool = False) -> tuple[bool, G | None]:
        """Whether there is a seat, and who has to leave for it."""
        gone: G | None = None
        if len(self._guests) >= self.most:
            gone = self._stranger(address, trusted)
            if gone is None:
                return False, None
            self.leave(gone)
        self._guests[guest] = "" if trusted else address
        return True, gone

    def _stranger(self, address: str, trusted: bool) -> G | None:
        """The oldest of the largest crowd, if it is to give way."""
        crowds = Counter(each for each in self._guests.values() if each)
        if not crowds:
            return None
        [(largest, count)] = crowds.most_common(1)
        if not trusted and crowds[address] + 1 >= count:
            return None
        return next(guest for guest, each in self._guests.items() if each == largest)

    def trust(self, guest: G) -> None:
        """This guest has shown the token."""
        if guest in self._guests:
            self._guests[guest] = ""

    def leave(self, guest: G) -> None:
        self._guests.pop(guest, None)
