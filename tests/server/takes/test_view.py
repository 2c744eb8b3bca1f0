"""The terminal view: what it shows, at any size, whatever symbols are called."""

from __future__ import annotations

import io
import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from engines.base import Origin
from server.backstage.health import Health, quantile
from server.concert.journal import Entry, Played, Ported, Troubled
from server.ensemble.mixer import Strip
from server.errands import hear
from server.music.scale import parse_key
from server.score.scene import Scene, parse_scene
from server.takes.lines import Spelling, Warnings, as_json, in_words, spelled
from server.takes.view import View, last, plain

SCENE = """
title = "Harvest"
key = "F major"
[parts.melody]
engine = "grammar"
rules = "S -> 4 1/4 | 6 1/4"
[parts.keys]
engine = "grammar"
rules = "S -> I:1/1 V7:1/1"
[parts.kit]
engine = "grammar"
rules = "S -> Kick:1/4 Snare:1/4"
"""


def scene(text: str = SCENE) -> Scene:
    return parse_scene(text)


def view_of(strips: dict[str, Strip] | None = None, bars: int = 2) -> View:
    view = View(scene(), Health(), lambda: strips or {}, lambda: None, Console(file=io.StringIO()))
    hear(scene(), bars, view)
    return view


def lines(view: View, width: int = 100, height: int = 24) -> list[str]:
    return ["".join(text for text, _ in line) for line in view.picture(width, height)]


def test_it_shows_where_we_are_and_each_part_with_its_symbols_notes_and_reason() -> None:
    picture = "\n".join(lines(view_of()))
    for word in ("Harvest", "F major", "seed 1821", "120 bpm", "4/4", "C7"):
        assert word in picture
    melody = next(line for line in picture.splitlines() if " melody " in line)
    assert "grammar" in melody and ("Bb4" in melody or "D5" in melody)
    keys = next(line for line in picture.splitlines() if " keys " in line)
    assert "V7:1/1" in keys
    kit = next(line for line in picture.splitlines() if " kit " in line)
    assert "Acoustic Snare" in kit, "drums have their names"
    assert "S -> " in picture


@pytest.mark.parametrize("width", [1, 2, 10, 30, 80, 200])
@pytest.mark.parametrize("height", [1, 2, 4, 8, 24, 60])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    view = view_of()
    view(Troubled("parts.melody", "x" * 300))
    assert len(view.picture(width, height)) <= height
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, color_system=None)
    console.print(view, end="")
    shown = out.getvalue().split("\n")
    assert len(shown) <= height
    assert all(cell_len(line) <= width for line in shown)


def test_in_a_small_terminal_the_headline_and_a_part_are_there() -> None:
    small = "\n".join(lines(view_of(), 40, 5))
    assert "Harvest" in small and "melody" in small and "2 more parts" in small


def test_mutes_levels_ports_troubles_and_lateness_are_seen() -> None:
    view = view_of({"melody": Strip(mute=True), "keys": Strip(level=0.5)})
    view(Ported("synth", "lost", "the cable is out"))
    view(Ported("game", "open", ""))
    view(Troubled("parts.kit", "started again after ValueError"))
    view._health.stats["osc"] = {
        **{"sent": 100, "late": 2, "thinned": 0, "refused": 0, "worst": 0},
        "lateness": [0, 50, 45, 5, 0],
    }
    picture = "\n".join(lines(view, 120))
    for word in ("mute", "×0.5", "synth", "lost", "the cable is out", "game", "started again"):
        assert word in picture
    assert "late by 20 µs, 99 % within 80 µs" in picture and "2 not sent" in picture


def test_quantiles_are_upper_bounds_of_their_class() -> None:
    assert quantile([100], 0.99) == 10
    assert quantile([0, 1, 99], 0.5) == 40
    assert quantile([], 0.5) == 10


def test_symbols_cannot_move_the_cursor() -> None:
    assert plain("a\x1b[2Jb\n") == "a�[2Jb�"


def test_of_many_symbols_the_newest_that_fit_are_shown_in_order() -> None:
    from collections import deque

    assert last(deque(["aaa", "bb", "c"]), 6) == "bb  c"
    assert last(deque(["long" * 10]), 6) == "long" * 10


def test_pitches_are_spelled_as_the_key_writes_them() -> None:
    assert spelled(parse_key("F major"))[10] == "Bb"
    assert spelled(parse_key("B major"))[10] == "A#"
    spelling = Spelling()
    spelling._names = spelled(parse_key("Cb major"))
    assert spelling.name(59) == "Cb4"


def test_a_trouble_is_told_once_and_its_end_too() -> None:
    said: list[str] = []
    warnings = Warnings(said.append)
    for state, why in (("waiting", "no cable"), ("waiting", "no cable"), ("open", "")):
        warnings(Ported("synth", state, why))
    warnings(Ported("game", "open", ""))
    assert said == ["synth: no cable", "synth: open again"]


def test_a_reason_that_many_ports_share_is_told_once() -> None:
    said: list[str] = []
    warnings = Warnings(said.append)
    for port in ("left", "bass", "kit"):
        warnings(Ported(port, "waiting", "no MIDI here"))
    warnings(Ported("bass", "open", ""))
    warnings(Ported("bass", "waiting", "bass has gone"))
    assert said == ["left: no MIDI here", "bass: open again", "bass: bass has gone"]


def test_a_note_in_words_has_its_place_name_and_reason() -> None:
    heard: list[Entry] = []
    hear(scene(), 1, heard.append)
    words = [in_words(entry, Spelling()) for entry in heard]
    assert any("melody" in line and "S -> " in line for line in words)
    assert isinstance(Origin(), Origin)


def test_every_act_of_a_part_is_a_line_of_json() -> None:
    acting = scene("""
[parts.lights]
engine = "grammar"
rules = "S -> On Off Turn"
[parts.lights.reading]
On = { osc = "/lamp", args = [1, 0.5, "red"], value = "1/4" }
Off = { osc = "/lamp", value = "1/4" }
Turn = "cc74=64 1/2"
""")
    heard: list[Entry] = []
    hear(acting, 1, heard.append)
    events = [json.loads(as_json(entry, Spelling())) for entry in heard]
    when = {"seconds": 0.5, "beat": 1.0, "bar": 1, "position": 2.0}
    lamps = [event for event in events if event["event"] == "osc"]
    assert [lamp["args"] for lamp in lamps] == [[1, 0.5, "red"], []]
    assert lamps[1] == {"event": "osc", **when, "part": "lights", "address": "/lamp", "args": []}
    [turn] = [event for event in events if event["event"] == "control"]
    assert (turn["controller"], turn["value"], turn["beat"]) == (74, 64, 2.0)


def test_a_first_note_that_strays_is_not_before_the_start() -> None:
    straying = scene("""
humanize = { time_ms = 50 }
[parts.a]
engine = "grammar"
rules = "S -> C+E 1/1"
""")
    first = [
        json.loads(as_json(entry, Spelling()))["seconds"]
        for seed in range(8)
        for entry in played(straying.with_seed(seed))[:1]
    ]
    assert min(first) == 0 < max(first)


def played(piece: Scene) -> list[Played]:
    heard: list[Entry] = []
    hear(piece, 1, heard.append)
    return [entry for entry in heard if isinstance(entry, Played)]


def test_it_says_where_the_page_is_however_small_the_terminal_and_however_many_ports_wait() -> None:
    health = Health(page="http://127.0.0.1:1822/#token")
    view = View(scene(), health, dict, lambda: None, Console(file=io.StringIO()))
    for number in range(40):
        view(Ported("midi", "waiting", "no MIDI here", f"part {number}"))
    for size in ((120, 40), (80, 24), (46, 6)):
        assert "page http://127.0.0.1:1822/#token" in "\n".join(lines(view, *size))
    assert "midi, 40 ports waiting" in "\n".join(lines(view, 80, 24))
