"""The options of SwAV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen, validators

from deeplense_registry import RunFacts, option, ordered

Range = tuple[float, float]
_area = ordered(0.01, 1.0)


@frozen
class SwAVOptions:
    """``[method.swav]``.

    Published: 3000 prototypes, hidden 2048, output 128, temperature 0.1, epsilon 0.05, 3 iterations, 6 local crops of
    96 pixels where the image has 224, scales (0.14, 1) and (0.05, 0.14), prototypes frozen for an epoch; for batches of
    256 a queue of 3840 from epoch 15, for 4096 none.
    """

    prototypes: int = option(
        "Clusters K. Published: 3000, for 1000 classes. Lens default: see docs/methods.md.", 300, validators.ge(2)
    )
    hidden: int = option("Width of the projector's hidden layer. Published: 2048.", 512, validators.ge(1))
    output: int = option("Width of the embeddings, as published.", 128, validators.ge(2))
    temperature: float = option("Of the predictions, above 0, as published.", 0.1, validators.gt(0.0))
    epsilon: float = option(
        "Of the assignments, above 0. Published: 0.05, and 0.03 against collapse, which 0.05 ends in on lenses.",
        0.03,
        validators.gt(0.0),
    )
    iterations: int = option("Of Sinkhorn's algorithm, as published.", 3, validators.ge(1))
    local_crops: int = option("Small views beside the two that are assigned. Published: 6.", 6, validators.ge(0))
    local_size: int | None = option(
        "Side of a small view in pixels; by default 3/7 of the image's, as published (96 of 224), rounded up to a "
        "multiple of 8.",
        None,
        validators.optional(validators.ge(8)),
    )
    global_scale: Range = option(
        "Area of a large view as a fraction of the image's. Published: (0.14, 1); a crop changes the Einstein radius.",
        (0.8, 1.0),
        _area,
    )
    local_scale: Range = option(
        "Area of a small view as a fraction of the image's. Published: (0.05, 0.14), which would miss the ring.",
        (0.2, 0.5),
        _area,
    )
    queue: int = option(
        "Earlier embeddings that are assigned along with the batch, for each large view; a multiple of batch_size. "
        "Published: 3840 for batches of 256, which makes 1.4 rows a prototype; a batch of 128 has 2 for each of 64.",
        0,
        validators.ge(0),
    )
    queue_start: float = option(
        "Epochs before the queue takes rows; it is used once full. Published: 15, of 200 and more.",
        1.0,
        validators.ge(0.0),
    )
    freeze_epochs: float = option(
        "Epochs during which the prototypes do not learn. Published: 1, of 200 and more.", 0.5, validators.ge(0.0)
    )

    def local_side(self, facts: RunFacts) -> int:
        """The side of a small view in pixels; the default is one that the backbone takes."""
        if self.local_size is not None:
            return self.local_size
        side = min(facts.shape.height, facts.shape.width)
        return max(8 * -(-3 * side // 56), facts.backbone.min_size)

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        if facts.micro_batch < 2:
            yield "SwAV's projector normalises over the micro-batch: set train.micro_batch to 2 or more"
        if self.freeze_epochs >= facts.epochs:
            yield (
                f"freeze_epochs = {self.freeze_epochs:g} lasts the whole run of {facts.epochs} epochs, and the "
                "prototypes would never learn: set it below train.epochs"
            )
        if self.local_crops:
            yield from self._crops(facts)
        if self.queue:
            yield from self._queue(facts)

    def _crops(self, facts: RunFacts) -> Iterator[str]:
        side, image = self.local_side(facts), min(facts.shape.height, facts.shape.width)
        if side < facts.backbone.min_size:
            yield (
                f"local_size = {side} is below the {facts.backbone.min_size} pixels that the backbone needs: "
                "raise it, or choose a backbone variant with a shorter stem"
            )
        if side > image:
            yield f"local views of {side} pixels are larger than the images of {facts.shape}: set local_size"

    def _queue(self, facts: RunFacts) -> Iterator[str]:
        if self.queue % facts.batch_size:
            near = max(round(self.queue / facts.batch_size), 1) * facts.batch_size
            yield f"queue = {self.queue} is no multiple of train.batch_size {facts.batch_size}; {near} is"
            return
        full = self.queue_start * facts.steps_per_epoch + self.queue // facts.batch_size
        if full >= facts.steps:
            yield (
                f"the queue would be full after step {full:g} of {facts.steps} and never used: "
                "shorten queue or queue_start, train longer, or set queue = 0"
            )
