"""How many symbols each engine hands out with its origins, and whether memory is flat.

Rates are for each second of processor time, so that what else a machine does counts less.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from engines.base import Controls, Engine, Symbol
from engines.grammar import Grammar
from engines.lsystem import LSystem
from engines.markov import Markov
from server.score.tunes import read_tunes

MELODY = """
Melody -> Phrase Phrase
Phrase -> Pitch Duration | Pitch Pitch Duration
Pitch -> C | D | E | F | G | A | B
Duration -> Whole | Half | Quarter
"""
LIVE = "S -> N S\nN -> (1 - arousal) c1 | (arousal) c3 | c5"
HILBERT = "X -> -YF+XFX+FY-\nY -> +XF-YFY-FX+"
#: Subjects whose live control has another value at each pull.
MOVING = ("grammar (endless, live weights that move)",)
TUNE = "C4:1/4 D4:1/8 E4:1/8 F4:1/4 E4:1/8 D4:1/8 G4:1/2 E4:1/4 C4:1/4 A3:1/4 B3:1/4 C4:1/2 "


def subjects(corpora: Path | None) -> dict[str, Engine]:
    """What is measured."""
    text, corpus = TUNE * 8, read_tunes(["nottingham/*.mid"], corpora, "corpus") if corpora else ()
    if corpora is not None:
        text = ""
    two, three = ("pitch", "duration"), ("pitch", "duration", "velocity")
    return {
        "grammar (melody)": Grammar(rules=MELODY),
        "grammar (endless, live weights)": Grammar(rules=LIVE),
        MOVING[0]: Grammar(rules=LIVE),
        "L-system (Fibonacci, depth 20)": LSystem(axiom="A", rules="A -> AB\nB -> A", depth=20),
        "L-system (stochastic)": LSystem(
            axiom="A", rules="A -> (0.3) AB | (0.7) BA\nB -> A", depth=14
        ),
        "L-system (parametric)": LSystem(
            axiom="F(1)", rules="F(x) : x > 0.0001 -> F(x/2) F(x/2)", depth=12
        ),
        "L-system (context)": LSystem(
            axiom="baaaaaaaaaaaaaaaaaaaaaaa", rules="b < a -> b\nb -> a", depth=12
        ),
        "L-system (context, growing)": LSystem(
            axiom="ba", rules="b < a -> ba\nb -> a\na > a -> b", depth=1, after="grow"
        ),
        "L-system (context and chance)": LSystem(
            axiom="baaaaaaaaaaaaaaaaaaaaaaa", rules="b < a -> (0.9) b | a\nb -> a", depth=12
        ),
        "turtle (Hilbert, depth 5)": LSystem("X", HILBERT, 5, interpret="turtle"),
        "turtle (Hilbert, depth 10)": LSystem("X", HILBERT, 10, interpret="turtle"),
        "Markov (order 2)": Markov(text=text, corpus=corpus, order=2),
        "Markov (2 views)": Markov(text=text, corpus=corpus, order=2, views=two),
        "Markov (3 views)": Markov(
            text=text, corpus=corpus, order=2, views=three if corpora else two
        ),
        "Markov (phrases of 16, end)": Markov(
            text=text, corpus=corpus, order=2, phrase=16, end=("1/2", "1/4")
        ),
        "Markov (phrases of 12, order 1.6, forbid)": Markov(
            text=text, corpus=corpus, order=1.6, phrase=12, forbid=("1/8",)
        ),
    }


def moved(stream: Iterator[Symbol], controls: Controls) -> Iterator[Symbol]:
    """The stream, `arousal` having another value before each pull."""
    for number, symbol in enumerate(stream):
        controls.values["arousal"] = number % 97 / 97
        yield symbol


def rate_of(engine: Engine, moving: bool, symbols: int) -> float:
    """Symbols a second of processor time, the median of five runs after a short one."""
    rates = []
    for count in (symbols // 50, *[symbols // 5] * 5):
        controls = Controls({"arousal": 0.3})
        stream = engine.symbols(Random(1), controls)
        pulled = moved(stream, controls) if moving else stream
        began = time.process_time()
        deque(islice(pulled, count), maxlen=0)
        rates.append(count / (time.process_time() - began))
    return median(rates[1:])


def resident() -> float:
    """MiB of memory in use by this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main(argv: list[str]) -> None:
    """Print the table."""
    ask = argparse.ArgumentParser(prog="bench engines", description=__doc__)
    ask.add_argument("--symbols", type=int, default=10**6)
    ask.add_argument("--flat", type=int, default=10**7, help="symbols for the memory figure")
    ask.add_argument("--corpora", type=Path, default=os.environ.get("COMPONIUM_CORPORA"))
    options = ask.parse_args(argv)
    corpora = Path(options.corpora) if options.corpora else None
    print("| engine | symbols/s | MiB after 1 % | MiB at the end | first symbol |")
    print("|---|---|---|---|---|")
    for name, engine in subjects(corpora).items():
        rate = rate_of(engine, name in MOVING, options.symbols)
        stream = engine.symbols(Random(1), Controls())
        began = time.perf_counter()
        next(stream)
        first = time.perf_counter() - began
        deque(islice(stream, options.flat // 100), maxlen=0)
        before = resident()
        deque(islice(stream, options.flat - options.flat // 100), maxlen=0)
        print(
            f"| {name} | {rate:,.0f} | {before:.1f} | {resident():.1f} | {first * 1e3:.2f} ms |",
            flush=True,
        )
    began = time.perf_counter()
    deep = LSystem(axiom="A", rules="A -> AB\nB -> A", depth=100_000)
    next(s for s in deep.symbols(Random(1), Controls()) if s.name in "AB")
    print(f"\nGeneration 100 000 of A -> AB, B -> A: {(time.perf_counter() - began) * 1e3:.0f} ms")
    if corpora is not None:
        began = time.perf_counter()
        tunes = read_tunes(["nottingham/*.mid"], corpora, "corpus")
        read = time.perf_counter() - began
        learnt = Markov(corpus=tunes, order=2)
        next(learnt.symbols(Random(1), Controls()))
        total = time.perf_counter() - began
        beats = sum((tune.length for tune in tunes), Fraction(0))
        print(
            f"Nottingham: {len(tunes)} tunes, {float(beats):,.0f} quarter notes, "
            f"read in {read:.1f} s, learnt after {total:.1f} s, {resident():.0f} MiB in all"
        )
