"""Which state of a network is best: how bad each is on the validation split."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplense_registry import Bench, UserError
from deeplense_registry.evaluation import METRICS, MIN_VALIDATION, known_images

from .objective import Classes, Objective
from .options import TrainingOptions
from .training import Network, outputs_of

BATCH = 256
"""Of images that are only looked at."""

Images = tuple[NDArray[np.int64], NDArray[Any]]
"""Positions in a split, and the target there."""


def validation_images(bench: Bench, options: TrainingOptions, target: str, name: str) -> Images | None:
    """The labelled validation images, or ``None`` where nothing is chosen.

    Raises:
        UserError: There are too few, or the AUROC is asked for and a class is missing.
    """
    if not options.checks:
        return None
    about = f"[evaluate.{name}] chooses the best state on the validation split"
    otherwise = "checks = 0, and the last state predicts"
    try:
        images = known_images(bench, "val", target, MIN_VALIDATION)
    except UserError as error:
        raise UserError(f"{about}: {error}; or set {otherwise}") from error
    missing = [label for at, label in enumerate(bench.card.targets[target].classes) if at not in images[1]]
    if missing and _by_auroc(options, images[1]):
        raise UserError(
            f'{about} by AUROC, but it has no image of class {missing[0]!r}; set choose_by = "loss", or {otherwise}'
        )
    return images


def badness(
    bench: Bench, options: TrainingOptions, images: Images, objective: Objective, network: Network
) -> Callable[[], float]:
    """How bad a network is on validation images: what its AUROC lacks of 1, or its loss.

    A loss that is not finite is returned as it is, for the training to refuse.
    """
    index, known = images
    truth, judged = tensor_of(known, bench.device), _judged(options, objective, known, bench.device)

    def bad() -> float:
        outputs = outputs_of(network, bench.stream("val", index, BATCH))
        loss = float(judged.loss(outputs, truth))
        if not _by_auroc(options, known) or not isfinite(loss):
            return loss
        return 1.0 - METRICS["auroc"].score(known, objective.predict(outputs).double().cpu().numpy())

    return bad


def tensor_of(truth: NDArray[Any], device: torch.device) -> Tensor:
    """Classes as int64, quantities as float32."""
    return torch.tensor(truth, dtype=torch.float32 if truth.dtype.kind == "f" else torch.int64, device=device)


def _by_auroc(options: TrainingOptions, truth: NDArray[Any]) -> bool:
    return truth.dtype.kind == "i" and options.choose_by == "auroc"


def _judged(options: TrainingOptions, objective: Objective, truth: NDArray[Any], device: torch.device) -> Objective:
    """The loss on the validation split, whose classes need not be as uneven as those of a draw.

    Where the options balance classes, each counts alike in that split too.
    """
    if "balanced" not in (options.weighting, options.sampling) or not isinstance(objective, Classes):
        return objective
    return Classes.balanced(truth, objective.outputs, device)
