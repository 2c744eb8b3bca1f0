"""What is done with a theme, as functions from a theme to a theme: the old arts of the motif."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from random import Random

from engines.base import Mistake

from .value import (
    DOTTED,
    HALF,
    MOST_NOTES,
    OCTAVE,
    QUARTER,
    THREE,
    TWO,
    F,
    Motif,
    Note,
    breathes,
    compound,
    groups_of,
    made,
    strong_beats,
    within,
)

_CUT = Fraction(1, 8)  # the quickest note there is


def transpose(motif: Motif, steps: int) -> Motif:
    """All of it so many scale steps higher. Law: steps add up, and 0 changes nothing."""
    return made(motif, (note._replace(step=note.step + steps) for note in motif.notes))


def invert(motif: Motif, axis: int | None = None) -> Motif:
    """Upside down about a step, its first note's unless told. Law: twice is as before."""
    axis = motif.notes[0].step if axis is None else axis
    return made(
        motif,
        (
            note._replace(step=2 * axis - note.step, alteration=-note.alteration)
            for note in motif.notes
        ),
    )


def retrograde(motif: Motif) -> Motif:
    """Backwards, rests and all. Law: twice is as before."""
    return made(
        motif, (note._replace(at=motif.length - note.end) for note in reversed(motif.notes))
    )


def augment(motif: Motif, factor: Fraction = TWO) -> Motif:
    """Slower by a factor; what is left of a last bar is rest.

    Law: diminish(augment(m, f), f) == m where f times its length is whole bars.
    """
    length = -(-motif.length * factor // motif.bar) * motif.bar
    return made(
        motif,
        (note._replace(at=note.at * factor, length=note.length * factor) for note in motif.notes),
        length,
    )


def diminish(motif: Motif, factor: Fraction = TWO) -> Motif:
    """Faster by a factor; what is left of a last bar is rest."""
    return augment(motif, 1 / factor)


def fragment(motif: Motif, first: int = 1, count: int = 1) -> Motif:
    """So many of its bars, from a bar on (1 is the first); notes end where it ends.

    Errors: Mistake where there are no such bars, or no note in them.
    Law: join(fragment(m, 1, k), fragment(m, k + 1, m.bars - k)) == m where no note crosses.
    """
    if not 1 <= first <= first + count - 1 <= motif.bars:
        problem = f"expected bars within 1 to {motif.bars}"
        raise Mistake("theme", f"{problem}, got {count} from {first} on")
    start, length = (first - 1) * motif.bar, count * motif.bar
    return made(motif, within(motif, start, start + length), length)


def join(first: Motif, *more: Motif) -> Motif:
    """One after another, under the first one's name and metre. Law: lengths add up."""
    notes, length = list(first.notes), first.length
    for motif in more:
        notes += [note._replace(at=note.at + length) for note in motif.notes]
        length += motif.length
    return made(first, notes, length)


def sequence(motif: Motif, steps: Sequence[int] = (0, 1)) -> Motif:
    """Itself over again at each of these distances in steps. Law: [0] changes nothing."""
    return join(*(transpose(motif, each) for each in steps))


def displace(motif: Motif, by: Fraction = HALF) -> Motif:
    """All of it so much later (or earlier) against the bar, going round at the end.

    Law: displace(displace(m, d), -d) == m where d ends in rest before the end of m.
    """
    notes = []
    for note in motif.notes:
        at = (note.at + by) % motif.length
        notes.append(note._replace(at=at, length=min(note.length, motif.length - at)))
    return made(motif, sorted(notes))


def extend(motif: Motif, by: Fraction) -> Motif:
    """Its last note so much longer, more bars if need be. Law: onsets and steps stay."""
    *notes, last = motif.notes
    last = last._replace(length=last.length + max(by, F(0)))
    return made(motif, [*notes, last], max(motif.length, -(-last.end // motif.bar) * motif.bar))


def simplify(motif: Motif) -> Motif:
    """Its skeleton: what begins on the bar's groups, and each note before a breath.

    Each note that stays lasts over those that go. Laws: twice is as once; and
    simplify(ornament(m, …)) == simplify(m).
    """
    strong = strong_beats(motif)
    kept: list[Note] = []
    for number, note in enumerate(motif.notes):
        closes = breathes(motif, number)
        joined = bool(kept) and kept[-1].end == note.at
        if note.at % motif.bar in strong or not joined or (closes and note.length >= 1):
            kept.append(note)
        else:
            kept[-1] = kept[-1]._replace(length=note.end - kept[-1].at)
    return made(motif, kept)


def thin(motif: Motif, rng: Random, amount: float = 0.5) -> Motif:
    """Some of its bars as in `simplify`, the first and the last ones last.

    amount: share of the bars, 0 to 1. Law: at 0 nothing changes, and 1 leaves each bar's skeleton.
    """
    order = rng.sample(range(motif.bars), motif.bars)
    order.sort(key=lambda bar: bar in (0, motif.bars - 1))
    plain = set(order[: round(motif.bars * min(max(amount, 0.0), 1.0))])
    skeleton = {note.at: note for note in simplify(motif).notes}
    notes: list[Note] = []
    for note in motif.notes:
        if int(note.at // motif.bar) not in plain:
            notes.append(note)
        elif note.at in skeleton:
            line = (note.at // motif.bar + 1) * motif.bar
            notes.append(
                note._replace(
                    length=min(skeleton[note.at].length, max(line - note.at, note.length))
                )
            )
    return made(motif, notes)


def ornament(motif: Motif, rng: Random, amount: float = 0.5) -> Motif:
    """Neighbours, passing notes and turns in its longer notes. amount: share of those, 0 to 1.

    Law: every note of it stays where it was, at its pitch; what is new falls between strong
    beats, and never before a breath.
    """
    strong = strong_beats(motif)
    notes: list[Note] = []
    for number, note in enumerate(motif.notes):
        if not breathes(motif, number) and rng.random() < amount:
            figure = _figure(note, motif.notes[number + 1].step, rng)
            if len(figure) > 1 and not any(each.at % motif.bar in strong for each in figure[1:]):
                notes += figure
                continue
        notes.append(note)
    adorned = made(motif, notes[:MOST_NOTES])
    # New onsets may make a bar of three read as two threes; then other beats would be strong.
    return adorned if compound(adorned) == compound(motif) else motif


def _figure(note: Note, following: int, rng: Random) -> list[Note]:
    """A note with its ornament, in the same time; itself where it is too short for one."""
    step, length = note.step, note.length
    gap = following - step
    way = 1 if gap > 0 else -1
    if length < 1 and rng.random() < 0.7:  # semiquavers are a spice
        return [note]
    if length < HALF or length not in (HALF, 1, DOTTED, 2, 3):
        return [note]
    if abs(gap) == 2:  # fill the third
        tail = [step + way]
    elif abs(gap) in (3, 4) and length >= 1:
        tail = [step + way, step + 2 * way] if abs(gap) == 3 else [step + way, step + 3 * way]
    elif gap == 0:
        tail = [step + rng.choice((1, 1, -1))]
    elif length >= 1 and rng.random() < 0.5:  # a turn round the note
        tail = [step + 1, step] if gap < 0 else [step - 1, step]
    else:  # the other neighbour, then on
        tail = [step - way]
    piece = min(HALF, length / 2) if len(tail) == 1 else min(QUARTER, length) / 4
    first = length - piece * len(tail)
    at = note.at + first
    made = [note._replace(length=first)]
    for each in tail:
        made.append(Note(at, piece, each))
        at += piece
    return made


def fill(motif: Motif, rng: Random, amount: float = 0.5, unit: Fraction = HALF) -> Motif:
    """Its longer notes in running ones of a unit, on the way to what comes next.

    amount: share of those that run, 0 to 1.
    Laws: every note still begins where it did, at its pitch, and on strong beats nothing new
    sounds but the note itself, struck again; before a breath nothing changes.
    """
    strong = strong_beats(motif)
    notes: list[Note] = []
    for number, note in enumerate(motif.notes):
        if breathes(motif, number) or note.length < 2 * unit or rng.random() >= amount:
            notes.append(note)
            continue
        cuts = [note.at, note.end]
        at = -(-note.at // unit) * unit
        while at < note.end:
            if at > note.at and at % motif.bar in strong:
                cuts.insert(-1, at)
            at += unit
        for begin, end in pairwise(cuts):
            goal = motif.notes[number + 1].step if end == note.end else note.step
            piece = note._replace(at=begin, length=end - begin)
            notes += _running(piece, goal, unit, rng)
    return made(motif, notes[:MOST_NOTES])


#: Ways of running on, as steps upwards from a note: by how many notes there is room for, then by
#: how far up the next one of the tune lies (0 to 4, and beyond).
_RUNS: dict[int, tuple[str, ...]] = {
    1: ("1|-1", "-1|2|0", "1", "2|1", "2", "2"),
    2: ("2 1|1 -1", "-1 0|2 0", "-1 1|0 1", "1 2", "1 3|2 3", "2 4"),
    3: (
        *("1 0 -1|2 0 1|-1 0 1", "2 1 0|-1 0 2|-1 -2 0", "-1 0 1|2 0 1|1 0 1"),
        *("-1 0 2|0 1 2", "1 2 3|2 1 3", "2 3 4|2 4 4"),
    ),
}


def _running(note: Note, following: int, unit: Fraction, rng: Random) -> list[Note]:
    """A note and what runs on from it, in the same time; what is too long is held at first."""
    room = min(int(note.length / unit) - 1, 3)
    if room < 1:
        return [note]
    gap = following - note.step
    way = 1 if gap > 0 or (gap == 0 and rng.random() < 0.5) else -1
    made = [note._replace(length=note.length - room * unit)]
    for by in rng.choice(_RUNS[room][min(abs(gap), 5)].split("|")).split():
        made.append(Note(made[-1].end, unit, note.step + way * int(by)))
    return made


def grace(motif: Motif, rng: Random, amount: float = 0.3) -> Motif:
    """Quick notes from the next step, at the very end of the note before: a fiddler's cuts.

    amount: share of the notes on beats that get one, 0 to 1.
    Law: every note still begins where it did, at its pitch.
    """
    notes: list[Note] = []
    for note in motif.notes:
        before = notes[-1] if notes else None
        joined = before is not None and before.end == note.at and before.length >= HALF
        if joined and note.at.denominator == 1 and note.length >= HALF and rng.random() < amount:
            assert before is not None
            step = note.step + (1 if before.step != note.step + 1 else -1)
            notes[-1] = before._replace(length=before.length - _CUT)
            notes.append(Note(note.at - _CUT, _CUT, step))
        notes.append(note)
    return made(motif, notes[:MOST_NOTES])


def in_meter(motif: Motif, bar: Fraction) -> Motif:
    """The same in bars of another length, each half of a bar fitted to the other's half.

    4/4 gives its second half's time for 3/4; two quarters become a quarter and a quaver in
    6/8. Laws: strong beats stay strong, and in_meter(in_meter(m, b), m.bar) == m.
    """
    if bar == motif.bar:
        return motif
    old, new = _halves(motif.bar), _halves(bar)

    def moved(at: Fraction) -> Fraction:
        number, rest = divmod(at, motif.bar)
        if rest < old[0]:
            return number * bar + _bent(rest, old[0], new[0])
        return number * bar + new[0] + _bent(rest - old[0], old[1], new[1])

    notes = []
    for note in motif.notes:
        at = moved(note.at)
        notes.append(note._replace(at=at, length=moved(note.end) - at))
    chords = tuple((word, length * bar / motif.bar) for word, length in motif.chords)
    return Motif(motif.name, tuple(notes), motif.bars * bar, bar, chords)


def _halves(bar: Fraction) -> tuple[Fraction, Fraction]:
    if bar == 3:
        return TWO, F(1)
    groups = groups_of(bar)
    if len(groups) == 1:
        return bar / 2, bar / 2
    cut = (len(groups) + 1) // 2
    return sum(groups[:cut], F(0)), sum(groups[cut:], F(0))


def _bent(at: Fraction, old: Fraction, new: Fraction) -> Fraction:
    """A place in one group of beats as a place in another; the beat inside stays a beat."""
    inner = {(TWO, DOTTED): (1, 1), (DOTTED, TWO): (1, 1)}
    inner |= {(TWO, THREE): (1, 2), (THREE, TWO): (2, 1)}
    knee = inner.get((old, new))
    if knee is None:
        return at * new / old
    if at <= knee[0]:
        return at * F(knee[1], knee[0])
    return knee[1] + (at - knee[0]) * (new - knee[1]) / (old - knee[0])


Cell = tuple[tuple[Fraction, Fraction], ...]


def cells(motif: Motif) -> tuple[Cell, ...]:
    """Its different rhythms of a bar, most frequent first: onset in the bar, and length.

    Law: the rhythm of every bar is among them.
    """
    bars: dict[Cell, int] = {}
    for number in range(motif.bars):
        start = number * motif.bar
        cell = tuple((n.at, n.length) for n in within(motif, start, start + motif.bar))
        bars[cell] = bars.get(cell, 0) + 1
    return tuple(sorted(bars, key=lambda cell: -bars[cell]))


def closed(motif: Motif) -> Motif:
    """Its last bar led home: the tonic on the bar's second strong beat, held to the end.

    Law: what comes before the last bar stays, and the last note is the tonic.
    """
    start = motif.length - motif.bar
    strong = sorted(strong_beats(motif))
    at = start + (strong[1] if len(strong) > 1 else Fraction(0))
    notes = [
        note._replace(length=min(note.length, at - note.at)) for note in motif.notes if note.at < at
    ]
    before = notes[-1].step if notes else 0
    tonic = OCTAVE * round(before / OCTAVE)
    if notes and notes[-1].at >= start and abs(before - tonic) != 1:
        way = 1 if before >= tonic else -1  # from the side it comes from
        notes[-1] = notes[-1]._replace(step=tonic + way, alteration=0)
    return made(motif, [*notes, Note(at, motif.length - at, tonic)])
