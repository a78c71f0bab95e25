"""What a folder of shards holds, in numbers: the data card."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..components import Target
from ..evaluation import kept_images
from ..shards import ShardSet
from ..spec import SkewTable


def data_card(shards: ShardSet, skew: SkewTable | None = None) -> dict[str, Any]:
    """The card of shards as plain dictionaries, lists, numbers and strings.

    Args:
        shards: All of them; a skew is told beside, not applied.
        skew: ``[skew]`` of the spec that asks.

    Returns:
        ``name``, ``folder``, ``image`` (shape, type, partners, pixel scale in arcsec), ``splits`` (images), ``targets``
        (see :func:`about_target`), ``statistics`` (mean, std, min and max of the training pixels of each band),
        ``skew``, ``licence``, ``citation``, ``about``, ``digest``.

    Raises:
        UserError: The skew does not suit the targets.
    """
    card, statistics = shards.card, shards.statistics
    columns = zip(statistics.mean, statistics.std, statistics.min, statistics.max, strict=True)
    bands = {
        band: dict(zip(("mean", "std", "min", "max"), row, strict=True))
        for band, row in zip(card.bands, columns, strict=True)
    }
    return {
        "name": card.name,
        "folder": str(shards.folder),
        "image": {
            "shape": list(shards.manifest.image_shape),
            "dtype": shards.manifest.dtype,
            "partners": card.partners,
            "pixel_scale": card.pixel_scale,
        },
        "splits": dict(card.splits),
        "targets": {name: about_target(shards, name) for name in card.targets},
        "statistics": {"split": statistics.split, "bands": bands},
        "skew": None if skew is None else _about_skew(shards, skew),
        "licence": card.licence,
        "citation": card.citation,
        "about": card.about,
        "digest": shards.manifest.digest,
    }


def about_target(shards: ShardSet, name: str) -> dict[str, Any]:
    """Kind, unit and description of a target, and for each split ``known`` (images that have it) and their values.

    Those are ``counts`` by class, or ``min``, ``median`` and ``max`` in the target's unit (``None`` where no image has
    it).
    """
    target = shards.card.targets[name]
    splits = {split: _values(shards.targets(split, name), target) for split in shards.card.splits}
    return {"kind": target.kind, "unit": target.unit, "about": target.about, "splits": splits}


def _about_skew(shards: ShardSet, skew: SkewTable) -> dict[str, Any]:
    kept = kept_images(skew, shards)
    values = _values(shards.targets("train", skew.target)[kept], shards.card.targets[skew.target])
    return {"target": skew.target, "on": skew.on, "images": len(kept), **values}


def _values(values: NDArray[Any], target: Target) -> dict[str, Any]:
    if target.classes:
        counts = {label: int((values == k).sum()) for k, label in enumerate(target.classes)}
        return {"known": sum(counts.values()), "counts": counts}
    known = values[np.isfinite(values)]
    if not len(known):
        return {"known": 0, "min": None, "median": None, "max": None}
    low, middle, high = float(known.min()), float(np.median(known)), float(known.max())
    return {"known": len(known), "min": low, "median": middle, "max": high}
