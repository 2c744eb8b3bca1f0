"""What rendered scenes sound like: through fluidsynth to samples, and measures on those."""

from __future__ import annotations

import asyncio
import io
import shutil
import subprocess
import wave
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import mido
import numpy as np

from engines.base import Mistake
from scripts.listening import scenes
from scripts.listening.corpus import WORKERS
from scripts.listening.figures import spearman
from scripts.listening.sound import RATE, Place, Samples, Sound, measured, place
from server.band.baton import Baton
from server.concert.clock import JumpClock
from server.concert.journal import Entry, Marked
from server.concert.player import Player
from server.errands import STRIDE
from server.score.scene import Scene
from server.takes.recorder import Take

FONTS = Path("/usr/share/sounds/sf2")
USUAL = "TimGM6mb.sf2"  # Debian: timgm6mb-soundfont
GAIN = 0.2  # fluidsynth's own
SHORTEST = 1.0  # seconds of a section that is measured
COLUMNS = "loudness, LUFS | peak, dB | crest, dB | centroid, Hz | left - right, dB"


class Heard(NamedTuple):
    """A scene in a word: the mix, sections by number and name, and each part in the mix."""

    mix: Sound
    sections: Sequence[tuple[str, Sound]]
    places: Mapping[str, Place]


def soundfont(named: Path | None) -> Path:
    """The soundfont named, or the usual one, or any there is. Errors: Mistake."""
    if named is not None:
        if not named.is_file():
            raise Mistake(str(named), "there is no such soundfont")
        return named
    usual = FONTS / USUAL
    fonts = [usual] if usual.is_file() else sorted(FONTS.glob("*.sf2"))
    if not fonts:
        raise Mistake(
            str(FONTS), "there is no soundfont; Debian has one in timgm6mb-soundfont, or name one"
        )
    return fonts[0]


def take(scene: Scene, word: str, bars: int) -> tuple[bytes, list[tuple[float, str]]]:
    """So many bars of a scene in a mood as a MIDI file, and its sections: (seconds, name)."""
    player = Player(JumpClock(), horizon=STRIDE, look=STRIDE)
    kept = Take(scene.seed, "listening")
    kept.begin(scene.ensemble)
    sections: list[tuple[float, str]] = []

    def listen(entry: Entry) -> None:
        kept.add(entry)
        if isinstance(entry, Marked) and entry.kind == "section":
            sections.append((entry.moment.seconds, entry.name))

    player.journal.add(listen)
    player.cue(scene)
    if word:
        Baton(player).emotion(word)
    player.play(end_bar=bars)
    asyncio.run(player.run())
    return kept.file(), sections


def alone(file: bytes, part: str) -> bytes:
    """The same file with the notes of one part only."""
    whole = mido.MidiFile(file=io.BytesIO(file))
    for track in whole.tracks:
        if track.name != part:
            kept, waited = [], 0
            for message in track:
                waited += message.time
                if message.type not in ("note_on", "note_off"):
                    kept.append(message.copy(time=waited))
                    waited = 0
            track[:] = kept
    out = io.BytesIO()
    whole.save(file=out)
    return out.getvalue()


def synthesised(file: bytes, font: Path, gain: float = GAIN) -> Samples:
    """A MIDI file as fluidsynth plays it, without reverb and chorus. Errors: Mistake."""
    tool = shutil.which("fluidsynth")
    if tool is None:
        raise Mistake("fluidsynth", "it is not installed (Debian: apt install fluidsynth)")
    with TemporaryDirectory() as folder:
        midi, raw = Path(folder) / "take.mid", Path(folder) / "take.raw"
        midi.write_bytes(file)
        options = ["-ni", "-R", "0", "-C", "0", "-g", str(gain), "-r", str(RATE)]
        made = subprocess.run(
            [tool, *options, "-T", "raw", "-O", "float", "-F", str(raw), str(font), str(midi)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode or not raw.is_file():
            raise Mistake("fluidsynth", made.stderr.strip()[-200:] or "it made no sound")
        return np.fromfile(raw, np.float32).astype(np.float64).reshape(-1, 2)


def keep(samples: Samples, path: Path) -> None:
    """Samples as a WAV file of 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def hear(
    scene: Scene, word: str, bars: int, font: Path, into: Path | None = None, parts: bool = False
) -> Heard:
    """Render a scene in a word and measure it.

    into: a folder for its WAV file.  parts: render each of them alone, too.
    """
    file, starts = take(scene, word, bars)
    mix = synthesised(file, font)
    if into is not None:
        keep(mix, into / f"{scene.name}{f'-{word}' if word else ''}-{scene.seed}.wav")
    names = [spec.name for spec in scene.parts] if parts else []
    places = {}
    for name in names:
        own = synthesised(alone(file, name), font)
        length = max(len(own), len(mix))
        padded = [np.pad(each, ((0, length - len(each)), (0, 0))) for each in (own, mix)]
        found = place(*padded)
        if found is not None:
            places[name] = found
    ends = [begin for begin, _ in starts[1:]] + [len(mix) / RATE]
    sections = [
        (name, measured(mix[round(begin * RATE) : round(end * RATE)]))
        for (begin, name), end in zip(starts, ends, strict=True)
        if end - begin > SHORTEST
    ]
    return Heard(measured(mix), sections, places)


# The report ---------------------------------------------------------------------------------


class _Job(NamedTuple):
    name: str
    word: str
    seed: int
    bars: int
    font: Path
    into: Path | None
    parts: bool


def _hear(job: _Job) -> Heard:
    scene = scenes.named(job.name, job.seed)
    return hear(scene, job.word, job.bars, job.font, job.into, job.parts)


def audio_report(
    names: Sequence[str],
    words: Sequence[str],
    seed: int,
    bars: int,
    font: Path | None = None,
    into: Path | None = None,
    parts: bool = False,
) -> str:
    """Tables for each scene: by word, by section in the first word, and the parts in the mix.

    Errors: Mistake where fluidsynth or a soundfont is missing.
    """
    chosen = soundfont(font)
    for name in names:
        scenes.named(name, seed)
    if into is not None:
        into.mkdir(parents=True, exist_ok=True)
    jobs = [_Job(name, word, seed, bars, chosen, into, parts) for name in names for word in words]
    with ProcessPoolExecutor(WORKERS) as pool:
        results = dict(zip(jobs, pool.map(_hear, jobs), strict=True))
    out = [f"{chosen.name}, gain {GAIN}, dry; {bars} bars, seed {seed}.\n"]
    for name in names:
        own = {job.word: heard for job, heard in results.items() if job.name == name}
        out += [f"{name}:\n", *words_table(own), "", *_sections(own), ""]
        out += [*places_table(own), ""] if parts else []
    return "\n".join(out)


def _sound(sound: Sound) -> str:
    return (
        f"{sound.loudness:.1f} | {sound.peak:.1f} | {sound.crest:.1f} | "
        f"{sound.centroid:.0f} | {sound.side:+.1f}"
    )


def words_table(own: Mapping[str, Heard]) -> list[str]:
    """The mix in each word, and how loudness and brightness go with arousal."""
    lines = [f"| word | {COLUMNS} |"]
    lines.append("| --- " * 6 + "|")
    lines += [f"| {word} | {_sound(heard.mix)} |" for word, heard in own.items()]
    if len(own) > 2:
        arousal = [scenes.WORDS[word].arousal for word in own]
        loud = spearman(arousal, [heard.mix.loudness for heard in own.values()])
        bright = spearman(arousal, [heard.mix.centroid for heard in own.values()])
        lines.append(f"| with arousal, rank correlation | {loud:.2f} | | | {bright:.2f} | |")
        mean = fmean(heard.mix.loudness for heard in own.values())
        lines.append(f"| mean | {mean:.1f} | | | | |")
    return lines


def places_table(own: Mapping[str, Heard]) -> list[str]:
    """How each part lies in the mix."""
    lines = [
        "dB below the mix while it sounds, and how much of that time it is heard:\n",
        f"| part | {' | '.join(own)} |",
        "| --- " * (len(own) + 1) + "|",
    ]
    for part in dict.fromkeys(part for heard in own.values() for part in heard.places):
        found = [heard.places.get(part) for heard in own.values()]
        cells = ["" if each is None else f"{each.below:.0f}, {each.clear:.0%}" for each in found]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return lines


def _sections(own: Mapping[str, Heard]) -> list[str]:
    word, heard = next(iter(own.items()))
    lines = [f"Sections in {word or 'the mood it begins with'}:\n"]
    lines.append(f"| section | {COLUMNS} |")
    lines.append("| --- " * 6 + "|")
    return lines + [f"| {name} | {_sound(sound)} |" for name, sound in heard.sections]
