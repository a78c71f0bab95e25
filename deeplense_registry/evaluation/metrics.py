"""Scikit-learn's metrics by their usual names, over class probabilities (M, K) or quantities (M,)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from sklearn import metrics as sk

from ..components import UserError

Array = NDArray[Any]


def auroc(truth: Array, probabilities: Array) -> float:
    """Area under the ROC curve in [0, 1], of each class against the rest, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``.
    """
    _every_class(truth, probabilities)
    one_hot = np.eye(probabilities.shape[1], dtype=np.int64)[truth]  # (M, K)
    return float(sk.roc_auc_score(one_hot, probabilities, average="macro"))


def accuracy(truth: Array, probabilities: Array) -> float:
    """The fraction of images whose likeliest class is the true one."""
    return float(sk.accuracy_score(truth, probabilities.argmax(1)))


def balanced_accuracy(truth: Array, probabilities: Array) -> float:
    """The recall of each class, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``.
    """
    _every_class(truth, probabilities)
    return float(sk.balanced_accuracy_score(truth, probabilities.argmax(1)))


def f1(truth: Array, probabilities: Array) -> float:
    """F1 of each class (0 for one that is never predicted), averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``.
    """
    _every_class(truth, probabilities)
    return float(sk.f1_score(truth, probabilities.argmax(1), average="macro", zero_division=0.0))


def r2(truth: Array, values: Array) -> float:
    """The coefficient of determination: 1 is perfect, 0 the mean of ``truth``, worse is below."""
    return float(sk.r2_score(truth, values))


def mae(truth: Array, values: Array) -> float:
    """The mean absolute error, in the target's unit."""
    return float(sk.mean_absolute_error(truth, values))


def rmse(truth: Array, values: Array) -> float:
    """The root of the mean squared error, in the target's unit."""
    return float(sk.root_mean_squared_error(truth, values))


def _every_class(truth: Array, probabilities: Array) -> None:
    counts = np.bincount(truth, minlength=probabilities.shape[1])
    if not counts.all():
        raise UserError(
            f"an average over classes needs images of each, but class {counts.argmin()} has none among the "
            f"{len(truth)} labelled images judged; add some to the split, or measure accuracy"
        )


@frozen
class Metric:
    """A metric, for what it is meant, and what it can be.

    Attributes:
        name: Its usual name.
        kind: ``"class"`` or ``"quantity"``.
        score: ``score(truth (M,), probabilities (M, K))``, or ``score(truth (M,), values (M,))``.
        bounds: The least and the greatest value it can take.
    """

    name: str
    kind: Literal["class", "quantity"]
    score: Callable[[Array, Array], float]
    bounds: tuple[float, float]


METRICS: Mapping[str, Metric] = {
    **{f.__name__: Metric(f.__name__, "class", f, (0.0, 1.0)) for f in (auroc, accuracy, balanced_accuracy, f1)},
    "r2": Metric("r2", "quantity", r2, (-inf, 1.0)),
    **{f.__name__: Metric(f.__name__, "quantity", f, (0.0, inf)) for f in (mae, rmse)},
}
"""By name."""
