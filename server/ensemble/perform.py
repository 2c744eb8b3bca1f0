"""Steps become notes under the controls of the moment; free of side effects, so repeatable."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from server.music.groove import humanize, noise, swing
from server.music.meter import Place
from server.music.note import Note, Step

from .mixer import Strip
from .part import PartSpec
from .setting import Setting

STRAIGHT = 0.5
#: Roles of which a lower density takes notes away; a tune that lost some would be another tune.
THINNED = frozenset({"comp", "arp", "drums", "percussion", "fx"})
DRUMS = 10  # General MIDI's channel for them


def perform(
    spec: PartSpec, setting: Setting, strip: Strip, seed: int, step: Step
) -> list[tuple[int, Note]]:
    """The notes of a step as they would sound now, each with its number within the step.

    seed: the part's own, 64 bits.  Law: same arguments, same notes; a step that comes out
    thinner under a lower density keeps a subset of the notes it had.
    """
    if not step.tones or strip.mute:
        return []
    beat = start = step.beat
    ground = setting.ground(beat)
    weight = ground.weight
    feel = setting.conductor.feel(spec.role, beat)
    density = strip.density * feel.density if spec.role in THINNED else strip.density
    if density < 1.0 and not _kept(density, weight, seed, step.number):
        return []
    loud = spec.velocity * strip.level * feel.loudness
    loud *= 1.0 - min(spec.accents * feel.accent, 1.0) * (1.0 - weight)
    if spec.swell:
        loud *= _swell(spec.swell, ground.place, setting.phrase)
    if spec.swing != STRAIGHT and _even(ground.since):
        start += swing(ground.since, spec.swing, spec.swing_unit)
    if spec.groove is not None:
        _, position, meter = ground.place
        shift, accent = spec.groove.at(position, meter.length)
        start += shift
        loud *= accent
    nudge = 0
    if spec.human_time or spec.human_velocity:
        loose = feel.looseness
        late, factor = humanize(
            seed, step.number, spec.human_time * loose, spec.human_velocity * loose
        )
        nudge, loud = round(late * 1e9), loud * factor
    short, gate = feel.articulation, spec.gate
    if short != 1.0:  # no longer than legato, but where the part itself is
        gate = min(gate * short, max(gate, 1.0))
    end = start + _sounding(step.length, gate)
    notes = []
    for number, (pitch, velocity, length, voice, fixed, spelling) in enumerate(step.tones):
        velocity *= loud
        if not velocity > 0:
            continue
        if strip.octave and not fixed:
            pitch = _within(pitch + 12 * strip.octave)
        note = Note(
            spec.name,
            beat,
            start,
            end if length is None else start + _sounding(length, min(short, 1.0)),
            nudge,
            pitch,
            min(velocity, 1.0) ** spec.curve,
            _channel(spec.channel, voice),
            step.symbol,
            spelling,
        )
        notes.append((number, note))
    return notes


def _channel(first: int, voice: int) -> int:
    """Voices take the channels after the part's own, but never the drums'."""
    channel = first + voice
    return min(channel + (first < DRUMS <= channel), 16)


def _even(beat: Fraction) -> bool:
    """Whether halving leads here: triplets and other tuplets are played as written."""
    denominator = beat.denominator
    return not denominator & (denominator - 1)


def _swell(depth: float, place: Place, phrase: int) -> float:
    """The arch of a phrase: full in its middle, softer by `depth` at both ends (Todd, 1992)."""
    bars = (place.bar - 1) % phrase + float(place.position / place.meter.length)
    return 1.0 - depth * (2.0 * bars / phrase - 1.0) ** 2


@lru_cache(256)
def _sounding(length: Fraction, gate: float) -> Fraction:
    return length * Fraction(gate).limit_denominator(1000)


def _within(pitch: int) -> int:
    """By whole octaves back to what MIDI has."""
    if pitch > 127:
        return 116 + (pitch - 116) % 12
    return pitch % 12 if pitch < 0 else pitch


def _kept(density: float, weight: float, seed: int, index: int) -> bool:
    """Thinning takes upbeats first: the stronger the place, the longer a note stays."""
    if density <= 0:
        return False
    threshold: float = density ** (1.5 - weight)
    return noise(seed, index) < threshold
