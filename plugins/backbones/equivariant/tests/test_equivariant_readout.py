import math

import pytest
import torch
from deeplense_equivariant import readout
from deeplense_equivariant.layers import PoseNet, Rotation, RotationScale, Translation
from deeplense_equivariant.options import EquivariantOptions
from deeplense_equivariant.readout import angles_at_mean, angles_at_peaks, place_of_peak
from deeplense_equivariant.sampling import directions

BINS = 96
STEP = 2 * math.pi / BINS


def bumps(*peaks):
    """A heatmap (1, 1, n) with smooth peaks (place in bins, height)."""
    places = torch.arange(BINS)
    gap = [((places - place + BINS / 2) % BINS - BINS / 2) / 5 for place, _ in peaks]
    return sum(height * (-g.square()).exp() for g, (_, height) in zip(gap, peaks, strict=True))[None, None]


def unit(inclusive=False):
    if inclusive:  # the published grid
        turn = torch.linspace(-math.pi, math.pi, BINS)
        return torch.stack((turn.cos(), turn.sin()), -1)
    return directions(BINS).float()


def distance(a, b):
    return ((a - b + math.pi) % (2 * math.pi) - math.pi).abs()


@pytest.mark.parametrize("name", ["peak", "mean", "frames"])
@pytest.mark.parametrize("reflections", [False, True])
def test_a_roll_by_k_bins_is_a_turn_by_k_steps(name, reflections):
    torch.manual_seed(0)
    options = EquivariantOptions(readout=name, reflections=reflections)
    layer = Rotation(options, 2, last=True).eval()
    grid = torch.randn(4, 2, 32, BINS)
    with torch.no_grad():
        start = layer.read(grid)
        for k in (1, 7, 24, 50, 95):
            turned = layer.read(grid.roll(k, -1))
            assert torch.equal(turned.pose[..., 4], start.pose[..., 4])
            assert distance(turned.pose[..., 0], start.pose[..., 0] + k * STEP).max() <= 1e-4
            torch.testing.assert_close(turned.pose[..., 5], start.pose[..., 5], rtol=0, atol=1e-4)


def test_the_published_grid_and_a_stride_along_the_angle_fail_that():
    torch.manual_seed(0)
    layer = Rotation(EquivariantOptions(readout="mean", reflections=False), 1, last=True).eval()
    grid = torch.randn(4, 1, 32, BINS)

    def error(k):
        with torch.no_grad():
            poses = [layer.read(one).pose[..., 0] for one in (grid, grid.roll(k, -1))]
        return distance(poses[1], poses[0] + k * STEP).max()

    assert error(7) <= 1e-4
    layer.directions = unit(inclusive=True)
    assert error(7) > 1e-2
    layer.directions = unit()
    layer.net.second.stride = (2, 2)
    layer.directions = layer.directions[::2]
    assert error(7) > 1e-2


def test_a_uniform_heatmap_has_no_resultant_but_on_the_published_grid():
    flat = torch.zeros(1, 1, BINS, requires_grad=True)
    read = angles_at_mean(flat, unit())
    assert (read.confidence.item(), read.angle.item()) == (pytest.approx(0.0, abs=1e-6), 0.0)
    read.angle.sum().backward()
    assert flat.grad.isfinite().all()
    wrong = angles_at_mean(torch.zeros(1, 1, BINS), unit(inclusive=True))
    assert wrong.confidence.item() == pytest.approx(1 / BINS, rel=1e-3)  # towards the direction that is there twice
    assert distance(wrong.angle, torch.tensor(math.pi)).item() < 1e-3


def test_peaks_are_found_between_bins_and_weighted_by_their_scores():
    found = angles_at_peaks(bumps((30.4, 1.0), (70.0, 0.6)), unit(), 3)
    assert distance(found.angle[0, :2], torch.tensor([30.4, 70.0]) * STEP).max() < 0.2 * STEP
    assert found.weight[0, 0] > found.weight[0, 1] > found.weight[0, 2] == 0.0
    assert found.weight.sum().item() == pytest.approx(1.0)
    assert found.confidence.item() > 0.3


def test_equal_peaks_leave_no_confidence_and_share_the_weight():
    found = angles_at_peaks(bumps((10.0, 1.0), (58.0, 1.0)), unit(), 2)
    assert found.confidence.item() < 1e-3
    torch.testing.assert_close(found.weight, torch.full((1, 2), 0.5), rtol=0, atol=1e-3)


def test_a_missing_peak_is_a_frame_of_no_weight():
    found = angles_at_peaks(bumps((40.0, 1.0)), unit(), 4)
    assert found.angle.isfinite().all()
    assert found.weight[0, 0].item() == 1.0


def test_what_stands_ahead_of_a_peak_tells_it_from_its_mirror_image():
    lens = ((20.0, 1.0), (35.0, 0.5), (60.0, 0.7))  # three images: their places read the other way round are others
    there = bumps(*lens)
    mirror = bumps(*[(-place % BINS, height) for place, height in lens])
    first, second = (angles_at_peaks(torch.cat(rows, 1), unit()) for rows in ((there, mirror), (mirror, there)))
    assert first.mirrored.item() == 1 - second.mirrored.item()
    torch.testing.assert_close(first.angle, second.angle)
    assert first.confidence.item() > 0.5


def test_the_place_of_a_peak_moves_with_it_and_stays_at_an_edge():
    heat = torch.stack([(-((torch.arange(40) - place) / 4).square()).exp() for place in (12.0, 13.5, 0.0)])
    place, confidence = place_of_peak(heat, torch.zeros(3, 1))
    assert place[1] - place[0] == pytest.approx(1.5, abs=0.1)
    assert 0.0 <= place[2] < 2.0
    assert ((confidence >= 0) & (confidence <= 1)).all()
    torch.testing.assert_close(place_of_peak(-heat, torch.zeros(3, 1))[0], place)  # a trough is as good


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layer", [Rotation, RotationScale, Translation])
@pytest.mark.parametrize("name", ["peak", "mean"])
def test_a_blank_image_has_a_finite_pose_and_gradient(layer, name, training):
    module = layer(EquivariantOptions(readout=name), 1, last=True).train(training)
    grid = torch.zeros(2, 1, *module.points.shape[:2], requires_grad=True)
    found = module.read(grid)
    found.pose.sum().backward()
    assert found.pose.isfinite().all()
    assert all(p.grad.isfinite().all() for p in (grid, *module.parameters()) if p.grad is not None)
    assert found.confidence.max() < 1e-3


def test_the_network_has_the_size_of_the_reference():
    assert sum(p.numel() for p in PoseNet(1, 32, ("columns",), circular=True).parameters()) == 26_688


def test_flat_rows_stay_flat():
    assert torch.equal(readout.sharpen(torch.full((2, 9), 3.0)), torch.zeros(2, 9))
