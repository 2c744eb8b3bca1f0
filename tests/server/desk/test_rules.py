"""A part's rules written anew while it plays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from engines.base import Mistake
from server.concert.journal import Played
from server.desk.desk import Source
from server.score.scene import find_scene, load_scene, parse_scene
from tests.server.desk.rig import MS, SECOND, Stage

PREFIX = "/componium/part"
SCENE = """
tempo = 120
[parts.tune]
engine = "grammar"
rules = '''
S -> C D
'''
grid = "1/4"
[parts.low]
engine = "lsystem"
axiom = "A"
rules = "A -> AB\\nB -> A"
reading = { A = "1", B = "5" }
grid = "1/2"
[parts.late]
engine = "grammar"
rules = "S -> G"
enters = 4
[parts.chain]
engine = "markov"
text = "C4 D4 E4 C4"
[stingers.hit]
engine = "grammar"
rules = "S -> C6"
length = "1 bar"
"""


class Writer(Stage):
    """A stage whose sender may write. when: how far the plan runs ahead."""

    def __init__(self, tmp_path: Path, horizon: int = 100 * MS) -> None:
        super().__init__(tmp_path, cued=False)
        self.player.horizon = horizon
        self.player.cue(parse_scene(SCENE, "first"))
        self.source = replace(self.source, role="edit")
        self.player.play()

    async def write(self, part: str, text: str, *when: str) -> list[tuple[str, str]]:
        """Rewrite a part; the states and reasons that came until it had been read."""
        self.receipts.clear()
        self.desk.receive(f"{PREFIX}/{part}/rules", (text, *when), self.source)
        await self.loaded()
        return [(state, reason) for _, state, _, reason in self.receipts]

    def played(self, part: str) -> list[tuple[Fraction, str]]:
        notes = (each for each in self.journal if isinstance(each, Played))
        return [(n.moment.beat, n.note.symbol.name) for n in notes if n.note.part == part]


async def test_new_rules_play_from_the_next_bar_and_the_others_play_on(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    other = Writer(tmp_path)
    await stage.pass_time(SECOND)
    await other.pass_time(SECOND)
    assert await stage.write("tune", "S -> E F G") == [("armed", "")]
    await stage.pass_time(4 * SECOND)
    await other.pass_time(4 * SECOND)
    assert stage.receipts[-1][1:3] == ("done", 2.0)
    symbols = dict(stage.played("tune"))
    assert [symbols[Fraction(n)] for n in range(8)] == [*"CDCD", *"EFGE"]
    assert stage.played("low") == other.played("low")
    assert stage.desk.tree.nodes[f"{PREFIX}/tune/rules"].value is not None
    assert stage.player.scene is not None and stage.player.scene.rules("tune") == "S -> E F G"


@pytest.mark.parametrize("horizon", [60 * MS, 100 * MS, 400 * MS])
async def test_what_is_heard_does_not_depend_on_the_horizon(tmp_path: Path, horizon: int) -> None:
    stage = Writer(tmp_path, horizon)
    await stage.pass_time(SECOND)
    await stage.write("tune", "S -> E:1/2 F:1/4")
    await stage.pass_time(4 * SECOND)
    found = [(beat, name) for beat, name in stage.played("tune") if 3 <= beat <= 8]
    assert [(int(beat), name) for beat, name in found[:3]] == [(3, "D"), (4, "E:1/2"), (6, "F:1/4")]


async def test_a_long_note_does_not_hold_new_rules_up(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    await stage.write("tune", "S -> C:4/1", "now")
    await stage.pass_time(5 * SECOND)
    await stage.write("tune", "S -> D:1/4")
    await stage.pass_time(3 * SECOND)
    after = [(beat, name) for beat, name in stage.played("tune") if name == "D:1/4"]
    assert after[0][0] % 4 == 0 and after[0][0] <= 12, "at the bar, under the note that sounds"


async def test_a_mistake_is_refused_with_its_line_and_the_old_rules_play(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    [(state, reason)] = await stage.write("tune", "S -> C D\nT -> G -> C")
    assert state == "refused"
    assert reason.startswith("parts.tune.rules, line 2, column "), reason
    [(state, reason)] = await stage.write("tune", "S -> Nonsense")
    assert state == "refused" and "has no meaning" in reason
    [(state, reason)] = await stage.write("low", "A -> AB\nB ->> A")
    assert state == "refused" and "line 2" in reason, reason
    await stage.pass_time(3 * SECOND)
    assert {name for _, name in stage.played("tune")} == {"C", "D"}
    assert not any("went wrong" in text for text in stage.troubles)


async def test_a_part_that_has_not_entered_yet_still_waits_for_its_bar(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    await stage.write("late", "S -> A")
    await stage.pass_time(8 * SECOND)
    assert stage.played("late")[0] == (Fraction(12), "A")


async def test_a_part_that_failed_or_ended_plays_again(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    tune = stage.player.part("tune").part
    tune._ended = True
    await stage.pass_time(SECOND)
    await stage.write("tune", "S -> E")
    await stage.pass_time(4 * SECOND)
    assert stage.played("tune")[-1][1] == "E"


async def test_two_parts_can_wait_for_one_bar_and_a_third_way_is_called_off(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    await stage.write("tune", "S -> E")
    assert await stage.write("low", "A -> B\nB -> B") == [("armed", "")]
    await stage.write("chain", "G4 G4 G4")
    stage.desk.receive("/componium/cancel", (f"{PREFIX}/low/rules",), stage.source)
    await stage.pass_time(5 * SECOND)
    assert stage.played("tune")[-1][1] == "E" and stage.played("chain")[-1][1] == "G4"
    assert (f"{PREFIX}/low/rules", "cancelled") in [each[:2] for each in stage.receipts]
    assert "A" in {name for beat, name in stage.played("low") if beat > 5}
    scene = stage.player.scene
    assert scene is not None
    assert (scene.rules("tune"), scene.rules("low")) == ("S -> E", "A -> AB\nB -> A")
    again = scene.rewritten("low", "A -> BA\nB -> A")
    assert again.rules("tune") == "S -> E", "what was written before is still there"


async def test_rules_written_in_a_halt_play_on_and_from_the_beginning(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    await stage.pass_time(1260 * MS)
    stage.send("/stop")
    assert (await stage.write("tune", "S -> E F"))[-1] == ("done", "")
    stage.journal.clear()
    stage.send("/continue")
    await stage.pass_time(2 * SECOND)
    assert all(beat.denominator == 1 for beat, _ in stage.played("tune"))
    assert [name for _, name in stage.played("tune")][-3:] in (["E", "F", "E"], ["F", "E", "F"])
    beats = [beat for beat, _ in stage.played("tune")]
    assert len(set(beats)) == len(beats), "nothing sounds twice"
    stage.send("/stop")
    stage.journal.clear()
    stage.send("/play")
    await stage.pass_time(2 * SECOND)
    assert [name for _, name in stage.played("tune")][:2] == ["E", "F"]


@pytest.mark.parametrize("text", ["S -> S", "S -> S S", "S -> T\nT -> S", "S -> ", "# nothing"])
async def test_rules_that_lead_nowhere_are_refused_in_time(tmp_path: Path, text: str) -> None:
    stage = Writer(tmp_path)
    [(state, reason)] = await stage.write("tune", text)
    assert state == "refused" and reason
    assert await stage.write("tune", "S -> E") == [("armed", "")]


async def test_another_scene_is_not_written_into(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    (tmp_path / "second.toml").write_text(SCENE)
    await stage.write("tune", "S -> E", "2 bars")
    stage.desk.receive("/componium/scene", ("second",), stage.source)
    await stage.loaded()
    await stage.pass_time(8 * SECOND)
    assert {name for _, name in stage.played("tune")} == {"C", "D"}


async def test_only_who_may_edit_can_write_and_texts_have_an_end(tmp_path: Path) -> None:
    stage = Writer(tmp_path)
    stage.source = Source("osc", "control", stage.source.answer)
    [(state, reason)] = await stage.write("tune", "S -> E")
    assert state == "refused" and "needs the role edit" in reason
    stage.source = replace(stage.source, role="edit")
    [(state, reason)] = await stage.write("tune", "S -> E #" + "x" * 40_000)
    assert state == "refused" and "at most 32768" in reason


def test_rules_of_a_style_and_of_a_shared_progression_can_be_written(tmp_path: Path) -> None:
    scene = parse_scene('style = "jazz"\n[parts.more]\nharmony = "blues"\nmute = true\n', "mine")
    part = next(each.name for each in scene.parts if each.engine_name == "grammar")
    told = scene.rewritten(part, scene.rules(part))
    assert told.rules(part) == scene.rules(part)
    with pytest.raises(Mistake) as caught:
        scene.rewritten(part, "S ->\n -> ->")
    assert caught.value.place == f"parts.{part}.rules" and caught.value.line
    with pytest.raises(Mistake, match="no such part"):
        scene.rewritten("nobody", "S -> C")


def test_every_part_of_a_shipped_scene_can_be_written_as_it_is() -> None:
    scene = load_scene(find_scene("house"))
    for part in scene.ensemble:
        if text := scene.rules(part.name):
            again = scene.rewritten(part.name, text)
            assert again.rules(part.name) == text
