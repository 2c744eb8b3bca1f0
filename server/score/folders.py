"""Where this user's things lie, and what is shipped."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG = "COMPONIUM_CONFIG"


def folders() -> dict[str, Path]:
    """Where this user's things lie, by what they are."""
    from platformdirs import user_config_path, user_state_path

    config = user_config_path("componium", appauthor=False)
    return {
        "settings": config_file(),
        "token": config / "token",
        "mappings": config / "mappings.json",
        "logs": user_state_path("componium", appauthor=False) / "logs",
        "scenes": config / "scenes",
        "states": user_state_path("componium", appauthor=False) / "states",
        "shipped": Path(__file__).resolve().parents[2] / "config",
    }


def config_file() -> Path:
    """The file of settings: the one that COMPONIUM_CONFIG names, or the platform's."""
    from platformdirs import user_config_path

    named = os.environ.get(CONFIG, "")
    if named:
        return Path(named)
    return user_config_path("componium", appauthor=False) / "config.toml"
