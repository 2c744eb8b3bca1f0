"""What the shipped scenes must be: playable on and on, in range, in key, and composed.

Each scene is played through the real player in virtual time.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations, pairwise
from math import log10
from operator import itemgetter
from typing import NamedTuple

import pytest

from engines.grammar import Grammar
from scripts.listening import measures
from scripts.listening.predictor import predict
from scripts.listening.scenes import WORDS
from scripts.listening.score import Score, score_of
from server.band.baton import Baton
from server.concert.clock import JumpClock
from server.concert.journal import Entry, Harmonised, Played, Troubled
from server.concert.player import Player
from server.conductor.conductor import Bar, Conductor
from server.ensemble.part import PartSpec
from server.ensemble.rack import Rack, Tape
from server.ensemble.reading import Drum, Struck
from server.errands import clashes, hear, toured
from server.music.meter import Place
from server.music.note import Note
from server.score.direction import Row
from server.score.scene import Scene, find_scene, load_scene, shipped_scenes
from server.score.style import shipped

BARS = 64
SEEDS = (0, 7, 1821)

#: The finished pieces, and the parts in them that carry the melody.
ENSEMBLES = {
    "ambient": ("flute",),
    "balkan": ("clarinet",),
    "blues": ("harp", "guitar"),
    "chiptune": ("lead",),
    "house": ("hook",),
    "lamplight": ("vibes", "trumpet"),
    "waltz": ("fiddle", "flute"),
}
EXAMPLES = ("algae", "markov", "melody", "turtle", "words", "words-chance")
FOLLOWER = "default"  # follows a mood, through modes, keys and registers
LEVEL = "level"  # goes where a game says
FIXED = (*ENSEMBLES, *EXAMPLES)
SCENES = (*FIXED, FOLLOWER, LEVEL)
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
def heard(name: str, seed: int, arousal: float = 0.0) -> Heard:
    scene = load_scene(shipped_scenes()[name]).with_seed(seed)
    if arousal:
        scene = replace(scene, controls={**scene.controls, "arousal": arousal})
    return play(scene)


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


def loudness(notes: Iterable[Note]) -> float:
    """Decibels above one note as loud as can be; a synthesizer's power goes as velocity^4."""
    return 10 * log10(sum(note.velocity**4 for note in notes))


def overlap(one: set[tuple[Fraction, int]], other: set[tuple[Fraction, int]]) -> float:
    return len(one & other) / len(one | other)


each_scene = pytest.mark.parametrize("name", (*FIXED, FOLLOWER))
each_fixed = pytest.mark.parametrize("name", FIXED)
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
@each_fixed
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
    """Melodies leave room and rest now and then, yet never are all silent for two beats."""
    performance = heard(name, seed)
    end = performance.scene.meters.beat_of_bar(BARS + 1)
    bar = end / BARS
    for part in ENSEMBLES[name]:
        melody = sorted(performance.of(part), key=itemgetter(1))
        covered = sum((note.end - note.start for note in melody), Fraction(0))
        assert covered < 0.8 * end, part
        pauses = [after.beat - note.end for note, after in pairwise(melody)]
        assert sum(pause > bar / 5 for pause in pauses) >= 3, part
        assert max(pauses) > bar / 2, part
        velocities = [note.velocity for note in melody]
        assert max(velocities) > 1.2 * min(velocities), part
    sounding = Fraction(0)
    for note in sorted(performance.notes, key=itemgetter(1)):
        assert note.beat - sounding < 2
        sounding = max(sounding, note.end)


@each_seed
@each_ensemble
def test_loudness_has_a_form(name: str, seed: int) -> None:
    performance = heard(name, seed)
    bars = performance.bars(list(performance.notes))
    eights = [
        loudness(note for bar in range(first, first + 8) for note in bars[bar])
        for first in range(1, BARS + 1, 8)
    ]
    assert max(eights) - min(eights) >= 4


@each_seed
@each_ensemble
def test_parts_seldom_rub(name: str, seed: int) -> None:
    """A semitone or a minor ninth between two parts on a beat, or a group of an uneven bar."""
    performance = heard(name, seed)
    meters, ticks = performance.scene.meters, []
    for bar in range(1, BARS + 1):
        beat = meters.beat_of_bar(bar)
        meter = meters.bar_at(beat).meter
        for group in meter.groups if meter.unit == 8 else [1] * meter.beats:
            ticks.append(beat)
            beat += group * meter.beat_length
    sounding: dict[str, list[set[int]]] = {}
    for spec in performance.scene.parts:
        if pitched(spec):
            sounding[spec.name] = [set() for _ in ticks]
            for note in performance.of(spec.name):
                end = note.beat + note.end - note.start  # as written: swing moves both
                first, last = bisect_left(ticks, note.beat), bisect_left(ticks, end)
                for tick in sounding[spec.name][first:last]:
                    tick.add(note.pitch)
    for (one, here), (other, there) in combinations(sounding.items(), 2):
        rubs = sum(
            any(abs(low - high) in (1, 13) for low in lows for high in highs)
            for lows, highs in zip(here, there, strict=True)
        )
        assert rubs <= len(ticks) / 24, (one, other)


@each_ensemble
def test_arousal_is_heard(name: str) -> None:
    calm, driven = (heard(name, SEEDS[0], arousal) for arousal in (-1.0, 1.0))
    assert loudness(driven.notes) - loudness(calm.notes) >= 2
    changed = [
        spec.name
        for spec in calm.scene.parts
        if shape(calm.of(spec.name), Fraction(0)) != shape(driven.of(spec.name), Fraction(0))
    ]
    assert len(changed) >= len(calm.scene.parts) / 2
    if name == "lamplight":
        assert set(changed) == {spec.name for spec in calm.scene.parts} - {"keys", "chatter"}
        assert len(driven.of("guitar")) > 1.5 * len(calm.of("guitar"))
        assert len(driven.of("trumpet")) > 1.5 * len(calm.of("trumpet"))


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
    """As many notes, but others: in no pitched part are four in five the same."""
    for one, other in combinations([heard(name, seed) for seed in SEEDS], 2):
        for spec in one.scene.parts:
            here, there = one.of(spec.name), other.of(spec.name)
            assert 0.5 < len(here) / len(there) < 2, spec.name
            leads = spec.reading.leads(spec.engine.alphabet())
            if pitched(spec) and not leads:
                alike = overlap(
                    {(note.beat, note.pitch) for note in here},
                    {(note.beat, note.pitch) for note in there},
                )
                assert alike < 0.8, spec.name


@each_ensemble
def test_an_ensemble_combines_engines_and_its_parts_have_their_own_registers(name: str) -> None:
    performance = heard(name, SEEDS[0])
    assert len({spec.engine_name for spec in performance.scene.parts}) >= 2
    low = [note.pitch for note in performance.of("deep" if name == "ambient" else "bass")]
    for part in ENSEMBLES[name]:
        high = [note.pitch for note in performance.of(part)]
        assert sum(high) / len(high) - sum(low) / len(low) >= 19, part


def test_another_part_does_not_change_the_ones_that_were_there() -> None:
    scene = load_scene(shipped_scenes()["lamplight"])
    added = PartSpec("gong", Grammar("S -> C2:1/1"), "grammar")
    before = play(scene, 16)
    after = play(replace(scene, parts=(added, *scene.parts)), 16)
    for spec in scene.parts:
        assert [note[:-2] for note in before.of(spec.name)] == [
            note[:-2] for note in after.of(spec.name)
        ]
    assert after.of("gong")


# The default scene follows the mood -------------------------------------------------------------


@cache
def in_mood(word: str, seed: int) -> Score:
    scene = load_scene(shipped_scenes()[FOLLOWER]).with_seed(seed)
    spec = replace(scene.conductor, mood=scene.conductor.words[word])
    return score_of(replace(scene, conductor=spec), BARS)


@each_seed
@pytest.mark.parametrize("word", WORDS)
def test_the_default_scene_is_right_in_every_mood(word: str, seed: int) -> None:
    score = in_mood(word, seed)
    assert (measures.key_fit(score) or 0) >= 0.98
    assert (measures.strong_beats(score) or 0) >= 0.8
    assert (measures.pad_step(score) or 9) <= 2
    if word != "neutral":
        asked, heard = WORDS[word], predict(score)
        assert asked.valence * heard.valence > 0
        assert asked.arousal * heard.arousal > 0


@each_seed
def test_the_default_scene_tells_the_words_apart(seed: int) -> None:
    def rising(axis: str, measure: Callable[[Score], float | None], words: str) -> None:
        row = [measure(in_mood(word, seed)) or 0 for word in words.split()]
        assert row == sorted(row), axis

    rising("tempo", measures.tempo, "tired calm sad neutral happy tense angry excited")
    rising("loudness", measures.loudness, "tired sad neutral happy excited")
    rising("mode", measures.mode, "angry tense neutral happy")
    rising("consonance", measures.consonance, "sad tired neutral tender")
    rising("register", measures.register, "angry tense neutral happy")


WALK = ("tender", "happy", "excited", "tense", "angry", "sad", "tired", "calm", "neutral")


class Walk(NamedTuple):
    """The default scene taken through the nine words. asked: bars in which words were."""

    notes: list[Note]
    bars: list[Bar]
    asked: list[int]
    troubles: list[str]


@cache
def walked(seed: int) -> Walk:
    """Another word every sixteen bars, to be reached in four."""
    scene = load_scene(shipped_scenes()[FOLLOWER]).with_seed(seed)
    words = iter(WALK)
    entries: list[Entry] = []
    player = Player(JumpClock(), lambda ids: Rack({"osc": Tape()}, ids), horizon=10**8)
    baton, length = Baton(player), 9 * 16 + 8
    asked: list[int] = []
    player.journal.add(entries.append)

    def listen(entry: Entry) -> None:
        if isinstance(entry, Played):
            bar = scene.meters.bar_at(entry.note.beat).bar
            if bar > 16 * len(asked) + 8 and len(asked) < len(WALK):
                asked.append(bar)
                loop = asyncio.get_running_loop()
                loop.call_soon(lambda: baton.emotion(next(words), 4, "bar"))

    player.journal.add(listen)
    conductors: list[Conductor] = []

    async def evening() -> None:
        player.cue(scene)
        player.play(end_bar=length)
        conductors.append(baton.conductor)
        await player.run()

    asyncio.run(evening())
    return Walk(
        [entry.note for entry in entries if isinstance(entry, Played)],
        [conductors[0].bar(number) for number in range(1, length + 1)],
        asked,
        [entry.text for entry in entries if isinstance(entry, Troubled)],
    )


@each_seed
def test_a_walk_through_the_words_has_no_gap_and_turns_at_phrases(seed: int) -> None:
    walk = walked(seed)
    assert not walk.troubles
    assert len(walk.asked) == 9
    sounding = Fraction(0)
    for note in sorted(walk.notes, key=lambda note: note.start):
        assert note.start - sounding < 1, "nothing sounds"
        sounding = max(sounding, note.end)
    for before, bar in pairwise(walk.bars):
        if bar.key != before.key:
            assert bar.phrase_bar == 1, "a key or mode turns where a phrase begins"
    assert len({bar.key.mode for bar in walk.bars}) >= 4
    tempos = [bar.cues.tempo for bar in walk.bars]
    assert max(tempos) > 1.5 * min(tempos)


@each_seed
def test_a_walk_keeps_in_key_and_every_part_has_its_turn(seed: int) -> None:
    walk = walked(seed)
    drums = {"cymbals", "kit"}
    pitched_notes = [note for note in walk.notes if note.part not in drums]
    scene = load_scene(shipped_scenes()[FOLLOWER])
    inside = 0
    for note in pitched_notes:
        key = walk.bars[scene.meters.bar_at(note.beat).bar - 1].key
        inside += note.pitch % 12 in key.heptatonic.pitch_classes
    assert inside >= 0.9 * len(pitched_notes), "dominants have notes of their own"
    assert {note.part for note in walk.notes} == {part.name for part in scene.parts}


@pytest.mark.parametrize("style", sorted(shipped("styles")))
def test_the_default_scene_goes_into_every_style(style: str) -> None:
    scene = load_scene(find_scene("default"), style)
    assert not clashes(scene)
    chords: list[str] = []

    def listen(entry: Entry) -> None:
        if isinstance(entry, Harmonised):
            chords.append(entry.name)
        assert not isinstance(entry, Troubled), entry

    hear(scene, 16, listen)
    assert len(chords) > 4


# The level goes where a game says ---------------------------------------------------------------


@cache
def toured_level(seed: int) -> Heard:
    """Every section of the level once."""
    scene, bars = toured(load_scene(shipped_scenes()[LEVEL]).with_seed(seed))
    own = ("Explore", "Danger", "Boss", "Victory", "Lost", "Waiting")
    sections = {name: scene.conductor.form.sections[name] for name in own}
    form = replace(scene.conductor.form, sections=sections, order=Row(own))
    return play(replace(scene, conductor=replace(scene.conductor, form=form)), min(bars, 60))


@each_seed
def test_the_level_is_quiet_in_a_room_and_full_before_its_boss(seed: int) -> None:
    heard = toured_level(seed)
    assert heard.troubles == ()
    parts = {part.name for part in heard.scene.parts} - {"ocarina"}
    assert {note.part for note in heard.notes} == parts, "the ocarina waits for a hand"
    bars = heard.bars(list(heard.notes))

    def of(first: int, last: int) -> list[Note]:
        return [note for bar in range(first, last) for note in bars[bar]]

    room, danger, boss, waiting = of(1, 9), of(17, 25), of(25, 33), of(53, 61)
    assert loudness(room) + 1 < loudness(danger) < loudness(boss) > loudness(room) + 2
    assert len(boss) > 2 * len(room)
    assert len({note.part for note in boss}) >= 8 > 6 >= len({note.part for note in waiting})
    horn = [note for note in boss if note.part == "horn"]
    resting = [n for n in horn if heard.weight(n) >= STRONG]
    assert sum(n.pitch % 12 in heard.chord(n.beat) for n in resting) >= 0.8 * len(resting)


@each_seed
def test_the_level_stays_where_it_is_until_the_game_says_otherwise(seed: int) -> None:
    scene = load_scene(shipped_scenes()[LEVEL]).with_seed(seed)
    heard = play(scene, 48)
    rests = stretches(heard, heard.of("horn"), 16)
    assert len({str(each) for each in rests[:3]}) == 3, "and does not say the same again"
    assert "drums" not in {note.part for note in heard.notes}
