"""Scores of how little an image is like a reference set: the larger, the stranger."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .options import AnomalyOptions
from .protocol import Array
from .search import mean_distance

Scores = NDArray[np.float64]


def by_distance(reference: Array, images: Array, options: AnomalyOptions, _: int) -> Scores:
    """(M,) mean cosine distance to the k nearest of ``reference`` (Sun et al. 2022, arXiv:2204.06507)."""
    return mean_distance(images, reference, options.k)


def by_isolation(reference: Array, images: Array, options: AnomalyOptions, seed: int) -> Scores:
    """(M,) anomaly score of an isolation forest (Liu, Ting and Zhou 2008, doi:10.1109/ICDM.2008.17), in (0, 1)."""
    forest = IsolationForest(n_estimators=options.trees, random_state=seed).fit(reference)
    scores: Scores = -forest.score_samples(images)
    return scores


def by_density(reference: Array, images: Array, options: AnomalyOptions, seed: int) -> Scores:
    """(M,) negative log-likelihood under a Gaussian mixture on whitened principal components of ``reference``.

    Components that do not vary in ``reference`` are dropped: whitening would divide by their rounding. Where none
    varies every image scores 0.
    """
    standard = StandardScaler().fit(reference)
    rows = standard.transform(reference)
    rank = int(np.linalg.matrix_rank(rows))
    if not rank:
        return np.zeros(len(images))
    mixtures = min(options.mixtures, len(reference))
    model = make_pipeline(
        PCA(n_components=min(options.components, rank), whiten=True, svd_solver="full"),
        GaussianMixture(mixtures, reg_covar=1e-3, random_state=seed),
    ).fit(rows)
    scores: Scores = -model.score_samples(standard.transform(images))
    return scores


DETECTORS: Mapping[str, Callable[[Array, Array, AnomalyOptions, int], Scores]] = {
    "knn": by_distance,
    "isolation_forest": by_isolation,
    "density": by_density,
}
"""By the names of the option: ``score(reference (N, D), images (M, D), options, seed)``."""
