"""Balanced assignments by Sinkhorn's iteration (Cuturi 2013, arXiv 1306.0895; SwAV, arXiv 2006.09882, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..interfaces import World
from .contrast import widen


@torch.no_grad()
def sinkhorn(scores: Tensor, world: World, *, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Soft assignments of rows to prototypes that give every prototype about the same share of all rows.

    ``exp(scores / epsilon)``, made to sum to the same over each prototype and then to 1 over each row, in turn. The
    published form divides by the numbers of prototypes and rows besides; both cancel in the normalisation that follows.
    It runs on logarithms, the largest term taken out of each sum, in float32 at least: ``exp(1 / 0.01)`` is no float32,
    and neither is its inverse.

    Args:
        scores: (..., N, K), similarities of this process's rows and K prototypes; leading dimensions are assigned
            apart from each other. Every process has the same shape.
        world: The shares are those of the rows of every process.
        epsilon: Positive; the smaller, the nearer to hard assignments.
        iterations: From 1; published: 3. The rows sum to 1 after each, the prototypes' shares are equal in the limit.

    Returns:
        (..., N, K), rows that sum to 1; float32, or float64 for float64.
    """
    logs = widen(scores) / epsilon
    for _ in range(iterations):
        logs = (logs - _log_sum_over_rows(logs, world)).log_softmax(-1)
    return logs.exp()


def _log_sum_over_rows(logs: Tensor, world: World) -> Tensor:
    """(..., 1, K), the logarithm of each prototype's mass over the rows of every process."""
    largest = world.join(logs.amax(-2, keepdim=True)[None]).amax(0)
    return largest + world.sum((logs - largest).exp().sum(-2, keepdim=True)).log()
