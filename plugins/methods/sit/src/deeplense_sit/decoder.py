"""From a backbone's grids back to pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deeplense_registry import Backbone, Features, ImageShape


def grids(features: Features) -> tuple[Tensor, ...]:
    """The dense features, fine to coarse: the pyramid, or the only grid."""
    return features.pyramid or (features.grid,)


@torch.no_grad()
def grids_of(backbone: Backbone, shape: ImageShape) -> tuple[tuple[int, int, int], ...]:
    """``(C, h, w)`` of each grid of an image of ``shape``: the backbone looks at a blank one, untouched by it."""
    training = backbone.training
    features = backbone.eval()(torch.zeros(1, shape.channels, shape.height, shape.width))
    backbone.train(training)
    return tuple((grid.shape[1], grid.shape[2], grid.shape[3]) for grid in grids(features))


class Decoder(nn.Module):
    """The published reconstruction head behind a fusion of grids.

    Published (for a transformer, of one grid): three linear layers with GELU at each place, then a transposed
    convolution whose kernel and stride are a cell of the grid. A hierarchical backbone has several grids, and its last
    is too coarse to restore a lensed arc; so all are brought to the decoder's width, stretched over the finest and
    added up.

    Args:
        grids: ``(C, h, w)`` of the grids, fine to coarse, for an image of ``shape``.
        width: Channels of the decoder.
        shape: The images; a cell spans their size over the finest grid's.
    """

    def __init__(self, grids: tuple[tuple[int, int, int], ...], width: int, shape: ImageShape) -> None:
        super().__init__()
        _, height, columns = grids[0]
        cell = (max(1, round(shape.height / height)), max(1, round(shape.width / columns)))
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels, _, _ in grids)
        self.mixing = nn.Sequential(*(part for _ in range(3) for part in (nn.Conv2d(width, width, 1), nn.GELU())))
        self.pixels = nn.ConvTranspose2d(width, shape.channels, cell, stride=cell)

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:
        """The image (B, C, H, W) of ``size`` (H, W).

        Where the cells do not divide the image, those at the right and lower edge are cut off or extended.
        """
        finest, *coarser = (lateral(grid) for lateral, grid in zip(self.laterals, grids(features), strict=True))
        for grid in coarser:
            finest = finest + F.interpolate(grid, size=finest.shape[-2:], mode="bilinear", align_corners=False)
        image: Tensor = self.pixels(self.mixing(finest))  # (B, C, h * cell, w * cell)
        height, width = size
        return F.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]), mode="replicate")
