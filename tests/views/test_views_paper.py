from __future__ import annotations

import colorsys
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deeplense_registry.interfaces import PaperRecipe
from deeplense_registry.views.paper import grey, photograph, turn_hue

NOTHING: dict[str, Any] = {
    "scale": (1.0, 1.0),
    "flip": 0.0,
    "jitter_p": 0.0,
    "grey_p": 0.0,
    "blur_p": 0.0,
    "solarise_p": 0.0,
}
WHOLE = (8, 8)


def colours(count: int, size: int = 8) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(3))


def share(chosen: Tensor) -> float:
    return float(chosen.float().mean())


def four_sigma(probability: float, count: int) -> float:
    return 4 * math.sqrt(probability * (1 - probability) / count)


@given(turns=st.floats(-0.5, 0.5), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_hue_turns_as_in_colorsys(turns: float, seed: int) -> None:
    pixels = torch.rand(12, 3, generator=torch.Generator().manual_seed(seed))
    pixels[:3] = torch.tensor([[0.4, 0.4, 0.4], [0.7, 0.7, 0.1], [0.0, 0.0, 0.0]])  # grey, a tie, black
    ours = turn_hue(pixels.T.reshape(1, 3, 3, 4), torch.tensor([turns])).reshape(3, 12).T
    for pixel, result in zip(pixels.tolist(), ours.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = colorsys.hsv_to_rgb((hue + turns) % 1.0, saturation, value)
        assert result == pytest.approx(expected, abs=2e-5)


def test_probabilities_are_realised(generator: torch.Generator) -> None:
    images, count = colours(2000), 2000
    for name, changed in (("grey_p", 0.2), ("jitter_p", 0.8), ("blur_p", 0.5), ("solarise_p", 0.3), ("flip", 0.5)):
        recipe = PaperRecipe(**{**NOTHING, name: changed, "blur_sigma": (28.0, 56.0)})
        views = photograph(images, recipe, WHOLE, generator)
        differs = (views - images).abs().amax((1, 2, 3)) > 1e-3
        assert share(differs) == pytest.approx(changed, abs=four_sigma(changed, count)), name


def test_grey_images_are_their_luma(generator: torch.Generator) -> None:
    views = photograph(colours(2000), PaperRecipe(**{**NOTHING, "grey_p": 0.2}), WHOLE, generator)
    is_grey = (views.amax(1) == views.amin(1)).flatten(1).all(1)
    assert share(is_grey) == pytest.approx(0.2, abs=four_sigma(0.2, 2000))
    expected = grey(colours(2000))[is_grey].expand(-1, 3, -1, -1)
    torch.testing.assert_close(views[is_grey], expected, atol=1e-5, rtol=0)


def test_nothing_asked_nothing_changed(generator: torch.Generator) -> None:
    images = colours(20)
    torch.testing.assert_close(photograph(images, PaperRecipe(**NOTHING), WHOLE, generator), images, atol=1e-5, rtol=0)


def test_flip_and_solarise(generator: torch.Generator) -> None:
    images = colours(20)
    recipe = PaperRecipe(**{**NOTHING, "flip": 1.0, "solarise_p": 1.0})
    mirrored = images.flip(-1)
    expected = torch.where(mirrored >= 0.5, 1 - mirrored, mirrored)
    torch.testing.assert_close(photograph(images, recipe, WHOLE, generator), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("place", range(3))
def test_each_strength_of_the_jitter(place: int, generator: torch.Generator) -> None:
    images = colours(500) * 0.5 + 0.25
    strengths = tuple(0.2 if place == index else 0.0 for index in range(4))
    recipe = PaperRecipe(**{**NOTHING, "jitter_p": 1.0, "jitter": strengths})
    views = photograph(images, recipe, WHOLE, generator)
    other = (torch.zeros(500, 1, 1, 1), grey(images).mean((2, 3), keepdim=True), grey(images))[place]
    # the factor by which each image's distance from what it is blended with has grown
    factors = ((views - other) * (images - other)).sum((1, 2, 3)) / (images - other).square().sum((1, 2, 3))
    expected = other + factors[:, None, None, None] * (images - other)
    torch.testing.assert_close(views, expected.clamp(0, 1), atol=5e-3, rtol=0)
    assert factors.min() == pytest.approx(0.8, abs=0.01)
    assert factors.max() == pytest.approx(1.2, abs=0.01)


def test_crops_have_the_area_and_aspect_asked_for(generator: torch.Generator) -> None:
    ramp = torch.linspace(0, 1, 65).expand(65, 65)
    images = torch.stack((ramp, ramp.T, ramp))[None].repeat(2000, 1, 1, 1)
    views = photograph(images, PaperRecipe(**{**NOTHING, "scale": (0.1, 0.5)}), (32, 32), generator)
    wide = (views[:, 0, 16, 17] - views[:, 0, 16, 16]) * 32 * 64 / 65  # of the image's width
    tall = (views[:, 1, 17, 16] - views[:, 1, 16, 16]) * 32 * 64 / 65
    area, aspect = wide * tall, (wide / tall).log()
    assert area.min() >= 0.0999
    assert area.max() <= 0.501
    assert area.mean() == pytest.approx(0.3, abs=0.012)
    assert aspect.abs().max() <= math.log(4 / 3) + 1e-2
    assert aspect.mean() == pytest.approx(0.0, abs=0.02)
    assert views.min() >= 0.0
    assert not torch.equal(views[0], views[1])


def test_crops_at_the_edge_are_as_bright_as_elsewhere(generator: torch.Generator) -> None:
    views = photograph(torch.ones(50, 3, 20, 20), PaperRecipe(**{**NOTHING, "scale": (0.2, 1.0)}), (32, 32), generator)
    assert views.min() > 1 - 1e-5


def test_centred_crops(generator: torch.Generator) -> None:
    images = torch.zeros(50, 3, 65, 65)
    images[..., 32, 32] = 1.0
    views = photograph(images, PaperRecipe(**{**NOTHING, "scale": (0.2, 1.0)}), (33, 33), generator, centred=True)
    assert (views[:, 0].flatten(1).argmax(1) == 16 * 33 + 16).all()


def test_blur_shrinks_with_the_view(generator: torch.Generator) -> None:
    images = torch.zeros(1, 3, 33, 33)
    images[..., 16, 16] = 1.0
    recipe = PaperRecipe(**{**NOTHING, "blur_p": 1.0, "blur_sigma": (10.0, 10.0)})
    row = photograph(images, recipe, (33, 33), generator)[0, 0].sum(0).double().numpy()
    sigma = math.sqrt((row * (np.arange(33) - 16) ** 2).sum() / row.sum())
    assert sigma == pytest.approx(10 * 33 / 224, rel=0.01)


def test_everything_at_once_stays_within_bounds(generator: torch.Generator) -> None:
    views = photograph(colours(200, 16), PaperRecipe(solarise_p=0.2), (12, 12), generator)
    assert views.shape == (200, 3, 12, 12)
    assert views.min() >= 0.0
    assert views.max() <= 1.0
    assert views.isfinite().all()
