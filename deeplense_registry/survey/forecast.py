"""How long a survey still takes, from what its runs measured so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from attrs import frozen

Key = tuple[str, ...]
"""What a duration depends on: the names of a cell's dataset, method and backbone."""


@frozen
class Work:
    """A cell that is not finished.

    Attributes:
        key: What its durations depend on.
        steps: Training steps left.
        per_step: Seconds a step, where this very cell was timed.
        evaluated: Seconds that its evaluation has taken so far; 0 before.
        shared: Seconds it takes for what other cells then need not compute.
    """

    key: Key
    steps: int
    per_step: float | None = None
    evaluated: float = 0.0
    shared: float = 0.0


@frozen
class Forecast:
    """Seconds left.

    Attributes:
        seconds: Of training, and of evaluation where that is known.
        whole: Whether evaluation is known: a run has ended.
        late: Whether an evaluation takes longer than those that ended let expect, so that more is left than is said.
    """

    seconds: float
    whole: bool
    late: bool = False


def forecast(
    work: Sequence[Work], per_step: Mapping[Key, float], rest: Mapping[Key, float], workers: int = 1
) -> Forecast | None:
    """The time left of all cells.

    Args:
        work: The cells that are not finished.
        per_step: Seconds a step, of the cells that were timed, finished ones included.
        rest: Seconds beside training and what is shared, of the cells that have ended.
        workers: Cells at work at once.

    Returns:
        ``None`` until a step was timed.
    """
    if not per_step:
        return None
    left, late = [], False
    for one in work:
        pace = one.per_step if one.per_step is not None else predicted(per_step, one.key)
        beside = predicted(rest, one.key) + one.shared if rest else 0.0
        left.append(one.steps * pace + max(0.0, beside - one.evaluated))
        late |= bool(rest) and one.evaluated > beside
    return Forecast(max(sum(left) / workers, max(left, default=0.0)), whole=bool(rest), late=late)


def predicted(measured: Mapping[Key, float], key: Key) -> float:
    """A duration that was not measured, from those that were: one factor for each name, in least squares.

    A name that was never measured has the factor 1, so that the first cell speaks for all, and a method for its
    backbones as soon as it was seen once.

    Args:
        measured: Durations, at least one.
        key: What is wanted.
    """
    if key in measured:
        return measured[key]
    names = sorted({part for known in measured for part in enumerate(known)})
    design = np.array([[float(known[place] == name) for place, name in names] for known in measured])  # (n, names)
    logs = np.log([max(value, 1e-6) for value in measured.values()])
    factors = np.linalg.lstsq(design, logs - logs.mean(), rcond=None)[0]  # of all solutions the smallest
    own = sum(factor for factor, (place, name) in zip(factors, names, strict=True) if key[place] == name)
    return math.exp(logs.mean() + own)
