"""Equivariant Transformer layers (Tai et al. 2019, arXiv 1901.11399) before a trunk, as one backbone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from deeplense_registry import Backbone, Features, ImageShape, UserError, build
from deeplense_registry.blocks import widen

from .averaging import average
from .layers import LAYERS, Estimate
from .options import EquivariantOptions, Size, spread
from .pose import COLUMNS, compose, inverse, pose_of, transform
from .sampling import disc, lattice, sample


class Equivariant(Backbone):
    """Finds the pose of each image, undoes it by one interpolation, and lets a trunk see the result.

    ``pooled`` then hardly depends on how the image lies. ``grid`` and ``pyramid`` are turned back into the input's
    frame, their cells taken to cover the image evenly. ``aux`` holds ``pose`` (B, F, 6), see :mod:`.pose`, and
    ``confidence`` (B,) in [0, 1]. A pose handed in is used instead of an estimate, that of another view for one.

    Poses refer to the image's centre, so views must keep it. The trunk sees the inscribed disc, in a square of the
    image's shorter side; without groups it sees all of the image. The pose networks have batch norm, and work in
    float32 whatever the precision of the run.

    Args:
        options: The trunk and what comes before it.
        shape: Sets the bands, and the trunk's size.
        drop_path: Of the trunk.

    Raises:
        PluginError: The trunk is not installed or broken.
        SpecError: One of its options is wrong.
    """

    centred_crops: ClassVar[bool] = True

    def __init__(self, options: EquivariantOptions, shape: ImageShape, *, drop_path: float | None = None) -> None:
        super().__init__(options, shape, drop_path=drop_path)
        self.options, self.channels = options, shape.channels
        self.trunk: Backbone = build(
            "backbone", options.trunk, options.trunk_options, shape=options.canonical(shape), drop_path=drop_path
        )
        self.width = self.trunk.width
        groups = options.groups
        self.layers = nn.ModuleList(
            LAYERS[group](options, shape.channels, last=place == len(groups)) for place, group in enumerate(groups, 1)
        )

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Features of ``images`` (B, C, H, W) of any size that the trunk takes.

        Args:
            images: Float.
            pose: (B, F, 6) as found in ``aux``, or (B, 6).

        Raises:
            UserError: Another number of bands than it was built for, a pose of another shape, or what the trunk says.
        """
        self._check(images, pose)
        if pose is not None:
            pose = pose.reshape(len(images), -1, COLUMNS)
            return self._posed(images, pose, {"pose": pose})
        if not self.layers:
            return self._see(images)
        found = self.estimate(images)
        return self._posed(images, found.pose, {"pose": found.pose, "confidence": found.confidence})

    def estimate(self, images: Tensor) -> Estimate:
        """The poses of ``images`` (B, C, H, W), through every group in turn."""
        with torch.autocast(images.device.type, enabled=False):  # a pose needs more than the 8 bits of bfloat16
            images = widen(images)
            so_far, confidence = pose_of(images.new_zeros(len(images), 1)), images.new_ones(len(images))
            for layer in self.layers:
                found = layer(images, so_far[:, 0])
                so_far, confidence = compose(so_far, found.pose), torch.minimum(confidence, found.confidence)
        return Estimate(so_far, confidence)

    def canonical(self, images: Tensor, pose: Tensor) -> Tensor:
        """``images`` (B, C, H, W) under poses (B, F, 6), in the square about the disc: (B, F, C, m, m)."""
        square = (min(_size(images)),) * 2
        images, count = widen(images), pose.shape[1]
        points = transform(pose.flatten(0, 1), lattice(square, square, images))  # (B * F, m, m, 2)
        several = images.repeat_interleave(count, 0) if count > 1 else images
        seen = sample(several, points, _size(images), mode=self.options.interpolation) * disc(square, images)
        return seen.view(-1, count, *seen.shape[1:])

    def no_weight_decay(self) -> frozenset[str]:
        """What the trunk spares."""
        return frozenset(f"trunk.{name}" for name in self.trunk.no_weight_decay())

    def _posed(self, images: Tensor, pose: Tensor, aux: dict[str, Tensor]) -> Features:
        with torch.autocast(images.device.type, enabled=False):
            frames = self.canonical(images, pose)
        seen = self._see(frames.flatten(0, 1))
        with torch.autocast(images.device.type, enabled=False):
            return _turned_back(seen, pose, _size(images), aux)

    def _see(self, images: Tensor) -> Features:
        return average(self.trunk, images) if self.options.average == "d4" else self.trunk(images)

    def _check(self, images: Tensor, pose: Tensor | None) -> None:
        if images.shape[1] != self.channels:
            raise UserError(f"equivariant was built for images of {self.channels} bands and got {images.shape[1]}")
        if pose is not None and (pose.shape[0], pose.shape[-1], pose.ndim > 3) != (len(images), COLUMNS, False):
            shape = f"({len(images)}, {COLUMNS}) or ({len(images)}, frames, {COLUMNS})"
            raise UserError(
                f"equivariant got a pose of shape {tuple(pose.shape)}; it takes {shape}, as aux['pose'] has"
            )


def _turned_back(seen: Features, pose: Tensor, size: Size, aux: dict[str, Tensor]) -> Features:
    """Features of B * F canonical images as those of B inputs of ``size``, grids in the inputs' frame."""
    levels = [_input_frame(level, pose, size) for level in seen.pyramid]
    own = [turned for turned, level in zip(levels, seen.pyramid, strict=True) if level is seen.grid]
    return Features(
        pooled=_mean(widen(seen.pooled), pose),
        grid=own[0] if own else _input_frame(seen.grid, pose, size),
        pyramid=tuple(levels),
        aux=aux,
    )


def _input_frame(maps: Tensor, pose: Tensor, size: Size) -> Tensor:
    """Maps (B * F, C, h, w) of canonical images, seen from the input and averaged over frames: (B, C, h, w)."""
    maps = widen(maps)
    side = min(size)
    points = transform(inverse(pose).flatten(0, 1), lattice(spread(_size(maps), size), size, maps))
    return _mean(sample(maps, points, (side, side), beyond="border"), pose)


def _mean(rows: Tensor, pose: Tensor) -> Tensor:
    """The mean of (B * F, ...) over the frames of each image, by their weights: (B, ...)."""
    weight = pose[..., -1]  # (B, F)
    return torch.einsum("bf,bf...->b...", weight, rows.reshape(*weight.shape, *rows.shape[1:]))


def _size(maps: Tensor) -> Size:
    return maps.shape[-2], maps.shape[-1]
