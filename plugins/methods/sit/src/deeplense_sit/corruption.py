"""Group-masked corruption: blocks of an image are hidden or replaced, and the model must restore them.

The paper (arXiv 2104.03602, section 3) corrupts images one by one; here a micro-batch is corrupted at once, on its
device, with every random number from the generator that is handed down.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional as F

from deeplense_registry import UserError

from .options import Fill

ROUND = 60
"""Blocks that are drawn at once: about what half an image takes, and what the exponents of float32 can tell apart."""

Corrupted = tuple[Tensor, Mapping[str, Tensor]]
"""The images (B, C, H, W), and beside them ``mask`` (B, 1, H, W), bool, true where they were touched, and ``clean``
(B, C, H, W), what they were."""


@frozen(kw_only=True)
class Blocks:
    """Rectangles at random places, cut at the image's border.

    The authors' code never lets a block start in the last row or column of cells; here it may start in any.

    Attributes:
        largest: Bound of the sides, as a fraction of the image's; not reached.
        align: Places and sides are multiples of it; also the smallest side. In pixels.
    """

    largest: float
    align: int = 1

    def one(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, H, W) bool, a block in each of ``images`` (B, C, H, W)."""
        rows, columns = (self._intervals(len(images), 1, side, generator) for side in images.shape[-2:])
        return rows.mT & columns

    def cover(self, images: Tensor, fraction: Tensor, generator: torch.Generator) -> Tensor:
        """(B, H, W) bool: blocks are added to each image until they cover its ``fraction`` (B,), in [0, 1).

        The last block reaches beyond it by less than its own area.
        """
        count, _, height, width = images.shape
        mask = torch.zeros(count, height * width, dtype=torch.bool, device=images.device)
        wanted = fraction[:, None] * (height * width)  # pixels
        while bool((mask.sum(1, keepdim=True) < wanted).any()):  # ends, since a block can lie on any pixel
            layer = self._layers(images, generator).flatten(1).masked_fill(mask, 0)  # 0: covered already
            pixels = torch.zeros(count, ROUND + 2, device=images.device)
            pixels.scatter_add_(1, layer, torch.ones(1, 1, device=images.device).expand_as(layer))
            short = pixels.cumsum(1) < wanted  # (B, ROUND + 2), under so many blocks
            mask = layer <= short.sum(1, keepdim=True).clamp_max(ROUND)
        return mask.view(count, height, width)

    def _layers(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """(B, H, W) int64: which of ROUND blocks, from 1, lies on a pixel first; ROUND + 1 where none does."""
        rows, columns = (self._intervals(len(images), ROUND, side, generator) for side in images.shape[-2:])
        # Block k weighs 4^-k, which is more than all later ones together: the exponent of the sum tells the first.
        weight = 4.0 ** -torch.arange(1.0, ROUND + 1.0, device=images.device)
        exponent = ((rows * weight[:, None]).mT @ columns.float()).frexp().exponent  # 1 - 2k; 0 of nothing
        return torch.where(exponent == 0, ROUND + 1, (1 - exponent.long()) // 2)

    def _intervals(self, count: int, blocks: int, side: int, generator: torch.Generator) -> Tensor:
        """(count, blocks, side) bool: where blocks lie along one axis."""
        low, high = self.align, int(self.largest * side)
        if high <= low:
            raise UserError(
                f"blocks of {low} to below {self.largest:g} of {side} pixels leave no room; lower drop_align, or raise "
                "block"
            )
        length = _integers(low, high, (count, blocks, 1), generator) // low * low
        start = _integers(0, -(-side // low), (count, blocks, 1), generator) * low
        pixel = torch.arange(side, device=generator.device)
        return (pixel >= start) & (pixel < start + length)


@frozen(kw_only=True)
class Corruption:
    """The current form: blocks of an image are hidden, or pasted from another image.

    Attributes:
        blocks: Their sizes.
        drop_perc: Fraction that is hidden.
        drop_replace: Fraction that is pasted, instead.
        replace_p: Probability of that.
        drop_type: What hides.
    """

    blocks: Blocks
    drop_perc: float
    drop_replace: float
    replace_p: float
    drop_type: Fill

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Corrupt ``images`` (B, C, H, W), B >= 2."""
        pasted = torch.rand(len(images), generator=generator, device=images.device) < self.replace_p
        drop, paste = (at_most(most, min(0.5, most), images, generator) for most in (self.drop_perc, self.drop_replace))
        mask = self.blocks.cover(images, torch.where(pasted, paste, drop), generator)[:, None]
        hidden = fill(images, self.drop_type, generator)
        other = torch.where(pasted[:, None, None, None], images[donors(images, generator)], hidden)
        return torch.where(mask, other, images), {"mask": mask, "clean": images}


@frozen(kw_only=True)
class Distortion:
    """The original form: one block loses its colour and one its sharpness; then blocks are hidden, and others pasted.

    Attributes:
        blocks: Their sizes.
        drop_perc: Largest fraction that is hidden; that of an image is uniform up to it.
        drop_replace: Likewise for what is pasted.
        drop_type: What hides.
    """

    blocks: Blocks
    drop_perc: float
    drop_replace: float
    drop_type: Fill

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Corrupt ``images`` (B, C, H, W), B >= 2."""
        drop, paste = (at_most(most, 0.0, images, generator) for most in (self.drop_perc, self.drop_replace))
        patches = (
            (self.blocks.one(images, generator), images.mean(1, keepdim=True).expand_as(images)),  # one band: the same
            (self.blocks.one(images, generator), smooth(images)),
            (self.blocks.cover(images, drop, generator), fill(images, self.drop_type, generator)),
            (self.blocks.cover(images, paste, generator), images[donors(images, generator)]),
        )
        corrupted, touched = images, torch.zeros_like(images[:, :1], dtype=torch.bool)
        for mask, other in patches:
            corrupted = torch.where(mask[:, None], other, corrupted)
            touched = touched | mask[:, None]
        return corrupted, {"mask": touched, "clean": images}


def turn(images: Tensor, generator: torch.Generator) -> Corrupted:
    """Square images (B, C, H, H), each turned by a number of quarters, and that number, ``rotation`` (B,) int64."""
    quarters = _integers(0, 4, (len(images),), generator)
    turned = torch.stack([images.rot90(number, (2, 3)) for number in range(4)])  # (4, B, C, H, H)
    return turned[quarters, torch.arange(len(images), device=images.device)], {"rotation": quarters}


def donors(images: Tensor, generator: torch.Generator) -> Tensor:
    """(B,) for each image another one of the micro-batch, each as likely.

    Raises:
        UserError: There is no other.
    """
    count = len(images)
    if count < 2:
        raise UserError("SiT pastes from another image of the micro-batch: set train.micro_batch to 2 or more")
    own = torch.arange(count, device=images.device)
    return (own + _integers(1, count, (count,), generator)) % count


def fill(images: Tensor, kind: Fill, generator: torch.Generator) -> Tensor:
    """What may stand in the place of ``images`` (B, C, H, W).

    ``"copy"`` moves each image along a random vector, round its borders, so that every place shows another.
    """
    if kind == "zeros":
        return torch.zeros_like(images)
    if kind == "noise":
        return torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    count, _, height, width = images.shape
    row, column = (
        (torch.arange(side, device=images.device) + _integers(1, side, (count, 1), generator)) % side
        for side in (height, width)
    )  # (B, H), (B, W)
    return images[
        torch.arange(count, device=images.device)[:, None, None], :, row[:, :, None], column[:, None, :]
    ].movedim(-1, 1)


def smooth(images: Tensor) -> Tensor:
    """``images`` averaged over 5 by 5 pixels."""
    return F.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)


def at_most(high: float, low: float, images: Tensor, generator: torch.Generator) -> Tensor:
    """(B,) uniform in [low, high]."""
    return low + (high - low) * torch.rand(len(images), generator=generator, device=images.device)


def _integers(low: int, high: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Int64 of ``shape``, uniform in [low, high)."""
    return torch.randint(low, high, shape, generator=generator, device=generator.device)
