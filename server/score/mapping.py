"""What knobs, buttons and pads mean: MIDI messages become addresses and values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

from engines.base import Mistake
from server.ensemble.encode import whole

from .table import Table

MOST_MAPS = 256
#: How near a knob must come to a value to have picked it up, as a share of the way.
NEAR = 1.5 / 127
#: Ranges wider than this have no use as a knob's; then 0 to 1 is.
WIDE = 100_000

Kind = Literal["cc", "cc14", "nrpn", "note", "program", "bend", "pressure"]
Mode = Literal["absolute", "twos", "offset", "sign", "button"]
MODES: tuple[Mode, ...] = ("absolute", "twos", "offset", "sign", "button")
_ADDRESS = re.compile(r"/[A-Za-z0-9_./-]{1,254}\Z")
_MOST = {"cc": 127, "cc14": 31, "nrpn": 16383, "note": 127, "program": 128}


class Trigger(NamedTuple):
    """What is moved. number: of the controller, note, NRPN or program (from 1); else 0.

    channel: 1 to 16, or 0 for any.  input: an input's name, or "" for any.
    """

    kind: str
    number: int = 0
    channel: int = 0
    input: str = ""

    def __str__(self) -> str:
        number = f" {self.number}" if self.kind in _MOST else ""
        channel = f" channel {self.channel}" if self.channel else ""
        return f"{self.kind}{number}{channel}" + (f" of {self.input}" if self.input else "")


@dataclass(frozen=True)
class MapSpec:
    """One mapping.

    to: an address of the tree.  args: values that are sent with it, before the moved one; where a
    button is mapped they are all there is.  argument: which argument of the address is moved, ""
    for the first number.  low, high: the range that it is moved over, None for the argument's own.
    mode: of an encoder that sends steps: "twos" (two's complement), "offset" (64 is 0), "sign" (64
    and above is down); "button": at 64 and above, once.  pickup: an absolute knob moves nothing
    until it has come past the value.  steps: of a relative encoder, over the whole range.
    """

    trigger: Trigger
    to: str
    args: tuple[float | str, ...] = ()
    argument: str = ""
    low: float | None = None
    high: float | None = None
    invert: bool = False
    mode: str = "absolute"
    pickup: bool = True
    steps: int = 100

    def __post_init__(self) -> None:
        kind, number, channel, _ = self.trigger
        if kind not in ("cc", "cc14", "nrpn", "note", "program", "bend", "pressure"):
            raise Mistake("kind", f"expected cc, cc14, nrpn, note, program or bend, got {kind!r}")
        least = 1 if kind == "program" else 0
        if kind in _MOST and not least <= number <= _MOST[kind]:
            raise Mistake(kind, f"expected {least} to {_MOST[kind]}, got {number}")
        if not 0 <= channel <= 16:
            raise Mistake("channel", f"expected 1 to 16, or 0 for any, got {channel}")
        if not _ADDRESS.match(self.to):
            raise Mistake("to", f"expected an address such as '/componium/tempo', got {self.to!r}")
        if self.mode not in MODES:
            raise Mistake("mode", f"expected one of {', '.join(MODES)}, got {self.mode!r}")
        for name, value in (("low", self.low), ("high", self.high)):
            if value is not None and not isfinite(value):
                raise Mistake(name, f"expected a number, got {value}")
        if not 1 <= self.steps <= 16384:
            raise Mistake("steps", f"expected 1 to 16384, got {self.steps}")
        if len(self.args) > 16:
            raise Mistake("args", f"expected at most 16, got {len(self.args)}")

    @property
    def pressed(self) -> bool:
        """Whether it is pressed rather than turned."""
        return self.mode == "button" or self.trigger.kind in ("note", "program")


def read_maps(table: Table | None) -> tuple[MapSpec, ...]:
    """`[map.NAME]`; what is wrong is noted in the table."""
    maps: list[MapSpec] = []
    for name in list(table.values) if table is not None else ():
        assert table is not None
        inner = table.table(name)
        if inner is None:
            continue
        if len(maps) >= MOST_MAPS:
            table.amiss(name, f"expected at most {MOST_MAPS} mappings", None)
            inner.values = {}
            continue
        try:
            maps.append(_map(inner))
        except Mistake as mistake:
            inner.note(mistake.within(inner.place))
        inner.end()
    return tuple(maps)


def _map(table: Table) -> MapSpec:
    kinds = [kind for kind in (*_MOST, "bend", "pressure") if kind in table.values]
    values = {
        "channel": table.whole("channel", 0, 0, 16),
        "input": table.text("input"),
        "to": whole(table.text("to")),
        "args": table.take("args", []),
        "argument": table.text("argument"),
        "low": table.take("low"),
        "high": table.take("high"),
        "invert": table.flag("invert"),
        "mode": table.text("mode", "absolute"),
        "pickup": table.flag("pickup", True),
        "steps": table.whole("steps", 100, 1, 16384),
    }
    numbers = {kind: table.take(kind) for kind in kinds}
    if len(kinds) != 1:
        wanted = "expected one of cc, cc14, nrpn, note, program, bend = true or pressure = true"
        raise Mistake("", f"{wanted}, got {', '.join(kinds) or 'none'}")
    return from_data({**values, "kind": kinds[0], "number": numbers[kinds[0]]})


def from_data(data: Mapping[str, Any]) -> MapSpec:
    """A mapping as `to_data` gave it. Errors: Mistake."""
    data = dict(data)
    kind, number, args = data.pop("kind", ""), data.pop("number", 0), data.pop("args", [])
    channel, source = data.pop("channel", 0), data.pop("input", "")
    number = 0 if kind in ("bend", "pressure") else number
    for name, value, wanted in (
        (str(kind), number, int),
        ("channel", channel, int),
        ("input", source, str),
        ("to", data.get("to"), str),
        ("argument", data.get("argument", ""), str),
        ("mode", data.get("mode", ""), str),
        ("invert", data.get("invert", False), bool),
        ("pickup", data.get("pickup", False), bool),
        ("steps", data.get("steps", 1), int),
        ("low", 0 if data.get("low") is None else data["low"], (int, float)),
        ("high", 0 if data.get("high") is None else data["high"], (int, float)),
        ("args", args, (list, tuple)),
    ):
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise Mistake(name, f"expected another kind of value, got {value!r}"[:200])
    if not all(isinstance(a, str | int | float) and not isinstance(a, bool) for a in args):
        raise Mistake("args", "expected numbers and texts")
    unknown = set(data) - set(MapSpec.__dataclass_fields__)
    if unknown:
        raise Mistake(min(unknown), "no mapping has this key")
    return MapSpec(Trigger(str(kind), number, channel, source), args=tuple(args), **data)


def to_data(spec: MapSpec) -> dict[str, Any]:
    """A mapping as JSON has it. Law: `from_data(to_data(m)) == m`."""
    data = asdict(spec)
    kind, number, channel, source = data.pop("trigger")
    data["args"] = list(spec.args)
    return {"kind": kind, "number": number, "channel": channel, "input": source, **data}


class Moved(NamedTuple):
    """A trigger has been moved. value: 0 to 1; raw: as it came, for encoders that send steps."""

    trigger: Trigger
    value: float
    raw: int


class Reader:
    """Control messages of one input, put together: 14-bit pairs and NRPN among them.

    Law: every value is from 0 to 1; a message never yields more than two triggers.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._high: dict[tuple[int, int], int] = {}
        self._low: dict[tuple[int, int], int] = {}
        self._nrpn: dict[int, list[int]] = {}
        self._data: dict[int, int] = {}

    def read(self, data: bytes) -> list[Moved]:
        """What a message moves, the more precise reading first."""
        kind, channel = data[0] & 0xF0, (data[0] & 0x0F) + 1
        if kind == 0xB0:
            return self._controller(channel, data[1], data[2])
        if kind == 0x90:
            return [self._moved("note", data[1], channel, data[2], 127)]
        if kind == 0x80:
            return [self._moved("note", data[1], channel, 0, 127)]
        if kind == 0xC0:
            return [self._moved("program", data[1] + 1, channel, 127, 127)]
        if kind == 0xD0:
            return [self._moved("pressure", 0, channel, data[1], 127)]
        if kind == 0xE0:
            return [self._moved("bend", 0, channel, data[2] << 7 | data[1], 16383)]
        return []

    def _moved(self, kind: str, number: int, channel: int, raw: int, most: int) -> Moved:
        return Moved(Trigger(kind, number, channel, self.name), _share(raw, most), raw)

    def _controller(self, channel: int, number: int, value: int) -> list[Moved]:
        plain = self._moved("cc", number, channel, value, 127)
        if number in (98, 99):
            self._nrpn.setdefault(channel, [0, 0])[number == 98] = value
            return []
        if number in (100, 101):  # an RPN: data entry is not for an NRPN any more
            self._nrpn.pop(channel, None)
            return []
        if number in (6, 38) and channel in self._nrpn:
            high, low = self._nrpn[channel]
            if number == 6:
                self._data[channel] = value << 7
            else:
                self._data[channel] = self._data.get(channel, 0) & ~127 | value
            return [self._moved("nrpn", high << 7 | low, channel, self._data[channel], 16383)]
        if number < 64:
            which = channel, number % 32
            if number < 32:
                self._high[which] = value
                # The low half that comes after belongs to this; until then it is what it was,
                # and 0 where the high half has moved (MIDI 1.0).
                self._low[which] = 0
            else:
                self._low[which] = value
            if which in self._high:
                raw = self._high[which] << 7 | self._low.get(which, 0)
                fine = self._moved("cc14", number % 32, channel, raw, 16383)
                return [fine, plain]
        return [plain]


def _share(raw: int, most: int) -> float:
    """A raw value as a share of the way: the middle of a MIDI control, 64 or 8192, is one half."""
    middle = (most + 1) // 2
    return raw / (2 * middle) if raw <= middle else 0.5 + (raw - middle) / (2 * (most - middle))


class Range(NamedTuple):
    """What a mapping moves: the argument's range, its kind, and where it stands, if known."""

    low: float
    high: float
    type: str
    now: float | None


class Knob:
    """One mapping at work: where its knob is, and whether it has the value in hand."""

    def __init__(self, spec: MapSpec) -> None:
        self.spec = spec
        self._last: float | None = None  # where the knob was, 0 to 1
        self._sent: float | None = None  # what it has set, 0 to 1 …
        self._seen = 0.0  # … where the value was before
        self._down = False

    def press(self, moved: Moved) -> bool:
        """Whether a button has just been pressed."""
        down = moved.raw > 0 if moved.trigger.kind == "note" else moved.value >= 0.5
        if moved.trigger.kind == "program":
            return True
        pressed, self._down = down and not self._down, down
        return pressed

    def turn(self, moved: Moved, over: Range) -> float | None:
        """The value that a turn sets, within the range; None where it sets nothing (yet)."""
        low, high = self.range(over)
        width = high - low
        now = None if over.now is None or not width else (over.now - low) / width
        now = None if now is None else min(max(now, 0.0), 1.0)
        # What was set is not quite what is read back where only whole numbers are.
        slack = NEAR + (0.5 / abs(width) if over.type == "i" and width else 0.0)
        holds = self._holds(now, slack)
        if now is not None:
            self._seen = now
        if self.spec.mode in ("twos", "offset", "sign"):
            here = self._sent if holds and self._sent is not None else now
            here = 0.5 if here is None else here
            place = min(max(here + self._step(moved.raw) / self.spec.steps, 0.0), 1.0)
        else:
            place = 1 - moved.value if self.spec.invert else moved.value
            before, self._last = self._last, place
            picked = self.spec.pickup and now is not None and over.type != "T" and not holds
            if picked and now is not None and not _meets(now, before, place, slack):
                self._sent = None
                return None
        self._sent = place
        value = low + place * width
        return float(round(value)) if over.type in "iT" else value

    def _holds(self, now: float | None, slack: float) -> bool:
        """Whether the value is what the knob has set, or still on its way there."""
        if self._sent is None or now is None:
            return self._sent is not None
        low, high = sorted((self._seen, self._sent))
        return low - slack <= now <= high + slack

    def _step(self, raw: int) -> int:
        if self.spec.mode == "twos":
            step = raw - 128 if raw >= 64 else raw
        elif self.spec.mode == "offset":
            step = raw - 64
        else:
            step = 64 - raw if raw >= 64 else raw
        return -step if self.spec.invert else step

    def range(self, over: Range) -> tuple[float, float]:
        """From where to where it is turned."""
        own = (over.low, over.high)
        if not (isfinite(own[0]) and isfinite(own[1])) or own[1] - own[0] > WIDE:
            own = 0.0, 1.0
        low = own[0] if self.spec.low is None else self.spec.low
        high = own[1] if self.spec.high is None else self.spec.high
        return low, high


def _meets(now: float, before: float | None, place: float, slack: float) -> bool:
    """Whether a knob is at the value, or has just come past it."""
    low, high = (
        min(place, place if before is None else before),
        max(place, place if before is None else before),
    )
    return low - slack <= now <= high + slack


class Board:
    """All mappings, by what moves them; a new one of the same trigger takes its place."""

    def __init__(self, specs: Sequence[MapSpec] = ()) -> None:
        self._knobs: dict[Trigger, Knob] = {}
        for spec in specs:
            self.put(spec)

    def put(self, spec: MapSpec) -> bool:
        """Have a mapping; False where there are too many."""
        if spec.trigger not in self._knobs and len(self._knobs) >= MOST_MAPS:
            return False
        self._knobs[spec.trigger] = Knob(spec)
        return True

    def take(self, address: str = "") -> int:
        """Let go of all mappings to an address, or of all; how many those were."""
        gone = [t for t, knob in self._knobs.items() if address in ("", knob.spec.to)]
        for trigger in gone:
            del self._knobs[trigger]
        return len(gone)

    def find(self, trigger: Trigger) -> Knob | None:
        """What it moves: a mapping of this channel and input, else of any."""
        kind, number, channel, name = trigger
        for source in (name, ""):
            for on in (channel, 0):
                knob = self._knobs.get(Trigger(kind, number, on, source))
                if knob is not None:
                    return knob
        return None

    @property
    def specs(self) -> list[MapSpec]:
        return [knob.spec for knob in self._knobs.values()]
