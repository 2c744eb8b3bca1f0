"""End to end with real synths: what is written is heard, at the moment it was written for."""

from __future__ import annotations

import array
import select
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import mido
import pytest

from scripts.benches.ear import Ear, balance
from scripts.benches.show import Show
from server.ensemble.encode import osc_message
from server.takes.files import loudest
from tests.rigs.jack import ROOT, JackServer
from tests.rigs.need import need

pytestmark = pytest.mark.real
SOUNDFONTS = Path("/usr/share/sounds/sf2")
MS = 1_000_000


def rendered(scene: Path, bars: int) -> Path:
    """The scene as a MIDI file, by the command that a user has."""
    target = scene.with_suffix(".mid")
    command = [sys.executable, "-m", "server.cli", "render", str(scene), "-o", str(target)]
    subprocess.run([*command, "--bars", str(bars)], cwd=ROOT, check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def jack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JackServer]:
    try:
        server = JackServer(tmp_path_factory.mktemp("jack"))
    except RuntimeError as reason:
        pytest.skip(str(reason))
    with server:
        yield server


# fluidsynth -----------------------------------------------------------------------------------

#: Rests between the notes, so that an onset is where silence ends.
RHYTHM = """
tempo = 100
[parts.block]
engine = "grammar"
rules = "Bar -> C6:1/4 C6:1/8 C6:1/8 C6:1/8t C6:1/8t C6:1/8t C6:1/8. C6:1/16"
program = 116
gate = 0.2
"""
BEATS = (0, 1, Fraction(3, 2), 2, 2 + Fraction(1, 3), 2 + Fraction(2, 3), 3, 3 + Fraction(3, 4))
BEAT = 60 / 100  # s


def onsets(path: Path) -> list[float]:
    """Seconds at which the sound becomes louder by far than it was just before."""
    with wave.open(str(path)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = array.array("h", file.readframes(file.getnframes()))
    hop = rate // 500
    loud = [
        sum(abs(sample) for sample in samples[at * channels : (at + hop) * channels])
        for at in range(0, len(samples) // channels, hop)
    ]
    threshold = max(loud) / 8
    found: list[float] = []
    for at in range(len(loud)):
        past = max(loud[max(at - 8, 0) : at], default=0)
        if loud[at] > threshold and loud[at] > 3 * past:
            moment = at * hop / rate
            if not found or moment - found[-1] > 0.06:
                found.append(moment)
    return found


def test_a_rendered_scene_sounds_where_its_beats_are(tmp_path: Path) -> None:
    need("fluidsynth", "fluidsynth")
    fonts = sorted(SOUNDFONTS.glob("TimGM6mb.sf2")) or sorted(SOUNDFONTS.glob("*.sf2"))
    if not fonts:
        pytest.skip(f"there is no soundfont in {SOUNDFONTS}")
    scene, sound = tmp_path / "rhythm.toml", tmp_path / "rhythm.wav"
    scene.write_text(RHYTHM)
    midi = rendered(scene, bars=4)
    options = ["-ni", "-R", "0", "-C", "0", "-g", "1", "-r", "44100", "-F", str(sound)]
    subprocess.run(
        ["fluidsynth", *options, str(fonts[0]), str(midi)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    heard = onsets(sound)
    beats = [4 * bar + beat for bar in range(4) for beat in BEATS]
    assert len(heard) == len(beats)
    # A sample has an attack of its own, the same for each note.
    lead = sorted(at - float(beat) * BEAT for at, beat in zip(heard, beats, strict=True))
    assert lead[-1] - lead[0] < 0.015
    assert -0.005 < lead[0] < 0.06


def test_a_sound_file_is_as_loud_as_it_can_be(tmp_path: Path) -> None:
    need("fluidsynth", "fluidsynth")
    for velocity in (0.5, 1.0):
        scene, sound = tmp_path / "a.toml", tmp_path / "a.wav"
        scene.write_text(RHYTHM + f"velocity = {velocity}\n")
        command = [sys.executable, "-m", "server.cli", "render", str(scene), "-o", str(sound)]
        subprocess.run([*command, "--bars", "2"], cwd=ROOT, check=True, capture_output=True)
        assert 0.8 < loudest(sound.read_bytes()) < 0.95


# scsynth --------------------------------------------------------------------------------------

#: Every sixteenth a group comes or goes, of which scsynth tells its clients.
GROUPS = """
tempo = 120
[parts.groups]
engine = "grammar"
rules = "S -> New Free"
[parts.groups.reading]
New = { osc = "/g_new", args = [1001, 0, 0], value = "1/16" }
Free = { osc = "/n_free", args = [1001], value = "1/16" }
[outputs.scsynth]
osc = "127.0.0.1:PORT"
timing = "bundle"
ahead_ms = 250
"""


class Synth:
    """A running scsynth; we stand between it and whoever plays it, and are told of its nodes."""

    def __init__(self, jack: JackServer) -> None:
        self._inbox, self._client = udp_socket(), udp_socket()
        self.port: int = self._inbox.getsockname()[1]
        with udp_socket() as probe:
            own = probe.getsockname()[1]
        command = ["scsynth", "-u", str(own), "-R", "0", "-i", "0", "-o", "2"]
        self._process = jack.popen(command, pipes=False, log="scsynth.log")
        self._client.connect(("127.0.0.1", own))
        limit = time.monotonic() + 15
        while not self._registered():
            if time.monotonic() > limit:
                self.close()
                raise TimeoutError("scsynth does not answer")

    def _registered(self) -> bool:
        try:
            self._client.send(osc_message("/notify", 1))
            return self._client.recv(4096).startswith(b"/done")
        except (TimeoutError, ConnectionRefusedError):
            time.sleep(0.05)
            return False

    def attend(self, show: Show, patience: float = 20.0) -> tuple[list[bytes], list[int]]:
        """Pass on what a show sends: it, and when each news of a node came (wall clock ns)."""
        passed, told = [], []
        until = time.monotonic() + patience
        while (now := time.monotonic()) < until:
            if show.process.poll() is not None:
                until = min(until, now + 0.5)  # what was sent ahead is still to come
            for ready in select.select([self._inbox, self._client], [], [], 0.05)[0]:
                data = ready.recv(65_536)
                if ready is self._inbox:
                    passed.append(data)
                    self._client.send(data)
                elif data.startswith((b"/n_go", b"/n_end")):
                    told.append(time.time_ns())
        return passed, told

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._inbox.close()
        self._client.close()


def udp_socket() -> socket.socket:
    """On a free port of this machine."""
    fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    fresh.bind(("127.0.0.1", 0))
    fresh.settimeout(0.2)
    return fresh


def time_tag(bundle: bytes) -> int:
    """The moment a bundle is meant for, wall clock ns."""
    seconds, rest = (int.from_bytes(bundle[at : at + 4], "big") for at in (8, 12))
    return (seconds - 2_208_988_800) * 10**9 + (rest * 10**9 >> 32)


def test_scsynth_obeys_our_bundles_at_their_time(jack: JackServer, tmp_path: Path) -> None:
    need("scsynth", "supercollider-server")
    synth = Synth(jack)
    scene = tmp_path / "groups.toml"
    scene.write_text(GROUPS.replace("PORT", str(synth.port)))
    show = Show(tmp_path, scene, "--midi", "none", "--control", "0", "--http", "0", "--bars", "2")
    try:
        passed, told = synth.attend(show)
        status, _ = show.wait()
    finally:
        show.kill()
        synth.close()
    assert status == 0
    assert all(data.startswith(b"#bundle\0") for data in passed)
    due = [time_tag(data) for data in passed if b"/g_new" in data or b"/n_free" in data]
    assert len(due) == 32
    assert {round((after - before) / MS) for before, after in pairwise(due)} == {125}
    assert len(told) == len(due)
    # Bundles come 250 ms ahead. A quiet machine tells of them within 3 ms of their time; and
    # scsynth rounds to its own blocks, so never much before it.
    late = [(at - tag) / MS for at, tag in zip(told, due, strict=True)]
    assert min(late) > -10
    assert sorted(late)[len(late) // 2] < 20
    assert sorted(late)[len(late) * 9 // 10] < 100


# python-rtmidi through JACK -------------------------------------------------------------------

BAND = """
tempo = 132
key = "D dorian"
[parts.lead]
engine = "grammar"
rules = "S -> 1:1/8 3:1/8 5:1/4 | 2:1/16 4:1/16 6:1/8 1\'\':1/4 | Rest:1/8 7:1/4."
octave = 5
channel = 1
gate = 0.8
[parts.bass]
engine = "lsystem"
axiom = "A"
rules = "A -> AB\\nB -> A"
depth = 7
octave = 2
reading = { A = "1 1/8", B = "5 1/4" }
channel = 2
[parts.kit]
engine = "grammar"
rules = "S -> Kick:1/4 Snare+ClosedHat:1/8 ClosedHat:1/8"
"""


def test_what_is_played_is_what_is_rendered(jack: JackServer, tmp_path: Path) -> None:
    scene = tmp_path / "band.toml"
    scene.write_text(BAND)
    bars = 3
    now = 0.0
    score: list[tuple[float, tuple[int, int, int]]] = []
    for message in mido.MidiFile(rendered(scene, bars)):
        now += message.time
        if message.type == "note_on" and message.velocity:
            score.append((now, (message.channel, message.note, message.velocity)))
    ear = Ear(jack)
    show = Show(
        tmp_path,
        scene,
        "--midi",
        ear.name,
        "--control",
        "0",
        "--http",
        "0",
        "--bars",
        str(bars),
        jack=jack,
    )
    try:
        status, _ = show.wait(patience=20)
        time.sleep(0.1)
        heard = ear.take()
    finally:
        show.kill()
        ear.close()
    assert status == 0
    kept = balance(heard)
    assert kept.sounding == frozenset()
    assert kept.ons == kept.offs == len(score)
    played = [(one.at / 1e9, (*one.note, one.data[2])) for one in heard if one.on]
    late = []
    for channel in (0, 1, 9):
        ours = [note for note in played if note[1][0] == channel]
        theirs = [note for note in score if note[1][0] == channel]
        assert [note for _, note in ours] == [note for _, note in theirs]
        late += [at - due for (at, _), (due, _) in zip(ours, theirs, strict=True)]
    late.sort()
    # All by the same, but for what a busy machine may hold up.
    assert late[len(late) * 3 // 4] - late[len(late) // 4] < 0.005
    assert late[-1] - late[0] < 0.1
