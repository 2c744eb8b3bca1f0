"""`engines`, `ports`, `scenes`, `styles`, `harmony`, `moods`: what there is, with a line each."""

from __future__ import annotations

from pathlib import Path

from .manners import Family, ends

commands = Family()


@commands.command(epilog=ends("engines"))
def engines() -> None:
    """The engines there are, with a line each."""
    import engines as rooms

    for name, line in rooms.names().items():
        print(f"{name:<10} {line}")


@commands.command(epilog=ends("ports"))
def ports() -> None:
    """The MIDI ports there are, or why there are none."""
    from ..backstage.survey import survey

    for line in survey():
        print(line)
    print(f"{'OSC':<10} always there; --osc HOST:PORT sends everything there too")


@commands.command(epilog=ends("scenes"))
def scenes() -> None:
    """The scenes that come with Componium, with a line each."""
    _list("scenes")


@commands.command(epilog=ends("styles"))
def styles() -> None:
    """The styles there are: to play by name, or for a scene's  style = "NAME"."""
    _list("styles")


@commands.command(epilog=ends("harmony"))
def harmony() -> None:
    """The ready progressions there are, for a part's  harmony = "NAME"."""
    _list("harmony")


@commands.command(epilog=ends("moods"))
def moods() -> None:
    """The words for moods, and the maps from mood to music for a scene's  map = "NAME"."""
    from ..conductor.mood import WORDS
    from ..score.style import load, shipped

    for word, mood in WORDS.items():
        print(f"{word:<14} valence {mood.valence:+.1f}, arousal {mood.arousal:+.1f}")
    print("\nmaps from mood to music:")
    for name, path in shipped("moods").items():
        print(f"{name:<14} {load(path, path.parent).values.get('title', '')}")


def _list(kind: str) -> None:
    from ..score.style import shipped

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
