"""The options of the three probes."""

from __future__ import annotations

from typing import Any, Literal

from attrs import NOTHING, frozen, validators

from deeplense_registry import option

_not_empty: Any = validators.min_len(1)
_grid: Any = (_not_empty, validators.deep_iterable(validators.gt(0.0)))


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


def _targets(kind: str) -> Any:
    return option(f"The targets to predict: {kind} of the data set.", NOTHING, _not_empty)


@frozen
class LinearOptions:
    """``[evaluate.linear]``: logistic regression of classes."""

    targets: tuple[str, ...] = _targets("classes")
    metrics: tuple[ClassMetric, ...] = option(
        "What is measured; averages over classes are unweighted.", ("auroc", "accuracy"), _not_empty
    )
    strengths: tuple[float, ...] = option(
        "Regularisation to choose from on the validation split: the mean cross-entropy plus strength / 2 times the "
        "squared weights is minimised. With a single one no validation split is needed.",
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
        *_grid,
    )
    iterations: int = option("Largest number of L-BFGS iterations of one fit.", 5000, validators.ge(1))


@frozen
class RidgeOptions:
    """``[evaluate.ridge]``: ridge regression of quantities."""

    targets: tuple[str, ...] = _targets("quantities")
    metrics: tuple[QuantityMetric, ...] = option(
        "What is measured; sigma_mad, outliers and dz_bias are for redshifts.", ("r2", "mae"), _not_empty
    )
    alphas: tuple[float, ...] = option(
        "Regularisation to choose from on the validation split: the mean squared error plus alpha times the squared "
        "weights is minimised. With a single one no validation split is needed.",
        (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0),
        *_grid,
    )


@frozen
class KNNOptions:
    """``[evaluate.knn]``: nearest labelled neighbours, for classes and quantities."""

    targets: tuple[str, ...] = _targets("classes or quantities")
    metrics: tuple[ClassMetric | QuantityMetric, ...] = option(
        "What is measured, of each target what suits it.", ("auroc", "accuracy", "r2", "mae"), _not_empty
    )
    k: int = option("Neighbours that vote; all labelled images where there are fewer.", 20, validators.ge(1))
    temperature: float = option(
        "A neighbour's vote weighs exp(cosine similarity / temperature).", 0.07, validators.gt(0.0)
    )
