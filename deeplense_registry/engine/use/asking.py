"""A run's labels teach a predictor, and its predictions become rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...components import Target, UserError
from ...shards import ShardSet
from ...shards.atomic import write_bytes
from ..encoder import Encoder, load_encoder
from ..session import shards_folder
from ..splits import training_shards
from .embedding import Report, embed_stack
from .inputs import Stack, open_run
from .predicting import Prediction, Predictor


def learn(run: Path, target: str | None, report: Report) -> tuple[Encoder, Predictor, str]:
    """The encoder of a run, a predictor of ``target`` (by default the first of the data set), and the target's name.

    Raises:
        UserError: The run is unfinished, or its data have no such target, or too few labels.
    """
    folder, cell = open_run(run)
    encoder = load_encoder(run)
    shards = training_shards(cell, ShardSet.open(shards_folder(cell.dataset, report)))
    targets = shards.card.targets
    name = target or next(iter(targets), "")
    if name not in targets:
        known = ", ".join(map(repr, targets)) or "none"
        raise UserError(f"{folder.path}: data set {shards.card.name!r} has no target {name!r}; its targets: {known}")
    train, val = (embed_stack(encoder, _split(shards, split), report) for split in ("train", "val"))
    truth, val_truth = (shards.targets(split, name) for split in ("train", "val"))
    return encoder, Predictor(name, targets[name], train, truth, val, val_truth), name


def _split(shards: ShardSet, split: str) -> Stack:
    def read(index: NDArray[np.int64]) -> NDArray[np.float32]:
        images = shards.images(split, index)
        return images[:, 0] if images.ndim == 5 else images

    return Stack(names=shards.names(split), read=read, where=f"{shards.folder} ({split})")


def rows(
    target: str, about: Target, names: NDArray[np.str_], prediction: Prediction
) -> tuple[list[str], list[list[str]]]:
    """A header and a row for each image: name, class and probabilities, or quantity and interval; trust."""
    trust = [f"{value:.3f}" for value in prediction.trust]
    if about.classes:
        header = ["image", target, *(f"p({name})" for name in about.classes), "trust"]
        cells = [[about.classes[row.argmax()], *(f"{value:.4f}" for value in row)] for row in prediction.values]
    else:
        unit = f" [{about.unit}]" if about.unit else ""
        header = ["image", f"{target}{unit}", "low", "high", "trust"]
        half = prediction.half_width or 0.0
        cells = [[f"{v:.5g}", f"{v - half:.5g}", f"{v + half:.5g}"] for v in prediction.values]
    return header, [[name, *cell, score] for name, cell, score in zip(names.tolist(), cells, trust, strict=True)]


def write_csv(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Write a table, whole or not at all.

    Raises:
        UserError: The disk refuses.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    try:
        write_bytes(path, text.getvalue().encode())
    except OSError as error:
        raise UserError(f"{path}: cannot write: {error}; make room and run again") from error
