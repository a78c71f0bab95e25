"""What the evaluators share: targets are checked, unknown ones left out, numbers get intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from math import inf
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from deeplense_registry import Bench, Measurement, UserError
from deeplense_registry.evaluation import interval, labelled

Array = NDArray[Any]
Index = NDArray[np.int64]
Bounds = tuple[float, float]

CHUNK = 256  # images in one forward pass: the bits of a forward pass depend on the batch size


@frozen(eq=False)
class Known:
    """The images of a split whose target is known.

    Attributes:
        index: (n,) their positions in the split.
        features: (n, D) their embeddings.
        truth: (n,) classes (int) or quantities (float).
    """

    index: Index
    features: NDArray[np.float32]
    truth: Array


def known(bench: Bench, split: str, target: str, least: int, why: str) -> Known:
    """The images of ``split`` with ``target``.

    Raises:
        UserError: There are fewer than ``least``; ``why`` says what needs them.
    """
    truth = bench.targets(split, target)
    index = np.flatnonzero(labelled(truth))
    if len(index) < least:
        raise UserError(
            f"the split {split!r} has {len(index)} images whose {target!r} is known, and {why} needs {least}; enlarge "
            "the split, ask for less, or leave the target out of [evaluate]"
        )
    return Known(index, bench.embeddings(split)[index], truth[index])


def check_targets(bench: Bench, targets: Sequence[str], table: str, kind: str | None = None) -> None:
    """Check that the data set has ``targets``, and that they are of ``kind`` ("class", "quantity") if one is given.

    Raises:
        UserError: They are not.
    """
    have = bench.card.targets
    for target in targets:
        if target not in have:
            names = ", ".join(repr(name) for name in have) or "none"
            raise UserError(f"[evaluate.{table}]: the data set has no target {target!r}; its targets: {names}")
        if kind and have[target].kind != kind:
            fitting = ", ".join(repr(name) for name, one in have.items() if one.kind == kind) or "none"
            raise UserError(
                f"[evaluate.{table}]: {target!r} is a {have[target].kind}, and a {kind} is needed; the data set's "
                f"targets of that kind: {fitting}"
            )


def check_split(bench: Bench, split: str, table: str) -> None:
    """Raise UserError for a split that the data set lacks."""
    if split not in bench.card.splits:
        names = ", ".join(repr(name) for name in bench.card.splits)
        raise UserError(f"[evaluate.{table}]: the data set has no split {split!r}; its splits: {names}")


def measured(
    metric: str,
    score: Callable[[Array, Array], float],
    truth: Array,
    predictions: Sequence[Array],
    rng: np.random.Generator,
    *,
    bounds: Bounds = (-inf, inf),
    **fields: Any,
) -> Measurement:
    """A measurement whose interval is over draws (one ``predictions`` each) and images together (:func:`interval`)."""
    found = interval(score, truth, predictions, rng, bounds=bounds)
    return Measurement(metric=metric, repeats=len(predictions), **found._asdict(), **fields)


def some(count: int, most: int, rng: np.random.Generator) -> Index:
    """At most ``most`` of ``count`` positions, drawn at random, ascending."""
    return np.sort(rng.choice(count, size=min(count, most), replace=False)).astype(np.int64)


def optional(module: str, distribution: str, wanted_by: str) -> Any:
    """A module that is no dependency.

    Raises:
        UserError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UserError(
            f"{wanted_by} needs {distribution}, which is not installed: pip install {distribution}"
        ) from error
