"""Themes invented: rhythms of a bar, forms, and of many lines the one that sings best."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from random import Random
from typing import NamedTuple

from engines.base import Mistake

from .value import (
    DOTTED,
    HALF,
    OCTAVE,
    STABLE,
    THREE,
    TWO,
    WHOLE,
    F,
    Motif,
    Note,
    breathes,
    groups_of,
    made,
)

CHARACTERS = ("lyrical", "heroic", "playful", "calm", "lilting")
_LIKED = {
    "lyrical": ("scale", "turn", "leap"),
    "heroic": ("leap", "chord", "repeat"),
    "playful": ("repeat", "zigzag", "chord", "turn"),
    "calm": ("scale", "turn", "chord"),
    "lilting": ("turn", "chord", "zigzag", "scale"),
}

#: Rhythms of a bar, by its groups: note values in quarter notes, rests below 0; weight; the
#: characters (by first letter: l, h, p, c) that they suit.
_CELLS: dict[tuple[Fraction, ...], str] = {
    (TWO, TWO): """
        1.5 .5 1 1 | 4 | lhp      2 1 1 | 4 | lhc            1 1 2 | 3 | lhc
        1.5 .5 2 | 3 | lhc        1 .5 .5 1 1 | 3 | lp       1 .5 .5 2 | 3 | lhp
        .5 .5 1 1 1 | 3 | p       .5 .5 1 .5 .5 1 | 3 | p    3 1 | 2 | lc
        1 1 1.5 .5 | 3 | lh       2 1.5 .5 | 3 | lhc         -1 1 1 1 | 1.5 | lc
        .5 .5 .5 .5 1 1 | 2 | p   -.5 .5 .5 .5 1 1 | 2 | p   1.5 .25 .25 2 | 2 | h
        .75 .25 1 2 | 2 | h       .75 .25 1 .75 .25 1 | 2 | hp   1 1.5 .5 1 | 2 | lp
        .5 1 .5 1 1 | 2 | p       1.5 1.5 1 | 2 | lp         1 1 1 1 | 2 | hl
        1.5 .5 .5 .5 1 | 3 | lp   2 .5 .5 .5 .5 | 2 | l      2 2 | 1 | c
        .5 .5 1 2 | 2 | lp        1 .5 .5 .5 .5 1 | 2 | p    -.5 .5 1 2 | 1 | lc""",
    (THREE,): """
        1.5 .5 1 | 4 | lhp        2 1 | 4 | lc               1 1 1 | 3 | lhc
        1 .5 .5 1 | 3 | lp        .5 .5 1 1 | 3 | lp         1 2 | 1.5 | lc
        1 1 .5 .5 | 3 | lp        2 .5 .5 | 3 | lc           .75 .25 1 1 | 2 | h
        .5 .5 .5 .5 1 | 2 | p     -1 1 1 | 1 | pc            1.5 .5 .5 .5 | 2 | l""",
    (TWO,): "1 1 | 3 | lhc   1.5 .5 | 3 | lh   .5 .5 1 | 3 | p   1 .5 .5 | 3 | lp   2 | 1 | c",
    (DOTTED,): "1 .5 | 4 | lhc   .5 .5 .5 | 3 | p   1.5 | 2 | c   .75 .25 .5 | 1 | hp",
    (F(1),): "1 | 3 | lhc   .5 .5 | 2 | lp",
}

#: The same where a unit ends: a note that is held, and a breath.
_ENDS: dict[tuple[Fraction, ...], str] = {
    (TWO, TWO): """
        3 -1 | 4 | lhc   1 2 -1 | 4 | lhp    1.5 .5 1 -1 | 3 | lp   .5 .5 2 -1 | 4 | lp
        1 1 1 -1 | 3 | p   1 .5 .5 1 -1 | 3 | p   2 1 -1 | 2 | lc   .5 .5 .5 .5 1 -1 | 2 | p
        1.5 .5 1.5 -.5 | 3 | lh   .75 .25 2 -1 | 2 | h""",
    (THREE,): "2 -1 | 4 | lhc   .5 .5 1 -1 | 3 | lp   1 1 -1 | 3 | lhp   2.5 -.5 | 2 | lc",
    (TWO,): "1 -1 | 3 | p   1.5 -.5 | 3 | lhc",
    (DOTTED,): "1 -.5 | 1 | lhpc",
    (F(1),): "1 | 1 | lhpc",
}

#: Bars of a theme: letters are its ideas, + a sequence of one, = one again, ~ with another end;
#: h ends a half and c the whole. Sentences and periods (Schoenberg 1967; Caplin 1998), and the
#: song form.
_FORMS: dict[int, tuple[tuple[str, float], ...]] = {
    4: (("a h a= c", 4), ("a a+h b c", 3), ("a h a+ c", 3), ("a bh a+ c", 1), ("a bh a= c", 1)),
    8: (
        ("a b a+ h a= b= b+ c", 4),
        ("a b a+ b+h a+ a+ b c", 3),
        ("a h a= c b b+h a= c", 2),
        ("a a+ b h a= a+ b+ c", 2),
    ),
}

_Rhythm = tuple[Fraction, ...]
_TRIES = 160


@lru_cache(64)
def _vocabulary(source: str) -> tuple[tuple[_Rhythm, float, str], ...]:
    found = re.findall(r"([-.\d ]+)\|([ .\d]+)\| *([lhpc]+)", source)
    return tuple((tuple(map(F, c.split())), float(w), who) for c, w, who in found)


def _cell(
    rng: Random, groups: tuple[Fraction, ...], character: str, ends: bool, low: bool
) -> _Rhythm:
    """A rhythm for a bar; where its groups have none of their own, from those of its parts.

    low: whether sixteenths are too much.
    """
    table = _ENDS if ends else _CELLS
    if groups in table:
        choices = _vocabulary(table[groups])
        weights = [
            weight
            * (4.0 if character[0] in who else 0.4)
            * (0.0 if low and min(map(abs, cell)) < HALF else 1.0)
            for cell, weight, who in choices
        ]
        return rng.choices([cell for cell, _, _ in choices], weights)[0]
    half = (len(groups) + 1) // 2
    first = _cell(rng, groups[:half], character, False, low)
    return first + _cell(rng, groups[half:], character, ends, low)


class _Plan(NamedTuple):
    """What is decided first, so that no two are alike: all but the pitches themselves.

    roles, rhythms: of the bars.  start: its first step.  peak, top: the climax, bar from 0 and
    step.  shapes: of its two ideas.
    """

    roles: tuple[str, ...]
    rhythms: tuple[_Rhythm, ...]
    start: int
    peak: int
    top: int
    shapes: tuple[str, str]


def generate(
    rng: Random,
    bars: int = 4,
    bar: Fraction = WHOLE,
    character: str = "",
    name: str = "theme",
) -> Motif:
    """A theme to remember, of 4 or 8 bars.

    character: lyrical, heroic, playful, calm or lilting (in threes: 6/8 where a bar is three
    quarters); "" lets chance choose.
    One or two rhythms of a bar carry it, in sentence, period or song form; its first half ends
    open, on 2, 5 or 7, its second on 1, each with a held note and a breath; an arch with one
    climax, mostly in steps, leaps filled afterwards (Meyer 1973; Narmour 1990), strong beats on
    1, 3, 5; within a tenth. Of many lines that fit, the one that breaks fewest of these rules.
    Errors: Mistake for other bars or characters.
    Law: same rng, same theme.
    """
    if bars not in _FORMS:
        raise Mistake("bars", f"expected 4 or 8, got {bars}")
    if character not in ("", *CHARACTERS):
        raise Mistake("character", f"expected one of {', '.join(CHARACTERS)}, got {character!r}")
    character = character or rng.choice(("lyrical", "lyrical", "heroic", "playful", "calm"))
    groups = groups_of(bar, character == "lilting")
    plan = _planned(rng, bars, groups, character)
    lines = [_sung(rng, plan) for _ in range(_TRIES)]
    best = min(lines, key=lambda line: _faults(line, plan, groups))
    notes: list[Note] = []
    for number, (rhythm, steps) in enumerate(zip(plan.rhythms, best, strict=True)):
        at, row = number * bar, iter(steps)
        for length in rhythm:
            if length > 0:
                notes.append(Note(at, length, next(row)))
            at += abs(length)
    top = max(note.step for note in notes)
    peak = next(number for number, note in enumerate(notes) if note.step == top)
    notes[peak] = notes[peak]._replace(accent=True)
    motif = Motif(name, tuple(notes), bars * bar, bar)
    led = _with_upbeat(motif, rng) if rng.random() < 0.35 else motif
    return led if _leaping([note.step for note in led.notes]) < HALF else motif


def _planned(rng: Random, bars: int, groups: tuple[Fraction, ...], character: str) -> _Plan:
    forms = _FORMS[bars]
    form = rng.choices([each for each, _ in forms], [weight for _, weight in forms])[0]
    calm = character in ("calm", "lyrical", "lilting")
    one = _cell(rng, groups, character, False, calm)
    two = one
    for _ in range(8):
        two = _cell(rng, groups, character, False, calm)
        if two != one:
            break
    half = _cell(rng, groups, character, True, calm)
    end = half if rng.random() < 0.5 else _cell(rng, groups, character, True, calm)
    rhythms = []
    for role in form.split():
        rhythm = {"a": one, "b": two, "h": half, "c": end}[role[0]]
        rhythms.append(_breathing(rhythm) if role.endswith("h") and role != "h" else rhythm)
    heroic = character == "heroic"
    start = rng.choices((0, 2, 4, -3, 7), (4, 3, 4, 3 if heroic else 2, 0.7))[0]
    top = rng.randint(max(start + 2, 4), max(start + 2, min(start + 8, 9)))
    last = bars - 1
    peak = rng.choices(range(1, last), [1 + 2 * (n * 2 >= last) for n in range(1, last)])[0]
    likes = [4.0 if shape in _LIKED[character] else 1.0 for shape in _SHAPES]
    first = rng.choices(list(_SHAPES), likes)[0]
    others = [(shape, like) for shape, like in zip(_SHAPES, likes, strict=True) if shape != first]
    second = rng.choices([shape for shape, _ in others], [like for _, like in others])[0]
    return _Plan(tuple(form.split()), tuple(rhythms), start, peak, top, (first, second))


def _breathing(rhythm: _Rhythm) -> _Rhythm:
    """The rhythm with a held note and a breath at its end."""
    *most, last = rhythm
    if last >= 2:
        return (*most, last - 1, F(-1))
    if last > 1 or not most:
        return (*most, last - HALF, -HALF)
    while len(most) > 1 and 0 < most[-1] < 1:
        last += most.pop()
    return (*most, -last) if most[-1] >= 1 else rhythm


def _sung(rng: Random, plan: _Plan) -> list[list[int]]:
    """One line for the plan: the steps of each bar."""
    line: list[list[int]] = []
    ideas: dict[str, list[int]] = {}
    here = plan.start
    shift = rng.choice((1, 1, -1, -1, 2, -2, 3))
    for number, (role, rhythm) in enumerate(zip(plan.roles, plan.rhythms, strict=True)):
        count = sum(length > 0 for length in rhythm)
        letter = role[0]
        idea = ideas.get(letter)
        if letter in "hc":
            row = _ending(rng, here, count, letter == "c")
        elif idea is not None and ("=" in role or "+" in role):
            by = 0 if "=" in role else shift
            row = [step + by for step in idea][:count]
            if "+" in role and rng.random() < 0.5:
                ideas[letter] = row  # the next one goes on from here
        else:
            goal = plan.top if number == plan.peak else _arch(plan, number)
            row = _gesture(rng, here, goal, count, plan.shapes[letter == "b"], number == 0)
            ideas.setdefault(letter, row)
        if role.endswith("h") and role != "h":
            row = [*row[:-1], _open(row[-1])]
        line.append(row)
        here = row[-1]
    return line


def _arch(plan: _Plan, number: int) -> int:
    """Where the line should be at a bar: up to its climax, then home."""
    if number < plan.peak:
        return plan.start + (plan.top - plan.start) * number // plan.peak
    left = len(plan.roles) - plan.peak
    return plan.top * (len(plan.roles) - number) // max(left, 1)


#: What a bar's line may do, as moves on its way up; 0.9 of the time it goes where it should.
_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "scale": ((1, 1, 1, 1), (1, 1, 1, -1), (1, 1, -1, 1), (-1, 1, 1, 1)),
    "chord": ((2, 2, -1, -1), (2, 2, 1, -1), (2, -2, 2, 1), (-2, 2, 2, 1), (2, 1, 2, -1)),
    "turn": ((1, -1, -1, 1), (-1, 1, 1, 1), (1, -1, 1, 1), (-1, 1, 2, -1), (1, -1, -1, 2)),
    "leap": ((4, -1, -1, -1), (3, -1, -1, 1), (5, -1, -1, -1), (-1, 4, -1, -1), (1, 3, -1, -1)),
    "repeat": ((0, 1, 1, 1), (0, 0, 1, 1), (0, 2, -1, -1), (0, 3, -1, 0), (1, 0, 1, 0)),
    "zigzag": ((2, -1, 2, -1), (-1, 2, -1, 2), (3, -1, 2, -1), (-2, 3, -1, 1), (-1, 3, -1, -1)),
}


def _gesture(rng: Random, here: int, goal: int, count: int, shape: str, opening: bool) -> list[int]:
    """A bar's steps from near `here` towards a goal."""
    step = here if opening else here + rng.choice((1, -1, 1, -1, 0, 2, -2))
    way = 1 if goal > step or (goal == step and rng.random() < 0.5) else -1
    way = way if rng.random() < 0.9 else -way
    row = [step]
    moves: tuple[int, ...] = ()
    while len(row) < count:
        moves = moves or rng.choice(_SHAPES[shape])
        step += way * moves[0]
        moves = moves[1:]
        row.append(step)
    return row


#: Ways home, as steps above the tonic before it.
_HOME = {
    1: ((1,), (-1,), (1,)),
    2: ((2, 1), (1, -1), (-1, 1), (0, -1), (3, 1), (-2, -1), (2, -1), (4, 1)),
    3: ((3, 2, 1), (2, 1, -1), (0, 1, -1), (4, 2, 1), (1, 2, 1), (-1, 0, 1), (-3, -2, -1)),
}


def _ending(rng: Random, here: int, count: int, home: bool) -> list[int]:
    """The steps of a bar that ends a half (on 2, 5 or 7) or the whole (on 1)."""
    if home:
        goal = OCTAVE * round((here - 1) / OCTAVE)
        shape = rng.choice(_HOME[min(count - 1, 3)]) if count > 1 else ()
    else:
        goal = min((1, 4, 6, -1, -3, 8), key=lambda each: abs(each - here) + 2.5 * rng.random())
        way = rng.choice((1, -1))
        shape = tuple(way * back for back in range(min(count - 1, 2), 0, -1))
    row = [*(goal + each for each in shape), goal]
    while len(row) < count:
        row.insert(0, row[0] + (1 if here >= row[0] else -1))
    return row


def _open(step: int) -> int:
    """The nearest of 2, 5 and 7."""
    return min((8, 1, 4, 6, -1, -3, 11), key=lambda each: (abs(each - step), each))


def _leaping(steps: Sequence[int]) -> float:
    """The share of a line's moves that are wider than a third."""
    moves = [abs(b - a) for a, b in pairwise(steps)]
    return sum(move > 2 for move in moves) / max(len(moves), 1)


def _faults(line: list[list[int]], plan: _Plan, groups: tuple[Fraction, ...]) -> float:
    """How much a line breaks what makes tunes singable; 0 is perfect."""
    steps = [step for row in line for step in row]
    moves = [b - a for a, b in pairwise(steps)]
    top, low = max(steps), min(steps)
    worst = 20.0 * max(0, top - low - 9) + 1.5 * max(0, 5 - (top - low))
    worst += 2.0 * max(0, top - 11) + 2.0 * max(0, -4 - low)
    for number, move in enumerate(moves):
        size = abs(move)
        worst += 0.8 * max(0, size - 3)
        following = moves[number + 1] if number + 1 < len(moves) else 0
        if size >= 3:
            worst += 0.6 + (2.0 if following * move > 0 else 0.0) + (size == 6) * 3
            worst += 1.0 if abs(following) > 2 else 0.0
            worst += 4.0 * max(0, size - 5) if size != OCTAVE else 1.0
            if {steps[number] % OCTAVE, steps[number + 1] % OCTAVE} == {3, 6}:
                worst += 2.5
        if move == 0 and following == 0:
            worst += 0.8
        if number + 2 < len(moves) and move == -following == moves[number + 2] and move:
            worst += 0.7  # to and fro
    worst += 20.0 * (_leaping(steps) >= HALF)
    easy = sum(abs(move) <= 1 for move in moves) / len(moves)
    worst += 8 * max(0.0, 0.55 - easy) + 6 * max(0.0, easy - 0.85)
    worst += 3.0 * (steps.count(top) - 1 - any(a == b == top for a, b in pairwise(steps)))
    place = next(n for n, row in enumerate(line) if max(row) == top)
    worst += 0.0 if place == plan.peak else 1.0
    for number, (row, rhythm) in enumerate(zip(line, plan.rhythms, strict=True)):
        at, count, starts, start = F(0), 0, set(), F(0)
        for group in groups:
            starts.add(start)
            start += group
        for length in rhythm:
            if length > 0:
                if at in starts:
                    outside = row[count] % OCTAVE not in STABLE
                    closing = number in (0, len(line) - 1)
                    worst += outside * (1.6 if closing else 0.6) * (1.0 if at == 0 else 0.6)
                elif length >= 1 and row[count] % OCTAVE == 3:
                    worst += 0.4  # 4 is no note to dwell on
                count += 1
            at += abs(length)
    if abs(moves[-1]) != 1:
        worst += 2.0
    return worst + 1.2 * max(0, 5 - len(set(steps)))


def _with_upbeat(motif: Motif, rng: Random) -> Motif:
    """Its breaths lead on: one or two notes up to what comes next, at the end to its start."""
    notes = list(motif.notes)
    lasts = [n for n, _ in enumerate(notes) if breathes(motif, n)]
    pair = rng.random() < 0.5
    for number in reversed(lasts):
        note = notes[number]
        following = notes[(number + 1) % len(notes)]
        target = motif.length if number + 1 == len(notes) else following.at
        if (
            target - note.end < 1
            or target % motif.bar
            or (following.at if number + 1 == len(notes) else 0)
        ):
            continue
        step, top = following.step, max(each.step for each in notes)
        below = 4 - OCTAVE if step in (0, 1, 2) and top <= 6 else step - 1
        lead = [step - 2, step - 1] if pair else [below]
        if min(lead) < top - 9:
            continue
        size = HALF if pair else rng.choice((HALF, F(1)))
        at = target - size * len(lead)
        if at < note.end:
            continue
        for each in reversed(lead):
            target -= size
            notes.insert(number + 1, Note(target, size, each))
    return made(motif, notes)
