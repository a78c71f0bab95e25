"""Ridge regression, its regularisation chosen on a validation split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error

from deeplense_registry.evaluation import Prediction

from .protocol import Array, Split


def predict_quantity(train: Split, *, val: Split | None, test: Array, alphas: Sequence[float]) -> Prediction:
    """(M,) the quantity of the images ``test`` (M, D), in its unit.

    Minimises the mean squared error plus ``alpha`` times the squared weights (not the intercept). Of ``alphas`` the one
    with the least squared error on ``val`` predicts; ties go to the strongest.
    """
    models = [
        Ridge(alpha=alpha * len(train.truth)).fit(train.features, train.truth) for alpha in sorted(alphas, reverse=True)
    ]
    if val is None:
        return Prediction(models[0].predict(test))
    errors = [mean_squared_error(val.truth, model.predict(val.features)) for model in models]
    return Prediction(models[int(np.argmin(errors))].predict(test))
