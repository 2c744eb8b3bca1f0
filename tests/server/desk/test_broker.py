"""Topics, payloads and what waits for a broker: laws, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake
from server.desk.broker import (
    LATEST,
    PAYLOAD,
    QUEUED,
    SOONEST,
    Broker,
    Letter,
    Mailbox,
    address_of,
    filters,
    pause,
    payload_of,
    read_broker,
    read_payload,
    secret_in,
    topic_of,
)
from server.desk.feed import compact
from server.desk.tree import Argument, Node
from tests.server.desk.rig import Stage

BASE = "componium/stage"
BROKER = Broker("127.0.0.1", 1883, "stage", tls=False)
VALUES = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
)


def node(kind: str) -> Node:
    assert kind in "fiTs"
    return Node("/componium/x", "", lambda told, value: None, (Argument("x", kind),))  # type: ignore[arg-type]


class Box(Mailbox):
    def __init__(self, broker: Broker = BROKER, addresses: tuple[str, ...] = ()) -> None:
        self.there = addresses
        super().__init__(broker, self._addresses, lambda: 0, lambda: None)

    def _addresses(self, band: str) -> tuple[str, ...]:
        head = f"/componium/session/{band}/" if band else "/componium/"
        return tuple(each for each in self.there if each.startswith(head))

    def all(self) -> list[Letter]:
        found = []
        while (letter := self.next()) is not None:
            found.append(letter)
        return found


# Topics and payloads --------------------------------------------------------------------------


def test_every_address_of_a_tree_has_a_topic_that_leads_back_and_is_subscribed_to() -> None:
    for address in Stage().desk.tree.nodes:
        topic = topic_of(BASE, address)
        assert address_of(BASE, topic + "/set") == address
        assert not address_of(BASE, topic), "state is no command"
        levels = topic.removeprefix(BASE).count("/")
        assert f"{BASE}{'/+' * levels}/set" in filters(BASE)


@given(st.text())
def test_any_topic_whatever_has_an_answer(topic: str) -> None:
    address_of(BASE, topic)
    inner = topic.strip("/")
    if inner:
        assert address_of(BASE, f"{BASE}/{inner}/set") == f"/componium/{inner}"
    assert not address_of(BASE, f"componium/another/{topic}/set"), "another's commands"


@given(st.binary(max_size=200), st.sampled_from(["f", "i", "T", "s", ""]))
def test_any_payload_whatever_is_a_command_or_a_mistake(payload: bytes, kind: str) -> None:
    try:
        args, _ = read_payload(payload, node(kind) if kind else None)
    except Mistake as mistake:
        assert mistake.problem
    else:
        assert all(isinstance(each, bool | int | float | str) for each in args)


@given(st.lists(VALUES, max_size=64), st.one_of(st.none(), VALUES))
def test_arguments_in_json_come_back_as_they_are(args: list[object], identity: object) -> None:
    data = json.dumps({"args": args, "id": identity}).encode()
    if len(data) <= PAYLOAD:
        assert read_payload(data, None) == (tuple(args), identity)
        assert read_payload(json.dumps(args).encode(), None).args == tuple(args)


@pytest.mark.parametrize(
    ("payload", "kind", "args"),
    [
        (b"", "", ()),
        (b"120", "f", (120,)),
        (b" 120.5\n", "f", (120.5,)),
        (b"on", "T", (True,)),
        (b"OFF", "T", (False,)),
        (b"true", "T", (True,)),
        (b"tense", "s", ("tense",)),
        (b"tense", "", ("tense",)),
        (b"1821", "s", ("1821",)),
        (b"on", "s", ("on",)),
        (b'"tense"', "s", ("tense",)),
        (b'["tense", 4, "bar"]', "s", ("tense", 4, "bar")),
        (b"[132, 16]", "f", (132, 16)),
    ],
)
def test_payloads_as_people_write_them(payload: bytes, kind: str, args: tuple[object, ...]) -> None:
    assert read_payload(payload, node(kind) if kind else None).args == args


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"NaN",
        b"[Infinity]",
        b"[1e999]",
        b"[[1]]",
        b"{",
        b'{"arg": [1]}',
        b'{"args": [1], "id": {}}',
        b"[" * 5000,
        b"x" * (PAYLOAD + 1),
        b"y" * 2000,
        json.dumps([0] * 65).encode(),
        b"null",
    ],
)
def test_what_is_no_command_is_a_mistake(payload: bytes) -> None:
    with pytest.raises(Mistake):
        read_payload(payload, None)


def test_one_value_is_plain_and_several_are_a_list() -> None:
    assert payload_of([120.0]) == "120"
    assert payload_of([0.5]) == "0.5"
    assert payload_of([True]) == "1"
    assert payload_of(["D dorian"]) == "D dorian"
    assert payload_of([0.1, -0.3]) == "[0.1,-0.3]"


# Where a broker is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "host", "port", "name", "tls"),
    [
        ("localhost", "localhost", 1883, "box", False),
        ("127.0.0.1:1900", "127.0.0.1", 1900, "box", False),
        ("[::1]", "::1", 1883, "box", False),
        ("broker.example", "broker.example", 8883, "box", True),
        ("10.0.0.5:1884/hall", "10.0.0.5", 1884, "hall", True),
        ("mqtt://10.0.0.5/hall", "10.0.0.5", 1883, "hall", False),
        ("mqtts://localhost", "localhost", 8883, "box", True),
    ],
)
def test_a_broker_is_trusted_in_the_clear_only_on_this_machine_or_by_word(
    where: str, host: str, port: int, name: str, tls: bool
) -> None:
    assert read_broker(where, "box") == Broker(host, port, name, tls)


@pytest.mark.parametrize(
    "where",
    ["", ":1883", "a b", "host:0", "host:99999", "http://host", "host/a/b", "host?x", "[::"],
)
def test_what_is_no_broker_is_a_mistake(where: str) -> None:
    with pytest.raises(Mistake, match="--mqtt"):
        read_broker(where, "box")


def test_a_password_is_never_shown() -> None:
    with pytest.raises(Mistake) as caught:
        read_broker("me:secret@host", "box")
    assert "secret" not in str(caught.value)
    broker = read_broker("host", "box", user="me", password="secret")
    assert "secret" not in repr(broker) + broker.shown


def test_a_password_lies_in_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(Mistake, match="chmod 600"):
        secret_in(path)
    path.chmod(0o600)
    assert secret_in(path) == "secret"
    with pytest.raises(Mistake, match="cannot be read"):
        secret_in(tmp_path / "none")


# What waits ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(), max_size=300))
def test_a_hundred_wait_and_the_oldest_make_room(numbers: list[int]) -> None:
    box = Box()
    for number in numbers:
        box.send("/beat", str(number))
    assert [letter.payload for letter in box.all()] == [str(n) for n in numbers][-QUEUED:]
    assert box.left_out == max(len(numbers) - QUEUED, 0)


def test_of_a_state_only_the_newest_is_told_and_nothing_twice() -> None:
    box = Box()
    for tempo in (100.0, 110.0, 120.0):
        box.state({"/componium/tempo": [tempo]})
    assert box.all() == [Letter(f"{BASE}/tempo", "120", retain=True)]
    box.state({"/componium/tempo": [120.0]})
    assert not box.all()
    box.begin({"/componium/tempo": (120.0,)})
    assert box.all() == [Letter(f"{BASE}/tempo", "120", retain=True)], "the broker may have forgot"


def test_what_another_scene_does_not_have_is_forgotten() -> None:
    box = Box()
    box.begin({"/componium/part/a/mute": (False,), "/componium/tempo": (120.0,)})
    box.all()
    box.there = ("/componium/tempo", "/componium/part/b/mute")
    box.put(compact({"scene": {"name": "other"}}))
    assert box.all() == [Letter(f"{BASE}/part/a/mute", "", retain=True)]


ANN, BOB = "/componium/session/ann", "/componium/session/bob"


def test_what_is_told_of_a_band_goes_with_it_and_nothing_else_does() -> None:
    box = Box()
    box.begin({"/componium/tempo": (120.0,)}, bands=["ann", "bob"])
    for base in (ANN, BOB):
        box.state({f"{base}/tempo": [90.0], f"{base}/part/a/mute": [False]})
    box.put(compact({"session": "ann", "event": "chord", "name": "Dm7"}))
    topics = {letter.topic for letter in box.all()}
    assert f"{BASE}/session/ann/chord" in topics and f"{BASE}/session/bob/tempo" in topics
    box.there = (f"{ANN}/tempo", "/componium/tempo")
    box.put(compact({"session": "ann", "scene": {"name": "other"}}))
    assert {letter.topic for letter in box.all()} == {
        f"{BASE}/session/ann/part/a/mute",
        f"{BASE}/session/ann/chord",
    }
    box.put(compact({"scene": {"name": "another"}}))
    assert not box.all()
    box.put(compact({"session": "bob", "closed": True}))
    gone = box.all()
    assert {letter.topic for letter in gone} == {
        f"{BASE}/session/bob/tempo",
        f"{BASE}/session/bob/part/a/mute",
    }
    assert {(letter.payload, letter.retain) for letter in gone} == {("", True)}


def test_a_band_that_went_while_the_broker_was_away_is_forgotten_there() -> None:
    box = Box()
    box.begin({}, bands=["ann", "bob"])
    box.state({f"{ANN}/tempo": [90.0], f"{BOB}/tempo": [91.0]})
    box.all()
    box.begin({"/componium/tempo": (120.0,)}, bands=["ann"])
    box.state({f"{ANN}/tempo": [90.0]})
    assert {(letter.topic, letter.payload) for letter in box.all()} == {
        (f"{BASE}/session/bob/tempo", ""),
        (f"{BASE}/tempo", "120"),
        (f"{BASE}/session/ann/tempo", "90"),
    }


@pytest.mark.parametrize(
    ("event", "letter"),
    [
        (
            {"event": "beat", "bar": 3, "position": 2.0, "tempo": 120.0},
            Letter(f"{BASE}/beat", "[3,2,120]"),
        ),
        ({"event": "chord", "name": "Dm7"}, Letter(f"{BASE}/chord", "Dm7", retain=True)),
        (
            {"event": "transport", "state": "playing"},
            Letter(f"{BASE}/transport", "playing", 0, True),
        ),
        (
            {"event": "mood", "valence": 0.5, "arousal": -1.0, "tension": 0, "word": "calm"},
            Letter(f"{BASE}/mood", "[0.5,-1]", retain=True),
        ),
        (
            {"event": "stinger", "name": "hit", "bar": 2},
            Letter(f"{BASE}/stinger", '["hit","began",2]'),
        ),
    ],
)
def test_what_happens_as_topics(event: dict[str, object], letter: Letter) -> None:
    box = Box()
    box.put(compact(event))
    assert box.all() == [letter]


@given(
    st.sets(st.sampled_from(["a", "b", "c", "d"])), st.sets(st.sampled_from(["a", "b", "c", "e"]))
)
def test_a_broker_forgets_what_it_remembers_and_is_not_there(
    there: set[str], lying: set[str]
) -> None:
    box = Mailbox(BROKER, set, lambda: 0, lambda: None)
    box.begin({f"/componium/{name}": (1,) for name in there}, {f"{BASE}/{n}" for n in lying})
    left = dict.fromkeys(lying, "0")
    while (letter := box.next()) is not None:
        assert letter.retain
        left[letter.topic.removeprefix(f"{BASE}/")] = letter.payload
    assert {name for name, payload in left.items() if payload} == there


def test_notes_are_told_only_where_they_are_asked_for() -> None:
    note = {"event": "note", "part": "low drums", "pitch": 36, "velocity": 0.7, "duration": 0.5}
    quiet, loud = Box(), Box(Broker("h", 1, "stage", tls=False, notes=True))
    quiet.put(compact(note))
    loud.put(compact(note))
    assert not quiet.all()
    assert loud.all() == [Letter(f"{BASE}/part/low_drums/note", "[36,0.7,0.5]")]


@given(st.integers(0, 1000), st.integers())
def test_it_waits_longer_each_time_and_never_for_ever(tries: int, seed: int) -> None:
    assert SOONEST <= pause(tries, Random(seed)) <= LATEST


def test_two_that_have_lost_the_same_broker_come_back_apart() -> None:
    assert len({pause(5, Random(seed)) for seed in range(20)}) == 20
