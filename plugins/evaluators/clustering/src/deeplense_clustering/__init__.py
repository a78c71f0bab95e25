"""Clustering: do groups of embeddings agree with classes, without a label?"""

from __future__ import annotations

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The evaluator."""
    yield Component(
        kind="evaluator",
        name="clustering",
        api=1,
        factory="deeplense_clustering.evaluator:Clustering",
        options="deeplense_clustering.options:ClusteringOptions",
        summary="Agreement of classes with k-means on embeddings, and with the method's own assignments.",
        reference="doi:10.1002/nav.3800020109",
    )
