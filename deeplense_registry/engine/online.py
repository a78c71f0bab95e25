"""The encoder looked at while it trains: how its embeddings spread, and what can be read from them.

To look changes nothing: the encoder is in evaluation mode meanwhile, and no generator of the run is drawn from.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from ..blocks.contrast import embedding_std
from ..blocks.spectrum import effective_rank
from ..components import UserError, derive_seed
from ..evaluation import embed, label_pool, labelled
from ..interfaces import Backbone
from .session import Session

Array = NDArray[Any]

SPREAD_IMAGES = 256
"""Training images on which the spread is measured."""
PROBE_IMAGES = 2000
"""Images of each split that a probe sees, at most: a curve while training, no measurement."""
NEIGHBOURS = 20
STRENGTH = 1e-2
"""Regularisation of linear probes: the mean loss plus half of it times the squared weights."""


def subset(count: int, most: int) -> NDArray[np.int64]:
    """Positions of at most ``most`` of ``count`` images, sorted: always the same ones, drawn at random."""
    order = np.random.default_rng(derive_seed("online", count)).permutation(count)
    chosen: NDArray[np.int64] = np.sort(order[:most]).astype(np.int64)
    return chosen


def spread(session: Session, encoder: Backbone) -> dict[str, float]:
    """``encoder/embedding_std`` and ``encoder/effective_rank`` of pooled features of clean training images."""
    index = subset(session.facts.images, SPREAD_IMAGES)
    pooled = torch.from_numpy(embed(encoder, session.images("train", index), len(index)))
    return {
        "encoder/embedding_std": float(embedding_std(pooled)),
        "encoder/effective_rank": float(effective_rank(pooled)),
    }


def _looked_at(session: Session, split: str) -> NDArray[np.int64]:
    """Positions of the images that a probe sees: of training images those that a skew leaves to labels."""
    if split != "train":
        return subset(session.shards.count(split), PROBE_IMAGES)
    pool = label_pool(session.cell.skew, session.shards)
    return pool[subset(len(pool), PROBE_IMAGES)]


@frozen(eq=False)
class Labels:
    """One target of both splits' subsets.

    Attributes:
        train, val: (n,) classes (int, -1 where unknown) or quantities (float, NaN where unknown).
    """

    train: Array
    val: Array


class OnlineProbe:
    """Judges the targets of ``train.probe`` from embeddings of fixed subsets of the training and validation images."""

    def __init__(self, session: Session) -> None:
        """Choose the images and read their labels.

        Raises:
            UserError: A target or the validation split is missing, or there is nothing to learn or to judge.
        """
        self._session = session
        names = session.cell.train.probe
        splits = ("train", "val") if names else ()
        self._index = {split: _looked_at(session, split) for split in splits}
        self._labels = {name: self._read(name) for name in names}

    def __call__(self, encoder: Backbone) -> dict[str, float]:
        """``online/<target>/knn`` and ``online/<target>/linear``: accuracy of a class, R2 of a quantity."""
        train, val = (embed(encoder, self._session.images(*item), len(item[1])) for item in self._index.items())
        scores: dict[str, float] = {}
        for name, labels in self._labels.items():
            for probe, score in probes(train, labels.train, val, labels.val).items():
                scores[f"online/{name}/{probe}"] = score
        return scores

    def _read(self, target: str) -> Labels:
        shards = self._session.shards
        if target not in shards.card.targets:
            known = ", ".join(repr(name) for name in shards.card.targets) or "none"
            raise UserError(
                f"train.probe: data set {shards.card.name!r} has no target {target!r}; its targets: {known}"
            )
        train, val = (shards.targets(split, target)[index] for split, index in self._index.items())
        _check(target, train, val)
        return Labels(train, val)


def probes(train: Array, train_truth: Array, val: Array, val_truth: Array) -> dict[str, float]:
    """``knn`` and ``linear``: how well a target of ``val`` (m, D) is told from ``train`` (n, D), both of embeddings.

    Nearest neighbours by cosine similarity vote alike. The linear probe is a logistic or ridge regression of features
    in units of their standard deviation.

    Args:
        train: Where the probes learn.
        train_truth: (n,) classes (int, -1 where unknown) or quantities (float, NaN where unknown).
        val: Where they are judged.
        val_truth: (m,), likewise.

    Returns:
        Accuracy of a class, R2 of a quantity.
    """
    known, judged = labelled(train_truth), labelled(val_truth)
    mean, deviation = train.mean(0), train.std(0)
    scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)  # what is constant but for rounding becomes 0
    features = {"knn": (train, val), "linear": ((train - mean) / scale, (val - mean) / scale)}
    scores = {}
    for name, model in _models(train_truth[known]).items():
        learn, test = features[name]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the last digits of a curve
            model.fit(learn[known], train_truth[known])
        scores[name] = float(model.score(test[judged], val_truth[judged]))
    return scores


def _models(truth: Array) -> dict[str, Any]:
    count, near = len(truth), min(NEIGHBOURS, len(truth))
    if truth.dtype.kind == "f":
        return {"knn": KNeighborsRegressor(near, metric="cosine"), "linear": Ridge(alpha=STRENGTH * count)}
    linear = LogisticRegression(C=1.0 / (STRENGTH * count), max_iter=200)
    return {"knn": KNeighborsClassifier(near, metric="cosine"), "linear": linear}


def _check(target: str, train: Array, val: Array) -> None:
    """Both splits have labels, and classes differ."""
    for split, truth in (("train", train), ("val", val)):
        known = truth[labelled(truth)]
        if len(known) < 2 or (split == "train" and len(np.unique(known)) < 2):
            raise UserError(
                f"train.probe: {target!r} has {len(known)} labels of {len(np.unique(known))} values among the "
                f"{len(truth)} images of split {split!r} that are looked at; two are the least: leave it out"
            )
