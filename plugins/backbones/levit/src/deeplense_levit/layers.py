"""The small modules of LeViT (arXiv 2104.01136, section 4). Feature maps are (B, h, w, C): no copies."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deeplense_registry.blocks.drop_path import DropPath as DropPath


class NormLinear(nn.Module):
    """A linear layer without bias, then batch norm over every position of every image."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        nn.init.constant_(self.norm.weight, gain)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., outputs)."""
        y: Tensor = self.norm(self.linear(x.flatten(0, -2)))  # flat first: else matmul may copy the weight per image
        return y.view(*x.shape[:-1], -1)


class MLP(nn.Module):
    """Two linear layers, the first twice as wide; a residual branch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = NormLinear(width, 2 * width)
        self.down = NormLinear(2 * width, width, gain=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        y: Tensor = self.down(F.hardswish(self.up(x)))
        return y


def stem(channels: int, width: int, convolutions: int) -> nn.Sequential:
    """Convolutions 3x3 of stride 2, each with batch norm: (B, channels, H, W) to (B, width, h, w).

    The width doubles from one to the next; hard-swish stands between them and not after the last.
    Its weights are channels-last, which makes its output so, whatever the images are: (B, h, w, width) in memory.
    """
    widths = [channels, *(width >> i for i in reversed(range(convolutions)))]
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.Hardswish()]
    return nn.Sequential(*layers[:-1]).to(memory_format=torch.channels_last)
