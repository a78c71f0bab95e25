"""The image of a foreign sample: an array or a picture becomes (C, H, W)."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from .decode import array_header, decode_member
from .manifest import DType

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = ("image.npy", "npy", "image.png", "png", "image.jpg", "jpg", "image.jpeg", "jpeg")
"""Members that are taken for the image, the first of these that a sample has."""

_IN_PLACE: dict[str, DType] = {"<f4": "float32", "<f2": "float16"}
_BANDS = {"L": 1, "I;16": 1, "I": 1, "F": 1, "RGB": 3, "RGBA": 4}  # of Pillow's modes


@frozen
class Form:
    """How an image lies in its member.

    Attributes:
        shape: (C, H, W), once read.
        dtype: Of its bytes, where they are the pixels in this order; ``None`` where they must be rewritten.
        start: Where in the member the pixels begin; 0 where they must be rewritten.
    """

    shape: tuple[int, ...]
    dtype: DType | None = None
    start: int = 0


def image_ending(members: Mapping[str, Any], where: str) -> str:
    """The ending of the member that is the image.

    Raises:
        UserError: There is none; starts with ``where``.
    """
    for ending in ENDINGS:
        if ending in members:
            return ending
    raise UserError(f"{where} has no image but: {', '.join(members)}; known are {', '.join(ENDINGS)}")


def image_form(name: str, data: memoryview) -> Form:
    """The form of the image in a member.

    Raises:
        UserError: It is no image of numbers with 2 or 3 axes, or damaged.
    """
    if not name.endswith(".npy"):
        with _opened(name, data) as picture:
            return Form((_BANDS[picture.mode], picture.height, picture.width))
    shape, fortran, dtype, start = array_header(name, data)
    if dtype.kind not in "fiub" or len(shape) not in (2, 3):
        raise UserError(f"{name} is {dtype} {shape}; an image has 2 or 3 axes of numbers")
    if start + prod(shape) * dtype.itemsize != len(data):
        raise UserError(f"{name} is damaged: {len(data)} bytes for {dtype} {shape}; write the tar anew")
    last = _bands_last(shape)
    whole = (shape[2], *shape[:2]) if last else (1,) * (3 - len(shape)) + shape
    if fortran or (last and whole[0] > 1) or dtype.str not in _IN_PLACE:
        return Form(whole)
    return Form(whole, _IN_PLACE[dtype.str], start)


def read_image(name: str, data: memoryview) -> NDArray[np.float32]:
    """The image in a member, (C, H, W) with the values it was written with.

    Raises:
        UserError: It is damaged, or cannot be read.
    """
    if name.endswith(".npy"):
        pixels = decode_member(name, data)
    else:
        with _opened(name, data) as picture:
            pixels = _decoded(name, picture)
    if pixels.ndim == 2:
        pixels = pixels[None]
    elif _bands_last(pixels.shape):
        pixels = np.moveaxis(pixels, -1, 0)
    return np.ascontiguousarray(pixels, np.float32)


def _bands_last(shape: tuple[int, ...]) -> bool:
    """Whether (H, W, C) rather than (C, H, W): there are fewer bands than pixels on a side."""
    return len(shape) == 3 and shape[2] < min(shape[:2])


def _decoded(name: str, picture: Image.Image) -> NDArray[Any]:
    try:
        return np.asarray(picture)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's words for a truncated or broken picture
        raise UserError(f"{name} is damaged: {error}; write the tar anew") from error


def _opened(name: str, data: memoryview) -> Image.Image:
    try:
        from PIL import Image, UnidentifiedImageError  # here: who has arrays does not need it
    except ImportError as error:
        raise UserError(f"{name} is a picture: pip install pillow") from error
    try:
        picture = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{name} is damaged: {error}; write the tar anew") from error
    if picture.mode not in _BANDS:
        raise UserError(f"{name} has mode {picture.mode}; known are {', '.join(_BANDS)}: save it as one of these")
    return picture
