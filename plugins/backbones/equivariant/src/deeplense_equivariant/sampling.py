"""Images and feature maps at points of the plane; points are in the units of :mod:`.pose`."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .options import Size


def angles(count: int) -> Tensor:
    """(count,) float64: a whole turn without its end, which is its beginning.

    With both ends, as published, one direction counts twice: the circular mean of a uniform heatmap is that direction
    instead of nothing, and a quarter turn is no whole shift.
    """
    return torch.arange(count, dtype=torch.float64) * (2.0 * math.pi / count)


def directions(count: int) -> Tensor:
    """Unit vectors (count, 2) float64 at :func:`angles`, ``count`` a multiple of 4.

    Those of the first quarter are computed and the others follow by (x, y) -> (-y, x), which makes a quarter turn an
    exact symmetry of the grid.
    """
    first = angles(count)[: count // 4]
    quarter = torch.stack((first.cos(), first.sin()), dim=-1)
    turns = [quarter]
    for _ in range(3):
        x, y = turns[-1].unbind(-1)
        turns.append(torch.stack((-y, x), dim=-1))
    return torch.cat(turns)


def polar(radii: Tensor, count: int) -> Tensor:
    """Points (len(radii), count, 2) at ``radii`` (float64) in each of ``count`` directions."""
    return radii[:, None, None] * directions(count)


def cartesian(count: int) -> Tensor:
    """Points (count, count, 2) float64 of the square [-1, 1], the rows along y, upwards, and the columns along x."""
    line = torch.linspace(-1.0, 1.0, count, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack((x, y), dim=-1)


def lattice(cells: Size, size: Size, like: Tensor) -> Tensor:
    """The centres (h, w, 2) of ``cells`` (h, w) that cover an image of ``size`` (H, W) pixels evenly."""
    half = _half(size)
    y, x = (
        (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) * (side / count) - side / 2
        for count, side in zip(cells, size, strict=True)
    )
    return torch.stack(((x / half).expand(*cells), (-y / half)[:, None].expand(*cells)), dim=-1)


def sample(maps: Tensor, points: Tensor, size: Size, *, mode: str = "bilinear", beyond: str = "zeros") -> Tensor:
    """``maps`` at points: (N, C, h, w) and (N, ..., 2), of two dimensions between, give (N, C, ...).

    Args:
        maps: Images, or features whose cells cover the image evenly.
        points: In the units of the image.
        size: (H, W) of the image, in pixels.
        mode: "bilinear" or "bicubic".
        beyond: "zeros", or "border" for the outermost cell.
    """
    half = _half(size)
    scale = points.new_tensor((2.0 * half / size[1], -2.0 * half / size[0]))  # to edges at -1 and 1, y downwards
    return F.grid_sample(maps, points * scale, mode=mode, padding_mode=beyond, align_corners=False)


def disc(size: Size, like: Tensor) -> Tensor:
    """(H, W): 1 inside the inscribed disc and 0 in the corners, which turn in and out of sight."""
    radius = lattice(size, size, like).square().sum(-1)
    return (radius <= 1.0 + 1e-5).to(like.dtype)


def _half(size: Size) -> float:
    """Half the shorter side in pixels, between centres: the unit of length."""
    return max(min(size) - 1, 1) / 2
