"""What a game or a player does with its own hands: stingers, gestures, single notes, praise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from engines.base import Mistake, Origin, Past, unknown
from engines.performer import Playable
from engines.taste import FORMAT, Taste
from server.concert.cast import Playing
from server.concert.changes import Receipt, Told
from server.concert.player import Player
from server.music.value import value_name
from server.score.stinger import MOST_SOUNDING, Sting, StingerSpec

OWN, GRID = "own", "grid"  # moments: as the stinger says; the part's next grid line
SIXTEENTH = Fraction(1, 4)  # of a part without a grid
LONGEST_HIT = Fraction(4)  # quarter notes
KEPT = 64  # beats of one stinger that are remembered

#: Seconds between a note and a listener's key: the soonest, the likeliest, the latest.
SOONEST, LIKELIEST, LATEST = 0.3, 1.0, 4.0


def reaction(age: float) -> float:
    """How likely praise is meant for a note that began so many seconds ago, 0 to 1.

    After the reaction delay of GenJam's mentor (Biles 1994); the triangle is ours.
    """
    if age < LIKELIEST:
        return max((age - SOONEST) / (LIKELIEST - SOONEST), 0.0)
    return max((LATEST - age) / (LATEST - LIKELIEST), 0.0)


class Hands:
    """Plays a player's stingers and playable parts.

    All methods raise Mistake where something is not there or not allowed now.
    """

    def __init__(self, player: Player) -> None:
        self._player = player

    # Stingers ---------------------------------------------------------------------------

    def stinger(self, name: str, when: str = OWN, told: Told = None) -> Receipt:
        """Have a stinger sound at a moment; it may be called off until then."""
        player, spec = self._player, self._stinger(name)
        self._playing("stinger")
        moment = self.moment_of(name, when)
        begin = player.boundary(moment)
        if why := self._hindrance(spec, begin):
            raise Mistake("stinger", why)
        return self._strike(spec, ("stinger", name), moment, told, named=True)

    def moment_of(self, name: str, when: str) -> str:
        """The words for the moment at which a stinger begins that is asked for so."""
        scene = self._player.scene
        known = {each.part.name: each.when for each in scene.stingers} if scene else {}
        return known.get(name, "beat") if when == OWN else when

    def _stinger(self, name: str) -> StingerSpec:
        scene = self._player.scene
        stingers = scene.stingers if scene is not None else ()
        for spec in stingers:
            if spec.part.name == name:
                return spec
        raise Mistake("name", unknown("stinger", name, [spec.part.name for spec in stingers]))

    def _hindrance(self, spec: StingerSpec, begin: Fraction) -> str:
        """Why it may not begin there; "" where it may."""
        player, name = self._player, spec.part.name
        sounding = sum(sting.named for sting in player.stings())
        if sounding + len(player.changes.armed(("stinger",))) >= MOST_SOUNDING:
            return f"{MOST_SOUNDING} stingers sound or wait already"
        others = (*player.changes.armed(("stinger", name)), *player.struck.get(name, ()))
        if isinstance(spec.again, Fraction):
            away = spec.again - min((abs(begin - other) for other in others), default=spec.again)
            left = player.span(begin, away) if away > 0 else ""
        else:
            ns_at = player.timeline.ns_at
            gaps = (abs(ns_at(begin) - ns_at(other)) / 1e9 for other in others)
            seconds = spec.again - min(gaps, default=spec.again)
            left = f"{seconds:.3g} s" if seconds > 0 else ""
        return f"it may sound again {left} later" if left else ""

    # Playable parts ---------------------------------------------------------------------

    def gesture(self, name: str, pulse: float, height: float, energy: float) -> None:
        """Set what the hand of a part does, from its next symbol on; see `Performer`."""
        self._playable(name)
        self._player.gesture(name, {"pulse": pulse, "height": height, "energy": energy})

    def hit(
        self, name: str, height: float, energy: float, when: str = GRID, told: Told = None
    ) -> Receipt:
        """One note of a part that its hand plays, at the next line of a grid or another moment."""
        playing, playable = self._playable(name)
        self._playing("hit")
        part = replace(playing.spec, engine=playable.struck(height, energy))
        spec = StingerSpec(part, length=LONGEST_HIT)
        return self._strike(spec, ("part", name, "hit"), self.grid_of(name, when), told)

    def grid_of(self, name: str, when: str) -> str:
        """The words for the moment of a hit that is asked for so."""
        playing, _ = self._playable(name)
        return value_name(playing.spec.grid or SIXTEENTH) if when == GRID else when

    def _playable(self, name: str) -> tuple[Playing, Playable]:
        playing = self._player.part(name)
        engine = playing.spec.engine
        if not isinstance(engine, Playable):
            raise Mistake(f"part {name}", "it cannot be played; give it engine = 'performer'")
        return playing, engine

    # Praise -----------------------------------------------------------------------------

    def feedback(self, amount: float, part: str = "") -> str:
        """A listener likes (1) or dislikes (-1) what has just sounded, of one part or of all.

        Each part's notes of the last seconds share the praise, by how likely it is meant for them.
        """
        player = self._player
        if part:
            player.part(part)
        now, shares = player.clock.now(), dict[str, list[tuple[Origin, float]]]()
        for begun in player.ahead.begun:
            weight = reaction((now - begun.due) / 1e9)
            if weight and part in ("", begun.part):
                shares.setdefault(begun.part, []).append((begun.origin, weight))
        known = player.cast.named if player.cast is not None else {}
        heard = {name: notes for name, notes in shares.items() if name in known}
        if not heard:
            raise Mistake("feedback", f"nothing has sounded in the last {LATEST:g} s")
        for name, notes in heard.items():
            whole = sum(weight for _, weight in notes)
            for origin, weight in notes:
                known[name].part.praise(origin, amount * weight / whole)
        return f"to {', '.join(heard)}"

    def tastes(self) -> dict[str, Any]:
        """What was learnt, by scene and part, as JSON has it."""
        scenes: dict[str, dict[str, Any]] = {}
        for (scene, part), taste in self._player.tastes.items():
            if data := taste.to_data():
                scenes.setdefault(scene, {})[part] = data
        return {"format": FORMAT, "scenes": scenes}

    def load_tastes(self, data: Any) -> None:
        """Take over what `tastes` gave. Errors: Mistake, and then nothing is taken over."""
        scenes = data.get("scenes") if isinstance(data, Mapping) else None
        if not isinstance(scenes, Mapping) or data.get("format") != FORMAT:
            raise Mistake("taste", f"expected what was saved, with format {FORMAT!r}")
        for parts in scenes.values():
            if not isinstance(parts, Mapping):
                raise Mistake("taste", "expected each scene's parts")
            for content in parts.values():
                Taste().load(content)
        for scene, parts in scenes.items():
            for part, content in parts.items():
                self._player.taste(scene, part).load(content)

    # What players have played ------------------------------------------------------------

    def repertoires(self) -> dict[str, dict[str, Past]]:
        """What players have played to parts that learn, by scene and part."""
        scenes: dict[str, dict[str, Past]] = {}
        for (scene, part), repertoire in self._player.repertoires.items():
            if repertoire:
                scenes.setdefault(scene, {})[part] = repertoire.past
        return scenes

    def learn(self, scenes: Mapping[str, Mapping[str, Past]]) -> None:
        """Take over what `repertoires` gave; engines that play already do not hear of it."""
        for scene, parts in scenes.items():
            for part, past in parts.items():
                self._player.repertoire(scene, part).begin(past)

    # What both are ----------------------------------------------------------------------

    def _playing(self, what: str) -> None:
        if not self._player.playing:
            raise Mistake(what, "the transport is stopped; play first")

    def _strike(
        self,
        spec: StingerSpec,
        topic: tuple[str, ...],
        when: str,
        told: Told,
        named: bool = False,
    ) -> Receipt:
        player, name = self._player, spec.part.name
        number = player.asked[name] + 1
        struck: list[Sting] = []

        def apply(beat: Fraction) -> None:
            struck.append(player.cast_at(beat).sting(spec, number, beat, named))
            player.strike(struck[-1])
            del player.struck[name][:-KEPT]

        def undo(beat: Fraction) -> None:
            player.unstrike(struck.pop())

        receipt = player.at(when, topic, apply, told, undo=undo, alongside=True)
        if receipt.state != "refused":
            player.asked[name] = number
        return receipt
