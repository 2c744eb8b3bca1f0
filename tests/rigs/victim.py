"""The planner process as a test sees it: its news, and what can be done to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from typing import Any


class Victim:
    """Wraps a running `tests.rigs.planner`. Times are seconds."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.news: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.news.append(json.loads(line))
                self._changed.notify_all()

    def wait_for(self, patience: float = 5.0, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The first piece of news after monotonic ns `since` with these values."""

        def found() -> dict[str, Any] | None:
            for news in self.news:
                if news["at"] >= since and wanted.items() <= news.items():
                    return news
            return None

        with self._changed:
            self._changed.wait_for(lambda: found() is not None, patience)
            news = found()
        if news is None:
            raise TimeoutError(f"{wanted} did not happen; this did: {self.news}")
        return news

    def wire(self, kind: str) -> int:
        """The pid of its wire process just now."""
        pids = [news for news in self.news if news["what"] == "pids"]
        return int(pids[-1][kind])

    def kill(self) -> int:
        """SIGKILL; the time of it, in monotonic ns."""
        at = time.monotonic_ns()
        self.process.kill()
        self.process.wait()
        self._reader.join()
        return at

    def stop(self) -> int:
        at = time.monotonic_ns()
        os.kill(self.process.pid, signal.SIGSTOP)
        return at

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self, patience: float = 3.0) -> float:
        """SIGTERM; how many seconds it took to end."""
        at = time.monotonic()
        self.process.terminate()
        self.process.wait(patience)
        self._reader.join()
        return time.monotonic() - at
