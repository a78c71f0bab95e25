from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive
from torch import Tensor

from deeplense_registry import UserError
from deeplense_registry.views.photometry import EXTINCTION, add_noise, blur, extinction, hide, kernels, lacking, redden


def width(image: Tensor) -> float:
    """Sigma along x of a source in the middle of (H, W), from its second moment."""
    flux = image.double()
    axis = torch.arange(flux.shape[1], dtype=torch.float64)
    column = flux.sum(0) / flux.sum()
    return float(((axis**2 * column).sum() - (axis * column).sum() ** 2).sqrt())


@given(target=st.floats(0, 10), own=st.floats(0, 10))
def test_what_lacks_completes_in_quadrature(target: float, own: float) -> None:
    added = lacking(torch.tensor(target, dtype=torch.float64), torch.tensor(own, dtype=torch.float64)).item()
    assert math.hypot(added, own) == pytest.approx(max(target, own), abs=1e-12, rel=1e-12)


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 2.5])
def test_kernels_are_the_discrete_gaussian(sigma: float) -> None:
    radius = math.ceil(4 * sigma) + 1
    ours = kernels(torch.tensor([sigma**2], dtype=torch.float64), radius)[0].numpy()
    np.testing.assert_allclose(ours, ive(np.abs(np.arange(-radius, radius + 1)), sigma**2), atol=5e-5)
    assert ours.sum() == pytest.approx(1.0, abs=1e-12)
    assert (ours * np.arange(-radius, radius + 1) ** 2).sum() == pytest.approx(sigma**2, rel=5e-3)


def test_each_image_gets_its_own_width_and_keeps_its_flux() -> None:
    images = torch.zeros(4, 2, 41, 41)
    images[..., 20, 20] = 3.0
    sigma = torch.tensor([0.0, 0.4, 1.0, 3.0])
    smooth = blur(images, sigma, 3.0)
    for row, expected in zip(smooth, sigma.tolist(), strict=True):
        for band in row:
            assert width(band) == pytest.approx(expected, abs=0.01)
            assert width(band.T) == pytest.approx(expected, abs=0.01)
    torch.testing.assert_close(smooth.sum((2, 3)), images.sum((2, 3)))
    torch.testing.assert_close(smooth[0], images[0], atol=1e-6, rtol=0)


def test_widths_add_in_quadrature() -> None:
    images = torch.rand(1, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    twice = blur(blur(images, torch.tensor([0.6]), 3.0), torch.tensor([0.8]), 3.0)
    torch.testing.assert_close(
        twice[..., 14:-14, 14:-14], blur(images, torch.tensor([1.0]), 3.0)[..., 14:-14, 14:-14], atol=1e-5, rtol=0
    )


def test_a_constant_sky_stays_so_under_a_wide_psf() -> None:
    torch.testing.assert_close(
        blur(torch.full((1, 1, 9, 12), 2.0), torch.tensor([6.0]), 6.0), torch.full((1, 1, 9, 12), 2.0)
    )


def test_noise_has_the_level_of_its_image_and_band(generator: torch.Generator) -> None:
    sigma = torch.tensor([[0.0, 1.0], [2.0, 0.5]])
    noise = add_noise(torch.full((2, 2, 200, 200), 5.0), sigma, generator) - 5.0
    torch.testing.assert_close(noise.std((2, 3)), sigma, rtol=4 / math.sqrt(2 * 200**2), atol=0)
    assert noise.mean((2, 3)).abs().max() < 4 * 2 / 200
    correlation = (noise[0, 1] * noise[1, 1]).mean() / 0.5
    assert abs(correlation) < 4 / 200, "images have noise of their own"


@given(excess=st.lists(st.floats(-1, 2), min_size=1, max_size=4))
@settings(deadline=None)
def test_reddening_is_the_law(excess: list[float]) -> None:
    bands = ("u", "g", "r", "i", "z")
    images = torch.rand(len(excess), 5, 3, 3, generator=torch.Generator().manual_seed(1))
    ours = redden(images, torch.tensor(excess), extinction(bands)).numpy()
    published = np.array([4.239, 3.303, 2.285, 1.698, 1.263])
    expected = images.double().numpy() * 10 ** (-0.4 * published * np.array(excess)[:, None])[..., None, None]
    np.testing.assert_allclose(ours, expected, rtol=2e-5)


def test_grz_alone_are_those_of_the_legacy_surveys() -> None:
    np.testing.assert_allclose(0.4 * np.array(extinction(("g", "r", "z"))), [1.2856, 0.866, 0.4844])


@pytest.mark.parametrize(
    ("bands", "cameras"),
    [
        (("g", "r", "i"), ("sdss",) * 3),
        (("z", "y"), ("lsst",) * 2),
        (("g", "Y"), ("lsst",) * 2),
        (("DECam_g", "legacy-r", "LSST y", "sdss.u"), ("decam", "decam", "lsst", "sdss")),
    ],
)
def test_bands_are_known_by_name(bands: tuple[str, ...], cameras: tuple[str, ...]) -> None:
    expected = tuple(EXTINCTION[camera][band[-1].lower()] for camera, band in zip(cameras, bands, strict=True))
    assert extinction(bands) == expected


@pytest.mark.parametrize("band", ["F814W", "hsc-g", "sdss-y", "R", "lsst-", ""])
def test_other_bands_are_refused_with_those_known(band: str) -> None:
    with pytest.raises(UserError, match=r"knows none for .*sdss-\{u,g,r,i,z\}") as error:
        extinction(("g", band))
    assert repr(band) in str(error.value)
    assert "'g'" not in str(error.value)


@given(fraction=st.floats(0, 0.9), height=st.integers(8, 40), wide=st.integers(8, 40), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_hidden_fraction(fraction: float, height: int, wide: int, seed: int) -> None:
    images = torch.ones(3, 2, height, wide)
    hidden = hide(images, torch.full((3,), fraction), torch.Generator().manual_seed(seed)) == 0
    assert torch.equal(hidden[:, 0], hidden[:, 1]), "all bands alike"
    side = [round(float(torch.tensor(fraction).sqrt() * length)) for length in (height, wide)]
    rows, columns = hidden[:, 0].any(2).sum(1), hidden[:, 0].any(1).sum(1)
    assert (hidden[:, 0].sum((1, 2)) == rows * columns).all(), "one rectangle"
    if min(side) > 0:
        assert (rows - side[0]).abs().max() <= 1
        assert (columns - side[1]).abs().max() <= 1


def test_squares_lie_anywhere(generator: torch.Generator) -> None:
    hidden = hide(torch.ones(3000, 1, 10, 10), torch.full((3000,), 0.25), generator) == 0
    assert (hidden.sum((1, 2, 3)) == 25).all()
    corner = hidden[:, 0, 0, 0].float().mean()  # one of 6 x 6 places
    assert corner == pytest.approx(1 / 36, abs=4 * math.sqrt(1 / 36 / 3000))
    assert hidden[:, 0, -1, -1].float().mean() == pytest.approx(1 / 36, abs=4 * math.sqrt(1 / 36 / 3000))
