"""`componium`: the commands. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from engines.base import Mistake

if TYPE_CHECKING:
    from .backstage.service import Diary
    from .backstage.settings import Settings
    from .band.bands import Band
    from .concert.journal import Entry
    from .desk.broker import Broker
    from .score.scene import Scene
    from .stage import Wish
    from .takes.files import Keeper
    from .takes.lines import Printer
    from .takes.recorder import Recorder

DEFAULT_SCENE = "default"
UNWELL = 1  # exit status of `doctor` where something must be mended
WRONG = 2  # exit status for mistakes in arguments or files
INTERRUPTED = 130
UNREAD = 141  # as of any program whose lines nobody reads any more: 128 + SIGPIPE
#: Bars that `check` plays in no time; the second at most, of a tour through all sections.
TRIAL_BARS, TOUR_BARS = 32, 256

app = typer.Typer(
    help="Componium invents music while it plays: grammars, L-systems and Markov chains, "
    "on time, to MIDI and OSC.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _ends(*examples: str, more: str = "") -> str:
    """What a command's help ends with: examples, and its exit status."""
    status = (
        f"Exit status: 0 done, {f'{more}, ' if more else ''}2 for a mistake in arguments or files."
    )
    return "\n\n".join(["Examples:", *(f"componium {each}" for each in examples), status])


def _offer(what: str) -> Callable[[str], list[str]]:
    """What a shell offers; `completion` is loaded only where a shell asks."""

    def offered(incomplete: str) -> list[str]:
        from . import completion

        found: list[str] = getattr(completion, what)(incomplete)
        return found

    return offered


SceneArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCENE",
        help="A scene file, or the name of a shipped scene or style.",
        autocompletion=_offer("scenes"),
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Another seed: other music, same style."),
]


PartOption = Annotated[
    list[str] | None,
    typer.Option("--part", metavar="NAME", help="This part alone, or these; repeatable."),
]
FontOption = Annotated[
    Path | None,
    typer.Option("--font", metavar="FILE.sf2", help="The sound font of a sound file."),
]


class Unwell(Exception):  # noqa: N818
    """Something must be mended."""


def main() -> None:
    """Run a command; the process's exit status says how it went."""
    try:
        status = _run()
        print(end="", flush=True)
    except BrokenPipeError:
        status = UNREAD
    except OSError as error:
        _complain(error.strerror or str(error))
        status = 1
    if status in (1, UNREAD):  # what is left would fail once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(status)


def _run() -> int:
    try:
        app()
    except Mistake as mistake:
        for each in _each(mistake):
            _complain(str(each))
        return WRONG
    except Unwell:
        return UNWELL
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:  # 1 is how typer and rich say that a pipe is broken
        return UNREAD if ended.code == 1 else int(ended.code or 0)
    return 0


def _each(mistake: Mistake) -> tuple[Mistake, ...]:
    from .score.table import Mistakes

    return mistake.each if isinstance(mistake, Mistakes) else (mistake,)


def _version(asked: bool) -> None:
    if asked:
        print(f"componium {version()}")
        raise typer.Exit


def version() -> str:
    """The version that is installed, or that of this checkout's `pyproject.toml`."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("componium")
    except PackageNotFoundError:
        return "(not installed)"


@app.callback()
def componium(
    context: typer.Context,
    shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings, instead of the usual file."),
    ] = None,
) -> None:
    """The options before a command."""
    context.obj = config
    if context.invoked_subcommand == "play":
        settings = _settings(context, config)
        context.default_map = {"play": settings.play}
        context.obj = settings.mqtt


def _settings(context: typer.Context, config: Path | None) -> Settings:
    """What the file of settings says for `play`. Errors: Mistake."""
    from .backstage.settings import read_settings
    from .score.folders import CONFIG, config_file

    asked = config is not None or bool(os.environ.get(CONFIG))
    return read_settings(config or config_file(), _options(context), asked)


def _options(context: typer.Context) -> dict[str, Callable[[Any], Any]]:
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


# play ---------------------------------------------------------------------------------------


@app.command(
    epilog=_ends(
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
            autocompletion=_offer("scenes"),
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
        ),
    ] = "",
    midi_in: Annotated[
        list[str] | None,
        typer.Option(
            "--midi-in",
            metavar="PORT|virtual|none",
            help="Hear this instead of the scene's own MIDI input; repeatable.",
        ),
    ] = None,
    sync: Annotated[
        str,
        typer.Option(
            metavar="internal|midi[:PORT]|link",
            help="Who leads the tempo; midi:PORT is part of a MIDI input's name.",
            show_default="as the scene says",
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
        Path | None, typer.Option(metavar="FILE.mid", help="Keep what is played as a MIDI file.")
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
        str,
        typer.Option(
            metavar="HOST[:PORT][/ID]",
            help="Tell an MQTT broker, and obey it; mqtt:// before it does without TLS.",
        ),
    ] = "",
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
    from .score.folders import folders
    from .score.scene import find_scene
    from .score.style import folder
    from .stage import CONTROL_PORT, PAGE_PORT, Wish

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
        origins=tuple(origin or ()),
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
    )
    chosen = _chosen(scene, seed, tempo, wish.midi, wish.osc, why, wish.midi_in)
    if why and not any(spec.why for spec in chosen.outputs.values()):
        raise Mistake("--why", "no OSC target is there to be told; add --osc HOST:PORT")
    form = "json" if json else "quiet" if quiet else "view" if _drawable() else "lines"
    raise typer.Exit(_perform(chosen, wish, record, form, diary))


def _broker(where: str, settings: Mapping[str, Any]) -> Broker | None:
    """The MQTT broker that option and settings mean; None for none. Errors: Mistake."""
    from .desk.broker import read_broker, secret_in

    where = where or settings.get("broker", "")
    if where in ("", "none"):
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
    from .desk.memory import forget_oldest, of_scene
    from .score.folders import folders

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
    from .score.folders import folders

    return folders()["mappings"]


def _log_file(asked: str, scene: str) -> Path | None:
    """Where the control log goes. Errors: Mistake where one that was asked for cannot be made."""
    from .takes.log import fresh_log, log_folder
    from .takes.recorder import check_writable

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


def _chosen(
    name: str,
    seed: int | None = None,
    tempo: float | None = None,
    midi: str = "",
    osc: tuple[str, ...] = (),
    why: bool = False,
    midi_in: tuple[str, ...] = (),
) -> Scene:
    """The scene that the arguments ask for. Errors: Mistake."""
    from dataclasses import replace

    from .score.scene import find_scene, load_scene, routed

    scene = routed(load_scene(find_scene(name)), midi, osc, why, midi_in)
    if seed is not None:
        if seed >= 2**63:
            raise Mistake("--seed", f"expected a number below 2^63, got {seed}")
        scene = scene.with_seed(seed)
    if tempo is not None:
        scene = replace(scene, tempo=tempo, tempo_asked=True)
    return scene


def _perform(
    scene: Scene, wish: Wish, record: Path | None, form: str, diary: Path | None = None
) -> int:
    """Play with the listeners asked for; the exit status."""
    from .backstage.health import Health
    from .concert.journal import Journal
    from .stage import Stage, run

    journal, health = Journal(), Health()
    stage = Stage(scene, wish, journal, health)
    closing: list[Callable[[], bool]] = []
    if diary is not None:
        from .backstage.service import Diary

        written = Diary(diary)
        journal.add(written)
        closing.append(lambda: _written_down(written))
    beside: list[Callable[[str], Callable[[Entry], None]]] = []  # who hears the other bands
    if diary is not None:
        beside.append(lambda name: partial(written, band=name))

    def join(band: Band) -> None:
        for each in beside:
            band.player.journal.add(each(band.name))

    stage.joined = join
    if record is not None:
        from .takes.recorder import Recorder, check_writable

        check_writable(record, "--record")
        recorder = Recorder(record, scene, lambda: stage.player.scene, stage.trouble, version())
        journal.add(recorder)
        closing.append(lambda: _kept(recorder))
    if form == "view":
        from .takes.view import View

        view = View(scene, health, stage.player.strips, lambda: stage.player.scene)
        journal.add(view)
        stage.abandoned = view.abandon
        closing.append(view.close)
        view.open()
    else:
        from .takes.lines import Deserted, Printer, Warnings

        journal.add(Warnings(_complain))
        beside.append(lambda name: Warnings(lambda line: _complain(f"{name}: {line}")))
        if form != "quiet":
            if sys.stderr.isatty():  # whoever reads a log is not to have the token
                stage.opened = lambda link: _complain(f"page {link}")
            printer = Printer(json_lines=form == "json")
            journal.add(printer)
            if form == "json":
                beside.append(printer.beside)
            if record is None:
                leave = partial(stage.leave, UNREAD - 128)
                journal.add(Deserted(lambda: printer.unread, leave))
            closing.append(printer.close)
            closing.append(lambda: _said_all(printer))
    try:
        status = run(stage)
    finally:
        finished = [close() for close in closing]
    if not all(finished):  # a disk or a terminal may hang; nothing that sounds waits for it
        os._exit(status)
    return status


def _kept(recorder: Recorder) -> bool:
    whole = recorder.close()
    if not whole:
        _complain(f"--record: {recorder.trouble}")
    return whole


def _written_down(diary: Diary) -> bool:
    whole = diary.close()
    if diary.trouble:
        _complain(f"--diary: {diary.trouble}")
    return whole


def _said_all(printer: Printer) -> bool:
    if printer.trouble:
        _complain(f"standard output: {printer.trouble}")
    return True


def _complain(line: str) -> None:
    print(f"componium: {line}", file=sys.stderr, flush=True)


# what needs no waiting ----------------------------------------------------------------------


@app.command(epilog=_ends("render house -o house.mid --bars 64"))
def render(
    scene: SceneArgument,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE",
            help="The file to write: .mid, .musicxml, .abc, .wav, .svg or .png.",
        ),
    ],
    bars: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=100_000,
            help="How many bars.",
            show_default="as the scene says, or 32",
        ),
    ] = None,
    seed: SeedOption = None,
    part: PartOption = None,
    font: FontOption = None,
    tight: Annotated[
        bool,
        typer.Option("--tight", help="Every note on the grid: no swing, groove or straying."),
    ] = False,
) -> None:
    """Write a scene as MIDI, score, sound or picture, as fast as the computer can."""
    from .concert.journal import Troubled
    from .errands import hear, tightened

    keep = _keeper(out, part, font)
    chosen = _chosen(scene, seed, midi="none")
    unknown = [each for each in part or () if each not in {p.name for p in chosen.ensemble}]
    if unknown:
        there = ", ".join(each.name for each in chosen.ensemble)
        raise Mistake("--part", f"the scene has no part {unknown[0]!r}; there are: {there}")
    if tight:
        chosen = tightened(chosen)
    length = bars or chosen.bars

    with _progress(length) as advance:

        def listen(entry: Entry) -> None:
            keep(entry)
            advance(entry)
            if isinstance(entry, Troubled):
                _complain(f"{entry.source}: {entry.text}")

        keep.begin(chosen)
        hear(chosen, length, listen)
    _write(out, keep.file())


def _keeper(out: Path, parts: list[str] | None, font: Path | None, made: str = "") -> Keeper:
    """Who keeps a file of that name. made: by which version. Errors: Mistake."""
    from .takes.files import BEGINS, keeper
    from .takes.recorder import check_writable

    keep = keeper(out, made or version(), parts or None, font)
    check_writable(out, "-o", BEGINS[out.suffix.lower()])
    return keep


@app.command(epilog=_ends("replay -o again.mid"))
def replay(
    log: Annotated[
        Path | None,
        typer.Argument(metavar="LOG", help="A control log.", show_default="of the last play"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", metavar="FILE", help="Write it, as render does: .mid, .musicxml, .wav …"
        ),
    ] = None,
    part: PartOption = None,
    font: FontOption = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each event as a line of JSON, at once.")
    ] = False,
    midi: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|virtual|none",
            help="Part of a MIDI port's name, new virtual ports, or no MIDI.",
            show_default="as it was played",
        ),
    ] = None,
) -> None:
    """Play a performance again from its control log, to the identical notes."""
    from .concert.journal import Troubled
    from .replay import Replay, retake
    from .takes.log import log_folder, logs, read_log

    if log is None:
        kept = logs(log_folder())
        if not kept:
            raise Mistake("LOG", "there is none yet; play something first, or name one")
        log = kept[-1]
        _complain(f"this is {log}")
    entries = read_log(log)
    if midi is not None:
        route = {**entries.head.get("route", {}), "midi": midi}
        entries = entries._replace(head={**entries.head, "route": route})
    if not entries.whole:
        _complain(f"{log.name} breaks off; what it has is played")
    keep = None
    if out is not None:
        keep = _keeper(out, part, font, str(entries.head.get("version", "")))
    again = Replay(entries)

    def warn(entry: Entry) -> None:
        if isinstance(entry, Troubled):
            _complain(f"{entry.source}: {entry.text}")

    again.journal.add(warn)
    printer = None
    if json:
        from .takes.lines import Printer

        printer = Printer(json_lines=True)
        again.journal.add(printer)
    if out is not None and keep is not None:
        _write(out, retake(again, keep))
    elif json:
        again.run()
    else:
        from .stage import play_again

        play_again(again)
    if printer is not None:
        printer.close()


def _write(out: Path, data: bytes) -> None:
    """Errors: Mistake."""
    from .takes.recorder import save

    try:
        save(out, data)
    except OSError as error:
        raise Mistake("-o", f"{out} cannot be written: {error.strerror}") from None


@contextmanager
def _progress(bars: int) -> Iterator[Callable[[Entry], None]]:
    """A bar on the terminal, if there is one; hands out what moves it."""
    if not sys.stderr.isatty():
        yield lambda entry: None
        return
    from rich.console import Console
    from rich.progress import Progress

    from .concert.journal import Ticked

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rendering", total=bars)
        reached = 0

        def advance(entry: Entry) -> None:
            nonlocal reached
            if isinstance(entry, Ticked) and entry.moment.bar > reached:
                reached = entry.moment.bar
                progress.update(task, completed=reached)

        yield advance


@app.command(epilog=_ends("symbols blues -n 16 --why", "symbols algae:leaf --set arousal=0.8"))
def symbols(
    scene: Annotated[
        str,
        typer.Argument(
            metavar="SCENE[:PART]",
            help="A scene and one of its parts, or its first.",
            autocompletion=_offer("scenes"),
        ),
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", metavar="N", min=0, help="How many symbols.")
    ] = 32,
    seed: SeedOption = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say after each symbol where it comes from.")
    ] = False,
    tree: Annotated[
        bool, typer.Option("--tree", help="Draw a grammar's first derivation instead.")
    ] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A live value from outside; repeatable."),
    ] = None,
) -> None:
    """List what a part pulls from its engine as its scene goes by, one symbol a line."""
    from itertools import islice

    from .errands import live_values, part_of, quotes, split_part
    from .errands import symbols as stream
    from .errands import tree as drawn

    name, part = split_part(scene)
    chosen = _chosen(name, seed)
    if not part and len(chosen.parts) > 1:
        others = ", ".join(f"{name}:{spec.name}" for spec in chosen.parts[1:])
        _complain(f"this is {name}:{chosen.parts[0].name}; there are also {others}")
    spec, live = part_of(chosen, part), live_values(chosen, sets or ())
    if tree:
        print(drawn(chosen, spec, live))
        return
    for symbol in islice(stream(chosen, spec, live, _complain), min(count, sys.maxsize)):
        args = ", ".join(f"{arg:g}" for arg in symbol.args)
        line = f"{symbol.name}({args})" if args else symbol.name
        print(f"{line}\t{symbol.origin}{quotes(spec, symbol)}" if why else line)


@app.command(epilog=_ends("themes level", "themes level -o level.mid"))
def themes(
    scene: SceneArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.toml|FILE.mid",
            help="Add them to a file of themes, or write them as MIDI.",
        ),
    ] = None,
    seed: SeedOption = None,
) -> None:
    """Print a scene's themes as text that a scene may have, the invented ones too."""
    from .score.themes import keep, songbook

    chosen = _chosen(scene, seed, midi="none")
    motifs = chosen.themes(chosen.seed)
    if not motifs:
        raise Mistake(scene, "this scene has no themes; give it such as [themes.home]")
    if out is None:
        print(songbook(motifs), end="")
    elif out.suffix.lower() in (".mid", ".midi"):
        from .errands import render as rendered
        from .errands import sung
        from .takes.recorder import check_writable

        check_writable(out, "-o")
        _write(out, rendered(*sung(chosen), version(), lambda entry: None))
    else:
        try:
            print(keep(out, motifs))
        except Mistake as mistake:
            raise mistake.within("-o") from None


@app.command(
    epilog=_ends("layout touchosc level -o level.tosc", "layout openstage level -o level.json")
)
def layout(
    program: Annotated[
        str,
        typer.Argument(
            metavar="touchosc|openstage",
            help="What is to show the surface.",
            autocompletion=_offer("programs"),
        ),
    ],
    scene: SceneArgument,
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE", help="A .tosc file, or a .json session.")
    ],
    target: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="Where an Open Stage Control session sends to."),
    ] = "127.0.0.1:1821",
) -> None:
    """Make a control surface for a scene: transport, mood, launchers, and a strip for each part."""
    from .concert.clock import JumpClock
    from .concert.player import Player
    from .desk.desk import Desk
    from .desk.layouts import WRITERS, page_of
    from .score.scene import find_scene
    from .takes.recorder import check_writable

    if program not in WRITERS:
        raise Mistake("PROGRAM", f"expected one of {', '.join(WRITERS)}, got {program!r}")
    writer = WRITERS[program]
    check_writable(out, "-o", begins=writer.begins)
    chosen, player = _chosen(scene, midi="none"), Player(JumpClock())
    player.cue(chosen)
    desk = Desk(player, lambda name, style: chosen, find_scene(scene).parent)
    page = page_of(desk.tree, chosen.title or chosen.name)
    _write(out, writer.write(page, target))
    print(f"{out}: {len(page.widgets)} widgets for {len(chosen.ensemble)} parts")


@app.command(epilog=_ends("learn tunes/*.mid -o mine.json"))
def learn(
    tunes: Annotated[
        list[str],
        typer.Argument(metavar="TUNES…", help="MIDI files or chorales, or patterns for them."),
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="MODEL.json", help="Where to keep what is learnt."),
    ],
    order: Annotated[
        float, typer.Option(metavar="N", min=0, max=10, help="Symbols of context to learn.")
    ] = 3,
) -> None:
    """Learn a Markov model from tunes; a scene uses it as  model = "MODEL.json"."""
    import json

    from engines.markov import Markov

    from .score.tunes import read_tunes
    from .takes.recorder import check_writable

    check_writable(out, "-o", begins=b"{")
    whole = [str(Path(tune).absolute()) for tune in tunes]
    model = Markov(corpus=read_tunes(whole, Path.cwd(), "TUNES"), order=order)
    _write(out, json.dumps(model.to_data(), separators=(",", ":")).encode())
    print(f"{out}: {len(model.alphabet() or ())} different symbols")


@app.command(epilog=_ends("check my-set.toml", "check config/scenes"))
def check(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…",
            autocompletion=_offer("scenes"),
            help="Scenes, styles, progressions, maps of moods; folders of them; shipped names.",
        ),
    ],
) -> None:
    """Say what is wrong with scenes, styles and the like: where, and what was expected."""
    wrong = 0
    for path in _scene_files(paths):
        wrong += not _check(path)
    if wrong:
        raise typer.Exit(WRONG)


def _scene_files(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if not Path(path).is_dir():
            yield path
            continue
        found = sorted(Path(path).rglob("*.toml"))
        if not found:
            raise Mistake(path, "there is no scene or style (*.toml) in this folder")
        yield from map(str, found)


def _check(path: str) -> bool:
    from .desk.reference import addresses
    from .errands import clashes, examine, strays, toured, try_out, unled
    from .score.scene import find_scene

    try:
        file = find_scene(path)
    except Mistake as mistake:
        _complain(str(mistake))
        return False
    try:
        scene = examine(file)
    except Mistake as mistake:
        for text in map(str, _each(mistake)):
            own = text.startswith((f"{file.name}:", f"{file.name},"))
            _complain(path + text.removeprefix(file.name) if own else f"{path}: in {text}")
        return False
    if scene is None:
        print(f"{path}: OK")
        return True
    troubles, silent = try_out(scene, TRIAL_BARS)
    where = f"in the first {TRIAL_BARS} bars"
    if scene.conductor.form.sections:
        tour, bars = toured(scene)
        more, still = try_out(tour, min(bars, TOUR_BARS))
        troubles += more
        silent, where = [name for name in silent if name in still], "in every section"
    for trouble in dict.fromkeys(troubles):
        _complain(f"{path}: {trouble}")
    for part in silent:
        _complain(f"{path}: parts.{part}: silent {where}; is that meant?")
    obeyed, scenes = addresses(scene, file.parent)
    for oddity in [*strays(scene, scenes, obeyed), *unled(scene), *clashes(scene)]:
        _complain(f"{path}: {oddity}")
    if not troubles:
        print(f"{path}: OK")
    return not troubles


# Unknown options are values, such as -0.5.
@app.command(
    epilog=_ends("tell /tempo 132 16", "tell /part/bass/mute 1 bar"),
    context_settings={"ignore_unknown_options": True},
)
def tell(
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="Such as /emotion or /componium/emotion.",
            autocompletion=_offer("addresses"),
        ),
    ],
    values: Annotated[
        list[str] | None, typer.Argument(metavar="VALUES…", help="Such as tense 4 bar.")
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=1, max=65535, help="As it was given to --control.")
    ] = 1821,
) -> None:
    """Send a command to the Componium that plays on this machine, and say what it answers."""
    from .ensemble.encode import osc_message

    whole = address if address.startswith("/componium") else f"/componium{address}"
    if not whole.isprintable() or not address.startswith("/"):
        raise Mistake("ADDRESS", f"expected such as /emotion, got {address!r}")
    answer = _answer(osc_message(whole, *map(_typed, values or ())), port)
    if answer is None:
        raise Mistake("--port", f"nothing answers on port {port}; is Componium playing?")
    _, state, bar, reason = answer
    text = state + (f" at bar {bar:g}" if bar else "") + (f": {reason}" if reason else "")
    if state == "refused":
        raise Mistake(whole, text)
    print(text)


def _typed(word: str) -> int | float | str:
    """A word of the command line as OSC has it: a number where it is one."""
    for kind in (int, float):
        try:
            number = kind(word)
        except ValueError:
            continue
        if isfinite(number):
            return number
    return word


def _answer(command: bytes, port: int) -> tuple[str, str, float, str] | None:
    """The first receipt for a command that is sent to this machine; None where nobody is there."""
    import socket
    from contextlib import closing

    from .desk.packet import Rejected, decode

    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as line:
        line.settimeout(10)  # of a scene that is large, reading takes a while
        line.connect(("127.0.0.1", port))
        try:
            line.send(command)
            messages = decode(line.recv(1 << 16))
        except OSError:
            return None
    if isinstance(messages, Rejected) or len(messages[0].args) != 4:
        return None
    about, state, bar, reason = messages[0].args
    return str(about), str(state), float(bar), str(reason)


@app.command(epilog=_ends("doctor", "doctor --json", more="1 where something must be mended"))
def doctor(
    context: typer.Context,
    json: Annotated[
        bool, typer.Option("--json", help="Print each finding as a line of JSON.")
    ] = False,
) -> None:
    """Say what this machine has and lacks, and what mends it; status 1 where something must be."""
    import json as notation

    from .backstage.doctor import as_line, examine
    from .stage import CONTROL_PORT, PAGE_PORT

    missing = False
    for finding in examine(_options(cast(typer.Context, context.parent)), CONTROL_PORT, PAGE_PORT):
        missing |= finding.state == "missing"
        print(notation.dumps(finding._asdict()) if json else as_line(finding), flush=True)
    if missing:
        raise Unwell


@app.command(epilog=_ends("paths"))
def paths() -> None:
    """The files and folders that Componium keeps things in."""
    from .score.folders import folders
    from .takes.log import log_folder

    for name, path in {**folders(), "logs": log_folder()}.items():
        print(f"{name:<10} {path}")


@app.command(epilog=_ends("token", "token --new"))
def token(
    new: Annotated[
        bool, typer.Option("--new", help="Make another; the old one is of no use any more.")
    ] = False,
) -> None:
    """The token that opens page and network to whoever shows it, and the file it lies in."""
    from .desk.keys import the_token, token_file, write_token

    path = token_file()
    print(write_token(path) if new else the_token(path))
    print(path)


@app.command(epilog=_ends("engines"))
def engines() -> None:
    """The engines there are, with a line each."""
    import engines as rooms

    for name, line in rooms.names().items():
        print(f"{name:<10} {line}")


@app.command(epilog=_ends("ports"))
def ports() -> None:
    """The MIDI ports there are, or why there are none."""
    from .backstage.survey import survey

    for line in survey():
        print(line)
    print(f"{'OSC':<10} always there; --osc HOST:PORT sends everything there too")


@app.command(epilog=_ends("scenes"))
def scenes() -> None:
    """The scenes that come with Componium, with a line each."""
    _list("scenes")


@app.command(epilog=_ends("styles"))
def styles() -> None:
    """The styles there are: to play by name, or for a scene's  style = "NAME"."""
    _list("styles")


@app.command(epilog=_ends("harmony"))
def harmony() -> None:
    """The ready progressions there are, for a part's  harmony = "NAME"."""
    _list("harmony")


@app.command(epilog=_ends("moods"))
def moods() -> None:
    """The words for moods, and the maps from mood to music for a scene's  map = "NAME"."""
    from .conductor.mood import WORDS
    from .score.style import load, shipped

    for word, mood in WORDS.items():
        print(f"{word:<14} valence {mood.valence:+.1f}, arousal {mood.arousal:+.1f}")
    print("\nmaps from mood to music:")
    for name, path in shipped("moods").items():
        print(f"{name:<14} {load(path, path.parent).values.get('title', '')}")


def _list(kind: str) -> None:
    from .score.style import shipped

    for name, path in shipped(kind).items():
        print(f"{name:<14} {_about(path)}")


def _about(path: Path) -> str:
    """The first sentence of the comment that a file begins with."""
    import re
    from itertools import takewhile

    with path.open(encoding="utf-8") as file:
        lines = (line.strip() for line in file)
        comment = takewhile(lambda line: line.startswith("# ") and line[2:3] != " ", lines)
        text = " ".join(line.removeprefix("# ") for line in comment)
    sentence = re.match(r".+?\w\w\.(?=\s)", text)  # not the point after a letter of a name
    return (sentence[0] if sentence else text).strip(" :")


if __name__ == "__main__":
    main()
