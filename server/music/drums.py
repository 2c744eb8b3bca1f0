"""Drum names of the General MIDI level 1 percussion map (MIDI Manufacturers Association, 1991)."""

from __future__ import annotations

from functools import lru_cache

#: MIDI number -> its General MIDI name, then the short names that musicians use.
_MAP = {
    35: "Acoustic Bass Drum, Kick 2, Bass Drum 2",
    36: "Bass Drum 1, Kick, Bass Drum, BD, Kick 1",
    37: "Side Stick, Rim, Rimshot, Cross Stick",
    38: "Acoustic Snare, Snare, SD, Snare 1",
    39: "Hand Clap, Clap, Claps",
    40: "Electric Snare, Snare 2",
    41: "Low Floor Tom, Floor Tom",
    42: "Closed Hi-Hat, Closed Hat, Hat, Hi-Hat, HH, CH",
    43: "High Floor Tom",
    44: "Pedal Hi-Hat, Pedal Hat, Foot Hat",
    45: "Low Tom",
    46: "Open Hi-Hat, Open Hat, OH",
    47: "Low-Mid Tom, Mid Tom, Tom",
    48: "Hi-Mid Tom, High Mid Tom",
    49: "Crash Cymbal 1, Crash, Crash 1",
    50: "High Tom, Hi Tom",
    51: "Ride Cymbal 1, Ride, Ride 1",
    52: "Chinese Cymbal, China",
    53: "Ride Bell, Bell",
    54: "Tambourine",
    55: "Splash Cymbal, Splash",
    56: "Cowbell",
    57: "Crash Cymbal 2, Crash 2",
    58: "Vibraslap",
    59: "Ride Cymbal 2, Ride 2",
    60: "Hi Bongo, High Bongo, Bongo",
    61: "Low Bongo",
    62: "Mute Hi Conga, Mute Conga",
    63: "Open Hi Conga, Open Conga, Conga, High Conga",
    64: "Low Conga, Tumba",
    65: "High Timbale, Timbale",
    66: "Low Timbale",
    67: "High Agogo, Agogo",
    68: "Low Agogo",
    69: "Cabasa",
    70: "Maracas, Shaker, Maraca",
    71: "Short Whistle, Whistle",
    72: "Long Whistle",
    73: "Short Guiro, Guiro",
    74: "Long Guiro",
    75: "Claves, Clave",
    76: "Hi Wood Block, Woodblock, High Wood Block",
    77: "Low Wood Block",
    78: "Mute Cuica",
    79: "Open Cuica, Cuica",
    80: "Mute Triangle",
    81: "Open Triangle, Triangle",
}


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "").replace("_", "")


_NUMBERS = {_plain(name): midi for midi, names in _MAP.items() for name in names.split(", ")}


@lru_cache(maxsize=256)
def drum(name: str) -> int | None:
    """The MIDI number (35 to 81) of a drum, or None; case, spaces, `-` and `_` do not matter."""
    return _NUMBERS.get(_plain(name))


def drum_name(midi: int) -> str | None:
    """The General MIDI name of a percussion note, or None outside 35 to 81."""
    names = _MAP.get(midi)
    return names and names.split(", ")[0]
