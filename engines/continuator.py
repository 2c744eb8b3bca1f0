"""The Continuator (Pachet 2002): learns from what a player plays, and answers in their style.

A phrase ends where the player falls silent. It goes into a prefix tree at several degrees of
likeness; the answer is drawn from whatever followed the longest context like the phrase's end, and
each note comes back as it was played, with its loudness and its timing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from random import Random

from .base import Controls, Fragment, Heard, Mistake, Origin, Symbol
from .items import BREAK, Item, cut, value_name
from .prefix import MAX_ORDER, OPEN, Chain, Link

#: Items and ends of phrases that may be remembered.
MOST_REMEMBERED = 100_000
#: Quarter notes of one answer, at most.
LONGEST = Fraction(64)
#: An answer ends where a phrase could, at such shares of its length at the least and the most.
_LEAST, _MOST = Fraction(3, 4), Fraction(5, 4)
_MOST_ENDS = 256
#: How often it looks whether a phrase has ended.
_LOOK = "Rest:1/16"
#: Lengths that count as alike: the nearest of these, in quarter notes, and its name.
_ALIKE = {length: value_name(length) for length in (Fraction(2**n, 8) for n in range(8))}
#: How alike what was played must be, strictest first; Pachet's reduction functions.
_REDUCTIONS = (
    ("pitch", "duration", "velocity"),
    ("pitch", "duration"),
    ("pitch",),
    ("region",),
)
_ALIKE_AT = 1  # the reduction by pitch and length


class Answer(Origin):
    """Which phrase a note answers, and the context that it was drawn from."""

    __slots__ = ("context", "number", "view")

    def __init__(self, number: int, context: tuple[str, ...], view: str) -> None:
        self.number, self.context, self.view = number, context, view

    def __str__(self) -> str:
        after = f"as played after {' '.join(self.context)}" if self.context else "as played once"
        return f"answer {self.number}: {after}" + (f", by {self.view}" if self.view else "")


@dataclass(frozen=True)
class Continuator:
    """Answers each phrase of the player it listens to, and is silent while that one plays.

    order: how many notes or chords back it looks, 1 to 10.  length: quarter notes of an answer;
    0 for as long as the phrase was, 1 to 64; it ends where a phrase of the player's could, up to a
    quarter sooner or later.  remember: how much of what was played it
    keeps, in notes, chords and rests.
    Laws: an answer depends on the seed, on how many phrases there were before, and on what was
    played, not on when it was asked for nor on whether the stream is the same; every sound in it
    was played, as loud, as long and, within its chord, at the same moment.
    """

    order: int = 4
    length: float = 0.0
    remember: int = 4000

    #: That what is planned is dropped when the player begins, and sounds as loud as it was played.
    yields = True
    as_played = True

    def __post_init__(self) -> None:
        if not 1 <= self.order <= MAX_ORDER:
            raise Mistake("order", f"expected 1 to {MAX_ORDER} notes back, got {self.order}")
        if self.length and not 1 <= self.length <= LONGEST:
            raise Mistake("length", f"expected 0 or 1 to {LONGEST} beats, got {self.length:g}")
        if not 16 <= self.remember <= MOST_REMEMBERED:
            wanted = f"expected 16 to {MOST_REMEMBERED} notes"
            raise Mistake("remember", f"{wanted}, got {self.remember}")

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Endless: sixteenth rests while there is nothing to answer."""
        own = rng.getrandbits(64)
        chain = Chain(_REDUCTIONS, [lambda item: True], room=self.remember)
        ends: Ends = {}
        for earlier in controls.past.phrases:
            self._learn(chain, ends, earlier.fragment)
        number = controls.past.number
        while True:
            phrase = None
            for news in controls.news():
                if isinstance(news, Heard) and news.fragment.sounds:
                    phrase = news.fragment
                    number += 1
                    self._learn(chain, ends, phrase)
            if phrase is None or controls.get("playing") > 0:
                yield Symbol(_LOOK)
                continue
            own_chance = Random(f"{own}/{number}")
            yield from self._answer(chain, ends, phrase, number, own_chance, controls)

    def alphabet(self) -> frozenset[str] | None:
        """Open: what is played."""
        return None

    @staticmethod
    def _learn(chain: Chain, ends: Ends, phrase: Fragment) -> None:
        # What ends a phrase is told when the next begins: an answer is to go on instead.
        chain.memory.learn(chain.link(BREAK))
        links = list(map(chain.link, _items(phrase)))
        for link in links:
            chain.memory.learn(link)
        ends.pop(links[-1].labels[_ALIKE_AT], None)
        ends[links[-1].labels[_ALIKE_AT]] = None
        if len(ends) > _MOST_ENDS:
            del ends[next(iter(ends))]

    def _answer(
        self,
        chain: Chain,
        ends: Ends,
        phrase: Fragment,
        number: int,
        rng: Random,
        controls: Controls,
    ) -> Iterator[Symbol]:
        past: deque[Link] = deque(map(chain.link, _items(phrase)[-MAX_ORDER:]), MAX_ORDER)
        end = chain.link(BREAK)
        wanted = min(Fraction(self.length) if self.length else max(phrase.length, _ONE), LONGEST)
        done = Fraction(0)
        while done < wanted * _MOST and not controls.get("playing") > 0:
            closing = done >= wanted * _LEAST
            node = chain.node(past, self.order)
            if node is None:
                return
            links = chain.memory.table(node, OPEN).links
            near = [link for link in links if link.labels[_ALIKE_AT] in ends] if closing else []
            link = rng.choice(near or links)
            item, fragment = link.item, link.item.fragment
            if item is BREAK or fragment is None:
                if closing or past[-1].item is BREAK:
                    return
                past.append(end)  # a phrase ended so: go on as one begins
                continue
            left = wanted * _MOST - done
            if closing and left < fragment.length / 2:
                return
            past.append(link)
            fragment = fragment._replace(length=min(fragment.length, left))
            done += fragment.length
            view = " ".join(_REDUCTIONS[node.level]) if node.level else ""
            yield Symbol(item.name, Answer(number, node.context(), view), (), fragment)
            if done >= wanted * _LEAST and link.labels[_ALIKE_AT] in ends:
                return


#: What phrases have ended with, by pitch and length; the latest of them.
Ends = dict[str, None]
_ONE = Fraction(1)


def _items(phrase: Fragment) -> list[Item]:
    """A phrase cut into chords, notes and rests, their lengths named by what they are like."""
    return [item._replace(duration=_alike(item)) for item in cut(phrase)]


def _alike(item: Item) -> str:
    length = item.fragment.length if item.fragment is not None else _ONE
    return _ALIKE[min(_ALIKE, key=partial(_ratio, length))]


def _ratio(length: Fraction, other: Fraction) -> Fraction:
    """How far apart two lengths are, as a factor."""
    return max(length / other, other / length) if length > 0 else other
