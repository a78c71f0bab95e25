"""Every image is looked at once before any is written: what shape they have, and which cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from attrs import field, frozen

from deeplense_registry import ImageShape, UserError

from .images import LeftOut, Picture
from .splits import Rows

NAMED = 3
"""How many images are named in a report, of each reason to leave one out."""


@frozen(kw_only=True)
class Census:
    """What all images of a survey have in common, and which are left out.

    Attributes:
        shape: Of every image.
        counts: Images in each split, without those left out.
        scales: The smallest, the median and the largest pixel scale, in arcsec.
        report: A sentence about the images left out; empty where none is.
    """

    shape: ImageShape
    counts: Mapping[str, int]
    scales: tuple[float, float, float] = field(converter=tuple)
    report: str


def take(
    images: Iterable[Picture | LeftOut],
    splits: Mapping[str, Rows],
    ids: Sequence[str],
    scale: Callable[[Picture], float],
) -> Census:
    """Look through ``images``; ``scale`` gives their pixel scales.

    Raises:
        UserError: An image has another shape than the first, or a split has no image left.
    """
    first: Picture | None = None
    rows: list[int] = []
    scales: list[float] = []
    left_out: dict[str, list[str]] = {}
    for image in images:
        if isinstance(image, LeftOut):
            left_out.setdefault(image.reason, []).append(ids[image.row])
            continue
        first = first or image
        _compare(image, first, ids)
        rows.append(image.row)
        scales.append(scale(image))
    report = _report(left_out, len(rows))
    counts = {split: int(np.isin(own, rows).sum()) for split, own in splits.items()}
    if first is None or min(counts.values()) == 0:
        empty = min(counts, key=lambda split: counts[split])
        raise UserError(f"split {empty!r} has no image that can be used: {report}; mend the images, or the splits")
    low, middle, high = np.quantile(scales, (0.0, 0.5, 1.0)).tolist()
    return Census(shape=ImageShape(*first.pixels.shape), counts=counts, scales=(low, middle, high), report=report)


def _compare(image: Picture, first: Picture, ids: Sequence[str]) -> None:
    if image.pixels.shape != first.pixels.shape:
        here, there = (" x ".join(map(str, one.pixels.shape[1:])) for one in (image, first))
        smallest = min(image.pixels.shape[1:] + first.pixels.shape[1:])
        raise UserError(
            f"{image.file}: image {ids[image.row]} has {here} pixels, {first.file} has {there}; size = {smallest} "
            "cuts both alike from their centres, or leave it out"
        )


def _report(left_out: Mapping[str, Sequence[str]], used: int) -> str:
    """How many images are left out and why, with the first names of each reason."""
    if not left_out:
        return ""
    total = sum(map(len, left_out.values()))
    parts = []
    for reason, names in sorted(left_out.items()):
        more = ", ..." if len(names) > NAMED else ""
        parts.append(f"{len(names)} {reason} ({', '.join(names[:NAMED])}{more})")
    return f"{total} of {total + used} images are left out: {'; '.join(parts)}"
