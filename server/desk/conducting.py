"""The part of the tree that speaks to the conductor: mood, key, form, themes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from engines.base import Mistake
from server.band.baton import TENSION, Baton
from server.concert.player import Player
from server.conductor.conductor import Conductor, ConductorSpec
from server.conductor.mood import NEUTRAL, WORDS, Mood
from server.music.scale import parse_key

from .tree import LONGEST, Argument, Node, Value

PREFIX = "/componium"


def _whole(text: str) -> str:
    """A text that a receipt can carry. Errors: Mistake where it is too long for one."""
    if len(text) > LONGEST:
        raise Mistake("theme", f"longer than the {LONGEST} letters of an answer; save it instead")
    return text


def conducting_nodes(
    player: Player,
    moment: Callable[[str], Argument],
    call_off: Callable[[str], int],
    keep_theme: Callable[[str], str],
) -> Iterator[Node]:
    """Every address of the conductor's.

    moment: the argument `when`, given its default.  call_off: what is armed, by what was sent or
    what it concerns; how many commands.  keep_theme: adds a theme, or all of them, to a file, and
    says what it did.
    """
    baton = Baton(player)
    bars = Argument("bars", "f", "bars until it is reached", 0, 1024, "bars", 0.0)

    def mood() -> tuple[Value, ...]:
        if player.setting is None:
            return (0.0, 0.0)
        here = player.setting.conductor.moods.at(player.now_beat)
        return (here.valence, here.arousal)

    def word() -> tuple[Value, ...]:
        if player.setting is None:
            return ("neutral",)
        conductor = player.setting.conductor
        return (conductor.word(conductor.moods.at(player.now_beat)),)

    def of_scene(
        what: Callable[[ConductorSpec], tuple[Value, ...]],
    ) -> Callable[[], tuple[Value, ...] | None]:
        """What the scene itself has."""
        return lambda: what(player.scene.conductor) if player.scene is not None else None

    def first(spec: ConductorSpec) -> Mood:
        return spec.mood or NEUTRAL

    def decided(what: Callable[..., Value]) -> Callable[[], tuple[Value, ...]]:
        def value() -> tuple[Value, ...]:
            setting = player.setting
            return (what(setting.bar(player.now_beat)) if setting is not None else "",)

        return value

    def likeness() -> tuple[Value, ...]:
        conductor = baton.conductor
        asked = conductor.likeness_asked
        return (conductor.spec.likeness if asked is None else asked,)

    def armed() -> tuple[Value, ...]:
        return tuple(player.changes.words())

    def ready() -> object:
        return baton.conductor

    def choices(
        of: Callable[[Conductor], Iterable[str]], always: Iterable[str] = ()
    ) -> Callable[[], Iterable[str]]:
        """always: what there is without a scene."""
        return lambda: of(baton.conductor) if player.setting is not None else always

    yield Node(
        f"{PREFIX}/mood",
        "Be in this mood: the way there is planned over the phrases between. Done when reached; "
        "where the transport stands, when it is set, and the way begins when that goes on.",
        lambda told, v, a, over, when: baton.mood(Mood(v, a), over, when, told),
        (
            Argument("valence", "f", "unpleasant to pleasant", -1, 1),
            Argument("arousal", "f", "asleep to wildly awake", -1, 1),
            bars,
            moment("beat"),
        ),
        mood,
        of_scene(lambda spec: (first(spec).valence, first(spec).arousal)),
        continuous=True,
        concerns=("mood",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/tension",
        "Add tension to the mood as it is or goes, or take it away. Done when reached.",
        lambda told, tension, over, when: baton.tension(tension, over, when, told),
        (Argument("tension", "f", "at rest to unbearable", 0, 1), bars, moment("beat")),
        lambda: (baton.conductor.moods.at(player.now_beat).tension,),
        of_scene(lambda spec: (first(spec).tension,)),
        continuous=True,
        concerns=TENSION,
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/emotion",
        "The same by a word: happy, excited, angry, tense, neutral, sad, tired, calm, tender, or "
        "one of the scene's own.",
        lambda told, name, over, when: baton.emotion(name, over, when, told),
        (Argument("word", "s", choices=choices(lambda c: c.words, WORDS)), bars, moment("beat")),
        word,
        of_scene(lambda spec: (baton.conductor.word(first(spec)),)),
        concerns=("mood",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/listener",
        "Where the player stands among the scene's emotional points; the mood follows.",
        lambda told, x, y, when: baton.listener(x, y, when, told),
        (
            Argument("x", "f", "units of the game", -1e9, 1e9),
            Argument("y", "f", "units of the game", -1e9, 1e9),
            moment("beat"),
        ),
        lambda: baton.stands,
        continuous=True,
        concerns=("mood",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/key",
        "Turn to another key, such as `D dorian`, over chords that lead there.",
        lambda told, name, when: baton.key(parse_key(name), when, told),
        (Argument("name", "s", "a tonic and a mode", check=parse_key), moment("phrase")),
        decided(lambda bar: bar.key.name),
        lambda: (player.scene.key.name,) if player.scene is not None else None,
        concerns=("key",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/section",
        "Go to a section of the scene's form.",
        lambda told, name, when: baton.section(name, when, told),
        (
            Argument("name", "s", choices=choices(lambda c: c.spec.form.sections)),
            moment("phrase"),
        ),
        decided(lambda bar: bar.section.spec.name),
        once=True,
        concerns=("section",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/theme",
        "State another of the scene's themes.",
        lambda told, name, when: baton.theme(name, when, told),
        (Argument("name", "s", choices=choices(lambda c: c.spec.themes)), moment("phrase")),
        concerns=("theme",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/theme/text",
        "Answer to the sender a theme of the scene as it is written, or that of the moment.",
        lambda told, name: _whole(baton.theme_text(name)),
        (Argument("name", "s", default=""),),
        role="view",
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/theme/save",
        "Add a theme of the scene, or all of them, to the file of themes that `--themes` names.",
        lambda told, name: keep_theme(name),
        (Argument("name", "s", default=""),),
        role="edit",
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/likeness",
        "How near developments stay to their theme.",
        lambda told, value, when: baton.likeness(value, when, told),
        (Argument("likeness", "f", "free to plain", 0, 1), moment("bar")),
        likeness,
        of_scene(lambda spec: (spec.likeness,)),
        continuous=True,
        concerns=("likeness",),
        ready=ready,
    )
    yield Node(
        f"{PREFIX}/cancel",
        "Call off what is armed, or a scene that is being loaded: all of it, what concerns one "
        "thing, such as `key` or `scene`, or what was sent to one address, such as "
        "`/componium/part/bass/mute`.",
        lambda told, what: f"{call_off(what)} called off",
        (Argument("what", "s", default=""),),
    )
    yield Node(
        f"{PREFIX}/armed",
        "Answer to the sender what is armed, for which bar, and the name of what comes.",
        lambda told: "; ".join(map(str, armed())) or "nothing is armed",
        role="view",
        value=armed,
    )
    yield Node(
        f"{PREFIX}/explain",
        "Answer to the sender why a cue is as it is now: tempo, mode, loudness, …",
        lambda told, cue, role: baton.explain(cue, role),
        (Argument("cue", "s"), Argument("role", "s", default="")),
        role="view",
        ready=ready,
    )
