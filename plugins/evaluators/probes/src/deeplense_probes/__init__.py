"""Probes: what frozen embeddings know of a target when few images are labelled."""

from __future__ import annotations

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The three probes."""
    yield Component(
        kind="evaluator",
        name="linear",
        api=1,
        factory="deeplense_probes.evaluator:Linear",
        options="deeplense_probes.options:LinearOptions",
        summary="Classes by multinomial logistic regression on frozen embeddings.",
        reference="arXiv:1610.01644",
    )
    yield Component(
        kind="evaluator",
        name="ridge",
        api=1,
        factory="deeplense_probes.evaluator:Ridge",
        options="deeplense_probes.options:RidgeOptions",
        summary="Quantities by ridge regression on frozen embeddings.",
        reference="doi:10.1080/00401706.1970.10488634",
    )
    yield Component(
        kind="evaluator",
        name="knn",
        api=1,
        factory="deeplense_probes.evaluator:KNN",
        options="deeplense_probes.options:KNNOptions",
        summary="Classes and quantities by the weighted vote of the nearest labelled embeddings.",
        reference="arXiv:1805.01978",
    )
