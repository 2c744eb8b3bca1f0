"""The file of a control log: what it survives, and what is refused."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from engines.base import Mistake
from server.concert.journal import Troubled
from server.concert.transport import Mark
from server.takes import log as rooms
from server.takes.log import (
    KEPT,
    KEPT_BANDS,
    KEPT_FOLDERS,
    BandLogs,
    LogWriter,
    Scribe,
    fresh_log,
    logs,
    read_log,
)

HEAD = {"clock": 5 * 10**9, "horizon": 10**8, "wires": []}


def mark(nth: int) -> Mark:
    at = 5 * 10**9 + nth * 1000
    return Mark(at, (at - 700, -(at - 300)), Fraction(nth, 3), Fraction(nth, 3) + 1)


def soon(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    told: list[Troubled] = []
    writer = LogWriter(tmp_path / "a.log", HEAD, told.append)
    for nth in range(1, 50):
        writer(mark(nth), "do", {"from": "osc", "orders": [["/componium/tempo", 90.5, "now"]]})
    writer(mark(50), "end", {})
    assert writer.close()
    read = read_log(tmp_path / "a.log")
    assert not told and read.whole and read.head["horizon"] == 10**8
    assert [entry.mark for entry in read.entries] == [mark(nth) for nth in range(1, 51)]
    assert read.entries[0].data["orders"] == [["/componium/tempo", 90.5, "now"]]


def test_a_torn_last_line_is_left_out_and_any_other_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    writer = LogWriter(path, HEAD, lambda trouble: None)
    for nth in range(1, 9):
        writer(mark(nth), "look", {})
    writer.close()
    whole = path.read_bytes()
    for cut in range(1, 40):
        path.write_bytes(whole[:-cut])
        read = read_log(path)
        assert len(read.entries) == 7 and not read.whole
    lines = whole.split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], b'{"what":"look"}', *lines[4:]]))
    with pytest.raises(Mistake, match=r"a\.log:4"):
        read_log(path)
    path.write_bytes(b"\n".join([*lines[:3], lines[5], *lines[3:]]))
    with pytest.raises(Mistake, match=r"a\.log:5"):
        read_log(path)
    for junk in (b"", b"\n", b"{}\n", b"MThd", b"[" * 100_000):
        path.write_bytes(junk)
        with pytest.raises(Mistake, match="control log"):
            read_log(path)
    with pytest.raises(Mistake, match="cannot be read"):
        read_log(tmp_path / "nowhere.log")


def test_a_full_disk_holds_nothing_up_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    told: list[Troubled] = []
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = LogWriter(tmp_path / "a.log", HEAD, told.append)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
        for nth in range(1, 101):
            writer(mark(nth), "look", {})
        soon(lambda: bool(told))
        assert "cannot be written" in told[0].text and len(told) == 1
        assert len(read_log(tmp_path / "a.log").entries) < 100
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer(mark(101), "end", {})
    assert writer.close()
    read = read_log(tmp_path / "a.log")
    assert [entry.mark for entry in read.entries] == [mark(nth) for nth in range(1, 102)]


def test_a_disk_that_stays_full_ends_the_log_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "WAITING", 2000)
    told: list[Troubled] = []
    (tmp_path / "a.log").symlink_to("/dev/full")
    writer = LogWriter(tmp_path / "a.log", HEAD, told.append)
    for nth in range(1, 200):
        writer(mark(nth), "look", {})
    assert writer.close()
    assert "ends here" in told[-1].text


def test_what_the_logs_of_all_bands_hold_back_is_bounded_together_and_the_first_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "WAITING_BANDS", 20_000)
    told: list[Troubled] = []
    scribe, most = Scribe(), 0
    (tmp_path / "full").symlink_to("/dev/full")
    first = LogWriter(tmp_path / "full", HEAD, told.append, scribe)
    bands = [LogWriter(tmp_path / "full", HEAD, told.append, scribe, 1 << 20) for _ in range(8)]
    soon(lambda: len(told) == 9)  # the disk takes none
    for nth in range(1, 100):
        for writer in (first, *bands):
            writer(mark(nth), "look", {})

    def look() -> None:
        nonlocal most
        most = max(most, sum(each.waiting for each in bands))

    scribe.aside.put(look)
    assert scribe.close()
    assert 10_000 < most <= 20_000
    ended = [trouble for trouble in told if "ends here" in trouble.text]
    assert 0 < len(ended) < 8 and first.waiting > 99 * 50


def test_a_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "LARGEST", 4000)
    told: list[Troubled] = []
    writer = LogWriter(tmp_path / "a.log", HEAD, told.append)
    for nth in range(1, 200):
        writer(mark(nth), "look", {})
    assert writer.close()
    assert (tmp_path / "a.log").stat().st_size <= 4000
    assert "ends here" in told[-1].text and len(told) == 1
    entries = read_log(tmp_path / "a.log").entries
    assert [entry.mark for entry in entries] == [mark(nth) for nth in range(1, len(entries) + 1)]


KILLED = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from server.takes.log import LogWriter
from tests.server.takes.test_log import HEAD, mark
writer = LogWriter(Path(sys.argv[1]), HEAD, lambda trouble: None)
for nth in range(1, 10**6):
    writer(mark(nth), "look", {})
    if nth % 20 == 0:
        print(nth, flush=True)
        time.sleep(0.02)
"""


def test_a_killed_process_leaves_all_but_its_last_second(tmp_path: Path) -> None:
    root = str(Path(__file__).resolve().parents[3])
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.log"), root]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed: list[tuple[float, int]] = []
        while not printed or printed[-1][0] - printed[0][0] < 2:
            printed.append((time.monotonic(), int(process.stdout.readline())))
        process.kill()
    safe = max(nth for when, nth in printed if when < printed[-1][0] - 1)
    entries = read_log(tmp_path / "a.log").entries
    assert len(entries) >= safe
    assert [entry.mark for entry in entries] == [mark(nth) for nth in range(1, len(entries) + 1)]


def test_of_past_performances_the_newest_stay(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    first = fresh_log(folder, "level")
    first.write_text("")
    for nth in range(KEPT + 5):
        path = fresh_log(folder, "level")
        assert not path.exists()
        path.write_text(str(nth))
    assert len(logs(folder)) == KEPT and path.exists() and not first.exists()


def test_one_thread_writes_the_logs_of_many_bands_each_whole(tmp_path: Path) -> None:
    before, told = threading.active_count(), list[Troubled]()
    scribe = Scribe()
    names = ["a", "b", "c", "d"]
    writers = [LogWriter(tmp_path / name, HEAD, told.append, scribe) for name in names]
    assert threading.active_count() == before + 1
    for nth in range(1, 30):
        for place, writer in enumerate(writers):
            if nth == 10 and place == 0:
                writer(mark(nth), "end", {})
                writer.close()
            elif place or nth < 10:
                writer(mark(nth), "end" if nth == 29 else "look", {"nth": nth, "place": place})
    assert scribe.close()
    read = [read_log(tmp_path / name) for name in names]
    assert [len(each.entries) for each in read] == [10, 29, 29, 29]
    assert all(each.whole for each in read) and not told
    assert {entry.data["place"] for entry in read[2].entries} == {2}


def test_no_two_bands_share_a_log_and_those_of_closed_ones_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = BandLogs(tmp_path / "tonight.log")
    paths = [kept.fresh(name) for name in ("ann", "Ann", "ann", "..", "con") for _ in range(80)]
    assert len({str(path).lower() for path in paths}) == 400
    assert {path.parent for path in paths} == {tmp_path / "tonight.bands"}
    for path in paths:
        path.write_bytes(b"x" * 1000)
        kept.close(path)
    assert [path for path in paths if path.exists()] == paths[-KEPT_BANDS:]
    monkeypatch.setattr(rooms, "ROOM_BANDS", 10_000)
    kept.close(kept.fresh("bob"))
    assert len(list(kept.folder.iterdir())) <= 10
    (kept.folder / "mine.log").write_text("not ours")
    again = BandLogs(tmp_path / "tonight.log")
    again.fresh("ann").write_text("x")
    assert sorted(path.name for path in kept.folder.iterdir()) == ["00001 ann.log", "mine.log"]


def test_the_bands_of_the_last_performances_stay(tmp_path: Path) -> None:
    for _ in range(KEPT_FOLDERS + 3):
        path = fresh_log(tmp_path, "waltz")
        path.write_text("x")
        BandLogs(path).fresh("ann").write_text("x")
    assert len(list(tmp_path.glob("*.bands"))) == KEPT_FOLDERS
    assert len(logs(tmp_path)) == KEPT_FOLDERS + 3
