"""The General MIDI percussion map."""

from __future__ import annotations

import pytest

from server.music.drums import drum, drum_name


def test_every_drum_of_the_map_has_a_name_that_finds_it() -> None:
    names = [drum_name(midi) for midi in range(35, 82)]
    assert len(set(names)) == 47
    assert [drum(name) for name in names if name] == list(range(35, 82))


@pytest.mark.parametrize(
    ("name", "midi"),
    [
        *(("Kick", 36), ("Snare", 38), ("Rim", 37), ("Clap", 39), ("Hat", 42), ("ClosedHat", 42)),
        *(("PedalHat", 44), ("OpenHat", 46), ("LowTom", 45), ("MidTom", 47), ("HighTom", 50)),
        *(("FloorTom", 41), ("Crash", 49), ("Ride", 51), ("RideBell", 53), ("Cowbell", 56)),
        *(("Tambourine", 54), ("Shaker", 70), ("Cabasa", 69), ("Claves", 75), ("Woodblock", 76)),
        *(("Triangle", 81), ("Conga", 63)),
    ],
)
def test_the_short_names(name: str, midi: int) -> None:
    assert drum(name) == drum(name.upper()) == drum(name.lower()) == midi


def test_spaces_hyphens_and_underscores_do_not_matter() -> None:
    assert drum("open hi-hat") == drum("Open_Hi_Hat") == drum("OpenHiHat") == 46


def test_other_names_are_no_drums() -> None:
    assert [drum(name) for name in ("", "C", "Rest", "1/4", "Kicks")] == [None] * 5
    assert drum_name(34) is drum_name(82) is None
