"""How flux becomes the encoder's input: the last step of a view, and the only one of an image that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from attrs import field, frozen, validators
from torch import Tensor

from ..components import UserError
from ..spec.tables import FluxTable


class Statistics(Protocol):
    """Anything with the mean and the standard deviation of the training images' pixels, one number a band."""

    @property
    def mean(self) -> Sequence[float]:
        """Mean flux of each band."""

    @property
    def std(self) -> Sequence[float]:
        """Standard deviation of each band, in flux units."""


@frozen
class BandStatistics:
    """Mean and standard deviation of the training images' pixels in each band, in flux units.

    Raises:
        ValueError: The two differ in length, or there is no band.
    """

    mean: tuple[float, ...] = field(validator=validators.min_len(1))
    std: tuple[float, ...]

    def __attrs_post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"statistics: {len(self.mean)} means for {len(self.std)} standard deviations")


class Scaling:
    """From flux to the encoder's input; the same function in training and afterwards.

    With z = (flux - mean) / std per band: ``"zscore"`` is z; ``"asinh"`` is s asinh(z / s) with the table's softening
    s, which has slope 1 at z = 0 and keeps faint and bright pixels in range; ``"minmax"`` maps each image, all bands
    together, to [0, 1] (a constant image to 0); ``"none"`` changes nothing.

    Attributes:
        table: Which scaling, and the softening of ``"asinh"``.
        statistics: What it refers to.

    Raises:
        UserError: A band does not vary, so that it cannot be divided by its standard deviation.
    """

    def __init__(self, table: FluxTable, statistics: Statistics) -> None:
        self.table = table
        self.statistics = BandStatistics(tuple(statistics.mean), tuple(statistics.std))
        flat = [str(band) for band, std in enumerate(self.statistics.std) if not std > 0]
        if flat and table.scaling in ("zscore", "asinh"):
            raise UserError(
                f'[flux] scaling = "{table.scaling}" divides by the standard deviation of the training images, which '
                f'is not positive in band {", ".join(flat)} (from 0): leave it out, or set scaling = "none"'
            )

    def __call__(self, images: Tensor) -> Tensor:
        """Scale ``images`` (B, C, H, W) or (B, P, C, H, W); the result has their shape.

        Raises:
            UserError: Another number of bands than the statistics have.
        """
        if images.shape[-3] != len(self.statistics.mean):
            raise UserError(
                f"flux scaling: images of {images.shape[-3]} bands, but it was made for {len(self.statistics.mean)}"
            )
        if self.table.scaling == "none":
            return images
        if self.table.scaling == "minmax":
            return minmax(images)
        standard = (images - self._band(self.statistics.mean, images)).div_(self._band(self.statistics.std, images))
        if self.table.scaling == "zscore":
            return standard
        return standard.div_(self.table.softening).asinh_().mul_(self.table.softening)

    def as_json(self) -> dict[str, Any]:
        """What the card of an encoder records; :meth:`from_json` restores it."""
        return {
            "scaling": self.table.scaling,
            "softening": self.table.softening,
            "mean": list(self.statistics.mean),
            "std": list(self.statistics.std),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Scaling:
        """The scaling that :meth:`as_json` described.

        Raises:
            UserError: The record lacks an entry, or holds one that is not of the kind.
        """
        try:
            table = FluxTable(scaling=record["scaling"], softening=float(record["softening"]))
            mean, std = (tuple(float(value) for value in record[key]) for key in ("mean", "std"))
            statistics = BandStatistics(mean, std)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the recorded flux scaling is damaged ({error!r}): {dict(record)}") from error
        if table.scaling not in ("zscore", "asinh", "minmax", "none"):
            raise UserError(f"the recorded flux scaling is {table.scaling!r}, which this version does not know")
        return cls(table, statistics)

    @staticmethod
    def _band(values: Sequence[float], images: Tensor) -> Tensor:
        return torch.tensor(values, dtype=images.dtype, device=images.device)[:, None, None]  # (C, 1, 1)


def minmax(images: Tensor) -> Tensor:
    """Each image (..., C, H, W), all bands together, to [0, 1]; a constant image to 0."""
    low, high = images.amin((-3, -2, -1), keepdim=True), images.amax((-3, -2, -1), keepdim=True)
    return (images - low) / torch.where(high > low, high - low, 1.0)
