"""Surfaces read back: every address exists, every range is the tree's, nothing overlaps."""

from __future__ import annotations

import json
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from server.concert.clock import JumpClock
from server.concert.player import Player
from server.desk.desk import Desk
from server.desk.layouts import Page, open_stage, page_of, touchosc
from server.desk.sent import SENT
from server.desk.tree import Tree
from server.score.scene import find_scene, load_scene, parse_scene, playable
from tests.server.desk.rig import SCENE

TOLD = {f"/componium{each.address}" for each in SENT}
SCENES = ["level", "default", "algae", "house"]


def tree_of(text: str) -> Tree:
    player = Player(JumpClock())
    player.cue(load_scene(find_scene(text)) if "\n" not in text else parse_scene(text, "first"))
    return Desk(player, lambda path, style: load_scene(Path(path), style)).tree


@pytest.fixture(params=[*SCENES, SCENE], ids=[*SCENES, "small"])
def made(request: pytest.FixtureRequest) -> tuple[Tree, Page]:
    tree = tree_of(request.param)
    return tree, page_of(tree, "A title with ]]> and <&")


def fits(tree: Tree, address: str, spans: list[tuple[float, float]], word: str) -> None:
    """Whether a control asks only for what the tree takes."""
    node = tree.nodes[address]
    needed = [each for each in node.arguments if each.default is None]
    if spans:
        assert len(spans) == len(needed), address
        for (low, high), argument in zip(spans, needed, strict=True):
            assert low < high
            if argument.type != "T":
                assert argument.low <= low and high <= argument.high, address
        assert node.read([span[1] for span in spans]) is not None
    else:
        assert node.read([word or 1]) is not None


def test_everything_is_on_the_page_and_apart(made: tuple[Tree, Page]) -> None:
    _, page = made
    frames = [widget.frame for widget in page.widgets]
    for frame in frames:
        assert frame.x >= 0 and frame.y >= 0 and frame.w > 8 and frame.h > 8
        assert frame.x + frame.w <= page.width and frame.y + frame.h <= page.height
    for a, b in combinations(frames, 2):
        apart = a.x + a.w <= b.x or b.x + b.w <= a.x or a.y + a.h <= b.y or b.y + b.h <= a.y
        assert apart, (a, b)


def test_every_part_has_its_strip_and_every_section_its_button() -> None:
    tree = tree_of("level")
    page = page_of(tree, "level")
    there = {widget.address for widget in page.widgets}
    for part in tree.below("/componium/part"):
        for name in ("level", "density", "mute", "solo"):
            assert f"/componium/part/{part}/{name}" in there
    for kind in ("section", "stinger", "emotion", "style", "scene"):
        choices = tree.nodes[f"/componium/{kind}"].arguments[0].choices
        assert choices is not None
        words = {each.word for each in page.widgets if each.address == f"/componium/{kind}"}
        assert {*choices()} == words - {""}
    assert {f"/componium/{each}" for each in ("play", "stop", "continue", "panic", "mood")} <= there


def partials(node: ElementTree.Element, path: str) -> list[dict[str, str]]:
    return [{each.tag: each.text or "" for each in partial} for partial in node.iterfind(path)]


def test_a_tosc_file_reads_back(made: tuple[Tree, Page]) -> None:
    tree, page = made
    data = touchosc(page)
    assert data == touchosc(page)
    root = ElementTree.fromstring(zlib.decompress(data))
    assert (root.tag, root.get("version")) == ("lexml", "6")
    nodes = list(root.iter("node"))
    assert nodes[0].get("type") == "GROUP"
    assert len({node.get("ID") for node in nodes}) == len(nodes)
    titles = [p.findtext("value") for p in nodes[0].iterfind("properties/property")]
    assert page.title in titles
    told, obeyed = 0, 0
    for node in nodes[1:]:
        frame = node.find("properties/property[@type='r']/value")
        assert frame is not None and [each.tag for each in frame] == ["x", "y", "w", "h"]
        for message in node.iterfind("messages/osc"):
            [path] = partials(message, "path/partial")
            arguments = partials(message, "arguments/partial")
            assert len(message.findtext("connections") or "") == 10
            if message.findtext("send") == "0":
                assert path["value"] in TOLD
                told += 1
                continue
            moved = [each for each in arguments if each["type"] == "VALUE"]
            spans = [(float(each["scaleMin"]), float(each["scaleMax"])) for each in moved]
            word = arguments[0]["value"] if arguments[0]["conversion"] == "STRING" else ""
            fits(tree, path["value"], spans, word)
            starts = {
                value.findtext("key"): value.findtext("default")
                for value in node.iterfind("values/value")
            }
            assert all(0 <= float(starts[each["value"]] or "") <= 1 for each in moved)
            obeyed += 1
    assert (told, obeyed) == (3, len(page.widgets) - 3)


def test_a_session_of_open_stage_control_reads_back(made: tuple[Tree, Page]) -> None:
    tree, page = made
    session = json.loads(open_stage(page, "10.0.0.5:1821"))
    assert (session["type"], session["content"]["type"]) == ("session", "root")
    widgets: list[dict[str, Any]] = session["content"]["widgets"]
    assert len({each["id"] for each in widgets}) == len(widgets) == len(page.widgets)
    for widget in widgets:
        assert widget["target"] == ["10.0.0.5:1821"]
        if widget["type"] == "text":
            assert widget["address"] in TOLD
            continue
        ranges = [widget[key] for key in ("range", "rangeX", "rangeY") if key in widget]
        spans = [(each["min"], each["max"]) for each in ranges]
        word = "" if spans else str(widget["on"]) if widget["typeTags"] == "s" else ""
        fits(tree, widget["address"], spans, word)


def test_a_surface_for_another_machine_has_a_button_that_shows_the_token() -> None:
    tree, token = tree_of(SCENE), "a-token-of-sixteen-letters"
    plain, page = page_of(tree, "first"), page_of(tree, "first", token)
    assert all(each.address != "/auth" for each in plain.widgets)
    [button] = [each for each in page.widgets if each.address == "/auth"]
    assert (button.kind, button.word) == ("button", token)
    assert len(page.widgets) == len(plain.widgets) + 1
    [stage] = [
        each
        for each in json.loads(open_stage(page, "10.0.0.5:1821"))["content"]["widgets"]
        if each["address"] == "/auth"
    ]
    assert (stage["on"], stage["typeTags"], stage["target"]) == (token, "s", ["10.0.0.5:1821"])
    root = ElementTree.fromstring(zlib.decompress(touchosc(page)))
    sent = [
        [each["value"] for each in partials(message, "arguments/partial")]
        for message in root.iter("osc")
        if partials(message, "path/partial")[0]["value"] == "/auth"
    ]
    assert sent == [[token]]


def test_every_shipped_scene_has_a_surface() -> None:
    for name in playable():
        page = page_of(tree_of(name), name)
        assert touchosc(page) and open_stage(page, "127.0.0.1:1821")
