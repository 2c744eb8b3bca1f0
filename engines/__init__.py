"""Engines by the name a scene calls them. Adding one is one file and one line here.

Engines of other packages are found by their entry points. Ours are not declared as such: they
are here in a checkout that nobody has installed, one line each, and nobody can take their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: name -> (module, class, one line for `componium engines`)
REGISTRY: dict[str, tuple[str, str, str]] = {
    "grammar": ("engines.grammar", "Grammar", "context-free rules with weights, derived leftmost"),
    "lsystem": ("engines.lsystem", "LSystem", "rules applied everywhere at once (Lindenmayer)"),
    "markov": ("engines.markov", "Markov", "variable-order chains learnt from tunes or text"),
    "theme": ("engines.theme", "ThemeEngine", "states a theme and develops it, phrase by phrase"),
    "continuator": ("engines.continuator", "Continuator", "answers a player in their own style"),
    "follow": ("engines.follow", "Follow", "the chords that a player holds lead the harmony"),
    "performer": ("engines.performer", "Performer", "raw gestures played in key and in time"),
}

GROUP = "componium.engines"


def names() -> dict[str, str]:
    """Every engine that can be used here, with a line each; installed packages included."""
    found = {name: line for name, (_, _, line) in REGISTRY.items()}
    for point in _installed():
        found.setdefault(point.name, f"from {point.value}")
    return found


def engine_class(name: str) -> Any:
    """The class of an engine, imported when first asked for.

    Errors: KeyError where no engine has that name.
    """
    if name in REGISTRY:
        module, attribute, _ = REGISTRY[name]
        return getattr(import_module(module), attribute)
    for point in _installed():
        if point.name == name:
            return point.load()
    raise KeyError(name)


def _installed() -> Any:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return entry_points(group=GROUP)
