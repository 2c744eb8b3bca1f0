"""Two ways to hear brackets: the path a turtle draws, and time divided within time.

Both read a generation symbol by symbol, brackets included, and hold no more of it than one
note or one group. Both return whether they handed out any symbol.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple, cast

from engines.base import THINKING, UNKNOWN, WORK_PER_PULL, Origin, Symbol

OPEN, CLOSE = "[", "]"

#: Draw forward, move forward without drawing, turn (by how many right angles to the left).
DRAWING, MOVING = frozenset("FG"), frozenset("fg")
_TURNS = {"+": 1, "-": 3, "|": 2}
#: What else a symbol asks of a turtle. Headings count from 0: right, up, left, down.
_NOTHING, _DRAW, _MOVE, _OPEN, _CLOSE = range(5)
_ACTS = {
    **dict.fromkeys(DRAWING, _DRAW),
    **dict.fromkeys(MOVING, _MOVE),
    OPEN: _OPEN,
    CLOSE: _CLOSE,
}

#: What rewrites a module, which is nothing to a turtle; its name and its parameters.
Written = tuple[Any, str, tuple[float, ...]]
#: Symbols passed over, right angles to turn left, what to do then, and how far.
Stroke = tuple[int, int, int, int | Fraction]

#: What Symbol(...) comes down to, at half the price.
_new = tuple.__new__


class Run(NamedTuple):
    """Modules in a row that have one origin; always the same sequence where it comes again."""

    modules: Sequence[Written]
    origin: Origin


#: A note or rest is handed out once it is this long, in whole notes, and another begins.
LONGEST = 4
#: Lengths are read as the nearest fraction with no larger denominator.
FINEST = 96
#: Symbols of one top-level element, and brackets in brackets, that time is divided among.
MAX_GROUP, MAX_LEVELS = 4096, 8

#: Work after which a generation says THINKING while it is interpreted. One does not matter,
#: as a note may have come before it; when two have passed in silence, THINKING is handed on.
PAUSE = WORK_PER_PULL // 2

_DEGREES = 7


def turtle_path(
    made: Iterable[Symbol | Run], step: Fraction, span: int
) -> Generator[Symbol, None, bool]:
    """The notes along a path: height is scale degree, horizontal length is duration.

    F and G draw a unit forward, f and g only move; + turns left by a right angle, - right,
    | round; brackets keep and restore place and heading; F(2) is two units long; other symbols
    mean nothing. Time always goes on, whichever way a horizontal line is drawn; vertical lines
    change the height in silence. A line drawn on in the same direction, nothing between, is one
    note, until it is 4 whole notes long; moving horizontally without drawing is a rest.

    step: whole notes per unit.  span: degrees above and below the start where the path is
    mirrored. Names are `degree:note value`, such as `3':1/8` with ' and , for octaves above
    and below, or `Rest:1/8`. A note's origin is that of the first piece of its line.
    Source: Prusinkiewicz, Score generation with L-systems (ICMC 1986).
    """
    height: int | Fraction = 0
    heading = 0
    kept: list[tuple[int | Fraction, int]] = []
    # The line being drawn or skipped: its units so far (0: none), and all that it hangs on.
    run: int | Fraction = 0
    level, inked, facing = height, True, heading
    origin: Origin = UNKNOWN
    broken, far = False, 2 * span
    longest = max(LONGEST // step, 1)
    any_note, idle = False, 0
    plans: dict[int, tuple[Sequence[Written], tuple[Stroke, ...]]] = {}

    @lru_cache(256)
    def note(height: int | Fraction, drawn: bool, run: int | Fraction) -> str:
        return f"{_degree(height, span) if drawn else 'Rest'}:{_value(run * step)}"

    for each in made:
        if type(each) is Run:
            modules, cause = each
            plan = plans.get(id(modules))
            if plan is None:
                plan = plans[id(modules)] = modules, _strokes(modules)  # which keeps the id taken
            strokes = plan[1]
        elif each is THINKING:
            idle += 1 + PAUSE
            if idle >= 2 * PAUSE:
                yield THINKING
                idle = 0
            continue
        else:
            name, cause, args, _ = cast(Symbol, each)
            strokes = _stroke(name, args)
        for skipped, turn, act, length in strokes:
            heading = (heading + turn) & 3
            if skipped:
                idle += skipped
                while idle >= 2 * PAUSE:
                    yield THINKING
                    idle -= 2 * PAUSE
            if act is _NOTHING:
                continue
            idle += 1
            if act is _OPEN:
                kept.append((height, heading))
            elif act is _CLOSE:
                height, heading = kept.pop()
                broken = True
            elif not length:
                pass
            elif heading & 1:
                broken = True
                # Mirrored twice a height is back, so it can be kept within one period.
                rise = length if heading == 1 else -length
                height = (height + rise + far) % (2 * far) - far
            else:
                drawn = act is _DRAW
                if run and (
                    broken
                    or facing != heading
                    or inked is not drawn
                    or level != height
                    or run >= longest
                ):
                    yield _new(Symbol, (note(level, inked, run), origin, (), None))
                    run, idle, any_note = 0, 0, True
                if not run:
                    level, inked, facing, origin, broken = height, drawn, heading, cause, False
                run += length if length > 0 else -length
                if run > longest:
                    run = longest
            if idle >= 2 * PAUSE:
                yield THINKING
                idle = 0
    if run:
        yield Symbol(note(level, inked, run), origin)
    return any_note or bool(run)


def _strokes(modules: Iterable[Written]) -> tuple[Stroke, ...]:
    """What modules mean to a turtle; turns and what means nothing go with what comes next."""
    strokes: list[Stroke] = []
    skipped = turn = 0
    for _, name, args in modules:
        act = _ACTS.get(name, _NOTHING)
        if act is _NOTHING:
            skipped, turn = skipped + 1, (turn + _TURNS.get(name, 0)) % 4
        else:
            length = (_units(args[0]) if args else 1) if act in (_DRAW, _MOVE) else 0
            strokes.append((skipped, turn, act, length))
            skipped = turn = 0
    return (*strokes, (skipped, turn, _NOTHING, 0)) if skipped else tuple(strokes)


@lru_cache(256)
def _stroke(name: str, args: tuple[float, ...]) -> tuple[Stroke, ...]:
    return _strokes(((None, name, args),))


def nested_time(made: Iterable[Symbol], step: Fraction) -> Generator[Symbol, None, bool]:
    """Each symbol and then its note value; a bracketed group shares the time of one symbol.

    The members of a group, be they symbols or groups, last equally long; an empty group is a
    rest. Of a group with more than 4096 symbols and brackets the rest is left out; brackets in
    more than 8 levels of brackets divide no further.

    step: whole notes per symbol or group at top level.
    Sources: Bel, Bol Processor (1998), for time divided by brackets; McLean, Tidal (2014).
    """
    value = _value(step)
    group: list[Symbol] = []
    level = 0
    any_symbol, idle = False, 0
    for symbol in made:
        name = symbol.name
        idle += 1 if symbol is not THINKING else PAUSE
        if idle >= 2 * PAUSE:
            yield THINKING
            idle = 0
        if symbol is THINKING:
            continue
        if name == OPEN:
            level += 1
        if level:
            divides = level <= MAX_LEVELS or name not in (OPEN, CLOSE)
            if divides and len(group) < MAX_GROUP:
                group.append(symbol)
            if name == CLOSE:
                level -= 1
            if level:
                continue
            yield from _divided(group, step)
            group = []
        else:
            yield symbol
            yield Symbol(value, symbol.origin)
        any_symbol, idle = True, 0
    return any_symbol


def _divided(group: list[Symbol], step: Fraction) -> Iterable[Symbol]:
    """A group's symbols, each followed by its note value; brackets left open close at its end."""
    members = [0]  # of each bracket, in the order they open; first comes what stands outside
    around = [0]
    for symbol in group:
        if symbol.name == CLOSE:
            around.pop()
        else:
            members[around[-1]] += 1
            if symbol.name == OPEN:
                members.append(0)
                around.append(len(members) - 1)
    shares = [step]
    values = [_value(step)]
    opened = 0
    for symbol in group:
        if symbol.name == CLOSE:
            shares.pop()
            values.pop()
            continue
        if symbol.name == OPEN:
            opened += 1
            count = members[opened]
            shares.append(shares[-1] / max(count, 1))
            values.append(_value(shares[-1]))
            if count:
                continue
            symbol = Symbol("Rest", symbol.origin)
        yield symbol
        yield Symbol(values[-1], symbol.origin)


def _degree(height: int | Fraction, span: int) -> str:
    """Scale degree of a height, mirrored into the span: 0 is `1`, 9 is `3'`, -1 is `7,`."""
    whole = round(height)
    if abs(whole) > span:
        whole = (2 * span if whole > 0 else -2 * span) - whole
    octave, degree = divmod(whole, _DEGREES)
    return f"{degree + 1}" + ("'" * octave if octave > 0 else "," * -octave)


def _value(whole_notes: Fraction) -> str:
    return f"{whole_notes.numerator}/{whole_notes.denominator}"


def _units(length: float) -> int | Fraction:
    bounded = max(-1e6, min(length, 1e6))
    if bounded.is_integer():
        return int(bounded)
    return Fraction(bounded).limit_denominator(FINEST)
