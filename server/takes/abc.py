"""A manuscript in ABC notation (standard 2.1), which is text that people read, too."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from server.music.pitch import NATURALS
from server.music.scale import Key, parse_key

from .musicxml import SHARPS, spelled
from .notation import Bar, Manuscript, Staff, Symbol, Written
from .recorder import signature

UNIT = Fraction(1, 2)  # quarter notes: an eighth
BARS_IN_LINE = 4
_SIGNS = {-2: "__", -1: "_", 0: "=", 1: "^", 2: "^^"}
#: The sign that stands for a letter: in an octave, or in whichever it was written last.
_Signs = dict[tuple[str, int | None], int]
#: By how many flats a mode's signature differs from the major one.
FLATTER = {
    **{"lydian": -1, "major": 0, "mixolydian": 1, "dorian": 2},
    **{"minor": 3, "phrygian": 4, "locrian": 5},
}
_ORDER = "FCGDAEB"  # in which sharps come; flats from behind


def abc(score: Manuscript, version: str) -> bytes:
    """The whole manuscript as a file: a voice for each voice of each part.

    Law: read by the rules of the standard, it has the pitches and lengths of the manuscript.
    """
    bars = score.bars
    lines = [
        "%abc-2.1",
        "X:1",
        f"T:{_plain(score.title)}",
        f"N:{_plain(score.about)}",
        f"N:Componium {_plain(version)}",
    ]
    if bars:
        lines += [f"M:{_metre(bars[0])}", "L:1/8", f"Q:1/4={round(bars[0].tempo)}"]
    voices = [
        (f"{number}_{voice + 1}", staff, voice)
        for number, staff in enumerate(score.staves, 1)
        for voice in range(max((len(bar) for bar in staff.bars), default=1))
    ]
    lines += [
        f'V:{name} name="{_plain(staff.name)}" clef={_clef(staff)}' for name, staff, _ in voices
    ]
    lines.append(f"K:{_key(bars[0]) if bars else 'C'}")
    led = next((staff.name for staff in score.staves if not staff.drums), "")
    for name, staff, voice in voices:
        lines.append(f"V:{name}")
        lines.append(f"%%MIDI channel {staff.channel}")
        if staff.program is not None and not staff.drums:
            lines.append(f"%%MIDI program {staff.program}")
        chords = list(score.chords) if staff.name == led and voice == 0 else []
        row: list[str] = []
        for index, bar in enumerate(bars):
            before = bars[index - 1] if index else bar
            written = staff.bars[index][voice] if voice < len(staff.bars[index]) else None
            row.append(_bar(staff, bar, before, written, chords, tell=name == voices[0][0]) + "|")
            if len(row) == BARS_IN_LINE or index == len(bars) - 1:
                lines.append(" ".join(row) + ("]" if index == len(bars) - 1 else ""))
                row = []
    return ("\n".join(lines) + "\n").encode()


def _plain(text: str) -> str:
    return "".join(c for c in text if c.isprintable() and c not in '"%\\')


def _metre(bar: Bar) -> str:
    return f"{bar.meter.beats}/{bar.meter.unit}"


def _clef(staff: Staff) -> str:
    if staff.drums:
        return "perc"
    return "bass" if staff.middle < 57 else "treble"


def _bar(
    staff: Staff,
    bar: Bar,
    before: Bar,
    written: tuple[Written, ...] | None,
    chords: list[Symbol],
    tell: bool,
) -> str:
    words: list[str] = []
    if bar.meter != before.meter:
        words.append(f"[M:{_metre(bar)}]")
    if _key(bar) != _key(before):
        words.append(f"[K:{_key(bar)}]")
    if tell and round(bar.tempo) != round(before.tempo):
        words.append(f"[Q:1/4={round(bar.tempo)}]")
    if tell and bar.section:
        words.append(f'"^{_plain(bar.section)}"')
    if written is None:
        return " ".join([*words, f"x{_length(bar.meter.length)}"])
    signs = dict.fromkeys("CDEFGAB", 0) | _signed(parse_key(bar.key))
    state: _Signs = {(each, None): sign for each, sign in signs.items()}
    count = 0
    for number, each in enumerate(written):
        if each.first:
            count = next(n for n, last in enumerate(written[number:], 1) if last.last)
            words.append(f"(3:2:{count}")
        until = each.at + each.length
        names = [symbol.name for symbol in chords if each.at <= symbol.beat < until]
        words += [f'"{_plain(name)}"' for name in names]
        words.append("".join(_note(each, signs, state)))
    return " ".join(words).replace('" ', '"').replace(f"(3:2:{count} ", f"(3:2:{count}")


def _key(bar: Bar) -> str:
    """The key by its own name where the standard has it with these signs, else by its signature."""
    major = signature(parse_key(bar.key))
    tonic, _, mode = bar.key.partition(" ")
    sharps = _ORDER.index(tonic[0]) - 1 + 7 * (tonic.count("#") - tonic.count("b"))
    if mode in FLATTER and sharps - FLATTER[mode] == SHARPS[major]:
        return f"{tonic} {mode}"
    return major


def _signed(key: Key) -> dict[str, int]:
    sharps = SHARPS[signature(key)]
    if sharps >= 0:
        return dict.fromkeys(_ORDER[:sharps], 1)
    return dict.fromkeys(_ORDER[sharps:], -1)


def _note(written: Written, signs: dict[str, int], state: _Signs) -> Iterator[str]:
    length = written.length * 3 / 2 if written.triplet else written.length
    if not written.pitches:
        yield f"z{_length(length)}"
        return
    names = []
    for midi, name in written.pitches:
        letters, octave = spelled(name)
        letter, sign = letters[0], letters.count("#") - letters.count("b")
        assert NATURALS["CDEFGAB".index(letter)] + sign + 12 * (octave + 1) == midi
        # Some programs have a sign hold for its octave alone, some for all: both are to read it.
        stands = state[letter, None], state.get((letter, octave), signs[letter])
        mark = "" if stands == (sign, sign) else _SIGNS[sign]
        state[letter, None] = state[letter, octave] = sign
        names.append(mark + _lettered(letter, octave) + ("-" if written.tied else ""))
    if len(names) == 1:
        tie = "-" if written.tied else ""
        yield names[0].removesuffix("-") + _length(length) + tie
    else:
        yield f"[{''.join(names)}]{_length(length)}"


def _lettered(letter: str, octave: int) -> str:
    if octave >= 5:
        return letter.lower() + "'" * (octave - 5)
    return letter + "," * (4 - octave)


def _length(length: Fraction) -> str:
    units = length / UNIT
    if units == 1:
        return ""
    if units.denominator == 1:
        return str(units.numerator)
    return f"{units.numerator if units.numerator > 1 else ''}/{units.denominator}"
