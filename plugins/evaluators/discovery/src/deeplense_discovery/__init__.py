"""Discovery: what a space of lenses is good for beside prediction."""

from __future__ import annotations

from collections.abc import Iterator

from deeplense_registry import Component, hookimpl

_SUMMARIES = {
    "similarity": ("Similarity", "Do neighbours share classes and quantities? With a gallery.", "arXiv:2110.13151"),
    "anomaly": ("Anomaly", "A class that the reference set lacks, found by distance or density.", "arXiv:2204.06507"),
    "trust": ("Trust", "Does the distance to the nearest labelled images foretell errors?", "arXiv:1705.08500"),
    "invariance": ("Invariance", "How far each augmentation moves an embedding, beside other images.", ""),
    "map": ("Map", "t-SNE or UMAP pictures coloured by targets, and TensorBoard's projector.", "arXiv:1802.03426"),
    "attention": (
        "Attention",
        "Where a backbone looks: token norms, and attention where it offers it.",
        "arXiv:2104.14294",
    ),
}


@hookimpl
def deeplense_components() -> Iterator[Component]:
    """The six evaluators."""
    for name, (factory, summary, reference) in _SUMMARIES.items():
        yield Component(
            kind="evaluator",
            name=name,
            api=1,
            factory=f"deeplense_discovery.{name}:{factory}",
            options=f"deeplense_discovery.options:{factory}Options",
            summary=summary,
            reference=reference,
        )
