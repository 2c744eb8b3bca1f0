"""What a scene says of its MIDI inputs: ports, and which of them the command line asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engines.base import Mistake

from .table import Table

MOST_INPUTS = 16


@dataclass(frozen=True)
class InputSpec:
    """A MIDI input as the scene describes it.

    port: part of a port's name, or "virtual".  channel: that alone is heard, 1 to 16; 0 for all.
    offset: nanoseconds by which what is played counts as played later (negative: earlier), as for
    a device that is slow.
    """

    name: str
    port: str
    channel: int = 0
    offset: int = 0


def read_inputs(table: Table | None) -> dict[str, InputSpec]:
    """`[inputs.NAME]`: midi, channel, offset_ms. What is wrong is noted in the table."""
    inputs: dict[str, InputSpec] = {}
    for name in list(table.values) if table is not None else ():
        assert table is not None
        inner = table.table(name)
        if len(inputs) >= MOST_INPUTS or not name.isprintable() or len(name) > 64:
            table.amiss(name, f"expected at most {MOST_INPUTS} names of up to 64 letters", None)
        elif inner is not None:
            port = inner.text("midi")
            if not port:
                inner.amiss("midi", "expected part of a port's name, or 'virtual'", None)
            inputs[name] = InputSpec(
                name,
                port or "virtual",
                0 if "channel" not in inner.values else inner.whole("channel", 1, 1, 16),
                round(inner.number("offset_ms", 0, -500, 500) * 1e6),
            )
            inner.end()
    return inputs


def heard_at(inputs: Mapping[str, InputSpec], asked: Sequence[str]) -> dict[str, InputSpec]:
    """The inputs with what `--midi-in` asks for: the first takes the place of the first, and so on.

    "none" alone leaves no input; a port too many for the scene is an input of its own, which
    commands, mappings and programs are heard from. Errors: Mistake.
    """
    if not asked:
        return dict(inputs)
    if "none" in asked:
        if len(asked) > 1:
            raise Mistake("--midi-in", "expected either none or ports, not both")
        return {}
    if len(asked) > MOST_INPUTS:
        raise Mistake("--midi-in", f"expected at most {MOST_INPUTS} inputs, got {len(asked)}")
    known = list(inputs.values())
    taken = [replace(spec, port=port) for spec, port in zip(known, asked, strict=False)]
    names = {spec.name for spec in taken}
    for port in asked[len(taken) :]:
        name = next(n for n in ("midi", *(f"midi {k}" for k in range(2, 99))) if n not in names)
        names.add(name)
        taken.append(InputSpec(name, port))
    return {spec.name: spec for spec in taken}
