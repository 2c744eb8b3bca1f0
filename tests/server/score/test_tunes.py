"""Reading MIDI files: exact times, limits, and mistakes for whatever is not one."""

from __future__ import annotations

import json
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import mido
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.base import Fragment, Mistake, Sound
from server.score import tunes
from server.score.tunes import chorale, parse_tune, read_tunes

Event = tuple[str, int, int, int, int]  # type, channel, note, velocity, delta


def midi(*tracks: list[Event], ticks: int = 480, kind: int = 1) -> bytes:
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks)
    for events in tracks:
        file.tracks.append(
            mido.MidiTrack(
                mido.Message(name, channel=channel, note=note, velocity=velocity, time=delta)
                for name, channel, note, velocity, delta in events
            )
        )
    out = BytesIO()
    file.save(file=out)
    return out.getvalue()


ONE = midi([("note_on", 0, 60, 127, 0), ("note_off", 0, 60, 0, 480)])


def test_times_are_exact_fractions_of_a_quarter_note() -> None:
    data = midi(
        [
            ("note_on", 0, 60, 127, 1),
            ("note_on", 0, 64, 64, 3),
            ("note_on", 0, 60, 0, 3),  # velocity 0 ends a note
            ("note_off", 0, 64, 9, 1),
        ],
        ticks=7,
    )
    [tune] = parse_tune(data)
    assert tune == Fragment(
        Fraction(8, 7),
        (
            Sound(Fraction(1, 7), Fraction(6, 7), 60, 1.0),
            Sound(Fraction(4, 7), Fraction(4, 7), 64, 64 / 127),
        ),
    )


def test_overlapping_notes_of_one_pitch_end_in_the_order_they_began() -> None:
    data = midi(
        [
            ("note_on", 0, 60, 100, 0),
            ("note_on", 0, 60, 100, 480),
            ("note_off", 0, 60, 0, 480),
            ("note_off", 0, 60, 0, 480),
        ]
    )
    [tune] = parse_tune(data)
    assert [(int(sound.at), int(sound.length)) for sound in tune.sounds] == [(0, 2), (1, 2)]


def test_a_note_never_ended_ends_with_its_track() -> None:
    data = midi(
        [("note_on", 0, 60, 100, 0), ("note_on", 1, 62, 100, 480), ("note_off", 1, 62, 0, 480)]
    )
    [tune] = parse_tune(data)
    assert [(int(sound.length), sound.voice) for sound in tune.sounds] == [(2, 0), (1, 1)]


def test_drums_are_left_out_unless_they_are_alone() -> None:
    drum: list[Event] = [("note_on", 9, 36, 100, 0), ("note_off", 9, 36, 0, 480)]
    note: list[Event] = [("note_on", 0, 60, 100, 0), ("note_off", 0, 60, 0, 480)]
    assert [sound.pitch for sound in parse_tune(midi(drum, note))[0].sounds] == [60]
    assert [sound.pitch for sound in parse_tune(midi(drum))[0].sounds] == [36]


def test_tracks_that_are_patterns_are_tunes_of_their_own() -> None:
    note: list[Event] = [("note_on", 0, 60, 100, 0), ("note_off", 0, 60, 0, 480)]
    assert len(parse_tune(midi(note, note, kind=2))) == 2


def test_patterns_are_read_in_a_fixed_order(tmp_path: Path) -> None:
    for number, name in enumerate(["b.mid", "a.mid", "deep/c.mid"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(midi([("note_on", 0, number, 9, 0), ("note_off", 0, number, 0, 480)]))
    found = read_tunes(["**/*.mid", "a.mid"], tmp_path, "corpus")
    assert [tune.sounds[0].pitch for tune in found] == [1, 0, 2, 1]
    absolute = str(tmp_path / "*.mid")
    elsewhere = tmp_path / "deep"
    assert len(read_tunes([absolute], elsewhere, "corpus")) == 2


@pytest.mark.parametrize("pattern", ["*.mid", "../*.txt", "", "nothing.mid", "\0"])
def test_what_matches_nothing_is_a_mistake(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(Mistake) as caught:
        read_tunes([pattern], tmp_path, "corpus")
    assert caught.value.place == "corpus"


def test_relative_patterns_stay_below_the_scene(tmp_path: Path) -> None:
    (tmp_path / "secret.mid").write_bytes(ONE)
    scene = tmp_path / "scene"
    scene.mkdir()
    with pytest.raises(Mistake, match="leads out of"):
        read_tunes(["../*.mid"], scene, "corpus")
    (scene / "link.mid").symlink_to(tmp_path / "secret.mid")
    with pytest.raises(Mistake, match="leads out of"):
        read_tunes(["*.mid"], scene, "corpus")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "begin with MThd"),
        (b"RIFF....", "begin with MThd"),
        (b'{"train": [[[60, 62], [64', "no JSON"),
        (b'{"train": 3}', "expected chorales"),
        (b"[[60, 62]]", "expected chorales"),
        (b"[[[60, 128]]]", "chorale 1: expected MIDI numbers"),
        (b"[[[60, true]]]", "chorale 1: expected MIDI numbers"),
        (b"[[[60]], [[" + b"60, " * 16 + b"60]]]", "chorale 2 has more than 16 voices"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no notes"),
        (b"MThd", "broken"),
        (ONE[:-6], "broken"),
        (ONE[:10] + b"\x7f\xff" + ONE[12:], "32767 tracks"),
        (ONE[:12] + b"\xe7\x28" + ONE[14:], "seconds"),
        (ONE[:12] + b"\x00\x00" + ONE[14:], "seconds"),
        (midi([("note_off", 0, 60, 0, 480)]), "no notes"),
    ],
)
def test_what_is_no_tune_is_a_mistake(tmp_path: Path, data: bytes, problem: str) -> None:
    (tmp_path / "x.mid").write_bytes(data)
    with pytest.raises(Mistake, match=problem):
        read_tunes(["x.mid"], tmp_path, "corpus")


def test_what_is_too_large_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mid").write_bytes(ONE)
    monkeypatch.setattr(tunes, "MOST_EVENTS", 2)
    with pytest.raises(Mistake, match="3 events"):
        read_tunes(["x.mid"], tmp_path, "corpus")
    monkeypatch.setattr(tunes, "LARGEST", 20)
    with pytest.raises(Mistake, match="bytes"):
        read_tunes(["x.mid"], tmp_path, "corpus")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.integers(0, len(ONE)), st.integers(0, 8))
def test_garbage_is_a_tune_or_a_clear_error(junk: bytes, at: int, over: int) -> None:
    for data in (ONE[:at] + junk + ONE[at + over :], b"MThd" + junk):
        try:
            found = parse_tune(data)
        except ValueError:
            continue
        assert all(sound.length > 0 for tune in found for sound in tune.sounds)


def test_chorales_become_voices() -> None:
    steps = [[72, 67, 64, 48]] * 2 + [[71, 67, 62, -1]] * 2
    tune = chorale(steps)
    half, whole = Fraction(1, 2), Fraction(1)
    assert tune.length == whole
    assert [(sound.at, sound.length, sound.pitch, sound.voice) for sound in tune.sounds] == [
        (0, half, 72, 0),
        (0, whole, 67, 1),
        (0, half, 64, 2),
        (0, half, 48, 3),
        (half, half, 71, 0),
        (half, half, 62, 2),
    ]
    assert chorale([]) == Fragment(Fraction(0), ())


def test_chorales_are_told_by_what_is_in_the_file(tmp_path: Path) -> None:
    named = {"train": [[[72, -1], [72, 48]]], "test": [[[60, 48]]]}
    (tmp_path / "a.json").write_text(json.dumps(named))
    (tmp_path / "b.mid").write_bytes(ONE)
    (tmp_path / "c").write_text(json.dumps(named["test"]))
    tunes = read_tunes(["*"], tmp_path, "corpus")
    assert tunes[0] == chorale([[72, -1], [72, 48]])
    assert tunes[1] == tunes[3] == chorale([[60, 48]])
    assert len(tunes) == 4


@pytest.mark.parametrize("pattern", [".", "./", "..", "tunes", "tunes/"])
def test_a_folder_is_no_file(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "tunes").mkdir()
    with pytest.raises(Mistake, match=r"is a folder; name the files in it, such as '.*\*\.mid'"):
        read_tunes([pattern], tmp_path, "corpus")
