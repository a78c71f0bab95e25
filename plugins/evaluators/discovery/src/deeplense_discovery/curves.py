"""Curves: risk against coverage, distance against strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deeplense_registry import Target

from .drawing import Picture, colour, figure, marker, rendered, titled
from .protocol import Array
from .risk import coverages, risk_by_coverage

_SMOOTH = 10  # images kept at the left end of a curve: the mean of fewer is noise
_TITLES = {"": "test images", "_shifted": "shifted images", "_both": "all of them"}


def risk_curves(
    name: str, target: Target, encoder: str, judged: Mapping[int, Sequence[Mapping[str, Array]]]
) -> Picture:
    """A panel for each set of images, a line for each budget, the mean over its draws; (H, W, 3) in [0, 1].

    Args:
        name: The target's name.
        target: Its kind and unit.
        encoder: Which encoder is judged.
        judged: By the number of labels, for each draw and set ("", "_shifted", "_both") a judgement (R, V, 3).
    """
    sets = list(next(iter(judged.values()))[0])
    made = figure(3.4 * len(sets) + 1.4, 3.6)
    made.suptitle(f"Risk by coverage, {titled(name)}, {encoder} encoder", fontsize=11)
    panels = made.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for panel, suffix in zip(panels, sets, strict=True):
        for number, (labels, draws) in enumerate(judged.items()):
            risks = np.mean([risk_by_coverage(draw[suffix]) for draw in draws], axis=0)
            kept = slice(_SMOOTH - 1, None)
            panel.plot(
                coverages(risks)[kept], risks[kept], color=colour(number), linewidth=1.8, label=f"{labels} labels"
            )
            panel.plot(1.0, risks[-1], marker(number), color=colour(number), clip_on=False)
        panel.set_title(_TITLES[suffix], fontsize=10)
        panel.set_xlabel("coverage (fraction kept, most trusted first)", fontsize=9)
        panel.set_xlim(0, 1)
        panel.grid(alpha=0.3)
    panels[0].set_ylim(bottom=0)  # shared, and so only after all are drawn: it ends the automatic range
    unit = f" ({target.unit})" if target.unit else ""
    panels[0].set_ylabel("risk (fraction wrong)" if target.classes else f"risk: mean absolute error{unit}", fontsize=9)
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=8, frameon=False)
    return rendered(made)


def distance_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]], axes: Mapping[str, str], encoder: str
) -> Picture:
    """A panel for each augmentation: relative distance against strength; (H, W, 3) in [0, 1].

    Args:
        curves: By augmentation, points (strength, relative distance).
        axes: By augmentation, what its horizontal axis is called.
        encoder: Which encoder is judged.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    made = figure(3.3 * columns + 0.4, 2.6 * rows + 0.6)
    made.suptitle(f"How far an augmentation moves an embedding, {encoder} encoder", fontsize=11)
    made.supylabel("distance to the unaugmented image / distance between images", fontsize=9)
    panels = made.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    top = max(1.0, *(distance for points in curves.values() for _, distance in points))
    for number, (panel, (name, points)) in enumerate(zip(panels, curves.items(), strict=False)):
        strength, distance = zip(*points, strict=True)
        panel.plot(strength, distance, "-" + marker(number), color=colour(number), linewidth=1.8)
        panel.axhline(1.0, color="0.4", linestyle="--", linewidth=1)
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.set_xlabel(axes[name], fontsize=9)
        panel.set_ylim(0, 1.08 * top)
        panel.grid(alpha=0.3)
        if len(points) == 1:  # on or off
            panel.set_xticks(strength, ["on"])
    for panel in panels[len(curves) :]:
        panel.axis("off")
    return rendered(made)
