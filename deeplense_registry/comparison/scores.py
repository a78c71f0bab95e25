"""Scores of a model: seeds by label draws, with those of their resamples; joined, paired, and made better by more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..evaluation import METRICS, better
from ..evaluation.intervals import Interval, interval_of
from ..interfaces import Measurement

Array = NDArray[np.float64]


@frozen(order=True)
class Condition:
    """What is measured: an evaluator's metric of a target, with so many labels."""

    evaluator: str
    target: str
    metric: str
    labels: int

    @property
    def title(self) -> str:
        """``linear class auroc, 30 labels``."""
        words = " ".join(filter(None, (self.evaluator, self.target, self.metric)))
        return f"{words}, {self.labels} labels" if self.labels else words


@frozen(eq=False)
class Scores:
    """Of one encoder under one condition.

    Attributes:
        seeds: The seeds of the runs, ascending.
        replicates: (1 + R, S, n): the score of each seed and draw, and below it on R resamples of the test images; R is
            0 where the evaluator gave no replicates.
        known: The measurement itself where it is the only one and has no replicates: its interval is all there is.
    """

    seeds: tuple[int, ...]
    replicates: Array
    known: Measurement | None = None

    @property
    def draws(self) -> int:
        """Of labels."""
        return int(self.replicates.shape[2])

    @property
    def value(self) -> float:
        """The mean over seeds and draws."""
        return float(self.replicates[0].mean())

    def interval(self, metric: str) -> Interval:
        """Of :attr:`value`, within the metric's bounds."""
        if self.known is not None:
            return Interval(self.known.value, self.known.low, self.known.high, self.replicates)
        name = metric.partition(":")[0]
        return interval_of(self.replicates, METRICS[name].bounds if name in METRICS else (-np.inf, np.inf))


def joined(measurements: dict[int, Measurement]) -> Scores:
    """Runs of one model by their seeds: draws and resamples that all of them have.

    Args:
        measurements: By seed, of one encoder under one condition.
    """
    seeds = tuple(sorted(measurements))
    tables = [_replicates(measurements[seed]) for seed in seeds]
    rows, draws = (min(table.shape[axis] for table in tables) for axis in (0, 1))
    known = measurements[seeds[0]] if len(seeds) == 1 and measurements[seeds[0]].replicates is None else None
    return Scores(seeds, np.stack([table[:rows, :draws] for table in tables], axis=1), known)


def paired(several: Sequence[Scores]) -> list[Array] | None:
    """The scores at the seeds, (first) draws and resamples that all have.

    ``None`` where they share no seed, or only one score and no resamples, which do not tell how sure it is.
    """
    common = sorted(set.intersection(*(set(one.seeds) for one in several)))
    if not common:
        return None
    rows, draws = (min(one.replicates.shape[axis] for one in several) for axis in (0, 2))
    if rows == draws == len(common) == 1:
        return None
    columns = [[one.seeds.index(seed) for seed in common] for one in several]
    return [one.replicates[:rows, seeds, :draws] for one, seeds in zip(several, columns, strict=True)]


def goodness(metric: str, replicates: Array) -> Array:
    """Scores of a metric turned so that more is better; of a metric that is not known, more is taken as better."""
    way = better(metric)
    if way == "near zero":
        return -np.abs(replicates)
    return -replicates if way == "less" else replicates


def _replicates(one: Measurement) -> Array:
    """(1 + R, n)."""
    return np.array([[one.value]]) if one.replicates is None else one.replicates
