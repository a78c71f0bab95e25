"""How far each augmentation moves an embedding, beside the distance between images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray

from deeplense_registry import Bench, Evaluator, Measurement, UserError
from deeplense_registry.evaluation import embed
from deeplense_registry.spec import ViewsTable

from .curves import distance_curves
from .options import InvarianceOptions
from .protocol import CHUNK, Array, check_split, measured, some

AXES = {
    "rotate": "rotation by any angle",
    "shift": "largest shift (pixels)",
    "zoom": "largest magnification (factor)",
    "noise": "noise level (deviations of the pixels)",
    "psf": "PSF width (Gaussian sigma, pixels)",
    "mask": "masked fraction of the image",
}
"""The augmentations, and what their strengths are."""
_LARGEST = {"zoom": 10.0, "noise": 100.0, "psf": 20.0, "mask": 0.9}  # what [views] takes


class Invariance(Evaluator):
    """One view of each image, under one augmentation alone, is embedded beside the image as it is.

    ``distance_NAME`` is the mean Euclidean distance between the two, over the mean distance between different images,
    at the strength the options give: 0 for an encoder that does not see the augmentation, 1 where it moves an image as
    far as another image is. ``distance_views`` is that of one view under the spec's own ``[views]``, all at once. The
    strengths of shift and zoom are the largest of random draws; noise, PSF and mask are of the strength itself (of
    noise and PSF each image gets what it lacks). A backbone whose views keep the centre (``centred_crops``) is not
    shifted.

    Intervals are those of other images.
    """

    options: InvarianceOptions

    def evaluate(self, bench: Bench) -> Iterator[Measurement]:
        """Measure each augmentation, and show the distance against the strength.

        Raises:
            UserError: The split is unknown or has one image, or all images have the same embedding.
        """
        check_split(bench, self.options.split, "invariance")
        everyone = bench.embeddings(self.options.split)
        index = some(len(everyone), self.options.most, bench.rng("invariance", self.options.split))
        still = everyone[index]
        apart = _apart(still)
        yield self._measured(bench, "views", self._moved(bench, index, still, "views", None), apart)
        curves: dict[str, list[tuple[float, float]]] = {}
        for name, strength in self._strengths().items():
            moved = self._moved(bench, index, still, name, table_of(name, strength))
            yield self._measured(bench, name, moved, apart)
            curves[name] = [(strength, float(moved.mean() / apart.mean()))]
            for other in self._others(name, strength):
                moved = self._moved(bench, index, still, name, table_of(name, other))
                curves[name].append((other, float(moved.mean() / apart.mean())))
            curves[name].sort()
        if curves:
            bench.picture("invariance", distance_curves(curves, AXES, bench.encoder))

    def _strengths(self) -> Mapping[str, float]:
        """The augmentations that are on; of rotation the strength is 1."""
        given = {name: float(getattr(self.options, name)) for name in AXES}
        return {name: strength for name, strength in given.items() if strength > (name == "zoom")}

    def _others(self, name: str, strength: float) -> list[float]:
        """The further points of a curve."""
        if name == "rotate":
            return []
        points = [strength**part if name == "zoom" else strength * part for part in self.options.curve if part != 1.0]
        return [point for point in points if point <= _LARGEST.get(name, inf)]

    def _moved(
        self, bench: Bench, index: Array, still: Array, name: str, table: ViewsTable | None
    ) -> NDArray[np.float64]:
        """(n,) how far each view is from its image. One seed a name: along a curve the draws are the same."""
        seed = int(bench.rng("invariance", name).integers(2**31))
        views = bench.views(self.options.split, index, CHUNK, seed=seed, table=table)
        change = embed(bench.fresh_encoder(), views, len(index)).astype(np.float64) - still
        distances: NDArray[np.float64] = np.linalg.norm(change, axis=1)
        return distances

    def _measured(self, bench: Bench, name: str, moved: Array, apart: Array) -> Measurement:
        rng = bench.rng("invariance", "interval")
        split = self.options.split
        return measured(f"distance_{name}", _ratio, apart, [moved], rng, bounds=(0.0, inf), split=split)


def table_of(name: str, strength: float) -> ViewsTable:
    """``[views]`` with one augmentation alone."""
    still = {"rotate": False, "flip": False, "shift": 0.0, "zoom": (1.0, 1.0), "noise": (0.0, 0.0)}
    alone = {
        "rotate": True,
        "shift": strength,
        "zoom": (1.0 / strength, strength),
        "noise": (strength, strength),
        "psf": (strength, strength),
        "mask": (strength, strength),
    }
    return ViewsTable(**{**still, name: alone[name]})  # type: ignore[arg-type]


def _apart(rows: Array) -> NDArray[np.float64]:
    """(n,) the mean distance of each image to the others.

    Raises:
        UserError: There are no others, or all lie in one point.
    """
    if len(rows) < 2:
        raise UserError("[evaluate.invariance]: the split has one image, and the distance between images needs two")
    points = torch.from_numpy(rows.astype(np.float64))
    sums = torch.cat([torch.cdist(block, points).sum(1) for block in torch.split(points, 256)])
    if not sums.sum() > 0:
        raise UserError(
            "[evaluate.invariance]: every image has the same embedding (the encoder collapsed), so there is no "
            "distance between images to compare with; train it otherwise, or leave the table out"
        )
    distances: NDArray[np.float64] = (sums / (len(rows) - 1)).numpy()
    return distances


def _ratio(apart: Array, moved: Array) -> float:
    return float(moved.mean() / apart.mean())
