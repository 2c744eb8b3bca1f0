"""The prefix structure: every context that was ever met, and all that followed it.

A tree of reversed contexts as in the Continuator (Pachet 2002): a node's children are the
contexts that are one symbol longer into the past. Nodes hold places in the remembered sequence
and not counts, so what is drawn comes back in full, with its timing and loudness.

The tree is grown where it is asked for: a node's places are dealt out to its children when a
longer context is first looked up. So learning is one append, and there is never more than one
place for each remembered link, depth and reduction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from engines.base import Origin
from engines.items import BREAK, Item, shared

#: The longest context that is kept.
MAX_ORDER = 10

#: How much temperature may flatten or sharpen.
COLDEST, HOTTEST = 0.05, 20.0

#: The kind of table, and so the number of the filter, that decides which context is trusted.
OPEN = 0

Allowed = Callable[[Item], bool]

#: The words of each reduction, finest first.
Reductions = tuple[tuple[str, ...], ...]


class Link(NamedTuple):
    """An item in the chain and its labels: what each reduction, finest first, makes of it."""

    item: Item
    labels: tuple[str, ...]


class Table:
    """What may follow a context: `links` grouped by label, the groups ending at `bounds`.

    whole: how many continuations there were before the table's filter.
    """

    __slots__ = ("_heat", "_heights", "bounds", "labels", "links", "whole")

    def __init__(self, groups: dict[str, list[Link]], whole: int) -> None:
        self.labels = tuple(groups)
        self.links = [link for group in groups.values() for link in group]
        self.bounds = [0, *accumulate(map(len, groups.values()))]
        self.whole = whole
        self._heat, self._heights = -1.0, [0.0]  # of no temperature yet

    def counts(self) -> list[int]:
        """How often each label followed."""
        return [after - before for before, after in zip(self.bounds, self.bounds[1:], strict=False)]

    def draw(self, temperature: float, random: Callable[[], float]) -> tuple[int, Link]:
        """A label's number and a link: proportional to count ** (1 / temperature)."""
        which = climb(self._sums(temperature), random)
        return which, self.one(which, random)

    def chance(self, which: int, temperature: float) -> float:
        """The probability of the label of this number at a temperature."""
        if temperature == 1.0:
            return (self.bounds[which + 1] - self.bounds[which]) / self.bounds[-1]
        return share(self._sums(temperature), which)

    def _sums(self, temperature: float) -> list[float]:
        if temperature != self._heat:
            self._heat, self._heights = temperature, heights(self.counts(), temperature)
        return self._heights

    def one(self, which: int, random: Callable[[], float]) -> Link:
        """Any of the links that have the label of this number, each as likely."""
        start = self.bounds[which]
        return self.links[start + int(random() * (self.bounds[which + 1] - start))]


def heights(weights: Sequence[float], temperature: float) -> list[float]:
    """Running sums of weight ** (1 / temperature), the greatest weight taken as 1."""
    top = max(weights)
    if temperature == 1.0:
        return list(accumulate([weight / top for weight in weights]))
    power = 1.0 / min(HOTTEST, max(COLDEST, temperature))
    return list(accumulate([(weight / top) ** power for weight in weights]))


def climb(sums: Sequence[float], random: Callable[[], float]) -> int:
    """The number of the weight that a uniform draw from running sums falls into."""
    return min(bisect_right(sums, random() * sums[-1]), len(sums) - 1)


def share(sums: Sequence[float], which: int) -> float:
    """How much of the whole one weight is."""
    return (sums[which] - (sums[which - 1] if which else 0.0)) / sums[-1]


class Node:
    """A context: its `label` followed in time by the context of its `parent`.

    level: the number of the reduction.  depth: how many labels.
    onward: the contexts that `Chain.onward` found to come next.
    ways: for each order asked for, what was drawn from here.
    """

    __slots__ = (
        "children", "depth", "label", "level", "onward", "parent", "places", "tables", "ways",
    )  # fmt: skip

    def __init__(self, level: int, parent: Node | None = None, label: str = "") -> None:
        self.level, self.parent, self.label = level, parent, label
        self.depth: int = parent.depth + 1 if parent is not None else 0
        # Most nodes are passed by for ever: what is drawn from some makes room when it comes.
        self.onward: dict[tuple[str, int], Node] | None = None
        self.places: list[int] = []
        self.children: dict[str, Node] | None = None
        self.tables: dict[int, Table] | None = None
        self.ways: dict[int, Way] | None = None

    def key(self, view: int) -> str:
        """What praise of what follows is kept under. view: the number of the chain."""
        return " ".join((f"{view}.{self.level}:", *self.context()))

    def context(self) -> tuple[str, ...]:
        """The labels that precede, oldest first; empty for a root."""
        labels: list[str] = []
        node = self
        while node.parent is not None:
            labels.append(node.label)
            node = node.parent
        return tuple(labels)


class Memory:
    """A remembered sequence of links and its prefix tree for each reduction.

    levels: how many reductions there are.
    room: how many of the latest links may be drawn again; older ones are forgotten.
    filters: which items tables of each kind let through.
    """

    def __init__(self, levels: int, room: int, filters: Sequence[Allowed]) -> None:
        self.roots = tuple(Node(level) for level in range(levels))
        self._room, self._filters = room, tuple(filters)
        self._links: list[Link] = []
        self._gone = 0  # links that left the front of the list
        self._oldest = 0  # the first place that may still be drawn

    def __len__(self) -> int:
        return self._gone + len(self._links) - self._oldest

    def links(self) -> Iterator[Link]:
        """What may be drawn, oldest first."""
        return iter(self._links[self._oldest - self._gone :])

    def learn(self, link: Link) -> None:
        """Append one; breaks part the pieces, and two in a row are one."""
        if link.item is BREAK and self._links and self._links[-1].item is BREAK:
            return
        place = self._gone + len(self._links)
        self._links.append(link)
        for root in self.roots:
            for node in self._path(root, place, grow=True):
                node.places.append(place)
                node.tables = None
        if len(self) > self._room:
            self._forget()

    def table(self, node: Node, kind: int) -> Table:
        """What may follow a context, through the filter of this kind."""
        tables = node.tables
        if tables is None:
            tables = node.tables = {}
        table = tables.get(kind)
        if table is None:
            table = tables[kind] = self._tabulate(node, kind)
        return table

    def longer(self, node: Node, label: str) -> Node | None:
        """The context that is this one with a label before it, None where it was never met."""
        if node.children is None:
            self._grow(node)
        assert node.children is not None
        return node.children.get(label)

    def _grow(self, node: Node) -> None:
        node.children = {}
        back = node.depth + 1
        if node.label == BREAK.name:
            return
        for place in node.places:
            if place - back >= self._gone:
                label = self._links[place - back - self._gone].labels[node.level]
                self._child(node, label).places.append(place)

    @staticmethod
    def _child(node: Node, label: str) -> Node:
        assert node.children is not None
        child = node.children.get(label)
        if child is None:
            child = node.children[label] = Node(node.level, node, label)
        return child

    def _path(self, root: Node, place: int, *, grow: bool) -> Iterator[Node]:
        """The nodes that list a place, as far as the tree has been grown."""
        node, at = root, place - 1 - self._gone
        yield node
        while (children := node.children) is not None and node.label != BREAK.name and at >= 0:
            label = self._links[at].labels[root.level]
            found = self._child(node, label) if grow else children.get(label)
            if found is None:
                return
            node = found
            yield node
            at -= 1

    def _forget(self) -> None:
        place = self._oldest
        for root in self.roots:
            for node in list(self._path(root, place, grow=False)):
                if node.places and node.places[0] == place:
                    del node.places[0]
                    node.tables = None
                if not node.places and node.parent is not None:
                    assert node.parent.children is not None
                    node.parent.children.pop(node.label, None)
        self._oldest += 1
        # Contexts of what is still remembered reach back a little further.
        spare = self._oldest - MAX_ORDER - self._gone
        if spare > self._room:
            del self._links[:spare]
            self._gone += spare

    def _tabulate(self, node: Node, kind: int) -> Table:
        allowed, level, gone, links = self._filters[kind], node.level, self._gone, self._links
        groups: dict[str, list[Link]] = {}
        whole = 0
        for place in node.places:
            link = links[place - gone]
            if link.item is BREAK:
                if node.parent is None:  # without a context there is no end of a piece
                    continue
            elif not allowed(link.item):
                whole += 1
                continue
            whole += 1
            group = groups.get(link.labels[level])
            if group is None:
                groups[link.labels[level]] = [link]
            else:
                group.append(link)
        return Table(groups, whole)


class Chain:
    """A memory, and how far its contexts are trusted.

    reductions: the words of each reduction, finest first; a coarser one is asked where a finer
    one has never met even the last item (Pachet 2002).
    choices: a context longer than one item needs this many different continuations.
    """

    def __init__(
        self,
        reductions: Sequence[tuple[str, ...]],
        filters: Sequence[Allowed],
        choices: int = 1,
        room: int = 1 << 62,
    ) -> None:
        self.reductions, self._filters, self._choices = tuple(reductions), filters, choices
        self.memory = Memory(len(self.reductions), room, filters)
        self._end = Link(BREAK, (BREAK.name,) * len(self.reductions))
        self._settled = True

    def listening(self, room: int) -> Chain:
        """A chain of its own that knows the latest of what this one knows."""
        chain = Chain(self.reductions, self._filters, self._choices, room)
        links = list(self.memory.links())
        for link in links[-room:]:
            chain.memory.learn(link)
        chain._settled = False
        return chain

    def link(self, item: Item) -> Link:
        """An item with its labels."""
        if item is BREAK:
            return self._end
        parts = item._asdict()
        return Link(
            item,
            tuple(
                shared(":".join(parts[word] for word in words if parts[word]))
                for words in self.reductions
            ),
        )

    def node(self, past: Sequence[Link], order: int) -> Node | None:
        """The context to draw from: the longest trusted one, then coarser ones, then none at all.

        None where nothing at all may be drawn.
        """
        memory = self.memory
        reach = min(order, len(past))
        if reach:
            for root in memory.roots:
                path, node = [], root
                for back in range(1, reach + 1):
                    link = past[-back]
                    longer = memory.longer(node, link.labels[root.level])
                    if longer is None:
                        break
                    path.append(longer)
                    node = longer
                    if link.item is BREAK or len(longer.places) == 1:
                        break  # a longer context could only lead to the same place
                while path:
                    node = path.pop()
                    found = len(memory.table(node, OPEN).labels)
                    if found >= self._choices or (found and not path):
                        return node
        root = memory.roots[0]
        return root if memory.table(root, OPEN).labels else None

    def onward(self, last: Node | None, past: Sequence[Link], order: int) -> Node | None:
        """`node(past, order)`, looked up where the context of the last draw decides it.

        It does where it is long enough, begins with a piece, or was met at one place only.
        """
        if last is None or not self._settled or last.level:
            return self.node(past, order)
        if last.depth + 1 < order and last.label != BREAK.name and len(last.places) > 1:
            return self.node(past, order)
        key = past[-1].labels[0], order
        if last.onward is None:
            last.onward = {}
        node = last.onward.get(key)
        if node is None and (node := self.node(past, order)) is not None:
            last.onward[key] = node
        return node

    def way(self, node: Node, order: int) -> Way:
        """Drawing from this context where that order was asked for."""
        table = self.memory.table(node, OPEN)
        if node.ways is None:
            node.ways = {}
        way = node.ways.get(order)
        if way is None or way.table is not table:
            clear = self._settled and not node.level
            sure = clear and (
                node.depth + 1 >= order or node.label == BREAK.name or len(node.places) == 1
            )
            way = node.ways[order] = Way(node, table, order, sure, self.reductions)
        return way


class Turn:
    """A label drawn on a way: why, and the way that follows, None where that is not known.

    choice: None where a piece ends.
    """

    __slots__ = ("choice", "way")

    def __init__(self, choice: Choice | None) -> None:
        self.choice = choice
        self.way: Way | None = None


class Way:
    """Drawing from one context at one order: every turn is made once and then taken again.

    sure: whether a turn alone decides the next context at the same order (see `onward`).
    Law: at most one turn for each label of the table, all for the temperature of the last draw.
    """

    __slots__ = (
        "_bounds", "_heat", "_links", "_reductions", "_turns", "node", "order", "sure", "table",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        table: Table,
        order: int,
        sure: bool,
        reductions: Reductions,
    ) -> None:
        self.node, self.table, self.order, self.sure = node, table, order, sure
        self._reductions = reductions
        self._bounds, self._links = table.bounds, table.links
        self._heat, self._turns = 1.0, dict[int, Turn]()

    def draw_bent(
        self,
        temperature: float,
        random: Callable[[], float],
        factor: Callable[[str], float],
    ) -> tuple[Link, Turn]:
        """The same where labels have been praised. factor: on the weight of a label."""
        table, power = self.table, min(HOTTEST, max(COLDEST, temperature))
        counts = zip(table.labels, table.counts(), strict=True)
        sums = heights([count * factor(label) ** power for label, count in counts], temperature)
        which = climb(sums, random)
        link, choice = table.one(which, random), None
        if link.item is not BREAK:
            label, chance = link.labels[self.node.level], share(sums, which)
            choice = Choice(self.node, label, chance, self.order, self._reductions)
        return link, Turn(choice)

    def draw(self, temperature: float, random: Callable[[], float]) -> tuple[Link, Turn]:
        """A link, and the turn that it is."""
        if temperature != self._heat:
            self._heat, self._turns = temperature, {}
        if temperature == 1.0:  # each link as likely: no sums are needed
            bounds = self._bounds
            at = int(random() * bounds[-1])
            which, link = bisect_right(bounds, at) - 1, self._links[at]
        else:
            which, link = self.table.draw(temperature, random)
        turn = self._turns.get(which)
        if turn is None:
            choice = None
            if link.item is not BREAK:
                node, chance = self.node, self.table.chance(which, temperature)
                label = link.labels[node.level]
                choice = Choice(node, label, chance, self.order, self._reductions)
            turn = self._turns[which] = Turn(choice)
        return link, turn


class Choice(Origin):
    """Why a chain made a symbol: its context, the probability it had, the order asked for."""

    __slots__ = ("asked", "label", "node", "probability", "reductions")

    def __init__(
        self,
        node: Node,
        label: str,
        probability: float,
        asked: int,
        reductions: Reductions,
    ) -> None:
        self.node, self.label, self.probability = node, label, probability
        self.asked, self.reductions = asked, reductions

    @property
    def context(self) -> tuple[str, ...]:
        """What came before, oldest first, as the view that was used sees it."""
        return self.node.context()

    @property
    def order(self) -> int:
        """How long that context is."""
        return self.node.depth

    @property
    def view(self) -> str:
        """The reduction that found the context."""
        return " ".join(self.reductions[self.node.level])

    def __str__(self) -> str:
        where = f"after {' '.join(self.context)}" if self.context else "anywhere"
        coarser = f", by {self.view}" if self.node.level else ""
        used = f"order {self.order} of {self.asked}"
        return f"{where}: {self.label} {self.probability:.3g} ({used}{coarser})"
