"""Metrics of class probabilities (M, K), by scikit-learn; classes are averaged without weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from ..components import UserError

Array = NDArray[Any]

COMPLETENESS = 0.9
"""The least completeness at which purity is measured."""
BINS = 15
"""Bins of confidence, as in Guo et al. 2017."""


def auroc(truth: Array, probabilities: Array) -> float:
    """Area under the ROC curve in [0, 1], of each class against the rest, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """
    _check(truth, probabilities)
    return float(np.mean([_area(truth == label, probabilities[:, label]) for label in range(probabilities.shape[1])]))


def auroc_of(truth: Array, probabilities: Array, label: int) -> float:
    """Area under the ROC curve in [0, 1] of class ``label`` against the rest.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """
    _check(truth, probabilities)
    return _area(truth == label, probabilities[:, label])


def accuracy(truth: Array, probabilities: Array) -> float:
    """The fraction of images whose likeliest class is the true one."""
    return float(sk.accuracy_score(truth, probabilities.argmax(1)))


def balanced_accuracy(truth: Array, probabilities: Array) -> float:
    """The recall of each class, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """
    _check(truth, probabilities)
    return float(sk.balanced_accuracy_score(truth, probabilities.argmax(1)))


def f1(truth: Array, probabilities: Array) -> float:
    """F1 of each class (0 for one that is never predicted), averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """
    _check(truth, probabilities)
    return float(sk.f1_score(truth, probabilities.argmax(1), average="macro", zero_division=0.0))


def average_precision(truth: Array, probabilities: Array) -> float:
    """The area under the precision-recall curve in [0, 1], of each class against the rest, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """
    _check(truth, probabilities)
    one_hot = np.eye(probabilities.shape[1], dtype=np.int64)[truth]  # (M, K)
    return float(sk.average_precision_score(one_hot, probabilities, average="macro"))


def purity(truth: Array, probabilities: Array) -> float:
    """The best purity (precision) at a completeness (recall) of 0.9 or more.

    Of two classes it is that of the second, else of each class against the rest, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """

    def best(own: Array, scores: Array) -> float:
        precision, recall, _ = sk.precision_recall_curve(own, scores)
        return float(precision[recall >= COMPLETENESS].max())

    return _against_rest(best, truth, probabilities)


def tpr_at_fpr(truth: Array, probabilities: Array, rate: float) -> float:
    """The highest true-positive rate at a false-positive rate of at most ``rate``, a point of the ROC curve.

    Of two classes it is that of the second, else of each class against the rest, averaged over classes.

    Raises:
        UserError: A class has no image in ``truth``, or a probability is not finite.
    """

    def best(own: Array, scores: Array) -> float:
        false, true, _ = sk.roc_curve(own, scores, drop_intermediate=False)
        return float(true[false <= rate].max())

    return _against_rest(best, truth, probabilities)


def calibration_error(truth: Array, probabilities: Array) -> float:
    """The expected calibration error in [0, 1]: how far confidence is from accuracy, over 15 bins of confidence.

    Guo et al. 2017, arXiv:1706.04599, section 2; a bin holds its upper edge.
    """
    confidence, right = probabilities.max(1), probabilities.argmax(1) == truth
    bins = np.ceil(confidence * BINS).astype(np.int64)
    gaps = np.bincount(bins, weights=right - confidence)  # of each bin its count times (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(truth))


def _area(own: Array, scores: Array) -> float:
    """The area under the ROC curve, as the probability that an image of the class scores above one of the rest.

    Mann and Whitney 1947, ties counting half. It is scikit-learn's value to rounding, in a fraction of its time, which
    was that of the bootstrap.
    """
    inside, rest = np.sort(scores[own]), np.sort(scores[~own])
    below = np.searchsorted(rest, inside, "left") + np.searchsorted(rest, inside, "right")  # twice, with half the ties
    return float(below.sum() / (2 * len(inside) * len(rest)))


def _against_rest(score: Callable[[Array, Array], float], truth: Array, probabilities: Array) -> float:
    """``score(is_class (M,), probability (M,))`` of the second class of two, or averaged over more classes."""
    _check(truth, probabilities)
    classes = probabilities.shape[1]
    labels = [1] if classes == 2 else range(classes)
    return float(np.mean([score(truth == label, probabilities[:, label]) for label in labels]))


def _check(truth: Array, probabilities: Array) -> None:
    counts = np.bincount(truth, minlength=probabilities.shape[1])
    if not counts.all():
        raise UserError(
            f"an average over classes needs images of each, but class {counts.argmin()} has none among the "
            f"{len(truth)} labelled images judged; add some to the split, or measure accuracy"
        )
    if not np.isfinite(probabilities).all():
        raise UserError("the predicted probabilities are not finite; what predicted them has diverged")
