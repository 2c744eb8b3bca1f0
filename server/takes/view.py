"""The terminal while it plays: where we are, what each part does and why, and how we are.

One thread draws, a few times a second, from what the journal has left here; whatever the
terminal does, the planner never waits for it. Rows are laid out by hand: rich's tables would
cost more than the music.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.style import Style

from server.backstage.health import Health, lost, quantile
from server.concert.journal import (
    Entry,
    Felt,
    Harmonised,
    Marked,
    Moved,
    Played,
    Ported,
    Synced,
    Ticked,
    Troubled,
)
from server.ensemble.mixer import Strip
from server.ensemble.part import PartSpec
from server.music.meter import parse_meter
from server.score.scene import Scene

from .lines import Spelling

RATE = 6  # pictures a second
KEPT = 12  # symbols and notes remembered of each part
GLOW, FADE = 0.25, 1.0  # seconds that a note lights its part up, and that its meter falls
METER = " ▁▂▃▄▅▆▇█"

PLAIN, DIM, BOLD = Style(), Style(dim=True), Style(bold=True)
TITLE = Style(bold=True, color="bright_white")
CHORD = Style(bold=True, color="bright_yellow")
BEAT, REST = Style(bold=True, color="bright_green"), Style(dim=True)
WARN, BAD, GOOD = Style(color="yellow"), Style(color="bright_red"), Style(color="green")
#: Parts in the order of the scene take these in turn.
COLOURS = (
    "bright_cyan",
    "bright_magenta",
    "bright_yellow",
    "bright_green",
    "bright_blue",
    "bright_red",
)

Span = tuple[str, Style]
Line = list[Span]


class _Row:
    """What is shown of one part."""

    def __init__(self, spec: PartSpec, colour: str) -> None:
        self.spec = spec
        self.name, self.lit = Style(color=colour), Style(color=colour, bold=True)
        self.symbols: deque[str] = deque(maxlen=KEPT)
        self.notes: deque[str] = deque(maxlen=KEPT)
        self.why: Any = ""
        self.step: tuple[Any, int] = (None, -1)
        self.at = 0.0
        self.velocity = 0.0


class View:
    """A journal listener that draws.

    strips, now_playing: ask the player for the parts' live controls and for its scene.
    """

    def __init__(
        self,
        scene: Scene,
        health: Health,
        strips: Callable[[], dict[str, Strip]] = dict,
        now_playing: Callable[[], Scene | None] = lambda: None,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console()
        self._health, self._clock = health, clock
        self._strips, self._now_playing = strips, now_playing
        self._spelling = Spelling()
        self._show(scene)
        self._state, self._chord, self._key = "", "", scene.key.name
        self._tick: tuple[Ticked, float] | None = None
        self._section = self._mood = ""
        self._sync: Synced | None = None
        self._ports: dict[str, tuple[str, str, str]] = {}  # name -> output, state, why
        self._troubles: deque[tuple[str, str]] = deque(maxlen=KEPT)
        self._cpu = (time.process_time(), clock())
        self._load = 0.0
        self._over = Event()
        self._thread = Thread(target=self._draw, name="view", daemon=True)

    def open(self) -> None:
        """Begin to draw, on a screen of its own."""
        self._thread.start()

    def close(self) -> bool:
        """Give the terminal back; False where it does not take what was written."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(0.5)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Give the terminal back although the process ends at once."""
        if self._console.is_terminal:
            os.set_blocking(1, False)
            os.write(1, b"\x1b[?1049l\x1b[?25h")

    # What the journal says --------------------------------------------------------------

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Played):
            self._played(entry)
        elif isinstance(entry, Ticked):
            self._tick = entry, self._clock()
        elif isinstance(entry, Harmonised):
            self._chord = entry.name
        elif isinstance(entry, Marked):
            self._marked(entry)
        elif isinstance(entry, Felt):
            self._mood = entry.word
        elif isinstance(entry, Moved):
            self._state = entry.state
        elif isinstance(entry, Synced):
            self._sync = entry
        elif isinstance(entry, Ported):
            if entry.state == "closed":
                self._ports.pop(entry.port, None)
            else:
                self._ports[entry.port] = entry.output, entry.state, entry.why
        elif isinstance(entry, Troubled):
            self._troubles.append((time.strftime("%H:%M:%S"), f"{entry.source}: {entry.text}"))

    def _played(self, entry: Played) -> None:
        note = entry.note
        row = self._rows.get(note.part)
        if row is None:
            return
        name = self._spelling.of(note)
        if row.step == (note.beat, id(note.symbol)) and row.notes:
            row.notes[-1] += f" {name}"  # the other notes of a chord
        else:
            row.step = note.beat, id(note.symbol)
            row.symbols.append(note.symbol.name)
            row.notes.append(name)
        row.why, row.at, row.velocity = note.symbol.origin, self._clock(), note.velocity

    def _marked(self, entry: Marked) -> None:
        self._spelling.heed(entry)
        if entry.kind == "key":
            self._key = entry.name
        elif entry.kind == "section":
            self._section = entry.name
        elif entry.kind == "scene":
            scene = self._now_playing()
            if scene is not None and scene is not self._scene:
                self._show(scene)
                self._chord = self._section = ""

    def _show(self, scene: Scene) -> None:
        self._scene = scene
        self._rows = {
            spec.name: _Row(spec, COLOURS[number % len(COLOURS)])
            for number, spec in enumerate(scene.ensemble)
        }

    # The picture ------------------------------------------------------------------------

    def _draw(self) -> None:
        with Live(
            self, console=self._console, screen=True, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False,
        ) as live:  # fmt: skip
            while not self._over.wait(1 / RATE):
                self._weigh()
                live.refresh()

    def _weigh(self) -> None:
        now, used = self._clock(), time.process_time()
        before, then = self._cpu
        if now - then >= 1:
            self._load = (used - before) / (now - then)
            self._cpu = used, now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.height
        for number, line in enumerate(self.picture(width, height)):
            if number:
                yield Segment.line()
            yield from (Segment(text, style) for text, style in fitted(line, width))

    def picture(self, width: int, height: int) -> list[Line]:
        """At most `height` lines; what matters most is there however small the terminal."""
        head = [self._headline(), self._clockline(), self._pageline()]
        foot = self._footlines(width)
        spare = height - len(head)
        parts = self._partlines(width, max(spare, 1), spare - len(foot) - 1)
        room = height - len(head) - len(parts)
        foot = foot[: max(room - 1, 0)]
        gap: list[Line] = [[] for _ in range(room - len(foot))]
        return (head + parts + gap + foot)[: max(height, 1)]

    def _headline(self) -> Line:
        scene = self._scene
        about = f"   {self._key}   seed {scene.seed}"
        state = [] if self._state != "stopped" else [("   ■ stopped", WARN)]
        feeling = "   ".join(filter(None, (self._section, self._mood)))
        return [(" ", PLAIN), (scene.title, TITLE), (about, DIM), (f"   {feeling}", CHORD), *state]

    def _pageline(self) -> Line:
        """Where it can be heard without a synth: what a newcomer needs first."""
        page = self._health.page
        return [(" page ", DIM), (page, GOOD), ("   open it in a browser", DIM)] if page else []

    def _clockline(self) -> Line:
        if self._tick is None:
            return [(" …", DIM)]
        tick, _ = self._tick
        moment, beats = tick.moment, parse_meter(tick.meter).beats
        now = int(moment.position)
        dots: Line = [
            ("● " if beat == now else "· ", BEAT if beat == now else REST)
            for beat in range(1, beats + 1)
        ]
        where: Line = [(f" {moment.bar:>4}", BOLD), (f":{now} ", BOLD), *dots]
        tempo = (f"  {tick.tempo:.5g} bpm  {tick.meter}   ", DIM)
        return [*where, tempo, *self._leadline(), (self._chord, CHORD)]

    def _leadline(self) -> Line:
        """Who leads the tempo where it is not us."""
        sync = self._sync
        if sync is None or sync.source == "internal":
            return []
        peers = f" {sync.peers}" if sync.peers else ""
        style = GOOD if sync.state in ("locked", "linked", "alone") else WARN
        return [(f"{sync.source} {sync.state}{peers}   ", style)]

    def _partlines(self, width: int, height: int, airy: int) -> list[Line]:
        """Up to `height` lines; more than one a part only if they fit into `airy`."""
        rows = list(self._rows.values())
        name = min(max((cell_len(row.spec.name) for row in rows), default=4), 14)
        each = min(max(airy // len(rows), 1), 3) if rows else 1
        shown = rows[: max(height - (len(rows) > height), 1)]
        strips, now = self._strips(), self._clock()
        soloed = any(strip.solo for strip in strips.values())
        lines: list[Line] = []
        for row in shown:
            strip = strips.get(row.spec.name, Strip())
            lines.append(self._partline(row, strip, soloed, now, name, width))
            if each > 1:
                lines.append([(" " * (name + 4), PLAIN), (plain(str(row.why)), DIM)])
            if each > 2:
                lines.append([])
        if len(shown) < len(rows):
            lines.append([(f"   and {len(rows) - len(shown)} more parts", DIM)])
        return lines

    def _partline(
        self, row: _Row, strip: Strip, soloed: bool, now: float, name: int, width: int
    ) -> Line:
        silent = strip.mute or (soloed and not strip.solo)
        lit = now - row.at < GLOW and not silent
        fading = row.velocity * max(1 - (now - row.at) / FADE, 0)
        title = set_cell_size(row.spec.name, name)
        state = "mute" if strip.mute else "solo" if strip.solo else "····" if silent else ""
        level = state or ("" if strip.level == 1 else f"×{strip.level:.1f}")
        room = max((width - name - 25) // 2, 8)
        notes, symbols = last(row.notes, room), last(row.symbols, room)
        why = "" if width < name + 60 else symbols
        return [
            (" ", PLAIN),
            (METER[round(fading * (len(METER) - 1))], row.name),
            (" ", PLAIN),
            (title, DIM if silent else row.name if not lit else row.lit),
            (f" {row.spec.engine_name:<8.8}", DIM),
            (f" {level:<5.5}", WARN),
            (f" {notes:<{room}} ", BOLD if lit else PLAIN),
            (why, DIM),
        ]

    def _footlines(self, width: int) -> list[Line]:
        lines: list[Line] = [[("─" * width, DIM)]]
        for when, text in list(self._troubles)[-3:]:
            lines.append([(f" {when} ", DIM), (plain(text), WARN)])
        colours = {"open": GOOD, "waiting": WARN, "lost": BAD, "failed": BAD}
        ports = list(self._ports.values())
        reasons = dict.fromkeys(why for _, state, why in ports if state != "open" and why)
        lines += [[(f" {plain(why)}", WARN)] for why in reasons]
        lamps: Line = [(" ", PLAIN)]
        for (output, state), names in self._lamps().items():
            said = names[0] if len(names) == 1 else f"{output}, {len(names)} ports"
            lamps += [("● ", colours.get(state, WARN)), (f"{said} ", PLAIN), (f"{state}   ", DIM)]
        if self._health.control:
            lamps += [("● ", GOOD), (f"control {self._health.control}   ", DIM)]
        lines.append(lamps)
        lines.append(self._healthline())
        return lines

    def _lamps(self) -> dict[tuple[str, str], list[str]]:
        """The names of ports, by output and state."""
        lamps: dict[tuple[str, str], list[str]] = {}
        for name, (output, state, _) in list(self._ports.items()):
            lamps.setdefault((output, state), []).append(name)
        return lamps

    def _healthline(self) -> Line:
        out: Line = [(f" planner {self._load:4.0%}", DIM)]
        for kind, stats in list(self._health.stats.items()):
            if not stats.get("sent"):
                continue
            middle, most = (quantile(stats["lateness"], share) for share in (0.5, 0.99))
            out.append((f"   {kind}: late by {middle} µs, 99 % within {most} µs", DIM))
            if stats["worst"] > 2_000_000:
                out.append((f", just now {stats['worst'] / 1e6:.0f} ms", WARN))
            if unsent := lost(stats):
                out.append((f", {unsent} not sent", WARN))
        return out


def last(items: deque[str], room: int) -> str:
    """The newest items that fit, oldest of them first."""
    kept: list[str] = []
    for item in reversed(tuple(items)):
        item = plain(item)
        room -= cell_len(item) + 2
        if room < -2 and kept:
            break
        kept.append(item)
    return "  ".join(reversed(kept))


def plain(text: str) -> str:
    """Text that cannot move the cursor, whatever a scene calls its symbols."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def fitted(line: Line, width: int) -> Iterator[Span]:
    """The line cut to a width."""
    for text, style in line:
        length = cell_len(text)
        if length > width:
            if width > 1:
                yield set_cell_size(text, width - 1) + "…", style
            elif width == 1:
                yield "…", style
            return
        width -= length
        yield text, style
