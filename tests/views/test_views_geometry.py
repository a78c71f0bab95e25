from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from deeplense_registry.interfaces import ViewSpec
from deeplense_registry.spec.tables import ViewsTable
from deeplense_registry.views.geometry import Window, look, points, warp


def window(
    count: int,
    *,
    extent: tuple[float, float],
    angle: float = 0.0,
    mirror: bool = False,
    centre: tuple[float, float] = (0.0, 0.0),
) -> Window:
    return Window(
        centre=torch.tensor([centre] * count),
        extent=torch.tensor([extent] * count),
        angle=torch.full((count,), angle),
        mirror=torch.full((count,), mirror),
    )


def source(size: int, sigma: float) -> Tensor:
    """A round source of peak brightness 1 in the middle, (1, 1, size, size)."""
    profile = torch.exp(-((torch.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    return (profile[:, None] * profile)[None, None]


def radius(image: Tensor) -> float:
    """The root of the second moment along x."""
    column = image.double().sum((0, 1, 2)) / image.double().sum()
    return float((column * (torch.arange(len(column)) - (len(column) - 1) / 2) ** 2).sum().sqrt())


@given(turns=st.integers(0, 3), mirror=st.booleans(), size=st.integers(8, 17), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_quarter_turns_and_mirrors_permute_pixels(turns: int, mirror: bool, size: int, seed: int) -> None:
    images = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed))
    views = warp(images, window(2, extent=(size, size), angle=turns * math.pi / 2, mirror=mirror), (size, size))
    expected = torch.rot90(images.flip(-1) if mirror else images, turns, (-2, -1))
    torch.testing.assert_close(views, expected, atol=2e-5, rtol=0)


@given(dx=st.integers(-4, 4), dy=st.integers(-4, 4))
@settings(max_examples=20, deadline=None)
def test_a_shift_by_whole_pixels_rolls_the_interior(dx: int, dy: int) -> None:
    images = torch.rand(2, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    views = warp(images, window(2, extent=(16, 12), centre=(-dx, -dy)), (12, 16))
    rolled = images.roll((dy, dx), (-2, -1))
    torch.testing.assert_close(views[..., 4:-4, 4:-4], rolled[..., 4:-4, 4:-4], atol=1e-5, rtol=0)
    if dx > 0:
        assert (views[..., :dx].abs() < 1e-5).all(), "beyond the image there is sky"


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_zoom_scales_a_source_and_keeps_its_surface_brightness(factor: float) -> None:
    images = source(65, 5.0)
    view = warp(images, window(1, extent=(65 / factor, 65 / factor)), (65, 65))
    assert radius(view) == pytest.approx(factor * radius(images), rel=0.01)
    assert view[0, 0, 32, 32].item() == pytest.approx(1.0, abs=1e-6)
    assert view.sum().item() == pytest.approx(factor**2 * images.sum().item(), rel=0.01)


def test_a_rectangular_window_is_stretched_to_the_view() -> None:
    images = torch.arange(16.0).repeat(16, 1)[None, None]  # brightness is the column
    view = warp(images, window(1, extent=(8, 16)), (16, 16))
    torch.testing.assert_close(view[0, 0, 5, 4:8], torch.tensor([5.75, 6.25, 6.75, 7.25]))


def test_a_coarse_view_averages_what_it_skips() -> None:
    checkers = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float()[None, None]
    spec = ViewSpec(size=16)
    table = ViewsTable(rotate=False, flip=False, shift=0.0, zoom=(1.0, 1.0))
    views, magnification = look(checkers, spec, table, torch.Generator(), centred=False)
    torch.testing.assert_close(views, torch.full((1, 1, 16, 16), 0.5))
    assert magnification.item() == 0.25
    assert [points(step) for step in (0.3, 1.0, 1.4, 1.6, 4.0)] == [1, 1, 1, 2, 4]


def test_crops_have_the_area_asked_for_and_lie_inside(generator: torch.Generator) -> None:
    images = torch.ones(400, 1, 64, 64)
    table = ViewsTable(rotate=False, shift=0.0, zoom=(1.0, 1.0))
    views, magnification = look(images, ViewSpec(size=24, scale=(0.25, 0.49)), table, generator, centred=False)
    area = (24 / magnification / 64).square()
    assert area.min() >= 0.2499
    assert area.max() <= 0.4901
    assert area.mean() == pytest.approx(0.37, abs=0.02)
    assert views[..., 1:-1, 1:-1].min() > 1 - 1e-5, "no crop reaches beyond the image"


def test_a_square_view_of_a_wide_image_is_not_stretched(generator: torch.Generator) -> None:
    images = torch.zeros(1, 1, 33, 65)
    images[..., 16 - 6 : 16 + 7, 32 - 6 : 32 + 7] = 1.0  # 13 x 13
    table = ViewsTable(rotate=False, flip=False, zoom=(1.0, 1.0))
    view, magnification = look(images, ViewSpec(size=33), table, generator, centred=True)
    assert magnification.item() == 1.0
    torch.testing.assert_close(view, images[..., 16:-16], atol=1e-5, rtol=0)


def test_each_parameter_follows_its_range(generator: torch.Generator) -> None:
    ramp = torch.arange(33.0).expand(33, 33)
    images = torch.stack((ramp, ramp.T))[None].repeat(2000, 1, 1, 1) - 16.0  # the bands hold x and y of the content
    table = ViewsTable(rotate=False, shift=3.0, zoom=(0.5, 2.0))
    views, magnification = look(images, ViewSpec(), table, generator, centred=False)
    x, y = views[:, 0, 16, 16], views[:, 1, 16, 16]  # what lies in the middle
    for shift in (x, y):
        assert shift.abs().max() <= 3.0
        assert shift.std() == pytest.approx(3 / math.sqrt(3), rel=0.05)
    assert magnification.log().mean() == pytest.approx(0.0, abs=4 * math.log(4) / math.sqrt(12 * 2000))
    assert magnification.min() >= 0.5
    assert magnification.max() <= 2.0
    mirrored = (views[:, 0, 16, 17] < x).float().mean()
    assert mirrored == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(2000))
    turned, _ = look(images, ViewSpec(), ViewsTable(flip=False, zoom=(1.0, 1.0)), generator, centred=True)
    angle = torch.atan2(turned[:, 0, 15, 16], turned[:, 0, 16, 17])
    assert angle.cos().mean() == pytest.approx(0.0, abs=4 * math.sqrt(0.5 / 2000))
    assert angle.sin().mean() == pytest.approx(0.0, abs=4 * math.sqrt(0.5 / 2000))


def test_centred_views_keep_the_centre(generator: torch.Generator) -> None:
    images = torch.zeros(64, 1, 33, 33)
    images[..., 16, 16] = 1.0
    views, _ = look(images, ViewSpec(size=17, scale=(0.3, 1.0)), ViewsTable(shift=5.0), generator, centred=True)
    assert (views.flatten(1).argmax(1) == 8 * 17 + 8).all()


def test_what_may_not_change_is_a_copy(generator: torch.Generator) -> None:
    images = torch.rand(3, 2, 9, 9)
    table = ViewsTable(rotate=False, flip=False, shift=4.0, zoom=(1.0, 1.0))
    views, magnification = look(images, ViewSpec(), table, generator, centred=True)
    assert torch.equal(views, images)
    assert views.data_ptr() != images.data_ptr()
    assert torch.equal(magnification, torch.ones(3))
