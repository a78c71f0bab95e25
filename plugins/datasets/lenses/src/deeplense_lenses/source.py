"""The simulator as a data set: every sample a function of (seed, split, index)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from deeplense_registry import Dataset, DatasetCard, Sample, UserError
from deeplense_registry.components import derive_seed

from .instrument import INSTRUMENTS, add_gaussian_noise, blur, expose
from .options import LensesOptions
from .physics import RayTracer
from .recipes import CLASSES, RECIPES, Lens, draw_lens

BATCH_PIXELS = 2**17
"""Pixels traced at once: 32 images of 64 x 64, whose intermediate results stay in a core's cache."""

ABOUT = """\
Galaxy-galaxy lenses as simulated by DeepLenseSim (Model I), traced anew: a singular isothermal ellipsoid with external
shear before a Sersic source, whose substructure is a vortex of axion dark matter (100 point masses on a line), 25 cold
dark matter subhaloes (point masses), or none. Pixels are sampled at their centres, then convolved with a Gaussian PSF.
One grey band: the published model has a brightness but no filter.
Kept as published: the Einstein radius of 1.2815 arcsec comes from luminosity distances (angular-diameter distances
would give 1.6645); subhalo masses follow dN/dm ~ m^-0.9 where m^-1.9 is described; there are exactly 25 subhaloes,
since the Poisson(25) number drawn is not used; they are uniform in radius, not in area; ellipticity and shear never
vary; vortices are centred.
"""
ABOUT_GAUSSIAN = """\
Flux in units of the brightness at the source's centre (times a pixel's area), which no noiseless pixel exceeds. White
Gaussian noise: its rms is that of the image's brightest noiseless pixel over {peak_snr:g}.
"""
ABOUT_PUBLISHED = """\
Counts, with the published noise: shot noise twice, and the negative half of the background cut off.
"""


class LensSimulator(Dataset):
    """Simulated lenses.

    Sample ``index`` of a split is of class ``index mod 3``, and comes at a place given by a permutation that depends
    on the seed, the split and its number of images. Its parameters come from one generator and its noise from another,
    both seeded by (seed, split, index): it is the same image in a larger split, and the same lens under other noise.
    """

    options: LensesOptions

    def __init__(self, options: LensesOptions) -> None:
        """Prepare to simulate; images are made as they are asked for."""
        super().__init__(options)
        self._recipe = RECIPES[options.recipe]
        self._instrument = INSTRUMENTS[options.recipe]
        self._pixel_scale = self._instrument.field / options.size
        self._psf_sigma = self._instrument.psf_sigma(self._pixel_scale)
        self._trace = RayTracer(self._recipe, options.size, self._pixel_scale)

    def card(self) -> DatasetCard:
        """What the images are."""
        facts = self.options.facts()
        noise = ABOUT_PUBLISHED if self.options.noise == "published" else ABOUT_GAUSSIAN
        return DatasetCard(
            name=f"lenses/{self.options.recipe}",
            shape=facts.shape,
            bands=("grey",),
            pixel_scale=self._pixel_scale,
            targets=facts.targets,
            splits=facts.images,
            licence="CC0-1.0 (simulated; contains no published data)",
            citation="Alexander et al. 2020, ApJ 893, 15 (arXiv:1909.07346)",
            about=(ABOUT + noise.format(peak_snr=self.options.peak_snr)).rstrip(),
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

    def noiseless(self, lenses: Sequence[Lens]) -> NDArray[np.float32]:
        """Images (B, H, W) of ``lenses`` after the PSF and before noise, in counts per second and pixel."""
        images: NDArray[np.float32] = blur(
            self._trace(lenses), self._psf_sigma, self._instrument.psf_truncation
        ).numpy()
        return images

    def lens(self, split: str, index: int) -> Lens:
        """The lens of sample ``index`` of ``split``."""
        rng = self._rng(split, index, "lens")
        return draw_lens(self._recipe, index % len(CLASSES), self.options.vary, rng)

    def _order(self, split: str) -> list[int]:
        images = self.options.facts().images
        if split not in images:
            raise UserError(f"lenses: there is no split {split!r}; the splits are {', '.join(images)}")
        rng = np.random.default_rng(derive_seed(self.options.seed, split, "order"))
        order: list[int] = rng.permutation(images[split]).tolist()
        return order

    def _batch(self, split: str, indices: Sequence[int]) -> Iterator[Sample]:
        lenses = [self.lens(split, index) for index in indices]
        for index, lens, flux in zip(indices, lenses, self.noiseless(lenses), strict=True):
            image, observed = self._observe(flux, self._rng(split, index, "noise"))
            yield Sample(
                name=f"{split}-{index:06d}",
                image=image[None],
                targets={"class": lens.label, "einstein_radius": lens.einstein_radius},
                meta={**_drawn(lens), "psf_sigma": self._psf_sigma, **observed},
            )

    def _observe(
        self, flux: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], dict[str, float]]:
        if self.options.noise == "published":
            return expose(flux, self._instrument, self._pixel_scale, rng)
        unit = self._recipe.central_brightness * self._pixel_scale**2
        return add_gaussian_noise(flux / np.float32(unit), self.options.peak_snr, rng)

    def _rng(self, split: str, index: int, purpose: str) -> np.random.Generator:
        return np.random.default_rng(derive_seed(self.options.seed, split, index, purpose))


def _drawn(lens: Lens) -> dict[str, float]:
    x, y = lens.source
    return {
        "source_x": x,
        "source_y": y,
        "einstein_radius": lens.einstein_radius,
        "substructures": len(lens.points),
        **lens.drawn,
    }
