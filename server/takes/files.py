"""Files that a performance can be kept as, by the ending of their name."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import wave
from array import array
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Protocol

from engines.base import Mistake
from server.concert.journal import Entry, Played, Pressed, Programmed, Said, Turned
from server.ensemble.part import PartSpec
from server.score.scene import Scene

from .abc import abc
from .musicxml import musicxml
from .notation import Copyist
from .recorder import Take
from .roll import Picture, draw

#: First bytes by ending: a file that begins otherwise is another kind of thing.
BEGINS = {
    ".mid": b"MThd", ".midi": b"MThd", ".musicxml": b"<?xml", ".xml": b"<?xml", ".abc": b"%abc",
    ".svg": b"<svg", ".png": b"\x89PNG", ".wav": b"RIFF",
}  # fmt: skip
NEEDS = {".wav": ("fluidsynth", "fluidsynth"), ".png": ("rsvg-convert", "librsvg2-bin")}
FONTS = (
    *("/usr/share/sounds/sf2", "/usr/share/soundfonts", "/usr/local/share/soundfonts"),
    *("/opt/homebrew/share/soundfonts", "/usr/local/share/fluidsynth"),
)
USUAL = ("default-GM.sf2", "FluidR3_GM.sf2", "TimGM6mb.sf2")  # best first
RATE = 48_000  # Hz of a sound file
GAIN, LOUDEST_GAIN = 0.1, 10.0  # of fluidsynth: one that never clips, and the most there is
PEAK = 0.89  # of full scale, a decibel below it
LONGEST = 3600.0  # s that another program may take


class Keeper(Protocol):
    """A journal listener that has a file's bytes in the end."""

    def begin(self, scene: Scene) -> None:
        """Another scene is there, the first one too."""

    def __call__(self, entry: Entry) -> None: ...

    def file(self) -> bytes:
        """The whole file. Errors: Mistake where another program fails at it."""


def keeper(
    out: Path, version: str, only: Container[str] | None = None, font: Path | None = None
) -> Keeper:
    """Who keeps a file of that name. only: the parts that are wanted.  font: for `.wav`.

    Errors: Mistake where nobody knows the ending, or where what it needs is not there.
    """
    kind = out.suffix.lower()
    if kind not in BEGINS:
        raise Mistake("-o", f"{out.name}: expected a name that ends with {', '.join(BEGINS)}")
    for program, package in [NEEDS[kind]] if kind in NEEDS else []:
        if shutil.which(program) is None:
            raise Mistake("-o", f"{out.name} needs {program}; do: apt install {package}")
    if kind == ".wav":
        return _Sounding(version, only, found_font(font))
    if kind in (".mid", ".midi"):
        return _Midi(version, only)
    return _Copied(kind, version, only)


def found_font(font: Path | None) -> Path:
    """The sound font asked for, or the best of those that are installed. Errors: Mistake."""
    if font is not None:
        if not font.is_file():
            raise Mistake("--font", f"there is no file {font}")
        return font
    there = [path for folder in FONTS for path in sorted(Path(folder).glob("*.sf[23]"))]
    if not there:
        cure = "do: apt install fluid-soundfont-gm, or name one with --font FILE.sf2"
        raise Mistake("-o", f"a sound file needs a sound font; {cure}")
    return min(there, key=lambda path: USUAL.index(path.name) if path.name in USUAL else 99)


class _Midi:
    def __init__(self, version: str, only: Container[str] | None) -> None:
        self._version, self._only = version, only
        self._take: Take | None = None

    def begin(self, scene: Scene) -> None:
        if self._take is None:
            self._take = Take(scene.seed, self._version)
        self._take.begin(each for each in scene.ensemble if _wanted(each.name, self._only))

    def __call__(self, entry: Entry) -> None:
        if self._take is not None and _wanted(_part(entry), self._only):
            self._take.add(entry)

    def file(self) -> bytes:
        return self._take.file() if self._take is not None else b""


def _part(entry: Entry) -> str:
    """Whose entry it is; "" where it is everybody's."""
    if isinstance(entry, Played | Pressed):
        return entry.note.part
    return entry.part if isinstance(entry, Turned | Programmed | Said) else ""


def _wanted(part: str, only: Container[str] | None) -> bool:
    return only is None or not part or part in only


class _Sounding(_Midi):
    def __init__(self, version: str, only: Container[str] | None, font: Path) -> None:
        super().__init__(version, only)
        self._font = font

    def file(self) -> bytes:
        """The sound file; its loudest sample is at PEAK.

        Law: fluidsynth's output goes with its gain, so the second time is as loud as it can be.
        """
        data = super().file()

        def sound(folder: Path, gain: float) -> list[str]:
            (folder / "take.mid").write_bytes(data)
            out = (
                "-F",
                str(folder / "out"),
                "-r",
                str(RATE),
                "-T",
                "wav",
                "-q",
                "-g",
                f"{gain:.4f}",
            )
            return ["fluidsynth", "-ni", *out, str(self._font), str(folder / "take.mid")]

        quiet = made(lambda folder: sound(folder, GAIN))
        peak = loudest(quiet)
        if not peak:
            return quiet
        gain = min(GAIN * PEAK / peak, LOUDEST_GAIN)
        return made(lambda folder: sound(folder, gain))


def loudest(wav: bytes) -> float:
    """The largest sample of a sound file of 16 bits, 0 to 1."""
    with wave.open(io.BytesIO(wav)) as file:
        peak = 0
        while frames := file.readframes(1 << 16):
            samples = array("h", frames)
            if sys.byteorder == "big":
                samples.byteswap()
            peak = max(peak, max(samples), -min(samples))
    return peak / 32768


def made(command: Callable[[Path], list[str]]) -> bytes:
    """What another program makes of a command that writes `out` in a folder. Errors: Mistake."""
    with tempfile.TemporaryDirectory() as name:
        words = command(Path(name))
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=LONGEST,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Mistake("-o", f"{words[0]} failed: {error}") from None
        made = Path(name) / "out"
        if done.returncode or not made.is_file():
            said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
            raise Mistake("-o", f"{words[0]} failed: {said[-1]}")
        return made.read_bytes()


class _Copied:
    """Scores and pictures."""

    def __init__(self, kind: str, version: str, only: Container[str] | None) -> None:
        self._kind, self._version, self._copy = kind, version, Copyist(only)
        self._scene: Scene | None = None
        self._parts: dict[str, PartSpec] = {}

    def begin(self, scene: Scene) -> None:
        self._scene = self._scene or scene
        self._parts |= {spec.name: spec for spec in self._all(scene.ensemble)}

    def _all(self, specs: Iterable[PartSpec]) -> Iterable[PartSpec]:
        return (spec for spec in specs if spec.name not in self._parts)

    def __call__(self, entry: Entry) -> None:
        self._copy(entry)

    def file(self) -> bytes:
        scene, parts = self._scene, self._parts.values()
        title = scene.title if scene is not None else ""
        if self._kind in (".svg", ".png"):
            phrase = scene.phrase if scene is not None else 4
            svg = draw(Picture.of(self._copy, title, parts, phrase)).encode()
            return svg if self._kind == ".svg" else made(lambda folder: _drawn(folder, svg))
        about = f"scene {scene.name}, seed {scene.seed}" if scene is not None else ""
        score = self._copy.manuscript(title, about, parts)
        return (abc if self._kind == ".abc" else musicxml)(score, self._version)


def _drawn(folder: Path, svg: bytes) -> list[str]:
    (folder / "in.svg").write_bytes(svg)
    return ["rsvg-convert", "-o", str(folder / "out"), str(folder / "in.svg")]
