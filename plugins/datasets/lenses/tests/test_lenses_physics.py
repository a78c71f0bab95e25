"""The ray tracer against the formulas, written out naively in float64."""

import functools

import attrs
import numpy as np
import pytest
import torch
from caustics.lenses import func
from deeplense_lenses.draws import Lens, draw_scene
from deeplense_lenses.instrument import blur
from deeplense_lenses.light import Sersic
from deeplense_lenses.physics import CORE, RayTracer
from deeplense_lenses.recipes import CLASSES, MACRO, RECIPES
from scipy.ndimage import gaussian_filter

RECIPE = attrs.evolve(RECIPES["model-1"], ellipticity=(0.1, 0.05), shear=(0.05, -0.02))


def scene(label=1, seed=0, free=("einstein_radius",)):
    return draw_scene(RECIPE, label, free, lambda *purpose: np.random.default_rng([seed, *map(hash_of, purpose)]))


def hash_of(part):
    return part if isinstance(part, int) else int.from_bytes(part.encode())


def images(tracer, scenes):
    rays = tracer.rays([one.lens for one in scenes])
    return tracer.lensed([one.sources[0].profile for one in scenes], rays)


SCENES = [scene(label, seed) for label in (1, 0, 2) for seed in (3, 4)] + [scene(1, 5, MACRO), scene(2, 6, MACRO)]
NOTHING = np.empty((0, 3))


def lens(points=NOTHING, radius=1.3, ellipticity=(0.1, 0.05), shear=(0.0, 0.0)):
    return Lens(label=2, einstein_radius=radius, ellipticity=ellipticity, shear=shear, points=points)


@functools.cache
def reference_images(size):
    return np.stack([reference_image(one, size, 7.5 / size) for one in SCENES])


def reference_image(scene, size, scale):
    """One noiseless image: lenstronomy's conventions for SIE, SHEAR, POINT_MASS and SERSIC_ELLIPSE."""
    lens, profile = scene.lens, scene.sources[0].profile
    axis = (np.arange(size) - (size - 1) / 2) * scale
    x, y = np.meshgrid(axis, axis)
    ax, ay = isothermal_ellipsoid(x, y, lens.einstein_radius, *lens.ellipticity)
    g1, g2 = lens.shear
    ax, ay = ax + g1 * x + g2 * y, ay + g2 * x - g1 * y
    for px, py, radius in lens.points:
        square = (x - px) ** 2 + (y - py) ** 2
        ax = ax + radius**2 * (x - px) / square
        ay = ay + radius**2 * (y - py) / square
    return sersic(profile, x - ax - profile.centre[0], y - ay - profile.centre[1]) * scale**2


def isothermal_ellipsoid(x, y, radius, e1, e2):
    q, u, v, rotated = along_the_axes(x, y, e1, e2)
    f, b = np.sqrt(1 - q**2), radius * np.sqrt(q)
    psi = np.sqrt(q**2 * u**2 + v**2)
    return rotated(b / f * np.arctan(f * u / psi), b / f * np.arctanh(f * v / psi))


def sersic(profile, x, y):
    q, u, v, _ = along_the_axes(x, y, *profile.ellipticity)
    r = np.sqrt(q * u**2 + v**2 / q)
    n = profile.index
    return profile.brightness * np.exp(-(1.9992 * n - 0.3271) * ((r / profile.radius) ** (1 / n) - 1))


def along_the_axes(x, y, e1, e2):
    phi, c = np.arctan2(e2, e1) / 2, np.hypot(e1, e2)
    cos, sin = np.cos(phi), np.sin(phi)
    return (1 - c) / (1 + c), cos * x + sin * y, -sin * x + cos * y, lambda u, v: (cos * u - sin * v, sin * u + cos * v)


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float32, 2e-5), (torch.float64, 1e-9)])
@pytest.mark.parametrize("size", [64, 150])
@pytest.mark.parametrize("sigma", [None, 0.087 / 2.35482 / 0.05, 1.7])
def test_image_equals_the_formulas(dtype, accuracy, size, sigma):
    made = images(RayTracer(size, 7.5 / size, dtype), SCENES)
    expected = reference_images(size)
    if sigma is not None:
        made = blur(made, sigma, 3.0)
        expected = np.stack([gaussian_filter(one, sigma, truncate=3.0, mode="nearest") for one in expected])
    assert made.dtype == dtype
    peaks = expected.max(axis=(1, 2), keepdims=True)
    assert (np.abs(made.numpy() - expected) / peaks).max() < accuracy


def test_point_masses_are_those_of_caustics_to_the_bit():
    tracer = RayTracer(24, 0.3)
    masses = scene(1).lens.points[:2]
    first, second = (
        torch.stack(func.reduced_deflection_angle_point(*torch.tensor(one).float(), tracer.x[0], tracer.y[0], s=CORE))
        for one in masses
    )
    assert torch.equal(tracer._points([lens(masses)])[:, 0], first + second)


def test_the_coordinates_grow_with_column_and_row():
    tracer = RayTracer(75, 0.1)
    profile = Sersic(centre=(2.0, 0.5), radius=0.25, index=1.0, ellipticity=(-0.1, 0.1))
    for image in (tracer.lensed([profile], tracer.rays([lens(radius=1e-9)])), tracer.unlensed([profile])):
        assert divmod(int(image.argmax()), 75) == (37 + 5, 37 + 20)  # row, column


def test_a_ring_has_the_einstein_radius():
    tracer = RayTracer(300, 0.025, torch.float64)
    profile = Sersic(radius=0.25, index=1.0, ellipticity=(0.0, 0.0))
    image = tracer.lensed([profile], tracer.rays([lens(ellipticity=(1e-7, 0.0))]))[0]
    radius = abs(int(image[150].argmax()) - 149.5) * 0.025
    assert radius == pytest.approx(1.3, abs=0.0126)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_ray_through_a_mass_is_finite(dtype):
    hit = lens(np.array([[0.0, 0.0, 0.1], [0.5, 0.0, 0.1]]))
    assert RayTracer(75, 0.1, dtype).rays([hit]).isfinite().all()


def test_lensing_conserves_brightness():
    made = images(RayTracer(64, 7.5 / 64), [scene(label, seed) for label in (0, 1, 2) for seed in range(5)])
    limit = RECIPE.source.central_brightness * (7.5 / 64) ** 2
    assert made.min() >= 0
    assert 0.5 * limit < made.max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize("size", [64, 74, 98, 200])
@pytest.mark.parametrize("free", [("einstein_radius",), MACRO])
def test_no_bit_depends_on_the_batch_or_on_threads(size, free):
    tracer = RayTracer(size, 7.5 / size)
    scenes = [scene(label, seed, free) for seed in range(2) for label in range(len(CLASSES))]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.cat([images(tracer, [one]) for one in scenes])
        torch.set_num_threads(3)
        again = RayTracer(size, 7.5 / size)
        assert torch.equal(images(again, scenes), alone)
        assert torch.equal(images(again, scenes[::-1]).flip(0), alone)
        assert torch.equal(images(again, scenes[2:5]), alone[2:5])
    finally:
        torch.set_num_threads(threads)
