"""The options of the two trainings."""

from __future__ import annotations

from typing import Any, Literal

from attrs import NOTHING, frozen, validators

from deeplense_registry import option, ordered

ClassMetric = Literal[
    "auroc",
    "auroc_per_class",
    "accuracy",
    "balanced_accuracy",
    "f1",
    "average_precision",
    "purity",
    "tpr_at_fpr_1e-2",
    "tpr_at_fpr_1e-3",
    "calibration_error",
]
QuantityMetric = Literal["r2", "mae", "rmse", "median_bias", "sigma_mad", "outliers", "dz_bias"]
Range = tuple[float, float]

_not_empty: Any = validators.min_len(1)
_share: Any = (validators.ge(0.0), validators.le(1.0))


def _some(check: Any) -> Any:
    return validators.optional(check)


def _increasing(_: Any, attribute: Any, value: Range | None) -> None:
    if value is not None and not value[0] < value[1]:
        raise ValueError(f"'{attribute.name}' must be two numbers, the first below the second: {value}")


@frozen
class TrainingOptions:
    """What both trainings have in common."""

    targets: tuple[str, ...] = option(
        "The targets to learn: classes or quantities of the data set.", NOTHING, _not_empty
    )
    metrics: tuple[ClassMetric | QuantityMetric, ...] = option(
        "What is measured, of each target what suits it.", ("auroc", "accuracy", "r2", "mae"), _not_empty
    )
    largest_budget: int | None = option(
        "Leave out label budgets above this; by default none.", None, _some(validators.ge(1))
    )
    draws: int = option(
        "At most so many draws of each budget, since each is a training; runs of other seeds take the next ones.",
        2,
        validators.ge(1),
    )

    epochs: int | None = option("Passes over the labelled images, instead of steps.", None, _some(validators.ge(1)))
    batch_size: int = option("Labelled images in a step; all of them where there are fewer.", 32, validators.ge(2))
    weight_decay: float = option("AdamW's weight decay.", 0.05, validators.ge(0.0))
    warmup: float = option("The share of the steps in which the learning rate rises, before its cosine.", 0.1, *_share)
    clip: float | None = option("The largest norm of the gradient.", 1.0, _some(validators.gt(0.0)))

    checks: int = option(
        "How often, evenly, the network is judged on the validation split; the best state predicts. 0: never, and the "
        "last state predicts.",
        10,
        validators.ge(0),
    )
    choose_by: Literal["auroc", "loss"] = option(
        "Of classes the best state has the highest AUROC on the validation split, or the lowest loss, which rises with "
        "overconfidence while classes are still told apart better and better. Of quantities: the lowest loss.",
        "auroc",
    )

    rotate: bool = option("Rotate the labelled images by any angle. Not for position angles.", True)
    flip: bool = option("Mirror half of them.", True)
    shift: float = option("Largest shift of their centre along each axis, in pixels.", 2.0, validators.ge(0.0))
    zoom: Range = option(
        "Range of their magnification. It changes sizes, the Einstein radius among them.",
        (1.0, 1.0),
        ordered(0.1, 10.0),
    )
    noise: Range = option(
        "Range of their noise level, as in [views]; added where the image lacks it.", (0.0, 0.0), ordered(0.0, 100.0)
    )

    weighting: Literal["none", "balanced"] = option(
        'Classes count as often as they are labelled ("none"), or alike in the loss ("balanced").', "none"
    )
    sampling: Literal["as-drawn", "balanced"] = option(
        'Classes are seen as often as they are labelled ("as-drawn"), or alike, with repetition ("balanced").',
        "as-drawn",
    )
    regression: Literal["mse", "nll", "bins"] = option(
        'The loss of quantities: squared error ("mse"), Gaussian likelihood with a predicted variance ("nll"), or '
        'cross-entropy over bins of the value, whose expectation is the estimate ("bins").',
        "mse",
    )
    bins: int = option('Bins of equal width for regression = "bins".', 180, validators.ge(2))
    range: Range | None = option(
        "The range of the bins, in the target's unit; by default that of the labelled images.", None, _increasing
    )


@frozen
class FinetuneOptions(TrainingOptions):
    """``[evaluate.finetune]``: the whole encoder with a linear head."""

    steps: int = option("Steps of a training.", 300, validators.ge(1))
    learning_rate: float = option("Of the head, at its peak.", 1e-3, validators.gt(0.0))
    layer_decay: float = option(
        "The learning rate of each twelfth of the encoder's layers is this part of the next one's; that of the last "
        "is this part of the head's. 1: all alike.",
        0.75,
        validators.gt(0.0),
        validators.le(1.0),
    )
    patience: int | None = option("Stop after so many checks without a better state.", 5, _some(validators.ge(1)))


@frozen
class SupervisedOptions(TrainingOptions):
    """``[evaluate.supervised]``: the same network from scratch, all layers at one learning rate."""

    steps: int = option(
        "Steps of a training; with 600 the class of lenses is far from learned.", 2400, validators.ge(1)
    )
    learning_rate: float = option("At its peak.", 3e-4, validators.gt(0.0))
    patience: int | None = option(
        "Stop after so many checks without a better state; by default never, since training from scratch may begin "
        "with a plateau.",
        None,
        _some(validators.ge(1)),
    )
