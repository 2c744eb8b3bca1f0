"""Where this user's things lie, and what is shipped."""

from __future__ import annotations

import os
import shlex
import sys
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


def adding(extra: str) -> str:
    """The command that adds an extra, such as "mqtt", to the Componium that runs."""
    root = Path(__file__).resolve().parents[2]
    whole = (root / "pyproject.toml").is_file()
    what = ["-e", f"{root}[{extra}]"] if whole else [f"componium[{extra}]"]
    return shlex.join([sys.executable, "-m", "pip", "install", *what])


def config_file() -> Path:
    """The file of settings: the one that COMPONIUM_CONFIG names, or the platform's."""
    from platformdirs import user_config_path

    named = os.environ.get(CONFIG, "")
    if named:
        return Path(named)
    return user_config_path("componium", appauthor=False) / "config.toml"
