"""Attention with a bias for each distance of a query and a key, on a grid of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import NormLinear


def distances(height: int, width: int, stride: int, device: torch.device) -> Tensor:
    """For each query at [::stride, ::stride] and each key of a grid, the entry |dy| * width + |dx| of a bias table.

    Returns:
        (queries, keys) int64; both run along the rows of the grid.
    """
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    dy = (rows[::stride, None] - rows).abs()  # (qh, h)
    dx = (columns[::stride, None] - columns).abs()  # (qw, w)
    return (dy[:, None, :, None] * width + dx[None, :, None, :]).flatten(2).flatten(0, 1)


def fit(table: Tensor, height: int, width: int) -> Tensor:
    """A table (heads, R, S) over distances, made to measure: (heads, height, width).

    A smaller grid takes the entries of its own distances. Along an axis that is longer than the table, the table is
    stretched linearly: distance 0 keeps its entry, and the largest distance gets the last.
    """
    table = table[:, :height, :width]
    if table.shape[1:] == (height, width):
        return table
    return F.interpolate(table[None], (height, width), mode="bilinear", align_corners=True)[0]


class Attention(nn.Module):
    """Attention with a learned bias for each |dy|, |dx| of a query and a key (section 4.2).

    Args:
        inputs: C of the input.
        outputs: C of the output.
        key_width: D of a head's queries and keys.
        value_width: Of a head's values.
        heads: Number of heads.
        table: Largest grid whose distances have entries of their own.
    """

    stride = 1
    first_gain = 0.0  # of the last batch norm: a residual branch starts as nothing

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        key_width: int,
        value_width: int,
        heads: int,
        table: tuple[int, int],
    ) -> None:
        super().__init__()
        self.heads = heads
        self.widths = (key_width, key_width, value_width)
        self.biases = nn.Parameter(torch.zeros(heads, *table))
        self._build(inputs)
        self.proj = NormLinear(heads * value_width, outputs, gain=self.first_gain)

    def _build(self, inputs: int) -> None:
        self.qkv = NormLinear(inputs, self.heads * sum(self.widths))

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        """(B, h, w, inputs) to (B, ceil(h / stride), ceil(w / stride), outputs); ``at`` from :func:`distances`."""
        batch, height, width, _ = x.shape
        q, k, v = self.project(x)  # (B, n, heads, .) each; n = h w, and fewer for the queries of a subsample
        logits = (q.transpose(1, 2) * self.widths[0] ** -0.5) @ k.permute(0, 2, 3, 1)  # (B, heads, queries, keys)
        weights = (logits + self.bias(height, width, at).to(logits.dtype)).softmax(-1)
        y = (weights @ v.transpose(1, 2)).transpose(1, 2)  # (B, queries, heads, value_width)
        y = y.reshape(batch, -(-height // self.stride), -(-width // self.stride), -1)
        mixed: Tensor = self.proj(F.hardswish(y))
        return mixed

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, n, heads, .) of (B, h, w, C)."""
        joint = self.qkv(x).view(len(x), -1, self.heads, sum(self.widths))
        q, k, v = joint.split(self.widths, dim=-1)
        return q, k, v

    def bias(self, height: int, width: int, at: Tensor) -> Tensor:
        """(heads, queries, keys), gathered anew each time: a cache would outlive a teacher's move in place."""
        table = fit(self.biases, height, width).flatten(1)
        return table.index_select(1, at.flatten()).view(self.heads, *at.shape)


class Subsample(Attention):
    """Attention from every second position along each axis, between two stages (section 4.2, "shrinking")."""

    stride = 2
    first_gain = 1.0

    def _build(self, inputs: int) -> None:
        key, _, value = self.widths
        self.kv = NormLinear(inputs, self.heads * (key + value))
        self.q = NormLinear(inputs, self.heads * key)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As in Attention, with queries of the positions [::2, ::2] alone."""
        key, _, value = self.widths
        k, v = self.kv(x).view(len(x), -1, self.heads, key + value).split((key, value), dim=-1)
        q = self.q(x[:, ::2, ::2]).view(len(x), -1, self.heads, key)
        return q, k, v
