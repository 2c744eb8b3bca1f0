"""Entries of several bands on one standard output."""

from __future__ import annotations

import io
import json

from server.concert.journal import Troubled
from server.takes.lines import Printer


def test_json_tells_whose_an_entry_is() -> None:
    out = io.StringIO()
    printer = Printer(json_lines=True, out=out)
    printer(Troubled("a", "own"))
    printer.beside("ann")(Troubled("b", "hers"))
    assert printer.close()
    own, hers = map(json.loads, out.getvalue().splitlines())
    assert "session" not in own
    assert hers == {"session": "ann", "event": "trouble", "source": "b", "text": "hers"}
