"""Moods: points in a space of feeling, with words, with places, and along the beats of a piece."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import ceil, dist, hypot
from types import MappingProxyType
from typing import Any, NamedTuple

from engines.base import Mistake, unknown


class Dimension(NamedTuple):
    """One named axis of feeling.

    neutral: its value in a mood that says nothing.
    follows: (other dimension, slope) pairs: where no value is given, it is neutral plus each
    slope times how far the other one is from its own neutral. Being linear, what follows
    stays so in every blend.
    """

    name: str
    low: float
    high: float
    neutral: float
    meaning: str
    follows: tuple[tuple[str, float], ...] = ()


#: After Russell (1980), A circumplex model of affect, for the first two.
DIMENSIONS = (
    Dimension("valence", -1.0, 1.0, 0.0, "from unpleasant to pleasant"),
    Dimension("arousal", -1.0, 1.0, 0.0, "from asleep to wildly awake"),
    # Never after arousal: harmony hears tension, and must not change where arousal alone does
    # (Scirea et al. 2017). The upper half is for those who ask.
    Dimension("tension", 0.0, 1.0, 0.25, "from at rest to unbearable", (("valence", -0.25),)),
)
NAMES = tuple(dimension.name for dimension in DIMENSIONS)
_INDEX = {name: index for index, name in enumerate(NAMES)}


class Mood(tuple[float, ...]):
    """A point in the space of `DIMENSIONS`, in their order; compares and hashes by value.

    valence, arousal: -1 to 1.  tension: 0 to 1; not given, (1 - valence) / 4, so 0.25 when
    neutral, 0 in bliss and 0.5 in misery.  more: dimensions after these.
    Law: every value lies within its dimension; what is given beyond it is clamped.
    Errors: Mistake where a value is not a number.
    """

    __slots__ = ()

    def __new__(
        cls,
        valence: float = 0.0,
        arousal: float = 0.0,
        tension: float | None = None,
        *more: float | None,
    ) -> Mood:
        values: list[float] = []
        given = (valence, arousal, tension, *more)
        if len(given) > len(NAMES):
            raise Mistake("", f"expected at most {len(NAMES)} values, found {len(given)}")
        for index, dimension in enumerate(DIMENSIONS):
            value = given[index] if index < len(given) else None
            if value is None:
                value = dimension.neutral
                for name, slope in dimension.follows:
                    place = _INDEX[name]
                    value += slope * (values[place] - DIMENSIONS[place].neutral)
            if value != value:
                wanted = f"expected a number from {dimension.low:g} to {dimension.high:g}"
                raise Mistake(dimension.name, f"{wanted}, got {value!r}")
            values.append(float(min(max(value, dimension.low), dimension.high)))
        return tuple.__new__(cls, values)

    @classmethod
    def named(cls, values: Mapping[str, float]) -> Mood:
        """A mood from values by name; those that are left out are neutral, or follow."""
        for name in values:
            if name not in _INDEX:
                raise Mistake(name, unknown("dimension", name, NAMES))
        first = (values.get("valence", 0.0), values.get("arousal", 0.0))
        return cls(*first, *(values.get(name) for name in NAMES[2:]))

    @property
    def valence(self) -> float:
        """From unpleasant, -1, to pleasant, 1."""
        return self[0]

    @property
    def arousal(self) -> float:
        """From asleep, -1, to wildly awake, 1."""
        return self[1]

    @property
    def tension(self) -> float:
        """From at rest, 0, to unbearable, 1."""
        return self[2]

    def of(self, name: str) -> float:
        """The value of a dimension by its name."""
        return self[_INDEX[name]]

    def __getnewargs__(self) -> tuple[float, ...]:
        return tuple(self)

    def __repr__(self) -> str:
        return f"Mood({', '.join(f'{value:g}' for value in self)})"


NEUTRAL = Mood()


def between(first: Mood, second: Mood, share: float) -> Mood:
    """The mood a share (0 to 1) of the straight way from one to another; exact at both ends.

    Law: each dimension moves one way only, and never past an end.
    """
    if share <= 0.0:
        return first
    if share >= 1.0:
        return second
    values = []
    for here, there in zip(first, second, strict=True):
        value = here + (there - here) * share
        # Rounding may step over the end by its last digit.
        values.append(min(value, there) if here < there else max(value, there))
    return tuple.__new__(Mood, values)


def blend(moods: Iterable[tuple[Mood, float]]) -> Mood:
    """The mean of moods, each with its weight (0 and up); neutral where all weigh nothing.

    Law: on each dimension it lies between the lowest and the highest of those that weigh.
    """
    heavy = [(mood, weight) for mood, weight in moods if weight > 0]
    if not heavy:
        return NEUTRAL
    most = max(weight for _, weight in heavy)  # for weights near the end of what floats can
    shares = [(mood, weight / most) for mood, weight in heavy]
    total = sum(share for _, share in shares)
    values = []
    for index in range(len(NAMES)):
        column = [mood[index] for mood, _ in shares]
        mean = sum(mood[index] * share for mood, share in shares) / total
        values.append(min(max(mean, min(column)), max(column)))
    return tuple.__new__(Mood, values)


def distance(first: Mood, second: Mood) -> float:
    """How far two moods lie apart: the straight line in the space of all dimensions."""
    return dist(first, second)


# Words ---------------------------------------------------------------------------------------

#: Melodrive's nine words (its SDK, 2018); their places are ours, after Russell's circumplex.
WORDS: Mapping[str, Mood] = MappingProxyType(
    {
        "happy": Mood(0.8, 0.5),
        "excited": Mood(0.6, 0.9),
        "angry": Mood(-0.7, 0.8),
        "tense": Mood(-0.5, 0.7),
        "neutral": NEUTRAL,
        "sad": Mood(-0.7, -0.5),
        "tired": Mood(-0.3, -0.9),
        "calm": Mood(0.5, -0.7),
        "tender": Mood(0.6, -0.4),
    }
)
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NUMBERS = re.compile(r"[-+.\d][-+.\deE]*(?:[\s,]+[-+.\d][-+.\deE]*)+")


def word(mood: Mood, words: Mapping[str, Mood] = WORDS) -> str:
    """The nearest word; of two as near, the one that was listed first."""
    return min(words, key=lambda each: dist(words[each], mood))


def parse_mood(value: object, words: Mapping[str, Mood] = WORDS) -> Mood:
    """Read a word, numbers or a table.

    `"tense"`; `"-0.3 0.8"` or `[-0.3, 0.8]`, valence and arousal and, if wanted, tension; or
    `{ word = "tense", tension = 0.9 }`, where what is named stands over what the word says.
    Errors: Mistake naming the word, dimension or range; numbers out of range are refused here.
    """
    if isinstance(value, str):
        text = value.strip()
        if _NUMBERS.fullmatch(text):
            try:
                numbers = [float(each) for each in re.split(r"[\s,]+", text)]
            except ValueError:
                raise Mistake("", f"expected numbers such as -0.3 0.8, found {value!r}") from None
            return parse_mood(numbers)
        if text in words:
            return words[text]
        raise Mistake("", f"{unknown('mood', value, words)}, or such as -0.3 0.8")
    if isinstance(value, (list, tuple)):
        if not 2 <= len(value) <= len(NAMES):
            wanted = f"expected {' and '.join(NAMES[:2])}, and up to {len(NAMES)} numbers in all"
            raise Mistake("", f"{wanted}, found {len(value)}")
        return Mood.named(_checked(dict(zip(NAMES, value, strict=False))))
    if not isinstance(value, Mapping):
        raise Mistake("", f"expected a word, numbers or a table, got {value!r}")
    given = dict(value)
    if "word" not in given:
        return Mood.named(_checked(given))
    named = given.pop("word")
    if not isinstance(named, str):
        raise Mistake("word", f"expected text in quotes, got {named!r}")
    try:
        base = parse_mood(named, words)
    except Mistake as mistake:
        raise mistake.within("word") from None
    # What the word leaves to follow, follows what the table says.
    stated = {
        each.name: base.of(each.name)
        for each in DIMENSIONS
        if not each.follows or base.of(each.name) != Mood(*base[:2]).of(each.name)
    }
    return Mood.named({**stated, **_checked(given)})


def _checked(values: Mapping[str, Any]) -> dict[str, float]:
    for name, value in values.items():
        if name not in _INDEX:
            raise Mistake(name, unknown("dimension", name, NAMES))
        dimension = DIMENSIONS[_INDEX[name]]
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not real or not dimension.low <= value <= dimension.high:
            wanted = f"expected a number from {dimension.low:g} to {dimension.high:g}"
            raise Mistake(name, f"{wanted}, got {value!r}")
    return {name: float(value) for name, value in values.items()}


def parse_words(value: object, words: Mapping[str, Mood] = WORDS) -> Mapping[str, Mood]:
    """The words there are, and those of a table `word -> mood`, which stand over them.

    A mood may be said by a word that comes before it.
    Errors: Mistake with the word as place.
    """
    if not isinstance(value, Mapping):
        raise Mistake("", f"expected a table of words and their moods, got {value!r}")
    known = dict(words)
    for name, each in value.items():
        if not _WORD.fullmatch(name):
            wanted = "expected a word of 1 to 32 small letters, digits, _ and -"
            raise Mistake(name, f"{wanted}, found {name!r}")
        try:
            known[name] = parse_mood(each, known)
        except Mistake as mistake:
            raise mistake.within(name) from None
    return MappingProxyType(known)


# Places --------------------------------------------------------------------------------------

MOST_POINTS = 256
LONGEST_NAME = 64  # characters of a point's


class Point(NamedTuple):
    """A place with a mood. x, y, reach: units of the game.  strength: 0 to 1.

    name: what people call it.
    """

    x: float
    y: float
    mood: Mood
    strength: float = 1.0
    reach: float = 10.0
    name: str = ""


class Field:
    """Moods laid out on a plane; where the listener stands gives the blend.

    A point's pull falls from its strength to 0 at its reach as (1 - d²/reach²)², and points
    count by the odds of their pulls, pull / (1 - pull), against 1 for the ground. So a lone
    point takes just its pull from the ground, and full strength, stood on, is all there is.
    Laws: continuous; in the hull of the points and the ground; a strong point's own mood on its
    place; the ground out of everybody's reach.
    After scattered-data interpolation by Shepard (1968) with Franke & Little's bounded reach.
    Errors: Mistake where a number is not one, or strength or reach are out of range.
    """

    __slots__ = ("ground", "points")

    def __init__(self, points: Iterable[Point], ground: Mood = NEUTRAL) -> None:
        self.points, self.ground = tuple(points), ground
        if len(self.points) > MOST_POINTS:
            raise Mistake("", f"expected at most {MOST_POINTS} points, found {len(self.points)}")
        for number, point in enumerate(self.points, start=1):
            if not all(-1e9 <= each <= 1e9 for each in (point.x, point.y)):
                raise Mistake(f"point {number}", "expected x and y from -1e9 to 1e9")
            if not 0 <= point.strength <= 1:
                wanted = f"expected a strength from 0 to 1, got {point.strength!r}"
                raise Mistake(f"point {number}", wanted)
            if not 1e-3 <= point.reach <= 1e9:
                wanted = f"expected a reach from 0.001 to 1e9, got {point.reach!r}"
                raise Mistake(f"point {number}", wanted)

    def at(self, x: float, y: float) -> Mood:
        """The mood at a place. Errors: Mistake where a coordinate is not a number."""
        if x != x or y != y:
            raise Mistake("", f"expected numbers for the listener's place, got {x!r} and {y!r}")
        odds = [(self.ground, 1.0)]
        under = []  # strong points that the listener stands on
        for point in self.points:
            ratio = hypot(x - point.x, y - point.y) / point.reach
            if ratio >= 1.0 or not point.strength:
                continue
            near = ratio * ratio
            pull = point.strength * (1.0 - near) ** 2
            rest = 1.0 - point.strength + point.strength * near * (2.0 - near)  # 1 - pull, exactly
            if rest < 1e-15:
                under.append((point.mood, point.reach**2))  # as the odds stand to each other
            else:
                odds.append((point.mood, pull / rest))
        return blend(under or odds) if len(odds) > 1 or under else self.ground


def parse_field(value: object, words: Mapping[str, Mood] = WORDS, ground: Mood = NEUTRAL) -> Field:
    """Read tables `{ x, y, mood, strength, reach, name }`; the last three may be left out.

    Errors: Mistake with `point N` and the key as place.
    """
    if not isinstance(value, (list, tuple)):
        raise Mistake("", f"expected a list of points, got {value!r}")
    points = []
    for number, each in enumerate(value, start=1):
        place = f"point {number}"
        if not isinstance(each, Mapping):
            raise Mistake(place, f"expected a table with x, y and mood, got {each!r}")
        missing = [key for key in ("x", "y", "mood") if key not in each]
        if missing:
            raise Mistake(f"{place}.{missing[0]}", "expected it; a point has x, y and mood")
        numbers = {}
        title = each.get("name", "")
        if not isinstance(title, str) or len(title) > LONGEST_NAME or not title.isprintable():
            wanted = f"expected a name of at most {LONGEST_NAME} characters, got {title!r}"
            raise Mistake(f"{place}.name", wanted)
        for key, item in each.items():
            if key not in Point._fields:
                there = ", ".join(Point._fields)
                raise Mistake(f"{place}.{key}", f"nothing has this name here; known: {there}")
            if key in ("mood", "name"):
                continue
            if not isinstance(item, (int, float)) or isinstance(item, bool):
                raise Mistake(f"{place}.{key}", f"expected a number, got {item!r}")
            numbers[key] = float(item)
        try:
            mood = parse_mood(each["mood"], words)
        except Mistake as mistake:
            raise mistake.within(f"{place}.mood") from None
        points.append(Point(mood=mood, name=title, **numbers))
    return Field(points, ground)


# Along the beats -----------------------------------------------------------------------------

MOST_STEPS = 8  # in which one target is reached
_KEPT = 64  # segments remembered behind a change; nobody asks for an older past
_TURN = Fraction(4)  # quarter notes in which the tempo comes to a mood that is stopped on its way
_PIECES = 8  # straight ones, of an eased way that another tension is laid over
_HOLD = Fraction(1, 4)  # of each step but the first, in which the mood rests before it moves on


class Target(NamedTuple):
    """A mood, and the beat (quarter notes) at which it is reached."""

    mood: Mood
    beat: Fraction


class Segment(NamedTuple):
    """From `beat` on: `start`, and within `length` quarter notes to `end`; then `end`.

    eased: slowly off and slowly in, 3t² - 2t³, rather than at an even rate.
    """

    beat: Fraction
    start: Mood
    end: Mood
    length: float = 0.0
    eased: bool = False


class MoodLine:
    """Which mood every beat has: immutable, in pieces along the beats, from one mood on for ever.

    Laws: continuous but for `step`; no change alters anything before the beat it is given at;
    between a change and its arrival each dimension moves one way only; at the arrival, and
    after it, the mood is exactly what was asked for. At most 200 segments are kept, the past
    being forgotten first.
    even: the same way without steps and rests, as tempo takes it, which steps would jerk.
    """

    __slots__ = ("_beats", "_even_beats", "even", "segments")

    def __init__(
        self, mood: Mood = NEUTRAL, segments: Sequence[Segment] = (), even: Sequence[Segment] = ()
    ) -> None:
        self.segments = tuple(segments) or (Segment(Fraction(0), mood, mood),)
        self.even = tuple(even) or self.segments
        self._beats = [float(segment.beat) for segment in self.segments]
        self._even_beats = [float(segment.beat) for segment in self.even]

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, MoodLine) and self.segments == other.segments
        return same and isinstance(other, MoodLine) and self.even == other.even

    def __hash__(self) -> int:
        return hash(self.segments)

    def at(self, beat: Fraction | float) -> Mood:
        """The mood at a beat, in quarter notes; before the first change, the first mood."""
        return _at(self.segments, self._beats, float(beat))

    def evenly_at(self, beat: Fraction | float) -> Mood:
        """The mood that the tempo at a beat is that of."""
        return _at(self.even, self._even_beats, float(beat))

    @property
    def target(self) -> Target:
        """Where it is heading and when it arrives; once it has arrived, when it did."""
        last = self.segments[-1]
        return Target(last.end, last.beat)

    @property
    def still(self) -> Mood | None:
        """The mood that has always been and will always be; None where it moves."""
        return self.segments[0].end if len(self.segments) == 1 else None

    def _until(
        self, at: Fraction, more: Iterable[Segment], even: Iterable[Segment] = ()
    ) -> MoodLine:
        """The same line until a beat, and more from there on. even: where that is another way."""
        more = tuple(more)
        segments = (*_before(at, self.segments, self._beats), *more)
        ways = (*_before(at, self.even, self._even_beats), *(tuple(even) or more))
        return MoodLine(segments=segments, even=ways)

    def step(self, mood: Mood, at: Fraction) -> MoodLine:
        """The same line until `at`, and from there on this mood, at once."""
        return self._until(at, [Segment(at, mood, mood)])

    def without(self, at: Fraction) -> MoodLine:
        """The same line until `at`; from there on it stays as it is, whatever was to come."""
        here, pace = self.at(at), self.evenly_at(at)
        still = Segment(at, here, here)
        if pace == here:
            return self._until(at, [still])
        turn = Segment(at, pace, here, float(_TURN))
        return self._until(at, [still], [turn, Segment(at + _TURN, here, here)])

    def slide(
        self, mood: Mood, at: Fraction, speed: float, bar: Fraction = Fraction(4)
    ) -> MoodLine:
        """To this mood at an even rate of at most `speed`, in units of `distance` a bar.

        bar: quarter notes in a bar.  speed: above 0; arrival is on the next 960th of a beat.
        Errors: Mistake where the speed is not above 0.
        """
        if not speed > 0:
            raise Mistake("speed", f"expected a number above 0, got {speed!r}")
        here = self.at(at)
        ticks = distance(here, mood) / speed * float(bar) * 960
        length = Fraction(ceil(min(ticks, 1e12)), 960)
        if not length:
            return self.step(mood, at)
        end = Segment(at + length, mood, mood)
        even = Segment(at, self.evenly_at(at), mood, float(length))
        return self._until(at, [Segment(at, here, mood, float(length)), end], [even, end])

    def tighten(self, tension: float, at: Fraction, arrive: Fraction) -> MoodLine:
        """The same way in all else, with this tension from `arrive` on.

        From `at` it goes there evenly; with `arrive` at or before `at`, at once.  Law: valence and
        arousal arrive where and when they would have; on an eased way there they are off by at
        most an eightieth of it.
        """
        ways = []
        for segments, beats in ((self.segments, self._beats), (self.even, self._even_beats)):
            ways.append(_tightened(segments, beats, tension, at, max(arrive, at)))
        return self._until(at, *ways)

    def toward(
        self, mood: Mood, at: Fraction, arrive: Fraction, lines: Sequence[Fraction] = ()
    ) -> MoodLine:
        """To this mood, beginning now and arriving exactly at `arrive`, in steps that grow.

        lines: beats between, at which what can only change by steps (mode, layers) may change:
        phrase lines, or bar lines where the way is shorter than a phrase. Each line is the end
        of one step; every step but the first rests for a quarter of its length, so that what
        changed on the line is heard before the mood moves on. Each step is twice as large as
        the one before it; over more than four equal ones the last is always 16^(1/n) times, so
        the music prepares early and moves late. Of more lines than 8 steps need, every second,
        third … counted from the end is used.
        With `arrive` at or before `at`, a step.
        """
        if arrive <= at:
            return self.step(mood, at)
        inner = sorted({line for line in lines if at < line < arrive})
        every = -(-(len(inner) + 1) // MOST_STEPS)
        ends = [*inner[::-1][every - 1 :: every][::-1], arrive]
        here = self.at(at)
        whole, growth = float(arrive - at), 2.0 ** min(len(ends), 4)
        segments, begin, now = [], at, here
        for end in ends:
            share = (growth ** (float(end - at) / whole) - 1.0) / (growth - 1.0)
            there = between(here, mood, share if end < arrive else 1.0)
            if begin > at:
                segments.append(Segment(begin, now, now))
                begin += (end - begin) * _HOLD
            segments.append(Segment(begin, now, there, float(end - begin), eased=True))
            begin, now = end, there
        there_on = Segment(arrive, mood, mood)
        even = Segment(at, self.evenly_at(at), mood, whole)
        return self._until(at, [*segments, there_on], [even, there_on])


def _at(segments: Sequence[Segment], beats: Sequence[float], place: float) -> Mood:
    index = bisect_right(beats, place) - 1
    segment = segments[max(index, 0)]
    return _within(segment, place - beats[index]) if index >= 0 else segment.start


def _within(segment: Segment, passed: float) -> Mood:
    """The mood of a segment so many quarter notes after it began."""
    if not segment.length:
        return segment.end
    share = passed / segment.length
    if segment.eased:
        share = min(max(share, 0.0), 1.0)
        share *= share * (3.0 - 2.0 * share)
    return between(segment.start, segment.end, share)


def _tightened(
    segments: Sequence[Segment],
    beats: Sequence[float],
    tension: float,
    at: Fraction,
    arrive: Fraction,
) -> list[Segment]:
    """What comes from `at` on, with a tension that goes evenly to another one by `arrive`."""
    here = _at(segments, beats, float(at)).tension

    def with_it(mood: Mood, beat: Fraction) -> Mood:
        share = 1.0 if beat >= arrive else float((beat - at) / (arrive - at))
        return Mood(mood.valence, mood.arousal, here + (tension - here) * share, *mood[3:])

    made: list[Segment] = []
    ends: list[Fraction | None] = [each.beat for each in segments[1:]]
    for segment, end in zip(segments, [*ends, None], strict=True):
        if end is not None and end <= at:
            continue
        begin = max(segment.beat, at)
        pieces = _PIECES if segment.eased and end is not None else 1
        cuts = {begin, *([arrive] if begin < arrive and (end is None or arrive < end) else [])}
        if end is not None:
            cuts |= {begin + (end - begin) * number / pieces for number in range(1, pieces)}
        places = sorted(cuts)
        for place, after in zip(places, [*places[1:], end], strict=True):
            first = with_it(_within(segment, float(place - segment.beat)), place)
            if after is None:
                made.append(Segment(place, first, first))
                continue
            last = with_it(_within(segment, float(after - segment.beat)), after)
            made.append(Segment(place, first, last, float(after - place)))
    return made


def _before(
    at: Fraction, segments: tuple[Segment, ...], beats: Sequence[float]
) -> tuple[Segment, ...]:
    index = bisect_left(beats, float(at))
    if index:
        return segments[max(index - _KEPT, 0) : index]
    first = segments[0].start  # what was before stays before
    return (Segment(at - 1, first, first),)
