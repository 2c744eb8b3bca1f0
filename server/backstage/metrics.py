"""How a performance is, for machines that watch it: Prometheus' text, and whether all is well.

Written by hand: it is forty lines of text, and everything there is to tell is counted already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from server.concert.journal import Entry, Played, Ticked, Troubled

from .health import Health

FORMAT = "text/plain; version=0.0.4"
FINEST = 10e-6  # s: the first bucket of a wire's lateness; each next is twice as wide
_DROPS = ("late", "thinned", "refused", "swallowed")


class Tally:
    """Counts what the journal tells."""

    def __init__(self) -> None:
        self.notes: Counter[str] = Counter()
        self.troubles: Counter[str] = Counter()
        self.beats = 0
        self.tempo = 0.0

    def __call__(self, entry: Entry) -> None:
        if isinstance(entry, Played):
            self.notes[entry.note.part] += 1
        elif isinstance(entry, Ticked):
            self.beats += 1
            self.tempo = entry.tempo
        elif isinstance(entry, Troubled):
            self.troubles[entry.source] += 1


def metrics(
    health: Health,
    tally: Tally,
    now: int,
    playing: bool,
    gauges: Mapping[str, Callable[[], float]],
    version: str,
) -> str:
    """Everything in Prometheus' text format. now: monotonic ns.  gauges: others, by name."""
    lines: list[str] = []

    def tell(name: str, kind: str, about: str, samples: Iterable[tuple[str, float]]) -> None:
        found = [f"componium_{name}{labels} {_number(value)}" for labels, value in samples]
        if found:
            lines.extend((f"# HELP componium_{name} {about}", f"# TYPE componium_{name} {kind}"))
            lines.extend(found)

    stats = health.stats
    tell("info", "gauge", "Which version this is.", [(_labels(version=version), 1)])
    tell("playing", "gauge", "1 while it plays.", [("", playing)])
    tell("well", "gauge", "1 while every wire answers.", [("", not health.unwell(now))])
    tell("tempo_bpm", "gauge", "Quarter notes a minute.", [("", tally.tempo)])
    tell("beats_total", "counter", "Beats that have begun.", [("", tally.beats)])
    notes = [(_labels(part=part), float(n)) for part, n in sorted(tally.notes.items())]
    tell("notes_total", "counter", "Notes that have begun.", notes)
    troubles = [(_labels(source=each), float(n)) for each, n in sorted(tally.troubles.items())]
    tell("troubles_total", "counter", "Troubles told, by source.", troubles)
    sent = [(_labels(wire=wire), each.get("sent", 0)) for wire, each in stats.items()]
    tell("sent_total", "counter", "Messages that a wire has sent.", sent)
    drops = [
        (_labels(wire=wire, why=why), each.get(why, 0))
        for wire, each in stats.items()
        for why in _DROPS
    ]
    about = "Messages not sent: late, thinned (no room), refused (queue full), swallowed (no port)."
    tell("dropped_total", "counter", about, drops)
    depths = [(_labels(wire=wire), each.get("queued", 0)) for wire, each in stats.items()]
    tell("queue_depth", "gauge", "Events that wait for their time.", depths)
    sounding = [(_labels(wire=wire), each.get("sounding", 0)) for wire, each in stats.items()]
    tell("sounding", "gauge", "Notes that sound.", sounding)
    restarts = [(_labels(wire=wire), float(n)) for wire, n in health.restarts.items()]
    tell("wire_restarts_total", "counter", "Wires that died and were replaced.", restarts)
    if health.reload_ok is not None:
        about = "Whether the scene was right when it was last read again."
        tell("last_reload_ok", "gauge", about, [("", health.reload_ok)])
    for name, value in gauges.items():
        tell(name, "gauge", name.replace("_", " ").capitalize() + ".", [("", value())])
    lines += _lateness(stats)
    return "\n".join(lines) + "\n"


def _lateness(stats: Mapping[str, Mapping[str, list[int]]]) -> Iterator[str]:
    """How late messages were sent: buckets of the wires, without the sum that nobody counts."""
    told = [(wire, each["lateness"]) for wire, each in stats.items() if "lateness" in each]
    if told:
        yield "# HELP componium_lateness_seconds How late a wire has sent its messages."
        yield "# TYPE componium_lateness_seconds histogram"
    for wire, counts in told:
        total = 0
        for nth, count in enumerate(counts):
            total += count
            bound = "+Inf" if nth == len(counts) - 1 else f"{FINEST * 2**nth:.6g}"
            yield f"componium_lateness_seconds_bucket{_labels(wire=wire, le=bound)} {total}"
        yield f"componium_lateness_seconds_count{_labels(wire=wire)} {total}"


def _labels(**labels: str) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return f"{float(value):.10g}"
