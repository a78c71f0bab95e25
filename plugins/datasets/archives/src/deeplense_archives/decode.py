"""From the bytes of a file to images (C, H, W) in float32, every published form of them."""

from __future__ import annotations

from io import BytesIO
from math import prod
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen
from numpy.lib import format as npy
from numpy.typing import NDArray

from deeplense_registry import UserError

from .unpickle import unpickle

MOST_BANDS = 10
"""A three-dimensional array with more along its shorter end is a stack of images, not of bands."""

EXACT = 2**24
"""Beyond this, float32 does not hold every whole number."""


@frozen
class Form:
    """How one image lies in its file.

    Attributes:
        kind: ``"array"`` (plain numbers), ``"objects"`` (a pickled [image, mass]) or ``"picture"`` (JPEG or PNG).
        dtype: Of an array, as numpy writes it: ``"<f8"``.
        shape: Of an array, as it lies there.
        fortran: Whether the array lies column by column.
    """

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    fortran: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of an array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@frozen(eq=False)
class Decoded:
    """One image.

    Attributes:
        image: (C, H, W) float32.
        mass: The number beside it, if any.
        rounded: Whether it has whole numbers that float32 may not hold.
    """

    image: NDArray[np.float32]
    mass: float | None = None
    rounded: bool = False


def read_header(stream: BinaryIO) -> tuple[Form, int]:
    """The form of an ``.npy`` file, read up to its data, and where these begin.

    Raises:
        UserError: It is no ``.npy`` file, or its values are no numbers.
    """
    try:
        version = npy.read_magic(stream)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran, dtype = read(stream)
    except (ValueError, KeyError, EOFError) as error:
        raise UserError(f"is no .npy file of numbers ({error})") from error
    if dtype.hasobject:
        if dtype.kind != "O":
            raise UserError(f"holds records ({dtype}), not an image")
        return Form("objects"), stream.tell()
    if dtype.kind not in "biuf":
        raise UserError(f"holds {dtype}, not numbers")
    return Form("array", dtype.str, shape, fortran), stream.tell()


def rows(form: Form) -> tuple[int | None, Form]:
    """The number of images in an array, ``None`` where it is one image, and the form of each.

    Stacks have a leading axis (N, ...), or two (batches, batch, C, H, W).

    Raises:
        UserError: It is no image and no stack.
    """
    shape = form.shape
    stacked = len(shape) > 3 or (len(shape) == 3 and min(shape[0], shape[2]) > MOST_BANDS)
    if not 2 <= len(shape) <= 5 or 0 in shape:
        raise UserError(f"has shape {shape}, which is no image")
    if not stacked:
        return None, form
    if form.fortran:
        raise UserError("is a stack in Fortran order, which cannot be read image by image; save it in C order")
    leading = 2 if len(shape) == 5 else 1
    return prod(shape[:leading]), Form("array", form.dtype, shape[leading:])


def decode(form: Form, data: bytes) -> Decoded:
    """The image in ``data``, its values unchanged but for float32.

    Raises:
        UserError: It is damaged, not an image, not finite, or the same everywhere. The text follows the file's name.
    """
    mass = None
    if form.kind == "array":
        if len(data) < form.nbytes:
            raise UserError(f"is truncated: {len(data)} of {form.nbytes} bytes of pixels")
        pixels = np.frombuffer(data, form.dtype, prod(form.shape))
        pixels = pixels.reshape(form.shape, order="F" if form.fortran else "C")
    elif form.kind == "objects":
        pixels, mass = _pair(unpickle(data))
    else:
        pixels = _picture(data)
    image = _float32(_bands_first(pixels))
    large = pixels.dtype.kind in "iu" and (pixels.max() > EXACT or pixels.min() < -EXACT)
    return Decoded(image, mass, bool(large))


def _pair(value: Any) -> tuple[NDArray[Any], float]:
    """The image and the mass of ``np.array([image, mass], dtype=object)``."""
    if not isinstance(value, np.ndarray) or value.shape != (2,):
        found = f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
        raise UserError(f"holds {found} of objects; an image and its mass are expected")
    pixels, mass = np.asarray(value[0]), value[1]
    if pixels.dtype.kind not in "biuf":
        raise UserError(f"holds {pixels.dtype} in place of an image")
    if not isinstance(mass, int | float | np.number | np.ndarray) or np.size(mass) != 1:
        raise UserError(f"holds {type(mass).__name__} in place of a mass")
    return pixels, float(np.asarray(mass).item())


def _picture(data: bytes) -> NDArray[Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as picture:
            if picture.mode not in ("L", "RGB", "I", "I;16", "I;16B", "F"):
                raise UserError(f"is a picture of mode {picture.mode}; save it as grey or RGB")
            return np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow tells of damage by any of these
        raise UserError(f"is a damaged picture ({error})") from error


def _bands_first(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W), (C, H, W) or (H, W, C) to (C, H, W); the bands are along the shorter of the first and the last axis."""
    if pixels.ndim == 2:
        return pixels[None]
    if pixels.ndim != 3 or min(pixels.shape[0], pixels.shape[2]) > MOST_BANDS:
        raise UserError(f"has shape {pixels.shape}, which is no image")
    return pixels if pixels.shape[0] <= pixels.shape[2] else np.moveaxis(pixels, 2, 0)


def _float32(pixels: NDArray[Any]) -> NDArray[np.float32]:
    if not pixels.size:
        raise UserError(f"has shape {pixels.shape}, which is no image")
    with np.errstate(over="ignore"):
        image = np.ascontiguousarray(pixels, np.float32)
    low, high = image.min(), image.max()  # NaN and infinity come through
    if not np.isfinite(low) or not np.isfinite(high):
        raise UserError(f"has {int((~np.isfinite(image)).sum())} pixels that are NaN, infinite or beyond float32")
    if low == high:
        raise UserError(f"has {low:g} in every pixel")
    return image
