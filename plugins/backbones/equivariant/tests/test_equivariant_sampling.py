import math

import pytest
import torch
from deeplense_equivariant import sampling
from deeplense_equivariant.layers import Rotation
from deeplense_equivariant.options import EquivariantOptions
from deeplense_equivariant.pose import compose, inverse, pose_of, transform
from deeplense_equivariant.sampling import angles, cartesian, directions, disc, lattice, polar, sample
from hypothesis import given
from hypothesis import strategies as st

numbers = st.floats(-2.0, 2.0)
poses = st.tuples(st.floats(-7.0, 7.0), st.floats(-1.0, 1.0), numbers, numbers, st.sampled_from([0.0, 1.0]))


def row(values, weight=1.0):
    return torch.tensor([[*values, weight]], dtype=torch.float64)


def smooth(count=2, size=64, seed=0):
    """Band-limited images, in float32."""
    coarse = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)


def test_the_first_angle_is_not_there_twice():
    torch.testing.assert_close(angles(96).diff(), torch.full((95,), 2 * math.pi / 96, dtype=torch.float64))
    assert angles(96)[-1].item() == pytest.approx(2 * math.pi * 95 / 96)
    assert directions(96).sum(0).abs().max() < 1e-12


@pytest.mark.parametrize("count", [12, 96, 180])
def test_a_quarter_turn_permutes_the_directions_exactly(count):
    x, y = directions(count).float().unbind(-1)
    assert torch.equal(torch.stack((-y, x), -1), directions(count).float().roll(-count // 4, 0))
    torch.testing.assert_close(torch.atan2(*directions(count).flip(-1).unbind(-1)) % (2 * math.pi), angles(count))


@pytest.mark.parametrize("size", [32, 64, 65, 96, 150])
def test_a_turned_image_is_a_rolled_polar_image(size):
    layer = Rotation(EquivariantOptions(), 1, last=True)
    images = smooth(size=size)
    seen = [sample(images.rot90(turns, (2, 3)), layer.points.expand(2, -1, -1, -1), (size, size)) for turns in range(4)]
    for turns in (1, 2, 3):
        assert (seen[turns] - seen[0].roll(turns * 24, -1)).abs().max() <= 1e-5
    assert seen[0].std() > 0.1


def published(count):
    """Both ends of the turn, as in the published code."""
    turn = torch.linspace(-math.pi, math.pi, count, dtype=torch.float64)
    return torch.stack((turn.cos(), turn.sin()), dim=-1)


def test_the_published_grid_is_no_such_thing(monkeypatch):
    monkeypatch.setattr(sampling, "directions", published)
    points = polar(torch.arange(1, 33, dtype=torch.float64) / 32, 96).float().expand(2, -1, -1, -1)
    images = smooth()
    upright, turned = (sample(one, points, (64, 64)) for one in (images, images.rot90(1, (2, 3))))
    assert min((turned - upright.roll(k, -1)).abs().max() for k in range(96)) > 1e-2


def test_radii_reach_the_edge_and_leave_out_the_centre():
    radii = Rotation(EquivariantOptions(), 1, last=True).points.norm(dim=-1)
    assert radii.min() == pytest.approx(1 / 32)
    assert radii.max() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(64, 64), (65, 65), (64, 96), (96, 64), (1, 1)])
def test_an_image_sampled_at_its_own_pixels_is_itself(size):
    images = torch.randn(2, 3, *size)
    for mode in ("bilinear", "bicubic"):
        seen = sample(images, lattice(size, size, images).expand(2, -1, -1, -1), size, mode=mode)
        torch.testing.assert_close(seen, images, rtol=0, atol=2e-4)


def test_the_unit_is_half_the_shorter_side_and_y_points_up():
    points = lattice((64, 96), (64, 96), torch.zeros(1))
    torch.testing.assert_close(points[0, 0], torch.tensor((-95 / 63, 1.0)))
    torch.testing.assert_close(points[-1, -1], torch.tensor((95 / 63, -1.0)))
    cells = lattice((2, 2), (64, 64), torch.zeros(1))
    torch.testing.assert_close(cells[0, 0], torch.tensor((-32 / 63, 32 / 63)))


def test_the_disc_is_inscribed_and_a_quarter_turn_leaves_it():
    for side in (8, 33, 64):
        inside = disc((side, side), torch.zeros(1))
        assert torch.equal(inside, inside.rot90())
        assert (inside[0, 0], inside[side // 2, side // 2]) == (0, 1)
    assert disc((64, 96), torch.zeros(1))[:, :16].sum() == 0
    assert disc((33, 33), torch.zeros(1))[0, 16] == 1  # the middle of the edge


@given(poses, poses)
def test_a_composed_pose_maps_as_one_after_the_other(outer, inner):
    outer, inner, points = row(outer, 0.5), row(inner, 0.25), cartesian(3)
    both = compose(outer, inner)
    one_by_one = torch.stack([transform(outer, point[None])[0] for point in transform(inner, points).view(-1, 2)])
    torch.testing.assert_close(transform(both, points).view(-1, 2), one_by_one.view(-1, 2), rtol=0, atol=1e-9)
    assert both[0, 5] == 0.125


@given(poses)
def test_the_inverse_maps_back(pose):
    pose, points = row(pose), cartesian(3)
    for both in (compose(pose, inverse(pose)), compose(inverse(pose), pose)):
        torch.testing.assert_close(transform(both, points)[0], points, rtol=0, atol=1e-9)


@given(st.floats(-4.0, 4.0), st.floats(-4.0, 4.0))
def test_two_rotations_are_that_of_the_sum(first, second):
    both = compose(row((first, 0, 0, 0, 0)), row((second, 0, 0, 0, 0)))
    torch.testing.assert_close(both, row((first + second, 0, 0, 0, 0)))


def test_a_scene_turned_by_g_looks_upright_at_pose_g(scene_of):
    scene = scene_of("arc", 4)
    upright, turned = scene.render(), scene.render(0.7, mirror=True, shift=(0.1, -0.05), scale=1.2)
    pose = pose_of(
        torch.full((4,), 0.7),
        log_scale=torch.full((4,), math.log(1.2)),
        x=torch.full((4,), 0.1),
        y=torch.full((4,), -0.05),
        mirrored=torch.ones(4),
    )
    points = transform(pose, lattice((64, 64), (64, 64), upright))
    seen = sample(turned, points, (64, 64), mode="bicubic")
    assert (seen - upright).abs().max() < 0.05


def test_the_gradient_of_a_warp_by_its_pose_is_exact():
    images = smooth(2, 12).double()
    start = torch.tensor([[0.3, 0.1, 0.05, -0.1, 0.0, 1.0], [2.0, -0.2, 0.0, 0.1, 1.0, 1.0]], dtype=torch.float64)

    def warp(free):
        pose = torch.cat((free, start[:, 4:]), dim=1)
        return sample(images, transform(pose, lattice((12, 12), (12, 12), images)), (12, 12))

    assert torch.autograd.gradcheck(warp, (start[:, :4].clone().requires_grad_(),))
