"""Themes developed: one change or several at once, as near to the theme as is asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import NamedTuple

from .alike import likeness
from .changes import augment, diminish, fragment, join, ornament, sequence, simplify
from .value import HALF, MOST_NOTES, OCTAVE, F, Motif, Note, breathes, made, strong_beats, within

_Done = tuple[Motif, str]
_Way = Callable[[Motif, Random], "_Done | None"]

_ORDINALS = ("", "a step", "a third", "a fourth", "a fifth")


def _moved(by: int) -> str:
    return f"{_ORDINALS[abs(by)]} {'up' if by > 0 else 'down'}"


def _bar(motif: Motif, number: int, change: Callable[[Note], Note]) -> Motif:
    """The theme with the notes of one bar (from 1) changed."""
    start = (number - 1) * motif.bar
    return made(
        motif,
        (change(n) if start <= n.at < start + motif.bar else n for n in motif.notes),
    )


def _later_bar(motif: Motif, rng: Random) -> int:
    """Any bar but the first, by which a theme is known, and seldom the last."""
    return rng.randint(2, max(2, motif.bars - (rng.random() < 0.7)))


def _bar_moved(motif: Motif, rng: Random) -> _Done | None:
    if motif.bars < 2:
        return None
    number, by = _later_bar(motif, rng), rng.choice((1, -1, 1, 2, -2))
    done = _bar(motif, number, lambda note: note._replace(step=note.step + by))
    return done, f"bar {number} {_moved(by)}"


def _rest_moved(motif: Motif, rng: Random) -> _Done | None:
    if motif.bars < 4:
        return None
    first, by = motif.bars // 2 + 1, rng.choice((1, 2, -1, -2))
    start = (first - 1) * motif.bar
    end = motif.length - motif.bar
    done = made(
        motif,
        (n._replace(step=n.step + by) if start <= n.at < end else n for n in motif.notes),
    )
    return done, f"from bar {first} on {_moved(by)}"


def _bar_turned(motif: Motif, rng: Random) -> _Done | None:
    number = _later_bar(motif, rng)
    notes = within(motif, (number - 1) * motif.bar, number * motif.bar)
    if motif.bars < 2 or len({note.step for note in notes}) < 2:
        return None
    axis = 2 * notes[0].step
    done = _bar(motif, number, lambda n: n._replace(step=axis - n.step, alteration=-n.alteration))
    return done, f"bar {number} upside down"


def _ornamented(motif: Motif, rng: Random) -> _Done | None:
    done = ornament(motif, rng, rng.uniform(0.35, 0.9))
    return (done, "ornamented") if done != motif else None


def _simplified(motif: Motif, rng: Random) -> _Done | None:
    number = rng.randint(1, motif.bars)
    start = (number - 1) * motif.bar
    there = within(motif, start, start + motif.bar)
    if not there:
        return None
    plain = simplify(made(motif, there, motif.bar)).notes
    rest = [note for note in motif.notes if not start <= note.at < start + motif.bar]
    done = made(motif, sorted([*rest, *(n._replace(at=n.at + start) for n in plain)]))
    return (done, f"bar {number} plain") if done != motif else None


def _ended(motif: Motif, rng: Random) -> _Done | None:
    """Another last note, and a step to it."""
    number = max(n for n, _ in enumerate(motif.notes) if breathes(motif, n))
    if number < 2:
        return None
    notes = list(motif.notes)
    old = notes[number].step
    near = [each for each in range(old - 4, old + 5) if each % OCTAVE in (0, 1, 2, 4, 6)]
    new = rng.choice([each for each in near if each != old])
    way = 1 if notes[number - 2].step >= new else -1
    notes[number] = notes[number]._replace(step=new, alteration=0)
    notes[number - 1] = notes[number - 1]._replace(step=new + way, alteration=0)
    return made(motif, notes), f"ends on {new % OCTAVE + 1}"


def _sequenced(motif: Motif, rng: Random) -> _Done | None:
    """Its head, again at another step, and then what comes after."""
    if motif.bars < 4 or not within(motif, F(0), motif.bar):
        return None
    by, long = rng.choice((1, -1, 2, -2)), motif.bars // 4
    if not within(motif, 2 * long * motif.bar, motif.length):
        return None
    head = sequence(fragment(motif, 1, long), (0, by))
    done = join(head, fragment(motif, 2 * long + 1, motif.bars - 2 * long))
    return done, f"its head again {_moved(by)}"


def _dotted(motif: Motif, rng: Random) -> _Done | None:
    """Pairs of equal notes become long and short, or dotted ones become equal."""
    notes, changed = list(motif.notes), 0
    even = rng.random() < 0.3
    for number, (one, two) in enumerate(pairwise(motif.notes)):
        both = one.length + two.length
        if one.end != two.at or both not in (1, 2) or one.at % both or notes[number] != one:
            continue
        if even == (one.length == two.length):
            continue
        first = both / 2 if even else both * 3 / 4
        notes[number] = one._replace(length=first)
        notes[number + 1] = two._replace(at=one.at + first, length=both - first)
        changed += 1
    return (made(motif, notes), "in even notes" if even else "dotted") if changed else None


def _anticipated(motif: Motif, rng: Random) -> _Done | None:
    """Notes on strong beats come a quaver early, tied over."""
    notes, changed = list(motif.notes), 0
    strong = strong_beats(motif)
    for number, note in enumerate(motif.notes):
        before = notes[number - 1] if number else None
        if before is None or note.at % motif.bar not in strong or note.length < 1:
            continue
        if rng.random() < 0.6 and (before.length > HALF or before.end <= note.at - HALF):
            at = note.at - HALF
            notes[number - 1] = before._replace(length=min(before.length, at - before.at))
            notes[number] = note._replace(at=at, length=note.length + HALF)
            changed += 1
    return (made(motif, notes), "anticipated") if changed else None


def _halved(motif: Motif, rng: Random) -> _Done | None:
    """Twice as fast, and again at another step."""
    if motif.bars % 2 or min(note.length for note in motif.notes) < HALF:
        return None
    by = rng.choice((1, -1, 2))
    return sequence(diminish(motif), (0, by)), f"twice as fast, then again {_moved(by)}"


def _doubled(motif: Motif, rng: Random) -> _Done | None:
    """The first half at half the pace."""
    if motif.bars % 2:
        return None
    return augment(fragment(motif, 1, motif.bars // 2)), "its first half, twice as slow"


#: Each way to vary: how likely, and how far along (0 to 1) it is thought of.
_WAYS: tuple[tuple[_Way, float, float], ...] = (
    (_ornamented, 3.0, 0.0),
    (_ended, 3.0, 0.0),
    (_bar_moved, 3.0, 0.0),
    (_simplified, 1.5, 0.0),
    (_dotted, 1.5, 0.15),
    (_anticipated, 1.5, 0.15),
    (_rest_moved, 2.0, 0.2),
    (_bar_turned, 2.0, 0.3),
    (_sequenced, 2.0, 0.35),
    (_halved, 0.8, 0.6),
    (_doubled, 0.8, 0.6),
)

LOWEST, HIGHEST = -7, 13  # steps that a development keeps within


#: What each way is called, as listeners' praise is kept by it.
WAYS = {way: way.__name__[1:].replace("_", " ") for way, _, _ in _WAYS}


class Developed(NamedTuple):
    """A development. done: what was done, in words.  ways: what each of that is called."""

    motif: Motif
    done: str
    ways: tuple[str, ...]


def develop(
    motif: Motif, rng: Random, strength: float, liked: Callable[[str], float] = lambda way: 1.0
) -> Developed:
    """One development, not compared with the theme: more ways at once the stronger.

    strength: 0 to 1, and on to 5, where hardly anything is left as it was.
    liked: a factor on how likely each way is, by what it is called.
    """
    fit = [(way, weight * liked(WAYS[way])) for way, weight, least in _WAYS if least <= strength]
    done, said, ways = motif, [], []
    for _ in range(1 + int(strength * 2.5 + rng.random() * 0.8)):
        way = rng.choices([way for way, _ in fit], [weight for _, weight in fit])[0]
        made = way(done, rng)
        if made is None or len(made[0].notes) > MOST_NOTES:
            continue
        steps = [note.step for note in made[0].notes]
        if min(steps) >= LOWEST and max(steps) <= HIGHEST and made[1] not in said:
            done = made[0]
            said.append(made[1])
            ways.append(WAYS[way])
    return Developed(done, ", ".join(said), tuple(ways))


def strength_for(wanted: float) -> float:
    """How strong developments have to be for likenesses about this one, 1 to 0.4, to be among them.

    Measured on invented themes: a likeness that is lower than 0.7 takes many ways at once.
    """
    return (1 - wanted) / 0.6 + 10 * max(0.0, 0.7 - wanted)


def vary(motif: Motif, rng: Random, amount: float = 0.5) -> tuple[Motif, str]:
    """A development, and what was done to the theme in words.

    amount: 0 leaves it as it is; at 1 its likeness to the theme is about 0.4, between in
    proportion. Of a few developments the one nearest to that is taken.
    Law: same length and metre.
    """
    if amount <= 0:
        return motif, "as it is"
    wanted = 1 - 0.6 * min(amount, 1.0)
    best, apart = (motif, "as it is"), amount * 0.6
    for _ in range(8):
        made = develop(motif, rng, strength_for(wanted) * rng.uniform(0.6, 1.3))
        found = abs(likeness(motif, made.motif) - wanted)
        if made.done and found < apart:
            best, apart = (made.motif, made.done), found
    return best
