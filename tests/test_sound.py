"""The measures on sound, on tones of which the right answer is known; and with a real synth."""

from __future__ import annotations

import io
from math import pi
from pathlib import Path

import mido
import pytest

from scripts.listening import scenes
from tests.rigs.need import need

np = pytest.importorskip("numpy")

from scripts.listening import audio, sound  # noqa: E402 (they need numpy)


def tone(hertz: float, amplitude: float = 1.0, seconds: float = 3.0) -> sound.Samples:
    """A sine on both channels."""
    at = np.arange(round(seconds * sound.RATE)) / sound.RATE
    one = amplitude * np.sin(2 * pi * hertz * at)
    both: sound.Samples = np.stack([one, one], axis=1)
    return both


def test_a_full_tone_on_one_channel_has_the_loudness_that_the_standard_gives_it() -> None:
    left = tone(997) * np.array([1.0, 0.0])
    assert sound.integrated(sound.blocks(left)) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("decibels", [-6.0, -20.0, -40.0])
def test_loudness_goes_with_amplitude(decibels: float) -> None:
    loud, soft = tone(440), tone(440, 10 ** (decibels / 20))
    step = sound.integrated(sound.blocks(soft)) - sound.integrated(sound.blocks(loud))
    assert step == pytest.approx(decibels, abs=0.01)


def test_silence_between_tones_does_not_make_them_softer() -> None:
    played = tone(440, 0.1)
    rested = np.concatenate([played, np.zeros((10 * sound.RATE, 2))])
    together = [sound.integrated(sound.blocks(each)) for each in (played, rested)]
    assert together[1] == pytest.approx(together[0], abs=0.5)
    assert sound.integrated(sound.blocks(np.zeros((sound.RATE, 2)))) == float("-inf")


def test_a_tone_is_its_own_centroid_and_has_its_crest() -> None:
    found = sound.measured(tone(1000, 0.5) * np.array([1.0, 0.5]))
    assert found.centroid == pytest.approx(1000, rel=0.02)
    assert found.peak == pytest.approx(-6.02, abs=0.01)
    assert found.side == pytest.approx(6.02, abs=0.01)
    assert sound.measured(tone(1000)).crest == pytest.approx(3.01, abs=0.01)


def test_a_part_is_heard_where_nothing_covers_it() -> None:
    part = tone(1000, 0.1)
    alone = sound.place(part, part)
    covered = sound.place(part, part + tone(1010, 1.0))
    apart = sound.place(part, part + tone(200, 1.0))
    assert alone is not None and covered is not None and apart is not None
    assert alone.below == pytest.approx(0.0, abs=0.01)
    assert covered.below == pytest.approx(20, abs=1.0)
    assert (alone.clear, covered.clear, apart.clear) == (1.0, 0.0, 1.0)
    assert sound.place(np.zeros_like(part), part) is None


def test_a_part_alone_keeps_its_place_in_time() -> None:
    scene = scenes.shipped("default", 1)
    file, sections = audio.take(scene, "happy", 8)
    whole = mido.MidiFile(file=io.BytesIO(file))
    bass = mido.MidiFile(file=io.BytesIO(audio.alone(file, "bass")))
    assert sections[0] == (0.0, "Start")
    for before, after in zip(whole.tracks, bass.tracks, strict=True):
        notes = [m for m in after if m.type == "note_on"]
        assert bool(notes) == (before.name == "bass")
        assert sum(m.time for m in after) == sum(m.time for m in before)
    assert next(t for t in bass.tracks if t.name == "bass") == next(
        t for t in whole.tracks if t.name == "bass"
    )


@pytest.mark.real
def test_moods_sound_as_loud_and_bright_as_their_arousal(tmp_path: Path) -> None:
    need("fluidsynth", "fluidsynth")
    if not sorted(audio.FONTS.glob("*.sf2")):
        pytest.skip(f"there is no soundfont in {audio.FONTS}")
    font = audio.soundfont(None)
    made = [
        audio.hear(scenes.shipped("default", 1), word, 8, font, tmp_path)
        for word in ("excited", "tired")
    ]
    assert made[0].mix.loudness > made[1].mix.loudness + 3
    assert made[0].mix.centroid > made[1].mix.centroid
    assert all(each.mix.peak < 0 for each in made)
    assert len(list(tmp_path.glob("*.wav"))) == 2
