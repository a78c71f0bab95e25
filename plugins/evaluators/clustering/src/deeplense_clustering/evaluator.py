"""Clusters of the test split as an evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from deeplense_registry import Bench, Evaluator, Measurement, UserError
from deeplense_registry.evaluation import MIN_TEST, check_targets, interval, known_images

from .agreement import AGREEMENTS
from .options import ClusteringOptions

Array = NDArray[Any]

OWN = ":assigned"
"""Follows the name of a metric of the method's own clusters."""


class Clustering(Evaluator):
    """k-means on embeddings, and the method's own clusters where it has them, beside the classes; no label is used."""

    options: ClusteringOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each target; of images without a class the clusters count, but they are not scored.

        Raises:
            UserError: A target is unknown or a quantity, or there are fewer test images than clusters.
        """
        check_targets(bench, self.options.targets, "clustering")
        for target in self.options.targets:
            if bench.card.targets[target].kind != "class":
                raise UserError(
                    f"[evaluate.clustering] targets: {target!r} is a quantity, and clusters are compared with classes; "
                    "leave it out"
                )
        for target in self.options.targets:
            yield from self._target(bench, target)

    def _target(self, bench: Bench, target: str) -> Iterator[Measurement]:
        index, truth = known_images(bench, "test", target, MIN_TEST)
        k = self.options.k or len(bench.card.targets[target].classes)
        found = [clusters[index] for clusters in self._clusters(bench, k)]
        yield from self._measure(bench, target, truth, found, "")
        assigned = bench.assignments("test")
        if assigned is not None:
            yield from self._measure(bench, target, truth, [assigned[index].argmax(1)], OWN)

    def _clusters(self, bench: Bench, k: int) -> list[Array]:
        """(N,) of each seed."""
        features = bench.embeddings("test").astype(np.float64)
        if len(features) < k:
            raise UserError(
                f"[evaluate.clustering] the test split has {len(features)} images, fewer than the {k} clusters asked "
                "for; enlarge it, or lower k"
            )
        rows = normalised(features) if self.options.normalise else features
        seeds = [int(bench.rng("clustering", number).integers(2**31)) for number in range(self.options.seeds)]
        return [k_means(rows, k, self.options.starts, seed) for seed in seeds]

    def _measure(
        self, bench: Bench, target: str, truth: Array, clusters: Sequence[Array], suffix: str
    ) -> Iterator[Measurement]:
        for name in self.options.metrics:
            agreement = AGREEMENTS[name]
            rng = bench.rng("interval", target, 0)  # the same resamples for every metric and encoder
            found = interval(agreement.score, truth, clusters, rng, bounds=agreement.bounds)
            yield Measurement(target=target, metric=name + suffix, repeats=len(clusters), **found._asdict())


def k_means(rows: Array, k: int, starts: int, seed: int) -> Array:
    """(N,) the clusters of ``rows`` (N, D): Lloyd's algorithm from k-means++ starts (Arthur and Vassilvitskii 2007).

    Fewer than ``k`` clusters come of fewer distinct rows. On one thread, since sums of several are not repeatable.
    """
    model = KMeans(k, n_init=starts, random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of distinct clusters", ConvergenceWarning)
        clusters: Array = model.fit_predict(rows)
    return clusters


def normalised(features: Array) -> Array:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Array = features / np.where(lengths > 0, lengths, 1.0)
    return unit
