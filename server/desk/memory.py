"""What outlives the program: where a performance was, how it was set, and what it had learnt.

What is set comes back as the commands that would set it, so that it goes through the desk like
everything else, and a control log has it.

A band is had from a state in this order: `dressed` the scene, `learn`, cue it, `standing`,
`restore`, and go on. Law: `state_of` what has been had so is the state it was had from.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import IO, Any

from engines.base import Mistake, Past
from engines.repertoire import from_data, to_data
from server.backstage.aside import Aside
from server.band.hands import Hands
from server.concert.journal import Entry, Ticked, Troubled
from server.concert.player import Player
from server.conductor.conductor import Asked
from server.conductor.mood import NEUTRAL, Mood
from server.score.scene import Scene
from server.score.themes import read_songbook, songbook

from .desk import PREFIX, Desk, Source
from .query import default_of, value_of
from .tree import Value

FORMAT = "componium state 1"
LARGEST = 16 << 20  # bytes
EVERY = 4  # bars
#: The last bar to which the music is planned anew, unheard; it costs about 2 ms a bar.
FARTHEST = 1024
#: The furthest bar ahead for which a key, theme or section may have been asked.
AHEAD = 256
#: The furthest for which anything else may be armed.
MOST_BARS = 1 << 20
_NOWHERE = object()
SCENES = 64  # of which the states are kept that nobody has asked for
_OF_SCENE = re.compile(r".*-[0-9a-f]{8}\.json")
_KEPT = ("part", "control")


@dataclass(frozen=True)
class State:
    """What was written down.

    began: the scene that was started, which this state belongs to; scene, style, seed: the one
    that played.  bar, section: where it was; 0 and "" where it had not begun.
    commands: addresses with their arguments.  asked: of the conductor, from which bar on.
    armed: what waits for its moment: an address, its arguments but that, and in how many bars.
    rules: what parts were given in the place of the scene's, by their names.  themes: those that
    were played, as text.  learnt: what players have played to parts, by scene and part.
    taste, maps: as `Hands` and `Mappings` save them.  ended: whether it came to an orderly end.
    """

    began: str
    scene: str
    style: str
    seed: int
    bar: int = 0
    section: str = ""
    section_bar: int = 1
    commands: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    taste: Mapping[str, Any] = field(default_factory=dict)
    maps: tuple[Mapping[str, Any], ...] = ()
    asked: tuple[Asked, ...] = ()
    armed: tuple[tuple[str, tuple[Value, ...], int], ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    themes: str = ""
    learnt: Mapping[str, Mapping[str, Past]] = field(default_factory=dict)
    ended: bool = False

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "format": FORMAT,
            **{name: getattr(self, name) for name in ("began", "scene", "style", "seed")},
            **{name: getattr(self, name) for name in ("bar", "section", "section_bar")},
            "commands": [[address, *values] for address, values in self.commands],
            "taste": dict(self.taste),
            "maps": [dict(each) for each in self.maps],
            "asked": [list(each) for each in self.asked],
            "armed": [[address, list(values), bars] for address, values, bars in self.armed],
            "rules": dict(self.rules),
            "themes": self.themes,
            "learnt": {
                scene: {part: to_data(past) for part, past in parts.items()}
                for scene, parts in self.learnt.items()
            },
            "ended": self.ended,
        }

    @classmethod
    def read(cls, data: Any) -> State:
        """The state in JSON. Law: whatever it is, the answer is a state or a Mistake."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise Mistake("", f"expected what was saved, with format {FORMAT!r}")

        def of(name: str, kind: type, default: Any) -> Any:
            value = data.get(name, default)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise Mistake(name, f"expected {kind.__name__}, got {str(value)[:40]!r}")
            return value

        commands = []
        for each in of("commands", list, []):
            right = isinstance(each, list) and each and isinstance(each[0], str)
            if not right or not all(map(_plain, each)):
                raise Mistake(
                    "commands", f"expected an address and its arguments, got {each!r:.60}"
                )
            commands.append((each[0], tuple(each[1:])))
        maps = of("maps", list, [])
        if not all(isinstance(each, dict) for each in maps):
            raise Mistake("maps", "expected objects")
        rules = of("rules", dict, {})
        if not all(isinstance(text, str) for text in rules.values()):
            raise Mistake("rules", "expected texts")
        return cls(
            of("began", str, ""),
            of("scene", str, ""),
            of("style", str, ""),
            min(max(of("seed", int, 0), 0), 2**63 - 1),
            max(of("bar", int, 0), 0),
            of("section", str, ""),
            max(of("section_bar", int, 1), 1),
            tuple(commands),
            of("taste", dict, {}),
            tuple(maps),
            tuple(map(_asked, of("asked", list, []))),
            tuple(map(_armed_again, of("armed", list, []))),
            rules,
            of("themes", str, ""),
            {scene: _learnt(parts) for scene, parts in of("learnt", dict, {}).items()},
            of("ended", bool, False),
        )


def _asked(data: Any) -> Asked:
    right = isinstance(data, list) and len(data) == len(Asked._fields)
    bar, what, name = data if right else (0, "", "")
    whole = isinstance(bar, int) and not isinstance(bar, bool) and bar >= 1
    if not whole or not isinstance(what, str) or not isinstance(name, str):
        raise Mistake("asked", f"expected a bar, what and which, got {data!r:.60}")
    return Asked(bar, what, name)


def _armed_again(data: Any) -> tuple[str, tuple[Value, ...], int]:
    right = isinstance(data, list) and len(data) == 3 and isinstance(data[1], list)
    address, values, bars = data if right else ("", [""], 0)
    whole = isinstance(bars, int) and not isinstance(bars, bool) and bars >= 1
    if not whole or not isinstance(address, str) or not all(map(_plain, values)):
        raise Mistake("armed", f"expected an address, its arguments and bars, got {data!r:.60}")
    return address, tuple(values), min(bars, MOST_BARS)


def _learnt(data: Any) -> dict[str, Past]:
    if not isinstance(data, dict):
        raise Mistake("learnt", "expected each scene's parts")
    return {part: from_data(past) for part, past in data.items()}


def _plain(value: object) -> bool:
    """Whether this can be an argument."""
    return isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))


def claim(path: Path) -> IO[bytes] | None:
    """Have the state at a path for oneself as long as what this returns is open.

    None where another Componium that runs has it.
    """
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock_of(path).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def read_state(path: Path, began: str) -> State | None:
    """The state in a file; None where there is none yet.

    began: the scene that is being started.
    Errors: Mistake where the file is something else, or of another scene.
    """
    try:
        if not path.exists():
            return None
        if path.stat().st_size > LARGEST:
            raise Mistake("", f"larger than {LARGEST >> 20} MiB")
        state = State.read(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError) as error:
        raise Mistake("", f"{path} cannot be read: {error}") from None
    if state.began != began:
        raise Mistake("", f"{path} is of {state.began}, not of {began}")
    return state


def set_aside(path: Path) -> Path | None:
    """Have a file that is no good out of the way, where it is one of ours; its new name.

    None where it is somebody else's: then it is left as it is, and nothing is to be written there.
    """
    aside = path.with_name(f"{path.name}.old")
    try:
        with path.open("rb") as file:
            head = file.read(256)
        if head.strip() and b'"componium state' not in head:
            return None
        path.replace(aside)
    except OSError:
        return None
    return aside


def write_state(path: Path, state: State) -> None:
    """Have it in a file, whole or not at all. Errors: OSError."""
    write_data(path, state.data())


def write_data(path: Path, data: Mapping[str, Any]) -> None:
    """Have JSON in a file, whole or not at all. Errors: OSError, ValueError, TypeError."""
    fresh = _beside(path)
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(data, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise


def of_scene(scene: Path) -> str:
    """What the state of a scene's file is called: two scenes of one name have two."""
    return f"{scene.stem}-{sha256(os.fsencode(scene.resolve())).hexdigest()[:8]}.json"


def forget_oldest(folder: Path, most: int = SCENES) -> None:
    """Keep the states of the latest scenes; those that somebody has named himself stay.

    Errors: OSError.
    """
    ours = [path for path in folder.iterdir() if _OF_SCENE.fullmatch(path.name)]
    for path in sorted(ours, key=lambda each: each.stat().st_mtime)[: -most or None]:
        bands = path.with_suffix(".bands")
        for each in (
            *bands.glob("* *.json"),
            path,
            path.with_name(f"{path.name}.old"),
            _lock_of(path),
        ):
            each.unlink(missing_ok=True)
        if bands.is_dir():
            bands.rmdir()


def _beside(path: Path) -> Path:
    """Where it is written first; another performance of the same scene has another."""
    return path.with_name(f"{path.name}.{os.getpid()}.new")


# A band's state as data -------------------------------------------------------------------------


def state_of(desk: Desk, began: str) -> State | None:
    """How the band of a desk is; None where no scene is there. began: as of `State`."""
    player, scene = desk.player, desk.player.scene
    setting = player.setting
    if scene is None or setting is None:
        return None
    bar = setting.bar(player.now_beat)
    begun = player.playing or player.now_beat > 0
    board, hands = desk.midi.mappings, Hands(player)
    return State(
        began,
        scene.name,
        scene.style,
        scene.seed,
        bar.number if begun else 0,
        bar.section.spec.name,
        bar.section_bar,
        tuple(_commands(desk)),
        hands.tastes(),
        tuple(board.data()) if board.file is None else (),
        tuple(each for each in setting.conductor.asked if each.bar <= bar.number + AHEAD),
        tuple(_armed(desk)),
        scene.given,
        songbook(scene.taught),
        hands.repertoires(),
    )


def _commands(desk: Desk) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """What would set all that is set otherwise than the scene has it."""
    player, setting = desk.player, desk.player.setting
    assert setting is not None
    strips = player.strips(player.now_beat)  # what is armed for later is no part of it
    for node in desk.tree.nodes.values():
        if node.continuous and node.concerns[:1] and node.concerns[0] in _KEPT:
            value = value_of(node)
            if value and node.concerns[0] == "part" and node.concerns[1] in strips:
                value = (getattr(strips[node.concerns[1]], node.concerns[2]),)
            if value and value != default_of(node):
                yield node.address, (*value, "now")
    here, moods = player.now_beat, setting.conductor.moods
    mood, target = moods.at(here), moods.target
    if mood != (setting.conductor.spec.mood or NEUTRAL):
        yield f"{PREFIX}/mood", (mood.valence, mood.arousal, 0.0, "now")
    armed = any(each.topic == ("mood",) and each.beat > here for each in player.changes)
    if target.mood != mood and target.beat > here and not armed:
        there, now = setting.place(target.beat), setting.place(here)
        bars = float(max(there.bar - now.bar, 0))
        yield f"{PREFIX}/mood", (target.mood.valence, target.mood.arousal, bars, "now")
    if abs(mood.tension - Mood(mood.valence, mood.arousal).tension) > 1e-6:
        yield f"{PREFIX}/tension", (mood.tension, 0.0, "now")
    if setting.conductor.likeness_asked is not None:
        yield f"{PREFIX}/likeness", (setting.conductor.likeness_asked, "now")
    if player.tempo_asked:
        line = player.timeline
        bpm = float(line.tempo_at(line.beat_at(player.clock.now())))
        yield f"{PREFIX}/tempo", (bpm, 0.0, "now")


def _armed(desk: Desk) -> Iterator[tuple[str, tuple[Value, ...], int]]:
    """What waits for its moment, if it is not said otherwise already."""
    player, setting = desk.player, desk.player.setting
    assert setting is not None
    bar = setting.bar(player.now_beat).number
    for change, node, values in desk.armed():
        # Keys, sections and themes that the plan has taken in are `asked`.
        if change.taken and change.topic[0] not in ("part", "mood"):
            continue
        if change.beat <= player.now_beat or change.topic[2:] == ("hit",):
            continue
        place = setting.place(change.beat)
        bars = place.bar + (place.position > 0) - bar
        address, values = node.address, values[:-1]
        if node.loads == "text":  # it is a scene by now
            address, values = f"{PREFIX}/scene", values[:1]
        yield address, values, max(bars, 1)


# A band from data -------------------------------------------------------------------------------


def dressed(state: State, scene: Scene) -> tuple[Scene, list[str]]:
    """A scene with the seed, rules and themes of a state, and what of them does not fit it."""
    lost: list[str] = []
    scene = scene.with_seed(state.seed) if state.seed != scene.seed else scene
    for part, rules in state.rules.items():
        try:
            scene = scene.rewritten(part, rules)
        except Mistake as mistake:
            lost.append(str(mistake))
    try:
        for theme in read_songbook(state.themes) if state.themes else ():
            scene = scene.with_theme(theme)
    except Mistake as mistake:
        lost.append(str(mistake))
    return scene, lost


def learn(player: Player, state: State, taste: bool = True) -> list[str]:
    """Have what was learnt, before a scene is cued; what of it is no good.

    taste: whether what feedback has taught is meant too.
    """
    hands = Hands(player)
    hands.learn(state.learnt)
    if taste and state.taste:
        try:
            hands.load_tastes(state.taste)
        except Mistake as mistake:
            return [str(mistake)]
    return []


def standing(player: Player, state: State) -> Iterator[None]:
    """Have the scene where it was, in steps; nothing where it had not begun."""
    if not state.bar or player.setting is None:
        return
    form = player.setting.conductor.form

    def section_at(bar: int) -> tuple[str, int]:
        section = form.at(bar)
        return section.spec.name, bar - section.bar + 1

    asked = [each for each in state.asked if each.bar <= state.bar + AHEAD]
    if state.bar > FARTHEST:  # another bar is to stand for it, in the form as it is by itself
        asked = [each._replace(bar=1) for each in asked if each.what != "section"]
    yield from player.stand(bar_of(state, section_at), asked)


async def stand(player: Player, state: State) -> bool:
    """As `standing`, while everybody else plays on; whether there is anywhere to go on from."""
    steps = standing(player, state)
    with player.still("stand"):
        moved = next(steps, _NOWHERE) is None
    for nth, _ in enumerate(steps):
        if nth % 8 == 0:
            await asyncio.sleep(0)
    return moved


def restore(desk: Desk, state: State, lost: Iterable[str] = ()) -> None:
    """Set what was set, by the desk; what is not there any more is told, in one word.

    lost: what else is to be told with it.
    """
    troubles = list(lost)

    def heard(_: str, values: tuple[Value, ...]) -> None:
        if values[1] == "refused":
            troubles.append(f"{values[0]}: {values[3]}")

    source = Source("state", "edit", heard)
    for address, values in state.commands:
        desk.receive(address, values, source)
    if troubles:
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        desk.player.journal.enter(Troubled("state", f"not as it was: {troubles[0]}{more}"))


def go_on(desk: Desk, state: State) -> Coroutine[Any, Any, None]:
    """Have the transport go on from where it stands; what has that wait again which was armed.

    As far from that bar as it was, one after another, as scenes that are loaded at once take each
    other's place; what cannot is told.
    """
    player = desk.player
    here = player.setting.bar(player.now_beat).number if player.setting is not None else 1

    def heard(_: str, values: tuple[Value, ...]) -> None:
        if values[1] == "refused":
            _drop(desk, f"{values[0]}: {values[3]}")

    source = Source("state", "edit", heard)
    desk.receive(f"{PREFIX}/continue", (), source)

    async def wait_again() -> None:
        for address, values, bars in state.armed:
            desk.receive(address, (*values, f"bar {here + bars}"), source)
            await desk.loaded()

    return wait_again()


def begin_afresh(desk: Desk, state: State) -> None:
    """Nothing goes on from there: what was armed is not, and that is told."""
    if state.armed:
        _drop(desk, ", ".join(address for address, *_ in state.armed))


def _drop(desk: Desk, what: str) -> None:
    desk.player.journal.enter(Troubled("state", f"armed no more: {what}"))


def bar_of(state: State, section_at: Callable[[int], tuple[str, int]]) -> int:
    """The bar to go on from: its own, or one like it where that is too far to be planned again.

    section_at: the name of the section of a bar, and which bar of it that is.
    """
    if state.bar <= FARTHEST:
        return max(state.bar, 1)
    alike = (state.section, state.section_bar)
    return next((bar for bar in range(FARTHEST, 0, -1) if section_at(bar) == alike), 1)


# Written down -----------------------------------------------------------------------------------


class Memory:
    """Writes a performance's state down every few bars, and at the end.

    began: the scene that was started.  trouble: told from another thread where it cannot be
    written.  afresh: whether what is there is of a performance that this one does not go on with:
    then it stays until this one has played for some bars.
    """

    def __init__(
        self,
        desk: Desk,
        path: Path,
        began: str,
        trouble: Callable[[Troubled], None],
        afresh: bool = False,
    ) -> None:
        self._desk, self._path, self._began = desk, path, began
        self._trouble, self._failing = trouble, False
        self._waits = afresh
        self._aside: Aside[State] = Aside(self._write, room=4)
        desk.player.journal.add(self)

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Ticked):
            moment = entry.moment
            if moment.position == 1 and moment.bar % EVERY == 0:
                self._waits = False
                self.keep()

    def keep(self, ended: bool = False) -> None:
        """Have it written down as it is now."""
        state = state_of(self._desk, self._began)
        if state is not None and not self._waits:
            self._aside.put(replace(state, ended=ended))

    def close(self) -> None:
        """Write it down for the last time."""
        self.keep(ended=True)
        self._aside.close()

    def _write(self, state: State) -> None:
        try:
            write_state(self._path, state)
            self._failing = False
        except (OSError, ValueError, TypeError) as error:
            if not self._failing:
                self._failing = True
                self._trouble(Troubled("state", f"{self._path} cannot be written: {error}"))
