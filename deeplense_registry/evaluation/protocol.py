"""What evaluators that learn from labels share: learn from every draw, predict the test images, measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from ..interfaces import Bench, Draw, Measurement
from .draws import labelled
from .intervals import interval
from .metrics import metrics_for

Array = NDArray[Any]

MIN_VALIDATION = 10
"""The least number of labelled validation images on which anything is chosen."""
MIN_TEST = 2
"""The least number of labelled test images: one has no spread."""


@frozen(eq=False)
class Prediction:
    """``values`` (M, K) or (M,) for the test images, and whether the fit that gave them converged."""

    values: Array
    converged: bool = True


def check_targets(bench: Bench, targets: Iterable[str], evaluator: str) -> None:
    """Raise UserError for a target that the data set lacks."""
    known = bench.card.targets
    for target in targets:
        if target not in known:
            names = ", ".join(repr(name) for name in known) or "none"
            raise UserError(f"[evaluate.{evaluator}] targets: the data set has no {target!r}; its targets: {names}")


def known_images(bench: Bench, split: str, target: str, least: int) -> tuple[NDArray[np.int64], Array]:
    """The images of a split whose target is known: (M,) their positions and (M,) the target.

    Raises:
        UserError: There are fewer than ``least``, or there is no such split or target.
    """
    truth = bench.targets(split, target)
    index = np.flatnonzero(labelled(truth))
    if len(index) < least:
        raise UserError(
            f"the split {split!r} has {len(index)} images labelled with {target!r}, and {least} are the least; "
            "enlarge it, or leave the target out of [evaluate]"
        )
    return index, truth[index]


def measure(
    bench: Bench,
    target: str,
    metrics: Sequence[str],
    *,
    truth: Array,
    learn: Callable[[Draw], Prediction],
    budgets: Iterable[Sequence[Draw]] | None = None,
    encoder: str = "",
) -> Iterator[Measurement]:
    """For each budget and metric the mean over draws with its interval.

    Where fits did not converge, a further measurement "unconverged" gives their fraction.

    Args:
        bench: Where draws and random numbers come from.
        target: The target's name.
        metrics: Names for :func:`metrics_for`; those of another kind than the target's are left out.
        truth: (M,) of the labelled test images.
        learn: From a draw of labelled training images to the prediction of the M test images.
        budgets: For each budget its draws; by default the spec's.
        encoder: The measurements' encoder, where it is not the bench's.
    """
    chosen = metrics_for(metrics, bench.card.targets[target])
    for draws in bench.draws(target) if budgets is None else budgets:
        predictions = [learn(draw) for draw in draws]
        values = [prediction.values for prediction in predictions]
        common: dict[str, Any] = {
            "target": target,
            "labels": len(draws[0].index),
            "repeats": len(draws),
            "draws": tuple(draw.number for draw in draws),
            "encoder": encoder,
        }
        for metric in chosen:
            rng = bench.rng("interval", target)  # resamples are the same for all, every budget too: they pair
            found = interval(metric.score, truth, values, rng, bounds=metric.bounds)
            yield Measurement(metric=metric.name, **common, **found._asdict())
        share = float(np.mean([not prediction.converged for prediction in predictions]))
        if share:
            yield Measurement(metric="unconverged", split="train", value=share, low=share, high=share, **common)
