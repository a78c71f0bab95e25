"""How far clusters agree with classes. All are 1 for clusters that are the classes, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn import metrics as sk
from sklearn.metrics.cluster import contingency_matrix

Array = NDArray[Any]


def nmi(truth: Array, clusters: Array) -> float:
    """Mutual information over the mean of the entropies, in [0, 1]; of independent ones it falls to 0 with M."""
    return float(sk.normalized_mutual_info_score(truth, clusters))


def ari(truth: Array, clusters: Array) -> float:
    """The adjusted Rand index in [-0.5, 1] (Hubert and Arabie 1985); 0 is chance."""
    return float(sk.adjusted_rand_score(truth, clusters))


def hungarian_accuracy(truth: Array, clusters: Array) -> float:
    """The accuracy in [0, 1] when each cluster is called by a class of its own, as well as that can be done.

    Kuhn 1955; images in clusters beyond the number of classes are wrong.
    """
    counts = contingency_matrix(truth, clusters)  # (classes, clusters)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(truth))


@frozen
class Agreement:
    """A score of ``truth`` (M,) and ``clusters`` (M,), both int, and the range it lies in."""

    score: Callable[[Array, Array], float]
    bounds: tuple[float, float]


AGREEMENTS: Mapping[str, Agreement] = {
    "nmi": Agreement(nmi, (0.0, 1.0)),
    "ari": Agreement(ari, (-0.5, 1.0)),
    "hungarian_accuracy": Agreement(hungarian_accuracy, (0.0, 1.0)),
}
"""By name."""
