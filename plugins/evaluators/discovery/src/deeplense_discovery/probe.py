"""A linear probe of fixed strength, and how far each image is from what it learned on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestNeighbors

from deeplense_registry import UserError

from .protocol import Array, Known


def judge_images(
    train: Array, labelled: Known, images: Array, truth: Array, *, strength: float, k: int
) -> NDArray[np.float64]:
    """(M, 2): the loss of each image's prediction, and its mean Euclidean distance to the k nearest labelled images.

    The distance is between standardised features. Cosine distance, which forgets how far out an image lies, ranked the
    errors on noisier lenses worse than chance.

    Args:
        train: (N, D) the whole training split, by whose mean and deviation features are standardised.
        labelled: What the probe learns from.
        images: (M, D) embeddings.
        truth: (M,) classes or quantities.
        strength: The mean loss plus strength / 2 (classes) or strength (quantities) times the squared weights is
            minimised.
        k: Nearest labelled images; all where there are fewer.

    Raises:
        UserError: ``labelled`` has one class only.
    """
    mean, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    varies = deviation > np.finfo(np.float32).eps * np.abs(mean)  # beyond rounding

    def standardised(rows: Array) -> Array:
        return np.where(varies, (rows - mean) / np.where(varies, deviation, 1.0), 0.0)

    known, seen = standardised(labelled.features), standardised(images)
    learn = _class_errors if truth.dtype.kind == "i" else _absolute_errors
    return np.column_stack((learn(known, labelled.truth, seen, truth, strength), _distance(seen, known, k)))


def _class_errors(known: Array, labels: Array, images: Array, truth: Array, strength: float) -> Array:
    """(M,) 1 where the predicted class is wrong, else 0."""
    if len(np.unique(labels)) < 2:
        raise UserError(
            f"[evaluate.trust]: a draw of {len(labels)} labelled images holds one class only, and a probe needs two; "
            "raise [labels] budgets, or set labels.stratified = true"
        )
    model = LogisticRegression(C=1 / (strength * len(labels)), max_iter=5000).fit(known, labels)
    wrong: Array = model.predict(images) != truth
    return wrong.astype(np.float64)


def _absolute_errors(known: Array, labels: Array, images: Array, truth: Array, strength: float) -> Array:
    """(M,) in the quantity's unit."""
    model = Ridge(alpha=strength * len(labels)).fit(known, labels)
    errors: Array = np.abs(model.predict(images) - truth)
    return errors


def _distance(images: Array, known: Array, k: int) -> Array:
    """(M,) in standardised units, by exact search in chunks."""
    search = NearestNeighbors(n_neighbors=min(k, len(known)), algorithm="brute").fit(known)
    distances: Array = search.kneighbors(images)[0].mean(1)
    return distances
