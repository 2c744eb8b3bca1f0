from __future__ import annotations

import pytest

from engines.base import Mistake
from server.score.scene import parse_scene
from server.score.sync import SyncSpec, asked
from server.score.table import Mistakes

PART = '[parts.a]\nengine = "grammar"\nrules = "S -> 1:1/4"\n'


def test_a_scene_says_who_leads() -> None:
    assert parse_scene(PART).sync == SyncSpec()
    text = '[sync]\nsource = "midi"\ninput = "Deluge"\npatience = 1\nlost = "stop"\n' + PART
    assert parse_scene(text).sync == SyncSpec("midi", "Deluge", True, 10**9, "stop")
    assert not parse_scene('[sync]\nsource = "link"\n' + PART).sync.transport


def test_what_is_wrong_is_told_at_its_place() -> None:
    with pytest.raises(Mistake) as caught:
        parse_scene('[sync]\nsource = "ltc"\npatience = 0\n' + PART)
    assert isinstance(caught.value, Mistakes)
    assert [each.place for each in caught.value.each] == ["sync.source", "sync.patience"]


def test_the_command_line_goes_first() -> None:
    spec = SyncSpec("midi", "Deluge", False)
    assert asked(spec, "") == spec
    assert asked(spec, "midi:IAC").input == "IAC"
    assert asked(spec, "midi").input == "Deluge"
    assert asked(spec, "internal").source == "internal"
    assert not asked(spec, "link").transport
    for wrong in ("ltc", "link:4", "midi:Deluge:1:", ":"):
        if wrong.startswith("midi"):
            assert asked(spec, wrong).input == "Deluge:1:"
        else:
            with pytest.raises(Mistake, match="expected internal, midi"):
                asked(spec, wrong)
