"""OSC bytes become messages: a total function, whatever the bytes hold."""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from .pattern import is_pattern
from .tree import Value

DATAGRAM = 8192  # bytes
DEPTH = 4  # bundles within bundles
ELEMENTS = 64  # of all bundles of a datagram together
ARGUMENTS = 64
ADDRESS, TEXT = 255, 1024  # bytes of an address, of a text

_BUNDLE = b"#bundle\0"
_PLAIN = re.compile(rb"(?:/[^\x00-\x1f\x7f-\xff#*,/?\[\]{}]+)+")
_PATTERN = re.compile(rb"(?:/[^\x00-\x1f\x7f-\xff#/]+)+")
_NUMBERS = {"f": struct.Struct(">f"), "i": struct.Struct(">i")}
_NUMBERS |= {"d": struct.Struct(">d"), "h": struct.Struct(">q")}
_FLAGS = {"T": True, "F": False, "I": True}  # I, a bang, is a button pressed


class Message(NamedTuple):
    """An OSC message. address: or a pattern.  args: of types f, d, i, h, s, S, T, F and I."""

    address: str
    args: tuple[Value, ...] = ()


class Rejected(NamedTuple):
    """A datagram that is not taken, and why."""

    why: str


def decode(data: bytes) -> list[Message] | Rejected:
    """The messages of a datagram in their order, or why none of them is taken.

    Total: any bytes whatever give an answer, in time proportional to their number.
    """
    if len(data) > DATAGRAM:
        return Rejected(f"longer than {DATAGRAM} bytes")
    if not data or len(data) % 4:
        return Rejected(f"{len(data)} bytes are no whole number of words")
    try:
        return _messages(data)
    except _BadError as bad:
        return Rejected(str(bad))


class _BadError(Exception):
    pass


def _messages(data: bytes) -> list[Message]:
    messages: list[Message] = []
    elements = [(0, len(data), 0)]
    seen = 0
    while elements:
        begin, end, depth = elements.pop()
        if not data.startswith(_BUNDLE, begin, end):
            messages.append(_message(data, begin, end))
            continue
        if depth == DEPTH:
            raise _BadError(f"bundles nested more than {DEPTH} deep")
        inside = _elements(data, begin, end)
        seen += len(inside)
        if seen > ELEMENTS:
            raise _BadError(f"more than {ELEMENTS} elements in bundles")
        elements += [(first, last, depth + 1) for first, last in reversed(inside)]
    return messages


def _elements(data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """Where the elements of a bundle begin and end."""
    at = begin + 16  # after the time tag
    if at > end:
        raise _BadError("a bundle without a time tag")
    found = []
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")  # unsigned: -4 is no size
        at += 4
        if not size or size % 4 or at + size > end:
            raise _BadError("an element of a bundle has a false size")
        found.append((at, at + size))
        at += size
    return found


def _message(data: bytes, begin: int, end: int) -> Message:
    raw, at = _text(data, begin, end, ADDRESS)
    address = raw.decode("latin-1")
    if not (_PLAIN.fullmatch(raw) or (is_pattern(address) and _PATTERN.fullmatch(raw))):
        raise _BadError("an address must be such as /componium/play")
    if at == end:  # old senders leave out the type tags of a message without arguments
        return Message(address)
    tags, at = _text(data, at, end, ARGUMENTS + 1)
    if not tags.startswith(b","):
        raise _BadError("the type tags are missing")
    args: list[Value] = []
    for tag in tags[1:].decode("latin-1"):
        if tag in _NUMBERS:
            number = _NUMBERS[tag]
            if at + number.size > end:
                raise _BadError("a number is cut off")
            args += number.unpack_from(data, at)
            at += number.size
        elif tag in "sS":
            text, at = _text(data, at, end, TEXT)
            try:
                args.append(text.decode())
            except UnicodeDecodeError:
                raise _BadError("a text is not UTF-8") from None
        elif tag in _FLAGS:
            args.append(_FLAGS[tag])
        else:
            raise _BadError(f"arguments of type {tag!r} are not taken")
    if at != end:
        raise _BadError("more bytes than its type tags say")
    return Message(address, tuple(args))


def _text(data: bytes, begin: int, end: int, longest: int) -> tuple[bytes, int]:
    """The bytes up to a NUL, and where the next word begins."""
    stop = data.find(0, begin, end)
    if stop < 0:
        raise _BadError("a text does not end")
    size = stop - begin
    if size > longest:
        raise _BadError(f"a text of more than {longest} bytes")
    return data[begin:stop], stop + 4 - size % 4
