"""Metrics by their usual names, over class probabilities (M, K) or quantities (M,)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Any, Literal

from attrs import frozen
from numpy.typing import NDArray

from ..components import Target, UserError
from . import class_metrics as of_classes
from . import quantity_metrics as of_quantities

Array = NDArray[Any]


@frozen
class Metric:
    """A metric, for what it is meant, and what it can be.

    Attributes:
        name: Its usual name.
        kind: ``"class"`` or ``"quantity"``.
        score: ``score(truth (M,), probabilities (M, K))``, or ``score(truth (M,), values (M,))``.
        bounds: The least and the greatest value it can take.
    """

    name: str
    kind: Literal["class", "quantity"]
    score: Callable[[Array, Array], float]
    bounds: tuple[float, float]


_SHARE, _POSITIVE, _ANY = (0.0, 1.0), (0.0, inf), (-inf, inf)

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("auroc", "class", of_classes.auroc, _SHARE),
        Metric("accuracy", "class", of_classes.accuracy, _SHARE),
        Metric("balanced_accuracy", "class", of_classes.balanced_accuracy, _SHARE),
        Metric("f1", "class", of_classes.f1, _SHARE),
        Metric("average_precision", "class", of_classes.average_precision, _SHARE),
        Metric("purity", "class", of_classes.purity, _SHARE),
        Metric("tpr_at_fpr_1e-2", "class", partial(of_classes.tpr_at_fpr, rate=1e-2), _SHARE),
        Metric("tpr_at_fpr_1e-3", "class", partial(of_classes.tpr_at_fpr, rate=1e-3), _SHARE),
        Metric("calibration_error", "class", of_classes.calibration_error, _SHARE),
        Metric("r2", "quantity", of_quantities.r2, (-inf, 1.0)),
        Metric("mae", "quantity", of_quantities.mae, _POSITIVE),
        Metric("rmse", "quantity", of_quantities.rmse, _POSITIVE),
        Metric("median_bias", "quantity", of_quantities.median_bias, _ANY),
        Metric("sigma_mad", "quantity", of_quantities.sigma_mad, _POSITIVE),
        Metric("outliers", "quantity", of_quantities.outliers, _SHARE),
        Metric("dz_bias", "quantity", of_quantities.dz_bias, _ANY),
    )
}
"""By name."""
AUROC_PER_CLASS = "auroc_per_class"
"""Stands for the metrics ``auroc:CLASS``, the AUROC of each class of a target against the rest."""


def metrics_for(names: Sequence[str], target: Target) -> list[Metric]:
    """Of the metrics ``names`` those for targets of this kind; ``auroc_per_class`` becomes one metric a class.

    Args:
        names: Names in :data:`METRICS`, or :data:`AUROC_PER_CLASS`.
        target: What is predicted.

    Raises:
        UserError: None is for this kind.
    """
    chosen: list[Metric] = []
    for name in names:
        if name == AUROC_PER_CLASS:
            chosen += [_auroc_of(number, label) for number, label in enumerate(target.classes)]
        elif METRICS[name].kind == target.kind:
            chosen.append(METRICS[name])
    if not chosen:
        suitable = ", ".join(metric.name for metric in METRICS.values() if metric.kind == target.kind)
        raise UserError(f"of the metrics {', '.join(names)} none is for a {target.kind}; add one of {suitable}")
    return chosen


def _auroc_of(number: int, label: str) -> Metric:
    return Metric(f"auroc:{label}", "class", partial(of_classes.auroc_of, label=number), _SHARE)
