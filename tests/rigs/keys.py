"""A player at a keyboard: a process that sends MIDI to a JACK server.

`python -m tests.rigs.keys NAME` opens the JACK output NAME:out; each line of hexadecimal on its
standard input is sent, and answered with the monotonic nanoseconds just before. It shares no code
with what it plays.
"""

from __future__ import annotations

import subprocess
import sys
import time

from tests.rigs.jack import JackServer


class Keys:
    """The test sees the process like this. `port` is what to connect from."""

    def __init__(self, jack: JackServer, name: str = "keys") -> None:
        self.port = f"{name}:out"
        self._process: subprocess.Popen[str] = jack.python("tests.rigs.keys", name)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the keyboard does not start")

    def play(self, data: str) -> int:
        """Send one message, written in hexadecimal; when."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{data}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill(self) -> None:
        """As when its cable is pulled."""
        self._process.kill()
        self._process.communicate()


def main(name: str) -> None:
    import rtmidi

    port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=name)
    port.open_virtual_port("out")
    print("ready", flush=True)
    for line in sys.stdin:
        sent = time.monotonic_ns()
        port.send_message(bytes.fromhex(line))
        print(sent, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
