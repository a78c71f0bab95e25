"""What an encoder says of images without labels: a probe's prediction, how sure it is, and whether to trust it.

A probe (logistic or ridge regression) learns on all labelled training images of the encoder's run. One half of the
labelled validation images chooses its regularisation, the other judges it: with its score, and for a quantity with a
split-conformal interval (Lei et al. 2018, JASA 113, 1094). Whatever the probe is worth, the interval holds the truth as
often as it says for images like those of the validation split. For others it promises nothing; the trust score tells
them apart.
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

from ...components import Target, UserError, derive_seed
from ...evaluation import labelled
from .neighbours import nearest

Array = NDArray[Any]
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the regularisation: the mean loss plus half of it times the squared weights."""
COVERAGE = 0.95
LEAST = 40
"""Labelled validation images; a half of fewer than 19 has no finite 95 % interval."""
UNLIKELY = 1e-12
"""Probability of a class that the probe has not seen, where a loss needs one."""


@frozen(eq=False)
class Labels:
    """A target, as far as it is known.

    Attributes:
        name, about: What it is.
        train: (N,) of the training images: int with -1, or float with NaN, where it is unknown.
        val: (M,) of the validation images, likewise.

    Raises:
        UserError: Too few are known, or nothing differs.
    """

    name: str
    about: Target
    train: Array
    val: Array

    def __attrs_post_init__(self) -> None:
        judged = int(labelled(self.val).sum())
        if judged < LEAST:
            raise UserError(f"target {self.name!r}: {judged} labelled validation images; {LEAST} are the least")
        if len(np.unique(self.train[labelled(self.train)])) < 2:
            raise UserError(f"target {self.name!r}: the labelled training images do not differ in it; nothing to learn")


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
    """A probe of one target, on embeddings.

    Attributes:
        target, about: What it predicts.
        labels: The number of labelled training images it learned on.
        judged: The number of validation images that judged it.
        score: On them: accuracy of a class, R2 of a quantity.
        half_width: Of the 95 % interval of a quantity; ``None`` for a class.
    """

    def __init__(self, labels: Labels, train: Array, val: Array) -> None:
        """Learn from embeddings of the training images (N, D) and the validation images (M, D)."""
        known = labelled(labels.train)
        self.target, self.about, self.labels = labels.name, labels.about, int(known.sum())
        self._labelled = train[known]
        self._mean, deviation = train.mean(0, np.float64), train.std(0, np.float64)
        varies = deviation > np.finfo(np.float32).eps * np.abs(self._mean)
        self._scale = np.where(varies, deviation, np.inf)  # what is constant but for rounding becomes 0
        choosing, judging = _halves(labels)
        fits = _fits(labels.about, self._standard(self._labelled), labels.train[known])
        chosen = self._standard(val[choosing])
        self._model = min(fits, key=lambda model: self._loss(model, chosen, labels.val[choosing]))
        judge, truth = self._standard(val[judging]), labels.val[judging]
        self.judged, self.score = len(truth), float(self._model.score(judge, truth))
        self.half_width = None if self.about.classes else conformal(np.abs(self._model.predict(judge) - truth))
        self._distances = np.sort(self._distance(val))

    def __call__(self, embeddings: Array) -> Prediction:
        """Predict for embeddings (M, D).

        Raises:
            UserError: They are of another width.
        """
        nearer = np.searchsorted(self._distances, self._distance(embeddings), side="left")
        trust = 1.0 - nearer / len(self._distances)
        features = self._standard(embeddings)
        values = self._probabilities(self._model, features) if self.about.classes else self._model.predict(features)
        return Prediction(values, self.half_width, trust)

    def _standard(self, embeddings: Array) -> Array:
        features: Array = (embeddings - self._mean) / self._scale
        return features

    def _distance(self, embeddings: Array) -> Array:
        """(M,) one minus the cosine to the nearest labelled training image."""
        return 1.0 - nearest(embeddings, self._labelled, 1)[1][:, 0]

    def _loss(self, model: Any, features: Array, truth: Array) -> float:
        """Mean squared error, or cross-entropy."""
        if not self.about.classes:
            return float(((model.predict(features) - truth) ** 2).mean())
        of_truth = self._probabilities(model, features)[np.arange(len(truth)), truth]
        return float(-np.log(np.clip(of_truth, UNLIKELY, None)).mean())

    def _probabilities(self, model: Any, features: Array) -> Array:
        """(M, K); 0 for a class that no labelled training image has."""
        values = np.zeros((len(features), len(self.about.classes)))
        values[:, model.classes_] = model.predict_proba(features)
        return values


def conformal(errors: Array) -> float:
    """The half width that holds another image's error with probability 0.95 at least, from absolute errors (n,)."""
    return float(np.sort(errors)[ceil((len(errors) + 1) * COVERAGE) - 1])


def _halves(labels: Labels) -> tuple[Array, Array]:
    """Positions of the labelled validation images, in two halves drawn at random, always the same ones."""
    rng = np.random.default_rng(derive_seed("predict", labels.name))
    shuffled = rng.permutation(np.flatnonzero(labelled(labels.val)))
    return shuffled[::2], shuffled[1::2]


def _fits(about: Target, features: Array, truth: Array) -> list[Any]:
    """A model for each strength."""
    count = len(truth)
    if not about.classes:
        return [Ridge(alpha=strength * count).fit(features, truth) for strength in STRENGTHS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a stiffer fit is chosen where this one is no good
        models = (LogisticRegression(C=1.0 / (strength * count), max_iter=2000) for strength in STRENGTHS)
        return [model.fit(features, truth) for model in models]
