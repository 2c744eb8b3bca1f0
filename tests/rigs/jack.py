"""A private JACK server, in a mount namespace of its own, that can be stopped and killed.

Each has its own /dev/shm: a shared one holds eight servers, and killed ones leak their place.
Synchronous (`-S`), because in its default mode a busy server itself loses MIDI events.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
_TOOLS = (
    "jackd",
    "jack_wait",
    "jack_lsp",
    "jack_connect",
    "jack_disconnect",
    "unshare",
    "nsenter",
    "setpriv",
)


class JackServer:
    """Use as a context manager; the server runs inside it, and everything ends with it.

    pid: the server's process.  Errors: RuntimeError where the machine cannot do this.
    """

    def __init__(self, folder: Path, period: int = 64) -> None:
        missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
        if missing:
            raise RuntimeError(f"apt install jackd2 util-linux; missing: {', '.join(missing)}")
        self.folder, self.period = folder, period
        self._server: subprocess.Popen[bytes] | None = None
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        script = "mount -t tmpfs -o size=512m tmpfs /dev/shm && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", *user, "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE,  # it ends with us, however we end
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        if said != b"ready\n":
            self._holder.kill()
            self._holder.wait()
            raise RuntimeError(f"no private /dev/shm here: {said.decode().strip()}")
        self._prefix = ["nsenter", "--target", str(self._holder.pid), *user[:1], "--mount"]
        if user:
            self._prefix.append("--preserve-credentials")
        self._prefix.append(f"--wd={ROOT}")

    @property
    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def __enter__(self) -> JackServer:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None and self._server.poll() is None:
            self.kill()
        self._holder.kill()
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            assert pipe is not None
            pipe.close()

    def popen(
        self, command: Sequence[str], pipes: bool = True, log: str = ""
    ) -> subprocess.Popen[str]:
        """Start a command beside the server: text pipes to and from it, errors to a log."""
        environment = {**os.environ, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
        with (self.folder / (log or "errors.log")).open("a") as errors:
            return subprocess.Popen(
                [*self._prefix, *command],
                env=environment,
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stderr=errors,
                text=True,
            )

    def python(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a module of ours beside the server."""
        return self.popen([sys.executable, "-m", module, *arguments], log=f"{module}.log")

    def run(self, *command: str) -> str:
        """What a short command beside the server prints."""
        done = subprocess.run(
            [*self._prefix, *command],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
            env={**os.environ, "JACK_NO_START_SERVER": "1"},
        )
        return done.stdout

    def start(self) -> None:
        """Start the server, again after `kill`. Errors: RuntimeError where it does not come up."""
        for realtime in (["-R"], ["--no-realtime"]):
            command = ["setpriv", "--pdeathsig", "KILL", "jackd", *realtime, "-S"]
            command += ["-d", "dummy", "-r", "48000"]
            with (self.folder / "jackd.log").open("a") as log:
                self._server = subprocess.Popen(
                    [*self._prefix, *command, "-p", str(self.period)],
                    env={**os.environ, "JACK_NO_AUDIO_RESERVATION": "1"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            if "available" in self.run("jack_wait", "-w", "-t", "5"):
                return
            self.kill()
        said = (self.folder / "jackd.log").read_text()[-800:]
        raise RuntimeError(f"jackd does not start: {said}")

    def kill(self) -> None:
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def ports(self) -> list[str]:
        return self.run("jack_lsp").splitlines()  # names may have blanks in them

    def connect(self, source: str, destination: str, patience: float = 3.0) -> None:
        """Plug the cable, as soon as both ends are there. Errors: TimeoutError."""
        limit = time.monotonic() + patience
        while not {source, destination} <= set(self.ports()):
            if time.monotonic() > limit:
                raise TimeoutError(f"{source} and {destination} are not both in {self.ports()}")
            time.sleep(0.02)
        self.run("jack_connect", source, destination)

    def disconnect(self, source: str, destination: str) -> None:
        self.run("jack_disconnect", source, destination)
