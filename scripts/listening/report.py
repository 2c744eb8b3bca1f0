"""Reports in Markdown: corpora, scenes, and styles in moods against the bars they are held to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from engines.base import Mistake
from scripts.listening import scenes
from scripts.listening.corpus import WORKERS, Reference, references
from scripts.listening.figures import divergence, pearson, slopes, spearman
from scripts.listening.measures import (
    MEASURES,
    durations,
    intervals,
    likeness,
    measured,
    presence,
)
from scripts.listening.predictor import Felt, predict, same_quadrant
from scripts.listening.score import score_of
from server.score.scene import Scene

#: Measures with a bar of their own: (least, most).
BARS: Mapping[str, tuple[float, float]] = {
    "key fit": (0.98, 1.0),
    "strong beats": (0.8, 1.0),
    "pad step": (0.0, 2.0),
    "exact repeats": (0.0, 0.0),
}
#: Measures held to the range of the corpora.
RANGED = ("similarity 4", "similarity 8", "similarity 16", "entropy", "intervals", "durations")
WITH_AROUSAL = ("tempo", "loudness", "density", "staccato")
WITH_VALENCE = ("mode", "consonance", "register")
UNLEAKED = ("mode", "consonance")
RANK, LEAK, QUADRANT, FIT, ALIKE = 0.95, 0.1, 0.95, 0.9, 0.5

Make = Callable[[int], Scene]


class Render(NamedTuple):
    """One render, measured. intervals, durations: of the melody."""

    seed: int
    values: dict[str, float]
    felt: Felt
    intervals: dict[int, float]
    durations: dict[int, float]


class Group(NamedTuple):
    """The renders of one thing under several seeds, and how much the two most alike share."""

    label: str
    word: str
    renders: tuple[Render, ...]
    alike: float


def listen(label: str, word: str, make: Make, seeds: Sequence[int], bars: int) -> Group:
    """Render and measure one thing under several seeds."""
    scores = [score_of(make(seed), bars) for seed in seeds]
    renders = tuple(
        Render(seed, measured(score), predict(score), intervals(score), durations(score))
        for seed, score in zip(seeds, scores, strict=True)
    )
    alike = max((likeness(a, b) for a, b in combinations(scores, 2)), default=0.0)
    return Group(label, word, renders, alike)


def _shipped(job: tuple[str, tuple[int, ...], int]) -> Group:
    name, seeds, bars = job
    return listen(name, "", lambda seed: scenes.shipped(name, seed), seeds, bars)


def _asked(job: tuple[str, str, tuple[int, ...], int]) -> Group:
    style, word, seeds, bars = job
    return listen(style, word, lambda seed: scenes.asked(style, word, seed), seeds, bars)


def corpus_report() -> str:
    """What the corpora score. Errors: Mistake where there are none."""
    found = references()
    if not found:
        raise Mistake("COMPONIUM_CORPORA", "expected a folder with nottingham/ and chorales/")
    lines = [
        _row("measure", *(f"{ref.name} ({ref.pieces}): 5 %, 50 %, 95 %" for ref in found), "unit"),
        _row(*["---"] * (len(found) + 2)),
    ]
    for name, digits, note in _names():
        cells = [_range(ref, name, digits) for ref in found]
        if any(cells):
            lines.append(_row(name, *cells, note))
    return "\n".join(lines)


def scene_report(names: Sequence[str], seeds: Sequence[int], bars: int) -> str:
    """Shipped scenes side by side: the mean over seeds, and how they stand to bars and corpora."""
    for name in names:  # what is wrong with one is said here: other processes cannot
        scenes.shipped(name, seeds[0])
    refs = references()
    jobs = [(name, tuple(seeds), bars) for name in names]
    with ProcessPoolExecutor(WORKERS) as pool:
        groups = list(pool.map(_shipped, jobs))
    lines = [
        f"{len(seeds)} seeds, {bars} bars; the mean over the seeds. ✗: off its bar, or outside "
        "the corpora where they are the bar.\n",
        _row("measure", *names, "bar or corpora", "unit"),
        _row(*["---"] * (len(names) + 3)),
    ]
    for name, digits, note in _names():
        allowed = _allowed(refs, name)
        held = allowed if name in BARS or name in RANGED else None
        cells = []
        for group in groups:
            found = _values(group.renders, name, refs)
            cells.append(_cell(fmean(found), held, digits) if found else "")
        lines.append(_row(name, *cells, _bounds(allowed, digits), note))
    cells = [_cell(group.alike, (0.0, ALIKE), 2) for group in groups]
    lines.append(_row("seeds alike", *cells, f"≤ {ALIKE}", "share of 8-note rows"))
    for axis in Felt._fields:
        cells = [f"{fmean(getattr(r.felt, axis) for r in g.renders):+.2f}" for g in groups]
        lines.append(_row(f"heard {axis}", *cells, "", "-1 to 1"))
    return "\n".join(lines)


def parts_report(name: str, seed: int, bars: int) -> str:
    """What each part of a scene does."""
    score = score_of(scenes.shipped(name, seed), bars)
    head = ("part", "role", "notes", "sounding", "bars", "voices", "pitch", "length", "velocity")
    lines = [_row(*head), _row(*["---"] * len(head))]
    for part, p in presence(score).items():
        figures = (f"{p.sounding:.0%}", f"{p.bars:.0%}", f"{p.voices:.1f}", f"{p.pitch:.0f}")
        rest = (f"{p.length:.2f}", f"{p.velocity:.0f}")
        lines.append(_row(part, p.role, str(p.notes), *figures, *rest))
    return "\n".join(lines)


def moods_report(
    styles: Sequence[str], words: Sequence[str], seeds: Sequence[int], bars: int
) -> str:
    """Styles × words × seeds against every bar; pass or fail in each line. Errors: Mistake."""
    for style in styles:
        scenes.asked(style, words[0], seeds[0])
    jobs = [(style, word, tuple(seeds), bars) for style in styles for word in words]
    with ProcessPoolExecutor(WORKERS) as pool:
        groups = list(pool.map(_asked, jobs))
    return judge(groups, references(), bars)


def judge(groups: Sequence[Group], refs: Sequence[Reference], bars: int) -> str:
    """The report on groups of renders, each a style in a word."""
    by_style: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_style[group.label].append(group)
    styles = list(by_style)
    seeds = max(len(group.renders) for group in groups)
    words = len({group.word for group in groups})
    head = [_row("", *styles, "all", "bar", ""), _row(*["---"] * (len(styles) + 4))]
    first = min(render.seed for group in groups for render in group.renders)
    said = f"{seeds} seeds from {first} on"
    out = [f"{len(styles)} styles × {words} words × {said} × {bars} bars.\n", *head]
    for axis, cues in (("arousal", WITH_AROUSAL), ("valence", WITH_VALENCE)):
        for cue in cues:
            each = [follows(by_style[style], cue, axis) for style in styles]
            label = f"{cue} with {axis}, rank correlation"
            out.append(_line(label, each, fmean(each), (RANK, 1.0), 2))
    for cue in UNLEAKED:
        each = [leakage(by_style[style], cue) for style in styles]
        out.append(_line(f"leakage of arousal into {cue}", each, fmean(each), (0.0, LEAK), 2))
    for name in (*BARS, *RANGED, "parallels"):
        allowed = None if name == "parallels" else _allowed(refs, name)
        each = [_mean(by_style[style], name, refs) for style in styles]
        known = [value for value in each if value == value]
        label = name if name in BARS else f"{name}, mean"
        out.append(_line(label, each, fmean(known) if known else float("nan"), allowed, 3))
        if name in RANGED:
            each = [_inside(by_style[style], name, refs, allowed) for style in styles]
            out.append(_line(f"{name}, share of renders in range", each, fmean(each), None, 2))
    each = [max(group.alike for group in by_style[style]) for style in styles]
    out.append(_line("seeds alike, the most", each, max(each), (0.0, ALIKE), 2))
    each = [quadrants(by_style[style]) for style in styles]
    out.append(_line("quadrant heard as asked", each, quadrants(groups), (QUADRANT, 1.0), 2))
    for axis in Felt._fields:
        each = [agreement(by_style[style], axis) for style in styles]
        label = f"{axis} heard with asked, r"
        out.append(_line(label, each, agreement(groups, axis), (FIT, 1.0), 2))
    out += ["", "Heard valence, arousal (mean over seeds):\n"]
    out += [_row("word", "asked", *styles), _row(*["---"] * (len(styles) + 2))]
    for word in dict.fromkeys(group.word for group in groups):
        asked = scenes.WORDS[word]
        cells = []
        for style in styles:
            found = [r.felt for g in by_style[style] if g.word == word for r in g.renders]
            v, a = fmean(f.valence for f in found), fmean(f.arousal for f in found)
            right = word == "neutral" or same_quadrant(asked, Felt(v, a))
            cells.append(f"{v:+.2f}, {a:+.2f}{'' if right else ' ✗'}")
        out.append(_row(word, f"{asked.valence:+.1f}, {asked.arousal:+.1f}", *cells))
    return "\n".join(out)


def follows(groups: Sequence[Group], cue: str, axis: str) -> float:
    """Rank correlation of a cue, its mean over seeds, with what the words ask for on an axis."""
    rows = [
        (getattr(scenes.WORDS[group.word], axis), fmean(found))
        for group in groups
        if (found := [r.values[cue] for r in group.renders if cue in r.values])
    ]
    return spearman([x for x, _ in rows], [y for _, y in rows]) if len(rows) > 1 else 0.0


def leakage(groups: Sequence[Group], cue: str) -> float:
    """How much a cue moves for a step of arousal against a step of valence, 0 for not at all.

    The ratio of the two slopes of a least-squares plane over all renders.
    """
    rows = [
        (render.values[cue], *scenes.WORDS[group.word])
        for group in groups
        for render in group.renders
        if cue in render.values
    ]
    if len(rows) < 3:
        return 0.0
    wanted, leaked = slopes([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    return abs(leaked / wanted) if wanted else float("inf")


def quadrants(groups: Sequence[Group]) -> float:
    """The share of renders that are heard in the quadrant they were asked for; neutral has none."""
    hits = [
        same_quadrant(scenes.WORDS[group.word], render.felt)
        for group in groups
        if group.word != "neutral"
        for render in group.renders
    ]
    return fmean(hits) if hits else 0.0


def agreement(groups: Sequence[Group], axis: str) -> float:
    """Correlation of what is heard with what was asked, over all renders."""
    rows = [
        (getattr(scenes.WORDS[group.word], axis), getattr(render.felt, axis))
        for group in groups
        for render in group.renders
    ]
    return pearson([x for x, _ in rows], [y for _, y in rows])


def _names() -> Iterable[tuple[str, int, str]]:
    yield from ((measure.name, measure.digits, measure.note) for measure in MEASURES)
    yield "intervals", 3, "bits from the nearest corpus"
    yield "durations", 3, "bits from the nearest corpus"


def _values(renders: Iterable[Render], name: str, refs: Sequence[Reference]) -> list[float]:
    if name in ("intervals", "durations"):
        whole = [getattr(ref, name) for ref in refs if name in ref.ranges]
        found = [getattr(render, name) for render in renders]
        return [min(divergence(each, one) for one in whole) for each in found if each and whole]
    return [render.values[name] for render in renders if name in render.values]


def _allowed(refs: Sequence[Reference], name: str) -> tuple[float, float] | None:
    if name in BARS:
        return BARS[name]
    ranges = [ref.ranges[name] for ref in refs if name in ref.ranges]
    if not ranges:
        return None
    low = 0.0 if name in ("intervals", "durations") else min(each.low for each in ranges)
    return low, max(each.high for each in ranges)


def _mean(groups: Sequence[Group], name: str, refs: Sequence[Reference]) -> float:
    found = [value for group in groups for value in _values(group.renders, name, refs)]
    return fmean(found) if found else float("nan")


def _inside(
    groups: Sequence[Group],
    name: str,
    refs: Sequence[Reference],
    allowed: tuple[float, float] | None,
) -> float:
    found = [value for group in groups for value in _values(group.renders, name, refs)]
    return fmean(_within(value, allowed) for value in found) if found else 0.0


def _within(value: float, allowed: tuple[float, float] | None) -> bool:
    return allowed is None or allowed[0] - 1e-9 <= value <= allowed[1] + 1e-9


def _line(
    label: str,
    each: Sequence[float],
    together: float,
    allowed: tuple[float, float] | None,
    digits: int,
) -> str:
    cells = [_cell(value, allowed, digits) for value in (*each, together)]
    verdict = "" if allowed is None else "pass" if _within(together, allowed) else "**fail**"
    return _row(label, *cells, _bounds(allowed, digits), verdict)


def _cell(value: float, allowed: tuple[float, float] | None, digits: int) -> str:
    if value != value:
        return ""
    return f"{value:.{digits}f}{'' if _within(value, allowed) else ' ✗'}"


def _bounds(allowed: tuple[float, float] | None, digits: int) -> str:
    if allowed is None:
        return ""
    low, high = allowed
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _range(ref: Reference, name: str, digits: int) -> str:
    found = ref.ranges.get(name)
    return "" if found is None else ", ".join(f"{value:.{digits}f}" for value in found)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
