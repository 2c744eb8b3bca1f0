"""What the shipped scenes must be: playable on and on, in range, in key, and composed.

Each scene is played through the real player in virtual time.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

import pytest

from engines.grammar import Grammar
from server.clock import JumpClock
from server.journal import Entry, Harmonised, Played, Troubled
from server.music.meter import Place
from server.music.note import Note
from server.part import PartSpec
from server.player import Player
from server.rack import Rack, Tape
from server.reading import Drum, Struck
from server.scene import Scene, load_scene, shipped_scenes

BARS = 64
SEEDS = (0, 7, 1821)

#: The finished pieces, and the parts in them that carry the melody.
ENSEMBLES = {
    "ambient": ("flute",),
    "balkan": ("clarinet",),
    "blues": ("harp", "guitar"),
    "chiptune": ("lead",),
    "default": ("vibes", "trumpet"),
    "house": ("hook",),
    "waltz": ("fiddle", "flute"),
}
EXAMPLES = ("algae", "markov", "melody", "turtle", "words", "words-chance")
SCENES = (*ENSEMBLES, *EXAMPLES)
STRONG = 0.75  # the weight of the bar line and of the groups within the bar


class Heard(NamedTuple):
    """A performance. chords: pitch classes from a beat on.  places: of the notes' beats."""

    scene: Scene
    notes: tuple[Note, ...]
    chords: tuple[tuple[Fraction, frozenset[int]], ...]
    troubles: tuple[str, ...]
    places: dict[tuple[int, int], Place]

    def of(self, part: str) -> list[Note]:
        return [note for note in self.notes if note.part == part]

    def bars(self, notes: list[Note]) -> dict[int, list[Note]]:
        bars: defaultdict[int, list[Note]] = defaultdict(list)
        for note in notes:
            bars[self.places[note.beat.as_integer_ratio()].bar].append(note)
        return bars

    def weight(self, note: Note) -> float:
        _, position, meter = self.places[note.beat.as_integer_ratio()]
        return meter.weight(position)

    def chord(self, beat: Fraction) -> frozenset[int]:
        index = bisect_right(self.chords, beat, key=itemgetter(0)) - 1
        return self.chords[index][1] if index >= 0 else frozenset()


def play(scene: Scene, bars: int = BARS) -> Heard:
    entries: list[Entry] = []
    player = Player(JumpClock(), lambda ids: Rack({"osc": Tape()}, ids), horizon=4 * 10**9)
    player.journal.add(entries.append)

    async def evening() -> None:
        player.cue(scene)
        player.play(end_bar=bars)
        await player.run()

    asyncio.run(evening())
    notes = tuple(entry.note for entry in entries if isinstance(entry, Played))
    beats = {note.beat.as_integer_ratio(): note.beat for note in notes}
    return Heard(
        scene,
        notes,
        tuple(
            (entry.moment.beat, frozenset(entry.classes))
            for entry in entries
            if isinstance(entry, Harmonised)
        ),
        tuple(entry.text for entry in entries if isinstance(entry, Troubled)),
        {ratio: scene.meters.bar_at(beat) for ratio, beat in beats.items()},
    )


@cache
def heard(name: str, seed: int) -> Heard:
    return play(load_scene(shipped_scenes()[name]).with_seed(seed))


def pitched(spec: PartSpec) -> bool:
    names = spec.engine.alphabet() or ()
    words = [word for name in names for word in spec.reading.words(name) or ()]
    atoms = [atom for word in words if isinstance(word, Struck) for atom in word.hit.atoms]
    return not atoms or not all(isinstance(atom, Drum) for atom in atoms)


def shape(notes: list[Note], start: Fraction) -> tuple[tuple[str, Fraction, int], ...]:
    """What is played when, counted from a beat."""
    return tuple(sorted((note.part, note.beat - start, note.pitch) for note in notes))


def stretches(performance: Heard, notes: list[Note], length: int) -> list[object]:
    bars, beat_of = performance.bars(notes), performance.scene.meters.beat_of_bar
    return [
        shape([note for bar in range(first, first + length) for note in bars[bar]], beat_of(first))
        for first in range(1, BARS + 1, length)
    ]


each_scene = pytest.mark.parametrize("name", SCENES)
each_ensemble = pytest.mark.parametrize("name", ENSEMBLES)
each_seed = pytest.mark.parametrize("seed", SEEDS)


def test_these_are_all_the_shipped_scenes() -> None:
    assert set(shipped_scenes()) == set(SCENES)


@each_seed
@each_scene
def test_a_scene_plays_without_trouble_and_every_part_is_heard(name: str, seed: int) -> None:
    performance = heard(name, seed)
    assert performance.troubles == ()
    assert {note.part for note in performance.notes} == {p.name for p in performance.scene.parts}
    last = performance.bars(list(performance.notes))[BARS]
    assert last, "it has stopped before the end"


@each_seed
@each_scene
def test_every_part_keeps_to_its_range(name: str, seed: int) -> None:
    performance = heard(name, seed)
    for spec in performance.scene.parts:
        pitches = [note.pitch for note in performance.of(spec.name)]
        assert spec.low <= min(pitches) and max(pitches) <= spec.high, spec.name


@each_seed
@each_ensemble
def test_pitched_notes_are_in_the_key_or_the_chord(name: str, seed: int) -> None:
    performance = heard(name, seed)
    key = performance.scene.key
    home = {*key.pitch_classes, *key.heptatonic.pitch_classes}
    for spec in performance.scene.parts:
        if not pitched(spec):
            continue
        notes = performance.of(spec.name)
        fitting = [n for n in notes if n.pitch % 12 in home | performance.chord(n.beat)]
        assert len(fitting) >= 0.95 * len(notes), spec.name


@each_seed
@each_ensemble
def test_melodies_rest_on_chord_tones_and_mostly_step(name: str, seed: int) -> None:
    performance = heard(name, seed)
    for part in ENSEMBLES[name]:
        melody = performance.of(part)
        strong = [note for note in melody if performance.weight(note) >= STRONG]
        resting = [n for n in strong if n.pitch % 12 in performance.chord(n.beat)]
        assert len(resting) >= 0.75 * len(strong), part
        leaps = [abs(b.pitch - a.pitch) for a, b in pairwise(melody)]
        assert sum(leap <= 4 for leap in leaps) >= 0.6 * len(leaps), part
        assert sum(leap > 9 for leap in leaps) <= 0.1 * len(leaps), part


@each_seed
@each_ensemble
def test_an_ensemble_breathes(name: str, seed: int) -> None:
    """Melodies leave room, loudness varies, yet never are all of them silent for two beats."""
    performance = heard(name, seed)
    for part in ENSEMBLES[name]:
        melody = performance.of(part)
        covered = sum((note.end - note.start for note in melody), Fraction(0))
        assert covered < 0.97 * performance.scene.meters.beat_of_bar(BARS + 1), part
        velocities = [note.velocity for note in melody]
        assert max(velocities) > 1.2 * min(velocities), part
    sounding = Fraction(0)
    for note in sorted(performance.notes, key=itemgetter(1)):
        assert note.beat - sounding < 2
        sounding = max(sounding, note.end)


@each_seed
@each_ensemble
def test_material_comes_back_but_no_long_stretch_repeats(name: str, seed: int) -> None:
    performance = heard(name, seed)
    parts = {spec.name for spec in performance.scene.parts if pitched(spec)}
    notes = [note for note in performance.notes if note.part in parts]
    for length in (8, 16):
        found = stretches(performance, notes, length)
        assert len(set(found)) == len(found), f"{length} bars are repeated as they were"
    rhythms: Counter[object] = Counter()
    for part in ENSEMBLES[name]:
        for bar, inside in performance.bars(performance.of(part)).items():
            start = performance.scene.meters.beat_of_bar(bar)
            rhythms[tuple(note.beat - start for note in inside)] += 1
    again = sum(count for count in rhythms.values() if count > 1)
    assert again >= 0.5 * rhythms.total(), "hardly any rhythm returns"


@each_ensemble
def test_seeds_are_siblings_not_twins(name: str) -> None:
    one, other = heard(name, SEEDS[0]), heard(name, SEEDS[1])
    assert shape(list(one.notes), Fraction(0)) != shape(list(other.notes), Fraction(0))
    for spec in one.scene.parts:
        ratio = len(one.of(spec.name)) / len(other.of(spec.name))
        assert 0.5 < ratio < 2, spec.name


@each_ensemble
def test_an_ensemble_combines_engines_and_its_parts_have_their_own_registers(name: str) -> None:
    performance = heard(name, SEEDS[0])
    assert len({spec.engine_name for spec in performance.scene.parts}) >= 2
    low = [note.pitch for note in performance.of("deep" if name == "ambient" else "bass")]
    for part in ENSEMBLES[name]:
        high = [note.pitch for note in performance.of(part)]
        assert sum(high) / len(high) - sum(low) / len(low) >= 19, part


def test_another_part_does_not_change_the_ones_that_were_there() -> None:
    scene = load_scene(shipped_scenes()["default"])
    added = PartSpec("gong", Grammar("S -> C2:1/1"), "grammar")
    before = play(scene, 16)
    after = play(replace(scene, parts=(added, *scene.parts)), 16)
    for spec in scene.parts:
        assert [note[:-2] for note in before.of(spec.name)] == [
            note[:-2] for note in after.of(spec.name)
        ]
    assert after.of("gong")
