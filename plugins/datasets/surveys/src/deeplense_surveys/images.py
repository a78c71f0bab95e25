"""One image as it comes out of a file: cut to size, and judged."""

from __future__ import annotations

from attrs import evolve, field, frozen
from numpy import ascontiguousarray, float32, isfinite
from numpy.typing import NDArray

from deeplense_registry import UserError


@frozen(kw_only=True, eq=False)
class Picture:
    """An image as it lies in a file.

    Attributes:
        row: Its row in the catalogue, from 0.
        file: Where it comes from, for messages and for the record.
        pixels: (C, H, W), float32 in the machine's byte order.
        pixel_scale: Arcsec per pixel, where the file says so.
        unit: Of the pixels, where the file says so.
        noise: Rms of the noise in each band, where the file says so.
    """

    row: int
    file: str
    pixels: NDArray[float32]
    pixel_scale: float | None = None
    unit: str = ""
    noise: tuple[float, ...] = field(default=())


@frozen
class Absent:
    """A row without its image, and the file that should hold it."""

    row: int
    file: str


@frozen
class LeftOut:
    """A row whose image is not used, and why, in words that follow a number: "with pixels all zero"."""

    row: int
    reason: str


def crop(picture: Picture, size: int | None) -> Picture:
    """The central ``size`` x ``size`` pixels, or the whole image; pixel H // 2 becomes pixel ``size // 2``.

    Raises:
        UserError: The image is smaller.
    """
    height, width = picture.pixels.shape[1:]
    if size is None:
        return picture
    if size > min(height, width):
        raise UserError(
            f"{picture.file}: row {picture.row + 1} has {height} x {width} pixels, fewer than size = {size}; "
            f"set size = {min(height, width)} or less, or leave the row out"
        )
    top, left = height // 2 - size // 2, width // 2 - size // 2
    pixels = picture.pixels[:, top : top + size, left : left + size]
    return evolve(picture, pixels=ascontiguousarray(pixels))


def fault(pixels: NDArray[float32], bands: tuple[str, ...]) -> str | None:
    """Why nothing can be learned from an image (C, H, W); ``None`` where something can."""
    if not isfinite(pixels).all():
        return "with NaN or infinite pixels"
    for band, plane in zip(bands, pixels, strict=True):
        if plane.min() == plane.max():
            value = "all zero" if plane.flat[0] == 0 else "all of one value"
            return f"with pixels {value}" if len(bands) == 1 else f"with pixels of band {band} {value}"
    return None
