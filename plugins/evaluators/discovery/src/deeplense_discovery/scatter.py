"""Points of a plane, coloured by a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deeplense_registry import Target
from deeplense_registry.evaluation import labelled

from .drawing import Picture, colour, figure, marker, rendered, titled
from .protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def scatter(points: Array, truth: Array, name: str, target: Target, title: str) -> Picture:
    """Classes in colours and markers with a legend, quantities with a colour bar; (H, W, 3) in [0, 1].

    Args:
        points: (n, 2).
        truth: (n,) classes with -1, or quantities with NaN, where unknown: those are light grey, below the others.
        name: The target's name.
        target: Its classes or unit.
        title: Above the picture.
    """
    made = figure(7.2, 5.6)
    axes = made.subplots()
    axes.set_title(title, fontsize=11)
    known = labelled(truth)
    size = float(np.clip(4000 / len(points), 6, 40))
    if not known.all():
        axes.scatter(points[~known, 0], points[~known, 1], s=size, c="0.85", label="unknown")
    if target.classes:
        _classes(axes, points, truth, target.classes, size)
    elif known.any():
        drawn = axes.scatter(points[known, 0], points[known, 1], s=size, c=truth[known], cmap="viridis")
        made.colorbar(drawn, ax=axes, label=titled(name, target.unit))
    if target.classes or not known.all():
        axes.legend(
            title=titled(name), loc="upper left", bbox_to_anchor=(1.0, 1.0) if target.classes else None, fontsize=9
        )
    axes.set(
        xticks=[], yticks=[], xlabel="first coordinate (arbitrary unit)", ylabel="second coordinate (arbitrary unit)"
    )
    return rendered(made)


def _classes(axes: Axes, points: Array, truth: Array, names: tuple[str, ...], size: float) -> None:
    """All classes in one shuffled order would hide none; by class, markers can differ, and edges keep them apart."""
    for number, name in enumerate(names):
        own = truth == number
        axes.scatter(
            points[own, 0],
            points[own, 1],
            s=size,
            c=colour(number),
            marker=marker(number),
            edgecolors="white",
            linewidths=0.3,
            alpha=0.85,
            label=f"{name} ({own.sum()})",
        )
