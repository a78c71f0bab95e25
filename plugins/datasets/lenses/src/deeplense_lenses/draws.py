"""What is drawn for each sample: pure numpy, no ray is traced here.

A sample has a stream of random numbers for the lens, and one for each freed parameter: freeing one changes no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from math import cos, hypot, pi, sin

import attrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from . import recipes as ranges
from .light import Sersic
from .recipes import Recipe
from .substructure import draw_substructure

Stream = Callable[..., np.random.Generator]
"""``stream(purpose, ...)`` is the sample's generator for a purpose, always from its start."""


@frozen(kw_only=True)
class Light:
    """A profile and its colour.

    Attributes:
        profile: In the band r, or in grey.
        slope: Of f_nu over wavelength.
    """

    profile: Sersic
    slope: float = 0.0


@frozen(kw_only=True, eq=False)
class Lens:
    """One lens as drawn.

    Attributes:
        label: Index of its class in ``CLASSES``.
        einstein_radius: Of the main lens, in arcsec.
        ellipticity, shear: (e1, e2) of the main lens and (gamma1, gamma2).
        points: (N, 3) point masses: x, y and Einstein radius, in arcsec.
        light: Of the main lens, if it shines.
        drawn: What was drawn of the substructure, by name, for ``Sample.meta``.
    """

    label: int
    einstein_radius: float
    ellipticity: tuple[float, float]
    shear: tuple[float, float]
    points: NDArray[np.float64]
    light: Light | None = None
    drawn: Mapping[str, float] = attrs.field(factory=dict)

    @property
    def substructure_fraction(self) -> float:
        """Mass of the point masses projected within the Einstein radius, over the main lens's within it.

        Masses go as Einstein radii squared.
        """
        inside = np.hypot(self.points[:, 0], self.points[:, 1]) <= self.einstein_radius
        return float((self.points[inside, 2] ** 2).sum()) / self.einstein_radius**2


@frozen(kw_only=True, eq=False)
class Scene:
    """A lens before each of P sources."""

    lens: Lens
    sources: tuple[Light, ...]

    def targets(self) -> dict[str, int | float]:
        """By the names of the card; the axion's mass of that class alone."""
        lens = self.lens
        mass = {key: lens.drawn[key] for key in ("log10_axion_mass",) if key in lens.drawn}
        return {
            "class": lens.label,
            **mass,
            "einstein_radius": lens.einstein_radius,
            "ellipticity": hypot(*lens.ellipticity),
            "substructure_fraction": lens.substructure_fraction,
        }

    def meta(self) -> dict[str, float]:
        """Every number drawn, but for the single subhaloes; of the second source with ``partner_`` before its name."""
        lens = self.lens
        meta = {
            "einstein_radius": lens.einstein_radius,
            **_pair("ellipticity", lens.ellipticity),
            **_pair("shear", lens.shear),
            "substructures": len(lens.points),
            **lens.drawn,
        }
        for number, source in enumerate(self.sources):
            meta |= {f"{'partner_' * number}{key}": value for key, value in _numbers("source", source).items()}
        return meta | (_numbers("light", lens.light) if lens.light else {})


def draw_scene(
    recipe: Recipe,
    label: int,
    free: Collection[str],
    stream: Stream,
    *,
    partners: int = 1,
    light: bool = False,
    substructure_scale: float = 1.0,
) -> Scene:
    """A lens of class ``label`` and its sources, with the parameters in ``free`` varied.

    The Einstein radius is drawn even where it is not used, so that the same seed gives the same substructure with and
    without it.
    """
    rng = stream("lens")
    centre = _centre(recipe, rng)
    radius = float(rng.uniform(*ranges.EINSTEIN_RADII))
    points, drawn = draw_substructure(recipe, label, rng, substructure_scale)
    ellipticity, shear = recipe.ellipticity, recipe.shear
    if "ellipticity" in free:
        ellipticity = _polar(stream("ellipticity"), ranges.LARGEST_ELLIPTICITY)
    if "shear" in free:
        shear = _polar(stream("shear"), ranges.LARGEST_SHEAR)
    lens = Lens(
        label=label,
        einstein_radius=radius if "einstein_radius" in free else recipe.einstein_radius,
        ellipticity=ellipticity,
        shear=shear,
        points=points,
        light=_lens_light(recipe, ellipticity, stream("light")) if light else None,
        drawn=drawn,
    )
    others = [_source(recipe, _centre(recipe, stream("source", n)), free, stream, n) for n in range(1, partners)]
    return Scene(lens=lens, sources=(_source(recipe, centre, free, stream), *others))


def resized(scene: Scene, factor: float) -> Scene:
    """The same lens before sources of ``factor`` times the radius and of the same flux."""

    def one(source: Light) -> Light:
        profile = attrs.evolve(source.profile, radius=factor * source.profile.radius)
        return attrs.evolve(source, profile=profile.of_flux(source.profile.flux))

    return attrs.evolve(scene, sources=tuple(map(one, scene.sources)))


def _source(recipe: Recipe, centre: tuple[float, float], free: Collection[str], stream: Stream, *number: int) -> Light:
    """A source at ``centre``; of another size or index it keeps its flux, not its brightness."""
    profile = attrs.evolve(recipe.source, centre=centre)
    flux = profile.flux
    if "source_size" in free:
        radius = stream("source_size", *number).uniform(*ranges.SOURCE_RADII)
        profile = attrs.evolve(profile, radius=radius).of_flux(flux)
    if "source_index" in free:
        index = stream("source_index", *number).uniform(*ranges.SOURCE_INDICES)
        profile = attrs.evolve(profile, index=index).of_flux(flux)
    if "source_ellipticity" in free:
        e = _polar(stream("source_ellipticity", *number), ranges.LARGEST_SOURCE_ELLIPTICITY)
        profile = attrs.evolve(profile, ellipticity=e)
    if "source_brightness" in free:
        magnitude = stream("source_brightness", *number).uniform(*ranges.SOURCE_MAGNITUDES)
        profile = profile.of_flux(flux * 10.0 ** (-0.4 * magnitude))
    if recipe.published:
        return Light(profile=profile)
    return Light(profile=profile, slope=float(stream("source_slope", *number).uniform(*ranges.SOURCE_SLOPES)))


def _lens_light(recipe: Recipe, ellipticity: tuple[float, float], rng: np.random.Generator) -> Light:
    """An early-type galaxy, as flattened as the lens's mass."""
    radius, index = float(rng.uniform(*ranges.LIGHT_RADII)), float(rng.uniform(*ranges.LIGHT_INDICES))
    flux = recipe.source.flux * 10.0 ** (-0.4 * rng.uniform(*ranges.LIGHT_MAGNITUDES))
    profile = Sersic(radius=radius, index=index, ellipticity=ellipticity).of_flux(flux)
    return Light(profile=profile, slope=float(rng.uniform(*ranges.LIGHT_SLOPES)))


def _centre(recipe: Recipe, rng: np.random.Generator) -> tuple[float, float]:
    x, y = rng.uniform(-recipe.source_offset, recipe.source_offset, 2).tolist()
    return x, y


def _polar(rng: np.random.Generator, largest: float) -> tuple[float, float]:
    """Two components: their modulus is uniform up to ``largest``, their angle uniform."""
    modulus, angle = rng.uniform(0.0, largest), rng.uniform(0.0, 2.0 * pi)
    return modulus * cos(angle), modulus * sin(angle)


def _numbers(what: str, light: Light) -> dict[str, float]:
    profile = light.profile
    x, y = profile.centre
    return {
        f"{what}_x": x,
        f"{what}_y": y,
        f"{what}_size": profile.radius,
        f"{what}_index": profile.index,
        **_pair(f"{what}_ellipticity", profile.ellipticity),
        f"{what}_flux": profile.flux,
        f"{what}_slope": light.slope,
    }


def _pair(name: str, components: tuple[float, float]) -> dict[str, float]:
    return {f"{name}_{number}": component for number, component in enumerate(components, 1)}
