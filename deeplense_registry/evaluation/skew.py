"""Which training images a skew keeps: a function of the targets and the table alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..components import Target, UserError, derive_seed
from ..shards import ShardSet, Subset
from ..spec import SkewTable, skew_faults
from ..spec.problems import dotted
from .draws import labelled
from .subsample import Index, counts_in_ratio, follow

_SCALE = 0.25
"""Of "exponential" and "lognormal", in ranges of the target."""
_SHAPE = 0.5
"""Of "lognormal"."""


def training_images(skew: SkewTable | None, shards: ShardSet) -> ShardSet:
    """What pretraining sees, and with it everything else: all shards, or those of a skew on both without the rest.

    Raises:
        UserError: As :func:`kept_images`.
    """
    if skew is None or skew.on != "both":
        return shards
    return Subset(shards, "train", kept_images(skew, shards))


def label_pool(skew: SkewTable | None, shards: ShardSet) -> Index:
    """Positions of the training images that may be labelled; of a skew on both, ``shards`` are what it leaves.

    Raises:
        UserError: As :func:`kept_images`.
    """
    if skew is None or skew.on != "labels":
        return np.arange(shards.count("train"))
    return kept_images(skew, shards)


def kept_images(skew: SkewTable, shards: ShardSet) -> Index:
    """Positions of the training images that the skew keeps, ascending.

    Raises:
        UserError: The shards have no such target or classes, a class would have no image, or no image would be left.
    """
    if faults := list(skew_faults(skew, shards.card.targets)):
        raise UserError("\n".join(f"{dotted(fault.path)}: {fault.text}" for fault in faults))
    return skewed(shards.targets("train", skew.target), skew, shards.card.targets[skew.target])


def skewed(targets: NDArray[Any], skew: SkewTable, about: Target) -> Index:
    """Positions of the images that the skew keeps, ascending.

    Classes have exactly the asked ratio, in the largest set that has it (:func:`counts_in_ratio`); with one seed, what
    a stronger skew keeps of a class is part of what a weaker one keeps. A quantity follows the asked distribution,
    cut off at its lowest and highest value (:func:`follow`). Images without the target are kept.

    Args:
        targets: (N,) of the training split, as of ``ShardSet.targets``.
        skew: The table, which suits the target (:func:`skew_faults`).
        about: The target.

    Raises:
        UserError: A class would have no image, or no image would be left.
    """
    known = labelled(targets)
    if not known.any():
        raise UserError(f'skew.target: no training image has "{skew.target}"; take another target')
    rng = np.random.default_rng(derive_seed(skew.seed, "skew", skew.target))
    own = np.flatnonzero(known)
    kept = own[_by_class(targets[own], skew, about, rng) if about.classes else _by_value(targets[own], skew, rng)]
    return np.sort(np.concatenate([np.flatnonzero(~known), kept]))


def _by_class(classes: NDArray[np.int64], skew: SkewTable, about: Target, rng: np.random.Generator) -> Index:
    available = np.bincount(classes, minlength=len(about.classes)).tolist()
    counts = counts_in_ratio(available, _ratio(skew, about.classes))
    for name, count, of in sorted(zip(about.classes, counts, available, strict=True), key=lambda one: one[2]):
        if not count:
            remedy = (
                "make the skew weaker" if of else "nothing has a ratio to none: leave the class out of the data set"
            )
            raise UserError(f'skew: none of the {of} training images of class "{name}" would be left; {remedy}')
    orders = [rng.permutation(np.flatnonzero(classes == k)) for k in range(len(counts))]
    return np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)])


def _ratio(skew: SkewTable, classes: tuple[str, ...]) -> list[float]:
    """Of each class: as given, or exponential from 1 to 1 / imbalance (Cui et al. 2019, arXiv:1901.05555, sec. 5.1)."""
    if skew.ratio is not None:
        return [skew.ratio[name] for name in classes]
    last = max(len(classes) - 1, 1)
    return [float((skew.imbalance or 1.0) ** (-k / last)) for k in range(len(classes))]


def _by_value(values: NDArray[np.float64], skew: SkewTable, rng: np.random.Generator) -> Index:
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise UserError(f'skew.target: "{skew.target}" is {low:g} in every training image; take another target')
    if skew.distribution == "gap":
        begin, end = skew.gap or (low + (high - low) / 3, high - (high - low) / 3)
        kept = np.flatnonzero((values < begin) | (values > end))
    else:
        kept = follow(asked(values, skew, low, high), rng)
    if not len(kept):
        raise UserError(
            f'skew: no training image would be left of "{skew.target}", which runs from {low:g} to {high:g}; '
            f"choose another {'gap' if skew.distribution == 'gap' else 'scale'}"
        )
    return kept


def asked(values: NDArray[np.float64], skew: SkewTable, low: float, high: float) -> NDArray[np.float64]:
    """The asked cumulative distribution of an exponential or log-normal skew at ``values`` in [low, high]."""
    scale = skew.scale or _SCALE * (high - low)

    def cumulative(above: NDArray[np.float64]) -> NDArray[np.float64]:
        if skew.distribution == "exponential":
            exponential: NDArray[np.float64] = -np.expm1(-above / scale)
            return exponential
        with np.errstate(divide="ignore"):  # the lowest value has none below it
            lognormal: NDArray[np.float64] = ndtr(np.log(above / scale) / (skew.shape or _SHAPE))
        return lognormal

    return cumulative(values - low) / cumulative(np.array(high - low))
