"""The published augmentation of RGB photographs, batched, each image with its own draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..interfaces import PaperRecipe
from .draws import chance, uniform
from .geometry import Size, Window, points, warp
from .photometry import blur

ATTEMPTS = 10  # crops drawn until one fits, as in torchvision's RandomResizedCrop
LUMA = (0.2989, 0.587, 0.114)  # ITU-R BT.601: the weights of red, green and blue in grey


def photograph(
    images: Tensor, recipe: PaperRecipe, size: Size, generator: torch.Generator, *, centred: bool = False
) -> Tensor:
    """Views (B, 3, h, w) in [0, 1] of ``images`` (B, 3, H, W) in [0, 1].

    The order is that of SimCLR (arXiv:2002.05709, appendix A) and its successors: crop (bilinear), flip, colour jitter,
    grey, blur, solarise at 0.5. Brightness, contrast, saturation and hue follow each other in this order, where
    torchvision shuffles them. Nothing is subtracted or divided by afterwards: the views stay in [0, 1].

    Args:
        images: Red, green, blue.
        recipe: Strengths and probabilities; ``blur_sigma`` shrinks with the view, by its side over 224.
        size: (h, w) of the views.
        generator: Source of every draw.
        centred: Crops lie about the image's centre.
    """
    low, high = (sigma * min(size) / 224 for sigma in recipe.blur_sigma)
    steps: tuple[tuple[float, Callable[..., Tensor], tuple[Tensor, ...]], ...] = (
        (recipe.jitter_p, _jitter, _strengths(recipe, len(images), generator)),
        (recipe.grey_p, _greyed, ()),
        (recipe.blur_p, partial(blur, largest=high), (uniform(low, high, len(images), generator),)),
        (recipe.solarise_p, _solarised, ()),
    )
    views = _crop(images, recipe, size, generator, centred=centred)
    for probability, change, drawn in steps:
        rows = chance(probability, len(views), generator).nonzero()[:, 0]
        if len(rows):  # the others are spared the work
            views[rows] = change(views[rows], *(one[rows] for one in drawn))
    return views.clamp_(0.0, 1.0)


def grey(images: Tensor) -> Tensor:
    """The luma (B, 1, H, W) of ``images`` (B, 3, H, W)."""
    weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype)
    return (images * weights[:, None, None]).sum(dim=1, keepdim=True)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """``images`` (B, 3, H, W) with the hue (of hue, saturation, value) moved by ``turns`` (B,) of the colour circle."""
    red, green, blue = images.unbind(1)
    value, chroma = images.amax(1), images.amax(1) - images.amin(1)
    safe = torch.where(chroma > 0, chroma, 1.0)  # a grey pixel has no hue, and any will do
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )  # (B, H, W), the hue in sixths of a turn
    start = torch.tensor((5.0, 3.0, 1.0), device=images.device)[:, None, None]
    place = (start + (sector + 6.0 * turns[:, None, None])[:, None]).remainder(6.0)  # (B, 3, H, W)
    return value[:, None] - chroma[:, None] * torch.minimum(place, 4.0 - place).clamp(0.0, 1.0)


def _crop(images: Tensor, recipe: PaperRecipe, size: Size, generator: torch.Generator, *, centred: bool) -> Tensor:
    count, _, height, width = images.shape
    extent = _extent(count, recipe, (height, width), generator)
    room = (torch.tensor((width, height), device=images.device) - extent) / 2
    place = uniform(-1.0, 1.0, (count, 2), generator) * room
    window = Window(
        centre=torch.zeros_like(place) if centred else place,
        extent=extent,
        angle=torch.zeros(count, device=images.device),
        mirror=chance(recipe.flip, count, generator),
    )
    coarsest = math.sqrt(min(recipe.scale[1], 1.0)) * max(height / size[0], width / size[1])
    return warp(images, window, size, samples=points(coarsest), beyond="border")


def _extent(count: int, recipe: PaperRecipe, shape: Size, generator: torch.Generator) -> Tensor:
    """(B, 2) widths and heights of the crops: of the first attempt that fits, or else of the whole image."""
    height, width = shape
    area = uniform(*recipe.scale, (count, ATTEMPTS), generator) * (height * width)
    aspect = uniform(math.log(3 / 4), math.log(4 / 3), (count, ATTEMPTS), generator).exp()
    sides = torch.stack(((area * aspect).sqrt(), (area / aspect).sqrt()), dim=-1)  # (B, attempts, 2)
    image = torch.tensor((width, height), device=sides.device, dtype=sides.dtype)
    fits = (sides <= image).all(dim=-1)  # (B, attempts)
    first = sides[torch.arange(count, device=sides.device), fits.int().argmax(dim=1)]
    return torch.where(fits.any(dim=1, keepdim=True), first, image)


def _strengths(recipe: PaperRecipe, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Factors (B, 1, 1, 1) of brightness, contrast and saturation, and the turn of the hue (B,)."""
    *strengths, hue = recipe.jitter
    factors = (uniform(max(0.0, 1.0 - one), 1.0 + one, (count, 1, 1, 1), generator) for one in strengths)
    return *factors, uniform(-hue, hue, count, generator)


def _jitter(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor, turns: Tensor) -> Tensor:
    images = (images * brightness).clamp_(0.0, 1.0)
    images = torch.lerp(grey(images).mean((2, 3), keepdim=True), images, contrast).clamp_(0.0, 1.0)
    images = torch.lerp(grey(images), images, saturation).clamp_(0.0, 1.0)
    return turn_hue(images, turns)


def _greyed(images: Tensor) -> Tensor:
    return grey(images).expand_as(images)


def _solarised(images: Tensor) -> Tensor:
    return torch.where(images >= 0.5, 1.0 - images, images)
