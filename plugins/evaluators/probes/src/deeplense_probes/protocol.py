"""What the probes share: standardised embeddings with labels, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from deeplense_registry import Bench, Draw, Measurement, UserError
from deeplense_registry.evaluation import MIN_VALIDATION, Prediction, check_targets, known_images, measure

Array = NDArray[Any]


@frozen(eq=False)
class Split:
    """Images with labels: ``features`` (n, D), ``truth`` (n,) classes (int) or quantities (float)."""

    features: Array
    truth: Array

    def take(self, index: NDArray[np.int64]) -> Split:
        """The images at ``index``."""
        return Split(self.features[index], self.truth[index])


def check_kind(bench: Bench, targets: Sequence[str], probe: str, kind: str, instead: str) -> None:
    """Raise UserError for a target that the data set lacks, or that is not of the ``kind`` this probe predicts."""
    check_targets(bench, targets, probe)
    for target in targets:
        actual = bench.card.targets[target].kind
        if actual != kind:
            raise UserError(
                f"[evaluate.{probe}] targets: {target!r} is a {actual}, and {probe} predicts a {kind}; use "
                f"[evaluate.{instead}] or [evaluate.knn]"
            )


def standardised(bench: Bench, split: str) -> Array:
    """(N, D) float64, in units of the training split's mean and deviation, of which no label is needed.

    A feature that is constant but for rounding is 0.
    """
    train = bench.embeddings("train").astype(np.float64)
    mean, deviation = train.mean(0), train.std(0)
    varies = deviation > np.finfo(np.float32).eps * np.abs(mean)
    centred = bench.embeddings(split).astype(np.float64) - mean
    return np.where(varies, centred / np.where(varies, deviation, 1.0), 0.0)


def known_rows(bench: Bench, split: str, target: str, features: Array, least: int) -> Split:
    """The images of a split whose target is known.

    Raises:
        UserError: There are fewer than ``least``.
    """
    index, truth = known_images(bench, split, target, least)
    return Split(features[index], truth)


def validation(bench: Bench, target: str, choices: Sequence[float], probe: str) -> Split | None:
    """The standardised validation images with ``target``, or ``None`` where there is nothing to choose.

    Raises:
        UserError: The split is missing or too small.
    """
    if len(choices) == 1:
        return None
    try:
        return known_rows(bench, "val", target, standardised(bench, "val"), MIN_VALIDATION)
    except UserError as error:
        raise UserError(
            f"[evaluate.{probe}] chooses its regularisation on the validation split: {error}; or give a single value, "
            "of which nothing is chosen"
        ) from error


def measure_probe(
    bench: Bench,
    target: str,
    metrics: Sequence[str],
    *,
    train: Array,
    truth: Array,
    learn: Callable[[Split], Prediction],
) -> Iterator[Measurement]:
    """The measurements of a probe (:func:`deeplense_registry.evaluation.measure`).

    Args:
        bench: Where draws and random numbers come from.
        target: The target's name.
        metrics: What is measured.
        train: (N, D) of the whole training split; only images of a draw are learned from.
        truth: (M,) of the labelled test images.
        learn: From the labelled images of a draw to the prediction of the M test images.
    """
    everything = Split(train, bench.targets("train", target))

    def learn_draw(draw: Draw) -> Prediction:
        return learn(everything.take(draw.index))

    yield from measure(bench, target, metrics, truth=truth, learn=learn_draw)
