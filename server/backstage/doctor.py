"""What a machine lacks, and the command that mends it: `componium doctor`."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from engines.base import Mistake
from server.score.folders import adding, folders

from .settings import Reads, read_settings
from .survey import survey

State = Literal["ok", "warning", "missing"]
PYTHONS = ((3, 11), (3, 13))
NAPS, NAP = 200, 0.001
LATE = 0.002  # s: a bare timer that is later than this in 99 of 100 is no clock for music
ROOM = 200 << 20  # bytes of disk
FONTS = ("/usr/share/sounds/sf2", "/usr/share/sounds/sf3", "/usr/share/soundfonts")
CURES = {"ALSA": "sudo modprobe snd-seq", "JACK": "start jackd, or play by OSC"}
EXTRAS = {
    "mqtt": ("aiomqtt", "MQTT"),
    "announce": ("zeroconf", "being found by mDNS"),
    "link": ("link", "Ableton Link"),
}


class Finding(NamedTuple):
    """One thing looked at. cure: the command or step that mends it, "" where nothing is amiss."""

    what: str
    state: State
    said: str
    cure: str = ""


def examine(options: Mapping[str, Reads], control: int, http: int) -> Iterator[Finding]:
    """Look at everything, one after another.

    options: what `play` takes, as of `read_settings`.  control, http: the ports it will want.
    """
    for look in (_python, _midi, _timer, _priority, _sound, _pictures, _extras):
        yield from look()
    yield _port("control", control, socket.SOCK_DGRAM, "--control PORT")
    yield _port("http", http, socket.SOCK_STREAM, "--http PORT")
    yield from _settings(options)
    logs = folders()["logs"]
    yield _disk(next(each for each in (logs, *logs.parents) if each.is_dir()))


def _python() -> Iterator[Finding]:
    here = sys.version_info[:2]
    said = f"Python {here[0]}.{here[1]}"
    if PYTHONS[0] <= here <= PYTHONS[1]:
        yield Finding("python", "ok", said)
    else:
        yield Finding("python", "warning", f"{said}; 3.11 to 3.13 are tried", "use Python 3.12")


def _midi() -> Iterator[Finding]:
    lines = list(survey())
    systems = [line for line in lines if not line.startswith(" ")]
    answering = [line.split()[0] for line in systems if "answers" in line]
    for line in systems:
        name, _, said = line.partition(" ")
        fine = bool(answering)  # one is enough
        cure = "" if fine else CURES.get(name, "restart the computer")
        yield Finding(name.lower(), "ok" if fine else "warning", said.strip(), cure)
    number = len(lines) - len(systems)
    cure = "connect a device, or play with --midi virtual" if answering else "mend the above first"
    state: State = "ok" if number else "warning"
    yield Finding("ports", state, f"{number} MIDI ports", "" if number else cure)


def _timer() -> Iterator[Finding]:
    step = time.get_clock_info("monotonic").resolution
    state: State = "ok" if step <= 1e-6 else "warning"
    yield Finding("clock", state, f"monotonic, in steps of {step * 1e9:g} ns")
    late = []
    for _ in range(NAPS):
        until = time.monotonic() + NAP
        time.sleep(NAP)
        late.append(time.monotonic() - until)
    worst = sorted(late)[NAPS * 99 // 100]
    said = f"99 of 100 sleeps end within {worst * 1e6:.0f} µs of their time"
    cure = "" if worst <= LATE else "end what keeps the processor busy; on a laptop plug it in"
    yield Finding("timer", "ok" if worst <= LATE else "warning", said, cure)


def _priority() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    import resource

    soft = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if soft != 0 or os.geteuid() == 0:
        yield Finding("priority", "ok", "real-time priority may be asked for")
        return
    cure = (
        "printf '@audio - rtprio 95\\n@audio - nice -11\\n' | "
        "sudo tee /etc/security/limits.d/audio.conf; "
        "sudo usermod -aG audio $USER; then log in again"
    )
    yield Finding("priority", "warning", "no real-time priority; good on a quiet machine", cure)


def _sound() -> Iterator[Finding]:
    player = shutil.which("fluidsynth")
    install = "brew install fluid-synth" if sys.platform == "darwin" else "sudo apt install"
    if player:
        yield Finding("fluidsynth", "ok", player)
    else:
        cure = install if sys.platform == "darwin" else f"{install} fluidsynth"
        yield Finding("fluidsynth", "warning", "not here: no software synth to listen with", cure)
    fonts = [font for folder in FONTS for font in Path(folder).glob("*.sf[23]")]
    if fonts:
        yield Finding("soundfont", "ok", str(sorted(fonts)[0]))
    elif sys.platform == "linux":
        cure = f"{install} fluid-soundfont-gm"
        yield Finding("soundfont", "warning", "none in the usual folders", cure)


def _pictures() -> Iterator[Finding]:
    drawer = shutil.which("rsvg-convert")
    if drawer:
        yield Finding("pictures", "ok", drawer)
    else:
        mac = sys.platform == "darwin"
        cure = "brew install librsvg" if mac else "sudo apt install librsvg2-bin"
        yield Finding("pictures", "warning", "no rsvg-convert: piano rolls as SVG only", cure)


def _extras() -> Iterator[Finding]:
    for extra, (module, what) in EXTRAS.items():
        if find_spec(module) is not None:
            yield Finding(extra, "ok", f"{what}: installed")
        else:
            yield Finding(extra, "warning", f"{what}: not installed", adding(extra))


def _port(what: str, port: int, kind: socket.SocketKind, option: str) -> Finding:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            cure = f"end the Componium that plays, or play with {option}"
            return Finding(what, "warning", f"port {port}: {error.strerror}", cure)
    return Finding(what, "ok", f"port {port} is free")


def _settings(options: Mapping[str, Reads]) -> Iterator[Finding]:
    there = folders()
    path = there["settings"]
    try:
        read_settings(path, options)
    except Mistake as mistake:
        yield Finding("settings", "missing", str(mistake), f"mend {path}")
    else:
        yield Finding("settings", "ok", f"{path}{'' if path.exists() else ' (none; defaults)'}")
    token = there["token"]
    mode = 0
    with suppress(OSError):
        mode = stat.S_IMODE(token.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        yield Finding("token", "missing", f"others can read {token}", f"chmod 600 {token}")
        return
    folder = next(each for each in token.parents if each.exists())
    if os.access(folder, os.W_OK):
        yield Finding("token", "ok", f"{token}{'' if token.exists() else ' (made when needed)'}")
    else:
        cure = f"sudo chown $USER {folder}"
        yield Finding("token", "missing", f"{folder} cannot be written", cure)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    said = f"{free >> 20:,} MiB free in {folder}"
    if free >= ROOM and os.access(folder, os.W_OK):
        return Finding("disk", "ok", said)
    if free < ROOM:
        return Finding("disk", "warning", said, "make room: takes and logs are kept there")
    return Finding("disk", "warning", f"{folder} cannot be written", "go to a folder of your own")


def as_line(finding: Finding) -> str:
    """A finding as people read it."""
    cure = f"\n{'':<22}-> {finding.cure}" if finding.cure else ""
    return f"{finding.what:<11}{finding.state:<10} {finding.said}{cure}"
