"""Noise against its definitions."""

import numpy as np
import pytest
import torch
from deeplense_lenses.instrument import INSTRUMENTS, add_gaussian_noise, blur, expose

MODEL_1 = INSTRUMENTS["model-1"]


def test_the_field_and_the_psf():
    assert MODEL_1.field == pytest.approx(7.5)
    assert MODEL_1.psf_sigma(0.05) == pytest.approx(0.739, abs=1e-3)
    assert MODEL_1.psf_sigma(7.5 / 64) == pytest.approx(0.315, abs=1e-3)


def test_blur_conserves_flux_and_spreads_it_by_sigma():
    point = torch.zeros(1, 41, 41, dtype=torch.float64)
    point[0, 20, 20] = 1.0
    image = blur(point, 2.0, 5.0)[0]
    offset = torch.arange(-20.0, 21.0, dtype=torch.float64)
    assert image.sum().item() == pytest.approx(1.0)
    assert (image.sum(0) * offset**2).sum().sqrt().item() == pytest.approx(2.0, rel=1e-4)
    assert torch.allclose(image, image.T)


def test_gaussian_noise_has_the_peak_snr_it_says():
    flux = np.zeros((200, 200), np.float32)
    flux[100, 100] = 3.0
    image, observed = add_gaussian_noise(flux, 60.0, np.random.default_rng(0))
    assert image.dtype == np.float32
    assert observed["noise"] == pytest.approx(0.05)
    assert (image - flux).std() == pytest.approx(0.05, rel=0.02)


def test_published_noise_counts_shot_noise_twice():
    flux = np.full((300, 300), 0.2, np.float32)
    counts, observed = expose(flux, MODEL_1, 0.05, np.random.default_rng(1))
    exposure = observed["exposure"]
    assert 10**3 <= exposure <= 10**3.5
    assert observed["noise"] == pytest.approx(0.01 * exposure)
    assert np.array_equal(counts, np.round(counts))
    assert counts.mean() == pytest.approx(0.2 * exposure, rel=0.01)
    assert counts.var() == pytest.approx(2 * 0.2 * exposure + observed["noise"] ** 2, rel=0.03)


def test_published_background_is_cut_at_zero_and_scales_with_the_pixel():
    flux = np.zeros((300, 300), np.float32)
    counts, observed = expose(flux, MODEL_1, 0.1, np.random.default_rng(2))
    assert observed["noise"] == pytest.approx(0.02 * observed["exposure"])
    assert counts.min() == 0
    assert counts.mean() == pytest.approx(observed["noise"] / np.sqrt(2 * np.pi), rel=0.03)
