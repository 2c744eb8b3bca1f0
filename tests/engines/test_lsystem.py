"""Laws of L-systems: the stream is what rewriting everything at once gives, in little memory."""

from __future__ import annotations

import tracemalloc
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import THINKING, UNKNOWN, Controls, Engine, Mistake, Symbol, Use
from engines.lsystem import AXIOM, LSystem, Rewriting
from engines.lsystem.derivation import PATH

FIBONACCI = "A -> AB\nB -> A"


def generation(axiom: str, rules: str, depth: int, **fields: Any) -> list[Symbol]:
    """All of one generation; it must not need a second pull for any symbol."""
    system = LSystem(axiom, rules, depth, after="stop", **fields)
    return list(system.symbols(Random(0), Controls()))


def word(axiom: str, rules: str, depth: int, **fields: Any) -> str:
    return "".join(symbol.name for symbol in generation(axiom, rules, depth, **fields))


def modules(axiom: str, rules: str, depth: int) -> list[tuple[str, tuple[float, ...]]]:
    return [(symbol.name, symbol.args) for symbol in generation(axiom, rules, depth)]


def pulls(system: LSystem, count: int, seed: int = 0, **values: float) -> list[Symbol]:
    return list(islice(system.symbols(Random(seed), Controls(values)), count))


def names(system: LSystem, count: int, seed: int = 0, **values: float) -> str:
    return "".join(symbol.name for symbol in pulls(system, count, seed, **values))


# -- deterministic ----------------------------------------------------------------------


def test_generations_of_the_algae() -> None:
    words = [word("A", FIBONACCI, depth) for depth in range(6)]
    assert words == ["A", "AB", "ABA", "ABAAB", "ABAABABA", "ABAABABAABAAB"]


def test_lengths_are_fibonacci_numbers() -> None:
    lengths = [len(generation("A", FIBONACCI, depth)) for depth in range(18)]
    assert lengths[:2] == [1, 2]
    assert all(c == a + b for a, b, c in zip(lengths, lengths[1:], lengths[2:], strict=False))


def test_it_is_an_engine() -> None:
    assert isinstance(LSystem("A", FIBONACCI), Engine)


def rewritten(axiom: str, rules: Mapping[str, str], depth: int) -> str:
    for _ in range(depth):
        axiom = "".join(rules.get(symbol, symbol) for symbol in axiom)
    return axiom


def balanced(letters: str) -> st.SearchStrategy[str]:
    flat = st.text(letters, max_size=3)
    return st.recursive(
        flat, lambda inner: st.builds("{}[{}]{}".format, flat, inner, flat), max_leaves=3
    )


@given(
    axiom=st.text("ABC", min_size=1, max_size=4),
    rules=st.dictionaries(st.sampled_from("ABC"), st.text("ABCx", max_size=3)),
    depth=st.integers(0, 5),
)
def test_any_deterministic_system_streams_its_generation(
    axiom: str, rules: dict[str, str], depth: int
) -> None:
    expected = rewritten(axiom, rules, depth)
    text = "\n".join(f"{head} -> {body}" for head, body in rules.items())
    made = set(axiom)
    for _ in rules:
        made.update(*(rules[head] for head in made & set(rules)))
    if set(rules) - made:
        with pytest.raises(Mistake, match="made somewhere"):
            LSystem(axiom, text, depth)
    elif expected:
        assert word(axiom, text, depth) == expected
    else:
        with pytest.raises(Mistake, match="erased"):
            LSystem(axiom, text, depth)


@pytest.mark.parametrize(
    "rules",
    [FIBONACCI, "A -> (0.5) AB | (0.5) AA\nB -> A", "A < B -> A\nA -> AB\nB -> A"],
)
def test_a_very_deep_generation_starts_at_once(rules: str) -> None:
    for depth in (50_000, 100_000) if "<" not in rules else (200, 1000):
        start = pulls(LSystem("A", rules, depth), 1000)
        assert THINKING not in start
        if rules == FIBONACCI:
            assert "".join(s.name for s in start) == word("A", FIBONACCI, 16)[:1000]


def test_brackets_are_structure_and_not_handed_out() -> None:
    assert word("F", "F -> F[+F]F", 2) == "F+FF+F+FFF+FF"


def test_names_numbers_and_signs() -> None:
    assert [s.name for s in generation("""1"bd" '|'+-""", "", 0)] == ["1", "bd", "|", "+", "-"]
    rules = """
    # a comment, and a rule over several lines
    "bd" -> 1 "sn"   # the snare
          | "sn" "sn"

    1 → ε      # nothing
    F -> F#    # the sharp is a symbol of its own
    """
    assert LSystem('"bd"F', rules, 2).alphabet() == frozenset(("sn", "F", "#"))
    assert word("F", "F -> F#    # the sharp is a symbol of its own", 3) == "F###"


# -- stochastic -------------------------------------------------------------------------


def test_weights_are_chances() -> None:
    system = LSystem("A", "A -> (0.2) B | C | (0.5) D", depth=1)
    counts = Counter(names(system, 10_000))
    assert counts["B"] == pytest.approx(2000, rel=0.1)
    assert counts["C"] == pytest.approx(3000, rel=0.1)
    assert counts["D"] == pytest.approx(5000, rel=0.1)


def test_weights_alone_are_relative_and_their_chance_is_the_origins() -> None:
    system = LSystem("A", "A -> (3) B | (1) C", depth=1)
    chances = {
        s.name: s.origin.chance for s in pulls(system, 50) if isinstance(s.origin, Rewriting)
    }
    assert chances == {"B": pytest.approx(0.75), "C": pytest.approx(0.25)}


def test_live_weights_follow_the_controls_from_the_next_symbol() -> None:
    system = LSystem("A", "A -> (arousal) B | (1 - arousal) C", depth=1)
    controls = Controls({"arousal": 1.0})
    stream = system.symbols(Random(0), controls)
    heard = "".join(next(stream).name for _ in range(20))
    controls.values["arousal"] = 0.0
    heard += "".join(next(stream).name for _ in range(20))
    assert heard == "B" * 20 + "C" * 20


def test_live_weights_in_context_follow_at_once_too() -> None:
    system = LSystem("LA", "L < A -> (arousal) B | (1 - arousal) C", depth=1)
    controls = Controls({"arousal": 1.0})
    stream = system.symbols(Random(0), controls)
    heard = "".join(next(stream).name for _ in range(6))
    controls.values["arousal"] = 0.0
    heard += "".join(next(stream).name for _ in range(6))
    assert heard == "LBLBLBLCLCLC"


@pytest.mark.parametrize(
    "rules", ["A -> (0.4) AB | BA\nB -> A", "A < A -> (0.4) AB | BA\nA -> AB\nB -> A"]
)
def test_a_seed_gives_one_stream(rules: str) -> None:
    system = LSystem("A", rules, depth=9)
    assert names(system, 2000, seed=1) == names(system, 2000, seed=1)
    assert names(system, 2000, seed=1) != names(system, 2000, seed=2)


def test_repeating_derives_anew() -> None:
    rules = "A -> AB | BA"
    lone = word("A", rules, 5)
    assert len(lone) == 6
    heard = names(LSystem("A", rules), 60)
    assert len({heard[start : start + 6] for start in range(0, 60, 6)}) > 1


# -- parametric -------------------------------------------------------------------------


def test_parametric_derivation_of_prusinkiewicz_and_lindenmayer() -> None:
    """The Algorithmic Beauty of Plants (1990), section 1.10.1, figure 1.30."""
    rules = """
    A(x, y) : y <= 3 -> A(x*2, x+y)
    A(x, y) : y > 3  -> B(x) A(x/y, 0)
    B(x) : x < 1  -> C
    B(x) : x >= 1 -> B(x-1)
    """
    written = [
        "B(2) A(4,4)",
        "B(1) B(4) A(1,0)",
        "B(0) B(3) A(2,1)",
        "C B(2) A(4,3)",
        "C B(1) A(8,7)",
        "C B(0) B(8) A(1.143,0)",
    ]
    for depth, expected in enumerate(written):
        found = [
            name + (f"({','.join(f'{value:.4g}' for value in args)})" if args else "")
            for name, args in modules("B(2)A(4,4)", rules, depth)
        ]
        assert found == expected.split()


def test_the_number_of_parameters_belongs_to_the_name() -> None:
    rules = "F -> G\nF(x) -> H(x)\nF(x, y) -> I(y, x)"
    assert modules("F F(1) F(1,2) F(1,2,3) F()", rules, 1) == [
        ("G", ()), ("H", (1.0,)), ("I", (2.0, 1.0)), ("F", (1.0, 2.0, 3.0)), ("G", ()),
    ]  # fmt: skip


def test_a_module_that_no_guard_admits_stays() -> None:
    assert modules("A(5)", "A(x) : x < 3 -> A(x+1)", 4) == [("A", (5.0,))]


def test_guards_are_tried_in_order() -> None:
    rules = "A(x) : x > 2 -> B\nA(x) : x > 1 -> C\nA(x) -> D"
    assert word("A(3)A(2)A(1)", rules, 1) == "BCD"


def test_parameters_of_contexts_are_bound() -> None:
    rules = "A(x) < B(y) > C(z) : x < y -> D(x + y + z, max(x, (y + z) * 2))"
    assert modules("A(1)B(2)C(3)B(0)C(3)", rules, 1)[1] == ("D", (6.0, 10.0))
    assert modules("A(1)B(0)C(3)", rules, 1)[1] == ("B", (0.0,))


def test_formulas_read_live_controls() -> None:
    system = LSystem("A(1)", "A(x) : energy > 0.5 -> B(x + energy)", depth=1)
    assert pulls(system, 1, energy=1.0)[0][::2] == ("B", (2.0,))
    assert pulls(system, 1, energy=0.0)[0][::2] == ("A", (1.0,))


# -- in context -------------------------------------------------------------------------


def test_a_signal_travels_one_symbol_a_generation() -> None:
    rules = "b < a -> b\nb -> a"
    words = [word("baaaaaaa", rules, depth) for depth in range(8)]
    assert words == ["a" * depth + "b" + "a" * (7 - depth) for depth in range(8)]


def test_contexts_see_along_branches() -> None:
    """The Algorithmic Beauty of Plants (1990), section 1.8, figure 1.22."""
    tree = "ABC[DE][SG[HI[JK]L]MNO]"
    assert word(tree, "BC < S > G[H]M -> x", 1) == "ABCDExGHIJKLMNO"
    assert word(tree, "BC < S > G[I]M -> x", 1) == word(tree, "", 1)
    assert word(tree, "E < S -> x", 1) == word(tree, "", 1)


def test_acropetal_and_basipetal_signals() -> None:
    """The same section, figure 1.23: a signal up, and down, a branching structure."""
    up, down = "B < A -> B", "A > B -> B"
    assert word("B[A]A[A]A[A]A", up, 1, ignore="") == "BBBAAAA"
    assert word("B[A]A[A]A[A]A", up, 2) == "BBBBBAA"
    assert word("A[A]A[A]A[A]B", down, 1) == "AAAABAB"
    assert word("A[+A]A[-A]B", down, 1, ignore="+-") == "A+AB-AB"


def test_context_goes_before_none_and_then_the_order_counts() -> None:
    assert word("LARXAX", "A -> 0\nL < A -> 1\nA > R -> 2", 1) == "L1RX0X"
    assert word("LARXAX", "A -> 0\nA > R -> 2\nL < A -> 1", 1) == "L2RX0X"


def test_a_neighbour_further_than_the_look_ahead_is_no_neighbour() -> None:
    for length, expected in ((4000, "Y"), (5000, "A")):
        first = pulls(LSystem(f"A[{'x' * length}]B", "A > B -> Y", depth=1), 1)[0]
        assert first.name == expected


Tree = Sequence[Any]


def as_tree(text: str) -> Tree:
    levels: list[list[Any]] = [[]]
    for symbol in text:
        if symbol == "[":
            levels.append([])
        elif symbol == "]":
            branch = levels.pop()
            levels[-1].append(branch)
        else:
            levels[-1].append(symbol)
    return levels[0]


def follows(context: Tree, rest: Tree, ignore: str) -> bool:
    at = 0
    for wanted in context:
        branch = isinstance(wanted, list)
        while at < len(rest) and (
            rest[at] in list(ignore) or (isinstance(rest[at], list) and not branch)
        ):
            at += 1
        if at == len(rest):
            return False
        if branch:
            if not isinstance(rest[at], list) or not follows(wanted, rest[at], ignore):
                return False
        elif rest[at] != wanted:
            return False
        at += 1
    return True


def rewritten_in_context(
    tree: Tree, rules: Sequence[tuple[str, str, str, str]], ignore: str, before: str = ""
) -> str:
    """One step by the book, on the whole tree at once."""
    made = ""
    for at, node in enumerate(tree):
        if isinstance(node, list):
            made += f"[{rewritten_in_context(node, rules, ignore, before)}]"
            continue
        for left, strict, right, successor in rules:
            if (
                strict == node
                and before.endswith(left)
                and follows(as_tree(right), tree[at + 1 :], ignore)
            ):
                made += successor
                break
        else:
            made += node
        before += "" if node in ignore else node
    return made


IN_CONTEXT = st.tuples(
    st.text("AB", max_size=2), st.sampled_from("AB"), balanced("AB"), balanced("AB+")
)


@settings(max_examples=300)
@given(
    axiom=balanced("AB+"),
    rules=st.lists(IN_CONTEXT, min_size=1, max_size=4, unique_by=lambda rule: rule[:3]),
    ignore=st.sampled_from(["", "+"]),
    depth=st.integers(0, 4),
)
def test_any_system_in_context_streams_its_generation(
    axiom: str, rules: list[tuple[str, str, str, str]], ignore: str, depth: int
) -> None:
    lines = []
    for left, strict, right, successor in rules:
        lines.append(
            (f"{left} < " if left else "")
            + strict
            + (f" > {right}" if right else "")
            + f" -> {successor}"
        )
    made = set(axiom) | set("[]")
    for _ in rules:
        made.update(*(rule[3] for rule in rules if set("".join(rule[:3])) <= made))
    if any(set("".join(rule[:3])) - made for rule in rules) and set(axiom) - set("[]"):
        with pytest.raises(Mistake, match="made somewhere"):
            LSystem(axiom, "\n".join(lines), depth, ignore=ignore)
        return
    ordered = sorted(rules, key=lambda rule: not (rule[0] or rule[2]))
    expected = axiom
    for _ in range(depth):
        expected = rewritten_in_context(as_tree(expected), ordered, ignore)
        if len(expected) > 3000:
            return
    heard = expected.replace("[", "").replace("]", "")
    try:
        system = LSystem(axiom, "\n".join(lines), depth, after="stop", ignore=ignore)
    except Mistake:
        assert not heard
        return
    stream = system.symbols(Random(0), Controls())
    assert "".join(s.name for s in stream if s is not THINKING) == heard


# -- what comes after -------------------------------------------------------------------


def test_after_the_last_symbol() -> None:
    assert names(LSystem("A", FIBONACCI, 2, after="repeat"), 9) == "ABA" * 3
    assert names(LSystem("A", FIBONACCI, 2, after="grow"), 16) == "ABA" + "ABAAB" + "ABAABABA"
    assert names(LSystem("A", FIBONACCI, 2, after="stop"), 16) == "ABA"


@pytest.mark.parametrize(
    ("limit", "rules"), [("MAX_DEPTH", "A -> AB"), ("MAX_STAGES", "A < A -> A\nA -> AB")]
)
def test_growing_ends_at_the_deepest_generation(
    limit: str, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"engines.lsystem.{limit}", 4)
    heard = names(LSystem("A", rules, 2, after="grow"), 17)
    assert heard == "ABB" + "ABBB" + "ABBBB" * 2


# -- origins ----------------------------------------------------------------------------


def test_an_origin_tells_rule_line_generation_and_path() -> None:
    origins = [str(symbol.origin) for symbol in generation("A", FIBONACCI, 2)]
    assert origins == [
        "gen 2: A -> AB (line 1) < A < axiom",
        "gen 2: A -> AB (line 1) < A < axiom",
        "gen 2: B -> A (line 2) < A < axiom",
    ]
    assert generation("XA", FIBONACCI, 3)[0].origin is AXIOM
    assert str(AXIOM) == "axiom"


def test_an_origin_tells_chance_context_and_parameters() -> None:
    rules = "\n L(a) < F(x) : x > 1 -> (0.25) A | (0.75) A"
    origin = str(generation("L(0.5)F(2)", rules, 1)[1].origin)
    assert origin in (
        f"gen 1: L(a) < F(x) : x > 1 -> A (line 2, chance {chance}, a = 0.5, x = 2) < axiom"
        for chance in ("0.25", "0.75")
    )


@pytest.mark.parametrize("rules", [FIBONACCI, "A < B -> A\nA -> AB\nB -> A"])
def test_a_path_is_bounded_and_long_enough(rules: str) -> None:
    lengths = set()
    for symbol in pulls(LSystem("A", rules, 200), 300):
        assert isinstance(symbol.origin, Rewriting)
        path = symbol.origin.path()
        generations = [made.generation for made in path if isinstance(made, Rewriting)]
        assert generations == sorted(generations, reverse=True)
        lengths.add(len(path) + 1)
    assert min(lengths) >= PATH // 2 and max(lengths) <= PATH
    assert str(symbol.origin).endswith("…")


def test_every_symbol_has_an_origin() -> None:
    assert all(s.origin is not UNKNOWN for s in generation("A[B]", "A > B -> C\nB -> [A]D", 3))


@pytest.mark.parametrize(
    ("axiom", "rules", "interpret"),
    [
        ("baaaa", "b < a -> b\nb -> a", "symbols"),
        ("A", FIBONACCI, "symbols"),
        ("F", "F -> F[+F]F", "turtle"),
        ("A", "A -> [A B] A", "time"),
        ("A" * 500, FIBONACCI, "symbols"),  # too long to be kept
    ],
)
def test_a_generation_that_is_always_the_same_comes_again_as_it_was(
    axiom: str, rules: str, interpret: str
) -> None:
    once = generation(axiom, rules, 4, interpret=interpret)
    again = pulls(LSystem(axiom, rules, 4, interpret=interpret), 4 * len(once))
    assert [(s.name, s.args, str(s.origin)) for s in again] == 4 * [
        (s.name, s.args, str(s.origin)) for s in once
    ]


# -- alphabets --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "depth", "after", "expected"),
    [
        (FIBONACCI, 0, "repeat", "A"),
        (FIBONACCI, 5, "repeat", "AB"),
        ("A -> B\nB -> C\nC -> A", 100, "repeat", "B"),
        ("A -> B\nB -> C\nC -> A", 100, "grow", "ABC"),
        ("A -> BB\nB -> C[D]", 1, "repeat", "B"),
        ("A -> BB\nB -> C[D]", 1, "grow", "BCD"),
        ("A -> BB\nB -> C[D]", 9, "grow", "CD"),
        ("A > A -> C", 1, "repeat", "AC"),
    ],
)
def test_the_alphabet_is_what_can_be_heard(
    rules: str, depth: int, after: str, expected: str
) -> None:
    assert LSystem("A", rules, depth, after=after).alphabet() == frozenset(expected)


def test_an_alphabet_that_does_not_soon_recur_is_all_that_can_be_reached() -> None:
    primes = (2, 3, 5, 7, 11)
    rules = "\n".join(
        f'"{prime}.{at}" -> "{prime}.{(at + 1) % prime}"' for prime in primes for at in range(prime)
    )
    axiom = " ".join(f'"{prime}.0"' for prime in primes)
    alphabet = LSystem(axiom, rules, 1000).alphabet()
    assert alphabet is not None and len(alphabet) == sum(primes)
    assert {s.name for s in generation(axiom, rules, 1000)} <= alphabet


# -- bombs ------------------------------------------------------------------------------

DYING = "\n".join(f"{chr(0x4E00 + n)} -> {chr(0x4E01 + n) * 2}" for n in range(60))

GUARDS = "\n".join(f"A(x) : x > {n} -> B" for n in range(2000, 1000, -1))

#: axiom, rules, depth, interpretation
BOMBS = {
    "doubling": ("A", "A -> AA", 200_000, "symbols"),
    "renaming": ("A", "A -> B\nB -> A", 200_000, "symbols"),
    "left spine": ("A", "A -> A B\nB -> ", 200_000, "symbols"),
    "right spine": ("A", "A -> B A\nB -> ", 200_000, "symbols"),
    "guards without end": ("A(1)", f"{GUARDS}\nA(x) -> A(x)A(x)", 10_000, "symbols"),
    "numbers beyond floats": ("A(9)", "A(x) -> A(x^x)A(-x^x)", 1000, "symbols"),
    "brackets in brackets": ("A", "A -> [A]A", 200_000, "symbols"),
    "erased by chance": ("A", "A -> (0) A | (1) ε", 10, "symbols"),
    "erased in context": ("AA", "A < A -> \nA -> A A", 300, "symbols"),
    "never a neighbour": ("ZA", "A > Z -> Z\nA -> A[AAAA]", 1000, "symbols"),
    "a relay of doublings": ("AZ", "A > Z -> AAZ\nA -> AA\nZ -> ZZ", 1000, "symbols"),
    "time within time": ("A", "A -> [AA]", 200_000, "time"),
    "silence within time": ("A", "A -> [A[]]", 900, "time"),
    "a path in circles": ("F", "F -> +F", 200_000, "turtle"),
    "a line for ever": ("F", "F -> FF", 9999, "turtle"),
    "a path of turns": ("+F", "+ -> ++", 9999, "turtle"),
    "a path hardly drawn": ("A", "A -> (1) [A]A++ | (0) F", 200_000, "turtle"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_or_go_off_slowly(name: str) -> None:
    axiom, rules, depth, interpret = BOMBS[name]
    try:
        system = LSystem(axiom, rules, depth, interpret=interpret)
    except Mistake as mistake:
        assert "erased" in mistake.problem
        return
    assert len(pulls(system, 6)) == 6


@pytest.mark.parametrize("contexts", ["", "\u4e00 < \u4e00 -> \u4e01\n"])
def test_what_is_sure_to_die_costs_nothing_or_is_refused(contexts: str) -> None:
    first, last = chr(0x4E00), chr(0x4E00 + 60)
    rules = f"{contexts}{DYING}\n{last} -> ε"
    with pytest.raises(Mistake, match="erased"):
        LSystem(first, rules, 61)
    assert pulls(LSystem(first, rules, 60), 3)
    if not contexts:
        assert names(LSystem(f"K{first}", rules, 61), 20) == "K" * 20


@pytest.mark.parametrize(
    ("axiom", "rules"),
    [
        ("A", "A -> AB\nX < B -> A\nB -> X"),  # X comes of B where no X stands beside it
        ("A", "A -> (arousal) B | A\nB -> (0) C | A\nC -> B"),  # a chance may change
        ("F(1)", "F(x) : x > 9 -> G\nG -> F(1)"),  # and so may a parameter
        ("B A", "A > [B] C -> C\nB -> [B]C"),
        ("A", "C -> A\nB -> C\nA -> B"),
    ],
)
def test_rules_that_may_have_their_turn_are_taken(axiom: str, rules: str) -> None:
    assert pulls(LSystem(axiom, rules, 3), 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"axiom": "A", "rules": FIBONACCI, "depth": 100},
        {"axiom": "A", "rules": "A -> (0.5) AB | BA\nB -> A", "depth": 100},
        {"axiom": "A(1)", "rules": "A(x) -> A(x + 1) B(x)\nB(x) -> A(x * 2)", "depth": 100},
        {"axiom": "A", "rules": "A < B -> A\nA > A -> A[B]A\nA -> AB\nB -> A", "depth": 60},
        {"axiom": "A", "rules": FIBONACCI, "depth": 3, "after": "repeat"},
        {"axiom": "X", "rules": "X -> -YF+XFX+FY-\nY -> +XF-YFY-FX+", "depth": 30,
         "interpret": "turtle"},
    ],
)  # fmt: skip
def test_memory_is_flat(fields: dict[str, Any]) -> None:
    stream = LSystem(**fields).symbols(Random(0), Controls())
    tracemalloc.start()
    deque(islice(stream, 10_000), maxlen=0)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    deque(islice(stream, 20_000), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - before < 1_000_000  # a hundred bytes kept of each would be twice as much


# -- mistakes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place", "line", "column", "words"),
    [
        ({"rules": "A -> AB\nB A"}, "rules", 2, 4, "expected .*`->`"),
        ({"rules": "A -> AB\nB -> A)"}, "rules", 2, 7, "found `\\)`"),
        ({"rules": "A -> (0.5 AB"}, "rules", 1, 13, "`\\)`"),
        ({"rules": "AB -> A"}, "rules", 1, 1, "single character"),
        ({"rules": "A -> [B\nB -> A"}, "rules", 1, 6, "not closed"),
        ({"rules": "A -> B]"}, "rules", 1, 7, "closes nothing"),
        ({"rules": "[ -> B"}, "rules", 1, 1, "cannot be rewritten"),
        ({"rules": "ε -> B"}, "rules", 1, 1, "cannot be rewritten"),
        ({"rules": "A -> B\nB -> A\nA -> C"}, "rules", 3, 1, "line 1 rewrites A already"),
        ({"rules": "A > B -> B\nA > B : x > 1 -> A"}, "rules", 2, 1, "line 1"),
        ({"rules": "A(x, x) -> B"}, "rules", 1, 1, "two parameters"),
        ({"rules": "A(x+1) -> B"}, "rules", 1, 3, "name of a parameter"),
        ({"rules": "A(x) : x >> 1 -> B"}, "rules", 1, 11, "number"),
        ({"rules": "A(x) -> B(x *)"}, "rules", 1, 14, "number"),
        ({"rules": "A(x) -> B(x,)"}, "rules", 1, 13, "`,`|expression|number"),
        ({"rules": "A -> (0.5, 0.5) B"}, "rules", 1, 15, "one weight"),
        ({"rules": "A -> (-1) B"}, "rules", 1, 7, "below 0"),
        ({"rules": "[A] < B -> C"}, "rules", 1, 1, "left context"),
        ({"rules": "B > [A -> C"}, "rules", 1, 5, "not closed"),
        ({"rules": "B > A] -> C"}, "rules", 1, 6, "closes nothing"),
        ({"rules": "+ < A -> C", "ignore": "+-"}, "rules", 1, 1, "ignored"),
        ({"rules": f"A > {'B' * 40} -> C"}, "rules", 1, 5, "at most 32"),
        ({"rules": "A -> 'B"}, "rules", 1, 6, "quotes"),
        ({"rules": "A -> " + "B C " * 20_000}, "rules", 1, 60_002, "at most"),
        ({"rules": "A -> " + "B" * 2_000_000}, "rules", 0, 0, "characters"),
        ({"rules": "A -> ε"}, "rules", 0, 0, "erased.* after 1 generations"),
        ({"rules": "A -> B\nB -> ", "depth": 1, "after": "grow"}, "rules", 0, 0, "erased"),
        ({"rules": f"A -> {'[' * 17}A{']' * 17}"}, "rules", 1, 22, "at most 16"),
        ({"rules": 5}, "rules", 0, 0, "text"),
        ({"axiom": "A)"}, "axiom", 1, 2, "expected"),
        ({"axiom": "A[B"}, "axiom", 1, 2, "not closed"),
        ({"axiom": "A(1"}, "axiom", 1, 4, "`\\)`"),
        ({"axiom": ""}, "axiom", 0, 0, "found none"),
        ({"axiom": "[]"}, "axiom", 0, 0, "found none"),
        ({"depth": -1}, "depth", 0, 0, "0 to 200000"),
        ({"depth": 10**9}, "depth", 0, 0, "0 to 200000"),
        ({"depth": 2000, "rules": "A < A -> A"}, "depth", 0, 0, "0 to 1000"),
        ({"depth": True}, "depth", 0, 0, "whole number"),
        ({"after": "sing"}, "after", 0, 0, "repeat, grow or stop"),
        ({"interpret": "dance"}, "interpret", 0, 0, "turtle or time"),
        ({"ignore": 5}, "ignore", 0, 0, "symbols"),
        ({"ignore": "+("}, "ignore", 1, 3, "expected"),
        ({"rules": "A -> B\nX -> A"}, "rules", 2, 1, "is a X, so .* put X in the axiom"),
        ({"rules": "A -> BA\n  X -> Y\nY -> X"}, "rules", 2, 3, "is a X"),
        ({"rules": "A -> AB\nB > A X -> A"}, "rules", 2, 7, "is a X"),
        ({"rules": "A -> AB\nX < B -> X"}, "rules", 2, 1, "is a X"),
        ({"rules": "A -> F(1,2)\nF(x) -> A"}, "rules", 2, 1, "1 parameter, only with 2 para"),
        ({"rules": "A -> F(1)\nF -> A"}, "rules", 2, 1, "no parameters, only with 1 parameter,"),
        ({"step": "0"}, "step", 0, 0, "1/8"),
        ({"step": "quick"}, "step", 0, 0, "1/8"),
        ({"step": 1}, "step", 0, 0, "1/8"),
        ({"span": 0}, "span", 0, 0, "1 to 70"),
        ({"interpret": "turtle"}, "rules", 0, 0, "draws nothing"),
    ],
)  # fmt: skip
def test_mistakes_say_where_and_what(
    fields: dict[str, Any], place: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(Mistake, match=words) as caught:
        LSystem(**{"axiom": "A", "rules": FIBONACCI, **fields})
    assert (caught.value.place, caught.value.line, caught.value.column) == (place, line, column)


@settings(max_examples=300)
@given(
    axiom=st.text("AB[]()+,\"' ε#\n", max_size=8),
    rules=st.text("AAABBx12[](),:|<>->->->+*/\"'#ε \n\n", max_size=60),
    interpret=st.sampled_from(["symbols", "turtle", "time"]),
    depth=st.integers(0, 50),
)
def test_whatever_is_written_is_a_mistake_or_a_stream(
    axiom: str, rules: str, interpret: str, depth: int
) -> None:
    try:
        system = LSystem(axiom, rules, depth, interpret=interpret)
    except Mistake:
        return
    assert len(pulls(system, 5)) == 5


def test_deep_parentheses_are_a_mistake_and_no_crash() -> None:
    with pytest.raises(Mistake, match="parentheses"):
        LSystem("A(1)", f"A(x) -> A({'(' * 400}x{')' * 400})")


def test_it_says_which_live_values_it_reads_and_where() -> None:
    system = LSystem(
        axiom="F(bar)",
        rules="F(x) : x > arousal -> (energy) F(x/2) G | F(x)\nG -> (arousal) G | (beat) GG",
    )
    assert set(system.reads()) == {
        Use("bar", "axiom", 1, 3),
        Use("arousal", "rules", 1, 12),
        Use("energy", "rules", 1, 24),
        Use("arousal", "rules", 2, 7),
        Use("beat", "rules", 2, 21),
    }


def test_its_structure_is_every_symbol_that_is_written() -> None:
    system = LSystem(axiom="X", rules='X -> F[+X]"turn"F\nF -> FF', depth=0)
    assert system.structure() == frozenset({"X", "F", "+", "turn"})
    assert system.alphabet() == frozenset({"X"})
