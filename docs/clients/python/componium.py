"""Componium for Python programs: standard library only, one file to copy. MIT licence.

music = Componium(port=9000)            # Componium plays with --osc 127.0.0.1:9000
music.on("beat", lambda bar, beat, tempo: print(bar, beat))
music.say("/section", "Danger", "bar")
while True:                             # once a frame
music.poll()
"""

import socket
import struct
import time


class Componium:
    """Hears what plays on `port`, says commands to `server`; nothing here waits."""

    def __init__(self, port=9000, server=("127.0.0.1", 1821), host="127.0.0.1"):
        self.server = server
        # One socket for both: receipts come back to where a command came from.
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.tempo, self.beat_at = 120.0, time.monotonic()
        self._told, self._waiting = {}, []

    def say(self, address, *values):
        """Send a command, such as `say("/tempo", 132, 16)`; `/componium` may be left out."""
        whole = address if address.startswith("/componium/") else "/componium" + address
        self.socket.sendto(encode(whole, *values), self.server)

    def on(self, what, do):
        """Have `do(*values)` called for "beat", "section", "cue", "receipt" and the like.

        "note" and "off" are told the part first; "*" is told every address and its values.
        """
        self._told.setdefault(what, []).append(do)

    def when(self, what, do):
        """Call `do` once, on the next "beat" or "bar"."""
        self._waiting.append((what, do))

    def beat_phase(self):
        """How far the beat has come, 0 to 1: for what pulses, bobs or flickers."""
        return min((time.monotonic() - self.beat_at) * self.tempo / 60, 1.0)

    def poll(self):
        """Take in all that has come since the last time."""
        while True:
            try:
                message = decode(self.socket.recv(65536))
            except BlockingIOError:
                return
            except ConnectionError:  # nobody listened to what we said
                continue
            if message is not None:
                self._take(*message)

    def _take(self, address, values):
        self._tell("*", address, *values)
        words = address.removeprefix("/componium/").split("/")
        if words[0] == "beat":
            self.beat_at, self.tempo = time.monotonic(), values[2]
            due = {"beat", "bar"} if values[1] == 1 else {"beat"}
            ready = [do for what, do in self._waiting if what in due]
            self._waiting = [each for each in self._waiting if each[0] not in due]
            for do in ready:
                do()
            if values[1] == 1:
                self._tell("bar", values[0])
        if words[0] == "part" and len(words) == 3:
            self._tell(words[2], words[1], *values)
        else:
            self._tell("/".join(words), *values)

    def _tell(self, what, *values):
        for do in self._told.get(what, ()):
            do(*values)

    def close(self):
        self.socket.close()


def encode(address, *values):
    """An OSC message of whole numbers, numbers, texts and booleans."""
    tags, data = ",", b""
    for value in values:
        if isinstance(value, bool):
            tags += "T" if value else "F"
        elif isinstance(value, int):
            tags, data = tags + "i", data + struct.pack(">i", value)
        elif isinstance(value, float):
            tags, data = tags + "f", data + struct.pack(">f", value)
        else:
            tags, data = tags + "s", data + _padded(str(value))
    return _padded(address) + _padded(tags) + data


def _padded(text):
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


def decode(data):
    """An OSC message as address and values; None for anything else."""
    try:
        address, at = _text(data, 0)
        tags, at = _text(data, at)
        if not address.startswith("/") or not tags.startswith(","):
            return None
        values = []
        for tag in tags[1:]:
            if tag == "s":
                value, at = _text(data, at)
            elif tag in "TF":
                value = tag == "T"
            else:
                kind = {"i": ">i", "f": ">f", "h": ">q", "d": ">d"}[tag]
                (value,) = struct.unpack_from(kind, data, at)
                at += struct.calcsize(kind)
            values.append(value)
    except (ValueError, KeyError, struct.error):
        return None
    return address, values


def _text(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), (end + 4) // 4 * 4
