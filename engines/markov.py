"""Markov chains of variable order, learnt from tunes, text and what is being played.

The next symbol is drawn from all that followed the longest context that was ever met, as in the
Continuator (Pachet 2002); where nothing fits, shorter contexts are asked, then coarser views,
and at last what is known at all, so a stream never ends. After the end of a piece comes the
start of one.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property, partial
from math import isfinite
from random import Random
from typing import Any, cast

from engines.base import THINKING, Controls, Fragment, Heard, Mistake, Origin, Sound, Symbol
from engines.items import (
    BREAK,
    TOGETHER,
    Cutter,
    Item,
    cut,
    music_item,
    text_item,
    text_pieces,
)
from engines.motif import Motif, develop, figures
from engines.motif import text as theme_text
from engines.phrases import Plan
from engines.prefix import COLDEST, HOTTEST, MAX_ORDER, Chain, Choice, Link, Turn, Way
from engines.taste import Lesson, Taste

#: What a description may learn, in items and ends of pieces.
MOST_ITEMS = 1_000_000

#: Of each theme so many developments are learnt, and how far they go (0 to 1).
_DEVELOPMENTS, _FREEDOM = 8, 0.35

#: What a stream may remember of what it hears.
MOST_REMEMBERED = 100_000

#: Symbols put together from several views that a stream keeps.
MOST_WOVEN = 20_000

#: The longest phrase, in symbols.
LONGEST_PHRASE = 1024

#: A silence this long (quarter notes) ends a phrase that is being heard.
PAUSE = Fraction(2)

FORMAT = "componium markov 1"

_PARTS = ("pitch", "duration", "velocity")
_FRACTION = re.compile(r"[0-9]{1,9}(/[1-9][0-9]{0,8})?")

Uniform = Callable[[], float]
#: What a chain drew, and why.
Thread = tuple[Link, Choice]

#: When sounds start, and how long they are; and a fragment's length with those of its sounds.
_Spans = Sequence[tuple[Fraction, Fraction]]
_Shape = tuple[Fraction, tuple[tuple[Fraction, Fraction], ...]]

#: The loudness that stands for a symbol without music, below all others.
_NO_MUSIC = -2.0

#: What Symbol(...) and Sound(...) come down to, at half the price.
_new = tuple.__new__


@dataclass(frozen=True)
class Markov:
    """A chain of variable order. Law: same description, seed, controls and news, same symbols.

    order: how many symbols back it looks, 0 to 10; 1.7 is order 2 with probability 0.7, else
    order 1. Live as the control `order`.
    temperature: 0.05 to 20; below 1 likely symbols get likelier, above 1 all become more alike:
    probabilities are proportional to p ** (1 / temperature). Live as the control `temperature`.
    text: symbols between white space; a blank line or `|` ends a piece.
    corpus: tunes.
    model: what `to_data` of another chain gave; what it learnt is learnt here too.
    themes: of these and some developments of each it learns the figures, a group of the bar each.
    views: which parts (`pitch`, `duration`, `velocity`) make a symbol the same as another, most
    important first; one view is one chain, several are chains of their own whose choices are put
    together.
    choices: a context longer than one symbol is trusted only with this many continuations.
    phrase: symbols in a phrase, 0 for no phrases.
    start, end: names, pitches or durations that a phrase must start or end with.
    forbid: names, pitches or durations that must not occur.
    remember: how many of the latest items, and ends of pieces, the stream remembers of what it
    knew and hears; 0 is deaf.
    grain: a note value; onsets in tunes and news are rounded to it. Without it all is exact.

    Source: Pachet (2002), Pachet and Roy (2011).
    """

    order: float = 2.0
    temperature: float = 1.0
    text: str = ""
    corpus: tuple[Fragment, ...] = field(default=(), metadata={"reads": "tunes"})
    model: Mapping[str, Any] | None = field(default=None, hash=False, metadata={"reads": "json"})
    themes: tuple[Motif, ...] = field(default=(), metadata={"reads": "named themes"})
    views: tuple[str, ...] = ("pitch duration",)
    choices: int = 1
    phrase: int = 0
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    remember: int = 0
    grain: str = ""

    def __post_init__(self) -> None:
        _number("order", self.order, 0, MAX_ORDER)
        _number("temperature", self.temperature, COLDEST, HOTTEST)
        _whole("choices", self.choices, 1, 1000)
        _whole("phrase", self.phrase, 0, LONGEST_PHRASE)
        _whole("remember", self.remember, 0, MOST_REMEMBERED)
        if not isinstance(self.text, str):
            raise Mistake("text", f"expected symbols between white space, found {self.text!r}")
        views = (self.views,) if isinstance(self.views, str) else self.views
        object.__setattr__(self, "views", _strings("views", views))
        for name in ("start", "end", "forbid"):
            words = getattr(self, name)
            words = words.split() if isinstance(words, str) else words
            object.__setattr__(self, name, _strings(name, words))
        self._check_combinations()
        known = self._chains[0].memory
        if not len(known) and not self.remember:
            problem = "there is nothing to learn from; give text, a corpus, a model or themes"
            raise Mistake("text", f"{problem}, or let it remember what it hears")
        if not self.remember:
            self._check_words()
        if self.phrase:
            for _ in self._plan.grow():
                pass

    @property
    def _reductions(self) -> list[list[tuple[str, ...]]]:
        """For each view its words, then ever fewer of them, then the region of the pitch."""
        ladders = []
        for view in self.views:
            words = tuple(view.split())
            ladder = [words[:length] for length in range(len(words), 0, -1)]
            ladders.append([*ladder, ("region",)] if words[0] == "pitch" else ladder)
        return ladders

    @property
    def _grain(self) -> Fraction:
        if not self.grain:
            return Fraction(0)
        if not isinstance(self.grain, str) or not _FRACTION.fullmatch(self.grain):
            raise Mistake("grain", f"expected a note value such as 1/16, found {self.grain!r}")
        if not 0 < (grain := Fraction(self.grain)) <= 1:
            raise Mistake("grain", f"expected a note value up to 1/1, found {self.grain!r}")
        return 4 * grain

    def _check_combinations(self) -> None:
        words = [word for view in self.views for word in view.split() or [""]]
        for word in words:
            if word not in _PARTS:
                raise Mistake("views", f"expected some of {', '.join(_PARTS)}, found {word!r}")
            if words.count(word) > 1:
                raise Mistake("views", f"{word} is in them twice; name it once")
        if not words:
            raise Mistake("views", 'they are empty; the usual one is "pitch duration"')
        if self.themes and self.views != ("pitch duration",):
            raise Mistake("views", "figures of themes go with the usual one; leave views out")
        if not all(isinstance(each, Motif) for each in self.themes):
            raise Mistake("themes", "expected names of the scene's themes, such as ['window']")
        if self.phrase and len(self.views) > 1:
            raise Mistake("phrase", "phrases go with one view; join the views or leave phrase out")
        if self.phrase and self.remember:
            raise Mistake("phrase", "what is learnt while playing cannot be planned; set one to 0")
        for name in ("start", "end"):
            if getattr(self, name) and not self.phrase:
                raise Mistake(name, "it holds for phrases; say how long with phrase = 16, say")

    def _check_words(self) -> None:
        """Every constraint is about something that was learnt, and leaves something."""
        known: dict[str, None] = {}
        for link in self._chains[0].memory.links():
            if link.item is not BREAK:
                known.update(dict.fromkeys(name for name in _names(link.item) if name))
        for name in ("start", "end", "forbid"):
            for word in getattr(self, name):
                if word not in known:
                    near = get_close_matches(word, known, cutoff=0.0)
                    raise Mistake(name, f"{word!r} was never learnt; near it: {', '.join(near)}")
        items = (link.item for link in self._chains[0].memory.links() if link.item is not BREAK)
        if self.forbid and not any(_free(self.forbid)(item) for item in items):
            raise Mistake("forbid", "nothing that was learnt is left; forbid less")

    @cached_property
    def _chains(self) -> tuple[Chain, ...]:
        """One chain for each view, all that is known at the start learnt."""
        free = _free(self.forbid)
        filters = [free]
        if self.phrase:
            begins, ends = _among(self.start), _among(self.end)
            filters = [
                lambda item: True,
                free,
                lambda item: free(item) and ends(item),
                lambda item: free(item) and begins(item),
                lambda item: free(item) and begins(item) and ends(item),
            ]
        chains = tuple(Chain(ladder, filters, self.choices) for ladder in self._reductions)
        learners = [_Learner(chain) for chain in chains]
        count = 0
        for place, items in self._pieces():
            if not items:
                continue
            count += len(items) + 1
            if count > MOST_ITEMS:
                raise Mistake(place, f"more than {MOST_ITEMS} items to learn; give less")
            for learner in learners:
                learner.learn_piece(items)
        return chains

    def _pieces(self) -> Iterator[tuple[str, list[Item]]]:
        """(field, items) of each piece."""
        for piece in text_pieces(self.text):
            yield "text", piece
        grain = self._grain
        kept: dict[Item, Item] = {}
        for fragment in self.corpus:
            yield "corpus", [kept.setdefault(item, item) for item in cut(fragment, grain)]
        if self.model is not None:
            for piece in _model_pieces(self.model):
                yield "model", piece
        for theme in self.themes:
            rng = Random(theme_text(theme))
            ways = [theme, *(develop(theme, rng, _FREEDOM)[0] for _ in range(_DEVELOPMENTS))]
            for way in ways:
                yield "themes", [Item(each, each, "", "", each) for each in figures(way)]

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self._chains[0], float(self.order), self.phrase)

    def symbols(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """An endless stream; THINKING only as long as nothing at all is known yet."""
        return self._phrases(rng, controls) if self.phrase else self._wander(rng, controls)

    def alphabet(self) -> frozenset[str] | None:
        """Every name the stream can hand out, None where it listens."""
        if self.remember:
            return None
        free = _free(self.forbid)
        known = [
            {link.item: None for link in chain.memory.links() if link.item is not BREAK}
            for chain in self._chains
        ]
        items = [[item for item in some if free(item)] for some in known]
        if len(items) == 1:
            return frozenset(item.name for item in items[0])
        pitch, duration, _ = (items[which] for which in _sources(self.views))
        durations = dict.fromkeys(item.duration for item in duration)
        pitches = dict.fromkeys(item.pitch for item in pitch)
        return frozenset(_joint_name(each, value) for each in pitches for value in durations)

    def lessons(self, origin: Origin) -> Iterator[Lesson]:
        """The continuation in its context; of several views, of each."""
        choices = origin.choices if isinstance(origin, Joint) else (origin,)
        for view, choice in enumerate(choices):
            if isinstance(choice, Choice) and choice.probability < 1:
                yield Lesson(choice.node.key(view), choice.label)

    def _wander(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        random, get = rng.random, controls.get
        own_order, own_temperature = self.order, self.temperature
        chains, ear = self._chains, None
        if self.remember:
            chains = tuple(chain.listening(self.remember + 1) for chain in chains)
            ear = _Ear(self._grain, chains)
            for earlier in controls.past.phrases:
                ear.hear(earlier)
            ear.context()  # it is known; nobody is to go on from it
        strands = [_Strand(chain, view, controls.taste) for view, chain in enumerate(chains)]
        weave = _Weave(self.views) if len(strands) > 1 else None
        while True:
            if ear is not None:
                for news in controls.news():
                    if isinstance(news, Heard):
                        ear.hear(news)
                if (context := ear.context()) is not None:
                    for strand in strands:
                        strand.follow(context)
            order, temperature = get("order", own_order), get("temperature", own_temperature)
            if weave is None:
                drawn = strands[0].draw(order, temperature, random)
                if drawn is None:
                    yield THINKING
                else:
                    link, choice = drawn
                    yield _new(Symbol, (link.item.name, choice, (), link.item.fragment))
            else:
                threads = [strand.draw(order, temperature, random) for strand in strands]
                if None in threads:
                    yield THINKING
                else:
                    links, choices = zip(*cast("list[Thread]", threads), strict=True)
                    yield weave(links, choices)

    def _phrases(self, rng: Random, controls: Controls) -> Iterator[Symbol]:
        """Phrase after phrase; a plan for another order is made bit by bit between symbols."""
        random, get = rng.random, controls.get
        own_order, own_temperature = self.order, self.temperature
        chain, taste = self._chains[0], controls.taste
        plan = ready = fresh = self._plan
        growing: Iterator[None] | None = None
        while True:
            plan = ready
            state = plan.start
            for step in range(self.phrase):
                temperature = get("temperature", own_temperature)
                link, choice, state = plan.draw(state, step, temperature, random, taste)
                item = link.item
                yield _new(Symbol, (item.name, choice, (), item.fragment))
                order = get("order", own_order)
                if growing is None and order != fresh.order and _clamped(order) != fresh.order:
                    fresh = Plan(chain, _clamped(order), self.phrase)
                    growing = fresh.grow()
                if growing is not None:
                    try:
                        next(growing)
                    except StopIteration:
                        ready, growing = fresh, None
                    except Mistake:  # no phrase obeys at this order: go on with the last one
                        growing = None

    def to_data(self) -> dict[str, Any]:
        """All of it as JSON-able data. Law: `from_data(to_data(m))` streams what m streams."""
        numbers: dict[int, int] = {}
        items: list[Any] = []
        pieces: list[list[int]] = []
        for link in self._chains[0].memory.links():
            if link.item is BREAK:
                pieces.append([])
                continue
            number = numbers.setdefault(id(link.item), len(items))
            if number == len(items):
                items.append(_item_data(link.item))
            pieces[-1].append(number)
        learnt = ("text", "corpus", "model", "themes")
        settings = {
            each.name: list(value) if isinstance(value, tuple) else value
            for each in fields(self)
            if each.name not in learnt
            for value in (getattr(self, each.name),)
        }
        pieces = [piece for piece in pieces if piece]
        return {"format": FORMAT, "settings": settings, "items": items, "pieces": pieces}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Markov:
        """What `to_data` described. Errors: Mistake where the data is not of that form."""
        settings = data.get("settings") if isinstance(data, Mapping) else None
        allowed = [
            each.name for each in fields(cls) if each.name not in ("corpus", "model", "themes")
        ]
        if not isinstance(settings, Mapping) or any(name not in allowed for name in settings):
            raise Mistake("model", f"expected settings among {', '.join(allowed)}")
        return cls(**settings, model=data)


class Joint(Origin):
    """Why a symbol of several views was made: the choice of each view."""

    __slots__ = ("choices",)

    def __init__(self, choices: tuple[Choice, ...]) -> None:
        self.choices = choices

    def __str__(self) -> str:
        return "; ".join(map(str, self.choices))


class _Learner:
    """Puts pieces into a chain; an item that comes again is the same link."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._links: dict[int, Link] = {}

    def learn_piece(self, items: Iterable[Item]) -> None:
        chain, links = self._chain, self._links
        learn, end = chain.memory.learn, chain.link(BREAK)
        learn(end)
        for item in items:
            link = links.get(id(item))
            if link is None:
                link = links[id(item)] = chain.link(item)
                if not link.labels[0]:
                    parts = " and ".join(chain.reductions[0])
                    problem = f"{item.name!r} has no {parts}"
                    raise Mistake("views", f"{problem}; write C4:1/4, or choose other views")
            learn(link)
        learn(end)


class _Strand:
    """A walk along one chain: what it has handed out last."""

    __slots__ = ("_bent", "_chain", "_last", "_past", "_taste", "_turn", "_view")

    def __init__(self, chain: Chain, view: int, taste: Taste | None) -> None:
        self._chain, self._past = chain, deque([chain.link(BREAK)], MAX_ORDER)
        self._view, self._taste = view, taste
        self._bent = taste.bent if taste is not None else {}
        self._last: Way | None = None
        self._turn: Turn | None = None

    def follow(self, items: Iterable[Item]) -> None:
        """Go on from here, as if these had been handed out."""
        self._past = deque(map(self._chain.link, items), MAX_ORDER)
        self._last = self._turn = None

    def draw(self, order: float, temperature: float, random: Uniform) -> Thread | None:
        """The next link and why, None where nothing is known."""
        last, turn = self._last, self._turn
        whole = int(order := order if 0 <= order <= MAX_ORDER else _clamped(order))
        if order > whole and random() < order - whole:
            whole += 1
        while True:
            way = turn.way if turn is not None else None
            if way is None or way.order != whole:
                way = self._look_up(last, turn, whole)
                if way is None:
                    return None
            bent = self._bent
            if bent and (praised := bent.get(way.node.key(self._view))):
                assert self._taste is not None
                factor = partial(self._taste.factor, praised)
                link, turn = way.draw_bent(temperature, random, factor)
            else:
                link, turn = way.draw(temperature, random)
            self._past.append(link)
            last = way
            if turn.choice is not None:
                self._last, self._turn = last, turn
                return link, turn.choice

    def _look_up(self, last: Way | None, turn: Turn | None, order: int) -> Way | None:
        """The way to draw from, kept with the turn where the turn alone decides it."""
        node = self._chain.onward(last.node if last is not None else None, self._past, order)
        if node is None:
            self._last = self._turn = None
            return None
        way = self._chain.way(node, order)
        if last is not None and turn is not None and last.sure and last.order == order:
            turn.way = way
        return way


class _Weave:
    """Puts together what the chains of several views chose."""

    def __init__(self, views: tuple[str, ...]) -> None:
        self._sources = _sources(views)
        self._known: dict[int, tuple[Item, _Shape, float]] = {}
        self._shapes: dict[_Shape, _Shape] = {}
        self._spans: dict[tuple[int, str], tuple[Fraction, _Spans]] = {}
        self._woven: dict[tuple[int, str, float], tuple[str, Fragment | None]] = {}

    def __call__(self, links: Sequence[Link], choices: tuple[Choice, ...]) -> Symbol:
        one, two, three = self._sources
        pitch, duration, velocity = links[one].item, links[two].item, links[three].item
        loudness = _NO_MUSIC
        if duration.fragment is not None:
            loudness = (self._known.get(id(velocity)) or self._look_at(velocity))[2]
        key = id(pitch), duration.duration, loudness
        woven = self._woven.get(key)
        if woven is None:
            self._look_at(pitch)  # which keeps its id taken
            if len(self._woven) >= MOST_WOVEN:
                self._woven.clear()
            woven = self._woven[key] = self._weave(pitch, duration, loudness)
        name, fragment = woven
        return _new(Symbol, (name, Joint(choices), (), fragment))

    def _look_at(self, item: Item) -> tuple[Item, _Shape, float]:
        """An item with its shape and its loudness, below 0 where it says nothing of it."""
        known = self._known.get(id(item))
        if known is None:
            if len(self._known) >= MOST_WOVEN:
                self._known.clear()
                self._shapes.clear()
                self._spans.clear()
                self._woven.clear()
            shape, loudness = _shape(item), -1.0
            if item.fragment is not None and item.fragment.sounds:
                loudness = _loudness(item.fragment)
            known = item, self._shapes.setdefault(shape, shape), loudness
            self._known[id(item)] = known
        return known

    def _weave(self, pitch: Item, duration: Item, loudness: float) -> tuple[str, Fragment | None]:
        """The pitches of one item with the length of another at a mean loudness."""
        value, music, lasting = duration.duration, pitch.fragment, duration.fragment
        name = _joint_name(pitch.pitch, value)
        if music is None or lasting is None:
            return name, None
        _, shape, own = self._look_at(pitch)
        timed = self._spans.get((id(shape), value))
        if timed is None:  # many items are timed alike, and fractions are slow to multiply
            if len(self._spans) >= MOST_WOVEN:
                self._spans.clear()
            stretch = lasting.length / music.length
            spans = [(at * stretch, length * stretch) for at, length in shape[1]]
            timed = self._spans[id(shape), value] = lasting.length, spans
        gain = loudness / (own or 1.0) if loudness >= 0 else 1.0
        sounds = [
            _new(Sound, (at, length, number, min(1.0, velocity * gain), voice))
            for (at, length), (_, _, number, velocity, voice) in zip(
                timed[1], music.sounds, strict=True
            )
        ]
        return name, Fragment(timed[0], tuple(sounds))


class _Ear:
    """Hears news, teaches it to chains, and knows what is being played."""

    def __init__(self, grain: Fraction, chains: tuple[Chain, ...]) -> None:
        self._grain, self._chains = grain, chains
        self._cutter: Cutter | None = None
        self._phrase: deque[Item] = deque(maxlen=MAX_ORDER)
        self._fresh = False

    def hear(self, heard: Heard) -> None:
        """Cut what was heard into items; a silence of PAUSE, or a leap back, ends the phrase."""
        for sound in sorted(heard.fragment.sounds, key=lambda sound: (sound.at, sound.pitch)):
            onset = heard.beat + sound.at
            cutter = self._cutter
            if cutter is None or not (
                cutter.onset - TOGETHER - self._grain <= onset < cutter.silent + PAUSE
            ):
                if cutter is not None:
                    self._learn([*cutter.finish(cutter.silent), BREAK])
                self._phrase.clear()
                self._learn([BREAK])
                cutter = self._cutter = Cutter(onset, self._grain)
            self._learn(cutter.hear(max(onset, cutter.onset), sound))
            self._fresh = True

    def context(self) -> list[Item] | None:
        """The phrase so far, where something was heard since the last call; else None."""
        if self._cutter is None or not self._fresh:
            return None
        self._fresh = False
        return [*self._phrase, *self._cutter.pending()]

    def _learn(self, items: Iterable[Item]) -> None:
        for item in items:
            self._phrase.append(item)
            for chain in self._chains:
                chain.memory.learn(chain.link(item))


def _shape(item: Item) -> _Shape:
    """How an item is timed."""
    if item.fragment is None:
        return Fraction(0), ()
    length, sounds = item.fragment
    return length, tuple([(sound.at, sound.length) for sound in sounds])


def _loudness(fragment: Fragment) -> float:
    return sum(sound.velocity for sound in fragment.sounds) / len(fragment.sounds)


def _joint_name(pitch: str, duration: str) -> str:
    return f"{pitch}:{duration}" if duration else pitch


def _sources(views: tuple[str, ...]) -> tuple[int, int, int]:
    """Which view gives pitch, duration and velocity; what no view names comes with the pitch."""
    found = {word: number for number, view in enumerate(views) for word in view.split()}
    first = found.get("pitch", 0)
    return first, found.get("duration", first), found.get("velocity", first)


def _names(item: Item) -> tuple[str, str, str]:
    """What constraints may call an item."""
    return item.name, item.pitch, item.duration


def _free(words: tuple[str, ...]) -> Callable[[Item], bool]:
    taboo = frozenset(words)
    return lambda item: taboo.isdisjoint(_names(item))


def _among(words: tuple[str, ...]) -> Callable[[Item], bool]:
    wanted = frozenset(words)
    return lambda item: not wanted or not wanted.isdisjoint(_names(item))


def _clamped(order: float) -> float:
    return min(float(MAX_ORDER), max(0.0, order))


def _number(place: str, value: Any, least: float, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not isfinite(value) or not least <= value <= most:
        raise Mistake(place, f"expected a number from {least} to {most}, found {value!r}")


def _whole(place: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise Mistake(place, f"expected a whole number from {least} to {most}, found {value!r}")


def _strings(place: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple) or not all(
        isinstance(value, str) and value for value in values
    ):
        raise Mistake(place, f"expected a list of names, found {values!r}")
    return tuple(values)


def _item_data(item: Item) -> Any:
    """A token as a string, music as [length, [[at, length, pitch, velocity, voice], …]]."""
    if item.fragment is None:
        return item.name
    sounds = [
        [str(at), str(length), pitch, velocity, voice]
        for at, length, pitch, velocity, voice in item.fragment.sounds
    ]
    return [str(item.fragment.length), sounds]


def _model_pieces(data: Any) -> Iterator[list[Item]]:
    """The pieces of what `to_data` gave. Errors: Mistake where it is of another form."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise Mistake("model", f"expected what a chain was saved as, with format {FORMAT!r}")
    items, pieces = data.get("items"), data.get("pieces")
    if not isinstance(items, list) or not isinstance(pieces, list):
        raise Mistake("model", "expected the lists items and pieces")
    learnt = [_item_of(value, number) for number, value in enumerate(items)]
    for piece in pieces:
        if not isinstance(piece, list) or not all(
            type(number) is int and 0 <= number < len(learnt) for number in piece
        ):
            raise Mistake("model", "expected pieces to be lists of numbers of items, from 0")
        yield [learnt[number] for number in piece]


def _item_of(value: Any, number: int) -> Item:
    match value:
        case str() if value and value != BREAK.name:
            return text_item(value)
        case [str() as length, list() as sounds] if _FRACTION.fullmatch(length):
            whole = Fraction(length)
            if whole > 0:
                return music_item(
                    Fragment(whole, tuple(_sound_of(each, number) for each in sounds))
                )
    raise Mistake("model", f"item {number} is neither a name nor [length, sounds]")


def _sound_of(value: Any, number: int) -> Sound:
    match value:
        case [
            str() as at,
            str() as length,
            int() as pitch,
            float() | int() as velocity,
            int() as voice,
        ] if (
            _FRACTION.fullmatch(at)
            and _FRACTION.fullmatch(length)
            and 0 <= pitch <= 127
            and 0 <= velocity <= 1
            and voice >= 0
        ):
            return Sound(Fraction(at), Fraction(length), pitch, velocity, voice)
    raise Mistake("model", f"item {number}: expected [at, length, pitch, velocity, voice]")
