"""Multinomial logistic regression, its regularisation chosen on a validation split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from deeplense_registry import UserError
from deeplense_registry.evaluation import Prediction

from .protocol import Array, Split

_TOLERANCE = 1e-5  # of the gradient: tight enough that the warm start does not show in the metrics


def predict_classes(
    train: Split, *, val: Split | None, test: Array, classes: int, strengths: Sequence[float], iterations: int
) -> Prediction:
    """(M, K) class probabilities of the images ``test`` (M, D).

    Minimises the mean cross-entropy plus ``strength / 2`` times the squared weights (not the intercepts) by L-BFGS. Of
    ``strengths`` the one with the least cross-entropy on ``val`` predicts; ties go to the strongest. A class that is
    not among the labels of ``train`` has probability 0.

    Raises:
        UserError: ``train`` holds images of one class only.
    """
    if len(np.unique(train.truth)) < 2:
        raise UserError(
            f"a draw of {len(train.truth)} labelled images holds one class of {classes} only, and logistic regression "
            "needs two; raise [labels] budgets, or set labels.stratified = true"
        )
    model = LogisticRegression(tol=_TOLERANCE, max_iter=iterations, warm_start=True)
    losses, predictions = [], []
    for strength in sorted(strengths, reverse=True):  # from stiff to free, each start the solution before
        model.set_params(C=1 / (strength * len(train.truth)))
        converged = _fit(model, train)
        losses.append(_loss(model, val, classes))
        predictions.append(Prediction(_probabilities(model, test, classes), converged))
    return predictions[int(np.argmin(losses))]


def _fit(model: LogisticRegression, train: Split) -> bool:
    """Fit in place; whether the optimiser converged."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(train.features, train.truth)
    missed = [w for w in caught if issubclass(w.category, ConvergenceWarning)]
    for other in caught:
        if other not in missed:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    return not missed


def _loss(model: LogisticRegression, val: Split | None, classes: int) -> float:
    """The mean cross-entropy on ``val``; without one there is nothing to choose."""
    if val is None:
        return 0.0
    return float(log_loss(val.truth, _probabilities(model, val.features, classes), labels=range(classes)))


def _probabilities(model: LogisticRegression, features: Array, classes: int) -> Array:
    probabilities = np.zeros((len(features), classes))
    probabilities[:, model.classes_] = model.predict_proba(features)
    return probabilities
