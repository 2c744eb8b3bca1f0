"""Takes as standard MIDI files: on the beat, the same for the same seed, safe on disk."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import mido
import pytest

from engines.base import Mistake, Symbol
from server.backstage.aside import Aside
from server.concert.clock import VirtualClock
from server.concert.journal import Marked, Moment, Moved, Played, Ticked, Troubled
from server.concert.player import Player
from server.ensemble.rack import Rack, Tape
from server.errands import hear, render
from server.music.note import Note
from server.music.scale import parse_key
from server.score.scene import Scene, parse_scene
from server.takes.recorder import TICKS, Recorder, Take, check_writable, save, signature

SCENE = """
title = "Pair"
tempo = 100
meter = "3/4"
key = "E dorian"
seed = 7
swing = 0.6
humanize = { time_ms = 8, velocity = 0.1 }

[parts.melody]
engine = "grammar"
program = 12
channel = 2
rules = '''
S -> A B
A -> 1 1/4 | 3 1/4 | 5 1/8 6 1/8
B -> 2 1/2 | Rest 1/4
'''

[parts.keys]
engine = "grammar"
bank = 300
program = 5
channel = 3
rules = "S -> i:1/2. IV7:1/2."
"""


def scene(text: str = SCENE) -> Scene:
    return parse_scene(text)


def opened(data: bytes) -> mido.MidiFile:
    return mido.MidiFile(file=BytesIO(data))


def played(start: Fraction, length: Fraction, pitch: int = 60, part: str = "melody") -> Played:
    moment = Moment(float(start), start, 1, 1.0)
    note = Note(part, start, start, start + length, 0, pitch, 0.8, 1, Symbol("x"))
    return Played(moment, note, float(length))


def ticked(beat: int, seconds: float, tempo: float, meter: str = "4/4") -> Ticked:
    moment = Moment(seconds, Fraction(beat), beat // 4 + 1, beat % 4 + 1)
    return Ticked(moment, tempo, meter)


def timed(track: mido.MidiTrack) -> Iterator[tuple[int, mido.Message]]:
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (
        render(one, 16, "1", lambda entry: None) for one in (scene(), scene(), scene().with_seed(8))
    )
    assert first == again
    assert first != other


def test_played_or_rendered_the_file_is_the_same() -> None:
    take = Take(7, "1")
    take.begin(scene().parts)

    async def live() -> None:
        clock = VirtualClock()
        player = Player(clock, lambda ids: Rack({"osc": Tape()}, ids), horizon=100_000_000)
        player.journal.add(take.add)
        player.cue(scene())
        player.play(end_bar=4)
        while not player.ended:
            await clock.advance(7_000_000)
            player.wake()

    asyncio.run(live())
    assert take.file() == render(scene(), 4, "1", lambda entry: None)


def test_the_file_holds_tempo_metre_key_names_programs_and_the_seed() -> None:
    file = opened(render(scene(), 8, "1", lambda entry: None))
    assert (file.type, file.ticks_per_beat) == (1, TICKS)
    main, melody, keys = file.tracks
    about = {message.type: message for message in main}
    assert about["set_tempo"].tempo == 600_000
    assert (about["time_signature"].numerator, about["time_signature"].denominator) == (3, 4)
    assert about["key_signature"].key == "D"
    texts = [message.text for message in main if message.type in ("text", "marker")]
    assert "Componium 1, seed 7" in texts and "Pair" in texts
    assert any(text.startswith("Em") for text in texts), "chords are written down"
    assert (melody.name, keys.name) == ("melody", "keys")
    assert [m.program for m in melody if m.type == "program_change"] == [11]
    assert [(m.control, m.value) for m in keys if m.type == "control_change"] == [(0, 2), (32, 44)]
    assert {m.channel for m in melody if m.type == "note_on"} == {1}


def test_every_note_in_the_file_ends_once_and_at_its_own_beats() -> None:
    notes: list[Played] = []
    hear(scene(), 16, lambda entry: notes.append(entry) if isinstance(entry, Played) else None)
    file = opened(render(scene(), 16, "1", lambda entry: None))
    starts = []
    for track in file.tracks[1:]:
        sounding: set[tuple[int, int]] = set()
        for tick, message in timed(track):
            if message.type == "note_on":
                assert (message.channel, message.note) not in sounding
                sounding.add((message.channel, message.note))
                starts.append(tick)
            elif message.type == "note_off":
                sounding.remove((message.channel, message.note))
        assert not sounding
    exact = sorted(
        round((note.start + Fraction(max(note.nudge, least), 600_000_000)) * TICKS)
        for _, note, _ in notes
        for least in [-(10**9) if note.start % 3 else 0]  # a downbeat stays in its bar
    )
    assert sorted(starts) == exact


def test_a_ramp_takes_as_long_in_the_file_as_it_took() -> None:
    take = Take(1, "1")
    seconds, tempos = [0.0, 0.5, 0.9, 1.2], [120.0, 130.0, 180.0, 200.0]
    for beat, (second, tempo) in enumerate(zip(seconds, tempos, strict=True)):
        take.add(ticked(beat, second, tempo))
        take.add(played(Fraction(beat), Fraction(1, 2)))
    file = opened(take.file())
    now, onsets = 0.0, []
    for message in file:
        now += message.time
        if message.type == "note_on" and message.velocity:
            onsets.append(now)
    assert onsets == pytest.approx(seconds, abs=1e-3)


def test_a_stop_ends_what_sounds_and_a_second_start_goes_on_behind_it() -> None:
    take = Take(1, "1")
    for _ in range(2):
        take.add(Moved(Moment(0, Fraction(0), 1, 1), "playing"))
        take.add(ticked(0, 0, 120))
        take.add(played(Fraction(0), Fraction(8)))
        take.add(Moved(Moment(0.5, Fraction(1), 1, 2), "stopped"))
    events = [
        (tick, message.type)
        for tick, message in timed(opened(take.file()).tracks[1])
        if message.type.startswith("note")
    ]
    assert [kind for _, kind in events] == ["note_on", "note_off"] * 2
    (first, _), (ended, _), (second, _), _ = events
    assert (first, ended) == (0, TICKS)
    assert second >= ended and second % TICKS == 0


def test_a_repeated_pitch_ends_before_it_begins_again() -> None:
    take = Take(1, "1")
    take.add(played(Fraction(0), Fraction(2)))
    take.add(played(Fraction(1), Fraction(1)))
    kinds = [
        (tick, message.type)
        for tick, message in timed(opened(take.file()).tracks[1])
        if message.type.startswith("note")
    ]
    assert kinds == [(0, "note_on"), (960, "note_off"), (960, "note_on"), (1920, "note_off")]


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("C major", "C"),
        ("D dorian", "C"),
        ("A minor", "C"),
        ("Bb major", "Bb"),
        ("F# minor", "A"),
        ("A harmonic minor", "C"),
        ("E blues", "G"),
        ("G mixolydian", "C"),
        ("B major", "B"),
    ],
)
def test_modes_are_written_under_their_usual_signature(key: str, written: str) -> None:
    assert signature(parse_key(key)) == written


def test_a_growing_take_can_be_read_at_any_time(tmp_path: Path) -> None:
    path, told = tmp_path / "take.mid", list[Troubled]()
    recorder = Recorder(path, scene(), lambda: None, told.append, "1")
    for beat in range(200):
        recorder(ticked(beat, beat / 2, 120))
        recorder(played(Fraction(beat), Fraction(1, 2)))
    recorder(Marked(Moment(0, Fraction(0), 1, 1), "scene", "x"))
    assert recorder.close(5)
    notes = [m for m in opened(path.read_bytes()).tracks[1] if m.type == "note_on"]
    assert len(notes) == 200
    assert not told
    assert list(tmp_path.iterdir()) == [path], "nothing is left beside it"


def test_a_full_disk_is_told_once_and_keeps_the_old_file(tmp_path: Path) -> None:
    path, told = tmp_path / "take.mid", list[Troubled]()
    save(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    recorder = Recorder(path, scene(), lambda: None, told.append, "1")
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        recorder(played(Fraction(0), Fraction(1)))
        assert not recorder.close(5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [trouble.source for trouble in told] == ["recorder"]
    assert "cannot be written" in told[0].text
    assert "cannot be written" in recorder.trouble
    assert path.read_bytes() == b"old"


def test_a_take_that_breaks_keeps_what_it_has_and_says_so(tmp_path: Path) -> None:
    path, told = tmp_path / "take.mid", list[Troubled]()
    recorder = Recorder(path, scene(), lambda: None, told.append, "1")
    recorder(played(Fraction(0), Fraction(1)))
    recorder(played(Fraction(1), Fraction(1), pitch=300))  # no MIDI file can hold it
    recorder(played(Fraction(2), Fraction(1)))
    assert not recorder.close(5)
    assert [trouble.source for trouble in told] == ["recorder"]
    assert "ends early" in told[0].text and recorder.trouble == told[0].text
    notes = [m for m in opened(path.read_bytes()).tracks[1] if m.type == "note_on"]
    assert len(notes) == 1


def test_a_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    path, link = tmp_path / "take.mid", tmp_path / "link.mid"
    path.write_bytes(b"MThd, old")
    link.symlink_to(path)
    check_writable(link, "-o")
    save(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new"


def test_a_place_that_cannot_be_written_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="no folder"):
        check_writable(tmp_path / "nowhere" / "x.mid", "--record")
    with pytest.raises(Mistake, match="cannot be written"):
        check_writable(tmp_path, "--record")
    os.mkfifo(tmp_path / "fifo")
    for special in (tmp_path / "fifo", Path(os.devnull), Path("/dev/full")):
        if special.exists():
            with pytest.raises(Mistake, match="as a file"):
                check_writable(special, "--record")
    check_writable(tmp_path / "x.mid", "--record")


def test_a_file_of_another_kind_is_not_written_over(tmp_path: Path) -> None:
    scene, take, empty = (tmp_path / name for name in ("x.toml", "x.mid", "empty"))
    scene.write_text("tempo = 90")
    take.write_bytes(b"MThd...")
    empty.touch()
    with pytest.raises(Mistake, match="another kind"):
        check_writable(scene, "-o")
    with pytest.raises(Mistake, match="another kind"):
        check_writable(take, "-o", begins=b"{")
    check_writable(take, "-o")
    check_writable(empty, "-o")


def test_handing_over_never_waits_for_a_worker_that_hangs() -> None:
    stuck, done = threading.Event(), list[int]()

    def take(item: int) -> None:
        stuck.wait()
        done.append(item)

    aside: Aside[int] = Aside(take, room=10)
    for item in range(100):
        aside.put(item)
    assert aside.dropped >= 89
    assert not aside.close(0), "it says that it has not finished"
    stuck.set()
    assert aside.close(5)
    assert done == sorted(done) and len(done) <= 11


def test_a_downbeat_never_strays_into_the_bar_before() -> None:
    text = """
humanize = { time_ms = 50 }
[parts.a]
engine = "grammar"
rules = "S -> C 1/4"
"""
    track = opened(render(scene(text), 64, "1", lambda entry: None)).tracks[1]
    ticks = [tick for tick, message in timed(track) if message.type == "note_on"]
    assert len(ticks) == 256
    off = [(tick - beat * TICKS) / TICKS for beat, tick in enumerate(ticks)]
    assert all(shift >= 0 for shift in off[::4])
    assert any(shift < 0 for shift in off), "the others stray both ways"
