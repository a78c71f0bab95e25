"""CvT (Wu et al. 2021, arXiv 2103.15808) as a backbone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from deeplense_registry import Backbone, Features, ImageShape, UserError

from .layers import Block, Embedding, Grid, as_image
from .options import Architecture, CvTOptions
from .weights import load

STD = 0.02  # of the initial linear weights and class token


class Stage(nn.Module):
    """An embedding, then blocks on its grid; in the last stage the class token joins between the two."""

    def __init__(self, architecture: Architecture, number: int, bands: int, act: str, drop_path: float) -> None:
        super().__init__()
        width, last = architecture.widths[number], number == 2
        self.embedding = (
            Embedding(architecture.widths[number - 1], width, kernel=3, stride=2, padding=1)
            if number
            else Embedding(bands, width, kernel=7, stride=architecture.stem, padding=architecture.padding)
        )
        self.cls = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=STD)) if last else None
        rates = torch.linspace(0.0, drop_path if last else 0.0, architecture.depths[number], device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(width, architecture.heads[number], act, rate) for rate in rates)

    def forward(self, image: Tensor) -> tuple[Tensor, Grid]:
        """The image, or the grid of the stage before, to tokens (B, n, C), and (h, w)."""
        tokens, grid = self.embedding(image)
        if self.cls is not None:
            tokens = torch.cat((self.cls.expand(len(tokens), -1, -1).to(tokens.dtype), tokens), dim=1)
        for block in self.blocks:
            tokens = block(tokens, grid)
        return tokens, grid


class CvT(Backbone):
    """Three stages of attention on ever coarser grids, each entered through a convolution; no position encoding.

    The final layer norm, in the published model that of the class token, is applied to every token of the last stage.
    ``grid`` holds the tokens, ``pooled`` the class token or the mean of ``grid``; ``pyramid`` holds the outputs of the
    first two stages, and ``grid``. No parameter depends on the size of the images.

    With ``pool = "cls"`` the convolution and batch norm of the last block's queries do not bear on ``pooled``, since
    the class token passes them by; they are trained through ``grid`` alone.

    Args:
        options: The variant, its activation and pooling, and where its weights are, if it has any.
        shape: Sets the bands; the size may be any from ``min_size`` up.
        drop_path: Instead of the options' rate.

    Raises:
        UserError: ``options.weights`` cannot be read, or holds the weights of another model.
    """

    def __init__(self, options: CvTOptions, shape: ImageShape, *, drop_path: float | None = None) -> None:
        super().__init__(options, shape, drop_path=drop_path)
        architecture = options.architecture
        rates = (drop_path, options.drop_path, architecture.drop_path)
        rate = next(rate for rate in rates if rate is not None)
        self.width = architecture.widths[-1]
        self.channels = shape.channels
        self.min_size = options.facts(shape).min_size
        self.pool = options.pool
        self.stages = nn.ModuleList(
            Stage(architecture, number, shape.channels, options.act, rate) for number in range(3)
        )
        self.norm = nn.LayerNorm(self.width)
        self.apply(_initialise)
        if options.weights is not None:
            load(self, Path(options.weights))

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Features of ``images`` (B, C, H, W) of any size from ``min_size`` up.

        Raises:
            UserError: Another number of bands than it was built for, or an image too small.
        """
        self._check(images)
        first, size = self.stages[0](images)
        fine = as_image(first, size)
        second, size = self.stages[1](fine)
        middle = as_image(second, size)
        tokens, size = self.stages[2](middle)
        tokens = self.norm(tokens)
        grid = as_image(tokens[:, 1:], size)
        pooled = tokens[:, 0] if self.pool == "cls" else tokens[:, 1:].mean(dim=1)
        return Features(pooled=pooled, grid=grid, pyramid=(fine, middle, grid))

    def no_weight_decay(self) -> frozenset[str]:
        """The class token."""
        return frozenset({"stages.2.cls"})

    def _check(self, images: Tensor) -> None:
        channels, height, width = images.shape[1:]
        if channels != self.channels:
            raise UserError(f"cvt was built for images of {self.channels} bands and got {channels}")
        if min(height, width) < self.min_size:
            remedy = "use larger images or crops" + (", or the variant tiny-s2" if self.min_size > 8 else "")
            raise UserError(
                f"cvt got images of {height}x{width} pixels; this variant needs {self.min_size} on each side: {remedy}"
            )


def _initialise(module: nn.Module) -> None:
    """Linear layers as published; convolutions and normalisations as torch has them."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=STD)
        nn.init.zeros_(module.bias)
