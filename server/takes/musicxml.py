"""A manuscript as MusicXML 4.0, partwise, for notation programs."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from server.music.chord import parse_chord
from server.music.scale import parse_key

from .notation import Bar, Manuscript, Staff, Symbol, Written
from .recorder import signature

DIVISIONS = 96  # of a quarter note
LEAP = 0.05  # of the tempo, from which a change of it is printed
SHARPS = {
    name: number
    for number, name in enumerate(
        ("Db", "Ab", "Eb", "Bb", "F", "C", "G", "D", "A", "E", "B", "F#"), -5
    )
}
MODES = ("major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian")
#: Kinds of chords by what stands behind their root.
KINDS = {
    "": "major", "m": "minor", "dim": "diminished", "aug": "augmented", "+": "augmented",
    "7": "dominant", "maj7": "major-seventh", "m7": "minor-seventh", "dim7": "diminished-seventh",
    "m7b5": "half-diminished", "6": "major-sixth", "m6": "minor-sixth", "9": "dominant-ninth",
    "maj9": "major-ninth", "m9": "minor-ninth", "11": "dominant-11th", "13": "dominant-13th",
    "sus2": "suspended-second", "sus4": "suspended-fourth", "5": "power",
    "mmaj7": "major-minor",
}  # fmt: skip
#: Where General MIDI's drums stand on five lines: step, octave, and the head.
_DRUMS = {
    35: ("F", 4, ""), 36: ("F", 4, ""), 37: ("C", 5, "x"), 38: ("C", 5, ""), 40: ("C", 5, ""),
    39: ("D", 5, "x"), 41: ("A", 4, ""), 43: ("A", 4, ""), 45: ("B", 4, ""), 47: ("D", 5, ""),
    48: ("E", 5, ""), 50: ("E", 5, ""), 42: ("G", 5, "x"), 44: ("D", 4, "x"), 46: ("G", 5, "x"),
    49: ("A", 5, "x"), 57: ("A", 5, "x"), 51: ("F", 5, "x"), 59: ("F", 5, "x"), 53: ("F", 5, "x"),
    52: ("B", 5, "x"), 55: ("B", 5, "x"), 54: ("E", 5, "x"), 56: ("E", 5, "triangle"),
}  # fmt: skip
_FIRST = '<?xml version="1.0" encoding="UTF-8"?>\n'


def musicxml(score: Manuscript, version: str) -> bytes:
    """The whole manuscript as a file.

    Law: in each bar the lengths of each voice add up to the bar's.
    """
    root = Element("score-partwise", version="4.0")
    _text(SubElement(root, "work"), "work-title", score.title)
    identification = SubElement(root, "identification")
    _text(SubElement(identification, "encoding"), "software", f"Componium {version}")
    more = SubElement(identification, "miscellaneous")
    _text(more, "miscellaneous-field", score.about, name="source")
    names = SubElement(root, "part-list")
    for number, staff in enumerate(score.staves, 1):
        _listed(names, number, staff)
    led = next((staff.name for staff in score.staves if not staff.drums), "")
    for number, staff in enumerate(score.staves, 1):
        part = SubElement(root, "part", id=f"P{number}")
        for index, bar in enumerate(score.bars):
            before = score.bars[index - 1] if index else None
            chords = [each for each in score.chords if bar.begin <= each.beat < bar.end]
            _measure(part, staff, index, bar, before, chords if staff.name == led else [], number)
    indent(root)
    return (_FIRST + tostring(root, encoding="unicode") + "\n").encode()


def _text(parent: Element, tag: str, content: object, **attributes: str) -> Element:
    child = SubElement(parent, tag, attributes)
    child.text = "".join(c for c in str(content) if c.isprintable())
    return child


def _listed(names: Element, number: int, staff: Staff) -> None:
    part = SubElement(names, "score-part", id=f"P{number}")
    _text(part, "part-name", staff.name)
    drums = sorted({p for bar in staff.bars for v in bar for w in v for p, _ in w.pitches})
    pitches = drums if staff.drums else [0]
    for pitch in pitches:
        one = SubElement(part, "score-instrument", id=f"P{number}-I{pitch}")
        _text(one, "instrument-name", f"{staff.name} {pitch}" if staff.drums else staff.name)
    for pitch in pitches:
        one = SubElement(part, "midi-instrument", id=f"P{number}-I{pitch}")
        _text(one, "midi-channel", staff.channel)
        if staff.program is not None and not staff.drums:
            _text(one, "midi-program", staff.program + 1)
        if staff.drums:
            _text(one, "midi-unpitched", pitch + 1)


def _measure(
    part: Element,
    staff: Staff,
    index: int,
    bar: Bar,
    before: Bar | None,
    chords: list[Symbol],
    number: int,
) -> None:
    measure = SubElement(part, "measure", number=str(index + 1))
    _attributes(measure, staff, bar, before)
    if number == 1:
        _directions(measure, bar, before)
    for symbol in chords:
        _harmony(measure, symbol, symbol.beat - bar.begin)
    for voice, row in enumerate(staff.bars[index], 1):
        if voice > 1:
            _text(SubElement(measure, "backup"), "duration", _units(bar.meter.length))
        for written in row:
            for note in _notes(written, voice, staff, number):
                measure.append(note)


def _attributes(measure: Element, staff: Staff, bar: Bar, before: Bar | None) -> None:
    turned = before is None or parse_key(before.key) != parse_key(bar.key)
    metre = before is None or before.meter != bar.meter
    if not (turned or metre):
        return
    attributes = SubElement(measure, "attributes")
    if before is None:
        _text(attributes, "divisions", DIVISIONS)
    if turned and not staff.drums:
        key = SubElement(attributes, "key")
        _text(key, "fifths", SHARPS[signature(parse_key(bar.key))])
        mode = bar.key.partition(" ")[2]
        if mode in MODES:
            _text(key, "mode", mode)
    if metre:
        time = SubElement(attributes, "time")
        _text(time, "beats", bar.meter.beats)
        _text(time, "beat-type", bar.meter.unit)
    if before is None:
        clef = SubElement(attributes, "clef")
        if staff.drums:
            _text(clef, "sign", "percussion")
        else:
            low = staff.middle < 57
            _text(clef, "sign", "F" if low else "G")
            _text(clef, "line", 4 if low else 2)


def _directions(measure: Element, bar: Bar, before: Bar | None) -> None:
    if bar.section:
        direction = SubElement(measure, "direction", placement="above")
        _text(SubElement(direction, "direction-type"), "rehearsal", bar.section)
    if before is None or abs(bar.tempo / before.tempo - 1) > LEAP:
        direction = SubElement(measure, "direction", placement="above")
        metronome = SubElement(SubElement(direction, "direction-type"), "metronome")
        _text(metronome, "beat-unit", "quarter")
        _text(metronome, "per-minute", round(bar.tempo))
    if before is None or round(bar.tempo) != round(before.tempo):
        SubElement(measure, "sound", tempo=f"{bar.tempo:.2f}")


def _harmony(measure: Element, symbol: Symbol, offset: Fraction) -> None:
    chord = parse_chord(symbol.name)
    harmony = SubElement(measure, "harmony")
    name, _, over = symbol.name.partition("/")
    root = chord.tones[0].name
    _spelled(SubElement(harmony, "root"), "root", root)
    ending = name.removeprefix(root)
    kind = KINDS.get(ending)
    _text(harmony, "kind", kind or "other", text=ending)
    if over:
        _spelled(SubElement(harmony, "bass"), "bass", over)
    if offset:
        _text(harmony, "offset", _units(offset))


def _spelled(parent: Element, tag: str, name: str) -> None:
    _text(parent, f"{tag}-step", name[0])
    alter = name.count("#") - name.count("b")
    if alter:
        _text(parent, f"{tag}-alter", alter)


def _units(length: Fraction) -> int:
    return round(length * DIVISIONS)


def _notes(written: Written, voice: int, staff: Staff, number: int) -> Iterator[Element]:
    pitches: list[tuple[int, str] | None] = [*written.pitches] or [None]
    for place, pitch in enumerate(pitches):
        note = Element("note")
        if place:
            SubElement(note, "chord")
        head = ""
        if pitch is None:
            SubElement(note, "rest")
        elif staff.drums:
            step, octave, head = _DRUMS.get(pitch[0], ("B", 4, "diamond"))
            unpitched = SubElement(note, "unpitched")
            _text(unpitched, "display-step", step)
            _text(unpitched, "display-octave", octave)
        else:
            letters, octave = spelled(pitch[1])
            element = SubElement(note, "pitch")
            _text(element, "step", letters[0])
            if alter := letters.count("#") - letters.count("b"):
                _text(element, "alter", alter)
            _text(element, "octave", octave)
        _text(note, "duration", _units(written.length))
        ties = [("stop", written.held), ("start", written.tied)]
        for kind in (kind for kind, there in ties if there):
            SubElement(note, "tie", type=kind)
        if pitch is not None:
            SubElement(note, "instrument", id=f"P{number}-I{pitch[0] if staff.drums else 0}")
        _text(note, "voice", voice)
        _text(note, "type", written.value)
        for _ in range(written.dots):
            SubElement(note, "dot")
        if written.triplet:
            time = SubElement(note, "time-modification")
            _text(time, "actual-notes", 3)
            _text(time, "normal-notes", 2)
        if head:
            _text(note, "notehead", head)
        if any(there for _, there in ties) or written.first or written.last:
            notations = SubElement(note, "notations")
            for kind in (kind for kind, there in ties if there):
                SubElement(notations, "tied", type=kind)
            for kind, there in (("start", written.first), ("stop", written.last)):
                if there and not place:
                    SubElement(notations, "tuplet", type=kind)
        yield note


def spelled(name: str) -> tuple[str, int]:
    """A pitch's name in two: `Bb-1` as "Bb" and -1."""
    letters = name.rstrip("-0123456789")
    return letters, int(name[len(letters) :])
