"""The options of VTCC."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen, validators

from deeplense_registry import RunFacts, option


@frozen
class VTCCOptions:
    """``[method.vtcc]``. All defaults are published but ``clusters``, which there is the number of classes."""

    clusters: int = option(
        "K, the number of clusters. Published: the number of classes of each data set; the lens simulations have 3.",
        3,
        validators.ge(2),
    )
    temperature: float = option("Of the similarities of images, above 0. Published: 0.5.", 0.5, validators.gt(0.0))
    cluster_temperature: float = option(
        "Of the similarities of clusters, above 0. Published: 1.", 1.0, validators.gt(0.0)
    )
    entropy_weight: float = option(
        "Weight of the term that spreads images evenly over clusters, from 0. Published: 1; classes of unequal size "
        "want less.",
        1.0,
        validators.ge(0.0),
    )
    hidden: int | None = option(
        "Width of the projectors' hidden layers; by default, as published, four times the backbone's.",
        None,
        validators.optional(validators.ge(1)),
    )
    output: int = option("Width of the embeddings that are compared. Published: 128.", 128, validators.ge(2))

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.micro_batch < 2:
            yield "VTCC's projectors normalise over the micro-batch: set train.micro_batch to 2 or more"
        if self.clusters > facts.batch_size:
            yield (
                f"{self.clusters} clusters cannot all hold an image of a batch of {facts.batch_size}: "
                "lower clusters, or raise train.batch_size"
            )
