from __future__ import annotations

import re
import tracemalloc
from collections import Counter
from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import THINKING, Controls, Engine, Mistake, Symbol, Use
from engines.grammar import Grammar, Recalled, Step
from engines.grammar.building import MAX_LABELS
from engines.grammar.derivation import MAX_REMEMBERED
from engines.grammar.notation import MAX_TEXT

DETERMINISTIC = """
S -> PN V N
PN -> I
V -> like
N -> apples
"""

PROBABILISTIC = """
S -> PN V N
PN -> (0.5) I | (0.5) you
V -> (0.7) like | (0.3) love
N -> apples
"""

MELODY = """
Melody -> Phrase Phrase
Phrase -> Pitch Duration | Pitch Pitch Duration
Pitch -> C | D | E | F | G | A | B
Duration -> Whole | Half | Quarter
"""


def names(grammar: Grammar, count: int, seed: int = 1, **controls: float) -> list[str]:
    stream = grammar.symbols(Random(seed), Controls(controls))
    return [symbol.name for symbol in islice(stream, count)]


def whole(text: str, seed: int = 1) -> list[str]:
    """One derivation to its end."""
    return names(Grammar(text, after="stop"), 10_000, seed)


def mistake(text: str) -> Mistake:
    with pytest.raises(Mistake) as caught:
        Grammar(text)
    return caught.value


# ------------------------------------------------------------- the examples of the field


def test_the_deterministic_grammar_says_one_thing() -> None:
    assert whole(DETERMINISTIC) == ["I", "like", "apples"]


def test_the_probabilistic_grammar_says_four_things_with_their_chances() -> None:
    stream = names(Grammar(PROBABILISTIC), 6000)
    said = Counter(" ".join(stream[at : at + 3]) for at in range(0, 6000, 3))
    chances = {
        "I like apples": 0.35,
        "you like apples": 0.35,
        "I love apples": 0.15,
        "you love apples": 0.15,
    }
    assert said.keys() == chances.keys()
    squares = sum((said[each] - 2000 * p) ** 2 / (2000 * p) for each, p in chances.items())
    assert squares < 16.3  # chi-square, 3 degrees of freedom, 0.1 %


def test_the_melody_grammar_makes_two_phrases_and_begins_again() -> None:
    grammar = Grammar(MELODY)
    assert grammar.alphabet() == set("CDEFGAB") | {"Whole", "Half", "Quarter"}
    stream = names(grammar, 1000)
    durations = [index for index, name in enumerate(stream) if len(name) > 1]
    between = [after - before - 1 for before, after in pairwise([-1, *durations])]
    assert set(between) == {1, 2}


def test_a_stream_is_an_engine_and_stops_only_where_asked() -> None:
    assert isinstance(Grammar(MELODY), Engine)
    assert len(names(Grammar(DETERMINISTIC), 100)) == 100
    assert names(Grammar("A -> x\nS -> A y", start="S", after="stop"), 100) == ["x", "y"]


REFERENCE = Path(__file__).parents[2] / "docs" / "grammar.md"


@pytest.mark.parametrize(
    "text", re.findall(r"^```grammar\n(.*?)^```", REFERENCE.read_text("utf-8"), re.M | re.S)
)
def test_the_grammars_of_the_reference_play(text: str) -> None:
    grammar = Grammar(text)
    assert set(names(grammar, 100, bar=8, arousal=0.5)) <= grammar.alphabet()


# -------------------------------------------------------------------------- the text


WORDS = """
C#4:1/4 Kick+Hat c3' b7, 1@0.6 cc74=64 1/8t 1/4. V7/V - _ = ~ ♯4 B♭ 1% a&b x;y é ^ ! . 60
"""


@pytest.mark.parametrize("word", WORDS.split())
def test_reading_words_need_no_quotes(word: str) -> None:
    assert whole(f"S -> {word} x {word}|{word} x {word}") == [word, "x", word]


def test_text_may_be_written_in_many_ways() -> None:
    text = """
    # a comment
    S::=A 'two words' "it's"#closing
      | A "(x)" # another

      # and one in between
      | (0.5)A

    A→a#1   # F# keeps its sharp
    "A" -> b
    """
    said = {tuple(whole(text, seed)) for seed in range(60)}
    assert said == {
        (a, *rest) for a in ("a#1", "b") for rest in (("two words", "it's"), ("(x)",), ())
    }
    assert whole("S -> x\r\n  | x\r\n") == ["x"]
    assert whole("S\u00a0->\tx *2") == ["x", "x"]


def test_repeats_options_and_nothing() -> None:
    assert whole("S -> x*3 A*2 'y z'*02\nA -> b c") == ["x", "x", "x", *"bcbc", "y z", "y z"]
    assert whole('S -> x ε y ""') == ["x", "y"]
    said = Counter(" ".join(whole("S -> x A? y?\nA -> a", seed)) for seed in range(400))
    assert said.keys() == {"x", "x a", "x y", "x a y"}
    assert min(said.values()) > 70


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "head"),
        ("S x", 1, 3, "`->`"),
        ("S = x", 1, 3, "`->`"),
        ("S -> x\nT", 2, 2, "`->`"),
        ("-> x", 1, 1, "head"),
        ("S -> x\n(1) y", 2, 1, "head"),
        ("S -> x\n -> y", 2, 2, "head"),
        ("S ->", 1, 5, "ε"),
        ("S -> | x", 1, 6, "ε"),
        ("S -> x\n  # c\n | y |", 3, 7, "ε"),
        ("S -> (1)", 1, 9, "a symbol"),
        ("S -> (0.5 x", 1, 12, "`)`"),
        ("S -> (0.5 x\nT -> y", 1, 12, "`)`"),
        ("S -> x (0.5) y", 1, 8, "rule of their own"),
        ("S -> (x | y) z", 1, 6, "rule of their own"),
        ("S -> x -> y", 1, 8, "second"),
        ("S -> 'x y", 1, 6, "quote"),
        ("S -> x* y", 1, 7, "X*3"),
        ("S -> x*3?", 1, 7, "X*3"),
        ("S -> x?*3", 1, 8, "X*3"),
        ("S -> x*0", 1, 6, "1024"),
        ("S -> x*1025", 1, 6, "1024"),
        ("S -> [x]", 1, 6, "quotes"),
        ("S -> x)", 1, 7, "`(`"),
        ("S -> $a", 1, 6, "label"),
        ("S -> x$a", 1, 6, "no rule has the head x"),
        ("ε -> x", 1, 1, "name"),
        ("S -> (1 +) x", 1, 10, "expected a number"),
        ("S -> x\n   | (nope(1)) y", 2, 7, "no function"),
        ("S -> (-1) x", 1, 7, "from 0"),
        ("S -> (2e9) x", 1, 7, "from 0"),
        ("S -> (3) x | y", 1, 14, "leaves nothing"),
        ("S -> x\nT -> y", 2, 1, "T is never used"),
        ("S -> x A\nA -> B\nB -> A", 2, 1, "A never yields"),
        ("S -> S A\nA -> a", 1, 1, "S never yields"),
        ("S -> A S B\nA -> a\nB -> b", 1, 6, "what follows S"),
        ("S -> x A*2\nA -> x A", 1, 6, "what follows A"),
        ("S -> x A$a\nA -> x A", 1, 6, "never be recalled"),
        ("S -> ε", 1, 1, "never yields"),
        ("S -> x E\nE -> E E | ε", 2, 1, "calls itself"),
    ],
)
def test_mistakes_say_where_and_what(text: str, line: int, column: int, words: str) -> None:
    found = mistake(text)
    assert (found.place, found.line, found.column) == ("rules", line, column)
    assert words in found.problem


def test_mistakes_in_the_other_fields() -> None:
    for fields, place in (
        ({"start": "Nobody"}, "start"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": True}, "max_depth"),
        ({"max_depth": 10**9}, "max_depth"),
        ({"after": "encore"}, "after"),
        ({"rules": 3}, "rules"),
    ):
        with pytest.raises(Mistake) as caught:
            Grammar(**({"rules": "S -> x"} | fields))
        assert caught.value.place == place


@given(st.text("AB x->|(0.5)#'\"*3?$a\n\\ε\u00a0\x0b[<", max_size=40) | st.text(max_size=40))
@settings(max_examples=200)
def test_any_text_is_a_grammar_or_a_mistake(text: str) -> None:
    try:
        grammar = Grammar(text)
    except Mistake as found:
        assert found.place == "rules"
        assert 1 <= found.line <= text.count("\n") + 1
    else:
        assert names(grammar, 5)


# --------------------------------------------------------------------------- weights


@pytest.mark.parametrize(
    ("text", "chances"),
    [
        ("S -> a | b | c | d", [0.25, 0.25, 0.25, 0.25]),
        ("S -> (3) a | (1) b", [0.75, 0.25]),
        ("S -> (0.5) a | b | c", [0.5, 0.25, 0.25]),
        ("S -> (0.5) a\nS -> b\nS -> c", [0.5, 0.25, 0.25]),
        ("S -> (1/3) a | (2/3) b", [1 / 3, 2 / 3]),
        ("S -> (0) a | (1) b | (0) c", [0, 1, 0]),
        ("S -> (0) a | (0) b", [0.5, 0.5]),
        ("S -> (x) a | (1 - x) b", [0.2, 0.8]),
        ("S -> (x) a | b", [0.2, 0.8]),
        ("S -> (10 * x) a | b", [1, 0]),
        ("S -> (x) a | (-5) b".replace("(-5)", "(0 * x - 5)"), [1, 0]),
        ("S -> (missing) a | (1 / missing) b", [0.5, 0.5]),
    ],
)
def test_chances_are_as_documented(text: str, chances: list[float]) -> None:
    count = 20_000
    said = Counter(names(Grammar(text), count, x=0.2))
    squares = 0.0
    for letter, chance in zip("abcd", chances, strict=False):
        if chance == 0:
            assert said[letter] == 0
        else:
            squares += (said[letter] - count * chance) ** 2 / (count * chance)
    assert squares < 16.3
    stream = Grammar(text).symbols(Random(1), Controls({"x": 0.2}))
    for symbol in islice(stream, 20):
        assert isinstance(symbol.origin, Step)
        assert symbol.origin.chance == pytest.approx(chances["abcd".index(symbol.name)])


def test_live_weights_are_read_at_each_choice() -> None:
    controls = Controls({"arousal": 0.0})
    stream = Grammar("S -> (arousal) Run | (1 - arousal) Rest").symbols(Random(1), controls)
    assert {next(stream).name for _ in range(50)} == {"Rest"}
    controls.values["arousal"] = 1.0
    assert {next(stream).name for _ in range(50)} == {"Run"}
    controls.values = {"arousal": 0.5}
    assert {next(stream).name for _ in range(50)} == {"Run", "Rest"}


def test_a_fill_in_every_eighth_bar() -> None:
    controls = Controls()
    stream = Grammar("S -> (bar % 8 == 0) Fill | Beat").symbols(Random(1), controls)
    fills = []
    for bar in range(1, 33):
        controls.values["bar"] = bar
        if next(stream).name == "Fill":
            fills.append(bar)
    assert fills == [8, 16, 24, 32]


# --------------------------------------------------------------------------- origins


def test_an_origin_tells_the_path_and_the_choice() -> None:
    for symbol in islice(Grammar(MELODY).symbols(Random(1), Controls()), 50):
        origin = symbol.origin
        assert isinstance(origin, Step)
        if symbol.name in "CDEFGAB":
            assert str(origin) == f"Melody > Phrase > Pitch -> {symbol.name} (1/7)"
            assert (origin.head, origin.line) == ("Pitch", 4)
            assert origin.number == "CDEFGAB".index(symbol.name) + 1
    said = islice(Grammar(PROBABILISTIC).symbols(Random(1), Controls()), 30)
    assert {str(each.origin) for each in said if each.name == "like"} == {"S > V -> like (0.7)"}
    assert str(next(Grammar("S -> 'a b'*2 c?").symbols(Random(1), Controls())).origin) == (
        "S -> 'a b'*2 c?"
    )


def test_a_rule_that_ends_by_calling_itself_is_one_step_of_the_path() -> None:
    stream = Grammar("S -> Bar S\nBar -> x").symbols(Random(1), Controls())
    assert {str(symbol.origin) for symbol in islice(stream, 100)} == {"S > Bar -> x"}


def test_paths_stay_short_where_rules_call_each_other_for_ever() -> None:
    grammar = Grammar("A -> x B\nB -> P A\nP -> y | C*2 z\nC -> w")
    longest = 0
    for symbol in islice(grammar.symbols(Random(1), Controls()), 2000):
        assert isinstance(symbol.origin, Step)
        longest = max(longest, len(symbol.origin.path))
    assert str(symbol.origin).startswith("… > ")
    assert longest <= 28


@pytest.mark.parametrize(
    "text",
    [
        MELODY,
        "S -> Bar S\nBar -> C D? E*2",
        "A -> x B\nB -> y C\nC -> P$a P$a A\nP -> z P | z",
        "S -> (0.6) S S | x",
        "S -> (x) a S | b S",
    ],
)
def test_memory_does_not_grow_with_the_stream(text: str) -> None:
    stream = Grammar(text).symbols(Random(1), Controls({"x": 0.5}))
    for _ in islice(stream, 1000):
        pass
    tracemalloc.start()
    try:
        for _ in islice(stream, 10_000):
            pass
        assert tracemalloc.get_traced_memory()[0] < 300_000
    finally:
        tracemalloc.stop()


# --------------------------------------------------------------------------- recall


def test_a_label_brings_back_the_very_same_symbols() -> None:
    text = "S -> M$a M M$a M$b M$a*2 M$b\nM -> P P P\nP -> c | d | e | f | g"
    stream = Grammar(text).symbols(Random(3), Controls())
    first = []
    for _ in range(20):
        symbols = list(islice(stream, 21))
        a, free, again, b, c, d, e = (
            [symbol.name for symbol in symbols[at : at + 3]] for at in range(0, 21, 3)
        )
        assert a == again == c == d
        assert b == e
        assert [type(symbol.origin) for symbol in symbols] == (
            [Step] * 6 + [Recalled] * 3 + [Step] * 3 + [Recalled] * 9
        )
        first.append((a, free, b))
    assert len({str(a) for a, _, _ in first}) > 10  # each derivation begins afresh
    assert sum(a == free for a, free, _ in first) < 5
    assert str(symbols[6].origin) == f"S recalls M$a: {symbols[0].origin}"


def test_labels_within_labels() -> None:
    text = "S -> A$x B$y A$x B$y\nA -> B$y P B$y\nB -> P P\nP -> c | d | e | f | g"
    for seed in range(20):
        said = "".join(whole(text, seed))
        a, b = said[:5], said[:2]
        assert said == a + b + a + b
        assert a[3:] == b


def test_a_rule_may_call_itself_under_a_label() -> None:
    text = "S -> M$a stop M$a\nM -> (0.7) P M$a | P\nP -> c | d | e"
    for seed in range(50):
        said = " ".join(whole(text, seed)).split(" stop ")
        assert len(said) == 2
        assert said[0].endswith(said[1])  # the innermost was complete first


def test_what_is_too_long_to_remember_is_derived_afresh() -> None:
    few, many = MAX_REMEMBERED // 16, MAX_REMEMBERED // 16 + 1
    for repeats, same in ((few, True), (many, False)):
        text = f"S -> M$a M$a\nM -> N*4\nN -> P*{repeats}\nP -> Q*4\nQ -> x | y"
        said = whole(text)
        half = len(said) // 2
        assert (said[:half] == said[half:]) is same


def test_labels_are_bounded() -> None:
    labels = [f"M${number}" for number in range(MAX_LABELS + 1)]
    Grammar(f"S -> {' '.join(labels[1:])}\nM -> x")
    assert "labels" in mistake(f"S -> {' '.join(labels)}\nM -> x").problem


# ------------------------------------------------------------------------------ depth


def test_deep_derivations_take_the_shortest_way_out() -> None:
    said = names(Grammar("S -> (0.999) l S r | x", max_depth=5), 10_000)
    text = "".join(said)
    assert "l" * 6 + "x" in text
    assert "l" * 7 not in text
    assert text.count("x") > 500


def test_the_way_out_keeps_the_weights_of_what_is_equally_short() -> None:
    grammar = Grammar("S -> (0.8) S S | (0.15) x | (0.05) y | (0) z", max_depth=3)
    said = Counter(names(grammar, 20_000))
    assert said["z"] == 0
    assert 2.6 < said["x"] / said["y"] < 3.4


def test_a_call_at_the_end_does_not_deepen() -> None:
    text = "S -> (0.9999) x S | y"
    grammar = Grammar(text, max_depth=1, after="stop")
    assert max(len(names(grammar, 100_000, seed)) for seed in range(3)) > 1000


def test_a_long_chain_of_calls_is_no_recursion() -> None:
    chain = "\n".join(f"A{n} -> A{n + 1} x" for n in range(4000)) + "\nA4000 -> y"
    assert whole(chain) == ["y"] + ["x"] * 4000


# ------------------------------------------------------------------------------ trees


def test_a_tree_has_the_symbols_of_the_stream() -> None:
    text = MELODY.replace("Phrase Phrase", "Phrase$a Phrase? Phrase$a Nothing") + "Nothing -> ε"
    grammar = Grammar(text, after="stop")
    for seed in range(30):
        tree = grammar.tree(Random(seed), Controls())
        assert list(tree.leaves()) == names(grammar, 100, seed)
        forms = list(tree.forms())
        assert forms[0] == "Melody"
        assert forms[-1] == " ".join(tree.leaves())


def test_a_tree_is_drawn_and_its_derivation_listed() -> None:
    tree = Grammar(DETERMINISTIC).tree(Random(1), Controls())
    assert str(tree) == "S\n├─ PN\n│  └─ I\n├─ V\n│  └─ like\n└─ N\n   └─ apples"
    assert list(tree.forms()) == ["S", "PN V N", "I V N", "I like N", "I like apples"]
    assert (tree.rule, tree.children[0].rule) == ("PN V N", "I")


def test_a_tree_of_an_endless_derivation_is_cut() -> None:
    tree = Grammar("S -> Bar S\nBar -> x").tree(Random(1), Controls(), limit=30)
    assert list(tree.leaves()) == ["x"] * 9
    assert str(tree).endswith("Bar …\n" + "   " * 9 + "└─ S …")
    assert list(tree.forms())[-1] == "x " * 9 + "Bar S"


# ------------------------------------------------------------------------------- laws


@st.composite
def grammars(draw: st.DrawFn) -> str:
    heads = "ABCD"[: draw(st.integers(1, 4))]
    item = st.tuples(
        st.sampled_from([*heads, "x", "y", "z"]), st.sampled_from(["", "", "", "*2", "?", "$a"])
    )
    weight = st.sampled_from(["", "", "", "(0.5) ", "(3) ", "(0) ", "(v) ", "(1 - v) ", "(1/v) "])
    rules = []
    for head in heads:
        alternatives = []
        for _ in range(draw(st.integers(1, 3))):
            items = draw(st.lists(item, max_size=4))
            words = [name + (sign if sign != "$a" or name in heads else "") for name, sign in items]
            alternatives.append(draw(weight) + (" ".join(words) or "ε"))
        rules.append(f"{head} -> {' | '.join(alternatives)}")
    return "\n".join(rules)


@given(grammars(), st.integers(), st.floats(), st.integers(1, 70))
@settings(max_examples=100, deadline=None)
def test_random_grammars_never_hang_and_keep_the_laws(
    text: str, seed: int, value: float, depth: int
) -> None:
    try:
        grammar = Grammar(text, max_depth=depth)
    except Mistake:
        return

    def run(count: int) -> Iterable[tuple[str, str]]:
        stream = grammar.symbols(Random(seed), Controls({"v": value}))
        for symbol in islice(stream, count):
            assert symbol == THINKING or symbol.name in (grammar.alphabet() or ())
            yield symbol.name, str(symbol.origin)

    assert list(run(40)) == list(run(40))
    tree = grammar.tree(Random(seed), Controls({"v": value}), limit=200)
    once = Grammar(text, max_depth=depth, after="stop")
    stream = once.symbols(Random(seed), Controls({"v": value}))
    said = [symbol.name for symbol in islice(stream, 200) if symbol != THINKING]
    leaves = list(tree.leaves())
    if "…" not in str(tree) and len(said) < 100:
        assert leaves == said


def chain(count: int, last: str) -> str:
    return "\n".join(f"A{n} -> A{n + 1}" for n in range(count)) + f"\nA{count} -> {last}"


#: Texts that want to hang or to fill memory; with what becomes of them.
BOMBS = {
    "nothing": ("", "refused"),
    "only white space": (" \n" * 100_000, "refused"),
    "only comments": ("# x\n" * 100_000, "refused"),
    "only spaces": (" " * MAX_TEXT, "refused"),
    "only bars": ("|" * MAX_TEXT, "refused"),
    "only arrows": ("->" * (MAX_TEXT // 2), "refused"),
    "only quotes": ("'" * MAX_TEXT, "refused"),
    "only opening": ("(" * MAX_TEXT, "refused"),
    "only stars": ("*" * MAX_TEXT, "refused"),
    "one long word": ("x" * MAX_TEXT, "refused"),
    "zeros": ("\0" * MAX_TEXT, "refused"),
    "too much text": ("S -> x" + " " * MAX_TEXT, "refused"),
    "as much as allowed": ("S -> x" + " " * (MAX_TEXT - 6), "plays"),
    "a long comment": ("S -> x # " + "(" * 1_000_000, "plays"),
    "many comments": ("S -> x\n" + "# (\n" * 200_000 + "| y", "plays"),
    "a long symbol": ("S -> " + "x" * 1_000_000, "plays"),
    "a long quoted symbol": ("S -> '" + "(" * 1_000_000 + "'", "refused"),
    "itself": ("S -> S", "refused"),
    "itself twice": ("S -> S S", "refused"),
    "itself three ways": ("S -> S | S S | S S S", "refused"),
    "itself by nothing": ("S -> ε S", "refused"),
    "two in a ring": ("A -> B\nB -> A", "refused"),
    "two in a ring with one way in": ("S -> x A\nA -> B\nB -> A", "refused"),
    "a ring of thousands": (chain(5000, "A0"), "refused"),
    "a chain of thousands": (chain(5000, "x"), "plays"),
    "a ring of pairs": ("A -> B B\nB -> A A", "refused"),
    "left recursion": ("S -> S A\nA -> a", "refused"),
    "left recursion round a corner": ("S -> T a\nT -> S b", "refused"),
    "left recursion with a way out": ("S -> (0.999) S a | a", "plays"),
    "middle recursion": ("S -> a S b", "refused"),
    "middle recursion with a way out": ("S -> (0.999) a S b | c", "plays"),
    "endless then more": ("S -> T x\nT -> y T", "refused"),
    "endless and repeated": ("S -> T*2\nT -> y T", "refused"),
    "endless and remembered": ("S -> T$a\nT -> y T", "refused"),
    "endless under an option": ("S -> x T?\nT -> y T", "plays"),
    "right recursion": ("S -> a S", "plays"),
    "right recursion behind options": ("S -> a? b? S", "plays"),
    "right recursion nearly always silent": ("S -> (1e-9) a S | (1) S", "plays"),
    "right recursion live and silent": ("S -> (v) a S | (1 - v) S", "plays"),
    "nothing at all": ("S -> ε", "refused"),
    "nothing twice": ("S -> A B\nA -> ε\nB -> ε", "refused"),
    "nothing for ever": ("S -> x E\nE -> E | ε", "refused"),
    "nothing in pairs": ("S -> x E\nE -> E E | ε", "refused"),
    "nothing in a ring": ("S -> x E\nE -> F | ε\nF -> E F | ε", "refused"),
    "nothing by options": ("S -> E? E?\nE -> S? S?", "refused"),
    "nothing nearly always": ("S -> (1e-9) x | (1) ε", "plays"),
    "only muted": ("S -> (0) x | (1) S", "refused"),
    "all muted": ("S -> (0) x | (0) S", "plays"),
    "pairs": ("S -> (0.9) S S | x", "plays"),
    "pairs always": ("S -> (1) S S | (0) x", "refused"),
    "pairs of pairs": ("S -> (0.9) T T | x\nT -> (0.9) S S | y", "plays"),
    "silent pairs": ("S -> N x\nN -> (0.98) N N | (0.01) y | ε", "plays"),
    "doubling": (
        "\n".join(f"A{n} -> A{n + 1} A{n + 1}" for n in range(200)) + "\nA200 -> x",
        "plays",
    ),
    "doubling nothing": (
        "S -> A0 x\n" + "\n".join(f"A{n} -> A{n + 1}*2" for n in range(200)) + "\nA200 -> ε",
        "plays",
    ),
    "repeats of repeats": (
        "\n".join(f"A{n} -> A{n + 1}*1024" for n in range(50)) + "\nA50 -> x",
        "plays",
    ),
    "too many repeats": ("S -> " + "x*1024 " * 200, "refused"),
    "a giant repeat": ("S -> x*999999999", "refused"),
    "a repeat of many digits": ("S -> x*" + "9" * 100_000, "refused"),
    "too many rules": ("\n".join(f"A{n} -> x" for n in range(70_000)), "refused"),
    "a hundred thousand rules": ("\n".join(f"A{n}->x" for n in range(100_000)), "refused"),
    "too many alternatives": ("S -> x" + "|x" * 500_000, "refused"),
    "many alternatives": ("S -> x" + "|x" * 14_000, "plays"),
    "many symbols": ("S -> " + "x " * 29_000, "plays"),
    "many weights": ("S -> " + "|".join(f"({n}) x" for n in range(5000)), "plays"),
    "many live weights": ("S -> " + "|".join(f"(v+{n}) x" for n in range(5000)), "plays"),
    "deep parentheses": ("S -> (" + "(" * 10_000 + "1" + ")" * 10_000 + ") x", "refused"),
    "a long weight": ("S -> (" + "1+" * 100_000 + "1) x", "refused"),
    "a huge power": ("S -> (9^9^9^9^9) x | (v^9^9^9) y", "plays"),
    "labels round and round": ("S -> A$a\nA -> B$b | x\nB -> A$a | y", "plays"),
    "labels that call themselves": ("S -> (0.99) x S$a S$b | y", "plays"),
    "labels that double": (
        "\n".join(f"A{n} -> A{n + 1}$a A{n + 1}$a" for n in range(100)) + "\nA100 -> x",
        "plays",
    ),
    "labels that double nothing": (
        "S -> A0 x\n"
        + "\n".join(f"A{n} -> A{n + 1}$a A{n + 1}$a" for n in range(100))
        + "\nA100 -> ε",
        "plays",
    ),
    "labels of nothing": (
        f"S -> {'E$a*1024 ' * 90} T\nE -> ε\nT -> (1e-9) x | (1) S",
        "plays",
    ),
    "never used": ("S -> x\nT -> T T", "refused"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("text", "outcome"), BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused_or_kept_within_their_budget(text: str, outcome: str) -> None:
    if outcome == "refused":
        assert mistake(text).problem
        return
    stream = Grammar(text).symbols(Random(1), Controls())
    assert len(list(islice(stream, 20))) == 20


def test_an_engine_that_finds_nothing_says_that_it_is_thinking() -> None:
    controls = Controls({"v": 0.0})
    stream = Grammar("S -> (v) x S | (1 - v) S").symbols(Random(1), controls)
    assert [next(stream) for _ in range(3)] == [THINKING] * 3
    controls.values["v"] = 1.0
    assert next(stream).name == "x"


def test_it_says_which_live_values_it_reads_and_where() -> None:
    grammar = Grammar("S -> (arousal * bar) A | B\nA -> (1 - energy) x | (1) y\nB -> z")
    assert set(grammar.reads()) == {
        Use("arousal", "rules", 1, 7),
        Use("bar", "rules", 1, 17),
        Use("energy", "rules", 2, 11),
    }


def test_live_values_may_change_while_a_tree_grows() -> None:
    controls = Controls({"bar": 1})
    heard: list[str] = []

    def pulled(symbol: Symbol) -> None:
        heard.append(symbol.name)
        controls.values["bar"] += 1

    grammar = Grammar("S -> Bar*3\nBar -> (bar == 1) one | (bar == 2) two | (bar > 2) more")
    assert list(grammar.tree(Random(1), controls, pulled=pulled).leaves()) == heard
    assert heard == ["one", "two", "more"]
