"""From noiseless flux to what is saved.

Each function takes flux, in counts per second and pixel, of any shape, and gives the image, float32 of that shape, with
``noise``, the rms of its background in the image's unit, and what else was drawn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .instrument import Detector, Instrument, Sky

Image = NDArray[np.float32]
Observed = tuple[Image, dict[str, float]]


def add_gaussian_noise(image: Image, peak: float, peak_snr: float, rng: np.random.Generator) -> Observed:
    """White noise whose rms is ``peak`` over ``peak_snr``."""
    rms = peak / peak_snr
    return image + np.float32(rms) * rng.standard_normal(image.shape, np.float32), {"noise": rms}


def observe(
    flux: Image, instrument: Instrument, pixel_scale: float, rng: np.random.Generator, *, as_published: bool
) -> Observed:
    """The instrument's own noise: as it was published, or as it was intended."""
    noise = instrument.noise
    if isinstance(noise, Sky):
        background = noise.background * pixel_scale / instrument.pixel_scale
        return expose(flux, noise, background, rng, twice=as_published)
    return double(flux) if as_published else read_out(flux, noise, pixel_scale, rng)


def expose(flux: Image, sky: Sky, background: float, rng: np.random.Generator, *, twice: bool) -> Observed:
    """Counts of one exposure under a background of rms ``background``, as in DeepLenseSim's ``simple_sim``.

    A quirk of the published images (``twice``): shot noise comes as a Gaussian of variance flux / exposure and then as
    a Poisson draw of the sum, which also cuts off the negative half of the background. At other pixel scales than the
    published one the background's rms must be proportional to the pixel's side: the same sky, binned.
    """
    exposure = float(10.0 ** rng.uniform(*sky.log10_exposures))
    shot = np.sqrt(flux / exposure) * rng.standard_normal(flux.shape)
    counts = exposure * (flux + shot + background * rng.standard_normal(flux.shape))
    if twice:
        counts = rng.poisson(np.maximum(counts, 0.0))
    return counts.astype(np.float32), {"noise": exposure * background, "exposure": exposure}


def read_out(flux: Image, detector: Detector, pixel_scale: float, rng: np.random.Generator) -> Observed:
    """Electrons per second, with the noise of sky, read-out and photons that lenstronomy's ``noise_for_model`` gives.

    All Gaussian; that of the photons has variance flux / exposure.
    """
    background = detector.background(pixel_scale)
    rms = np.sqrt(np.float32(background**2) + flux / np.float32(detector.total_exposure))
    image = flux + rms * rng.standard_normal(flux.shape, np.float32)
    return image, {"noise": background, "exposure": detector.total_exposure}


def double(flux: Image) -> Observed:
    """A quirk of Models II and III: noise is computed, but twice the noiseless image is saved."""
    return flux + flux, {"noise": 0.0}
