"""Which way a metric is better, told by its name: evaluators of third parties measure what the core does not know."""

from __future__ import annotations

from typing import Literal

LESS = (
    "mae",
    "rmse",
    "sigma_mad",
    "outliers",
    "calibration_error",
    "unconverged",
    "risk",
    "aurc",
    "spread_at",
)
"""Beginnings of the names of metrics of which less is better."""
NEAR_ZERO = ("median_bias", "dz_bias")
"""Metrics that are best at zero."""


def better(metric: str) -> Literal["more", "less", "near zero"]:
    """Which values of ``metric`` are better; an unknown one is a score, of which more is."""
    if metric.startswith(NEAR_ZERO):
        return "near zero"
    return "less" if metric.startswith(LESS) else "more"
