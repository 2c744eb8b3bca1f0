"""What is there to stay is passed over, garbage is found all the same, and room is given back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from server.backstage.heap import OFTEN

# In a process of its own: the collector's counts are everybody's.
CODE = """
from collections import deque
from server.backstage.heap import settle

class Ring:
    made = there = 0
    def __init__(self):
        self.me = self
        Ring.made += 1
        Ring.there += 1
    def __del__(self):
        Ring.there -= 1

house = [[n] for n in range(600_000)]
settle()
most, lately = 0, deque(maxlen=5_000)  # who lives for a while, as scenes do, and is old then
for turn in range(200_000):
    lately.append(Ring())
    most = max(most, Ring.there)
print(most)
"""


def test_circles_do_not_pile_up_however_much_is_there_to_stay() -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    new, times, of_that = OFTEN
    assert int(run.stdout) < 5_000 + 1.2 * new * times * (of_that + 1)


# Pieces too small to be mapped for themselves, with one that stays on top of them all.
ROOM = """
import os
from pathlib import Path
from server.backstage.heap import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

pieces = [bytearray(20_000) for _ in range(2_000)]
last = bytearray(20_000)
del pieces
before = resident()
print(give_back(), before - resident())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only this C library says what it holds"
)
def test_what_was_needed_for_a_moment_is_given_back() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ROOM], capture_output=True, text=True, check=True, timeout=60
    )
    could, given = run.stdout.split()
    assert could == "True"
    assert int(given) > 30_000_000


# A large piece that was freed; then as many of half that size, with one that stays on top of them.
LARGE = """
import os
from pathlib import Path
from server.backstage.heap import spare

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

spare()
large = bytearray(b"1") * 2_000_000
del large
pieces = [bytearray(b"1") * 1_000_000 for _ in range(20)]
last = bytearray(b"1") * 1_000_000
before = resident()
del pieces
print(before - resident())
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only this C library says what it holds"
)
def test_large_pieces_are_given_back_at_once_whatever_has_been_freed_before() -> None:
    run = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(run.stdout) > 15_000_000
