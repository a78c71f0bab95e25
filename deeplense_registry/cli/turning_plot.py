"""The picture of ``deeplense equivariance``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..components import UserError

if TYPE_CHECKING:
    from ..evaluation.equivariance import Change


def artist() -> Callable[[dict[str, Change], Path], None]:
    """What draws; asked for before anything is measured.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("--plot needs matplotlib: pip install matplotlib") from error

    def draw(changes: dict[str, Change], path: Path) -> None:
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for name, change in changes.items():
            axes.plot(change.angles, change.turned, label=name, linewidth=1.4)
        axes.axhline(1.0, color="0.6", linewidth=0.8, linestyle=":")
        axes.set(xlabel="turned by (degrees)", ylabel="change of features\n(1: as from another image)")
        axes.set(xlim=(0, 360), ylim=(0, None))
        axes.set_xticks(range(0, 361, 45))
        axes.legend(frameon=False, ncols=len(changes), loc="lower center", bbox_to_anchor=(0.5, 1.0))
        _save(figure, path)

    return draw


def _save(figure: Any, path: Path) -> None:
    """Write the picture, the same bytes for the same lines.

    Raises:
        UserError: The suffix is of no kind of picture, or the place refuses.
    """
    import matplotlib as mpl

    from ..shards.atomic import replacing

    kind = path.suffix.lstrip(".").lower()
    if kind not in figure.canvas.get_supported_filetypes():
        raise UserError(f"{path}: no kind of picture; name a file that ends in .svg, .png or .pdf")
    with mpl.rc_context({"svg.hashsalt": "deeplense"}), replacing(path) as aside:
        figure.savefig(aside, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
