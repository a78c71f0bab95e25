"""The labels of a run teach a predictor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...components import UserError
from ...evaluation import label_pool
from ...shards import ShardSet
from ...spec import Cell
from ..encoder import Encoder
from ..session import Report, shards_folder
from ..splits import training_shards
from .embedding import embed_stack
from .inputs import open_encoder, open_run, silent
from .predicting import Labels, Predictor
from .stack import stack_of


def learn(run: Path, target: str | None = None, report: Report = silent) -> tuple[Encoder, Predictor]:
    """The encoder of a run, and a predictor of ``target`` (by default the first of the data set).

    It learns from all training images that the run's ``[skew]`` leaves to labels.

    Args:
        run: The run's folder.
        target: A target of its data set.
        report: ``report(done, total)`` while images are embedded, and before that if shards are built.

    Raises:
        UserError: There is no run with an encoder, or its data have no such target, or too few labels.
    """
    if (run / "card.json").is_file() and not (run / "manifest.json").is_file():
        raise UserError(
            f"{run}: an encoder without its run; predict learns from the run's labelled data: give the run's folder, "
            "runs/<name>/<cell>"
        )
    cell = open_run(run)[1]
    shards = training_shards(cell, ShardSet.open(shards_folder(cell.dataset, report)))
    labels = _labels(cell, shards, target)
    encoder = open_encoder(run)
    train, val = (embed_stack(encoder, stack_of(shards, split), report) for split in ("train", "val"))
    return encoder, Predictor(labels, train, val)


def _labels(cell: Cell, shards: ShardSet, target: str | None) -> Labels:
    """Those of the training images that may be labelled, and of the validation images."""
    targets = shards.card.targets
    name = target or next(iter(targets), "")
    if name not in targets:
        known = ", ".join(map(repr, targets)) or "none"
        asked = f"target {name!r}" if name else "target"
        raise UserError(f"{cell.run}/{cell.name}: data set {shards.card.name!r} has no {asked}; its targets: {known}")
    truth, pool = shards.targets("train", name), label_pool(cell.skew, shards)
    train = np.full_like(truth, -1 if targets[name].classes else np.nan)
    train[pool] = truth[pool]
    return Labels(name, targets[name], train, shards.targets("val", name))
