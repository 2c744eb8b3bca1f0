from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Fragment, Mistake, Symbol
from server.ensemble.reading import (
    ACCENT,
    PENDING,
    Absolute,
    Approach,
    ChordTone,
    Colour,
    Drum,
    Emission,
    Harmony,
    Hit,
    Reader,
    Reading,
    Struck,
    Value,
    parse_word,
)
from server.music.note import Say, Turn
from server.music.scale import Degree

F = Fraction


def struck(token: str, chords: bool = False) -> Struck:
    word = parse_word(token, chords)
    assert isinstance(word, Struck)
    return word


def read(names: str, meanings: Any = None, together: bool = False) -> list[Emission]:
    reading = Reading.of(meanings or {})
    symbols = names.split()
    reader = Reader(reading, reading.closes(symbols), together)
    return [e for name in symbols for e in reader.read(Symbol(name))] + reader.rest()


def pitches(emissions: list[Emission]) -> list[Any]:
    return [
        ([atom.midi for atom in e.hit.atoms if isinstance(atom, (Absolute, Drum))], e.length)
        for e in emissions
    ]


@pytest.mark.parametrize(
    ("token", "atom"),
    [
        ("C", Absolute(60, "C")), ("F#", Absolute(66, "F#")), ("Bb4", Absolute(70, "Bb")),
        ("C-1", Absolute(0, "C")), ("A#4", Absolute(70, "A#")),
        ("1", Degree(1, 0, 0)), ("b3", Degree(3, -1, 0)), ("5,", Degree(5, 0, -1)),
        ("2''", Degree(2, 0, 2)), ("c1", ChordTone(1, 0)), ("c7", ChordTone(7, 0)),
        ("c13'", ChordTone(13, 1)), ("c3,", ChordTone(3, -1)), ("V7/V", Harmony("V7/V", None)),
        ("ii", Harmony("ii", None)), ("Kick", Drum(36)),
        ("n1", Harmony("n1", None)), ("n57/3", Harmony("n57/3", None)),
        ("V7/n4", Harmony("V7/n4", None)), ("dom7", Harmony("dom7", None)),
        ("n4/minor", Harmony("n4/minor", None)), ("ton", Harmony("ton", None)),
        ("a1", Approach(False)), ("a2", Approach(True)), ("a1'", Approach(False, 1)),
        ("a2,", Approach(True, -1)), ("l", Colour()), ("l2", Colour(2)), ("l1'", Colour(1, 1)),
    ],
)  # fmt: skip
def test_what_sounds(token: str, atom: Any) -> None:
    assert struck(token).hit.atoms == (atom,)


def test_what_is_joined() -> None:
    assert struck("C4:1/4") == struck("C4")._replace(length=F(1))
    assert struck("C4:1/16:5").length == F(1, 5)
    assert struck("3@0.6").hit.velocity == 0.6
    assert struck("1!").hit.velocity == ACCENT
    assert struck("1!@0.5:1/8") == struck("1@0.5!:1/8")
    assert struck("Snare+Crash").hit.atoms == (Drum(38), Drum(49))
    assert struck("C+E+G:1/2").length == 2
    assert struck("Rest").hit.atoms == struck("-").hit.atoms == ()
    assert struck("-:1/8t").length == F(1, 3)


@pytest.mark.parametrize("chords", [False, True])
def test_numbers_of_chords_have_lengths_and_lead(chords: bool) -> None:
    assert struck("n57:1/2", chords) == Struck(Hit((Harmony("n57", None),)), F(2))
    assert struck("sub!@0.5:1/4", chords).length == 1
    assert Reading({}, chords).leads(["n1:1/1"])
    assert not Reading({}).leads(["a1", "l", "1"])


def test_chord_names_are_chords_only_where_the_part_says_so() -> None:
    assert isinstance(struck("Am7", True).hit.atoms[0], Harmony)
    assert isinstance(struck("C", True).hit.atoms[0], Harmony)
    assert struck("C").hit.atoms == (Absolute(60, "C"),)
    assert parse_word("Am7") is None


def test_values_and_control_changes() -> None:
    assert parse_word("1/8t") == Value(F(1, 3))
    assert parse_word("Quarter") == Value(F(1))
    assert parse_word("cc74=64") == Turn(74, 64)
    assert parse_word("cc74=0.5") == Turn(74, 64)
    assert parse_word("cc7=1.0") == Turn(7, 127)


@pytest.mark.parametrize(
    "token",
    ["", "H", "c2.5", "C4:", "C4:x", "C4@", "C4@nan", "C4@-1", "C4@3", "cc128=1", "cc1=128",
     "n0", "n8", "a", "a3", "a1''", "l5", "dominant",
     "+", "C+", "C++E", "!", ":1/4", "0/4", "C4:1/4:1/4:1/4", "+".join(["C"] * 70)],
)  # fmt: skip
def test_what_means_nothing(token: str) -> None:
    assert parse_word(token) is None


@given(st.text(max_size=12), st.booleans())
def test_any_token_means_something_or_nothing(token: str, chords: bool) -> None:
    word = parse_word(token, chords)
    if isinstance(word, Struck):
        assert 0 <= word.hit.velocity <= 2 * ACCENT
        assert word.length is None or word.length > 0


def test_a_note_value_closes_the_pitches_before_it_in_turn_or_together() -> None:
    assert pitches(read("C Quarter E D Whole")) == [([60], 1), ([64], 4), ([62], 4)]
    assert pitches(read("C Quarter E D Whole", together=True)) == [([60], 1), ([64, 62], 4)]
    assert pitches(read("Rest C Half")) == [([], 2), ([60], 2)]
    assert pitches(read("Half C Quarter")) == [([], 2), ([60], 1)]


def test_pitches_alone_go_on_the_grid() -> None:
    assert pitches(read("C E Rest")) == [([60], None), ([64], None), ([], None)]


def test_pitches_that_still_wait_at_the_end_go_on_the_grid() -> None:
    assert pitches(read("C Quarter E D")) == [([60], 1), ([64], None), ([62], None)]


def test_a_meaning_may_hold_several_words() -> None:
    meanings = {"A": "1 1/8", "B": "C E 1/4 G:1/2", "x": "A4"}
    assert [e.length for e in read("A B", meanings)] == [F(1, 2), 1, 1, 2]
    assert pitches(read("x", meanings)) == [([69], None)]
    assert [e.symbol.name for e in read("A B", meanings)] == ["A", "B", "B", "B"]


def test_pitches_wait_in_a_bounded_line() -> None:
    reader = Reader(Reading.of({}), True)
    out = [e for _ in range(10 * PENDING) for e in reader.read(Symbol("C"))]
    assert len(out) >= 9 * PENDING
    assert all(e.length is None for e in out)


def test_control_changes_and_messages_go_with_a_pitch_or_alone() -> None:
    turn, say = Turn(74, 64), Say("/cut", (0.5, 2, "x"))
    assert read("A", {"A": "cc74=64 C"})[0].hit == struck("C").hit._replace(acts=(turn,))
    assert read("A", {"A": "C cc74=64 1/4"})[0].hit == struck("C").hit._replace(acts=(turn,))
    (alone,) = read("A", {"A": "cc74=64"})
    assert (alone.hit.atoms, alone.hit.acts, alone.length) == ((), (turn,), None)
    osc = {"osc": "/cut", "args": [0.5, 2, "x"]}
    assert [(e.hit.acts, e.length) for e in read("A", {"A": osc})] == [((say,), None)]
    timed = read("A", {"A": osc | {"value": "1/4"}})
    assert [(e.hit.acts, e.length) for e in timed] == [((say,), F(1))]
    note = read("A", {"A": osc | {"value": "C4:1/4"}})
    assert [(e.hit.acts, e.length) for e in note] == [((say,), F(1))]


def test_fragments_are_played_as_they_stand_unless_the_reading_names_them() -> None:
    symbol = Symbol("riff", fragment=Fragment(F(3)))
    plain = Reader(Reading.of({}), False).read(symbol)
    assert [(e.length, e.fragment) for e in plain] == [(F(3), symbol.fragment)]
    named = Reader(Reading.of({"riff": "Rest:1/4"}), False).read(symbol)
    assert [(e.length, e.fragment) for e in named] == [(F(1), None)]


def test_unknown_names_mean_nothing_and_are_forgotten() -> None:
    reader = Reader(Reading.of({}), False)
    for number in range(10_000):
        assert reader.read(Symbol(f"w{number}")) == []
    assert len(reader._meanings) <= 4096


def test_who_leads_and_what_closes() -> None:
    assert Reading.of({}).leads(["C", "V7"])
    assert Reading.of({"A": "I 1/2"}).leads(["A"])
    assert not Reading.of({}).leads(["C", "c3"])
    assert Reading.of("chords").leads(None)
    assert not Reading.of({}).leads(None)
    assert Reading.of({}).closes(["C", "Quarter"])
    assert not Reading.of({"A": "C 1/4"}).closes(["A"])
    assert not Reading.of({}).closes(None)


@pytest.mark.parametrize("meanings", [3, "chrods", {"A": 3}, {"A": "Q"}, {"A": {"osc": "x"}}])
def test_meanings_that_make_no_sense_are_mistakes(meanings: Any) -> None:
    with pytest.raises(Mistake) as caught:
        Reading.of(meanings)
    assert caught.value.place == ("A" if isinstance(meanings, dict) else "")


@given(st.lists(st.sampled_from(["C", "Rest", "1/8", "1/8:5", "1/8:7", "1/8t", "E:1/16"])))
def test_no_pitch_is_lost_and_none_doubled(names: list[str]) -> None:
    emissions = read(" ".join(names))
    assert sum(len(atoms) for atoms, _ in pitches(emissions)) == sum(n[0] in "CE" for n in names)


def test_a_message_that_no_datagram_carries_is_a_mistake() -> None:
    with pytest.raises(Mistake, match="8192 bytes"):
        Reading.of({"A": {"osc": "/x", "args": ["x" * 1024] * 64}})
    assert Reading.of({"A": {"osc": "/x", "args": ["x" * 1000] * 8}}).words("A")
