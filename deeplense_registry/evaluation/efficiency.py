"""Label efficiency: how many times fewer labels an encoder needs for the result of another."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..components import UserError
from .intervals import LEVEL
from .spread import spread_of

Scores = NDArray[np.float64]
Curve = Mapping[int, Scores]
"""By the number of labels (1 + R, S, n): scores of S seeds and n draws, and below them on R resamples."""

SIMULATIONS = 2000


class Efficiency(NamedTuple):
    """How many times fewer labels give the result that a baseline has with ``labels``.

    Attributes:
        labels: The baseline's number of labels.
        value: The factor; ``inf`` stands for "more than ``most``", 0 for "less than ``least``".
        low, high: Ends of its 95 % interval, likewise.
        least, most: The factors at the ends of the encoder's label budgets, beyond which nothing is known.
    """

    labels: int
    value: float
    low: float
    high: float
    least: float
    most: float

    def text(self) -> str:
        """``3.1 (2.2 4.0)``, ``> 10 (6.3 > 10)``, ``< 0.5 (< 0.5 0.8)``."""
        return f"{self._text(self.value)} ({self._text(self.low)} {self._text(self.high)})"

    def _text(self, factor: float) -> str:
        if factor == inf:
            return f"> {self.most:.3g}"
        return f"< {self.least:.3g}" if factor == 0.0 else f"{factor:.3g}"


def label_efficiency(encoder: Curve, baseline: Curve, rng: np.random.Generator) -> list[Efficiency]:
    """For each label budget of the baseline, with how many times fewer labels the encoder has the same result.

    Both learning curves are made monotone first by isotonic regression (more labels do not hurt; where they seem to,
    neighbouring budgets share their mean). The encoder's is linear in the logarithm of the labels between its budgets;
    on a flat part the fewest labels count. Beyond its budgets nothing is extrapolated.

    The interval is that of the factors of simulated pairs of curves: their images' part comes from the shared
    resamples, a row of which stands for one test set; their draws and seeds vary as Student's t with the spread of the
    scores (a multivariate t, the posterior of a mean of Gaussian effects under a flat prior), the same for encoder and
    baseline, of seeds also for all budgets. With 2 draws or seeds that matter it is as wide as they deserve.

    Args:
        encoder: Its scores, larger being better.
        baseline: Those of the baseline. At a budget that both have, seeds and draws are the same, in the same order.
        rng: Where simulated draws and seeds come from.

    Raises:
        UserError: The encoder has less than two label budgets.
    """
    if len(encoder) < 2:
        raise UserError(
            f"label efficiency needs results at two or more label budgets, and there are {len(encoder)}: give "
            "labels.budgets more of them"
        )
    budgets, own = sorted(encoder), sorted(baseline)
    chance = _Chance(rng, SIMULATIONS)
    one = monotone(np.stack([chance.means(labels, encoder[labels]) for labels in budgets], axis=1))  # (1 + T, k)
    other = monotone(np.stack([chance.means(labels, baseline[labels]) for labels in own], axis=1))
    found = []
    for column, labels in enumerate(own):
        with np.errstate(divide="ignore"):  # inf is "more than the labels allow to tell"
            factors = labels / labels_needed(np.array(budgets), one, other[:, column])
        value = float(factors[0])
        low, high = np.quantile(factors[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
        ends = min(value, float(low)), max(value, float(high))
        found.append(Efficiency(labels, value, *ends, labels / budgets[-1], labels / budgets[0]))
    return found


def monotone(curves: Scores) -> Scores:
    """(T, k) curves, each replaced by the non-decreasing one nearest to it in least squares.

    Barlow et al. 1972, Statistical Inference under Order Restrictions, equation 1.9: at each point the largest over
    beginnings, up to it, of the smallest over ends, from it on, of the mean between them.
    """
    points = curves.shape[1]
    fitted = np.full_like(curves, -inf)
    for begin in range(points):
        means = np.cumsum(curves[:, begin:], axis=1) / np.arange(1, points - begin + 1)
        smallest = np.minimum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        fitted[:, begin:] = np.maximum(fitted[:, begin:], smallest)
    return fitted


def labels_needed(budgets: NDArray[np.int64], curves: Scores, wanted: Scores) -> Scores:
    """The least number of labels with which each curve has the wanted result.

    Args:
        budgets: (k,) ascending.
        curves: (T, k) non-decreasing, linear in the logarithm of the labels between budgets.
        wanted: (T,).

    Returns:
        (T,); 0 where a curve begins above the wanted result, and ``inf`` where it ends below.
    """
    rows, reached = np.arange(len(curves)), curves >= wanted[:, None]
    after = np.maximum(reached.argmax(1), 1)
    low, high = curves[rows, after - 1], curves[rows, after]
    step = np.divide(wanted - low, high - low, out=np.ones_like(low), where=high > low)
    logs = np.log(budgets)
    needed = np.exp(logs[after - 1] + step.clip(0, 1) * (logs[after] - logs[after - 1]))
    needed = np.where(curves[:, 0] == wanted, budgets[0], needed)
    result: Scores = np.where(curves[:, 0] > wanted, 0.0, np.where(reached.any(1), needed, inf))
    return result


class _Chance:
    """Simulated test sets, seeds and draws, the same for all who ask."""

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self._rng, self._count = rng, count
        self._known: dict[tuple[str | int, int], Scores] = {}
        self._images = rng.random(count)

    def means(self, labels: int, scores: Scores) -> Scores:
        """(1 + T,): the mean of scores (1 + R, S, n), and below it what it could have been."""
        value, spread = scores[0].mean(), spread_of(scores)
        simulated = np.full(self._count, value)
        if len(scores) > 1:
            rows = 1 + (self._images * (len(scores) - 1)).astype(int)
            simulated += _scaled(scores.mean((1, 2))[rows] - value, spread.images, spread.resampled)
        for name, axis, part in (("seeds", 1, spread.seeds), (labels, 0, spread.draws)):
            apart = scores[0].mean(axis) - value
            own = float((apart**2).sum()) / max(1, len(apart) * (len(apart) - 1))
            simulated += _scaled(self._student(name, len(apart)) @ apart, part, own)
        return np.concatenate([[value], simulated])

    def _student(self, name: str | int, size: int) -> Scores:
        """(T, n) weights, so that those of n deviations give Student's t times the standard error of their mean."""
        if (name, size) not in self._known:
            normal = self._rng.normal(size=(self._count, size))
            freedom = max(1, size - 1)
            scale = np.sqrt(self._rng.chisquare(freedom, self._count) / freedom * size * freedom)
            self._known[name, size] = normal / scale[:, None]
        return self._known[name, size]


def _scaled(changes: Scores, wanted: float, own: float) -> Scores:
    """Changes of variance ``own`` to ones of variance ``wanted``."""
    scaled: Scores = changes * sqrt(wanted / own) if own else 0.0 * changes
    return scaled
