"""What a scene says of its outputs: MIDI ports, and targets by OSC."""

from __future__ import annotations

import re

from engines.base import Mistake
from server.ensemble.encode import OutputSpec

from .table import NAME, Table, shown

MOST_OUTPUTS = 64


def read_outputs(table: Table | None) -> dict[str, OutputSpec]:
    """The outputs by their names; mistakes are noted in the table."""
    if table is None:
        return {}
    names = list(table.values)
    if len(names) > MOST_OUTPUTS:
        problem = f"expected at most {MOST_OUTPUTS} outputs, got {len(names)}"
        table.note(Mistake(table.place, problem))
    return {name: _output(name, table.table(name)) for name in names}


def _output(name: str, table: Table | None) -> OutputSpec:
    """One output; where it cannot be told what it is, one of that name that parts can go to."""
    if table is None:
        return OutputSpec(name, "midi", "virtual")
    if not NAME.match(name):
        wanted = "expected a name of 1 to 64 letters, digits, spaces, _ . -"
        table.note(Mistake(table.place, wanted))
    kinds = [kind for kind in ("midi", "osc") if table.values.get(kind, "") != ""]
    if len(kinds) != 1:
        problem = "expected either midi = 'PORT' or osc = 'HOST:PORT'"
        table.note(Mistake(table.place, problem))
        return OutputSpec(name, "midi", "virtual")
    midi, osc = table.text("midi"), table.text("osc")
    offset = round(table.number("offset_ms", 0, -1000, 1000) * 1e6)
    if kinds == ["midi"]:
        rate = table.take("rate", 0)
        if rate == "din":
            rate = 3125
        if not isinstance(rate, int) or isinstance(rate, bool) or not 0 <= rate <= 10**7:
            rate = table.amiss("rate", f"expected 'din' or bytes a second, got {shown(rate)}", 0)
        spec = OutputSpec(
            name,
            "midi",
            midi,
            offset,
            clock=table.flag("clock"),
            rate=rate,
            sensing=table.flag("sensing"),
        )
    else:
        preset = table.choice("preset", "", ("", "superdirt"))
        timing = table.choice("timing", "bundle" if preset else "live", ("live", "bundle", "stamp"))
        prefix = table.text("prefix", "/componium")
        if not re.fullmatch(r"(/[A-Za-z0-9_.-]+)*", prefix):
            table.amiss("prefix", f"expected such as '/componium', got {shown(prefix)}", None)
        ahead = table.number("ahead_ms", 200 if timing == "bundle" else 0, 0, 2000)
        spec = OutputSpec(
            name,
            "osc",
            osc,
            offset,
            timing=timing,
            ahead=round(ahead * 1e6),
            prefix=prefix,
            preset=preset,
            why=table.flag("why"),
        )
        if osc:
            try:
                check_target(osc, table.at("osc"))
            except Mistake as mistake:
                table.note(mistake)
    table.end()
    return spec


def check_target(text: str, place: str) -> str:
    """HOST:PORT, as it was, or a Mistake."""
    host, _, port = text.rpartition(":")
    right = host.isprintable() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
    try:
        host.strip("[]").encode("idna")
    except UnicodeError:
        right = False
    if not host.strip("[]") or not right:
        raise Mistake(place, f"expected HOST:PORT such as '127.0.0.1:9000', got {text!r}")
    return text
