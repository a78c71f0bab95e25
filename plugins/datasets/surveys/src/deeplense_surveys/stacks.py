"""HDF5 stacks: images (N, C, H, W) with columns beside them, in one file or many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from deeplense_registry import UserError

from .catalogue import Catalogue, Masked
from .images import Picture
from .signature import unreadable

IMAGES: Mapping[str, str] = MappingProxyType({"multimodal-universe": "image_array", "sdss": "images"})
"""The data set of images by layout."""

BLOCK_BYTES = 2**26
"""Images are read in blocks of at most 64 MiB."""


class Stacks:
    """Stacks of images, read in blocks of rows.

    Attributes:
        bands: Names of the channels taken.
        channels: Where they lie in the files.
        catalogue: What lies beside the images: every data set with as many rows and at most one axis more.
    """

    def __init__(self, folder: Path, files: Sequence[Path], layout: str, bands: tuple[str, ...]) -> None:
        """Open each file once, to count.

        Raises:
            UserError: A file is no HDF5 file, has no images, or others than the first; or the bands are not named.
        """
        self.folder, self.files, self._key = folder, tuple(files), IMAGES[layout]
        shapes = [self._shape(file) for file in self.files]
        if different := [file for file, shape in zip(self.files, shapes, strict=True) if shape[1] != shapes[0][1]]:
            raise UserError(f"{different[0]} has another number of bands than {self.files[0]}; keep them apart")
        self._starts = np.cumsum([0, *(shape[0] for shape in shapes)])
        self.catalogue = self._catalogue()
        self.bands, self.channels = self._choose(bands, shapes[0][1])

    def read(self, rows: Sequence[int], *, noise: bool = True) -> Iterator[Picture]:
        """The images of ``rows``, which ascend; with the noise of each, where the files have ``image_ivar``."""
        wanted = np.asarray(rows, np.int64)
        for number, file in enumerate(self.files):
            start, end = self._starts[number : number + 2]
            own = wanted[(wanted >= start) & (wanted < end)] - start
            if len(own):
                with _opened(file) as stack:
                    yield from self._pictures(stack, file, own, int(start), noise)

    def _pictures(self, stack: Any, file: Path, rows: NDArray[np.int64], start: int, noise: bool) -> Iterator[Picture]:
        images = stack[self._key]
        weights = stack.get("image_ivar") if noise else None
        name = str(file.relative_to(self.folder))
        for block in _blocks(images, rows):
            first, last = int(block[0]), int(block[-1]) + 1
            pixels = self._slice(file, images, first, last)
            ivar = None if weights is None else self._slice(file, weights, first, last)
            for row in block - first:
                yield Picture(
                    row=start + first + int(row),
                    file=name,
                    pixels=pixels[row],
                    noise=() if ivar is None else tuple(_rms(plane) for plane in ivar[row]),
                )

    def _slice(self, file: Path, images: Any, first: int, last: int) -> NDArray[np.float32]:
        """Rows ``first`` to ``last`` of the bands taken, (n, C, H, W)."""
        try:
            block = images[first:last]
        except OSError as error:
            raise UserError(f"{file}: rows {first} to {last - 1} cannot be read: {error}; copy it anew") from error
        with np.errstate(over="ignore"):  # infinity is found where images are judged
            planes = np.asarray(block if block.ndim == 4 else block[:, None], np.float32)
        return planes if self.channels == tuple(range(planes.shape[1])) else planes[:, list(self.channels)]

    def _shape(self, file: Path) -> tuple[int, int]:
        """Images in the file, and bands of each."""
        with _opened(file) as stack:
            images = stack.get(self._key)
            if not isinstance(images, h5py.Dataset):
                raise UserError(f'{file} has no data set "{self._key}"; it has: {", ".join(stack) or "nothing"}')
            if images.ndim not in (3, 4):
                shape = " x ".join(map(str, images.shape))
                raise UserError(f'{file}: "{self._key}" is {shape}; it must be images x bands x height x width')
            return len(images), images.shape[1] if images.ndim == 4 else 1

    def _catalogue(self) -> Catalogue:
        counts = np.diff(self._starts)
        names: list[str] | None = None
        for file, count in zip(self.files, counts, strict=True):
            with _opened(file) as stack:
                here = [name for name in stack if _is_column(stack[name], count)]
            names = here if names is None else [name for name in names if name in here]
        where = str(self.files[0]) if len(self.files) == 1 else f"{self.folder} ({len(self.files)} files)"
        return Catalogue(where=where, names=tuple(names or ()), count=int(self._starts[-1]), load=self._column)

    def _column(self, name: str) -> Masked:
        parts = []
        for file in self.files:
            with _opened(file) as stack:
                column = stack[name]
                parts.append(column.asstr(errors="replace")[:] if _is_text(column) else column[:])
        return np.ma.MaskedArray(np.concatenate(parts))

    def _choose(self, bands: tuple[str, ...], count: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Names and channels of the bands to take."""
        where = self.catalogue.where
        if "image_band" not in self.catalogue.names:
            if len(bands) != count:
                said = f"bands names {len(bands)}" if bands else "which? Write them: bands = [...]"
                raise UserError(f"{where}: images have {count} bands; {said}, and all are to be named in order")
            return bands, tuple(range(count))
        column = self.catalogue.load("image_band")
        if (column != column[0]).any():
            row = int(np.argmax((column != column[0]).any(axis=1)))
            raise UserError(f"{where}: row {row + 1} has other bands than the first; keep them apart")
        there = [str(band) for band in column[0]]
        if unknown := [band for band in bands if band not in there]:
            raise UserError(f'{where} has no band "{unknown[0]}"; it has {", ".join(there)}')
        bands = bands or tuple(there)
        return bands, tuple(there.index(band) for band in bands)


def _opened(file: Path) -> Any:
    """The file, open for reading."""
    try:
        return h5py.File(file, "r")
    except OSError as error:
        raise unreadable(file, "HDF5", error) from error


def _is_text(column: Any) -> bool:
    return h5py.check_string_dtype(column.dtype) is not None


def _is_column(node: Any, count: int) -> bool:
    if not isinstance(node, h5py.Dataset) or node.ndim not in (1, 2) or len(node) != count:
        return False
    return node.dtype.kind in "iufb" or _is_text(node)


def _blocks(images: Any, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """``rows``, which ascend, in runs that are read at once: those of one chunk, as far as the block's limit allows."""
    chunk = images.chunks[0] if images.chunks else 1
    limit = max(1, BLOCK_BYTES // max(1, images.dtype.itemsize * int(np.prod(images.shape[1:]))))
    number = rows // min(chunk, limit)
    yield from np.split(rows, np.flatnonzero(np.diff(number)) + 1)


def _rms(weights: NDArray[np.float32]) -> float:
    """The noise of a band: 1 / sqrt(median of the inverse variance), NaN where no pixel has any."""
    known = weights[np.isfinite(weights) & (weights > 0)]
    return float(1 / np.sqrt(np.median(known))) if len(known) else float("nan")
