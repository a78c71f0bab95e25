"""What the lenses of a recipe have in common, and the ranges of what is free: pure numbers.

The published numbers are those of DeepLenseSim (github.com/mwt5345/DeepLenseSim, ``deeplense/lens.py`` and
``Model_I/`` to ``Model_III/``), which made the images that the published DeepLense results rest on. Its quirks are kept
for their sake; each is named where it occurs. The physics behind the classes: Alexander et al. 2020 (arXiv:1909.07346).
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from .light import Sersic, magnitude_flux

CLASSES = ("axion", "cdm", "no_sub")
"""Alphabetical, the label order of the DeepLense literature."""

MACRO = (
    "einstein_radius",
    "ellipticity",
    "shear",
    "source_size",
    "source_index",
    "source_ellipticity",
    "source_brightness",
)
"""What ``vary`` can free: the main lens and the source, never the substructure."""

EINSTEIN_RADII = (0.9, 1.6)  # arcsec
LARGEST_ELLIPTICITY = 0.25  # of the main lens: its axis ratio is at least 0.6; the modulus is uniform, so is the angle
LARGEST_SHEAR = 0.1
SOURCE_RADII = (0.15, 0.4)  # arcsec
SOURCE_INDICES = (0.5, 2.5)
LARGEST_SOURCE_ELLIPTICITY = 0.3
SOURCE_MAGNITUDES = (-1.0, 1.0)  # about the recipe's
SOURCE_SLOPES = (0.0, 2.0)  # of f_nu over wavelength: star-forming galaxies, g - r of 0 to 0.6 mag

LIGHT_RADII = (0.4, 1.0)  # arcsec
LIGHT_INDICES = (3.0, 5.0)
LIGHT_MAGNITUDES = (-2.5, 0.0)  # about the recipe's unlensed source
LIGHT_SLOPES = (3.0, 6.0)  # early-type galaxies at z = 0.5, g - r of 0.8 to 1.7 mag

EINSTEIN_RADIUS = 1.2814905676
"""Arcsec, of 1e12 solar masses at z = 0.5 before a source at z = 1 (flat, H0 = 70, Om0 = 0.3).

A quirk: DeepLenseSim takes luminosity distances, and their difference for that between lens and source."""
TRUE_EINSTEIN_RADIUS = 1.6645190
"""The same from angular-diameter distances."""


@frozen(kw_only=True)
class Recipe:
    """Physics of a data set.

    Attributes:
        einstein_radius: Of the main lens, a singular isothermal ellipsoid, in arcsec.
        ellipticity: (e1, e2) of the main lens.
        shear: (gamma1, gamma2) of the external shear.
        source: The source; its centre is uniform in a square of half side ``source_offset`` (arcsec).
        unit_radius: Einstein radius of 1e12 solar masses, in arcsec.
        free: Which of :data:`MACRO` vary whatever the options say.
        published: Substructure as published, quirks included; otherwise a population (see :mod:`.substructure`).
    """

    einstein_radius: float = EINSTEIN_RADIUS
    ellipticity: tuple[float, float] = (0.1, 0.0)
    shear: tuple[float, float] = (0.05, 0.0)
    source: Sersic
    source_offset: float = 0.35
    unit_radius: float = EINSTEIN_RADIUS
    free: tuple[str, ...] = ()
    published: bool = True


_SOURCE = Sersic(radius=0.25, index=1.0, ellipticity=(-0.1, 0.1), brightness=20.0)

RECIPES: Mapping[str, Recipe] = {
    "model-1": Recipe(source=_SOURCE),
    "model-2": Recipe(source=_SOURCE.of_flux(magnitude_flux(20.0, 24.0))),
    "model-3": Recipe(source=_SOURCE.of_flux(magnitude_flux(20.0, 25.96))),
    "varied": Recipe(
        source=evolve(_SOURCE, ellipticity=(0.0, 0.0)).of_flux(magnitude_flux(22.5, 24.0)),
        unit_radius=TRUE_EINSTEIN_RADIUS,
        free=MACRO,
        published=False,
    ),
}
