"""The options of clustering."""

from __future__ import annotations

from typing import Any, Literal

from attrs import NOTHING, frozen, validators

from deeplense_registry import option

_not_empty: Any = validators.min_len(1)
_at_least_one: Any = validators.ge(1)


@frozen
class ClusteringOptions:
    """``[evaluate.clustering]``: clusters of the test split's embeddings beside classes."""

    targets: tuple[str, ...] = option("The classes to compare with: targets of the data set.", NOTHING, _not_empty)
    metrics: tuple[Literal["nmi", "ari", "hungarian_accuracy"], ...] = option(
        "What is measured.", ("nmi", "ari", "hungarian_accuracy"), _not_empty
    )
    k: int | None = option(
        "Clusters of k-means; by default the number of classes.", None, validators.optional(validators.ge(2))
    )
    normalise: bool = option("Scale each embedding to length 1 before k-means, so that angles count.", True)
    seeds: int = option(
        "Runs of k-means, each from other starts; they are the draws of the interval.", 5, _at_least_one
    )
    starts: int = option("Starts of one run, of which the one with the least inertia stays.", 10, _at_least_one)
