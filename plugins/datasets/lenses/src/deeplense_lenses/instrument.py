"""The telescopes: field, PSF and what their noise is made of.

The constants are frozen here, since presets of other packages change from release to release (lenstronomy's Euclid went
from a zero point of 24.0 to 25.72 in 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import torch
import torch.nn.functional as F
from attrs import frozen
from torch import Tensor

from .light import magnitude_flux


@frozen(kw_only=True)
class Sky:
    """A background and nothing else.

    Attributes:
        background: Its rms in a pixel of the instrument's scale, in counts per second.
        log10_exposures: Range of the uniform draw of log10(exposure time / s).
    """

    background: float
    log10_exposures: tuple[float, float]


@frozen(kw_only=True)
class Detector:
    """A CCD under a sky.

    Attributes:
        read_noise: Rms per exposure, in electrons.
        gain: Electrons per ADU; images are in electrons, so it changes nothing.
        exposure: Of one exposure, in seconds.
        exposures: How many are added.
        sky: Magnitudes per square arcsec.
        zero_point: Magnitude of one electron per second.
    """

    read_noise: float
    gain: float
    exposure: float
    exposures: int
    sky: float
    zero_point: float

    @property
    def total_exposure(self) -> float:
        """In seconds."""
        return self.exposure * self.exposures

    def background(self, pixel_scale: float) -> float:
        """Rms of sky and read-out in a pixel, in electrons per second."""
        sky = magnitude_flux(self.sky, self.zero_point) * pixel_scale**2 * self.total_exposure
        return sqrt(self.exposures * self.read_noise**2 + sky) / self.total_exposure


@frozen(kw_only=True)
class Instrument:
    """How a recipe observes.

    Attributes:
        origin: Where the numbers are from.
        size: Pixels along a side, as published.
        pixel_scale: Arcsec per pixel, as published.
        psf_fwhm: Full width at half maximum of the Gaussian PSF, in arcsec.
        psf_truncation: The PSF ends after so many sigma.
        noise: What its noise comes from.
    """

    origin: str
    size: int
    pixel_scale: float
    psf_fwhm: float
    psf_truncation: float
    noise: Sky | Detector

    @property
    def field(self) -> float:
        """The side of the field of view, in arcsec."""
        return self.size * self.pixel_scale

    def psf_sigma(self, pixel_scale: float) -> float:
        """Sigma of the PSF in pixels of ``pixel_scale`` arcsec."""
        return self.psf_fwhm / 2.35482 / pixel_scale


_EUCLID = Instrument(
    origin="Euclid VIS of lenstronomy 1.9.2 (Gaussian PSF, six years)",
    size=64,
    pixel_scale=0.101,
    psf_fwhm=0.16,
    psf_truncation=5.0,
    noise=Detector(read_noise=4.2, gain=3.1, exposure=565.0, exposures=4, sky=22.35, zero_point=24.0),
)

INSTRUMENTS: Mapping[str, Instrument] = {
    "model-1": Instrument(
        origin="simple_sim of DeepLenseSim (deeplense/lens.py)",
        size=150,
        pixel_scale=0.05,
        psf_fwhm=0.087,
        psf_truncation=3.0,
        noise=Sky(background=0.01, log10_exposures=(3.0, 3.5)),
    ),
    "model-2": _EUCLID,
    "model-3": Instrument(
        origin="HST WFC3_F160W of lenstronomy 1.9.2 (Gaussian PSF)",
        size=64,
        pixel_scale=0.08,
        psf_fwhm=0.08,
        psf_truncation=5.0,
        noise=Detector(read_noise=4.0, gain=2.5, exposure=5400.0, exposures=1, sky=22.3, zero_point=25.96),
    ),
    "varied": _EUCLID,
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
