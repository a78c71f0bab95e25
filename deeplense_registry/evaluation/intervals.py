"""The mean of a metric over label draws with its 95 % interval over draws and test images together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot, inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ..components import UserError

Array = NDArray[Any]
Scores = NDArray[np.float64]

LEVEL = 0.95
_TRIES = 1000


class Interval(NamedTuple):
    """A value between the ends of its 95 % interval.

    Attributes:
        value, low, high: The value, and the ends.
        replicates: (1 + R, n): the score of each of n draws, and below it on R resamples of the test images.
    """

    value: float
    low: float
    high: float
    replicates: Scores


def interval(
    metric: Callable[[Array, Array], float],
    truth: Array,
    predictions: Sequence[Array],
    rng: np.random.Generator,
    *,
    resamples: int = 200,
    bounds: tuple[float, float] = (-inf, inf),
) -> Interval:
    """The mean of ``metric`` over draws, and what it would vary by with other draws and other test images.

    Draws and images are two crossed random effects. The part of the images is the percentile bootstrap of the mean over
    draws, all draws being scored on the same resampled images. The part of the draws is Student's interval of their
    scores, less the variance that each draw shares with the images (estimated from the same bootstrap, else counted
    twice); its quantile widens it for few draws, where resampling draws would be too narrow. The two parts are joined
    in quadrature on each side (Zou and Donner 2008, Statistics in Medicine 27, 1693, equation 5). With Gaussian effects
    simulated coverage is 93 to 96 % at 5 and 10 draws, and 91 to 98 % at 2. A single draw leaves the part of the images
    alone.

    A resample that lacks one of the classes of ``truth`` is drawn again, since averages over classes are undefined on
    it: the interval is that of test sets which have every class.

    Args:
        metric: ``metric(truth, prediction)``.
        truth: (M,) int classes, or float quantities.
        predictions: For each draw (M, ...).
        rng: Where the resamples come from.
        resamples: Bootstrap replicates; the metric is computed ``resamples + 1`` times a draw.
        bounds: The range of the metric, within which the interval stays.

    Raises:
        UserError: A class is so rare that resamples practically never have every class.
    """
    scores = np.array([metric(truth, prediction) for prediction in predictions])  # (n,)
    replicates = _bootstrap(metric, truth, predictions, rng, resamples)  # (R, n)
    return interval_of(np.vstack([scores, replicates]), bounds)


def interval_of(replicates: Scores, bounds: tuple[float, float] = (-inf, inf)) -> Interval:
    """The interval of :func:`interval` from the scores it rests on, or from paired differences of such.

    Args:
        replicates: (1 + R, n): the score of each of n draws, and below it on R resamples of the test images.
        bounds: The range within which the interval stays.
    """
    scores, resampled = replicates[0], replicates[1:]
    value = float(scores.mean())
    low, high = np.quantile(resampled.mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="weibull")
    draws = _half_width_of_draws(scores, resampled)
    return Interval(
        value,
        low=max(bounds[0], value - hypot(max(0.0, value - low), draws)),
        high=min(bounds[1], value + hypot(max(0.0, high - value), draws)),
        replicates=replicates,
    )


def _bootstrap(
    metric: Callable[[Array, Array], float],
    truth: Array,
    predictions: Sequence[Array],
    rng: np.random.Generator,
    resamples: int,
) -> Scores:
    """(R, n): the score of each draw on each resample of the test images."""
    rows = []
    for _ in range(resamples):
        index = _resample(truth, rng)
        rows.append([metric(truth[index], prediction[index]) for prediction in predictions])
    return np.array(rows)


def _resample(truth: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    classes = len(np.unique(truth)) if truth.dtype.kind == "i" else 0
    for _ in range(_TRIES):
        index = rng.integers(len(truth), size=len(truth))
        if not classes or len(np.unique(truth[index])) == classes:
            return index
    rarest = int(np.unique(truth, return_counts=True)[1].min())
    raise UserError(
        f"no interval: of {len(truth)} labelled test images, {rarest} belong to the rarest of {classes} classes, and "
        f"{_TRIES} resamples missed one class or another; the test split needs more images of each class"
    )


def _half_width_of_draws(scores: Scores, replicates: Scores) -> float:
    draws = len(scores)
    if draws == 1:
        return 0.0
    change = replicates - scores
    own = change - change.mean(0) - change.mean(1, keepdims=True) + change.mean()  # neither image nor draw alone
    interaction = (own**2).sum() / ((len(own) - 1) * (draws - 1))
    variance = max(0.0, scores.var(ddof=1) - interaction)
    return float(student.ppf((1 + LEVEL) / 2, draws - 1)) * sqrt(variance / draws)
