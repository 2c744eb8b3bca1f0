"""A planner that only listens: `python -m tests.rigs.hearer SETTINGS` beside a JACK server.

SETTINGS is JSON, an input's; a line of JSON is printed for every state, every
loss and every message, with the time at which it was known here.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from queue import Empty, Queue
from typing import Any

from server.stage import Loop
from server.wire.ears import Ears
from server.wire.protocol import Heard
from tests.rigs.jack import JackServer


class Hearer:
    """The test sees the process like this. said: every line so far, newest last."""

    def __init__(self, jack: JackServer, **settings: Any) -> None:
        asked = json.dumps({"port": 0, "client": "Componium", "title": "keys", **settings})
        self._process = jack.python("tests.rigs.hearer", asked)
        self.said: list[dict[str, Any]] = []
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def wait(self, kind: str, patience: float = 5.0, **values: Any) -> dict[str, Any]:
        """The next line of that kind and with those values. Errors: TimeoutError."""
        limit = time.monotonic() + patience
        while True:
            try:
                line = self._lines.get(timeout=max(0.01, limit - time.monotonic()))
            except Empty:
                raise TimeoutError(f"no {kind} {values}; there were {self.said[-8:]}") from None
            news: dict[str, Any] = json.loads(line)
            self.said.append(news)
            if news["kind"] == kind and all(news[key] == value for key, value in values.items()):
                return news

    def end(self) -> int:
        """End as a planner does; its exit status."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(5)


async def hear(settings: dict[str, Any]) -> None:
    def say(kind: str, **values: Any) -> None:
        print(json.dumps({"kind": kind, "at": time.monotonic_ns(), **values}), flush=True)

    def heard(what: Heard) -> None:
        say("heard", stamp=what.stamp, data=what.data.hex())

    ears = Ears(
        heard,
        lambda port, state, why: say("state", state=state, why=why, pid=ears.pid),
        lambda port, why: say("loss", why=why),
    )
    await ears.start()
    ears.open(settings)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await ears.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(hear(json.loads(sys.argv[1])))
