"""Queries beside their neighbours, with their targets written below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deeplense_registry import Target

from .drawing import COLOURS, Picture, figure, rendered, show, valued, visible
from .protocol import Array, Index

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SAME, _OTHER = COLOURS[0], COLOURS[5]  # blue and vermilion


def spread_out(truth: Array, count: int, rng: np.random.Generator) -> Index:
    """``count`` positions (all, where there are fewer): classes in turn, or evenly over the quantity's ranks."""
    shuffled = rng.permutation(len(truth))
    if truth.dtype.kind == "f":
        ranked = shuffled[np.argsort(truth[shuffled], kind="stable")]
        rows: Index = ranked[np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)]
        return rows
    turn = np.zeros(len(truth), dtype=np.int64)  # how many of its class come before it
    for name in np.unique(truth):
        turn[truth[shuffled] == name] = np.arange((truth == name).sum())
    chosen: Index = shuffled[np.lexsort((truth[shuffled], turn))[:count]]
    return chosen


def gallery(queries: Array, neighbours: Array, target: Target, truth: tuple[Array, Array], title: str) -> Picture:
    """A row for each query: itself, then its neighbours from the nearest on; (H, W, 3) in [0, 1].

    A neighbour of the query's own class is framed in blue, another in vermilion and dashed.

    Args:
        queries: (q, C, H, W) flux.
        neighbours: (q, n, C, H, W) flux.
        target: What is written below.
        truth: (q,) and (q, n) its values.
        title: Above all.
    """
    count, width = neighbours.shape[:2]
    made = figure(1.15 * (width + 1) + 0.2, 1.35 * count + 0.5)
    frames = "\nblue frame: the query's class; dashed vermilion: another" if target.classes else ""
    made.suptitle(title + frames, fontsize=10)
    grid = made.subplots(count, width + 1, squeeze=False)
    first = visible(queries)
    others = visible(neighbours.reshape(-1, *neighbours.shape[2:])).reshape(count, width, *first.shape[1:])
    for row in range(count):
        _cell(grid[row, 0], first[row], f"query: {valued(target, truth[0][row])}")
        for column in range(width):
            value = truth[1][row, column]
            _cell(grid[row, column + 1], others[row, column], valued(target, value))
            if target.classes:
                _frame(grid[row, column + 1], same=bool(value == truth[0][row]))
    return rendered(made)


def _cell(axes: Axes, image: Picture, text: str) -> None:
    show(axes, image)
    axes.set_xlabel(text, fontsize=8, labelpad=2)


def _frame(axes: Axes, *, same: bool) -> None:
    for spine in axes.spines.values():
        spine.set(color=_SAME if same else _OTHER, linewidth=2.5, linestyle="-" if same else (0, (2, 1.5)))
