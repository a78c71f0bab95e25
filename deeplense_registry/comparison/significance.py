"""Which models differ: paired tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from attrs import evolve, frozen
from scipy.stats import rankdata

from ..evaluation.intervals import LEVEL, interval_of, p_value_of
from .models import TRAINED, Group, Model
from .scores import Array, Condition, Scores, goodness, paired


@frozen
class Difference:
    """Between two models, paired over seeds, draws and test images.

    Attributes:
        one, other: Their names.
        value, low, high: ``one`` less ``other``, with its 95 % interval.
        p: Its two-sided p-value; after :func:`corrected`, by Holm.
        better: Whether ``one`` is the better of the two.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p: float
    better: bool

    @property
    def names(self) -> tuple[str, str]:
        """Of both."""
        return self.one, self.other

    @property
    def significant(self) -> bool:
        """At 5 %."""
        return self.p < 1 - LEVEL


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: the chance of one false discovery or more is below the threshold.

    Holm 1979, Scandinavian Journal of Statistics 6, 65: the k-th smallest of m is multiplied by m - k + 1, and none may
    be below a smaller one's.
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.array(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return [float(p) for p in adjusted]


def corrected(differences: Sequence[Difference]) -> list[Difference]:
    """The same differences, their p-values adjusted for their number."""
    adjusted = holm([one.p for one in differences])
    return [evolve(one, p=p) for one, p in zip(differences, adjusted, strict=True)]


def difference(names: tuple[str, str], metric: str, one: Scores, other: Scores) -> Difference | None:
    """Of two encoders' scores; ``None`` where they cannot be :func:`paired`."""
    both = paired([one, other])
    if both is None:
        return None
    better = goodness(metric, both[0]) - goodness(metric, both[1])
    found = interval_of(both[0] - both[1])
    return Difference(*names, found.value, found.low, found.high, p_value_of(better), bool(better[0].mean() > 0))


def pairwise(group: Group, condition: Condition) -> list[Difference]:
    """Of all pairs of trained models under a condition, by Holm."""
    known = [(model.name, model.scores[TRAINED, condition]) for model in judged(group, condition)]
    pairs = [
        difference((one, other), condition.metric, mine, theirs)
        for (one, mine), (other, theirs) in combinations(known, 2)
    ]
    return corrected([one for one in pairs if one is not None])


def judged(group: Group, condition: Condition) -> list[Model]:
    """The models whose trained encoder was measured."""
    return [model for model in group.models if (TRAINED, condition) in model.scores]


def mean_ranks(group: Group, conditions: Sequence[Condition]) -> dict[str, float]:
    """Of each model that was measured under all conditions, the mean of its ranks (1 is best; ties share theirs)."""
    models = everywhere(group, conditions)
    if not models or not conditions:
        return {}
    ranks = []
    for condition in conditions:
        values = [goodness(condition.metric, model.scores[TRAINED, condition].replicates[0]).mean() for model in models]
        ranks.append(rankdata([-value for value in values]))
    means = np.mean(ranks, axis=0)
    return {model.name: float(mean) for model, mean in zip(models, means, strict=True)}


def everywhere(group: Group, conditions: Sequence[Condition]) -> list[Model]:
    """The models that were measured under all conditions."""
    return [model for model in group.models if all((TRAINED, condition) in model.scores for condition in conditions)]


def overall(group: Group, conditions: Sequence[Condition]) -> list[Difference]:
    """Of all pairs of models over all conditions together, by Holm.

    In each condition scores are divided by the standard deviation of the compared models' means, so that conditions
    count alike whatever their unit; the mean over conditions is tested, paired by seeds, draws and test images. Draws
    are the first ones that all conditions have; a condition of a single draw (all labels) is the same for each.
    """
    models = everywhere(group, conditions)
    if not conditions or len(models) < 2:
        return []
    pairs = []
    units = [_unit(models, condition) for condition in conditions]
    for one, other in combinations(models, 2):
        apart = [_apart(one, other, condition, unit) for condition, unit in zip(conditions, units, strict=True)]
        known = [table for table in apart if table is not None]
        if len(known) == len(apart):
            found = interval_of(_mean(known))
            p = p_value_of(found.replicates)
            pairs.append(Difference(one.name, other.name, found.value, found.low, found.high, p, found.value > 0))
    return corrected(pairs)


def _unit(models: Sequence[Model], condition: Condition) -> float:
    """The spread of the models' means; 1 where there is none."""
    means = [goodness(condition.metric, model.scores[TRAINED, condition].replicates[0]).mean() for model in models]
    return float(np.std(means, ddof=1)) or 1.0


def _apart(one: Model, other: Model, condition: Condition, unit: float) -> Array | None:
    """(1 + R, S, n), or ``None`` where they cannot be paired."""
    both = paired([one.scores[TRAINED, condition], other.scores[TRAINED, condition]])
    if both is None:
        return None
    difference: Array = (goodness(condition.metric, both[0]) - goodness(condition.metric, both[1])) / unit
    return difference


def _mean(tables: Sequence[Array]) -> Array:
    """Over conditions: (1 + R, S, n) with the resamples, seeds and draws that all have; one draw stands for any."""
    rows, seeds = (min(table.shape[axis] for table in tables) for axis in (0, 1))
    several = [table.shape[2] for table in tables if table.shape[2] > 1]
    draws = min(several, default=1)
    cut = [np.broadcast_to(table[:rows, :seeds, :draws], (rows, seeds, draws)) for table in tables]
    mean: Array = np.mean(cut, axis=0)
    return mean
