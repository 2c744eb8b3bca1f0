"""A theme, stated and developed: plainly at first, then answered, varied, broken up, and silent.

Each statement is a whole number of bars, so that phrases never fall out of step. Developments
are thought of while the statement before sounds, a little at each pull, and compared with the
theme; the one whose likeness is nearest to what is asked for is played.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import isfinite, log
from random import Random
from typing import NamedTuple

from engines.base import LIVE, Controls, Mistake, Origin, Symbol, meant
from engines.motif import (
    OCTAVE,
    Motif,
    augment,
    closed,
    compare,
    develop,
    diminish,
    fill,
    fragment,
    generate,
    grace,
    in_meter,
    join,
    ornament,
    parse,
    sequence,
    simplify,
    strength_for,
    thin,
    transpose,
    value_name,
    words,
)
from engines.taste import Lesson

#: What a statement may do.
ACTS = ("state", "answer", "vary", "sequence", "fragment", "simplify", "ornament", "rest")

#: Those that praise makes more or less frequent, and under which names it is kept.
_BENDING = ("answer", "vary", "sequence", "fragment", "simplify", "ornament")
_ACTS, _WAYS = "acts", "ways"

#: How much nearer a development seems for being liked e times as much.
_CHARM = 0.05

#: Plans for one round of a theme, by how often it has come: plain first, then further away.
_FIRST = ("state answer vary rest", "state state vary rest", "state answer rest vary")
_LATER = (
    "state vary rest answer",
    "vary answer fragment rest",
    "state sequence vary rest",
    "answer vary rest vary",
    "vary fragment rest state",
)

#: How near developments stay where no control says so.
LIKENESS = 0.8

#: Developments kept in mind, work for them in one pull, quavers to find a bar line in, and
#: more than anybody counts to.
_KEPT, _WORK, _LOST, _FAR = 4, 2_000, 64, 1e6

#: Arousal, of either sign, up to which a statement is left at its own pace.
_CALM = 0.15

#: How many of its bars are thinned out for each step of arousal below that.
_THIN = 0.8


class Said(Origin):
    """Which theme a symbol is from, in which statement, what was done, and the theme's bar.

    act, ways: what of the plan that was, and the ways of developing in it.
    """

    __slots__ = ("act", "bar", "done", "number", "theme", "ways")

    def __init__(
        self,
        theme: str,
        number: int,
        done: str,
        bar: int,
        act: str = "rest",
        ways: tuple[str, ...] = (),
    ) -> None:
        self.theme, self.number, self.done, self.bar = theme, number, done, bar
        self.act, self.ways = act, ways

    def __str__(self) -> str:
        return f"{self.theme}, statement {self.number}, bar {self.bar}: {self.done}"


class _Idea(NamedTuple):
    motif: Motif
    done: str
    likeness: float
    ways: tuple[str, ...]


@dataclass(frozen=True)
class ThemeEngine:
    """States a theme and develops it, phrase by phrase, for ever.

    themes: values, in a scene by their names, or texts such as `5:1/8 6:1/8 1':1/4 | 3:1/2 2:1/2`;
    without any, one is invented from the seed.
    plan: what one statement after another does, round and round: state, answer, vary, sequence,
    fragment, simplify, ornament, rest; without one, plainly first, then ever further away.
    bar: quarter notes in a bar.
    graces: share of the notes on beats that get a quick one before them, 0 to 1.

    Controls, read as each statement begins: theme (from 1; at 0 they take turns), likeness (how
    near developments stay, 0 to 1; 0.8 where neither is set), energy, arousal, valence, visit,
    and where the phrase and the section are.
    Errors: Mistake. Law: from the start and from each statement on, whole bars are filled.
    """

    themes: tuple[Motif | str, ...] | Motif | str = field(default=(), metadata={"reads": "themes"})
    plan: str = ""
    bar: float = field(default=4.0, metadata={"reads": "bar"})
    graces: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.bar, (int, float, Fraction)) or not isfinite(self.bar):
            raise Mistake("bar", f"expected quarter notes, got {self.bar!r}")
        bar = Fraction(self.bar)
        if not 1 <= bar <= 16 or 8 % bar.denominator:
            raise Mistake("bar", f"expected 1 to 16 quarter notes, in eighths, got {self.bar}")
        if not isinstance(self.graces, (int, float)) or not 0 <= self.graces <= 1:
            raise Mistake("graces", f"expected a share from 0 to 1, got {self.graces!r}")
        if not isinstance(self.plan, str):
            raise Mistake("plan", f"expected words such as 'state vary rest', got {self.plan!r}")
        acts = self.plan.split()
        for act in acts:
            if act not in ACTS:
                hint = meant(act, ACTS) or f"there are: {', '.join(ACTS)}"
                raise Mistake("plan", f"{act!r} is nothing a statement can do; {hint.strip()}")
        if acts and set(acts) == {"rest"}:
            raise Mistake("plan", "expected something besides rests")
        given = (self.themes,) if isinstance(self.themes, (str, Motif)) else self.themes
        made = []
        for number, each in enumerate(given, 1):
            if isinstance(each, str):
                name = "theme" if len(given) == 1 else f"theme {number}"
                each = parse(each, name, bar, "themes")
            if not isinstance(each, Motif):
                raise Mistake("themes", f"expected texts such as '5:1/8 1:1/4', got {each!r}")
            made.append(in_meter(each, bar))
        object.__setattr__(self, "themes", tuple(made))

    def alphabet(self) -> frozenset[str] | None:
        """Not known beforehand; each word carries its own note value."""
        return None

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        return _Stream(self, rng, controls).play()

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """What the statement did, and the ways in which it was developed."""
        if isinstance(origin, Said) and origin.act in _BENDING:
            yield Lesson(_ACTS, origin.act)
            for way in origin.ways:
                yield Lesson(_WAYS, way, 1 / len(origin.ways))


class _Stream:
    """One performance of the themes."""

    def __init__(self, engine: ThemeEngine, rng: Random, controls: Controls) -> None:
        self.rng, self.controls = rng, controls
        self.bar = Fraction(engine.bar)
        self.themes: tuple[Motif, ...] = engine.themes or (  # type: ignore[assignment]
            generate(Random(rng.getrandbits(64)), bar=self.bar),
        )
        self.given = engine.plan.split()
        self.graces = engine.graces
        self.did = "rest"  # in the last statement
        self.ways: tuple[str, ...] = ()
        self.rested = False
        self.acts: list[str] = []
        self.rounds = 0  # since this theme began
        self.theme: Motif | None = None
        self.turn = -1  # where themes take turns
        self.ideas: list[_Idea] = []
        self.thinking: Generator[int, None, None] | None = None
        self.thoughts = Random(rng.getrandbits(64))

    def play(self) -> Iterator[Symbol]:
        number = 0
        while True:
            yield from self._aligned()
            number += 1
            motif, done, theme = self._statement()
            act, ways = self.did, self.ways
            row = words(motif) if isinstance(motif, Motif) else self._silence(motif)
            for name, at in row:
                self._think()
                yield Symbol(name, Said(theme, number, done, int(at // self.bar) + 1, act, ways))

    def _aligned(self) -> Iterator[Symbol]:
        """Wait for a bar line where something has taken the part off it."""
        for _ in range(_LOST):
            if self.controls.get("beat", 1.0) == 1.0:
                return
            yield Symbol("Rest:1/8", Said("silence", 0, "waits for the bar line", 1))

    def _silence(self, bars: int) -> list[tuple[str, Fraction]]:
        """Bar by bar, so that a change is heard soon."""
        return [(f"Rest:{value_name(self.bar)}", number * self.bar) for number in range(bars)]

    # What comes next ---------------------------------------------------------------------------

    def _choose(self) -> Motif:
        """The theme of the moment: as a control says, else each in turn, a round long."""
        index = int(self._live("theme", 0, _FAR)) - 1
        if index < 0:
            self.turn += not self.acts
            index = self.turn
        theme = self.themes[index % len(self.themes)]
        if theme is not self.theme:
            self.theme, self.rounds, self.acts = theme, 0, []
            self.ideas, self.thinking = [], None
        return theme

    def _act(self) -> str:
        """What the plan has next. A section begins a round of its own, and never with a rest; nor
        does one rest follow another.
        """
        left, whole = self._left("section")
        opens = 0 < left == whole
        if opens and not self.given:
            self.acts = []
        act = self._next()
        while act == "rest" and (opens or self.rested):
            act = self._next()
        energy = self._live("energy", 0.0, 1.0)
        if opens or self.rested or self.given or self.rng.random() > abs(energy - 0.5):
            return act
        if act == "rest" and energy > 0.6:  # no time to breathe
            return "vary"
        return "rest" if act != "state" and energy < 0.3 else act

    def _next(self) -> str:
        if not self.acts:
            if self.given:
                self.acts = list(self.given)
            else:
                came = max(self.rounds, int(self._live("visit", 1, _FAR)) - 1)
                self.acts = self.rng.choice(_LATER if came else _FIRST).split()
            self.rounds += 1
        return self._bent(self.acts.pop(0))

    def _bent(self, act: str) -> str:
        """The act, or one that listeners like better; where there is no praise, always the act.

        What they dislike gives way to the others, as they are liked; what they like comes in the
        place of others too.
        """
        if self.given or act not in _BENDING or not self._praised(_ACTS):
            return act
        factors = {each: self._liked(_ACTS, each) for each in _BENDING}
        left = max(1 - factors[act], 0.0) / (len(_BENDING) - 1)
        weights = [
            factor if each == act else max(factor - 1, 0.0) / 4 + left * factor
            for each, factor in factors.items()
        ]
        return self.rng.choices(_BENDING, weights)[0]

    def _praised(self, context: str) -> Mapping[str, tuple[float, float]]:
        taste = self.controls.taste
        return taste.bent.get(context, {}) if taste is not None else {}

    def _liked(self, context: str, option: str) -> float:
        """By how much what listeners made of it bends a weight; 1 where they said nothing."""
        praised, taste = self._praised(context), self.controls.taste
        return taste.factor(praised, option) if taste is not None and praised else 1.0

    def _live(self, name: str, low: float, high: float) -> float:
        value = self.controls.get(name)
        return min(max(value, low), high) if isfinite(value) else LIVE[name].neutral

    def _left(self, of: str) -> tuple[int, int]:
        """Bars left of a phrase or section, and how many it has; 0 where nobody counts them."""
        left = int(self._live(f"{of}_left", 1, _FAR))
        whole = int(self._live(f"{of}_bar", 1, _FAR)) + left - 1
        return (left, whole) if whole > 1 else (0, 0)

    def _room(self, theme: Motif) -> int:
        """Bars for the next statement: the theme's, or what is left of the phrase or section."""
        section, _ = self._left("section")
        left, whole = self._left("phrase")
        bars = min(theme.bars, section) if section else theme.bars
        if left and bars > left:
            through = left == whole and bars % whole == 0  # over several phrases
            return bars if through else left
        return bars

    def _statement(self) -> tuple[Motif | int, str, str]:
        """The next music, or so many bars of rest; what was done; the theme's name."""
        theme = self._choose()
        act, room = self._act(), self._room(theme)
        self.did, self.ways = act, ()
        self.rested = act == "rest" or (room == 1 < theme.bars and not self._last(1))
        if self.rested:
            self.did = "rest"
            return min(room, 4), "rests", theme.name
        motif, done = getattr(self, f"_{act}")(theme)
        if room < motif.bars:
            try:
                motif = fragment(motif, motif.bars - room + 1, room)
            except Mistake:  # nothing but rest there
                return room, "rests", theme.name
            done += f", its last {room} bars" if room > 1 else ", its last bar"
        else:  # a piece of it with notes left out could be a piece of anything
            motif, more = self._moved_by_mood(motif, act in ("state", "answer"))
            done += more
        if self._last(motif.bars):
            motif, done = closed(motif), f"{done}, closes"
        if self.graces:
            arousal = self._live("arousal", -1.0, 1.0)
            motif = grace(motif, self.rng, min(self.graces * (1 + arousal), 1.0))
        return motif, done, theme.name

    def _last(self, bars: int) -> bool:
        return 0 < self._left("section")[0] <= bars

    # What a statement may do -------------------------------------------------------------------

    def _state(self, theme: Motif) -> tuple[Motif, str]:
        return theme, "as it is"

    def _answer(self, theme: Motif) -> tuple[Motif, str]:
        """The first half elsewhere, the second as it was: what was asked is answered."""
        if theme.bars < 2:
            return transpose(theme, 1), "answered a step up"
        half = theme.bars // 2
        up = self._live("valence", -1.0, 1.0) >= self.rng.uniform(-1, 1)
        by = (1 if up else -1) * self.rng.choice((1, 2))
        cut = half * self.bar
        notes = tuple(
            note._replace(step=note.step + by) if note.at < cut else note for note in theme.notes
        )
        moved = Motif(theme.name, notes, theme.length, theme.bar)
        if not any(note.step % OCTAVE == 0 for note in notes[-3:] if note.length >= 1):
            moved = closed(moved)
        size = "a step" if abs(by) == 1 else "a third"
        return moved, f"answered {size} {'up' if by > 0 else 'down'}"

    def _vary(self, theme: Motif) -> tuple[Motif, str]:
        if not self.ideas:
            return self._answer(theme)
        wanted, valence = self._wanted(), self._live("valence", -1.0, 1.0)
        home = sum(note.step for note in theme.notes) / len(theme.notes)

        def misses(idea: _Idea) -> float:
            height = sum(note.step for note in idea.motif.notes) / len(idea.motif.notes) - home
            missed = abs(idea.likeness - wanted) - 0.02 * valence * max(-3.0, min(3.0, height))
            return missed - _CHARM * sum(log(self._liked(_WAYS, way)) for way in idea.ways)

        best = min(self.ideas, key=misses)
        self.ideas.remove(best)
        self.ways = best.ways
        return best.motif, f"{best.done} (likeness {best.likeness:.2f})"

    def _sequence(self, theme: Motif) -> tuple[Motif, str]:
        """Its head, again a step away, and its own second half."""
        if theme.bars < 4 or theme.notes[0].at >= self.bar or theme.notes[-1].at < theme.length / 2:
            return self._answer(theme)
        long = theme.bars // 4
        up = self._live("valence", -1.0, 1.0) >= self.rng.uniform(-1, 1)
        head = sequence(fragment(theme, 1, long), (0, 1 if up else -1))
        rest = fragment(theme, 2 * long + 1, theme.bars - 2 * long)
        return join(head, rest), f"its head again a step {'up' if up else 'down'}"

    def _fragment(self, theme: Motif) -> tuple[Motif, str]:
        """Its first half, then the head of that a step away, and a breath."""
        if theme.bars < 4 or theme.notes[0].at >= theme.length / 4:
            return self._vary(theme)
        half, by = theme.bars // 2, self.rng.choice((-1, 1))
        head = transpose(fragment(theme, 1, half // 2), by)
        gap = Motif(theme.name, head.notes, (theme.bars - half) * self.bar, self.bar)
        way = "up" if by > 0 else "down"
        return join(fragment(theme, 1, half), gap), f"half of it, its head a step {way}"

    def _simplify(self, theme: Motif) -> tuple[Motif, str]:
        return simplify(theme), "its skeleton"

    def _ornament(self, theme: Motif) -> tuple[Motif, str]:
        return ornament(theme, self.rng, 0.7), "ornamented"

    def _moved_by_mood(self, motif: Motif, plain: bool) -> tuple[Motif, str]:
        """Calm thins it out, excitement makes it run, a little more with each step of arousal.

        At the ends of the scale what is plain may also change its pace.
        """
        arousal = self._live("arousal", -1.0, 1.0)
        chance = self.rng.random()
        even = plain and motif.bars % 2 == 0
        if arousal < -_CALM:
            half = motif.length / 2
            if even and arousal < -0.75 and chance < 0.3 and motif.notes[0].at < half:
                return augment(fragment(motif, 1, motif.bars // 2)), ", half as fast"
            thinner = thin(motif, self.rng, _THIN * (-arousal - _CALM))
            return (thinner, ", thinned") if thinner != motif else (motif, "")
        if arousal > _CALM:
            quick = min(note.length for note in motif.notes) >= Fraction(1, 2)
            if even and arousal > 0.75 and chance < 0.3 and quick:
                return sequence(diminish(motif), (0, 1)), ", twice as fast, and again a step up"
            fuller = fill(motif, self.rng, 1.2 * (arousal - _CALM))
            if arousal > 0.75 and chance > 0.7:
                fuller = ornament(fuller, self.rng, 0.3)
            return (fuller, ", running") if fuller != motif else (motif, "")
        return motif, ""

    # Thinking ahead ----------------------------------------------------------------------------

    def _wanted(self) -> float:
        """How like the theme a development should be: less the more often it has come."""
        near = self._live("likeness", 0.0, 1.0)
        if near == 1 and not self._live("theme", 0, _FAR):  # nobody has said anything
            near = LIKENESS
        came = max(self.rounds, self._live("visit", 1, _FAR))
        return max(0.4, 1 - (1 - near) * min(1.3, 0.55 + 0.2 * came))

    def _think(self) -> None:
        """Go on with a development, no longer than one pull may take."""
        if self.theme is None or (self.thinking is None and len(self.ideas) >= _KEPT):
            return
        if self.thinking is None:
            self.thinking = self._idea(self.theme)
        left = _WORK
        for work in self.thinking:
            left -= work
            if left <= 0:
                return
        self.thinking = None

    def _idea(self, theme: Motif) -> Generator[int, None, None]:
        strength = strength_for(self._wanted()) * self.thoughts.uniform(0.5, 1.3)
        motif, done, ways = develop(theme, self.thoughts, strength, partial(self._liked, _WAYS))
        yield len(motif.notes) * 20
        if done and (near := (yield from compare(theme, motif))) >= 0.35:
            self.ideas.append(_Idea(motif, done, near, ways))
