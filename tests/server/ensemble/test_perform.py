from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engines.base import Symbol
from server.ensemble.mixer import Strip
from server.ensemble.perform import perform
from server.ensemble.setting import Setting
from server.music.groove import parse_groove
from server.music.meter import parse_meters
from server.music.note import Note, Step, Tone
from server.music.scale import parse_key
from tests.server.model import row

F = Fraction
START = F(0)
SETTING = Setting(1, parse_key("C major"), parse_meters("4/4"))
TRIAD = (Tone(60), Tone(64), Tone(67))
positions = st.fractions(0, 64, max_denominator=24)


def sounded(
    beat: Fraction = START,
    tones: tuple[Tone, ...] = TRIAD,
    strip: Strip | None = None,
    number: int = 0,
    setting: Setting = SETTING,
    **spec: Any,
) -> list[Note]:
    step = Step(1, number, beat, F(1), tones, (), Symbol("x"))
    return [note for _, note in perform(row("a", "C", **spec), setting, strip or Strip(), 7, step)]


def test_a_step_becomes_notes_of_its_length_times_the_gate() -> None:
    notes = sounded(F(3), gate=0.5)
    assert [(n.beat, n.start, n.end, n.pitch) for n in notes] == [
        (F(3), F(3), F(7, 2), pitch) for pitch in (60, 64, 67)
    ]
    (own,) = sounded(tones=(Tone(60, length=F(5, 3)),), gate=0.5)
    assert own.end == F(5, 3)


def test_mute_and_level() -> None:
    assert sounded(strip=Strip(mute=True)) == []
    assert sounded(strip=Strip(level=0.0)) == []
    plain, loud = sounded()[0], sounded(strip=Strip(level=2.0), velocity=0.75)[0]
    assert loud.velocity == min(2 * plain.velocity, 1.0)


@given(positions, st.integers(-4, 4), st.integers(0, 127))
def test_an_octave_moves_pitches_by_octaves_and_leaves_drums_alone(
    beat: Fraction, octave: int, pitch: int
) -> None:
    tones = (Tone(pitch), Tone(36, fixed=True))
    moved, drum = sounded(beat, tones, Strip(octave=octave))
    assert 0 <= moved.pitch <= 127
    assert (moved.pitch - pitch) % 12 == 0
    assert moved.pitch == pitch + 12 * octave or not 0 <= pitch + 12 * octave <= 127
    assert drum.pitch == 36


@given(positions, st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_a_lower_density_keeps_a_subset(beat: Fraction, number: int, a: float, b: float) -> None:
    less, more = sorted((a, b))
    thin = sounded(beat, strip=Strip(density=less), number=number)
    thick = sounded(beat, strip=Strip(density=more), number=number)
    assert not thin or thin == thick
    assert sounded(beat, strip=Strip(density=0.0), number=number) == []


def test_density_is_the_share_of_what_is_played_on_beats() -> None:
    kept = sum(bool(sounded(F(1), strip=Strip(density=0.5), number=n)) for n in range(4000))
    assert abs(kept / 4000 - 0.5) < 0.03


def test_accents_follow_the_metre() -> None:
    down, beat, up = (sounded(F(b), accents=1.0)[0].velocity for b in (F(0), F(1), F(3, 2)))
    assert down > beat > up
    assert sounded(F(0), accents=0.0)[0].velocity == sounded(F(3, 2), accents=0.0)[0].velocity


@given(positions, st.floats(0.5, 0.75))
def test_swing_never_accumulates(beat: Fraction, amount: float) -> None:
    late = sounded(beat, swing=amount)[0].start - beat
    assert 0 <= late <= F(1, 4)
    assert late == sounded(beat + 16, swing=amount)[0].start - beat - 16
    assert sounded(F(int(beat)), swing=amount)[0].start == int(beat)


def test_swing_and_metre_count_from_where_the_scene_begins() -> None:
    begin = F(1, 3)
    later = Setting(1, SETTING.key, SETTING.meters, begin)
    for beat in (F(0), F(1, 2), F(3, 4)):
        (here,) = sounded(beat, TRIAD[:1], swing=0.6, groove=parse_groove("laid-back"))
        (there,) = sounded(
            beat + begin, TRIAD[:1], setting=later, swing=0.6, groove=parse_groove("laid-back")
        )
        assert (there.start - begin, there.velocity) == (here.start, here.velocity)


@given(positions, st.integers(0, 10**9))
def test_humanising_belongs_to_the_step_and_moves_a_chord_as_one(
    beat: Fraction, number: int
) -> None:
    notes = sounded(beat, number=number, human_time=0.01, human_velocity=0.2)
    assert notes == sounded(beat, number=number, human_time=0.01, human_velocity=0.2)
    assert len({note.nudge for note in notes}) == 1
    assert abs(notes[0].nudge) <= 25_000_000
    assert all(note.start == beat and 0 < note.velocity <= 1 for note in notes)


def test_voices_take_channels_of_their_own() -> None:
    tones = tuple(Tone(60, voice=voice) for voice in (0, 1, 99))
    assert [note.channel for note in sounded(tones=tones, channel=3)] == [3, 4, 16]


def test_no_voice_strays_onto_the_drums() -> None:
    tones = tuple(Tone(60, voice=voice) for voice in range(20))
    channels = [note.channel for note in sounded(tones=tones, channel=1)]
    assert channels[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert (set(channels) & {10}, max(channels)) == (set(), 16)
    assert [n.channel for n in sounded(tones=tones[:2], channel=10)] == [10, 11]


@given(st.floats(0.05, 1), st.floats(0.25, 4), st.floats(0.25, 4))
def test_a_curve_bends_velocities_and_keeps_their_order_and_their_ends(
    velocity: float, one: float, other: float
) -> None:
    def loud(curve: float, velocity: float = velocity) -> float:
        return sounded(velocity=velocity, accents=0.0, curve=curve)[0].velocity

    assert abs(loud(one) - velocity**one) < 1e-12
    assert (loud(min(one, other))) >= loud(max(one, other))
    assert loud(one, 1.0) == 1.0
    assert loud(one, velocity / 2) < loud(one)


@given(st.floats(0, 1), st.integers(1, 8), st.integers(0, 7))
def test_a_swell_is_an_arch_over_each_phrase(depth: float, phrase: int, before: int) -> None:
    setting = Setting(1, SETTING.key, SETTING.meters, phrase=phrase)
    begin = F(4 * phrase * before)

    def loud(share: Fraction) -> float:
        at = begin + share * 4 * phrase
        notes = sounded(at, velocity=1.0, accents=0.0, swell=depth, setting=setting)
        return notes[0].velocity if notes else 0.0

    assert loud(F(1, 2)) == 1.0
    assert abs(loud(F(0)) - (1 - depth)) < 1e-9
    rise = [loud(F(n, 16)) for n in range(9)]
    assert rise == sorted(rise)
    assert all(abs(loud(F(n, 16)) - loud(F(16 - n, 16))) < 1e-9 for n in range(1, 9))


@given(st.integers(0, 200), st.sampled_from([3, 5, 6, 7, 12]), st.floats(0.51, 0.75))
def test_swing_leaves_tuplets_as_they_are_written(n: int, of: int, amount: float) -> None:
    beat = F(n, of)
    late = sounded(beat, swing=amount)[0].start - beat
    assert (late == 0) or beat.denominator in (1, 2, 4)
    assert sounded(F(1, 2), swing=amount)[0].start > F(1, 2)
