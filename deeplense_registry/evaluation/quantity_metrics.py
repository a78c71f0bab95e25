"""Metrics of quantities (M,) by scikit-learn and scipy, and those of photometric redshifts.

Of redshifts, dz is (z_predicted - z_true) / (1 + z_true); its spread, outliers and bias are those of Pasquet et al.
2019, arXiv:1806.06607, section 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import median_abs_deviation
from sklearn import metrics as sk

from ..components import UserError

Array = NDArray[Any]

OUTLIER = 0.05
"""A redshift with ``|dz|`` above this is an outlier."""


def r2(truth: Array, values: Array) -> float:
    """The coefficient of determination: 1 is perfect, 0 the mean of ``truth``, worse is below."""
    return float(sk.r2_score(truth, values))


def mae(truth: Array, values: Array) -> float:
    """The mean absolute error, in the target's unit."""
    return float(sk.mean_absolute_error(truth, values))


def rmse(truth: Array, values: Array) -> float:
    """The root of the mean squared error, in the target's unit."""
    return float(sk.root_mean_squared_error(truth, values))


def median_bias(truth: Array, values: Array) -> float:
    """The median of ``values - truth``, in the target's unit."""
    return float(np.median(values - truth))


def sigma_mad(truth: Array, values: Array) -> float:
    """1.4826 times the median absolute deviation of dz from its median.

    Raises:
        UserError: A true value is no redshift.
    """
    return float(median_abs_deviation(_dz(truth, values), scale="normal"))


def outliers(truth: Array, values: Array) -> float:
    """The fraction of images with ``|dz|`` above 0.05.

    Raises:
        UserError: A true value is no redshift.
    """
    return float((np.abs(_dz(truth, values)) > OUTLIER).mean())


def dz_bias(truth: Array, values: Array) -> float:
    """The mean of dz.

    Raises:
        UserError: A true value is no redshift.
    """
    return float(_dz(truth, values).mean())


def _dz(truth: Array, values: Array) -> Array:
    if truth.min() <= -1:
        raise UserError(
            f"sigma_mad, outliers and dz_bias are for redshifts, which lie above -1, and a target is {truth.min():g}; "
            "measure mae, rmse or median_bias of it"
        )
    dz: Array = (values - truth) / (1 + truth)
    return dz
