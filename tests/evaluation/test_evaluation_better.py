"""Every metric of the core has a direction, and the names of others are read."""

import pytest

from deeplense_registry.evaluation import METRICS, better

LESS = {"mae", "rmse", "sigma_mad", "outliers", "calibration_error"}


def test_the_cores_metrics():
    assert {name for name in METRICS if better(name) == "less"} == LESS
    assert {name for name in METRICS if better(name) == "near zero"} == {"median_bias", "dz_bias"}


@pytest.mark.parametrize(
    ("metric", "way"),
    [
        ("risk_at_80", "less"),
        ("spread_at_10", "less"),
        ("auroc:axion", "more"),
        ("precision_at_10", "more"),
        ("xyz", "more"),
    ],
)
def test_names_of_evaluators(metric, way):
    assert better(metric) == way
