"""PSF and noise against their definitions."""

import numpy as np
import pytest
import torch
from deeplense_lenses.instrument import INSTRUMENTS, blur
from deeplense_lenses.noise import add_gaussian_noise, observe

MODEL_1, MODEL_2, MODEL_3 = (INSTRUMENTS[f"model-{n}"] for n in (1, 2, 3))


def test_the_fields_and_the_psfs():
    assert [one.size for one in (MODEL_1, MODEL_2, MODEL_3)] == [150, 64, 64]
    assert [one.field for one in (MODEL_1, MODEL_2, MODEL_3)] == pytest.approx([7.5, 6.464, 5.12])
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
    image, observed = add_gaussian_noise(flux, 3.0, 60.0, np.random.default_rng(0))
    assert image.dtype == np.float32
    assert observed == {"noise": 0.05}
    assert (image - flux).std() == pytest.approx(0.05, rel=0.02)


def observed(flux, instrument, pixel_scale, *, as_published, seed=1):
    made = observe(flux, instrument, pixel_scale, np.random.default_rng(seed), as_published=as_published)
    assert made[0].dtype == np.float32
    assert made[0].shape == flux.shape
    return made


def test_model_1_as_published_counts_shot_noise_twice():
    counts, facts = observed(np.full((300, 300), 0.2, np.float32), MODEL_1, 0.05, as_published=True)
    exposure = facts["exposure"]
    assert 10**3 <= exposure <= 10**3.5
    assert facts["noise"] == pytest.approx(0.01 * exposure)
    assert np.array_equal(counts, np.round(counts))
    assert counts.mean() == pytest.approx(0.2 * exposure, rel=0.01)
    assert counts.var() == pytest.approx(2 * 0.2 * exposure + facts["noise"] ** 2, rel=0.03)


def test_model_1_as_published_has_its_background_cut_at_zero_and_scaled_with_the_pixel():
    counts, facts = observed(np.zeros((300, 300), np.float32), MODEL_1, 0.1, as_published=True)
    assert facts["noise"] == pytest.approx(0.02 * facts["exposure"])
    assert counts.min() == 0
    assert counts.mean() == pytest.approx(facts["noise"] / np.sqrt(2 * np.pi), rel=0.03)


def test_model_1_as_intended_counts_shot_noise_once_and_keeps_the_background_whole():
    counts, facts = observed(np.full((300, 300), 0.2, np.float32), MODEL_1, 0.05, as_published=False)
    assert counts.var() == pytest.approx(0.2 * facts["exposure"] + facts["noise"] ** 2, rel=0.03)
    dark, facts = observed(np.zeros((300, 300), np.float32), MODEL_1, 0.05, as_published=False)
    assert abs(dark.mean()) < 5 * facts["noise"] / 300


def test_models_2_and_3_as_published_are_twice_the_noiseless_image():
    flux = np.random.default_rng(0).random((1, 8, 8)).astype(np.float32)
    image, facts = observed(flux, MODEL_2, 0.101, as_published=True)
    assert np.array_equal(image, 2 * flux)
    assert facts == {"noise": 0.0}


@pytest.mark.parametrize(
    ("instrument", "exposure", "background"),
    [  # rms of the sky and of four, or one, read-outs, by hand
        (MODEL_2, 2260.0, np.hypot(np.sqrt(4) * 4.2, np.sqrt(10 ** (0.4 * (24 - 22.35)) * 0.101**2 * 2260)) / 2260),
        (MODEL_3, 5400.0, np.hypot(4.0, np.sqrt(10 ** (0.4 * (25.96 - 22.3)) * 0.08**2 * 5400)) / 5400),
    ],
)
def test_models_2_and_3_as_intended(instrument, exposure, background):
    flux = np.full((300, 300), 0.5, np.float32)
    image, facts = observed(flux, instrument, instrument.pixel_scale, as_published=False)
    assert facts == {"noise": pytest.approx(background), "exposure": exposure}
    assert image.mean() == pytest.approx(0.5, abs=5 * float(image.std()) / 300)
    assert image.var() == pytest.approx(background**2 + 0.5 / exposure, rel=0.03)
