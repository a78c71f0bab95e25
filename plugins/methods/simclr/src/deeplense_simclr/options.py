"""The options of SimCLR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from attrs import frozen, validators

from deeplense_registry import RunFacts, option


@frozen
class SimCLROptions:
    """``[method.simclr]``. Published values (flags of SimCLR v2): temperature 0.1, layers 3, output 128."""

    paper_warmup: ClassVar[float] = 10.0
    """Epochs of warm-up of the published recipe, which `deeplense check` holds to the length of the run."""

    temperature: float = option(
        "Of the similarities, above 0. Published: 0.1, for batches of thousands; a batch of hundreds has few hard "
        "negatives and wants more.",
        0.2,
        validators.gt(0.0),
    )
    hidden: int | None = option(
        "Width of the projector's hidden layers; by default, as published, the backbone's.",
        None,
        validators.optional(validators.ge(1)),
    )
    output: int = option("Width of the embeddings that are compared.", 128, validators.ge(2))
    layers: Literal[2, 3] = option("Layers of the projector: 3 as in SimCLR v2, 2 as in v1.", 3)

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.batch_size < 2:
            yield "SimCLR contrasts the images of a batch; one has no negatives: set train.batch_size to 2 or more"
        elif facts.micro_batch < 2:
            yield "SimCLR's projector normalises over the micro-batch: set train.micro_batch to 2 or more"
