"""What is drawn, against what DeepLenseSim draws, and against what the options promise."""

from math import hypot, log10

import numpy as np
import pytest
from astropy import constants, units
from astropy.cosmology import FlatLambdaCDM
from deeplense_lenses.draws import draw_scene
from deeplense_lenses.recipes import CLASSES, EINSTEIN_RADIUS, MACRO, RECIPES, TRUE_EINSTEIN_RADIUS
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from deeplense_registry.components import derive_seed


def draw(name, seed, free=(), recipe="model-1", **more):
    def stream(*purpose):
        return np.random.default_rng(derive_seed(seed, *purpose))

    return draw_scene(RECIPES[recipe], CLASSES.index(name), free, stream, **more)


def einstein_radius(d_l, d_s, d_ls):
    square = 4 * constants.G * 1e12 * constants.M_sun / constants.c**2 * d_ls / (d_l * d_s)
    return 206265 * np.sqrt(square.to(units.one).value)


def test_einstein_radius_comes_from_luminosity_distances():
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3, Ob0=0.05)
    d_l, d_s = cosmology.luminosity_distance([0.5, 1.0])
    assert einstein_radius(d_l, d_s, d_s - d_l) == pytest.approx(EINSTEIN_RADIUS, rel=1e-5)
    d_l, d_s = d_l / 1.5**2, d_s / 2.0**2  # angular-diameter distances; comoving ones subtract, in a flat universe
    true = einstein_radius(d_l, d_s, d_s - d_l * 1.5 / 2.0)
    assert true == pytest.approx(TRUE_EINSTEIN_RADIUS, rel=1e-5)


def test_the_source_lies_in_its_square():
    sources = np.array([draw("no_sub", seed).sources[0].profile.centre for seed in range(400)])
    assert 0.33 < sources.max() <= 0.35
    assert -0.35 <= sources.min() < -0.33
    assert np.abs(sources.mean(0)).max() < 4 * 0.7 / np.sqrt(12 * 400)


@pytest.mark.parametrize("name", MACRO)
def test_one_parameter_varies_on_demand_and_nothing_else_changes(name):
    keys = {
        "einstein_radius": {"einstein_radius"},
        "ellipticity": {"ellipticity_1", "ellipticity_2"},
        "shear": {"shear_1", "shear_2"},
        "source_ellipticity": {"source_ellipticity_1", "source_ellipticity_2"},
        "source_brightness": {"source_flux"},
    }.get(name, {name})
    for seed in range(10):
        fixed, varied = draw("cdm", seed), draw("cdm", seed, (name,))
        before, after = fixed.meta(), varied.meta()
        assert before.keys() == after.keys()
        assert {key for key in before if before[key] != pytest.approx(after[key], rel=1e-9)} == keys
        assert np.array_equal(fixed.lens.points, varied.lens.points)


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [("einstein_radius", 0.9, 1.6), ("source_size", 0.15, 0.4), ("source_index", 0.5, 2.5)],
)
def test_what_is_free_is_uniform(key, low, high):
    values = [draw("no_sub", seed, (key,)).meta()[key] for seed in range(400)]
    assert kstest(values, "uniform", (low, high - low)).pvalue > 1e-3


@pytest.mark.parametrize(("key", "largest"), [("ellipticity", 0.25), ("shear", 0.1), ("source_ellipticity", 0.3)])
def test_what_has_two_components_has_every_direction(key, largest):
    metas = [draw("no_sub", seed, (key,)).meta() for seed in range(400)]
    first, second = (np.array([meta[f"{key}_{n}"] for meta in metas]) for n in (1, 2))
    assert kstest(np.hypot(first, second), "uniform", (0, largest)).pvalue > 1e-3
    assert kstest(np.arctan2(second, first), "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-3


def test_a_source_of_another_size_or_index_keeps_its_flux():
    flux = RECIPES["model-2"].source.flux
    assert flux == pytest.approx(10 ** (0.4 * 4))
    one = draw("no_sub", 0, ("source_size", "source_index", "source_ellipticity"), "model-2").meta()
    assert one["source_flux"] == pytest.approx(flux)
    magnitudes = [
        -2.5 * log10(draw("no_sub", seed, ("source_brightness",), "model-2").meta()["source_flux"] / flux)
        for seed in range(400)
    ]
    assert kstest(magnitudes, "uniform", (-1, 2)).pvalue > 1e-3


def test_no_substructure():
    scene = draw("no_sub", 0)
    assert scene.lens.points.shape == (0, 3)
    assert scene.lens.drawn == {"substructure_mass": 0.0}
    assert scene.targets()["substructure_fraction"] == 0.0


def test_subhaloes():
    lenses = [draw("cdm", seed).lens for seed in range(400)]
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


@pytest.mark.parametrize("recipe", ["model-1", "varied"])
@pytest.mark.parametrize("name", ["cdm", "axion"])
def test_the_mass_of_substructure_is_a_dial(recipe, name):
    once, thrice = draw(name, 5, recipe=recipe), draw(name, 5, recipe=recipe, substructure_scale=3.0)
    np.testing.assert_array_equal(once.lens.points[:, :2], thrice.lens.points[:, :2])
    np.testing.assert_allclose(thrice.lens.points[:, 2] ** 2, 3 * once.lens.points[:, 2] ** 2)
    for drawn in (
        lambda scene: scene.targets()["substructure_fraction"],
        lambda scene: scene.meta()["substructure_mass"],
    ):
        assert drawn(thrice) == pytest.approx(3 * drawn(once))
        assert drawn(once) > 0


def test_vortices():
    for seed in range(100):
        scene = draw("axion", seed)
        assert scene.lens.points.shape == (100, 3)
        log10_mass = scene.targets()["log10_axion_mass"]
        assert -24 <= log10_mass <= -22
        x, y, radius = scene.lens.points.T
        end = log10(np.hypot(x[-1], y[-1]))
        assert end == pytest.approx(log10(3.0) - (log10_mass + 24))  # 3 arcsec at 1e-24 eV
        angle = scene.lens.drawn["vortex_angle"]
        assert np.allclose(np.cos(angle) * y, np.sin(angle) * x, atol=1e-12)
        assert np.allclose(np.diff(x, 2), 0, atol=1e-12)
        assert np.allclose(scene.lens.points[:, :2].mean(0), 0, atol=1e-12)
        assert np.allclose(radius, 0.02220, atol=5e-6)
        expected = 0.03 * np.mean(np.hypot(x, y) <= EINSTEIN_RADIUS)  # 3e10 solar masses of 1e12
        assert scene.targets()["substructure_fraction"] == pytest.approx(expected)


def test_targets_are_those_of_the_lens():
    targets = draw("cdm", 3, ("ellipticity",)).targets()
    meta = draw("cdm", 3, ("ellipticity",)).meta()
    assert targets["ellipticity"] == pytest.approx(hypot(meta["ellipticity_1"], meta["ellipticity_2"]))
    assert targets["einstein_radius"] == EINSTEIN_RADIUS
    assert "log10_axion_mass" not in targets


@given(st.integers(0, 2**32), st.sampled_from(CLASSES))
def test_a_partner_is_another_source_behind_the_same_lens(seed, name):
    alone, pair = draw(name, seed, recipe="varied"), draw(name, seed, recipe="varied", partners=2)
    assert np.array_equal(alone.lens.points, pair.lens.points)
    assert alone.sources == pair.sources[:1]
    first, second = pair.sources
    assert all(a != b for a, b in zip(first.profile.centre, second.profile.centre, strict=True))
    assert first.slope != second.slope
    assert pair.meta()["partner_source_x"] == second.profile.centre[0]


def test_populations_are_alike_in_mass_and_place_in_both_classes():
    """Total mass, and the distances of what carries it, must not tell axion from cdm."""
    cdm = [draw("cdm", seed, recipe="varied").lens for seed in range(300)]
    axion = [draw("axion", seed + 1000, recipe="varied").lens for seed in range(300)]
    masses = [[one.drawn["substructure_mass"] for one in lenses] for lenses in (cdm, axion)]
    assert kstest(*masses).pvalue > 1e-3
    radii = [np.hypot(*lens.points[0, :2]) for lens in cdm]
    centres = [np.hypot(lens.drawn["vortex_1_x"], lens.drawn["vortex_1_y"]) for lens in axion]
    assert kstest(radii, lambda r: (r / 2.0) ** 2).pvalue > 1e-3  # uniform in area
    assert kstest(centres, lambda r: (r / 2.0) ** 2).pvalue > 1e-3


def test_populations_are_those_of_the_mass_function():
    lenses = [draw("cdm", seed, recipe="varied").lens for seed in range(200)]
    counts = [len(one.points) for one in lenses]
    assert 20 <= min(counts) < 25 < 55 < max(counts) <= 60
    mass = 1e12 * (np.concatenate([one.points[:, 2] for one in lenses]) / TRUE_EINSTEIN_RADIUS) ** 2
    low, high = 1e8**-0.9, 1e10**-0.9
    assert kstest((low - mass**-0.9) / (low - high), "uniform").pvalue > 1e-3
    assert np.isclose(mass[: counts[0]].sum(), lenses[0].drawn["substructure_mass"])


def test_several_vortices_share_the_mass():
    seen = set()
    for seed in range(40):
        lens = draw("axion", seed, recipe="varied").lens
        count = int(lens.drawn["vortices"])
        seen.add(count)
        assert len(lens.points) == 50 * count
        assert (lens.points[:, 2] ** 2).sum() / TRUE_EINSTEIN_RADIUS**2 * 1e12 == pytest.approx(
            lens.drawn["substructure_mass"]
        )
        centres = lens.points.reshape(count, 50, 3)[..., :2].mean(1)
        named = [[lens.drawn[f"vortex_{n}_{axis}"] for axis in "xy"] for n in range(1, count + 1)]
        assert np.allclose(centres, named)
    assert seen == {1, 2, 3}


def test_lens_light_has_the_flattening_of_the_mass():
    for seed in range(20):
        scene = draw("no_sub", seed, MACRO, "varied", light=True)
        light = scene.lens.light
        assert light.profile.ellipticity == scene.lens.ellipticity
        assert 1.0 <= light.profile.flux / RECIPES["varied"].source.flux <= 10.0
        assert 3.0 <= light.slope <= 6.0
        assert scene.meta()["light_index"] == light.profile.index
    assert draw("no_sub", 0, MACRO, "varied").lens.light is None
