"""Figures become arrays; colours that everyone can tell apart; flux becomes visible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deeplense_registry import Target

from .protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Picture = NDArray[np.float32]

DPI = 120
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
"""Okabe and Ito's palette (2008), told apart with any colour vision."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
_SOFTENING = 0.1  # of the range: where the stretch turns from linear to logarithmic


def figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches, apart from pyplot's global state."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=DPI)
    made.set_layout_engine("constrained", w_pad=0.08, h_pad=0.06)  # inches; labels beside images touch the edge else
    return made


def rendered(made: Figure) -> Picture:
    """(H, W, 3) in [0, 1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(made)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.float32)[..., :3] / 255.0


def visible(flux: Array) -> Picture:
    """Images (n, C, H, W) to (n, H, W) or, of three bands, (n, H, W, 3), in [0, 1]; other bands are averaged.

    Each image is clipped between its 1st and 99.5th percentile and stretched by asinh.
    """
    images = np.moveaxis(flux, 1, -1) if flux.shape[1] == 3 else flux.mean(1)
    flat = images.reshape(len(images), -1)
    low, high = (np.quantile(flat, q, axis=1).reshape(-1, *[1] * (images.ndim - 1)) for q in (0.01, 0.995))
    scaled = np.clip((images - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.asarray(np.arcsinh(scaled / _SOFTENING) / np.arcsinh(1 / _SOFTENING), dtype=np.float32)


def show(axes: Axes, image: Picture, *, cmap: str = "gray") -> None:
    """An image with row 0 on top and no ticks, (h, w) or (h, w, 3) in [0, 1]."""
    axes.imshow(image, cmap=cmap, vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def colour(number: int) -> str:
    """The colour of class ``number``; they come again after eight, with another :func:`marker`."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """The marker of class ``number``: of 64 classes no two look alike."""
    return MARKERS[(number + number // len(COLOURS)) % len(MARKERS)]


def titled(name: str, unit: str = "") -> str:
    """What an axis is called: ``einstein radius (arcsec)``."""
    words = name.replace("_", " ")
    return f"{words} ({unit})" if unit else words


def valued(target: Target, value: float) -> str:
    """A value of a target in words: the class, or the quantity with its unit."""
    if target.classes:
        return target.classes[int(value)] if value >= 0 else "unknown"
    return f"{value:.3g} {target.unit}".strip() if np.isfinite(value) else "unknown"
