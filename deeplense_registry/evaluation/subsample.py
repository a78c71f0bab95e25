"""Subsamples that follow an asked distribution: pure functions, without replacement, from a generator."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

TOLERANCE = 0.8276
"""Kolmogorov's median: half of all samples of n are farther than this / sqrt(n) from their own distribution."""


def counts_in_ratio(available: Sequence[int], ratio: Sequence[float]) -> list[int]:
    """How many of each class the largest set with exactly this ratio has, rounded by largest remainder.

    Args:
        available: Images of each class.
        ratio: Of the classes, each above 0; read as the decimal numbers that they are written as.
    """
    shares = [Fraction(str(share)) for share in ratio]
    scale = min(Fraction(count) / share for count, share in zip(available, shares, strict=True))
    exact = [scale * share for share in shares]
    counts = [floor(count) for count in exact]
    rest = floor(sum(exact) + Fraction(1, 2)) - sum(counts)
    by_remainder = sorted(range(len(exact)), key=lambda k: counts[k] - exact[k])
    for k in by_remainder[:rest]:
        counts[k] += 1
    return counts


def follow(probabilities: NDArray[np.float64], rng: np.random.Generator) -> Index:
    """Positions of a large subset whose distribution is the asked one, (n,) ascending.

    The subset is as close to the asked distribution as a true sample of its size typically is: its Kolmogorov-Smirnov
    distance is at most :data:`TOLERANCE` / sqrt(n), by construction. A larger one would not be (up to the rounding of
    single images). It is empty where even one image is farther.

    Args:
        probabilities: (N,) the asked cumulative distribution at the value of each image, in [0, 1].
        rng: Chooses among the images that would do.
    """
    order = np.argsort(probabilities, kind="stable")
    u = probabilities[order]
    few, many = 0, len(u) + 1  # the first can be had, the second cannot
    while many - few > 1:
        count = (few + many) // 2
        few, many = (count, many) if _windows(u, count) is not None else (few, count)
    found = _windows(u, few)
    if found is None:
        return np.empty(0, np.int64)
    wish = np.searchsorted(u, (np.arange(few) + rng.random(few)) / few)  # a draw from each n-th of the distribution
    return np.sort(order[np.minimum(_distinct(np.maximum(wish, found[0])), found[1])])


def _windows(u: NDArray[np.float64], count: int) -> tuple[Index, Index] | None:
    """The first and the last choice of ``count`` of the sorted ``u`` that keep the distance; ``None`` if there is none.

    The j-th smallest value, from 1, must lie in [j / n - d, (j - 1) / n + d] for a distance of at most d. Both choices
    ascend strictly, and so does any choice between them that ascends.
    """
    if not count:
        return None
    steps, distance = np.arange(count), TOLERANCE / sqrt(count)
    low, high = (steps + 1) / count - distance, steps / count + distance
    first = _distinct(np.searchsorted(u, low))
    if first[-1] >= len(u) or (u[first] > high).any():
        return None
    last = len(u) - 1 - _distinct(len(u) - np.searchsorted(u, high, side="right")[::-1])[::-1]
    return first, last


def _distinct(wish: NDArray[np.integer]) -> Index:
    """Moves positions up as little as makes them ascend strictly, from the first on."""
    steps = np.arange(len(wish), dtype=np.int64)
    distinct: Index = np.maximum.accumulate(wish - steps) + steps
    return distinct
