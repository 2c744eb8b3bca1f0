"""Decoding OSC: an independent encoder's messages come out as they went in; nothing else hurts."""

from __future__ import annotations

import struct
import time
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from server.desk.packet import Message, Rejected, decode
from server.desk.tree import Value

HEAD = b"#bundle\0" + bytes(7) + b"\1"
PLAY = b"/componium/play\0,\0\0\0"
FAR = 1 << 62

names = st.text("abcXYZ019_ .-!~", min_size=1, max_size=20)
addresses = st.lists(names, min_size=1, max_size=4).map(lambda words: "/" + "/".join(words))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=100)
arguments: dict[str, st.SearchStrategy[Value]] = {
    "i": st.integers(-(2**31), 2**31 - 1),
    "h": st.integers(-(2**63), 2**63 - 1),
    "f": st.floats(width=32),
    "d": st.floats(),
    "s": texts,
    "T": st.just(True),
    "F": st.just(False),
}
typed = st.sampled_from(sorted(arguments)).flatmap(lambda t: st.tuples(st.just(t), arguments[t]))
messages = st.tuples(addresses, st.lists(typed, max_size=6))
Draft = tuple[str, list[tuple[str, Value]]]


def builder(draft: Draft) -> OscMessageBuilder:
    made = OscMessageBuilder(draft[0])
    for kind, value in draft[1]:
        made.add_arg(value, kind)
    return made


def encoded(draft: Draft) -> bytes:
    return builder(draft).build().dgram


def same(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isnan(one):
        return isinstance(other, float) and isnan(other)
    return type(one) is type(other) and one == other


def agrees(message: Message, draft: Draft) -> bool:
    values = [value for _, value in draft[1]]
    pairs = zip(message.args, values, strict=True)
    return message.address == draft[0] and all(same(one, other) for one, other in pairs)


@given(messages)
def test_a_message_comes_out_as_it_went_in(draft: Draft) -> None:
    decoded = decode(encoded(draft))
    assert isinstance(decoded, list)
    [message] = decoded
    assert agrees(message, draft)


@given(st.lists(messages, max_size=4), st.integers(0, 3))
def test_bundles_come_out_in_order_however_deep(drafts: list[Draft], depth: int) -> None:
    bundle = OscBundleBuilder(0)
    for draft in drafts:
        bundle.add_content(builder(draft).build())
    for _ in range(depth):
        outer = OscBundleBuilder(0)
        outer.add_content(bundle.build())
        bundle = outer
    decoded = decode(bundle.build().dgram)
    assert isinstance(decoded, list)
    assert len(decoded) == len(drafts)
    assert all(map(agrees, decoded, drafts))


def test_order_is_kept_between_messages_and_bundles() -> None:
    def element(data: bytes) -> bytes:
        return struct.pack(">i", len(data)) + data

    inner = HEAD + element(b"/b\0\0") + element(b"/c\0\0")
    decoded = decode(HEAD + element(b"/a\0\0") + element(inner) + element(b"/d\0\0"))
    assert decoded == [Message("/a"), Message("/b"), Message("/c"), Message("/d")]


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    assert isinstance(decode(data), list | Rejected)


@given(st.binary(max_size=300))
def test_any_bytes_within_a_bundle_give_an_answer(data: bytes) -> None:
    assert isinstance(decode(HEAD + data), list | Rejected)


@given(messages, st.data())
def test_a_mutated_datagram_gives_an_answer(draft: Draft, data: st.DataObject) -> None:
    mutated = bytearray(HEAD + struct.pack(">i", len(encoded(draft))) + encoded(draft))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    for datagram in (bytes(mutated), bytes(mutated[:cut])):
        assert isinstance(decode(datagram), list | Rejected)


def test_a_message_without_type_tags_is_taken() -> None:
    assert decode(b"/componium/stop\0") == [Message("/componium/stop")]


def test_time_tags_are_not_waited_for() -> None:
    for tag in (bytes(8), b"\xff" * 8, struct.pack(">II", 2**31, 0)):
        element = struct.pack(">i", len(PLAY)) + PLAY
        assert decode(b"#bundle\0" + tag + element) == [Message("/componium/play")]


def nested(depth: int) -> bytes:
    data = PLAY
    for _ in range(depth):
        data = HEAD + struct.pack(">i", len(data)) + data
    return data


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no whole number of words"),
        (b"/abc", "does not end"),
        (b"abc\0", "an address must be such as"),
        (b"/\0\0\0", "an address must be such as"),
        (b"/a//b\0\0\0", "an address must be such as"),
        (b"/a\n\0", "an address must be such as"),
        (b"/\xc3\xa4\0", "an address must be such as"),
        (b"/a,b\0\0\0\0", "an address must be such as"),
        (b"/*/\n*\0\0\0", "an address must be such as"),
        (b"/a\0\0abcd", "does not end"),
        (b"/a\0\0abc\0", "the type tags are missing"),
        (b"/a\0\0,f\0\0", "a number is cut off"),
        (b"/a\0\0,d\0\0" + bytes(4), "a number is cut off"),
        (b"/a\0\0,s\0\0abcd", "does not end"),
        (b"/a\0\0,s\0\0\xff\xfe\0\0", "not UTF-8"),
        (b"/a\0\0,\0\0\0abcd", "more bytes than its type tags say"),
        (b"/a\0\0,b\0\0" + bytes(4), "type 'b' are not taken"),
        (b"/a\0\0,N\0\0", "type 'N' are not taken"),
        (b"/a\0\0,[]\0", "type '[' are not taken"),
        (b"/" + b"a" * 255 + bytes(4), "more than 255 bytes"),
        (b"/a\0\0," + b"T" * 65 + bytes(2), "more than 65 bytes"),
        (b"/a\0\0,s\0\0" + b"x" * 1025 + bytes(3), "more than 1024 bytes"),
        (b"/a\0\0" * 2049, "longer than 8192 bytes"),
        (bytes(65507), "longer than 8192 bytes"),
        (b"#bundle\0" + bytes(4), "without a time tag"),
        (HEAD + b"\xff\xff\xff\xfc", "false size"),
        (HEAD + bytes(4), "false size"),
        (HEAD + b"\0\0\0\3/a\0", "no whole number of words"),
        (HEAD + b"\0\0\0\6/a\0\0\0\0\0\0", "false size"),
        (HEAD + (struct.pack(">i", 4) + b"/a\0\0") * 65, "more than 64 elements"),
        (HEAD + struct.pack(">i", len(PLAY)) + PLAY + struct.pack(">i", 4) + b"oops", "not end"),
        (nested(5), "nested more than 4 deep"),
        (nested(300), "nested more than 4 deep"),
        (nested(3000), "longer than 8192 bytes"),
    ],
)
def test_what_is_not_taken_is_named(data: bytes, why: str) -> None:
    rejected = decode(data)
    assert isinstance(rejected, Rejected)
    assert why in rejected.why


@pytest.mark.parametrize(
    "data",
    [
        HEAD + (struct.pack(">i", 4) + b"/a\0\0") * 1021 + bytes(8),
        HEAD + (struct.pack(">i", 16) + HEAD) * 408,
        nested(400)[:8192],
        b"/" + b"a/" * 4000 + bytes(3),
        b"/a\0\0," + b"[" * 8000 + bytes(3),
        b"/a\0\0," + b"s" * 64 + bytes(3) + b"\xc3(\0\0" * 2000,
        b"/a" * 4096,
        b"\xff" * 8192,
        b"/componium/" + b"{a,b}*?[!c]" * 700 + bytes(1),
    ],
)
def test_the_worst_datagram_takes_less_than_a_stall(data: bytes) -> None:
    data = data[: len(data) // 4 * 4]
    fastest = FAR
    for _ in range(5):
        begun = time.thread_time_ns()
        assert isinstance(decode(data), Rejected)
        fastest = min(fastest, time.thread_time_ns() - begun)
    assert fastest < 5_000_000  # ns; a stall is 20 ms


def test_the_largest_that_is_allowed_is_taken() -> None:
    element = struct.pack(">i", 4) + b"/a\0\0"
    assert decode(HEAD + element * 64) == [Message("/a")] * 64
    assert decode(nested(4)) == [Message("/componium/play")]
    assert decode(b"/" + b"a" * 254 + b"\0") == [Message("/" + "a" * 254)]
    assert decode(b"/a\0\0," + b"T" * 64 + bytes(3)) == [Message("/a", (True,) * 64)]
    assert decode(b"/a\0\0,s\0\0" + b"x" * 1024 + bytes(4)) == [Message("/a", ("x" * 1024,))]
