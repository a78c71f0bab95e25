"""The simulator as a data set: every sample a function of (seed, split, index)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deeplense_registry import Dataset, DatasetCard, Sample, UserError
from deeplense_registry.components import derive_seed

from .about import about
from .draws import Scene, Stream, draw_scene, resized
from .instrument import INSTRUMENTS, blur
from .light import colours
from .noise import Observed, add_gaussian_noise, observe
from .options import LensesOptions
from .physics import RayTracer
from .recipes import CLASSES, RECIPES

BATCH_PIXELS = 2**18
"""Pixels traced at once: 64 images of 64 x 64, a megabyte for each intermediate result."""

Flux = NDArray[np.float32]
Dial = float | tuple[float, float]
"""A number, or two between which it is drawn."""


class LensSimulator(Dataset):
    """Simulated lenses.

    Sample ``index`` of a split is of class ``index mod 3``, and comes at a place given by a permutation that depends
    on the seed, the split and its number of images. Its parameters and its noise come from generators of their own,
    seeded by (seed, split, index): it is the same image in a larger split, and the same lens under other noise.
    """

    options: LensesOptions

    def __init__(self, options: LensesOptions) -> None:
        """Prepare to simulate; images are made as they are asked for."""
        super().__init__(options)
        self._recipe = RECIPES[options.recipe]
        self._instrument = INSTRUMENTS[options.recipe]
        self._pixel_scale = self._instrument.field / options.size
        self._psf_sigma = self._instrument.psf_sigma(self._pixel_scale)
        self._tracer = RayTracer(options.size, self._pixel_scale)
        self._unit = np.float32(self._recipe.source.central_brightness * self._pixel_scale**2)

    def card(self) -> DatasetCard:
        """What the images are."""
        facts = self.options.facts()
        return DatasetCard(
            name=f"lenses/{self.options.recipe}",
            shape=facts.shape,
            bands=self.options.bands,
            pixel_scale=self._pixel_scale,
            targets=facts.targets,
            splits=facts.images,
            partners=self.options.partners,
            licence="CC0-1.0 (simulated; contains no published data)",
            citation="Alexander et al. 2020, ApJ 893, 15 (arXiv:1909.07346)",
            about=about(self.options),
        )

    def samples(self, split: str, part: int, parts: int) -> Iterator[Sample]:
        """Part ``part`` of ``parts`` of a split; the same samples whatever ``parts``.

        Raises:
            UserError: There is no such split.
        """
        order = self._order(split)
        end = len(order) * (part + 1) // parts
        batch = max(1, BATCH_PIXELS // self.options.size**2)
        for start in range(len(order) * part // parts, end, batch):
            yield from self._batch(split, order[start : min(start + batch, end)])

    def scene(self, split: str, index: int) -> Scene:
        """The lens and the sources of sample ``index`` of ``split``."""
        options, stream = self.options, self._stream(split, index)
        scene = draw_scene(
            self._recipe,
            index % len(CLASSES),
            options.free,
            stream,
            partners=options.partners,
            light=options.lens_light,
            substructure_scale=options.substructure_scale,
        )
        return resized(scene, _drawn(options.shifted_source_size, stream("resized"))) if split == "shifted" else scene

    def lensed(self, scenes: Sequence[Scene]) -> Flux:
        """Sources of B scenes (B, P, C, H, W) after the PSF and before noise, in counts per second and pixel."""
        rays = self._tracer.rays([scene.lens for scene in scenes])
        partners = []
        for sources in zip(*(scene.sources for scene in scenes), strict=True):
            images = self._blurred(self._tracer.lensed([source.profile for source in sources], rays))
            partners.append(self._coloured(images, [source.slope for source in sources]))
        return np.stack(partners, axis=1)

    def light(self, scenes: Sequence[Scene]) -> Flux | None:
        """Light (B, 1, C, H, W) of the lenses themselves, as :meth:`lensed`; ``None`` where they are dark."""
        lights = [scene.lens.light for scene in scenes if scene.lens.light]
        if not lights:
            return None
        images = self._blurred(self._tracer.unlensed([light.profile for light in lights]))
        return self._coloured(images, [light.slope for light in lights])[:, None]

    def _blurred(self, images: Tensor) -> Tensor:
        return blur(images, self._psf_sigma, self._instrument.psf_truncation)

    def _coloured(self, images: Tensor, slopes: Sequence[float]) -> Flux:
        """(B, C, H, W) of (B, H, W)."""
        factors = torch.tensor([colours(slope, self.options.bands) for slope in slopes])  # (B, C)
        coloured: Flux = (images[:, None] * factors[..., None, None]).numpy()
        return coloured

    def _order(self, split: str) -> list[int]:
        images = self.options.facts().images
        if split not in images:
            raise UserError(f"lenses: there is no split {split!r}; the splits are {', '.join(images)}")
        rng = np.random.default_rng(derive_seed(self.options.seed, split, "order"))
        order: list[int] = rng.permutation(images[split]).tolist()
        return order

    def _batch(self, split: str, indices: Sequence[int]) -> Iterator[Sample]:
        scenes = [self.scene(split, index) for index in indices]
        images, light = self.lensed(scenes), self.light(scenes)
        peaks = images.max(axis=(1, 2, 3, 4))
        if light is not None:
            images += light
        for index, scene, flux, peak in zip(indices, scenes, images, peaks, strict=True):
            snr = self.options.shifted_peak_snr if split == "shifted" else self.options.peak_snr
            image, observed = self._observe(flux, peak, snr, self._stream(split, index))
            yield Sample(
                name=f"{split}-{index:06d}",
                image=image if self.options.partners > 1 else image[0],
                targets=scene.targets(),
                meta={**scene.meta(), "psf_sigma": self._psf_sigma, **observed},
            )

    def _observe(self, flux: Flux, peak: np.float32, peak_snr: Dial, stream: Stream) -> Observed:
        options, rng = self.options, stream("noise")
        if options.noise != "gaussian":
            as_published = options.noise == "as-published"
            return observe(flux, self._instrument, self._pixel_scale, rng, as_published=as_published)
        snr = _drawn(peak_snr, stream("peak_snr"))
        image, drawn = add_gaussian_noise(flux / self._unit, float(peak / self._unit), snr, rng)
        return image, {**drawn, "peak_snr": snr}

    def _stream(self, split: str, index: int) -> Stream:
        return lambda *purpose: np.random.default_rng(derive_seed(self.options.seed, split, index, *purpose))


def _drawn(dial: Dial, rng: np.random.Generator) -> float:
    """The number itself, or one between two, uniform in the logarithm."""
    if isinstance(dial, tuple):
        return float(np.exp(rng.uniform(log(dial[0]), log(dial[1]))))
    return dial
