"""A sample is checked and becomes three members of a tar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import DatasetCard, Target, UserError
from .manifest import DType
from .ustar import BLOCK, member

if TYPE_CHECKING:
    from ..interfaces import Sample


@frozen(eq=False)
class Encoded:
    """A sample as it will lie on disk.

    Attributes:
        name: The source's own.
        image: ([P,] C, H, W), little-endian, C order, of the shards' type.
        targets, meta: Plain numbers and strings; ``meta`` has ``name`` too.
    """

    name: str
    image: NDArray[np.floating]
    targets: Mapping[str, int | float]
    meta: Mapping[str, int | float | str]


def image_shape(card: DatasetCard) -> tuple[int, ...]:
    """(C, H, W), or (P, C, H, W) with partners."""
    one = (card.shape.channels, card.shape.height, card.shape.width)
    return one if card.partners == 1 else (card.partners, *one)


def npy_header(shape: tuple[int, ...], dtype: DType) -> bytes:
    """What stands before the pixels in every ``.npy`` of this shape and type."""
    empty = np.zeros(shape, np.dtype(dtype).newbyteorder("<"))
    stream = BytesIO()
    np.save(stream, empty, allow_pickle=False)
    return stream.getvalue()[: -empty.nbytes]


def encode(sample: Sample, card: DatasetCard, dtype: DType, where: str) -> Encoded:
    """The sample as it will lie on disk.

    Raises:
        UserError: Its image, targets or meta are not what the card and :class:`Sample` promise; starts with ``where``.
    """
    where = f"{where}, sample {sample.name!r}"
    targets = {name: _target(name, value, card.targets, where) for name, value in sorted(sample.targets.items())}
    meta = {name: _plain(value, f"{where}: meta {name!r}") for name, value in sorted(sample.meta.items())}
    if meta.setdefault("name", sample.name) != sample.name:
        raise UserError(f"{where}: meta 'name' is kept for the sample's own name; call it something else")
    return Encoded(sample.name, _image(sample.image, image_shape(card), dtype, where), targets, meta)


def members(key: str, sample: Encoded, npy: bytes) -> tuple[bytes, int]:
    """The members of a tar for one sample, and how far into them its pixels start; ``npy`` is :func:`npy_header`."""
    data = npy + sample.image.tobytes()
    parts = (
        member(f"{key}.image.npy", data),
        member(f"{key}.targets.json", _json(sample.targets)),
        member(f"{key}.meta.json", _json(sample.meta)),
    )
    return b"".join(parts), BLOCK + len(npy)


def expected_bytes(card: DatasetCard, dtype: DType) -> int:
    """About how much of a tar one sample takes: pixels, three headers, a block for each JSON, the rest padding."""
    return prod(image_shape(card)) * np.dtype(dtype).itemsize + 6 * BLOCK


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def _image(image: Any, shape: tuple[int, ...], dtype: DType, where: str) -> NDArray[np.floating]:
    if not isinstance(image, np.ndarray) or image.dtype != np.float32 or image.shape != shape:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f"{where}: the image is {found}; the card promises float32 {shape}")
    low, high = image.min(), image.max()  # NaN and infinity come through
    if not np.isfinite(low) or not np.isfinite(high):
        raise UserError(f"{where}: the image has NaN or infinite pixels; mend or leave out the image")
    if low == high:
        raise UserError(f"{where}: every pixel of the image is {low:g}; leave the image out")
    largest = np.finfo(dtype).max
    if max(-low, high) > largest:
        raise UserError(f"{where}: pixels reach {max(-low, high):g}, beyond float16; keep float32 or rescale")
    return np.ascontiguousarray(image, np.dtype(dtype).newbyteorder("<"))


def _target(name: str, value: Any, targets: Mapping[str, Target], where: str) -> int | float:
    where = f"{where}: target {name!r}"
    if name not in targets:
        raise UserError(f"{where} is not on the card, which has: {', '.join(targets) or 'none'}")
    number, classes = _plain(value, where), targets[name].classes
    if isinstance(number, str):
        raise UserError(f"{where} is {number!r}; write a number")
    if classes and (not isinstance(number, int) or not 0 <= number < len(classes)):
        raise UserError(f"{where} is {number!r}; a class is an index from 0 to {len(classes) - 1}")
    return number if classes else float(number)


def _plain(value: Any, where: str) -> int | float | str:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, int | float | str):
        raise UserError(f"{where} is {plain!r}; write a number or a string")
    if isinstance(plain, float) and not isfinite(plain):
        raise UserError(f"{where} is {plain}; leave out what is not known")
    return plain
