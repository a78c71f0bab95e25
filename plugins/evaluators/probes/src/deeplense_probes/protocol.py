"""What the probes share: learn from every label draw, predict the test split, measure with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from deeplense_registry import Bench, Draw, Measurement, UserError
from deeplense_registry.evaluation import METRICS, interval, labelled

Array = NDArray[Any]

MIN_VALIDATION = 10
"""The least number of labelled validation images on which regularisation is chosen."""
MIN_TEST = 2
"""The least number of labelled test images: one has no spread."""


@frozen(eq=False)
class Split:
    """Images with labels: ``features`` (n, D), ``truth`` (n,) classes (int) or quantities (float)."""

    features: Array
    truth: Array

    def take(self, index: NDArray[np.int64]) -> Split:
        """The images at ``index``."""
        return Split(self.features[index], self.truth[index])


@frozen(eq=False)
class Prediction:
    """``values`` (M, K) or (M,) for the test images, and whether the fit that gave them converged."""

    values: Array
    converged: bool = True


def check_known(bench: Bench, targets: Iterable[str], probe: str) -> None:
    """Raise UserError for a target that the data set lacks."""
    known = bench.card.targets
    for target in targets:
        if target not in known:
            names = ", ".join(repr(name) for name in known) or "none"
            raise UserError(f"[evaluate.{probe}] targets: the data set has no {target!r}; its targets: {names}")


def check_kind(bench: Bench, targets: Sequence[str], probe: str, kind: str, instead: str) -> None:
    """Raise UserError for a target that the data set lacks, or that is not of the ``kind`` this probe predicts."""
    check_known(bench, targets, probe)
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
    truth = bench.targets(split, target)
    known = labelled(truth)
    if known.sum() < least:
        raise UserError(
            f"the split {split!r} has {known.sum()} images labelled with {target!r}, and {least} are the least; "
            "enlarge it, or leave the target out of [evaluate]"
        )
    return Split(features[known], truth[known])


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


def measure(
    bench: Bench,
    target: str,
    metrics: Sequence[str],
    *,
    train: Split,
    truth: Array,
    learn: Callable[[Split], Prediction],
) -> Iterator[Measurement]:
    """For each budget and metric the mean over draws with its interval.

    Where fits did not converge, a further measurement "unconverged" gives their fraction.

    Args:
        bench: Where draws and random numbers come from.
        target: The target's name.
        metrics: Names in ``METRICS``.
        train: The whole training split; only images of a draw are learned from.
        truth: (M,) of the labelled test images.
        learn: From the labelled images of a draw to the prediction of the M test images.
    """
    for draws in bench.draws(target):
        predictions = [learn(train.take(draw.index)) for draw in draws]
        labels = len(draws[0].index)
        for name in metrics:
            metric = METRICS[name]
            rng = bench.rng("interval", target, labels)  # the same resamples for every metric, probe and encoder
            values = [prediction.values for prediction in predictions]
            found = interval(metric.score, truth, values, rng, bounds=metric.bounds)
            yield Measurement(target=target, metric=name, labels=labels, repeats=len(draws), **found._asdict())
        yield from _unconverged(target, draws, predictions)


def _unconverged(target: str, draws: Sequence[Draw], predictions: Sequence[Prediction]) -> Iterator[Measurement]:
    share = float(np.mean([not prediction.converged for prediction in predictions]))
    if share:
        yield Measurement(
            target=target,
            metric="unconverged",
            split="train",
            labels=len(draws[0].index),
            value=share,
            low=share,
            high=share,
            repeats=len(draws),
        )
