from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from deeplense_registry import DatasetCard, ImageShape, UserError
from deeplense_registry.interfaces import PaperRecipe, ViewPlan, ViewSpec
from deeplense_registry.spec.tables import FluxTable, ViewsTable
from deeplense_registry.views import BandStatistics, Pipeline, Scaling

Build = Callable[..., Pipeline]
RGB = ("g", "r", "z")
EVERYTHING: dict[str, Any] = {
    "still": False,
    "psf": (0.5, 1.5),
    "mask": (0.1, 0.3),
    "reddening": (0.0, 0.5),
    "flux": "asinh",
}


def images_of(bands: int, count: int = 6, size: int = 32) -> Tensor:
    return torch.rand(count, bands, size, size, generator=torch.Generator().manual_seed(7))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def only(pipeline: Pipeline, images: Tensor, seed: int = 0, **meta: Tensor) -> Tensor:
    """The first view of each image."""
    return pipeline(images, torch.arange(len(images)), meta, seeded(seed)).images[0]


@pytest.mark.parametrize("policy", ["lens", "paper"])
def test_same_generator_same_bytes_and_no_other_randomness(build: Build, policy: str) -> None:
    pipeline = build(ViewSpec(), ViewSpec(size=16), bands=RGB, policy=policy, **EVERYTHING)
    images, state = images_of(3), torch.get_rng_state()
    before = images.clone()
    first, second, other = (pipeline(images, torch.arange(6), {}, seeded(seed)) for seed in (1, 1, 2))
    for ours, again, others in zip(first.images, second.images, other.images, strict=True):
        assert torch.equal(ours, again)
        assert not torch.equal(ours, others)
    assert not torch.equal(first.images[0][..., :16, :16], first.images[1])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(images, before)


@pytest.mark.parametrize("policy", ["lens", "paper"])
def test_an_image_is_none_of_the_others_business(build: Build, policy: str) -> None:
    pipeline = build(ViewSpec(size=24, scale=(0.5, 1.0)), bands=RGB, policy=policy, **EVERYTHING)
    images = images_of(3)
    changed = images.clone()
    changed[1:] = torch.rand(5, 3, 32, 32, generator=seeded(9)) * 100
    assert torch.equal(only(pipeline, images)[0], only(pipeline, changed)[0])


@pytest.mark.parametrize("policy", ["lens", "paper"])
def test_parameters_differ_from_image_to_image(build: Build, policy: str) -> None:
    pipeline = build(bands=RGB, policy=policy, **{**EVERYTHING, "noise": (0.0, 0.0)})
    views = only(pipeline, images_of(3)[:1].repeat(8, 1, 1, 1))
    assert len({view.numpy().tobytes() for view in views}) == 8


@pytest.mark.parametrize(
    ("policy", "bands"), [("lens", ("g",)), ("lens", RGB), ("lens", ("u", "g", "r", "i", "z")), ("paper", RGB)]
)
def test_multi_crop_sizes(build: Build, policy: str, bands: tuple[str, ...]) -> None:
    plan = (ViewSpec(), ViewSpec(size=24, scale=(0.4, 1.0)), ViewSpec(size=12, scale=(0.1, 0.4)))
    views = build(*plan, bands=bands, policy=policy, **EVERYTHING)(images_of(len(bands)), torch.arange(6), {}, seeded())
    assert [tuple(view.shape) for view in views.images] == [(6, len(bands), side, side) for side in (32, 24, 12)]
    assert all(view.isfinite().all() and view.dtype == torch.float32 for view in views.images)
    assert torch.equal(views.index, torch.arange(6))
    assert views.extras == ({}, {}, {})
    assert len(views) == 6


def test_views_take_partners_in_turn(build: Build) -> None:
    partners = torch.stack([torch.full((4, 1, 16, 16), float(value)) for value in range(3)], dim=1)  # (B, P, C, H, W)
    views = build(*[ViewSpec()] * 5, size=16)(partners, torch.arange(4), {}, seeded()).images
    assert [set(view.flatten().tolist()) for view in views] == [{0.0}, {1.0}, {2.0}, {0.0}, {1.0}]


def test_noise_is_completed_in_quadrature_in_units_of_the_training_images(build: Build) -> None:
    pipeline = build(std=4.0, size=96, noise=(0.5, 0.5))  # 0.5 deviations of 4: a level of 2
    own = torch.tensor([0.0, 1.2, 1.9, 3.0, math.nan])
    known = own.nan_to_num(0.0)
    images = torch.randn(5, 1, 96, 96, generator=seeded(3)) * known[:, None, None, None]
    level = only(pipeline, images, noise=own.double()).std((1, 2, 3))
    torch.testing.assert_close(level, known.clamp_min(2.0), rtol=4 / math.sqrt(2 * 96**2), atol=0)
    assert torch.equal(only(pipeline, images, noise=own)[3], images[3]), "noisier already: nothing is added"


def test_the_noise_level_differs_from_image_to_image(build: Build) -> None:
    level = only(build(noise=(0.1, 0.9)), torch.zeros(300, 1, 32, 32)).std((1, 2, 3))
    assert level.min() < 0.15
    assert level.max() > 0.85
    assert level.mean() == pytest.approx(0.5, abs=4 * 0.8 / math.sqrt(12 * 300))


def test_psf_is_completed_in_quadrature_in_the_views_pixels(build: Build) -> None:
    own = torch.tensor([0.0, 1.5, 3.0])
    axis = torch.arange(65.0) - 32
    profile = torch.exp(-(axis**2) / (2 * own.clamp_min(0.01)[:, None] ** 2))
    images = (profile[:, :, None] * profile[:, None, :])[:, None]  # (3, 1, 65, 65), Gaussian sources
    for zoom, expected in ((1.0, (2.0, 2.0, 3.0)), (0.5, (2.0, 2.0, 2.0))):
        pipeline = build(size=65, psf=(2.0, 2.0), zoom=(zoom, zoom))
        column = only(pipeline, images, psf_sigma=own).double().sum((1, 2))  # (3, 65)
        column = column / column.sum(1, keepdim=True)
        width = (column * axis.double() ** 2).sum(1).sqrt()
        first = 0 if zoom == 1.0 else 1  # a point source between samples is interpolation's affair
        target = torch.tensor(expected, dtype=torch.float64)
        torch.testing.assert_close(width[first:], target[first:], rtol=0.03, atol=0)


def test_reddening_spares_what_is_reddened_already(build: Build) -> None:
    pipeline = build(bands=RGB, reddening=(0.3, 0.3))
    ratio = only(pipeline, torch.ones(3, 3, 32, 32), ebv=torch.tensor([0.0, 0.3, 0.5])).mean((2, 3))
    coefficient = torch.tensor([3.214, 2.165, 1.211])
    torch.testing.assert_close(ratio, 10 ** (-0.4 * torch.tensor([[0.3], [0.0], [-0.2]]) * coefficient))


def test_brightness_multiplies_every_band_by_one_factor(build: Build) -> None:
    factors = only(build(bands=RGB, brightness=(0.5, 2.0)), torch.ones(200, 3, 16, 16)).mean((2, 3))  # (200, 3)
    torch.testing.assert_close(factors, factors[:, :1].expand(-1, 3))
    assert 0.5 <= factors.min() < 0.55
    assert 1.8 < factors.max() <= 2.0
    assert 0.4 < (factors[:, 0] < 1.0).float().mean() < 0.6  # log-uniform: half of them below 1


def test_brightness_takes_the_images_own_noise_with_it(build: Build) -> None:
    pipeline = build(brightness=(4.0, 4.0), noise=(2.0, 2.0), std=1.0)
    views = only(pipeline, torch.ones(3, 1, 64, 64), noise=torch.tensor([0.0, 0.25, 0.5]))
    lacking = torch.tensor([4.0, 3.0, 0.0]).sqrt()  # of 2 in quadrature, the own noise being 4 times what it was
    torch.testing.assert_close(views.std((1, 2, 3)), lacking, atol=0.08, rtol=0.0)


def test_mask_hides_flux_before_it_is_scaled(build: Build) -> None:
    pipeline = build(flux="zscore", std=2.0, size=40, mask=(0.25, 0.25))
    views = only(pipeline, torch.full((5, 1, 40, 40), 3.0))
    assert set(views.flatten().tolist()) == {0.0, 1.5}
    assert ((views == 0).sum((1, 2, 3)) == 400).all()


def test_centred_forbids_the_shift(build: Build) -> None:
    images = torch.zeros(20, 1, 33, 33)
    images[..., 16, 16] = 1.0
    free, held = (
        only(build(size=33, still=False, shift=6.0, noise=(0.0, 0.0), centred=centred), images).flatten(1).argmax(1)
        for centred in (False, True)
    )
    assert (held == 16 * 33 + 16).all()
    assert (free != 16 * 33 + 16).any()


def test_operations_follow_in_order_and_their_extras_are_kept(build: Build) -> None:
    def double(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        return images * 2, {"clean": images}

    def turn(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        label = torch.randint(4, (len(images),), generator=generator)
        return images + 1, {"label": label}

    images = images_of(1)
    views = build(ViewSpec(ops=(double, turn)), ViewSpec(), flux="zscore", std=2.0)(
        images, torch.arange(6), {}, seeded()
    )
    assert torch.equal(views.images[0], images / 2 * 2 + 1)
    assert views.extras[0].keys() == {"clean", "label"}
    assert torch.equal(views.extras[0]["clean"], images / 2), "after flux scaling"
    assert views.extras[1] == {}
    with pytest.raises(UserError, match=r"view 1: .* both return 'clean'"):
        build(ViewSpec(), ViewSpec(ops=(double, double)))(images, torch.arange(6), {}, seeded())


def test_paper_views_come_from_each_image_mapped_to_the_unit_interval(build: Build) -> None:
    recipe = PaperRecipe(scale=(1.0, 1.0), flip=0.0, jitter_p=0.0, grey_p=0.0, blur_p=0.0)
    pipeline = build(ViewSpec(paper=recipe), bands=("b0", "b1", "b2"), policy="paper", flux="zscore")
    images = images_of(3) * 50 - 20
    torch.testing.assert_close(only(pipeline, images), pipeline.scaling(images), atol=2e-5, rtol=0)
    assert pipeline.scaling.as_json()["scaling"] == "minmax"
    assert build(flux="asinh").scaling.as_json()["scaling"] == "asinh"


@pytest.mark.parametrize(
    ("views", "options", "message"),
    [
        ((ViewSpec(), ViewSpec(size=7)), {}, r"view 1 of 2.*it is 7 pixels wide, below 8"),
        ((ViewSpec(scale=(0.01, 0.2)),), {}, r"view 0 of 1.*smallest crop is 3.2 pixels"),
        ((ViewSpec(scale=(0.5, 1.5)),), {}, r"view 0 of 1.*up to 1.5 of the image's area"),
        ((ViewSpec(),), {"size": 6}, r"view 0 of 1.*it is 6 pixels wide"),
        ((ViewSpec(),), {"policy": "paper"}, r"view 0 of 1.*three bands, and 'test' has 1 \(x\)"),
        ((ViewSpec(),), {"policy": "paper", "bands": RGB, "size": 24}, r"view 0 of 1.*smallest crop is 6.79 pixels"),
        ((ViewSpec(),), {"reddening": (0.0, 0.1), "bands": ("F814W",)}, r"knows none for 'F814W'"),
    ],
)
def test_plans_that_do_not_suit_the_images(
    build: Build, views: tuple[ViewSpec, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build(*views, **options)


def test_statistics_of_other_bands_are_refused() -> None:
    card = DatasetCard(
        name="test", shape=ImageShape(2, 16, 16), bands=("a", "b"), pixel_scale=1.0, targets={}, splits={}
    )
    statistics = BandStatistics((0.0,), (1.0,))
    scaling = Scaling(FluxTable(), statistics)
    with pytest.raises(UserError, match="'test' has 2 bands, its statistics 1"):
        Pipeline(ViewPlan(views=(ViewSpec(),)), ViewsTable(), scaling, card, statistics)
