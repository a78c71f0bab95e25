"""The options of SimSiam."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen, validators

from deeplense_registry import RunFacts, option


@frozen
class SimSiamOptions:
    """``[method.simsiam]``. Published values: dim 2048, pred_dim 512, fix_pred_lr true.

    The defaults of the widths are for lenses: a quarter of those for ImageNet, with the published ratio between them.
    """

    dim: int = option("Width of the embeddings that are compared. Published: 2048.", 512, validators.ge(2))
    pred_dim: int = option(
        "Width of the predictor's hidden layer, a bottleneck: a quarter of dim as published (512).",
        128,
        validators.ge(1),
    )
    fix_pred_lr: bool = option("Keep the predictor's learning rate at its peak while that of the rest falls.", True)

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.micro_batch < 2:
            yield "SimSiam's projector normalises over the micro-batch: set train.micro_batch to 2 or more"
