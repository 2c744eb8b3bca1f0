from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from server.band.baton import Baton
from server.concert.clock import VirtualClock
from server.concert.journal import Entry, Ported
from server.concert.player import Player
from server.conductor.mood import Mood
from server.ensemble.encode import MidiEncoder, OscEncoder, OutputSpec
from server.ensemble.rack import MOST_KEPT, Rack, Tape
from server.wire.protocol import ALL
from tests.server.model import MS, Stage, row, scene

GAME = OutputSpec("game", "osc", "[::1]:9000", timing="bundle", ahead=200 * MS)
SYNTH = OutputSpec("synth", "midi", "virtual", rate=3125)
BOTH = {"game": GAME, "synth": SYNTH}
A = row("a", "C", outputs=("game", "synth"))
B = row("b", "C", outputs=("synth",))


def rack() -> tuple[Rack, Tape, Tape]:
    midi, osc = Tape(), Tape()
    return Rack({"midi": midi, "osc": osc}, count(1).__next__), midi, osc


def test_every_part_has_a_virtual_port_of_its_own_and_a_target_one_socket() -> None:
    here, midi, osc = rack()
    outputs = here.patch(BOTH, {7: A, 8: B})
    assert [(p["title"], p["name"], p["rate"]) for p in midi.ports.values()] == [
        ("a", "virtual", 3125),
        ("b", "virtual", 3125),
    ]
    assert [(p["kind"], p["host"], p["number"]) for p in osc.ports.values()] == [
        ("osc", "::1", 9000)
    ]
    assert set(midi.ports) & set(osc.ports) == set()
    synth, game = outputs["synth"].encoder, outputs["game"].encoder
    assert isinstance(synth, MidiEncoder)
    assert isinstance(game, OscEncoder)
    assert set(synth.ports) == {7, 8}
    assert here.lead == 200 * MS
    assert sorted(here.labels.values()) == [("game", ""), ("synth", "a"), ("synth", "b")]


def test_ports_that_scenes_share_stay_open_and_others_are_closed_by_sweep() -> None:
    here, midi, osc = rack()
    here.patch(BOTH, {7: A, 8: B})
    before = dict(midi.ports)
    here.patch({"synth": SYNTH}, {9: A})
    assert midi.ports == before
    here.sweep()
    assert osc.ports == {}
    assert set(midi.ports) == set(before), "what is patched to a virtual port stays patched"
    assert list(here.labels.values()) == [("synth", "a")]
    here.clear()
    assert midi.ports == {}
    assert not here.numbers.ports


def test_a_scene_that_comes_back_finds_its_virtual_ports_again() -> None:
    here, midi, _ = rack()
    told: list[tuple[str, ...]] = []
    here.closed = lambda *what: told.append(what)
    here.patch({"synth": SYNTH}, {7: A, 8: B})
    of_b = next(port for port, settings in midi.ports.items() if settings["title"] == "b")
    for port in midi.ports:
        assert here.hear("midi", port, "open", "") is not None
    here.patch({"synth": SYNTH}, {9: A})
    here.sweep()
    assert here.hear("midi", of_b, "lost", "no server") is None, "nobody plays there"
    assert midi.ports[of_b]["idle"], "so that no pedal stays down"
    here.patch({"synth": SYNTH}, {10: B})
    assert here.labels["midi", of_b] == ("synth", "b")
    assert "idle" not in midi.ports[of_b], "and the wire says how it does"
    here.sweep()
    assert [what[1] for what in told] == ["b", "a"]
    assert len(midi.ports) == 2
    faster, before = replace(SYNTH, rate=0), set(midi.ports)
    here.patch({"synth": faster}, {11: A})
    assert [p["rate"] for p in midi.ports.values() if p["title"] == "a"] == [0], "one of a name"
    here.patch({"synth": replace(faster, sensing=True)}, {12: A})
    assert [p["sensing"] for p in midi.ports.values() if p["title"] == "a"] == [True]
    here.sweep()
    assert set(midi.ports) == before, "with its cables"


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6), max_size=30))
def test_of_ports_that_nobody_uses_few_are_kept(scenes: list[list[int]]) -> None:
    here, midi, _ = rack()
    for numbers in scenes:
        here.patch({"synth": SYNTH}, {n: row(f"p{n}", "C", outputs=("synth",)) for n in numbers})
        here.sweep()
        titles = [port["title"] for port in midi.ports.values()]
        assert {f"p{n}" for n in numbers} <= set(titles)
        assert len(set(titles)) == len(titles) <= len(set(numbers)) + MOST_KEPT
        assert set(here.labels) <= {("midi", port) for port in midi.ports}


def test_a_port_is_told_by_the_names_of_the_scene_that_uses_it_now() -> None:
    here, midi, _ = rack()
    here.patch(BOTH, {7: A, 8: B})
    renamed = replace(SYNTH, name="piano")
    here.patch({"piano": renamed}, {9: row("a", "C", outputs=("piano",))})
    here.sweep()
    assert list(here.labels.values()) == [("piano", "a")]
    assert len(midi.ports) == 2, "that of b is kept"


def test_an_existing_port_that_parts_share_is_no_parts_own() -> None:
    here, _, _ = rack()
    here.patch({"synth": replace(SYNTH, target="Soft Synth")}, {7: A, 8: B})
    assert list(here.labels.values()) == [("synth", "")]


def test_the_journal_says_whose_port_has_gone() -> None:
    player = Player(VirtualClock(), lambda ids: Rack({"midi": Tape(), "osc": Tape()}, ids))
    heard: list[Entry] = []
    player.journal.add(heard.append)
    player.cue(scene(row("a", "C"), row("b", "C"), output=SYNTH))
    for kind, port in sorted(player.rack.labels):
        player.port_state(kind, port, "lost", "unplugged")
    player.port_state("osc", 9, "failed", "what is that")
    assert heard == [
        Ported("out", "lost", "unplugged", "a"),
        Ported("out", "lost", "unplugged", "b"),
        Ported("osc 9", "failed", "what is that"),
    ]


def test_it_is_told_which_ports_have_gone_for_good() -> None:
    here, _, _ = rack()
    gone: list[tuple[str, str]] = []
    here.closed = lambda output, part, why: gone.append((output, part))
    here.patch({"synth": SYNTH}, {7: A, 8: B})
    here.patch({"synth": SYNTH}, {9: A})
    assert gone == []
    here.sweep()
    assert gone == [("synth", "b")]
    here.patch({"synth": replace(SYNTH, target="Soft Synth")}, {9: A})
    here.sweep()
    assert gone[1:] == [("synth", "a")]
    here.patch({"synth": replace(SYNTH, target="Hard Synth")}, {9: A})
    here.sweep()
    assert len(gone) == 2, "an output of that name has a port still"


def test_ports_of_many_scenes_stay_few_numbers() -> None:
    here, _, osc = rack()
    for number in range(2000):
        spec = OutputSpec("o", "osc", f"127.0.0.1:{number + 1}")
        here.patch({"o": spec}, {1: row("a", "C", outputs=("o",))})
        here.sweep()
    assert max(osc.ports) < 4
    assert len(osc.ports) == 1


def test_what_has_no_wire_or_no_part_is_silent() -> None:
    osc = Tape()
    here = Rack({"osc": osc}, count(1).__next__)
    assert set(here.patch(BOTH, {7: A})) == {"game"}
    assert here.patch(BOTH, {7: B}) == {}
    assert here.lead == 0


def test_time_is_told_to_both_the_old_and_the_new() -> None:
    here, _, _ = rack()
    encoders = [here.patch(BOTH, {n: A})["game"].encoder for n in (1, 2)]
    here.set_time(5, 6)
    assert [(e.now, e.wall) for e in encoders if isinstance(e, OscEncoder)] == [(5, 6), (5, 6)]


def test_after_sleep_every_port_is_opened_anew() -> None:
    here, midi, osc = rack()
    here.patch(BOTH, {7: A, 8: B})
    settings = [dict(midi.ports), dict(osc.ports)]
    midi.ports.clear()
    osc.ports.clear()
    here.reopen()
    assert [midi.ports, osc.ports] == settings


def test_commands_reach_every_wire() -> None:
    here, midi, osc = rack()
    here.cut(3)
    here.recall()
    here.everywhere("silence")
    here.everywhere("panic")
    assert midi.calls == osc.calls
    assert [name for name, _ in midi.calls] == ["cut", "recall", "silence", "panic"]


def test_a_wire_that_raises_is_told_once_and_takes_no_other_down() -> None:
    here, midi, osc = rack()
    told: list[str] = []
    here.trouble = told.append

    def fail(part: int = 0) -> None:
        raise RuntimeError("broken")

    recall, midi.recall = midi.recall, fail  # type: ignore[method-assign]
    here.recall()
    here.recall()
    midi.recall = recall  # type: ignore[method-assign]
    here.recall()
    assert told == ["midi: cannot recall: RuntimeError: broken"]
    assert (len(midi.calls), len(osc.calls)) == (1, 3)


def test_what_is_recalled_leaves_in_one_piece_with_what_takes_its_place() -> None:
    stage = Stage(scene(*(row(name, "C D E", grid=Fraction(1, 16)) for name in "abc")))
    pieces: list[tuple[set[int], set[int]]] = []
    inside, recalled = [False], list[bool]()
    recall = stage.wire.recall

    @contextmanager
    def piece() -> Iterator[None]:
        before, inside[0] = set(stage.wire.queued), True
        yield
        pieces.append((before, set(stage.wire.queued)))
        inside[0] = False

    def noted(part: int = ALL) -> None:
        recalled.append(inside[0])
        recall(part)

    stage.player.rack.together, stage.wire.recall = piece, noted  # type: ignore[method-assign]
    stage.player.play()
    stage.go(500 * MS)
    recalled.clear()
    asks: tuple[Callable[[], object], ...] = (
        lambda: stage.player.strip("b", "level", 0.3),
        lambda: Baton(stage.player).mood(Mood(0.5, 0.9), when="now"),
        lambda: stage.player.strip("a", "octave", 1, "beat"),
    )
    for ask in asks:
        pieces.clear()
        with stage.player.together():
            ask()
        ((before, after),) = pieces
        assert len(before) > 5 and before <= after
    assert len(recalled) > 5 and all(recalled)
