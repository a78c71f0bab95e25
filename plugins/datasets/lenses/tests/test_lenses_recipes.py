"""What is drawn, against what DeepLenseSim draws."""

from math import log10

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from deeplense_lenses.recipes import CLASSES, EINSTEIN_RADIUS, RECIPES, draw_lens

RECIPE = RECIPES["model-1"]


def draw(name, seed, vary=()):
    return draw_lens(RECIPE, CLASSES.index(name), vary, np.random.default_rng(seed))


def einstein_radius(d_l, d_s, d_ls):
    square = 4 * constants.G * 1e12 * constants.M_sun / constants.c**2 * d_ls / (d_l * d_s)
    return 206265 * np.sqrt(square.to(units.one).value)


def test_einstein_radius_comes_from_luminosity_distances():
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3, Ob0=0.05)
    d_l, d_s = cosmology.luminosity_distance([0.5, 1.0])
    assert einstein_radius(d_l, d_s, d_s - d_l) == pytest.approx(EINSTEIN_RADIUS, rel=1e-5)
    d_l, d_s = d_l / 1.5**2, d_s / 2.0**2  # angular-diameter distances; comoving ones subtract, in a flat universe
    assert einstein_radius(d_l, d_s, d_s - d_l * 1.5 / 2.0) == pytest.approx(1.6645, abs=1e-4)


def test_the_source_lies_in_its_square():
    sources = np.array([draw("no_sub", seed).source for seed in range(400)])
    assert 0.33 < sources.max() <= 0.35
    assert -0.35 <= sources.min() < -0.33
    assert np.abs(sources.mean(0)).max() < 4 * 0.7 / np.sqrt(12 * 400)


def test_the_einstein_radius_varies_on_demand_and_nothing_else_changes():
    fixed = [draw("cdm", seed) for seed in range(100)]
    varied = [draw("cdm", seed, ("einstein_radius",)) for seed in range(100)]
    assert {one.einstein_radius for one in fixed} == {EINSTEIN_RADIUS}
    radii = [one.einstein_radius for one in varied]
    assert 0.9 <= min(radii) < 0.95 < 1.55 < max(radii) <= 1.6
    for a, b in zip(fixed, varied, strict=True):
        assert a.source == b.source
        assert np.array_equal(a.points, b.points)


def test_no_substructure():
    lens = draw("no_sub", 0)
    assert lens.points.shape == (0, 3)
    assert lens.drawn == {"substructure_mass": 0.0}


def test_subhaloes():
    lenses = [draw("cdm", seed) for seed in range(400)]
    points = np.stack([one.points for one in lenses])  # (400, 25, 3)
    assert points.shape[1] == 25
    radius = np.hypot(points[..., 0], points[..., 1]).ravel()
    assert 0.25 <= radius.min() < radius.max() <= 2.0
    assert radius.mean() == pytest.approx(1.125, abs=4 * 1.75 / np.sqrt(12 * radius.size))
    mass = 1e12 * (points[..., 2] / EINSTEIN_RADIUS) ** 2
    assert mass.min() >= 1e6 * (1 - 1e-9)
    assert mass.max() <= 1e10 * (1 + 1e-9)
    uniform = (mass.ravel() ** 0.1 - 10**0.6) / (10 - 10**0.6)  # the cumulative distribution of m^-0.9
    assert uniform.mean() == pytest.approx(0.5, abs=4 / np.sqrt(12 * mass.size))
    assert np.median(mass) == pytest.approx(2.8e8, rel=0.1)  # as published code gives
    assert [one.drawn["substructure_mass"] for one in lenses] == pytest.approx(mass.sum(1).tolist())


def test_vortices():
    for seed in range(100):
        lens = draw("axion", seed)
        assert lens.points.shape == (100, 3)
        log10_mass = lens.drawn["log10_axion_mass"]
        assert -24 <= log10_mass <= -22
        x, y, radius = lens.points.T
        end = log10(np.hypot(x[-1], y[-1]))
        assert end == pytest.approx(log10(3.0) - (log10_mass + 24))  # 3 arcsec at 1e-24 eV
        angle = lens.drawn["vortex_angle"]
        assert np.allclose(np.cos(angle) * y, np.sin(angle) * x, atol=1e-12)
        assert np.allclose(np.diff(x, 2), 0, atol=1e-12)
        assert np.allclose(lens.points[:, :2].mean(0), 0, atol=1e-12)
        assert np.allclose(radius, 0.02220, atol=5e-6)
