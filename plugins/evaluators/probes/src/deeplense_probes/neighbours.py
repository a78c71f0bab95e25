"""Weighted nearest neighbours by cosine similarity (Wu et al. 2018, arXiv:1805.01978, section 3.4)."""

from __future__ import annotations

import numpy as np

from deeplense_registry.evaluation import Prediction

from .protocol import Array, Split

_ROWS = 1024  # of the similarity matrix at once, which bounds memory


def predict_by_neighbours(train: Split, *, test: Array, k: int, temperature: float, classes: int | None) -> Prediction:
    """Weighted votes of the nearest labelled images: (M, K) class probabilities, or (M,) mean quantities.

    Args:
        train: The labelled images.
        test: (M, D) embeddings.
        k: Neighbours that vote; all of ``train`` where it has fewer.
        temperature: A neighbour of cosine similarity s weighs exp(s / temperature).
        classes: K, or ``None`` for a quantity.
    """
    gallery, queries = _normalised(train.features), _normalised(test)
    votes = train.truth[:, None].astype(float) if classes is None else np.eye(classes)[train.truth]  # (n, 1 or K)
    k = min(k, len(gallery))
    blocks = [
        _vote(queries[start : start + _ROWS] @ gallery.T, votes, k, temperature)
        for start in range(0, len(queries), _ROWS)
    ]
    means = np.concatenate(blocks)
    return Prediction(means[:, 0] if classes is None else means)


def _vote(similarity: Array, votes: Array, k: int, temperature: float) -> Array:
    """The weighted mean vote (b, K) of the ``k`` most similar of each row of ``similarity`` (b, n)."""
    nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]  # (b, k)
    closeness = np.take_along_axis(similarity, nearest, axis=1)
    weights = np.exp((closeness - closeness.max(1, keepdims=True)) / temperature)
    mean: Array = np.einsum("bk,bkc->bc", weights, votes[nearest]) / weights.sum(1, keepdims=True)
    return mean


def _normalised(features: Array) -> Array:
    """Rows of length 1, in float64; a row of zeros stays one and is equally far from all."""
    rows = features.astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Array = rows / np.where(lengths > 0, lengths, 1.0)
    return unit
