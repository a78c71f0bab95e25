"""The modules of CvT (arXiv 2103.15808, section 3). Tokens are (B, n, C): the class token, if any, and h w others."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deeplense_registry.blocks.drop_path import DropPath as DropPath

Grid = tuple[int, int]


def as_image(tokens: Tensor, grid: Grid) -> Tensor:
    """Tokens (B, h w, C) as (B, C, h, w), a view."""
    return tokens.transpose(1, 2).view(len(tokens), tokens.shape[2], *grid)


class Embedding(nn.Module):
    """Convolutional token embedding (section 3.1): a strided convolution, then layer norm over the channels."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, images: Tensor) -> tuple[Tensor, Grid]:
        """(B, inputs, H, W) to tokens (B, h w, outputs), and (h, w)."""
        x = self.conv(images)
        tokens: Tensor = self.norm(x.flatten(2).transpose(1, 2))
        return tokens, (x.shape[2], x.shape[3])


class Projection(nn.Module):
    """Queries, keys or values (section 3.2): a depthwise 3x3 convolution with batch norm, then a linear layer."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False, groups=width)
        self.norm = nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, width)

    def forward(self, cls: Tensor | None, image: Tensor) -> Tensor:
        """(B, 1, C), if any, and (B, C, h, w) to (B, n, C); the class token passes the convolution by."""
        x = self._mix(image).flatten(2).transpose(1, 2)
        if cls is not None:
            x = torch.cat((cls, x), dim=1)
        y: Tensor = self.linear(x)
        return y

    def _mix(self, image: Tensor) -> Tensor:
        """Convolution and batch norm; on a CPU never in bfloat16, whose depthwise gradient takes ten times as long."""
        if image.device.type != "cpu":
            return self.norm(self.conv(image))  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):
            return self.norm(self.conv(image.to(self.conv.weight.dtype)))  # type: ignore[no-any-return]


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Softmax attention of queries (..., n, D) over m keys and values: (..., n, D).

    In bfloat16 on a CPU torch's fused kernel is two to ten times slower than plain products; elsewhere it is as fast
    or faster and keeps no n x m matrix.
    """
    if q.device.type == "cpu" and q.dtype is torch.bfloat16:
        return ((q * scale) @ k.transpose(-2, -1)).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, scale=scale)


class Attention(nn.Module):
    """Attention with convolutional projections; keys and values lie on a grid of half the side.

    Logits are scaled by the square root of the whole width, not of a head's, as in the published models.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = width**-0.5
        self.query = Projection(width, 1)
        self.key = Projection(width, 2)
        self.value = Projection(width, 2)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(B, n, C) to the same."""
        extra = tokens.shape[1] - grid[0] * grid[1]
        cls = tokens[:, :extra] if extra else None  # no empty slices: each has a gradient as large as its tensor
        others = tokens[:, extra:].contiguous() if extra else tokens  # copied once, not by three convolutions
        image = as_image(others, grid)
        q, k, v = (self._heads(part(cls, image)) for part in (self.query, self.key, self.value))
        y: Tensor = self.proj(attend(q, k, v, self.scale).transpose(1, 2).flatten(2))
        return y

    def _heads(self, x: Tensor) -> Tensor:
        """(B, n, C) to (B, heads, n, C / heads)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x), which is near GELU (arXiv 1606.08415, section 2)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; written so that autograd keeps one tensor instead of two."""
        return F.silu(1.702 * x) / 1.702


ACTIVATIONS: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}


class Block(nn.Module):
    """Attention and an MLP, each a residual branch behind a layer norm."""

    def __init__(self, width: int, heads: int, act: str, drop_path: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), ACTIVATIONS[act](), nn.Linear(4 * width, width))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(B, n, C) to the same."""
        tokens = tokens + self.drop_path(self.attention(self.attention_norm(tokens), grid))
        y: Tensor = tokens + self.drop_path(self.mlp(self.mlp_norm(tokens)))
        return y
