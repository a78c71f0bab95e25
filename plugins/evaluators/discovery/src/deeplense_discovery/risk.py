"""Selective prediction: what is risked by trusting the images of the smallest scores (arXiv:1705.08500).

A judgement is an array (R, V, 3): for each of R images seen in V ways the loss of its prediction, its score (the
larger, the less it is trusted) and whether it is out of distribution (0 or 1). All functions flatten R and V; R is
apart because intervals resample images, with all that was seen of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from .protocol import Array

FEWEST = 5
"""Errors, and images without, below which a rank among them means nothing."""


def coverages(risks: Array) -> NDArray[np.float64]:
    """The fraction of images kept at each entry of :func:`risk_by_coverage`."""
    return np.arange(1, len(risks) + 1) / len(risks)


def risk_by_coverage(judged: Array) -> NDArray[np.float64]:
    """(R * V,) the mean loss of the n most trusted images, n from 1 to all; of equal scores the first come first."""
    loss, score, _ = _flat(judged)
    ordered = loss[np.argsort(score, kind="stable")]
    risks: NDArray[np.float64] = np.cumsum(ordered) / np.arange(1, len(ordered) + 1)
    return risks


def area(judged: Array) -> float:
    """AURC: the mean of the risk over all coverages (Geifman et al. 2019, arXiv:1805.08206)."""
    return float(risk_by_coverage(judged).mean())


def risk_at(judged: Array, coverage: float) -> float:
    """The mean loss of the most trusted images that make up ``coverage`` of all, rounded up."""
    risks = risk_by_coverage(judged)
    return float(risks[int(np.ceil(coverage * len(risks) - 1e-9)) - 1])


def wrong(judged: Array, *, quantity: bool) -> NDArray[np.bool_]:
    """(R * V,) whether the prediction is an error: any loss of a class; of a quantity, a loss above the median's."""
    loss = _flat(judged)[0]
    errors: NDArray[np.bool_] = loss > (np.median(loss) if quantity else 0.0)
    return errors


def defined(judged: Array, *, quantity: bool) -> bool:
    """Whether there are enough errors, and enough images without, to rank them."""
    errors = wrong(judged, quantity=quantity)
    return bool(min(errors.sum(), (~errors).sum()) >= FEWEST)


def error_auroc(judged: Array, *, quantity: bool) -> float:
    """Area under the ROC curve of the score as a detector of errors.

    Where all or none are errors it is .5, its value without information. That concerns at most 1 in 100 resamples of
    what is :func:`defined`.
    """
    errors = wrong(judged, quantity=quantity)
    return float(roc_auc_score(errors, _flat(judged)[1])) if 0 < errors.sum() < len(errors) else 0.5


def outside_auroc(judged: Array) -> float:
    """Area under the ROC curve of the score as a detector of what is out of distribution."""
    _, score, outside = _flat(judged)
    return float(roc_auc_score(outside > 0, score))


def _flat(judged: Array) -> Array:
    """(3, R * V)."""
    return judged.reshape(-1, 3).T
