"""The images that somebody has: shards, the data of a run or a spec, or numpy files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ...components import ImageShape, UserError
from ...shards import ShardSet, materialise
from ...spec import Cell, Instance, expand, load_spec
from ..folder import RunFolder

Index = NDArray[np.int64]
KINDS = "a run's folder, a folder of shards, a spec (.toml), a .npy stack, or a folder of .npy images"


@frozen(eq=False)
class Stack:
    """Images that are read as they are needed.

    Attributes:
        names: (N,) what they are called, in order.
        read: From positions (n,) to flux (n, C, H, W) float32.
        where: Where they come from, for messages.
    """

    names: NDArray[np.str_]
    read: Callable[[Index], NDArray[np.float32]]
    where: str

    def __len__(self) -> int:
        """The number of images."""
        return len(self.names)


def open_run(path: Path) -> tuple[RunFolder, Cell]:
    """A finished run and what it ran.

    Raises:
        UserError: There is no finished run in the folder, or its spec cannot be read any more.
    """
    folder = RunFolder(path)
    manifest = folder.manifest()
    if manifest is None:
        raise UserError(f"{path}: no run here; give the folder of a run, runs/<name>/<cell>")
    if not folder.encoder.exists():
        raise UserError(
            f"{path}: its run is {manifest['status']} and has no encoder yet; finish it with `deeplense run`"
        )
    return folder, expand(load_spec(folder.path / "spec.toml"))[0]


def open_images(path: Path, shape: ImageShape, split: str = "test") -> Stack:
    """The images at ``path``, of whatever kind it is.

    Args:
        path: A run's folder, a folder of shards, a spec, a .npy stack or a folder of .npy images.
        shape: What the encoder takes; images of another size are taken too, of other bands not.
        split: Of shards, runs and specs.

    Raises:
        UserError: Nothing of the kind is there, or the images have other bands than the encoder takes.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; give {KINDS}")
    if path.suffix == ".toml":
        return _shards(materialise(_one_dataset(path), processes=os.cpu_count() or 1), shape, split)
    if path.suffix == ".npy":
        return _file(path, shape)
    if (path / "spec.toml").is_file():
        cell = open_run(path)[1]
        return _shards(materialise(cell.dataset, processes=os.cpu_count() or 1), shape, split)
    if (path / "manifest.json").is_file():
        return _shards(path, shape, split)
    files = sorted(path.glob("*.npy")) if path.is_dir() else []
    if not files:
        raise UserError(f"{path}: no images here; give {KINDS}")
    return _files(path, files, shape)


def first(images: Stack, count: int) -> Stack:
    """The first ``count`` of the images."""
    return Stack(names=images.names[:count], read=images.read, where=images.where)


def _one_dataset(path: Path) -> Instance:
    spec = load_spec(path)
    if len(spec.dataset) != 1:
        names = ", ".join(one.name for one in spec.dataset)
        raise UserError(f"{path}: several data sets ({names}); give a spec with one")
    return spec.dataset[0]


def _shards(folder: Path, shape: ImageShape, split: str) -> Stack:
    shards = ShardSet.open(folder)
    _same_bands(shards.card.shape.channels, shape, folder)

    def read(index: Index) -> NDArray[np.float32]:
        images = shards.images(split, index)
        return images[:, 0] if images.ndim == 5 else images  # of partners the first

    return Stack(names=shards.names(split), read=read, where=f"{folder} ({split})")


def _file(path: Path, shape: ImageShape) -> Stack:
    """One image (H, W) or (C, H, W), or a stack (N, C, H, W); of one band also (N, H, W)."""
    array = load(path, mapped=True)
    if array.ndim == 4 or (array.ndim == 3 and shape.channels == 1):
        stack = array[:, None] if array.ndim == 3 else array
    else:
        stack = _image(array, path)[None]
    _same_bands(stack.shape[1], shape, path)
    names = [path.stem] if len(stack) == 1 else [f"{path.stem}-{n:06d}" for n in range(len(stack))]
    return Stack(names=np.array(names), read=lambda index: np.asarray(stack[index], np.float32), where=str(path))


def _files(folder: Path, files: Sequence[Path], shape: ImageShape) -> Stack:
    def read(index: Index) -> NDArray[np.float32]:
        images = [_image(load(files[n]), files[n]) for n in index.tolist()]
        for image, n in zip(images, index.tolist(), strict=True):
            _same_bands(image.shape[0], shape, files[n])
            if image.shape != images[0].shape:
                raise UserError(f"{files[n]}: {image.shape}, where others are {images[0].shape}; embed each size apart")
        return np.stack(images).astype(np.float32)

    return Stack(names=np.array([file.stem for file in files]), read=read, where=str(folder))


def load(path: Path, *, mapped: bool = False) -> NDArray[np.float32]:
    """The array of a .npy file.

    Raises:
        UserError: It is no array of numbers, or holds pickled objects, which are not read.
    """
    try:
        array: NDArray[np.float32] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as a .npy array of numbers: {error}") from error
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: holds {array.dtype}, not numbers")
    return array


def _image(array: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    if array.ndim not in (2, 3):
        raise UserError(f"{path}: shape {array.shape} is no image; (H, W) and (C, H, W) are")
    return array[None] if array.ndim == 2 else array


def _same_bands(channels: int, shape: ImageShape, where: Path) -> None:
    if channels != shape.channels:
        raise UserError(f"{where}: images of {channels} bands, but the encoder takes {shape.channels}")
