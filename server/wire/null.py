"""The port that sends nowhere: the show goes on where there is no MIDI at all."""

from __future__ import annotations

from typing import Any


class NullPort:
    """Takes everything, as MIDI, and keeps nothing."""

    midi = True
    deaf = heavy = False
    trouble = ""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.connections: list[str] = []

    def open(self) -> None:
        pass

    def send(self, data: bytes) -> bool:
        return True

    def watch(self, now: int, calm: bool) -> bool:
        return False

    def flushed(self) -> bool:
        return True

    def close(self) -> None:
        pass
