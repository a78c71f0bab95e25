"""Figures as SVG: the same bytes for the same numbers, texts taken as they are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ...components import UserError
from .palette import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (4.2, 3.1)
"""Inches: two or three fit beside each other on a screen, one on a phone."""
_SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "deeplense",  # ids that do not change
    "svg.fonttype": "path",  # a page brings no fonts of its own
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
}
_METADATA = {"Date": None, "Creator": None, "Type": None, "Format": None}


@frozen
class Line:
    """Points to draw, and how.

    Attributes:
        x, y: The points.
        low, high: Ends of intervals around ``y``, or empty.
        colour, marker, style: As matplotlib names them.
        ringed: Whether its marker has a ring.
    """

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: str = GREY
    marker: str = ""
    style: str = "-"
    ringed: bool = False


def needs_matplotlib() -> None:
    """Raise UserError where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UserError("a report needs matplotlib: pip install 'deeplense-registry[plots]'") from error


def chart(draw: Callable[[Axes], None], *, title: str, xlabel: str, ylabel: str) -> str:
    """An SVG of one pair of axes on which ``draw`` draws."""
    with _style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=SIZE, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(title, fontsize=10.5, loc="left")
        axes.set(xlabel=xlabel, ylabel=ylabel)
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata=_METADATA)
    return file.getvalue()


def lines(several: Sequence[Line], *, ticks: Sequence[float] = (), bounds: tuple[float, float] | None = None) -> Any:
    """Draws lines with the intervals of their points; ``ticks`` makes x logarithmic, labelled there alone."""

    def draw(axes: Axes) -> None:
        for number, one in enumerate(several):
            x = _beside(one.x, number, len(several)) if ticks and one.marker else list(one.x)
            axes.plot(x, one.y, one.style, color=one.colour, marker=one.marker, markersize=5, linewidth=1.5)
            if one.low:
                axes.vlines(x, one.low, one.high, color=one.colour, linewidth=1.0, alpha=0.7)
        if ticks:
            _logarithmic(axes, ticks, (min(ticks), max(ticks)))
        if bounds:
            axes.set_ylim(*bounds)

    return draw


def points(several: Sequence[Line], front: Line) -> Any:
    """Draws points over a logarithmic cost, above a ``front`` in steps."""

    def draw(axes: Axes) -> None:
        axes.step(front.x, front.y, where="post", color=GREY, linewidth=1.0, linestyle="--", zorder=1)
        for one in several:
            if one.low:
                axes.vlines(one.x, one.low, one.high, color=one.colour, linewidth=0.8, alpha=0.5)
            edge = "#000000" if one.ringed else one.colour
            axes.plot(
                one.x, one.y, one.marker, color=one.colour, markersize=7, markeredgecolor=edge, markeredgewidth=1.4
            )
        x = [value for one in several for value in one.x]
        _logarithmic(axes, _round_numbers(x), (min(x), max(x)))

    return draw


@contextmanager
def _style() -> Iterator[None]:
    needs_matplotlib()
    from matplotlib import style

    with style.context(["default", _SETTINGS]):  # whatever the reader's matplotlibrc says
        yield


def _beside(x: Sequence[float], number: int, count: int) -> list[float]:
    """On a logarithmic axis a little to the left or right, so that intervals do not hide each other."""
    shift: float = 1.12 ** ((number - (count - 1) / 2) / max(count - 1, 1))
    return [value * shift for value in x]


def _logarithmic(axes: Axes, ticks: Sequence[float], ends: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ticks, [_short(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(ends[0] / 1.35, ends[1] * 1.35)


def _round_numbers(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 times powers of ten between the least value and the greatest, and one on each side; six at most."""
    powers = range(floor(log10(min(values))) - 1, ceil(log10(max(values))) + 1)
    steps = [lead * 10.0**power for power in powers for lead in (1, 2, 5)]
    first = max(number for number, step in enumerate(steps) if step <= min(values))
    last = min(number for number, step in enumerate(steps) if step >= max(values))
    return steps[first : last + 1 : -(-(last + 1 - first) // 6)]


def _short(value: float) -> str:
    """``30``, ``4k``, ``2M``."""
    for size, letter in ((1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:,g}"
