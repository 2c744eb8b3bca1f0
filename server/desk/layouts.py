"""Control surfaces for a scene, made from its tree: TouchOSC and Open Stage Control.

One page is laid out for both: transport and readings above, mood pad, faders and launchers in the
middle, a strip for each part below. Each writer puts the same page into its own format.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal, NamedTuple
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import escape

from .desk import PREFIX
from .osc import AUTH
from .query import value_of
from .tree import Node, Tree

WIDTH, HEIGHT, GAP = 1024, 768, 6
STRIP, PAD, TOP, LOW = 64, 300, 64, 330  # widths of a strip and the pad; heights of the rows
TOGGLE = 52  # height of mute and solo
MOST = 40  # launchers of a kind

Kind = Literal["button", "toggle", "fader", "pad", "label"]


class Frame(NamedTuple):
    """Where something is, in pixels from the upper left."""

    x: float
    y: float
    w: float
    h: float


NOWHERE = Frame(0, 0, 0, 0)  # until it is put somewhere


@dataclass(frozen=True)
class Widget:
    """Something to touch or read. word: what a button sends as its argument, "" for none.

    spans: of each argument that a finger moves, lowest and highest.  at: where they are now.
    """

    kind: Kind
    label: str
    address: str
    frame: Frame = NOWHERE
    word: str = ""
    spans: tuple[tuple[float, float], ...] = ()
    at: tuple[float, ...] = ()


class Page(NamedTuple):
    """A whole surface."""

    title: str
    width: float
    height: float
    widgets: tuple[Widget, ...]


# What is on it -----------------------------------------------------------------------------------


def page_of(tree: Tree, title: str, token: str = "") -> Page:
    """The page for a tree as it is now.

    token: for a surface on another machine, which has a button to show it; "" for no button.
    Laws: every other address is one of the tree, or one that Componium tells; every span is within
    what the tree takes; nothing overlaps.
    """
    parts = list(tree.below(f"{PREFIX}/part"))
    width = max(WIDTH, len(parts) * STRIP + GAP)
    widgets = [*_top(tree, width, token), *_middle(tree, width), *_strips(tree, parts, width)]
    return Page(title, width, HEIGHT, tuple(widgets))


def _top(tree: Tree, width: float, token: str) -> Iterator[Widget]:
    buttons = [Widget("button", name, f"{PREFIX}/{name}") for name in ("play", "stop", "continue")]
    buttons.append(Widget("button", "panic", f"{PREFIX}/panic"))
    labels = [Widget("label", name, f"{PREFIX}/{name}") for name in ("key", "section", "chord")]
    present = [each for each in buttons if tree.get(each.address)]
    if token:
        present.insert(0, Widget("button", "auth", AUTH, word=token))
    yield from _grid([*present, *labels], Frame(0, 0, width, TOP), len(present) + len(labels))


def _middle(tree: Tree, width: float) -> Iterator[Widget]:
    height = HEIGHT - TOP - LOW
    x = 0.0
    mood = tree.get(f"{PREFIX}/mood")
    if mood is not None:
        yield _moved(mood, "pad", "mood", Frame(GAP, TOP + GAP, PAD - GAP, height - GAP))
        x = PAD
    faders = [
        _moved(node, "fader", name, span=node.arguments[0].fader)
        for name in ("tempo", "tension", "likeness")
        if (node := tree.get(f"{PREFIX}/{name}")) is not None
    ]
    for name in tree.below(f"{PREFIX}/control"):
        node = tree.nodes[f"{PREFIX}/control/{name}"]
        high = max(1.0, *(abs(float(each)) for each in _now(node)))
        faders.append(_moved(node, "fader", name, span=(min(0.0, *_now(node)), high)))
    room = min(len(faders) * STRIP, width / 3)
    yield from _grid(faders, Frame(x, TOP, room, height), len(faders))
    launchers = [each for kind in ("section", "stinger", "emotion", "style", "scene")
                 for each in _launchers(tree, kind)]  # fmt: skip
    left = Frame(x + room, TOP, width - x - room, height)
    yield from _grid(launchers, left, max(1, round(left.w / 84)))


def _launchers(tree: Tree, kind: str) -> list[Widget]:
    """A button for each name that may be called."""
    node = tree.get(f"{PREFIX}/{kind}")
    choices = node.arguments[0].choices if node is not None else None
    names = list(choices())[:MOST] if choices is not None else []
    return [Widget("button", name, f"{PREFIX}/{kind}", word=name) for name in names]


def _strips(tree: Tree, parts: Sequence[str], width: float) -> Iterator[Widget]:
    wide = (width - GAP) / max(len(parts), 1)
    wide = min(wide, 2 * STRIP)
    for nth, name in enumerate(parts):
        x, y = GAP + nth * wide, HEIGHT - LOW + GAP
        half = (wide - GAP) / 2
        for below, row in (("level", 0), ("density", 1)):
            node = tree.get(f"{PREFIX}/part/{name}/{below}")
            if node is not None:
                frame = Frame(x + row * half, y, half - 2, LOW - 2 * (GAP + TOGGLE))
                yield _moved(node, "fader", name if below == "level" else below, frame)
        for row, below in enumerate(("mute", "solo")):
            address = f"{PREFIX}/part/{name}/{below}"
            if (node := tree.get(address)) is not None:
                frame = Frame(x, HEIGHT - (2 - row) * TOGGLE, wide - GAP, TOGGLE - GAP)
                at = tuple(float(each) for each in _now(node))
                yield Widget("toggle", below, address, frame, spans=((0.0, 1.0),), at=at)


def _now(node: Node) -> tuple[float, ...]:
    values = value_of(node) or ()
    return tuple(float(each) for each in values if not isinstance(each, str)) or (0.0,)


def _moved(
    node: Node,
    kind: Kind,
    label: str,
    frame: Frame = NOWHERE,
    span: tuple[float, float] | None = None,
) -> Widget:
    """What a finger moves: the arguments that must be given."""
    needed = node.needed
    spans = [span or (each.low, each.high) for each in needed]
    now = (*_now(node), *(0.0 for _ in needed))[: len(needed)]
    at = [min(max(each, low), high) for each, (low, high) in zip(now, spans, strict=True)]
    return Widget(kind, label, node.address, frame, spans=tuple(spans), at=tuple(at))


def _grid(widgets: Sequence[Widget], within: Frame, columns: int) -> Iterator[Widget]:
    """Widgets in rows, each of one size."""
    rows = max(1, ceil(len(widgets) / max(columns, 1)))
    w, h = (within.w - GAP) / max(columns, 1), (within.h - GAP) / rows
    for nth, widget in enumerate(widgets):
        row, column = divmod(nth, columns)
        x, y = within.x + GAP + column * w, within.y + GAP + row * h
        yield replace(widget, frame=Frame(x, y, w - GAP, h - GAP))


# TouchOSC ----------------------------------------------------------------------------------------

_COLOURS = {
    "button": (0.25, 0.55, 0.85),
    "toggle": (0.9, 0.45, 0.25),
    "fader": (0.3, 0.75, 0.6),
    "pad": (0.65, 0.45, 0.85),
    "label": (0.15, 0.15, 0.17),
}
_TYPES = {"button": "BUTTON", "toggle": "BUTTON", "fader": "FADER", "pad": "XY", "label": "LABEL"}


def touchosc(page: Page) -> bytes:
    """A `.tosc` file (format 6, of TouchOSC 1.5): XML, packed by zlib.

    Where it sends to is not in the file: that is set in TouchOSC, connection 1.
    Law: the same page gives the same bytes.
    """
    children = []
    for nth, widget in enumerate(page.widgets):
        children.append(_touch_node(page, nth, widget))
        if widget.kind != "label":
            children.append(_caption(page, nth, widget))
    whole = Frame(0, 0, page.width, page.height)
    properties = _property("s", "name", _cdata(page.title)) + _frame(whole)
    properties += _colour("color", (0.06, 0.06, 0.07))
    root = (
        f"<node ID='{_identity(page, 'root')}' type='GROUP'><includes/>"
        f"<properties>{properties}</properties>"
        f"<values>{_touch_value('touch', 'false')}</values>"
        f"<children>{''.join(children)}</children></node>"
    )
    xml = f"<?xml version='1.0' encoding='UTF-8'?><lexml version='6'>{root}</lexml>"
    return zlib.compress(xml.encode(), 9)


def _touch_node(page: Page, nth: int, widget: Widget) -> str:
    label = widget.kind == "label"
    properties = _property("s", "name", _cdata(widget.label)) + _frame(widget.frame)
    properties += _colour("color", _COLOURS[widget.kind])
    values = _touch_value("touch", "false")
    if label:
        properties += _property("b", "interactive", "0") + _property("i", "textSize", "16")
        values += _touch_value("text", widget.label)
        arguments = [_partial("VALUE", "STRING", "text")]
        message = _message(widget.address, arguments, "", send=False, receive=True)
    elif widget.kind == "button":
        properties += _property("i", "buttonType", "0")  # momentary
        values += _touch_value("x", "0")
        kind, word = ("STRING", widget.word) if widget.word else ("INTEGER", "1")
        trigger = _trigger("x", "RISE")
        message = _message(widget.address, [_partial("CONSTANT", kind, word)], trigger)
    else:
        if widget.kind == "toggle":
            properties += _property("i", "buttonType", "1")
        keys = ("x", "y")[: len(widget.spans)]
        shares = [
            (at - low) / (high - low)
            for at, (low, high) in zip(widget.at, widget.spans, strict=True)
        ]
        values += "".join(map(_touch_value, keys, map(_number, shares)))
        kind = "INTEGER" if widget.kind == "toggle" else "FLOAT"
        arguments = [
            _partial("VALUE", kind, key, *span)
            for key, span in zip(keys, widget.spans, strict=True)
        ]
        trigger = "".join(_trigger(key, "ANY") for key in keys)
        message = _message(widget.address, arguments, trigger, receive=True)
    return (
        f"<node ID='{_identity(page, nth)}' type='{_TYPES[widget.kind]}'>"
        f"<properties>{properties}</properties><values>{values}</values>"
        f"<messages>{message}</messages></node>"
    )


def _caption(page: Page, nth: int, widget: Widget) -> str:
    """Words upon a widget: TouchOSC's own have none."""
    frame = widget.frame
    if widget.kind in ("fader", "pad"):
        frame = frame._replace(h=18)
    properties = _property("s", "name", _cdata(f"{widget.label} caption")) + _frame(frame)
    properties += _property("b", "background", "0") + _property("b", "outline", "0")
    properties += _property("b", "interactive", "0") + _property("b", "grabFocus", "0")
    properties += _property("i", "textSize", "12") + _colour("textColor", (1, 1, 1))
    text = _touch_value("text", widget.label)
    return (
        f"<node ID='{_identity(page, f'{nth} caption')}' type='LABEL'>"
        f"<properties>{properties}</properties><values>{text}</values></node>"
    )


def _identity(page: Page, name: object) -> str:
    return str(uuid5(NAMESPACE_URL, f"componium:{page.title}:{name}"))


def _cdata(text: str) -> str:
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def _number(value: float) -> str:
    return f"{value:.6g}"


def _property(kind: str, key: str, value: str) -> str:
    return f"<property type='{kind}'><key>{_cdata(key)}</key><value>{value}</value></property>"


def _frame(frame: Frame) -> str:
    inner = "".join(f"<{key}>{_number(each)}</{key}>" for key, each in frame._asdict().items())
    return _property("r", "frame", inner)


def _colour(key: str, colour: tuple[float, float, float]) -> str:
    inner = "".join(f"<{k}>{_number(v)}</{k}>" for k, v in zip("rgba", (*colour, 1), strict=True))
    return _property("c", key, inner)


def _touch_value(key: str, default: str) -> str:
    return (
        f"<value><key>{_cdata(key)}</key><locked>0</locked>"
        f"<lockedDefaultCurrent>0</lockedDefaultCurrent><default>{_cdata(default)}</default>"
        "<defaultPull>0</defaultPull></value>"
    )


def _partial(kind: str, conversion: str, value: str, low: float = 0, high: float = 1) -> str:
    return (
        f"<partial><type>{kind}</type><conversion>{conversion}</conversion>"
        f"<value>{_cdata(value)}</value><scaleMin>{_number(low)}</scaleMin>"
        f"<scaleMax>{_number(high)}</scaleMax></partial>"
    )


def _trigger(key: str, condition: str) -> str:
    return f"<trigger><var>{_cdata(key)}</var><condition>{condition}</condition></trigger>"


def _message(
    address: str,
    arguments: Iterable[str],
    triggers: str,
    send: bool = True,
    receive: bool = False,
) -> str:
    return (
        f"<osc><enabled>1</enabled><send>{int(send)}</send><receive>{int(receive)}</receive>"
        "<feedback>0</feedback><noDuplicates>0</noDuplicates><connections>0000000001</connections>"
        + (f"<triggers>{triggers}</triggers>" if triggers else "")
        + f"<path>{_partial('CONSTANT', 'STRING', address)}</path>"
        f"<arguments>{''.join(arguments)}</arguments></osc>"
    )


# Open Stage Control ------------------------------------------------------------------------------


def open_stage(page: Page, target: str) -> bytes:
    """A session of Open Stage Control. target: "HOST:PORT", where it sends to."""
    widgets = [_stage_widget(nth, widget, target) for nth, widget in enumerate(page.widgets)]
    root = {"type": "root", "id": "root", "width": page.width, "height": page.height}
    session = {
        "createdWith": "Open Stage Control",
        "version": "1.30.1",
        "type": "session",
        "content": {**root, "variables": {}, "tabs": [], "widgets": widgets},
    }
    return (json.dumps(session, ensure_ascii=False, indent=1) + "\n").encode()


def _stage_widget(nth: int, widget: Widget, target: str) -> dict[str, Any]:
    x, y, w, h = map(round, widget.frame)
    found: dict[str, Any] = {
        "type": {"toggle": "button", "pad": "xy", "label": "text"}.get(widget.kind, widget.kind),
        "id": f"{widget.kind}_{nth}",
        "left": x,
        "top": y,
        "width": w,
        "height": h,
        "address": widget.address,
        "preArgs": [],
        "target": [target],
    }
    if widget.kind == "label":
        return found | {"default": widget.label, "bypass": True}
    found["label"] = widget.label
    if widget.kind == "button":
        found |= {"mode": "tap", "on": widget.word or 1, "typeTags": "s" if widget.word else "i"}
    elif widget.kind == "toggle":
        found |= {"mode": "toggle", "on": 1, "off": 0, "typeTags": "i", "default": widget.at[0]}
    else:
        ranges = [{"min": low, "max": high} for low, high in widget.spans]
        found["typeTags"] = "f" * len(ranges)
        if widget.kind == "pad":
            found |= {"rangeX": ranges[0], "rangeY": ranges[1], "default": list(widget.at)}
            found["snap"] = True
        else:
            found |= {"range": ranges[0], "default": widget.at[0]}
            del found["label"]
            found["html"] = f"<div>{escape(widget.label)}</div>"
    return found


class Writer(NamedTuple):
    """How a page is written for one program. begins: what its files begin with."""

    write: Callable[[Page, str], bytes]
    begins: bytes


WRITERS = {
    "touchosc": Writer(lambda page, target: touchosc(page), b"\x78\xda"),
    "openstage": Writer(open_stage, b"{"),
}
