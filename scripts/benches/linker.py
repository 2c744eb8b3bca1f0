"""A second member of a Link session in a process of its own; it shares no code with what it judges.

`python -m scripts.benches.linker BPM SECONDS [AT:BPM …]` joins, asks for other tempi at these
seconds, and prints JSON: [[monotonic ns, beat, tempo, peers], …], some hundred a second.
"""

from __future__ import annotations

import json
import sys
import time


def main(bpm: float, seconds: float, changes: list[tuple[float, float]]) -> None:
    import link

    session = link.Link(bpm)
    session.enabled = True
    clock = session.clock()
    begin = time.monotonic_ns()
    rows = []
    print("ready", flush=True)
    while (now := time.monotonic_ns()) < begin + seconds * 1e9:
        if changes and now - begin > changes[0][0] * 1e9:
            state = session.captureAppSessionState()
            state.setTempo(changes.pop(0)[1], clock.micros())
            session.commitAppSessionState(state)
        state = session.captureAppSessionState()
        before = time.monotonic_ns()
        micros = clock.micros()
        after = time.monotonic_ns()
        if after - before < 20_000:
            beat = state.beatAtTime(micros, 4.0)
            rows.append(((before + after) // 2 - 500, beat, state.tempo(), session.numPeers()))
        time.sleep(0.002)
    session.enabled = False
    print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main(
        float(sys.argv[1]),
        float(sys.argv[2]),
        [(float(at), float(bpm)) for at, bpm in (each.split(":") for each in sys.argv[3:])],
    )
