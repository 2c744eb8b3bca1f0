"""Measures on a score: pure functions, each with its definition and its source.

They give None where there is nothing to measure (no melody, no drums, one chord). Times are in
quarter notes unless seconds are named; drums count only where a measure says so.
`docs/measures.md` says what each is for and what it cannot tell.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log2, log10
from statistics import fmean, median
from typing import NamedTuple

from scripts.listening.figures import jaccard, shares
from scripts.listening.score import (
    GRID,
    STRONG,
    Heard,
    Score,
    fits,
    ladder,
    weights,
)

#: Huron (1994): consonance of the interval classes 1 to 6, from three sets of judgements.
HURON = (-1.428, -0.582, 0.594, 0.386, 1.240, -0.453)
MEZZOFORTE = 80 / 127  # velocity that counts as 0 dB
LEAP = 5  # semitones: a fourth and more
#: Upper ends of the classes of melodic durations, in quarter notes.
DURATIONS = (0.2, 0.29, 0.4, 0.55, 0.7, 0.9, 1.1, 1.7, 2.2, 3.2)


# What an arousal is heard from --------------------------------------------------------------


def tempo(score: Score) -> float | None:
    """Quarter notes a minute, over the whole length."""
    return 60 * score.end / score.seconds if score.seconds else None


def density(score: Score) -> float | None:
    """Onsets a second, all parts and drums: what begins together in a part is one onset."""
    return _onsets(score) / score.seconds if score.seconds else None


def density_beats(score: Score) -> float | None:
    """Onsets a quarter note, counted as in `density`."""
    return _onsets(score) / score.end if score.end else None


def _onsets(score: Score) -> int:
    return len({(note.part, round(note.onset * GRID)) for note in score.notes})


def melody_rate(score: Score) -> float | None:
    """Melody notes a second, in the bars in which the melody begins a note.

    The tempo of Eerola, Friberg & Bresin (2013), who give it in notes a second.
    """
    busy = {score.bar_at(note.onset) for note in score.line}
    if not busy or not score.seconds:
        return None
    length = sum(float(score.bars[bar].meter.length) for bar in busy)
    return len(score.line) / (length * score.seconds / score.end)


def velocity(score: Score) -> float | None:
    """The mean velocity of all notes, drums among them, 0 to 127."""
    return 127 * fmean(note.velocity for note in score.notes) if score.notes else None


def loudness(score: Score) -> float | None:
    """The mean level in dB above mezzo-forte (velocity 80), drums included.

    A velocity is an amplitude of its square, as General MIDI level 2 recommends and most synths
    do (Dannenberg 2006); the mean is one of power, so loud parts weigh more than soft ones.
    """
    powers = [(note.velocity / MEZZOFORTE) ** 4 for note in score.notes]
    return 10 * log10(fmean(powers)) if powers and any(powers) else None


def staccato(score: Score) -> float | None:
    """1 less the share of the way to the next onset that notes sound for: 0 legato, 1 a touch.

    The median over a pitched part's notes, since a rest after a phrase is no articulation; the
    mean over the parts by their number of notes. Ratio as in Eerola, Friberg & Bresin (2013).
    """
    ratios = [(len(found), value) for _, found, value in _articulations(score)]
    total = sum(count for count, _ in ratios)
    return 1 - sum(count * value for count, value in ratios) / total if total else None


def melody_staccato(score: Score) -> float | None:
    """`staccato` of the melodic line alone."""
    value = _articulation(score.line)
    return None if value is None else 1 - value


def _articulations(score: Score) -> Iterable[tuple[str, Sequence[Heard], float]]:
    pitched = {note.part for note in score.pitched}
    for name, notes in score.parts.items():
        value = _articulation(notes) if name in pitched else None
        if value is not None:
            yield name, notes, value


def _articulation(notes: Sequence[Heard]) -> float | None:
    longest: dict[int, float] = {}
    for note in notes:
        onset = round(note.onset * GRID)
        longest[onset] = max(longest.get(onset, 0.0), note.length)
    ratios = [min(longest[a] * GRID / (b - a), 1.0) for a, b in pairwise(sorted(longest))]
    return median(ratios) if ratios else None


# What a valence is heard from ---------------------------------------------------------------


def register(score: Score) -> float | None:
    """The mean pitch of the melodic line, a MIDI number."""
    return fmean(note.pitch for note in score.line) if score.line else None


def mode(score: Score) -> float | None:
    """Where the notes stand on the ladder from Lydian, 3, to Locrian, -3; see `score.ladder`.

    Over the tonic of each key that the score names, weighted by how long it sounds there. The
    scale that the key claims does not count: what sounds does.
    """
    return _by_key(score, lambda found, tonic: ladder(found, tonic))


def majorness(score: Score) -> float | None:
    """Correlation with the major profile on the tonic less that with the minor one.

    Krumhansl & Kessler (1982). Above 0 is major.
    """
    return _by_key(score, _majorness)


def _majorness(found: Sequence[float], tonic: int) -> float:
    fit = fits(found)
    return fit[tonic, "major"] - fit[tonic, "minor"]


def _by_key(score: Score, value: Callable[[Sequence[float], int], float]) -> float | None:
    spans: dict[int, dict[float, list[Heard]]] = defaultdict(lambda: defaultdict(list))
    for note in score.pitched:
        key = score.key_at(note.onset)
        if key is not None:
            spans[key.tonic][key.begin].append(note)
    total = above = 0.0
    for tonic, each in spans.items():
        for notes in each.values():
            found = weights(notes)
            total += sum(found)
            above += sum(found) * value(found, tonic)
    return above / total if total else None


def consonance(score: Score) -> float | None:
    """The mean consonance of what sounds together, by Huron's (1994) interval classes.

    At each moment the mean over all pairs of different pitch classes that sound; the mean over
    time, where there are two or more. (Huron adds the pairs up; the mean keeps thick chords from
    counting for more than thin ones.) A major triad has 0.74, a tone cluster -1.2.
    """
    events: list[tuple[int, int, int]] = []
    for note in score.pitched:
        begin, end = round(note.onset * GRID), round(note.end * GRID)
        if end > begin:
            events += [(begin, 1, note.pitch % 12), (end, -1, note.pitch % 12)]
    events.sort()
    sounding = [0] * 12
    known: dict[tuple[int, ...], float] = {}
    total, above, before = 0, 0.0, 0
    for when, change, pitch_class in events:
        if when > before:
            classes = tuple(each for each in range(12) if sounding[each])
            if len(classes) > 1:
                if classes not in known:
                    known[classes] = dyads(classes)
                total += when - before
                above += (when - before) * known[classes]
            before = when
        sounding[pitch_class] += change
    return above / total if total else None


def dyads(classes: Sequence[int]) -> float:
    """The mean consonance of all pairs of two or more different pitch classes (Huron 1994)."""
    values = [
        HURON[min((b - a) % 12, (a - b) % 12) - 1]
        for place, a in enumerate(classes)
        for b in classes[place + 1 :]
    ]
    return fmean(values)


# Whether the notes are right ----------------------------------------------------------------


def key_fit(score: Score) -> float | None:
    """The share of notes in the current scale or chord.

    A note outside counts too where it is an approach: where its part goes on, within a beat (a
    quarter note) of its onset, by a semitone to a note that is inside there.
    """
    right = total = 0
    for name in {note.part for note in score.pitched}:
        notes = score.parts[name]
        onsets = [note.onset for note in notes]
        for note in notes:
            inside = _inside(score, note)
            if inside is None:
                continue
            total += 1
            right += inside or _resolves(score, note, notes, bisect_right(onsets, note.onset))
    return right / total if total else None


def _inside(score: Score, note: Heard) -> bool | None:
    key, chord = score.key_at(note.onset), score.chord_at(note.onset)
    if key is None and chord is None:
        return None
    place = note.pitch % 12
    return (key is not None and place in key.classes) or (
        chord is not None and place in chord.classes
    )


def _resolves(score: Score, note: Heard, notes: Sequence[Heard], after: int) -> bool:
    if after >= len(notes) or notes[after].onset > note.onset + 1 + 1 / GRID:
        return False
    when = notes[after].onset
    return any(
        abs(other.pitch - note.pitch) == 1 and _inside(score, other)
        for other in notes[after:]
        if other.onset <= when + 0.5 / GRID
    )


def strong_beats(score: Score) -> float | None:
    """The share of melody notes on strong places (bar lines and groups) in the current chord."""
    hits = [
        note.pitch % 12 in chord.classes
        for note in score.line
        if score.weight(note.onset) >= STRONG and (chord := score.chord_at(note.onset)) is not None
    ]
    return fmean(hits) if hits else None


def pad_step(score: Score) -> float | None:
    """Semitones that a voice of the pads moves by from one chord to the next different one.

    Voices are paired so that they move least and do not cross (Tymoczko 2006); where the chords
    differ in size, a voice may come from, or go to, one that another has as well. Pads only, or
    comping where there are none.
    """
    steps = _pad_steps(score, "pad") or _pad_steps(score, "comp")
    return fmean(steps) if steps else None


def _pad_steps(score: Score, role: str) -> list[float]:
    steps = []
    for name, notes in score.parts.items():
        if score.roles[name] != role:
            continue
        chords: dict[int, set[int]] = defaultdict(set)
        for note in notes:
            chords[round(note.onset * GRID)].add(note.pitch)
        full = [sorted(chords[onset]) for onset in sorted(chords) if len(chords[onset]) > 1]
        steps += [distance(a, b) for a, b in pairwise(full) if a != b]
    return steps


def distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Semitones a voice, from one chord to another (both rising), paired for the least motion."""
    if len(one) < len(other):
        one, other = other, one
    # best[j]: the least motion of the voices so far, the last of them paired with other[j].
    far = float("inf")
    best = [0.0] + [far] * (len(other) - 1)
    for nth, pitch in enumerate(one):
        before = best if nth == 0 else [min(pair) for pair in zip(best, [far, *best], strict=False)]
        best = [so_far + abs(pitch - to) for so_far, to in zip(before, other, strict=True)]
    return best[-1] / len(one)


class Parallels(NamedTuple):
    """fifths, octaves: parallel ones. moves: how often both outer voices move at once."""

    fifths: int
    octaves: int
    moves: int


def parallels(score: Score) -> Parallels:
    """Parallel perfect fifths and octaves (unisons) between melody and bass.

    Looked at wherever one of the two begins a note while both sound; parallel is where both
    move in the same direction from a perfect interval to the same one.
    """
    top, low = score.line, score.bass
    onsets = sorted({round(note.onset * GRID) for note in (*top, *low)})
    above, below = _sampled(top, onsets), _sampled(low, onsets)
    fifths = octaves = moves = 0
    for (a, b), (c, d) in pairwise(zip(above, below, strict=True)):
        if a is None or b is None or c is None or d is None or a == c or b == d:
            continue
        moves += 1
        if (c > a) == (d > b) and (a - b) % 12 == (c - d) % 12:
            fifths += (a - b) % 12 == 7
            octaves += (a - b) % 12 == 0
    return Parallels(fifths, octaves, moves)


def _sampled(notes: Sequence[Heard], onsets: Iterable[int]) -> list[int | None]:
    """What pitch of a line sounds at each of rising moments, if any."""
    starts = [round(note.onset * GRID) for note in notes]
    found: list[int | None] = []
    for when in onsets:
        index = bisect_right(starts, when) - 1
        sounds = index >= 0 and round(notes[index].end * GRID) > when
        found.append(notes[index].pitch if sounds else None)
    return found


def parallel_share(score: Score) -> float | None:
    """Parallel fifths and octaves of the outer voices, as a share of the moves of both."""
    found = parallels(score)
    return (found.fifths + found.octaves) / found.moves if found.moves else None


# Whether it is of a piece -------------------------------------------------------------------


def self_similarity(score: Score, lag: int) -> float | None:
    """How much a bar of the melody shares with the one so many bars later, 0 to 1; the mean.

    A bar is the set of its (place, interval from the note before); two bars share what Jaccard
    says; bars without notes are passed over. A diagonal of Foote's (1999) matrix.
    """
    bars = _tokens(score)
    found = [jaccard(a, b) for a, b in zip(bars, bars[lag:], strict=False) if a and b]
    return fmean(found) if found else None


def _tokens(score: Score) -> list[frozenset[object]]:
    bars: list[set[object]] = [set() for _ in score.bars]
    before: Heard | None = None
    for note in score.line:
        interval = None if before is None else note.pitch - before.pitch
        bars[score.bar_at(note.onset)].add((score.place(note), interval))
        before = note
    return [frozenset(bar) for bar in bars]


def similarity_4(score: Score) -> float | None:
    """`self_similarity` at four bars."""
    return self_similarity(score, 4)


def similarity_8(score: Score) -> float | None:
    """`self_similarity` at eight bars."""
    return self_similarity(score, 8)


def similarity_16(score: Score) -> float | None:
    """`self_similarity` at sixteen bars."""
    return self_similarity(score, 16)


def exact_repeats(score: Score, bars: int = 8, *, melody: bool = False) -> float | None:
    """The share of stretches of so many bars that have come before, note for note.

    Pitch, place and part of every pitched note count, velocity and length do not; stretches
    begin at any bar and do not overlap what they repeat. What lies in two sections of the same
    name is asked for by the form and passed over. Stretches with a note in fewer than half of
    their bars are silence, not music.
    """
    notes = score.line if melody else score.pitched
    prints = [
        frozenset((note.part, score.place(note), note.pitch) for note in bar)
        for bar in score.divided(notes)
    ]
    windows = [tuple(prints[begin : begin + bars]) for begin in range(len(prints) - bars + 1)]
    first: dict[tuple[frozenset[tuple[str, int, int]], ...], list[int]] = defaultdict(list)
    repeated = total = 0
    for begin, window in enumerate(windows):
        if sum(map(bool, window)) * 2 < bars:
            continue
        total += 1
        earlier = [each for each in first[window] if each + bars <= begin]
        repeated += bool(earlier) and not any(_asked(score, each, begin) for each in earlier)
        first[window].append(begin)
    return repeated / total if total else None


def _asked(score: Score, one: int, other: int) -> bool:
    a, b = (score.section_at(score.bars[bar].begin) for bar in (one, other))
    return a is not None and b is not None and a.begin != b.begin and a.name == b.name


def melody_repeats(score: Score) -> float | None:
    """`exact_repeats` of eight bars of the melody alone."""
    return exact_repeats(score, melody=True)


def entropy(score: Score) -> float | None:
    """The entropy of pitch classes in bits, by number of notes; drums aside (as in MusPy)."""
    counts = Counter(note.pitch % 12 for note in score.pitched)
    found = shares(counts).values()
    return -sum(share * log2(share) for share in found) if counts else None


def intervals(score: Score) -> dict[int, float]:
    """Shares of the melody's steps by size: 0 to 12 semitones, larger ones as 13."""
    moves = Counter(min(abs(b.pitch - a.pitch), 13) for a, b in pairwise(score.line))
    return shares(moves)


def durations(score: Score) -> dict[int, float]:
    """Shares of the melody's times from onset to onset, in the classes of `DURATIONS`."""
    found = Counter(
        sum(b.onset - a.onset > bound for bound in DURATIONS) for a, b in pairwise(score.line)
    )
    return shares(found)


def leap_recovery(score: Score) -> float | None:
    """The share of leaps (a fourth and more) after which the melody turns round.

    Von Hippel & Huron (2000).
    """
    turns = [
        (c.pitch - b.pitch) * (b.pitch - a.pitch) < 0
        for a, b, c in zip(score.line, score.line[1:], score.line[2:], strict=False)
        if abs(b.pitch - a.pitch) >= LEAP and c.pitch != b.pitch
    ]
    return fmean(turns) if turns else None


def ambitus(score: Score) -> float | None:
    """Semitones from the lowest to the highest note of the melody."""
    pitches = [note.pitch for note in score.line]
    return max(pitches) - min(pitches) if pitches else None


def repetition(score: Score) -> float | None:
    """The share of the melody's steps that repeat the pitch."""
    return intervals(score).get(0, 0.0) if len(score.line) > 1 else None


def leaps(score: Score) -> float | None:
    """The share of the melody's steps that are leaps (a fourth and more)."""
    found = intervals(score)
    return sum(share for size, share in found.items() if size >= LEAP) if found else None


def phrase_end(score: Score) -> float | None:
    """How long a phrase waits at its end, against the mean way from onset to onset.

    The longest way that begins in the last bar of each phrase (`Score.phrase` bars, from the
    first whole bar on), the mean of them, over the mean of all: above 1 phrases end longer than
    they run. Todd (1985) has it for timing; here it is written.
    """
    ways = [(a, b.onset - a.onset) for a, b in pairwise(score.line)]
    if not ways:
        return None
    pickup = score.line[0].onset > score.bars[0].begin + 0.5 / GRID
    longest: dict[int, float] = {}
    for note, way in ways:
        bar = score.bar_at(note.onset) - pickup
        if bar % score.phrase == score.phrase - 1:
            longest[bar] = max(longest.get(bar, 0.0), way)
    mean = fmean(way for _, way in ways)
    return fmean(longest.values()) / mean if longest and mean else None


# The parts ----------------------------------------------------------------------------------


class Presence(NamedTuple):
    """A part's share in the whole.

    sounding: share of the time in which it sounds, 0 to 1.  bars: share of bars in which it
    begins a note.  voices: notes at once while it sounds.  pitch: mean; length: mean, quarter
    notes.  velocity: mean, 0 to 127.
    """

    role: str
    notes: int
    sounding: float
    bars: float
    voices: float
    pitch: float
    length: float
    velocity: float


def presence(score: Score) -> dict[str, Presence]:
    """What each part does."""
    found = {}
    for name, notes in score.parts.items():
        reach = covered = 0.0
        for note in notes:
            covered += max(note.end - max(note.onset, reach), 0.0)
            reach = max(reach, note.end)
        lengths = sum(note.length for note in notes)
        found[name] = Presence(
            score.roles[name],
            len(notes),
            covered / score.end if score.end else 0.0,
            len({score.bar_at(note.onset) for note in notes}) / len(score.bars),
            lengths / covered if covered else 0.0,
            fmean(note.pitch for note in notes),
            lengths / len(notes),
            127 * fmean(note.velocity for note in notes),
        )
    return found


def silence(score: Score) -> float | None:
    """The share of the time in which nothing sounds, drums aside."""
    reach = covered = 0.0
    for note in score.pitched:
        covered += max(note.end - max(note.onset, reach), 0.0)
        reach = max(reach, note.end)
    return max(1 - covered / score.end, 0.0) if score.end else None


def voices(score: Score) -> float | None:
    """Pitched notes at once, the mean over time."""
    total = sum(note.length for note in score.pitched)
    return total / score.end if score.end else None


# Two scores ---------------------------------------------------------------------------------


def likeness(one: Score, other: Score) -> float:
    """How much of one melody is in another, 0 to 1: two renders that are the same have 1.

    The share of the shorter one's rows of eight notes, as intervals and ways from onset to onset,
    that the other has too, wherever they stand and in whatever key (n-grams; Downie 1999).
    """
    mine, yours = _rows(one), _rows(other)
    shorter, longer = sorted((mine, yours), key=lambda rows: rows.total())
    return sum(min(count, longer[row]) for row, count in shorter.items()) / (shorter.total() or 1)


def _rows(score: Score, size: int = 8) -> Counter[tuple[tuple[int, int], ...]]:
    moves = [
        (b.pitch - a.pitch, round((b.onset - a.onset) * GRID)) for a, b in pairwise(score.line)
    ]
    return Counter(tuple(moves[at : at + size - 1]) for at in range(len(moves) - size + 2))


class Measure(NamedTuple):
    """A measure in tables. digits: after the point; note: unit or what a value means."""

    name: str
    of: Callable[[Score], float | None]
    digits: int
    note: str


MEASURES = (
    Measure("tempo", tempo, 0, "quarter notes / min"),
    Measure("density", density, 2, "onsets / s"),
    Measure("density per beat", density_beats, 2, "onsets / quarter note"),
    Measure("melody rate", melody_rate, 2, "notes / s"),
    Measure("velocity", velocity, 0, "0-127"),
    Measure("loudness", loudness, 1, "dB above mf"),
    Measure("staccato", staccato, 2, "0 legato, 1 short"),
    Measure("register", register, 1, "MIDI number"),
    Measure("mode", mode, 2, "3 Lydian … -3 Locrian"),
    Measure("majorness", majorness, 2, "above 0 major"),
    Measure("consonance", consonance, 2, "Huron's index"),
    Measure("key fit", key_fit, 3, "share"),
    Measure("strong beats", strong_beats, 2, "share in the chord"),
    Measure("pad step", pad_step, 2, "semitones"),
    Measure("parallels", parallel_share, 3, "share of moves"),
    Measure("similarity 4", similarity_4, 2, "0-1"),
    Measure("similarity 8", similarity_8, 2, "0-1"),
    Measure("similarity 16", similarity_16, 2, "0-1"),
    Measure("exact repeats", exact_repeats, 3, "share of 8-bar stretches"),
    Measure("melody repeats", melody_repeats, 3, "share of 8-bar stretches"),
    Measure("entropy", entropy, 2, "bits"),
    Measure("leaps", leaps, 2, "share"),
    Measure("leap recovery", leap_recovery, 2, "share"),
    Measure("ambitus", ambitus, 0, "semitones"),
    Measure("repetition", repetition, 2, "share"),
    Measure("phrase end", phrase_end, 2, "× mean"),
    Measure("silence", silence, 2, "share of time"),
    Measure("voices", voices, 1, "notes at once"),
)


def measured(score: Score) -> dict[str, float]:
    """Every measure that the score gives a value for, by name."""
    found = ((measure.name, measure.of(score)) for measure in MEASURES)
    return {name: float(value) for name, value in found if value is not None}
