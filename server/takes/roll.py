"""A piano roll as SVG: parts in colours, bar lines, chord names, keys and sections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple, Protocol

from server.ensemble.part import PartSpec
from server.music.meter import Meter

from .lines import DRUMS
from .notation import Copyist

ROW = 16  # bars
WIDTH, LEFT, TOP = 1560, 44, 34
SEMITONE, LANE = 5, 9  # pixels
COLOURS = (
    *("#d1495b", "#2e6f95", "#3a7d44", "#b5651d", "#7b4ea3", "#0f8b8d", "#c2185b"),
    *("#8d6e63", "#546e7a", "#9e9d24"),
)


class Lane(Protocol):
    """A note: onset, length in quarter notes; velocity 0 to 1."""

    @property
    def part(self) -> str: ...
    @property
    def onset(self) -> float: ...
    @property
    def length(self) -> float: ...
    @property
    def pitch(self) -> int: ...
    @property
    def velocity(self) -> float: ...


class Begun(Protocol):
    """A bar, with its metre. begin: quarter notes."""

    @property
    def begin(self) -> float: ...
    @property
    def meter(self) -> Meter: ...


class Named(Protocol):
    """A chord, key or section. begin: quarter notes."""

    @property
    def begin(self) -> float: ...
    @property
    def name(self) -> str: ...


class Drawn(Protocol):
    """What is drawn. pitched: the notes that are no drums.  phrase: bars."""

    @property
    def parts(self) -> Mapping[str, object]: ...
    @property
    def roles(self) -> Mapping[str, str]: ...
    @property
    def notes(self) -> Sequence[Lane]: ...
    @property
    def pitched(self) -> Sequence[Lane]: ...
    @property
    def bars(self) -> Sequence[Begun]: ...
    @property
    def chords(self) -> Sequence[Named]: ...
    @property
    def keys(self) -> Sequence[Named]: ...
    @property
    def sections(self) -> Sequence[Named]: ...
    @property
    def phrase(self) -> int: ...
    @property
    def title(self) -> str: ...


class _Lane(NamedTuple):
    part: str
    onset: float
    length: float
    pitch: int
    velocity: float


class _Begun(NamedTuple):
    begin: float
    meter: Meter


class _Named(NamedTuple):
    begin: float
    name: str


class Picture(NamedTuple):
    """What a copyist has kept, to be drawn."""

    parts: Mapping[str, object]
    roles: Mapping[str, str]
    notes: Sequence[_Lane]
    pitched: Sequence[_Lane]
    bars: Sequence[_Begun]
    chords: Sequence[_Named]
    keys: Sequence[_Named]
    sections: Sequence[_Named]
    phrase: int
    title: str

    @classmethod
    def of(cls, copy: Copyist, title: str, parts: Iterable[PartSpec], phrase: int) -> Picture:
        """A picture of a piece; of its parts those that have sounded."""
        specs = {spec.name: spec for spec in parts if spec.name in copy.notes}
        notes = sorted(
            _Lane(name, float(n.beat), float(n.end - n.start), n.pitch, n.velocity)
            for name in specs
            for n, _ in copy.notes[name]
        )
        bars = [_Begun(float(bar.begin), bar.meter) for bar in copy.bars]
        keys = [_Named(float(bar.begin), bar.key) for bar in copy.bars]
        return cls(
            specs,
            {name: spec.role or name for name, spec in specs.items()},
            notes,
            [note for note in notes if specs[note.part].channel != DRUMS],
            bars,
            [_Named(float(chord.beat), chord.name) for chord in copy.chords],
            [key for nth, key in enumerate(keys) if not nth or keys[nth - 1].name != key.name],
            [_Named(float(bar.begin), bar.section) for bar in copy.bars if bar.section],
            phrase,
            title,
        )


def draw(score: Drawn, bars_in_row: int = ROW) -> str:
    """An SVG picture of a whole score, so many bars to a row.

    Pitched notes lie on a scale with a line at each C, darker the louder; drums have a lane for
    each pitch below. Bars are numbered from 1.
    """
    parts = list(score.parts)
    colours = {part: COLOURS[at % len(COLOURS)] for at, part in enumerate(parts)}
    pitches = [note.pitch for note in score.pitched] or [60]
    low, high = min(pitches) - 2, max(pitches) + 2
    pitched = set(score.pitched)
    drums = sorted({n.pitch for n in score.notes if n not in pitched}, reverse=True)
    roll = (high - low) * SEMITONE
    height = TOP + roll + 6 + len(drums) * LANE + 22
    rows = [score.bars[at : at + bars_in_row] for at in range(0, len(score.bars), bars_in_row)]
    total = 40 + height * len(rows)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * LEFT}" height="{total}" '
        'font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fffdf8"/>',
        _text(LEFT, 22, score.title or "score", "#222", 16),
    ]
    x = LEFT + 260
    for part in parts:
        out.append(_box(x, 12, 14, 11, colours[part]))
        label = f"{part} ({score.roles[part]})"
        out.append(_text(x + 18, 22, label, "#222", 12))
        x += 40 + 7 * len(label)
    longest = max((sum(float(bar.meter.length) for bar in row) for row in rows), default=1.0)
    for number, row in enumerate(rows):
        begin = row[0].begin
        stop = row[-1].begin + float(row[-1].meter.length)
        top = 40 + number * height + TOP
        scale = WIDTH / longest

        def at(beat: float, begin: float = begin, scale: float = scale) -> float:
            return LEFT + (beat - begin) * scale

        for pitch in range(low, high + 1):
            if pitch % 12 == 0:
                y = top + (high - pitch) * SEMITONE
                out.append(_line(LEFT, y, at(stop), y, "#d8d2c4"))
                out.append(_text(8, y + 4, f"C{pitch // 12 - 1}", "#999", 10))
        for place, bar in enumerate(row):
            y = top + roll + len(drums) * LANE + 6
            index = number * bars_in_row + place
            heavy = index % score.phrase == 0
            out.append(_line(at(bar.begin), top - 6, at(bar.begin), y, "#777" if heavy else "#ccc"))
            out.append(_text(at(bar.begin) + 2, y + 12, str(index + 1), "#999", 9))
        above = [(chord.begin, chord.name, 8, "#333") for chord in score.chords]
        above += [(key.begin, key.name, 21, "#a33") for key in score.keys]
        above += [(part.begin, part.name, 31, "#33a") for part in score.sections]
        out += [
            _text(at(where) + 2, top - up, name, colour, 10)
            for where, name, up, colour in above
            if begin <= where < stop
        ]
        for note in score.notes:
            if not begin <= note.onset < stop:
                continue
            if note in pitched:
                lane, tall = (high - note.pitch - 0.5) * SEMITONE, SEMITONE - 0.5
            else:
                lane, tall = roll + 6.0 + drums.index(note.pitch) * LANE, LANE - 3.0
            wide = max(min(note.length, stop - note.onset) * scale, 1.5)
            colour, opacity = colours[note.part], 0.3 + 0.7 * note.velocity
            out.append(_box(at(note.onset), top + lane, wide, tall, colour, opacity))
    out.append("</svg>")
    return "\n".join(out)


def _box(x: float, y: float, wide: float, tall: float, colour: str, opacity: float = 1.0) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
        f'fill="{colour}" fill-opacity="{opacity:.2f}"/>'
    )


def _line(x: float, y: float, to_x: float, to_y: float, colour: str) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, colour: str, size: int) -> str:
    safe = escape(text)
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}">{safe}</text>'
