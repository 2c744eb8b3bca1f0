"""Scores: what is written is what was played, and adds up to bars."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Mistake, Symbol
from server.concert.journal import Harmonised, Marked, Moment, Moved, Played, Ticked
from server.errands import hear
from server.music.chord import parse_chord
from server.music.meter import parse_meter
from server.music.note import Note
from server.score.scene import find_scene, load_scene
from server.takes.abc import abc
from server.takes.files import BEGINS, found_font, keeper
from server.takes.musicxml import DIVISIONS, musicxml
from server.takes.notation import Copyist, Manuscript
from tests.rigs.need import need
from tests.server.model import row

SCENES = ("waltz", "balkan", "blues", "house", "lamplight", "chiptune")
Sound = tuple[str, Fraction, Fraction, int]  # part, beginning, end, pitch


def copied(name: str, bars: int = 12) -> Manuscript:
    scene, copy = load_scene(find_scene(name)), Copyist()
    hear(scene, bars, copy)
    return copy.manuscript(scene.title, "about", scene.ensemble)


def played(meter: str, notes: list[tuple[Fraction, Fraction, int]], bars: int = 3) -> Manuscript:
    """A manuscript of some notes: beginning, length as it sounds, pitch."""
    copy, part = Copyist(), row("one", "C")
    length = parse_meter(meter).length
    copy(Marked(Moment(0, Fraction(0), 1, 1.0), "key", "Eb major"))
    for bar in range(bars):
        copy(Ticked(Moment(0, bar * length, bar + 1, 1.0), 120.0, meter))
    for at, sounds, pitch in notes:
        symbol = Symbol("x")
        note = Note("one", at, at, at + sounds, 0, pitch, 0.7, 1, symbol)
        copy(Played(Moment(0, at, 1, 1.0), note, 1.0))
    copy(Moved(Moment(0, bars * length, bars + 1, 1.0), "stopped"))
    return copy.manuscript("Title", "about", [part])


def written(score: Manuscript) -> set[Sound]:
    """Every note of a manuscript, ties joined."""
    found = set()
    for staff in score.staves:
        for voice in range(4):
            open_: dict[int, Fraction] = {}
            for bar in staff.bars:
                for each in bar[voice] if voice < len(bar) else ():
                    for pitch, _ in each.pitches:
                        begin = open_.pop(pitch) if each.held else each.at
                        if each.tied:
                            open_[pitch] = begin
                        else:
                            found.add((staff.name, begin, each.at + each.length, pitch))
            assert not open_ or voice, staff.name
    return found


# Laws of the manuscript -------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_every_voice_fills_every_bar_with_values_that_can_be_written(name: str) -> None:
    score = copied(name)
    assert score.staves
    names = ("whole", "half", "quarter", "eighth", "16th", "32nd")
    values = {name: Fraction(4, 2**nth) for nth, name in enumerate(names)}
    for staff in score.staves:
        assert len(staff.bars) == len(score.bars)
        for bar, voices in zip(score.bars, staff.bars, strict=True):
            for voice in voices:
                at = bar.begin
                for each in voice:
                    assert each.at == at
                    at += each.length
                    plain = values[each.value] * (3 if each.dots else 2) / 2
                    assert each.length == (plain * 2 / 3 if each.triplet else plain)
                assert at == bar.end
                firsts = sum(each.first for each in voice)
                assert firsts == sum(each.last for each in voice)


@pytest.mark.parametrize("name", SCENES)
def test_every_note_that_was_played_is_written_where_it_was_meant(name: str) -> None:
    scene, copy, entries = load_scene(find_scene(name)), Copyist(), list[Played]()

    def listen(entry: object) -> None:
        if isinstance(entry, Played):
            entries.append(entry)
        copy(entry)  # type: ignore[arg-type]

    hear(scene, 12, listen)
    score = copy.manuscript("", "", scene.ensemble)
    begins = {(part, begin, pitch) for part, begin, _, pitch in written(score)}
    for entry in entries:
        note = entry.note
        if (note.beat * 24).denominator == 1:  # on a grid that can be written
            near = any((note.part, note.beat + away, note.pitch) in begins for away in AWAY)
            assert near, note


AWAY = [Fraction(n, 24) for n in (0, -1, 1, -2, 2)]


@given(
    meter=st.sampled_from(["4/4", "3/4", "7/8", "6/8", "5/16", "3+2/8"]),
    notes=st.lists(
        st.tuples(
            st.builds(Fraction, st.integers(0, 100), st.sampled_from([1, 4, 6, 8, 12, 7])),
            st.builds(Fraction, st.integers(1, 60), st.sampled_from([4, 6, 8, 9, 13])),
            st.integers(20, 110),
        ),
        max_size=14,
    ),
)
def test_whatever_is_played_adds_up_and_can_be_read_back(
    meter: str, notes: list[tuple[Fraction, Fraction, int]]
) -> None:
    score = played(meter, notes)
    for staff in score.staves:
        for bar, voices in zip(score.bars, staff.bars, strict=True):
            for voice in voices:
                assert sum(each.length for each in voice) == bar.meter.length
    assert check_xml(musicxml(score, "1")) == written(score)
    assert read_abc(abc(score, "1").decode()) == written(score)


def test_swing_and_gate_are_not_written(tmp_path: Path) -> None:
    swung = [(Fraction(n, 2), Fraction(9, 20), 60 + n) for n in range(8)]
    score = played("4/4", swung, 1)
    assert [each.value for each in score.staves[0].bars[0][0]] == ["eighth"] * 8
    threes = [(Fraction(n, 3), Fraction(3, 10), 60 + n) for n in range(6)]
    bar = played("2/4", threes, 1).staves[0].bars[0][0]
    assert [(each.value, each.triplet) for each in bar] == [("eighth", True)] * 6
    assert [each.first for each in bar] == [True, False, False] * 2


def test_a_note_over_the_bar_line_is_tied_and_read_at_the_beats() -> None:
    score = played("4/4", [(Fraction(3, 2), Fraction(4), 60)], 2)
    values = [
        (e.value, e.dots, e.tied, e.held) for b in score.staves[0].bars for e in b[0] if e.pitches
    ]
    assert values == [
        ("eighth", 0, True, False),
        ("half", 0, True, True),
        ("quarter", 1, False, True),
    ]


# MusicXML ---------------------------------------------------------------------------------------


def check_xml(data: bytes) -> set[Sound]:
    """Every note of a MusicXML file, which keeps the laws of one."""
    root = ElementTree.fromstring(data)
    names = {one.get("id"): one.findtext("part-name", "") for one in root.iter("score-part")}
    known = {one.get("id") for one in root.iter("score-instrument")}
    found = set()
    for part in root.findall("part"):
        name, begin, length = names[part.get("id")], Fraction(0), Fraction(0)
        open_: dict[tuple[str, int], Fraction] = {}
        for number, measure in enumerate(part.findall("measure"), 1):
            assert measure.get("number") == str(number)
            time = measure.find("attributes/time")
            if time is not None:
                length = Fraction(
                    4 * int(time.findtext("beats", "")), int(time.findtext("beat-type", ""))
                )
            at, ends, last = begin, list[Fraction](), begin
            for element in measure:
                if element.tag == "backup":
                    ends.append(at)
                    at -= Fraction(int(element.findtext("duration", "")), DIVISIONS)
                if element.tag != "note":
                    continue
                duration = Fraction(int(element.findtext("duration", "")), DIVISIONS)
                assert duration > 0
                if element.find("chord") is None:
                    last, at = at, at + duration
                voice = element.findtext("voice", "")
                instrument = element.find("instrument")
                assert (instrument is not None) == (element.find("rest") is None)
                assert instrument is None or instrument.get("id") in known
                ties = {tie.get("type") for tie in element.findall("tie")}
                assert ties == {tie.get("type") for tie in element.findall("notations/tied")}
                pitch = element.find("pitch")
                if pitch is not None:
                    midi = 12 * (int(pitch.findtext("octave", "")) + 1)
                    midi += {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[
                        pitch.findtext("step", "")
                    ]
                    midi += int(pitch.findtext("alter", "0"))
                    since = open_.pop((voice, midi)) if "stop" in ties else last
                    if "start" in ties:
                        open_[voice, midi] = since
                    else:
                        found.add((name, since, last + duration, midi))
            assert all(end == begin + length for end in [*ends, at]), f"{name}, bar {number}"
            begin += length
    return found


@pytest.mark.parametrize("name", SCENES)
def test_musicxml_of_shipped_scenes_is_what_the_manuscript_says(name: str) -> None:
    score = copied(name)
    pitched = {each for each in written(score) if not drums(score, each[0])}
    assert check_xml(musicxml(score, "1")) == pitched


def drums(score: Manuscript, part: str) -> bool:
    return next(staff.drums for staff in score.staves if staff.name == part)


def test_keys_chords_sections_and_tempo_are_told() -> None:
    copy, part = Copyist(), row("one", "C")
    for bar, (key, tempo, section) in enumerate(
        [("D dorian", 120.0, "Verse"), ("D dorian", 121.0, ""), ("Eb major", 90.0, "Chorus")]
    ):
        moment = Moment(0, Fraction(4 * bar), bar + 1, 1.0)
        copy(Ticked(moment, tempo, "4/4"))
        copy(Marked(moment, "key", key))
        if section:
            copy(Marked(moment, "section", section))
        copy(Harmonised(moment._replace(beat=moment.beat + 2), "Bbm7b5/Db", ()))
        copy(
            Played(
                moment,
                Note("one", moment.beat, moment.beat, moment.beat + 1, 0, 61, 0.5, 1, Symbol("x")),
                1,
            )
        )
    assert parse_chord("Bbm7b5/Db")
    root = ElementTree.fromstring(musicxml(copy.manuscript("<T&>", "seed 7", [part]), "1"))
    assert root.findtext("work/work-title") == "<T&>"
    assert [one.text for one in root.iter("fifths")] == ["0", "-3"]
    assert [one.text for one in root.iter("mode")] == ["dorian", "major"]
    assert [one.text for one in root.iter("rehearsal")] == ["Verse", "Chorus"]
    assert [one.text for one in root.iter("per-minute")] == ["120", "90"]
    assert [one.get("tempo") for one in root.iter("sound")] == ["120.00", "121.00", "90.00"]
    harmony = next(root.iter("harmony"))
    assert (harmony.findtext("root/root-step"), harmony.findtext("root/root-alter")) == ("B", "-1")
    assert harmony.findtext("kind") == "half-diminished"
    assert harmony.findtext("bass/bass-step") == "D"
    assert harmony.findtext("offset") == str(2 * DIVISIONS)
    spelled = [(n.findtext("step"), n.findtext("alter")) for n in root.iter("pitch")]
    assert spelled[:1] == [("C", "1")] and spelled[-1:] == [("D", "-1")]


# ABC --------------------------------------------------------------------------------------------

_ATOM = re.compile(
    r"(?P<field>\[[MKQ]:[^\]]*\])|(?P<text>\"[^\"]*\")|(?P<tuplet>\(3:2:\d+)|(?P<bar>\|\]?)"
    r"|(?P<note>(?P<chord>\[(?P<inner>[^\]]*)\]|[zx]|[_^=]*[A-Ga-g][,']*)(?P<length>\d*(?:/\d+)?)(?P<tie>-?))|\s+"
)
_PITCH = re.compile(r"(?P<sign>[_^=]*)(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<tie>-?)")
_SIGNS = {"": None, "=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}
_FIFTHS = "FCGDAEB"
#: The tonic of each mode that is written without a sign.
_MODES = dict(
    zip(
        ("major", "dorian", "phrygian", "lydian", "mixolydian", "minor", "locrian"),
        "CDEFGAB",
        strict=True,
    )
)


def read_abc(text: str) -> set[Sound]:
    """Every note of an ABC file, by the rules of the standard; a sign holds in its octave."""
    names: dict[str, str] = {}
    key, voice, body = "", "", dict[str, str]()
    for line in text.splitlines():
        if line.startswith("V:") and "name=" in line:
            found = re.match(r'V:(\S+) name="([^"]*)"', line)
            assert found is not None
            names[found[1]] = found[2]
        elif line.startswith("V:"):
            voice = line[2:]
        elif line.startswith("K:"):
            key = line[2:]
        elif voice and not line.startswith("%"):
            body[voice] = body.get(voice, "") + line
    assert body.keys() == names.keys()
    return {sound for voice, line in body.items() for sound in _sounds(names[voice], line, key)}


def _signature(key: str) -> dict[str, int]:
    tonic, _, mode = key.partition(" ")
    sharps = _FIFTHS.index(tonic[0]) + 7 * (tonic.count("#") - tonic.count("b"))
    sharps -= _FIFTHS.index(_MODES[mode or "major"])
    changed = _FIFTHS[:sharps] if sharps >= 0 else _FIFTHS[sharps:]
    return {letter: (1 if sharps > 0 else -1) * (letter in changed) for letter in _FIFTHS}


def _sounds(part: str, line: str, key: str) -> Iterator[Sound]:
    at, place, tuplet = Fraction(0), 0, 0
    signs: dict[tuple[str, int], int] = {}
    signature, open_ = _signature(key), dict[int, Fraction]()
    while place < len(line):
        atom = _ATOM.match(line, place)
        assert atom is not None, line[place:]
        place = atom.end()
        if atom["bar"]:
            signs.clear()
        elif atom["field"] and atom["field"].startswith("[K:"):
            signature = _signature(atom["field"][3:-1])
        elif atom["tuplet"]:
            assert not tuplet
            tuplet = int(atom["tuplet"][5:])
        elif atom["note"]:
            above, _, below = atom["length"].partition("/")
            length = Fraction(int(above or 1), int(below or 1)) / 2
            if tuplet:
                length, tuplet = length * 2 / 3, tuplet - 1
            going = set(open_)
            for found in _PITCH.finditer(atom["inner"] or atom["chord"]):
                letter = found["letter"].upper()
                octave = (
                    4
                    + found["letter"].islower()
                    + found["octave"].count("'")
                    - found["octave"].count(",")
                )
                sign = _SIGNS[found["sign"]]
                if sign is not None:
                    signs[letter, octave] = sign
                midi = 12 * (octave + 1) + [0, 2, 4, 5, 7, 9, 11]["CDEFGAB".index(letter)]
                midi += signs.get((letter, octave), signature[letter])
                since = open_.pop(midi, at)
                going.discard(midi)
                if found["tie"] or atom["tie"]:
                    open_[midi] = since
                else:
                    yield part, since, at + length, midi
            assert not going, "what is tied is there again"
            at += length


@pytest.mark.parametrize("name", SCENES)
def test_abc_of_shipped_scenes_is_what_the_manuscript_says(name: str) -> None:
    score = copied(name)
    assert read_abc(abc(score, "1").decode()) == written(score)


@pytest.mark.real
def test_another_s_reader_of_abc_understands_it(tmp_path: Path) -> None:
    program = need("abc2midi", "abcmidi")
    for name in SCENES[:3]:
        file = tmp_path / f"{name}.abc"
        file.write_bytes(abc(copied(name), "1"))
        done = subprocess.run(  # it leaves a file of its own where it is run
            [program, file, "-c"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and "rror" not in done.stdout, done.stdout


# Files of every kind ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [".mid", ".musicxml", ".abc", ".svg"])
def test_a_file_begins_as_its_kind_does_and_has_the_wanted_parts_alone(kind: str) -> None:
    scene = load_scene(find_scene("waltz"))
    whole, alone = keeper(Path(f"a{kind}"), "1"), keeper(Path(f"a{kind}"), "1", ["fiddle"])
    for keep in (whole, alone):
        keep.begin(scene)
        hear(scene, 4, keep)
    assert whole.file().startswith(BEGINS[kind])
    assert b"guitar" in whole.file() and b"fiddle" in alone.file()
    assert b"guitar" not in alone.file()


@pytest.mark.parametrize("kind", [".musicxml", ".abc"])
def test_a_part_that_is_wanted_and_rests_has_its_rests(kind: str) -> None:
    scene = load_scene(find_scene("level"))
    keep = keeper(Path(f"a{kind}"), "1", ["violins"])
    keep.begin(scene)
    hear(scene, 4, keep)
    rests = {".abc": b"z8", ".musicxml": b"<rest"}
    assert keep.file().count(rests[kind]) == 4
    assert b"violins" in keep.file()


def test_what_is_missing_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Mistake, match=r"\.musicxml"):
        keeper(Path("a.pdf"), "1")
    with pytest.raises(Mistake, match=r"/nowhere\.sf2"):
        found_font(Path("/nowhere.sf2"))
    monkeypatch.setattr("server.takes.files.FONTS", ())
    with pytest.raises(Mistake, match="apt install fluid-soundfont-gm"):
        found_font(None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Mistake, match="apt install fluidsynth"):
        keeper(Path("a.wav"), "1")
    with pytest.raises(Mistake, match="apt install librsvg2-bin"):
        keeper(Path("a.png"), "1")


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "program", "package"),
    [(".wav", "fluidsynth", "fluidsynth"), (".png", "rsvg-convert", "librsvg2-bin")],
)
def test_what_other_programs_make_is_made(kind: str, program: str, package: str) -> None:
    need(program, package)
    scene = load_scene(find_scene("waltz"))
    keep = keeper(Path(f"a{kind}"), "1")
    keep.begin(scene)
    hear(scene, 2, keep)
    data = keep.file()
    assert data.startswith(BEGINS[kind]) and len(data) > 2000
