"""Images in .npy files: a stack in one file, or a file an image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...components import ImageShape, UserError
from .stack import Images, Index, Stack, check_bands

Array = NDArray[Any]


def stack_in_file(path: Path, shape: ImageShape) -> Stack:
    """One image (H, W) or (C, H, W), or a stack (N, C, H, W); of one band also (N, H, W). Mapped, not loaded.

    Raises:
        UserError: It is no array of numbers, of no such shape, or of other bands than ``shape`` has.
    """
    array = load(path, mapped=True)
    if array.ndim == 4 or (array.ndim == 3 and shape.channels == 1):
        stack = array[:, None] if array.ndim == 3 else array
    else:
        stack = _image(array, path)[None]
    check_bands(stack.shape[1], shape, path)
    names = [path.stem] if len(stack) == 1 else [f"{path.stem}-{n:06d}" for n in range(len(stack))]
    return Stack(names=np.array(names, np.str_), read=lambda index: _float32(stack[index]), where=str(path))


def stack_of_files(folder: Path, files: Sequence[Path], shape: ImageShape) -> Stack:
    """Files of one image each, (H, W) or (C, H, W), all of one shape; opened when they are read.

    Raises:
        UserError: When they are read: as :func:`stack_in_file`, or shapes differ.
    """

    def read(index: Index) -> Images:
        images: list[Array] = []
        for n in index.tolist():
            image = _image(load(files[n]), files[n])
            check_bands(image.shape[0], shape, files[n])
            if images and image.shape != images[0].shape:
                sizes = " and ".join("x".join(map(str, one.shape)) for one in (image, images[0]))
                raise UserError(f"{files[n]}: images of {sizes} lie in one folder; put each size in its own")
            images.append(image)
        return _float32(np.stack(images))

    return Stack(names=np.array([file.stem for file in files], np.str_), read=read, where=str(folder))


def load(path: Path, *, mapped: bool = False) -> Array:
    """The array of a .npy file.

    Raises:
        UserError: It is no array of numbers, or holds pickled objects, which are not read.
    """
    try:
        array: Array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as a .npy array of numbers: {error}") from error
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: holds {array.dtype}, not real numbers")
    return array


def _image(array: Array, path: Path) -> Array:
    if array.ndim not in (2, 3):
        raise UserError(f"{path}: an array of shape {array.shape} is no image; (H, W) and (C, H, W) are")
    return array[None] if array.ndim == 2 else array


def _float32(array: Array) -> Images:
    with np.errstate(over="ignore"):  # becomes infinite, which is refused where the image's name is known
        return np.array(array, np.float32)
