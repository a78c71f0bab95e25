"""What is drawn for each lens: pure numpy, no ray is traced here.

The numbers are those of DeepLenseSim (github.com/mwt5345/DeepLenseSim, ``deeplense/lens.py`` and ``Model_I/``), which
made the images that the published DeepLense results rest on. Its quirks are kept for their sake; each is named where it
occurs. The physics behind the classes: Alexander et al. 2020 (arXiv:1909.07346).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import exp

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

CLASSES = ("axion", "cdm", "no_sub")
"""Alphabetical, the label order of the DeepLense literature."""

SUBHALOES = 25
"""A quirk: a Poisson(25) number is drawn there and not used, so there are 25 in every image."""
SUBHALO_MASSES = (1e6, 1e10)  # solar masses
SUBHALO_SLOPE = -0.9
"""dN/dm ~ m^slope. A quirk: -1.9 is described, but the distribution that is inverted is that of -0.9 (1 is added to a
slope that had 1 added already). The difference is large: a median of 2.8e8 solar masses instead of 2.2e6."""
SUBHALO_RADII = (0.25, 2.0)  # arcsec from the centre; uniform in radius, not in area

VORTEX_MASS = 3e10  # solar masses
VORTEX_POINTS = 100
LOG10_AXION_MASSES = (-24.0, -22.0)  # eV


@frozen(kw_only=True)
class Recipe:
    """What the lenses of a recipe have in common, and the ranges of what they have not.

    Ellipticities are (e1, e2) = (1 - q) / (1 + q) (cos 2 phi, sin 2 phi), q the axis ratio, phi the position angle.

    Attributes:
        einstein_radius: Of the main lens, a singular isothermal ellipsoid, in arcsec.
        einstein_radii: Range of the uniform draw where the Einstein radius is varied, in arcsec.
        ellipticity: Of the main lens.
        shear: (gamma1, gamma2) of the external shear.
        source_offset: The source's centre is uniform in a square of this half side, in arcsec.
        source_radius: Half-light radius R_e of the Sersic profile (product-averaged over its axes), in arcsec.
        source_index: Sersic index n.
        source_ellipticity: Of the source.
        source_brightness: Surface brightness at R_e, in counts per second and square arcsec.
    """

    einstein_radius: float
    einstein_radii: tuple[float, float]
    ellipticity: tuple[float, float]
    shear: tuple[float, float]
    source_offset: float
    source_radius: float
    source_index: float
    source_ellipticity: tuple[float, float]
    source_brightness: float

    @property
    def sersic_b(self) -> float:
        """b_n of the Sersic profile, in lenstronomy's approximation."""
        return 1.9992 * self.source_index - 0.3271

    @property
    def central_brightness(self) -> float:
        """Surface brightness at the source's centre: lensing conserves it, so no pixel exceeds it."""
        return self.source_brightness * exp(self.sersic_b)


EINSTEIN_RADIUS = 1.2814905676
"""Arcsec, of 1e12 solar masses at z = 0.5 before a source at z = 1 (flat, H0 = 70, Om0 = 0.3).

A quirk: DeepLenseSim takes luminosity distances, and their difference for that between lens and source.
Angular-diameter distances would give 1.6645 arcsec."""

RECIPES: Mapping[str, Recipe] = {
    "model-1": Recipe(
        einstein_radius=EINSTEIN_RADIUS,
        einstein_radii=(0.9, 1.6),
        ellipticity=(0.1, 0.0),
        shear=(0.05, 0.0),
        source_offset=0.35,
        source_radius=0.25,
        source_index=1.0,
        source_ellipticity=(-0.1, 0.1),
        source_brightness=20.0,
    ),
}


@frozen(kw_only=True, eq=False)
class Lens:
    """One lens as drawn.

    Attributes:
        label: Index of its class in :data:`CLASSES`.
        einstein_radius: Of the main lens, in arcsec.
        source: (x, y) of the source's centre, in arcsec from the lens's.
        points: (N, 3) point masses: x, y and Einstein radius, in arcsec.
        drawn: What else was drawn, by name, for ``Sample.meta``.
    """

    label: int
    einstein_radius: float
    source: tuple[float, float]
    points: NDArray[np.float64]
    drawn: Mapping[str, float] = field(factory=dict)


def draw_lens(recipe: Recipe, label: int, vary: Collection[str], rng: np.random.Generator) -> Lens:
    """A lens of class ``label``, with the parameters named in ``vary`` free.

    The Einstein radius is drawn even where it is not used, so that the same seed gives the same source and substructure
    with and without it.
    """
    x, y = rng.uniform(-recipe.source_offset, recipe.source_offset, 2).tolist()
    varied = float(rng.uniform(*recipe.einstein_radii))
    points, drawn = _SUBSTRUCTURE[CLASSES[label]](rng)
    return Lens(
        label=label,
        einstein_radius=varied if "einstein_radius" in vary else recipe.einstein_radius,
        source=(x, y),
        points=points,
        drawn=drawn,
    )


def point_einstein_radius(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Einstein radii in arcsec of point masses in solar masses, at the distances of :data:`EINSTEIN_RADIUS`."""
    return EINSTEIN_RADIUS * np.sqrt(mass / 1e12)


def _no_substructure(rng: np.random.Generator) -> tuple[NDArray[np.float64], dict[str, float]]:
    return np.empty((0, 3)), {"substructure_mass": 0.0}


def _subhaloes(rng: np.random.Generator) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Cold dark matter: point masses of a power-law mass function (its cumulative distribution inverted)."""
    power = SUBHALO_SLOPE + 1.0
    low, high = SUBHALO_MASSES[0] ** power, SUBHALO_MASSES[1] ** power
    mass = rng.uniform(low, high, SUBHALOES) ** (1.0 / power)
    radius = rng.uniform(*SUBHALO_RADII, SUBHALOES)
    angle = rng.uniform(0.0, 2.0 * np.pi, SUBHALOES)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), point_einstein_radius(mass)], axis=1)
    return points, {"substructure_mass": float(mass.sum())}


def _vortex(rng: np.random.Generator) -> tuple[NDArray[np.float64], dict[str, float]]:
    """Axion: a vortex through the centre, equal point masses on a line as long as two de Broglie wavelengths."""
    log10_mass = float(rng.uniform(*LOG10_AXION_MASSES))
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    length = 0.06 / (2.0 * 10.0**log10_mass) * 1e-22  # arcsec at z = 0.5: 3 at 1e-24 eV, 0.03 at 1e-22 eV
    along = np.linspace(-length, length, VORTEX_POINTS)
    radius = point_einstein_radius(np.full(VORTEX_POINTS, VORTEX_MASS / VORTEX_POINTS))
    points = np.stack([along * np.cos(angle), along * np.sin(angle), radius], axis=1)
    drawn = {"substructure_mass": VORTEX_MASS, "vortex_angle": angle, "log10_axion_mass": log10_mass}
    return points, drawn


_SUBSTRUCTURE = {"axion": _vortex, "cdm": _subhaloes, "no_sub": _no_substructure}
