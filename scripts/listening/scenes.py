"""The scenes that are listened to: shipped ones, and a style in a mood."""

from __future__ import annotations

from scripts.listening.predictor import Felt
from server.score import style
from server.score.scene import Scene, find_scene, load_scene, parse_scene

#: The nine words as valence and arousal, -1 to 1 (after Russell 1980).
WORDS = {
    "happy": Felt(0.8, 0.5),
    "excited": Felt(0.6, 0.9),
    "angry": Felt(-0.7, 0.8),
    "tense": Felt(-0.5, 0.7),
    "neutral": Felt(0.0, 0.0),
    "sad": Felt(-0.7, -0.5),
    "tired": Felt(-0.3, -0.9),
    "calm": Felt(0.5, -0.7),
    "tender": Felt(0.6, -0.4),
}


def styles() -> list[str]:
    """The names of all shipped styles."""
    return list(style.shipped("styles"))


def shipped(name: str, seed: int) -> Scene:
    """A scene by name or path, with a seed of its own. Errors: Mistake."""
    return load_scene(find_scene(name)).with_seed(seed)


def asked(style: str, word: str, seed: int) -> Scene:
    """A style in the mood of a word from its first bar on. Errors: Mistake."""
    text = f'style = "{style}"\n[mood]\nstart = "{word}"\n[themes.theme]\nbars = 8\n'
    return parse_scene(text, f"{style}-{word}").with_seed(seed)


def named(name: str, seed: int) -> Scene:
    """A shipped scene by its name, or a style in a mood as `STYLE:WORD`. Errors: Mistake."""
    style, colon, word = name.partition(":")
    return asked(style, word, seed) if colon else shipped(name, seed)
