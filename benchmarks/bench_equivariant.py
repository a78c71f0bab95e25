"""What the Equivariant Transformer costs on this machine, and how exact its coordinates are.

    python benchmarks/bench_equivariant.py [--threads 2] [--rounds 9]

Speed: forward and backward of the front end alone (the pose of 32 images of 64 pixels, and their canonical images),
beside a step of LeViT-128S with its published stem. The goal is 1.8 steps for a rotation, as published; the mirror
images that compete by default cost a second pass of the pose network. Exit code 1 if it is missed.

Exactness of what no threshold is published for: a magnification by s shifts log-polar coordinates by ln s, and two
rotations in sequence are one, sampled once.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

import torch
from deeplense_equivariant.backbone import Equivariant
from deeplense_equivariant.layers import RotationScale
from deeplense_equivariant.options import EquivariantOptions
from deeplense_equivariant.pose import compose, pose_of, transform
from deeplense_equivariant.sampling import lattice, sample
from torch import Tensor

from benchmarks.networks import SHAPE, both_ways, turns
from benchmarks.timing import line
from deeplense_registry import Backbone, build
from deeplense_registry.evaluation.equivariance import scenes

GOAL = 1.8
Step = Callable[[], Tensor]


def front_end(images: Tensor, *, reflections: bool) -> Step:
    """Poses and canonical images, without the trunk."""
    model = Equivariant(EquivariantOptions(reflections=reflections), SHAPE).train()
    return lambda: model.canonical(images, model.estimate(images).pose)


def whole(images: Tensor, use: str, **options: object) -> Step:
    """Features."""
    model: Backbone = build("backbone", use, options, shape=SHAPE).train()
    return lambda: model(images).pooled


def log_polar_error(size: int) -> float:
    """The largest change, over the peak, of log-polar images of magnified scenes, moved back by the logarithm."""
    layer, images = RotationScale(EquivariantOptions(), 1, last=True), scenes(8, size)
    rows = layer.points.shape[0]
    step = math.log(16.0) / (rows - 1)  # between the logarithms of two radii
    grid, points = lattice((size, size), (size, size), images), layer.points.expand(8, -1, -1, -1)
    upright, worst = sample(images, points, (size, size)), 0.0
    for k in (-3, -1, 1, 3):
        magnified = sample(images, (grid * math.exp(-k * step)).expand(8, -1, -1, -1), (size, size), mode="bicubic")
        moved = sample(magnified, points, (size, size)).roll(-k, 2)
        inside = slice(max(-k, 0), rows - 1 - max(k, 0))  # rows whose content is in both, without the edge
        worst = max(worst, float((moved - upright)[:, :, inside].abs().max() / upright.max()))
    return worst


def composition_error() -> tuple[float, float]:
    """The largest difference, over the peak, of one rotation from two: composed and sampled once, and sampled twice."""
    images = scenes(8, 64)
    first, second = torch.full((8,), 0.7), torch.full((8,), 1.9)
    grid, size = lattice((64, 64), (64, 64), images), (64, 64)

    def seen(of: Tensor, pose: Tensor) -> Tensor:
        return sample(of, transform(pose, grid), size)

    once = seen(images, pose_of(first + second))
    composed = seen(images, compose(pose_of(first), pose_of(second)))
    twice = seen(seen(images, pose_of(first)), pose_of(second))
    return float((composed - once).abs().max() / images.max()), float((twice - once).abs().max() / images.max())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = scenes(32, 64)
    steps = {
        "LeViT-128S": whole(images, "levit", variant="128s"),
        "front end, rotation": front_end(images, reflections=False),
        "front end, with mirror (default)": front_end(images, reflections=True),
        "LeViT 128s-s8 (default trunk)": whole(images, "levit"),
        "the same behind the front end": whole(images, "equivariant"),
        "the same, D4 average alone": whole(images, "equivariant", groups=[], average="d4"),
    }
    rates = turns({name: both_ways(step, len(images)) for name, step in steps.items()}, arguments.rounds)
    for name, one in rates.items():
        print(line(name, one))
    composed, twice = composition_error()
    shifts = ", ".join(f"{log_polar_error(size):.1e} at {size} pixels" for size in (64, 150, 512))
    print(f"log-polar shift by a magnification: largest error of the peak {shifts}")
    print(f"two rotations composed and sampled once: {composed:.1e} of the peak from one; sampled twice: {twice:.1e}")
    step, plain, mirrored, *_ = rates.values()
    ratios = [step.over(one) for one in (plain, mirrored)]
    print(f"front end in LeViT-128S steps: {ratios[0]:.2f} (goal {GOAL}), with mirror {ratios[1]:.2f}")
    return int(ratios[0] > GOAL)


if __name__ == "__main__":
    sys.exit(main())
