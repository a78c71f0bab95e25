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
        numbers: S by n: which draws those of each seed are.
        known: The measurement itself where it is the only one and has no replicates: its interval is all there is.
    """

    seeds: tuple[int, ...]
    replicates: Array
    numbers: tuple[tuple[int, ...], ...]
    known: Measurement | None = None

    @property
    def draws(self) -> int:
        """Of labels."""
        return len({number for own in self.numbers for number in own})

    @property
    def table(self) -> Array:
        """What varies, as :func:`interval_of` takes it: see :func:`independent`."""
        return independent(self.replicates, self.numbers)

    @property
    def value(self) -> float:
        """The mean over seeds and draws."""
        return float(self.table[0].mean())

    def interval(self, metric: str) -> Interval:
        """Of :attr:`value`, within the metric's bounds."""
        if self.known is not None:
            return Interval(self.known.value, self.known.low, self.known.high, self.replicates)
        name = metric.partition(":")[0]
        return interval_of(self.table, METRICS[name].bounds if name in METRICS else (-np.inf, np.inf))


def joined(measurements: dict[int, Measurement]) -> Scores:
    """Runs of one model by their seeds: draws and resamples that all of them have.

    Args:
        measurements: By seed, of one encoder under one condition.
    """
    seeds = tuple(sorted(measurements))
    tables = [_replicates(measurements[seed]) for seed in seeds]
    rows, draws = (min(table.shape[axis] for table in tables) for axis in (0, 1))
    numbers = tuple((measurements[seed].draws or tuple(range(draws)))[:draws] for seed in seeds)
    known = measurements[seeds[0]] if len(seeds) == 1 and measurements[seeds[0]].replicates is None else None
    return Scores(seeds, np.stack([table[:rows, :draws] for table in tables], axis=1), numbers, known)


def independent(replicates: Array, numbers: Sequence[Sequence[int]]) -> Array:
    """(1 + R, S, n) where all seeds have the same draws, crossed with them; otherwise what is independent.

    That is the mean of each seed with draws of its own, (1 + R, S, 1), or of seeds that share theirs.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for seed, own in enumerate(numbers):
        alike.setdefault(tuple(own), []).append(seed)
    if len(alike) == 1:
        return replicates
    return np.stack([replicates[:, seeds].mean((1, 2)) for seeds in alike.values()], axis=1)[..., None]


def paired(several: Sequence[Scores]) -> list[Array] | None:
    """The scores at the seeds, draws and resamples that all have, :func:`independent`.

    ``None`` where they share no seed or a seed no draw, or only one score and no resamples, which do not tell how sure
    it is.
    """
    common = sorted(set.intersection(*(set(one.seeds) for one in several)))
    if not common:
        return None
    draws = [_common([one.numbers[one.seeds.index(seed)] for one in several]) for seed in common]
    rows, least = min(len(one.replicates) for one in several), min(map(len, draws))
    if not least or rows == least == len(common) == 1:
        return None
    numbers = [own[:least] for own in draws]
    return [independent(_taken(one, rows, common, numbers), numbers) for one in several]


def _common(several: Sequence[Sequence[int]]) -> list[int]:
    """The draws that all have, in the order of the first."""
    return [number for number in several[0] if all(number in other for other in several)]


def _taken(one: Scores, rows: int, seeds: Sequence[int], numbers: Sequence[Sequence[int]]) -> Array:
    """(rows, S, n) of some seeds, and of each some draws."""
    places = [one.seeds.index(seed) for seed in seeds]
    columns = [[one.numbers[place].index(number) for number in own] for place, own in zip(places, numbers, strict=True)]
    pairs = zip(places, columns, strict=True)
    return np.stack([one.replicates[:rows, place, own] for place, own in pairs], axis=1)


def goodness(metric: str, replicates: Array) -> Array:
    """Scores of a metric turned so that more is better; of a metric that is not known, more is taken as better."""
    way = better(metric)
    if way == "near zero":
        return -np.abs(replicates)
    return -replicates if way == "less" else replicates


def _replicates(one: Measurement) -> Array:
    """(1 + R, n)."""
    return np.array([[one.value]]) if one.replicates is None else one.replicates
