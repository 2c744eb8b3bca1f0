"""Address patterns of OSC 1.0, matched in time that no pattern can stretch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from engines.base import Mistake

MOST_SIGNS = 8  # in one pattern; of {a,b} each name counts
_SIGNS = frozenset("*?[]{}")

#: From where what comes before it may end in a name, to where it may end itself.
_Piece = Callable[[str, set[int]], set[int]]


def is_pattern(address: str) -> bool:
    """Whether an address may mean several."""
    return not _SIGNS.isdisjoint(address)


def segments(pattern: str) -> list[Callable[[str], bool]]:
    """What each name on the way has to be like. Errors: Mistake where that cannot be read.

    `*` is any run of characters, `?` is one, `[a-c]` one of these, `[!a-c]` none of these,
    `{a,b}` one of these words; none of them reaches beyond a name.
    Law: matching takes time proportional to the signs, and to the length of the name.
    """
    if sum(map(pattern.count, "*?[{,")) > MOST_SIGNS:
        raise Mistake("", f"expected a pattern with at most {MOST_SIGNS} of * ? [] {{}}")
    return [_matcher(list(_pieces(name))) for name in pattern.split("/")[1:]]


def _matcher(pieces: list[_Piece]) -> Callable[[str], bool]:
    def fits(name: str) -> bool:
        ends = {0}
        for piece in pieces:
            ends = piece(name, ends)
        return len(name) in ends

    return fits


def _pieces(text: str) -> Iterator[_Piece]:
    at = 0
    while at < len(text):
        sign, at = text[at], at + 1
        if sign == "*":
            yield _run
        elif sign == "?":
            yield _one(lambda char: True)
        elif sign in "[{":
            end = text.find("]" if sign == "[" else "}", at)
            inside, at = text[at:end], end + 1
            if end < 0 or is_pattern(inside):
                raise Mistake("", f"expected a pattern that closes its {sign}")
            yield _one(_listed(inside)) if sign == "[" else _word(inside.split(","))
        elif sign in "]}":
            raise Mistake("", f"expected a pattern that opens its {sign}")
        else:
            yield _word([sign])


def _run(name: str, ends: set[int]) -> set[int]:
    return set(range(min(ends), len(name) + 1)) if ends else ends


def _one(fits: Callable[[str], bool]) -> _Piece:
    return lambda name, ends: {end + 1 for end in ends if end < len(name) and fits(name[end])}


def _word(words: list[str]) -> _Piece:
    return lambda name, ends: {
        end + len(word) for end in ends for word in words if name.startswith(word, end)
    }


def _listed(inside: str) -> Callable[[str], bool]:
    """Whether a character is one of those between brackets."""
    chars = inside.removeprefix("!")
    spans, at = list[tuple[str, str]](), 0
    while at < len(chars):
        span = chars[at + 1 : at + 2] == "-" and at + 2 < len(chars)
        spans.append((chars[at], chars[at + 2 if span else at]))
        at += 3 if span else 1
    wanted = chars == inside
    return lambda char: any(low <= char <= high for low, high in spans) == wanted
