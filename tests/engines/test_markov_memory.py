"""The prefix structure against plain counting, and listening with forgetting."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import islice, pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import THINKING, Controls, Fragment, Heard, Praise, Sound
from engines.items import BREAK, PITCH_NAMES, Item, music_item, shared, text_item
from engines.markov import Markov
from engines.prefix import MAX_ORDER, OPEN, Link, Memory, Node, Table

LABELS = "ABC|"


def link(label: str) -> Link:
    item = BREAK if label == "|" else text_item(label)
    return Link(item, (label, "vowel" if label == "A" else "|" if label == "|" else "consonant"))


def counted(line: list[Link], room: int, context: tuple[str, ...], level: int) -> Counter[str]:
    """What followed a context within the last `room` links, counted along the line."""
    found: Counter[str] = Counter()
    labels = [each.labels[level] for each in line]
    for at in range(max(len(context), len(line) - room), len(line)):
        if tuple(labels[at - len(context) : at]) == context and (context or labels[at] != "|"):
            found[labels[at]] += 1
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(LABELS), st.booleans()), max_size=40),
    st.integers(1, 12),
)
def test_tables_are_what_plain_counting_finds(steps: list[tuple[str, bool]], room: int) -> None:
    """Law: however look-ups, learning and forgetting alternate, tables are plain counts."""
    memory = Memory(2, room, [lambda item: True])
    line: list[Link] = []
    for label, look in steps:
        one = link(label)
        if not (label == "|" and line and line[-1].item is BREAK):
            line.append(one)
        memory.learn(one)
        assert len(memory) == min(room, len(line))
        if not look:
            continue
        for level in (0, 1):
            node: Node | None = memory.roots[level]
            context: tuple[str, ...] = ()
            for back in range(min(4, len(line)) + 1):
                if back:
                    before = line[-back].labels[level]
                    assert node is not None
                    node = memory.longer(node, before)
                    context = (before, *context)
                wanted = counted(line, room, context, level)
                if node is None:
                    assert not wanted
                    break
                table = memory.table(node, OPEN)
                assert dict(zip(table.labels, table.counts(), strict=True)) == wanted
                assert node.context() == context
                if context and context[0] == "|":
                    break


def note(beat: int, pitch: int, length: Fraction = Fraction(1)) -> Heard:
    return Heard(Fraction(beat), Fragment(length, (Sound(Fraction(0), length, pitch),)))


def play(controls: Controls, pitches: list[int], beat: int = 0) -> int:
    for number, pitch in enumerate(pitches):
        controls.tell(note(beat + number, pitch))
    return beat + len(pitches)


def test_with_nothing_known_it_waits_and_then_plays_what_it_heard() -> None:
    controls = Controls()
    stream = Markov(order=2, remember=100).symbols(Random(1), controls)
    assert next(stream) is THINKING
    assert Markov(remember=100).alphabet() is None
    play(controls, [60, 64, 67])
    assert {symbol.name for symbol in islice(stream, 50)} <= {"C4:1/4", "E4:1/4", "G4:1/4"}


def test_it_goes_on_from_what_was_played_last() -> None:
    controls = Controls()
    known = "C4:1/4 E4:1/4 G4:1/4 | D4:1/4 F4:1/4 A4:1/4"
    stream = Markov(order=2, text=known, remember=100).symbols(Random(1), controls)
    next(stream)
    play(controls, [60, 64])
    symbol = next(stream)
    assert symbol.name == "G4:1/4"
    assert str(symbol.origin) == "after E4:1/4: G4:1/4 1 (order 1 of 2)"


def test_an_unknown_duration_falls_back_to_the_pitch() -> None:
    controls = Controls()
    stream = Markov(order=1, text="C4:1/4 E4:1/4", remember=100).symbols(Random(1), controls)
    controls.tell(note(0, 60, Fraction(7, 9)))
    symbol = next(stream)
    assert symbol.name == "E4:1/4"
    assert str(symbol.origin) == "after C4: E4 1 (order 1 of 1, by pitch)"


def test_an_unknown_pitch_falls_back_to_its_region() -> None:
    controls = Controls()
    tune = Fragment(
        Fraction(2),
        (Sound(Fraction(0), Fraction(1), 60), Sound(Fraction(1), Fraction(1), 76)),
    )
    stream = Markov(order=1, corpus=(tune,), remember=100).symbols(Random(1), controls)
    controls.tell(note(0, 62))
    symbol = next(stream)
    assert symbol.name == "E5:1/4"
    assert "by region" in str(symbol.origin)


def test_what_is_older_than_it_remembers_is_forgotten() -> None:
    controls = Controls()
    stream = Markov(order=1, text="C4:1/4 D4:1/4", remember=20).symbols(Random(1), controls)
    before = {symbol.name for symbol in islice(stream, 20)}
    assert before == {"C4:1/4", "D4:1/4"}
    beat = play(controls, [70, 72] * 15)
    controls.tell(note(beat, 70))
    after = {symbol.name for symbol in islice(stream, 200)}
    assert after <= {f"{PITCH_NAMES[70]}:1/4", f"{PITCH_NAMES[72]}:1/4"}


def test_a_long_silence_ends_the_phrase() -> None:
    controls = Controls()
    stream = Markov(order=2, remember=100).symbols(Random(1), controls)
    beat = play(controls, [60, 62])
    play(controls, [64, 65, 67], beat + 8)
    stream_names = [symbol.name for symbol in islice(stream, 300)]
    pairs = set(pairwise(stream_names))
    assert ("C4:1/4", "D4:1/4") in pairs
    assert not any("Rest" in name for name in stream_names)
    assert ("D4:1/4", "C4:1/4") in pairs  # the end of a phrase leads to the start of one


def test_the_description_learns_nothing() -> None:
    markov = Markov(order=1, text="C4:1/4 D4:1/4", remember=20)
    controls = Controls()
    first = markov.symbols(Random(1), controls)
    play(controls, [70, 72, 70])
    list(islice(first, 10))
    second = {symbol.name for symbol in islice(markov.symbols(Random(1), Controls()), 50)}
    assert second == {"C4:1/4", "D4:1/4"}


def test_praise_and_silence_are_no_music() -> None:
    controls = Controls()
    stream = Markov(text="A B", remember=20).symbols(Random(1), controls)
    symbol = next(stream)
    controls.tell(Praise(symbol.origin, 1))
    controls.tell(Heard(Fraction(0), Fragment(Fraction(4))))
    assert next(stream).name in {"A", "B"}


def test_same_news_same_symbols() -> None:
    def run() -> list[str]:
        controls = Controls()
        stream = Markov(order=1.5, text="C4:1/4 D4:1/4", remember=30).symbols(Random(9), controls)
        found: list[str] = []
        for turn in range(40):
            controls.tell(note(turn, 60 + turn * 5 % 12))
            found += [str(symbol.origin) for symbol in islice(stream, 3)]
        return found

    assert run() == run()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.fractions(0, 50, max_denominator=12),
            st.fractions(0, 4, max_denominator=12),
            st.integers(0, 127),
        ),
        max_size=40,
    ),
    st.sampled_from(["", "1/16"]),
    st.integers(1, 30),
)
def test_whatever_it_hears_it_goes_on(
    sounds: list[tuple[Fraction, Fraction, int]], grain: str, remember: int
) -> None:
    controls = Controls()
    stream = Markov(order=3, text="A", remember=remember, grain=grain).symbols(Random(0), controls)
    for beat, length, pitch in sounds:
        controls.tell(Heard(beat, Fragment(length, (Sound(Fraction(0), length, pitch),))))
        symbol = next(stream)
        assert symbol is not THINKING
        assert symbol.fragment is None or symbol.fragment.length > 0


def test_memory_stays_within_its_room() -> None:
    """Nothing grows with what was heard: neither the line, the tree nor its places."""
    room = 50
    memory = Memory(1, room, [lambda item: True])
    rng = Random(3)
    sizes = []
    for number in range(4000):
        label = rng.choice("ABCDE")
        memory.learn(Link(Item(label, label), (label,)))
        node: Node | None = memory.roots[0]
        for _ in range(MAX_ORDER):
            assert node is not None
            node = memory.longer(node, rng.choice("ABCDE"))
            if node is None:
                break
        if number > 1000:
            sizes.append((size(memory.roots[0]), len(memory._links)))
    assert max(places for places, _ in sizes) <= room * (MAX_ORDER + 1)
    assert max(links for _, links in sizes) <= 2 * room + MAX_ORDER + 2


def size(node: Node) -> int:
    children = (node.children or {}).values()
    return len(node.places) + sum(size(child) for child in children)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_table_draws_each_of_its_labels(temperature: float) -> None:
    table = Table({label: [link(label)] for label in "AB"}, 2)
    rng = Random(1)
    assert {table.draw(temperature, rng.random)[0] for _ in range(50)} == {0, 1}


def test_chords_that_are_alike_share_their_names_and_what_is_shared_is_bounded() -> None:
    chord = Fragment(Fraction(1), tuple(Sound(Fraction(0), Fraction(1), p, 0.5) for p in (60, 67)))
    one, other = music_item(chord), music_item(chord)
    assert one.pitch == "C4+G4" and one.pitch is other.pitch and one.velocity is other.velocity
    most = shared.cache_info().maxsize
    assert most is not None
    for nth in range(most + 1):
        shared(f"a label of long ago {nth}")
    assert shared.cache_info().currsize == most
