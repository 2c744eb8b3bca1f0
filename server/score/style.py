"""What scenes take from files they share: a style's ensemble, and ready progressions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from engines.base import Mistake, unknown
from server.conductor.harmony import measured

from . import script
from .table import Text, in_file, parse, plainly

LARGEST = 1 << 20  # bytes of a file
#: Tables of tables: what a scene says of one of them is laid over what the style says of it.
NESTED = ("parts", "form", "transitions", "themes", "stingers", "mood", "controls", "outputs")

_MAIN = Path(__file__).resolve().parents[1]


def folder(kind: str) -> Path:
    """Where shipped files of a kind ("styles", "harmony") are, in a checkout or installed."""
    installed = _MAIN / "config" / kind
    return installed if installed.is_dir() else _MAIN.parent / "config" / kind


def shipped(kind: str) -> dict[str, Path]:
    """Every shipped file of a kind by its name."""
    return {path.stem: path for path in sorted(folder(kind).glob("*.toml"))}


_KINDS = {"styles": "style", "harmony": "progression"}  # as people call one of them


def find(kind: str, name: str, base: Path) -> Path:
    """The file of that name: a shipped one, or a path from the folder `base`. Errors: Mistake."""
    there = shipped(kind)
    if name in there:
        return there[name]
    for path in (base / name, base / f"{name}.toml"):
        if path.is_file():
            return path
    raise Mistake("", f"{unknown(_KINDS.get(kind, kind), name, there)}, or give a path")


class Shared(NamedTuple):
    """A file that scenes share. name: as its mistakes call it."""

    name: str
    text: str
    values: dict[str, Any]


def load(path: Path, base: Path) -> Shared:
    """Read a file that a scene in the folder `base` shares. Errors: Mistake, which names it."""
    name = (
        path.name if path.parent.resolve() == base.resolve() else f"{path.parent.name}/{path.name}"
    )
    try:
        if path.stat().st_size > LARGEST:
            raise Mistake("", f"larger than {LARGEST} bytes")
        text = path.read_text(encoding="utf-8-sig")
        script.read(text)
        return Shared(name, text, parse(text))
    except (OSError, UnicodeDecodeError) as error:
        raise in_file(name, Mistake("", f"cannot be read: {plainly(error)}")) from None
    except Mistake as mistake:
        raise in_file(name, mistake) from None


def is_style(path: Path) -> bool:
    """Whether a file can be a style: it has parts, and no style of its own.

    One that cannot be read may be: whoever asks for it is told what is wrong.
    """
    try:
        values = load(path, path.parent).values
    except Mistake:
        return True
    return "parts" in values and "style" not in values


def styled(scene: Mapping[str, Any], style: Mapping[str, Any]) -> dict[str, Any]:
    """A scene's tables over its style's: the scene's word counts, key by key.

    A part of the style that the scene sets to false is left out. Where the scene orders its form
    itself its own sections come first, the style's after them.
    """
    merged = _over(style, scene, 0)
    form, own = merged.get("form"), scene.get("form")
    if isinstance(form, dict) and isinstance(own, dict) and {"plan", "engine"} & set(own):
        there, first = form.get("sections"), own.get("sections")
        if isinstance(there, dict) and isinstance(first, dict):
            sections = {name: there[name] for name in [*first, *there]}
            merged["form"] = {**form, "sections": sections}
    parts = merged.get("parts")
    if isinstance(parts, dict):
        merged["parts"] = {name: part for name, part in parts.items() if part is not False}
    return merged


def _over(below: Mapping[str, Any], above: Mapping[str, Any], depth: int) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        nested = depth > 0 or key in NESTED
        if nested and depth < 4 and isinstance(old, dict) and isinstance(value, dict):
            merged[key] = _over(old, value, depth + 1)
        else:
            merged[key] = value
    return merged


def progression(name: str, base: Path, bar: Fraction, place: str) -> tuple[dict[str, Any], Text]:
    """The keys of a part that plays a ready progression, for bars of so many quarter notes.

    place: the part's, for which the text is then a source.  Errors: Mistake.
    """
    shared = load(find("harmony", name, base), base)
    keys = {key: value for key, value in shared.values.items() if key != "title"}
    text = Text(shared.name, shared.text, place, exact=bar == 4)
    if bar == 4:
        return keys, text
    return {key: _measured(value, bar) for key, value in keys.items()}, text


def _measured(value: Any, bar: Fraction) -> Any:
    if isinstance(value, str):
        return measured(value, bar)
    if isinstance(value, dict):
        return {key: _measured(each, bar) for key, each in value.items()}
    return value
