"""What an encoder says of images without labels: a probe's prediction, how sure it is, and whether to trust it.

A probe (logistic or ridge regression) learns on all labelled training images of the encoder's run, its regularisation
chosen on the validation images. A quantity comes with a split-conformal interval (Lei et al. 2018, JASA 113, 1094):
whatever the probe is worth, it holds the truth as often as it says for images like those of the validation split. For
others it promises nothing; the trust score tells them apart.
"""

from __future__ import annotations

import warnings
from math import ceil
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from ...components import Target, UserError
from ...evaluation import labelled
from .neighbours import nearest

Array = NDArray[Any]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the regularisation: the mean loss plus half of it times the squared weights."""
COVERAGE = 0.95
LEAST = 20
"""Validation images with the target, at least: below, no 95 % interval is finite."""


@frozen(eq=False)
class Prediction:
    """Predictions for M images.

    Attributes:
        values: (M, K) class probabilities, or (M,) quantities in the target's unit.
        half_width: Of the 95 % interval of a quantity; ``None`` for a class.
        trust: (M,) in [0, 1]: the share of validation images that lie at least as far (cosine) from the nearest
            labelled training image. Near 0: unlike anything the probe has learned from.
    """

    values: Array
    half_width: float | None
    trust: Array


class Predictor:
    """A probe of one target, on embeddings."""

    def __init__(self, target: str, about: Target, train: Array, truth: Array, val: Array, val_truth: Array) -> None:
        """Learn.

        Args:
            target: Its name, for messages.
            about: What it is.
            train: (N, D) embeddings of training images, and ``truth`` (N,), -1 or NaN where unknown.
            truth: See above.
            val: (M, D) embeddings of validation images, and ``val_truth`` (M,).
            val_truth: See above.

        Raises:
            UserError: Too few labels, or one class only.
        """
        known, judged = labelled(truth), labelled(val_truth)
        if judged.sum() < LEAST:
            raise UserError(f"target {target!r}: {judged.sum()} labelled validation images; {LEAST} are the least")
        if len(np.unique(truth[known])) < 2:
            raise UserError(f"target {target!r}: the labelled training images do not differ in it; nothing to learn")
        self.about = about
        self._labelled = train[known]
        self._mean, deviation = train.mean(0), train.std(0)
        self._scale = np.where(deviation > 1e-6 * np.abs(self._mean), deviation, np.inf)
        learn, check = self._standard(train[known]), self._standard(val[judged])
        fits = [_fit(about, strength, learn, truth[known]) for strength in STRENGTHS]
        self._model = min(fits, key=lambda model: self._loss(model, check, val_truth[judged]))
        self._half_width = self._conformal(check, val_truth[judged])
        self._distances = np.sort(self._distance(val))

    def __call__(self, embeddings: Array) -> Prediction:
        """Predict for embeddings (M, D)."""
        features = self._standard(embeddings)
        further = len(self._distances) - np.searchsorted(self._distances, self._distance(embeddings), side="left")
        trust = further / len(self._distances)
        if not self.about.classes:
            return Prediction(self._model.predict(features), self._half_width, trust)
        values = np.zeros((len(embeddings), len(self.about.classes)))
        values[:, self._model.classes_] = self._model.predict_proba(features)
        return Prediction(values, None, trust)

    def _standard(self, embeddings: Array) -> Array:
        features: Array = (embeddings - self._mean) / self._scale
        return features

    def _distance(self, embeddings: Array) -> Array:
        """(M,) one minus the cosine to the nearest labelled training image."""
        return 1.0 - nearest(embeddings, self._labelled, 1)[1][:, 0]

    def _loss(self, model: Any, features: Array, truth: Array) -> float:
        if not self.about.classes:
            return float(((model.predict(features) - truth) ** 2).mean())
        probabilities = np.full((len(truth), len(self.about.classes)), 1e-12)
        probabilities[:, model.classes_] = model.predict_proba(features)
        return float(-np.log(np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None)).mean())

    def _conformal(self, features: Array, truth: Array) -> float | None:
        if self.about.classes:
            return None
        errors = np.sort(np.abs(self._model.predict(features) - truth))
        return float(errors[ceil((len(errors) + 1) * COVERAGE) - 1])


def _fit(about: Target, strength: float, features: Array, truth: Array) -> Any:
    if not about.classes:
        return Ridge(alpha=strength * len(truth)).fit(features, truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a stiffer fit is chosen where this one is no good
        return LogisticRegression(C=1.0 / (strength * len(truth)), max_iter=2000).fit(features, truth)
