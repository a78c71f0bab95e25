"""Light profiles and colours: pure numbers, nothing is evaluated on a grid here."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, gamma, pi

import attrs
from attrs import frozen

GREY = "grey"
WAVELENGTHS = {GREY: 620.0, "u": 370.0, "g": 480.0, "r": 620.0, "i": 750.0, "z": 870.0, "y": 970.0}
"""Nominal wavelengths of the bands in nm; a grey band has no filter, and what it shows no colour."""
REFERENCE = WAVELENGTHS["r"]


@frozen(kw_only=True)
class Sersic:
    """An elliptical Sersic profile, I(r) = brightness exp(-b ((r / radius)^(1/index) - 1)).

    Attributes:
        centre: (x, y) in arcsec.
        radius: Half-light radius R_e in arcsec, product-averaged over its axes.
        index: Sersic index n.
        ellipticity: (e1, e2) = (1 - q) / (1 + q) (cos 2 phi, sin 2 phi), q the axis ratio, phi the position angle.
        brightness: Surface brightness at R_e, in counts per second and square arcsec.
    """

    centre: tuple[float, float] = (0.0, 0.0)
    radius: float
    index: float
    ellipticity: tuple[float, float]
    brightness: float = 1.0

    @property
    def b(self) -> float:
        """b_n, in lenstronomy's approximation."""
        return 1.9992 * self.index - 0.3271

    @property
    def central_brightness(self) -> float:
        """Surface brightness at the centre: lensing conserves it, so no lensed pixel exceeds it."""
        return self.brightness * exp(self.b)

    @property
    def flux(self) -> float:
        """The whole profile's, in counts per second (Graham & Driver 2005, astro-ph/0503176, eq. 2)."""
        n = self.index
        flux: float = self.central_brightness * self.radius**2 * 2 * pi * n * gamma(2 * n) / self.b ** (2 * n)
        return flux

    def of_flux(self, flux: float) -> Sersic:
        """The same profile with this flux."""
        return attrs.evolve(self, brightness=self.brightness * flux / self.flux)


def magnitude_flux(magnitude: float, zero_point: float) -> float:
    """Counts per second of a magnitude."""
    return float(10.0 ** (-0.4 * (magnitude - zero_point)))


def colours(slope: float, bands: Sequence[str]) -> list[float]:
    """Flux in each band over that in r, of a power law f_nu ~ wavelength^slope; 1 in a grey band."""
    return [(WAVELENGTHS[band] / REFERENCE) ** slope for band in bands]
