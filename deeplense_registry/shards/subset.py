"""Some images of a split, as if there were no others; no pixel is copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from ..components import DatasetCard
from .reader import ShardSet

Index = NDArray[np.int64]


class Subset(ShardSet):
    """Shards of which one split is cut down: positions, counts, targets and names are those of the images left.

    The statistics stay those of the whole training split, so that flux is scaled alike whatever is left out.
    """

    def __init__(self, whole: ShardSet, split: str, index: Index) -> None:
        """Keep the images of ``split`` at ``index`` (n,), ascending positions in ``whole``."""
        super().__init__(whole.folder, whole.manifest)
        self._split_name, self._index = split, index

    @property
    def card(self) -> DatasetCard:
        """The data set's card, with the number of images left."""
        splits: Mapping[str, int | None] = {**super().card.splits, self._split_name: len(self._index)}
        return attrs.evolve(super().card, splits=splits)

    def count(self, split: str) -> int:
        """Samples in the split."""
        return len(self.positions(split))

    def counts(self, split: str) -> tuple[int, ...]:
        """Samples of each shard of the split."""
        ends = np.cumsum(super().counts(split))
        shard = np.searchsorted(ends, self.positions(split), side="right")
        return tuple(np.bincount(shard, minlength=len(ends)).tolist())

    def positions(self, split: str) -> Index:
        """(N,) where the samples lie in the split as the shards have it."""
        return self._index if split == self._split_name else super().positions(split)

    def images(self, split: str, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """The images at ``index`` (n,), in that order: (n, [P,] C, H, W) float32, in new memory.

        Raises:
            IndexError: A position is not in the split.
        """
        own = self.positions(split)
        if len(index) and not 0 <= index.min() <= index.max() < len(own):
            raise IndexError(f"split {split!r} has positions 0 to {len(own) - 1}, not all of {index}")
        return super().images(split, own[index])

    def targets(self, split: str, name: str) -> NDArray[Any]:
        """(N,) of a target, as :meth:`ShardSet.targets`."""
        return super().targets(split, name)[self.positions(split)]

    def meta(self, split: str, name: str) -> NDArray[np.float64]:
        """(N,) of a number in meta, NaN where a sample does not have it."""
        return super().meta(split, name)[self.positions(split)]

    def names(self, split: str) -> NDArray[np.str_]:
        """(N,) of the source's own names."""
        return super().names(split)[self.positions(split)]
