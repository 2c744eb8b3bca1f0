"""What listeners would hear, by published effects alone: valence and arousal of a score.

Eerola, Friberg & Bresin (2013, Frontiers in Psychology 4:487) had 200 examples rated for happy,
sad, scary and peaceful, and found that cues add up in a linear way. The table has the part of
each emotion's variance that a cue explains by itself (squared semipartial correlations), signed
by its direction. Nothing here is fitted to what this program plays.
"""

from __future__ import annotations

from math import log2, sqrt
from typing import NamedTuple

from scripts.listening.measures import loudness, melody_rate, melody_staccato, mode, register
from scripts.listening.score import Score

#: Cue -> share of variance in happy, sad, peaceful, scary. Cues rise to major, fast, high, loud
#: and short. Mode, tempo, register and dynamics as others report the paper's table 1. Unconfirmed:
#: tempo for scary (at most 0.12, as the published median over the four is 0.14; half of that is
#: taken), and articulation (the published median, 0.02, for each, directions after Gabrielsson &
#: Lindström 2010).
EFFECTS = {
    "mode": (0.48, -0.54, 0.05, -0.08),
    "tempo": (0.12, -0.21, -0.15, 0.06),
    "register": (0.09, -0.01, 0.06, -0.15),
    "dynamics": (0.0, 0.0, -0.14, 0.08),
    "articulation": (0.02, -0.02, -0.02, 0.02),
}
#: The lowest and the highest level of each cue in the same study: notes a second (read on a
#: logarithmic scale, on which its five levels are evenly spaced), MIDI numbers, dB, 1 - ratio.
LEVELS = {
    "tempo": (1.2, 6.0),
    "register": (53.0, 83.0),
    "dynamics": (-10.0, 10.0),
    "articulation": (0.0, 0.75),
}
#: Temperley & Tan (2013): how often a melody in each mode was the happier of two, from the ladder's
#: Locrian (which they left out, and which here stands with Phrygian) up to Lydian.
HAPPIER = (0.21, 0.21, 0.34, 0.40, 0.64, 0.83, 0.58)


class Felt(NamedTuple):
    """What is heard in music, both from -1 to 1."""

    valence: float
    arousal: float


def _axes() -> tuple[dict[str, float], dict[str, float]]:
    """The weights of the cues on valence and on arousal; each axis' weights sum to 1.

    Happy, scary, sad and peaceful lie in the four quadrants. Valence has two contrasts in them,
    happy - sad and peaceful - scary, and arousal too, happy - sad and scary - peaceful. A cue
    belongs to the axis on which the two contrasts agree, with their mean; one that is 0 does not
    disagree, but then the other must be arousal's (dynamics: Ilie & Thompson 2006). So each cue
    goes to one axis, as where the axes were asked for themselves: mode to valence and tempo to
    arousal (Ramos, Bueno & Bigand 2011).
    """
    valence: dict[str, float] = {}
    arousal: dict[str, float] = {}
    for cue, effects in EFFECTS.items():
        happy, sad, peaceful, scary = (
            sqrt(abs(effect)) * (1 if effect >= 0 else -1) for effect in effects
        )
        rising, falling = happy - sad, peaceful - scary
        axis = valence if rising * falling > 0 else arousal
        axis[cue] = (rising + abs(falling)) / 4
    return _shared(valence), _shared(arousal)


def _shared(axis: dict[str, float]) -> dict[str, float]:
    total = sum(axis.values())
    return {cue: weight / total for cue, weight in axis.items()}


VALENCE, AROUSAL = _axes()


def level(cue: str, value: float) -> float:
    """A cue's value between the study's lowest level, -1, and its highest, 1, held there."""
    low, high = LEVELS[cue]
    if cue == "tempo":
        low, high, value = log2(low), log2(high), log2(max(value, 0.01))
    return max(-1.0, min(1.0, 2 * (value - low) / (high - low) - 1))


def happiness(place: float) -> float:
    """How happy a mode sounds, -1 (Phrygian) to 1 (major), from its place on the ladder."""
    index = max(0.0, min(6.0, place + 3))
    below = min(int(index), 5)
    share = HAPPIER[below] + (index - below) * (HAPPIER[below + 1] - HAPPIER[below])
    low, high = min(HAPPIER), max(HAPPIER)
    return 2 * (share - low) / (high - low) - 1


def cues(score: Score) -> dict[str, float]:
    """Each cue of a score, -1 to 1; 0 where the score has none."""
    found = {
        "tempo": melody_rate(score),
        "register": register(score),
        "dynamics": loudness(score),
        "articulation": melody_staccato(score),
    }
    place = mode(score)
    return {
        "mode": 0.0 if place is None else happiness(place),
        **{cue: 0.0 if value is None else level(cue, value) for cue, value in found.items()},
    }


def predict(score: Score) -> Felt:
    """The valence and arousal that listeners would hear in a score."""
    found = cues(score)
    return Felt(
        sum(weight * found[cue] for cue, weight in VALENCE.items()),
        sum(weight * found[cue] for cue, weight in AROUSAL.items()),
    )


def same_quadrant(asked: Felt, heard: Felt) -> bool:
    """Whether both signs agree."""
    return asked.valence * heard.valence > 0 and asked.arousal * heard.arousal > 0
