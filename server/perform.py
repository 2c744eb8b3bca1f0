"""Steps become notes under the controls of the moment; free of side effects, so repeatable."""

from __future__ import annotations

from fractions import Fraction

from .mixer import Strip
from .music.groove import humanize, noise, swing
from .music.note import Note, Step
from .part import PartSpec, Setting

STRAIGHT = 0.5


def perform(
    spec: PartSpec, setting: Setting, strip: Strip, seed: int, step: Step
) -> list[tuple[int, Note]]:
    """The notes of a step as they would sound now, each with its number within the step.

    seed: the part's own, 64 bits.  Law: same arguments, same notes; a step that comes out
    thinner under a lower density keeps a subset of the notes it had.
    """
    if not step.tones or strip.mute:
        return []
    beat = step.beat
    _, position, meter = setting.place(beat)
    weight = meter.weight(position)
    if strip.density < 1.0 and not _kept(strip.density, weight, seed, step.number):
        return []
    loud = spec.velocity * strip.level * (1.0 - spec.accents * (1.0 - weight))
    start = beat
    if spec.swing != STRAIGHT:
        start += swing(beat, spec.swing, spec.swing_unit)
    if spec.groove is not None:
        shift, accent = spec.groove.at(position, meter.length)
        start += shift
        loud *= accent
    nudge = 0
    if spec.human_time or spec.human_velocity:
        late, factor = humanize(seed, step.number, spec.human_time, spec.human_velocity)
        nudge, loud = round(late * 1e9), loud * factor
    sounding = step.length * Fraction(spec.gate).limit_denominator(1000)
    shifted = 12 * strip.octave
    notes = []
    for number, (pitch, velocity, at, length, voice) in enumerate(step.tones):
        velocity *= loud
        if velocity <= 0:
            continue
        midi = pitch + shifted
        while midi > 127:
            midi -= 12
        while midi < 0:
            midi += 12
        begin = start + at if at else start
        end = begin + (sounding if length is None else length)
        channel = min(spec.channel + voice, 16)
        note = Note(
            spec.name, beat + at, begin, end, nudge, midi, min(velocity, 1.0), channel, step.symbol
        )
        notes.append((number, note))
    return notes


def _kept(density: float, weight: float, seed: int, index: int) -> bool:
    """Thinning takes upbeats first: the stronger the place, the longer a note stays."""
    if density <= 0:
        return False
    threshold: float = density ** (1.5 - weight)
    return noise(seed, index) < threshold
