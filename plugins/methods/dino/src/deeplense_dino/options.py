"""The options of DINO."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from attrs import frozen, validators

from deeplense_registry import ImageShape, RunFacts, option, ordered

_positive = validators.gt(0.0)
_momentum = (validators.ge(0.0), validators.lt(1.0))
_scale = ordered(1e-3, 1.0)


@frozen
class DINOOptions:
    """``[method.dino]``, under the names of the authors' code. Published values, where the default differs, are given.

    The defaults for lenses: a narrower head, since thousands of images do not fill 65,536 outputs; a teacher that
    follows within hundreds of steps; global views of the whole image; and local views that keep most of the ring in
    sight at half the resolution. docs/methods.md has the measurement.
    """

    paper_warmup: ClassVar[float] = 10.0
    """Epochs of warm-up of the published recipe, which `deeplense check` holds to the length of the run."""

    out_dim: int = option("Outputs K of the head. Published: 65536.", 256, validators.ge(2))
    hidden_dim: int = option("Width of the head's hidden layers. Published: 2048.", 1024, validators.ge(1))
    bottleneck_dim: int = option("Width of the head before its last layer.", 256, validators.ge(2))
    nlayers: int = option("Layers of the head before its last.", 3, validators.ge(1))
    use_bn_in_head: bool = option("Batch norm in the head.", False)
    norm_last_layer: bool = option("Keep the gain of the weight-normalised last layer at 1.", True)
    drop_path_rate: float | None = option(
        "Stochastic depth of the student; by default the backbone's own. Published: 0.1. The teacher has none.",
        None,
        validators.optional([validators.ge(0.0), validators.lt(1.0)]),
    )
    momentum_teacher: float = option(
        "Momentum of the teacher at the first step, from where it rises to 1 along a cosine. Published: 0.996, for "
        "100,000 steps; 0.9995 for batches of 256.",
        0.98,
        *_momentum,
    )
    student_temp: float = option("Temperature of the student's outputs, above 0.", 0.1, _positive)
    warmup_teacher_temp: float = option(
        "Temperature of the teacher's outputs at first; lower is sharper.", 0.04, _positive
    )
    teacher_temp: float = option(
        "Temperature of the teacher's outputs after the warm-up; 0.07 in the longest published runs.", 0.04, _positive
    )
    warmup_teacher_temp_epochs: int = option(
        "Epochs of linear warm-up of that temperature; 30 where it ends at 0.07.", 0, validators.ge(0)
    )
    center_momentum: float = option("Momentum of the centre of the teacher's outputs.", 0.9, *_momentum)
    freeze_last_layer: int = option(
        "Epochs in which the last layer stays as it is; more where the loss does not fall.", 1, validators.ge(0)
    )
    global_crops_scale: tuple[float, float] = option(
        'Area of the two global views, as a fraction of the image\'s. Published: [0.4, 1.0], which policy = "paper" '
        "always takes.",
        (1.0, 1.0),
        _scale,
    )
    local_crops_scale: tuple[float, float] = option(
        'Area of the local views, as a fraction of the image\'s. Published: [0.05, 0.4], which policy = "paper" always '
        "takes.",
        (0.5, 1.0),
        _scale,
    )
    local_crops_number: int = option("Local views, which only the student sees. Published: 8.", 4, validators.ge(0))
    local_crops_size: int | None = option(
        "Side of the local views in pixels; by default half the image's. Published: 96 of 224.",
        None,
        validators.optional(validators.ge(1)),
    )

    def local_size(self, shape: ImageShape) -> int:
        """Side of the local views of images of ``shape``, in pixels."""
        return self.local_crops_size or min(shape.height, shape.width) // 2

    def check(self, facts: RunFacts) -> Iterable[str]:
        """What is wrong with a run of these facts."""
        for name, epochs in (
            ("warmup_teacher_temp_epochs", self.warmup_teacher_temp_epochs),
            ("freeze_last_layer", self.freeze_last_layer),
        ):
            if epochs > facts.epochs:
                yield f"{name} = {epochs} is longer than the run: set it to at most train.epochs = {facts.epochs}"
        size, least = self.local_size(facts.shape), facts.backbone.min_size
        if self.local_crops_number and size < least:
            yield (
                f"local views of {size} pixels are smaller than the backbone takes: set local_crops_size to {least} or "
                "more, or local_crops_number to 0"
            )
        if self.use_bn_in_head and facts.micro_batch < 2:
            yield "use_bn_in_head normalises over the micro-batch: set train.micro_batch to 2 or more"
