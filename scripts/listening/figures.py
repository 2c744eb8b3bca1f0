"""The little statistics that the measures need, written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2, sqrt
from statistics import fmean


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which a share (0 to 1) of the values lies, between two by distance."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def ranks(values: Sequence[float]) -> list[float]:
    """Each value's rank from 1; equal values share the mean of theirs."""
    order = sorted(range(len(values)), key=values.__getitem__)
    found = [0.0] * len(values)
    first = 0
    while first < len(order):
        last = first
        while last + 1 < len(order) and values[order[last + 1]] == values[order[first]]:
            last += 1
        for each in order[first : last + 1]:
            found[each] = (first + last) / 2 + 1
        first = last + 1
    return found


def pearson(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The correlation of two rows, -1 to 1; 0 where one of them does not vary."""
    x, y = fmean(xs), fmean(ys)
    both = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    scale = sqrt(sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys))
    return min(max(both / scale, -1.0), 1.0) if scale > 0 else 0.0  # tiny numbers lose bits


def spearman(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The correlation of two rows' ranks (Spearman 1904), ties sharing the mean rank."""
    return pearson(ranks(xs), ranks(ys))


def slopes(ys: Sequence[float], xs: Sequence[float], zs: Sequence[float]) -> tuple[float, float]:
    """Least squares of y on x and z together: how much y rises for one of x, and for one of z."""
    x0, y0, z0 = fmean(xs), fmean(ys), fmean(zs)
    rows = [(x - x0, z - z0, y - y0) for x, z, y in zip(xs, zs, ys, strict=True)]
    xx, zz, xz = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (1, 1), (0, 1)))
    xy, zy = (sum(r[i] * r[2] for r in rows) for i in (0, 1))
    scale = xx * zz - xz * xz
    return ((xy * zz - zy * xz) / scale, (zy * xx - xy * xz) / scale) if scale > 0 else (0.0, 0.0)


def shares(counts: Mapping[int, float]) -> dict[int, float]:
    """Counts as shares of their sum."""
    total = sum(counts.values())
    return {key: value / total for key, value in counts.items()} if total else {}


def divergence(one: Mapping[int, float], other: Mapping[int, float]) -> float:
    """Jensen-Shannon divergence of two distributions in bits: 0 the same, 1 nothing shared.

    After Lin (1991).
    """
    total = 0.0
    for key in one.keys() | other.keys():
        a, b = one.get(key, 0.0), other.get(key, 0.0)
        middle = (a + b) / 2
        total += sum(x / 2 * log2(x / middle) for x in (a, b) if x > 0)
    return max(total, 0.0)


def jaccard(one: frozenset[object], other: frozenset[object]) -> float:
    """What two sets share of all they hold (Jaccard 1901); 1 where both are empty."""
    return len(one & other) / len(one | other) if one or other else 1.0
