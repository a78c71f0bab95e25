"""What the trainer eats: for each step, the views of this process's micro-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..components import derive_seed
from ..interfaces import Method, Views, World
from ..shards import epoch_order, read_ahead, weighted_order
from ..views import NUISANCES, Pipeline
from .session import Session

WINDOW_BYTES = 4 * 2**30
WINDOW_SHARDS = 16
"""Larger splits are permuted in windows of this many shards: random rows of a cold disk cost 20 times whole shards."""


class Feed:
    """Reads the training split in an order that is a pure function of (shards, seed, epoch)."""

    def __init__(self, session: Session, pipeline: Pipeline, world: World) -> None:
        """Open nothing yet."""
        self.shards, self.facts, self.device = session.shards, session.facts, session.device
        self.pipeline, self.world, self.seed = pipeline, world, session.cell.seed
        self._counts = self.shards.counts("train")
        self._meta = {name: self.shards.meta("train", name) for name in NUISANCES}

    def steps(self, start: int, method: Method) -> Iterator[tuple[int, list[Views]]]:
        """Step numbers from ``start`` to the end of the run, each with the views of this process's micro-batches."""
        per_epoch = self.facts.steps_per_epoch
        for epoch in range(start // per_epoch, self.facts.epochs):
            order = self._order(epoch, method.sampling_weights())
            first = max(start - epoch * per_epoch, 0)
            batches = (self._own(order, step) for step in range(first, per_epoch))
            with read_ahead(self._read, batches) as images:
                for step, batch in enumerate(images, start=epoch * per_epoch + first):
                    yield step, [self._views(step, number, *part) for number, part in enumerate(self._cut(*batch))]

    def _order(self, epoch: int, weights: Tensor | None) -> NDArray[np.int64]:
        if weights is not None:
            return weighted_order(weights.double().cpu().numpy(), self.facts.images, self.seed, epoch)
        split_bytes = sum(shard.bytes for shard in self.shards.manifest.splits["train"])
        window = None if split_bytes <= WINDOW_BYTES else WINDOW_SHARDS
        return epoch_order(self._counts, self.seed, epoch, window)

    def _own(self, order: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        """This process's part of a step's batch: contiguous micro-batches."""
        part = self.facts.batch_size // self.world.size
        begin = step * self.facts.batch_size + self.world.rank * part
        return order[begin : begin + part]

    def _read(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return index, self.shards.images("train", index)

    def _cut(
        self, index: NDArray[np.int64], images: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        size = self.facts.micro_batch
        for begin in range(0, len(index), size):
            yield index[begin : begin + size], images[begin : begin + size]

    def _views(self, step: int, number: int, index: NDArray[np.int64], images: NDArray[np.float32]) -> Views:
        number += self.world.rank * (self.facts.batch_size // self.world.size // self.facts.micro_batch)
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(self.seed, "views", step, number))
        pixels = torch.from_numpy(images).to(self.device, non_blocking=True)
        return self.pipeline(pixels, torch.from_numpy(index).to(self.device), self._of(index), generator)

    def _of(self, index: NDArray[np.int64]) -> Mapping[str, Tensor]:
        return {
            name: torch.from_numpy(column[index]).to(self.device, torch.float32) for name, column in self._meta.items()
        }
