"""Equivariant Transformer layers (Tai et al. 2019, arXiv 1901.11399): each reads one pose off an image."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional as F

from .options import EquivariantOptions, Size
from .pose import pose_of, transform
from .readout import Angles, angles_at_mean, angles_at_peaks, place_of_peak
from .sampling import cartesian, directions, polar, sample

KERNEL = 5
DEPTH = 16.0  # largest over smallest radius of the log-polar grid
ROOM = 4.0  # largest over smallest radius where the peak of a scale is sought; the canonical one is their mean


@frozen(eq=False)
class Estimate:
    """Poses of B images.

    Attributes:
        pose: (B, F, 6), see :mod:`.pose`; the weights of an image's frames sum to 1.
        confidence: (B,) in [0, 1]: 0 where another pose does as well.
    """

    pose: Tensor
    confidence: Tensor


class PoseNet(nn.Module):
    """Two convolutions over a canonical grid, then for each coordinate the maximum over the other and a heatmap.

    Nothing strides along a coordinate that is read: a shift by one bin must stay one.

    Args:
        bands: C of the image.
        width: Channels.
        heads: Heatmaps: "columns", "rows" or both.
        circular: Whether the columns close upon themselves.
    """

    def __init__(
        self, bands: int, width: int, heads: tuple[Literal["columns", "rows"], ...], *, circular: bool
    ) -> None:
        super().__init__()
        stride = (1, 1) if "rows" in heads else (2, 1)  # radii that are not read may be coarse: a quarter of the cost
        self.circular = circular
        self.first = nn.Conv2d(bands, width, KERNEL, stride=stride, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, KERNEL, stride=stride, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.heads = nn.ModuleDict({name: nn.Conv1d(width, 1, KERNEL, bias=False) for name in heads})

    def forward(self, grid: Tensor) -> dict[str, Tensor]:
        """Logits (B, n) of each head for ``grid`` (B, C, rows, columns)."""
        x = F.leaky_relu(self.first_norm(self.first(self._pad(grid))), 0.1)
        x = F.leaky_relu(self.second_norm(self.second(self._pad(x))), 0.1)
        lines = {name: x.amax(2) if name == "columns" else x.amax(3) for name in self.heads}
        return {name: head(self._ends(lines[name], name)).squeeze(1) for name, head in self.heads.items()}

    def _pad(self, x: Tensor) -> Tensor:
        """(B, C, h, w) with a margin: rows repeat the outermost, columns go round if they close."""
        return self._ends(F.pad(x, (0, 0, KERNEL // 2, KERNEL // 2), mode="replicate"), "columns")

    def _ends(self, x: Tensor, axis: str) -> Tensor:
        """(..., n) with a margin along its last axis."""
        margin = KERNEL // 2
        if self.circular and axis == "columns":
            return torch.cat((x[..., -margin:], x, x[..., :margin]), dim=-1)
        ends = (x[..., :1].expand(*x.shape[:-1], margin), x, x[..., -1:].expand(*x.shape[:-1], margin))
        return torch.cat(ends, dim=-1)


class EquivariantLayer(nn.Module, ABC):
    """A grid of canonical coordinates, in which a group acts by shifts, and a network that reads the shift."""

    points: Tensor

    def __init__(self, points: Tensor) -> None:
        super().__init__()
        self.register_buffer("points", points.float(), persistent=False)  # (rows, columns, 2)

    def forward(self, images: Tensor, so_far: Tensor) -> Estimate:
        """The pose of what ``images`` (B, C, H, W) look like under poses ``so_far`` (B, 6), sampled once."""
        size: Size = (images.shape[-2], images.shape[-1])
        return self.read(sample(images, transform(so_far, self.points), size))

    @abstractmethod
    def read(self, grid: Tensor) -> Estimate:
        """The pose of images sampled at ``points``, (B, C, rows, columns)."""


class Rotation(EquivariantLayer):
    """Polar coordinates: a turn shifts the columns. With ``reflections`` the mirror image, reversed columns, competes.

    Args:
        options: Sizes and readout.
        bands: C of the image.
        last: Whether frames may be several: no layer follows.
    """

    directions: Tensor

    def __init__(self, options: EquivariantOptions, bands: int, *, last: bool) -> None:
        super().__init__(polar(self.radii(options.radii), options.n_theta))
        self.register_buffer("directions", directions(options.n_theta).float(), persistent=False)
        self.reflections, self.readout = options.reflections, options.readout
        self.frames = options.frames if last and options.readout == "frames" else 1
        self.net = self.build_net(bands, options.channels)

    def radii(self, count: int) -> Tensor:
        """Evenly spaced in (0, 1]: the inscribed disc."""
        return torch.arange(1, count + 1, dtype=torch.float64) / count

    def build_net(self, bands: int, width: int) -> PoseNet:
        """The pose network."""
        return PoseNet(bands, width, ("columns",), circular=True)

    def read(self, grid: Tensor) -> Estimate:
        """See :meth:`EquivariantLayer.read`."""
        logits = self.logits(grid)
        return self.pose(self.read_angles(logits["columns"]), logits)

    def logits(self, grid: Tensor) -> dict[str, Tensor]:
        """Heatmaps (B, M, n) of the grid and, with reflections, of its mirror image, in which angles are negated."""
        if not self.reflections:
            return {name: one[:, None] for name, one in self.net(grid).items()}
        mirror = grid.flip(-1).roll(1, -1)  # column k to column -k
        return {
            name: one.view(2, len(grid), -1).transpose(0, 1)
            for name, one in self.net(torch.cat((grid, mirror))).items()
        }

    def read_angles(self, logits: Tensor) -> Angles:
        """Angles off heatmaps (B, M, n_theta)."""
        if self.readout == "mean":
            return angles_at_mean(logits, self.directions)
        return angles_at_peaks(logits, self.directions, self.frames)

    def pose(self, read: Angles, logits: dict[str, Tensor]) -> Estimate:
        """M R(a) = R(-a) M: what is read off the mirror image turns the other way."""
        angle = torch.where(read.mirrored == 1, -read.angle, read.angle)
        return Estimate(pose_of(angle, mirrored=read.mirrored, weight=read.weight), read.confidence)


class RotationScale(Rotation):
    """Log-polar coordinates: a turn shifts the columns and a magnification the rows."""

    def radii(self, count: int) -> Tensor:
        """Evenly spaced in ln r, from 1/16 to 1."""
        return torch.linspace(-math.log(DEPTH), 0.0, count, dtype=torch.float64).exp()

    def build_net(self, bands: int, width: int) -> PoseNet:
        """The pose network."""
        return PoseNet(bands, width, ("columns", "rows"), circular=True)

    def pose(self, read: Angles, logits: dict[str, Tensor]) -> Estimate:
        """The angle as of a rotation; the scale at the peak among the outer radii, of the same mirror image."""
        turned = super().pose(read, logits)
        rows = logits["rows"].gather(1, read.mirrored[..., None].expand(-1, -1, logits["rows"].shape[-1]))
        step = math.log(DEPTH) / (rows.shape[-1] - 1)
        outer = rows[..., -(round(math.log(ROOM) / step) + 1) :]  # (B, F, rows)
        place, confidence = place_of_peak(outer, outer[..., -1:])
        log_radius = (place - (outer.shape[-1] - 1)) * step  # 0 at the edge
        columns = torch.tensor([0, 1, 0, 0, 0, 0], device=place.device, dtype=place.dtype)
        pose = turned.pose + (log_radius + math.log(ROOM) / 2)[..., None] * columns
        return Estimate(pose, torch.minimum(turned.confidence, confidence[:, 0]))


class Translation(EquivariantLayer):
    """The image itself: a shift to the right shifts the columns, one upwards the rows.

    Args:
        options: Sizes; the grid has as many points along a side as the polar one along a diameter.
        bands: C of the image.
        last: Of no concern here.
    """

    def __init__(self, options: EquivariantOptions, bands: int, *, last: bool) -> None:
        super().__init__(cartesian(2 * options.radii))
        self.net = PoseNet(bands, options.channels, ("columns", "rows"), circular=False)

    def read(self, grid: Tensor) -> Estimate:
        """See :meth:`EquivariantLayer.read`."""
        logits = self.net(grid)
        heat = torch.stack((logits["columns"], logits["rows"]), dim=1)  # (B, 2, n)
        place, confidence = place_of_peak(heat, heat.median(-1, keepdim=True).values)
        x, y = (place * (2.0 / (heat.shape[-1] - 1)) - 1.0)[..., None].unbind(1)  # (B, 1)
        return Estimate(pose_of(torch.zeros_like(x), x=x, y=y), confidence.amin(1))


LAYERS: dict[str, Callable[..., EquivariantLayer]] = {
    "rotation": Rotation,
    "rotation-scale": RotationScale,
    "translation": Translation,
}
