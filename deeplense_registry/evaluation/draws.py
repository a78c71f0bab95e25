"""Which training images are labelled: draws of every budget, the same for every method, backbone and encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..components import UserError, derive_seed
from ..interfaces import Draw
from ..spec import LabelsTable

Index = NDArray[np.int64]


def labelled(targets: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) whether the target is known: not -1 for classes (integers), not NaN for quantities (floats)."""
    known: NDArray[np.bool_] = ~np.isnan(targets) if targets.dtype.kind == "f" else targets >= 0
    return known


def label_draws(
    targets: NDArray[Any], labels: LabelsTable, target: str, *, classes: int | None, pool: Index | None = None
) -> list[list[Draw]]:
    """For each budget of ``labels`` its draws of labelled training images.

    A draw depends on ``labels.seed``, the target's name, the budget and the number of the draw alone. Classes are drawn
    in their proportions (largest remainder), each at least once where the budget allows, unless ``labels.stratified``
    is false; quantities are drawn at random. ``"all"`` is one draw of every labelled image.

    Args:
        targets: (N,) of the training split: int with -1, or float with NaN, where the target is absent; such images are
            never drawn.
        labels: The spec's ``[labels]``.
        target: The target's name.
        classes: The number of classes K; ``None`` for a quantity.
        pool: (n,) positions of the images that may be labelled (a skew's); by default all.

    Raises:
        UserError: No image is labelled, a class has no image, or a budget exceeds the number of labelled images.
    """
    known = np.flatnonzero(labelled(targets))
    known = known if pool is None else np.intersect1d(known, pool)
    _check(targets[known], labels, target, classes)
    strata = targets[known].astype(np.int64) if classes and labels.stratified else np.zeros(len(known), dtype=np.int64)
    groups = [known[strata == k] for k in range(strata.max() + 1)]
    return [_draws(groups, budget, labels, target) for budget in labels.budgets]


def _draws(groups: list[Index], budget: int | str, labels: LabelsTable, target: str) -> list[Draw]:
    if isinstance(budget, str):
        return [Draw(number=0, index=np.sort(np.concatenate(groups)))]
    sizes = _apportion(np.array([len(group) for group in groups]), budget)
    draws = []
    for number in range(labels.draws):
        rng = np.random.default_rng(derive_seed(labels.seed, target, budget, number))
        chosen = [rng.choice(group, size, replace=False) for group, size in zip(groups, sizes, strict=True)]
        draws.append(Draw(number=number, index=np.sort(np.concatenate(chosen))))
    return draws


def _apportion(counts: Index, budget: int) -> Index:
    """``budget`` seats for classes of ``counts`` images: by largest remainder, then one for each that has none."""
    whole, rest = np.divmod(counts * budget, counts.sum())
    seats: Index = whole.astype(np.int64)
    seats[np.argsort(-rest, kind="stable")[: budget - seats.sum()]] += 1
    if budget >= len(counts):
        for empty in np.flatnonzero(seats == 0):
            seats[seats.argmax()] -= 1
            seats[empty] += 1
    return seats


def _check(known: NDArray[Any], labels: LabelsTable, target: str, classes: int | None) -> None:
    if not len(known):
        raise UserError(f"target {target!r}: no training image has it; leave it out of [evaluate]")
    absent = [k for k in range(classes or 0) if not (known == k).any()]
    if absent:
        raise UserError(
            f"target {target!r}: no labelled training image of class {absent[0]} (of 0 to {(classes or 0) - 1}); "
            "a class without images cannot be learned: add some, or leave the target out of [evaluate]"
        )
    for budget in labels.budgets:
        if not isinstance(budget, str) and budget > len(known):
            raise UserError(
                f"[labels] budgets: {budget} labelled images of target {target!r} are asked for, but the training "
                f'split has {len(known)} to label; ask for at most {len(known)}, or for "all"'
            )
