"""Stochastic depth, for backbones that are written here."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth (arXiv 1603.09382): drop a branch for a sample, and scale the branches that are kept."""

    def __init__(self, rate: float) -> None:
        """``rate``: the probability of dropping, in [0, 1)."""
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) to the same; draws from torch's default generator."""
        if not self.training or self.rate == 0.0:
            return x
        kept = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1.0 - self.rate)
        return x * kept.div_(1.0 - self.rate)
