"""What is there to stay is passed over, and garbage is found all the same."""

from __future__ import annotations

import subprocess
import sys

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
