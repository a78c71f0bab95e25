"""What a telescope makes of an image: its PSF and its noise.

The constants are frozen here, since presets of other packages change from release to release.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor


@frozen(kw_only=True)
class Instrument:
    """How a recipe observes, as published.

    Attributes:
        size: Pixels along a side.
        pixel_scale: Arcsec per pixel.
        psf_fwhm: Full width at half maximum of the Gaussian PSF, in arcsec.
        psf_truncation: The PSF ends after so many sigma.
        background: Rms of the background in a pixel of ``pixel_scale``, in counts per second.
        log10_exposures: Range of the uniform draw of log10(exposure time / s).
    """

    size: int
    pixel_scale: float
    psf_fwhm: float
    psf_truncation: float
    background: float
    log10_exposures: tuple[float, float]

    @property
    def field(self) -> float:
        """The side of the field of view, in arcsec."""
        return self.size * self.pixel_scale

    def psf_sigma(self, pixel_scale: float) -> float:
        """Sigma of the PSF in pixels of ``pixel_scale`` arcsec."""
        return self.psf_fwhm / 2.35482 / pixel_scale


INSTRUMENTS: Mapping[str, Instrument] = {
    "model-1": Instrument(  # DeepLenseSim, deeplense/lens.py, simple_sim
        size=150,
        pixel_scale=0.05,
        psf_fwhm=0.087,
        psf_truncation=3.0,
        background=0.01,
        log10_exposures=(3.0, 3.5),
    ),
}


def blur(images: Tensor, sigma: float, truncation: float) -> Tensor:
    """Convolve images (B, H, W) with a Gaussian of ``sigma`` pixels that ends after ``truncation`` sigma.

    The kernel is sampled at pixel centres and normalised, the edge pixels are repeated outwards, and rows and columns
    are taken in turn: ``scipy.ndimage.gaussian_filter`` with mode "nearest", which is lenstronomy's Gaussian PSF. Sums
    of shifted images rather than a library's convolution, whose rounding may depend on the batch.
    """
    radius = int(truncation * sigma + 0.5)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = torch.softmax(-0.5 * (offset / sigma) ** 2, dim=0).tolist()
    for dim in (1, 2):
        width = images.shape[dim]
        padded = F.pad(images, (radius, radius, 0, 0) if dim == 2 else (0, 0, radius, radius), mode="replicate")
        images = torch.zeros_like(images)
        for start, weight in enumerate(weights):
            images += weight * padded.narrow(dim, start, width)
    return images


def add_gaussian_noise(
    image: NDArray[np.float32], peak_snr: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """White noise whose rms is the image's brightest pixel over ``peak_snr``; also the rms, as ``noise``."""
    rms = float(image.max()) / peak_snr
    return image + np.float32(rms) * rng.standard_normal(image.shape, np.float32), {"noise": rms}


def expose(
    flux: NDArray[np.float32], instrument: Instrument, pixel_scale: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Counts as DeepLenseSim makes them of ``flux`` (counts per second and pixel).

    A quirk: shot noise comes twice, as a Gaussian of variance flux / exposure and as a Poisson draw of the sum,
    which also cuts off the negative half of the background. At other pixel scales than the published one the rms of the
    background is proportional to the pixel's side: the same sky, binned.

    Returns:
        The counts (H, W), and ``exposure`` (s) and ``noise`` (rms of the Gaussian background, in counts).
    """
    exposure = float(10.0 ** rng.uniform(*instrument.log10_exposures))
    background = instrument.background * pixel_scale / instrument.pixel_scale
    shot = np.sqrt(flux / exposure) * rng.standard_normal(flux.shape)
    rate = flux + shot + background * rng.standard_normal(flux.shape)
    counts = rng.poisson(np.maximum(exposure * rate, 0.0)).astype(np.float32)
    return counts, {"noise": exposure * background, "exposure": exposure}
