"""The ray tracer against the formulas, written out naively in float64."""

import functools

import attrs
import numpy as np
import pytest
import torch
from deeplense_lenses.instrument import blur
from deeplense_lenses.physics import RayTracer
from deeplense_lenses.recipes import CLASSES, RECIPES, Lens, draw_lens
from scipy.ndimage import gaussian_filter

RECIPE = attrs.evolve(RECIPES["model-1"], ellipticity=(0.1, 0.05), shear=(0.05, -0.02))


def lens(label=1, seed=0):
    return draw_lens(RECIPE, label, ("einstein_radius",), np.random.default_rng(seed))


LENSES = [lens(label, seed) for label in (1, 0, 2) for seed in (3, 4)]


@functools.cache
def reference_images(size):
    return np.stack([reference_image(RECIPE, one, size, 7.5 / size) for one in LENSES])


def reference_image(recipe, lens, size, scale):
    """One noiseless image: lenstronomy's conventions for SIE, SHEAR, POINT_MASS and SERSIC_ELLIPSE."""
    axis = (np.arange(size) - (size - 1) / 2) * scale
    x, y = np.meshgrid(axis, axis)
    ax, ay = isothermal_ellipsoid(x, y, lens.einstein_radius, *recipe.ellipticity)
    g1, g2 = recipe.shear
    ax, ay = ax + g1 * x + g2 * y, ay + g2 * x - g1 * y
    for px, py, radius in lens.points:
        square = (x - px) ** 2 + (y - py) ** 2
        ax = ax + radius**2 * (x - px) / square
        ay = ay + radius**2 * (y - py) / square
    return sersic(recipe, x - ax - lens.source[0], y - ay - lens.source[1]) * scale**2


def isothermal_ellipsoid(x, y, radius, e1, e2):
    phi, c = np.arctan2(e2, e1) / 2, np.hypot(e1, e2)
    q = (1 - c) / (1 + c)
    f, b = np.sqrt(1 - q**2), radius * np.sqrt(q)
    u, v = np.cos(phi) * x + np.sin(phi) * y, -np.sin(phi) * x + np.cos(phi) * y
    psi = np.sqrt(q**2 * u**2 + v**2)
    au, av = b / f * np.arctan(f * u / psi), b / f * np.arctanh(f * v / psi)
    return np.cos(phi) * au - np.sin(phi) * av, np.sin(phi) * au + np.cos(phi) * av


def sersic(recipe, x, y):
    e1, e2 = recipe.source_ellipticity
    phi, c = np.arctan2(e2, e1) / 2, np.hypot(e1, e2)
    q = (1 - c) / (1 + c)
    u, v = np.cos(phi) * x + np.sin(phi) * y, -np.sin(phi) * x + np.cos(phi) * y
    r = np.sqrt(q * u**2 + v**2 / q)
    n = recipe.source_index
    return recipe.source_brightness * np.exp(-(1.9992 * n - 0.3271) * ((r / recipe.source_radius) ** (1 / n) - 1))


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("size", [64, 150])
@pytest.mark.parametrize("sigma", [None, 0.087 / 2.35482 / 0.05, 1.7])
def test_image_equals_the_formulas(dtype, accuracy, size, sigma):
    images = RayTracer(RECIPE, size, 7.5 / size, dtype)(LENSES)
    expected = reference_images(size)
    if sigma is not None:
        images = blur(images, sigma, 3.0)
        expected = np.stack([gaussian_filter(one, sigma, truncate=3.0, mode="nearest") for one in expected])
    assert images.dtype == dtype
    assert np.abs(images.numpy() - expected).max() < accuracy * expected.max()


def test_the_coordinates_grow_with_column_and_row():
    without = Lens(label=2, einstein_radius=1e-9, source=(2.0, 0.5), points=np.empty((0, 3)))
    image = RayTracer(attrs.evolve(RECIPE, shear=(0.0, 0.0)), 75, 0.1)([without])[0]
    row, column = divmod(int(image.argmax()), 75)
    assert (row, column) == (37 + 5, 37 + 20)


def test_a_ring_has_the_einstein_radius():
    recipe = attrs.evolve(RECIPE, ellipticity=(1e-7, 0.0), shear=(0.0, 0.0), source_ellipticity=(0.0, 0.0))
    ring = Lens(label=2, einstein_radius=1.3, source=(0.0, 0.0), points=np.empty((0, 3)))
    image = RayTracer(recipe, 300, 0.025, torch.float64)([ring])[0]
    radius = abs(int(image[150].argmax()) - 149.5) * 0.025
    assert radius == pytest.approx(1.3, abs=0.0126)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_ray_through_a_mass_is_finite(dtype):
    hit = Lens(label=1, einstein_radius=1.3, source=(0.1, 0.0), points=np.array([[0.0, 0.0, 0.1], [0.5, 0.0, 0.1]]))
    assert RayTracer(RECIPE, 75, 0.1, dtype)([hit]).isfinite().all()


def test_lensing_conserves_brightness():
    images = RayTracer(RECIPE, 64, 7.5 / 64)([lens(label, seed) for label in (0, 1, 2) for seed in range(5)])
    limit = RECIPE.central_brightness * (7.5 / 64) ** 2
    assert images.min() >= 0
    assert 0.5 * limit < images.max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("size", [64, 74, 98])
def test_no_bit_depends_on_the_batch_or_on_threads(size):
    trace = RayTracer(RECIPE, size, 7.5 / size)
    lenses = [lens(label, seed) for seed in range(4) for label in range(len(CLASSES))]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([trace([one]) for one in lenses])
        torch.set_num_threads(3)
        again = RayTracer(RECIPE, size, 7.5 / size)
        assert torch.equal(again(lenses), alone)
        assert torch.equal(again(lenses[::-1]).flip(0), alone)
        assert torch.equal(again(lenses[5:8]), alone[5:8])
    finally:
        torch.set_num_threads(threads)
