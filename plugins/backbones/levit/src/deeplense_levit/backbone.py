"""LeViT (Graham et al. 2021, arXiv 2104.01136) as a backbone."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from deeplense_registry import Backbone, Features, ImageShape, UserError

from .attention import Attention, Subsample, distances
from .layers import MLP, DropPath, stem
from .options import Architecture, LeViTOptions
from .weights import load

Grid = tuple[int, int]


class Block(nn.Module):
    """Attention and an MLP, each a residual branch."""

    def __init__(self, attention: Attention, width: int, drop_path: float) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = MLP(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        """(B, h, w, C) to the same."""
        x = x + self.drop_path(self.attention(x, at))
        y: Tensor = x + self.drop_path(self.mlp(x))
        return y


class Shrink(nn.Module):
    """Between two stages: attention halves the grid, without a residual; then a residual MLP."""

    def __init__(self, attention: Subsample, width: int, drop_path: float) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = MLP(width)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) to (B, ceil(h / 2), ceil(w / 2), width)."""
        x = self.attention(x, distances(x.shape[1], x.shape[2], 2, x.device))
        y: Tensor = x + self.drop_path(self.mlp(x))
        return y


class Stage(nn.Module):
    """Blocks on one grid, behind a Shrink in all stages but the first."""

    def __init__(self, architecture: Architecture, number: int, grids: tuple[Grid, ...], drop_path: float) -> None:
        super().__init__()
        key, width = architecture.key_width, architecture.widths[number]
        self.shrink: nn.Module = nn.Identity()
        if number:
            before = architecture.widths[number - 1]
            attention = Subsample(
                before, width, key_width=key, value_width=4 * key, heads=before // key, table=grids[number - 1]
            )
            self.shrink = Shrink(attention, width, drop_path)
        self.blocks = nn.ModuleList(
            Block(
                Attention(
                    width,
                    width,
                    key_width=key,
                    value_width=2 * key,
                    heads=architecture.heads[number],
                    table=grids[number],
                ),
                width,
                drop_path,
            )
            for _ in range(architecture.depths[number])
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) of the stage before to that of this stage."""
        x = self.shrink(x)
        at = distances(x.shape[1], x.shape[2], 1, x.device)  # the same for every block
        for block in self.blocks:
            x = block(x, at)
        return x


class LeViT(Backbone):
    """A convolutional stem, then three stages of attention on ever coarser grids; batch norm throughout.

    There is no class token. ``pooled`` is the mean over the last grid, which is ``grid`` itself: LeViT ends without a
    normalisation (the batch norm of the published model belongs to its classifier). ``pyramid`` holds the outputs of
    the three stages, fine to coarse.

    A bias table has an entry for each distance on the grids of ``shape``. A smaller image uses the entries of its own
    distances, exactly as a model built at that size with that part of the table; on a larger one the table is
    stretched over the grid (:func:`deeplense_levit.attention.fit`). The grid is read off the tensor.

    Args:
        options: The variant, its rate of stochastic depth, and where its weights are, if it has any.
        shape: Sets the bands and the size of the bias tables.
        drop_path: Instead of the options' rate.

    Raises:
        UserError: ``options.weights`` cannot be read, or holds the weights of another model.
    """

    def __init__(self, options: LeViTOptions, shape: ImageShape, *, drop_path: float | None = None) -> None:
        super().__init__(options, shape, drop_path=drop_path)
        architecture = options.architecture
        rate = options.drop_path if drop_path is None else drop_path
        grids = architecture.grids(shape.height, shape.width)
        self.width = architecture.widths[-1]
        self.channels = shape.channels
        self.min_size = options.facts(shape).min_size
        self.stem = stem(shape.channels, architecture.widths[0], architecture.stem)
        self.stages = nn.ModuleList(Stage(architecture, number, grids, rate) for number in range(3))
        if options.weights is not None:
            load(self, architecture, Path(options.weights))

    def forward(self, images: Tensor, *, pose: Tensor | None = None) -> Features:
        """Features of ``images`` (B, C, H, W) of any size from ``min_size`` up.

        Raises:
            UserError: Another number of bands than it was built for, or an image too small.
        """
        self._check(images)
        x = self.stem(images).permute(0, 2, 3, 1)  # (B, h, w, C), no copy: the stem is channels-last
        pyramid = []
        for stage in self.stages:
            x = stage(x)
            pyramid.append(x.permute(0, 3, 1, 2))
        return Features(pooled=x.mean(dim=(1, 2)), grid=pyramid[-1], pyramid=tuple(pyramid))

    def no_weight_decay(self) -> frozenset[str]:
        """The tables of attention biases."""
        return frozenset(name for name, _ in self.named_parameters() if name.endswith(".biases"))

    def _check(self, images: Tensor) -> None:
        channels, height, width = images.shape[1:]
        if channels != self.channels:
            raise UserError(f"levit was built for images of {self.channels} bands and got {channels}")
        if min(height, width) < self.min_size:
            raise UserError(
                f"levit got images of {height}x{width} pixels; this variant needs {self.min_size} on each side: "
                "use larger images or crops, or a variant with a shorter stem (128s-s8, 128s-s4)"
            )
