"""Which models are alike, as letters and as a critical-difference diagram (Demšar 2006, JMLR 7, 1, figure 1).

In place of a single critical difference, which holds only for the Friedman and Nemenyi tests of one score a data set,
each pair is tested by itself (:func:`.significance.overall`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from ..components import UserError
from ..shards.atomic import replacing
from .significance import Difference


def alike(means: Mapping[str, float], differences: Sequence[Difference]) -> list[list[str]]:
    """Sets of models, so that two share one if and only if they do not differ significantly; the best first.

    By insertion and absorption (Piepho 2004, Journal of Computational and Graphical Statistics 13, 456): each
    significant pair splits every set that holds both, and a set within another one goes.

    Args:
        means: Their mean ranks, by name.
        differences: Of their pairs; a pair that is missing counts as not different.
    """
    order = sorted(means, key=lambda name: means[name])
    sets = [frozenset(order)]
    for pair in (one.names for one in differences if one.significant):
        split = [part for some in sets for part in (_without(some, pair) if some.issuperset(pair) else [some])]
        sets = [some for some in dict.fromkeys(split) if not any(some < other for other in split)]
    return sorted(
        ([name for name in order if name in some] for some in sets), key=lambda some: list(map(order.index, some))
    )


def _without(some: frozenset[str], pair: tuple[str, str]) -> list[frozenset[str]]:
    return [some - {name} for name in pair]


def letters(means: Mapping[str, float], differences: Sequence[Difference]) -> dict[str, str]:
    """Of each model the letters of the sets that it is in; a model like no other has one of its own."""
    sets = alike(means, differences)
    return {name: " ".join(_letter(k) for k, some in enumerate(sets) if name in some) for name in means}


def critical_difference_figure(
    means: Mapping[str, float], differences: Sequence[Difference], title: str, path: Path
) -> None:
    """Draw mean ranks on an axis, and a bar over models that are alike; the same bytes for the same ranks.

    Args:
        means: Their mean ranks, by name; at least two.
        differences: Of their pairs.
        title: Above it.
        path: Where to; the suffix says what kind of picture.

    Raises:
        UserError: matplotlib is missing, or the suffix is of no kind of picture.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("--cd needs matplotlib: pip install matplotlib") from error
    bars = [some for some in alike(means, differences) if len(some) > 1]
    rows = (len(means) + 1) // 2
    figure = Figure(figsize=(7.0, 1.1 + 0.24 * (len(bars) + rows)), layout="constrained")
    _draw(figure.add_subplot(), means, bars, rows)
    figure.suptitle(title, fontsize=10)
    kind = path.suffix.lstrip(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise UserError(f"{path}: no kind of picture; name a file that ends in .svg, .png or .pdf")
    plain: Any = {"svg.hashsalt": "deeplense", "svg.fonttype": "none"}
    with mpl.rc_context(plain), replacing(path) as aside:
        figure.savefig(aside, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)


def _draw(axes: Any, means: Mapping[str, float], bars: Sequence[Sequence[str]], rows: int) -> None:
    """Rank 1 on the left; the better half is named on the left, the other on the right."""
    order, count = sorted(means, key=lambda name: means[name]), len(means)
    axes.set(xlim=(1 - 0.05 * count, 1.05 * count), ylim=(-len(bars) - rows - 0.8, 0.0), xlabel="mean rank (1 is best)")
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.set_xticks(range(1, count + 1))
    axes.set_yticks([])
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    for number, some in enumerate(bars):
        ranks = [means[name] for name in some]
        axes.plot(ranks, [-number - 0.7] * len(ranks), color="0.1", linewidth=3, marker="o", markersize=6)
    for place, name in enumerate(order):
        left = place < rows
        depth = -len(bars) - 0.6 - (place if left else count - 1 - place)
        end = 1 - 0.03 * count if left else 1.03 * count
        axes.plot([means[name], means[name], end], [0, depth, depth], color="0.45", linewidth=0.9)
        text = f"{name}  {means[name]:.2f}" if left else f"{means[name]:.2f}  {name}"
        axes.text(
            end + (-0.02 if left else 0.02) * count,
            depth,
            text,
            ha="right" if left else "left",
            va="center",
            fontsize=9,
        )


def _letter(number: int) -> str:
    """a, b, ..., z, a1, b1, ..."""
    turn, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(turn) if turn else "")
