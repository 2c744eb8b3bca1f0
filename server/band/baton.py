"""What a performer or a game asks of the conductor while a scene plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

from engines.base import Mistake, unknown
from engines.motif import Motif, scored
from server.concert.changes import Receipt, Told
from server.concert.player import Player
from server.conductor.conductor import Conductor
from server.conductor.mood import Field, Mood, parse_mood
from server.music.scale import Key
from server.score.themes import keep
from server.score.when import parse_when

SOON = 64  # quarter notes
WAITS = "it is on its way when the transport goes on"
MOOD, TENSION = ("mood",), ("mood", "tension")  # topics; the second is a part of the first


class Baton:
    """Hands a player's conductor its commands, each at its musical moment.

    All methods raise Mistake where a name or a moment makes no sense, and otherwise answer with
    the receipt of a change that is done, armed or refused.
    """

    def __init__(self, player: Player) -> None:
        self._player = player
        self._stands: tuple[Field | None, float, float] = None, 0.0, 0.0

    @property
    def conductor(self) -> Conductor:
        """Of the scene that plays. Errors: Mistake where there is none."""
        setting = self._player.setting
        if setting is None:
            raise Mistake("", "no scene is loaded; load one first")
        return setting.conductor

    def mood(self, mood: Mood, bars: float = 0.0, when: str = "beat", told: Told = None) -> Receipt:
        """Be in this mood `bars` after a moment; the receipt is done when it is reached."""

        def change(conductor: Conductor, beat: Fraction) -> None:
            conductor.head_for(mood, beat, bars)

        return self._feel(change, when, told, lambda beat: self.conductor.arrival(beat, bars))

    def emotion(
        self, word: str, bars: float = 0.0, when: str = "beat", told: Told = None
    ) -> Receipt:
        """The same by a word: one of Melodrive's nine, or the scene's own."""
        return self.mood(parse_mood(word, self.conductor.words), bars, when, told)

    def tension(
        self, tension: float, bars: float = 0.0, when: str = "beat", told: Told = None
    ) -> Receipt:
        """More or less tension (0 to 1), `bars` after a moment, in the mood as it is or goes."""

        def change(conductor: Conductor, beat: Fraction) -> None:
            conductor.tighten(tension, beat, bars)

        def arrives(beat: Fraction) -> Fraction:
            return self.conductor.arrival(beat, bars)

        return self._feel(change, when, told, arrives, TENSION)

    def listener(self, x: float, y: float, when: str = "beat", told: Told = None) -> Receipt:
        """The player stands here among the scene's points. Errors: Mistake without any."""
        field = self.conductor.spec.field
        if field is None:
            raise Mistake("listener", "the scene has no emotional points; give it [[mood.points]]")
        mood = field.at(x, y)
        self._stands = field, x, y

        def change(conductor: Conductor, beat: Fraction) -> None:
            conductor.slide(mood, beat, conductor.spec.speed)

        return self._feel(change, when, told, lambda beat: beat)

    @property
    def stands(self) -> tuple[float, float]:
        """Where the player was last said to stand among this scene's points.

        Errors: Mistake where nobody has said it.
        """
        field, x, y = self._stands
        if field is None or field is not self.conductor.spec.field:
            raise Mistake("listener", "nobody has said yet where he stands")
        return x, y

    def key(self, key: Key, when: str = "phrase", told: Told = None) -> Receipt:
        """Turn to another key, over a bridge where there is time for one.

        The receipt says where section or mood make another key of it.
        Where that is the key already, as when our own word comes back to us, nothing is done.
        """
        self._on_bar(when)
        player = self._player
        if player.setting is not None and player.playing:
            beat = player.boundary(when, unplanned=True)
            waits = any(topic == "key" for topic, _ in player.changes.told())
            soon = beat - player.now_beat <= SOON  # who looks further decides bars long before time
            if not waits and soon and player.setting.bar(beat).key == key:
                receipt = player.receipt(player.now_beat, told)
                receipt.become("done", "the music is in this key already")
                return receipt
        turned: list[tuple[Conductor, int]] = []

        def change(conductor: Conductor, beat: Fraction) -> None:
            turned[:] = [(conductor, conductor.changeable(beat))]
            conductor.change_key(key, beat)

        def why() -> str:
            return turned[0][0].other_key(key, turned[0][1]) if turned else ""

        return self._plan(("key",), when, told, change, ahead=True, why=why, to=key.name)

    def section(self, name: str, when: str = "phrase", told: Told = None) -> Receipt:
        """Go to a section of the form."""
        self._on_bar(when)
        self._named(name, self.conductor.spec.form.sections, "section")

        def change(conductor: Conductor, beat: Fraction) -> None:
            conductor.go(name, beat)

        return self._plan(("section",), when, told, change, ahead=True, to=name)

    def theme(self, name: str, when: str = "phrase", told: Told = None) -> Receipt:
        """State another theme."""
        self._on_bar(when)
        self._named(name, self.conductor.spec.themes, "theme")

        def change(conductor: Conductor, beat: Fraction) -> None:
            conductor.state(name, beat)

        return self._plan(("theme",), when, told, change, to=name)

    def theme_text(self, name: str = "") -> str:
        """The notes of a theme, or of that of the moment, as a scene has them. Errors: Mistake."""
        player = self._player
        themes = self._themes(name)
        if not name and player.setting is not None:
            turn = int(player.setting.bar(player.now_beat).values["theme"])
            themes = themes[max(turn, 1) - 1 :]
        return " ".join(scored(themes[0]).split())

    def keep_themes(self, path: Path, name: str = "") -> str:
        """Add a theme, or all of them, to a file of themes; what was done. Errors: Mistake."""
        return keep(path, self._themes(name))

    def _themes(self, name: str) -> list[Motif]:
        scene = self._player.scene
        if scene is None:
            raise Mistake("", "no scene is loaded; load one first")
        found = [each for each in scene.themes(scene.seed) if name in ("", each.name)]
        if not found:
            self._named(name, scene.conductor.themes, "theme")
        return found

    def likeness(self, value: float, when: str = "bar", told: Told = None) -> Receipt:
        """How near developments stay to their theme, 0 to 1."""
        return self._plan(("likeness",), when, told, lambda c, beat: c.stay_near(value, beat))

    def explain(self, cue: str, role: str = "") -> str:
        """Why a cue of the music is as it is at this moment. Errors: Mistake."""
        player = self._player
        return self.conductor.explain(cue, player.now_beat, player.base_tempo, role)

    def _feel(
        self,
        change: Callable[[Conductor, Fraction], None],
        when: str,
        told: Told,
        arrives: Callable[[Fraction], Fraction],
        topic: tuple[str, ...] = MOOD,
    ) -> Receipt:
        player = self._player

        def apply(beat: Fraction) -> None:
            if topic == MOOD:  # which has a tension of its own
                player.changes.make_way(TENSION, beat)
            for each in player.conductors:  # one that is to follow feels the same
                change(each, max(beat, each.entry))
            player.feel_anew(beat)

        def undo(beat: Fraction) -> None:
            for each in player.conductors:
                each.take_back(topic[-1], max(beat, each.entry))
            if topic == MOOD:
                player.changes.again(TENSION)
            player.feel_anew(beat)

        def why() -> str:
            return (
                WAITS if not player.playing and arrives(player.now_beat) > player.now_beat else ""
            )

        return player.at(when, topic, apply, told, early=True, arrives=arrives, undo=undo, why=why)

    def _plan(
        self,
        topic: tuple[str, ...],
        when: str,
        told: Told,
        change: Callable[[Conductor, Fraction], None],
        ahead: bool = False,
        why: Callable[[], str] = lambda: "",
        to: str = "",
    ) -> Receipt:
        """Change what is decided of bars that are not planned yet.

        ahead: the bar before hears of it as soon as it is asked for, to lead over.  why: what
        there is to say when it is done.  to: the name of what comes.
        """
        player, led = self._player, [self.conductor]

        def apply(beat: Fraction) -> None:
            conductor = player.cast_at(beat).setting.conductor
            change(conductor, beat)
            led[:] = [conductor]
            turned(beat)

        def undo(beat: Fraction) -> None:
            led[0].take_back(topic[0], beat)
            turned(beat)

        def turned(beat: Fraction) -> None:
            player.feel_anew(beat)
            if topic[0] == "section":
                player.form_turned(beat)

        return player.at(
            when, topic, apply, told, early=ahead, unplanned=True, undo=undo, why=why, to=to
        )

    def _on_bar(self, when: str) -> None:
        wanted = parse_when(when)
        if wanted.frame == "now" or wanted.unit == "beat":
            raise Mistake("when", f"expected a moment on a bar line, such as bar, got {when!r}")

    def _named(self, name: str, there: Iterable[str], kind: str) -> None:
        names = list(there)
        if name not in names:
            raise Mistake("name", unknown(kind, name, names))
