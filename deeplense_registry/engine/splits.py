"""The images that a run trains on and those that are labelled: found, and written into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import define, field

from ..components import UserError
from ..evaluation import (
    label_draws,
    label_pool,
    read_label_index,
    training_images,
    write_label_index,
    write_training_index,
)
from ..interfaces import Draw
from ..shards import ShardSet
from ..spec import Cell

Drawn = list[list[Draw]]


def training_shards(cell: Cell, shards: ShardSet) -> ShardSet:
    """What a cell trains on: ``shards``, or what ``[skew]`` leaves of them.

    Raises:
        UserError: The skew does not suit the data, or leaves less than one batch.
    """
    chosen = training_images(cell.skew, shards)
    left, batch = chosen.count("train"), cell.train.batch_size
    if chosen is not shards and left < batch:
        raise UserError(
            f"skew: {left} of {shards.count('train')} training images would be left, fewer than train.batch_size = "
            f"{batch}; make the skew weaker, the batches smaller, or the data set larger"
        )
    return chosen


def publish_training_images(cell: Cell, shards: ShardSet, folder: Path) -> None:
    """Write into ``folder`` which images are trained on, and refuse labels that could not be had after training.

    Raises:
        UserError: The skew of labels does not suit the data, the published labels are absent, or the disk is full.
    """
    label_pool(cell.skew, shards)
    index = cell.labels.index
    if cell.evaluate and index is not None and not index.exists():
        raise UserError(f"labels.index: {index}: no such file or folder; give the splits folder of a run")
    write_training_index(folder, shards)


@define(eq=False)
class LabelDraws:
    """``draws(target)``: for each label budget of the spec its draws, the same for every encoder.

    They come from the file that ``labels.index`` names, or are drawn from the images that ``[skew]`` leaves; either way
    they are written into ``folder`` when a target is first asked for.

    Attributes:
        cell: The run's.
        shards: What it trains on; draws are positions in their training split.
        folder: Of the run's splits.
    """

    cell: Cell
    shards: ShardSet
    folder: Path
    _drawn: dict[str, Drawn] = field(init=False, factory=dict)

    def __call__(self, target: str) -> Sequence[Sequence[Draw]]:
        """The draws of a target.

        Raises:
            UserError: There is no such target, it cannot be drawn, the published labels do not suit, or the disk is
                full.
        """
        if target not in self._drawn:
            self._drawn[target] = drawn = self._draw(target)
            write_label_index(self.folder, target, zip(self.cell.labels.budgets, drawn, strict=True), self.shards)
        return self._drawn[target]

    def _draw(self, target: str) -> Drawn:
        labels, pool = self.cell.labels, label_pool(self.cell.skew, self.shards)
        if labels.index is not None:
            return read_label_index(labels.index, target, labels, self.shards, pool)
        targets, classes = self.shards.targets("train", target), self.shards.card.targets[target].classes
        return label_draws(targets, labels, target, classes=len(classes) or None, pool=pool)
