"""Mean, deviation and range of pixels per band: by image, then by shard, merged in order so that bits never vary."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from ..components import UserError
from .manifest import Statistics

Bands = NDArray[np.float64]


@frozen(eq=False)
class Moments:
    """Of ``count`` pixels in each of C bands.

    Attributes:
        count: Pixels in a band.
        mean: (C,).
        squares: (C,), the sum of squared deviations from the mean.
        low, high: (C,), the smallest and the largest.
    """

    count: int
    mean: Bands
    squares: Bands
    low: Bands
    high: Bands

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of pixels (Chan, Golub & LeVeque 1979, eq. 1.5)."""
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * (other.count / count),
            self.squares + other.squares + apart**2 * (self.count * other.count / count),
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def pack(self) -> Bands:
        """(5, C), for an index."""
        return np.stack([np.full_like(self.mean, self.count), self.mean, self.squares, self.low, self.high])

    @classmethod
    def unpack(cls, packed: Bands) -> Moments:
        """The inverse of :meth:`pack`."""
        return cls(int(packed[0, 0]), *packed[1:])


def moments(image: NDArray[np.floating]) -> Moments:
    """Of one image ([P,] C, H, W)."""
    pixels = np.moveaxis(image.astype(np.float64), -3, 0).reshape(image.shape[-3], -1)  # (C, P * H * W)
    mean = pixels.mean(axis=1)
    squares = ((pixels - mean[:, None]) ** 2).sum(axis=1)
    return Moments(pixels.shape[1], mean, squares, pixels.min(axis=1), pixels.max(axis=1))


def merge(parts: Iterable[Moments], bands: int) -> Moments:
    """Of all parts, merged in their order."""
    none = np.zeros(bands)
    return reduce(Moments.__add__, parts, Moments(0, none, none, none, none))


def summarise(split: str, parts: Iterable[Moments], bands: tuple[str, ...]) -> Statistics:
    """The statistics of a split from those of its shards, in order.

    Raises:
        UserError: The split is empty, or a band has the same value everywhere.
    """
    total = merge(parts, len(bands))
    if not total.count:
        raise UserError(f"split {split!r} has no images; the source must give at least one")
    for band, squares in zip(bands, total.squares, strict=True):
        if squares == 0:
            raise UserError(f"band {band!r} has one value in every pixel of split {split!r}; leave the band out")
    std = np.sqrt(total.squares / total.count)
    columns = (tuple(column.tolist()) for column in (total.mean, std, total.low, total.high))
    mean, deviation, low, high = columns
    return Statistics(split=split, mean=mean, std=deviation, min=low, max=high)
