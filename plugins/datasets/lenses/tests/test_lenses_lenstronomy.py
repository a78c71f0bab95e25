"""Noiseless images and instrument numbers against lenstronomy's, stored by make_lenstronomy_fixture.py."""

from pathlib import Path

import numpy as np
import pytest
import torch
from deeplense_lenses.draws import Lens
from deeplense_lenses.instrument import INSTRUMENTS, blur
from deeplense_lenses.light import Sersic
from deeplense_lenses.physics import RayTracer
from deeplense_lenses.recipes import RECIPES

STORED = np.load(Path(__file__).with_name("lenstronomy.npz"), allow_pickle=False)


def noiseless(dtype, source, psf):
    images, scale = STORED["images"], float(STORED["pixel_scale"])
    x, y, radius, index, e1, e2, amplitude = STORED["sources"][source].tolist()
    theta, *ellipticity = STORED["main"].tolist()
    lens = Lens(
        label=1,
        einstein_radius=theta,
        ellipticity=tuple(ellipticity),
        shear=tuple(STORED["shear"].tolist()),
        points=STORED["points"],
    )
    tracer = RayTracer(images.shape[-1], scale, dtype)
    profile = Sersic(centre=(x, y), radius=radius, index=index, ellipticity=(e1, e2), brightness=amplitude)
    image = tracer.lensed([profile], tracer.rays([lens]))
    fwhm, truncation = STORED["psfs"][psf].tolist()
    return (blur(image, fwhm / 2.35482 / scale, truncation) if fwhm else image)[0].numpy()


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@pytest.mark.parametrize("source", [0, 1])
@pytest.mark.parametrize("psf", [0, 1, 2])
def test_noiseless_images_are_lenstronomys(dtype, accuracy, source, psf):
    expected = STORED["images"][source, psf]
    assert np.abs(noiseless(dtype, source, psf) - expected).max() < accuracy * expected.max()


@pytest.mark.parametrize("recipe", ["model-2", "model-3"])
def test_the_instruments_are_those_of_lenstronomy(recipe):
    background, amplitude = STORED["instruments"][("model-2", "model-3").index(recipe)]
    instrument = INSTRUMENTS[recipe]
    assert instrument.noise.background(instrument.pixel_scale) == pytest.approx(background, rel=1e-9)
    assert RECIPES[recipe].source.brightness == pytest.approx(amplitude, rel=1e-9)
