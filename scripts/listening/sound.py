"""Measures on sound itself: stereo samples at 48 kHz, in numpy."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RATE = 48_000
SILENT = -70.0  # LUFS below which nothing counts
FRAME, HOP = 4096, 2048
CHUNK = 1 << 16

Samples = npt.NDArray[np.float64]  # (samples, channels)

#: ITU-R BS.1770-4, tables 1 and 2: the shelf of a head and the high-pass, at 48 kHz: (b, a).
K_WEIGHTING = (
    (
        (1.53512485958697, -2.69169618940638, 1.19839281085285),
        (1.0, -1.69065929318241, 0.73248077421585),
    ),
    ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621)),
)


class Sound(NamedTuple):
    """What is measured on a stretch of sound.

    loudness: LUFS, integrated and gated; `-inf` for silence.  peak: dB full scale, of samples.
    crest: dB from the mean power to the peak.  centroid: Hz.  side: dB by which the left channel
    is louder than the right.
    """

    loudness: float
    peak: float
    crest: float
    centroid: float
    side: float


def weighted(samples: Samples) -> Samples:
    """Samples as ITU-R BS.1770 weighs them: by frequency, as heard at a head."""
    count = len(samples)
    size = -(-(count + 1) // CHUNK) * CHUNK  # few large factors, and a little silence at the end
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    response = np.ones(size // 2 + 1, dtype=np.complex128)
    for b, a in K_WEIGHTING:
        response *= np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    spectrum = np.fft.rfft(samples, size, axis=0) * response[:, None]
    return np.fft.irfft(spectrum, size, axis=0)[:count]


def blocks(samples: Samples) -> npt.NDArray[np.float64]:
    """Weighted power, both channels, of blocks of 400 ms that begin every 100 ms."""
    power = np.concatenate([[0.0], np.cumsum((weighted(samples) ** 2).sum(axis=1))])
    begins = np.arange(0, max(len(samples) - RATE * 4 // 10, 0) + 1, RATE // 10)
    ends = np.minimum(begins + RATE * 4 // 10, len(samples))
    found: npt.NDArray[np.float64] = (power[ends] - power[begins]) / np.maximum(ends - begins, 1)
    return found


def level(power: float) -> float:
    """Weighted power as LUFS."""
    return float(-0.691 + 10 * np.log10(power)) if power > 0 else float("-inf")


def integrated(power: npt.NDArray[np.float64]) -> float:
    """The loudness of blocks, of which the soft ones are gated out: ITU-R BS.1770-4, LUFS."""
    loud = power[power > 10 ** ((SILENT + 0.691) / 10)]
    if not len(loud):
        return float("-inf")
    loud = loud[loud > loud.mean() / 10]
    return level(float(loud.mean()))


def centroid(samples: Samples) -> float:
    """The centre of gravity of the amplitude spectrum, Hz; the mean of frames by amplitude.

    After Grey & Gordon (1978), who found it to go with brightness.
    """
    spectra = np.abs(_spectra(samples.mean(axis=1)))
    total = spectra.sum()
    bins = np.fft.rfftfreq(FRAME, 1 / RATE)
    return float((spectra.sum(axis=0) * bins).sum() / total) if total > 0 else 0.0


def measured(samples: Samples) -> Sound:
    """Every measure of a stretch of sound."""
    channels = (samples**2).mean(axis=0)
    power, peak = float(channels.mean()), float(np.abs(samples).max(initial=0.0))
    side = 10 * np.log10(channels[0] / channels[1]) if channels.min() > 0 else 0.0
    decibels = 20 * np.log10(peak) if peak > 0 else float("-inf")
    crest = decibels - 10 * np.log10(power) if power > 0 else 0.0
    return Sound(
        integrated(blocks(samples)), float(decibels), float(crest), centroid(samples), float(side)
    )


class Place(NamedTuple):
    """A part in the mix while it sounds.

    below: dB by which it is softer than all together (weighted power).  clear: share of its time
    in which it is heard, 0 to 1: in some third of an octave no more than 6 dB below the rest.
    """

    below: float
    clear: float


def place(part: Samples, mix: Samples) -> Place | None:
    """How a part lies in a mix that contains it; None where it is silent."""
    own, whole = blocks(part), blocks(mix)[: len(part)]
    count = min(len(own), len(whole))
    own, whole = own[:count], whole[:count]
    sounds = own > max(10 ** ((SILENT + 0.691) / 10), own.max(initial=0.0) / 100)
    if not sounds.any():
        return None
    below = 10 * np.log10(whole[sounds].sum() / own[sounds].sum())
    return Place(float(below), _clear(part, mix))


def _clear(part: Samples, mix: Samples) -> float:
    mine, rest = _thirds(part), _thirds(mix - part)
    count = min(len(mine), len(rest))
    mine, rest = mine[:count], rest[:count]
    strength = mine.sum(axis=1)
    sounds = strength > strength.max(initial=0.0) / 100
    # A band counts where it is a tenth of the part at least: nobody hears it by its noise.
    heard = (mine > rest / 4) & (mine > strength[:, None] / 10)
    return float(heard[sounds].any(axis=1).mean()) if sounds.any() else 0.0


def _thirds(samples: Samples) -> npt.NDArray[np.float64]:
    """Power by frame in thirds of an octave from 50 Hz to 12.5 kHz, both channels together."""
    power = np.abs(_spectra(samples.mean(axis=1))) ** 2
    edges = 1000 * 2 ** ((np.arange(-13, 13) - 0.5) / 3)
    places = np.searchsorted(np.fft.rfftfreq(FRAME, 1 / RATE), edges)
    bands = [power[:, low : max(high, low + 1)].sum(axis=1) for low, high in pairwise(places)]
    return np.stack(bands, axis=1)


def _spectra(channel: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Spectra of overlapping frames, by a Hann window."""
    if len(channel) < FRAME:
        channel = np.pad(channel, (0, FRAME - len(channel)))
    frames = np.lib.stride_tricks.sliding_window_view(channel, FRAME)[::HOP]
    return np.fft.rfft(frames * np.hanning(FRAME), axis=1)
