"""What the commands have in common: how they complain, how they end, what several of them take."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from engines.base import Mistake

if TYPE_CHECKING:
    from ..score.scene import Scene

UNWELL = 1  # exit status of `doctor` where something must be mended
WRONG = 2  # exit status for mistakes in arguments or files
INTERRUPTED = 130
UNREAD = 141  # as of any program whose lines nobody reads any more: 128 + SIGPIPE


Done = TypeVar("Done", bound=Callable[..., Any])  # what a command does


class Unwell(Exception):  # noqa: N818
    """Something must be mended."""


class Command(TyperCommand):
    """One whose usage is written as in manuals: SCENE is needed, [SCENE] is not."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [piece.replace("{", "").replace("}", "") for piece in pieces]


class Family(typer.Typer):
    """Commands that belong together."""

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Done], Done]:
        return super().command(*args, cls=Command, **kwargs)


def ends(*examples: str, more: str = "") -> str:
    """What a command's help ends with: examples, and its exit status."""
    status = (
        f"Exit status: 0 done, {f'{more}, ' if more else ''}2 for a mistake in arguments or files."
    )
    return "\n\n".join(["Examples:", *(f"componium {each}" for each in examples), status])


def offer(what: str) -> Callable[[str], list[str]]:
    """What a shell offers; `completion` is loaded only where a shell asks."""

    def offered(incomplete: str) -> list[str]:
        from .. import completion

        found: list[str] = getattr(completion, what)(incomplete)
        return found

    return offered


def offer_behind(what: str) -> Callable[[typer.Context, str], list[str]]:
    """What a shell offers behind the arguments that stand there already."""

    def offered(ctx: typer.Context, incomplete: str) -> list[str]:
        from .. import completion

        # Where the option itself waits for its value, nothing has been read yet.
        stand = {key: value for key, value in ctx.params.items() if value is not None}
        scene = next((word for word in ctx.args if not word.startswith("-")), "")
        found: list[str] = getattr(completion, what)(incomplete, {"scene": scene} | stand)
        return found

    return offered


SceneArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCENE",
        help="A scene file, or the name of a shipped scene or style.",
        autocompletion=offer("scenes"),
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", min=0, help="Another seed: other music, same style."),
]


def complain(line: str) -> None:
    """Say what is wrong, at once, where it does not mix with what was asked for."""
    print(f"componium: {line}", file=sys.stderr, flush=True)


def each_of(mistake: Mistake) -> tuple[Mistake, ...]:
    """The mistakes that are told one by one."""
    from ..score.table import Mistakes

    return mistake.each if isinstance(mistake, Mistakes) else (mistake,)


def version() -> str:
    """The version that is installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("componium")
    except PackageNotFoundError:
        return "(not installed)"


def choose(
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

    from ..score.scene import find_scene, load_scene, routed

    scene = routed(load_scene(find_scene(name)), midi, osc, why, midi_in)
    if seed is not None:
        if seed >= 2**63:
            raise Mistake("--seed", f"expected a number below 2^63, got {seed}")
        scene = scene.with_seed(seed)
    if tempo is not None:
        scene = replace(scene, tempo=tempo, tempo_asked=True)
    return scene


def write(out: Path, data: bytes, private: bool = False) -> None:
    """Write the file that a command was asked for. private: as of `save`. Errors: Mistake."""
    from ..takes.recorder import save

    try:
        save(out, data, private=private)
    except OSError as error:
        raise Mistake("-o", f"{out} cannot be written: {error.strerror}") from None
