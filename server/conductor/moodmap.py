"""Maps from mood to music: a TOML file of curves becomes the cues of any mood, and says why.

Score cues (mode, harmony, register) are for valence, performance cues (tempo, loudness,
articulation, density) for arousal: performance alone moves arousal only (Livingstone et al.
2010), and listeners hear such cues as linear and additive (Eerola, Friberg & Bresin 2013).
"""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from math import floor
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from engines.base import Mistake, meant, unknown
from server.music.scale import MODES

from .mood import DIMENSIONS, NAMES, NEUTRAL, WORDS, Mood, parse_words

LARGEST = 1 << 18  # bytes of a map file
MOST_POINTS = 64  # of one curve
ROLES = (
    *("melody", "counter", "bass", "pad", "comp", "arp"),
    *("drums", "percussion", "lead", "fx"),
)  # fmt: skip


class Cue(NamedTuple):
    """One thing about the music that a mood decides.

    plain: its value where a map says nothing.  low, high: what it is held between.
    when: how often it may change: each beat, bar or phrase.
    factor: whether it multiplies what a scene says; its curves are then multiplied with each
    other, otherwise added.
    shown: how `explain` says a value; of a factor, the value times what the scene says.
    """

    name: str
    plain: float
    low: float
    high: float
    when: str
    factor: bool
    shown: str
    meaning: str


CUES = (
    Cue("tempo", 1, 0.25, 4, "beat", True, "{:.4g} BPM", "factor on the tempo"),
    Cue("loudness", 1, 0, 2, "beat", True, "velocity {:.2f}", "factor on velocity"),
    Cue("articulation", 1, 0.05, 3, "beat", True, "length {:.2f}", "factor on sounding length"),
    Cue("density", 1, 0, 1.5, "beat", True, "density {:.2f}", "factor on how many notes"),
    Cue("accent", 1, 0, 3, "beat", True, "accents {:.2f}", "factor on the weight of accents"),
    Cue("looseness", 1, 0, 4, "beat", True, "looseness {:.2f}", "factor on humanising"),
    Cue("brightness", 0.5, 0, 1, "beat", False, "brightness {:.2f}", "0 dark, 1 bright, for CC 74"),
    Cue("register", 0, -24, 24, "bar", False, "register {:+.1f} semitones", "shift of the window"),
    Cue("harmonic_rhythm", 1, 0.25, 4, "bar", True, "harmonic rhythm {:.2f}", "chords for one"),
    Cue("dissonance", 0, 0, 1, "bar", False, "dissonance {:.2f}", "0 consonant, 1 harsh"),
    Cue("extension", 0, 0, 1, "bar", False, "extension {:.2f}", "0 triads, 1 ninths and more"),
    Cue("mode", 1, 0, 12, "phrase", False, "mode at {:.2f}", "place on the ladder, 0 brightest"),
    Cue("ensemble", 0.5, 0, 1, "phrase", False, "ensemble {:.2f}", "0 few layers, 1 all of them"),
    Cue("timbre", 0.5, 0, 1, "phrase", False, "timbre {:.2f}", "0 soft, 1 bright instruments"),
)
_CUE = {cue.name: index for index, cue in enumerate(CUES)}
_MODE = _CUE["mode"]

#: Bright to dark (Ehrlich, Agres, Guan & Cheng 2019), as `server.music.scale` names them.
LADDER = ("lydian", "major", "mixolydian", "dorian", "minor", "phrygian", "locrian")
FIRM = 0.15  # of a program's share of timbre, before another takes over
HOME = "home"  # in a curve of modes: the scene's own


class Cues(NamedTuple):
    """What a mood asks of the music, in the units of `CUES`."""

    tempo: float
    loudness: float
    articulation: float
    density: float
    accent: float
    looseness: float
    brightness: float
    register: float
    harmonic_rhythm: float
    dissonance: float
    extension: float
    mode: float
    ensemble: float
    timbre: float


PLAIN = Cues(*(cue.plain for cue in CUES))


# Curves --------------------------------------------------------------------------------------


class Line:
    """Straight pieces through points (x, y); level beyond the first and the last.

    Two points on one x are a jump; on the jump itself the first of them holds.
    Law: exact on its points, and never outside what they span.
    """

    __slots__ = ("_slopes", "_xs", "_ys", "index", "name")

    def __init__(self, name: str, points: list[tuple[float, float]]) -> None:
        self.name, self.index = name, NAMES.index(name)
        self._xs, self._ys = [x for x, _ in points], [y for _, y in points]
        self._slopes = [0.0] + [
            (y - b) / (x - a) if x > a else 0.0 for (a, b), (x, y) in pairwise(points)
        ]

    def __call__(self, mood: Mood) -> float:
        x, xs = mood[self.index], self._xs
        place = bisect_left(xs, x)
        if place == len(xs):
            return self._ys[-1]
        if place == 0 or xs[place] == x:
            return self._ys[place]
        return self._ys[place] + (x - xs[place]) * self._slopes[place]

    def why(self, mood: Mood) -> str:
        return f"{self.name} {mood[self.index]:.2f}"


class Palette:
    """A value for each of some words; between them, by the squared distance of the mood.

    After Shepard (1968). Laws: exact on its words, and never outside what they span.
    """

    __slots__ = ("_places",)

    def __init__(self, places: list[tuple[str, Mood, float]]) -> None:
        self._places = [(name, mood[0], mood[1], value) for name, mood, value in places]

    def __call__(self, mood: Mood) -> float:
        valence, arousal = mood[0], mood[1]
        above = below = 0.0
        for _, v, a, value in self._places:
            square = (valence - v) ** 2 + (arousal - a) ** 2
            if square < 1e-12:
                return value
            above += value / square
            below += 1.0 / square
        return above / below

    def why(self, mood: Mood) -> str:
        nearest = min(
            self._places, key=lambda each: (mood[0] - each[1]) ** 2 + (mood[1] - each[2]) ** 2
        )
        return f"a mood nearest to {nearest[0]}"


Term = Line | Palette


class Curve:
    """A cue as a function of mood: the product or the sum of its terms, within its limits."""

    __slots__ = ("_first", "_more", "cue", "multiply", "place", "terms")

    def __init__(self, place: str, cue: Cue, terms: tuple[Term, ...], multiply: bool) -> None:
        self.place, self.cue, self.terms, self.multiply = place, cue, terms, multiply
        self._first, self._more = terms[0], terms[1:]

    def __call__(self, mood: Mood) -> float:
        value = self._first(mood)
        for term in self._more:
            value = value * term(mood) if self.multiply else value + term(mood)
        cue = self.cue
        return cue.low if value < cue.low else cue.high if value > cue.high else value

    def why(self, mood: Mood) -> str:
        """`arousal -0.30 makes it 0.90 and tension 0.80 makes it 1.12, together 1.01`."""
        verb = "makes it" if self.multiply else "adds" if len(self.terms) > 1 else "gives"
        each = " and ".join(f"{term.why(mood)} {verb} {term(mood):.2f}" for term in self.terms)
        return each if len(self.terms) == 1 else f"{each}, together {self(mood):.2f}"


class Share:
    """A role's part in what a cue does: this much of its way from where it is when neutral."""

    __slots__ = ("_neutral", "curve", "place", "share")

    def __init__(self, place: str, curve: Curve, share: float) -> None:
        self.place, self.curve, self.share = place, curve, share
        self._neutral = curve(NEUTRAL)

    def __call__(self, mood: Mood) -> float:
        value = self._neutral + self.share * (self.curve(mood) - self._neutral)
        return min(max(value, self.curve.cue.low), self.curve.cue.high)

    def why(self, mood: Mood) -> str:
        return f"{self.curve.why(mood)}, of which this role takes {self.share:g}: {self(mood):.2f}"


Rule = Curve | Share


class Modes(NamedTuple):
    """How modes follow moods.

    ladder: bright to dark.  width: rungs; half of it is how far the mood must go past the middle
    between two modes before the second one takes over.
    curve: the place on the ladder, for a scene whose own mode is on a given rung.
    homely: whether it goes through that rung.
    """

    ladder: tuple[str, ...]
    width: float
    curve: Callable[[float], Curve]
    homely: bool


# The map -------------------------------------------------------------------------------------


class MoodMap:
    """What music a mood asks for.

    name, title, source: as in its file.  words: the moods that it names, besides the nine.
    Laws: same mood, same cues, always within the limits of `CUES`; a mood changes a cue only by
    the dimensions that its curve names.
    """

    __slots__ = (
        *("_at_home", "_curves", "_modes", "_roles"),
        *("name", "source", "title", "words"),
    )  # fmt: skip

    def __init__(
        self,
        name: str = "plain",
        title: str = "",
        source: str = "",
        words: Mapping[str, Mood] = WORDS,
        curves: Mapping[str, Curve] = MappingProxyType({}),
        roles: Mapping[tuple[str, str], Rule] = MappingProxyType({}),
        modes: Modes | None = None,
    ) -> None:
        self.name, self.title, self.source, self.words = name, title, source, words
        self._curves = tuple(curves.get(cue.name) for cue in CUES)
        self._roles, self._modes = dict(roles), modes
        # For each mode a scene may be in: the ladder with it as a rung, and the curve along it.
        self._at_home: dict[str, tuple[tuple[str, ...], Curve | None, float]] = {}

    def __repr__(self) -> str:
        return f"<map {self.name}>"

    def _home(self, home: str) -> tuple[tuple[str, ...], Curve | None, float]:
        known = self._at_home.get(home)
        if known is None:
            modes, curve = self._modes, None
            ladder = modes.ladder if modes is not None else LADDER
            rung = _rung(home, ladder)
            if modes is None or modes.homely:
                ladder = (*ladder[:rung], home, *ladder[rung + 1 :])
            if modes is not None:
                curve = modes.curve(float(rung))
            known = self._at_home[home] = ladder, curve, float(rung)
        return known

    def cues(self, mood: Mood, home: str = "major") -> Cues:
        """All cues of a mood. home: the scene's own mode, of which `mode` depends."""
        values = [
            curve(mood) if curve is not None else plain
            for curve, plain in zip(self._curves, PLAIN, strict=True)
        ]
        _, curve, rung = self._home(home)
        values[_MODE] = curve(mood) if curve is not None else rung
        return Cues._make(values)

    def for_role(self, cue: str, role: str, mood: Mood) -> float:
        """One cue (any but `mode`) as a part of this role takes it; role "" is nobody's."""
        rule = self._roles.get((cue, role)) or self._curves[_CUE[cue]]
        return rule(mood) if rule is not None else PLAIN[_CUE[cue]]

    def mode(self, mood: Mood, current: str | None = None, home: str = "major") -> str:
        """The mode that a mood asks for, as keys name it; to be asked at phrase lines.

        current: the mode until now, which stays until the mood is clearly past the middle
        between two rungs.  home: the scene's own mode. A map that has no curve of modes leaves
        it alone; one whose curve goes through `home` comes back to it when the mood is neutral,
        and there is then no brighter mode for less valence, nor a darker one for more.
        """
        ladder, curve, _ = self._home(home)
        if curve is None or self._modes is None:
            return home
        place, reach = curve(mood), 0.5 + self._modes.width / 2
        if current in ladder and abs(place - ladder.index(current)) <= reach:
            return current
        return ladder[min(floor(place + 0.5), len(ladder) - 1)]

    def shade(self, mood: Mood, count: int, role: str = "", current: int | None = None) -> int:
        """Which of so many programs, soft to bright, a role has; to be asked at phrase lines.

        Each has an equal share of the way from 0 to 1; in the middle of an even number the
        brighter one begins.  current: the one until now, which stays until timbre is past the
        edge of its share by `FIRM` of a share.
        """
        place = self.for_role("timbre", role, mood) * count
        if current is not None and -FIRM <= place - current <= 1 + FIRM:
            return current
        return min(floor(place), count - 1)

    def explain(
        self,
        cue: str,
        mood: Mood,
        base: float | None = None,
        role: str = "",
        home: str = "major",
        current: str | None = None,
    ) -> str:
        """Why a cue is as it is: `84 BPM because arousal -0.50 makes it 0.84 of 100 (curve …)`.

        base: what the scene says without mood, for cues that are factors.  home, current: as
        for `mode`.
        """
        about = CUES[_CUE[cue]]
        if cue == "mode":
            ladder, curve, _ = self._home(home)
            name = self.mode(mood, current, home)
            if curve is None:
                return f"{name} because map {self.name} leaves the mode alone"
            rungs = ", ".join(f"{each} {number}" for number, each in enumerate(ladder))
            held = name != self.mode(mood, None, home)
            return (
                f"{name} because {curve.why(mood)} on the ladder {rungs}"
                f"{', and the mode until now holds so near' if held else ''} (curve {curve.place})"
            )
        rule = self._roles.get((cue, role)) or self._curves[_CUE[cue]]
        value = rule(mood) if rule is not None else about.plain
        scale = base if base is not None and about.factor else 1.0
        shown = about.shown.format(value * scale)
        if about.factor and base is None:
            shown = f"{cue.replace('_', ' ')} × {value:.2f}"
        if rule is None:
            return f"{shown} because map {self.name} leaves it alone"
        of = f" of {base:g}" if base is not None and about.factor else ""
        return f"{shown} because {rule.why(mood)}{of} (curve {rule.place})"


def _rung(mode: str, ladder: tuple[str, ...]) -> int:
    """Where a mode stands: its own place, else minor's or major's, after its third.

    Errors: Mistake where there is no such mode.
    """
    if mode in ladder:
        return ladder.index(mode)
    if mode not in MODES:
        raise Mistake("home", f"there is no mode {mode!r}; the modes are: {', '.join(MODES)}")
    degrees = MODES[mode].split()
    dark = "b3" in degrees and "3" not in degrees
    like = [each for each in ladder if ("b3" in MODES[each].split()) == dark]
    usual = "minor" if dark else "major"
    if usual in like or not like:
        return ladder.index(usual) if usual in ladder else 0
    return ladder.index(like[0])


@lru_cache(maxsize=1)
def plain_map() -> MoodMap:
    """The map that leaves the music as it is, whatever the mood."""
    return MoodMap()


# Files ---------------------------------------------------------------------------------------


def maps_folder() -> Path:
    """Where the shipped maps are, in a checkout or in an installed package."""
    server = Path(__file__).resolve().parents[1]
    installed = server / "config" / "moods"
    return installed if installed.is_dir() else server.parent / "config" / "moods"


def shipped_maps() -> dict[str, Path]:
    """Every shipped map by its name."""
    return {path.stem: path for path in sorted(maps_folder().glob("*.toml"))}


def find_map(name: str, base: Path | None = None) -> Path:
    """The file of a map: the name of a shipped one, or a path from the folder `base`.

    Errors: Mistake that lists what is shipped.
    """
    shipped = shipped_maps()
    if name in shipped:
        return shipped[name]
    path = (base or Path()) / name
    if path.is_file():
        return path
    raise Mistake("", f"{unknown('map', name, shipped)}, or give a path")


def load_map(path: Path) -> MoodMap:
    """Read and check a map's file.

    Errors: Mistake, its place beginning with the file's name.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise Mistake("", f"larger than {LARGEST} bytes")
        return parse_map(path.read_text(encoding="utf-8-sig"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise Mistake(path.name, f"cannot be read: {reason}") from None
    except Mistake as mistake:
        place = f"{path.name}: {mistake.place}" if mistake.place else path.name
        raise Mistake(place, mistake.problem, mistake.line, mistake.column) from None


def parse_map(text: str, name: str = "map") -> MoodMap:
    """Check a map's text: `title`, `source`, `[words]`, and a table for each cue.

    A cue's table has, by the names of dimensions, lists of points `[value of the dimension,
    value of the cue]`; or `palette`, a value for each of some words; `join`, `"product"` or
    `"sum"`, where it is not the usual; and `roles`: for a role, the share it takes of the cue's
    way from neutral, or a table of its own. `mode` has besides `ladder` and `width`, and its
    values may be names of modes and, once, `"home"`.
    Errors: Mistake with a dotted place, or a line where it is not TOML.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise Mistake("", f"{str(error) or 'nested too deeply'} (TOML)") from None
    for key in ("title", "source"):
        if not isinstance(values.get(key, ""), str):
            raise Mistake(key, f"expected text in quotes, got {values[key]!r}")
    try:
        words = parse_words(values.get("words", {}))
    except Mistake as mistake:
        raise mistake.within("words") from None
    known = ("title", "source", "words", *_CUE)
    curves: dict[str, Curve] = {}
    roles: dict[tuple[str, str], Rule] = {}
    modes: Modes | None = None
    for key, table in values.items():
        if key not in known:
            raise Mistake(key, _unknown(key, known))
        if key not in _CUE:
            continue
        cue = CUES[_CUE[key]]
        if not isinstance(table, dict):
            raise Mistake(key, f"expected a table of curves, got {table!r}")
        try:
            if key == "mode":
                modes = _modes(f"{name}.mode", table, words)
                continue
            rest = {each: item for each, item in table.items() if each != "roles"}
            curves[key] = curve = _curve(f"{name}.{key}", cue, rest, words, ("roles",))
            for role, item in _table("roles", table.get("roles", {})).items():
                place = f"{name}.{key}.roles.{role}"
                roles[key, role] = _rule(place, role, curve, item, words)
        except Mistake as mistake:
            raise mistake.within(key) from None
    title, source = values.get("title", name), values.get("source", "")
    return MoodMap(name, title, source, words, curves, roles, modes)


def _rule(place: str, role: str, curve: Curve, item: Any, words: Mapping[str, Mood]) -> Rule:
    try:
        if role not in ROLES:
            raise Mistake("", _unknown(role, ROLES))
        if isinstance(item, dict):
            return _curve(place, curve.cue, item, words)
        return Share(place, curve, _number("", item, -4, 4))
    except Mistake as mistake:
        raise mistake.within(f"roles.{role}") from None


def _curve(
    place: str,
    cue: Cue,
    table: Mapping[str, Any],
    words: Mapping[str, Mood],
    also: tuple[str, ...] = (),
) -> Curve:
    join = table.get("join", "product" if cue.factor else "sum")
    if join not in ("product", "sum"):
        raise Mistake("join", f"expected 'product' or 'sum', got {join!r}")
    terms: list[Term] = []
    for key, item in table.items():
        if key == "join":
            continue
        if key == "palette":
            terms.append(_palette(item, words))
        elif key in NAMES:
            points = _points(key, item, lambda where, value: _number(where, value, -1e3, 1e3))
            terms.append(Line(key, points))
        else:
            raise Mistake(key, _unknown(key, (*NAMES, "palette", "join", *also)))
    if not terms:
        raise Mistake("", f"expected at least one curve, of {', '.join(NAMES)}, or a palette")
    return Curve(place, cue, tuple(terms), join == "product")


def _palette(item: Any, words: Mapping[str, Mood]) -> Palette:
    places = []
    for word, value in _table("palette", item).items():
        if word not in words:
            raise Mistake(f"palette.{word}", _unknown(word, tuple(words)))
        places.append((word, words[word], _number(f"palette.{word}", value, -1e3, 1e3)))
    if not places:
        raise Mistake("palette", "expected at least one word with its value")
    return Palette(places)


def _points(key: str, item: Any, read: Callable[[str, Any], float]) -> list[tuple[float, float]]:
    dimension = DIMENSIONS[NAMES.index(key)]
    if not isinstance(item, list) or not 1 <= len(item) <= MOST_POINTS:
        wanted = f"expected 1 to {MOST_POINTS} points, such as [[-1, 0.7], [1, 1.4]]"
        raise Mistake(key, f"{wanted}, got {item!r}")
    points: list[tuple[float, float]] = []
    for number, pair in enumerate(item, start=1):
        where = f"{key}, point {number}"
        if not isinstance(pair, list) or len(pair) != 2:
            raise Mistake(where, f"expected a pair such as [0, 1], got {pair!r}")
        x = _number(where, pair[0], dimension.low, dimension.high)
        if points and x < points[-1][0]:
            raise Mistake(where, f"expected {key} to rise from point to point, got {x:g}")
        if len(points) > 1 and x == points[-2][0]:
            raise Mistake(where, f"expected at most two points at {key} {x:g}")
        points.append((x, read(where, pair[1])))
    return points


def _modes(place: str, table: Mapping[str, Any], words: Mapping[str, Mood]) -> Modes:
    given = table.get("ladder", list(LADDER))
    if (
        not isinstance(given, list)
        or not 1 <= len(given) <= 12
        or len(set(map(str, given))) < len(given)
    ):
        raise Mistake("ladder", f"expected 1 to 12 different modes, bright to dark, got {given!r}")
    for mode in given:
        if mode not in MODES:
            raise Mistake("ladder", f"there is no mode {mode!r}; the modes are: {', '.join(MODES)}")
    ladder = tuple(given)
    width = _number("width", table.get("width", 0.3), 0, 1)
    rest = {key: item for key, item in table.items() if key not in ("ladder", "width")}

    def build(home: float) -> Curve:
        def rung(where: str, value: Any) -> float:
            if value == HOME and where.startswith("valence"):
                return home
            if isinstance(value, str) and value in ladder:
                return float(ladder.index(value))
            if isinstance(value, str):
                raise Mistake(where, _unknown(value, (*ladder, f"{HOME} (of valence only)")))
            return _number(where, value, -12, 12)

        cue = CUES[_MODE]._replace(high=len(ladder) - 1.0)
        terms: list[Term] = []
        for key, item in rest.items():
            if key == "palette":
                terms.append(_palette(item, words))
                continue
            if key not in NAMES:
                raise Mistake(key, _unknown(key, (*NAMES, "palette", "ladder", "width")))
            points = _points(key, item, rung)
            at = [x for x, (_, value) in zip(points, item, strict=True) if value == HOME]
            if at:
                # Never past home on the way to the other side of it.
                middle = at[0][0]
                points = [
                    (x, max(y, home) if x < middle else min(y, home) if x > middle else y)
                    for x, y in points
                ]
            terms.append(Line(key, points))
        if not terms:
            raise Mistake("", f"expected at least one curve, of {', '.join(NAMES)}, or a palette")
        return Curve(place, cue, tuple(terms), False)

    build(0.0)  # so that mistakes show now
    homely = any(value == HOME for _, value in rest.get("valence", ()))
    return Modes(ladder, width, build, homely)


def _table(key: str, item: Any) -> Mapping[str, Any]:
    if not isinstance(item, dict):
        raise Mistake(key, f"expected a table, got {item!r}")
    return item


def _number(where: str, value: Any, low: float, high: float) -> float:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not real or not low <= value <= high:
        raise Mistake(where, f"expected a number from {low:g} to {high:g}, got {value!r}")
    return float(value)


def _unknown(name: str, known: tuple[str, ...]) -> str:
    return f"nothing is called {name!r} here; {meant(name, known)}known: {', '.join(known)}"
