from __future__ import annotations

from fractions import Fraction
from itertools import count

from server.ensemble.agenda import Agenda
from server.ensemble.part import Part
from server.ensemble.setting import Setting
from server.music.meter import parse_meters
from server.music.scale import parse_key
from tests.server.model import row

F = Fraction


def agenda(*specs: tuple[str, str, int]) -> Agenda:
    setting = Setting(1, parse_key("C major"), parse_meters("4/4"))
    return Agenda(
        [
            Part(row(name, words, times=times), setting, count(1).__next__)
            for name, words, times in specs
        ]
    )


def test_each_step_is_handed_out_once_and_before_its_time() -> None:
    both = agenda(("a", "C", 0), ("b", "D E", 0))
    seen: list[tuple[str, Fraction]] = []
    for until in (F(1, 3), F(1, 3), F(2), F(1), F(5, 2)):
        planned, troubles = both.plan(until)
        assert not troubles
        assert all(step.beat < until for _, step in planned)
        seen += [(part.spec.name, step.beat) for part, step in planned]
    assert sorted(seen) == [(name, F(n, 2)) for name in "ab" for n in range(5)]
    assert both.frontier == F(5, 2)


def test_the_leader_is_asked_first() -> None:
    three = agenda(("a", "C", 0), ("b", "c1", 0), ("c", "I", 0))
    assert [part.spec.name for part in three.parts] == ["c", "a", "b"]


def test_it_is_finished_when_all_its_parts_are() -> None:
    both = agenda(("a", "C", 1), ("b", "D", 4))
    both.plan(F(1))
    assert not both.finished
    both.plan(F(3))
    assert both.finished
