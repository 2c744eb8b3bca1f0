"""MIDI through RtMidi: ALSA, JACK or CoreMIDI; virtual ports, or existing ones by name."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from time import monotonic_ns
from typing import Any

from server.wire.ports import FAILED, Absent, Dead

#: Bytes that may be on their way to a JACK server between two of its periods. RtMidi's buffer
#: holds 16384; half of that, because what was sent before the last period may still be there.
_JACK_ROOM = 7_500
#: Periods from sending to the receiver's having read it: one to leave RtMidi's buffer, one to
#: be read where the server does not wait for its clients.
_JACK_PERIODS = 2
#: RtMidi keeps each message's length beside it.
_JACK_HEAD = 4
#: And no sooner than so long: on a busy machine our thread may miss periods.
_JACK_AT_LEAST = 30_000_000
#: Bytes of a JACK client's name, with room for a number.
_JACK_NAME = 60
_LOOK_EVERY = 500_000_000

#: How the names of our own ports begin, in small letters.
OURS = "componium"

_HOW_TO = {
    "alsa": "load the ALSA sequencer (modprobe snd-seq)",
    "jack": "start a JACK server",
    "core": "restart the MIDI server (open Audio MIDI Setup)",
}


def binding(incoming: bool = False) -> tuple[Any, dict[str, Any]]:
    """The class that sends, or hears, and the systems it knows by our names for them."""
    try:
        import rtmidi
    except ImportError:
        pass
    else:
        return rtmidi.MidiIn if incoming else rtmidi.MidiOut, {
            "alsa": rtmidi.API_LINUX_ALSA,
            "jack": rtmidi.API_UNIX_JACK,
            "core": rtmidi.API_MACOSX_CORE,
        }
    try:
        import supriya_midi
    except ImportError as problem:
        raise Absent(f"MIDI needs {_missing(problem)}; OSC works without", FAILED) from None
    systems = supriya_midi.RtMidiAPI
    return supriya_midi.MidiIn if incoming else supriya_midi.MidiOut, {
        "alsa": systems.LINUX_ALSA,
        "jack": systems.UNIX_JACK,
        "core": systems.MACOSX_CORE,
    }


def _missing(problem: ImportError) -> str:
    if "libasound" in str(problem):
        return "the library libasound2 (apt install libasound2 or libasound2t64)"
    name = "python-rtmidi" if sys.version_info < (3, 13) else "supriya-midi"
    return f"the Python package {name} (pip install {name})"


def messages(data: bytes) -> list[bytes]:
    """One message each, as of a bank and a program in one.

    Law: b"".join(messages(data)) == data.
    """
    starts = [at for at, byte in enumerate(data) if byte >= 0x80 and byte != 0xF7]
    return [data[at:stop] for at, stop in pairwise([*starts, len(data)])]


def choose(names: list[str], wanted: str, before: str = "") -> int | None:
    """Which of the existing ports is meant by part of a name, in any case.

    The one it was before comes first, then an exact name, then the first that fits; never a port
    of Componium's own, as its notes would come back to it. The client and port numbers at the end
    of ALSA's names change and do not count.
    """
    plain = [re.sub(r" \d+:\d+$", "", name).casefold() for name in names]
    before = re.sub(r" \d+:\d+$", "", before).casefold()
    wanted = wanted.casefold()
    fitting = [at for at, name in enumerate(plain) if wanted in name and not name.startswith(OURS)]
    order = sorted(fitting, key=lambda at: (plain[at] != before, plain[at] != wanted, at))
    return order[0] if order else None


class MidiClient:
    """A client of a MIDI system with one port, and whom that is connected to.

    Settings: name ("virtual", or part of an existing port's name), client and title (what a
    virtual port is called; on JACK, where a client has one port, the client is called both), api
    ("", "alsa", "jack" or "core"), connect (JACK ports that a virtual port is to be connected to
    as soon as they are there).
    """

    incoming = False

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name = str(settings.get("name", "virtual"))
        self.client = str(settings.get("client", "Componium"))
        self.title = str(settings.get("title", "out"))
        self.api = str(settings.get("api", ""))
        self.trouble = ""
        self._known = {str(name): "gone" for name in settings.get("connect", ())}
        self._out: Any = None
        self._opened = False
        self._full = ""
        self._look_at = 0
        self._jack: Any = None
        self._own = ""
        self._jack_name = ""

    @property
    def connections(self) -> list[str]:
        return sorted(name for name, state in self._known.items() if state != "cut")

    def open(self) -> None:
        self._expect_server()
        if self._out is None:
            self._enter()
        try:
            if self.name == "virtual":
                self._out.open_virtual_port(self.title)
            else:
                self._open_existing()
        except Absent:
            raise
        except NotImplementedError:
            why = "this system has no virtual MIDI ports; name an existing port"
            raise Absent(why, FAILED) from None
        except Exception as problem:
            self._leave()
            raise Absent(f"MIDI port {self.title} cannot be opened: {problem}") from None
        self._opened = True
        if self._jack is not None:
            self._own = f"{self._jack_name}:{self.title}"
            self._follow_connections()

    def close(self) -> None:
        if self._opened:
            self._opened = False
            self._out.close_port()
        self._leave()

    def _enter(self) -> None:
        """Become a client of the first MIDI system that takes us."""
        make, systems = binding(self.incoming)
        if self.api and self.api not in systems:
            raise Absent(f"there is no MIDI system {self.api!r}, only {', '.join(systems)}", FAILED)
        usual = ["core"] if sys.platform == "darwin" else ["alsa", "jack"]
        tried = [self.api] if self.api else usual
        for system in tried:
            try:
                if system == "jack":
                    self._jack = _server(f"{self.client}.watch")
                    wanted = f"{self.client} {self.title}".replace(":", " ").encode()
                    name = wanted[:_JACK_NAME].decode(errors="ignore")
                    self._jack_name = self._jack.free_name(name, wait=name not in _taken)
                self._out = make(systems[system], self._jack_name or self.client)
                self._out.get_ports()
            except Exception:  # each binding has its own errors; all mean the same here
                self._leave()
                continue
            if self._jack_name:
                _taken.add(self._jack_name)
            return
        names = " or ".join(system.upper() for system in tried)
        how_to = " or ".join(_HOW_TO[system] for system in tried)
        raise Absent(f"no MIDI here, {names} does not answer: {how_to}, or play OSC only")

    def _expect_server(self, calm: bool = True) -> None:
        """Errors: Dead."""
        for server in _servers:
            # With clients of a dead server still in this process, libjack cannot meet the next one.
            if not server.alive():
                raise Dead("the JACK server has stopped; waiting for it to come back")
            if calm and server.strayed():
                raise Dead("JACK has mixed up who came and who left; connecting anew")

    def _open_existing(self) -> None:
        names = self._out.get_ports()
        index = choose(names, self.name, self._full)
        if index is None:
            strange = [name for name in names if not name.casefold().startswith(OURS)]
            there = ", ".join(strange) or "none"
            raise Absent(
                f"no MIDI port has “{self.name}” in its name (there: {there}); "
                "it will be opened as soon as it appears"
            )
        self._out.open_port(index, self.title)
        if not self._leads_to(names, index):
            self._out.close_port()
            raise Absent(f"MIDI ports come and go; {names[index]} will be opened when they stay")
        self._full = names[index]

    def _leads_to(self, names: list[str], index: int) -> bool:
        """Whether what was opened by its number is the port of that name.

        One that goes, or comes, while we look gives its number to another, which may be an input
        of our own.
        """
        if self._jack is not None:
            return names[index] in self._jack.connections(f"{self._jack_name}:{self.title}")
        there: list[str] = self._out.get_ports()
        return there[index : index + 1] == names[index : index + 1]

    def _expect_other_end(self, now: int, calm: bool) -> None:
        """Close where an existing port is no longer there. Errors: Absent."""
        if not self._leads_there(now, calm):
            self._out.close_port()
            self._opened = False
            raise Absent(f"MIDI port {self._full} has gone; waiting for it to come back")

    def _leads_there(self, now: int, calm: bool) -> bool:
        """Whether the existing port is still at the other end."""
        if self._jack is not None:
            # Its name may be there again already, after a synth's restart, but not its cable.
            return self._full in self._jack.connections(self._own)
        # Elsewhere nothing says at so little cost who is connected: there we only see that the
        # name has gone, and miss a synth that is back, under the same number, between two looks.
        if now < self._look_at + (0 if calm else _LOOK_EVERY):
            return True
        self._look_at = now + _LOOK_EVERY
        return self._full in self._out.get_ports()

    def _follow_connections(self) -> tuple[bool, bool]:
        """Note who came and went, and connect those who came back.

        Returns whether somebody joined, and whether somebody left.
        """
        joined = parted = False
        actual = self._jack.connections(self._own)
        for name in actual:
            if self._known.get(name) != "joined":
                self._known[name] = "joined"
                joined = True
        for name, state in self._known.items():
            if name in actual:
                continue
            there = self._jack.has(name)
            ends = (name, self._own) if self.incoming else (self._own, name)
            if state == "joined":
                self._known[name] = "cut" if there else "gone"
                parted = True
            elif state == "gone" and there and self._jack.connect(*ends):
                self._known[name] = "joined"
                joined = True
        return joined, parted

    @property
    def _apart(self) -> bool:
        """Whether somebody who was connected is not just now."""
        return any(state != "joined" for state in self._known.values())

    def _leave(self) -> None:
        if self._out is not None:
            self._out.delete()
        _taken.discard(self._jack_name)
        self._out, self._jack, self._jack_name = None, None, ""


class MidiPort(MidiClient):
    """One output port."""

    midi = True

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._room = _JACK_ROOM
        self._frames = 0
        self._periods = self._flushing = 0
        #: A JACK cable carries nothing before the period that follows its plugging: what leaves as
        #: it is plugged must be sent again.
        self._fresh = False

    @property
    def deaf(self) -> bool:
        return self._fresh or self._apart

    @property
    def heavy(self) -> bool:
        return self._out is None

    def open(self) -> None:
        super().open()
        self._fresh = self._jack is not None and self.name != "virtual"
        self._send = self._out.send_message

    def send(self, data: bytes) -> bool:
        if self._jack is not None:
            room = self._room - len(data) - _JACK_HEAD
            if room < 0:
                frames = self._jack.frames()
                if frames == self._frames:
                    return False
                self._frames = frames
                room = _JACK_ROOM - len(data) - _JACK_HEAD
            self._room = room
        try:
            if len(data) <= 3 or data[0] == 0xF0:
                self._send(data)
            else:
                for message in messages(data):
                    self._send(message)
        except Exception as problem:
            raise Absent(f"MIDI port {self._full or self.title}: {problem}") from None
        return True

    def watch(self, now: int, calm: bool) -> bool:
        if self._jack is not None:
            self._expect_server(calm)
        if self.name == "virtual":
            return self._jack is not None and self._follow_connections()[0]
        self._expect_other_end(now, calm)
        fresh, self._fresh = self._fresh, False
        return fresh

    def flushed(self) -> bool:
        if self._jack is None or not self._opened:
            return True
        # A JACK port takes with it what the receiver has not read yet of the current period.
        frames, now = self._jack.frames(), monotonic_ns()
        if frames != self._frames:
            self._frames = frames
            self._periods += 1
        self._flushing = self._flushing or now
        return self._periods > _JACK_PERIODS and now - self._flushing >= _JACK_AT_LEAST

    def close(self) -> None:
        self._periods = self._flushing = 0
        super().close()


#: Names of this process's JACK clients.
_taken: set[str] = set()
_servers: list[Any] = []


def _server(name: str) -> Any:
    """This process's one look at the JACK server."""
    if not _servers:
        from server.wire.jack import Server

        _servers.append(Server(name))
    return _servers[0]
