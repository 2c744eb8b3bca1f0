"""`play`: its options, the settings that go before them, and the files it is to keep."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from engines.base import Mistake

from .audience import perform
from .manners import Family, SeedOption, choose, ends, offer, version

if TYPE_CHECKING:
    from ..backstage.settings import Settings
    from ..desk.broker import Broker


commands = Family()

DEFAULT_SCENE = "default"


@commands.command(
    epilog=ends(
        "play",
        "play house --tempo 122 --midi IAC",
        "play my-set.toml --record tonight.mid --seconds 600",
        more="130 after Ctrl-C, 128 and the signal's number after another",
    )
)
def play(
    context: typer.Context,
    scene: Annotated[
        str,
        typer.Argument(
            metavar="SCENE",
            help="A scene file, or a shipped scene's or style's name.",
            autocompletion=offer("scenes"),
        ),
    ] = DEFAULT_SCENE,
    seed: SeedOption = None,
    tempo: Annotated[
        float | None,
        typer.Option(metavar="BPM", min=20, max=999, help="Another tempo than the scene's."),
    ] = None,
    osc: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST:PORT", help="Send everything there by OSC too; repeatable."),
    ] = None,
    surface: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT", help="Have the faders of a surface there follow; repeatable."
        ),
    ] = None,
    why: Annotated[
        bool,
        typer.Option("--why", help="Tell OSC targets each note's symbol and origin too."),
    ] = False,
    midi: Annotated[
        str,
        typer.Option(
            metavar="PORT|virtual|none",
            help="Part of a MIDI port's name, new virtual ports, or no MIDI.",
            autocompletion=offer("outputs"),
        ),
    ] = "",
    midi_in: Annotated[
        list[str] | None,
        typer.Option(
            "--midi-in",
            metavar="PORT|virtual|none",
            help="Hear this instead of the scene's own MIDI input; repeatable.",
            autocompletion=offer("inputs"),
        ),
    ] = None,
    sync: Annotated[
        str,
        typer.Option(
            metavar="internal|midi[:PORT]|link",
            help="Who leads the tempo; midi:PORT is part of a MIDI input's name.",
            show_default="as the scene says",
            autocompletion=offer("sources"),
        ),
    ] = "",
    mappings: Annotated[
        str,
        typer.Option(
            metavar="FILE.json|none",
            help="Where to keep what MIDI learn has learnt.",
            show_default="with your settings",
        ),
    ] = "",
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.mid",
            help="Keep what is played as a MIDI file; bands with a name have logs for that.",
        ),
    ] = None,
    log: Annotated[
        str,
        typer.Option(
            metavar="FILE|none",
            help="Where to keep the control log, for  componium replay.",
            show_default="with the last 20, in your folder for state",
        ),
    ] = "",
    bars: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="End after so many bars.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", min=0.001, help="End after so many seconds.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print each event as a line of JSON.")
    ] = False,
    control: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="UDP port on this machine for control by OSC; 0 for none.",
            show_default="1821",
        ),
    ] = None,
    http: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="TCP port on this machine for page, OSCQuery and WebSocket; 0 for none.",
            show_default="1822",
        ),
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="Let other machines in, those that show the token.")
    ] = False,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Let this web page elsewhere ask too; repeatable."),
    ] = None,
    announce: Annotated[
        bool, typer.Option("--announce", help="Make it known by mDNS, for OSCQuery clients.")
    ] = False,
    state: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.json|none",
            help="Go on from where this file left off, and keep it up to date; a mere NAME lies "
            "in the folder of states; none keeps nothing.",
            show_default="one for each scene, in your folder for state, of use with --resume",
        ),
    ] = "",
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from where the last performance of this scene ended."),
    ] = False,
    taste: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Begin with what feedback taught; keep it there."),
    ] = None,
    themes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="The file that /componium/theme/save adds themes to."
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT][/ID]",
            help="Tell an MQTT broker, and obey it; mqtt:// before it does without TLS.",
            show_default="as the settings say",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch/--no-watch", help="Read the scene again when its file is saved."),
    ] = True,
    diary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write down ports, scenes and troubles; 50 MB at most, in all."
        ),
    ] = None,
    horizon_ms: Annotated[
        int, typer.Option(metavar="MS", min=20, max=2000, help="How far to plan ahead.")
    ] = 100,
) -> None:
    """Play a scene until Ctrl-C, or for so many bars or seconds."""
    from ..score.folders import folders
    from ..score.scene import find_scene
    from ..score.style import folder
    from ..stage import CONTROL_PORT, PAGE_PORT, Wish

    if seconds is not None and not isfinite(seconds):
        raise Mistake("--seconds", f"expected a number of seconds, got {seconds}")
    found = find_scene(scene)
    beside = found.parent
    wish = Wish(
        midi=midi,
        osc=tuple(osc or ()),
        surfaces=tuple(surface or ()),
        why=why,
        folder=None if beside == folder("styles") else beside,  # what lies there are no scenes
        folio=folders()["scenes"] if beside in (folder("styles"), folder("scenes")) else beside,
        bars=bars or 0,
        seconds=seconds or 0.0,
        horizon=horizon_ms * 1_000_000,
        control=CONTROL_PORT if control is None else control,
        insisted=bool(control),
        taste=taste,
        state=_state_file(state, found),
        resume=resume or bool(state),
        themes=themes,
        http=PAGE_PORT if http is None else http,
        http_insisted=bool(http) or lan or announce,
        lan=lan,
        origins=tuple(_origin(each) for each in origin or ()),
        announce=announce,
        midi_in=tuple(midi_in or ()),
        mappings=_mappings_file(mappings),
        mappings_insisted=bool(mappings),
        mqtt=_broker(mqtt, context.obj or {}),
        watch=watch,
        log=_log_file(log, found.stem),
        log_insisted=bool(log),
        version=version(),
        sync=sync,
        settings=_read_again(context),
    )
    chosen = choose(scene, seed, tempo, wish.midi, wish.osc, why, wish.midi_in)
    if why and not any(spec.why for spec in chosen.outputs.values()):
        raise Mistake("--why", "no OSC target is there to be told; add --osc HOST:PORT")
    form = "json" if json else "quiet" if quiet else "view" if _drawable() else "lines"
    raise typer.Exit(perform(chosen, wish, record, form, diary))


def _broker(where: str | None, settings: Mapping[str, Any]) -> Broker | None:
    """The MQTT broker that option and settings mean; None for none. Errors: Mistake."""
    from ..desk.broker import read_broker, secret_in

    if where is None:
        where = settings.get("broker") or "none"
    if not where.strip():  # as of a variable of the shell that is not set
        raise Mistake("--mqtt", "expected a broker such as localhost or HOST:PORT/ID, or none")
    if where == "none":
        return None
    import socket

    password = os.environ.get("COMPONIUM_MQTT_PASSWORD", "")
    file = settings.get("password_file")
    return read_broker(
        where,
        socket.gethostname().partition(".")[0],
        name=settings.get("id", ""),
        user=os.environ.get("COMPONIUM_MQTT_USER", "") or settings.get("user", ""),
        password=password or (secret_in(file) if file else ""),
        ca=settings.get("ca_file"),
        notes=settings.get("notes", False),
    )


def _state_file(asked: str, scene: Path) -> Path | None:
    """Where a state lies; None for none. Errors: Mistake where one that was asked for cannot be."""
    if asked == "none":
        return None
    from ..desk.memory import forget_oldest, of_scene
    from ..score.folders import folders

    path = Path(asked)
    if not asked:
        path = folders()["states"] / of_scene(scene)
    elif len(path.parts) == 1 and not path.suffix:
        path = folders()["states"] / f"{asked}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path.parent, os.W_OK) or path.is_dir():
            raise PermissionError(13, "it cannot be written there")
        if not asked:
            forget_oldest(path.parent)
    except OSError as error:
        if not asked:
            return None
        raise Mistake("--state", f"{path}: {error.strerror}") from None
    return path


def _mappings_file(asked: str) -> Path | None:
    """Where what MIDI learn has learnt lies; None for nowhere."""
    if asked == "none":
        return None
    if asked:
        return Path(asked)
    from ..score.folders import folders

    return folders()["mappings"]


def _origin(text: str) -> str:
    """Where a web page comes from, as browsers say it. Errors: Mistake."""
    if re.fullmatch(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?", text) is None:
        raise Mistake(
            "--origin", f"expected such as http://localhost:8000, without a path, got {text!r}"
        )
    return text


def _log_file(asked: str, scene: str) -> Path | None:
    """Where the control log goes. Errors: Mistake where one that was asked for cannot be made."""
    from ..takes.log import fresh_log, log_folder
    from ..takes.recorder import check_writable

    if asked == "none":
        return None
    if asked:
        check_writable(Path(asked), "--log", begins=b'{"format"')
        return Path(asked)
    try:
        return fresh_log(log_folder(), scene)
    except (OSError, ImportError):  # as in a home that cannot be written; nobody asked for it
        return None


def _drawable() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def settings(context: typer.Context, config: Path | None) -> Settings:
    """What the file of settings says for `play`. Errors: Mistake."""
    from ..backstage.settings import read_settings
    from ..score.folders import CONFIG, config_file

    asked = config is not None or bool(os.environ.get(CONFIG))
    return read_settings(config or config_file(), options(context), asked)


def _read_again(context: typer.Context) -> Callable[[], Mapping[str, Any]]:
    """What reads the settings again, those of `play` that the command line has not gone before."""
    root = cast("typer.Context | None", context.parent)

    def is_typed(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    typed = set(filter(is_typed, context.params))

    def read() -> Mapping[str, Any]:
        if root is None:
            return {}
        found = settings(root, root.params.get("config"))
        of_play = {name: value for name, value in found.play.items() if name not in typed}
        return of_play | ({"[mqtt]": found.mqtt} if found.mqtt and "mqtt" not in typed else {})

    return read


def options(context: typer.Context) -> dict[str, Callable[[Any], Any]]:
    """The options of `play`, each with what reads a value of it as the command line would."""
    play = cast(Any, context.command).commands["play"]
    inner = type(context)(play, parent=context)

    def reads(option: Any) -> Callable[[Any], Any]:
        def read(value: Any) -> Any:
            several = isinstance(value, list)
            if several and not option.multiple:
                raise Mistake(option.name, f"expected one value, got {value!r}")
            if option.multiple and not several:
                value = [value]
            try:
                option.process_value(inner, value)
            except typer.BadParameter as error:
                raise Mistake(option.name, error.message) from None
            except (TypeError, ValueError):
                raise Mistake(option.name, f"cannot be {value!r}") from None
            return value

        return read

    return {option.name: reads(option) for option in play.params}
