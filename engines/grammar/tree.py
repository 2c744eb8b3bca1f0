"""Derivations as trees, to be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .derivation import Made
from .notation import NOTHING
from .rules import Entry, Option, Rule


@dataclass(eq=False, repr=False, slots=True)
class Node:
    """A node of a derivation tree.

    name: a head or a terminal; empty where an alternative is ε.
    rule: the alternative that a head was rewritten to, with its chance; "recalled" where a
    label gave the symbols, "…" where the tree stops short, empty for terminals.
    """

    name: str
    rule: str = ""
    children: list[Node] = field(default_factory=list)

    def leaves(self) -> Iterator[str]:
        """The terminals from left to right."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.name and not node.rule:
                yield node.name
            waiting.extend(reversed(node.children))

    def forms(self) -> Iterator[str]:
        """The leftmost derivation: every sentential form from the start to the terminals."""
        done: list[str] = []
        waiting = [self]
        yield self.name
        while waiting and waiting[-1].rule != "…":
            node = waiting.pop()
            if not node.rule:
                done.append(node.name)
                continue
            waiting.extend(reversed(node.children))
            words = [*done, *(each.name for each in reversed(waiting))]
            yield " ".join(filter(None, words))

    def __str__(self) -> str:
        """One line for each node, indented."""
        lines: list[str] = []
        waiting = [(self, "", "")]
        while waiting:
            node, mark, indent = waiting.pop()
            sign = f" {node.rule}" if node.rule in ("…", "recalled") else ""
            lines.append(f"{mark}{node.name or NOTHING}{sign}")
            last = len(node.children) - 1
            for index in range(last, -1, -1):
                mark, more = ("├─ ", "│  ") if index < last else ("└─ ", "   ")
                waiting.append((node.children[index], indent + mark, indent + more))
        return "\n".join(lines)


def grow(start: Rule, trace: Sequence[Made], limit: int) -> Node:
    """The tree of a leftmost derivation, which is the list of what was made, in order."""
    root = Node(start.name, "…")
    waiting, size = [root], 1
    for made in trace:
        names = made.alternative.entries if isinstance(made, Option) else made
        size += len(names) or 1
        if size > limit:
            break
        node = waiting.pop()
        if isinstance(made, Option):
            node.rule = str(made)
            node.children = [_leaf(entry) for entry in made.alternative.entries] or [Node("")]
        else:
            node.rule = "recalled"
            node.children = [Node(symbol.name) for symbol in made] or [Node("")]
        waiting.extend(child for child in reversed(node.children) if child.rule)
    return root


def _leaf(entry: Entry) -> Node:
    if isinstance(entry, str):
        return Node(entry)
    return Node(entry.name if isinstance(entry, Rule) else entry.label, "…")
