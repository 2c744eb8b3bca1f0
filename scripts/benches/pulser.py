"""A MIDI clock in a process of its own, as unsteady as asked for.

`python -m scripts.benches.pulser NAME JSON` opens the JACK output NAME:out and waits for a line.
Then it sends two beats of pulses, a start, and pulses to the end, each strayed by up to so many ms,
and prints one line of JSON: when each pulse from beat 0 on ideally was, in monotonic ns. JSON has
ms, seed, tempi ([[beat, bpm], …]), gap ([from, to] in beats, or none) and beats. It shares no code
with what it judges.
"""

from __future__ import annotations

import json
import random
import sys
import time

SPIN = 400_000  # ns


def wait_until(ns: int) -> None:
    """To some microseconds."""
    rest = ns - SPIN - time.monotonic_ns()
    if rest > 0:
        time.sleep(rest / 1e9)
    while time.monotonic_ns() < ns:
        pass


def main(name: str, wish: str) -> None:
    import rtmidi

    asked = json.loads(wish)
    port = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name=name)
    port.open_virtual_port("out")
    print("ready", flush=True)
    sys.stdin.readline()
    rng = random.Random(asked["seed"])
    gap = asked.get("gap") or [1e9, 1e9]
    at, ideal, come = time.monotonic_ns() + 50e6, [], []
    for pulse in range(-48, round(asked["beats"] * 24)):
        beat = pulse / 24
        bpm = [tempo for begin, tempo in asked["tempi"] if begin <= max(beat, 0)][-1]
        if pulse >= 0:
            ideal.append(round(at))
        if not gap[0] <= beat < gap[1]:
            come.append((round(at + rng.uniform(-1, 1) * asked["ms"] * 1e6), b"\xf8"))
        if pulse == -1:
            come.append((round(at + 30e9 / bpm / 24), b"\xfa"))
        at += 60e9 / bpm / 24
    start = next(nth for nth, (_, data) in enumerate(come) if data == b"\xfa")
    fixed = come[start][0]  # between the pulses before and after it, however those stray
    before = sorted(each for each in come[:start])
    after = sorted((max(ns, fixed + 1_000_000), data) for ns, data in come[start + 1 :])
    for ns, data in [*((min(ns, fixed - 1_000_000), d) for ns, d in before), come[start], *after]:
        wait_until(ns)
        port.send_message(data)
    time.sleep(0.1)
    port.send_message(b"\xfc")
    time.sleep(0.1)
    print(json.dumps(ideal), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
