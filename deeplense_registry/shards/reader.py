"""Shards are read: tars mapped into memory, images gathered by offset in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..components import DatasetCard, UserError
from .decode import refuse_command
from .index import read_index
from .manifest import Manifest, Shard, Statistics, read_manifest
from .verify import verify_shards

OPEN_MAPS = 512
"""Tars that stay mapped; each holds a file descriptor."""


class ShardSet:
    """A folder of shards, open for reading. Safe to use from several threads.

    Pixels are mapped, not loaded: they live in the page cache, and memory does not grow with the number of shards (but
    for 8 bytes of offset a sample).
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Read the offsets; use :meth:`open` for shards that may be damaged."""
        self.folder = folder
        self.manifest = manifest
        size = np.dtype(manifest.dtype).itemsize
        self._splits = {split: _Split(folder, shards, size) for split, shards in manifest.splits.items()}
        self._maps: dict[Path, NDArray[np.floating]] = {}

    @classmethod
    def open(cls, folder: Path | str, verify: bool = True) -> ShardSet:
        """Open the shards in ``folder``, checking those that were not checked before.

        Raises:
            UserError: There are none, they are damaged, or ``folder`` is a command.
        """
        refuse_command(str(folder))
        folder = Path(folder)
        manifest = read_manifest(folder)
        if verify:
            verify_shards(folder, manifest)
        return cls(folder, manifest)

    @property
    def card(self) -> DatasetCard:
        """The data set's card."""
        return self.manifest.card

    @property
    def statistics(self) -> Statistics:
        """Of the training pixels."""
        return self.manifest.statistics

    def count(self, split: str) -> int:
        """Samples in the split."""
        return len(self._split(split).offsets)

    def counts(self, split: str) -> tuple[int, ...]:
        """Samples in each shard of the split, for :func:`~deeplense_registry.shards.epoch_order`."""
        return tuple(shard.count for shard in self._split(split).shards)

    def positions(self, split: str) -> NDArray[np.int64]:
        """(N,) where the samples lie in the split as the shards have it."""
        return np.arange(len(self._split(split).offsets))

    def images(self, split: str, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """The images at ``index`` (n,), in that order: (n, [P,] C, H, W) float32, in new memory.

        Raises:
            IndexError: A position is not in the split.
        """
        own = self._split(split)
        if len(index) and not 0 <= index.min() <= index.max() < len(own.offsets):
            raise IndexError(f"split {split!r} has positions 0 to {len(own.offsets) - 1}, not all of {index}")
        pixels = prod(self.manifest.image_shape)
        images = np.empty((len(index), pixels), np.float32)
        numbers = np.searchsorted(own.ends, index, side="right").tolist()
        for image, number, at in zip(images, numbers, own.offsets[index].tolist(), strict=True):
            image[:] = self._mapped(own.paths[number])[at : at + pixels]
        return images.reshape(len(index), *self.manifest.image_shape)

    def targets(self, split: str, name: str) -> NDArray[Any]:
        """(N,) of a target: int64 with -1 where a class is absent, float64 with NaN where a quantity is.

        Raises:
            UserError: The card has no such target.
        """
        if name not in self.card.targets:
            raise UserError(f"{self.folder} has no target {name!r}, but: {', '.join(self.card.targets) or 'none'}")
        none = np.empty(0, np.int64 if self.card.targets[name].classes else np.float64)
        return np.concatenate([none, *self._columns(split, f"targets.{name}")])

    def meta(self, split: str, name: str) -> NDArray[np.float64]:
        """(N,) of a number in meta, NaN where a sample does not have it."""
        return np.concatenate([np.empty(0), *self._columns(split, f"meta.{name}")])

    def names(self, split: str) -> NDArray[np.str_]:
        """(N,) of the source's own names."""
        return np.concatenate([np.empty(0, np.str_), *self._columns(split, "names")])

    def _columns(self, split: str, column: str) -> Iterator[NDArray[Any]]:
        """A column of each shard; NaN where a shard does not have it."""
        for shard in self._split(split).shards:
            stored = read_index(self.folder / shard.index, column)
            yield stored[column] if column in stored else np.full(shard.count, np.nan)

    def _split(self, split: str) -> _Split:
        if split not in self._splits:
            raise UserError(f"{self.folder} has no split {split!r}, but: {', '.join(self._splits)}")
        return self._splits[split]

    def _mapped(self, path: Path) -> NDArray[np.floating]:
        """The whole tar as numbers of the images' type (its blocks are a multiple of their size)."""
        mapped = self._maps.get(path)
        if mapped is None:
            while len(self._maps) >= OPEN_MAPS:
                self._maps.pop(next(iter(self._maps)), None)  # the oldest; closed when nobody reads it any more
            dtype = np.dtype(self.manifest.dtype).newbyteorder("<")
            mapped = self._maps[path] = np.asarray(np.memmap(path, dtype, "r"))
        return mapped


class _Split:
    """Where the samples of a split lie."""

    def __init__(self, folder: Path, shards: Sequence[Shard], itemsize: int) -> None:
        offsets = [read_index(folder / shard.index, "offsets")["offsets"] // itemsize for shard in shards]
        self.shards = shards
        self.paths = [folder / shard.file for shard in shards]
        self.ends = np.cumsum([shard.count for shard in shards], dtype=np.int64)
        self.offsets = np.concatenate([*offsets, np.empty(0, np.int64)])  # in pixels, from the start of their tar
