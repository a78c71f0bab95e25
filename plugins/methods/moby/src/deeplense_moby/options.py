"""The options of MoBY."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from attrs import frozen, validators

from deeplense_registry import RunFacts, option


@frozen
class MoBYOptions:
    """``[method.moby]``.

    Published: momentum 0.99, queue 4096, temperature 0.2, hidden 4096, output 256, drop_path 0.2 for the student and 0
    for the teacher.
    """

    paper_warmup: ClassVar[float] = 5.0
    """Epochs of warm-up of the published recipe, which `deeplense check` holds to the length of the run."""

    momentum: float = option(
        "Of the teacher at the first step, as published; it rises to 1 along a cosine.",
        0.99,
        validators.ge(0.0),
        validators.le(1.0),
    )
    queue: int = option(
        "Keys of earlier steps that serve as negatives, for each view; a multiple of batch_size. Published: 4096, a "
        "300th of ImageNet; thousands of lenses want it well below their number.",
        1024,
        validators.ge(1),
    )
    temperature: float = option("Of the similarities, above 0, as published.", 0.2, validators.gt(0.0))
    hidden: int = option("Width of the hidden layers of both heads. Published: 4096.", 512, validators.ge(1))
    output: int = option("Width of the embeddings, as published.", 256, validators.ge(2))
    drop_path: float = option(
        "Rate of stochastic depth in the student's backbone, in [0, 1); the teacher's is 0. Published: 0.2, reached "
        "linearly in the deepest block, 0.1 on average; what it means for each block is the backbone's.",
        0.1,
        validators.ge(0.0),
        validators.lt(1.0),
    )

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.micro_batch < 2:
            yield "MoBY's heads normalise over the micro-batch: set train.micro_batch to 2 or more"
        if self.queue % facts.batch_size:
            near = max(round(self.queue / facts.batch_size), 1) * facts.batch_size
            yield f"queue = {self.queue} is no multiple of train.batch_size {facts.batch_size}; {near} is"
