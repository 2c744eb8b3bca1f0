"""`scripts/bench landing`: does every transition land on its exact tick? In virtual time.

A trial plays a scene with a lead, chords, a bass, a tune and drums, in a metre drawn at random,
and commands one change at a random moment, often a nanosecond, some milliseconds or the plan's
reach from a line. It asks that

* the change begins at the beat that its words mean, on the tick that the timeline has for it;
* nothing of the old scene begins at or after it, and what begins at it or after is of the new
  key, section, theme or scene;
* every note ends once, and none hangs after `stop`;
* each receipt is armed, moves only if the form turns, and then comes to exactly one end.

In a tangle several changes, stingers among them, are armed, replaced and called off in random
order; what is told as done has been heard at its beat, and nothing else has.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from multiprocessing import Pool
from random import Random
from typing import NamedTuple

from engines.base import Mistake
from server.band.baton import Baton
from server.band.hands import Hands
from server.concert.changes import Receipt, Told
from server.concert.journal import Marked, Troubled
from server.conductor.conductor import raised
from server.conductor.mood import Mood
from server.ensemble.setting import Setting
from server.music.scale import Degree, Key, parse_key
from server.music.value import parse_value
from server.score.scene import Scene, parse_scene
from tests.server.model import Stage

MS = 1_000_000
F0 = Fraction(0)
NEAR = (-1, 0, 1, 4 * MS, 5 * MS, 6 * MS, 40 * MS, 99 * MS, 100 * MS, 101 * MS, 150 * MS)
METERS = ("4/4", "3/4", "7/8", "6/8", "5/4", "4/4 3/4", ("4/4", "3: 7/8", "5: 3/4"))
KEYS = ("C major", "E major", "Ab major", "F# minor", "D dorian", "B minor")
WHENS = (
    *("beat", "bar", "phrase", "section", "2 bars", "3 bars", "2 beats", "5 beats", "2 phrases"),
    *(
        "in 1 beats",
        "in 3 beats",
        "in 1 bars",
        "in 2 bars",
        "beat 1",
        "beat 3",
        "bar 6",
        "cue exit",
    ),
)
SINGLE = ("scene", "style", "section", "key", "tempo", "mood", "theme", "mute", "seed", "stinger")
KINDS = (*SINGLE, "tangle")
ON_BARS = ("key", "section", "theme")
PLAN = """
[form]
plan = "A B"
[form.sections.A]
bars = 5
cues = { exit = [2, 4] }
[form.sections.B]
bars = 3
up = 2
tempo = 1.2
[form.sections.C]
bars = 4
up = 5
[themes.one]
notes = "1:1/4 2:1/4 3:1/2"
[themes.two]
notes = "5:1/4 4:1/4 3:1/2"
"""
PARTS = """
[stingers.hit]
notes = "c1:1/8 c3:1/8 c5:1/4"
[outputs.game]
osc = "127.0.0.1:9000"
[parts.chords]
engine = "grammar"
rules = "S -> I:1/1 IV:3/1 V:1/2 vi:1/2"
role = "pad"
[parts.bass]
engine = "grammar"
rules = "S -> c1 c5"
grid = "1/4"
octave = 2
role = "bass"
[parts.tune]
engine = "grammar"
rules = "S -> 1 2 3 5 6 7 | 5 3 Rest 1"
grid = "1/8"
gate = 1.0
role = "melody"
[parts.told]
engine = "grammar"
rules = "S -> (in_C) 1 | (1 - in_C) 3"
grid = "1/8"
[parts.heard]
engine = "grammar"
rules = "S -> (theme == 2) 5 | (theme != 2) 4"
grid = "1/8"
[parts.drums]
engine = "grammar"
rules = "S -> Kick Hat Snare Hat"
grid = "1/8"
"""


class Trial(NamedTuple):
    """What was done. wrong: what did not come out as it should."""

    seed: int
    kind: str
    when: str
    meter: str
    state: str
    wrong: tuple[str, ...]


_KNOWN: dict[tuple[object, ...], Scene] = {}


def known(meter: str | tuple[str, ...], key: str, name: str, tempo: int = 120) -> Scene:
    """A scene for trials, read once; the parts of "two" are called otherwise."""
    what = (meter, key, name, tempo)
    if what not in _KNOWN:
        meters = f'"{meter}"' if isinstance(meter, str) else str(list(meter))
        text = f'meter = {meters}\nkey = "{key}"\ntempo = {tempo}\n{PLAN}'
        parts = PARTS.replace("]\nengine", "2]\nengine") if name == "two" else PARTS
        scene = parse_scene(text + parts, "two" if name == "two" else "one")
        _KNOWN[what] = scene if name == "two" else replace(scene, style=name)
    return _KNOWN[what]


def trial(seed: int) -> Trial:
    """One change in one scene; deterministic."""
    rng = Random(f"landing/{seed}")
    meter, key = rng.choice(METERS), rng.choice(KEYS)
    kind, when = rng.choice(KINDS), rng.choice(WHENS)
    if kind == "tangle":
        return tangle(seed, rng, meter, key)
    when = _moment(kind, when, rng)
    stage = Stage(known(meter, key, ""), rng.choice((50, 100)) * MS)
    player, baton, receipts = stage.player, Baton(stage.player), list[str]()
    player.play()
    stage.go(rng.randrange(100, 4000) * MS + rng.randrange(MS))
    if rng.random() < 0.6:
        setting = player.setting
        assert setting is not None
        line = setting.beat_of_bar(setting.place(player.now_beat).bar + 1)
        stage.go(player.timeline.ns_at(line) - rng.choice(NEAR) - stage.clock.now())
    setting = player.setting
    assert setting is not None
    first = setting.beat_of_bar(setting.place(player.now_beat).bar)
    other = rng.choice([each for each in KEYS if each != key])

    def told(receipt: Receipt) -> None:
        receipts.append(receipt.state)

    def scene() -> Receipt:
        tempo, moved = rng.choice((120, 150, 90)), rng.choice(("4/4", "3/4", "7/8"))
        return player.change_scene(known(moved, other, "two", tempo), when, told)

    def style() -> Receipt:
        tempo, moved = rng.choice((120, 150, 90)), rng.choice((meter, meter, "3/4", "7/8"))
        return player.change_scene(known(moved, key, "jazz", tempo), when, told, keep=True)

    commands: dict[str, Callable[[], Receipt]] = {
        "scene": scene,
        "style": style,
        "stinger": lambda: Hands(player).stinger("hit", when, told),
        "section": lambda: baton.section("C", when, told),
        "key": lambda: baton.key(parse_key(other), when, told),
        "tempo": lambda: player.tempo(200, Fraction(0), when, told),
        "mood": lambda: baton.mood(Mood(0.9, 0.9), 0.0, when, told),
        "theme": lambda: baton.theme("two", when, told),
        "mute": lambda: player.strip("tune", "mute", True, when, told),
        "seed": lambda: player.reseed(7, when, told),
    }
    name = meter if isinstance(meter, str) else ", ".join(meter)
    try:
        receipt = commands[kind]()
    except Mistake as mistake:  # such a place may never come; then nothing is promised
        return Trial(seed, kind, when, name, f"refused: {mistake}", ())
    beat = receipt.beat
    length, number = setting.place(beat).meter.length, setting.conductor.bar_to_come(beat)
    stage.go_to(beat + length)
    due = player.timeline.ns_at(beat)
    if kind == "style" and player.setting is not None:
        bar = player.setting.place(beat).bar
        wrong = [] if bar == number else [f"bar {number} is counted as {bar}"]
    else:
        wrong = []
    wrong += list(_wrong(kind, stage, beat, first, parse_key(other)))
    moved = kind == "section" and when.startswith("cue")  # the place is not there any more
    if not moved and not _on_line(when, beat, setting):
        wrong.append(f"beat {beat} is not what the words mean")
    player.stop()
    wrong += _hung(stage, kind, due)
    if receipts not in (["armed", "done"], ["done"]):
        wrong.append(f"receipts {receipts}")
    return Trial(seed, kind, when, name, receipt.state, tuple(wrong))


def _moment(kind: str, when: str, rng: Random) -> str:
    """Words that a kind of change may have for its moment."""
    if kind in ON_BARS and "beat" in when:
        return rng.choice(("bar", "phrase", "2 bars", "in 2 bars"))
    if kind == "stinger" and rng.random() < 0.3:
        return rng.choice(("1/16", "1/8", "1/4"))
    return when


def tangle(seed: int, rng: Random, meter: str | tuple[str, ...], key: str) -> Trial:
    """Several changes of one scene, armed, replaced and called off as they come."""
    stage = Stage(known(meter, key, ""), rng.choice((50, 100)) * MS)
    player, baton, hands = stage.player, Baton(stage.player), Hands(stage.player)
    told: dict[int, list[str]] = {}
    asked: dict[int, tuple[str, Receipt]] = {}
    wrong: list[str] = []
    player.play()
    stage.go(rng.randrange(100, 2000) * MS + rng.randrange(MS))
    for number in range(rng.randrange(3, 8)):
        kind = rng.choice(("key", "theme", "section", "stinger", "stinger", "tempo", "cancel"))
        when = _moment(kind, rng.choice((*WHENS, "cue exit", "cue exit", "section")), rng)
        commands: dict[str, Callable[[str, Told], Receipt]] = {
            "key": partial(baton.key, parse_key(rng.choice(KEYS))),
            "theme": partial(baton.theme, "two"),
            "section": partial(baton.section, rng.choice("ABC")),
            "stinger": partial(hands.stinger, "hit"),
            "tempo": partial(player.tempo, rng.choice((90, 150)), F0),
        }
        if kind == "cancel":
            player.changes.cancel(rng.choice(("", "key", "stinger", "section", "tempo")))
        else:
            states = told.setdefault(number, [])
            with suppress(Mistake):  # such a place may never come
                asked[number] = kind, commands[kind](when, partial(_note, states))
        stage.go(rng.choice((0, rng.randrange(1500))) * MS)
    if rng.random() < 0.2:
        player.changes.cancel()
    last = max((r.beat for _, r in asked.values() if r.state in ("armed", "done")), default=F0)
    last = max(last, player.now_beat) + 8
    while player.now_beat < last:  # tempi that are still to come move it in time
        stage.go_to(last)
    marks = [each for each in stage.entries if isinstance(each, Marked)]
    struck = sorted(each.moment.beat for each in marks if each.kind == "stinger")
    due = sorted(r.beat for kind, r in asked.values() if kind == "stinger" and r.state == "done")
    if struck != due:
        wrong.append(f"stingers begin at {struck}, not at {due}")
    ended = sum(each.kind == "ended" for each in marks)
    if ended != len(due):
        wrong.append(f"{ended} of {len(due)} stingers end")
    heard = {each.note.start for each in stage.played if each.note.part == "hit"}
    if not heard >= set(due):
        wrong.append("a stinger has no note on its beat")
    for kind, receipt in asked.values():
        sections = {m.moment.beat for m in marks if m.kind == "section"}
        if kind == "section" and receipt.state == "done" and receipt.beat not in sections:
            wrong.append(f"no section is marked at {receipt.beat}")
    wrong += [f"trouble: {each}" for each in stage.entries if isinstance(each, Troubled)]
    for number, states in told.items():
        if states and not _one_end(states):
            wrong.append(f"receipts {number}: {states}")
    player.stop()
    wrong += _hung(stage, "tangle", 0)
    name = meter if isinstance(meter, str) else ", ".join(meter)
    return Trial(seed, "tangle", "", name, "done", tuple(wrong))


def _note(states: list[str], receipt: Receipt) -> None:
    states.append(receipt.state)


def _one_end(states: list[str]) -> bool:
    *armed, end = states
    return set(armed) <= {"armed"} and end in ("done", "cancelled", "superseded", "refused")


def _on_line(when: str, beat: Fraction, setting: Setting) -> bool:
    place, conductor = setting.place(beat), setting.conductor
    if "/" in when:
        return (beat / parse_value(when)).denominator == 1
    if "beat" in when and when != "beat 1":
        return (place.position / place.meter.beat_length).denominator == 1
    if place.position:
        return False
    if when == "bar 6":
        return place.bar == 6
    if when in ("2 bars", "3 bars"):
        return (place.bar - 1) % int(when[0]) == 0
    if when == "2 phrases":
        return (place.bar - 1) % (2 * setting.phrase) == 0
    if when.startswith("cue"):
        return "exit" in conductor.cues(place.bar)
    return when not in ("phrase", "section") or conductor.opens(when, place.bar)


def _wrong(kind: str, stage: Stage, beat: Fraction, first: Fraction, other: Key) -> Iterator[str]:
    """What does not begin at the beat, or is not of the new state from there on."""
    player = stage.player
    setting = player.setting
    assert setting is not None
    conductor = setting.conductor
    after = [each.note for each in stage.played if each.note.start >= beat]
    before = [each.note for each in stage.played if first <= each.note.start < beat]
    marks = [each for each in stage.entries if isinstance(each, Marked)]
    if not after and kind != "mute":
        yield "silence after it"
    yield from (f"trouble: {each}" for each in stage.entries if isinstance(each, Troubled))
    if kind in ("scene", "seed", "style"):
        if not any(each.kind == "scene" and each.moment.beat == beat for each in marks):
            yield "the scene is not marked on its beat"
        if min((note.start for note in after), default=None) != beat:
            yield "no note on its beat"
    if kind == "scene":
        if any(not note.part.endswith("2") for note in after):
            yield "a note of the old scene begins after it"
        if any(note.part.endswith("2") for note in before):
            yield "a note of the new scene begins before it"
    if kind == "section" and not any(
        each.kind == "section" and each.name == "C" and each.moment.beat == beat for each in marks
    ):
        yield "the section is not marked on its beat"
    if kind == "stinger":
        hits = [note for note in [*before, *after] if note.part == "hit"]
        chord = setting.harmonies.at(beat)
        if min((note.start for note in hits), default=None) != beat:
            yield "the stinger has no note on its beat"
        elif chord is not None and hits[0].pitch % 12 not in chord.pitch_classes:
            yield f"the stinger begins outside {chord.name}"
    for part, want, old in (("told", 1, 3), ("heard", 5, 4)):
        if kind != {"told": "section", "heard": "theme"}[part]:
            continue
        for note in (note for note in [*before, *after] if note.part == part):
            key, degree = _scale(setting, note.beat), Degree
            due = want if note.start >= beat else old
            if note.pitch % 12 != key.pitch(degree(due)).midi % 12:
                yield f"{part} at {note.start} is not {due} of {key.name}"
    if kind in ("key", "scene"):
        home = conductor.bar(setting.place(beat).bar)
        up = home.section.spec.up
        if home.key != (raised(other, up) if up else other):
            yield f"the key is {home.key.name}"
    tunes = [note for note in [*before, *after] if note.part in ("tune", "tune2")]
    for note in tunes if kind in ("key", "section") or kind == "scene" else ():
        if kind == "scene" and note.start < beat:
            continue
        key = _scale(setting, note.beat)
        if note.pitch % 12 not in key.pitch_classes:
            yield f"tune at {note.start} is not in {key.name}"
    if kind == "mute" and any(note.part == "tune" for note in after):
        yield "a note of the muted part begins after it"
    tempo = player.timeline.tempo_at(beat + Fraction(1, 1000))
    if kind == "tempo" and abs(tempo - 200) > 1:
        yield f"the tempo is {tempo:.2f}"
    if kind == "mood" and conductor.moods.at(beat) != Mood(0.9, 0.9):
        yield f"the mood is {conductor.moods.at(beat)}"


def _scale(setting: Setting, beat: Fraction) -> Key:
    """The key that degrees are played in: the bar's, or what a bridge makes of it."""
    return setting.conductor.scale(setting.bar(beat), beat)


def _hung(stage: Stage, kind: str, due: int) -> Iterator[str]:
    """Notes that hang, begin twice, or begin elsewhere than on their tick."""
    ons = stage.ons()
    ends = Counter(e.id for _, data, e in stage.wire.sent if e.off and data == e.off)
    if stage.wire.sounding:
        yield f"{len(stage.wire.sounding)} notes hang"
    if set(Counter(event.id for _, event in ons).values()) - {1} or set(ends.values()) - {1}:
        yield "a note begins or ends twice"
    late = [when - event.due for when, event in ons if when != event.due]
    if late:
        yield f"{len(late)} notes off their tick, by up to {max(map(abs, late))} ns"
    if kind in ("scene", "style", "key"):
        over = [
            event
            for when, data, event in stage.wire.sent
            if event.off and data == event.off and event.due < due < when
            if kind != "key" or b"drums" not in event.on
        ]
        if over:
            yield f"{len(over)} old notes sound on into what is new"


def main(argv: list[str]) -> None:
    """Run the trials and print what came out."""
    ask = argparse.ArgumentParser(prog="bench landing", description=__doc__)
    ask.add_argument("--trials", type=int, default=10_000)
    ask.add_argument("--first", type=int, default=0)
    ask.add_argument("--workers", type=int, default=2)
    options = ask.parse_args(argv)
    began, states, failed = time.perf_counter(), Counter[str](), list[Trial]()
    kinds = Counter[str]()
    numbers = range(options.first, options.first + options.trials)
    with Pool(options.workers) as pool:
        for done in pool.imap_unordered(trial, numbers, 16):
            kinds[done.kind] += 1
            states[done.state.partition(":")[0]] += 1
            if done.wrong:
                failed.append(done)
    print(f"{options.trials} trials in {time.perf_counter() - began:.0f} s")
    print("| change | trials | wrong |\n|---|---|---|")
    for kind in KINDS:
        wrong = sum(each.kind == kind for each in failed)
        print(f"| {kind} | {kinds[kind]} | {wrong} |")
    print(", ".join(f"{state}: {number}" for state, number in states.items()))
    for each in sorted(failed, key=lambda each: each.seed)[:20]:
        print(f"  trial {each.seed}: {each.kind}, {each.when}, {each.meter}: {each.wrong[:3]}")
