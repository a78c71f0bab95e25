"""A picture of a data set: examples of each class and a histogram of each target, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..components import DatasetCard, Target, UserError
from ..shards import ShardSet
from ..shards.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

COLUMNS, ROWS = 8, 12
"""Images of a class, and classes, that are shown."""
PANELS, BINS = 3, 30
"""Histograms side by side, and bars of one."""
WIDTH, ROW, PANEL = 9.0, 1.05, 2.2
"""Inches: of the picture, and the heights of a row of images and of a histogram."""
MANY = 4
"""Names of classes that find room beside each other below a histogram."""
STYLES: tuple[dict[str, Any], ...] = (
    {"fill": True, "color": "#56B4E9", "label": "all"},
    {"fill": False, "edgecolor": "#D55E00", "linewidth": 1.4, "label": "left by the skew"},
)
"""All images, and those that a skew leaves; colours of Okabe and Ito (2008), told apart with any colour vision."""
KINDS = (".png", ".pdf", ".svg")

Index = NDArray[np.int64]
Picture = NDArray[np.float32]


def check_drawing(path: Path) -> None:
    """Refuse what :func:`contact_sheet` could not draw, before anything is read.

    Raises:
        UserError: matplotlib is missing, or the file's name is of no kind of picture.
    """
    if path.suffix not in KINDS:
        raise UserError(f"{path}: no kind of picture; name a file that ends in {', '.join(KINDS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise UserError(
            "the picture of a data card needs matplotlib: pip install 'deeplense-registry[plots]'; "
            "--no-picture prints the card alone"
        ) from error


def contact_sheet(shards: ShardSet, path: Path, kept: Index | None = None) -> None:
    """Draw shards into the file ``path``; PNGs of the same shards have the same bytes.

    Args:
        shards: The images; those of the split that the statistics are of ("train") are shown.
        path: Of the picture.
        kept: (n,) positions of the training images that a skew leaves, drawn over the histograms.

    Raises:
        UserError: The file cannot be written.
    """
    from matplotlib.figure import Figure

    rows, targets = examples(shards), shards.card.targets
    heights = [0.8 + ROW * len(rows), PANEL * ceil(len(targets) / PANELS)]
    made = Figure(figsize=(WIDTH, sum(heights)), dpi=130)
    made.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)  # inches; labels beside images touch the edge else
    parts: Any = made.subfigures(2, 1, height_ratios=heights) if targets else [made]
    _draw_examples(parts[0], rows, shards)
    if targets:
        _draw_histograms(parts[1], shards, kept)
    _write(made, path)


def examples(shards: ShardSet) -> dict[str, list[Picture]]:
    """For each class (of the first target that has some) up to :data:`COLUMNS` pictures, as :func:`visible` has them.

    They are the first in the order of the shards; partners of one sample follow each other. Without classes there is
    one row, called by the split.
    """
    split, partners = shards.statistics.split, shards.card.partners
    count = max(1, COLUMNS // partners)
    chosen = {split: np.arange(min(count, shards.count(split)))}
    name = next((name for name, target in shards.card.targets.items() if target.classes), None)
    if name is not None:
        labels, classes = shards.targets(split, name), shards.card.targets[name].classes[:ROWS]
        chosen = {label: np.flatnonzero(labels == k)[:count] for k, label in enumerate(classes)}
    images = {label: shards.images(split, index) for label, index in chosen.items()}
    flat = {label: flux.reshape(len(flux) * partners, *flux.shape[-3:]) for label, flux in images.items()}
    return {label: [visible(image, shards.card.bands) for image in flux] for label, flux in flat.items()}


def visible(image: NDArray[np.float32], bands: Sequence[str]) -> Picture:
    """An image (C, H, W) as (H, W), or of three or more bands as (H, W, 3), in [0, 1].

    All bands together are stretched between their 1st and 99.5th percentile; two bands are averaged.
    """
    shown = colours(bands)
    pixels = np.moveaxis(image[shown], 0, -1) if shown else image.mean(0)
    low, high = np.quantile(pixels, (0.01, 0.995))
    return np.asarray(np.clip((pixels - low) / max(high - low, 1e-12), 0.0, 1.0), np.float32)


def colours(bands: Sequence[str]) -> list[int]:
    """Which bands are red, green and blue: the three in the middle; none where there are fewer.

    Bands are listed from blue to red, as surveys do, unless the first is called red.
    """
    if len(bands) < 3:
        return []
    first = (len(bands) - 2) // 2
    middle = [first, first + 1, first + 2]
    return middle if bands[0].lower() in ("r", "red") else middle[::-1]


def _draw_examples(figure: SubFigure | Figure, rows: dict[str, list[Picture]], shards: ShardSet) -> None:
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for one, (label, pictures) in zip(axes, rows.items(), strict=True):
        if pictures:
            one.imshow(_strip(pictures, shards.card.partners), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
        else:
            one.text(0.0, 0.5, "no image", va="center", transform=one.transAxes)
        one.set_ylabel(label, rotation=0, ha="right", va="center")
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
    split = shards.statistics.split
    figure.suptitle(f"{shards.card.name}, split {split}: {shards.count(split):,} images", fontsize="large")
    figure.supxlabel(_caption(shards.card), fontsize="small", color="0.35")


def _strip(pictures: Sequence[Picture], partners: int) -> Picture:
    """Pictures (H, W[, 3]) as one (H, w[, 3]): white between samples, and always as wide as all columns are."""
    white = np.ones_like(pictures[0])
    gap, samples = white[:, : max(1, white.shape[1] // 16)], COLUMNS // partners
    padded = [*pictures, *[white] * (samples * partners - len(pictures))]
    parts = [part for k in range(0, len(padded), partners) for part in (*padded[k : k + partners], gap)]
    return np.concatenate(parts, axis=1)


def _caption(card: DatasetCard) -> str:
    side = card.shape.width * card.pixel_scale
    parts = [f'{card.shape.height} x {card.shape.width} pixels, {side:.3g}" wide']
    if shown := colours(card.bands):
        parts.append(f"red, green, blue: {', '.join(card.bands[k] for k in shown)}")
    if card.partners > 1:
        parts.append(f"the {card.partners} partners of a sample side by side")
    return "; ".join([*parts, "each image stretched between its 1st and 99.5th percentile"])


def _draw_histograms(figure: SubFigure, shards: ShardSet, kept: Index | None) -> None:
    targets, split = shards.card.targets, shards.statistics.split
    columns = min(PANELS, len(targets))
    axes = figure.subplots(ceil(len(targets) / columns), columns, squeeze=False).ravel()
    for one, (name, target) in zip(axes, targets.items(), strict=False):  # the last row may not be full
        values = shards.targets(split, name)
        _histogram(one, name, target, [values] if kept is None else [values, values[kept]])
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize="small")
    for one in axes[len(targets) :]:
        one.set_visible(False)
    if kept is not None:
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, 1.2), "ncols": 2}
        axes[0].legend(fontsize="small", frameon=False, **place)


def _histogram(axes: Axes, name: str, target: Target, groups: Sequence[NDArray[Any]]) -> None:
    """All images filled, and those that are left as an outline."""
    from matplotlib.ticker import MaxNLocator

    known = [values[values >= 0] if target.classes else values[np.isfinite(values)] for values in groups]
    if target.classes:
        _bars(axes, known, target.classes[:ROWS])
    else:
        edges = np.histogram_bin_edges(known[0], min(BINS, 1 + isqrt(len(known[0]))))
        for values, style in zip(known, STYLES, strict=False):
            axes.stairs(np.histogram(values, edges)[0], edges, **style)
    words = name.replace("_", " ")
    axes.set_xlabel(f"{words} ({target.unit})" if target.unit else words)
    axes.set_ylabel("images")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    if len(known[0]) < len(groups[0]):
        axes.set_title(f"{len(known[0]):,} of {len(groups[0]):,} images have it", fontsize="small", color="0.35")


def _bars(axes: Axes, groups: Sequence[NDArray[np.int64]], classes: Sequence[str]) -> None:
    places = np.arange(len(classes))
    for labels, style in zip(groups, STYLES, strict=False):
        axes.bar(places, np.bincount(labels, minlength=len(classes))[: len(classes)], 0.8, **style)
    axes.set_xticks(places, classes, rotation=90 if len(classes) > MANY else 0)


def _write(figure: Figure, path: Path) -> None:
    try:
        with replacing(path) as aside:
            figure.savefig(aside, format=path.suffix.lstrip("."))
    except OSError as error:
        raise UserError(f"{path}: cannot write the picture: {error}; name another place with --out") from error
