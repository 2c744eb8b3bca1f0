"""How changes of mood sound: one long run in which the mood walks between the nine words.

The way takes every ordered pair of words once and comes back to where it began: 72 changes. Each
is asked for as on a stage, through the baton of a player that plans its usual 100 ms ahead, in
virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import log10
from random import Random
from statistics import fmean, median
from typing import NamedTuple

from engines.base import Mistake
from engines.motif import recognise
from scripts.listening import scenes
from scripts.listening.corpus import WORKERS
from scripts.listening.figures import percentile
from scripts.listening.measures import MEZZOFORTE, key_fit
from scripts.listening.predictor import predict, same_quadrant
from scripts.listening.recall import RIGHT, choices, stated
from scripts.listening.score import Score, written
from server.band.baton import Baton
from server.concert.clock import JumpClock
from server.concert.journal import Entry, Ticked
from server.concert.player import Player
from server.score.scene import Scene

ARRIVAL = 4  # bars from asking for a mood to being in it
REST = 16  # bars in a mood before the next is asked for
LEAD_IN = 16  # bars before the first change
NEAR = ARRIVAL + 4  # bars from asking on in which a change is looked at; as many before are rest
WINDOW = 8  # bars that a listener is given to tell a mood
TEMPO_STEP = 0.07  # share; see docs/measures.md
ROUGHER = 1.0  # dB
HEARD_BY = 8  # bars
HEARD = 0.95  # share of changes
KEY_FIT = 0.98
SEAM = 0.5  # layers


class Change(NamedTuple):
    """One change of mood. at: the index of the bar in which it begins."""

    start: str
    to: str
    at: int


class Walked(NamedTuple):
    """A run and its changes. playing, asked: by bar, the layers, and the mood's level in dB."""

    scene: Scene
    score: Score
    entries: Sequence[Entry]
    changes: Sequence[Change]
    playing: Sequence[frozenset[str]]
    asked: Sequence[float]


class Figure(NamedTuple):
    """One line of the report. worst: where it is worst, in words."""

    name: str
    shown: str
    bar: str
    right: bool | None
    worst: str = ""


def tour(words: Sequence[str], rng: Random) -> list[str]:
    """Words in an order in which each follows each other one exactly once, back to the first.

    A circuit of Euler's in the complete directed graph, found as Hierholzer (1873) does.
    """
    left = {word: [other for other in words if other != word] for word in words}
    for ways in left.values():
        rng.shuffle(ways)
    stack, found = [words[0]], []
    while stack:
        if left[stack[-1]]:
            stack.append(left[stack[-1]].pop())
        else:
            found.append(stack.pop())
    return found[::-1]


def walk(scene: Scene, words: Sequence[str], rest: int = REST) -> Walked:
    """Play a scene from the first of the words to the last, each for so many bars."""
    player = Player(JumpClock())
    baton = Baton(player)
    entries: list[Entry] = []
    playing: list[frozenset[str]] = []
    asked: list[float] = []

    def listen(entry: Entry) -> None:
        entries.append(entry)
        if isinstance(entry, Ticked) and entry.moment.position == 1:
            bar = baton.conductor.bar(entry.moment.bar)
            playing.append(bar.playing)
            asked.append(40 * log10(bar.cues.loudness))

    player.journal.add(listen)
    leg = ARRIVAL + rest
    changes = [Change(a, b, LEAD_IN + nth * leg) for nth, (a, b) in enumerate(pairwise(words))]
    player.cue(scene)
    baton.emotion(words[0])
    player.play(end_bar=LEAD_IN + len(changes) * leg)

    async def play() -> None:
        for change in changes:
            soon = scene.meters.beat_of_bar(change.at + 1) - 1
            await player.run(partial(_reached, player, soon))
            baton.emotion(change.to, ARRIVAL, "bar")
        await player.run()

    asyncio.run(play())
    score = written(scene, entries)
    return Walked(scene, score, entries, changes, tuple(playing), tuple(asked))


def _reached(player: Player, beat: Fraction) -> bool:
    return player.now_beat >= beat


# What is measured ---------------------------------------------------------------------------


def tempo_step(score: Score) -> float:
    """The largest step of the tempo from one beat to the next, as a share of the slower."""
    steps = [max(a, b) / min(a, b) - 1 for (_, a), (_, b) in pairwise(score.tempos)]
    return max(steps, default=0.0)


def levels(score: Score) -> list[float | None]:
    """How loud each bar is: the power of its notes (velocity to the fourth) a quarter note, in dB.

    None for a bar in which nothing begins.
    """
    found: list[float | None] = []
    for bar, notes in zip(score.bars, score.divided(score.notes), strict=True):
        power = sum((note.velocity / MEZZOFORTE) ** 4 for note in notes)
        found.append(10 * log10(power / float(bar.meter.length)) if power else None)
    return found


def loudness_step(
    heard: Sequence[float | None], asked: Sequence[float], first: int, last: int
) -> float:
    """The largest step of level between neighbouring bars, less what the mood asked for."""
    steps = [
        abs(after - before - (asked[at] - asked[at - 1]))
        for at in range(first, last)
        if (before := heard[at - 1]) is not None and (after := heard[at]) is not None
    ]
    return max(steps, default=0.0)


def gap(score: Score) -> float:
    """The longest time in which no pitched note sounds, in quarter notes."""
    longest = reach = 0.0
    for note in score.pitched:
        longest = max(longest, note.onset - reach)
        reach = max(reach, note.end)
    return max(longest, score.end - reach)


def heard_after(walked: Walked, change: Change, until: int) -> int | None:
    """Bars from asking to the first eight that are heard in the quadrant asked for; None: never."""
    wanted = scenes.WORDS[change.to]
    for wait in range(until - change.at - WINDOW + 1):
        first = change.at + wait
        if same_quadrant(wanted, predict(walked.score.excerpt(first, first + WINDOW))):
            return wait
    return None


def moved(playing: Sequence[frozenset[str]], first: int, last: int) -> int:
    """The most layers that come and go at one bar line."""
    return max((len(playing[at] ^ playing[at - 1]) for at in range(first, last)), default=0)


def recalled(walked: Walked) -> Mapping[bool, tuple[int, int]]:
    """Statements recognised, and all, that begin near a change (True) and at rest (False)."""
    among = choices(walked.scene)
    found = {True: (0, 0), False: (0, 0)}
    near = {bar for change in walked.changes for bar in range(change.at - 1, change.at + NEAR)}
    for name, notes in stated(walked.entries) if among else ():
        close = walked.score.bar_at(float(notes[0][0])) in near
        right, asked = found[close]
        found[close] = right + (recognise(notes, among)[0] == name), asked + 1
    return found


class _Seen(NamedTuple):
    """A value near every change and before it, where nothing changes, and where it is largest."""

    near: list[float]
    rest: list[float]
    worst: str


def _seen(walked: Walked, value: Callable[[int, int], float]) -> _Seen:
    """value: of the bars from one index up to but not with another."""
    bars = len(walked.score.bars)
    near = [value(each.at, min(each.at + NEAR, bars)) for each in walked.changes]
    rest = [value(each.at - NEAR, each.at) for each in walked.changes]
    worst = max(range(len(near)), key=near.__getitem__)
    return _Seen(near, rest, _said(walked.changes[worst]))


def _said(change: Change) -> str:
    return f"{change.start} → {change.to}, bar {change.at + 1}"


def figures(walked: Walked) -> list[Figure]:
    """Every figure of a walk. What bars are held to is in docs/measures.md."""
    found = [
        _tempo(walked),
        _loudness(walked),
        _gaps(walked),
        _fit(walked),
        _arrival(walked),
        *_layers(walked),
    ]
    right = recalled(walked)
    if right[True][1]:
        shares = {close: a / b if b else 1.0 for close, (a, b) in right.items()}
        shown = (
            f"{shares[True]:.3f} of {right[True][1]}, at rest {shares[False]:.3f} "
            f"of {right[False][1]}"
        )
        name = "theme recognised in statements that begin near"
        found.append(Figure(name, shown, f"≥ {RIGHT}", shares[True] >= RIGHT))
    return found


def _tempo(walked: Walked) -> Figure:
    score = walked.score
    seen = _seen(walked, lambda a, b: tempo_step(score.excerpt(max(a - 1, 0), b)))
    return Figure(
        "largest step of tempo, beat to beat",
        f"{max(seen.near):.1%}, mean over changes {fmean(seen.near):.1%}",
        f"≤ {TEMPO_STEP:.0%}",
        max(seen.near) <= TEMPO_STEP,
        seen.worst,
    )


def _loudness(walked: Walked) -> Figure:
    heard = levels(walked.score)
    seen = _seen(walked, lambda a, b: loudness_step(heard, walked.asked, a, b))
    return Figure(
        "largest step of level not asked for, bar to bar",
        f"median {median(seen.near):.1f} dB, at rest {median(seen.rest):.1f}; "
        f"95 % {percentile(seen.near, 0.95):.1f}, at rest {percentile(seen.rest, 0.95):.1f}",
        f"median ≤ rest + {ROUGHER:.0f} dB",
        median(seen.near) <= median(seen.rest) + ROUGHER,
        seen.worst,
    )


def _gaps(walked: Walked) -> Figure:
    score = walked.score
    seen = _seen(walked, lambda a, b: gap(score.excerpt(a, b)))
    bar = max(float(each.meter.length) for each in score.bars)
    return Figure(
        "longest gap without a pitched note, in quarter notes",
        f"{max(seen.near):.2f}, at rest {max(seen.rest):.2f}; "
        f"mean {fmean(seen.near):.2f}, at rest {fmean(seen.rest):.2f}",
        "≤ a bar, or rest",
        max(seen.near) <= max(bar, *seen.rest),
        seen.worst,
    )


def _fit(walked: Walked) -> Figure:
    def outside(first: int, last: int) -> float:
        fit = key_fit(walked.score.excerpt(first, last))
        return 0.0 if fit is None else 1 - fit

    seen = _seen(walked, outside)
    mean = 1 - fmean(seen.near)
    return Figure(
        "notes in key or chord",
        f"{mean:.4f}, at rest {1 - fmean(seen.rest):.4f}; least {1 - max(seen.near):.3f}",
        f"≥ {KEY_FIT}",
        mean >= KEY_FIT,
        seen.worst if max(seen.near) > 0 else "",
    )


def _arrival(walked: Walked) -> Figure:
    ends = [*(change.at for change in walked.changes[1:]), len(walked.score.bars)]
    waits = [
        (heard_after(walked, change, end), change)
        for change, end in zip(walked.changes, ends, strict=True)
        if change.to != "neutral"  # which has no quadrant
    ]
    found = [wait for wait, _ in waits if wait is not None]
    never = len(waits) - len(found)
    share = sum(wait <= HEARD_BY for wait in found) / len(waits) if waits else 1.0
    middle = f"median {median(found):.0f}, 95 % {percentile(found, 0.95):.0f}; " if found else ""
    worst = max(waits, key=lambda row: float("inf") if row[0] is None else row[0], default=None)
    return Figure(
        "bars until it is heard as asked",
        f"{middle}within {HEARD_BY}: {share:.0%}; not at all: {never} of {len(waits)}",
        f"{HEARD:.0%} within {HEARD_BY}",
        share >= HEARD,
        _said(worst[1]) if worst is not None else "",
    )


def _layers(walked: Walked) -> list[Figure]:
    playing, bars = walked.playing, len(walked.playing)
    ends = [(playing[c.at - 1], playing[min(c.at + NEAR, bars) - 1]) for c in walked.changes]
    come, go = [len(b - a) for a, b in ends], [len(a - b) for a, b in ends]
    seen = _seen(walked, lambda a, b: moved(playing, a, b))
    return [
        Figure(
            "layers that enter, and that leave, by a change",
            f"mean {fmean(come):.1f}, {fmean(go):.1f}; most {max(come)}, {max(go)}",
            "",
            None,
        ),
        Figure(
            "most layers that come or go at one bar line",
            f"mean {fmean(seen.near):.1f}, at rest {fmean(seen.rest):.1f}; "
            f"most {max(seen.near):.0f}, at rest {max(seen.rest):.0f}",
            f"mean ≤ rest + {SEAM}",
            fmean(seen.near) <= fmean(seen.rest) + SEAM,
            seen.worst,
        ),
    ]


# The report ---------------------------------------------------------------------------------


def _walked(job: tuple[str, int, int]) -> tuple[list[Figure], int, float]:
    name, seed, rest = job
    walked = walk(scenes.named(name, seed), tour(list(scenes.WORDS), Random(seed)), rest)
    return figures(walked), len(walked.score.bars), walked.score.seconds


def walk_report(names: Sequence[str], seed: int, rest: int) -> str:
    """A table for each scene. Errors: Mistake."""
    if rest < NEAR + 4:
        raise Mistake("rest", f"expected {NEAR + 4} bars and more, so that there is rest at all")
    for name in names:
        scenes.named(name, seed)
    out = []
    with ProcessPoolExecutor(WORKERS) as pool:
        results = list(pool.map(_walked, [(name, seed, rest) for name in names]))
    for name, (found, bars, seconds) in zip(names, results, strict=True):
        changes = len(scenes.WORDS) * (len(scenes.WORDS) - 1)
        out.append(
            f"{name}, seed {seed}: {changes} changes, {bars} bars, {seconds / 60:.0f} min.\n"
        )
        out.append("| measure | heard | bar | | worst |")
        out.append("| --- | --- | --- | --- | --- |")
        verdicts = {True: "pass", False: "**fail**", None: ""}
        out += [
            f"| {each.name} | {each.shown} | {each.bar} | {verdicts[each.right]} | {each.worst} |"
            for each in found
        ]
        out.append("")
    return "\n".join(out)
