"""The classes: a vortex of axion dark matter, subhaloes of cold dark matter, or neither, all made of point masses.

Each function gives (N, 3) points, x, y and Einstein radius in arcsec, and what was drawn, for ``Sample.meta``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .recipes import CLASSES, Recipe

Points = NDArray[np.float64]
Drawn = tuple[Points, dict[str, float]]

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

POPULATION = (20, 60)
POPULATION_MASSES = (1e8, 1e10)  # solar masses; lighter ones would not show
POPULATION_SLOPE = -1.9
POPULATION_RADIUS = 2.0  # arcsec; uniform in area
VORTICES = 3
POINTS_PER_VORTEX = 50


def draw_substructure(recipe: Recipe, label: int, rng: np.random.Generator, scale: float = 1.0) -> Drawn:
    """The substructure of a lens of class ``label``: as published, or of a population; ``scale`` times its mass.

    A population's number, masses and places are drawn alike for both classes that have substructure: cdm has a subhalo
    of each mass at its place; axion has 1 to 3 vortices of together the same mass, at the places of the first ones. So
    neither the mass nor the distance from the centre tells them apart.
    """
    draws = _PUBLISHED if recipe.published else _POPULATION
    points, drawn = draws[CLASSES[label]](rng)
    points[:, 2] = recipe.unit_radius * np.sqrt(scale * points[:, 2] / 1e12)
    return points, {**drawn, "substructure_mass": scale * drawn["substructure_mass"]}


def _none(_: np.random.Generator) -> Drawn:
    return np.empty((0, 3)), {"substructure_mass": 0.0}


def _subhaloes(rng: np.random.Generator) -> Drawn:
    mass = _power_law(rng, SUBHALO_SLOPE, SUBHALO_MASSES, SUBHALOES)
    radius = rng.uniform(*SUBHALO_RADII, SUBHALOES)
    angle = rng.uniform(0.0, 2.0 * np.pi, SUBHALOES)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle), mass], axis=1)
    return points, {"substructure_mass": float(mass.sum())}


def _vortex(rng: np.random.Generator) -> Drawn:
    """One vortex through the centre."""
    log10_mass = float(rng.uniform(*LOG10_AXION_MASSES))
    angle = float(rng.uniform(0.0, 2.0 * np.pi))
    points = _line(log10_mass, angle, VORTEX_MASS, VORTEX_POINTS)
    return points, {"substructure_mass": VORTEX_MASS, "vortex_angle": angle, "log10_axion_mass": log10_mass}


def _some_subhaloes(rng: np.random.Generator) -> Drawn:
    points = _population(rng)
    return points, {"substructure_mass": float(points[:, 2].sum())}


def _some_vortices(rng: np.random.Generator) -> Drawn:
    population = _population(rng)
    mass = float(population[:, 2].sum())
    count = int(rng.integers(1, VORTICES, endpoint=True))
    log10_mass = float(rng.uniform(*LOG10_AXION_MASSES))
    angles = rng.uniform(0.0, 2.0 * np.pi, count).tolist()
    lines = [_line(log10_mass, angle, mass / count, POINTS_PER_VORTEX) for angle in angles]
    drawn = {"substructure_mass": mass, "log10_axion_mass": log10_mass, "vortices": float(count)}
    for number, (line, angle, place) in enumerate(zip(lines, angles, population[:count, :2], strict=True), 1):
        line[:, :2] += place
        drawn |= {f"vortex_{number}_{key}": float(v) for key, v in (("x", place[0]), ("y", place[1]), ("angle", angle))}
    return np.concatenate(lines), drawn


def _population(rng: np.random.Generator) -> Points:
    """(N, 3): x, y, mass in solar masses."""
    count = int(rng.integers(*POPULATION, endpoint=True))
    mass = _power_law(rng, POPULATION_SLOPE, POPULATION_MASSES, count)
    radius = POPULATION_RADIUS * np.sqrt(rng.uniform(0.0, 1.0, count))
    angle = rng.uniform(0.0, 2.0 * np.pi, count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), mass], axis=1)


def _power_law(rng: np.random.Generator, slope: float, limits: tuple[float, float], count: int) -> Points:
    """``count`` masses of dN/dm ~ m^slope: the cumulative distribution inverted."""
    power = slope + 1.0
    low, high = sorted(limit**power for limit in limits)
    return rng.uniform(low, high, count) ** (1.0 / power)


def _line(log10_axion_mass: float, angle: float, mass: float, count: int) -> Points:
    """(count, 3): equal masses on a line through the origin, as long as two de Broglie wavelengths."""
    length = 0.06 / (2.0 * 10.0**log10_axion_mass) * 1e-22  # arcsec at z = 0.5: 3 at 1e-24 eV, 0.03 at 1e-22 eV
    along = np.linspace(-length, length, count)
    return np.stack([along * np.cos(angle), along * np.sin(angle), np.full(count, mass / count)], axis=1)


Draw = Callable[[np.random.Generator], Drawn]
_PUBLISHED: Mapping[str, Draw] = {"axion": _vortex, "cdm": _subhaloes, "no_sub": _none}
_POPULATION: Mapping[str, Draw] = {"axion": _some_vortices, "cdm": _some_subhaloes, "no_sub": _none}
